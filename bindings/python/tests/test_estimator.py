"""Estimators are held to scikit-learn's own checks."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from cipherfn.estimator import EncryptedClassifier, EncryptedRegressor


@parametrize_with_checks([EncryptedClassifier(execute="clear"), EncryptedRegressor(execute="clear")])
def test_checks_of_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)


def test_predictions_are_encrypted_ones() -> None:
    X, y = load_iris(return_X_y=True)
    own = EncryptedClassifier(LogisticRegression(max_iter=1000)).fit(X, y)
    assert (own.predict(X[::10]) == own.estimator_.predict(X[::10].astype(np.float32))).all()
    assert np.abs(own.predict_proba(X[:5]) - own.estimator_.predict_proba(X[:5])).max() < 0.02
    assert cross_val_score(clone(own).set_params(execute="clear"), X, y, cv=2).min() > 0.9


def test_options_are_those_of_compile() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="grid:BITS"):
        EncryptedClassifier(options={"features": "fine"}).fit(X, y)

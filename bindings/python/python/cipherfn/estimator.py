"""Estimators of scikit-learn whose predictions are made on encrypted rows.

They train in the clear, as the estimator that they hold does, and compile what it learned. Needs the extra ``sklearn``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._compile import compile as compile_model
from ._model import Execute, Model
from .errors import ExportError

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, RegressorMixin, clone
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ExportError(f"estimators need scikit-learn: {error}", remedy='pip install "cipherfn[sklearn]"') from error

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EncryptedClassifier", "EncryptedRegressor"]


class _Encrypted(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """What both kinds share: rows become 32-bit floats, as trees compare them, in training and afterwards."""

    estimator_: Any
    model_: Model

    def __init__(self, estimator: Any = None, *, execute: Execute = "encrypted", options: Mapping[str, Any] | None = None) -> None:
        self.estimator = estimator
        self.execute = execute
        self.options = options

    def _default(self) -> Any:
        raise NotImplementedError

    def fit(self, X: Any, y: Any) -> Self:
        """Trains a copy of the estimator on rows X of shape (rows, columns) and y of shape (rows,), and compiles it."""
        import numpy as np

        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=isinstance(self, RegressorMixin))
        estimator = self._default() if self.estimator is None else clone(self.estimator)
        self.estimator_ = estimator.fit(X, self._checked(y))
        self.model_ = compile_model(self.estimator_, X, **(self.options or {}))
        return self

    def _checked(self, y: Any) -> Any:
        return y

    def _rows(self, X: Any) -> Any:
        import numpy as np

        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=np.float32)

    def predict(self, X: Any) -> Any:
        """Labels or values of shape (rows,)."""
        rows = self._rows(X)
        return self.model_.predict(rows, self.execute)


class EncryptedClassifier(ClassifierMixin, _Encrypted):  # type: ignore[misc]
    """A classifier of scikit-learn, or one like it, that predicts on encrypted rows.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> EncryptedClassifier(execute="clear").fit(X, y).score(X, y) > 0.9
    True
    """

    def _default(self) -> Any:
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(max_depth=5, random_state=0)

    def _checked(self, y: Any) -> Any:
        from sklearn.utils.multiclass import check_classification_targets

        check_classification_targets(y)
        return y

    @property
    def classes_(self) -> Any:
        """Classes of shape (classes,)."""
        return self.estimator_.classes_

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of shape (rows, classes), each 0 to 1; those of a row, which the guarantee lets be off a little, are scaled to sum to 1."""
        import numpy as np

        rows = self._rows(X)
        found = np.clip(self.model_.predict_proba(rows, self.execute).astype(float), 0, 1)
        return found / found.sum(axis=1, keepdims=True)


class EncryptedRegressor(RegressorMixin, _Encrypted):  # type: ignore[misc]
    """A regressor of scikit-learn, or one like it, that predicts on encrypted rows.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> EncryptedRegressor(execute="clear").fit(X, y).score(X, y) > 0.4
    True
    """

    def _default(self) -> Any:
        from sklearn.tree import DecisionTreeRegressor

        return DecisionTreeRegressor(max_depth=5, random_state=0)

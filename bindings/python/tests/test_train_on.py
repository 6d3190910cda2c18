"""Trainings that go on: from given weights, with further rows, and from weights that a service keeps encrypted."""

import contextlib
import os
import pathlib
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from conftest import Dev
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer, load_iris
from test_train import SOME, kept, publish

import cipherfn
from cipherfn import errors, train


@pytest.fixture(autouse=True)
def limited() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.LimitedWarning)
        yield


def cancer(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X[SOME][:rows], y[:rows].to_numpy()


def apart(one: train.LogisticRegression, other: train.LogisticRegression, X: pd.DataFrame) -> float:
    """By how much weights differ, in deviations of the columns."""
    return float(np.abs((one.coef_ - other.coef_) * X.std().to_numpy()).max())


def test_weights_of_scikit_learn_are_a_start() -> None:
    X, y = cancer(300)
    wanted = linear_model.LogisticRegression(max_iter=5000).fit(X, y)
    model = train.LogisticRegression(epochs=1, rate=0.2).fit_simulated(X[SOME[::-1]], y, warm_start=wanted)
    # But for features as integers, and ends of ranges.
    assert model.start_accuracy_ is not None and abs(model.start_accuracy_ - wanted.score(X, y)) < 0.02
    cold = train.LogisticRegression(epochs=1, rate=0.2).fit_simulated(X, y)
    assert cold.start_accuracy_ is None
    order = [model.feature_names_in_.index(name) for name in SOME]
    unit = X.std().to_numpy()
    difference = np.abs((model.coef_[:, order] - wanted.coef_) * unit).max()
    assert difference < np.abs((cold.coef_ - wanted.coef_) * unit).max() / 2
    # The same weights again, in the ranges of other rows; the rate begins anew.
    again = train.LogisticRegression(epochs=1, rate=0.2).fit_simulated(X[:150], y[:150], warm_start=model)
    assert again.start_accuracy_ == pytest.approx((model.predict(X[:150]) == y[:150]).mean(), abs=0.03)
    assert again.n_steps_ == 10
    flowers, kinds = load_iris(return_X_y=True)
    three = linear_model.LogisticRegression(max_iter=5000).fit(flowers, kinds)
    started = train.LogisticRegression(epochs=1, rate=0.2).fit_simulated(flowers, kinds, warm_start=three)
    assert started.coef_.shape == (3, 4) and started.start_accuracy_ == pytest.approx(three.score(flowers, kinds), abs=0.03)
    for wrong, text in [(three, "classes"), (linear_model.LogisticRegression().fit(X[SOME[:2]], y), "columns")]:
        with pytest.raises(errors.ArgumentError, match=text):
            train.LogisticRegression().fit_simulated(X, y, warm_start=wrong)
    with pytest.raises(errors.TrainingError, match="not fitted"):
        train.LogisticRegression().fit_simulated(X, y, warm_start=train.LogisticRegression())
    far = linear_model.LogisticRegression().fit(X, y)
    far.coef_ = far.coef_ * 1e6
    with pytest.raises(errors.TrainingError, match="mean radius"):
        train.LogisticRegression().fit_simulated(X, y, warm_start=far)


def test_further_rows_go_on_at_the_rate_that_there_is(tmp_path: pathlib.Path) -> None:
    X, y = cancer(64)
    model = train.LogisticRegression(epochs=1, batch=16)
    model.partial_fit_encrypted(X[:32], y[:32], keys=tmp_path / "keys")
    first = (model.coef_.copy(), model.n_steps_)
    model.partial_fit_encrypted(X[32:], y[32:], keys=tmp_path / "keys")
    assert first[1] == 2 and model.n_steps_ == 4
    assert model.start_accuracy_ is not None
    simulated = train.LogisticRegression(epochs=1, batch=16).fit_simulated(X[:32], y[:32])
    # Ranges are those of the first rows.
    assert model._program == simulated._program
    assert np.abs(model.coef_ - first[0]).max() > 0
    for wrong in ({"keep_encrypted": True}, {"program": "somewhere"}):
        with pytest.raises(errors.ArgumentError):
            model.partial_fit_encrypted(X, y, **wrong)


def test_weights_stay_encrypted_at_the_service(
    dev: Dev, client: cipherfn.Client, keys: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    X, y = cancer(64)
    first, second, third = X[:32], X[32:56], X[56:]
    bounds = publish(dev, tmp_path, "onward", X, epochs=1)
    before = kept(dev)
    model = train.LogisticRegression().fit_encrypted(client, first, y[:32], program="onward", keep_encrypted=True)
    assert model.accuracy_ is None and model.n_steps_ == 4 and kept(dev) != before
    for read in (lambda: model.coef_, lambda: model.predict(third), model.to_onnx):
        with pytest.raises(errors.TrainingError, match="stay encrypted(.|\n)*predict_encrypted"):
            read()
    simulated = train.LogisticRegression(epochs=1, batch=8, ranges=bounds).fit_simulated(first, y[:32])
    scores = model.decision_function_encrypted(client, third[SOME[::-1]])
    # Ten deviations of each of five weights, in units of which a row has three at most.
    assert scores.shape == (8,) and np.abs(scores - simulated.decision_function(third)).max() < 10 * model.deviation_ * 3 * 5 + 0.05
    labels = model.predict_encrypted(client, third)
    assert labels.dtype == y.dtype and (labels == (scores > 0)).all()
    chances = model.predict_proba_encrypted(client, third)
    assert chances.shape == (8, 2) and np.allclose(chances[:, 1], 1 / (1 + np.exp(-scores)), atol=1e-2)
    # Rows that are none are asked all the same, and named afterwards.
    gap = third.copy()
    gap.iloc[2, 1] = np.nan
    with pytest.raises(errors.TableError, match="row 3(.|\n)*mean texture"):
        model.predict_encrypted(client, gap)

    # Another process finds them by name; trained on, they stay or come back.
    found = train.LogisticRegression.from_encrypted(client, model.training_)
    assert found.n_steps_ == 4 and np.allclose(found.decision_function_encrypted(client, third), scores, atol=1e-2)
    with pytest.raises(errors.ArgumentError, match="svm|logistic"):
        train.LinearSVC.from_encrypted(client, model.training_)
    with pytest.raises(errors.ArgumentError, match="rate of their steps goes on"):
        model.fit_encrypted(client, second, y[32:56], program="onward", warm_start=True)
    found.partial_fit_encrypted(client, second, y[32:56], keep_encrypted=True)
    assert found.n_steps_ == 7 and found.training_ != model.training_
    plain = train.LogisticRegression().fit_encrypted(client, first, y[:32], program="onward")
    plain.partial_fit_encrypted(client, second, y[32:56], program="onward")
    assert plain.n_steps_ == 7
    back = train.LogisticRegression.from_encrypted(client, model.training_)
    back.partial_fit_encrypted(client, second, y[32:56])
    assert apart(back, plain, X) < 10 * np.hypot(back.deviation_, plain.deviation_) + 0.05
    with pytest.raises(errors.TrainingError, match="no weights are kept"):
        back.predict_encrypted(client, third)
    # The same file under another key, and weights that are gone at the service already.
    train.LogisticRegression(epochs=1, batch=16).fit_encrypted(first, y[:32], keys=tmp_path / "others")
    shutil.copytree(keys / "trainings", tmp_path / "others/trainings")
    others = cipherfn.Client(dev.url, keys=tmp_path / "others")
    foreign = train.LogisticRegression.from_encrypted(others, model.training_)
    for ask in (lambda: foreign.predict_encrypted(others, third), lambda: foreign.partial_fit_encrypted(others, second, y[32:56])):
        with pytest.raises(errors.ArgumentError, match="are under key .* train again"):
            ask()
    again = train.LogisticRegression.from_encrypted(client, model.training_)
    for each in (model, found, again):
        each.delete_encrypted(client)
    assert kept(dev) == before
    with pytest.raises(errors.ArgumentError, match="knows no training"):
        train.LogisticRegression.from_encrypted(client, "0" * 32)


def test_a_call_goes_on_with_what_an_ended_one_has_begun(dev: Dev, client: cipherfn.Client, tmp_path: pathlib.Path) -> None:
    X, y = cancer(48)
    publish(dev, tmp_path, "later", X, epochs=8)
    before, file = kept(dev), tmp_path / "later.training"

    def begun() -> bool:
        # Objects come and go while they are listed.
        with contextlib.suppress(FileNotFoundError):
            return file.exists() and any(name.startswith("jobs/") for name in kept(dev) - before)
        return False

    def interrupt() -> None:
        end = time.monotonic() + 120
        while not begun() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    for ended in (False, True):
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            train.LogisticRegression().fit_encrypted(client, X, y, program="later", resume=file)
        assert file.exists()
        uploads = {name for name in kept(dev) - before if name.startswith("uploads/")}
        assert len(uploads) == 1
        with pytest.raises(errors.ArgumentError, match="another training(.|\n)*the table is another one"):
            train.LogisticRegression().fit_encrypted(client, X[::-1], y[::-1], program="later", resume=file)
        if ended:
            assert train.cancel(client, file) and not train.cancel(client, file)
        else:
            model = train.LogisticRegression().fit_encrypted(client, X, y, program="later", resume=file)
            assert model.n_steps_ == 48 and model.accuracy_ is not None and model.accuracy_ > 0.8
        assert not file.exists() and kept(dev) == before
    with pytest.raises(errors.ArgumentError, match="client"):
        train.LogisticRegression().fit_encrypted(X, y, resume=file)

"""Training: statistics of several owners and gradient descent, compared with scikit-learn on the rows in the clear."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import Dev
from sklearn import decomposition, discriminant_analysis, linear_model, naive_bayes, preprocessing
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

import cipherfn
from cipherfn import errors, train

SOME = ["mean radius", "mean texture", "mean smoothness", "mean symmetry"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("holder") / "keys"


def ranges(frame: pd.DataFrame) -> dict[str, tuple[float, float]]:
    return {name: (float(values.min()) - 1, float(values.max()) + 1) for name, values in frame.items()}


def total(spec: train.Statistics, frame: pd.DataFrame, keys: pathlib.Path) -> train.Contribution:
    """What three owners contribute, of rows that none shows the others."""
    key = train.public_key(keys)
    return spec.aggregate([spec.contribute(frame[owner::3], key) for owner in range(3)])


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(np.asarray(found) - wanted).max() <= 1e-6 * np.abs(wanted).max())


def test_regressions_of_owners_are_scikit_learns(keys: pathlib.Path) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    frame = X.assign(target=y)
    columns = ranges(X)
    spec = train.Statistics("diabetes", rows=1000, columns=columns, target=("target", (0, 400)))
    sums = total(spec, frame, keys)
    assert sums.owners == 3
    for alpha in (1.0, 100.0):
        found = train.Ridge(alpha).solve(sums, keys=keys)
        wanted = linear_model.Ridge(alpha).fit(X, y)
        assert close(found.coef_, wanted.coef_) and close(found.predict(X), wanted.predict(X))
        assert np.isclose(found.intercept_, wanted.intercept_, rtol=1e-5)
        assert found.rows_ == len(X) and found.feature_names_in_ == list(X)
    least = train.LinearRegression().solve(sums, keys=keys)
    assert close(least.predict(X), linear_model.LinearRegression().fit(X, y).predict(X))
    summary = pd.DataFrame(sums.summary(keys=keys)).set_index("column")
    assert np.allclose(summary.loc[list(X), "mean"], X.mean()) and np.allclose(summary.loc["bmi", "bp"], X.bmi.corr(X.bp))
    components = train.PCA(2).solve(sums, keys=keys)
    wanted_components = decomposition.PCA(2).fit(X).components_
    assert np.allclose(np.abs(components.components_), np.abs(wanted_components), atol=1e-5)
    scaler = train.StandardScaler().solve(sums, keys=keys)
    assert np.allclose(scaler.transform(X), preprocessing.StandardScaler().fit_transform(X), atol=1e-6)


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_discriminants_of_owners_are_scikit_learns(keys: pathlib.Path, load: object) -> None:
    X, y = load(return_X_y=True, as_frame=True)
    X = X[SOME] if load is load_breast_cancer else X
    names = [str(label) for label in np.unique(y)]
    spec = train.Statistics("classes", rows=1000, columns=ranges(X), target=("class", names))
    sums = total(spec, X.assign(**{"class": y}), keys)
    found = train.LinearDiscriminantAnalysis().solve(sums, keys=keys)
    wanted = discriminant_analysis.LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(X, y)
    assert found.classes_.tolist() == names and found.coef_.shape == wanted.coef_.shape
    assert (found.predict(X).astype(int) == wanted.predict(X)).all()
    assert np.abs(found.predict_proba(X) - wanted.predict_proba(X)).max() < 1e-2


def test_naive_bayes_of_owners_is_a_file(keys: pathlib.Path, tmp_path: pathlib.Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    X, y = load_iris(return_X_y=True, as_frame=True)
    spec = train.Statistics("iris", rows=500, columns=ranges(X), target=("class", ["0", "1", "2"]))
    spec.save(tmp_path / "spec.toml")
    again = train.Statistics.read(tmp_path / "spec.toml")
    sums = total(again, X.assign(**{"class": y.astype(str)}), keys)
    sums.save(tmp_path / "total.cft")
    model = train.NaiveBayes().solve(again.load(tmp_path / "total.cft"), keys=keys)
    model.save(tmp_path / "bayes.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "bayes.onnx"))
    rows = {own.name: X[[own.name]].to_numpy(np.float32) for own in session.get_inputs()}
    labels = session.run(None, rows)[0]
    wanted = naive_bayes.GaussianNB().fit(X, y).predict(X)
    assert (np.asarray(labels).astype(int) == wanted).all()


def test_logistic_regression_descends_on_encrypted_rows(keys: pathlib.Path, tmp_path: pathlib.Path) -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = X[SOME][:96], np.where(y[:96] == 1, "benign", "malignant")
    told: list[int] = []

    class Bar:
        n = 0
        total = 0

        def __init__(self, *, total: int, unit: str) -> None:
            assert unit == " steps"

        def update(self, more: int) -> None:
            told.append(more)

        def close(self) -> None:
            pass

    model = train.LogisticRegression(epochs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.LimitedWarning)
        simulated = train.LogisticRegression(epochs=2).fit_simulated(X, y)
        model.fit_encrypted(X, y, keys=keys, progress=Bar)
    assert told and model.n_steps_ == 12 and model.coef_.shape == (1, 4)
    unit = X.std().to_numpy()
    assert np.abs((model.coef_ - simulated.coef_) * unit).max() < 10 * model.deviation_ + 0.05
    scaled = (X - X.mean()) / X.std()
    wanted = linear_model.LogisticRegression().fit(scaled, y)
    assert (model.predict(X) == wanted.predict(scaled)).mean() > 0.9
    assert abs(model.accuracy_ - (model.predict(X) == y).mean()) < 0.03
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)
    # Its file compiles, for rows that nobody sees.
    compiled = cipherfn.compile(model.to_onnx(), X.astype(np.float32), name="tumour")
    assert (compiled.predict(X.astype(np.float32), "clear") == model.predict(X)).mean() > 0.98


def publish(dev: Dev, folder: pathlib.Path, name: str, X: pd.DataFrame, epochs: int) -> dict[str, tuple[float, float]]:
    """Publishes a program, and gives its ranges."""
    bounds = {column: (round(float(values.mean() - 3 * values.std()), 3), round(float(values.mean() + 3 * values.std()), 3)) for column, values in X.items()}
    columns = "".join(f'[[column]]\nname = "{column}"\nlow = {low}\nhigh = {high}\n' for column, (low, high) in bounds.items())
    head = f'format = 1\nname = "{name}"\nalgorithm = "logistic"\nbatch = 8\nepochs = {epochs}\nrate = 1.0\ndecay = 0.05\npenalty = 0.0\n'
    (folder / "spec.toml").write_text(f'{head}{columns}[target]\nname = "tumour"\nclasses = ["0", "1"]\n')
    program = folder / f"{name}.cfn"
    subprocess.run([dev.command, "compile-training", folder / "spec.toml", "-o", program], check=True, stdout=subprocess.DEVNULL)
    place = ["--name", name, "--dev", dev.folder / "data", "--signing-key", dev.folder / "developer.key"]
    subprocess.run([dev.command, "publish", program, *place], check=True, stdout=subprocess.DEVNULL)
    return bounds


def kept(dev: Dev) -> set[str]:
    """What the service keeps for jobs, but for its indices: keys of its bucket, which stand at the end of each object's file."""
    ends = (path.read_bytes()[-1000:] for path in (dev.folder / "data/cipherfn/objects").iterdir())
    keys = (re.search(rb'\{"key":"([^"]+)"', end) for end in ends)
    names = {key[1].decode() for key in keys if key is not None}
    assert names, "the bucket has objects"
    return {name for name in names if name.startswith(("jobs/", "uploads/", "results/")) and not name.startswith("jobs/index/")}


def test_services_train_by_published_programs(dev: Dev, client: cipherfn.Client, tmp_path: pathlib.Path) -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = X[SOME][:48], y[:48].to_numpy()
    bounds = publish(dev, tmp_path, "tumour", X, epochs=2)
    before = kept(dev)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.LimitedWarning)
        simulated = train.LogisticRegression(epochs=2, batch=8, ranges=bounds).fit_simulated(X, y)
        # Columns go by name, others are left alone, and labels keep their type.
        model = train.LogisticRegression(batch=8).fit_encrypted(client, X.assign(other="x")[["other", *SOME[::-1]]], y, program="tumour")
    assert model.n_steps_ == simulated.n_steps_ == 12 and model.classes_.tolist() == [0, 1]
    assert model.feature_names_in_ == SOME
    unit = X.std().to_numpy()
    assert np.abs((model.coef_ - simulated.coef_) * unit).max() < 10 * model.deviation_ + 0.05
    right = (model.predict(X) == y).mean()
    assert right > 0.8 and abs(model.accuracy_ - right) < 0.05
    assert kept(dev) == before, "the job is deleted once the weights are here"
    for wrong, text in [
        (train.LogisticRegression(rate=2.0), r"rate is 2.0, that of program 'tumour' is 1.0"),
        (train.LogisticRegression(ranges={SOME[0]: (0, 1)}), r"ranges\['mean radius'\] is"),
        (train.LogisticRegression(classes=[0, 1, 2]), "classes is"),
        (train.LinearSVC(), "algorithm is 'svm'(.|\n)*LinearSVC is for"),
    ]:
        with pytest.raises(errors.ArgumentError, match=text):
            wrong.fit_encrypted(client, X, y, program="tumour")
    with pytest.raises(errors.TableError, match="no column 'mean radius'"):
        train.LogisticRegression().fit_encrypted(client, X[SOME[1:]], y, program="tumour")
    with pytest.raises(errors.TrainingError, match="row 1"):
        train.LogisticRegression().fit_encrypted(client, X, np.full(len(X), 7), program="tumour")
    with pytest.raises(errors.CipherfnError, match="nobody"):
        train.LogisticRegression().fit_encrypted(client, X, y, program="nobody")
    for given in [(client, X, y), (X,)]:
        with pytest.raises(errors.ArgumentError, match="program"):
            train.LogisticRegression().fit_encrypted(*given)


def test_an_interrupt_ends_the_training_at_the_service(dev: Dev, client: cipherfn.Client, tmp_path: pathlib.Path) -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = X[SOME][:48], y[:48]
    publish(dev, tmp_path, "long", X, epochs=40)
    before = kept(dev)
    seen: set[str] = set()

    def interrupt() -> None:
        end = time.monotonic() + 120
        while not seen and time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError):
                seen.update(name for name in kept(dev) - before if name.startswith("jobs/"))
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with warnings.catch_warnings(), pytest.raises(KeyboardInterrupt):
        warnings.simplefilter("ignore", errors.LimitedWarning)
        train.LogisticRegression().fit_encrypted(client, X, y, program="long")
    assert seen, "the job was there"
    assert kept(dev) == before


def test_machines_of_three_classes_descend_in_simulation() -> None:
    X, y = load_iris(return_X_y=True)
    model = train.LinearSVC(epochs=8, rate=0.5).fit_simulated(X, y)
    assert model.coef_.shape == (3, 4) and model.classes_.tolist() == [0, 1, 2]
    assert (model.predict(X) == y).mean() > 0.85


def test_trainings_that_cannot_be_are_refused(keys: pathlib.Path, tmp_path: pathlib.Path) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(errors.TrainingError, match="rate"):
        train.LogisticRegression(rate=500.0).fit_simulated(X, y)
    with pytest.raises(errors.ArgumentError, match="one label a row"):
        train.LogisticRegression().fit_encrypted(X, y[:3])
    with pytest.raises(errors.ArgumentError, match="same value"):
        train.LogisticRegression().fit_encrypted(np.zeros((20, 1)), [0, 1] * 10)
    with pytest.raises(errors.TrainingError, match="fit_encrypted"):
        train.LogisticRegression().predict(X)
    spec = train.Statistics("s", rows=3, columns={"a": (0, 1)}, target=("b", (0, 1)))
    key = train.public_key(keys)
    one = spec.contribute({"a": [0.5], "b": [0.1]}, key)
    with pytest.raises(errors.TrainingError, match="once more"):
        spec.aggregate([one, one])
    with pytest.raises(errors.TrainingError, match="room for 3"):
        spec.contribute({"a": [0.5] * 4, "b": [0.1] * 4}, key)
    with pytest.raises(errors.TableError, match="missing"):
        spec.contribute({"a": [0.5, None], "b": [0, 1]}, key)
    with pytest.warns(errors.LimitedWarning, match="1 values of column 'a'"):
        spec.contribute({"a": [0.5, 7.0], "b": [0, 1]}, key)
    train.public_key(tmp_path / "others")
    with pytest.raises(errors.TrainingError, match="keys="):
        train.Ridge().solve(one, keys=tmp_path / "others")
    with pytest.raises(errors.ArgumentError, match="range"):
        train.Statistics("s", rows=3, columns={"a": (0, 1, 2)})
    other = train.Statistics("s", rows=3, columns={"a": (0, 2)}, target=("b", (0, 1)))
    with pytest.raises(errors.TrainingError, match="very same spec"):
        other.aggregate([one])

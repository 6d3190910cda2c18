"""Writes docs/estimators.md: what skl2onnx exports of scikit-learn, and what of it compiles.

    python3 tests/models/estimators.py target/release/cipherfn docs/estimators.md

Every classifier, regressor and outlier detector is trained on a small data set, exported, compiled,
and compared with the library's own predictions (`--expected`). Needs

    pip install numpy==2.4.6 pandas==3.1.1 protobuf==6.33.6 scikit-learn==1.9.1 skl2onnx==1.20.0

(protobuf 7 refuses what skl2onnx 1.20.0 writes for histogram boosting).
"""

import inspect
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import nearest_centroid
import numpy as np
import pandas
import skl2onnx
import sklearn
from skl2onnx import to_onnx
from skl2onnx.common.exceptions import MissingShapeCalculator
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.utils import all_estimators

warnings.filterwarnings("ignore")

OPSET = {"": 17, "ai.onnx.ml": 3}
FOREST = {
    "classifier": RandomForestClassifier(n_estimators=8, max_depth=4, random_state=0),
    "regressor": RandomForestRegressor(n_estimators=8, max_depth=4, random_state=0),
}
LINEAR = {"classifier": LogisticRegression(max_iter=1000), "regressor": Ridge()}
# Small models, and the same ones each time.
SMALLER = {"n_estimators": 10, "max_depth": 4, "max_iter": 200, "random_state": 0}
# Arguments and data (`target`, `features`, `columns`) where the defaults give no model.
OWN = {
    "CCA": {"n_components": 1},
    "PLSCanonical": {"n_components": 1},
    "OrthogonalMatchingPursuitCV": {"max_iter": 3},
    "SelfTrainingClassifier": {"estimator": FOREST["classifier"]},
    "CategoricalNB": {"features": "counts", "min_categories": 9},
    "ClassifierChain": {"target": "labels"},
    "ComplementNB": {"features": "counts"},
    "BernoulliNB": {"features": "counts"},
    "GammaRegressor": {"target": "positive"},
    "GaussianProcessClassifier": {"target": "binary"},
    # Columns of these data have other scales than the default kernel of length 1.
    "GaussianProcessRegressor": {"kernel": 3.0 * RBF([30.0, 1.0, 10.0, 20.0, 60.0, 60.0]) + WhiteKernel(0.3), "normalize_y": True},
    "IsotonicRegression": {"columns": 1},
    "LocalOutlierFactor": {"novelty": True},
    "MultiOutputClassifier": {"target": "labels"},
    "MultiOutputRegressor": {"target": "two"},
    "MultinomialNB": {"features": "counts"},
    "MultiTaskElasticNet": {"target": "two"},
    "MultiTaskElasticNetCV": {"target": "two"},
    "MultiTaskLasso": {"target": "two"},
    "MultiTaskLassoCV": {"target": "two"},
    "OneVsOneClassifier": {"estimator": LINEAR["classifier"]},
    "RegressorChain": {"target": "two"},
    "TunedThresholdClassifierCV": {"target": "binary"},
    "FixedThresholdClassifier": {"target": "binary"},
    "VotingClassifier": {"voting": "soft", "flatten_transform": False},
}


def data(kind, own):
    """Features and target: diabetes for regressors, iris for the others."""
    columns, counts = own.pop("columns", 6), own.pop("features", None)
    shape = own.pop("target", None)
    if kind == "regressor":
        features, target = datasets.load_diabetes(return_X_y=True, scaled=False)
        features, target = features[:, :columns], target / 100
    else:
        features, target = datasets.load_iris(return_X_y=True)
    if counts:
        features = np.floor(features)
    if shape == "two":
        target = np.stack([target, np.sqrt(target)], axis=1)
    elif shape == "labels":
        target = np.stack([target > 0, target > 1], axis=1).astype(int)
    elif shape == "binary":
        target = (target > 1).astype(int)
    return features.astype(np.float32), target


def made(name, estimator, kind):
    """The untrained model, and rows for training and test."""
    own = {key: value for key, value in OWN.get(name, {}).items() if value is not None}
    unwanted = {key for key, value in OWN.get(name, {}).items() if value is None}
    features, target = data(kind, own)
    names = inspect.signature(estimator.__init__).parameters
    arguments = {k: v for k, v in SMALLER.items() if k in names and k not in unwanted}
    base = "regressor" if kind == "regressor" else "classifier"
    for key in ("estimator", "base_estimator"):
        if key in names and names[key].default is inspect.Parameter.empty:
            arguments[key] = FOREST[base]
    if "estimators" in names:
        arguments["estimators"] = [("forest", FOREST[base]), ("linear", LINEAR[base])]
    arguments.update(own)
    return estimator(**arguments), *train_test_split(features, target, random_state=0)[:3]


# Training rows say nothing of these: they lie on a boundary, or are passed through exactly.
HELD_OUT = {"GaussianProcessRegressor", "OneClassSVM"}
# Predictions that their graphs leave out.
LABELS_ALONE = {"NearestCentroid"}


def predictions(model, kind, test):
    """The library's own, as columns that `--expected` reads."""
    found = np.asarray(model.predict(test))
    if kind == "regressor":
        found = found.reshape(len(test), -1)
        return pandas.DataFrame(found, columns=[f"y{i}" for i in range(found.shape[1])])
    if found.ndim == 2:
        return pandas.DataFrame(found, columns=[f"label{i}" for i in range(found.shape[1])])
    table = pandas.DataFrame({"label": found})
    has_numbers = hasattr(model, "predict_proba") and type(model).__name__ not in LABELS_ALONE
    if kind == "classifier" and has_numbers:
        for place, name in enumerate(model.classes_):
            table[f"p_{name}"] = model.predict_proba(test)[:, place]
    return table


def rounded_down(model):
    """Histogram boosting with 32-bit split points: on 32-bit rows nothing changes, and the export, which
    takes the nearest 32-bit numbers, loses nothing."""
    for tree in (tree for stage in getattr(model, "_predictors", []) for tree in stage):
        splits = tree.nodes["num_threshold"]
        nearest = splits.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(nearest > splits, below, nearest)
    return model


def exported(model, kind, train):
    model = rounded_down(model)
    if kind == "classifier":
        try:
            options = {id(model): {"zipmap": False}}
            return to_onnx(model, train[:1], options=options, target_opset=OPSET)
        except NameError:  # it has no such option
            pass
    return to_onnx(model, train[:1], target_opset=OPSET)


def short(text):
    """One line without what is supported instead, and without what would end a cell of a table."""
    text = text.split("; supported:")[0]
    return " ".join(text.split()).replace("|", "\\|")[:120]


def tried(binary, name, estimator, kind):
    """Whether it compiles, and how or why not; `None` where skl2onnx knows no such estimator."""
    model, train, test, target = made(name, estimator, kind)
    try:
        if kind == "outlier detector":
            model.fit(train)
        else:
            model.fit(train, target)
        graph = exported(model, kind, train)
    except MissingShapeCalculator:
        return None
    except Exception as error:  # what library or exporter say is the reason
        return "not exported", short(f"{type(error).__name__}: {error}")
    columns = [f"f{place}" for place in range(train.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "model.onnx").write_bytes(graph.SerializeToString())
        calibration = test if name in HELD_OUT else train
        pandas.DataFrame(calibration, columns=columns).to_csv(folder / "train.csv", index=False)
        pandas.DataFrame(test, columns=columns).to_csv(folder / "rows.csv", index=False)
        predictions(model, kind, test).to_csv(folder / "expected.csv", index=False)
        command = [binary, "compile", "model.onnx", "--calibration", "train.csv", "-o", "m.cfn"]
        command += ["--expected", "expected.csv", "--rows", "rows.csv"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if run.returncode == 0:
        family = re.search(r"\((.*?), (classification|regression)\)", run.stdout).group(1)
        return "yes", family
    lines = [line for line in run.stderr.strip().splitlines() if not line.startswith("help:")]
    text = lines[0].removeprefix("error: model.onnx: ")
    return "no", short(text if "rows differ" not in text else f"{text} {lines[-1]}")


def kinds():
    """Name, class and kind of every estimator that predicts."""
    of = {}
    for kind in ("classifier", "regressor"):
        of.update({name: (found, kind) for name, found in all_estimators(type_filter=kind)})
    for name, found in all_estimators():
        if hasattr(found, "fit_predict") and hasattr(found, "decision_function"):
            of.setdefault(name, (found, "outlier detector"))
    of.pop("Pipeline", None)
    of["LocalOutlierFactor"] = (dict(all_estimators())["LocalOutlierFactor"], "outlier detector")
    return sorted((name, found, kind) for name, (found, kind) in of.items())


def main():
    binary, page = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    rows, unknown = [], []
    nearest_centroid.register()
    for name, estimator, kind in kinds():
        try:
            result = tried(binary, name, estimator, kind)
        except Exception as error:  # the estimator takes other data than ours
            result = "not tried", short(f"{type(error).__name__}: {error}")
        if result is None:
            unknown.append(f"`{name}`")
        else:
            rows.append(f"| `{name}` | {kind} | {result[0]} | {result[1]} |")
        print(name, result, flush=True)
    yes = sum(" | yes | " in row for row in rows)
    page.write_text(
        "# Estimators of scikit-learn\n"
        "Made by `tests/models/estimators.py` with "
        f"scikit-learn {sklearn.__version__} and skl2onnx {skl2onnx.__version__}: every classifier, "
        "regressor and outlier detector is trained, exported and compiled; those that compile give "
        "the library's own predictions on rows that were held back (`--expected`). "
        f"{yes} of {len(rows)} compile. `NearestCentroid` is exported by `tests/models/nearest_centroid.py`, "
        "the others by skl2onnx itself. `OneClassSVM` and `GaussianProcessRegressor` are calibrated on rows that "
        "were held back (their training rows lie where they say nothing), the others on their training rows. "
        "`MLPClassifier` and `MLPRegressor` are trained with one hidden "
        "layer, the default; with several they compile as layers of functions ([networks.md](networks.md)).\n\n"
        "| estimator | kind | compiles | as, or why not |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nskl2onnx has no converter for "
        + ", ".join(unknown)
        + ".\n"
    )


if __name__ == "__main__":
    main()

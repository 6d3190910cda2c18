"""Models of every kind, held to their own predictions."""

import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import cipherfn
from cipherfn import errors

CANCER = load_breast_cancer()
X = CANCER.data.astype(np.float32)
Y = CANCER.target


def orders(rows: int = 500) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({
        "amount": rng.lognormal(4, 1, rows).round(2),
        "hour": rng.integers(0, 24, rows),
        "country": rng.choice(["de", "fr", "it", "us"], rows),
    })
    fraud = ((data.amount > 90) & (data.country != "de") | (data.hour < 3)).astype(int).to_numpy()
    data.loc[rng.random(rows) < 0.1, "amount"] = np.nan
    return data, fraud


def categories(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(country=data.country.astype("category"))


def xgboost_model() -> tuple[object, pd.DataFrame]:
    import xgboost

    data, fraud = orders()
    data = categories(data)
    return xgboost.XGBClassifier(n_estimators=10, max_depth=3, enable_categorical=True).fit(data, fraud), data


def xgboost_pipeline() -> tuple[object, pd.DataFrame]:
    import xgboost
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    data, fraud = orders()
    data = data.astype({"amount": np.float32, "hour": np.float32})
    columns = ColumnTransformer([
        ("numbers", SimpleImputer(strategy="median"), ["amount", "hour"]),
        ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["country"]),
    ], sparse_threshold=0)
    return make_pipeline(columns, xgboost.XGBClassifier(n_estimators=10, max_depth=3)).fit(data, fraud), data


def lightgbm_model() -> tuple[object, np.ndarray]:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=10, num_leaves=7, verbose=-1).fit(X, np.where(Y == 1, "benign", "malignant")), X


def catboost_model() -> tuple[object, pd.DataFrame]:
    import catboost

    data, fraud = orders()
    model = catboost.CatBoostClassifier(
        iterations=10, depth=3, one_hot_max_size=255, verbose=False, allow_writing_files=False, random_seed=0, cat_features=["country"]
    )
    return model.fit(data, np.where(fraud == 1, "yes", "no")), data


def missing_model() -> tuple[object, np.ndarray]:
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.05, np.nan, X)
    return HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=8, random_state=0).fit(gaps, Y), gaps


CLASSIFIERS = {
    "logistic": lambda: (make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y), X),
    "truth values": lambda: (LogisticRegression(max_iter=5000).fit(X[:, :4], Y == 1), X[:, :4]),
    "missing values": missing_model,
    "xgboost": xgboost_model,
    "xgboost in a pipeline": xgboost_pipeline,
    "lightgbm": lightgbm_model,
    "catboost": catboost_model,
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_predict_as_the_library_does(kind: str) -> None:
    own, rows = CLASSIFIERS[kind]()
    model = cipherfn.compile(own, rows)
    assert model.report["expected_rows"] == len(rows)
    some = rows[:40]
    wanted = np.asarray(own.predict(some)).ravel()
    for execute in ("clear", "simulate"):
        found = model.predict(some, execute)
        assert found.dtype.kind == wanted.dtype.kind or kind == "catboost"
        assert (found == wanted).mean() >= 0.97
        error = np.abs(model.predict_proba(some, execute) - own.predict_proba(some))
        assert error.max() < 0.02
    few = rows[:3]
    clear, encrypted = model.predict_proba(few, "clear"), model.predict_proba(few)
    assert 0 < np.abs(clear - encrypted).max() < 0.02 or (clear == encrypted).all()


REGRESSORS = {"ridge": Ridge(), "forest": RandomForestRegressor(n_estimators=5, max_depth=4, random_state=0)}


@pytest.mark.parametrize("kind", REGRESSORS)
def test_regressors_predict_as_the_library_does(kind: str) -> None:
    rows, target = load_diabetes(return_X_y=True, scaled=False)
    own = REGRESSORS[kind].fit(rows.astype(np.float32), target)
    model = cipherfn.compile(own, rows.astype(np.float32), target)
    step = max(model.report["precision"]["scores"])
    for execute, some in (("clear", rows), ("simulate", rows), ("encrypted", rows[:3])):
        assert np.abs(model.predict(some, execute) - own.predict(some.astype(np.float32))).max() <= 2 * step


def test_decision_functions_are_the_models_own_or_there_are_none() -> None:
    own = LinearSVC().fit(StandardScaler().fit_transform(X), Y)
    rows = StandardScaler().fit_transform(X).astype(np.float32)
    found = cipherfn.compile(own, rows).decision_function(rows, "clear")
    assert found.shape == (len(rows),)
    assert np.abs(found - own.decision_function(rows)).max() < 0.1
    tree = xgboost_model()
    with pytest.raises(errors.CipherfnError, match="predict_proba"):
        cipherfn.compile(*tree).decision_function(tree[1])


def test_an_export_that_is_another_model_is_refused() -> None:
    class Another(LogisticRegression):
        """Predicts otherwise than its exported coefficients say."""

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.asarray(super().predict_proba(X))[:, ::-1]

    own = Another(max_iter=5000).fit(X[:, :4], Y)
    own.__class__.__name__ = "LogisticRegression"
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier

    update_registered_converter(
        Another, "AnotherLogistic", calculate_linear_classifier_output_shapes, convert_sklearn_linear_classifier,
        options={"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "raw_scores": [True, False], "nocl": [True, False]},
    )
    with pytest.raises(errors.WrongExportError, match="rows differ"):
        cipherfn.compile(own, X[:, :4])


def test_errors_say_what_to_do() -> None:
    fitted = LogisticRegression(max_iter=5000).fit(X[:, :4], Y)
    for broken, rows, words in [
        (LogisticRegression(), X, r"model\.fit"),
        (object(), X, "scikit-learn"),
        (fitted, X[:0, :4], "no rows"),
        (fitted, X[0, :4], "reshape"),
        ("no-such-file.onnx", X, "cannot read"),
    ]:
        with pytest.raises(errors.CipherfnError, match=words):
            cipherfn.compile(broken, rows)
    for options, words in [
        ({"features": "fine"}, "grid:BITS"),
        ({"precision": 99.0}, "1 to 40 bits"),
        ({"fit": "everything"}, "fit="),
        ({"decimals": "all"}, "auto"),
    ]:
        with pytest.raises(errors.CipherfnError, match=words):
            cipherfn.compile(fitted, X[:, :4], **options)
    with pytest.raises(errors.ArgumentError, match="simulate"):
        cipherfn.compile(fitted, X[:, :4]).predict(X[:, :4], "fast")


def test_onnx_and_native_files_are_compared_with_their_own_library(tmp_path: pathlib.Path) -> None:
    from conftest import ROOT

    folder = ROOT / "tests/libraries/dt_bc"
    rows = pd.read_csv(folder / "train.csv").drop(columns="target")
    model = cipherfn.compile(folder / "model.onnx", rows)
    assert model.report["expected_rows"] == len(rows)
    own, rows = xgboost_model()
    own.save_model(tmp_path / "model.json")
    model = cipherfn.compile(tmp_path / "model.json", rows)
    assert model.report["expected_rows"] == len(rows)
    assert (model.predict(rows[:30], "clear").astype(int) == own.predict(rows[:30])).all()


def test_models_are_saved_and_loaded(model: cipherfn.Model, frame: pd.DataFrame, tmp_path: pathlib.Path) -> None:
    model.save(tmp_path / "late.cfn")
    loaded = cipherfn.load(tmp_path / "late.cfn")
    assert loaded.predict(frame[:20], "clear").tolist() == model.predict(frame[:20], "clear").tolist()
    assert "<svg" in loaded.report.html
    assert loaded.report["model"]["name"] == "late" and "late" in str(loaded.report)
    assert list(tmp_path.iterdir()) == [tmp_path / "late.cfn"]
    with pytest.raises(errors.CipherfnError):
        (tmp_path / "broken.cfn").write_bytes(b"no bundle")
        cipherfn.load(tmp_path / "broken.cfn")


def test_importing_imports_nothing_else() -> None:
    code = "import sys, cipherfn; print(sorted({'numpy', 'pandas', 'sklearn', 'asyncio', 'boto3'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_rows_that_no_row_is_like_have_a_remark() -> None:
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(2)
    opening = rng.uniform(20, 80, 800)
    prices = np.stack([opening, opening * (1 + rng.uniform(-0.02, 0.02, 800))], axis=1).astype(np.float32)
    network = MLPClassifier((20,), alpha=0.01, max_iter=4000, random_state=0).fit(prices, prices[:, 1] > prices[:, 0])
    days = pd.DataFrame(prices[:400], columns=["open", "close"])
    model = cipherfn.compile(network, days)
    two_days = pd.DataFrame({"open": [60, 30], "close": [30, 60]}, dtype=np.float32)
    with pytest.warns(errors.LimitedWarning, match='"(open|close)" and "(open|close)" do not relate'):
        found = model.predict_frame(two_days, "clear")
    assert found["remark"].notna().all()
    plain = cipherfn.compile(network, days, relations=False)
    assert "remark" not in plain.predict_frame(two_days, "clear")

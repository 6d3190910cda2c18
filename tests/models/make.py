"""Makes the small ONNX models of this folder, with rows and ONNX Runtime's answers.

    python -m venv venv && venv/bin/pip install onnx onnxruntime skl2onnx onnxmltools scikit-learn xgboost lightgbm catboost
    venv/bin/python tests/models/make.py [NAME ...]

Each folder gets `model.onnx`, `train.csv` (calibration rows) and `test.csv`, whose columns are the entries of the graph's inputs in order,
and `expected.csv`: all entries of all outputs in order, as ONNX Runtime computes them row by row.
"""

import csv
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (
    calibration,
    compose,
    cross_decomposition,
    datasets,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    impute,
    linear_model,
    multiclass,
    neighbors,
    pipeline,
    preprocessing,
    random_projection,
    svm,
    tree,
)

import nearest_centroid as converter

warnings.filterwarnings("ignore")
onnxruntime.set_default_logger_severity(4)
HERE = pathlib.Path(__file__).parent
OPSET = {"": 17, "ai.onnx.ml": 3}
MAKERS = {}


def model(maker):
    MAKERS[maker.__name__] = maker
    return maker


# ---------------------------------------------------------------------------------------------------------------------- data


def split(data, rows=40, tests=20):
    """Float rows and targets, shuffled: (train, target, test)."""
    order = np.random.default_rng(7).permutation(len(data.data))
    x, y = data.data[order].astype(np.float32), data.target[order]
    return x[:-tests], y[:-tests], x[-tests:], x[:rows]


def iris():
    return split(datasets.load_iris())


def wine():
    return split(datasets.load_wine())


def diabetes():
    return split(datasets.load_diabetes())


def breast():
    """Six features of the breast-cancer data."""
    data = datasets.load_breast_cancer()
    data.data = data.data[:, [0, 1, 7, 20, 22, 27]]
    return split(data)


def plain_integers():
    """The exporter of histogram gradient boosting passes NumPy integers and bools, which newer `onnx` refuses."""
    make_attribute = helper.make_attribute

    def tolerant(key, value, *more, **others):
        plain = [int(x) if isinstance(x, (bool, np.bool, np.integer)) else x for x in value] if isinstance(value, list) else value
        return make_attribute(key, plain, *more, **others)

    helper.make_attribute = tolerant


def holes(x, share=0.15, seed=3):
    """The rows with some entries missing."""
    x = x.copy()
    x[np.random.default_rng(seed).random(x.shape) < share] = np.nan
    return x


def write(name, onnx_model, feeds_train, feeds_test):
    """Feeds are lists of arrays [rows, width], one a graph input."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    content = onnx_model if isinstance(onnx_model, bytes) else onnx_model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    header = []
    for info, feed in zip(inputs, feeds_test, strict=True):
        header += [info.name] if feed.shape[1] == 1 else [f"{info.name}_{k}" for k in range(feed.shape[1])]
    for file, feeds in (("train.csv", feeds_train), ("test.csv", feeds_test)):
        with open(folder / file, "w", newline="") as out:
            rows = csv.writer(out, lineterminator="\n")
            rows.writerow(header)
            for row in range(len(feeds[0])):
                rows.writerow([cell(x) for feed in feeds for x in feed[row]])
    with open(folder / "expected.csv", "w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        for row in range(len(feeds_test[0])):
            answers = session.run(None, {i.name: shaped(i, f[row : row + 1]) for i, f in zip(inputs, feeds_test, strict=True)})
            cells = [cell(x) for answer in answers for x in flat(answer)]
            if row == 0:
                rows.writerow([f"o{k}_{j}" for k, answer in enumerate(answers) for j, _ in enumerate(flat(answer))])
            rows.writerow(cells)


def shaped(info, feed):
    return feed.reshape(-1) if len(info.shape) == 1 else feed


def flat(answer):
    if isinstance(answer, list):  # ZipMap: a list of maps
        return list(answer[0].values())
    return np.asarray(answer).reshape(-1).tolist() if answer.dtype == object else np.asarray(answer).reshape(-1)


def cell(x):
    if isinstance(x, (float, np.floating)) and np.isnan(x):
        return ""
    return np.format_float_positional(x, unique=True, trim="-") if isinstance(x, np.floating) else str(x)


def sklearn(name, estimator, data, options=None, opset=OPSET, kind=FloatTensorType, dtype=np.float32, fit=None, **more):
    x, y, test, train = data
    (fit or estimator.fit)(x, y)
    types = [("X", kind([None, x.shape[1]]))]
    converted = to_onnx(estimator, initial_types=types, options=options, target_opset=opset, **more)
    write(name, converted, [train.astype(dtype)], [test.astype(dtype)])


def named(y, names):
    return np.array(names)[y]


def without_zipmap(estimator):
    return {id(estimator): {"zipmap": False}}


# ---------------------------------------------------------------------------------------------------------- scikit-learn, trees


@model
def dt_iris(name):
    sklearn(name, tree.DecisionTreeClassifier(max_depth=4, random_state=0), iris())


@model
def dt_iris_names(name):
    x, y, test, train = iris()
    sklearn(name, tree.DecisionTreeClassifier(max_depth=3, random_state=0), (x, named(y, ["setosa", "versicolor", "virginica"]), test, train))


@model
def rf_breast_names(name):
    x, y, test, train = breast()
    forest = ensemble.RandomForestClassifier(6, max_depth=3, random_state=0)
    sklearn(name, forest, (x, named(y, ["malignant", "benign"]), test, train), without_zipmap(forest))


@model
def rf_iris(name):
    forest = ensemble.RandomForestClassifier(6, max_depth=3, random_state=0)
    sklearn(name, forest, iris(), without_zipmap(forest))


@model
def et_wine(name):
    sklearn(name, ensemble.ExtraTreesClassifier(5, max_depth=3, random_state=0), wine())


@model
def et_regressor(name):
    sklearn(name, ensemble.ExtraTreesRegressor(5, max_depth=3, random_state=0), diabetes())


@model
def rf_classifier_double(name):
    forest = ensemble.RandomForestClassifier(4, max_depth=3, random_state=0)
    sklearn(name, forest, iris(), without_zipmap(forest), kind=DoubleTensorType, dtype=np.float64)


@model
def rf_integers(name):
    x, y, test, train = iris()
    data = (np.round(x * 10), y, np.round(test * 10), np.round(train * 10))
    sklearn(name, ensemble.RandomForestRegressor(3, max_depth=3, random_state=0), data, kind=Int64TensorType, dtype=np.int64)


@model
def rf_missing(name):
    """Splits by whether a value is missing have infinite thresholds."""
    x, y, test, train = breast()
    forest = ensemble.RandomForestClassifier(6, max_depth=4, random_state=0)
    sklearn(name, forest, (holes(x, 0.3), y, holes(test, 0.3), holes(train, 0.3)), without_zipmap(forest))


@model
def rf_columns(name):
    """One output a class."""
    forest = ensemble.RandomForestClassifier(4, max_depth=3, random_state=0)
    x, y, test, train = wine()
    sklearn(name, forest, (x, named(y, ["barolo", "grignolino", "barbera"]), test, train), {id(forest): {"zipmap": "columns"}})


@model
def dt_multi_output(name):
    x, y, test, train = diabetes()
    sklearn(name, tree.DecisionTreeRegressor(max_depth=4, random_state=0), (x, np.stack([y, x[:, 2] * 100, -y], axis=1), test, train))


@model
def rf_multi_output(name):
    x, y, test, train = diabetes()
    sklearn(name, ensemble.RandomForestRegressor(3, max_depth=3, random_state=0), (x, np.stack([y, x[:, 2] * 100], axis=1), test, train))


@model
def gbc_iris(name):
    sklearn(name, ensemble.GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=0), iris())


@model
def gbc_breast_decision(name):
    booster = ensemble.GradientBoostingClassifier(n_estimators=5, max_depth=2, random_state=0)
    sklearn(name, booster, breast(), {id(booster): {"raw_scores": True, "zipmap": False}})


@model
def gbr_diabetes(name):
    sklearn(name, ensemble.GradientBoostingRegressor(n_estimators=6, max_depth=2, random_state=0), diabetes())


@model
def hgb_breast_missing(name):
    x, y, test, train = breast()
    booster = ensemble.HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=6, random_state=0)
    sklearn(name, booster, (holes(x), y, holes(test), holes(train)), without_zipmap(booster))


@model
def hgb_iris(name):
    sklearn(name, ensemble.HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=5, random_state=0), iris())


@model
def hgb_poisson(name):
    x, y, test, train = diabetes()
    sklearn(name, ensemble.HistGradientBoostingRegressor(loss="squared_error", max_iter=4, max_leaf_nodes=5, random_state=0), (x, y, test, train))


@model
def adaboost_iris(name):
    sklearn(name, ensemble.AdaBoostClassifier(tree.DecisionTreeClassifier(max_depth=2), n_estimators=3, random_state=0), iris())


@model
def adaboost_regressor(name):
    """The weighted median of its trees."""
    sklearn(name, ensemble.AdaBoostRegressor(tree.DecisionTreeRegressor(max_depth=2), n_estimators=5, random_state=0), diabetes())


@model
def nearest_centroid(name):
    """By the converter beside this file."""
    converter.register()
    sklearn(name, neighbors.NearestCentroid(), iris())


@model
def bagging_iris(name):
    sklearn(name, ensemble.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=3), n_estimators=3, random_state=0), iris())


@model
def bagging_regressor(name):
    sklearn(name, ensemble.BaggingRegressor(tree.DecisionTreeRegressor(max_depth=3), n_estimators=3, random_state=0), diabetes())


@model
def voting_trees(name):
    members = [
        ("rf", ensemble.RandomForestClassifier(3, max_depth=3, random_state=0)),
        ("et", ensemble.ExtraTreesClassifier(3, max_depth=3, random_state=1)),
    ]
    sklearn(name, ensemble.VotingClassifier(members, voting="soft", weights=np.array([2, 1]), flatten_transform=False), iris())


@model
def voting_regressor(name):
    members = [
        ("rf", ensemble.RandomForestRegressor(3, max_depth=3, random_state=0)),
        ("gb", ensemble.GradientBoostingRegressor(n_estimators=3, max_depth=2, random_state=1)),
    ]
    sklearn(name, ensemble.VotingRegressor(members), diabetes())


@model
def voting_linear(name):
    members = [("ridge", linear_model.Ridge()), ("lasso", linear_model.Lasso(0.01))]
    sklearn(name, ensemble.VotingRegressor(members), diabetes())


@model
def ovr_trees(name):
    sklearn(name, multiclass.OneVsRestClassifier(tree.DecisionTreeClassifier(max_depth=3, random_state=0)), iris())


@model
def tree_version_5(name):
    forest = ensemble.RandomForestRegressor(4, max_depth=3, random_state=0)
    sklearn(name, forest, diabetes(), opset={"": 21, "ai.onnx.ml": 5})


# --------------------------------------------------------------------------------------------------------- scikit-learn, linear


@model
def logreg_iris(name):
    sklearn(name, linear_model.LogisticRegression(max_iter=500), iris())


@model
def logreg_cancelling(name):
    """Nearly parallel features whose contributions cancel: scores stay in a small part of their range."""
    machine = pipeline.make_pipeline(random_projection.GaussianRandomProjection(5, random_state=0), linear_model.LogisticRegression(max_iter=1000))
    sklearn(name, machine, wine())


@model
def logreg_ovr(name):
    sklearn(name, multiclass.OneVsRestClassifier(linear_model.LogisticRegression(max_iter=500)), iris())


@model
def logreg_raw(name):
    regression = linear_model.LogisticRegression(max_iter=500)
    sklearn(name, regression, iris(), {id(regression): {"raw_scores": True, "zipmap": False}})


@model
def sgd_log(name):
    x, y, test, train = iris()
    sklearn(name, linear_model.SGDClassifier(loss="log_loss", random_state=0), (x, y, test, train))


@model
def sgd_hinge(name):
    machine = linear_model.SGDClassifier(loss="hinge", random_state=0)
    sklearn(name, machine, breast(), without_zipmap(machine))


@model
def perceptron_iris(name):
    machine = linear_model.Perceptron(random_state=0)
    sklearn(name, machine, iris(), without_zipmap(machine))


@model
def ridge_classifier(name):
    machine = linear_model.RidgeClassifier()
    sklearn(name, machine, iris(), without_zipmap(machine))


@model
def linear_svc_iris(name):
    machine = svm.LinearSVC(random_state=0, max_iter=5000)
    sklearn(name, machine, iris())


@model
def svc_linear_breast(name):
    machine = pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC(kernel="linear"))
    sklearn(name, machine, breast(), {id(machine): {"zipmap": False}})


@model
def svc_linear_iris(name):
    machine = svm.SVC(kernel="linear", decision_function_shape="ovo")
    sklearn(name, machine, iris(), without_zipmap(machine))


@model
def svr_linear(name):
    x, y, test, train = diabetes()
    sklearn(name, svm.SVR(kernel="linear", C=10), (x[:60], y[:60], test, train))


@model
def lda_iris(name):
    sklearn(name, discriminant_analysis.LinearDiscriminantAnalysis(), iris())


@model
def calibrated_svc(name):
    machine = calibration.CalibratedClassifierCV(svm.LinearSVC(random_state=0, max_iter=5000), cv=2)
    sklearn(name, machine, iris())


@model
def poisson_regressor(name):
    x, y, test, train = diabetes()
    sklearn(name, linear_model.PoissonRegressor(alpha=1e-3), (x, y / 100, test, train))


@model
def tweedie_regressor(name):
    x, y, test, train = diabetes()
    sklearn(name, linear_model.TweedieRegressor(power=1.5, alpha=1e-3, link="log"), (x, y / 100, test, train))


@model
def multi_task_lasso(name):
    x, y, test, train = diabetes()
    sklearn(name, linear_model.MultiTaskLasso(0.01), (x, np.stack([y, -y / 3], axis=1), test, train))


@model
def pls_regression(name):
    x, y, test, train = diabetes()
    sklearn(name, cross_decomposition.PLSRegression(2), (x, y.reshape(-1, 1), test, train))


@model
def linear_double(name):
    sklearn(name, linear_model.LinearRegression(), diabetes(), kind=DoubleTensorType, dtype=np.float64)


# --------------------------------------------------------------------------------------------------- scikit-learn, preparation


def prepared(name, step, data=None, final=None, **more):
    final = final or ensemble.RandomForestRegressor(3, max_depth=3, random_state=0)
    sklearn(name, pipeline.make_pipeline(step, final), data or diabetes(), **more)


@model
def min_max_forest(name):
    prepared(name, preprocessing.MinMaxScaler(clip=True))


@model
def robust_linear(name):
    prepared(name, preprocessing.RobustScaler(), final=linear_model.Ridge())


@model
def max_abs_linear(name):
    prepared(name, preprocessing.MaxAbsScaler(), final=linear_model.Ridge())


@model
def normalizer_forest(name):
    prepared(name, preprocessing.Normalizer("l2"))


@model
def pca_forest(name):
    prepared(name, decomposition.PCA(4, random_state=0))


@model
def pca_logreg(name):
    machine = pipeline.make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(3, random_state=0), linear_model.LogisticRegression())
    sklearn(name, machine, iris())


@model
def polynomial_ridge(name):
    prepared(name, preprocessing.PolynomialFeatures(2), data=iris(), final=linear_model.Ridge())


@model
def bins_forest(name):
    prepared(name, preprocessing.KBinsDiscretizer(4, encode="ordinal", strategy="quantile"), data=iris())


@model
def bins_one_hot(name):
    prepared(name, preprocessing.KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"), data=iris(), final=linear_model.Ridge())


@model
def imputer_forest(name):
    x, y, test, train = diabetes()
    prepared(name, impute.SimpleImputer(), data=(holes(x), y, holes(test), holes(train)))


@model
def power_ridge(name):
    prepared(name, preprocessing.PowerTransformer(), data=iris(), final=linear_model.Ridge())


@model
def binarizer_forest(name):
    prepared(name, preprocessing.Binarizer(threshold=2.5), data=iris())


@model
def select_forest(name):
    prepared(name, feature_selection.SelectKBest(k=3))


def mixed(kind):
    """Numbers, texts and integers in separate columns."""
    rng = np.random.default_rng(5)
    rows = 120
    age = rng.normal(40, 12, rows).astype(np.float32).round(1).reshape(-1, 1)
    income = rng.lognormal(10, 0.6, rows).astype(np.float32).round(0).reshape(-1, 1)
    colour = rng.choice(["red", "green", "blue"], rows).reshape(-1, 1)
    size = rng.choice(["small", "medium", "large"], rows).reshape(-1, 1)
    count = rng.integers(0, 5, rows).reshape(-1, 1)
    y = (age[:, 0] + 8 * (colour[:, 0] == "red") + 3 * count[:, 0] + income[:, 0] / 5e3 > 52).astype(int)
    import pandas

    frame = pandas.DataFrame({"age": age[:, 0], "income": income[:, 0], "colour": colour[:, 0], "size": size[:, 0], "count": count[:, 0]})
    numbers = pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler())
    columns = compose.ColumnTransformer(
        [
            ("numbers", numbers, ["age", "income"]),
            ("colours", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["colour"]),
            ("sizes", preprocessing.OrdinalEncoder(categories=[["small", "medium", "large"]]), ["size"]),
            ("counts", preprocessing.OneHotEncoder(), ["count"]),
        ]
    )
    machine = pipeline.make_pipeline(columns, kind)
    machine.fit(frame, y)
    types = [
        ("age", FloatTensorType([None, 1])),
        ("income", FloatTensorType([None, 1])),
        ("colour", StringTensorType([None, 1])),
        ("size", StringTensorType([None, 1])),
        ("count", Int64TensorType([None, 1])),
    ]
    converted = to_onnx(machine, initial_types=types, options={id(machine): {"zipmap": False}}, target_opset=OPSET)
    return converted, [age, income, colour.astype(object), size.astype(object), count]


@model
def mixed_columns_forest(name):
    converted, feeds = mixed(ensemble.RandomForestClassifier(4, max_depth=4, random_state=0))
    write(name, converted, [feed[:40] for feed in feeds], [feed[-20:] for feed in feeds])


@model
def mixed_columns_logreg(name):
    converted, feeds = mixed(linear_model.LogisticRegression())
    write(name, converted, [feed[:40] for feed in feeds], [feed[-20:] for feed in feeds])


@model
def empty_text_forest(name):
    """The empty text is a category like any other."""
    rng = np.random.default_rng(8)
    port = rng.choice(["S", "C", ""], 120).reshape(-1, 1).astype(object)
    fare = rng.lognormal(3, 1, 120).astype(np.float32).round(2).reshape(-1, 1)
    y = ((port[:, 0] == "") * 20 + fare[:, 0] > 30).astype(int)
    import pandas

    columns = compose.ColumnTransformer([("port", preprocessing.OneHotEncoder(), ["port"]), ("fare", "passthrough", ["fare"])])
    machine = pipeline.make_pipeline(columns, ensemble.RandomForestClassifier(3, max_depth=3, random_state=0))
    machine.fit(pandas.DataFrame({"port": port[:, 0], "fare": fare[:, 0]}), y)
    types = [("port", StringTensorType([None, 1])), ("fare", FloatTensorType([None, 1]))]
    converted = to_onnx(machine, initial_types=types, options={id(machine): {"zipmap": False}}, target_opset=OPSET)
    write(name, converted, [port[:40], fare[:40]], [port[-20:], fare[-20:]])


# ------------------------------------------------------------------------------------------------------------ boosting libraries


def xgb(name, estimator, data):
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as Floats

    x, y, test, train = data
    estimator.fit(x, y)
    write(name, convert_xgboost(estimator, initial_types=[("X", Floats([None, x.shape[1]]))], target_opset=15), [train], [test])


@model
def xgb_binary_missing(name):
    import xgboost

    x, y, test, train = breast()
    xgb(name, xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1), (holes(x), y, holes(test), holes(train)))


@model
def xgb_iris(name):
    import xgboost

    xgb(name, xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1), iris())


@model
def xgb_regressor(name):
    import xgboost

    xgb(name, xgboost.XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1), diabetes())


@model
def xgb_poisson(name):
    import xgboost

    x, y, test, train = diabetes()
    xgb(name, xgboost.XGBRegressor(n_estimators=4, max_depth=2, objective="count:poisson", n_jobs=1), (x, y / 100, test, train))


@model
def xgb_logistic_regressor(name):
    import xgboost

    x, y, test, train = diabetes()
    xgb(name, xgboost.XGBRegressor(n_estimators=4, max_depth=2, objective="reg:logistic", n_jobs=1), (x, y / 400, test, train))


@model
def xgb_forest(name):
    import xgboost

    xgb(name, xgboost.XGBRFClassifier(n_estimators=4, max_depth=3, n_jobs=1), breast())


def lgbm(name, estimator, data, zipmap=True, **fit):
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType as Floats

    x, y, test, train = data
    estimator.fit(x, y, **fit)
    types = [("X", Floats([None, x.shape[1]]))]
    write(name, convert_lightgbm(estimator, initial_types=types, target_opset=15, zipmap=zipmap), [train], [test])


@model
def lgbm_binary(name):
    import lightgbm

    lgbm(name, lightgbm.LGBMClassifier(n_estimators=4, num_leaves=5, min_child_samples=5, verbose=-1, n_jobs=1), breast())


@model
def lgbm_binary_missing(name):
    import lightgbm

    x, y, test, train = breast()
    booster = lightgbm.LGBMClassifier(n_estimators=4, num_leaves=5, min_child_samples=5, verbose=-1, n_jobs=1)
    lgbm(name, booster, (holes(x), y, holes(test), holes(train)), zipmap=False)


@model
def lgbm_iris(name):
    import lightgbm

    lgbm(name, lightgbm.LGBMClassifier(n_estimators=3, num_leaves=4, min_child_samples=5, verbose=-1, n_jobs=1), iris())


@model
def lgbm_regressor(name):
    import lightgbm

    lgbm(name, lightgbm.LGBMRegressor(n_estimators=5, num_leaves=5, min_child_samples=5, verbose=-1, n_jobs=1), diabetes())


@model
def lgbm_poisson(name):
    import lightgbm

    booster = lightgbm.LGBMRegressor(objective="poisson", n_estimators=4, num_leaves=4, min_child_samples=5, verbose=-1, n_jobs=1)
    lgbm(name, booster, diabetes())


@model
def lgbm_categorical(name):
    import lightgbm

    x, y, test, train = iris()
    bin_sizes = np.array([1.0, 0.5, 1.0, 1.0], dtype=np.float32)
    coarse = [np.floor(part / bin_sizes) for part in (x, test, train)]
    booster = lightgbm.LGBMClassifier(
        n_estimators=3, num_leaves=4, min_child_samples=5, min_data_per_group=2, cat_smooth=1, max_cat_to_onehot=2, verbose=-1, n_jobs=1
    )
    lgbm(name, booster, (coarse[0], (y > 0).astype(int), coarse[1], coarse[2]), categorical_feature=[0, 1])


def catboost_model(name, estimator, data):
    x, y, test, train = data
    estimator.fit(x, y)
    path = HERE / name / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    estimator.save_model(str(path), format="onnx")
    write(name, path.read_bytes(), [train], [test])


@model
def catboost_binary(name):
    import catboost

    estimator = catboost.CatBoostClassifier(iterations=4, depth=3, verbose=0, thread_count=1, random_seed=0, allow_writing_files=False)
    catboost_model(name, estimator, breast())


@model
def catboost_missing(name):
    """Missing values count as the smallest ones, by comparisons that are false; no node says so."""
    import catboost

    x, y, test, train = breast()
    estimator = catboost.CatBoostClassifier(iterations=4, depth=3, verbose=0, thread_count=1, random_seed=0, allow_writing_files=False)
    catboost_model(name, estimator, (holes(x), y, holes(test), holes(train)))


@model
def catboost_iris(name):
    import catboost

    estimator = catboost.CatBoostClassifier(iterations=3, depth=2, verbose=0, thread_count=1, random_seed=0, allow_writing_files=False)
    catboost_model(name, estimator, iris())


@model
def catboost_regressor(name):
    import catboost

    estimator = catboost.CatBoostRegressor(iterations=4, depth=3, verbose=0, thread_count=1, random_seed=0, allow_writing_files=False)
    catboost_model(name, estimator, diabetes())


# ------------------------------------------------------------------------------------------------------------------- by hand


def graph(name, nodes, outputs, initializers=(), features=4, opset=17, ml=3):
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, features])]
    outputs = [helper.make_tensor_value_info(output, kind, None) for output, kind in outputs]
    made = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)], ir_version=8)


def floats(name, array):
    return onnx.numpy_helper.from_array(np.asarray(array, dtype=np.float32), name)


def grid_rows(seed=11, rows=40):
    """Values that meet the thresholds exactly, and missing ones."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (rows, 4)).astype(np.float32) / 2
    x[rng.random(x.shape) < 0.1] = np.nan
    # Missing values are answered only where calibration rows have some.
    x[13, 3] = x[14, :3] = np.nan
    return [x[:15]], [x[15:]]


def random_trees(rng, trees, depth, modes):
    """Attributes of random trees, and their leaves as (tree, node)."""
    nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing")}
    leaves = []
    for number in range(trees):
        count = 0

        def grow(level):
            nonlocal count
            own = count
            count += 1
            place = len(nodes["modes"])
            for key in nodes:
                nodes[key].append(0)
            nodes["treeids"][place], nodes["nodeids"][place] = number, own
            if level == depth or (level > 0 and rng.random() < 0.2):
                nodes["modes"][place], nodes["values"][place] = "LEAF", 0.0
                leaves.append((number, own))
                return own
            nodes["featureids"][place] = int(rng.integers(0, 4))
            nodes["values"][place] = float(rng.integers(-3, 4)) / 2
            nodes["modes"][place] = str(rng.choice(modes))
            nodes["missing"][place] = int(rng.integers(0, 2))
            # ONNX Runtime lays the false branch next to its node.
            nodes["falsenodeids"][place] = grow(level + 1)
            nodes["truenodeids"][place] = grow(level + 1)
            return own

        grow(0)
    attributes = {f"nodes_{key}": value for key, value in nodes.items() if key != "missing"}
    return attributes | {"nodes_missing_value_tracks_true": nodes["missing"]}, leaves


ALL_MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def random_regressor(name, seed, targets, transform, aggregate, base):
    rng = np.random.default_rng(seed)
    attributes, leaves = random_trees(rng, 5, 4, ALL_MODES)
    pairs = [(leaf, target) for leaf in leaves for target in range(targets)]
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["Y"],
        domain="ai.onnx.ml",
        n_targets=targets,
        target_ids=[target for _, target in pairs],
        target_treeids=[tree for (tree, _), _ in pairs],
        target_nodeids=[node for (_, node), _ in pairs],
        target_weights=rng.normal(0, 1, len(pairs)).astype(np.float32).tolist(),
        post_transform=transform,
        aggregate_function=aggregate,
        **({"base_values": base} if base else {}),
        **attributes,
    )
    write(name, graph(name, [node], [("Y", TensorProto.FLOAT)]), *grid_rows())


@model
def modes_sum(name):
    random_regressor(name, 1, 2, "NONE", "SUM", [0.5, -1.0])


@model
def modes_average_softmax(name):
    random_regressor(name, 2, 3, "SOFTMAX", "AVERAGE", None)


@model
def modes_logistic(name):
    random_regressor(name, 3, 2, "LOGISTIC", "SUM", [0.25, 0.0])


@model
def modes_softmax_zero(name):
    random_regressor(name, 4, 3, "SOFTMAX_ZERO", "SUM", None)


@model
def modes_double(name):
    """64-bit features and thresholds that 32-bit floats cannot tell apart from their neighbours."""
    rng = np.random.default_rng(9)
    attributes, leaves = random_trees(rng, 4, 4, ALL_MODES[:4])
    thresholds = np.array(attributes.pop("nodes_values"), dtype=np.float64) / 3
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["Y"],
        domain="ai.onnx.ml",
        n_targets=1,
        target_ids=[0] * len(leaves),
        target_treeids=[tree for tree, _ in leaves],
        target_nodeids=[node for _, node in leaves],
        target_weights_as_tensor=onnx.numpy_helper.from_array(rng.normal(0, 1, len(leaves))),
        nodes_values_as_tensor=onnx.numpy_helper.from_array(thresholds),
        **attributes,
    )
    onnx_model = graph(name, [node], [("Y", TensorProto.FLOAT)])
    onnx_model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    x = rng.integers(-3, 4, (45, 4)).astype(np.float64) / 6
    x[rng.random(x.shape) < 0.3] = np.nextafter(0.5, 1)
    x[::3] = np.nextafter(x[::3], 9.0)
    x[1::3] = np.nextafter(x[1::3], -9.0)
    x[rng.random(x.shape) < 0.05] = np.nan
    x[13, 3] = x[14, :3] = np.nan
    write(name, onnx_model, [x[:15]], [x[15:]])


def random_classifier(name, seed, classes, ids, transform, base, positive, labels):
    rng = np.random.default_rng(seed)
    attributes, leaves = random_trees(rng, 4, 3, ALL_MODES[:4])
    pairs = [(leaf, target) for leaf in leaves for target in ids]
    weights = rng.random(len(pairs)) / 4 if positive else rng.normal(0, 1, len(pairs))
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["X"],
        ["L", "Y"],
        domain="ai.onnx.ml",
        class_ids=[target for _, target in pairs],
        class_treeids=[tree for (tree, _), _ in pairs],
        class_nodeids=[node for (_, node), _ in pairs],
        class_weights=weights.astype(np.float32).tolist(),
        post_transform=transform,
        **({"classlabels_strings": [f"c{k}" for k in range(classes)]} if labels == "text" else {"classlabels_int64s": list(range(classes))}),
        **({"base_values": base} if base else {}),
        **attributes,
    )
    kind = TensorProto.STRING if labels == "text" else TensorProto.INT64
    write(name, graph(name, [node], [("L", kind), ("Y", TensorProto.FLOAT)]), *grid_rows())


@model
def binary_positive(name):
    random_classifier(name, 5, 2, [0], "NONE", None, True, "text")


@model
def binary_logistic_base(name):
    random_classifier(name, 6, 2, [0], "LOGISTIC", [0.3], False, "integer")


@model
def binary_two_sums(name):
    random_classifier(name, 7, 2, [0, 1], "SOFTMAX", None, False, "integer")


@model
def multi_probit(name):
    random_classifier(name, 8, 3, [0, 1, 2], "SOFTMAX", [0.1, 0.2, 0.3], False, "text")


@model
def members_version_5(name):
    """TreeEnsemble of `ai.onnx.ml` 5 with set membership, on integers: ONNX Runtime tests membership of the truncated value."""
    node = helper.make_node(
        "TreeEnsemble",
        ["X"],
        ["Y"],
        domain="ai.onnx.ml",
        n_targets=2,
        aggregate_function=1,
        post_transform=0,
        tree_roots=[0, 2],
        nodes_modes=onnx.numpy_helper.from_array(np.array([0, 6, 3, 4], dtype=np.uint8)),
        nodes_featureids=[0, 1, 2, 3],
        nodes_splits=floats("", [0.5, 0.0, -0.5, 1.0]),
        nodes_truenodeids=[1, 0, 3, 3],
        nodes_trueleafs=[0, 1, 0, 1],
        nodes_falsenodeids=[1, 2, 3, 4],
        nodes_falseleafs=[1, 1, 1, 1],
        nodes_missing_value_tracks_true=[0, 1, 1, 0],
        membership_values=floats("", [-1.0, 0.0, 1.0, np.nan]),
        leaf_targetids=[0, 1, 0, 1, 0],
        leaf_weights=floats("", [1.0, 2.5, -3.0, 0.75, 4.0]),
    )
    write(name, graph(name, [node], [("Y", TensorProto.FLOAT)], opset=21, ml=5), *([2 * part for part in feed] for feed in grid_rows()))


def dense_rows():
    x, _, test, train = iris()
    return [train[:20]], [test]


@model
def gemm_softmax(name):
    """A linear layer as deep-learning frameworks write it."""
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Gemm", ["X", "W", "B"], ["G"], "layer", transB=1),
        helper.make_node("Softmax", ["G"], ["P"], "softmax", axis=1),
        helper.make_node("ArgMax", ["P"], ["L"], "label", axis=1, keepdims=0),
    ]
    weights = [floats("W", rng.normal(0, 1, (3, 4))), floats("B", rng.normal(0, 1, 3))]
    write(name, graph(name, nodes, [("L", TensorProto.INT64), ("P", TensorProto.FLOAT)], weights), *dense_rows())


@model
def glm_chain(name):
    """Two affine maps, constants as nodes, and an inverse link."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node("Constant", [], ["mean"], value=floats("", [5.8, 3.0, 3.7, 1.2])),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Sub", ["X", "mean"], ["C"], "centre"),
        helper.make_node("MatMul", ["C", "W"], ["H"], "first"),
        helper.make_node("Mul", ["half", "H"], ["M"], "scale"),
        helper.make_node("Neg", ["M"], ["N"], "negate"),
        helper.make_node("MatMul", ["N", "V"], ["Z"], "second"),
        helper.make_node("Add", ["Z", "B"], ["S"], "bias"),
        helper.make_node("Squeeze", ["S", "axes"], ["Q"], "squeeze"),
        helper.make_node("Exp", ["Q"], ["Y"], "link"),
    ]
    weights = [
        floats("W", rng.normal(0, 1, (4, 2))),
        floats("V", rng.normal(0, 1, (2, 1))),
        floats("B", [0.25]),
        onnx.numpy_helper.from_array(np.array([1]), "axes"),
    ]
    write(name, graph(name, nodes, [("Y", TensorProto.FLOAT)], weights), *dense_rows())


if __name__ == "__main__":
    plain_integers()
    failed = 0
    for name in sys.argv[1:] or MAKERS:
        try:
            MAKERS[name](name)
        except Exception as error:  # the exporter does not support the model
            failed += 1
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    sys.exit(failed > 0)

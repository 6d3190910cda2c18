#!/usr/bin/env python3
"""Models in the libraries' own files, with the libraries' own predictions.

    python3 native.py fixtures ../native         the committed cases, small
    python3 native.py campaign FOLDER [ROUNDS]   random models of every kind, to compare by hand:
    CIPHERFN_NATIVE_CASES=FOLDER cargo test -p cipherfn-compiler --test native -- --ignored

A case is a folder: the model file, `rows.csv`, and `expected.csv` with the columns `label` (where
the library predicts one), `p0..` or `y0..`. Rows hold missing and infinite values where the library
takes them, values on split points, and categories that the training never saw.

Needs xgboost, lightgbm, catboost, pandas and scikit-learn.
"""

import itertools
import json
import os
import re
import sys
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")


class Scale:
    """How large a case is."""

    def __init__(self, small):
        self.train = 200 if small else 400
        self.rows = 24 if small else 150
        self.trees = 4 if small else 12
        self.depth = 3 if small else 5


def frame(rng, count, missing=True, dates=False):
    """Columns of the usual kinds: cents, integers, wide reals, zeros, and moments in time."""
    data = {
        "amount": np.round(rng.gamma(1.2, 60, count), 2),
        "age": rng.integers(18, 90, count).astype(float),
        "ratio": np.round(rng.normal(size=count), 4),
        "visits": rng.poisson(1.0, count).astype(float),
        "score": np.round(rng.random(count), 3),
    }
    if dates:
        data["moment"] = 1.7e9 + rng.integers(0, 4000, count) / 8
    table = pd.DataFrame(data)
    if missing:
        for name in ("amount", "visits", "score"):
            table.loc[rng.random(count) < 0.15, name] = np.nan
    return table


def signal(rng, table):
    """A number that depends on the columns, and on which values are missing."""
    return (
        np.log1p(table["amount"].fillna(400))
        + table["age"] / 30
        - table["visits"].fillna(-1) * 0.3
        + np.sin(3 * table["ratio"])
        + 2 * table["score"].fillna(0.9)
        + rng.normal(size=len(table)) * 0.3
    ).to_numpy()


def classes_of(values, count):
    """Classes by quantiles."""
    edges = np.quantile(values, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(edges, values)


def on_split_points(rng, table, points, infinite):
    """Some cells become split points, their neighbours, or infinite."""
    table = table.copy()
    for name, values in points.items():
        values = np.asarray(values, dtype=float)
        if name not in table or not len(values):
            continue
        near = np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)])
        chosen = rng.random(len(table)) < 0.4
        table.loc[chosen, name] = rng.choice(near, chosen.sum())
    if infinite:
        for name in table.columns:
            if table[name].dtype == float:
                chosen = rng.random(len(table)) < 0.03
                table.loc[chosen, name] = rng.choice([np.inf, -np.inf], chosen.sum())
    return table


def write(folder, rows, save, expected):
    """One case. `expected` maps columns to values."""
    os.makedirs(folder, exist_ok=True)
    save(folder)
    rows.to_csv(os.path.join(folder, "rows.csv"), index=False)
    pd.DataFrame(expected).to_csv(os.path.join(folder, "expected.csv"), index=False)


def columns(prefix, values):
    values = np.asarray(values)
    values = values.reshape(len(values), -1)
    return {f"{prefix}{at}": values[:, at] for at in range(values.shape[1])}


# XGBoost


def xgb_points(booster):
    points = {}
    for line in itertools.chain.from_iterable(dump.splitlines() for dump in booster.get_dump()):
        found = re.search(r"\[(\w+)<([^\]]+)\]", line)
        if found:
            points.setdefault(found[1], []).append(np.float32(found[2]))
    return points


def xgb_case(folder, rng, scale, objective, **options):
    import xgboost as xgb

    file = options.pop("file", "model.json")
    names = options.pop("names", True)
    targets = options.pop("targets", 1)
    categories = options.pop("categories", None)
    early = options.pop("early", False)
    rows = scale.rows
    table = frame(rng, scale.train + rows)
    values = signal(rng, table)
    if categories:
        texts = np.array(list("abcdefghijkl"))
        codes = rng.integers(0, 12, len(table))
        values = values + (codes * 5 % 7) * 0.6
        if categories == "texts":
            table["region"] = pd.Categorical(texts[codes], categories=texts)
        elif categories == "numbers":
            table["region"] = pd.Categorical(codes * 10 + 5, categories=np.arange(12) * 10 + 5)
        else:
            table["region"] = codes.astype(float)
        options["enable_categorical"] = True
    train, rows = table[: scale.train], table[scale.train :]
    known = values[: scale.train]
    multi = objective.startswith("multi")
    if multi:
        label = classes_of(known, 3)
    elif objective.startswith("binary"):
        label = classes_of(known, 2)
        if targets > 1:
            label = np.stack([classes_of(known * (-1) ** at + at, 2) for at in range(targets)], 1)
    elif objective == "count:poisson":
        label = rng.poisson(np.exp(known / 4))
    elif objective in ("reg:gamma", "reg:tweedie", "survival:cox"):
        label = np.exp(known / 4)
    elif objective == "reg:logistic":
        label = 1 / (1 + np.exp(-(known - known.mean())))
    else:
        label = known if targets == 1 else np.stack([known * (1 - at) for at in range(targets)], 1)
    if objective == "reg:squaredlogerror":
        label = np.abs(label)
    classifier = (multi or objective.startswith("binary")) and objective != "binary:logitraw"
    if categories == "codes":
        options["feature_types"] = ["q"] * 5 + ["c"]
    kind = xgb.XGBClassifier if classifier else xgb.XGBRegressor
    settings = dict(n_estimators=scale.trees, max_depth=scale.depth, learning_rate=0.4)
    settings.update(options)
    model = kind(objective=objective, random_state=int(rng.integers(1 << 30)), **settings)
    data = train if names else train.to_numpy()
    extra = {}
    if early:
        model.set_params(early_stopping_rounds=2, n_estimators=60, learning_rate=1.0)
        half = scale.train // 2
        extra = dict(eval_set=[(data[half:], label[half:])], verbose=False)
        data, label = data[:half], label[:half]
    model.fit(data, label, **extra)
    booster = model.get_booster()
    if options.get("booster") != "gblinear":
        points = {name: np.asarray(p, dtype=np.float32) for name, p in xgb_points(booster).items()}
        if not names:
            points = {list(rows)[int(name[1:])]: p for name, p in points.items()}
        float32 = on_split_points(rng, rows[[c for c in rows if c != "region"]], points, False)
        rows = rows.copy()
        for name in float32:
            rows[name] = float32[name].astype(np.float32)
    if categories == "codes":
        strange = [-1, 12, 40, 3.5, 1e8]
        chosen = rng.random(len(rows)) < 0.3
        rows.loc[chosen, "region"] = rng.choice(strange, chosen.sum())
    if categories == "codes":
        matrix = xgb.DMatrix(rows.to_numpy(dtype=np.float32), feature_names=list(rows),
                             feature_types=options["feature_types"])
        positive = booster.predict(matrix)
        expected = {"p0": 1 - positive, "p1": positive}
    elif not classifier:
        expected = columns("y", model.predict(rows if names else rows.to_numpy()))
    elif objective == "binary:hinge":
        expected = {"label": model.predict(rows).astype(int)}
    elif targets > 1:
        expected = columns("p", model.predict_proba(rows))
    else:
        data = rows if names else rows.to_numpy()
        expected = {"label": model.predict(data), **columns("p", model.predict_proba(data))}
    write(folder, rows, lambda f: model.save_model(os.path.join(f, file)), expected)


XGB = {
    "xgb-binary": dict(objective="binary:logistic"),
    "xgb-binary-ubj": dict(objective="binary:logistic", file="model.ubj"),
    "xgb-unnamed": dict(objective="binary:logistic", names=False),
    "xgb-base-score": dict(objective="binary:logistic", base_score=0.2),
    "xgb-early": dict(objective="binary:logistic", early=True),
    "xgb-early-forest": dict(objective="multi:softprob", early=True, num_parallel_tree=2, subsample=0.7),
    "xgb-softprob": dict(objective="multi:softprob"),
    "xgb-softmax": dict(objective="multi:softmax"),
    "xgb-forest": dict(objective="multi:softprob", num_parallel_tree=3, subsample=0.6,
                       colsample_bynode=0.6),
    "xgb-dart": dict(objective="binary:logistic", booster="dart", rate_drop=0.4, file="model.ubj"),
    "xgb-dart-classes": dict(objective="multi:softprob", booster="dart", rate_drop=0.4),
    "xgb-linear": dict(objective="reg:squarederror", booster="gblinear"),
    "xgb-linear-classes": dict(objective="multi:softprob", booster="gblinear"),
    "xgb-squared": dict(objective="reg:squarederror"),
    "xgb-absolute": dict(objective="reg:absoluteerror"),
    "xgb-huber": dict(objective="reg:pseudohubererror"),
    "xgb-squared-log": dict(objective="reg:squaredlogerror"),
    "xgb-quantiles": dict(objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]),
    "xgb-logistic": dict(objective="reg:logistic"),
    "xgb-raw": dict(objective="binary:logitraw"),
    "xgb-hinge": dict(objective="binary:hinge"),
    "xgb-poisson": dict(objective="count:poisson"),
    "xgb-gamma": dict(objective="reg:gamma", base_score=1.7),
    "xgb-tweedie": dict(objective="reg:tweedie"),
    "xgb-cox": dict(objective="survival:cox"),
    "xgb-targets": dict(objective="reg:squarederror", targets=3),
    "xgb-vector-leaves": dict(objective="reg:squarederror", targets=3,
                              multi_strategy="multi_output_tree"),
    "xgb-vector-leaves-ubj": dict(objective="reg:squarederror", targets=2, file="model.ubj",
                                  multi_strategy="multi_output_tree"),
    "xgb-labels": dict(objective="binary:logistic", targets=3),
    "xgb-codes": dict(objective="binary:logistic", categories="codes", max_cat_to_onehot=1),
    "xgb-codes-one-hot": dict(objective="binary:logistic", categories="codes", max_cat_to_onehot=20,
                              file="model.ubj"),
    "xgb-texts": dict(objective="binary:logistic", categories="texts", max_cat_to_onehot=1),
    "xgb-numbers": dict(objective="reg:squarederror", categories="numbers", max_cat_to_onehot=1,
                        file="model.ubj"),
    "xgb-exact": dict(objective="binary:logistic", tree_method="exact"),
    "xgb-lossguide": dict(objective="reg:squarederror", grow_policy="lossguide", max_leaves=9,
                          max_depth=0),
}


# LightGBM


def lgbm_points(booster):
    points = {}
    frame = booster.trees_to_dataframe()
    for feature, kind, threshold in zip(frame.split_feature, frame.decision_type, frame.threshold):
        if kind == "<=":
            points.setdefault(feature, []).append(float(threshold))
    return points


def lgbm_case(folder, rng, scale, objective, **options):
    import lightgbm as lgb

    names = options.pop("names", True)
    categories = options.pop("categories", None)
    dates = options.pop("dates", False)
    missing = options.pop("missing", True)
    table = frame(rng, scale.train + scale.rows, dates=dates)
    values = signal(rng, table)
    if dates:
        values = values + 3 * ((table["moment"] - 1.7e9) % 200 > 90)
    if categories:
        texts = np.array(list("abcdefghijkl"))
        codes = rng.integers(0, 12, len(table))
        values = values + (codes * 5 % 7) * 0.6
        codes[rng.random(len(codes)) < 0.05] = -1
        if categories == "codes":
            table["region"] = codes.astype(float)
            options["categorical_feature"] = [5 + dates]
        else:
            known = texts if categories == "texts" else np.arange(12) * 10 + 5
            if categories == "booleans":
                known, codes = np.array([False, True]), np.maximum(codes, 0) % 2
            table["region"] = pd.Categorical.from_codes(codes, known)
    train, rows = table[: scale.train].copy(), table[scale.train :].copy()
    if not missing:
        numbers = [name for name in train if name != "region"]
        train[numbers] = train[numbers].fillna(0.5)
    known = values[: scale.train]
    classifier = objective in ("binary", "multiclass", "multiclassova")
    if objective == "binary":
        label = classes_of(known, 2)
    elif classifier:
        label = classes_of(known, 3)
    elif objective == "poisson":
        label = rng.poisson(np.exp(known / 4))
    elif objective in ("gamma", "tweedie"):
        label = np.exp(known / 4)
    elif objective.startswith("cross"):
        label = 1 / (1 + np.exp(-(known - known.mean())))
    else:
        label = known - known.mean()
    kind = lgb.LGBMClassifier if classifier else lgb.LGBMRegressor
    if options.get("boosting_type") == "rf":
        options.update(bagging_freq=1, bagging_fraction=0.6, feature_fraction=0.7)
    settings = dict(n_estimators=scale.trees, num_leaves=2**scale.depth, learning_rate=0.3,
                    min_child_samples=5, min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=2,
                    verbose=-1, num_threads=1)
    settings.update(options)
    categorical = settings.pop("categorical_feature", "auto")
    model = kind(objective=objective, random_state=int(rng.integers(1 << 30)), **settings)
    data = train if names else train.to_numpy()
    model.fit(data, label, categorical_feature=categorical)
    points = lgbm_points(model.booster_)
    if not names:
        points = {list(rows)[int(name.split("_")[1])]: p for name, p in points.items()}
    points.setdefault("visits", []).extend([0.0, 1e-35, -1e-35, 1e-36, 1e-30])
    points.pop("region", None)
    linear = options.get("linear_tree", False)
    if linear:
        # Linear leaves give infinite numbers, or none, for infinite ones, which 1e300 are, too
        # ("all but missing values", as a split point).
        points = {name: [p for p in own if abs(p) < 1e30] for name, own in points.items()}
    rows = on_split_points(rng, rows, points, not linear)
    if categories == "codes":
        chosen = rng.random(len(rows)) < 0.3
        rows.loc[chosen, "region"] = rng.choice([-1, -0.5, 12, 40, 3.5, 1e12, np.nan, 0.99],
                                                chosen.sum())
    elif categories == "texts":
        region = rows["region"].astype(object)
        region[rng.random(len(rows)) < 0.1] = "never seen"
        rows["region"] = pd.Categorical(region)
    data = rows if names else rows.to_numpy()
    if classifier:
        expected = {"label": model.predict(data), **columns("p", model.predict_proba(data))}
    else:
        expected = columns("y", model.predict(data))
    save = lambda f: model.booster_.save_model(os.path.join(f, "model.txt"))
    write(folder, rows, save, expected)


LGBM = {
    "lgbm-binary": dict(objective="binary"),
    "lgbm-sigmoid": dict(objective="binary", sigmoid=2.5),
    "lgbm-unnamed": dict(objective="binary", names=False),
    "lgbm-complete": dict(objective="binary", missing=False),
    "lgbm-zero-is-missing": dict(objective="binary", zero_as_missing=True),
    "lgbm-no-missing": dict(objective="binary", use_missing=False),
    "lgbm-stumps": dict(objective="regression", num_leaves=2, n_estimators=60),
    "lgbm-moments": dict(objective="regression", dates=True),
    "lgbm-multiclass": dict(objective="multiclass"),
    "lgbm-one-versus-all": dict(objective="multiclassova", sigmoid=1.5),
    "lgbm-forest": dict(objective="binary", boosting_type="rf"),
    "lgbm-forest-classes": dict(objective="multiclass", boosting_type="rf"),
    "lgbm-forest-regression": dict(objective="regression", boosting_type="rf"),
    "lgbm-dart": dict(objective="binary", boosting_type="dart", drop_rate=0.5),
    "lgbm-goss": dict(objective="regression", data_sample_strategy="goss"),
    "lgbm-sqrt": dict(objective="regression", reg_sqrt=True),
    "lgbm-linear": dict(objective="regression", linear_tree=True),
    "lgbm-linear-classes": dict(objective="multiclass", linear_tree=True),
    "lgbm-linear-codes": dict(objective="binary", linear_tree=True, categories="codes"),
    "lgbm-linear-complete": dict(objective="binary", linear_tree=True, missing=False),
    "lgbm-linear-dart": dict(objective="regression", linear_tree=True, boosting_type="dart"),
    "lgbm-linear-forest": dict(objective="regression", linear_tree=True, boosting_type="rf"),
    "lgbm-linear-moments": dict(objective="regression", linear_tree=True, dates=True),
    "lgbm-linear-texts": dict(objective="regression", linear_tree=True, categories="texts"),
    "lgbm-l1": dict(objective="regression_l1"),
    "lgbm-huber": dict(objective="huber"),
    "lgbm-fair": dict(objective="fair"),
    "lgbm-quantile": dict(objective="quantile", alpha=0.8),
    "lgbm-mape": dict(objective="mape"),
    "lgbm-poisson": dict(objective="poisson"),
    "lgbm-gamma": dict(objective="gamma"),
    "lgbm-tweedie": dict(objective="tweedie"),
    "lgbm-cross-entropy": dict(objective="cross_entropy"),
    "lgbm-cross-entropy-lambda": dict(objective="cross_entropy_lambda"),
    "lgbm-codes": dict(objective="binary", categories="codes"),
    "lgbm-codes-zero-is-missing": dict(objective="binary", categories="codes", zero_as_missing=True),
    "lgbm-texts": dict(objective="binary", categories="texts"),
    "lgbm-numbers": dict(objective="multiclass", categories="numbers"),
    "lgbm-booleans": dict(objective="regression", categories="booleans"),
}


# CatBoost


def catboost_case(folder, rng, scale, loss, **options):
    import catboost as cb

    names = options.pop("names", True)
    categories = options.pop("categories", False)
    labels = options.pop("labels", None)
    threshold = options.pop("threshold", None)
    table = frame(rng, scale.train + scale.rows)
    values = signal(rng, table)
    features = []
    if categories:
        codes = rng.integers(0, 6, len(table))
        values = values + (codes * 5 % 7) * 0.6
        table["region"] = np.array(list("abcdef"))[codes]
        table["plan"] = (codes * 3 + rng.integers(0, 2, len(table))) % 5
        features = ["region", "plan"]
        options["one_hot_max_size"] = 20
    train, rows = table[: scale.train], table[scale.train :]
    known = values[: scale.train]
    classifier = loss in ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll",
                          "MultiLogloss")
    if loss in ("Logloss", "CrossEntropy"):
        label = classes_of(known, 2)
    elif loss == "MultiLogloss":
        label = np.stack([classes_of(known, 2), classes_of(-known + 1, 2)], 1)
    elif classifier:
        label = classes_of(known, 3)
    elif loss in ("Poisson", "Tweedie:variance_power=1.5"):
        label = rng.poisson(np.exp(known / 4)).astype(float)
    elif loss in ("MultiRMSE",):
        label = np.stack([known, -known], 1)
    else:
        label = known
    if labels:
        label = np.array(labels)[label]
    kind = cb.CatBoostClassifier if classifier else cb.CatBoostRegressor
    settings = dict(iterations=scale.trees, depth=scale.depth, learning_rate=0.4)
    settings.update(options)
    model = kind(loss_function=loss, random_seed=int(rng.integers(1 << 30)), verbose=0,
                 thread_count=1, allow_writing_files=False, **settings)
    pool = cb.Pool(train if names else train.to_numpy(), label, cat_features=features or None)
    model.fit(pool)
    if threshold:
        model.set_probability_threshold(threshold)
    model.save_model("/tmp/catboost-points.json", format="json")
    info = json.load(open("/tmp/catboost-points.json"))["features_info"]["float_features"]
    names_of = list(table)
    points = {names_of[f["flat_feature_index"]]: np.float32(f["borders"] or []) for f in info}
    numbers = [name for name in rows if name not in features]
    moved = on_split_points(rng, rows[numbers], points, True)
    rows = rows.copy()
    for name in moved:
        rows[name] = moved[name].astype(np.float32).astype(float)
    if categories:
        rows.loc[rng.random(len(rows)) < 0.1, "region"] = "never seen"
    data = rows if names else rows.to_numpy()
    if loss == "MultiLogloss":
        expected = columns("p", model.predict_proba(data))
    elif classifier:
        expected = {"label": np.asarray(model.predict(data)).reshape(-1),
                    **columns("p", model.predict_proba(data))}
    else:
        expected = columns("y", model.predict(data))
    save = lambda f: model.save_model(os.path.join(f, "model.json"), format="json", pool=pool)
    write(folder, rows, save, expected)


CATBOOST = {
    "catboost-logloss": dict(loss="Logloss"),
    "catboost-unnamed": dict(loss="Logloss", names=False),
    "catboost-labels": dict(loss="Logloss", labels=["no", "yes"], threshold=0.3),
    "catboost-cross-entropy": dict(loss="CrossEntropy"),
    "catboost-missing-largest": dict(loss="Logloss", nan_mode="Max"),
    "catboost-one-hot": dict(loss="Logloss", categories=True),
    "catboost-multiclass": dict(loss="MultiClass"),
    "catboost-numbered-classes": dict(loss="MultiClass", labels=[3, 7, 11]),
    "catboost-one-versus-all": dict(loss="MultiClassOneVsAll"),
    "catboost-labels-a-row": dict(loss="MultiLogloss"),
    "catboost-depthwise": dict(loss="Logloss", grow_policy="Depthwise"),
    "catboost-lossguide": dict(loss="MultiClass", grow_policy="Lossguide", categories=True),
    "catboost-rmse": dict(loss="RMSE"),
    "catboost-mae": dict(loss="MAE"),
    "catboost-quantile": dict(loss="Quantile:alpha=0.8"),
    "catboost-quantiles": dict(loss="MultiQuantile:alpha=0.1,0.5,0.9"),
    "catboost-poisson": dict(loss="Poisson"),
    "catboost-tweedie": dict(loss="Tweedie:variance_power=1.5"),
    "catboost-uncertainty": dict(loss="RMSEWithUncertainty"),
    "catboost-targets": dict(loss="MultiRMSE"),
    "catboost-log-quantile": dict(loss="LogLinQuantile"),
}

KINDS = {
    **{name: (xgb_case, options) for name, options in XGB.items()},
    **{name: (lgbm_case, options) for name, options in LGBM.items()},
    **{name: (catboost_case, options) for name, options in CATBOOST.items()},
}

# One case a mechanism.
FIXTURES = [
    "xgb-base-score", "xgb-codes", "xgb-dart", "xgb-early-forest", "xgb-gamma", "xgb-linear-classes",
    "xgb-targets", "xgb-texts", "xgb-vector-leaves", "lgbm-codes", "lgbm-forest",
    "lgbm-linear", "lgbm-linear-codes", "lgbm-moments", "lgbm-no-missing", "lgbm-one-versus-all", "lgbm-sqrt", "lgbm-stumps",
    "lgbm-texts", "lgbm-zero-is-missing", "catboost-labels", "catboost-lossguide", "catboost-missing-largest", "catboost-uncertainty",
    "catboost-tweedie",
]


def make(name, folder, seed, small):
    case, options = KINDS[name]
    options = dict(options)
    what = options.pop("objective", None) or options.pop("loss")
    case(folder, np.random.default_rng(seed), Scale(small), what, **options)


def main():
    what, folder = sys.argv[1:3]
    if what == "fixtures":
        for name in FIXTURES:
            make(name, os.path.join(folder, name), 7, True)
        return
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    for seed in range(rounds):
        for name in KINDS:
            try:
                make(name, os.path.join(folder, f"{name}-{seed}"), seed, False)
            except Exception as error:
                print(f"{name}-{seed}: {str(error)[:300]}", file=sys.stderr)


if __name__ == "__main__":
    main()

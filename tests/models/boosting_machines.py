"""Explainable boosting machines in tests/libraries, with their library's own predictions.

    python tests/models/boosting_machines.py

Needs the versions that docs/export.md pins. `ebm_income` has categories, gaps and interactions of
numbers with both; `ebm_diabetes` is a regressor with interactions, which ebm2onnx only exports if it
has classes.
"""

import pathlib

import ebm2onnx
import numpy as np
import onnx
import pandas as pd
from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

ROOT = pathlib.Path(__file__).resolve().parent.parent / "libraries"
SETTINGS = {"outer_bags": 2, "max_rounds": 400, "max_bins": 128, "n_jobs": 1, "random_state": 0}


def save(name, model, data, target):
    train, rows, target, _ = train_test_split(data, target, random_state=42)
    model.fit(train, target)
    is_regressor = isinstance(model, ExplainableBoostingRegressor)
    if is_regressor:
        expected = {"y": model.predict(rows)}
        model.classes_ = [0, 1]
    else:
        expected = {f"p{place}": column for place, column in enumerate(model.predict_proba(rows).T)} | {"label": model.predict(rows)}
    more = {} if is_regressor else {"predict_proba": True}
    converted = ebm2onnx.to_onnx(model, ebm2onnx.get_dtype_from_pandas(train), **more)
    folder = ROOT / name
    folder.mkdir(exist_ok=True)
    onnx.save(converted, folder / "model.onnx")
    train.assign(target=target).to_csv(folder / "train.csv", index=False)
    rows.to_csv(folder / "test.csv", index=False)
    pd.DataFrame(expected).to_csv(folder / "expected.csv", index=False)


def income():
    rng = np.random.default_rng(0)
    count = 800
    data = pd.DataFrame({
        "age": rng.integers(17, 90, count).astype(float),
        "hours": rng.normal(40, 10, count).round(),
        "gain": np.where(rng.random(count) < 0.1, rng.lognormal(8, 1, count).round(), 0.0),
        "education": rng.choice(["school", "college", "master"], count).astype(object),
        "children": rng.integers(0, 5, count),
    })
    score = (data.age - 45) / 12 + (data["education"] == "master") * data.hours / 20 + np.log1p(data.gain) / 4 - data.children * (data.age < 40) / 2
    data.loc[rng.random(count) < 0.1, "hours"] = np.nan
    return data, np.where(rng.random(count) < 1 / (1 + np.exp(-score)), "high", "low")


save("ebm_income", ExplainableBoostingClassifier(interactions=5, **SETTINGS), *income())
data = load_diabetes(as_frame=True, scaled=False)
save("ebm_diabetes", ExplainableBoostingRegressor(interactions=3, **SETTINGS), data.data, data.target)

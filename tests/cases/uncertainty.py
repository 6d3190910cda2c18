"""Makes the folders forest-uncertainty and forest-uncertainty-classes: forests, and the mean and standard deviation of their trees' own predictions.

    python3 tests/cases/uncertainty.py     # numpy 2.4, pandas, scikit-learn 1.9.1, skl2onnx 1.20.0
"""

import pathlib

import numpy as np
import pandas
from skl2onnx import to_onnx
from sklearn import datasets
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).parent
OPSET = {"": 17, "ai.onnx.ml": 3}


def write(folder, model, data, options):
    features = data.data.astype(np.float32).round(3)
    train, rows, target, _ = train_test_split(features, data.target, test_size=30, random_state=0)
    model.fit(train, target)
    folder = HERE / folder
    folder.mkdir(exist_ok=True)
    graph = to_onnx(model, train[:1], target_opset=OPSET, options=options(model))
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    for file, table in (("train.csv", train), ("rows.csv", rows)):
        pandas.DataFrame(table, columns=[f"f{i}" for i in range(table.shape[1])]).to_csv(folder / file, index=False)
    if hasattr(model, "predict_proba"):
        trees = np.stack([tree.predict_proba(rows) for tree in model.estimators_])
        expected = {"label": model.predict(rows)}
        for place, name in enumerate(model.classes_):
            expected[f"probability_{name}"] = trees[:, :, place].mean(axis=0)
            expected[f"std_{name}"] = trees[:, :, place].std(axis=0)
    else:
        trees = np.stack([tree.predict(rows) for tree in model.estimators_])
        expected = {"prediction": trees.mean(axis=0), "prediction_std": trees.std(axis=0)}
    pandas.DataFrame(expected).to_csv(folder / "expected.csv", index=False)


if __name__ == "__main__":
    forest = RandomForestRegressor(n_estimators=12, max_depth=5, random_state=0)
    write("forest-uncertainty", forest, datasets.load_diabetes(scaled=False), lambda model: None)
    forest = ExtraTreesClassifier(n_estimators=9, max_depth=4, random_state=0)
    write("forest-uncertainty-classes", forest, datasets.load_iris(), lambda model: {id(model): {"zipmap": False}})

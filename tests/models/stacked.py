"""Stacked models of tests/libraries with trees on top: trained, exported, and predicted by
scikit-learn.

    python stacked.py ../libraries

Versions: scikit-learn 1.9, skl2onnx 1.20.
"""

import csv
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier, StackingClassifier, StackingRegressor
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from skl2onnx import to_onnx

ROOT = Path(sys.argv[1])
CALIBRATION = 200
warnings.filterwarnings("ignore")


def write(name, data, model, columns=slice(None)):
    """Trains on three quarters of the rows; the others are the test rows."""
    x, y = np.float32(data.data[:, columns]), data.target
    names = [own.replace(" ", "_") for own in np.array(data.feature_names)[columns]]
    x, tx, y, ty = train_test_split(x, y, test_size=0.25, random_state=42)
    model.fit(x, y)
    found = model.predict(tx)
    header, expected = ["y"], found[:, None]
    if hasattr(model, "predict_proba"):
        p = model.predict_proba(tx)
        header = [*(f"p{i}" for i in range(p.shape[1])), "label"]
        expected = np.column_stack([p, found])

    def table(path, header, rows):
        with open(ROOT / name / path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    def number(value):
        return f"{value:.9g}"

    (ROOT / name).mkdir(exist_ok=True)
    for path, rows, target in (("train.csv", x[:CALIBRATION], y), ("test.csv", tx, ty)):
        cells = ([*map(number, row), number(own)] for row, own in zip(rows, target))
        table(path, [*names, "target"], cells)
    table("expected.csv", header, (map(number, row) for row in expected))
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    onnx = to_onnx(model, x[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    (ROOT / name / "model.onnx").write_bytes(onnx.SerializeToString())
    trees = [node.attribute for node in onnx.graph.node if "Tree" in node.op_type]
    nodes = [len(own.ints) for attributes in trees for own in attributes if own.name == "nodes_nodeids"]
    print(name, "score", model.score(tx, ty), "nodes", nodes)


def scaled(model):
    return make_pipeline(StandardScaler(), model)


SCORES = [
    ("logistic", LogisticRegression(C=0.1)),
    ("network", MLPClassifier((8,), alpha=1.0, max_iter=500, random_state=0)),
]

write(
    "stacked_tree_bc",
    load_breast_cancer(),
    scaled(StackingClassifier(SCORES, DecisionTreeClassifier(max_depth=4, min_samples_leaf=15, random_state=0))),
)
write(
    "stacked_forest_bc",
    load_breast_cancer(),
    scaled(StackingClassifier(SCORES, RandomForestClassifier(8, max_depth=4, min_samples_leaf=15, random_state=0))),
)
write(
    "stacked_boosting_diabetes",
    load_diabetes(),
    scaled(
        StackingRegressor(
            [("ridge", Ridge()), ("lasso", Lasso(2.0))],
            GradientBoostingRegressor(n_estimators=20, max_depth=2, learning_rate=0.2, min_samples_leaf=60, random_state=0),
        )
    ),
)
# Eight columns, which the trees take beside the scores.
write(
    "stacked_passthrough_bc",
    load_breast_cancer(),
    scaled(
        StackingClassifier(
            SCORES[:1],
            RandomForestClassifier(6, max_depth=3, min_samples_leaf=20, max_features=None, random_state=0),
            passthrough=True,
        )
    ),
    slice(0, 8),
)

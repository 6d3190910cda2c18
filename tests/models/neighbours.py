"""Nearest neighbours of tests/libraries in a bag: trained, exported, and predicted by scikit-learn.

    python neighbours.py ../libraries

Versions: scikit-learn 1.9, skl2onnx 1.20.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

FOLDER = Path(sys.argv[1]) / "knn_bagging_iris"
FOLDER.mkdir(exist_ok=True)


def table(name, header, rows):
    with open(FOLDER / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{cell:.9g}" for cell in row] for row in rows)


data = load_iris()
x, tx, y, ty = train_test_split(np.float32(data.data), data.target, test_size=0.25, random_state=42)
scaler = StandardScaler().fit(x)
x, tx = (np.float32(scaler.transform(own).round(4)) for own in (x, tx))
model = BaggingClassifier(KNeighborsClassifier(5), 3, max_samples=0.5, random_state=0).fit(x, y)
names = [name.removesuffix(" (cm)").replace(" ", "_") for name in data.feature_names]
table("train.csv", [*names, "target"], np.column_stack([x, y]))
table("test.csv", [*names, "target"], np.column_stack([tx, ty]))
table("expected.csv", ["p0", "p1", "p2", "label"], np.column_stack([model.predict_proba(tx), model.predict(tx)]))
graph = to_onnx(model, x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
(FOLDER / "model.onnx").write_bytes(graph.SerializeToString())
print("score", model.score(tx, ty))

"""Makes the folder inexact-scores: a support vector machine with large weights that cancel, and rows far from its boundary.

    python3 tests/cases/inexact-scores.py     # numpy 2.4, scikit-learn 1.9.1, skl2onnx 1.20.0
"""

import pathlib

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.svm import SVC

FOLDER = pathlib.Path(__file__).parent / "inexact-scores"

random = np.random.default_rng(0)
rows = random.normal(size=(300, 8)).round(2).astype(np.float32)
labels = (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(int)
model = SVC(C=1000, gamma=0.01).fit(rows, labels)
graph = to_onnx(model, initial_types=[("X", FloatTensorType([None, 8]))], options={"zipmap": False})
(FOLDER / "model.onnx").write_bytes(graph.SerializeToString())
distance = np.abs(model.decision_function(rows))
far = rows[distance > 0.25 * distance.max()]
lines = [",".join(f"x{place}" for place in range(8))] + [",".join(f"{value:g}" for value in row) for row in far]
(FOLDER / "train.csv").write_text("\n".join(lines) + "\n")

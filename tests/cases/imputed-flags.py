"""Flags with missing cells that an imputer fills with the mean: a network, a support vector machine and
nearest neighbours, trained on rows some of whose cells are missing.

Writes to `imputed-flags`: models, complete rows for calibration (`train.csv`, of the neighbours their first
60), rows each of which lacks a flag (`rows.csv`), and ONNX Runtime's label and largest-class score or
probability of class 1 for these. Needs scikit-learn, skl2onnx, onnxruntime.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

FOLDER = Path(__file__).parent / "imputed-flags"
NAMES = ["a", "b", "f0", "f1", "f2", "f3"]
POINTS = 60
MODELS = {
    "mlp": make_pipeline(SimpleImputer(), StandardScaler(), MLPClassifier((20,), alpha=0.01, max_iter=2000, random_state=0)),
    "svc": make_pipeline(SimpleImputer(), SVC(C=2.0)),
    "knn": make_pipeline(SimpleImputer(), KNeighborsClassifier(5)),
}


def write(name, header, rows, cell):
    lines = [",".join(header)] + [",".join(cell(value) for value in row) for row in rows]
    (FOLDER / name).write_text("\n".join(lines) + "\n")


def main():
    random = np.random.default_rng(0)
    flags = random.random((400, 4)) < [0.37, 0.2, 0.5, 0.63]
    rows = np.hstack([random.normal(size=(400, 2)).round(3), flags]).astype(np.float32)
    a, b, f0, f1, f2, f3 = rows.T
    score = a + 1.3 * f0 - 1.1 * f1 + 0.9 * f2 * np.sign(b) - 1.2 * f3
    labels = (score + 0.3 * random.normal(size=400) > 0).astype(int)
    gaps = rows.copy()
    gaps[random.random(rows.shape) < 0.05] = np.nan
    lacking = rows[300:360].copy()
    for place in range(len(lacking)):
        lacking[place, 2 + place % 4] = np.nan
    plain = lambda value: "" if np.isnan(value) else f"{value:g}"
    write("train.csv", NAMES, rows[:300], plain)
    write("rows.csv", NAMES, lacking, plain)
    for name, model in MODELS.items():
        count = POINTS if name == "knn" else 300
        model.fit(gaps[:count], labels[:count])
        onnx = to_onnx(model, initial_types=[("X", FloatTensorType([None, 6]))], options={"zipmap": False})
        (FOLDER / f"{name}.onnx").write_bytes(onnx.SerializeToString())
        session = onnxruntime.InferenceSession(onnx.SerializeToString())
        label, scores = session.run(None, {"X": lacking})
        write(f"{name}.csv", ["label", "score"], np.column_stack([label, scores[:, -1]]), lambda value: f"{value:.6g}")


if __name__ == "__main__":
    main()

"""Networks with several hidden layers of tests/libraries: trained, exported, and predicted by their
own libraries.

    python networks.py ../libraries

Versions: scikit-learn 1.9, skl2onnx 1.20, PyTorch 2.15, onnxruntime not needed.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from skl2onnx import to_onnx

ROOT = Path(sys.argv[1])
CALIBRATION = 200


def split(data, scale):
    x, y = data.data, data.target
    x, tx, y, ty = train_test_split(x, y, test_size=0.25, random_state=42)
    if scale:
        scaler = StandardScaler().fit(x)
        x, tx = scaler.transform(x), scaler.transform(tx)
    else:
        x, tx = x / 16, tx / 16
    return [np.float32(np.round(part, 6)) for part in (x, tx)], [y, ty]


def write(name, names, x, tx, y, ty, header, expected):
    def table(path, header, rows):
        with open(ROOT / name / path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    def number(value):
        return f"{value:.7g}"

    (ROOT / name).mkdir(exist_ok=True)
    names = [own.replace(" ", "_") for own in names]
    for path, rows, target in (("train.csv", x[:CALIBRATION], y), ("test.csv", tx, ty)):
        cells = ([*map(number, row), label] for row, label in zip(rows, target))
        table(path, [*names, "target"], cells)
    table("expected.csv", header, ([*map(number, row[:-1]), int(row[-1])] for row in expected))


def scikit(name, data, layers, scale=True, **options):
    (x, tx), (y, ty) = split(data, scale)
    model = MLPClassifier(layers, random_state=0, max_iter=1000, **options).fit(x, y)
    p = model.predict_proba(tx)
    write(name, data.feature_names, x, tx, y, ty, [*(f"p{i}" for i in range(p.shape[1])), "label"],
          np.column_stack([p, model.predict(tx)]))
    onnx = to_onnx(model, x[:1], options={"zipmap": False})
    (ROOT / name / "model.onnx").write_bytes(onnx.SerializeToString())
    print(name, "accuracy", model.score(tx, ty))


def pytorch(name, data, model, scale, shape, dynamo, epochs=60):
    (x, tx), (y, ty) = split(data, scale)
    torch.manual_seed(0)
    model = model()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    rows, labels = torch.tensor(x), torch.tensor(y)
    for _ in range(epochs):
        for part in torch.randperm(len(rows)).split(32):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(rows[part].reshape(-1, *shape)), labels[part])
            loss.backward()
            optimiser.step()
    model.eval()
    with torch.no_grad():
        found = model(torch.tensor(tx).reshape(-1, *shape)).numpy()
    label = found.argmax(1)
    write(name, data.feature_names, x, tx, y, ty, [*(f"logit{i}" for i in range(found.shape[1])), "label"],
          np.column_stack([found, label]))
    path = ROOT / name / "model.onnx"
    sample = torch.tensor(x[:1]).reshape(-1, *shape)
    if dynamo:
        torch.onnx.export(model, (sample,), path, dynamo=True, external_data=False, input_names=["input"])
    else:
        torch.onnx.export(model, (sample,), path, dynamo=False, input_names=["input"])
    print(name, "accuracy", (label == ty).mean(), path.stat().st_size)


class Residual(torch.nn.Module):
    """Two blocks that add what they were given, and the row beside their result."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.first = nn.Linear(13, 24)
        self.blocks = nn.ModuleList(nn.Linear(24, 24) for _ in range(2))
        self.last = nn.Linear(24 + 13, 3)

    def forward(self, x):
        hidden = torch.tanh(self.first(x))
        for block in self.blocks:
            hidden = hidden + torch.relu(block(hidden))
        return self.last(torch.cat([hidden, x], 1))


def thirty():
    nn = torch.nn
    return nn.Sequential(nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 2))


def convolutions():
    nn = torch.nn
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1, stride=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10))


if __name__ == "__main__":
    scikit("mlp_two_layers_bc", load_breast_cancer(), (24, 16), alpha=0.1)
    scikit("mlp_three_layers_wine", load_wine(), (16, 16, 12), activation="tanh", alpha=0.1)
    pytorch("torch_30_30_30_2_bc", load_breast_cancer(), thirty, True, (30,), True, 30)
    pytorch("torch_residual_wine", load_wine(), Residual, True, (13,), True)
    pytorch("torch_two_conv_digits", load_digits(), convolutions, False, (64,), False, 80)

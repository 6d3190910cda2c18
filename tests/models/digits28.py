"""A network for 28 x 28 pixels (convolution 5 x 5 x 8 with stride 2, ReLU, linear), for docs/benchmarks.md.

    python tests/models/digits28.py FOLDER

Trained by Adam in numpy on scikit-learn's digits, upscaled from 8 x 8; FOLDER gets the model, 300
calibration rows, and test rows with what ONNX Runtime gives for them.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
from onnx import helper, TensorProto, numpy_helper
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
FOLDER = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
d = load_digits()
images = np.stack([np.clip(zoom(i, 3.5, order=1), 0, 16) for i in d.images]).astype(np.float32) / 16
x, tx, y, ty = train_test_split(images, d.target, test_size=0.25, random_state=42, stratify=d.target)
F, K, S, O = 8, 5, 2, 12
def patches(a):
    return np.stack([a[:, i:i + S * O:S, j:j + S * O:S] for i in range(K) for j in range(K)], -1)  # rows, 12, 12, 25
w = rng.normal(0, (2 / 25) ** .5, (25, F)).astype(np.float32); b = np.zeros(F, np.float32)
v = rng.normal(0, (1 / (O * O * F)) ** .5, (O * O * F, 10)).astype(np.float32); c = np.zeros(10, np.float32)
P, TP = patches(x), patches(tx)
ps = [w, b, v, c]; m = [np.zeros_like(p) for p in ps]; q = [np.zeros_like(p) for p in ps]; t = 0
for epoch in range(12):
    order = rng.permutation(len(x))
    for i in range(0, len(x), 64):
        k = order[i:i + 64]; p = P[k]; z = p @ w + b; h = np.maximum(z, 0); f = h.reshape(len(k), -1)
        s = f @ v + c; s = np.exp(s - s.max(1, keepdims=True)); s /= s.sum(1, keepdims=True)
        g = s.copy(); g[np.arange(len(k)), y[k]] -= 1; g /= len(k)
        gv, gc = f.T @ g, g.sum(0); gz = (g @ v.T).reshape(z.shape) * (z > 0)
        gw, gb = p.reshape(-1, 25).T @ gz.reshape(-1, F), gz.sum((0, 1, 2)); t += 1
        for n, gr in enumerate((gw, gb, gv + 1e-3 * v, gc)):
            m[n] = .9 * m[n] + .1 * gr; q[n] = .999 * q[n] + .001 * gr * gr
            ps[n] -= (1e-2 * (m[n] / (1 - .9 ** t)) / (np.sqrt(q[n] / (1 - .999 ** t)) + 1e-8)).astype(np.float32)
test = np.maximum(TP @ w + b, 0).reshape(len(tx), -1) @ v + c
print("cnn accuracy", (test.argmax(1) == ty).mean())
vv = v.reshape(O, O, F, 10).transpose(2, 0, 1, 3).reshape(-1, 10)  # channel first
I = lambda n, a: numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n)
graph = helper.make_graph([
    helper.make_node("Reshape", ["x", "shape"], ["i"]), helper.make_node("Conv", ["i", "w", "b"], ["z"], kernel_shape=[5, 5], strides=[2, 2]),
    helper.make_node("Relu", ["z"], ["h"]), helper.make_node("Flatten", ["h"], ["f"]), helper.make_node("Gemm", ["f", "v", "c"], ["s"])],
    "cnn28", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 784])], [helper.make_tensor_value_info("s", TensorProto.FLOAT, [None, 10])],
    [I("w", w.T.reshape(F, 1, 5, 5)), I("b", b), I("v", vv), I("c", c), numpy_helper.from_array(np.array([-1, 1, 28, 28]), "shape")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]); model.ir_version = 9
onnx.save(model, FOLDER / "cnn28.onnx")
names = [f"x{i}" for i in range(784)]
pd.DataFrame(x[:300].reshape(-1, 784), columns=names).to_csv(FOLDER / "cnn28-train.csv", index=False)
pd.DataFrame(tx.reshape(-1, 784), columns=names).to_csv(FOLDER / "cnn28-test.csv", index=False)
out = ort.InferenceSession(str(FOLDER / "cnn28.onnx")).run(None, {"x": tx.reshape(-1, 784)})[0]
print("onnx diff", np.abs(out - test).max())
pd.DataFrame(out, columns=[f"s{i}" for i in range(10)]).to_csv(FOLDER / "cnn28-expected.csv", index=False)

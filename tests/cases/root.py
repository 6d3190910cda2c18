"""Makes the folder root-of-a-score: the root of the difference of two columns, which is NaN in their other order.

    python3 tests/cases/root.py     # numpy 2.4, pandas, onnx
"""

import pathlib

import numpy as np
import pandas
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).parent / "root-of-a-score"


def model():
    weights = numpy_helper.from_array(np.array([[1.0], [-1.0]], np.float32), "weights")
    nodes = [
        helper.make_node("MatMul", ["X", "weights"], ["difference"], name="difference"),
        helper.make_node("Sqrt", ["difference"], ["Y"], name="root"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in (("X", 2), ("Y", 1))]
    graph = helper.make_graph(nodes, "root", ends[:1], ends[1:], [weights])
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "model.onnx").write_bytes(model().SerializeToString())
    rng = np.random.default_rng(0)
    for file, count in (("train.csv", 60), ("rows.csv", 20)):
        low, high = rng.uniform(0, 2, count), rng.uniform(3, 6, count)
        table = pandas.DataFrame({"a": high, "b": low}).astype(np.float32).round(3)
        table.to_csv(FOLDER / file, index=False)
    pandas.DataFrame({"y": np.sqrt(table.a - table.b)}).to_csv(FOLDER / "expected.csv", index=False)

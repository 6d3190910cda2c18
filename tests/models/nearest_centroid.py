"""A converter of scikit-learn's NearestCentroid for skl2onnx, which has none.

    import nearest_centroid
    nearest_centroid.register()
    onnx_model = skl2onnx.to_onnx(model, rows)

Label and, for each class, the squared distance to its centroid: a sum of functions of one column
each, which compiles like a linear model. Euclidean distances only, and classes of one prior.
"""

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.neighbors import NearestCentroid


def shapes(operator):
    model = operator.raw_operator
    names = model.classes_.dtype.kind in "OSU"
    operator.outputs[0].type = (StringTensorType if names else Int64TensorType)([None])
    operator.outputs[1].type = FloatTensorType([None, len(model.classes_)])


def convert(scope, operator, container):
    model = operator.raw_operator
    if model.metric != "euclidean" or isinstance(model.priors, np.ndarray):
        raise NotImplementedError("NearestCentroid with another metric or with priors")
    centroids = np.asarray(model.centroids_, dtype=np.float32)
    classes = model.classes_.tolist()
    kind = TensorProto.STRING if isinstance(classes[0], str) else TensorProto.INT64
    label, distances = (output.full_name for output in operator.outputs)

    def name(of):
        return scope.get_unique_variable_name(of)

    def constant(of, kind, values, shape):
        own = name(of)
        container.add_initializer(own, kind, shape, values)
        return own

    def node(kind, inputs, of=None, output=None, **attributes):
        output = output or name(of)
        own = scope.get_unique_operator_name(of or kind)
        container.add_node(kind, inputs, output, name=own, **attributes)
        return output

    width = centroids.shape[1]
    rows = constant("rows_shape", TensorProto.INT64, [-1, 1, width], [3])
    centres = constant("centroids", TensorProto.FLOAT, centroids.ravel().tolist(), [1, *centroids.shape])
    axis = constant("axis", TensorProto.INT64, [2], [1])
    names = constant("classes", kind, [c.encode() if isinstance(c, str) else c for c in classes], [len(classes)])
    flat = constant("flat", TensorProto.INT64, [-1], [1])
    row = node("Reshape", [operator.inputs[0].full_name, rows], "row", op_version=13)
    difference = node("Sub", [row, centres], "difference", op_version=13)
    square = node("Mul", [difference, difference], "square", op_version=13)
    node("ReduceSum", [square, axis], "distance", distances, keepdims=0, op_version=13)
    nearest = node("ArgMin", [distances], "nearest", axis=1, keepdims=0, op_version=13)
    found = node("ArrayFeatureExtractor", [names, nearest], "found", op_domain="ai.onnx.ml")
    node("Reshape", [found, flat], "label", label, op_version=13)


def register():
    update_registered_converter(NearestCentroid, "OwnNearestCentroid", shapes, convert)

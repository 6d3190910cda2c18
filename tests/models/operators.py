"""Makes the small networks and kernel machines of tests/networks, with ONNX Runtime's answers.

    python tests/models/operators.py [NAME ...]

Each is `NAME.onnx` and `NAME.csv`: rows `x0, x1, ..` and all entries of all outputs `y0, y1, ..`, as ONNX
Runtime computes them row by row. Activations stand between layers twice, so that their second use is
behind another function. Versions: onnx 1.23, onnxruntime 1.32, scikit-learn 1.9.1, skl2onnx 1.20.
"""

import csv
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn import datasets, ensemble, gaussian_process, kernel_ridge, linear_model, neighbors, neural_network, svm
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, PolynomialFeatures, StandardScaler

warnings.filterwarnings("ignore")
onnxruntime.set_default_logger_severity(4)
FOLDER = pathlib.Path(__file__).parent.parent / "networks"
OPSET = {"": 17, "ai.onnx.ml": 3}
ROWS = 8
FEATURES = 4
HIDDEN = 6
MAKERS = {}


def rng(name):
    return np.random.default_rng(list(name.encode()))


def cell(x):
    return np.format_float_positional(x, unique=True, trim="-") if isinstance(x, np.floating) else str(x)


def write(name, model, rows):
    """`rows`: one flat row of 32-bit floats each."""
    model = model if isinstance(model, bytes) else model.SerializeToString()
    (FOLDER / f"{name}.onnx").write_bytes(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    info = session.get_inputs()[0]
    with open(FOLDER / f"{name}.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(rows):
            answers = session.run(None, {info.name: row.reshape(1, *info.shape[1:])})
            answers = np.concatenate([np.asarray(answer).reshape(-1).astype(np.float64) for answer in answers])
            assert np.isfinite(answers).all(), name
            if number == 0:
                out.writerow([f"x{k}" for k in range(row.size)] + [f"y{k}" for k in range(answers.size)])
            out.writerow([cell(x) for x in row.reshape(-1)] + [cell(np.float32(x)) for x in answers])


# ------------------------------------------------------------------------------------------------------------------- graphs


class Graph:
    """Nodes one after the other, from the input `X` to the output `Y`."""

    def __init__(self, name):
        self.name, self.random = name, rng(name)
        self.nodes, self.constants, self.last = [], [], "X"

    def constant(self, values):
        values = np.asarray(values)
        values = values.astype(np.float32) if values.dtype.kind == "f" else values
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def weights(self, *shape):
        return self.constant(self.random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).round(3))

    def node(self, operator, *inputs, **attributes):
        """Of these inputs, the last value first where it is not among them."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"{operator}{len(self.nodes)}", **attributes))
        self.last = name
        return name

    def then(self, operator, *more, **attributes):
        return self.node(operator, self.last, *more, **attributes)

    def dense(self, width, outputs):
        return self.then("Gemm", self.weights(width, outputs), self.weights(outputs))

    def head(self, width, outputs=2):
        self.then("Flatten")
        return self.then("Gemm", self.weights(width, outputs))

    def write(self, shape, opset=20):
        self.nodes[-1].output[0] = "Y"
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, *shape])],
            [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 9
        rows = self.random.normal(0, 1.5, (ROWS, int(np.prod(shape)))).astype(np.float32).round(2)
        write(self.name, onnx.shape_inference.infer_shapes(model), rows)


def activation(name, function, opset=20):
    def make():
        graph = Graph(name)
        graph.dense(FEATURES, HIDDEN)
        function(graph)
        graph.dense(HIDDEN, HIDDEN)
        function(graph)
        graph.dense(HIDDEN, 2)
        graph.write([FEATURES], opset)

    MAKERS[name] = make


def plain(operator, **attributes):
    return lambda graph: graph.then(operator, **attributes)


def with_constant(operator, values):
    return lambda graph: graph.then(operator, graph.constant(values))


def of_size(operator, *more):
    """Of what is not negative."""

    def function(graph):
        graph.then("Abs")
        graph.then(operator, *map(graph.constant, more))

    return function


def clipped(graph):
    graph.then("Clip", graph.constant(np.float32(-0.4)), graph.constant(np.float32(0.7)))


def swish(graph):
    inner = graph.last
    graph.then("Sigmoid")
    graph.then("Mul", inner)


def integers():
    """A network of what integer operators make of the row: roots, remainders of the dividend's sign, narrow types, one infinity."""
    graph = Graph("integers")
    graph.then("Mul", graph.constant(np.float32(4)))
    whole = graph.then("Cast", to=TensorProto.INT64)
    size = graph.then("Abs")
    parts = [
        graph.node("Pow", size, graph.constant(np.float32(0.5))),
        graph.node("Mod", whole, graph.constant(np.int64([3, -3, 2, 5])), fmod=1),
        graph.node("Mod", whole, graph.constant(np.int64([3, -3, 2, 5]))),
    ]
    large = graph.node("Mul", whole, graph.constant(np.int64([30])))
    for kind in (TensorProto.INT8, TensorProto.UINT8):
        parts.append(graph.node("Cast", graph.node("Cast", large, to=kind), to=TensorProto.INT64))
    parts = [graph.node("Cast", part, to=TensorProto.FLOAT) for part in parts]
    logarithm = graph.node("Log", graph.node("Cast", size, to=TensorProto.FLOAT))
    for attributes in ({"detect_positive": 0}, {"detect_negative": 0}):
        parts.append(graph.node("Cast", graph.node("IsInf", logarithm, **attributes), to=TensorProto.FLOAT))
    scales = [0.3, 0.3, 0.3, 0.01, 0.01, 1.0, 1.0]
    parts = [graph.node("Mul", part, graph.constant(np.float32(scale))) for part, scale in zip(parts, scales)]
    graph.node("Concat", *parts, axis=1)
    graph.dense(FEATURES * len(parts), HIDDEN)
    graph.then("Tanh")
    graph.dense(HIDDEN, 2)
    graph.write([FEATURES])


MAKERS["integers"] = integers

for title, maker in {
    "abs": plain("Abs"),
    "celu": plain("Celu", alpha=1.7),
    "clip": clipped,
    "elu": plain("Elu", alpha=1.3),
    "elu_default": plain("Elu"),
    "erf": plain("Erf"),
    "exp": lambda graph: (graph.then("Mul", graph.constant(np.float32(0.4))), graph.then("Exp")),
    "gelu": plain("Gelu"),
    "gelu_tanh": plain("Gelu", approximate="tanh"),
    "hard_sigmoid": plain("HardSigmoid", alpha=0.3, beta=0.4),
    "hard_sigmoid_default": plain("HardSigmoid"),
    "hard_swish": plain("HardSwish"),
    "leaky_relu": plain("LeakyRelu", alpha=0.2),
    "leaky_relu_default": plain("LeakyRelu"),
    "mish": plain("Mish"),
    "pow": of_size("Pow", np.float32(1.5)),
    "prelu": with_constant("PRelu", np.linspace(-0.5, 0.9, HIDDEN)),
    "relu": plain("Relu"),
    "selu": plain("Selu"),
    "selu_attributes": plain("Selu", alpha=1.2, gamma=0.9),
    "sigmoid": plain("Sigmoid"),
    "softplus": plain("Softplus"),
    "softsign": plain("Softsign"),
    "sqrt": of_size("Sqrt"),
    "swish": swish,
    "tanh": plain("Tanh"),
    "thresholded_relu": plain("ThresholdedRelu", alpha=0.3),
    "thresholded_relu_default": plain("ThresholdedRelu"),
}.items():
    activation(title, maker)


def graph(shape, opset=20):
    def register(maker):
        def make():
            own = Graph(maker.__name__)
            maker(own)
            own.write(shape, opset)

        MAKERS[maker.__name__] = make
        return maker

    return register


@graph([4, 10])
def conv1d_dilated_groups(g):
    g.then("Conv", g.weights(6, 2, 3), g.weights(6), dilations=[2], group=2, pads=[2, 1], kernel_shape=[3])
    g.then("Relu")
    g.then("GlobalAveragePool")
    g.head(6)


@graph([2, 11])
def conv1d_strided(g):
    g.then("Conv", g.weights(3, 2, 4), strides=[3], pads=[1, 0])
    g.then("Tanh")
    g.then("Reshape", g.constant(np.array([0, -1])))
    g.then("MatMul", g.weights(9, 2))


@graph([2, 4, 6])
def conv2d_padded(g):
    g.then("Conv", g.weights(3, 2, 3, 3), g.weights(3), dilations=[1, 2], pads=[1, 2, 0, 1], strides=[2, 1])
    g.then("LeakyRelu", alpha=0.2)
    g.then("AveragePool", kernel_shape=[2, 2], strides=[1, 2], pads=[0, 1, 1, 0])
    g.then("Conv", g.weights(2, 3, 1, 2))
    g.then("Tanh")
    g.head(2 * 2 * 2)


@graph([3, 4, 4])
def conv2d_depthwise(g):
    g.then("Conv", g.weights(3, 1, 3, 3), group=3, pads=[1, 1, 1, 1])
    g.then("Relu")
    g.then("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    g.then("Sigmoid")
    g.then("ReduceMean", g.constant(np.array([2, 3])), keepdims=0)
    g.then("Gemm", g.weights(3, 2))


@graph([1, 5, 6])
def conv2d_same_upper(g):
    g.then("Conv", g.weights(2, 1, 2, 4), auto_pad="SAME_UPPER", strides=[2, 2])
    g.then("Elu")
    g.then("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_UPPER")
    g.head(2 * 3 * 3)


@graph([1, 5, 6])
def conv2d_same_lower(g):
    g.then("Conv", g.weights(2, 1, 2, 4), auto_pad="SAME_LOWER", strides=[2, 2])
    g.then("Softplus")
    g.then("AveragePool", kernel_shape=[2, 2], auto_pad="SAME_LOWER")
    g.head(2 * 3 * 3)


@graph([1, 5, 5])
def conv2d_valid_pools(g):
    g.then("Conv", g.weights(2, 1, 2, 2), auto_pad="VALID")
    g.then("Relu")
    g.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1])
    g.then("Conv", g.weights(2, 2, 2, 2))
    g.then("Sigmoid")
    g.head(2)


@graph([2, 6])
def pool1d_ceil(g):
    g.then("Conv", g.weights(3, 2, 2))
    g.then("Relu")
    g.then("MaxPool", kernel_shape=[3], strides=[2])
    g.then("GlobalMaxPool")
    g.head(3)


@graph([FEATURES])
def shapes(g):
    """Pad, Slice, Gather, Concat, Transpose, Squeeze, Unsqueeze between layers."""
    g.then("Unsqueeze", g.constant(np.array([1])))
    g.then("Pad", g.constant(np.array([0, 0, 1, 0, 0, 2])), g.constant(np.float32(0.5)), mode="constant")
    g.then("Conv", g.weights(3, 1, 3))
    g.then("Tanh")
    g.then("Transpose", perm=[0, 2, 1])
    sliced = g.then("Slice", *map(g.constant, (np.array([-1]), np.array([-6]), np.array([1]), np.array([-2]))))
    gathered = g.then("Gather", g.constant(np.array([2, -3])), axis=2)
    g.node("Concat", gathered, sliced, axis=-1)
    g.then("Reshape", g.constant(np.array([0, -1])))
    g.then("Identity")
    g.then("Dropout")
    g.then("Gemm", g.weights(15, 3), transA=0)
    g.then("Relu")
    g.then("Unsqueeze", g.constant(np.array([1, 3])))
    g.then("Squeeze", g.constant(np.array([1, 3])))
    g.then("Gemm", g.weights(2, 3), transB=1, alpha=0.5)


@graph([1, 4, 4])
def pads(g):
    sizes = g.constant(np.array([0, 0, 1, 2, 0, 0, 2, 1]))
    g.then("Pad", sizes, mode="reflect")
    g.then("Conv", g.weights(1, 1, 3, 3), strides=[2, 2])
    g.then("Tanh")
    g.then("Pad", sizes, mode="edge")
    g.then("Conv", g.weights(2, 1, 3, 3))
    g.then("Relu")
    g.head(2 * 4 * 4)


@graph([FEATURES])
def residual(g):
    first = g.dense(FEATURES, HIDDEN)
    inner = g.then("Relu")
    g.dense(HIDDEN, HIDDEN)
    g.then("Tanh")
    g.then("Add", inner)
    g.then("Sub", first)
    g.then("Div", g.constant(np.linspace(0.5, 2, HIDDEN)))
    g.then("BatchNormalization", *(g.constant(own) for own in (np.linspace(0.5, 1.5, HIDDEN), np.linspace(-1, 1, HIDDEN), np.linspace(1, -1, HIDDEN), np.linspace(0.3, 3, HIDDEN))), epsilon=0.01)
    g.then("Selu")
    g.dense(HIDDEN, 3)


@graph([FEATURES])
def maxima(g):
    one = g.dense(FEATURES, HIDDEN)
    g.last = "X"
    g.dense(FEATURES, HIDDEN)
    g.then("Max", one)
    g.then("Reshape", g.constant(np.array([0, 3, 2])))
    g.then("ReduceMax", g.constant(np.array([2])), keepdims=0)
    g.dense(3, 2)


@graph([FEATURES])
def hidden_link(g):
    """An exponential link that the server hides: a matrix product behind it makes it a look-up."""
    g.then("Gemm", g.weights(FEATURES, 1), g.weights(1))
    g.then("Exp")
    g.then("MatMul", g.constant(np.ones((1, 1), np.float32)))


# ----------------------------------------------------------------------------------------------------------- scikit-learn


def data(kind, rows=60):
    """Three features of the library's own data, scaled and rounded, so that files are small."""
    if kind == "numbers":
        features, target = datasets.load_diabetes(return_X_y=True)
        target = (target - target.mean()) / target.std()
        features = features[:, [2, 3, 8]]
    else:
        features, target = datasets.load_iris(return_X_y=True)
        features = features[:, 1:]
        if kind == "pair":
            features, target = features[50:], target[50:] - 1
    order = np.random.default_rng(5).permutation(len(features))[:rows]
    features = (features - features.mean(0)) / features.std(0)
    return features[order].astype(np.float32).round(2), target[order]


def scikit(name, estimator, kind, rows=60, test=ROWS):
    def make():
        features, target = data(kind, rows)
        model = estimator.fit(features, target)
        try:
            graph = to_onnx(model, features[:1], options={id(model): {"zipmap": False}}, target_opset=OPSET)
        except NameError:
            graph = to_onnx(model, features[:1], target_opset=OPSET)
        # Training rows: of a support vector itself the distance is zero. There, 32 bits give another model than a narrow kernel's.
        write(name, graph, data(kind, rows + ROWS)[0][rows:] if name == "gp_narrow" else features[:test])
        if name in ("one_class_rbf", "gp_narrow"):  # all of them, for calibration
            lines = [",".join(map(cell, row)) + "\n" for row in features]
            (FOLDER / f"{name}_train.csv").write_text("x0,x1,x2\n" + "".join(lines))

    MAKERS[name] = make


Kernels = gaussian_process.kernels
MEAN = gaussian_process.GaussianProcessRegressor(Kernels.RBF(1.5) + Kernels.WhiteKernel(0.1), alpha=0.05, optimizer=None)
# What is in front of distances: the client computes it.
for title, (steps, kind) in {
    "pca_svc": ([PCA(2), svm.SVC()], "classes"),
    "pca_twice_svc": ([PCA(3), StandardScaler(), PCA(2, whiten=True), svm.SVC()], "pair"),
    "pca_polynomials_svc": ([PCA(2), PolynomialFeatures(2), StandardScaler(), svm.SVC()], "pair"),
    "pca_normalised_svr": ([PCA(3), Normalizer(), svm.SVR(epsilon=0.8)], "numbers"),
    "svd_gp": ([TruncatedSVD(2), MEAN], "numbers"),
    "pca_knn": ([PCA(2), neighbors.KNeighborsClassifier(3)], "classes"),
}.items():
    scikit(title, make_pipeline(*steps), kind)
Nearest = neighbors.KNeighborsClassifier
# Several rankings.
for title, (estimator, kind) in {
    "bagging_knn": (ensemble.BaggingClassifier(Nearest(3), 2, max_samples=0.4, random_state=0), "classes"),
    "bagging_knn_columns": (ensemble.BaggingClassifier(Nearest(3), 2, max_features=2, random_state=0), "pair"),
    "bagging_knn_regressor": (ensemble.BaggingRegressor(neighbors.KNeighborsRegressor(4), 2, random_state=0), "numbers"),
    "voting_knn": (ensemble.VotingClassifier([("few", Nearest(3)), ("more", Nearest(7))], voting="soft", flatten_transform=False), "classes"),
    "stacking_knn": (ensemble.StackingClassifier([("few", Nearest(3)), ("more", Nearest(9))], linear_model.LogisticRegression()), "classes"),
    "voting_knn_labels": (ensemble.VotingClassifier([(f"k{k}", Nearest(k)) for k in (1, 3, 7)], voting="hard", flatten_transform=False), "classes"),
}.items():
    scikit(title, estimator, kind)
for title, (estimator, kind) in {
    "svc_poly": (svm.SVC(kernel="poly", degree=3, coef0=0.5, gamma=0.4, C=0.5), "pair"),
    "svc_poly_classes": (svm.SVC(kernel="poly", degree=2, coef0=1), "classes"),
    "svc_rbf_classes": (svm.SVC(), "classes"),
    "svc_rbf_pairs": (svm.SVC(decision_function_shape="ovo"), "classes"),
    "svc_sigmoid": (svm.SVC(kernel="sigmoid", gamma=0.1, coef0=0.2), "pair"),
    "svc_sigmoid_classes": (svm.SVC(kernel="sigmoid", gamma=0.1), "classes"),
    "nu_svc_rbf": (svm.NuSVC(nu=0.3), "pair"),
    "nu_svc_poly_classes": (svm.NuSVC(nu=0.2, kernel="poly", coef0=1), "classes"),
    "svr_poly": (svm.SVR(kernel="poly", coef0=1, epsilon=0.8), "numbers"),
    "svr_sigmoid": (svm.SVR(kernel="sigmoid", gamma=0.1, coef0=0.3, epsilon=0.8), "numbers"),
    "nu_svr_rbf": (svm.NuSVR(nu=0.2), "numbers"),
    "nu_svr_sigmoid": (svm.NuSVR(nu=0.2, kernel="sigmoid", gamma=0.1), "numbers"),
    "one_class_rbf": (svm.OneClassSVM(nu=0.2), "classes"),
    "one_class_poly": (svm.OneClassSVM(nu=0.2, kernel="poly", coef0=1), "classes"),
    "one_class_sigmoid": (svm.OneClassSVM(nu=0.2, kernel="sigmoid", gamma=0.1), "classes"),
    "bagging_svc": (ensemble.BaggingClassifier(svm.SVC(), n_estimators=2, max_samples=0.5, random_state=0), "classes"),
    "bagging_mlp": (ensemble.BaggingRegressor(neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2000, random_state=0), n_estimators=2, random_state=0), "numbers"),
    "ada_svc": (ensemble.AdaBoostClassifier(svm.SVC(C=0.5), n_estimators=2, random_state=0), "pair"),
    "ada_svr": (ensemble.AdaBoostRegressor(svm.SVR(epsilon=0.8), n_estimators=3, random_state=0), "numbers"),
    "ada_mlp": (ensemble.AdaBoostRegressor(neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2000, random_state=0), n_estimators=3, random_state=0), "numbers"),
}.items():
    scikit(title, estimator, kind)
for title, kernel in {
    "gp_matern": Kernels.Matern(1.3, nu=1.5) + Kernels.WhiteKernel(0.1),
    "gp_matern_half": Kernels.Matern([1.3, 0.8, 2.0], nu=0.5),
    "gp_matern_five_halves": Kernels.Matern(0.9, nu=2.5) + Kernels.DotProduct(0.5),
    "gp_quadratic": Kernels.RationalQuadratic(1.1, 0.7) + Kernels.RBF(0.4) + Kernels.WhiteKernel(0.1),
    "gp_dot": Kernels.DotProduct(1.2) + Kernels.WhiteKernel(0.1),
    "gp_narrow": Kernels.RBF(1e-5),
}.items():
    estimator = gaussian_process.GaussianProcessRegressor(kernel, alpha=0.05, optimizer=None)
    scikit(title, estimator, "numbers", rows=20, test=20)


def machine(name, kernel, **options):
    """Kernel ridge as a support vector machine's node: points, their coefficients, no constant."""

    def make():
        features, target = data("numbers", 20)
        model = kernel_ridge.KernelRidge(kernel=kernel, **options).fit(features, target)
        node = helper.make_node(
            "SVMRegressor", ["X"], ["Y"], domain="ai.onnx.ml", name="ridge",
            kernel_type={"rbf": "RBF", "polynomial": "POLY", "sigmoid": "SIGMOID"}[kernel],
            kernel_params=[float(model.gamma), float(model.coef0), float(model.degree)],
            support_vectors=model.X_fit_.astype(float).ravel().tolist(), coefficients=model.dual_coef_.ravel().tolist(),
            n_supports=len(model.X_fit_), rho=[0.0],
        )
        graph = helper.make_graph(
            [node], "g",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, features.shape[1]])],
            [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 1])],
        )
        graph = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
        graph.ir_version = 9
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        found = session.run(None, {"X": features})[0].ravel()
        assert np.abs(found - model.predict(features)).max() < 1e-4, name
        write(name, graph, features[:ROWS])

    MAKERS[name] = make


machine("ridge_rbf", "rbf", gamma=0.3, alpha=0.5)
machine("ridge_poly", "polynomial", gamma=0.3, coef0=1, degree=2, alpha=0.5)
machine("ridge_sigmoid", "sigmoid", gamma=0.1, coef0=0.2, alpha=0.5)


def prices():
    """Opening and closing prices, at most 2 % apart, and whether a day was a good one: a network takes their difference."""
    random = rng("prices")
    opening = random.uniform(20, 80, 1200)
    closing = opening * (1 + random.uniform(-0.02, 0.02, 1200))
    features = np.stack([opening, closing], axis=1).round(2).astype(np.float32)
    model = neural_network.MLPClassifier((20,), alpha=0.01, max_iter=4000, random_state=0)
    model.fit(features[:800], features[:800, 1] > features[:800, 0])
    graph = to_onnx(model, features[:1], options={"zipmap": False}, target_opset=OPSET)
    write("prices", graph, features[800 : 800 + ROWS])
    lines = [",".join(map(cell, row)) + "\n" for row in features[:400]]
    (FOLDER / "prices_train.csv").write_text("x0,x1\n" + "".join(lines))


MAKERS["prices"] = prices


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for title in sys.argv[1:] or MAKERS:
        MAKERS[title]()

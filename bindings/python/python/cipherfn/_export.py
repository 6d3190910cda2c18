"""Models as bytes that the compiler reads, each by the way that loses nothing (docs/export.md)."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import pathlib
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _torch
from ._tables import Rows, columns_of, names_of
from .errors import ExportError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPSET = {"": 17, "ai.onnx.ml": 3}


@dataclass
class Predicted:
    """A model's own predictions, of shape (rows,), (rows, classes) and (rows, values)."""

    labels: NDArray[Any] | None = None
    probabilities: NDArray[np.floating[Any]] | None = None
    values: NDArray[np.floating[Any]] | None = None


@dataclass
class Exported:
    """A model's bytes, the names of its columns where rows have none, and how it predicts itself."""

    model: bytes
    names: list[str] | None
    predict: Callable[[Rows], Predicted] | None
    # Names of the classes, for files that hold none.
    classes: list[str] | None = None


def export(model: Any, rows: Rows) -> Exported:
    """Exports a model of any kind that is known; ``rows`` tell the names and types of its columns."""
    if isinstance(model, (bytes, bytearray)):
        return _onnx(bytes(model))
    if isinstance(model, (str, os.PathLike)):
        return _file(pathlib.Path(model))
    library = type(model).__module__.split(".")[0]
    if library == "onnx":
        return _onnx(model.SerializeToString())
    if library in _LIBRARIES:
        return _LIBRARIES[library](model, rows)
    if _torch.is_module(model):
        return Exported(_torch.exported(model, rows), None, lambda rows: Predicted(values=_torch.predicted(model, rows)))
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        return _scikit(model, rows)
    raise ExportError(
        f"{type(model).__name__} is no model that is known here",
        remedy="give an estimator or pipeline of scikit-learn, a model of XGBoost, LightGBM, CatBoost, a module of PyTorch, "
        "an ONNX model, or the path or bytes of a model's file",
    )


def needs(module: str, extra: str) -> Any:
    """Imports what an extra brings."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExportError(
            f"exporting this model needs {module}, which cannot be imported: {error}",
            remedy=f'pip install "cipherfn[{extra}]"',
        ) from error


def _estimator(model: Any, rows: Rows) -> Predicted:
    """What an estimator with scikit-learn's methods predicts."""
    import numpy as np

    found = np.asarray(model.predict(rows))
    found = found.reshape(len(found), -1) if found.ndim > 1 and found.shape[1] == 1 else found
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    is_regressor = getattr(model, "_estimator_type", None) == "regressor" or not (
        hasattr(model, "classes_") or hasattr(model, "predict_proba") or found.dtype.kind in "iuOUSb"
    )
    if is_regressor:
        return Predicted(values=found.reshape(len(found), -1).astype(float))
    probabilities = getattr(model, "predict_proba", None)
    return Predicted(labels=found, probabilities=None if probabilities is None or found.ndim > 1 else np.asarray(probabilities(rows)))


def _scikit(model: Any, rows: Rows) -> Exported:
    needs("sklearn", "sklearn")
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    to_onnx = needs("skl2onnx", "sklearn").to_onnx
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise ExportError(str(error), remedy="model.fit(X, y) first") from error
    _boosters(model)
    own = _rounded_down(model)
    by_name = names_of(rows) is not None and _selects_columns(own)
    failures = []
    for types in _input_types(rows, by_name):
        for options in ({"zipmap": False}, None):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    graph = to_onnx(own, initial_types=types, options=options, target_opset=OPSET)
                return Exported(graph.SerializeToString(), None, lambda rows: _estimator(model, rows))
            except NameError:  # it has no such option
                continue
            except Exception as error:  # noqa: BLE001: exporters raise whatever they like
                failures.append(error)
                break
    raise ExportError(
        f"skl2onnx cannot export {type(model).__name__}: {failures[0]}",
        remedy="docs/estimators.md lists what can be exported; for a part that cannot be, prepare the columns beforehand",
    ) from failures[0]


def _input_types(rows: Rows, by_name: bool) -> Iterator[list[tuple[str, Any]]]:
    """Inputs of a graph: a matrix, or an input a column; whole numbers as such, and as floats where that fails."""
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    columns = columns_of(rows)
    is_text = any(kind == "text" for _, kind, _, _ in columns)
    if not by_name:
        yield [("X", (StringTensorType if is_text else FloatTensorType)([None, len(columns)]))]
        return
    for whole in (Int64TensorType, FloatTensorType):
        kinds = {"text": StringTensorType, "i8": whole, "b1": whole}
        yield [(name, kinds.get(kind, FloatTensorType)([None, 1])) for name, kind, _, _ in columns]


def _parts(model: Any) -> Iterator[Any]:
    """A model and the estimators in it."""
    yield model
    if hasattr(model, "get_params"):
        for value in model.get_params(deep=True).values():
            if hasattr(value, "get_params") and not isinstance(value, type):
                yield value


def _selects_columns(model: Any) -> bool:
    return any(type(part).__name__ == "ColumnTransformer" for part in _parts(model))


def _boosters(model: Any) -> None:
    """Registers the converters of boosters in a pipeline."""
    used = {type(part) for part in _parts(model)}
    for own in used:
        library, _, name = own.__module__.split(".")[0], None, own.__name__
        if library not in ("xgboost", "lightgbm"):
            continue
        needs("onnxmltools", library)
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import (
            calculate_linear_classifier_output_shapes,
            calculate_linear_regressor_output_shapes,
        )

        if library == "xgboost":
            from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as convert

            alias = f"XGBoost{name}"
        else:
            from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as convert

            alias = f"LightGbm{name}"
        if name.endswith("Classifier"):
            update_registered_converter(
                own, alias, calculate_linear_classifier_output_shapes, convert,
                options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
            )
        else:
            update_registered_converter(own, alias, calculate_linear_regressor_output_shapes, convert)


def _rounded_down(model: Any) -> Any:
    """Histogram boosting with 32-bit split points: on 32-bit rows nothing changes, and the export, which takes the
    nearest 32-bit numbers, loses nothing."""
    import numpy as np

    if not any("HistGradientBoosting" in type(part).__name__ for part in _parts(model)):
        return model
    model = copy.deepcopy(model)
    for part in [model, *(step for _, step in getattr(model, "steps", []))]:
        for tree in (tree for stage in getattr(part, "_predictors", []) for tree in stage):
            splits = tree.nodes["num_threshold"]
            nearest = splits.astype(np.float32)
            below = np.nextafter(nearest, np.float32(-np.inf))
            tree.nodes["num_threshold"] = np.where(nearest > splits, below, nearest)
    return model


def _xgboost(model: Any, rows: Rows) -> Exported:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    classes = [str(name) for name in model.classes_] if hasattr(model, "classes_") else None
    predict = _estimator if hasattr(model, "get_booster") else _xgboost_booster
    return Exported(bytes(booster.save_raw("json")), booster.feature_names, lambda rows: predict(model, rows), classes)


def _xgboost_booster(booster: Any, rows: Rows) -> Predicted:
    import numpy as np
    import xgboost

    names = booster.feature_names if names_of(rows) is None else None
    found = booster.predict(xgboost.DMatrix(rows, feature_names=names, enable_categorical=True))
    objective = booster.save_config()
    if '"binary:logistic"' in objective:
        return Predicted((found > 0.5).astype(int), np.stack([1 - found, found], axis=1))
    if '"multi:soft' in objective:
        return Predicted(found.argmax(1), found) if found.ndim == 2 else Predicted(found.astype(int))
    return Predicted(values=found.reshape(len(found), -1))


def _lightgbm(model: Any, rows: Rows) -> Exported:
    is_booster = not hasattr(model, "booster_")
    booster = model if is_booster else model.booster_
    classes = [str(name) for name in model.classes_] if hasattr(model, "classes_") else None
    predict = _lightgbm_booster if is_booster else _estimator
    return Exported(booster.model_to_string().encode(), booster.feature_name(), lambda rows: predict(model, rows), classes)


def _lightgbm_booster(booster: Any, rows: Rows) -> Predicted:
    import numpy as np

    found = np.asarray(booster.predict(rows))
    text = booster.model_to_string(num_iteration=1)
    objective = next((line for line in text.splitlines() if line.startswith("objective=")), "")
    if "binary" in objective or "cross_entropy" in objective:
        return Predicted((found > 0.5).astype(int), np.stack([1 - found, found], axis=1))
    if "multiclass" in objective:
        return Predicted(found.argmax(1), found)
    return Predicted(values=found.reshape(len(found), -1))


def _catboost(model: Any, rows: Rows) -> Exported:
    import catboost

    # With its rows the file lists the categories' texts and not their hashes alone.
    pool = catboost.Pool(rows, cat_features=model.get_cat_feature_indices(), feature_names=model.feature_names_)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.json"
        model.save_model(str(path), format="json", pool=pool)
        exported = path.read_bytes()
    is_classifier = len(getattr(model, "classes_", ())) > 0

    def predict(rows: Rows) -> Predicted:
        import numpy as np

        if is_classifier:
            return Predicted(np.asarray(model.predict(rows, prediction_type="Class")).ravel(), model.predict(rows, prediction_type="Probability"))
        found = np.asarray(model.predict(rows))
        return Predicted(values=found.reshape(len(found), -1))

    return Exported(exported, model.feature_names_, predict)


def _onnx(model: bytes) -> Exported:
    runtime = importlib.util.find_spec("onnxruntime")
    return Exported(model, None, (lambda rows: _by_runtime(model, rows)) if runtime else None)


def _by_runtime(model: bytes, rows: Rows) -> Predicted:
    """What ONNX Runtime computes of a graph."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    kinds: dict[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(string)": object}
    columns = columns_of(rows, None)
    if len(inputs) == 1:
        matrix = np.stack([np.asarray(values, dtype=kinds.get(inputs[0].type, np.float32)) for _, _, values, _ in columns], axis=1)
        shape = [size if isinstance(size, int) else -1 for size in inputs[0].shape[1:]]
        given = {inputs[0].name: matrix.reshape(len(matrix), *shape)}
    else:
        own = {name: values for name, _, values, _ in columns}
        given = {it.name: np.asarray(own[it.name], dtype=kinds.get(it.type, np.float32)).reshape(-1, 1) for it in inputs}
    fixed = any(isinstance(it.shape[0], int) for it in inputs)
    count = len(next(iter(given.values())))
    steps: Sequence[slice] = [slice(row, row + 1) for row in range(count)] if fixed else [slice(0, count)]
    parts = [session.run(None, {name: values[step] for name, values in given.items()}) for step in steps]
    outputs = [np.concatenate([np.asarray(part[place]) for part in parts]) for place in range(len(parts[0]))]
    if outputs[0].dtype.kind in "iuOUS":
        is_matrix = len(outputs) > 1 and outputs[1].ndim == 2
        return Predicted(outputs[0].ravel(), outputs[1] if is_matrix else None)
    return Predicted(values=outputs[0].reshape(count, -1))


def _file(path: pathlib.Path) -> Exported:
    """A model's file, and the library that predicts with it where it is installed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}", remedy="give the path of a model's file, or a model") from error
    model: Any
    library = {".txt": "lightgbm", ".json": "xgboost", ".ubj": "xgboost"}.get(path.suffix, "")
    if b'"oblivious_trees"' in content:
        library = "catboost"
    if path.suffix == ".onnx" or not library:
        return _onnx(content)
    if importlib.util.find_spec(library) is None:
        return Exported(content, None, None)
    module = importlib.import_module(library)
    if library == "catboost":
        model = module.CatBoost()
        model.load_model(str(path), format="json")
        # Whether it is a classifier is not for `CatBoost` to say; its file has no labels then.
        return Exported(content, model.feature_names_, None)
    model = module.Booster(model_file=str(path))
    exported = _LIBRARIES[library](model, None)
    return Exported(content, exported.names, exported.predict)


_LIBRARIES: dict[str, Callable[[Any, Rows], Exported]] = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}

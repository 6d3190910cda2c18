"""Modules of PyTorch, by its own export to ONNX."""

from __future__ import annotations

import copy
import inspect
import io
import warnings
from typing import TYPE_CHECKING, Any

from ._tables import Rows, columns_of
from .errors import ExportError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The newest that every exporter since 1.13 writes and the compiler reads.
OPSET = 17


def is_module(model: Any) -> bool:
    """Whether it is a module, without importing PyTorch."""
    return any(own.__module__.startswith("torch.") for own in type(model).__mro__)


def exported(model: Any, rows: Rows) -> bytes:
    """The module's ONNX file, for rows of a matrix; the module stays as it is."""
    import torch

    module, sample = _evaluating(model), torch.as_tensor(_matrix(rows)[:2])
    # The exporter that traces: the newer one needs packages beside PyTorch.
    older = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    file = io.BytesIO()
    try:
        _outputs(model, module, sample)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module, (sample,), file, input_names=["input"], output_names=["output"], opset_version=OPSET,
                dynamic_axes={"input": {0: "rows"}, "output": {0: "rows"}}, **older,
            )
    except ExportError:
        raise
    except Exception as error:  # noqa: BLE001: modules and exporters raise whatever they like
        raise ExportError(
            f"{type(model).__name__} cannot be run and exported on rows of {sample.shape[1]} numbers: {error}",
            remedy="give a module that takes a float32 tensor of shape (rows, columns); wrap one that takes another shape in a module that "
            "reshapes its rows first",
        ) from error
    return file.getvalue()


def predicted(model: Any, rows: Rows) -> NDArray[Any]:
    """What the module computes of rows, of shape (rows, values)."""
    import torch

    found = _outputs(model, _evaluating(model), torch.as_tensor(_matrix(rows)))
    return found.reshape(len(found), -1).astype(float)


def _evaluating(model: Any) -> Any:
    """A copy that drops nothing and normalises by what it has learned, in 32 bits where the rows are."""
    return copy.deepcopy(model).cpu().float().eval()


def _outputs(model: Any, module: Any, rows: Any) -> NDArray[Any]:
    import torch

    with torch.no_grad():
        found = module(rows)
    if not isinstance(found, torch.Tensor) or found.shape[:1] != rows.shape[:1]:
        given = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
        raise ExportError(
            f"{type(model).__name__} makes {given} of {len(rows)} rows",
            remedy="give a module that makes one tensor whose first axis is the rows",
        )
    values: NDArray[Any] = found.numpy()
    return values


def _matrix(rows: Rows) -> NDArray[Any]:
    import numpy as np

    columns = columns_of(rows)
    texts = [name for name, kind, _, _ in columns if kind == "text"]
    if texts:
        raise ExportError(
            f"column {texts[0]!r} holds text, and a module of PyTorch takes numbers",
            remedy="encode the column as the module's training did",
        )
    return np.stack([np.asarray(values, dtype=np.float32) for _, _, values, _ in columns], axis=1)

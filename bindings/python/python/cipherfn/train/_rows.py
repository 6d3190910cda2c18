"""Rows and labels as tables, and labels as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _native
from .._tables import Column
from ..errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def classes_of(program: Mapping[str, Any], labels: NDArray[Any]) -> NDArray[Any]:
    """The classes of a program, of the type of labels."""
    import numpy as np

    return np.array([label_of(text, labels) for text in program["target"]["classes"]])


def labels_of(columns: Sequence[Column], y: Any) -> NDArray[Any]:
    """Labels of shape (rows,), one a row."""
    import numpy as np

    labels: NDArray[Any] = np.asarray(y)
    if not columns or labels.shape != (len(columns[0][2]),):
        rows = len(columns[0][2]) if columns else 0
        raise ArgumentError(f"y has shape {labels.shape}, X has {rows} rows", remedy="give one label a row")
    return labels


def label_of(text: str, labels: NDArray[Any]) -> Any:
    """The label that has this text, of the type of others.

    >>> import numpy as np
    >>> label_of("2", np.array([0, 1])), label_of("False", np.array([True])), label_of("no", np.array(["yes"]))
    (np.int64(2), False, np.str_('no'))
    """
    return text == "True" if labels.dtype == bool else labels.dtype.type(text)


def table_of(columns: Sequence[Column], target: str | None = None, labels: NDArray[Any] | None = None) -> _native.Table:
    """Columns, with the labels as texts beside them if there are any."""
    packed = [(name, form, values if form == "text" else values.tobytes(), _flags(valid)) for name, form, values, valid in columns]
    if target is None or labels is None:
        return _native.Table.from_columns(packed)
    texts: list[str | None] = [str(label) for label in labels]
    return _native.Table.from_columns([*packed, (target, "text", texts, None)])


def _flags(valid: Any) -> bytes | None:
    return None if valid is None else valid.tobytes()

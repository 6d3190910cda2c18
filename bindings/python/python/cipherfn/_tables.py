"""Tables in and out: pandas, polars, pyarrow, DuckDB, NumPy and dictionaries of columns."""

from __future__ import annotations

import csv
import datetime
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _native
from .errors import TableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Whatever has columns or can be made an array of rows; and what predictions come back as.
Rows: TypeAlias = Any
Frame: TypeAlias = Any
# A column's kind ("f4", "f8", "i8", "b1", "text"), its values, and a flag a value where some are missing.
Column: TypeAlias = "tuple[str, str, Any, NDArray[np.bool_] | None]"


def _is_from(value: object, library: str) -> bool:
    """Whether a value's class, or one that it derives from, is the library's, without importing it."""
    return library in sys.modules and any(own.__module__.split(".")[0] == library for own in type(value).__mro__)


def kind_of(rows: Rows) -> str:
    """Which library a table is of."""
    for library in ("pandas", "polars", "pyarrow", "duckdb"):
        if _is_from(rows, library):
            return library
    if isinstance(rows, Mapping):
        return "columns"
    return "arrow" if hasattr(rows, "__arrow_c_stream__") else "array"


def names_of(rows: Rows) -> list[str] | None:
    """Names of a table's columns; ``None`` for arrays, which have none.

    >>> names_of({"age": [31.0], "plan": ["pro"]})
    ['age', 'plan']
    """
    kind = kind_of(rows)
    if kind == "array":
        return None
    if kind == "columns":
        return [str(name) for name in rows]
    if kind == "pyarrow":
        return [str(name) for name in rows.schema.names]
    if kind == "arrow":
        return _native.Table.from_stream(rows.__arrow_c_stream__()).names
    if kind == "pandas" and not hasattr(rows, "columns"):
        raise TableError("one column was given where a table is needed", remedy="df[[name]] is a table of one column")
    return [str(name) for name in rows.columns]


def native(rows: Rows, names: Sequence[str] | None, *, days: bool = False) -> _native.Table:
    """A table on its way to what takes columns of these names, or all of them. Arrow tables are read where they are.

    ``days`` lets columns of dates through, as texts where they are no Arrow columns.
    """
    kind = kind_of(rows)
    if kind == "polars" and hasattr(rows, "collect"):  # lazy
        rows = rows.collect()
    if kind in ("polars", "pyarrow", "duckdb", "arrow") and hasattr(rows, "__arrow_c_stream__"):
        return _native.Table.from_stream(rows.__arrow_c_stream__())
    columns = []
    for name, form, values, valid in columns_of(rows, names, days=days):
        packed = values if form == "text" else values.tobytes()
        columns.append((name, form, packed, None if valid is None else valid.tobytes()))
    return _native.Table.from_columns(columns)


def columns_of(rows: Rows, names: Sequence[str] | None = None, *, days: bool = False) -> list[Column]:
    """A table's columns in the kinds that models take: only those of these names, if it has names itself.

    >>> [(name, kind) for name, kind, _, _ in columns_of([[1.5, 2.0]], ["a", "b"])]
    [('a', 'f8'), ('b', 'f8')]
    """
    own = names_of(rows)
    if own is None:
        return _of_array(rows, names)
    twice = {name for name in own if own.count(name) > 1}
    if twice:
        raise TableError(f"column {min(twice)!r} is there {own.count(min(twice))} times", remedy="give each column a name of its own")
    wanted = own if names is None else [name for name in names if name in own]
    if names is not None and len(wanted) < len(names):
        lacking = [name for name in names if name not in own]
        raise TableError(
            f"the table has no column {', '.join(map(repr, lacking))}; it has {', '.join(map(repr, own))}",
            remedy=f"rename columns, as with df.rename(columns={{...: {lacking[0]!r}}}), or add what is missing",
        )
    return [_column(name, value, days) for name, value in _series(rows, own) if name in wanted]


def _series(rows: Rows, own: list[str]) -> Iterable[tuple[str, Any]]:
    kind = kind_of(rows)
    if kind == "columns":
        return zip(own, rows.values(), strict=True)
    if kind == "pandas":
        return ((name, rows.iloc[:, place]) for place, name in enumerate(own))
    if kind == "polars":
        rows = rows.collect() if hasattr(rows, "collect") else rows
        return ((name, rows.get_column(name)) for name in own)
    try:
        import pyarrow
    except ImportError:
        raise TableError("reading this table here needs pyarrow", remedy="pip install pyarrow") from None
    table = pyarrow.table(rows)
    return ((name, table.column(name)) for name in own)


def _of_array(rows: Rows, names: Sequence[str] | None) -> list[Column]:
    import numpy as np

    if hasattr(rows, "toarray"):  # sparse
        rows = rows.toarray()
    array = np.asarray(rows)
    if array.dtype.names:
        return [_column(name, array[name]) for name in array.dtype.names]
    if array.ndim < 2:
        raise TableError(
            f"an array of shape {array.shape} is no table of rows",
            remedy="give shape (rows, columns): X.reshape(1, -1) makes one row, X.reshape(-1, 1) one column",
        )
    array = array.reshape(len(array), int(np.prod(array.shape[1:])))
    names = names if names is not None else [f"x{place}" for place in range(array.shape[1])]
    if len(names) != array.shape[1]:
        raise TableError(
            f"the array has {array.shape[1]} columns, the model takes {len(names)}: {', '.join(names)}",
            remedy="give its columns in this order, or a table that names them",
        )
    return [_column(name, array[:, place]) for place, name in enumerate(names)]


def _column(name: str, values: Any, days: bool = False) -> Column:
    import numpy as np

    valid: NDArray[np.bool_] | None = None
    if _is_from(values, "pandas"):
        if isinstance(values.dtype, sys.modules["pandas"].CategoricalDtype):
            values = values.astype(object)
        missing = values.isna().to_numpy()
        if hasattr(values.array, "_mask"):  # numbers and truth values that may be missing
            kind = values.dtype.kind if hasattr(values.dtype, "kind") else "O"
            values = values.to_numpy(dtype={"i": np.int64, "u": np.uint64, "b": np.bool_}.get(kind, np.float64), na_value=0)
        else:
            values = values.to_numpy()
        valid = None if not missing.any() else ~missing
    elif _is_from(values, "polars"):
        missing = values.is_null().to_numpy()
        polars = sys.modules["polars"]
        if values.dtype in (polars.String, polars.Categorical, polars.Enum):
            values = np.array(values.cast(polars.String).to_list(), dtype=object)
        else:
            values = (values.fill_null(0) if values.dtype.is_numeric() else values.fill_null(False)).to_numpy()
        valid = None if not missing.any() else ~missing
    elif _is_from(values, "pyarrow"):
        values = np.array(values.to_pylist(), dtype=object)
    array = np.ascontiguousarray(values)
    kind = array.dtype.kind
    if array.ndim != 1:
        raise TableError(f"column {name!r} has shape {array.shape}", remedy="give one value a row")
    if kind == "O":
        return _objects(name, array, days)
    if kind == "M" and days:
        return _days(name, array)
    if kind in "US":
        return name, "text", [str(text) for text in array], valid
    if kind == "b":
        return name, "b1", array, valid
    if kind == "f":
        return (name, "f4", array.astype(np.float32), valid) if array.itemsize <= 4 else (name, "f8", array.astype(np.float64), valid)
    if kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise TableError(f"column {name!r} has {array.max()}, more than 64-bit integers hold", remedy="convert it to float64")
    if kind in "iu":
        return name, "i8", array.astype(np.int64), valid
    raise TableError(
        f"column {name!r} is {array.dtype}, which no model takes",
        remedy="convert it to numbers, text or booleans, or leave it out",
    )


def _days(name: str, array: NDArray[Any]) -> Column:
    """A column of times, all of them midnights: days as texts.

    >>> import numpy as np
    >>> _days("day", np.array(["2024-02-29", "NaT"], dtype="M8[s]"))[2]
    ['2024-02-29', None]
    """
    import numpy as np

    whole = array.astype("M8[D]")
    missing = np.isnat(array)
    late = np.flatnonzero((whole != array) & ~missing)
    if late.size:
        raise TableError(f"column {name!r} has times of day: {array[late[0]]}", remedy='days go: df[name].dt.normalize(), or .astype("M8[D]")')
    return name, "text", [None if gone else str(day) for day, gone in zip(whole, missing, strict=True)], None


def _objects(name: str, array: NDArray[Any], days: bool = False) -> Column:
    """A column of Python's objects: all texts, all truth values or all numbers, some of which may be missing."""
    import numpy as np

    def is_missing(value: Any) -> bool:
        return value is None or value != value or type(value).__name__ == "NAType"

    missing = np.array([is_missing(value) for value in array], dtype=bool)
    there = array[~missing]
    valid = ~missing if missing.any() else None
    if all(isinstance(value, str) for value in there):
        return name, "text", [None if gone else value for value, gone in zip(array, missing, strict=True)], None
    if all(isinstance(value, (bool, np.bool_)) for value in there):
        return name, "b1", np.where(missing, False, array).astype(bool), valid
    if all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in there):
        return name, "i8", np.where(missing, 0, array).astype(np.int64), valid
    if all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in there):
        return name, "f8", np.where(missing, np.nan, array).astype(np.float64), valid
    if days and all(type(value) is datetime.date for value in there):
        return name, "text", [None if gone else value.isoformat() for value, gone in zip(array, missing, strict=True)], None
    kinds = sorted({type(value).__name__ for value in there})
    raise TableError(
        f"column {name!r} holds values of {', '.join(kinds)}",
        remedy="convert it to one kind: numbers, text (df[name].astype(str)) or booleans",
    )


def as_csv(columns: Iterable[Column]) -> bytes:
    r"""Columns as the compiler reads them; numbers keep all their digits.

    >>> as_csv(columns_of({"a": [0.1, None], "b": ["x", "y,z"]}))
    b'a,b\n0.1,x\n,"y,z"\n'
    """
    names, cells = [], []
    for name, kind, values, valid in columns:
        names.append(name)
        if kind == "text":
            texts = ["" if value is None else value for value in values]
        elif kind in ("f4", "f8"):
            texts = ["" if value != value else repr(value) for value in values.astype("f8").tolist()]
        else:
            texts = [str(value) for value in values.tolist()]
        cells.append(texts if valid is None else [text if there else "" for text, there in zip(texts, valid, strict=True)])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    # A row of one empty cell would be an empty line.
    for row in zip(*cells, strict=True):
        out.write('""\n') if row == ("",) else writer.writerow(row)
    return out.getvalue().encode()


def arrays(source: _native.Predictions | _native.FrameAnswer) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Columns as arrays by name, each with a flag a row that says whether it is there."""
    import numpy as np

    found = {}
    for place, name in enumerate(source.names):
        kind, values, valid = source.column(place)
        array = np.array(values, dtype=object) if isinstance(values, list) else np.frombuffer(values, dtype=kind)
        found[name] = (array, np.frombuffer(valid, dtype=np.uint8).astype(bool))
    return found


def frame(predictions: _native.Predictions, like: Rows, notes: Mapping[str, list[str | None]]) -> Frame:
    """Predictions as a table of the library that the rows came from, with columns of notes behind."""
    kind = kind_of(like)
    made = table(predictions, kind, notes)
    if kind == "pandas":
        made.index = like.index
    return made


def table(source: _native.Predictions | _native.FrameAnswer, kind: str, notes: Mapping[str, list[str | None]] | None = None) -> Frame:
    """Columns as a table of a library, with columns of notes behind."""
    import numpy as np

    notes = notes or {}
    if kind == "polars":
        import polars

        table = polars.DataFrame(source)
        return table.with_columns([polars.Series(name, texts, dtype=polars.String) for name, texts in notes.items()])
    if kind in ("pyarrow", "duckdb"):
        import pyarrow

        table = pyarrow.table(source)
        for name, texts in notes.items():
            table = table.append_column(name, pyarrow.array(texts, type=pyarrow.string()))
        return table
    columns: dict[str, Any] = {}
    for name, (values, valid) in arrays(source).items():
        columns[name] = values if valid.all() else _gaps(values, valid, kind)
    columns |= {name: np.array(texts, dtype=object) for name, texts in notes.items()}
    if kind != "pandas":
        return columns
    import pandas

    return pandas.DataFrame(columns)


def _gaps(values: NDArray[Any], valid: NDArray[np.bool_], kind: str) -> Any:
    """Values of which some are missing, as pandas or NumPy have them."""
    import numpy as np

    if values.dtype.kind == "f":
        return np.where(valid, values, np.nan).astype(values.dtype)
    if values.dtype.kind == "M":
        return np.where(valid, values, np.datetime64("NaT"))
    if kind == "pandas" and values.dtype.kind in "ib":
        import pandas

        form = pandas.arrays.IntegerArray if values.dtype.kind == "i" else pandas.arrays.BooleanArray
        return form(values.copy(), ~valid)
    objects = values.astype(object)
    objects[~valid] = None
    return objects

"""Schemas of frames: what is public of them, and what may be asked of each column."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from .. import _native
from .._tables import Rows, kind_of, native
from ..errors import ArgumentError
from ._expression import literal

if TYPE_CHECKING:
    from typing_extensions import Self

# Fields of a column, by their names in documents.
_FIELDS = ("type", "min", "max", "places", "dictionary", "nulls", "roles", "limb-bits")


class Schema:
    """Names, types, ranges and dictionaries of a frame's columns, and what each is encrypted for. All of it is public.

    A column's *roles* are ``"value"`` (returned, summed) and ``"key"`` (joined, grouped, filtered); *look-ups* let rows of other
    frames find those of this one. Schemas do not change: methods give another one.

    >>> schema = Schema.infer({"sku": [1, 3], "price": [10.0, 6.75]}, name="prices")
    >>> schema = schema.column("sku", min=0, max=63).lookup(by="sku", columns=["price"])
    >>> schema.columns["price"]
    {'type': 'decimal', 'min': 6.75, 'max': 10, 'places': 2, 'roles': ['value']}
    """

    def __init__(self, native: _native.FrameSchema) -> None:
        self._native = native

    @classmethod
    def infer(cls, rows: Rows, *, name: str, like: Schema | None = None) -> Self:
        """The narrowest types and ranges that hold every cell of a table.

        Texts, dates, truth values and small whole numbers become keys, numbers values. Columns that ``like`` has by the same name
        are taken from there: keys of frames that are merged must be of one range or dictionary.
        """
        if kind_of(rows) == "array":
            raise ArgumentError("an array's columns have no names", remedy='give a table, or a dictionary: {"age": X[:, 0]}')
        schema = cls(_native.FrameSchema.infer(native(rows, None, days=True), name))
        for column, fields in ({} if like is None else like.columns).items():
            if column in schema.columns:
                schema = schema.column(column, **{field.replace("-", "_"): fields.get(field) for field in _FIELDS})
        return schema

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """From a TOML file, as `cipherfn frame schema` writes it."""
        return cls(_native.FrameSchema.from_toml(pathlib.Path(path).read_text(encoding="utf-8")))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a TOML file, to be edited."""
        pathlib.Path(path).write_text(self._native.to_toml(), encoding="utf-8")

    def __repr__(self) -> str:
        return f"Schema({self.name!r}: {', '.join(self.columns)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._document == other._document

    def __hash__(self) -> int:
        return hash(self._native.to_json())

    @property
    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._native.to_json())
        return document

    @property
    def name(self) -> str:
        """Name of the frame, by which plans know it."""
        return str(self._document["name"])

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Of each column its type, range, decimals, dictionary and roles, as the TOML file has them."""
        return {column.pop("name"): column for column in self._document["column"]}

    @property
    def lookups(self) -> list[dict[str, Any]]:
        """By which columns rows of other frames find those of this one, and what they get."""
        found: list[dict[str, Any]] = self._document.get("lookup", [])
        return found

    def column(self, name: str, **fields: Any) -> Self:
        """Another schema, with these fields of a column: ``type``, ``min``, ``max``, ``places``, ``dictionary``, ``nulls``,
        ``roles`` and ``limb_bits`` (smaller limbs make sums more exact and frames larger); ``None`` leaves one out."""
        document = self._document
        found = [column for column in document["column"] if column["name"] == name]
        if not found:
            raise ArgumentError(f"the schema has no column {name!r}; it has {', '.join(map(repr, self.columns))}")
        for field, value in fields.items():
            key = field.replace("_", "-")
            if key not in _FIELDS:
                raise ArgumentError(f"a column has no field {field!r}", remedy=f"its fields are {', '.join(_FIELDS)}".replace("-", "_"))
            if key in ("min", "max"):
                value = literal(value)
            found[0][key] = value
            if value is None:
                del found[0][key]
        return self._of(document)

    def lookup(self, by: str | Sequence[str], columns: Sequence[str] = (), duplicates: Literal["refuse", "sum"] = "refuse") -> Self:
        """Another schema, by which rows of other frames look these columns up by one or two key columns.

        Rows of equal keys are refused when the frame is encrypted, or added with ``duplicates="sum"``.
        """
        document = self._document
        keys = [by] if isinstance(by, str) else list(by)
        document.setdefault("lookup", []).append({"by": keys, "columns": list(columns), "duplicates": duplicates})
        return self._of(document)

    def _of(self, document: dict[str, Any]) -> Self:
        return type(self)(_native.FrameSchema.from_json(json.dumps(document)))

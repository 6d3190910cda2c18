"""Tables in the clear: price lists and feature stores of whoever evaluates."""

from __future__ import annotations

import os
import pathlib
import secrets

from .. import _native
from .._client import Client
from .._progress import Progress, telling
from .._tables import Rows, kind_of, native
from ..errors import ArgumentError
from ._schema import Schema


class ClearTable:
    """A table in the clear, with which frames merge from the left or by inner: made by `clear_table`, `load_table` and `published_table`.

    Its rows are gone over by nobody: it is looked up by the keys of frames, and groups and conditions may be of its columns.
    """

    def __init__(self, native: _native.ClearTable) -> None:
        self._native = native

    @property
    def name(self) -> str:
        """Its schema's name, by which queries know it."""
        return self.schema.name

    @property
    def schema(self) -> Schema:
        """What is public of it: columns, ranges, number of rows."""
        return Schema(self._native.schema)

    @property
    def has_cells(self) -> bool:
        """Whether its cells are here; of a published one the service has them."""
        return self._native.has_cells

    def __len__(self) -> int:
        return self._native.rows

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table with its cells: a file for `load_table` and for `cipherfn frame`, which publishes it."""
        pathlib.Path(path).write_bytes(self._native.to_bytes())

    def save_document(self, path: str | os.PathLike[str]) -> None:
        """Writes what is public of it, for those who ask and decrypt."""
        pathlib.Path(path).write_text(self._native.document(), encoding="utf-8")

    def __repr__(self) -> str:
        return f"ClearTable({self.name!r}, {len(self)} rows)"


def clear_table(rows: Rows, schema: Schema | str | os.PathLike[str], *, progress: Progress = False) -> ClearTable:
    """Makes a table in the clear of a table and a schema with look-ups, or the TOML file of one. Keys are unique.

    >>> prices = {"sku": [1, 3], "price": [10.0, 6.75]}
    >>> schema = Schema.infer(prices, name="prices").column("sku", min=0, max=63).lookup("sku", ["price"])
    >>> clear_table(prices, schema)
    ClearTable('prices', 2 rows)
    """
    if kind_of(rows) == "array":
        raise ArgumentError("an array's columns have no names", remedy='give a table, or a dictionary: {"sku": X[:, 0]}')
    if not isinstance(schema, Schema):
        schema = Schema.read(schema)
    with telling(progress, rows) as tell:
        own = native(rows, list(schema.columns), days=True)
        return ClearTable(_native.ClearTable.make(own, schema._native, secrets.token_bytes(32), tell))


def load_table(path: str | os.PathLike[str]) -> ClearTable:
    """Reads a table of `ClearTable.save` or `cipherfn frame table`, or the document that has what is public of one."""
    return ClearTable(_native.ClearTable.from_bytes(pathlib.Path(path).read_bytes()))


def published_table(client: Client, name: str) -> ClearTable:
    """A table that a service has published: queries name it and its version, the service has the cells."""
    with telling(False) as tell:
        return ClearTable(_native.ClearTable.find(client._service, name, tell))

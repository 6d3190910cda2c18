"""Encrypted frames: here, in files, and kept by a service."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence

from .. import _native
from .._client import Client
from .._progress import Progress, telling
from .._tables import Rows, kind_of, native
from ..errors import ArgumentError
from ._models import LinearModel
from ._query import Plan, Query, Source, To
from ._schema import Schema
from ._tables import ClearTable


class Keys:
    """The keys that frames are encrypted under: frames of one query need the same.

    Parameters
    ----------
    folder
        Folder of a key ring, where they are made if it has none: who has the folder can decrypt. Without one they are forgotten
        with the object.

    >>> Keys().id == Keys().id
    False
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._native = _native.FrameKeys.make(folder)

    @property
    def id(self) -> str:
        """Names the secret key; tells nothing of it."""
        return self._native.id


# Keys of this process, for frames that say none.
_own: list[Keys] = []


def _keys(keys: Keys | str | os.PathLike[str] | None) -> Keys:
    if isinstance(keys, Keys):
        return keys
    if keys is not None:
        return Keys(keys)
    if not _own:
        _own.append(Keys())
    return _own[0]


class EncryptedFrame(Source):
    """An encrypted table, with the keys to decrypt what is asked of it. Made by `encrypt` and `load`.

    Its methods are those of `Query`: ``frame.filter(...).group_by(...).agg(...).collect()``.
    """

    def __init__(self, native: _native.Frame, keys: Keys, kind: To) -> None:
        self._native = native
        self._keys = keys._native
        self._kind = kind
        # By a service's address what it keeps.
        self._kept: dict[str, KeptFrame] = {}

    def __repr__(self) -> str:
        return f"EncryptedFrame({self.name!r}, {len(self)} rows)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the encrypted frame, without any key: a file for `load`, and for `cipherfn frame`."""
        pathlib.Path(path).write_bytes(self._native.to_bytes())

    def upload(self, client: Client, *, progress: Progress = False) -> KeptFrame:
        """Lets a service keep it, and registers the evaluation key: the client's keys have to be the frame's."""
        with telling(progress, unit="bytes") as tell:
            kept = KeptFrame(self._native.upload(client._service, tell), client)
        self._kept[client.url] = kept
        return kept

    def _at(self, client: Client) -> Source:
        found = self._kept.get(client.url)
        if found is None:
            remedy = f"{self.name}.upload(client) lets it keep this frame; frame.kept(client, {self.name!r}) finds one that it keeps already"
            raise ArgumentError(f"frame {self.name!r} is here, and the query is for {client.url}", remedy=remedy)
        return found


class KeptFrame(Source):
    """A frame that a service keeps: made by `EncryptedFrame.upload` and `kept`. Its methods are those of `Query`."""

    def __init__(self, native: _native.KeptFrame, client: Client) -> None:
        self._native = native
        self._keys = None
        self._client = client

    def __repr__(self) -> str:
        return f"KeptFrame({self.name!r}, {len(self)} rows, id {self.id!r})"

    @property
    def id(self) -> str:
        """Names it at the service."""
        return str(self._native.id)

    def delete(self) -> None:
        """Deletes it from the service."""
        self._client.delete_frame(self.id)

    def _at(self, client: Client) -> Source:
        if client.url != self._client.url:
            raise ArgumentError(f"frame {self.name!r} is kept by {self._client.url}, not by {client.url}", remedy="upload it there")
        return self


def encrypt(
    rows: Rows,
    schema: Schema | str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    keys: Keys | str | os.PathLike[str] | None = None,
    gadget: tuple[int, int] = (6, 4),
    pad_to: int | None = None,
    hash_names: bool = False,
    progress: Progress = False,
) -> EncryptedFrame:
    """Encrypts a table.

    Parameters
    ----------
    rows
        A table of pandas, polars, pyarrow or DuckDB, or a dictionary of columns; its columns go by name. NaN is a missing cell.
    schema
        What is public of it and may be asked of it, or the TOML file that says so; streams, which are read once, need one. Otherwise
        `Schema.infer`, whose ranges are those of the cells, and public.
    name
        Name of the frame where no schema is given, by which queries in SQL know it.
    keys
        `Keys`, or the folder of a key ring; otherwise keys of this process, which are forgotten with it.
    gadget
        Bits of a digit and number of digits of the encrypted bits: more digits make answers more exact and evaluation slower. All
        frames of a query have the same.
    pad_to
        Rows to pad to, which hides how many there are.
    hash_names
        Whether the names of the frame and its columns and the texts of dictionaries are sent as keyed hashes, by a secret that the key
        ring of ``keys`` makes once and keeps. Queries have the names all the same.

    Examples
    --------
    >>> frame = encrypt({"sku": [1, 3, 2], "region": ["north", "south", "north"]}, name="sales")
    >>> frame
    EncryptedFrame('sales', 3 rows)
    >>> frame.value_counts("region").collect()
    {'region': array(['north', 'south'], dtype=object), 'count': array([2, 1])}
    """
    kind = kind_of(rows)
    if kind == "array":
        raise ArgumentError("an array's columns have no names", remedy='give a table, or a dictionary: {"age": X[:, 0]}')
    if schema is None:
        if name is None:
            raise ArgumentError("a frame has a name", remedy='encrypt(df, name="sales"), or give a schema')
        if kind == "arrow" or (kind == "pyarrow" and not hasattr(rows, "num_rows")):
            raise ArgumentError("a stream is read once, and its schema is not known", remedy="give a schema, or a table: stream.read_all()")
        schema = Schema.infer(rows, name=name)
    elif name is not None:
        raise ArgumentError("the name is the schema's", remedy="leave name= out")
    if not isinstance(schema, Schema):
        schema = Schema.read(schema)
    own = native(rows, list(schema.columns), days=True)
    with telling(progress, rows) as tell:
        found = _keys(keys)
        settings = {"gadget": gadget, "pad_to": pad_to, "hash_names": hash_names}
        frame = _native.Frame.encrypt(own, schema._native, found._native, settings, tell)
    return EncryptedFrame(frame, found, "pyarrow" if kind in ("duckdb", "arrow") else kind)  # type: ignore[arg-type]


def load(path: str | os.PathLike[str], *, keys: Keys | str | os.PathLike[str]) -> EncryptedFrame:
    """Reads an encrypted frame: a file of `EncryptedFrame.save` or `cipherfn frame encrypt`, and the keys that it was encrypted under.

    Names that were hashed are those that the key ring of ``keys`` knows.
    """
    found = _keys(keys)
    return EncryptedFrame(_native.Frame.from_bytes(pathlib.Path(path).read_bytes(), found._native), found, "columns")


def kept(client: Client, name: str) -> KeptFrame:
    """A frame that a service keeps, by its name, or by its id where several have one name."""
    with telling(False) as tell:
        return KeptFrame(_native.KeptFrame.find(client._service, name, tell), client)


def sql(query: str, *frames: Source | ClearTable, models: Sequence[LinearModel] = ()) -> Query:
    """A query in SQL over these frames and tables in the clear, which it knows by their names, and models.

    One ``SELECT`` of columns, expressions and aggregates ``FROM`` a frame, ``[LEFT | INNER] JOIN ... ON a.key = b.key``, ``WHERE``,
    ``GROUP BY``; ``MODEL(risk, age, bmi)`` is the score of a model. Everything else is refused by what it is and where it stands.

    >>> sales = encrypt({"sku": [1, 3, 2], "amount": [12.5, 7.25, 40.0]}, name="sales")
    >>> sql("SELECT SUM(amount) AS total FROM sales WHERE sku < 3", sales).collect()
    {'total': array([52.5])}
    """
    plan = json.loads(_native.FrameQuery.read(query, [frame._native for frame in frames]))
    return Query(Plan(plan["scan"], frames, tuple(plan["steps"]), tuple(models)))

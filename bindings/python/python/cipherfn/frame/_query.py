"""What is asked of frames, step by step, before anything is evaluated."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .. import _native
from .._progress import Progress, telling
from .._tables import Frame, table
from ..errors import ArgumentError
from ._expression import Aggregate, Cell, Document, Expression, col, len as rows
from ._models import LinearModel
from ._schema import Schema
from ._tables import ClearTable

if TYPE_CHECKING:
    from .._client import Client

To: TypeAlias = Literal["pandas", "polars", "pyarrow", "columns"]
# pandas' words for aggregates.
_WORDS = {"size": "len", "nunique": "n_unique"}
_FUNCTIONS = ("count", "sum", "mean", "min", "max", "median", "n_unique")


@dataclasses.dataclass(frozen=True)
class Plan:
    """A query's parts."""

    # Name of the scanned frame.
    scan: str
    # All frames, and tables in the clear.
    frames: tuple[Source | ClearTable, ...]
    steps: tuple[Document, ...]
    # Those whose scores it takes.
    models: tuple[LinearModel, ...] = ()


class Steps:
    """What frames and queries have in common: each method gives a query of one more step."""

    def _plan(self) -> Plan:
        raise NotImplementedError

    def _then(
        self, *steps: Document, frames: tuple[Source | ClearTable, ...] = (), models: tuple[LinearModel, ...] = ()
    ) -> Query:
        plan = self._plan()
        known = plan.frames + tuple(frame for frame in frames if not any(frame is own for own in plan.frames))
        named = plan.models + tuple(model for model in models if not any(model is own for own in plan.models))
        return Query(Plan(plan.scan, known, plan.steps + steps, named))

    def filter(self, *conditions: Expression) -> Query:
        """The rows for which all conditions on key columns are true; where one is missing, the row is left out."""
        models = tuple(model for condition in conditions for model in condition.models)
        return self._then(*({"filter": condition.document} for condition in conditions), models=models)

    def select(self, *names: str) -> Query:
        """These columns, in this order."""
        for name in names:
            if not isinstance(name, str):
                raise ArgumentError(f"select takes names of columns, not {name!r}", remedy="with_columns(NAME=...) before names what is computed")
        return self._then({"select": list(names)})

    def rename(self, names: Mapping[str, str]) -> Query:
        """Other names: ``{"old": "new"}``."""
        return self._then({"rename": [{"from": old, "to": new} for old, new in names.items()]})

    def with_columns(self, *expressions: Expression, **named: Expression) -> Query:
        """More columns, or others in place of some: ``with_columns(net=col("price") * 0.8)``. All are of the columns so far."""
        columns: list[tuple[str, Expression]] = []
        for expression in expressions:
            if expression.name is None:
                raise ArgumentError(f"{expression!r} has no name", remedy='.alias("NAME"), or with_columns(NAME=...)')
            columns.append((expression.name, expression))
        columns += named.items()
        for place, (name, _) in enumerate(columns):
            if any(name in _columns(later.document) for _, later in columns[place + 1 :]):
                raise ArgumentError(
                    f"column {name!r} is replaced, and another expression of the same call takes it",
                    remedy="call with_columns once for each; the later one gets the new column",
                )
        models = tuple(model for _, of in columns for model in of.models)
        return self._then(*({"with_column": {"name": name, "of": of.document}} for name, of in columns), models=models)

    def one_hot(self, column: str, cells: Iterable[Cell]) -> Query:
        """A column for each of these cells of a key column, true where it is that: ``region_north``."""
        return self.with_columns(*((col(column) == cell).alias(f"{column}_{cell}") for cell in cells))

    def fill_null(self, cells: Mapping[str, Cell]) -> Query:
        """Cells where they are missing, by column."""
        return self.with_columns(**{name: col(name).fill_null(cell) for name, cell in cells.items()})

    def merge(
        self,
        right: Source | ClearTable,
        on: str | Sequence[str] | None = None,
        *,
        left_on: str | Sequence[str] | None = None,
        right_on: str | Sequence[str] | None = None,
        how: Literal["left", "inner", "right"] = "inner",
        validate: Literal["m:1", "m:m"] = "m:1",
        indicator: bool | str = False,
        suffix: str = "_right",
    ) -> Query:
        """Columns of another frame, or of a table in the clear, beside each row, by one or two key columns by which its schema has a
        look-up.

        ``how`` says which rows remain: all so far (``"left"``), those with a partner (``"inner"``), or all of the other frame
        (``"right"``, as the first step). ``validate="m:m"`` takes frames whose rows of equal keys were added. ``indicator`` is a column
        that says ``"both"`` or ``"left_only"``: ``"_merge"``, or as it is called. ``suffix`` goes to names that are taken.
        """
        left, other = _keys(on, left_on, right_on)
        merge = {
            "right": right.name,
            "on": [{"left": own, "right": its} for own, its in zip(left, other, strict=True)],
            "how": how,
            "validate": validate,
            "indicator": "_merge" if indicator is True else indicator or None,
            "suffix": suffix,
        }
        return self._then({"merge": merge}, frames=(right,))

    # As polars has it.
    join = merge

    def sort(self, *by: str | Sequence[str], descending: bool | Sequence[bool] = False, nulls_last: bool = False) -> Query:
        """Rows in the order of these columns, the first one foremost, missing cells first; equal ones stay in their order. The key
        holder's step, of exact cells. ``descending`` for all of them, or for each."""
        names = [name for names in by for name in ([names] if isinstance(names, str) else names)]
        each = [descending] * len(names) if isinstance(descending, bool) else list(descending)
        if len(each) != len(names):
            raise ArgumentError(f"descending has {len(each)} entries for {len(names)} columns", remedy="give one a column, or one for all")
        columns = [{"column": name, "descending": down, "nulls_last": nulls_last} for name, down in zip(names, each, strict=True)]
        return self._then({"sort": columns})

    def unique(self) -> Query:
        """Each row once, where it first stands: the key holder's step, of exact cells."""
        return self._then("distinct")

    def group_by(self, *keys: str | Sequence[str]) -> GroupBy:
        """Groups by up to two key columns; ``.agg(...)`` says what each has."""
        return GroupBy(self, [name for key in keys for name in ([key] if isinstance(key, str) else key)])

    # As pandas has it.
    groupby = group_by

    def agg(self, *aggregates: Aggregate | Mapping[str, str], **named: Aggregate | tuple[str, str]) -> Query:
        """One row of all rows."""
        return self.group_by().agg(*aggregates, **named)

    def value_counts(self, column: str) -> Query:
        """How often each cell of a key column occurs, as column ``count``."""
        return self.group_by(column).agg(rows().alias("count"))

    def crosstab(self, index: str, columns: str) -> Query:
        """How often each combination of two key columns' cells occurs, a row a combination, as column ``count``."""
        return self.group_by(index, columns).agg(rows().alias("count"))

    # As pandas has it.
    drop_duplicates = unique

    def slice(self, offset: int, length: int | None = None) -> Query:
        """So many rows behind the first ones, or all of them: the key holder's step."""
        if offset < 0 or (length is not None and length < 0):
            raise ArgumentError(f"slice({offset}, {length}) counts from the end", remedy="numbers of rows from the start, 0 or more")
        return self._then({"slice": {"offset": offset, "length": length}})

    def head(self, n: int = 5) -> Query:
        """The first rows: the key holder's step."""
        return self.slice(0, n)

    # As polars has it.
    limit = head

    def explain(self, *, min_bits: float | None = 8, stages: bool = False) -> str:
        """Steps as a tree, what they become, what they take, and what each column of the answer will be worth.

        ``min_bits`` and ``stages`` as of `collect`; nothing is evaluated.
        """
        return self._prepared(min_bits, stages).explain()

    def bits(self, *, min_bits: float | None = 8) -> dict[str, float | None]:
        """Bits of its range that each column of the answer will be worth; ``None`` where it is exact."""
        return dict(self._prepared(min_bits, False).bits())

    def collect(
        self,
        client: Client | None = None,
        *,
        min_bits: float | None = 8,
        stages: bool = False,
        to: To | None = None,
        rows_a_part: int | None = None,
        progress: Progress = False,
    ) -> Frame:
        """Evaluates the query and decrypts the answer.

        Parameters
        ----------
        client
            A service that keeps the frames (`EncryptedFrame.upload`): it evaluates. Otherwise this machine does.
        min_bits
            Bits of its range that every column of the answer must be worth, or ``None`` for all of them. What falls short is refused,
            `PlanError`, by the step that spends them, before anything is evaluated. Numbers end with the digit in which their error begins.
        stages
            Carry out what whoever evaluates cannot choose by itself: filters and groups by looked-up or computed columns, products of
            values, steps behind groups. Rows are then decrypted here and encrypted again, once for each stage but the last; `explain` shows
            the stages. Otherwise such a query is refused (`PlanError`).
        to
            Library of the answer's table; otherwise that of the table which the scanned frame was encrypted from, or a dictionary of
            arrays. Decimals are exact in polars and pyarrow, and the nearest floats in pandas and arrays.
        rows_a_part
            Let invocations of the service share the query, each so many rows, a multiple of 64. Otherwise they do where it takes longer
            than a request may.
        """
        plan = self._plan()
        frames = [frame for frame in plan.frames if isinstance(frame, Source)]
        tables = [frame for frame in plan.frames if isinstance(frame, ClearTable)]
        scanned = next((frame for frame in frames if frame.name == plan.scan), None)
        kind: To = to if to is not None else "columns" if scanned is None else scanned._kind
        here = [frame._keys for frame in frames if frame._keys is not None]
        if client is None and len(here) == len(frames):
            query = self._prepared(min_bits, stages)
            with telling(progress) as tell:
                answer = query.collect([frame._native for frame in frames], [own._native for own in tables], here[0], tell)
            return table(answer, kind)
        client = client or next(frame._client for frame in frames if frame._keys is None)
        stored = [frame._at(client)._native for frame in frames]
        query = self._prepared(min_bits, stages, stored)
        with telling(progress) as tell:
            answer = query.ask(client._service, stored, [own._native for own in tables], rows_a_part, tell)
        return table(answer, kind)

    def _prepared(self, min_bits: float | None, stages: bool, stored: Sequence[Any] | None = None) -> _native.FrameQuery:
        """The query for its frames as they are here, or as a service keeps them."""
        plan = self._plan()
        frames = [frame for frame in plan.frames if isinstance(frame, Source)]
        names = [frame.name for frame in plan.frames]
        for name in names:
            if names.count(name) > 1:
                raise ArgumentError(f"two frames are called {name!r}", remedy="encrypt one of them with another name")
        called = [model.name for model in plan.models]
        for name in called:
            if called.count(name) > 1:
                raise ArgumentError(f"two models are called {name!r}", remedy="give one of them another name=")
        given: list[Any] = [frame._native for frame in frames] if stored is None else list(stored)
        given += [frame._native for frame in plan.frames if isinstance(frame, ClearTable)]
        asked = {
            "min_bits": min_bits,
            "stages": stages,
            "models": [model._native for model in plan.models],
            "by_service": stored is not None or any(frame._keys is None for frame in frames),
        }
        return _native.FrameQuery(json.dumps({"format": 3, "scan": plan.scan, "steps": plan.steps}), given, asked)


class Source(Steps):
    """A frame that queries take, here or kept by a service."""

    _native: Any
    # What decrypts the answer here; None of a frame that is not.
    _keys: _native.FrameKeys | None
    _kind: To = "columns"
    _client: Client

    @property
    def name(self) -> str:
        """Its schema's name."""
        return self.schema.name

    @property
    def schema(self) -> Schema:
        """What is public of it: columns, ranges, roles, number of rows."""
        return Schema(self._native.schema)

    def __len__(self) -> int:
        return int(self._native.rows)

    def _plan(self) -> Plan:
        return Plan(self.name, (self,), ())

    def _at(self, client: Client) -> Source:
        """The same as that service keeps it."""
        raise NotImplementedError


class Query(Steps):
    """A sequence of steps over encrypted frames. Nothing is evaluated before `collect`."""

    def __init__(self, plan: Plan) -> None:
        self._own = plan

    def _plan(self) -> Plan:
        return self._own

    def __repr__(self) -> str:
        words = [step if isinstance(step, str) else next(iter(step)) for step in self._own.steps]
        return f"Query({' -> '.join([self._own.scan, *words])})"


class GroupBy:
    """Groups without aggregates."""

    def __init__(self, of: Steps, keys: list[str]) -> None:
        self._of = of
        self._keys = keys

    def agg(self, *aggregates: Aggregate | Mapping[str, str], **named: Aggregate | tuple[str, str]) -> Query:
        """What each group has.

        ``agg(sum("amount"), n=len())`` as in polars, ``agg({"amount": "sum"})`` and ``agg(total=("amount", "sum"))`` as in pandas.
        """
        found: list[Aggregate] = []
        for aggregate in aggregates:
            if isinstance(aggregate, Mapping):
                found += [_aggregate(column, function) for column, function in aggregate.items()]
            else:
                found.append(aggregate)
        for name, wanted in named.items():
            found.append((wanted if isinstance(wanted, Aggregate) else _aggregate(*wanted)).alias(name))
        listed = [{"name": own.name, "of": own.document} for own in found]
        return self._of._then({"group_by": {"keys": self._keys, "aggregates": listed}})


def _aggregate(column: str, function: str) -> Aggregate:
    word = _WORDS.get(function, function)
    if word == "len":
        return rows().alias(column)
    if word not in _FUNCTIONS:
        raise ArgumentError(
            f"no aggregate is called {function!r}", remedy=f"there are {', '.join(_FUNCTIONS)} and len; quantiles are col(NAME).quantile(0.9)"
        )
    found: Aggregate = getattr(col(column), word)()
    return found


def _keys(
    on: str | Sequence[str] | None, left_on: str | Sequence[str] | None, right_on: str | Sequence[str] | None
) -> tuple[list[str], list[str]]:
    if (on is None) == (left_on is None) or (left_on is None) != (right_on is None):
        raise ArgumentError("a merge needs its key columns", remedy="on=NAME, or left_on=NAME and right_on=NAME")
    left, right = (on, on) if on is not None else (left_on, right_on)
    keys = [[side] if isinstance(side, str) else list(side or ()) for side in (left, right)]
    if len(keys[0]) != len(keys[1]):
        raise ArgumentError(f"left_on has {len(keys[0])} columns, right_on {len(keys[1])}", remedy="give as many on both sides")
    return keys[0], keys[1]


def _columns(document: Document) -> set[str]:
    """Names of the columns that an expression takes.

    >>> sorted(_columns(((col("a") + 1) * col("b")).document))
    ['a', 'b']
    """
    if isinstance(document, dict):
        if "col" in document:
            return {document["col"]}
        return set().union(*(_columns(part) for part in document.values()))
    if isinstance(document, list):
        return set().union(*(_columns(part) for part in document))
    return set()

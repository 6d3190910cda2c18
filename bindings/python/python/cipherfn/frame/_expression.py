"""Expressions over a frame's columns, and aggregates of groups."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ArgumentError

if TYPE_CHECKING:
    from ._models import LinearModel

# A cell: a number, a text, a truth value, a day, or None.
Cell: TypeAlias = "bool | int | float | str | decimal.Decimal | datetime.date | None"
# A plan's document, as its JSON is.
Document: TypeAlias = Any


def literal(value: Cell) -> Document:
    """A cell as documents have it.

    >>> literal(datetime.date(2024, 2, 29)), literal(decimal.Decimal("0.10"))
    ('2024-02-29', {'decimal': '0.10'})
    """
    scalar: Any = value
    if hasattr(scalar, "item") and not isinstance(scalar, (int, float, str)):  # NumPy's
        value = scalar.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, decimal.Decimal) and value.is_finite():
        return {"decimal": f"{value:f}"}
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None or value.time() != datetime.time():
            raise ArgumentError(f"{value} is a time of day; frames have days", remedy="give a datetime.date")
        value = value.date()
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise ArgumentError(f"{value!r} is no cell of a frame", remedy="give a number, a text, a truth value, a date or None")


class Expression:
    """A column that is computed of a frame's columns; missing cells make missing cells, as in polars.

    Made by `col` and `lit`, and by ``+ - * == != < <= > >= & | ~``.

    >>> (col("age") > 30) & col("region").is_in(["north", "south"])
    Expression(((age > 30) & region.is_in(['north', 'south'])))
    """

    __slots__ = ("_text", "document", "models", "name")

    def __init__(self, document: Document, text: str, name: str | None = None, models: tuple[LinearModel, ...] = ()) -> None:
        # As plans have it.
        self.document = document
        self._text = text
        # What the column is called that it becomes.
        self.name = name
        # Models whose scores it takes.
        self.models = models

    def __repr__(self) -> str:
        return f"Expression({self._text})"

    def __bool__(self) -> bool:
        raise ArgumentError("an expression is neither true nor false", remedy="combine conditions by & | ~, in brackets")

    __hash__ = None  # type: ignore[assignment]

    def alias(self, name: str) -> Expression:
        """The same, called otherwise."""
        return Expression(self.document, self._text, name, self.models)

    def _of_it(self, document: Document, text: str, name: str | None = None) -> Expression:
        """Another expression, of this one."""
        return Expression(document, text, name, self.models)

    def _with(self, sign: str, operation: str, other: Expression | Cell, *, flat: bool = False, reflected: bool = False) -> Expression:
        own, its = _of(self), _of(other)
        left, right = (its, own) if reflected else (own, its)
        # Chains are one step deep, however long they are.
        parts = left.document[operation] if flat and isinstance(left.document, dict) and operation in left.document else [left.document]
        text = f"({left._text} {sign} {right._text})"
        return Expression({operation: [*parts, right.document]}, text, models=left.models + right.models)

    def __add__(self, other: Expression | Cell) -> Expression:
        return self._with("+", "add", other, flat=True)

    def __radd__(self, other: Expression | Cell) -> Expression:
        return self._with("+", "add", other, flat=True, reflected=True)

    def __sub__(self, other: Expression | Cell) -> Expression:
        return self._with("-", "sub", other)

    def __rsub__(self, other: Expression | Cell) -> Expression:
        return self._with("-", "sub", other, reflected=True)

    def __mul__(self, other: Expression | Cell) -> Expression:
        return self._with("*", "mul", other)

    def __rmul__(self, other: Expression | Cell) -> Expression:
        return self._with("*", "mul", other, reflected=True)

    def __eq__(self, other: Expression | Cell) -> Expression:  # type: ignore[override]
        return self._with("==", "eq", other)

    def __ne__(self, other: Expression | Cell) -> Expression:  # type: ignore[override]
        return self._with("!=", "ne", other)

    def __lt__(self, other: Expression | Cell) -> Expression:
        return self._with("<", "lt", other)

    def __le__(self, other: Expression | Cell) -> Expression:
        return self._with("<=", "le", other)

    def __gt__(self, other: Expression | Cell) -> Expression:
        return self._with(">", "gt", other)

    def __ge__(self, other: Expression | Cell) -> Expression:
        return self._with(">=", "ge", other)

    def __and__(self, other: Expression | bool) -> Expression:
        return self._with("&", "and", other, flat=True)

    def __or__(self, other: Expression | bool) -> Expression:
        return self._with("|", "or", other, flat=True)

    def __invert__(self) -> Expression:
        return self._of_it({"not": self.document}, f"~{self._text}")

    def is_null(self) -> Expression:
        """Whether the cell is missing."""
        return self._of_it({"is_null": self.document}, f"{self._text}.is_null()")

    def is_not_null(self) -> Expression:
        """Whether the cell is there."""
        return ~self.is_null()

    def is_in(self, cells: Iterable[Cell]) -> Expression:
        """Whether the cell is one of these."""
        listed = [literal(cell) for cell in cells]
        return self._of_it({"is_in": [self.document, listed]}, f"{self._text}.is_in({listed})")

    def is_between(self, low: Cell, high: Cell) -> Expression:
        """Whether the cell is not below ``low`` and not above ``high``."""
        return (self >= low) & (self <= high)

    def fill_null(self, cell: Cell) -> Expression:
        """A cell where one is missing."""
        return self._of_it({"fill_null": [self.document, literal(cell)]}, f"{self._text}.fill_null({cell!r})", self.name)

    def cut(self, breaks: Iterable[Cell]) -> Expression:
        """Of a key column the number of the interval that a cell lies in: interval i, from 0, ends before break i."""
        listed = [literal(cell) for cell in breaks]
        return self._of_it({"cut": [self.document, listed]}, f"{self._text}.cut({listed})", self.name)

    def replace(self, mapping: Mapping[Any, int | float | decimal.Decimal]) -> Expression:
        """Of a key column a number for each of these cells, nothing for others: pandas' ``map`` of a dictionary."""
        pairs = [[literal(cell), literal(number)] for cell, number in mapping.items()]
        return self._of_it({"replace": [self.document, pairs]}, f"{self._text}.replace({dict(mapping)})", self.name)

    def log(self, places: int = 6) -> Expression:
        """Of a key column the natural logarithm to so many decimals, nothing of what is not positive."""
        return self._of_it({"log": [self.document, places]}, f"{self._text}.log({places})", self.name)

    def _aggregate(self, function: str) -> Aggregate:
        return Aggregate({function: self._column(function)}, self._column(function))

    def _column(self, function: str) -> str:
        if not (isinstance(self.document, dict) and "col" in self.document):
            raise ArgumentError(
                f"{function} of {self._text}, which is no column yet", remedy="name it before: with_columns(NAME=...), then col(NAME)"
            )
        return str(self.document["col"])

    def count(self) -> Aggregate:
        """Cells of the group that are there."""
        return self._aggregate("count")

    def sum(self) -> Aggregate:
        """Their sum; 0 of none."""
        return self._aggregate("sum")

    def mean(self) -> Aggregate:
        """Their mean."""
        return self._aggregate("mean")

    def min(self) -> Aggregate:
        """The least of a key column."""
        return self._aggregate("min")

    def max(self) -> Aggregate:
        """The greatest of a key column."""
        return self._aggregate("max")

    def median(self) -> Aggregate:
        """The median of a key column."""
        return self._aggregate("median")

    def n_unique(self) -> Aggregate:
        """How many different cells of a key column there are."""
        return self._aggregate("n_unique")

    def quantile(self, at: float) -> Aggregate:
        """A quantile, 0 to 1, of a key column, linear between two cells."""
        column = self._column("quantile")
        return Aggregate({"quantile": {"column": column, "at": at}}, column)


class Aggregate:
    """A number of each group, under a name. Missing cells are left out.

    >>> col("amount").sum().alias("total")
    Aggregate('total', {'sum': 'amount'})
    """

    __slots__ = ("document", "name")

    def __init__(self, document: Document, name: str) -> None:
        self.document = document
        self.name = name

    def __repr__(self) -> str:
        return f"Aggregate({self.name!r}, {self.document!r})"

    def alias(self, name: str) -> Aggregate:
        """The same, called otherwise."""
        return Aggregate(self.document, name)


def _of(value: Expression | Cell) -> Expression:
    return value if isinstance(value, Expression) else lit(value)


def col(name: str) -> Expression:
    """A column."""
    return Expression({"col": name}, name, name)


def lit(cell: Cell) -> Expression:
    """The same cell in every row."""
    return Expression({"lit": literal(cell)}, repr(cell))


def len() -> Aggregate:  # noqa: A001: polars' names, here and below
    """Rows of a group, whatever their cells, as column ``len``."""
    return Aggregate("len", "len")


def count(column: str) -> Aggregate:
    """Cells of a column that are there."""
    return col(column).count()


def sum(column: str) -> Aggregate:  # noqa: A001
    """The sum of a column."""
    return col(column).sum()


def mean(column: str) -> Aggregate:
    """The mean of a column."""
    return col(column).mean()


def min(column: str) -> Aggregate:  # noqa: A001
    """The least of a key column."""
    return col(column).min()


def max(column: str) -> Aggregate:  # noqa: A001
    """The greatest of a key column."""
    return col(column).max()


def median(column: str) -> Aggregate:
    """The median of a key column."""
    return col(column).median()


def n_unique(column: str) -> Aggregate:
    """How many different cells of a key column there are."""
    return col(column).n_unique()


def quantile(column: str, at: float) -> Aggregate:
    """A quantile, 0 to 1, of a key column."""
    return col(column).quantile(at)

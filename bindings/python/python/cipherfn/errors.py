"""What can go wrong, as exceptions that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._tables import Frame

__all__ = [
    "ArgumentError",
    "CipherfnError",
    "CompileError",
    "ExportError",
    "KeysError",
    "LimitedWarning",
    "PlanError",
    "RowsError",
    "SchemaError",
    "ServiceError",
    "TableError",
    "TrainingError",
    "TrustError",
    "UncomparedWarning",
    "UnreachableError",
    "WrongExportError",
]


class CipherfnError(Exception):
    """Whatever this package raises.

    ``remedy`` says what to do in Python, where that is known; the message ends with it.

    >>> print(CipherfnError("the model has changed", remedy="call it again"))
    the model has changed
    remedy: call it again
    """

    remedy: str | None

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message if remedy is None else f"{message}\nremedy: {remedy}")
        self.remedy = remedy


class ArgumentError(CipherfnError, ValueError):
    """An argument that means nothing here."""


class TableError(CipherfnError, ValueError):
    """Rows with missing columns, or with values of a type that no model takes."""


class ExportError(CipherfnError, ValueError):
    """A model that cannot be exported."""


class CompileError(CipherfnError, ValueError):
    """A model that cannot be compiled, or not as it was asked for."""


class WrongExportError(CompileError):
    """An export whose predictions are not the model's own: it would have been silently wrong."""


class SchemaError(CipherfnError, ValueError):
    """A schema of an encrypted frame that is none, or not for the table."""


class PlanError(CipherfnError, ValueError):
    """A query that encrypted frames cannot answer, or not as exactly as was asked for; the message names its step."""


class TrainingError(CipherfnError, ValueError):
    """A training that cannot be, diverges or drowns in noise, or contributions that do not belong together."""


class KeysError(CipherfnError):
    """Keys that are not there, are others than those that were used, or can be read by anybody."""


class ServiceError(CipherfnError):
    """A service that refuses, fails or answers what it should not."""


class UnreachableError(ServiceError, ConnectionError):
    """A service that cannot be reached."""


class TrustError(ServiceError):
    """Specs that are not the known developer's: rows encrypted for them might show more than they should."""


class RowsError(CipherfnError):
    """Rows without predictions.

    ``predictions`` has the other rows' predictions, ``rows`` the number, from 0, and reason of each row without.
    """

    rows: list[tuple[int, str]]
    predictions: Frame

    def __init__(self, rows: list[tuple[int, str]], of: int, predictions: Frame) -> None:
        number, reason = rows[0]
        super().__init__(
            f"{len(rows)} of {of} rows have no prediction; the first is row {number} (from 0): {reason}",
            remedy='correct or leave out these rows (.rows), or on_error="mark"; the others\' predictions are in .predictions',
        )
        self.rows = rows
        self.predictions = predictions


class LimitedWarning(UserWarning):
    """Rows unlike those that the model was compiled for: values outside their range, which were limited to it, or columns that
    do not relate as they do there."""


class UncomparedWarning(UserWarning):
    """A model whose own predictions nobody could make, so that nothing was compared with them."""

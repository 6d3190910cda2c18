"""How far a call is, by tqdm's convention."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ._tables import Rows

# False for none, True for tqdm's bar, or something called like `tqdm.tqdm` that gives a bar.
Progress: TypeAlias = "bool | Callable[..., Any]"
Tell: TypeAlias = Callable[[int, int, list[str]], None]

_LOG = logging.getLogger("cipherfn")


@contextlib.contextmanager
def telling(progress: Progress, rows: Rows = None, unit: str = "rows") -> Iterator[Tell]:
    """What a call tells meanwhile: its progress to a bar, what was tried again to the log."""
    bar = _bar(progress, rows, unit)

    def tell(done: int, of: int, notes: list[str]) -> None:
        for note in notes:
            _LOG.warning(note)
        if bar is not None and done:
            if of and bar.total != of:
                bar.total = of
            bar.update(done - bar.n)

    try:
        yield tell
    finally:
        if bar is not None:
            bar.close()


def _bar(progress: Progress, rows: Rows, unit: str) -> Any:
    if not progress:
        return None
    make: Any = progress
    if progress is True:
        try:
            import tqdm.auto
        except ImportError:
            from .errors import ArgumentError

            raise ArgumentError("progress=True shows tqdm's bar, and tqdm is not installed", remedy="pip install tqdm") from None
        make = tqdm.auto.tqdm
    try:
        total = len(rows)
    except TypeError:
        total = None
    return make(total=total, unit=f" {unit}")

"""Sums over the rows of several owners, encrypted under a key holder's public key."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import _native
from .._tables import Rows, native
from ..errors import ArgumentError
from ._fitted import warn_clipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The least and the largest number of a column, or the texts that it can have.
Domain: TypeAlias = "tuple[float, float] | Sequence[str]"


def public_key(keys: str | os.PathLike[str]) -> bytes:
    """A public key, under which owners encrypt for who has the key ring in this folder; the ring gets a secret key if it has none.

    Anybody may have it. The secret key stays in the folder.
    """
    return _native.public_key(keys)


class Statistics:
    """What is summed, of which columns, and for how many rows: public, and the same for all owners.

    Parameters
    ----------
    name
        Its name.
    rows
        Room for the rows of all owners together; twice the room costs one bit of precision.
    columns
        Of each column its least and largest number, or the texts that it lists (for naive Bayes). Take what values can be: numbers
        outside count as the range's ends.
    target
        Name and range, or classes, of what is to be predicted; nothing for components, correlations and standardisation.

    Examples
    --------
    Two owners, who show their rows to nobody, and a key holder, who sees the total alone:

    >>> import tempfile
    >>> keys = tempfile.mkdtemp() + "/keys"
    >>> spec = Statistics("stay", rows=1000, columns={"age": (0, 120)}, target=("days", (0, 60)))
    >>> holder = public_key(keys)
    >>> north = spec.contribute({"age": [34, 58, 71], "days": [3, 9, 8]}, holder)
    >>> south = spec.contribute({"age": [29, 63, 80], "days": [7, 7, 14]}, holder)
    >>> from cipherfn.train import Ridge
    >>> model = Ridge(alpha=1.0).solve(spec.aggregate([north, south]), keys=keys)
    >>> model.coef_.round(3), round(model.intercept_, 3)
    (array([0.133]), 0.548)
    """

    def __init__(self, name: str, *, rows: int, columns: Mapping[str, Domain], target: tuple[str, Domain] | None = None) -> None:
        lines = ["format = 1", f"name = {_text(name)}", f"rows = {int(rows)}"]
        for column, domain in columns.items():
            lines += ["[[column]]", *_column(column, domain, "categories")]
        if target is not None:
            lines += ["[target]", *_column(*target, "classes")]
        self._open("\n".join(lines) + "\n")

    def _open(self, toml: str) -> None:
        self.toml = toml
        self._native = _native.Statistics(toml)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Statistics:
        """From a TOML file, as `cipherfn statistics` takes it."""
        spec = cls.__new__(cls)
        spec._open(pathlib.Path(path).read_text(encoding="utf-8"))
        return spec

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the TOML file, for the owners."""
        pathlib.Path(path).write_text(self.toml, encoding="utf-8")

    def contribute(self, rows: Rows, public_key: bytes) -> Contribution:
        """Encrypts an owner's sums over rows, a table with the spec's columns and its target. Neither rows nor sums leave in the clear.

        Missing cells and texts that the spec does not list are refused with their row.
        """
        bytes_, count, clipped = self._native.contribute(native(rows, self._native.columns), public_key)
        warn_clipped(clipped)
        return Contribution(self, bytes_, 1, count)

    def aggregate(self, contributions: Iterable[Contribution | bytes]) -> Contribution:
        """Adds contributions, without any key. The same one given twice is refused."""
        total, owners = self._native.aggregate([bytes(own) for own in contributions])
        return Contribution(self, total, owners, None)

    def load(self, path: str | os.PathLike[str]) -> Contribution:
        """A contribution, or a total, from its file."""
        return self.aggregate([pathlib.Path(path).read_bytes()])


class Contribution:
    """An owner's encrypted sums, or those of several owners together."""

    def __init__(self, spec: Statistics, data: bytes, owners: int, rows: int | None) -> None:
        self._spec = spec
        self._data = data
        # Owners whose sums are in it.
        self.owners = owners
        # Rows, as far as they are known here: of an owner's own.
        self.rows = rows

    def __repr__(self) -> str:
        return f"Contribution({self.owners} owner{'s' * (self.owners != 1)}, {len(self._data)} bytes)"

    def __bytes__(self) -> bytes:
        return self._data

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes its file: ciphertexts, which tell nothing of rows nor of their number."""
        pathlib.Path(path).write_bytes(self._data)

    def summary(self, *, keys: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
        """Decrypts it: a row a numeric column, with its name, mean, standard deviation (by the number of rows) and correlations, NaN with
        a constant column."""
        import numpy as np

        count, columns, correlations = self._spec._native.summary(self._data, keys)
        names = [name for name, _, _ in columns]
        found: dict[str, Any] = {
            "column": np.array(names, dtype=object),
            "rows": np.full(len(names), count),
            "mean": np.array([mean for _, mean, _ in columns]),
            "deviation": np.array([deviation for _, _, deviation in columns]),
        }
        return found | {name: np.array(row) for name, row in zip(names, correlations, strict=True)}


def _text(text: str) -> str:
    # JSON's strings are TOML's, but for one control character and halves of pairs.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _column(name: str, domain: Domain, listed: str) -> list[str]:
    texts = [own for own in domain if isinstance(own, str)]
    if len(texts) == len(domain):
        return [f"name = {_text(name)}", f"{listed} = [{', '.join(map(_text, texts))}]"]
    if texts or len(domain) != 2:
        raise ArgumentError(f"column {name!r}: {domain!r} is neither a range nor a list of texts", remedy="give (least, largest), or texts")
    low, high = (float(end) for end in domain)
    return [f"name = {_text(name)}", f"low = {low!r}", f"high = {high!r}"]

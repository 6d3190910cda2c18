"""Gradient descent on encrypted rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from .. import _native
from .._progress import Progress, telling
from .._tables import Column, Rows, columns_of
from ..errors import ArgumentError
from ._fitted import Classifier, warn_clipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from .._client import Client

# Half of a column's range in standard deviations, where no range is given.
_SPREAD = 3.0
# What is not given, where no published program says it.
_DEFAULTS: dict[str, float] = {"epochs": 4, "batch": 16, "rate": 1.0, "decay": 0.05, "penalty": 0.0}


class Descending(Classifier):
    """A linear classifier that is trained by mini-batch gradient descent, all steps on ciphertexts.

    A published program has all of these parameters: leave them out, or give what it has.

    Parameters
    ----------
    epochs
        Passes over the rows; 4 unless given.
    batch
        Rows a step; 16 unless given.
    rate
        Size of the first step; step t has rate / (1 + decay t). 1 unless given.
    decay
        How steps become smaller; 0.05 unless given.
    penalty
        On half of the squares of all weights, the constant's too; 0 unless given.
    ranges
        Of columns their least and largest number, which are public; values beyond count as the ends. Otherwise the mean of the rows
        plus and minus three standard deviations.
    classes
        All labels; otherwise those of the rows, in order.
    """

    _algorithm: str
    # Steps; parts of these rows whose class is predicted, by the encrypted run and by the simulation; standard deviation that
    # noise gives a weight, in units of a column's range / 6.
    n_steps_: int
    accuracy_: float
    simulated_accuracy_: float
    deviation_: float

    def __init__(
        self,
        *,
        epochs: int | None = None,
        batch: int | None = None,
        rate: float | None = None,
        decay: float | None = None,
        penalty: float | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        classes: Sequence[Any] | None = None,
    ) -> None:
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.decay = decay
        self.penalty = penalty
        self.ranges = ranges
        self.classes = classes

    @overload
    def fit_encrypted(self, X: Rows, y: Any, /, *, keys: str | os.PathLike[str] | None = None, progress: Progress = False) -> Self: ...

    @overload
    def fit_encrypted(self, client: Client, X: Rows, y: Any, /, *, program: str, progress: Progress = False) -> Self: ...

    def fit_encrypted(
        self, *given: Any, keys: str | os.PathLike[str] | None = None, program: str | None = None, progress: Progress = False
    ) -> Self:
        """``fit_encrypted(X, y)`` encrypts rows X of shape (rows, columns) and labels y of shape (rows,), runs all steps on ciphertexts
        here, as a server would, and decrypts the weights. ``fit_encrypted(client, X, y, program="risk")`` has a service run them.

        A simulation with the noise of the steps comes first: what diverges or drowns is refused (`TrainingError`), with the number to
        change. ``keys`` is the folder of a key ring; otherwise keys are made and forgotten.

        A service trains by a ``program`` that is published there, which is held to its developer as models are; rows are encrypted under
        the client's keys. Ctrl-C, or an error, ends the training at the service, too, and deletes its rows there. ``progress`` counts
        steps.
        """
        if len(given) == 3:
            client, X, y = given
            if program is None or keys is not None:
                raise ArgumentError("a service trains by a published program, with the client's keys", remedy='fit_encrypted(client, X, y, program="NAME")')
            return self._ask(client, X, y, program, progress)
        if len(given) != 2 or program is not None:
            raise ArgumentError("rows and labels are needed", remedy='fit_encrypted(X, y), or fit_encrypted(client, X, y, program="NAME")')
        return self._fit(*given, True, keys, progress)

    def fit_simulated(self, X: Rows, y: Any) -> Self:
        """The simulation alone: what `fit_encrypted` is going to give, but for the noise's draws, in a moment."""
        return self._fit(X, y, False, None, False)

    def _fit(self, X: Rows, y: Any, encrypted: bool, keys: str | os.PathLike[str] | None, progress: Progress) -> Self:
        import numpy as np

        columns = columns_of(X)
        labels = _labels(columns, y)
        classes = np.unique(labels) if self.classes is None else np.asarray(self.classes)
        names = [name for name, _, _, _ in columns]
        target = next(name for name in ("target", "_target", "__target") if name not in names)
        given = {name: default if getattr(self, name) is None else getattr(self, name) for name, default in _DEFAULTS.items()}
        program = {
            "format": 1,
            "name": type(self).__name__,
            "algorithm": self._algorithm,
            **given,
            "column": [self._range(column) for column in columns],
            "target": {"name": target, "classes": [str(label) for label in classes]},
        }
        table = _table(columns, target, labels)
        with telling(progress, unit="steps") as tell:
            outcome = _native.Descent(json.dumps(program)).fit(table, encrypted, keys, tell)
        return self._take(outcome, classes)

    def _ask(self, client: Client, X: Rows, y: Any, name: str, progress: Progress) -> Self:
        import numpy as np

        with telling(progress, unit="steps") as tell:
            descent = _native.Descent.fetch(client._service, name, tell)
            program = json.loads(descent.program)
            self._require(name, program)
            columns = columns_of(X, [column["name"] for column in program["column"]])
            labels = _labels(columns, y)
            classes = np.array([_label(text, labels) for text in program["target"]["classes"]])
            outcome = descent.ask(client._service, name, _table(columns, program["target"]["name"], labels), tell)
        return self._take(outcome, classes)

    def _require(self, name: str, program: dict[str, Any]) -> None:
        """What was given has to be what a published program has."""
        ranges = {column["name"]: (float(column["low"]), float(column["high"])) for column in program["column"]}
        found = {
            "algorithm": program["algorithm"],
            **{parameter: program[parameter] for parameter in _DEFAULTS},
            **{f"ranges[{column!r}]": own for column, own in ranges.items()},
            "classes": program["target"]["classes"],
        }
        given = {
            "algorithm": self._algorithm,
            **{parameter: getattr(self, parameter) for parameter in _DEFAULTS},
            **{f"ranges[{column!r}]": (float(own[0]), float(own[1])) for column, own in (self.ranges or {}).items()},
            "classes": None if self.classes is None else [str(label) for label in self.classes],
        }
        for parameter, own in given.items():
            if own is not None and found.get(parameter) != own:
                raise ArgumentError(
                    f"{parameter} is {own!r}, that of program {name!r} is {found.get(parameter)!r}",
                    remedy="leave the parameter out, or train by a program that has it; LinearSVC is for programs of svm, LogisticRegression of logistic",
                )

    def _take(self, outcome: dict[str, Any], classes: NDArray[Any]) -> Self:
        warn_clipped(outcome["clipped"])
        self._fitted = outcome["model"]
        self._labels = classes
        self.n_steps_ = outcome["steps"]
        self.accuracy_ = outcome["accuracy"]
        self.simulated_accuracy_ = outcome["simulated_accuracy"]
        self.deviation_ = outcome["deviation"]
        return self

    def _range(self, column: Column) -> dict[str, Any]:
        import numpy as np

        name, form, values, _ = column
        if self.ranges is not None and name in self.ranges:
            low, high = self.ranges[name]
        elif form == "text":
            raise ArgumentError(f"column {name!r} is text", remedy="descent takes numbers: pandas.get_dummies(df) makes columns of texts")
        else:
            numbers = np.asarray(values, dtype=np.float64)
            middle, half = float(numbers.mean()), _SPREAD * float(numbers.std())
            if not np.isfinite(half):
                raise ArgumentError(f"column {name!r} has missing or infinite values", remedy="leave these rows out, or fill them in")
            if half == 0:
                raise ArgumentError(f"column {name!r} has the same value in all rows", remedy=f"X.drop(columns={name!r})")
            low, high = middle - half, middle + half
        return {"name": name, "low": float(low), "high": float(high)}


class LogisticRegression(Descending):
    """Logistic regression on encrypted rows; of more than two classes one against the rest.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(64, 2))
    >>> model = LogisticRegression(epochs=2).fit_simulated(X, np.where(X.sum(axis=1) > 0, "yes", "no"))
    >>> model.predict([[1.0, 1.0], [-1.0, -1.0]]).tolist(), model.coef_.shape
    (['yes', 'no'], (1, 2))
    """

    _algorithm = "logistic"

    def predict_proba(self, X: Rows) -> NDArray[np.float64]:
        """Probabilities of shape (rows, classes), each 0 to 1, of a row together 1; computed in the clear."""
        import numpy as np

        scores = self.decision_function(X)
        each = 1 / (1 + np.exp(-scores))
        if each.ndim == 1:
            return np.column_stack([1 - each, each])
        found: NDArray[np.float64] = each / each.sum(axis=1, keepdims=True)
        return found


class LinearSVC(Descending):
    """Linear support vector machine (hinge loss) on encrypted rows; of more than two classes one against the rest."""

    _algorithm = "svm"


def _labels(columns: Sequence[Column], y: Any) -> NDArray[Any]:
    """Labels of shape (rows,), one a row."""
    import numpy as np

    labels: NDArray[Any] = np.asarray(y)
    if not columns or labels.shape != (len(columns[0][2]),):
        rows = len(columns[0][2]) if columns else 0
        raise ArgumentError(f"y has shape {labels.shape}, X has {rows} rows", remedy="give one label a row")
    return labels


def _label(text: str, labels: NDArray[Any]) -> Any:
    """The label that has this text, of the type of others.

    >>> import numpy as np
    >>> _label("2", np.array([0, 1])), _label("False", np.array([True])), _label("no", np.array(["yes"]))
    (np.int64(2), False, np.str_('no'))
    """
    return text == "True" if labels.dtype == bool else labels.dtype.type(text)


def _table(columns: Sequence[Column], target: str, labels: NDArray[Any]) -> _native.Table:
    """Columns with the labels as texts beside them."""
    texts: list[str | None] = [str(label) for label in labels]
    packed = [(name, form, values if form == "text" else values.tobytes(), _flags(valid)) for name, form, values, valid in columns]
    return _native.Table.from_columns([*packed, (target, "text", texts, None)])


def _flags(valid: Any) -> bytes | None:
    return None if valid is None else valid.tobytes()

"""Gradient descent on encrypted rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from .. import _native
from .._progress import Progress, telling
from .._tables import Column, Rows, columns_of
from ..errors import ArgumentError, TrainingError
from ._fitted import Classifier, warn_clipped
from ._rows import classes_of, label_of, labels_of, table_of
from ._start import Start

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
    # The program of the last fit, and the weights that a service keeps of it.
    _program: dict[str, Any] | None = None
    _kept: _native.Kept | None = None
    # Steps, those before included; parts of these rows whose class is predicted, by the encrypted run and by the simulation; standard deviation that
    # noise gives a weight, in units of a column's range / 6.
    n_steps_: int
    # Of weights that stay encrypted nobody knows the accuracy; start_accuracy_ is that of the weights that a fit has started from.
    accuracy_: float | None
    start_accuracy_: float | None
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
    def fit_encrypted(
        self, X: Rows, y: Any, /, *, keys: str | os.PathLike[str] | None = None, warm_start: Any = None, progress: Progress = False
    ) -> Self: ...

    @overload
    def fit_encrypted(
        self, client: Client, X: Rows, y: Any, /, *, program: str, warm_start: Any = None, keep_encrypted: bool = False,
        resume: str | os.PathLike[str] | None = None, progress: Progress = False,
    ) -> Self: ...

    def fit_encrypted(
        self,
        *given: Any,
        keys: str | os.PathLike[str] | None = None,
        program: str | None = None,
        warm_start: Any = None,
        keep_encrypted: bool = False,
        resume: str | os.PathLike[str] | None = None,
        progress: Progress = False,
    ) -> Self:
        """``fit_encrypted(X, y)`` encrypts rows X of shape (rows, columns) and labels y of shape (rows,), runs all steps on ciphertexts
        here, as a server would, and decrypts the weights. ``fit_encrypted(client, X, y, program="risk")`` has a service run them.

        A simulation with the noise of the steps comes first: what diverges or drowns is refused (`TrainingError`), with the number to
        change. ``keys`` is the folder of a key ring; otherwise keys are made and forgotten.

        A service trains by a ``program`` that is published there, which is held to its developer as models are; rows are encrypted under
        the client's keys. Ctrl-C, or an error, ends the training at the service, too, and deletes its rows there. ``progress`` counts
        steps.

        With ``resume``, a file, what was uploaded is remembered there until there are weights: Ctrl-C, or the end of this process, leaves
        the training at the service, and the same call waits for it. `cancel` ends it.

        ``warm_start`` is a fitted linear classifier of these columns and classes, from this module or from scikit-learn, whose weights
        steps start from instead of zero; True is this one. The rate begins anew, as it does for scikit-learn's ``warm_start``;
        `partial_fit_encrypted` goes on with it.

        With ``keep_encrypted`` the weights stay at the service, under the client's key: `predict_encrypted` predicts rows by them that are
        encrypted, too, and `partial_fit_encrypted` trains on. They live as long as the service keeps jobs, a week at most;
        `delete_encrypted` deletes them, ``training_`` names them, and `from_encrypted` finds them again in another process.
        """
        start = Start(self if warm_start is True else warm_start, anew=True)
        return self._fit_given(given, (keys, program, keep_encrypted, resume), start, progress)

    @overload
    def partial_fit_encrypted(self, X: Rows, y: Any, /, *, keys: str | os.PathLike[str] | None = None, progress: Progress = False) -> Self: ...

    @overload
    def partial_fit_encrypted(
        self, client: Client, X: Rows, y: Any, /, *, program: str | None = None, keep_encrypted: bool = False,
        resume: str | os.PathLike[str] | None = None, progress: Progress = False,
    ) -> Self: ...

    def partial_fit_encrypted(
        self,
        *given: Any,
        keys: str | os.PathLike[str] | None = None,
        program: str | None = None,
        keep_encrypted: bool = False,
        resume: str | os.PathLike[str] | None = None,
        progress: Progress = False,
    ) -> Self:
        """Trains on with further rows, from the weights that there are, at the rate that all steps so far have led to; the first time it is
        `fit_encrypted`. A fit with ``epochs=1`` does what scikit-learn's ``partial_fit`` does.

        Weights that a service keeps are trained on there: ``client`` is needed then, and ``program`` is the same unless given.
        ``ranges`` and ``classes`` are those of the first fit, of which the classes must have all labels.
        """
        known = self._kept is not None or self._fitted is not None
        if program is None and len(given) == 3 and self._kept is not None:
            program = self._kept.name
        start = Start(self if known else None, anew=False)
        return self._fit_given(given, (keys, program, keep_encrypted, resume), start, progress)

    def _fit_given(
        self,
        given: tuple[Any, ...],
        place: tuple[str | os.PathLike[str] | None, str | None, bool, str | os.PathLike[str] | None],
        start: Start,
        progress: Progress,
    ) -> Self:
        keys, program, keep, resume = place
        if len(given) == 3:
            client, X, y = given
            if program is None or keys is not None:
                raise ArgumentError("a service trains by a published program, with the client's keys", remedy='fit_encrypted(client, X, y, program="NAME")')
            return self._ask(client, (X, y), (program, keep, resume), start, progress)
        if len(given) != 2 or program is not None:
            raise ArgumentError("rows and labels are needed", remedy='fit_encrypted(X, y), or fit_encrypted(client, X, y, program="NAME")')
        if keep or resume is not None or start.kept is not None:
            raise ArgumentError("a service keeps encrypted weights and trainings to go on with, and nobody else does", remedy="give the client: fit_encrypted(client, X, y, ...)")
        return self._fit(*given, True, keys, progress, start)

    def fit_simulated(self, X: Rows, y: Any, *, warm_start: Any = None) -> Self:
        """The simulation alone: what `fit_encrypted` is going to give, but for the noise's draws, in a moment."""
        return self._fit(X, y, False, None, False, Start(self if warm_start is True else warm_start, anew=True))

    def _fit(self, X: Rows, y: Any, encrypted: bool, keys: str | os.PathLike[str] | None, progress: Progress, start: Start) -> Self:
        columns = columns_of(X)
        labels = labels_of(columns, y)
        program = self._program_of(columns, labels) if start.anew or self._program is None else self._program
        columns = columns_of(X, [column["name"] for column in program["column"]])
        classes = classes_of(program, labels)
        table = table_of(columns, program["target"]["name"], labels)
        with telling(progress, unit="steps") as tell:
            outcome = _native.Descent(json.dumps(program)).fit(table, encrypted, keys, start.weights(program), tell)
        return self._take(outcome, program, classes)

    def _program_of(self, columns: Sequence[Column], labels: NDArray[Any]) -> dict[str, Any]:
        """What is not published is made of what was given, and of the rows."""
        import numpy as np

        classes = np.unique(labels) if self.classes is None else np.asarray(self.classes)
        names = [name for name, _, _, _ in columns]
        target = next(name for name in ("target", "_target", "__target") if name not in names)
        given = {name: default if getattr(self, name) is None else getattr(self, name) for name, default in _DEFAULTS.items()}
        return {
            "format": 1,
            "name": type(self).__name__,
            "algorithm": self._algorithm,
            **given,
            "column": [self._range(column) for column in columns],
            "target": {"name": target, "classes": [str(label) for label in classes]},
        }

    def _ask(
        self, client: Client, rows: tuple[Rows, Any], place: tuple[str, bool, str | os.PathLike[str] | None], start: Start, progress: Progress
    ) -> Self:
        (X, y), (name, keep, resume) = rows, place
        with telling(progress, unit="steps") as tell:
            descent = _native.Descent.fetch(client._service, name, tell)
            program = json.loads(descent.program)
            self._require(name, program)
            columns = columns_of(X, [column["name"] for column in program["column"]])
            labels = labels_of(columns, y)
            classes = classes_of(program, labels)
            table = table_of(columns, program["target"]["name"], labels)
            outcome = descent.ask(client._service, name, table, start.weights(program), start.kept, keep, resume, tell)
        return self._take(outcome, program, classes)

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

    def _take(self, outcome: dict[str, Any], program: dict[str, Any], classes: NDArray[Any]) -> Self:
        warn_clipped(outcome["clipped"])
        self._fitted = outcome["model"]
        self._kept = outcome["kept"]
        self._program = program
        self._labels = classes
        self.n_steps_ = outcome["steps"]
        self.accuracy_ = outcome["accuracy"]
        self.start_accuracy_ = outcome["start_accuracy"]
        self.simulated_accuracy_ = outcome["simulated_accuracy"]
        self.deviation_ = outcome["deviation"]
        return self

    @classmethod
    def from_encrypted(cls, client: Client, training: str) -> Self:
        """The weights that a service keeps encrypted of a training (``training_``), under the client's key ring."""
        import numpy as np

        kept = _native.Kept.known(client._service, training)
        program = json.loads(kept.program)
        if program["algorithm"] != cls._algorithm:
            raise ArgumentError(f"training {training} is of algorithm {program['algorithm']!r}", remedy="LinearSVC is for svm, LogisticRegression for logistic")
        model = cls()
        model._kept, model._program = kept, program
        model._labels = np.array(program["target"]["classes"])
        model.n_steps_, model.deviation_ = kept.steps, kept.deviation
        return model

    @property
    def training_(self) -> str:
        """Names the weights that a service keeps encrypted."""
        return self._encrypted.job

    def predict_encrypted(self, client: Client, X: Rows, *, progress: Progress = False) -> NDArray[Any]:
        """Labels of shape (rows,), of encrypted rows by weights that stay encrypted: the service sees neither."""
        import numpy as np

        return np.array([label_of(text, self.classes_) for text in self._said(client, X, progress)["labels"]], dtype=self.classes_.dtype)

    def decision_function_encrypted(self, client: Client, X: Rows, *, progress: Progress = False) -> NDArray[np.float64]:
        """Scores as of `decision_function`, of encrypted rows by weights that stay encrypted, within the error of the weights and of the
        product: of shape (rows,) of two classes, (rows, classes) of more."""
        import numpy as np

        scores = np.array(self._said(client, X, progress)["scores"], dtype=np.float64).reshape(-1, self._sets)
        return scores[:, 0] if self._sets == 1 else scores

    def delete_encrypted(self, client: Client) -> None:
        """Deletes the weights that the service keeps, and forgets them here."""
        self._encrypted.delete(client._service)
        self._kept = None

    @property
    def _sets(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    @property
    def _encrypted(self) -> _native.Kept:
        if self._kept is None:
            raise TrainingError("no weights are kept encrypted", remedy="fit_encrypted(client, X, y, program=..., keep_encrypted=True) keeps them")
        return self._kept

    @property
    def _model(self) -> _native.Fitted:
        if self._fitted is None and self._kept is not None:
            raise TrainingError(
                "the weights stay encrypted at the service", remedy="predict_encrypted(client, X) predicts by them; fit without keep_encrypted has them here"
            )
        return super()._model

    def _said(self, client: Client, X: Rows, progress: Progress) -> dict[str, Any]:
        kept = self._encrypted
        names = [column["name"] for column in json.loads(kept.program)["column"]]
        columns = columns_of(X, names)
        with telling(progress, unit="rows") as tell:
            said = kept.predict(client._service, table_of(columns), tell)
        warn_clipped(said["clipped"])
        return said

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

    def predict_proba_encrypted(self, client: Client, X: Rows, *, progress: Progress = False) -> NDArray[np.float64]:
        """Probabilities of shape (rows, classes) as of `predict_proba`, of encrypted rows by weights that stay encrypted."""
        import numpy as np

        return np.array(self._said(client, X, progress)["numbers"], dtype=np.float64).reshape(-1, len(self.classes_))


class LinearSVC(Descending):
    """Linear support vector machine (hinge loss) on encrypted rows; of more than two classes one against the rest."""

    _algorithm = "svm"


def cancel(client: Client, resume: str | os.PathLike[str]) -> bool:
    """Ends the training that a file remembers (``resume`` of `LogisticRegression.fit_encrypted`), and deletes its rows at the service and the
    file; whether there was one."""
    return _native.cancel_training(client._service, resume)

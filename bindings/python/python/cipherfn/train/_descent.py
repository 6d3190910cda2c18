"""Gradient descent on encrypted rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _native
from .._progress import Progress, telling
from .._tables import Column, Rows, columns_of
from ..errors import ArgumentError
from ._fitted import Classifier, warn_clipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

# Half of a column's range in standard deviations, where no range is given.
_SPREAD = 3.0


class Descending(Classifier):
    """A linear classifier that is trained by mini-batch gradient descent, all steps on ciphertexts.

    Parameters
    ----------
    epochs
        Passes over the rows.
    batch
        Rows a step.
    rate
        Size of the first step; step t has rate / (1 + decay t).
    decay
        How steps become smaller.
    penalty
        On half of the squares of all weights, the constant's too.
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
        epochs: int = 4,
        batch: int = 16,
        rate: float = 1.0,
        decay: float = 0.05,
        penalty: float = 0.0,
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

    def fit_encrypted(
        self, X: Rows, y: Any, *, keys: str | os.PathLike[str] | None = None, progress: Progress = False
    ) -> Self:
        """Encrypts rows X of shape (rows, columns) and labels y of shape (rows,), runs all steps on ciphertexts here, as a server
        would, and decrypts the weights.

        A simulation with the noise of the steps comes first: what diverges or drowns is refused (`TrainingError`), with the number to
        change. ``keys`` is the folder of a key ring; otherwise keys are made and forgotten.
        """
        return self._fit(X, y, True, keys, progress)

    def fit_simulated(self, X: Rows, y: Any) -> Self:
        """The simulation alone: what `fit_encrypted` is going to give, but for the noise's draws, in a moment."""
        return self._fit(X, y, False, None, False)

    def _fit(self, X: Rows, y: Any, encrypted: bool, keys: str | os.PathLike[str] | None, progress: Progress) -> Self:
        import numpy as np

        columns = columns_of(X)
        labels = np.asarray(y)
        if not columns or labels.shape != (len(columns[0][2]),):
            rows = len(columns[0][2]) if columns else 0
            raise ArgumentError(f"y has shape {labels.shape}, X has {rows} rows", remedy="give one label a row")
        classes = np.unique(labels) if self.classes is None else np.asarray(self.classes)
        names = [name for name, _, _, _ in columns]
        target = next(name for name in ("target", "_target", "__target") if name not in names)
        program = {
            "format": 1,
            "name": type(self).__name__,
            "algorithm": self._algorithm,
            "batch": self.batch,
            "epochs": self.epochs,
            "rate": float(self.rate),
            "decay": float(self.decay),
            "penalty": float(self.penalty),
            "column": [self._range(column) for column in columns],
            "target": {"name": target, "classes": [str(label) for label in classes]},
        }
        texts: list[str | None] = [str(label) for label in labels]
        packed = [(name, form, values if form == "text" else values.tobytes(), _flags(valid)) for name, form, values, valid in columns]
        table = _native.Table.from_columns([*packed, (target, "text", texts, None)])
        with telling(progress, unit="steps") as tell:
            outcome = _native.Descent(json.dumps(program)).fit(table, encrypted, keys, tell)
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


def _flags(valid: Any) -> bytes | None:
    return None if valid is None else valid.tobytes()

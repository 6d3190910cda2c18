"""What fitted models have in common."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import _native
from .._tables import Rows, columns_of
from ..errors import LimitedWarning, TableError, TrainingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Model:
    """A model that is fitted by something else than `fit`: as an ONNX file, and with scikit-learn's attributes."""

    _fitted: _native.Fitted | None = None

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_") and not name.endswith("_"))
        return f"{type(self).__name__}({settings})"

    @property
    def _model(self) -> _native.Fitted:
        if self._fitted is None:
            raise TrainingError(f"{type(self).__name__} is not fitted", remedy="solve(total, keys=...) fits it, fit_encrypted(X, y) where it descends")
        return self._fitted

    @property
    def feature_names_in_(self) -> list[str]:
        """Names of the columns of numbers, then of those of texts."""
        return [name for name, _, _ in self._model.numbers] + self._model.categories

    def to_onnx(self) -> bytes:
        """The model as an ONNX file, with an input of shape (rows, 1) for each column, by its name; `cipherfn.compile` takes it."""
        return self._model.to_onnx()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the ONNX file."""
        pathlib.Path(path).write_bytes(self.to_onnx())

    def _numbers(self, X: Rows) -> NDArray[np.float64]:
        """The columns of numbers, of shape (rows, columns)."""
        import numpy as np

        names = [name for name, _, _ in self._model.numbers]
        found = {name: values for name, _, values, _ in columns_of(X, names)}
        try:
            return np.column_stack([np.asarray(found[name], dtype=np.float64) for name in names])
        except ValueError as error:
            raise TableError(f"columns of numbers are needed: {error}", remedy="df.astype(float)") from None


class Linear(Model):
    """A model that is linear in its columns."""

    @property
    def _weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        import numpy as np

        found = self._model.weights()
        if found is None:  # naive Bayes with squares
            raise TrainingError("the model is not linear in its columns", remedy="save(...) writes it")
        return np.array(found[0]), np.array(found[1])


class Regressor(Linear):
    """A linear regressor."""

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Weights of shape (columns,), in the target's unit a unit of each column."""
        weights: NDArray[np.float64] = self._weights[0][0]
        return weights

    @property
    def intercept_(self) -> float:
        """The constant, in the target's unit."""
        return float(self._weights[1][0])

    def predict(self, X: Rows) -> NDArray[np.float64]:
        """Values of shape (rows,), computed in the clear."""
        found: NDArray[np.float64] = self._numbers(X) @ self.coef_ + self.intercept_
        return found


class Classifier(Linear):
    """A linear classifier."""

    # Labels in place of their texts, where they were given.
    _labels: NDArray[Any] | None = None

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels of shape (classes,)."""
        import numpy as np

        return np.array(self._model.classes) if self._labels is None else self._labels

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Weights of shape (1, columns) of two classes, (classes, columns) of more."""
        weights, _ = self._weights
        return weights[1:] - weights[:1] if len(weights) == 2 else weights

    @property
    def intercept_(self) -> NDArray[np.float64]:
        """Constants of shape (1,) of two classes, (classes,) of more."""
        _, constants = self._weights
        return constants[1:] - constants[:1] if len(constants) == 2 else constants

    def decision_function(self, X: Rows) -> NDArray[np.float64]:
        """Scores of shape (rows,) of two classes, (rows, classes) of more, computed in the clear."""
        scores: NDArray[np.float64] = self._numbers(X) @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Rows) -> NDArray[Any]:
        """Labels of shape (rows,), computed in the clear."""
        scores = self.decision_function(X)
        places = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        found: NDArray[Any] = self.classes_[places]
        return found


def warn_clipped(clipped: Mapping[str, int]) -> None:
    """Says that values lie outside of their ranges."""
    for column, count in clipped.items():
        text = f"{count} values of column {column!r} lie outside of its range and count as its ends"
        warnings.warn(text, LimitedWarning, stacklevel=3)

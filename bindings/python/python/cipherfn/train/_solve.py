"""Models that follow from statistics, by scikit-learn's names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ._fitted import Classifier, Linear, Model, Regressor
from ._statistics import Contribution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self


class _Solved(Model):
    """A model that follows from a total."""

    # Rows of all owners, and the bound of each sum's error, in rows.
    rows_: int
    error_: float

    def _wanted(self) -> dict[str, Any]:
        """What is fitted, in the words of `cipherfn statistics fit`."""
        raise NotImplementedError

    def solve(self, total: Contribution, *, keys: str | os.PathLike[str]) -> Self:
        """Decrypts a total with the key ring in a folder and fits the model to it. The same total serves every model and penalty."""
        wanted = {"penalty": 0.0, "components": None, "smoothing": 0.0, "alpha": 0.0, **self._wanted()}
        self._fitted, rows, self.error_ = total._spec._native.fit(bytes(total), keys, wanted)
        self.rows_ = round(rows)
        return self


class LinearRegression(_Solved, Regressor):
    """Least squares on a numeric target, as scikit-learn's ``LinearRegression``."""

    def _wanted(self) -> dict[str, Any]:
        return {"model": "linear"}


class Ridge(_Solved, Regressor):
    """Least squares with a penalty on the square of the weights, as scikit-learn's ``Ridge(alpha)``."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def _wanted(self) -> dict[str, Any]:
        return {"model": "linear", "penalty": self.alpha}


class LinearDiscriminantAnalysis(_Solved, Classifier):
    """Classes of one covariance, as scikit-learn's ``LinearDiscriminantAnalysis``."""

    def _wanted(self) -> dict[str, Any]:
        return {"model": "discriminant"}

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of shape (rows, classes), computed in the clear."""
        import numpy as np

        scores = self.decision_function(X)
        both = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        powers = np.exp(both - both.max(axis=1, keepdims=True))
        found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return found


class NaiveBayes(_Solved):
    """Numbers as scikit-learn's ``GaussianNB(var_smoothing)``, listed texts as its ``CategoricalNB(alpha)``, both together if there are both.

    It predicts by its file: ``cipherfn.compile(model.to_onnx(), X)``, or ONNX Runtime.
    """

    def __init__(self, *, var_smoothing: float = 1e-9, alpha: float = 1.0) -> None:
        self.var_smoothing = var_smoothing
        self.alpha = alpha

    def _wanted(self) -> dict[str, Any]:
        return {"model": "naive-bayes", "smoothing": self.var_smoothing, "alpha": self.alpha}

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels of shape (classes,)."""
        import numpy as np

        return np.array(self._model.classes)


class _Centred(_Solved):
    """A model of columns less their mean."""

    @property
    def mean_(self) -> NDArray[np.float64]:
        """Means of shape (columns,), in each column's unit."""
        import numpy as np

        return np.array([mean for _, mean, _ in self._model.numbers])


class PCA(_Centred, Linear):
    """Principal components, as scikit-learn's ``PCA(n_components)``."""

    def __init__(self, n_components: int | None = None) -> None:
        self.n_components = n_components

    def _wanted(self) -> dict[str, Any]:
        return {"model": "components", "components": self.n_components}

    @property
    def components_(self) -> NDArray[np.float64]:
        """Directions of shape (components, columns), the largest variance first; each one's largest entry is positive."""
        return self._weights[0]

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Components of shape (rows, components), computed in the clear."""
        found: NDArray[np.float64] = (self._numbers(X) - self.mean_) @ self.components_.T
        return found


class StandardScaler(_Centred):
    """Columns less their mean, divided by their standard deviation, as scikit-learn's ``StandardScaler``."""

    def _wanted(self) -> dict[str, Any]:
        return {"model": "standardise"}

    @property
    def scale_(self) -> NDArray[np.float64]:
        """Standard deviations of shape (columns,), in each column's unit."""
        import numpy as np

        return np.array([1 / scale for _, _, scale in self._model.numbers])

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Scaled columns of shape (rows, columns), computed in the clear."""
        found: NDArray[np.float64] = (self._numbers(X) - self.mean_) / self.scale_
        return found

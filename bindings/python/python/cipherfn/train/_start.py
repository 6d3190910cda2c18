"""What steps of gradient descent start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _native
from ..errors import ArgumentError


class Start:
    """What steps start from."""

    def __init__(self, model: Any, *, anew: bool) -> None:
        self.model = model
        # Whether the rate begins anew; otherwise it goes on.
        self.anew = anew
        self.kept: _native.Kept | None = getattr(model, "_kept", None)
        if self.kept is not None and anew:
            raise ArgumentError("the weights stay encrypted, and the rate of their steps goes on", remedy="partial_fit_encrypted(client, X, y)")

    def weights(self, program: Mapping[str, Any]) -> tuple[list[list[float]], int] | None:
        """Weights of shape (sets, columns + 1) of the units of a program's columns, the constant last; and the steps before."""
        import numpy as np

        if self.model is None or self.kept is not None:
            return None
        columns = program["column"]
        names = [column["name"] for column in columns]
        weights, constants = np.atleast_2d(np.asarray(self.model.coef_, dtype=np.float64)), np.atleast_1d(self.model.intercept_)
        own = getattr(self.model, "feature_names_in_", None)
        if own is not None:
            if sorted(own) != sorted(names):
                raise ArgumentError(f"the weights are of columns {list(own)}, the rows have {names}", remedy="warm_start takes a model of these columns")
            weights = weights[:, [list(own).index(name) for name in names]]
        classes = [str(label) for label in self.model.classes_]
        sets = 1 if len(classes) == 2 else len(classes)
        if classes != program["target"]["classes"] or weights.shape != (sets, len(names)):
            raise ArgumentError(
                f"the weights are of classes {classes} and shape {weights.shape}; classes are {program['target']['classes']}, columns {len(names)}",
                remedy="warm_start takes a linear classifier of the same classes",
            )
        low, high = (np.array([column[end] for column in columns], dtype=np.float64) for end in ("low", "high"))
        middles = weights @ ((low + high) / 2) + constants
        found = np.column_stack([weights * (high - low) / 6, middles])
        return found.tolist(), 0 if self.anew else int(getattr(self.model, "n_steps_", 0))

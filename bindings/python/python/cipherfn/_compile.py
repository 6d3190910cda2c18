"""Compiling a trained model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

from . import _native
from ._export import Predicted, export
from ._model import Model
from ._tables import Column, Rows, as_csv, columns_of, names_of
from .errors import ArgumentError, UncomparedWarning

# Most rows that a model is compiled with.
MOST_ROWS = 20_000


def compile(  # noqa: A001: it is what it does, as `re.compile`
    model: Any,
    X: Rows,
    y: Any = None,
    *,
    name: str | None = None,
    features: str = "exact",
    decoys: int = 0,
    decimals: Mapping[str, int] | Literal["auto"] | None = None,
    precision: float | None = None,
    profile: Literal["balanced", "compact", "keyless", "wide"] | None = None,
    prefer: Literal["time", "size"] | None = None,
    min_agreement: float = 99.0,
    max_error: float | None = None,
    relations: bool = True,
    fit: str | None = None,
    classes: list[str] | None = None,
    combiner: Literal["auto", "client", "server"] = "auto",
    uncertainty: bool = False,
) -> Model:
    """Compiles a trained model for encrypted rows, and holds it to the model's own predictions.

    The model is exported by the way that is right for its kind. Before anything is compiled, the export's predictions on ``X``
    are compared with the model's own; where they differ, `WrongExportError` says in which rows and why.

    Parameters
    ----------
    model
        An estimator or pipeline of scikit-learn; a model of XGBoost, LightGBM or CatBoost; a module of PyTorch that takes float32
        rows, compared in evaluation mode; an ONNX model; or the path or bytes of a model's file.
    X
        Rows as in training, of shape (rows, columns): a table, or an array. They tell the columns' names and the ranges of their
        values, so give those that the model was trained on. The first 20,000 are used.
    y
        What the model should predict, of shape (rows,): the report then says how well it does.
    name
        Name in specs and report.
    features
        ``"exact"``: the model's own split points, which the specs show; or ``"grid:BITS"``: quantiles of ``X``.
    decoys
        Split points a feature that no tree uses, mixed into the exact ones.
    decimals
        Decimals of columns' values, or ``"auto"`` for as many as ``X`` has.
    precision
        Bits of the scores' range to guarantee.
    profile
        What is scarce: server time (``"balanced"``), bytes of key and query (``"compact"``), keys (``"keyless"``: there is no
        evaluation key), or bytes a row of many rows (``"wide"``).
    prefer
        Spare ``"time"`` or ``"size"`` more than the profile does.
    min_agreement
        Least percentage of rows whose label must stay the model's.
    max_error
        Most error of the scores of a network, kernel machine or the like (root mean square over the simulated rows), in percent of
        their range: the cheapest circuit within it. ``None``: less than 1 where that can be reached; above 1 regressors are
        refused, and classifiers that keep their labels compile with a warning.
    relations
        Mark rows that are like no row of ``X``, though each value is: the specs then have relations between columns that the rows
        of ``X`` keep, of networks and kernel machines whose tables other rows leave.
    fit
        ``"lambda"``, or memory, time and size of a function, such as ``"1769MB,5s,1MB"``: compile what fits it.
    classes
        Names of the classes, for files that hold none.
    combiner
        Who evaluates trees over other estimators' results (stacking): the ``"client"``, over decrypted results, with the trees in
        the specs and at most 1,024 nodes; the ``"server"``, by comparing encrypted results; or ``"auto"``, the client where it can.
    uncertainty
        Predict the standard deviation of a forest's trees beside each prediction.

    Examples
    --------
    >>> import numpy as np, cipherfn
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X = np.arange(20, dtype=np.float32).reshape(-1, 1)
    >>> tree = DecisionTreeClassifier().fit(X, X[:, 0] > 7)
    >>> model = cipherfn.compile(tree, X)
    >>> model.predict([[3.0], [12.0]]).tolist()
    [False, True]
    """
    exported = export(model, X)
    columns = columns_of(X, exported.names if names_of(X) is None else None)
    if not columns or not len(columns[0][2]):
        raise ArgumentError("X has no rows", remedy="give the rows that the model was trained on")
    rows = len(columns[0][2])
    predicted = exported.predict(X) if exported.predict else None
    if predicted is None:
        text = "nothing was compared: the library that made the model is not here to predict; install it, or onnxruntime for an ONNX model"
        warnings.warn(text, UncomparedWarning, stacklevel=2)
    if isinstance(decimals, str) and decimals != "auto":
        raise ArgumentError(f"decimals is {decimals!r}", remedy='give a dictionary of columns, or "auto"')
    calibration = list(columns)
    target = None if y is None else _target(y, rows, [column[0] for column in columns])
    if target:
        calibration.append(target)
    expected = None if predicted is None else _expected(predicted)
    tables = {
        "calibration": as_csv(map(_first, calibration)),
        "target": target[0] if target else None,
        "order": exported.names if exported.names and names_of(X) is None else [],
        "expected": None if expected is None else as_csv(map(_first, expected)),
    }
    options = {
        "name": name or _name(model),
        "features": features,
        "decoys": decoys,
        "decimals": {} if decimals is None or isinstance(decimals, str) else dict(decimals),
        "auto_decimals": decimals == "auto",
        "precision": precision,
        "profile": profile,
        "prefer": prefer,
        "classes": classes or exported.classes,
        "min_agreement": min_agreement,
        "max_error": max_error,
        "relations": relations,
        "fit": fit,
        "combiner": combiner,
        "uncertainty": uncertainty,
    }
    own_classes = getattr(model, "classes_", None)
    compiled = Model(_native.compile(exported.model, tables, options), classes=None if own_classes is None else list(own_classes))
    compiled._find_decision_function(model, X)
    return compiled


def _name(model: Any) -> str:
    steps = getattr(model, "steps", None)
    return type(steps[-1][1] if steps else model).__name__


def _first(column: Column) -> Column:
    name, kind, values, valid = column
    return name, kind, values[:MOST_ROWS], None if valid is None else valid[:MOST_ROWS]


def _target(y: Any, rows: int, names: list[str]) -> Column:
    own = getattr(y, "name", None)
    name = own if isinstance(own, str) and own and own not in names else next(it for it in ("target", "y", "_target") if it not in names)
    import numpy as np

    values = np.asarray(y)
    if values.shape != (rows,):
        raise ArgumentError(f"y has shape {values.shape}, X has {rows} rows", remedy="give one value a row")
    return columns_of({name: values})[0]


def _expected(predicted: Predicted) -> list[Column]:
    """The columns of predictions that the compiler compares with."""
    import numpy as np

    columns: dict[str, Any] = {}
    if predicted.labels is not None:
        labels = predicted.labels if predicted.labels.ndim == 2 else predicted.labels[:, None]
        names = ["label"] if labels.shape[1] == 1 else [f"label{place}" for place in range(labels.shape[1])]
        columns |= {name: np.array([str(label) for label in labels[:, place]], dtype=object) for place, name in enumerate(names)}
    if predicted.probabilities is not None:
        columns |= {f"p{place}": values for place, values in enumerate(predicted.probabilities.T)}
    if predicted.values is not None:
        columns |= {f"y{place}": values for place, values in enumerate(predicted.values.T)}
    return columns_of(columns)

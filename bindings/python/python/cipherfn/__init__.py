"""Predictions on encrypted rows.

`compile` makes an encrypted model of a trained one, `Client` has rows predicted by a service that never sees them. `frame` has encrypted
tables, `train` trains on encrypted rows and on sums of several owners.

>>> import numpy as np, cipherfn
>>> from sklearn.linear_model import LogisticRegression
>>> X = np.array([[0.0], [1.0], [2.0], [3.0]], dtype=np.float32)
>>> model = cipherfn.compile(LogisticRegression().fit(X, ["low", "low", "high", "high"]), X)
>>> model.predict(X).tolist()
['low', 'low', 'high', 'high']
"""

from __future__ import annotations

from . import errors, frame, train
from ._client import AsyncClient, Client, Job
from ._compile import compile  # noqa: A004: it is what it does, as `re.compile`
from ._model import Model, load
from ._report import Report
from .errors import CipherfnError

__all__ = ["AsyncClient", "CipherfnError", "Client", "Job", "Model", "Report", "compile", "errors", "frame", "load", "train"]

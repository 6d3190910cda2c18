"""Encrypted tables: joined, filtered and grouped by who cannot read them.

`encrypt` makes an encrypted frame of a table; its methods, by polars' and pandas' names, make a `Query`, which is evaluated here
(``collect()``) or by a service that keeps the frames (``collect(client)``).

>>> import cipherfn.frame as cf
>>> sales = cf.encrypt({"sku": [1, 3, 1], "amount": [12.5, 7.25, 40.0]}, name="sales")
>>> sales.filter(cf.col("sku") == 1).agg(cf.sum("amount"), cf.len()).collect()
{'amount': array([52.5]), 'len': array([2])}
"""

from __future__ import annotations

from ._expression import (
    Aggregate,
    Expression,
    col,
    count,
    len,  # noqa: A004: polars' names
    lit,
    max,  # noqa: A004
    mean,
    median,
    min,  # noqa: A004
    n_unique,
    quantile,
    sum,  # noqa: A004
)
from ._frames import EncryptedFrame, Keys, KeptFrame, encrypt, kept, load, sql
from ._models import LinearModel, model, published_model
from ._query import GroupBy, Query
from ._schema import Schema
from ._tables import ClearTable, clear_table, load_table, published_table

__all__ = [
    "Aggregate",
    "ClearTable",
    "EncryptedFrame",
    "Expression",
    "GroupBy",
    "KeptFrame",
    "Keys",
    "LinearModel",
    "Query",
    "Schema",
    "clear_table",
    "col",
    "count",
    "encrypt",
    "kept",
    "len",
    "lit",
    "load",
    "load_table",
    "max",
    "mean",
    "median",
    "min",
    "model",
    "n_unique",
    "published_model",
    "published_table",
    "quantile",
    "sql",
    "sum",
]

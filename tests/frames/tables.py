#!/usr/bin/env python3
"""Makes table.parquet and table.feather (pyarrow), table.arrow (polars) and table.csv, which hold the same rows.

Usage: tests/frames/tables.py      needs pyarrow and polars 1.x
"""

import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

HERE = Path(__file__).parent
TABLE = pa.table({
    "sku": pa.array([7, 2, None, 12], pa.int16()),
    "region": pa.array(["north", "south", "north", None]).dictionary_encode(),
    "day": pa.array([datetime.date(2024, 2, 29), datetime.date(1969, 12, 31), datetime.date(2030, 1, 1), None]),
    "amount": pa.array([Decimal("12.50"), Decimal("-0.07"), None, Decimal("655.35")], pa.decimal128(9, 2)),
    "weight": pa.array([0.1, 2.25, float("nan"), 3.0], pa.float32()),
    "member": pa.array([True, False, None, True]),
})

pyarrow.parquet.write_table(TABLE, HERE / "table.parquet", compression="zstd")
# As pandas' `to_feather` does.
pyarrow.feather.write_feather(TABLE, HERE / "table.feather", compression="lz4")
frame = pl.from_arrow(TABLE)
frame.write_ipc(HERE / "table.arrow")
frame.write_csv(HERE / "table.csv")

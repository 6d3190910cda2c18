#!/usr/bin/env python3
"""Makes scores.json: a linear model of prepared columns, on scikit-learn's diabetes table, and its own predictions.

Usage: tests/frames/scores.py > tests/frames/scores.json      needs scikit-learn 1.x, polars 1.x

The table is prepared by polars: ages in bands, the sex as a number, missing body mass indices filled, blood pressure standardised; then
scikit-learn fits a linear regression to the first rows and predicts the last ones, which are the rows of the frame. Every eighth body mass
index is missing there: the table has all of them.
"""

import json
import sys

import polars as pl
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

FITTED, ROWS = 300, 24
BREAKS = [35, 50, 65]
FILL = 26.0
# Mean, and the inverse of the deviation, to decimals that a plan writes.
MEAN, INVERSE = 94.65, 0.0723
FEATURES = ["age_band", "is_male", "bmi", "bp", "s5"]
SCHEMA = """
format = 1
name = "patients"
[[column]]
name = "age"
type = "integer"
min = 0
max = 127
roles = ["key"]
[[column]]
name = "sex"
type = "text"
dictionary = ["female", "male"]
roles = ["key"]
[[column]]
name = "bmi"
type = "decimal"
places = 1
min = 15
max = 50
nulls = true
roles = ["value"]
[[column]]
name = "bp"
type = "decimal"
places = 2
min = 40
max = 160
roles = ["value"]
[[column]]
name = "s5"
type = "decimal"
places = 4
min = 2
max = 8
roles = ["value"]
"""


def prepared(table):
    return table.with_columns(
        age_band=pl.sum_horizontal(pl.col("age") >= cut for cut in BREAKS),
        is_male=(pl.col("sex") == "male").cast(pl.Int64),
        bmi=pl.col("bmi").fill_null(FILL),
        bp=(pl.col("bp") - MEAN) * INVERSE,
    ).select(FEATURES)


def main():
    data = load_diabetes(scaled=False)
    table = pl.DataFrame(data.data, schema=list(data.feature_names)).select(
        age=pl.col("age").cast(pl.Int64),
        sex=pl.when(pl.col("sex") == 2).then(pl.lit("male")).otherwise(pl.lit("female")),
        bmi=pl.col("bmi").round(1),
        bp=pl.col("bp").round(2),
        s5=pl.col("s5").round(4),
    )
    fitted = prepared(table[:FITTED])
    model = LinearRegression().fit(fitted.to_numpy(), data.target[:FITTED])
    rows = table[-ROWS:].with_columns(bmi=pl.when(pl.int_range(pl.len()) % 8 == 3).then(None).otherwise(pl.col("bmi")))
    predicted = model.predict(prepared(rows).to_numpy())
    columns = [
        {"name": "age_band", "of": {"cut": [{"col": "age"}, BREAKS]}},
        {"name": "is_male", "of": {"eq": [{"col": "sex"}, {"lit": "male"}]}},
        {"name": "bmi", "of": {"fill_null": [{"col": "bmi"}, FILL]}},
        {"name": "bp", "of": {"mul": [{"sub": [{"col": "bp"}, {"lit": MEAN}]}, {"lit": INVERSE}]}},
        {"name": "score", "of": {"model": ["progression", []]}},
    ]
    json.dump(
        {
            "schema": SCHEMA,
            "steps": [{"with_column": column} for column in columns],
            "features": FEATURES,
            "weights": model.coef_.tolist(),
            "intercept": model.intercept_,
            "calibration": [[round(cell, 6) for cell in row] for row in fitted[:60].to_numpy().tolist()],
            "rows": [list(row) for row in rows.rows()],
            "predicted": [round(score, 9) for score in predicted.tolist()],
        },
        fp=sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes stages.json: plans that are not levelled, and polars' own answers to them.

Usage: tests/frames/stages.py > tests/frames/stages.json      needs polars 1.x or later

Frames (schema as TOML, rows) are shared by all cases. A case is SQL, the number of stages that it
takes, the names of the answer's columns and its rows; "ordered" says whether their order counts.
"""

import json
import random

import polars as pl

SALES = """format = 1
name = "sales"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 7
nulls = true
roles = ["key"]
[[column]]
name = "region"
type = "text"
dictionary = ["north", "south", "east"]
roles = ["key"]
[[column]]
name = "amount"
type = "integer"
min = -20
max = 100
limb-bits = 4
roles = ["value"]
[[column]]
name = "fee"
type = "decimal"
places = 1
min = -5.0
max = 5.0
nulls = true
limb-bits = 4
roles = ["value"]
"""
PRICES = """format = 1
name = "prices"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 7
roles = ["key"]
[[column]]
name = "kind"
type = "integer"
min = 0
max = 5
limb-bits = 4
[[lookup]]
by = ["sku"]
columns = ["kind"]
"""
KINDS = """format = 1
name = "kinds"
[[column]]
name = "kind"
type = "integer"
min = 1
max = 4
roles = ["key"]
[[column]]
name = "weight"
type = "integer"
min = 0
max = 15
limb-bits = 4
[[lookup]]
by = ["kind"]
columns = ["weight"]
"""


def frames():
    draw = random.Random(12)
    maybe = lambda cell: None if draw.random() < 0.2 else cell
    sales = [
        [maybe(draw.randint(0, 7)), draw.choice(["north", "south", "east"]), draw.randint(-20, 100), maybe(draw.randint(-50, 50) / 10)]
        for _ in range(14)
    ]
    prices = [[sku, draw.randint(0, 5)] for sku in range(8) if sku != 3]
    kinds = [[kind, draw.randint(0, 15)] for kind in (1, 2, 4)]
    return sales, prices, kinds


def main():
    sales, prices, kinds = frames()
    schema = {"sku": pl.Int64, "region": pl.String, "amount": pl.Int64, "fee": pl.Float64}
    s = pl.DataFrame(sales, schema=schema, orient="row")
    p = pl.DataFrame(prices, schema={"sku": pl.Int64, "kind": pl.Int64}, orient="row")
    k = pl.DataFrame(kinds, schema={"kind": pl.Int64, "weight": pl.Int64}, orient="row")
    looked = s.join(p, on="sku", how="left", maintain_order="left")
    weighed = looked.join(k, on="kind", how="left", maintain_order="left")
    col = pl.col
    both = "sales LEFT JOIN prices ON sales.sku = prices.sku"
    all_three = f"{both} LEFT JOIN kinds ON prices.kind = kinds.kind"
    cases = [
        (
            "a merge by a looked-up column",
            f"SELECT amount, weight FROM {all_three}",
            2,
            True,
            weighed.select("amount", "weight"),
        ),
        (
            "groups by a looked-up column, in order",
            f"SELECT kind, SUM(amount) AS total, COUNT(*) AS n FROM {both} GROUP BY kind ORDER BY total DESC",
            2,
            True,
            looked.group_by("kind").agg(total=col("amount").sum(), n=pl.len()).sort("total", descending=True),
        ),
        (
            "groups that are left, cut in order",
            "SELECT sku, SUM(amount) AS total, AVG(amount) AS m FROM sales GROUP BY sku HAVING AVG(amount) > 25 AND COUNT(*) > 1 ORDER BY total DESC, sku LIMIT 2",
            1,
            True,
            s.group_by("sku")
            .agg(total=col("amount").sum(), m=col("amount").mean(), n=pl.len())
            .filter((col("m") > 25) & (col("n") > 1))
            .drop("n")
            .sort("total", "sku", descending=[True, False])
            .head(2),
        ),
        (
            "a filter on a looked-up column, the third and fourth row of what is left",
            f"SELECT amount, kind FROM {both} WHERE kind IS NOT NULL AND kind * 2 < amount LIMIT 2 OFFSET 2",
            1,
            True,
            looked.filter(col("kind").is_not_null() & (col("kind") * 2 < col("amount"))).select("amount", "kind").slice(2, 2),
        ),
        (
            "a filter on a sum, then groups",
            "SELECT region, SUM(amount) AS total FROM sales WHERE amount + fee > 20 GROUP BY region",
            2,
            False,
            s.filter(col("amount") + col("fee") > 20).group_by("region").agg(total=col("amount").sum()),
        ),
        (
            "a merge by a looked-up column, filtered by what that looks up, grouped by both",
            f"SELECT region, prices.kind, COUNT(*) AS n FROM {all_three} WHERE weight < 12 AND amount > 0 GROUP BY region, prices.kind ORDER BY n DESC, region",
            3,
            False,
            weighed.filter((col("weight") < 12) & (col("amount") > 0)).group_by("region", "kind").agg(n=pl.len()),
        ),
    ]
    written = [
        {
            "name": name,
            "sql": sql,
            "stages": stages,
            "ordered": ordered,
            "columns": answer.columns,
            "rows": [list(row) for row in answer.rows()],
        }
        for name, sql, stages, ordered, answer in cases
    ]
    named = [{"schema": toml, "rows": rows} for toml, rows in ((SALES, sales), (PRICES, prices), (KINDS, kinds))]
    print(json.dumps({"frames": named, "cases": written}, indent=1))


main()

#!/usr/bin/env python3
"""Makes cases.json: random small frames, plans, and polars' own answers.

Usage: tests/frames/cases.py > tests/frames/cases.json      needs polars 1.x

A case is a list of frames (schema as TOML, rows), a plan as JSON, the names of the answer's columns
and its rows; "clear" where all but the scanned frame are tables in the clear. Days are numbers from
1970 on until they are written. Rows of groups have no order. Frames have nulls, duplicate keys on the left, no rows, one
row, and rows that pad.
"""

import json
import random
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

REGIONS = ["north", "south", "east"]


class Column:
    """A column: how its cells are drawn, how they are written."""

    def __init__(self, name, kind, nulls, roles, low=0, high=0, places=0, words=None):
        self.name, self.kind, self.nulls, self.roles = name, kind, nulls, roles
        self.low, self.high, self.places, self.words = low, high, places, words

    def draw(self, random):
        if self.nulls and random.random() < 0.25:
            return None
        if self.kind == "text":
            return random.choice(self.words)
        if self.kind == "boolean":
            return random.random() < 0.5
        units = random.choice([self.low, self.high, random.randint(self.low, self.high)])
        return units

    def dtype(self):
        return {"text": pl.String, "boolean": pl.Boolean}.get(self.kind, pl.Int64)

    def toml(self):
        lines = ["[[column]]", f'name = "{self.name}"', f'type = "{self.kind}"']
        if self.kind == "date":
            lines += [f'min = "{day(self.low)}"', f'max = "{day(self.high)}"']
        if self.kind in ("integer", "decimal"):
            lines += [f"min = {written(self.low, self.places)}", f"max = {written(self.high, self.places)}"]
        if self.kind == "decimal":
            lines.append(f"places = {self.places}")
        if self.kind == "text":
            lines.append(f"dictionary = {json.dumps(self.words)}")
        if self.nulls:
            lines.append("nulls = true")
        lines.append(f"roles = {json.dumps(self.roles)}")
        return "\n".join(lines)

    def cell(self, units):
        """The cell as JSON: decimals exactly as floats."""
        if self.kind == "date" and units is not None:
            return day(units)
        return number(units, self.places) if self.kind == "decimal" and units is not None else units


def written(units, places):
    return str(Decimal(units).scaleb(-places))


def day(units):
    return (date(1970, 1, 1) + timedelta(days=units)).isoformat()


def number(units, places):
    return float(written(units, places)) if places else units


class Frame:
    def __init__(self, name, columns, rows, padding=0, lookup=None):
        self.name, self.columns, self.rows = name, columns, rows
        self.padding, self.lookup = padding, lookup

    def polars(self):
        schema = {column.name: column.dtype() for column in self.columns}
        return pl.DataFrame(self.rows, schema=schema, orient="row")

    def json(self):
        toml = f'format = 1\nname = "{self.name}"\n' + "\n".join(own.toml() for own in self.columns)
        if self.lookup:
            toml += "\n[[lookup]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in self.lookup.items())
        rows = [[column.cell(cell) for column, cell in zip(self.columns, row)] for row in self.rows]
        return {"schema": toml, "rows": rows, "padding": self.padding}


def sales(random, rows, nulls, padding):
    columns = [
        Column("sku", "integer", nulls, ["key"], 5, 24),
        Column("store", "integer", nulls, ["key"], 1, 6),
        Column("region", "text", nulls, ["key"], words=REGIONS),
        Column("member", "boolean", nulls, ["key"]),
        Column("amount", "decimal", nulls, ["value"], -20_000, 70_000, 2),
        Column("count", "integer", nulls, ["key", "value"], 0, 9),
    ]
    drawn = [[column.draw(random) for column in columns] for _ in range(rows)]
    return Frame("sales", columns, drawn, padding)


def prices(random, nulls, by):
    columns = [
        Column("sku", "integer", nulls, ["key"], 5, 24),
        Column("store", "integer", nulls, ["key"], 1, 6),
        Column("price", "decimal", nulls, ["value"], 0, 9_999, 2),
        Column("group", "text", nulls, ["key"], words=["a", "b", "c", "d"]),
    ]
    seen, rows = set(), []
    for _ in range(random.randint(0, 30)):
        row = [column.draw(random) for column in columns]
        key = tuple(row[["sku", "store"].index(name)] for name in by)
        if key not in seen or None in key:
            seen.add(key)
            rows.append(row)
    columns_of = ["price", "group"] if len(by) == 2 else ["price", "group", "store"]
    return Frame("prices", columns, rows, lookup={"by": by, "columns": columns_of})


def col(name):
    return {"col": name}


def lit(value):
    return {"lit": value}


def draw_condition(random, depth=0):
    """A condition as JSON and as polars has it; decimals are whole units there."""
    kind = random.randrange(8 if depth < 2 else 5)
    if kind == 0:
        name, value = random.choice([("count", random.randint(-1, 10)), ("sku", random.randint(4, 25))])
        op = random.choice(["eq", "ne", "lt", "le", "gt", "ge"])
        return {op: [col(name), lit(value)]}, getattr(pl.col(name), f"__{op}__")(value)
    if kind == 1:
        word = random.choice(REGIONS)
        return {"eq": [col("region"), lit(word)]}, pl.col("region") == word
    if kind == 2:
        name = random.choice(["sku", "region", "amount", "member"])
        return {"is_null": col(name)}, pl.col(name).is_null()
    if kind == 3:
        some = random.sample(range(1, 7), 3)
        return {"is_in": [col("store"), some]}, pl.col("store").is_in(some)
    if kind == 4:
        return col("member"), pl.col("member")
    if kind == 5:
        own = draw_condition(random, depth + 1)
        return {"not": own[0]}, ~own[1]
    parts = [draw_condition(random, depth + 1) for _ in range(2)]
    if kind == 6:
        return {"and": [own[0] for own in parts]}, parts[0][1] & parts[1][1]
    return {"or": [own[0] for own in parts]}, parts[0][1] | parts[1][1]


AGGREGATES = [
    ("n", {"len": None}, lambda: pl.len(), 0),
    ("amounts", {"count": "amount"}, lambda: pl.col("amount").count(), 0),
    ("total", {"sum": "amount"}, lambda: pl.col("amount").sum(), 2),
    ("mean", {"mean": "amount"}, lambda: pl.col("amount").mean() / 100, None),
    ("pieces", {"sum": "count"}, lambda: pl.col("count").sum(), 0),
    ("least", {"min": "sku"}, lambda: pl.col("sku").min(), 0),
    ("most", {"max": "count"}, lambda: pl.col("count").max(), 0),
    ("middle", {"median": "count"}, lambda: pl.col("count").median(), None),
    ("upper", {"quantile": {"column": "sku", "at": 0.75}}, lambda: pl.col("sku").quantile(0.75, "linear"), None),
    ("stores", {"n_unique": "store"}, lambda: pl.col("store").drop_nulls().n_unique(), 0),
]


def draw_aggregates(random):
    return random.sample(AGGREGATES, random.randint(1, 4))


def measures(drawn):
    # A unit variant is its name.
    def of(aggregate):
        return "len" if "len" in aggregate else aggregate

    return [{"name": name, "of": of(aggregate)} for name, aggregate, _, _ in drawn]


def answer(frame, places):
    """Rows as JSON: of each column its decimals, or day."""
    rows = []
    for row in frame.iter_rows():
        cells = zip(row, (places.get(name, 0) for name in frame.columns))
        rows.append([shown(own, digits) for own, digits in cells])
    return rows


def shown(cell, digits):
    if digits is day:
        return None if cell is None else day(cell)
    return cell if cell is None or isinstance(cell, (str, bool)) or not digits else number(cell, digits)


def filtered(random, frame, steps):
    if random.random() < 0.6:
        condition, own = draw_condition(random)
        steps.append({"filter": condition})
        frame = frame.filter(own)
    return frame


def grouping(random, base, steps):
    frame = filtered(random, base.polars(), steps)
    keys = random.sample(["region", "store", "member", "count"], random.randint(0, 2))
    if random.random() < 0.3:
        steps.append({"with_column": {"name": "band", "of": {"cut": [col("sku"), [10, 15, 20]]}}})
        band = pl.when(pl.col("sku") < 10).then(0).when(pl.col("sku") < 15).then(1)
        band = band.when(pl.col("sku") < 20).then(2).when(pl.col("sku") >= 20).then(3)
        frame = frame.with_columns(band.cast(pl.Int64).alias("band"))
        keys = ["band"] + keys[:1]
    drawn = draw_aggregates(random)
    drawn = [own for own in drawn if own[0] not in keys]
    if not drawn:
        drawn = AGGREGATES[:1]
    steps.append({"group_by": {"keys": keys, "aggregates": measures(drawn)}})
    expressions = [make().alias(name) for name, _, make, _ in drawn]
    result = frame.group_by(keys).agg(expressions) if keys else frame.select(expressions)
    return result, {name: digits for name, _, _, digits in drawn if digits}


def rowwise(random, base, steps):
    frame = filtered(random, base.polars(), steps)
    places = {"amount": 2}
    extra = random.randrange(5)
    if extra == 0:
        steps.append({"with_column": {"name": "new", "of": {"mul": [col("amount"), lit(1.5)]}}})
        frame = frame.with_columns((pl.col("amount") * 15).alias("new"))
        places["new"] = 3
    elif extra == 1:
        steps.append({"with_column": {"name": "new", "of": {"mul": [col("amount"), col("count")]}}})
        frame = frame.with_columns((pl.col("amount") * pl.col("count")).alias("new"))
        places["new"] = 2
    elif extra == 2:
        steps.append({"with_column": {"name": "new", "of": {"sub": [{"add": [col("amount"), col("count")]}, lit(7)]}}})
        frame = frame.with_columns((pl.col("amount") + pl.col("count") * 100 - 700).alias("new"))
        places["new"] = 2
    elif extra == 3:
        steps.append({"with_column": {"name": "new", "of": {"fill_null": [col("amount"), -1.25]}}})
        frame = frame.with_columns(pl.col("amount").fill_null(-125).alias("new"))
        places["new"] = 2
    else:
        condition, own = draw_condition(random)
        steps.append({"with_column": {"name": "new", "of": condition}})
        frame = frame.with_columns(own.alias("new"))
    if random.random() < 0.5:
        names = random.sample(frame.columns, random.randint(1, len(frame.columns)))
        steps.append({"select": names})
        frame = frame.select(names)
    return frame, places


def merged(random, base, other, by, steps):
    how = random.choice(["left", "inner"])
    left = filtered(random, base.polars(), steps)
    on = [{"left": name, "right": name} for name in by]
    steps.append({"merge": {"right": "prices", "on": on, "how": how}})
    right = other.polars()
    frame = left.join(right, on=by, how=how, suffix="_right", maintain_order="left")
    choice = random.randrange(4)
    if choice == 0:
        return frame, {"amount": 2, "price": 2}
    if choice == 1 and how == "left":
        steps.append({"with_column": {"name": "price", "of": {"fill_null": [col("price"), 3]}}})
        steps.append({"select": ["sku", "price"]})
        return frame.with_columns(pl.col("price").fill_null(300)).select("sku", "price"), {"price": 2}
    if choice == 2:
        steps.append({"with_column": {"name": "paid", "of": {"mul": [col("price"), col("count")]}}})
        steps.append({"select": ["paid", "amount"]})
        frame = frame.with_columns((pl.col("price") * pl.col("count")).alias("paid"))
        return frame.select("paid", "amount"), {"paid": 2, "amount": 2}
    keys = random.sample(["region", "member"], random.randint(0, 2))
    aggregates = [{"name": "n", "of": "len"}, {"name": "p", "of": {"sum": "price"}}, {"name": "m", "of": {"mean": "price"}}]
    steps.append({"group_by": {"keys": keys, "aggregates": aggregates}})
    expressions = [pl.len().alias("n"), pl.col("price").sum().alias("p"), (pl.col("price").mean() / 100).alias("m")]
    result = frame.group_by(keys).agg(expressions) if keys else frame.select(expressions)
    return result, {"p": 2}


def pushed(random, base, other, by, steps):
    left = filtered(random, base.polars(), steps)
    on = [{"left": name, "right": name} for name in by]
    steps.append({"merge": {"right": "prices", "on": on, "how": "inner"}})
    frame = left.join(other.polars(), on=by, how="inner", suffix="_right")
    if random.random() < 0.5:
        steps.append({"filter": {"ne": [col("group"), lit("b")]}})
        frame = frame.filter(pl.col("group") != "b")
    keys = random.choice([["group"], []])
    aggregates = [{"name": "n", "of": "len"}, {"name": "total", "of": {"sum": "amount"}}, {"name": "mean", "of": {"mean": "amount"}}]
    steps.append({"group_by": {"keys": keys, "aggregates": aggregates}})
    expressions = [pl.len().alias("n"), pl.col("amount").sum().alias("total"), (pl.col("amount").mean() / 100).alias("mean")]
    result = frame.group_by(keys).agg(expressions) if keys else frame.select(expressions)
    return result, {"total": 2}


def tabled(random, base, steps):
    """Functions of small keys, and columns made ready for a model."""
    frame, places = filtered(random, base.polars(), steps), {"amount": 2, "new": 2}
    kind = random.randrange(5)
    if kind in (0, 1):
        cells = random.sample(range(5, 25), 12)
        # Groups have a place for every number between the least and the largest.
        units = [random.randint(-60, 60) if kind else random.randint(-2_000, 3_000) for _ in cells]
        of = {"replace": [col("sku"), [[cell, number(own, 2)] for cell, own in zip(cells, units)]]}
        new = pl.col("sku").replace_strict(cells, units, default=None, return_dtype=pl.Int64)
    elif kind == 2:
        name, places["new"] = random.choice(["sku", "count"]), 3
        of = {"log": [col(name), 3]}
        new = pl.when(pl.col(name) > 0).then((pl.col(name).log() * 1000).round().cast(pl.Int64))
    elif kind == 3:
        of = {"mul": [{"sub": [col("count"), lit(4.5)]}, lit(0.348)]}
        new, places["new"] = (pl.col("count") * 10 - 45) * 348, 4
    else:
        for word in REGIONS:
            steps.append({"with_column": {"name": f"region_{word}", "of": {"eq": [col("region"), lit(word)]}}})
            frame = frame.with_columns((pl.col("region") == word).alias(f"region_{word}"))
        return frame, places
    steps.append({"with_column": {"name": "new", "of": of}})
    frame = frame.with_columns(new.alias("new"))
    if kind == 1:
        aggregates = [{"name": "n", "of": "len"}, {"name": "most", "of": {"max": "count"}}]
        steps.append({"group_by": {"keys": ["new"], "aggregates": aggregates}})
        frame = frame.group_by("new").agg(pl.len().alias("n"), pl.col("count").max().alias("most"))
    return frame, places


def right(random, base, other, by, steps):
    """All rows of the sales, from the prices' side."""
    on = [{"left": name, "right": name} for name in by]
    steps.append({"merge": {"right": "sales", "on": on, "how": "right"}})
    frame = other.polars().join(base.polars(), on=by, how="right", maintain_order="right")
    return frame, {"amount": 2, "price": 2}


def extremes(random, base, other, by, steps):
    """Of the rows that an inner merge keeps, by a key of the other frame."""
    steps.append({"merge": {"right": "prices", "on": [{"left": name, "right": name} for name in by], "how": "inner"}})
    frame = base.polars().join(other.polars(), on=by, how="inner", suffix="_right")
    aggregates = [{"name": "least", "of": {"min": "store_right"}}, {"name": "most", "of": {"max": "store_right"}}, {"name": "n", "of": "len"}]
    steps.append({"group_by": {"keys": [], "aggregates": aggregates}})
    own = pl.col("store_right")
    return frame.select(own.min().alias("least"), own.max().alias("most"), pl.len().alias("n")), {}


def cleared(seed):
    """Groups and conditions by columns of a table that the server has in the clear."""
    own = random.Random(seed)
    by = own.choice([["sku"], ["sku", "store"]])
    base, other = sales(own, own.choice([0, 20, 20, 20, 20]), own.random() < 0.5, own.choice([0, 0, 3])), prices(own, own.random() < 0.6, by)
    how = own.choice(["left", "inner"])
    steps = []
    frame = filtered(own, base.polars(), steps)
    steps.append({"merge": {"right": "prices", "on": [{"left": name, "right": name} for name in by], "how": how}})
    frame = frame.join(other.polars(), on=by, how=how, suffix="_right", maintain_order="left")
    limit = own.randint(0, 99)
    conditions = [
        ({"gt": [col("price"), lit(limit)]}, pl.col("price") > limit * 100),
        ({"is_in": [col("group"), ["a", "c"]]}, pl.col("group").is_in(["a", "c"])),
        ({"is_null": col("group")}, pl.col("group").is_null()),
        ({"not": {"eq": [col("group"), lit("b")]}}, ~(pl.col("group") == "b")),
        ({"is_null": col("price")}, pl.col("price").is_null()),
    ]
    if len(by) == 1:
        conditions.append(({"le": [col("store_right"), col("store")]}, pl.col("store_right") <= pl.col("store")))
    condition, mask = own.choice(conditions)
    more = own.randrange(4)
    if more:
        other_condition, other_mask = draw_condition(own)
        condition, mask = (
            ({"or": [condition, other_condition]}, mask | other_mask) if more == 1 else ({"and": [condition, other_condition]}, mask & other_mask)
        )
    if own.randrange(3) == 0:
        steps.append({"with_column": {"name": "new", "of": condition}})
        frame = frame.with_columns(mask.alias("new"))
        steps.append({"select": ["sku", "new", "price"]})
        frame, places = frame.select("sku", "new", "price"), {"price": 2}
    else:
        if own.randrange(3):
            steps.append({"filter": condition})
            frame = frame.filter(mask)
        keys = own.choice([["group"], ["region", "group"], ["group", "member"], ["region"]] + [["store_right"]] * (len(by) == 1))
        aggregates = [{"name": "n", "of": "len"}, {"name": "total", "of": {"sum": "amount"}}]
        expressions = [pl.len().alias("n"), pl.col("amount").sum().alias("total")]
        places = {"total": 2}
        if how == "left":
            aggregates.append({"name": "p", "of": {"sum": "price"}})
            expressions.append(pl.col("price").sum().alias("p"))
            places["p"] = 2
        if len(by) == 1 and keys != ["store_right"]:
            aggregates.append({"name": "least", "of": {"min": "store_right"}})
            expressions.append(pl.col("store_right").min().alias("least"))
        steps.append({"group_by": {"keys": keys, "aggregates": aggregates}})
        frame = frame.group_by(keys).agg(expressions)
    return {
        "name": f"clear {seed}",
        "clear": True,
        "frames": [base.json(), other.json()],
        "plan": {"format": 1, "scan": "sales", "steps": steps},
        "columns": frame.columns,
        "rows": answer(frame, places),
    }


def new_case(seed):
    own = random.Random(seed)
    base = sales(own, own.choice([0, 1, 12, 20]), own.random() < 0.6, own.choice([0, 0, 3]))
    steps, frames, scan = [], [base], "sales"
    if seed % 3:
        frame, places = tabled(own, base, steps)
    else:
        is_right = seed % 2 == 0
        by = own.choice([["sku"], ["sku", "store"]]) if is_right else ["sku"]
        frames.append(prices(own, own.random() < 0.6, by))
        scan = "prices" if is_right else "sales"
        frame, places = (right if is_right else extremes)(own, base, frames[1], by, steps)
    return {
        "name": f"{'table' if seed % 3 else 'merge'} {seed}",
        "frames": [own.json() for own in frames],
        "plan": {"format": 1, "scan": scan, "steps": steps},
        "columns": frame.columns,
        "rows": answer(frame, places),
    }


FIRST_DAY = 19_718


def visits(random, rows, nulls):
    """Keys that are days and decimals."""
    columns = [
        Column("day", "date", nulls, ["key"], FIRST_DAY, FIRST_DAY + 13),
        Column("fee", "decimal", nulls, ["key"], -5, 20, 1),
        Column("region", "text", nulls, ["key"], words=REGIONS),
        Column("amount", "decimal", nulls, ["value"], -200, 9_000, 2),
    ]
    return Frame("visits", columns, [[column.draw(random) for column in columns] for _ in range(rows)])


def rates(random, nulls, by):
    """One row a key, the rates of days or of fees."""
    key = {
        "day": Column("day", "date", nulls, ["key"], FIRST_DAY, FIRST_DAY + 13),
        "fee": Column("fee", "decimal", nulls, ["key"], -5, 20, 1),
    }[by]
    columns = [
        key,
        Column("rate", "decimal", nulls, ["value"], -300, 300, 3),
        Column("due", "date", nulls, ["value"], FIRST_DAY - 40, FIRST_DAY + 400),
    ]
    rows = {own[0]: own for own in ([column.draw(random) for column in columns] for _ in range(12))}
    return Frame("rates", columns, list(rows.values()), lookup={"by": [by], "columns": ["rate", "due"]})


def of_days(random, base, steps, frames):
    """Filters, groups and extremes of days and of decimal keys."""
    frame = base.polars()
    key = random.choice(["day", "fee"])
    if random.random() < 0.7:
        op = random.choice(["eq", "ne", "lt", "le", "gt", "ge"])
        if key == "day":
            limit = FIRST_DAY + random.randint(-2, 15)
            value, mask = day(limit), getattr(pl.col("day"), f"__{op}__")(limit)
        else:
            # Between two fees, too.
            limit = random.randint(-60, 210)
            value, mask = number(limit, 2), getattr(pl.col("fee") * 10, f"__{op}__")(limit)
        steps.append({"filter": {op: [col(key), lit(value)]}})
        frame = frame.filter(mask)
    places = {"day": day, "fee": 1, "amount": 2, "total": 2, "first": day, "last": day, "least": 1, "most": 1}
    if random.random() < 0.3:
        some = random.sample(range(FIRST_DAY, FIRST_DAY + 14), 5)
        steps.append({"filter": {"is_in": [col("day"), [day(own) for own in some]]}})
        steps.append({"select": ["fee", "day", "amount"]})
        return frame.filter(pl.col("day").is_in(some)).select("fee", "day", "amount"), places
    keys = random.choice([[], ["region"], ["day"], ["fee"]])
    aggregates = {
        "total": ({"sum": "amount"}, pl.col("amount").sum()),
        "first": ({"min": "day"}, pl.col("day").min()),
        "last": ({"max": "day"}, pl.col("day").max()),
        "days": ({"n_unique": "day"}, pl.col("day").drop_nulls().n_unique()),
        "least": ({"min": "fee"}, pl.col("fee").min()),
        "most": ({"max": "fee"}, pl.col("fee").max()),
        "fees": ({"sum": "fee"}, pl.col("fee").sum()),
        "middle": ({"median": "fee"}, pl.col("fee").median() / 10),
        "upper": ({"quantile": {"column": "fee", "at": 0.9}}, pl.col("fee").quantile(0.9, "linear") / 10),
        "known": ({"count": "day"}, pl.col("day").count()),
    }
    names = random.sample(list(aggregates), 3)
    steps.append({"group_by": {"keys": keys, "aggregates": [{"name": name, "of": aggregates[name][0]} for name in names]}})
    expressions = [aggregates[name][1].alias(name) for name in names]
    result = frame.group_by(keys).agg(expressions) if keys else frame.select(expressions)
    return result, places | {"fees": 1}


def by_days(random, base, steps, frames):
    """Merges by days and by decimal keys."""
    by = random.choice(["day", "fee"])
    frames.append(rates(random, random.random() < 0.5, by))
    how = random.choice(["left", "inner"])
    steps.append({"merge": {"right": "rates", "on": [{"left": by, "right": by}], "how": how}})
    frame = base.polars().join(frames[1].polars(), on=by, how=how, maintain_order="left")
    places = {"day": day, "fee": 1, "amount": 2, "rate": 3, "due": day, "rates": 3}
    if random.random() < 0.5:
        return frame, places
    # Counts and means of what is looked up.
    aggregates = [{"name": "known", "of": {"count": "due"}}, {"name": "mean", "of": {"mean": "rate"}}, {"name": "rates", "of": {"sum": "rate"}}]
    steps.append({"group_by": {"keys": ["region"], "aggregates": aggregates}})
    rate = pl.col("rate")
    return frame.group_by("region").agg(pl.col("due").count().alias("known"), (rate.mean() / 1000).alias("mean"), rate.sum().alias("rates")), places


def added(random, base, steps, frames):
    """Rows of equal keys are added: a row stays one, its cells are sums over its partners."""
    columns = [Column("sku", "integer", True, ["key"], 5, 24), Column("price", "integer", True, ["value"], -9, 60)]
    rows = [[column.draw(random) for column in columns] for _ in range(random.randint(0, 40))]
    frames.append(Frame("prices", columns, rows, lookup={"by": ["sku"], "columns": ["price"], "duplicates": "sum"}))
    how = random.choice(["left", "inner"])
    left, right = filtered(random, base, steps), frames[1].polars()
    steps.append({"merge": {"right": "prices", "on": [{"left": "sku", "right": "sku"}], "how": how, "validate": "m:m"}})
    if random.random() < 0.4:
        price = pl.when(pl.col("price").count() > 0).then(pl.col("price").sum())
        sums = right.drop_nulls("sku").group_by("sku").agg(price.alias("price"))
        steps.append({"select": ["sku", "price"]})
        return left.join(sums, on="sku", how=how, maintain_order="left").select("sku", "price"), {}
    keys = random.choice([["region"], ["member"]])
    aggregates = [{"name": "p", "of": {"sum": "price"}}, {"name": "c", "of": {"count": "price"}}, {"name": "m", "of": {"mean": "price"}}]
    price = pl.col("price")
    pairs = left.join(right, on="sku", how=how).group_by(keys)
    result = pairs.agg(price.sum().alias("p"), price.count().alias("c"), price.mean().alias("m"))
    if how == "left":
        aggregates.append({"name": "n", "of": "len"})
        result = result.join(left.group_by(keys).agg(pl.len().alias("n")), on=keys, how="left", nulls_equal=True)
    steps.append({"group_by": {"keys": keys, "aggregates": aggregates}})
    return result, {}


def indicated(random, base, steps, frames):
    by = random.choice([["sku"], ["sku", "store"]])
    frames.append(prices(random, random.random() < 0.5, by))
    how = random.choice(["left", "inner"])
    left = filtered(random, base, steps)
    on = [{"left": name, "right": name} for name in by]
    steps.append({"merge": {"right": "prices", "on": on, "how": how, "indicator": "_merge"}})
    right = frames[1].polars().with_columns(pl.lit("both").alias("_merge"))
    frame = left.join(right, on=by, how=how, suffix="_right", maintain_order="left")
    frame = frame.with_columns(pl.col("_merge").fill_null("left_only"))
    steps.append({"select": ["_merge", "price", "store"]})
    return frame.select("_merge", "price", "store"), {"price": 2}


def renamed(random, base, steps, frames):
    """Two columns exchange their names; groups are renamed, too."""
    frame = filtered(random, base, steps)
    steps.append({"rename": [{"from": "sku", "to": "count"}, {"from": "count", "to": "sku"}]})
    frame = frame.rename({"sku": "count", "count": "sku"})
    if random.random() < 0.4:
        steps.append({"filter": {"gt": [col("sku"), lit(4)]}})
        return frame.filter(pl.col("sku") > 4), {"amount": 2}
    steps.append({"group_by": {"keys": ["region"], "aggregates": [{"name": "pieces", "of": {"sum": "sku"}}, {"name": "most", "of": {"max": "count"}}]}})
    steps.append({"rename": [{"from": "region", "to": "place"}, {"from": "pieces", "to": "sum"}]})
    frame = frame.group_by("region").agg(pl.col("sku").sum().alias("pieces"), pl.col("count").max().alias("most"))
    return frame.rename({"region": "place", "pieces": "sum"}), {}


def counted(random, base, steps, frames):
    """What `value_counts` and `crosstab` make."""
    frame = filtered(random, base, steps)
    keys = random.choice([["region"], ["count"], ["region", "member"], ["store", "region"]])
    steps.append({"group_by": {"keys": keys, "aggregates": [{"name": "count" if "count" not in keys else "n", "of": "len"}]}})
    if len(keys) == 1:
        name = steps[-1]["group_by"]["aggregates"][0]["name"]
        return frame.get_column(keys[0]).value_counts(name=name), {}
    return frame.group_by(keys).agg(pl.len().alias("count")), {}


def people(random, rows, nulls):
    """Keys whose combinations with ages are more than a ciphertext has room for, though groups are few."""
    columns = [
        Column("store", "integer", nulls, ["key"], 0, random.choice([12, 19, 20])),
        Column("region", "text", nulls, ["key"], words=REGIONS),
        Column("age", "integer", nulls, ["key"], 1, 63),
    ]
    return Frame("people", columns, [[column.draw(random) for column in columns] for _ in range(rows)])


def spread(random, base, steps, frames):
    """Statistics of ages by two keys, in both orders."""
    frame = base.polars()
    keys = random.sample(["store", "region"], 2)
    age = pl.col("age")
    drawn = [
        ("least", {"min": "age"}, age.min()),
        ("most", {"max": "age"}, age.max()),
        ("middle", {"median": "age"}, age.median()),
        ("ages", {"n_unique": "age"}, age.drop_nulls().n_unique()),
    ]
    drawn = random.sample(drawn, 2)
    steps.append({"group_by": {"keys": keys, "aggregates": [{"name": name, "of": of} for name, of, _ in drawn]}})
    return frame.group_by(keys).agg(own.alias(name) for name, _, own in drawn), {}


BASES = {"days": visits, "by days": visits, "spread": people}
KINDS = {"days": of_days, "by days": by_days, "added": added, "indicator": indicated, "renamed": renamed, "counts": counted, "spread": spread}


def more_case(seed, kind):
    own = random.Random(seed)
    rows, nulls = own.choice([0, 12, 20, 20, 24]), own.random() < 0.6
    base = BASES[kind](own, rows, nulls) if kind in BASES else sales(own, rows, nulls, own.choice([0, 0, 3]))
    steps, frames = [], [base]
    frame, places = KINDS[kind](own, base if kind in BASES else base.polars(), steps, frames)
    return {
        "name": f"{kind} {seed}",
        "frames": [own.json() for own in frames],
        "plan": {"format": 1, "scan": base.name, "steps": steps},
        "columns": frame.columns,
        "rows": sorted(answer(frame, places), key=str) if "group_by" in str(steps) else answer(frame, places),
    }


def tips():
    """The join that Concrete ML documents (its notebook EncryptedPandas): rows of the Tips data set, bills and tips
    to the cent here and in four bits there."""
    sexes, smokers = ["Male", "Female"], ["No", "Yes"]
    bills = [1254, 1117, 2029, 1407, 1569, 1829, 1693, 2427, 877]
    tipped = [250, 150, 275, 250, 300, 300, 307, 203, 200]
    left = [
        Column("index", "integer", False, ["key"], 1, 15),
        Column("total_bill", "decimal", False, ["value"], 0, 9_999, 2),
        Column("tip", "decimal", False, ["value"], 0, 999, 2),
        Column("sex", "text", False, ["key"], words=sexes),
        Column("smoker", "text", False, ["key"], words=smokers),
    ]
    who = zip(range(1, 10), bills, tipped, "MFFMMMFMM", "NNNNYNNYN")
    rows = [[place, bill, tip, sexes["MF".index(sex)], smokers["NY".index(smoker)]] for place, bill, tip, sex, smoker in who]
    right = [
        Column("index", "integer", False, ["key"], 1, 15),
        Column("day", "text", False, ["value"], words=["Thur", "Sat", "Sun"]),
        Column("time", "text", False, ["value"], words=["Lunch", "Dinner"]),
        Column("size", "integer", False, ["value"], 1, 6),
    ]
    visits = [[2, "Thur", "Lunch", 2], [5, "Sat", "Dinner", 3], [9, "Sun", "Dinner", 2]]
    frames = [Frame("left", left, rows), Frame("right", right, visits, lookup={"by": ["index"], "columns": ["day", "time", "size"]})]
    merge = {"right": "right", "on": [{"left": "index", "right": "index"}], "how": "left"}
    frame = frames[0].polars().join(frames[1].polars(), on="index", how="left", maintain_order="left")
    return {
        "name": "the peer's join",
        "frames": [own.json() for own in frames],
        "plan": {"format": 1, "scan": "left", "steps": [{"merge": merge}]},
        "columns": frame.columns,
        "rows": answer(frame, {"total_bill": 2, "tip": 2}),
    }


def case(seed):
    own = random.Random(seed)
    rows = own.choice([0, 1, 2, 12, 12, 20])
    nulls = own.random() < 0.6
    padding = own.choice([0, 0, 3]) if rows else 0
    base = sales(own, rows, nulls, padding)
    steps, kind = [], ["groups", "rows", "merge", "push"][seed % 4]
    frames = [base]
    if kind == "groups":
        frame, places = grouping(own, base, steps)
    elif kind == "rows":
        frame, places = rowwise(own, base, steps)
    else:
        by = own.choice([["sku"], ["sku", "store"]])
        other = prices(own, nulls, by)
        frames.append(other)
        make = merged if kind == "merge" else pushed
        frame, places = make(own, base, other, by, steps)
    return {
        "name": f"{kind} {seed}",
        "frames": [own.json() for own in frames],
        "plan": {"format": 1, "scan": "sales", "steps": steps},
        "columns": frame.columns,
        "rows": answer(frame, places),
    }


SQL = [
    "SELECT region, count(*) AS n, sum(count) AS pieces FROM sales WHERE sku > 9 AND NOT member GROUP BY region",
    "SELECT sku, count + 2 * sku - 1 AS x FROM sales WHERE store IN (1, 2, 5) OR region IS NULL",
    "SELECT s.sku, p.store, p.\"group\" AS own FROM sales AS s LEFT JOIN prices p ON s.sku = p.sku",
    "SELECT p.\"group\", count(*) AS n FROM sales s JOIN prices p ON p.sku = s.sku AND s.store = p.store GROUP BY p.\"group\"",
    "SELECT count(DISTINCT store) AS stores, min(sku) AS low, max(sku) AS high, avg(count) AS mean FROM sales WHERE count BETWEEN 2 AND 7",
    "SELECT region AS place, member, sum(sku * count) AS weight, count(member) AS known FROM sales GROUP BY region, member",
    "SELECT count(*) AS n, sum(s.count) AS pieces FROM sales s INNER JOIN prices p ON s.sku = p.sku WHERE p.\"group\" <> 'a' AND s.sku >= 7",
]


def sql_case(index, text):
    own = random.Random(1000 + index)
    base = sales(own, 20, True, 0)
    other = prices(own, True, ["sku", "store"] if "store = p" in text else ["sku"])
    context = pl.SQLContext(sales=base.polars(), prices=other.polars())
    frame = context.execute(text, eager=True)
    return {
        "name": f"SQL {index}",
        "frames": [base.json(), other.json()],
        "sql": text,
        "columns": frame.columns,
        "rows": answer(frame, {}),
    }


cases = [case(seed) for seed in [*range(160), 263]]
cases += [sql_case(index, text) for index, text in enumerate(SQL)]
cases += [new_case(seed) for seed in range(2000, 2045)]
cases += [cleared(seed) for seed in range(3000, 3040)]
cases += [more_case(seed, kind) for place, kind in enumerate(KINDS) for seed in range(4000 + 10 * place, 4008 + 10 * place)]
cases += [tips()]
print("[")
print(",\n".join(json.dumps(own, separators=(",", ":")) for own in cases))
print("]")

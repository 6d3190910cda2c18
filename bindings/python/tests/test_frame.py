"""Encrypted frames, compared with what polars and pandas make of the same tables."""

import datetime
import decimal
import pathlib

import numpy as np
import pandas as pd
import polars as pl
import polars.selectors
import polars.testing
import pyarrow as pa
import pytest
from conftest import Dev

import cipherfn
import cipherfn.frame as cf
from cipherfn import errors


def sales(rows: int = 150) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    some = rng.random(rows) < 0.1
    days = np.datetime64("2024-02-20") + rng.integers(0, 20, rows)
    return pl.DataFrame({
        "sku": rng.integers(0, 40, rows),
        "region": pl.Series([None if gone else region for gone, region in zip(some, rng.choice(["north", "south", "east"], rows), strict=True)]),
        "age": rng.integers(18, 90, rows),
        "paid": rng.random(rows) < 0.7,
        "day": pl.Series(days.astype("M8[ms]")).cast(pl.Date),
        "amount": pl.Series(rng.lognormal(3, 0.5, rows).round(2)),
    })


def prices() -> pl.DataFrame:
    rng = np.random.default_rng(4)
    skus = rng.permutation(40)[:30]
    return pl.DataFrame({"sku": skus, "price": (rng.random(30) * 50).round(2), "class": rng.choice(["a", "b"], 30)})


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return sales()


@pytest.fixture(scope="module")
def encrypted(table: pl.DataFrame) -> cf.EncryptedFrame:
    schema = cf.Schema.infer(table, name="sales").column("sku", min=0, max=63).column("amount", min=0, limb_bits=6)
    return cf.encrypt(table, schema)


@pytest.fixture(scope="module")
def priced(encrypted: cf.EncryptedFrame) -> cf.EncryptedFrame:
    schema = cf.Schema.infer(prices(), name="prices", like=encrypted.schema).lookup("sku", ["price", "class"])
    return cf.encrypt(prices(), schema)


def floats(table: pl.DataFrame) -> pl.DataFrame:
    """Decimals as floats, which the libraries compare."""
    return table.with_columns(polars.selectors.decimal().cast(pl.Float64), pl.col(pl.UInt32).cast(pl.Int64))


def same(found: pl.DataFrame, wanted: pl.DataFrame, *by: str) -> None:
    found, wanted = floats(found), floats(wanted)
    assert found.columns == wanted.columns
    if by:
        found, wanted = found.sort(by, nulls_last=True), wanted.sort(by, nulls_last=True)
    polars.testing.assert_frame_equal(found, wanted, check_dtypes=False, abs_tol=1e-9)


def test_rows_are_filtered_and_computed_as_by_polars(table: pl.DataFrame, encrypted: cf.EncryptedFrame) -> None:
    found = (
        encrypted.filter((cf.col("age") > 30) & cf.col("region").is_in(["north", "south"]) & ~cf.col("paid"))
        .with_columns(gross=cf.col("amount") * 1.5 + 2, older=10 + cf.col("age"))
        .rename({"sku": "article"})
        .select("article", "region", "day", "gross", "older")
        .collect(min_bits=None)
    )
    wanted = (
        table.filter((pl.col("age") > 30) & pl.col("region").is_in(["north", "south"]) & ~pl.col("paid"))
        .with_columns(gross=(pl.col("amount") * 1.5 + 2).round(3), older=10 + pl.col("age"))
        .rename({"sku": "article"})
        .select("article", "region", "day", "gross", "older")
    )
    assert isinstance(found, pl.DataFrame) and found.schema["gross"] == pl.Decimal(38, 3)
    assert found.schema["day"] == pl.Date
    same(found, wanted)


def test_merges_and_groups_are_polars(table: pl.DataFrame, encrypted: cf.EncryptedFrame, priced: cf.EncryptedFrame) -> None:
    query = (
        encrypted.merge(priced, on="sku", how="left")
        .filter(cf.col("day") >= datetime.date(2024, 2, 25))
        .group_by("region")
        .agg(cf.sum("price").alias("total"), cf.len(), buyers=cf.col("age").n_unique(), oldest=("age", "max"))
    )
    assert "merge: left prices on sku" in query.explain(min_bits=None)
    assert query.bits(min_bits=None) == dict.fromkeys(("region", "total", "len", "buyers", "oldest"))
    wanted = (
        table.join(prices(), on="sku", how="left")
        .filter(pl.col("day") >= datetime.date(2024, 2, 25))
        .group_by("region")
        .agg(pl.col("price").sum().round(2).alias("total"), pl.len(), buyers=pl.col("age").n_unique(), oldest=pl.col("age").max())
    )
    same(query.collect(min_bits=None), wanted, "region")
    inner = encrypted.join(priced, on="sku").select("sku", "amount", "price", "class").collect(min_bits=None)
    same(inner, table.join(prices(), on="sku").select("sku", "amount", "price", "class"))
    statement = "SELECT sales.sku, price FROM sales LEFT JOIN prices ON sales.sku = prices.sku WHERE age < 25"
    by_sql = cf.sql(statement, priced, encrypted).collect(min_bits=None)
    same(by_sql, table.join(prices(), on="sku", how="left").filter(pl.col("age") < 25).select("sku", "price"))


def test_what_the_key_holder_does_with_an_answer_is_polars(table: pl.DataFrame, encrypted: cf.EncryptedFrame, priced: cf.EncryptedFrame) -> None:
    query = encrypted.group_by("region").agg(cf.len().alias("n"), cf.sum("age")).filter(cf.col("n") > 30)
    query = query.sort("n", "region", descending=[True, False]).head(2)
    want = table.group_by("region").agg(n=pl.len(), age=pl.col("age").sum()).filter(pl.col("n") > 30)
    want = want.sort("n", "region", descending=[True, False]).head(2)
    assert "then the key holder, slice: the first 2 rows" in query.explain()
    polars.testing.assert_frame_equal(floats(query.collect()), floats(want))
    looked = encrypted.merge(priced, on="sku", how="left").select("age", "price").filter(cf.col("price") > 20).unique().slice(2, 4)
    joined = table.join(prices(), on="sku", how="left", maintain_order="left").select("age", "price")
    joined = joined.filter(pl.col("price") > 20).unique(keep="first", maintain_order=True).slice(2, 4)
    polars.testing.assert_frame_equal(floats(looked.collect()), floats(joined))
    with pytest.raises(errors.ArgumentError, match="counts from the end"):
        encrypted.slice(-1)


def test_pandas_names_give_pandas_answers(table: pl.DataFrame) -> None:
    frame = table.to_pandas()
    frame["day"] = frame["day"].astype("datetime64[ns]")
    encrypted = cf.encrypt(frame, cf.Schema.infer(frame, name="sales").column("amount", limb_bits=4))
    assert encrypted.schema.columns["day"]["type"] == "date"
    found = encrypted.groupby(["region", "paid"]).agg({"amount": "sum"}, n=("sku", "size")).collect(min_bits=None)
    wanted = frame.groupby(["region", "paid"], dropna=False).agg(amount=("amount", "sum"), n=("sku", "size")).reset_index()
    assert isinstance(found, pd.DataFrame)
    order = ["region", "paid"]
    found, wanted = (own.sort_values(order).reset_index(drop=True) for own in (found, wanted))
    assert found[order].fillna("").to_numpy().tolist() == wanted[order].fillna("").to_numpy().tolist()
    assert np.allclose(found.amount, wanted.amount) and found.n.tolist() == wanted.n.tolist()
    dummies = encrypted.one_hot("region", ["north", "south"]).select("region_north", "region_south").collect(min_bits=None)
    known = frame.region.notna().to_numpy()
    assert dummies.region_north[known].tolist() == (frame.region == "north")[known].tolist()
    assert dummies.region_north[~known].isna().all()
    days = encrypted.select("day").collect(min_bits=None)
    assert (days.day == frame.day).all()
    rates = {"north": 0.19, "south": 0.07}
    mapped = encrypted.with_columns(vat=cf.col("region").replace({"north": 0.19, "south": decimal.Decimal("0.07")}))
    assert mapped.select("vat").collect(min_bits=None).vat.fillna(-1).tolist() == frame.region.map(rates).fillna(-1).tolist()
    filled = encrypted.fill_null({"region": "north"}).select("region").collect(min_bits=None)
    assert filled.region.tolist() == frame.region.fillna("north").tolist()
    logs = encrypted.with_columns(log=cf.col("age").log(3), band=cf.col("age").cut([30, 60])).select("log", "band").collect(min_bits=None)
    assert np.allclose(logs.log, np.log(frame.age).round(3)) and logs.band.tolist() == np.digitize(frame.age, [30, 60]).tolist()
    counts = encrypted.crosstab("region", "paid").collect(to="columns")
    assert counts["count"].sum() == len(frame)


def test_frames_are_files(table: pl.DataFrame, tmp_path: pathlib.Path) -> None:
    arrow = table[:20].to_arrow()
    frame = cf.encrypt(arrow, name="sales", keys=tmp_path / "keys", pad_to=32)
    assert len(frame) == 32
    frame.save(tmp_path / "sales.cff")
    frame.schema.save(tmp_path / "sales.toml")
    cf.Schema.infer(arrow.to_reader(), name="sales").save(tmp_path / "whole.toml")
    assert cf.Schema.read(tmp_path / "sales.toml") == frame.schema
    stream = cf.encrypt(arrow.to_reader(max_chunksize=7), tmp_path / "whole.toml")
    assert stream.value_counts("sku").collect()["count"].to_pylist() == frame.value_counts("sku").collect()["count"].to_pylist()
    assert len(cf.encrypt(table.lazy().filter(pl.col("age") > 60), name="old")) == table["age"].gt(60).sum()
    again = cf.load(tmp_path / "sales.cff", keys=tmp_path / "keys")
    found = again.select("sku", "amount").collect(to="pyarrow", min_bits=None)
    assert isinstance(found, pa.Table) and found["sku"].to_pylist() == arrow["sku"].to_pylist()
    assert [float(amount) for amount in found["amount"].to_pylist()] == arrow["amount"].to_pylist()
    with pytest.raises(errors.KeysError, match="keys at hand"):
        cf.load(tmp_path / "sales.cff", keys=cf.Keys()).select("sku").collect()


def test_services_answer_as_this_machine_does(table: pl.DataFrame, dev: Dev, tmp_path: pathlib.Path) -> None:
    ring = tmp_path / "keys"
    client = cipherfn.Client(dev.url, keys=ring)
    keys = cf.Keys(ring)
    base = cf.Schema.infer(table, name="sales").column("sku", min=0, max=63)
    here = cf.encrypt(table, base, keys=keys)
    other = cf.encrypt(prices(), cf.Schema.infer(prices(), name="prices", like=base).lookup("sku", ["price"]), keys=keys)
    query = here.merge(other, on="sku", how="left").filter(cf.col("age") > 40).select("sku", "price")
    with pytest.raises(errors.ArgumentError, match=r"sales\.upload\(client\)"):
        query.collect(client)
    kept, _ = here.upload(client), other.upload(client)
    assert sorted(own["name"] for own in client.frames()) == ["prices", "sales"]
    wanted = query.collect(min_bits=None)
    same(query.collect(client, min_bits=None), wanted)
    same(query.collect(client, min_bits=None, rows_a_part=64), wanted)
    found = cf.kept(client, "sales").value_counts("region").collect(to="polars")
    same(found, table.group_by("region").agg(count=pl.len()), "region")
    with pytest.raises(errors.ServiceError, match="keeps no frame 'sale'|keeps no frame \"sale\""):
        cf.kept(client, "sale")
    stranger = cf.encrypt({"a": [1, 2]}, name="other")
    with pytest.raises(errors.KeysError, match="keys= of the client"):
        stranger.upload(client)
    staged = query.filter(cf.col("price") > 25).sort("price", "sku", descending=[True, False])
    wanted = table.join(prices(), on="sku", how="left").filter((pl.col("age") > 40) & (pl.col("price") > 25)).select("sku", "price")
    same(staged.collect(client, stages=True, min_bits=None), wanted.sort("price", "sku", descending=[True, False]))
    # The frames between stages are gone.
    assert sorted(own["name"] for own in client.frames()) == ["prices", "sales"]
    kept.delete()
    assert [own["name"] for own in client.frames()] == ["prices"]


def test_what_is_not_levelled_goes_in_stages(table: pl.DataFrame, encrypted: cf.EncryptedFrame, priced: cf.EncryptedFrame) -> None:
    query = (
        encrypted.join(priced, on="sku")
        .filter(cf.col("price") > 25)
        .group_by("region")
        .agg(cf.len().alias("n"), cf.sum("age"))
        .sort("n", "region", descending=True)
    )
    with pytest.raises(errors.PlanError, match=r"levelled(.|\n)*stages=True"):
        query.collect()
    told = query.explain(stages=True, min_bits=None)
    assert "stage 1 of 2" in told and "then the key holder: " in told
    wanted = (
        table.join(prices(), on="sku")
        .filter(pl.col("price") > 25)
        .group_by("region")
        .agg(n=pl.len(), age=pl.col("age").sum())
        .sort("n", "region", descending=True)
    )
    same(query.collect(stages=True, min_bits=None), wanted)
    by_sql = cf.sql("SELECT DISTINCT region FROM sales ORDER BY region", encrypted)
    same(by_sql.collect(stages=True), table.select("region").unique().sort("region"))
    same(encrypted.select("region").unique().sort("region").collect(stages=True), table.select("region").unique().sort("region"))
    # What is levelled is one stage.
    assert "stage" not in encrypted.select("sku").explain(stages=True)
    with pytest.raises(errors.ArgumentError, match="3 entries for 1 columns"):
        query.sort("sku", descending=[True] * 3)


def test_what_cannot_be_is_refused_by_its_step(table: pl.DataFrame, encrypted: cf.EncryptedFrame, priced: cf.EncryptedFrame) -> None:
    with pytest.raises(errors.PlanError, match="levelled"):
        encrypted.merge(priced, on="sku", how="left").group_by("price").agg(cf.len()).collect()
    with pytest.raises(errors.PlanError, match='no column "colour"'):
        encrypted.select("colour").explain()
    with pytest.raises(errors.PlanError, match=r"bits(.|\n)*remedy: min_bits"):
        encrypted.group_by("region", "paid").agg(cf.sum("amount")).collect(min_bits=None)


def test_words_that_mean_nothing_are_refused(encrypted: cf.EncryptedFrame) -> None:
    for call, text in [
        (lambda: encrypted.filter((cf.col("age") > 30) and cf.col("paid")), "& | ~"),
        (lambda: encrypted.merge(encrypted), "on=NAME"),
        (lambda: encrypted.agg({"age": "mode"}), "no aggregate"),
        (lambda: encrypted.with_columns(cf.col("age") + 1), "alias"),
        (lambda: encrypted.with_columns(age=cf.col("age") + 1, older=cf.col("age") + 2), "with_columns once for each"),
        (lambda: encrypted.filter(cf.col("day") > datetime.datetime(2024, 1, 1, 12)), "time of day"),
        (lambda: encrypted.filter(cf.col("age") > float("nan")), "no cell"),
        (lambda: cf.encrypt({"a": [1]}), "name"),
        (lambda: cf.encrypt(np.ones((2, 2)), name="a"), "have no names"),
        (lambda: cf.encrypt(pa.table({"a": [1]}).to_reader(), name="a"), "read once"),
        (lambda: encrypted.schema.column("colour", min=0), "no column"),
        (lambda: encrypted.schema.column("age", limbs=1), "limb_bits"),
    ]:
        with pytest.raises(errors.ArgumentError, match=text.replace("|", r"\|")):
            call()


def test_cells_outside_of_a_schema_are_named(encrypted: cf.EncryptedFrame, table: pl.DataFrame) -> None:
    schema = encrypted.schema
    wide = table.with_columns(sku=pl.lit(64))
    with pytest.raises(errors.TableError, match=r'row 1, column "sku"(.|\n)*schema\.column\("sku"'):
        cf.encrypt(wide, cf.Schema.infer(table, name="s").column("sku", min=0, max=63))
    with pytest.raises(errors.TableError, match="amount"):
        cf.encrypt(table.drop("amount"), cf.Schema.infer(table, name="s"))
    with pytest.raises(errors.SchemaError, match="rows"):
        cf.encrypt(table[:3], schema)
    with pytest.raises(errors.SchemaError, match='column "amount"'):
        schema.column("amount", places=99)
    with pytest.raises(errors.TableError, match="times of day"):
        cf.encrypt({"at": np.array(["2024-01-01T12:00"], dtype="M8[s]")}, name="s")
    doubled = pl.DataFrame({"sku": [1, 1], "price": [2.0, 3.0]})
    with pytest.raises(errors.TableError, match="equal keys"):
        cf.encrypt(doubled, cf.Schema.infer(doubled, name="p").lookup("sku", ["price"]))

"""Scores of linear models, tables in the clear and hashed names in queries over encrypted frames, beside scikit-learn and polars."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import polars as pl
import pytest
from conftest import Dev
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_frame import prices, sales, same

import cipherfn
import cipherfn.frame as cf
from cipherfn import errors

# Bands of ages, what stands for a missing body mass index, mean and inverse deviation of blood pressure.
BREAKS, FILL, MEAN, INVERSE = [35, 50, 65], 26.0, 94.65, 0.1


def patients() -> tuple[pl.DataFrame, np.ndarray]:
    data = load_diabetes(scaled=False)
    table = pl.DataFrame(data.data, schema=list(data.feature_names)).select(
        age=pl.col("age").cast(pl.Int64),
        male=pl.col("sex") == 2,
        bmi=pl.when(pl.int_range(pl.len()) % 8 == 3).then(None).otherwise(pl.col("bmi").round(1)),
        bp=pl.col("bp").round(2),
        s5=pl.col("s5").round(3),
    )
    return table, data.target


def prepared(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(
        age=pl.sum_horizontal(pl.col("age") >= cut for cut in BREAKS),
        male=pl.col("male").cast(pl.Int64),
        bmi=pl.col("bmi").fill_null(FILL),
        bp=(pl.col("bp") - MEAN) * INVERSE,
        s5="s5",
    )


@pytest.fixture(scope="module")
def progression() -> cipherfn.Model:
    table, target = patients()
    rows = prepared(table).to_pandas().astype(np.float32)
    regression = make_pipeline(StandardScaler(), LinearRegression()).fit(rows, target)
    return cipherfn.compile(regression, rows, name="progression")


def predicted(table: pl.DataFrame) -> np.ndarray:
    all_rows, target = patients()
    regression = LinearRegression().fit(prepared(all_rows).to_numpy(), target)
    return regression.predict(prepared(table).to_numpy())


def scored(frame: cf.EncryptedFrame | cf.KeptFrame, score: cf.LinearModel) -> cf.Query:
    """The same preparation, and the score."""
    return frame.with_columns(
        band=cf.col("age").cut(BREAKS),
        bmi=cf.col("bmi").fill_null(FILL),
        scaled=(cf.col("bp") - MEAN) * INVERSE,
    ).with_columns(score=score("band", "male", "bmi", "scaled", "s5"))


def test_scores_of_prepared_columns_are_scikit_learns(progression: cipherfn.Model, dev: Dev, tmp_path: pathlib.Path) -> None:
    table = patients()[0][:64]
    wanted = predicted(table)
    ring = tmp_path / "keys"
    frame = cf.encrypt(table, name="patients", keys=ring)
    precision = cf.model(progression).precision
    assert precision is not None and precision < 0.5
    allowed = 1.25 * precision

    def close(query: cf.Query, client: cipherfn.Client | None = None, bits: float | None = None, most: float = allowed) -> None:
        found = query.select("score").collect(client, min_bits=bits, to="polars")["score"]
        assert np.abs(found.cast(pl.Float64).to_numpy() - wanted).max() < most

    # Compiled, from its bundle, and from a model file.
    close(scored(frame, cf.model(progression)))
    progression.save(tmp_path / "risk.cfn")
    risk = cf.model(tmp_path / "risk.cfn")
    assert (risk.name, risk.columns, risk.is_published) == ("risk", ["age", "male", "bmi", "bp", "s5"], False)
    close(scored(frame, risk))
    dev.publish(progression, "risk")
    client = cipherfn.Client(dev.url, keys=ring)
    kept = frame.upload(client)
    # A service has a published model, and is sent the weights of any other one: as numbers of the plan, which are exact to fewer bits.
    published = cf.published_model(client, "risk")
    assert published.is_published
    close(scored(kept, published), client)
    close(scored(frame, risk), client, 7, 4)
    with pytest.raises(errors.PlanError, match="client"):
        scored(frame, published).collect()
    assert scored(kept, published).explain().count("model risk") == 1
    # To the 8 bits that are asked for of sums of 64 rows: to tens.
    by_band = scored(kept, published).group_by("band").agg(total=("score", "sum")).collect(client, stages=True, to="polars")
    sums = table.with_columns(score=wanted, band=prepared(table)["age"]).group_by("band").agg(pl.col("score").sum()).sort("band")
    assert np.abs(by_band.sort("band")["total"].cast(pl.Float64).to_numpy() - sums["score"].to_numpy()).max() < 64 * allowed + 5
    query = cf.sql("SELECT MODEL(risk, age, male, bmi, bp, s5) AS score FROM patients", kept, models=[published])
    assert query.select("score").collect(client, to="polars")["score"].null_count() == table["bmi"].null_count()
    for call, text in [
        (lambda: published("age").alias("score"), None),
        (lambda: frame.with_columns(score=published("age")).explain(), "5 features, and 1"),
        (lambda: cf.sql("SELECT MODEL(rusk, age) AS s FROM patients", frame).explain(), "not at hand"),
        (lambda: frame.with_columns(a=risk(), b=cf.model(progression, name="risk")()).explain(), "two models"),
        (lambda: cf.model(b"nothing", name="none"), "none|model|ONNX"),
        (lambda: cf.published_model(client, "late"), "no linear model"),
    ]:
        if text is None:
            call()
            continue
        with pytest.raises(errors.CipherfnError, match=text):
            call()
    kept.delete()


def test_tables_in_the_clear_are_merged_as_by_polars(dev: Dev, tmp_path: pathlib.Path) -> None:
    table, ring = sales(), tmp_path / "keys"
    base = cf.Schema.infer(table, name="sales").column("sku", min=0, max=63)
    frame = cf.encrypt(table, base, keys=ring)
    schema = cf.Schema.infer(prices(), name="catalogue", like=base).lookup("sku", ["price", "class"])
    for column in ("sku", "price", "class"):
        schema = schema.column(column, roles=[])
    catalogue = cf.clear_table(prices(), schema)
    assert repr(catalogue) == "ClearTable('catalogue', 30 rows)"
    catalogue.save(tmp_path / "catalogue.cfp")
    catalogue.save_document(tmp_path / "catalogue.json")
    joined = table.join(prices(), on="sku", how="left")
    looked = frame.merge(catalogue, on="sku", how="left").select("sku", "price", "class")
    same(looked.collect(min_bits=None), joined.select("sku", "price", "class"))
    same(
        frame.merge(cf.load_table(tmp_path / "catalogue.cfp"), on="sku").group_by("class").agg(n=cf.len()).collect(),
        joined.drop_nulls("class").group_by("class").agg(n=pl.len()),
        "class",
    )
    public = cf.load_table(tmp_path / "catalogue.json")
    assert not public.has_cells and public.schema == catalogue.schema
    with pytest.raises(errors.ArgumentError, match="are not here"):
        frame.merge(public, on="sku").select("sku").collect()
    with pytest.raises(errors.PlanError, match="nobody goes over|in the clear"):
        cf.sql("SELECT price FROM catalogue", frame, catalogue).explain()
    # A service has it under the name of its schema.
    command = [dev.command, "frame", "publish-table", tmp_path / "catalogue.cfp", "--dev", dev.folder / "data"]
    subprocess.run([*command, "--signing-key", dev.folder / "developer.key"], check=True, capture_output=True)
    client = cipherfn.Client(dev.url, keys=ring)
    kept = frame.upload(client)
    published = cf.published_table(client, "catalogue")
    assert published.schema == catalogue.schema
    dear = kept.merge(published, on="sku", how="left").filter(cf.col("price") > 25).group_by("class").agg(n=cf.len())
    wanted = joined.filter(pl.col("price") > 25).group_by("class").agg(n=pl.len())
    same(dear.collect(client, to="polars"), wanted, "class")
    query = cf.sql("SELECT sales.sku, price FROM sales LEFT JOIN catalogue ON sales.sku = catalogue.sku", kept, published)
    same(query.collect(to="polars", min_bits=None), joined.select("sku", "price"))
    with pytest.raises(errors.ArgumentError, match="publish"):
        frame.merge(catalogue, on="sku").select("sku").collect(client)
    kept.delete()


def test_hashed_names_stay_names_here(dev: Dev, tmp_path: pathlib.Path) -> None:
    table, ring = sales(), tmp_path / "keys"
    frame = cf.encrypt(table, cf.Schema.infer(table, name="sales").column("sku", min=0, max=63), keys=ring, hash_names=True)
    frame.save(tmp_path / "hidden.cff")
    sent = (tmp_path / "hidden.cff").read_bytes()
    assert not any(name in sent for name in (b"sales", b"region", b"amount", b"north"))
    assert frame.name == "sales" and frame.schema.columns["region"]["dictionary"] == ["east", "north", "south"]
    wanted = table.filter(pl.col("region") == "north").group_by("paid").agg(n=pl.len())
    query = frame.filter(cf.col("region") == "north").group_by("paid").agg(n=cf.len())
    same(query.collect(), wanted, "paid")
    again = cf.load(tmp_path / "hidden.cff", keys=ring)
    same(again.value_counts("region").collect(to="polars"), table.group_by("region").agg(count=pl.len()), "region")
    other = cf.encrypt(prices(), cf.Schema.infer(prices(), name="prices", like=frame.schema).lookup("sku", ["price"]), keys=ring, hash_names=True)
    merged = frame.merge(other, on="sku", how="left").select("sku", "price")
    same(merged.collect(min_bits=None), table.join(prices(), on="sku", how="left").select("sku", "price"))
    client = cipherfn.Client(dev.url, keys=ring)
    frame.upload(client)
    assert "sales" in [own["name"] for own in client.frames()]
    kept = cf.kept(client, "sales")
    same(kept.filter(cf.col("region") == "north").group_by("paid").agg(n=cf.len()).collect(to="polars"), wanted, "paid")
    # A frame in the clear may share names where this key ring made it so; what a service says is not believed otherwise.
    cf.encrypt({"sku": [1, 2]}, name="open", keys=ring).upload(client).delete()
    unaware = shutil.copytree(ring, tmp_path / "unaware", ignore=shutil.ignore_patterns("names.*"))
    guessed = cf.encrypt({"sku": [1, 2]}, name="guessed", keys=unaware).upload(cipherfn.Client(dev.url, keys=unaware))
    with pytest.raises(errors.CipherfnError, match="hashed columns of that name"):
        cf.kept(client, "guessed")
    guessed.delete()
    # Another key ring lacks the secret, and the command has the same names.
    shown = subprocess.run([dev.command, "frame", "show", "--json", tmp_path / "hidden.cff", "--keys", ring], check=True, capture_output=True)
    assert "sales" in json.dumps(json.loads(shown.stdout))
    stranger = cf.load(tmp_path / "hidden.cff", keys=tmp_path / "other")
    assert stranger.name.startswith("~")
    with pytest.raises(errors.PlanError, match=r"names\.key"):
        cf.sql("SELECT region FROM sales", stranger)
    with pytest.raises(errors.KeysError, match="key ring"):
        cf.encrypt(table, name="sales", hash_names=True)
    kept.delete()

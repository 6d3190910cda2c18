"""Tables of every library give the same rows, and what no model takes is refused by name."""

import datetime

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cipherfn
from cipherfn import errors


def test_tables_of_all_libraries_give_the_same_predictions(model: cipherfn.Model, frame: pd.DataFrame) -> None:
    frame = frame[:200]
    wanted = model.predict(frame, "clear").tolist()
    arrow = pa.Table.from_pandas(frame)
    tables = {
        "categories": frame.astype({"plan": "category"}),
        "nullable": frame.convert_dtypes(),
        "reordered": frame[["plan", "income", "age"]].assign(other=datetime.date(2024, 1, 1)),
        "polars": pl.from_arrow(arrow),
        "polars categories": pl.from_arrow(arrow).with_columns(pl.col("plan").cast(pl.Categorical), day=datetime.date(2024, 1, 1)),
        "pyarrow": arrow,
        "batches": pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches(max_chunksize=7)),
        "dictionary": arrow.set_column(2, "plan", arrow["plan"].combine_chunks().dictionary_encode()),
        "duckdb": duckdb.from_arrow(arrow),
        "columns": {name: frame[name].tolist() for name in frame},
        "objects": frame.to_numpy(),
    }
    for name, table in tables.items():
        assert model.predict(table, "clear").tolist() == wanted, name


def test_predictions_come_back_in_the_same_library(model: cipherfn.Model, frame: pd.DataFrame) -> None:
    frame = frame[:5].set_index(pd.Index(list("abcde")))
    arrow = pa.Table.from_pandas(frame)
    pandas = model.predict_frame(frame, "clear")
    assert pandas.index.tolist() == list("abcde")
    names = ["label", "probability_late", "probability_on time"]
    assert list(pandas.columns) == names
    polars = model.predict_frame(pl.from_arrow(arrow), "clear")
    assert isinstance(polars, pl.DataFrame) and polars["label"].to_list() == pandas.label.tolist()
    table = model.predict_frame(arrow, "clear")
    assert isinstance(table, pa.Table) and table["label"].to_pylist() == pandas.label.tolist()
    assert np.array_equal(np.asarray(table[names[1]]), pandas[names[1]])
    assert isinstance(model.predict_frame(duckdb.from_arrow(arrow), "clear"), pa.Table)
    columns = model.predict_frame({name: frame[name].tolist() for name in frame}, "clear")
    assert columns["label"].tolist() == pandas.label.tolist()


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "columns"])
def test_rows_that_cannot_be_read_are_told_and_the_others_kept(model: cipherfn.Model, frame: pd.DataFrame, kind: str) -> None:
    frame = frame[:4].astype({"income": float})
    frame.loc[1, "income"] = np.nan
    make = {
        "pandas": lambda: frame,
        "polars": lambda: pl.from_pandas(frame),
        "pyarrow": lambda: pa.Table.from_pandas(frame),
        "columns": lambda: {name: frame[name].to_numpy() for name in frame},
    }[kind]
    with pytest.raises(errors.RowsError, match="row 1 .*income") as caught:
        model.predict_frame(make(), "clear")
    assert [row for row, _ in caught.value.rows] == [1]
    marked = model.predict_frame(make(), "clear", on_error="mark")
    assert ["income" in (text or "") for text in list(marked["error"]) if isinstance(text, (str, type(None)))] == [False, True, False, False] or kind == "pyarrow"
    assert sum(value is not None and str(value) not in ("None",) for value in (marked["label"].to_pylist() if kind == "pyarrow" else list(marked["label"]))) == 3


def test_what_no_model_takes_is_refused_by_name(model: cipherfn.Model, frame: pd.DataFrame) -> None:
    frame = frame[:3]
    for table, words in [
        (frame.drop(columns="age"), "'age'"),
        (pl.from_pandas(frame).drop("age"), "age"),
        (frame.assign(age=pd.Timestamp(0)), "'age' is datetime64"),
        (frame.assign(age=[1, "two", 3]), "'age' holds values of int, str"),
        (pd.concat([frame, frame[["age"]]], axis=1), "2 times"),
        (frame.to_numpy()[:, :2], "2 columns, the model takes 3"),
        (frame["age"], "one column"),
        ({"age": [1], "income": [1.0, 2.0], "plan": ["pro"]}, "2 values and others 1"),
    ]:
        with pytest.raises(errors.TableError, match=words):
            model.predict(table, "clear")
    text = frame.assign(income=["a", "b", "c"])
    with pytest.raises(errors.RowsError, match="text where the model takes a number"):
        model.predict(text, "clear")


def test_no_rows_give_no_predictions(model: cipherfn.Model, frame: pd.DataFrame) -> None:
    none = model.predict_frame(frame[:0])
    assert len(none) == 0 and list(none.columns)[0] == "label"
    assert len(model.predict_frame(pa.Table.from_pandas(frame[:0]))) == 0

"""A running service, which never sees the rows."""

import asyncio
import json
import logging
import pathlib
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import Dev

import cipherfn
from cipherfn import errors


def test_rows_are_predicted_as_by_the_model_itself(client: cipherfn.Client, pipeline: object, frame: pd.DataFrame) -> None:
    some = frame[:30]
    wanted = pipeline.predict(some).tolist()
    found = client.predict("late", some)
    assert found.label.tolist() == wanted
    assert np.abs(found["probability_late"] - pipeline.predict_proba(some)[:, 0]).max() < 0.02
    assert client.predict("late", pl.from_pandas(some[:3]))["label"].to_list() == wanted[:3]
    assert client.predict("late", pa.Table.from_pandas(some[:3]))["label"].to_pylist() == wanted[:3]
    assert client.predict("late", some[:2].to_numpy())["label"].tolist() == wanted[:2]
    assert [own["name"] for own in client.models()] == ["late"]
    assert client.columns("late") == [("age", "int64"), ("income", "float32"), ("plan", "text")]
    assert len(client.keys()) == 1


def test_bars_follow_tqdms_convention(client: cipherfn.Client, frame: pd.DataFrame) -> None:
    class Bar:
        made: list["Bar"] = []

        def __init__(self, *, total: int, unit: str) -> None:
            self.total, self.n, self.closed = total, 0, False
            Bar.made.append(self)

        def update(self, more: int) -> None:
            self.n += more

        def close(self) -> None:
            self.closed = True

    client.predict("late", frame[:20], progress=Bar)
    assert [(bar.total, bar.n, bar.closed) for bar in Bar.made] == [(20, 20, True)]


def test_coroutines_run_beside_each_other_and_are_cancelled(dev: Dev, keys: pathlib.Path, pipeline: object, frame: pd.DataFrame) -> None:
    async def both() -> list[list[str]]:
        client = cipherfn.AsyncClient(dev.url, keys=keys)
        await client.register("late")
        found = await asyncio.gather(client.predict("late", frame[:3]), client.predict("late", frame[3:6]))
        task = asyncio.create_task(client.predict("late", frame))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [table.label.tolist() for table in found]

    wanted = pipeline.predict(frame[:6]).tolist()
    assert asyncio.run(both()) == [wanted[:3], wanted[3:]]


def test_tables_are_scored_as_jobs(client: cipherfn.Client, pipeline: object, frame: pd.DataFrame, tmp_path: pathlib.Path) -> None:
    manifest = tmp_path / "scores.job"
    job = client.submit("late", frame[:60], manifest=manifest, rows_a_chunk=25)
    assert job.result(300).label.tolist() == pipeline.predict(frame[:60]).tolist()
    assert job.done() and not manifest.exists()
    arrow = pa.Table.from_pandas(frame[:10])
    again = client.submit("late", lambda: arrow.to_reader(max_chunksize=4), manifest=manifest)
    assert again.result(300)["label"].to_pylist() == pipeline.predict(frame[:10]).tolist()


def test_other_threads_run_meanwhile(model: cipherfn.Model, frame: pd.DataFrame) -> None:
    turns = 0
    done = threading.Event()

    def count() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    model.predict(frame[:30])
    done.set()
    thread.join()
    assert turns > 0


def test_ctrl_c_ends_a_call(model: cipherfn.Model, tmp_path: pathlib.Path, frame: pd.DataFrame) -> None:
    model.save(tmp_path / "late.cfn")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    code = """
import _thread, sys, threading, time
import pandas as pd, cipherfn
model = cipherfn.load("late.cfn")
rows = pd.concat([pd.read_csv("rows.csv")] * 200)
threading.Timer(2, _thread.interrupt_main).start()
try:
    model.predict(rows)
except KeyboardInterrupt:
    print("interrupted")
"""
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert told.stdout.strip() == "interrupted", told.stderr


def test_services_that_are_not_there_are_tried_again_and_told(tmp_path: pathlib.Path, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    client = cipherfn.Client(url, keys=tmp_path / "keys", attempts=2)
    with caplog.at_level(logging.WARNING, "cipherfn"), pytest.raises(errors.UnreachableError, match="remedy"):
        client.predict("late", frame)
    assert "attempt 2 of 2" in caplog.text


def test_refusals_say_what_to_do(client: cipherfn.Client, dev: Dev, tmp_path: pathlib.Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ServiceError, match=r"Client\.models\(\)"):
        client.predict("early", frame)
    with pytest.raises(errors.ArgumentError, match="model"):
        client.predict("no such name!", frame)
    with pytest.raises(errors.ServiceError, match="not https"):
        cipherfn.Client("http://fraud.example.com", keys=tmp_path, token="t")
    with pytest.raises(errors.ArgumentError, match="neither"):
        cipherfn.Client(dev.url, keys=tmp_path, trust="me")
    with pytest.raises(errors.ArgumentError, match="line break"):
        cipherfn.Client(dev.url, keys=tmp_path, token="a b")
    stranger = cipherfn.Client(dev.url, keys=tmp_path / "keys", trust="0" * 64)
    with pytest.raises(errors.CipherfnError):
        stranger.predict("late", frame)
    with pytest.raises(errors.TableError, match="age"):
        client.predict("late", frame.drop(columns="age"))


def test_callers_are_who_their_token_or_signature_says(model: cipherfn.Model, pipeline: object, frame: pd.DataFrame, tmp_path: pathlib.Path) -> None:
    tenants = [
        {"name": "alice", "token": "a-long-random-text"},
        {"name": "bob", "access_key_id": "AKIABOB", "secret_access_key": "another"},
    ]
    (tmp_path / "tenants.json").write_text(json.dumps({"tenants": tenants}))
    dev = Dev(tmp_path, "--tenants", tmp_path / "tenants.json")
    try:
        dev.publish(model, "late")
        wanted = pipeline.predict(frame[:2]).tolist()
        alice = cipherfn.Client(dev.url, keys=tmp_path / "alice", token="a-long-random-text")
        bob = cipherfn.Client(dev.url, keys=tmp_path / "bob", credentials=("AKIABOB", "another", None), region="eu-central-1")
        for caller in (alice, bob):
            assert caller.predict("late", frame[:2]).label.tolist() == wanted
        # What one has registered is not there for the other.
        assert [own["key"] for own in alice.keys()] != [own["key"] for own in bob.keys()]
        assert len(bob.keys()) == 1
        for stranger in (
            cipherfn.Client(dev.url, keys=tmp_path / "bob", credentials=("AKIABOB", "forged", None), region="eu-central-1"),
            cipherfn.Client(dev.url, keys=tmp_path / "bob", token="another-long-text"),
        ):
            with pytest.raises(errors.ServiceError):
                stranger.predict("late", frame[:1])
    finally:
        dev.process.terminate()
        dev.process.wait()


def test_keys_are_deleted_and_registered_again(client: cipherfn.Client, pipeline: object, frame: pd.DataFrame) -> None:
    client.register("late")
    key = client.keys()[0]["key"]
    client.delete_key(key)
    assert client.keys() == []
    assert client.predict("late", frame[:1]).label.tolist() == pipeline.predict(frame[:1]).tolist()
    with pytest.raises(errors.ArgumentError, match="key"):
        client.delete_key("x")


def test_a_model_that_is_published_anew_is_fetched_anew(client: cipherfn.Client, dev: Dev, pipeline: object, frame: pd.DataFrame) -> None:
    client.predict("late", frame[:1])
    told = dev.publish(cipherfn.compile(pipeline, frame, name="late again"), "late")
    assert "developer" in told
    assert client.predict("late", frame[:2]).label.tolist() == pipeline.predict(frame[:2]).tolist()

"""A service on this machine, and models for it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

import cipherfn

ROOT = pathlib.Path(__file__).resolve().parents[3]


def credit(rows: int = 400) -> pd.DataFrame:
    """Columns of all kinds; text and numbers without gaps."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "age": rng.integers(18, 90, rows),
        "income": rng.lognormal(10, 0.5, rows).round(2).astype(np.float32),
        "plan": rng.choice(["basic", "plus", "pro"], rows),
    })


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return credit()


@pytest.fixture(scope="session")
def pipeline(frame: pd.DataFrame) -> object:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    late = np.where((frame.age < 40) & (frame["plan"] == "basic") | (frame.income < 15000), "late", "on time")
    texts = ColumnTransformer([("texts", OneHotEncoder(handle_unknown="ignore"), ["plan"])], remainder="passthrough")
    return make_pipeline(texts, DecisionTreeClassifier(max_depth=4, random_state=0)).fit(frame, late)


@pytest.fixture(scope="session")
def model(pipeline: object, frame: pd.DataFrame) -> cipherfn.Model:
    return cipherfn.compile(pipeline, frame, name="late")


class Dev:
    """`cipherfn dev` in a folder of its own."""

    def __init__(self, folder: pathlib.Path, *options: str | pathlib.Path) -> None:
        self.command = pathlib.Path(os.environ["CIPHERFN"]).resolve()
        self.folder = folder
        self.told = folder / "dev.json"
        arguments = [self.command, "--json", "dev", "--port", "0", "--data", "data", "--signing-key", "developer.key", *options]
        with self.told.open("w") as out:
            self.process = subprocess.Popen(arguments, cwd=folder, stdout=out)
        end = time.monotonic() + 120
        while True:
            try:
                self.url = json.loads(self.told.read_text())["url"]
                break
            except json.JSONDecodeError:
                assert self.process.poll() is None, "cipherfn dev ended"
                assert time.monotonic() < end, "cipherfn dev did not come"
                time.sleep(0.05)

    def publish(self, model: cipherfn.Model, name: str) -> dict[str, object]:
        return model.publish(name, dev=self.folder / "data", signing_key=self.folder / "developer.key", command=self.command)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory, model: cipherfn.Model) -> Iterator[Dev]:
    started = Dev(tmp_path_factory.mktemp("dev"))
    try:
        started.publish(model, "late")
        yield started
    finally:
        started.process.terminate()
        started.process.wait()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("ring") / "keys"


@pytest.fixture()
def client(dev: Dev, keys: pathlib.Path) -> cipherfn.Client:
    return cipherfn.Client(dev.url, keys=keys)

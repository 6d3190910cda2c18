"""Modules of PyTorch: `.ci/torch` runs these, where PyTorch is."""

from __future__ import annotations

import importlib
import pathlib
from typing import Any

import numpy as np
import pytest

import cipherfn
from cipherfn import errors

torch = pytest.importorskip("torch")

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


def rows(count: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)


def local(module: Any, given: Any) -> Any:
    with torch.no_grad():
        return module.eval()(torch.as_tensor(given)).numpy()


def test_a_linear_module_is_compiled_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.Dropout(0.5))
    module.train()
    X = rows(200, 6)
    model = cipherfn.compile(module, X)
    assert module.training
    found, wanted = np.asarray(model.predict(X[:5])), local(module, X[:5])
    assert np.abs(found - wanted).max() <= np.max(model.report["precision"]["scores"])


def test_a_network_is_compiled() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    X = rows(300, 4)
    model = cipherfn.compile(module.eval(), X)
    clear, wanted = np.asarray(model.predict(X[:20], execute="clear")).reshape(20), local(module, X[:20]).reshape(20)
    assert np.corrcoef(clear, wanted)[0, 1] > 0.99
    assert np.abs(np.asarray(model.predict(X[:2])).reshape(2) - clear[:2]).max() < 0.1 * np.ptp(wanted)


def test_what_cannot_be_compiled_says_what_to_do() -> None:
    X = rows(20, 6)
    with pytest.raises(errors.ExportError, match="wrap one that takes another shape"):
        cipherfn.compile(torch.nn.Linear(5, 1), X)
    with pytest.raises(errors.ExportError, match="one tensor whose first axis is the rows"):
        cipherfn.compile(torch.nn.Flatten(0), X)
    with pytest.raises(errors.ExportError, match="encode the column"):
        cipherfn.compile(torch.nn.Linear(1, 1), {"plan": ["basic", "pro"]})


def test_a_transformer_with_remote_layers_is_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    told = importlib.import_module("hybrid_transformer").main(width=8, length=5)
    assert np.all(np.array(told["layer_errors"]) <= told["stated"])
    assert told["score_error"] <= 1e-3 * told["score_range"] and told["same_words"]

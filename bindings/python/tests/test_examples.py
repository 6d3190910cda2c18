"""The examples, as they are."""

import importlib
import pathlib

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


def test_a_transformer_with_remote_layers_is_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    told = importlib.import_module("hybrid_transformer").main(width=8, length=5)
    assert np.all(np.array(told["layer_errors"]) <= told["stated"])
    assert told["score_error"] <= 1e-3 * told["score_range"] and told["same_words"]

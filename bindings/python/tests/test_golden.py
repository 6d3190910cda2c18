"""The files that every client must read, with the predictions that were printed when they were made."""

import csv

import numpy as np
import pytest
from conftest import ROOT

from cipherfn import _native, _tables

GOLDEN = ROOT / "tests/golden"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("v1/tree", "v1/secret.cfk"),
        ("v1/linear", "v1/secret.cfk"),
        ("v2/batch", "v2/batch.secret.cfk"),
    ],
)
def test_golden_replies_are_decrypted(name: str, secret: str) -> None:
    client = _native.ModelClient.from_specs((GOLDEN / f"{name}.specs.json").read_bytes())
    found = client.decrypt((GOLDEN / secret).read_bytes(), (GOLDEN / f"{name}.cfr").read_bytes())
    with (GOLDEN / f"{name}.predictions.csv").open() as file:
        wanted = list(csv.DictReader(file))
    assert len(found) == len(wanted) > 0
    for column, (values, valid) in _tables.arrays(found).items():
        assert valid.all()
        cells = [row[column] for row in wanted]
        if column == "label":
            assert [str(value) for value in values] == cells
        else:  # cells have the digits that mean something
            assert np.allclose(values, np.array(cells, dtype=float), atol=5e-3, rtol=1e-2)


@pytest.mark.parametrize("name", ["v1/tree.cfn", "v1/linear.cfn", "v2/batch.cfn", "v2/wide.cfn"])
def test_golden_bundles_load(name: str) -> None:
    assert _native.Bundle.from_bytes((GOLDEN / name).read_bytes()).to_bytes()

"""Recurrent layers in graph-models of TF.js, from frames and from functions: Keras' answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fanlight.formats import load
from fanlight.graph import verify
from tests.formats.test_models import reference
from tests.support import relative_error

NAMES = [
    f"{name}{suffix}"
    for name in ("rnn", "mixed", "x_lstm", "x_lstm_float", "x_lstm_unroll", "x_gru")
    for suffix in ("", "__keras2")
]


@pytest.mark.parametrize("name", NAMES)
def test_every_graph_of_the_fixture(shared: Path, name: str) -> None:
    folder = shared / "fixtures" / name
    io = np.load(folder / "io.npz")
    inputs = [io[k] for k in io.files if k.startswith("input")]
    outputs = [io[k] for k in io.files if k.startswith("output")]
    paths = sorted(folder.glob("tfjs/*graph*/model.json"))
    assert paths
    for path in paths:
        model = load(path)
        verify(model.graph)
        rest = list(inputs)
        given = {}
        for key, type in model.inputs:
            # A SavedModel's signature keeps no order.
            found = next(i for i, x in enumerate(rest) if x.shape[1:] == type.shape[1:])
            given[key] = rest.pop(found)
        got = list(model(given).values())
        wanted = reference(path, outputs, name)
        assert len(got) == len(outputs), path
        if wanted is None:
            assert all(np.isfinite(g).all() for g in got), path
            continue
        for g, w in zip(got, wanted, strict=True):
            assert relative_error(g, w) < 1e-4, path

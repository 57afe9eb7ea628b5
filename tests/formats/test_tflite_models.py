"""Published .tflite files, and those of the fixtures, against the LiteRT interpreter.

The interpreter is a development dependency: `pip install ai-edge-litert`. Without it the fixtures'
stored answers of LiteRT still check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.formats import load_graph
from fanlight.formats.source import Source
from fanlight.graph import evaluate, verify

FIXTURES = [
    "attention/model",
    "func_resnet/model",
    "mobilenet_v1_025_128/model",
    "seq_cnn/model",
    "x_layernorm/model",
    "x_mha/model",
]


def answers(source: Source, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The graph's outputs by their names."""
    verify(source.graph)
    return dict(evaluate(source.graph, inputs))


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture_gives_the_stored_answers(shared: Path, name: str) -> None:
    folder = (shared / "fixtures" / name).parent
    given = np.load(folder / "io.npz")
    wanted = np.load(f"{shared / 'fixtures' / name}_tflite_io.npz")
    source = load_graph(shared / "fixtures" / f"{name}.tflite")
    assert source.format == "tflite"
    arrays = [given[k][:1] for k in sorted(given) if k.startswith("in")]
    inputs = {p.name: a for p, a in zip(source.inputs, arrays, strict=True)}
    found = answers(source, inputs)
    assert len(found) == len(wanted.files)
    for index, port in enumerate(source.outputs):  # the file's order; the names are Keras's
        np.testing.assert_allclose(found[port.name], wanted[f"output_{index}"][:1], atol=1e-4)

"""TensorFlow.js itself, from npm, runs the models that are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.layers.tfjs_peer import answers, listed

SCRIPT = Path(__file__).with_name("tfjs_graph_peer.mjs")


def run(jobs: Sequence[tuple[Path, Mapping[str, np.ndarray]]]) -> list[dict[str, Any]]:
    """Of each (folder, inputs by name): outputs by name as arrays, or an error."""
    given = [
        {"folder": str(folder), "inputs": {n: listed(np.asarray(a)) for n, a in inputs.items()}}
        for folder, inputs in jobs
    ]
    found = answers(SCRIPT, {"jobs": given}, "--stack-size=4000")
    assert len(found) == len(given), "TF.js ended early"
    for told in found:
        if "outputs" in told:
            told["outputs"] = {n: _array(*v) for n, v in told["outputs"].items()}
        if "list" in told:
            told["list"] = [_array(*v) for v in told["list"]]
    return found


def _array(shape: Any, numbers: Any) -> np.ndarray:
    return np.array([float(n) for n in numbers], "float64").reshape(shape)

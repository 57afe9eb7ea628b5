"""Graph-models through TensorFlow.js itself, from npm (package.json), run by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.layers.tfjs_peer import answers, listed

SCRIPT = Path(__file__).with_name("graph_peer.mjs")


def run(folder: Path, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
    """What TF.js gives for the named nodes of folder/model.json."""
    return run_all([(folder, inputs, outputs)])[0]


def run_all(models: Sequence[tuple[Path, Mapping[str, Any], Sequence[str]]]) -> list[Any]:
    """Several at once: node takes its time to start."""
    given = [
        {"load": str(f), "inputs": {n: _listed(a) for n, a in i.items()}, "outputs": list(o)}
        for f, i, o in models
    ]
    (answered,) = answers(SCRIPT, {"models": given})
    return [[_array(*tensor) for tensor in made] for made in answered]


def _listed(array: np.ndarray) -> list[Any]:
    if array.dtype.kind in "OU":
        return [list(array.shape), array.ravel().tolist(), "string"]
    return listed(array)


def _array(shape: list[int], values: list[Any], dtype: str) -> np.ndarray:
    kinds: dict[str, Any] = {"float32": np.float32, "int32": np.int32, "bool": bool}
    return np.array(values, kinds.get(dtype, object)).reshape(shape)

"""TensorFlow.js from npm on graph-models, run by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.layers import tfjs_peer

SCRIPT = Path(__file__).with_name("tfjs_graph.mjs")


def answers(cases: Sequence[tuple[Path, Mapping[str, np.ndarray]]]) -> list[Any]:
    """What TF.js gives for each (model.json, inputs by name): its outputs, in order.

    Where TF.js throws, a text that says why is in their place.
    """
    told = [
        {"folder": str(path.parent), "inputs": {n: _listed(x) for n, x in inputs.items()}}
        for path, inputs in cases
    ]
    (found,) = tfjs_peer.answers(SCRIPT, {"cases": told})
    return [
        case
        if isinstance(case, str)
        else [np.array(v, np.float32).reshape(shape) for shape, v in case]
        for case in found
    ]


def _listed(array: np.ndarray) -> list[object]:
    kind = {"f": "float32", "b": "bool"}.get(array.dtype.kind, "int32")
    numbers = [None if x != x else x for x in array.ravel().tolist()]
    return [list(array.shape), numbers, kind]

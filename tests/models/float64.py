"""The NumPy meaning of a graph in float64: who is nearer to the truth when two float32s differ."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fanlight.graph import Graph
from fanlight.ops import row as rows


class _Wide(types.ModuleType):
    """NumPy, where float32 is float64."""

    float32 = np.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def evaluate_float64(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`evaluate` with every float32 of weights, inputs and rows widened to float64."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("fanlight.ops.") and hasattr(module, "np"):
                patch.setattr(module, "np", _Wide("wide_numpy"))
        known = {v: _widened(a) for v, a in graph.weights.items()}
        known |= {v: _widened(inputs[v.name]) for v in graph.inputs}
        for node in graph.nodes:
            results = rows.evaluate(node.op, [known[v] for v in node.inputs], node.attrs)
            for value, result in zip(node.outputs, results, strict=True):
                assert value.dtype != "float32" or result.dtype == np.float64, node.op
                known[value] = result
    return {name: known[value] for name, value in graph.outputs}


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype == np.float32 else array

"""The check of what was written: it is read again, and computes beside the source.

One of the two models is in memory at a time, if they are large: the source is let go of while the
result is there, and is read again if the two have to compute.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.convert.compare import (
    Difference,
    Outline,
    compare,
    identical,
    outline,
    random_inputs,
)
from fanlight.convert.write import sizes_of
from fanlight.errors import FanlightError
from fanlight.graph import Graph, evaluate
from fanlight.layers import file_safetensors, saving

_LARGE = 1 << 26  # bytes of weights that are worth reading a source twice


class Checked:
    """The source of a conversion, as its check needs it."""

    def __init__(self, graph: Graph, again: Callable[[], Graph] | None) -> None:
        """
        Args:
            graph: of the source.
            again: reads it again; None: it stays in memory.
        """
        self.outline = outline(graph)
        large = graph.weight_bytes() >= _LARGE
        self._graph = None if again is not None and large else graph
        self._again = again

    @property
    def let_go(self) -> bool:
        """Whether the source's weights need not stay in memory: it is read again if it must."""
        return self._graph is None

    def evaluated(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The source's outputs for its inputs, in order."""
        graph = self._graph
        if graph is None:
            assert self._again is not None
            graph = self._again()
        return _evaluated(graph, arrays)


def verify(source: Checked, kind: str, target: Path) -> tuple[tuple[Difference, ...], bool]:
    """What the result computes beside the source on random inputs.

    Args:
        kind: of what was written, one of TARGETS.

    Returns:
        The difference of each output, and whether both are the same graph with equal weights, so
        that nothing had to be computed.
    """
    graph = source.outline.graph
    names = [name for name, _ in graph.outputs]
    inputs = random_inputs(graph)
    arrays = [inputs[v.name] for v in graph.inputs]
    if source.let_go:
        gc.collect()  # readers leave circles that keep the source's weights
    received = _received(source.outline, kind, target, arrays)
    if received is None:
        # The same ops on the same numbers give the same numbers, of all inputs.
        return tuple(Difference(name, 0.0) for name in names), True
    gc.collect()
    return tuple(compare(source.evaluated(arrays), received, names)), False


def _received(
    source: Outline, kind: str, target: Path, arrays: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """What the result computes; None if it is the source's very graph."""
    if kind == "bundle":
        from fanlight.built import open_bundle

        # What was emitted, not the graph that it was emitted from.
        with open_bundle(target) as bundle:
            given = [i["name"] for i in bundle.manifest["inputs"]]
            results = bundle.run(dict(zip(given, arrays, strict=True)), host="wasm")
            return [results[name] for name, _ in source.graph.outputs]
    if kind != "safetensors":
        graph = _read(source.graph, target)
    elif file_safetensors.has_layers(target):
        graph = _layers(source.graph, target)
    else:
        graph = _with_weights(source, target)
    return None if identical(source, outline(graph)) else _evaluated(graph, arrays)


def _read(source: Graph, target: Path) -> Graph:
    """The graph of what was written, for the sizes of the source where it leaves some open."""
    try:
        return saving.load(target).graph
    except FanlightError as error:
        if error.code != "E-FORMAT-017":
            raise
    try:
        shapes: dict[str, Any] = {v.name: v.type.shape for v in source.inputs}
        return saving.load(target, input_shapes=shapes).graph
    except FanlightError as error:
        if error.code != "E-FORMAT-018":  # its inputs have other names
            raise
    return _layers(source, target)


def _layers(source: Graph, target: Path) -> Graph:
    """The same of a file that is read as layers."""
    model = saving.read_model(target, compile=False)
    return saving.as_source(model, options=sizes_of(source, model)).graph


def _evaluated(graph: Graph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A graph's outputs; inputs by place, in its own dtypes."""
    given = {
        v.name: np.asarray(array).astype(dtypes.to_numpy(v.dtype), copy=False)
        for v, array in zip(graph.inputs, arrays, strict=True)
    }
    return list(evaluate(graph, given).values())


def _with_weights(source: Outline, target: Path) -> Graph:
    """The source's graph with the weights of the file."""
    stored = file_safetensors.arrays(target)
    weights = {
        v: stored[v.name].load().astype(dtypes.to_numpy(v.dtype), copy=False)
        for v in source.digests
    }
    return replace(source.graph, weights=weights)

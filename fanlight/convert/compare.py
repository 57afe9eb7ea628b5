"""Does what was written compute what the source means? On random inputs, the worst difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.check import difference
from fanlight.graph import Graph, Value, evaluate
from fanlight.ops.types import Dim, TensorType

TOLERANCE = 1e-4
ROUNDED = 0.5  # beyond, quantised weights have spoilt the model (in uint8 nets of noise reach 0.2)


@dataclass(frozen=True)
class Difference:
    """One output of the result beside the source's.

    Attributes:
        output: its name in the source.
        worst: largest difference over the largest magnitude; of integers the fraction that differ;
            infinite if shapes or NaNs differ.
    """

    output: str
    worst: float


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded inputs: normal floats, bytes, small whole numbers; symbols are 2 where they may."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for value in graph.inputs:
        shape = _sizes(value.type)
        if value.dtype == "float32":
            made[value.name] = rng.standard_normal(shape).astype(np.float32)
        elif value.dtype == "bool":
            made[value.name] = rng.random(shape) < 0.5
        elif value.dtype == "uint8":
            made[value.name] = rng.integers(0, 256, shape).astype(np.uint8)
        else:
            made[value.name] = rng.integers(0, 10, shape).astype(np.int32)
    return made


def _sizes(type: TensorType) -> tuple[int, ...]:
    return tuple(min(max(d.min, 2), d.max) if isinstance(d, Dim) else d for d in type.shape)


def identical(a: Graph, b: Graph) -> bool:
    """Whether two graphs are one but for names: the same ops on equal weights, in one order."""
    if len(a.nodes) != len(b.nodes) or len(a.inputs) != len(b.inputs):
        return False
    other = dict(zip(a.inputs, b.inputs, strict=True))
    if any(v.type != w.type for v, w in other.items()):
        return False

    def same(v: Value, w: Value) -> bool:
        if v in other:
            return other[v] is w
        mine, theirs = a.weights.get(v), b.weights.get(w)
        if mine is None or theirs is None or v.type != w.type:
            return False
        other[v] = w
        return mine.dtype == theirs.dtype and np.array_equal(mine, theirs)

    for m, n in zip(a.nodes, b.nodes, strict=True):
        alike = m.op == n.op and m.attrs == n.attrs and len(m.inputs) == len(n.inputs)
        if not alike or not all(map(same, m.inputs, n.inputs)):
            return False
        other.update(zip(m.outputs, n.outputs, strict=True))
    ends = [(v, w) for (_, v), (_, w) in zip(a.outputs, b.outputs, strict=False)]
    return len(a.outputs) == len(b.outputs) and all(same(v, w) for v, w in ends)


def compare(
    source: Graph, run: Any, names: Sequence[str], inputs: Mapping[str, np.ndarray]
) -> list[Difference]:
    """The source's outputs beside those of `run`, matched by place.

    Args:
        run: arrays in the order of the source's inputs -> arrays by place.
        names: the source's outputs that the result has.
    """
    expected = evaluate(source, dict(inputs))
    received = run([inputs[v.name] for v in source.inputs])
    return [
        Difference(name, difference(expected[name], _as(expected[name], value)))
        for name, value in zip(names, received, strict=True)
    ]


def _as(expected: np.ndarray, value: Any) -> np.ndarray:
    """As the source's dtype: formats write what is one kind of number as another."""
    array = np.asarray(value)
    if array.shape != expected.shape and array.size == expected.size:
        flat = [d for d in array.shape if d != 1] == [d for d in expected.shape if d != 1]
        array = array.reshape(expected.shape) if flat else array
    return array.astype(expected.dtype, copy=False)

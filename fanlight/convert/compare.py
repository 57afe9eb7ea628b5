"""Does what was written compute what the source means? On random inputs, the worst difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from fanlight.check import difference
from fanlight.graph import Graph, Value
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


@dataclass(frozen=True)
class Outline:
    """A graph without its weights, which may be large.

    Attributes:
        graph: the graph; it has no weights, so it cannot be evaluated.
        digests: of each weight, what tells its numbers from others.
    """

    graph: Graph
    digests: Mapping[Value, bytes]


def outline(graph: Graph) -> Outline:
    """What is left of a graph when its weights are let go of."""
    digests = {v: _digest(a) for v, a in graph.weights.items()}
    return Outline(replace(graph, weights={}), digests)


def _digest(array: np.ndarray) -> bytes:
    flat = np.ascontiguousarray(array).reshape(-1)
    return blake2b(flat.view(np.uint8).data if flat.size else b"", digest_size=16).digest()


def identical(one: Outline, two: Outline) -> bool:
    """Whether two graphs are one but for names: the same ops on equal weights, in one order."""
    a, b = one.graph, two.graph
    if len(a.nodes) != len(b.nodes) or len(a.inputs) != len(b.inputs):
        return False
    other = dict(zip(a.inputs, b.inputs, strict=True))
    if any(v.type != w.type for v, w in other.items()):
        return False

    def same(v: Value, w: Value) -> bool:
        if v in other:
            return other[v] is w
        mine, theirs = one.digests.get(v), two.digests.get(w)
        if mine is None or mine != theirs or v.type != w.type:
            return False
        other[v] = w
        return True

    for m, n in zip(a.nodes, b.nodes, strict=True):
        alike = m.op == n.op and m.attrs == n.attrs and len(m.inputs) == len(n.inputs)
        if not alike or not all(map(same, m.inputs, n.inputs)):
            return False
        other.update(zip(m.outputs, n.outputs, strict=True))
    ends = [(v, w) for (_, v), (_, w) in zip(a.outputs, b.outputs, strict=False)]
    return len(a.outputs) == len(b.outputs) and all(same(v, w) for v, w in ends)


def compare(
    expected: Sequence[np.ndarray], received: Sequence[np.ndarray], names: Sequence[str]
) -> list[Difference]:
    """The source's outputs beside those of the result, matched by place.

    Args:
        names: of the source's outputs.
    """
    return [
        Difference(name, difference(mine, _as(mine, value)))
        for name, mine, value in zip(names, expected, received, strict=True)
    ]


def _as(expected: np.ndarray, value: Any) -> np.ndarray:
    """As the source's dtype: formats write what is one kind of number as another."""
    array = np.asarray(value)
    if array.shape != expected.shape and array.size == expected.size:
        flat = [d for d in array.shape if d != 1] == [d for d in expected.shape if d != 1]
        array = array.reshape(expected.shape) if flat else array
    with np.errstate(invalid="ignore", over="ignore"):
        made = array.astype(expected.dtype, copy=False)
    if array.dtype.kind == "f" and expected.dtype.kind in "iu" and made.shape == expected.shape:
        return np.where(np.isfinite(array), made, ~expected)  # NaN is no whole number: it differs
    return made

"""Evaluate a graph with NumPy, op by op. This is the meaning that every host is compared to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph.core import Graph, Value
from fanlight.ops import row as rows
from fanlight.ops.symbols import actual_sizes, resolved
from fanlight.ops.types import Dim


def check_inputs(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs as arrays of the declared dtypes; E-INPUT-00x where they do not fit."""
    declared = {v.name: v for v in graph.inputs}
    if not isinstance(inputs, Mapping):
        raise FanlightError(
            "E-INPUT-001",
            "inputs are given by name.",
            where=graph.name,
            expected=", ".join(f"{n}: {v.type}" for n, v in declared.items()) or "no inputs",
            received=type(inputs).__name__,
        )
    if set(inputs) != set(declared):
        raise FanlightError(
            "E-INPUT-001",
            "the inputs given are not the inputs of the model.",
            where=graph.name,
            expected=", ".join(f"{n}: {v.type}" for n, v in declared.items()) or "no inputs",
            received=", ".join(inputs) or "nothing",
        )
    sizes: dict[str, int] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in declared.items():
        array = np.asarray(inputs[name])
        if dtypes.narrow(array).dtype != dtypes.to_numpy(value.dtype):
            raise FanlightError(
                "E-INPUT-003",
                f"the input {name!r} has the wrong dtype.",
                where=name,
                expected=value.dtype,
                received=array.dtype,
                next=f"convert it: x.astype({value.dtype!r}).",
            )
        _match_shape(name, value, array.shape, sizes)
        arrays[name] = np.ascontiguousarray(dtypes.narrow(array)).reshape(array.shape)
    return arrays


def _match_shape(name: str, value: Value, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    fits = len(shape) == len(value.shape) and all(
        isinstance(d, Dim) or d == s for d, s in zip(value.shape, shape)
    )
    if not fits:
        raise FanlightError(
            "E-INPUT-002",
            f"the input {name!r} has the wrong shape.",
            where=name,
            expected=value.type,
            received=list(shape),
        )
    for d, s in zip(value.shape, shape):
        if isinstance(d, Dim) and not (
            d.takes(s) and sizes.setdefault(d.name, s // d.times) == s // d.times
        ):
            raise FanlightError(
                "E-INPUT-004",
                f"the size of {d.name} is outside its bounds, or differs between inputs.",
                where=name,
                expected=f"{d.min} to {d.max}, the same everywhere",
                received=s,
            )


def evaluate_values(
    graph: Graph, inputs: Mapping[str, np.ndarray], wanted: Iterable[Value]
) -> dict[Value, np.ndarray]:
    """The arrays of the wanted values; others are freed after their last use."""
    arrays = check_inputs(graph, inputs)
    given = [(v.type, arrays[v.name]) for v in graph.inputs]
    given += [(v.type, a) for v, a in graph.weights.items() if not v.type.static]
    sizes = actual_sizes([t for t, _ in given], [a for _, a in given])
    known: dict[Value, np.ndarray] = dict(graph.weights)
    known.update({v: arrays[v.name] for v in graph.inputs})
    keep = set(wanted)
    last = {v: index for index, node in enumerate(graph.nodes) for v in node.inputs}
    for index, node in enumerate(graph.nodes):
        attrs = resolved(node.attrs, sizes) if sizes else node.attrs
        results = rows.evaluate(node.op, [known[v] for v in node.inputs], attrs)
        known.update(zip(node.outputs, results))
        for v in (*node.inputs, *node.outputs):
            if v not in keep and last.get(v, -1) <= index and v in known:
                del known[v]
    return {v: known[v] for v in keep}


def evaluate(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run the graph on arrays by input name; returns arrays by output name.

    Shapes and dtypes must be those declared. Symbolic dims take the size of the array.
    """
    results = evaluate_values(graph, inputs, [v for _, v in graph.outputs])
    return {name: results[v] for name, v in graph.outputs}

"""Check that a graph is well formed: run after every pass in tests and under FANLIGHT_VERIFY=1."""

from __future__ import annotations

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph.core import Graph, Value
from fanlight.graph.subgraph import subgraphs
from fanlight.ops import row as rows


def verify(graph: Graph) -> Graph:
    """The graph itself if it is well formed; else E-GRAPH-00x naming the first fault."""
    if not graph.outputs:
        raise FanlightError("E-GRAPH-005", "a graph needs at least one output.", where=graph.name)
    known: set[Value] = set()
    names: dict[str, Value] = {}

    def define(value: Value, where: str) -> None:
        if value in known or names.setdefault(value.name, value) is not value:
            raise FanlightError(
                "E-GRAPH-002", f"the name %{value.name} is taken twice.", where=where
            )
        known.add(value)

    def use(value: Value, where: str) -> None:
        if value not in known:
            raise FanlightError(
                "E-GRAPH-001", f"%{value.name} is used before it is defined.", where=where
            )

    for value in graph.inputs:
        define(value, "inputs")
    for value, array in graph.weights.items():
        define(value, "weights")
        _check_weight(value, array)
    for node in graph.nodes:
        for value in node.inputs:
            use(value, node.name)
        for sub in subgraphs(node).values():
            verify(sub.graph)
        attrs, types = rows.infer(node.op, [v.type for v in node.inputs], node.attrs)
        recorded = [v.type for v in node.outputs]
        if types != recorded or dict(node.attrs) != attrs:
            raise FanlightError(
                "E-GRAPH-003",
                f"the node {node.name} ({node.op}) does not have the types its op gives.",
                where=node.name,
                expected=", ".join(map(str, types)),
                received=", ".join(map(str, recorded)),
            )
        for value in node.outputs:
            define(value, node.name)
    for name, value in graph.outputs:
        use(value, f"output {name}")
    return graph


def _check_weight(value: Value, array: np.ndarray) -> None:
    # A size that is free is the one that the array has.
    if not value.type.takes(array.shape) or array.dtype != dtypes.to_numpy(value.dtype):
        raise FanlightError(
            "E-GRAPH-006",
            f"the array of the weight %{value.name} does not have its type.",
            where=value.name,
            expected=value.type,
            received=f"{array.dtype}{list(array.shape)}",
        )

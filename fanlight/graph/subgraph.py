"""Sub-graphs: branches and bodies of control flow, as attributes of nodes (docs/adr/0008)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256

import numpy as np

from fanlight.graph.core import Graph, Node
from fanlight.ops import row as rows
from fanlight.ops.symbols import actual_sizes, resolved
from fanlight.ops.types import TensorType


class Subgraph:
    """A graph inside a node. Two are equal if their texts are; `repr` tells others apart."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.parameters: tuple[TensorType, ...] = tuple(v.type for v in graph.inputs)
        self.results: tuple[TensorType, ...] = tuple(v.type for _, v in graph.outputs)

    @cached_property
    def text(self) -> str:
        """Its text form, all its weights in line."""
        from fanlight.graph.text import to_text

        return to_text(self.graph, inline=True)

    @cached_property
    def digest(self) -> str:
        """What tells it apart from every other one."""
        return sha256(self.text.encode()).hexdigest()[:32]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Subgraph) and self.text == other.text)

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"<graph {self.graph.name} {self.digest}>"

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Its outputs for these inputs, by NumPy."""
        known = dict(self.graph.weights)
        known.update(zip(self.graph.inputs, arrays, strict=True))
        sizes = actual_sizes(self.parameters, arrays)
        for node in self.graph.nodes:
            attrs = resolved(node.attrs, sizes) if sizes else node.attrs
            results = rows.evaluate(node.op, [known[v] for v in node.inputs], attrs)
            known.update(zip(node.outputs, results, strict=True))
        return [np.asarray(known[v]) for _, v in self.graph.outputs]


def subgraphs(node: Node) -> dict[str, Subgraph]:
    """The sub-graphs of a node, by attribute."""
    return {name: value for name, value in node.attrs.items() if isinstance(value, Subgraph)}

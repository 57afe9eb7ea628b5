"""Value, Node, Graph: frozen; a pass makes a new graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fanlight.ops.types import TensorType


@dataclass(frozen=True, eq=False)
class Value:
    """An edge of the graph: a named tensor. Two values are the same only if they are one object."""

    name: str
    type: TensorType

    @property
    def shape(self) -> tuple:
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


@dataclass(frozen=True, eq=False)
class Node:
    """One application of an op. `attrs` is complete (defaults are in); `name` is the source's."""

    op: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def output(self) -> Value:
        """The first output."""
        return self.outputs[0]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order, with named inputs, named outputs and constant weights."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[tuple[str, Value], ...]
    nodes: tuple[Node, ...]
    weights: Mapping[Value, np.ndarray]

    def producers(self) -> dict[Value, Node]:
        """value -> the node that makes it (inputs and weights have none)."""
        return {v: node for node in self.nodes for v in node.outputs}

    def users(self) -> dict[Value, list[Node]]:
        """value -> the nodes that read it, in order, one entry per node."""
        users: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for v in dict.fromkeys(node.inputs):
                users.setdefault(v, []).append(node)
        return users

    def values(self) -> list[Value]:
        """Every value: inputs, weights, then node outputs in order."""
        made = [v for node in self.nodes for v in node.outputs]
        return [*self.inputs, *self.weights, *made]

    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(int(a.nbytes) for a in self.weights.values())

    def __str__(self) -> str:
        from fanlight.graph.text import to_text

        return to_text(self)

"""Helpers for passes: rebuild a graph node by node, with some nodes replaced."""

from __future__ import annotations

from collections.abc import Callable

from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Node, Value

# A visitor gets the new graph's builder, the old node and its inputs in the new graph. It adds
# what it wants and returns the new outputs (one per old output), or None to copy the node.
Visitor = Callable[[Builder, Node, list[Value]], "list[Value] | None"]


def rebuild(graph: Graph, visit: Visitor) -> Graph:
    """A new graph: every node goes through `visit`; unused nodes and weights are dropped."""
    return remove_dead(_rebuild(graph, visit))


def _rebuild(graph: Graph, visit: Visitor) -> Graph:
    builder = Builder(graph.name)
    mapped: dict[Value, Value] = {}
    for v in graph.inputs:
        mapped[v] = builder.input(v.name, v.shape, v.dtype)
    for v, array in graph.weights.items():
        mapped[v] = builder.weight(array, v.name)
    for node in graph.nodes:
        inputs = [mapped[v] for v in node.inputs]
        values = visit(builder, node, inputs)
        if values is None:
            values = copy_node(builder, node, inputs)
        mapped.update(zip(node.outputs, values, strict=True))
    return builder.finish({name: mapped[v] for name, v in graph.outputs})


def copy_node(builder: Builder, node: Node, inputs: list[Value]) -> list[Value]:
    """Add a node like `node` on new inputs, under the same names."""
    names = [v.name for v in node.outputs]
    made = builder.add(node.op, *inputs, name=node.name, outputs=names, **node.attrs)
    return list(made) if isinstance(made, tuple) else [made]


def remove_dead(graph: Graph) -> Graph:
    """The graph without nodes and weights that no output depends on. Inputs all stay."""
    needed = {v for _, v in graph.outputs}
    nodes: list[Node] = []
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    weights = {v: a for v, a in graph.weights.items() if v in needed}
    return Graph(graph.name, graph.inputs, graph.outputs, tuple(reversed(nodes)), weights)

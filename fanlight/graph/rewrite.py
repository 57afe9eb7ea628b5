"""Editing for passes: a new graph from an old one, in which all that stays is the same object.

Values, nodes and weight arrays that an edit does not touch are shared by both graphs, so an edit
costs time and memory in proportion to what it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Node, Value
from fanlight.ops import row as rows

# A visitor gets the editor, a node of the old graph and the node's inputs in the new graph. It
# returns the new values of the node's outputs (one per output), or None to keep the node.
Visitor = Callable[["Editor", Node, list[Value]], "Sequence[Value] | None"]


class Editor(Builder):
    """A Builder that starts from a graph. Visit the old nodes in order; end with `done`.

    Every old node must be kept, replaced, or given new meaning by `become`.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.name)
        self.graph = graph
        self.changed = False
        self._inputs = list(graph.inputs)
        self._weights = dict(graph.weights)
        self._names = {v.name for v in graph.values()}
        self._known = {*graph.inputs, *graph.weights}
        self._mapped: dict[Value, Value] = {}
        self._made_by: dict[Value, Node] = {}

    def get(self, value: Value) -> Value:
        """What stands in the new graph for a value of the old one."""
        return self._mapped.get(value, value)

    def maker(self, value: Value) -> Node | None:
        """The node of the new graph that makes a value; None for inputs and weights."""
        return self._made_by.get(value)

    def add(self, op: str, *inputs: Value, **options: Any) -> Any:
        """Builder.add: a new node; `name`, `outputs` and the op's attributes by keyword."""
        made = super().add(op, *inputs, **options)
        self._made_by.update((v, self._nodes[-1]) for v in self._nodes[-1].outputs)
        self.changed = True
        return made

    def _append(self, node: Node) -> None:
        self._nodes.append(node)
        self._known.update(node.outputs)
        self._made_by.update((v, node) for v in node.outputs)

    def keep(self, node: Node) -> None:
        """The node as it was, reading what now stands for its inputs."""
        inputs = tuple(self.get(v) for v in node.inputs)
        if inputs != node.inputs:
            self.become(node, node.op, *inputs, **node.attrs)
            return
        self._append(node)

    def become(
        self, node: Node, op: str, *inputs: Value, name: str | None = None, **attrs: Any
    ) -> tuple[Value, ...]:
        """Another op that makes the same output values; their types must stay what they were."""
        same = op == node.op and [v.type for v in inputs] == [v.type for v in node.inputs]
        if same and attrs == node.attrs:
            full = dict(node.attrs)
        else:
            full, types = rows.infer(op, [v.type for v in inputs], attrs)
            if types != [v.type for v in node.outputs]:
                raise FanlightError(
                    "E-GRAPH-007",
                    "a rewrite changes the type of a value.",
                    where=f"{node.name} ({node.op} -> {op})",
                    expected=", ".join(str(v.type) for v in node.outputs),
                    received=", ".join(map(str, types)),
                )
        missing = [v for v in inputs if v not in self._known]
        if missing:
            raise FanlightError(
                "E-GRAPH-001",
                "a rewrite uses a value before it is defined.",
                where=f"{node.name} ({node.op} -> {op})",
                received=repr(missing[0]),
            )
        self._append(Node(op, tuple(inputs), node.outputs, full, name or node.name))
        self.changed = True
        return node.outputs

    def settle(self, value: Value, array: np.ndarray) -> None:
        """Turn a node's output into a weight: the node is not needed any more."""
        dtype = dtypes.to_numpy(value.dtype)
        self._weights[value] = np.ascontiguousarray(array, dtype).reshape(value.type.bound)
        self._known.add(value)
        self.changed = True

    def replace(self, old: Value, new: Value) -> None:
        """Let all later users of `old`, and the graph's outputs, read `new`."""
        if new is not old:
            self._mapped[old] = new
            self.changed = True

    def done(self) -> Graph:
        """The new graph without what no output depends on; the old one if nothing changed."""
        if not self.changed:
            return self.graph
        outputs = {name: self.get(v) for name, v in self.graph.outputs}
        return remove_dead(self.finish(outputs))


def rebuild(graph: Graph, visit: Visitor) -> Graph:
    """A new graph: every node goes through `visit`; what is then unused is dropped.

    A visitor may add nodes (`editor.add`), let an op take the node's place (`editor.become`,
    which returns its outputs), or return other values of the same types.
    """
    editor = Editor(graph)
    for node in graph.nodes:
        values = visit(editor, node, [editor.get(v) for v in node.inputs])
        if values is None:
            editor.keep(node)
            continue
        for old, new in zip(node.outputs, values, strict=True):
            if old.type != new.type:
                raise FanlightError(
                    "E-GRAPH-007",
                    "a rewrite changes the type of a value.",
                    where=f"{node.name} ({node.op})",
                    expected=old.type,
                    received=new.type,
                )
            editor.replace(old, new)
    return editor.done()


def use_counts(graph: Graph) -> dict[Value, int]:
    """value -> how many nodes and graph outputs read it (a node that reads it twice counts one)."""
    counts: dict[Value, int] = {}
    for node in graph.nodes:
        for v in dict.fromkeys(node.inputs):
            counts[v] = counts.get(v, 0) + 1
    for _, v in graph.outputs:
        counts[v] = counts.get(v, 0) + 1
    return counts


def remove_dead(graph: Graph) -> Graph:
    """The graph without nodes and weights that no output depends on. Inputs all stay."""
    needed = {v for _, v in graph.outputs}
    nodes: list[Node] = []
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    weights = {v: a for v, a in graph.weights.items() if v in needed}
    if len(nodes) == len(graph.nodes) and len(weights) == len(graph.weights):
        return graph
    return Graph(graph.name, graph.inputs, graph.outputs, tuple(reversed(nodes)), weights)


def with_names(graph: Graph, names: Mapping[Value, str]) -> Graph:
    """The graph in which some weights and inputs have other names, as far as nothing else has
    them.
    """
    taken = {v.name for v in graph.values() if v not in names}
    renamed: dict[Value, Value] = {}
    for v, name in names.items():
        if name not in taken and name != v.name:
            renamed[v] = Value(name, v.type)
        taken.add(name if v in renamed else v.name)
    if not renamed:
        return graph
    nodes = tuple(
        replace(n, inputs=tuple(renamed.get(v, v) for v in n.inputs))
        if any(v in renamed for v in n.inputs)
        else n
        for n in graph.nodes
    )
    weights = {renamed.get(v, v): a for v, a in graph.weights.items()}
    inputs = tuple(renamed.get(v, v) for v in graph.inputs)
    outputs = tuple((name, renamed.get(v, v)) for name, v in graph.outputs)
    return Graph(graph.name, inputs, outputs, nodes, weights)

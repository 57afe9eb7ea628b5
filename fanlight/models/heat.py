"""What a classifier says of each place of a picture: its head, asked at each place of the map.

The head is what stands behind the last global average pooling. Of one linear layer it is the class
activation map of Zhou et al. 2016 (Learning Deep Features for Discriminative Localization), up to
what makes scores of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fanlight.errors import FanlightError
from fanlight.graph import Graph, Node, Value
from fanlight.ops import row as rows
from fanlight.ops.apart import keeps_apart
from fanlight.ops.types import Dim, TensorType

HEAT = "heat"
_PLACES = "places"


def with_heat(graph: Graph) -> tuple[Graph, tuple[int, int]]:
    """A classifier of one picture with one more output: its first, at each place of the map.

    Returns:
        The graph, whose last output is [h * w, ...], row after row of the map; (h, w).

    Raises:
        FanlightError: E-BUILD-003 there is no global average pooling, or what stands behind it
            needs more than its result.
    """
    pooling = _pooling(graph)
    if pooling is None:
        raise _misfit(graph, "no mean over height and width that all else goes through")
    node, order = pooling
    source = node.inputs[0]
    _, h, w, _ = (source.shape[i] for i in order)
    added = _Added(graph, Dim(_PLACES, max(2, h * w)))
    if order != _LAST:
        source = added.node("transpose", (source,), {"perm": list(order)})
    rest = node.output.shape[1:]
    mapped = {node.output: added.node("reshape", (source,), {"shape": (h * w, *rest)})}
    for behind in _tail(graph, node.output) or ():
        inputs = tuple(mapped.get(v, v) for v in behind.inputs)
        attrs = dict(behind.attrs)
        if behind.op == "reshape" and tuple(attrs["shape"])[:1] == (1,):
            attrs["shape"] = (h * w, *tuple(attrs["shape"])[1:])
        if not _by_row(behind, mapped, attrs, added.places):
            raise _misfit(graph, f"{behind.name or behind.op} ({behind.op}) behind the pooling")
        made = added.copy(behind.op, inputs, attrs, [v.name for v in behind.outputs])
        mapped.update(zip(behind.outputs, made, strict=True))
    end = mapped[graph.outputs[0][1]]
    nodes = (*graph.nodes, *added.nodes)
    return replace(graph, nodes=nodes, outputs=(*graph.outputs, (f"{HEAT} rows", end))), (h, w)


# Where batch, height, width and channels are: last, or first.
_LAST, _FIRST = (0, 1, 2, 3), (0, 2, 3, 1)


def _pooling(graph: Graph) -> tuple[Node, tuple[int, ...]] | None:
    """The last mean over a whole map that all else goes through, and how its channels lie."""
    for node in reversed(graph.nodes):
        x = node.inputs[0] if node.inputs else None
        if x is None or len(x.shape) != 4 or not x.type.static or x.shape[0] != 1:
            continue
        order = None
        if node.op == "mean":
            axes = {axis % 4 for axis in node.attrs["axes"] or ()}
            order = _LAST if axes == {1, 2} else _FIRST if axes == {2, 3} else None
        elif node.op == "avg_pool" and node.output.shape[1:3] == (1, 1):
            whole = tuple(node.attrs["size"]) == x.shape[1:3] and not any(
                map(any, node.attrs["padding"])
            )
            order = _LAST if whole else None
        if order and _tail(graph, node.output) is not None:
            return node, order
    return None


def _tail(graph: Graph, pooled: Value) -> list[Node] | None:
    """The nodes between a value and the first output; None if they need more than that value."""
    makers = graph.producers()
    fixed = {*graph.weights}
    for node in graph.nodes:
        if all(v in fixed for v in node.inputs):
            fixed.update(node.outputs)
    end = graph.outputs[0][1]
    needed: set[Node] = set()
    waiting = [end]
    while waiting:
        value = waiting.pop()
        if value is pooled or value in fixed:
            continue
        maker = makers.get(value)
        if maker is None:  # an input
            return None
        if maker not in needed:
            needed.add(maker)
            waiting += maker.inputs
    return [node for node in graph.nodes if node in needed] if end is not pooled else None


def _by_row(
    node: Node, mapped: Mapping[Value, Value], attrs: Mapping[str, Any], rows_: Dim
) -> bool:
    """Whether a node makes each row of many of that row alone."""
    types = [
        TensorType((rows_, *v.shape[1:]), v.dtype) if v in mapped else v.type for v in node.inputs
    ]
    free = dict(attrs)
    if node.op == "reshape":
        free["shape"] = (rows_, *tuple(attrs["shape"])[1:])
    try:
        row = rows.lookup(node.op)
        full, made = rows.infer(node.op, types, free)
    except FanlightError:
        return False
    right = all(
        type.shape == (rows_, *value.shape[1:])
        for type, value in zip(made, node.outputs, strict=True)
    )
    return right and keeps_apart(row, types, full, made, rows_.name)


class _Added:
    """Nodes that stand behind those of a graph."""

    def __init__(self, graph: Graph, places: Dim) -> None:
        self.places, self.nodes = places, list[Node]()
        self._taken = {v.name for v in graph.values()}

    def node(self, op: str, inputs: tuple[Value, ...], attrs: dict[str, Any]) -> Value:
        return self.copy(op, inputs, attrs, [op])[0]

    def copy(
        self, op: str, inputs: tuple[Value, ...], attrs: dict[str, Any], names: Sequence[str]
    ) -> tuple[Value, ...]:
        full, types = rows.infer(op, [v.type for v in inputs], attrs)
        labels = [self._label(name or op) for name in names]
        outputs = tuple(Value(n, t) for n, t in zip(labels, types, strict=True))
        self.nodes.append(Node(op, inputs, outputs, full, labels[0]))
        return outputs

    def _label(self, name: str) -> str:
        label = f"{HEAT}/{name}"
        while label in self._taken:
            label += "_"
        self._taken.add(label)
        return label


def _misfit(graph: Graph, received: str) -> FanlightError:
    return FanlightError(
        "E-BUILD-003",
        "there is no map of this model to show where it looks.",
        where=graph.name,
        expected="a global average pooling, and behind it a head that needs nothing else",
        received=received,
        next="build it without heat=True.",
    )

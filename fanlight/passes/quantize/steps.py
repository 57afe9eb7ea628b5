"""What of a float graph could compute in bytes: linear layers with what follows them, and the rest.

A `Step` is one op of bytes to be: the nodes that it takes over, in order, and what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.ops import scalar as sc
from fanlight.passes import affine
from fanlight.passes.bodies import body_of, elementwise, literal

LAYERS = ("conv2d", "depthwise_conv2d", "matmul")
# Ops that move bytes, or choose among them: the result has the scale of what they read.
SAME = frozenset(
    {
        *("reshape", "transpose", "slice", "strided_slice", "reverse", "pad", "mirror_pad"),
        *("tile", "broadcast_to", "depth_to_space", "space_to_depth", "space_to_batch"),
        *("batch_to_space", "max_pool", "resize_nearest", "resize_bilinear", "concat"),
    }
)


@dataclass(eq=False)
class Step:
    """A candidate for bytes.

    Attributes:
        kind: "conv2d", "depthwise_conv2d", "matmul" (layers); "add", "sub", "mul", "prelu",
            "mean", "avg_pool"; "same" (an op of SAME); "table" (a function of one value).
        nodes: what it takes over; the first is the one whose attributes count.
        inputs: the values that it reads as bytes: x, then perhaps the residual; or a, b.
        output: what it makes.
        raw: the output before relu (layers: with bias and residual).
        relu, limit: whether negative results become 0, and where it stops to grow (inf: nowhere).
        bias: of layers, float64, one number per channel.
        body: of tables, the function of a0.
    """

    kind: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    output: Value
    raw: Value
    relu: bool = False
    limit: float = inf
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0))
    body: sc.Expr | None = None

    @property
    def node(self) -> Node:
        return self.nodes[0]

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def is_layer(self) -> bool:
        return self.kind in LAYERS


def find_steps(graph: Graph) -> list[Step]:
    """Every step that the graph offers, in an order in which they can be computed."""
    return _Finder(graph).run()


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.weights = graph.weights
        self.users = graph.users()
        self.outputs = {v for _, v in graph.outputs}
        self.position = {node: i for i, node in enumerate(graph.nodes)}
        self.taken: set[Node] = set()

    def run(self) -> list[Step]:
        steps: list[Step] = []
        # The later of two layers that meet in a sum takes it, for then the other is there.
        for node in reversed(self.graph.nodes):
            if node.op in LAYERS and node not in self.taken and self._is_layer(node):
                steps.append(self._layer(node))
        functions = _Functions(self.graph)
        for node in self.graph.nodes:
            if node not in self.taken:
                step = self._other(node, functions)
                if step is not None:
                    steps.append(step)
        return sorted(steps, key=lambda s: self.position[s.nodes[-1]])

    def _is_layer(self, node: Node) -> bool:
        x, w = node.inputs[:2]
        array = self.weights.get(w)
        if array is None or x in self.weights or len(node.inputs) > 2 or not x.type.static:
            return False
        if not array.size or not node.output.type.size or not np.isfinite(array).all():
            return False
        if node.op == "matmul":
            plain = not (node.attrs["transpose_a"] or node.attrs["transpose_b"])
            return plain and array.ndim == 2
        return node.op == "conv2d" or array.shape[3] == 1

    def _next(self, value: Value) -> Node | None:
        """The only node that reads a value, if it may be taken over."""
        users = self.users.get(value, [])
        if value in self.outputs or len(users) != 1 or users[0] in self.taken:
            return None
        node = users[0]
        return node if node.inputs.count(value) == 1 else None

    def _layer(self, node: Node) -> Step:
        nodes, value = [node], node.output
        bias = np.zeros(value.type.bound[-1])
        residual: Value | None = None
        while (after := self._next(value)) is not None:
            found = affine.step(after, self.weights)
            if found is not None and found[1].is_offset and residual is None:
                bias = bias + found[1].offset
            elif after.op == "add" and residual is None and self._sums_alike(after):
                residual = next(v for v in after.inputs if v is not value)
            else:
                break
            nodes.append(after)
            value = after.output
        raw = value
        relu, limit, after = self._activation(value)
        if after is not None:
            nodes.append(after)
            value = after.output
        self.taken.update(nodes)
        inputs = (node.inputs[0],) if residual is None else (node.inputs[0], residual)
        return Step(node.op, tuple(nodes), inputs, value, raw, relu, limit, bias)

    def _sums_alike(self, node: Node) -> bool:
        a, b = node.inputs
        return a.type == b.type == node.output.type and not {a, b} & set(self.weights)

    def _activation(self, value: Value) -> tuple[bool, float, Node | None]:
        """A relu that alone reads the value: (there is one, where it is cut, the node)."""
        node = self._next(value)
        if node is None or value.dtype != "float32":
            return False, inf, None
        if node.op == "relu":
            return True, inf, node
        if node.op == "relu6":
            return True, 6.0, node
        if node.op == "clip" and node.attrs["lo"] == 0 and node.attrs["hi"] > 0:
            return True, float(node.attrs["hi"]), node
        return False, inf, None

    def _other(self, node: Node, functions: _Functions) -> Step | None:
        if len(node.outputs) != 1 or any(not v.type.static for v in node.inputs):
            return None
        out = node.output
        if out.dtype != "float32" or not out.type.size or node.inputs[0].dtype != "float32":
            return None
        data = tuple(v for v in node.inputs if v not in self.weights)
        if node.op in SAME and len(data) == len(node.inputs) and _moves(node):
            return Step("same", (node,), data, out, out)
        kind = node.op
        function = functions.of(out)
        if function is not None:
            return Step("table", (node,), (function[0],), out, out, body=function[1])
        if kind in ("add", "sub", "mul"):
            fits = len(data) == 2
        elif kind == "prelu":
            fits = len(data) == 1 and node.inputs[1] in self.weights
        elif kind == "mean":
            fits = bool(node.attrs["axes"])
        elif kind == "avg_pool":
            sides = zip(node.attrs["size"], node.attrs["padding"], strict=True)
            fits = all(side < n for n, pair in sides for side in pair)
        else:
            fits = False
        if not fits:
            return None
        relu, limit, after = self._activation(out)
        nodes = (node,) if after is None else (node, after)
        self.taken.update(nodes)
        return Step(kind, nodes, data, nodes[-1].output, out, relu, limit)


def _moves(node: Node) -> bool:
    if node.op == "pad":
        return node.attrs["value"] == 0
    if node.op == "max_pool":
        # A window that misses the image has no byte.
        sides = zip(node.attrs["size"], node.attrs["padding"], strict=True)
        return all(side < n for n, pair in sides for side in pair)
    return True


class _Functions:
    """Which values are a function of one other value alone, element by element."""

    def __init__(self, graph: Graph) -> None:
        self._known: dict[Value, tuple[Value, sc.Expr]] = {}
        for node in graph.nodes:
            if elementwise(node) and len(node.outputs) == 1:
                found = self._compose(node, graph.weights)
                if found is not None:
                    self._known[node.output] = found

    def of(self, value: Value) -> tuple[Value, sc.Expr] | None:
        """(the other value, the function as a body over a0), or None."""
        return self._known.get(value)

    def _compose(
        self, node: Node, weights: Mapping[Value, np.ndarray]
    ) -> tuple[Value, sc.Expr] | None:
        parts: dict[int, sc.Expr] = {}
        roots: set[Value] = set()
        for index, value in enumerate(node.inputs):
            constant = literal(value, weights)
            if constant is not None:
                parts[index] = constant
                continue
            if value in weights:
                return None
            root, expr = self._known.get(value, (value, sc.arg(0)))
            roots.add(root)
            parts[index] = expr
        if len(roots) != 1:
            return None
        (root,) = roots
        body = body_of(node)
        if body is None or root.dtype != "float32" or root.shape != node.output.shape:
            return None
        expr = sc.substitute(body, parts)
        return (root, expr) if sc.cost(expr) <= 400 else None

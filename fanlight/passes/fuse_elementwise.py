"""Fuse connected elementwise nodes into one `fused` node."""

from __future__ import annotations

from dataclasses import dataclass

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor
from fanlight.ops import scalar as sc
from fanlight.passes.bodies import Body, body_of, elementwise, literal
from fanlight.passes.core import ELEMENTWISE, EPILOGUES, Context, Pass

MAX_INPUTS = 8
MAX_COST = 200


@dataclass
class _Group:
    """Nodes that become one: the last of them is where they leave, and where they are computed.

    Attributes:
        nodes: the last one first.
        inputs: the values that they read and do not compute.
        cost: of their bodies, at most: what they share is counted each time.
        fused: the body, and its expression.
    """

    nodes: list[Node]
    inputs: set[Value]
    cost: int
    fused: tuple[Body, sc.Expr] | None = None


class FuseElementwise(Pass):
    """One pass over memory for a whole expression.

    A node joins its users if all of them are in one group and its result has the shape of the
    group's: then each element is computed once, as before. Weights of one element become
    constants of the body. A group reads at most 8 values and costs at most 200 instructions.

    Before:
        graph g(%x: f32[1, 4], %s: f32[1, 4]) {
          weight %three: f32[] = [3.0]
          %a: f32[1, 4] = add(%x, %three)
          %b: f32[1, 4] = relu6(%a)
          %c: f32[1, 4] = mul(%x, %b)
          %d: f32[1, 4] = add(%c, %s)
          return y=%d
        }

    After:
        graph g(%x: f32[1, 4], %s: f32[1, 4]) {
          %d: f32[1, 4] = fused(%x, %s) {body="add(mul(a0, min(max(add(a0, 3.0), 0), 6)), a1)"}
          return y=%d
        }
    """

    requires = (EPILOGUES,)
    ensures = (ELEMENTWISE,)

    def run(self, graph: Graph, context: Context) -> Graph:
        groups = self._groups(graph)
        editor = Editor(graph)
        for node in graph.nodes:
            group = groups.get(node)
            if group is None or group.fused is None:
                editor.keep(node)
            elif group.nodes[0] is node:
                body, expr = group.fused
                inputs = [editor.get(v) for v in body.inputs]
                editor.become(node, "fused", *inputs, body=str(expr))
                self.hit(context, count=len(group.nodes) - 1)
        return editor.done()

    def _groups(self, graph: Graph) -> dict[Node, _Group]:
        users = graph.users()
        outputs = {v for _, v in graph.outputs}
        groups: dict[Node, _Group] = {}
        for node in reversed(graph.nodes):
            if not elementwise(node):
                continue
            readers = users.get(node.output, [])
            group = groups.get(readers[0]) if readers else None
            if not (
                group is not None
                and node.output not in outputs
                and all(groups.get(r) is group for r in readers)
                and node.output.shape == group.nodes[0].output.shape
                and _joins(graph, group, node)
            ):
                group = _Group([node], _read(graph, node), _cost(node))
            groups[node] = group
        for group in {id(g): g for g in groups.values()}.values():
            if len(group.nodes) > 1:
                body, expr = _fuse(graph, group.nodes)
                if body.dtype(expr) == group.nodes[0].output.dtype:
                    group.fused = body, expr
        return groups


def _read(graph: Graph, node: Node) -> set[Value]:
    return {v for v in node.inputs if literal(v, graph.weights) is None}


def _cost(node: Node) -> int:
    body = body_of(node)
    assert body is not None
    return sc.cost(body)


def _joins(graph: Graph, group: _Group, node: Node) -> bool:
    """Take a node into a group, if it fits."""
    inputs = (group.inputs - {node.output}) | _read(graph, node)
    if not 0 < len(inputs) <= MAX_INPUTS or not _reads(inputs, group.nodes[0].output):
        return False
    cost = group.cost + _cost(node)
    if cost > MAX_COST:  # at most: so look closer
        cost = sc.cost(_fuse(graph, [*group.nodes, node])[1])
        if cost > MAX_COST:
            return False
    group.nodes.append(node)
    group.inputs, group.cost = inputs, cost
    return True


def _fuse(graph: Graph, nodes: list[Node]) -> tuple[Body, sc.Expr]:
    """The body of a group (last node first) and the values that it reads."""
    body = Body(graph.weights)
    expr = sc.arg(0)
    for node in reversed(nodes):
        expr = body.compute(node)
    return body, expr


def _reads(inputs: set[Value], last: Value) -> bool:
    """Whether what is left of the inputs still broadcasts to the result."""
    rank = last.type.rank
    for axis, size in enumerate(last.shape):
        sizes = [v.shape[axis - rank + v.type.rank] for v in inputs if axis >= rank - v.type.rank]
        if not sizes or (size != 1 and size not in sizes):
            return False
    return True

"""What is as quickly computed as read, computed wherever it is read."""

from __future__ import annotations

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor
from fanlight.ops import scalar as sc
from fanlight.passes.bodies import body_of, elementwise
from fanlight.passes.core import EPILOGUES, Context, Pass

REDUCTIONS = ("sum", "mean")
# Instructions per element that cost less than to write it and read it again.
MAX_COST = 6
# What fits the nearest cache need not be spared.
LEAST_BYTES = 1 << 16
# The other inputs are vectors beside the large one.
SMALL = 8


class DuplicateCheap(Pass):
    """A cheap elementwise node of one large tensor, once for each that reads it.

    Each of the copies then joins what reads it (`fuse_elementwise`, `fuse_sums`): who reads the
    large tensor itself reads no more than before, and what the node gives is never written. That
    is so if all readers are elementwise or sums, and the large tensor is in memory anyhow. The
    batch norm of a training step is the usual case: x - mean is read four times.

    Before:
        graph g(%x: f32[64, 512], %m: f32[512]) {
          %c: f32[64, 512] = sub(%x, %m)
          %n: f32[64, 512] = neg(%x)
          %q: f32[64, 512] = mul(%c, %n)
          %t: f32[512] = sum(%c) {axes=[0]}
          return q=%q, t=%t, n=%n
        }

    After:
        graph g(%x: f32[64, 512], %m: f32[512]) {
          %n: f32[64, 512] = neg(%x)
          %c_2: f32[64, 512] = sub(%x, %m) @ "c"
          %q: f32[64, 512] = mul(%c_2, %n)
          %c_3: f32[64, 512] = sub(%x, %m) @ "c"
          %t: f32[512] = sum(%c_3) {axes=[0], keepdims=false}
          return q=%q, t=%t, n=%n
        }
    """

    requires = (EPILOGUES,)

    def run(self, graph: Graph, context: Context) -> Graph:
        copied = _cheap(graph)
        if not copied:
            return graph
        made = graph.producers()
        editor = Editor(graph)

        def fresh(value: Value) -> Value:
            node = made.get(value)
            if node is None or node not in copied:
                return editor.get(value)
            inputs = [fresh(v) for v in node.inputs]
            self.hit(context, node.op)
            copy: Value = editor.add(node.op, *inputs, name=node.name, **node.attrs)
            return copy

        for node in graph.nodes:
            if node in copied:
                continue
            inputs = [fresh(v) for v in node.inputs]
            if inputs == [editor.get(v) for v in node.inputs]:
                editor.keep(node)
            else:
                editor.become(node, node.op, *inputs, **node.attrs)
        return editor.done()


def _cheap(graph: Graph) -> dict[Node, int]:
    """The nodes to copy, and what a copy costs with those that it has to copy itself."""
    users, made = graph.users(), graph.producers()
    outputs = {v for _, v in graph.outputs}
    found: dict[Node, int] = {}
    for node in graph.nodes:
        y = node.output if len(node.outputs) == 1 else None
        if y is None or y in outputs or not elementwise(node) or y.dtype != "float32":
            continue
        if y.type.nbytes < LEAST_BYTES:
            continue
        body = body_of(node)
        large = [v for v in node.inputs if v.type.size * SMALL > y.type.size]
        if body is None or len(large) != 1 or large[0].shape != y.shape:
            continue
        (x,) = large
        readers = users.get(y, [])
        source = made.get(x)
        # Else it would be computed in one go with what it is made of.
        there = source is None or not elementwise(source) or len(users[x]) > 1 or x in outputs
        cost = sc.cost(body) + (found.get(source, 0) if source is not None else 0)
        if there and len(readers) > 1 and cost <= MAX_COST and all(_joins(r, y) for r in readers):
            found[node] = cost
    return found


def _joins(reader: Node, value: Value) -> bool:
    """Whether a reader can compute the value as it goes."""
    if reader.op in REDUCTIONS:
        return True
    return elementwise(reader) and reader.output.shape == value.shape

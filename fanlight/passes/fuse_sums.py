"""Sums that compute what they add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor
from fanlight.ops import scalar as sc
from fanlight.passes.bodies import Body, elementwise
from fanlight.passes.core import ELEMENTWISE, Context, Pass

SUMS = ("sum", "mean")
MAX_INPUTS, MAX_COST = 8, 100
# One that gives so few numbers, of so many each, has too few pieces of work.
FEW, MANY = 64, 4096
LEAST_PARTS = 4


@dataclass(frozen=True)
class _Taken:
    """An elementwise node and its body, which a sum takes over."""

    node: Node
    body: Body
    expr: sc.Expr


class FuseSums(Pass):
    """A sum or mean takes over the elementwise node that alone gives it its numbers.

    A long one with few results is taken in parts, one for each index of the first dim that it adds
    up: then there is work for several threads, and less is lost to rounding. The parts are the same
    for any number of threads. So is one that leaves out parts (of a batch, those that are padding):
    each is added up as if it counted, and then chosen or not, once instead of for every number.

    Before:
        graph g(%x: f32[8, 4096, 4], %m: f32[4]) {
          %d: f32[8, 4096, 4] = mul(%x, %m)
          %v: f32[4] = mean(%d) {axes=[0, 1]}
          return v=%v
        }

    After:
        graph g(%x: f32[8, 4096, 4], %m: f32[4]) {
          %v_2 = fused_sum(%x, %m) {axes=[1], body="mul(a0, a1)", keepdims=true, mean=true} @ "v"
          %v: f32[4] = mean(%v_2) {axes=[0, 1], keepdims=false}
          return v=%v
        }
    """

    requires = (ELEMENTWISE,)

    def run(self, graph: Graph, context: Context) -> Graph:
        found = _fusable(graph)
        gone = {taken.node for taken in found.values()}
        editor = Editor(graph)
        for node in graph.nodes:
            if node in gone:
                continue
            taken, rest = found.get(node), _rest(node)
            chosen = None if taken is None else _choice(node, taken)
            if chosen is not None:
                rest = rest or tuple(a for a in _axes(node) if a)
            if taken is None and not rest:
                editor.keep(node)
                continue
            op, attrs = node.op, {**node.attrs}
            inputs = [editor.get(v) for v in node.inputs]
            if taken is not None:
                # All inputs: one that is not read may say how long the others are.
                of, expr = list(taken.body.inputs), taken.expr
                if chosen is not None:
                    of, expr = _renumbered(of, chosen[1])
                op, inputs = "fused_sum", [editor.get(v) for v in of]
                attrs |= {"body": str(expr), "mean": node.op == "mean"}
                self.hit(context, taken.node.op)
            if rest:
                attrs |= {"axes": rest, "keepdims": True}
                parts = editor.add(op, *inputs, name=node.name, **attrs)
                if chosen is not None:
                    zero = editor.weight(np.zeros((), np.float32))
                    parts = editor.add("select", editor.get(chosen[0]), parts, zero)
                    self.hit(context, "chosen")
                op, inputs, attrs = node.op, [parts], {**node.attrs}
                self.hit(context, "parts")
            editor.become(node, op, *inputs, **attrs)
        return editor.done()


def _fusable(graph: Graph) -> dict[Node, _Taken]:
    """Sum -> what it takes over."""
    users, made = graph.users(), graph.producers()
    outputs = {v for _, v in graph.outputs}
    found: dict[Node, _Taken] = {}
    for node in graph.nodes:
        if node.op not in SUMS or node.output.dtype != "float32":
            continue
        x = node.inputs[0]
        before = made.get(x)
        if before is None or not elementwise(before) or x in outputs or users[x] != [node]:
            continue
        body = Body(graph.weights)
        expr = body.compute(before)
        inputs = body.inputs
        if not 0 < len(inputs) <= MAX_INPUTS or sc.cost(expr) > MAX_COST:
            continue
        shape = np.broadcast_shapes(*(v.type.bound for v in inputs))
        if shape == x.type.bound and all(v.dtype in ("float32", "bool") for v in inputs):
            found[node] = _Taken(before, body, expr)
    return found


def _choice(node: Node, taken: _Taken) -> tuple[Value, sc.Expr] | None:
    """What says which parts along the first dim count, and what is added up of those that do; None
    where the expression is no such choice.
    """
    expr, inputs = taken.expr, taken.body.inputs
    if expr.op != "select" or expr.args[0].op != "arg" or expr.args[2] != sc.const(0.0):
        return None
    if _axes(node)[:1] != [0] or len(_axes(node)) < 2:
        return None
    mask, rank = inputs[expr.args[0].value], node.inputs[0].type.rank
    shape = mask.type.bound
    if len(shape) != rank or prod(shape) != shape[0]:
        return None
    # The rest has to be as long as the whole without the mask.
    others = {n.value for n in sc.topological(expr.args[1]) if n.op == "arg"}
    shapes = [inputs[i].type.bound for i in others]
    if not shapes or np.broadcast_shapes(*shapes) != node.inputs[0].type.bound:
        return None
    return mask, expr.args[1]


def _renumbered(inputs: Sequence[Value], expr: sc.Expr) -> tuple[list[Value], sc.Expr]:
    """The inputs that an expression reads, and the expression over those alone."""
    used = sorted({n.value for n in sc.topological(expr) if n.op == "arg"})
    expr = sc.substitute(expr, {old: sc.arg(new) for new, old in enumerate(used)})
    return [inputs[i] for i in used], expr


def _axes(node: Node) -> list[int]:
    """The dims that a sum adds up, those of size 1 left out."""
    x = node.inputs[0].type
    return [a for a in sorted(a % x.rank for a in node.attrs["axes"]) if x.bound[a] > 1]


def _rest(node: Node) -> tuple[int, ...]:
    """The dims that a part of a long sum adds up; none where it is not taken in parts."""
    if node.op not in SUMS or node.output.dtype != "float32":
        return ()
    x, y = node.inputs[0].type, node.output.type
    if not 0 < y.size <= FEW or x.size < MANY * y.size:
        return ()
    first, *rest = _axes(node)
    return tuple(rest) if x.bound[first] >= LEAST_PARTS else ()

"""Transposes move down until they meet one that undoes them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.bodies import elementwise
from fanlight.passes.core import Context, Pass
from fanlight.passes.simplify import Simplify

REDUCTIONS = ("sum", "mean", "prod", "max", "min", "any", "all")
Perm = tuple[int, ...]


class SinkTransposes(Pass):
    """Compute elementwise ops, reductions, pads and concats in front of a transpose.

    Layers that were written for another order of dims are wrapped in pairs of transposes; what
    lies between two pairs moves up, so that they meet and cancel. The result is taken only if
    it leaves fewer elements to transpose.

    Before:
        graph g(%x: f32[1, 2, 2, 3]) {
          weight %c: f32[3, 1, 1] = [1.0, 2.0, 3.0]
          %a: f32[1, 3, 2, 2] = transpose(%x) {perm=[0, 3, 1, 2]}
          %b: f32[1, 3, 2, 2] = mul(%a, %c)
          %d: f32[1, 3, 2, 3] = pad(%b) {paddings=[[0, 0], [0, 0], [0, 0], [0, 1]]}
          %y: f32[1, 2, 3, 3] = transpose(%d) {perm=[0, 2, 3, 1]}
          return y=%y
        }

    After:
        graph g(%x: f32[1, 2, 2, 3]) {
          weight %c_2: f32[1, 1, 3] = [1.0, 2.0, 3.0]
          %b_2: f32[1, 2, 2, 3] = mul(%x, %c_2) @ "b"
          %d_2: f32[1, 2, 3, 3] = pad(%b_2) {paddings=[[0, 0], [0, 0], [0, 1], [0, 0]]} @ "d"
          return y=%d_2
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        before = _moved(graph)
        if before == 0:
            return graph
        trial = Context(context.target)

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            made = _sink(editor, node, inputs)
            if made is not None:
                self.hit(trial, node.op)
            return made

        # Sinking meets the next transpose; simplifying cancels the pair and frees the way on.
        after = Simplify().run(rebuild(graph, visit), trial)
        if _moved(after) >= before:
            return graph
        context.hits.update({k: n for k, n in trial.hits.items() if k.startswith(self.name)})
        return after


def _moved(graph: Graph) -> int:
    """Elements that transposes move."""
    return sum(n.output.type.size for n in graph.nodes if n.op == "transpose")


def _sink(editor: Editor, node: Node, inputs: Sequence[Value]) -> list[Value] | None:
    makers = [editor.maker(v) for v in inputs]
    turned = [m for m in makers if m is not None and m.op == "transpose"]
    if not turned or len(node.outputs) != 1:
        return None
    perm: Perm = tuple(turned[0].attrs["perm"])
    if node.op == "transpose":
        return _cancel(editor, node, turned[0])
    if node.op in REDUCTIONS:
        return _sink_reduction(editor, node, turned[0], perm)
    if not (elementwise(node) or node.op in ("pad", "concat")):
        return None
    rank = len(perm)
    if node.op == "batch_norm" and perm[-1] != rank - 1:
        return None
    operands: list[Value] = []
    for value, maker in zip(inputs, makers, strict=True):
        if maker in turned and tuple(maker.attrs["perm"]) == perm:
            operands.append(maker.inputs[0])
            continue
        array = editor.array(value)
        if array is None or array.ndim > rank:
            return None
        operands.append(_turned_weight(editor, value, array, perm))
    attrs = dict(node.attrs)
    if node.op == "concat":
        attrs["axis"] = perm[attrs["axis"] % rank]
    if node.op == "pad":
        attrs["paddings"] = _turned_back(attrs["paddings"], perm)
    return _turn_after(editor, node, editor.add(node.op, *operands, name=node.name, **attrs), perm)


def _cancel(editor: Editor, node: Node, inner: Node) -> list[Value] | None:
    perm = tuple(inner.attrs["perm"][p] for p in node.attrs["perm"])
    if perm == tuple(range(len(perm))):
        return [inner.inputs[0]]
    return list(editor.become(node, "transpose", inner.inputs[0], perm=perm))


def _sink_reduction(editor: Editor, node: Node, inner: Node, perm: Perm) -> list[Value]:
    rank = len(perm)
    axes = {a % rank for a in node.attrs["axes"]}
    attrs = {**node.attrs, "axes": tuple(sorted(perm[a] for a in axes))}
    value = editor.add(node.op, inner.inputs[0], name=node.name, **attrs)
    if node.attrs["keepdims"]:
        return _turn_after(editor, node, value, perm)
    # Dims that are left, numbered by their order in front of the transpose.
    left = sorted(perm[d] for d in range(rank) if d not in axes)
    order = tuple(left.index(perm[d]) for d in range(rank) if d not in axes)
    return _turn_after(editor, node, value, order)


def _turn_after(editor: Editor, node: Node, value: Value, perm: Perm) -> list[Value]:
    if perm == tuple(range(len(perm))):
        return [value]
    return list(editor.become(node, "transpose", value, perm=perm))


def _turned_back(items: Sequence[Any], perm: Perm) -> tuple[Any, ...]:
    """Per-dim items of the transposed value, in the order of the value in front."""
    return tuple(items[perm.index(d)] for d in range(len(perm)))


def _turned_weight(editor: Editor, value: Value, array: np.ndarray, perm: Perm) -> Value:
    """The weight that meets the value in front of a transpose as `value` meets the one after."""
    if array.ndim == 0 or prod(array.shape) == 1:
        return value
    full = array.reshape((1,) * (len(perm) - array.ndim) + array.shape)
    turned = full.transpose([perm.index(d) for d in range(len(perm))])
    # As few dims as say the same.
    while turned.ndim > 1 and turned.shape[0] == 1 and turned.ndim > array.ndim:
        turned = turned[0]
    return editor.weight(turned, value.name)

"""Elementwise steps move in front of the reshapes and crops that part them from their producer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild, use_counts
from fanlight.ops.row import TABLE
from fanlight.passes.bodies import elementwise
from fanlight.passes.core import (
    CONSTANTS_FOLDED,
    NO_BATCH_NORM,
    NO_TRANSPOSED_CONV,
    PLAIN_MATMUL,
    Context,
    Pass,
)

# How many more elements an elementwise step may compute to become part of its producer.
SPARE = 1.5


class SinkMovement(Pass):
    """Bring bias and activation next to the convolution or product that they belong to.

    An elementwise node whose operand is a reshape that keeps the last dim, a depth_to_space or a
    crop of a linear op's result is computed in front of it, where it can become an epilogue.
    Constants of one number per channel are repeated for each sub-pixel of a depth_to_space.

    Before:
        graph g(%x: f32[2, 3]) {
          weight %w: f32[3, 2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
          weight %b: f32[2] = [0.5, -0.5]
          %m: f32[2, 2] = matmul(%x, %w)
          %r: f32[1, 2, 2] = reshape(%m) {shape=[1, 2, 2]}
          %s: f32[1, 2, 2] = add(%r, %b)
          %y: f32[1, 2, 2] = relu(%s)
          return y=%y
        }

    After:
        graph g(%x: f32[2, 3]) {
          weight %w: f32[3, 2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
          weight %b: f32[2] = [0.5, -0.5]
          %m: f32[2, 2] = matmul(%x, %w)
          %s_2: f32[2, 2] = add(%m, %b) @ "s"
          %y_2: f32[2, 2] = relu(%s_2) @ "y"
          %y: f32[1, 2, 2] = reshape(%y_2) {shape=[1, 2, 2]}
          return y=%y
        }
    """

    requires = (NO_BATCH_NORM, NO_TRANSPOSED_CONV, PLAIN_MATMUL)
    breaks = (CONSTANTS_FOLDED,)

    def run(self, graph: Graph, context: Context) -> Graph:
        uses = use_counts(graph)
        # Values of the new graph that an epilogue may still grow from.
        growing: set[Value] = set()

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if TABLE[node.op].epilogue:
                growing.add(node.output)
                return None
            if not elementwise(node):
                return None
            if any(v in growing for v in inputs):
                growing.add(node.output)
            found = _chain(editor, node, inputs, uses, growing)
            if found is None:
                return None
            source, moves = found
            moved = [_before(editor, v, node, source, moves) for v in inputs]
            operands = [v for v in moved if v is not None]
            if len(operands) < len(inputs):
                return None
            self.hit(context, moves[-1].op)
            value = editor.add(node.op, *operands, name=node.name, **node.attrs)
            growing.add(value)
            for move in moves[:-1]:
                value = editor.add(move.op, value, name=move.name, **move.attrs)
            last = moves[-1]
            return editor.become(node, last.op, value, **last.attrs)

        return rebuild(graph, visit)


def _chain(
    editor: Editor, node: Node, inputs: list[Value], uses: dict[Value, int], growing: set[Value]
) -> tuple[Value, list[Node]] | None:
    """A value to grow from, and the movements between it and an operand of the node."""
    for old, start in zip(node.inputs, inputs, strict=True):
        moves: list[Node] = []
        value, alone = start, uses.get(old, 0) == 1
        if start.shape != node.output.shape or start.dtype != node.output.dtype:
            continue
        while (maker := editor.maker(value)) is not None and _movement(maker):
            # A reshape costs nothing, so it may stay behind for other users.
            if maker.op != "reshape" and not (alone and uses.get(value, 1) == 1):
                break
            moves.insert(0, maker)
            value = maker.inputs[0]
        if moves and value in growing and value.type.size <= SPARE * start.type.size:
            return value, moves
    return None


def _movement(node: Node) -> bool:
    before, after = node.inputs[0].shape, node.output.shape
    if node.op in ("reshape", "slice"):
        return before[-1:] == after[-1:] or before == after
    return node.op == "depth_to_space"


def _before(
    editor: Editor, value: Value, node: Node, source: Value, moves: list[Node]
) -> Value | None:
    """An operand as it must be in front of the movements; None if it cannot be."""
    if value is moves[-1].output:
        return source
    array = editor.array(value)
    if array is not None and array.size == 1:
        scalar = array.ndim <= source.type.rank
        return value if scalar else editor.weight(array.reshape(()), value.name)
    channels = node.output.shape[-1]
    if array is not None and array.size == channels and array.shape[-1] == channels:
        repeats = source.type.bound[-1] // channels
        if repeats == 1 and array.ndim <= source.type.rank:
            return value
        return editor.weight(np.tile(array.reshape(-1), repeats), value.name)
    if all(m.op == "reshape" for m in moves) and value.shape == node.output.shape:
        maker = editor.maker(value)
        if maker is not None and maker.op == "reshape" and maker.inputs[0].shape == source.shape:
            return maker.inputs[0]
        return editor.add("reshape", value, shape=source.shape, name=node.name)
    return None

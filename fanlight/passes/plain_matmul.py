"""Products as kernels compute them: of one matrix with all rows, nothing exchanged."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.ops.row import EPILOGUE
from fanlight.passes.core import AFFINE_FOLDED, CONSTANTS_FOLDED, PLAIN_MATMUL, Context, Pass


class PlainMatmul(Pass):
    """Write matmul without transpose_a and transpose_b, and with one matrix per side if it can be.

    Weights are transposed at build time, other operands by a transpose node. Where the second
    operand is one matrix for the whole batch, the product gets all its rows at once: reshapes are
    free, a loop over small products is not.

    Before:
        graph g(%x: f32[2, 3, 2]) {
          weight %w: f32[3, 2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
          %y: f32[2, 3, 3] = matmul(%x, %w) {transpose_b=true}
          return y=%y
        }

    After:
        graph g(%x: f32[2, 3, 2]) {
          weight %w_2: f32[2, 3] = [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]
          %y_2: f32[6, 2] = reshape(%x) {shape=[6, 2]} @ "y"
          %y_3: f32[6, 3] = matmul(%y_2, %w_2) @ "y"
          %y: f32[2, 3, 3] = reshape(%y_3) {shape=[2, 3, 3]}
          return y=%y
        }
    """

    # Later: a reshape after the product would hide the arithmetic that follows it.
    requires = (AFFINE_FOLDED,)
    ensures = (PLAIN_MATMUL,)
    breaks = (CONSTANTS_FOLDED,)

    def run(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if node.op != "matmul":
                return None
            inputs, extras = inputs[:2], inputs[2:]
            a, b = (
                _exchanged(editor, node, v) if node.attrs[flag] else v
                for v, flag in zip(inputs, ("transpose_a", "transpose_b"), strict=True)
            )
            # A graph that was optimised before may have one.
            epilogue = {k: v for k, v in node.attrs.items() if k == EPILOGUE}
            if [a, b] != inputs:
                self.hit(context, "transpose")
            # What an epilogue reads has the shape that the product has now.
            flat = max(a.type.rank, b.type.rank) < 3 or prod(b.type.bound[:-2]) != 1
            if flat or extras:
                if [a, b] == inputs:
                    return None
                return editor.become(node, "matmul", a, b, *extras, **epilogue)
            self.hit(context, "flatten")
            if a.type.rank > 2:
                rows = prod(a.type.bound[:-1])
                a = editor.add("reshape", a, shape=(rows, a.shape[-1]), name=node.name)
            if b.type.rank > 2:
                b = editor.add("reshape", b, shape=b.shape[-2:], name=node.name)
            product = editor.add("matmul", a, b, name=node.name, **epilogue)
            return editor.become(node, "reshape", product, shape=node.output.shape)

        return rebuild(graph, visit)


def _exchanged(editor: Editor, node: Node, value: Value) -> Value:
    """A value with its last two dims exchanged."""
    rank = value.type.rank
    perm = (*range(rank - 2), rank - 1, rank - 2)
    array = editor.array(value)
    if array is not None:
        return editor.weight(np.ascontiguousarray(array.transpose(perm)), value.name)
    maker = editor.maker(value)
    if maker is not None and maker.op == "transpose" and tuple(maker.attrs["perm"]) == perm:
        return maker.inputs[0]
    return editor.add("transpose", value, perm=perm, name=node.name)

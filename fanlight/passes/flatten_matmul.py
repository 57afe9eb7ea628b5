"""Products with one matrix are products of two matrices."""

from __future__ import annotations

from math import prod
from typing import Any

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.core import AFFINE_FOLDED, Context, Pass


class FlattenMatmul(Pass):
    """Give matmul all its rows at once: reshapes are free, a loop over small products is not.

    Applies where the second operand is one matrix for the whole batch.

    Before:
        graph g(%x: f32[2, 3, 2]) {
          weight %w: f32[2, 1] = [1.0, 2.0]
          %y: f32[2, 3, 1] = matmul(%x, %w)
          return y=%y
        }

    After:
        graph g(%x: f32[2, 3, 2]) {
          weight %w: f32[2, 1] = [1.0, 2.0]
          %y_2: f32[6, 2] = reshape(%x) {shape=[6, 2]} @ "y"
          %y_3: f32[6, 1] = matmul(%y_2, %w) @ "y"
          %y: f32[2, 3, 1] = reshape(%y_3) {shape=[2, 3, 1]}
          return y=%y
        }
    """

    # Later: a reshape after the product would hide the arithmetic that follows it.
    requires = (AFFINE_FOLDED,)

    def run(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if node.op != "matmul" or node.attrs["transpose_a"] or len(inputs) != 2:
                return None
            a, b = inputs
            if max(a.type.rank, b.type.rank) < 3 or prod(b.type.bound[:-2]) != 1:
                return None
            self.hit(context)
            if a.type.rank > 2:
                rows = prod(a.type.bound[:-1])
                a = editor.add("reshape", a, shape=(rows, a.shape[-1]), name=node.name)
            if b.type.rank > 2:
                b = editor.add("reshape", b, shape=b.shape[-2:], name=node.name)
            product = editor.add("matmul", a, b, name=node.name, **node.attrs)
            return editor.become(node, "reshape", product, shape=node.output.shape)

        return rebuild(graph, visit)

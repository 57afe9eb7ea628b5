"""A sum of products over a batch is one product."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild, use_counts
from fanlight.passes.core import NO_SYMBOLS, Context, Pass


class JoinProducts(Pass):
    """Compute the sum over a batch of a^T b as one product of all rows.

    The gradient of a kernel that meets sequences is such a sum. One product adds up in registers;
    a batch of products writes a matrix for each example, and the sum reads them all again. Where
    padding is left out of the sum, it is left out of both operands.

    Before:
        graph g(%x: f32[4, 3, 2], %g: f32[4, 3, 5]) {
          %p: f32[4, 2, 5] = matmul(%x, %g) {transpose_a=true}
          %y: f32[2, 5] = sum(%p) {axes=[0]}
          return y=%y
        }

    After:
        graph g(%x: f32[4, 3, 2], %g: f32[4, 3, 5]) {
          %y_2: f32[12, 2] = reshape(%x) {shape=[12, 2]} @ "y"
          %y_3: f32[12, 5] = reshape(%g) {shape=[12, 5]} @ "y"
          %y: f32[2, 5] = matmul(%y_2, %y_3) {transpose_a=true}
          return y=%y
        }
    """

    requires = (NO_SYMBOLS,)

    def run(self, graph: Graph, context: Context) -> Graph:
        makers = {v: node for node in graph.nodes for v in node.outputs}
        uses = use_counts(graph)

        def made_for(value: Value, op: str) -> Node | None:
            """What makes a value that nothing else reads."""
            node = makers.get(value)
            return node if node is not None and node.op == op and uses[value] == 1 else None

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if node.op != "sum":
                return None
            choice = made_for(node.inputs[0], "select")
            if choice is not None and not _leaves_out(choice, graph.weights):
                return None
            product = made_for(choice.inputs[1] if choice else node.inputs[0], "matmul")
            if product is None or not _sums(node, product):
                return None
            self.hit(context, "masked" if choice else "")
            flat = []
            for operand in map(editor.get, product.inputs):
                value = operand
                if choice is not None:
                    inside, _, fill = map(editor.get, choice.inputs)
                    value = editor.add("select", inside, value, fill, name=choice.name)
                shape = (prod(value.type.bound[:-1]), value.shape[-1])
                flat.append(editor.add("reshape", value, shape=shape, name=node.name))
            if not node.attrs["keepdims"]:
                return editor.become(node, "matmul", *flat, transpose_a=True)
            one = editor.add("matmul", *flat, transpose_a=True, name=node.name)
            return editor.become(node, "reshape", one, shape=node.output.shape)

        return rebuild(graph, visit)


def _leaves_out(choice: Node, weights: Mapping[Value, Any]) -> bool:
    """Whether a select puts zeros in the place of whole products."""
    inside, product, fill = choice.inputs
    zero = fill in weights and not weights[fill].any() and weights[fill].size == 1
    whole = inside.shape[-2:] == (1, 1) and inside.type.rank <= product.type.rank
    return zero and whole and product.shape == choice.output.shape


def _sums(node: Node, product: Node) -> bool:
    """Whether a node sums products a^T b over all dims of their batch."""
    a, b = product.inputs[0], product.inputs[1]
    rank = product.output.type.rank
    return (
        len(product.inputs) == 2
        and rank > 2
        and {axis % rank for axis in node.attrs["axes"]} == set(range(rank - 2))
        and a.type.rank == b.type.rank
        and a.shape[:-2] == b.shape[:-2]
        and product.attrs["transpose_a"]
        and not product.attrs["transpose_b"]
        and not product.attrs.get("epilogue")
    )

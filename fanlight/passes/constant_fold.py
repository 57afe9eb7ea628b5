"""Compute at build time what depends on weights only."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.ops import row as rows
from fanlight.ops.control import CONTROL
from fanlight.passes.core import CONSTANTS_FOLDED, Context, Pass

# A result may grow a download: beyond this size, only if the inputs were not much smaller.
FREE_BYTES = 1 << 20
GROWTH = 8


def foldable(node: Node, constants: Container[Value]) -> bool:
    """Whether a node is constant, and its result worth storing instead of computing.

    Loops are not: they may take for ever.
    """
    if node.op in CONTROL or not node.inputs or not all(v in constants for v in node.inputs):
        return False
    if not all(v.type.static for v in node.outputs):  # a constant for every size of a batch
        return False
    size = sum(v.type.nbytes for v in node.outputs)
    return size <= FREE_BYTES or size <= GROWTH * sum(v.type.nbytes for v in node.inputs)


class ConstantFold(Pass):
    """Evaluate nodes whose inputs are all weights; the result becomes a weight.

    A result of more than 1 MiB that is over 8 times the size of the inputs stays computed
    (a broadcast of one number over a feature map is cheaper to make than to download).

    Before:
        graph g(%x: f32[2]) {
          weight %variance: f32[2] = [3.0, 15.0]
          weight %epsilon: f32[] = [1.0]
          %a: f32[2] = add(%variance, %epsilon)
          %b: f32[2] = rsqrt(%a)
          %y: f32[2] = mul(%x, %b)
          return y=%y
        }

    After:
        graph g(%x: f32[2]) {
          weight %b: f32[2] = [0.5, 0.25]
          %y: f32[2] = mul(%x, %b)
          return y=%y
        }
    """

    ensures = (CONSTANTS_FOLDED,)

    def __init__(self, finite: bool = False) -> None:
        """
        Args:
            finite: whether NaN and infinities stay computed, for files that hold none.
        """
        self.finite = finite

    def run(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> list[Value] | None:
            arrays = [a for a in map(editor.array, inputs) if a is not None]
            if len(arrays) < len(inputs) or not foldable(node, node.inputs):
                return None
            with np.errstate(all="ignore"):
                results = rows.evaluate(node.op, arrays, node.attrs)
            if self.finite and not all(
                a.dtype.kind != "f" or np.isfinite(a).all() for a in results
            ):
                return None
            for value, array in zip(node.outputs, results, strict=True):
                editor.settle(value, array)
            self.hit(context, node.op)
            return list(node.outputs)

        return rebuild(graph, visit)

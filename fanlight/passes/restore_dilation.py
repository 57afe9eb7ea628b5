"""A convolution between space_to_batch and batch_to_space is a dilated convolution."""

from __future__ import annotations

from typing import Any

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.absorb_pad import CONVOLUTIONS
from fanlight.passes.core import Context, Pass

ONES, NONE = (1, 1), ((0, 0), (0, 0))


class RestoreDilation(Pass):
    """Undo the detour by which TensorFlow computes dilated (atrous) convolutions.

    What space_to_batch pads beyond what batch_to_space crops is the convolution's padding.

    Before:
        graph g(%x: f32[1, 3, 3, 1]) {
          weight %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
          %s: f32[4, 3, 3, 1] = space_to_batch(%x) {block=[2, 2], paddings=[[1, 2], [1, 2]]}
          %c: f32[4, 2, 2, 1] = conv2d(%s, %w)
          %y: f32[1, 3, 3, 1] = batch_to_space(%c) {block=[2, 2], crops=[[0, 1], [0, 1]]}
          return y=%y
        }

    After:
        graph g(%x: f32[1, 3, 3, 1]) {
          weight %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
          %y: f32[1, 3, 3, 1] = conv2d(%x, %w) {padding=[[1, 1], [1, 1]], dilations=[2, 2]} @ "c"
          return y=%y
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if node.op != "batch_to_space":
                return None
            conv = editor.maker(inputs[0])
            if conv is None or not _plain(conv):
                return None
            split = editor.maker(conv.inputs[0])
            block = node.attrs["block"]
            if split is None or split.op != "space_to_batch" or split.attrs["block"] != block:
                return None
            pairs = zip(split.attrs["paddings"], node.attrs["crops"], strict=True)
            padding = tuple((a - c, b - d) for (a, b), (c, d) in pairs)
            if len(block) != 2 or min(min(side) for side in padding) < 0:
                return None
            self.hit(context, conv.op)
            attrs = {**conv.attrs, "padding": padding, "dilations": block}
            source = split.inputs[0], *conv.inputs[1:]
            return editor.become(node, conv.op, *source, name=conv.name, **attrs)

        return rebuild(graph, visit)


def _plain(node: Node) -> bool:
    return (
        node.op in CONVOLUTIONS
        and len(node.inputs) == 2
        and (node.attrs["strides"], node.attrs["dilations"]) == (ONES, ONES)
        and node.attrs["padding"] == NONE
    )

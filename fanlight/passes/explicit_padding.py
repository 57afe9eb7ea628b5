"""Zero padding of convolutions becomes a pad node."""

from __future__ import annotations

from typing import Any

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.core import (
    AFFINE_FOLDED,
    CONSTANTS_FOLDED,
    EXPLICIT_PADDING,
    PADS_ABSORBED,
    Context,
    Pass,
)

NONE = ((0, 0), (0, 0))
PADDED = ("conv2d", "conv2d_int8", "depthwise_conv2d_int8")


def needs_explicit_padding(node: Node) -> bool:
    """Whether a node is a convolution with padding (depthwise and pooling keep theirs).

    A depthwise convolution of bytes keeps a padding of zeros only.
    """
    if node.op == "depthwise_conv2d_int8" and node.attrs["pad"] == 0:
        return False
    return node.op in PADDED and any(any(side) for side in node.attrs["padding"])


class ExplicitPadding(Pass):
    """Write the padding of each conv2d as a pad: its kernels then never test for borders.

    Copying the image once is far cheaper than a convolution. Convolutions that pad the same value
    alike share the pad. The same goes for bytes, which are padded with the zero point (`pad`);
    their depthwise convolutions pad themselves only where that is 0.

    Before:
        graph g(%x: f32[1, 2, 2, 1]) {
          weight %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
          %y: f32[1, 2, 2, 1] = conv2d(%x, %w) {padding=[[0, 1], [0, 1]]}
          return y=%y
        }

    After:
        graph g(%x: f32[1, 2, 2, 1]) {
          weight %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
          %y_2: f32[1, 3, 3, 1] = pad(%x) {paddings=[[0, 0], [0, 1], [0, 1], [0, 0]]} @ "y"
          %y: f32[1, 2, 2, 1] = conv2d(%y_2, %w)
          return y=%y
        }
    """

    requires = (AFFINE_FOLDED,)
    ensures = (EXPLICIT_PADDING,)
    breaks = (PADS_ABSORBED, CONSTANTS_FOLDED)

    def run(self, graph: Graph, context: Context) -> Graph:
        made: dict[tuple, Value] = {}

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if not needs_explicit_padding(node):
                return None
            value = node.attrs.get("pad", 0)
            key = inputs[0], node.attrs["padding"], value
            if key not in made:
                paddings = ((0, 0), *node.attrs["padding"], (0, 0))
                made[key] = editor.add(
                    "pad", inputs[0], paddings=paddings, value=value, name=node.name
                )
                self.hit(context, "pad")
            attrs = {**node.attrs, "padding": NONE}
            return editor.become(node, node.op, made[key], *inputs[1:], **attrs)

        return rebuild(graph, visit)

"""A pad with zeros in front of a convolution becomes the convolution's own padding."""

from __future__ import annotations

from typing import Any

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.core import PADS_ABSORBED, Context, Pass

CONVOLUTIONS = ("conv2d", "depthwise_conv2d")


class AbsorbPad(Pass):
    """Give convolutions the zeros that a pad puts around the image.

    Only if all users of the pad are convolutions: else it would be computed anyway. Pooling does
    not count its padding as zeros, so it keeps its pad.

    Before:
        graph g(%x: f32[1, 3, 3, 1]) {
          weight %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
          %p: f32[1, 4, 4, 1] = pad(%x) {paddings=[[0, 0], [0, 1], [0, 1], [0, 0]]}
          %y: f32[1, 2, 2, 1] = conv2d(%p, %w) {strides=[2, 2]}
          return y=%y
        }

    After:
        graph g(%x: f32[1, 3, 3, 1]) {
          weight %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
          %y: f32[1, 2, 2, 1] = conv2d(%x, %w) {strides=[2, 2], padding=[[0, 1], [0, 1]]}
          return y=%y
        }
    """

    ensures = (PADS_ABSORBED,)

    def run(self, graph: Graph, context: Context) -> Graph:
        outputs = {v for _, v in graph.outputs}
        users = graph.users()
        pads: dict[Value, Node] = {}
        for node in graph.nodes:
            readers = users.get(node.output, [])
            if (
                _pads_image_with_zeros(node)
                and node.output not in outputs
                and all(_only_image(r, node.output) for r in readers)
            ):
                pads[node.output] = node

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            pad = pads.get(node.inputs[0]) if node.op in CONVOLUTIONS else None
            if pad is None:
                return None
            attrs = dict(node.attrs)
            attrs["padding"] = tuple(
                (a + c, b + d)
                for (a, b), (c, d) in zip(pad.attrs["paddings"][1:3], attrs["padding"], strict=True)
            )
            self.hit(context, node.op)
            return editor.become(node, node.op, editor.get(pad.inputs[0]), *inputs[1:], **attrs)

        return rebuild(graph, visit)


def _pads_image_with_zeros(node: Node) -> bool:
    if node.op != "pad" or len(node.attrs["paddings"]) != 4 or node.attrs["value"] != 0:
        return False
    batch, *_, channels = node.attrs["paddings"]
    return not any((*batch, *channels))


def _only_image(reader: Node, value: Value) -> bool:
    return reader.op in CONVOLUTIONS and value not in reader.inputs[1:]

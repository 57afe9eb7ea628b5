"""Images as [N, C, H, W], for files of run times that lay them so."""

from __future__ import annotations

from fanlight.graph import Graph, Node
from fanlight.passes.axis_emit import rewritten
from fanlight.passes.axis_links import WINDOWS
from fanlight.passes.axis_region import NCHW, Plan, Region
from fanlight.passes.core import Context, Pass

CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv2d_transpose")


class ChannelsFirst(Pass):
    """Put convolutions, pools and the like between transposes to [N, H, W, C] and back.

    A writer of ONNX leaves both out, as its own convolutions want [N, C, H, W]. What lies between
    two of them is computed in that order where this leaves least to transpose: see
    `sink_transposes`, which does it the other way round for all other targets.

    Before:
        graph g(%x: f32[1, 4, 4, 3]) {
          weight %c: f32[3] = [1.0, 2.0, 3.0]
          %a: f32[1, 2, 2, 3] = max_pool(%x) {size=[2, 2], strides=[2, 2]}
          %b: f32[1, 2, 2, 3] = mul(%a, %c)
          %y: f32[1, 1, 1, 3] = max_pool(%b) {size=[2, 2], strides=[2, 2]}
          return y=%y
        }

    After:
        graph g(%x: f32[1, 4, 4, 3]) {
          weight %c_2: f32[3, 1, 1] = [1.0, 2.0, 3.0]
          %a: f32[1, 2, 2, 3] = max_pool(%x) {size=[2, 2], strides=[2, 2]}
          %a_3: f32[1, 3, 2, 2] = transpose(%a) {perm=[0, 3, 1, 2]} @ "a"
          %b_2: f32[1, 3, 2, 2] = mul(%a_3, %c_2) @ "b"
          %y_2: f32[1, 2, 2, 3] = transpose(%b_2) {perm=[0, 2, 3, 1]} @ "y"
          %y: f32[1, 1, 1, 3] = max_pool(%y_2) {size=[2, 2], strides=[2, 2]}
          return y=%y
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        images = _images(graph)
        users, producers = graph.users(), graph.producers()
        seen: set[Node] = set()
        plans: list[Plan] = []
        for node in images:
            if node in seen:
                continue
            region = Region(graph, users, producers, seen, images)
            region.grow(node.output, NCHW)
            plan = region.plan()
            # Images that no region has taken stay as they are; they do not start again.
            seen.add(node)
            if plan is not None:
                plans.append(plan)
                seen.update(plan.recipes)
        self.hit(context, count=sum(n in images for plan in plans for n in plan.recipes))
        return rewritten(graph, plans) if plans else graph


def _images(graph: Graph) -> dict[Node, None]:
    """Ops on images, and the biases of convolutions, which are written as a part of them."""
    found: dict[Node, None] = {}
    made = graph.producers()
    for node in graph.nodes:
        if node.op in WINDOWS and len(node.output.shape) == 4:
            found[node] = None
        if node.op != "add" or len(node.output.shape) != 4:
            continue
        for value, other in (node.inputs, node.inputs[::-1]):
            array, maker = graph.weights.get(other), made.get(value)
            if maker is None or maker.op not in CONVOLUTIONS or array is None:
                continue
            if array.size == value.shape[-1] == array.shape[-1] and value.type == node.output.type:
                found[node] = None
    return found

"""The gradient of a convolution after its windows is a product, or a convolution itself."""

from __future__ import annotations

from typing import Any

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.core import AFFINE_FOLDED, NO_CONV_KERNEL, Context, Pass


class SpellConvKernel(Pass):
    """Rewrite conv2d_kernel as matmul where windows are single pixels, else as conv2d.

    For windows of one pixel that are everywhere the pixels are rows of two matrices. Otherwise it
    is a convolution in which batch and channels have changed places, and strides and dilations too
    (Dumoulin & Visin 2016, chapter 4).

    Before:
        graph g(%x: f32[2, 2, 1, 2], %g: f32[2, 2, 1, 3]) {
          %y: f32[1, 1, 2, 3] = conv2d_kernel(%x, %g) {size=[1, 1]}
          return y=%y
        }

    After:
        graph g(%x: f32[2, 2, 1, 2], %g: f32[2, 2, 1, 3]) {
          %y_2: f32[4, 2] = reshape(%x) {shape=[4, 2]} @ "y"
          %y_3: f32[4, 3] = reshape(%g) {shape=[4, 3]} @ "y"
          %y_4: f32[2, 3] = matmul(%y_2, %y_3) {transpose_a=true} @ "y"
          %y: f32[1, 1, 2, 3] = reshape(%y_4) {shape=[1, 1, 2, 3]}
          return y=%y
        }
    """

    requires = (AFFINE_FOLDED,)
    ensures = (NO_CONV_KERNEL,)

    def run(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if node.op != "conv2d_kernel":
                return None
            point = node.attrs["size"] == (1, 1) and node.attrs["strides"] == (1, 1)
            self.hit(context, "product" if point else "convolution")
            return _product(editor, node, *inputs) if point else _conv(editor, node, *inputs)

        return rebuild(graph, visit)


def _product(editor: Editor, node: Node, x: Value, g: Value) -> Any:
    n, height, width, _ = g.type.bound
    rows, name = n * height * width, node.name
    flat = [editor.add("reshape", v, shape=(rows, v.shape[3]), name=name) for v in (x, g)]
    product = editor.add("matmul", *flat, transpose_a=True, name=name)
    return editor.become(node, "reshape", product, shape=node.output.shape)


def _conv(editor: Editor, node: Node, x: Value, g: Value) -> Any:
    kh, kw = node.attrs["size"]
    strides, dilations = node.attrs["strides"], node.attrs["dilations"]
    n, height, width, channels = x.type.bound
    # Pixels that no window reaches, since the strides step over them, are left out.
    seen = [
        (g.type.bound[1 + d] - 1) * strides[d] + (k - 1) * dilations[d] + 1
        for d, k in enumerate((kh, kw))
    ]
    if seen != [height, width]:
        size = (n, *seen, channels)
        x = editor.add("slice", x, begin=(0, 0, 0, 0), size=size, name=node.name)
    image = editor.add("transpose", x, perm=(3, 1, 2, 0), name=node.name)
    kernel = editor.add("transpose", g, perm=(1, 2, 0, 3), name=node.name)
    own = {"strides": dilations, "dilations": strides}
    found = editor.add("conv2d", image, kernel, name=node.name, **own)
    return editor.become(node, "transpose", found, perm=(1, 2, 0, 3))

"""A transposed convolution is a convolution that computes all sub-pixels at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.core import AFFINE_FOLDED, NO_TRANSPOSED_CONV, Context, Pass


@dataclass(frozen=True)
class _Axis:
    """One spatial dim of the decomposition.

    Output o lies at u = o + padding = stride * q + r. It sums x[q - j] * w[r + stride * j] over
    j < taps: for each phase r a convolution with `taps` weights. q runs from `first` on.
    """

    stride: int
    taps: int
    before: int  # zeros to put before x; negative: elements of x to skip
    after: int
    crop: int  # results to skip after the phases are interleaved

    @staticmethod
    def of(size: int, kernel: int, stride: int, padding: int, wanted: int) -> _Axis:
        taps = -(-kernel // stride)
        first, last = padding // stride, (padding + wanted - 1) // stride
        before, after = taps - 1 - first, last - (size - 1)
        return _Axis(stride, taps, before, after, padding - first * stride)


class SplitTransposedConv(Pass):
    """Rewrite conv2d_transpose as conv2d (channels for each sub-pixel), depth_to_space, slice.

    Exact for every stride, kernel, padding and output size. A constant kernel is rearranged at
    build time, a computed one by nodes of its own; where the stride does not divide the kernel,
    zeros fill it up (so an infinite or NaN input makes a few more NaNs around it than the
    definition does; finite inputs are exact).

    Before:
        graph g(%x: f32[1, 2, 2, 1]) {
          weight %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
          %y: f32[1, 4, 4, 1] = conv2d_transpose(%x, %w) {strides=[2, 2], output_size=[4, 4]}
          return y=%y
        }

    After:
        graph g(%x: f32[1, 2, 2, 1]) {
          weight %w_2: f32[1, 1, 1, 4] = [1.0, 2.0, 3.0, 4.0]
          %y_2: f32[1, 2, 2, 4] = conv2d(%x, %w_2) @ "y"
          %y: f32[1, 4, 4, 1] = depth_to_space(%y_2) {block=2}
          return y=%y
        }
    """

    requires = (AFFINE_FOLDED,)
    ensures = (NO_TRANSPOSED_CONV,)

    def run(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if node.op != "conv2d_transpose":
                return None
            self.hit(context, f"stride {'x'.join(map(str, node.attrs['strides']))}")
            return [_split(editor, node, *inputs)]

        return rebuild(graph, visit)


def _split(editor: Editor, node: Node, x: Value, kernel: Value) -> Value:
    n, *sizes, _ = x.type.bound
    _, *wanted, channels = node.output.type.bound
    strides, padding = node.attrs["strides"], node.attrs["padding"]
    rows, columns = (
        _Axis.of(sizes[i], kernel.type.bound[i], strides[i], padding[i][0], wanted[i])
        for i in (0, 1)
    )
    name = node.name
    cut = [(max(0, -a.before), max(0, -a.after)) for a in (rows, columns)]
    if any(map(any, cut)):
        # The result is so small that some of the input does not reach it.
        begin = (0, cut[0][0], cut[1][0], 0)
        kept = [size - a - b for size, (a, b) in zip(sizes, cut, strict=True)]
        x = editor.add("slice", x, begin=begin, size=(n, *kept, x.shape[-1]), name=name)
    array = editor.array(kernel)
    if array is None:
        weight = _computed(editor, kernel, rows, columns, name)
    else:
        weight = editor.weight(_rearranged(array, rows, columns), node.inputs[1].name)
    value = editor.add(
        "conv2d",
        x,
        weight,
        padding=tuple((max(0, a.before), max(0, a.after)) for a in (rows, columns)),
        name=name,
    )
    steps: list[tuple[str, dict[str, Any]]] = []
    if rows.stride == columns.stride:
        if rows.stride > 1:
            steps.append(("depth_to_space", {"block": rows.stride}))
    else:
        _, high, wide, _ = value.type.bound
        apart = (n, high, wide, rows.stride, columns.stride, channels)
        steps.append(("reshape", {"shape": apart}))
        steps.append(("transpose", {"perm": (0, 1, 3, 2, 4, 5)}))
        whole = (n, high * rows.stride, wide * columns.stride, channels)
        steps.append(("reshape", {"shape": whole}))
    made = value.type.bound[1] * rows.stride, value.type.bound[2] * columns.stride
    if made != tuple(wanted):
        begin = (0, rows.crop, columns.crop, 0)
        steps.append(("slice", {"begin": begin, "size": (n, *wanted, channels)}))
    for op, attrs in steps[:-1]:
        value = editor.add(op, value, name=name, **attrs)
    if not steps:
        return value
    op, attrs = steps[-1]
    return editor.become(node, op, value, **attrs)[0]


def _rearranged(weight: np.ndarray, rows: _Axis, columns: _Axis) -> np.ndarray:
    """[kh, kw, Cout, Cin] -> [taps, taps, Cin, phases * Cout], taps in reverse order."""
    high, wide, channels, depth = weight.shape
    full = np.zeros(
        (rows.taps * rows.stride, columns.taps * columns.stride, channels, depth), weight.dtype
    )
    full[:high, :wide] = weight
    # w[r + stride * j] -> [j, r]; tap t of the convolution meets x[q - (taps - 1) + t].
    parts = full.reshape(rows.taps, rows.stride, columns.taps, columns.stride, channels, depth)[
        ::-1, :, ::-1
    ]
    order = parts.transpose(0, 2, 5, 1, 3, 4)
    return np.ascontiguousarray(order).reshape(rows.taps, columns.taps, depth, -1)


def _computed(editor: Editor, kernel: Value, rows: _Axis, columns: _Axis, name: str) -> Value:
    """The same rearrangement of a kernel that is computed, as nodes."""
    high, wide, channels, depth = kernel.type.bound
    full = (rows.taps * rows.stride, columns.taps * columns.stride)
    if full != (high, wide):
        frame = ((0, full[0] - high), (0, full[1] - wide), (0, 0), (0, 0))
        kernel = editor.add("pad", kernel, paddings=frame, name=name)
    parts = (rows.taps, rows.stride, columns.taps, columns.stride, channels, depth)
    kernel = editor.add("reshape", kernel, shape=parts, name=name)
    kernel = editor.add("reverse", kernel, axes=(0, 2), name=name)
    kernel = editor.add("transpose", kernel, perm=(0, 2, 5, 1, 3, 4), name=name)
    phases = rows.stride * columns.stride * channels
    shape = (rows.taps, columns.taps, depth, phases)
    weight: Value = editor.add("reshape", kernel, shape=shape, name=name)
    return weight

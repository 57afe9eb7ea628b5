"""Ops that a format has not, put together of ops that it has.

`spelled` is what writers call. The functions take and give tensors, and mean what the row of the
op says; those on bytes are in `spelling_bytes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.calls import written_out
from fanlight.formats.emitter import Emitter
from fanlight.formats.spelling_boxes import soft_suppression
from fanlight.formats.spelling_bytes import BYTES
from fanlight.graph import Graph, Node, Subgraph, subgraphs
from fanlight.graph.rewrite import Editor
from fanlight.tensor import functions as F
from fanlight.tensor.core import Tensor, apply, tensor

# Steps of a running maximum or product are as many as the digits of its length.
_MOST_ALONG = 1 << 16


@dataclass(frozen=True)
class Spelling:
    """How an op is put together.

    Attributes:
        function: of the inputs, as tensors, and the attributes by name.
        when: of a node and the format's name ("tfjs", "onnx"): whether it is needed although the
            format has the op.
    """

    function: Callable[..., Any]
    when: Callable[[Node, str], bool] = lambda node, format: False


# --- whole numbers --------------------------------------------------------------------------------


def _whole(x: Tensor) -> Tensor:
    return x if x.dtype == "int32" else apply("cast", x, dtype="int32")


def _bits(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """On int32, which the results of these ops are."""
    return lambda *xs: function(*map(_whole, xs))


def _and(a: Tensor, b: Tensor) -> Tensor:
    """Bit by bit, along a dim of their own; the sign apart, for 2^31 is no int32."""
    one, two = (
        apply("floor_mod", apply("floor_div", F.expand_dims(x, -1), tensor(_POWERS[:31])),
              tensor(2, "int32"))
        for x in (a, b)
    )  # fmt: skip
    low = apply("sum", one * two * tensor(_POWERS[:31]), axes=(-1,), keepdims=False)
    signs = apply("logical_and", a < 0, b < 0)
    return low + _whole(signs) * tensor(_POWERS[31])


def _or(a: Tensor, b: Tensor) -> Tensor:
    return a + (b - apply("bitwise_and", a, b))  # b without the bits of a: no sum overflows


def _xor(a: Tensor, b: Tensor) -> Tensor:
    both = apply("bitwise_and", a, b)
    return (a - both) + (b - both)


_POWERS = np.array([1 << n if n < 31 else -(1 << 31) for n in range(32)], np.int32)


def _count(b: Tensor) -> Tensor:
    return apply("floor_mod", _whole(b), tensor(32, "int32"))


def _table(numbers: Any, index: Tensor) -> Tensor:
    return apply("gather", tensor(np.asarray(numbers, np.int32)), index, axis=0)


def _left_shift(a: Tensor, b: Tensor) -> Tensor:
    return apply("mul", a, _table(_POWERS, _count(b)))


def _right_shift(a: Tensor, b: Tensor, logical: bool) -> Tensor:
    """Divided twice, for 2^31 is no int32; then 2^(32 - b) more where the sign came along."""
    count = _count(b)
    once = apply("floor_div", a, _table([*_POWERS[:31], 1 << 30], count))
    made = apply("floor_div", once, _table([1] * 31 + [2], count))
    if not logical:
        return made
    half = _table([0, *(1 << (31 - n) for n in range(1, 32))], count)
    return apply("select", made < 0, made + half + half, made)


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """Towards zero: one more than rounded down where the signs differ and something is left."""
    left = apply("not_equal", apply("floor_mod", a, b), tensor(0, "int32"))
    apart = apply("not_equal", a < 0, b < 0)
    down = apply("floor_div", a, b)
    made = apply("select", apply("logical_and", left, apart), down + 1, down)
    zero = tensor(0, "int32")
    return apply("select", apply("equal", b, zero), apply("mul", made, zero), made)


# --- numbers --------------------------------------------------------------------------------------


def _atan2(y: Tensor, x: Tensor) -> Tensor:
    none = apply("equal", x, tensor(0.0))
    angle = apply("atan", y / apply("select", none, tensor(1.0), x))
    turn = apply("select", y < 0, tensor(np.float32(-np.pi)), tensor(np.float32(np.pi)))
    angle = apply("select", x < 0, angle + turn, angle)
    return apply("select", none, apply("sign", y) * np.float32(np.pi / 2), angle)


def _running(op: str, neutral: float) -> Callable[..., Tensor]:
    """A running result in as many steps as its length has binary digits."""

    def call(x: Tensor, axis: int, reverse: bool, exclusive: bool = False) -> Tensor:
        axis %= len(x.shape)
        length = x.shape[axis]
        start = int(np.iinfo(np.int32).min) if x.dtype == "int32" and op == "maximum" else neutral
        start = int(np.iinfo(np.int32).max) if x.dtype == "int32" and op == "minimum" else start

        def moved(y: Tensor, by: int) -> Tensor:
            frame = [(0, 0)] * len(x.shape)
            frame[axis] = (0, by) if reverse else (by, 0)
            begin, size = [0] * len(x.shape), list(x.shape)
            begin[axis], size[axis] = (by if reverse else 0), length - by
            part = apply("slice", y, begin=tuple(begin), size=tuple(size))
            return apply("pad", part, paddings=tuple(frame), value=start)

        if exclusive and length:
            x = moved(x, 1)
        by = 1
        while by < length:
            x = apply(op, x, moved(x, by))
            by *= 2
        return x

    return call


def _long_enough(node: Node) -> bool:
    size = node.inputs[0].shape[node.attrs["axis"]]
    return isinstance(size, int) and size <= _MOST_ALONG


def _search_sorted(sequence: Tensor, values: Tensor, right: bool) -> Tensor:
    """How many of the sequence are less, or not greater."""
    row, column = F.expand_dims(sequence, -2), F.expand_dims(values, -1)
    before = apply("less_equal" if right else "less", row, column)
    return apply("sum", _whole(before), axes=(len(row.shape) - 1,), keepdims=False)


# --- places ---------------------------------------------------------------------------------------


def _space_to_batch(x: Tensor, block: Any, paddings: Any) -> Tensor:
    many, rest = len(block), x.shape[1 + len(block) :]
    frame = ((0, 0), *map(tuple, paddings), *[(0, 0)] * len(rest))
    x = apply("pad", x, paddings=frame, value=0)
    cut = [n for s, b in zip(x.shape[1 : 1 + many], block, strict=True) for n in (s // b, b)]
    inner = [*range(2, 2 * many + 1, 2)]
    outer = [*range(1, 2 * many + 1, 2)]
    tail = range(2 * many + 1, 2 * many + 1 + len(rest))
    apart = F.transpose(F.reshape(x, (x.shape[0], *cut, *rest)), (*inner, 0, *outer, *tail))
    return F.reshape(apart, (-1, *cut[::2], *rest))


def _batch_to_space(x: Tensor, block: Any, crops: Any) -> Tensor:
    many, rest = len(block), x.shape[1 + len(block) :]
    batch = x.shape[0] // int(np.prod(block))
    apart = F.reshape(x, (*block, batch, *x.shape[1:]))
    order = [many, *(n for i in range(many) for n in (many + 1 + i, i))]
    joined = F.transpose(apart, (*order, *range(2 * many + 1, 2 * many + 1 + len(rest))))
    sizes = [s * b for s, b in zip(x.shape[1 : 1 + many], block, strict=True)]
    whole = F.reshape(joined, (batch, *sizes, *rest))
    begin = (0, *(c[0] for c in crops), *[0] * len(rest))
    size = (batch, *(s - sum(c) for s, c in zip(sizes, crops, strict=True)), *rest)
    return apply("slice", whole, begin=begin, size=size)


def _gather_nd(x: Tensor, indices: Tensor, outside: str) -> Tensor:
    """Clipped indices; with zeros for those outside, where they are wanted."""
    depth = indices.shape[-1]
    last = tensor(np.asarray(x.shape[:depth], np.int32) - 1)
    zero = tensor(0, "int32")
    near = apply("minimum", apply("maximum", indices, zero), last)
    made = apply("gather_nd", x, near, outside="clip")
    if outside == "clip":
        return made
    inside = apply("all", apply("equal", near, indices), axes=(-1,), keepdims=False)
    inside = F.reshape(inside, (*inside.shape, *[1] * (len(made.shape) - len(inside.shape))))
    return apply("select", inside, made, apply("cast", zero, dtype=made.dtype))


def _scatter_nd(indices: Tensor, updates: Tensor, *base: Tensor, mode: str, shape: Any,
                value: Any) -> Tensor:  # fmt: skip
    """Of TF.js there are two: sums onto zeros, and replacement in a tensor that is there."""
    shape = base[0].shape if base else shape
    start = base[0] if base else F.full(tuple(shape), value, updates.dtype)
    if mode == "update":
        return apply("scatter_nd", indices, updates, start, mode=mode)
    sums = apply("scatter_nd", indices, updates, mode="add", shape=tuple(shape), value=0)
    return apply("add", start, sums)


def _scatters(node: Node, format: str) -> bool:
    if format != "tfjs" or node.attrs["mode"] not in ("add", "update"):
        return False
    has_base = len(node.inputs) > 2
    if node.attrs["mode"] == "add":
        return has_base or node.attrs["value"] != 0
    return not has_base


def _mirrored(x: Tensor, paddings: Any, mode: str) -> Tensor:
    """The frame of an image that repeats its edge, side by side with it."""
    for axis, (before, after) in enumerate(paddings):
        parts, size = [x], list(x.shape)
        for at, count in ((0, before), (1, after)):
            begin = [0] * len(x.shape)
            begin[axis] = size[axis] - count if at else 0
            part = tuple(count if a == axis else n for a, n in enumerate(size))
            side = apply("slice", x, begin=tuple(begin), size=part)
            if count:
                parts.insert(0 if not at else len(parts), apply("reverse", side, axes=(axis,)))
        if len(parts) > 1:
            x = apply("concat", *parts, axis=axis)
    return x


# --- windows --------------------------------------------------------------------------------------


def _strided(op: str) -> Callable[..., Tensor]:
    """A convolution with strides and dilations: of all places, every so manieth."""

    def call(x: Tensor, w: Tensor, strides: Any, **attrs: Any) -> Tensor:
        made = apply(op, x, w, strides=(1, 1), **attrs)
        end = tuple(made.shape)
        steps = (1, *strides, 1)
        return apply("strided_slice", made, begin=(0,) * 4, end=end, strides=steps)

    return call


def _dilated_steps(node: Node, format: str) -> bool:
    strides, dilations = node.attrs["strides"], node.attrs["dilations"]
    return format == "tfjs" and max(strides) > 1 and max(dilations) > 1


def _conv2d_kernel(x: Tensor, g: Tensor, size: Any, strides: Any, dilations: Any) -> Tensor:
    """Channels become examples, and examples channels: the windows are then the gradient's."""
    image, window = F.transpose(x, (3, 1, 2, 0)), F.transpose(g, (1, 2, 0, 3))
    if max(strides) > 1 and max(dilations) > 1:
        made = _strided("conv2d")(
            image, window, strides=dilations, dilations=strides, padding=((0, 0), (0, 0))
        )
    else:
        made = apply("conv2d", image, window, strides=dilations, dilations=strides,
                     padding=((0, 0), (0, 0)))  # fmt: skip
    part = (made.shape[0], *size, made.shape[3])
    made = apply("slice", made, begin=(0,) * 4, size=part)
    return F.transpose(made, (1, 2, 0, 3))


def _depthwise_conv2d_kernel(x: Tensor, g: Tensor, size: Any, strides: Any,
                             dilations: Any) -> Tensor:  # fmt: skip
    """One sum of products for each element of a window."""
    high, wide = (int(n) for n in g.shape[1:3])
    rows = []
    for p in range(size[0]):
        for q in range(size[1]):
            begin = (0, p * dilations[0], q * dilations[1], 0)
            end = (x.shape[0], begin[1] + (high - 1) * strides[0] + 1,
                   begin[2] + (wide - 1) * strides[1] + 1, x.shape[3])  # fmt: skip
            seen = apply("strided_slice", x, begin=begin, end=end, strides=(1, *strides, 1))
            rows.append(apply("sum", seen * g, axes=(0, 1, 2), keepdims=False))
    return F.reshape(F.stack(rows), (*size, x.shape[3]))


SPELLINGS: Mapping[str, Spelling] = {
    "bitwise_and": Spelling(_bits(_and)),
    "bitwise_or": Spelling(_bits(_or)),
    "bitwise_xor": Spelling(_bits(_xor)),
    "bitwise_not": Spelling(_bits(lambda x: -1 - x)),
    "left_shift": Spelling(_bits(_left_shift)),
    "right_shift": Spelling(lambda a, b, logical: _right_shift(_whole(a), b, logical)),
    "div": Spelling(
        _quotient, lambda node, format: format == "tfjs" and node.output.dtype == "int32"
    ),
    "atan2": Spelling(_atan2),
    "cummax": Spelling(_running("maximum", float("-inf"))),
    "cummin": Spelling(_running("minimum", float("inf"))),
    "cumprod": Spelling(_running("mul", 1)),
    "search_sorted": Spelling(_search_sorted),
    "space_to_batch": Spelling(_space_to_batch),
    "batch_to_space": Spelling(_batch_to_space),
    "gather_nd": Spelling(_gather_nd, lambda node, format: node.attrs["outside"] == "zero"),
    "scatter_nd": Spelling(_scatter_nd, _scatters),
    "mirror_pad": Spelling(
        _mirrored, lambda node, format: format == "onnx" and node.attrs["mode"] == "symmetric"
    ),
    "conv2d": Spelling(_strided("conv2d"), _dilated_steps),
    "depthwise_conv2d": Spelling(_strided("depthwise_conv2d"), _dilated_steps),
    "conv2d_kernel": Spelling(_conv2d_kernel),
    "depthwise_conv2d_kernel": Spelling(_depthwise_conv2d_kernel),
    "non_max_suppression": Spelling(
        soft_suppression,
        lambda node, format: format == "onnx" and node.attrs["soft_nms_sigma"] > 0,
    ),
    **{op: Spelling(function) for op, function in BYTES.items()},
}


def is_spelled(node: Node, known: Container[str], format: str) -> bool:
    """Whether a node is written as several, if the format knows these ops."""
    spelling = SPELLINGS.get(node.op)
    if spelling is None or not all(v.type.static for v in (*node.inputs, *node.outputs)):
        return False
    if node.op.startswith("cum") and not _long_enough(node):
        return False
    return node.op not in known or spelling.when(node, format)


def spelled(graph: Graph, known: Container[str], format: str) -> Graph:
    """The graph with ops that a format has not put together of ops that it has, as far as known.

    Args:
        known: the ops that the format has.
        format: "tfjs" or "onnx".
    """
    if not _anything(graph, known, format):
        return graph
    editor = Editor(graph)
    emitter = Emitter(editor)
    for node in graph.nodes:
        inner = {
            key: Subgraph(spelled(body.graph, known, format))
            for key, body in subgraphs(node).items()
            if _anything(body.graph, known, format)
        }
        if inner:
            inputs = [editor.get(v) for v in node.inputs]
            editor.become(node, node.op, *inputs, **{**node.attrs, **inner})
        elif is_spelled(node, known, format):
            _spell(editor, emitter, node)
        else:
            editor.keep(node)
    made = editor.done()
    # What was put together may need it, too: a strided convolution in a gradient, bits in a shift.
    return spelled(made, known, format) if made is not graph else made


def _anything(graph: Graph, known: Container[str], format: str) -> bool:
    return any(
        is_spelled(node, known, format)
        or any(_anything(body.graph, known, format) for body in subgraphs(node).values())
        for node in graph.nodes
    )


def _spell(editor: Editor, emitter: Emitter, node: Node) -> None:
    function = SPELLINGS[node.op].function
    values = [editor.get(v) for v in node.inputs]
    inputs = [v if (a := editor.array(v)) is None else emitter.named(a, v.name) for v in values]

    def depends(types: str) -> FanlightError:
        raise AssertionError(f"{node.op} cannot be put together for {types}")

    made = written_out(
        emitter, lambda *xs: function(*xs, **node.attrs), inputs, node.name or node.op, depends
    )
    for value, found in zip(node.outputs, made, strict=True):
        editor.replace(value, emitter.value(found, value.name))

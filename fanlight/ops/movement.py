"""Ops that move elements and compute nothing. Any dtype; results are bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import Any

import numpy as np

from fanlight.ops import check, indexing_backward
from fanlight.ops import movement_backward as backward
from fanlight.ops.backward import Rule
from fanlight.ops.check import MOVED
from fanlight.ops.pointwise import EXACT
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

Attrs = Mapping[str, Any]
Shape = tuple[int, ...]


def movement(
    name: str,
    shape: Callable[[TensorType, Attrs], Shape],
    move: Callable[[np.ndarray, Attrs], np.ndarray],
    doc: str,
    *,
    attrs: Mapping[str, Attr],
    vjp: Rule,
    wasm: str = "loops",
) -> Row:
    """Register a row with one input, whose elements end up in a result of another shape."""

    def infer(types: Sequence[TensorType], given: Attrs) -> list[TensorType]:
        check.tensor(name, "x", types[0], MOVED)
        return [TensorType(shape(types[0], given), types[0].dtype)]

    return register(
        Row(
            name=name,
            family="movement",
            arity=(1, 1),
            attrs=attrs,
            infer=infer,
            eval=lambda arrays, given: [move(arrays[0], given)],
            doc=doc,
            wasm=wasm,
            tol=EXACT,
            nan="moves like any other element",
            vjp=vjp,
        )
    )


# --- reshape, transpose, broadcast ----------------------------------------------------------------


def _reshape(x: TensorType, attrs: Attrs) -> Shape:
    shape = check.integers("reshape", attrs, "shape", None, -1)
    known = prod(d for d in shape if d != -1)
    if shape.count(-1) == 1 and known and x.size % known == 0:
        shape = tuple(x.size // known if d == -1 else d for d in shape)
    if -1 in shape or prod(shape) != x.size:
        raise check.attr_error(
            "reshape", "shape", f"a shape of {x.size} elements, at most one dim -1", attrs["shape"]
        )
    return shape


def _transpose(x: TensorType, attrs: Attrs) -> Shape:
    perm = check.integers("transpose", attrs, "perm", x.rank, 0, x.rank - 1)
    if len(set(perm)) != x.rank:
        raise check.attr_error("transpose", "perm", f"the dims 0 to {x.rank - 1}, once each", perm)
    return tuple(x.bound[d] for d in perm)


def _broadcast_to(x: TensorType, attrs: Attrs) -> Shape:
    shape = check.integers("broadcast_to", attrs, "shape", None, 0)
    tail = shape[len(shape) - x.rank :]
    fits = len(shape) >= x.rank and all(n in (1, m) for n, m in zip(x.bound, tail, strict=True))
    if not fits:
        raise check.attr_error("broadcast_to", "shape", f"a shape that {x} broadcasts to", shape)
    return shape


movement(
    "reshape",
    _reshape,
    lambda x, attrs: x.reshape(attrs["shape"]),
    "[...] -> shape: the same elements in the same (row-major) order. E-OP-005 if their number is "
    "another. Source: numpy.reshape.",
    attrs={"shape": Attr(REQUIRED, "the new shape; one dim may be -1: whatever is left")},
    wasm="alias",
    vjp=backward.reshape,
)
movement(
    "transpose",
    _transpose,
    lambda x, attrs: x.transpose(attrs["perm"]).copy(),
    "[d1, ..., dr] -> [d(perm 1), ..., d(perm r)]: dim d of the result is dim perm[d] of x. "
    "E-OP-005 if perm does not have every dim once. Source: numpy.transpose.",
    attrs={"perm": Attr(REQUIRED, "every dim of x once, counted from 0")},
    vjp=backward.transpose,
)
movement(
    "broadcast_to",
    _broadcast_to,
    lambda x, attrs: np.broadcast_to(x, attrs["shape"]).copy(),
    "[...] -> shape: x repeated along dims of size 1 and new leading dims. E-OP-005 if it does not "
    "broadcast to shape. Source: numpy.broadcast_to.",
    attrs={"shape": Attr(REQUIRED, "the new shape")},
    vjp=backward.broadcast_to,
)


# --- parts ----------------------------------------------------------------------------------------


def _slice(x: TensorType, attrs: Attrs) -> Shape:
    begin = check.integers("slice", attrs, "begin", x.rank, 0)
    size = check.integers("slice", attrs, "size", x.rank, 0)
    if any(b + s > n for b, s, n in zip(begin, size, x.bound, strict=True)):
        raise check.attr_error(
            "slice", "size", f"begin + size inside {x} (begin is {begin})", attrs["size"]
        )
    return size


def _move_slice(x: np.ndarray, attrs: Attrs) -> np.ndarray:
    return x[tuple(slice(b, b + s) for b, s in zip(attrs["begin"], attrs["size"], strict=True))]


def _strided_slice(x: TensorType, attrs: Attrs) -> Shape:
    begin = check.integers("strided_slice", attrs, "begin", x.rank, 0)
    end = check.integers("strided_slice", attrs, "end", x.rank, -1)
    strides = check.integers("strided_slice", attrs, "strides", x.rank)
    if 0 in strides:
        raise check.attr_error("strided_slice", "strides", "steps other than 0", strides)
    shape = []
    for b, e, s, n in zip(begin, end, strides, x.bound, strict=True):
        count = len(range(b, e, s))
        if count and not (b < n and (e <= n if s > 0 else e >= -1)):
            raise check.attr_error(
                "strided_slice",
                "end",
                f"begin and end inside {x} (begin is {begin}, strides are {strides})",
                end,
            )
        shape.append(count)
    return tuple(shape)


def _move_strided_slice(x: np.ndarray, attrs: Attrs) -> np.ndarray:
    parts = zip(attrs["begin"], attrs["end"], attrs["strides"], strict=True)
    # In a Python slice an end of -1 is the last element: "before the first" is spelt None there.
    return x[tuple(slice(b, None if s < 0 and e < 0 else max(e, 0), s) for b, e, s in parts)]


def _reverse(x: TensorType, attrs: Attrs) -> Shape:
    check.axes("reverse", attrs, "axes", x, low=0)
    return x.bound


movement(
    "slice",
    _slice,
    _move_slice,
    "[d1, ..., dr] -> size: the box of x that starts at `begin`. E-OP-005 if it is not inside x. "
    "Source: tf.slice.",
    attrs={
        "begin": Attr(REQUIRED, "first index per dim"),
        "size": Attr(REQUIRED, "number of elements per dim"),
    },
    vjp=backward.take_slice,
)
movement(
    "strided_slice",
    _strided_slice,
    _move_strided_slice,
    "[d1, ..., dr] -> [ceil((end - begin) / stride), ...]: x[begin], x[begin + stride], ... before "
    "`end`, per dim: Python's range(begin, end, stride), with bounds already normalised (no masks, "
    "nothing counts from the end; else E-OP-005). Source: numpy.s_.",
    attrs={
        "begin": Attr(REQUIRED, "first index per dim, from 0"),
        "end": Attr(REQUIRED, "end per dim, not included; -1: down to the first element"),
        "strides": Attr(REQUIRED, "steps per dim, not 0; negative ones go backwards"),
    },
    vjp=backward.strided_slice,
)
movement(
    "reverse",
    _reverse,
    lambda x, attrs: np.array(np.flip(x, attrs["axes"]), x.dtype),  # of no dims it is no array
    "[...] -> [...]: x backwards along `axes`. Source: numpy.flip.",
    attrs={"axes": Attr(REQUIRED, "the dims to reverse, counted from 0")},
    vjp=backward.reverse,
)

# --- frames, repetition, joining, indexing --------------------------------------------------------


_RANGES = {
    "float32": (-inf, inf),
    "int32": (-(2**31), 2**31 - 1),
    "uint8": (0, 255),
    "bool": (0, 1),
}


def _pad(x: TensorType, attrs: Attrs) -> Shape:
    check.dtype("pad", "x", x, check.ANY)  # a frame of numbers
    paddings = check.pairs("pad", attrs, "paddings", x.rank)
    value = attrs["value"]
    if not isinstance(value, bool):
        check.number("pad", attrs, "value", finite=False)
    low, high = _RANGES[x.dtype]
    if not low <= value <= high or (x.dtype != "float32" and value != value // 1):
        raise check.attr_error("pad", "value", f"a value of {x.dtype}", value)
    return tuple(n + before + after for n, (before, after) in zip(x.bound, paddings, strict=True))


def _mirror_pad(x: TensorType, attrs: Attrs) -> Shape:
    mode = check.choice("mirror_pad", attrs, "mode", ("reflect", "symmetric"))
    paddings = check.pairs("mirror_pad", attrs, "paddings", x.rank)
    room = 1 if mode == "reflect" else 0
    if any(p > max(n - room, 0) for n, pair in zip(x.bound, paddings, strict=True) for p in pair):
        raise check.attr_error(
            "mirror_pad", "paddings", f"at most the size of {x}, less {room}, per dim", paddings
        )
    return tuple(n + before + after for n, (before, after) in zip(x.bound, paddings, strict=True))


def _framed(x: np.ndarray, attrs: Attrs, **options: Any) -> np.ndarray:
    # numpy.pad does not take an empty list of paddings.
    return np.pad(x, attrs["paddings"], **options) if x.ndim else x


def _tile(x: TensorType, attrs: Attrs) -> Shape:
    multiples = check.integers("tile", attrs, "multiples", x.rank, 0)
    return tuple(n * m for n, m in zip(x.bound, multiples, strict=True))


movement(
    "pad",
    _pad,
    lambda x, attrs: _framed(x, attrs, constant_values=x.dtype.type(attrs["value"])),
    "[d, ...] -> [before + d + after, ...]: x framed with a constant. Source: tf.pad, mode "
    "CONSTANT.",
    attrs={
        "paddings": Attr(REQUIRED, "(before, after) per dim"),
        "value": Attr(0, "what the frame is filled with"),
    },
    vjp=backward.pad,
)
movement(
    "mirror_pad",
    _mirror_pad,
    lambda x, attrs: _framed(x, attrs, mode=attrs["mode"]),
    "[d, ...] -> [before + d + after, ...]: x framed with its own mirror image; E-OP-005 if the "
    "image is too small for the frame. "
    "Source: tf.pad, modes REFLECT and SYMMETRIC.",
    attrs={
        "paddings": Attr(REQUIRED, "(before, after) per dim"),
        "mode": Attr("reflect", "reflect: the edge element is not repeated; symmetric: it is"),
    },
    vjp=backward.mirror_pad,
)
movement(
    "tile",
    _tile,
    lambda x, attrs: np.tile(x, attrs["multiples"]),
    "[d, ...] -> [d multiples[0], ...]: x repeated as a whole, multiples[d] times along dim d. "
    "Source: tf.tile.",
    attrs={"multiples": Attr(REQUIRED, "times per dim")},
    vjp=backward.tile,
)


def _infer_concat(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    first = types[0]
    for index, type in enumerate(types):
        check.tensor("concat", f"input {index}", type, MOVED)
        if type.dtype != first.dtype:
            raise check.dtype_error("concat", f"input {index}", first.dtype, type)
    axis = check.axis("concat", attrs, "axis", first)
    for index, type in enumerate(types):
        same = type.rank == first.rank and all(
            n == m or d == axis for d, (n, m) in enumerate(zip(type.shape, first.shape))
        )
        if not same:
            raise check.shape_error(
                "concat", f"input {index}", f"{first} except along dim {axis}", type
            )
    total = sum(t.bound[axis] for t in types)
    return [TensorType((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)]


register(
    Row(
        name="concat",
        family="movement",
        arity=(1, None),
        attrs={"axis": Attr(REQUIRED, "the dim along which to join; negative counts from the end")},
        infer=_infer_concat,
        eval=lambda arrays, attrs: [np.concatenate(arrays, axis=attrs["axis"])],
        doc="[..., a, ...], [..., b, ...], ... -> [..., a + b + ..., ...]: the inputs one after "
        "another along `axis`; E-OP-004 if other dims differ. Source: numpy.concatenate.",
        wasm="loops",
        tol=EXACT,
        nan="moves like any other element",
        vjp=backward.concat,
    )
)


def _infer_gather(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    x, indices = types
    check.tensor("gather", "x", x, MOVED)
    check.tensor("gather", "indices", indices, ("int32",))
    axis = check.axis("gather", attrs, "axis", x)
    if x.shape[axis] == 0 and indices.size:
        raise check.shape_error("gather", "x", "at least one element along axis", x)
    return [TensorType((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)]


def _eval_gather(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x, indices = arrays
    return [np.asarray(np.take(x, indices, axis=attrs["axis"], mode="clip"))]


register(
    Row(
        name="gather",
        family="movement",
        arity=(2, 2),
        attrs={"axis": Attr(0, "the dim that the indices count; negative counts from the end")},
        infer=_infer_gather,
        eval=_eval_gather,
        doc="x [a..., n, b...], indices int32 [i...] -> [a..., i..., b...]: the slices of x at "
        "`indices` along `axis`; the shape of the indices takes the place of that dim. An index "
        "outside the dim is clipped into it. Source: tf.gather.",
        wasm="kernel",
        tol=EXACT,
        nan="moves like any other element",
        vjp=indexing_backward.gather,
    )
)


# --- blocks ---------------------------------------------------------------------------------------


def _block_size(op: str, x: TensorType, attrs: Attrs) -> int:
    check.rank(op, "x", x, 4, "[N, H, W, C]")
    return check.integer(op, attrs, "block", 1)


def _depth_to_space(x: TensorType, attrs: Attrs) -> Shape:
    b = _block_size("depth_to_space", x, attrs)
    n, h, w, c = x.bound
    if c % (b * b):
        raise check.shape_error("depth_to_space", "x", f"channels in multiples of {b * b}", x)
    return (n, h * b, w * b, c // (b * b))


def _move_depth_to_space(x: np.ndarray, attrs: Attrs) -> np.ndarray:
    b, (n, h, w, c) = attrs["block"], x.shape
    parts = x.reshape(n, h, w, b, b, c // (b * b)).transpose(0, 1, 3, 2, 4, 5)
    return parts.reshape(n, h * b, w * b, c // (b * b))


def _space_to_depth(x: TensorType, attrs: Attrs) -> Shape:
    b = _block_size("space_to_depth", x, attrs)
    n, h, w, c = x.bound
    if h % b or w % b:
        raise check.shape_error("space_to_depth", "x", f"H and W in multiples of {b}", x)
    return (n, h // b, w // b, c * b * b)


def _move_space_to_depth(x: np.ndarray, attrs: Attrs) -> np.ndarray:
    b, (n, h, w, c) = attrs["block"], x.shape
    parts = x.reshape(n, h // b, b, w // b, b, c).transpose(0, 1, 3, 2, 4, 5)
    return parts.reshape(n, h // b, w // b, c * b * b)


_BLOCK = Attr(REQUIRED, "edge of a block in pixels")
movement(
    "depth_to_space",
    _depth_to_space,
    _move_depth_to_space,
    "[N, H, W, C] -> [N, H b, W b, C / b^2]: every pixel's channels become a block of b x b "
    "pixels, in row-major order. Source: tf.nn.depth_to_space.",
    attrs={"block": _BLOCK},
    vjp=backward.depth_to_space,
)
movement(
    "space_to_depth",
    _space_to_depth,
    _move_space_to_depth,
    "[N, H, W, C] -> [N, H / b, W / b, C b^2]: the inverse of depth_to_space. "
    "Source: tf.nn.space_to_depth.",
    attrs={"block": _BLOCK},
    vjp=backward.space_to_depth,
)


def _blocks(
    op: str, x: TensorType, attrs: Attrs, pairs: str
) -> tuple[Shape, tuple[tuple[int, int], ...]]:
    blocks = check.integers(op, attrs, "block", None, 1)
    if not blocks or x.rank < len(blocks) + 1:
        raise check.shape_error(op, "x", f"a batch dim and {len(blocks) or 1} dims of space", x)
    return blocks, check.pairs(op, attrs, pairs, len(blocks))


def _space_to_batch(x: TensorType, attrs: Attrs) -> Shape:
    blocks, paddings = _blocks("space_to_batch", x, attrs, "paddings")
    space = [n + a + b for n, (a, b) in zip(x.bound[1:], paddings)]
    if any(n % b for n, b in zip(space, blocks, strict=True)):
        raise check.shape_error(
            "space_to_batch", "x", f"padded dims in multiples of {blocks}, not {tuple(space)}", x
        )
    sizes = [n // b for n, b in zip(space, blocks, strict=True)]
    return (x.bound[0] * prod(blocks), *sizes, *x.bound[1 + len(blocks) :])


def _move_space_to_batch(x: np.ndarray, attrs: Attrs) -> np.ndarray:
    blocks, count = attrs["block"], len(attrs["block"])
    rest = x.shape[1 + count :]
    x = np.pad(x, ((0, 0), *attrs["paddings"], *[(0, 0)] * len(rest)))
    sizes = [n // b for n, b in zip(x.shape[1:], blocks)]
    split = x.reshape(x.shape[0], *(d for pair in zip(sizes, blocks) for d in pair), *rest)
    inner, outer = range(2, 2 * count + 1, 2), range(1, 2 * count + 1, 2)
    order = (*inner, 0, *outer, *range(2 * count + 1, split.ndim))
    return split.transpose(order).reshape(x.shape[0] * prod(blocks), *sizes, *rest)


def _batch_to_space(x: TensorType, attrs: Attrs) -> Shape:
    blocks, crops = _blocks("batch_to_space", x, attrs, "crops")
    if x.bound[0] % prod(blocks):
        raise check.shape_error("batch_to_space", "x", f"batches of {prod(blocks)}", x)
    sizes = [n * b - c - d for n, b, (c, d) in zip(x.bound[1:], blocks, crops)]
    if min(sizes) < 0:
        raise check.attr_error("batch_to_space", "crops", f"crops that {x} has room for", crops)
    return (x.bound[0] // prod(blocks), *sizes, *x.bound[1 + len(blocks) :])


def _move_batch_to_space(x: np.ndarray, attrs: Attrs) -> np.ndarray:
    blocks, count = attrs["block"], len(attrs["block"])
    batch, space, rest = x.shape[0] // prod(blocks), x.shape[1 : 1 + count], x.shape[1 + count :]
    split = x.reshape(*blocks, batch, *space, *rest)
    order = [count, *(d for i in range(count) for d in (count + 1 + i, i))]
    whole = split.transpose(*order, *range(2 * count + 1, split.ndim))
    whole = whole.reshape(batch, *(n * b for n, b in zip(space, blocks, strict=True)), *rest)
    return whole[
        (slice(None), *(slice(a, n - b) for n, (a, b) in zip(whole.shape[1:], attrs["crops"])))
    ]


movement(
    "space_to_batch",
    _space_to_batch,
    _move_space_to_batch,
    "[N, s..., rest...] -> [N b..., (s + padding) / b..., rest...]: pads the space dims with "
    "zeros, cuts them into blocks, and moves the position inside a block in front of the batch. "
    "E-OP-004 if blocks do not fill a dim. Source: tf.space_to_batch.",
    attrs={
        "block": Attr(REQUIRED, "block edge per space dim"),
        "paddings": Attr(REQUIRED, "(before, after) per space dim"),
    },
    vjp=backward.space_to_batch,
)
movement(
    "batch_to_space",
    _batch_to_space,
    _move_batch_to_space,
    "[N b..., s..., rest...] -> [N, s b - crops..., rest...]: the inverse of space_to_batch; crops "
    "take the place of paddings. Source: tf.batch_to_space.",
    attrs={
        "block": Attr(REQUIRED, "block edge per space dim"),
        "crops": Attr(REQUIRED, "(before, after) per space dim"),
    },
    vjp=backward.batch_to_space,
)

"""A call of every row with a kernel, as a hypothesis strategy: shapes, attributes and numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fanlight.ops import TABLE
from fanlight.ops.fft import roots

DTYPES = {"f": "float32", "i": "int32", "b": "bool", "u": "uint8"}
SPECIAL = np.float32([np.nan, np.inf, -np.inf, -0.0])
Arrays = list[np.ndarray]
Attrs = dict[str, Any]
Shape = tuple[int, ...]


class Draw:
    """What an example is drawn with: hypothesis for shapes and attributes, a seed for numbers."""

    def __init__(self, data: st.DataObject, special: bool) -> None:
        self._data = data
        self.rng = np.random.default_rng(self.int(0, 2**20))
        self.special = special and self.bool()
        # One call in eight may have dims of no size.
        self.least = 0 if self.int(0, 7) == 7 else 1

    def int(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    def bool(self) -> bool:
        return self._data.draw(st.booleans())

    def of(self, *choices: Any) -> Any:
        return self._data.draw(st.sampled_from(choices))

    def shape(self, low: int = 0, high: int = 4, least: int | None = None) -> Shape:
        """Dims of 1 to 5 (or 0); the last one may be longer than two vectors."""
        rank, least = self.int(low, high), self.least if least is None else least
        dims = [self.int(least, 5) for _ in range(rank)]
        if rank and self.int(0, 3) == 3:
            dims[-1] = self.of(8, 9, 17)
        return tuple(dims)

    def image(self, channels: int | None = None) -> Shape:
        last = self.of(1, 2, 3, 4, 5, 8, 9) if channels is None else channels
        return (self.int(1, 2), self.int(1, 7), self.int(1, 7), last)

    def broadcast(self, count: int) -> list[Shape]:
        """Shapes that broadcast to one."""
        whole = self.shape()
        parts = []
        for _ in range(count):
            part = tuple(n if self.int(0, 2) else 1 for n in whole)
            parts.append(part[self.int(0, len(part)) if self.bool() else 0 :])
        return parts

    def numbers(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        """Numbers of which some are equal, whole or halves; for the rows that take them, NaN and
        infinities; int32 up to its ends.
        """
        rng = self.rng
        if dtype == "bool":
            return rng.random(shape) < 0.5
        if dtype == "uint8":
            return rng.integers(0, 256, shape).astype(np.uint8)
        if dtype == "int32":
            small = rng.integers(-9, 10, shape)
            ends = rng.integers(-(2**31), 2**31, shape)
            return np.where(rng.random(shape) < 0.9, small, ends).astype(np.int32)
        x = rng.normal(0, 3, shape)
        x = np.where(rng.random(shape) < 0.3, np.round(x * 2) / 2, x).astype(np.float32)
        if self.special:
            x = np.where(rng.random(shape) < 0.15, rng.choice(SPECIAL, shape), x)
        return np.asarray(x, np.float32)

    def apart(self, shape: Shape) -> np.ndarray:
        """Numbers no two of which are equal."""
        return (self.rng.permutation(prod(shape)).reshape(shape) * 0.5 - 3).astype(np.float32)

    def indices(self, shape: Shape, size: int) -> np.ndarray:
        """Most of them inside a dim of this size, some outside."""
        return self.rng.integers(-2, size + 2, shape).astype(np.int32)

    def strided(self, array: np.ndarray) -> np.ndarray:
        """The same numbers, often in a memory that does not lie as C has it."""
        form = self.of("plain", "plain", "steps", "reversed", "fortran")
        if not array.ndim or not array.size or form == "plain":
            return array
        axis = self.int(0, array.ndim - 1)
        if form == "steps":
            every_second = (*(slice(None),) * axis, slice(None, None, 2))
            return np.repeat(array, 2, axis)[every_second]
        if form == "reversed":
            return np.flip(np.flip(array, axis).copy(), axis)
        return np.asfortranarray(array)


Make = Callable[[Draw, str], tuple[Arrays, Attrs]]


@dataclass(frozen=True)
class Plan:
    """How a row is called.

    Attributes:
        make: (draw, dtype) -> inputs and attributes.
        dtypes: of the first number among its inputs; letters of DTYPES. Others are refused.
    """

    make: Make
    dtypes: str = "f"


# --- element by element ---------------------------------------------------------------------------

NUMBERS = "fiu"
ELEMENTWISE: dict[str, str] = {
    **dict.fromkeys("abs neg sign square floor ceil round is_nan relu relu6 clip".split(), NUMBERS),
    **dict.fromkeys(
        "add sub mul div maximum minimum squared_difference floor_div floor_mod less "
        "less_equal greater greater_equal".split(),
        NUMBERS,
    ),
    **dict.fromkeys("equal not_equal select cast".split(), "fibu"),
    **dict.fromkeys("logical_and logical_or logical_not".split(), "b"),
    **{row.name: "iu" for row in TABLE.values() if row.family == "bitwise"},
}


def pointwise(name: str) -> Plan:
    count = TABLE[name].arity[0]

    def make(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
        arrays = [draw.numbers(s, dtype) for s in draw.broadcast(count)]
        if name == "select":
            arrays[0] = draw.numbers(arrays[0].shape, "bool")
        return arrays, attrs_of(name, draw, dtype)

    return Plan(make, ELEMENTWISE.get(name, "f"))


def attrs_of(name: str, draw: Draw, dtype: str) -> Attrs:
    match name:
        case "clip":
            low = draw.of(-3, 0) if dtype != "float32" else draw.of(-3, 0, -1.5)
            return {"lo": low, "hi": low + draw.of(0, 2, 5)}
        case "cast":
            return {"dtype": draw.of("float32", "int32", "bool", "uint8")}
        case "step":
            return {"alpha": draw.of(0.0, 0.25, -1)}
        case "leaky_relu" | "elu":
            return {"alpha": draw.of(0.2, 1.0, 0.5)}
        case "hard_sigmoid":
            return {"alpha": draw.of(1 / 6, 0.2), "beta": 0.5}
        case "gelu":
            return {"approximate": draw.bool()}
        case "right_shift":
            return {"logical": draw.bool()}
    return {}


BODIES = (
    "add(mul(a0, a1), a2)",
    "select(lt(a0, a1), neg(a0), max(a1, a2))",
    "t0 = abs(sub(a0, a1)); div(t0, add(1, mul(t0, abs(a2))))",
    "min(a2, exp(min(a0, a1)))",
    "float32(and(le(a0, a1), not(eq(a1, a2))))",
)


def fused(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    return [draw.numbers(s) for s in draw.broadcast(3)], {"body": draw.of(*BODIES)}


def batch_norm(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    x = draw.numbers(draw.shape(1))
    draw.special = False  # infinite parameters may meet and give NaN: the row says so
    mean, variance, offset, scale = (draw.numbers(x.shape[-1:]) for _ in range(4))
    return [x, mean, np.abs(variance), offset, scale], {"epsilon": draw.of(1e-3, 0.5)}


# --- along dims -----------------------------------------------------------------------------------


def greatest(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    """Of at least one number."""
    draw.least = 1
    return reducing(draw, dtype)


def reducing(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    x = draw.numbers(draw.shape(), dtype)
    axes = [a for a in range(x.ndim) if draw.bool()]
    axes = [a - x.ndim if draw.bool() else a for a in axes]
    return [x], {"axes": tuple(axes), "keepdims": draw.bool()}


def fused_sum(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    draw.least = 1
    arrays, attrs = fused(draw, dtype)
    if draw.bool():
        arrays[0] = draw.numbers(arrays[0].shape, "bool")
        attrs = {"body": "select(a0, mul(a1, a2), 0.0)"}
    rank = len(np.broadcast_shapes(*(a.shape for a in arrays)))
    axes = tuple(a for a in range(rank) if draw.bool())
    return arrays, {**attrs, "axes": axes, "keepdims": draw.bool(), "mean": draw.bool()}


def product(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    """Of numbers near 1, or the longest would leave float32."""
    (x,), attrs = reducing(draw, dtype)
    return [x if dtype == "int32" else x / np.float32(3)], attrs


def along(*names: str) -> Make:
    """Along one dim with at least one element, with options that are false or true."""

    def make(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
        x = draw.numbers(draw.shape(1, least=1), dtype)
        axis = draw.int(-x.ndim, x.ndim - 1)
        return [x], {"axis": axis, **{name: draw.bool() for name in names}}

    return make


def sort(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    return [draw.numbers(draw.shape(1), dtype)], {"descending": draw.bool()}


def top_k(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    x = draw.numbers(draw.shape(1, least=1), dtype)
    return [x], {"k": draw.int(1, x.shape[-1])}


# --- moving ---------------------------------------------------------------------------------------


def moving(attrs: Callable[[Draw, Shape], Attrs], low: int = 0) -> Plan:
    def make(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
        shape = draw.shape(low)
        return [draw.numbers(shape, dtype)], attrs(draw, shape)

    return Plan(make, "fibu")


def reshape(draw: Draw, shape: Shape) -> Attrs:
    dims = list(draw.rng.permutation(shape)) if shape else [1]
    if len(dims) > 1 and draw.bool():
        dims = [dims[0] * dims[1], *dims[2:]]
    if prod(shape) and draw.bool():
        dims[draw.int(0, len(dims) - 1)] = -1
    return {"shape": tuple(map(int, dims))}


def transpose(draw: Draw, shape: Shape) -> Attrs:
    return {"perm": tuple(map(int, draw.rng.permutation(len(shape))))}


def broadcast_to(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    whole = draw.shape()
    part = tuple(n if draw.bool() else 1 for n in whole)[draw.int(0, len(whole)) :]
    return [draw.numbers(part, dtype)], {"shape": whole}


def slicing(draw: Draw, shape: Shape) -> Attrs:
    begin = [draw.int(0, max(n - 1, 0)) for n in shape]
    counts = zip(shape, begin, strict=True)
    size = [draw.int(min(draw.least, n - b), n - b) for n, b in counts]
    return {"begin": tuple(begin), "size": tuple(size)}


def strided_slice(draw: Draw, shape: Shape) -> Attrs:
    begin, end, strides = [], [], []
    for n in shape:
        forward = n == 0 or draw.bool()
        begin.append(draw.int(0, max(n - 1, 0)))
        if n == 0:
            end.append(0)
        elif forward:
            end.append(draw.int(begin[-1] + draw.least, n))
        else:
            end.append(draw.int(-1, begin[-1] - draw.least))
        strides.append(draw.int(1, 3) if forward else -draw.int(1, 3))
    return {"begin": tuple(begin), "end": tuple(end), "strides": tuple(strides)}


def reverse(draw: Draw, shape: Shape) -> Attrs:
    return {"axes": tuple(a for a in range(len(shape)) if draw.bool())}


def frame(draw: Draw, count: int, most: int = 3) -> tuple[tuple[int, int], ...]:
    return tuple((draw.int(0, most), draw.int(0, most)) for _ in range(count))


def pad(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape = draw.shape()
    value: Any = {"float32": 2.5, "int32": -7, "uint8": 255, "bool": True}[dtype]
    options = {"paddings": frame(draw, len(shape)), "value": draw.of(0, value)}
    return [draw.numbers(shape, dtype)], options


def mirror_pad(draw: Draw, shape: Shape) -> Attrs:
    mode = draw.of("reflect", "symmetric")
    most = [n - (mode == "reflect") for n in shape]
    pairs = tuple((draw.int(0, max(m, 0)), draw.int(0, max(m, 0))) for m in most)
    return {"paddings": pairs, "mode": mode}


def tile(draw: Draw, shape: Shape) -> Attrs:
    return {"multiples": tuple(draw.int(1, 3) for _ in shape)}


def concat(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape = draw.shape(1)
    axis = draw.int(-len(shape), len(shape) - 1)
    parts = []
    for _ in range(draw.int(1, 4)):
        dims = list(shape)
        dims[axis] = draw.int(draw.least, 5)
        parts.append(draw.numbers(tuple(dims), dtype))
    return parts, {"axis": axis}


def depth_to_space(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    block = draw.int(1, 3)
    shape = draw.image(block * block * draw.int(1, 4))
    return [draw.numbers(shape, dtype)], {"block": block}


def space_to_depth(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    block, (n, h, w, c) = draw.int(1, 3), draw.image()
    return [draw.numbers((n, h * block, w * block, c), dtype)], {"block": block}


def space_to_batch(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    block = (draw.int(1, 3), draw.int(1, 3))
    shape, pairs = list(draw.image()), []
    for axis, b in enumerate(block, 1):
        before, after = draw.int(0, 2), draw.int(0, 2)
        pairs.append((before, after + -(shape[axis] + before + after) % b))
    return [draw.numbers(tuple(shape), dtype)], {"block": block, "paddings": tuple(pairs)}


def batch_to_space(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    block = (draw.int(1, 3), draw.int(1, 3))
    n, h, w, c = draw.image()
    crops = []
    for size, b in zip((h, w), block, strict=True):
        before = draw.int(0, size * b - 1)
        crops.append((before, draw.int(0, size * b - 1 - before)))
    shape = (n * block[0] * block[1], h, w, c)
    return [draw.numbers(shape, dtype)], {"block": block, "crops": tuple(crops)}


# --- by indices -----------------------------------------------------------------------------------


def gather(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    x = draw.numbers(draw.shape(1, least=1), dtype)
    axis = draw.int(-x.ndim, x.ndim - 1)
    return [x, draw.indices(draw.shape(0, 2), x.shape[axis])], {"axis": axis}


def places(draw: Draw, shape: Shape) -> np.ndarray:
    """Tuples of indices into the first dims of a shape."""
    count = draw.int(1, len(shape))
    tuples = draw.shape(1, 2)
    columns = [draw.indices(tuples, n) for n in shape[:count]]
    return np.stack(columns, -1)


def gather_nd(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    x = draw.numbers(draw.shape(1, least=1), dtype)
    return [x, places(draw, x.shape)], {"outside": draw.of("clip", "zero")}


def scatter_nd(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape = draw.shape(1, least=1)
    where = places(draw, shape)
    updates = draw.numbers((*where.shape[:-1], *shape[where.shape[-1] :]), dtype)
    modes = ("add", "mul", "max", "min", "update") if dtype in ("float32", "int32") else ("update",)
    mode = draw.of(*modes)
    if draw.bool():
        return [where, updates, draw.numbers(shape, dtype)], {"mode": mode}
    return [where, updates], {"mode": mode, "shape": shape, "value": draw.of(0, 1)}


def search_sorted(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    rows, draw.special = draw.shape(0, 2, least=1), False
    sequence = np.sort(draw.numbers((*rows, draw.int(1, 9)), dtype))
    values = draw.numbers((*rows, draw.int(1, 5)), dtype)
    return [sequence, values], {"right": draw.bool()}


# --- windows and matrices -------------------------------------------------------------------------

EPILOGUES = ("add(a0, a1)", "max(add(a0, a1), 0)", "min(max(mul(a0, a1), 0), 6)")


def with_epilogue(draw: Draw, arrays: Arrays, attrs: Attrs, channels: int) -> tuple[Arrays, Attrs]:
    if draw.bool():
        return arrays, attrs
    return [*arrays, draw.numbers((channels,))], {**attrs, "epilogue": draw.of(*EPILOGUES)}


def matmul(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    m, k, n = (draw.of(1, 2, 3, 4, 5, 9, 17) for _ in range(3))
    batches = (*draw.broadcast(2),) if draw.bool() else ((), ())
    batches = tuple(b[-2:] for b in batches)
    ta, tb = draw.bool(), draw.bool()
    a = draw.numbers((*batches[0], *((k, m) if ta else (m, k))))
    b = draw.numbers((*batches[1], *((n, k) if tb else (k, n))))
    return with_epilogue(draw, [a, b], {"transpose_a": ta, "transpose_b": tb}, n)


def windows(draw: Draw, shape: Shape, kernel: tuple[int, int], dilated: bool) -> Attrs:
    """Strides, and padding with which the window fits."""
    dilations = (draw.int(1, 2), draw.int(1, 2)) if dilated else (1, 1)
    pairs = []
    for n, k, d in zip(shape[1:3], kernel, dilations, strict=True):
        reach = (k - 1) * d + 1
        before, after = draw.int(0, reach - 1), draw.int(0, reach - 1)
        pairs.append((before, after + max(reach - n - before - after, 0)))
    found: Attrs = {"strides": (draw.int(1, 3), draw.int(1, 3)), "padding": tuple(pairs)}
    return {**found, "dilations": dilations} if dilated else found


def conv2d(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape, kernel = draw.image(), (draw.int(1, 4), draw.int(1, 4))
    channels = draw.of(1, 2, 3, 4, 8, 9)
    w = draw.numbers((*kernel, shape[-1], channels))
    return with_epilogue(
        draw, [draw.numbers(shape), w], windows(draw, shape, kernel, True), channels
    )


def depthwise_conv2d(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape, kernel = draw.image(), (draw.int(1, 4), draw.int(1, 4))
    x = draw.numbers(shape)
    draw.special = False  # a tap outside the image is not read: the row says so
    w = draw.numbers((*kernel, shape[-1], draw.int(1, 3)))
    attrs = windows(draw, shape, kernel, True)
    return with_epilogue(draw, [x, w], attrs, shape[-1] * w.shape[-1])


def conv2d_kernel(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    (x, g), attrs = depthwise_conv2d_kernel(draw, dtype)
    return [x, draw.numbers((*g.shape[:3], draw.of(1, 2, 3, 4, 8, 9)))], attrs


def depthwise_conv2d_kernel(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape, size = draw.image(), (draw.int(1, 4), draw.int(1, 4))
    attrs = windows(draw, shape, size, True)
    (top, bottom), (left, right) = attrs.pop("padding")
    n, h, w, c = shape
    x = draw.numbers((n, h + top + bottom, w + left + right, c))
    places = [
        (length - (k - 1) * d - 1) // s + 1
        for length, k, d, s in zip(
            x.shape[1:3], size, attrs["dilations"], attrs["strides"], strict=True
        )
    ]
    return [x, draw.numbers((n, *places, c))], {**attrs, "size": size}


def conv2d_transpose(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    (n, h, w, d), kernel = draw.image(), (draw.int(1, 4), draw.int(1, 4))
    attrs = windows(draw, (n, h, w, d), kernel, False)
    (top, bottom), (left, right) = attrs["padding"]
    rows = (h + top + bottom - kernel[0]) // attrs["strides"][0] + 1
    columns = (w + left + right - kernel[1]) // attrs["strides"][1] + 1
    channels = draw.of(1, 2, 3, 4, 8)
    draw.special = False  # zeros are put between the taps: the row says so
    x = draw.numbers((n, rows, columns, channels))
    return [x, draw.numbers((*kernel, d, channels))], {**attrs, "output_size": (h, w)}


def pool(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape, size = draw.image(), (draw.int(1, 4), draw.int(1, 4))
    return [draw.numbers(shape, dtype)], {"size": size, **windows(draw, shape, size, False)}


COORDINATES = ("half_pixel", "align_corners", "asymmetric")


def resize(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    size = (draw.int(1, 9), draw.int(1, 9))
    attrs = {"size": size, "coordinates": draw.of(*COORDINATES)}
    return [draw.numbers(draw.image(), dtype)], attrs


def resize_image(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    method = draw.of("bilinear", "nearest", "antialias")
    attrs = {"size": (draw.int(1, 9), draw.int(1, 9)), "crop": draw.of("none", "center")}
    attrs |= {"method": method}
    if method != "antialias":
        attrs["coordinates"] = draw.of(*COORDINATES)
    return [draw.numbers((draw.int(1, 9), draw.int(1, 9), 4), "uint8")], attrs


def suppression(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    count = draw.int(1, 9)
    corner = draw.rng.integers(0, 6, (count, 2))
    boxes = np.concatenate([corner, corner + draw.rng.integers(1, 6, (count, 2))], 1)
    scores = draw.apart((count,))
    return [boxes.astype(np.float32), scores], {
        "max_output_size": draw.int(1, 9),
        "iou_threshold": draw.of(0.5, 0.1, 1.0),
        "score_threshold": draw.of(-3.4028234663852886e38, 0.25),
        "soft_nms_sigma": draw.of(0.0, 0.5),
    }


# --- linear algebra and spectra -------------------------------------------------------------------


def orthogonal(draw: Draw, batch: Shape, n: int) -> np.ndarray:
    return np.linalg.qr(draw.rng.normal(0, 1, (*batch, n, n)))[0]


def matrices(draw: Draw, m: int, n: int) -> np.ndarray:
    """Whose singular values lie apart, from 1 to 3, so that all that is asked of them is sharp."""
    batch, k = draw.shape(0, 1), min(m, n)
    s = np.linspace(3, 1, k)
    u, v = orthogonal(draw, batch, m)[..., :k], orthogonal(draw, batch, n)[..., :k]
    return (u * s @ np.swapaxes(v, -1, -2)).astype(np.float32)


def square(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    n = draw.of(1, 2, 3, 4, 5, 8)
    return [matrices(draw, n, n)], {}


def symmetric(positive: bool) -> Make:
    def make(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
        batch, n = draw.shape(0, 1), draw.of(1, 2, 3, 4, 5, 8)
        values = np.linspace(1, 3, n) if positive else np.linspace(-2, 3, n)
        q = orthogonal(draw, batch, n)
        return [(q * values @ np.swapaxes(q, -1, -2)).astype(np.float32)], {}

    return make


def solve(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    (a,), _ = square(draw, dtype)
    return [a, draw.numbers((*a.shape[:-1], draw.of(1, 3, 4, 9)))], {}


def triangular_solve(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    arrays, _ = solve(draw, dtype)
    n = arrays[0].shape[-1]
    arrays[0] = (arrays[0] * 0.3 + 2 * np.eye(n)).astype(np.float32)
    return arrays, {"lower": draw.bool(), "transpose": draw.bool()}


def rectangular(**options: Any) -> Make:
    def make(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
        m, n = draw.of(1, 2, 3, 4, 5, 8), draw.of(1, 2, 3, 4, 5, 8)
        return [matrices(draw, m, n)], {name: draw.bool() for name in options}

    return make


def fft(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    shape = (*draw.shape(0, 2), draw.of(1, 2, 3, 4, 5, 7, 8, 12, 16, 18))
    return [draw.numbers(shape), draw.numbers(shape), roots(shape[-1])], {"inverse": draw.bool()}


def random_bits(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    key = draw.rng.integers(-(2**31), 2**31, 2).astype(np.int32)
    return [key], {"shape": draw.shape(), "stream": draw.of(0, 1, 2**31 - 1)}


def after(draw: Draw, dtype: str) -> tuple[Arrays, Attrs]:
    return [draw.numbers(draw.shape(), dtype), draw.numbers(draw.shape())], {}


PLANS: dict[str, Plan] = {
    **{
        row.name: pointwise(row.name)
        for row in TABLE.values()
        if row.scalar is not None and row.family not in ("quantized", "normalization")
        and row.name != "fused"
    },
    "fused": Plan(fused),
    "batch_norm": Plan(batch_norm),
    "sum": Plan(reducing, "fi"),
    "fused_sum": Plan(fused_sum, "fb"),
    "mean": Plan(greatest),
    "prod": Plan(product, "fi"),
    **dict.fromkeys(("max", "min"), Plan(greatest, "fi")),
    **dict.fromkeys(("any", "all"), Plan(reducing, "b")),
    **dict.fromkeys(("arg_max", "arg_min"), Plan(along(), "fi")),
    **dict.fromkeys(("softmax", "log_softmax"), Plan(along())),
    **dict.fromkeys(("cumsum", "cumprod"), Plan(along("reverse", "exclusive"), "fi")),
    **dict.fromkeys(("cummax", "cummin"), Plan(along("reverse"), "fi")),
    "sort": Plan(sort, "fi"),
    "top_k": Plan(top_k, "fi"),
    "reshape": moving(reshape),
    "transpose": moving(transpose),
    "broadcast_to": Plan(broadcast_to, "fibu"),
    "slice": moving(slicing),
    "strided_slice": moving(strided_slice),
    "reverse": moving(reverse),
    "pad": Plan(pad, "fibu"),
    "mirror_pad": moving(mirror_pad),
    "tile": moving(tile),
    "concat": Plan(concat, "fibu"),
    "depth_to_space": Plan(depth_to_space, "fibu"),
    "space_to_depth": Plan(space_to_depth, "fibu"),
    "space_to_batch": Plan(space_to_batch, "fibu"),
    "batch_to_space": Plan(batch_to_space, "fibu"),
    "after": Plan(after, "fibu"),
    "gather": Plan(gather, "fibu"),
    "gather_nd": Plan(gather_nd, "fibu"),
    "scatter_nd": Plan(scatter_nd, "fibu"),
    "search_sorted": Plan(search_sorted, "fi"),
    "matmul": Plan(matmul),
    "conv2d": Plan(conv2d),
    "depthwise_conv2d": Plan(depthwise_conv2d),
    "conv2d_kernel": Plan(conv2d_kernel),
    "depthwise_conv2d_kernel": Plan(depthwise_conv2d_kernel),
    "conv2d_transpose": Plan(conv2d_transpose),
    "max_pool": Plan(pool, "fu"),
    "avg_pool": Plan(pool),
    "resize_bilinear": Plan(resize),
    "resize_nearest": Plan(resize, "fu"),
    "resize_image": Plan(resize_image, "u"),
    "non_max_suppression": Plan(suppression),
    "cholesky": Plan(symmetric(True)),
    "triangular_solve": Plan(triangular_solve),
    "solve": Plan(solve),
    "det": Plan(square),
    "slogdet": Plan(square),
    "qr": Plan(rectangular(full_matrices=True)),
    "eigh": Plan(symmetric(False)),
    "svd": Plan(rectangular()),
    "fft": Plan(fft),
    "random_bits": Plan(random_bits, "i"),
}  # fmt: skip

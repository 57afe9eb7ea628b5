"""Resizing by every rule of places and filters that file formats have, and parts of pictures.

`resize` works along any dims of any tensor, as ONNX's Resize does; each dim is one product with a
known matrix of weights (or a gather, for "nearest"), so it has gradients and can be built.
`roi_align` averages a picture under boxes. `grid_sample` is in `fanlight.tensor.image`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, prod
from typing import Any

import numpy as np

from fanlight.tensor import functions as fn
from fanlight.tensor import known
from fanlight.tensor.arguments import (
    as_whole,
    as_wholes,
    choice,
    flag,
    listed,
    misfit,
    real_number,
    refused,
    whole_number,
)
from fanlight.tensor.core import Tensor, apply, cast, tensor
from fanlight.tensor.image import _sampled

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
POLICIES = ("stretch", "not_larger", "not_smaller")

_SIDE = 1 << 20  # elements of a resized dim: beyond, its places are no longer exact in float32
_WEIGHTS = 1 << 28  # elements of a matrix of weights
_LOWEST = -3.4e38
# The names that the op table has for the same rules; it computes them without a matrix.
_OF_THE_TABLE: dict[tuple[str, ...], str] = {
    ("linear", "half_pixel", ""): "half_pixel",
    ("linear", "align_corners", ""): "align_corners",
    ("linear", "asymmetric", ""): "asymmetric",
    ("nearest", "half_pixel", "round_prefer_ceil"): "half_pixel",
    ("nearest", "asymmetric", "floor"): "asymmetric",
    ("nearest", "align_corners", "round_prefer_ceil"): "align_corners",
}


def resize(
    x: Any,
    sizes: Sequence[int] | None = None,
    scales: Sequence[float] | None = None,
    axes: Sequence[int] | None = None,
    mode: str = "linear",
    coordinates: str = "half_pixel",
    rounding: str = "round_prefer_floor",
    cubic_coefficient: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    extrapolation_value: float = 0.0,
    roi: Sequence[float] | None = None,
    policy: str = "stretch",
) -> Tensor:
    """x with other sizes along some dims; n elements become m, and s is m / n or the scale given.

    Args:
        sizes: the new sizes along `axes`; or
        scales: by how much: m is floor(s n). One of the two.
        axes: which dims these are of; default: all. Those that do not change cost nothing.
        mode: "nearest": one element each, of any dtype. "linear": two, and "cubic": four by the
            filter of Keys 1981, as float32.
        coordinates: where result i lies in the source. "half_pixel": (i + 1/2) / s - 1/2;
            "pytorch_half_pixel": the same, and -1/2 if m is 1; "half_pixel_symmetric": the same,
            and the middle of the result is the middle of the source also where s n is not whole;
            "tf_half_pixel_for_nn": (i + 1/2) / s; "asymmetric": i / s; "align_corners":
            i (n - 1) / (s n - 1), and 0 if s n is 1; "tf_crop_and_resize": as align_corners
            within `roi`, and `extrapolation_value` outside the source.
        rounding: of a place to an element, for "nearest". "round_prefer_floor" and
            "round_prefer_ceil": the nearest, halves down and up; "floor"; "ceil".
        cubic_coefficient: a of the filter: -0.75 in PyTorch, -0.5 in TensorFlow and Pillow.
        exclude_outside: elements outside the source do not count; else those of the border stand
            for them.
        antialias: where x gets smaller the filter gets wider. Not for "nearest".
        roi: starts and then ends, along `axes`, from 0 to 1.
        policy: "not_larger": as large as fits into sizes with one scale for all axes;
            "not_smaller": as small as covers them.

    Source: ONNX's Resize, versions 10 to 19.

    Raises:
        FanlightError: E-OP-004, E-OP-005 sizes, scales or axes do not fit x, or words are wrong.
    """
    op, x = "resize", tensor(x)
    choice(op, "mode", mode, MODES)
    choice(op, "coordinates", coordinates, COORDINATES)
    choice(op, "rounding", rounding, ROUNDINGS)
    choice(op, "policy", policy, POLICIES)
    exclude_outside = flag(op, "exclude_outside", exclude_outside)
    antialias = flag(op, "antialias", antialias)
    a = real_number(op, "cubic_coefficient", cubic_coefficient)
    fill = real_number(op, "extrapolation_value", extrapolation_value)
    if antialias and mode == "nearest":
        raise refused(op, "antialias", 'False for mode="nearest", which mixes nothing', antialias)
    along = _axes(op, axes, x)
    plan = _sizes(op, x, along, sizes, scales, policy)
    parts = _roi(op, roi, len(along), coordinates)
    if mode != "nearest":
        x = cast(x, "float32")
    steps = [
        (axis, m, s, part)
        for axis, (m, s), part in zip(along, plan, parts, strict=True)
        if not (m == x.shape[axis] and abs(s - 1) < 1e-9 and part in (None, (0.0, 1.0)))
    ]
    quick = (
        None
        if antialias or exclude_outside
        else _by_the_table(x, steps, mode, coordinates, rounding)
    )
    if quick is not None:
        return quick
    for axis, m, s, part in steps:
        places = _places(x.shape[axis], m, s, coordinates, part)
        outside = None
        if coordinates == "tf_crop_and_resize":
            outside = (places < 0) | (places > x.shape[axis] - 1)
        if mode == "nearest":
            x = _picked(x, axis, _rounded(places, x.shape[axis], rounding), outside, fill)
        else:
            scale = min(s, 1.0) if antialias else 1.0
            matrix = filter_matrix(places, x.shape[axis], mode, scale, a, exclude_outside)
            x = _mixed(x, axis, matrix, outside, fill)
    return x


def _by_the_table(x: Tensor, steps: list[tuple[int, int, float, Any]], *rule: str) -> Tensor | None:
    """The resized picture by an op of the table, where it has this rule; else None."""
    nearest = rule[0] == "nearest"
    how = _OF_THE_TABLE.get(rule if nearest else (*rule[:2], ""))
    sizes = {axis: m for axis, m, *_ in steps}
    if how is None or x.rank != 4 or not sizes or not sizes.keys() <= {1, 2}:
        return None
    if any(abs(s * x.shape[axis] - m) > 1e-6 * m for axis, m, s, _ in steps):
        return None
    if nearest and x.dtype not in ("uint8", "float32"):
        return None
    size = (sizes.get(1, x.shape[1]), sizes.get(2, x.shape[2]))
    op = "resize_nearest" if nearest else "resize_bilinear"
    return apply(op, x, size=size, coordinates=how)


# --- arguments ------------------------------------------------------------------------------------


def _axes(op: str, axes: Any, x: Tensor) -> list[int]:
    if axes is None:
        return list(range(x.rank))
    given = as_wholes(axes)
    if given is None or not all(-x.rank <= d < x.rank for d in given):
        raise refused(op, "axes", f"dims of {x.type}", axes)
    found = [d % x.rank for d in given]
    if len(set(found)) < len(found):
        raise refused(op, "axes", "every dim once", axes)
    return found


def _sizes(
    op: str, x: Tensor, along: list[int], sizes: Any, scales: Any, policy: str
) -> list[tuple[int, float]]:
    """The new size and the scale of each of the axes."""
    if (sizes is None) == (scales is None):
        raise refused(op, "sizes", "either sizes or scales", (sizes, scales))
    old = [x.shape[axis] for axis in along]
    if scales is not None:
        given = [real_number(op, "scales", s, 1e-6, 1e6) for s in _row(op, "scales", scales)]
        if len(given) != len(along):
            raise refused(op, "scales", f"{len(along)} numbers, one for each axis", scales)
        # A symbolic dim cannot be scaled, and may be left as it is.
        new = [n if s == 1 else floor(n * s + 1e-9) for n, s in zip(old, given, strict=True)]
        pairs = list(zip(new, given, strict=True))
    else:
        whole = as_wholes(sizes)
        if whole is None or len(whole) != len(along) or min(whole, default=1) < 0:
            raise refused(op, "sizes", f"{len(along)} sizes, one for each axis", sizes)
        pairs = [
            (m, 1.0 if m == n else m / n if n else 0.0) for n, m in zip(old, whole, strict=True)
        ]
        if policy != "stretch" and pairs:
            s = (min if policy == "not_larger" else max)(s for _, s in pairs)
            pairs = [(int(n * s + 0.5), s) for n in old]
    for axis, (m, s) in zip(along, pairs, strict=True):
        if m == x.shape[axis] and s == 1:
            continue
        if not 1 <= m <= _SIDE or not x.shape[axis]:
            raise misfit(op, "x", f"from 1 to {_SIDE:,} elements before and after", x.type)
    return pairs


def _row(op: str, argument: str, value: Any) -> list[Any]:
    return value.tolist() if isinstance(value, np.ndarray) else listed(op, argument, value, "[2.0]")


def _roi(op: str, roi: Any, count: int, coordinates: str) -> list[tuple[float, float] | None]:
    if coordinates != "tf_crop_and_resize":
        return [None] * count
    numbers = [real_number(op, "roi", v) for v in _row(op, "roi", [] if roi is None else roi)]
    if len(numbers) != 2 * count:
        raise refused(op, "roi", f"{count} starts and {count} ends for tf_crop_and_resize", roi)
    return list(zip(numbers[:count], numbers[count:], strict=True))


# --- places and weights ---------------------------------------------------------------------------


def _places(
    n: int, m: int, s: float, coordinates: str, part: tuple[float, float] | None
) -> np.ndarray:
    """Where the m results lie in a source of n elements: float64 [m]."""
    i, long = np.arange(m, dtype=np.float64), s * n
    if coordinates == "align_corners":
        return i * ((n - 1) / (long - 1)) if long != 1 else 0 * i
    if coordinates == "asymmetric":
        return i / s
    if coordinates == "tf_half_pixel_for_nn":
        return (i + 0.5) / s
    if coordinates == "tf_crop_and_resize" and part is not None:
        start, end = part
        if long == 1:
            return 0 * i + (start + end) * (n - 1) / 2
        return start * (n - 1) + i * (end - start) * (n - 1) / (long - 1)
    if coordinates == "pytorch_half_pixel" and long == 1:
        return 0 * i - 0.5
    offset = n / 2 * (1 - m / long) if coordinates == "half_pixel_symmetric" else 0.0
    return offset + (i + 0.5) / s - 0.5


def _rounded(places: np.ndarray, n: int, rounding: str) -> np.ndarray:
    """The element of each place, int32 [m]."""
    if rounding == "round_prefer_floor":
        found = np.ceil(places - 0.5)
    elif rounding == "round_prefer_ceil":
        found = np.floor(places + 0.5)
    else:
        found = np.floor(places) if rounding == "floor" else np.ceil(places)
    return np.clip(found, 0, n - 1).astype(np.int32)


def filter_matrix(
    places: np.ndarray,
    n: int,
    mode: str,
    scale: float = 1.0,
    cubic_coefficient: float = -0.75,
    exclude_outside: bool = False,
) -> np.ndarray:
    """The weights [m, n] float32 of n elements at each of m places; every row sums to 1.

    Args:
        mode: "linear" or "cubic".
        scale: 1 / how much wider the filter is; 1 is its own width.
        exclude_outside: as `resize` has it.
    """
    reach = (1 if mode == "linear" else 2) / scale
    taps = 2 * ceil(reach) + 1
    if places.size * max(n, taps) > _WEIGHTS:
        raise refused("resize", "sizes", f"at most {_WEIGHTS:,} weights", (n, places.size))
    first = np.floor(places).astype(np.int64) - ceil(reach) + 1
    elements = first[:, None] + np.arange(taps)
    distance = np.abs(elements - places[:, None]) * scale
    if mode == "linear":
        weights = np.maximum(1 - distance, 0)
    else:
        a = cubic_coefficient
        near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    if exclude_outside:
        weights = np.where((elements >= 0) & (elements < n), weights, 0)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    matrix = np.zeros((places.size, n), np.float64)
    rows = np.broadcast_to(np.arange(places.size)[:, None], elements.shape)
    np.add.at(matrix, (rows, np.clip(elements, 0, n - 1)), weights)
    return matrix.astype(np.float32)


# --- along one dim --------------------------------------------------------------------------------


def _picked(
    x: Tensor, axis: int, elements: np.ndarray, outside: np.ndarray | None, fill: float
) -> Tensor:
    y = apply("gather", x, elements, axis=axis)
    if outside is None or not outside.any():
        return y
    mask = outside.reshape([-1 if d == axis else 1 for d in range(x.rank)])
    return fn.where(mask, tensor(fill, x.dtype), y)


def _mixed(
    x: Tensor, axis: int, matrix: np.ndarray, outside: np.ndarray | None, fill: float
) -> Tensor:
    rank, shape = x.rank, x.shape
    given = np.zeros((len(matrix), 1), np.float32)
    if outside is not None and outside.any():
        matrix = np.where(outside[:, None], np.float32(0), matrix)
        given = np.where(outside[:, None], np.float32(fill), given)
    if axis == rank - 1:
        y = fn.matmul(fn.expand_dims(x, 0) if rank == 1 else x, np.ascontiguousarray(matrix.T))
        y = fn.reshape(y, (len(matrix),)) if rank == 1 else y
        return y + given[:, 0] if given.any() else y
    rest = prod(shape[axis + 1 :])
    y = fn.matmul(matrix, fn.reshape(x, (*shape[: axis + 1], rest)))
    y = y + given if given.any() else y
    return fn.reshape(y, (*shape[:axis], len(matrix), *shape[axis + 1 :]))


# --- under boxes ----------------------------------------------------------------------------------


def roi_align(
    image: Any,
    boxes: Any,
    box_indices: Any,
    size: Sequence[int],
    sampling_ratio: int = 0,
    scale: float = 1.0,
    aligned: bool = True,
    mode: str = "avg",
) -> Tensor:
    """What a picture holds under boxes: image [N, H, W, C] -> [B, h, w, C].

    Args:
        boxes: [B, 4]: x1, y1, x2, y2, which `scale` turns into places in the image.
        box_indices: int32 [B]: the image of each box, from 0 to N - 1.
        size: (h, w): each box is divided into so many bins.
        sampling_ratio: places along each side of a bin, between four pixels each; 0: one for every
            pixel that the bin is high or wide, at most ceil(H / h) and ceil(W / w), which boxes
            inside the image never exceed.
        aligned: places are those of pixel centres less 1/2 (ONNX's half_pixel). Otherwise boxes
            have at least the size of a pixel (its output_half_pixel).
        mode: "avg": the mean of a bin's places. "max": the greatest of their weighted pixels.

    Places further than 1 outside the image give 0. Source: He et al. 2017, section 3; ONNX's
    RoiAlign, torchvision.ops.roi_align.

    Raises:
        FanlightError: E-OP-003, E-OP-004, E-OP-005, E-TENSOR-007 for what does not fit.
    """
    op = "roi_align"
    x, boxes = cast(image, "float32"), cast(boxes, "float32")
    which = known.whole(op, "box_indices", box_indices)
    if x.rank != 4 or 0 in x.shape[1:3]:
        raise misfit(op, "image", "[N, H, W, C] with pixels", x.type)
    if boxes.rank != 2 or boxes.shape[1] != 4:
        raise misfit(op, "boxes", "[B, 4]", boxes.type)
    if which.shape != boxes.shape[:1]:
        raise misfit(op, "box_indices", f"[{boxes.shape[0]}] for boxes {boxes.type}", which.type)
    known.inside(op, "box_indices", which, 0, x.shape[0] - 1)
    choice(op, "mode", mode, ("avg", "max"))
    given = as_wholes(size) or ()
    if len(given) != 2 or min(given) < 1:
        raise refused(op, "size", "(height, width), whole numbers from 1 on", size)
    ratio = whole_number(op, "sampling_ratio", sampling_ratio, 0, 1024)
    scale, aligned = real_number(op, "scale", scale), flag(op, "aligned", aligned)
    count = as_whole(boxes.shape[0]) or boxes.shape[0]
    corners = boxes * scale - (0.5 if aligned else 0.0)
    sides = [
        _bins(corners[:, a : a + 1], corners[:, b : b + 1], bins, pixels, ratio, aligned)
        for a, b, bins, pixels in (
            (1, 3, given[0], x.shape[1]),
            (0, 2, given[1], x.shape[2]),
        )
    ]
    (y_at, y_part), (x_at, x_part) = sides
    high, wide = y_at.shape[1], x_at.shape[1]
    shape = (count, high, wide)
    down = fn.broadcast_to(fn.reshape(y_at, (count, high, 1)), shape)
    across = fn.broadcast_to(fn.reshape(x_at, (count, 1, wide)), shape)
    h, w = given
    bins = (count, h, high // h, w, wide // w, x.shape[3])
    used = fn.reshape(y_part, (count, high, 1)) * fn.reshape(x_part, (count, 1, wide))
    if mode == "avg":
        height, width = x.shape[1], x.shape[2]
        inside = _near(down, height), _near(across, width)
        near = cast(fn.logical_and(*inside), "float32")
        pixels = _sampled(
            x,
            which,
            fn.clip(down, 0.0, height - 1.0),
            fn.clip(across, 0.0, width - 1.0),
            nearest=None,
            outside=None,
        )
        y = fn.reshape(pixels * fn.expand_dims(used * near, -1), bins)
        return fn.sum(y, axis=(2, 4))
    y = _greatest(x, which, down, across)
    y = fn.reshape(fn.where(fn.expand_dims(fn.greater(used, 0.0), -1), y, _LOWEST), bins)
    y = fn.max(y, axis=(2, 4))
    return fn.where(fn.less_equal(y, _LOWEST), 0.0, y)


def _bins(
    first: Tensor, last: Tensor, bins: int, pixels: int, ratio: int, aligned: bool
) -> tuple[Tensor, Tensor]:
    """Places along one side of boxes, [B, bins * most], and the share of its bin of each one."""
    long = last - first
    if not aligned:
        long = fn.maximum(long, 1.0)
    each = long / float(bins)
    most = ratio or ceil(pixels / bins)
    steps = np.arange(most, dtype=np.float32)
    number = np.arange(bins * most, dtype=np.float32) // most
    step = np.tile(steps, bins)
    if ratio:
        at = first + each * (number + (step + 0.5) / ratio)[None]
        return at, fn.ones_like(at) / float(ratio)
    counts = fn.clip(fn.ceil(each), 0.0, float(most))
    safe = fn.maximum(counts, 1.0)
    at = first + each * (number[None] + (step[None] + 0.5) / safe)
    return at, cast(fn.less(step[None], counts), "float32") / safe


def _near(place: Tensor, size: int) -> Tensor:
    return fn.logical_and(place >= -1.0, place <= float(size))


def _greatest(x: Tensor, batch: Any, y: Tensor, x_at: Tensor) -> Tensor:
    """The greatest of four pixels, each of them times its weight: ONNX's "max"."""
    height, width = x.shape[1], x.shape[2]
    near = fn.expand_dims(fn.logical_and(_near(y, height), _near(x_at, width)), -1)
    y, x_at = fn.clip(y, 0.0, height - 1.0), fn.clip(x_at, 0.0, width - 1.0)
    top, left = fn.floor(y), fn.floor(x_at)
    down, right = fn.expand_dims(y - top, -1), fn.expand_dims(x_at - left, -1)
    best: Any = None
    for dy, dx in np.ndindex(2, 2):
        pixel = _sampled(
            x, batch, top + float(dy), left + float(dx), nearest=fn.round, outside=None
        )
        weight = (down if dy else 1.0 - down) * (right if dx else 1.0 - right)
        best = weight * pixel if best is None else fn.maximum(best, weight * pixel)
    return fn.where(near, best, 0.0)

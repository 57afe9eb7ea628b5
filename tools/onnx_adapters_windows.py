"""ONNX's convolutions, pools and resampling, [N, C, ...], by functions of Fanlight, [N, ..., C]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

import fanlight as fl
from fanlight.tensor import apply
from tools.onnx_adapters import (
    Adapter,
    Node,
    Skipped,
    Values,
    at,
    channels_first,
    channels_last,
    ints,
)

Pairs = list[tuple[int, int]]


def _list(node: Node, name: str, count: int, default: int) -> list[int]:
    return list(node.get(name) or [default] * count)


def _given_pairs(node: Node, count: int) -> Pairs:
    pads = _list(node, "pads", 2 * count, 0)
    return [(pads[d], pads[d + count]) for d in range(count)]


def _same(total: int, node: Node) -> tuple[int, int]:
    """Padding of both sides; the odd pixel is behind for SAME_UPPER, before for SAME_LOWER."""
    less = total // 2
    return (less, total - less) if node.get("auto_pad") == "SAME_UPPER" else (total - less, less)


def _pairs(node: Node, sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int]) -> Pairs:
    """(before, after) per dim of a convolution or pool."""
    auto = node.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return _given_pairs(node, len(sizes))
    if auto == "VALID":
        return [(0, 0)] * len(sizes)
    pairs = []
    for n, r, s in zip(sizes, reach, strides, strict=True):
        pairs.append(_same(max((-(-n // s) - 1) * s + r - n, 0), node))
    return pairs


# --- convolutions ---------------------------------------------------------------------------------

_CONV = {1: fl.conv1d, 2: fl.conv2d, 3: fl.conv3d}
_TRANSPOSED = {1: fl.conv1d_transpose, 2: fl.conv2d_transpose, 3: fl.conv3d_transpose}


def convolve(node: Node, x: Any, w: Any) -> Any:
    """x [N, C, ...] with w [D, C / groups, ...] -> [N, D, ...]."""
    count, groups = x.rank - 2, node.get("group", 1)
    strides, gaps = (_list(node, name, count, 1) for name in ("strides", "dilations"))
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], gaps, strict=True)]
    pairs = _pairs(node, x.shape[2:], reach, strides)
    images, channels = channels_last(x), x.shape[1]
    if groups == channels > 1 and count == 2:
        kernel = fl.transpose(fl.reshape(w, (channels, -1, *w.shape[2:])), (2, 3, 0, 1))
        return channels_first(fl.depthwise_conv2d(images, kernel, strides, pairs, gaps))
    kernel = fl.transpose(w, (*range(2, w.rank), 1, 0))
    parts = zip(fl.split(images, groups, -1), fl.split(kernel, groups, -1), strict=True)
    return channels_first(
        fl.concat([_CONV[count](a, b, strides, pairs, gaps) for a, b in parts], -1)
    )


def _biased(y: Any, bias: Any) -> Any:
    return y if bias is None else fl.add(y, fl.reshape(bias, (-1, *[1] * (y.rank - 2))))


def _conv(node: Node, x: Values) -> Any:
    return _biased(convolve(node, x[0], x[1]), at(x, 2))


def _centred(x: Any, zero: Any) -> Any:
    """Bytes less their zero point (of all, or of each of the first dim), in float32."""
    x = fl.cast(x, "float32")
    if zero is None:
        return x
    zero = fl.cast(zero, "float32")
    return fl.sub(x, fl.reshape(zero, (-1, *[1] * (x.rank - 1))) if zero.rank else zero)


def _conv_integer(node: Node, x: Values) -> Any:
    y = convolve(node, _centred(x[0], at(x, 2)), _centred(x[1], at(x, 3)))
    return fl.cast(fl.round(y), "int32")


def _qlinear_conv(node: Node, x: Values) -> Any:
    a, a_scale, a_zero, w, w_scale, w_zero, scale, zero, bias = [*x, *[None] * (9 - len(x))]
    y = convolve(node, _centred(a, a_zero), _centred(w, w_zero))
    y = _biased(y, None if bias is None else fl.cast(bias, "float32"))
    wide = fl.reshape(w_scale, (-1, *[1] * (y.rank - 2)))
    scaled = fl.round(fl.div(fl.mul(fl.mul(y, a_scale), wide), scale))
    return fl.cast(fl.clip(fl.add(scaled, fl.cast(zero, "float32")), 0.0, 255.0), "uint8")


def _spread(w: Any, gaps: Sequence[int]) -> Any:
    """A kernel [..., k1, k2, ...] with zeros between its taps."""
    for d, gap in enumerate(gaps, w.rank - len(gaps)):
        if gap > 1:
            n, shape = w.shape[d], w.shape
            y = fl.reshape(w, (*shape[: d + 1], 1, *shape[d + 1 :]))
            y = fl.pad(y, [(0, gap - 1 if i == d + 1 else 0) for i in range(y.rank)])
            y = fl.reshape(y, (*shape[:d], n * gap, *shape[d + 1 :]))
            w = y[tuple(slice(n * gap - gap + 1) if i == d else slice(None) for i in range(w.rank))]
    return w


def _conv_transpose(node: Node, x: Values) -> Any:
    images, groups = x[0], node.get("group", 1)
    count = images.rank - 2
    strides, gaps = (_list(node, name, count, 1) for name in ("strides", "dilations"))
    w = _spread(x[1], gaps)
    more = _list(node, "output_padding", count, 0)
    pairs, size = _given_pairs(node, count), []
    for d, (n, s, k) in enumerate(zip(images.shape[2:], strides, w.shape[2:], strict=True)):
        whole = (n - 1) * s + k + more[d]
        if node.get("output_shape"):
            size.append(node.get("output_shape")[-count:][d])
            pairs[d] = _same(max(whole - size[d], 0), node)
        elif node.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
            size.append(n * s)
            pairs[d] = _same(max(whole - size[d], 0), node)
        else:
            size.append(whole - sum(pairs[d]))
    # [C, D / groups, ...] -> [..., D / groups, C]
    kernel = fl.transpose(w, (*range(2, w.rank), 1, 0))
    parts = zip(
        fl.split(channels_last(images), groups, -1), fl.split(kernel, groups, -1), strict=True
    )
    made = [_TRANSPOSED[count](a, b, tuple(size), tuple(strides), tuple(pairs)) for a, b in parts]
    return _biased(channels_first(fl.concat(made, -1)), at(x, 2))


def _causal_conv(node: Node, x: Values) -> Any:
    images, w, past = x[0], x[1], at(x, 3)
    (n, channels, _), k = images.shape, w.shape[2]
    past = fl.zeros((n, channels, k - 1)) if past is None else past
    whole = fl.concat([past, images], 2) if k > 1 else images
    kernel = fl.reshape(fl.transpose(w, (2, 0, 1)), (1, k, channels, 1))
    y = fl.depthwise_conv2d(fl.expand_dims(channels_last(whole), 1), kernel)
    y = _biased(channels_first(fl.squeeze(y, 1)), at(x, 2))
    y = fl.swish(y) if node.get("activation") in ("silu", "swish") else y
    return y, whole[:, :, whole.shape[2] - (k - 1) :]


# --- pools ----------------------------------------------------------------------------------------

_POOLS: dict[tuple[str, int], Callable[..., Any]] = {
    ("max", 1): fl.max_pool1d,
    ("max", 2): fl.max_pool,
    ("max", 3): fl.max_pool3d,
    ("avg", 1): fl.avg_pool1d,
    ("avg", 2): fl.avg_pool,
    ("avg", 3): fl.avg_pool3d,
}


def _rounded_up(
    node: Node, sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int], pairs: Pairs
) -> Pairs:
    """What ceil_mode adds behind: for a last window that starts before the padding there."""
    if not node.get("ceil_mode"):
        return [(0, 0)] * len(sizes)
    more = []
    for n, r, s, (before, after) in zip(sizes, reach, strides, pairs, strict=True):
        places = -(-(n + before + after - r) // s) + 1
        if (places - 1) * s >= n + before:
            places -= 1
        more.append((0, max((places - 1) * s + r - n - before - after, 0)))
    return more


def _pooled(kind: str, x: Any, size: Any, strides: Any, pairs: Pairs, gaps: Sequence[int]) -> Any:
    """Pooling of [N, ..., C] with one to three spatial dims."""
    count = x.rank - 2
    if all(g == 1 for g in gaps):
        return _POOLS[kind, count](x, size, strides, pairs)
    if count == 2:
        return fl.pool(x, size, kind, pairs, gaps, strides)
    if count == 1:
        y = fl.pool(
            fl.expand_dims(x, 1), (1, *size), kind, ((0, 0), *pairs), (1, *gaps), (1, *strides)
        )
        return fl.squeeze(y, 1)
    # Maxima of maxima, and means of means over windows of one size.
    n, depth, *_, channels = x.shape
    y = fl.reshape(x, (n * depth, *x.shape[2:]))
    y = fl.pool(y, size[1:], kind, pairs[1:], gaps[1:], strides[1:])
    high, wide = y.shape[1:3]
    y = fl.reshape(y, (n, depth, high * wide, channels))
    y = fl.pool(y, (size[0], 1), kind, (pairs[0], (0, 0)), (gaps[0], 1), (strides[0], 1))
    return fl.reshape(y, (n, y.shape[1], high, wide, channels))


def _window(node: Node, x: Any) -> tuple[list[int], list[int], list[int], Pairs, Pairs]:
    size = list(node.get("kernel_shape"))
    count = len(size)
    strides, gaps = (_list(node, name, count, 1) for name in ("strides", "dilations"))
    reach = [(k - 1) * d + 1 for k, d in zip(size, gaps, strict=True)]
    pairs = _pairs(node, x.shape[2:], reach, strides)
    return size, strides, gaps, pairs, _rounded_up(node, x.shape[2:], reach, strides, pairs)


def _both(a: Pairs, b: Pairs) -> Pairs:
    return [(p + r, q + s) for (p, q), (r, s) in zip(a, b, strict=True)]


def _max_pool(node: Node, x: Values) -> Any:
    size, strides, gaps, pairs, more = _window(node, x[0])
    images, pairs = channels_last(x[0]), _both(pairs, more)
    if len(node.outputs) < 2:
        return channels_first(_pooled("max", images, size, strides, pairs, gaps))
    if len(size) != 2 or any(g > 1 for g in gaps):
        raise Skipped("indices of maxima other than in plain windows of two dims")
    y, place = fl.max_pool_with_argmax(images, size, strides, pairs)
    n, channels, height, width = x[0].shape
    pixel = fl.floor_div(channels_first(place), channels)
    if node.get("storage_order"):
        pixel = fl.add(fl.mul(fl.floor_mod(pixel, width), height), fl.floor_div(pixel, width))
    first = np.arange(n * channels, dtype=np.int32).reshape(n, channels, 1, 1) * (height * width)
    return channels_first(y), fl.add(pixel, first)


def _average(node: Node, x: Any, size: Any, strides: Any, gaps: Any, pairs: Any, more: Any) -> Any:
    images, counted = channels_last(x), bool(node.get("count_include_pad"))
    if counted and not any(map(any, more)) and all(g == 1 for g in gaps):
        return channels_first(_POOLS["avg", len(size)](images, size, strides, pairs, True))
    if counted:
        images, pairs = fl.pad(images, [(0, 0), *pairs, (0, 0)]), [(0, 0)] * len(size)
    return channels_first(_pooled("avg", images, size, strides, _both(pairs, more), gaps))


def _avg_pool(node: Node, x: Values) -> Any:
    return _average(node, x[0], *_window(node, x[0]))


def _lp_pool(node: Node, x: Values) -> Any:
    p = float(node.get("p", 2))
    size, strides, gaps, pairs, more = _window(node, x[0])
    powers = fl.pad(fl.pow(fl.abs(x[0]), p), [(0, 0), (0, 0), *_both(pairs, more)])
    none = [(0, 0)] * len(size)
    mean = channels_first(_pooled("avg", channels_last(powers), size, strides, none, gaps))
    return fl.pow(fl.mul(mean, float(prod(size))), 1 / p)


def _global(function: Callable[..., Any]) -> Adapter:
    return lambda node, x: function(x[0], tuple(range(2, x[0].rank)), True)


def _max_unpool(node: Node, x: Values) -> Any:
    y, places, size = x[0], x[1], list(node.get("kernel_shape"))
    count = len(size)
    strides, pairs = _list(node, "strides", count, 1), _given_pairs(node, count)
    inner = [
        (n - 1) * s + k - sum(p)
        for n, s, k, p in zip(y.shape[2:], strides, size, pairs, strict=True)
    ]
    shape = (*y.shape[:2], *inner)
    flat = fl.reshape(places, (-1, 1))
    zeros = fl.zeros((prod(shape),))
    made = fl.reshape(fl.tensor_scatter_update(zeros, flat, fl.reshape(y, (-1,))), shape)
    wanted = shape if at(x, 2) is None else ints(x[2])
    return fl.pad(made, [(0, b - a) for a, b in zip(shape, wanted, strict=True)])


def _col2im(node: Node, x: Values) -> Any:
    sizes, block = ints(x[1]), ints(x[2])
    count = len(sizes)
    strides, gaps = (_list(node, name, count, 1) for name in ("strides", "dilations"))
    pairs = _given_pairs(node, count)
    padded = [n + sum(p) for n, p in zip(sizes, pairs, strict=True)]
    places = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(padded, block, gaps, strides, strict=True)
    ]
    n, channels = x[0].shape[0], x[0].shape[1] // prod(block)
    # Where each tap of each window lies in the padded image.
    taps = np.indices(block).reshape(count, -1, 1) * np.array(gaps)[:, None, None]
    steps = np.indices(places).reshape(count, 1, -1) * np.array(strides)[:, None, None]
    where = np.moveaxis(taps + steps, 0, -1).astype(np.int32)
    columns = fl.transpose(fl.reshape(x[0], (n * channels, *where.shape[:2])), (1, 2, 0))
    image = fl.scatter_nd(where, columns, (*padded, n * channels))
    inner = [slice(a, m - b) for m, (a, b) in zip(padded, pairs, strict=True)]
    return fl.reshape(
        fl.transpose(image[tuple(inner)], (count, *range(count))), (n, channels, *sizes)
    )


# --- resampling -----------------------------------------------------------------------------------


def _scaling(node: Node, x: Values) -> tuple[list[int], list[float], list[int]]:
    """(axes, scales, sizes) of the axes that change."""
    images = x[0]
    axes = [a % images.rank for a in node.get("axes", range(images.rank))]
    if at(x, 3) is not None and x[3].size:
        sizes = ints(x[3])
        scales = [m / images.shape[a] for a, m in zip(axes, sizes, strict=True)]
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = min(scales) if policy == "not_larger" else max(scales)
            scales = [one] * len(axes)
            sizes = [int(images.shape[a] * one + 0.5) for a in axes]
    else:
        scales = [float(s) for s in x[2].numpy()]
        sizes = [int(images.shape[a] * s) for a, s in zip(axes, scales, strict=True)]
    return axes, scales, sizes


def _place(mode: str, i: np.ndarray, n: int, m: int, scale: float, roi: Any) -> np.ndarray:
    """Where the centres of m pixels lie among n."""
    whole = scale * n  # what m would be if it were not rounded
    if mode == "align_corners":
        return i * (n - 1) / (whole - 1) if whole != 1 else i * 0.0
    if mode == "asymmetric":
        return i / scale
    if mode == "pytorch_half_pixel" and m == 1:
        return i * 0.0 - 0.5
    if mode == "half_pixel_symmetric":
        return n / 2 * (1 - m / whole) + (i + 0.5) / scale - 0.5
    if mode == "tf_crop_and_resize":
        first, last = roi
        if m == 1:
            return i * 0.0 + (first + last) * (n - 1) / 2
        return first * (n - 1) + i * (last - first) * (n - 1) / (m - 1)
    return (i + 0.5) / scale - 0.5


def _rounded(mode: str, place: np.ndarray) -> np.ndarray:
    if mode == "floor":
        return np.floor(place)
    if mode == "ceil":
        return np.ceil(place)
    return np.floor(place + 0.5) if mode == "round_prefer_ceil" else np.ceil(place - 0.5)


def _weights(node: Node, place: np.ndarray, n: int, scale: float) -> np.ndarray:
    """[m, n]: how much each pixel counts at each place, linear or cubic."""
    cubic, wide = node.get("mode") == "cubic", 1.0
    if node.get("antialias"):
        wide = max(1 / scale, 1.0)
    reach = int(np.ceil((2 if cubic else 1) * wide)) + 1
    near = np.floor(place).astype(int)[:, None] + np.arange(-reach, reach + 1)
    distance = np.abs(near - place[:, None]) / wide
    if cubic:
        a = node.get("cubic_coeff_a", -0.75)
        inner = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        outer = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weight = np.where(distance <= 1, inner, np.where(distance < 2, outer, 0))
    else:
        weight = np.maximum(1 - distance, 0)
    if node.get("exclude_outside"):
        weight = np.where((near >= 0) & (near < n), weight, 0)
    weight /= weight.sum(1, keepdims=True)
    matrix = np.zeros((len(place), n))
    for i, row in enumerate(weight):
        np.add.at(matrix[i], np.clip(near[i], 0, n - 1), row)
    return matrix


def _own_resize(node: Node, x: Any, axes: Any, scales: Any, sizes: Any) -> Any:
    """By functions of images, where they mean the same; None where they do not."""
    changed = [(a, s, m) for a, s, m in zip(axes, scales, sizes, strict=True) if s != 1]
    plain = all(a in (2, 3) and abs(m - s * x.shape[a]) < 1e-6 for a, s, m in changed)
    # With antialias, pixels outside do not count for ours; without, the border stands for them.
    outside = bool(node.get("exclude_outside")) != bool(node.get("antialias"))
    if x.rank != 4 or not plain or outside:
        return None
    size = dict(zip(axes, sizes, strict=True))
    size = (size.get(2, x.shape[2]), size.get(3, x.shape[3]))
    mode, at_ = (
        node.get("mode", "nearest"),
        node.get("coordinate_transformation_mode", "half_pixel"),
    )
    images = channels_last(x)
    if mode == "linear" and not node.get("antialias"):
        if at_ not in ("half_pixel", "align_corners", "asymmetric"):
            return None
        made = apply("resize_bilinear", images, size=size, coordinates=at_)
    elif mode == "nearest" and (at_, node.get("nearest_mode", "round_prefer_floor")) in (
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("align_corners", "round_prefer_ceil"),
    ):
        made = apply("resize_nearest", images, size=size, coordinates=at_)
    elif at_ == "half_pixel" and mode in ("linear", "cubic"):
        ours = -0.5 if node.get("antialias") else -0.75
        if mode == "cubic" and node.get("cubic_coeff_a", -0.75) != ours:
            return None
        method = "bilinear" if mode == "linear" else "bicubic"
        made = fl.image.interpolate(images, size, method, bool(node.get("antialias")))
    else:
        return None
    return channels_first(made)


def _resize(node: Node, x: Values) -> Any:
    y = x[0]
    axes, scales, sizes = _scaling(node, x)
    own = _own_resize(node, y, axes, scales, sizes)
    if own is not None:
        return own
    at_ = node.get("coordinate_transformation_mode", "half_pixel")
    roi = x[1].numpy().astype(float) if at_ == "tf_crop_and_resize" else None
    outside: Any = False
    for i, (axis, scale, m) in enumerate(zip(axes, scales, sizes, strict=True)):
        n = y.shape[axis]
        if scale == 1 and n == m and roi is None:
            continue
        part = None if roi is None else (roi[i], roi[i + len(axes)])
        place = _place(at_, np.arange(m), n, m, scale, part)
        if node.get("mode", "nearest") == "nearest":
            pixel = _rounded(node.get("nearest_mode", "round_prefer_floor"), place)
            y = fl.gather(y, np.clip(pixel, 0, n - 1).astype(np.int32), axis)
        else:
            matrix = _weights(node, place, n, scale).astype(np.float32)
            order = [d for d in range(y.rank) if d != axis]
            flat = fl.reshape(fl.transpose(y, [axis, *order]), (n, -1))
            rest = [y.shape[d] for d in order]
            turned = fl.reshape(fl.matmul(matrix, flat), (m, *rest))
            y = fl.transpose(turned, [(axis, *order).index(d) for d in range(y.rank)])
        if roi is not None:
            shape = [-1 if d == axis else 1 for d in range(y.rank)]
            outside = outside | ((place < 0) | (place > n - 1)).reshape(shape)
    if roi is not None:
        y = fl.where(outside, node.get("extrapolation_value", 0.0), y)
    return y


def _upsample(node: Node, x: Values) -> Any:
    about = {**node.attrs, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _resize(Node("Resize", about, node.outputs, node.opset), [x[0], None, x[1]])


def _grid_sample(node: Node, x: Values) -> Any:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(node.get("mode", "linear"))
    if x[0].rank != 4:
        raise Skipped("grid_sample takes pictures, not volumes")
    padding, corners = node.get("padding_mode", "zeros"), bool(node.get("align_corners", 0))
    y = fl.image.grid_sample(channels_last(x[0]), x[1], mode or node.get("mode"), padding, corners)
    return channels_first(y)


def _affine_grid(node: Node, x: Values) -> Any:
    sizes = ints(x[1])[2:]
    axes = []
    for n in sizes:
        edge = 1.0 if node.get("align_corners") else 1 - 1 / n
        axes.append(np.linspace(-edge, edge, n))
    # Coordinates are (x, y[, z]): the last dim first.
    grid = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(sizes)], -1)
    flat = grid.reshape(-1, len(sizes) + 1).astype(np.float32)
    y = fl.matmul(flat, x[0], transpose_b=True)
    return fl.reshape(y, (x[0].shape[0], *sizes, len(sizes)))


def _lrn(node: Node, x: Values) -> Any:
    size = node.get("size")
    if size % 2 == 0:
        raise Skipped("an even number of neighbours")
    y = fl.local_response_normalization(
        channels_last(x[0]),
        size // 2,
        node.get("bias", 1.0),
        node.get("alpha", 1e-4) / size,
        node.get("beta", 0.75),
    )
    return channels_first(y)


ADAPTERS: dict[str, Adapter] = {
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "QLinearConv": _qlinear_conv,
    "ConvTranspose": _conv_transpose,
    "CausalConvWithState": _causal_conv,
    "MaxPool": _max_pool,
    "AveragePool": _avg_pool,
    "LpPool": _lp_pool,
    "GlobalMaxPool": _global(fl.max),
    "GlobalAveragePool": _global(fl.mean),
    "MaxUnpool": _max_unpool,
    "Col2Im": _col2im,
    "Resize": _resize,
    "Upsample": _upsample,
    "GridSample": _grid_sample,
    "AffineGrid": _affine_grid,
    "LRN": _lrn,
}

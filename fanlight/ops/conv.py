"""Convolutions over [N, H, W, C] (cross-correlations, as everywhere in deep learning), float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import real_of
from fanlight.ops import check, window_backward, windows
from fanlight.ops.check import FLOATS
from fanlight.ops.row import REQUIRED, Attr, Row, Unsupported, register
from fanlight.ops.types import TensorType

Attrs = Mapping[str, Any]

# Images are worked on a piece at a time that stays in the cache.
_PIECE_BYTES = 4 << 20

_WINDOW = {
    "strides": windows.STRIDES,
    "padding": windows.PADDING,
    "dilations": windows.DILATIONS,
}


def _check_operands(op: str, types: Sequence[TensorType], weight: str) -> None:
    check.tensor(op, "x", types[0], FLOATS, 4, windows.IMAGE)
    check.tensor(op, "w", types[1], FLOATS, 4, weight)


# --- conv2d ---------------------------------------------------------------------------------------


def _infer_conv2d(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    x, w = types
    _check_operands("conv2d", types, "[kh, kw, C, D]")
    if w.shape[2] != x.shape[3]:
        raise check.shape_error("conv2d", "w", f"[kh, kw, {x.shape[3]}, D] for x {x}", w)
    size = windows.output_size("conv2d", x, w.bound[:2], attrs)
    return [TensorType((x.shape[0], *size, w.shape[3]))]


def _eval_conv2d(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x, w = arrays
    strides, dilations = attrs["strides"], attrs["dilations"]
    x = windows.padded(x, attrs["padding"])
    with np.errstate(all="ignore"):
        if w.shape[:2] == (1, 1):
            return [np.matmul(x[:, :: strides[0], :: strides[1]], w[0, 0])]
        size, matrix = windows.places(x, w.shape, strides, dilations), w.reshape(-1, w.shape[3])
        out = np.empty((x.shape[0], *size, w.shape[3]), real_of(x, w))
        for item, rows, seen in windows.unrolled(x, w.shape[:2], strides, dilations):
            out[item, rows] = (seen @ matrix).reshape(-1, *out.shape[2:])
    return [out]


register(
    Row(
        name="conv2d",
        family="conv",
        arity=(2, 2),
        attrs=_WINDOW,
        infer=_infer_conv2d,
        eval=_eval_conv2d,
        doc="x [N, H, W, C], w [kh, kw, C, D] -> [N, h, w, D]: y[n, i, j, d] = sum over p, q, c of "
        "x[n, i sh + p dh - top, j sw + q dw - left, c] * w[p, q, c, d], zeros outside the image; "
        "h = (H + top + bottom - (kh - 1) dh - 1) // sh + 1. E-OP-004 if channels differ or the "
        "window is larger than the padded image. Source: tf.nn.conv2d.",
        epilogue=True,
        wasm="kernel",
        tol={"float32": 1e-5},
        vjp=window_backward.conv2d,
    )
)


# --- conv2d_kernel --------------------------------------------------------------------------------


def _infer_kernel(op: str, types: Sequence[TensorType], attrs: Attrs) -> tuple[int, int]:
    """The size of the windows, if x and g are what belongs together."""
    x, g = types
    check.tensor(op, "x", x, FLOATS, 4, windows.IMAGE)
    check.tensor(op, "g", g, FLOATS, 4, windows.IMAGE)
    kh, kw = check.integers(op, attrs, "size", 2, 1)
    places = windows.output_size(op, x, (kh, kw), {**attrs, "padding": ((0, 0), (0, 0))})
    if g.shape[:3] != (x.shape[0], *places):
        expected = f"[{x.shape[0]}, {places[0]}, {places[1]}, D]"
        raise check.shape_error(op, "g", f"{expected} for x {x} and size {(kh, kw)}", g)
    return kh, kw


def _infer_conv2d_kernel(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    size = _infer_kernel("conv2d_kernel", types, attrs)
    return [TensorType((*size, types[0].bound[3], types[1].bound[3]))]


def _eval_conv2d_kernel(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x, g = arrays
    size, (channels, depth) = attrs["size"], (x.shape[3], g.shape[3])
    out = np.empty((*size, channels, depth), real_of(x, g))
    rows = g.reshape(-1, depth)
    with np.errstate(all="ignore"):
        places = (g.shape[1], g.shape[2])
        for i, j, seen in windows.taps(x, places, size, attrs["strides"], attrs["dilations"]):
            out[i, j] = seen.reshape(-1, channels).T @ rows
    return [out]


_KERNEL = {
    "size": Attr(REQUIRED, "height and width of the windows"),
    "strides": windows.STRIDES,
    "dilations": windows.DILATIONS,
}
register(
    Row(
        name="conv2d_kernel",
        family="conv",
        arity=(2, 2),
        attrs=_KERNEL,
        infer=_infer_conv2d_kernel,
        eval=_eval_conv2d_kernel,
        doc="x [N, H, W, C], g [N, h, w, D] -> [kh, kw, C, D]: y[p, q, c, d] = sum over n, i, j of "
        "g[n, i, j, d] x[n, i sh + p dh, j sw + q dw, c]: the gradient of a conv2d without padding "
        "after its windows, g being that of its result. E-OP-004 if g has not the sizes of that "
        "result. Source: TensorFlow.js's Conv2DBackpropFilter.",
        wasm=Unsupported("no code of its own: a pass rewrites it as matmul or conv2d"),
        tol={"float32": 1e-5},
        vjp=window_backward.conv2d_kernel,
    )
)


# --- depthwise_conv2d -----------------------------------------------------------------------------


def _infer_depthwise(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    x, w = types
    _check_operands("depthwise_conv2d", types, "[kh, kw, C, M]")
    if w.shape[2] != x.shape[3]:
        raise check.shape_error("depthwise_conv2d", "w", f"[kh, kw, {x.shape[3]}, M] for x {x}", w)
    size = windows.output_size("depthwise_conv2d", x, w.bound[:2], attrs)
    return [TensorType((x.shape[0], *size, w.bound[2] * w.bound[3]))]


def _eval_depthwise(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x, w = arrays
    kh, kw, channels, multiplier = w.shape
    strides, dilations = attrs["strides"], attrs["dilations"]
    x = windows.padded(x, attrs["padding"])
    if multiplier != 1:
        x = np.repeat(x, multiplier, axis=3)
    w = w.reshape(kh, kw, channels * multiplier)
    height, width = windows.places(x, w.shape, strides, dilations)
    out = np.empty((x.shape[0], height, width, channels * multiplier), real_of(x, w))
    # A few rows at a time: all taps of a piece then work in the cache.
    step = max(1, (_PIECE_BYTES // 16) // max(1, width * w.shape[2] * 4))
    with np.errstate(all="ignore"):
        for top in range(0, height, step):
            count = min(step, height - top)
            piece = x[:, top * strides[0] :]
            total = out[:, top : top + count]
            product = np.empty_like(total)
            for i, j, seen in windows.taps(piece, (count, width), (kh, kw), strides, dilations):
                if i == j == 0:
                    np.multiply(seen, w[i, j], out=total)
                else:
                    total += np.multiply(seen, w[i, j], out=product)
    return [out]


register(
    Row(
        name="depthwise_conv2d",
        family="conv",
        arity=(2, 2),
        attrs=_WINDOW,
        infer=_infer_depthwise,
        eval=_eval_depthwise,
        doc="x [N, H, W, C], w [kh, kw, C, M] -> [N, h, w, C M]: every channel c is convolved with "
        "its own M windows, giving channels c M to c M + M - 1. Sizes and errors as conv2d. "
        "Source: tf.nn.depthwise_conv2d.",
        epilogue=True,
        nan="propagates; one of w may be passed over where its tap lies outside the image",
        wasm="kernel",
        tol={"float32": 1e-5},
        vjp=window_backward.depthwise_conv2d,
    )
)


def _infer_depthwise_kernel(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "depthwise_conv2d_kernel"
    size = _infer_kernel(op, types, attrs)
    x, g = types
    if g.shape[3] != x.shape[3]:
        raise check.shape_error(op, "g", f"{x.shape[3]} channels, as x {x}", g)
    return [TensorType((*size, x.bound[3]))]


def _eval_depthwise_kernel(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x, g = arrays
    size = attrs["size"]
    out = np.empty((*size, x.shape[3]), real_of(x, g))
    with np.errstate(all="ignore"):
        places = (g.shape[1], g.shape[2])
        for i, j, seen in windows.taps(x, places, size, attrs["strides"], attrs["dilations"]):
            out[i, j] = np.einsum("nhwc,nhwc->c", seen, g)
    return [out]


register(
    Row(
        name="depthwise_conv2d_kernel",
        family="conv",
        arity=(2, 2),
        attrs=_KERNEL,
        infer=_infer_depthwise_kernel,
        eval=_eval_depthwise_kernel,
        doc="x [N, H, W, C], g [N, h, w, C] -> [kh, kw, C]: y[p, q, c] = sum over n, i, j of "
        "g[n, i, j, c] x[n, i sh + p dh, j sw + q dw, c]: the gradient of a depthwise_conv2d "
        "without padding after its windows, g being that of its result. E-OP-004 if g has not the "
        "sizes of that result. Source: TensorFlow.js's DepthwiseConv2dNativeBackpropFilter.",
        wasm="kernel",
        tol={"float32": 1e-5},
        vjp=window_backward.depthwise_conv2d_kernel,
    )
)


# --- conv2d_transpose -----------------------------------------------------------------------------


def _infer_transpose(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "conv2d_transpose"
    x, w = types
    _check_operands(op, types, "[kh, kw, D, C]")
    if w.shape[3] != x.shape[3]:
        raise check.shape_error(op, "w", f"[kh, kw, D, {x.shape[3]}] for x {x}", w)
    size = check.integers(op, attrs, "output_size", 2, 1)
    whole = TensorType((x.shape[0], *size, w.shape[2]))
    back = windows.output_size(op, whole, w.bound[:2], attrs)
    if back != x.shape[1:3]:
        raise check.attr_error(
            op, "output_size", f"a size from which conv2d gives {x.shape[1:3]}, not {back}", size
        )
    return [whole]


def _eval_transpose(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x, w = arrays
    kh, kw, depth = w.shape[:3]
    n, height, width = x.shape[:3]
    (top, bottom), (left, right) = attrs["padding"]
    out_h, out_w = attrs["output_size"]
    whole = (n, out_h + top + bottom, out_w + left + right, depth)
    sums = np.zeros(whole, real_of(x, w))
    with np.errstate(all="ignore"):
        for i, j, target in windows.taps(sums, (height, width), (kh, kw), attrs["strides"]):
            target += np.matmul(x, w[i, j].T)
    return [np.ascontiguousarray(sums[:, top : top + out_h, left : left + out_w])]


register(
    Row(
        name="conv2d_transpose",
        family="conv",
        arity=(2, 2),
        attrs={
            "strides": windows.STRIDES,
            "padding": windows.PADDING,
            "output_size": Attr(REQUIRED, "height and width of the result"),
        },
        infer=_infer_transpose,
        eval=_eval_transpose,
        doc="x [N, h, w, C], w [kh, kw, D, C] -> [N, H, W, D]: the gradient of conv2d (with these "
        "strides and this padding, from [N, H, W, D] to [N, h, w, C]) with respect to its input: "
        "y[n, i sh + p - top, j sw + q - left, d] += x[n, i, j, c] * w[p, q, d, c]. E-OP-005 if "
        "conv2d of output_size does not give h, w. Source: tf.nn.conv2d_transpose.",
        nan="propagates, and may reach pixels next to those that it should, as infinity may",
        wasm=Unsupported("no code of its own: a pass rewrites it as conv2d and depth_to_space"),
        tol={"float32": 1e-5},
        vjp=window_backward.conv2d_transpose,
    )
)

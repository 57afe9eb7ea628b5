"""QLinearConv and QLinearMatMul as ops on bytes, where weights, scales and zero points are known.

Their meaning is the same: the sum of products is a whole number, which becomes float32, is scaled
once, rounded with halves to even, and cut off at the ends of a byte. Signed bytes are moved by 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call
from fanlight.formats.onnx.windows import paddings, per_dim
from fanlight.formats.spatial import from_nhwc, to_nhwc

_BYTES = (kinds.UINT8, kinds.INT8)
_MIDDLE = 128


@dataclass(frozen=True)
class Known:
    """What such an op is told.

    Attributes:
        w: the weights less their zero point, int8.
        factor: what a sum is multiplied by, float32: one, or one for each channel.
        zero_x, zero_y: bytes that stand for 0, of 0 to 255 also where the model's are signed.
    """

    w: np.ndarray
    factor: np.ndarray
    zero_x: int
    zero_y: int


def _known(call: Call, channel: int) -> Known | None:
    """What the op is told, if all of it is known and fits; `channel` is the dim of w's channels."""
    if call.kind(0) not in _BYTES or call.kind(7) not in _BYTES:
        return None
    given = [call.x(i) for i in range(1, 8)]
    arrays = [a for a in given if isinstance(a, np.ndarray)]
    if len(arrays) < len(given):
        return None
    scale_x, zero_x, w, scale_w, zero_w, scale_y, zero_y = arrays
    if any(a.size != 1 for a in (scale_x, zero_x, scale_y, zero_y)) or w.ndim < 2:
        return None
    row = [1] * w.ndim
    row[channel] = -1
    if any(a.size not in (1, w.shape[channel]) for a in (scale_w, zero_w)):
        return None
    centred = w.astype(np.int32) - zero_w.astype(np.int32).reshape(row)
    if centred.min(initial=0) < -_MIDDLE or centred.max(initial=0) >= _MIDDLE:
        return None
    real = [a.astype(np.float32).reshape(-1) for a in (scale_x, scale_w, scale_y)]
    with np.errstate(all="ignore"):
        factor = real[0] * real[1] / real[2]
    if not np.isfinite(factor).all():
        return None
    zeros = [int(a.reshape(())) + (_MIDDLE if call.kind(i) == kinds.INT8 else 0)
             for i, a in ((0, zero_x), (7, zero_y))]  # fmt: skip
    if not all(0 <= z <= 255 for z in zeros):
        return None
    return Known(centred.astype(np.int8), factor, zeros[0], zeros[1])


def _applied(
    call: Call, op: str, x: Tensor, w: np.ndarray, known: Known, bias: Any, **attrs: Any
) -> Tensor | None:
    """The op on bytes; None where its sums do not fit int32."""
    channels = bias.size
    taps = w.reshape(-1, channels).astype(np.int64)
    own = bias.astype(np.int64) - known.zero_x * taps.sum(0)
    if (np.abs(taps).sum(0) * 255 + np.abs(own)).max(initial=0) >= 1 << 31:
        return None
    scale = np.broadcast_to(known.factor, (channels,)).copy()
    return call.op(
        op, x, w, own.astype(np.int32), scale,
        part="bytes", x_high=255, high=255, zero=known.zero_y, **attrs,
    )  # fmt: skip


def _byte(call: Call) -> Tensor:
    """The first input as bytes of 0 to 255."""
    x = call.x(0)
    if call.kind(0) == kinds.INT8:
        x = call.op("add", call.cast(x, "int32", "whole"), call.const(_MIDDLE, "int32"),
                    part="moved")  # fmt: skip
    return call.cast(x, "uint8", "byte")


def _signed(call: Call, y: Tensor) -> Tensor:
    """A result of the kind that the zero point of the model's result has."""
    call.made_kinds[0] = call.kind(7)
    if call.kind(7) == kinds.INT8:
        whole = call.cast(y, "int32", "whole_y")
        y = call.op("sub", whole, call.const(_MIDDLE, "int32"), part="moved_y")
    return y


def convolution(call: Call) -> Tensor | None:
    """QLinearConv of images, in one group or each channel by itself; None of any other."""
    x, known = call.x(0), _known(call, 0)
    if known is None or len(x.shape) != 4 or known.w.ndim != 4:
        return None
    groups, channels, w = call.whole("group", 1), x.shape[1], known.w
    deep = groups == channels == w.shape[0] and w.shape[1] == 1 and groups > 1
    if not deep and (groups != 1 or w.shape[1] != channels):
        return None
    bias = call.x(8) if call.has(8) else np.zeros(w.shape[0], np.int32)
    if not isinstance(bias, np.ndarray) or bias.shape != (w.shape[0],):
        return None
    strides, dilations = per_dim(call, "strides", 2), per_dim(call, "dilations", 2)
    pads = paddings(call, x.shape[2:], w.shape[2:], strides, dilations)
    kernel = np.ascontiguousarray(w.transpose((2, 3, 0, 1) if deep else (2, 3, 1, 0)))
    y = _applied(
        call, "depthwise_conv2d_int8" if deep else "conv2d_int8",
        to_nhwc(call.em, _byte(call), call.name), kernel, known, bias,
        strides=strides, dilations=dilations, padding=pads, pad=known.zero_x,
    )  # fmt: skip
    return None if y is None else from_nhwc(call.em, _signed(call, y), call.name)


def matmul(call: Call) -> Tensor | None:
    """QLinearMatMul with a matrix of weights; None of any other."""
    x, known = call.x(0), _known(call, -1)
    if known is None or known.w.ndim != 2 or not x.shape or x.shape[-1] != known.w.shape[0]:
        return None
    bias = np.zeros(known.w.shape[1], np.int32)
    y = _applied(call, "matmul_int8", _byte(call), known.w, known, bias)
    return None if y is None else _signed(call, y)

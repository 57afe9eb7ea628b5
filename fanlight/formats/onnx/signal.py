"""Importers of ops on signals: transforms, windows, mel filters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.shaping import cut


def _transform(
    call: Call, real: Tensor, imag: Tensor, length: int, inverse: bool
) -> tuple[Tensor, Tensor]:
    """The transform of the last dim, cut or filled up with zeros to a length."""
    if not 1 <= length <= 1 << 20:
        raise call.refuse("its length is out of range", received=length)
    parts = []
    for x in (real, imag):
        have = x.shape[-1]
        if have > length:
            size = (*x.shape[:-1], length)
            x = call.op("slice", x, part="cut", begin=(0,) * len(size), size=size)
        elif have < length:
            pads = [(0, 0)] * (len(x.shape) - 1) + [(0, length - have)]
            x = call.op("pad", x, part="wide", paddings=tuple(pads), value=0.0)
        parts.append(x)
    angle = 2 * np.pi * np.arange(length) / length
    roots = np.stack([np.cos(angle), -np.sin(angle)]).astype(np.float32)
    found = call.op("fft", *parts, roots, part="fft", inverse=inverse)
    return found[0], found[1]


def _pair(call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
    """[..., 1] or [..., 2] as real and imaginary part."""
    shape = x.shape[:-1]
    if x.shape[-1] == 1:
        real = call.reshape(x, shape, "real")
        return real, call.op("mul", real, call.const(0.0), part="imag")
    parts = cut(call, x, len(shape), (1, 1))
    return call.reshape(parts[0], shape, "real"), call.reshape(parts[1], shape, "imag")


def _joined(call: Call, parts: Sequence[Tensor]) -> Tensor:
    columns = [call.reshape(p, (*p.shape, 1), "column") for p in parts]
    return call.op("concat", *columns, part="pairs", axis=len(columns[0].shape) - 1)


def _first(call: Call, x: Tensor, count: int) -> Tensor:
    size = (*x.shape[:-1], count)
    return call.op("slice", x, part="half", begin=(0,) * len(size), size=size)


@importer("DFT")
def dft(call: Call) -> Tensor:
    """[..., n, ..., 1 or 2]; the dim is an attribute up to opset 19, an input from 20 on."""
    x = call.f32(0)
    rank = len(x.shape)
    if call.opset < 20:
        axis = call.axis(rank, 1)
    else:
        axis = call.dim(call.number(2, "the axis") if call.has(2) else -2, rank)
    inverse, half = call.flag("inverse"), call.flag("onesided")
    default = 2 * (x.shape[axis] - 1) if inverse and half else x.shape[axis]
    length = call.number(1, "the length") if call.has(1) else default
    perm = [a for a in range(rank - 1) if a != axis] + [axis]
    back = [perm.index(a) for a in range(rank - 1)]
    real, imag = (call.transpose(t, perm, "last") for t in _pair(call, x))
    if inverse and half:
        real, imag = _mirrored(call, real, imag, length)
    made = _transform(call, real, imag, length, inverse)
    parts: Sequence[Tensor] = made[:1] if inverse and half else made
    if half and not inverse:
        parts = [_first(call, p, length // 2 + 1) for p in parts]
    return _joined(call, [call.transpose(p, back, "placed") for p in parts])


def _mirrored(call: Call, real: Tensor, imag: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """A whole spectrum of its first half: the rest is that turned round, its sign changed."""
    half = length // 2 + 1
    have = real.shape[-1]
    places = np.arange(length)
    mirrored = places >= half
    at = np.where(mirrored, length - places, places)
    inside = at < have
    at = np.minimum(at, have - 1).astype(np.int32)
    sign = np.where(mirrored, -1.0, 1.0) * inside
    if length % 2 == 0:
        sign[length // 2] = 0
    sign[0] = 0
    last = len(real.shape) - 1
    whole = call.op("gather", real, at, part="real", axis=last)
    whole = call.op("mul", whole, inside.astype(np.float32), part="real_in")
    other = call.op("gather", imag, at, part="imag", axis=last)
    return whole, call.op("mul", other, sign.astype(np.float32), part="imag_in")


@importer("STFT")
def stft(call: Call) -> Tensor:
    """signal [B, n, 1 or 2], step, window, length -> [B, frames, bins, 2]."""
    x, step = call.f32(0), call.number(1, "the step")
    window = call.f32(2) if call.has(2) else None
    length = (
        call.number(3, "the length")
        if call.has(3)
        else (window.shape[0] if window is not None else x.shape[1])
    )
    if step < 1 or not 1 <= length <= x.shape[1]:
        raise call.refuse("its frames do not fit", received=[step, length])
    frames = 1 + (x.shape[1] - length) // step
    places = (np.arange(frames)[:, None] * step + np.arange(length)).astype(np.int32)
    parts = []
    for t in _pair(call, x if len(x.shape) == 3 else call.reshape(x, (*x.shape, 1), "real1")):
        t = call.op("gather", t, places, part="frames", axis=1)
        parts.append(t if window is None else call.op("mul", t, window, part="windowed"))
    made: Sequence[Tensor] = _transform(call, parts[0], parts[1], length, False)
    if call.flag("onesided", True):
        made = [_first(call, p, length // 2 + 1) for p in made]
    return _joined(call, made)


def _window(call: Call, weights: Sequence[float]) -> Tensor:
    size = call.number(0, "the size")
    if not 0 <= size <= 1 << 22:
        raise call.refuse("its size is out of range", received=size)
    kind = call.whole("output_datatype", kinds.FLOAT)
    call.made_kinds[0] = kind
    n = size if call.flag("periodic", True) else max(size - 1, 1)
    angle = 2 * np.pi * np.arange(size) / n
    made = sum(w * np.cos(k * angle) for k, w in enumerate(weights))
    return np.asarray(made, np.float32)


@importer("HannWindow")
def hann_window(call: Call) -> Tensor:
    return _window(call, (0.5, -0.5))


@importer("HammingWindow")
def hamming_window(call: Call) -> Tensor:
    return _window(call, (25 / 46, -21 / 46))


@importer("BlackmanWindow")
def blackman_window(call: Call) -> Tensor:
    return _window(call, (0.42, -0.5, 0.08))


@importer("MelWeightMatrix")
def mel_weight_matrix(call: Call) -> Tensor:
    bins, length, rate = (call.number(i, "a size") for i in range(3))
    low, high = call.known_real(3, "the lower edge", 0.0), call.known_real(4, "the upper edge", 0.0)
    if not 1 <= bins <= 4096 or not 1 <= length <= 1 << 20 or rate < 1:
        raise call.refuse("its sizes are out of range", received=[bins, length, rate])
    spectrum = length // 2 + 1
    first, last = (2595 * np.log10(1 + f / 700) for f in (low, high))
    mels = np.arange(bins + 2) * (last - first) / (bins + 2) + first
    at = (((length + 1) * 700 * (10 ** (mels / 2595) - 1)) // rate).astype(int)
    at = np.clip(at, 0, spectrum - 1)
    made = np.zeros((spectrum, bins), np.float32)
    for i in range(bins):
        left, middle, right = at[i : i + 3]
        if middle == left:
            made[middle, i] = 1
        else:
            made[left : middle + 1, i] = np.arange(middle - left + 1) / (middle - left)
        if right > middle:
            made[middle:right, i] = (right - np.arange(middle, right)) / (right - middle)
    return made

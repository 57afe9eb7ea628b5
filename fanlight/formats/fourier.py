"""Fourier transforms of some dims, of real and complex tensors: what readers write out as ops.

The op `fft` transforms the last dim of pairs of tensors; other dims are turned there and back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fanlight.tensor import functions as fn
from fanlight.tensor import signal, spectral
from fanlight.tensor.complex import Complex

LONGEST = 1 << 20
# Frames are parts of the signal side by side, up to so many; beyond, places are gathered.
_SHIFTS = 16


def complexed(x: Any) -> Complex:
    """Real numbers as complex ones; the zeros are computed, so that a batch may be free."""
    return x if isinstance(x, Complex) else Complex(x, fn.mul(x, 0.0))


def turned(z: Any, axis: int) -> Any:
    """One dim exchanged with the last one."""
    order = list(range(z.rank))
    order[axis], order[-1] = order[-1], order[axis]
    return z if axis == z.rank - 1 else fn.transpose(z, order)


def transformed(z: Any, axes: Sequence[int], inverse: bool) -> Any:
    """The transform of some dims; the inverse with 1 / n."""
    for axis in axes:
        transform = spectral.ifft if inverse else spectral.fft
        z = turned(transform(complexed(turned(z, axis))), axis)
    return z


def sized(z: Any, axis: int, size: int) -> Any:
    """One dim cut, or filled up with zeros."""
    n = z.shape[axis]
    if n > size:
        return z[(*(slice(None),) * axis, slice(0, size))]
    if n == size:
        return z
    return fn.pad(z, [(0, size - n if d == axis else 0) for d in range(z.rank)])


def times(z: Any, factor: float) -> Any:
    if factor == 1:
        return z
    if isinstance(z, Complex):
        return Complex(*(fn.mul(p, factor) for p in z.parts))
    return fn.mul(z, factor)


def _factor(scale: str, count: int, inverse: bool) -> float:
    """By what a result is multiplied; that of an inverse has 1 / n already."""
    wanted = {"none": 1.0, "ortho": 1 / math.sqrt(count), "count": 1 / count}[scale]
    return wanted * count if inverse else wanted


def forward(z: Any, axes: Sequence[int], scale: str, half: bool) -> Any:
    """Of some dims; `half`: of the last of them the half that says the other one."""
    count = math.prod(z.shape[a] for a in axes)
    n = z.shape[axes[-1]]
    z = transformed(z, axes[-1:], False)
    if half:
        z = z[(*(slice(None),) * axes[-1], slice(0, n // 2 + 1))]
    return times(transformed(z, axes[:-1], False), _factor(scale, count, False))


def backward(z: Any, axes: Sequence[int], scale: str) -> Any:
    count = math.prod(z.shape[a] for a in axes)
    return times(transformed(z, axes, True), _factor(scale, count, True))


def backward_real(z: Any, axes: Sequence[int], size: int, scale: str) -> Any:
    """Of some dims, of the last of which z has a half: real numbers, `size` of them there."""
    count = math.prod(z.shape[a] for a in axes[:-1]) * size
    z = transformed(z, axes[:-1], True)
    y = turned(spectral.irfft(turned(complexed(z), axes[-1]), size), axes[-1])
    return times(y, _factor(scale, count, True))


def framed(x: Any, length: int, step: int) -> Any:
    """Windows of the last dim, [..., n] -> [..., frames, length]."""
    frames = 1 + (x.shape[-1] - length) // step
    shifts = -(-length // step)
    if shifts > _SHIFTS:
        return each_part(lambda p: signal.frame(p, length, step), x)
    rows = sized(x, x.rank - 1, (frames + shifts - 1) * step)
    rows = fn.reshape(rows, (*x.shape[:-1], frames + shifts - 1, step))
    parts = [rows[..., at : at + frames, :] for at in range(shifts)]
    whole = parts[0] if shifts == 1 else fn.concat(parts, -1)
    return whole if shifts * step == length else whole[..., :length]


def each_part(function: Any, x: Any) -> Any:
    return Complex(*(function(p) for p in x.parts)) if isinstance(x, Complex) else function(x)

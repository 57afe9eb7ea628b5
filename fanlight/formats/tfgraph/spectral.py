"""Importers of complex numbers: pairs of real tensors on the way, as in docs/adr/0007.

Sounds come so: framed, windowed, transformed, and made real again. No value of a graph is complex.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.formats import fourier
from fanlight.formats.emitter import Tensor
from fanlight.formats.pairs import computed
from fanlight.formats.tfgraph.call import Call, Pair, importer
from fanlight.tensor import complex as parts
from fanlight.tensor import spectral

_LONGEST = 1 << 20


def _length(call: Call) -> int:
    length = call.number(1, "the length")
    if not 1 <= length <= _LONGEST:
        raise call.refuse("the length is out of range", received=length)
    return length


def _pair(call: Call, function: Callable[..., Any], *given: Tensor) -> Pair:
    real, imag = call.function(lambda *xs: function(*xs).parts, *given)
    return Pair(real, imag)


@importer("Complex")
def complex_(call: Call) -> Pair:
    return Pair(call.x(0), call.x(1))


@importer("Real", "Imag")
def part(call: Call) -> Tensor:
    z = call.pair()
    return z.real if call.node.op == "Real" else z.imag


@importer("ComplexAbs", "Angle")
def measure(call: Call) -> Tensor:
    z = call.pair()
    if call.node.op == "ComplexAbs":
        return call.op("hypot", z.real, z.imag)
    return call.op("atan2", z.imag, z.real)


@importer("Conj")
def conj(call: Call) -> Pair:
    z = call.pair()
    return Pair(z.real, call.op("neg", z.imag))


@importer("RFFT")
def rfft(call: Call) -> Pair:
    """[..., n] -> [..., length // 2 + 1]; rows are cut, or filled up with zeros."""
    length = _length(call)
    return _pair(call, lambda x: spectral.rfft(x, length), call.x())


@importer("IRFFT")
def irfft(call: Call) -> Tensor:
    length, z = _length(call), call.pair()
    (found,) = call.function(
        lambda re, im: spectral.irfft(parts.complex(re, im), length), z.real, z.imag
    )
    return found


@importer("FFT", "IFFT")
def fft(call: Call) -> Pair:
    transform = spectral.fft if call.node.op == "FFT" else spectral.ifft
    z = call.pair()
    return _pair(call, lambda re, im: transform(parts.complex(re, im)), z.real, z.imag)


def _sizes(call: Call, count: int) -> list[int]:
    """The lengths of the last dims, an input of real transforms."""
    lengths = list(call.ints(1, "the lengths"))
    rank = len(call.inputs[0].shape)
    if len(lengths) != count or rank < count or not all(1 <= n <= _LONGEST for n in lengths):
        raise call.refuse("the lengths are out of range", received=lengths[:8])
    return lengths


@importer("FFT2D", "FFT3D", "IFFT2D", "IFFT3D")
def fft_of_dims(call: Call) -> Any:
    """Of the last two or three dims."""
    z, count = call.pair(), int(call.node.op[-2])
    rank = len(z.shape)
    if rank < count or 0 in z.shape[rank - count :]:
        raise call.refuse(f"{count} dims are wanted", received=list(z.shape))
    axes = range(rank - count, rank)
    if call.node.op.startswith("I"):
        return computed(call.function, lambda z: fourier.backward(z, axes, "count"), z)
    return computed(call.function, lambda z: fourier.forward(z, axes, "none", False), z)


@importer("RFFT2D", "RFFT3D", "IRFFT2D", "IRFFT3D")
def real_fft_of_dims(call: Call) -> Any:
    """Of the last two or three dims, cut or filled up with zeros to lengths."""
    back, count = call.node.op.startswith("I"), int(call.node.op[-2])
    z: Any = call.pair() if back else call.x()
    sizes, rank = _sizes(call, count), len(z.shape)
    axes = range(rank - count, rank)

    def compute(z: Any) -> Any:
        for a, n in list(zip(axes, sizes, strict=True))[: count - back]:
            z = fourier.sized(z, a, n)
        if back:
            return fourier.backward_real(z, axes, sizes[-1], "count")
        return fourier.forward(z, axes, "none", True)

    return computed(call.function, compute, z)

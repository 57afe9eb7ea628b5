"""Importers of complex numbers: pairs of real tensors on the way, as in docs/adr/0007.

Sounds come so: framed, windowed, transformed, and made real again. No value of a graph is complex.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.formats.emitter import Tensor
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

"""Fourier transforms, the standard's extension `fft`: complex64, of any length along any axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import numpy as np

from fanlight.array_api.dtypes import array, complex64, dtype_of, float32, on_device
from fanlight.array_api.manipulation import roll
from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor import spectral
from fanlight.tensor.arguments import as_wholes, choice, real_number, refused, whole_number
from fanlight.tensor.complex import Complex, conj
from fanlight.tensor.core import Tensor, caller, cast, tensor
from fanlight.tensor.parts import moveaxis

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]


def __dir__() -> list[str]:
    """What completion offers."""
    return sorted(__all__)


Axes = int | Sequence[int] | None


def _scale(function: str, norm: str, n: int, inverse: bool) -> float:
    """What the result is multiplied by; our transforms have 1/n in the inverse."""
    choice(function, "norm", norm, ("backward", "ortho", "forward"))
    if norm == "backward":
        return 1.0
    root = sqrt(n) if norm == "ortho" else float(n)
    return root if inverse else 1 / root


def _along(
    function: str,
    x: Any,
    n: int | None,
    axis: int,
    norm: str,
    run: Callable[[Tensor, int], Tensor],
    inverse: bool = False,
    length: Callable[[int], int] = lambda size: size,
) -> Tensor:
    """A transform of the last dim, applied along another, with as many numbers as wanted."""
    x = array(function, x)
    at = fn.axis_of(x.type, axis, function)
    count = length(x.shape[at]) if n is None else n
    count = whole_number(function, "n", count, 1)
    found = run(moveaxis(x, at, -1), count)
    scale = _scale(function, norm, count, inverse)
    return moveaxis(found * scale if scale != 1.0 else found, -1, at)


def _sized(x: Tensor, count: int) -> Tensor:
    """The last dim cut, or filled up with zeros."""
    n = x.shape[-1]
    if n >= count:
        return x[..., :count]
    return fn.pad(x, [*[(0, 0)] * (x.rank - 1), (0, count - n)])


def _real(function: str, x: Any) -> Tensor:
    x = array(function, x)
    if isinstance(x, Complex):
        raise FanlightError(
            "E-OP-003",
            f"{function} takes real numbers.",
            where=f"{function}, {caller()}",
            expected="float32",
            received=str(x.type),
        )
    return cast(x, float32)


def fft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The discrete Fourier transform along an axis.

    Args:
        n: how many numbers are transformed; the axis is cut, or filled up with zeros.
        norm: "backward": the inverse divides by n; "forward": this one does; "ortho": both by
            sqrt(n).
    """
    return _along("fft", x, n, axis, norm, lambda t, k: spectral.fft(_sized(t, k)))


def ifft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `fft`."""
    return _along("ifft", x, n, axis, norm, lambda t, k: spectral.ifft(_sized(t, k)), True)


def rfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """`fft` of real numbers, without the half that follows from the other one."""
    return _along("rfft", _real("rfft", x), n, axis, norm, spectral.rfft)


def irfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `rfft`; n is the number of results, 2 (m - 1) of m numbers by default."""
    return _along("irfft", x, n, axis, norm, spectral.irfft, True, lambda m: 2 * (m - 1))


def hfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """`fft` of numbers of which the first half is given and the other its conjugate: real."""
    return _along(
        "hfft",
        x,
        n,
        axis,
        norm,
        lambda t, k: spectral.irfft(conj(t), k) * k,
        length=lambda m: 2 * (m - 1),
    )


def ihfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `hfft`."""
    return _along(
        "ihfft",
        _real("ihfft", x),
        n,
        axis,
        norm,
        lambda t, k: conj(spectral.rfft(t, k)) * (1 / k),
        True,
    )


def _several(
    function: str, x: Tensor, s: Sequence[int] | None, axes: Sequence[int] | None
) -> list[tuple[int, int | None]]:
    """(axis, length) of each transform."""
    if axes is None:
        sizes = as_wholes(s)
        count = x.rank if sizes is None else len(sizes)
        axes = tuple(range(-count, 0))
    found = fn.axes_of(x.type, axes, function)
    lengths: Sequence[int | None] | None = [None] * len(found) if s is None else as_wholes(s)
    if lengths is None or len(lengths) != len(found):
        raise refused(function, "s", f"{len(found)} lengths, one per axis", s)
    if not found:
        raise refused(function, "axes", f"at least one dim of {x.type}", axes)
    return list(zip(found, lengths, strict=True))


def fftn(
    x: Any,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """`fft` along several axes (None: all), with a length for each in `s`."""
    x = cast(array("fftn", x), complex64)
    for axis, n in _several("fftn", x, s, axes):
        x = fft(x, n=n, axis=axis, norm=norm)
    return x


def ifftn(
    x: Any,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `fftn`."""
    x = cast(array("ifftn", x), complex64)
    for axis, n in _several("ifftn", x, s, axes):
        x = ifft(x, n=n, axis=axis, norm=norm)
    return x


def rfftn(
    x: Any,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """`rfft` along the last of several axes, then `fft` along the others."""
    x = _real("rfftn", x)
    *others, (axis, n) = _several("rfftn", x, s, axes)
    x = rfft(x, n=n, axis=axis, norm=norm)
    for axis, n in others:
        x = fft(x, n=n, axis=axis, norm=norm)
    return x


def irfftn(
    x: Any,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `rfftn`."""
    x = cast(array("irfftn", x), complex64)
    *others, (last, count) = _several("irfftn", x, s, axes)
    for axis, n in others:
        x = ifft(x, n=n, axis=axis, norm=norm)
    return irfft(x, n=count, axis=last, norm=norm)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies that `fft` of n numbers has, where samples are d apart."""
    return _frequencies("fftfreq", np.fft.fftfreq, n, d, dtype, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies that `rfft` of n numbers has, where samples are d apart."""
    return _frequencies("rfftfreq", np.fft.rfftfreq, n, d, dtype, device)


def _frequencies(
    function: str, make: Callable[..., np.ndarray], n: int, d: float, dtype: Any, device: Any
) -> Tensor:
    on_device(device)
    n = fn.count_of(whole_number(function, "n", n, 1))  # which refuses too many
    d = real_number(function, "d", d)
    if not d:
        raise refused(function, "d", "a distance that is not 0", d)
    return tensor(make(n, d), float32 if dtype is None else dtype_of(dtype))


def _shift(function: str, x: Any, axes: Axes, sign: int) -> Tensor:
    x = array(function, x)
    found = fn.axes_of(x.type, axes)
    by = [sign * (x.shape[d] // 2) for d in found]
    return roll(x, by, axis=list(found)) if found else x


def fftshift(x: Any, /, *, axes: Axes = None) -> Tensor:
    """x rolled so that the frequency 0 comes to stand in the middle of the axes (None: all)."""
    return _shift("fftshift", x, axes, 1)


def ifftshift(x: Any, /, *, axes: Axes = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shift("ifftshift", x, axes, -1)

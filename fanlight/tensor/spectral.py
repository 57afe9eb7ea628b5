"""Fourier transforms of tensors, over the last dim (or the last two)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops.fft import roots
from fanlight.tensor import functions as F
from fanlight.tensor.arguments import whole_number
from fanlight.tensor.complex import Complex, complex, conj, imag, real
from fanlight.tensor.core import Tensor, apply, caller, cast, tensor


def _checked(op: str, x: Any) -> Tensor:
    x = tensor(x)
    if x.rank == 0 or x.shape[-1] == 0:
        raise FanlightError(
            "E-OP-004",
            f"{op} takes rows of numbers.",
            where=f"{op}, {caller()}",
            expected="[..., n] with n at least 1",
            received=str(x.type),
        )
    return x


def _transform(op: str, x: Any, inverse: bool) -> Tensor:
    x = _checked(op, x)
    table = tensor(roots(x.shape[-1]))
    return Complex(*apply("fft", real(x), imag(x), table, inverse=inverse))


def fft(x: Any) -> Tensor:
    """The discrete Fourier transform of the last dim: [..., n] -> complex64 [..., n].

    y_k = sum_j x_j exp(-2 pi i j k / n); any n, powers of two are fastest.

    Raises:
        FanlightError: E-OP-004 there are no rows.
    """
    return _transform("fft", x, False)


def ifft(x: Any) -> Tensor:
    """The inverse of `fft`: x_j = 1/n sum_k y_k exp(2 pi i j k / n)."""
    return _transform("ifft", x, True)


def _turned(x: Tensor) -> Tensor:
    return F.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def fft2(x: Any) -> Tensor:
    """`fft` of the last two dims."""
    return _turned(fft(_turned(fft(_two(x)))))


def ifft2(x: Any) -> Tensor:
    """The inverse of `fft2`."""
    return _turned(ifft(_turned(ifft(_two(x)))))


def _two(x: Any) -> Tensor:
    x = tensor(x)
    return x if x.rank >= 2 else _checked("fft2", np.zeros(0))


def _sized(x: Tensor, length: int) -> Tensor:
    """The last dim cut, or filled up with zeros."""
    n = x.shape[-1]
    if n >= length:
        return x if n == length else x[..., :length]
    return F.pad(x, [*[(0, 0)] * (x.rank - 1), (0, length - n)])


def _length(op: str, length: int | None, default: int) -> int:
    if length is None:
        return default
    (count,) = F.shape_of(whole_number(op, "length", length, 1))
    return count


def rfft(x: Any, length: int | None = None) -> Tensor:
    """`fft` of real numbers, without the half that follows from the other one.

    float32 [..., n] -> complex64 [..., length // 2 + 1].

    Args:
        length: how many numbers are transformed, default n; the rows are cut, or filled up with
            zeros.

    Raises:
        FanlightError: E-OP-003 the numbers are complex; E-OP-004; E-OP-005.
    """
    x = _checked("rfft", x)
    if isinstance(x, Complex):
        raise FanlightError(
            "E-OP-003",
            "rfft takes real numbers.",
            where=f"rfft, {caller()}",
            expected="float32",
            received=str(x.type),
            next="use fl.fft.",
        )
    count = _length("rfft", length, x.shape[-1])
    return fft(_sized(cast(x, "float32"), count))[..., : count // 2 + 1]


def irfft(x: Any, length: int | None = None) -> Tensor:
    """The inverse of `rfft`: complex64 [..., m] -> float32 [..., length], default 2 (m - 1).

    The imaginary parts of the first number, and of the last one where length is even, count as 0.
    """
    x = _checked("irfft", x)
    x = cast(x, "complex64")
    count = _length("irfft", length, max(2 * (x.shape[-1] - 1), 1))
    half = count // 2 + 1
    x = _sized(x, half)
    rest = (count + 1) // 2  # of x[1 : rest] the other half is the conjugate, backwards
    mirrored = conj(F.reverse(x[..., 1:rest], -1)) if rest > 1 else None
    whole = x if mirrored is None else F.concat([x, mirrored], -1)
    return real(ifft(_hermitian(whole, count)))


def _hermitian(x: Tensor, n: int) -> Tensor:
    """x, whose numbers 0 and n / 2 lose their imaginary part."""
    mask = np.ones(n, np.float32)
    mask[0] = 0
    if n % 2 == 0:
        mask[n // 2] = 0
    return complex(real(x), F.where(mask, imag(x), 0.0))

"""Functions of complex numbers made of those of real ones: what fl.sin(z) and others mean.

Formulas that neither cancel nor overflow where the result does not: W. Kahan, Branch Cuts for
Complex Elementary Functions, 1987. Zeros have no sign here, so that on a branch cut the result is
the one from above it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.tensor.complex import RULES, Complex, _parts, conj
from fanlight.tensor.core import Tensor, apply, tensor


def _sin(z: Any) -> Complex:
    x, y = _parts(z)
    return Complex(
        apply("sin", x) * apply("cosh", y),
        apply("cos", x) * apply("sinh", y),
    )


def _cos(z: Any) -> Complex:
    x, y = _parts(z)
    return Complex(
        apply("cos", x) * apply("cosh", y),
        -(apply("sin", x) * apply("sinh", y)),
    )


def _turned(function: Callable[[Any], Complex]) -> Callable[[Any], Complex]:
    """-i f(i z): what makes trigonometric of hyperbolic functions, and odd ones of odd ones."""

    def turned(z: Any) -> Complex:
        x, y = _parts(z)
        found = function(Complex(-y, x))
        return Complex(found.parts[1], -found.parts[0])

    return turned


def _sinh(z: Any) -> Complex:
    x, y = _parts(z)
    return Complex(apply("sinh", x) * apply("cos", y), apply("cosh", x) * apply("sin", y))


def _cosh(z: Any) -> Complex:
    x, y = _parts(z)
    return Complex(apply("cosh", x) * apply("cos", y), apply("sinh", x) * apply("sin", y))


def _tanh(z: Any) -> Complex:
    """(sinh 2x + i sin 2y) / (cosh 2x + cos 2y), by halves: nothing cancels in the sum below."""
    x, y = _parts(z)
    x = apply("clip", x, lo=-20.0, hi=20.0)  # from there on it is 1
    s, c, sine = apply("sinh", x), apply("cosh", x), apply("sin", y)
    cosine = apply("cos", y)
    below = s * s + cosine * cosine
    return Complex(s * c / below, sine * cosine / below)


def _roots(z: Any) -> tuple[Tensor, Tensor]:
    """The roots of 1 - z and 1 + z; above a cut for z is below it for 1 - z."""
    x, y = _parts(z)
    return conj(apply("sqrt", Complex(1.0 - x, y))), apply("sqrt", Complex(1.0 + x, y))


def _asin(z: Any) -> Complex:
    (x, _), (down, up) = _parts(z), _roots(z)
    return Complex(
        apply("atan2", x, _parts(down * up)[0]),
        apply("asinh", _parts(conj(down) * up)[1]),
    )


def _acos(z: Any) -> Complex:
    down, up = _roots(z)
    return Complex(
        2.0 * apply("atan2", _parts(down)[0], _parts(up)[0]),
        apply("asinh", _parts(conj(up) * down)[1]),
    )


def _acosh(z: Any) -> Complex:
    one = tensor(1.0)
    down, up = apply("sqrt", z - one), apply("sqrt", z + one)
    return Complex(
        apply("asinh", _parts(conj(down) * up)[0]),
        2.0 * apply("atan2", _parts(down)[1], _parts(up)[0]),
    )


def _atanh(z: Any) -> Complex:
    # Beyond, nothing changes; and infinity by infinity would be NaN.
    x, y = (apply("clip", part, lo=-1e18, hi=1e18) for part in _parts(z))
    square, size = y * y, apply("abs", x)
    below = (1.0 - size) * (1.0 - size) + square
    real = 0.25 * apply("log1p", 4.0 * size / below)
    return Complex(
        apply("select", apply("less", x, 0.0), -real, real),
        0.5 * apply("atan2", 2.0 * y, (1.0 - x) * (1.0 + x) - square),
    )


def _expm1(z: Any) -> Complex:
    x, y = _parts(z)
    half = apply("sin", 0.5 * y)
    return Complex(
        apply("expm1", x) * apply("cos", y) - 2.0 * half * half,
        apply("exp", x) * apply("sin", y),
    )


def _log1p(z: Any) -> Complex:
    x, y = _parts(z)
    near = apply("less", apply("hypot", x, y), 0.5)
    small = 0.5 * apply("log1p", apply("select", near, x * (2.0 + x) + y * y, tensor(0.0)))
    large = apply("log", apply("hypot", 1.0 + x, y))
    return Complex(apply("select", near, small, large), apply("atan2", y, 1.0 + x))


def _sign(z: Any) -> Complex:
    x, y = _parts(z)
    size = apply("hypot", x, y)
    size = apply("select", apply("equal", size, 0.0), tensor(1.0), size)
    return Complex(x / size, y / size)


def _both(op: str, join: str) -> Callable[[Any], Tensor]:
    def function(z: Any) -> Tensor:
        result: Tensor = apply(join, *(apply(op, p) for p in _parts(z)))
        return result

    return function


def _each(op: str) -> Callable[..., Complex]:
    """The op on both parts, with the other inputs as they are."""

    def function(z: Any, *rest: Any, **attrs: Any) -> Complex:
        return Complex(*(apply(op, p, *rest, **attrs) for p in _parts(z)))

    return function


def _product(z: Any, axes: Any, keepdims: bool) -> Tensor:
    """Halves multiplied with each other, until one is left."""
    z = tensor(z)
    order = [*(d for d in range(z.rank) if d not in axes), *axes]
    kept = [z.shape[d] for d in order[: z.rank - len(axes)]]
    flat = apply("transpose", z, perm=tuple(order))
    count = int(np.prod([z.shape[d] for d in axes]))
    flat = apply("reshape", flat, shape=(*kept, count))
    while count > 1:
        half = count // 2
        product = flat[..., :half] * flat[..., half : 2 * half]
        flat = apply("concat", product, flat[..., 2 * half :], axis=-1) if count % 2 else product
        count = half + count % 2
    if not count:
        flat = tensor(np.ones((*kept, 1), np.complex64))
    shape = [1 if d in axes else n for d, n in enumerate(z.shape) if keepdims or d not in axes]
    result: Tensor = apply("reshape", flat, shape=tuple(shape))
    return result


RULES.update(
    {
        "acos": _acos,
        "acosh": _acosh,
        "asin": _asin,
        "asinh": _turned(_asin),
        "atan": _turned(_atanh),
        "atanh": _atanh,
        "cos": _cos,
        "cosh": _cosh,
        "cumsum": _each("cumsum"),
        "expm1": _expm1,
        "gather_nd": _each("gather_nd"),
        "is_finite": _both("is_finite", "logical_and"),
        "is_inf": _both("is_inf", "logical_or"),
        "is_nan": _both("is_nan", "logical_or"),
        "log1p": _log1p,
        "prod": _product,
        "round": _each("round"),
        "sign": _sign,
        "sin": _sin,
        "sinh": _sinh,
        "tan": _turned(_tanh),
        "tanh": _tanh,
    }
)

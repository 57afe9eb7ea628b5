"""Arithmetic and logic made of other functions, under the names people look for."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi, sqrt
from typing import Any

from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import listed, refused
from fanlight.tensor.complex import Complex
from fanlight.tensor.core import Tensor, apply, caller, cast, promoted
from fanlight.tensor.gradients import custom_gradient, stop_gradient


def add_n(tensors: Sequence[Any]) -> Tensor:
    """The sum of tensors of one shape.

    Raises:
        FanlightError: E-OP-004 they differ in shape; E-OP-005 there are none.
    """
    given = listed("add_n", "tensors", tensors, "fl.add_n([a, b, c])")
    if not given:
        raise refused("add_n", "tensors", "at least one tensor", tensors)
    total, *rest = promoted(*given)
    for x in rest:
        if x.shape != total.shape:
            raise FanlightError(
                "E-OP-004",
                "add_n adds tensors of one shape.",
                where=f"add_n, {caller()}",
                expected=total.type,
                received=x.type,
            )
        total = total + x
    return total


def clip_by_value(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """x, but at least low and at most high: fl.clip."""
    return fn.clip(x, low, high)


def logical_xor(a: Any, b: Any) -> Tensor:
    """Whether one of a and b holds, but not both; bool. They broadcast."""
    return fn.not_equal(cast(a, "bool"), cast(b, "bool"))


def mod(a: Any, b: Any) -> Tensor:
    """The rest of a / b with the sign of b: fl.floor_mod."""
    return fn.floor_mod(a, b)


# 1 / (1 + x / 2) in powers: erfc(x) = t exp(-x^2 + sum), with a relative error below 1.2e-7.
_TAIL = (
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806,
    0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277,
)  # fmt: skip


@custom_gradient
def _erfc(x: Tensor) -> Any:
    far = fn.maximum(x, 0.5)
    t = fn.reciprocal(1.0 + 0.5 * far)
    total: Any = 0.0
    for factor in reversed(_TAIL):
        total = total * t + factor
    tail = t * fn.exp(total - fn.square(far))

    def backward(g: Tensor) -> Tensor:
        return g * fn.exp(-fn.square(x)) * (-2 / sqrt(pi))

    return fn.where(x < 0.5, 1.0 - fn.erf(x), tail), backward


def erfc(x: Any) -> Tensor:
    """1 - erf(x), exact also where erf(x) is almost 1.

    Source: the Chebyshev fit of Press et al., Numerical Recipes, section 6.2.
    """
    result: Tensor = _erfc(cast(x, "float32"))
    return result


def log2(x: Any) -> Tensor:
    """The logarithm to base 2; a whole number of exactly the powers of 2. float32.

    -infinity at 0, NaN for x < 0.
    """
    return _logarithm(x, 1 / log(2))


def log10(x: Any) -> Tensor:
    """The logarithm to base 10; a whole number of exactly the powers of 10. float32.

    -infinity at 0, NaN for x < 0.
    """
    return _logarithm(x, 1 / log(10))


def _logarithm(x: Any, factor: float) -> Tensor:
    x = fn.floating(x)
    if isinstance(x, Complex):
        return Complex(*(part * factor for part in fn.log(x).parts))  # type: ignore[attr-defined]
    y: Tensor = apply("fused", x, body=f"mul(log(a0), {factor!r})")
    # log(8) * 1.4427 is a little less than 3, so that its floor would be 2: what is as near to a
    # whole number as rounding may take it, is one. The slope is that of the logarithm.
    return y + stop_gradient(apply("fused", y, body=_TO_WHOLE))


# Five units in the last place of numbers from 1 to 2.
_TO_WHOLE = "t0 = sub(round(a0), a0); select(le(abs(t0), mul(abs(a0), 3e-07)), t0, 0.0)"

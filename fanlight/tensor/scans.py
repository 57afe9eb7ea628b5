"""Sums, products and extremes of all elements up to each, along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.tensor.arguments import flag
from fanlight.tensor.core import Tensor, apply, cast, tensor
from fanlight.tensor.functions import axis_of, exp, log, reverse, where


def _numbers(x: Any) -> Tensor:
    x = tensor(x)
    return cast(x, "int32") if x.dtype in ("bool", "uint8") else x


def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """The sum of the elements along an axis up to each; of its shape.

    Args:
        x: float32, int32 (wraps around), or bool and uint8, which become int32.
        axis: negative counts from the end.
        exclusive: leave the element itself out: [1, 2, 3] gives [0, 1, 3].
        reverse: go from the end: [1, 2, 3] gives [6, 5, 3].

    Raises:
        FanlightError: E-OP-005 an axis that x does not have. Source: tf.math.cumsum.
    """
    result: Tensor = apply("cumsum", _numbers(x), axis=axis, exclusive=exclusive, reverse=reverse)
    return result


def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """The product of the elements along an axis up to each; arguments as of `cumsum`.

    Its gradient is exact where elements are 0. Source: tf.math.cumprod.
    """
    result: Tensor = apply("cumprod", _numbers(x), axis=axis, exclusive=exclusive, reverse=reverse)
    return result


def cummax(x: Any, axis: int = 0, reverse: bool = False) -> Tensor:
    """The greatest of the elements along an axis up to each; arguments as of `cumsum`.

    Its gradient goes to the latest of equal ones. Source: torch.cummax.
    """
    result: Tensor = apply("cummax", _numbers(x), axis=axis, reverse=reverse)
    return result


def cummin(x: Any, axis: int = 0, reverse: bool = False) -> Tensor:
    """The smallest of the elements along an axis up to each; arguments as of `cummax`."""
    result: Tensor = apply("cummin", _numbers(x), axis=axis, reverse=reverse)
    return result


_reverse = reverse


def logcumsumexp(x: Any, axis: int = 0, reverse: bool = False) -> Tensor:
    """log of the cumulative sum of exp(x) along an axis, without overflow; float32.

    By doubling the reach: y = log(exp(y) + exp(y moved by 1, 2, 4, ...)), each with the larger of
    both taken out. Source: tf.math.cumulative_logsumexp.
    """
    y, reverse = cast(x, "float32"), flag("logcumsumexp", "reverse", reverse)
    axis = axis_of(y.type, axis, "logcumsumexp")
    y = _reverse(y, axis) if reverse else y
    by = 1
    while by < y.shape[axis]:
        begin, widths = [0] * y.rank, [(0, 0)] * y.rank
        widths[axis] = (by, 0)
        size = [n - by if d == axis else n for d, n in enumerate(y.shape)]
        kept = apply("slice", y, begin=tuple(begin), size=tuple(size))
        y = _log_add(y, apply("pad", kept, paddings=tuple(widths), value=-np.inf))
        by *= 2
    return _reverse(y, axis) if reverse else y


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)), also where one of them or both are infinite."""
    top = apply("maximum", a, b)
    finite = apply("is_finite", top)
    # Of what is not finite nothing can be taken out; its gradient goes to the larger one.
    top_ = where(finite, top, 0.0)
    low = apply("minimum", a, b) - top_
    return where(finite, top_ + log(1.0 + exp(where(finite, low, 0.0))), top)

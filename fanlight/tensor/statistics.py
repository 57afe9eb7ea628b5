"""Spread: variance and standard deviation."""

from __future__ import annotations

from math import prod
from typing import Any

from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import flag, real_number
from fanlight.tensor.complex import Complex
from fanlight.tensor.core import Tensor, caller
from fanlight.tensor.functions import Axes, axes_of
from fanlight.tensor.matrices import root


def var(x: Any, axis: Axes = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """The mean of |x - mean|^2 over the axes; float32.

    Args:
        axis: default: all of them.
        correction: taken from the number of elements n that is divided by: 0 for the spread of
            these elements, 1 for an estimate of what they are a sample of (`ddof` of numpy.var).

    Raises:
        FanlightError: E-OP-005 an axis that x does not have, or a correction of n or more;
            E-OP-004 there are no elements.
    """
    x = fn.floating(x)
    axes, keepdims = axes_of(x.type, axis, "var"), flag("var", "keepdims", keepdims)
    correction = real_number("var", "correction", correction)
    count = prod(x.shape[d] for d in axes)
    if correction and not correction < count:
        raise FanlightError(
            "E-OP-005",
            "so few elements have no spread.",
            where=f"correction, {caller()}",
            expected=f"a correction below {count}, the number of elements",
            received=repr(correction),
        )
    apart = x - fn.mean(x, axes, True)
    # |z|^2 of complex numbers without the root, which has no slope at 0.
    size = (
        fn.square(apart.parts[0]) + fn.square(apart.parts[1])
        if isinstance(apart, Complex)
        else fn.square(apart)
    )
    mean = fn.mean(size, axes, keepdims)
    return mean * (count / (count - correction)) if correction else mean


def std(x: Any, axis: Axes = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """The square root of `var`, with the same arguments and errors.

    The gradient where all elements are equal is 0.
    """
    return root(var(x, axis, keepdims, correction))

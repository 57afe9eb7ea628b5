"""Sums, means and extremes of elements, of all or along axes; counts and differences."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from math import nan
from math import prod as product_of
from typing import Any

from fanlight.array_api.dtypes import array, astype, complex64, flat, int32, wrapped
from fanlight.array_api.manipulation import concat
from fanlight.errors import FanlightError
from fanlight.tensor import complex as complexes
from fanlight.tensor import functions as fn
from fanlight.tensor import scans, statistics
from fanlight.tensor.arguments import flag, real_number, whole_number
from fanlight.tensor.core import Tensor, apply, caller, cast

Axes = int | Sequence[int] | None


def _count(x: Tensor, axis: Axes) -> int:
    return product_of(x.shape[d] for d in fn.axes_of(x.type, axis))


def _empty(x: Tensor, axis: Axes, keepdims: builtins.bool) -> Tensor:
    """NaN for every mean of no elements."""
    return fn.sum(fn.floating(x), axis, keepdims) + nan


def _typed(x: Tensor, dtype: Any) -> Tensor:
    return x if dtype is None else astype(x, dtype, copy=False)


def sum(
    x: Any, /, *, axis: Axes = None, dtype: Any = None, keepdims: builtins.bool = False
) -> Tensor:
    """The sum over the axes; bool and uint8 give int32. 0 of no elements."""
    return _typed(fn.sum(_typed(array("sum", x), dtype), axis, keepdims), dtype)


def prod(
    x: Any, /, *, axis: Axes = None, dtype: Any = None, keepdims: builtins.bool = False
) -> Tensor:
    """The product over the axes; bool and uint8 give int32. 1 of no elements."""
    return _typed(fn.prod(_typed(array("prod", x), dtype), axis, keepdims), dtype)


def max(x: Any, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """The greatest element over the axes; NaN if one is. E-OP-004 of no elements."""
    x = array("max", x)
    return cast(fn.max(x, axis, keepdims), x.dtype)


def min(x: Any, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """The smallest element over the axes; NaN if one is. E-OP-004 of no elements."""
    x = array("min", x)
    return cast(fn.min(x, axis, keepdims), x.dtype)


def mean(x: Any, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """The mean over the axes; NaN of no elements."""
    x = array("mean", x)
    return fn.mean(x, axis, keepdims) if _count(x, axis) else _empty(x, axis, keepdims)


def var(
    x: Any, /, *, axis: Axes = None, correction: float = 0.0, keepdims: builtins.bool = False
) -> Tensor:
    """The variance over the axes; NaN of no more elements than `correction`; see fl.var."""
    return _spread(statistics.var, array("var", x), axis, correction, keepdims)


def std(
    x: Any, /, *, axis: Axes = None, correction: float = 0.0, keepdims: builtins.bool = False
) -> Tensor:
    """The square root of `var`."""
    return _spread(statistics.std, array("std", x), axis, correction, keepdims)


def _spread(
    function: Callable[..., Tensor],
    x: Tensor,
    axis: Axes,
    correction: float,
    keepdims: builtins.bool,
) -> Tensor:
    name = function.__name__
    count, keepdims = _count(x, axis), flag(name, "keepdims", keepdims)
    correction = real_number(name, "correction", correction)
    if not count or count <= correction:
        return _empty(complexes.real(x), axis, keepdims)
    return function(x, axis, keepdims, correction)


def _cumulative(
    name: str, x: Any, axis: int | None, dtype: Any, include_initial: builtins.bool
) -> Tensor:
    x = _typed(array(name, x), dtype)
    if axis is None:
        if x.rank != 1:
            raise FanlightError(
                "E-OP-005",
                f"{name} needs an axis.",
                where=f"{name} axis, {caller()}",
                expected=f"a dim of {x.type}",
                received=repr(axis),
            )
        axis = 0
    at = fn.axis_of(x.type, axis, name)
    product = name == "cumulative_prod"
    if x.dtype == complex64 and product:
        found = _running_product(x, at)
    else:
        found = (scans.cumprod if product else scans.cumsum)(x, at)
    if flag(name, "include_initial", include_initial):
        first = [1 if d == at else n for d, n in enumerate(x.shape)]
        start = fn.full(first, 1 if product else 0, found.dtype)
        found = fn.concat([start, found], at)
    return _typed(found, dtype)


def _running_product(x: Tensor, axis: int) -> Tensor:
    """By doubling the reach: each times what stands 1, 2, 4, ... places before it."""
    by, size = 1, x.shape[axis]
    while by < size:
        begin = [0] * x.rank
        kept = apply(
            "slice",
            x,
            begin=tuple(begin),
            size=tuple(size - by if d == axis else n for d, n in enumerate(x.shape)),
        )
        widths = [(by, 0) if d == axis else (0, 0) for d in range(x.rank)]
        x = x * fn.pad(kept, widths, 1)
        by *= 2
    return x


def cumulative_sum(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: builtins.bool = False,
) -> Tensor:
    """The sum of the elements along an axis up to each, with 0 before them if wanted.

    Only a vector may leave the axis out (E-OP-005).
    """
    return _cumulative("cumulative_sum", x, axis, dtype, include_initial)


def cumulative_prod(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: builtins.bool = False,
) -> Tensor:
    """The product of the elements along an axis up to each, with 1 before them if wanted.

    Only a vector may leave the axis out (E-OP-005).
    """
    return _cumulative("cumulative_prod", x, axis, dtype, include_initial)


# --- positions, counts, truth ---------------------------------------------------------------------


def argmax(x: Any, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """Index (int32) of the greatest element along an axis, the first one of several; None: in x
    when it is flat.
    """
    return _position("argmax", fn.arg_max, x, axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """Index (int32) of the smallest element; otherwise as `argmax`."""
    return _position("argmin", fn.arg_min, x, axis, keepdims)


def _position(
    name: str,
    find: Callable[..., Tensor],
    x: Any,
    axis: int | None,
    keepdims: builtins.bool,
) -> Tensor:
    x, keepdims = array(name, x), flag(name, "keepdims", keepdims)
    if x.dtype in ("bool", "uint8"):
        x = cast(x, int32)
    if axis is None:
        found = find(flat(x), 0)
        return fn.reshape(found, [1] * x.rank) if keepdims else found
    at = fn.axis_of(x.type, axis, name)
    return fn.expand_dims(find(x, at), at) if keepdims else find(x, at)


def count_nonzero(x: Any, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """How many elements over the axes are not 0, int32."""
    return fn.sum(cast(array("count_nonzero", x), "bool"), axis, keepdims)


def all(x: Any, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """Whether all elements over the axes are true (not 0). True of no elements."""
    return fn.all(cast(array("all", x), "bool"), axis, keepdims)


def any(x: Any, /, *, axis: Axes = None, keepdims: builtins.bool = False) -> Tensor:
    """Whether any element over the axes is true (not 0). False of no elements."""
    return fn.any(cast(array("any", x), "bool"), axis, keepdims)


def diff(
    x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None
) -> Tensor:
    """Each element along an axis minus the one before it, n times over.

    Args:
        prepend, append: tensors to put before and behind x, along the axis.
    """
    x = array("diff", x)
    at = fn.axis_of(x.type, axis, "diff")
    n = whole_number("diff", "n", n)
    if not n:
        return x  # as numpy.diff
    pieces = [p for p in (prepend, x, append) if p is not None]
    x = concat(pieces, axis=at) if len(pieces) > 1 else x
    for _ in range(n):
        if not x.shape[at]:
            break
        shorter = [size - 1 if d == at else size for d, size in enumerate(x.shape)]
        begin = [1 if d == at else 0 for d in range(x.rank)]
        after = apply("slice", x, begin=tuple(begin), size=tuple(shorter))
        before = apply("slice", x, begin=(0,) * x.rank, size=tuple(shorter))
        op = "not_equal" if x.dtype == "bool" else "sub"
        x = wrapped(apply(op, after, before), x.dtype)
    return x

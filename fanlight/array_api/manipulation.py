"""Shapes, joining, taking and order of elements."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.array_api.dtypes import array, flat, int32, together, wrapped
from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor import indices as places
from fanlight.tensor import parts, selection, sorting
from fanlight.tensor.arguments import as_whole, as_wholes, refused
from fanlight.tensor.core import Tensor, caller, cast

Axes = int | Sequence[int] | None


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """The tensors, repeated along dims of size 1 and new ones so that all have one shape."""
    given = [array("broadcast_arrays", x) for x in arrays]
    return [fn.broadcast_to(x, _common(given)) for x in given]


def _common(given: Sequence[Tensor]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(x.shape for x in given))
    except ValueError:
        raise FanlightError(
            "E-OP-004",
            "the shapes do not broadcast.",
            where=f"broadcast_arrays, {caller()}",
            expected="equal sizes, or 1, counted from the last dim",
            received=", ".join(str(x.type) for x in given),
        ) from None


def broadcast_to(x: Any, /, shape: Sequence[int]) -> Tensor:
    """x repeated along dims of size 1 and new leading dims."""
    return fn.broadcast_to(array("broadcast_to", x), fn.shape_of(shape))


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Tensor:
    """The tensors one after another along an axis; None: each flat."""
    given = [array("concat", x) for x in _listed("concat", arrays)]
    if axis is None:
        given, axis = [flat(x) for x in given], 0
    for x in given:
        axis = fn.axis_of(x.type, axis, "concat")
    return fn.concat(given, axis)


def _listed(function: str, arrays: Any) -> list[Any]:
    if not isinstance(arrays, list | tuple) or not arrays:
        raise FanlightError(
            "E-OP-005",
            f"the tensors that {function} joins are given as a list.",
            where=f"{function}, {caller()}",
            expected="a list or tuple of at least one tensor",
            received=repr(arrays)[:100],
        )
    return list(arrays)


def expand_dims(x: Any, /, *, axis: int = 0) -> Tensor:
    """x with a dim of size 1 more, which becomes dim `axis`."""
    return fn.expand_dims(array("expand_dims", x), axis)


def flip(x: Any, /, *, axis: Axes = None) -> Tensor:
    """x backwards along its axes; None: along all."""
    return fn.reverse(array("flip", x), axis)


def moveaxis(x: Any, source: Any, destination: Any, /) -> Tensor:
    """x with some of its dims moved to other places; the others stay in their order."""
    return parts.moveaxis(array("moveaxis", x), source, destination)


def permute_dims(x: Any, /, axes: Sequence[int]) -> Tensor:
    """Dim d of the result is dim axes[d] of x."""
    return fn.transpose(array("permute_dims", x), axes)


def matrix_transpose(x: Any, /) -> Tensor:
    """x with its last two dims exchanged; E-OP-004 if it has fewer."""
    x = array("matrix_transpose", x)
    if x.rank < 2:
        raise FanlightError(
            "E-OP-004",
            "matrix_transpose takes matrices.",
            where=f"matrix_transpose, {caller()}",
            expected="2 dims or more",
            received=str(x.type),
        )
    return parts.swapaxes(x, -1, -2)


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Every element, or slice along an axis, several times in a row; see fl.repeat."""
    return parts.repeat(array("repeat", x), repeats, axis)


def reshape(x: Any, /, shape: Sequence[int], *, copy: builtins.bool | None = None) -> Tensor:
    """The same elements in the same order under another shape; one dim may be -1."""
    x = array("reshape", x)
    sizes = as_wholes(shape)
    if sizes is None:
        return fn.reshape(x, shape)  # which refuses it
    if not x.size and sizes.count(-1) == 1 and 0 not in sizes:
        sizes = tuple(0 if n == -1 else n for n in sizes)
    return fn.reshape(x, sizes)


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Tensor:
    """x moved on along its axes; what falls off the end comes in at the start."""
    return places.roll(array("roll", x), shift, axis)


def squeeze(x: Any, /, axis: int | Sequence[int]) -> Tensor:
    """x without dims, which must be of size 1."""
    return fn.squeeze(array("squeeze", x), axis)


def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Tensor:
    """The tensors side by side along a new dim."""
    given = [array("stack", x) for x in _listed("stack", arrays)]
    if builtins.any(x.shape != given[0].shape for x in given):
        raise FanlightError(
            "E-OP-004",
            "stack takes tensors of one shape.",
            where=f"stack, {caller()}",
            expected=str(given[0].type),
            received=", ".join(str(x.type) for x in given),
        )
    at = fn.axis_of(fn.expand_dims(given[0], 0).type, axis, "stack")
    return fn.stack(given, at)


def tile(x: Any, repetitions: Sequence[int], /) -> Tensor:
    """x repeated as a whole, so many times per dim; the shorter of both gets dims in front."""
    x = array("tile", x)
    one = as_whole(repetitions)
    counts = as_wholes(repetitions) if one is None else (one,)
    if counts is None:
        raise refused("tile", "repetitions", "whole numbers in a tuple", repetitions)
    wide = fn.reshape(x, (*[1] * (len(counts) - x.rank), *x.shape))
    return fn.tile(wide, (*[1] * (wide.rank - len(counts)), *counts))


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along an axis, without that dim."""
    return parts.unstack(array("unstack", x), axis)


# --- taking and searching -------------------------------------------------------------------------


def _from_front(function: str, indices: Any, size: int) -> Tensor:
    """Indices from 0 on; those from -size on count from the end."""
    indices = array(function, indices)
    if indices.dtype not in (int32, "uint8"):
        raise FanlightError(
            "E-OP-003",
            f"{function} cannot take indices of this dtype.",
            where=f"{function} indices, {caller()}",
            expected="int32 or uint8",
            received=str(indices.type),
        )
    indices = cast(indices, int32)
    if not indices.traced and (not indices.size or indices.numpy().min() >= 0):
        return indices
    return fn.where(fn.less(indices, 0), indices + size, indices)


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Tensor:
    """The slices of x at some indices along an axis, which only a vector may leave out.

    Raises:
        FanlightError: E-TENSOR-007 an index outside; E-OP-005 no axis.
    """
    x = array("take", x)
    if axis is None and x.rank != 1:
        raise FanlightError(
            "E-OP-005",
            "take needs an axis.",
            where=f"take axis, {caller()}",
            expected=f"a dim of {x.type}",
            received=repr(axis),
        )
    at = fn.axis_of(x.type, 0 if axis is None else axis, "take")
    return places.gather(x, _from_front("take", indices, x.shape[at]), at)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Tensor:
    """Along an axis, x at indices of its own for every other place; other dims broadcast.

    Raises:
        FanlightError: E-TENSOR-007 an index outside; E-OP-004 other shapes.
    """
    x, indices = array("take_along_axis", x), array("take_along_axis", indices)
    at = fn.axis_of(x.type, axis, "take_along_axis")
    if x.rank == indices.rank:
        wanted = [
            m if d == at or n == 1 else n
            for d, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True))
        ]
        wanted[at] = x.shape[at]
        x = fn.broadcast_to(x, wanted)
    return places.take_along_axis(x, _from_front("take_along_axis", indices, x.shape[at]), at)


def where(condition: Any, x1: Any, x2: Any, /) -> Tensor:
    """x1 where the condition holds, else x2; all three broadcast."""
    both, name = together(x1, x2)
    return wrapped(fn.where(condition, *both), name)


def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """Per dim of x the indices (int32) of the elements that are not 0.

    Raises:
        FanlightError: E-OP-004 x has no dims; E-TENSOR-003 in a traced function.
    """
    x = array("nonzero", x)
    if not x.rank:
        raise FanlightError(
            "E-OP-004",
            "nonzero takes no tensor without dims.",
            where=f"nonzero, {caller()}",
            expected="1 dim or more",
            received=str(x.type),
        )
    return selection.nonzero(x)


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Tensor:
    """How many elements of x1 [n], in ascending order, come before each of x2: int32.

    Args:
        side: "left": smaller elements count; "right": equal ones, too.
        sorter: indices that put x1 into order.
    """
    x1, x2 = array("searchsorted", x1), array("searchsorted", x2)
    if x1.rank != 1:
        raise FanlightError(
            "E-OP-004",
            "searchsorted takes one sequence.",
            where=f"searchsorted x1, {caller()}",
            expected="[n]",
            received=str(x1.type),
        )
    return sorting.search_sorted(x1 if sorter is None else take(x1, sorter), x2, side)


# --- order, and elements that differ --------------------------------------------------------------


def sort(
    x: Any,
    /,
    *,
    axis: int = -1,
    descending: builtins.bool = False,
    stable: builtins.bool = True,
) -> Tensor:
    """The elements along an axis in order; equal ones keep theirs, NaN comes last."""
    return sorting.sort(array("sort", x), axis, descending)


def argsort(
    x: Any,
    /,
    *,
    axis: int = -1,
    descending: builtins.bool = False,
    stable: builtins.bool = True,
) -> Tensor:
    """The indices (int32) along an axis that `sort` takes the elements from."""
    return sorting.argsort(array("argsort", x), axis, descending)

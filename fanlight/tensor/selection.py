"""Elements chosen by what they are: how many there are depends on the numbers.

Outside of traced functions the results are as long as they need to be. In a traced function shapes
are fixed: there `size` says how long, what is missing is filled in, and what is too much left out.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.core import Tensor, apply, caller, cast, promoted, tensor
from fanlight.tensor.functions import axis_of, expand_dims, full, reshape, stack
from fanlight.tensor.indices import gather
from fanlight.tensor.known import count, numbers_of
from fanlight.tensor.scans import cumsum


def where_indices(condition: Any, size: int | None = None) -> Tensor:
    """int32 [n, rank]: the indices of the elements that are true (are not 0), in row-major order.

    Args:
        condition: of any shape.
        size: n; rows that are left over hold -1. Default: as many as there are.

    Raises:
        FanlightError: E-TENSOR-003 no size in a traced function. Source: tf.where, numpy.argwhere.
    """
    condition = cast(condition, "bool")
    flat = _flat("where_indices", condition, size)
    columns, step = [], prod(condition.shape)
    for n in condition.shape:
        step //= max(n, 1)
        column = apply("floor_mod", apply("floor_div", flat, tensor(max(step, 1))), tensor(n or 1))
        columns.append(apply("select", apply("less", flat, tensor(0)), tensor(-1), column))
    if not columns:
        return tensor(np.zeros((flat.shape[0], 0), np.int32))
    return stack(columns, 1)


def _flat(function: str, mask: Tensor, size: int | None) -> Tensor:
    """int32 [size]: the places of the true elements of a mask, which is flat; -1 for none."""
    flat = reshape(mask, (mask.size,))
    if size is None:
        numbers = numbers_of(
            function, "the mask", flat, f"give the size: fl.{function}(..., size=10)."
        )
        return tensor(np.flatnonzero(numbers).astype(np.int32))
    size = count(function, "size", size)
    turn = cumsum(flat) - 1
    # Those that are false go outside, where they are left out.
    places = apply("select", flat, turn, tensor(size))
    all_places = tensor(np.arange(mask.size, dtype=np.int32))
    column = reshape(places, (mask.size, 1))
    result: Tensor = apply("scatter_nd", column, all_places, shape=(size,), mode="update", value=-1)
    return result


def nonzero(x: Any, size: int | None = None) -> tuple[Tensor, ...]:
    """Per dim of x the indices (int32 [n]) of the elements that are not 0: numpy.nonzero.

    Args and errors as of `where_indices`, of which these are the columns.
    """
    found = where_indices(x, size)
    return tuple(found[:, d] for d in range(found.shape[1]))


def boolean_mask(x: Any, mask: Any, axis: int = 0, size: int | None = None) -> Tensor:
    """[before, n, after]: the slices of x where a mask is true.

    Args:
        x: [before, mask's dims, after].
        mask: truth values of the shape of x's dims from `axis` on.
        axis: the first dim of the mask.
        size: n; slices that are left over hold zeros. Default: as many as there are.

    Raises:
        FanlightError: E-TENSOR-003 no size in a traced function; E-OP-004 a mask of another shape.
        Source: tf.boolean_mask, tf.booleanMaskAsync.
    """
    x, mask = tensor(x), tensor(mask)
    axis = axis_of(x.type, axis, "boolean_mask")
    dims = x.shape[axis : axis + mask.rank]
    if mask.dtype != "bool" or mask.shape != dims or not mask.rank:
        raise FanlightError(
            "E-OP-004",
            "boolean_mask cannot take a mask of this shape.",
            where=f"boolean_mask mask, {caller()}",
            expected=f"truth values of the first dims of {list(x.shape[axis:])}",
            received=str(mask.type),
        )
    flat = _flat("boolean_mask", mask, size)
    x = reshape(x, (*x.shape[:axis], mask.size, *x.shape[axis + mask.rank :]))
    if size is None:
        return gather(x, flat, axis)
    order = [axis, *(d for d in range(x.rank) if d != axis)]
    first = apply("transpose", x, perm=tuple(order)) if axis else x
    found: Tensor = apply("gather_nd", first, reshape(flat, (flat.size, 1)), outside="zero")
    back = tuple(order.index(d) for d in range(x.rank))
    return apply("transpose", found, perm=back) if axis else found


def unique(x: Any, axis: int | None = None, size: int | None = None) -> tuple[Tensor, Tensor]:
    """The different elements (or slices along an axis) in the order in which they come first.

    Args:
        x: any dtype. NaN equals NaN.
        axis: None: x is flat for it.
        size: n, where x is flat: values that are left over hold 0. Default: as many as there are.

    Returns:
        values [n], or x with n slices along the axis; and int32 indices [size of x, or of the
        axis]: which of the values each one is.

    Raises:
        FanlightError: E-TENSOR-003 no size in a traced function; E-OP-005 a size and an axis.
        Source: tf.unique, tf.raw_ops.UniqueV2.
    """
    x = tensor(x)
    if size is not None:
        if axis is not None and x.rank != 1:
            raise FanlightError(
                "E-OP-005",
                "unique takes a size for single elements only.",
                where=f"unique size, {caller()}",
                expected="no axis, or no size",
                received=f"size {size}, axis {axis}, x {x.type}",
            )
        return _unique_of_size(reshape(x, (x.size,)), size)
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    axis = axis_of(x.type, axis, "unique")
    array = numbers_of("unique", "x", x, "give the size: fl.unique(x, size=10).")
    slices = array.shape[axis]
    rows = np.moveaxis(array, axis, 0).reshape(slices, array.size // max(1, slices))
    if rows.dtype == bool:
        rows = rows.astype(np.uint8)
    if rows.dtype == object and rows.shape[1] != 1:
        numbers = np.unique(rows, return_inverse=True)[1]  # NumPy compares no rows of strings
        rows = numbers.reshape(rows.shape).astype(np.int32)
    if rows.size:
        first, inverse = _by_first(rows)
    else:
        first, inverse = np.arange(min(1, slices)), np.zeros(slices, np.int32)
    values = gather(x, tensor(first.astype(np.int32)), axis)
    return values, tensor(inverse.astype(np.int32))


def _unique_of_size(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """By sorting: equal elements are neighbours then, the first of them in front."""
    size, many = count("unique", "size", size), x.size
    if not many:
        return full(size, 0, x.dtype), tensor(np.zeros(0, np.int32))
    values, order = apply("sort", cast(x, "int32") if x.dtype in ("bool", "uint8") else x)
    before, after = values[:-1], values[1:]
    new = apply("not_equal", before, after)
    if x.dtype == "float32":
        new = apply("logical_and", new, apply("equal", before, before))  # one NaN after another
    new = apply("concat", tensor([True]), new, axis=0)
    group = cumsum(new) - 1

    def put(places: Tensor, what: Any, value: int = 0) -> Tensor:
        column = reshape(places, (many, 1))
        result: Tensor = apply(
            "scatter_nd", column, what, shape=(many,), mode="update", value=value
        )
        return result

    # Where each group is first; groups that there are not come last in the order of that.
    first = put(apply("select", new, group, tensor(many)), order, many)
    first, which = apply("sort", first)
    rank = put(which, tensor(np.arange(many, dtype=np.int32)))
    inverse = put(order, apply("gather", rank, group, axis=0))
    missing = tensor(np.full(max(0, size - many), many, np.int32))
    first = apply("concat", first, missing, axis=0)[:size] if missing.size else first[:size]
    found: Tensor = apply("gather_nd", x, reshape(first, (size, 1)), outside="zero")
    return found, inverse


def _by_first(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each different row is first, and which each row is; NaN equals NaN, 0 equals -0."""
    if rows.dtype.kind == "f":
        rows = np.where(np.isnan(rows), np.float32(np.nan), rows + np.float32(0)).view(np.int32)
    single = rows.shape[1] == 1  # much faster
    _, first, inverse = np.unique(
        rows[:, 0] if single else rows,
        axis=None if single else 0,
        return_index=True,
        return_inverse=True,
    )
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse.reshape(-1)]


def setdiff1d(x: Any, y: Any, size: int | None = None) -> tuple[Tensor, Tensor]:
    """The elements of x [n] that are not in y [m], in their order, and their indices (int32).

    Args:
        size: how many; those left over hold 0 and the index -1. With a size each element is
            compared with each. Default: as many as there are.

    Raises:
        FanlightError: E-TENSOR-003 no size in a traced function; E-OP-004 x or y has not one dim.
        Source: tf.setdiff1dAsync, tf.raw_ops.ListDiff.
    """
    x, y = promoted(x, y)
    if x.rank != 1 or y.rank != 1:
        raise FanlightError(
            "E-OP-004",
            "setdiff1d takes vectors.",
            where=f"setdiff1d, {caller()}",
            expected="[n] and [m]",
            received=f"{x.type} and {y.type}",
        )
    if size is not None:
        found = apply("any", apply("equal", expand_dims(x, 1), y), axes=(1,), keepdims=False)
        places = _flat("setdiff1d", apply("logical_not", found), size)
        return apply("gather_nd", x, expand_dims(places, 1), outside="zero"), places
    instead = "give the size: fl.setdiff1d(x, y, size=10)."
    numbers = numbers_of("setdiff1d", "x", x, instead)
    others = numbers_of("setdiff1d", "y", y, instead)
    kept = tensor(np.flatnonzero(~np.isin(numbers, others)).astype(np.int32))
    return gather(x, kept), kept

"""Functions that take and put elements by their indices.

An index outside of its dim is an error (E-TENSOR-007) where the numbers are known. In a traced
function they are not: there what is taken is taken from the nearest place inside, and what is put
outside is left out.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.arguments import as_wholes, refused, whole_number
from fanlight.tensor.core import Tensor, apply, caller, promoted, tensor
from fanlight.tensor.functions import axis_of, broadcast_to, concat, reshape, shape_of, transpose
from fanlight.tensor.known import inside, tuples_inside, whole


def gather(x: Any, indices: Any, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """The slices of x at some indices along an axis.

    Args:
        x: [..., n, ...].
        indices: whole numbers of any shape, 0 to n - 1; it takes the place of the axis.
        axis: the dim that they count; negative counts from the end.
        batch_dims: so many first dims of x and of the indices belong together: each batch has
            indices of its own, and those dims are in the result once (tf.gather).

    Raises:
        FanlightError: E-TENSOR-007 an index outside; E-OP-004, E-OP-005 shapes or axes that do
            not fit. In a traced function an index outside is clipped into the dim.
    """
    x, indices = tensor(x), whole("gather", "indices", indices)
    axis = axis_of(x.type, axis, "gather")
    inside("gather", "indices", indices, 0, x.shape[axis] - 1)
    batch_dims = whole_number("gather", "batch_dims", batch_dims, -indices.rank, indices.rank)
    if not batch_dims:
        result: Tensor = apply("gather", x, indices, axis=axis)
        return result
    batch = batch_dims + indices.rank if batch_dims < 0 else batch_dims
    if batch > axis or x.shape[:batch] != indices.shape[:batch]:
        raise FanlightError(
            "E-OP-004",
            "gather cannot take indices of this shape.",
            where=f"gather indices, {caller()}",
            expected=f"the first {batch} dims as x has them, and an axis after them",
            received=f"indices {indices.type}, x {x.type}, axis {axis}",
        )
    # One batch behind another, and the indices count on.
    first, middle, after = x.shape[:batch], x.shape[batch:axis], x.shape[axis + 1 :]
    size = x.shape[axis]
    order = [*range(batch), axis, *range(batch, axis), *range(axis + 1, x.rank)]
    flat = reshape(transpose(x, order), (prod(first) * size, *middle, *after))
    starts = np.arange(prod(first), dtype=np.int32).reshape(first) * np.int32(size)
    indices = apply("clip", indices, lo=0, hi=builtins.max(size - 1, 0))
    places = indices + starts.reshape(*first, *[1] * (indices.rank - batch))
    found = apply("gather", flat, places, axis=0)
    # [batch, indices, middle, after] -> [batch, middle, indices, after]
    rank, own = indices.rank, len(middle)
    order = [*range(batch), *range(rank, rank + own), *range(batch, rank)]
    return transpose(found, [*order, *range(rank + own, found.rank)])


def gather_nd(x: Any, indices: Any) -> Tensor:
    """x [d1, ..., dr] at tuples [..., k] of indices of its first dims: [..., d(k+1), ..., dr].

    Raises:
        FanlightError: E-TENSOR-007 an index outside (clipped in a traced function); E-OP-004 tuples
            of more indices than x has dims. Source: tf.gather_nd.
    """
    x, indices = tensor(x), whole("gather_nd", "indices", indices)
    result: Tensor = apply("gather_nd", x, tuples_inside("gather_nd", indices, x.shape))
    return result


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Tensor:
    """Along an axis, x at indices of its own for every other place (numpy.take_along_axis).

    Args:
        x: [..., n, ...].
        indices: whole numbers 0 to n - 1 of the shape of x but for the axis, or 1 where they are
            the same for all of a dim.
        axis: the dim that they count.

    Raises:
        FanlightError: E-TENSOR-007 an index outside (clipped in a traced function); E-OP-004 other
            shapes.
    """
    x, indices = tensor(x), whole("take_along_axis", "indices", indices)
    axis = axis_of(x.type, axis, "take_along_axis")
    size = x.shape[axis]
    if indices.rank != x.rank:
        raise FanlightError(
            "E-OP-004",
            "take_along_axis cannot take indices of this shape.",
            where=f"take_along_axis indices, {caller()}",
            expected=f"{x.rank} dims, as x has",
            received=str(indices.type),
        )
    inside("take_along_axis", "indices", indices, 0, size - 1)
    order = [*(d for d in builtins.range(x.rank) if d != axis), axis]
    wanted = [*(x.shape[d] for d in order[:-1]), indices.shape[axis]]
    places = broadcast_to(transpose(indices, order), wanted)
    rows = prod(wanted[:-1])
    places = apply("clip", reshape(places, (rows, wanted[-1])), lo=0, hi=builtins.max(size - 1, 0))
    places = places + np.arange(rows, dtype=np.int32)[:, None] * np.int32(size)
    flat = reshape(transpose(x, order), (rows * size,))
    found = reshape(apply("gather", flat, places, axis=0), wanted)
    return transpose(found, [order.index(d) for d in builtins.range(x.rank)])


# --- putting --------------------------------------------------------------------------------------


def scatter_nd(indices: Any, updates: Any, shape: Sequence[int]) -> Tensor:
    """Zeros of a shape [d1, ..., dr] to which updates are added at tuples of indices.

    Args:
        indices: [..., k], indices of the first k dims.
        updates: [..., d(k+1), ..., dr]; those of one place add up.
        shape: of the result.

    Raises:
        FanlightError: E-TENSOR-007 an index outside (left out in a traced function); E-OP-004
            shapes that do not fit. Source: tf.scatter_nd.
    """
    sizes = shape_of(shape)
    indices = tuples_inside("scatter_nd", whole("scatter_nd", "indices", indices), sizes)
    result: Tensor = apply("scatter_nd", indices, updates, shape=sizes)
    return result


def scatter_add(x: Any, indices: Any, updates: Any) -> Tensor:
    """x [n, ...] with updates [indices..., ...] added to its slices at indices of its first dim.

    Raises:
        FanlightError: as `tensor_scatter_add`. Source: jax.numpy.ndarray.at[indices].add.
    """
    column = whole("scatter_add", "indices", indices)
    return _scattered("scatter_add", x, reshape(column, (*column.shape, 1)), updates, "add")


def tensor_scatter_update(x: Any, indices: Any, updates: Any) -> Tensor:
    """x [d1, ..., dr] with its slices at tuples [..., k] of indices replaced by updates
    [..., d(k+1), ..., dr]; of several for one place the last counts.

    Raises:
        FanlightError: E-TENSOR-007 an index outside (left out in a traced function); E-OP-004
            shapes that do not fit. Source: tf.tensor_scatter_nd_update.
    """
    return _scattered("tensor_scatter_update", x, indices, updates, "update")


def tensor_scatter_add(x: Any, indices: Any, updates: Any) -> Tensor:
    """x with updates added at tuples of indices; otherwise as `tensor_scatter_update`."""
    return _scattered("tensor_scatter_add", x, indices, updates, "add")


def tensor_scatter_sub(x: Any, indices: Any, updates: Any) -> Tensor:
    """x with updates subtracted at tuples of indices; otherwise as `tensor_scatter_update`."""
    x, updates = promoted(x, updates)
    return _scattered("tensor_scatter_sub", x, indices, apply("neg", updates), "add")


def tensor_scatter_max(x: Any, indices: Any, updates: Any) -> Tensor:
    """The greater of x and updates at tuples of indices; otherwise as `tensor_scatter_update`."""
    return _scattered("tensor_scatter_max", x, indices, updates, "max")


def tensor_scatter_min(x: Any, indices: Any, updates: Any) -> Tensor:
    """The smaller of x and updates at tuples of indices; otherwise as `tensor_scatter_update`."""
    return _scattered("tensor_scatter_min", x, indices, updates, "min")


def _scattered(function: str, x: Any, indices: Any, updates: Any, mode: str) -> Tensor:
    x, updates = promoted(x, updates)
    indices = tuples_inside(function, whole(function, "indices", indices), x.shape)
    result: Tensor = apply("scatter_nd", indices, updates, x, mode=mode)
    return result


def sparse_to_dense(indices: Any, values: Any, shape: Sequence[int], default: Any = 0) -> Tensor:
    """A tensor that holds values at some places and a default elsewhere.

    Args:
        indices: [n, r] with the shape's r dims; [n] or one number where it has one dim.
        values: [n], or one value for all places.
        shape: of the result.
        default: one value.

    Raises:
        FanlightError: E-TENSOR-007 an index outside (left out in a traced function); E-OP-004
            shapes that do not fit. Source: tf.sparse.to_dense.
    """
    sizes = shape_of(shape)
    indices = whole("sparse_to_dense", "indices", indices)
    if indices.rank < 2:
        indices = reshape(indices, (-1 if indices.size else 0, 1))
    tuples_inside("sparse_to_dense", indices, sizes)
    values, default = promoted(values, default)
    count = indices.shape[0]
    values = broadcast_to(values, (count,)) if values.size == 1 else values
    filled = broadcast_to(default, sizes)
    result: Tensor = apply("scatter_nd", indices, values, filled, mode="update")
    return result


def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    """x moved on along its axes; what falls off the end comes in at the start.

    Args:
        shift: by how many places; one number, or one per axis.
        axis: None: x is flat for it, and gets its shape back (numpy.roll).

    Raises:
        FanlightError: E-OP-005 an axis that x does not have, or another number of shifts.
    """
    x = tensor(x)
    if axis is None:
        flat = roll(reshape(x, (x.size,)), shift, 0)
        return reshape(flat, x.shape)
    axes = as_wholes(axis)
    axes = (axis_of(x.type, axis, "roll"),) if axes is None else axes
    shifts = as_wholes(shift)
    if shifts is None:
        shifts = (whole_number("roll", "shift", shift, None),) * len(axes)
    if len(shifts) != len(axes):
        raise refused("roll", "shift", f"{len(axes)} whole numbers, one for every axis", shift)
    for by, dim in zip(shifts, axes, strict=True):
        d = axis_of(x.type, dim, "roll")
        cut = -by % x.shape[d] if x.shape[d] else 0
        if cut:
            x = concat([_part(x, d, cut, x.shape[d]), _part(x, d, 0, cut)], d)
    return x


def _part(x: Tensor, axis: int, begin: int, end: int) -> Tensor:
    first, size = [0] * x.rank, list(x.shape)
    first[axis], size[axis] = begin, end - begin
    result: Tensor = apply("slice", x, begin=tuple(first), size=tuple(size))
    return result

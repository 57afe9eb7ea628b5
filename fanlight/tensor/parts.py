"""Tensors taken apart, and what is said about their shapes."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import as_whole, as_wholes
from fanlight.tensor.core import Tensor, apply, caller, tensor

MOST_PARTS = 1 << 20  # of an axis without elements


def split(x: Any, parts: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along an axis.

    Args:
        parts: into how many equal parts, or the size of each; one may be -1: what is left.

    Raises:
        FanlightError: E-OP-005 the parts do not make up the axis.
    """
    x = tensor(x)
    at = fn.axis_of(x.type, axis, "split")
    sizes = _sizes(parts, x.shape[at])
    if sizes is None:
        raise FanlightError(
            "E-OP-005",
            "the parts do not make up the axis.",
            where=f"split, {caller()}",
            expected=f"a divisor of {x.shape[at]}, or sizes whose sum it is",
            received=f"{parts!r} along dim {at} of {x.type}",
        )
    made, begin = [], 0
    for size in sizes:
        corner = [0] * x.rank
        corner[at] = begin
        extent = [size if d == at else n for d, n in enumerate(x.shape)]
        made.append(apply("slice", x, begin=tuple(corner), size=tuple(extent)))
        begin += size
    return tuple(made)


def _sizes(parts: Any, whole: int) -> list[int] | None:
    """The size of every part, or None."""
    given = as_wholes(parts)
    if given is None:
        count = (None if isinstance(parts, list | tuple) else as_whole(parts)) or 0
        fits = 0 < count <= MOST_PARTS and whole % count == 0
        return [whole // count] * count if fits else None
    sizes = list(given)
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = whole - builtins.sum(sizes) - 1
    return sizes if builtins.all(n >= 0 for n in sizes) and builtins.sum(sizes) == whole else None


def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along an axis, without that dim: what `stack` joins."""
    x = tensor(x)
    at = fn.axis_of(x.type, axis, "unstack")
    count = x.shape[at]
    return tuple(fn.squeeze(part, at) for part in split(x, count, at)) if count else ()


def repeat(x: Any, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Every element, or slice along an axis, several times in a row: [1, 2] gives [1, 1, 2, 2].

    Args:
        repeats: how often, or how often each of them.
        axis: None: x is flat for it.

    Raises:
        FanlightError: E-OP-005 repeats are no whole numbers from 0 on, or not one for each;
            E-TENSOR-003 they are computed in a traced function. Source: numpy.repeat.
    """
    x = tensor(x)
    if axis is None:
        x, axis = fn.reshape(x, (x.size,)), 0
    at = fn.axis_of(x.type, axis, "repeat")
    size = x.shape[at]
    one = isinstance(repeats, int | np.integer)
    counts = [repeats] if one else tensor(repeats).numpy().tolist()
    counts = counts if isinstance(counts, list) else [counts]
    whole = builtins.all(type(n) in (int, np.int32, np.int64) and n >= 0 for n in counts)
    if not whole or len(counts) not in (1, size):
        raise FanlightError(
            "E-OP-005",
            "repeat does not allow this value of repeats.",
            where=f"repeat repeats, {caller()}",
            expected=f"a whole number from 0 on, or {size} of them",
            received=repr(repeats)[:200],
        )
    before, after = x.shape[:at], x.shape[at + 1 :]
    if len(counts) == 1:
        count = int(counts[0])
        wide = fn.reshape(x, (prod(before), size, 1, prod(after)))
        wide = fn.broadcast_to(wide, (prod(before), size, count, prod(after)))
        return fn.reshape(wide, (*before, size * count, *after))
    places = np.repeat(np.arange(size, dtype=np.int32), counts)
    result: Tensor = apply("gather", x, tensor(places), axis=at)
    return result


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """x with two of its dims exchanged. Raises E-OP-005 if it has no such dims."""
    x = tensor(x)
    first, second = (fn.axis_of(x.type, axis, "swapaxes") for axis in (axis1, axis2))
    order = list(builtins.range(x.rank))
    order[first], order[second] = second, first
    return fn.transpose(x, order)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """x with some of its dims moved to other places; the others stay in their order.

    Raises:
        FanlightError: E-OP-005 it has no such dims, or there are more of one than of the other.
        Source: numpy.moveaxis.
    """
    x = tensor(x)
    taken, places = fn.axes_of(x.type, source), fn.axes_of(x.type, destination)
    if len(taken) != len(places):
        raise FanlightError(
            "E-OP-005",
            "every dim that is moved needs a place.",
            where=f"moveaxis destination, {caller()}",
            expected=f"{len(taken)} dims, as in source",
            received=repr(destination),
        )
    order = [d for d in builtins.range(x.rank) if d not in taken]
    for place, dim in sorted(zip(places, taken, strict=True)):
        order.insert(place, dim)
    return fn.transpose(x, order)


def ensure_shape(x: Any, shape: Sequence[int | None]) -> Tensor:
    """x, if it has this shape (None: any size of that dim). Raises E-OP-004."""
    x = tensor(x)
    wanted: Any = fn._sizes(shape)
    wanted = wanted if isinstance(wanted, list | tuple) else (shape,)
    if x.rank != len(wanted) or builtins.any(
        n is not None and as_whole(n) != m for n, m in zip(wanted, x.shape, strict=True)
    ):
        raise FanlightError(
            "E-OP-004",
            "a tensor has another shape than it should.",
            where=f"ensure_shape, {caller()}",
            expected=list(wanted),
            received=str(x.type),
        )
    return x


def broadcast_args(a: Any, b: Any) -> Tensor:
    """int32: the shape that two shapes (int32 [rank] each) broadcast to.

    Raises:
        FanlightError: E-OP-004 they do not; E-TENSOR-003 they are computed in a traced function.
    """
    shapes = [tuple(tensor(s, "int32").numpy().reshape(-1).tolist()) for s in (a, b)]
    try:
        found = np.broadcast_shapes(*shapes)
    except ValueError:
        raise FanlightError(
            "E-OP-004",
            "the shapes do not broadcast.",
            where=f"broadcast_args, {caller()}",
            expected="equal sizes, or 1, counted from the last dim",
            received=f"{list(shapes[0])} and {list(shapes[1])}",
        ) from None
    return tensor(np.array(found, np.int32))

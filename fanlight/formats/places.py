"""Where something is true, and what differs: results as long as numbers want, with their counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fanlight.formats.counts import Call, Count, count_of
from fanlight.formats.emitter import Tensor, dtype_of

MOST_PLACES = 1 << 22
MOST_ROWS = 1 << 12  # elements that are compared with one another


def order(call: Call, mask: Tensor) -> tuple[Tensor, Count]:
    """Where a mask [n] is true: int32 [n], zeros behind the count."""
    whole = call.em.cast(mask, "int32", f"{call.name}/ones")
    ranks = call.op("cumsum", whole, axis=0, exclusive=True, reverse=False, part="ranks")
    value = call.op("sum", whole, axes=(0,), keepdims=False, part="count")
    return _placed(call, mask, ranks), count_of(value, mask.shape[0])


def _placed(call: Call, mask: Tensor, ranks: Tensor) -> Tensor:
    """The places of what is true in the order of their ranks, zeros behind: int32 [n]."""
    size = mask.shape[0]
    # What is false goes to a place behind all, which is cut off.
    target = call.op("select", mask, ranks, np.asarray(size, np.int32), part="target")
    target = call.em.reshape(target, (size, 1), f"{call.name}/target")
    places = np.arange(size, dtype=np.int32)
    spread = call.op("scatter_nd", target, places, shape=(size + 1,), mode="add", part="spread")
    found: Tensor = call.op("slice", spread, begin=(0,), size=(size,), part="found")
    return found


def places(call: Call, x: Tensor) -> tuple[Tensor, Count]:
    """The places of what is true, or not 0: int32 [all, rank], and how many count."""
    size, rank = math.prod(x.shape), len(x.shape)
    if not 0 < size <= MOST_PLACES or not rank:
        raise call.refuse(
            "there are too many places", expected=f"1 to {MOST_PLACES:,}", received=size
        )
    mask = x
    if dtype_of(x) != "bool":
        mask = call.op("not_equal", x, call.em.const(0, dtype_of(x)), part="true")
    flat = call.em.reshape(mask, (size,), f"{call.name}/flat")
    found, count = order(call, flat)
    if rank == 1:
        return call.em.reshape(found, (size, 1), call.name), count
    columns, step = [], size
    for extent in x.shape:
        step //= extent
        column = call.op("floor_div", found, np.asarray(step, np.int32), part="column")
        column = call.op("floor_mod", column, np.asarray(extent, np.int32), part="column")
        columns.append(call.em.reshape(column, (size, 1), f"{call.name}/column"))
    return call.op("concat", *columns, axis=1), count


def same(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """[n, m] bool: which of y each of x is."""
    return _each(call, "equal", x, y)


def _each(call: Call, op: str, x: Tensor, y: Tensor) -> Tensor:
    column = call.em.reshape(x, (x.shape[0], 1), f"{call.name}/column")
    row = call.em.reshape(y, (1, y.shape[0]), f"{call.name}/row")
    made: Tensor = call.op(op, column, row, part="same")
    return made


def distinct(
    call: Call, columns: Sequence[Tensor], ascending: bool = False
) -> tuple[Tensor, Count, Tensor, Tensor]:
    """The different rows of a table of columns [n], as they come first or ascending.

    Returns:
        Where each stands first, int32 [n] with zeros behind the count; how many there are; which
        of them each row is, int32 [n]; and how often each is there, int32 [n].
    """
    size = columns[0].shape[0]
    if not 0 < size <= MOST_ROWS:
        raise call.refuse("there are too many", expected=f"1 to {MOST_ROWS:,}", received=size)
    equal, less = same(call, columns[0], columns[0]), None
    for column in columns[1:]:
        own = same(call, column, column)
        equal = call.op("logical_and", equal, own, part="same")
    whole = call.em.cast(equal, "int32", f"{call.name}/same")
    first = call.em.cast(call.op("arg_max", whole, axis=1, part="first"), "int32",
                         f"{call.name}/first")  # fmt: skip
    new = call.op("equal", first, np.arange(size, dtype=np.int32), part="new")
    ones = call.em.cast(new, "int32", f"{call.name}/new")
    if ascending:
        for column in reversed(columns):
            lower = _each(call, "greater", column, column)
            if less is not None:
                tie = call.op("logical_and", same(call, column, column), less, part="tie")
                lower = call.op("logical_or", lower, tie, part="less")
            less = lower
        assert less is not None
        row = call.em.reshape(new, (1, size), f"{call.name}/row")
        before = call.op("logical_and", less, row, part="before")
        before = call.em.cast(before, "int32", f"{call.name}/before")
        which = call.op("sum", before, axes=(1,), keepdims=False, part="which")
        found = _placed(call, new, which)
    else:
        ranks = call.op("cumsum", ones, axis=0, exclusive=True, reverse=False, part="ranks")
        which = call.op("gather", ranks, first, axis=0, part="which")
        found = _placed(call, new, ranks)
    value = call.op("sum", ones, axes=(0,), keepdims=False, part="count")
    target = call.em.reshape(which, (size, 1), f"{call.name}/target")
    often = call.op("scatter_nd", target, np.ones(size, np.int32), shape=(size,), mode="add",
                    part="often")  # fmt: skip
    return found, count_of(value, size), which, often

"""Importers of ops whose results have as many elements as the numbers say.

Where their inputs are known they are computed at import. Elsewhere the result is as long as it can
be, with a count of what is meant (fanlight/formats/counts.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.counts import bounded
from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.shaping import cut
from fanlight.formats.places import distinct, order, places

_COLUMNS = 64  # numbers of a row that is compared with others


@importer("NonZero")
def non_zero(call: Call) -> Any:
    """[rank, count]: the places of what is not 0."""
    x = call.x()
    call.made_kinds[0] = kinds.INT64
    if isinstance(x, np.ndarray):
        return np.array(np.nonzero(np.atleast_1d(x)), np.int32)
    x = x if x.shape else call.reshape(x, (1,), "row")
    found, count = places(call, x)
    return bounded(call, call.transpose(found, (1, 0), "columns"), 1, count)


@importer("Compress")
def compress(call: Call) -> Any:
    """What a condition [n] keeps of the first n along a dim, or of all elements."""
    x, condition = call.x(0), call.x(1)
    axis = call.attributes.get("axis")
    if not isinstance(axis, int):
        x = call.reshape(x, (math.prod(x.shape),), "flat")
        axis = 0
    at = call.dim(axis, len(x.shape))
    size = min(math.prod(condition.shape), x.shape[at])
    call.made_kinds[0] = call.kind(0)
    if isinstance(condition, np.ndarray):
        kept = np.nonzero(condition.reshape(-1)[:size])[0].astype(np.int32)
        return call.op("gather", x, kept, axis=at)
    flat = call.cast(call.reshape(condition, (math.prod(condition.shape),), "row"), "bool", "flags")
    if not size:
        return call.op("gather", x, np.zeros(0, np.int32), axis=at)
    found, count = order(call, cut(call, flat, 0, [size])[0])
    return bounded(call, call.op("gather", x, found, axis=at), at, count)


@importer("Unique")
def unique(call: Call) -> tuple[Any, ...]:
    """The different elements, or parts along a dim; where first; which each is; how often."""
    x, rising = call.x(0), call.flag("sorted", True)
    given = call.attributes.get("axis")
    axis = call.dim(given, len(x.shape)) if isinstance(given, int) else None
    call.made_kinds[0] = call.kind(0)
    for i in (1, 2, 3):
        call.made_kinds[i] = kinds.INT64
    if isinstance(x, np.ndarray):
        return _known_unique(x, axis, rising)
    if axis is None:
        x = call.reshape(x, (math.prod(x.shape),), "flat")
        axis, columns = 0, None
    else:
        columns = _columns(call, x, axis)
    found, count, which, often = distinct(call, columns or [x], rising)
    values = call.op("gather", x, found, part="values", axis=axis)
    return (bounded(call, values, axis, count), bounded(call, found, 0, count), which,
            bounded(call, often, 0, count))  # fmt: skip


def _columns(call: Call, x: Tensor, axis: int) -> list[Tensor]:
    """The numbers of all parts along a dim: [n] for each place within a part."""
    size = x.shape[axis]
    width = math.prod(x.shape) // max(size, 1)
    if not 1 <= width <= _COLUMNS:
        raise call.refuse(
            "its parts are too large to compare",
            expected=f"1 to {_COLUMNS} numbers each",
            received=width,
        )
    perm = [*(a for a in range(len(x.shape)) if a != axis), axis]
    table = call.reshape(call.transpose(x, perm, "last"), (width, size), "table")
    return [call.reshape(row, (size,), "column") for row in cut(call, table, 0, [1] * width)]


def _known_unique(x: np.ndarray, axis: int | None, rising: bool) -> tuple[np.ndarray, ...]:
    values, first, back, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    back = back.reshape(-1)
    if not rising:
        order_ = np.argsort(first)
        values = np.take(values, order_, axis=0 if axis is None else axis)
        place = np.empty_like(order_)
        place[order_] = np.arange(order_.size)
        first, back, counts = first[order_], place[back], counts[order_]
    return values, *(t.astype(np.int32) for t in (first, back, counts))

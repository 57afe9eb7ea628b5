"""Importers of operators whose results are as long as the numbers want.

Where their inputs are known they are computed at import. Elsewhere the result is as long as it can
be, with a count of what is meant (formats/counts.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.counts import (
    Bounded,
    Count,
    bounded,
    cleaned,
    count_of,
    first,
)
from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.places import distinct, order, places
from fanlight.formats.torch import unbacked
from fanlight.formats.torch.call import Call, importer
from fanlight.formats.torch.shaping import cut
from fanlight.formats.torch.unbacked import Labelled, argument
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor import indices as indexed
from fanlight.tensor import scans, sorting

_COLUMNS = 64  # numbers of a row that is compared with others
_MOST = 1 << 22


# --- where something is true ----------------------------------------------------------------------


@importer("nonzero", "argwhere")
def nonzero(call: Call) -> Any:
    """[count, rank]: the places of what is not 0."""
    return _found(call, cleaned(Labelled(call), argument(call)))


def _found(call: Call, x: Tensor) -> Any:
    if isinstance(x, np.ndarray):
        return np.stack(np.nonzero(np.atleast_1d(x)), -1).astype(np.int32)[:, : len(x.shape)]
    if not x.shape:
        raise call.refuse("the place of a number that has no dims", expected="1 dim or more")
    if 0 in x.shape:
        return np.zeros((0, len(x.shape)), np.int32)
    found, count = places(Labelled(call), x)
    return bounded(Labelled(call), found, 0, count)


@importer("nonzero_numpy", "where.default")
def nonzero_numpy(call: Call) -> list[Any]:
    """The same, of each dim by itself."""
    name = "condition" if "condition" in call.args else "self"
    x = cleaned(Labelled(call), argument(call, name))
    table = _found(call, x)
    return columns(call, table)


def columns(call: Call, table: Any) -> list[Any]:
    """[n, k], counted or not -> k times [n]."""
    tensor = table.tensor if isinstance(table, Bounded) else table
    size, made = tensor.shape[0], []
    for k in range(tensor.shape[1]):
        column = call.em.reshape(cut(call, tensor, 1, k, 1, f"cut{k}"), (size,), call.name(f"{k}"))
        made.append(Bounded(column, 0, table.count) if isinstance(table, Bounded) else column)
    return made


def taken(call: Call, x: Tensor, mask: Tensor, axis: int) -> Any:
    """What a mask [n] takes of the n along a dim: counted."""
    if isinstance(mask, np.ndarray):
        return call.op("gather", x, np.nonzero(mask)[0].astype(np.int32), axis=axis)
    if not mask.shape[0]:
        return cut(call, x, axis, 0, 0)
    found, count = order(Labelled(call), mask)
    return bounded(Labelled(call), call.op("gather", x, found, axis=axis), axis, count)


@importer("masked_select")
def masked_select(call: Call) -> Any:
    x, mask = call.x(), call.x("mask", "bool")
    shape = np.broadcast_shapes(tuple(x.shape), tuple(mask.shape))
    check_size(TensorType(shape, "float32"), call.where, 1 << 28)
    flat = []
    for name, t in (("self", x), ("mask", mask)):
        if tuple(t.shape) != shape:
            t = call.op("broadcast_to", t, shape=shape, part=f"wide_{name}")
        flat.append(call.em.reshape(t, (math.prod(shape),), call.name(f"flat_{name}")))
    return taken(call, flat[0], flat[1], 0)


# --- what differs ---------------------------------------------------------------------------------


def compared_rows(call: Call, x: Tensor, axis: int | None) -> tuple[Tensor, int, list[Tensor]]:
    """What is compared: the tensor, its dim, and the numbers of each part along it, as columns."""
    if dtype_of(x) == "bool":
        x = call.cast(x, "int32", "whole")
    if axis is None:
        flat = call.em.reshape(x, (math.prod(x.shape),), call.name("flat"))
        return flat, 0, [flat]
    size = x.shape[axis]
    width = math.prod(x.shape) // max(size, 1)
    if not 1 <= width <= _COLUMNS:
        raise call.refuse(
            "its parts are too large to compare",
            expected=f"1 to {_COLUMNS} numbers each",
            received=width,
        )
    perm = [*(a for a in range(len(x.shape)) if a != axis), axis]
    table = call.em.reshape(call.em.transpose(x, perm, call.name("last")), (width, size),
                            call.name("table"))  # fmt: skip
    rows = [
        call.em.reshape(cut(call, table, 0, k, 1, "row"), (size,), call.name("column"))
        for k in range(width)
    ]
    return x, axis, rows


@importer("_unique2", "_unique", "unique_dim", "unique_dim_consecutive", "unique_consecutive")
def unique(call: Call) -> list[Any]:
    """The different elements, or parts along a dim, ascending; which each is; how often."""
    x = call.x()
    axis = call.axis("dim", len(x.shape)) if call.has("dim") else None
    near = "consecutive" in call.node.target
    shape = tuple(x.shape) if axis is None else (x.shape[axis],)
    if isinstance(x, np.ndarray) and not near:
        return asked_for(call, _known_unique(x, axis, shape))
    if not math.prod(shape):
        empty = np.zeros(0, np.int32)
        none = call.em.reshape(x, (0,), call.name("none")) if axis is None else x
        return [none, empty.reshape(shape), empty]
    table, at, rows = compared_rows(call, x, axis)
    if near:
        found, count, which, often = _runs(call, rows)
    else:
        found, count, which, often = distinct(Labelled(call), rows, True)
    values = call.op("gather", table, found, part="values", axis=at)
    which = call.em.reshape(which, shape, call.name("which"))
    label = Labelled(call)
    made = [bounded(label, values, at, count), which, bounded(label, often, 0, count)]
    return asked_for(call, made)


def asked_for(call: Call, made: list[Any]) -> list[Any]:
    """Results that a program does not ask for are empty."""
    empty = np.zeros(0, np.int32)
    metas = [*call.metas, None, None, None]
    return [
        empty if m is not None and m.sizes == (0,) else t for t, m in zip(made, metas, strict=False)
    ]


def _known_unique(x: np.ndarray, axis: int | None, shape: tuple[int, ...]) -> list[np.ndarray]:
    values, back, often = np.unique(x, return_inverse=True, return_counts=True, axis=axis)
    return [values, back.reshape(shape).astype(np.int32), often.astype(np.int32)]


def _runs(call: Call, rows: list[Tensor]) -> tuple[Tensor, Count, Tensor, Tensor]:
    """Runs of equal rows, as places.distinct gives different ones."""
    size = rows[0].shape[0]

    def begins(*rows: Any) -> Any:
        new = np.ones(1, bool)
        if size == 1:
            return fn.logical_or(fn.not_equal(rows[0], rows[0]), new)
        other: Any = None
        for row in rows:
            own = fn.not_equal(row[1:], row[:-1])
            other = own if other is None else fn.logical_or(other, own)
        return fn.concat([new, other], 0)

    new = call.function(begins, *rows)
    found, count = order(Labelled(call), new)

    def numbered(new: Any) -> Any:
        which = fn.sub(scans.cumsum(fn.where(new, 1, 0), 0), 1)
        often = fn.sum(fn.where(fn.equal(np.arange(size, dtype=np.int32)[:, None], which), 1, 0), 1)
        return which, often

    if size > 1 << 12:
        raise call.refuse("there are too many", expected=f"1 to {1 << 12:,}", received=size)
    which, often = call.function(numbered, new)
    return found, count, which, often


# --- as often as numbers say ----------------------------------------------------------------------


def _bound(call: Call, hint: str) -> int:
    """How long the first result may be at most, as the program says."""
    most = call.limits.get(0, (None, None))[1]
    if most is None or not 0 <= most <= _MOST:
        raise call.refuse(
            "nothing says how long the result may be",
            expected=f"{hint} in the module: a bound of its size, at most {_MOST:,}",
            received="any size" if most is None else f"up to {most:,}",
        )
    return int(most)


@importer("bincount")
def bincount(call: Call) -> Any:
    """How often each whole number is there, up to the greatest one."""
    x, least = call.x(dtype="int32"), call.whole("minlength", 0)
    if len(x.shape) != 1 or least < 0:
        raise call.refuse("a row of numbers is wanted", received=[*x.shape, least])
    weights = call.optional("weights", "float32")
    if isinstance(x, np.ndarray) and (weights is None or isinstance(weights, np.ndarray)):
        if not call.dtype or (x < 0).any():
            raise call.refuse("numbers of 0 or more are wanted")
        made = np.bincount(x, weights, least)
        return made.astype(np.int32 if weights is None else np.float32)
    if not x.shape[0]:
        return call.em.full((least,), 0, call.dtype or "int32", call.name())
    most = _bound(call, "torch._check(counts.shape[0] <= 100)")
    check_size(TensorType((most, 2), "int32"), call.where, 1 << 26)

    def compute(x: Any, *weights: Any) -> Any:
        # What lies behind the bound is dropped.
        at = fn.expand_dims(fn.minimum(x, most), -1)
        one = weights[0] if weights else np.ones(x.shape, np.int32)
        kind = np.float32 if weights else np.int32
        made = indexed.tensor_scatter_add(fn.zeros((most + 1,), str(np.dtype(kind))), at, one)
        long = fn.maximum(fn.add(fn.max(x), 1), least)
        return made[:most], fn.minimum(long, most)

    made, long = call.function(compute, x, *([] if weights is None else [weights]))
    return bounded(Labelled(call), made, 0, count_of(long, most))


@importer("repeat_interleave.Tensor", "repeat_interleave.self_Tensor")
def repeat_interleave(call: Call) -> Any:
    """The places 0, 1, ... or parts along a dim, each as often as a number says."""
    times = call.x("repeats", "int32")
    own = "self" in call.args
    if len(times.shape) > 1:
        raise call.refuse("the numbers of times are no row", received=list(times.shape))
    x = call.x() if own else None
    axis = 0
    if x is not None:
        if not call.has("dim"):
            x = call.em.reshape(x, (math.prod(x.shape),), call.name("flat"))
        axis = call.axis("dim", len(x.shape), 0)
        if times.shape in ((), (1,)) and x.shape[axis] != 1:
            times = call.op("broadcast_to", times, shape=(x.shape[axis],), part="times")
    if not times.shape:
        times = call.em.reshape(times, (1,), call.name("times"))
    if isinstance(times, np.ndarray):
        if times.size and (times.min() < 0 or int(times.sum(dtype=np.int64)) > _MOST):
            raise call.refuse("there are too many", expected=f"at most {_MOST:,}")
        found: Any = np.repeat(np.arange(len(times), dtype=np.int32), times)
        return found if x is None else call.op("gather", x, found, axis=axis)
    count: Any = None
    if call.has("output_size"):
        count = call.get("output_size")
        most = count.most if isinstance(count, Count) else call.whole("output_size")
    else:
        most = _bound(call, "output_size=n, or torch._check(y.shape[0] <= 100)")
    check_size(TensorType((most,), "int32"), call.where, 1 << 26)

    def compute(times: Any) -> Any:
        ends = scans.cumsum(times, 0)
        at = sorting.search_sorted(ends, np.arange(most, dtype=np.int32), "right")
        return fn.minimum(at, times.shape[0] - 1), fn.minimum(fn.sum(times), most)

    if not times.shape[0] or not most:
        found, total = np.zeros(0, np.int32), np.asarray(0, np.int32)
    else:
        found, total = call.function(compute, times)
    made = found if x is None else call.op("gather", x, found, axis=axis)
    if count is not None and not isinstance(count, Count):
        return made
    return bounded(Labelled(call), made, axis, count_of(total, most) if count is None else count)


# --- a number of a tensor -------------------------------------------------------------------------


@importer("item", "_local_scalar_dense")
def item(call: Call) -> Any:
    """The number of a tensor of one: a size if it is whole, else a tensor without dims."""
    x = call.x()
    if math.prod(x.shape) != 1:
        raise call.refuse("a tensor of one number is wanted", received=list(x.shape))
    x = call.em.reshape(x, (), call.name("number"))
    if isinstance(x, np.ndarray):
        return x.item()
    if dtype_of(x) in ("float32", "bool"):
        return x
    return unbacked.plain(unbacked.from_tensor(call, call.cast(x, "int32")))


# --- boxes ----------------------------------------------------------------------------------------


@importer("torchvision.nms")
def nms(call: Call) -> Any:
    """Boxes [n, 4] and scores [n] -> which are kept, best first: counted."""
    label = Labelled(call)
    boxes, scores = argument(call, "dets"), argument(call, "scores")
    overlap = call.real("iou_threshold")
    size = min(boxes.shape[0], scores.shape[0])
    if len(boxes.shape) != 2 or boxes.shape[1] != 4 or len(scores.shape) != 1:
        raise call.refuse("boxes and scores do not fit", expected="[n, 4] and [n]")
    if not size:
        return np.zeros(0, np.int32)
    # Those behind the count have the lowest score, which keeps none.
    scores = call.cast(first(label, cleaned(label, scores, -np.inf), 0, size), "float32", "scores")
    boxes = call.cast(first(label, cleaned(label, boxes), 0, size), "float32", "boxes")
    # The op of the table drops an overlap that is equal, too; torchvision keeps it.
    limit = float(np.nextafter(np.float32(overlap), np.float32(2)))
    found, _, many = call.op(
        "non_max_suppression", boxes, scores, part="nms", max_output_size=size,
        iou_threshold=min(max(limit, 0.0), 1.0),
    )  # fmt: skip
    return bounded(label, found, 0, count_of(call.em.reshape(many, (), call.name("many")), size))

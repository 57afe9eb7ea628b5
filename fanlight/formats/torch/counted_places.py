"""Counted tensors and sizes in operators that take places: index, gather, scatter, masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.formats.counts import Bounded, Count, bounded, first, inside
from fanlight.formats.emitter import dtype_of
from fanlight.formats.places import distinct
from fanlight.formats.torch.call import HANDLERS, Call, Handler
from fanlight.formats.torch.counted import clean, only, refused, rule, tensor_of, with_
from fanlight.formats.torch.rare import contained
from fanlight.formats.torch.selection import asked_for, columns, compared_rows, taken
from fanlight.formats.torch.shaping import cut
from fanlight.formats.torch.unbacked import Labelled, argument, arguments, as_number
from fanlight.graph import Value
from fanlight.tensor import functions as fn
from fanlight.tensor import indices as indexed
from fanlight.tensor import scans
from fanlight.tensor.core import cast

# --- places ---------------------------------------------------------------------------------------


@rule("index_select")
def _index_select(call: Call, handler: Handler) -> Any:
    x = argument(call)
    return _picked(call, x, argument(call, "index"), call.axis("dim", len(x.shape), 0))


@rule("embedding")
def _embedding(call: Call, handler: Handler) -> Any:
    index = call.get("indices")
    if isinstance(call.get("weight"), Bounded) or not isinstance(index, Bounded):
        raise refused(call, "the table itself is counted")
    return Bounded(handler(with_(call, indices=clean(call, index))), index.axis, index.count)


def _picked(call: Call, x: Any, index: Any, axis: int) -> Any:
    """Places along one dim, of which x, or they themselves, are counted."""
    at = _positive(call, clean(call, index), x, axis)
    made = call.op("gather", tensor_of(x), at, axis=axis)
    if isinstance(x, Bounded) and x.axis != axis:
        if isinstance(index, Bounded):
            raise refused(call, "two dims are counted")
        place = x.axis if x.axis < axis else x.axis + len(at.shape) - 1
        return Bounded(made, place, x.count)
    return Bounded(made, axis + index.axis, index.count) if isinstance(index, Bounded) else made


def _positive(call: Call, index: Any, x: Any, axis: int) -> Any:
    """Places from the start; those from the end are counted from the last that is meant."""
    index = call.cast(index, "int32", "places")
    own = isinstance(x, Bounded) and x.axis == axis
    long = x.count.value(Labelled(call)) if own else np.asarray(x.shape[axis], np.int32)
    if isinstance(index, np.ndarray) and not (index < 0).any():
        return index
    return call.function(lambda i, n: fn.where(fn.less(i, 0), fn.add(i, n), i), index, long)


def _masked(call: Call, x: Any, mask: Any, axis: int) -> Any:
    """x[..., mask, ...]: the dims of the mask become one, of which it says how many are taken."""
    own = tensor_of(mask)
    rank = len(own.shape)
    whole = tensor_of(x)
    label = Labelled(call)
    counted_ = [m for m in (x, mask) if isinstance(m, Bounded)]
    places = {m.axis - (0 if m is mask else axis) for m in counted_}
    if any(not 0 <= p < rank for p in places) or len(places) > 1:
        raise refused(call, "two dims are counted")
    flags = clean(call, mask, False)
    for place in places:  # as long as the shorter one; a counted x says what is meant, too
        size = min(whole.shape[axis + place], own.shape[place])
        whole, flags = first(label, whole, axis + place, size), first(label, flags, place, size)
        if isinstance(x, Bounded) and not isinstance(mask, Bounded):
            flags = clean(call, Bounded(flags, place, x.count), False)
    if tuple(flags.shape) != tuple(whole.shape[axis : axis + rank]):
        raise call.refuse("the mask does not fit", received=list(flags.shape))
    size = math.prod(flags.shape)
    shape = (*whole.shape[:axis], size, *whole.shape[axis + rank :])
    whole = call.em.reshape(whole, shape, call.name("flat"))
    flags = call.em.reshape(flags, (size,), call.name("mask"))
    return taken(call, whole, flags, axis)


def _is_mask(index: Any) -> bool:
    return index is not None and dtype_of(tensor_of(index)) == "bool"


def indexed_by_mask(call: Call) -> bool:
    """Whether a node takes what a mask says that is computed: how much is not known."""
    name = call.node.target.split(".")[1].removesuffix("_")
    if name not in ("index", "_unsafe_index", "index_put", "_unsafe_index_put"):
        return False
    given = call.get("indices")
    return isinstance(given, list) and any(
        isinstance(i, Value) and i.dtype == "bool" for i in given
    )


@rule("index", "_unsafe_index")
def _index(call: Call, handler: Handler) -> Any:
    x, given = argument(call), arguments(call, "indices", True)
    used = [i for i in given if i is not None]
    if len(used) == 1:
        axis = next(a for a, i in enumerate(given) if i is not None)
        take = _masked if _is_mask(used[0]) else _picked
        return take(call, x, used[0], axis)
    indices = _separate(call, x, given)
    axes = [a for a, i in enumerate(indices) if i is not None]
    if isinstance(x, Bounded):
        if x.axis not in axes:
            raise refused(call, "two dims are counted")
        x = x.tensor
    found = [i for i in indices if isinstance(i, Bounded)]
    if not found:
        return handler(with_(call, self=x, indices=indices))
    back = {len(i.shape) - i.axis for i in found}
    wide = max(len(i.shape) for i in indices if i is not None)
    if len(back) > 1:
        raise refused(call, "two dims are counted")
    (behind,) = back
    size = min(i.shape[i.axis] for i in found)
    plain = [
        first(Labelled(call), clean(call, i), i.axis, size) if isinstance(i, Bounded) else i
        for i in indices
    ]
    made = handler(with_(call, self=x, indices=plain))
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    return Bounded(made, (axes[0] if together else 0) + wide - behind, found[0].count)


def _separate(call: Call, x: Any, given: Sequence[Any]) -> list[Any]:
    """Masks among several indices as the places that they take, one for each of their dims."""
    made: list[Any] = []
    for index in given:
        if not _is_mask(index) or isinstance(index, np.ndarray):
            made.append(index)
            continue
        table = HANDLERS["aten.nonzero"](with_(call, self=index))
        made += columns(call, table)
    return made


@rule("gather", "take_along_dim")
def _gather(call: Call, handler: Handler) -> Any:
    name = "index" if "index" in call.args else "indices"
    x, index = argument(call), argument(call, name)
    axis = call.axis("dim", len(x.shape))
    at = clean(call, index)
    if isinstance(x, Bounded) and x.axis != axis:
        if not isinstance(index, Bounded) or index.axis != x.axis:
            raise refused(call, "two dims are counted")
        size = min(x.shape[x.axis], index.shape[x.axis])
        label = Labelled(call)
        plain = first(label, x.tensor, x.axis, size), first(label, at, x.axis, size)
        made = handler(with_(call, **{"self": plain[0], name: plain[1]}))
        return Bounded(made, x.axis, x.count)
    made = handler(with_(call, **{"self": tensor_of(x), name: at}))
    return Bounded(made, index.axis, index.count) if isinstance(index, Bounded) else made


def _with_room(call: Call, x: Any, axis: int) -> tuple[Any, int]:
    """The tensor with one more place along a dim, for what is behind a count; and its number."""
    size = x.shape[axis]
    kind = dtype_of(x)
    x = call.cast(x, "int32", "whole") if kind == "bool" else x
    pads = [(0, int(a == axis)) for a in range(len(x.shape))]
    value: Any = 0.0 if kind == "float32" else 0
    wide = call.op("pad", x, paddings=tuple(pads), value=value, part="room")
    return call.cast(wide, kind, "wide"), size


@rule("index_put", "_unsafe_index_put")
def _index_put(call: Call, handler: Handler) -> Any:
    x, given, values = argument(call), arguments(call, "indices", True), argument(call, "values")
    used = [i for i in given if i is not None]
    masked = len(used) == 1 and _is_mask(used[0]) and given[0] is not None
    if masked and not call.flag("accumulate"):
        return _put_mask(call, x, used[0], values)
    if isinstance(x, Bounded):
        raise refused(call, "it writes into a counted tensor")
    indices = _separate(call, x, given)
    found = [i for i in indices if isinstance(i, Bounded)]
    if not found or any(len(i.shape) != 1 for i in found):
        raise refused(call, "its places are no rows")
    axis = next(a for a, i in enumerate(indices) if isinstance(i, Bounded))
    wide, size = _with_room(call, x, axis)
    long = min(i.shape[0] for i in found)
    if isinstance(values, Bounded):
        if values.axis:
            raise refused(call, "two dims are counted")
        long = min(long, values.shape[0])
        values = first(Labelled(call), values.tensor, 0, long)
    for a, i in enumerate(indices):
        if isinstance(i, Bounded):
            at = first(Labelled(call), _positive(call, i.tensor, x, a), 0, long)
            fill = size if a == axis else 0
            indices[a] = clean(call, Bounded(at, 0, i.count), fill)
    made = handler(with_(call, self=wide, indices=indices, values=values))
    return cut(call, made, axis, 0, size)


def _put_mask(call: Call, x: Any, mask: Any, values: Any) -> Any:
    """x where a mask is false, and the values one after the other where it is true."""
    label = Labelled(call)
    whole, flags, count = tensor_of(x), tensor_of(mask), None
    for one in (x, mask):
        if isinstance(one, Bounded):
            if one.axis:
                raise refused(call, "another dim than the first is counted")
            count = one.count
    size = min(whole.shape[0], flags.shape[0])
    whole, flags = first(label, whole, 0, size), first(label, flags, 0, size)
    if isinstance(mask, Bounded):
        flags = clean(call, Bounded(flags, 0, mask.count), False)
    rank, new = len(flags.shape), tensor_of(values)
    rows = math.prod(flags.shape)
    rest = tuple(whole.shape[rank:])
    if not hasattr(new, "shape"):
        raise call.refuse("the values are no tensor", received=repr(new)[:80])
    new = call.cast(new, dtype_of(whole), "values")
    alone = len(new.shape) <= len(rest)  # one value for all that is true
    many = 1 if alone else new.shape[0]
    if isinstance(values, Bounded) and (values.axis or alone):
        raise refused(call, "the values do not fit")

    def compute(x: Any, mask: Any, values: Any) -> Any:
        if not alone:
            flat = cast(fn.reshape(mask, (rows,)), "int32")
            place = fn.clip(fn.sub(scans.cumsum(flat, 0), 1), 0, many - 1)
            values = indexed.gather(values, place)
            values = fn.reshape(fn.broadcast_to(values, (rows, *rest)), (*mask.shape, *rest))
        wide = fn.reshape(mask, (*mask.shape, *(1 for _ in rest)))
        return fn.where(wide, values, x)

    made = call.function(compute, whole, flags, new) if many else whole
    return made if count is None else Bounded(made, 0, count)


@rule("index_add", "index_copy", "index_fill", "scatter", "scatter_add", "scatter_reduce")
def _scatter(call: Call, handler: Handler) -> Any:
    """Behind the count, all is written to a place that is cut off."""
    x, index = argument(call), argument(call, "index")
    if isinstance(x, Bounded) or not isinstance(index, Bounded):
        raise refused(call, "it writes into a counted tensor")
    axis = call.axis("dim", len(x.shape))
    scattered = "scatter" in call.node.target
    name = next((n for n in ("source", "src", "value") if n in call.args), "value")
    values = argument(call, name)
    label = Labelled(call)
    if scattered and index.axis != axis:
        raise refused(call, "another dim than that of its places is counted")
    long = index.shape[index.axis]
    if isinstance(values, Bounded):
        if values.axis != (axis if not scattered else index.axis):
            raise refused(call, "two dims are counted")
        long = min(long, values.shape[values.axis])
        values = first(label, values.tensor, values.axis, long)
    at = first(label, _positive(call, index.tensor, x, axis), index.axis, long)
    wide, size = _with_room(call, x, axis)
    at = clean(call, Bounded(at, index.axis, index.count), size)
    made = handler(with_(call, **{"self": wide, "index": at, name: values}))
    return cut(call, made, axis, 0, size)


# --- what is found in what was found --------------------------------------------------------------


@rule("masked_select")
def _masked_select(call: Call, handler: Handler) -> Any:
    x, mask = argument(call), argument(call, "mask")
    if tuple(x.shape) != tuple(mask.shape):
        raise refused(call, "the mask is not of its shape")
    return _masked(call, x, mask, 0)


@rule("_unique2", "_unique", "unique_dim")
def _unique(call: Call, handler: Handler) -> Any:
    """Those behind the count are one more, after all others."""
    x = only(call)
    axis = call.axis("dim", len(x.shape)) if call.has("dim") else None
    if axis not in (None, x.axis) or (axis is None and len(x.shape) > 1):
        raise refused(call, "another dim than the counted one is looked through")
    label = Labelled(call)
    table, at, rows = compared_rows(call, clean(call, x), axis)
    size = table.shape[at]
    late = call.op("greater_equal", np.arange(size, dtype=np.int32), x.count.value(label),
                   part="late")  # fmt: skip
    column = call.em.cast(late, "int32", call.name("behind"))
    found, count, which, often = distinct(label, [column, *rows], True)
    last = call.op("max", column, axes=(0,), keepdims=False, part="any_behind")
    total = call.op("sub", count.value(label), last, part="total")
    number = Count(0, ((total, 1, size),))
    values = call.op("gather", table, found, part="values", axis=at)
    made = [bounded(label, values, at, number), Bounded(which, 0, x.count),
            bounded(label, often, 0, number)]  # fmt: skip
    return asked_for(call, made)


@rule("isin")
def _isin(call: Call, handler: Handler) -> Any:
    """Nothing is one of the numbers behind the count."""
    call = with_(call, **{k: as_number(Labelled(call), v) for k, v in call.args.items()})
    names = ("elements", "element"), ("test_elements", "test_element")
    a, b = (argument(call, next((n for n in p if n in call.args), p[0])) for p in names)
    own = inside(Labelled(call), b) if isinstance(b, Bounded) else None
    made = contained(call, tensor_of(a), tensor_of(b), own)
    return Bounded(made, a.axis, a.count) if isinstance(a, Bounded) else made

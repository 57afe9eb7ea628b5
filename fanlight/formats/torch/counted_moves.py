"""Counted tensors and sizes in operators that move elements: shapes, parts, places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight.formats.counts import Bounded, Count, bounded, counted, first
from fanlight.formats.emitter import dtype_of
from fanlight.formats.torch import unbacked
from fanlight.formats.torch.call import Call, Handler
from fanlight.formats.torch.counted import (
    clean,
    concerns,
    each_of,
    only,
    refused,
    rule,
    tensor_of,
    with_,
)
from fanlight.formats.torch.shaping import cut, order_of
from fanlight.formats.torch.unbacked import Labelled, argument, arguments, size_of, sizes_of

Rule = Callable[[Call, Handler], Any]
_END = 2**31 - 1  # what a program writes for "to the end" is this or more


# --- shapes ---------------------------------------------------------------------------------------


@rule("view", "reshape", "_unsafe_view", "view_copy", "_reshape_alias")
def _view(call: Call, handler: Handler) -> Any:
    sizes = sizes_of(call, "shape" if "shape" in call.args else "size")
    x = argument(call)
    if not isinstance(x, Bounded):
        return handler(replace(call, args={**call.args, "size": [_open(s) for s in sizes]}))
    return reshaped(call, x, sizes)


def _open(size: Any) -> Any:
    return -1 if isinstance(size, Count) else size


def reshaped(call: Call, x: Bounded, sizes: Sequence[Any]) -> Any:
    """The same elements in other dims; one size at most is a count, or -1."""
    before, behind = math.prod(x.shape[: x.axis]), math.prod(x.shape[x.axis + 1 :])
    open_ = [a for a, s in enumerate(sizes) if isinstance(s, Count) or s == -1]
    if not open_:
        # The program itself says how many there are.
        total, rest = math.prod(sizes), before * behind
        if rest and total % rest == 0 and total // rest <= x.shape[x.axis]:
            part = first(Labelled(call), x.tensor, x.axis, total // rest)
            return call.em.reshape(part, sizes, call.name())
        raise refused(call, "the sizes do not fit")
    at = open_[0]
    new = math.prod(sizes[at + 1 :])
    if len(open_) > 1 or math.prod(sizes[:at]) != before or not new:
        raise refused(call, "the counted dim is mixed with others")
    tensor, long = x.tensor, x.shape[x.axis]
    if long * behind % new:  # room up to a whole number of new rows
        step = new // math.gcd(new, behind)
        pads = [(0, -long % step if a == x.axis else 0) for a in range(len(x.shape))]
        tensor = call.op("pad", tensor, paddings=tuple(pads), value=0, part="room")
        long = tensor.shape[x.axis]
    shape = [*sizes]
    shape[at] = long * behind // new
    count = sizes[at]
    if not isinstance(count, Count):
        count = unbacked.divided(call, x.count * behind, new)
    return Bounded(call.em.reshape(tensor, shape, call.name()), at, count)


@rule("view_as", "reshape_as")
def _view_as(call: Call, handler: Handler) -> Any:
    x, other = argument(call), argument(call, "other")
    sizes: list[Any] = list(other.shape)
    if isinstance(other, Bounded):
        sizes[other.axis] = other.count
    if isinstance(x, Bounded):
        return reshaped(call, x, sizes)
    return call.em.reshape(x, [_open(s) for s in sizes], call.name())


@rule("flatten")
def _flatten(call: Call, handler: Handler) -> Any:
    x = only(call)
    rank = len(x.shape)
    start, end = call.axis("start_dim", rank, 0), call.axis("end_dim", rank, -1)
    sizes: list[Any] = list(x.shape)
    if start <= x.axis <= end:
        flat: Any = -1
    else:
        flat = math.prod(sizes[start : end + 1])
        sizes[x.axis] = x.count
    return reshaped(call, x, [*sizes[:start], flat, *sizes[end + 1 :]])


@rule("unsqueeze", "unsqueeze_copy")
def _unsqueeze(call: Call, handler: Handler) -> Any:
    x = only(call)
    axis = call.axis("dim", len(x.shape) + 1)
    return Bounded(handler(with_(call, self=x.tensor)), x.axis + (axis <= x.axis), x.count)


@rule("squeeze", "squeeze_copy")
def _squeeze(call: Call, handler: Handler) -> Any:
    x = only(call)
    axes = call.axes("dim", len(x.shape))
    gone = [a for a in axes if x.shape[a] == 1 and a != x.axis]
    shape = [d for a, d in enumerate(x.shape) if a not in gone]
    made = call.em.reshape(x.tensor, shape, call.name())
    return Bounded(made, x.axis - sum(a < x.axis for a in gone), x.count)


@rule("permute", "permute_copy", "transpose", "swapaxes", "swapdims", "transpose_copy", "t",
      "numpy_T", "mT", "adjoint", "t_copy", "movedim", "moveaxis")  # fmt: skip
def _permute(call: Call, handler: Handler) -> Any:
    x = only(call)
    plain = with_(call, self=x.tensor)
    return Bounded(handler(plain), order_of(plain).index(x.axis), x.count)


@rule("expand", "expand_copy", "broadcast_to")
def _expand(call: Call, handler: Handler) -> Any:
    x, sizes = argument(call), sizes_of(call, "size")
    axes = [i for i, s in enumerate(sizes) if isinstance(s, Count)]
    if isinstance(x, Bounded):
        at = len(sizes) - len(x.shape) + x.axis
        if len(sizes) < len(x.shape):
            raise call.refuse("size has too few dims", received=len(sizes))
        if any(a != at for a in axes):
            raise refused(call, "two dims are counted")
        sizes[at] = x.shape[x.axis]
        return Bounded(handler(with_(call, self=x.tensor, size=sizes)), at, x.count)
    if len(axes) != 1:
        raise refused(call, "two dims are counted")
    count = counted(sizes[axes[0]])
    sizes[axes[0]] = max(count.most, 0)
    made = handler(with_(call, size=sizes))
    return bounded(Labelled(call), made, axes[0], count)


@rule("expand_as")
def _expand_as(call: Call, handler: Handler) -> Any:
    x, other = argument(call), argument(call, "other")
    back = len(other.shape) - other.axis if isinstance(other, Bounded) else 0
    if not isinstance(other, Bounded):
        raise refused(call, "a counted dim is repeated")
    if isinstance(x, Bounded) and len(x.shape) - x.axis != back:
        raise refused(call, "two dims are counted")
    size = min(t.shape[t.axis] for t in (x, other) if isinstance(t, Bounded))
    given = first(Labelled(call), x.tensor, x.axis, size) if isinstance(x, Bounded) else x
    like = first(Labelled(call), other.tensor, other.axis, size)
    return Bounded(handler(with_(call, self=given, other=like)), other.axis, other.count)


@rule("repeat", "tile", "roll")
def _aside(call: Call, handler: Handler) -> Any:
    """What leaves the counted dim alone."""
    x = only(call)
    if "roll" in call.node.target:
        if x.axis in [d % len(x.shape) for d in call.ints("dims", ())] or not call.has("dims"):
            raise refused(call, "it would turn the counted dim")
        return Bounded(handler(with_(call, self=x.tensor)), x.axis, x.count)
    times = call.ints("repeats" if "repeats" in call.args else "dims")
    lead = len(times) - len(x.shape)
    if lead + x.axis >= 0 and times[lead + x.axis] != 1:
        raise refused(call, "it would repeat the counted dim")
    return Bounded(handler(with_(call, self=x.tensor)), x.axis + max(lead, 0), x.count)


@rule("flip")
def _flip(call: Call, handler: Handler) -> Any:
    x = only(call)
    axes = [a % len(x.shape) for a in call.ints("dims")]
    if x.axis not in axes:
        return Bounded(handler(with_(call, self=x.tensor)), x.axis, x.count)
    rest = [a for a in axes if a != x.axis]
    made = handler(with_(call, self=x.tensor, dims=rest)) if rest else x.tensor
    long = x.shape[x.axis]
    last = (x.count - 1).value(Labelled(call))
    at = call.op("sub", last, np.arange(long, dtype=np.int32), part="back")
    at = call.op("maximum", at, np.asarray(0, np.int32), part="places")
    return Bounded(call.op("gather", made, at, axis=x.axis), x.axis, x.count)


# --- parts ----------------------------------------------------------------------------------------


@rule("slice", "slice_copy", "narrow")
def _slice(call: Call, handler: Handler) -> Any:
    x = argument(call)
    axis = call.axis("dim", len(x.shape), 0)
    step = size_of(call, "step") if call.has("step") else 1
    start = size_of(call, "start") if call.has("start") else 0
    end = size_of(call, "end") if call.has("end") else None
    if "length" in call.args:
        end = unbacked.plain(counted(start) + size_of(call, "length"))
    if isinstance(x, Bounded) and x.axis != axis:
        if concerns([start, end]):
            raise refused(call, "two dims are counted")
        return Bounded(handler(with_(call, self=x.tensor)), x.axis, x.count)
    if not isinstance(step, int) or step < 1:
        raise refused(call, "its step depends on numbers")
    label: Any = Labelled(call)
    long = x.count if isinstance(x, Bounded) else Count(x.shape[axis])
    begin, stop = (_place(label, p, long) for p in (start, _END if end is None else end))
    number = stop - begin
    if number.least < 0:
        number = unbacked.most_of(label, number, 0)
    if step > 1:
        number = unbacked.divided(label, number + (step - 1), step)
    tensor, size = tensor_of(x), x.shape[axis]
    number = unbacked.least_of(label, number, -(-size // step)) if number.most > size else number
    if not begin.terms:
        at = min(max(begin.constant, 0), size)
        places: Any = np.arange(at, size, step, dtype=np.int32)
        if step == 1:
            return bounded(label, cut(call, tensor, axis, at, size - at), axis, number)
        return bounded(label, call.op("gather", tensor, places, axis=axis), axis, number)
    most = max(number.most, 0)
    places = np.arange(most, dtype=np.int32) * np.int32(step)
    places = call.op("add", places, begin.value(label), part="places")
    places = call.op("minimum", places, np.asarray(max(size - 1, 0), np.int32), part="inside")
    return bounded(label, call.op("gather", tensor, places, axis=axis), axis, number)


def _place(label: Any, place: Any, long: Count) -> Count:
    """Where a slice begins or ends, from 0 to `long`."""
    at = counted(place)
    if not at.terms and at.constant >= _END:
        return long
    if at.least < 0:
        if at.most >= 0 and at.terms:
            at = unbacked.most_of(label, at, 0)  # such sizes are not written from the end
        else:
            at = unbacked.most_of(label, at + long, 0)
    return unbacked.least_of(label, at, long)


@rule("select", "select_copy")
def _select(call: Call, handler: Handler) -> Any:
    x, index = argument(call), size_of(call, "index")
    axis = call.axis("dim", len(x.shape))
    if isinstance(x, Bounded) and x.axis != axis:
        if isinstance(index, Count):
            raise refused(call, "two dims are counted")
        made = handler(with_(call, self=x.tensor))
        return Bounded(made, x.axis - (axis < x.axis), x.count)
    tensor = tensor_of(x)
    if isinstance(index, int) and index >= 0:
        if index >= x.shape[axis]:
            raise refused(call, "there are never so many")
        return handler(with_(call, self=tensor))
    label: Any = Labelled(call)
    long = x.count if isinstance(x, Bounded) else Count(x.shape[axis])
    at = counted(index)
    place = (at + long if at.most < 0 else at).value(label)
    if at.least < 0 <= at.most:
        below = call.op("less", place, np.asarray(0, np.int32), part="below")
        from_end = call.op("add", place, long.value(label), part="from_end")
        place = call.op("select", below, from_end, place, part="place")
    limit = np.asarray(max(x.shape[axis] - 1, 0), np.int32)
    place = call.op("minimum", place, limit, part="inside")
    place = call.op("maximum", place, np.asarray(0, np.int32), part="place")
    return call.op("gather", tensor, place, axis=axis)


@rule("split", "split_with_sizes", "split_copy", "split_with_sizes_copy", "chunk", "unbind",
      "unbind_copy", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes")  # fmt: skip
def _split(call: Call, handler: Handler) -> Any:
    x = only(call)
    axis = call.axis("dim", len(x.shape), 0)
    if axis == x.axis:
        raise refused(call, "it would cut the counted dim")
    gone = "unbind" in call.node.target and axis < x.axis
    made = handler(with_(call, self=x.tensor))
    return each_of(made, lambda m: Bounded(m, x.axis - gone, x.count))


@rule("diagonal", "unfold", "as_strided")
def _refused(call: Call, handler: Handler) -> Any:
    raise refused(call, "it takes tensors of a known size only")


@rule("constant_pad_nd", "pad")
def _pad(call: Call, handler: Handler) -> Any:
    """Numbers beside what is counted, as rows are filled up to how many there may be."""
    x = argument(call)
    pads = sizes_of(call, "pad")
    if (
        (call.get("mode") or "constant") != "constant"
        or len(pads) % 2
        or len(pads) > 2 * len(x.shape)
    ):
        raise refused(call, "its mode is not constant")
    rank = len(x.shape)
    axes = {rank - 1 - i // 2 for i, p in enumerate(pads) if isinstance(p, Count)}
    axis = x.axis if isinstance(x, Bounded) else next(iter(axes))
    own = 2 * (rank - 1 - axis)
    before, after = pads[own : own + 2] if own < len(pads) else (0, 0)
    if axes - {axis} or isinstance(before, Count) or before < 0:
        raise refused(call, "two dims are counted, or what is put in front")
    value = call.number("value") if call.has("value") else 0
    label: Any = Labelled(call)
    count = x.count if isinstance(x, Bounded) else Count(x.shape[axis])
    tensor = clean(call, x, value)
    total = count + before + after
    total = unbacked.most_of(label, total, 0) if total.least < 0 else total
    more = max(total.most - before - x.shape[axis], 0)
    if own < len(pads):
        pads[own : own + 2] = before, more
    made = handler(with_(call, self=tensor, pad=pads))
    return bounded(label, made, axis, total)


# --- joining --------------------------------------------------------------------------------------


@rule("cat", "concat", "concatenate", "stack")
def _joined(call: Call, handler: Handler) -> Any:
    parts = arguments(call, "tensors")
    stacked = "stack" in call.node.target
    axis = call.axis("dim", len(parts[0].shape) + stacked, 0)
    kind = call.dtype or dtype_of(tensor_of(parts[0]))
    made: list[Any] = []
    for x in parts:
        if tuple(x.shape) == (0,) and not stacked:
            continue
        whole = call.cast(tensor_of(x), kind, "part")
        at = x.axis if isinstance(x, Bounded) else 0
        if stacked:
            shape = (*whole.shape[:axis], 1, *whole.shape[axis:])
            whole, at = call.em.reshape(whole, shape, call.name("row")), at + (axis <= at)
        made.append(Bounded(whole, at, x.count) if isinstance(x, Bounded) else whole)
    found = [x for x in made if isinstance(x, Bounded)]
    others = {x.axis for x in found}
    if others <= {axis}:
        total = made[0]
        for part in made[1:]:
            total = _behind(call, total, part, axis)
        return total
    if len(others) > 1:
        raise refused(call, "two dims are counted")
    (other,) = others
    size = min(x.shape[other] for x in made)
    rows = [first(Labelled(call), tensor_of(x), other, size) for x in made]
    joined = rows[0] if len(rows) == 1 else call.op("concat", *rows, axis=axis)
    return joined if len(found) < len(made) else Bounded(joined, other, found[0].count)


def _behind(call: Call, a: Any, b: Any, axis: int) -> Any:
    """b behind the last counted element of a."""
    long, more = a.shape[axis], b.shape[axis]
    total = counted(long) if not isinstance(a, Bounded) else a.count
    total = total + (b.count if isinstance(b, Bounded) else more)
    both = call.op("concat", tensor_of(a), tensor_of(b), axis=axis, part="both")
    label: Any = Labelled(call)
    if isinstance(a, Bounded):
        places = np.arange(long + more, dtype=np.int32)
        count = a.count.value(label)
        gap = call.op("sub", np.asarray(long, np.int32), count, part="gap")
        moved = call.op("add", places, gap, part="moved")
        moved = call.op("minimum", moved, np.asarray(long + more - 1, np.int32), part="last")
        own = call.op("less", places, count, part="own")
        both = call.op("gather", both, call.op("select", own, places, moved, part="at"), axis=axis)
    return bounded(label, both, axis, total)

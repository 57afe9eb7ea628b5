"""Importers of gather, scatter and slices at computed places.

gather and scatter have one general form: at each row of indices begins a box of the operand. Its
places are written out as tuples of indices, for gather_nd and scatter_nd; looking up whole slices
along one dim (embeddings) is the op gather.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.jaxpr.call import Call, importer
from fanlight.formats.jaxpr.shaping import cut


def _mode(call: Call) -> str:
    """ "clip", "fill_or_drop" or "promise_in_bounds"."""
    mode = call.params.get("mode")
    return str(getattr(mode, "name", mode)).lower()


@dataclass
class _Boxes:
    """Which places of the operand the rows of indices mean.

    Attributes:
        dims: the dims of the operand that indices count, batching ones first.
        rest: its other dims.
        batch: shape of the rows of indices.
        wide: the dims among `dims` in which boxes are larger than 1.
        index: int32 [*batch, *sizes of wide, len(dims)].
        valid: bool [*batch] whether the box lies inside; None where it is clipped.
    """

    dims: list[int]
    rest: list[int]
    batch: tuple[int, ...]
    wide: list[int]
    index: Tensor
    valid: Tensor | None


def _boxes(
    call: Call,
    shape: Sequence[int],
    indices: Tensor,
    counted: Sequence[int],
    batching: Sequence[int],
    index_batching: Sequence[int],
    sizes: Sequence[int],
) -> _Boxes:
    """`counted`: the dim of the operand that each entry of a row of indices counts."""
    batch = tuple(indices.shape[:-1])
    dims = [*batching, *counted]
    columns: list[Tensor] = []
    for place in index_batching:
        line = np.arange(batch[place], dtype=np.int32)
        columns.append(line.reshape([-1 if d == place else 1 for d in range(len(batch))]))
    valid: Tensor | None = None
    drops = _mode(call) == "fill_or_drop"
    for number, dim in enumerate(counted):
        box = (*batch, 1)
        begin = [0] * len(batch)
        start = call.reshape(cut(call, indices, (*begin, number), box), batch)
        most = shape[dim] - sizes[dim]
        if drops:
            low = call.op("greater_equal", start, call.em.const(0, "int32"))
            high = call.op("less_equal", start, call.em.const(most, "int32"))
            inside = call.op("logical_and", low, high)
            valid = inside if valid is None else call.op("logical_and", valid, inside)
        columns.append(call.op("clip", start, lo=0, hi=most))
    wide = sorted(d for d in counted if sizes[d] > 1)
    whole = (*batch, *(sizes[d] for d in wide))
    full: list[Tensor] = []
    for dim, column in zip(dims, columns, strict=True):
        at = call.reshape(column, (*column.shape, *(1 for _ in wide)))
        if dim in wide:
            shape_line = [-1 if d == dim else 1 for d in wide]
            line = np.arange(sizes[dim], dtype=np.int32).reshape(shape_line)
            at = call.op("add", at, line)
        full.append(call.reshape(call.broadcast(at, whole), (*whole, 1)))
    index = full[0] if len(full) == 1 else call.op("concat", *full, axis=len(whole))
    rest = [d for d in range(len(shape)) if d not in dims]
    return _Boxes(dims, rest, batch, wide, index, valid)


@importer("gather")
def gather(call: Call) -> Tensor:
    numbers, x = call.params["dimension_numbers"], call.x(0)
    sizes = [int(s) for s in call.params["slice_sizes"]]
    counted = [int(d) for d in numbers.start_index_map]
    batching = [int(d) for d in getattr(numbers, "operand_batching_dims", ())]
    index_batching = [int(d) for d in getattr(numbers, "start_indices_batching_dims", ())]
    gone = [*batching, *(int(d) for d in numbers.collapsed_slice_dims)]
    kept = [d for d in range(len(x.shape)) if d not in gone]
    offsets = [int(d) for d in numbers.offset_dims]
    indices = call.x(1, "int32")
    if not counted and not batching:
        raise call.refuse("it counts no dim", expected="start_index_map of at least one dim")
    # A dim that no index counts begins at its first place.
    limits = [
        x.shape[d] if d in counted or d in batching else sizes[d] for d in range(len(x.shape))
    ]
    x = cut(call, x, [0] * len(limits), limits)
    boxes = _boxes(call, x.shape, indices, counted, batching, index_batching, sizes)
    if len(boxes.dims) == 1 and not boxes.wide:
        places = call.reshape(boxes.index, boxes.batch)
        found = call.op("gather", x, places, axis=boxes.dims[0])
        order = [boxes.dims[0] + i for i in range(len(boxes.batch))]
        found = call.transpose(
            found, [*order, *(d for d in range(len(found.shape)) if d not in order)]
        )
    else:
        found = call.op("gather_nd", call.transpose(x, [*boxes.dims, *boxes.rest]), boxes.index)
    # Now [*batch, *wide, *rest]; what is kept stands in the order of the operand.
    made = [*boxes.wide, *boxes.rest]
    count = len(boxes.batch)
    ranked = sorted(made)
    found = call.transpose(found, [*range(count), *(count + made.index(d) for d in ranked)])
    found = call.reshape(found, (*boxes.batch, *(sizes[d] for d in kept)))
    others = [d for d in range(len(call.shape)) if d not in offsets]
    place = {d: count + i for i, d in enumerate(offsets)} | {d: i for i, d in enumerate(others)}
    found = call.transpose(found, [place[d] for d in range(len(call.shape))])
    if boxes.valid is None or _always(boxes.valid):
        return found
    shape = [1 if d in offsets else call.shape[d] for d in range(len(call.shape))]
    return call.op("select", call.reshape(boxes.valid, shape), found, _fill(call, found))


def _always(valid: Tensor) -> bool:
    return isinstance(valid, np.ndarray) and bool(valid.all())


def _fill(call: Call, found: Tensor) -> np.ndarray:
    """What places outside give: NaN, or of whole numbers the least (of bytes the greatest)."""
    value = call.params.get("fill_value")
    dtype = dtype_of(found)
    if value is None:
        usual = {"float32": math.nan, "int32": -(2**31), "uint8": 255, "bool": True}
        return call.em.const(usual[dtype], dtype)
    return call.em.const(np.asarray(value).reshape(-1)[0].item(), dtype)


_SCATTER = {
    "scatter": "update", "scatter-add": "add", "scatter_add": "add", "scatter-mul": "mul",
    "scatter_mul": "mul", "scatter-min": "min", "scatter_min": "min", "scatter-max": "max",
    "scatter_max": "max",
}  # fmt: skip


@importer(*_SCATTER)
def scatter(call: Call) -> Tensor:
    numbers, x = call.params["dimension_numbers"], call.x(0)
    indices, updates = call.x(1, "int32"), call.x(2)
    counted = [int(d) for d in numbers.scatter_dims_to_operand_dims]
    batching = [int(d) for d in getattr(numbers, "operand_batching_dims", ())]
    index_batching = [int(d) for d in getattr(numbers, "scatter_indices_batching_dims", ())]
    gone = [*batching, *(int(d) for d in numbers.inserted_window_dims)]
    kept = [d for d in range(len(x.shape)) if d not in gone]
    box = [int(d) for d in numbers.update_window_dims]
    sizes = [1] * len(x.shape)
    for dim, place in zip(kept, box, strict=True):
        sizes[dim] = updates.shape[place]
    if not counted and not batching:
        raise call.refuse("it counts no dim", expected="at least one dim that indices count")
    if any(sizes[d] != x.shape[d] for d in kept if d not in counted):
        raise call.refuse("updates that are smaller than the dims they go to")
    boxes = _boxes(call, x.shape, indices, counted, batching, index_batching, sizes)
    # The updates as [*batch, *wide, *rest].
    rows = [d for d in range(len(updates.shape)) if d not in box]
    made = [*boxes.wide, *boxes.rest]
    lone = [d for d in kept if d not in made]
    order = [*rows, *(box[kept.index(d)] for d in made), *(box[kept.index(d)] for d in lone)]
    updates = call.transpose(updates, order)
    updates = call.reshape(updates, updates.shape[: len(updates.shape) - len(lone)])
    index = boxes.index
    if boxes.valid is not None and not _always(boxes.valid):
        # An index outside its dim is left out.
        shape = (*boxes.batch, *(1 for _ in range(len(index.shape) - len(boxes.batch))))
        nowhere = call.em.const(-1, "int32")
        index = call.op("select", call.reshape(boxes.valid, shape), index, nowhere)
    perm = [*boxes.dims, *boxes.rest]
    base = call.transpose(x, perm)
    result = call.op("scatter_nd", index, updates, base, mode=_SCATTER[call.primitive])
    return call.transpose(result, [perm.index(d) for d in range(len(perm))])


# --- slices at computed places --------------------------------------------------------------------


def _starts(call: Call, first: int, shape: Sequence[int], sizes: Sequence[int]) -> list[Any]:
    """Where a box begins in each dim: numbers, or int32 tensors without dims; inside."""
    starts: list[Any] = []
    for dim, (n, size) in enumerate(zip(shape, sizes, strict=True)):
        known = call.whole(first + dim)
        if n == size:
            starts.append(0)
        elif known is not None:
            starts.append(min(max(known, 0), n - size))
        else:
            number = call.reshape(call.x(first + dim, "int32"), ())
            starts.append(call.op("clip", number, lo=0, hi=n - size))
    return starts


@importer("dynamic_slice")
def dynamic_slice(call: Call) -> Tensor:
    x, sizes = call.x(), [int(s) for s in call.params["slice_sizes"]]
    starts = _starts(call, 1, x.shape, sizes)
    for dim, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if isinstance(start, int):
            begin = [start if d == dim else 0 for d in range(len(x.shape))]
            x = cut(call, x, begin, [*x.shape[:dim], size, *x.shape[dim + 1 :]])
        else:
            places = call.op("add", np.arange(size, dtype=np.int32), start)
            x = call.op("gather", x, places, axis=dim)
    return x


@importer("dynamic_update_slice")
def dynamic_update_slice(call: Call) -> Tensor:
    """Each place of the result takes the update's element, where the box covers it."""
    x, update = call.x(0), call.x(1)
    starts = _starts(call, 2, x.shape, update.shape)
    mask: Tensor | None = None
    for dim, start in enumerate(starts):
        n, size = x.shape[dim], update.shape[dim]
        if n == size:
            continue
        line = np.arange(n, dtype=np.int32)
        place = call.op("sub", line, call.em.const(start, "int32") if isinstance(start, int)
                        else start)  # fmt: skip
        update = call.op("gather", update, call.op("clip", place, lo=0, hi=size - 1), axis=dim)
        low = call.op("greater_equal", place, call.em.const(0, "int32"))
        inside = call.op("logical_and", low,
                         call.op("less", place, call.em.const(size, "int32")))  # fmt: skip
        shape = [n if d == dim else 1 for d in range(len(x.shape))]
        inside = call.reshape(inside, shape)
        mask = inside if mask is None else call.op("logical_and", mask, inside)
    return update if mask is None else call.op("select", mask, update, x)

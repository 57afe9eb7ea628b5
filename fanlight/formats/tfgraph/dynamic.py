"""Importers of ops whose results are as long as numbers want: boxes, places, different elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.counts import bounded, count_of, counted
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.places import MOST_PLACES, MOST_ROWS, distinct, order, places, same
from fanlight.formats.tfgraph.call import Call, importer

_SIDE = 1 << 14  # boxes: more are no model's


# --- boxes ----------------------------------------------------------------------------------------


@importer(
    "NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5"
)
def non_max_suppression(call: Call) -> Any:
    """Indices of boxes; V5 also their scores; V4 and V5 how many (V5 of padded results)."""
    op = call.node.op
    boxes, scores = call.x(0), call.x(1)
    most = call.number(2, "the number of boxes")
    if not 0 <= most <= _SIDE:
        raise call.refuse("the number of boxes is out of range", received=most)
    overlap = call.real(3, "the overlap") if len(call.inputs) > 3 else 0.5
    least = call.real(4, "the least score") if len(call.inputs) > 4 else -np.inf
    sigma = call.real(5, "sigma") if len(call.inputs) > 5 else 0.0
    padded = op in ("NonMaxSuppressionV4", "NonMaxSuppressionV5") and call.attrs.flag(
        "pad_to_max_output_size"
    )
    size = most if padded else min(most, scores.shape[0] if scores.shape else 0)
    if not size:
        return [np.zeros(0, np.int32), np.zeros(0, np.float32), np.asarray(0, np.int32)]
    least = max(least, float(np.finfo(np.float32).min))
    indices, kept, number = call.op(
        "non_max_suppression",
        call.em.cast(boxes, "float32", f"{call.node.name}/boxes"),
        call.em.cast(scores, "float32", f"{call.node.name}/scores"),
        max_output_size=size,
        iou_threshold=overlap,
        score_threshold=least,
        soft_nms_sigma=sigma,
    )
    if not padded:
        count = count_of(number, size)
        indices, kept = bounded(call, indices, 0, count), bounded(call, kept, 0, count)
    return {
        "NonMaxSuppressionV4": [indices, number],
        "NonMaxSuppressionV5": [indices, kept, number],
    }.get(op, [indices])


# --- places ---------------------------------------------------------------------------------------


@importer("Where")
def where(call: Call) -> Any:
    """The places of what is true: int32 [count, rank]."""
    x = call.x()
    if isinstance(x, np.ndarray):
        return np.argwhere(x).astype(np.int32)
    found, count = places(call, x)
    return bounded(call, found, 0, count)


# --- different elements ---------------------------------------------------------------------------


def _row(call: Call, index: int, what: str) -> Tensor:
    x = call.x(index)
    if len(x.shape) != 1:
        raise call.refuse(f"{what} are not in a row", expected="[n]", received=list(x.shape))
    if not isinstance(x, np.ndarray) and not 0 < x.shape[0] <= MOST_ROWS:
        raise call.refuse("there are too many", expected=f"1 to {MOST_ROWS:,}", received=x.shape[0])
    return x


@importer("Unique", "UniqueV2")
def unique(call: Call) -> list[Any]:
    """The different elements as they come first, and which of them each one is."""
    x = _row(call, 0, "the elements")
    if call.node.op == "UniqueV2" and call.ints(1, "the axis") not in ((), (0,)):
        raise call.refuse("an axis that the elements do not have", received=call.ints(1, "axis"))
    if isinstance(x, np.ndarray):
        _, at, inverse = np.unique(x, return_index=True, return_inverse=True)
        rising = np.argsort(at)
        return [x[at[rising]], np.argsort(rising)[inverse.reshape(-1)].astype(np.int32)]
    found, count, which, _ = distinct(call, [x])
    return [bounded(call, call.op("gather", x, found, axis=0), 0, count), which]


@importer("ListDiff", "SetDiff1D")
def list_diff(call: Call) -> list[Any]:
    """The elements of the first row that are not in the second, and where they are."""
    x, y = _row(call, 0, "the elements"), _row(call, 1, "the others")
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        kept = np.flatnonzero(~np.isin(x, y))
        return [x[kept], kept.astype(np.int32)]
    same_ = call.em.cast(same(call, x, y), "int32", f"{call.node.name}/same")
    most = call.op("max", same_, axes=(1,), keepdims=False, part="in")
    new = call.op("equal", most, np.asarray(0, np.int32), part="new")
    found, count = order(call, new)
    elements = call.op("gather", x, found, axis=0)
    return [bounded(call, elements, 0, count), bounded(call, found, 0, count)]


# --- sparse and ragged ----------------------------------------------------------------------------


@importer("SparseFillEmptyRows")
def sparse_fill_empty_rows(call: Call) -> list[Any]:
    """Indices [n, 2] in the order of rows, values [n], a known shape and a default: both with one
    default for every row that has none, which rows these are, and where each entry went.
    """
    indices, values, default = call.x(0), call.x(1), call.x(3)
    rows = call.ints(2, "the shape")[0]
    size = values.shape[0]
    fits = len(indices.shape) == 2 and indices.shape[0] == size
    if not fits or not 0 < rows <= MOST_PLACES or not size:
        raise call.refuse("indices, values and shape do not fit", received=list(indices.shape))
    rank = indices.shape[1]
    indices = call.em.cast(indices, "int32", f"{call.node.name}/indices")
    row = call.op("slice", indices, begin=(0, 0), size=(size, 1), part="row")
    ones = np.ones(size, np.int32)
    per_row = call.op("scatter_nd", row, ones, shape=(rows,), mode="add", part="per_row")
    empty = call.op("equal", per_row, np.asarray(0, np.int32), part="empty")
    gaps = call.em.cast(empty, "int32", f"{call.node.name}/gaps")
    before = call.op("cumsum", gaps, axis=0, exclusive=True, reverse=False, part="before")
    flat = call.em.reshape(row, (size,), f"{call.node.name}/rows")
    shift = call.op("gather", before, flat, axis=0, part="shift")
    at = call.op("add", np.arange(size, dtype=np.int32), shift, part="reverse")
    filled = call.op("cumsum", per_row, axis=0, exclusive=True, reverse=False, part="filled")
    gap_at = call.op("add", filled, before, part="gap_at")
    gap_at = call.op("select", empty, gap_at, np.asarray(size + rows, np.int32), part="gap_at")
    target = call.op("concat", at, gap_at, axis=0, part="target")
    target = call.em.reshape(target, (size + rows, 1), f"{call.node.name}/target")
    new = np.zeros((rows, rank), np.int32)
    new[:, 0] = np.arange(rows)
    default = call.em.cast(default, dtype_of(values), f"{call.node.name}/default")
    defaults = call.op("broadcast_to", default, shape=(rows,), part="defaults")
    made = []
    for parts, shape in (((indices, new), (rank,)), ((values, defaults), ())):
        both = call.op("concat", *parts, axis=0, part="both")
        spread = call.op(
            "scatter_nd", target, both, shape=(size + rows + 1, *shape), mode="add", part="spread"
        )
        made.append(spread)
    added = call.op("sum", gaps, axes=(0,), keepdims=False, part="added")
    count = counted(size) + count_of(added, rows)
    return [*(bounded(call, m, 0, count) for m in made), empty, at]


@importer("SparseReshape")
def sparse_reshape(call: Call) -> list[Any]:
    """Indices [n, rank] of one shape as those of another; both shapes are known."""
    indices, old = call.x(0), call.ints(1, "the shape")
    new = list(call.ints(2, "the new shape"))
    total = math.prod(old)
    if new.count(-1) == 1:
        rest = math.prod(d for d in new if d != -1)
        new[new.index(-1)] = total // rest if rest else 0
    if math.prod(new) != total or not 0 < total < 1 << 31 or len(indices.shape) != 2:
        raise call.refuse("the shapes do not fit", expected=f"{total:,} elements", received=new)
    if indices.shape[1] != len(old):
        raise call.refuse("the indices do not fit the shape", received=list(indices.shape))
    indices = call.em.cast(indices, "int32", f"{call.node.name}/indices")
    steps = np.cumprod([1, *old[:0:-1]])[::-1].astype(np.int32).copy()
    places = call.op("mul", indices, steps, part="places")
    flat = call.op("sum", places, axes=(1,), keepdims=True, part="flat")
    wide = np.cumprod([1, *new[:0:-1]])[::-1].astype(np.int32).copy()
    share = call.op("floor_div", flat, wide, part="share")
    made = call.op("floor_mod", share, np.asarray(new, np.int32))
    return [made, np.asarray(new, np.int32)]


@importer("RaggedRange")
def ragged_range(call: Call) -> list[Any]:
    """Known starts, limits and steps -> where rows begin, and all of the rows one after another."""
    starts, limits, steps = (call.known(i, "the range").reshape(-1) for i in range(3))
    count = max(starts.size, limits.size, steps.size)
    if any(x.size not in (1, count) for x in (starts, limits, steps)) or (steps == 0).any():
        raise call.refuse("the ranges do not fit", received=[starts.size, limits.size, steps.size])
    sides = (np.broadcast_to(x, (count,)).astype(np.float64) for x in (starts, limits, steps))
    start, limit, step = sides
    long = np.maximum(np.ceil((limit - start) / step), 0)
    if not long.sum() <= MOST_PLACES:
        raise call.refuse("the ranges are too long", received=float(long.sum()))
    rows = [s + d * np.arange(int(n)) for s, d, n in zip(start, step, long, strict=True)]
    splits = np.concatenate([[0], np.cumsum(long)]).astype(np.int32)
    values = np.concatenate([*rows, np.zeros(0)]).astype(starts.dtype)
    return [splits, values]


@importer("RaggedGather")
def ragged_gather(call: Call) -> list[Any]:
    """Rows of a ragged tensor with known splits, picked by known indices."""
    ragged = call.attrs.whole("PARAMS_RAGGED_RANK", 1)
    if ragged != 1 or len(call.inputs) != 3:
        raise call.refuse("more than one ragged dim", expected=1, received=ragged)
    splits = call.known(0, "where rows begin").reshape(-1).astype(np.int64)
    values, indices = call.x(1), call.known(2, "the indices")
    rows = indices.reshape(-1).astype(np.int64)
    rising = splits.size and splits[0] == 0 and (np.diff(splits) >= 0).all()
    if not rising or splits[-1] != values.shape[0]:
        raise call.refuse("the splits do not cut the values", received=splits[:8].tolist())
    if rows.size and not 0 <= rows.min() <= rows.max() < splits.size - 1:
        raise call.refuse("an index is outside", expected=splits.size - 1, received=rows[:8])
    long = np.diff(splits)[rows]
    if long.sum() > MOST_PLACES:
        raise call.refuse("the rows are too long", received=int(long.sum()))
    parts = [np.arange(splits[r], splits[r + 1]) for r in rows]
    at = np.concatenate([*parts, np.zeros(0, np.int64)]).astype(np.int32)
    made = np.concatenate([[0], np.cumsum(long)]).astype(np.int32)
    return [made, call.op("gather", values, at, axis=0)]


@importer("RaggedTensorToTensor")
def ragged_tensor_to_tensor(call: Call) -> Any:
    """Values of known rows into a matrix, as wide as `shape` says, filled with a default."""
    kinds = call.attrs.texts("row_partition_types")
    shape = list(call.ints(0, "the shape"))
    values, default = call.x(1), call.x(2)
    if kinds == ("ROW_SPLITS",):
        splits = call.known(3, "where rows begin").reshape(-1).astype(np.int64)
        rows = np.repeat(np.arange(splits.size - 1), np.maximum(np.diff(splits), 0))
        count = splits.size - 1
    elif kinds == ("FIRST_DIM_SIZE", "VALUE_ROWIDS"):
        count = call.number(3, "the number of rows")
        rows = call.known(4, "the rows of the values").reshape(-1).astype(np.int64)
    else:
        raise call.refuse(
            "more than one ragged dim",
            expected="ROW_SPLITS, or FIRST_DIM_SIZE and VALUE_ROWIDS",
            received=kinds,
        )
    if not values.shape or rows.size != values.shape[0] or (np.diff(rows) < 0).any():
        raise call.refuse("the rows do not fit the values", received=rows[:8].tolist())
    columns = np.arange(rows.size) - np.searchsorted(rows, rows)
    if len(shape) < 2:
        shape = [-1, -1]
    count = shape[0] if shape[0] >= 0 else count
    wide = shape[1] if shape[1] >= 0 else int(columns.max(initial=-1)) + 1
    inner = tuple(values.shape[1:])
    if min(count, wide) < 0 or count * wide > MOST_PLACES:
        raise call.refuse("the matrix is too large", received=[count, wide])
    source = np.zeros((count, wide), np.int32)
    kept = (rows >= 0) & (rows < count) & (columns < wide)
    source[rows[kept], columns[kept]] = np.flatnonzero(kept) + 1
    default = call.em.cast(default, dtype_of(values), f"{call.node.name}/default")
    row = call.op("broadcast_to", default, shape=(1, *inner), part="default")
    return call.op("gather", call.op("concat", row, values, axis=0, part="all"), source, axis=0)

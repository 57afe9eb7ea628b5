"""Importers of scans, of what is taken and put by index, of searches, segments and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.tfgraph.call import HANDLERS, Call, Handler, importer
from fanlight.tensor import indices, segments, sorting

_MOST = 1 << 20  # classes, segments: more are no model's


def _bits(op: str) -> Handler:
    return lambda call: call.op(op, call.x(0), call.x(1))


for _name, _op in {
    "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
    "LeftShift": "left_shift",
    "RightShift": "right_shift",
}.items():
    HANDLERS[_name] = _bits(_op)


@importer("Invert")
def invert(call: Call) -> Tensor:
    return call.op("bitwise_not", call.x())


@importer("Cumsum", "Cumprod")
def scan(call: Call) -> Tensor:
    x, attrs = call.x(), call.attrs
    op = "cumsum" if call.node.op == "Cumsum" else "cumprod"
    axis = call.axis(1, len(x.shape))
    exclusive, reverse = attrs.flag("exclusive"), attrs.flag("reverse")
    return call.op(op, x, axis=axis, exclusive=exclusive, reverse=reverse)


@importer("Roll")
def roll(call: Call) -> Any:
    shifts, axes = call.ints(1, "the shift"), call.ints(2, "the axis")
    return call.function(lambda x: indices.roll(x, list(shifts), list(axes)), call.x())


# --- by index -------------------------------------------------------------------------------------


def _places(call: Call, index: int) -> Tensor:
    return call.em.cast(call.x(index), "int32", f"{call.node.name}/indices")


@importer("GatherNd")
def gather_nd(call: Call) -> Tensor:
    return call.op("gather_nd", call.x(), _places(call, 1))


@importer("ScatterNd")
def scatter_nd(call: Call) -> Tensor:
    """Of several updates for one place all count."""
    return call.op("scatter_nd", _places(call, 0), call.x(1), shape=call.ints(2, "the shape"))


_MODES = {"Update": "update", "Add": "add", "Sub": "add", "Max": "max", "Min": "min"}


@importer(*(f"TensorScatter{how}" for how in _MODES))
def tensor_scatter(call: Call) -> Tensor:
    how = call.node.op.removeprefix("TensorScatter")
    updates = call.x(2)
    if how == "Sub":
        updates = call.op("neg", updates, part="taken")
    return call.op("scatter_nd", _places(call, 1), updates, call.x(), mode=_MODES[how])


@importer("LowerBound", "UpperBound")
def bound(call: Call) -> Tensor:
    """Sorted rows [rows, n] and values [rows, m] -> int32 [rows, m]."""
    return call.op("search_sorted", call.x(0), call.x(1), right=call.node.op == "UpperBound")


@importer("InTopKV2")
def in_top_k(call: Call) -> Any:
    count = call.number(2, "k")
    return call.function(lambda x, y: sorting.in_top_k(x, y, count), call.x(0), call.x(1))


@importer("BroadcastArgs")
def broadcast_args(call: Call) -> Tensor:
    shapes = [call.ints(i, "the shape") for i in (0, 1)]
    try:
        return np.array(np.broadcast_shapes(*shapes), np.int32)
    except ValueError:
        raise call.refuse(
            "the shapes do not broadcast",
            expected="equal sizes, or 1, counted from the last dim",
            received=f"{list(shapes[0][:8])} and {list(shapes[1][:8])}",
        ) from None


# --- counts and segments --------------------------------------------------------------------------


def _few(call: Call, index: int, what: str) -> int:
    count = call.number(index, what)
    if not 0 <= count <= _MOST:
        raise call.refuse(f"{what} is out of range", expected=f"0 to {_MOST:,}", received=count)
    return count


@importer("Bincount", "DenseBincount")
def bincount(call: Call) -> Any:
    """Inputs: whole numbers, how many counts, weights (empty: 1 for each)."""
    dense = call.node.op == "DenseBincount"
    x, size, weights = call.x(), _few(call, 1, "the size"), call.x(2)
    binary = dense and call.attrs.flag("binary_output")
    count = sorting.dense_bincount if dense else sorting.bincount
    if 0 not in weights.shape:
        return call.function(lambda x, w: count(x, w, size, binary), x, weights)
    # Sums have the dtype of the weights, also where there are none.
    (found,) = call.function(lambda x: count(x, None, size, binary), x)
    return call.em.cast(found, dtype_of(weights), f"{call.node.name}/sums")


_SEGMENTS = {
    f"UnsortedSegment{how.title()}": getattr(segments, f"unsorted_segment_{how}")
    for how in ("sum", "prod", "max", "min")
}


@importer(*_SEGMENTS)
def unsorted_segments(call: Call) -> Any:
    count = _few(call, 2, "the number of segments")
    function = _SEGMENTS[call.node.op]
    return call.function(lambda x, ids: function(x, ids, count), call.x(0), _places(call, 1))


@importer("SparseSegmentSum", "SparseSegmentMean")
def sparse_segments(call: Call) -> Any:
    """Inputs: data, indices of its first dim, ids in order; these decide the size."""
    ids = call.ints(2, "the segments")
    count = ids[-1] + 1 if ids else 0
    if list(ids) != sorted(ids) or not 0 <= count <= _MOST or (ids and ids[0] < 0):
        raise call.refuse("the segments are not in order", received=ids[:16])
    known = np.asarray(ids, np.int32)
    name = "sum" if call.node.op == "SparseSegmentSum" else "mean"
    function = getattr(segments, f"sparse_segment_{name}")
    return call.function(lambda x, at: function(x, at, known, count), call.x(0), _places(call, 1))

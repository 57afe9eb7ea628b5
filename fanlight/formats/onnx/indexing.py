"""Importers of ops that take and put elements by their places."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fanlight.formats.bounds import Known
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx.call import Call, importer

_MODES = {"none": "update", "add": "add", "mul": "mul", "max": "max", "min": "min"}
_BACK = 8  # nodes back in which the Clip of indices is looked for


def from_start(call: Call, indices: Tensor, size: int, part: str = "at") -> Tensor:
    """Indices that may count from the end, as ones that do not."""
    indices = call.cast(indices, "int32", f"{part}/whole")
    if isinstance(indices, np.ndarray):
        return np.where(indices < 0, indices + np.int32(size), indices).astype(np.int32)
    nodes = call.em.builder.nodes[-_BACK:]
    makers = {v: n for n in nodes for v in n.outputs}
    if Known(makers.get, call.em.builder.array).bounds(indices)[0] >= 0:
        return indices  # as this project's own writer has them
    below = call.op("less", indices, call.const(0, "int32"), part=f"{part}/below")
    up = call.op("add", indices, call.const(size, "int32"), part=f"{part}/up")
    return call.op("select", below, up, indices, part=part)


@importer("Gather")
def gather(call: Call) -> Tensor:
    x, indices = call.x(0), call.x(1)
    axis = call.axis(len(x.shape), 0)
    return call.op("gather", x, from_start(call, indices, x.shape[axis]), axis=axis)


def _grid(shape: Sequence[int], axis: int) -> np.ndarray:
    """The place along a dim of every element of a shape."""
    line = np.arange(shape[axis], dtype=np.int32)
    column = line.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.ascontiguousarray(np.broadcast_to(column, tuple(shape)))


def _tuples(call: Call, at: Tensor, axis: int) -> Tensor:
    """The places of `at` along an axis as whole tuples of indices, [..., rank]."""
    shape = tuple(at.shape)
    if math.prod(shape) * len(shape) > 1 << 24:
        raise call.refuse("there are too many indices", received=list(shape))
    columns = [
        call.reshape(at if a == axis else _grid(shape, a), (*shape, 1), f"column{a}")
        for a in range(len(shape))
    ]
    if len(columns) == 1:
        return columns[0]
    return call.op("concat", *columns, part="places", axis=len(shape))


@importer("GatherElements")
def gather_elements(call: Call) -> Tensor:
    x = call.x(0)
    axis = call.axis(len(x.shape), 0)
    at = from_start(call, call.x(1), x.shape[axis])
    return call.op("gather_nd", x, _tuples(call, at, axis))


@importer("ScatterElements", "Scatter")
def scatter_elements(call: Call) -> Tensor:
    x, updates = call.x(0), call.x(2)
    axis = call.axis(len(x.shape), 0)
    at = from_start(call, call.x(1), x.shape[axis])
    if 0 in at.shape:
        return x
    return _scattered(call, _tuples(call, at, axis), updates, x)


def _scattered(call: Call, places: Tensor, updates: Tensor, x: Tensor) -> Tensor:
    name = call.text("reduction", "none")
    if name not in _MODES:
        raise call.refuse("unknown reduction", expected=", ".join(_MODES), received=name[:40])
    dtype = dtype_of(x)
    if name != "none" and dtype in ("uint8", "bool"):
        x, updates = call.cast(x, "int32", "x"), call.cast(updates, "int32", "updates")
    y = call.op("scatter_nd", places, updates, x, part="placed", mode=_MODES[name])
    return call.cast(y, dtype, "back")


def _counted(call: Call, indices: Tensor, sizes: Sequence[int]) -> Tensor:
    """Tuples of indices, those from the end turned round."""
    last = np.asarray(sizes, np.int32)
    whole = call.cast(indices, "int32", "whole")
    below = call.op("less", whole, call.const(0, "int32"), part="below")
    return call.op("select", below, call.op("add", whole, last, part="up"), whole, part="at")


@importer("ScatterND")
def scatter_nd(call: Call) -> Tensor:
    x, indices = call.x(0), call.x(1)
    if 0 in indices.shape:
        return x
    at = _counted(call, indices, x.shape[: indices.shape[-1]])
    return _scattered(call, at, call.x(2), x)


@importer("GatherND")
def gather_nd(call: Call) -> Tensor:
    x, indices = call.x(0), call.x(1)
    batch = call.whole("batch_dims", 0)
    k = indices.shape[-1]
    if not 0 <= batch < len(indices.shape) or batch + k > len(x.shape):
        raise call.refuse("its dims do not fit", received=f"{list(x.shape)}, {list(indices.shape)}")
    at = _counted(call, indices, x.shape[batch : batch + k])
    if batch:
        shape = (*at.shape[:-1], 1)
        columns = [np.ascontiguousarray(_grid(shape, a)) for a in range(batch)]
        at = call.op("concat", *columns, at, part="places", axis=len(shape) - 1)
    return call.op("gather_nd", x, at)


@importer("TensorScatter")
def tensor_scatter(call: Call) -> Tensor:
    """A cache of keys or values [batch, ..., length, ...] with new ones written in."""
    x, updates = call.x(0), call.x(1)
    rank = len(x.shape)
    axis = call.axis(rank, -2)
    n, length = x.shape[0], x.shape[axis]
    start = call.cast(call.x(2), "int32", "start") if call.has(2) else np.zeros(n, np.int32)
    column = call.reshape(start, [n] + [1] * (rank - 1), "column")
    places = call.op("add", column, _grid(updates.shape, axis), part="places")
    if call.text("mode", "linear") == "circular":
        places = call.op("floor_mod", places, call.const(length, "int32"), part="round")
    return call.op("scatter_nd", _tuples(call, places, axis), updates, x, mode="update")

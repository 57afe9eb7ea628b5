"""Importers of reductions, of scans along a dim, and of choices of the largest."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.elementwise import wrapped


def _axes(call: Call, x: Tensor) -> tuple[int, ...] | None:
    """Dims to reduce: an attribute, or from opset 18 (sum: 13) an input. None: nothing to do."""
    rank = len(x.shape)
    given = call.ints_or(1, "axes")
    if not given:
        return None if call.flag("noop_with_empty_axes") else tuple(range(rank))
    axes = tuple(sorted({call.dim(a, rank) for a in given}))
    return axes


def _reduction(
    op: str,
    before: Callable[[Call, Tensor], Tensor] | None = None,
    after: Callable[[Call, Tensor], Tensor] | None = None,
) -> Callable[[Call], Tensor]:
    def make(call: Call) -> Tensor:
        x = call.x()
        dtype = dtype_of(x)
        axes = _axes(call, x)
        if after or op == "mean":
            x = call.cast(x, "float32", "float")
        elif dtype in ("uint8", "bool"):
            x = call.cast(x, "int32", "int")
        if before:
            x = before(call, x)
        if axes is not None and (axes or x.shape):
            x = _reduced(call, op, x, axes, call.flag("keepdims", True))
        if after:
            x = after(call, x)
        return call.cast(wrapped(call, x, call.kind()), dtype, "back")

    return make


def _reduced(call: Call, op: str, x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    if 0 in [x.shape[a] for a in axes]:
        shape = [1 if a in axes else d for a, d in enumerate(x.shape) if keep or a not in axes]
        dtype = dtype_of(x)
        ends = (-math.inf, math.inf) if dtype == "float32" else (-(2**31), 2**31 - 1)
        if dtype_of(call.x()) == "bool":
            ends = (0, 1)
        empty = {"sum": 0, "mean": math.nan, "prod": 1, "max": ends[0], "min": ends[1]}[op]
        return call.em.full(shape, empty, dtype, call.where)
    return call.op(op, x, part="reduced", axes=axes, keepdims=keep)


def _op(name: str) -> Callable[[Call, Tensor], Tensor]:
    return lambda call, x: call.op(name, x, part=name)


importer("ReduceSum")(_reduction("sum"))
importer("ReduceMean")(_reduction("mean"))
importer("ReduceMax")(_reduction("max"))
importer("ReduceMin")(_reduction("min"))
importer("ReduceProd")(_reduction("prod"))
importer("ReduceL1")(_reduction("sum", _op("abs")))
importer("ReduceL2")(_reduction("sum", _op("square"), _op("sqrt")))
importer("ReduceSumSquare")(_reduction("sum", _op("square")))
importer("ReduceLogSum")(_reduction("sum", None, _op("log")))


@importer("ReduceLogSumExp")
def reduce_log_sum_exp(call: Call) -> Tensor:
    x = call.f32()
    axes, keep = _axes(call, x), call.flag("keepdims", True)
    if axes is None:
        return x
    if 0 in x.shape:
        total = _reduced(call, "sum", call.op("exp", x, part="exp"), axes, keep)
        return call.op("log", total)
    top = call.op("max", x, part="top", axes=axes, keepdims=True)
    finite = call.op("is_finite", top, part="finite")
    top = call.op("select", finite, top, call.const(0.0), part="level")
    total = call.op("sum", call.op("exp", call.op("sub", x, top, part="low"), part="exp"),
                    part="total", axes=axes, keepdims=True)  # fmt: skip
    y = call.op("add", call.op("log", total, part="log"), top, part="sum")
    shape = [d for a, d in enumerate(x.shape) if a not in axes]
    return y if keep else call.reshape(y, shape)


def _extreme(op: str) -> Callable[[Call], Tensor]:
    def make(call: Call) -> Tensor:
        x = call.x()
        if dtype_of(x) in ("uint8", "bool"):
            x = call.cast(x, "int32", "int")
        axis = call.axis(len(x.shape), 0)
        call.made_kinds[0] = kinds.INT64
        if call.flag("select_last_index"):
            turned = call.op("reverse", x, part="turned", axes=(axis,))
            found = call.op(op, turned, part="from_end", axis=axis)
            y = call.op("sub", call.const(x.shape[axis] - 1, "int32"), found, part="found")
        else:
            y = call.op(op, x, part="found", axis=axis)
        if not call.flag("keepdims", True):
            return y
        return call.reshape(y, [1 if a == axis else d for a, d in enumerate(x.shape)], "kept")

    return make


importer("ArgMax")(_extreme("arg_max"))
importer("ArgMin")(_extreme("arg_min"))


def _to_last(call: Call, x: Tensor, axis: int) -> tuple[Tensor, list[int]]:
    """x with a dim moved to the end, and the order that moves it back."""
    rank = len(x.shape)
    perm = [a for a in range(rank) if a != axis] + [axis]
    back = [perm.index(a) for a in range(rank)]
    return call.transpose(x, perm, "last"), back


@importer("TopK")
def top_k(call: Call) -> tuple[Tensor, Tensor]:
    x = call.x()
    dtype = dtype_of(x)
    x = call.cast(x, "int32", "int") if dtype in ("uint8", "bool") else x
    axis = call.axis(len(x.shape), -1)
    k = call.number(1, "k") if call.has(1) else call.whole("k")
    if not 0 <= k <= x.shape[axis]:
        raise call.refuse("there are not so many", expected=x.shape[axis], received=k)
    last, back = _to_last(call, x, axis)
    if call.flag("largest", True):
        values, places = call.op("top_k", last, part="top", k=k)
    else:
        values, places = call.op("sort", last, part="sorted")
        size = (*last.shape[:-1], k)
        values, places = (call.op("slice", t, part="first", begin=(0,) * len(size), size=size)
                          for t in (values, places))  # fmt: skip
    call.made_kinds[1] = kinds.INT64
    return (
        call.cast(call.transpose(values, back, "values"), dtype, "back"),
        call.transpose(places, back, "places"),
    )


def _scan(op: str) -> Callable[[Call], Tensor]:
    def make(call: Call) -> Tensor:
        x = call.x()
        axis = call.dim(call.number(1, "the axis"), len(x.shape))
        dtype = dtype_of(x)
        y = call.op(op, call.cast(x, "int32", "int") if dtype == "uint8" else x, axis=axis,
                    exclusive=call.flag("exclusive"), reverse=call.flag("reverse"))  # fmt: skip
        return call.cast(wrapped(call, y, call.kind()), dtype, "back")

    return make


importer("CumSum")(_scan("cumsum"))
importer("CumProd")(_scan("cumprod"))


# --- softmax and its kin --------------------------------------------------------------------------


def _along(call: Call, op: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Along one dim from opset 13 on, before over all dims from one on."""
    x = call.f32()
    rank = len(x.shape)
    if call.opset >= 13:
        return op(x, call.axis(rank, -1)) if rank else op(call.reshape(x, (1,)), 0)
    axis = call.axis(rank, 1) if rank > 1 else 0
    flat = call.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])), "rows")
    return call.reshape(op(flat, 1), x.shape)


@importer("Softmax")
def softmax(call: Call) -> Tensor:
    return _along(call, lambda x, axis: call.op("softmax", x, axis=axis))


@importer("LogSoftmax")
def log_softmax(call: Call) -> Tensor:
    return _along(call, lambda x, axis: call.op("log_softmax", x, axis=axis))


@importer("Hardmax")
def hardmax(call: Call) -> Tensor:
    def make(x: Tensor, axis: int) -> Tensor:
        best = call.op("arg_max", x, part="best", axis=axis)
        shape = [1 if a == axis else d for a, d in enumerate(x.shape)]
        places = np.arange(x.shape[axis], dtype=np.int32)
        places = places.reshape([-1 if a == axis else 1 for a in range(len(x.shape))])
        hit = call.op("equal", call.reshape(best, shape, "column"), places, part="hit")
        return call.cast(hit, "float32", "one")

    return _along(call, make)

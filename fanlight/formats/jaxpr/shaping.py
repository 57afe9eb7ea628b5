"""Importers of primitives that move, cut, join, reduce and order elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.jaxpr.call import HANDLERS, Call, Handler, importer
from fanlight.formats.jaxpr.elementwise import logic
from fanlight.ops.types import TensorType
from fanlight.tensor import indices, scans, sorting

_FOLD_BYTES = 1 << 26

# --- movement -------------------------------------------------------------------------------------


@importer("reshape", "squeeze", "expand_dims")
def reshape(call: Call) -> Tensor:
    x = call.x()
    if call.params.get("dimensions") is not None and call.primitive == "reshape":
        x = call.transpose(x, call.params["dimensions"])
    return call.reshape(x, call.shape)


@importer("transpose")
def transpose(call: Call) -> Tensor:
    return call.transpose(call.x(), call.params["permutation"])


@importer("broadcast_in_dim")
def broadcast_in_dim(call: Call) -> Tensor:
    x, shape = call.x(), [1] * len(call.shape)
    for size, dim in zip(x.shape, call.params["broadcast_dimensions"], strict=True):
        shape[dim] = size
    return call.broadcast(call.reshape(x, shape), call.shape)


@importer("rev")
def rev(call: Call) -> Tensor:
    axes = tuple(int(d) for d in call.params["dimensions"])
    return call.op("reverse", call.x(), axes=axes) if axes else call.x()


@importer("iota")
def iota(call: Call) -> np.ndarray:
    check_size(TensorType(call.shape, call.dtype), call.where, _FOLD_BYTES)
    dim = int(call.params["dimension"])
    line = np.arange(call.shape[dim]).astype(dtypes.to_numpy(call.dtype))
    whole = line.reshape([-1 if d == dim else 1 for d in range(len(call.shape))])
    return np.ascontiguousarray(np.broadcast_to(whole, call.shape))


@importer("concatenate")
def concatenate(call: Call) -> Tensor:
    parts = [call.x(i) for i in range(len(call.inputs))]
    axis = int(call.params["dimension"])
    return parts[0] if len(parts) == 1 else call.op("concat", *parts, axis=axis)


@importer("stack")
def stack(call: Call) -> Tensor:
    axis = int(call.params["axis"])
    shape = (*call.shape[:axis], 1, *call.shape[axis + 1 :])
    parts = [call.reshape(call.x(i), shape) for i in range(len(call.inputs))]
    return parts[0] if len(parts) == 1 else call.op("concat", *parts, axis=axis)


@importer("unstack")
def unstack(call: Call) -> list[Tensor]:
    x, axis = call.x(), int(call.params["axis"])
    size = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    begins = ([i if d == axis else 0 for d in range(len(size))] for i in range(x.shape[axis]))
    return [call.reshape(cut(call, x, begin, size), call.shape) for begin in begins]


@importer("tile")
def tile(call: Call) -> Tensor:
    x, times = call.x(), tuple(int(n) for n in call.params["reps"])
    x = call.reshape(x, (*(1 for _ in range(len(times) - len(x.shape))), *x.shape))
    return call.op("tile", x, multiples=times)


@importer("split")
def split(call: Call) -> list[Tensor]:
    x, axis, parts, begin = call.x(), int(call.params["axis"]), [], 0
    for size in call.params["sizes"]:
        starts = [begin if d == axis else 0 for d in range(len(x.shape))]
        parts.append(cut(call, x, starts, [*x.shape[:axis], int(size), *x.shape[axis + 1 :]]))
        begin += int(size)
    return parts


def cut(call: Call, x: Tensor, begin: Sequence[int], size: Sequence[int]) -> Tensor:
    """A box of a tensor; nothing if it is all of it."""
    if tuple(size) == tuple(x.shape):
        return x
    made: Tensor = call.op("slice", x, begin=tuple(begin), size=tuple(int(d) for d in size))
    return made


@importer("slice")
def slice_(call: Call) -> Tensor:
    x = call.x()
    begin = tuple(int(d) for d in call.params["start_indices"])
    end = tuple(int(d) for d in call.params["limit_indices"])
    strides = call.params["strides"]
    if strides is None or all(s == 1 for s in strides):
        return cut(call, x, begin, call.shape)
    return call.op("strided_slice", x, begin=begin, end=end, strides=tuple(map(int, strides)))


def spread(call: Call, x: Tensor, gaps: Sequence[int], value: Any = 0) -> Tensor:
    """`x` with gaps[d] places of a value between the elements of each dim."""
    for dim, gap in enumerate(gaps):
        size = x.shape[dim]
        if gap <= 0 or size < 2:
            continue
        shape = (*x.shape[:dim], size, 1, *x.shape[dim + 1 :])
        pads = tuple((0, gap) if d == dim + 1 else (0, 0) for d in range(len(shape)))
        wide = call.op("pad", call.reshape(x, shape), paddings=pads, value=value)
        whole = (*x.shape[:dim], size * (gap + 1), *x.shape[dim + 1 :])
        kept = (*x.shape[:dim], size * (gap + 1) - gap, *x.shape[dim + 1 :])
        x = cut(call, call.reshape(wide, whole), [0] * len(whole), kept)
    return x


def framed(call: Call, x: Tensor, pairs: Sequence[tuple[int, int]], value: Any = 0) -> Tensor:
    """`x` with more places around it; negative numbers cut places off."""
    begin = [max(-low, 0) for low, _ in pairs]
    size = [n - max(-low, 0) - max(-high, 0) for n, (low, high) in zip(x.shape, pairs, strict=True)]
    if min(size, default=1) < 0:
        # More is cut off than there is: of what is left only the frame.
        raise call.refuse("padding cuts off more than there is", received=list(pairs))
    x = cut(call, x, begin, size)
    more = tuple((max(low, 0), max(high, 0)) for low, high in pairs)
    if not any(a or b for a, b in more):
        return x
    made: Tensor = call.op("pad", x, paddings=more, value=value)
    return made


@importer("pad")
def pad(call: Call) -> Tensor:
    """padding_config: (low, high, interior) per dim; what is negative is cut off."""
    x, value, config = call.x(0), call.x(1), call.params["padding_config"]
    pairs, gaps = [(int(a), int(b)) for a, b, _ in config], [int(g) for _, _, g in config]
    if isinstance(value, np.ndarray):
        number = value.reshape(-1)[0].item()
        return framed(call, spread(call, x, gaps, number), pairs, number)
    inside = call.em.full(x.shape, True, "bool", call.label)
    mask = framed(call, spread(call, inside, gaps, False), pairs, False)
    return call.op("select", mask, framed(call, spread(call, x, gaps), pairs), value)


# --- reductions -----------------------------------------------------------------------------------

_REDUCE = {
    "reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "reduce_prod": "prod",
    "reduce_and": "all", "reduce_or": "any",
}  # fmt: skip


def _reduction(op: str) -> Handler:
    def compute(call: Call) -> Tensor:
        x, axes = call.x(), tuple(int(a) for a in call.params["axes"])
        if not axes:
            return x
        if dtype_of(x) == "bool" and op in ("max", "min"):
            return call.op("any" if op == "max" else "all", x, axes=axes)
        if dtype_of(x) != "bool" and op in ("any", "all"):
            raise call.refuse("only of bool", expected="bool", received=dtype_of(x))
        if dtype_of(x) in ("uint8", "bool") and op not in ("any", "all"):
            x = call.cast(x, "int32")
        return call.op(op, x, axes=axes)

    return compute


for _name, _op in _REDUCE.items():
    HANDLERS[_name] = _reduction(_op)


@importer("argmax")
def argmax(call: Call) -> Tensor:
    return _arg(call, "arg_max")


@importer("argmin")
def argmin(call: Call) -> Tensor:
    return _arg(call, "arg_min")


def _arg(call: Call, op: str) -> Tensor:
    x = call.x()
    x = call.cast(x, "int32") if dtype_of(x) in ("bool", "uint8") else x
    made: Tensor = call.op(op, x, axis=int(call.params["axes"][0]))
    return made


def _scan(op: str) -> Handler:
    def compute(call: Call) -> Tensor:
        axis, back = int(call.params["axis"]), bool(call.params["reverse"])
        if op == "logcumsumexp":
            return call.function(lambda x: scans.logcumsumexp(x, axis, back), call.x())
        return call.op(op, call.x(), axis=axis, reverse=back)

    return compute


for _name in ("cumsum", "cumprod", "cummax", "cummin"):
    HANDLERS[_name] = _scan(_name)
HANDLERS["cumlogsumexp"] = _scan("logcumsumexp")

# --- order ----------------------------------------------------------------------------------------


@importer("top_k")
def top_k(call: Call) -> list[Tensor]:
    x, k = call.x(), int(call.params["k"])
    axis = int(call.params.get("axis", len(x.shape) - 1)) % len(x.shape)
    perm = [*(d for d in range(len(x.shape)) if d != axis), axis]
    kept = dtype_of(x)
    found = call.op("top_k", call.transpose(_ordered(call, x), perm), k=k)
    back = [perm.index(d) for d in range(len(perm))]
    return [call.cast(call.transpose(found[0], back), kept), call.transpose(found[1], back)]


def _ordered(call: Call, x: Tensor) -> Tensor:
    return call.cast(x, "int32") if dtype_of(x) in ("bool", "uint8") else x


@importer("sort")
def sort(call: Call) -> list[Tensor]:
    """Several tensors in the order of the first ones: by the last key first, stably."""
    axis, keys = int(call.params["dimension"]), int(call.params.get("num_keys", 1))
    tensors = [call.x(i) for i in range(len(call.inputs))]
    if len(tensors) == 1:
        return [call.function(lambda x: sorting.sort(x, axis), tensors[0])]
    order: Tensor | None = None
    for key in reversed(tensors[:keys]):
        if order is not None:
            key = _along(call, key, order, axis)
        step = call.function(lambda x: sorting.argsort(x, axis), key)
        order = step if order is None else _along(call, order, step, axis)
    assert order is not None
    return [_along(call, x, order, axis) for x in tensors]


def _along(call: Call, x: Tensor, order: Tensor, axis: int) -> Tensor:
    made: Tensor = call.function(lambda x, i: indices.take_along_axis(x, i, axis), x, order)
    return made


def combined(call: Call, op: str, parts: Sequence[Tensor]) -> Tensor:
    """Tensors put together pair by pair, so that rounding errors stay small."""
    level = list(parts)
    while len(level) > 1:
        pairs = [
            logic(call, op, level[i], level[i + 1]) if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
        level = pairs
    return level[0]

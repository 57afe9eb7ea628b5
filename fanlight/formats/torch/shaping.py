"""Importers of shapes, parts, padding, created tensors and reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.torch.call import HANDLERS, Call, Handler, importer
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor import matrices, neural, scans, sorting, statistics

_FOLD = 1 << 28


def _sized(call: Call, sizes: tuple[int, ...], whole: int, name: str = "size") -> tuple[int, ...]:
    """Sizes of which one may be -1: what is left of `whole` elements."""
    if sizes.count(-1) > 1 or any(s < -1 for s in sizes) or len(sizes) > 16:
        raise call.refuse(f"{name} is no shape", received=list(sizes[:8]))
    if -1 in sizes:
        rest = math.prod(s for s in sizes if s != -1)
        if not rest or whole % rest:
            raise call.refuse(f"{name} does not fit", expected=f"{whole} elements", received=sizes)
        sizes = tuple(whole // rest if s == -1 else s for s in sizes)
    if math.prod(sizes) != whole:
        raise call.refuse(f"{name} does not fit", expected=f"{whole} elements", received=sizes)
    return sizes


@importer("view", "reshape", "_unsafe_view", "view_copy", "_reshape_alias")
def view(call: Call) -> Tensor:
    x = call.x()
    name = "shape" if "shape" in call.args else "size"
    if not call.has(name):
        raise call.refuse("a view as another dtype is not supported")
    sizes = _sized(call, call.ints(name), math.prod(x.shape))
    return call.em.reshape(x, sizes, call.name())


@importer("view_as", "reshape_as")
def view_as(call: Call) -> Tensor:
    return call.em.reshape(call.x(), call.x("other").shape, call.name())


@importer("flatten")
def flatten(call: Call) -> Tensor:
    x = call.x()
    rank = len(x.shape)
    if not rank:
        return call.em.reshape(x, (1,), call.name())
    first, last = call.axis("start_dim", rank, 0), call.axis("end_dim", rank, -1)
    shape = (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
    return call.em.reshape(x, shape, call.name())


@importer("unflatten")
def unflatten(call: Call) -> Tensor:
    x = call.x()
    axis = call.axis("dim", len(x.shape))
    sizes = _sized(call, call.ints("sizes"), x.shape[axis], "sizes")
    return call.em.reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]), call.name())


@importer("unsqueeze", "unsqueeze_copy")
def unsqueeze(call: Call) -> Tensor:
    x = call.x()
    axis = call.axis("dim", len(x.shape) + 1)
    return call.em.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]), call.name())


@importer("squeeze", "squeeze_copy")
def squeeze(call: Call) -> Tensor:
    x = call.x()
    axes = call.axes("dim", len(x.shape))
    shape = [d for i, d in enumerate(x.shape) if d != 1 or i not in axes]
    return call.em.reshape(x, shape, call.name())


@importer("permute", "permute_copy", "transpose", "swapaxes", "swapdims", "transpose_copy",
          "t", "numpy_T", "mT", "adjoint", "t_copy", "movedim", "moveaxis")  # fmt: skip
def permute(call: Call) -> Tensor:
    return call.em.transpose(call.x(), order_of(call), call.name())


def order_of(call: Call) -> list[int]:
    """The dims of the argument, in the order in which the result has them."""
    rank = len(call.x().shape)
    target = call.node.target.split(".")[1]
    perm = list(range(rank))
    if target.startswith("permute"):
        perm = [d % max(rank, 1) for d in call.ints("dims")]
    elif target.startswith(("transpose", "swap")):
        names = ("dim0", "dim1") if "dim0" in call.args else ("axis0", "axis1")
        a, b = (call.axis(n, rank) for n in names)
        if perm:
            perm[a], perm[b] = perm[b], perm[a]
    elif target.startswith("move"):
        source, goal = ([a % max(rank, 1) for a in call.ints(n)] for n in ("source", "destination"))
        perm = [a for a in perm if a not in source]
        for t, s in sorted(zip(goal, source, strict=False)):
            perm.insert(t, s)
    elif target == "numpy_T" or rank < 2:
        perm.reverse()
    else:
        perm[-1], perm[-2] = perm[-2], perm[-1]
    if sorted(perm) != list(range(rank)):
        raise call.refuse("dims are no order of the dims", received=perm[:16])
    return perm


@importer("expand", "expand_copy", "broadcast_to")
def expand(call: Call) -> Tensor:
    x, sizes = call.x(), call.ints("size")
    if len(sizes) < len(x.shape):
        raise call.refuse("size has too few dims", received=sizes)
    lead = len(sizes) - len(x.shape)
    shape = tuple(x.shape[i - lead] if s == -1 and i >= lead else s for i, s in enumerate(sizes))
    if tuple(shape) == tuple(x.shape):
        return x
    return call.op("broadcast_to", x, shape=shape)


@importer("expand_as")
def expand_as(call: Call) -> Tensor:
    x, shape = call.x(), tuple(call.x("other").shape)
    return x if tuple(x.shape) == shape else call.op("broadcast_to", x, shape=shape)


@importer("repeat", "tile")
def repeat(call: Call) -> Tensor:
    x = call.x()
    times = call.ints("repeats" if "repeats" in call.args else "dims")
    lead = len(times) - len(x.shape)
    times = (1,) * -lead + times
    x = call.em.reshape(x, (*(1,) * max(lead, 0), *x.shape), call.name("dims"))
    return x if all(n == 1 for n in times) else call.op("tile", x, multiples=times)


@importer("repeat_interleave.self_int")
def repeat_interleave(call: Call) -> Tensor:
    x, times = call.x(), call.whole("repeats")
    if not call.has("dim"):
        x = call.em.reshape(x, (math.prod(x.shape),), call.name("flat"))
    axis = call.axis("dim", len(x.shape), 0) if call.has("dim") else 0
    shape = tuple(x.shape)
    apart = call.em.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]), call.name("apart"))
    wide = call.op(
        "broadcast_to", apart, part="wide", shape=(*shape[: axis + 1], times, *shape[axis + 1 :])
    )
    return call.em.reshape(
        wide, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]), call.name()
    )


# --- joining and parting --------------------------------------------------------------------------


def _same_dtype(call: Call, tensors: list[Tensor]) -> list[Tensor]:
    kind = call.dtype or dtype_of(tensors[0])
    return [call.cast(t, kind, f"cast{i}") for i, t in enumerate(tensors)]


@importer("cat", "concat", "concatenate")
def cat(call: Call) -> Tensor:
    # An empty list of one dim joins anything: a habit of old programs.
    tensors = [t for t in call.tensors() if tuple(t.shape) != (0,)] or call.tensors()[:1]
    axis = call.axis("dim", len(tensors[0].shape), 0)
    parts = _same_dtype(call, tensors)
    return parts[0] if len(parts) == 1 else call.op("concat", *parts, axis=axis)


@importer("stack")
def stack(call: Call) -> Tensor:
    tensors = _same_dtype(call, call.tensors())
    axis = call.axis("dim", len(tensors[0].shape) + 1, 0)
    parts = [
        call.em.reshape(t, (*t.shape[:axis], 1, *t.shape[axis:]), call.name(f"part{i}"))
        for i, t in enumerate(tensors)
    ]
    return parts[0] if len(parts) == 1 else call.op("concat", *parts, axis=axis)


def cut(call: Call, x: Tensor, axis: int, begin: int, size: int, part: str = "") -> Tensor:
    """`size` entries of one dim from `begin` on."""
    if begin == 0 and size == x.shape[axis]:
        return x
    starts = [0] * len(x.shape)
    sizes = list(x.shape)
    starts[axis], sizes[axis] = begin, size
    return call.op("slice", x, part=part, begin=tuple(starts), size=tuple(sizes))


def parts_of(call: Call, index: int) -> tuple[int, range, bool]:
    """Which entries of which dim a result consists of, and whether that dim is still there.

    Args:
        index: of the result, for operators that have several.
    """
    x, target = call.x(), call.node.target.split(".")[1]
    if target.startswith("slice"):
        axis = call.axis("dim", len(x.shape), 0)
        begin = call.whole("start") if call.has("start") else None
        end = call.whole("end") if call.has("end") else None
        step = call.whole("step", 1) if call.has("step") else 1
        if step < 1:
            raise call.refuse("a step must be 1 or more", received=step)
        return axis, range(*slice(begin, end, step).indices(x.shape[axis])), True
    if target.startswith("select"):
        axis = call.axis("dim", len(x.shape))
        place, whole = call.whole("index"), x.shape[axis]
        if not -whole <= place < whole:
            raise call.refuse(
                "the index does not exist", expected=f"{whole} entries", received=place
            )
        return axis, range(place % whole, place % whole + 1), False
    if target == "narrow":
        axis = call.axis("dim", len(x.shape))
        begin, size = call.whole("start"), call.whole("length")
        begin += x.shape[axis] if begin < 0 else 0
        if not 0 <= begin <= begin + size <= x.shape[axis]:
            raise call.refuse("the part does not exist", received=[begin, size])
        return axis, range(begin, begin + size), True
    axis = call.axis("dim", len(x.shape), 0)
    if target.startswith("unbind"):
        return axis, range(index, index + 1), False
    sizes = _sizes(call, x.shape[axis])
    begin = sum(sizes[:index])
    return axis, range(begin, begin + sizes[index]), True


def _sizes(call: Call, whole: int) -> list[int]:
    """The sizes into which split and chunk part a dim."""
    if "chunk" in call.node.target:
        return _equal(whole, -(-whole // max(call.whole("chunks"), 1)))
    name = "split_sizes" if "split_sizes" in call.args else "split_size"
    if not isinstance(call.get(name), list):
        return _equal(whole, call.whole(name))
    sizes = list(call.ints(name))
    if len(sizes) > 1 << 16 or sum(sizes) != whole or min(sizes, default=0) < 0:
        raise call.refuse("the sizes do not fit", expected=whole, received=sizes[:8])
    return sizes


def _equal(whole: int, size: int) -> list[int]:
    size = max(size, 1)
    return [min(size, whole - at) for at in range(0, whole, size)] or [0]


@importer("split", "split_with_sizes", "split_copy", "split_with_sizes_copy", "unsafe_split",
          "unsafe_split_with_sizes", "chunk", "unsafe_chunk")  # fmt: skip
def split(call: Call) -> list[Tensor]:
    x = call.x()
    axis = call.axis("dim", len(x.shape), 0)
    sizes = _sizes(call, x.shape[axis])
    begins = np.cumsum([0, *sizes])[:-1]
    return [
        cut(call, x, axis, int(b), s, f"part{i}")
        for i, (b, s) in enumerate(zip(begins, sizes, strict=True))
    ]


@importer("unbind", "unbind_copy")
def unbind(call: Call) -> list[Tensor]:
    x = call.x()
    axis = call.axis("dim", len(x.shape), 0)
    return [_one(call, x, axis, i, f"part{i}") for i in range(x.shape[axis])]


def _one(call: Call, x: Tensor, axis: int, index: int, part: str = "") -> Tensor:
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return call.em.reshape(
        cut(call, x, axis, index, 1, f"{part}/cut".strip("/")), shape, call.name(part)
    )


@importer("select", "select_copy")
def select(call: Call) -> Tensor:
    axis, taken, _ = parts_of(call, 0)
    return _one(call, call.x(), axis, taken.start)


@importer("slice", "slice_copy", "narrow")
def slice_(call: Call) -> Tensor:
    x = call.x()
    axis, taken, _ = parts_of(call, 0)
    if taken.step == 1 or len(taken) <= 1:
        return cut(call, x, axis, taken.start, len(taken))
    begins, ends, steps = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    begins[axis], ends[axis], steps[axis] = taken.start, taken[-1] + 1, taken.step
    return call.op("strided_slice", x, begin=tuple(begins), end=tuple(ends), strides=tuple(steps))


@importer("flip")
def flip(call: Call) -> Tensor:
    x = call.x()
    axes = call.axes("dims", len(x.shape)) if call.ints("dims") else ()
    return call.op("reverse", x, axes=axes) if axes else x


@importer("roll")
def roll(call: Call) -> Tensor:
    from fanlight.tensor import indices

    shifts, axes = call.ints("shifts"), call.ints("dims", ())
    return call.function(
        lambda x: indices.roll(x, list(shifts), list(axes)) if axes else indices.roll(x, shifts[0]),
        call.x(),
    )


# --- padding --------------------------------------------------------------------------------------


def _pairs(call: Call, rank: int) -> list[tuple[int, int]]:
    """torch writes the pads of the last dim first."""
    pads = call.ints("pad" if "pad" in call.args else "padding")
    if len(pads) % 2 or len(pads) > 2 * rank:
        raise call.refuse("the padding does not fit", received=list(pads[:8]))
    pairs = [(pads[i], pads[i + 1]) for i in range(0, len(pads), 2)]
    return [(0, 0)] * (rank - len(pairs)) + pairs[::-1]


@importer("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
          "replication_pad1d", "replication_pad2d", "replication_pad3d", "zero_pad2d")  # fmt: skip
def pad(call: Call) -> Tensor:
    x = call.x()
    target = call.node.target
    mode = call.get("mode") or (
        "reflect" if "reflection" in target else "replicate" if "replication" in target
        else "constant"
    )  # fmt: skip
    pairs = _pairs(call, len(x.shape))
    for axis, (a, b) in enumerate(pairs):  # negative pads cut
        if a < 0 or b < 0:
            begin, end = max(-a, 0), max(-b, 0)
            if begin + end > x.shape[axis]:
                raise call.refuse("the padding cuts off everything", received=(a, b))
            x = cut(call, x, axis, begin, x.shape[axis] - begin - end, f"cut{axis}")
    pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if not any(a or b for a, b in pairs):
        return x
    if mode == "constant":
        value = call.number("value", 0) if call.has("value") else 0
        if dtype_of(x) == "bool":
            whole = call.op("pad", call.cast(x, "int32"), part="pad", paddings=tuple(pairs),
                            value=int(value))  # fmt: skip
            return call.cast(whole, "bool", "bool")
        value = float(value) if dtype_of(x) == "float32" else int(value)
        return call.op("pad", x, paddings=tuple(pairs), value=value)
    if mode == "reflect":
        return call.op("mirror_pad", x, paddings=tuple(pairs), mode="reflect")
    if mode not in ("replicate", "circular"):
        raise call.refuse("unknown mode", received=str(mode)[:40])
    for axis, (a, b) in enumerate(pairs):
        n = x.shape[axis]
        if not (a or b):
            continue
        if not n:
            raise call.refuse("an empty dim cannot be padded")
        places = np.arange(-a, n + b)
        places = np.clip(places, 0, n - 1) if mode == "replicate" else places % n
        x = call.op("gather", x, places.astype(np.int32), part=f"pad{axis}", axis=axis)
    return x


# --- created tensors ------------------------------------------------------------------------------


def _filled(call: Call, shape: tuple[int, ...], value: float, kind: str | None) -> np.ndarray:
    kind = kind or call.dtype or "float32"
    check_size(TensorType(shape, kind), call.where, _FOLD)
    if kind == "int32":
        value = min(max(int(value), -(2**31)), 2**31 - 1)
    return call.em.full(shape, value, kind, call.name())


_FILLS = {"zeros": 0, "ones": 1, "empty": 0, "new_zeros": 0, "new_ones": 1, "new_empty": 0}
for _name, _value in _FILLS.items():
    HANDLERS[f"aten.{_name}"] = lambda call, v=_value: _filled(  # type: ignore[misc]
        call, call.ints("size"), v, call.dtype
    )
for _name, _value in {"zeros_like": 0, "ones_like": 1, "empty_like": 0}.items():
    HANDLERS[f"aten.{_name}"] = lambda call, v=_value: _filled(  # type: ignore[misc]
        call, tuple(call.x().shape), v, call.dtype
    )
HANDLERS["aten.empty.memory_format"] = HANDLERS["aten.zeros"]
HANDLERS["aten.empty_strided"] = HANDLERS["aten.zeros"]


@importer("full", "new_full", "full_like", "scalar_tensor", "fill", "fill_")
def full(call: Call) -> Tensor:
    name = "fill_value" if "fill_value" in call.args else "s" if "s" in call.args else "value"
    shape = (
        call.ints("size", ())
        if "self" not in call.args or "size" in call.args
        else tuple(call.x().shape)
    )
    value = call.get(name)
    if not isinstance(value, bool | int | float):
        kind = call.dtype or "float32"
        return call.op("broadcast_to", call.x(name, kind), shape=shape)
    return _filled(call, shape, value, call.dtype)


@importer("arange")
def arange(call: Call) -> Tensor:
    start, end, step = (call.number(n, d) for n, d in (("start", 0), ("end", None), ("step", 1)))
    if not step or not all(math.isfinite(v) for v in (start, end, step)):
        raise call.refuse("the range is none", received=[start, end, step])
    if abs((end - start) / step) > _FOLD:
        raise call.refuse("the range is too long", received=[start, end, step])
    kind = np.float32 if call.dtype == "float32" else np.int32
    return call.em.named(np.arange(start, end, step).astype(kind), call.name(), made=True)


@importer("linspace")
def linspace(call: Call) -> Tensor:
    count = call.whole("steps")
    if not 0 <= count <= 1 << 24:
        raise call.refuse("steps is out of range", received=count)
    values = np.linspace(call.real("start"), call.real("end"), count)
    return call.em.named(values.astype(np.float32), call.name(), made=True)


@importer("eye")
def eye(call: Call) -> Tensor:
    n = call.whole("n")
    m = call.whole("m", n) if "m" in call.args else n
    check_size(TensorType((max(n, 0), max(m, 0)), "float32"), call.where, _FOLD)
    return call.em.named(np.eye(n, m, dtype=np.float32), call.name(), made=True)


@importer("tril", "triu")
def triangle(call: Call) -> Tensor:
    x, k = call.x(), call.whole("diagonal", 0)
    if len(x.shape) < 2:
        raise call.refuse("a matrix is wanted", received=list(x.shape))
    check_size(TensorType(tuple(x.shape[-2:]), "bool"), call.where, _FOLD)
    make = np.tril if "tril" in call.node.target else np.triu
    kept = make(np.ones(x.shape[-2:], bool), k)
    return call.op("select", kept, x, call.em.const(0, dtype_of(x)))


@importer("diagonal", "diagonal_copy")
def diagonal(call: Call) -> Tensor:
    x = call.x()
    a, b = call.axis("dim1", len(x.shape), 0), call.axis("dim2", len(x.shape), 1)
    perm = [d for d in range(len(x.shape)) if d not in (a, b)] + [a, b]
    offset = call.whole("offset", 0)
    x = call.em.transpose(x, perm, call.name("last"))
    return call.function(lambda x: matrices.diagonal(x, offset), x)


# --- reductions -----------------------------------------------------------------------------------


def _reduced(call: Call, op: str, dtype: str | None = None) -> Tensor:
    x = call.x(dtype=dtype)
    if not len(x.shape):
        return x
    axes = call.axes("dim", len(x.shape))
    return call.op(op, x, axes=axes, keepdims=call.flag("keepdim"))


@importer("sum", "nansum")
def sum_(call: Call) -> Tensor:
    kind = call.dtype or dtype_of(call.x())
    if "nansum" in call.node.target and dtype_of(call.x()) == "float32":
        x = call.x()
        unknown = call.op("is_nan", x, part="nan")
        call.args["self"] = call.op("select", unknown, call.em.const(0.0), x, part="known")
    return _reduced(call, "sum", "int32" if kind == "bool" else kind)


@importer("mean")
def mean(call: Call) -> Tensor:
    return _reduced(call, "mean", "float32")


@importer("prod")
def prod(call: Call) -> Tensor:
    kind = call.dtype or dtype_of(call.x())
    return _reduced(call, "prod", "int32" if kind == "bool" else kind)


@importer("amax", "amin", "max", "min")
def most(call: Call) -> Any:
    op = "max" if "max" in call.node.target else "min"
    x = call.x()
    if dtype_of(x) == "bool":
        call.args["self"] = call.cast(x, "int32")
    made = _reduced(call, op)
    if not call.node.target.endswith(".dim"):
        return made
    return [made, _place(call, "arg_max" if op == "max" else "arg_min", "place")]


def _place(call: Call, op: str, part: str = "") -> Tensor:
    x = call.x()
    if dtype_of(x) != "float32":
        x = call.cast(x, "int32", "whole")
    shape, keep = tuple(x.shape), call.flag("keepdim")
    if not call.has("dim"):
        x = call.em.reshape(x, (math.prod(shape),), call.name("flat"))
    if not x.shape:
        return call.em.full((), 0, "int32", call.name())
    axis = call.axis("dim", len(x.shape)) if call.has("dim") else 0
    y = call.op(op, x, part=part, axis=axis)
    if not keep:
        return y
    kept = (
        [1] * len(shape)
        if not call.has("dim")
        else [1 if i == axis else d for i, d in enumerate(shape)]
    )
    return call.em.reshape(y, kept, call.name("kept"))


@importer("argmax", "argmin")
def place(call: Call) -> Tensor:
    return _place(call, "arg_max" if "argmax" in call.node.target else "arg_min")


@importer("any", "all")
def some(call: Call) -> Tensor:
    op = "any" if ".any" in call.node.target else "all"
    return _reduced(call, op, "bool")


@importer("var", "std", "var_mean", "std_mean")
def variance(call: Call) -> Any:
    x = call.x(dtype="float32")
    axes = call.axes("dim", len(x.shape))
    correction = call.get("correction", 1)
    if "unbiased" in call.args:
        correction = 1 if call.flag("unbiased") else 0
    correction = 1.0 if correction is None else float(correction)
    keep = call.flag("keepdim")
    function = statistics.std if "std" in call.node.target else statistics.var
    spread = call.function(lambda x: function(x, axes, keep, correction), x)
    if "_mean" not in call.node.target:
        return spread
    return [spread, call.op("mean", x, part="mean", axes=axes, keepdims=keep)]


@importer("norm", "linalg_vector_norm", "frobenius_norm")
def norm(call: Call) -> Tensor:
    name = "ord" if "linalg" in call.node.target else "p"
    power = call.real(name, 2.0) if call.has(name) else 2.0
    x = call.x(dtype="float32")
    axes, keep = call.axes("dim", len(x.shape)), call.flag("keepdim")

    def compute(x: Any) -> Any:
        size = fn.abs(x)
        if math.isinf(power):
            return (fn.max if power > 0 else fn.min)(size, axes, keep)
        if power == 0:
            return fn.sum(fn.where(fn.greater(size, 0.0), 1.0, 0.0), axes, keep)
        if power == 1:
            return fn.sum(size, axes, keep)
        if power == 2:
            return fn.sqrt(fn.sum(fn.square(x), axes, keep))
        return fn.pow(fn.sum(fn.pow(size, power), axes, keep), 1 / power)

    return call.function(compute, x)


@importer("logsumexp")
def logsumexp(call: Call) -> Tensor:
    x = call.x(dtype="float32")
    axes, keep = call.axes("dim", len(x.shape)), call.flag("keepdim")
    return call.function(lambda x: neural.log_sum_exp(x, axes, keep), x)


@importer("count_nonzero")
def count_nonzero(call: Call) -> Tensor:
    x = call.cast(call.x(), "bool", "nonzero")
    call.args["self"] = call.cast(x, "int32", "ones")
    return _reduced(call, "sum")


# --- order ----------------------------------------------------------------------------------------


def _scan(op: Any) -> Handler:
    def compute(call: Call) -> Tensor:
        x = call.x()
        kind = call.dtype or dtype_of(x)
        x = call.cast(x, "int32" if kind == "bool" else kind)
        if not x.shape:
            return x
        axis = call.axis("dim", len(x.shape))
        return call.function(lambda x: op(x, axis), x)

    return compute


for _name in ("cumsum", "cumprod", "logcumsumexp"):
    HANDLERS[f"aten.{_name}"] = _scan(getattr(scans, _name))


@importer("topk")
def topk(call: Call) -> list[Tensor]:
    x, k = call.x(), call.whole("k")
    axis = call.axis("dim", len(x.shape), -1)
    least = not call.flag("largest", True)
    if not 0 <= k <= x.shape[axis]:
        raise call.refuse("k is out of range", received=k)
    return _ordered(call, x, axis, lambda x: tuple(fn.top_k(fn.neg(x) if least else x, k)), least)


def _ordered(call: Call, x: Tensor, axis: int, function: Any, negated: bool) -> list[Tensor]:
    rank = len(x.shape)
    perm = [d for d in range(rank) if d != axis] + [axis]
    back = [perm.index(d) for d in range(rank)]

    def compute(x: Any) -> Any:
        values, places = function(fn.transpose(x, perm) if perm != list(range(rank)) else x)
        if negated:
            values = fn.neg(values)
        if perm != list(range(rank)):
            values, places = fn.transpose(values, back), fn.transpose(places, back)
        return values, places

    return call.function(compute, x)


@importer("sort", "argsort", "msort")
def sort(call: Call) -> Any:
    x = call.x()
    axis = call.axis("dim", len(x.shape), -1) if "msort" not in call.node.target else 0
    down = call.flag("descending")

    def compute(x: Any) -> Any:
        return sorting.sort(x, axis, down), sorting.argsort(x, axis, down)

    values, places = call.function(compute, x)
    if "argsort" in call.node.target:
        return places
    return values if "msort" in call.node.target else [values, places]


@importer("zero")
def zero(call: Call) -> Tensor:
    x = call.x()
    return _filled(call, tuple(x.shape), 0, dtype_of(x))


@importer("copy", "copy_")
def copy(call: Call) -> Tensor:
    """The numbers of src in the shape and dtype of self."""
    x = call.x()
    src = call.x("src", dtype_of(x))
    if tuple(src.shape) == tuple(x.shape):
        return src
    return call.op("broadcast_to", src, shape=tuple(x.shape))

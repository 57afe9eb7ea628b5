"""Importers of convolutions and pooling, of 1, 2 and 3 dims. Channels come first outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.formats.torch.call import Call, importer
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor import indices, windows

Pads = tuple[tuple[int, int], ...]
_MAX = 1 << 20
_MAX_GROUPS = 4096


@importer("conv1d", "conv2d", "conv3d", "convolution", "_convolution", "conv_transpose1d",
          "conv_transpose2d", "conv_transpose3d")  # fmt: skip
def convolution(call: Call) -> Tensor:
    x, w = call.x("input"), call.x("weight")
    count = len(w.shape) - 2
    if not 1 <= count <= 3 or len(x.shape) not in (count + 1, count + 2) or 0 in w.shape:
        raise call.refuse(
            "the filter does not fit the input", received=f"{list(w.shape)} on {list(x.shape)}"
        )
    alone = len(x.shape) == count + 1
    if alone:
        x = call.em.reshape(x, (1, *x.shape), call.name("batch"))
    strides = _checked(call, "stride", call.spread("stride", count, 1))
    gaps = _checked(call, "dilation", call.spread("dilation", count, 1))
    groups = call.whole("groups", 1)
    transposed = call.flag("transposed") or "conv_transpose" in call.node.target
    x = to_nhwc(call.em, x, call.name())
    if count == 1:  # a line is a picture of one row
        x = call.em.reshape(x, (x.shape[0], 1, *x.shape[1:]), call.name("line"))
        w = call.em.reshape(w, (*w.shape[:2], 1, w.shape[2]), call.name("filter"))
        strides, gaps = (1, *strides), (1, *gaps)
    window = w.shape[2:]
    pads = _padding(call, count, x.shape[1:-1], window, strides, gaps)
    if groups < 1 or groups > _MAX_GROUPS or x.shape[-1] % groups:
        raise call.refuse("the groups do not fit", received=[*x.shape, groups])
    if transposed:
        y = _transposed(call, x, w, strides, pads, gaps, groups)
    else:
        y = _forward(call, x, w, strides, pads, gaps, groups)
    bias = call.optional("bias")
    if bias is not None:
        y = call.op("add", y, bias, part="bias")
    if count == 1:
        y = call.em.reshape(y, (y.shape[0], *y.shape[2:]), call.name("column"))
    y = from_nhwc(call.em, y, call.name())
    return call.em.reshape(y, y.shape[1:], call.name("alone")) if alone else y


def _checked(call: Call, name: str, values: tuple[int, ...]) -> tuple[int, ...]:
    if not all(1 <= v < _MAX for v in values):
        raise call.refuse(f"{name} is out of range", expected="from 1 on", received=values)
    return values


def _padding(
    call: Call,
    count: int,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    gaps: Sequence[int],
) -> Pads:
    given = call.get("padding", 0)
    if given == "valid":
        return tuple((0, 0) for _ in sizes)
    if given == "same":  # torch allows it with strides of 1 alone; the odd pixel comes last
        total = [(k - 1) * d for k, d in zip(window, gaps, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    values = call.spread("padding", count, 0)
    if not all(0 <= v < _MAX for v in values):
        raise call.refuse("padding is out of range", expected="from 0 on", received=values)
    values = (0,) * (len(sizes) - count) + values
    return tuple((v, v) for v in values)


def _forward(
    call: Call,
    x: Tensor,
    w: Tensor,
    strides: tuple[int, ...],
    pads: Pads,
    gaps: tuple[int, ...],
    groups: int,
) -> Tensor:
    """x [N, ..., C] by w [O, C / groups, ...]."""
    count, channels = len(w.shape) - 2, x.shape[-1]
    if w.shape[1] * groups != channels or w.shape[0] % groups:
        raise call.refuse(
            "the filter does not fit the channels",
            expected=f"{channels} channels in {groups} groups",
            received=list(w.shape),
        )
    places = tuple(range(2, 2 + count))
    if count == 2 and groups == channels and groups > 1:
        kernel = call.em.transpose(w, (2, 3, 0, 1), call.name("filter"))
        kernel = call.em.reshape(
            kernel, (*w.shape[2:], channels, w.shape[0] // channels), call.name("kernel")
        )
        return call.op("depthwise_conv2d", x, kernel, strides=strides, padding=pads, dilations=gaps)
    kernel = call.em.transpose(w, (*places, 1, 0), call.name("kernel"))
    inner, outer = channels // groups, w.shape[0] // groups
    parts = []
    for g in range(groups):
        part, filters = x, kernel
        if groups > 1:
            part = _channels(call, x, g * inner, inner, f"in{g}")
            filters = _channels(call, kernel, g * outer, outer, f"filter{g}")
        if count == 2:
            attrs: dict[str, Any] = {"strides": strides, "padding": pads, "dilations": gaps}
            name = f"group{g}" if groups > 1 else ""
            parts.append(call.op("conv2d", part, filters, part=name, **attrs))
        else:
            padded = _pad(call, part, pads)
            parts.append(
                call.function(
                    lambda x, w: windows.conv3d(x, w, strides, "valid", gaps), padded, filters
                )
            )
    return parts[0] if groups == 1 else call.op("concat", *parts, axis=len(x.shape) - 1)


def _channels(call: Call, x: Tensor, begin: int, size: int, part: str) -> Tensor:
    """`size` of the entries of the last dim."""
    return call.op(
        "slice",
        x,
        part=part,
        begin=(*(0 for _ in x.shape[1:]), begin),
        size=(*x.shape[:-1], size),
    )


def _pad(call: Call, x: Tensor, pads: Pads, value: float = 0.0, part: str = "padded") -> Tensor:
    """x [N, ..., C] with more places around."""
    if not any(a or b for a, b in pads):
        return x
    return call.op("pad", x, part=part, paddings=((0, 0), *pads, (0, 0)), value=value)


def _transposed(
    call: Call,
    x: Tensor,
    w: Tensor,
    strides: tuple[int, ...],
    pads: Pads,
    gaps: tuple[int, ...],
    groups: int,
) -> Tensor:
    """x [N, ..., C] by w [C, O / groups, ...], which spreads each place over a window."""
    count = len(w.shape) - 2
    name = "output_padding"
    own = len(call.ints("stride", ())) or count
    extra = call.spread(name, min(own, count) if call.has(name) else count, 0)
    extra = (0,) * (count - len(extra)) + extra
    if w.shape[0] != x.shape[-1]:
        raise call.refuse("the filter does not fit", received=f"{list(w.shape)}, {list(x.shape)}")
    if any(g != 1 for g in gaps):
        w = _dilated(call, w, gaps)
    window = w.shape[2:]
    sizes = tuple(
        (n - 1) * s - a - b + k + e
        for n, s, (a, b), k, e in zip(x.shape[1:-1], strides, pads, window, extra, strict=True)
    )
    if min(sizes) < 1 or not all(0 <= e < _MAX for e in extra):
        raise call.refuse("the result has no size", received=[*sizes, *extra])
    check_size(TensorType((x.shape[0], *sizes, w.shape[1] * groups), "float32"), call.where)
    inner = w.shape[0] // groups
    kernel = call.em.transpose(w, (*range(2, 2 + count), 1, 0), call.name("kernel"))
    # A stride larger than the window leaves places that nothing reaches; pads keep them, too.
    parts = []
    for g in range(groups):
        part, filters = x, kernel
        if groups > 1:
            part = _channels(call, x, g * inner, inner, f"in{g}")
            filters = _channels(call, kernel, g * inner, inner, f"filter{g}")
        if count == 2:
            name = f"group{g}" if groups > 1 else ""
            parts.append(
                call.op(
                    "conv2d_transpose", part, filters, part=name, strides=strides,
                    padding=_reaching(pads, extra), output_size=sizes,
                )
            )  # fmt: skip
        else:
            parts.append(
                call.function(
                    lambda x, w: windows.conv3d_transpose(
                        x, w, sizes, strides, _reaching(pads, extra)
                    ),
                    part,
                    filters,
                )
            )
    return parts[0] if groups == 1 else call.op("concat", *parts, axis=len(x.shape) - 1)


def _reaching(pads: Pads, extra: Sequence[int]) -> Pads:
    """Padding as the forward convolution over the larger result has it."""
    return tuple((a, max(b - e, 0)) for (a, b), e in zip(pads, extra, strict=True))


def _dilated(call: Call, w: Tensor, gaps: tuple[int, ...]) -> Tensor:
    """A filter with zeros between its entries."""
    if not isinstance(w, np.ndarray):
        raise call.refuse("a dilated transposed convolution whose filter is computed")
    shape = (*w.shape[:2], *((k - 1) * d + 1 for k, d in zip(w.shape[2:], gaps, strict=True)))
    check_size(TensorType(shape, "float32"), call.where, 1 << 28)
    wide = np.zeros(shape, w.dtype)
    wide[(slice(None), slice(None), *(slice(None, None, d) for d in gaps))] = w
    return wide


# --- pooling --------------------------------------------------------------------------------------


@importer("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
          "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d_with_indices",
          "lp_pool1d", "lp_pool2d")  # fmt: skip
def pool(call: Call) -> list[Any]:
    target = call.node.target.split(".")[1]
    count = int(target[target.index("pool") + 4])
    x = call.x()
    alone = len(x.shape) == count + 1
    if len(x.shape) not in (count + 1, count + 2):
        raise call.refuse("the input does not fit", received=list(x.shape))
    if alone:
        x = call.em.reshape(x, (1, *x.shape), call.name("batch"))
    window = _checked(call, "kernel_size", call.spread("kernel_size", count))
    strides = window
    if call.ints("stride", ()):
        strides = _checked(call, "stride", call.spread("stride", count))
    pads = call.spread("padding", count, 0)
    gaps = _checked(call, "dilation", call.spread("dilation", count, 1))
    if not all(0 <= p < _MAX for p in pads):
        raise call.refuse("padding is out of range", received=pads)
    planes = x
    x = to_nhwc(call.em, x, call.name())
    if count == 1:
        x = call.em.reshape(x, (x.shape[0], 1, *x.shape[1:]), call.name("line"))
        window, strides, pads, gaps = (1, *window), (1, *strides), (0, *pads), (1, *gaps)
    extra = _ceiling(call, x.shape[1:-1], window, strides, pads, gaps)
    if target.startswith("max"):
        y = _max(call, x, window, strides, pads, gaps, extra)
    elif target.startswith("avg"):
        y = _average(call, x, window, strides, pads, extra)
    else:
        raise call.refuse("this pooling is not supported", expected="max or avg")
    if count == 1:
        y = call.em.reshape(y, (y.shape[0], *y.shape[2:]), call.name("column"))
    results = [from_nhwc(call.em, y, call.name())]
    if target.endswith("with_indices") and call.needs(1):
        sides = [(p, p + e) for p, e in zip(pads, extra, strict=True)][-count:]
        own = (window[-count:], strides[-count:], gaps[-count:])
        results.append(_places(call, planes, *own, sides))
    return [call.em.reshape(r, r.shape[1:], call.name("alone")) if alone else r for r in results]


def _places(
    call: Call,
    x: Tensor,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    gaps: tuple[int, ...],
    sides: Sequence[tuple[int, int]],
) -> Tensor:
    """Where in its plane each maximum of x [N, C, ...] is, counted row by row; the first of
    equals.
    """
    if math.prod(window) > 1024:
        raise call.refuse("the window is too large", expected="1024 places", received=window)
    check_size(TensorType(tuple(x.shape), "int32"), call.where, 1 << 28)
    numbers = np.arange(math.prod(x.shape[2:]), dtype=np.int32).reshape(x.shape[2:])
    numbers = np.pad(numbers, sides)
    counts = tuple(
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(numbers.shape, window, gaps, strides, strict=True)
    )

    def compute(x: Any) -> Any:
        x = fn.pad(x, ((0, 0), (0, 0), *sides), value=-math.inf)
        best = place = None
        for at in np.ndindex(*window):
            cut = tuple(
                slice(i * d, i * d + (c - 1) * s + 1, s)
                for i, d, c, s in zip(at, gaps, counts, strides, strict=True)
            )
            part, own = x[(slice(None), slice(None), *cut)], numbers[cut]
            if place is None:
                best, place = part, fn.broadcast_to(own, part.shape)
                continue
            more = fn.greater(part, best)
            best, place = fn.where(more, part, best), fn.where(more, own, place)
        return place

    return call.function(compute, x)


def _ceiling(
    call: Call,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    gaps: Sequence[int],
) -> tuple[int, ...]:
    """Places after the padding that ceil_mode adds, so that a last window fits."""
    extra = []
    for n, k, s, p, d in zip(sizes, window, strides, pads, gaps, strict=True):
        reach = (k - 1) * d + 1
        over = n + 2 * p - reach
        if over < 0:
            raise call.refuse("the window is larger than the input", received=[n, k, p])
        steps = over // s
        if call.flag("ceil_mode") and over % s and (steps + 1) * s < n + p:
            steps += 1  # a window must begin inside
        extra.append(max(steps * s - over, 0))
    return tuple(extra)


def _max(
    call: Call,
    x: Tensor,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    gaps: tuple[int, ...],
    extra: tuple[int, ...],
) -> Tensor:
    sides = tuple((p, p + e) for p, e in zip(pads, extra, strict=True))
    if len(window) == 2 and all(g == 1 for g in gaps):
        return call.op("max_pool", x, size=window, strides=strides, padding=sides)
    # Windows with gaps, and of three dims, are the maximum of their places, shifted.
    least = float(np.finfo(np.float32).min)
    padded = _pad(call, x, sides, least)
    if math.prod(window) > 1024:
        raise call.refuse("the window is too large", expected="1024 places", received=window)
    counts = tuple(
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(padded.shape[1:-1], window, gaps, strides, strict=True)
    )

    def compute(x: Any) -> Any:
        best = None
        for place in np.ndindex(*window):
            cut = tuple(
                slice(i * d, i * d + (c - 1) * s + 1, s)
                for i, d, c, s in zip(place, gaps, counts, strides, strict=True)
            )
            part = x[(slice(None), *cut)]
            best = part if best is None else fn.maximum(best, part)
        return best

    return call.function(compute, padded)


def _average(
    call: Call,
    x: Tensor,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    extra: tuple[int, ...],
) -> Tensor:
    """Padding counts by default; what ceil_mode adds never does."""
    counted = tuple((p, p) for p in pads)
    rest = tuple((0, e) for e in extra)
    fixed = call.get("divisor_override")
    if fixed is not None:
        counted = tuple((p, p + e) for p, e in zip(pads, extra, strict=True))
        rest = tuple((0, 0) for _ in pads)
    elif not call.flag("count_include_pad", True):
        rest = tuple((p, p + e) for p, e in zip(pads, extra, strict=True))
        counted = tuple((0, 0) for _ in pads)
    x = _pad(call, x, counted)
    if len(window) == 2:
        y = call.op(
            "avg_pool", x, part="" if fixed is None else "mean", size=window, strides=strides,
            padding=rest,
        )  # fmt: skip
    else:
        y = call.function(lambda x: windows.avg_pool3d(x, window, strides, rest), x)
    if fixed is None:
        return y
    return call.op(
        "mul", y, call.em.const(math.prod(window) / max(call.whole("divisor_override"), 1))
    )


@importer("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d",
          "adaptive_avg_pool3d", "_adaptive_avg_pool3d", "adaptive_max_pool1d",
          "adaptive_max_pool2d", "adaptive_max_pool3d")  # fmt: skip
def adaptive(call: Call) -> list[Any]:
    """Each result is of the places from floor(i n / m) to ceil((i + 1) n / m)."""
    target = call.node.target.split(".")[1]
    count, average = int(target[target.index("pool") + 4]), "avg" in target
    x, sizes = call.x(), call.spread("output_size", count)
    if len(x.shape) < count or not all(1 <= m < _MAX for m in sizes):
        raise call.refuse("the sizes do not fit", received=[*x.shape, *sizes])
    first = len(x.shape) - count
    axes = tuple(range(first, len(x.shape)))
    shape = x.shape[first:]
    if not average and call.needs(1):
        return _adaptive_places(call, x, sizes)
    if all(m == 1 for m in sizes):
        return [call.op("mean" if average else "max", x, axes=axes, keepdims=True)]
    even = all(n % m == 0 for n, m in zip(shape, sizes, strict=True))
    if count == 2 and even and len(x.shape) == 4:
        window = tuple(n // m for n, m in zip(shape, sizes, strict=True))
        turned = to_nhwc(call.em, x, call.name())
        kind = "avg_pool" if average else "max_pool"
        y = call.op(kind, turned, part=kind, size=window, strides=window, padding=((0, 0), (0, 0)))
        return [from_nhwc(call.em, y, call.name())]

    def compute(x: Any) -> Any:
        for axis, m in zip(axes, sizes, strict=True):
            n, parts = x.shape[axis], []
            for i in range(m):
                cut = slice(i * n // m, -(-(i + 1) * n // m))
                part = x[(*(slice(None),) * axis, cut)]
                parts.append((fn.mean if average else fn.max)(part, axis, True))
            x = fn.concat(parts, axis) if len(parts) > 1 else parts[0]
        return x

    if max(sizes) > 512:
        raise call.refuse("the result is too large", expected="at most 512", received=sizes)
    return [call.function(compute, x)]


def _adaptive_places(call: Call, x: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
    """The maxima of adaptive windows, and where in its plane each is, counted row by row."""
    count = math.prod(sizes)
    lead, shape = tuple(x.shape[: -len(sizes)]), tuple(x.shape[-len(sizes) :])
    if count > 512 or 0 in shape:
        raise call.refuse("the result is too large", expected="1 to 512 windows", received=sizes)
    numbers = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)

    def compute(x: Any) -> Any:
        most, places = [], []
        for cell in np.ndindex(*sizes):
            cut = tuple(
                slice(i * n // m, -(-(i + 1) * n // m))
                for i, n, m in zip(cell, shape, sizes, strict=True)
            )
            own = numbers[cut].reshape(-1)
            part = fn.reshape(x[(*(slice(None),) * len(lead), *cut)], (*lead, len(own)))
            at = fn.arg_max(part, axis=-1)
            most.append(fn.max(part, -1))
            places.append(indices.gather(own, at))
        return tuple(fn.reshape(fn.stack(t, -1), (*lead, *sizes)) for t in (most, places))

    return list(call.function(compute, x))


@importer("max_unpool2d", "max_unpool3d")
def max_unpool(call: Call) -> Tensor:
    """[..., C, h, w] to where its indices say in planes of zeros."""
    count = 2 if "2d" in call.node.target else 3
    x, index = call.x(), call.x("indices", "int32")
    sizes = call.spread("output_size", count)
    lead = tuple(x.shape[: len(x.shape) - count])
    if len(x.shape) < count + 1 or tuple(x.shape) != tuple(index.shape) or min(sizes) < 1:
        raise call.refuse("the indices do not fit", received=[*x.shape, *index.shape, *sizes])
    planes, own, size = math.prod(lead), math.prod(x.shape[-count:]), math.prod(sizes)
    check_size(TensorType((planes, size), "float32"), call.where, 1 << 28)
    starts = np.arange(planes, dtype=np.int32)[:, None] * np.int32(size)

    def compute(x: Any, index: Any) -> Any:
        at = fn.reshape(fn.add(fn.reshape(index, (planes, own)), starts), (planes * own, 1))
        blank = fn.zeros((planes * size,))
        made = indices.tensor_scatter_update(blank, at, fn.reshape(x, (planes * own,)))
        return fn.reshape(made, (*lead, *sizes))

    return call.function(compute, x, index)

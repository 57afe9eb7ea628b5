"""Scans: sums, products and extremes of all elements up to each, along one dim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.backward import Rule, Step
from fanlight.ops.check import NUMBERS
from fanlight.ops.indexing_backward import along_last
from fanlight.ops.row import Attr, Row, register
from fanlight.ops.types import TensorType

_AXIS = Attr(-1, "the dim to go along; negative counts from the end")
_EXCLUSIVE = Attr(False, "whether an element itself is left out: the first one is then empty")
_REVERSE = Attr(False, "whether to go from the last element to the first")


def scan(
    name: str,
    accumulate: Callable[..., np.ndarray],
    doc: str,
    *,
    vjp: Rule,
    nothing: float | None,
    tol: Mapping[str, float],
) -> Row:
    """Register a scan. `nothing`: the value of no elements, for those that can be exclusive."""
    attrs = {"axis": _AXIS, "reverse": _REVERSE}
    if nothing is not None:
        attrs["exclusive"] = _EXCLUSIVE

    def infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
        (x,) = types
        check.tensor(name, "x", x, NUMBERS)
        check.axis(name, attrs, "axis", x)
        for flag in sorted(set(attrs) - {"axis"}):
            check.flag(name, attrs, flag)
        return [x]

    def evaluate(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
        x, axis = arrays[0], attrs["axis"]
        x = np.flip(x, axis) if attrs["reverse"] else x
        with np.errstate(all="ignore"):
            y = accumulate(x, axis)
            if attrs.get("exclusive"):
                first = np.full_like(np.take(y, [0] * min(1, y.shape[axis]), axis), nothing)
                kept = np.take(y, range(y.shape[axis] - 1), axis)
                y = np.concatenate([first, kept], axis)
            y = np.flip(y, axis) if attrs["reverse"] else y
            return [np.ascontiguousarray(y, x.dtype)]

    return register(
        Row(
            name=name,
            family="scan",
            arity=(1, 1),
            attrs=attrs,
            infer=infer,
            eval=evaluate,
            doc=f"[...] -> [...]: {doc[0].lower()}{doc[1:]} Takes float32 or int32.",
            wasm="kernel",
            tol=tol,
            nan="propagates to all elements from there on",
            vjp=vjp,
        )
    )


def _wide(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """float32 is accumulated in float64, in the kernel too."""
    return lambda x, axis: function(
        x, axis=axis, dtype=np.float64 if x.dtype.kind == "f" else np.int32
    )


# --- gradients ------------------------------------------------------------------------------------


def _sum_backward(step: Step) -> list[Any]:
    """An element counts in all sums that come after it."""
    attrs = {**step.attrs, "reverse": not step.attrs["reverse"]}
    return [step.apply("cumsum", step.g, **attrs)]


def _behind(step: Step, x: Any, axis: int, by: int, value: float) -> Any:
    """At each place what lies `by` places behind it; `value` beyond the end."""
    begin, widths = [0] * len(x.shape), [(0, 0)] * len(x.shape)
    begin[axis], widths[axis] = by, (0, by)
    size = [n - b for n, b in zip(x.shape, begin, strict=True)]
    kept = step.apply("slice", x, begin=tuple(begin), size=tuple(size))
    return step.apply("pad", kept, paddings=tuple(widths), value=value)


def _product_backward(step: Step) -> list[Any]:
    """P S, with P the product of all elements before each, and S[i] = g[i] + x[i+1] S[i+1].

    The recurrence is solved by doubling its reach: S = a + b S moved, so nothing is divided, zeros
    disturb nothing, and the gradient of the gradient is exact, too.
    """
    (x,), g, attrs = step.inputs, step.g, step.attrs
    axis = attrs["axis"] % len(x.shape)
    if 0 in x.shape:
        return [g]
    if attrs["reverse"]:
        x, g = (step.apply("reverse", v, axes=(axis,)) for v in (x, g))
    if attrs["exclusive"]:
        g = _behind(step, g, axis, 1, 0)
    before = step.apply("cumprod", x, axis=axis, exclusive=True)
    total, factor, by = g, _behind(step, x, axis, 1, 0), 1
    while by < x.shape[axis]:
        far = _behind(step, total, axis, by, 0)
        total = step.fused(lambda t, f, s: t + f * s, total, factor, far)
        if 2 * by < x.shape[axis]:
            factor = step.apply("mul", factor, _behind(step, factor, axis, by, 0))
        by *= 2
    result = step.apply("mul", before, total)
    return [step.apply("reverse", result, axes=(axis,)) if attrs["reverse"] else result]


def _extreme_backward(step: Step) -> list[Any]:
    """All of it goes to the latest element that is the extreme one, as PyTorch has it."""
    (x,), (y,), g, attrs = step.inputs, step.outputs, step.g, step.attrs
    rank = len(x.shape)
    axis = attrs["axis"] % rank
    if 0 in x.shape:
        return [g]
    order = [*(d for d in range(rank) if d != axis), axis]
    x, y, g = (step.transpose(v, order) for v in (x, y, g))
    if attrs["reverse"]:
        x, y, g = (step.apply("reverse", v, axes=(rank - 1,)) for v in (x, y, g))
    places = step.constant(np.arange(x.shape[-1], dtype=np.int32))
    new = step.apply("equal", x, y)
    where = step.apply("select", new, places, step.constant(np.array(0, np.int32)))
    found = along_last(step, x, step.apply("cummax", where, axis=-1), g)
    if attrs["reverse"]:
        found = step.apply("reverse", found, axes=(rank - 1,))
    return [step.transpose(found, [order.index(d) for d in range(rank)])]


_CLOSE = {"float32": 1e-6, "int32": 0.0}
scan(
    "cumsum",
    _wide(np.cumsum),
    "The sum of the elements along `axis` up to each, itself included unless `exclusive`; from the "
    "end if `reverse`. int32 wraps around. Source: tf.math.cumsum.",
    vjp=_sum_backward,
    nothing=0,
    tol=_CLOSE,
)
scan(
    "cumprod",
    _wide(np.cumprod),
    "The product of the elements along `axis` up to each, itself included unless `exclusive`; from "
    "the end if `reverse`. int32 wraps around. Source: tf.math.cumprod.",
    vjp=_product_backward,
    nothing=1,
    tol=_CLOSE,
)
scan(
    "cummax",
    np.maximum.accumulate,
    "The greatest of the elements along `axis` up to each, itself included; from the end if "
    "`reverse`. Source: numpy.maximum.accumulate.",
    vjp=_extreme_backward,
    nothing=None,
    tol={"float32": 0.0, "int32": 0.0},
)
scan(
    "cummin",
    np.minimum.accumulate,
    "The smallest of the elements along `axis` up to each, itself included; from the end if "
    "`reverse`. Source: numpy.minimum.accumulate.",
    vjp=_extreme_backward,
    nothing=None,
    tol={"float32": 0.0, "int32": 0.0},
)

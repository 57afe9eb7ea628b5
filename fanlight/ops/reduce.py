"""Reductions over some dims, and the position of the extremes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable, Rule, Step
from fanlight.ops.check import BOOLS, FLOATS, NUMBERS
from fanlight.ops.pointwise import EXACT
from fanlight.ops.quiet import quietly
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

_AXES = Attr(REQUIRED, "the dims to reduce, e.g. (1, 2); negative ones count from the end")
_KEEPDIMS = Attr(False, "whether the reduced dims stay, with size 1")


def reduced_shape(type: TensorType, axes: Sequence[int], keep: bool) -> tuple[int, ...]:
    """The shape without some dims, or with 1 in their place."""
    dims = [(1 if d in axes else n) for d, n in enumerate(type.bound) if keep or d not in axes]
    return tuple(dims)


def _typed(reduce: Callable[[], Any], dtype: np.dtype) -> np.ndarray:
    return np.asarray(reduce(), dtype)


def reduction(
    name: str,
    reduce: Callable[..., np.ndarray],
    doc: str,
    *,
    vjp: Rule | NotDifferentiable,
    dtypes: Sequence[str],
    empty: bool = True,
    tol: Mapping[str, float] = EXACT,
    nan: str = "propagate",
) -> Row:
    """Register a reduction. `empty`: whether the reduction of no elements has a value."""

    def infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
        x = types[0]
        check.tensor(name, "x", x, dtypes)
        axes = check.axes(name, attrs, "axes", x)
        keep = check.flag(name, attrs, "keepdims")
        if not empty and any(x.shape[d] == 0 for d in axes):
            raise check.shape_error(name, "x", "at least one element to reduce", x)
        return [TensorType(reduced_shape(x, axes, keep), x.dtype)]

    def evaluate(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
        x = arrays[0]
        axes = tuple(d % x.ndim for d in attrs["axes"]) if attrs["axes"] else ()
        return [quietly(_typed, partial(reduce, x, axis=axes, keepdims=attrs["keepdims"]), x.dtype)]

    return register(
        Row(
            name=name,
            family="reduce",
            arity=(1, 1),
            attrs={"axes": _AXES, "keepdims": _KEEPDIMS},
            infer=infer,
            eval=evaluate,
            doc=f"[d1, ..., dr] -> the same without `axes`, or with 1 there (`keepdims`): "
            f"{doc[0].lower()}{doc[1:]} "
            f"Takes {' or '.join(dtypes)}.",
            wasm="loops",
            tol=tol,
            nan=nan,
            vjp=vjp,
        )
    )


def _repeated(step: Step, value: Any) -> Any:
    """Something of the result's shape, repeated to that of x."""
    shape = step.inputs[0].shape
    return step.repeat_to(value, shape, [d % len(shape) for d in step.attrs["axes"]])


def _reduced_count(step: Step) -> int:
    shape = step.inputs[0].shape
    return prod(shape[d] for d in step.attrs["axes"])


def _sum_backward(step: Step) -> list[Any]:
    return [_repeated(step, step.g)]


def _mean_backward(step: Step) -> list[Any]:
    share = 1 / _reduced_count(step)
    return [_repeated(step, step.fused(lambda g: g * share, step.g))]


def _before(step: Step, x: Any) -> Any:
    """Along the last dim, the product of all elements before each, by doubling the reach."""

    def moved(x: Any, by: int) -> Any:
        size = (*x.shape[:-1], x.shape[-1] - by)
        kept = step.apply("slice", x, begin=(0,) * len(size), size=size)
        return step.apply("pad", kept, paddings=(*[(0, 0)] * (len(size) - 1), (by, 0)), value=1)

    x, by = moved(x, 1), 1
    while by < x.shape[-1]:
        x, by = step.apply("mul", x, moved(x, by)), 2 * by
    return x


def _prod_backward(step: Step) -> list[Any]:
    """Of each factor the product of the others, which no factor of 0 disturbs, at any order."""
    (x,) = step.inputs
    rank = len(x.shape)
    axes = [d % rank for d in step.attrs["axes"]]
    if not axes or 0 in x.shape:
        return [_repeated(step, step.g)]
    perm = [*(d for d in range(rank) if d not in axes), *axes]
    turned = step.transpose(x, perm)
    flat = step.reshape(turned, (*turned.shape[: rank - len(axes)], -1))
    last = len(flat.shape) - 1
    behind = step.apply("reverse", flat, axes=(last,))
    behind = step.apply("reverse", _before(step, behind), axes=(last,))
    others = step.reshape(step.apply("mul", _before(step, flat), behind), turned.shape)
    others = step.transpose(others, [perm.index(d) for d in range(rank)])
    return [step.fused(lambda o, g: o * g, others, _repeated(step, step.g))]


def _extreme_backward(step: Step) -> list[Any]:
    """Shared evenly by all elements that are the extreme one, as TensorFlow does."""
    (x,), (y,) = step.inputs, step.outputs
    chosen = step.fused(lambda x, y: sc.where(sc.equal(x, y), 1.0, 0.0), x, _repeated(step, y))
    many = step.apply("sum", chosen, axes=step.attrs["axes"], keepdims=step.attrs["keepdims"])
    share = step.fused(lambda g, n: g / n, step.g, many)
    return [step.fused(lambda c, s: c * s, chosen, _repeated(step, share))]


_LOGIC = NotDifferentiable("truth values do not move with anything")


def _wide(reduce: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Accumulate float32 in float64, so that the meaning does not depend on an order of adding."""

    def run(x: np.ndarray, **options: Any) -> np.ndarray:
        return reduce(x, dtype=np.float64 if x.dtype.kind == "f" else np.int32, **options)

    return run


_SUMMED = {"float32": 1e-5, "int32": 0.0}
reduction(
    "sum",
    _wide(np.sum),
    "Sum over `axes`. No elements: 0. int32 wraps around. Source: numpy.sum.",
    dtypes=NUMBERS,
    tol=_SUMMED,
    vjp=_sum_backward,
)
reduction(
    "mean",
    _wide(np.mean),
    "Arithmetic mean over `axes`. E-OP-004 if there are no elements. Source: numpy.mean.",
    dtypes=FLOATS,
    empty=False,
    tol={"float32": 1e-5},
    vjp=_mean_backward,
)
reduction(
    "prod",
    _wide(np.prod),
    "Product over `axes`. No elements: 1. int32 wraps around. Source: numpy.prod.",
    dtypes=NUMBERS,
    tol=_SUMMED,
    vjp=_prod_backward,
)
reduction(
    "max",
    np.max,
    "Greatest element over `axes`. E-OP-004 if there are no elements. Source: numpy.max.",
    dtypes=NUMBERS,
    empty=False,
    vjp=_extreme_backward,
)
reduction(
    "min",
    np.min,
    "Smallest element over `axes`. E-OP-004 if there are no elements. Source: numpy.min.",
    dtypes=NUMBERS,
    empty=False,
    vjp=_extreme_backward,
)
reduction(
    "any",
    np.any,
    "Whether any element over `axes` is true. No elements: false. Source: numpy.any.",
    dtypes=BOOLS,
    nan="cannot occur",
    vjp=_LOGIC,
)
reduction(
    "all",
    np.all,
    "Whether all elements over `axes` are true. No elements: true. Source: numpy.all.",
    dtypes=BOOLS,
    nan="cannot occur",
    vjp=_LOGIC,
)


def _position(name: str, find: Callable[..., np.ndarray], which: str) -> Row:
    def infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
        x = types[0]
        check.tensor(name, "x", x, NUMBERS)
        axis = check.axis(name, attrs, "axis", x)
        if x.shape[axis] == 0:
            raise check.shape_error(name, "x", "at least one element along axis", x)
        return [TensorType(reduced_shape(x, (axis,), False), "int32")]

    def evaluate(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
        return [np.asarray(find(arrays[0], axis=attrs["axis"]), np.int32)]

    return register(
        Row(
            name=name,
            family="reduce",
            arity=(1, 1),
            attrs={"axis": Attr(-1, "the dim to look along; negative counts from the end")},
            infer=infer,
            eval=evaluate,
            doc=f"[..., n, ...] -> int32 [..., ...]: index of the {which} element along `axis`, "
            "the first one where several are equal. E-OP-004 if there are no elements. "
            f"Source: numpy.{name.replace('_', '')}. Takes float32 or int32.",
            wasm="kernel",
            tol={"int32": 0.0},
            vjp=NotDifferentiable("a position is a whole number"),
            positions=True,
            nan="wins: the index of the first NaN, as in NumPy",
        )
    )


_position("arg_max", np.argmax, "greatest")
_position("arg_min", np.argmin, "smallest")

"""Reductions over some dims, and the position of the extremes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.check import BOOLS, FLOATS, NUMBERS
from fanlight.ops.pointwise import EXACT
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

_AXES = Attr(REQUIRED, "the dims to reduce, e.g. (1, 2); negative ones count from the end")
_KEEPDIMS = Attr(False, "whether the reduced dims stay, with size 1")


def _reduced(type: TensorType, axes: Sequence[int], keep: bool) -> tuple[int, ...]:
    dims = [(1 if d in axes else n) for d, n in enumerate(type.bound) if keep or d not in axes]
    return tuple(dims)


def reduction(
    name: str,
    reduce: Callable[..., np.ndarray],
    doc: str,
    *,
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
        return [TensorType(_reduced(x, axes, keep), x.dtype)]

    def evaluate(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
        x = arrays[0]
        axes = tuple(d % x.ndim for d in attrs["axes"]) if attrs["axes"] else ()
        with np.errstate(all="ignore"):
            result = reduce(x, axis=axes, keepdims=attrs["keepdims"])
        return [np.asarray(result, x.dtype)]

    return register(
        Row(
            name=name,
            family="reduce",
            arity=(1, 1),
            attrs={"axes": _AXES, "keepdims": _KEEPDIMS},
            infer=infer,
            eval=evaluate,
            doc=f"{doc} Takes {' or '.join(dtypes)}.",
            wasm="loops",
            tol=tol,
            nan=nan,
        )
    )


def _wide(reduce: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Accumulate float32 in float64, so that the meaning does not depend on an order of adding."""

    def run(x: np.ndarray, **options: Any) -> np.ndarray:
        return reduce(x, dtype=np.float64 if x.dtype.kind == "f" else np.int32, **options)

    return run


_SUMMED = {"float32": 1e-5, "int32": 0.0}
reduction(
    "sum",
    _wide(np.sum),
    "Sum over `axes`. No elements: 0. int32 wraps around.",
    dtypes=NUMBERS,
    tol=_SUMMED,
)
reduction(
    "mean",
    _wide(np.mean),
    "Arithmetic mean over `axes`. E-OP-004 if there are no elements.",
    dtypes=FLOATS,
    empty=False,
    tol={"float32": 1e-5},
)
reduction(
    "prod",
    _wide(np.prod),
    "Product over `axes`. No elements: 1. int32 wraps around.",
    dtypes=NUMBERS,
    tol=_SUMMED,
)
reduction(
    "max",
    np.max,
    "Greatest element over `axes`. E-OP-004 if there are no elements.",
    dtypes=NUMBERS,
    empty=False,
)
reduction(
    "min",
    np.min,
    "Smallest element over `axes`. E-OP-004 if there are no elements.",
    dtypes=NUMBERS,
    empty=False,
)
reduction(
    "any",
    np.any,
    "Whether any element over `axes` is true. No elements: false.",
    dtypes=BOOLS,
    nan="cannot occur",
)
reduction(
    "all",
    np.all,
    "Whether all elements over `axes` are true. No elements: true.",
    dtypes=BOOLS,
    nan="cannot occur",
)


def _position(name: str, find: Callable[..., np.ndarray], which: str) -> Row:
    def infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
        x = types[0]
        check.tensor(name, "x", x, NUMBERS)
        axis = check.axis(name, attrs, "axis", x)
        if x.shape[axis] == 0:
            raise check.shape_error(name, "x", "at least one element along axis", x)
        return [TensorType(_reduced(x, (axis,), False), "int32")]

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
            doc=f"Index (int32) of the {which} element along `axis`, the first one where several "
            "are equal; the dim vanishes. E-OP-004 if there are no elements. "
            "Takes float32 or int32.",
            wasm="kernel",
            tol={"int32": 0.0},
            nan="wins: the index of the first NaN, as in NumPy",
        )
    )


_position("arg_max", np.argmax, "greatest")
_position("arg_min", np.argmin, "smallest")

"""Ops between symbolic dims and memory, which lies at their bounds (docs/adr/0001)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import Dim, TensorType

_COPIED = {"float32": 0.0, "int32": 0.0, "bool": 0.0, "uint8": 0.0}
_INSIDE = NotDifferentiable("it is made after gradients have been taken")


def spelt(shape: Sequence[int | Dim]) -> tuple[Any, ...]:
    """A shape as `from_bound` has it among its attributes."""
    return tuple(
        (d.name, d.min, d.max, *([d.times] if d.times != 1 else [])) if isinstance(d, Dim) else d
        for d in shape
    )


def _infer_size(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    if not check.is_int(attrs["axis"], 0, types[0].rank - 1):
        expected = f"a dim of {types[0]}, counted from 0"
        raise check.attr_error("dim_size", "axis", expected, attrs["axis"])
    return [TensorType((), "int32")]


def _eval_size(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    return [np.asarray(arrays[0].shape[attrs["axis"]], np.int32)]


def _infer_to(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    x = types[0]
    shape = check.integers("to_bound", attrs, "shape", None, 0)
    if prod(shape) != x.size:
        raise check.attr_error("to_bound", "shape", f"{x.size} elements", shape)
    return [TensorType(shape, x.dtype)]


def _eval_to(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    x = arrays[0]
    made = np.zeros(attrs["shape"], x.dtype)
    made.reshape(-1)[: x.size] = x.reshape(-1)
    return [made]


def _shape_of(spelled: Any) -> tuple[int | Dim, ...]:
    """The shape that `spelt` wrote; E-OP-005."""
    shape: list[int | Dim] = []
    for d in spelled if isinstance(spelled, tuple) else (None,):
        if check.is_int(d, 0):
            shape.append(d)
        elif (
            isinstance(d, tuple)
            and len(d) in (3, 4)
            and isinstance(d[0], str)
            and check.is_int(d[1], 0)
            and check.is_int(d[2], d[1])
            and all(check.is_int(n, 2) and not (d[1] % n or d[2] % n) for n in d[3:])
        ):
            shape.append(Dim(d[0], d[2], d[1], *d[3:]))
        else:
            expected = "numbers and (name, min, max), or (name, min, max, times)"
            raise check.attr_error("from_bound", "shape", expected, spelled)
    return tuple(shape)


def _infer_from(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    x, *sizes = types
    check.static("from_bound", types)
    made = TensorType(_shape_of(attrs["shape"]), x.dtype)
    if made.size != x.size:
        raise check.shape_error("from_bound", "x", f"{made.size} elements", x)
    names = dict.fromkeys(d.name for d in made.shape if isinstance(d, Dim))
    if [t for t in sizes if t != TensorType((), "int32")] or len(sizes) != len(names):
        raise check.shape_error(
            "from_bound", "sizes", f"one int32 for each of {', '.join(names)}", len(sizes)
        )
    return [made]


def _eval_from(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    x, *sizes = arrays
    shape = _shape_of(attrs["shape"])
    names = dict.fromkeys(d.name for d in shape if isinstance(d, Dim))
    actual = dict(zip(names, map(int, sizes), strict=True))
    for d in shape:
        if isinstance(d, Dim) and not d.takes(d.at(actual)):
            raise check.attr_error("from_bound", "shape", f"{d.name} as {d}", actual[d.name])
    whole = TensorType(shape, "float32").at(actual).bound
    return [x.reshape(-1)[: prod(whole)].reshape(whole).copy()]


register(
    Row(
        name="dim_size",
        family="sizes",
        arity=(1, 1),
        attrs={"axis": Attr(REQUIRED, "which dim")},
        infer=_infer_size,
        eval=_eval_size,
        doc="x of any shape -> int32 []: the size of a dim of x. Where the dim is a symbol "
        '(`fl.spec(("batch", 3))`) it is the actual size, which the host of a built function '
        "says. Source: tf.shape, one element of it.",
        wasm="kernel",
        tol=_COPIED,
        nan="does not matter",
        vjp=NotDifferentiable("a size is a whole number"),
    )
)
register(
    Row(
        name="to_bound",
        family="sizes",
        arity=(1, 1),
        attrs={"shape": Attr(REQUIRED, "as many elements as x has at the bounds of its symbols")},
        infer=_infer_to,
        eval=_eval_to,
        doc="[d1, ..., dr], some of them symbols, -> `shape`, without any: the elements of x one "
        "after another, then elements that mean nothing (here 0). E-OP-005 if the shape has not "
        "the number of elements that x has at its bounds. Source: "
        "docs/adr/0001-bounded-symbolic-shapes.md.",
        wasm="alias",
        tol=_COPIED,
        nan="is copied",
        vjp=_INSIDE,
    )
)
register(
    Row(
        name="from_bound",
        family="sizes",
        arity=(1, None),
        attrs={
            "shape": Attr(
                REQUIRED,
                "numbers, and (name, min, max) for each symbol, (name, min, max, times) for a "
                "multiple of one",
            )
        },
        infer=_infer_from,
        eval=_eval_from,
        doc="x, sizes... -> `shape`, with symbols: the first elements of x, as many as the actual "
        "sizes of symbols say (int32 [], one for each, in the order of the shape). The inverse of "
        "`to_bound`. E-OP-004 if the sizes are others, or x has not as many elements as the shape "
        "at its bounds. Source: docs/adr/0001-bounded-symbolic-shapes.md.",
        wasm="alias",
        tol=_COPIED,
        nan="is copied",
        vjp=_INSIDE,
    )
)

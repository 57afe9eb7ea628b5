"""Ops that find elements by their indices: tuples of indices, scattering, sorted searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, prod
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops import indexing_backward as backward
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.check import ANY, NUMBERS
from fanlight.ops.pointwise import EXACT
from fanlight.ops.row import Attr, Row, register
from fanlight.ops.types import TensorType

Attrs = Mapping[str, Any]
Shape = tuple[int, ...]

# How what is scattered meets what is there.
MODES: dict[str, Callable[..., Any] | None] = {
    "update": None,
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


_LIMITS = {
    "float32": (float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)),
    "int32": (-(2**31), 2**31 - 1),
    "uint8": (0, 255),
    "bool": (0, 1),
}


def slots(shape: Shape, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tuples of indices of a shape's first dims as places in row-major order.

    Returns:
        Places, of indices that are clipped into their dims; and which tuples lie inside.
    """
    sizes = np.array(shape[: indices.shape[-1]], np.int64)
    steps = np.array([prod(sizes[d + 1 :]) for d in range(len(sizes))], np.int64)
    inside = np.asarray(((indices >= 0) & (indices < sizes)).all(axis=-1))
    clipped = np.clip(indices, 0, np.maximum(sizes - 1, 0))
    return (clipped * steps).sum(axis=-1), inside


def _depth(op: str, indices: TensorType, rank: int) -> int:
    """How many dims a tuple of indices counts."""
    check.tensor(op, "indices", indices, ("int32",))
    if indices.rank == 0 or indices.bound[-1] > rank:
        raise check.shape_error(op, "indices", f"[..., indices of at most {rank} dims]", indices)
    return indices.bound[-1]


# --- gather_nd ------------------------------------------------------------------------------------


def _infer_gather(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    x, indices = types
    check.tensor("gather_nd", "x", x, ANY)
    depth = _depth("gather_nd", indices, x.rank)
    outside = check.choice("gather_nd", attrs, "outside", ("clip", "zero"))
    shape = (*indices.shape[:-1], *x.shape[depth:])
    if outside == "clip" and 0 in x.shape[:depth] and prod(indices.bound[:-1]):
        raise check.shape_error("gather_nd", "x", "no empty dim among those that are indexed", x)
    return [TensorType(shape, x.dtype)]


def _eval_gather(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x, indices = arrays
    depth = indices.shape[-1]
    shape = (*indices.shape[:-1], *x.shape[depth:])
    if not prod(shape) or not x.size:
        return [np.zeros(shape, x.dtype)]
    places, inside = slots(x.shape, indices)
    found = x.reshape(prod(x.shape[:depth]), *x.shape[depth:])[places]
    if attrs["outside"] == "zero":
        found[~inside] = 0
    return [np.asarray(found)]


register(
    Row(
        name="gather_nd",
        family="indexing",
        arity=(2, 2),
        attrs={
            "outside": Attr("clip", 'an index outside its dim is clipped into it ("clip"), or gives'
            ' zeros ("zero")')
        },
        infer=_infer_gather,
        eval=_eval_gather,
        doc="x [d1, ..., dr] and indices [..., k] (int32) -> [..., d(k+1), ..., dr]: the slices of "
        "x at tuples of k indices of its first dims. E-OP-004 if k > r. An index outside its dim "
        "is clipped into it, as `gather` has it, or gives zeros. Source: tf.gather_nd.",
        wasm="kernel",
        tol=EXACT,
        nan="moves like any other element",
        vjp=backward.gather_nd,
    )
)  # fmt: skip


# --- scatter_nd -----------------------------------------------------------------------------------


def _infer_scatter(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    indices, updates, *rest = types
    mode = check.choice("scatter_nd", attrs, "mode", tuple(MODES))
    takes = ANY if mode == "update" else NUMBERS
    check.tensor("scatter_nd", "updates", updates, takes)
    if rest:
        check.tensor("scatter_nd", "x", rest[0], takes)
        if rest[0].dtype != updates.dtype:
            raise check.dtype_error("scatter_nd", "x", f"{updates.dtype}, as updates", rest[0])
        if attrs["shape"] not in (None, rest[0].shape):
            raise check.attr_error("scatter_nd", "shape", f"None, or that of {rest[0]}", attrs)
        shape = rest[0].bound
    else:
        shape = check.integers("scatter_nd", attrs, "shape", None, 0)
    depth = _depth("scatter_nd", indices, len(shape))
    wanted = (*indices.bound[:-1], *shape[depth:])
    if updates.bound != wanted:
        raise check.shape_error("scatter_nd", "updates", list(wanted), updates)
    value = check.number("scatter_nd", attrs, "value", finite=False)
    low, high = _LIMITS[updates.dtype]
    whole = updates.dtype != "float32"
    fits = low <= value <= high or (not whole and not isfinite(value))
    if not fits or (whole and value % 1):
        raise check.attr_error("scatter_nd", "value", f"a number of {updates.dtype}", value)
    return [TensorType(shape, updates.dtype)]


def _eval_scatter(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    indices, updates, *rest = arrays
    shape = rest[0].shape if rest else attrs["shape"]
    y = rest[0].copy() if rest else np.full(shape, attrs["value"], updates.dtype)
    if not y.size or not updates.size:
        return [y]
    places, inside = slots(shape, indices)
    places = places[inside]
    depth = indices.shape[-1]
    rows = y.reshape(prod(shape[:depth]), *shape[depth:])
    parts = updates[inside]
    combine: Any = MODES[attrs["mode"]]
    with np.errstate(all="ignore"):
        if combine is None:
            rows[places] = parts  # of several, the last stays
        else:
            combine.at(rows, places, parts)
    return [y]


register(
    Row(
        name="scatter_nd",
        family="indexing",
        arity=(2, 3),
        attrs={
            "mode": Attr("add", 'what becomes of the element that is there: "add", "mul", "max", '
            '"min", or "update": it is replaced'),
            "shape": Attr(None, "of the result, where there is no x"),
            "value": Attr(0, "what the result holds where nothing is scattered and there is no x"),
        },
        infer=_infer_scatter,
        eval=_eval_scatter,
        doc="indices [..., k] (int32), updates [..., d(k+1), ..., dr] and x [d1, ..., dr] -> x "
        "with its slices at tuples of k indices changed by the updates, one after another in their "
        "order: of several for one place, all count, or the last in `mode` update. Without x they "
        "go into `shape`, filled with `value`. An update with an index outside its dim is left "
        "out. float32 or int32; any dtype in `mode` update. "
        "Source: tf.scatter_nd, tf.tensor_scatter_nd_update.",
        wasm="kernel",
        tol={"float32": 1e-6, "int32": 0.0, "bool": 0.0, "uint8": 0.0},
        nan="propagates to the places that it is scattered to",
        vjp=backward.scatter_nd,
    )
)  # fmt: skip


# --- search_sorted --------------------------------------------------------------------------------


def _infer_search(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    sequence, values = types
    check.tensor("search_sorted", "sequence", sequence, NUMBERS)
    check.tensor("search_sorted", "values", values, (sequence.dtype,))
    check.flag("search_sorted", attrs, "right")
    if not sequence.rank or not values.rank or sequence.shape[:-1] != values.shape[:-1]:
        raise check.shape_error(
            "search_sorted", "values", f"[..., n] with all dims but the last as in {sequence}",
            values,
        )  # fmt: skip
    return [TensorType(values.shape, "int32")]


def _eval_search(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    sequence, values = arrays
    side: Any = "right" if attrs["right"] else "left"
    found = np.zeros(values.shape, np.int32)
    for row in np.ndindex(*values.shape[:-1]):
        found[row] = np.searchsorted(sequence[row], values[row], side)
    return [found]


register(
    Row(
        name="search_sorted",
        family="indexing",
        arity=(2, 2),
        attrs={"right": Attr(False, "whether equal elements count as smaller")},
        infer=_infer_search,
        eval=_eval_search,
        doc="sequence [..., n], sorted along its last dim, and values [..., m] -> int32 [..., m]: "
        "how many elements of the row are smaller than the value; or, if `right`, not larger. "
        "float32 or int32, both the same. By halving, so what a row that is not sorted gives is "
        "not said. Source: numpy.searchsorted, tf.searchsorted.",
        wasm="kernel",
        tol={"int32": 0.0},
        nan="is larger than all numbers, as numpy.sort puts it",
        vjp=NotDifferentiable("a position is a whole number"),
        positions=True,
    )
)

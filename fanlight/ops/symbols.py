"""Calls of ops with symbolic dims: what comes out, and what must not be read (docs/adr/0001).

Memory lies at the bound of each symbol, so behind the actual size of a dim there is *padding*:
numbers that mean nothing. A rule says, for each input of a call and each of its symbolic dims,
whether padding only ever makes padding (FREE), or with which number it must be filled so that the
result does not depend on it. A dim may be a multiple of a symbol: the batch and the dims behind it
as one. Its padding lies at its end, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops.types import Dim, Shape, TensorType

if TYPE_CHECKING:
    from fanlight.ops.row import Row

FREE = None
# Of each input: symbolic axis -> FREE, or the number that its padding is filled with.
Fills = list[dict[int, float | int | None]]
Rule = Callable[[Sequence[TensorType], Mapping[str, Any]], Fills]

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_INF, _NAN = float("inf"), float("nan")


# --- symbols and sizes ----------------------------------------------------------------------------


def has_symbols(value: Any) -> bool:
    """Whether an attribute's value has a Dim in it."""
    return isinstance(value, Dim) or (isinstance(value, tuple) and any(map(has_symbols, value)))


def resolve(value: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute's value with a number for each Dim."""
    if isinstance(value, Dim):
        return value.at(sizes)
    return tuple(resolve(v, sizes) for v in value) if isinstance(value, tuple) else value


def resolved(attrs: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Attributes with a number for each Dim."""
    return {k: resolve(v, sizes) for k, v in attrs.items()}


def actual_sizes(types: Sequence[TensorType], arrays: Sequence[np.ndarray]) -> dict[str, int]:
    """The sizes of the symbols of some types, as arrays of these types have them."""
    return {
        d.name: size // d.times
        for t, a in zip(types, arrays, strict=True)
        if not t.static
        for d, size in zip(t.shape, a.shape, strict=True)
        if isinstance(d, Dim)
    }


def symbolic(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> bool:
    """Whether a call has symbolic dims."""
    return not all(t.static for t in types) or any(map(has_symbols, attrs.values()))


def _found(value: Any) -> list[Dim]:
    if isinstance(value, Dim):
        return [value]
    return [d for v in value for d in _found(v)] if isinstance(value, tuple) else []


def symbols_of(op: str, types: Sequence[TensorType], attrs: Mapping[str, Any]) -> dict[str, Dim]:
    """The symbols of a call by name; E-OP-007 if two have one name and different bounds."""
    known: dict[str, Dim] = {}
    for d in _dims_of(types, attrs):
        if known.setdefault(d.name, d.symbol) != d.symbol:
            raise _refused(op, f"{d.name} has two bounds", f"{known[d.name]} and {d}")
    return known


def _dims_of(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[Dim]:
    """The symbolic dims of the inputs and attributes of a call."""
    return [d for v in (*(t.shape for t in types), *attrs.values()) for d in _found(v)]


def _refused(op: str, why: str, received: object, next: str = "") -> FanlightError:
    return FanlightError(
        "E-OP-007",
        f"{op} cannot take these symbolic dims: {why}.",
        where=op,
        expected="a size that is known, or an op of docs/ops.md that takes a symbol there",
        received=received,
        next=next or "build it for a fixed size of this dim.",
    )


# --- what comes out -------------------------------------------------------------------------------


def infer(row: Row, types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    """The output types of a call with symbolic dims.

    Its rule must allow it. A dim of an output is a symbol if it follows the symbol's size when that
    changes, and nothing else does; the row's own shape rule is asked at several sizes. It is a
    multiple of the symbol if it follows that, and the call has such a dim already.

    Raises:
        FanlightError: E-OP-007; whatever the row's shape rule says at the bounds.
    """
    known = symbols_of(row.name, types, attrs)
    if row.name == "reshape":
        return [_reshaped(types[0], attrs["shape"])]
    fills(row, types, attrs)  # refuses
    for key, value in attrs.items():
        if has_symbols(value) and key != _SIZES.get(row.name):
            raise _refused(row.name, f"{key} has to be known", value)

    def at(sizes: Mapping[str, int]) -> list[TensorType]:
        return row.infer([t.at(sizes) for t in types], resolved(attrs, sizes))

    bound = {name: d.max for name, d in known.items()}
    results = at(bound)
    shapes: list[list[int | Dim]] = [list(t.bound) for t in results]
    for name, d in known.items():
        dims = list(dict.fromkeys([d, *(e for e in _dims_of(types, attrs) if e.name == name)]))
        sizes, made_all = _elsewhere(row, at, bound, d, types)
        for made, first, shape in zip(made_all, results, shapes, strict=True):
            if made.rank != first.rank:
                raise _refused(row.name, f"the result's dims depend on {name}", _called(types))
            for axis, (m, n) in enumerate(zip(made.bound, first.bound, strict=True)):
                if m == n:
                    continue
                own = _kept(types, axis) if row.name in _KEEP else []
                follows = [e for e in own or dims if (m, n) == (e.at(sizes), e.max)]
                if not follows or isinstance(shape[axis], Dim):
                    raise _refused(
                        row.name,
                        f"dim {axis} of the result would be neither a number nor {name} itself",
                        _called(types),
                    )
                shape[axis] = follows[0]
    outputs = [TensorType(tuple(s), t.dtype) for s, t in zip(shapes, results, strict=True)]
    least = {name: d.min for name, d in known.items()}
    if _at(row, at, least, types) != [t.at(least) for t in outputs]:
        raise _refused(row.name, f"it gives something else for {_sizes(least)}", _called(types))
    return outputs


def _kept(types: Sequence[TensorType], axis: int) -> list[Dim]:
    """The symbols along a dim: [n] and [n] joined are no multiple, for padding lies between."""
    return [d for t in types for d in t.shape[axis : axis + 1] if isinstance(d, Dim)]


def _elsewhere(
    row: Row, at: Callable[..., list[TensorType]], bound: Mapping[str, int], d: Dim, types: Any
) -> tuple[dict[str, int], list[TensorType]]:
    """Sizes in which one symbol is not at its bound, and what comes out there.

    1 is for slices alone, of which none is longer than the bound: elsewhere it may be broadcast.
    """
    if d.max > max(d.min, 2):
        sizes = {**bound, d.name: d.max - 1}
        return sizes, _at(row, at, sizes, types)
    sizes = {**bound, d.name: d.max + 1}
    if d.max > d.min and row.name in ("slice", "strided_slice"):
        sizes = {**bound, d.name: d.max - 1}
    return sizes, _at(row, at, sizes, types)


def _at(row: Row, at: Callable[..., list[TensorType]], sizes: Mapping[str, int], types: Any) -> Any:
    try:
        return at(sizes)
    except FanlightError as error:
        raise _refused(
            row.name,
            f"for {_sizes(sizes)} {error.message}".rstrip("."),
            _called(types),
            'give the symbol a least size, dims={"name": (least, most)}, or a fixed one.',
        ) from error


def _called(types: Sequence[TensorType]) -> str:
    return ", ".join(map(str, types))


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{n} = {s}" for n, s in sizes.items())


def _segments(shape: Shape) -> tuple[list[Dim], list[int]]:
    """The symbols of a shape, and the elements before, between and after them."""
    found: list[Dim] = []
    between = [1]
    for d in shape:
        if isinstance(d, Dim):
            found.append(d.symbol)
            between.append(d.times)  # it counts as the symbol, and so many elements behind it
        else:
            between[-1] *= d
    return found, between


def _reshaped(x: TensorType, shape: Shape) -> TensorType:
    """A reshape may merge a symbol with dims behind it, and split them off again: padding stays at
    the end. It may not merge one with dims before it, nor two symbols.
    """
    if -1 in shape:
        at = shape.index(-1)
        rest = (*shape[:at], *shape[at + 1 :])
        (symbols, before), (others, behind) = _segments(x.shape), _segments(rest)
        missing = [d for d in symbols if d not in others]
        count = prod(before) // max(prod(behind), 1)
        known: int | Dim = missing[0].merged(count) if missing else count
        shape = (*shape[:at], known, *shape[at + 1 :])
    if _segments(x.shape) != _segments(shape):
        raise _refused(
            "reshape",
            "a symbolic dim is merged with dims behind it alone",
            f"{x} to [{', '.join(map(str, shape))}]",
            "bring the symbolic dim before those that it is merged with, as a batch is; two free "
            "sizes stay apart.",
        )
    return TensorType(tuple(shape), x.dtype)


# --- rules ----------------------------------------------------------------------------------------


def fills(row: Row, types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """What happens to the padding of each symbolic dim of each input; E-OP-007 if nothing can."""
    if row.scalar is not None or row.name == "fused":
        return _free(types, attrs)
    rule = RULES.get(row.name)
    if rule is None:
        why = REFUSED.get(row.name, "its rule does not say what they mean")
        raise _refused(row.name, why, _called(types))
    return rule(types, attrs)


def symbolic_axes(type: TensorType) -> list[int]:
    """The symbolic dims of a type."""
    return [axis for axis, d in enumerate(type.shape) if isinstance(d, Dim)]


def _free(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    return [dict.fromkeys(symbolic_axes(t), FREE) for t in types]


def _axes(type: TensorType, axes: int | Sequence[int]) -> set[int]:
    return {a % type.rank for a in ([axes] if isinstance(axes, int) else axes)}


def _only(op: str, allowed: Callable[[int, TensorType, Mapping[str, Any]], set[int]]) -> Rule:
    """Symbols stand only in these dims of each input, and are FREE there."""

    def rule(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
        for number, t in enumerate(types):
            wrong = set(symbolic_axes(t)) - allowed(number, t, attrs)
            if wrong:
                raise _refused(op, f"dim {min(wrong)} of input {number} has to be known", t)
        return _free(types, attrs)

    return rule


def _first(number: int, type: TensorType, attrs: Mapping[str, Any]) -> set[int]:
    return {0} if number == 0 else set()


def _all_but_last(count: int) -> Callable[[int, TensorType, Mapping[str, Any]], set[int]]:
    return lambda number, type, attrs: set(range(type.rank - count))


def _system(op: str) -> Rule:
    """Of a system a x = b: the batch, and how many right sides there are, which may meet."""

    def sides(number: int, type: TensorType, attrs: Mapping[str, Any]) -> set[int]:
        return set(range(type.rank - 2)) | ({type.rank - 1} if number else set())

    allowed = _only(op, sides)

    def rule(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
        a, b = allowed(types, attrs)
        return [a, {axis: 0 if axis == types[1].rank - 1 else FREE for axis in b}]

    return rule


def _along(key: str, real: float, whole: int, when: str = "") -> Rule:
    """The dims that an attribute names are filled, others are FREE."""

    def rule(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
        x = types[0]
        along = _axes(x, attrs[key]) if not when or attrs[when] else set()
        fill = real if x.dtype == "float32" else whole
        return [{a: fill if a in along else FREE for a in symbolic_axes(x)}]

    return rule


def _matmul(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """The inner dims are filled with 0 on both sides."""
    (a, b) = types
    inner_a = a.rank - (2 if attrs["transpose_a"] else 1)
    inner_b = b.rank - (1 if attrs["transpose_b"] else 2)
    return [
        {d: 0 if d == inner else FREE for d in symbolic_axes(t)}
        for t, inner in ((a, inner_a), (b, inner_b))
    ]


def _conv2d(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """The batch, and how many results there are, are FREE; what is summed over is filled with 0."""
    x, w = types
    wrong = (set(symbolic_axes(x)) - {0, 3}) | ({k + 4 for k in symbolic_axes(w)} - {6, 7})
    if wrong:
        side, axis = divmod(min(wrong), 4)
        raise _refused("conv2d", f"dim {axis} of input {side} has to be known", types[side])
    return [
        {a: FREE if a == 0 else 0 for a in symbolic_axes(x)},
        {a: FREE if a == 3 else 0 for a in symbolic_axes(w)},
    ]


def _sort(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """What sorts behind everything; NaN does, and among equals the later stays behind."""
    x = types[0]
    whole = _INT_MIN if attrs.get("descending", True) else _INT_MAX
    fill = _NAN if x.dtype == "float32" else whole
    return [{a: fill if a == x.rank - 1 else FREE for a in symbolic_axes(x)}]


def _gather(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """FREE: the pass that binds symbols clips the indices to the actual size (see there)."""
    return _free(types, attrs)


def _gather_nd(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """FREE, as in gather."""
    if isinstance(types[1].shape[-1], Dim):
        raise _refused("gather_nd", "the last dim of the indices has to be known", types[1])
    return _free(types, attrs)


def _scatter_nd(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """Indices behind the actual number of updates lie outside, and are left out."""
    indices, *others = types
    rank = indices.rank
    if isinstance(indices.shape[-1], Dim):
        raise _refused("scatter_nd", "the last dim of the indices has to be known", indices)
    return [
        {a: -1 for a in symbolic_axes(indices) if a < rank - 1},
        *(dict.fromkeys(symbolic_axes(t), FREE) for t in others),
    ]


def _suppression(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """A box with a score of NaN is dropped."""
    boxes, scores = types
    return [
        dict.fromkeys(symbolic_axes(boxes), FREE),
        dict.fromkeys(symbolic_axes(scores), _NAN),
    ]


def _random(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    if any(isinstance(d, Dim) for d in attrs["shape"][1:]):
        raise _refused("random_bits", "only the first dim of random numbers may be", attrs["shape"])
    return _free(types, attrs)


def _summed_batch(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """Images that are added up: nothing for those that are not there."""
    if any(isinstance(d, Dim) for t in types for d in t.shape[1:]):
        raise _refused("conv2d_kernel", "only the batch may be one", _called(types))
    return [dict.fromkeys(symbolic_axes(t), 0.0) for t in types]


def _spelt(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Fills:
    """What the pass that binds symbols writes with other ops: mean as a sum, reverse as gather."""
    return _free(types, attrs)


# The attribute that says sizes of the result, from the front: no others may be symbols.
_SIZES = {
    **dict.fromkeys(("reshape", "broadcast_to", "scatter_nd", "random_bits"), "shape"),
    "slice": "size",
    "strided_slice": "end",
    "tile": "multiples",
    "top_k": "k",
}
# What puts something before or behind a dim, which may be no symbol then.
_KEEP = ("concat", "tile", "pad", "mirror_pad")
# Which take symbols as their batch alone.
_BATCHES = (
    *("depthwise_conv2d", "conv2d_transpose", "max_pool", "avg_pool", "resize_bilinear"),
    *("resize_nearest", "depth_to_space", "space_to_depth"),
)
RULES: dict[str, Rule] = {
    # movement
    **dict.fromkeys(("reshape", "transpose", "broadcast_to", "slice", "strided_slice"), _free),
    **dict.fromkeys(("pad", "mirror_pad", "tile", "concat", "after"), _free),
    "reverse": _spelt,
    "gather": _gather,
    "gather_nd": _gather_nd,
    "scatter_nd": _scatter_nd,
    "search_sorted": _only("search_sorted", lambda n, t, a: set(range(t.rank - (n == 0)))),
    # reductions and what runs along a dim
    "sum": _along("axes", 0.0, 0),
    "mean": _spelt,
    "prod": _along("axes", 1.0, 1),
    "max": _along("axes", -_INF, _INT_MIN),
    "min": _along("axes", _INF, _INT_MAX),
    "any": _along("axes", 0, 0),
    "all": _along("axes", 1, 1),
    "arg_max": _along("axis", -_INF, _INT_MIN),
    "arg_min": _along("axis", _INF, _INT_MAX),
    "softmax": _along("axis", -_INF, 0),
    "log_softmax": _along("axis", -_INF, 0),
    "cumsum": _along("axis", 0.0, 0, "reverse"),
    "cumprod": _along("axis", 1.0, 1, "reverse"),
    "cummax": _along("axis", -_INF, _INT_MIN, "reverse"),
    "cummin": _along("axis", _INF, _INT_MAX, "reverse"),
    "sort": _sort,
    "top_k": _sort,
    "matmul": _matmul,
    "conv2d": _conv2d,
    **dict.fromkeys(("conv2d_kernel", "depthwise_conv2d_kernel"), _summed_batch),
    "random_bits": _random,
    "non_max_suppression": _suppression,
    **{op: _only(op, _first) for op in _BATCHES},
    **{op: _only(op, _all_but_last(2)) for op in ("cholesky", "det", "slogdet", "qr")},
    **{op: _only(op, _all_but_last(2)) for op in ("eigh", "svd")},
    **{op: _system(op) for op in ("solve", "triangular_solve")},
    "fft": _only("fft", lambda n, t, a: set(range(t.rank - 1)) if n < 2 else set()),
}

_BYTES = "a quantised network is built for one size, and hosts run it item by item"
REFUSED: dict[str, str] = {
    **dict.fromkeys(("space_to_batch", "batch_to_space"), "they become part of other dims"),
    "fused_sum": "passes make it, where sizes are known",
    **dict.fromkeys(("conv2d_int8", "depthwise_conv2d_int8", "matmul_int8"), _BYTES),
    **dict.fromkeys(("avg_pool_int8", "mean_int8", "resize_bilinear_int8", "lookup"), _BYTES),
}
# What is between symbols and memory, and stays when they are bound.
LEFT = ("resize_image", "dim_size", "to_bound", "from_bound")
# Whose own shape rules speak of symbols.
OWN = (*LEFT, "cond", "while_loop", "scan")

# --- what the page of ops says --------------------------------------------------------------------

_OF: dict[str, str] = {
    "reshape": "any dim, alone or merged with dims behind it",
    "slice": "any dim that is taken whole, or from the front",
    "strided_slice": "any dim that is taken whole, or from the front",
    **dict.fromkeys(("concat", "tile", "pad", "mirror_pad"), "any dim that keeps its size"),
    "gather_nd": "any dim but the last of the indices",
    "scatter_nd": "any dim but the last of the indices",
    "search_sorted": "any dim but the last of the sequence",
    "conv2d": "the batch and the channels",
    **dict.fromkeys(("conv2d_kernel", "depthwise_conv2d_kernel"), "the batch"),
    **dict.fromkeys(("solve", "triangular_solve"), "the batch, and the number of right sides"),
    "fft": "any dim but the last",
    "random_bits": "the first dim",
    "non_max_suppression": "the number of boxes",
    "resize_image": "height and width",
    **dict.fromkeys(
        ("cholesky", "det", "slogdet", "qr", "eigh", "svd"), "all but the last two dims"
    ),
}


def told(row: Row) -> str:
    """Which dims of a call may be symbols, as text."""
    if row.name in REFUSED:
        return f"none, for {REFUSED[row.name]}"
    return "the batch" if row.name in _BATCHES else _OF.get(row.name, "any dim")

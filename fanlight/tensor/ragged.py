"""Sparse tensors as indices and values, and rows of unequal lengths as values and splits.

A list of rows [[1, 2], [], [3]] is the values [1, 2, 3] and the row splits [0, 2, 2, 3]; with rows
of rows there is one vector of splits per level, the outermost first. What decides a shape must be
known (E-TENSOR-003); values may be traced and have gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.arguments import listed
from fanlight.tensor.core import Tensor, apply, caller, promoted, tensor
from fanlight.tensor.functions import broadcast_to, shape_of
from fanlight.tensor.indices import gather
from fanlight.tensor.known import inside, numbers_of, tuples_inside, whole

_BEFORE = "call it before, and hand the result in."


def _refused(function: str, argument: str, expected: str, received: object) -> FanlightError:
    return FanlightError(
        "E-OP-004",
        f"{function} cannot take {argument} of this shape or with these numbers.",
        where=f"{function} {argument}, {caller()}",
        expected=expected,
        received=str(received)[:200],
    )


def _known(function: str, argument: str, value: Any) -> np.ndarray:
    return numbers_of(function, argument, whole(function, argument, value), _BEFORE)


def _vector(function: str, argument: str, value: Any) -> np.ndarray:
    found = _known(function, argument, value)
    if found.ndim != 1:
        raise _refused(function, argument, "a vector", found.shape)
    return found


# --- sparse ---------------------------------------------------------------------------------------


def sparse_fill_empty_rows(
    indices: Any, values: Any, dense_shape: Any, default: Any = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A sparse matrix in whose empty rows a default stands in the first column.

    Args:
        indices: [n, rank], the first of them row numbers.
        values: [n].
        dense_shape: [rank], whole numbers.
        default: one value.

    Returns:
        indices [m, rank], row after row; values [m]; bool [rows], which rows were empty; and
        int32 [n], where each of the values went.

    Raises:
        FanlightError: E-TENSOR-003 indices that are being traced; E-TENSOR-007 a row outside;
            E-OP-004 shapes that do not fit. Source: tf.sparse.fill_empty_rows.
    """
    name = "sparse_fill_empty_rows"
    places, shape = _known(name, "indices", indices), _known(name, "dense_shape", dense_shape)
    values, default = promoted(values, default)
    if places.ndim != 2 or shape.shape != places.shape[1:] or not shape.size:
        raise _refused(name, "indices", f"[n, {shape.size}]", places.shape)
    if values.shape != places.shape[:1] or default.rank:
        raise _refused(name, "values", f"[{len(places)}], and one default", values.type)
    rows = int(shape[0])
    inside(name, "indices", tensor(np.ascontiguousarray(places[:, 0])), 0, rows - 1)
    empty = np.bincount(places[:, 0], minlength=rows) == 0
    extra = np.zeros((int(empty.sum()), places.shape[1]), np.int32)
    extra[:, 0] = np.flatnonzero(empty)
    both = np.concatenate([places, extra])
    order = np.argsort(both[:, 0], kind="stable")
    went = np.empty(len(both), np.int32)
    went[order] = np.arange(len(both))
    defaults = broadcast_to(default, (len(extra),))
    joined = apply("concat", values, defaults, axis=0)
    filled = gather(joined, tensor(order.astype(np.int32)))
    return tensor(both[order]), filled, tensor(empty), tensor(went[: len(places)])


def sparse_reshape(indices: Any, shape: Any, new_shape: Any) -> tuple[Tensor, Tensor]:
    """The indices of the elements of a sparse tensor under another shape, and that shape.

    Args:
        indices: [n, rank], inside the shape; they may be traced.
        shape, new_shape: whole numbers; one of the new ones may be -1: whatever is left.

    Returns:
        int32 [n, new rank] and int32 [new rank].

    Raises:
        FanlightError: E-OP-004 shapes of different sizes; E-TENSOR-007 an index outside;
            E-TENSOR-003 shapes that are being traced. Source: tf.sparse.reshape.
    """
    name = "sparse_reshape"
    old = tuple(_vector(name, "shape", shape).tolist())
    new = _vector(name, "new_shape", new_shape).tolist()
    known = prod(n for n in new if n != -1)
    if new.count(-1) == 1 and known and prod(old) % known == 0:
        new = [prod(old) // known if n == -1 else n for n in new]
    if -1 in new or prod(new) != prod(old):
        raise _refused(name, "new_shape", f"{prod(old)} elements, at most one dim -1", new)
    places = tuples_inside(name, whole(name, "indices", indices), old)
    if places.rank != 2 or places.shape[1] != len(old):
        raise _refused(name, "indices", f"[n, {len(old)}]", places.type)
    steps = np.array([prod(old[d + 1 :]) for d in range(len(old))], np.int32)
    flat = apply("sum", places * steps, axes=(1,), keepdims=True)
    steps = np.array([max(1, prod(new[d + 1 :])) for d in range(len(new))], np.int32)
    sizes = np.array([max(1, n) for n in new], np.int32)
    found = apply("floor_mod", apply("floor_div", flat, tensor(steps)), tensor(sizes))
    return found, tensor(np.array(new, np.int32))


# --- ragged ---------------------------------------------------------------------------------------


def ragged_range(starts: Any, limits: Any, deltas: Any = 1) -> tuple[Tensor, Tensor]:
    """Rows start, start + delta, ... before limit, as row splits [n + 1] and values.

    Args:
        starts, limits, deltas: [n], or one number for all rows; int32 or float32.

    Raises:
        FanlightError: E-TENSOR-003 in a traced function; E-OP-004 lengths that do not fit;
            E-OP-005 a delta of 0. Source: tf.ragged.range.
    """
    name = "ragged_range"
    given = promoted(starts, limits, deltas, least="int32")
    if given[0].dtype not in ("int32", "float32"):
        raise _refused(name, "its arguments", "int32 or float32", given[0].type)
    arrays = [numbers_of(name, "starts, limits and deltas", v, _BEFORE) for v in given]
    lengths = {a.size for a in arrays if a.ndim}
    if any(a.ndim > 1 for a in arrays) or len(lengths) > 1:
        raise _refused(name, "its arguments", "[n], or one number", [a.shape for a in arrays])
    arrays = [np.broadcast_to(a, (next(iter(lengths), 1),)) for a in arrays]
    if not all(np.isfinite(a).all() for a in arrays):
        raise _refused(name, "its arguments", "finite numbers", [a.tolist() for a in arrays])
    if (arrays[2] == 0).any():
        raise FanlightError(
            "E-OP-005",
            "ragged_range needs steps.",
            where=f"{name} deltas, {caller()}",
            expected="numbers that are not 0",
            received="0",
        )
    with np.errstate(over="ignore"):
        counts = [
            (b - a) / d for a, b, d in zip(*[v.astype(np.float64) for v in arrays], strict=True)
        ]
    shape_of(int(min(sum(max(0.0, n) + 1 for n in counts), 2.0**40)))  # refuses what is too large
    rows = [
        np.arange(a, b if n > 0 else a, d, dtype=a.dtype)
        for n, a, b, d in zip(counts, *arrays, strict=True)
    ]
    splits = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    values = np.concatenate(rows) if rows else np.zeros(0, arrays[0].dtype)
    return tensor(splits), tensor(values)


def _splits(function: str, nested: Sequence[Any], count: int) -> list[np.ndarray]:
    """Row splits of all levels, each checked against the one below it."""
    given = listed(function, "nested_splits", nested, "[splits]")
    if not given:
        raise _refused(function, "nested_splits", "at least one vector", "none")
    levels = [_known(function, "splits", s) for s in given]
    for level in levels:
        if level.ndim != 1:
            raise _refused(function, "splits", "vectors", level.shape)
    for level, below in zip(levels, [*(len(s) - 1 for s in levels[1:]), count], strict=True):
        good = level.size > 0 and level[0] == 0 and level[-1] == below
        if not good or (np.diff(level) < 0).any():
            raise _refused(function, "splits", f"0 to {below}, never falling", level.tolist())
    return levels


def ragged_gather(
    nested_splits: Sequence[Any], values: Any, indices: Any
) -> tuple[list[Tensor], Tensor]:
    """The rows of a ragged tensor at some indices.

    Args:
        nested_splits: row splits, one vector per level, the outermost first.
        values: [n, rest].
        indices: whole numbers of any shape; it takes the place of the outermost dim.

    Returns:
        Row splits of all levels of the result but its first dim (with a scalar index one level
        less than there was), and its values.

    Raises:
        FanlightError: E-TENSOR-003 splits or indices that are being traced; E-TENSOR-007 an index
            outside; E-OP-004 splits that do not fit. Source: tf.gather of ragged tensors.
    """
    name = "ragged_gather"
    values = tensor(values)
    levels = _splits(name, nested_splits, values.shape[0] if values.rank else 0)
    rows = whole(name, "indices", indices)
    inside(name, "indices", rows, 0, len(levels[0]) - 2)
    picked = numbers_of(name, "indices", rows, _BEFORE)
    outer = [
        np.arange(prod(picked.shape[: d + 1]) + 1, dtype=np.int32) * np.int32(picked.shape[d + 1])
        for d in range(picked.ndim - 1)
    ]
    chosen = picked.reshape(-1)
    for number, level in enumerate(levels):
        begins, ends = level[chosen], level[chosen + 1]
        if number or picked.ndim:
            outer.append(np.cumsum([0, *(ends - begins)]).astype(np.int32))
        parts = [np.arange(a, b) for a, b in zip(begins, ends, strict=True)]
        chosen = np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int32)
    return [tensor(s) for s in outer], gather(values, tensor(chosen))


def ragged_tensor_to_tensor(
    shape: Any,
    values: Any,
    default: Any,
    row_partitions: Sequence[Any],
    row_partition_types: Sequence[str],
) -> Tensor:
    """A ragged tensor with a default where its rows end.

    Args:
        shape: of the result, the dims of a value included or not; -1 (or one -1 alone): as long as
            the longest. What does not fit in is cut off.
        values: [n, rest].
        default: broadcasts to the rest.
        row_partitions: per level whole numbers as its type says.
        row_partition_types: "ROW_SPLITS" [rows + 1]; "VALUE_ROWIDS" [n], the row of each; or
            "FIRST_DIM_SIZE" in front of row ids: how many rows there are.

    Raises:
        FanlightError: E-TENSOR-003 partitions or a shape that are being traced; E-OP-004 what does
            not fit. Source: tf.raw_ops.RaggedTensorToTensor.
    """
    name = "ragged_tensor_to_tensor"
    values, default = promoted(values, default)
    kinds = listed(name, "row_partition_types", row_partition_types, '["ROW_SPLITS"]')
    given = listed(name, "row_partitions", row_partitions, "[splits]")
    known = {"FIRST_DIM_SIZE", "VALUE_ROWIDS", "ROW_SPLITS"}
    if not kinds or len(kinds) != len(given) or any(k not in known for k in map(str, kinds)):
        raise _refused(name, "row_partition_types", f"one of {sorted(known)} each", kinds)
    parts = [_known(name, "row_partitions", p) for p in given]
    for kind, part in zip(kinds, parts, strict=True):
        if part.ndim != (kind != "FIRST_DIM_SIZE") or (kind == "ROW_SPLITS" and not part.size):
            raise _refused(name, "row_partitions", f"{kind} as it is described", part.shape)
    rows = len(parts[0]) - 1 if kinds[0] == "ROW_SPLITS" else int(parts[0].reshape(-1)[0])
    if kinds[0] == "FIRST_DIM_SIZE":
        kinds, parts = kinds[1:], parts[1:]
    places = np.arange(rows)[:, None]
    longest = [rows]
    for kind, part in zip(kinds, parts, strict=True):
        row = part if kind == "VALUE_ROWIDS" else np.repeat(np.arange(len(part) - 1), np.diff(part))
        # Rows beyond those that there are have no place.
        missing = np.full((1, places.shape[1]), -1)
        where = np.where(row < len(places), row, len(places))
        first = np.searchsorted(row, row, "left")
        column = np.arange(len(row)) - first
        longest.append(int(column.max()) + 1 if len(column) else 0)
        places = np.concatenate([np.concatenate([places, missing])[where], column[:, None]], 1)
    if len(places) != (values.shape[0] if values.rank else -1):
        raise _refused(name, "values", f"[{len(places)}, ...]", values.type)
    rest = values.shape[1:]
    wanted = _known(name, "shape", shape).reshape(-1).tolist()
    full = [*longest, *rest]
    if wanted in ([], [-1]):
        wanted = [-1] * len(full)
    wanted = [*wanted, *rest] if len(wanted) == len(longest) and rest else wanted
    sizes = [n if n >= 0 else m for n, m in zip(wanted, full, strict=False)]
    if len(wanted) != len(full) or sizes[len(longest) :] != list(rest):
        raise _refused(name, "shape", f"{len(full)} dims, the last {list(rest)}", wanted)
    filled = broadcast_to(default, sizes)
    result: Tensor = apply(
        "scatter_nd", tensor(places.astype(np.int32)), values, filled, mode="update"
    )
    return result

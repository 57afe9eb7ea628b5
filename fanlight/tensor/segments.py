"""Sums, means, products and extremes of groups of slices; an id says which group a slice is in.

The ids need not be in order. Where their numbers are known, one outside is an error
(E-TENSOR-007); in a traced function what has such an id is left out. Negative ids are always.
"""

from __future__ import annotations

import builtins
from math import inf
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import known
from fanlight.tensor.core import Tensor, apply, caller, cast, tensor
from fanlight.tensor.functions import maximum, reshape, where
from fanlight.tensor.indices import gather
from fanlight.tensor.known import inside, numbers_of, whole


def _ids(function: str, x: Tensor, ids: Any) -> Tensor:
    found = whole(function, "segment_ids", ids)
    if x.shape[: found.rank] != found.shape or not found.rank:
        raise FanlightError(
            "E-OP-004",
            f"{function} cannot take segment_ids of this shape.",
            where=f"{function} segment_ids, {caller()}",
            expected=f"the first dim of {x.type}, or several",
            received=str(found.type),
        )
    return found


def _numbers(x: Any) -> Tensor:
    x = tensor(x)
    return cast(x, "int32") if x.dtype in ("bool", "uint8") else x


def _segments(
    function: str, x: Tensor, ids: Tensor, count: int, mode: str, value: float = 0
) -> Tensor:
    """[count, rest] of x [ids, rest]."""
    count = known.count(function, "num_segments", count)
    inside(function, "segment_ids", ids, -(2**31), count - 1)
    shape = (count, *x.shape[ids.rank :])
    column = reshape(ids, (*ids.shape, 1))
    result: Tensor = apply("scatter_nd", column, x, shape=shape, mode=mode, value=value)
    return result


def _sizes(function: str, ids: Tensor, count: int, rank: int) -> Tensor:
    """float32 [count, 1, ...]: how many slices each segment has."""
    ones = tensor(np.ones(ids.shape, np.float32))
    return reshape(_segments(function, ones, ids, count, "add"), (count, *[1] * (rank - 1)))


def _least(dtype: str, sign: int) -> float:
    limits: Any = np.finfo(np.float32) if dtype == "float32" else np.iinfo(np.int32)
    number = limits.min if sign < 0 else limits.max
    return float(number) if dtype == "float32" else int(number)


def unsorted_segment_sum(x: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """[num_segments, rest] of x [ids, rest]: the sum of the slices of each id; 0 of none.

    Args:
        x: float32 or int32; bool and uint8 become int32.
        segment_ids: whole numbers to num_segments - 1, of the first dim of x, or of several.
        num_segments: how many there are.

    Raises:
        FanlightError: E-TENSOR-007 an id of num_segments or more; E-OP-004 ids of another shape.
        Source: tf.math.unsorted_segment_sum.
    """
    x = _numbers(x)
    ids = _ids("unsorted_segment_sum", x, segment_ids)
    return _segments("unsorted_segment_sum", x, ids, num_segments, "add")


def unsorted_segment_mean(x: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The mean of the slices of each id, in float32; 0 of none. See `unsorted_segment_sum`."""
    x = cast(x, "float32")
    ids = _ids("unsorted_segment_mean", x, segment_ids)
    total = _segments("unsorted_segment_mean", x, ids, num_segments, "add")
    return total / maximum(_sizes("unsorted_segment_mean", ids, num_segments, total.rank), 1.0)


def unsorted_segment_prod(x: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The product of the slices of each id; 1 of none. See `unsorted_segment_sum`."""
    x = _numbers(x)
    ids = _ids("unsorted_segment_prod", x, segment_ids)
    return _segments("unsorted_segment_prod", x, ids, num_segments, "mul", 1)


def unsorted_segment_max(x: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The greatest of the slices of each id; the least number of the dtype of none.

    Equal ones share the gradient evenly. See `unsorted_segment_sum`.
    """
    return _extreme("unsorted_segment_max", x, segment_ids, num_segments, "max")


def unsorted_segment_min(x: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The smallest of the slices of each id; the largest number of the dtype of none.

    Equal ones share the gradient evenly. See `unsorted_segment_sum`.
    """
    return _extreme("unsorted_segment_min", x, segment_ids, num_segments, "min")


def _extreme(
    function: str, x: Any, segment_ids: Any, count: int, mode: str, none: float | None = None
) -> Tensor:
    """The greatest or smallest slices; of segments without any `none`, or a limit of the dtype."""
    x = _numbers(x)
    ids = _ids(function, x, segment_ids)
    sign = -1 if mode == "max" else 1
    limit = _least(x.dtype, sign)
    # Infinity, so that it is found where it is all there is.
    start = sign * inf if x.dtype == "float32" else limit
    found = _segments(function, x, ids, count, mode, start)
    if none is None and x.dtype != "float32":
        return found
    sizes = _sizes(function, ids, found.shape[0], found.rank)
    return where(apply("greater", sizes, tensor(0.0)), found, limit if none is None else none)


# --- as many segments as the ids say --------------------------------------------------------------


def _count(function: str, ids: Any, count: int | None) -> int:
    if count is not None:
        return count
    ids = whole(function, "segment_ids", ids)
    numbers = numbers_of(function, "segment_ids", ids, "give the number: num_segments=10.")
    return builtins.max(int(numbers.max()) + 1, 0) if numbers.size else 0


def segment_sum(x: Any, segment_ids: Any, num_segments: int | None = None) -> Tensor:
    """The sum of the slices of each id; 0 of none. As `unsorted_segment_sum`.

    Args:
        num_segments: default: the largest id and one, where the ids are known.

    Raises:
        FanlightError: E-TENSOR-003 no num_segments in a traced function; otherwise as there.
        Source: tf.math.segment_sum.
    """
    return unsorted_segment_sum(x, segment_ids, _count("segment_sum", segment_ids, num_segments))


def segment_mean(x: Any, segment_ids: Any, num_segments: int | None = None) -> Tensor:
    """The mean of the slices of each id, in float32; 0 of none. See `segment_sum`."""
    return unsorted_segment_mean(x, segment_ids, _count("segment_mean", segment_ids, num_segments))


def segment_prod(x: Any, segment_ids: Any, num_segments: int | None = None) -> Tensor:
    """The product of the slices of each id; 1 of none. See `segment_sum`."""
    return unsorted_segment_prod(x, segment_ids, _count("segment_prod", segment_ids, num_segments))


def segment_max(x: Any, segment_ids: Any, num_segments: int | None = None) -> Tensor:
    """The greatest of the slices of each id; 0 of none. See `segment_sum`."""
    count = _count("segment_max", segment_ids, num_segments)
    return _extreme("segment_max", x, segment_ids, count, "max", 0)


def segment_min(x: Any, segment_ids: Any, num_segments: int | None = None) -> Tensor:
    """The smallest of the slices of each id; 0 of none. See `segment_sum`."""
    count = _count("segment_min", segment_ids, num_segments)
    return _extreme("segment_min", x, segment_ids, count, "min", 0)


# --- of slices that are chosen --------------------------------------------------------------------


def _chosen(function: str, x: Any, indices: Any, ids: Any) -> Tensor:
    x, picked = tensor(x), whole(function, "indices", indices)
    found = whole(function, "segment_ids", ids)
    if picked.rank != 1 or picked.shape != found.shape or not x.rank:
        raise FanlightError(
            "E-OP-004",
            f"{function} cannot take indices and segment_ids of these shapes.",
            where=f"{function}, {caller()}",
            expected="[n] and [n], and x with at least one dim",
            received=f"{picked.type} and {found.type}, and x {x.type}",
        )
    inside(function, "indices", picked, 0, x.shape[0] - 1)
    return gather(x, picked)


def sparse_segment_sum(
    x: Any, indices: Any, segment_ids: Any, num_segments: int | None = None
) -> Tensor:
    """`segment_sum` of the slices of x at indices [n] of its first dim, with ids [n].

    Raises:
        FanlightError: as `gather` and `segment_sum`. Source: tf.sparse.segment_sum.
    """
    name = "sparse_segment_sum"
    count = _count(name, segment_ids, num_segments)
    return unsorted_segment_sum(_chosen(name, x, indices, segment_ids), segment_ids, count)


def sparse_segment_mean(
    x: Any, indices: Any, segment_ids: Any, num_segments: int | None = None
) -> Tensor:
    """`segment_mean` of the slices of x at indices [n] of its first dim, with ids [n].

    Raises:
        FanlightError: as `gather` and `segment_sum`. Source: tf.sparse.segment_mean.
    """
    name = "sparse_segment_mean"
    count = _count(name, segment_ids, num_segments)
    return unsorted_segment_mean(_chosen(name, x, indices, segment_ids), segment_ids, count)

"""Boxes cut out of tensors, mirrors around them, and blocks that move between their dims."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.tensor.arguments import as_whole, as_wholes, whole_number
from fanlight.tensor.core import Tensor, apply, caller, tensor


def slice(x: Any, begin: int | Sequence[int], size: int | Sequence[int] = -1) -> Tensor:
    """The box of x that starts at `begin`: [d1, ..., dr] -> size; also x[2:5, 1:].

    Args:
        begin: first index per dim, from 0; of the first dims, if there are fewer numbers.
        size: elements per dim; -1, or a dim that is left out: up to the end.

    Raises:
        FanlightError: E-OP-005 the box is not inside x.
    """
    x = tensor(x)
    first, sizes = _per_dim(begin, x.rank, 0), _per_dim(size, x.rank, -1)
    if len(first) == len(sizes) == x.rank and builtins.all(isinstance(b, int) for b in first):
        every = zip(x.shape, first, sizes, strict=True)
        sizes = [n - b if as_whole(s) == -1 else s for n, b, s in every]
    result: Tensor = apply("slice", x, begin=tuple(first), size=tuple(sizes))
    return result


def _per_dim(value: Any, rank: int, rest: int) -> list[Any]:
    found = as_wholes(value) or value
    given = list(found) if isinstance(found, list | tuple) else [found]
    return given + [rest] * (rank - len(given))


def strided_slice(
    x: Any,
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int] | None = None,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Tensor:
    """tf.stridedSlice: x[begin[0]:end[0]:strides[0], ...]. In Python, index: x[2:-1, ..., ::-1].

    Args:
        begin, end, strides: per entry, as Python's slices have them; strides are 1 by default.
        begin_mask, end_mask: bit i: entry i starts, or ends, where the dim does.
        ellipsis_mask, new_axis_mask, shrink_axis_mask: bit i: entry i is `...`, a new dim of 1, or
            the number begin[i], whose dim vanishes.

    Raises:
        FanlightError: E-OP-005 the lists differ in length, or a stride is 0; E-TENSOR-007 an entry
            is outside, or there are more than dims.
    """
    x = tensor(x)
    lows, highs = as_wholes(begin), as_wholes(end)
    steps = (1,) * len(lows or ()) if strides is None else as_wholes(strides)
    if (
        lows is None
        or highs is None
        or steps is None
        or not len(lows) == len(highs) == len(steps)
        or 0 in steps
    ):
        raise FanlightError(
            "E-OP-005",
            "a strided slice has a begin, an end and a stride for each entry, and no stride is 0.",
            where=f"strided_slice, {caller()}",
            expected="lists of as many whole numbers",
            received=f"begin {begin}, end {end}, strides {steps}"[:300],
        )
    masks = [
        whole_number("strided_slice", "a mask", mask, None)
        for mask in (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    ]
    begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask = masks
    entries: list[Any] = []
    for i, (low, high, step) in enumerate(zip(lows, highs, steps, strict=True)):
        bit = 1 << i
        if ellipsis_mask & bit:
            entries.append(...)
        elif new_axis_mask & bit:
            entries.append(None)
        elif shrink_axis_mask & bit:
            entries.append(low)
        else:
            start = None if begin_mask & bit else low
            entries.append(builtins.slice(start, None if end_mask & bit else high, step))
    result: Tensor = x[tuple(entries)]
    return result


def mirror_pad(x: Any, paddings: Sequence[tuple[int, int]], mode: str = "reflect") -> Tensor:
    """x in a frame of its own mirror image: [d, ...] -> [before + d + after, ...].

    Args:
        paddings: (before, after) per dim.
        mode: "reflect": the edge is not repeated; "symmetric": it is.

    Raises:
        FanlightError: E-OP-005 there is no such mode, or x is too small for the frame.
    """
    result: Tensor = apply("mirror_pad", x, paddings=paddings, mode=mode)
    return result


def depth_to_space(x: Any, block_size: int) -> Tensor:
    """[N, H, W, C] -> [N, H b, W b, C / b^2]: the channels of a pixel become b x b pixels.

    Raises:
        FanlightError: E-OP-004 x has other than 4 dims, or b^2 does not divide C.
    """
    result: Tensor = apply("depth_to_space", x, block=block_size)
    return result


def space_to_depth(x: Any, block_size: int) -> Tensor:
    """[N, H, W, C] -> [N, H / b, W / b, C b^2]: the inverse of depth_to_space.

    Raises:
        FanlightError: E-OP-004 x has other than 4 dims, or b does not divide H and W.
    """
    result: Tensor = apply("space_to_depth", x, block=block_size)
    return result


def space_to_batch_nd(
    x: Any, block_shape: Sequence[int], paddings: Sequence[tuple[int, int]]
) -> Tensor:
    """Dims 1 to n padded with zeros and cut into blocks; the place in a block joins the batch.

    Args:
        block_shape: edge of a block per dim.
        paddings: (before, after) per dim.

    Raises:
        FanlightError: E-OP-004 blocks do not fill a padded dim.
    """
    result: Tensor = apply("space_to_batch", x, block=block_shape, paddings=paddings)
    return result


def batch_to_space_nd(
    x: Any, block_shape: Sequence[int], crops: Sequence[tuple[int, int]]
) -> Tensor:
    """The inverse of space_to_batch_nd; crops take the place of paddings.

    Raises:
        FanlightError: E-OP-004 the batch is no multiple of a block; E-OP-005 crops are too large.
    """
    result: Tensor = apply("batch_to_space", x, block=block_shape, crops=crops)
    return result

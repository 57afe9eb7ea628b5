"""x[...]: NumPy's basic indexing, and one list of whole numbers or truth values."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.core import Tensor, apply, caller, tensor


def take(x: Tensor, index: Any) -> Tensor:
    """The elements of x that an index names.

    Args:
        index: per dim a whole number, a slice, or an array of whole numbers; `...` for all dims
            that are left, None for a new dim of size 1. Or an array of truth values of the shape
            of x's first dims, outside of traced functions.

    Raises:
        FanlightError: E-TENSOR-007 it is of another kind, outside x, or has too many dims.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    arrays = [i for i, part in enumerate(parts) if _is_array(part)]
    if len(arrays) > 1:
        raise _wrong(index, "at most one array in an index")
    used = sum(_dims(part) for part in parts)
    if used > x.rank:
        raise _wrong(index, f"at most {x.rank} dims for {x.type}")
    fill = [slice(None)] * (x.rank - used)
    ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(ellipses) > 1:
        raise _wrong(index, "at most one ellipsis")
    at = ellipses[0] if ellipses else len(parts)
    parts = [*parts[:at], *fill, *parts[at + len(ellipses) :]]
    places = [i for i, part in enumerate(parts) if _is_array(part) or isinstance(part, int)]
    apart = bool(places) and places[-1] - places[0] >= len(places)
    if apart and any(map(_is_array, parts)):
        # NumPy puts the dims of an array in front then, which nobody expects.
        raise _wrong(index, "whole numbers beside the array, not apart from it: index twice")
    return _apply(x, parts, index)


def _is_array(part: Any) -> bool:
    return isinstance(part, Tensor | np.ndarray | list)


def _dims(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    if _is_array(part):
        found = tensor(part)
        return found.rank if found.dtype == "bool" else 1
    return 1


def _apply(x: Tensor, parts: list[Any], index: Any) -> Tensor:
    begin: list[int] = []
    end: list[int] = []
    strides: list[int] = []
    shape: list[int] = []  # of the result, before an array takes its place
    array: tuple[int, Tensor] | None = None  # (dim of the result, indices)
    dim = 0
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        if _is_array(part):
            indices = tensor(part)
            if indices.dtype == "bool":
                return _masked(x, parts, part, dim, index)
            if indices.dtype not in ("int32", "uint8"):
                raise _wrong(index, "whole numbers or truth values in an array")
            array = (len(shape), _counted(indices, x.shape[dim], index))
            part = slice(None)
        size = x.shape[dim]
        if isinstance(part, slice):
            if part.step == 0:
                raise _wrong(index, "a step that is not 0")
            first, last, step = part.indices(size)
            count = len(range(first, last, step))
            begin.append(first if count else 0)
            end.append(last if count else 0)
            strides.append(step if count else 1)
            shape.append(count)
        else:
            number = _number(part, size, index)
            begin.append(number)
            end.append(number + 1)
            strides.append(1)
        dim += 1
    whole = all(b == 0 and e == n and s == 1 for b, e, s, n in zip(begin, end, strides, x.shape))
    if not whole:
        x = apply("strided_slice", x, begin=tuple(begin), end=tuple(end), strides=tuple(strides))
    if x.shape != tuple(shape):
        x = apply("reshape", x, shape=tuple(shape))
    if array is not None:
        x = apply("gather", x, array[1], axis=array[0])
    return x


def _number(part: Any, size: int, index: Any) -> int:
    if isinstance(part, bool) or not hasattr(part, "__index__"):
        raise _wrong(index, "whole numbers, slices, None, ... or one array")
    number = part.__index__()
    if not -size <= number < size:
        raise _wrong(index, f"{-size} to {size - 1}")
    return int(number % size)


def _counted(indices: Tensor, size: int, index: Any) -> Tensor:
    """Indices from the front; those that are known are checked."""
    indices = tensor(indices, "int32")
    if not indices.traced and indices.size:
        numbers = indices.numpy()
        if numbers.min() < -size or numbers.max() >= size:
            raise _wrong(index, f"{-size} to {size - 1} everywhere")
        if numbers.min() >= 0:
            return indices
    moved = apply("add", indices, tensor(size, "int32"))
    return apply("select", apply("less", indices, tensor(0, "int32")), moved, indices)


def _masked(x: Tensor, parts: list[Any], part: Any, dim: int, index: Any) -> Tensor:
    mask = tensor(part)
    others = [p for p in parts if p is not part]
    if any(not (isinstance(p, slice) and p == slice(None)) for p in others):
        raise _wrong(index, "a mask by itself, or with : for the other dims")
    inner = x.shape[dim : dim + mask.rank]
    if mask.shape != inner:
        raise _wrong(index, f"a mask of shape {list(inner)}, not {list(mask.shape)}")
    # How many there are depends on the numbers, so a traced function cannot do it: numpy() says so.
    flat = np.flatnonzero(mask.numpy()).astype(np.int32)
    size = int(np.prod(inner))
    x = apply("reshape", x, shape=(*x.shape[:dim], size, *x.shape[dim + mask.rank :]))
    return apply("gather", x, tensor(flat), axis=dim)


def _wrong(index: Any, expected: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-007",
        "a tensor cannot be indexed so.",
        where=caller(),
        expected=expected,
        received=repr(index)[:200],
    )

"""x[...]: NumPy's indexing, with whole numbers, slices, masks and arrays in any mixture."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.arguments import as_whole
from fanlight.tensor.calls import state
from fanlight.tensor.core import Tensor, apply, caller, cast, tensor


def take(x: Tensor, index: Any) -> Tensor:
    """The elements of x that an index names, as in NumPy.

    Args:
        index: per dim a whole number, a slice, or an array of whole numbers; an array of truth
            values stands for as many dims as it has, outside of traced functions; `...` for all
            dims that are left, None for a new dim of size 1. Several arrays broadcast, and give one
            element of them each; their dims stand where they stood, or in front if anything but
            numbers stands between them.

    Raises:
        FanlightError: E-TENSOR-007 it is of another kind, outside x, or has too many dims;
            E-TENSOR-003 a mask that is being traced.
    """
    try:
        return _taken(x, index)
    except FanlightError as error:
        if error.code == "E-TENSOR-007" and str(x.type) not in str(error.expected):
            error.expected = f"{error.expected}, for {x.type}"
        raise


def _taken(x: Tensor, index: Any) -> Tensor:
    parts = list(index) if isinstance(index, tuple) else [index]
    if len(parts) == 1 and _is_truth(parts[0]):
        return _all_or_nothing(x, parts[0])
    used = sum(_dims(part) for part in parts)
    if used > x.rank:
        raise _wrong(index, f"at most {x.rank} dims for {x.type}")
    fill = [slice(None)] * (x.rank - used)
    ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(ellipses) > 1:
        raise _wrong(index, "at most one ellipsis")
    if ellipses:
        # Arrays on both sides of it are apart, even if it stands for no dim.
        between = _advanced(parts[: ellipses[0]]) and _advanced(parts[ellipses[0] + 1 :])
        apart = bool(between)
    else:
        apart = False
    at = ellipses[0] if ellipses else len(parts)
    parts = [*parts[:at], *fill, *parts[at + len(ellipses) :]]
    return _apply(x, parts, index, apart)


def _is_truth(part: Any) -> bool:
    """A mask without dims."""
    if isinstance(part, Tensor | np.ndarray):
        return not part.ndim and part.dtype in ("bool", np.bool_)
    return isinstance(part, bool | np.bool_)


def _all_or_nothing(x: Tensor, mask: Any) -> Tensor:
    """A new first dim: x itself, once, or nothing of it (numpy.ndarray.__getitem__)."""
    count = int(_known(tensor(mask)).item())
    whole: Tensor = apply("reshape", x, shape=(1, *x.shape))
    return whole if count else whole[:0]


def _is_array(part: Any) -> bool:
    return isinstance(part, Tensor | np.ndarray | list)


def _advanced(parts: list[Any]) -> list[int]:
    """Where arrays are, and numbers, which count as arrays beside one."""
    return [i for i, p in enumerate(parts) if _is_array(p) or _is_number(p)]


def _is_number(part: Any) -> bool:
    return as_whole(part) is not None and not _is_array(part)


def _array(part: Any) -> Tensor:
    made = tensor(part)
    if isinstance(part, list) and not made.size:
        return cast(made, "int32")  # NumPy takes an empty list for one of indices, too
    return made


def _dims(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    if _is_array(part):
        found = _array(part)
        return found.rank if found.dtype == "bool" else 1
    return 1


def _apply(x: Tensor, parts: list[Any], index: Any, apart: bool) -> Tensor:
    begin: list[int] = []
    end: list[int] = []
    strides: list[int] = []
    shape: list[int] = []  # of the result, before arrays take their places
    arrays: list[tuple[int, Tensor]] = []  # (dim of the result, indices)
    advanced = _advanced(parts) if any(map(_is_array, parts)) else []
    apart = apart or (bool(advanced) and advanced[-1] - advanced[0] >= len(advanced))
    front = 0  # dims of the result before the first array or number
    dim = 0
    for at, part in enumerate(parts):
        if advanced and at == advanced[0]:
            front = len(shape)
        if part is None:
            shape.append(1)
            continue
        if _is_array(part):
            for found in _indices(x, _array(part), dim, index):
                arrays.append((len(shape), found))
                size = x.shape[dim]
                begin, end, strides = [*begin, 0], [*end, size], [*strides, 1]
                shape.append(size)
                dim += 1
            continue
        first, last, step, kept = _range(part, x.shape[dim], index)
        begin, end, strides = [*begin, first], [*end, last], [*strides, step]
        shape += kept
        dim += 1
    whole = all(b == 0 and e == n and s == 1 for b, e, s, n in zip(begin, end, strides, x.shape))
    if not whole or state.places is not None:  # of another size it may be a part
        x = apply("strided_slice", x, begin=tuple(begin), end=tuple(end), strides=tuple(strides))
    if x.shape != tuple(shape):
        x = apply("reshape", x, shape=tuple(shape))
    return _picked(x, arrays, 0 if apart else front, index) if arrays else x


def _range(part: Any, size: int, index: Any) -> tuple[int, int, int, list[int]]:
    """Begin, end and step of a slice or number, and the dim that it leaves."""
    if not isinstance(part, slice):
        number = _number(part, size, index)
        return number, number + 1, 1, []
    if part.step == 0:
        raise _wrong(index, "a step that is not 0")
    given = (part.start, part.stop, part.step)
    if any(v is not None and as_whole(v) is None for v in given):
        raise _wrong(index, "whole numbers in slices")
    first, last, step = part.indices(size)
    count = len(range(first, last, step))
    return (first, last, step, [count]) if count else (0, 0, 1, [0])


def _picked(x: Tensor, arrays: list[tuple[int, Tensor]], front: int, index: Any) -> Tensor:
    """x at the arrays' elements; their dims come to stand at `front`."""
    dims = [d for d, _ in arrays]
    try:
        shape = np.broadcast_shapes(*(a.shape for _, a in arrays))
    except ValueError:
        given = ", ".join(str(list(a.shape)) for _, a in arrays)
        raise _wrong(index, f"arrays of shapes that broadcast, not {given}") from None
    if len(arrays) == 1:
        x = apply("gather", x, arrays[0][1], axis=dims[0])
        have = dims[0]
    else:
        order = [*dims, *(d for d in range(x.rank) if d not in dims)]
        if order != list(range(x.rank)):
            x = apply("transpose", x, perm=tuple(order))
        columns = []
        for _, a in arrays:
            a = a if a.shape == shape else apply("broadcast_to", a, shape=shape)
            columns.append(apply("reshape", a, shape=(*shape, 1)))
        x = apply("gather_nd", x, apply("concat", *columns, axis=len(shape)))
        have = 0
    count = len(shape)
    if front == have or not count:
        return x
    own = list(range(have, have + count))
    others = [d for d in range(x.rank) if d not in own]
    result: Tensor = apply("transpose", x, perm=(*others[:front], *own, *others[front:]))
    return result


def _number(part: Any, size: int, index: Any) -> int:
    number = as_whole(part)
    if number is None:
        raise _wrong(index, "whole numbers, slices, None, ... or arrays of numbers")
    if not -size <= number < size:
        raise _wrong(index, f"{-size} to {size - 1}")
    return int(number % size)


def _indices(x: Tensor, array: Tensor, dim: int, index: Any) -> list[Tensor]:
    """What an array says of x's dims from `dim` on: indices from the front, an array per dim."""
    if array.dtype == "bool":
        return _masked(x, array, dim, index)
    if array.dtype not in ("int32", "uint8"):
        raise _wrong(index, "whole numbers or truth values in an array")
    return [_counted(array, x.shape[dim], index)]


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
    result: Tensor = apply("select", apply("less", indices, tensor(0, "int32")), moved, indices)
    return result


def _masked(x: Tensor, mask: Tensor, dim: int, index: Any) -> list[Tensor]:
    inner = x.shape[dim : dim + mask.rank]
    if mask.shape != inner or not mask.rank:
        raise _wrong(index, f"a mask of shape {list(inner)}, not {list(mask.shape)}")
    if prod(mask.shape) == 0:
        return [tensor(np.zeros(0, np.int32))] * mask.rank
    return [tensor(i.astype(np.int32)) for i in np.nonzero(_known(mask).numpy())]


def _known(mask: Tensor) -> Tensor:
    """A mask, which must not be traced: E-TENSOR-003."""
    if mask.traced:
        raise FanlightError(
            "E-TENSOR-003",
            "how many elements a mask picks depends on its numbers, and its function is being "
            "traced.",
            where=caller(),
            expected="a mask that is known",
            received=str(mask.type),
            next="say how many: fl.boolean_mask(x, mask, size=10); or use fl.where.",
        )
    return mask


def _wrong(index: Any, expected: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-007",
        "a tensor cannot be indexed so.",
        where=f"x[...], {caller()}",
        expected=expected,
        received=repr(index)[:200],
    )

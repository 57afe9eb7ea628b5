"""Tensors of numbers, ranges and grids."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight import dtypes as kinds
from fanlight.array_api.dtypes import array, complex64, dtype_of, float32, int32, on_device
from fanlight.errors import FanlightError
from fanlight.tensor import creation, matrices
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import flag, real_number, refused, whole_number
from fanlight.tensor.core import Tensor, apply, caller, cast, tensor

Shape = int | Sequence[int]
_FAR = (-(2**31), 2**31)  # of a diagonal


def asarray(
    obj: Any, /, *, dtype: Any = None, device: Any = None, copy: builtins.bool | None = None
) -> Tensor:
    """A tensor of a number, nested lists, a tensor or an array; see fl.tensor.

    Args:
        copy: True: of memory of its own; False: E-OP-005 if that has to be copied.

    Raises:
        FanlightError: E-TENSOR-001 it cannot be one: also whole numbers beyond int32.
    """
    on_device(device)
    name = None if dtype is None else dtype_of(dtype)
    copy = None if copy is None else flag("asarray", "copy", copy)
    if copy and isinstance(obj, np.ndarray):
        obj = obj.copy()
    made = tensor(obj, name)
    dtype_of(made.dtype)
    shared = made is obj or (
        isinstance(obj, np.ndarray)
        and made.dtype != complex64
        and np.shares_memory(obj, made.numpy())
    )
    if copy is False and not shared:
        raise FanlightError(
            "E-OP-005",
            "a tensor of this cannot be made without a copy.",
            where=f"asarray copy, {caller()}",
            expected="a tensor or contiguous array of its dtype",
            received=f"{type(obj).__name__} to {made.type}",
            next="leave copy out.",
        )
    return made.alias() if copy and made is obj and not made.traced else made


def from_dlpack(x: Any, /, *, device: Any = None, copy: builtins.bool | None = None) -> Tensor:
    """A tensor of an array of another library that offers its memory by DLPack.

    Raises:
        FanlightError: E-TENSOR-001 it offers none, or not in the memory of the CPU.
    """
    on_device(device)
    try:
        found = np.from_dlpack(x)
    except (AttributeError, BufferError, RuntimeError, TypeError) as problem:
        raise FanlightError(
            "E-TENSOR-001",
            "a tensor cannot be made of this.",
            where=f"from_dlpack, {caller()}",
            expected="an array with __dlpack__ in the memory of the CPU",
            received=f"{type(x).__name__}: {problem}"[:200],
        ) from None
    return asarray(found, copy=copy)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """start, start + step, ... before stop; int32 if all three are whole, else float32."""
    on_device(device)
    return fn.range(start, stop, step, None if dtype is None else dtype_of(dtype))


def empty(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor whose numbers nobody should rely on (zeros)."""
    return zeros(shape, dtype=dtype, device=device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`empty` of the shape and dtype of x."""
    return zeros_like(x, dtype=dtype, device=device)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Ones on a diagonal, k columns right of the main one, zeros elsewhere."""
    on_device(device)
    height, width = fn.shape_of((n_rows, n_rows if n_cols is None else n_cols))
    name = float32 if dtype is None else dtype_of(dtype)
    return tensor(np.eye(height, width, whole_number("eye", "k", k, *_FAR)), name)


def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor that holds one value everywhere."""
    on_device(device)
    if isinstance(fill_value, Tensor) and fill_value.traced:
        value = fill_value if dtype is None else cast(fill_value, dtype_of(dtype))
        return fn.broadcast_to(value, fn.shape_of(shape))
    return fn.full(shape, fill_value, None if dtype is None else dtype_of(dtype))


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`full` of the shape of x, and of its dtype if there is none given."""
    x = array("full_like", x)
    return full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype, device=device)


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: builtins.bool = True,
) -> Tensor:
    """`num` numbers at equal distances from start to stop, with or without the end."""
    on_device(device)
    count, endpoint = fn.count_of(num), flag("linspace", "endpoint", endpoint)
    found = np.linspace(_end(start), _end(stop), count, endpoint=endpoint)
    default = complex64 if np.iscomplexobj(found) else float32
    return tensor(found, default if dtype is None else dtype_of(dtype))


def _end(value: Any) -> Any:
    """One end of equal distances: a number, or a tensor of one."""
    if isinstance(value, int):
        return real_number("linspace", "start, stop", value)
    if isinstance(value, float | builtins.complex):
        return value
    x = tensor(value)
    if x.rank or x.dtype == kinds.STRING:
        raise refused("linspace", "start, stop", "one number each", value)
    return np.asarray(x).item()  # which refuses a tensor that a gradient depends on


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The coordinates of every point of a grid, a tensor per axis; see fl.meshgrid."""
    return creation.meshgrid(*(array("meshgrid", a) for a in arrays), indexing=indexing)


def ones(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of ones, float32 if no dtype is given."""
    return full(shape, 1, dtype=float32 if dtype is None else dtype, device=device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`ones` of the shape of x, and of its dtype if there is none given."""
    return full_like(x, 1, dtype=dtype, device=device)


def zeros(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of zeros, float32 if no dtype is given."""
    return full(shape, 0, dtype=float32 if dtype is None else dtype, device=device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`zeros` of the shape of x, and of its dtype if there is none given."""
    return full_like(x, 0, dtype=dtype, device=device)


def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """Matrices with zeros above the diagonal that lies k columns right of the main one."""
    return _triangle("tril", x, k, lower=True)


def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """Matrices with zeros below the diagonal that lies k columns right of the main one."""
    return _triangle("triu", x, k, lower=False)


def _triangle(function: str, x: Any, k: int, lower: builtins.bool) -> Tensor:
    x = matrices.matrices_of(function, array(function, x))
    k = whole_number(function, "k", k, *_FAR)
    make = np.tril if lower else np.triu
    kept = make(np.ones(x.shape[-2:], np.bool_), k)
    wide = cast(x, int32) if x.dtype == "uint8" else x
    chosen = fn.where(kept, wide, tensor(np.zeros((), kinds.to_numpy(wide.dtype))))
    result: Tensor = apply("cast", chosen, dtype=x.dtype) if wide is not x else chosen
    return result

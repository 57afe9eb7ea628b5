"""Tensors of one value, of ranges and grids; and a buffer to fill place by place."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import as_wholes, choice
from fanlight.tensor.core import Tensor, apply, caller, dtype_name
from fanlight.tensor.core import tensor as _tensor


def tensor(value: Any, dtype: Any = None) -> Tensor:
    made = _tensor(value, dtype)
    # Not the variable itself, which may be assigned.
    return clone(made) if made.varies else made


tensor.__doc__ = _tensor.__doc__


def fill(shape: int | Sequence[int], value: Any, dtype: Any = None) -> Tensor:
    """A tensor that holds one value everywhere; `full` under TensorFlow's name."""
    return fn.full(shape, value, dtype)


def full_like(x: Any, value: float | int | bool, dtype: Any = None) -> Tensor:
    """One value everywhere, in the shape of x, and in its dtype if there is none given."""
    x = _tensor(x)
    return fn.full(x.shape, value, x.dtype if dtype is None else dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """`range` under NumPy's name."""
    return fn.range(start, stop, step, dtype)


def identity(size: int, dtype: str = "float32") -> Tensor:
    """The matrix [size, size] with ones on its diagonal, zeros elsewhere."""
    return fn.eye(size, dtype=dtype)


def meshgrid(*axes: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The coordinates of every point of a grid, one tensor per axis (numpy.meshgrid).

    Args:
        axes: [n0], [n1], ...: the coordinates along each axis.
        indexing: "ij" gives tensors [n0, n1, ...]; "xy" has the first two dims exchanged.

    Raises:
        FanlightError: E-OP-004 an axis has several dims; E-OP-005 there is no such indexing.
    """
    given = [_tensor(a) for a in axes]
    choice("meshgrid", "indexing", indexing, ("xy", "ij"))
    for index, a in enumerate(given):
        if a.rank > 1:
            raise FanlightError(
                "E-OP-004",
                "the axes of a grid have one dim each.",
                where=f"meshgrid axis {index}, {caller()}",
                expected="[n]",
                received=str(a.type),
            )
    count = len(given)
    order = list(builtins.range(count))
    if indexing == "xy" and count > 1:
        order[:2] = [1, 0]
    sizes = [given[d].size for d in order]
    made = []
    for d, a in enumerate(given):
        place = order.index(d)
        column = fn.reshape(a, [a.size if i == place else 1 for i in builtins.range(count)])
        made.append(fn.broadcast_to(column, sizes))
    return tuple(made)


def clone(x: Any) -> Tensor:
    """A tensor of its own with the same elements; gradients pass."""
    x = _tensor(x)
    result: Tensor = apply("reshape", x, shape=x.shape)
    return result


def print(x: Any, verbose: bool = False) -> None:
    """Print the elements of a tensor; verbose: its dtype, rank and shape before them.

    Of a traced function it prints, once, that there are no elements yet.
    """
    x = _tensor(x)
    if verbose:
        builtins.print(f"Tensor\n  dtype: {x.dtype}\n  rank: {x.rank}\n  shape: {list(x.shape)}")
    builtins.print(x)


class TensorBuffer:
    """An array to be written place by place, before it becomes a tensor; made by `fl.buffer`.

    Attributes:
        shape, dtype, size: as of a tensor.
        values: the elements, a NumPy array that may be written to.
    """

    def __init__(self, values: np.ndarray, dtype: str) -> None:
        self.values, self.dtype = values, dtype
        self.shape, self.size = values.shape, values.size

    def _place(self, place: tuple[int, ...]) -> tuple[int, ...]:
        found = as_wholes(place)
        if (
            found is None
            or len(found) != len(self.shape)
            or builtins.any(not 0 <= i < n for i, n in zip(found, self.shape, strict=True))
        ):
            raise FanlightError(
                "E-TENSOR-007",
                "this is not a place of the buffer.",
                where=caller(),
                expected=f"an index for each dim of {list(self.shape)}",
                received=repr(place)[:200],
            )
        return found

    def set(self, value: Any, *place: int) -> None:
        """Write an element: E-TENSOR-007 if there is no such place, E-TENSOR-001 if it is not of
        the buffer's dtype; numbers saturate, as in `fl.tensor`.
        """
        self.values[self._place(place)] = _tensor(value, self.dtype).item()

    def get(self, *place: int) -> Any:
        """Read an element. Raises E-TENSOR-007 if there is no such place."""
        found = self.values[self._place(place)]
        return found if isinstance(found, str) else found.item()

    def to_tensor(self) -> Tensor:
        """A tensor of the elements that are there now."""
        return _tensor(self.values.copy(), self.dtype)


def buffer(shape: int | Sequence[int], dtype: Any = "float32", values: Any = None) -> TensorBuffer:
    """A buffer of zeros (of strings: empty ones), or of as many values.

    Raises:
        FanlightError: E-OP-004 there are more or fewer values than the shape has places.
    """
    name, sizes = dtype_name(dtype), fn.shape_of(shape)
    if values is None and name == dtypes.STRING:
        return TensorBuffer(np.full(sizes, "", object), name)
    if values is None:
        kind = np.dtype(name) if name == dtypes.COMPLEX else dtypes.to_numpy(name)
        return TensorBuffer(np.zeros(sizes, kind), name)
    given = _tensor(values, name).numpy()
    if given.size != int(np.prod(sizes)):
        raise FanlightError(
            "E-OP-004",
            "the values do not fill the buffer.",
            where=f"buffer values, {caller()}",
            expected=f"{int(np.prod(sizes))} values for {list(sizes)}",
            received=f"{given.size}",
        )
    return TensorBuffer(given.reshape(sizes).copy(), name)

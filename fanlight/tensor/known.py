"""What functions ask of whole numbers: that they lie inside; for shapes, that they are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.arguments import whole_number
from fanlight.tensor.core import Tensor, caller, cast, tensor, type_of


def whole(function: str, argument: str, value: Any) -> Tensor:
    """A tensor of whole numbers as int32; E-OP-003 if it is none."""
    x = tensor(value)
    if not x.size and not isinstance(value, Tensor):
        x = tensor(np.zeros(x.shape, np.int32))  # an empty list is one of floats
    if x.dtype not in ("int32", "uint8"):
        raise FanlightError(
            "E-OP-003",
            f"{function} cannot take {argument} of this dtype.",
            where=f"{function} {argument}, {caller()}",
            expected="whole numbers: int32 or uint8",
            received=str(x.type),
            next='cast it first: fl.cast(x, "int32").',
        )
    return cast(x, "int32")


def count(function: str, argument: str, value: Any) -> int:
    """A number of things; E-OP-005 if it is not a whole number from 0 on."""
    found = whole_number(function, argument, value)
    type_of((found,), "float32")  # refuses what is too large
    return found


def inside(function: str, argument: str, x: Tensor, low: int, high: int) -> Tensor:
    """x, whose numbers, where they are known, must be from `low` to `high`; E-TENSOR-007."""
    if x.traced or not x.size:
        return x
    numbers = x.numpy()
    wrong = (numbers < low) | (numbers > high)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise FanlightError(
            "E-TENSOR-007",
            f"{function} was given indices that are outside.",
            where=f"{function} {argument}, {caller()}",
            expected=f"{low} to {high}",
            received=f"{numbers[place]} at {list(place)}, {int(wrong.sum())} of them in all",
        )
    return x


def tuples_inside(function: str, x: Tensor, shape: Sequence[int]) -> Tensor:
    """Tuples [..., k] of indices of the first dims of a shape, checked where they are known."""
    if x.traced or not x.size or x.rank == 0 or x.shape[-1] > len(shape):
        return x  # the op says what is wrong with its shape
    sizes = np.array(shape[: x.shape[-1]])
    numbers = x.numpy()
    wrong = ((numbers < 0) | (numbers >= sizes)).any(axis=-1)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise FanlightError(
            "E-TENSOR-007",
            f"{function} was given indices that are outside.",
            where=f"{function} indices, {caller()}",
            expected=f"indices of {list(shape)}: 0 to {[n - 1 for n in sizes.tolist()]}",
            received=f"{numbers[place].tolist()} at {list(place)}, {int(wrong.sum())} in all",
        )
    return x


def numbers_of(function: str, argument: str, x: Tensor, instead: str) -> np.ndarray:
    """The numbers of a tensor that decide a shape; E-TENSOR-003 while its function is traced."""
    if x.traced:
        raise FanlightError(
            "E-TENSOR-003",
            f"the shape of what {function} gives depends on the numbers of {argument}, and its "
            "function is being traced.",
            where=f"{function}, {caller()}",
            expected=f"{argument} that is known",
            received=str(x.type),
            next=instead,
        )
    return x.numpy()

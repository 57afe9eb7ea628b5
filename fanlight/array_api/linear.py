"""Products of matrices and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.array_api.dtypes import array, complex64, float32, together, wrapped
from fanlight.array_api.manipulation import matrix_transpose as matrix_transpose
from fanlight.errors import FanlightError
from fanlight.tensor import complex as complexes
from fanlight.tensor import functions as fn
from fanlight.tensor import matrices
from fanlight.tensor.core import Tensor, caller
from fanlight.tensor.einsum import einsum


def matmul(x1: Any, x2: Any, /) -> Tensor:
    """The product of matrices, of each of a batch, or of vectors; of whole numbers exact.

    Raises:
        FanlightError: E-OP-004 shapes that do not fit, or no dims.
    """
    (a, b), name = _two("matmul", x1, x2)
    if not a.rank or not b.rank:
        raise _unfit("matmul", "1 dim or more", a, b)
    if name in (float32, complex64):
        return fn.matmul(a, b)
    left, right = ("j" if x.rank == 1 else letters for x, letters in ((a, "...ij"), (b, "...jk")))
    i, k = ("" if x.rank == 1 else letter for x, letter in ((a, "i"), (b, "k")))
    if a.shape[-1] != b.shape[-1 if b.rank == 1 else -2]:
        raise _unfit("matmul", "[..., m, k] and [..., k, n]", a, b)
    batch = "..." if a.rank > 1 or b.rank > 1 else ""
    return wrapped(einsum(f"{left},{right}->{batch}{i}{k}", a, b), name)


def _two(function: str, x1: Any, x2: Any) -> tuple[tuple[Tensor, Tensor], str]:
    both, name = together(array(function, x1), array(function, x2))
    return (both[0], both[1]), name


def _unfit(function: str, expected: str, a: Tensor, b: Tensor) -> FanlightError:
    return FanlightError(
        "E-OP-004",
        f"{function} cannot take tensors of these shapes.",
        where=f"{function}, {caller()}",
        expected=expected,
        received=f"{a.type} and {b.type}",
    )


def tensordot(
    x1: Any, x2: Any, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """The sum of products over pairs of dims; see fl.tensordot."""
    (a, b), name = _two("tensordot", x1, x2)
    return wrapped(matrices.tensordot(a, b, axes), name)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The sum of conj(x1) x2 along an axis; the other dims broadcast.

    Raises:
        FanlightError: E-OP-004 the axis has other sizes; E-OP-005 one of them lacks it.
    """
    (a, b), name = _two("vecdot", x1, x2)
    first, second = (fn.axis_of(x.type, axis, "vecdot") for x in (a, b))
    if a.shape[first] != b.shape[second] or (axis >= 0 and a.rank != b.rank):
        raise _unfit("vecdot", "the axis in both, of one size", a, b)
    products = complexes.conj(a) * b
    return wrapped(fn.sum(products, axis), name)

"""Linear algebra, the standard's extension `linalg`: of float32 matrices and batches of them.

A matrix without an answer (singular, not positive definite) gives NaN, as in `fl.linalg`.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np

from fanlight.array_api.dtypes import array, float32, together, wrapped
from fanlight.array_api.linear import matmul, matrix_transpose, tensordot, vecdot
from fanlight.array_api.statistical import sum as sum_of
from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor import linalg, matrices
from fanlight.tensor.arguments import choice, flag, real_number, refused, whole_number
from fanlight.tensor.core import Tensor, caller, cast

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


def __dir__() -> list[str]:
    """What completion offers."""
    return sorted(__all__)


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _matrix(function: str, x: Any) -> Tensor:
    return matrices.matrices_of(function, array(function, x))


def cholesky(x: Any, /, *, upper: builtins.bool = False) -> Tensor:
    """The lower triangular L with L L^T = x of positive definite matrices; upper: L^T."""
    lower, upper = linalg.cholesky(_matrix("cholesky", x)), flag("cholesky", "upper", upper)
    return matrix_transpose(lower) if upper else lower


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three elements along an axis; other dims broadcast."""
    (a, b), name = together(array("cross", x1), array("cross", x2))
    first, second = (fn.axis_of(x.type, axis, "cross") for x in (a, b))
    if a.shape[first] != 3 or b.shape[second] != 3:
        raise FanlightError(
            "E-OP-004",
            "cross takes vectors of three elements.",
            where=f"cross, {caller()}",
            expected=f"3 elements along axis {axis}",
            received=f"{a.type} and {b.type}",
        )
    u = [fn.squeeze(part, first) for part in _thirds(a, first)]
    v = [fn.squeeze(part, second) for part in _thirds(b, second)]
    made = [u[i] * v[j] - u[j] * v[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    at = axis if axis >= 0 else made[0].rank + 1 + axis
    return wrapped(fn.stack(made, at), name)


def _thirds(x: Tensor, axis: int) -> list[Tensor]:
    index: list[Any] = [slice(None)] * x.rank
    found = []
    for i in range(3):
        index[axis] = slice(i, i + 1)
        found.append(x[tuple(index)])
    return found


def det(x: Any, /) -> Tensor:
    """The determinant of square matrices."""
    return linalg.det(_matrix("det", x))


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonals of the last two dims, `offset` columns right of the main one."""
    return matrices.diagonal(_matrix("diagonal", x), offset)


def eigh(x: Any, /) -> EighResult:
    """Eigenvalues, ascending, and eigenvectors, as columns, of symmetric matrices."""
    return EighResult(*linalg.eigh(_matrix("eigh", x)))


def eigvalsh(x: Any, /) -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return linalg.eigvalsh(_matrix("eigvalsh", x))


def inv(x: Any, /) -> Tensor:
    """The inverse of square matrices."""
    return linalg.inverse(_matrix("inv", x))


def matrix_norm(x: Any, /, *, keepdims: builtins.bool = False, ord: Any = "fro") -> Tensor:
    """The size of matrices.

    Args:
        ord: "fro": the root of the sum of squares; "nuc": the sum of singular values; 2, -2: the
            largest and the smallest of those; 1, -1: the largest and smallest sum of a column of
            |x|; inf, -inf: of a row.
    """
    x = fn.floating(_matrix("matrix_norm", x))
    keepdims = flag("matrix_norm", "keepdims", keepdims)
    size = fn.abs(x)
    if not isinstance(ord, str):
        ord = real_number("matrix_norm", "ord", ord)
    if ord == "fro":
        found = matrices.norm(x, "fro", (-2, -1))
    elif ord in (1, -1, inf, -inf):
        sums = fn.sum(size, -2 if abs(ord) == 1 else -1)
        found = (_greatest if ord > 0 else fn.min)(sums, -1)
    elif ord in ("nuc", 2, -2):
        values = svdvals(x)
        reduce = {"nuc": fn.sum, 2: _greatest, -2: fn.min}[ord]
        found = reduce(values, -1)
    else:
        raise refused("matrix_norm", "ord", "'fro', 'nuc', 1, -1, 2, -2, inf or -inf", ord)
    return fn.reshape(found, (*found.shape, 1, 1)) if keepdims else found


def _greatest(size: Tensor, axis: Any, keepdims: builtins.bool = False) -> Tensor:
    """The greatest of sizes, and 0 of none."""
    none = 0 in (size.shape[d] for d in fn.axes_of(size.type, axis))
    return (fn.sum if none else fn.max)(size, axis, keepdims)


def matrix_power(x: Any, n: int, /) -> Tensor:
    """Square matrices times themselves, n of them; of negative n the inverse."""
    x = fn.floating(_matrix("matrix_power", x))
    n = whole_number("matrix_power", "n", n, None)
    if x.shape[-1] != x.shape[-2]:
        raise FanlightError(
            "E-OP-004",
            "matrix_power takes square matrices.",
            where=f"matrix_power, {caller()}",
            expected="[..., n, n]",
            received=str(x.type),
        )
    if n < 0:
        x, n = linalg.inverse(x), -n
    found: Tensor | None = None
    while n:
        if n % 2:
            found = x if found is None else fn.matmul(found, x)
        n //= 2
        x = fn.matmul(x, x) if n else x
    return fn.broadcast_to(fn.eye(x.shape[-1]), x.shape) if found is None else found


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Tensor:
    """How many singular values are greater than `rtol` times the largest one: int32."""
    x = _matrix("matrix_rank", x)
    values = svdvals(x)
    if not values.shape[-1]:
        return fn.zeros(x.shape[:-2], "int32")
    limit = fn.expand_dims(fn.max(values, -1), -1) * _tolerance(x, rtol)
    return fn.sum(fn.greater(values, limit), -1)


def _tolerance(x: Tensor, rtol: Any) -> Any:
    if rtol is None:
        return max(x.shape[-2:]) * float(np.finfo(np.float32).eps)
    return fn.expand_dims(rtol, -1) if isinstance(rtol, Tensor) and rtol.rank else rtol


def outer(x1: Any, x2: Any, /) -> Tensor:
    """Every element of x1 [m] times every element of x2 [n]: [m, n]."""
    (a, b), name = together(array("outer", x1), array("outer", x2))
    if a.rank != 1 or b.rank != 1:
        raise FanlightError(
            "E-OP-004",
            "outer takes vectors.",
            where=f"outer, {caller()}",
            expected="[m] and [n]",
            received=f"{a.type} and {b.type}",
        )
    return wrapped(matrices.outer(a, b), name)


def pinv(x: Any, /, *, rtol: Any = None) -> Tensor:
    """The pseudo-inverse; singular values up to `rtol` times the largest one count as 0."""
    x = _matrix("pinv", x)
    if 0 in x.shape[-2:]:
        return fn.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]))
    limit = _tolerance(x, rtol)
    return linalg.pinv(x, limit)


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """Q, orthonormal, and R, upper triangular, with Q R = x; "complete": all columns of Q."""
    choice("qr", "mode", mode, ("reduced", "complete"))
    return QRResult(*linalg.qr(_matrix("qr", x), mode == "complete"))


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign of the determinant, and the logarithm of its size."""
    return SlogdetResult(*linalg.slogdet(_matrix("slogdet", x)))


def solve(x1: Any, x2: Any, /) -> Tensor:
    """y with x1 y = x2, for square matrices x1; x2 [n] is one vector for all of them."""
    return linalg.solve(_matrix("solve", x1), array("solve", x2))


def svd(x: Any, /, *, full_matrices: builtins.bool = True) -> SVDResult:
    """U, S and Vh with U diag(S) Vh = x, S descending; U and Vh square if full."""
    x, full_matrices = _matrix("svd", x), flag("svd", "full_matrices", full_matrices)
    u, s, vh = linalg.svd(x)
    rows, columns = x.shape[-2:]
    if full_matrices and rows > columns:
        u = _completed(u)
    if full_matrices and rows < columns:
        vh = matrix_transpose(_completed(matrix_transpose(vh)))
    return SVDResult(u, s, vh)


def _completed(x: Tensor) -> Tensor:
    """Orthonormal columns, and others that make a square of them."""
    whole, _ = linalg.qr(x, full_matrices=True)
    return fn.concat([x, whole[..., x.shape[-1] :]], -1)


def svdvals(x: Any, /) -> Tensor:
    """The singular values, descending."""
    values: Tensor = linalg.svd(_matrix("svdvals", x), compute_uv=False)
    return values


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of a diagonal, `offset` columns right of the main one."""
    return sum_of(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(
    x: Any,
    /,
    *,
    axis: int | Sequence[int] | None = None,
    keepdims: builtins.bool = False,
    ord: Any = 2,
) -> Tensor:
    """The size of vectors: (sum |x|^ord)^(1/ord) over the axes.

    Args:
        axis: None: x is one vector; of several axes the elements are those of one vector.
        ord: any number; inf and -inf give the largest and the smallest |x|, 0 the number of
            elements that are not 0.
    """
    x = fn.floating(array("vector_norm", x))
    if not isinstance(ord, int | float):
        raise refused("vector_norm", "ord", "a number", ord)
    axes = fn.axes_of(x.type, axis)
    size = fn.abs(x)
    if ord == 2:
        return matrices.norm(x, "euclidean", axes, keepdims)
    if ord == 0:
        return cast(fn.sum(fn.not_equal(size, 0.0), axes, keepdims), float32)
    if ord in (inf, -inf):
        return (_greatest if ord > 0 else fn.min)(size, axes, keepdims)
    if ord == 1:
        return fn.sum(size, axes, keepdims)
    return fn.pow(fn.sum(fn.pow(size, float(ord)), axes, keepdims), 1 / ord)

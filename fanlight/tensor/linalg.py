"""Linear algebra of matrices and batches of them: `fl.linalg.NAME`.

Matrices are float32 [..., n, n] or [..., m, n]; every function works on each of a batch, has
gradients of any order, and runs in WebAssembly. A matrix without an answer (singular, not positive
definite, with NaN) gives NaN, and the others of its batch are not touched; docs/ops.md has the
signs, limits and sources.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import functions as F
from fanlight.tensor.arguments import flag
from fanlight.tensor.core import Tensor, apply, caller
from fanlight.tensor.matrices import band_part, diagonal, norm, trace, tril, triu

__all__ = [
    "band_part",
    "cholesky",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "gram_schmidt",
    "inverse",
    "lstsq",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "trace",
    "triangular_solve",
    "tril",
    "triu",
]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


def cholesky(a: Any) -> Tensor:
    """The lower triangular L with L L^T = a, of a positive definite matrix; see the op."""
    result: Tensor = apply("cholesky", F.floating(a))
    return result


def _sides(a: Any, b: Any) -> tuple[Tensor, Tensor, bool]:
    """a and b in float32 with the same batch dims; whether b was one vector."""
    a, b = F.floating(a), F.floating(b)
    vector = b.rank == 1
    b = F.expand_dims(b, -1) if vector else b
    if a.rank < 2:
        return a, b, vector  # which the op refuses
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) if _fits(a, b) else ()
    if batch or a.rank == b.rank == 2:
        a = F.broadcast_to(a, (*batch, *a.shape[-2:])) if a.shape[:-2] != batch else a
        b = F.broadcast_to(b, (*batch, *b.shape[-2:])) if b.shape[:-2] != batch else b
    return a, b, vector


def _fits(a: Tensor, b: Tensor) -> bool:
    pairs = zip(reversed(a.shape[:-2]), reversed(b.shape[:-2]), strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)


def triangular_solve(a: Any, b: Any, lower: bool = True, transpose: bool = False) -> Tensor:
    """x with t x = b, where t is a triangle of a, transposed or not.

    Shapes a [..., n, n], b [..., n, m] or [n]; batch dims broadcast.
    """
    a, b, vector = _sides(a, b)
    x: Tensor = apply("triangular_solve", a, b, lower=lower, transpose=transpose)
    return F.squeeze(x, -1) if vector else x


def solve(a: Any, b: Any) -> Tensor:
    """x with a x = b; shapes a [..., n, n], b [..., n, m] or [n]. NaN if a is singular."""
    a, b, vector = _sides(a, b)
    x: Tensor = apply("solve", a, b)
    return F.squeeze(x, -1) if vector else x


def inverse(a: Any) -> Tensor:
    """The inverse of square matrices; NaN if there is none."""
    a = F.floating(a)
    return solve(a, F.eye(a.shape[-1] if a.rank else 1))


def det(a: Any) -> Tensor:
    """The determinant of square matrices: [..., n, n] -> [...].

    Its gradient, det(a) inverse(a)^T, is NaN at a singular matrix.
    """
    result: Tensor = apply("det", F.floating(a))
    return result


def slogdet(a: Any) -> tuple[Tensor, Tensor]:
    """(sign, log |det|) of square matrices; (0, -inf) if singular."""
    sign, size = apply("slogdet", F.floating(a))
    return sign, size


def qr(a: Any, full_matrices: bool = False) -> tuple[Tensor, Tensor]:
    """(q, r) with q r = a, q orthonormal, r upper triangular; signs as LAPACK has them."""
    q, r = apply("qr", F.floating(a), full_matrices=full_matrices)
    return q, r


def eigh(a: Any) -> tuple[Tensor, Tensor]:
    """(w, v): eigenvalues ascending, and eigenvectors as columns, of (a + a^T) / 2."""
    w, v = apply("eigh", F.floating(a))
    return w, v


def eigvalsh(a: Any) -> Tensor:
    """The eigenvalues of `eigh`."""
    return eigh(a)[0]


def svd(a: Any, compute_uv: bool = True, full_matrices: bool = False) -> Any:
    """(u, s, v^T) with u diag(s) v^T = a, s descending; only s without compute_uv.

    Raises:
        FanlightError: E-OP-005 full_matrices of a matrix that is not square.
    """
    a = F.floating(a)
    full_matrices = flag("svd", "full_matrices", full_matrices)
    compute_uv = flag("svd", "compute_uv", compute_uv)
    if full_matrices and compute_uv and a.rank >= 2 and a.shape[-1] != a.shape[-2]:
        raise FanlightError(
            "E-OP-005",
            "svd gives the reduced factors only.",
            where=f"svd full_matrices, {caller()}",
            expected="full_matrices=False",
            received=str(a.type),
            next="the further columns are those of linalg.qr(u, full_matrices=True)[0].",
        )
    u, s, vh = apply("svd", a)
    return (u, s, vh) if compute_uv else s


def pinv(a: Any, rcond: float = 1e-6) -> Tensor:
    """The pseudo-inverse (Moore & Penrose): [..., m, n] -> [..., n, m].

    Args:
        rcond: singular values up to this share of the largest one count as 0.
    """
    u, s, vh = svd(a)
    top = F.max(s, -1, True)
    kept = F.greater(s, top * rcond)
    inverted = F.where(kept, 1.0 / F.where(kept, s, 1.0), 0.0)
    return F.matmul(_turned(vh) * F.expand_dims(inverted, -2), _turned(u))


def lstsq(a: Any, b: Any, rcond: float = 1e-6) -> Tensor:
    """The x with the least |a x - b|, and of several the smallest: pinv(a) b.

    Shapes a [..., m, n], b [..., m, k] or [m].
    """
    return F.matmul(pinv(a, rcond), F.floating(b))


def gram_schmidt(x: Any) -> Tensor:
    """Orthonormal vectors that span what the rows of x span: [..., k, n] -> [..., k, n], k <= n.

    The first i rows span the same as the first i rows of x, in the same direction
    (tf.linalg.gramSchmidt).

    Raises:
        FanlightError: E-OP-004 more rows than they have elements.
    """
    x = F.floating(x)
    if x.rank < 2 or x.shape[-2] > x.shape[-1]:
        raise FanlightError(
            "E-OP-004",
            "so many vectors cannot be orthogonal.",
            where=f"gram_schmidt, {caller()}",
            expected="[..., k, n] with k <= n",
            received=str(x.type),
        )
    q, r = qr(_turned(x))
    sign = F.where(F.less(diagonal(r), 0.0), -1.0, 1.0)
    return _turned(q * F.expand_dims(sign, -2))


def _turned(x: Tensor) -> Tensor:
    return F.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))

"""Factorisations and solutions of float32 matrices [..., m, n], each of a batch by itself.

They are computed in float64 and rounded once. A matrix that has no answer gets NaN and leaves the
others alone: nothing raises, since a page could not either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops import linalg_backward as backward
from fanlight.ops.backward import Rule
from fanlight.ops.check import FLOATS
from fanlight.ops.row import Attr, Row, register
from fanlight.ops.types import Shape, TensorType

Attrs = Mapping[str, Any]
NAN = "a matrix with NaN or infinity gives NaN; others of the batch are not touched"


def matrices(
    name: str,
    shapes: Callable[[Shape, Attrs], list[Shape]],
    compute: Callable[..., Sequence[np.ndarray]],
    vjp: Rule,
    doc: str,
    *,
    square: bool = True,
    attrs: Mapping[str, Attr] | None = None,
    sides: bool = False,
    tol: float = 1e-5,
) -> None:
    """Register a row of one matrix, or of a square one and right-hand sides.

    Args:
        shapes: shape of the last input, attributes -> shapes of the results.
        compute: float64 arrays -> float64 arrays, of a batch or of one matrix; raises LinAlgError
            where one has no answer.
    """

    def infer(types: Sequence[TensorType], given: Attrs) -> list[TensorType]:
        for argument, type in zip(("a", "b"), types, strict=False):
            check.tensor(name, argument, type, FLOATS)
            if type.rank < 2:
                raise check.shape_error(name, argument, "matrices: 2 dims or more", type)
        a = types[0]
        if square and a.shape[-1] != a.shape[-2]:
            raise check.shape_error(name, "a", "square matrices [..., n, n]", a)
        if sides and types[1].shape[:-1] != a.shape[:-1]:
            raise check.shape_error(name, "b", f"[..., n, m] with the dims of a, {a}", types[1])
        for attr in attrs or {}:
            check.flag(name, given, attr)
        return [TensorType(s) for s in shapes(types[-1].shape, given)]

    def evaluate(arrays: Sequence[np.ndarray], given: Attrs) -> list[np.ndarray]:
        made = [s.bound for s in infer([TensorType(a.shape) for a in arrays], given)]
        results = [np.full(shape, np.nan, arrays[0].dtype) for shape in made]

        def answered(at: Any) -> bool:
            """Whether the matrices at an index all have answers, which are kept."""
            parts = [a[at].astype(np.float64) for a in arrays]
            if not all(np.isfinite(p).all() for p in parts):
                return False
            with np.errstate(all="ignore"):
                try:
                    found = compute(*parts, **given)
                except np.linalg.LinAlgError:
                    return False
                for result, value in zip(results, found, strict=True):
                    result[at] = value
            return True

        batch = arrays[0].shape[:-2]
        if not answered(...):  # which leave the others alone
            for at in np.ndindex(batch):
                answered(at)
        return results

    count = 2 if sides else 1
    register(
        Row(
            name=name,
            family="linalg",
            arity=(count, count),
            attrs=attrs or {},
            infer=infer,
            eval=evaluate,
            doc=doc,
            wasm="kernel",
            tol={"float32": tol},
            nan=NAN,
            vjp=vjp,
        )
    )


def _symmetric(a: np.ndarray) -> np.ndarray:
    return (a + np.swapaxes(a, -1, -2)) / 2


matrices(
    "cholesky",
    lambda s, attrs: [s],
    lambda a: [np.linalg.cholesky(_symmetric(a))],
    backward.cholesky,
    "[..., n, n] -> [..., n, n]: the lower triangular L with a positive diagonal and L L^T = a. "
    "Of a matrix that is not symmetric it takes (a + a^T) / 2; one that is not positive definite "
    "gives NaN. Gradient: Murray 2016, arXiv:1602.07527. Source: Golub & Van Loan 4.2.",
)


def _triangular(a: np.ndarray, b: np.ndarray, lower: bool, transpose: bool) -> list[np.ndarray]:
    t = np.tril(a) if lower else np.triu(a)
    t = np.swapaxes(t, -1, -2) if transpose else t
    x = np.zeros_like(b)
    n = a.shape[-1]
    for i in range(n) if lower != transpose else range(n - 1, -1, -1):
        known = (t[..., i : i + 1, :] @ x)[..., 0, :]
        x[..., i, :] = (b[..., i, :] - known) / t[..., i, i, None]
    return [x]


matrices(
    "triangular_solve",
    lambda s, attrs: [s],
    _triangular,
    backward.triangular_solve,
    "a [..., n, n], b [..., n, m] -> x [..., n, m] with t x = b, where t is the lower (or upper) "
    "triangle of a, transposed or not; the other triangle is not read as part of t. A zero on the "
    "diagonal gives infinities or NaN. Source: Golub & Van Loan 3.1.",
    attrs={
        "lower": Attr(True, "whether t is the lower triangle, else the upper one"),
        "transpose": Attr(False, "whether t is transposed"),
    },
    sides=True,
)
matrices(
    "solve",
    lambda s, attrs: [s],
    lambda a, b: [np.linalg.solve(a, b)],
    backward.solve,
    "a [..., n, n], b [..., n, m] -> x [..., n, m] with a x = b, by elimination with row pivots. "
    "A singular matrix gives NaN. Gradient: Giles 2008, 2.3.1. Source: Golub & Van Loan 3.4.",
    sides=True,
)
matrices(
    "det",
    lambda s, attrs: [s[:-2]],
    lambda a: [np.linalg.det(a)],
    backward.det,
    "[..., n, n] -> [...]: the determinant; 1 for n = 0. Its gradient is that by the inverse, so "
    "it is NaN for a singular matrix (Giles 2008, 2.2.4). Source: Golub & Van Loan 3.2.",
)
matrices(
    "slogdet",
    lambda s, attrs: [s[:-2], s[:-2]],
    lambda a: np.linalg.slogdet(a),
    backward.slogdet,
    "[..., n, n] -> sign [...], log |det| [...]: the determinant where it would overflow; 0 and "
    "-inf for a singular matrix. Source: numpy.linalg.slogdet; gradient: Giles 2008, 2.2.4.",
)


def _qr_shapes(s: Shape, attrs: Attrs) -> list[Shape]:
    m, n = TensorType(s).bound[-2:]
    k = m if attrs["full_matrices"] else min(m, n)
    return [(*s[:-2], m, k), (*s[:-2], k, n)]


matrices(
    "qr",
    _qr_shapes,
    lambda a, full_matrices: np.linalg.qr(a, "complete" if full_matrices else "reduced"),
    backward.qr,
    "[..., m, n] -> q [..., m, k], r [..., k, n], k = min(m, n): q^T q = 1, r upper triangular, "
    "q r = a, by Householder reflections. A diagonal element of r has the sign opposite to what "
    "the reflection met there, as LAPACK has it, so it is not always positive. Gradient: Walter & "
    "Lehmann 2012; for m < n Roberts & Roberts 2020; none for full matrices of m > n. Source: "
    "Golub & Van Loan 5.2.",
    square=False,
    attrs={"full_matrices": Attr(False, "whether k = m: q is square")},
)
# The element that gives an eigenvector its sign is the first with this share of the largest one.
SIGN_SHARE = 0.45


def _signs(v: np.ndarray) -> np.ndarray:
    """[..., 1, n]: of every column the sign of its first element that is not much smaller than
    the largest one.
    """
    if not v.size:
        return np.ones((*v.shape[:-2], 1, v.shape[-1]))
    size = np.abs(v)
    first = np.argmax(size >= SIGN_SHARE * size.max(axis=-2, keepdims=True), axis=-2)
    chosen = np.take_along_axis(v, first[..., None, :], axis=-2)
    return np.where(chosen < 0, -1.0, 1.0)


def _eigh(a: np.ndarray) -> list[np.ndarray]:
    w, v = np.linalg.eigh(_symmetric(a))
    return [w, v * _signs(v)]


matrices(
    "eigh",
    lambda s, attrs: [s[:-1], s],
    _eigh,
    backward.eigh,
    "[..., n, n] -> w [..., n] ascending, v [..., n, n]: a v = v diag(w), v^T v = 1, of "
    "(a + a^T) / 2, by Jacobi's rotations (at most 40 sweeps; 6 to 10 are enough). Sign: the first "
    "element of a column that is at least 0.45 times its largest one is positive. Of equal "
    "eigenvalues the vectors are any basis; the gradient then takes them as not coupled, which is "
    "right for what does not depend on the basis. Gradient: Giles 2008, 3.1. Source: Golub & Van "
    "Loan 8.5.",
)


def _svd(a: np.ndarray) -> list[np.ndarray]:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    signs = _signs(u)
    return [u * signs, s, vh * np.swapaxes(signs, -1, -2)]


def _svd_shapes(s: Shape, attrs: Attrs) -> list[Shape]:
    m, n = TensorType(s).bound[-2:]
    k = min(m, n)
    return [(*s[:-2], m, k), (*s[:-2], k), (*s[:-2], k, n)]


matrices(
    "svd",
    _svd_shapes,
    _svd,
    backward.svd,
    "[..., m, n] -> u [..., m, k], s [..., k] descending, v^T [..., k, n], k = min(m, n): "
    "u diag(s) v^T = a, u^T u = v^T v = 1, by one-sided Jacobi rotations (at most 40 sweeps). "
    "Sign: the first element of a column of u that is at least 0.45 times its largest one is "
    "positive. Of equal or zero singular values the vectors are any basis; the gradient through "
    "the vectors is infinite or NaN at zero ones. Gradient: Townsend 2016, Ionescu et al. 2015. "
    "Source: Golub & Van Loan 8.6; Hestenes 1958.",
    square=False,
)

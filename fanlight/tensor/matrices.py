"""Products, norms and diagonals of matrices: functions made of other ops."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import functions as F
from fanlight.tensor.arguments import as_whole, flag, real_number, refused, whole_number
from fanlight.tensor.core import Tensor, caller, promoted, tensor
from fanlight.tensor.einsum import diagonal_of, einsum
from fanlight.tensor.functions import Axes, axes_of


def outer(a: Any, b: Any) -> Tensor:
    """Every element of a times every element of b: [m] and [n] give [m, n].

    Tensors of other shapes are taken as vectors (numpy.outer).
    """
    a, b = promoted(a, b, least="int32")
    return F.mul(F.reshape(a, (a.size, 1)), F.reshape(b, (1, b.size)))


outer_product = outer


def tensordot(a: Any, b: Any, axes: int | Sequence[Any] = 2) -> Tensor:
    """The sum of products over pairs of dims.

    Args:
        axes: so many last dims of a with as many first dims of b; or (dims of a, dims of b).

    Returns:
        The dims of a that are left, then those of b (numpy.tensordot).

    Raises:
        FanlightError: E-OP-005 axes that the tensors do not have; E-OP-004 sizes that differ.
    """
    a, b = promoted(a, b, least="int32")
    pair = isinstance(axes, list | tuple) or (isinstance(axes, np.ndarray) and axes.ndim > 0)
    if not isinstance(axes, int) and pair and len(axes) == 2:
        ours, theirs = (axes_of(x.type, d, "tensordot") for x, d in zip((a, b), axes, strict=True))
    else:
        most = builtins.min(a.rank, b.rank)
        count = None if pair else as_whole(axes)
        if count is None or not 0 <= count <= most:
            raise refused("tensordot", "axes", f"0 to {most}, or (dims of a, dims of b)", axes)
        ours, theirs = tuple(range(a.rank - count, a.rank)), tuple(range(count))
    if len(ours) != len(theirs):
        raise refused("tensordot", "axes", "as many dims of a as of b", axes)
    letters = [chr(ord("A") + i) for i in builtins.range(a.rank + b.rank)]
    left, right = letters[: a.rank], letters[a.rank :]
    for i, j in zip(ours, theirs, strict=True):
        if a.shape[i] != b.shape[j]:
            raise FanlightError(
                "E-OP-004",
                "tensordot sums over dims of one size.",
                where=f"tensordot, {caller()}",
                expected=f"{a.shape[i]} in dim {j} of b",
                received=f"{a.type}, {b.type}",
            )
        right[j] = left[i]
    kept = [c for i, c in enumerate(left) if i not in ours]
    kept += [c for j, c in enumerate(right) if j not in theirs]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b)


def diagonal(x: Any, offset: int = 0) -> Tensor:
    """The diagonals of the last two dims: [..., m, n] -> [..., k] with x[..., i, i + offset]."""
    x = matrices_of("diagonal", x)
    m, n = x.shape[-2:]
    offset = whole_number("diagonal", "offset", offset, None)
    row, column = builtins.max(0, -offset), builtins.max(0, offset)
    k = builtins.max(0, builtins.min(m - row, n - column))
    square = x[..., row : row + k, column : column + k]
    return diagonal_of(square, x.rank - 2, x.rank - 1)


def diag(x: Any) -> Tensor:
    """x on the diagonal of a tensor of zeros: [d1, ..., dk] -> [d1, ..., dk, d1, ..., dk].

    A vector gives a matrix. (tf.diag; to read a diagonal, see `diagonal`.)
    """
    x = tensor(x)
    flat = F.reshape(x, (x.size, 1))
    # One zero more than there are elements behind each, so that the next one is a column further.
    spread = F.reshape(F.pad(flat, [(0, 0), (0, x.size)]), (-1,))[: x.size * x.size]
    return F.reshape(spread, (*x.shape, *x.shape))


def trace(x: Any) -> Tensor:
    """The sum of the diagonal: [..., m, n] -> [...]."""
    return F.sum(diagonal(x), -1)


def band_part(x: Any, lower: int, upper: int) -> Tensor:
    """Matrices with zeros outside a band around the diagonal, [..., m, n].

    Args:
        lower, upper: how many diagonals below and above the main one stay; all where negative.
            band_part(x, -1, 0) is the lower triangle. (tf.linalg.bandPart)
    """
    x = matrices_of("band_part", x)
    m, n = x.shape[-2:]
    below = whole_number("band_part", "lower", lower, None)
    above = whole_number("band_part", "upper", upper, None)
    return F.where(tensor(_band(m, n, below, above)), x, tensor(0, x.dtype))


def _band(m: int, n: int, lower: int, upper: int) -> np.ndarray:
    below = np.arange(m)[:, None] - np.arange(n)
    return ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))


def tril(x: Any) -> Tensor:
    """The lower triangle of matrices, zeros above it."""
    return band_part(x, -1, 0)


def triu(x: Any) -> Tensor:
    """The upper triangle of matrices, zeros below it."""
    return band_part(x, 0, -1)


def kron(a: Any, b: Any) -> Tensor:
    """The Kronecker product: [m, n] and [p, q] give [m p, n q], blocks of b times a[i, j]."""
    a, b = matrices_of("kron", a), matrices_of("kron", b)
    if a.rank != 2 or b.rank != 2:
        raise refused("kron", "a, b", "matrices without batch dims", f"{a.type}, {b.type}")
    blocks = einsum("ij,kl->ikjl", a, b)
    return F.reshape(blocks, (a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]))


def norm(
    x: Any, ord: float | str = "euclidean", axis: Axes = None, keepdims: bool = False
) -> Tensor:
    """The size of vectors (one axis) or matrices (two axes).

    Args:
        ord: "euclidean" or "fro": sqrt(sum |x|^2), over any axes; of one axis 1, 2, inf, -inf or
            another p > 0: (sum |x|^p)^(1/p), the largest, the smallest; of two axes 1 and inf: the
            largest sum of a column or row of |x|.
        axis: default: all of x is one vector (or the matrix, if x has two dims and ord is 1, inf
            or -inf: as tf.norm).

    The gradient where the norm is 0 is 0.

    Raises:
        FanlightError: E-OP-005 an ord that such axes do not have.
    """
    x = F.floating(x)
    axes, keepdims = axes_of(x.type, axis, "norm"), flag("norm", "keepdims", keepdims)
    size = F.abs(x)
    if not isinstance(ord, str):
        ord = real_number("norm", "ord", ord)
    if ord in ("euclidean", "fro") or (ord == 2 and len(axes) != 2):
        return _keep(root(F.sum(F.square(size), axes, True)), axes, keepdims)
    if isinstance(ord, str) or ord == 0 or len(axes) > 2:
        raise refused("norm", "ord", "1, 2, inf, -inf, 'fro' or 'euclidean'", ord)
    if len(axes) == 2:
        if ord not in (1, inf, -inf):
            raise refused("norm", "ord", "1, inf, -inf or 'fro' of matrices", ord)
        rows, columns = axes
        inner, other = (rows, columns) if ord == 1 else (columns, rows)
        sums = F.sum(size, inner, True)
        return _keep((F.min if ord == -inf else F.max)(sums, other, True), axes, keepdims)
    if ord in (inf, -inf):
        return _keep((F.max if ord > 0 else F.min)(size, axes, True), axes, keepdims)
    if ord == 1:
        return _keep(F.sum(size, axes, True), axes, keepdims)
    total = F.sum(F.pow(size, float(ord)), axes, True)
    # The slope of a root is infinite at 0, where that of the norm is taken for 0.
    zero = F.equal(total, 0.0)
    size = F.where(zero, 0.0, F.pow(F.where(zero, 1.0, total), 1 / ord))
    return _keep(size, axes, keepdims)


def euclidean_norm(x: Any, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """sqrt(sum |x|^2) over the axes (default: all)."""
    return norm(x, "euclidean", axis, keepdims)


def root(total: Tensor) -> Tensor:
    """The square root with slope 0 at 0."""
    zero = F.equal(total, 0.0)
    return F.where(zero, 0.0, F.sqrt(F.where(zero, 1.0, total)))


def _keep(x: Tensor, axes: Sequence[int], keepdims: bool) -> Tensor:
    return x if keepdims else F.squeeze(x, tuple(axes))


def matrices_of(op: str, x: Any) -> Tensor:
    x = tensor(x)
    if x.rank < 2:
        raise FanlightError(
            "E-OP-004",
            f"{op} takes matrices.",
            where=f"{op}, {caller()}",
            expected="2 dims or more",
            received=str(x.type),
        )
    return x

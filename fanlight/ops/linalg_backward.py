"""Gradients of the ops of linalg.py, made of other ops.

M. Giles, "An extended collection of matrix derivative results", 2008; I. Murray 2016 (cholesky);
J. Townsend 2016 (svd); Walter & Lehmann 2012, Roberts & Roberts 2020 (qr).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import scalar as sc
from fanlight.ops.backward import Step


class _Matrices:
    """Phrases of matrix algebra over the ops of a step."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def times(self, a: Any, b: Any, ta: bool = False, tb: bool = False) -> Any:
        return self.step.apply("matmul", a, b, transpose_a=ta, transpose_b=tb)

    def turned(self, x: Any) -> Any:
        rank = len(x.shape)
        return self.step.transpose(x, (*range(rank - 2), rank - 1, rank - 2))

    def op(self, name: str, *values: Any) -> Any:
        return self.step.apply(name, *values)

    def neg(self, x: Any) -> Any:
        return self.step.apply("neg", x)

    def triangle(self, x: Any, lower: bool = True, diagonal: float = 1.0) -> Any:
        """A triangle of x, its diagonal times a number."""
        m, n = x.shape[-2:]
        below = np.tri(m, n, -1, dtype=np.float32)
        mask = below if lower else 1 - np.tri(m, n, 0, dtype=np.float32)
        mask = mask + np.float32(diagonal) * np.eye(m, n, dtype=np.float32)
        return self.step.fused(
            lambda x, mask: sc.where(sc.equal(mask, 0.0), 0.0, x * mask),
            x,
            self.step.constant(mask),
        )

    def column(self, x: Any) -> Any:
        return self.step.reshape(x, (*x.shape, 1))

    def row(self, x: Any) -> Any:
        return self.step.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))

    def inverse_turned(self, a: Any) -> Any:
        """The transposed inverse."""
        unit = np.broadcast_to(np.eye(a.shape[-1], dtype=np.float32), tuple(a.shape)).copy()
        return self.op("solve", self.turned(a), self.step.constant(unit))

    def halves(self, x: Any) -> Any:
        """(x + x^T) / 2"""
        return self.step.fused(lambda a, b: 0.5 * (a + b), x, self.turned(x))

    def gaps(self, w: Any) -> Any:
        """1 / (w_j - w_i); 0 where they are equal."""
        return self.step.fused(
            lambda b, a: sc.where(sc.equal(a, b), 0.0, 1 / sc.where(sc.equal(a, b), 1.0, b - a)),
            self.row(w),
            self.column(w),
        )


def cholesky(step: Step) -> list[Any]:
    """L^-T P(L^T g) L^-1, P: the lower triangle with half the diagonal."""
    m, (l,) = _Matrices(step), step.outputs  # noqa: E741
    inner = m.triangle(m.times(l, step.g, ta=True), diagonal=0.5)
    left = step.apply("triangular_solve", l, inner, lower=True, transpose=True)
    both = step.apply("triangular_solve", l, m.turned(left), lower=True, transpose=True)
    return [m.halves(both)]


def triangular_solve(step: Step) -> list[Any]:
    m, (a, _), (x,) = _Matrices(step), step.inputs, step.outputs
    lower, transpose = step.attrs["lower"], step.attrs["transpose"]
    of_b = step.apply("triangular_solve", a, step.g, lower=lower, transpose=not transpose)
    left, right = (x, of_b) if transpose else (of_b, x)
    of_a = m.triangle(m.neg(m.times(left, right, tb=True)), lower) if step.wanted[0] else None
    return [of_a, of_b]


def solve(step: Step) -> list[Any]:
    m, (a, _), (x,) = _Matrices(step), step.inputs, step.outputs
    of_b = m.op("solve", m.turned(a), step.g)
    return [m.neg(m.times(of_b, x, tb=True)) if step.wanted[0] else None, of_b]


def det(step: Step) -> list[Any]:
    m, (a,), (y,) = _Matrices(step), step.inputs, step.outputs
    scale = m.column(m.column(m.op("mul", step.g, y)))
    return [m.op("mul", scale, m.inverse_turned(a))]


def slogdet(step: Step) -> list[Any]:
    m, (a,), g = _Matrices(step), step.inputs, step.grads[1]
    if g is None:
        return [None]
    return [m.op("mul", m.column(m.column(g)), m.inverse_turned(a))]


def qr(step: Step) -> list[Any]:
    m, (a,), (q, r), (gq, gr) = _Matrices(step), step.inputs, step.outputs, step.grads
    rows, columns = a.shape[-2:]
    if rows > columns and step.attrs["full_matrices"]:
        raise FanlightError(
            "E-OP-008",
            "qr with full_matrices has no gradient for more rows than columns: q is not unique.",
            where="qr",
            expected="full_matrices=False",
            received=str(a.shape),
            next="leave full_matrices out; the further columns of q can be any basis.",
        )
    gq = step.constant(np.zeros(q.shape, np.float32)) if gq is None else gq
    gr = step.constant(np.zeros(r.shape, np.float32)) if gr is None else gr
    if rows >= columns:
        return [_square_qr(m, q, r, gq, gr)]
    # a = [x | y] = q [u | v]: q and u come from x, and v = q^T y.
    head = [(0, 0)] * (len(a.shape) - 1)
    first, last = [*head, (0, rows - columns)], [*head, (-rows, 0)]
    y, u = step.frame(a, last), step.frame(r, first)
    gu, gv = step.frame(gr, first), step.frame(gr, last)
    gq = m.op("add", gq, m.times(y, gv, tb=True))
    parts = (_square_qr(m, q, u, gq, gu), m.times(q, gv))
    return [step.apply("concat", *parts, axis=-1)]


def _square_qr(m: _Matrices, q: Any, r: Any, gq: Any, gr: Any) -> Any:
    inner = m.op("sub", m.times(r, gr, tb=True), m.times(gq, q, ta=True))
    mirrored = m.op("add", m.triangle(inner), m.turned(m.triangle(inner, diagonal=0.0)))
    left = m.op("add", gq, m.times(q, mirrored))
    found = m.step.apply("triangular_solve", r, m.turned(left), lower=False, transpose=False)
    return m.turned(found)


def eigh(step: Step) -> list[Any]:
    """v (diag(gw) + (v^T gv) / (w_j - w_i)) v^T"""
    m, (w, v), (gw, gv) = _Matrices(step), step.outputs, step.grads
    found = None
    if gw is not None:
        found = m.times(m.op("mul", v, m.row(gw)), v, tb=True)
    if gv is not None:
        inner = m.op("mul", m.times(v, gv, ta=True), m.gaps(w))
        found = step.add(found, m.times(m.times(v, inner), v, tb=True))
    return [m.halves(found)]


def svd(step: Step) -> list[Any]:
    (a,), (u, s, vh), (gu, gs, gvh) = step.inputs, step.outputs, step.grads
    m = _Matrices(step)
    found = None
    if gs is not None:
        found = m.times(m.op("mul", u, m.row(gs)), vh)
    if gu is not None:
        found = step.add(found, m.times(_of_vectors(m, u, s, gu, a.shape[-2]), vh))
    if gvh is not None:
        v = m.turned(vh)
        part = m.turned(_of_vectors(m, v, s, m.turned(gvh), a.shape[-1]))
        found = step.add(found, m.times(u, part))
    return [found]


def _of_vectors(m: _Matrices, u: Any, s: Any, gu: Any, size: int) -> Any:
    """u (F * (u^T gu - gu^T u)) diag(s) + (1 - u u^T) gu / s, F = 1 / (s_j^2 - s_i^2)."""
    product = m.times(u, gu, ta=True)
    skew = m.op("mul", m.op("sub", product, m.turned(product)), m.gaps(m.op("mul", s, s)))
    found = m.times(u, m.op("mul", skew, m.row(s)))
    if size > s.shape[-1]:
        outside = m.op("sub", gu, m.times(u, product))
        found = m.op("add", found, m.op("div", outside, m.row(s)))
    return found

"""The discrete Fourier transform, of complex numbers as two float32 arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.backward import Step
from fanlight.ops.check import FLOATS
from fanlight.ops.row import Attr, Row, register
from fanlight.ops.types import TensorType


@lru_cache(maxsize=64)
def roots(n: int) -> np.ndarray:
    """The n-th roots of unity exp(-2 pi i k / n): [2, n], real parts and imaginary parts."""
    angle = 2 * np.pi * np.arange(n) / max(n, 1)
    table = np.stack([np.cos(angle), -np.sin(angle)]).astype(np.float32)
    table.flags.writeable = False
    return table


def _infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    real, imag, table = types
    for argument, type in (("real", real), ("imag", imag), ("roots", table)):
        check.tensor("fft", argument, type, FLOATS)
    if real.rank == 0 or real.shape[-1] == 0:
        raise check.shape_error("fft", "real", "[..., n], n at least 1", real)
    if imag.shape != real.shape:
        raise check.shape_error("fft", "imag", f"the shape of the real part, {real}", imag)
    if table.shape != (2, real.shape[-1]):
        raise check.shape_error("fft", "roots", f"[2, {real.shape[-1]}]", table)
    check.flag("fft", attrs, "inverse")
    return [TensorType(real.shape), TensorType(real.shape)]


def _eval(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    real, imag, _ = arrays
    with np.errstate(all="ignore"):
        z = real.astype(np.float64) + 1j * imag.astype(np.float64)
        y = (np.fft.ifft if attrs["inverse"] else np.fft.fft)(z, axis=-1)
        return [y.real.astype(real.dtype), y.imag.astype(real.dtype)]


def _backward(step: Step) -> list[Any]:
    """The adjoint of the transform is n times the inverse, and that of the inverse is 1 / n."""
    x, _, table = step.inputs
    zeros = None
    if any(g is None for g in step.grads):
        zeros = step.constant(np.zeros(x.shape, np.float32))
    given = [zeros if g is None else g for g in step.grads]
    inverse = step.attrs["inverse"]
    found = step.apply("fft", *given, table, inverse=not inverse)
    n = x.shape[-1]
    scale = step.constant(np.array(1 / n if inverse else n, np.float32))
    return [*(step.apply("mul", part, scale) for part in found), None]


register(
    Row(
        name="fft",
        family="fft",
        arity=(3, 3),
        attrs={"inverse": Attr(False, "whether it is the inverse transform, with 1 / n")},
        infer=_infer,
        eval=_eval,
        doc="real [..., n], imag [..., n], roots [2, n] -> real, imag [..., n]: "
        "y_k = sum_j x_j exp(-2 pi i j k / n) over the last dim; the inverse has +2 pi i and 1/n. "
        "roots holds cos and -sin of 2 pi k / n, which kernels read as a table. Any n: the time "
        "grows with n times the sum of its prime factors. E-OP-004 if the shapes differ. Source: "
        "Cooley & Tukey 1965, in Stockham's order (Van Loan 1992, 1.7).",
        wasm="kernel",
        tol={"float32": 1e-5},
        nan="makes NaN of a part of every number of its row; other rows are not touched",
        vjp=_backward,
    )
)

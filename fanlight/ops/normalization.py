"""Batch normalisation and softmax, float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import real_of
from fanlight.ops import check
from fanlight.ops import scalar as sc
from fanlight.ops.backward import Rule, Step
from fanlight.ops.check import FLOATS
from fanlight.ops.pointwise import compute
from fanlight.ops.row import Attr, Row, register
from fanlight.ops.types import TensorType

_PARAMETERS = ("mean", "variance", "offset", "scale")


def _infer_batch_norm(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    x = types[0]
    check.tensor("batch_norm", "x", x, FLOATS)
    if x.rank == 0:
        raise check.shape_error("batch_norm", "x", "at least one dim", x)
    for name, type in zip(_PARAMETERS, types[1:], strict=True):
        check.tensor("batch_norm", name, type, FLOATS)
        if type.shape != x.shape[-1:]:
            raise check.shape_error("batch_norm", name, TensorType(x.shape[-1:]), type)
    if check.number("batch_norm", attrs, "epsilon") < 0:
        raise check.attr_error("batch_norm", "epsilon", "a number >= 0", attrs["epsilon"])
    return [x]


def _batch_norm(
    x: sc.Expr,
    mean: sc.Expr,
    variance: sc.Expr,
    offset: sc.Expr,
    scale: sc.Expr,
    *,
    epsilon: float,
) -> sc.Expr:
    return (x - mean) * (scale / sc.sqrt(variance + float(epsilon))) + offset


register(
    Row(
        name="batch_norm",
        family="normalization",
        arity=(5, 5),
        attrs={"epsilon": Attr(1e-3, "added to the variance; >= 0")},
        infer=_infer_batch_norm,
        eval=lambda arrays, attrs: [
            compute(_batch_norm(*map(sc.arg, range(5)), epsilon=attrs["epsilon"]), arrays)
        ],
        scalar=_batch_norm,
        doc="(x - mean) * scale / sqrt(variance + epsilon) + offset, for inputs (x [..., C], mean, "
        "variance, offset, scale, all [C]). Source: Ioffe & Szegedy 2015, algorithm 2 (inference).",
        nan="propagates; infinite parameters may give NaN, too",
        wasm="loops",
        tol={"float32": 1e-5},
    )
)


def _softmax_backward(step: Step) -> list[Any]:
    (y,), g, axis = step.outputs, step.g, step.attrs["axis"]
    total = step.apply("sum", step.apply("mul", g, y), axes=(axis,), keepdims=True)
    return [step.fused(lambda y, g, t: y * (g - t), y, g, total)]


def _log_softmax_backward(step: Step) -> list[Any]:
    (y,), g, axis = step.outputs, step.g, step.attrs["axis"]
    total = step.apply("sum", g, axes=(axis,), keepdims=True)
    return [step.fused(lambda y, g, t: g - sc.exp(y) * t, y, g, total)]


def _softmax_parts(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x - max, its exp, and the sum of that (accumulated in float64)."""
    with np.errstate(all="ignore"):
        shifted = x - np.max(x, axis=axis, keepdims=True)
        powers = np.exp(shifted)
        total = np.sum(powers, axis=axis, keepdims=True, dtype=np.float64)
        total = np.asarray(total, real_of(x))
    return shifted, powers, total


def _eval_softmax(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    _, powers, total = _softmax_parts(arrays[0], attrs["axis"])
    return [powers / total]


def _eval_log_softmax(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    shifted, _, total = _softmax_parts(arrays[0], attrs["axis"])
    return [shifted - np.log(total)]


def _softmax_row(name: str, evaluate: Any, vjp: Rule, formula: str) -> Row:
    def infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
        x = types[0]
        check.tensor(name, "x", x, FLOATS)
        axis = check.axis(name, attrs, "axis", x)
        if x.shape[axis] == 0:
            raise check.shape_error(name, "x", "at least one element along axis", x)
        return [x]

    return register(
        Row(
            name=name,
            family="normalization",
            arity=(1, 1),
            attrs={"axis": Attr(-1, "the dim that sums to 1; negative counts from the end")},
            infer=infer,
            eval=evaluate,
            doc=f"[...] -> [...]: {formula}, m being the greatest element along `axis`, so that "
            f"nothing overflows. E-OP-004 if there are no elements. Source: tf.nn.{name}.",
            wasm="kernel",
            tol={"float32": 1e-5},
            nan="propagates along axis; so does +infinity, as NaN",
            vjp=vjp,
        )
    )


_softmax_row("softmax", _eval_softmax, _softmax_backward, "exp(x - m) / sum(exp(x - m))")
_softmax_row(
    "log_softmax", _eval_log_softmax, _log_softmax_backward, "x - m - log(sum(exp(x - m)))"
)

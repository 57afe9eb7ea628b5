"""Sums of what a scalar expression gives, computed without a tensor in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops import scalar as sc
from fanlight.ops.backward import Step, pointwise
from fanlight.ops.elementwise import fused_body
from fanlight.ops.pointwise import compute, result_type
from fanlight.ops.quiet import quietly
from fanlight.ops.reduce import reduced_shape
from fanlight.ops.row import REQUIRED, Attr, Row, broadcast_shapes, register
from fanlight.ops.types import TensorType


def _infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    check.static("fused_sum", types)
    x = result_type("fused_sum", fused_body(types, attrs), types)
    check.tensor("fused_sum", "the body", x, check.FLOATS)
    axes = check.axes("fused_sum", attrs, "axes", x)
    keep = check.flag("fused_sum", attrs, "keepdims")
    if check.flag("fused_sum", attrs, "mean") and any(x.shape[d] == 0 for d in axes):
        raise check.shape_error("fused_sum", "the body", "at least one element to reduce", x)
    return [TensorType(reduced_shape(x, axes, keep), x.dtype)]


def _evaluate(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    x = compute(fused_body(arrays, attrs), arrays)
    axes = tuple(d % x.ndim for d in attrs["axes"]) if attrs["axes"] else ()
    fold = np.mean if attrs["mean"] else np.sum

    def folded() -> np.ndarray:
        return np.asarray(
            fold(x, axis=axes, keepdims=attrs["keepdims"], dtype=np.float64), np.float32
        )

    return [quietly(folded)]


def _scalar(*inputs: sc.Expr, body: str, **attrs: Any) -> sc.Expr:
    return sc.substitute(sc.parse(body), dict(enumerate(inputs)))


def _backward(step: Step) -> list[Any]:
    shape = broadcast_shapes("fused_sum", [TensorType(x.shape, x.dtype) for x in step.inputs])
    axes = [d % len(shape) for d in step.attrs["axes"]]
    g = step.g
    if step.attrs["mean"]:
        share = 1 / prod(int(shape[d]) for d in axes)
        g = step.fused(lambda g: g * share, g)
    g = step.repeat_to(g, [int(n) for n in shape], axes)
    return pointwise(_scalar, None, replace(step, grads=(g,)))


register(
    Row(
        name="fused_sum",
        family="reduce",
        arity=(1, None),
        attrs={
            "axes": Attr(REQUIRED, "the dims to reduce; negative ones count from the end"),
            "body": Attr(REQUIRED, "the scalar expression, as text: a0, a1, ... are the inputs"),
            "keepdims": Attr(False, "whether the reduced dims stay, with size 1"),
            "mean": Attr(False, "whether the sum is divided by how many elements it has"),
        },
        infer=_infer,
        eval=_evaluate,
        doc="Inputs broadcast to [d1, ..., dr] -> the same without `axes`, or with 1 there "
        "(`keepdims`): the sum of a scalar expression of them, float32; fusion passes make these. "
        "Source: the instructions of fanlight/ops/scalar.py, numpy.sum.",
        wasm="loops",
        tol={"float32": 2e-5},
        vjp=_backward,
        nan="as the body's instructions treat it; in a sum it propagates",
    )
)

"""Ops that change nothing but when something is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.row import Row, register
from fanlight.ops.types import TensorType


def _infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    check.static("after", types)
    return [types[0]]


def _eval(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    return [arrays[0]]


register(
    Row(
        name="after",
        family="order",
        arity=(2, 2),
        infer=_infer,
        eval=_eval,
        doc="x [...], other [...] -> [...]: x, but not before `other` is known, whose values do "
        "not matter. What is computed of the result is not merged with what is computed of x: "
        "`fl.checkpoint` computes things again in this way. Takes any two tensors. Source: "
        "jax.lax.optimization_barrier.",
        wasm="alias",
        tol={"float32": 0.0, "int32": 0.0, "bool": 0.0, "uint8": 0.0},
        nan="is copied",
        vjp=lambda step: [step.g, None],
    )
)

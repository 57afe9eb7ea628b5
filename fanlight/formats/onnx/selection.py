"""Importers of ops whose results have as many elements as the numbers say.

They are computed at import where their inputs are known; elsewhere they are refused: shapes are
fixed when a page is built.
"""

from __future__ import annotations

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer


@importer("NonZero")
def non_zero(call: Call) -> Tensor:
    call.made_kinds[0] = kinds.INT64
    return np.array(np.nonzero(np.atleast_1d(call.known(0, "what is not zero"))), np.int32)


@importer("Compress")
def compress(call: Call) -> Tensor:
    x, condition = call.x(0), call.known(1, "what is kept").reshape(-1)
    axis = call.attributes.get("axis")
    if not isinstance(axis, int):
        x = call.reshape(x, (int(np.prod(x.shape)),), "flat")
        axis = 0
    at = call.dim(axis, len(x.shape))
    places = np.nonzero(condition[: x.shape[at]])[0].astype(np.int32)
    return call.op("gather", x, places, axis=at)


@importer("Unique")
def unique(call: Call) -> tuple[Tensor, ...]:
    x = call.known(0, "what is unique")
    axis = call.attributes.get("axis")
    axis = call.dim(axis, x.ndim) if isinstance(axis, int) else None
    values, first, back, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    back = back.reshape(-1)
    if not call.flag("sorted", True):
        order = np.argsort(first)
        values = np.take(values, order, axis=0 if axis is None else axis)
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        first, back, counts = first[order], place[back], counts[order]
    for i in (1, 2, 3):
        call.made_kinds[i] = kinds.INT64
    return values, *(t.astype(np.int32) for t in (first, back, counts))

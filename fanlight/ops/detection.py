"""Choosing among the boxes of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.check import FLOATS
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

Attrs = Mapping[str, Any]

_OP = "non_max_suppression"
LOWEST = float(np.finfo(np.float32).min)


def _infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    boxes, scores = types
    check.tensor(_OP, "boxes", boxes, FLOATS, 2, "[n, 4]")
    check.tensor(_OP, "scores", scores, FLOATS, 1, "[n]")
    if boxes.shape[1] != 4:
        raise check.shape_error(_OP, "boxes", "[n, 4]", boxes)
    if scores.shape != boxes.shape[:1]:
        raise check.shape_error(_OP, "scores", f"[{boxes.shape[0]}] for boxes {boxes}", scores)
    size = check.integer(_OP, attrs, "max_output_size", 0)
    if not 0 <= check.number(_OP, attrs, "iou_threshold") <= 1:
        raise check.attr_error(_OP, "iou_threshold", "a number from 0 to 1", attrs["iou_threshold"])
    check.number(_OP, attrs, "score_threshold", finite=False)
    if check.number(_OP, attrs, "soft_nms_sigma") < 0:
        raise check.attr_error(_OP, "soft_nms_sigma", "a number >= 0", attrs["soft_nms_sigma"])
    return [TensorType((size,), "int32"), TensorType((size,)), TensorType((), "int32")]


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box and several; 0 where one of two has no area."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    own_low, own_high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    area = (high[:, 0] - low[:, 0]) * (high[:, 1] - low[:, 1])
    own = (own_high[0] - own_low[0]) * (own_high[1] - own_low[1])
    sides = np.maximum(np.minimum(high, own_high) - np.maximum(low, own_low), 0)
    common = sides[:, 0] * sides[:, 1]
    ratio = common / (own + area - common)
    return np.where((own > 0) & (area > 0), ratio, np.float32(0))


def _eval(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    boxes, scores = arrays
    size, least = attrs["max_output_size"], np.float32(attrs["score_threshold"])
    sigma = attrs["soft_nms_sigma"]
    indices, kept, count = np.zeros(size, np.int32), np.zeros(size, np.float32), 0
    with np.errstate(all="ignore"):
        left = np.where(scores > least, scores, np.float32(-inf))
        while count < size and left.size:
            best = int(np.argmax(left))
            if left[best] == -inf:
                break
            indices[count], kept[count] = best, left[best]
            count += 1
            left[best] = -inf
            shared = overlap(boxes[best], boxes)
            if sigma > 0:
                left = left * np.exp(np.float32(-0.5 / sigma) * shared * shared)
            stays = ~(shared >= np.float32(attrs["iou_threshold"])) & (left > least)
            left = np.where(stays, left, np.float32(-inf)).astype(np.float32)
    return [indices, kept, np.array(count, np.int32)]


register(
    Row(
        name=_OP,
        family="detection",
        arity=(2, 2),
        attrs={
            "max_output_size": Attr(REQUIRED, "most boxes that are kept, k"),
            "iou_threshold": Attr(0.5, "overlap (intersection over union) from which a box goes"),
            "score_threshold": Attr(LOWEST, "boxes with this score or a lower one go"),
            "soft_nms_sigma": Attr(
                0.0, "if > 0, scores of boxes that stay shrink by exp(-overlap^2 / (2 sigma))"
            ),
        },
        infer=_infer,
        eval=_eval,
        doc="boxes [n, 4] (two opposite corners y, x, y, x), scores [n] -> indices int32 [k] of "
        "the boxes that are kept, best first, their scores [k], and how many there are (int32, no "
        "dims); the rest of both is 0. The box with the greatest score is kept (of equal ones the "
        "first), those that overlap it too much go, and so on. "
        "Source: tf.image.non_max_suppression_padded, Bodla et al. 2017 (soft); like "
        "TensorFlow.js, and unlike TensorFlow, an overlap equal to the threshold is too much.",
        wasm="kernel",
        tol={"float32": 1e-5, "int32": 0.0},
        nan="a box with a score of NaN is dropped",
        vjp=NotDifferentiable("it chooses among boxes: gather what it chose instead"),
        positions=True,
    )
)

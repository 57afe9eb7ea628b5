"""Suppression of boxes whose scores shrink (soft), as a loop, for formats without it."""

from __future__ import annotations

import numpy as np

from fanlight.ops.detection import LOWEST
from fanlight.tensor import functions as F
from fanlight.tensor.control import while_loop
from fanlight.tensor.core import Tensor, apply, tensor

State = tuple[Tensor, Tensor, Tensor, Tensor]


def _overlap(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of one box [1, 4] and several [n, 4]; 0 where one has no area."""

    def corners(x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x[:, :2], x[:, 2:]
        return apply("minimum", a, b), apply("maximum", a, b)

    (low, high), (own_low, own_high) = corners(boxes), corners(box)
    zero = tensor(0.0)
    sides = apply("minimum", high, own_high) - apply("maximum", low, own_low)
    common = apply("prod", apply("maximum", sides, zero), axes=(1,), keepdims=False)
    area = apply("prod", high - low, axes=(1,), keepdims=False)
    own = apply("prod", own_high - own_low, axes=(1,), keepdims=False)
    both = apply("logical_and", own > 0, area > 0)
    return apply("select", both, common / (own + area - common), zero)


def soft_suppression(
    boxes: Tensor,
    scores: Tensor,
    max_output_size: int,
    iou_threshold: float,
    score_threshold: float,
    soft_nms_sigma: float,
) -> tuple[Tensor, ...]:
    """A turn for each box that is kept: the best one of those left, whose neighbours shrink."""
    size, places = int(boxes.shape[0]), tensor(np.arange(boxes.shape[0], dtype=np.int32))
    rows = tensor(np.arange(max_output_size, dtype=np.int32))
    least, gone = tensor(np.float32(max(score_threshold, LOWEST))), tensor(np.float32(LOWEST))
    shrink = tensor(np.float32(-0.5 / soft_nms_sigma))

    def goes_on(state: State) -> Tensor:
        count, _, _, left = state
        best = apply("max", left, axes=(0,), keepdims=False)
        return apply("logical_and", count < max_output_size, best > gone)

    def turn(state: State) -> State:
        count, indices, kept, left = state
        best = apply("arg_max", left, axis=0)
        here = apply("equal", rows, count)
        top = apply("max", left, axes=(0,), keepdims=False)
        shared = _overlap(apply("gather", boxes, F.reshape(best, (1,)), axis=0), boxes)
        less = left * apply("exp", shrink * shared * shared)
        stays = apply("logical_and", left > gone, less > least)
        far = apply("logical_not", shared >= float(iou_threshold))
        stays = apply("logical_and", stays, far)
        stays = apply("logical_and", stays, apply("not_equal", places, best))
        return (
            count + 1,
            apply("select", here, best, indices),
            apply("select", here, top, kept),
            apply("select", stays, less, gone),
        )

    start = (
        tensor(0, "int32"),
        tensor(np.zeros(max_output_size, np.int32)),
        tensor(np.zeros(max_output_size, np.float32)),
        apply("select", scores > least, scores, gone),
    )
    if not size or not max_output_size:
        return start[1], start[2], start[0]
    count, indices, kept, _ = while_loop(goes_on, turn, start)
    return indices, kept, count

"""TFLite_Detection_PostProcess: boxes of a detector, from what it says about its anchors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.tflite.call import Call, importer
from fanlight.formats.tflite.flexbuffer import read_map
from fanlight.tensor import functions as fn
from fanlight.tensor.core import apply, cast
from fanlight.tensor.image import non_max_suppression_padded

# As many as detectors have, and more: each class is a suppression of its own.
_MOST_CLASSES, _MOST_BOXES = 512, 4096
_NONE = -3.0e38  # the score of a place that holds no box


def _count(call: Call, options: dict[str, float], name: str, most: int, default: int = 0) -> int:
    found = options.get(name, default)
    if not 1 <= found <= most or found != int(found):
        raise call.refuse(
            f"its option {name} makes no sense", expected=f"from 1 to {most}", received=found
        )
    return int(found)


def _positive(call: Call, options: dict[str, float], name: str) -> float:
    found = float(options.get(name, 0.0))
    if not (math.isfinite(found) and found > 0):
        raise call.refuse(f"its option {name} makes no sense", expected="> 0", received=found)
    return found


def _boxes(encoded: Any, anchors: Any, scales: list[float]) -> Any:
    """Corners y, x, y, x [n, 4] of boxes that are said as seen from their anchors, both
    (y, x, height, width)."""
    part = [encoded[:, i] / scales[i] for i in range(4)]
    at = [anchors[:, i] for i in range(4)]
    middle = [part[i] * at[i + 2] + at[i] for i in (0, 1)]
    half = [fn.exp(part[i + 2]) * at[i + 2] * 0.5 for i in (0, 1)]
    sides = [*(m - h for m, h in zip(middle, half, strict=True)),
             *(m + h for m, h in zip(middle, half, strict=True))]  # fmt: skip
    return fn.stack(sides, axis=1)


@importer("CUSTOM TFLite_Detection_PostProcess")
def detection_postprocess(call: Call) -> Any:
    """Inputs: boxes [1, n, 4], scores [1, n, classes, perhaps with a background before them],
    anchors [n, 4]. Results: boxes [1, m, 4], classes [1, m], scores [1, m], how many count [1];
    zeros fill up.

    Source: tensorflow/lite/kernels/detection_postprocess.cc.
    """
    options = read_map(call.operator.custom, call.where)
    encoded, scores, anchors = call.x(0), call.x(1), call.x(2)
    most = _count(call, options, "max_detections", _MOST_BOXES)
    each = _count(call, options, "max_classes_per_detection", _MOST_CLASSES)
    classes = _count(call, options, "num_classes", _MOST_CLASSES)
    per_class = _count(call, options, "detections_per_class", _MOST_BOXES, 100)
    scales = [_positive(call, options, f"{side}_scale") for side in "yxhw"]
    overlap = float(options.get("nms_iou_threshold", 0.0))
    least = float(options.get("nms_score_threshold", 0.0))
    shapes = [tuple(x.shape) for x in (encoded, scores, anchors)]
    n = shapes[2][0] if shapes[2] else 0
    if n < 1 or shapes[0] != (1, n, 4) or shapes[2] != (n, 4) or len(shapes[1]) != 3 or (
        shapes[1] not in ((1, n, classes), (1, n, classes + 1))
    ):  # fmt: skip
        raise call.refuse(
            "boxes, scores and anchors do not fit",
            expected=f"[1, n, 4], [1, n, {classes}] or one more, [n, 4]",
            received=list(shapes),
        )
    if not 0 < overlap <= 1 or not math.isfinite(least):
        raise call.refuse("its thresholds make no sense", received=[overlap, least])
    # The op drops a score that is equal to the threshold, and an overlap that is; here they stay.
    limits = (min(_next(overlap, 2.0), 1.0), _next(least, -np.inf))

    def run(encoded: Any, scores: Any, anchors: Any) -> Any:
        boxes = _boxes(encoded[0], anchors, scales)
        own = scores[0][:, scores.shape[2] - classes :]
        if options.get("use_regular_nms"):
            found = _by_class(boxes, own, most, min(per_class, n), limits)
        else:
            found = _by_best(boxes, own, most, min(each, classes), each, limits)
        return _laid_out(found, most * each)

    return call.function(run, encoded, scores, anchors)


def _next(number: float, towards: float) -> float:
    with np.errstate(over="ignore"):  # a threshold may lie beyond all numbers
        return float(np.nextafter(np.float32(number), np.float32(towards)))


def _laid_out(found: tuple[Any, ...], places: int) -> Any:
    """The results, filled up with zeros to so many places."""
    boxes, classes, scores, count = found
    rest = places - boxes.shape[0]
    if rest:
        boxes = fn.pad(boxes, ((0, rest), (0, 0)))
        classes, scores = (fn.pad(x, ((0, rest),)) for x in (classes, scores))
    lines = [fn.expand_dims(x, 0) for x in (boxes, classes, scores)]
    return (*lines, fn.reshape(cast(count, "float32"), (1,)))


def _by_best(
    boxes: Any, scores: Any, most: int, kept: int, each: int, limits: Any
) -> tuple[Any, ...]:
    """Boxes by their best class; each box that is kept is there with its `kept` best classes."""
    values, which = fn.top_k(scores, kept)
    most_here = min(most, boxes.shape[0])
    at, count = non_max_suppression_padded(boxes, values[:, 0], most_here, *limits)
    real = cast(np.arange(most_here, dtype=np.int32) < count, "float32")
    row = fn.expand_dims(real, 1)
    picked = [apply("gather", cast(x, "float32"), at, axis=0) * row for x in (boxes, which, values)]
    wide = fn.broadcast_to(fn.expand_dims(picked[0], 1), (most_here, kept, 4))
    columns = [wide, *(fn.expand_dims(x, 2) for x in picked[1:])]
    if each > kept:
        columns = [fn.pad(x, ((0, 0), (0, each - kept), (0, 0))) for x in columns]
    return (
        fn.reshape(columns[0], (most_here * each, 4)),
        *(fn.reshape(x, (most_here * each,)) for x in columns[1:]),
        count,
    )


def _by_class(boxes: Any, scores: Any, most: int, per_class: int, limits: Any) -> tuple[Any, ...]:
    """Each class by itself, then the best of all."""
    places, values, kinds = [], [], []
    rank = np.arange(per_class, dtype=np.int32)
    for k in range(scores.shape[1]):
        column = scores[:, k]
        at, count = non_max_suppression_padded(boxes, column, per_class, *limits)
        places.append(at)
        values.append(fn.where(rank < count, apply("gather", column, at, axis=0), _NONE))
        kinds.append(np.full(per_class, k, np.float32))
    whole, where = fn.concat(values, 0), fn.concat(places, 0)
    most = min(most, per_class * scores.shape[1])
    best, order = fn.top_k(whole, most)
    real = best > _NONE
    flags = cast(real, "float32")
    at = apply("gather", where, order, axis=0)
    found = apply("gather", boxes, at, axis=0) * fn.expand_dims(flags, 1)
    sorts = apply("gather", np.concatenate(kinds), order, axis=0) * flags
    return found, sorts, fn.where(real, best, 0.0), fn.sum(flags)

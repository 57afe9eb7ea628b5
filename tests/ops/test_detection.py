"""non_max_suppression against a queue of boxes, and as WebAssembly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.ops import TensorType
from fanlight.ops import row as rows
from tests.codegen.kernel_runner import run_op

RNG = np.random.default_rng(3)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    (ay0, ay1), (ax0, ax1) = sorted(a[::2]), sorted(a[1::2])
    (by0, by1), (bx0, bx1) = sorted(b[::2]), sorted(b[1::2])
    areas = (ay1 - ay0) * (ax1 - ax0), (by1 - by0) * (bx1 - bx0)
    if min(areas) <= 0:
        return 0.0
    both = max(0.0, min(ay1, by1) - max(ay0, by0)) * max(0.0, min(ax1, bx1) - max(ax0, bx0))
    return float(both / (sum(areas) - both))


def reference(
    boxes: np.ndarray, scores: np.ndarray, k: int, iou: float, least: float, sigma: float
) -> tuple[list[int], list[float]]:
    """Scores change only when a box comes to the front of the queue, as in TensorFlow's kernel."""
    queue = [(float(s), i, 0) for i, s in enumerate(scores) if s > least]
    kept: list[int] = []
    values: list[float] = []
    while queue and len(kept) < k:
        queue.sort(key=lambda entry: (-entry[0], entry[1]))
        score, i, seen = queue.pop(0)
        before, gone = score, False
        for j in kept[seen:]:
            share = overlap(boxes[i], boxes[j])
            gone = gone or share >= iou
            score *= np.exp(-0.5 / sigma * share**2) if sigma else 1
        if gone or score <= least:
            continue
        if score == before:
            kept.append(i)
            values.append(score)
        else:
            queue.append((score, i, len(kept)))
    return kept, values


def call(boxes: np.ndarray, scores: np.ndarray, **attrs: Any) -> list[np.ndarray]:
    types = [TensorType(boxes.shape), TensorType(scores.shape)]
    full, _ = rows.infer("non_max_suppression", types, attrs)
    return rows.evaluate("non_max_suppression", [boxes, scores], full)


def some_boxes(count: int) -> tuple[np.ndarray, np.ndarray]:
    corner = RNG.uniform(0, 1, (count, 2))
    boxes = np.concatenate([corner, corner + RNG.uniform(-0.4, 0.4, (count, 2))], axis=1)
    scores = RNG.permutation(count) / count
    return boxes.astype(np.float32), scores.astype(np.float32)


@pytest.mark.parametrize("sigma", [0.0, 0.5])
@pytest.mark.parametrize("iou", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("least", [-10.0, 0.3])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_it_keeps_the_best(k: int, least: float, iou: float, sigma: float) -> None:
    boxes, scores = some_boxes(50)
    attrs = {
        "max_output_size": k,
        "iou_threshold": iou,
        "score_threshold": least,
        "soft_nms_sigma": sigma,
    }
    kept, values = reference(boxes, scores, k, iou, least, sigma)
    found = [call(boxes, scores, **attrs), run_op("non_max_suppression", [boxes, scores], **attrs)]
    for indices, best, count in found:
        assert count == len(kept)
        assert indices.tolist() == kept + [0] * (k - len(kept))
        np.testing.assert_allclose(best[: len(kept)], values, rtol=1e-4)
        assert not best[len(kept) :].any()


def test_corners_of_the_definition() -> None:
    nan, inf = np.nan, np.inf
    boxes = np.float32([[0, 0, 1, 1], [1, 1, 0, 0], [2, 2, 2, 3], [2, 2, 2, 3], [5, 5, 6, 6]])
    for scores, kept in (
        ([1, 1, 1, 1, 1], [0, 2, 3, 4]),  # equal scores: the first; without area: no overlap
        ([nan, 1, nan, 2, -inf], [3, 1]),
        ([-1, -2, -3, -4, -5], [0, 2, 3, 4]),
    ):
        given = [boxes, np.float32(scores)]
        for indices, _, count in (
            call(*given, max_output_size=5),
            run_op("non_max_suppression", given, max_output_size=5),
        ):
            assert indices[:count].tolist() == kept
    # An overlap equal to the threshold is too much.
    pair = np.float32([[0, 0, 1, 1], [0, 0, 1, 0.5]]), np.float32([2, 1])
    assert call(*pair, max_output_size=2, iou_threshold=0.5)[2] == 1
    assert call(*pair, max_output_size=2, iou_threshold=0.51)[2] == 2
    assert call(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), max_output_size=2)[2] == 0


@pytest.mark.parametrize(
    ("shapes", "attrs", "code", "says"),
    [
        (((3, 5), (3,)), {}, "E-OP-004", "[n, 4]"),
        (((3, 4), (4,)), {}, "E-OP-004", "scores"),
        (((3, 4), (3,)), {"max_output_size": -1}, "E-OP-005", "max_output_size"),
        (((3, 4), (3,)), {"iou_threshold": 1.5}, "E-OP-005", "iou_threshold"),
        (((3, 4), (3,)), {"soft_nms_sigma": -1}, "E-OP-005", "soft_nms_sigma"),
    ],
)
def test_bad_calls(shapes: Any, attrs: dict[str, Any], code: str, says: str) -> None:
    types = [TensorType(s) for s in shapes]
    with pytest.raises(FanlightError) as caught:
        rows.infer("non_max_suppression", types, {"max_output_size": 3, **attrs})
    assert caught.value.code == code and says in str(caught.value)

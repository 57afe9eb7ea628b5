"""The layers of keras-retinanet and keras-frcnn, as users write them who load such a model."""

from __future__ import annotations

from typing import Any

import numpy as np

import fanlight as fl

LARGE = 1e4


class FixedBatchNormalization(fl.layers.Layer):
    """Batch normalization that never trains: statistics are weights."""

    def __init__(self, epsilon: float = 1e-3, axis: int = -1, **options: Any) -> None:
        for name in ("gamma_regularizer", "beta_regularizer"):
            options.pop(name, None)
        super().__init__(**options)
        self.epsilon, self.axis = epsilon, axis

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[self.axis],)
        self.gamma = self.add_weight(shape, "ones", "gamma", trainable=False)
        self.beta = self.add_weight(shape, "zeros", "beta", trainable=False)
        self.mean = self.add_weight(shape, "zeros", "running_mean", trainable=False)
        self.variance = self.add_weight(shape, "ones", "running_std", trainable=False)

    def call(self, inputs: Any) -> Any:
        scale = self.gamma * fl.rsqrt(fl.abs(self.variance) + self.epsilon)
        return (inputs - self.mean) * scale + self.beta


class BatchNormalization(fl.layers.BatchNormalization):
    """That of keras-resnet, which can be frozen."""

    def __init__(self, freeze: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.freeze = freeze


class RoiPoolingConv(fl.layers.Layer):
    """[pictures [N, H, W, C], regions [N, n, 4] as x, y, w, h] -> [N, n, 14, 14, C]."""

    def __init__(self, pool_size: int = 14, num_rois: int = 32, **options: Any) -> None:
        super().__init__(**options)
        self.pool_size, self.num_rois = pool_size, num_rois

    def call(self, inputs: Any) -> Any:
        picture, regions = inputs
        batch, height, width, channels = picture.shape
        count = regions.shape[1]
        x, y, w, h = fl.unstack(fl.reshape(regions, (batch * count, 4)), 1)
        limits = np.maximum(np.array([height - 1, width - 1] * 2, np.float32), 1)
        boxes = fl.stack([y, x, y + h, x + w], 1) / fl.tensor(limits)
        which = fl.tensor(np.repeat(np.arange(batch, dtype=np.int32), count))
        size = (self.pool_size, self.pool_size)
        cut = fl.image.crop_and_resize(picture, boxes, which, size)
        return fl.reshape(cut, (batch, count, *size, channels))


class UpsampleLike(fl.layers.Layer):
    """[picture, another] -> the picture, as large as the other one."""

    def call(self, inputs: Any) -> Any:
        source, target = inputs
        return fl.image.resize_nearest_neighbor(source, target.shape[1:3])


class Anchors(fl.layers.Layer):
    """Boxes in pictures [N, H, W, C], a few around each place: [N, H * W * n, 4]."""

    def __init__(
        self, size: int, stride: int, ratios: Any = (), scales: Any = (), **options: Any
    ) -> None:
        super().__init__(**options)
        self.size, self.stride = size, stride
        self.ratios, self.scales = np.asarray(ratios), np.asarray(scales)

    def call(self, inputs: Any) -> Any:
        batch, height, width = inputs.shape[:3]
        side = np.tile(self.size * self.scales, len(self.ratios))
        ratio = np.repeat(self.ratios, len(self.scales))
        w, h = side / np.sqrt(ratio), side * np.sqrt(ratio)
        around = np.stack([-w / 2, -h / 2, w / 2, h / 2], 1)
        y, x = np.mgrid[:height, :width] * self.stride + self.stride / 2
        centers = np.stack([x, y, x, y], -1).reshape(-1, 1, 4)
        boxes = (centers + around).reshape(1, -1, 4).astype(np.float32)
        return fl.tensor(np.repeat(boxes, batch, 0))


class RegressBoxes(fl.layers.Layer):
    """[boxes, shares of their sides by which each side moves], both [N, n, 4] -> [N, n, 4]."""

    def __init__(self, mean: Any = 0, std: Any = 0.2, **options: Any) -> None:
        super().__init__(**options)
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    def call(self, inputs: Any) -> Any:
        boxes, moves = inputs
        x1, y1, x2, y2 = fl.unstack(boxes, 2)
        sides = fl.stack([x2 - x1, y2 - y1, x2 - x1, y2 - y1], 2)
        return boxes + (moves * fl.tensor(self.std) + fl.tensor(self.mean)) * sides


class ClipBoxes(fl.layers.Layer):
    """[picture, boxes] -> the boxes, ending where the picture ends."""

    def call(self, inputs: Any) -> Any:
        picture, boxes = inputs
        height, width = picture.shape[1:3]
        limits = np.array([width, height, width, height], np.float32)
        return fl.minimum(fl.maximum(boxes, 0.0), fl.tensor(limits))


class FilterDetections(fl.layers.Layer):
    """[boxes [N, n, 4], scores [N, n, classes]] -> the best boxes, their scores and classes.

    Of each class overlapping boxes go; what is missing to `max_detections` is filled with -1.
    """

    def __init__(
        self,
        nms_threshold: float = 0.5,
        score_threshold: float = 0.05,
        max_detections: int = 300,
        **options: Any,
    ) -> None:
        for name in ("nms", "class_specific_filter", "parallel_iterations"):
            options.pop(name, None)
        super().__init__(**options)
        self.nms_threshold, self.score_threshold = nms_threshold, score_threshold
        self.max_detections = max_detections

    def call(self, inputs: Any) -> Any:
        pictures = [self._one(b, s) for b, s in zip(*map(fl.unstack, inputs), strict=True)]
        return [fl.stack(list(parts)) for parts in zip(*pictures, strict=True)]

    def _one(self, boxes: Any, scores: Any) -> tuple[Any, Any, Any]:
        count, classes = scores.shape
        # One suppression for all classes: those of a class lie far from those of another.
        apart = fl.tensor(np.arange(classes, dtype=np.float32).reshape(-1, 1, 1) * LARGE)
        moved = fl.reshape(fl.expand_dims(boxes, 0) + apart, (classes * count, 4))
        flat = fl.reshape(fl.transpose(scores, (1, 0)), (classes * count,))
        kept, number = fl.image.non_max_suppression_padded(
            moved, flat, self.max_detections, self.nms_threshold, self.score_threshold
        )
        found = fl.less(fl.tensor(np.arange(self.max_detections, dtype=np.int32)), number)
        which = fl.floor_div(kept, count)
        where = fl.where(fl.expand_dims(found, 1), fl.gather(boxes, kept - which * count), -1.0)
        best = fl.where(found, fl.gather(flat, kept), -1.0)
        return where, best, fl.where(found, which, -1)


class PriorProbability:
    """Biases with which a sigmoid gives `probability`."""

    def __init__(self, probability: float = 0.01) -> None:
        self.probability = probability

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        p = self.probability
        return np.full(tuple(shape), -np.log((1 - p) / p), np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"probability": self.probability}


CUSTOM = (
    BatchNormalization, FixedBatchNormalization, RoiPoolingConv, UpsampleLike, Anchors,
    RegressBoxes, ClipBoxes, FilterDetections, PriorProbability,
)  # fmt: skip


def custom_objects() -> dict[str, Any]:
    """Them by the names that files have for them."""
    return {c.__name__: c for c in CUSTOM}

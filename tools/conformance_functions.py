"""Recorded kernels that are functions of tensors here, made of several ops; see conformance.py."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import Any

import numpy as np

import fanlight as fl
from tools.conformance_call import Adapter, Attrs, Inputs


def _each(value: Any, count: int) -> list[int]:
    return list(value) if isinstance(value, list) else [value] * count


def _padding(sizes: Any, window: Any, attrs: Attrs) -> Any:
    """A "pad" attribute of TensorFlow.js as ours: its counts may be rounded up."""
    pad, count = attrs["pad"], len(sizes)
    if isinstance(pad, str):
        return pad
    pairs = [tuple(p) for p in pad[1:-1]] if isinstance(pad, list) else [(pad, pad)] * count
    mode = attrs.get("dimRoundingMode")
    if mode in ("ceil", "round"):
        for a, stride in enumerate(_each(attrs["strides"], count)):
            steps = (sizes[a] + sum(pairs[a]) - window[a]) / stride
            wanted = (ceil(steps) if mode == "ceil" else floor(steps + 0.5)) * stride + window[a]
            short = max(0, wanted - sizes[a] - sum(pairs[a]))
            pairs[a] = (pairs[a][0], pairs[a][1] + short)
    return tuple(pairs)


def _pull(function: Callable[[Any], Any], x: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
    """The gradient of a function, for that of its result."""
    (found,) = fl.vjp(function, fl.tensor(x, "float32"))[1](fl.tensor(dy))
    return [found.numpy()]


def _pool(x: Any, attrs: Attrs, function: Any) -> Any:
    window = _each(attrs["filterSize"], 3)
    padding = _padding(x.shape[1:-1], window, attrs)
    return function(x, window, _each(attrs["strides"], 3), padding)


def _pool3d(function: Any) -> Adapter:
    return lambda inputs, attrs: [_pool(inputs["x"], attrs, function).numpy()]


def _pool3d_grad(function: Any) -> Adapter:
    return lambda inputs, attrs: _pull(
        lambda x: _pool(x, attrs, function), inputs["input"], inputs["dy"]
    )


def _conv(x: Any, w: Any, attrs: Attrs) -> Any:
    gaps = _each(attrs.get("dilations") or 1, 3)
    window = [(k - 1) * d + 1 for k, d in zip(w.shape[:3], gaps, strict=True)]
    padding = _padding(x.shape[1:-1], window, attrs)
    return fl.conv3d(x, w, _each(attrs["strides"], 3), padding, gaps)


def _conv3d(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return [_conv(inputs["x"], inputs["filter"], attrs).numpy()]


def _conv3d_filter(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    zeros = np.zeros(attrs["filterShape"], np.float32)
    return _pull(lambda w: _conv(inputs["x"], w, attrs), zeros, inputs["dy"])


def _conv3d_input(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    size, steps = attrs["inputShape"][1:-1], _each(attrs["strides"], 3)
    padding = _padding(size, inputs["filter"].shape[:3], attrs)
    return [fl.conv3d_transpose(inputs["dy"], inputs["filter"], size, steps, padding).numpy()]


def _dilate(x: Any, w: Any, attrs: Attrs) -> Any:
    gaps = _each(attrs["dilations"], 2)
    window = [(k - 1) * d + 1 for k, d in zip(w.shape[:2], gaps, strict=True)]
    padding = _padding(x.shape[1:3], window, attrs)
    return fl.dilation2d(x, w, _each(attrs["strides"], 2), padding, gaps)


def _dilation(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return [_dilate(inputs["x"], inputs["filter"], attrs).numpy()]


def _dilation_input(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return _pull(lambda x: _dilate(x, inputs["filter"], attrs), inputs["x"], inputs["dy"])


def _dilation_filter(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return _pull(lambda w: _dilate(inputs["x"], w, attrs), inputs["filter"], inputs["dy"])


def _max_with_place(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, window = inputs["x"], _each(attrs["filterSize"], 2)
    found = fl.max_pool_with_argmax(
        x,
        window,
        _each(attrs["strides"], 2),
        _padding(x.shape[1:3], window, attrs),
        attrs["includeBatchInIndex"],
    )
    return [part.numpy() for part in found]


def _crop_and_resize(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    boxes = inputs["boxes"], inputs["boxInd"], attrs["cropSize"]
    options = attrs["method"], attrs["extrapolationValue"]
    return [fl.image.crop_and_resize(inputs["image"], *boxes, *options).numpy()]


def _transform(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    y = fl.image.transform(
        inputs["image"],
        inputs["transforms"],
        attrs["interpolation"],
        attrs["fillMode"],
        attrs["fillValue"],
        attrs.get("outputShape"),
    )
    return [y.numpy()]


def _response(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    options = attrs["depthRadius"], attrs["bias"], attrs["alpha"], attrs["beta"]
    return [fl.local_response_normalization(inputs["x"], *options).numpy()]


def _suppression(kind: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        given = inputs["boxes"], inputs["scores"], attrs["maxOutputSize"]
        limits = attrs["iouThreshold"], attrs["scoreThreshold"]
        if kind == "padded":
            found: Any = fl.image.non_max_suppression_padded(*given, *limits)
            if not attrs["padToMaxOutputSize"]:
                found = found[0][: found[1].item()], found[1]
        elif kind == "soft":
            sigma = attrs["softNmsSigma"]
            found = fl.image.non_max_suppression_with_score(*given, *limits, sigma)
        else:
            found = (fl.image.non_max_suppression(*given, *limits),)
        return [part.numpy() for part in found]

    return adapt


ADAPTERS: dict[str, Adapter] = {
    "AvgPool3D": _pool3d(fl.avg_pool3d),
    "AvgPool3DGrad": _pool3d_grad(fl.avg_pool3d),
    "Conv3D": _conv3d,
    "Conv3DBackpropFilterV2": _conv3d_filter,
    "Conv3DBackpropInputV2": _conv3d_input,
    "CropAndResize": _crop_and_resize,
    "Dilation2D": _dilation,
    "Dilation2DBackpropFilter": _dilation_filter,
    "Dilation2DBackpropInput": _dilation_input,
    "LRN": _response,
    "MaxPool3D": _pool3d(fl.max_pool3d),
    "MaxPool3DGrad": _pool3d_grad(fl.max_pool3d),
    "MaxPoolWithArgmax": _max_with_place,
    "NonMaxSuppressionV3": _suppression("hard"),
    "NonMaxSuppressionV4": _suppression("padded"),
    "NonMaxSuppressionV5": _suppression("soft"),
    "Transform": _transform,
}

"""Keras layers: pooling, padding, cropping and resizing of images and sequences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.keras.call import LayerCall, layer
from fanlight.formats.spatial import Pads, same_padding


@layer("MaxPooling2D", "AveragePooling2D", "MaxPooling1D", "AveragePooling1D")
def pooling(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    n, *lengths, channels = x.shape
    window = call.ints("pool_size", dims, 2)
    strides = call.ints("strides", dims, list(window))
    if dims == 1:
        x = call.reshape(x, (n, 1, lengths[0], channels), "row")
        window, strides = (1, *window), (1, *strides)
    pads: Pads = ((0, 0), (0, 0))
    if call.text("padding", "valid", ("valid", "same")) == "same":
        pads = (
            same_padding(x.shape[1], window[0], strides[0]),
            same_padding(x.shape[2], window[1], strides[1]),
        )
    op = "max_pool" if call.layer.kind.startswith("Max") else "avg_pool"
    y = call.op(op, x, size=window, strides=strides, padding=pads)
    return call.reshape(y, (n, y.shape[2], channels), "line") if dims == 1 else y


@layer("GlobalAveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling1D",
       "GlobalMaxPooling1D")  # fmt: skip
def global_pooling(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    op = "max" if "Max" in call.layer.kind else "mean"
    axes = tuple(range(1, dims + 1))
    return call.op(op, x, axes=axes, keepdims=call.flag("keepdims"))


def _sides(call: LayerCall, name: str, dims: int) -> list[tuple[int, int]]:
    """Amounts before and after each spatial dim: n, (h, w) or ((t, b), (l, r))."""
    value = call.option(name, 1 if name == "padding" else 0)
    if isinstance(value, dict):
        value = value.get("items")
    if isinstance(value, int):
        value = [value] * dims
    if dims == 1 and isinstance(value, list) and all(isinstance(v, int) for v in value):
        value = [value if len(value) == 2 else value * 2]
    pairs = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            item = item.get("items")
        pair = [item, item] if isinstance(item, int) else item
        if not isinstance(pair, list) or len(pair) != 2:
            break
        if not all(isinstance(v, int) and 0 <= v < 1 << 31 for v in pair):
            break
        pairs.append((int(pair[0]), int(pair[1])))
    if len(pairs) != dims:
        raise call.refuse(name, f"{dims} pairs of amounts", value)
    return pairs


@layer("ZeroPadding2D", "ZeroPadding1D")
def zero_padding(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    pads = ((0, 0), *_sides(call, "padding", dims), (0, 0))
    return call.op("pad", x, paddings=pads, value=0) if any(map(any, pads)) else x


@layer("Cropping2D", "Cropping1D")
def cropping(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    begin, size = [0], [x.shape[0]]
    for (before, after), extent in zip(_sides(call, "cropping", dims), x.shape[1:-1], strict=True):
        if before + after >= extent:
            raise call.refuse("cropping", f"less than {extent}", (before, after))
        begin.append(before)
        size.append(extent - before - after)
    return call.op("slice", x, begin=(*begin, 0), size=(*size, x.shape[-1]))


@layer("UpSampling2D")
def up_sampling(call: LayerCall) -> Tensor:
    x, factors = call.image(), call.ints("size", 2, 2)
    size = (x.shape[1] * factors[0], x.shape[2] * factors[1])
    kind = call.text("interpolation", "nearest", ("nearest", "bilinear"))
    if kind == "nearest":
        # Half-pixel centres never fall on an edge between two pixels: plain repetition.
        return call.op("resize_nearest", x, size=size, coordinates="half_pixel")
    # TF.js interpolates without half-pixel centres, so what it trained expects that.
    coordinates = "asymmetric" if call.shared.dialect.tfjs else "half_pixel"
    return call.op("resize_bilinear", x, size=size, coordinates=coordinates)


@layer("UpSampling1D")
def up_sampling_1d(call: LayerCall) -> Tensor:
    x, factor = call.image(3), call.whole("size", 2, low=1)
    n, length, channels = x.shape
    columns = call.reshape(x, (n, length, 1, channels), "columns")
    y = call.op("tile", columns, multiples=(1, 1, factor, 1))
    return call.reshape(y, (n, length * factor, channels), "line")


# --- preprocessing --------------------------------------------------------------------------------


@layer("Rescaling")
def rescaling(call: LayerCall) -> Tensor:
    x = call.em.cast(call.x, "float32", call.part("float"))
    scale, offset = (_numbers(call, name, default) for name, default in _RESCALING)
    y = call.op("mul", x, scale, part="scale")
    return call.op("add", y, offset)


_RESCALING: tuple[tuple[str, float], ...] = (("scale", 1.0), ("offset", 0.0))


def _numbers(call: LayerCall, name: str, default: float) -> Tensor:
    """A number, or one per channel, as a constant."""
    value: Any = call.option(name, default)
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > 1 << 16 or not all(isinstance(v, int | float) for v in items):
        raise call.refuse(name, "a number, or one per channel", value)
    if len(items) == 1:
        return call.const(items[0])
    return call.em.named(np.asarray(items, np.float32), call.part(name))


@layer("Resizing")
def resizing(call: LayerCall) -> Tensor:
    x = _float_image(call)
    height, width = call.whole("height", low=1), call.whole("width", low=1)
    kind = call.text("interpolation", "bilinear", ("bilinear", "nearest"))
    if call.flag("antialias"):
        raise call.refuse("antialias", "False", True)
    if call.flag("crop_to_aspect_ratio"):
        x = _crop_to_aspect(call, x, height, width)
    fill = call.real("fill_value", 0.0)
    call.ignore("fill_mode")
    if call.flag("pad_to_aspect_ratio"):
        call.only("fill_mode", "constant")
        x = _pad_to_aspect(call, x, height, width, fill)
    return _resize(call, x, height, width, kind)


def _float_image(call: LayerCall) -> Tensor:
    return call.em.cast(call.image(), "float32", call.part("float"))


def _resize(call: LayerCall, x: Tensor, height: int, width: int, kind: str) -> Tensor:
    if tuple(x.shape[1:3]) == (height, width):
        return x
    return call.op(f"resize_{kind}", x, size=(height, width), coordinates="half_pixel")


def _crop_to_aspect(call: LayerCall, x: Tensor, height: int, width: int) -> Tensor:
    """The largest centred part of x with the proportions of height x width."""
    h, w = x.shape[1:3]
    crop_h = max(min(h, int(w * height / width)), 1)
    crop_w = max(min(w, int(h * width / height)), 1)
    begin = (0, int((h - crop_h) / 2), int((w - crop_w) / 2), 0)
    size = (x.shape[0], crop_h, crop_w, x.shape[3])
    return call.op("slice", x, part="crop", begin=begin, size=size)


def _pad_to_aspect(call: LayerCall, x: Tensor, height: int, width: int, fill: float) -> Tensor:
    h, w = x.shape[1:3]
    more_h = max(h, int(w * height / width)) - h
    more_w = max(w, int(h * width / height)) - w
    top, left = int(more_h / 2), int(more_w / 2)
    pads = ((0, 0), (top, more_h - top), (left, more_w - left), (0, 0))
    return call.op("pad", x, part="pad", paddings=pads, value=fill)


@layer("CenterCrop")
def center_crop(call: LayerCall) -> Tensor:
    x, height, width = _float_image(call), call.whole("height", low=1), call.whole("width", low=1)
    h, w = x.shape[1:3]
    if h >= height and w >= width:
        begin = (0, (h - height) // 2, (w - width) // 2, 0)
        return call.op("slice", x, begin=begin, size=(x.shape[0], height, width, x.shape[3]))
    return _resize(call, _crop_to_aspect(call, x, height, width), height, width, "bilinear")


@layer("Flatten")
def flatten(call: LayerCall) -> Tensor:
    return call.reshape(call.x, (call.x.shape[0], math.prod(call.x.shape[1:])), "")

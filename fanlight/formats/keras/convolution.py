"""Keras layers: convolutions and dense."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.keras.activations import activate
from fanlight.formats.keras.call import LayerCall, layer
from fanlight.formats.spatial import Pads, same_padding

_MAX_GROUPS = 4096


def _lines_to_image(call: LayerCall, x: Tensor) -> Tensor:
    """[N, length, C] -> [N, 1, length, C]: a sequence is an image of one row."""
    return call.reshape(x, (x.shape[0], 1, *x.shape[1:]), "row")


def _image_to_lines(call: LayerCall, y: Tensor) -> Tensor:
    return call.reshape(y, (y.shape[0], *y.shape[2:]), "line")


def _geometry(call: LayerCall, x: Tensor, dims: int) -> tuple[tuple[int, int], dict[str, Any]]:
    """Window and op attributes of a convolution over `dims` spatial dims of x [N, H, W, C]."""
    window = call.ints("kernel_size", dims)
    strides = call.ints("strides", dims, 1)
    dilations = call.ints("dilation_rate", dims, 1)
    if dims == 1:
        window, strides, dilations = (1, *window), (1, *strides), (1, *dilations)
    kind = call.text("padding", "valid", ("valid", "same", "causal"))
    pads: Pads = ((0, 0), (0, 0))
    if kind == "causal":
        if dims != 1:
            raise call.refuse("padding", "valid or same", kind)
        pads = ((0, 0), ((window[1] - 1) * dilations[1], 0))
    elif kind == "same":
        pads = (
            same_padding(x.shape[1], window[0], strides[0], dilations[0]),
            same_padding(x.shape[2], window[1], strides[1], dilations[1]),
        )
    attrs = {"strides": strides, "dilations": dilations, "padding": pads}
    return (window[0], window[1]), attrs


def _finish(call: LayerCall, y: Tensor, channels: int) -> Tensor:
    """Bias and activation, as the layer's options say."""
    if call.flag("use_bias", True):
        y = call.op("add", y, call.weight("bias", (channels,)), part="bias_add")
    return activate(call, y, call.option("activation"))


@layer("Conv2D", "Convolution2D", "Conv1D", "Convolution1D")
def conv(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    x = _lines_to_image(call, x) if dims == 1 else x
    window, attrs = _geometry(call, x, dims)
    filters, groups = call.whole("filters", low=1), call.whole("groups", 1, low=1)
    channels = x.shape[3]
    if channels % groups or filters % groups or groups > _MAX_GROUPS:
        raise call.refuse("groups", f"a divisor of {channels} and {filters}", groups)
    shape = (*window[2 - dims :], channels // groups, filters)
    w = call.reshape(call.weight("kernel", shape), (*window, *shape[-2:]), "kernel")
    if groups == 1:
        y = call.op("conv2d", x, w, **attrs)
    else:
        y = _grouped(call, x, w, groups, attrs)
    y = _finish(call, y, filters)
    return _image_to_lines(call, y) if dims == 1 else y


def _grouped(call: LayerCall, x: Tensor, w: Tensor, groups: int, attrs: dict[str, Any]) -> Tensor:
    per_in, per_out = w.shape[2], w.shape[3] // groups
    if per_in == 1:
        # One input channel per group: a depthwise convolution, filters grouped alike.
        kernel = call.reshape(w, (*w.shape[:2], groups, per_out), "kernel")
        return call.op("depthwise_conv2d", x, kernel, **attrs)
    parts = []
    for g in range(groups):
        begin, size = (0, 0, 0, g * per_in), (*x.shape[:3], per_in)
        part = call.op("slice", x, part=f"in{g}", begin=begin, size=size)
        begin, size = (0, 0, 0, g * per_out), (*w.shape[:3], per_out)
        kernel = call.op("slice", w, part=f"kernel{g}", begin=begin, size=size)
        parts.append(call.op("conv2d", part, kernel, part=f"group{g}", **attrs))
    return call.op("concat", *parts, axis=3)


@layer("DepthwiseConv2D", "DepthwiseConv1D")
def depthwise_conv(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    x = _lines_to_image(call, x) if dims == 1 else x
    window, attrs = _geometry(call, x, dims)
    call.ignore("groups", "filters")
    channels, multiplier = x.shape[3], call.whole("depth_multiplier", 1, low=1)
    w: Tensor = call.weight("depthwise_kernel kernel", (*window[2 - dims :], channels, multiplier))
    w = call.reshape(w, (*window, channels, multiplier), "kernel")
    y = _finish(call, call.op("depthwise_conv2d", x, w, **attrs), channels * multiplier)
    return _image_to_lines(call, y) if dims == 1 else y


@layer("SeparableConv2D", "SeparableConvolution2D", "SeparableConv1D")
def separable_conv(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    x = _lines_to_image(call, x) if dims == 1 else x
    window, attrs = _geometry(call, x, dims)
    call.only("groups", 1)
    channels, multiplier = x.shape[3], call.whole("depth_multiplier", 1, low=1)
    filters = call.whole("filters", low=1)
    deep: Tensor = call.weight("depthwise_kernel", (*window[2 - dims :], channels, multiplier))
    point: Tensor = call.weight("pointwise_kernel", (*[1] * dims, channels * multiplier, filters))
    deep = call.reshape(deep, (*window, channels, multiplier), "depthwise_kernel")
    point = call.reshape(point, (1, 1, channels * multiplier, filters), "pointwise_kernel")
    y = call.op("depthwise_conv2d", x, deep, part="depthwise", **attrs)
    ones: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": ((0, 0), (0, 0))}
    y = _finish(call, call.op("conv2d", y, point, **ones), filters)
    return _image_to_lines(call, y) if dims == 1 else y


def _transposed_length(
    call: LayerCall, size: int, window: int, stride: int, dilation: int, extra: int | None
) -> int:
    """The length of the result of a transposed convolution, as Keras counts it."""
    same = call.text("padding", "valid", ("valid", "same")) == "same"
    reach = (window - 1) * dilation + 1
    if extra is None:
        return size * stride + (0 if same else max(reach - stride, 0))
    return (size - 1) * stride + reach - (2 * (reach // 2) if same else 0) + extra


@layer("Conv2DTranspose", "Deconvolution2D", "Conv1DTranspose")
def conv_transpose(call: LayerCall) -> Tensor:
    dims = 1 if "1D" in call.layer.kind else 2
    x = call.image(dims + 2)
    x = _lines_to_image(call, x) if dims == 1 else x
    call.only("groups", 1)
    lead = (1,) * (2 - dims)
    window = (*lead, *call.ints("kernel_size", dims))
    strides = (*lead, *call.ints("strides", dims, 1))
    dilations = (*lead, *call.ints("dilation_rate", dims, 1))
    extra: tuple[int | None, ...] = (None, None)
    if call.option("output_padding") is not None:
        extra = (*[None] * (2 - dims), *call.ints("output_padding", dims, low=0))
    filters, channels = call.whole("filters", low=1), x.shape[3]
    w: Tensor = call.weight("kernel", (*window[2 - dims :], filters, channels))
    w = call.reshape(w, (*window, filters, channels), "kernel")
    lengths = [
        _transposed_length(call, *numbers)
        for numbers in zip(x.shape[1:3], window, strides, dilations, extra, strict=True)
    ]
    pads: Pads = ((0, 0), (0, 0))
    same = call.text("padding", "valid") == "same"
    if same:
        pads = (
            same_padding(lengths[0], window[0], strides[0], dilations[0]),
            same_padding(lengths[1], window[1], strides[1], dilations[1]),
        )
        if [-(-n // s) for n, s in zip(lengths, strides, strict=True)] != list(x.shape[1:3]):
            raise call.refuse("output_padding", "less than the strides", extra)
    y = call.op(
        "conv2d_transpose",
        x,
        _dilated(call, w, dilations),
        strides=strides,
        padding=pads,
        output_size=tuple(lengths),
    )
    y = _finish(call, y, filters)
    return _image_to_lines(call, y) if dims == 1 else y


def _dilated(call: LayerCall, w: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """The kernel with zeros between its taps; the op itself has no dilations."""
    if dilations == (1, 1) or not isinstance(w, np.ndarray):
        return w
    h, wd = ((k - 1) * d + 1 for k, d in zip(w.shape[:2], dilations, strict=True))
    wide = call.em.full((h, wd, *w.shape[2:]), 0, "float32", call.name)
    wide[:: dilations[0], :: dilations[1]] = w
    return call.em.named(wide, f"{call.name}/dilated")


@layer("Dense")
def dense(call: LayerCall) -> Tensor:
    """x [..., n] @ kernel [n, units], over the last dim."""
    x, units = call.x, call.whole("units", low=1)
    if len(x.shape) < 2:
        raise call.refuse("the input", "at least 2 dims", list(x.shape))
    count = x.shape[-1]
    flat = call.reshape(x, (math.prod(x.shape[:-1]), count), "rows")
    y = call.op("matmul", flat, call.weight("kernel", (count, units)))
    return call.reshape(_finish(call, y, units), (*x.shape[:-1], units), "shape")


@layer("Embedding")
def embedding(call: LayerCall) -> Tensor:
    """Row `i` of the table for every whole number i of the input."""
    rows, width = call.whole("input_dim", low=1), call.whole("output_dim", low=1)
    if call.flag("mask_zero"):
        raise call.refuse("mask_zero", "False: masks are not supported yet", True)
    table = call.weight("embeddings", (rows, width))
    indices = call.em.cast(call.x, "int32", call.part("indices"))
    return call.op("gather", table, indices, axis=0)

"""Importers of convolutions, pooling, matrix products, normalisation and resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.spatial import Pads, from_nhwc, same_padding, to_nhwc
from fanlight.formats.tfgraph.call import Call, importer

# Names in `fused_ops`, lower-cased -> op of the table and its attributes
_FUSED_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "elu": ("elu", {}),
    "sigmoid": ("sigmoid", {}),
    "tanh": ("tanh", {}),
    "geluexact": ("gelu", {"approximate": False}),
    "geluapproximate": ("gelu", {"approximate": True}),
}


def _channels_first(call: Call) -> bool:
    layout = call.attrs.text("data_format", "NHWC").upper()
    if layout not in ("NHWC", "NCHW", ""):
        raise call.refuse("unknown data_format", expected="NHWC or NCHW", received=layout[:40])
    return layout == "NCHW"


def _image(call: Call, index: int = 0) -> Tensor:
    """Input `index` as [N, H, W, C]."""
    x = call.x(index)
    if len(x.shape) != 4:
        raise call.refuse("the input is not an image", expected="4 dims", received=list(x.shape))
    return to_nhwc(call.em, x, call.node.name) if _channels_first(call) else x


def _back(call: Call, y: Tensor) -> Tensor:
    return from_nhwc(call.em, y, call.node.name) if _channels_first(call) else y


def _pair(call: Call, name: str) -> tuple[int, int]:
    """The height and width entries of a list of four (strides, dilations, ksize)."""
    values = call.attrs.ints(name) or (1, 1, 1, 1)
    if name == "dilations" and values == (2, 2, 1, 1):
        # A fault of old converters: the batch is in the place of the width. TF.js goes by place.
        call.warnings.append(f"{call.where}: dilations {list(values)} are taken as TF.js does.")
        return values[1], values[2]
    if len(values) != 4 or not all(1 <= v < 1 << 20 for v in values):
        raise call.refuse(f"{name} are not four sizes", received=values[:8])
    h, w, rest = (2, 3, (0, 1)) if _channels_first(call) else (1, 2, (0, 3))
    if any(values[i] != 1 for i in rest):
        raise call.refuse(f"{name} over batch or channels", expected="1", received=values)
    return values[h], values[w]


def _padding(
    call: Call, size: tuple[int, int], window: tuple[int, int], dilations: tuple[int, int] = (1, 1)
) -> Pads:
    kind = call.attrs.text("padding", "VALID").upper()
    strides = _pair(call, "strides")
    if kind == "SAME":
        return (
            same_padding(size[0], window[0], strides[0], dilations[0]),
            same_padding(size[1], window[1], strides[1], dilations[1]),
        )
    if kind == "VALID":
        return ((0, 0), (0, 0))
    pads = call.attrs.ints("explicit_paddings")
    if kind != "EXPLICIT" or len(pads) != 8 or min(pads) < 0:
        raise call.refuse(
            "unknown padding",
            expected="SAME, VALID, or EXPLICIT with 8 numbers",
            received=f"{kind[:40]} {pads[:8]}",
        )
    at = 4 if _channels_first(call) else 2
    if any(pads[i] for i in range(8) if not at <= i < at + 4):
        raise call.refuse("padding of batch or channels", received=pads)
    return ((pads[at], pads[at + 1]), (pads[at + 2], pads[at + 3]))


def _filter(call: Call, index: int = 1) -> Tensor:
    w = call.x(index)
    if len(w.shape) != 4 or 0 in w.shape:
        raise call.refuse("the filter has no 4 dims", received=list(w.shape))
    return w


def _convolve(call: Call, op: str) -> Tensor:
    x, w = _image(call), _filter(call)
    dilations = _pair(call, "dilations")
    attrs: dict[str, Any] = {
        "strides": _pair(call, "strides"),
        "dilations": dilations,
        "padding": _padding(call, x.shape[1:3], w.shape[:2], dilations),
    }
    if op == "conv2d" and x.shape[3] != w.shape[2]:
        return _grouped(call, x, w, attrs)
    return call.op(op, x, w, **attrs)


def _grouped(call: Call, x: Tensor, w: Tensor, attrs: dict[str, Any]) -> Tensor:
    """Grouped convolution: TensorFlow writes it as a filter with fewer input channels."""
    per, channels = w.shape[2], x.shape[3]
    groups = channels // per
    if channels % per or w.shape[3] % groups or groups > 4096:
        raise call.refuse(
            "the filter does not fit the image",
            expected=f"{channels} input channels",
            received=f"filter {list(w.shape)}",
        )
    out, parts = w.shape[3] // groups, []
    for g in range(groups):
        part = call.op(
            "slice", x, part=f"in{g}", begin=(0, 0, 0, g * per), size=(*x.shape[:3], per)
        )
        kernel = call.op(
            "slice", w, part=f"filter{g}", begin=(0, 0, 0, g * out), size=(*w.shape[:3], out)
        )
        parts.append(call.op("conv2d", part, kernel, part=f"group{g}", **attrs))
    return call.op("concat", *parts, axis=3)


@importer("Conv2D")
def conv2d(call: Call) -> Tensor:
    return _back(call, _convolve(call, "conv2d"))


@importer("DepthwiseConv2dNative", "DepthwiseConv2d")
def depthwise_conv2d(call: Call) -> Tensor:
    return _back(call, _convolve(call, "depthwise_conv2d"))


@importer("_FusedConv2D")
def fused_conv2d(call: Call) -> Tensor:
    return _back(call, _epilogue(call, _convolve(call, "conv2d")))


@importer("FusedDepthwiseConv2dNative", "_FusedDepthwiseConv2dNative")
def fused_depthwise_conv2d(call: Call) -> Tensor:
    return _back(call, _epilogue(call, _convolve(call, "depthwise_conv2d")))


def _epilogue(call: Call, y: Tensor) -> Tensor:
    """The fused tail of a node as plain ops; passes fuse them again, for every source alike."""
    extra = 2
    for fused in call.attrs.texts("fused_ops"):
        kind = fused.lower().replace("_", "")
        if kind == "biasadd":
            y = call.op("add", y, call.x(extra), part="BiasAdd")
            extra += 1
        elif kind == "prelu":
            y = call.op("prelu", y, call.x(extra), part="Prelu")
            extra += 1
        elif kind == "leakyrelu":
            alpha = call.attrs.real("leakyrelu_alpha", 0.2)
            y = call.op("leaky_relu", y, part="LeakyRelu", alpha=alpha)
        elif kind == "add":
            y = call.op("add", y, call.x(extra), part="Add")
            extra += 1
        elif kind in _FUSED_ACTIVATIONS:
            op, attrs = _FUSED_ACTIVATIONS[kind]
            y = call.op(op, y, part=fused, **attrs)
        else:
            raise call.refuse(
                "a fused op is not supported",
                expected=", ".join(["BiasAdd", "Prelu", "LeakyRelu", *_FUSED_ACTIVATIONS]),
                received=fused[:80],
            )
    return y


@importer("Conv2DBackpropInput")
def conv2d_transpose(call: Call) -> Tensor:
    """inputs: the shape of the result, the filter [kh, kw, out, in], the image."""
    size, w, x = call.ints(0, "the output shape"), _filter(call), _image(call, 2)
    if len(size) != 4 or _pair(call, "dilations") != (1, 1):
        raise call.refuse("unknown form", received=f"shape {size[:8]}")
    height, width = size[2:4] if _channels_first(call) else size[1:3]
    y = call.op(
        "conv2d_transpose",
        x,
        w,
        strides=_pair(call, "strides"),
        padding=_padding(call, (height, width), w.shape[:2]),
        output_size=(height, width),
    )
    return _back(call, y)


@importer("MaxPool", "AvgPool")
def pool(call: Call) -> Tensor:
    x, window = _image(call), _pair(call, "ksize")
    op = "max_pool" if call.node.op == "MaxPool" else "avg_pool"
    y = call.op(
        op,
        x,
        size=window,
        strides=_pair(call, "strides"),
        padding=_padding(call, x.shape[1:3], window),
    )
    return _back(call, y)


@importer("MatMul", "_FusedMatMul")
def matmul(call: Call) -> Tensor:
    y = call.op(
        "matmul",
        call.x(0),
        call.x(1),
        transpose_a=call.attrs.flag("transpose_a"),
        transpose_b=call.attrs.flag("transpose_b"),
    )
    return _epilogue(call, y) if call.node.op == "_FusedMatMul" else y


@importer("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def batch_matmul(call: Call) -> Tensor:
    return call.op(
        "matmul",
        call.x(0),
        call.x(1),
        transpose_a=call.attrs.flag("adj_x"),
        transpose_b=call.attrs.flag("adj_y"),
    )


@importer("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(call: Call) -> list[Tensor]:
    """Only the first of its outputs is for inference; asking for another is E-FORMAT-016."""
    x, scale, offset, mean, variance = (call.x(i) for i in range(5))
    first = _channels_first(call)
    x = to_nhwc(call.em, x, call.node.name) if first else x
    epsilon = call.attrs.real("epsilon", 1e-4)
    # Keras 2 writes layer normalisation as a training batch norm with empty statistics.
    if call.attrs.flag("is_training", True) and 0 in mean.shape:
        axes = tuple(range(len(x.shape) - 1))
        mean = call.op("mean", x, part="mean", axes=axes)
        apart = call.op("squared_difference", x, mean, part="apart")
        variance = call.op("mean", apart, part="variance", axes=axes)
    if all(isinstance(t, np.ndarray) for t in (scale, offset, mean, variance)):
        y = call.op("batch_norm", x, mean, variance, offset, scale, epsilon=epsilon)
    else:
        stable = call.op("add", variance, call.em.const(epsilon), part="stable")
        factor = call.op("mul", call.op("rsqrt", stable, part="rsqrt"), scale, part="factor")
        y = call.op("mul", call.op("sub", x, mean, part="centred"), factor, part="scaled")
        y = call.op("add", y, offset)
    return [from_nhwc(call.em, y, call.node.name) if first else y]


@importer("ResizeBilinear", "ResizeNearestNeighbor")
def resize(call: Call) -> Tensor:
    size = call.ints(1, "the size")
    if call.attrs.flag("align_corners"):
        coordinates = "align_corners"
    else:
        coordinates = "half_pixel" if call.attrs.flag("half_pixel_centers") else "asymmetric"
    op = "resize_bilinear" if call.node.op == "ResizeBilinear" else "resize_nearest"
    x = call.em.cast(call.x(), "float32", f"{call.node.name}/float")
    return call.op(op, x, size=size, coordinates=coordinates)

"""Importers of convolutions, dense layers, pooling, normalisation and resizing, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.tflite.call import Call, importer
from fanlight.formats.tflite.schema import SAME


def window(call: Call) -> dict[str, Any]:
    """strides, dilations and padding as attributes of TensorFlow."""
    o = call.options
    return {
        "strides": (1, o.get("stride_h", 1), o.get("stride_w", 1), 1),
        "dilations": (1, o.get("dilation_h", 1), o.get("dilation_w", 1), 1),
        "padding": "SAME" if o.get("padding", SAME) == SAME else "VALID",
    }


def with_bias(call: Call, y: Tensor, index: int = 2) -> Tensor:
    """`y` plus the optional bias, after the fused activation."""
    bias = call.bias(index)
    if bias is not None:
        y = call.op("add", y, bias, part="bias")
    return call.activated(y)


def filter_of(call: Call, perm: tuple[int, ...], index: int = 1) -> Tensor:
    """The weights of four dims, in the order that the table wants."""
    w = call.x(index)
    if len(w.shape) != 4 or 0 in w.shape:
        raise call.refuse("the filter has no 4 dims", received=list(w.shape))
    return call.em.transpose(w, perm, f"{call.node.name}/filter")


@importer("CONV_2D")
def conv2d(call: Call) -> Tensor:
    """Weights [D, kh, kw, C]; fewer input channels than the image has are groups."""
    w = filter_of(call, (1, 2, 3, 0))
    return with_bias(call, call.tf("Conv2D", call.x(0), w, **window(call)))


@importer("DEPTHWISE_CONV_2D")
def depthwise_conv2d(call: Call) -> Tensor:
    """Weights [1, kh, kw, C * M]."""
    w = depthwise_filter(call, call.x(1), call.x(0).shape[-1:])
    y = call.tf("DepthwiseConv2dNative", call.x(0), w, **window(call))
    return with_bias(call, y)


def depthwise_filter(call: Call, w: Tensor, channels: tuple[int, ...]) -> Tensor:
    """[1, kh, kw, C * M] -> [kh, kw, C, M]."""
    count = channels[0] if channels else 0
    if len(w.shape) != 4 or 0 in w.shape or not count or w.shape[0] != 1 or w.shape[3] % count:
        raise call.refuse(
            "the filter does not fit the image",
            expected=f"[1, height, width, a multiple of {count}]",
            received=list(w.shape),
        )
    shape = (*w.shape[1:3], count, w.shape[3] // count)
    return call.em.reshape(w, shape, f"{call.node.name}/filter")


@importer("TRANSPOSE_CONV")
def transpose_conv(call: Call) -> Tensor:
    """inputs: the shape of the result, weights [D, kh, kw, C], the image, perhaps a bias."""
    w = filter_of(call, (1, 2, 0, 3))
    y = call.tf("Conv2DBackpropInput", call.x(0), w, call.x(2), **window(call))
    return with_bias(call, y, 3)


@importer("CUSTOM Convolution2DTransposeBias")
def transpose_conv_bias(call: Call) -> Tensor:
    """MediaPipe's own: image, weights, bias; padding and strides as three int32."""
    raw = bytes(call.operator.custom[:12])
    padding, stride_w, stride_h = np.frombuffer(raw, "<i4") if len(raw) == 12 else (0, 0, 0)
    x, w = call.x(0), filter_of(call, (1, 2, 0, 3))
    if padding not in (1, 2) or min(stride_w, stride_h) < 1 or len(x.shape) != 4:
        raise call.refuse("padding and strides make no sense", received=raw)
    same, strides = padding == 1, (int(stride_h), int(stride_w))
    size = [
        n * s if same else (n - 1) * s + k
        for n, s, k in zip(x.shape[1:3], strides, w.shape[:2], strict=True)
    ]
    shape = np.array([x.shape[0], *size, w.shape[2]], np.int32)
    kind = "SAME" if same else "VALID"
    y = call.tf("Conv2DBackpropInput", shape, w, x, strides=(1, *strides, 1), padding=kind)
    return with_bias(call, y, 2)


@importer("FULLY_CONNECTED")
def fully_connected(call: Call) -> Tensor:
    """Weights [N, K]; the input is seen as rows of K."""
    x, w = call.x(0), call.x(1)
    check_dense(call, x, w.shape)
    name = call.node.name
    rows = (
        x
        if call.options.get("keep_num_dims")
        else call.em.reshape(
            x, (int(np.prod(x.shape, dtype=np.int64)) // w.shape[1], w.shape[1]), f"{name}/rows"
        )
    )
    y = call.op("matmul", rows, w, part="product", transpose_b=True)
    return with_bias(call, y)


def check_dense(call: Call, x: Tensor, shape: tuple[int, ...]) -> None:
    """E-FORMAT-012 if the weights are not [N, K] of rows of the input."""
    size = int(np.prod(x.shape, dtype=np.int64))
    last = x.shape[-1] if x.shape else 0
    fits = len(shape) == 2 and shape[1] > 0 and size % shape[1] == 0
    if not fits or (call.options.get("keep_num_dims") and last != shape[1]):
        raise call.refuse(
            "the weights do not fit the input",
            expected=f"[outputs, inputs] for {list(x.shape)}",
            received=list(shape),
        )
    if call.whole_option("weights_format"):
        raise call.refuse("shuffled weights", expected="the default format")


@importer("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool(call: Call) -> Tensor:
    op = "AvgPool" if call.operator.kind == "AVERAGE_POOL_2D" else "MaxPool"
    return call.activated(call.tf(op, call.x(0), ksize=kernel(call), **window(call)))


def kernel(call: Call) -> tuple[int, int, int, int]:
    return 1, call.whole_option("filter_height"), call.whole_option("filter_width"), 1


@importer("L2_POOL_2D")
def l2_pool(call: Call) -> Tensor:
    squares = call.op("square", call.x(0), part="squares")
    mean = call.tf("AvgPool", squares, ksize=kernel(call), **window(call))
    return call.activated(call.op("sqrt", mean))


@importer("SOFTMAX")
def softmax(call: Call) -> Tensor:
    x, beta = call.x(0), float(call.options.get("beta", 1.0))
    if beta != 1.0:
        x = call.op("mul", x, call.em.const(beta), part="beta")
    return call.op("softmax", x, axis=-1)


@importer("LOG_SOFTMAX")
def log_softmax(call: Call) -> Tensor:
    return call.op("log_softmax", call.x(0), axis=-1)


@importer("L2_NORMALIZATION")
def l2_normalization(call: Call) -> Tensor:
    """x over the length of each last dim, which is at least 1e-6."""
    squares = call.op("square", call.x(0), part="squares")
    total = call.op("sum", squares, part="sum", axes=(-1,), keepdims=True)
    length = call.op("sqrt", total, part="length")
    least = call.op("maximum", length, call.em.const(1e-6), part="least")
    return call.activated(call.op("div", call.x(0), least))


@importer("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(call: Call) -> Any:
    o = call.options
    return call.tf(
        "LRN",
        call.x(0),
        depth_radius=o.get("radius", 0),
        bias=float(o.get("bias", 0)),
        alpha=float(o.get("alpha", 0)),
        beta=float(o.get("beta", 0)),
    )


@importer("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(call: Call) -> Any:
    bilinear = call.operator.kind == "RESIZE_BILINEAR"
    op = "ResizeBilinear" if bilinear else "ResizeNearestNeighbor"
    flags = {k: bool(call.options.get(k)) for k in ("align_corners", "half_pixel_centers")}
    return call.tf(op, call.x(0), call.x(1), **flags)

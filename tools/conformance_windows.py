"""Recorded kernels of networks on pictures, and their gradients; see conformance.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.conformance_call import Adapter, Attrs, Inputs, Skipped, as_dtype, back, call


def _pair(value: Any) -> tuple[int, int]:
    return tuple(value) if isinstance(value, list) else (value, value)


def _padding(
    size: tuple[int, ...], window: tuple[int, int], strides: tuple[int, int], attrs: Attrs
) -> tuple[tuple[int, int], ...]:
    """((top, bottom), (left, right)) of a "pad" attribute of TensorFlow.js."""
    pad, dilations = attrs["pad"], _pair(attrs.get("dilations") or 1)
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilations, strict=True)]
    if pad == "valid":
        return ((0, 0), (0, 0))
    if pad == "same":
        total = [
            max((-(-n // s) - 1) * s + r - n, 0)
            for n, s, r in zip(size, strides, reach, strict=True)
        ]
        return tuple((t // 2, t - t // 2) for t in total)
    space = slice(2, 4) if attrs.get("dataFormat") == "NCHW" else slice(1, 3)
    pairs = [tuple(p) for p in pad[space]] if isinstance(pad, list) else [(pad, pad)] * 2
    mode = attrs.get("dimRoundingMode")
    if mode in ("ceil", "round"):
        # The table rounds down; a larger frame behind the image gives one window more.
        for a in (0, 1):
            steps = (size[a] + sum(pairs[a]) - reach[a]) / strides[a]
            count = int(np.ceil(steps) if mode == "ceil" else np.floor(steps + 0.5)) + 1
            short = (count - 1) * strides[a] + reach[a] - size[a] - sum(pairs[a])
            pairs[a] = (pairs[a][0], pairs[a][1] + max(short, 0))
    return tuple(pairs)


def _pool(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = inputs["x"]
        size, strides = _pair(attrs["filterSize"]), _pair(attrs["strides"])
        padding = _padding(x.shape[1:3], size, strides, attrs)
        return call(op, x, size=size, strides=strides, padding=padding)

    return adapt


_ACTIVATIONS = {
    "linear": "{0}",
    "relu": "max({0}, 0)",
    "relu6": "min(max({0}, 0), 6)",
    "sigmoid": "div(1, add(1, exp(neg({0}))))",
    "elu": "select(lt({0}, 0), sub(exp({0}), 1), {0})",
    "prelu": "select(lt({0}, 0), mul({1}, {0}), {0})",
}


def _epilogue(inputs: Inputs, attrs: Attrs) -> tuple[list[np.ndarray], dict[str, str]]:
    """The extra inputs and the attribute of a fused bias and activation."""
    extras, text = [], "a0"
    if inputs.get("bias") is not None:
        extras.append(inputs["bias"])
        text = "add(a0, a1)"
    name = attrs.get("activation")
    if inputs.get("preluActivationWeights") is not None:
        extras.append(inputs["preluActivationWeights"])
    if name == "leakyrelu":
        text = f"select(lt({text}, 0), mul({float(attrs['leakyreluAlpha'])!r}, {text}), {text})"
    elif name is not None:
        text = _ACTIVATIONS[name].format(text, f"a{len(extras)}")
    return extras, {"epilogue": text} if text != "a0" else {}


def _conv(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x, w = inputs["x"], inputs["filter"]
        nchw = attrs["dataFormat"] == "NCHW"
        extras, epilogue = _epilogue(inputs, attrs)
        if nchw:
            (x,) = call("transpose", x, perm=(0, 2, 3, 1))
            extras = [np.moveaxis(e, -3, -1) if e.ndim >= 3 else e for e in extras]
        strides, dilations = _pair(attrs["strides"]), _pair(attrs["dilations"] or 1)
        padding = _padding(x.shape[1:3], w.shape[:2], strides, attrs)
        result = call(
            op, x, w, *extras, strides=strides, padding=padding, dilations=dilations, **epilogue
        )
        return call("transpose", *result, perm=(0, 3, 1, 2)) if nchw else result

    return adapt


def _conv_back(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, w, shape = inputs["dy"], inputs["filter"], list(attrs["inputShape"])
    nchw = attrs["dataFormat"] == "NCHW"
    if nchw:
        (x,) = call("transpose", x, perm=(0, 2, 3, 1))
        shape = [shape[0], *shape[2:], shape[1]]
    size, strides = tuple(shape[1:3]), _pair(attrs["strides"])
    padding = _padding(size, w.shape[:2], strides, attrs)
    result = call("conv2d_transpose", x, w, strides=strides, padding=padding, output_size=size)
    return call("transpose", *result, perm=(0, 3, 1, 2)) if nchw else result


def _fused_matmul(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    extras, epilogue = _epilogue(inputs, attrs)
    flags = {"transpose_a": attrs["transposeA"], "transpose_b": attrs["transposeB"]}
    return call("matmul", inputs["a"], inputs["b"], *extras, **flags, **epilogue)


def _batch_norm(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, channels = inputs["x"], inputs["x"].shape[-1:]
    given = [inputs.get(n) for n in ("mean", "variance", "offset", "scale")]
    defaults = [0.0, 1.0, 0.0, 1.0]
    parameters = [
        np.full(channels, d, np.float32) if a is None else a
        for a, d in zip(given, defaults, strict=True)
    ]
    epsilon = attrs["varianceEpsilon"]
    if all(p.shape == channels for p in parameters):
        return call("batch_norm", x, *parameters, epsilon=epsilon)
    # Parameters of other shapes broadcast: the importer writes the formula out.
    mean, variance, offset, scale = parameters
    (above,) = call("sub", x, mean)
    (shifted,) = call("add", variance, np.float32(epsilon))
    (scaled,) = call("mul", *call("mul", above, scale), *call("rsqrt", shifted))
    return call("add", scaled, offset)


def _resize(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        names = {(True, False): "align_corners", (False, True): "half_pixel"}
        key = (attrs["alignCorners"], attrs["halfPixelCenters"])
        x = inputs["images"]
        coordinates = names.get(key, "asymmetric")
        (y,) = call(op, as_dtype(x, "float32"), size=tuple(attrs["size"]), coordinates=coordinates)
        return [as_dtype(y, str(x.dtype)) if op == "resize_nearest" else y]

    return adapt


def _pool_grad(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = inputs["input"]
        size, strides = _pair(attrs["filterSize"]), _pair(attrs["strides"])
        padding = _padding(x.shape[1:3], size, strides, attrs)
        return back(op, 0, [x], inputs["dy"], size=size, strides=strides, padding=padding)

    return adapt


def _resize_grad(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x, dy = inputs["images"], inputs["dy"]
        how = "align_corners" if attrs["alignCorners"] else "asymmetric"
        return back(op, 0, [as_dtype(x, "float32")], dy, size=dy.shape[1:3], coordinates=how)

    return adapt


def _conv_grad(op: str, after: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x, w, dy = inputs.get("x"), inputs.get("filter"), inputs["dy"]
        if attrs.get("dataFormat") == "NCHW":
            raise Skipped("channels first")
        x = np.zeros(attrs["inputShape"], np.float32) if x is None else x
        w = np.zeros(attrs["filterShape"], np.float32) if w is None else w
        strides, dilations = _pair(attrs["strides"]), _pair(attrs.get("dilations") or 1)
        padding = _padding(x.shape[1:3], w.shape[:2], strides, attrs)
        options = {"strides": strides, "padding": padding, "dilations": dilations}
        return back(op, ["x", "filter"].index(after), [x, w], dy, **options)

    return adapt


ADAPTERS: dict[str, Adapter] = {
    "AvgPool": _pool("avg_pool"),
    "AvgPoolGrad": _pool_grad("avg_pool"),
    "Conv2D": _conv("conv2d"),
    "Conv2DBackpropFilter": _conv_grad("conv2d", "filter"),
    "Conv2DBackpropInput": _conv_back,
    "DepthwiseConv2dNative": _conv("depthwise_conv2d"),
    "DepthwiseConv2dNativeBackpropFilter": _conv_grad("depthwise_conv2d", "filter"),
    "DepthwiseConv2dNativeBackpropInput": _conv_grad("depthwise_conv2d", "x"),
    "FusedBatchNorm": _batch_norm,
    "FusedConv2D": _conv("conv2d"),
    "FusedDepthwiseConv2D": _conv("depthwise_conv2d"),
    "MaxPool": _pool("max_pool"),
    "MaxPoolGrad": _pool_grad("max_pool"),
    "ResizeBilinear": _resize("resize_bilinear"),
    "ResizeBilinearGrad": _resize_grad("resize_bilinear"),
    "ResizeNearestNeighbor": _resize("resize_nearest"),
    "ResizeNearestNeighborGrad": _resize_grad("resize_nearest"),
    "_FusedMatMul": _fused_matmul,
}

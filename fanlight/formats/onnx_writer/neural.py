"""Convolutions, pooling, products, normalisation and resizing as ops of ONNX, on [N, C, H, W]."""

from __future__ import annotations

from typing import Any

from fanlight.formats.onnx_writer.nodes import Out, Unsupported

_NEAREST = {
    "half_pixel": "round_prefer_ceil",
    "align_corners": "round_prefer_ceil",
    "asymmetric": "floor",
}


def _pads(o: Out) -> list[int]:
    (top, bottom), (left, right) = o.attrs["padding"]
    return [top, left, bottom, right]


def _kernel(o: Out, perm: tuple[int, ...], shape: tuple[int, ...] | None = None) -> str:
    """The windows, turned; a constant is turned here and now."""
    array = o.array(1)
    if array is not None:
        turned = array.transpose(perm)
        return o.w.const(turned.reshape(shape or turned.shape), f"{o.name}/kernel")
    made = o.op("Transpose", o.x(1), part="kernel", perm=perm)
    if shape is None:
        return made
    return o.op("Reshape", made, o.w.integers(shape), part="windows")


def _size(o: Out, index: int = 1) -> tuple[int, ...]:
    shape = o.type(index).shape
    if not all(isinstance(d, int) for d in shape):
        raise Unsupported("windows whose size is free")
    return tuple(int(d) for d in shape)  # type: ignore[arg-type]


def conv2d(o: Out) -> str:
    kernel = _size(o)
    return o.op(
        "Conv",
        o.chw(),
        _kernel(o, (3, 2, 0, 1)),
        kernel_shape=kernel[:2],
        strides=o.attrs["strides"],
        dilations=o.attrs["dilations"],
        pads=_pads(o),
    )


def depthwise_conv2d(o: Out) -> str:
    high, wide, channels, many = _size(o)
    return o.op(
        "Conv",
        o.chw(),
        _kernel(o, (2, 3, 0, 1), (channels * many, 1, high, wide)),
        kernel_shape=(high, wide),
        strides=o.attrs["strides"],
        dilations=o.attrs["dilations"],
        pads=_pads(o),
        group=channels,
    )


def conv2d_transpose(o: Out) -> str:
    kernel, strides, pads = _size(o), o.attrs["strides"], o.attrs["padding"]
    more = []
    for i in (0, 1):
        size = o.type().shape[1 + i]
        if not isinstance(size, int):
            raise Unsupported("an image whose size is free")
        reached = (size - 1) * strides[i] + kernel[i] - sum(pads[i])
        more.append(o.attrs["output_size"][i] - reached)
    if min(more) < 0 or any(m >= s for m, s in zip(more, strides, strict=True)):
        raise Unsupported(f"output_size {o.attrs['output_size']} with these strides")
    return o.op(
        "ConvTranspose",
        o.chw(),
        _kernel(o, (3, 2, 0, 1)),
        kernel_shape=kernel[:2],
        strides=strides,
        pads=_pads(o),
        output_padding=more,
    )


def pool(op: str) -> Any:
    def write(o: Out) -> str:
        size = o.attrs["size"]
        return o.op(op, o.chw(), kernel_shape=size, strides=o.attrs["strides"], pads=_pads(o))

    return write


def batch_norm(o: Out) -> str:
    epsilon = float(o.attrs["epsilon"])
    if len(o.type().shape) == 4:
        mean, variance, offset, scale = (o.x(i) for i in range(1, 5))
        return o.op("BatchNormalization", o.chw(), scale, offset, mean, variance, epsilon=epsilon)
    x, mean, variance, offset, scale = o.inputs
    root = o.op("Sqrt", o.op("Add", variance, epsilon, part="epsilon"), part="sqrt")
    factor = o.op("Div", scale, root, part="factor")
    centred = o.op("Sub", x, mean, part="sub")
    return o.op("Add", o.op("Mul", centred, factor, part="mul"), offset)


def matmul(o: Out) -> str:
    sides = []
    for i, key in enumerate(("transpose_a", "transpose_b")):
        rank = len(o.type(i).shape)
        perm = (*range(rank - 2), rank - 1, rank - 2)
        array = o.array(i)
        if not o.attrs[key]:
            sides.append(o.x(i))
        elif array is not None:
            sides.append(o.w.const(array.transpose(perm), f"{o.name}/{key}"))
        else:
            sides.append(o.op("Transpose", o.x(i), part=key, perm=perm))
    return o.op("MatMul", *sides)


def softmax(op: str) -> Any:
    return lambda o: o.op(op, o.x(), axis=o.attrs["axis"] % len(o.type().shape))


def resize(mode: str) -> Any:
    def write(o: Out) -> str:
        kind = o.attrs["coordinates"]
        attrs: dict[str, Any] = {"nearest_mode": _NEAREST[kind]} if mode == "nearest" else {}
        size = o.attrs["size"]
        if o.w.opset >= 18:
            attrs["axes"], sizes = (2, 3), o.w.integers(size)
        else:  # all dims
            n, _, _, channels = o.type().shape
            sizes = o.w.shape((n, channels, *size), o.name)
        return o.op(
            "Resize",
            o.chw(),
            "",
            "",
            sizes,
            mode=mode,
            coordinate_transformation_mode=kind,
            **attrs,
        )

    return write


WRITES: dict[str, Any] = {
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "conv2d_transpose": conv2d_transpose,
    "max_pool": pool("MaxPool"),
    "avg_pool": pool("AveragePool"),
    "batch_norm": batch_norm,
    "matmul": matmul,
    "softmax": softmax("Softmax"),
    "log_softmax": softmax("LogSoftmax"),
    "resize_bilinear": resize("linear"),
    "resize_nearest": resize("nearest"),
}

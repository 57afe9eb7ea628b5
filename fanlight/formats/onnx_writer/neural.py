"""Convolutions, pooling, products, normalisation and resizing as ops of ONNX, on [N, C, H, W]."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.onnx_writer import proto
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


def window_size(o: Out, index: int = 1) -> tuple[int, ...]:
    shape = o.type(index).shape
    if not all(isinstance(d, int) for d in shape):
        raise Unsupported("windows whose size is free")
    return tuple(int(d) for d in shape)  # type: ignore[arg-type]


def conv2d(o: Out) -> str:
    kernel = window_size(o)
    return o.op(
        "Conv",
        o.chw(),
        _kernel(o, (3, 2, 0, 1)),
        *o.bias(),
        kernel_shape=kernel[:2],
        strides=o.attrs["strides"],
        dilations=o.attrs["dilations"],
        pads=_pads(o),
    )


def depthwise_conv2d(o: Out) -> str:
    high, wide, channels, many = window_size(o)
    return o.op(
        "Conv",
        o.chw(),
        _kernel(o, (2, 3, 0, 1), (channels * many, 1, high, wide)),
        *o.bias(),
        kernel_shape=(high, wide),
        strides=o.attrs["strides"],
        dilations=o.attrs["dilations"],
        pads=_pads(o),
        group=channels,
    )


def conv2d_transpose(o: Out) -> str:
    kernel, strides, pads = window_size(o), o.attrs["strides"], o.attrs["padding"]
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
        *o.bias(),
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


def fft(o: Out) -> list[str]:
    """DFT of ONNX is along the dim before the two parts, of [rows, n, 2]."""
    shape = o.type().shape
    n = shape[-1]
    if not isinstance(n, int):
        raise Unsupported("a transform whose length is free")
    flat = o.w.integers([-1, n, 1])
    parts = [o.op("Reshape", o.x(i), flat, part=f"part{i}") for i in (0, 1)]
    whole = o.op("Concat", *parts, part="whole", axis=2)
    made = o.op("DFT", whole, part="dft", inverse=int(o.attrs["inverse"]))
    back = o.w.shape(shape, o.name)
    return [
        o.op("Reshape", o.op("Gather", made, o.w.scalar(i, "int64"), part="half", axis=2), back,
             part=name)
        for i, name in enumerate(("real", "imag"))
    ]  # fmt: skip


def non_max_suppression(o: Out) -> list[str]:
    """Indices filled up with 0 to as many as there may be, scores likewise, and how many count."""
    k, n = int(o.attrs["max_output_size"]), o.type().shape[0]
    if not isinstance(n, int):
        raise Unsupported("a number of boxes that is free")
    if not n or not k:
        return [o.w.const(np.zeros(s, t), o.name) for s, t in (((k,), "int32"), ((k,), "float32"),
                                                               ((), "int32"))]  # fmt: skip
    boxes = o.op("Reshape", o.x(), o.w.integers([1, n, 4]), part="boxes")
    scores = o.op("Reshape", o.x(1), o.w.integers([1, 1, n]), part="rows")
    least, overlap = o.attrs["score_threshold"], np.float32(o.attrs["iou_threshold"])
    # An overlap that is equal to the limit is kept in ONNX. From 0 on, every other box goes.
    most = k if overlap > 0 else 1
    overlap = np.nextafter(overlap, np.float32(0))
    limits = [o.w.const(np.asarray([v], t), f"{o.name}/limit")
              for v, t in ((most, "int64"), (overlap, "float32"))]  # fmt: skip
    more = [o.w.const(np.asarray([least], "float32"), f"{o.name}/least")] if least > -1e38 else []
    found = o.op("NonMaxSuppression", boxes, scores, *limits, *more, part="found")
    kept = o.op("Gather", found, o.w.scalar(2, "int64"), part="kept", axis=1)
    left = o.op("Sub", o.w.integers([k]), o.op("Shape", kept, part="rows"), part="left")
    pads = o.op("Concat", o.w.integers([0]), left, part="pads", axis=0)
    whole = o.op("Pad", kept, pads, o.w.scalar(-1, "int64"), part="whole")
    whole = o.op("Reshape", whole, o.w.integers([k]), part="fixed")
    zero = o.w.scalar(0, "int64")
    good = o.op("GreaterOrEqual", whole, zero, part="good")
    index = o.op("Where", good, whole, zero, part="index")
    best = o.op("Gather", o.x(1), index, part="best", axis=0)
    whole_number = proto.TYPES["int32"]
    ones = o.op("Cast", good, part="ones", to=whole_number)
    return [
        o.op("Cast", index, to=whole_number),
        o.op("Where", good, best, 0.0, part="scores"),
        o.op("ReduceSum", ones, o.w.integers([0]), part="count", keepdims=0),
    ]


WRITES: dict[str, Any] = {
    "det": lambda o: o.op("Det", o.x()),
    "fft": fft,
    "non_max_suppression": non_max_suppression,
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

"""Convolutions, pooling, products, normalisation, images and transforms as ops of TF.js."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.spatial import same_padding
from fanlight.formats.tfgraph_writer.nodes import Out, Unsupported, integers, text
from fanlight.formats.tfgraph_writer.shaping import permute
from fanlight.ops.types import Dim

_NHWC = text("NHWC")
_INT, _FLOAT = {"type": "DT_INT32"}, {"type": "DT_FLOAT"}


def _sizes(o: Out, shape: Any) -> tuple[int, int]:
    if isinstance(shape[1], Dim) or isinstance(shape[2], Dim):
        raise Unsupported("an image whose size is free")
    return int(shape[1]), int(shape[2])


def _padding(size: Any, window: Any, strides: Any, dilations: Any, pads: Any) -> str | None:
    """VALID or SAME if the pads are those; None else."""
    pads = tuple(map(tuple, pads))
    if pads == ((0, 0), (0, 0)):
        return "VALID"
    wanted = tuple(same_padding(size[i], window[i], strides[i], dilations[i]) for i in (0, 1))
    return "SAME" if pads == wanted else None


def window(o: Out) -> dict[str, Any]:
    """The attributes of a convolution."""
    return _window(o, _sizes(o, o.type().shape), o.type(1).shape[:2])


def _window(o: Out, size: Any, window: Any) -> dict[str, Any]:
    strides, dilations = o.attrs["strides"], o.attrs.get("dilations", (1, 1))
    if max(strides) > 1 and max(dilations) > 1:
        raise Unsupported("strides together with dilations")
    pads = o.attrs["padding"]
    kind = _padding(size, window, strides, dilations, pads)
    made = {
        "strides": integers([1, *strides, 1]),
        "dilations": integers([1, *dilations, 1]),
        "padding": text(kind or "EXPLICIT"),
        "data_format": _NHWC,
        "explicit_paddings": integers([] if kind else [0, 0, *pads[0], *pads[1], 0, 0]),
        "T": o.T,
    }
    return made


def conv2d(o: Out) -> str:
    return o.op("Conv2D", o.inputs, **window(o))


def depthwise_conv2d(o: Out) -> str:
    return o.op("DepthwiseConv2dNative", o.inputs, **window(o))


def conv2d_transpose(o: Out) -> str:
    shape = o.node.output.shape
    attrs = _window(o, _sizes(o, shape), o.type(1).shape[:2])
    target = o.w.shape(shape, o.name)
    return o.op("Conv2DBackpropInput", [target, o.x(1), o.x()], **attrs)


def _pool(o: Out, op: str, x: str, kind: str, part: str = "") -> str:
    return o.op(
        op,
        [x],
        part,
        ksize=integers([1, *o.attrs["size"], 1]),
        strides=integers([1, *o.attrs["strides"], 1]),
        padding=text(kind),
        data_format=_NHWC,
        T=o.T,
    )


def pool(op: str) -> Any:
    def write(o: Out) -> str:
        if o.type().dtype != "float32":
            return whole(o)
        size, pads = _sizes(o, o.type().shape), o.attrs["padding"]
        kind = _padding(size, o.attrs["size"], o.attrs["strides"], (1, 1), pads)
        if kind:
            return _pool(o, op, o.x(), kind)
        # TF.js pools know SAME and VALID: other frames are put around the image first.
        paddings = o.w.const(np.asarray([(0, 0), *pads, (0, 0)], "int32"), f"{o.name}/paddings")
        frame = o.w.scalar(float(np.finfo(np.float32).min) if op == "MaxPool" else 0.0)
        framed = o.op("PadV2", [o.x(), paddings, frame], "pad", T=o.T, Tpaddings=_INT)
        if op == "MaxPool":
            return _pool(o, op, framed, "VALID")
        mean = _pool(o, op, framed, "VALID", "pool")
        window, strides = o.attrs["size"], o.attrs["strides"]
        counts = [_inside(size[i], pads[i], window[i], strides[i]) for i in (0, 1)]
        with np.errstate(divide="ignore"):
            scale = np.prod(window) / np.outer(*counts)
        factor = o.w.const(scale[None, :, :, None].astype("float32"), f"{o.name}/scale")
        return o.f("Mul", mean, factor)

    def whole(o: Out) -> str:
        """Pools of TF.js are for float32, which holds bytes exactly."""
        size, pads = _sizes(o, o.type().shape), o.attrs["padding"]
        kind = _padding(size, o.attrs["size"], o.attrs["strides"], (1, 1), pads)
        if o.type().dtype != "uint8" or op != "MaxPool":
            raise Unsupported(f"pools of {o.type().dtype}")
        x = o.op("Cast", [o.x()], "float", SrcT=o.T, DstT=_FLOAT, Truncate={"b": False})
        if kind is None:
            paddings = o.w.const(np.asarray([(0, 0), *pads, (0, 0)], "int32"), f"{o.name}/paddings")
            x = o.op("PadV2", [x, paddings, o.w.scalar(0.0)], "pad", T=_FLOAT, Tpaddings=_INT)
        made = o.op(op, [x], "pool", ksize=integers([1, *o.attrs["size"], 1]),
                    strides=integers([1, *o.attrs["strides"], 1]), padding=text(kind or "VALID"),
                    data_format=_NHWC, T=_FLOAT)  # fmt: skip
        return o.op("Cast", [made], SrcT=_FLOAT, DstT=o.T, Truncate={"b": False})

    return write


def _inside(size: int, pads: Any, window: int, stride: int) -> np.ndarray:
    """How many pixels of each window lie in the image, along one dim."""
    start = np.arange(0, size + sum(pads) - window + 1, stride) - pads[0]
    return np.minimum(start + window, size) - np.maximum(start, 0)


def batch_norm(o: Out) -> str:
    epsilon, x = float(o.attrs["epsilon"]), o.x()
    if len(o.type().shape) == 4:
        return o.op(
            "FusedBatchNormV3",
            [x, *(o.x(i) for i in (4, 3, 1, 2))],
            epsilon={"f": epsilon},
            is_training={"b": False},
            data_format=_NHWC,
            T=o.T,
            U=o.T,
        )
    known = [o.w.array(v) for v in o.node.inputs[1:]]
    if all(a is not None for a in known):
        centre, spread, shift, gain = (np.asarray(a, "float64") for a in known)
        factors = gain / np.sqrt(spread + epsilon)
        shifts = (shift - centre * factors).astype("float32")
        scaled = o.f("Mul", x, o.w.const(factors.astype("float32"), f"{o.name}/scale"), part="mul")
        return o.f("AddV2", scaled, o.w.const(shifts, f"{o.name}/offset"))
    mean, variance, offset, scale = o.inputs[1:]
    wide = o.f("Rsqrt", o.f("AddV2", variance, epsilon, part="epsilon"), part="rsqrt")
    factor = o.f("Mul", scale, wide, part="factor")
    centred = o.f("Sub", x, mean, part="sub")
    return o.f("AddV2", o.f("Mul", centred, factor, part="mul"), offset)


def matmul(o: Out) -> str:
    a, b = o.type(0).shape, o.type(1).shape
    flags = [{"b": bool(o.attrs[k])} for k in ("transpose_a", "transpose_b")]
    if len(a) == len(b) == 2:
        return o.op("MatMul", o.inputs, transpose_a=flags[0], transpose_b=flags[1], T=o.T)
    return o.op("BatchMatMulV2", o.inputs, adj_x=flags[0], adj_y=flags[1], T=o.T)


def softmax(op: str) -> Any:
    def write(o: Out) -> str:
        rank = len(o.type().shape)
        axis = o.attrs["axis"] % rank
        if axis == rank - 1:
            return o.op(op, [o.x()], T=o.T)
        perm = [*(a for a in range(rank) if a != axis), axis]
        last = o.op(op, [permute(o, o.x(), perm, "last")], "softmax", T=o.T)
        return permute(o, last, np.argsort(perm).tolist())

    return write


def resize(op: str) -> Any:
    def write(o: Out) -> str:
        kind = o.attrs["coordinates"]
        return o.op(
            op,
            [o.x(), o.w.integers(o.attrs["size"], f"{o.name}/size")],
            align_corners={"b": kind == "align_corners"},
            half_pixel_centers={"b": kind == "half_pixel"},
            T=o.T,
        )

    return write


def fft(o: Out) -> list[str]:
    complex64 = {"type": "DT_COMPLEX64"}
    whole = o.op("Complex", [o.x(), o.x(1)], "complex", T=o.T, Tout=complex64)
    made = o.op("IFFT" if o.attrs["inverse"] else "FFT", [whole], Tcomplex=complex64)
    return [o.op(p, [made], p.lower(), T=complex64, Tout=o.T) for p in ("Real", "Imag")]


def non_max_suppression(o: Out) -> list[str]:
    boxes, scores = o.inputs
    k = o.attrs["max_output_size"]
    o.w.dynamic.append(o.name)
    if o.attrs["soft_nms_sigma"]:
        return _soft_suppression(o)
    made = o.op(
        "NonMaxSuppressionV4",
        [boxes, scores, o.w.scalar(k, "int32"), o.w.scalar(o.attrs["iou_threshold"]),
         o.w.scalar(o.attrs["score_threshold"])],
        pad_to_max_output_size={"b": True},
        T=o.T,
        T_threshold=o.T,
    )  # fmt: skip
    places = o.w.const(np.arange(k, dtype="int32"), f"{o.name}/places")
    kept = o.op("Less", [places, f"{made}:1"], "kept", T=_INT)
    best = o.op(
        "GatherV2", [scores, made, o.w.scalar(0, "int32")], "best",
        batch_dims={"i": "0"}, Tparams=o.T, Tindices=_INT, Taxis=_INT,
    )  # fmt: skip
    return [made, o.f("SelectV2", kept, best, 0.0, part="scores"), f"{made}:1"]


def _soft_suppression(o: Out) -> list[str]:
    """Of TF.js's results, which are as many as are kept, filled up with zeros."""
    k, limits = o.attrs["max_output_size"], ("iou_threshold", "score_threshold", "soft_nms_sigma")
    made = o.op(
        "NonMaxSuppressionV5",
        [*o.inputs, o.w.scalar(k, "int32"), *(o.w.scalar(o.attrs[a]) for a in limits)],
        pad_to_max_output_size={"b": False},
        T=o.T,
    )
    kept = o.op("Shape", [made], "kept", T=_INT, out_type=_INT)
    left = o.op("Sub", [o.w.integers([k]), kept], "left", T=_INT)
    pads = o.op(
        "ConcatV2", [o.w.integers([0]), left, o.w.scalar(0, "int32")], "pads",
        N={"i": "2"}, T=_INT, Tidx=_INT,
    )  # fmt: skip
    row = o.op("Reshape", [pads, o.w.integers([1, 2])], "row", T=_INT, Tshape=_INT)
    zeros = [(made, "int32", _INT, ""), (f"{made}:1", "float32", o.T, "scores")]
    return [
        *(o.op("PadV2", [x, row, o.w.scalar(0, kind)], part, T=t, Tpaddings=_INT)
          for x, kind, t, part in zeros),
        o.op("Reshape", [kept, o.w.integers([])], "count", T=_INT, Tshape=_INT),
    ]  # fmt: skip


WRITES: dict[str, Any] = {
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "conv2d_transpose": conv2d_transpose,
    "max_pool": pool("MaxPool"),
    "avg_pool": pool("AvgPool"),
    "batch_norm": batch_norm,
    "matmul": matmul,
    "softmax": softmax("Softmax"),
    "log_softmax": softmax("LogSoftmax"),
    "resize_bilinear": resize("ResizeBilinear"),
    "resize_nearest": resize("ResizeNearestNeighbor"),
    "fft": fft,
    "non_max_suppression": non_max_suppression,
}

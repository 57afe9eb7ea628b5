"""Importers of ops on pictures: resizing, boxes, grids."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.counts import bounded, count_of
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.shaping import cut
from fanlight.formats.places import order
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.graph import Value
from fanlight.tensor.resize import resize, roi_align


@importer("Upsample")
def upsample(call: Call) -> Tensor:
    scales = (
        call.items("scales")
        if call.opset < 9
        else [float(v) for v in call.known(1, "the scales").reshape(-1)]
    )
    return _older(call, scales or [])


def _older(call: Call, scales: list[float]) -> Tensor:
    """Upsample, and Resize of opset 10, which have no rule of places or of rounding.

    A result lies at i / scale. "nearest" takes the element before that place where a dim grows,
    and the one behind it where a dim shrinks: so says the node test of opset 10
    (resize_downsample_nearest: [1, 2, 3, 4] by 0.6 is [1, 3]), and so runtimes do.
    """
    x, mode = call.x(), _mode(call)
    if mode == "nearest" and any(s < 1 for s in scales) and len(scales) == len(x.shape):
        for axis, scale in enumerate(scales):
            if not 1e-6 <= scale <= 1e6 or math.floor(x.shape[axis] * scale) < 1:
                raise call.refuse("scales do not fit", received=f"{scales[:8]} of {list(x.shape)}")
            if scale < 1:
                places = np.arange(math.floor(x.shape[axis] * scale), dtype=np.float32)
                behind = np.ceil(places / np.float32(scale))
                index = np.minimum(behind, x.shape[axis] - 1).astype(np.int32)
                x = call.op("gather", x, index, part=f"near{axis}", axis=axis)
        scales = [max(s, 1.0) for s in scales]
    return _resized(call, x, scales, None, None, coordinates="asymmetric", rounding="floor",
                    mode=mode)  # fmt: skip


def _mode(call: Call) -> str:
    mode = call.text("mode", "nearest")
    return {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)


@importer("Resize")
def resize_(call: Call) -> Tensor:
    """Opset 10: X, scales; from 11 on: X, roi, scales, sizes."""
    x = call.x()
    if call.opset < 11:
        scales = [float(v) for v in call.known(1, "the scales").reshape(-1)]
        return _older(call, scales)
    scales_, sizes, roi = None, None, None
    if call.has(2) and call.x(2).shape != (0,):
        scales_ = [float(v) for v in call.known(2, "the scales").reshape(-1)]
    if call.has(3) and call.x(3).shape != (0,):
        sizes = call.ints(3, "the sizes")
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_crop_and_resize":
        roi = [float(v) for v in call.known(1, "the region").reshape(-1)]
    return _resized(
        call, x, scales_, sizes, roi, coordinates=coordinates,
        rounding=call.text("nearest_mode", "round_prefer_floor"), mode=_mode(call),
        cubic_coefficient=call.real("cubic_coeff_a", -0.75),
        exclude_outside=call.flag("exclude_outside"), antialias=call.flag("antialias"),
        extrapolation_value=call.real("extrapolation_value"),
        policy=call.text("keep_aspect_ratio_policy", "stretch"),
    )  # fmt: skip


_ROW = {"half_pixel", "align_corners", "asymmetric"}


def _resized(
    call: Call, x: Tensor, scales: Any, sizes: Any, roi: Any, *, mode: str, coordinates: str,
    rounding: str, **options: Any,
) -> Tensor:  # fmt: skip
    axes = call.items("axes")
    rank = len(x.shape)
    if len(scales or sizes or ()) != (len(axes) if axes else rank):
        raise call.refuse("scales and sizes do not fit", received=f"{scales}, {sizes}")
    if roi is None and not axes and rank == 4 and options.get("policy", "stretch") == "stretch":
        made = _by_row(call, x, scales, sizes, mode, coordinates, rounding, options)
        if made is not None:
            return made
    dtype = dtype_of(x)
    made = call.function(
        lambda t: resize(t, sizes, scales, axes, mode, coordinates, rounding, roi=roi, **options),
        x,
    )[0]
    if dtype_of(made) != dtype and dtype in ("uint8", "int32"):
        made = call.op("round", made, part="whole")
    return call.cast(made, dtype, "back")


def _by_row(
    call: Call, x: Tensor, scales: Any, sizes: Any, mode: str, coordinates: str, rounding: str,
    options: Any,
) -> Tensor | None:  # fmt: skip
    """The op of the table where it means the same: it has a kernel of its own."""
    target = list(sizes) if sizes else [math.floor(d * s) for d, s in zip(x.shape, scales,
                                                                      strict=True)]  # fmt: skip
    if target[:2] != list(x.shape[:2]) or min(target[2:]) < 1:
        return None
    # A scale that is not exactly the ratio of the sizes places results differently.
    if scales and any(abs(d * s - t) > 1e-4 for d, s, t in zip(x.shape, scales, target,
                                                             strict=True)):  # fmt: skip
        return None
    if options.get("antialias") or dtype_of(x) != "float32" or coordinates not in _ROW:
        return None
    nearest = mode == "nearest" and coordinates == "asymmetric" and rounding == "floor"
    if not nearest and mode != "linear":
        return None
    op = "resize_nearest" if nearest else "resize_bilinear"
    nhwc = to_nhwc(call.em, x, call.name)
    y = call.op(op, nhwc, part="resized", size=tuple(target[2:]), coordinates=coordinates)
    return from_nhwc(call.em, y, call.name)


@importer("RoiAlign")
def roi_align_(call: Call) -> Tensor:
    """X [N, C, H, W], boxes [B, 4], the picture of each box -> [B, C, h, w]."""
    x, boxes, which = call.f32(0), call.f32(1), call.x(2)
    default = "half_pixel" if call.opset >= 16 else "output_half_pixel"
    aligned = call.text("coordinate_transformation_mode", default) == "half_pixel"
    size = (call.whole("output_height", 1), call.whole("output_width", 1))
    made = call.function(
        lambda image, rois, at: roi_align(
            image, rois, at, size, call.whole("sampling_ratio"), call.real("spatial_scale", 1.0),
            aligned, call.text("mode", "avg"),
        ),
        to_nhwc(call.em, x, call.name), boxes, call.cast(which, "int32", "which"),
    )[0]  # fmt: skip
    return from_nhwc(call.em, made, call.name)


@importer("AffineGrid")
def affine_grid(call: Call) -> Tensor:
    theta = call.f32(0)
    sizes = call.ints(1, "the size")[2:]
    align = call.flag("align_corners")
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise call.refuse("its size does not fit", received=sizes[:8])
    lines = [
        np.linspace(-1, 1, n) if align and n > 1 else (np.arange(n) + 0.5) * 2 / n - 1
        for n in sizes
    ]
    places = np.stack([*reversed(np.meshgrid(*lines, indexing="ij")), np.ones(sizes)], -1)
    flat = places.reshape(1, -1, len(sizes) + 1).astype(np.float32)
    made = call.op("matmul", flat, theta, part="grid", transpose_b=True)
    return call.reshape(made, (theta.shape[0], *sizes, len(sizes)))


@importer("Col2Im")
def col2im(call: Call) -> Tensor:
    """[N, C taps, L] -> [N, C, ...]: columns of windows added up where they came from."""
    x = call.f32(0)
    image, block = call.ints(1, "the image's shape"), call.ints(2, "the block's shape")
    count = len(image)
    dilations = call.items("dilations") or [1] * count
    strides, pads = call.items("strides") or [1] * count, call.items("pads") or [0] * 2 * count
    taps = math.prod(block)
    n, c = x.shape[0], x.shape[1] // max(taps, 1)
    steps = [(image[i] + pads[i] + pads[i + count] - dilations[i] * (block[i] - 1) - 1)
             // strides[i] + 1 for i in range(count)]  # fmt: skip
    if not taps or x.shape[1] % taps or math.prod(steps) != x.shape[2] or min(steps) < 1:
        raise call.refuse("its sizes do not fit", received=f"{list(x.shape)}, {image}, {block}")
    at = []
    for i in range(count):
        tap = np.arange(block[i]) * dilations[i] - pads[i]
        place = tap[:, None] + np.arange(steps[i]) * strides[i]
        shape = [1] * (2 * count)
        shape[i], shape[count + i] = block[i], steps[i]
        at.append(np.broadcast_to(place.reshape(shape), (*block, *steps)))
    places = np.stack(at, -1).reshape(-1, count).astype(np.int32)
    # -1 lies outside, and what goes there is left out.
    rows = call.transpose(call.reshape(x, (n * c, taps * x.shape[2]), "rows"), (1, 0), "columns")
    made = call.op("scatter_nd", places, rows, part="summed", mode="add", shape=(*image, n * c))
    turned = call.transpose(made, (count, *range(count)), "first")
    return call.cast(call.reshape(turned, (n, c, *image)), dtype_of(call.x()), "back")


@importer("NonMaxSuppression")
def non_max_suppression(call: Call) -> Any:
    """boxes [N, B, 4], scores [N, C, B] -> [kept, 3]: picture, class and box.

    How many are kept depends on the numbers: the result has a count. If the most that are wanted
    of a class are an input, too, there is room for all, and the first so many count.
    """
    boxes, scores = call.f32(0), call.f32(1)
    wanted: Tensor | None = None
    most = 0
    if call.has(2) and isinstance(call.x(2), Value):
        if math.prod(call.x(2).shape) != 1:
            raise call.refuse("the number of boxes must be one", received=call.x(2).shape)
        wanted = call.cast(call.reshape(call.x(2), (), "most"), "int32", "wanted")
        wanted = call.op("maximum", wanted, call.const(0, "int32"), part="above")
        most = scores.shape[2]
    elif call.has(2):
        most = int(call.known(2, "the number of boxes").reshape(-1)[0])
    overlap, least = (
        call.known_real(3, "the overlap", 0.0),
        call.known_real(4, "the least score", -3.4e38),
    )
    images, classes, count = scores.shape
    most = min(most, count)
    call.made_kinds[0] = kinds.INT64
    if most <= 0:
        return np.zeros((0, 3), np.int32)
    if images * classes > 256:
        raise call.refuse("too many pictures and classes", received=[images, classes])
    if call.flag("center_point_box"):
        x, y, w, h = cut(call, boxes, 2, (1, 1, 1, 1))
        half = call.const(0.5)
        hw, hh = call.op("mul", w, half, part="hw"), call.op("mul", h, half, part="hh")
        sides = [call.op("sub", y, hh, part="y1"), call.op("sub", x, hw, part="x1"),
                 call.op("add", y, hh, part="y2"), call.op("add", x, hw, part="x2")]  # fmt: skip
        boxes = call.op("concat", *sides, part="corners", axis=2)
    own = cut(call, boxes, 0, [1] * images)
    rows, kept = [], []
    for n in range(images):
        flat = call.reshape(own[n], (count, 4), f"boxes{n}")
        for c in range(classes):
            part = call.op("slice", scores, part="scores", begin=(n, c, 0), size=(1, 1, count))
            line = call.reshape(part, (count,), "line")
            # The op of the table drops an overlap that is equal, too; ONNX keeps it.
            limit = float(np.nextafter(np.float32(overlap), np.float32(2)))
            found, _, many = call.op(
                "non_max_suppression", flat, line, part="nms", max_output_size=most,
                iou_threshold=min(limit, 1.0), score_threshold=least,
            )  # fmt: skip
            if wanted is not None:
                many = call.op("minimum", many, wanted, part="many")
            column = call.reshape(found, (most, 1), "column")
            head = np.tile(np.array([[n, c]], np.int32), (most, 1))
            rows.append(call.op("concat", head, column, part="rows", axis=1))
            kept.append(call.op("less", np.arange(most, dtype=np.int32),
                                call.reshape(many, (1,), "many"), part="kept"))  # fmt: skip
    total = most * images * classes
    if len(rows) == 1:
        return bounded(call, rows[0], 0, count_of(many, total))
    table = call.op("concat", *rows, part="table", axis=0)
    found, kept_count = order(call, call.op("concat", *kept, part="kept", axis=0))
    return bounded(call, call.op("gather", table, found, part="rows", axis=0), 0, kept_count)

"""Importers of operators that are rarer: spectra, windows with places, StableHLO, MediaPipe's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.tflite.call import Call, importer
from fanlight.formats.tflite.neural import with_bias
from fanlight.ops.types import TensorType


@importer("CONV_3D")
def conv3d(call: Call) -> Tensor:
    """Weights [kd, kh, kw, C, D], as TensorFlow's."""
    o = call.options
    strides = (1, *(o.get(f"stride_{d}", 1) for d in "dhw"), 1)
    gaps = (1, *(o.get(f"dilation_{d}", 1) for d in "dhw"), 1)
    padding = "VALID" if o.get("padding") else "SAME"
    made = call.tf("Conv3D", call.x(0), call.x(1), strides=strides, dilations=gaps, padding=padding)
    return with_bias(call, made[0])


@importer("RFFT2D")
def rfft2d(call: Call) -> Any:
    """[..., 1, n] -> complex [..., 1, length // 2 + 1]: how converters write tf.signal.rfft."""
    x, lengths = call.x(0), call.ints(1, "the lengths")
    if len(lengths) != 2 or lengths[0] != 1 or len(x.shape) < 2 or x.shape[-2] != 1:
        raise call.refuse(
            "a transform of two dims",
            expected="one row: [..., 1, n]",
            received=f"{list(x.shape)}, lengths {lengths}",
        )
    return call.tf("RFFT", x, np.asarray(lengths[1:], np.int32))


@importer("NON_MAX_SUPPRESSION_V4")
def non_max_suppression(call: Call) -> Any:
    """Indices, filled up with zeros, and how many count."""
    return call.tf("NonMaxSuppressionV4", *call.inputs, pad_to_max_output_size=True)


@importer("EMBEDDING_LOOKUP")
def embedding_lookup(call: Call) -> Any:
    """Inputs: whole numbers, rows."""
    return call.tf("GatherV2", call.x(1), call.x(0), np.asarray(0, np.int32))


@importer("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(call: Call) -> Tensor:
    """The operand with the update at known places, which are moved to where it fits."""
    x, update = call.x(0), call.x(1)
    starts = call.ints(2, "the start")
    if len(starts) != len(x.shape) or len(update.shape) != len(x.shape):
        raise call.refuse("dims that do not fit", received=[x.shape, update.shape, starts])
    sides = list(zip(starts, x.shape, update.shape, strict=True))
    if any(part > whole for _, whole, part in sides):
        raise call.refuse("the update is larger", received=[x.shape, update.shape])
    begins = [min(max(s, 0), whole - part) for s, whole, part in sides]
    pads = [(b, whole - part - b) for b, (_, whole, part) in zip(begins, sides, strict=True)]
    inside = np.pad(np.ones(tuple(update.shape), bool), pads)
    moved = call.op("pad", update, part="moved", paddings=tuple(pads), value=0)
    return call.op("select", call.em.named(inside, f"{call.node.name}/inside"), moved, x)


@importer("BUCKETIZE")
def bucketize(call: Call) -> Any:
    """How many boundaries are not above each number: int32."""
    bounds = np.asarray(call.options.get("boundaries", ()), np.float32)
    x = call.em.cast(call.x(0), "float32", f"{call.node.name}/float")
    count = math.prod(x.shape)
    row = call.em.reshape(x, (1, count), f"{call.node.name}/row")
    found = call.op("search_sorted", bounds.reshape(1, -1), row, part="found", right=True)
    return call.em.reshape(found, x.shape, call.node.name)


@importer("MATRIX_DIAG")
def matrix_diag(call: Call) -> Tensor:
    """[..., n] -> [..., n, n], zeros beside the diagonal."""
    x = call.x(0)
    if not 1 <= len(x.shape) <= 5:
        raise call.refuse("dims that do not fit", expected="1 to 5", received=list(x.shape))
    n = x.shape[-1]
    check_size(TensorType((*x.shape, n), dtype_of(x)), call.where)
    zeros = call.em.const(0, dtype_of(x))
    row = call.em.reshape(x, (*x.shape, 1), f"{call.node.name}/column")
    return call.op("select", np.eye(n, dtype=bool), row, zeros)


@importer("MATRIX_SET_DIAG")
def matrix_set_diag(call: Call) -> Tensor:
    """x [..., m, n] with another diagonal, [..., min(m, n)]."""
    x, line = call.x(0), call.x(1)
    m, n = x.shape[-2:] if len(x.shape) > 1 else (0, 0)
    if tuple(line.shape) != (*x.shape[:-2], min(m, n)) or not m * n:
        raise call.refuse("a diagonal that does not fit", received=[x.shape, line.shape])
    column = call.em.reshape(line, (*line.shape, 1), f"{call.node.name}/column")
    if m > n:
        pads = ((0, 0),) * (len(x.shape) - 2) + ((0, m - n), (0, 0))
        column = call.op("pad", column, part="long", paddings=pads, value=0)
    return call.op("select", np.eye(m, n, dtype=bool), column, x)


# --- StableHLO ------------------------------------------------------------------------------------


@importer("STABLEHLO_RESHAPE")
def stablehlo_reshape(call: Call) -> Tensor:
    shape = [d or 1 for d in call.results[0].dims]
    return call.tf("Reshape", call.x(0), np.asarray(shape, np.int32))


@importer("STABLEHLO_TRANSPOSE")
def stablehlo_transpose(call: Call) -> Any:
    perm = np.asarray(call.options.get("permutation", ()), np.int32)
    return call.tf("Transpose", call.x(0), perm)


@importer("STABLEHLO_CONCATENATE")
def stablehlo_concatenate(call: Call) -> Any:
    axis = np.asarray(call.whole_option("dimension"), np.int32)
    return call.tf("ConcatV2", *call.inputs, axis)


@importer("STABLEHLO_SLICE")
def stablehlo_slice(call: Call) -> Any:
    parts = (call.options.get(k, ()) for k in ("start_indices", "limit_indices", "strides"))
    return call.tf("StridedSlice", call.x(0), *(np.asarray(p, np.int32) for p in parts))


@importer("STABLEHLO_BROADCAST_IN_DIM")
def stablehlo_broadcast_in_dim(call: Call) -> Tensor:
    x, dims = call.x(0), call.options.get("broadcast_dimensions", ())
    shape = tuple(d or 1 for d in call.results[0].dims)
    if len(dims) != len(x.shape) or any(not 0 <= d < len(shape) for d in dims):
        raise call.refuse("the dims do not fit", received=[x.shape, dims, shape])
    wide = [1] * len(shape)
    for size, d in zip(x.shape, dims, strict=True):
        wide[d] = size
    placed = call.em.reshape(x, wide, f"{call.node.name}/placed")
    return call.op("broadcast_to", placed, shape=shape)


@importer("STABLEHLO_CLAMP")
def stablehlo_clamp(call: Call) -> Tensor:
    """Inputs: least, x, most."""
    low = call.op("maximum", call.x(1), call.x(0), part="low")
    return call.op("minimum", low, call.x(2))


@importer("STABLEHLO_COMPARE")
def stablehlo_compare(call: Call) -> Tensor:
    kinds = ("equal", "not_equal", "greater_equal", "greater", "less_equal", "less")
    code = call.whole_option("comparison_direction")
    if not 0 <= code < len(kinds):
        raise call.refuse("unknown comparison", expected=kinds, received=code)
    return call.op(kinds[code], call.x(0), call.x(1))


@importer("STABLEHLO_IOTA")
def stablehlo_iota(call: Call) -> np.ndarray:
    shape = tuple(d or 1 for d in call.results[0].dims)
    axis = call.whole_option("iota_dimension")
    if not 0 <= axis < len(shape):
        raise call.refuse("the dim does not exist", expected=len(shape), received=axis)
    made = call.em.full(shape, 0, "int32", call.where)
    steps = np.arange(shape[axis], dtype=np.int32)
    made += steps.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return made.astype(np.float32) if call.results[0].type.startswith("float") else made


@importer("STABLEHLO_CBRT")
def stablehlo_cbrt(call: Call) -> Tensor:
    size = call.op("abs", call.x(0), part="size")
    root = call.op("pow", size, call.em.const(1 / 3), part="root")
    return call.op("mul", root, call.op("sign", call.x(0), part="sign"))


# --- MediaPipe ------------------------------------------------------------------------------------


@importer("CUSTOM MaxPoolingWithArgmax2D")
def max_pool_with_argmax(call: Call) -> Any:
    """Options as TfLitePoolParams: padding, stride width and height, filter width and height."""
    raw = bytes(call.operator.custom[:20])
    padding, sw, sh, kw, kh = (
        (int(v) for v in np.frombuffer(raw, "<i4")) if len(raw) == 20 else [0] * 5
    )
    if padding not in (1, 2) or min(sw, sh, kw, kh) < 1:
        raise call.refuse("sizes and padding make no sense", received=raw)
    values, places = call.tf(
        "MaxPoolWithArgmax",
        call.x(0),
        ksize=(1, kh, kw, 1),
        strides=(1, sh, sw, 1),
        padding="SAME" if padding == 1 else "VALID",
    )
    float_places = call.results[-1].type == "float32"
    return [values, call.em.cast(places, "float32" if float_places else dtype_of(places), "places")]


@importer("CUSTOM MaxUnpooling2D")
def max_unpooling(call: Call) -> Any:
    """Values back to the places that MaxPoolingWithArgmax2D gave; zeros elsewhere."""
    x = call.x(0)
    raw = bytes(call.operator.custom[:20])
    if len(raw) != 20 or len(x.shape) != 4 or x.shape[0] != 1:
        raise call.refuse("a form that is not known", expected="one image", received=list(x.shape))
    _, sw, sh, _, _ = (int(v) for v in np.frombuffer(raw, "<i4"))
    shape = (1, x.shape[1] * sh, x.shape[2] * sw, x.shape[3])
    count = math.prod(x.shape)
    name = call.node.name
    places = call.em.cast(call.x(1), "int32", f"{name}/places")
    column = call.em.reshape(places, (count, 1), f"{name}/column")
    values = call.em.reshape(x, (count,), f"{name}/values")
    flat = call.op("scatter_nd", column, values, part="flat", shape=(math.prod(shape),))
    return call.em.reshape(flat, shape, name)

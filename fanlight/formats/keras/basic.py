"""Keras layers: merging, reshaping, normalisation, and those that only matter in training."""

from __future__ import annotations

import math

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.keras.call import LayerCall, layer


@layer("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
       "GaussianDropout", "AlphaDropout", "ActivityRegularization", "RandomFlip", "RandomRotation",
       "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness", "RandomHeight",
       "RandomWidth", "Identity")  # fmt: skip
def only_in_training(call: LayerCall) -> Tensor:
    call.ignore(*call.layer.config)
    return call.x


# --- merging --------------------------------------------------------------------------------------

_MERGES = {
    "Add": "add", "Multiply": "mul", "Subtract": "sub", "Maximum": "maximum", "Minimum": "minimum",
    "Average": "add",
}  # fmt: skip


def _merge(call: LayerCall) -> Tensor:
    inputs, op = call.inputs, _MERGES[call.layer.kind]
    if not inputs or (call.layer.kind == "Subtract" and len(inputs) != 2):
        raise call.refuse("the inputs", "two or more (Subtract: two)", len(inputs))
    rank = max(len(t.shape) for t in inputs)
    # Inputs of lower rank get new dims after the batch, not before it as in NumPy.
    wide = [
        call.reshape(t, (*t.shape[:1], *[1] * (rank - len(t.shape)), *t.shape[1:]), "rank")
        if 0 < len(t.shape) < rank
        else t
        for t in inputs
    ]
    total = wide[0]
    for part in wide[1:]:
        total = call.op(op, total, part)
    if call.layer.kind == "Average":
        total = call.op("mul", total, call.const(1 / len(wide)), part="mean")
    return total


for _kind in _MERGES:
    layer(_kind)(_merge)


@layer("Concatenate")
def concatenate(call: LayerCall) -> Tensor:
    if not call.inputs:
        raise call.refuse("the inputs", "at least one", 0)
    axes = call.axes("axis", -1, len(call.inputs[0].shape))
    if len(axes) != 1 or axes[0] == 0:
        raise call.refuse("axis", "one dim after the batch", axes)
    return (
        call.inputs[0] if len(call.inputs) == 1 else call.op("concat", *call.inputs, axis=axes[0])
    )


# --- shapes ---------------------------------------------------------------------------------------


@layer("Reshape")
def reshape(call: LayerCall) -> Tensor:
    x = call.x
    value = call.option("target_shape")
    dims = list(call.ints("target_shape", None, low=-1))
    total = math.prod(x.shape[1:])
    if dims.count(-1) == 1:
        rest = math.prod(d for d in dims if d != -1)
        dims[dims.index(-1)] = total // rest if rest else 0
    if math.prod(dims) != total or -1 in dims:
        raise call.refuse("target_shape", f"a shape of {total:,} elements", value)
    return call.reshape(x, (x.shape[0], *dims), "")


@layer("Permute")
def permute(call: LayerCall) -> Tensor:
    x = call.x
    dims = call.ints("dims", len(x.shape) - 1)
    if sorted(dims) != list(range(1, len(x.shape))):
        raise call.refuse("dims", f"the dims 1 to {len(x.shape) - 1}, once each", dims)
    return call.em.transpose(x, (0, *dims), call.name)


@layer("RepeatVector")
def repeat_vector(call: LayerCall) -> Tensor:
    x = call.image(2)
    rows = call.reshape(x, (x.shape[0], 1, x.shape[1]), "row")
    return call.op("tile", rows, multiples=(1, call.whole("n", low=1), 1))


# --- normalisation --------------------------------------------------------------------------------


@layer("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2",
       "SyncBatchNormalization")  # fmt: skip
def batch_normalization(call: LayerCall) -> Tensor:
    x = call.x
    rank = len(x.shape)
    axes = call.axes("axis", -1, rank)
    call.only("renorm", False)
    call.only("mode", 0)
    call.ignore("fused", "renorm_clipping")
    if len(axes) != 1 or axes[0] == 0:
        raise call.refuse("axis", "one dim after the batch", axes)
    size = (x.shape[axes[0]],)
    epsilon = call.real("epsilon", 1e-3)
    scale = call.weight("gamma", size) if call.flag("scale", True) else _filled(call, size, 1)
    offset = call.weight("beta", size) if call.flag("center", True) else _filled(call, size, 0)
    mean = call.weight("moving_mean running_mean", size)
    variance = call.weight("moving_variance running_variance running_std", size)
    order = [a for a in range(rank) if a != axes[0]] + [axes[0]]
    back = [order.index(a) for a in range(rank)]
    last = call.em.transpose(x, order, call.part("last"))
    y = call.op("batch_norm", last, mean, variance, offset, scale, epsilon=epsilon)
    return call.em.transpose(y, back, call.part("back"))


def _filled(call: LayerCall, shape: tuple[int, ...], value: float) -> np.ndarray:
    return call.em.full(shape, value, "float32", call.name)


def _normalize(
    call: LayerCall, x: Tensor, axes: tuple[int, ...], epsilon: float, centred: bool
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over `axes`; without the mean for RMS."""
    if centred:
        mean = call.op("mean", x, part="mean", axes=axes, keepdims=True)
        x = call.op("sub", x, mean, part="centred")
    squares = call.op("square", x, part="square")
    variance = call.op("mean", squares, part="variance", axes=axes, keepdims=True)
    stable = call.op("add", variance, call.const(epsilon), part="stable")
    return call.op("mul", x, call.op("rsqrt", stable, part="rsqrt"), part="normalized")


@layer("LayerNormalization", "RMSNormalization")
def layer_normalization(call: LayerCall) -> Tensor:
    x = call.x
    rank = len(x.shape)
    axes = call.axes("axis", -1, rank)
    if not axes:
        raise call.refuse("axis", "at least one dim", axes)
    rms = call.layer.kind == "RMSNormalization" or call.flag("rms_scaling")
    epsilon = call.real("epsilon", 1e-3)
    y = _normalize(call, x, axes, epsilon, centred=not rms)
    sizes = tuple(x.shape[a] for a in axes)
    spread = tuple(x.shape[a] if a in axes else 1 for a in range(min(axes), rank))
    if call.flag("scale", True):
        name = "scale gamma" if call.layer.kind == "RMSNormalization" else "gamma"
        y = call.op("mul", y, call.reshape(call.weight(name, sizes), spread, "gamma"), part="scale")
    if not rms and call.flag("center", True):
        y = call.op("add", y, call.reshape(call.weight("beta", sizes), spread, "beta"))
    call.ignore("center")
    return y


@layer("GroupNormalization")
def group_normalization(call: LayerCall) -> Tensor:
    x = call.x
    rank = len(x.shape)
    if call.axes("axis", -1, rank) != (rank - 1,):
        raise call.refuse("axis", "the last dim", call.option("axis"))
    channels = x.shape[-1]
    groups = call.whole("groups", 32, low=-1)
    groups = channels if groups == -1 else groups
    if not groups or channels % groups:
        raise call.refuse("groups", f"a divisor of {channels}", groups)
    shape = (x.shape[0], math.prod(x.shape[1:-1]), groups, channels // groups)
    split = call.reshape(x, shape, "groups")
    y = _normalize(call, split, (1, 3), call.real("epsilon", 1e-3), centred=True)
    y = call.reshape(y, x.shape, "joined")
    if call.flag("scale", True):
        y = call.op("mul", y, call.weight("gamma", (channels,)), part="scale")
    if call.flag("center", True):
        y = call.op("add", y, call.weight("beta", (channels,)))
    return y


@layer("UnitNormalization")
def unit_normalization(call: LayerCall) -> Tensor:
    x = call.x
    axes = call.axes("axis", -1, len(x.shape))
    squares = call.op("square", x, part="square")
    total = call.op("sum", squares, part="sum", axes=axes, keepdims=True)
    safe = call.op("maximum", total, call.const(1e-12), part="safe")
    return call.op("mul", x, call.op("rsqrt", safe, part="rsqrt"))


@layer("Normalization")
def normalization(call: LayerCall) -> Tensor:
    """(x - mean) / max(sqrt(variance), 1e-7), with statistics from `adapt` or the config."""
    x = call.em.cast(call.x, "float32", call.part("float"))
    rank = len(x.shape)
    axes = call.axes("axis", -1, rank) if call.layer.config.get("axis") is not None else ()
    call.ignore("axis")
    sizes = tuple(x.shape[a] for a in axes)
    spread = tuple(x.shape[a] if a in axes else 1 for a in range(rank))
    given = [call.option(name) for name in ("mean", "variance")]
    if given[0] is None or given[1] is None:
        mean, variance = call.weight("mean", sizes), call.weight("variance", sizes)
        call.pass_over("count")  # of the examples that it was adapted to
    else:
        mean, variance = (_constant(call, value, sizes) for value in given)
    root = np.maximum(np.sqrt(np.maximum(variance, 0)), 1e-7).astype(np.float32)
    mean, root = (
        np.ascontiguousarray(np.broadcast_to(a, sizes)).reshape(spread) for a in (mean, root)
    )
    if call.flag("invert"):
        return call.op("add", call.op("mul", x, root, part="scale"), mean)
    return call.op("div", call.op("sub", x, mean, part="centred"), root)


def _constant(call: LayerCall, value: object, sizes: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(value, np.float32)
        return np.broadcast_to(array.reshape(-1) if array.size > 1 else array.reshape(()), sizes)
    except (ValueError, TypeError):
        raise call.refuse("mean or variance", f"numbers of shape {sizes}", value) from None

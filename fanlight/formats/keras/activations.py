"""Keras activations: strings in configs, layers of their own, and layers used as activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.keras.call import LayerCall, layer
from fanlight.formats.keras.config import LayerConfig, snake, snake_keys

# Keras name -> op of the table and its attributes
_PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "elu": ("elu", {}),
    "selu": ("selu", {}),
    "sigmoid": ("sigmoid", {}),
    "tanh": ("tanh", {}),
    "softplus": ("softplus", {}),
    "softsign": ("softsign", {}),
    "exponential": ("exp", {}),
    "swish": ("swish", {}),
    "silu": ("swish", {}),
    "mish": ("mish", {}),
    "gelu": ("gelu", {"approximate": False}),
    "gelu_new": ("gelu", {"approximate": True}),
    "leaky_relu": ("leaky_relu", {"alpha": 0.2}),
    "hard_swish": ("hard_swish", {}),
    "hard_silu": ("hard_swish", {}),
    "hard_tanh": ("clip", {"lo": -1.0, "hi": 1.0}),
    "softmax": ("softmax", {"axis": -1}),
    "log_softmax": ("log_softmax", {"axis": -1}),
    "celu": ("elu", {}),  # alpha is 1 where no argument can be given
}


def activate(call: LayerCall, x: Tensor, spec: Any = "linear", part: str = "") -> Tensor:
    """Apply the activation that an option `spec` means; None and "linear" are the identity."""
    if isinstance(spec, dict):
        return _object(call, x, spec)
    if spec is not None and not isinstance(spec, str):
        raise call.refuse("activation", "a name", spec)
    name = snake(spec or "linear")
    if name == "linear":
        return x
    part = part or name
    if name in _PLAIN:
        op, attrs = _PLAIN[name]
        return call.op(op, x, part=part, **attrs)
    if name == "hard_sigmoid":
        # Keras 2: clip(0.2 x + 0.5, 0, 1); Keras 3: clip(x / 6 + 0.5, 0, 1).
        slope = 1 / 6 if call.shared.dialect.major >= 3 else 0.2
        return call.op("hard_sigmoid", x, part=part, alpha=slope, beta=0.5)
    if name in _COMPOSED:
        return _COMPOSED[name](call, x, part)
    raise call.refuse("activation", ", ".join(["linear", *_PLAIN, *_COMPOSED]), name)


def _object(call: LayerCall, x: Tensor, spec: dict[str, Any]) -> Tensor:
    """A serialised function, or a layer that is used as an activation."""
    entry = snake_keys(spec, call.layer.where)
    kind, config = entry.get("class_name"), entry.get("config")
    if kind == "function" and isinstance(config, str):
        return activate(call, x, config)
    if kind not in _AS_LAYER or not isinstance(config, dict):
        raise call.refuse("activation", "a name, or one of " + ", ".join(_AS_LAYER), spec)
    inner = LayerConfig(
        kind, call.layer.name, snake_keys(config, call.layer.where), (), call.layer.where
    )
    nested = LayerCall(call.shared, inner, call.ref, [x])
    y = _AS_LAYER[kind](nested)
    nested.check_options()
    return y


# --- compositions ---------------------------------------------------------------------------------


def _glu(call: LayerCall, x: Tensor, part: str) -> Tensor:
    """Half of the channels, gated by the sigmoid of the other half."""
    count, odd = divmod(x.shape[-1], 2)
    if odd:
        raise call.refuse("activation", "an even number of channels for glu", x.shape[-1])
    lead = tuple(x.shape[:-1])
    zeros = (0,) * len(lead)
    value = call.op("slice", x, part=f"{part}/value", begin=(*zeros, 0), size=(*lead, count))
    gate = call.op("slice", x, part=f"{part}/gate", begin=(*zeros, count), size=(*lead, count))
    return call.op("mul", value, call.op("sigmoid", gate, part=f"{part}/open"), part=part)


def _log_sigmoid(call: LayerCall, x: Tensor, part: str) -> Tensor:
    soft = call.op("softplus", call.op("neg", x, part=f"{part}/neg"), part=f"{part}/soft")
    return call.op("neg", soft, part=part)


def _tanh_shrink(call: LayerCall, x: Tensor, part: str) -> Tensor:
    return call.op("sub", x, call.op("tanh", x, part=f"{part}/tanh"), part=part)


def _soft_shrink(call: LayerCall, x: Tensor, part: str) -> Tensor:
    return call.op("sub", x, call.op("clip", x, part=f"{part}/clip", lo=-0.5, hi=0.5), part=part)


def _hard_shrink(call: LayerCall, x: Tensor, part: str) -> Tensor:
    size = call.op("abs", x, part=f"{part}/abs")
    large = call.op("greater", size, call.const(0.5), part=f"{part}/large")
    return call.op("select", large, x, call.const(0.0), part=part)


def _squareplus(call: LayerCall, x: Tensor, part: str) -> Tensor:
    square = call.op("square", x, part=f"{part}/square")
    root = call.op("sqrt", call.op("add", square, call.const(4.0), part=f"{part}/sum"))
    return call.op("mul", call.op("add", x, root), call.const(0.5), part=part)


def _sparse_plus(call: LayerCall, x: Tensor, part: str) -> Tensor:
    """0 up to -1, (x + 1)^2 / 4 up to 1, then x."""
    inside = call.op("clip", x, part=f"{part}/clip", lo=-1.0, hi=1.0)
    square = call.op("square", call.op("add", inside, call.const(1.0)), part=f"{part}/square")
    quarter = call.op("mul", square, call.const(0.25), part=f"{part}/quarter")
    beyond = call.op("relu", call.op("sub", x, call.const(1.0)), part=f"{part}/beyond")
    return call.op("add", quarter, beyond, part=part)


def _sparsemax(call: LayerCall, x: Tensor, part: str) -> Tensor:
    """The projection of the last dim onto the simplex (Martins & Astudillo 2016, algorithm 1)."""
    count = x.shape[-1]
    if not 1 <= count <= 4096:
        raise call.refuse("activation", "1 to 4096 channels for sparsemax", count)
    ordered, _ = call.op("top_k", x, part=f"{part}/sorted", k=count)
    upper = np.triu(np.ones((count, count), np.float32))
    sums = call.op("matmul", ordered, upper, part=f"{part}/sums")
    ranks = np.arange(1, count + 1, dtype=np.float32)
    scaled = call.op("mul", ordered, ranks, part=f"{part}/scaled")
    above = call.op("add", scaled, call.const(1.0), part=f"{part}/above")
    support = call.op("greater", above, sums, part=f"{part}/support")
    number = call.op("cast", support, part=f"{part}/number", dtype="float32")
    axes = {"axes": (len(x.shape) - 1,), "keepdims": True}
    size = call.op("sum", number, part=f"{part}/size", **axes)
    kept = call.op("mul", ordered, number, part=f"{part}/kept")
    total = call.op("sum", kept, part=f"{part}/total", **axes)
    excess = call.op("sub", total, call.const(1.0), part=f"{part}/excess")
    threshold = call.op("div", excess, size, part=f"{part}/threshold")
    return call.op("relu", call.op("sub", x, threshold), part=part)


_COMPOSED: dict[str, Callable[[LayerCall, Tensor, str], Tensor]] = {
    "glu": _glu,
    "log_sigmoid": _log_sigmoid,
    "tanh_shrink": _tanh_shrink,
    "soft_shrink": _soft_shrink,
    "hard_shrink": _hard_shrink,
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "sparsemax": _sparsemax,
}

# --- layers ---------------------------------------------------------------------------------------


@layer("Activation")
def activation(call: LayerCall) -> Tensor:
    return activate(call, call.x, call.option("activation"))


@layer("ReLU")
def relu(call: LayerCall) -> Tensor:
    """max_value above it, x above the threshold, negative_slope * (x - threshold) below."""
    x = call.x
    ceiling = call.option("max_value")
    slope, threshold = call.real("negative_slope", 0.0), call.real("threshold", 0.0)
    if threshold == 0 and slope == 0:
        if ceiling is None:
            return call.op("relu", x)
        top = call.real("max_value")
        return call.op("relu6", x) if top == 6 else call.op("clip", x, lo=0.0, hi=max(top, 0.0))
    if threshold == 0:
        y = call.op("leaky_relu", x, alpha=slope)
    else:
        above = call.op("greater_equal", x, call.const(threshold), part="above")
        shifted = call.op("sub", x, call.const(threshold), part="shifted")
        below = call.op("mul", shifted, call.const(slope), part="below")
        y = call.op("select", above, x, below)
    if ceiling is None:
        return y
    return call.op("minimum", y, call.const(call.real("max_value")), part="ceiling")


@layer("LeakyReLU")
def leaky_relu(call: LayerCall) -> Tensor:
    # Keras 2 and TF.js call it alpha, Keras 3 negative_slope.
    name = "negative_slope" if "negative_slope" in call.layer.config else "alpha"
    return call.op("leaky_relu", call.x, alpha=call.real(name, 0.3))


@layer("ELU")
def elu(call: LayerCall) -> Tensor:
    return call.op("elu", call.x, alpha=call.real("alpha", 1.0))


@layer("ThresholdedReLU")
def thresholded_relu(call: LayerCall) -> Tensor:
    above = call.op("greater", call.x, call.const(call.real("theta", 1.0)), part="above")
    return call.op("select", above, call.x, call.const(0.0))


@layer("Softmax")
def softmax(call: LayerCall) -> Tensor:
    axes = call.axes("axis", -1, len(call.x.shape))
    if len(axes) != 1:
        raise call.refuse("axis", "one dim", axes)
    return call.op("softmax", call.x, axis=axes[0])


@layer("PReLU")
def prelu(call: LayerCall) -> Tensor:
    shape = list(call.x.shape[1:])
    shared = call.option("shared_axes", [])
    for axis in call.axes("shared_axes", shared, len(call.x.shape)) if shared else ():
        if axis == 0:
            raise call.refuse("shared_axes", "dims after the batch", shared)
        shape[axis - 1] = 1
    return call.op("prelu", call.x, call.weight("alpha", shape))


# Layers without weights may stand where an activation is expected.
_AS_LAYER: dict[str, Callable[[LayerCall], Tensor]] = {
    "ReLU": relu,
    "LeakyReLU": leaky_relu,
    "ELU": elu,
    "ThresholdedReLU": thresholded_relu,
    "Softmax": softmax,
    "Activation": activation,
}

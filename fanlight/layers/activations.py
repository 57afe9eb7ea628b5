"""Activations by Keras's names: `fl.activations`. All but these few are functions of `fl`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fanlight.layers import config
from fanlight.layers.config import made_of
from fanlight.layers.standing import standing
from fanlight.layers.symbolic import Symbolic
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.gradients import stop_gradient
from fanlight.tensor.scans import cumsum
from fanlight.tensor.sorting import sort


def linear(x: Any) -> Any:
    """x."""
    return x if isinstance(x, Symbolic) else tensor(x)


@standing("activations")
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """x from the threshold on, negative_slope (x - threshold) below it, at most max_value."""
    x = cast(x, "float32")
    if not negative_slope and max_value is None and not threshold:
        return fn.relu(x)
    if not negative_slope and max_value == 6 and not threshold:
        return fn.relu6(x)
    below = negative_slope * (x - threshold)
    y = fn.where(x >= threshold, x if max_value is None else fn.minimum(x, float(max_value)), below)
    return y


@standing("activations")
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x from 0 on, alpha (exp(x) - 1) below. Source: Clevert et al. 2015."""
    x = cast(x, "float32")
    if alpha == 1.0:
        return fn.elu(x)
    return fn.where(x > 0, x, alpha * fn.expm1(fn.minimum(x, 0.0)))


@standing("activations")
def hard_sigmoid(x: Any) -> Tensor:
    """clip(x / 6 + 0.5, 0, 1), as Keras 3 has it."""
    return fn.relu6(cast(x, "float32") + 3.0) * (1.0 / 6.0)


@standing("activations")
def hard_sigmoid_2(x: Any) -> Tensor:
    """clip(0.2 x + 0.5, 0, 1), as Keras 2 and TensorFlow.js have it."""
    return fn.hard_sigmoid(cast(x, "float32"), 0.2, 0.5)


@standing("activations")
def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) over its sum along the axis."""
    return fn.softmax(cast(x, "float32"), axis)


@standing("activations")
def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """The logarithm of softmax."""
    return fn.log_softmax(cast(x, "float32"), axis)


@standing("activations")
def gelu(x: Any, approximate: bool = False) -> Tensor:
    """x Phi(x); approximate: by tanh. Source: Hendrycks & Gimpel 2016."""
    x = cast(x, "float32")
    if not approximate:
        return fn.gelu(x)
    inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + fn.tanh(inner))


@standing("activations")
def exponential(x: Any) -> Tensor:
    """exp(x)."""
    return fn.exp(cast(x, "float32"))


@standing("activations")
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x from 0 on, negative_slope x below."""
    return fn.leaky_relu(cast(x, "float32"), negative_slope)


@standing("activations")
def glu(x: Any, axis: int = -1) -> Tensor:
    """The first half along the axis times the sigmoid of the second: Dauphin et al. 2016."""
    x = cast(x, "float32")
    at, size = axis % x.rank, x.shape[axis] // 2
    halves = [x[(slice(None),) * at + (slice(i * size, (i + 1) * size),)] for i in range(2)]
    return halves[0] * fn.sigmoid(halves[1])


@standing("activations")
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(alpha (exp(x / alpha) - 1), 0). Source: Barron 2017."""
    x = cast(x, "float32")
    return fn.maximum(x, 0.0) + alpha * fn.expm1(fn.minimum(x, 0.0) / alpha)


@standing("activations")
def hard_tanh(x: Any) -> Tensor:
    """clip(x, -1, 1)."""
    return fn.clip(cast(x, "float32"), -1.0, 1.0)


@standing("activations")
def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x where it is beyond the threshold, else 0."""
    x = cast(x, "float32")
    return fn.where(fn.abs(x) > threshold, x, 0.0)


@standing("activations")
def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x, brought nearer to 0 by the threshold."""
    x = cast(x, "float32")
    return fn.sign(x) * fn.maximum(fn.abs(x) - threshold, 0.0)


@standing("activations")
def tanh_shrink(x: Any) -> Tensor:
    """x - tanh(x)."""
    x = cast(x, "float32")
    return x - fn.tanh(x)


@standing("activations")
def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """x beyond the threshold, else default_value."""
    x = cast(x, "float32")
    return fn.where(x > threshold, x, float(default_value))


@standing("activations")
def squareplus(x: Any, b: float = 4.0) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2. Source: Barron 2021."""
    x = cast(x, "float32")
    return (x + fn.sqrt(x * x + b)) * 0.5


@standing("activations")
def sparse_plus(x: Any) -> Tensor:
    """0 below -1, x above 1, (x + 1)^2 / 4 between."""
    x = cast(x, "float32")
    return fn.where(x <= -1.0, 0.0, fn.where(x < 1.0, 0.25 * fn.square(x + 1.0), x))


@standing("activations")
def sparse_sigmoid(x: Any) -> Tensor:
    """clip((x + 1) / 2, 0, 1)."""
    return fn.clip(0.5 * (cast(x, "float32") + 1.0), 0.0, 1.0)


@standing("activations")
def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """The nearest shares along the axis, of which many are 0: Martins & Astudillo 2016.

    That is max(x - t, 0), with t so that the sum is 1.
    """
    x = cast(x, "float32")
    at = axis % x.rank
    # Who has a share is found in descending order; t follows, and the gradient passes through it.
    fixed = stop_gradient(x)
    falling = sort(fixed, at, descending=True)
    count = np.arange(1, x.shape[at] + 1, dtype=np.float32)
    count = count.reshape([-1 if d == at else 1 for d in range(x.rank)])
    shares = cast(1.0 + count * falling > cumsum(falling, at), "float32")
    last = fn.sum(shares, at, keepdims=True)
    least = fn.min(fn.where(shares > 0.0, falling, np.float32(np.inf)), at, keepdims=True)
    has = fixed >= least
    t = (fn.sum(fn.where(has, x, 0.0), at, keepdims=True) - 1.0) / last
    return fn.where(has, fn.relu(x - t), 0.0)


@standing("activations")
def silu(x: Any) -> Tensor:
    """x sigmoid(x). Source: Elfwing et al. 2017; as swish: Ramachandran et al. 2017."""
    return fn.swish(cast(x, "float32"))


@standing("activations")
def hard_silu(x: Any) -> Tensor:
    """x clip(x / 6 + 0.5, 0, 1). Source: Howard et al. 2019."""
    return fn.hard_swish(cast(x, "float32"))


_alike = standing("activations")
mish, relu6, selu, sigmoid = map(_alike, (fn.mish, fn.relu6, fn.selu, fn.sigmoid))
softplus, softsign, tanh = map(_alike, (fn.softplus, fn.softsign, fn.tanh))
log_sigmoid = _alike(fn.log_sigmoid)
swish, hard_swish = silu, hard_silu

KNOWN: dict[str, Any] = {
    f.__name__: f
    for f in (
        celu,
        elu,
        exponential,
        gelu,
        glu,
        hard_shrink,
        hard_sigmoid,
        hard_sigmoid_2,
        hard_tanh,
        leaky_relu,
        linear,
        log_softmax,
        relu,
        soft_shrink,
        softmax,
        sparse_plus,
        sparse_sigmoid,
        sparsemax,
        squareplus,
        tanh_shrink,
        threshold,
    )
} | {
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "log_sigmoid": log_sigmoid,
    "mish": mish,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softplus": softplus,
    "softsign": softsign,
    "swish": silu,
    "tanh": tanh,
    "gelu_new": lambda x: gelu(x, True),
}
__all__ = [
    *(name for name in KNOWN if name != "gelu_new"),
    "deserialize",
    "get",
    "serialize",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


def get(given: Any) -> Any:
    """The activation that a name, a description or a function stands for; None is linear."""
    return linear if given is None else config.function("activation", given, KNOWN)


def serialize(activation: Any) -> Any:
    """What a file has for an activation: class name and arguments, or the name of a function."""
    return name_of(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)


def name_of(activation: Any) -> Any:
    """How a file names an activation."""
    if isinstance(activation, type(linear)):
        for name, known in KNOWN.items():
            if known is activation:
                return name
    return config.plain(activation)

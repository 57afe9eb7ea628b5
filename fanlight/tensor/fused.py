"""Products and convolutions with a bias and an activation, under TensorFlow.js's names.

They are compositions: the compiler fuses a bias and an activation into any product by itself.
`activation` is "linear", "relu", "relu6", "sigmoid", "elu", "prelu" (with prelu_weights) or
"leakyrelu" (with leaky_alpha); anything else raises E-OP-005.
"""

from __future__ import annotations

from typing import Any

from fanlight.tensor import functions as fn
from fanlight.tensor import windows
from fanlight.tensor.arguments import refused
from fanlight.tensor.core import Tensor
from fanlight.tensor.windows import Ints, Padding

__all__ = ["conv2d", "depthwise_conv2d", "mat_mul"]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


_ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": fn.relu,
    "relu6": fn.relu6,
    "sigmoid": fn.sigmoid,
    "elu": fn.elu,
}


def _finished(
    y: Tensor, bias: Any, activation: str, prelu_weights: Any, leaky_alpha: float
) -> Tensor:
    y = y if bias is None else y + bias
    known = ", ".join((*_ACTIVATIONS, "leakyrelu", "prelu with prelu_weights"))
    if not isinstance(activation, str):
        raise refused("a fused product", "activation", known, activation)
    if activation == "leakyrelu":
        return fn.leaky_relu(y, leaky_alpha)
    if activation == "prelu" and prelu_weights is not None:
        return fn.prelu(y, prelu_weights)
    if activation not in _ACTIVATIONS:
        raise refused("a fused product", "activation", known, activation)
    result: Tensor = _ACTIVATIONS[activation](y)
    return result


def conv2d(
    x: Any,
    w: Any,
    strides: Ints = 1,
    padding: Padding = "valid",
    dilations: Ints = 1,
    bias: Any = None,
    activation: str = "linear",
    prelu_weights: Any = None,
    leaky_alpha: float = 0.2,
) -> Tensor:
    """activation(fl.conv2d(x, w) + bias)."""
    y = windows.conv2d(x, w, strides, padding, dilations)
    return _finished(y, bias, activation, prelu_weights, leaky_alpha)


def depthwise_conv2d(
    x: Any,
    w: Any,
    strides: Ints = 1,
    padding: Padding = "valid",
    dilations: Ints = 1,
    bias: Any = None,
    activation: str = "linear",
    prelu_weights: Any = None,
    leaky_alpha: float = 0.2,
) -> Tensor:
    """activation(fl.depthwise_conv2d(x, w) + bias)."""
    y = windows.depthwise_conv2d(x, w, strides, padding, dilations)
    return _finished(y, bias, activation, prelu_weights, leaky_alpha)


def mat_mul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: Any = None,
    activation: str = "linear",
    prelu_weights: Any = None,
    leaky_alpha: float = 0.2,
) -> Tensor:
    """activation(fl.matmul(a, b) + bias)."""
    y = fn.matmul(a, b, transpose_a, transpose_b)
    return _finished(y, bias, activation, prelu_weights, leaky_alpha)

"""Tensors, their functions and gradients; and how a function of them becomes a graph."""

from __future__ import annotations

from fanlight.tensor import fused, image, losses
from fanlight.tensor.core import Tensor, apply, cast, tensor
from fanlight.tensor.gradients import (
    custom_gradient,
    grad,
    grads,
    hvp,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from fanlight.tensor.memory import dispose, keep, memory, tidy
from fanlight.tensor.trace import spec, trace

__all__ = [
    "Tensor",
    "apply",
    "cast",
    "custom_gradient",
    "dispose",
    "fused",
    "grad",
    "grads",
    "hvp",
    "image",
    "jvp",
    "keep",
    "losses",
    "memory",
    "spec",
    "stop_gradient",
    "tensor",
    "tidy",
    "trace",
    "value_and_grad",
    "vjp",
]

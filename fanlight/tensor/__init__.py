"""Tensors, their functions and gradients; and how a function of them becomes a graph."""

from __future__ import annotations

from fanlight.tensor import complex_functions as complex_functions
from fanlight.tensor import fused, image, losses, random, string
from fanlight.tensor.core import Tensor, apply, cast
from fanlight.tensor.creation import tensor
from fanlight.tensor.gradients import (
    checkpoint,
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
from fanlight.tensor.methods import bind as _bind
from fanlight.tensor.trace import spec, trace
from fanlight.tensor.vmap import vmap

_bind()

__all__ = [
    "Tensor",
    "apply",
    "cast",
    "checkpoint",
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
    "random",
    "spec",
    "stop_gradient",
    "string",
    "tensor",
    "tidy",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]

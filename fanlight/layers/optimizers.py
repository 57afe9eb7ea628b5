"""Optimizers by Keras's names, arguments and defaults: `fl.optimizers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.layers import config
from fanlight.layers.optimizer import Optimizer
from fanlight.tensor import Tensor
from fanlight.tensor import functions as fn

Stepped = tuple[Tensor, dict[str, Tensor]]


class SGD(Optimizer):
    """Gradient descent, with momentum, and Nesterov's look ahead. Source: Sutskever et al. 2013."""

    fields = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum, self.nesterov = momentum, nesterov

    def slots_used(self) -> Sequence[str]:
        return ("momentum",) if self.momentum else ()

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        if not self.momentum:
            return weight - rate * grad, {}
        velocity = self.momentum * slots["momentum"] - rate * grad
        move = self.momentum * velocity - rate * grad if self.nesterov else velocity
        return weight + move, {"momentum": velocity}


class Adam(Optimizer):
    """Steps by the mean gradient over its spread. Source: Kingma & Ba 2014; Reddi et al. 2018."""

    fields = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def slots_used(self) -> Sequence[str]:
        return ("momentum", "velocity", *(["velocity_hat"] if self.amsgrad else []))

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        m, v = slots["momentum"], slots["velocity"]
        m = m + (grad - m) * (1.0 - self.beta_1)
        v = v + (fn.square(grad) - v) * (1.0 - self.beta_2)
        size = rate * fn.sqrt(1.0 - fn.pow(self.beta_2, self.count))
        size = size / (1.0 - fn.pow(self.beta_1, self.count))
        changed = {"momentum": m, "velocity": v}
        spread = v
        if self.amsgrad:
            spread = changed["velocity_hat"] = fn.maximum(slots["velocity_hat"], v)
        return weight - m * size / (fn.sqrt(spread) + self.epsilon), changed


class AdamW(Adam):
    """Adam, with weight decay apart from the gradient. Source: Loshchilov & Hutter 2019."""

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, **options: Any
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **options)


CLASSES = (SGD, Adam, AdamW)
KNOWN: dict[str, Any] = {c.__name__: c for c in CLASSES} | {c.__name__.lower(): c for c in CLASSES}


def get(given: Any) -> Optimizer:
    """The optimizer that a name, a description or an object stands for."""
    made: Optimizer = config.lookup("optimizer", given, KNOWN)
    return made


__all__ = ["Adam", "AdamW", "Optimizer", "SGD", "get"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

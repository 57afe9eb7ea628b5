"""Optimizers by Keras's names, arguments and defaults: `fl.optimizers`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fanlight.errors import FanlightError
from fanlight.layers import config, schedules
from fanlight.layers.composite import MultiOptimizer, OptimizerMap
from fanlight.layers.config import made_of
from fanlight.layers.nearest import missing
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.patterns import Pattern
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller
from fanlight.tensor.variables import Variable

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

    def slot_groups(self) -> Sequence[Sequence[str]]:
        return (("momentum",),) if self.momentum else ()

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

    def slot_groups(self) -> Sequence[Sequence[str]]:
        hat = [("velocity_hat",)] if self.amsgrad else []
        return (("momentum", "velocity"), *hat)

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
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        options["weight_decay"] = weight_decay
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, **options)


class RMSprop(Optimizer):
    """Steps by the gradient over its root mean square. Source: Hinton 2012, lecture 6.

    centered: by its deviation instead. Source: Graves 2013.
    """

    fields = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def slot_groups(self) -> Sequence[Sequence[str]]:
        momentum = [("momentum",)] if self.momentum > 0 else []
        average = [("average_gradient",)] if self.centered else []
        return (("velocity",), *momentum, *average)

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        def mean(slot: str, value: Tensor) -> Tensor:
            changed[slot] = self.rho * slots[slot] + (1.0 - self.rho) * value
            return changed[slot]

        changed: dict[str, Tensor] = {}
        spread = mean("velocity", fn.square(grad))
        if self.centered:
            spread = spread - fn.square(mean("average_gradient", grad))
        move = rate * grad / fn.sqrt(spread + self.epsilon)
        if self.momentum > 0:
            move = changed["momentum"] = self.momentum * slots["momentum"] + move
        return weight - move, changed


class Adagrad(Optimizer):
    """Steps by the gradient over the root of the sum of all its squares. Source: Duchi 2011."""

    fields = ("initial_accumulator_value", "epsilon")
    slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def first_slot(self, slot: str, weight: Variable) -> float:
        return self.initial_accumulator_value

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        total = slots["accumulator"] + fn.square(grad)
        return weight - rate * grad / fn.sqrt(total + self.epsilon), {"accumulator": total}


class Adadelta(Optimizer):
    """Steps as large as the last ones, by the gradient over its spread. Source: Zeiler 2012."""

    fields = ("rho", "epsilon")
    slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.epsilon = rho, epsilon

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        grads, moves = slots["accumulated_grad"], slots["accumulated_delta_var"]
        grads = self.rho * grads + (1.0 - self.rho) * fn.square(grad)
        move = grad * fn.sqrt(moves + self.epsilon) / fn.sqrt(grads + self.epsilon)
        moves = self.rho * moves + (1.0 - self.rho) * fn.square(move)
        changed = {"accumulated_grad": grads, "accumulated_delta_var": moves}
        return weight - rate * move, changed


class Adamax(Optimizer):
    """Adam by the greatest gradient instead of the mean square. Source: Kingma & Ba 2014, 7.1."""

    fields = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "norm")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        m = slots["momentum"] + (grad - slots["momentum"]) * (1.0 - self.beta_1)
        u = fn.maximum(self.beta_2 * slots["norm"], fn.abs(grad))
        share = 1.0 - fn.pow(self.beta_1, self.count)
        return weight - rate * m / (share * (u + self.epsilon)), {"momentum": m, "norm": u}


class Nadam(Optimizer):
    """Adam with Nesterov's look ahead. Source: Dozat 2016."""

    fields = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._product = self._own((), "u_product", value=1.0)

    def extra(self) -> Sequence[Weight]:
        return (self._product,)

    def _share(self, step: Tensor) -> Tensor:
        """How much momentum counts in a step: it grows towards beta_1."""
        return self.beta_1 * (1.0 - 0.5 * fn.pow(0.96, step))

    def begin(self, told: Callable[[Variable, Tensor], None]) -> None:
        self._now, self._next = self._share(self.count), self._share(self.count + 1.0)
        self._so_far = self._product * self._now
        told(self._product, self._so_far)

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        m = slots["momentum"] + (grad - slots["momentum"]) * (1.0 - self.beta_1)
        v = slots["velocity"] + (fn.square(grad) - slots["velocity"]) * (1.0 - self.beta_2)
        ahead = self._next * m / (1.0 - self._so_far * self._next)
        ahead = ahead + (1.0 - self._now) * grad / (1.0 - self._so_far)
        spread = fn.sqrt(v / (1.0 - fn.pow(self.beta_2, self.count))) + self.epsilon
        return weight - rate * ahead / spread, {"momentum": m, "velocity": v}


class Ftrl(Optimizer):
    """Follow the regularized leader: weights of no use become 0. Source: McMahan et al. 2013."""

    fields = (
        "learning_rate_power",
        "initial_accumulator_value",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
        "beta",
    )
    slots = ("accumulator", "linear")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        if learning_rate_power > 0:
            raise self._wrong("learning_rate_power", "0 or less", learning_rate_power)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for field in self.fields[1:5]:
            if getattr(self, field) < 0:
                raise self._wrong(field, "0 or more", getattr(self, field))

    def first_slot(self, slot: str, weight: Variable) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        power, limit = -self.learning_rate_power, float(self.l1_regularization_strength)
        shrunk = grad + 2.0 * self.l2_shrinkage_regularization_strength * weight
        total = slots["accumulator"] + fn.square(grad)
        slowed, before = fn.pow(total, power), fn.pow(slots["accumulator"], power)
        linear = slots["linear"] + shrunk - (slowed - before) / rate * weight
        l2 = self.l2_regularization_strength + self.beta / (2.0 * rate)
        new = (fn.clip(linear, -limit, limit) - linear) / (slowed / rate + 2.0 * l2)
        return new, {"accumulator": total, "linear": linear}


class Lion(Optimizer):
    """Steps of one size, by the sign of the mean gradient. Source: Chen et al. 2023."""

    fields = ("beta_1", "beta_2")
    slots = ("momentum",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = beta_1, beta_2
        if not 0 < beta_1 <= 1:
            raise self._wrong("beta_1", "a number above 0, up to 1", beta_1)

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        m = slots["momentum"]
        way = fn.sign(m * self.beta_1 + grad * (1.0 - self.beta_1))
        return weight - rate * way, {"momentum": m * self.beta_2 + grad * (1.0 - self.beta_2)}


class Lamb(Optimizer):
    """Adam whose steps are as long as the weight itself, for large batches. Source: You 2020."""

    fields = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        m = slots["momentum"] + (grad - slots["momentum"]) * (1.0 - self.beta_1)
        v = slots["velocity"] + (fn.square(grad) - slots["velocity"]) * (1.0 - self.beta_2)
        spread = fn.sqrt(v / (1.0 - fn.pow(self.beta_2, self.count))) + self.epsilon
        move = m / (1.0 - fn.pow(self.beta_1, self.count)) / spread
        long, length = (fn.sqrt(fn.sum(fn.square(x))) for x in (weight, move))
        both = fn.logical_and(long > 0.0, length > 0.0)
        ratio = fn.where(both, fn.div_no_nan(long, length), 1.0)
        return weight - ratio * rate * move, {"momentum": m, "velocity": v}


class Adafactor(Optimizer):
    """Adam with a mean square per row and per column, which takes little memory.

    Source: Shazeer & Stern 2018.

    Args:
        beta_2_decay: the power of the number of steps by which old squares are forgotten.
        epsilon_1, epsilon_2: added to squares; the least size of a weight that steps go by.
        clip_threshold: the greatest root mean square of a step.
        relative_step: the learning rate is at most 1 / root of the number of steps.
    """

    fields = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")
    slots = ("row", "column", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step

    def slot_groups(self) -> Sequence[Sequence[str]]:
        return (("row", "column", "velocity"),)

    def slot_shape(self, slot: str, weight: Variable) -> tuple[int, ...] | None:
        if slot == "velocity":
            return weight.shape
        if weight.rank < 2:
            return ()
        return weight.shape[:-1] if slot == "row" else (*weight.shape[:-2], weight.shape[-1])

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        root = fn.rsqrt(self.count)
        size = fn.maximum(self.epsilon_2, _rms(weight)) * fn.minimum(rate, root)
        square = fn.square(grad) + self.epsilon_1
        kept = 1.0 - fn.pow(self.count, self.beta_2_decay)

        def mean(slot: str, value: Tensor) -> Tensor:
            return kept * slots[slot] + (1.0 - kept) * value

        if weight.rank < 2:
            changed = {"velocity": mean("velocity", square)}
        else:
            row = mean("row", fn.mean(square, -1))
            column = mean("column", fn.mean(square, -2))
            shares = row / fn.mean(row, -1, keepdims=True)
            spread = fn.expand_dims(shares, -1) * fn.expand_dims(column, -2)
            changed = {"row": row, "column": column, "velocity": spread}
        move = grad / fn.sqrt(changed["velocity"])
        move = move / fn.maximum(1.0, _rms(move) / float(self.clip_threshold))
        return weight - size * move, changed


def _rms(x: Tensor) -> Tensor:
    return fn.sqrt(fn.mean(fn.square(x)))


class Muon(Optimizer):
    """Steps of matrices whose singular values are all about 1; AdamW for other weights.

    Source: Jordan 2024, kellerjordan.github.io/posts/muon.

    Args:
        exclude_layers: texts, or regular expressions as an `OptimizerMap` has them; weights with
            one of them in their path go by AdamW, too.
        exclude_embeddings: whether those of embeddings do.
        muon_a, muon_b, muon_c: the polynomial that brings singular values to 1.
        ns_steps: how often it is applied.
        adam_lr_ratio: the learning rate of AdamW, by that of matrices.
        rms_rate: the root mean square of a step by the learning rate.
    """

    fields = (
        "adam_beta_1",
        "adam_beta_2",
        "adam_weight_decay",
        "epsilon",
        "exclude_layers",
        "exclude_embeddings",
        "muon_a",
        "muon_b",
        "muon_c",
        "adam_lr_ratio",
        "momentum",
        "ns_steps",
        "nesterov",
        "rms_rate",
    )
    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        self.adam_beta_1, self.adam_beta_2 = adam_beta_1, adam_beta_2
        self.adam_weight_decay, self.epsilon = adam_weight_decay, epsilon
        self.exclude_layers = list(exclude_layers or ())
        self._excluded = [Pattern(p, "exclude_layers", anywhere=True) for p in self.exclude_layers]
        self.exclude_embeddings = exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.adam_lr_ratio, self.momentum, self.ns_steps = adam_lr_ratio, momentum, ns_steps
        self.nesterov, self.rms_rate = nesterov, rms_rate
        if not 0 <= ns_steps <= 100:
            raise self._wrong("ns_steps", "0 to 100", ns_steps)

    def _by_adam(self, weight: Variable) -> bool:
        path = str(getattr(weight, "path", weight.name))
        embedding = self.exclude_embeddings and "embedding" in path.lower()
        named = any(pattern.matches(path) for pattern in self._excluded)
        return weight.rank != 2 or embedding or named

    def slot_shape(self, slot: str, weight: Variable) -> tuple[int, ...] | None:
        return None if slot == "velocity" and not self._by_adam(weight) else weight.shape

    def decay_of(self, weight: Variable) -> float:
        if not super().decay_of(weight) and self.weight_decay:
            return 0.0
        own = self.adam_weight_decay if self._by_adam(weight) else self.weight_decay
        return float(own or 0.0)

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        m = slots["momentum"]
        if "velocity" in slots:
            m = m + (grad - m) * (1.0 - self.adam_beta_1)
            v = slots["velocity"]
            v = v + (fn.square(grad) - v) * (1.0 - self.adam_beta_2)
            size = rate * float(self.adam_lr_ratio)
            size = size * fn.sqrt(1.0 - fn.pow(self.adam_beta_2, self.count))
            size = size / (1.0 - fn.pow(self.adam_beta_1, self.count))
            new = weight - m * size / (fn.sqrt(v) + self.epsilon)
            return new, {"momentum": m, "velocity": v}
        m = self.momentum * m + grad
        move = self._orthogonal(grad + self.momentum * m if self.nesterov else m)
        if self.rms_rate is not None:
            move = move * (math.sqrt(max(weight.shape)) * self.rms_rate)
        return weight - rate * move, {"momentum": m}

    def _orthogonal(self, x: Tensor) -> Tensor:
        tall = x.shape[0] > x.shape[1]
        if tall:
            x = fn.transpose(x)
        x = x / (fn.sqrt(fn.sum(fn.square(x))) + 1e-7)
        for _ in range(self.ns_steps):
            square = fn.matmul(x, x, transpose_b=True)
            mixed = self.muon_b * square + self.muon_c * fn.matmul(square, square)
            x = self.muon_a * x + fn.matmul(mixed, x)
        return fn.transpose(x) if tall else x


class ScheduleFreeAdamW(Optimizer):
    """AdamW that needs no schedule: gradients are taken between a fast and an averaged weight.

    Args:
        warmup_steps: over so many steps the learning rate rises from 0.

    Source: Defazio et al. 2024.
    """

    fields = ("beta_1", "beta_2", "epsilon", "warmup_steps")

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.warmup_steps = warmup_steps
        if not 0 < beta_1 <= 1:
            raise self._wrong("beta_1", "a number above 0, at most 1", beta_1)

    def slot_groups(self) -> Sequence[Sequence[str]]:
        return (("momentum", "velocity"),)

    def _slot(self, slot: str, weight: Variable) -> Weight | None:
        made = super()._slot(slot, weight)
        if made is not None and slot == "momentum":  # the fast weight begins as the weight
            made.assign(weight.numpy())
        return made

    def step(self, weight: Tensor, grad: Tensor, rate: Tensor, slots: dict[str, Tensor]) -> Stepped:
        fast, v = slots["momentum"], slots["velocity"]
        if self.warmup_steps > 0:
            rate = rate * fn.minimum(self.count / float(self.warmup_steps), 1.0)
        v = v + (fn.square(grad) - v) * (1.0 - self.beta_2)
        spread = fn.sqrt(v / (1.0 - fn.pow(self.beta_2, self.count))) + self.epsilon
        # The weight is beta_1 of the average and 1 - beta_1 of the fast one.
        average = (weight - (1.0 - self.beta_1) * fast) / self.beta_1
        fast = fast - rate * grad / spread
        share = 1.0 / self.count
        average = (1.0 - share) * average + share * fast
        new = (1.0 - self.beta_1) * fast + self.beta_1 * average
        return new, {"momentum": fast, "velocity": v}


CLASSES = (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Adamax,
    Ftrl,
    Lamb,
    Lion,
    Muon,
    Nadam,
    RMSprop,
    ScheduleFreeAdamW,
)
KNOWN: dict[str, Any] = {c.__name__: c for c in CLASSES} | {c.__name__.lower(): c for c in CLASSES}
KNOWN["MultiOptimizer"] = MultiOptimizer  # not by its name alone: it is told its optimizers


def get(given: Any) -> Optimizer:
    """The optimizer that a name, a description or an object stands for."""
    found = config.lookup("optimizer", given, KNOWN)
    if not isinstance(found, Optimizer):
        raise FanlightError(
            "E-LAYER-003",
            "this is no optimizer.",
            where=f"optimizer, {caller()}",
            expected="a name, a description, or an object of fl.optimizers",
            received=repr(given)[:200],
        )
    return found


def serialize(optimizer: Any) -> Any:
    """What a file has for an optimizer: class name and arguments, or the name of a function."""
    return config.plain(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)


__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

if not TYPE_CHECKING:  # a name that is not there is an error to mypy
    __getattr__ = missing("fl.optimizers", __all__)


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

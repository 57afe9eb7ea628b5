"""Learning rates that depend on the number of steps: `fl.optimizers.schedules`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import config
from fanlight.layers.checked import Checked
from fanlight.layers.config import made_of
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller


class LearningRateSchedule(Checked):
    """A learning rate by the number of steps so far.

    One of your own computes it in `__call__(step)` by tensor functions: it is a part of the
    compiled step. Its `fields` are the arguments that `get_config` writes.
    """

    fields: tuple[str, ...] = ()
    keras_module = "keras.optimizers.schedules"

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__

    def __call__(self, step: Any) -> Tensor:
        """The learning rate after so many steps."""
        raise config.unwritten(self, "__call__")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {f: config.plain(getattr(self, f)) for f in self.fields} | {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule of such arguments."""
        return cls(**config)

    def _steps(self, argument: str, count: Any) -> None:
        """E-LAYER-004 for a number of steps that is not above 0."""
        if not isinstance(count, int | float) or not count > 0:
            raise self._wrong(argument, "a number above 0", count)

    def _wrong(self, argument: str, expected: str, received: Any) -> FanlightError:
        return FanlightError(
            "E-LAYER-004",
            f"{type(self).__name__} does not take this {argument}.",
            where=f"{argument}, {caller()}",
            expected=expected,
            received=repr(received)[:200],
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _float(step: Any) -> Tensor:
    return cast(tensor(step), "float32")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate decay_rate^(step / decay_steps); staircase: by whole powers."""

    fields = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._steps("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase = decay_rate, staircase

    def __call__(self, step: Any) -> Tensor:
        part = _float(step) / float(self.decay_steps)
        if self.staircase:
            part = fn.floor(part)
        return self.initial_learning_rate * fn.pow(float(self.decay_rate), part)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to step boundaries[0], then values[1] up to boundaries[1], and so on."""

    fields = ("boundaries", "values")

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        super().__init__(name)
        if len(boundaries) != len(values) - 1:
            expected = f"{len(values) - 1}, one less than values"
            raise self._wrong("boundaries", expected, boundaries)
        self.boundaries, self.values = list(boundaries), list(values)

    def __call__(self, step: Any) -> Tensor:
        now = _float(step)
        rate = fn.scalar(float(self.values[-1]))
        for last, value in reversed(list(zip(self.boundaries, self.values, strict=False))):
            rate = fn.where(now <= float(last), float(value), rate)
        return rate


class PolynomialDecay(LearningRateSchedule):
    """From initial_learning_rate to end_learning_rate, by (1 - step / decay_steps)^power.

    cycle: after decay_steps it begins again, at twice, three times as many steps.
    """

    fields = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._steps("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle = end_learning_rate, power, cycle

    def __call__(self, step: Any) -> Tensor:
        now, last = _float(step), fn.scalar(float(self.decay_steps))
        if self.cycle:
            last = last * fn.maximum(fn.ceil(now / float(self.decay_steps)), 1.0)
        else:
            now = fn.minimum(now, last)
        left = fn.pow(fn.maximum(1.0 - now / last, 0.0), float(self.power))
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate step / decay_steps); staircase: by whole parts."""

    fields = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._steps("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase = decay_rate, staircase

    def __call__(self, step: Any) -> Tensor:
        part = _float(step) / float(self.decay_steps)
        if self.staircase:
            part = fn.floor(part)
        return self.initial_learning_rate / (1.0 + self.decay_rate * part)


class CosineDecay(LearningRateSchedule):
    """Half a cosine down to alpha times the rate. Source: Loshchilov & Hutter 2017.

    Args:
        decay_steps: after the warm-up.
        warmup_target: the rate grows to it from initial_learning_rate in warmup_steps first.
    """

    fields = ("initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        super().__init__(name)
        self._steps("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.alpha, self.warmup_target, self.warmup_steps = alpha, warmup_target, warmup_steps

    def __call__(self, step: Any) -> Tensor:
        now, first, warm = _float(step), self.initial_learning_rate, float(self.warmup_steps)
        if self.warmup_target is None:
            warm, top = 0.0, first
        else:
            top = self.warmup_target
        part = fn.minimum((now - warm) / float(self.decay_steps), 1.0)
        rate = top * ((1.0 - self.alpha) * _half_cosine(part) + self.alpha)
        if not warm:
            return rate
        return fn.where(now < warm, (top - first) * now / warm + first, rate)


def _half_cosine(part: Tensor) -> Tensor:
    """1 at 0, 0 at 1."""
    return 0.5 * (1.0 + fn.cos(math.pi * part))


class CosineDecayRestarts(LearningRateSchedule):
    """CosineDecay that begins again and again. Source: Loshchilov & Hutter 2017.

    Args:
        t_mul: each period is so much longer than the one before.
        m_mul: each one begins at so much of the rate.
    """

    fields = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        super().__init__(name)
        self._steps("first_decay_steps", first_decay_steps)
        self._steps("t_mul", t_mul)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps, self.alpha = first_decay_steps, alpha
        self.t_mul, self.m_mul = t_mul, m_mul

    def __call__(self, step: Any) -> Tensor:
        part, t = _float(step) / float(self.first_decay_steps), float(self.t_mul)
        if t == 1.0:
            restarts = fn.floor(part)
            part = part - restarts
        else:
            restarts = fn.floor(fn.log(1.0 - part * (1.0 - t)) / math.log(t))
            long = fn.pow(t, restarts)
            part = (part - (1.0 - long) / (1.0 - t)) / long
        peak = fn.pow(float(self.m_mul), restarts)
        down = (1.0 - self.alpha) * peak * _half_cosine(part) + self.alpha
        return self.initial_learning_rate * down


CLASSES = (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
KNOWN: dict[str, Any] = {c.__name__: c for c in CLASSES}


def get(given: Any) -> LearningRateSchedule:
    """The schedule that a description or an object stands for."""
    made: LearningRateSchedule = config.lookup("schedule", given, KNOWN)
    return made


def serialize(schedule: Any) -> Any:
    """What a file has for a schedule: class name and arguments, or the name of a function."""
    return config.plain(schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)


__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "get",
    "serialize",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

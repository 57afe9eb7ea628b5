"""What weights must be after every step: `fl.constraints`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fanlight.layers import config
from fanlight.layers.checked import Checked
from fanlight.layers.config import made_of
from fanlight.tensor import Tensor
from fanlight.tensor import functions as fn

EPSILON = 1e-7
Axes = int | Sequence[int]


class Constraint(Checked):
    """Gives the value nearest to a weight that is allowed: called with the new value."""

    keras_module = "keras.constraints"

    def __call__(self, w: Any) -> Tensor:
        """A value of the same shape."""
        raise config.unwritten(self, "__call__")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint of such arguments."""
        return cls(**config)


def _length(w: Any, axis: Axes) -> Tensor:
    return fn.sqrt(fn.sum(fn.square(w), axis, keepdims=True))


class MaxNorm(Constraint):
    """A length of at most max_value along the axis."""

    def __init__(self, max_value: float = 2, axis: Axes = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Tensor:
        norms = _length(w, self.axis)
        return w * (fn.clip(norms, 0.0, float(self.max_value)) / (norms + EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": config.plain(self.axis)}


class NonNeg(Constraint):
    """No number below zero."""

    def __call__(self, w: Any) -> Tensor:
        return fn.maximum(w, 0.0)


class UnitNorm(Constraint):
    """A length of 1 along the axis."""

    def __init__(self, axis: Axes = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        return w / (EPSILON + _length(w, self.axis))

    def get_config(self) -> dict[str, Any]:
        return {"axis": config.plain(self.axis)}


class MinMaxNorm(Constraint):
    """A length between two values along the axis; rate: how far towards that a step goes."""

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axes = 0,
    ) -> None:
        self.min_value, self.max_value = min_value, max_value
        self.rate, self.axis = rate, axis

    def __call__(self, w: Any) -> Tensor:
        norms = _length(w, self.axis)
        inside = fn.clip(norms, float(self.min_value), float(self.max_value))
        wanted = self.rate * inside + (1 - self.rate) * norms
        return w * (wanted / (norms + EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": config.plain(self.axis),
        }


_CLASSES = (MaxNorm, MinMaxNorm, NonNeg, UnitNorm)
KNOWN: dict[str, Any] = {c.__name__: c for c in _CLASSES}
# Keras's other names of them.
max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
__all__ = [
    *(c.__name__ for c in _CLASSES),
    "Constraint",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


def get(given: Any) -> Any:
    """The constraint that a name, a description or an object stands for; None stays None."""
    return None if given is None else config.function("constraint", given, KNOWN)


def serialize(constraint: Any) -> Any:
    """What a file has for a constraint: class name and arguments, or the name of a function."""
    return config.plain(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)

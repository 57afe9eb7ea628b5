"""Penalties on weights and activities: `fl.regularizers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import config
from fanlight.layers.checked import Checked
from fanlight.layers.config import made_of
from fanlight.tensor import Tensor, tensor
from fanlight.tensor import functions as fn


class Regularizer(Checked):
    """Gives a number that training makes small: called with a weight or an activity."""

    keras_module = "keras.regularizers"

    def __call__(self, x: Any) -> Tensor:
        """The penalty, a tensor without dims."""
        raise config.unwritten(self, "__call__")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer of such arguments."""
        return cls(**config)


class L1L2(Regularizer):
    """l1 sum |x| + l2 sum x^2."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1, self.l2 = float(l1 or 0), float(l2 or 0)

    def __call__(self, x: Any) -> Tensor:
        total: Tensor = fn.scalar(0.0)
        if self.l1:
            total = total + self.l1 * fn.sum(fn.abs(x))
        if self.l2:
            total = total + self.l2 * fn.sum(fn.square(x))
        return total

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 sum |x|."""

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 sum x^2."""

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Rows ("rows") or columns of a matrix that are not at right angles, by their cosines."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise FanlightError(
                "E-LAYER-004",
                "OrthogonalRegularizer has no such mode.",
                where="mode",
                expected="rows or columns",
                received=repr(mode),
            )
        self.factor, self.mode = factor, mode

    def __call__(self, x: Any) -> Tensor:
        x = tensor(x)
        if x.rank != 2:
            raise FanlightError(
                "E-OP-004",
                "OrthogonalRegularizer takes matrices.",
                where="OrthogonalRegularizer",
                expected="two dims",
                received=str(x.type),
            )
        axis = 1 if self.mode == "rows" else 0
        unit = x * fn.rsqrt(fn.maximum(fn.sum(fn.square(x), axis, keepdims=True), 1e-12))
        product = unit @ unit.T if self.mode == "rows" else unit.T @ unit
        count = product.shape[0]
        angles = fn.sum(fn.abs(product * (1.0 - fn.eye(count))))
        return self.factor * 0.5 * angles / max(1.0, count * (count - 1.0) / 2.0)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


_CLASSES = (L1, L2, L1L2, OrthogonalRegularizer)
KNOWN: dict[str, Any] = {c.__name__: c for c in _CLASSES}
# Keras's other names of them.
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
__all__ = [
    *(c.__name__ for c in _CLASSES),
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


def get(given: Any) -> Any:
    """The regularizer that a name, a description or an object stands for; None stays None."""
    return None if given is None else config.function("regularizer", given, KNOWN)


def serialize(regularizer: Any) -> Any:
    """What a file has for a regularizer: class name and arguments, or the name of a function."""
    return config.plain(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)

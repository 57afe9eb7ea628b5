"""Activations as layers."""

from __future__ import annotations

import warnings
from typing import Any

from fanlight.layers import activations, constraints, initializers, regularizers
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.tensor import Tensor, cast
from fanlight.tensor import functions as fn


def _number(layer: Layer, argument: str, value: Any, least: float | None = 0.0) -> float:
    """A number, from `least` on if there is such; E-LAYER-004."""
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not right or (least is not None and not value >= least):
        expected = "a number" if least is None else f"a number from {least:g} on"
        raise argument_error(layer, argument, expected, value)
    return float(value)


class ReLU(Layer):
    """x from the threshold on, negative_slope (x - threshold) below it, at most max_value."""

    fields = ("max_value", "negative_slope", "threshold")
    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float | None = 0.0,
        threshold: float | None = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.max_value = None if max_value is None else _number(self, "max_value", max_value)
        self.negative_slope = _number(self, "negative_slope", negative_slope or 0.0)
        self.threshold = _number(self, "threshold", threshold or 0.0)

    def call(self, inputs: Any) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """x from 0 on, negative_slope x below; Keras 2 calls it alpha. Source: Maas et al. 2013."""

    fields = ("negative_slope",)
    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        if "alpha" in options:
            told = "alpha of LeakyReLU is called negative_slope, as in Keras 3"
            warnings.warn(told, stacklevel=3)  # of the caller: __init__ is wrapped
            negative_slope = options.pop("alpha")
        super().__init__(**options)
        self.negative_slope = _number(self, "negative_slope", negative_slope, None)

    def call(self, inputs: Any) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        # Keras 2 and TensorFlow.js call the slope alpha.
        named = {"negative_slope" if k == "alpha" else k: v for k, v in config.items()}
        return super().from_config(named)


class PReLU(Layer):
    """x from 0 on, alpha x below; alpha is a weight, one for each number of an example.

    Args:
        shared_axes: axes along which there is one alpha: [1, 2] of [N, H, W, C] leaves one per
            channel.

    Source: He et al. 2015.
    """

    fields = ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes")
    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        if axes is not None:
            axes = list(axes) if isinstance(axes, list | tuple) else [0]
            if any(not isinstance(a, int) or a < 1 for a in axes):
                raise argument_error(self, "shared_axes", "axes from 1 on", shared_axes)
        self.shared_axes: list[int] | None = axes

    def build(self, input_shape: Any) -> None:
        shared = self.shared_axes or []
        sizes = [1 if d in shared else n for d, n in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(
            sizes,
            self.alpha_initializer,
            "alpha",
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        own = self.alpha.shape
        if x.rank != len(own) + 1 or any(
            n not in (1, m) for n, m in zip(own, x.shape[1:], strict=True)
        ):
            raise input_error(self, f"[examples, {', '.join(map(str, own))}]", x.type)
        return fn.relu(x) - self.alpha * fn.relu(-x)


class ELU(Layer):
    """x from 0 on, alpha (exp(x) - 1) below. Source: Clevert et al. 2015."""

    fields = ("alpha",)
    supports_masking = True

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = _number(self, "alpha", alpha, None)

    def call(self, inputs: Any) -> Tensor:
        return activations.elu(inputs, self.alpha)


class ThresholdedReLU(Layer):
    """x beyond theta, else 0. Keras 2 and TensorFlow.js have it. Source: Konda et al. 2014."""

    fields = ("theta",)
    supports_masking = True

    def __init__(self, theta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.theta = _number(self, "theta", theta)

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        return fn.where(x > self.theta, x, 0.0)


class Softmax(Layer):
    """exp(x) over its sum along the axis, or along several.

    What a mask leaves out, which broadcasts to x, has no share in the sum and becomes 0. A mask
    of places ([N, W] for [N, W, C]) concerns nothing that is summed, and is passed on only.
    """

    fields = ("axis",)
    supports_masking = True

    def __init__(self, axis: Any = -1, **options: Any) -> None:
        super().__init__(**options)
        axes = axis if isinstance(axis, list | tuple) else [axis]
        if not axes or any(not isinstance(a, int) or isinstance(a, bool) for a in axes):
            raise argument_error(self, "axis", "an axis, or several", axis)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        x = cast(inputs, "float32")
        axis: Any = self.axis
        if isinstance(axis, list | tuple):
            axis = tuple(axis) if len(axis) > 1 else axis[0]
        counts = self._counts(mask, x)
        if counts is not None:
            x = fn.where(counts, x, -1e9)
        if isinstance(axis, tuple):
            top = fn.exp(x - fn.max(x, axis, keepdims=True))
            y = top / fn.sum(top, axis, keepdims=True)
        else:
            y = fn.softmax(x, axis)
        return y if counts is None else fn.where(counts, y, 0.0)

    def _counts(self, mask: Any, x: Tensor) -> Tensor | None:
        if mask is None:
            return None
        shape = mask.shape
        if len(shape) <= x.rank and all(
            n in (1, m) for n, m in zip(shape[::-1], x.shape[::-1], strict=False)
        ):
            found = mask if mask.dtype == "bool" else cast(mask, "float32") > 0.5
            return fn.broadcast_to(found, x.shape)
        if tuple(shape) == x.shape[: len(shape)]:
            return None
        raise input_error(self, f"a mask that broadcasts to {list(x.shape)}", f"{list(shape)}")


__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""Layers that make training harder and nothing else: noise, dropped numbers, penalties.

At inference they give what they get. `seed`: the numbers of a layer with a seed depend on the seed
of the run and on this one alone; without one, on its place among all draws of the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fanlight.layers import regularizers, scope
from fanlight.layers.arguments import data_format as format_of
from fanlight.layers.arguments import ranked
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.tensor import Tensor, cast, random
from fanlight.tensor import functions as fn


def _chance(layer: Layer, rate: Any, top: bool = True) -> float:
    """A rate from 0 to 1, or to below 1; E-LAYER-004."""
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not number or not 0 <= rate <= 1 or (rate == 1 and not top):
        raise argument_error(layer, "rate", f"a number from 0 to {'' if top else 'below '}1", rate)
    return float(rate)


def _seed(layer: Layer, seed: Any) -> int | None:
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise argument_error(layer, "seed", "a whole number, or None", seed)
    return seed


def _noise_shape(layer: Layer, given: Any) -> tuple[int | None, ...] | None:
    if given is None:
        return None
    sizes = tuple(given) if isinstance(given, list | tuple) else (0,)
    if any(n is not None and (not isinstance(n, int) or n < 1) for n in sizes):
        raise argument_error(layer, "noise_shape", "sizes, None for those of the input", given)
    return sizes


def _sizes(layer: Layer, noise: Sequence[int | None] | None, x: Tensor) -> tuple[int, ...]:
    """The shape of the random numbers for an input."""
    if noise is None:
        return x.shape
    rank = len(noise) == x.rank
    sizes = tuple(n or m for n, m in zip(noise, x.shape, strict=False))
    if not rank or any(n not in (1, m) for n, m in zip(sizes, x.shape, strict=False)):
        raise input_error(layer, f"what its noise_shape {tuple(noise)} broadcasts to", x.type)
    return sizes


class _Dropping(Layer):
    """Dropout, with a shape of what is dropped together."""

    supports_masking = True
    rate: float
    seed: int | None

    def dropped(self, x: Tensor, shape: Sequence[int], training: bool) -> Tensor:
        """x in which numbers are 0 by the chance of the rate, the others x / (1 - rate)."""
        if not training or self.rate == 0:
            return x
        if self.rate == 1:
            return x * 0.0
        return random.dropout(x, self.rate, shape, key=scope.next_key(self.seed))


class Dropout(_Dropping):
    """In training x / (1 - rate), each number 0 by the chance `rate`: Srivastava et al. 2014.

    Args:
        noise_shape: along its dims of size 1 numbers are dropped together; None is a size of the
            input. Default: each by itself.
    """

    fields = ("rate", "seed", "noise_shape")

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.rate, self.seed = _chance(self, rate), _seed(self, seed)
        self.noise_shape = _noise_shape(self, noise_shape)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        x = cast(inputs, "float32")
        return self.dropped(x, _sizes(self, self.noise_shape, x), training)


class _SpatialDropout(_Dropping):
    """Dropout of whole channels."""

    fields: tuple[str, ...] = ("rate", "seed", "data_format")
    dims = 0

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, **options)
        self.rate, self.seed = _chance(self, rate), _seed(self, seed)
        self.data_format = format_of(self, data_format)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        x = ranked(self, inputs, self.dims + 2)
        at = 1 if self.data_format == "channels_first" else x.rank - 1
        shape = [n if d in (0, at) else 1 for d, n in enumerate(x.shape)]
        return self.dropped(x, shape, training)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]  # Keras's classes do not take it
        return config


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of [N, W, C]. Source: Tompson et al. 2014."""

    fields = ("rate", "seed")
    dims = 1

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(rate, None, seed, name, dtype, **options)


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of [N, H, W, C]. Source: Tompson et al. 2014."""

    dims = 2


class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of [N, D, H, W, C]. Source: Tompson et al. 2014."""

    dims = 3


class GaussianNoise(Layer):
    """In training x plus normal numbers with a standard deviation of stddev."""

    fields = ("stddev", "seed")
    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(stddev, int | float) or not 0 <= stddev <= 1:
            raise argument_error(self, "stddev", "a number from 0 to 1", stddev)
        self.stddev, self.seed = stddev, _seed(self, seed)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        x = cast(inputs, "float32")
        if not training or self.stddev == 0:
            return x
        noise = random.normal(x.shape, key=scope.next_key(self.seed))
        return x + noise * float(self.stddev)


class GaussianDropout(Layer):
    """In training x times normal numbers around 1, of variance rate / (1 - rate).

    Mean and variance of the result are those of Dropout. Source: Srivastava et al. 2014, section
    10.
    """

    fields = ("rate", "seed")
    supports_masking = True

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.rate, self.seed = _chance(self, rate, top=False), _seed(self, seed)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        x = cast(inputs, "float32")
        if not training or self.rate == 0:
            return x
        noise = random.normal(x.shape, key=scope.next_key(self.seed))
        return x * (noise * math.sqrt(self.rate / (1.0 - self.rate)) + 1.0)


class AlphaDropout(Layer):
    """Dropout to what selu gives far below 0, scaled so that mean 0 and variance 1 stay.

    Dropped numbers become p = -1.7581; then a x + b follows, with a = ((1 - rate) (1 + rate
    p^2))^-1/2 and b = -a p rate. Source: Klambauer et al. 2017.
    """

    fields = ("rate", "seed", "noise_shape")
    supports_masking = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.rate, self.seed = _chance(self, rate, top=False), _seed(self, seed)
        self.noise_shape = _noise_shape(self, noise_shape)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        x = cast(inputs, "float32")
        shape = _sizes(self, self.noise_shape, x)
        if not training or self.rate == 0:
            return x
        low = -1.6732632423543772 * 1.0507009873554805
        a = ((1 - self.rate) * (1 + self.rate * low * low)) ** -0.5
        u = random.uniform(shape, key=scope.next_key(self.seed))
        kept = fn.broadcast_to(fn.greater_equal(u, self.rate), x.shape)
        return fn.where(kept, x, low) * a + (-a * low * self.rate)


class ActivityRegularization(Layer):
    """What it gets, with the penalty l1 sum |x| + l2 sum x^2, per example."""

    fields = ("l1", "l2")
    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **options: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **options)
        self.l1, self.l2 = l1, l2

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]  # l1 and l2 say it
        return config


__all__ = [
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

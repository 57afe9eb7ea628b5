"""Layers that bend pictures, and that change them by several layers; see augmentation.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.data import augment
from fanlight.layers.arguments import whole
from fanlight.layers.augmentation import (
    Augmentation,
    Factor,
    RandomBrightness,
    RandomContrast,
    RandomRotation,
    RandomShear,
    RandomTranslation,
)
from fanlight.layers.layer import argument_error
from fanlight.layers.tones import (
    AutoContrast,
    Equalization,
    RandomColorDegeneration,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from fanlight.tensor import Tensor, random
from fanlight.tensor import functions as fn
from fanlight.tensor.control import cond, scan

__all__ = ["AugMix", "RandAugment", "RandomElasticTransform", "RandomPerspective"]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


class RandomPerspective(Augmentation):
    """Pictures seen from the side: three of their corners move.

    Args:
        factor: (low, high), of which the chance is drawn for each picture; a number f is (0, f).
        scale: from 0 to 1: corners move by at most half of this share of their coordinates.
        fill_value: what is beyond the border.
    """

    fields = ("factor", "scale", "interpolation", "fill_value", "seed", "data_format")
    moves = True

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self._filling("constant", fill_value)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale <= 1:
            raise argument_error(self, "scale", "a number from 0 to 1", scale)
        self.scale, self.interpolation, self.fill_value = scale, interpolation, fill_value

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_perspective(
            x,
            self.span,
            self.scale,
            key=key,
            interpolation=self.interpolation,
            fill_value=self.fill_value,
        )


class RandomElasticTransform(Augmentation):
    """Pictures bent like rubber. Source: Simard, Steinkraus & Platt 2003.

    Args:
        factor: (low, high), of which the chance is drawn for each picture; a number f is (0, f).
        scale: (low, high), from 0 to 1: how strongly, one number for all pictures; s is (0, s).
        fill_mode: what is beyond the border: "reflect", "mirror", "wrap", "nearest", or "constant",
            which is fill_value.
        value_range: of the pictures; results are clipped to it.
    """

    fields = (
        *("factor", "scale", "interpolation", "fill_mode", "fill_value", "value_range", "seed"),
        "data_format",
    )
    moves = True
    fills = ("reflect", "wrap", "constant", "nearest", "mirror")

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self._filling(fill_mode, fill_value)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        self.scale, self.strengths = scale, self._span("scale", scale, 0.0)
        self.interpolation, self.fill_mode = interpolation, fill_mode
        self.fill_value, self.value_range = fill_value, self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_elastic_transform(
            x,
            self.span,
            self.strengths,
            key=key,
            interpolation=self.interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            value_range=self.value_range,
        )


# --- several --------------------------------------------------------------------------------------


def _changes(layer: Any, names: Sequence[type]) -> list[Augmentation]:
    """The layers that a policy chooses from, as strong as it says."""
    low, high = layer.span
    span, value_range = (low, high), layer.value_range
    bits = max(1, int(8 * high))
    places = {"interpolation": layer.interpolation}
    made: dict[type, dict[str, Any]] = {
        RandomShear: {"x_factor": span, "y_factor": span, **places},
        RandomTranslation: {"height_factor": span, "width_factor": span, **places},
        RandomRotation: {"factor": span, **places},
        RandomBrightness: {"factor": span, "value_range": value_range},
        RandomColorDegeneration: {"factor": span, "value_range": value_range},
        RandomContrast: {"factor": span, "value_range": value_range},
        RandomSharpness: {"factor": span, "value_range": value_range},
        RandomPosterization: {"factor": bits, "value_range": value_range},
        Solarization: {
            "addition_factor": span,
            "threshold_factor": span,
            "value_range": value_range,
        },
        AutoContrast: {"value_range": value_range},
        Equalization: {"value_range": value_range},
    }
    return [kind(**made[kind], name=f"{layer.name}_{kind.__name__}") for kind in names]


def _changed(layers: Sequence[Augmentation], which: Tensor, x: Tensor, key: Tensor) -> Tensor:
    """x, changed by the layer of this number; as it is if there is none."""
    for i, layer in enumerate(layers):

        def change(images: Tensor, layer: Augmentation = layer) -> Tensor:
            return layer.augmented(images, key)

        x = cond(fn.equal(which, i), change, lambda images: images, x)
    return x


class RandAugment(Augmentation):
    """Pictures changed by layers drawn at random. Source: Cubuk et al. 2019.

    They are RandomShear, RandomTranslation, RandomRotation, RandomBrightness,
    RandomColorDegeneration, RandomContrast, RandomSharpness, RandomPosterization, Solarization,
    AutoContrast and Equalization; a batch gets the same ones, each picture by its own amounts.

    Args:
        value_range: of the pictures.
        num_ops: how many, one after the other; the same may come again.
        factor: (low, high), from 0 to 1: how strong they are; a number f is (0, f).
    """

    fields = ("value_range", "num_ops", "factor", "interpolation", "seed", "data_format")
    moves = True
    kinds = (
        *(RandomShear, RandomTranslation, RandomRotation, RandomBrightness),
        *(RandomColorDegeneration, RandomContrast, RandomSharpness, RandomPosterization),
        *(Solarization, AutoContrast, Equalization),
    )

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self.value_range, self.num_ops = self._range(value_range), whole(self, "num_ops", num_ops)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        self.interpolation = interpolation
        self.changes = _changes(self, self.kinds)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        keys = random.split(key, self.num_ops + 1)
        drawn = random.uniform_int((self.num_ops,), 0, len(self.changes), key=keys[0])

        def step(images: Tensor, now: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
            return _changed(self.changes, now[0], images, now[1]), None

        result: Tensor = scan(step, x, (drawn, keys[1:]))[0]
        return result


class AugMix(Augmentation):
    """Pictures mixed with several chains of changes of themselves. Source: Hendrycks et al. 2020.

    The changes are those of `RandAugment`; a batch gets the same chains, each picture by its own
    amounts.

    Args:
        value_range: of the pictures; results are clipped to it.
        num_chains: how many chains are mixed.
        chain_depth: how many changes a chain has; each of them may be none at all.
        factor: (low, high), from 0 to 1: how strong they are; a number f is (0, f).
        alpha: of the distributions of the shares (beta and Dirichlet).
        all_ops: whether brightness, colour degeneration, contrast and sharpness are among them.
    """

    fields = (
        *("value_range", "num_chains", "chain_depth", "factor", "alpha", "all_ops"),
        *("interpolation", "seed", "data_format"),
    )
    moves = True
    kinds = (
        *(RandomShear, RandomTranslation, RandomRotation, RandomPosterization, Solarization),
        *(AutoContrast, Equalization, RandomBrightness, RandomColorDegeneration, RandomContrast),
        RandomSharpness,
    )

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Factor = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self.value_range = self._range(value_range)
        self.num_chains = whole(self, "num_chains", num_chains)
        self.chain_depth = whole(self, "chain_depth", chain_depth)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not alpha > 0:
            raise argument_error(self, "alpha", "a number above 0", alpha)
        self.alpha, self.all_ops, self.interpolation = alpha, bool(all_ops), interpolation
        self.changes = _changes(self, self.kinds if self.all_ops else self.kinds[:7])

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        depth, count = self.chain_depth, self.num_chains
        steps = count * depth
        keys = random.split(key, steps + 4)
        # The number after the last layer's is that of no change.
        drawn = random.uniform_int((steps,), 0, len(self.changes) + 1, key=keys[0])
        shares = random.gamma((count,), float(self.alpha), key=keys[1]) + 1e-20
        shares = shares / fn.sum(shares)
        a, b = (random.gamma((), float(self.alpha), key=keys[i]) + 1e-20 for i in (2, 3))
        # One loop over the changes of all chains: a chain begins with x and ends in the mixture.
        place = np.arange(steps) % depth
        ends = np.where(place == depth - 1, 1.0, 0.0).astype(np.float32)
        weights = fn.reshape(fn.tile(fn.reshape(shares, (count, 1)), (1, depth)), (-1,)) * ends

        def step(carry: Any, now: Any) -> Any:
            images, mixture = carry
            which, own, begins, weight = now
            images = fn.where(begins, x, images)
            images = _changed(self.changes, which, images, own)
            return (images, mixture + weight * images), None

        given = (drawn, keys[4:], place == 0, weights)
        (_, mixture), _ = scan(step, (x, fn.zeros_like(x)), given)
        own = a / (a + b)
        y = own * x + (1.0 - own) * mixture
        return fn.clip(y, *self.value_range)

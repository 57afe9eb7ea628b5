"""Layers that change colours, histograms and sharpness of pictures; see augmentation.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.data import augment
from fanlight.layers.augmentation import (
    Augmentation,
    Factor,
    RandomBrightness,
    RandomContrast,
    RandomHue,
    RandomSaturation,
)
from fanlight.layers.layer import argument_error
from fanlight.tensor import Tensor, random

__all__ = [
    "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomGaussianBlur",
    "RandomInvert",
    "RandomPosterization",
    "RandomSharpness",
    "Solarization",
]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


class AutoContrast(Augmentation):
    """Pictures whose channels reach from one end of value_range to the other, testing included.

    Args:
        value_range: of the pictures.
    """

    fields = ("value_range", "data_format")

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(None, data_format)
        self.value_range = self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return self.unchanged(x)

    def unchanged(self, x: Tensor) -> Tensor:
        return augment.auto_contrast(x, self.value_range)


class Equalization(Augmentation):
    """Pictures whose values are spread evenly, channel by channel, in training.

    A channel's histogram is that of all pictures of a batch together, as in Keras 3.

    Args:
        value_range: of the pictures.
        bins: how many steps a histogram has.
    """

    fields = ("value_range", "bins", "data_format")

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(None, data_format)
        if isinstance(bins, bool) or not isinstance(bins, int) or not 2 <= bins <= 65536:
            raise argument_error(self, "bins", "a whole number from 2 to 65,536", bins)
        self.value_range, self.bins = self._range(value_range), bins

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.equalize(x, self.bins, self.value_range)


class ContrastLimitedAdaptiveHistogramEqualization(Augmentation):
    """Pictures equalized part by part (CLAHE), testing included. Source: Zuiderveld 1994.

    Args:
        value_range: of the pictures.
        clip_limit: how often a value counts at most, times the mean; 0: there is no limit.
        tile_grid_size: how many parts there are, down and across.
    """

    fields = ("value_range", "clip_limit", "tile_grid_size", "data_format")

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(None, data_format)
        self.value_range, self.clip_limit = self._range(value_range), clip_limit
        self.tile_grid_size = tuple(tile_grid_size)
        if len(self.tile_grid_size) != 2 or min(self.tile_grid_size) < 1:
            expected = "two whole numbers from 1 on"
            raise argument_error(self, "tile_grid_size", expected, tile_grid_size)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return self.unchanged(x)

    def unchanged(self, x: Tensor) -> Tensor:
        return augment.limited_equalize(x, self.clip_limit, self.tile_grid_size, self.value_range)


class RandomColorDegeneration(Augmentation):
    """Pictures mixed with themselves in grey.

    Args:
        factor: (low, high): the share of grey; a number f is (-f, f), as in Keras 3; below 0
            colours grow stronger.
        value_range: of the pictures; results are clipped to it.
    """

    fields = ("factor", "value_range", "data_format", "seed")

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.factor, self.span = factor, self._span("factor", factor)
        self.value_range = self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_color_degeneration(
            x, self.span, key=key, value_range=self.value_range
        )


class RandomColorJitter(Augmentation):
    """Pictures with other brightness, contrast, saturation and hue, in this order.

    Args:
        value_range: of the pictures; results are clipped to it.
        brightness_factor: see `RandomBrightness`; None leaves it out, and so do the others.
        contrast_factor: see `RandomContrast`.
        saturation_factor: see `RandomSaturation`.
        hue_factor: see `RandomHue`.
    """

    fields = (
        *("value_range", "brightness_factor", "contrast_factor", "saturation_factor"),
        *("hue_factor", "seed", "data_format"),
    )

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        brightness_factor: Factor | None = None,
        contrast_factor: Factor | None = None,
        saturation_factor: Factor | None = None,
        hue_factor: Factor | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.value_range = self._range(value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        kinds: Any = (
            (RandomBrightness, brightness_factor),
            (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor),
            (RandomHue, hue_factor),
        )
        self.changes = [
            kind(factor, self.value_range, name=f"{self.name}_{kind.__name__}")
            for kind, factor in kinds
            if factor is not None
        ]

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        keys = random.split(key, 4)
        for i, layer in enumerate(self.changes):
            x = layer.augmented(x, keys[i])
        return x


class RandomGaussianBlur(Augmentation):
    """Some of the pictures blurred.

    Args:
        factor: (low, high), of which the chance is drawn for each picture; a number f is (0, f).
        kernel_size: odd: how many pixels wide and high the neighbourhood is, or both.
        sigma: (low, high), from 0 to 1, of which the width of the bell is drawn, across and down,
            for all pictures; a number s is (0, s).
        value_range: of the pictures; results are clipped to it.
    """

    fields = ("factor", "kernel_size", "sigma", "value_range", "data_format", "seed")

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        self.sigma, self.widths = sigma, self._span("sigma", sigma, 0.0)
        sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
        if len(sizes) != 2 or any(not isinstance(n, int) or n < 1 or not n % 2 for n in sizes):
            raise argument_error(self, "kernel_size", "odd numbers, one or two", kernel_size)
        self.kernel_size, self.value_range = tuple(sizes), self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_gaussian_blur(
            x, self.span, self.kernel_size, self.widths, key=key, value_range=self.value_range
        )


class RandomInvert(Augmentation):
    """Some of the pictures as negatives: low + high - x.

    Args:
        factor: (low, high), of which the chance is drawn for each picture; a number f is (0, f).
        value_range: of the pictures.
    """

    fields = ("factor", "value_range", "seed", "data_format")

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        self.value_range = self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_invert(x, self.span, key=key, value_range=self.value_range)


class RandomPosterization(Augmentation):
    """Pictures with fewer shades: the first bits only of each value's eight.

    Args:
        factor: (low, high), from 1 to 8: from low to high - 1 bits stay; a number f is (1, f). Of
            two equal numbers it is that many.
        value_range: of the pictures.
    """

    fields = ("factor", "value_range", "data_format", "seed")

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.factor, self.span = factor, self._span("factor", factor, 1.0, 8.0)
        if any(n != int(n) for n in self.span):
            raise argument_error(self, "factor", "whole numbers from 1 to 8", factor)
        self.value_range = self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        low, high = self.span
        return augment.random_posterization(
            x, (int(low), int(high)), key=key, value_range=self.value_range
        )


class RandomSharpness(Augmentation):
    """Pictures smoother or sharper.

    Args:
        factor: (low, high): 0 is smooth, 0.5 no change, 1 sharp; a number f is (0, f).
        value_range: of the pictures; results are clipped to it.
    """

    fields = ("factor", "value_range", "data_format", "seed")

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        self.value_range = self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_sharpness(x, self.span, key=key, value_range=self.value_range)


class Solarization(Augmentation):
    """Pictures whose values from a threshold on are inverted, after something was added to them.

    Args:
        addition_factor: (low, high), shares of the range that are added; a number f is (0, f).
        threshold_factor: (low, high), shares of the range, likewise.
        value_range: of the pictures; results are clipped to it.
    """

    fields = ("addition_factor", "threshold_factor", "value_range", "seed", "data_format")

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.addition_factor, self.threshold_factor = addition_factor, threshold_factor
        self.spans = (
            self._span("addition_factor", addition_factor, 0.0),
            self._span("threshold_factor", threshold_factor, 0.0),
        )
        self.value_range = self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_solarization(x, *self.spans, key=key, value_range=self.value_range)

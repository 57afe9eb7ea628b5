"""Layers that change pictures at random while a model is trained, and pass them on otherwise.

What they compute is in `fl.data.augment`. All of them take pictures [N, H, W, C] or [H, W, C], or a
dict {"images": ..., "labels": ...}, and give float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fanlight.data import augment
from fanlight.layers import scope
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.tensor import Tensor, cast, image, random
from fanlight.tensor import functions as fn

__all__ = [
    "CutMix",
    "MixUp",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomHeight",
    "RandomHue",
    "RandomRotation",
    "RandomSaturation",
    "RandomShear",
    "RandomTranslation",
    "RandomWidth",
    "RandomZoom",
]

Factor = float | Sequence[float]
FILLS = ("reflect", "wrap", "constant", "nearest")


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


class Augmentation(Layer):
    """The base of layers that change pictures in training, and where they are called by
    themselves, as on a dataset; a model says whether it trains.

    One of your own has `augmented(x, key)`: float32 [N, H, W, C] and a key of `fl.random`.

    Args:
        seed: numbers then depend on it, beside the step of training.
        data_format: "channels_last", or "channels_first" for [N, C, H, W].
    """

    seed: int | None = None
    data_format = "channels_last"
    fills: tuple[str, ...] = FILLS
    # Whether what is in a picture comes to lie elsewhere: boxes and masks would have to move, too.
    moves = False
    trains_alone = True

    def _set_up(self, seed: Any, data_format: Any = None, interpolation: Any = None) -> None:
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise argument_error(self, "seed", "a whole number or None", seed)
        if data_format not in (None, "channels_last", "channels_first"):
            raise argument_error(
                self, "data_format", "channels_last or channels_first", data_format
            )
        if interpolation not in (None, "nearest", "bilinear"):
            raise argument_error(self, "interpolation", "nearest or bilinear", interpolation)
        self.seed, self.data_format = seed, data_format or "channels_last"

    def _filling(self, fill_mode: Any, fill_value: Any) -> None:
        if fill_mode not in self.fills:
            raise argument_error(self, "fill_mode", " or ".join(self.fills), fill_mode)
        if isinstance(fill_value, bool) or not isinstance(fill_value, int | float):
            raise argument_error(self, "fill_value", "a number", fill_value)

    def _span(
        self, argument: str, factor: Any, least: float = -1.0, most: float = 1.0
    ) -> tuple[float, float]:
        """(low, high) of a factor: a pair, or a number f for (-f, f), from `least` on."""
        number = isinstance(factor, int | float) and not isinstance(factor, bool)
        pair = [max(-abs(factor), least), abs(factor)] if number else factor
        good = isinstance(pair, list | tuple) and len(pair) == 2
        if (
            not good
            or not all(isinstance(v, int | float) for v in pair)
            or not least <= min(pair) <= max(pair) <= most
        ):
            raise argument_error(
                self, argument, f"a number, or (low, high), from {least:g} to {most:g}", factor
            )
        return float(min(pair)), float(max(pair))

    def _range(self, value_range: Any) -> tuple[float, float]:
        good = isinstance(value_range, list | tuple) and len(value_range) == 2
        if not good or not value_range[0] < value_range[1]:
            raise argument_error(self, "value_range", "(low, high)", value_range)
        return float(value_range[0]), float(value_range[1])

    def call(self, inputs: Any, training: bool = False) -> Any:
        if isinstance(inputs, Mapping):
            if "images" not in inputs:
                raise input_error(self, 'a dict with "images"', f"{', '.join(map(str, inputs))}")
            self._refuse_boxes(inputs)
            return {**inputs, "images": self._images(inputs["images"], training)}
        return self._images(inputs, training)

    def _refuse_boxes(self, inputs: Mapping[str, Any]) -> None:
        beside = {"bounding_boxes", "segmentation_masks"} & set(inputs)
        if self.moves and beside:
            raise input_error(
                self,
                '"images" and "labels": this layer moves what is in a picture, and no boxes or '
                "masks with it",
                ", ".join(sorted(beside)),
                "layers that only change colours leave boxes and masks as they are; move yours "
                "with fl.data.augment, which takes the amounts.",
            )

    def _images(self, images: Any, training: bool) -> Tensor:
        x = cast(images, "float32")
        if x.rank not in (3, 4):
            raise input_error(self, "pictures: [N, H, W, C] or [H, W, C]", x.type)
        batch = fn.expand_dims(x, 0) if x.rank == 3 else x
        first = self.data_format == "channels_first"
        if first:
            batch = fn.transpose(batch, (0, 2, 3, 1))
        if training:
            batch = self.augmented(batch, scope.next_key(self.seed))
        else:
            batch = self.unchanged(batch)
        if first:
            batch = fn.transpose(batch, (0, 3, 1, 2))
        return fn.reshape(batch, batch.shape[1:]) if x.rank == 3 else batch

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        """Pictures of training."""
        return x

    def unchanged(self, x: Tensor) -> Tensor:
        """Pictures of testing."""
        return x


# --- places ---------------------------------------------------------------------------------------


class RandomFlip(Augmentation):
    """Half of the pictures in a mirror, half of them upside down, or both."""

    fields = ("mode", "seed", "data_format")
    moves = True

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        modes = ("horizontal", "vertical", "horizontal_and_vertical")
        if mode not in modes:
            raise argument_error(self, "mode", " or ".join(modes), mode)
        self.mode = mode

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_flip(x, self.mode, key=key)


class RandomRotation(Augmentation):
    """Pictures turned about their middle.

    Args:
        factor: (low, high), shares of a whole turn; a number f is (-f, f).
        fill_mode: what is beyond the border: "reflect", "wrap", "nearest", or "constant", which is
            fill_value.
    """

    fields = ("factor", "fill_mode", "interpolation", "seed", "fill_value", "data_format")
    moves = True

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self._filling(fill_mode, fill_value)
        self.factor, self.span = factor, self._span("factor", factor)
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_rotation(
            x,
            self.span,
            key=key,
            fill_mode=self.fill_mode,
            interpolation=self.interpolation,
            fill_value=self.fill_value,
        )


class RandomTranslation(Augmentation):
    """Pictures moved.

    Args:
        height_factor, width_factor: (low, high), shares of height and width, positive: down and
            right; a number f is (-f, f).
        fill_mode, fill_value: see `RandomRotation`.
    """

    fields = (
        *("height_factor", "width_factor", "fill_mode", "interpolation", "seed"),
        *("fill_value", "data_format"),
    )
    moves = True

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self._filling(fill_mode, fill_value)
        self.height_factor, self.width_factor = height_factor, width_factor
        self.spans = (
            self._span("height_factor", height_factor),
            self._span("width_factor", width_factor),
        )
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_translation(
            x,
            *self.spans,
            key=key,
            fill_mode=self.fill_mode,
            interpolation=self.interpolation,
            fill_value=self.fill_value,
        )


class RandomZoom(Augmentation):
    """Pictures nearer or farther.

    Args:
        height_factor: (low, high): 1 + factor times the height is seen, so that below 0 they come
            nearer; a number f is (-f, f).
        width_factor: of the width; None: as the height, so that proportions stay.
        fill_mode, fill_value: see `RandomRotation`.
    """

    fields = RandomTranslation.fields
    moves = True

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self._filling(fill_mode, fill_value)
        self.height_factor, self.width_factor = height_factor, width_factor
        self.tall = self._span("height_factor", height_factor)
        self.wide = None if width_factor is None else self._span("width_factor", width_factor)
        if min(*self.tall, *(self.wide or ())) <= -1:
            raise argument_error(self, "height_factor", "factors above -1", height_factor)
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_zoom(
            x,
            self.tall,
            self.wide,
            key=key,
            fill_mode=self.fill_mode,
            interpolation=self.interpolation,
            fill_value=self.fill_value,
        )


class _RandomSide(Augmentation):
    """Pictures stretched along one side, about their middle, in a frame that stays."""

    fields = ("factor", "interpolation", "seed")
    moves = True
    tall = False

    def __init__(
        self,
        factor: Factor,
        interpolation: str = "bilinear",
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, None, interpolation)
        self.factor, self.span = factor, self._span("factor", factor)
        if self.span[0] <= -1:
            raise argument_error(self, "factor", "factors above -1", factor)
        self.interpolation = interpolation

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        low, high = self.span
        # A picture 1 + f times as wide shows 1 / (1 + f) of itself in the same frame.
        wide = 1.0 / (1.0 + random.uniform((x.shape[0],), low, high, key=key))
        height, width = (wide, 1.0) if self.tall else (1.0, wide)
        return augment.zoom(x, height, width, "nearest", self.interpolation)


class RandomHeight(_RandomSide):
    """Pictures stretched or pressed along their height.

    Keras 2's gives a batch another height each time. Sizes are fixed here, so the frame stays: what
    is too tall is cut on both sides, what is too short is continued by its border.

    Args:
        factor: (low, high): the height becomes 1 + factor times what it was; f is (-f, f).
    """

    tall = True


class RandomWidth(_RandomSide):
    """Pictures stretched or pressed along their width; see `RandomHeight`.

    Args:
        factor: (low, high): the width becomes 1 + factor times what it was; f is (-f, f).
    """


class RandomShear(Augmentation):
    """Pictures made slanting.

    Args:
        x_factor, y_factor: (low, high), shares of the height that the bottom row moves to the side,
            and of the width that the right column moves down; a number f is (-f, f).
        fill_mode, fill_value: see `RandomRotation`.
    """

    fields = (
        *("x_factor", "y_factor", "interpolation", "fill_mode", "fill_value", "data_format"),
        "seed",
    )
    moves = True

    def __init__(
        self,
        x_factor: Factor = 0.0,
        y_factor: Factor = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format, interpolation)
        self._filling(fill_mode, fill_value)
        self.x_factor, self.y_factor = x_factor, y_factor
        self.spans = self._span("x_factor", x_factor), self._span("y_factor", y_factor)
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_shear(
            x,
            *self.spans,
            key=key,
            fill_mode=self.fill_mode,
            interpolation=self.interpolation,
            fill_value=self.fill_value,
        )


class RandomCrop(Augmentation):
    """Parts of pictures, height x width: random ones in training, else the middle.

    Pictures that are not larger in both ways, and all those of testing, are cut to the proportions
    first and then resized.
    """

    fields = ("height", "width", "seed", "data_format")
    moves = True

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        for argument, value in (("height", height), ("width", width)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise argument_error(self, argument, "a whole number from 1 on", value)
        self.height, self.width = height, width

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        if x.shape[1] >= self.height and x.shape[2] >= self.width:
            return augment.random_crop(x, self.height, self.width, key=key)
        return self.unchanged(x)

    def unchanged(self, x: Tensor) -> Tensor:
        have = x.shape[1:3]
        # The largest part of these proportions.
        height = max(1, min(have[0], have[1] * self.height // self.width))
        width = max(1, min(have[1], have[0] * self.width // self.height))
        top, left = (have[0] - height) // 2, (have[1] - width) // 2
        middle = x[:, top : top + height, left : left + width]
        if (height, width) == (self.height, self.width):
            return middle
        return image.resize_bilinear(middle, (self.height, self.width), half_pixel_centers=True)


# --- colours --------------------------------------------------------------------------------------


class RandomBrightness(Augmentation):
    """Pictures brighter or darker.

    Args:
        factor: (low, high), shares of the range that are added; a number f is (-f, f).
        value_range: of the pictures; results are clipped to it.
    """

    fields = ("factor", "value_range", "seed")

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **options: Any,
    ) -> None:
        options.pop("data_format", None)  # Keras writes it, and has no use for it either
        super().__init__(**options)
        self._set_up(seed)
        self.factor, self.span = factor, self._span("factor", factor)
        self.value_range = self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_brightness(x, self.span, key=key, value_range=self.value_range)


class RandomContrast(Augmentation):
    """Pictures with more or less contrast: (x - mean) times a factor + mean, by channel.

    Args:
        factor: (low, high): the factor is from 1 - low to 1 + high; a number f is (0, f), as in
            Keras 3.
        value_range: of the pictures; results are clipped to it.
    """

    fields = ("factor", "value_range", "seed", "data_format")

    def __init__(
        self,
        factor: Factor,
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
        return augment.random_contrast(x, self.span, key=key, value_range=self.value_range)


class RandomSaturation(Augmentation):
    """Pictures with stronger or weaker colours.

    Args:
        factor: (low, high), of which f is drawn; saturation is times f / (1 - f): 0 is grey, 0.5 no
            change, 1 full. A number f is (-f, f), as in Keras 3; below 0 is grey, too.
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
        return augment.random_saturation(x, self.span, key=key, value_range=self.value_range)


class RandomHue(Augmentation):
    """Pictures with their hues turned.

    Args:
        factor: (low, high), shares of half a turn, in either direction; a number f is (0, f).
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
        return augment.random_hue(x, self.span, key=key, value_range=self.value_range)


class RandomGrayscale(Augmentation):
    """A share of the pictures in grey, with three channels still.

    Args:
        factor: the chance, from 0 to 1.
    """

    fields = ("factor", "data_format", "seed")

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor <= 1:
            raise argument_error(self, "factor", "a chance from 0 to 1", factor)
        self.factor = factor

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_grayscale(x, self.factor, key=key)


# --- parts ----------------------------------------------------------------------------------------


class RandomErasing(Augmentation):
    """A box of pictures filled. Source: Zhong et al. 2020, DeVries & Taylor 2017.

    Args:
        factor: (low, high), of which the chance is drawn for each picture; a number f is (0, f).
        scale: (low, high), shares drawn for height and width, whose roots are the box's.
        fill_value: a number, three of them, or None: noise.
    """

    fields = ("factor", "scale", "fill_value", "value_range", "seed", "data_format")

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)
        self.scale, self.shares = scale, self._span("scale", scale, 0.0)
        numbers = fill_value if isinstance(fill_value, list | tuple) else [fill_value]
        if fill_value is not None and not all(isinstance(v, int | float) for v in numbers):
            raise argument_error(self, "fill_value", "a number, three, or None", fill_value)
        self.fill_value, self.value_range = fill_value, self._range(value_range)

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        return augment.random_erasing(
            x, self.span, self.shares, self.fill_value, key=key, value_range=self.value_range
        )


class _Mixing(Augmentation):
    """Pictures that are mixed with others; labels of a dict, one-hot, are mixed as much."""

    moves = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not isinstance(inputs, Mapping) or inputs.get("labels") is None or not training:
            return super().call(inputs, training)
        self._refuse_boxes(inputs)
        x = cast(inputs["images"], "float32")
        if x.rank != 4:
            raise input_error(self, "a batch of pictures: [N, H, W, C]", x.type)
        first = self.data_format == "channels_first"
        x = fn.transpose(x, (0, 2, 3, 1)) if first else x
        mixed, labels = self.mixed(x, inputs["labels"], scope.next_key(self.seed))
        mixed = fn.transpose(mixed, (0, 3, 1, 2)) if first else mixed
        return {**inputs, "images": mixed, "labels": labels}

    def augmented(self, x: Tensor, key: Tensor) -> Tensor:
        result: Tensor = self.mixed(x, None, key)
        return result

    def mixed(self, x: Tensor, labels: Any, key: Tensor) -> Any:
        """Pictures, or (pictures, labels) if there are labels."""
        return x if labels is None else (x, labels)


class MixUp(_Mixing):
    """Pictures mixed with others of the batch. Source: Zhang et al. 2018.

    Give it {"images": x, "labels": one-hot y}, in `dataset.map`; of pictures alone labels cannot
    know how they were mixed.

    Args:
        alpha: of the beta distribution of weights; above 0.
    """

    fields = ("alpha", "data_format", "seed")

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not alpha > 0:
            raise argument_error(self, "alpha", "a number above 0", alpha)
        self.alpha = alpha

    def mixed(self, x: Tensor, labels: Any, key: Tensor) -> Any:
        return augment.mix_up(x, labels, self.alpha, key=key)


class CutMix(_Mixing):
    """Pictures with a box of others of the batch. Source: Yun et al. 2019. See `MixUp`.

    Args:
        factor: (low, high), of which alpha of the beta distribution of shares is drawn; a number f
            is (0, f).
    """

    fields = ("factor", "seed", "data_format")

    def __init__(
        self,
        factor: Factor = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set_up(seed, data_format)
        self.factor, self.span = factor, self._span("factor", factor, 0.0)

    def mixed(self, x: Tensor, labels: Any, key: Tensor) -> Any:
        return augment.cut_mix(x, labels, self.span, key=key)

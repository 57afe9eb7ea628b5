"""Layers that scale, pad, crop and enlarge.

Inputs are [N, ..., C], or [N, C, ...] with data_format="channels_first".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.layers import config
from fanlight.layers.arguments import data_format as format_of
from fanlight.layers.arguments import (
    from_last,
    one_of,
    pairs,
    per_dim,
    ranked,
    to_last,
    whole,
)
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.layers.resampling import METHODS, resized
from fanlight.tensor import Tensor, cast
from fanlight.tensor import functions as fn


class Rescaling(Layer):
    """x scale + offset.

    Args:
        scale, offset: numbers, or lists that broadcast to x: one per channel.
    """

    fields = ("scale", "offset")
    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = _numbers(self, "scale", scale), _numbers(self, "offset", offset)

    def call(self, inputs: Any) -> Tensor:
        scale, offset = (
            v if isinstance(v, int | float) else np.asarray(v, np.float32)
            for v in (self.scale, self.offset)
        )
        return cast(inputs, "float32") * scale + offset


def _numbers(layer: Layer, argument: str, value: Any) -> Any:
    """A number or a list of numbers; E-LAYER-004."""
    found = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    try:
        if np.asarray(found).dtype.kind in "fiu":
            return found
    except ValueError:  # rows of several lengths
        pass
    raise argument_error(layer, argument, "a number or a list of them", value)


# --- padding --------------------------------------------------------------------------------------


class _ZeroPadding(Layer):
    """Zeros around."""

    fields = ("padding", "data_format")
    dims = 0

    def __init__(self, padding: Any = 1, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        found = pairs(self, "padding", padding, self.dims)
        # As Keras writes it: one pair for one dim.
        self.padding: Any = found[0] if self.dims == 1 else found
        self.data_format = format_of(self, data_format)

    def call(self, inputs: Any) -> Tensor:
        x = ranked(self, inputs, self.dims + 2, moved=True)
        around = [self.padding] if self.dims == 1 else list(self.padding)
        if self.data_format == "channels_first":
            return fn.pad(x, [(0, 0), (0, 0), *around])
        return fn.pad(x, [(0, 0), *around, (0, 0)])


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and behind [N, W, C].

    Args:
        padding: how many on each side, or (before, behind).
    """

    dims = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around [N, H, W, C].

    Args:
        padding: how many on each side; (rows, columns); or ((top, bottom), (left, right)).
    """

    dims = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around [N, D, H, W, C].

    Args:
        padding: how many on each side; one number per dim; or a pair per dim.
    """

    dims = 3


# --- cropping -------------------------------------------------------------------------------------


class _Cropping(Layer):
    """What is left without the borders."""

    fields: tuple[str, ...] = ("cropping", "data_format")
    dims = 0

    def _set(self, cropping: Any, format: Any) -> None:
        found = pairs(self, "cropping", cropping, self.dims)
        self.cropping: Any = found[0] if self.dims == 1 else found
        self.data_format = format_of(self, format)

    def call(self, inputs: Any) -> Tensor:
        x = ranked(self, inputs, self.dims + 2, moved=True)
        cuts = [self.cropping] if self.dims == 1 else list(self.cropping)
        first = 2 if self.data_format == "channels_first" else 1
        index = [slice(None)] * x.rank
        for d, (before, behind) in enumerate(cuts):
            size = x.shape[first + d]
            if before + behind >= size:
                expected = f"more than {before + behind} places along dim {first + d}"
                raise input_error(self, expected, x.type)
            index[first + d] = slice(before, size - behind)
        return x[tuple(index)]


class Cropping1D(_Cropping):
    """[N, W, C] without its first and last places.

    Args:
        cropping: how many on each side, or (before, behind).
    """

    fields = ("cropping",)
    dims = 1

    def __init__(self, cropping: Any = (1, 1), **options: Any) -> None:
        super().__init__(**options)
        self._set(cropping, None)


class Cropping2D(_Cropping):
    """[N, H, W, C] without its borders.

    Args:
        cropping: how many on each side; (rows, columns); or ((top, bottom), (left, right)).
    """

    dims = 2

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._set(cropping, data_format)


class Cropping3D(_Cropping):
    """[N, D, H, W, C] without its borders.

    Args:
        cropping: how many on each side; one number per dim; or a pair per dim.
    """

    dims = 3

    def __init__(
        self,
        cropping: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._set(cropping, data_format)


# --- enlarging ------------------------------------------------------------------------------------


def _repeated(x: Tensor, axis: int, times: int) -> Tensor:
    """Each slice along an axis so many times."""
    if times == 1:
        return x
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    wide = fn.broadcast_to(fn.reshape(x, (*before, n, 1, *after)), (*before, n, times, *after))
    return fn.reshape(wide, (*before, n * times, *after))


class UpSampling1D(Layer):
    """Each place of [N, W, C] `size` times: [N, W size, C]."""

    fields = ("size",)

    def __init__(self, size: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.size = whole(self, "size", size)

    def call(self, inputs: Any) -> Tensor:
        return _repeated(ranked(self, inputs, 3, moved=True), 1, self.size)


class UpSampling2D(Layer):
    """[N, H, W, C] -> [N, H size, W size, C].

    Args:
        size: a whole number, or (rows, columns).
        interpolation: "nearest", which repeats; "bilinear", "bicubic", "lanczos3", "lanczos5".
    """

    fields = ("size", "data_format", "interpolation")

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.size = per_dim(self, "size", size, 2)
        self.data_format = format_of(self, data_format)
        self.interpolation = one_of(self, "interpolation", interpolation, METHODS)

    def call(self, inputs: Any) -> Tensor:
        x = to_last(
            ranked(self, inputs, 4, moved=self.interpolation == "nearest"), self.data_format
        )
        if self.interpolation == "nearest":
            y = _repeated(_repeated(x, 1, self.size[0]), 2, self.size[1])
        else:
            to = (x.shape[1] * self.size[0], x.shape[2] * self.size[1])
            y = resized(x, to, self.interpolation)
        return from_last(y, self.data_format)


class UpSampling3D(Layer):
    """Each place of [N, D, H, W, C] `size` times along each of D, H, W."""

    fields = ("size", "data_format")

    def __init__(
        self, size: Any = (2, 2, 2), data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.size = per_dim(self, "size", size, 3)
        self.data_format = format_of(self, data_format)

    def call(self, inputs: Any) -> Tensor:
        x = to_last(ranked(self, inputs, 5, moved=True), self.data_format)
        for d, times in enumerate(self.size):
            x = _repeated(x, d + 1, times)
        return from_last(x, self.data_format)


# --- images ---------------------------------------------------------------------------------------


class _Images(Layer):
    """A layer of images [N, H, W, C], or of one image [H, W, C]."""

    data_format: str

    def made(self, x: Tensor) -> Tensor:
        """What [N, H, W, C] becomes."""
        raise config.unwritten(self, "made")

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        if x.rank not in (3, 4):
            raise input_error(self, "images [N, H, W, C], or one [H, W, C]", x.type)
        one = x.rank == 3
        x = fn.reshape(x, (1, *x.shape)) if one else x
        y = from_last(self.made(to_last(x, self.data_format)), self.data_format)
        return fn.reshape(y, y.shape[1:]) if one else y


def _cropped(x: Tensor, height: int, width: int) -> Tensor:
    """The middle of images."""
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width, :]


def _fitting(x: Tensor, height: int, width: int) -> Tensor:
    """The middle of images that has the ratio of height to width."""
    rows, columns = x.shape[1:3]
    high = min(rows, int(float(columns * height) / width))
    return _cropped(x, high, min(columns, int(float(rows * width) / height)))


class Resizing(_Images):
    """Images of another size: pixels are squares, and pixel i of m lies at (i + 1/2) n / m - 1/2.

    Args:
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: whether borders are cut off that would change the ratio of the sides.
        pad_to_aspect_ratio: whether borders of fill_value are added for that instead.
        fill_mode: "constant".
        antialias: whether the filter gets wider where images get smaller.
    """

    fields = (
        "height",
        "width",
        "interpolation",
        "crop_to_aspect_ratio",
        "pad_to_aspect_ratio",
        "fill_mode",
        "fill_value",
        "antialias",
        "data_format",
    )

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.height, self.width = whole(self, "height", height), whole(self, "width", width)
        self.interpolation = one_of(self, "interpolation", interpolation, METHODS)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            expected = "False where crop_to_aspect_ratio is True"
            raise argument_error(self, "pad_to_aspect_ratio", expected, pad_to_aspect_ratio)
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = bool(pad_to_aspect_ratio)
        self.fill_mode = one_of(self, "fill_mode", fill_mode, ("constant",))
        self.fill_value, self.antialias = float(fill_value), bool(antialias)
        self.data_format = format_of(self, data_format)

    def made(self, x: Tensor) -> Tensor:
        size = (self.height, self.width)
        if self.crop_to_aspect_ratio:
            x = _fitting(x, *size)
        elif self.pad_to_aspect_ratio:
            rows, columns = x.shape[1:3]
            high = max(rows, int(float(columns * self.height) / self.width))
            wide = max(columns, int(float(rows * self.width) / self.height))
            top, left = (high - rows) // 2, (wide - columns) // 2
            x = fn.pad(x, [(0, 0), (top, top), (left, left), (0, 0)], self.fill_value)
        return resized(x, size, self.interpolation, self.antialias)


class CenterCrop(_Images):
    """The middle of images; smaller ones are cut to the ratio of the sides and enlarged."""

    fields = ("height", "width", "data_format")

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.height, self.width = whole(self, "height", height), whole(self, "width", width)
        self.data_format = format_of(self, data_format)

    def made(self, x: Tensor) -> Tensor:
        if x.shape[1] >= self.height and x.shape[2] >= self.width:
            return _cropped(x, self.height, self.width)
        return resized(_fitting(x, self.height, self.width), (self.height, self.width), "bilinear")


__all__ = [
    "CenterCrop",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Rescaling",
    "Resizing",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

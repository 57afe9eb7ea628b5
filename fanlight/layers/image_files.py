"""Pictures from and to files, as `keras.utils` has them; Pillow is loaded when they are called."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.atomic import write_file
from fanlight.pictures import open_image
from fanlight.tensor.caller import caller

if TYPE_CHECKING:
    from PIL import Image

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_METHODS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def wrong(argument: str, expected: str, received: Any, code: str = "E-LAYER-004") -> FanlightError:
    """The error of an argument of a function of `fl.utils`."""
    return FanlightError(
        code,
        f"this is no {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=received if isinstance(received, str) else repr(received)[:200],
    )


def _first(data_format: Any) -> bool:
    if data_format not in (None, "channels_last", "channels_first"):
        raise wrong("data_format", "channels_last or channels_first", data_format)
    return bool(data_format == "channels_first")


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Sequence[int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image.Image:
    """A picture of a file, as Pillow has it.

    Args:
        path: a path, bytes, or an open file.
        color_mode: "rgb", "rgba" or "grayscale".
        target_size: (height, width); default: its own.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
        keep_aspect_ratio: cut the middle in the proportions of target_size first.

    Raises:
        FanlightError: E-INPUT-010 to 013 what is no picture, damaged, too large or not there.
    """
    from PIL import Image

    if color_mode not in _MODES:
        raise wrong("color_mode", ", ".join(_MODES), color_mode)
    if interpolation not in _METHODS:
        raise wrong("interpolation", ", ".join(_METHODS), interpolation)
    picture: Any = open_image(path)
    deep = color_mode == "grayscale" and picture.mode in ("I;16", "I")
    if picture.mode != _MODES[color_mode] and not deep:
        picture = picture.convert(_MODES[color_mode])
    if target_size is None:
        return picture
    height, width = map(int, target_size)
    if picture.size == (width, height):
        return picture
    box = None
    if keep_aspect_ratio:
        wide, tall = picture.size
        h = min(tall, wide * height // width)
        w = min(wide, tall * width // height)
        left, top = (wide - w) // 2, (tall - h) // 2
        box = (left, top, left + w, top + h)
    method = getattr(Image.Resampling, interpolation.upper())
    return picture.resize((width, height), method, box=box)


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """A picture of Pillow's as an array: float32 [H, W, C], values as they are."""
    x = np.asarray(img, dtype or np.float32)
    if x.ndim == 2:
        x = x[..., None]
    if x.ndim != 3:
        raise wrong("x", "a picture: [H, W] or [H, W, C]", f"shape {x.shape}", "E-INPUT-002")
    return x.transpose(2, 0, 1) if _first(data_format) else x


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Image.Image:
    """An array [H, W, C] as a picture of Pillow's: one channel, three, or four.

    Args:
        scale: bring the values to 0 to 255: the least becomes 0, the greatest 255.
    """
    from PIL import Image

    array = np.array(x, dtype or np.float32)
    if array.ndim == 3 and _first(data_format):
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise wrong("x", "[H, W, C] with 1, 3 or 4 channels", f"shape {array.shape}", "E-INPUT-002")
    if scale and array.size:
        array = array - array.min()
        array = array * (255 / array.max()) if array.max() else array
    if array.shape[2] == 1:
        deep = array.max(initial=0) > 255
        return Image.fromarray(array[..., 0].astype("int32" if deep else "uint8"))
    return Image.fromarray(array.astype("uint8"))


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **options: Any,
) -> None:
    """Write an array [H, W, C] as a picture; a file that is there stays whole until then.

    Args:
        file_format: default: what the path ends in.
        options: of Pillow's `Image.save`: quality=90.
    """
    named = isinstance(path, str | os.PathLike)
    kind = file_format or (Path(path).suffix[1:] if named else "png")
    kind = "jpeg" if kind.lower() == "jpg" else kind.lower()
    picture = array_to_img(x, data_format, scale)
    if kind == "jpeg" and picture.mode == "RGBA":  # a JPEG has no transparency
        picture = picture.convert("RGB")
    data: Any = io.BytesIO() if named else path
    try:
        picture.save(data, format=kind, **options)
    except (KeyError, ValueError, OSError) as error:
        raise wrong("path", "a file that can be written as a picture", str(error)) from None
    if named:
        write_file(Path(path), data.getvalue())


__all__ = ["array_to_img", "img_to_array", "load_img", "save_img"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

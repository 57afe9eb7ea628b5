"""Image file -> RGBA bytes, as a browser's decoder would hand them to a bundle.

Decoding is the one step of the data path that is not in the graph: a page has the browser's
decoder, Python has Pillow. What both give is the same: upright, opaque RGBA.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fanlight.errors import FanlightError

if TYPE_CHECKING:
    from PIL import Image

# A 100-megapixel photo is 400 MB of RGBA; a few kilobytes of PNG can claim far more than that.
MAX_PIXELS = 100_000_000
# What browsers and cameras write. Pillow knows more: one of them (EPS) would run another program.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "ICO", "PPM", "AVIF", "TGA")
# EXIF orientations that swap width and height.
_SIDEWAYS = {5, 6, 7, 8}
_ORIENTATION = 0x0112


def decode_image(
    source: str | Path | bytes | BinaryIO,
    *,
    max_height: int | None = None,
    max_width: int | None = None,
) -> np.ndarray:
    """Decode an image file to uint8 RGBA `[height, width, 4]`.

    The EXIF orientation is applied, transparency is composited on white, and an image larger than
    the bounds is reduced to fit them with its proportions kept (JPEG: while decoding).

    Args:
        source: path, encoded bytes or an open binary file.
        max_height, max_width: bounds of the result in pixels; None = no bound.

    Raises:
        FanlightError: E-INPUT-010 not an image, E-INPUT-011 damaged or truncated, E-INPUT-012 more
            than 100 megapixels, E-INPUT-013 the file cannot be opened.
    """
    where = str(source) if isinstance(source, str | Path) else "the given bytes"
    with _quiet(), _opened(source, where) as image, _damage_is_coded(where):
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_large(where, f"{width} x {height} pixels")
        orientation = image.getexif().get(_ORIENTATION, 1)
        sideways = orientation in _SIDEWAYS
        if sideways:
            width, height = height, width
        new_width, new_height = fit(width, height, max_width, max_height)
        stored = (new_height, new_width) if sideways else (new_width, new_height)
        return _upright_rgba(image, stored, orientation)


def decode_sized(
    source: str | Path | bytes | BinaryIO, size: tuple[int, int], how: str = "stretch"
) -> np.ndarray:
    """Decode an image file to uint8 RGB of one size: [height, width, 3].

    Args:
        size: (height, width).
        how: "stretch": proportions change; "crop": the middle that fills the size; "pad": all of
            it, with black borders.

    Raises:
        FanlightError: see `decode_image`.
    """
    where = str(source) if isinstance(source, str | Path) else "the given bytes"
    with _quiet(), _opened(source, where) as image, _damage_is_coded(where):
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_large(where, f"{width} x {height} pixels")
        orientation = image.getexif().get(_ORIENTATION, 1)
        sideways = orientation in _SIDEWAYS
        if sideways:
            width, height = height, width
        down, across = size[0] / height, size[1] / width
        if how != "stretch":
            down = across = max(down, across) if how == "crop" else min(down, across)
        rows, columns = max(1, round(height * down)), max(1, round(width * across))
        if rows * columns > MAX_PIXELS:
            raise _too_large(where, f"{width} x {height} pixels, {columns} x {rows} when resized")
        stored = (rows, columns) if sideways else (columns, rows)
        picture = _upright_rgba(image, stored, orientation)[..., :3]
    if how == "stretch":
        return np.ascontiguousarray(picture)
    made = np.zeros((*size, 3), np.uint8)
    parts = []
    for have, want in ((rows, size[0]), (columns, size[1])):
        many = min(have, want)
        source_at, at = (have - many) // 2, (want - many) // 2
        parts.append((slice(source_at, source_at + many), slice(at, at + many)))
    (top, to_top), (left, to_left) = parts
    made[to_top, to_left] = picture[top, left]
    return made


def fit(
    width: int,
    height: int,
    max_width: int | None,
    max_height: int | None,
) -> tuple[int, int]:
    """The largest (width, height) of the same proportions within the bounds, at least 1 x 1."""
    scale = min(
        1.0,
        max_width / width if max_width else 1.0,
        max_height / height if max_height else 1.0,
    )
    if scale == 1.0:
        return width, height
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def open_image(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """A decoded image as Pillow has it, its orientation and mode as they are in the file.

    Raises:
        FanlightError: as `decode_image`.
    """
    where = str(source) if isinstance(source, str | Path) else "the given bytes"
    with _quiet(), _opened(source, where) as image, _damage_is_coded(where):
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_large(where, f"{width} x {height} pixels")
        image.load()
        return image.copy()


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of odd metadata and large pictures; ours is to decode them or to refuse them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO, where: str) -> Iterator[Image.Image]:
    from PIL import Image, UnidentifiedImageError

    try:
        Image.init()  # else Pillow does not know yet which formats it was built with
        known = [name for name in FORMATS if name in Image.OPEN]
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        opened = Image.open(file, formats=known)
    except Image.DecompressionBombError as problem:
        raise _too_large(where, str(problem)) from problem
    except UnidentifiedImageError as problem:
        raise FanlightError(
            "E-INPUT-010",
            "This file is not an image.",
            where=where,
            expected="JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, ICO, PPM or TGA",
            received=_first_bytes(source),
            next="check the path, or convert the file to JPEG or PNG",
        ) from problem
    except OSError as problem:
        if problem.errno is None:  # Pillow's own, on a header cut short
            raise _damaged(where, problem) from problem
        raise FanlightError(
            "E-INPUT-013",
            "The image file cannot be opened.",
            where=where,
            expected="an image file that can be read",
            received=problem.strerror,
            next="name the photos in it, such as FOLDER/*.jpg"
            if isinstance(problem, IsADirectoryError)
            else "check the path and its permissions",
        ) from problem
    except (ValueError, SyntaxError, EOFError) as problem:
        raise _damaged(where, problem) from problem
    with opened:
        yield opened


@contextmanager
def _damage_is_coded(where: str) -> Iterator[None]:
    """Pillow reports damaged files by whatever its decoders raise; they all mean the same here."""
    import struct
    import zlib

    try:
        yield
    except FanlightError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as e:
        raise _damaged(where, e) from e


def _upright_rgba(image: Image.Image, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Decode, reduce to `size` (as stored, before the orientation), turn upright, make opaque."""
    from PIL import Image

    if size != image.size:
        # JPEG decodes at 1/2, 1/4 or 1/8 almost for free; draft never goes below the asked size.
        image.draft(None, size)
    image.load()
    picture: Any = _eight_bit(image)
    if picture.mode != "RGB":
        picture = picture.convert("RGBA")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return np.array(_upright(picture, orientation).convert("RGBA"), dtype=np.uint8)


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Undo the camera's EXIF orientation (1..8; anything else is left as it is)."""
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey keeps its high byte, as in browsers; Pillow's own conversion would clip it."""
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values.clip(0, 65535) >> 8).astype(np.uint8))
    return image


def _first_bytes(source: str | Path | bytes | BinaryIO) -> str:
    if isinstance(source, bytes):
        head, size = source[:16], len(source)
    elif isinstance(source, str | Path):
        with open(source, "rb") as file:
            head = file.read(16)
        size = Path(source).stat().st_size
    else:
        return "a stream of something else"
    return f"{size} bytes that begin with {head!r}" if size else "an empty file"


def _damaged(where: str, problem: Exception) -> FanlightError:
    return FanlightError(
        "E-INPUT-011",
        "The image is damaged or cut short.",
        where=where,
        expected="a whole image file",
        received=str(problem) or type(problem).__name__,
        next="fetch or export the file again",
    )


def _too_large(where: str, received: str) -> FanlightError:
    return FanlightError(
        "E-INPUT-012",
        "The image is too large to decode.",
        where=where,
        expected=f"at most {MAX_PIXELS // 1_000_000} megapixels",
        received=received,
        next="scale it down first; a model sees a few hundred pixels of it anyway",
    )

"""decode_image: upright, opaque, bounded RGBA, and coded errors for everything else."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fanlight.errors import FanlightError
from fanlight.pictures import decode_image, fit

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 9, 3)).astype(np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_rgb_gets_an_opaque_alpha() -> None:
    pixels = decode_image(encoded(Image.fromarray(RGB)))
    assert pixels.dtype == np.uint8 and pixels.shape == (6, 9, 4)
    assert pixels.flags.c_contiguous and pixels.flags.writeable
    np.testing.assert_array_equal(pixels[..., :3], RGB)
    assert (pixels[..., 3] == 255).all()


def test_paths_and_open_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    with path.open("rb") as file:
        np.testing.assert_array_equal(decode_image(file), decode_image(path))
    np.testing.assert_array_equal(decode_image(str(path)), decode_image(path))


def test_transparency_is_composited_on_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = (0, 128, 255)
    pixels = decode_image(encoded(Image.fromarray(rgba)))
    np.testing.assert_array_equal(pixels[0, 0], (255, 255, 255, 255))
    assert abs(int(pixels[0, 1, 0]) - 227) <= 1 and abs(int(pixels[0, 1, 1]) - 127) <= 1
    np.testing.assert_array_equal(pixels[0, 2], (200, 0, 0, 255))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "YCbCr"])
def test_every_mode_decodes(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 5), 0x80FF, np.uint16))
    else:
        image = Image.new("RGB", (5, 4), (128, 128, 128)).convert(mode)
    format = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    pixels = decode_image(encoded(image, format))
    assert pixels.shape == (4, 5, 4)
    if mode not in ("1", "P"):  # which dither
        assert np.abs(pixels[..., :3].astype(int) - 128).max() <= 2


def test_transparent_palette() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels = decode_image(encoded(image, "PNG", transparency=0))
    np.testing.assert_array_equal(pixels[0], [(255, 255, 255, 255), (40, 50, 60, 255)])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(Image.fromarray(RGB), "PNG", exif=exif.tobytes())
    with Image.open(io.BytesIO(stored)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = decode_image(stored)
    np.testing.assert_array_equal(pixels[..., :3], upright)
    assert pixels.shape[:2] == ((9, 6) if orientation >= 5 else (6, 9))


def test_bounds_hold_after_the_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = encoded(Image.new("RGB", (800, 400)), "JPEG", exif=exif.tobytes())
    assert decode_image(stored, max_width=100).shape == (200, 100, 4)
    assert decode_image(stored, max_height=100).shape == (100, 50, 4)


def test_a_large_jpeg_is_reduced_and_keeps_its_colours() -> None:
    left_red = np.zeros((1200, 1600, 3), np.uint8)
    left_red[:, :800, 0] = 250
    pixels = decode_image(encoded(Image.fromarray(left_red), "JPEG"), max_width=115, max_height=87)
    height, width = pixels.shape[:2]
    assert height <= 87 and width <= 115 and height * width > 9_000
    assert abs(width / height - 1600 / 1200) < 0.03
    assert pixels[height // 2, width // 4, 0] > 230 and pixels[height // 2, -width // 4, 0] < 20


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    max_width=st.none() | st.integers(1, 5_000),
    max_height=st.none() | st.integers(1, 5_000),
)
def test_fit_is_within_all_bounds(
    width: int,
    height: int,
    max_width: int | None,
    max_height: int | None,
) -> None:
    w, h = fit(width, height, max_width, max_height)
    assert 1 <= w <= min(width, max_width or width)
    assert 1 <= h <= min(height, max_height or height)
    if width <= (max_width or width) and height <= (max_height or height):
        assert (w, h) == (width, height)


def coded(data: Any) -> str:
    with pytest.raises(FanlightError) as caught:
        decode_image(data)
    return caught.value.code


@pytest.mark.parametrize("data", [b"", b"hello, I am text", b"\x00" * 64, b"%PDF-1.7 ..."])
def test_not_an_image(data: bytes, tmp_path: Path) -> None:
    assert coded(data) == "E-INPUT-010"
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert coded(path) == "E-INPUT-010"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_truncated(format: str) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    whole = encoded(Image.fromarray(noise), format)
    assert decode_image(whole).shape == (64, 64, 4)
    assert coded(whole[: len(whole) // 2]) in {"E-INPUT-010", "E-INPUT-011"}


@given(st.data())
def test_damaged_files_give_coded_errors_only(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF"]))
    whole = bytearray(encoded(Image.fromarray(RGB), format))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        assert decode_image(cut).dtype == np.uint8
    except FanlightError as problem:
        assert problem.code.startswith("E-INPUT-01")


def test_missing_and_folder(tmp_path: Path) -> None:
    assert coded(tmp_path / "nothing.png") == "E-INPUT-013"
    assert coded(tmp_path) == "E-INPUT-013"


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    for side in (10_001, 30_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))
        assert coded(bomb) == "E-INPUT-012"


def test_shared_photos_decode(shared: Path) -> None:
    photos = sorted(p for p in (shared / "data" / "photos").iterdir() if p.suffix != ".txt")
    assert photos
    for photo in photos:
        assert decode_image(photo, max_width=500, max_height=400).shape[2] == 4


def test_formats_that_would_run_a_program_are_no_images() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"
    with pytest.raises(FanlightError) as caught:
        decode_image(eps)
    assert caught.value.code == "E-INPUT-010"

"""Photos of every kind, good and bad, as files."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms

RED, GREEN, BLUE, WHITE = (230, 20, 20), (20, 200, 20), (20, 20, 230), (255, 255, 255)


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green / blue, white: which way up it is can be seen."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    """A JPEG that is upright only as EXIF says, and says where it was taken."""
    back = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    image = quarters()
    for step in back.get(orientation, []):
        image = image.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A camera of somebody"
    return saved(image, "JPEG", exif=exif, quality=95, comment=b"a secret", subsampling=0)


def swapped_profile() -> bytes:
    """A colour profile in which red is what others call green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    places = {}
    for i in range(count):
        at = 132 + 12 * i
        places[bytes(profile[at : at + 4])] = at
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    for name in (b"sRGB", "sRGB".encode("utf-16-be")):
        while (at := profile.find(name)) >= 0:
            profile[at : at + len(name)] = b"x" * len(name)
    return bytes(profile)


def moving(kind: str) -> bytes:
    """Quarters first, then black."""
    others = [Image.new("RGB", (64, 48)) for _ in range(2)]
    return saved(quarters(), kind, save_all=True, append_images=others, duration=20, loop=0)


def chunk(name: bytes, data: bytes) -> bytes:
    checked = name + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def huge_png(side: int = 20_000) -> bytes:
    """A PNG that says that it is so large, in a hundred bytes."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    pieces = (chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def huge_jpeg() -> bytes:
    data = bytearray(saved(quarters(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    return bytes(data)


def huge_gif() -> bytes:
    """Small by its head, but its first frame is not."""
    data = bytearray(saved(quarters(), "GIF"))
    at = 13 + (3 << ((data[10] & 7) + 1))
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    data[at + 5 : at + 9] = struct.pack("<HH", 50_000, 50_000)
    return bytes(data)


def huge_webp() -> bytes:
    side = (16_384 - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + bytes([0, 0, 0, 0]) + side + side
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def huge_bmp() -> bytes:
    data = bytearray(saved(quarters(), "BMP"))
    data[18:26] = struct.pack("<ii", 40_000, -40_000)
    return bytes(data)


def heic(width: int, height: int) -> bytes:
    """As much of a HEIC as tells its size."""
    size = b"ispe" + struct.pack(">III", 0, width, height)
    kinds = b"ftypheic" + bytes(4) + b"mif1heic"
    return struct.pack(">I", 24) + kinds + struct.pack(">I", 20) + size + bytes(400)


def good_photos() -> dict[str, bytes]:
    """Of each kind that is taken: all are `quarters`, 64 x 48, however they are written."""
    image = quarters()
    clear = image.convert("RGBA")
    clear.paste((0, 0, 0, 0), (32, 24, 64, 48))  # see-through where it is white
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    swap = Image.merge("RGB", [image.getchannel(i) for i in (1, 0, 2)])
    files = {
        "plain.jpg": saved(image, "JPEG", quality=95, subsampling=0),
        "progressive.jpg": saved(image, "JPEG", quality=95, progressive=True, subsampling=0),
        "plain.png": saved(image, "PNG"),
        "palette.png": saved(palette, "PNG"),
        "clear.png": saved(clear, "PNG"),
        "plain.webp": saved(image, "WEBP", lossless=True),
        "lossy.webp": saved(image, "WEBP", quality=95),
        "clear.webp": saved(clear, "WEBP", lossless=True),
        "plain.gif": saved(image, "GIF"),
        "plain.bmp": saved(image, "BMP"),
        "plain.avif": saved(image, "AVIF", quality=95),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG", quality=95, subsampling=0),
        "colours.jpg": saved(swap, "JPEG", quality=95, icc_profile=swapped_profile()),
        "colours.png": saved(swap, "PNG", icc_profile=swapped_profile()),
        "colours.webp": saved(swap, "WEBP", lossless=True, icc_profile=swapped_profile()),
        "moving.gif": moving("GIF"),
        "moving.png": moving("PNG"),
        "moving.webp": moving("WEBP"),
    }
    return files | {f"turned{n}.jpg": turned(n) for n in range(1, 9)}


def bad_photos() -> dict[str, tuple[bytes, str, str]]:
    """Of each kind that is refused: its bytes, the code, and what the words must name."""
    image = quarters(200, 150)
    noise = Image.effect_noise((200, 150), 80).convert("RGB")
    jpeg, png = saved(noise, "JPEG"), saved(noise, "PNG")
    webp, gif = saved(noise, "WEBP"), saved(noise, "GIF")
    wrong, large = "E-STUDIO-010", "E-STUDIO-011"
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 255
    return {
        "empty.jpg": (b"", wrong, "empty"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], wrong, "cut off"),
        "cut2.jpg": (jpeg[:-2], wrong, "cut off"),
        "head.jpg": (jpeg[:3], wrong, "cut off"),
        "cut.png": (png[: len(png) // 2], wrong, "cut off"),
        "damaged.png": (bytes(damaged), wrong, "PNG"),
        "cut.webp": (webp[: len(webp) // 2], wrong, "cut off"),
        "cut.gif": (gif[:40], wrong, "cut off"),
        "cut.bmp": (saved(image, "BMP")[:20], wrong, "cut off"),
        "notes.jpg": (b"These are notes, not a photo.", wrong, "another kind"),
        "noise.jpg": (b"\xff\xd8" + bytes(range(256)) * 9, wrong, "JPEG"),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', wrong, "SVG"),
        "scan.tiff": (saved(image, "TIFF"), wrong, "TIFF"),
        "paper.pdf": (b"%PDF-1.7\n", wrong, "PDF"),
        "film.mp4": (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(99), wrong, "film"),
        "phone.heic": (heic(4032, 3024), wrong, "iPhone"),
        "huge.heic": (heic(40_320, 30_240), large, "40320 x 30240"),
        "huge.png": (huge_png(), large, "20000 x 20000"),
        "huge.jpg": (huge_jpeg(), large, "60000 x 60000"),
        "huge.gif": (huge_gif(), large, "50000 x 50000"),
        "huge.webp": (huge_webp(), large, "16384 x 16384"),
        "huge.bmp": (huge_bmp(), large, "40000 x 40000"),
    }

"""A camera whose picture a test knows: red like the photos to teach with, its left half darker."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 320, 240
BLOCK = 10
# The left half is less red than this, the right one more.
BETWEEN = 185


def film(path: Path) -> list[str]:
    """Write what a camera shows to FILE.y4m, and give Chromium's flags for it."""
    rng = np.random.default_rng(4)
    rows, columns = HEIGHT // BLOCK, WIDTH // BLOCK
    colours = rng.integers(0, 90, (3, rows, columns))
    colours[0] = rng.integers(140, 165, (rows, columns))
    colours[0, :, columns // 2 :] += 65
    red, green, blue = colours.repeat(BLOCK, 1).repeat(BLOCK, 2)
    luma = 16 + (65.5 * red + 128.6 * green + 25.0 * blue) / 255
    cb = 128 + (-37.8 * red - 74.2 * green + 112 * blue) / 255
    cr = 128 + (112 * red - 93.8 * green - 18.2 * blue) / 255
    planes = (luma, cb[::2, ::2], cr[::2, ::2])  # colours by four pixels
    frame = b"FRAME\n" + b"".join(np.round(plane).astype(np.uint8).tobytes() for plane in planes)
    path.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F20:1 Ip A1:1 C420\n".encode() + 4 * frame)
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
    ]

"""A Studio that is small enough to be built for tests, and photos to teach it with."""

from __future__ import annotations

import functools
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np

import fanlight as fl
from tests.studio.nets import plain

# A page of Studio's origin that has nothing but what a test calls.
BARE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>bare</title>'


def write_studio(folder: Path) -> None:
    """Studio with a backbone that tells colours; one block of it may learn, too."""
    shutil.copytree(Path(_built().name) / "site", folder, dirs_exist_ok=True)


@functools.cache
def _built() -> tempfile.TemporaryDirectory[str]:
    """The same folder for every test of this process, which takes seconds to build."""
    folder = tempfile.TemporaryDirectory(prefix="studio-")
    site = Path(folder.name) / "site"
    fl.studio(site, plain(), input_range=(-1, 1), unfreeze=[2], title="Small", compress=False)
    return folder


def photo(kind: str, number: int) -> bytes:
    """A PNG of 24 pixels, mostly red or mostly blue."""
    from PIL import Image

    rng = np.random.default_rng(number + 1000 * (kind == "blue"))
    pixels = rng.integers(0, 90, (24, 24, 3)).astype(np.uint8)
    pixels[..., {"red": 0, "green": 1, "blue": 2}[kind]] += 140
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def photos(kind: str, count: int, start: int = 0) -> list[list[int]]:
    """As a page takes them."""
    return [list(photo(kind, start + i)) for i in range(count)]

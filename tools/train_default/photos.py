"""The data set in memory, and its batches for training."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

import fanlight as fl
from train_default.network import SIZE

augment = fl.data.augment
CUTMIX = 0.25  # share of the batches


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name only once it is whole."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        yield file
    os.replace(part, path)


@dataclass(frozen=True)
class Photos:
    """The data set.

    Attributes:
        pixels: uint8 [n, 64, 64, 3].
        labels: class numbers, [n].
        train, held: the rows of the two splits.
        words: WordNet's synonyms of each class.
    """

    pixels: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    held: np.ndarray
    words: Sequence[str]


def load(path: Path, work: Path) -> Photos:
    """The archive's photos, decoded once and kept in the folder `work`."""
    archive = np.load(path)
    cache = work / "pixels.npy"
    if not cache.exists():
        from PIL import Image

        data, ends = archive["webp"].tobytes(), archive["offsets"]
        pixels = np.empty((len(ends) - 1, SIZE, SIZE, 3), np.uint8)
        for i in range(len(pixels)):
            photo = Image.open(io.BytesIO(data[ends[i] : ends[i + 1]]))
            pixels[i] = np.asarray(photo.convert("RGB"))
        with replacing(cache) as file:
            np.save(file, pixels)
    split = archive["split"]
    return Photos(
        np.load(cache),
        archive["label"].astype(np.int64),
        np.flatnonzero(split == 0),
        np.flatnonzero(split == 1),
        [str(word) for word in archive["words"]],
    )


def to_input(pixels: np.ndarray) -> np.ndarray:
    """Pixels as the model takes them."""
    return pixels.astype(np.float32) / 127.5 - 1


def changing(size: int) -> Callable[..., tuple[Any, Any]]:
    """What happens to a batch of photos and their targets before a step, compiled."""

    def changed(x: fl.Tensor, y: fl.Tensor, key: fl.Tensor) -> tuple[fl.Tensor, fl.Tensor]:
        keys = fl.random.split(key, 7)
        x = augment.random_resized_crop(x, size, size, (0.35, 1.0), (0.78, 1.28), key=keys[0])
        x = augment.random_flip(x, key=keys[1])
        x = augment.random_saturation(x, (0.41, 0.57), key=keys[2])
        x = augment.random_contrast(x, 0.25, key=keys[3])
        x = augment.random_brightness(x, 0.1, key=keys[4])
        mixed, shares = augment.cut_mix(x, y, 1.0, key=keys[5])
        mix = fl.random.bernoulli((), CUTMIX, key=keys[6])
        return fl.where(mix, mixed, x) / 127.5 - 1.0, fl.where(mix, shares, y)

    return fl.jit(changed)


class Batches:
    """Batches of a training, without an end.

    A batch depends on its number alone: training that goes on sees what it would have seen.

    Args:
        sizes: the side of the pictures of a step.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        targets: np.ndarray,
        batch: int,
        seed: int,
        sizes: Callable[[int], int],
    ) -> None:
        changes: dict[int, Callable[..., tuple[Any, Any]]] = {}

        def change(at: int, pair: tuple[Any, Any], key: fl.Tensor) -> tuple[Any, Any]:
            size = sizes(at)
            if size not in changes:
                changes[size] = changing(size)
            return changes[size](fl.tensor(pair[0]), fl.tensor(pair[1]), key)

        rows = fl.data.from_arrays(pixels, targets).shuffle(seed=seed).repeat()
        numbered = rows.batch(batch, drop_remainder=True).enumerate()
        self.data = numbered.map(change, seed=seed)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data.prefetch(4))

"""Where the randomness of layers, datasets, shuffles and steps comes from: one seed, if set."""

from __future__ import annotations

import os

import numpy as np


class _Source:
    """What `set_random_seed` sets: a stream of seeds."""

    def __init__(self) -> None:
        self.stream: np.random.Generator | None = None
        self.counts: dict[int, int] = {}


_SOURCE = _Source()


def set_random_seed(seed: int | None) -> None:
    """Make what follows the same at every run: first weights, shuffles, dropout, augmentation.

    None ends it. Source: keras.utils.set_random_seed.
    """
    _SOURCE.stream = None if seed is None else generator(seed)
    _SOURCE.counts.clear()


def fresh() -> int:
    """A seed that was not used before."""
    if _SOURCE.stream is None:
        return int.from_bytes(os.urandom(8)) >> 1
    return int(_SOURCE.stream.integers(2**63))


def generator(seed: int | None = None) -> np.random.Generator:
    """A NumPy generator of a seed; None: of a fresh one."""
    return np.random.Generator(np.random.Philox(fresh() if seed is None else int(seed) % 2**128))


def count(seed: int) -> int:
    """How often it was called with this seed before."""
    before = _SOURCE.counts.get(seed, 0)
    _SOURCE.counts[seed] = before + 1
    return before

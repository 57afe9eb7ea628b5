"""Small models of colours, and pictures that they are sure or unsure of."""

from __future__ import annotations

import numpy as np

import fanlight as fl
from fanlight.graph import Builder, Graph

LABELS = ("red", "green", "blue")
TASK = fl.tasks.classify(labels=LABELS, input_range=(0, 1))
# Options of the page that `build_tiers`, `cascade` and `early_exits` refuse before they build.
WRONG_OF_PAGE = {
    "title": 3,
    "card": None,
    "samples": "photo.png",
    "offline": "no",
    "isolate": 1,
    "headers": ["a host that is not known"],
    "compress": None,
    "lazy": "yes",
}


def colours(
    side: int = 32, *, gain: float = 30.0, mix: float = 0.0, name: str = "colours"
) -> Graph:
    """Which channel of a picture is the strongest: a convolution, the mean, a dense layer.

    Args:
        gain: how sure it is.
        mix: how much it takes one colour for another, from 0 to 1.
    """
    rng = np.random.default_rng(3)
    b = Builder(name)
    x = b.input("x", (1, side, side, 3))
    w = np.zeros((3, 3, 3, 6), np.float32)
    w[1, 1, :, :3] = np.eye(3)
    w[:, :, :, 3:] = rng.normal(0, 0.01, (3, 3, 3, 3))
    h = b.add("conv2d", x, b.weight(w), strides=(2, 2), padding=((0, 1), (0, 1)))
    h = b.add("relu", h, name="features")
    h = b.add("mean", h, axes=(1, 2), keepdims=False)
    wrong = np.roll(np.eye(3, dtype=np.float32), 1, axis=1)
    dense = np.concatenate([(1 - mix) * np.eye(3) + mix * wrong, np.zeros((3, 3))])
    h = b.add("matmul", h, b.weight((gain * dense).astype(np.float32)))
    return b.finish({"scores": b.add("softmax", h, axis=-1)})


def exits(side: int = 16) -> Graph:
    """Three answers on the way, the later the surer; the last also looks at what the first saw."""
    rng = np.random.default_rng(5)
    b = Builder("exits")
    x = b.input("x", (1, side, side, 3))

    logits: list = []

    def conv(value, channels, name):
        w = rng.normal(0, 0.05, (3, 3, value.shape[3], channels)).astype(np.float32)
        for i in range(3):
            w[1, 1, i, i] = 1
        padding = ((1, 1), (1, 1))
        return b.add("relu", b.add("conv2d", value, b.weight(w), padding=padding), name=name)

    def answer(value, gain, name):
        w = np.zeros((value.shape[3], 3), np.float32)
        w[:3] = gain * np.eye(3) + rng.normal(0, 1, (3, 3))
        mean = b.add("mean", value, axes=(1, 2), keepdims=False)
        logits.append(b.add("matmul", mean, b.weight(w)))
        return b.add("softmax", logits[-1], axis=-1, name=name)

    first = conv(x, 6, "one")
    early = answer(first, 4, "early")
    second = conv(first, 6, "two")
    middle = answer(second, 8, "middle")
    third = conv(b.add("add", second, first), 6, "three")
    late = answer(third, 16, "late")
    ends = {"early": early, "middle": middle, "late": late}
    return b.finish(ends | {"logits": logits[-1]})


def pictures(count: int = 60, seed: int = 1) -> tuple[list[np.ndarray], list[int]]:
    """Pictures of a colour with noise, and which channel of each is the strongest."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(count):
        colour = rng.uniform(40, 215, 3)
        noise = rng.normal(0, 12, (24, 36, 3))
        picture = np.clip(colour + noise, 0, 255).astype(np.uint8)
        found.append(picture)
        truth.append(int(picture.reshape(-1, 3).mean(0).argmax()))
    return found, truth

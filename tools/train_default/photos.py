"""The data set in memory, and the augmentation of a batch."""

import io
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

from train_default.network import SIZE


class replacing:
    """A file that takes its name only once it is whole."""

    def __init__(self, path):
        self.path, self.part = path, path.with_name(path.name + ".part")

    def __enter__(self):
        self.file = open(self.part, "wb")
        return self.file

    def __exit__(self, kind, *_):
        self.file.close()
        if kind is None:
            os.replace(self.part, self.path)


def load(path, work):
    """The archive's pixels (decoded once, cached in `work`), labels, split and class words."""
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
    labels = archive["label"].astype(np.int64)
    return np.load(cache), labels, archive["split"], [str(word) for word in archive["words"]]


def augment(x, size, generator):
    """Random resized crop, mirror and colour jitter of a batch, as one resampling."""
    n, device = len(x), x.device

    def uniform(low, high):
        draw = torch.rand(n, generator=generator) * (high - low) + low
        return draw.to(device)

    area, aspect = uniform(0.35, 1.0).sqrt(), torch.exp(uniform(-0.25, 0.25))
    high, wide = (area / aspect).clamp(max=1), (area * aspect).clamp(max=1)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = wide * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = high
    theta[:, 0, 2] = uniform(-1, 1) * (1 - wide)
    theta[:, 1, 2] = uniform(-1, 1) * (1 - high)
    grid = F.affine_grid(theta, (n, 3, size, size), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    column = (n, 1, 1, 1)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(0.7, 1.3).view(column)  # saturation
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * uniform(0.75, 1.25).view(column)  # contrast
    return (x + uniform(-0.2, 0.2).view(column)).clamp_(-1, 1)  # brightness


def cutmix(x, targets, generator):
    """Paste one box of the neighbouring photo into each; mix every target by area."""
    size = x.shape[-1]
    draw = torch.rand(3, generator=generator).tolist()
    side = int(size * math.sqrt(draw[0] * 0.6))
    top, left = int(draw[1] * (size - side + 1)), int(draw[2] * (size - side + 1))
    x = x.clone()
    x[:, :, top : top + side, left : left + side] = x.roll(1, 0)[
        :, :, top : top + side, left : left + side
    ]
    share = side * side / (size * size)
    return x, [t * (1 - share) + t.roll(1, 0) * share for t in targets]

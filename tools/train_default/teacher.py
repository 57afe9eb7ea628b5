"""Soft targets from a published network that has seen far more photos."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fanlight as fl
from train_default.photos import Photos, replacing

FOLDS = 4
EPOCHS, BATCH, RATE = 6, 512, 3e-3


def extract(path: Path, cache: Path, part: int, parts: int, target: Path) -> None:
    """Pooled features of the published MobileNet v2 for every photo; needs ai-edge-litert."""
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    pixels = np.load(cache, mmap_mode="r")[part::parts]
    # Only with all tensors kept can the layer under the 1001-way classifier be read.
    net = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    net.allocate_tensors()
    entry = net.get_input_details()[0]
    side = int(entry["shape"][1])
    pooled = [
        d
        for d in net.get_tensor_details()
        if list(d["shape"]) in ([1, 1, 1, 1280], [1, 1280]) and "Pool" in d["name"]
    ][-1]
    scale, zero = pooled["quantization"]
    features = np.empty((len(pixels), 1280), np.float16)
    for i, photo in enumerate(pixels):
        large = np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC))
        net.set_tensor(entry["index"], large[None])
        net.invoke()
        value = net.get_tensor(pooled["index"]).reshape(-1).astype(np.float32)
        features[i] = (value - zero) * scale
    with replacing(target) as file:
        np.save(file, features)


def features_of(path: Path, work: Path, count: int) -> np.ndarray:
    """The features of all photos, float32 [count, 1280], each of mean 0 and variance 1."""
    files = [work / f"features{part}.npy" for part in (0, 1)]
    jobs = [
        multiprocessing.Process(target=extract, args=(path, work / "pixels.npy", part, 2, file))
        for part, file in enumerate(files)
        if not file.exists()
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    features = np.empty((count, 1280), np.float32)
    for part, file in enumerate(files):
        features[part::2] = np.load(file)
    return (features - features.mean(0)) / (features.std(0) + 1e-3)


def probe(x: np.ndarray, labels: np.ndarray, classes: int, epochs: int) -> fl.Model:
    """A linear classifier of features, fitted."""
    model = fl.Sequential(
        [
            fl.Input((x.shape[1],)),
            fl.layers.Dropout(0.3),
            fl.layers.Dense(classes, kernel_initializer="zeros"),
        ]
    )
    steps = epochs * (len(x) // BATCH + 1)
    rate = fl.optimizers.schedules.CosineDecay(RATE, steps)
    loss = fl.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05)
    model.compile(fl.optimizers.AdamW(rate, weight_decay=0.1), loss)
    model.fit(x, np.eye(classes, dtype=np.float32)[labels], BATCH, epochs, verbose=0)
    return model


def judged(features: np.ndarray, photos: Photos, seed: int, epochs: int = EPOCHS) -> np.ndarray:
    """Logits for every photo, float32 [n, classes].

    The published network meets these photos at a quarter of its usual detail, so its own
    classifier does poorly; a linear one fitted here on its features does well. Each training
    photo is judged by a probe that has not been fitted on it, so the targets stay honest.
    """
    fl.set_random_seed(seed)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(photos.train))
    logits = np.zeros((len(photos.labels), len(photos.words)), np.float32)
    for k in range(FOLDS):
        seen, unseen = photos.train[fold != k], photos.train[fold == k]
        model = probe(features[seen], photos.labels[seen], len(photos.words), epochs)
        logits[unseen] = model.predict(features[unseen], BATCH)
        logits[photos.held] += model.predict(features[photos.held], BATCH) / FOLDS
    return logits


def teach(
    path: Path, work: Path, photos: Photos, seed: int, log: Callable[[str], None]
) -> np.ndarray:
    """What the teacher says of every photo, as logits; kept in the folder `work`."""
    target = work / "teacher.npy"
    if not target.exists():
        logits = judged(features_of(path, work, len(photos.labels)), photos, seed)
        with replacing(target) as file:
            np.save(file, logits)
    logits = np.load(target)
    for name, rows in (("training (by folds)", photos.train), ("validation", photos.held)):
        right = logits[rows].argmax(1) == photos.labels[rows]
        log(f"teacher, {name}: top-1 {right.mean():.4f}")
    return logits

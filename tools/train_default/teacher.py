"""Soft targets from a published network that has seen far more photos."""

import multiprocessing

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from train_default.network import top
from train_default.photos import replacing


def extract(path, cache, part, parts, target):
    """Pooled features of the published MobileNet v2, of each photo and its mirror image."""
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
    features = np.empty((len(pixels), 2, 1280), np.float16)
    for i, photo in enumerate(pixels):
        large = np.asarray(Image.fromarray(photo).resize((side, side), Image.BICUBIC))
        for mirrored, view in enumerate((large, large[:, ::-1])):
            net.set_tensor(entry["index"], view[None])
            net.invoke()
            value = net.get_tensor(pooled["index"]).reshape(-1).astype(np.float32)
            features[i, mirrored] = (value - zero) * scale
    with replacing(target) as file:
        np.save(file, features)


def fit_probe(x, y, classes, seed, epochs=16, batch=512):
    """Multinomial logistic regression by AdamW on standardised features."""
    torch.manual_seed(seed)
    probe = nn.Linear(x.shape[1], classes)
    nn.init.zeros_(probe.weight)
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.AdamW(probe.parameters(), 2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
            dropped = F.dropout(x[rows], 0.3)
            loss = F.cross_entropy(probe(dropped), y[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return probe.eval()


def teach(path, work, labels, split, seed, log, folds=5):
    """Soft targets (logits) for every photo from the teacher's features.

    The published network meets these photos at a quarter of its usual detail, so its own
    classifier does poorly; a linear one fitted here on its features does well.  Each training
    photo is judged by a probe that has not been fitted on it, so the targets stay honest.
    """
    target = work / "teacher.npy"
    if not target.exists():
        files = [work / f"feat{part}.npy" for part in (0, 1)]
        jobs = [
            multiprocessing.Process(target=extract, args=(path, work / "pixels.npy", part, 2, file))
            for part, file in enumerate(files)
            if not file.exists()
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        features = np.empty((len(labels), 2, 1280), np.float32)
        for part, file in enumerate(files):
            features[part::2] = np.load(file)
        x, y = torch.from_numpy(features), torch.from_numpy(labels)
        x = (x - x.mean((0, 1))) / (x.std((0, 1)) + 1e-3)
        classes = int(labels.max()) + 1
        fold = np.random.default_rng(seed).integers(0, folds, len(labels))
        logits = torch.zeros(len(labels), classes)
        for k in range(folds):
            rows = torch.from_numpy(np.flatnonzero((split == 0) & (fold != k)))
            both = y[rows].repeat_interleave(2)
            probe = fit_probe(x[rows].flatten(0, 1), both, classes, seed + k)
            with torch.no_grad():
                judged = probe(x).mean(1)
            held = torch.from_numpy((split == 0) & (fold == k))
            unseen = torch.from_numpy(split == 1)
            logits[held] = judged[held]
            logits[unseen] += judged[unseen] / folds
        with replacing(target) as file:
            np.save(file, logits.numpy())
    logits, y = torch.from_numpy(np.load(target)), torch.from_numpy(labels)
    for name, part in (("training (held-out folds)", 0), ("validation", 1)):
        rows = torch.from_numpy(split == part)
        log(
            f"teacher {name}: top-1 {top(logits[rows], y[rows], 1):.4f} "
            f"top-5 {top(logits[rows], y[rows], 5):.4f}"
        )
    return logits

"""Top-1 and top-5 on real photos: ours through WebAssembly, and TF.js on the same pixels.

The photos are one per ImageNet-1k class, 224 px, named by class; the model is the published
MobileNet v1 0.25. The figure that matters here is agreement: same predictions as TF.js.
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import fanlight as fl
from bench.lab import HERE, Engine, chromium, install_peers, open_page, serve
from bench.networks import MODELS, SHARED

MODEL = MODELS / "mobilenet-v1-0.25-layers-mitcml"
PHOTOS = SHARED / "data" / "images" / "imagenet_1000x1_224.tar"
SIDE = 224
GOAL = 0.99  # of the photos with the same prediction as TF.js


def photos() -> tuple[np.ndarray, np.ndarray]:
    """(pictures [n, 224, 224, 3] uint8, class indices [n]): classes are in order of their wnid."""
    names: list[str] = []
    pictures: list[np.ndarray] = []
    with tarfile.open(PHOTOS) as archive:
        for member in archive:
            match = re.search(r"(n\d{8})", member.name)
            if not member.isfile() or match is None:
                continue
            data = archive.extractfile(member)
            assert data is not None
            names.append(match.group(1))
            pictures.append(np.asarray(Image.open(io.BytesIO(data.read())).convert("RGB")))
    order = {wnid: i for i, wnid in enumerate(sorted(set(names)))}
    return np.stack(pictures), np.array([order[n] for n in names])


def ours(pictures: np.ndarray, folder: Path) -> np.ndarray:
    """Five best indices per picture, by the bundle under wasmtime."""
    task = fl.tasks.classify(input_range=(-1, 1))
    with fl.build(fl.load(MODEL), folder, task=task) as bundle:
        return np.stack([bundle.run({"image": p})["top_indices"][:5] for p in pictures])


def tfjs(pictures: np.ndarray, folder: Path) -> np.ndarray:
    """Five best indices per picture, by TF.js in Chromium."""
    install_peers()
    (folder / "pictures.bin").write_bytes(pictures.tobytes())
    source = next(MODEL.glob("*model.json"))
    query = {
        "model": f"/model/{source.name}",
        "pictures": "/work/pictures.bin",
        "side": str(SIDE),
    }
    mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules"}
    mounts |= {"model": MODEL, "work": folder}
    found: list[list[int]] = []
    with serve(mounts) as base, chromium() as browser:
        page = open_page(browser, base, Engine("tfjs", "accuracy", query))
        for first in range(0, len(pictures), 100):
            last = min(first + 100, len(pictures))
            found += page.evaluate("([a, b]) => top5(a, b)", [first, last])
    return np.array(found)


def measure() -> list[dict[str, Any]]:
    """Top-1 and top-5 of both engines, and how often they predict the same, as fractions."""
    pictures, truth = photos()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mine, theirs = ours(pictures, folder / "bundle"), tfjs(pictures, folder)
    hit, hit_tfjs = mine == truth[:, None], theirs == truth[:, None]
    both = zip(mine, theirs, strict=True)
    found = {
        "top-1": (hit[:, 0].mean(), hit_tfjs[:, 0].mean(), (mine[:, 0] == theirs[:, 0]).mean()),
        "top-5": (
            hit.any(1).mean(),
            hit_tfjs.any(1).mean(),
            np.mean([set(a) == set(b) for a, b in both]),
        ),
    }
    return [
        {
            "figure": kind,
            "photos": len(truth),
            "fanlight": float(right),
            "tfjs": float(right_tfjs),
            "same": float(same),
            "goal": GOAL,
            "ok": bool(same >= GOAL),
        }
        for kind, (right, right_tfjs, same) in found.items()
    ]


def main() -> None:
    """Print the accuracies."""
    for row in measure():
        shares = "  ".join(f"{n} {row[n]:.1%}" for n in ("fanlight", "tfjs", "same"))
        print(f"{row['figure']}  {shares}  ({row['photos']} photos)")


if __name__ == "__main__":
    main()

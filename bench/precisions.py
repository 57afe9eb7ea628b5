"""What a smaller precision costs: top-1 on real photos, beside the same model in f32.

Two models that were trained for real: the published MobileNet v1 0.25 on ImageNet photos (one per
class), and the default model on the validation photos of its own data set. int8 is calibrated with
photos that are not counted.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import fanlight as fl
from bench.accuracy import MODEL, photos
from bench.networks import SHARED
from fanlight.build import PRECISIONS
from fanlight.models import default

TINY = SHARED / "data" / "images" / "tiny_imagenet_100.npz"
CALIBRATION = 125  # photos
COUNTED = 2000  # of the default model's 5,000 validation photos, evenly spread
LOST = {"imagenet": 1.0, "default": 1.5}  # points of top-1 that a precision may cost


@dataclass(frozen=True)
class Subject:
    """A model, its task, photos to calibrate with, and photos to count with their classes."""

    name: str
    model: Any
    task: Any
    calibration: np.ndarray
    pictures: np.ndarray
    truth: np.ndarray
    goal: float


def subjects() -> Iterator[Subject]:
    """The models that accuracy is measured on."""
    pictures, truth = photos()
    kept = np.arange(len(truth)) % (len(truth) // CALIBRATION) == 0
    yield Subject(
        "MobileNet v1 0.25, published", fl.load(MODEL), fl.tasks.classify(input_range=(-1, 1)),
        pictures[kept], pictures[~kept], truth[~kept], LOST["imagenet"],
    )  # fmt: skip
    with np.load(TINY) as archive:
        files, offsets, label, split = (archive[k] for k in ("webp", "offsets", "label", "split"))
    training, validation = (np.flatnonzero(split == part) for part in (0, 1))
    training = training[:: len(training) // CALIBRATION]
    validation = validation[:: max(1, len(validation) // COUNTED)]

    def decoded(numbers: np.ndarray) -> np.ndarray:
        ends = ((offsets[i], offsets[i + 1]) for i in numbers)
        images = (Image.open(io.BytesIO(files[a:b].tobytes())) for a, b in ends)
        return np.stack([np.asarray(image.convert("RGB")) for image in images])

    model, task = default.default_model()
    yield Subject(
        "the default model", model, task, decoded(training), decoded(validation),
        label[validation], LOST["default"],
    )  # fmt: skip


def top1(subject: Subject, precision: str, folder: Path) -> float:
    """The share of the photos that the built model gets right, through WebAssembly."""
    how = {"calibration": subject.calibration} if precision == "int8" else {}
    built = {"task": subject.task, "precision": precision, **how}
    with fl.build(subject.model, folder / precision, **built) as bundle:
        answers = (bundle.run({"image": p})["top_indices"][0] for p in subject.pictures)
        return float(np.mean([a == b for a, b in zip(answers, subject.truth, strict=True)]))


def measure() -> list[dict[str, Any]]:
    """A row per model and precision: top-1, and the points that it lost against f32."""
    rows: list[dict[str, Any]] = []
    for subject in subjects():
        with tempfile.TemporaryDirectory() as temporary:
            right = {p: 100 * top1(subject, p, Path(temporary)) for p in PRECISIONS}
        for precision, share in right.items():
            lost = right["f32"] - share
            rows.append(
                {
                    "model": subject.name,
                    "precision": precision,
                    "photos": len(subject.truth),
                    "top-1 %": round(share, 1),
                    "points lost": round(lost, 2),
                    "goal": None if precision == "f32" else subject.goal,
                    "ok": None if precision == "f32" else lost <= subject.goal,
                }
            )
    return rows

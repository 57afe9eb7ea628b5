"""What int8 costs: top-1 of quantised models against float32, on photos that did not calibrate.

Labelled sets: the published MobileNet v1 0.25 on one photo per ImageNet-1k class (in two halves:
what one half is tested on was calibrated with the other), and the model that ships with Fanlight on
its validation photos, calibrated on training photos. Larger trained nets whose classes these photos
do not have are measured by agreement: how often the first answer is the one of float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import fanlight as fl
from bench.accuracy import MODEL, photos
from bench.networks import MODELS, SHARED
from fanlight.pictures import decode_image

# Photos of a half that calibrate: as many as fl.quantize uses.
CALIBRATION = 128
AGREEMENT_PHOTOS = 300
VALIDATION_PHOTOS = 5000
TINY = SHARED / "data" / "images" / "tiny_imagenet_100.npz"


@dataclass(frozen=True)
class Net:
    """A trained classifier that has no labels here.

    Attributes:
        folder: below shared/data/models.
        range: what black and white become.
        goal: greatest share of photos with another first answer.
    """

    folder: str
    range: tuple[float, float]
    goal: float


NETS = (
    Net("nsfwjs-mobilenet-v2-layers-uint8", (0, 1), 0.07),
    Net("teachable-machine-a", (-1, 1), 0.07),
)


def answers(model: Any, task: Any, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """First answer per picture, by the bundle under wasmtime."""
    with tempfile.TemporaryDirectory() as folder, fl.build(model, folder, task=task) as bundle:
        return np.array([bundle.run({"image": p})["top_indices"][0] for p in pictures])


def in_halves(
    model: Any, task: Any, pictures: np.ndarray, tell: Callable[[str], None]
) -> tuple[np.ndarray, list[Any]]:
    """First answers of int8; each half of the pictures by a model calibrated on the other half."""
    found = np.zeros(len(pictures), np.int64)
    reports = []
    for half in (0, 1):
        other = pictures[1 - half :: 2]
        calibration = list(other[:: max(1, len(other) // CALIBRATION)][:CALIBRATION])
        quantized = fl.quantize(model, calibration, task=task)
        tell(f"  {quantized.report.settings}; {quantized.report.summary()}")
        reports.append(quantized.report)
        found[half::2] = answers(quantized, task, list(pictures[half::2]))
    return found, reports


def row(
    name: str, what: str, exact: np.ndarray, int8: np.ndarray, truth: Any, report: Any, goal: float
) -> dict[str, Any]:
    """One line of the table; `truth` None compares the answers with those of float32."""
    same = float((exact == int8).mean())
    f32 = 1.0 if truth is None else float((exact == truth).mean())
    top1 = same if truth is None else float((int8 == truth).mean())
    return {
        "model": name,
        "photos": len(int8),
        "what": what,
        "f32": f32,
        "int8": top1,
        "loss": f32 - top1,
        "same": same,
        "bytes_f32": report.bytes_before,
        "bytes_int8": report.bytes_after,
        "float_layers": report.float_layers,
        "goal": goal,
        "ok": bool(f32 - top1 <= goal),
    }


def measure(tell: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Top-1 of float32 and int8, and how often they agree, as fractions."""
    rows = []
    pictures, truth = photos()
    model, task = fl.load(MODEL), fl.tasks.classify(input_range=(-1, 1))
    tell("MobileNet v1 0.25")
    exact = answers(model, task, list(pictures))
    int8, reports = in_halves(model, task, pictures, tell)
    rows.append(row("MobileNet v1 0.25", "top-1", exact, int8, truth, reports[0], 0.01))

    tell("default model")
    model, task = fl.default_model()
    quantized = fl.quantize(model, tiny(0, CALIBRATION)[0], task=task)
    tell(f"  {quantized.report.settings}; {quantized.report.summary()}")
    images, labels = tiny(1, VALIDATION_PHOTOS)
    exact, int8 = (answers(m, task, images) for m in (model, quantized))
    rows.append(row("default model", "top-1", exact, int8, labels, quantized.report, 0.015))

    calibration = list(pictures[::16])
    some = list(pictures[1 :: len(pictures) // AGREEMENT_PHOTOS])
    for net in NETS:
        tell(net.folder)
        model = fl.load(MODELS / net.folder)
        task = fl.tasks.classify(input_range=net.range)
        quantized = fl.quantize(model, calibration, task=task)
        tell(f"  {quantized.report.settings}; {quantized.report.summary()}")
        exact, int8 = (answers(m, task, some) for m in (model, quantized))
        rows.append(row(net.folder, "agreement", exact, int8, None, quantized.report, net.goal))
    return rows


def tiny(split: int, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Photos and classes of Tiny ImageNet, evenly spread: split 0 trains, 1 validates."""
    with np.load(TINY) as data:
        places = np.flatnonzero(data["split"] == split)
        places = places[:: max(1, len(places) // count)][:count]
        offsets, packed = data["offsets"], data["webp"]
        files = [packed[offsets[i] : offsets[i + 1]].tobytes() for i in places]
        labels = data["label"][places].astype(np.int64)
    return [decode_image(f)[..., :3] for f in files], labels


def main() -> None:
    """Print the table."""
    for r in measure(print):
        print(
            f"{r['model']:36} {r['what']:10} f32 {r['f32']:.1%}  int8 {r['int8']:.1%}  "
            f"same {r['same']:.1%}  {r['photos']} photos  "
            f"weights {r['bytes_f32'] / 1e6:.2f} -> {r['bytes_int8'] / 1e6:.2f} MB"
            f"{'' if r['ok'] else '  MISSED'}"
        )


if __name__ == "__main__":
    main()

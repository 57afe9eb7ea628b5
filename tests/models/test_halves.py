"""Precision f16 on published models: half the download, the same predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from bench.accuracy import photos
from bench.parity import IMAGE_MODELS, inputs_for
from fanlight.check import difference

PHOTOS = 150
# Outputs of f16 against f32, relative to the largest; logits of a MobileNet move most.
MOVED = 0.03


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_half_the_download_and_near_answers(name: str, shared: Path, tmp_path: Path) -> None:
    model = fl.load(shared / "data" / "models" / name, **IMAGE_MODELS[name])
    inputs = inputs_for(model)
    sizes, answers = [], []
    for precision in ("f32", "f16"):
        with fl.build(model, tmp_path / precision, precision=precision) as bundle:
            sizes.append(sum(s["bytes"] for s in bundle.manifest["weights"]))
            answers.append(bundle.run(inputs))
    assert sizes[1] <= 0.52 * sizes[0]
    for output, expected in answers[0].items():
        assert difference(expected, answers[1][output]) < MOVED, output


def test_predictions_of_photos(shared: Path, tmp_path: Path) -> None:
    """MobileNet v1 0.25 on ImageNet photos: 99.8 % of 1,000 get the same first prediction."""
    folder = shared / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml"
    archive = shared / "data" / "images" / "imagenet_1000x1_224.tar"
    if not archive.is_file():
        pytest.skip(f"{archive.name} is not in the shared data")
    pictures, _ = photos()
    best = []
    for precision in ("f32", "f16"):
        task = fl.tasks.classify(input_range=(-1, 1))
        with fl.build(
            fl.load(folder), tmp_path / precision, task=task, precision=precision
        ) as bundle:
            runs = (bundle.run({"image": p}) for p in pictures[:PHOTOS])
            best.append([int(r["top_indices"][0]) for r in runs])
    same = np.mean(np.equal(*best))
    assert same >= 0.98


def test_the_default_model_loses_nothing(tmp_path: Path) -> None:
    """Its file is float16, so that its bundle in f16 is the same model in half the bytes."""
    model, task = fl.default_model()
    photo = {"image": np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)}
    scores = []
    for precision in ("f32", "f16"):
        with fl.build(model, tmp_path / precision, task=task, precision=precision) as bundle:
            scores.append(bundle.run(photo)["scores"])
    np.testing.assert_array_equal(*scores)

"""tools/train_default.py: a small network on made pictures, broken off, gone on with, written."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import evaluate
from tests.support import ROOT, run_python

sys.path.insert(0, str(ROOT / "tools"))
try:
    from train_default import export, learning, network, teacher
    from train_default import photos as data
finally:
    sys.path.remove(str(ROOT / "tools"))

CLASSES, TRAIN, HELD = 4, 48, 12
WORDS = ["tabby, tabby cat", "alp", "zebra", "hog, pig"]
PLAN = learning.Plan(
    epochs=2,
    batch=8,
    rate=1e-2,
    stages=((0.5, 16), (1.0, 24)),
    round=3,
    every=2,
    shape=network.Shape(8, ((8, 2), (12, 1))),
)


def archive(path: Path) -> Path:
    """Pictures of one colour with noise, a colour for each class, as the data set has them."""
    from PIL import Image

    rng = np.random.default_rng(0)
    labels = np.arange(TRAIN + HELD) % CLASSES
    colours = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 220], [210, 210, 60]])
    ends, data = [0], b""
    for label in labels:
        noise = rng.integers(-30, 30, (64, 64, 3))
        picture = np.clip(colours[label] + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "webp", quality=90)
        data += file.getvalue()
        ends.append(len(data))
    np.savez(
        path,
        webp=np.frombuffer(data, np.uint8),
        offsets=np.array(ends),
        label=labels,
        split=(np.arange(TRAIN + HELD) >= TRAIN).astype(np.uint8),
        words=np.array(WORDS),
    )
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> data.Photos:
    folder = tmp_path_factory.mktemp("photos")
    return data.load(archive(folder / "made.npz"), folder)


def run_in(folder: Path, photos: data.Photos, **options: Any) -> learning.Run:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    logits = np.eye(CLASSES, dtype=np.float32)[photos.labels] * 4
    return learning.Run(
        PLAN, photos, folder / "work", folder / "best", lambda text: None, logits=logits, **options
    )


class BreaksOff(fl.callbacks.Callback):
    """Ctrl-C in the middle of a round."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.iterations.item() == 5:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, photos: data.Photos) -> learning.Run:
    run = run_in(tmp_path_factory.mktemp("whole"), photos)
    run.train()
    return run


def test_photos_are_those_of_the_archive(photos: data.Photos) -> None:
    assert photos.pixels.shape == (TRAIN + HELD, 64, 64, 3)
    assert len(photos.train) == TRAIN and len(photos.held) == HELD
    means = photos.pixels.reshape(-1, 64 * 64, 3).mean(1)
    assert np.abs(means[photos.labels == 2] - [50, 60, 220]).max() < 12


def test_a_run_that_was_broken_off_ends_with_the_same_numbers(
    tmp_path: Path, photos: data.Photos, trained: learning.Run
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path, photos).train([BreaksOff()])
    run = run_in(tmp_path, photos)
    run.train()
    assert run.model.initial_epoch == 1 and run.steps == 12
    for path, whole in network.weights_of(trained.model).items():
        np.testing.assert_array_equal(network.weights_of(run.model)[path], whole, path)


def test_what_is_written_is_what_was_trained(
    tmp_path: Path, photos: data.Photos, trained: learning.Run
) -> None:
    # The best network may be that of an earlier round; this is the last one.
    export.export(trained.written, PLAN.shape, tmp_path / "last", photos, "", -1.0)
    pixels = photos.pixels[photos.held]
    logits = trained.model.predict(data.to_input(pixels))
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = export.scores(tmp_path / "last", pixels)
    # Float16 has 11 bits.
    np.testing.assert_allclose(found, expected, atol=2e-3)
    graph = fl.load(tmp_path / "last" / "model.json").graph
    for one, row in zip(data.to_input(pixels), found, strict=True):
        (answer,) = evaluate(graph, {"input_1": one[None]}).values()
        np.testing.assert_allclose(answer[0], row, atol=1e-5)


def test_figures_and_card_are_of_the_written_files(
    photos: data.Photos, trained: learning.Run
) -> None:
    figures = export.measured(trained.to, photos)
    best = export.scores(trained.to, photos.pixels[photos.held]).argmax(1)
    assert figures.top1 == np.mean(best == photos.labels[photos.held]) == trained.state["best"]
    assert figures.top5 == 1 and figures.bytes == 2 * figures.parameters
    card = (trained.to / "card.md").read_text(encoding="utf-8")
    assert "to 8 channels, 2 depthwise-separable blocks to 8/2, 12 channels" in " ".join(
        card.split()
    )
    assert figures.digest in card and f"**{figures.top1:.1%}** of the 12 validation" in card
    assert "epochs by Fanlight itself" in card and "distillation" in card
    assert max(map(len, card.splitlines())) <= 100
    labels = (trained.to / "labels.txt").read_text(encoding="utf-8").split("\n")
    assert labels == ["tabby cat", "mountain", "zebra", "pig", ""]


def test_it_begins_where_a_written_network_stands(
    tmp_path: Path, photos: data.Photos, trained: learning.Run
) -> None:
    run = run_in(tmp_path, photos, start=trained.to)
    assert run.state["start"]["top1"] == trained.state["best"]
    logits = run.model.predict(data.to_input(photos.pixels[photos.held]))
    expected = export.scores(trained.to, photos.pixels[photos.held])
    np.testing.assert_allclose(
        np.exp(logits) / np.exp(logits).sum(1, keepdims=True), expected, atol=1e-5
    )
    back = network.folded(network.weights_of(run.model), PLAN.shape)
    for weight in fl.load_model(trained.to, compile=False).weights:
        np.testing.assert_allclose(back[weight.path], weight.numpy(), rtol=1e-4, atol=1e-6)
    now, before = run.story(3).split("### Before")
    assert now.startswith("From the weights described below, 0.5 epochs by Fanlight itself")
    assert f"reach {trained.state['best']:.1%} top-1" in before
    assert "From random weights" in before


def test_the_loss_is_cross_entropy_to_labels_and_teacher() -> None:
    rng = np.random.default_rng(1)
    hard = np.eye(3, dtype=np.float32)[[0, 2]]
    soft = rng.dirichlet([1, 1, 1], 2).astype(np.float32)
    logits = rng.standard_normal((2, 3)).astype(np.float32)

    def entropy(y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return -(y * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1)

    loss = learning.Distillation(0.3, 2.0, 0.1)
    own = entropy(hard * 0.9 + 0.1 / 3, logits)
    expected = 0.7 * own + 0.3 * 4 * entropy(soft, logits / 2)
    found = loss(fl.tensor(np.concatenate([hard, soft], 1)), fl.tensor(logits))
    assert found.item() == pytest.approx(expected.mean(), rel=1e-5)
    assert loss(fl.tensor(hard), fl.tensor(logits)).item() == pytest.approx(own.mean(), rel=1e-5)


def test_the_teacher_judges_photos_that_it_was_not_fitted_on(photos: data.Photos) -> None:
    """Features that tell every photo apart: who knows a photo can name even a wrong label."""
    rng = np.random.default_rng(2)
    mixed = replace(photos, labels=rng.integers(0, CLASSES, TRAIN + HELD))
    own = np.eye(TRAIN + HELD, dtype=np.float32) * 8
    seen = teacher.probe(own, mixed.labels, CLASSES, 60).predict(own).argmax(1)
    assert np.mean(seen == mixed.labels) > 0.95
    judged = teacher.judged(own, mixed, 0, 60).argmax(1)[photos.train]
    assert np.mean(judged == mixed.labels[photos.train]) < 0.6


def test_the_command_says_what_it_takes() -> None:
    done = run_python(str(ROOT / "tools" / "train_default.py"), "--help")
    assert done.returncode == 0, done.stderr
    assert "--start" in done.stdout and "--teacher" in done.stdout

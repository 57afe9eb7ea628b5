"""The classify task: pixels in, sorted answers out, the same on every host and for every size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import evaluate
from fanlight.models.tasks import CROPS, LUMA, MAX_SIDE, RESIZE_MODES, guess_input_range
from tests.build.nets import classifier, pixels

SIZES = [
    (1, 1), (1, 7), (7, 1), (2, 3), (12, 16), (16, 12), (13, 17), (31, 5), (97, 61),
    (1, MAX_SIDE), (MAX_SIDE, 1), (MAX_SIDE - 1, 3),
]  # fmt: skip


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("resize", RESIZE_MODES)
def test_every_resize_and_crop_on_odd_sizes(resize: str, crop: str, tmp_path: Path) -> None:
    """The scores are the pixels that the model sees, so that nothing can hide a wrong one."""
    task = fl.tasks.classify(resize=resize, crop=crop, input_range=(-1, 1))
    with fl.build(pixels(), tmp_path / "site", task=task) as bundle:
        for height, width in SIZES:
            photo = {"image": picture(height, width)}
            expected = bundle.run(photo, host="numpy")
            for host in ("wasm", "wasm-plain"):
                found = bundle.run(photo, host=host)["scores"]
                worst = float(np.abs(found - expected["scores"]).max())
                assert worst < 2e-6, (host, height, width, worst)


@pytest.mark.parametrize("resize", ["antialias", "bilinear-asymmetric"])
def test_a_photo_at_the_bound(resize: str, tmp_path: Path) -> None:
    task = fl.tasks.classify(resize=resize, crop="none", input_range=(-1, 1))
    with fl.build(pixels(), tmp_path / "site", task=task) as bundle:
        photo = {"image": picture(MAX_SIDE, MAX_SIDE)}
        expected = bundle.run(photo, host="numpy")["scores"]
        assert np.abs(bundle.run(photo)["scores"] - expected).max() < 1e-5


def test_sizes_may_change_between_runs(tmp_path: Path) -> None:
    """What a larger photo left in memory never shows in a smaller one."""
    task = fl.tasks.classify(input_range=(0, 1))
    with fl.build(pixels(), tmp_path / "site", task=task) as bundle:
        small = bundle.run({"image": picture(9, 5)})["scores"]
        bundle.run({"image": np.full((500, 700, 3), 255, np.uint8)})
        np.testing.assert_array_equal(bundle.run({"image": picture(9, 5)})["scores"], small)


def test_flat_colours_survive_every_way_of_resizing(tmp_path: Path) -> None:
    """A photo of one colour is that colour at any size: the weights of every filter sum to 1."""
    for resize in RESIZE_MODES:
        task = fl.tasks.classify(resize=resize, input_range=(-1, 1))
        with fl.build(pixels(), tmp_path / resize, task=task) as bundle:
            for size in ((1, 1), (5, 3), (40, 30), (333, 77)):
                photo = np.broadcast_to(np.array([255, 51, 0], np.uint8), (*size, 3))
                scores = bundle.run({"image": photo})["scores"].reshape(12, 16, 3)
                wanted = 1 / (1 + np.exp(-np.array([1, -0.6, -1])))
                assert np.abs(scores - wanted).max() < 1e-6, (resize, size)


def test_rgba_and_rgb_are_the_same(tmp_path: Path) -> None:
    with fl.build(pixels(), tmp_path / "site", task=fl.tasks.classify()) as bundle:
        rgb = picture(20, 30)
        rgba = np.concatenate([rgb, np.full((20, 30, 1), 255, np.uint8)], axis=2)
        a, b = bundle.run({"image": rgb}), bundle.run({"image": rgba})
        np.testing.assert_array_equal(a["scores"], b["scores"])


# --- scores and labels ----------------------------------------------------------------------------


def test_answers_are_sorted_and_point_to_scores(tmp_path: Path) -> None:
    with fl.build(classifier(), tmp_path / "site", task=fl.tasks.classify()) as bundle:
        out = bundle.run({"image": picture(30, 20)})
    assert out["scores"].shape == out["top_scores"].shape == out["top_indices"].shape == (5,)
    assert out["scores"].sum() == pytest.approx(1, abs=1e-6)
    assert (np.diff(out["top_scores"]) <= 0).all()
    assert sorted(out["top_indices"]) == list(range(5))
    np.testing.assert_array_equal(out["scores"][out["top_indices"]], out["top_scores"])
    assert bundle.labels == [f"class {i}" for i in range(5)]


@pytest.mark.parametrize(
    ("final", "sums_to_one"), [(None, True), ("softmax", True), ("sigmoid", False)]
)
def test_logits_get_a_softmax_and_probabilities_do_not(
    final: str | None, sums_to_one: bool, tmp_path: Path
) -> None:
    graph = classifier(final=final)
    with fl.build(graph, tmp_path / "site", task=fl.tasks.classify()) as bundle:
        out = bundle.run({"image": picture(8, 8)})
    x = picture(8, 8)[None].astype(np.float32) * np.float32(2 / 255) - 1
    answer = evaluate(graph, {"x": x})["y"].reshape(-1)
    wanted = np.exp(answer) / np.exp(answer).sum() if final is None else answer
    np.testing.assert_allclose(out["scores"], wanted, atol=1e-6)
    assert bool(abs(out["scores"].sum() - 1) < 1e-5) == sums_to_one


def test_background_class_is_dropped(tmp_path: Path) -> None:
    graph = classifier(classes=5)
    names = ["ant", "bee", "cat", "dog"]
    whole = fl.build(graph, tmp_path / "whole", task=fl.tasks.classify())
    part = fl.build(graph, tmp_path / "part", task=fl.tasks.classify(names, background=True))
    with whole, part:
        photo = {"image": picture(9, 9)}
        a, b = whole.run(photo), part.run(photo)
    np.testing.assert_allclose(b["scores"], a["scores"][1:], rtol=1e-6)
    assert b["top_indices"].max() == 3 and part.labels == names


def test_label_count_says_when_background_would_fit(tmp_path: Path) -> None:
    for count, hint in ((4, True), (6, False), (0, False)):
        with pytest.raises(fl.FanlightError) as caught:
            task = fl.tasks.classify(labels=["x"] * count)
            fl.build(classifier(classes=5), tmp_path / "site", task=task)
        assert caught.value.code == "E-BUILD-002"
        assert ("background" in str(caught.value.next)) == hint
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resize": "lanczos"}, "antialias"),
        ({"crop": "left"}, "center"),
        ({"input_range": (1, -1)}, "smaller first"),
        ({"input_range": (0, float("nan"))}, "finite"),
        ({"input_range": (0, float("inf"))}, "finite"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(fl.FanlightError, match="E-BUILD-005") as caught:
        fl.tasks.classify(**options)
    assert said in str(caught.value)


def test_models_that_are_no_classifiers(tmp_path: Path) -> None:
    from fanlight.graph import Builder

    def graph(shape: tuple[int, ...], out: tuple[int, ...], dtype: str = "float32") -> Any:
        b = Builder("other")
        x = b.input("x", shape, dtype)
        return b.finish({"y": b.add("reshape", x, shape=out)})

    for model in (
        graph((1, 12), (12,)),  # no picture
        graph((1, 2, 3, 2), (12,)),  # two channels
        graph((2, 2, 1, 3), (12,)),  # a fixed batch of two
        graph((1, 2, 2, 3), (3, 4)),  # an answer that is no vector
        graph((1, 2, 2, 3), (12,), "int32"),
    ):
        with pytest.raises(fl.FanlightError, match="E-BUILD-003"):
            fl.build(model, tmp_path / "site", task=fl.tasks.classify())
    assert list(tmp_path.iterdir()) == []


# --- the range of the input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        (None, (-1, 1)),
        ((1 / 127.5, -1.0), (0, 255)),
        ((1 / 255, 0.0), (0, 255)),
        ((2.0, -1.0), (0, 1)),
    ],
)
def test_guess_of_the_range(
    lead: tuple[float, float] | None, expected: tuple[float, float]
) -> None:
    assert guess_input_range(classifier(lead=lead)) == expected


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (0, 255), (-2.5, 0.25)])
def test_black_and_white_become_the_range(low: float, high: float, tmp_path: Path) -> None:
    task = fl.tasks.classify(input_range=(low, high))
    with fl.build(pixels(), tmp_path / "site", task=task) as bundle:
        for value, level in ((low, 0), (high, 255)):
            scores = bundle.run({"image": np.full((4, 4, 3), level, np.uint8)})["scores"]
            np.testing.assert_allclose(scores, 1 / (1 + np.exp(-float(value))), atol=1e-6)


# --- grey models ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["doodlenet-layers", "human-emotion"])
def test_published_models_of_grey_pictures(name: str, shared: Path, tmp_path: Path) -> None:
    from PIL import Image

    model = fl.load(shared / "data" / "models" / name)
    _, height, width, channels = model.inputs[0][1].bound
    assert channels == 1
    with Image.open(shared / "data" / "photos" / "face.jpg") as image:
        rgb = np.asarray(image.convert("RGB").resize((width, height)))
    task = fl.tasks.classify(input_range=(0, 1))
    with fl.build(model, tmp_path / "site", task=task) as bundle:
        report = fl.check(bundle, hosts=("wasm", "wasm-plain"), inputs={"image": rgb})
        assert report.ok, str(report)
        scores = bundle.run({"image": rgb})["scores"]
    grey = (rgb.astype(np.float32) @ np.array(LUMA, np.float32))[None, ..., None] / np.float32(255)
    answers = model({model.inputs[0][0]: grey})
    direct = np.asarray(next(iter(answers.values()))).reshape(-1)
    if abs(direct.sum() - 1) > 1e-3:
        direct = np.exp(direct) / np.exp(direct).sum()
    np.testing.assert_allclose(scores, direct, atol=1e-5)


def test_what_is_no_task_or_no_labels_is_said(tmp_path: Path) -> None:
    with pytest.raises(fl.FanlightError, match=r"E-BUILD-005 .*sequence of names"):
        fl.tasks.classify(labels="labels.txt")
    with pytest.raises(fl.FanlightError, match=r"E-BUILD-005 .*not a task"):
        fl.build(classifier(), tmp_path / "site", task="classify")  # type: ignore[arg-type]
    assert not (tmp_path / "site").exists()
    with fl.build(classifier(), tmp_path / "site") as bundle:
        assert repr(bundle) == f"<Bundle {bundle.name} (no task): {tmp_path / 'site'}>"

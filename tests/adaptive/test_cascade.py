"""Cascades and early exits: thresholds, and that stages compute what the whole does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fanlight as fl
from fanlight.adaptive import Cascade
from fanlight.adaptive.exits import stages
from fanlight.adaptive.threshold import choose, margins, truths
from fanlight.graph import Graph, evaluate
from tests.adaptive.nets import TASK, WRONG_OF_PAGE, colours, exits, pictures
from tests.support import refused


def small():
    return colours(16, gain=10, mix=0.25, name="small")


@pytest.fixture(scope="module")
def photos() -> tuple[list[np.ndarray], list[int]]:
    return pictures(80)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, photos: tuple) -> Cascade:
    out = tmp_path_factory.mktemp("cascade") / "site"
    return fl.cascade(
        small(), colours(), out, calibration=photos[0], labels=photos[1], task=TASK, max_loss=2
    )


known_folders: set[Path] = set()


@cache
def opened(folder: Path) -> list[tuple[dict, fl.Bundle]]:
    """Each stage of a folder, and its bundle."""
    listed = json.loads((folder / "cascade.json").read_text())
    return [(s, fl.open_bundle(folder, tier=s["id"])) for s in listed["stages"]]


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    for folder in known_folders:
        for _, bundle in opened(folder):
            bundle.close()


def walk(folder: Path, photo: np.ndarray) -> tuple[np.ndarray, int]:
    """The scores that the stages of a folder give, and how many were asked."""
    known = {"image": photo}
    known_folders.add(folder)
    for count, (stage, bundle) in enumerate(opened(folder), 1):
        names = [t["name"] for t in bundle.manifest["inputs"]]
        known |= bundle.run({n: known[n] for n in names})
        scores = known["scores"].reshape(-1)
        if "threshold" not in stage or margins(scores[None])[0] >= stage["threshold"]:
            return scores, count
    raise AssertionError("the last stage has a threshold")


def test_a_threshold_loses_what_it_may_and_no_more(made: Cascade, photos: tuple) -> None:
    assert made.against == "labels" and made.photos == 80
    assert made.choice.last - made.choice.accuracy <= 0.02 + 1e-9
    assert 0 < made.choice.asked[1] < 0.9 and made.threshold > 0
    right, asked = 0, 0
    for photo, truth in zip(*photos, strict=True):
        scores, count = walk(made.path, photo)
        right += scores.argmax() == truth
        asked += count == 2
    assert right / 80 == pytest.approx(made.choice.accuracy)
    assert asked / 80 == pytest.approx(made.choice.asked[1])


def test_the_curve_goes_from_never_to_nearly_always(made: Cascade) -> None:
    curve = made.choice.curve
    assert [p["threshold"] for p in curve] == sorted(p["threshold"] for p in curve)
    assert curve[0]["asked"] == 0 and curve[-1]["asked"] > 0.9
    assert curve[0]["ms"] < curve[-1]["ms"] and curve[-1]["accuracy"] >= curve[0]["accuracy"]
    listed = json.loads((made.path / "cascade.json").read_text())
    assert listed["chosen"]["accuracy"] == made.choice.accuracy and len(listed["curve"]) == 21
    assert "asked" in str(made) and "80 photos are few" in str(made)


def test_without_labels_agreement_counts(tmp_path: Path, photos: tuple) -> None:
    made = fl.cascade(
        small(), colours(), tmp_path / "site", calibration=photos[0], task=TASK, max_loss=0
    )
    assert made.against == "the last stage" and made.choice.last == 1
    assert made.choice.accuracy == 1
    with fl.open_bundle(tmp_path / "site") as best:
        assert best.path.name == "large"


def test_what_is_refused(tmp_path: Path, photos: tuple) -> None:
    some, truth = photos[0][:6], photos[1][:6]

    def build(**more):
        given = {"calibration": some, "task": TASK, **more}
        return lambda: fl.cascade(small(), colours(), tmp_path / "site", **given)

    refused("E-CALIB-001", build(calibration=None))
    refused("E-CALIB-001", build(calibration=np.zeros((3, 1, 32, 32, 3), np.float32)))
    refused("E-BUILD-005", build(max_loss=-1))
    refused("E-BUILD-005", build(max_loss="little"))
    refused("E-CALIB-002", build(labels=truth[:3]), "6 labels")
    refused("E-CALIB-002", build(labels=[7] * 6))
    refused("E-CALIB-002", build(labels=["red", "green", "blue", "red", "green", "violet"]))
    other = fl.tasks.classify(labels=["a", "b", "c"], input_range=(0, 1))
    refused("E-BUILD-002", build(task=(TASK, other)), "same labels")
    for where, value in WRONG_OF_PAGE.items():
        refused("E-BUILD-005", build(**{where: value}), where)
    assert list(tmp_path.iterdir()) == []


def test_labels_may_be_names(tmp_path: Path, photos: tuple) -> None:
    names = [("red", "green", "blue")[i] for i in photos[1]]
    made = fl.cascade(
        small(), colours(), tmp_path / "site", calibration=photos[0], labels=names, task=TASK
    )
    assert made.against == "labels"


def test_labels_are_numbers_where_classes_have_no_names() -> None:
    assert truths([2, np.int64(0)], None, 2, 3).tolist() == [2, 0]  # type: ignore[union-attr]
    assert truths(["b"], ["a", "b"], 1, 2).tolist() == [1]  # type: ignore[union-attr]
    for wrong in ([3], [-1], ["a"], [True], [1.0]):
        refused("E-CALIB-002", lambda w=wrong: truths(w, None, 1, 3), "0 to 2")


def test_a_single_class_leads_by_all_it_has() -> None:
    np.testing.assert_array_equal(margins(np.array([[0.25], [1.0]])), [0.25, 1.0])


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_are_the_lowest_that_do(seed: int) -> None:
    """Against every other threshold: no lower one that is good from there on is passed over."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 50)
    weak = rng.dirichlet(np.ones(4), 50)
    strong = np.eye(4)[np.where(rng.random(50) < 0.9, truth, 0)]
    found = choose([weak, strong], [1.0, 10.0], truth, 4)
    lead = margins(weak)
    least = np.mean(strong.argmax(1) == truth) - 0.04

    def accuracy(bound: float) -> float:
        return float(np.mean(np.where(lead >= bound, weak.argmax(1), strong.argmax(1)) == truth))

    bound = found.thresholds[0]
    assert found.accuracy == pytest.approx(accuracy(bound)) and found.accuracy >= least - 1e-9
    assert found.ms == pytest.approx(1 + 10 * np.mean(lead < bound))
    lower = [b for b in np.unique(lead) if b < bound]
    if lower:
        assert any(accuracy(b) < least for b in np.unique(lead) if b >= lower[-1])


def test_stages_compute_what_the_whole_does(tmp_path: Path, photos: tuple) -> None:
    graph = exits()
    names = ("early", "middle", "late")
    made = fl.early_exits(
        graph, tmp_path / "site", exits=names, calibration=photos[0][:40], task=TASK, max_loss=5
    )
    assert [s["id"] for s in made.stages] == ["stage-1", "stage-2", "stage-3"]
    assert len(made.choice.thresholds) == 2 and made.choice.asked[0] == 1
    assert made.choice.asked[1] >= made.choice.asked[2] > 0
    assert made.choice.accuracy >= made.choice.last - 0.05 - 1e-9
    assert made.stages[0]["gives"] == made.stages[1]["takes"] == ["carry0"]
    assert made.stages[2]["takes"] == ["carry0", "carry1"]
    whole = fl.build(graph, tmp_path / "whole")
    before = TASK.preprocess(graph)
    counts = set()
    for photo in photos[0][40:60]:
        rgba = np.pad(photo, [(0, 0), (0, 0), (0, 1)], constant_values=255)
        x = evaluate(before, {"image": rgba})["input"]
        scores, count = walk(tmp_path / "site", photo)
        counts.add(count)
        np.testing.assert_allclose(scores, whole.run({"x": x})[names[count - 1]][0], atol=1e-6)
    assert 3 in counts
    whole.close()
    refused("E-BUNDLE-006", lambda: fl.open_bundle(tmp_path / "site"), "stage-1")


def test_each_node_is_in_one_stage() -> None:
    graph = exits()
    cut = stages(graph, ["early", "late"])
    assert sum(len(s.graph.nodes) for s in cut) < len(graph.nodes)  # "middle" is nobody's
    both = [n.name for s in cut for n in s.graph.nodes]
    assert len(both) == len(set(both))


def test_exits_that_are_none(tmp_path: Path, photos: tuple) -> None:
    def build(*names: str, **more):
        given = {"exits": names, "calibration": photos[0][:4], "task": TASK, **more}
        return lambda: fl.early_exits(exits(), tmp_path / "site", **given)

    refused("E-BUILD-003", build("early"))
    refused("E-BUILD-003", build("early", "never"), "early, middle, late")
    refused("E-BUILD-003", build("early", "early"))
    refused("E-BUILD-003", build("late", "logits"), "comes too late")
    for where, value in WRONG_OF_PAGE.items():
        refused("E-BUILD-005", build("early", "late", **{where: value}), where)
    assert list(tmp_path.iterdir()) == []


def test_a_cascade_that_gains_nothing_says_so(tmp_path: Path, photos: tuple) -> None:
    """A first stage that is never sure makes every answer dearer."""
    weak = colours(16, gain=0.01, mix=0.5, name="weak")
    made = fl.cascade(weak, colours(16), tmp_path / "s", calibration=photos[0][:20], task=TASK)
    assert made.choice.asked[1] > 0.6 and "too weak to gain much" in str(made)


@pytest.mark.parametrize("precision", ["f16", "int8"])
def test_exits_of_a_precision_say_what_the_whole_of_it_does(
    tmp_path: Path, photos: tuple, precision: str
) -> None:
    """Cut or whole, a model of bytes or halves gives the same numbers, not only near ones."""
    names = ("early", "middle", "late")
    graph = exits()
    model, options = graph, {"precision": precision}
    if precision == "int8":
        model, options = fl.quantize(graph, photos[0], task=TASK), {}
    made = fl.early_exits(
        model, tmp_path / "site", exits=names, calibration=photos[0], task=TASK, max_loss=5,
        **options,
    )  # fmt: skip
    assert [stage["precision"] for stage in made.stages] == [precision] * 3

    def wholes(source: Graph, kind: str, **more: str) -> list[fl.Bundle]:
        """A bundle per exit, of all of the model up to there."""
        ends = dict(source.outputs)
        found = []
        for name in names:
            alone = Graph(name, source.inputs, ((name, ends[name]),), source.nodes, source.weights)
            found.append(fl.build(alone, tmp_path / f"{kind}-{name}", task=TASK, **more))
        return found

    source = model if isinstance(model, Graph) else model.graph
    same, float32 = wholes(source, "same", **options), wholes(graph, "float32")
    counts, differs = set(), 0.0
    for photo in photos[0][40:70]:
        scores, count = walk(tmp_path / "site", photo)
        counts.add(count)
        said, exact = (
            bundles[count - 1].run({"image": photo})["scores"].reshape(-1)
            for bundles in (same, float32)
        )
        np.testing.assert_allclose(scores, said, atol=1e-6)
        differs = max(differs, float(np.abs(scores - exact).max()))
    assert 3 in counts and 1e-6 < differs < 0.1  # it is that precision, and a good one
    for bundle in (*same, *float32):
        bundle.close()


@pytest.mark.parametrize("precision", ["f16", "int8"])
def test_a_cascade_of_a_precision(tmp_path: Path, photos: tuple, precision: str) -> None:
    models, options = [small(), colours()], {"precision": precision}
    if precision == "int8":
        models, options = [fl.quantize(m, photos[0], task=TASK) for m in models], {}
    made = fl.cascade(
        *models, tmp_path / "site", calibration=photos[0], labels=photos[1], task=TASK,
        max_loss=2, **options,
    )  # fmt: skip
    assert [stage["precision"] for stage in made.stages] == [precision] * 2
    wholes = [
        fl.build(model, tmp_path / str(i), task=TASK, **options) for i, model in enumerate(models)
    ]
    counts = set()
    for photo in photos[0]:
        scores, count = walk(tmp_path / "site", photo)
        counts.add(count)
        whole = wholes[count - 1].run({"image": photo})["scores"].reshape(-1)
        np.testing.assert_array_equal(scores, whole)
    assert counts == {1, 2}
    for bundle in wholes:
        bundle.close()

"""fl.cascade and fl.early_exits: a cheap answer where it is sure, a dear one where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.adaptive.exits import Stage, stages
from fanlight.adaptive.folder import Page, Part, page_of, workshop, write_folder
from fanlight.adaptive.scores import Advance, bundle_host, photos_of, scores_of
from fanlight.adaptive.threshold import Choice, choose, truths
from fanlight.build import build
from fanlight.built import Bundle
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph
from fanlight.layers.foreign import refuse_model
from fanlight.models import tasks
from fanlight.tensor.trace import source_of

# Half a point cannot be seen on a hundred photos.
LIMIT = 1000
FEW = 200


@dataclass(frozen=True)
class Cascade:
    """What `cascade` or `early_exits` wrote.

    Attributes:
        path: the folder.
        choice: the thresholds, and what they do to the photos (see `Choice`).
        photos: how many photos they were chosen on.
        against: "labels", or "the last stage" where there were none.
        stages: what cascade.json says of each stage.
        notes: what a careful reader would like to know.
    """

    path: Path
    choice: Choice
    photos: int
    against: str
    stages: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def threshold(self) -> float:
        """The margin below which the second stage is asked."""
        return self.choice.thresholds[0]

    def __str__(self) -> str:
        kept = "accuracy" if self.against == "labels" else "agreement with the last stage"
        lines = [
            f"{self.path}: {len(self.stages)} stages, chosen on {self.photos} photos",
            f"  {kept} {100 * self.choice.accuracy:.1f} % (last stage alone "
            f"{100 * self.choice.last:.1f} %), {self.choice.ms:.2f} ms on average here",
        ]
        for stage, share in zip(self.stages, self.choice.asked, strict=True):
            bound = stage.get("threshold")
            until = "" if bound is None else f", sure from a margin of {bound:.3f} on"
            lines.append(
                f"  {stage['id']:<10} asked {100 * share:5.1f} %, {stage['ms']:.2f} ms, "
                f"{stage['bytes'] / 1e6:.2f} MB{until}"
            )
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def cascade(
    small: Any,
    large: Any,
    out: str | Path,
    *,
    calibration: Any,
    labels: Any = None,
    task: Any = None,
    max_loss: float = 0.5,
    precision: str = "f32",
    title: str | None = None,
    samples: Sequence[str | Path] = (),
    card: str = "",
    offline: bool = False,
    isolate: bool = False,
    headers: Sequence[str] = (),
    compress: bool = True,
    lazy: bool = False,
    progress: Advance = lambda title, share: None,
) -> Cascade:
    """Build two models of the same classes into one folder; its page asks the large one if unsure.

    The page loads the small model first, and the large one when it is first needed.

    Args:
        small, large: as fl.build takes them (fl.quantize's too), or bundles that it gave.
        out: the folder to write.
        calibration: photos as in fl.quantize, of which up to 1,000 are used.
        labels: the true class of each photo, as a number or a name, in the order of a list of
            photos: then accuracy counts. None: agreement with the large model does.
        task: of both, or a pair; default: fl.tasks.classify().
        max_loss: how many points (of 100) of that may be lost.
        precision: of both, "f32" or "f16"; for int8 give what fl.quantize gave.
        title, samples, card, isolate, headers, compress, lazy: as in fl.build_tiers.
        offline: as in fl.build; a page keeps both models.

    Raises:
        FanlightError: E-BUILD-002 the models have other labels; E-CALIB-00x no photos, or labels
            that do not fit them; as fl.build.
    """
    pair = task if isinstance(task, tuple) else (task, task)
    page = page_of(title, card, samples, offline, isolate, headers, compress, lazy)
    photos = _photos(calibration, max_loss)
    with workshop(out, "a cascade") as (target, scratch):
        bundles = []
        for index, (model, own) in enumerate(zip((small, large), pair, strict=True)):
            progress("Building the small model" if index == 0 else "Building the large one", 0)
            if isinstance(model, Bundle):
                bundles.append(model)
                continue
            refuse_model(model)
            place = scratch / ("small", "large")[index]
            own = own or tasks.classify()
            bundles.append(build(model, place, task=own, precision=precision))
        _check_pair(bundles)
        truth = truths(labels, bundles[0].labels, len(photos), _classes(bundles[0]))
        found = []
        for index, bundle in enumerate(bundles):
            progress("Asking " + ("the small model", "the large one")[index], (index + 1) / 3)
            found.append(scores_of(bundle, photos))
        parts = [Part(n, b) for n, b in zip(("small", "large"), bundles, strict=True)]
        return _finish(target, "cascade", parts, found, truth, max_loss, page)


def early_exits(
    model: Any,
    out: str | Path,
    *,
    exits: Sequence[str],
    calibration: Any,
    labels: Any = None,
    task: Any = None,
    max_loss: float = 0.5,
    precision: str = "f32",
    title: str | None = None,
    samples: Sequence[str | Path] = (),
    card: str = "",
    offline: bool = False,
    isolate: bool = False,
    headers: Sequence[str] = (),
    compress: bool = True,
    lazy: bool = False,
    progress: Advance = lambda title, share: None,
) -> Cascade:
    """Build a model with answers on its way as stages: its page stops at the first that is sure.

    Each stage takes what the one before has computed, so nothing is computed twice, and where the
    last one answers, it says what the whole model says.

    Args:
        model: as fl.build takes it, with several outputs of the same classes.
        exits: the names of these outputs, the earliest first.
        the rest: as in `cascade`; the last exit takes the place of the large model.

    Raises:
        FanlightError: E-BUILD-003 these are no exits of the model; as `cascade`.
    """
    refuse_model(model)
    source = source_of(model, None, None)
    graph: Graph = source if isinstance(source, Graph) else source.graph
    cut = stages(graph, exits)
    task = task or tasks.classify()
    if task.labels is None and getattr(source, "labels", None) is not None:
        task = replace(task, labels=tuple(source.labels))
    task = task.settled(graph)
    page = page_of(title, card, samples, offline, isolate, headers, compress, lazy)
    photos = _photos(calibration, max_loss)
    with workshop(out, "stages") as (target, scratch):
        parts = []
        for index, stage in enumerate(cut, 1):
            progress(f"Building stage {index}", index / (len(cut) + 1) / 2)
            made = _Made(*(_first(stage, task) if index == 1 else _later(stage, task)))
            name = f"stage-{index}"
            bundle = build(stage.graph, scratch / name, task=made, precision=precision)
            parts.append(
                Part(name, bundle, {"takes": list(stage.takes), "gives": list(stage.gives)})
            )
        first = parts[0].bundle
        truth = truths(labels, first.labels, len(photos), _classes(first))
        progress("Asking all stages", 0.5)
        found = _all_scores([part.bundle for part in parts], photos)
        return _finish(target, "exits", parts, found, truth, max_loss, page)


@dataclass(frozen=True)
class _Made:
    """A task that was applied already."""

    graph: Graph
    entry: dict[str, Any] | None

    def apply(self, graph: Graph, labels: Sequence[str] | None = None) -> tuple[Graph, Any]:
        return self.graph, self.entry


def _first(stage: Stage, task: Any) -> tuple[Graph, dict[str, Any]]:
    """From a picture to the scores of the first exit, and to what is carried on."""
    answer = stage.graph.outputs[:1]
    alone = Graph(
        stage.graph.name, stage.graph.inputs, answer, stage.graph.nodes, stage.graph.weights
    )
    _, entry = task.apply(alone)
    builder = Builder(stage.graph.name)
    before = task.preprocess(stage.graph)
    image = before.inputs[0]
    picture = builder.input(image.name, image.shape, image.dtype)
    made = builder.inline(before, {image.name: picture})
    own = builder.inline(stage.graph, {stage.graph.inputs[0].name: made["input"]})
    scores = builder.inline(task.postprocess(stage.graph), {"answer": own["answer"]})["scores"]
    top, indices = builder.add("top_k", scores, k=scores.type.size, name="postprocess/top")
    outputs = {"scores": scores, "top_scores": top, "top_indices": indices}
    return builder.finish(outputs | {n: own[n] for n in stage.gives}), entry


def _later(stage: Stage, task: Any) -> tuple[Graph, None]:
    """From what was carried to the scores of a later exit."""
    builder = Builder(stage.graph.name)
    inputs = {v.name: builder.input(v.name, v.shape, v.dtype) for v in stage.graph.inputs}
    own = builder.inline(stage.graph, inputs)
    scores = builder.inline(task.postprocess(stage.graph), {"answer": own["answer"]})["scores"]
    return builder.finish({"scores": scores} | {n: own[n] for n in stage.gives}), None


def _classes(bundle: Bundle) -> int:
    """How many classes a classifier tells apart."""
    (scores,) = (t for t in bundle.manifest["outputs"] if t["name"] == "scores")
    return int(scores["shape"][-1])


def _all_scores(
    bundles: Sequence[Bundle], photos: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, float]]:
    """The scores of each stage of each photo, and the median milliseconds of each stage."""
    import time

    hosts = [bundle_host(bundle) for bundle in bundles]
    scores: list[list[np.ndarray]] = [[] for _ in bundles]
    times: list[list[float]] = [[] for _ in bundles]
    for photo in photos:
        known: dict[str, Any] = {"image": photo}
        for index, (bundle, host) in enumerate(zip(bundles, hosts, strict=True)):
            names = [t["name"] for t in bundle.manifest["inputs"]]
            start = time.perf_counter()
            out = bundle.run({n: known[n] for n in names}, host=host)
            times[index].append(1000 * (time.perf_counter() - start))
            known |= out
            scores[index].append(out["scores"].reshape(-1))
    return [(np.stack(s), float(np.median(t))) for s, t in zip(scores, times, strict=True)]


def _finish(
    target: Path,
    kind: str,
    parts: list[Part],
    found: Sequence[tuple[np.ndarray, float]],
    truth: np.ndarray | None,
    max_loss: float,
    page: Page,
) -> Cascade:
    """Choose the thresholds, write the folder, and say what was done."""
    count = len(found[0][0])
    times = [ms for _, ms in found]
    chosen = choose([scores for scores, _ in found], times, truth, max_loss)
    for part, (_, ms) in zip(parts, found, strict=True):
        part.figures["ms"] = ms
        part.bundle.close()
    for part, bound in zip(parts, chosen.thresholds, strict=False):
        part.figures["threshold"] = bound
    notes = []
    if count < FEW:
        notes.append(
            f"{count} photos are few: one of them is {100 / count:.1f} points. Give {FEW} or more."
        )
    alone = times[-1] if kind == "cascade" else sum(times)
    if chosen.asked[1] > 0.6 or chosen.ms >= alone:
        notes.append(
            f"{100 * chosen.asked[1]:.0f} % of the photos need the second stage, so an answer "
            f"takes {chosen.ms:.3g} ms here on average, and {alone:.3g} ms without an early one: "
            "the first stage is too weak to gain much."
        )
    against = "the last stage" if truth is None else "labels"
    data = {
        "photos": count,
        "against": against,
        "max_loss": max_loss,
        "chosen": {
            "asked": list(chosen.asked),
            "accuracy": chosen.accuracy,
            "last": chosen.last,
            "ms": chosen.ms,
        },
        "curve": list(chosen.curve),
        "notes": notes,
    }
    write_folder(target, kind, parts, data, page)
    return Cascade(target, chosen, count, against, [p.entry() for p in parts], notes)


def _photos(calibration: Any, max_loss: Any) -> list[np.ndarray]:
    """The photos to choose on; E-CALIB-001 if there are none, E-BUILD-005 a loss that is none."""
    number = isinstance(max_loss, int | float) and not isinstance(max_loss, bool)
    if not number or not 0 <= max_loss <= 100:
        raise FanlightError(
            "E-BUILD-005",
            "max_loss is not a number of points.",
            where="max_loss",
            expected="0 to 100; 0.5 loses one answer of two hundred",
            received=repr(max_loss)[:80],
        )
    photos = photos_of(calibration, LIMIT)
    if not photos:
        raise FanlightError(
            "E-CALIB-001",
            "a threshold is chosen on photos, and there are none.",
            where="calibration",
            expected=f"{FEW} photos or more (a folder, a .tar, a list)",
            received="none" if calibration is None else "arrays",
            next="give photos such as visitors will show: calibration='photos/'.",
        )
    return photos


def _check_pair(bundles: Sequence[Bundle]) -> None:
    """Both classify, and the same classes."""
    names = [bundle.labels for bundle in bundles]
    if None in names or names[0] != names[1] or len(names[0] or ()) < 2:
        counts = ["no labels" if n is None else f"{len(n)} labels" for n in names]
        raise FanlightError(
            "E-BUILD-002",
            "the two models of a cascade do not have the same labels.",
            where="small, large",
            expected="the same labels, in the same order",
            received=f"{counts[0]} and {counts[1]}"
            + (", not the same" if counts[0] == counts[1] else ""),
            next="give the names of both: task=fl.tasks.classify(labels=labels).",
        )

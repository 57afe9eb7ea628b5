"""fl.build_tiers: several variants of one model in one folder, of which a page takes what fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.adaptive.folder import Part, page_of, workshop, write_folder
from fanlight.adaptive.scores import Advance, agreement, photos_of, scores_of
from fanlight.adaptive.sizes import resized
from fanlight.build import PRECISIONS, build
from fanlight.built import Bundle, open_bundle
from fanlight.bundle.group import MAX_PARTS
from fanlight.errors import FanlightError
from fanlight.graph import Graph
from fanlight.layers.foreign import refuse_model
from fanlight.quantize import is_quantized, quantize
from fanlight.tensor.trace import source_of

# Of the sides of the whole picture: half of the arithmetic.
SMALL = 0.714
# What a variant that was chosen for itself has to be worth: answers like those of the float model.
LEAST_AGREEMENT = 0.6
_TIER = re.compile(r"(f32|f16|int8)(?:@(\d{1,4})(?:x(\d{1,4}))?)?")


@dataclass(frozen=True)
class Variant:
    """One wanted tier: a precision, and a size (None: the model's own)."""

    precision: str
    size: tuple[int, int] | None = None
    chosen: bool = False  # by us, not by the caller: it may be left out


@dataclass(frozen=True)
class Tiers:
    """What `build_tiers` wrote.

    Attributes:
        path: the folder.
        tiers: from best to cheapest, what tiers.json says of each.
        notes: what was left out, and why.
        best: the first of them, as a bundle.
    """

    path: Path
    tiers: list[dict[str, Any]]
    notes: list[str]
    best: Bundle

    def __str__(self) -> str:
        lines = [f"{self.path}: {len(self.tiers)} tiers"]
        for tier in self.tiers:
            size = "x".join(map(str, tier["size"] or ())) or "any size"
            share = tier["agreement"]
            same = "not measured" if share is None else f"{100 * share:.1f} % as f32"
            lines.append(
                f"  {tier['id']:<12} {tier['precision']:<5} {size:<9} "
                f"{tier['bytes'] / 1e6:6.2f} MB {tier['flops'] / 1e6:8.1f} MFLOP  {same}"
            )
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def build_tiers(
    model: Any,
    out: str | Path,
    *,
    task: Any = None,
    tiers: str | Sequence[str] = "auto",
    calibration: Any = None,
    name: str | None = None,
    title: str | None = None,
    samples: Sequence[str | Path] = (),
    card: str = "",
    offline: bool = False,
    isolate: bool = False,
    headers: Sequence[str] = (),
    compress: bool = True,
    lazy: bool = False,
    progress: Advance = lambda title, share: None,
) -> Tiers:
    """Build several variants of a model into one folder; its page takes the best that fits.

    Args:
        model: what fl.load gives, a model of layers, or a graph. In float32.
        out: the folder to write.
        task: as in fl.build; sizes other than the model's need one.
        tiers: "auto", or a list such as ["f32", "f16", "int8", "int8@160", "f16@128x160"]: a
            precision and, where wanted, the height (and width) of the model's picture. auto: f32,
            f16, int8 where there are calibration data, and the cheapest of them again for a picture
            of half the arithmetic, where the model allows one.
        calibration: as in fl.quantize. Photos are also what quality is measured on: the share of
            them of which a tier says the same as the float model.
        lazy: the page loads nothing of the model before a visitor wants it.
        name, title, samples, card, isolate, headers, compress: as in fl.build.
        offline: as in fl.build; of the models a page keeps the tier that it has chosen, and the
            smallest download, for a day on which that one is not to be had.
        progress: called with what is going on and the share of the work done, 0 to 1.

    Returns:
        What was written, from best to cheapest, and notes on what was left out.

    Raises:
        FanlightError: E-BUILD-005 tiers of another form; E-BUILD-003 a size that the model does not
            allow; E-CALIB-00x int8 without photos; as fl.build.
    """
    refuse_model(model)
    model = source_of(model, None, None)
    graph: Graph = model if isinstance(model, Graph) else model.graph
    if is_quantized(graph):
        raise _wrong("model", "a float32 model", "a model that is quantised already")
    labels = None if isinstance(model, Graph) else getattr(model, "labels", None)
    photos = photos_of(calibration) if task is not None else []
    wanted, notes = _wanted(graph, task, tiers, calibration is not None)
    parts: list[Part] = []
    page = page_of(title, card, samples, offline, isolate, headers, compress, lazy)
    with workshop(out, "tiers") as (target, scratch):
        reference: np.ndarray | None = None
        if photos:
            progress("Asking the float model", 0)
            with _built(model, labels, task, "f32", None, name, scratch / "own") as whole:
                reference, _ = scores_of(whole, photos)
        for index, variant in enumerate(wanted):
            progress(f"Building {_id(variant, graph)}", (index + 1) / (len(wanted) + 1))
            place = scratch / _id(variant, graph)
            try:
                source = model if variant.size is None else resized(graph, variant.size)
                made = _built(source, labels, task, variant.precision, calibration, name, place)
            except FanlightError as error:
                if not variant.chosen or error.code not in ("E-BUILD-003", "E-CALIB-005"):
                    raise
                notes.append(f"{_id(variant, graph)} is left out: {error.message}")
                continue
            share = None
            with made:
                if reference is not None:
                    share = agreement(scores_of(made, photos)[0], reference)
            if share is not None and variant.chosen and share < LEAST_AGREEMENT:
                notes.append(
                    f"{_id(variant, graph)} is left out: it says the same as the float model of "
                    f"{100 * share:.0f} % of the photos only."
                )
                continue
            parts.append(Part(_id(variant, graph), made, {"agreement": share}))
        if not photos and len(parts) > 1:
            notes.append("quality was not measured: give photos (--calibrate FOLDER).")
        parts.sort(key=_order)
        write_folder(target, "tiers", parts, {"photos": len(photos), "notes": notes}, page)
        return Tiers(target, [p.entry() for p in parts], notes, open_bundle(target))


def _order(part: Part) -> tuple[Any, ...]:
    """Best first: of the largest picture, in floats before bytes, the largest download."""
    entry = part.entry()
    area = 0 if entry["size"] is None else entry["size"][0] * entry["size"][1]
    # The shares of a hundred photos are too coarse to order by: those of two tiers may be equal.
    return (-area, entry["arithmetic"] != "float32", -entry["bytes"])


def _built(
    source: Any,
    labels: Sequence[str] | None,
    task: Any,
    precision: str,
    calibration: Any,
    name: str | None,
    place: Path,
) -> Bundle:
    """A bundle of this variant in `place`."""
    if labels is not None and getattr(task, "labels", ()) is None:
        task = replace(task, labels=tuple(labels))  # a graph of another size carries none
    if precision == "int8":
        source = quantize(source, calibration, task=task)
    return build(source, place, task=task, precision=precision, name=name)


def _wanted(
    graph: Graph, task: Any, tiers: str | Sequence[str], calibrated: bool
) -> tuple[list[Variant], list[str]]:
    """The variants to build, and what there is to say of those that are not."""
    if tiers != "auto":
        names = tiers.split(",") if isinstance(tiers, str) else list(tiers)
        found = [_variant(text, task) for text in names]
        if not 1 <= len(found) <= MAX_PARTS or len({_id(v, graph) for v in found}) < len(found):
            raise _wrong("tiers", f"1 to {MAX_PARTS} tiers, each once", ", ".join(map(str, names)))
        return found, []
    found = [Variant("f32"), Variant("f16")]
    notes = []
    if calibrated:
        found.append(Variant("int8", chosen=True))
    else:
        notes.append(
            "int8 is left out: it needs photos such as visitors will show (--calibrate FOLDER)."
        )
    if task is not None:
        shape = graph.inputs[0].type.bound
        if len(shape) == 4 and min(shape[1:3]) >= 32:
            size = (_smaller(shape[1]), _smaller(shape[2]))
            found.append(Variant("int8" if calibrated else "f16", size, chosen=True))
    return found, notes


def _smaller(side: int) -> int:
    step = 32 if side >= 128 else 16
    return max(step, round(SMALL * side / step) * step)


def _variant(text: Any, task: Any) -> Variant:
    match = _TIER.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise _wrong(
            "tiers",
            f'"auto", or a list of {", ".join(PRECISIONS)}, with @SIZE where wanted: "int8@160"',
            text,
        )
    precision, height, width = match.groups()
    if height is None:
        return Variant(precision)
    if task is None:
        raise _wrong("tiers", "a task, of which the picture's size is no matter", text)
    return Variant(precision, (int(height), int(width or height)))


def _id(variant: Variant, graph: Graph) -> str:
    """What a tier is called: int8-160, or int8 where the model takes no picture."""
    shape = graph.inputs[0].type.bound
    size = variant.size or (tuple(shape[1:3]) if len(shape) == 4 else None)
    if size is None:
        return variant.precision
    sides = str(size[0]) if size[0] == size[1] else "x".join(map(str, size))
    return f"{variant.precision}-{sides}"


def _wrong(where: str, expected: str, received: object) -> FanlightError:
    return FanlightError(
        "E-BUILD-005",
        f"these {where} cannot be built."
        if where == "tiers"
        else "tiers are made of a float model.",
        where=where,
        expected=expected,
        received=str(received)[:200],
    )

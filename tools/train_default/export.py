"""The model's folder: a TF.js layers-model of float16 weights, its labels and its card."""

from __future__ import annotations

import hashlib
import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fanlight as fl
from train_default.network import SIZE, Shape
from train_default.photos import Photos, to_input

# WordNet's first synonym is not always the plain English word.
PLAIN = {
    "tabby": "tabby cat",
    "monarch": "monarch butterfly",
    "teddy": "teddy bear",
    "hog": "pig",
    "lesser panda": "red panda",
    "alp": "mountain",
    "pop bottle": "soda bottle",
    "lakeside": "lakeshore",
}
BATCH = 125


@dataclass(frozen=True)
class Figures:
    """What a written network reaches on the validation split.

    Attributes:
        per_class: the share of each class that is recognised.
        bytes, digest: of the files of weights.
    """

    top1: float
    top5: float
    per_class: np.ndarray
    parameters: int
    bytes: int
    digest: str


def plain_label(words: str) -> str:
    """The everyday name of a class, of WordNet's synonyms."""
    first = words.split(",")[0].strip()
    return PLAIN.get(first, first)


def halve(folder: Path) -> None:
    """Rewrite the weights of a TF.js layers-model as float16, as TF.js's own converter does."""
    path = folder / "model.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for group in document["weightsManifest"]:
        whole = b"".join((folder / name).read_bytes() for name in group["paths"])
        for name in group["paths"]:
            (folder / name).unlink()
        group["paths"] = ["group1-shard1of1.bin"]
        half = np.frombuffer(whole, "<f4").astype("<f2")
        (folder / group["paths"][0]).write_bytes(half.tobytes())
        for entry in group["weights"]:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def scores(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """Probabilities [n, classes] of photos, by the files of a folder."""
    model = fl.load_model(folder, compile=False)
    parts = [
        model.predict(to_input(pixels[at : at + BATCH]), BATCH)
        for at in range(0, len(pixels), BATCH)
    ]
    return np.concatenate(parts)


def measured(folder: Path, photos: Photos) -> Figures:
    """What the files of a folder reach on the validation split."""
    answers = photos.labels[photos.held]
    found = scores(folder, photos.pixels[photos.held])
    best = np.argsort(-found, 1, kind="stable")[:, :5]
    hits = best[:, 0] == answers
    classes = range(found.shape[1])
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))["weightsManifest"]
    blob = b"".join((folder / name).read_bytes() for group in manifest for name in group["paths"])
    return Figures(
        float(hits.mean()),
        float((best == answers[:, None]).any(1).mean()),
        np.array([hits[answers == c].mean() if (answers == c).any() else 0.0 for c in classes]),
        sum(int(np.prod(w["shape"])) for group in manifest for w in group["weights"]),
        len(blob),
        hashlib.sha256(blob).hexdigest(),
    )


def export(
    model: fl.Model, shape: Shape, folder: Path, photos: Photos, story: str, best: float
) -> Figures:
    """Write the model's folder and measure it from its own files.

    It takes its place at the end, whole, if its top-1 is above `best`; else it is thrown away.
    """
    new = folder.with_name(f"{folder.name}-new")
    shutil.rmtree(new, ignore_errors=True)
    model.save(new, include_optimizer=False)
    halve(new)
    names = [plain_label(w) for w in photos.words]
    (new / "labels.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    figures = measured(new, photos)
    if figures.top1 > best:
        (new / "card.md").write_text(card(names, figures, story, photos, shape), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    shutil.rmtree(new, ignore_errors=True)
    return figures


# --- the card -------------------------------------------------------------------------------------


def card_section(path: Path, title: str) -> str:
    """The text under a heading of a card."""
    parts = path.read_text(encoding="utf-8").split(f"\n## {title}\n")
    return parts[1].split("\n## ")[0].strip() if len(parts) == 2 else ""


def paragraphs(text: str) -> str:
    """Text in lines of at most 96 columns; headings stay."""
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return "\n\n".join(textwrap.fill(part, 96) for part in parts)


def item(text: str) -> str:
    """A point of a list."""
    return textwrap.fill(text, 96, initial_indent="- ", subsequent_indent="  ")


def card(names: Sequence[str], figures: Figures, story: str, photos: Photos, shape: Shape) -> str:
    """The model card, every figure in it measured from the exported files."""
    order = np.argsort(figures.per_class, kind="stable")

    def listed(classes: np.ndarray) -> str:
        return ", ".join(f"{names[c]} {figures.per_class[c]:.0%}" for c in classes)

    train, held = len(photos.train), len(photos.held)
    return f"""# Model card: fanlight_mobilenet_64

A small image classifier: the photo's most likely class out of 100 everyday ones.  It is the
demo model that comes with Fanlight, and a backbone for transfer learning.

| | |
|---|---|
| Input | `[n, {SIZE}, {SIZE}, 3]` RGB, `pixel / 127.5 - 1` |
| Output | `[n, {len(names)}]` probabilities, in the order of `labels.txt` |
| Parameters | {figures.parameters:,} (batch norms folded in) |
| Weights | float16, {figures.bytes:,} bytes |
| Top-1 | **{figures.top1:.1%}** of the {held:,} validation photos |
| Top-5 | **{figures.top5:.1%}** |
| SHA-256 of the weights | `{figures.digest}` |

The accuracy is that of the files beside this card (float16 weights, float32 arithmetic), one
centred view a photo, on the data set's own validation split.  That split also chose which
checkpoint to keep, so expect slightly less on new photos of the same kind.

## Architecture

{paragraphs(shape.told)}

## Data and its terms

{train:,} training and {held:,} validation photos of 100 classes of Tiny ImageNet 200, a 64-pixel
subset of ImageNet (ILSVRC).  ImageNet does not own its photos; it gives them to researchers for
non-commercial research and educational use, under terms that they accept.  No photo is part of
this model or of Fanlight.  Whoever plans a commercial use should judge for themselves what those
terms mean for weights trained on such photos, or train new ones: the script is
`tools/train_default.py`.

## Training

{paragraphs(story)}

## Limits

- It always answers with one of its 100 classes, also for a photo of something else; a high
  probability is no proof.  There is no class for people.
- It was trained on 64-pixel photos of mostly one object; small, cropped or crowded objects,
  drawings and unusual angles are often mistaken.
{item(f"Best classes: {listed(order[::-1][:8])}.")}
{item(f"Worst classes: {listed(order[:8])}.")}
- The photos were gathered from the web with mostly English words: what buses, food or furniture
  look like elsewhere is seen less, and recognised less well.
- Not for decisions about people, nor where an error could harm someone.
"""

"""The model that ships with Fanlight: a small MobileNet, 100 everyday classes (see its card.md)."""

from __future__ import annotations

from pathlib import Path

from fanlight.formats import Model, load
from fanlight.models.tasks import Classify, classify

FOLDER = Path(__file__).with_name("default_files")


def default_model() -> tuple[Model, Classify]:
    """The shipped classifier and the task that it was trained for."""
    text = (FOLDER / "labels.txt").read_text(encoding="utf-8")
    labels = [line for line in text.splitlines() if line]
    return load(FOLDER / "model.json"), classify(labels=labels, input_range=(-1, 1))


def default_card() -> str:
    """What there is to know about the shipped classifier: data, figures, limits (Markdown)."""
    return (FOLDER / "card.md").read_text(encoding="utf-8")

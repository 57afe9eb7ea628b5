"""Pictures of training, drawn with matplotlib: curves by epoch, confusion matrices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import Tensor
from fanlight.tensor.caller import caller

_COLOURS = ("#5b8e7d", "#f58549", "#3d5a80", "#b56576", "#8f7a3d", "#6d597a")
_SUFFIXES = (".png", ".svg", ".pdf", ".jpg", ".webp")


def _figure(what: str, size: tuple[float, float]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise FanlightError(
            "E-TENSOR-011",
            f"{what} is drawn with matplotlib, which is not installed.",
            where=caller(),
            next='pip install "fanlight[plots]".',
        ) from None
    return Figure(figsize=size, layout="constrained")


def _written(figure: Any, path: Any) -> Any:
    """Write a figure, if there is a path, and give it; the suffix says how."""
    if path is None:
        return figure
    name = os.fspath(path)
    if not name.lower().endswith(_SUFFIXES):
        raise FanlightError(
            "E-LAYER-004",
            "pictures are not written in this form.",
            where=f"path, {caller()}",
            expected=", ".join(_SUFFIXES),
            received=name,
        )
    figure.savefig(name, dpi=150)
    return figure


def draw_history(epochs: Sequence[int], history: Mapping[str, Sequence[Any]], path: Any) -> Any:
    """Losses and single-number metrics by epoch; see `History.plot`."""
    groups: dict[str, dict[str, Sequence[Any]]] = {}
    for name, values in history.items():
        if values and not any(np.ndim(v) for v in values):
            groups.setdefault(_group(name.removeprefix("val_")), {})[name] = values
    if not groups:
        raise FanlightError(
            "E-TRAIN-005",
            "there is nothing to draw: no epoch has ended.",
            where=f"History.plot, {caller()}",
            expected="the history of a training of an epoch or more",
            received="none",
        )
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = _figure("the history of a training", (4.6 * columns, 3.2 * rows))
    for place, (group, curves) in enumerate(groups.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        colours: dict[str, str] = {}
        for name, values in curves.items():
            own = name.removeprefix("val_")
            colour = colours.setdefault(own, _COLOURS[len(colours) % len(_COLOURS)])
            # Validation may be rarer than epochs: it ends with the last one.
            at = [e + 1 for e in _epochs_of(epochs, len(values))]
            dashed = name.startswith("val_")
            axes.plot(
                at,
                [float(v) for v in values],
                label=name,
                color=colour,
                linestyle="--" if dashed else "-",
                marker="o" if len(values) < 3 else None,
            )
        axes.set_title(group)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if len(curves) > 1:
            axes.legend(frameon=False)
    return _written(figure, path)


def _group(name: str) -> str:
    return "loss" if name == "loss" or name.endswith("_loss") else name.replace("_", " ")


def _epochs_of(epochs: Sequence[int], count: int) -> list[int]:
    if count == len(epochs):
        return list(epochs)
    every = max(1, len(epochs) // max(1, count))
    return [epochs[min(len(epochs) - 1, (i + 1) * every - 1)] for i in range(count)]


def plot_confusion(
    y_true: Any, y_pred: Any, labels: Sequence[Any] | None = None, path: Any = None
) -> Any:
    """Draw how often each class (rows) was answered by each one (columns).

    Args:
        y_true: class numbers [n], or one-hot rows [n, classes].
        y_pred: class numbers [n], or what a model predicts: [n, classes], or [n, 1] for two.
        labels: names of the classes.
        path: a .png, .svg or .pdf file to write.

    Returns:
        The figure of matplotlib, which a notebook shows.

    Raises:
        FanlightError: E-TENSOR-011 matplotlib is not installed; E-TRAIN-002 there are not as many
            answers as labels; E-TRAIN-004 a class without a name; E-TRAIN-005 no examples.
    """
    cells = confusion(y_true, y_pred, None if labels is None else len(labels))
    names = [str(n) for n in (labels if labels is not None else range(len(cells)))]
    side = min(14.0, 2.4 + 0.55 * len(names))
    figure = _figure("a confusion matrix", (side + 0.8, side))
    axes = figure.add_subplot()
    shares = cells / np.maximum(cells.sum(1, keepdims=True), 1)
    drawn = axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="share of the row")
    axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 4 else 60)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answer")
    axes.set_ylabel("label")
    axes.set_title(f"{np.trace(cells) / max(1, cells.sum()):.1%} of {cells.sum()} right")
    if len(names) <= 20:
        for row, column in np.ndindex(*cells.shape):
            if cells[row, column]:
                colour = "white" if shares[row, column] > 0.6 else "black"
                text = str(cells[row, column])
                axes.text(column, row, text, ha="center", va="center", color=colour, size=8)
    return _written(figure, path)


def confusion(y_true: Any, y_pred: Any, count: int | None = None) -> np.ndarray:
    """[classes, classes]: how often each label (row) was answered by each class (column)."""
    true, answers = _numbers(y_true, "y_true"), _numbers(y_pred, "y_pred")
    if len(true) != len(answers):
        raise FanlightError(
            "E-TRAIN-002",
            "there are not as many answers as labels.",
            where=f"plot_confusion, {caller()}",
            expected=f"{len(true)} answers",
            received=str(len(answers)),
        )
    if not len(true):
        raise FanlightError(
            "E-TRAIN-005",
            "there are no examples to count.",
            where=f"plot_confusion, {caller()}",
            expected="at least one label",
            received="none",
        )
    widths = [a.shape[1] for a in map(_array, (y_true, y_pred)) if a.ndim == 2 and a.shape[1] > 1]
    size = count or max([2, *widths, int(true.max()) + 1, int(answers.max()) + 1])
    low, high = min(true.min(), answers.min()), max(true.max(), answers.max())
    if low < 0 or high >= size:
        raise FanlightError(
            "E-TRAIN-004",
            "a class has no name.",
            where=f"plot_confusion labels, {caller()}",
            expected=f"classes from 0 to {size - 1}",
            received=f"{low} to {high}",
        )
    cells = np.zeros((size, size), np.int64)
    np.add.at(cells, (true, answers), 1)
    return cells


def _array(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def _numbers(value: Any, what: str) -> np.ndarray:
    """Class numbers of labels or predictions."""
    array = _array(value)
    if array.ndim == 2 and array.shape[1] > 1:
        found: np.ndarray = array.argmax(1)
        return found
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
        if array.dtype.kind == "f":
            array = array > 0.5
    if array.ndim != 1 or array.dtype.kind not in "iufb":
        raise FanlightError(
            "E-TRAIN-002",
            f"{what} is neither class numbers nor a row of numbers per example.",
            where=f"plot_confusion {what}, {caller()}",
            expected="[n] or [n, classes]",
            received=f"{array.dtype} {list(array.shape)}",
        )
    return array.astype(np.int64)


__all__ = ["plot_confusion"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

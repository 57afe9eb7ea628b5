"""Labels that a loss has no meaning for, and weights of examples by their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import losses
from fanlight.layers.objective import Objective
from fanlight.tensor.caller import caller


def check(objective: Objective, labels: Sequence[Any], weights: Sequence[Any], where: str) -> None:
    """E-TRAIN-004 for labels that the outputs of the model cannot be compared with.

    E-TRAIN-002 where there are none.

    Args:
        labels, weights: of each output. What weighs nothing may be anything.
        where: the model and the step, for errors.
    """
    if not any(y is not None for y in labels) and any(x is not None for x in objective.losses):
        raise FanlightError(
            "E-TRAIN-002",
            "there are no labels, and the loss compares predictions with them.",
            where=where,
            expected="y, or a dataset of (x, y)",
            received="x alone",
            next="a model that makes its input again has it as labels, too: fit(x, x).",
        )
    given = zip(objective.losses, labels, weights, objective.outputs, strict=False)
    for loss, y, w, shape in given:
        if w is not None and w.dtype.kind not in "iufb":
            raise _no_numbers(
                "sample_weight", w, where, "a number for each example says how much it counts."
            )
        if y is not None and y.dtype.kind in "USO" and losses.compares_numbers(loss):
            todo = (
                "names of classes become numbers by classes, y = np.unique(y, return_inverse=True)."
            )
            raise _no_numbers("y", y, where, todo)
        if y is None or not y.size or y.dtype.kind not in "iufb":
            continue
        counted = _counted(y, w)
        if not counted.size:
            continue
        if losses.takes_shares(loss, shape):
            _check_shares(counted, where)
        elif losses.takes_class_numbers(loss, y.shape, shape):
            size = _classes(loss, shape)
            if size is not None:
                _check_numbers(counted, size, getattr(loss, "ignore_class", None), where)


def _no_numbers(what: str, array: np.ndarray, where: str, todo: str) -> FanlightError:
    return FanlightError(
        "E-TRAIN-002",
        f"{what} has no numbers.",
        where=f"{what}, {where}",
        expected="an array of float32, int32, bool or uint8",
        received=f"{array.dtype}{list(array.shape)}: {array.reshape(-1)[:1].tolist()}"[:200],
        next=todo,
    )


def _counted(y: np.ndarray, w: Any) -> np.ndarray:
    """The labels that do not weigh 0."""
    if w is None:
        return y
    w = np.asarray(w)
    if not w.ndim or w.all() or w.shape != y.shape[: w.ndim]:
        return y
    kept: np.ndarray = y[w != 0]
    return kept


def _classes(loss: Any, shape: Sequence[int | None]) -> int | None:
    """How many classes an output has, for a loss of class numbers."""
    axis = getattr(loss, "axis", -1)
    return shape[axis] if isinstance(axis, int) and -len(shape) <= axis < len(shape) else None


def _check_shares(y: np.ndarray, where: str) -> None:
    right = (y >= 0) & (y <= 1) if y.dtype.kind != "b" else np.ones((), bool)
    if right.all():
        return
    signs = set(np.unique(y).tolist()) == {-1, 1}
    raise FanlightError(
        "E-TRAIN-004",
        "a label is outside what a binary loss takes.",
        where=where,
        expected="labels from 0 to 1: 0 and 1, or what lies between",
        received=repr(float(y[~right].reshape(-1)[0])),
        next="labels of -1 and 1 go with the loss hinge; (y + 1) / 2 makes them 0 and 1."
        if signs
        else "class numbers of more than two classes go with sparse_categorical_crossentropy and "
        "one unit for each class; other numbers with mse.",
    )


def _check_numbers(y: np.ndarray, size: int, ignored: int | None, where: str) -> None:
    if y.dtype.kind == "f" and not (y == np.floor(y)).all():
        raise FanlightError(
            "E-TRAIN-004",
            "a label is no class number.",
            where=where,
            expected=f"whole numbers from 0 to {size - 1}",
            received=repr(float(y[y != np.floor(y)].reshape(-1)[0])),
            next="a loss of numbers, such as mse, takes any; class numbers are whole.",
        )
    if ignored is not None:
        y = y[y != ignored]
    if not y.size or y.dtype.kind == "b":
        return
    low, high = y.min(), y.max()
    if low < 0 or high >= size:
        raise FanlightError(
            "E-TRAIN-004",
            "a label names a class that the model has no output for.",
            where=where,
            expected=f"class numbers from 0 to {size - 1}",
            received=f"{low} to {high}",
            next="count classes from 0, or give the last layer more units.",
        )


# --- class_weight ---------------------------------------------------------------------------------


def by_class(
    objective: Objective | None,
    labels: Sequence[Any],
    weights: Sequence[Any],
    given: Mapping[int, float] | None,
) -> list[Any]:
    """Weights of examples by their classes, times those that they have already.

    Args:
        objective: None of a model that says its losses itself.

    Raises:
        FanlightError: E-TRAIN-004 a class that the model does not have, no number for one, or
            several classes for each example.
    """
    if given is None or (isinstance(given, Mapping) and not given):
        return list(weights)
    table = _table(given)
    found, many = [], len(labels)
    known = objective is not None and len(objective.losses) == many
    each = objective.losses if known and objective is not None else [None] * many
    shapes = objective.outputs if known and objective is not None else [()] * many
    for loss, y, own, shape in zip(each, labels, weights or [None] * many, shapes, strict=True):
        if y is not None:
            y = np.asarray(y)
            _check_named(table, _count(loss, y, shape))
            y = _one_each(y, losses.takes_class_numbers(loss, y.shape, shape))
        found.append(_weighted(y, own, table))
    return found


def _table(given: Mapping[int, float]) -> dict[int, float]:
    wrong = not isinstance(given, Mapping) or not all(
        isinstance(k, Real) and not isinstance(k, bool) and float(k) == int(k) for k in given
    )
    if not wrong:
        values = list(given.values())
        wrong = not all(isinstance(v, Real) and float(v) >= 0 for v in values)
    if wrong:
        raise FanlightError(
            "E-TRAIN-004",
            "class_weight does not say how much classes count.",
            where=f"class_weight, {caller()}",
            expected="class number -> a number from 0 on: {0: 1.0, 1: 2.5}",
            received=repr(given)[:200],
            next="a class that is left out counts 1.",
        )
    return {int(k): float(v) for k, v in given.items()}


def _count(loss: Any, y: np.ndarray, shape: Sequence[int | None]) -> int | None:
    """How many classes there are; None where that is open, as with losses of numbers."""
    if losses.takes_class_numbers(loss, y.shape, shape):
        return _classes(loss, shape)
    if y.ndim > 1 and y.shape[-1] > 1:
        return int(y.shape[-1])
    return 2 if losses.takes_shares(loss, shape) else None


def _check_named(table: Mapping[int, float], count: int | None) -> None:
    unknown = sorted(k for k in table if k < 0 or (count is not None and k >= count))
    if unknown:
        raise FanlightError(
            "E-TRAIN-004",
            "class_weight names a class that the model does not have.",
            where=f"class_weight, {caller()}",
            expected="class numbers from 0 on" if count is None else f"0 to {count - 1}",
            received=", ".join(map(str, unknown[:10])),
            next="count classes from 0; a class that is left out counts 1.",
        )


def _one_each(y: np.ndarray, numbered: bool) -> np.ndarray:
    """The class of each example, of labels that are class numbers or numbers per class."""
    if not numbered and y.ndim > 1 and y.shape[-1] > 1:
        y = y.argmax(-1)
    if y.size != len(y):
        raise FanlightError(
            "E-TRAIN-004",
            "class_weight needs one class for each example.",
            where=f"class_weight, {caller()}",
            expected="as many classes as examples",
            received=f"{y.size // len(y)} for each",
            next="sample_weight may have a number for each of them: table[y], say, where table is "
            "an array of a weight per class.",
        )
    return y.reshape(-1)


def _weighted(classes: np.ndarray | None, own: Any, table: Mapping[int, float]) -> Any:
    if classes is None:
        return own
    # As Keras has it, numbers between classes count as the nearest one.
    nearest = np.round(classes.astype(np.float64)).tolist()
    weights = np.array([table.get(c, 1.0) for c in nearest], np.float32)
    if own is None:
        return weights
    own = np.asarray(own, np.float32)
    return weights.reshape(-1, *[1] * (own.ndim - 1)) * own


__all__ = ["by_class", "check"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

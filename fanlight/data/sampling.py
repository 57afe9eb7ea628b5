"""Which elements are drawn: for validation, or equally often of each class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fanlight.data.structure import wrong
from fanlight.data.tasks import Task, label_of
from fanlight.errors import FanlightError
from fanlight.tensor.caller import caller


def labels(tasks: Iterable[Task]) -> list[Any]:
    """The classes of elements: whole numbers or strings; those of one-hot labels by their place."""
    found: list[Any] = []
    for task in tasks:
        label = label_of(task)
        array = None if label is None else np.asarray(label)
        if array is not None and array.size == 1 and array.dtype.kind in "iubUSOf":
            value = array.reshape(-1)[0]
            number = not isinstance(value, str | bytes) and float(value).is_integer()
            found.append(int(value) if number else str(value))
            continue
        if array is not None and array.ndim == 1 and np.count_nonzero(array) == 1:
            found.append(int(array.argmax()))
            continue
        raise FanlightError(
            "E-DATA-008",
            "the elements have no labels that name a class.",
            where=caller(),
            expected="elements (x, y), where y is a class number, a string or one-hot",
            received="no label" if array is None else f"{array.dtype}{list(array.shape)}",
        )
    return found


def by_class(found: Sequence[Any]) -> list[np.ndarray]:
    """The places of each class."""
    if not found:
        raise wrong("dataset", "at least one element", "none")
    _, which = np.unique(np.array([str(label) for label in found]), return_inverse=True)
    return [np.flatnonzero(which == c) for c in range(which.max() + 1)]


def equally(groups: Sequence[np.ndarray], many: int, rng: np.random.Generator) -> np.ndarray:
    """`many` places of each group, mixed; those of smaller ones as equally often as it goes."""
    drawn = []
    for group in groups:
        full, rest = divmod(many, len(group))
        drawn += [np.tile(group, full), rng.choice(group, rest, replace=False)]
    return rng.permutation(np.concatenate(drawn))


def split(
    count: int, validation: float | int, found: Sequence[Any] | None, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """The places of both parts, each rising."""
    share = isinstance(validation, float | np.floating)
    good = not isinstance(validation, bool) and isinstance(validation, int | float | np.number)
    many = round(count * validation) if share and good else validation
    if not good or not 0 < many < count:
        raise wrong(
            "validation",
            f"a share between 0 and 1, or a number of elements, that leaves some of {count} in "
            "both parts",
            validation,
        )
    if found is None:
        held = rng.permutation(count)[: int(many)]
    else:
        held = np.concatenate(
            [_part(group, int(many) / count, found, rng) for group in by_class(found)]
        )
    inside = np.zeros(count, bool)
    inside[held] = True
    return np.flatnonzero(~inside).tolist(), np.flatnonzero(inside).tolist()


def _part(
    group: np.ndarray, share: float, found: Sequence[Any], rng: np.random.Generator
) -> np.ndarray:
    if len(group) < 2:
        raise FanlightError(
            "E-DATA-006",
            "a class with one element cannot be in both parts.",
            where=f"split, {caller()}",
            expected="at least two elements of every class",
            received=f"one of class {found[group[0]]}",
            next="add examples of this class, leave it out by .filter(...), or split without "
            "stratified=True.",
        )
    many = min(max(round(len(group) * share), 1), len(group) - 1)
    return rng.permutation(group)[:many]

"""What a dataset is made of: tasks, each of which gives one element when it is called.

A pass over a dataset is an iterator of tasks, which costs next to nothing. So elements can be
shuffled, split, skipped and sampled before anything is decoded, and computed in any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.data.structure import as_array, leaves, locked, mapped, stacked, untensored
from fanlight.tensor import random

Task = Callable[[], Any]
# Which pass it is: of the dataset, then of what repeats inside of it.
Turn = tuple[int, ...]


class Rows:
    """Arrays with a row for each element."""

    def __init__(self, arrays: Any) -> None:
        self.arrays = locked(mapped(arrays, as_array))
        parts = leaves(self.arrays)
        self.count = len(parts[0]) if parts and np.ndim(parts[0]) else 0

    def many(self, which: Sequence[int]) -> Any:
        """Several rows as a batch."""
        return mapped(self.arrays, lambda a: a[which])


class Row:
    """One row of arrays."""

    __slots__ = ("at", "rows")

    def __init__(self, rows: Rows, at: int) -> None:
        self.rows, self.at = rows, at

    def __call__(self) -> Any:
        return mapped(self.rows.arrays, lambda a: a[self.at])

    @property
    def label(self) -> Any:
        """Its label, if it has one."""
        arrays = self.rows.arrays
        return arrays[1][self.at] if isinstance(arrays, tuple) and len(arrays) > 1 else None


class Value:
    """An element that is there already."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        return self.value


class Applied:
    """A function of an element; with a key of random numbers for its place, if there is a seed."""

    __slots__ = ("at", "fn", "seed", "task", "turn")

    def __init__(
        self, fn: Callable[..., Any], task: Task, seed: int | None, turn: Turn, at: int
    ) -> None:
        self.fn, self.task, self.seed, self.turn, self.at = fn, task, seed, turn, at

    def __call__(self) -> Any:
        element = self.task()
        given = element if isinstance(element, tuple) else (element,)
        if self.seed is None:
            return untensored(self.fn(*given))
        words = generator(self.seed, (*self.turn, self.at)).integers(2**63)
        return untensored(self.fn(*given, key=random.key(int(words))))


class Batch:
    """Elements as one."""

    __slots__ = ("tasks",)

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks

    def __call__(self) -> Any:
        first = self.tasks[0]
        if isinstance(first, Row) and all(
            isinstance(t, Row) and t.rows is first.rows for t in self.tasks
        ):
            return first.rows.many([t.at for t in self.tasks])  # type: ignore[attr-defined]
        return stacked([task() for task in self.tasks])


class Joined:
    """The elements of several tasks as a tuple."""

    __slots__ = ("tasks",)

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks

    def __call__(self) -> Any:
        return tuple(task() for task in self.tasks)


def generator(seed: int, turn: Turn) -> np.random.Generator:
    """The random numbers of one pass."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *turn])))


def label_of(task: Task) -> Any:
    """The label of an element: known beforehand, or the second part of what is computed."""
    label = getattr(task, "label", None)
    if label is None:
        element = task()
        label = element[1] if isinstance(element, tuple) and len(element) > 1 else None
    return label

"""Datasets of what is in memory, and of generators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fanlight.data.dataset import Dataset
from fanlight.data.lineage import of_arrays, of_function
from fanlight.data.structure import described, leaves, wrong
from fanlight.data.tasks import Row, Rows, Task, Turn, Value
from fanlight.errors import FanlightError
from fanlight.tensor.caller import caller


def from_arrays(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """A dataset of arrays, whose first dims count examples: x, (x, y) or (x, y, sample_weight).

    Args:
        x, y, sample_weight: arrays, tensors or lists; or tuples, dicts and lists of arrays.

    Raises:
        FanlightError: E-DATA-007 they have different numbers of rows.
    """
    if y is None and sample_weight is not None:
        raise wrong("sample_weight", "labels beside it: y", "no y")
    given = x if y is None else (x, y) if sample_weight is None else (x, y, sample_weight)
    rows = Rows(given)
    parts = leaves(rows.arrays)
    sizes = {len(a) if np.ndim(a) else -1 for a in parts}
    if len(sizes) != 1 or -1 in sizes:
        raise FanlightError(
            "E-DATA-007",
            "the arrays have different numbers of rows.",
            where=f"from_arrays, {caller()}",
            expected="as many rows in each",
            received=described(rows.arrays),
        )
    return Dataset(
        lambda turn: (Row(rows, i) for i in range(rows.count)),
        rows.count,
        class_names=class_names,
        lineage=(lambda: of_arrays(rows.arrays),),
    )


def from_generator(
    make: Callable[[], Iterable[Any]],
    count: int | None = None,
    *,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """A dataset of what a generator yields.

    Args:
        make: gives a new iterator at each call, one for every pass: a generator function itself,
            not what it gives; or any other thing that can be gone through again.
        count: how many elements there are, if that is known.
    """
    if hasattr(make, "__next__"):
        raise wrong(
            "make",
            "a function that gives a new generator at each call: from_generator(numbers), not "
            "from_generator(numbers())",
            make,
        )
    if not callable(make) and not hasattr(make, "__iter__"):
        raise wrong("make", "a generator function", make)

    def tasks(turn: Turn) -> Iterator[Task]:
        for element in make() if callable(make) else make:
            yield Value(element)

    return Dataset(
        tasks,
        count,
        class_names=class_names,
        lineage=(lambda: f"{of_function(make)}, {count}",),
    )

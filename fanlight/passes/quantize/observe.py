"""What values a float graph takes on calibration data: ranges, means and samples, per channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph, Value
from fanlight.graph.evaluate import evaluate_values

Inputs = Mapping[str, np.ndarray]
# About how many numbers of each value are kept, of all calibration data together.
SAMPLES = 1 << 16


@dataclass
class Seen:
    """What was seen of one value; arrays of one number per channel (the last dim).

    Attributes:
        low, high: least and greatest.
        mean, square: means of the value and of its square.
        rows: positions seen in `samples` [n, C] (float32), chosen at random.
        item_means: the mean of each item, in order.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    rows: list[np.ndarray] = field(default_factory=list)
    count: int = 0
    item_means: list[np.ndarray] = field(default_factory=list)

    def mean_of_first(self, items: int) -> np.ndarray:
        """The mean over the first items only."""
        return np.asarray(np.mean(self.item_means[:items], axis=0))

    @property
    def samples(self) -> np.ndarray:
        """Some of the value's positions, [n, C]."""
        if len(self.rows) > 1:
            self.rows = [np.concatenate(self.rows)]
        return self.rows[0]


def observe(
    graph: Graph,
    values: Sequence[Value],
    data: Sequence[Inputs],
    *,
    ends: Sequence[Inputs] = (),
    bounded: Iterable[Value] = (),
    advance: Callable[[], None] = lambda: None,
) -> dict[Value, Seen]:
    """Run the graph on every item of the data.

    Args:
        ends: inputs that stand for the ends of what inputs can be (a black and a white picture).
        bounded: values whose range those alone say.
        advance: called after each item.

    Raises:
        FanlightError: E-CALIB-004 if a value is not finite.
    """
    rng = np.random.default_rng(0)
    seen: dict[Value, Seen] = {}
    for index, inputs in enumerate(data):
        arrays = evaluate_values(graph, inputs, values)
        for value in values:
            flat = _rows(arrays[value])
            if not np.isfinite(flat).all():
                raise _not_finite(value, index)
            found = seen.get(value)
            if found is None:
                size = flat.shape[1]
                found = seen[value] = Seen(
                    np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size), np.zeros(size)
                )
            _take(found, flat, rng, len(data))
        advance()
    for value in bounded:
        arrays_of_ends = [_rows(evaluate_values(graph, e, [value])[value]) for e in ends]
        if arrays_of_ends:
            seen[value].low = np.min([a.min(axis=0) for a in arrays_of_ends], axis=0)
            seen[value].high = np.max([a.max(axis=0) for a in arrays_of_ends], axis=0)
    return seen


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[-1] if array.ndim else 1)


def _take(found: Seen, flat: np.ndarray, rng: np.random.Generator, items: int) -> None:
    rows, channels = flat.shape
    np.minimum(found.low, flat.min(axis=0), out=found.low)
    np.maximum(found.high, flat.max(axis=0), out=found.high)
    total = found.count + rows
    share = rows / total
    mean = flat.mean(axis=0, dtype=np.float64)
    found.item_means.append(mean)
    found.mean += (mean - found.mean) * share
    square = np.einsum("ij,ij->j", flat, flat, dtype=np.float64) / rows
    found.square += (square - found.square) * share
    found.count = total
    wanted = int(np.clip(SAMPLES / channels / items, 1, 4096))
    if rows > wanted:
        flat = flat[rng.choice(rows, wanted, replace=False)]
    found.rows.append(np.array(flat))


def _not_finite(value: Value, index: int) -> FanlightError:
    return FanlightError(
        "E-CALIB-004",
        "the model computes NaN or infinity on the calibration data.",
        where=f"{value.name}, item {index} of the calibration data",
        expected="finite numbers",
        received="NaN or infinity",
        next="leave this item out, or check the model with fl.load(...)(x).",
    )

"""Windows of a series of numbers, and what is to be told from each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fanlight.data.dataset import Dataset
from fanlight.data.lineage import of_arrays
from fanlight.data.structure import as_array, whole, wrong
from fanlight.data.tasks import Row, Rows, Task, Turn


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Batches of windows of a series: x [batch, sequence_length, ...], or (x, y) with targets.

    The windows are views of the data; only a batch is copied.

    Args:
        data: an array or tensor [steps, ...].
        targets: targets[i] belongs to the window that starts at step i; None: there are no labels.
        sequence_length: how many steps a window has.
        sequence_stride: how many steps after a window the next one starts.
        sampling_rate: how many steps lie between two that follow each other in a window.
        batch_size: None gives windows one by one.
        shuffle: in a random order, another one at each pass; False: as time goes by.
        seed: of that order; without one it follows `fl.set_random_seed`.
        start_index, end_index: steps before the one, and from the other on, are in no window.
        format: "tf" or "grain", as Keras has it; either gives an `fl.data.Dataset`.

    Raises:
        FanlightError: E-DATA-008 an argument that is none of these, or no window fits.

    Source: keras.utils.timeseries_dataset_from_array.
    """
    series, first, last = _part(data, start_index, end_index)
    length = whole("sequence_length", sequence_length)
    stride = whole("sequence_stride", sequence_stride)
    rate = whole("sampling_rate", sampling_rate)
    if format not in ("tf", "grain"):
        raise wrong("format", '"tf" or "grain"', format)
    span = (length - 1) * rate + 1
    if last - first < span:
        given = f"{last - first} steps"
        raise wrong("data", f"at least {span} steps, as a window spans so many", given)
    count = last - first - span + 1
    labels = None
    if targets is not None:
        labels = as_array(targets)
        if not np.ndim(labels) or len(labels) <= first:
            expected = f"an array of a target for each window, the first at {first}"
            raise wrong("targets", expected, targets)
        count = min(count, len(labels) - first)
    windows = np.lib.stride_tricks.sliding_window_view(series[first:last], span, axis=0)
    x = np.moveaxis(windows[:count:stride, ..., ::rate], -1, 1)
    rows = Rows(x if labels is None else (x, labels[first : first + count : stride]))

    def tasks(turn: Turn) -> Iterator[Task]:
        return (Row(rows, i) for i in range(rows.count))

    def told() -> str:
        # The series itself: the windows repeat each of its numbers.
        arrays = of_arrays(series if labels is None else (series, labels))
        return f"windows {arrays} {first} {last} {length} {stride} {rate}"

    dataset = Dataset(tasks, rows.count, lineage=(told,))
    if shuffle:
        dataset = dataset.shuffle(seed=seed)
    return dataset if batch_size is None else dataset.batch(whole("batch_size", batch_size))


def _part(data: Any, start: int | None, end: int | None) -> tuple[np.ndarray, int, int]:
    """The series, and which of its steps count: from the first one to before the last."""
    series = as_array(data)
    if not np.ndim(series) or not len(series):
        raise wrong("data", "an array [steps, ...]", data)
    steps = len(series)
    first = 0 if start is None else whole("start_index", start, 0)
    last = steps if end is None else whole("end_index", end)
    if first >= steps:
        raise wrong("start_index", f"a step from 0 to {steps - 1}", start)
    if not first < last <= steps:
        raise wrong("end_index", f"a step from {first + 1} to {steps}", end)
    return series, first, last

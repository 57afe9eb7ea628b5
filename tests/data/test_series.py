"""Windows of series: Keras's examples, its definition in NumPy, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

windows = fl.utils.timeseries_dataset_from_array
DATA = np.arange(100)
PICTURES = np.random.default_rng(0).random((40, 3, 2)).astype(np.float32)


def definition(
    data: np.ndarray, targets: Any, length: int, stride: int, rate: int, start: Any, end: Any
) -> tuple[list[np.ndarray], list[Any]]:
    """What Keras's own code computes with these arguments, step by step."""
    start, end = start or 0, len(data) if end is None else end
    count = end - start - (length - 1) * rate
    if targets is not None:
        count = min(count, len(targets))
    places = np.arange(0, count, stride)
    x = [data[start:end][p : p + length * rate : rate][:length] for p in places]
    return x, [] if targets is None else [targets[start:end][p] for p in places]


def test_the_examples_of_keras_s_page() -> None:
    (batch,) = windows(np.arange(99), None, 10, sequence_stride=3, sampling_rate=2)
    assert batch[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert batch[1].tolist() == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]
    assert batch[-1].tolist() == [78, 80, 82, 84, 86, 88, 90, 92, 94, 96]
    inputs, targets = windows(DATA[:-10], DATA[10:], sequence_length=10).first()
    assert np.array_equal(inputs[0], DATA[:10]) and targets[0] == DATA[10]
    both = (windows(a, None, 20, sequence_stride=20) for a in (DATA, DATA * 2))
    inputs, targets = next(zip(*both, strict=True))
    assert np.array_equal(inputs[0], DATA[:20]) and np.array_equal(targets[1], 2 * DATA[20:40])


@pytest.mark.parametrize("data", [DATA, PICTURES], ids=["numbers", "pictures"])
@pytest.mark.parametrize("length", [1, 5, 9])
@pytest.mark.parametrize(("stride", "rate"), [(1, 1), (3, 2), (2, 4)])
@pytest.mark.parametrize(("start", "end"), [(None, None), (2, None), (None, 37), (3, 38)])
@pytest.mark.parametrize("labelled", [False, True])
def test_windows_are_those_of_the_definition(
    data: np.ndarray, length: int, stride: int, rate: int, start: Any, end: Any, labelled: bool
) -> None:
    targets = np.arange(len(data)) * 10 if labelled else None
    x, y = definition(data, targets, length, stride, rate, start, end)
    found = windows(data, targets, length, stride, rate, 4, start_index=start, end_index=end)
    batches = list(found)
    assert len(found) == len(batches) == -(-len(x) // 4)
    got = [row for b in batches for row in (b[0] if labelled else b)]
    np.testing.assert_array_equal(got, x)
    if labelled:
        assert [int(t) for b in batches for t in b[1]] == y


def test_windows_one_by_one_shuffled_and_cached(tmp_path: Path) -> None:
    plain = windows(fl.tensor(DATA), list(DATA), 3, batch_size=None)
    assert len(plain) == 98 and plain.first()[0].tolist() == [0, 1, 2]
    mixed = windows(DATA, DATA, 3, batch_size=98, shuffle=True, seed=4)
    first, second = mixed.first(), next(iter(mixed))
    assert sorted(first[1]) == list(range(98)) != first[1].tolist()
    np.testing.assert_array_equal(first[0], first[1][:, None] + np.arange(3))
    np.testing.assert_array_equal(first[0], second[0])  # `first` looks, and is no pass
    again = windows(DATA, DATA, 3, batch_size=98, shuffle=True, seed=4)
    np.testing.assert_array_equal(next(iter(again))[0], first[0])
    for _ in range(2):
        kept = windows(DATA, None, 3, batch_size=None).cache(tmp_path / "w")
        assert len(list(kept)) == 98
    for other in (
        windows(DATA, None, 4, batch_size=None),
        windows(-DATA, None, 3, batch_size=None),
    ):
        with pytest.raises(FanlightError, match="E-DATA-009"):
            list(other.cache(tmp_path / "w"))


def test_windows_are_views_of_the_data() -> None:
    data = np.zeros((10_000, 8), np.float32)
    x = windows(data, None, 1000, batch_size=None).first()
    assert np.shares_memory(x, data) and not x.flags.writeable


def test_a_model_learns_from_windows() -> None:
    wave = np.sin(np.arange(300) / 5).astype(np.float32)[:, None]
    train = windows(wave[:-8], wave[8:], 8, batch_size=32, end_index=200)
    held = windows(wave[:-8], wave[8:], 8, batch_size=32, start_index=200)
    fl.set_random_seed(1)
    model = fl.Sequential([fl.Input((8, 1)), fl.layers.Flatten(), fl.layers.Dense(1)])
    model.compile(fl.optimizers.Adam(0.05), "mse")
    history = model.fit(train, validation_data=held, epochs=15, verbose=0).history
    assert history["val_loss"][-1] < 0.01 < history["val_loss"][0]


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ({"sequence_length": 0}, "sequence_length"),
        ({"sequence_length": 101}, "data"),
        ({"sequence_length": 60, "sampling_rate": 2}, "data"),
        ({"sequence_stride": 0}, "sequence_stride"),
        ({"sampling_rate": -1}, "sampling_rate"),
        ({"start_index": -1}, "start_index"),
        ({"start_index": 100}, "start_index"),
        ({"end_index": 101}, "end_index"),
        ({"start_index": 9, "end_index": 9}, "end_index"),
        ({"batch_size": 0}, "batch_size"),
        ({"format": "torch"}, "format"),
        ({"data": 3.0}, "data"),
        ({"data": []}, "data"),
        ({"targets": 7}, "targets"),
        ({"targets": np.arange(5), "start_index": 5}, "targets"),
    ],
    ids=str,
)
def test_what_is_refused(given: dict[str, Any], argument: str) -> None:
    options = {"data": DATA, "targets": None, "sequence_length": 5} | given
    with pytest.raises(FanlightError) as caught:
        windows(**options)
    assert caught.value.code == "E-DATA-008" and str(caught.value.where).startswith(argument)
    assert "test_series.py" in str(caught.value.where)

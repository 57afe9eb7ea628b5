"""Deep models: making them, and the way to their first step, takes work in proportion to depth."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

import fanlight as fl

layers = fl.layers


def deep(count: int) -> fl.Sequential:
    row = [layers.Dense(4, activation="relu") for _ in range(count)]
    return fl.Sequential([fl.Input((4,)), *row])


def calls_of(count: int) -> int:
    """How many calls of Python functions it takes to make and to train a model so deep."""
    calls = 0

    def count_calls(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    x = np.ones((2, 4), np.float32)
    before = sys.getprofile()
    sys.setprofile(count_calls)
    try:
        model = deep(count)
        model.compile("adam", "mse", threads=2)  # of several threads, barriers count, too
        model.fit(x, x, verbose=0)
    finally:
        sys.setprofile(before)
    return calls


def test_the_first_step_takes_calls_in_proportion_to_depth() -> None:
    calls_of(2)  # loads modules
    few, more, many = map(calls_of, (8, 16, 40))
    per_layer = (more - few) / 8, (many - more) / 24
    assert per_layer[1] < 1.15 * per_layer[0]


def test_a_row_calls_each_layer_once() -> None:
    given = deep(5)
    added = fl.Sequential()
    for layer in (fl.Input((4,)), *(layers.Dense(4) for _ in range(5))):
        added.add(layer)
    for model in (given, added):
        assert [len(layer.nodes) for layer in model.layers] == [1] * 5
        assert model.layers[2].output is model.layers[3].input
        assert model.layers[-1].output is model.output


def test_a_row_is_called_anew_from_another_beginning() -> None:
    model = fl.Sequential([fl.Input((4,)), layers.ReLU(), layers.Flatten()])
    model.add(fl.Input((2, 3)))
    assert model.input_shape == (None, 2, 3)
    assert model.output_shape == (None, 6)


def test_a_layer_taken_away_has_no_place_in_the_row() -> None:
    model = deep(3)
    last = model.pop()
    assert last.nodes == []
    assert model.output is model.layers[-1].output
    model.add(last)
    assert len(last.nodes) == 1 and model.output is last.output
    twice = fl.Sequential([fl.Input((4,)), last])
    assert twice.pop() is last and last.output is model.output

"""Steps with a budget of memory: the same numbers in less of it, or an error that says how much."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.jit import fitted
from tests.layers import test_training_threads as small

la: Any = fl.layers


def deep() -> Any:
    """Ten layers with normalisation and dropout, and one shortcut over all of them."""
    x = begin = fl.Input((32,))
    for _ in range(10):
        x = la.Dense(32, use_bias=False)(x)
        x = la.Dropout(0.1)(la.Activation("swish")(la.BatchNormalization()(x)))
    return fl.Model(begin, la.Dense(4)(la.Add()([x, begin])))


def chain() -> Any:
    """Twenty-four layers of which nothing is cheap to compute again."""
    x = begin = fl.Input((32,))
    for _ in range(24):
        x = la.Dense(32, "tanh")(x)
    return fl.Model(begin, la.Dense(4)(x))


def data(count: int = 512) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(count, 32)).astype(np.float32)
    return x, (x[:, :4] * 2).astype(np.float32)


@pytest.fixture
def arenas(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of the arena of every program that is compiled."""
    found: list[int] = []

    def noted(*args: Any) -> Any:
        plan = fitted(*args)
        found.append(plan.arena_bytes)
        return plan

    monkeypatch.setattr(sys.modules["fanlight.jit"], "fitted", noted)  # fl.jit is a function
    return found


def trained(make: Any, memory: Any) -> tuple[list[float], list[np.ndarray], Any]:
    fl.clear_session()
    fl.set_random_seed(6)
    try:
        model = make()
        model.compile("adam", "mse", memory=memory)
        model.set_random_key(2)
    finally:
        fl.set_random_seed(None)
    x, y = data()
    return [model.train_on_batch(x, y) for _ in range(5)], model.get_weights(), model


@pytest.mark.parametrize(("make", "share"), [(deep, 0.45), (deep, 0.3), (chain, 0.45)])
def test_less_memory_and_the_same_bits(make: Any, share: float, arenas: list[int]) -> None:
    losses, weights, _ = trained(make, None)
    budget = int(arenas[-1] * share)
    again, others, model = trained(make, budget)
    assert arenas[-1] <= budget < arenas[0] / 2
    assert again == losses and len(set(losses)) == 5
    for w, one, other in zip(model.weights, weights, others, strict=True):
        assert np.array_equal(one, other), w.path


def test_a_budget_that_is_kept_anyway_changes_nothing(arenas: list[int]) -> None:
    free = trained(deep, None)[0]
    assert trained(deep, "1 GB")[0] == free
    assert arenas[0] == arenas[1]


def test_a_budget_that_cannot_be_kept_says_by_how_much(arenas: list[int]) -> None:
    x, y = data()
    model = deep()
    model.compile("sgd", "mse", memory="20 kB")
    with pytest.raises(FanlightError, match=r"needs \d+\.\d kB more than") as caught:
        model.train_on_batch(x, y)
    error = caught.value
    assert error.code == "E-TRAIN-006" and "20.0 kB" in error.expected
    assert model.predict(x, verbose=0).shape == (512, 4)  # which needs no budget
    model.compile("sgd", "mse", memory=error.next.split('"')[1])
    assert model.train_on_batch(x, y) > 0


def test_convolutions_on_several_threads() -> None:
    x, y = small.examples()
    plain = small.compiled(2)
    expected = [plain.train_on_batch(x, y) for _ in range(3)]
    model = small.compiled(2)
    model.compile("adam", "sparse_categorical_crossentropy", threads=2, memory="7 MB")
    model.set_random_key(8)
    assert [model.train_on_batch(x, y) for _ in range(3)] == expected
    assert small.programs(model) == [2]


def test_a_bundle_that_trains_within_a_budget(tmp_path: Path) -> None:
    pages = {}
    for memory in (None, "1.3 MB"):
        how = fl.training("sgd", "mse", memory=memory)
        folder = tmp_path / str(memory)
        net = fl.Sequential([fl.Input((32,)), *(la.Dense(32, "swish") for _ in range(8))])
        fl.build(net, folder, train=how, dims={"batch": 1024}).close()
        manifest = json.loads((folder / "manifest.json").read_text())
        pages[memory] = manifest["memory"]["pages"]
    assert pages["1.3 MB"] <= 24 < pages[None] / 1.4
    how = fl.training("sgd", "mse", memory=4096)
    with pytest.raises(FanlightError, match="more than it may take"):
        fl.build(net, tmp_path / "none", train=how)


@pytest.mark.parametrize("memory", [0, -5, 1.5, "", "much", "-1 MB", "5 TB", True, "64 M M"])
def test_amounts_of_memory_that_are_none(memory: Any) -> None:
    model = fl.Sequential([fl.Input((4,)), la.Dense(1)])
    for call in (model.compile, fl.training):
        with pytest.raises(FanlightError) as caught:
            call("sgd", "mse", memory=memory)
        assert caught.value.code == "E-TRAIN-001" and "memory" in str(caught.value)


@pytest.mark.parametrize(
    ("memory", "count"),
    [(5, 5), ("5", 5), ("64 MB", 64_000_000), ("1.5kb", 1500), ("2 GiB", 2**31), ("1 mi", 2**20)],
)
def test_amounts_of_memory(memory: Any, count: int) -> None:
    assert fl.training("sgd", "mse", memory=memory).memory == count

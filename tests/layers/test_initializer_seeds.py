"""Initializers whose seed is a generator: other numbers at each call, the same in every run."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

NAMES = ("RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotUniform", "HeNormal",
         "VarianceScaling", "Orthogonal")  # fmt: skip


def drawn(name: str, seed: int) -> list[np.ndarray]:
    made = getattr(fl.initializers, name)(seed=fl.random.SeedGenerator(seed))
    return [np.asarray(made((3, 4))) for _ in range(3)]


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_as_seed_gives_other_numbers_each_time(name: str) -> None:
    first, again, other = drawn(name, 3), drawn(name, 3), drawn(name, 4)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 1e-3
    assert np.abs(first[0] - first[1]).max() > 1e-3 < np.abs(first[1] - first[2]).max()


def test_layers_share_a_generator(tmp_path: Any) -> None:
    def model() -> Any:
        kernels = fl.initializers.HeNormal(seed=fl.random.SeedGenerator(7))
        layers = [fl.layers.Dense(4, kernel_initializer=kernels) for _ in range(2)]
        return fl.Sequential([fl.Input((4,)), *layers])

    a, b = model(), model()
    for one, two in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.abs(a.get_weights()[0] - a.get_weights()[2]).max() > 1e-3
    a.save(tmp_path / "a.keras")
    for load in (fl.load_model, keras.saving.load_model):
        first = load(tmp_path / "a.keras").layers[-1].kernel_initializer
        assert type(first.seed).__name__ == "SeedGenerator", load


def test_configs_are_keras_s() -> None:
    ours = fl.initializers.RandomNormal(seed=fl.random.SeedGenerator(5))
    theirs = keras.initializers.RandomNormal.from_config(ours.get_config())
    assert theirs.get_config()["seed"]["config"]["seed"] == 5
    again = fl.initializers.RandomNormal.from_config(theirs.get_config())
    assert isinstance(again.seed, fl.random.SeedGenerator) and again.seed.seed == 5
    np.testing.assert_array_equal(again((4,)), ours((4,)))


@pytest.mark.parametrize("seed", ["3", 1.5, True, {"class_name": "SeedGenerator"}])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises(FanlightError, match="SeedGenerator") as caught:
        fl.initializers.GlorotNormal(seed=seed)
    assert caught.value.code == "E-LAYER-004" and "seed" in str(caught.value.where)

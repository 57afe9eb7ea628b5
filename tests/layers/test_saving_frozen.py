"""Files of models whose layers were frozen, or thawed, between training and saving."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.nets import L

X = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)
Y = X[:, :1]


def changed(first: bool) -> Any:
    """A model that learnt with its first layer frozen or not; now it is the other way round."""
    model = fl.Sequential([L.Input((4,)), L.Dense(3, name="one"), L.Dense(1, name="two")])
    model.layers[0].trainable = first
    model.compile(fl.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    model.layers[0].trainable = not first
    return model


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.safetensors", "m"])
def test_the_optimizer_begins_anew_where_it_had_other_weights(
    name: str, first: bool, tmp_path: Path
) -> None:
    model, path = changed(first), tmp_path / name
    model.save(path)
    if name in ("m", "m.safetensors") and first:  # the state of `two` is there by its name
        again = fl.load_model(path)
        assert again.optimizer.iterations.item() == 1
    else:
        with pytest.warns(UserWarning, match="it begins anew") as told:
            again = fl.load_model(path)
        assert [w.filename for w in told] == [__file__]
        assert again.optimizer.iterations.item() == 0
    assert [layer.trainable for layer in again.layers] == [not first, True]
    for one, other in zip(model.weights, again.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    before = again.get_weights()
    again.fit(X, Y, epochs=1, verbose=0)
    moved = [not np.array_equal(a, b) for a, b in zip(before, again.get_weights(), strict=True)]
    assert moved == [not first, not first, True, True]


def test_weights_of_a_file_are_loaded_without_the_state(tmp_path: Path) -> None:
    model, path = changed(True), tmp_path / "m.weights.h5"
    model.save_weights(path)
    other = changed(True)
    other.compile("adam", "mse")
    with pytest.warns(UserWarning, match="it begins anew"):
        other.load_weights(path)
    assert np.array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_state_that_fits_is_loaded_without_a_word(tmp_path: Path) -> None:
    model, path = changed(True), tmp_path / "m.keras"
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    model.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = fl.load_model(path)
    assert again.optimizer.iterations.item() == 1
    assert not again.layers[0].trainable


def test_safetensors_hold_the_whole_model(tmp_path: Path) -> None:
    model, path = changed(False), tmp_path / "m.safetensors"
    model.compile(fl.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    again = fl.load_model(path)
    for each in (model, again):
        each.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    assert again.optimizer.iterations.item() == 3
    for one, other in zip(model.weights, again.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    model.save(path, include_optimizer=False)
    assert fl.load_model(path).optimizer is None
    other = changed(False)
    other.load_weights(path)
    assert np.array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    model.save_weights(path)
    with pytest.raises(FanlightError) as caught:
        fl.load_model(path)
    assert caught.value.code == "E-LAYER-009"


@pytest.mark.parametrize("whole", [True, False])
def test_safetensors_that_are_cut_off_are_damaged(whole: bool, tmp_path: Path) -> None:
    model, path = changed(True), tmp_path / "m.safetensors"
    (model.save if whole else model.save_weights)(path)
    data = path.read_bytes()
    for end in (len(data) - 4, len(data) // 2, 20, 4):
        path.write_bytes(data[:end])
        with pytest.raises(FanlightError) as caught:
            fl.load_model(path)
        assert caught.value.code == "E-FORMAT-007" and "damaged" in str(caught.value)

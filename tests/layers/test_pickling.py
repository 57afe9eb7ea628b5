"""Copies and pickles of models: all of a model, with its training, and nothing shared with it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl

L = fl.layers
COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda made: pickle.loads(pickle.dumps(made)),
    "deepcopy": copy.deepcopy,
}


class Net(fl.Model):
    """A class without get_config, which no file can hold."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.first, self.drop, self.last = L.Dense(units), L.Dropout(0.3), L.Dense(2)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(self.drop(self.first(x), training=training))


def distance(y: Any, predicted: Any) -> Any:
    return fl.mean(fl.abs(y - predicted), -1)


def row() -> Any:
    layers = [L.Dense(6, activation="relu"), L.BatchNormalization(), L.Dropout(0.2), L.Dense(2)]
    return fl.Sequential([fl.Input((4,)), *layers])


def joined() -> Any:
    a = fl.Input((4,))
    shared = L.Dense(4, activation="relu")
    return fl.Model(a, L.Dense(2)(L.add([shared(a), shared(shared(a))])))


MODELS = {
    "row": row,
    "deferred": lambda: fl.Sequential([L.Dense(5), L.Dense(2)]),
    "joined": joined,
    "own": lambda: Net(5),
}


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    return x, x[:, :2] * 2


def trained(name: str) -> Any:
    fl.set_random_seed(5)
    model = MODELS[name]()
    rate = fl.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model.compile(fl.optimizers.Adam(rate), distance, metrics=["mae"])
    x, y = data()
    model.fit(x, y, 8, verbose=0)
    model.predict(x)
    return model


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_goes_on_as_the_model_does(name: str, how: str) -> None:
    model = trained(name)
    made = COPIES[how](model)
    x, y = data()
    weights = model.get_weights()
    np.testing.assert_array_equal(made.predict(x), model.predict(x))

    def more(one: Any) -> dict[str, list[float]]:
        history: dict[str, list[float]] = one.fit(
            x, y, 8, epochs=2, shuffle=False, verbose=0
        ).history
        return history

    told = more(made)  # the slots of its optimizer, and its random numbers, are those of the model
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert more(model) == told
    for a, b in zip(made.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("how", COPIES)
def test_a_model_may_be_deeper_than_python_nests_calls(how: str) -> None:
    begin = fl.Input((4,))
    h: Any = begin
    for _ in range(150):
        h = L.add([h, L.Dense(4, activation="relu")(h)])
    model = fl.Model(begin, L.Dense(2)(h))
    made = COPIES[how](model)
    x, _ = data()
    np.testing.assert_array_equal(made(x).numpy(), model(x).numpy())
    assert not {id(w) for w in made.weights} & {id(w) for w in model.weights}


@pytest.mark.parametrize("how", COPIES)
def test_layers_and_variables_of_a_trained_model_are_copied_with_their_numbers(how: str) -> None:
    model = trained("own")
    weights = COPIES[how](model.weights)
    layer = COPIES[how](model.first)
    x, y = data()
    for a, b in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    np.testing.assert_array_equal(layer(x).numpy(), model.first(x).numpy())
    before = layer.get_weights()
    model.fit(x, y, 8, verbose=0)
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])


def test_what_python_cannot_name_is_copied_and_told_by_its_name() -> None:
    class Local(Net):
        pass

    model = Local(3)
    x, _ = data()
    y = model.predict(x)
    np.testing.assert_array_equal(copy.deepcopy(model).predict(x), y)
    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(model)


def test_a_callback_keeps_the_best_model() -> None:
    kept: list[Any] = []

    class Keeps(fl.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            kept.extend(make(self.model) for make in COPIES.values())

    x = np.ones((8, 3), np.float32)
    model = fl.Sequential([fl.Input((3,)), L.Dense(2, activation=fl.tanh), L.Lambda(fl.relu)])
    model.compile("sgd", "mse")
    model.fit(x, x[:, :2], epochs=1, verbose=0, callbacks=[Keeps()])
    for copied in kept:
        np.testing.assert_array_equal(copied.predict(x), model.predict(x))
    assert pickle.loads(pickle.dumps(fl.mean)) is fl.mean


class Labelled(fl.Model):
    """A class whose own attribute has the name of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.labels = L.Dense(2)

    def call(self, x: Any) -> Any:
        return self.labels(x)


def test_labels_of_ones_own_are_no_names_of_classes(tmp_path: Any) -> None:
    model, x = Labelled(), np.ones((1, 3), np.float32)
    model(x)
    model.save(tmp_path / "m.safetensors")
    again = Labelled()
    again(x)
    again.load_weights(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))

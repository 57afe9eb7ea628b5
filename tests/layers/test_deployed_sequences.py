"""Models of sequences as steps of a free batch: what they learn is what `train_on_batch` learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import evaluate
from fanlight.layers.deploy import deployed
from fanlight.layers.file_safetensors import named
from fanlight.passes import optimize

layers = fl.layers
MODELS: dict[str, Callable[[Any], Any]] = {
    "SimpleRNN": lambda x: layers.SimpleRNN(5)(x),
    "LSTM": lambda x: layers.LSTM(5)(x),
    "GRU": lambda x: layers.GRU(5)(x),
    "GRU, reset before": lambda x: layers.GRU(5, reset_after=False)(x),
    "LSTM, both ways": lambda x: layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x),
    "attention": lambda x: layers.MultiHeadAttention(2, 3)(x, x),
    "dense": lambda x: layers.Dense(3)(x),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("most", [1, 4])
def test_a_step_of_a_free_batch(name: str, most: int) -> None:
    fl.clear_session()
    fl.set_random_seed(4)
    x = fl.Input((6, 3))
    model = fl.Model(x, MODELS[name](x))
    steps = deployed(model, fl.training("sgd", "mse"), {"batch": most})
    graph = optimize(steps.graphs["train"], verify=True)
    count = max(1, most - 1)  # fewer than there is room for
    rng = np.random.default_rng(1)
    given = rng.normal(size=(count, 6, 3)).astype(np.float32)
    wanted = rng.normal(size=(count, *model.outputs[0].shape[1:])).astype(np.float32)
    first = {k.name: k.first for k in steps.kept}
    found = evaluate(graph, {**first, "w0": np.ones(count, np.float32), "y0": wanted,
                             model.inputs[0].name: given})  # fmt: skip
    model.compile("sgd", "mse")
    loss = model.train_on_batch(given, wanted)
    np.testing.assert_allclose(found["results"][0], loss, rtol=1e-5)
    changed = {steps.updates[n]: array for n, array in found.items() if n in steps.updates}
    learnt = [k for k in steps.kept if k.trainable]
    assert learnt
    weights = dict(named(model))
    assert {k.path for k in learnt} == set(weights)
    for k in learnt:
        weight = weights[k.path].numpy()
        np.testing.assert_allclose(changed[k.name], weight, atol=1e-6, err_msg=k.path)


class _Own(fl.losses.SparseCategoricalCrossentropy):
    """A loss of class numbers under another name."""


@pytest.mark.parametrize(
    "loss",
    ["crossentropy", _Own(), fl.losses.CategoricalGeneralizedCrossEntropy()],
    ids=["crossentropy", "a class of one's own", "generalized"],
)
def test_losses_that_take_class_numbers_take_them_in_the_page(loss: Any) -> None:
    fl.clear_session()
    fl.set_random_seed(4)
    model = fl.Sequential([fl.Input((3,)), layers.Dense(4, activation="softmax")])
    steps = deployed(model, fl.training("sgd", loss), {"batch": 4})
    assert [label.classes for label in steps.labels] == [4]
    rng = np.random.default_rng(1)
    given, labels = rng.normal(size=(3, 3)).astype(np.float32), np.int32([0, 3, 1])
    first = {k.name: k.first for k in steps.kept}
    found = evaluate(steps.graphs["train"], {**first, "w0": np.ones(3, np.float32), "y0": labels,
                                             model.inputs[0].name: given})  # fmt: skip
    model.compile("sgd", loss)
    np.testing.assert_allclose(found["results"][0], model.train_on_batch(given, labels), rtol=1e-5)

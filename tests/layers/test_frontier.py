"""Where learning begins: what is computed once per example is what each example is by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import evaluate
from fanlight.layers.deploy import deployed

L = fl.layers
ROWS = np.random.default_rng(3).standard_normal((5, 4, 3)).astype(np.float32)
LABELS = ROWS[:, 0, :2].copy()


class Own(L.Layer):
    """A layer of one's own that does this to its input [batch, 4, 3]."""

    def __init__(self, does: Callable[[Any], Any]) -> None:
        super().__init__()
        self.does = does

    def call(self, x: Any) -> Any:
        return self.does(x)


MIXING: dict[str, Callable[[Any], Any]] = {
    "mean": lambda x: x - fl.mean(x, 0),
    "sum over count": lambda x: x - fl.sum(x, 0) / x.shape[0],
    "count": lambda x: x / float(x.shape[0]),
    "place": lambda x: x * fl.cast(fl.arange(x.shape[0]) == 0, "float32")[:, None, None],
    "softmax": lambda x: fl.softmax(x, axis=0),
    "running sum": lambda x: fl.cumsum(x, axis=0),
    "turned": lambda x: fl.reverse(x, axis=0),
    "first": lambda x: x - x[:1],
    "pairs": lambda x: fl.matmul(x[:, 0], fl.transpose(x[:, 0])) @ x[:, 1],
    "rows in a scan": lambda x: fl.reshape(
        fl.scan(lambda c, y: (c + y, c + y), fl.zeros((3,)), fl.reshape(x, (-1, 3)))[1], (-1, 4, 3)
    ),
    "hidden in a scan": lambda x: fl.scan(lambda c, y: (c + y, c + y), x[0] * 0, x)[1],
}
ALONE: dict[str, Callable[[Any], Any]] = {
    "mean": lambda x: x - fl.mean(x, 1, keepdims=True),
    "softmax": lambda x: fl.softmax(x, axis=-1),
    "merged": lambda x: fl.reshape(fl.relu(fl.reshape(x, (-1, 3))), (-1, 4, 3)),
    "turned": lambda x: fl.reverse(x, axis=1)[:, :2],
    "pairs": lambda x: fl.matmul(x, fl.transpose(x, (0, 2, 1))),
    "scan": lambda x: fl.scan(lambda c, y: (c + y, c), x[:, 0] * 0, fl.transpose(x, (1, 0, 2)))[0],
}


def begun(layer: Any) -> tuple[Any, Any]:
    fl.clear_session()
    fl.set_random_seed(1)
    model = fl.Sequential([fl.Input((4, 3)), layer, L.Flatten(), L.Dense(2)])
    return model, deployed(model, fl.training("sgd", "mse"), {"batch": 8})


def loss_of(steps: Any) -> float:
    """The loss of the graph "train", of features of each example where there are some."""
    graph = steps.graphs["train"]
    own = {k.name: k.first for k in steps.kept}
    free = [v.name for v in graph.inputs if v.name not in own]
    parts = [ROWS]
    if "features" in steps.graphs:
        (name,) = [v.name for v in steps.graphs["features"].inputs if v.name not in own]
        made = [evaluate(steps.graphs["features"], {name: row[None]}) for row in ROWS]
        parts = [np.concatenate(one) for one in zip(*(m.values() for m in made), strict=True)]
    parts += [LABELS, np.ones(len(ROWS), np.float32)]
    found = evaluate(graph, {**own, **dict(zip(free, parts, strict=True))})
    return float(np.ravel(found["results"])[0])


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_examples_is_part_of_the_step(name: str) -> None:
    model, steps = begun(Own(MIXING[name]))
    assert "features" not in steps.graphs
    model.compile("sgd", "mse")
    np.testing.assert_allclose(loss_of(steps), model.train_on_batch(ROWS, LABELS), rtol=1e-5)


@pytest.mark.parametrize("name", ALONE)
def test_what_does_not_is_computed_ahead(name: str) -> None:
    model, steps = begun(Own(ALONE[name]))
    assert "features" in steps.graphs
    model.compile("sgd", "mse")
    np.testing.assert_allclose(loss_of(steps), model.train_on_batch(ROWS, LABELS), rtol=1e-5)


FROZEN: dict[str, Callable[[], Any]] = {
    "lstm": lambda: L.LSTM(3, return_sequences=True),
    "gru": lambda: L.Bidirectional(L.GRU(2)),
    "attention": lambda: fl.Sequential([fl.Input((4, 3)), Twice(L.MultiHeadAttention(2, 3))]),
    "conv": lambda: L.Conv1D(4, 2, dilation_rate=2),
    "time": lambda: L.TimeDistributed(L.Dense(3)),
    "norm": lambda: L.GroupNormalization(1),
    "batch norm": lambda: L.BatchNormalization(),
}


class Twice(L.Layer):
    """A layer of two inputs, given the same one."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def call(self, x: Any) -> Any:
        return self.layer(x, x)


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_layers_are_computed_ahead(name: str) -> None:
    layer = FROZEN[name]()
    layer.trainable = False
    model, steps = begun(layer)
    assert "features" in steps.graphs
    model.compile("sgd", "mse")
    np.testing.assert_allclose(loss_of(steps), model.train_on_batch(ROWS, LABELS), rtol=1e-5)


def test_behind_a_frozen_base_only_the_base_is_computed_ahead() -> None:
    base = L.Conv1D(3, 2, trainable=False)
    fl.set_random_seed(1)
    own = Own(MIXING["mean"])
    model = fl.Sequential([fl.Input((4, 3)), base, own, L.Flatten(), L.Dense(2)])
    steps = deployed(model, fl.training("sgd", "mse"), {"batch": 8})
    (made,) = [v for _, v in steps.graphs["features"].outputs]
    assert made.shape == (1, 3, 3)
    model.compile("sgd", "mse")
    np.testing.assert_allclose(loss_of(steps), model.train_on_batch(ROWS, LABELS), rtol=1e-5)

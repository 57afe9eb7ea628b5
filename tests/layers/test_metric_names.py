"""Metrics of one name in one compile: each is reported, by the names that Keras gives them."""

from __future__ import annotations

import numpy as np

import fanlight as fl
from tests.layers.nets import L

X = np.ones((4, 2), np.float32)
Y = np.array([[0], [1], [2], [4]], np.float32)
W = np.array([0, 0, 0, 2], np.float32)


def test_a_weighted_metric_beside_one_that_is_not() -> None:
    model = fl.Sequential([L.Input((2,)), L.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse", metrics=["mae", "mae"], weighted_metrics=["mae", "mae"])
    told = model.evaluate(X, Y, sample_weight=W, return_dict=True, verbose=0)
    assert list(told)[1:] == ["mae", "mae_1", "weighted_mae", "weighted_mae_1"]
    assert [told[n] for n in list(told)[1:]] == [1.75, 1.75, 4.0, 4.0]
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    told = model.evaluate(X, Y, sample_weight=W, return_dict=True, verbose=0)
    assert list(told) == ["loss", "mae"] and told["mae"] == 4.0


def test_names_of_outputs_stand_first() -> None:
    x = L.Input((2,))
    model = fl.Model(x, [L.Dense(1, name="p")(x), L.Dense(1, name="q")(x)])
    model.compile(
        "sgd", ["mse", "mse"], metrics=[["mae"], ["mae"]], weighted_metrics=[["mae"], ["mae"]]
    )
    told = model.evaluate(X, [Y, Y], return_dict=True, verbose=0)
    assert list(told)[3:] == ["p_mae", "q_mae", "p_weighted_mae", "q_weighted_mae"]

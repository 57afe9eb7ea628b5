"""Nearest neighbours as a layer, beside scikit-learn's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import fanlight as fl
from fanlight.errors import FanlightError
from tests.conformance import compared

WIDTH, CAPACITY, CLASSES = 6, 40, 3


def remembering(count: int, k: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """A classifier that remembers, and what it remembers."""
    rng = np.random.default_rng(count)
    x = rng.normal(size=(count, WIDTH)).astype(np.float32)
    y = np.arange(count) % CLASSES
    net = fl.Sequential(
        [
            fl.Input((WIDTH,)),
            fl.layers.Neighbours(CAPACITY, name="near"),
            fl.layers.Dense(CLASSES, use_bias=False, name="answer"),
        ]
    )
    near, answer = net.layers
    known = np.zeros((CAPACITY, WIDTH), np.float32)
    known[:count] = x / np.linalg.norm(x, axis=1, keepdims=True)
    near.examples.assign(known)
    near.used.assign(np.arange(CAPACITY) < count)
    near.k.assign([k])
    labels = np.zeros((CAPACITY, CLASSES), np.float32)
    labels[np.arange(count), y] = 1
    answer.kernel.assign(labels)
    return net, x, y


@pytest.mark.parametrize(("count", "k"), [(40, 5), (40, 1), (25, 25), (9, 3), (3, 3)])
def test_votes_are_those_of_scikit_learn(count: int, k: int) -> None:
    net, x, y = remembering(count, k)
    asked = np.random.default_rng(1).normal(size=(50, WIDTH)).astype(np.float32)

    def votes(distances: np.ndarray) -> np.ndarray:
        return np.exp((distances.min(1, keepdims=True) - distances) / 0.05)

    theirs = KNeighborsClassifier(k, metric="cosine", weights=votes, algorithm="brute").fit(x, y)
    np.testing.assert_allclose(net.predict(asked), theirs.predict_proba(asked), atol=2e-5)
    assert net.predict(x).argmax(1).tolist() == (
        y.tolist() if k < 25 else theirs.predict(x).tolist()
    )
    compared("layers", "Neighbours", "defined")


def test_gradients_are_those_of_central_differences() -> None:
    net, x, _ = remembering(12, 4)
    near = net.layers[0]
    rng = np.random.default_rng(3)
    asked = rng.normal(size=(5, WIDTH))
    weight = rng.normal(size=(5, CAPACITY))
    known = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float64)

    def by_hand(at: np.ndarray) -> float:
        cosine = (at / np.linalg.norm(at, axis=1, keepdims=True)) @ known.T
        kth = np.sort(cosine, axis=1)[:, -4:-3]
        votes = np.where(cosine >= kth, np.exp(cosine / near.temperature), 0)
        return float((votes / votes.sum(1, keepdims=True) * weight[:, :12]).sum())

    wanted = np.zeros_like(asked)
    for place in np.ndindex(asked.shape):
        step = np.zeros_like(asked)
        step[place] = 1e-5
        wanted[place] = (by_hand(asked + step) - by_hand(asked - step)) / 2e-5
    weights = weight.astype(np.float32)
    found = fl.grad(lambda at: fl.sum(near(at) * weights))(asked.astype(np.float32))
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(np.asarray(found), wanted, atol=2e-3, rtol=2e-3)
    compared("layers", "Neighbours", "gradients")


def test_it_is_saved_and_loaded_and_training_leaves_it_as_it_is(tmp_path: Path) -> None:
    net, x, y = remembering(12, 3)
    before = net.get_weights()
    net.compile(fl.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    kept = [w.copy() for w in before[:3]]
    net.fit(x, y, epochs=1, verbose=0)
    for was, now in zip(kept, net.get_weights()[:3], strict=True):
        np.testing.assert_array_equal(was, now)
    net.set_weights(before)
    net.save(tmp_path / "near.safetensors")
    again = fl.load_model(tmp_path / "near.safetensors")
    np.testing.assert_allclose(again.predict(x), net.predict(x), atol=1e-6)
    assert again.layers[0].get_config()["most"] == 25


def test_nothing_remembered_is_no_vote() -> None:
    net, x, _ = remembering(4, 2)
    net.layers[0].used.assign(np.zeros(CAPACITY))
    assert np.all(net.predict(x) == 0)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"capacity": 0}, "capacity"),
        ({"capacity": 30, "k": 40}, "most"),
        ({"capacity": 10}, "most"),
        ({"capacity": 30, "temperature": 0}, "temperature"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, Any], where: str) -> None:
    with pytest.raises(FanlightError) as told:
        fl.layers.Neighbours(**arguments)
    assert told.value.code == "E-LAYER-004" and where in str(told.value.where)

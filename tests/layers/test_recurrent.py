"""Recurrent layers against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.layers.rnn_oracle import both_ways, pair, random, same

L = fl.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
X = random(2, 5, 3)
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)
KINDS: dict[str, Any] = {
    "simple": lambda **o: L.SimpleRNN(4, **o),
    "lstm": lambda **o: L.LSTM(4, **o),
    "gru": lambda **o: L.GRU(4, **o),
    "gru_before": lambda **o: L.GRU(4, reset_after=False, **o),
    "stack": lambda **o: L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(4)], **o),
    "relu": lambda **o: L.LSTM(
        4, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False, **o
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "go_backwards": True, "return_state": True},
        {"unroll": True, "return_sequences": True},
    ],
    ids=["last", "backwards", "unrolled"],
)
def test_same_as_keras(kind: str, options: dict[str, Any]) -> None:
    same(KINDS[kind](**options), X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "zero_output_for_mask": True},
        {"return_sequences": True, "go_backwards": True, "return_state": True},
    ],
    ids=["last", "zeros", "backwards"],
)
def test_masks(kind: str, options: dict[str, Any]) -> None:
    same(KINDS[kind](**options), X, mask=MASK)


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru"])
def test_initial_state(kind: str) -> None:
    states = [random(2, 4, seed=i) for i in range(2 if kind == "lstm" else 1)]
    same(KINDS[kind](return_state=True), X, initial_state=states)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional(kind: str, mode: str | None) -> None:
    same(L.Bidirectional(KINDS[kind](return_sequences=True), merge_mode=mode), X, mask=MASK)


def test_bidirectional_states_and_another_layer() -> None:
    layer = L.Bidirectional(
        L.LSTM(4, return_state=True), backward_layer=L.GRU(4, return_state=True, go_backwards=True)
    )
    assert len(same(layer, X)) == 4
    same(L.Bidirectional(L.GRU(4, return_sequences=True, return_state=True)), X)


CONV = {
    1: lambda **o: L.ConvLSTM1D(2, 3, **o),
    2: lambda **o: L.ConvLSTM2D(2, (3, 2), **o),
    3: lambda **o: L.ConvLSTM3D(2, 2, **o),
}


@pytest.mark.parametrize("rank", CONV)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "padding": "same", "strides": 2, "return_state": True},
        {"data_format": "channels_first", "go_backwards": True, "dilation_rate": 2},
    ],
    ids=["last", "strides", "first"],
)
def test_convolutional(rank: int, options: dict[str, Any]) -> None:
    x = random(2, 3, *[5, 4, 4][:rank], 3)
    if options.get("data_format"):
        x = np.moveaxis(random(2, 3, *[6, 5, 4][:rank], 3), -1, 2)
    if rank == 3 and "dilation_rate" in options:
        options = {**options, "dilation_rate": 1}
    same(CONV[rank](**options), x, tolerance=2e-5)


def test_convolutional_masked() -> None:
    """A step that is masked is as if it was not there. (Keras gets its shapes wrong here.)"""
    layer = L.ConvLSTM1D(2, 2)
    x = random(2, 5, 4, 3)
    y = layer(x, mask=MASK).numpy()
    for i in range(2):
        np.testing.assert_allclose(y[i], layer(x[i : i + 1, MASK[i]]).numpy()[0], atol=1e-6)


def test_time_distributed() -> None:
    same(L.TimeDistributed(L.Dense(4, activation="tanh")), X)
    same(L.TimeDistributed(L.LSTM(4)), random(2, 3, 4, 2))


@pytest.mark.parametrize(
    "cell", [L.SimpleRNNCell(4), L.LSTMCell(4), L.GRUCell(4), L.GRUCell(4, reset_after=False)]
)
def test_cells(cell: Any) -> None:
    states = [random(2, 4, seed=i) for i in range(2 if isinstance(cell, L.LSTMCell) else 1)]
    x = X[:, 0]
    theirs = pair(cell, x, states)
    y, after = cell(x, states)
    wanted, wanted_after = theirs(x, states)
    np.testing.assert_allclose(y.numpy(), np.asarray(wanted), rtol=1e-5, atol=1e-5)
    for a, b in zip(after, wanted_after, strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        L.SimpleRNNCell(3, seed=4),
        L.LSTMCell(3, kernel_regularizer="l2", unit_forget_bias=False),
        L.GRUCell(3, reset_after=False),
        L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(2)]),
        L.RNN(L.LSTMCell(3), return_sequences=True),
        L.SimpleRNN(3, stateful=True, activity_regularizer="l1"),
        L.LSTM(3, dropout=0.2, recurrent_dropout=0.1, go_backwards=True),
        L.GRU(3, reset_after=False, recurrent_constraint="max_norm"),
        L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode="sum"),
        L.TimeDistributed(L.LSTM(3)),
        L.ConvLSTM1D(3, 2),
        L.ConvLSTM2D(3, 2, strides=2, padding="same"),
        L.ConvLSTM3D(3, 2, data_format="channels_first"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configs(layer: Any) -> None:
    both_ways(layer)

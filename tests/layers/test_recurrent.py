"""Recurrent layers against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.rnn_oracle import both_ways, keras, random, same

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


OPTIONS: dict[str, dict[str, Any]] = {
    "last": {},
    "backwards": {"return_sequences": True, "go_backwards": True, "return_state": True},
    "unrolled": {"unroll": True, "return_sequences": True},
    "zeros": {"return_sequences": True, "zero_output_for_mask": True},
}


@pytest.mark.parametrize(
    ("kind", "how"),
    [*((kind, "backwards") for kind in KINDS), ("lstm", "last"), ("stack", "unrolled")],
)
def test_same_as_keras(kind: str, how: str) -> None:
    same(KINDS[kind](**OPTIONS[how]), X, steps=True)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *((kind, "last") for kind in KINDS),
        ("gru", "zeros"),
        ("lstm", "backwards"),
        ("stack", "backwards"),
    ],
)
def test_masked_as_in_keras(kind: str, how: str) -> None:
    same(KINDS[kind](**OPTIONS[how]), X, mask=MASK)


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru"])
def test_initial_state(kind: str) -> None:
    states = [random(2, 4, seed=i) for i in range(2 if kind == "lstm" else 1)]
    same(KINDS[kind](return_state=True), X, initial_state=states)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("lstm", "concat"), ("gru", "sum"), ("simple", "mul"), ("simple", "ave"), ("gru", None)],
)
def test_bidirectional(kind: str, mode: str | None) -> None:
    layer = L.Bidirectional(KINDS[kind](return_sequences=True), merge_mode=mode)
    same(layer, X, mask=MASK, steps=mode == "sum")


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


LAST: dict[str, Any] = {"return_sequences": True, "padding": "same", "strides": 2}
FIRST: dict[str, Any] = {"data_format": "channels_first", "go_backwards": True}


@pytest.mark.parametrize(
    ("rank", "options"),
    [
        (1, LAST | {"return_state": True}),
        (1, FIRST),
        (2, LAST),
        (2, FIRST | {"dilation_rate": 2}),
        (3, {}),
    ],
    ids=["1", "1-first", "2", "2-first", "3"],
)
def test_convolutional(rank: int, options: dict[str, Any]) -> None:
    x = random(2, 3, *[5, 4, 4][:rank], 3)
    if options.get("data_format"):
        x = np.moveaxis(random(2, 3, *[6, 5, 4][:rank], 3), -1, 2)
    same(CONV[rank](**options), x, steps="data_format" not in options)


def test_convolutional_masked() -> None:
    """A step that is masked is as if it was not there. (Keras gets its shapes wrong here.)"""
    layer = L.ConvLSTM1D(2, 2)
    x = random(2, 5, 4, 3)
    y = layer(x, mask=MASK).numpy()
    for i in range(2):
        np.testing.assert_allclose(y[i], layer(x[i : i + 1, MASK[i]]).numpy()[0], atol=1e-6)


def test_time_distributed() -> None:
    same(L.TimeDistributed(L.Dense(4, activation="tanh")), X, steps=True)
    same(L.TimeDistributed(L.LSTM(4)), random(2, 2, 3, 2), gradients=False)


@pytest.mark.parametrize(
    "cell", [L.SimpleRNNCell(4), L.LSTMCell(4), L.GRUCell(4), L.GRUCell(4, reset_after=False)]
)
def test_cells(cell: Any) -> None:
    states = [random(2, 4, seed=i) for i in range(2 if isinstance(cell, L.LSTMCell) else 1)]
    x = X[:, 0]
    assert len(same(cell, x, states, steps=True)) == 1 + len(states)


@pytest.mark.parametrize("options", [{"padding": "same", "strides": 2}, {"dilation_rate": 2}])
def test_convolutional_cells(options: dict[str, Any]) -> None:
    cell = L.ConvLSTM2DCell(2, (3, 2), **options)
    x = random(2, 5, 4, 3)
    size = (3, 2) if options.get("padding") else (1, 2)
    states = [random(2, *size, 2, seed=i) for i in range(2)]
    assert [y.shape for y in same(cell, x, states, steps=True)] == [(2, *size, 2)] * 3


@pytest.mark.parametrize("options", [{}, {"data_format": "channels_first", "padding": "same"}])
def test_a_convolutional_cell_in_a_layer(options: dict[str, Any]) -> None:
    """It gives what `ConvLSTM2D` gives, in training, too, and comes back from a file."""
    how = {"return_sequences": True, "return_state": True}
    layer = L.ConvLSTM2D(2, 2, dropout=0.3, recurrent_dropout=0.2, seed=3, **options, **how)
    cell = L.ConvLSTM2DCell(2, 2, dropout=0.3, recurrent_dropout=0.2, seed=3, **options)
    turned = L.RNN(cell, **how)
    x = random(2, 3, 4, 4, 4)
    layer(x), turned(x)
    turned.set_weights(layer.get_weights())
    again = L.RNN.from_config(turned.get_config())
    again(x)
    again.set_weights(layer.get_weights())
    assert type(again.cell) is L.ConvLSTM2DCell
    assert again.get_config() == turned.get_config()
    for options in ({}, {"training": True}):
        if options:
            fl.set_random_seed(1)
        wanted = layer(x, **options)
        for other in (turned, again):
            if options:
                fl.set_random_seed(1)
            for a, b in zip(other(x, **options), wanted, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_stacked_cells() -> None:
    cells = L.StackedRNNCells([L.LSTMCell(4), L.GRUCell(3)])
    states = [[random(2, 4), random(2, 4, seed=1)], [random(2, 3)]]
    assert len(same(cells, X[:, 0], states, steps=True)) == 4


@pytest.mark.parametrize(
    "layer",
    [
        L.SimpleRNNCell(3, seed=4),
        L.LSTMCell(3, kernel_regularizer="l2", unit_forget_bias=False),
        L.GRUCell(3, reset_after=False),
        L.ConvLSTM2DCell(3, 2, strides=2, padding="same", kernel_regularizer="l2"),
        L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(2)]),
        L.RNN(L.LSTMCell(3), return_sequences=True),
        L.SimpleRNN(3, stateful=True, bias_constraint="non_neg"),
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


# --- states from batch to batch -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lstm", "gru", "stack"])
def test_stateful(kind: str) -> None:
    layer = KINDS[kind](stateful=True)
    first, again = layer(X).numpy(), layer(X).numpy()
    assert np.abs(first - again).max() > 1e-4
    whole = KINDS[kind]()
    whole(X)
    whole.set_weights(layer.get_weights())
    np.testing.assert_allclose(again, whole(np.concatenate([X, X], 1)).numpy(), atol=1e-6)
    layer.reset_states()
    np.testing.assert_allclose(layer(X).numpy(), first, atol=1e-6)


def stateful_model(layers: Any, input_of: Any, model: Any) -> Any:
    x = input_of((5, 3), batch_size=2)
    return model(x, layers.SimpleRNN(4, stateful=True)(x))


def test_stateful_models() -> None:
    """`predict` and `fit` keep states, as Keras's layers do (on JAX its `fit` forgets them)."""
    ours = stateful_model(L, L.Input, fl.Model)
    theirs = stateful_model(keras.layers, keras.Input, keras.Model)
    numbers = [random(*w.shape, seed=i) for i, w in enumerate(ours.weights)]
    ours.set_weights(numbers)
    theirs.set_weights(numbers)
    x, y = random(4, 5, 3), random(4, 4)

    def reset() -> None:
        ours.reset_states()

    wanted = [np.concatenate([np.asarray(theirs(x[i : i + 2])) for i in (0, 2)]) for _ in "ab"]
    found = [ours.predict(x, batch_size=2) for _ in "ab"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-4
    reset()
    np.testing.assert_array_equal(ours.predict(x, batch_size=2), found[0])

    told = {"batch_size": 2, "epochs": 2, "shuffle": False, "verbose": 0}
    losses = []
    for eager in (False, True):
        ours.set_weights(numbers)
        reset()
        ours.compile(fl.optimizers.SGD(0.1), "mse", run_eagerly=eager)
        losses.append(ours.fit(x, y, **told).history["loss"])
        assert ours._steps.compiled is not eager
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_stateful_needs_a_batch_size() -> None:
    with pytest.raises(FanlightError, match="fixed number of examples") as error:
        L.LSTM(4, stateful=True)(L.Input((5, 3)))
    assert error.value.code == "E-LAYER-001"
    layer = L.LSTM(4, stateful=True)
    layer(X)
    with pytest.raises(FanlightError, match="2 examples"):
        layer(random(3, 5, 3))


# --- gradients, compiled and of any order ---------------------------------------------------------


def test_gradients_of_gradients() -> None:
    """The loops with gradients of their own step back where a second tape listens."""
    for kind in ("simple", "lstm", "gru", "gru_before"):
        layer, unrolled = KINDS[kind](return_sequences=True), KINDS[kind](unroll=True)
        unrolled.return_sequences = True
        x, v = fl.tensor(X), fl.tensor(random(2, 5, 3, seed=9))
        layer(x), unrolled(x)
        unrolled.set_weights(layer.get_weights())
        found, wanted = (
            fl.hvp(lambda x, one=one: fl.sum(one(x) ** 3), x, v) for one in (layer, unrolled)
        )
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru", "gru_before", "stack"])
def test_compiled_training_is_eager_training(kind: str) -> None:
    x = L.Input((5, 3))
    layer = KINDS[kind](return_sequences=True, go_backwards=True)
    model = fl.Model(x, L.Dense(2)(layer(x)))
    start, y = model.get_weights(), random(2, 5, 2)
    ends = []
    for eager in (False, True):
        model.set_weights(start)
        model.compile(fl.optimizers.SGD(0.1), "mse", run_eagerly=eager)
        model.fit(X, y, epochs=2, verbose=0)
        assert model._steps.compiled is not eager
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# --- dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru", "gru_before", "stack"])
def test_dropout_only_in_training(kind: str) -> None:
    if kind == "stack":
        layer = L.RNN([L.LSTMCell(4, dropout=0.5), L.GRUCell(4, recurrent_dropout=0.5)])
    else:
        layer = KINDS[kind](dropout=0.5, recurrent_dropout=0.5)
    calm = [layer(X).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    wild = [layer(X, training=True).numpy() for _ in range(2)]
    assert np.abs(wild[0] - wild[1]).max() > 1e-4


def test_dropout_keeps_the_mean_and_drops_the_same_inputs_at_all_steps() -> None:
    layer = L.SimpleRNN(1, activation="linear", dropout=0.25, seed=1)
    x = np.ones((4000, 3, 1), np.float32)
    layer(x)
    layer.set_weights([np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)])
    y = layer(x, training=True).numpy()
    assert set(np.unique(y.round(4))) == {0.0, 4.0}  # all three steps, or none
    assert abs(y.mean() - 3.0) < 0.1


# --- cells of one's own ---------------------------------------------------------------------------


class Adding:
    """No layer: its output is twice its state."""

    state_size = 3

    def call(self, inputs: Any, states: Any) -> Any:
        total = states[0] + inputs
        return total * 2.0, [total]


def test_a_cell_of_ones_own() -> None:
    layer = L.RNN(Adding(), return_sequences=True, return_state=True)
    y, state = layer(X)
    np.testing.assert_allclose(y.numpy(), 2 * np.cumsum(X, 1), atol=1e-5)
    np.testing.assert_allclose(state.numpy(), X.sum(1), atol=1e-5)
    y = L.RNN([Adding(), L.GRUCell(2)])(X, mask=MASK)
    assert y.shape == (2, 2)
    masked = L.RNN(Adding(), zero_output_for_mask=True, return_sequences=True)(X, mask=MASK)
    assert not masked.numpy()[0, 2].any() and masked.numpy()[0, 3].any()


def test_weights_of_bidirectional() -> None:
    first = L.Bidirectional(L.GRU(2))
    first(X)
    again = L.Bidirectional(L.GRU(2), weights=first.get_weights())
    np.testing.assert_array_equal(again(X).numpy(), first(X).numpy())


def test_shapes_and_graphs() -> None:
    x = L.Input((None, 3))
    y = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
    assert y.shape == (None, None, 8)
    assert L.GRU(4, return_state=True)(y)[1].shape == (None, 4)
    assert L.ConvLSTM2D(2, 3).compute_output_shape((None, 4, 8, 8, 1)) == (None, 6, 6, 2)
    model = fl.Model(begin := L.Input((5, 3)), L.LSTM(4)(begin))
    found = model.graph
    assert [v.type.shape for _, v in found.outputs] == [(1, 4)]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: L.LSTM(0), "E-LAYER-004"),
        (lambda: L.RNN(L.Dense(3)), "E-LAYER-004"),
        (lambda: L.StackedRNNCells([]), "E-LAYER-004"),
        (lambda: L.GRU(3)(X[0]), "E-LAYER-001"),
        (lambda: L.GRU(3)(X, initial_state=[random(2, 4)]), "E-LAYER-001"),
        (lambda: L.Bidirectional(L.Dense(3)), "E-LAYER-004"),
        (lambda: L.Bidirectional(L.GRU(3), merge_mode="max"), "E-LAYER-004"),
        (lambda: L.Bidirectional(L.GRU(3), backward_layer=L.GRU(3)), "E-LAYER-004"),
        (
            lambda: L.Bidirectional(
                L.GRU(3), backward_layer=L.GRU(3, go_backwards=True, return_state=True)
            ),
            "E-LAYER-004",
        ),
        (lambda: L.TimeDistributed(3), "E-LAYER-004"),
        (lambda: L.TimeDistributed(L.Dense(3))(X[0]), "E-LAYER-001"),
        (lambda: L.TimeDistributed(L.Dense(3))(X, mask=MASK[:, :2]), "E-LAYER-001"),
        (lambda: L.ConvLSTM2D(2, 3, padding="causal"), "E-LAYER-004"),
        (lambda: L.ConvLSTM2D(2, 3, strides=2, dilation_rate=2), "E-LAYER-004"),
        (lambda: L.ConvLSTM2D(2, (3, 3, 3)), "E-LAYER-004"),
        (lambda: L.ConvLSTM1D(2, 3)(X), "E-LAYER-001"),
        (lambda: L.RNN(L.ConvLSTM2DCell(2, 3))(X), "E-LAYER-001"),
        (
            lambda: L.RNN([L.ConvLSTM2DCell(2, 3), L.ConvLSTM2DCell(2, 3)])(random(1, 2, 5, 5, 1)),
            "E-LAYER-001",
        ),
        (lambda: L.ConvLSTM2DCell(2, 3)(random(2, 5, 5, 1), [random(2, 2)] * 2), "E-LAYER-001"),
        (lambda: L.ConvLSTM2DCell(2, 3, padding="causal"), "E-LAYER-004"),
        (lambda: L.RNN({"class_name": "NoCell", "config": {}}), "E-LAYER-003"),
        (lambda: L.LSTMCell(3)(X, [random(2, 3)] * 2), "E-LAYER-001"),
    ],
)
def test_wrong_arguments(make: Any, code: str) -> None:
    with pytest.raises(FanlightError) as error:
        make()
    assert error.value.code == code


def test_not_trainable() -> None:
    layers = [L.LSTM(3, trainable=False), L.Bidirectional(L.GRU(3), trainable=False)]
    for layer in [*layers, L.TimeDistributed(L.LSTM(3), trainable=False)]:
        layer(X[:, None] if isinstance(layer, L.TimeDistributed) else X)
        assert layer.weights and not layer.trainable_weights
        layer.trainable = True
        assert layer.trainable_weights == layer.weights


def test_files_of_keras_2() -> None:
    config = {"units": 3, "implementation": 2, "time_major": False, "return_sequences": True}
    assert L.GRU.from_config(config)(X).shape == (2, 5, 3)
    with pytest.raises(FanlightError) as error:
        L.LSTM(3, time_major=True)
    assert error.value.code == "E-LAYER-004"
    cell = {"class_name": "LSTMCell", "config": {"units": 3}}
    assert L.RNN(cell)(X).shape == (2, 3)
    assert L.Bidirectional({"class_name": "GRU", "config": config})(X).shape == (2, 5, 6)


def test_bidirectional_states_are_reset() -> None:
    layer = L.Bidirectional(L.GRU(3, stateful=True))
    first, again = layer(X).numpy(), layer(X).numpy()
    assert np.abs(first - again).max() > 1e-4
    layer.reset_state()
    np.testing.assert_allclose(layer(X).numpy(), first, atol=1e-6)


def test_another_size_than_built_for() -> None:
    layer = L.LSTM(3)
    layer(X)
    with pytest.raises(FanlightError) as error:
        layer(random(2, 5, 4))
    assert error.value.code == "E-LAYER-001"


def test_very_many_steps_are_a_loop_even_unrolled() -> None:
    """A file may ask for any number of them."""
    x = fl.Input((100_000, 2))
    layer = fl.layers.LSTM(1, unroll=True)
    layer(x)
    steps = np.random.default_rng(0).standard_normal((1, 1200, 2)).astype(np.float32)
    loop = fl.layers.LSTM(1)
    loop(steps)
    loop.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(steps[:, :1100]).numpy(), loop(steps[:, :1100]).numpy())

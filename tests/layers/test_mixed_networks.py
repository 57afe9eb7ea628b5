"""Mixed networks learn from real data what Keras's learn: the same weights to begin with, the same
batches in the same order, and examples held out from both.

An accuracy has to reach Keras's, less a tolerance, and a floor that no broken network reaches.
Where nothing is drawn at random, the losses of the first epochs are Keras's, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn import datasets

import fanlight as fl
from tests.conformance import NETWORKS, counted
from tests.layers.keras_oracle import keras

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Examples(NamedTuple):
    """What is learned from, and what is held out: arrays, or lists of them."""

    x: Any
    y: Any
    held_x: Any
    held_y: Any


class Trained(NamedTuple):
    losses: list[float]
    outputs: list[np.ndarray]


# Rounding differs, also from run to run of Keras with threads, and steps multiply it (a relu goes
# the other way). After so many epochs, the accuracies alone are compared.
COMPARED = 3

Maker = Callable[[Any], Any]  # of fanlight or keras: an untrained model


def trained(model: Any, lib: Any, given: Examples, loss: Any, rate: float, epochs: int) -> Trained:
    model.compile(lib.optimizers.Adam(rate), loss=loss)
    history = model.fit(given.x, given.y, batch_size=50, epochs=epochs, verbose=0, shuffle=False)
    found = model.predict(given.held_x, batch_size=100, verbose=0)
    outputs = found if isinstance(found, list) else [found]
    return Trained(history.history["loss"], [np.asarray(y) for y in outputs])


def both(
    make: Maker, given: Examples, loss: Any, rate: float, epochs: int, same: float | None = None
) -> tuple[Trained, Trained]:
    """What ours and Keras's are after training.

    Args:
        same: how far the losses of the first epochs may be from Keras's, in shares of them; None
            if random numbers are drawn, which are others there.
    """
    fl.set_random_seed(3)
    try:
        ours = make(fl)
        theirs = make(keras)
        assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
        theirs.set_weights(ours.get_weights())
        own = trained(ours, fl, given, loss, rate, epochs)
    finally:
        fl.set_random_seed(None)
    assert ours._steps.compiled, ours._steps.why  # the steps were WebAssembly, not NumPy
    keras.utils.set_random_seed(3)
    other = trained(theirs, keras, given, loss, rate, epochs)
    assert own.losses[-1] < own.losses[0]
    if same is not None:
        np.testing.assert_allclose(own.losses[:COMPARED], other.losses[:COMPARED], rtol=same)
    return own, other


def right(output: np.ndarray, labels: np.ndarray) -> float:
    guess = output.argmax(-1) if output.shape[-1] > 1 else (output[:, 0] > 0.5)
    return float(np.mean(guess == labels))


def reaches(name: str, ours: float, theirs: float, floor: float, tolerance: float) -> None:
    """An accuracy is Keras's, less a tolerance, and above a floor; printed with -s."""
    print(f"\n{name}: {ours:.3f} of those held out are right, {theirs:.3f} with Keras")
    assert ours >= floor, f"{name}: {ours} is right, at least {floor} should be"
    assert ours >= theirs - tolerance, f"{name}: {ours} is right, {theirs} with Keras"


# --- digits ---------------------------------------------------------------------------------------


def digits() -> Examples:
    """scikit-learn's: 1,200 to learn from; 597, most written by other people, held out."""
    found = datasets.load_digits()
    x, y = (found.images / 16).astype(np.float32), found.target.astype(np.int32)
    return Examples(x[:1200], y[:1200], x[1200:], y[1200:])


def pictures() -> Examples:
    given = digits()
    return given._replace(x=given.x[..., None], held_x=given.held_x[..., None])


def convolutional(lib: Any) -> Any:
    la = lib.layers
    return lib.Sequential(
        [
            lib.Input((8, 8, 1)),
            la.Conv2D(12, 3, padding="same", use_bias=False),
            la.BatchNormalization(momentum=0.9),
            la.ReLU(),
            la.Conv2D(16, 3, strides=2, padding="same", use_bias=False),
            la.BatchNormalization(momentum=0.9),
            la.ReLU(),
            la.Dropout(0.3),
            la.Flatten(),
            la.Dense(10, activation="softmax"),
        ]
    )


def test_batch_normalization_and_dropout() -> None:
    given = pictures()
    ours, theirs = both(convolutional, given, "sparse_categorical_crossentropy", 0.005, 5)
    accuracies = (right(t.outputs[0], given.held_y) for t in (ours, theirs))
    reaches("convolutions", *accuracies, floor=0.9, tolerance=0.02)
    counted(NETWORKS, 1, of=1)


def residual(lib: Any) -> Any:
    """Two blocks with shortcuts; which digit, and whether it is odd."""
    la = lib.layers
    x = begin = lib.Input((8, 8, 1))
    x = la.Conv2D(8, 3, padding="same", activation="relu")(x)
    for filters, strides in ((8, 1), (16, 2)):
        short = x
        if strides > 1:
            short = la.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
        x = la.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = la.ReLU()(la.BatchNormalization(momentum=0.9)(x))
        x = la.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = la.ReLU()(la.Add()([la.BatchNormalization(momentum=0.9)(x), short]))
    x = la.Flatten()(la.AveragePooling2D(2)(x))
    digit = la.Dense(10, activation="softmax", name="digit")(x)
    return lib.Model(begin, [digit, la.Dense(1, activation="sigmoid", name="odd")(x)])


def test_residual_network_with_two_outputs() -> None:
    given = pictures()
    odd = (given.y % 2)[:, None].astype(np.float32)
    ours, theirs = both(
        residual,
        given._replace(y=[given.y, odd]),
        ["sparse_categorical_crossentropy", "binary_crossentropy"],
        rate=0.005,
        epochs=5,
        same=0.02,
    )
    for i, (name, labels) in enumerate((("digit", given.held_y), ("odd", given.held_y % 2))):
        accuracies = (right(t.outputs[i], labels) for t in (ours, theirs))
        reaches(f"residual, {name}", *accuracies, floor=0.9, tolerance=0.015)
    counted(NETWORKS, 1, of=1)


def transformer(lib: Any) -> Any:
    """A digit as a sequence of eight rows, each with the embedding of its place."""
    la = lib.layers
    rows, places = lib.Input((8, 8)), lib.Input((8,), dtype="int32")
    x = la.Add()([la.Dense(24)(rows), la.Embedding(8, 24)(places)])
    for _ in range(2):
        x = la.LayerNormalization()(la.Add()([x, la.MultiHeadAttention(3, 8)(x, x)]))
        y = la.Dense(24)(la.Dense(48, activation="gelu")(x))
        x = la.LayerNormalization()(la.Add()([x, y]))
    x = la.Dense(10, activation="softmax")(la.GlobalAveragePooling1D()(x))
    return lib.Model([rows, places], x)


def test_transformer() -> None:
    given = digits()
    places = np.tile(np.arange(8, dtype=np.int32), (1200, 1))
    two = given._replace(x=[given.x, places], held_x=[given.held_x, places[:597]])
    ours, theirs = both(transformer, two, "sparse_categorical_crossentropy", 0.005, 8, same=0.02)
    accuracies = (right(t.outputs[0], given.held_y) for t in (ours, theirs))
    reaches("transformer", *accuracies, floor=0.85, tolerance=0.015)
    counted(NETWORKS, 1, of=1)


def autoencoder(lib: Any) -> Any:
    la = lib.layers
    return lib.Sequential(
        [
            lib.Input((8, 8, 1)),
            la.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            la.Flatten(),
            la.Dense(12, name="code"),
            la.Dense(128, activation="relu"),
            la.Reshape((4, 4, 8)),
            la.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
            la.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )


def test_autoencoder() -> None:
    """From twelve numbers: it is far nearer to a digit than the mean of all digits."""
    given = pictures()
    ours, theirs = both(autoencoder, given._replace(y=given.x), "mse", 0.005, 8, same=0.01)
    mine, keras_s = (float(np.mean((t.outputs[0] - given.held_x) ** 2)) for t in (ours, theirs))
    mean = float(np.mean((given.x.mean(0) - given.held_x) ** 2))
    print(f"\nautoencoder: {mine:.4f}, {keras_s:.4f} with Keras, {mean:.4f} by the mean")
    assert mine < 0.4 * mean
    assert mine < 1.02 * keras_s
    counted(NETWORKS, 1, of=1)


# --- text -----------------------------------------------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sentences() -> Examples:
    """English, forwards and backwards: what scikit-learn says of its data sets, letter by letter.

    24 to 40 letters each, with zeros behind them; the last quarter of every text is held out. That
    a piece is backwards shows in the order of its letters only.
    """
    parts: tuple[list[Any], list[Any]] = ([], [])
    for path in sorted((Path(datasets.__file__).parent / "descr").glob("*.rst")):
        text = re.sub("[^a-z]+", " ", path.read_text("utf-8").lower())
        begins = list(range(0, len(text) - 40, 24))
        for n, begin in enumerate(begins):
            piece = text[begin : begin + 24 + 4 * (n // 2 % 5)]
            backwards = n % 2
            codes = [LETTERS.find(c) + 2 for c in (piece[::-1] if backwards else piece)]
            row = (codes + 40 * [0])[:40]
            parts[begin > 0.75 * len(text) - 40].append((row, backwards))
    made: list[Any] = []
    for part in parts:
        order = np.random.default_rng(0).permutation(len(part))
        made.append(np.array([part[i][0] for i in order], np.int32))
        made.append(np.array([[part[i][1]] for i in order], np.float32))
    return Examples(*made)


def recurrent(lib: Any) -> Any:
    la = lib.layers
    return lib.Sequential(
        [
            lib.Input((40,), dtype="int32"),
            la.Embedding(28, 12, mask_zero=True),
            la.Bidirectional(la.LSTM(16)),
            la.Dense(1, activation="sigmoid"),
        ]
    )


def test_bidirectional_lstm_on_text() -> None:
    given = sentences()
    assert len(given.x) > 1000 and 0.45 < given.held_y.mean() < 0.55
    ours, theirs = both(recurrent, given, "binary_crossentropy", 0.01, 8, same=0.05)
    accuracies = (right(t.outputs[0], given.held_y[:, 0]) for t in (ours, theirs))
    reaches("text", *accuracies, floor=0.8, tolerance=0.02)
    counted(NETWORKS, 1, of=1)


# --- photos ---------------------------------------------------------------------------------------


def photos(shared: Path) -> Examples:
    """What a published MobileNet sees in photos of dogs and cats: 200 to learn from, 100 held out.

    It is frozen, so what it sees is computed once, by us: 256 numbers for each of 7 x 7 places.
    """
    (model,) = (shared / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml").glob("*.json")
    backbone = fl.load_model(model)
    sees = fl.Model(backbone.input, backbone.get_layer("conv_pw_13_relu").output)
    data = fl.data.image_folder(shared / "data" / "images" / "dog_cat_160.tar", size=224)
    chosen, _ = data.split(1 - 300 / len(data), stratified=True, seed=1)
    batches = [(sees.predict(x / 127.5 - 1, verbose=0), y) for x, y in chosen.batch(25)]
    x, y = (np.concatenate([np.asarray(b[i]) for b in batches]) for i in (0, 1))
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order].astype(np.int32)
    return Examples(x[:200], y[:200], x[200:], y[200:])


def head(lib: Any) -> Any:
    la = lib.layers
    return lib.Sequential(
        [
            lib.Input((7, 7, 256)),
            la.GlobalAveragePooling2D(),
            la.Dense(32, activation="relu"),
            la.Dense(2, activation="softmax"),
        ]
    )


def test_head_of_a_published_network(shared: Path) -> None:
    given = photos(shared)
    assert len(given.held_y) == 100 and 0.4 < given.held_y.mean() < 0.6
    ours, theirs = both(head, given, "sparse_categorical_crossentropy", 0.003, 6, same=0.01)
    accuracies = (right(t.outputs[0], given.held_y) for t in (ours, theirs))
    reaches("photos", *accuracies, floor=0.85, tolerance=0.02)
    counted(NETWORKS, 1, of=1)

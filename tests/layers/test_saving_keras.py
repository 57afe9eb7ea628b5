"""Keras loads what we save, and trains on; we load what Keras saves."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import fanlight as fl
from tests.conformance import IN_KERAS, counted
from tests.layers import nets
from tests.layers.keras_oracle import keras
from tests.layers.nets import L

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),
]

NETS = [nets.dense, nets.shared, nets.cnn, nets.rnn, nets.attention]


def same(ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: float = 1e-5) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def answers(theirs: Any, x: list[np.ndarray]) -> list[np.ndarray]:
    """What a model of Keras gives, computed op by op: compiling each takes longer."""
    return [np.asarray(y) for y in keras.tree.flatten(theirs(nets.one(x)))]


def losses(model: Any, x: Any, y: Any, epochs: int = 3) -> list[float]:
    options = {"epochs": epochs, "verbose": 0, "shuffle": False, "batch_size": 8}
    return list(model.fit(nets.one(x), nets.one(y), **options).history["loss"])


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_keras_loads_what_we_save(make: Callable[[], Any], kind: str, tmp_path: Path) -> None:
    model = nets.shaken(make())
    x = nets.inputs_of(model)
    model.save(tmp_path / f"m{kind}")
    theirs = keras.models.load_model(tmp_path / f"m{kind}")
    want = nets.predicted(model, x)
    same(want, answers(theirs, x))
    again = fl.load_model(tmp_path / f"m{kind}")
    same(want, nets.predicted(again, x), 0)
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    theirs.save(tmp_path / f"k{kind}")
    back = fl.load_model(tmp_path / f"k{kind}")
    same(want, nets.predicted(back, x), 1e-6)
    counted(IN_KERAS, 1, of=1)


@pytest.mark.parametrize("make", NETS)
def test_weights_files_of_both(make: Callable[[], Any], tmp_path: Path) -> None:
    model = nets.shaken(make())
    x = nets.inputs_of(model)
    want = nets.predicted(model, x)
    theirs = keras.models.model_from_json(model.to_json())
    model.save_weights(tmp_path / "a.weights.h5")
    theirs.load_weights(tmp_path / "a.weights.h5")
    same(want, answers(theirs, x))
    theirs.save_weights(tmp_path / "b.weights.h5")
    other = make()
    other.load_weights(tmp_path / "b.weights.h5")
    same(want, nets.predicted(other, x), 0)
    for name in ("c.h5", "d.safetensors"):
        model.save_weights(tmp_path / name)
        third = make()
        third.load_weights(tmp_path / name)
        same(want, nets.predicted(third, x), 0)


OPTIMIZERS = [
    lambda o: o.SGD(0.05, momentum=0.9, nesterov=True),
    lambda o: o.Adam(0.01, amsgrad=True),
    lambda o: o.RMSprop(0.01, momentum=0.5, centered=True),
    lambda o: o.AdamW(o.schedules.ExponentialDecay(0.01, 2, 0.9)),
    lambda o: o.Adadelta(0.5),
    lambda o: o.Nadam(0.01),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_training_goes_on_in_keras_and_back(make: Callable[[Any], Any], tmp_path: Path) -> None:
    model = nets.dense()
    x, y = nets.inputs_of(model), nets.labels_of(model)
    model.compile(make(fl.optimizers), "mse", metrics=["mae"])
    losses(model, x, y)
    model.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    ours = fl.load_model(tmp_path / "m.keras")
    goes_on = losses(model, x, y)
    np.testing.assert_allclose(losses(ours, x, y), goes_on, rtol=0, atol=1e-6)
    np.testing.assert_allclose(losses(theirs, x, y), goes_on, rtol=0, atol=1e-4)
    theirs.save(tmp_path / "k.keras")
    back = fl.load_model(tmp_path / "k.keras")
    np.testing.assert_allclose(losses(back, x, y), losses(theirs, x, y), rtol=0, atol=1e-4)
    counted(IN_KERAS, 1, of=1)


def test_training_goes_on_with_several_outputs_and_from_h5(tmp_path: Path) -> None:
    model = nets.shared()
    x, y = nets.inputs_of(model), nets.labels_of(model)
    told: dict[str, Any] = {"inner": "mse", "sum": "mae"}
    model.compile("adam", told, loss_weights={"inner": 1.0, "sum": 0.5}, metrics={"inner": ["mae"]})
    losses(model, x, y)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
    loaded = [fl.load_model(tmp_path / n) for n in ("m.keras", "m.h5")]
    theirs = keras.models.load_model(tmp_path / "m.keras")
    want = losses(model, x, y)
    for other in (*loaded, theirs):
        np.testing.assert_allclose(losses(other, x, y), want, rtol=0, atol=1e-4)
    # Keras cannot train on from an .h5 file: it builds the optimizer for no weights. Its state in
    # such a file is read here.
    theirs.compile("adam", {"inner": "mean_squared_error", "sum": "mean_absolute_error"})
    losses(theirs, x, y)
    theirs.save(tmp_path / "k.h5")
    back = fl.load_model(tmp_path / "k.h5")
    assert int(back.optimizer.iterations.item()) == 3
    np.testing.assert_allclose(losses(back, x, y), losses(theirs, x, y), rtol=0, atol=1e-4)


def test_without_what_training_needs(tmp_path: Path) -> None:
    model = nets.dense()
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras", include_optimizer=False)
    assert fl.load_model(tmp_path / "m.keras").optimizer is None
    model.save(tmp_path / "n.keras")
    assert fl.load_model(tmp_path / "n.keras", compile=False).optimizer is None
    assert type(fl.load_model(tmp_path / "n.keras").optimizer).__name__ == "Adam"


def test_the_archive_is_laid_out_as_that_of_keras(tmp_path: Path) -> None:
    model = nets.shaken(nets.shared())
    model.compile("adam", "mse")
    losses(model, nets.inputs_of(model), nets.labels_of(model), 1)
    model.save(tmp_path / "m.keras")
    keras.models.load_model(tmp_path / "m.keras").save(tmp_path / "k.keras")
    found = []
    for name in ("m.keras", "k.keras"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert set(archive.namelist()) == {"config.json", "metadata.json", "model.weights.h5"}
            config = json.loads(archive.read("config.json"))
            names: dict[str, Any] = {}
            with archive.open("model.weights.h5") as file, h5py.File(file) as root:

                def note(path: str, item: Any, names: dict[str, Any] = names) -> None:
                    if isinstance(item, h5py.Dataset):
                        names[path] = item.shape

                root.visititems(note)
            found.append((names, set(config), config["class_name"], config["config"]["name"]))
    assert found[0] == found[1]


def test_frozen_layers_keep_their_weights(tmp_path: Path) -> None:
    model = nets.shaken(nets.cnn())
    model.get_layer("bn1").trainable = False
    model.get_layer("dw").trainable = False
    x = nets.inputs_of(model)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        for load in (fl.load_model, keras.models.load_model):
            other = load(tmp_path / name)
            assert not other.get_layer("bn1").trainable
            assert len(other.trainable_weights) == len(model.trainable_weights)
            own = load is fl.load_model
            same(nets.predicted(model, x), nets.predicted(other, x) if own else answers(other, x))
    model.save_weights(tmp_path / "w.h5")
    thawed = nets.cnn()  # its order in the file is another one
    thawed.load_weights(tmp_path / "w.h5")
    same(nets.predicted(model, x), nets.predicted(thawed, x), 0)


LAYERS: list[tuple[Callable[[], Any], tuple[int, ...]]] = [
    (lambda: L.Conv1D(2, 2), (6, 3)),
    (lambda: L.Conv2DTranspose(2, 2, strides=2), (4, 4, 3)),
    (lambda: L.Conv3D(2, 2), (3, 3, 3, 2)),
    (lambda: L.DepthwiseConv1D(2), (6, 3)),
    (lambda: L.SeparableConv1D(2, 2), (6, 3)),
    (lambda: L.GroupNormalization(2), (4, 4, 4)),
    (lambda: L.SpectralNormalization(L.Dense(3)), (4,)),
    (lambda: L.PReLU(), (4,)),
    (lambda: L.SimpleRNN(3), (5, 4)),
    (lambda: L.LSTM(3, dropout=0.1, go_backwards=True), (5, 4)),
    (lambda: L.RNN([L.LSTMCell(3), L.GRUCell(2)]), (5, 4)),
    (lambda: L.ConvLSTM2D(2, 2), (3, 4, 4, 1)),
    (lambda: L.Bidirectional(L.GRU(2), merge_mode="sum"), (5, 4)),
    (lambda: L.TimeDistributed(L.Conv2D(2, 2)), (3, 4, 4, 1)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_layers_that_file_weights_in_their_own_way(
    make: Callable[[], Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    model = nets.shaken(fl.Sequential([fl.Input(shape), make()]))
    x = nets.inputs_of(model, 2)
    want = nets.predicted(model, x)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        theirs = keras.models.load_model(tmp_path / name)
        same(want, answers(theirs, x))
        theirs.save(tmp_path / f"k{name}")
        same(want, nets.predicted(fl.load_model(tmp_path / f"k{name}"), x))
    counted(IN_KERAS, 1, of=1)

"""Callbacks: those that watch against Keras 3, files read back, training that goes on."""

from __future__ import annotations

import csv
import inspect
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import callbacks
from tests.layers.keras_oracle import keras
from tests.support import run_python

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 3)).astype(np.float32)
Y = (X.sum(-1) > 0).astype(np.int32)


def network(optimizer: Any = "adam", **options: Any) -> Any:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def fit(model: Any, callback: Any, epochs: int = 3, **options: Any) -> Any:
    given = callback if isinstance(callback, list) else [callback]
    options = {"batch_size": 8, "verbose": 0} | options
    return model.fit(X, Y, epochs=epochs, callbacks=given, **options)


class Rate:
    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> float:
        return self.value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.value, np.float32)


class StandIn:
    """A model of which callbacks see weights (the number of the epoch) and a learning rate."""

    def __init__(self) -> None:
        self.epoch, self.stop_training, self.saved = 0, False, list[str]()
        self.optimizer = type("Optimizer", (), {"refuse_rate": lambda self, who: None})()
        self.optimizer.learning_rate = Rate(1.0)

    def get_weights(self) -> list[np.ndarray]:
        return [np.array(self.epoch)]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.epoch = int(weights[0])

    def save(self, path: str, overwrite: bool = True) -> None:
        self.saved.append(str(path))
        Path(path).write_text("model")

    def save_weights(self, path: str, overwrite: bool = True) -> None:
        self.saved.append(str(path))
        Path(path).write_text("weights")


def told(callback: Any, logs: list[dict[str, float]]) -> StandIn:
    """What becomes of a stand-in in a training with these logs."""
    model = StandIn()
    callback.set_model(model)
    callback.set_params({"epochs": len(logs), "validation": True})
    callback.on_train_begin()
    for epoch, found in enumerate(logs):
        callback.on_epoch_begin(epoch)
        model.epoch = epoch
        callback.on_epoch_end(epoch, dict(found))
        if not isinstance(model.optimizer.learning_rate, Rate):
            model.optimizer.learning_rate = Rate(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return model


def curve(seed: int, length: int = 14) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    values = np.round(np.exp(-np.arange(length) / 5) + rng.normal(size=length) * 0.2, 2)
    return [{"loss": float(v), "val_loss": float(v) + 0.1} for v in values]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 1, "restore_best_weights": True, "monitor": "loss"},
        {"patience": 3, "min_delta": 0.1, "restore_best_weights": True},
        {"patience": 2, "start_from_epoch": 4, "restore_best_weights": True},
        {"patience": 2, "baseline": 0.5},
        {"mode": "max", "patience": 1, "restore_best_weights": True},
    ],
)
def test_early_stopping_as_in_keras(options: dict[str, Any]) -> None:
    for seed in range(5):
        ours, theirs = callbacks.EarlyStopping(**options), keras.callbacks.EarlyStopping(**options)
        found, wanted = told(ours, curve(seed)), told(theirs, curve(seed))
        assert (found.epoch, found.stop_training) == (wanted.epoch, wanted.stop_training)
        assert ours.stopped_epoch == theirs.stopped_epoch


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 2, "factor": 0.5, "cooldown": 2},
        {"patience": 1, "factor": 0.5, "min_lr": 0.2, "min_delta": 0.2},
        {"patience": 1, "mode": "max", "monitor": "loss"},
    ],
)
def test_lower_rates_as_in_keras(options: dict[str, Any]) -> None:
    for seed in range(5):
        found = told(callbacks.ReduceLROnPlateau(**options), curve(seed))
        wanted = told(keras.callbacks.ReduceLROnPlateau(**options), curve(seed))
        mine, other = (m.optimizer.learning_rate.item() for m in (found, wanted))
        assert mine == pytest.approx(other, 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"filepath": "a/{epoch:02d}-{val_loss:.2f}.keras"},
        {"filepath": "best.keras", "save_best_only": True},
        {"filepath": "b/{epoch}.weights.h5", "save_weights_only": True, "save_best_only": True},
        {"filepath": "{loss:.1f}.keras", "mode": "max", "monitor": "loss", "save_best_only": True},
        {"filepath": "{epoch}.keras", "save_best_only": True, "initial_value_threshold": 0.5},
    ],
)
def test_checkpoints_as_in_keras(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        found = told(callbacks.ModelCheckpoint(**options), curve(seed))
        theirs = dict(options)
        threshold = theirs.pop("initial_value_threshold", None)
        other = keras.callbacks.ModelCheckpoint(**theirs)
        other.best = threshold  # Keras 3.15 takes it for the mode
        assert found.saved == told(other, curve(seed)).saved
        assert all(Path(p).exists() for p in found.saved)


def test_checkpoints_by_batches(tmp_path: Path) -> None:
    model = network()
    saved: list[str] = []
    model.save = lambda path, overwrite: saved.append(Path(path).name)
    callback = callbacks.ModelCheckpoint(
        tmp_path / "{epoch}-{batch}-{accuracy:.0f}.keras", save_freq=2
    )
    fit(model, callback)  # 3 batches an epoch
    assert [name[:3] for name in saved] == ["1-2", "2-1", "2-3", "3-2"]


def test_what_is_better_follows_from_the_metric() -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(1, "sigmoid")])
    model.compile(
        "adam", "binary_crossentropy", metrics=[fl.metrics.AUC(name="area"), "mse", "accuracy"]
    )
    signs = {"area": 1, "val_area": 1, "mse": -1, "accuracy": 1, "loss": -1, "val_loss": -1}
    watching = [callbacks.EarlyStopping(name, patience=9) for name in signs]
    model.fit(X, Y, epochs=3, validation_data=(X, Y), callbacks=watching, verbose=0)
    assert [w._sign for w in watching] == list(signs.values())
    unclear = callbacks.EarlyStopping("top", patience=9)
    model.compile("adam", "mse", metrics=[fl.metrics.MeanMetricWrapper(lambda y, p: p, "top")])
    with pytest.raises(FanlightError, match="which top is better") as error:
        model.fit(X, Y, epochs=2, callbacks=[unclear], verbose=0)
    assert error.value.code == "E-LAYER-004"


def test_a_name_that_logs_do_not_have() -> None:
    with pytest.raises(FanlightError, match="val_loss") as error:
        fit(network(), callbacks.EarlyStopping())
    assert error.value.code == "E-LAYER-004"
    history = fit(  # in other epochs there is no validation, which is no error
        network(),
        [callbacks.EarlyStopping(patience=9), callbacks.ReduceLROnPlateau()],
        4,
        validation_data=(X, Y),
        validation_freq=2,
    )
    assert len(history.history["val_loss"]) == 2 and len(history.history["learning_rate"]) == 4


def test_the_best_weights_come_back() -> None:
    model = network(fl.optimizers.SGD(50.0))
    kept: list[Any] = []
    callback = callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    each = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: kept.append(model.get_weights()))
    history = fit(model, [callback, each], 12)
    best = int(np.argmin(history.history["loss"]))
    for a, b in zip(model.get_weights(), kept[best], strict=True):
        np.testing.assert_array_equal(a, b)


def test_rates_by_a_function() -> None:
    model = network(fl.optimizers.SGD(1.0))
    history = fit(model, callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch))
    np.testing.assert_allclose(history.history["learning_rate"], [1, 0.5, 0.25])
    history = fit(model, callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2))
    np.testing.assert_allclose(history.history["learning_rate"], [0.125, 0.0625, 0.03125])


def test_a_loss_that_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    bad = X.copy()
    bad[10] = np.nan
    with pytest.raises(FanlightError) as error:
        network().fit(bad, Y, batch_size=8, shuffle=False, verbose=0)
    assert error.value.code == "E-TRAIN-003"
    seen: list[int] = []
    model = network()
    model.fit(
        bad,
        Y,
        epochs=4,
        batch_size=8,
        shuffle=False,
        verbose=0,
        callbacks=[
            callbacks.TerminateOnNaN(),
            callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch)),
        ],
    )
    assert seen == [0, 1] and model.stop_training
    assert "batch 2" in capsys.readouterr().out


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    model = network()
    first = fit(model, callbacks.CSVLogger(path, separator=";"), validation_data=(X, Y))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [float(r["loss"]) for r in rows] == first.history["loss"]
    fit(model, callbacks.CSVLogger(path, ";", append=True), validation_data=(X, Y))
    with path.open(newline="") as file:
        assert [r["epoch"] for r in csv.DictReader(file, delimiter=";")] == list("012012")
    fit(model, callbacks.CSVLogger(path), 1)
    assert path.read_text().splitlines()[0] == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert path.read_text().splitlines()[1].endswith("NA,NA")


# --- event files: read by what the formats say, not by the code that writes them ------------------


def checksum(data: bytes) -> int:
    """CRC-32C bit by bit (RFC 3720), masked as TensorFlow masks it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields(data: bytes) -> list[tuple[int, Any]]:
    """The fields of a protocol buffer message: numbers and values."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        kind, value = key & 7, None
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            part = data[at : at + size]
            at += size
            value = struct.unpack({1: "<d", 5: "<f"}[kind], part)[0] if kind in (1, 5) else part
        found.append((key >> 3, value))
    return found


def events(folder: Path) -> list[dict[int, Any]]:
    (path,) = folder.iterdir()
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        assert checksum(data[at : at + 8]) == struct.unpack("<I", data[at + 8 : at + 12])[0]
        body = data[at + 12 : at + 12 + length]
        at += 12 + length
        assert checksum(body) == struct.unpack("<I", data[at : at + 4])[0]
        at += 4
        found.append(dict(fields(body)))
    return found


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for event in events(folder)[1:]:
        for number, value in fields(event[5]):
            assert number == 1
            parts = dict(fields(value))
            found.setdefault(parts[1].decode(), {})[event.get(2, 0)] = parts[2]
    return found


def test_the_checksum_is_crc32c() -> None:
    from fanlight.layers.events import crc32c, masked

    # RFC 3720, B.4, and what TensorFlow's tests have for "foo".
    assert crc32c(b"\0" * 32) == 0x8A9136AA and crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283
    assert masked(b"fanlight") == checksum(b"fanlight")


def test_event_files(tmp_path: Path) -> None:
    model = network()
    options = {"update_freq": 2, "write_steps_per_second": True}
    history = fit(model, callbacks.TensorBoard(tmp_path, **options), validation_data=(X, Y)).history
    first = events(tmp_path / "train")[0]
    assert first[3] == b"brain.Event:2" and abs(first[1] - 1.7e9) < 1e9
    train, held = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    assert set(train) == {
        *("epoch_loss", "epoch_accuracy", "epoch_learning_rate", "epoch_steps_per_second"),
        *("batch_loss", "batch_accuracy"),
    }
    assert set(held) == {"epoch_loss", "epoch_accuracy"}
    np.testing.assert_allclose(list(train["epoch_loss"].values()), history["loss"], 1e-6)
    np.testing.assert_allclose(list(held["epoch_loss"].values()), history["val_loss"], 1e-6)
    assert list(train["epoch_loss"]) == [0, 1, 2] and list(train["batch_loss"]) == [2, 4, 6, 8]


def test_numbers_per_class_have_a_scalar_each(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[fl.metrics.F1Score()])
    board = callbacks.TensorBoard(tmp_path)
    model.fit(X, np.eye(2, dtype=np.float32)[Y], verbose=0, callbacks=[board])
    assert {"epoch_f1_score/0", "epoch_f1_score/1"} < set(scalars(tmp_path / "train"))


def test_how_weights_are_spread(tmp_path: Path) -> None:
    model = network()
    arrays: dict[int, dict[str, np.ndarray]] = {}

    def keep(epoch: int, logs: Any) -> None:
        arrays[epoch] = {f"{w.path}/histogram": w.numpy().copy() for w in model.weights}

    notes = callbacks.LambdaCallback(on_epoch_end=keep)
    fit(model, [callbacks.TensorBoard(tmp_path, 2), notes])
    found: dict[int, dict[str, dict[int, Any]]] = {}
    for event in events(tmp_path / "train")[1:]:
        for _, value in fields(event[5]):
            parts = dict(fields(value))
            if 5 in parts:
                found.setdefault(event.get(2, 0), {})[parts[1].decode()] = dict(fields(parts[5]))
    assert list(found) == [0, 2]  # as in Keras: every second one, from the first
    for epoch, by_name in found.items():
        assert set(by_name) == set(arrays[epoch])
        for name, parts in by_name.items():
            array = arrays[epoch][name].astype(np.float64).ravel()
            limits, counts = (np.frombuffer(parts[i], "<f8") for i in (6, 7))
            assert parts[3] == array.size == counts.sum() and len(limits) == len(counts)
            told = [parts[i] for i in (1, 2, 4, 5)]
            want = [array.min(), array.max(), array.sum(), (array**2).sum()]
            np.testing.assert_allclose(told, want, rtol=1e-9)
            for limit, below in zip(limits, counts.cumsum(), strict=True):
                assert abs(below - (array < limit + 1e-12).sum()) <= 1


def test_a_spread_of_equal_and_of_endless_numbers(tmp_path: Path) -> None:
    from fanlight.layers.events import EventWriter

    writer = EventWriter(tmp_path)
    writer.histograms(3, {"zeros": np.zeros((2, 2)), "nan": np.full(3, np.nan)})
    writer.close()
    (event,) = events(tmp_path)[1:]
    sizes = [dict(fields(dict(fields(value))[5]))[3] for _, value in fields(event[5])]
    assert sizes == [4, 0]


CALLBACKS = [n for n in callbacks.__all__ if hasattr(keras.callbacks, n)]


@pytest.mark.parametrize("name", CALLBACKS)
def test_arguments_and_defaults_are_those_of_keras(name: str) -> None:
    ours, theirs = (
        {
            n: p.default
            for n, p in inspect.signature(getattr(m, name).__init__).parameters.items()
            if n != "self" and p.kind is p.POSITIONAL_OR_KEYWORD
        }
        for m in (callbacks, keras.callbacks)
    )
    assert ours == theirs and list(ours) == list(theirs)


def test_a_list_of_callbacks_for_a_loop_of_one_s_own() -> None:
    heard: list[Any] = []

    class Note(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            heard.append((epoch, logs, self.params["epochs"], self.model))

    model = network()
    both = callbacks.CallbackList([Note()], add_history=True, model=model, epochs=2)
    both.append(Note())
    both.set_model(model)
    both.set_params({"epochs": 3})
    both.on_train_begin()
    both.on_epoch_end(0, {"loss": 2.0})
    assert heard == [(0, {"loss": 2.0}, 3, model)] * 2
    assert model.history.history == {"loss": [2.0]}
    with pytest.raises(AttributeError):
        both.on_nothing()
    shown = callbacks.CallbackList(Note(), add_progbar=True, verbose=2)
    assert len(shown.parts) == 2
    heard.clear()
    fit(model, both, epochs=1)
    assert [epoch for epoch, *_ in heard] == [0, 0]


def test_older_names_and_a_loss_that_ends_training_with_an_error() -> None:
    with pytest.warns(UserWarning, match="min_delta"):
        assert callbacks.ReduceLROnPlateau(epsilon=0.5).min_delta == 0.5
    x = X.copy()
    x[0] = np.inf
    model = network()
    model.fit(x, Y, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    with pytest.raises(FanlightError) as error:
        model.fit(x, Y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])
    assert error.value.code == "E-TRAIN-003"


# --- going on -------------------------------------------------------------------------------------


class Stop(callbacks.Callback):
    """Break off as Ctrl-C does."""

    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self.at = (epoch, batch)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


class Own(fl.Model):
    """A model of steps of its own, which draw."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = fl.layers.Dense(2, "softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.inner(fl.layers.Dropout(0.5)(x, training=training))

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def drawing(kind: str) -> Any:
    """A model of which training draws random numbers, or keeps more than weights."""
    layers: list[Any] = [fl.layers.Dropout(0.5), fl.layers.Dense(2, "softmax")]
    if kind == "stateful":
        row = fl.layers.GRU(4, stateful=True)
        layers = [fl.layers.Reshape((3, 1)), row, fl.layers.GaussianNoise(0.5), layers[1]]
    begin = fl.Input((3,), batch_size=8 if kind == "stateful" else None)
    model = Own() if kind == "own steps" else fl.Sequential([begin, *layers])
    if kind == "built by its first batch":
        model = fl.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def pipeline(batch: int = 8) -> Any:
    """Batches in another order at each pass, with noise of their own."""

    def noisy(x: Any, y: Any, key: Any) -> Any:
        return x + 0.1 * fl.random.normal(x.shape, key=key), y

    return fl.data.from_arrays(X, Y).shuffle().map(noisy, seed=4).batch(batch)


# What fit is given, and whether it is a dataset: made anew for each run, as a program does.
DATA: dict[str, Any] = {
    "in order": lambda: ((X, Y), {"shuffle": False}),
    "arrays": lambda: ((X, Y), {}),
    "a share": lambda: ((X, Y), {"validation_split": 1 / 3}),
    "a dataset": lambda: ((pipeline(),), {}),
    "validated": lambda: ((pipeline(),), {"validation_data": pipeline()}),
    "parts of arrays": lambda: ((X, Y), {"steps_per_epoch": 2}),
    "parts of a dataset": lambda: (
        (pipeline().repeat(),),
        {"steps_per_epoch": 2, "validation_data": pipeline().repeat(), "validation_steps": 1},
    ),
    "ahead": lambda: ((pipeline().prefetch(2),), {"steps_per_epoch": 3}),
}


def run(kind: str, data: str, seed: int | None, *given: Any) -> tuple[Any, Any]:
    fl.set_random_seed(7)
    model = drawing(kind)
    args, options = DATA[data]()
    if seed is None:  # what is drawn from here on is that of this run alone
        fl.set_random_seed(None)
    options = {"batch_size": 8, "verbose": 0, "epochs": 5, "callbacks": list(given)} | options
    return model, model.fit(*args, **options)


@pytest.mark.parametrize(
    ("kind", "data", "seed", "options"),
    [
        *(("dropout", data, 7, {}) for data in DATA),
        ("dropout", "arrays", None, {}),
        ("dropout", "arrays", 7, {"double_checkpoint": True}),
        ("own steps", "arrays", 7, {}),
        ("stateful", "arrays", 7, {}),
        ("built by its first batch", "arrays", 7, {}),
    ],
)
def test_training_goes_on_where_it_broke_off(
    tmp_path: Path, kind: str, data: str, seed: int | None, options: dict[str, Any]
) -> None:
    folder = tmp_path / "backup"
    whole, history = run(kind, data, 7)

    def backup() -> Any:
        return callbacks.BackupAndRestore(folder, **options)

    # Twice, as a training that goes on may be broken off again.
    for stop in (Stop(1, 0), Stop(3, 0)):
        with pytest.raises(KeyboardInterrupt):
            run(kind, data, 7, backup(), stop)
    assert (folder / "latest.npz").exists()
    double = options.get("double_checkpoint", False)
    if double:
        (folder / "latest.npz").write_bytes(b"PK damaged")
    again, rest = run(kind, data, seed, backup())
    assert rest.epoch == ([2, 3, 4] if double else [3, 4])
    for name, values in history.history.items():
        assert rest.history[name] == values[-len(rest.epoch) :], name
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not folder.exists()


@pytest.mark.parametrize("data", ["arrays", "a dataset", "parts of a dataset"])
def test_an_epoch_that_was_begun_begins_again_in_its_order(tmp_path: Path, data: str) -> None:
    def losses(*given: Any) -> list[float]:
        """Of each batch, by weights that do not move."""
        fl.set_random_seed(7)
        model = network(fl.optimizers.SGD(0.0))
        found: list[float] = []
        watch = callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: found.append(logs["loss"])
        )
        args, options = DATA[data]()
        model.fit(*args, batch_size=8, epochs=5, verbose=0, callbacks=[watch, *given], **options)
        return found

    whole = losses()
    steps = len(whole) // 5
    backup = callbacks.BackupAndRestore(tmp_path / "b", save_freq=1)
    with pytest.raises(KeyboardInterrupt):
        losses(backup, Stop(3, 0))
    assert losses(backup) == whole[3 * steps :]
    assert len(set(whole)) > len(whole) // 2, "batches can be told apart"


def test_a_backup_gives_way_to_rates_that_other_callbacks_set(tmp_path: Path) -> None:
    rates: list[Any] = []

    def trained(*given: Any) -> None:
        fl.set_random_seed(7)
        seen = callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: rates.append(
                model.optimizer.learning_rate.item()
            )
        )
        slow = callbacks.LearningRateScheduler(lambda epoch: 1 / (epoch + 1))
        model = network()
        fit(model, [callbacks.BackupAndRestore(tmp_path / "b"), slow, seen, *given], 4)

    with pytest.raises(KeyboardInterrupt):
        trained(Stop(1, 1))
    rates.clear()
    trained()
    np.testing.assert_allclose(rates, np.repeat([1 / 2, 1 / 3, 1 / 4], 3))


def test_a_backup_of_the_last_epoch_is_the_model(tmp_path: Path) -> None:
    keep = callbacks.BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    model = network()
    fit(model, keep)
    again = network()
    assert fit(again, callbacks.BackupAndRestore(tmp_path / "b")).epoch == []
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_backup_that_does_not_fit(tmp_path: Path) -> None:
    keep = callbacks.BackupAndRestore(tmp_path, save_freq=2, delete_checkpoint=False)
    fit(network(), keep)
    with pytest.raises(FanlightError) as error:
        fit(network("sgd"), callbacks.BackupAndRestore(tmp_path))
    assert error.value.code == "E-LAYER-006"
    (tmp_path / "latest.npz").write_bytes(b"damaged")
    with pytest.raises(FanlightError, match="damaged") as error:
        fit(network("sgd"), callbacks.BackupAndRestore(tmp_path))
    assert error.value.code == "E-LAYER-004"


def test_averages_are_swapped_in() -> None:
    model = network(fl.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5))
    inside: list[Any] = []
    watch = callbacks.LambdaCallback(
        on_test_begin=lambda logs: inside.append(model.get_weights()),
        on_epoch_end=lambda epoch, logs: inside.append(model.get_weights()),
    )
    swap = callbacks.SwapEMAWeights()
    fit(model, [swap, watch], 2, validation_data=(X, Y))
    average = [a.numpy() for a in model.optimizer.averages]
    for a, b, c in zip(inside[2], average, inside[3], strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 1e-4
    model = network(fl.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5))
    inside.clear()
    fit(model, [callbacks.SwapEMAWeights(swap_on_epoch=True), watch], 2)
    for a, b in zip(inside[1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(FanlightError) as error:
        fit(network(), callbacks.SwapEMAWeights())
    assert error.value.code == "E-LAYER-004"


def test_functions_as_a_callback() -> None:
    seen: list[str] = []
    names = [name for name in dir(callbacks.Callback) if name.startswith("on_")]
    given = {name: lambda *args, name=name: seen.append(name) for name in names}
    model = network()
    fit(model, callbacks.LambdaCallback(**given), 1, validation_data=(X, Y), batch_size=24)
    model.predict(X, callbacks=[callbacks.LambdaCallback(**given)])
    assert set(names) - set(seen) == {"on_train_break"}
    assert seen[0] == "on_train_begin" and "on_train_end" in seen


# --- pictures -------------------------------------------------------------------------------------


def test_the_history_is_drawn(tmp_path: Path) -> None:
    history = fit(network(), [], validation_data=(X, Y))
    for suffix, begin in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        figure = history.plot(tmp_path / f"h{suffix}")
        assert (tmp_path / f"h{suffix}").read_bytes().startswith(begin)
    titles = {axes.get_title(): axes for axes in figure.axes}
    assert set(titles) == {"loss", "accuracy"}
    lines = {line.get_label(): line for line in titles["loss"].get_lines()}
    assert list(lines["val_loss"].get_ydata()) == history.history["val_loss"]
    assert list(lines["loss"].get_xdata()) == [1, 2, 3]
    with pytest.raises(FanlightError) as error:
        history.plot(tmp_path / "h.txt")
    assert error.value.code == "E-LAYER-004"
    with pytest.raises(FanlightError) as error:
        callbacks.History().plot()
    assert error.value.code == "E-TRAIN-005"


def test_a_confusion_matrix_is_drawn(tmp_path: Path) -> None:
    y = np.array([0, 1, 2, 2, 1, 0, 2])
    p = np.eye(3)[[0, 1, 2, 1, 1, 0, 0]]
    figure = fl.plot_confusion(y, p, ["cat", "dog", "owl"], tmp_path / "c.svg")
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["cat", "dog", "owl"]
    assert sorted(t.get_text() for t in axes.texts) == ["1", "1", "1", "2", "2"]
    assert "71.4% of 7" in axes.get_title()
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")
    two = fl.plot_confusion([1, 0, 1], fl.tensor([[0.9], [0.2], [0.1]]))
    assert "66.7% of 3" in two.axes[0].get_title()
    for make, code in (
        (lambda: fl.plot_confusion([0, 1], [0]), "E-TRAIN-002"),
        (lambda: fl.plot_confusion([0, 1], np.zeros((2, 2, 2))), "E-TRAIN-002"),
        (lambda: fl.plot_confusion([], []), "E-TRAIN-005"),
        (lambda: fl.plot_confusion([0, 2], [0, 1], ["a", "b"]), "E-TRAIN-004"),
    ):
        with pytest.raises(FanlightError) as error:
            make()
        assert error.value.code == code


def test_pictures_without_matplotlib_say_what_to_install() -> None:
    done = run_python(
        "-c",
        "import sys; sys.modules['matplotlib'] = None\n"
        "import fanlight as fl\n"
        "try:\n"
        "    fl.plot_confusion([0, 1], [0, 1])\n"
        "except fl.FanlightError as error:\n"
        "    print(error.code, error.next)\n",
    )
    assert "E-TENSOR-011" in done.stdout and "fanlight[plots]" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.EarlyStopping(mode="up"),
        lambda: callbacks.ReduceLROnPlateau(factor=1.0),
        lambda: callbacks.ModelCheckpoint("a.keras", save_freq="step"),
        lambda: callbacks.BackupAndRestore(""),
        lambda: callbacks.BackupAndRestore("a", save_freq=0),
        lambda: callbacks.TensorBoard(update_freq="step"),
        lambda: callbacks.TensorBoard(histogram_freq=-1),
        lambda: callbacks.TensorBoard(write_images=True),
        lambda: callbacks.TensorBoard(profile_batch=(2, 4)),
        lambda: callbacks.TensorBoard(embeddings_freq=1),
        lambda: callbacks.TensorBoard(embeddings_metadata="words.tsv"),
        lambda: callbacks.ReduceLROnPlateau(speed=1),
        lambda: callbacks.LearningRateScheduler(0.1),
        lambda: callbacks.LambdaCallback(on_epoch=print),
        lambda: told(callbacks.ModelCheckpoint("{acc}.keras"), curve(0)),
        lambda: told(callbacks.ModelCheckpoint("."), curve(0)),
        lambda: fit(network(), callbacks.LearningRateScheduler(lambda epoch: "fast")),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as error:
        make()
    assert error.value.code == "E-LAYER-004"

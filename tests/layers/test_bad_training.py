"""Bad input to layers and training, line by line: one coded error that says what and where.

Weights that do not fit files of TF.js, and what hostile files hold: tests/layers/test_saving*.py.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.support import refused

DENSE = fl.layers.Dense


def classifier(*, eager: bool = False) -> Any:
    fl.set_random_seed(3)
    model = fl.Sequential(
        [fl.Input((4,)), DENSE(5, activation="relu", name="hidden"), DENSE(3, name="scores")]
    )
    model.compile(
        fl.optimizers.SGD(0.05, momentum=0.9),
        fl.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=eager,
    )
    return model


def data(count: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 4)).astype(np.float32), rng.integers(0, 3, count)


# --- shapes and dtypes, with the layer named ------------------------------------------------------


def test_a_shape_that_does_not_fit_names_the_layer() -> None:
    model = classifier()
    x, y = data()
    told = "[examples, ..., 4]"
    refused("E-LAYER-001", lambda: DENSE(2, name="tail")(np.ones(3)), "layer tail (Dense)")
    layer = model.get_layer("hidden")
    refused(
        "E-LAYER-001", lambda: layer(np.ones((2, 7))), "layer hidden (Dense)", told, "f32[2, 7]"
    )
    for call in (lambda: model.fit(x[:, :3], y, verbose=0), lambda: model.predict(x[:, :3])):
        refused("E-LAYER-001", call, model.name, "4", "3")


def test_a_shape_that_does_not_fit_inside_a_model_names_the_layer() -> None:
    class Own(fl.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.first, self.second = DENSE(3, name="first"), DENSE(2, name="second")
            self.second.build((None, 5))
            self.second.built = True

        def call(self, inputs: Any) -> Any:
            return self.second(self.first(inputs))

    model = Own()
    model.compile("sgd", "mse")
    x = np.ones((4, 3), np.float32)
    refused("E-LAYER-001", lambda: model.fit(x, x[:, :2], verbose=0), "layer second (Dense)")


@pytest.mark.parametrize("dtype", ["str", "object"])
def test_a_dtype_that_does_not_fit_names_the_layer(dtype: str) -> None:
    x = np.ones((2, 4)).astype(dtype)
    code = "E-OP-003" if dtype == "str" else "E-TENSOR-001"
    refused(code, lambda: DENSE(2, name="tail")(x), "layer tail (Dense)")


def test_labels_that_do_not_fit_the_outputs() -> None:
    model = classifier()
    x, _ = data()
    told = str(refused("E-TRAIN-002", lambda: model.fit(x, np.ones(7), verbose=0), "32", "7"))
    assert "Next" in told


# --- a loss that is not finite --------------------------------------------------------------------


@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_that_is_not_finite_names_step_and_layer(eager: bool) -> None:
    model = classifier(eager=eager)
    x, y = data()
    model.fit(x, y, 8, verbose=0)
    good = [*model.get_weights(), *[v.numpy().copy() for v in model.optimizer.variables]]
    x[20, 1] = np.inf
    refused(
        "E-TRAIN-003",
        lambda: model.fit(x, y, 8, shuffle=False, verbose=0),
        "epoch 1, step 3", "hidden/kernel", "clipnorm",
    )  # fmt: skip
    found = [*model.get_weights(), *[v.numpy() for v in model.optimizer.variables]]
    for a, b in zip(good, found, strict=True):
        np.testing.assert_array_equal(a, b)


# --- labels, classes, empty data ------------------------------------------------------------------


@pytest.mark.parametrize(("label", "told"), [(3, "0 to 3"), (-1, "-1 to 2")])
def test_labels_out_of_range(label: int, told: str) -> None:
    model = classifier()
    x, y = data()
    y[17] = label
    before = model.get_weights()
    refused(
        "E-TRAIN-004", lambda: model.fit(x, y, 32, verbose=0), "epoch 1, step 1",
        "class numbers from 0 to 2", told,
    )  # fmt: skip
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_class_weights_of_a_class_that_there_is_not() -> None:
    x, y = data()
    told = {0: 1.0, 1: 2.0, 3: 1.0}
    refused("E-TRAIN-004", lambda: classifier().fit(x, y, class_weight=told, verbose=0), "3")


@pytest.mark.parametrize("kind", ["arrays", "dataset", "generator"])
def test_empty_data(kind: str) -> None:
    x, y = data(0)
    given: Any = (x, y)
    if kind == "dataset":
        given = (fl.data.from_arrays(*data()).take(0).batch(4),)
    elif kind == "generator":
        given = (iter(()),)
    refused("E-TRAIN-005", lambda: classifier().fit(*given, verbose=0))


def test_a_class_with_one_sample() -> None:
    x, y = data(12)
    y[:] = [0] * 6 + [1] * 5 + [2]
    examples = fl.data.from_arrays(x, y)
    refused("E-DATA-006", lambda: examples.split(0.5, stratified=True), "2", "1")
    balanced = next(iter(examples.balanced().batch(60)))  # drawn again and again
    counts = np.bincount(np.asarray(balanced[1]), minlength=3)
    assert counts.min() > 0


def test_a_batch_over_the_bound(tmp_path: Path) -> None:
    model = classifier()
    x, _ = data(5)
    with fl.build(
        lambda x: model(x),
        tmp_path / "site",
        inputs={"x": fl.spec(("batch", 4))},
        dims={"batch": 4},
    ) as bundle:
        refused("E-INPUT-004", lambda: bundle.run({"x": x}), "batch", "4", "5")
        assert next(iter(bundle.run({"x": x[:4]}).values())).shape == (4, 3)


# --- Ctrl-C ---------------------------------------------------------------------------------------


def states(model: Any) -> list[np.ndarray]:
    kept = [*model.weights, *model.optimizer.variables]
    return [v.numpy().copy() for v in kept]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts: processes in the background of a shell ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("eager", [False, True])
def test_ctrl_c_at_any_time_leaves_whole_steps(eager: bool, interruptible: None) -> None:
    """Weights and the optimizer are those of one step, whichever it was, and fit goes on."""
    x, y = data(64)

    def fit(model: Any, **options: Any) -> None:
        model.fit(x, y, 8, shuffle=False, verbose=0, **options)

    model = classifier(eager=eager)
    fit(model)  # compiled now; each trial goes on from here
    begin, done = states(model), model.optimizer.iterations.item()
    trajectory: dict[int, list[np.ndarray]] = {done: begin}

    class Note(fl.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            trajectory[model.optimizer.iterations.item()] = states(model)

    fit(model, epochs=60, callbacks=[Note()])
    interrupted = 0
    for trial in range(80):
        if interrupted >= 6:
            break
        for variable, array in zip(
            [*model.weights, *model.optimizer.variables], begin, strict=True
        ):
            variable.assign(array)
        delay = 0.0005 + 0.0017 * (trial % 12)
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            fit(model, epochs=60)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            try:
                timer.join()
                time.sleep(0.01)  # one that is on its way comes here
            except KeyboardInterrupt:
                interrupted += 1
        step = model.optimizer.iterations.item()
        for a, b in zip(states(model), trajectory[step], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"trial {trial}, step {step}")
    assert interrupted >= 6  # one that comes while something is deleted is lost to Python
    fit(model)
    assert np.isfinite(model.get_weights()[0]).all()


def test_a_step_that_is_interrupted_while_it_is_written_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = classifier(eager=True)
    x, y = data(8)
    model.fit(x, y, 8, shuffle=False, verbose=0)
    other = classifier(eager=True)
    other.fit(x, y, 8, epochs=2, shuffle=False, verbose=0)
    from fanlight.layers.weight import Weight

    assign, calls = Weight.assign, []

    def interrupted(self: Any, value: Any) -> Any:
        if self is model.trainable_weights[1]:
            calls.append(self)
            if len(calls) == 1:  # the first one has its new value already
                raise KeyboardInterrupt
        return assign(self, value)

    monkeypatch.setattr(Weight, "assign", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 8, shuffle=False, verbose=0)
    monkeypatch.undo()
    assert model.optimizer.iterations.item() == 2
    for a, b in zip(states(model), states(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.history.history == {}  # the epoch did not end


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5", "m.safetensors"])
@pytest.mark.parametrize("moment", ["write", "replace"])
def test_a_crash_in_the_middle_of_saving_leaves_the_old_file(
    name: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier()
    path = tmp_path / name
    save = model.save if name in ("model.keras", "model.h5") else model.save_weights
    save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync" if moment == "write" else "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]  # nothing half written beside it


def test_weights_that_do_not_fit_are_all_listed(tmp_path: Path) -> None:
    model = classifier()
    wrong = [np.zeros((4, 6)), np.zeros(5), np.zeros((6, 3)), np.zeros(9), np.zeros(1)]
    before = model.get_weights()
    refused(
        "E-LAYER-006", lambda: model.set_weights(wrong), "4 of the weights",
        "hidden/kernel [4, 5] from [4, 6]", "scores/kernel [5, 3] from [6, 3]",
        "scores/bias [3] from [9]", "nothing from [1]",
    )  # fmt: skip
    for suffix in ("weights.h5", "keras", "h5", "safetensors"):
        other = fl.Sequential([fl.Input((4,)), DENSE(6, name="hidden"), DENSE(3, name="scores")])
        path = tmp_path / f"m.{suffix}"
        (other.save if suffix in ("keras", "h5") else other.save_weights)(path)
        told = str(refused("E-LAYER-006", lambda path=path: model.load_weights(path)))
        for place in ("hidden", "scores", "[4, 5]", "[5, 3]", "[4, 6]", "[6, 3]"):
            assert place in told, told
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_unknown_layers_of_a_file_are_all_listed_with_how_to_register_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.keras"
    classifier().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    config = json.loads(members["config.json"])
    for entry, name in zip(config["config"]["layers"][1:], ("Whirl", "Twirl"), strict=True):
        entry |= {"class_name": name, "registered_name": f"mine>{name}", "module": None}
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refused(
        "E-LAYER-008",
        lambda: fl.load_model(path), "2 kinds of layer", "mine>Whirl",
        "mine>Twirl", "hidden", "@fl.register(package, name)",
    )  # fmt: skip
    for name in ("Whirl", "Twirl"):
        made = type(name, (DENSE,), {"__module__": __name__})
        fl.register("mine", name)(made)
    made = fl.model_from_json(members["config.json"])
    assert [type(layer).__name__ for layer in made.layers] == ["Whirl", "Twirl"]


@pytest.mark.parametrize("labels", [[0.5, 1.0], [float("nan"), 1.0]])
def test_a_label_that_is_no_class_number(labels: list[float]) -> None:
    net = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.ones((2, 3), np.float32), np.float32(labels)
    for call in (net.fit, net.evaluate):
        with pytest.raises(FanlightError, match="a label is no class number") as caught:
            call(x, y, verbose=0)
        assert caught.value.code == "E-TRAIN-004"
    net.fit(x, np.float32([0, 1]), verbose=0)


# --- numbers that an Embedding has no row for -----------------------------------------------------


class Recommender(fl.Model):
    """Users and items, whose numbers are the columns of one input."""

    def __init__(self) -> None:
        super().__init__()
        self.users = fl.layers.Embedding(3, 2, name="users")
        self.items = fl.layers.Embedding(7, 2, name="items")

    def call(self, x: Any) -> Any:
        return fl.sum(self.users(x[:, 0]) * self.items(x[:, 1]), -1, keepdims=True)


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ([[0, 5]], ("5 at [0, 1]", "input_dim=6")),
        ([[-1, 4], [9, 9]], ("-1 at [0, 0], and 2 more", "mask_zero=True")),
        ([[0.5, np.nan]], ("nan at [0, 1]",)),
        ([[2.0, -1.5]], ("-1.5 at [0, 1]",)),
    ],
)
def test_an_embedding_names_a_number_without_a_row(
    ids: list[list[float]], told: tuple[str, ...]
) -> None:
    words = fl.layers.Embedding(5, 3, name="words")
    dtype = "int32" if np.asarray(ids).dtype.kind == "i" else "float32"
    model = fl.Sequential([fl.Input((2,), dtype=dtype), words, fl.layers.Flatten(), DENSE(1)])
    model.compile("sgd", "mse")
    x, y = np.asarray(ids, dtype), np.zeros((len(ids), 1))
    before = model.get_weights()
    for call in (
        lambda: words(x),
        lambda: model(x),
        lambda: model.predict(x),
        lambda: model.evaluate(x, y),
        lambda: model.fit(x, y, verbose=0, shuffle=False),
        lambda: model.train_on_batch(x, y),
    ):
        refused("E-LAYER-001", call, "layer words (Embedding)", "from 0 to 4", *told)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(np.array([[0, 4]], dtype), y[:1], verbose=0)


@pytest.mark.parametrize("eager", [False, True])
def test_an_embedding_of_a_part_of_an_input_names_a_number_without_a_row(eager: bool) -> None:
    model = Recommender()
    model.compile("sgd", "mse", run_eagerly=eager)
    y = np.zeros((2, 1))
    model.fit(np.array([[0, 5], [2, 6]]), y, verbose=0)  # items above all users
    bad_user, bad_item = np.array([[0, 1], [3, 1]]), np.array([[0, 1], [2, 7]])
    refused("E-LAYER-001", lambda: model.fit(bad_user, y, verbose=0), "layer users", "3 at")
    refused("E-LAYER-001", lambda: model.predict(bad_item), "layer items", "7 at [1]")


def test_an_embedding_of_what_is_computed_clamps() -> None:
    """What no step can see before it runs stays what built models do."""
    inputs = fl.Input((1,))
    words = fl.layers.Embedding(4, 1, embeddings_initializer=fl.initializers.Constant(2.0))
    model = fl.Model(inputs, words(fl.layers.Rescaling(10.0)(inputs)))
    np.testing.assert_array_equal(model.predict(np.ones((1, 1))), [[[2.0]]])

"""What fit, evaluate, predict and compile are given: as in Keras, or an error that says what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.layers.keras_oracle import keras
from tests.support import refused

L = fl.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 24)
I64, F32 = np.int64, np.float32


class Own(fl.Model):
    """A class of one's own: the sizes of its outputs are known when it was called."""

    def __init__(self, units: int, activation: str | None = "softmax") -> None:
        super().__init__()
        self.last = L.Dense(units, activation)

    def call(self, inputs: Any) -> Any:
        return self.last(inputs)


def functional(units: int, activation: str | None = "softmax") -> Any:
    return fl.Sequential([fl.Input((4,)), L.Dense(units, activation)])


def made(kind: Callable[..., Any] = functional, units: int = 3, **options: Any) -> Any:
    fl.set_random_seed(1)
    activation = options.pop("activation", "softmax")
    model = kind(units, activation)
    model.compile("sgd", options.pop("loss", "sparse_categorical_crossentropy"), **options)
    return model


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [functional, Own])
@pytest.mark.parametrize("wrong", [3, -1])
def test_class_numbers_that_a_model_has_no_output_for(kind: Any, wrong: int) -> None:
    y = Y.copy()
    y[5] = wrong
    model = made(kind)
    before = None
    for call in (model.fit, model.evaluate):
        refused("E-TRAIN-004", lambda c=call: c(X, y, verbose=0), "class numbers from 0 to 2")
        before = model.get_weights() if before is None else before
    refused("E-TRAIN-004", lambda: model.train_on_batch(X, y), str(wrong))
    for a, b in zip(before or [], model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X, Y, verbose=0)
    weights = np.ones(24)
    weights[5] = 0
    model.fit(X, y, sample_weight=weights, verbose=0)  # what weighs nothing may be anything


BINARY: list[Any] = [
    "binary_crossentropy",
    "crossentropy",
    fl.losses.BinaryFocalCrossentropy(),
    fl.losses.BinaryCrossentropy(label_smoothing=0.1),
    fl.metrics.binary_crossentropy,
]


@pytest.mark.parametrize("kind", [functional, Own])
@pytest.mark.parametrize("loss", BINARY, ids=["name", "short", "focal", "smoothed", "function"])
def test_labels_of_binary_losses(kind: Any, loss: Any) -> None:
    model = made(kind, 1, loss=loss, activation="sigmoid")
    for right in (Y > 0, (Y > 0).astype(np.int32), np.linspace(0, 1, 24), np.zeros((24, 1))):
        assert np.isfinite(model.fit(X, right, verbose=0).history["loss"]).all()
    error = refused("E-TRAIN-004", lambda: model.fit(X, np.where(Y > 0, 1, -1), verbose=0), "-1")
    assert "hinge" in str(error)
    for wrong in (Y, np.where(Y > 0, 1.5, 0.0), np.full(24, np.nan)):
        refused("E-TRAIN-004", lambda y=wrong: model.evaluate(X, y), "0 to 1")


def test_labels_of_other_losses_are_free() -> None:
    y = RNG.normal(size=(24, 3)).astype(np.float32)
    for loss in ("mse", "categorical_crossentropy", "hinge"):
        made(loss=loss).fit(X, y, verbose=0)


# --- class_weight ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["sparse", "one-hot", "binary"])
def test_classes_that_class_weight_leaves_out_count_one(form: str) -> None:
    """As in Keras, number by number."""
    units = 1 if form == "binary" else 3
    loss = {"sparse": "sparse_categorical_crossentropy", "one-hot": "categorical_crossentropy"}.get(
        form, "binary_crossentropy"
    )
    y: Any = {"one-hot": np.eye(3, dtype=np.float32)[Y], "binary": (Y > 0).astype(np.float32)}.get(
        form, Y
    )
    activation = "sigmoid" if units == 1 else "softmax"
    ours = made(units=units, loss=loss, activation=activation)
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])
    theirs.set_weights(ours.get_weights())
    theirs.compile("sgd", loss)
    options: dict[str, Any] = {"class_weight": {1: 3.0}, "shuffle": False, "verbose": 0}
    ours.fit(X, y, 8, epochs=2, **options)
    theirs.fit(X, y, 8, epochs=2, **options)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({0: 1.0, 3: 2.0}, "3"),
        ({-1: 1.0}, "-1"),
        ({"cat": 1.0}, "cat"),
        ({0: "much"}, "much"),
        ({0: -1.0}, "-1.0"),
        ({0.5: 1.0}, "0.5"),
        ([1.0, 2.0], "[1.0, 2.0]"),
        (np.ones(3), "array"),
    ],
)
def test_class_weights_that_mean_nothing(given: Any, word: str) -> None:
    error = refused("E-TRAIN-004", lambda: made().fit(X, Y, class_weight=given, verbose=0), word)
    assert "class_weight" in str(error.where)
    binary = made(units=1, loss="binary_crossentropy", activation="sigmoid")
    refused("E-TRAIN-004", lambda: binary.fit(X, Y > 0, class_weight={2: 1.0}, verbose=0), "0 to 1")


def stepwise() -> Any:
    """A class for each of three steps."""
    model = fl.Sequential([fl.Input((3, 4)), L.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("labels", [Y.reshape(8, 3), Y.reshape(8, 3, 1)])
def test_class_weights_are_of_one_class_for_each_example(labels: Any) -> None:
    x, table = X.reshape(8, 3, 4), np.float32([1, 10, 1])
    model = stepwise()
    fit = lambda: model.fit(x, labels, class_weight={1: 10.0}, verbose=0)  # noqa: E731
    error = refused("E-TRAIN-004", fit, "sample_weight", "3 for each")
    assert "class_weight" in str(error.where)
    weights = table[labels].reshape(8, 3)
    found = model.fit(x, labels, sample_weight=weights, shuffle=False, verbose=0).history["loss"]
    flat = made()
    flat.set_weights(stepwise().get_weights())
    model.set_weights(flat.get_weights())
    want = flat.evaluate(X, Y, sample_weight=table[Y], batch_size=24)
    assert model.evaluate(x, labels, sample_weight=weights) == pytest.approx(want, abs=1e-5)
    assert np.isfinite(found).all()


def test_class_weights_of_steps_with_numbers_per_class_are_refused() -> None:
    model = fl.Sequential([fl.Input((3, 4)), L.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    x, y = X.reshape(8, 3, 4), np.eye(3, dtype=np.float32)[Y].reshape(8, 3, 3)
    refused("E-TRAIN-004", lambda: model.fit(x, y, class_weight={1: 2.0}, verbose=0), "3 for each")


def test_shares_count_as_the_nearest_class() -> None:
    """As in Keras, which rounds."""
    y = np.float32([0.9, 0.2, 0.5, 1.0] * 6)
    losses = []
    for given in ({"class_weight": {1: 5.0}}, {"sample_weight": np.where(y > 0.5, 5, 1)}):
        model = made(units=1, loss="binary_crossentropy", activation="sigmoid")
        losses += model.fit(X, y, shuffle=False, verbose=0, **given).history["loss"]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


# --- weights of examples, labels that are no numbers ----------------------------------------------


@pytest.mark.parametrize("count", [24, 2])
@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch"])
def test_a_sample_weight_of_another_shape(call: str, count: int) -> None:
    model = made()
    weights = np.ones((count, 2), np.float32)
    ask = lambda: getattr(model, call)(X[:count], Y[:count], sample_weight=weights)  # noqa: E731
    error = refused("E-TRAIN-002", ask, f"[{count}, 2]", f"[{count}]")
    assert "sample_weight" in str(error.where) and model.name in str(error.where)


def test_sample_weights_with_a_last_dim_of_one_are_those_of_examples() -> None:
    weights = RNG.random(24).astype(np.float32)
    one, other = made(), made()
    want = one.fit(X, Y, sample_weight=weights, shuffle=False, verbose=0).history["loss"]
    found = other.fit(X, Y, sample_weight=weights[:, None], shuffle=False, verbose=0)
    np.testing.assert_allclose(found.history["loss"], want, atol=1e-6)
    both = made().fit(
        X, Y, sample_weight=weights[:, None], class_weight={1: 2.0}, shuffle=False, verbose=0
    )
    doubled = np.where(Y == 1, 2, 1).astype(np.float32) * weights
    want = made().fit(X, Y, sample_weight=doubled, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(both.history["loss"], want, atol=1e-6)


def test_sample_weights_may_be_negative() -> None:
    """As in Keras: what an example teaches is to be unlearnt."""
    ones = np.ones(24, np.float32)
    assert made().evaluate(X, Y, sample_weight=-ones) == pytest.approx(-made().evaluate(X, Y))


@pytest.mark.parametrize("what", ["y", "sample_weight"])
@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_texts_are_no_labels_and_no_weights(call: str, what: str) -> None:
    model = made()
    given = {"y": Y, "sample_weight": np.ones(24)} | {what: np.array(["cat", "dog"] * 12)}
    error = refused("E-TRAIN-002", lambda: getattr(model, call)(X, **given), "<U3[24]", "number")
    assert what in str(error.where) and model.name in str(error.where)


# --- numbers of NumPy -----------------------------------------------------------------------------


def test_numbers_of_numpy_are_numbers() -> None:
    model = fl.Sequential(
        [
            fl.Input((I64(6), I64(6), np.int32(1))),
            L.Conv2D(I64(8), (I64(3), I64(3)), strides=np.int32(1)),
            L.MaxPooling2D(I64(2)),
            L.Dropout(F32(0.5)),
            L.BatchNormalization(momentum=F32(0.9)),
            L.Reshape([I64(4), I64(8)]),
            L.Flatten(),
            L.LeakyReLU(F32(0.25)),
            L.Dense(np.int32(3), use_bias=np.bool_(True)),
        ]
    )
    model.compile(fl.optimizers.Adam(F32(1e-3), beta_1=np.float64(0.8)), "mse")
    x, y = np.ones((4, 6, 6, 1), F32), np.ones((4, 3), F32)
    history = model.fit(
        x, y, batch_size=I64(2), epochs=I64(2), initial_epoch=I64(0), verbose=I64(0)
    )
    assert len(history.history["loss"]) == 2
    assert model.predict(x, batch_size=np.int32(3)).shape == (4, 3)
    model.evaluate(x, y, batch_size=np.uint8(3), steps=I64(1))
    model.fit(
        x, y, validation_split=F32(0.5), validation_freq=I64(1), shuffle=np.bool_(False), verbose=0
    )
    for part in (*model.layers, model.optimizer):
        json.dumps(part.get_config())
        leaves = [part.get_config()]
        while leaves:
            value = leaves.pop()
            assert not isinstance(value, np.generic), part
            if isinstance(value, dict | list | tuple):
                leaves += value.values() if isinstance(value, dict) else value
    assert fl.Input(np.array([3, 2])).shape == (None, 3, 2)
    assert L.Conv2D(2, np.array([3, 1])).get_config()["kernel_size"] in ([3, 1], (3, 1))
    assert json.loads(model.to_json())["class_name"] == "Sequential"


def test_a_share_for_each_class_of_the_focal_loss() -> None:
    y, p = np.eye(3, dtype=F32)[Y], np.asarray(made().predict(X))
    alpha = [0.2, 0.5, 0.3]
    ours, theirs = (m.losses.CategoricalFocalCrossentropy(alpha=alpha) for m in (fl, keras))
    np.testing.assert_allclose(ours(y, p), theirs(y, p), rtol=1e-5)
    assert type(ours).from_config(json.loads(json.dumps(ours.get_config()))).alpha == alpha
    logits = fl.losses.CategoricalFocalCrossentropy(np.float32(alpha), from_logits=True, axis=1)
    swapped = np.moveaxis(RNG.normal(size=(2, 3, 3)).astype(F32), -1, 1)
    labels = np.moveaxis(np.eye(3, dtype=F32)[RNG.integers(0, 3, (2, 3))], -1, 1)
    assert np.isfinite(float(logits(labels, swapped)))
    refused("E-LAYER-004", lambda: type(ours)(alpha=[0.5, 0.5])(y, p), "alpha", "3 classes")


def test_leaky_relu_by_its_older_name() -> None:
    with pytest.warns(UserWarning, match="negative_slope") as caught:
        layer = L.LeakyReLU(alpha=0.1)
    assert caught[0].filename == __file__
    assert layer.negative_slope == 0.1 and "alpha" not in layer.get_config()
    refused("E-LAYER-004", lambda: L.LeakyReLU(alph=0.1), "alph")


# --- datasets -------------------------------------------------------------------------------------


def test_a_dataset_without_an_end() -> None:
    endless = fl.data.from_arrays(X, Y).batch(8).repeat()
    some = fl.data.from_arrays(X, Y).batch(8)
    model = made()
    for call, word in (
        (lambda: model.fit(endless, verbose=0), "steps_per_epoch"),
        (lambda: model.fit(some, validation_data=endless, verbose=0), "validation_steps"),
        (lambda: model.evaluate(endless), "steps=100"),
        (lambda: model.predict(endless.map(lambda x, y: x)), "steps=100"),
    ):
        refused("E-DATA-001", call, word, "repeat()")
    told = model.fit(
        endless, epochs=2, steps_per_epoch=2, validation_data=endless, validation_steps=1, verbose=0
    )
    assert len(told.history["val_loss"]) == 2
    assert len(model.fit(endless.take(3), verbose=0).epoch) == 1
    assert model.predict(endless.map(lambda x, y: x), steps=2).shape == (16, 3)


def test_batch_size_means_nothing_to_a_dataset() -> None:
    """As in Keras: it has batches of its own."""
    seen: list[Any] = []
    dataset = fl.data.from_arrays(X, Y).batch(12)
    note = fl.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    made().fit(dataset, batch_size=8, callbacks=note, verbose=0)
    assert seen == [0, 1]


def test_examples_one_by_one_are_no_batches() -> None:
    single = fl.data.from_arrays(X, Y)
    refused("E-TRAIN-002", lambda: made().fit(single, verbose=0), "dataset.batch(32)", "x [4]")
    twins = fl.data.from_arrays(X, X)  # a model of one's own cannot tell, one of stand-ins can
    refused("E-TRAIN-002", lambda: made(units=4, loss="mse").fit(twins, verbose=0), "batch(32)")

    def numbers() -> Any:
        yield from zip(X, Y, strict=True)

    refused("E-TRAIN-002", lambda: made(Own).fit(numbers(), verbose=0), "from_generator")
    column = fl.Sequential([fl.Input((1,)), L.Dense(1)])
    column.compile("sgd", "mse")
    column.fit(fl.data.from_arrays(X[:, :1], X[:, :1]).batch(1), verbose=0)


def test_what_a_dataset_gives_is_not_given_twice() -> None:
    dataset = fl.data.from_arrays(X, Y).batch(8)
    refused("E-TRAIN-002", lambda: made().fit(dataset, Y, verbose=0), "y=None")
    refused(
        "E-TRAIN-002",
        lambda: made().fit(dataset, sample_weight=np.ones(24), verbose=0),
        "sample_weight=None",
    )


@pytest.mark.parametrize("kind", [functional, Own])
def test_complex_numbers_are_refused(kind: Any) -> None:
    model = made(kind)
    z = X + 1j * X
    for x in (z, fl.tensor(z), z.tolist()):
        for call in (lambda x=x: model.predict(x), lambda x=x: model.fit(x, Y, verbose=0)):
            refused("E-TRAIN-002", call, "complex")
    refused("E-TRAIN-002", lambda: model.fit(X, Y * 1j, verbose=0), "y", "np.abs(y)")


# --- arguments of the wrong kind ------------------------------------------------------------------

WRONG: list[tuple[str, Any]] = [
    *(("epochs", v) for v in (1.5, -1, "x", None, True)),
    *(("batch_size", v) for v in (0, -2, "x", 1.5)),
    *(("validation_split", v) for v in (1.0, -0.1, "x", float("nan"))),
    *(("verbose", v) for v in ("x", 3, np.ones(2), None)),
    *(("steps_per_epoch", v) for v in (0, -1, "x")),
    *(("validation_steps", v) for v in (0, 1.5)),
    ("validation_batch_size", 0),
    *(("validation_freq", v) for v in (0, "x", [0])),
    *(("shuffle", v) for v in ("x", None, np.ones(2))),
    *(("initial_epoch", v) for v in (2, -1, 0.5)),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda v: repr(v)[:20])
def test_arguments_of_another_kind(name: str, value: Any) -> None:
    model = made()
    before = model.get_weights()
    error = refused("E-TRAIN-007", lambda: model.fit(X, Y, **{"verbose": 0, name: value}), name)
    assert str(error.where).startswith(name)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_arguments_of_evaluate_and_predict() -> None:
    model = made()
    for options in ({"batch_size": 0}, {"steps": 0}, {"verbose": "x"}, {"callbacks": [3]}):
        refused("E-TRAIN-007", lambda o=options: model.evaluate(X, Y, **o))
        refused("E-TRAIN-007", lambda o=options: model.predict(X, **o))


def told_of_an_epoch(epoch: int, logs: Any) -> None:
    """No callback, though it looks like one."""


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (fl.callbacks.EarlyStopping, "EarlyStopping()"),
        (told_of_an_epoch, "LambdaCallback(on_epoch_end=told_of_an_epoch)"),
        ("early_stopping", "fl.callbacks"),
        (int, "derive"),
    ],
)
def test_callbacks_of_another_kind(given: Any, word: str) -> None:
    for callbacks in (given, [given]):
        refused("E-TRAIN-007", lambda c=callbacks: made().fit(X, Y, callbacks=c, verbose=0), word)


def test_no_epochs_are_an_empty_history() -> None:
    """As in Keras."""
    for options in ({"epochs": 0}, {"epochs": 2, "initial_epoch": 2}):
        history = made().fit(X, Y, verbose=0, **options)
        assert history.history == {} and history.epoch == []
    assert made().fit(X, Y, epochs=3, initial_epoch=1, verbose=0).epoch == [1, 2]


def test_validation_after_some_epochs() -> None:
    model = made()
    for often, count in ((2, 2), ([1, 4], 2), ({3}, 1)):
        told = model.fit(X, Y, epochs=4, validation_data=[X, Y], validation_freq=often, verbose=0)
        assert len(told.history["val_loss"]) == count
    refused("E-TRAIN-007", lambda: model.fit(X, Y, validation_data=(X, Y, Y, Y)), "4 parts")


def test_what_is_not_there() -> None:
    refused("E-TRAIN-002", lambda: made().fit(), "there is no x")
    refused("E-TRAIN-002", lambda: made().predict(None), "there is no x")
    for call in (made().fit, made().evaluate, made(Own).train_on_batch):
        refused("E-TRAIN-002", lambda c=call: c(X), "there are no labels")
    refused("E-TRAIN-002", lambda: made().fit(X, Y, validation_data=X, verbose=0), "no labels")
    for text in ("x", b"x"):
        refused("E-TRAIN-002", lambda t=text: made().fit(t, Y), "x is no data")


def test_weights_of_another_number_of_examples() -> None:
    for weights in (np.ones(23), np.ones((1, 24)), 1.0):
        refused(
            "E-TRAIN-002",
            lambda w=weights: made().fit(X, Y, sample_weight=w, verbose=0),
            "sample_weight",
        )


# --- compile --------------------------------------------------------------------------------------


def two() -> Any:
    i = fl.Input((4,))
    return fl.Model(i, [L.Dense(1, name="a")(i), L.Dense(2, name="b")(i)])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"loss": {"a": "mse", "c": "mse"}}, "c"),
        ({"loss": ["mse"]}, "1 for 2"),
        ({"loss": "mse", "metrics": {"c": ["mae"]}}, "c"),
        ({"loss": "mse", "weighted_metrics": {"c": ["mae"]}}, "c"),
        ({"loss": "mse", "loss_weights": {"c": 2.0}}, "c"),
        ({"loss": "mse", "loss_weights": [1.0, 2.0, 3.0]}, "3 for 2"),
        ({"loss": "mse", "loss_weights": {"a": "much"}}, "much"),
    ],
)
def test_compile_refuses_what_fits_no_output(options: Any, word: str) -> None:
    refused("E-TRAIN-001", lambda: two().compile("sgd", **options), "a, b", word)


def test_a_model_that_cannot_learn_yet() -> None:
    model = functional(3)
    refused("E-TRAIN-001", lambda: model.fit(X, Y), "it was not compiled")
    refused("E-TRAIN-001", lambda: model.evaluate(X, Y), "it was not compiled")
    model.compile("sgd")
    refused("E-TRAIN-001", lambda: model.fit(X, Y), "compile was given no loss")
    refused("E-TRAIN-001", lambda: model.train_on_batch(X, Y), "compile was given no loss")


def test_a_class_that_forgets_its_base() -> None:
    class Forgetful(fl.Model):
        def __init__(self) -> None:
            self.last = L.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.last(inputs)

    class Layer(L.Layer):
        def __init__(self) -> None:
            self.size = 3

        def call(self, x: Any) -> Any:
            return x

    for use in (
        lambda: Forgetful().compile("sgd", "mse"),
        lambda: Forgetful()(X),
        lambda: Forgetful().fit(X, Y),
        lambda: Layer()(X),
        lambda: fl.Sequential([fl.Input((4,)), Layer()]),
    ):
        refused("E-LAYER-004", use, "super().__init__()")
    assert not hasattr(Layer(), "built") and Layer().size == 3
    with pytest.raises(AttributeError, match="nothing"):
        _ = L.Dense(2).nothing


def test_validation_data_goes_before_a_share() -> None:
    """As in Keras: nothing is held back where there is data of its own."""
    losses = []
    for more in ({}, {"validation_split": 0.5}):
        found = made().fit(X, Y, shuffle=False, validation_data=(X[:6], Y[:6]), verbose=0, **more)
        losses.append((found.history["loss"], found.history["val_loss"]))
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("loss", "shape", "shares"),
    [
        ("binary_crossentropy", (None, 3), True),
        ("binary_focal_crossentropy", (None, 3), True),
        ("crossentropy", (None, 1), True),
        ("crossentropy", (None, 3), False),
        ("categorical_crossentropy", (None, 3), False),  # one for all classes together
        ("mse", (None, 1), False),
    ],
)
def test_which_labels_are_shares(loss: str, shape: Any, shares: bool) -> None:
    """The rule of fit, and of the pages that train."""
    assert fl.losses.get(loss) is not None
    from fanlight.layers.losses import takes_shares

    assert takes_shares(fl.losses.get(loss), shape) is shares

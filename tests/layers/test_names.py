"""Keras's names: what is where Keras has it, and does what Keras does."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.keras_oracle import close, keras, numbers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, in Keras

# What Keras has and Fanlight has not, with the reason in docs/layers.md.
MISSING: dict[str, set[str]] = {
    "layers": {"FlaxLayer", "InputSpec", "JaxLayer", "MaxNumBoundingBoxes", "TFSMLayer",
               "TorchModuleWrapper"},
    "losses": set(),
    "metrics": set(),
    "initializers": set(),
    "constraints": set(),
    "regularizers": set(),
    "optimizers": {"LossScaleOptimizer", "legacy"},
    "callbacks": {"OrbaxCheckpoint", "ProgbarLogger", "RemoteMonitor"},
    "activations": set(),
    "models": set(),
    "saving": {"KerasFileEditor"},
    "utils": {
        "Config", "FeatureSpace", "Progbar", "audio_dataset_from_directory", "bounding_boxes",
        "disable_interactive_logging", "enable_interactive_logging", "get_file",
        "image_dataset_from_directory", "is_interactive_logging_enabled", "legacy",
        "model_to_dot", "split_dataset", "standardize_dtype", "text_dataset_from_directory",
    },
}  # fmt: skip


@pytest.mark.parametrize("room", MISSING)
def test_every_name_of_keras_is_there_or_accounted_for(room: str) -> None:
    theirs = {n for n in dir(getattr(keras, room)) if not n.startswith("_")}
    lacking = theirs - set(getattr(fl, room).__all__)
    assert lacking == MISSING[room]
    page = (Path(__file__).parents[2] / "docs" / "layers.md").read_text("utf-8")
    assert [n for n in lacking if n != "legacy" and f"`{n}`" not in page] == []


def test_schedules_and_models(tmp_path: Path) -> None:
    schedules = {n for n in dir(keras.optimizers.schedules) if not n.startswith("_")}
    assert schedules <= set(fl.optimizers.schedules.__all__)
    models = {n for n in dir(keras.models) if not n.startswith("_")}
    assert models <= set(dir(fl))
    assert all(getattr(fl.models, n) is getattr(fl, n) for n in models)
    assert fl.Layer is fl.layers.Layer
    model = fl.models.Sequential([fl.Input((2,)), fl.layers.Dense(1)])
    fl.saving.save_model(model, tmp_path / "m.keras")
    again = fl.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(numbers(3, 2)), model.predict(numbers(3, 2)))


def test_functions_of_keras_ops_are_not_looked_for_in_the_table_of_operations() -> None:
    with pytest.raises(AttributeError, match=r"'softmax': .*in fanlight itself: fl\.softmax$"):
        fl.ops.softmax  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(fl.ops, "__wrapped__")


# --- losses ---------------------------------------------------------------------------------------

SPOKEN = np.array([[1, 2, 0], [3, 1, 2]], np.int32)
KINDS_OF_CASES = ("rows", "two axes")


def _example(name: str, axes: str) -> tuple[Any, Any, dict[str, Any]]:
    """Labels, predictions and options that a function of losses or metrics takes."""
    more = () if axes == "rows" else (5,)
    logits = numbers(3, *more, 4)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    classes = np.random.default_rng(1).integers(0, 4, (3, *more)).astype(np.int32)
    if name == "ctc":
        return SPOKEN, numbers(2, 7, 4), {}
    if name == "circle":
        return np.array([0, 1, 1]), logits[:, 0] if more else logits, {}
    if name == "categorical_generalized_cross_entropy":
        return classes, shares, {"q": 0.4}
    if "top_k" in name:
        labels = classes if name.startswith("sparse") else np.eye(4, dtype=np.float32)[classes]
        return labels, shares, {"k": 2}
    if name.startswith("sparse"):
        return classes, shares, {}
    return np.eye(4, dtype=np.float32)[classes], shares, {}


SWEPT = [
    (room, n)
    for room in ("losses", "metrics")
    for n in dir(getattr(keras, room))
    if inspect.isfunction(getattr(getattr(keras, room), n))
    and n not in ("get", "serialize", "deserialize")
]


@pytest.mark.parametrize("axes", KINDS_OF_CASES)
@pytest.mark.parametrize(("room", "name"), SWEPT)
def test_functions_of_losses_and_metrics_are_keras_s(room: str, name: str, axes: str) -> None:
    labels, shares, options = _example(name, axes)
    ours, theirs = getattr(getattr(fl, room), name), getattr(getattr(keras, room), name)
    close(ours(labels, shares, **options).numpy(), theirs(labels, shares, **options), name)
    found, wanted = (inspect.signature(f).parameters for f in (ours, theirs))
    assert list(found) == list(wanted)
    for key, p in wanted.items():
        if p.default is not p.empty:
            assert found[key].default == p.default, key


def test_every_loss_and_metric_of_keras_is_swept() -> None:
    both = [n for room, n in SWEPT if room == "losses"]
    assert len(both) >= 22 and len(SWEPT) >= 45


def test_other_names_of_losses() -> None:
    """Short names are the long ones, and as a loss each is the class."""
    y, p = numbers(5, 3), numbers(5, 3, seed=1)
    each = keras.losses.mean_squared_error(y, p)
    assert fl.losses.mean_squared_error is fl.losses.mse is fl.losses.MSE
    assert fl.losses.mean_squared_error is fl.metrics.mean_squared_error
    for short, long in (("MAE", "mean_absolute_error"), ("KLD", "kl_divergence"),
                        ("MAPE", "mean_absolute_percentage_error"), ("logcosh", "log_cosh"),
                        ("MSLE", "mean_squared_logarithmic_error")):  # fmt: skip
        assert getattr(fl.losses, short) is getattr(fl.losses, long)
        assert getattr(fl.losses, short.lower()) is getattr(fl.losses, long)
    # tf.losses.meanSquaredError gives one number.
    one = fl.losses.compute_weighted_loss(fl.squared_difference(y, p))
    close(one.numpy(), np.mean(each), "both together")
    weight = np.array([1.0, 0.0, 2.0, 0.5, 1.0], np.float32)
    results = []
    for loss in (fl.losses.mean_squared_error, fl.losses.MeanSquaredError(), "mse"):
        model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(3, kernel_initializer="ones")])
        model.compile("sgd", loss)
        results.append(model.evaluate(p, y, sample_weight=weight))
    assert results[0] == results[1] == results[2]


# --- other names, descriptions --------------------------------------------------------------------

ROOMS = ("initializers", "constraints", "regularizers")


@pytest.mark.parametrize("room", ROOMS)
def test_other_names_are_keras_s(room: str) -> None:
    ours, theirs = getattr(fl, room), getattr(keras, room)
    names = [n for n in dir(theirs) if inspect.isclass(getattr(theirs, n))]
    assert len(names) >= 9
    for name in names:
        own, other = getattr(ours, name), getattr(theirs, name)
        # Keras calls two classes by names that hide nothing of Python.
        assert own.__name__ == other.__name__.removesuffix("Initializer") or own is ours.Initializer
        made = ours.get(name) if name not in ("Initializer", "Constraint", "Regularizer") else None
        assert made is None or isinstance(made, own)


MADE: dict[str, list[Any]] = {
    "initializers": [fl.initializers.he_normal(seed=3), fl.initializers.Constant(2.0)],
    "constraints": [fl.constraints.max_norm(3.0), fl.constraints.non_neg()],
    "regularizers": [fl.regularizers.l1_l2(0.1, 0.2), fl.regularizers.l2(0.3)],
    "losses": [fl.losses.Huber(0.5), fl.losses.CategoricalCrossentropy(from_logits=True)],
    "metrics": [fl.metrics.AUC(num_thresholds=20), fl.metrics.TopKCategoricalAccuracy(3)],
    "optimizers": [fl.optimizers.Adam(0.1, beta_1=0.5), fl.optimizers.SGD(0.1, 0.9, True)],
}


@pytest.mark.parametrize("room", MADE)
def test_descriptions_go_there_and_back(room: str) -> None:
    ours, theirs = getattr(fl, room), getattr(keras, room)
    for made in MADE[room]:
        told = json.loads(json.dumps(ours.serialize(made)))
        again = ours.deserialize(told)
        assert type(again) is type(made) and again.get_config() == made.get_config()
        assert type(fl.utils.deserialize_keras_object(told)) is type(made)
        other = theirs.deserialize(told)
        assert type(other).__name__ == type(made).__name__
        back = ours.deserialize(json.loads(json.dumps(theirs.serialize(other))))
        assert type(back) is type(made)


def test_descriptions_of_functions_schedules_and_layers() -> None:
    assert fl.activations.serialize(fl.activations.relu) == "relu"
    assert fl.activations.deserialize("relu") is fl.activations.relu
    schedule = fl.optimizers.schedules.CosineDecay(0.1, 100)
    told = fl.optimizers.schedules.serialize(schedule)
    again = fl.optimizers.schedules.deserialize(told)
    assert again.get_config() == schedule.get_config()
    assert type(fl.utils.deserialize_keras_object(told)) is type(schedule)
    layer = fl.layers.Dense(3, activation="relu", name="d")
    for made in (
        fl.layers.deserialize(fl.layers.serialize(layer)),
        fl.layers.deserialize(keras.layers.serialize(keras.layers.Dense(3, "relu", name="d"))),
        fl.utils.deserialize_keras_object(fl.utils.serialize_keras_object(layer)),
    ):
        assert made.get_config()["units"] == 3 and made.name == "d"
    model = fl.Sequential([fl.Input((2,)), fl.layers.Dense(3)])
    assert fl.layers.deserialize(fl.layers.serialize(model)).count_params() == 9
    parts = fl.utils.serialize_keras_object({"a": [fl.losses.Huber(), 3]})
    again = fl.utils.deserialize_keras_object(parts)
    assert isinstance(again["a"][0], fl.losses.Huber) and again["a"][1] == 3
    with pytest.raises(FanlightError, match="E-LAYER-008"):
        fl.layers.deserialize({"class_name": "Swirl", "config": {}})


# --- classes of one's own -------------------------------------------------------------------------


class Swirl(fl.layers.Layer):
    """Not registered."""

    fields = ("amount",)

    def __init__(self, amount: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.amount = amount

    def call(self, inputs: Any) -> Any:
        return inputs * float(self.amount)


def swirled(x: Any) -> Any:
    return fl.tanh(x) * 2.0


def off(y_true: Any, y_pred: Any) -> Any:
    return fl.mean(fl.abs(y_true - y_pred), -1)


OWN = {"Swirl": Swirl, "swirled": swirled, "off": off}


@pytest.mark.parametrize("file", ["m.keras", "m.h5", "m.json"])
def test_files_name_what_is_given_with_them(file: str, tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), Swirl(2.0), fl.layers.Dense(2, activation=swirled)])
    model.compile("sgd", off)
    x, y = numbers(4, 3), numbers(4, 2)
    model.fit(x, y, verbose=0)
    if file == "m.json":
        text = model.to_json()
        with pytest.raises(FanlightError, match="E-LAYER-008") as caught:
            fl.model_from_json(text)
        assert "Swirl" in str(caught.value)
        again = fl.model_from_json(text, custom_objects=OWN)
        again.set_weights(model.get_weights())
    else:
        model.save(tmp_path / file)
        with pytest.raises(FanlightError, match="E-LAYER-008"):
            fl.load_model(tmp_path / file)
        again = fl.load_model(tmp_path / file, custom_objects=OWN)
        assert again.evaluate(x, y) == model.evaluate(x, y)
        with fl.utils.CustomObjectScope(OWN):
            inside = fl.load_model(tmp_path / file, compile=False)
        assert not inside.compiled and again.compiled
    assert again.layers[0].amount == 2.0
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        fl.model_from_json("{}", custom_objects=[Swirl])


def test_scopes_end_and_nest_and_the_table_takes_more() -> None:
    told = {"class_name": "Swirl", "config": {"amount": 3.0}}
    scope = fl.utils.custom_object_scope({"Swirl": Swirl})
    with scope:
        assert fl.layers.deserialize(told).amount == 3.0
        with fl.utils.custom_object_scope({"Dense": Swirl}):
            assert isinstance(fl.layers.deserialize(told), Swirl)
            other = {"class_name": "Dense", "config": {"amount": 1.0}}
            assert isinstance(fl.layers.deserialize(other), Swirl)
        assert fl.utils.get_registered_object("Swirl") is Swirl
    for wrong in (lambda: fl.layers.deserialize(told),):
        with pytest.raises(FanlightError, match="E-LAYER-008"):
            wrong()
    assert fl.utils.get_registered_object("Swirl") is None
    assert fl.utils.get_registered_object("Swirl", {"Swirl": Swirl}) is Swirl
    table = fl.utils.get_custom_objects()
    table["swirled"] = swirled
    try:
        assert fl.activations.get("swirled") is swirled
    finally:
        del table["swirled"]
    keep = fl.utils.register_keras_serializable("mine", "Turn")(type("Turn", (Swirl,), {}))
    try:
        assert fl.utils.get_registered_name(keep) == "mine>Turn"
        assert fl.utils.get_registered_object("mine>Turn") is keep
        assert fl.utils.get_registered_name(swirled) == "swirled"
    finally:
        del table["mine>Turn"]


# --- helpers --------------------------------------------------------------------------------------


def test_arrays_are_made_as_keras_makes_them() -> None:
    for x in ([1, 0, 2], [[1], [2], [0]], [[0, 1], [2, 2]]):
        for classes in (None, 5):
            want = keras.utils.to_categorical(x, classes)
            found = fl.utils.to_categorical(x, classes)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, want)
    given = fl.tensor(np.array([[1], [2]], np.int32))
    np.testing.assert_array_equal(fl.utils.to_categorical(given, 3).numpy(), np.eye(3)[[1, 2]])
    for order in (1, 2):
        for axis in (-1, 0):
            x = numbers(3, 4)
            want = keras.utils.normalize(x, axis, order) if axis else x / np.linalg.norm(
                x, order, 0, keepdims=True
            )  # fmt: skip
            np.testing.assert_allclose(fl.utils.normalize(x, axis, order), want, rtol=1e-6)
            close(fl.utils.normalize(fl.tensor(x), axis, order).numpy(), want, "of a tensor")
    np.testing.assert_array_equal(fl.utils.normalize(np.zeros((2, 2))), np.zeros((2, 2)))
    for bad in (
        lambda: fl.utils.to_categorical([3], 3),
        lambda: fl.utils.to_categorical([-1]),
        lambda: fl.utils.to_categorical(["a"]),
        lambda: fl.utils.to_categorical(given),
    ):
        with pytest.raises(FanlightError, match="E-LAYER-004"):
            bad()  # fmt: skip


def test_windows_of_series_have_keras_s_arguments() -> None:
    """What they give is in tests/data/test_series.py: Keras's needs TensorFlow."""
    name = "timeseries_dataset_from_array"
    ours, theirs = (inspect.signature(getattr(m.utils, name)).parameters for m in (fl, keras))
    assert [(n, p.default) for n, p in ours.items()] == [(n, p.default) for n, p in theirs.items()]


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 2, 5])
def test_padding_is_keras_s(padding: str, truncating: str, maxlen: int | None) -> None:
    options: dict[str, Any] = {"maxlen": maxlen, "padding": padding, "truncating": truncating}
    for rows in ([[1], [2, 3, 4], [], [5, 6]], [[[1, 2]], [[3, 4], [5, 6], [7, 8]]]):
        want = keras.utils.pad_sequences(rows, value=9, **options)
        np.testing.assert_array_equal(fl.utils.pad_sequences(rows, value=9, **options), want)
    words = fl.utils.pad_sequences([["a"], ["b", "c"]], dtype=object, value="", **options)
    assert words.shape[0] == 2
    for bad in (
        lambda: fl.utils.pad_sequences([1, 2]),
        lambda: fl.utils.pad_sequences([[1]], padding="left"),
        lambda: fl.utils.pad_sequences([[1]], value="x"),
        lambda: fl.utils.pad_sequences([[[1, 2]], [[3]]]),
    ):
        with pytest.raises(FanlightError, match="E-LAYER-004"):
            bad()


def test_parts_of_batches() -> None:
    assert fl.utils.unpack_x_y_sample_weight((1, 2)) == (1, 2, None)
    assert fl.utils.unpack_x_y_sample_weight(1) == (1, None, None)
    assert fl.utils.pack_x_y_sample_weight([1]) == ([1],)
    assert fl.utils.pack_x_y_sample_weight(1, 2, 3) == (1, 2, 3)
    assert fl.utils.unpack_x_y_sample_weight([1, 2, 3]) == (1, 2, 3)
    for parts in ((1, 2, 3, 4), ()):
        with pytest.raises(FanlightError, match="E-TRAIN-007"):
            fl.utils.unpack_x_y_sample_weight(parts)


def test_batches_by_their_numbers() -> None:
    class Batches(fl.utils.PyDataset):
        ended = 0

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return np.full((2, 1), index, np.float32), np.full((2, 1), 2 * index, np.float32)

        def on_epoch_end(self) -> None:
            self.ended += 1

    model = fl.Sequential([fl.Input((1,)), fl.layers.Dense(1)])
    model.compile(fl.optimizers.SGD(0.1), "mse")
    batches = Batches(workers=2)
    history = model.fit(batches, epochs=30, verbose=0).history["loss"]
    assert history[-1] < 1e-3 < history[0] and batches.ended == 30
    assert batches.num_batches == 3 and model.predict(batches).shape == (6, 1)
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        len(fl.utils.PyDataset())


def test_pictures_of_files(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.float32)
    fl.utils.save_img(tmp_path / "a.png", x, scale=False)
    for options in (
        {},
        {"color_mode": "grayscale"},
        {"color_mode": "rgba"},
        {"target_size": (5, 5), "interpolation": "bilinear"},
        {"target_size": (6, 4), "keep_aspect_ratio": True},
    ):
        want = keras.utils.load_img(tmp_path / "a.png", **options)
        found = fl.utils.load_img(str(tmp_path / "a.png"), **options)
        np.testing.assert_array_equal(fl.utils.img_to_array(found), keras.utils.img_to_array(want))
    np.testing.assert_array_equal(fl.utils.img_to_array(fl.utils.load_img(tmp_path / "a.png")), x)
    first = fl.utils.img_to_array(fl.utils.load_img(tmp_path / "a.png"), "channels_first")
    np.testing.assert_array_equal(first, x.transpose(2, 0, 1))
    for picture in (x / 300 - 0.2, x[..., :1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = keras.utils.array_to_img(picture)
        found = np.asarray(fl.utils.array_to_img(picture), np.int32)
        assert np.abs(found - np.asarray(want, np.int32)).max() <= 1
    fl.utils.save_img(tmp_path / "b.jpg", np.dstack([x, x[..., :1]]))
    assert fl.utils.load_img(tmp_path / "b.jpg").size == (12, 9)
    for code, bad in (
        ("E-INPUT-013", lambda: fl.utils.load_img(tmp_path / "none.png")),
        ("E-INPUT-010", lambda: fl.utils.load_img(__file__)),
        ("E-LAYER-004", lambda: fl.utils.load_img(tmp_path / "a.png", "cmyk")),
        ("E-INPUT-002", lambda: fl.utils.array_to_img(np.zeros((2, 2)))),
        ("E-LAYER-004", lambda: fl.utils.save_img(tmp_path / "a.xyz", x)),
    ):
        with pytest.raises(FanlightError, match=code):
            bad()


def test_stand_ins() -> None:
    a, b = fl.Input((2,)), fl.Input((2,))
    y = fl.layers.Dense(2)(fl.layers.Add()([a, fl.layers.Dense(2)(b)]))
    assert fl.utils.is_keras_tensor(y) and not fl.utils.is_keras_tensor(fl.ones((2,)))
    found = fl.utils.get_source_inputs(y)
    assert {id(s) for s in found} == {id(a), id(b)}


def test_a_picture_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    fl.utils.save_img(path, np.zeros((2, 2, 3)))
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(FanlightError, match="E-LAYER-010"):
            fl.utils.save_img(path, np.ones((4, 4, 3)))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        fl.utils.save_img(tmp_path / "x.nothing", np.ones((4, 4, 3)))
    assert list(tmp_path.iterdir()) == [path]

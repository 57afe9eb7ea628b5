"""Functions of tensors in functional models: computed, saved, read from Keras's files, trained."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import fanlight as fl
from tests.layers import nets

CASES: dict[str, Any] = {
    "getitem": (lambda h: h[:, 0], lambda x: x[:, 0]),
    "slice": (lambda h: h[:, 0:3], lambda x: x[:, 0:3]),
    "ellipsis": (lambda h: h[..., -1], lambda x: x[..., -1]),
    "places": (lambda h: h[:, :, [0, 2]], lambda x: x[:, :, [0, 2]]),
    "new_axis": (lambda h: h[:, None, ::2], lambda x: x[:, None, ::2]),
    "power": (lambda h: h**2, np.square),
    "matmul": (lambda h: h @ fl.transpose(h, (0, 2, 1)), lambda x: x @ x.transpose(0, 2, 1)),
    "negative": (lambda h: -h, np.negative),
    "abs": (abs, np.abs),
    "greater": (lambda h: h > 0, lambda x: x > 0),
    "divided": (lambda h: 2 / h, lambda x: 2 / x),
    "array": (lambda h: np.ones((4, 6), "float32") + h, lambda x: x + 1),
    "mean": (lambda h: fl.mean(h, axis=1), lambda x: x.mean(1)),
    "method": (lambda h: h.max(1), lambda x: x.max(1)),
    "concat": (lambda h: fl.concat([h, h], 1), lambda x: np.concatenate([x, x], 1)),
    "reshape": (lambda h: fl.reshape(h, (-1, 24)), lambda x: x.reshape(-1, 24)),
    "where": (lambda h: fl.where(h > 0, h, 0.0), lambda x: np.maximum(x, 0)),
    "relu": (lambda h: fl.relu(h), lambda x: np.maximum(x, 0)),
    "pad": (lambda h: fl.pad(h, [(0, 0), (1, 0), (0, 0)]),
            lambda x: np.pad(x, [(0, 0), (1, 0), (0, 0)])),
    "split": (lambda h: fl.split(h, 2, 1)[1], lambda x: x[:, 2:]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operations_compute_what_numpy_does_and_go_through_files(name: str, tmp_path: Path) -> None:
    made, wanted = CASES[name]
    h = fl.Input((4, 6))
    model = fl.Model(h, made(h))
    x = nets.numbers(3, 4, 6)
    y = model.predict(x)
    np.testing.assert_allclose(y, wanted(x), rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(fl.load_model(tmp_path / "model.keras").predict(x), y)
    np.testing.assert_array_equal(fl.clone_model(model).predict(x), y)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # NumPy 2 of JAX's arrays
def test_a_file_of_keras_with_operations_is_read_and_written_back(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    ops = keras.ops
    h = keras.Input((4, 6))
    parts = [
        h[:, 0], ops.mean(h, axis=1), ops.max(h, axis=1), ops.sum(h, axis=1), h[:, 1] ** 2,
        ops.reshape(h, (-1, 24)), ops.squeeze(ops.expand_dims(h[:, 2], 1), 1), -h[:, 1],
        ops.reshape(ops.matmul(h, ops.transpose(h, (0, 2, 1))), (-1, 16)), ops.gelu(h[:, 3]),
        ops.softmax(h, axis=1)[:, 0], ops.normalize(h)[:, 1], ops.take(h, [-1], axis=1)[:, 0],
    ]  # fmt: skip
    y = keras.layers.Dense(3)(ops.concatenate(parts, axis=-1))
    theirs = keras.Model(h, y)
    theirs.save(tmp_path / "theirs.keras")
    x = nets.numbers(3, 4, 6)
    wanted = np.asarray(theirs(x))
    ours = fl.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(ours.predict(x), wanted, rtol=1e-5, atol=1e-5)
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(np.asarray(again(x)), wanted, rtol=1e-5, atol=1e-5)


def test_a_model_with_operations_trains_and_builds(tmp_path: Path) -> None:
    h = fl.Input((4, 6))
    y = fl.layers.Dense(1)(fl.mean(h, 1) ** 2 + h[:, 0])
    model = fl.Model(h, y)
    model.compile("adam", "mse")
    x = nets.numbers(16, 4, 6)
    history = model.fit(x, x[:, 0, :1], epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    bundle = fl.build(model, tmp_path / "site")
    (found,) = bundle.run({h.name: x[:1]}).values()
    np.testing.assert_allclose(found, model.predict(x[:1]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("use", [fl.tensor, list, len, bool, fl.nonzero, lambda h: h.item()])
def test_what_needs_numbers_says_what_to_do(use: Any) -> None:
    with pytest.raises(fl.FanlightError, match="E-TENSOR-003") as error:
        use(fl.Input((4, 6)))
    assert "fl.layers.Lambda" in str(error.value.next)


# --- functions of rooms ---------------------------------------------------------------------------

SQUARES = nets.numbers(3, 4, 4)
POSITIVE = SQUARES @ SQUARES.transpose(0, 2, 1) + 4 * np.eye(4, dtype=np.float32)
PICTURES = np.abs(nets.numbers(3, 6, 8, 3))
MOVED = np.array([[1, 0.1, 0.5, 0, 1, 0.2, 0, 0]] * 3, np.float32)
SHARES = np.abs(nets.numbers(3, 4)) / np.abs(nets.numbers(3, 4)).sum(-1, keepdims=True)
# What Keras has an operation or a layer of: it reads them.
SHARED: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    **{
        f"activations.{n}": (getattr(fl.activations, n), (SQUARES,))
        for n in fl.activations.__all__
        if n not in ("get", "serialize", "deserialize", "threshold", "sparsemax", "hard_sigmoid_2")
    },
    "threshold": (lambda h: fl.activations.threshold(h, 0.2, -1.0), (SQUARES,)),
    "celu": (lambda h: fl.activations.celu(h, 0.5), (SQUARES,)),
    "relu": (lambda h: fl.activations.relu(h, max_value=0.5), (SQUARES,)),
    "softmax": (lambda h: fl.activations.softmax(h, axis=1), (SQUARES,)),
    "whole": (lambda h: fl.activations.softmax(fl.cast(h, "int32"), 1), (9 * SQUARES,)),
    **{
        f"linalg.{n}": (getattr(fl.linalg, n), (POSITIVE,))
        for n in "cholesky det inverse slogdet qr pinv trace tril triu diagonal norm".split()
    },
    "singular": (lambda h: fl.linalg.svd(h, compute_uv=False), (SQUARES,)),
    "solve": (fl.linalg.solve, (POSITIVE, SQUARES)),
    "lower": (fl.linalg.triangular_solve, (POSITIVE, SQUARES)),
    "left_right": (fl.image.flip_left_right, (PICTURES,)),
    "up_down": (fl.image.flip_up_down, (PICTURES,)),
    "gray": (fl.image.rgb_to_grayscale, (PICTURES,)),
    "rgb": (fl.image.grayscale_to_rgb, (PICTURES[..., :1],)),
    "smaller": (lambda h: fl.image.interpolate(h, (5, 12), "bicubic", True), (PICTURES,)),
    "moved": (lambda h, m: fl.image.transform(h, m, "bilinear", "reflect"), (PICTURES, MOVED)),
}
# What only Fanlight has.
OURS: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "eigvalsh": (fl.linalg.eigvalsh, (POSITIVE,)),
    "band": (lambda h: fl.linalg.band_part(h, 1, upper=0), (SQUARES,)),
    "all_of_qr": (lambda h: fl.linalg.qr(h, full_matrices=True), (SQUARES[..., :2],)),
    "bicubic": (lambda h: fl.image.interpolate(h, (12, 9), "bicubic"), (PICTURES,)),
    "bilinear": (lambda h: fl.image.resize_bilinear(h, (5, 9)), (PICTURES,)),
    "turned": (lambda h: fl.image.rotate_with_offset(h, 0.3), (PICTURES,)),
    "mse": (fl.losses.mse, (SHARES, SHARES[::-1])),
    "all": (fl.losses.absolute_difference, (SHARES, SHARES[::-1])),
    "hinge": (fl.losses.hinge, (SHARES, SHARES[::-1])),
    "crossentropy": (
        lambda a, b: fl.losses.categorical_crossentropy(a, b, label_smoothing=0.1),
        (np.eye(4, dtype=np.float32)[[0, 2, 1]], SHARES),
    ),
}


def made_of(make: Any, given: tuple[np.ndarray, ...], path: Path) -> tuple[Any, list[np.ndarray]]:
    """What the model of a function gives, compared with the function's; and its file."""
    inputs = [fl.Input(x.shape[1:]) for x in given]
    model = fl.Model(inputs, make(*inputs))
    found, wanted = model.predict(list(given)), make(*given)
    found, wanted = (list(v) if isinstance(v, tuple | list) else [v] for v in (found, wanted))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-4, atol=1e-4)
    model.save(path)
    again = fl.load_model(path).predict(list(given))
    for a, b in zip(found, again if isinstance(again, list) else [again], strict=True):
        np.testing.assert_array_equal(a, b)
    return model, found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, in Keras
@pytest.mark.parametrize("name", SHARED)
def test_functions_of_rooms_are_operations_of_keras(name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    make, given = SHARED[name]
    _, found = made_of(make, given, tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")(list(given))
    theirs = list(theirs) if isinstance(theirs, tuple | list) else [theirs]
    for a, b in zip(found, theirs, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", OURS)
def test_functions_of_rooms_that_keras_has_not_are_ours_in_files(name: str, tmp_path: Path) -> None:
    make, given = OURS[name]
    model, _ = made_of(make, given, tmp_path / "m.h5")
    assert '"class_name": "Operation"' in model.to_json()
    with pytest.raises(fl.FanlightError, match="E-LAYER-009") as error:
        model.save(tmp_path / "tfjs")
    assert "(Operation): no such layer" in str(error.value.received)


def test_activations_are_layers_that_tfjs_has_too(tmp_path: Path) -> None:
    h = fl.Input((4,))
    model = fl.Model(h, fl.activations.relu(fl.activations.linear(h)))
    model.save(tmp_path / "tfjs")
    assert fl.load_model(tmp_path / "tfjs").get_config()["layers"][1]["class_name"] == "Activation"


def test_functions_of_rooms_are_themselves_as_arguments() -> None:
    model = fl.Sequential([fl.Input((4,)), fl.layers.Dense(4, activation=fl.activations.silu)])
    assert model.get_config()["layers"][1]["config"]["activation"] == "silu"
    assert isinstance(fl.losses.get(fl.losses.mean_squared_error), fl.losses.MeanSquaredError)
    assert isinstance(fl.losses.get(fl.losses.mse), fl.losses.MeanSquaredError)
    kept = (fl.activations.mish, fl.linalg.det, fl.losses.mse, fl.losses.mean_squared_error)
    assert all(pickle.loads(pickle.dumps(f)) is f for f in kept)
    with pytest.raises(fl.FanlightError) as error:
        fl.linalg.cholesky(np.ones((3, 2), np.float32))
    assert "test_operations.py" in str(error.value.where)
    with pytest.raises(TypeError, match=r"fl\.linalg\.svd: .*'rank'"):
        fl.linalg.svd(fl.Input((4, 4)), rank=3)  # type: ignore[call-arg]


# --- functions of TensorFlow, and of padding ------------------------------------------------------


def keras_2(calls: list[tuple[str, Any, dict[str, Any]]], kind: str = "TFOpLambda") -> str:
    """A model x [None, 4, 6] -> the last of calls (function, input or inputs, arguments)."""
    first = {"name": "x", "batch_input_shape": [None, 4, 6], "dtype": "float32"}
    layers = [{"class_name": "InputLayer", "name": "x", "config": first, "inbound_nodes": []}]
    for i, (function, given, options) in enumerate(calls):
        own = {"name": f"f{i}", "trainable": True, "dtype": "float32", "function": function}
        found = "SlicingOpLambda" if function == "__operators__.getitem" else kind
        if isinstance(given, list):
            node: Any = [[[name, 0, 0, options] for name in given]]
        elif isinstance(given, str):
            node = [[given, 0, 0, options]]
        else:
            node = [["_CONSTANT_VALUE", -1, given, options]]
        layers.append({"class_name": found, "name": f"f{i}", "config": own, "inbound_nodes": node})
    last = f"f{len(calls) - 1}"
    own = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]],
           "output_layers": [[last, 0, 0]]}  # fmt: skip
    return json.dumps({"class_name": "Functional", "config": own, "keras_version": "2.15.0"})


ALL = {"start": None, "stop": None, "step": None}


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shares = np.exp(x)
    return np.asarray(shares / shares.sum(axis, keepdims=True))


TF_CASES: dict[str, tuple[list[tuple[str, Any, dict[str, Any]]], Any]] = {
    "slice": ([("__operators__.getitem", "x",
                {"slice_spec": [ALL, {"start": 1, "stop": None, "step": 2}]})],
              lambda x: x[:, 1::2]),
    "place": ([("__operators__.getitem", "x",
                {"slice_spec": {"class_name": "__tuple__", "items": [
                    {"class_name": "__ellipsis__"}, -1, None]}})], lambda x: x[..., -1, None]),
    "plus": ([("__operators__.add", "x", {"y": ["x", 0, 0], "name": None})], lambda x: x + x),
    "minus": ([("math.subtract", 2.0, {"y": ["x", 0, 0], "name": None})], lambda x: 2 - x),
    "times": ([("math.multiply", "x", {"y": [1.0, 2, 3, 4, 5, 6]})],
              lambda x: x * np.arange(1, 7, dtype=np.float32)),
    "over": ([("math.truediv", "x", {"y": 4.0})], lambda x: x / 4),
    "relu": ([("nn.relu", "x", {"name": None})], lambda x: np.maximum(x, 0)),
    "softmax": ([("nn.softmax", "x", {"axis": 1})], lambda x: softmax(x, 1)),
    "reshape": ([("reshape", "x", {"shape": [-1, 24]})], lambda x: x.reshape(-1, 24)),
    "concat": ([("math.square", "x", {}), ("concat", ["x", "f0"], {"axis": -1})],
               lambda x: np.concatenate([x, x * x], -1)),
    "mean": ([("math.reduce_mean", "x", {"axis": [1, 2], "keepdims": True})],
             lambda x: x.mean((1, 2), keepdims=True)),
    "dims": ([("expand_dims", "x", {"axis": 1}), ("compat.v1.squeeze", "f0", {"axis": [1]})],
             lambda x: x),
    "transpose": ([("compat.v1.transpose", "x",
                    {"perm": [0, 2, 1], "conjugate": False, "name": "transpose"})],
                  lambda x: x.transpose(0, 2, 1)),
    "where": ([("math.greater", "x", {"y": 0.0}),
               ("where", "f0", {"x": ["x", 0, 0], "y": [1, 2, 3, 4, 5, 6]})],
              lambda x: np.where(x > 0, x, np.arange(1, 7, dtype=np.float32))),
    "cast": ([("cast", "x", {"dtype": "int32"}), ("cast", "f0", {"dtype": "float32"})], np.trunc),
    "gather": ([("compat.v1.gather", "x", {"indices": [2, 0], "axis": 1})],
               lambda x: x[:, [2, 0]]),
    "matmul": ([("linalg.matmul", "x", {"b": ["x", 0, 0], "transpose_b": True,
                                        "adjoint_a": False})],
               lambda x: x @ x.transpose(0, 2, 1)),
    "unit": ([("math.l2_normalize", "x", {"axis": -1})],
             lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)),
    "pad": ([("compat.v1.pad", "x", {"paddings": [[0, 0], [1, 0], [0, 2]], "mode": "CONSTANT",
                                     "constant_values": 3})],
            lambda x: np.pad(x, [(0, 0), (1, 0), (0, 2)], constant_values=3)),
}  # fmt: skip


@pytest.mark.parametrize("name", TF_CASES)
def test_functions_of_tensorflow_are_read(name: str, tmp_path: Path) -> None:
    calls, wanted = TF_CASES[name]
    model = fl.model_from_json(keras_2(calls))
    x = nets.numbers(3, 4, 6)
    y = model.predict(x)
    np.testing.assert_allclose(y, wanted(x), rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(fl.load_model(tmp_path / "m.keras").predict(x), y)


def test_functions_of_tensorflow_that_nobody_knows_are_all_listed_and_may_be_registered() -> None:
    text = keras_2([("signal.fft", "x", {}), ("strings.split", "f0", {}), ("nn.relu", "f1", {})])
    with pytest.raises(fl.FanlightError, match="E-LAYER-008") as error:
        fl.model_from_json(text)
    assert "TFOpLambda signal.fft" in str(error.value.received)
    assert "TFOpLambda strings.split" in str(error.value.received)
    assert "custom_objects=" in str(error.value.next)

    def shifted(x: Any, by: float = 1.0) -> Any:
        return x + by

    text = keras_2([("own.shifted", "x", {"by": 2.0, "name": None})])
    model = fl.model_from_json(text, custom_objects={"own.shifted": shifted})
    x = nets.numbers(3, 4, 6)
    np.testing.assert_allclose(model.predict(x), x + 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "options"),
    [("nn.relu", {"alpha": 3}), ("reshape", {"shape": [["x", 0, 0], 3]}), ("math.add", {}),
     ("transpose", {"perm": [0, 2, 1], "conjugate": True})],
)  # fmt: skip
def test_arguments_of_tensorflow_that_do_not_fit_are_refused(function: str, options: Any) -> None:
    with pytest.raises(fl.FanlightError, match="E-LAYER-004") as error:
        fl.model_from_json(keras_2([(function, "x", options)]))
    assert "f0" in str(error.value.where)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, in Keras
def test_padding_of_keras_is_read_and_ours_written_as_keras_s(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    pad = keras.ops.pad
    h = keras.Input((4, 6))
    ways = [pad(h, ((0, 0), (1, 0), (0, 2))), pad(h, ((0, 0), (1, 2), (0, 0)), mode="reflect"),
            pad(h, ((0, 0), (1, 2), (1, 1)), mode="symmetric"),
            pad(h, ((0, 0), (0, 1), (0, 0)), constant_values=3.0)]  # fmt: skip
    theirs = keras.Model(h, ways)
    theirs.save(tmp_path / "theirs.keras")
    x = nets.numbers(3, 4, 6)
    model = fl.load_model(tmp_path / "theirs.keras")
    for a, b in zip(model.predict(x), theirs(x), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-6)
    s = fl.Input((4, 6))
    fl.Model(s, fl.pad(s, [(0, 0), (1, 0), (0, 2)])).save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")(x)
    np.testing.assert_array_equal(np.asarray(again), np.pad(x, [(0, 0), (1, 0), (0, 2)]))


def test_named_tuples_hold_stand_ins() -> None:
    class Pair(NamedTuple):
        a: Any
        b: Any

    x = fl.Input((3,))
    assert fl.concat(Pair(x, x), -1).shape == (None, 6)

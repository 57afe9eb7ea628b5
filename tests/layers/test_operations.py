"""Functions of tensors in functional models: computed, saved, read from Keras's files, trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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

"""Several optimizers for one model, against Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.conformance import compared
from tests.layers.keras_oracle import keras
from tests.layers.test_optimizers import FIRST, X, Y

pytestmark = pytest.mark.filterwarnings("ignore")


def made(library: Any, **options: Any) -> Any:
    kind = library.optimizers
    rows = {".*/bias": kind.SGD(0.05, momentum=0.9), ".*second/kernel": kind.Adam(0.01)}
    table = kind.OptimizerMap(kind.SGD(0.1), rows)
    return kind.MultiOptimizer(table, **options)


def model_of(library: Any, optimizer: Any, **options: Any) -> Any:
    layers = [
        library.Input((5,)),
        library.layers.Dense(4, "tanh", name="first"),
        library.layers.Dense(3, "softmax", name="second"),
    ]
    model = library.Sequential(layers)
    model.set_weights(FIRST)
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return model


def fitted(model: Any) -> list[float]:
    options = {"batch_size": 8, "epochs": 1, "shuffle": False, "verbose": 0}
    history = model.fit(X.reshape(-1, 5), Y.reshape(-1), **options).history["loss"]
    return [float(v) for v in history]


def test_steps_are_keras_s() -> None:
    found = []
    for library in (keras, fl):
        model = model_of(library, made(library, loss_scale_factor=8.0))
        found.append((fitted(model), model.get_weights(), model.optimizer.variables))
    assert model._steps.compiled, model._steps.why
    np.testing.assert_allclose(found[0][0], found[1][0], 1e-4)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-4)
    shapes = [[tuple(v.shape) for v in variables] for *_, variables in found]
    assert shapes[0] == shapes[1]
    for name in ("MultiOptimizer", "OptimizerMap"):
        compared("optimizers", name, "20 steps")


def test_one_step_op_by_op_is_the_compiled_one_and_a_file_keeps_it(tmp_path: Path) -> None:
    eager, model = (model_of(fl, made(fl), run_eagerly=e) for e in (True, False))
    np.testing.assert_allclose(fitted(eager), fitted(model), 1e-4)
    model.save(tmp_path / "m.keras")
    again = fl.load_model(tmp_path / "m.keras")
    assert isinstance(again.optimizer, fl.optimizers.MultiOptimizer)
    np.testing.assert_allclose(fitted(again), fitted(model), 1e-5)
    theirs = keras.saving.load_model(tmp_path / "m.keras")
    assert type(theirs.optimizer).__name__ == "MultiOptimizer"


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.safetensors"])
def test_one_optimizer_under_two_patterns_is_one_in_a_file(name: str, tmp_path: Path) -> None:
    kind = fl.optimizers
    one = kind.Adam(0.01)
    table = kind.OptimizerMap(kind.SGD(0.1), {".*/bias": one, ".*second/kernel": one})
    model = model_of(fl, kind.MultiOptimizer(table))
    fitted(model)
    model.save(tmp_path / name)
    again = fl.load_model(tmp_path / name)
    rows = again.optimizer.optimizer_map
    assert rows["first/bias"] is rows["second/kernel"] is not rows["first/kernel"]
    for own, other in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(own.numpy(), other.numpy())
    np.testing.assert_allclose(fitted(again), fitted(model), 1e-5)


def test_configurations_and_maps() -> None:
    optimizer = made(fl)
    told = json.loads(json.dumps(optimizer.get_config()))
    again = fl.optimizers.MultiOptimizer.from_config(told)
    assert again.get_config() == optimizer.get_config()
    theirs = keras.optimizers.deserialize(fl.optimizers.serialize(optimizer))
    assert [type(o).__name__ for o in theirs.optimizers] == ["SGD", "Adam", "SGD"]
    back = fl.optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert [type(o).__name__ for o in back.optimizers] == ["SGD", "Adam", "SGD"]
    for chosen in (theirs._optimizer_map, back.optimizer_map):
        assert type(chosen).__name__ == "OptimizerMap"
        assert list(chosen) == [".*/bias", ".*second/kernel"]
        assert chosen["first/bias"].momentum == 0.9 and chosen["first/kernel"].momentum == 0.0
    for name in ("MultiOptimizer", "OptimizerMap"):
        compared("optimizers", name, "configs")
    table = optimizer.optimizer_map
    assert len(table) == 2 and list(table) == [".*/bias", ".*second/kernel"]
    assert table["first/bias"].momentum == 0.9 and table["first/kernel"].momentum == 0.0
    table["first/bias"] = fl.optimizers.Lion()
    assert isinstance(table["first/bias"], fl.optimizers.Lion)
    del table["first/bias"]
    table["first/b.*"] = fl.optimizers.SGD()
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        table["first/bias"]
    by_function = fl.optimizers.MultiOptimizer(lambda w: table.default_optimizer)
    with pytest.raises(FanlightError, match="E-LAYER-009"):
        by_function.get_config()
    for wrong in (
        lambda: fl.optimizers.OptimizerMap("sgd"),
        lambda: fl.optimizers.OptimizerMap(fl.optimizers.SGD(), {"(": fl.optimizers.SGD()}),
        lambda: fl.optimizers.OptimizerMap(optimizer),
        lambda: table.__setitem__(".*second/kernel", fl.optimizers.SGD()),
        lambda: fl.optimizers.MultiOptimizer("sgd"),
        lambda: optimizer.learning_rate,
        lambda: setattr(optimizer, "learning_rate", 0.1),
        lambda: optimizer.refuse_rate("the rate of a callback"),
    ):
        with pytest.raises(FanlightError, match="E-LAYER-004"):
            wrong()


def test_a_schedule_inside_and_moving_averages() -> None:
    inner = fl.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    optimizer = fl.optimizers.MultiOptimizer(fl.optimizers.OptimizerMap(inner))
    model = model_of(fl, optimizer)
    before = optimizer.version
    fitted(model)
    assert len(optimizer.averages) == 4
    np.testing.assert_array_equal(optimizer.averages[0].numpy(), model.weights[0].numpy())
    inner.learning_rate = fl.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert optimizer.version > before
    assert np.isfinite(fitted(model)).all()

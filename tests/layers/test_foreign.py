"""Objects of Keras, given where those of Fanlight are meant: refused, with the name to use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.keras_oracle import keras

L = fl.layers


def refused(call: Callable[[], Any], code: str = "E-LAYER-004") -> str:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code
    return str(caught.value.next)


class Mine(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


@pytest.mark.parametrize("built", [True, False])
def test_compile_refuses_parts_of_keras(built: bool) -> None:
    model = fl.Sequential([*([fl.Input((2,))] if built else []), L.Dense(1)])
    metric, loss = keras.metrics.MeanAbsoluteError(), keras.losses.MeanSquaredError()
    for metrics in (metric, [metric], [["mae", metric]], {"dense": [metric]}):
        told = refused(lambda given=metrics: model.compile("sgd", "mse", metrics=given))
        assert told.startswith("fl.metrics.MeanAbsoluteError()")
    told = refused(lambda: model.compile("sgd", "mse", weighted_metrics=[metric]))
    assert told.startswith("fl.metrics.MeanAbsoluteError()")
    assert refused(lambda: model.compile("sgd", loss)).startswith("fl.losses.MeanSquaredError()")
    told = refused(lambda: model.compile("sgd", keras.losses.MeanSquaredError))
    assert told.startswith("fl.losses.MeanSquaredError()")
    told = refused(lambda: model.compile("sgd", keras.losses.mean_squared_error))
    assert told.startswith("fl.losses.mean_squared_error,")
    told = refused(lambda: model.compile(keras.optimizers.Adam(), "mse"))
    assert told.startswith("fl.optimizers.Adam()")
    assert refused(lambda: model.compile("sgd", Mine())) == "derive Mine from fl.losses.Loss."
    model.compile("sgd", lambda y, p: fl.mean(fl.abs(y - p)), metrics=[fl.metrics.AUC()])


def test_other_places_name_what_to_use() -> None:
    model = fl.Sequential([fl.Input((2,)), L.Dense(1)])
    assert refused(lambda: model.add(keras.layers.Dense(3))).startswith("fl.layers.Dense()")
    model.compile("sgd", "mse")
    x = np.ones((4, 2), np.float32)
    parts = [keras.callbacks.EarlyStopping()]
    told = refused(lambda: model.fit(x, x[:, :1], callbacks=parts, verbose=0), "E-TRAIN-007")
    assert told.startswith("fl.callbacks.EarlyStopping()")


@pytest.mark.parametrize("kind", ["Sequential", "functional", "class"])
def test_models_of_keras_are_saved_first(kind: str, tmp_path: Path) -> None:
    class Own(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    begin = keras.Input((2,))
    row = keras.Sequential([begin, keras.layers.Dense(1)])
    made = {"Sequential": row, "functional": keras.Model(begin, row(begin)), "class": Own()}[kind]
    for call in (
        lambda: fl.build(made, tmp_path / "site"),
        lambda: fl.build(made, tmp_path / "site", inputs={"x": fl.spec((2,))}),
        lambda: fl.load(made),
        lambda: fl.load_model(made),
        lambda: fl.quantize(made, np.ones((4, 2), np.float32)),
        lambda: fl.plot_model(made),
    ):
        told = refused(call)
        assert 'model.save("m.keras")' in told and 'fl.load_model("m.keras")' in told
    assert not (tmp_path / "site").exists()


def test_keras_is_not_loaded_to_know_it() -> None:
    code = (
        "import sys, fanlight as fl\n"
        "m = fl.Sequential([fl.Input((2,)), fl.layers.Dense(1)])\n"
        "m.compile('sgd', 'mse', metrics=['mae'])\n"
        "fl.plot_model(m)\n"
        "assert not {'keras', 'jax', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

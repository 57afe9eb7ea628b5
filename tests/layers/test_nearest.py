"""Misspelt names: the error tells the nearest right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.nearest import nearest


def dense(*args: Any, **options: Any) -> Any:
    return fl.layers.Dense(2, *args, **options)


def compiled(**options: Any) -> Any:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | options)
    return model


NAMES: list[tuple[Callable[[], Any], str]] = [
    (lambda: compiled(optimizer="adamm"), "'adam'"),
    (lambda: compiled(optimizer="RMSPropp"), "'RMSprop'"),
    (lambda: dense("relo"), "'relu'"),
    (lambda: dense("Sofmax"), "'softmax'"),
    (lambda: compiled(metrics=["accurracy"]), "'accuracy'"),
    (lambda: compiled(metrics=["top_k_categorical_acuracy"]), "'top_k_categorical_accuracy'"),
    (lambda: compiled(loss="mean_square_error"), "'mean_squared_error'"),
    (lambda: compiled(loss="BinaryCrossEntrpy"), "'BinaryCrossentropy'"),
    (lambda: dense(kernel_initializer="glorot_unifrom"), "'glorot_uniform'"),
]


@pytest.mark.parametrize(("make", "right"), NAMES)
def test_names_of_parts(make: Callable[[], Any], right: str) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-003"
    assert f"did you mean {right}" in str(caught.value.next), str(caught.value)


class Mine(fl.layers.Layer):
    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units


ARGUMENTS: list[tuple[Callable[[], Any], str, str, str]] = [
    (lambda: fl.layers.Dense(2, activaton="relu"), "Dense", "activaton", "'activation'"),
    (lambda: fl.layers.Conv2D(2, 3, stride=2), "Conv2D", "stride", "'strides'"),
    (lambda: fl.layers.Dropout(0.5, sed=1), "Dropout", "sed", "'seed'"),
    (lambda: fl.layers.LSTM(2, return_sequence=True), "LSTM", "return_sequence",
     "'return_sequences'"),
    (lambda: fl.layers.Flatten(trainble=False), "Flatten", "trainble", "'trainable'"),
    (lambda: Mine(2, nam="x"), "Mine", "nam", "'name'"),
    (lambda: fl.optimizers.Adam(learning_rat=0.1), "Adam", "learning_rat", "'learning_rate'"),
    (lambda: fl.optimizers.SGD(momentun=0.1), "SGD", "momentun", "'momentum'"),
    (lambda: fl.metrics.AUC(num_threshold=3), "AUC", "num_threshold", "'num_thresholds'"),
    (lambda: fl.losses.Huber(dleta=3), "Huber", "dleta", "'delta'"),
    (lambda: fl.callbacks.EarlyStopping(patiens=3), "EarlyStopping", "patiens", "'patience'"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "wrong", "right"), ARGUMENTS)
def test_names_of_arguments(make: Callable[[], Any], kind: str, wrong: str, right: str) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    error = caught.value
    assert error.code == "E-LAYER-004" and kind in str(error) and wrong in str(error)
    assert f"did you mean {right}" in str(error.next), str(error)
    if kind not in ("Adam", "SGD"):
        assert isinstance(error, TypeError)


def test_arguments_that_are_none_at_all_and_those_that_are_missing() -> None:
    with pytest.raises(TypeError, match="Dense has no argument colour"):
        fl.layers.Dense(2, colour="red")
    with pytest.raises(TypeError, match=r"Dense.*units"):
        fl.layers.Dense()
    with pytest.raises(TypeError, match=r"Conv2D needs filters and kernel_size") as caught:
        fl.layers.Conv2D()
    assert isinstance(caught.value, FanlightError) and caught.value.code == "E-LAYER-004"
    with pytest.raises(FanlightError, match="E-LAYER-004"):
        fl.optimizers.get({"class_name": "Adam", "config": {"rate": 1}})


def test_an_error_of_the_caller_s_own_stays() -> None:
    def picky(shape: Any, dtype: str = "float32") -> Any:
        raise TypeError("f() got an unexpected keyword argument 'units'")

    class Holds(fl.layers.Layer):
        def __init__(self, units: int = 3) -> None:
            super().__init__()
            picky((1,))

    with pytest.raises(TypeError, match=r"f\(\) got"):
        Holds(units=3)


@pytest.mark.parametrize(
    ("room", "wrong", "right"),
    [
        (fl.layers, "Dens", "'Dense'"),
        (fl.layers, "Convd2D", "'Conv2D'"),
        (fl.optimizers, "Adamm", "'Adam'"),
        (fl.metrics, "Precison", "'Precision'"),
        (fl.callbacks, "EarlyStop", "'EarlyStopping'"),
    ],
)
def test_names_of_modules(room: Any, wrong: str, right: str) -> None:
    assert not hasattr(room, wrong) and not hasattr(room, "__nothing__")
    with pytest.raises(AttributeError) as caught:
        getattr(room, wrong)
    assert f"did you mean {right}" in str(caught.value)
    with pytest.raises(AttributeError, match="nothing"):
        _ = room.nothing


def test_the_nearest_name() -> None:
    known = ["Dense", "dense", "Dropout", "MeanSquaredError", "mean_squared_error"]
    assert nearest("Densse", known) == "Dense"
    assert nearest("densse", known) == "dense"
    assert nearest("meansquarederor", known) == "mean_squared_error"
    for nothing in ("zzz", "", None, 3, np.ones(2)):
        assert nearest(nothing, known) is None

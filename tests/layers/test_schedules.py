"""Learning rate schedules against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import schedules
from tests.conformance import compared
from tests.layers.keras_oracle import jax, keras

pytestmark = pytest.mark.filterwarnings("ignore")

CASES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"decay_steps": 10, "decay_rate": 0.9}),
    ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {"decay_steps": 10, "decay_rate": 0.9}),
    ("InverseTimeDecay", {"decay_steps": 7, "decay_rate": 2.0, "staircase": True}),
    ("PolynomialDecay", {"decay_steps": 20}),
    ("PolynomialDecay", {"decay_steps": 20, "end_learning_rate": 0.05, "power": 2.0}),
    ("PolynomialDecay", {"decay_steps": 10, "power": 0.5, "cycle": True}),
    ("CosineDecay", {"decay_steps": 20}),
    ("CosineDecay", {"decay_steps": 20, "alpha": 0.1}),
    ("CosineDecay", {"decay_steps": 20, "warmup_target": 0.3, "warmup_steps": 6}),
    ("CosineDecayRestarts", {"first_decay_steps": 6}),
    ("CosineDecayRestarts", {"first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", {"first_decay_steps": 5, "t_mul": 1.5, "m_mul": 0.5}),
    ("PiecewiseConstantDecay", {"boundaries": [5, 12], "values": [0.1, 0.01, 0.001]}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]


def made(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    if name != "PiecewiseConstantDecay":
        options = {"initial_learning_rate": 0.1} | options
    theirs = getattr(keras.optimizers.schedules, name)(**options)
    return getattr(fl.optimizers.schedules, name)(**options), theirs


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_rates(name: str, options: dict[str, Any]) -> None:
    ours, theirs = made(name, options)
    traced = fl.jit(lambda step: ours(step))
    whole = jax.jit(theirs.__call__)  # compiled once, not op by op
    for step in (0, 1, 4, 5, 6, 7, 11, 12, 13, 19, 20, 21, 33):
        wanted = float(whole(step))
        np.testing.assert_allclose(ours(step).item(), wanted, 1e-5, 1e-8)
        np.testing.assert_allclose(traced(fl.tensor(step)).item(), wanted, 1e-5, 1e-8)
    compared("schedules", name, "outputs")


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_configurations_go_both_ways(name: str, options: dict[str, Any]) -> None:
    ours, theirs = made(name, options)
    assert theirs.get_config() == ours.get_config()
    first = float(jax.jit(theirs.__call__)(0))
    again = schedules.get(keras.optimizers.schedules.serialize(theirs))
    assert again.get_config() == ours.get_config()
    for optimizer in (fl.optimizers.SGD(ours), fl.optimizers.SGD()):
        optimizer.learning_rate = keras.optimizers.schedules.serialize(theirs)
        config = optimizer.get_config()
        np.testing.assert_allclose(optimizer.learning_rate.item(), first, 1e-6)
        back = keras.optimizers.SGD.from_config(config)
        np.testing.assert_allclose(float(back.learning_rate), first, 1e-6)
        same = fl.optimizers.get({"class_name": "SGD", "config": optimizer.get_config()})
        assert same.get_config() == fl.optimizers.SGD.from_config(same.get_config()).get_config()
    compared("schedules", name, "configs")


def test_a_schedule_in_training() -> None:
    x = np.ones((8, 1), np.float32)
    model = fl.Sequential([fl.Input((1,)), fl.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1))])
    rates = schedules.PiecewiseConstantDecay([1, 3], [1.0, 0.1, 0.01])
    model.compile(fl.optimizers.SGD(rates), lambda y, p: -p)  # each step adds the rate
    model.fit(x, x, epochs=1, batch_size=1, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], 2 * 1.0 + 2 * 0.1 + 4 * 0.01, 1e-5)
    # Another rate, though the step was compiled.
    model.optimizer.learning_rate = schedules.PiecewiseConstantDecay([100], [2.0, 1.0])
    model.fit(x, x, epochs=1, batch_size=8, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], 4.24, 1e-5)
    model.optimizer.learning_rate = rates
    model.fit(x, x, epochs=1, batch_size=8, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], 4.25, 1e-5)


@pytest.mark.parametrize("name", ["ReduceLROnPlateau", "LearningRateScheduler", "by hand"])
def test_a_number_over_a_schedule_is_refused_as_in_keras(name: str) -> None:
    x = np.ones((4, 2), np.float32)
    wanted = {"ReduceLROnPlateau": ("loss",), "LearningRateScheduler": (lambda epoch: 0.1,)}
    for library, kind in ((keras, TypeError), (fl, FanlightError)):
        model = library.Sequential([library.Input((2,)), library.layers.Dense(1)])
        decay = library.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        model.compile(library.optimizers.SGD(decay), "mse")
        begun: list[int] = []
        watch = library.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs, begun=begun: begun.append(epoch)
        )
        with pytest.raises(kind) as error:
            if name == "by hand":
                model.optimizer.learning_rate = 0.1
            else:
                options = {"min_delta": 10, "patience": 1} if name == "ReduceLROnPlateau" else {}
                other = getattr(library.callbacks, name)(*wanted[name], **options)
                model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[watch, other])
    assert isinstance(error.value, TypeError) and error.value.code == "E-LAYER-004"
    assert not begun, "before anything is trained"
    assert name == "by hand" or name in error.value.message
    assert "ExponentialDecay" in error.value.received and error.value.next
    assert model.optimizer.get_config()["learning_rate"] == schedules.serialize(decay)


def test_one_of_ones_own() -> None:
    @fl.register()
    class Halving(schedules.LearningRateSchedule):
        """Half the rate, step by step."""

        fields = ("first",)

        def __init__(self, first: float, name: str | None = None) -> None:
            super().__init__(name)
            self.first = first

        def __call__(self, step: Any) -> fl.Tensor:
            return self.first * fl.pow(0.5, fl.cast(step, "float32"))

    optimizer = fl.optimizers.Adam(Halving(0.5))
    again = fl.optimizers.Adam.from_config(optimizer.get_config())
    assert again.learning_rate.item() == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedules.ExponentialDecay(0.1, 0, 0.9),
        lambda: schedules.CosineDecay(0.1, -1),
        lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]),
        lambda: fl.optimizers.SGD(-1.0),
        lambda: fl.optimizers.SGD(float("nan")),
        lambda: fl.optimizers.SGD("fast"),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as error:
        make()
    assert error.value.code == "E-LAYER-004"

"""What fit does when something goes wrong: the model stays one that can go on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError


def ready(**options: Any) -> Any:
    fl.set_random_seed(0)
    dense = fl.layers.Dense
    model = fl.Sequential([fl.Input((4,)), dense(8, activation="relu"), dense(3)])
    model.compile(fl.optimizers.Adam(0.01), "mse", **options)
    return model


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_loss_that_is_not_finite_leaves_the_last_good_epoch(eagerly: bool) -> None:
    model = ready(run_eagerly=eagerly)
    x, y = np.ones((12, 4), np.float32), np.ones((12, 3), np.float32)
    model.fit(x, y, 4, verbose=0)
    weights = model.get_weights()
    steps = model.optimizer.iterations.item()
    x[9, 2] = np.nan
    with pytest.raises(FanlightError, match="E-TRAIN-003") as caught:
        model.fit(x, y, 4, epochs=3, shuffle=False, verbose=0)
    assert "epoch 1, step 3" in str(caught.value.where)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert model.optimizer.iterations.item() == steps
    x[9, 2] = 1
    model.fit(x, y, 4, verbose=0)  # and goes on
    assert np.isfinite(model.get_weights()[0]).all()


class Root(fl.layers.Layer):
    def call(self, x: Any) -> Any:
        return fl.sqrt(x)


class Log(fl.layers.Layer):
    def call(self, x: Any) -> Any:
        return fl.log(x - x - 1)


def rooted() -> Any:
    """Its first step has a finite loss, and a gradient that is not."""
    dense = fl.layers.Dense(1, kernel_initializer="zeros", name="first")
    model = fl.Sequential([fl.Input((4,)), dense, Root(name="root")])
    model.compile("sgd", "mse")
    return model


class Seen(fl.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[int] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epochs.append(epoch)


@pytest.mark.parametrize(("size", "step", "loss"), [(16, 1, "1.0"), (8, 2, "inf")])
def test_the_last_step_of_an_epoch_may_spoil_the_weights(size: int, step: int, loss: str) -> None:
    model, seen = rooted(), Seen()
    x, y = np.ones((16, 4), np.float32), np.ones((16, 1), np.float32)
    with pytest.raises(FanlightError, match="E-TRAIN-003") as caught:
        model.fit(x, y, size, verbose=0, callbacks=[seen], validation_data=(x, y))
    error = caught.value
    assert f"epoch 1, step {step}" in str(error.where)
    told = f"{loss}; first/kernel is not finite; the gradient in layer root (Root) is not finite"
    assert error.received == told
    assert seen.epochs == [] and not model.history.history
    assert "before this epoch" in str(error.next)
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, 0)
    assert model.optimizer.iterations.item() == 0


@pytest.mark.parametrize("own", [False, True])
def test_a_model_that_the_first_batch_builds_is_undone_too(own: bool) -> None:
    class Net(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = fl.layers.Dense(1, kernel_initializer="zeros", name="first")

        def call(self, x: Any) -> Any:
            return fl.sqrt(self.first(x))

    class Own(Net):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    model = Own() if own else Net()
    model.compile("sgd", "mse")
    x, y = np.ones((16, 4), np.float32), np.ones((16, 1), np.float32)
    with pytest.raises(FanlightError, match="E-TRAIN-003") as caught:
        model.fit(x, y, 16, verbose=0)
    assert "first/kernel is not finite" in str(caught.value.received)
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, 0)


def test_who_takes_nan_is_told_by_the_loss_alone() -> None:
    model = rooted()
    x, y = np.ones((16, 4), np.float32), np.ones((16, 1), np.float32)
    stop = fl.callbacks.TerminateOnNaN()
    history = model.fit(x, y, 16, epochs=3, verbose=0, callbacks=[stop]).history
    assert history["loss"][0] == 1 and not np.isfinite(history["loss"][1:]).any()


def test_what_was_not_finite_before_spoils_nothing() -> None:
    class Best(fl.layers.Layer):
        def build(self, shape: Any) -> None:
            self.best = self.add_weight((2,), "zeros", trainable=False, name="best")

        def call(self, x: Any) -> Any:
            return x

    best = Best()
    model = fl.Sequential([fl.Input((4,)), best, fl.layers.Dense(1)])
    model.compile("sgd", "mse")
    best.best.assign(np.float32([np.inf, 0]))
    x, y = np.ones((16, 4), np.float32), np.ones((16, 1), np.float32)
    assert len(model.fit(x, y, epochs=2, verbose=0).history["loss"]) == 2
    best.best.assign(np.float32([np.inf, np.nan]))
    assert len(model.fit(x, y, epochs=2, verbose=0).history["loss"]) == 2


def origins() -> dict[str, Any]:
    dense = fl.layers.Dense
    x = np.ones((8, 4), np.float32)
    y = np.ones((8, 1), np.float32)
    return {
        "the output of layer log (Log)": ([dense(2), Log(name="log"), dense(1)], x, y),
        "x is not finite": ([dense(1)], np.where(np.eye(8, 4) > 0, np.inf, x), y),
        "y is not finite": ([dense(1)], x, y * np.nan),
        "the loss is not finite": ([dense(1)], x * 1e30, y),
    }


@pytest.mark.parametrize("told", origins())
def test_the_error_names_where_it_began(told: str) -> None:
    layers, x, y = origins()[told]
    model = fl.Sequential([fl.Input((4,)), *layers])
    model.compile("sgd", "mse")
    with pytest.raises(FanlightError, match="E-TRAIN-003") as caught:
        model.fit(x, y, verbose=0)
    assert told in str(caught.value.received)


def test_one_step_alone_does_not_promise_the_weights_before() -> None:
    model = rooted()
    x, y = np.ones((16, 4), np.float32), np.ones((16, 1), np.float32)
    model.train_on_batch(x, y)
    with pytest.raises(FanlightError, match="E-TRAIN-003") as caught:
        model.train_on_batch(x, y)
    assert "before" not in str(caught.value.next)
    assert "the output of layer first (Dense)" in str(caught.value.received)


def test_an_interrupt_leaves_whole_steps() -> None:
    model = ready()

    class Stop(fl.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if batch == 1:
                raise KeyboardInterrupt

    x, y = np.ones((12, 4), np.float32), np.ones((12, 3), np.float32)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 4, verbose=0, callbacks=[Stop()])
    assert model.optimizer.iterations.item() == 2
    other = ready()
    other.fit(x[:8], y[:8], 4, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


class Broken(fl.callbacks.Callback):
    """Raises in the middle of an epoch, when its step with this number has begun or ended."""

    def __init__(self, error: BaseException, method: str, step: int = 0) -> None:
        super().__init__()
        setattr(self, method, self._break)
        self.error, self.step = error, step

    def _break(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == self.step:
            raise self.error


def noted(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize(
    ("error", "method", "at"),
    [
        (KeyboardInterrupt(), "on_train_batch_end", 0),
        (ValueError("own"), "on_train_batch_begin", 1),
    ],
)
def test_what_breaks_off_behind_a_spoiled_step_leaves_the_last_good_epoch(
    error: BaseException, method: str, at: int, eagerly: bool
) -> None:
    model = rooted()
    model.compile("sgd", "mse", run_eagerly=eagerly)
    x, y = np.ones((16, 4), np.float32), np.ones((16, 1), np.float32)
    with pytest.raises(type(error)) as caught:
        model.fit(x, y, 8, verbose=0, callbacks=[Broken(error, method, at)])
    assert caught.value is error
    told = noted(error)
    assert "E-TRAIN-003" in told and "epoch 1, step 1" in told and "before this epoch" in told
    assert "first/kernel is not finite; the gradient in layer root (Root)" in told
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, 0)
    assert model.optimizer.iterations.item() == 0


def test_a_dataset_that_breaks_behind_a_spoiled_step_leaves_the_last_good_epoch() -> None:
    def batches() -> Any:
        yield np.ones((8, 4), np.float32), np.ones((8, 1), np.float32)
        raise OSError("the file is gone")

    model = rooted()
    with pytest.raises(OSError, match="gone") as caught:
        model.fit(batches(), verbose=0)
    assert "before this epoch" in noted(caught.value)
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, 0)


def test_what_breaks_off_behind_good_steps_keeps_them() -> None:
    model, error = ready(), KeyboardInterrupt()
    x, y = np.ones((12, 4), np.float32), np.ones((12, 3), np.float32)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 4, verbose=0, callbacks=[Broken(error, "on_train_batch_end", 1)])
    assert model.optimizer.iterations.item() == 2 and not noted(error)


def test_what_breaks_off_is_left_to_who_takes_nan() -> None:
    model, error = rooted(), KeyboardInterrupt()
    x, y = np.ones((16, 4), np.float32), np.ones((16, 1), np.float32)
    parts = [Broken(error, "on_train_batch_end"), fl.callbacks.TerminateOnNaN()]
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 8, verbose=0, callbacks=parts)
    assert not np.isfinite(model.get_weights()[0]).all() and not noted(error)


def test_a_step_is_the_same_compiled_and_by_numpy() -> None:
    x = np.random.default_rng(0).random((12, 4), np.float32)
    y = x[:, :3] * 2
    found = []
    for eagerly in (False, True):
        model = ready(run_eagerly=eagerly, metrics=["mae"])
        history = model.fit(x, y, 5, epochs=3, shuffle=False, verbose=0).history
        found.append((history, model.get_weights()))
    for name, values in found[0][0].items():
        np.testing.assert_allclose(values, found[1][0][name], rtol=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)

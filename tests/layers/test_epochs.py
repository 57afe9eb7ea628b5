"""How many batches fit, evaluate and predict take of data, and what happens where they end."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError
from tests.layers.keras_oracle import keras


def network(library: Any = fl, rate: float = 0.01) -> Any:
    model = library.Sequential([library.Input((2,)), library.layers.Dense(1)])
    model.set_weights([np.ones((2, 1), np.float32), np.zeros(1, np.float32)])
    model.compile(library.optimizers.SGD(rate), "mse")
    return model


def batches(count: int, labels: bool = True) -> Iterator[Any]:
    """Batches that are told by their numbers."""
    for i in range(count):
        x = np.full((2, 2), i / 8, np.float32)
        yield (x, x[:, :1]) if labels else x


X, Y = np.ones((2, 2), np.float32), np.ones((2, 1), np.float32)


def counted(library: Any) -> Any:
    """A callback with the steps of each epoch, and those of validation."""

    class Counted(library.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.steps: list[int] = []
            self.tests: list[int] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.steps.append(0)
            self.tests.append(0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.steps[-1] += 1

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.tests[-1] += 1

    return Counted()


def fit(
    library: Any, *given: Any, rate: float = 0.01, **options: Any
) -> tuple[Any, Any, list[str]]:
    """History and counts of a training, and its warnings."""
    counts = counted(library)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = network(library, rate)
        history = model.fit(*given, verbose=0, callbacks=[counts], **options).history
    for w in found:
        if library is fl:
            assert w.filename == __file__, "a warning is told at the line of whoever called fit"
    return history, counts, [str(w.message) for w in found]


@pytest.mark.parametrize(
    ("count", "steps", "epochs"), [(6, 2, 3), (6, 3, 2), (9, 2, 3), (1, 1, 1), (4, 1, 4)]
)
def test_validation_takes_its_steps_and_no_batch_more(count: int, steps: int, epochs: int) -> None:
    options = {"validation_steps": steps, "epochs": epochs, "rate": 0.0}
    source = batches(count)
    ours, counts, told = fit(fl, X, Y, validation_data=source, **options)
    assert counts.tests == [steps] * epochs and not told
    each = (np.arange(steps * epochs) / 8) ** 2  # the loss of a batch
    np.testing.assert_allclose(ours["val_loss"], each.reshape(epochs, steps).mean(1), 1e-5)
    assert len(list(source)) == count - steps * epochs


def test_evaluate_and_predict_leave_the_next_batch() -> None:
    source = batches(5, labels=False)
    model = network()
    found = [model.predict(source, steps=2)[::2, 0] for _ in range(2)]
    np.testing.assert_allclose(found, [[0, 2 / 8], [4 / 8, 6 / 8]])
    assert next(source)[0, 0] == 4 / 8
    source = batches(5)
    losses = [model.evaluate(source, steps=1) for _ in range(5)]
    np.testing.assert_allclose(losses, [(i / 8) ** 2 for i in range(5)], 1e-6)


def test_fewer_batches_than_steps_are_told() -> None:
    model = network()
    with pytest.warns(UserWarning, match="steps is 3, and the data have ended after 2"):
        assert model.predict(batches(2, labels=False), steps=3).shape == (4, 1)
    with pytest.warns(UserWarning, match="steps is 9, and the data have ended after 1"):
        model.evaluate(X, Y, steps=9)
    for make in (
        lambda: model.evaluate(batches(0), steps=2),
        lambda: model.predict(batches(0, labels=False)),
        lambda: model.fit(batches(0), epochs=2, verbose=0),
    ):
        with pytest.raises(FanlightError) as error:
            make()
        assert error.value.code == "E-TRAIN-005"


# Of a generator that has given all, Keras trains on with the two batches that it had looked at.
@pytest.mark.parametrize(
    ("count", "steps", "epochs", "wanted", "told"),
    [
        (6, 2, 3, [2, 2, 2], []),
        (5, 2, 4, [2, 2, 1], ["this epoch ends after 1 of 2", "training ends after epoch 3 of 4"]),
        (4, 2, 4, [2, 2], ["training ends after epoch 2 of 4"]),
        (5, None, 1, [5], []),
        (5, None, 3, [5], ["training ends after epoch 1 of 3"]),
    ],
)
def test_a_generator_that_runs_dry_ends_training(
    count: int, steps: int | None, epochs: int, wanted: list[int], told: list[str]
) -> None:
    options = {"steps_per_epoch": steps, "epochs": epochs}
    ours, counts, found = fit(fl, batches(count), **options)
    theirs, _, _ = fit(keras, batches(count), **options)
    assert counts.steps == wanted
    np.testing.assert_allclose(ours["loss"], theirs["loss"][: len(wanted)], 1e-5)
    assert len(found) == len(told)
    assert all(t in f for t, f in zip(told, found, strict=True))


def test_validation_that_runs_dry_leaves_training_and_history() -> None:
    history, counts, told = fit(fl, X, Y, validation_data=batches(3), validation_steps=2, epochs=4)
    assert counts.steps == [1] * 4 and counts.tests == [2, 1, 0, 0]
    assert len(history["val_loss"]) == 2 and len(history["loss"]) == 4
    assert "validation_steps is 2" in told[0] and "no validation after epoch 2 of 4" in told[1]


@pytest.mark.parametrize(("rows", "steps", "epochs"), [(14, 2, 5), (8, 2, 4), (6, 5, 2), (6, 3, 2)])
@pytest.mark.parametrize("kind", ["arrays", "dataset"])
def test_epochs_end_where_rows_end_as_in_keras(
    kind: str, rows: int, steps: int, epochs: int
) -> None:
    x = np.linspace(-1, 1, rows * 2).reshape(rows, 2).astype(np.float32)
    y = x[:, :1] ** 2
    options = {"steps_per_epoch": steps, "epochs": epochs, "shuffle": False}
    theirs, wanted, warned = fit(keras, x, y, batch_size=2, **options)
    data = (x, y) if kind == "arrays" else (fl.data.from_arrays(x, y).batch(2),)
    ours, counts, told = fit(fl, *data, batch_size=2, **options)
    assert counts.steps == wanted.steps
    assert len(told) == len(warned)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], 1e-5)

"""Inputs with a last dim of size 1 more or less than the model has: put right, as Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.keras_oracle import close, keras

L = fl.layers
RNG = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def pair(*shape: int, flat: bool = False) -> tuple[Any, Any]:
    """A model and the same one of Keras, for examples of a shape."""
    fl.set_random_seed(1)
    ours = fl.Sequential([fl.Input(shape), *([L.Flatten()] if flat else []), L.Dense(2)])
    k = keras.layers
    theirs = keras.Sequential([keras.Input(shape), *([k.Flatten()] if flat else []), k.Dense(2)])
    theirs.set_weights(ours.get_weights())
    for module, model in ((fl, ours), (keras, theirs)):
        model.compile(module.optimizers.SGD(0.01), "mse", metrics=["mae"])
    return ours, theirs


CASES = {
    "a number each": ((1,), (6,)),
    "gray pictures": ((5, 4, 1), (3, 5, 4)),
    "a dim more": ((4,), (3, 4, 1)),
    "scalars": ((3, 1), (2, 3)),
    "a free length": ((None, 1), (2, 3)),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_last_dim_of_one_comes_and_goes(case: str) -> None:
    shape, given = CASES[case]
    ours, theirs = pair(*shape, flat=None not in shape)
    x = array(*given)
    expected = np.asarray(theirs(x))
    y = array(*expected.shape)
    close(ours(x), expected, "a call")
    close(ours.predict(x), theirs.predict(x, verbose=0), "predict")
    close(ours.evaluate(x, y), theirs.evaluate(x, y, verbose=0), "evaluate")
    options = {"epochs": 2, "verbose": 0, "batch_size": 2, "shuffle": False}
    losses = [m.fit(x, y, validation_data=(x, y), **options).history for m in (ours, theirs)]
    assert set(losses[0]) == set(losses[1])
    for name, values in losses[0].items():
        close(values, losses[1][name], f"fit, {name}", 1e-4)
    close(ours.train_on_batch(x, y), theirs.train_on_batch(x, y), "train_on_batch", 1e-4)
    close(ours.test_on_batch(x, y), theirs.test_on_batch(x, y), "test_on_batch", 1e-4)
    close(ours.get_weights()[0], theirs.weights[0].value, "weights", 1e-4)


def test_models_inside_models_and_classes_take_them_too() -> None:
    ours, theirs = pair(5, 4, 1, flat=True)
    x = array(3, 5, 4)

    class Own(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = ours

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    close(Own().predict(x), theirs.predict(x, verbose=0), "a class")
    begin, other = fl.Input((5, 4)), keras.Input((5, 4))
    outer = fl.Model(begin, ours(begin))
    assert outer.output_shape == theirs(other).shape == (None, 2)
    close(outer.predict(x), theirs.predict(x, verbose=0), "a model of models")


def test_a_class_of_ones_own_adjusts_nothing() -> None:
    class Own(fl.Model):
        def call(self, inputs: Any) -> Any:
            return fl.expand_dims(inputs, -1)

    assert Own().predict(array(4, 1)).shape == (4, 1, 1)


def test_masks_stay_with_what_is_adjusted() -> None:
    found: list[Any] = []

    class Seen(L.Layer):
        def call(self, inputs: Any, mask: Any = None) -> Any:
            found.append(mask)
            return inputs

    x = np.array([[1.0, 0.0, 2.0]], np.float32)[..., None]
    inner = fl.Sequential([fl.Input((3,)), Seen()])
    outer = fl.Sequential([fl.Input((3, 1)), L.Masking(), inner])
    outer(x)
    np.testing.assert_array_equal(found[-1].numpy(), [[True, False, True]])


@pytest.mark.filterwarnings("ignore:Do not pass an:UserWarning")  # Keras would have an Input
def test_a_normalization_of_one_column() -> None:
    x = np.array([1.0, 2.0, 3.0, 6.0], np.float32)
    made = []
    for module in (fl, keras):
        layer = module.layers.Normalization(input_shape=[1], axis=None)
        layer.adapt(x)
        model = module.Sequential([layer, module.layers.Dense(1, kernel_initializer="ones")])
        made.append(model.predict(x, verbose=0))
    close(*made, "normalized")


# --- columns of tables, and texts -----------------------------------------------------------------


def table() -> Any:
    inputs = {
        "size": fl.Input((1,), name="size"),
        "kind": fl.Input((1,), name="kind", dtype="string"),
    }
    looked = L.StringLookup(vocabulary=["x", "y"], output_mode="one_hot")(inputs["kind"])
    model = fl.Model(inputs, L.Dense(1)(L.concatenate([inputs["size"], looked])))
    model.compile("adam", "mse")
    return model


def columns(n: int = 8) -> dict[str, np.ndarray]:
    return {"size": np.arange(n, dtype=np.float32), "kind": np.array(["x", "y"] * (n // 2))}


def test_columns_of_numbers_and_texts() -> None:
    model, x, y = table(), columns(), np.ones(8, np.float32)
    wide = {k: v[:, None] for k, v in x.items()}
    expected = model.predict(wide)
    assert expected.shape == (8, 1)
    np.testing.assert_array_equal(model.predict(x), expected)
    np.testing.assert_allclose(model(x).numpy(), expected, rtol=1e-6, atol=1e-6)
    first = model.evaluate(x, y)
    assert first == model.evaluate(wide, y)
    assert model.fit(x, y, epochs=3, verbose=0).history["loss"][-1] < first


def test_columns_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = "\n".join(f"{i},{'xy'[i % 2]},{i * 2}" for i in range(8))
    path.write_text(f"size,kind,price\n{rows}\n")
    data = fl.data.from_csv(path, "price").batch(4)
    x, _ = next(iter(data))
    assert x["size"].shape == (4,)
    model = table()
    assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2
    np.testing.assert_allclose(model.predict(data), model.predict(columns()), rtol=1e-5)


# --- what does not fit ----------------------------------------------------------------------------


def wrong(model: Any, x: Any) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        model.fit(x, np.ones(8, np.float32), verbose=0)
    assert caught.value.code == "E-LAYER-001", str(caught.value)
    return caught.value


def test_the_input_that_does_not_fit_is_named() -> None:
    x = columns()
    error = wrong(table(), {**x, "size": array(8, 3)})
    assert "input size of" in error.message and error.received == "size: float32[8, 3]"
    error = wrong(table(), {"size": x["kind"], "kind": x["kind"]})
    assert "input size of" in error.message and error.received == "size: string[8]"
    error = wrong(table(), {"size": x["size"], "kind": x["size"]})
    assert "input kind of" in error.message and error.expected == "kind: string[None, 1]"
    model = fl.Model([a := fl.Input((2,), name="a"), b := fl.Input((2,), name="b")], a + b)
    model.compile("sgd", "mse")
    assert "input b of" in wrong(model, [array(8, 2), array(8, 3)]).message


@pytest.mark.parametrize(
    ("shape", "given", "advice"),
    [
        ((28, 28, 1), (28, 28, 1), "x[None] is a batch of one"),
        ((28, 28, 1), (3, 784), "x.reshape((-1, 28, 28, 1))"),
        ((784,), (3, 28, 28), "x.reshape((-1, 784))"),
        ((4,), (6,), None),
        ((4,), (6, 5), None),
    ],
)
def test_advice_is_of_what_came(
    shape: tuple[int, ...], given: tuple[int, ...], advice: str | None
) -> None:
    model, x = fl.Sequential([fl.Input(shape), L.Flatten(), L.Dense(1)]), array(*given)
    with pytest.raises(FanlightError) as caught:
        model(x)
    if advice is None:
        assert caught.value.next is None
        return
    assert caught.value.next is not None and advice in caught.value.next
    model(eval(advice.split(" ")[0] if "[None]" in advice else advice, {"x": x}))


def test_a_row_without_an_input_names_what_lacks() -> None:
    with pytest.raises(FanlightError, match=r"x\[:, None\]") as caught:
        fl.Sequential([L.Dense(1)]).predict(array(4))
    assert caught.value.code == "E-LAYER-001"

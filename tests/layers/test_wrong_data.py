"""What is given for data, functions and classes by mistake: errors say what came and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests import support

L = fl.layers
X, Y = np.ones((8, 4), np.float32), np.ones(8, np.float32)


def refused(code: str, call: Callable[[], Any], *words: str) -> str:
    """What the complete error of a call says."""
    return str(support.refused(code, call, *words))


def model(loss: Any = "mse", **options: Any) -> Any:
    made = fl.Sequential([fl.Input((4,)), L.Dense(1)])
    made.compile("sgd", loss, **options)
    return made


def batches() -> Any:
    yield X, Y


def test_sources_are_no_data() -> None:
    told = refused("E-TRAIN-002", lambda: model().fit(batches), "a function, batches")
    assert "call it: batches()" in told and "fl.data.from_generator(batches)" in told
    model().fit(batches(), verbose=0)
    made = fl.data.from_generator(lambda: iter(zip(X, Y, strict=True))).batch(4)
    assert len(model().fit(made, epochs=2, verbose=0).history["loss"]) == 2
    for x, what in (("x.csv", "a text, 'x.csv'"), (Path("x.csv"), "a path, x.csv")):
        for call in ("predict", "evaluate", "fit"):
            told = refused("E-TRAIN-002", lambda x=x, c=call: getattr(model(), c)(x), what)
            assert "fl.data.from_csv" in told
    refused("E-TRAIN-002", lambda: model().fit(dict, Y), "a class, dict")


def test_rows_in_a_list_are_no_inputs() -> None:
    rows = list(X)
    told = refused("E-TRAIN-002", lambda: model().fit(rows, Y), "x has 8 arrays", "one input")
    assert "np.stack(x)" in told and len(told) < 400
    model().fit(np.stack(rows), Y, verbose=0)
    unbuilt = fl.Sequential([L.Dense(1)])
    unbuilt.compile("sgd", "mse")
    assert "np.stack(x)" in refused("E-TRAIN-002", lambda: unbuilt.fit(rows, Y), "x has 8 arrays")
    two = fl.Model([a := fl.Input((4,)), b := fl.Input((4,))], a + b)
    two.compile("sgd", "mse")
    told = refused("E-TRAIN-002", lambda: two.predict([X, X, X]), "3 arrays, the model 2 inputs")
    assert "np.stack" not in told
    assert two.predict([X, X]).shape == (8, 4)


def test_objects_are_no_numbers() -> None:
    x = X.astype(object)
    advice = 'x.astype("float32")'
    assert advice in refused("E-TRAIN-002", lambda: model().fit(x, Y), "object[8, 4]")
    assert advice in refused("E-TENSOR-001", lambda: model()(x))
    told = refused("E-TRAIN-002", lambda: model().fit(X, Y.astype(object)), "object[8]")
    assert 'y.astype("float32")' in told
    x[2, 3] = "red"
    assert advice in refused("E-TRAIN-002", lambda: model().predict(x), "x[2, 3] is 'red'")
    texts = np.array([["a"], [np.nan]], object)
    assert 'fillna("")' in refused("E-TRAIN-002", lambda: model().predict(texts))


# --- what forgets its return ----------------------------------------------------------------------


class Forgets(L.Layer):
    def call(self, x: Any) -> Any:
        x + 1


class Forgetful(fl.Model):
    def call(self, x: Any) -> Any:
        x + 1


class Penalty(L.Layer):
    def call(self, x: Any) -> Any:
        self.add_loss(fl.sum(x))


def no_loss(y: Any, p: Any) -> Any:
    fl.mean(y - p)


class NoLoss(fl.losses.Loss):
    def call(self, y: Any, p: Any) -> Any:
        fl.mean(y - p)


def test_a_call_without_a_return_is_named() -> None:
    for given in (fl.Input((4,)), X):
        told = refused("E-LAYER-004", lambda x=given: Forgets(name="mine")(x), "layer mine (Forg")
        assert "end Forgets.call with return" in told
    made = Forgetful()
    made.compile("sgd", "mse")
    for call in (made, made.predict, lambda x: made.fit(x, Y)):
        refused("E-LAYER-004", lambda c=call: c(X), "(Forgetful) gives nothing")


def test_a_layer_may_give_a_penalty_alone() -> None:
    class Own(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.penalty = L.Dense(1), Penalty()

        def call(self, x: Any) -> Any:
            self.penalty(x)
            return self.last(x)

    made = Own()
    made.compile("sgd", lambda y, p: 0.0 * fl.mean(p))
    np.testing.assert_allclose(made.evaluate(X, Y), 32.0)


@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_without_a_return_is_named(eager: bool) -> None:
    told = refused("E-LAYER-004", lambda: model(no_loss, run_eagerly=eager).fit(X, Y), "no_loss")
    assert "with return" in told
    told = refused("E-LAYER-004", lambda: model(NoLoss(), run_eagerly=eager).fit(X, Y), "no_loss")
    assert "end NoLoss.call with return" in told
    made = model(metrics=[no_loss], run_eagerly=eager)
    refused("E-LAYER-004", lambda: made.fit(X, Y), "the metric no_loss gives nothing")


# --- validation, and files ------------------------------------------------------------------------


def test_errors_say_that_it_is_the_validation_data() -> None:
    where = "Where: the validation data, "
    cases: list[tuple[str, Any]] = [
        ("E-LAYER-001", (X[:, :3], Y)),
        ("E-TRAIN-002", (X,)),
        ("E-TRAIN-002", X),
        ("E-TRAIN-002", (X, Y[:3])),
        ("E-TRAIN-002", "valid.csv"),
    ]
    for code, data in cases:
        refused(code, lambda d=data: model().fit(X, Y, validation_data=d, verbose=0), where)
    assert where not in refused("E-TRAIN-002", lambda: model().fit(X, validation_data=(X, Y)))


def double(x: Any) -> Any:
    return x * 2


def test_a_file_says_how_a_function_gets_a_name(tmp_path: Path) -> None:
    for function, advice in (
        (double, "@fl.register() in the line above def double"),
        (lambda x: x * 2, "give it a name: @fl.register(), and below it def"),
    ):
        made = fl.Sequential([fl.Input((4,)), L.Lambda(function, name="twice")])
        told = refused("E-LAYER-004", lambda m=made: m.save(tmp_path / "m.keras"), "Lambda twice")
        assert advice in told
    assert not (tmp_path / "m.keras").exists()

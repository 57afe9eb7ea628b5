"""Models of classes of one's own: structures of inputs and outputs, as a functional model has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl

L = fl.layers
X = np.random.default_rng(0).random((20, 4), np.float32)
V = np.random.default_rng(1).random((20, 3), np.float32)


class Own(fl.Model):
    """Its `form` says what goes in and out."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.a, self.b = form, L.Dense(3), L.Dense(1)

    def call(self, inputs: Any) -> Any:
        if self.form == "dict in":
            return self.b(self.a(inputs["u"]) + inputs["v"])
        if self.form == "list in":
            return self.b(self.a(inputs[0]) + inputs[1])
        h = self.a(inputs[0] if self.form == "list of one" else inputs)
        y = self.b(h)
        return {"list out": [h, y], "dict out": {"h": h, "y": y}}.get(self.form, y)


def functional(form: str) -> Any:
    """The same of stand-ins."""
    u, v = fl.Input((4,), name="u"), fl.Input((3,), name="v")
    a, b = L.Dense(3), L.Dense(1)
    if form in ("dict in", "list in"):
        inputs = {"u": u, "v": v} if form == "dict in" else [u, v]
        return fl.Model(inputs, b(a(u) + v))
    h = a(u)
    y = b(h)
    outputs = {"list out": [h, y], "dict out": {"h": h, "y": y}}.get(form, y)
    return fl.Model(u, outputs)


@pytest.mark.parametrize("called", [True, False])
@pytest.mark.parametrize("form", ["dict in", "list in", "list of one", "list out", "dict out"])
def test_fit_and_predict_are_those_of_a_functional_model(form: str, called: bool) -> None:
    given = {"dict in": {"v": V, "u": X}, "list in": [X, V], "list of one": [X]}
    x: Any = given.get(form, X)
    # A dict of labels goes by the names of the outputs, in whatever order.
    y: Any = {"list out": [V, X[:, :1]], "dict out": {"y": X[:, :1], "h": V}}.get(form, X[:, :1])
    model, same = Own(form), functional(form)
    if called or form == "list of one":
        model({"u": X, "v": V} if form == "dict in" else x)
    for net in (model, same):
        net.compile("sgd", "mse")
    model.predict(x)  # is built
    model.set_weights(same.get_weights())
    found = model.fit(x, y, verbose=0, shuffle=False).history["loss"]
    want = same.fit(x, y, verbose=0, shuffle=False).history["loss"]
    np.testing.assert_allclose(found, want, rtol=1e-6)
    outputs, expected = model.predict(x), same.predict(x)
    assert type(outputs) is type(expected)
    if isinstance(expected, dict):
        assert list(outputs) == list(expected)
        outputs, expected = list(outputs.values()), list(expected.values())
    elif not isinstance(expected, list):
        outputs, expected = [outputs], [expected]
    for one, other in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_graph_takes_what_the_first_call_took() -> None:
    class Words(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.last = L.Embedding(10, 4), L.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.last(self.words(inputs).mean(1))

    model = Words()
    model(np.zeros((1, 5), np.int64))
    (value,) = model.graph.inputs
    assert (value.name, value.dtype, value.shape) == ("x", "int32", (1, 5))
    other = Own("dict in")
    other({"u": X, "v": V})
    assert [v.name for v in other.graph.inputs] == ["u", "v"]

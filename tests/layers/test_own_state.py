"""Layers, models and metrics of one's own that draw random numbers, and that assign what they keep:
op by op, compiled, and as a page trains them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.deploy import deployed
from tests.layers.test_deployed_layers import numbers, same

L: Any = fl.layers
M: Any = fl.Model
X = numbers(20, 4)
Y = numbers(20, 1, seed=1)


class Noise(L.Layer):
    """Draws in training as Keras's code does; of a generator where it is given a seed."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self.generator = None if seed is None else fl.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        x = x + fl.random.normal(x.shape, stddev=0.1, seed=self.generator)
        return fl.dropout(x, 0.2, seed=self.generator)


class Sampling(L.Layer):
    """Draws in training and otherwise, as an encoder of means does."""

    def call(self, x: Any) -> Any:
        return x + fl.random.normal(x.shape)


class Counter(L.Layer):
    """Counts its calls in training and keeps a running mean; what it gives depends on both."""

    def build(self, shape: Any) -> None:
        self.count = self.add_weight((), "zeros", "count", trainable=False)
        self.mean = self.add_weight((shape[-1],), "zeros", "mean", trainable=False)
        self.mean.assign(np.full(shape[-1], 0.5, np.float32))

    def call(self, x: Any, training: bool = False) -> Any:
        before = x * self.mean
        if training:
            self.count.assign_add(1.0)
            self.count.assign_add(1.0)
            self.mean.assign(0.9 * self.mean + 0.1 * fl.mean(x, 0))
        return before + self.mean * x + 0.01 * self.count


class TruePositives(fl.metrics.Metric):
    """The metric of Keras's documentation."""

    def __init__(self, name: str = "true_positives", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.true_positives = self.add_weight(shape=(), initializer="zeros", name="tp")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = fl.greater(y_true, 0.0), fl.greater(y_pred, 0.0)
        values = fl.cast(fl.logical_and(y_true, y_pred), self.dtype)
        self.true_positives.assign(self.true_positives + fl.sum(values))

    def result(self) -> Any:
        return self.true_positives


class Told(TruePositives):
    """The same by `update`; `result` is still Keras's."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        both = fl.logical_and(fl.greater(y_true, 0.0), fl.greater(y_pred, 0.0))
        self.update(self.true_positives, self.value(self.true_positives) + fl.sum(both))


def net(*layers: Any) -> Any:
    first = L.Dense(4, kernel_initializer=fl.initializers.GlorotUniform(seed=1))
    last = L.Dense(1, kernel_initializer=fl.initializers.GlorotUniform(seed=2))
    return fl.Sequential([fl.Input((4,)), first, *layers, last])


def fitted(model: Any, eager: bool, metrics: Any = None, seed: int = 3) -> Any:
    model.compile(fl.optimizers.SGD(0.05), "mse", metrics=metrics, run_eagerly=eager)
    model.set_random_key(seed)
    history = model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0).history
    assert model._steps is None or model._steps.compiled is not eager
    return history


# --- random numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 5])
def test_layers_draw_of_the_key_of_the_step(seed: int | None) -> None:
    eager = fitted(net(Noise(seed)), True)["loss"]
    compiled = fitted(net(Noise(seed)), False)["loss"]
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    assert eager == fitted(net(Noise(seed)), True)["loss"]
    assert eager != fitted(net(Noise(seed)), True, seed=4)["loss"]
    assert eager != fitted(net(), True)["loss"]
    model = net(Noise(seed))
    np.testing.assert_array_equal(model.predict(X), model.predict(X))


def test_a_model_of_ones_own_draws_in_its_call() -> None:
    class Own(M):
        def __init__(self) -> None:
            super().__init__()
            self.last = L.Dense(1, kernel_initializer=fl.initializers.GlorotUniform(seed=2))

        def call(self, x: Any, training: bool = False) -> Any:
            return self.last(x + fl.random.normal(x.shape) if training else x)

    np.testing.assert_allclose(fitted(Own(), False)["loss"], fitted(Own(), True)["loss"], rtol=1e-5)


@pytest.mark.parametrize("eager", [True, False])
def test_predict_and_evaluate_draw_anew(eager: bool) -> None:
    def run() -> list[Any]:
        fl.set_random_seed(1)
        model = net(Sampling())
        fitted(model, eager)
        found = [model.predict(X), model.predict(X)]
        return [*found, model.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0)]

    try:
        first, second = run(), run()
    finally:
        fl.set_random_seed(None)
    assert not np.array_equal(first[0], first[1]) and first[2] != first[3]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_page_draws_as_python_does() -> None:
    how = fl.training(fl.optimizers.SGD(0.05), "mse")
    same(net(Noise()), how, [X[:8]], Y[:8])
    same(net(Noise(5)), how, [X[:8]], Y[:8])


def test_what_is_built_without_a_key_is_refused() -> None:
    for layer in (Sampling(), L.Dropout(0.5)):
        x = fl.Input((4,))
        given = {"training": True} if isinstance(layer, L.Dropout) else {}
        model = fl.Model(x, L.Dense(1)(layer(L.Dense(4)(x), **given)))
        with pytest.raises(FanlightError, match="E-TENSOR-020") as caught:
            _ = model.graph
        assert "training" in str(caught.value.next)
        with pytest.raises(FanlightError, match="E-TENSOR-020"):
            deployed(model, fl.training("sgd", "mse"), None)


def test_a_generator_gives_other_numbers_at_every_draw() -> None:
    def drawn() -> list[Any]:
        generator = fl.random.SeedGenerator(7)
        return [fl.random.uniform((3,), seed=generator).tolist() for _ in range(3)]

    first = drawn()
    assert first == drawn() and first[0] != first[1] != first[2]
    generator = fl.random.SeedGenerator.from_config(fl.random.SeedGenerator(7).get_config())
    assert fl.random.uniform((3,), seed=generator).tolist() == first[0]
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.random.SeedGenerator("seven")  # type: ignore[arg-type]
    with pytest.raises(FanlightError, match="E-TENSOR-020"):
        fl.jit(lambda x: x + fl.random.normal((3,), seed=generator))(fl.ones(3))


def test_random_numbers_follow_the_seed_of_the_program() -> None:
    def drawn() -> Any:
        fl.set_random_seed(3)
        return fl.random.normal((4,)).tolist()

    try:
        assert drawn() == drawn()
    finally:
        fl.set_random_seed(None)


# --- what is assigned -----------------------------------------------------------------------------


def test_a_layer_reads_what_it_has_assigned() -> None:
    eager, compiled = net(Counter()), net(Counter())
    wanted = fitted(eager, True)["loss"]
    np.testing.assert_allclose(fitted(compiled, False)["loss"], wanted, rtol=1e-5)
    for one, other in zip(eager.weights, compiled.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)
    assert eager.layers[1].count.item() == 2 * 9  # 3 epochs of 3 batches
    before = eager.layers[1].mean.numpy()
    eager.predict(X)
    np.testing.assert_array_equal(eager.layers[1].mean.numpy(), before)


def test_gradients_are_of_what_was_read_before_the_assignment() -> None:
    class Scale(L.Layer):
        def build(self, shape: Any) -> None:
            self.own = self.add_weight((), "ones", "own", trainable=False)

        def call(self, x: Any) -> Any:
            y = x * self.own
            self.own.assign(100.0)
            return y

    for eager in (True, False):
        learnt = []
        for model in (net(Scale()), net()):
            model.compile(fl.optimizers.SGD(0.05), "mse", run_eagerly=eager)
            model.fit(X, Y, batch_size=20, verbose=0)
            learnt.append(model.layers[0].kernel.numpy())
        np.testing.assert_allclose(learnt[0], learnt[1], rtol=1e-6)


def test_a_layer_called_by_itself_assigns_at_once() -> None:
    layer = Counter()
    layer(X, training=True)
    assert layer.count.item() == 2.0 and layer.built
    layer(X, training=True)
    assert layer.count.item() == 4.0


def test_two_variables_change_places() -> None:
    class Swap(L.Layer):
        def build(self, shape: Any) -> None:
            self.a = self.add_weight((), "zeros", "a", trainable=False)
            self.b = self.add_weight((), "ones", "b", trainable=False)

        def call(self, x: Any) -> Any:
            a = self.a + 0.0
            self.a.assign(self.b)
            self.b.assign(a)
            return x

    for eager in (True, False):
        model = net(Swap())
        fitted(model, eager)
        assert (model.layers[1].a.item(), model.layers[1].b.item()) == (1.0, 0.0)


def test_a_variable_of_nobody_is_computed_by_numpy() -> None:
    own = fl.variable(0.0)

    class Outside(L.Layer):
        def call(self, x: Any) -> Any:
            own.assign_add(1.0)
            return x

    model = net(Outside())
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=10, verbose=0)
    assert own.item() == 2.0 and "add_weight" in model._steps.why
    with pytest.raises(FanlightError, match="E-TENSOR-021"):
        deployed(model, fl.training("sgd", "mse"), None)


@pytest.mark.parametrize("kind", [TruePositives, Told])
def test_metrics_as_keras_has_them(kind: type[Any]) -> None:
    found = []
    for eager in (True, False):
        model = net()
        told = fitted(model, eager, [kind()])["true_positives"]
        logs = model.evaluate(X, Y, batch_size=8, verbose=0, return_dict=True)
        assert logs["true_positives"] == int(((model.predict(X) > 0) & (Y > 0)).sum()) > 0
        found.append(told)
    assert found[0] == found[1] and found[0][0] > 0
    alone = kind()
    alone.update_state(Y, Y)
    assert float(alone.result()) == int((Y > 0).sum())
    alone.reset_state()
    assert float(alone.result()) == 0.0


def test_a_step_of_ones_own_assigns() -> None:
    class Own(M):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.last = Counter(), L.Dense(1)
            self.own = TruePositives()

        def call(self, x: Any, training: bool = False) -> Any:
            return self.last(self.layer(x, training=training))

        def train_step(self, data: Any) -> dict[str, Any]:
            x, y = data
            loss, grads = self.value_and_grads(lambda: fl.mean((self(x, training=True) - y) ** 2))
            self.optimizer.apply(grads, self.trainable_weights)
            self.own.update_state(y, y)
            return {"loss": loss, "tp": self.own.result(), "count": self.layer.count}

    model = Own()
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=10, epochs=2, verbose=0).history
    assert history["count"] == [4.0, 8.0] and model.layer.count.item() == 8.0
    assert history["tp"] == [int((Y > 0).sum())] * 2


def test_a_page_assigns_as_python_does() -> None:
    how = fl.training(fl.optimizers.SGD(0.05), "mse", metrics=[TruePositives()])
    same(net(Counter()), how, [X[:8]], Y[:8], tested=True)


class Jitter(fl.layers.Layer):
    """Adds noise at every turn of a loop, in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def call(self, x: Any) -> Any:
        turns = fl.transpose(x)  # [4, examples]
        begin = fl.zeros((x.shape[0],))
        if self.way == "within":
            return fl.scan(lambda c, t: (c + t + fl.random.normal(c.shape), c), begin, turns)[0]
        if self.way == "before":
            noise = fl.random.normal(turns.shape)
            return fl.scan(lambda c, t: (c + t, c), begin, turns + noise)[0]
        key = fl.random.SeedGenerator(3).next()

        def turn(c: Any, t: Any) -> Any:
            total, i = c
            noise = fl.random.normal(total.shape, key=fl.random.fold_in(key, i))
            return (total + t + noise, i + 1), total

        return fl.scan(turn, (begin, fl.tensor(0)), turns)[0][0]


def test_a_draw_in_the_body_of_a_loop_is_told_where_to_go() -> None:
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(FanlightError, match="E-TENSOR-020") as caught:
        fl.Sequential([fl.Input((4,)), Jitter("within")])
    assert "before" in str(caught.value.next) and "fl.random.fold_in" in str(caught.value.next)
    for way in ("before", "key"):  # as the error says
        found = fl.Sequential([fl.Input((4,)), Jitter(way)]).predict(x)
        assert found.shape == (3,) and len(set(found.tolist())) == 3

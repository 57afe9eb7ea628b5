"""Classes that say their steps themselves: train_step and its like, with Keras's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

L = fl.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = (X @ RNG.normal(size=(4, 1))).astype(np.float32)


class Net(fl.Model):
    """A class of one's own that is trained as all are."""

    def __init__(self) -> None:
        super().__init__()
        self.first = L.Dense(5, "tanh", kernel_regularizer="l2")
        self.norm, self.drop = L.BatchNormalization(), L.Dropout(0.0)
        self.last = L.Dense(1)
        self.steps = 0

    def call(self, inputs: Any, training: bool = False) -> Any:
        x = self.norm(self.first(inputs), training=training)
        return self.last(self.drop(x, training=training))


class Stepwise(Net):
    """Says what Keras's train_step and test_step do."""

    def train_step(self, data: Any) -> Any:
        x, y, w = (*data, None)[:3]
        self.steps += 1  # Python of the step runs in every step

        def loss() -> Any:
            self.predicted = self(x, training=True)
            return self.compute_loss(x, y, self.predicted, w)

        value, grads = self.value_and_grads(loss)
        self.optimizer.apply(grads, self.trainable_weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(value, float(x.shape[0]))
            else:
                metric.update_state(y, self.predicted)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data: Any) -> Any:
        x, y, w = (*data, None)[:3]
        predicted = self(x, training=False)
        value = self.compute_loss(x, y, predicted, w, training=False)
        self.metrics[0].update_state(value, float(x.shape[0]))
        return self.compute_metrics(x, y, predicted, w)


class WithSuper(Net):
    """Adds something to the step that there is."""

    def train_step(self, data: Any) -> Any:
        self.steps += 1
        return super().train_step(data)

    def predict_step(self, data: Any) -> Any:
        return super().predict_step(data) * 2.0


class Loss(Net):
    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        self.steps += 1
        return super().compute_loss(x, y, y_pred, sample_weight, training)


def made(kind: type[Any], optimizer: Any = "adam", **options: Any) -> Any:
    fl.set_random_seed(3)
    model = kind()
    model(X[:1])
    for i, w in enumerate(model.trainable_weights):
        w.assign(np.random.default_rng(i).normal(size=w.shape).astype(np.float32))
    options = {"loss": "mse", "metrics": ["mae"]} | options
    model.compile(optimizer, **options)
    return model


@pytest.mark.parametrize("kind", [Stepwise, WithSuper, Loss])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_steps_give_the_same_numbers(kind: type[Any], weighted: bool) -> None:
    w = np.linspace(0.5, 2, 24).astype(np.float32) if weighted else None
    plain, own = made(Net), made(kind)
    options = {"epochs": 3, "shuffle": False, "verbose": 0, "sample_weight": w}
    options["validation_data"] = (X[:8], Y[:8])
    want, found = (m.fit(X, Y, 7, **options).history for m in (plain, own))
    assert list(found) == list(want)
    for name in want:
        np.testing.assert_allclose(found[name], want[name], rtol=2e-4, err_msg=name)
    for a, b in zip(plain.weights, own.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5, err_msg=a.path)
    assert own.optimizer.iterations.item() == plain.optimizer.iterations.item() == 12
    assert own.steps >= 12 and plain.steps == 0
    np.testing.assert_allclose(own.evaluate(X, Y), plain.evaluate(X, Y), rtol=1e-4)
    np.testing.assert_allclose(own.train_on_batch(X, Y), plain.train_on_batch(X, Y), rtol=1e-4)
    factor = 2.0 if kind is WithSuper else 1.0
    np.testing.assert_allclose(own.predict(X), factor * plain.predict(X), rtol=1e-3, atol=1e-5)


def test_a_subclass_of_stand_ins_may_say_its_step() -> None:
    class Shifted(fl.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            value, grads = self.value_and_grads(
                lambda: fl.mean(fl.square(self(x, training=True) - y - 1.0))
            )
            self.optimizer.apply(grads, self.trainable_weights)
            return {"loss": value}

    i = fl.Input((4,))
    model = Shifted(i, L.Dense(1)(i))
    model.compile(fl.optimizers.Adam(0.1))
    told = model.fit(X, Y, 24, epochs=60, verbose=0)
    assert told.history["loss"][-1] < 0.1 < told.history["loss"][0]
    np.testing.assert_allclose(model.predict(X), Y + 1, atol=0.6)


class Adversaries(fl.Model):
    """Two networks with an optimizer each, and no call: as in Keras's examples of GANs."""

    def __init__(self) -> None:
        super().__init__()
        self.judge, self.maker = L.Dense(1, name="judge"), L.Dense(2, name="maker")
        self.judge_loss = fl.metrics.Mean("judge_loss")
        self.seen: list[Any] = []

    def compile(self, judge: Any, maker: Any) -> None:
        super().compile()
        self.by_judge, self.by_maker = judge, maker

    @property
    def metrics(self) -> Any:
        return [self.judge_loss]

    def train_step(self, data: Any) -> Any:
        noise = fl.random.normal((8, 3), key=fl.random.key(len(self.seen)))
        made = self.maker(noise)

        def judged() -> Any:
            return fl.mean(self.judge(made)) - fl.mean(self.judge(data))

        if not self.judge.trainable_weights:
            self.judge(data)
        value, grads = self.value_and_grads(judged, self.judge.trainable_weights)
        before = self.judge.get_weights()[0]
        self.by_judge.apply(grads, self.judge.trainable_weights)
        # The second network sees what the first has become.
        self.seen.append(np.abs(self.judge.get_weights()[0] - before).max())
        _, grads = self.value_and_grads(
            lambda: -fl.mean(self.judge(self.maker(noise))), self.maker.trainable_weights
        )
        self.by_maker.apply(grads, self.maker.trainable_weights)
        self.judge_loss.update_state(value)
        return {"judge_loss": self.judge_loss.result(), "gap": value}


def test_two_optimizers_each_see_what_the_other_did() -> None:
    fl.set_random_seed(0)
    model = Adversaries()
    real = X[:, :2]
    model.compile(fl.optimizers.SGD(0.1), fl.optimizers.SGD(0.2))
    told = model.fit(real, batch_size=8, epochs=2, verbose=0)
    assert list(told.history) == ["judge_loss", "gap"] and len(told.history["gap"]) == 2
    assert len(model.seen) == 6 and min(model.seen) > 1e-4
    assert model.by_judge.iterations.item() == model.by_maker.iterations.item() == 6
    assert np.isfinite(told.history["judge_loss"]).all()


def test_metrics_begin_anew_with_every_epoch() -> None:
    class Counting(Net):
        def __init__(self) -> None:
            super().__init__()
            self.count = fl.metrics.Sum("count")

        def train_step(self, data: Any) -> Any:
            self.count.update_state(fl.ones((int(data[0].shape[0]),)))
            return super().train_step(data)

    told = made(Counting).fit(X, Y, 5, epochs=2, verbose=0)
    assert told.history["count"] == [24, 24]
    assert made(Counting).metrics_names == ["count"]  # the others when the model has outputs


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    class Broken(Net):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return fl.mean(y_pred) / 0.0  # and it takes no `training`, as in older Keras

    model = made(Broken)
    before = model.get_weights()
    with pytest.raises(FanlightError) as caught:
        model.fit(X, Y, verbose=0)
    assert caught.value.code == "E-TRAIN-003"
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_that_say_nothing() -> None:
    class Silent(Net):
        def train_step(self, data: Any) -> Any:
            return None

    class Function(Net):
        def make_train_function(self) -> Any:
            return None

    with pytest.raises(FanlightError, match="train_step does not say") as caught:
        made(Silent).fit(X, Y, verbose=0)
    assert caught.value.code == "E-TRAIN-001" and caught.value.expected
    with pytest.raises(FanlightError, match="make_train_function is not called") as caught:
        made(Function)
    assert "train_step" in str(caught.value.next)
    model = made(Loss, loss=None, metrics=None)
    model.first.kernel.regularizer = None
    with pytest.raises(FanlightError, match="there is no loss to compute"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(FanlightError, match="only a loss of one number") as caught:
        model.value_and_grads(lambda: model(X))
    assert caught.value.code == "E-TENSOR-005"


def test_random_layers_draw_other_numbers_in_every_step_and_the_same_of_a_seed() -> None:
    class Noisy(fl.Model):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.sums = L.Dropout(0.5), []

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.drop(inputs, training=training)

        def train_step(self, data: Any) -> Any:
            self.sums.append(float(fl.sum(self(data[0], training=True)).item()))
            return {"loss": 0.0}

    runs = []
    for _ in range(2):
        fl.set_random_seed(5)
        model = Noisy()
        model.compile("sgd")
        model.fit(np.ones((8, 3), np.float32), np.ones(8), 4, epochs=2, verbose=0)
        runs.append(model.sums)
    assert runs[0] == runs[1] and len(set(runs[0])) > 1


def test_what_says_its_steps_does_not_learn_in_a_page(tmp_path: Path) -> None:
    with pytest.raises(FanlightError) as caught:
        fl.build(
            made(Stepwise), tmp_path / "a", train=fl.training("adam", "mse"), dims={"batch": 8}
        )
    assert caught.value.code == "E-BUILD-005"
    assert "train_step, test_step" in str(caught.value.received) and not (tmp_path / "a").exists()
    with fl.build(made(Stepwise), tmp_path / "b") as bundle:
        (found,) = bundle.run({"x": X[:1]}).values()
    assert found.shape == (1, 1)

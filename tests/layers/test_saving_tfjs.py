"""TF.js loads what we save, answers alike and trains on; we load what TF.js saves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import saving
from tests.conformance import IN_TFJS, counted
from tests.layers import nets
from tests.layers.nets import L
from tests.layers.tfjs_peer import run

O = fl.optimizers  # noqa: E741


def losses(model: Any, x: Any, y: Any) -> list[float]:
    options = {"epochs": 3, "verbose": 0, "shuffle": False, "batch_size": 8}
    return list(model.fit(nets.one(x), nets.one(y), **options).history["loss"])


def plain_cnn() -> Any:
    x = i = fl.Input((8, 8, 3), name="picture")
    x = L.Conv2D(4, 3, padding="same", use_bias=False, name="c1")(x)
    x = L.BatchNormalization(name="bn1")(x)
    x = y = L.ReLU(name="r1")(x)
    x = L.DepthwiseConv2D(3, padding="same", name="dw")(x)
    x = L.LeakyReLU(0.1, name="leaky")(x)
    x = L.Concatenate(name="cat")([x, y])
    x = L.ZeroPadding2D(1, name="pad")(L.AveragePooling2D(2, name="pool")(x))
    x = L.SeparableConv2D(4, 2, name="sep")(x)
    x = L.GlobalMaxPooling2D(name="gap")(x)
    x = L.LayerNormalization(name="ln")(L.Reshape((4,), name="re")(x))
    return fl.Model(i, L.Dense(3, "softmax", name="head")(x), name="cnn")


def old_rnn() -> Any:
    return nets.rnn(reset_after=False)


def convolved_sequence() -> Any:
    """The cell alone is part of no model of TF.js: it is written as the layer that it is in."""
    cell = L.ConvLSTM2DCell(2, 2, padding="same", recurrent_activation="hard_sigmoid_2")
    layers = [
        fl.Input((3, 5, 4, 2)),
        L.ConvLSTM2D(3, (2, 3), strides=2, padding="same", return_sequences=True, name="first"),
        L.RNN(cell, name="second", unroll=True),
        L.Flatten(name="flat"),
        L.Dense(2, name="head"),
    ]
    return fl.Sequential(layers)


CASES: list[tuple[Callable[[], Any], Callable[[], Any], Any]] = [
    (nets.dense, lambda: O.SGD(0.1), "mse"),
    (nets.shared, lambda: O.Adam(0.01), {"inner": "mse", "sum": "mae"}),
    (nets.shared, lambda: O.SGD(0.1, momentum=0.9, nesterov=True), ["mse", "mae"]),
    (plain_cnn, lambda: O.RMSprop(0.01, momentum=0.3), "categorical_crossentropy"),
    (old_rnn, lambda: O.Adagrad(0.1), "mse"),
    (convolved_sequence, lambda: O.SGD(0.1), "mse"),
]


@pytest.mark.parametrize(("make", "optimizer", "loss"), CASES)
def test_tfjs_trains_on_and_gives_back(
    make: Callable[[], Any], optimizer: Callable[[], Any], loss: Any, tmp_path: Path
) -> None:
    model = make()
    model.compile(optimizer(), loss)
    x, y = nets.inputs_of(model), nets.labels_of(model)
    losses(model, x, y)
    want = nets.predicted(model, x)
    model.save(tmp_path / "ours")
    answer = run(
        load=str(tmp_path / "ours"), inputs=x, labels=y, epochs=3, save=str(tmp_path / "js"), more=3
    )
    for ours, theirs in zip(want, answer["before"], strict=True):
        np.testing.assert_allclose(np.reshape(theirs, ours.shape), ours, rtol=0, atol=1e-5)
    again = fl.load_model(tmp_path / "ours" / "model.json")
    assert losses(again, x, y) == pytest.approx(losses(model, x, y), abs=1e-6)
    assert answer["loss"] == pytest.approx(model.history.history["loss"], abs=1e-4)
    back = fl.load_model(tmp_path / "js")
    for ours, theirs in zip(nets.predicted(back, x), answer["after"], strict=True):
        np.testing.assert_allclose(np.reshape(theirs, ours.shape), ours, rtol=0, atol=1e-5)
    assert losses(back, x, y) == pytest.approx(answer["more"], abs=1e-4)
    counted(IN_TFJS, 1, of=1)


def test_adamax_goes_to_tfjs_and_begins_anew_there(tmp_path: Path) -> None:
    """TF.js keeps no state of it, not even its own."""
    model = nets.dense()
    model.compile(O.Adamax(0.02, beta_1=0.8, epsilon=1e-6), "mse")
    x, y = nets.inputs_of(model), nets.labels_of(model)
    model.save(tmp_path / "fresh")
    losses(model, x, y)
    with pytest.warns(UserWarning, match="TF.js keeps no state of Adamax"):
        model.save(tmp_path / "used")
    for name in ("fresh", "used"):
        again = fl.load_model(tmp_path / name)
        options = ("learning_rate", "beta_1", "beta_2", "epsilon")
        for option in options:
            want = model.optimizer.get_config()[option]
            assert again.optimizer.get_config()[option] == pytest.approx(want)
        assert again.optimizer.iterations.item() == 0
        answer = run(load=str(tmp_path / name), inputs=x, labels=y, epochs=5)
        options = {"epochs": 5, "verbose": 0, "shuffle": False, "batch_size": 8}
        found = again.fit(nets.one(x), nets.one(y), **options).history["loss"]
        assert found == pytest.approx(answer["loss"], abs=1e-4)


class AdadeltaOfTFJS(O.Adadelta):
    """What TF.js calls so: it divides by the spread of the gradients before this one."""

    def step(self, weight: Any, grad: Any, rate: Any, slots: dict[str, Any]) -> Any:
        grads, moves = slots["accumulated_grad"], slots["accumulated_delta_var"]
        move = grad * fl.sqrt(moves + self.epsilon) / fl.sqrt(grads + self.epsilon)
        changed = {
            "accumulated_grad": self.rho * grads + (1.0 - self.rho) * grad * grad,
            "accumulated_delta_var": self.rho * moves + (1.0 - self.rho) * move * move,
        }
        return weight - rate * move, changed


def test_adadelta_goes_on_in_tfjs_by_its_steps_and_comes_back(tmp_path: Path) -> None:
    model = nets.dense()
    model.compile(O.Adadelta(0.5, rho=0.9, epsilon=1e-5), "mse")
    x, y = nets.inputs_of(model), nets.labels_of(model)
    with pytest.warns(UserWarning, match="Adadelta in TF.js divides by the spread before a step"):
        model.save(tmp_path / "fresh")
    losses(model, x, y)
    with pytest.warns(UserWarning, match="by other steps"):
        model.save(tmp_path / "used")
    for name in ("fresh", "used"):
        again = fl.load_model(tmp_path / name)
        assert again.optimizer.iterations.item() == (0 if name == "fresh" else 3)
        theirs = AdadeltaOfTFJS(0.5, rho=0.9, epsilon=1e-5)
        theirs.build(again.trainable_weights)
        again.optimizer.build(again.trainable_weights)
        if name == "used":
            own = model.optimizer.variables
            for a, b in zip(own, again.optimizer.variables, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())
        for a, b in zip(theirs.variables, again.optimizer.variables, strict=True):
            a.assign(b.numpy())
        again.compile(theirs, "mse")
        folder = str(tmp_path / f"{name} of TF.js")
        answer = run(load=str(tmp_path / name), inputs=x, labels=y, epochs=3, save=folder)
        assert losses(again, x, y) == pytest.approx(answer["loss"], abs=1e-4)
        back = fl.load_model(folder)
        assert type(back.optimizer) is O.Adadelta
        for a, b in zip(theirs.variables, back.optimizer.variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-6)
        losses(back, x, y)


def test_the_falling_rate_of_adamax_in_tfjs(tmp_path: Path) -> None:
    model = nets.dense()
    model.compile(O.Adamax(0.05), "mse")
    x, y = nets.inputs_of(model), nets.labels_of(model)
    model.save(tmp_path)
    path = tmp_path / "model.json"
    described = json.loads(path.read_text())
    described["trainingConfig"]["optimizer_config"]["config"]["decay"] = 0.7
    path.write_text(json.dumps(described))
    answer = run(load=str(tmp_path), inputs=x, labels=y, epochs=3)
    assert losses(fl.load_model(tmp_path), x, y) == pytest.approx(answer["loss"], abs=1e-4)


MADE_BY_TFJS = [
    """const m = tf.sequential();
    m.add(tf.layers.conv2d({filters: 3, kernelSize: 3, inputShape: [6, 6, 2], activation: "relu"}));
    m.add(tf.layers.batchNormalization());
    m.add(tf.layers.flatten());
    m.add(tf.layers.dense({units: 2, activation: "hardSigmoid", kernelInitializer: "leCunNormal",
      kernelRegularizer: tf.regularizers.l1l2({l1: 0.01})}));
    m.compile({optimizer: "adam", loss: "meanSquaredError", metrics: ["mae"]}); return m;""",
    """const m = tf.sequential();
    m.add(tf.layers.bidirectional({layer: tf.layers.lstm({units: 3, returnSequences: true}),
      inputShape: [4, 3]}));
    m.add(tf.layers.timeDistributed({layer: tf.layers.dense({units: 3})}));
    m.add(tf.layers.rnn({cell: [tf.layers.lstmCell({units: 2}), tf.layers.gruCell({units: 3})]}));
    m.add(tf.layers.dense({units: 2}));
    m.compile({optimizer: tf.train.rmsprop(0.01), loss: "meanSquaredError"}); return m;""",
    """const m = tf.sequential();
    m.add(tf.layers.convLstm2d({filters: 2, kernelSize: 2, strides: 2, inputShape: [3, 4, 4, 2]}));
    m.add(tf.layers.flatten());
    m.add(tf.layers.dense({units: 2}));
    m.compile({optimizer: tf.train.sgd(0.1), loss: "meanSquaredError"}); return m;""",
    """const i = tf.input({shape: [4]}), j = tf.input({shape: [4]});
    const d = tf.layers.dense({units: 3});
    const inner = tf.sequential({layers: [tf.layers.dense({units: 2, inputShape: [3]})]});
    const s = tf.layers.add().apply([d.apply(i), d.apply(j)]);
    const m = tf.model({inputs: [i, j], outputs: inner.apply(s)});
    m.compile({optimizer: tf.train.momentum(0.05, 0.9), loss: "meanAbsoluteError"}); return m;""",
]


@pytest.mark.parametrize("script", MADE_BY_TFJS)
def test_models_that_tfjs_has_made(script: str, tmp_path: Path) -> None:
    shapes = {0: [(8, 6, 6, 2)], 1: [(8, 4, 3)], 2: [(8, 3, 4, 4, 2)], 3: [(8, 4), (8, 4)]}[
        MADE_BY_TFJS.index(script)
    ]
    x = [nets.numbers(*s, seed=i) for i, s in enumerate(shapes)]
    y = [np.abs(nets.numbers(8, 2))]
    answer = run(script=script, inputs=x, labels=y, epochs=2, save=str(tmp_path), more=3)
    model = fl.load_model(tmp_path)
    for ours, theirs in zip(nets.predicted(model, x), answer["after"], strict=True):
        np.testing.assert_allclose(np.reshape(theirs, ours.shape), ours, rtol=0, atol=1e-5)
    assert losses(model, x, y) == pytest.approx(answer["more"], abs=1e-4)
    topology = json.loads((tmp_path / "model.json").read_text())["modelTopology"]
    other = fl.model_from_json(json.dumps(topology))
    assert [w.shape for w in other.weights] == [w.shape for w in model.weights]


def test_what_tfjs_cannot_have_is_refused(tmp_path: Path) -> None:
    i = fl.Input((4, 3))
    x = L.GRU(2, return_sequences=True, name="gru")(i)
    x = L.GroupNormalization(2, name="group")(x)
    x = L.Dense(3, "hard_sigmoid", name="dense")(x)
    model = fl.Model(i, x)
    with pytest.raises(FanlightError) as caught:
        model.save(tmp_path / "m")
    assert caught.value.code == "E-LAYER-009"
    for part in ("gru (GRU): reset_after", "group (GroupNormalization)", "hard_sigmoid of Keras 3"):
        assert part in str(caught.value)
    assert not (tmp_path / "m").exists()
    row = nets.dense()
    row.compile(O.Adam(0.1, clipnorm=1.0), "huber", loss_weights=[0.5], metrics=["auc"])
    with pytest.raises(FanlightError) as caught:
        row.save(tmp_path / "m")
    assert caught.value.code == "E-LAYER-009"
    for part in ("clipnorm", "the loss huber", "loss_weights", "the metric auc"):
        assert part in str(caught.value)
    row.save(tmp_path / "m", include_optimizer=False)
    assert fl.load_model(tmp_path / "m").optimizer is None
    row.save(tmp_path / "m", include_optimizer=False)  # over the older one
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(FanlightError, match="E-LAYER-010"):
        row.save(tmp_path / "m", include_optimizer=False)
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


def test_the_files_of_a_large_model_are_shards(tmp_path: Path) -> None:
    model = nets.shaken(nets.dense())
    saving.write_tfjs(model, tmp_path / "m", shard_bytes=64)
    names = sorted(p.name for p in (tmp_path / "m").iterdir())
    assert names == ["group1-shard1of3.bin", "group1-shard2of3.bin", "group1-shard3of3.bin",
                     "model.json"]  # fmt: skip
    x = nets.inputs_of(model)
    again = fl.load_model(tmp_path / "m")
    np.testing.assert_array_equal(nets.predicted(again, x)[0], nets.predicted(model, x)[0])


def test_optimizers_have_a_package_in_files_of_later_keras_2(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2)])
    model.save(tmp_path / "web")
    file = tmp_path / "web" / "model.json"
    described = json.loads(file.read_text())
    optimizer = {"class_name": "Custom>Adam", "config": {"learning_rate": 0.004}}
    told = {"loss": "mse", "metrics": None, "optimizer_config": optimizer}
    described["modelTopology"]["training_config"] = told
    file.write_text(json.dumps(described))
    assert type(fl.load_model(file).optimizer) is fl.optimizers.Adam
    optimizer["class_name"] = "Custom>Other"
    file.write_text(json.dumps(described))
    with pytest.raises(fl.FanlightError, match="'Custom>Other'") as caught:
        fl.load_model(file)
    assert caught.value.code == "E-LAYER-003"

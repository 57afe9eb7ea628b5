"""Models of classes of one's own that a page trains, in Chromium: the numbers of Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import config

pytestmark = pytest.mark.chromium
L = fl.layers
HOW = {"batch_size": 8, "epochs": 7, "shuffle": False, "verbose": 0}  # 21 steps
SEED = 11


class Net(fl.Model):
    """Its attributes are not in the order of its calls: files and fit must not mind."""

    def __init__(self, units: int = 9, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.z_first = L.Dense(units, activation="relu", kernel_regularizer="l2")
        self.norm, self.drop = L.BatchNormalization(), L.Dropout(0.3)
        self.rest = [L.Dense(units, activation="tanh"), L.Dense(3, activation="softmax")]

    def call(self, inputs: Any, training: bool = False) -> Any:
        x = self.drop(self.norm(self.z_first(inputs)), training=training)
        for layer in self.rest:
            x = layer(x) + 0.0
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Named(fl.Model):
    """A dict of inputs, of which one has whole numbers, and a dict of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.a, self.b = L.Embedding(10, 4), L.Dense(3), L.Dense(1)

    def call(self, inputs: Any) -> Any:
        x = self.words(inputs["word"]) + self.a(inputs["size"]).mean(-1, keepdims=True)
        return {"kind": fl.softmax(x), "score": self.b(x)}


def examples(features: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    y = (np.arange(24) % 3).astype(np.int32)
    x = rng.random((24, features), np.float32) + 0.4 * y[:, None]
    return x, y


def training() -> Any:
    return fl.training(fl.optimizers.Adam(0.02), "sparse_categorical_crossentropy", ["accuracy"])


def fitted(net: Any, x: Any, y: Any, **how: Any) -> list[float]:
    """The loss of each step."""
    losses: list[float] = []

    class Losses(fl.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            losses.append((logs or {})["loss"])

    net.set_random_key(SEED)
    net.fit(x, y, callbacks=[Losses()], **{**HOW, **how})
    return losses


JOURNEY = """async ([folder, xs, ys, seed]) => {
  const { load } = await import(new URL(folder + '/train.js', location.href).href);
  const model = await load(folder);
  const typed = (data, dtype) => (dtype === 'int32' ? Int32Array : Float32Array).from(data);
  const x = Object.fromEntries(model.inputs.map(
    ({ name, dtype }) => [name, typed(xs[name], dtype)]));
  const y = Object.fromEntries(Object.entries(ys).map(
    ([name, { data, dtype }]) => [name, typed(data, dtype)]));
  const losses = [];
  await model.fit(x, y, { batchSize: 8, epochs: 7, shuffle: false, seed,
    onBatchEnd: (batch, { loss }) => losses.push(loss) });
  const inputs = Object.fromEntries(model.inputs.map(({ name, shape }) => (
    [name, { data: x[name], shape: [24, ...shape.slice(1)] }])));
  const outputs = await model.run(inputs);
  const file = [...new Uint8Array(await (await model.save()).arrayBuffer())];
  return { losses, file, names: Object.keys(await model.getWeights()),
    outputs: Object.fromEntries(Object.entries(outputs).map(([k, { data }]) => [k, [...data]])) };
}"""


def trained(bare: Any, folder: str, x: dict[str, np.ndarray], y: dict[str, np.ndarray]) -> Any:
    """What a page finds that trains a bundle."""
    xs = {name: a.reshape(-1).tolist() for name, a in x.items()}
    ys = {n: {"data": a.reshape(-1).tolist(), "dtype": str(a.dtype)} for n, a in y.items()}
    return bare.evaluate(JOURNEY, [folder, xs, ys, SEED])


@pytest.fixture
def registered() -> Iterator[type]:
    """Net under a name of files, for the time of a test."""
    fl.register("Test")(Net)
    yield Net
    del config._CUSTOM["Test>Net"]


def test_a_class_of_ones_own_trains(
    bare: Any, toys: Path, tmp_path: Path, registered: type
) -> None:
    """Twenty steps as Python; what the page saves is the model, ready to train on."""
    fl.set_random_seed(1)
    x, y = examples()
    net = Net(units=7)
    before = net(x[:2]).numpy()
    with fl.build(net, toys / "own", train=training(), dims={"batch": 8}) as bundle:
        np.testing.assert_allclose(bundle.run({"x": x[:2]})["output"], before, atol=1e-6)
    found = trained(bare, "own", {"x": x}, {"output": y})
    wrong = bare.evaluate("""async () => {
      const { load } = await import('./own/train.js');
      const model = await load('own');
      return model.fit(new Float32Array(5), [3]).catch(({ code, where, expected, received }) => (
        [code, where, expected, received]));
    }""")
    assert wrong == ["E-WEB-032", "output, example 0", "classes 0 to 2", 3]
    how = training()
    net.compile(how.optimizer, how.loss, metrics=how.metrics)
    losses = fitted(net, x, y)
    assert len(losses) == 21
    np.testing.assert_allclose(found["losses"], losses, atol=1e-4)
    want = net.predict(x)
    np.testing.assert_allclose(np.reshape(found["outputs"]["output"], (24, 3)), want, atol=1e-4)
    path = tmp_path / "learnt.safetensors"
    path.write_bytes(bytes(found["file"]))
    learnt = fl.load(path)
    assert isinstance(learnt, Net) and learnt.units == 7
    np.testing.assert_allclose(learnt.predict(x), want, atol=1e-4)
    assert learnt.optimizer.iterations.item() == 21
    more, own = fitted(learnt, x, y, epochs=1), fitted(net, x, y, epochs=1)
    np.testing.assert_allclose(more, own, atol=1e-4)  # the optimizer goes on, too
    del config._CUSTOM["Test>Net"]
    with pytest.raises(FanlightError) as error:
        fl.load(path)
    assert error.value.code == "E-LAYER-008" and "Test>Net" in str(error.value)
    fl.register("Test")(Net)


def test_a_class_that_no_file_can_name_saves_its_weights(
    bare: Any, toys: Path, tmp_path: Path
) -> None:
    fl.set_random_seed(2)
    x, y = examples()
    net = Net()
    net(x[:1])
    fl.build(net, toys / "nameless", train=training(), dims={"batch": 8}).close()
    found = trained(bare, "nameless", {"x": x}, {"output": y})
    path = tmp_path / "learnt.safetensors"
    path.write_bytes(bytes(found["file"]))
    with pytest.raises(FanlightError) as error:
        fl.load(path)
    assert error.value.code == "E-LAYER-009" and "load_weights" in str(error.value.next)
    assert "make a Net" in str(error.value.next)
    again = Net()  # whose layers are counted on
    again(x[:1])
    again.load_weights(path)
    outputs = np.reshape(found["outputs"]["output"], (24, 3))
    np.testing.assert_allclose(again.predict(x), outputs, atol=1e-5)
    with pytest.raises(FanlightError) as error:
        wrong = Net(units=4)
        wrong(x[:1])
        wrong.load_weights(path, by_name=True)
    assert error.value.code == "E-LAYER-006"


def test_inputs_and_outputs_of_a_class_may_be_dicts(bare: Any, toys: Path) -> None:
    fl.set_random_seed(3)
    size, _ = examples(4)
    word = (np.arange(24) * 7 % 10).astype(np.int32)
    x = {"word": word, "size": size}
    y = {"score": size[:, :1].copy(), "kind": (np.arange(24) % 4).astype(np.int32)}
    losses = {"kind": "sparse_categorical_crossentropy", "score": "mse"}
    net = Named()
    net({"word": word[:2], "size": size[:2]})
    with fl.build(net, toys / "named", train=fl.training("sgd", losses), dims={"batch": 8}) as made:
        one = made.run({"word": word[:1], "size": size[:1]})
        assert one["kind"].shape == (1, 4) and one["score"].shape == (1, 1)
    found = trained(bare, "named", x, y)
    net.compile("sgd", losses)
    np.testing.assert_allclose(found["losses"], fitted(net, x, y), atol=1e-5)
    want = net.predict(x)
    assert list(want) == ["kind", "score"]
    for name, shape in (("kind", (24, 4)), ("score", (24, 1))):
        page = np.reshape(found["outputs"][name], shape)
        np.testing.assert_allclose(page, want[name], atol=1e-5)


def test_what_is_not_built_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FanlightError) as error:
        fl.build(Net(), tmp_path / "own", train=training())
    assert error.value.code == "E-LAYER-002" and "call it once" in str(error.value.next)
    assert not (tmp_path / "own").exists()


def test_a_class_that_cannot_be_made_again_is_told_when_it_is_saved(tmp_path: Path) -> None:
    class Closed(Net):
        def __init__(self, size: int) -> None:
            super().__init__(units=size)

    fl.register("Test")(Closed)
    try:
        net = Closed(4)
        net(np.zeros((1, 5), np.float32))
        with pytest.raises(FanlightError) as error:
            net.save(tmp_path / "closed.keras")
        assert error.value.code == "E-LAYER-009" and "get_config" in str(error.value.next)
        fl.build(net, tmp_path / "closed", train=training()).close()
        described = json.loads((tmp_path / "closed" / "training.json").read_text())["config"]
        assert described["model"] is None and described["class"] == "Closed"
    finally:
        del config._CUSTOM["Test>Closed"]


def test_a_registered_class_is_saved_and_loaded_whole(tmp_path: Path, registered: type) -> None:
    x, _ = examples()
    net = Net(units=6)
    want = net.predict(x)
    net.save(tmp_path / "net.keras")
    again = fl.load_model(tmp_path / "net.keras")
    assert isinstance(again, registered)
    np.testing.assert_array_equal(again.predict(x), want)

"""A page asks a model that learns about many examples, in Chromium: Python's `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.web import training

pytestmark = pytest.mark.chromium

COUNT, SIDE = 21, 8


def rows() -> np.ndarray:
    """Pictures without meaning, the same in Python and in the page."""
    numbers = np.arange(COUNT * SIDE * SIDE * 2) * 7 % 23 / 23
    return numbers.astype(np.float32).reshape(COUNT, SIDE, SIDE, 2)


ROWS = f"Float32Array.from({{ length: {COUNT * SIDE * SIDE * 2} }}, (_, i) => i * 7 % 23 / 23)"


def two_ends(frozen: bool) -> Any:
    """A model with two outputs, one of them whole numbers; its base learns or does not."""
    fl.clear_session()
    fl.set_random_seed(5)
    layers = fl.layers
    x = fl.Input((SIDE, SIDE, 2), name="photo")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", trainable=not frozen)(x)
    y = layers.GlobalAveragePooling2D()(y)
    y = layers.BatchNormalization()(y)
    y = layers.Dropout(0.5)(y)
    kind = layers.Dense(3, activation="softmax", name="kind")(y)
    return fl.Model(x, {"kind": kind, "size": layers.Dense(2, name="size")(y)})


@pytest.mark.parametrize("frozen", [False, True])
def test_outputs_of_any_number_of_examples_are_those_of_python(
    bare: Any, toys: Path, frozen: bool
) -> None:
    net = two_ends(frozen)
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    how = fl.training(fl.optimizers.SGD(0.3), losses)
    folder = f"ends{frozen}"
    fl.build(net, toys / folder, train=how, dims={"batch": 8}).close()
    found = bare.evaluate(
        f"""async (folder) => {{
      const {{ load }} = await import(`./${{folder}}/train.js`);
      const model = await load(folder);
      const x = {ROWS};
      const one = await model.predict(x.subarray(0, 128));
      const kind = Int32Array.from({{ length: {COUNT} }}, (_, i) => i % 3);
      const before = await model.predict(x, {{ batchSize: 5 }});
      const y = {{ kind, size: new Float32Array({2 * COUNT}) }};
      await model.fit(x, y, {{ batchSize: 8, epochs: 2 }});
      const after = await model.predict({{ photo: x }});
      const plain = (made) => Object.fromEntries(Object.entries(made).map(([k, v]) => [k, [...v]]));
      const file = Array.from(new Uint8Array(await (await model.save()).arrayBuffer()));
      return {{ one: plain(one), before: plain(before), after: plain(after), file }};
    }}""",
        folder,
    )
    path = toys / f"{folder}.safetensors"
    path.write_bytes(bytes(found["file"]))
    for name, model, count in (
        ("one", net, 1),
        ("before", net, COUNT),
        ("after", fl.load(path), COUNT),
    ):
        want = model.predict(rows()[:count], verbose=0)
        assert list(found[name]) == ["kind", "size"]
        for end, numbers in want.items():
            assert numbers.shape[0] == count
            np.testing.assert_allclose(found[name][end], numbers.reshape(-1), atol=1e-5)
    assert np.abs(np.subtract(found["before"]["kind"], found["after"]["kind"])).max() > 1e-3


def test_one_output_is_one_array_for_as_many_classes_as_there_are(bare: Any, toys: Path) -> None:
    fl.clear_session()
    fl.set_random_seed(4)
    net = fl.Sequential([fl.Input((5,)), fl.layers.Dense(3, activation="softmax")])
    how = fl.training("sgd", "sparse_categorical_crossentropy")
    dims = {"batch": 4, "classes": (2, 6)}
    fl.build(net, toys / "some", train=how, dims=dims).close()
    x = (np.arange(55) % 7 / 7).astype(np.float32).reshape(11, 5)
    found = bare.evaluate("""async () => {
      const { load } = await import('./some/train.js');
      const model = await load('some');
      const x = Float32Array.from({ length: 55 }, (_, i) => i % 7 / 7);
      const three = await model.predict(x);
      await model.setClasses(5, [2]);
      const five = await model.predict(x, { batchSize: 3 });
      await model.setClasses(2, [1]);
      const two = await model.predict(x);
      return { three: [...three], five: [...five], two: [...two], type: three.constructor.name };
    }""")
    want = net.predict(x, verbose=0)
    assert found["type"] == "Float32Array"
    np.testing.assert_allclose(np.reshape(found["three"], (11, 3)), want, atol=1e-6)
    five, two = np.reshape(found["five"], (11, 5)), np.reshape(found["two"], (11, 2))
    np.testing.assert_allclose(five.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(two.sum(1), 1, atol=1e-6)
    # What was class 2 is class 0 of five; that is class 1 of three, and class 0 of two.
    kernel, bias = (w.numpy() for w in net.weights)
    logits = x @ kernel + bias
    own = np.log(five[:, 0] / five[:, 1]) - (logits[:, 2] - logits[:, 1])
    np.testing.assert_allclose(own, 0, atol=1e-5)  # class 1 begins as it was built


def test_what_predict_refuses(bare: Any, training_bundle: Path) -> None:
    found = bare.evaluate("""async () => {
      const { load } = await import('./training/train.js');
      const model = await load('training');
      const x = new Float32Array(3 * 64);
      const code = (promise) => (
        promise.then(() => 'none', (e) => (e.name === 'FanlightError' ? e.code : e.name)));
      const stopper = new AbortController();
      stopper.abort();
      const codes = [
        await code(model.predict(x.subarray(1))),
        await code(model.predict(new Float32Array(0))),
        await code(model.predict({ picture: x })),
        await code(model.predict(x, { batchSize: 17 })),
        await code(model.predict(x, { batch: 1 })),
        await code(model.predict(x, { signal: stopper.signal })),
      ];
      const going = model.predict(x);
      codes.push(await code(model.predict(x)));
      const [first] = await going;
      const gone = model.predict(x);
      model.dispose();
      return [...codes, await code(gone), first > 0 && first < 1];
    }""")
    codes = "E-WEB-011 E-WEB-031 E-WEB-010 E-WEB-013 E-WEB-001 AbortError E-WEB-036 E-WEB-014"
    assert found == [*codes.split(), True]


def test_examples_of_the_training_bundle(bare: Any, training_bundle: Path) -> None:
    """Batch norm and dropout say what they say when nothing learns."""
    x, _ = training.examples()
    found = bare.evaluate("""async () => {
      const { load } = await import('./training/train.js');
      const model = await load('training');
      const { x } = await (await fetch('training/examples.json')).json();
      return [...await model.predict(x)];
    }""")
    want = training.model().predict(x, verbose=0)
    np.testing.assert_allclose(np.reshape(found, want.shape), want, atol=1e-5)

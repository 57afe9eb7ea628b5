"""A page trains a model, in Chromium: the numbers of Python, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conformance import CHROMIUM, counted
from tests.web import training

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_a_page_trains_as_python_does(bare: Any, training_bundle: Path, simd: str) -> None:
    found = bare.evaluate(f"(simd) => ({training.JOURNEY})(simd, 'training')", simd)
    same = training.as_python(found, training_bundle)
    counted(CHROMIUM, same, of=same)


def test_what_nothing_learns_is_computed_once(bare: Any, toys: Path) -> None:
    """A frozen base under a head: features once per photo, and the losses of Python."""
    import numpy as np

    import fanlight as fl

    fl.set_random_seed(5)
    layers = fl.layers
    x = fl.Input((8, 8, 2), name="photo")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", trainable=False)(x)
    y = layers.BatchNormalization(trainable=False)(y)
    y = layers.GlobalAveragePooling2D()(y)
    y = layers.Dropout(0.5)(y)
    net = fl.Model(x, layers.Dense(3, activation="softmax", name="head")(y))
    how = fl.training("sgd", "sparse_categorical_crossentropy")
    fl.build(net, toys / "frozen", train=how, dims={"batch": 8}).close()
    photos = (np.arange(20 * 128) * 7 % 23 / 23).astype(np.float32).reshape(20, 8, 8, 2)
    labels = (np.arange(20) % 3).astype(np.int32)
    net.compile("sgd", "sparse_categorical_crossentropy")
    net.set_random_key(9)
    history = net.fit(photos, labels, 8, epochs=4, shuffle=False, verbose=0).history
    found = bare.evaluate("""async () => {
      const { load } = await import('./frozen/train.js');
      const x = Float32Array.from({ length: 20 * 128 }, (_, i) => i * 7 % 23 / 23);
      const y = Int32Array.from({ length: 20 }, (_, i) => i % 3);
      const model = await load('frozen');
      const told = [];
      const onPrepare = (done, count) => told.push([done, count]);
      const options = { batchSize: 8, epochs: 4, shuffle: false, seed: 9, onPrepare };
      const { history } = await model.fit(x, y, options);
      const file = Array.from(new Uint8Array(await (await model.save()).arrayBuffer()));
      return { told, history, names: Object.keys(await model.getWeights()), file };
    }""")
    path = toys / "frozen.safetensors"
    path.write_bytes(bytes(found["file"]))
    learnt = fl.load(path)
    assert not learnt.layers[1].trainable
    expected = net.predict(photos, verbose=0)
    np.testing.assert_allclose(learnt.predict(photos, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(found["history"]["loss"], history["loss"], atol=1e-5)
    assert found["told"][-1] == [20, 20] and found["names"] == ["head/kernel", "head/bias"]


@pytest.mark.parametrize("most", [1, 3])
def test_sequences_in_batches_of_any_size(bare: Any, toys: Path, most: int) -> None:
    """An LSTM learns as in Python, the last batch of an epoch being smaller; or one by one."""
    import numpy as np

    import fanlight as fl

    fl.set_random_seed(5)
    net = fl.Sequential([fl.Input((5, 2)), fl.layers.LSTM(3), fl.layers.Dense(1)])
    how = fl.training(fl.optimizers.Adam(0.01), "mse")
    fl.build(net, toys / f"sequences{most}", train=how, dims={"batch": most}).close()
    rows = (np.arange(40) * 7 % 23 / 23).astype(np.float32).reshape(4, 5, 2)
    wanted = (np.arange(4) / 4).astype(np.float32).reshape(4, 1)
    net.compile(fl.optimizers.Adam(0.01), "mse")
    history = net.fit(rows, wanted, most, epochs=3, shuffle=False, verbose=0).history
    found = bare.evaluate(
        """async (most) => {
      const { load } = await import(`./sequences${most}/train.js`);
      const model = await load(`sequences${most}`);
      const x = Float32Array.from({ length: 40 }, (_, i) => i * 7 % 23 / 23);
      const y = Float32Array.from({ length: 4 }, (_, i) => i / 4);
      const options = { batchSize: most, epochs: 3, shuffle: false };
      return (await model.fit(x, y, options)).history.loss;
    }""",
        most,
    )
    np.testing.assert_allclose(found, history["loss"], rtol=1e-4)


def test_a_bundle_that_does_not_train_says_so(bare: Any, training_bundle: Path) -> None:
    found = bare.evaluate("""async () => {
      const { load } = await import('./training/train.js');
      const model = await load('double');
      return model.fit(new Float32Array(4), new Int32Array(1)).catch(({ code }) => code);
    }""")
    assert found == "E-WEB-030"


def test_the_page_chooses_how_many_classes_there_are(
    bare: Any, toys: Path, training_bundle: Path
) -> None:
    """Built for 3 of up to 9: at each number, and after changes, the losses of Python."""
    import numpy as np

    import fanlight as fl

    fl.clear_session()
    fl.set_random_seed(6)
    layers = fl.layers

    def made(units: int) -> Any:
        return fl.Sequential(
            [
                fl.Input((5,)),
                layers.Dense(8, activation="relu", name="hidden"),
                layers.Dense(units, activation="softmax", name="head"),
            ]
        )

    net = made(3)
    how = fl.training("adam", "sparse_categorical_crossentropy", ["accuracy"])
    folder = toys / "classes"
    fl.build(net, folder, train=how, dims={"batch": 8, "classes": 9}).close()
    found = bare.evaluate("""async () => {
      const { load } = await import('./classes/train.js');
      const model = await load('classes');
      const x = Float32Array.from({ length: 20 * 5 }, (_, i) => i * 7 % 23 / 23);
      const y = (n) => Int32Array.from({ length: 20 }, (_, i) => i * 3 % n);
      const of = (weights) => Object.fromEntries(
        Object.entries(weights).map(([path, w]) => [path, [Array.from(w.data), w.shape]]));
      const predict = async () => {
        const { head } = await model.run({ input_layer: { data: x.slice(0, 10), shape: [2, 5] } });
        return [Array.from(head.data), head.shape];
      };
      const how = { batchSize: 8, epochs: 3, shuffle: false };
      const fit = async (n) => (await model.fit(x, y(n), how)).history.loss;
      const errors = [];
      const code = (promise) => promise.catch((error) => errors.push(error.code));
      const told = { counts: [await model.getClasses()], states: [] };
      const look = async (losses) => {
        const predicted = await predict();
        told.states.push({ losses, predicted, weights: of(await model.getWeights()) });
        told.counts.push(await model.getClasses());
      };
      await look([]);
      await look(await fit(3));
      await model.setClasses(7);
      await look([]);
      await look(await fit(7));
      await code(model.fit(x, y(8), { batchSize: 8 }));
      await model.store('classes-test');
      const file = Array.from(new Uint8Array(await (await model.save()).arrayBuffer()));
      await model.setClasses(3, [6, 0]);
      await look([]);
      await look(await fit(3));
      for (const wrong of [1, 10, 2.5, '3', null]) await code(model.setClasses(wrong));
      for (const keep of [[0, 0], [3], [-1], [0, 1, 2, 0.5]]) await code(model.setClasses(4, keep));
      told.restored = await model.restore('classes-test');
      await look([]);
      await model.reset();
      await look([]);
      await model.forget('classes-test');
      for (const name of [undefined, '', 3, true]) await code(model.store(name));
      await code(load('classes', { persist: true }));
      const named = await load('classes', { persist: 'classes-test' });
      await named.setClasses(5);
      const again = await load('classes', { persist: 'classes-test' });
      told.again = [again.restored, await again.getClasses()];
      await again.forget();
      told.name = (await again.save()).name;
      const fixed = await load('training');
      await code(fixed.setClasses(4));
      told.fixed = await fixed.getClasses();
      return { ...told, errors, file };
    }""")
    assert found["counts"] == [3, 3, 3, 7, 7, 3, 3, 7, 3]
    wrong = ["E-WEB-032", *["E-WEB-013"] * 5, *["E-WEB-037"] * 4, *["E-WEB-001"] * 5, "E-WEB-037"]
    assert found["again"] == [True, 5] and found["name"] == "model.safetensors"
    assert found["errors"] == wrong
    assert found["fixed"] is None and found["restored"] is True
    states = found["states"]
    x = (np.arange(100) * 7 % 23 / 23).astype(np.float32).reshape(20, 5)

    def weights(state: Any) -> dict[str, np.ndarray]:
        return {
            path: np.reshape(np.float32(numbers), shape)
            for path, (numbers, shape) in state["weights"].items()
        }

    def python(before: Any, after: Any, units: int, first: Any = None) -> Any:
        """Python trains on from what the page had, with its optimizer or a new one."""
        model = first or made(units)
        for w in model.weights:
            w.assign(weights(before)[w.path])
        if first is None:
            model.compile("adam", "sparse_categorical_crossentropy")
        y = (np.arange(20) * 3 % units).astype(np.int32)
        history = model.fit(x, y, 8, epochs=3, shuffle=False, verbose=0).history
        np.testing.assert_allclose(after["losses"], history["loss"], atol=1e-5)
        for w in model.weights:
            np.testing.assert_allclose(weights(after)[w.path], w.numpy(), atol=1e-4)
        numbers, shape = after["predicted"]
        assert shape == [2, units]
        np.testing.assert_allclose(
            np.reshape(numbers, shape), model.predict(x[:2], verbose=0), atol=1e-4
        )
        return model

    trained = python(states[0], states[1], 3)
    # Four new classes: old columns and their slots stay, new ones begin at zero moments.
    old, new = weights(states[1])["head/kernel"], weights(states[2])["head/kernel"]
    assert np.array_equal(new[:, :3], old) and np.unique(new[:, 3:]).size == 8 * 4
    wide = made(7)
    wide.compile("adam", "sparse_categorical_crossentropy")
    wide.optimizer.build(wide.trainable_weights)
    for small, large in zip(trained.optimizer.variables, wide.optimizer.variables, strict=True):
        padded = np.zeros(large.shape, small.numpy().dtype)
        padded[tuple(slice(n) for n in small.shape)] = small.numpy()
        large.assign(padded)
    python(states[2], states[3], 7, wide)
    # Classes 6 and 0 are 0 and 1 now; class 2 begins as it was built.
    old, new = weights(states[3])["head/kernel"], weights(states[4])["head/kernel"]
    assert np.array_equal(new[:, :2], old[:, [6, 0]])
    assert np.array_equal(new[:, 2], weights(states[0])["head/kernel"][:, 2])
    assert states[5]["losses"][-1] < states[5]["losses"][0]
    assert states[6]["weights"] == states[3]["weights"]  # restored
    assert states[7]["weights"] == states[0]["weights"]  # reset
    path = toys / "classes.safetensors"
    path.write_bytes(bytes(found["file"]))
    learnt = fl.load(path)
    assert learnt.get_layer("head").units == 7
    kernel = learnt.get_layer("head").kernel.numpy()
    assert np.array_equal(kernel, weights(states[3])["head/kernel"])
    assert learnt.optimizer.iterations.item() == 18


def test_shares_of_a_free_number_of_classes(bare: Any, toys: Path) -> None:
    """Labels that are numbers per class, smoothed by their number, behind a frozen base."""
    import numpy as np

    import fanlight as fl

    layers = fl.layers

    def made(units: int) -> Any:
        fl.set_random_seed(8)
        x = fl.Input((5,), name="x")
        y = layers.Dense(6, activation="tanh", trainable=False, name="base")(x)
        y = layers.Dense(units, kernel_regularizer="l2", name="head")(y)
        return fl.Model(x, layers.Softmax()(y))

    def how() -> Any:
        loss = fl.losses.CategoricalCrossentropy(label_smoothing=0.1)
        metrics = ["accuracy", fl.metrics.F1Score(average="macro"), fl.metrics.R2Score()]
        return fl.training(fl.optimizers.SGD(0.1, momentum=0.9), loss, metrics)

    net = made(2)
    fl.build(net, toys / "shares", train=how(), dims={"batch": 8, "classes": (2, 6)}).close()
    found = bare.evaluate("""async () => {
      const { load } = await import('./shares/train.js');
      const model = await load('shares');
      const x = Float32Array.from({ length: 12 * 5 }, (_, i) => i * 7 % 23 / 23);
      const told = [];
      for (const n of [2, 5, 6]) {
        await model.reset();
        await model.setClasses(n);
        const one = (_, i) => Number(i % n === Math.floor(i / n) % n);
        const y = Float32Array.from({ length: 12 * n }, one);
        const start = Array.from((await model.getWeights())['head/kernel'].data);
        const { history } = await model.fit(x, y, { batchSize: 8, epochs: 3, shuffle: false });
        told.push([n, start, history, await model.evaluate(x, y)]);
      }
      return told;
    }""")
    x = (np.arange(60) * 7 % 23 / 23).astype(np.float32).reshape(12, 5)
    for units, start, history, last in found:
        model = made(units)
        model.get_layer("base").set_weights(net.get_layer("base").get_weights())
        model.get_layer("head").kernel.assign(np.reshape(np.float32(start), (6, units)))
        model.compile(how().optimizer, how().loss, metrics=how().metrics)
        y = np.eye(units, dtype=np.float32)[np.arange(12) % units]
        own = model.fit(x, y, 8, epochs=3, shuffle=False, verbose=0).history
        for name, values in own.items():
            np.testing.assert_allclose(history[name], values, atol=1e-5, err_msg=name)
        for name, value in model.evaluate(x, y, verbose=0, return_dict=True).items():
            assert abs(last[name] - value) < 1e-5, name


def test_what_is_no_class_number_is_none(bare: Any, training_bundle: Path) -> None:
    found = bare.evaluate("""async () => {
      const { load } = await import('./training/train.js');
      const model = await load('training');
      const x = new Float32Array(2 * 64);
      const told = [];
      for (const y of [['cat', 'dog'], [0, 0.7], [NaN, 1], new Float32Array([1, 2.9]), [null, 1]]) {
        await model.fit(x, y).catch(({ code, received }) => told.push([code, String(received)]));
      }
      await model.fit(Array(128).fill('1'), [0, 1]).catch(({ code }) => told.push([code, '']));
      await model.fit(x, new Float32Array([1, 2]));
      return told;
    }""")
    wrong = ("cat", "0.7", "NaN", "2.9000000953674316", "null")
    assert found == [*(["E-WEB-032", text] for text in wrong), ["E-WEB-012", ""]]

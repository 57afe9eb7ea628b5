"""A page that trains is given numbers that mean nothing, or makes them, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium
L = fl.layers
SPARSE = "sparse_categorical_crossentropy"
X = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)


class Root(L.Layer):
    def call(self, x: Any) -> Any:
        return fl.sqrt(x)


def rooted() -> Any:
    """Its first step has a finite loss, and a gradient that is not."""
    dense = L.Dense(1, kernel_initializer="zeros", name="first")
    return fl.Sequential([fl.Input((4,)), dense, Root(name="root")])


def stepwise() -> Any:
    fl.set_random_seed(1)
    return fl.Sequential([fl.Input((3, 2)), L.Dense(4, activation="softmax", name="kind")])


def each() -> Any:
    fl.set_random_seed(1)
    return fl.Sequential([fl.Input((2,)), L.Dense(4, activation="softmax", name="kind")])


def shared() -> Any:
    fl.set_random_seed(1)
    return fl.Sequential([fl.Input((2,)), L.Dense(1, "sigmoid", name="yes")])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    fl.clear_session()
    fl.register("numbers")(Root)
    batch = {"batch": 16}
    fl.build(rooted(), folder / "root", train=fl.training("sgd", "mse"), dims=batch).close()
    nets = {
        "sparse": (each(), SPARSE),
        "steps": (stepwise(), SPARSE),
        "hot": (stepwise(), "categorical_crossentropy"),
        "share": (
            shared(),
            "binary_crossentropy",
        ),
        "bytes": (
            fl.Sequential([fl.Input((2,), dtype="uint8"), L.Rescaling(1 / 255), L.Dense(2)]),
            fl.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
    }
    for name, (net, loss) in nets.items():
        fl.build(net, folder / name, train=fl.training("sgd", loss), dims=batch).close()
    return folder


@pytest.fixture
def toys(built: Path) -> Path:
    """What the site serves here."""
    return built


@pytest.fixture
def here(page: Any, site: Any) -> Any:
    """A page with `load` of train.js and `told(promise)`: parts of an error, or the result."""
    page.goto(site.url + "bare.html")
    page.evaluate("""async () => {
      globalThis.load = (await import('./root/train.js')).load;
      globalThis.told = (promise) => promise.then((found) => ['none', found],
        ({ code, received, where }) => [code, String(received), where]);
    }""")
    return page


def test_an_epoch_whose_last_step_spoils_the_weights_is_undone(here: Any) -> None:
    found = here.evaluate("""async () => {
      const model = await load('root', { persist: 'numbers' });
      const x = new Float32Array(64).fill(1), y = new Float32Array(16).fill(1);
      const weights = async (of) => {
        const all = await of.getWeights();
        return [...all['first/kernel'].data, ...all['first/bias'].data].map(String);
      };
      const ended = [];
      const onEpochEnd = (epoch) => ended.push(epoch);
      const results = [];
      for (const batchSize of [16, 8]) {
        const how = { batchSize, epochs: 2, onEpochEnd, validationData: [x, y] };
        results.push([await told(model.fit(x, y, how)), await weights(model)]);
      }
      const again = await load('root', { persist: 'numbers' });
      return { results, ended, restored: again.restored, kept: await weights(again) };
    }""")
    zeros = ["0"] * 5
    spoiled = "first/kernel is not finite"
    assert found["results"] == [
        [["E-WEB-033", f"1; {spoiled}", "step 1 of the epoch"], zeros],
        [["E-WEB-033", f"Infinity; {spoiled}", "step 2 of the epoch"], zeros],
    ]
    assert found["ended"] == [] and not found["restored"] and found["kept"] == zeros


def test_class_weights_are_of_one_class_for_each_example(here: Any) -> None:
    found = here.evaluate(
        """async (x) => {
      const steps = await load('steps'), hot = await load('hot');
      const y = Int32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0);
      const shares = Float32Array.from({ length: 48 }, (_, i) => Number(i % 4 === 0));
      const classWeight = { 1: 10 };
      const given = Float32Array.from(x);
      return [
        await told(steps.fit(given, y, { classWeight })),
        await told(hot.fit(given, shares, { classWeight })),
        (await told(steps.fit(given, y)))[0], (await told(hot.fit(given, shares)))[0]];
    }""",
        X.ravel().tolist(),
    )
    refused = ["E-WEB-032", "3 for each", "kind"]
    assert found == [refused, refused, "none", "none"]


def test_numbers_that_the_arrays_cannot_hold(here: Any) -> None:
    found = here.evaluate("""async () => {
      const sparse = await load('sparse'), bytes = await load('bytes');
      const share = await load('share');
      const x = new Float32Array(4), codes = [];
      const labels = [[2 ** 32, 0], [-(2 ** 31) - 1, 0], [0, 0.5], BigInt64Array.of(0n, 1n),
        Float64Array.of(0, 2 ** 40)];
      for (const y of labels) {
        codes.push(await told(sparse.evaluate(x, y)));
      }
      for (const each of [[300, 0], [0.7, 0], [-1, 0], ['1', 0]]) {
        codes.push(await told(bytes.evaluate(each, [0])));
      }
      codes.push(await told(sparse.evaluate([1e39, 0], [0])));
      codes.push(await told(share.evaluate([1, 2], [null])));
      const right = [
        await told(bytes.evaluate([255, 0], [0])),
        await told(sparse.evaluate([1.5, 0], [3])),
        await told(sparse.evaluate([1, 0], Float64Array.of(3)))];
      return [codes, right.map(([code]) => code)];
    }""")
    codes, right = found
    labels = [code for code, received, where in codes[:5] if 'y "kind", element' in where]
    assert labels == ["E-WEB-032"] * 5
    assert [code[:2] for code in codes[5:]] == [
        ["E-WEB-012", "300"],
        ["E-WEB-012", "0.7"],
        ["E-WEB-012", "-1"],
        ["E-WEB-012", "1"],
        ["E-WEB-012", "1e+39"],
        ["E-WEB-012", "null"],
    ]
    assert right == ["none"] * 3


def test_weights_mean_what_they_mean_in_python(here: Any) -> None:
    """Negative ones, labels that weigh nothing, and shares that count as the nearest class."""
    x, y = np.float32([[1, 2], [3, -1], [0, 1], [2, 2]]), np.int32([1, 0, 99, 3])
    w = np.float32([1, -0.5, 0, 2])
    shares = np.float32([0.9, 0.2, 0.5, 1])
    found = here.evaluate(
        """async ([x, y, w, shares]) => {
      const sparse = await load('sparse'), share = await load('share');
      const how = { shuffle: false, epochs: 2 };
      const losses = [];
      const { history } = await sparse.fit(x, y, { ...how, sampleWeight: w });
      losses.push(history.loss);
      losses.push((await share.fit(x, shares, { ...how, classWeight: { 1: 5 } })).history.loss);
      const codes = [await told(sparse.fit(x, y)),
        await told(share.fit(x, shares, { classWeight: { 2: 1 } }))];
      return { losses, codes };
    }""",
        [x.ravel().tolist(), y.tolist(), w.tolist(), shares.tolist()],
    )
    sparse, share = each(), shared()
    sparse.compile("sgd", SPARSE)
    share.compile("sgd", "binary_crossentropy")
    how = {"shuffle": False, "epochs": 2, "verbose": 0}
    want = [
        sparse.fit(x, y, sample_weight=w, **how).history["loss"],
        share.fit(x, shares, class_weight={1: 5.0}, **how).history["loss"],
    ]
    np.testing.assert_allclose(found["losses"], want, atol=1e-5)
    assert found["codes"] == [
        ["E-WEB-032", "99", "kind, example 2"],
        ["E-WEB-032", "2", "yes"],
    ]

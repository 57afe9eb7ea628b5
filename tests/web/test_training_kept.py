"""What a browser keeps of a page that trains, in Chromium: one state per form of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium
L = fl.layers


def net(units: int = 3, base: float = 0.1, hidden: int = 4) -> Any:
    """A head on a frozen base; the weights of the base are all one number."""
    fl.clear_session()
    fl.set_random_seed(6)
    model = fl.Sequential(
        [
            fl.Input((5,), name="x"),
            L.Dense(hidden, "tanh", trainable=False, name="base"),
            L.Dense(units, activation="softmax", name="head"),
        ]
    )
    kernel, bias = model.get_layer("base").get_weights()
    model.get_layer("base").set_weights([np.full_like(kernel, base), bias])
    return model


HOW = ("sgd", "sparse_categorical_crossentropy")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions of one model: v1, v2 (another base), v3 (wider), v1 with another head and rate."""
    folder = tmp_path_factory.mktemp("kept")
    dims = {"batch": 8, "classes": 6}
    made = {"v1": net(), "v2": net(base=0.2), "v3": net(hidden=6)}
    for name, model in made.items():
        fl.build(model, folder / name, train=fl.training(*HOW), dims=dims).close()
    taught = net()
    kernel, bias = taught.get_layer("head").get_weights()
    taught.get_layer("head").set_weights([kernel, bias + 1])
    how = fl.training(fl.optimizers.SGD(0.5), HOW[1])
    fl.build(taught, folder / "rate", train=how, dims=dims).close()
    return folder


@pytest.fixture
def toys(built: Path) -> Path:
    """What the site serves here."""
    return built


def test_forms_tell_what_may_go_on(built: Path) -> None:
    """Another base or shape is another form; another rate, or a retrained head, is not."""
    forms = {
        path.name: json.loads((path / "training.json").read_text())["form"]
        for path in built.iterdir()
    }
    assert len({forms["v1"], forms["v2"], forms["v3"]}) == 3
    assert forms["rate"] == forms["v1"]


def test_versions_of_a_model_leave_each_other_alone(page: Any, site: Any) -> None:
    page.goto(site.url + "bare.html")
    found = page.evaluate("""async () => {
      const { load } = await import('./v1/train.js');
      const x = Float32Array.from({ length: 60 }, (_, i) => i * 7 % 23 / 23);
      const y = Int32Array.from({ length: 12 }, (_, i) => i % 3);
      const bias = async (model) => String((await model.getWeights())['head/bias'].data);
      const found = { restored: [], biases: [] };
      const visit = async (folder, learn = true) => {
        const model = await load(folder, { persist: 'mine' });
        found.restored.push(model.restored);
        found.biases.push(await bias(model));
        if (learn) await model.fit(x, y, { epochs: 2 });
        const after = await bias(model);
        model.dispose();
        return after;
      };
      const one = await visit('v1');
      const two = await visit('v2');
      const three = await visit('v3');
      await visit('v1', false);
      await visit('v2', false);
      await visit('rate', false);
      found.after = [one, two, three];
      const keys = () => new Promise((resolve) => {
        const opening = indexedDB.open('fanlight-learnt');
        opening.onsuccess = () => {
          const asked = opening.result.transaction('states').objectStore('states').getAllKeys();
          asked.onsuccess = () => resolve(asked.result.map(([name]) => name));
          opening.result.close();
        };
      });
      // Forms of older versions: the last four of a name stay, and those of other names.
      await new Promise((resolve) => {
        const opening = indexedDB.open('fanlight-learnt');
        opening.onsuccess = () => {
          const change = opening.result.transaction('states', 'readwrite');
          const bytes = new Uint8Array(4);
          for (const name of ['mine', 'mine too']) {
            for (let at = 0; at < 5; at++) {
              change.objectStore('states').put({ name, form: `old ${at}`, at, bytes });
            }
          }
          change.oncomplete = resolve;
          opening.result.close();
        };
      });
      found.before = await keys();
      const last = await load('v3', { persist: 'mine' });
      await last.store();
      found.pruned = await keys();
      found.kept = [];
      for (const folder of ['v1', 'v2', 'v3']) {
        const model = await load(folder);
        found.kept.push(await model.restore('mine'));
        model.dispose();
      }
      await last.forget('mine');
      found.forgotten = await keys();
      found.none = await last.restore('mine');
      return found;
    }""")
    first = found["biases"]
    one, two, three = found["after"]
    assert found["restored"] == [False, False, False, True, True, True]
    assert first[3:] == [one, two, one] and len({one, two, three}) == 3
    assert found["before"].count("mine") == 8 and found["pruned"].count("mine") == 4
    assert found["pruned"].count("mine too") == 5 and found["kept"] == [True] * 3
    assert found["forgotten"] == ["mine too"] * 5 and found["none"] is False


def test_outputs_say_how_many_classes_there_are(page: Any, site: Any) -> None:
    page.goto(site.url + "bare.html")
    found = page.evaluate("""async () => {
      const { load } = await import('./v1/train.js');
      const told = [];
      for (const worker of [true, false]) {
        const model = await load('v1', { worker });
        const look = () => told.push(model.outputs[0].shape.at(-1));
        look();
        await model.setClasses(5);
        look();
        await model.store('five');
        await model.reset();
        look();
        await model.restore('five');
        look();
        const { head } = await model.run({ x: new Float32Array(5) });
        told.push(head.shape.at(-1));
        await model.forget('five');
        model.dispose();
      }
      return told;
    }""")
    assert found == [3, 5, 3, 5, 5] * 2


def test_a_page_in_one_file_saves_what_nothing_learns(page: Any, tmp_path: Path) -> None:
    model = net()
    fl.build(model, tmp_path / "one.html", train=fl.training(*HOW)).close()
    page.goto((tmp_path / "one.html").as_uri())
    page.get_by_text("Ready. One run takes").wait_for()
    saved = page.evaluate("""async () => {
      const model = await fanlight.load(fanlight.bundle);
      return [...new Uint8Array(await (await model.save()).arrayBuffer())];
    }""")
    path = tmp_path / "one.safetensors"
    path.write_bytes(bytes(saved))
    x = np.random.default_rng(0).random((4, 5), np.float32)
    np.testing.assert_allclose(fl.load(path).predict(x), model.predict(x), atol=1e-6)

"""A page that takes photos, names classes of its own and learns them, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.web.test_training_pictures import TASK as COLOURS
from tests.web.test_training_pictures import photos, png

pytestmark = pytest.mark.chromium
L = fl.layers
TASK = fl.tasks.classify(labels=["cat", "dog"], input_range=(-1, 1))
RATE = 0.1


def model(units: int, frozen: bool = False, ends: str | None = "softmax") -> Any:
    """A small network for pictures, of which all learns, or the head alone."""
    fl.clear_session()
    fl.set_random_seed(2)
    return fl.Sequential(
        [
            fl.Input((8, 10, 3)),
            L.Conv2D(5, 3, activation="relu", trainable=not frozen),
            L.GlobalAveragePooling2D(),
            L.Dense(units, activation=ends, name="head"),
        ]
    )


def training(ends: str | None = "softmax") -> Any:
    loss = fl.losses.SparseCategoricalCrossentropy(from_logits=ends is None)
    return fl.training(fl.optimizers.Adam(RATE), loss, ["accuracy"])


def build(out: Path, frozen: bool = False, ends: str | None = "softmax") -> None:
    dims = {"batch": 4, "classes": 6}
    net = model(2, frozen, ends)
    fl.build(net, out, task=TASK, train=training(ends), dims=dims).close()


# What a page does that teaches colours; `load` is that of train.js.
TEACH = """async (pngs, load) => {
  const element = document.querySelector('fanlight-classifier');
  const model = await load(await element.ready);
  const found = { before: model.labels, told: [] };
  const blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
  const names = ['red', 'green', 'blue'];
  await model.setClasses(names);
  names[0] = 'changed later';
  found.labels = model.labels;
  const of = (weights) => Object.fromEntries(
    Object.entries(weights).map(([path, { data }]) => [path, [...data]]));
  found.weights = of(await model.getWeights());
  const x = await model.pictures(blobs);
  const y = blobs.map((_, i) => model.labels.indexOf(['red', 'green', 'blue'][i % 3]));
  const how = { batchSize: 4, epochs: 8, shuffle: false };
  found.x = [...x];
  found.losses = (await model.fit(x, y, how)).history.loss;
  for (const blob of blobs) found.told.push(await model.classify(blob, { top: 3 }));
  found.shown = await element.classify(blobs[1]);
  found.file = [...new Uint8Array(await (await model.save()).arrayBuffer())];
  return found;
}"""


def as_python(found: dict[str, Any], frozen: bool, ends: str | None, folder: Path) -> None:
    """What the page has learnt, and says of photos, is what Python has."""
    assert found["before"] == ["cat", "dog"] and found["labels"] == ["red", "green", "blue"]
    net = model(3, frozen, ends)
    for weight in net.weights:
        if weight.path in found["weights"]:
            weight.assign(np.reshape(found["weights"][weight.path], weight.shape))
    net.compile(fl.optimizers.Adam(RATE), training(ends).loss)
    x = COLOURS.pictures(net, photos())
    np.testing.assert_allclose(np.reshape(found["x"], x.shape), x, atol=2e-6)
    history = net.fit(x, np.arange(6) % 3, 4, epochs=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(found["losses"], history["loss"], atol=1e-4)
    scores = net.predict(x)
    if ends is None:
        scores = fl.softmax(fl.tensor(scores)).numpy()
    for told, row in zip(found["told"], scores, strict=True):
        assert [one["index"] for one in told] == list(np.argsort(-row))
        assert [one["label"] for one in told] == [found["labels"][i] for i in np.argsort(-row)]
        np.testing.assert_allclose([o["score"] for o in told], sorted(row)[::-1], atol=1e-4)
    assert [one["label"] for one in found["shown"]] == [one["label"] for one in found["told"][1]]
    path = folder / "learnt.safetensors"
    path.write_bytes(bytes(found["file"]))
    learnt = fl.load(path)
    assert learnt.labels == ("red", "green", "blue")
    np.testing.assert_allclose(learnt.predict(x), net.predict(x), atol=1e-4)


@pytest.mark.parametrize(("frozen", "ends"), [(False, "softmax"), (True, "softmax"), (False, None)])
def test_photos_and_names_of_ones_own_go_together(
    page: Any, site: Any, toys: Path, tmp_path: Path, frozen: bool, ends: str | None
) -> None:
    build(toys / "named", frozen, ends)
    page.goto(site.url + "named/index.html")
    element = page.locator("fanlight-classifier")
    element.get_by_text("Ready.").wait_for()
    found = page.evaluate(
        f"async (pngs) => ({TEACH})(pngs, (await import('./train.js')).load)",
        [png(p) for p in photos()],
    )
    as_python(found, frozen, ends, tmp_path)
    shown = element.locator("li .name").all_inner_texts()
    assert [name.lower() for name in shown] == [one["label"] for one in found["shown"]]


def test_a_page_in_one_file_names_classes(page: Any, tmp_path: Path) -> None:
    build(tmp_path / "named.html")
    page.goto((tmp_path / "named.html").as_uri())
    page.locator("fanlight-classifier").get_by_text("Ready.").wait_for()
    found = page.evaluate(f"(pngs) => ({TEACH})(pngs, fanlight.load)", [png(p) for p in photos()])
    as_python(found, False, "softmax", tmp_path)


@pytest.mark.parametrize("worker", [True, False])
def test_names_go_with_what_was_learnt(bare: Any, toys: Path, worker: bool) -> None:
    build(toys / "names")
    found = bare.evaluate(
        """async (worker) => {
      const { load } = await import('./names/train.js');
      const model = await load('names', { worker, persist: 'names' });
      const found = { labels: [model.labels], errors: [] };
      const bias = async () => [...(await model.getWeights())['head/bias'].data];
      const then = async (...args) => {
        await model.setClasses(...args);
        found.labels.push(model.labels);
      };
      await then(4);
      await model.setWeights({ 'head/bias': Float32Array.of(1, 2, 3, 4) });
      await then(['class 3', 'owl', 'cat']);
      found.byName = await bias();
      await then(['fox', 'hen'], [2, 0]);
      found.byNumber = await bias();
      await then(3);
      await then(2, [2, 0]);
      await then(3);
      await then(['a', 'b', 'c', 'd', 'e', 'f']);
      const wrong = [[['a', 'a']], [['a', '']], [['a', 2]], [['a']], ['abcdefg'.split('')], ['ab'],
        [7], [['a', 'b'], [6]], [['a', 'b'], [0, 1, 2]], [3, 1], [3, 'ab']];
      for (const each of wrong) {
        await model.setClasses(...each).catch(({ code, received, next }) => (
          found.errors.push([code, String(received), next])));
      }
      found.after = model.labels;
      const again = await load('names', { worker, persist: 'names' });
      found.again = [again.restored, again.labels];
      const [first] = await again.classify(new ImageData(8, 10), { top: 6 });
      found.first = first.label === again.labels[first.index];
      await again.reset();
      found.reset = again.labels;
      await again.restore();
      found.back = [again.labels, again.outputs.find(({ name }) => name === 'scores').shape];
      await again.forget();
      return found;
    }""",
        worker,
    )
    assert found["labels"] == [
        ["cat", "dog"],
        ["cat", "dog", "class 2", "class 3"],
        ["class 3", "owl", "cat"],
        ["fox", "hen"],
        ["fox", "hen", "class 2"],
        ["class 2", "fox"],
        ["class 2", "fox", "class 3"],  # never two of one name
        list("abcdef"),
    ]
    assert found["byName"] == [4, 0, 1] and found["byNumber"] == [1, 4]
    assert [code for code, *_ in found["errors"]] == [
        *["E-WEB-037"] * 3,
        *["E-WEB-013"] * 4,
        *["E-WEB-037"] * 4,
    ]
    larger = 'build with a larger dims={"classes": ...}'
    assert [next for *_, next in found["errors"][3:7]] == [None, larger, None, larger]
    letters = list("abcdef")
    assert found["after"] == letters and found["again"] == [True, letters] and found["first"]
    assert found["reset"] == ["cat", "dog"] and found["back"] == [letters, [6]]


def test_classes_without_a_task_may_have_names_too(bare: Any, toys: Path) -> None:
    net = fl.Sequential([fl.Input((2,), name="x"), L.Dense(3, name="head")])
    how = fl.training("sgd", "mse")
    fl.build(net, toys / "bare", train=how, dims={"classes": 5}).close()
    found = bare.evaluate("""async () => {
      const { load } = await import('./bare/train.js');
      const model = await load('bare');
      const kernel = async () => String((await model.getWeights())['head/kernel'].data);
      const [labels, first] = [[model.labels], await kernel()];
      await model.setClasses(3);
      labels.push(model.labels);
      await model.setClasses(['a', 'b', 'c']);
      labels.push(model.labels);
      return [labels, first === await kernel()];
    }""")
    assert found == [[None, None, ["a", "b", "c"]], True]


def test_a_state_of_a_build_without_a_task_gets_names(bare: Any, toys: Path) -> None:
    """The form is the same: what was learnt before the build had names goes on."""
    for name, task in (("before", None), ("after", TASK)):
        net, dims = model(2), {"batch": 4, "classes": 6}
        fl.build(net, toys / name, task=task, train=training(), dims=dims).close()
    found = bare.evaluate("""async () => {
      const { load } = await import('./after/train.js');
      const old = await load('before', { persist: 'both' });
      await old.setClasses(4);
      const model = await load('after', { persist: 'both' });
      await model.forget();
      return [model.restored, model.labels];
    }""")
    assert found == [True, ["cat", "dog", "class 2", "class 3"]]


def test_python_takes_the_names_that_a_page_gave(tmp_path: Path) -> None:
    net = model(3)
    net.labels = ("a", "b", "c")
    net.save(tmp_path / "net.safetensors")
    learnt = fl.load(tmp_path / "net.safetensors")
    with fl.build(learnt, tmp_path / "site", task=fl.tasks.classify()) as bundle:
        assert bundle.labels == ["a", "b", "c"]
    model(3).save(tmp_path / "none.safetensors")
    assert fl.load(tmp_path / "none.safetensors").labels is None


def test_what_a_task_and_free_classes_need(tmp_path: Path) -> None:
    dims = {"classes": 6}
    for task, code in (
        (fl.tasks.classify(labels=["a", "b", "c"]), "E-BUILD-002"),
        (fl.tasks.classify(labels=["a"], background=True), "E-BUILD-005"),
    ):
        with pytest.raises(FanlightError) as error:
            fl.build(model(2), tmp_path / "site", task=task, train=training(), dims=dims)
        assert error.value.code == code and error.value.next
        assert not (tmp_path / "site").exists()
    rgb = np.full((9, 9, 3), 200, np.uint8)
    with fl.build(model(2), tmp_path / "site", task=TASK, train=training(), dims=dims) as bundle:
        for host in ("wasm", "numpy"):
            found = bundle.run({"image": rgb}, host=host)
            order = np.argsort(-found["scores"])
            assert found["scores"].shape == (2,) and list(found["top_indices"]) == list(order)
            np.testing.assert_array_equal(found["top_scores"], found["scores"][order])

"""A page that classifies pictures and learns from them, in Chromium: the numbers of Python."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.web.server import Site

pytestmark = pytest.mark.chromium

LABELS = ["red", "green", "blue"]
TASK = fl.tasks.classify(labels=LABELS, input_range=(-1, 1))
HOW = {"batch_size": 4, "epochs": 5, "shuffle": False}
SEED = 5


def model(frozen: bool) -> Any:
    """A small network for pictures, of which all learns, or all but its convolution."""
    fl.clear_session()
    fl.set_random_seed(2)
    layers = fl.layers
    return fl.Sequential(
        [
            fl.Input((8, 10, 3)),
            layers.Conv2D(5, 3, activation="relu", trainable=not frozen),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )


def photos() -> list[np.ndarray]:
    """Two of each colour, of all sizes; the first is larger than what the model sees."""
    rng = np.random.default_rng(1)
    sizes = [(40, 30), (9, 20), (8, 10), (5, 3), (16, 16), (70, 90)]
    made = []
    for i, size in enumerate(sizes):
        photo = rng.integers(0, 80, (*size, 3)).astype(np.uint8)
        photo[..., i % 3] += 150
        made.append(photo)
    return made


def png(photo: np.ndarray) -> list[int]:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(photo).save(data, "PNG")
    return list(data.getvalue())


# What a page finds; `load` is that of train.js.
JOURNEY = """async ({ pngs, seed, how }, load) => {
  const element = document.querySelector('fanlight-classifier');
  const model = await load(await element.ready);
  const blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
  const bitmaps = await Promise.all(blobs.map((blob) => createImageBitmap(blob)));
  const [first, second] = bitmaps;
  const canvas = new OffscreenCanvas(second.width, second.height).getContext('2d');
  canvas.drawImage(second, 0, 0);
  const data = canvas.getImageData(0, 0, second.width, second.height);
  const image = new Image();
  image.src = URL.createObjectURL(blobs[2]);
  const x = await model.pictures([bitmaps[0], data, image, ...blobs.slice(3)]);
  const plain = (found) => found.map(({ label, score }) => [label, score]);
  const told = async () => plain(await element.classify(blobs[0]));
  const before = await told();
  const y = Int32Array.from(pngs, (_, i) => i % 3);
  const losses = [];
  await model.fit(x, y, { ...how, seed, onBatchEnd: (batch, { loss }) => losses.push(loss) });
  const after = await told();
  const own = plain(await model.classify(blobs[0], { top: 1 }));
  const file = [...new Uint8Array(await (await model.save()).arrayBuffer())];
  const one = (await model.pictures(blobs[0])).length;
  const wrong = await model.pictures([new Blob(['no picture'])]).catch(({ code }) => code);
  const none = (await model.pictures([])).length;
  return { x: [...x], before, losses, after, own, file, labels: model.labels, wrong, none, one,
    open: first.width };
}"""


def scores(net: Any, x: np.ndarray) -> list[tuple[str, float]]:
    """What the page says of the first picture, by Python."""
    found = zip(LABELS, net.predict(x[:1])[0], strict=True)
    return sorted(((n, float(s)) for n, s in found), key=lambda pair: -pair[1])


def as_python(found: dict[str, Any], frozen: bool, folder: Path) -> None:
    """What a page found is what Python finds."""
    net = model(frozen)
    x = TASK.pictures(net, photos())
    assert x.shape == (6, 8, 10, 3)
    np.testing.assert_allclose(np.reshape(found["x"], x.shape), x, atol=2e-6)
    losses: list[float] = []

    class Losses(fl.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            losses.append((logs or {})["loss"])

    before = scores(net, x)
    net.compile(fl.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    net.set_random_key(SEED)
    net.fit(x, np.arange(6) % 3, callbacks=[Losses()], verbose=0, **HOW)
    after = scores(net, x)
    for name, want in (("before", before), ("after", after), ("own", after[:1])):
        assert [n for n, _ in found[name]] == [n for n, _ in want]
        np.testing.assert_allclose([s for _, s in found[name]], [s for _, s in want], atol=1e-4)
    np.testing.assert_allclose(found["losses"], losses, atol=1e-4)
    moved = dict(found["after"])["red"] - dict(found["before"])["red"]
    assert moved > 0.05 and found["after"][0][0] == "red"
    assert found["labels"] == LABELS and found["wrong"] == "E-WEB-016" and found["none"] == 0
    assert found["one"] == x[0].size
    assert found["open"] > 0  # the page's own picture was not closed
    (folder / "learnt.safetensors").write_bytes(bytes(found["file"]))
    again = model(frozen)
    again.load_weights(folder / "learnt.safetensors", by_name=frozen)  # only what learnt is there
    np.testing.assert_allclose(again.predict(x), net.predict(x), atol=1e-4)


def training() -> Any:
    return fl.training(fl.optimizers.Adam(0.1), "sparse_categorical_crossentropy")


def build(out: Path, frozen: bool) -> Any:
    return fl.build(model(frozen), out, task=TASK, train=training(), dims={"batch": 4})


def given() -> dict[str, Any]:
    how = {"batchSize": HOW["batch_size"], "epochs": HOW["epochs"], "shuffle": False}
    return {"pngs": [png(p) for p in photos()], "seed": SEED, "how": how}


@pytest.mark.parametrize("frozen", [False, True])
def test_the_page_classifies_learns_and_classifies(
    page: Any, site: Site, toys: Path, tmp_path: Path, frozen: bool
) -> None:
    with build(toys / "teach", frozen) as bundle:
        (photo,) = photos()[:1]
        by_numpy = bundle.run({"image": photo}, host="numpy")
        np.testing.assert_allclose(
            bundle.run({"image": photo})["scores"], by_numpy["scores"], atol=1e-5
        )
    page.goto(site.url + "teach/index.html")
    element = page.locator("fanlight-classifier")
    element.get_by_text("Ready.").wait_for()
    found = page.evaluate(
        f"async (given) => ({JOURNEY})(given, (await import('./train.js')).load)", given()
    )
    as_python(found, frozen, tmp_path)
    assert element.locator("li .name").first.inner_text().lower() == "red"


def test_a_page_in_one_file_learns_from_pictures(page: Any, tmp_path: Path) -> None:
    build(tmp_path / "teach.html", False).close()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.goto((tmp_path / "teach.html").as_uri())
    page.locator("fanlight-classifier").get_by_text("Ready.").wait_for()
    found = page.evaluate(f"(given) => ({JOURNEY})(given, fanlight.load)", given())
    as_python(found, False, tmp_path)
    assert errors == []


def test_without_a_task_there_are_no_pictures(bare: Any, training_bundle: Path) -> None:
    found = bare.evaluate("""async () => {
      const { load } = await import('./training/train.js');
      const model = await load('training');
      const photo = new ImageData(4, 4);
      return model.pictures([photo]).catch(({ code, next }) => [code, next]);
    }""")
    assert found[0] == "E-WEB-015" and "task=" in found[1]


def test_a_task_that_does_not_fit_is_told_before_anything_is_written(tmp_path: Path) -> None:
    class Silent:
        def apply(self, graph: Any, labels: Any = None) -> Any:
            return graph, {}

    flat = fl.Sequential([fl.Input((4,)), fl.layers.Dense(3, activation="softmax")])
    for net, task, code in (
        (model(False), fl.tasks.classify(labels=["one"]), "E-BUILD-002"),
        (flat, TASK, "E-BUILD-003"),
        (model(False), Silent(), "E-BUILD-005"),
        (model(False), "classify", "E-BUILD-005"),
    ):
        with pytest.raises(FanlightError) as error:
            fl.build(net, tmp_path / "site", task=task, train=training())  # type: ignore[arg-type]
        assert error.value.code == code
        assert not (tmp_path / "site").exists()

"""What Studio gives away, in Chromium: page, package, one HTML file, TF.js, weights, projects."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.studio.templates import export_files
from tests.formats.tfjs_graph_peer import run as in_tfjs
from tests.support import ROOT
from tests.web import studio_lab
from tests.web.server import Site, serve
from tests.web.studio_parts import serious
from tests.web.studio_site import BARE
from tests.web.test_export_chromium import CLASSES, python_says, same
from tests.web.test_training_pictures import photos, png

pytestmark = pytest.mark.chromium

TITLE = 'Fruit </title><script>alert("x")</script>'
# Teaches, and exports in one form: the file in base64.
TEACH = """async ({ pngs, classes, folder }) => {
  const { load } = await import('/web/runtime/train.js');
  globalThis.model = await load(`/${folder}/`);
  globalThis.blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
  const x = await model.pictures(blobs);
  await model.setClasses(classes);
  const y = Int32Array.from(pngs, (_, i) => i % classes.length);
  await model.fit(x, y, { epochs: 12, batchSize: 4, seed: 1 });
  const said = await model.classify(blobs[0], { top: 9 });
  const [one] = [x.slice(0, x.length / pngs.length)];
  return { said: said.map(({ label, score }) => [label, score]), one: [...one] };
}"""
EXPORT = """async ({ kind, title, folder }) => {
  const beside = async (path) => {
    const response = await fetch(`/${folder}/${path}`);
    return response.ok ? response.blob() : undefined;
  };
  const steps = [];
  const onProgress = (...at) => steps.push(at);
  const file = await exportAs(kind, { model, title, beside, onProgress });
  const reader = new FileReader();
  await new Promise((resolve) => { reader.onload = resolve; reader.readAsDataURL(file); });
  return { name: file.name, data: reader.result.replace(/^[^,]*,/, ''), steps };
}"""


def net(custom: bool = False) -> Any:
    """A frozen nested backbone with a batch norm, and a head of two layers."""
    fl.clear_session()
    fl.set_random_seed(4)
    layers = fl.layers
    photo = fl.Input((8, 10, 3), name="photo")
    h = layers.Conv2D(6, 3, activation="relu", name="conv")(photo)
    h = layers.BatchNormalization(name="norm")(h)
    h = layers.GroupNormalization(2, name="group")(h) if custom else h
    h = layers.GlobalAveragePooling2D(name="pooled")(h)
    for layer in (base := fl.Model(photo, h)).layers:
        layer.trainable = False
    h = layers.Dense(7, activation="relu", name="hidden")(base.outputs[0])
    return fl.Model(photo, layers.Dense(2, activation="softmax", name="answer")(h), name="net")


def build(out: Path, custom: bool = False) -> None:
    how = fl.training(fl.optimizers.Adam(0.05), "sparse_categorical_crossentropy", ["accuracy"])
    task = fl.tasks.classify(labels=["one", "two"], input_range=(-1, 1))
    model = net(custom)
    fl.build(model, out, task=task, train=how, dims={"batch": 4, "classes": 5}).close()
    for path, data in export_files(model, out).items():
        (out / path).write_bytes(data)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    with studio_lab.lab(tmp_path / "site") as site:
        yield site


@pytest.fixture
def taught(page: Any, site: Site) -> tuple[Any, dict[str, Any]]:
    build(site.folder / "own")
    studio_lab.enter(page, site, "export", "places", "project_zip", "archive", "slug")
    pngs = [png(p) for p in photos()]
    return page, page.evaluate(TEACH, {"pngs": pngs, "classes": CLASSES, "folder": "own"})


def exported(page: Any, kind: str, target: Path) -> tuple[str, bytes]:
    found = page.evaluate(EXPORT, {"kind": kind, "title": TITLE, "folder": "own"})
    data = base64.b64decode(found["data"])
    if found["name"].endswith(".zip"):
        assert found["steps"][-1][0] == found["steps"][-1][1] == len(found["steps"])
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            archive.extractall(target)
    return found["name"], data


def imported(page: Any, folder: Path, name: str) -> Any:
    """What a page says that imports the package as bundlers find it: as Node resolves its name."""
    place = folder.parent / "app" / "node_modules" / name
    shutil.copytree(folder, place)
    ask = f"""const {{ fileURLToPath }} = await import('node:url');
    console.log(fileURLToPath(import.meta.resolve({name!r})));"""
    script = place.parents[1 + name.count("/")] / "ask.mjs"
    script.write_text(ask)
    node = [str(ROOT / "tools" / "with_node.sh"), "node", str(script)]
    main = Path(subprocess.run(node, capture_output=True, text=True, check=True).stdout.strip())
    assert main.is_file() and main.with_suffix(".d.ts").is_file() and place in main.parents
    with serve(place) as site:
        site.pages["app.html"] = BARE
        other = page.context.new_page()
        other.goto(site.url + "app.html")
        said = other.evaluate(
            """async ({ main, bytes }) => {
              const { load } = await import(main);
              const model = await load(new URL('.', main));
              const blob = new Blob([Uint8Array.from(bytes)], { type: 'image/png' });
              const all = await model.classify(blob, { top: 9 });
              return all.map(({ label, score }) => [label, score]);
            }""",
            {"main": site.url + main.relative_to(place).as_posix(), "bytes": png(photos()[0])},
        )
        other.close()
    return said


def test_a_page_and_a_package(taught: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    page, found = taught
    for kind, ending in (("page", "-page.zip"), ("npm", "-npm.zip")):
        name, _ = exported(page, kind, tmp_path / kind)
        assert name == f"fruit-title-script-alert-x-script{ending}"
        same(found["said"], python_says(tmp_path / kind, "wasm"))
        assert "<script>alert" not in (tmp_path / kind / "index.html").read_text()
        assert not (tmp_path / kind / "page.html.tpl").exists()
    package = json.loads((tmp_path / "npm" / "package.json").read_text())
    readme = (tmp_path / "npm" / "README.md").read_text()
    assert package["name"] in readme and "    <b>lime</b>" in readme
    same(found["said"], imported(page, tmp_path / "npm", package["name"]))
    assert not (tmp_path / "page" / "README.md").exists()


def test_one_html_file(taught: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    page, found = taught
    name, data = exported(page, "html", tmp_path)
    path = tmp_path / name
    path.write_bytes(data)
    same(found["said"], python_says(path, "numpy"))
    errors: list[str] = []
    other = page.context.new_page()
    other.on("console", lambda message: errors.append(message.text))
    other.on("dialog", lambda dialog: errors.append("dialog"))
    other.goto(path.as_uri())
    other.locator("fanlight-classifier").get_by_text("Ready.").wait_for()
    other.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text("utf-8"))
    assert serious(other) == []
    assert other.title() == TITLE and other.locator("h1").inner_text() == TITLE
    said = other.evaluate(
        """async (bytes) => {
          const element = document.querySelector('fanlight-classifier');
          const blob = new Blob([Uint8Array.from(bytes)], { type: 'image/png' });
          const all = await (await element.ready).classify(blob, { top: 9 });
          return all.map(({ label, score }) => [label, score]);
        }""",
        png(photos()[0]),
    )
    same(said, found["said"])
    assert errors == []
    other.close()


def test_tfjs_computes_the_same(taught: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    page, found = taught
    name, data = exported(page, "tfjs", tmp_path / "web")
    image = np.array(found["one"], np.float32).reshape(1, 8, 10, 3)
    (told,) = in_tfjs([(tmp_path / "web", {"photo": image})])
    scores = dict(zip(CLASSES, told["list"][0].reshape(-1), strict=True))
    for label, score in found["said"]:
        assert abs(scores[label] - score) < 2e-6
    (tmp_path / name).write_bytes(data)
    model = fl.load_model(tmp_path / name)  # the zip itself
    assert list(model.labels) == CLASSES
    np.testing.assert_allclose(model.predict(image)[0], told["list"][0][0], atol=2e-6)


def test_weights_and_a_form_that_there_is_not(
    taught: tuple[Any, dict[str, Any]], site: Site, tmp_path: Path
) -> None:
    page, found = taught
    name, data = exported(page, "safetensors", tmp_path)
    (tmp_path / name).write_bytes(data)
    model = fl.load(tmp_path / name)
    image = np.array(found["one"], np.float32).reshape(1, 8, 10, 3)
    best = model.labels[int(model.predict(image)[0].argmax())]
    assert best == found["said"][0][0]
    build(site.folder / "other", custom=True)
    assert not (site.folder / "other" / "tfjs.json").exists()  # TF.js has no such layer
    codes = page.evaluate("""async () => {
      const told = async (kind, what) => (
        await caught(exportAs(kind, { title: 'x', ...what }))).code;
      const beside = () => undefined;
      const signal = AbortSignal.abort();
      return [await told('tfjs', { model, beside }), await told('html', { model, beside }),
        await told('page', { model: null }), await told('gif', { model }),
        await told('project', { model }),
        (await caught(exportAs('page', { title: 'x', model, signal }))).name];
    }""")
    assert codes == [
        "E-STUDIO-050", "E-STUDIO-050", "E-STUDIO-024", "E-STUDIO-003", "E-STUDIO-022",
        "AbortError",
    ]  # fmt: skip


def test_files_of_the_page_stand_once(taught: tuple[Any, dict[str, Any]], site: Site) -> None:
    page, _ = taught
    asked = len(site.log)
    paths = page.evaluate("""async () => {
      const files = { 'fanlight.js': 1, 'index.html': 1, 'own/tfjs.json': 1, 'own/index.html': 1 };
      const own = { 'tfjs.json': 'own/tfjs.json', 'index.html': 'own/index.html' };
      const { beside, page } = placesIn({ files }, `${location.origin}/own/../`, { files: own });
      const bytes = async (found) => (found ? (await found).size > 0 : found);
      return [await bytes(beside('tfjs.json')), await bytes(beside('page.html.tpl')),
        await bytes(beside('toString')), await bytes(page('index.html')),
        await bytes(page('no.js')), (await caught(page('fanlight.js'))).code];
    }""")
    assert paths == [True, None, None, True, None, "E-STUDIO-004"]
    assert site.log[asked:] == ["own/tfjs.json", "own/index.html", "fanlight.js"]

"""`model.export()` in Chromium: what a page has learnt, as a bundle of its own."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.bundle import read_bundle
from fanlight.web.site import page_files
from tests.web.server import Site, serve
from tests.web.test_training_pictures import photos, png

pytestmark = pytest.mark.chromium

MOST = 5
CLASSES = ["cherry", "<b>lime</b>", "sky", 'a "plum"']
# The page teaches, and gives: its files in base64, what it says of a photo, its weights.
EXPORT = """async ({ pngs, classes, title, labels, drop }, load, source, options = {}) => {
  const model = await load(source, options);
  const blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
  const x = await model.pictures(blobs);
  await model.setClasses(classes);
  const y = Int32Array.from(pngs, (_, i) => i % classes.length);
  await model.fit(x, y, { epochs: 12, batchSize: 4, seed: 1 });
  if (drop) await model.setClasses(classes.filter((name) => name !== drop));
  const said = await model.classify(blobs[0], { top: 9 });
  const files = {};
  for (const [path, bytes] of await model.export({ title, labels })) {
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    files[path] = btoa(text);
  }
  const how = { epochs: 2, batchSize: 4, shuffle: false, seed: 3 };
  const more = await model.fit(x, y.map((c) => Math.min(c, 1)), how);
  const { loss } = more.history;
  return { files, said: said.map(({ label, score }) => [label, score]), loss };
}"""
# Of an exported page: what it says, how it learns on, and what a class that is new begins with.
AGAIN = """async ({ pngs }, load, source, options = {}) => {
  const model = await load(source, options);
  const blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
  const said = await model.classify(blobs[0], { top: 9 });
  const count = model.labels.length;
  const x = await model.pictures(blobs);
  const y = Int32Array.from(pngs, (_, i) => Math.min(i % 4, 1));
  const { history } = await model.fit(x, y, { epochs: 2, batchSize: 4, shuffle: false, seed: 3 });
  await model.reset();
  await model.setClasses(5);
  const kernel = (await model.getWeights())['head/kernel'];
  return { said: said.map(({ label, score }) => [label, score]), loss: history.loss, count,
    kernel: [...kernel.data], shape: kernel.shape };
}"""


def net() -> Any:
    """A frozen convolution, whose numbers cross a shard's end, and a head."""
    fl.clear_session()
    fl.set_random_seed(4)
    layers = fl.layers
    return fl.Sequential(
        [
            fl.Input((8, 10, 3)),
            layers.Conv2D(40, 3, activation="relu", trainable=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", name="head"),
        ]
    )


def build(out: Path) -> fl.Bundle:
    how = fl.training(fl.optimizers.Adam(0.05), "sparse_categorical_crossentropy", ["accuracy"])
    task = fl.tasks.classify(labels=["one", "two"], input_range=(-1, 1))
    return fl.build(net(), out, task=task, train=how, dims={"batch": 4, "classes": MOST})


def given(**more: Any) -> dict[str, Any]:
    return {"pngs": [png(p) for p in photos()], "classes": CLASSES, **more}


def unpacked(files: dict[str, str], folder: Path) -> Path:
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(base64.b64decode(data))
    return folder


def files_of(folder: Path) -> set[str]:
    """All but the compressed copies, which whoever serves an export makes anew."""
    paths = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return {path for path in paths if not path.endswith((".br", ".gz"))}


def python_says(folder: Path, host: str) -> list[tuple[str, float]]:
    with fl.open_bundle(folder) as bundle:
        scores = bundle.run({"image": photos()[0]}, host=host)["scores"]
        assert bundle.labels is not None and len(bundle.labels) == scores.size
        found = zip(bundle.labels, scores.tolist(), strict=True)
        return sorted(found, key=lambda pair: -pair[1])


def same(found: Any, want: Any) -> None:
    assert [name for name, _ in found] == [name for name, _ in want]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in want], atol=2e-6)


def run(page: Any, site: Site, journey: str, folder: str, what: dict[str, Any]) -> Any:
    page.goto(site.url + f"{folder}/index.html")
    return page.evaluate(
        f"async (given) => ({journey})(given, (await import('./train.js')).load, './')", what
    )


@pytest.fixture
def built(toys: Path) -> Path:
    build(toys / "exports").close()
    return toys / "exports"


@pytest.mark.parametrize("drop", [None, "sky"])
def test_a_folder_is_exported_whole(
    page: Any, site: Site, built: Path, tmp_path: Path, drop: str | None
) -> None:
    title = 'Fruit & <sky> "$1"'
    found = run(page, site, EXPORT, "exports", given(title=title, drop=drop))
    made = unpacked(found["files"], tmp_path / "made")
    names = files_of(built)
    weights = {n for n in names if n.startswith("weights-")}
    exported = set(found["files"])
    assert names - weights == {n for n in exported if not n.startswith("weights-")}
    bundle = read_bundle(made)  # every file has the hash that the manifest says
    for path in bundle.manifest["files"]:
        bundle.read_file(path)
    for entry in (*bundle.manifest["weights"], *bundle.manifest["modules"]):
        bundle.read(entry)
    kept = [c for c in CLASSES if c != drop]
    assert bundle.manifest["task"]["labels"] == kept
    assert bundle.manifest["dims"]["classes"]["size"] == len(kept)
    same(found["said"], python_says(made, "numpy"))
    same(found["said"], python_says(made, "wasm"))
    for name in ("training.json", "still.safetensors", "fanlight.js"):
        assert (made / name).read_bytes() == (built / name).read_bytes()
    html = (made / "index.html").read_text()
    assert "<h1>Fruit &#38; &#60;sky&#62; &#34;$1&#34;</h1>" in html and "<sky>" not in html
    assert json.loads((made / "package.json").read_text())["name"] == "fruit-sky-1"
    with serve(tmp_path) as other:
        again = run(page, other, AGAIN, "made", given())
    same(again["said"], found["said"])
    assert again["count"] == len(kept)
    if drop is None:  # the optimizer goes on from where it was
        np.testing.assert_allclose(again["loss"], found["loss"], atol=1e-5)
    # A class that is new begins as it was built at first.
    fresh = run(page, site, AGAIN, "exports", given())
    own, first = (np.reshape(f["kernel"], f["shape"]) for f in (again, fresh))
    np.testing.assert_array_equal(own[:, len(kept) :], first[:, len(kept) :])
    assert not np.allclose(own[:, 0], first[:, 0])


def test_what_was_not_taught_is_exported_as_it_was_built(
    bare: Any, built: Path, tmp_path: Path
) -> None:
    sums = bare.evaluate("""async () => {
      const { load } = await import('./exports/train.js');
      const model = await load('exports', { worker: false });
      const sizes = [...await model.export()].map(([path, data]) => [path, data.length]);
      return Object.fromEntries(sizes);
    }""")
    assert sums == {
        name: (built / name).stat().st_size
        for name in files_of(built) - {"manifest.json", "graph.json"}
    } | {name: sums[name] for name in ("manifest.json", "graph.json")}


def test_files_of_the_page_may_stand_elsewhere(bare: Any, toys: Path, tmp_path: Path) -> None:
    build(toys / "bare_model").close()
    manifest = json.loads((toys / "bare_model" / "manifest.json").read_text())
    kept = {"graph.json", "training.json", "still.safetensors"}
    for path in set(page_files(manifest, train=True)) - kept:
        (toys / "bare_model" / path).unlink()
    build(toys / "exports").close()
    found = bare.evaluate("""async () => {
      const { load } = await import('./exports/train.js');
      const model = await load('bare_model');
      const files = async (path) => (path.endsWith('.d.ts') ? new Blob(['// none'])
        : new Uint8Array(await (await fetch(`exports/${path}`)).arrayBuffer()));
      const all = await model.export({ files, labels: ['north', 'south'] });
      const manifest = JSON.parse(new TextDecoder().decode(all.get('manifest.json')));
      const caught = (promise) => promise.then(() => 'none', ({ code }) => code);
      return { paths: [...all.keys()], types: new TextDecoder().decode(all.get('types.d.ts')),
        labels: manifest.task.labels, listed: manifest.files['types.d.ts'].bytes,
        errors: [
          await caught(model.export()), await caught(model.export({ labels: ['one'], files })),
          await caught(model.export({ titel: 'x' })),
          await caught(model.export({ title: 4, files }))] };
    }""")
    assert "index.html" in found["paths"] and found["types"] == "// none" and found["listed"] == 7
    assert found["labels"] == ["north", "south"]
    assert found["errors"] == ["E-WEB-005", "E-WEB-037", "E-WEB-001", "E-WEB-001"]


def test_a_page_in_one_file_exports_its_model(page: Any, tmp_path: Path) -> None:
    build(tmp_path / "one.html").close()
    page.goto((tmp_path / "one.html").as_uri())
    page.locator("fanlight-classifier").get_by_text("Ready.").wait_for()
    found = page.evaluate(
        f"(given) => ({EXPORT})(given, fanlight.load, fanlight.bundle)", given(title="One")
    )
    made = unpacked(found["files"], tmp_path / "made")
    assert not (made / "index.html").exists()  # a page in one file has no others
    same(found["said"], python_says(made, "numpy"))
    same(found["said"], python_says(made, "wasm"))


def test_a_page_that_works_offline_keeps_what_was_exported(
    page: Any, site: Site, toys: Path, tmp_path: Path
) -> None:
    how = fl.training("adam", "sparse_categorical_crossentropy")
    task = fl.tasks.classify(labels=["one", "two"], input_range=(-1, 1))
    dims = {"batch": 4, "classes": MOST}
    fl.build(net(), toys / "offline", task=task, train=how, dims=dims, offline=True).close()
    found = run(page, site, EXPORT, "offline", given(title="Kept"))
    made = unpacked(found["files"], tmp_path / "made")
    files = json.loads((made / "sw.js").read_text().split("const FILES=")[1].split("];")[0] + "]")
    assert {path for path, *_ in files} >= {"index.html", "manifest.json"}
    weights = [e["path"] for e in read_bundle(made).manifest["weights"]]
    assert [p for p, *_ in files if p.startswith("weights-")] == sorted(weights)
    for path, digest, size, _ in files:
        data = (made / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest), path
    assert json.loads((made / "app.webmanifest").read_text())["name"] == "Kept"

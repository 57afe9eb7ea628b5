"""Studio, and what it exports as a page, are apps: in Chromium, served, then without a network."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fanlight
from bench.visitor import Tab
from fanlight.web.shell import APP_LINKS, REGISTER_LINK
from tests.web.server import serve
from tests.web.studio_site import BARE, write_studio
from tests.web.test_offline import LABEL, STARTED, at, keep_all, tabs
from tests.web.test_studio_session import SETUP, teach

pytestmark = pytest.mark.chromium

__all__ = ["tabs"]

EXPORT = """async (kind) => {
  const file = await session.export(kind, { title: 'Reds & blues' });
  const reader = new FileReader();
  await new Promise((resolve) => { reader.onload = resolve; reader.readAsDataURL(file); });
  return reader.result.replace(/^[^,]*,/, '');
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    return folder


@pytest.fixture
def studio(page: Any, folder: Path) -> Iterator[Any]:
    """A page with a session in which two classes were taught."""
    with serve(folder) as site:
        site.pages["bare.html"] = BARE
        page.goto(site.url + "bare.html")
        page.evaluate(SETUP)
        teach(page)
        yield page


def listed(text: str) -> list[tuple[str, str, int, int]]:
    """What a service worker keeps: path, SHA-256, bytes, and what it is of."""
    files: list[tuple[str, str, int, int]] = json.loads(
        text.split("const FILES=", 1)[1].split(";\n", 1)[0]
    )
    return files


def test_an_exported_page_needs_no_network_after_one_visit(
    studio: Any, tabs: Callable[[], Tab], tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(studio.evaluate(EXPORT, "page")))) as pack:
        pack.extractall(tmp_path / "site")
    site_of = tmp_path / "site"
    files = listed((site_of / "sw.js").read_text())
    for path, digest, size, _ in files:
        data = (site_of / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest), path
    manifest = json.loads((site_of / "manifest.json").read_text())
    paths = {path for path, *_ in files}
    assert {e["path"] for e in (*manifest["modules"], *manifest["weights"])} <= paths
    assert {"index.html", "page.js", "register.js", "icon-512.png"} <= paths
    assert not {"training.json", "still.safetensors", "train.js"} & paths  # it learns nothing
    app = json.loads((site_of / "app.webmanifest").read_text())
    assert app["name"] == "Reds & blues" and "Teach" not in app["description"]
    with serve(tmp_path) as site:
        tab = tabs()
        tab.goto(site.url + "site/")
        label = at(tab, "Reds & blues", LABEL)
        assert label in ("red", "blue")
        at(tab, "Reds & blues", STARTED)
        assert keep_all(tab) == "offline"
        assert "site/still.safetensors" not in site.log
        site.down = True
        tab.goto(site.url + "site/?offline")
        assert at(tab, "Reds & blues", LABEL) == label
        assert tab.find("crossOriginIsolated")


def test_all_scripts_of_studio_are_kept(folder: Path) -> None:
    """Those that come when they are wanted, too."""
    dist = Path(fanlight.__file__).parent / "web/studio/dist"
    scripts = {path.name for path in dist.glob("*.js")} - {"one_file.js"}  # of another page
    assert len(scripts) > 20
    kept = {path for path, _, _, part in listed((folder / "sw.js").read_text()) if part == 0}
    assert scripts | {"index.html", "studio.css", "studio.json", "train.js", "worker.js"} <= kept


# `session()` of the page; `shot(kind)`, a photo.
PAGE = """
  globalThis.app = () => document.querySelector('fanlight-studio');
  globalThis.session = () => app().session;
  globalThis.shot = async (kind) => {
    const pixels = new ImageData(24, 24);
    pixels.data.forEach((_, i) => {
      const own = i % 4 === 3 ? 255 : i % 4 === { red: 0, blue: 2 }[kind] ? 140 : 0;
      pixels.data[i] = own + Math.floor(90 * Math.random());
    });
    const canvas = new OffscreenCanvas(24, 24);
    canvas.getContext('2d').putImageData(pixels, 0, 0);
    return new File([await canvas.convertToBlob()], `${kind}.png`, { type: 'image/png' });
  };
  globalThis.shots = (kind, count) => Promise.all(Array.from({ length: count }, () => shot(kind)));
"""
# The last of the steps that come when the page is idle.
WHOLE = "!!(customElements.get('fl-tag') && globalThis.session?.()?.classes.length === 2)"
FIRST = "(async () => { await session().add(session().classes[0].id, [await shot('red')]); })()"
# Everything that there is to do, with heads and parts that no visit has used yet.
ALL = """(async () => {
  const said = {};
  const [one, two] = session().classes;
  said.before = session().examples.length;
  await session().add(one.id, await shots('red', 5));
  await session().add(two.id, await shots('blue', 6));
  const settings = { epochs: 25, batchSize: 4, learningRate: 0.05, validationSplit: 0 };
  const augment = { ...session().settings.augment, copies: 1, rotate: 5 };
  for (const changes of [{ head: 'neighbours' }, { unfreeze: 2, head: 'linear' },
    { unfreeze: 0, head: 'hidden', augment }]) {
    await session().train({ ...settings, ...changes });
  }
  said.red = (await session().predict(await shot('red'))).results[0].label === one.name;
  said.blue = (await session().predict(await shot('blue'))).results[0].label === two.name;
  await session().correct(await shot('red'), one.id);
  said.pairs = (await session().duplicates()).length >= 0;
  said.sizes = [];
  for (const kind of ['page', 'html', 'npm', 'tfjs', 'safetensors', 'project']) {
    said.sizes.push((await session().export(kind)).size > 999);
  }
  await session().importProject(await session().export('project'));
  said.after = session().examples.length;
  return said;
})()"""


def test_studio_fetches_no_model_before_it_is_wanted_and_then_needs_no_network(
    folder: Path, tabs: Callable[[], Tab]
) -> None:
    begin = {path for path, _, _, part in listed((folder / "sw.js").read_text()) if part == 0}
    with serve(folder) as site:
        tab = tabs()
        tab.goto(site.url + "index.html", PAGE)
        tab.find(WHOLE, within_s=60)
        tab.find(STARTED, within_s=60)
        # The worker has what the page begins with: a model's list of its files at most.
        fetched = {path for path in site.log if path.startswith("models/")}
        assert fetched <= begin and not any(path.endswith((".bin", ".wasm")) for path in fetched)
        tab.ask(FIRST)
        # From then on it is wanted, and with it all that a visit without network needs.
        tab.find("app().offline", within_s=120)
        assert any(path.endswith(".bin") for path in site.log)
        site.down = True
        tab.goto(site.url + "index.html?offline")
        tab.find(f"location.search === '?offline' && {WHOLE}", within_s=60)
        said = tab.ask(ALL, within_s=180)
    assert said == {
        "before": 1, "red": True, "blue": True, "pairs": True, "sizes": [True] * 6, "after": 13,
    }  # fmt: skip


def test_one_html_file_starts_no_worker(studio: Any) -> None:
    html = base64.b64decode(studio.evaluate(EXPORT, "html")).decode()
    assert REGISTER_LINK not in html and APP_LINKS not in html
    assert 'rel="manifest"' not in html and "<h1>Reds &#38; blues</h1>" in html


def test_a_page_is_exported_without_a_network(folder: Path) -> None:
    """Studio's own worker keeps what lists the files of an exported page."""
    kept = {
        path: (digest, part) for path, digest, _, part in listed((folder / "sw.js").read_text())
    }
    for head in json.loads((folder / "studio.json").read_text())["heads"]:
        for name in ("sw.js", "app.webmanifest", "index.html"):
            path = head["files"][name]
            digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
            assert kept[path][0] == digest
        assert kept[head["files"]["sw.js"]][1] == 1  # it comes after what the page begins with
    assert "sw.js" not in kept


def test_a_model_whose_files_stand_elsewhere_gets_its_worker_from_there(
    studio: Any, folder: Path
) -> None:
    found = studio.evaluate("""async () => {
      const { load } = await import('./train.js');
      const { url, files: own } = (await (await fetch('studio.json')).json()).heads[0];
      const manifest = await (await fetch(url)).json();
      const paths = {};
      for (const path of [...Object.keys(manifest.files), 'sw.js']) {
        paths[path] = await (await fetch(own[path] ?? path)).blob();
      }
      // A model in memory, as of a page in one file: it stands nowhere.
      const files = {};
      const names = ['training.json', 'still.safetensors', 'graph.json'];
      const beside = names.map((name) => manifest.files[name]);
      for (const { path } of [...manifest.modules, ...manifest.weights, ...beside]) {
        files[path] = await (await fetch(`models/${path}`)).blob();
      }
      const model = await load({ manifest, files });
      const all = await model.export({ files: (path) => paths[path] });
      return new TextDecoder().decode(all.get('sw.js'));
    }""")
    own = json.loads((folder / "studio.json").read_text())["heads"][0]["files"]
    built = listed((folder / own["sw.js"]).read_text())
    assert [path for path, *_ in listed(found) if not path.startswith(("weights-", "model-"))] == [
        path for path, *_ in built if not path.startswith(("weights-", "model-"))
    ]

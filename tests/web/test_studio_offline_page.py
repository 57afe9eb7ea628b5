"""What Studio exports as a page is an app: in Chromium, served, then without a network."""

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

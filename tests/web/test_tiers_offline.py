"""Folders of tiers, a cascade and early exits with a service worker: what is kept, and updates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from bench.visitor import Tab
from tests.adaptive.nets import TASK, colours, exits, pictures
from tests.adaptive.test_cascade import closed
from tests.web.server import Site, serve
from tests.web.test_offline import KEPT, LABEL, STARTED, WAITING, at, hash_of, tabs
from tests.web.test_tiers_chromium import rgba, sure_and_unsure

pytestmark = pytest.mark.chromium

__all__ = ["closed", "tabs"]

# Keep what this page needs, as it does by itself three seconds after it is ready.
KEEP = """(async () => {
  const { info } = await document.querySelector('fanlight-classifier').ready;
  const { keepAll } = await import('./register.js');
  const done = Promise.race(['offline', 'partly'].map((end) => new Promise((resolve) => {
    addEventListener(`fanlight-${end}`, () => resolve(end), { once: true });
  })));
  await keepAll(info.tier);
  return done;
})()"""
TIER = "document.querySelector('fanlight-classifier').ready.then(({ info }) => info.tier)"
UPDATE = "navigator.serviceWorker.getRegistration().then((it) => it.update()).then(() => true)"
NAMES = ["f32", "f16", "int8", "int8@16"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serve(tmp_path) as site:
        yield site


def write_tiers(folder: Path, title: str, *, seed: int = 1, **options: Any) -> fl.Tiers:
    photos, _ = pictures(40, seed)
    return fl.build_tiers(
        colours(), folder, task=TASK, tiers=NAMES, calibration=photos, title=title, **options
    )


def listed(folder: Path) -> dict[str, tuple[str, int]]:
    """path -> SHA-256 of what the worker of a folder knows, and what it is of."""
    script = (folder / "sw.js").read_text()
    files = json.loads(script.split("const FILES=", 1)[1].split(";\n", 1)[0])
    return {path: (digest, part) for path, digest, _, part in files}


def kept_files(tab: Tab) -> set[str]:
    """Hashes of all that is kept."""
    return {key for _, key in tab.find(KEPT) if "?" not in key}


def visit(tab: Tab, site: Site, title: str) -> str:
    """Go there, wait until the worker has kept all, and give the answer."""
    tab.goto(site.url + "site/")
    label = at(tab, title, LABEL)
    at(tab, title, STARTED)
    assert tab.find(KEEP) == "offline"
    return str(label)


def test_what_the_worker_of_a_folder_knows(tmp_path: Path) -> None:
    made = write_tiers(tmp_path / "site", "Tiers", offline=True, headers=["netlify"])
    files = listed(made.path)
    least = min(made.tiers, key=lambda tier: tier["bytes"])["id"]
    for tier in (entry["id"] for entry in made.tiers):
        manifest = json.loads((made.path / tier / "manifest.json").read_text())
        paths = [entry["path"] for entry in (*manifest["modules"], *manifest["weights"])]
        wanted = {f"{tier}/{path}": 1 if tier == least else 2 for path in paths}
        wanted[f"{tier}/manifest.json"] = 0
        own = {path: part for path, (_, part) in files.items() if path.startswith(f"{tier}/")}
        assert own == wanted
        assert all(f"/{tier}/{path}\n" in (made.path / "_headers").read_text() for path in paths)
    assert {"index.html", "tiers.json", "manifest.json", "tiers.js", "register.js"} <= set(files)
    assert "app.webmanifest" in files and (made.path / "tiers.json.gz").is_file()
    again = write_tiers(tmp_path / "site", "Tiers", isolate=True, compress=False)
    files = listed(again.path)  # the runtime keeps what it ran
    assert "f32-32/manifest.json" in files and "app.webmanifest" not in files
    assert {part for _, part in files.values()} == {0}
    assert not list(again.path.rglob("*.gz"))


def test_a_folder_of_tiers_needs_no_network_after_one_visit(
    tabs: Callable[[], Tab], site: Site
) -> None:
    made = write_tiers(site.folder / "site", "Tiers", offline=True)
    files = listed(made.path)
    least = min(made.tiers, key=lambda tier: tier["bytes"])["id"]
    tab = tabs()
    label = visit(tab, site, "Tiers")
    tier = tab.find(TIER)
    assert tier != least
    # The page, the tier in use, and the smallest; each once.
    wanted = [
        digest for path, (digest, part) in files.items() if part < 2 or path.startswith(f"{tier}/")
    ]
    keys = [key for _, key in tab.find(KEPT) if "?" not in key]
    assert set(keys) == set(wanted) and len(keys) <= len(wanted)
    site.down = True
    tab.goto(site.url + "site/?offline")
    assert at(tab, "Tiers", LABEL) == label
    assert tab.find(TIER) == tier and tab.find("crossOriginIsolated")
    # The browser has dropped that tier, and forgotten the choice: there is still one.
    tab.find(f"""(async () => {{
      localStorage.clear();
      for (const name of await caches.keys()) {{
        const store = await caches.open(name);
        for (const key of await store.keys()) {{
          if (key.url.includes('/{tier}/')) await store.delete(key);
        }}
      }}
      return true;
    }})()""")
    tab.goto(site.url + "site/?less")
    tab.find(f"location.search === '?less' && {LABEL}")
    assert tab.find(TIER) == least


def test_a_tier_that_is_built_again_does_not_meet_the_others(
    tabs: Callable[[], Tab], site: Site
) -> None:
    write_tiers(site.folder / "site", "First", offline=True)
    before = listed(site.folder / "site")
    tab = tabs()
    label = visit(tab, site, "First")
    tier = tab.find(TIER)
    assert tier == "f32-32"
    tab.reload()
    at(tab, "First", f"!!navigator.serviceWorker.controller && {LABEL}")
    write_tiers(site.folder / "site", "Second", seed=7, offline=True)
    after = listed(site.folder / "site")
    changed = "int8-32/manifest.json"
    assert before[changed] != after[changed]
    same = [path for path in before if path.startswith("f32-32/") and before[path] == after[path]]
    assert any(path.endswith(".bin") for path in same)
    site.log.clear()
    tab.find(UPDATE)
    tab.find(WAITING)
    # Of the tier in use nothing has changed, and spare ones are not fetched.
    asked = {path.removeprefix("site/") for path in site.log}
    assert "tiers.json" in asked and changed in asked and not set(same) & asked
    spare = {path for path, (_, part) in after.items() if part == 2}
    assert not spare & asked
    # This page stays with its build: what it no longer can have is no file of the other one.
    assert hash_of(tab, changed) == before[changed][0]
    found = tab.find("""(async () => {
      const { load } = await import('./fanlight.js');
      return load('./int8-32/').then(() => 'open', (error) => error.code);
    })()""")
    assert found in ("E-WEB-005", "E-WEB-006")
    tab.find("(document.querySelector('fanlight-update button').click(), true)")
    assert at(tab, "Second", LABEL) == label
    assert hash_of(tab, changed) == after[changed][0]
    assert kept_files(tab) <= {digest for digest, _ in after.values()}
    site.down = True
    tab.goto(site.url + "site/?offline")
    assert at(tab, "Second", LABEL) == label


@pytest.mark.parametrize("kind", ["cascade", "exits"])
def test_all_stages_answer_without_a_network(
    tabs: Callable[[], Tab], site: Site, kind: str
) -> None:
    photos, _ = pictures(40)
    rest: dict[str, Any] = {"calibration": photos, "task": TASK, "title": kind, "offline": True}
    folder = site.folder / "site"
    if kind == "cascade":
        small = colours(16, gain=10, mix=0.25, name="small")
        fl.cascade(small, colours(), folder, max_loss=2.5, **rest)
    else:
        names = ("early", "middle", "late")
        fl.early_exits(exits(), folder, exits=names, max_loss=5, **rest)
    _, unsure = sure_and_unsure(folder)
    files = listed(folder)
    assert {part for _, part in files.values()} == {0, 1} and "cascade.json" in files
    tab = tabs()
    visit(tab, site, kind)
    assert {digest for digest, _ in files.values()} == kept_files(tab)
    site.down = True
    tab.goto(site.url + "site/?offline")
    at(tab, kind, LABEL)
    pixels, width = rgba(np.ascontiguousarray(unsure))
    asked = tab.find(f"""(async () => {{
      const model = await document.querySelector('fanlight-classifier').ready;
      const before = model.info.stages.asked[1];
      await model.classify(new ImageData(Uint8ClampedArray.from({json.dumps(pixels)}), {width}));
      return [model.info.stages.asked[1] - before, model.info.stages.problem];
    }})()""")
    assert asked == [1, ""]

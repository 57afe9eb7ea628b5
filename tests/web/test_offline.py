"""`build --offline` and the shell of every page: installs, resumes, heals, updates on request."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from bench.visitor import Tab, visitors
from fanlight.hosts.browser import chromium_flags, find_browser
from fanlight.web.headers import CSP
from fanlight.web.shell import (
    APP_LINKS,
    REGISTER_LINK,
    THEME,
    app_files,
    finish_site,
    worker_files,
)
from tests.build.nets import classifier
from tests.web.server import Site, serve

pytestmark = pytest.mark.chromium

MIB = 1 << 20
BIG = 3 * MIB + 500_000
STARTED = """(async () => {
  const found = await navigator.serviceWorker.getRegistration();
  return found?.active?.state === 'activated';
})()"""
WAITING = "navigator.serviceWorker.getRegistration().then((it) => !!it.waiting)"
# path -> text or size of all that is kept of a page, by its service worker and by the runtime.
KEPT = """(async () => {
  const kept = [];
  for (const name of await caches.keys()) {
    const store = await caches.open(name);
    for (const { url } of await store.keys()) {
      kept.push([name.split(' ')[0], url.split('/').at(-1)]);
    }
  }
  return kept;
})()"""
LABEL = """document.readyState === 'complete' && (async () => {
  await customElements.whenDefined('fanlight-classifier');
  const model = await document.querySelector('fanlight-classifier').ready;
  const canvas = new OffscreenCanvas(40, 40);
  const context = canvas.getContext('2d');
  context.fillStyle = '#3a7';
  context.fillRect(0, 0, 40, 40);
  return (await model.classify(await canvas.convertToBlob(), { top: 1 }))[0].label;
})()"""


def write_site(folder: Path, title: str, *, seed: int = 0, extra: str = "") -> dict[str, str]:
    """A small site with a large file of the model; path -> SHA-256 of what its worker keeps."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">{THEME}{APP_LINKS}'
        f'<title>{title}</title><link rel="stylesheet" href="page.css">{REGISTER_LINK}'
        '<script type="module" src="app.js"></script></head><body><h1>Site</h1></body></html>'
    )
    files = {"index.html": page.encode(), "page.css": b"h1 { color: rgb(1, 2, 3) }"}
    files["app.js"] = f"globalThis.app = '{title}{extra}';".encode()
    files["same.js"] = b"export const same = 1;"
    files["big.bin"] = np.random.default_rng(seed).bytes(BIG)
    for path, data in (files | app_files("A test of the shell") | worker_files()).items():
        (folder / path).write_bytes(data)
    finish_site(folder, True, True)
    script = (folder / "sw.js").read_text()
    listed = json.loads(script.split("const FILES=", 1)[1].split(";\n", 1)[0])
    return {path: digest for path, digest, *_ in listed}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    write_site(tmp_path / "site", "First")
    with serve(tmp_path) as site:
        yield site


@pytest.fixture
def tabs() -> Iterator[Callable[[], Tab]]:
    """Opens tabs of one visitor. Playwright holds up new workers, now and then for good."""
    with visitors() as visitor:
        yield visitor().open


def visit(tab: Tab, site: Site, title: str = "First") -> None:
    """Go there, and wait until the page and its worker have started."""
    tab.goto(site.url + "site/")
    at(tab, title, "document.readyState === 'complete'")
    at(tab, title, STARTED)


def again(tab: Tab, title: str = "First") -> None:
    """Load the page once more, by its worker."""
    tab.reload()
    controlled = "!!navigator.serviceWorker.controller && document.readyState === 'complete'"
    at(tab, title, f"{controlled} && globalThis.app === '{title}'")


def at(tab: Tab, title: str, then: str = "true") -> Any:
    return tab.find(f"document.title === '{title}' && {then}", within_s=30)


def keep_all(tab: Tab) -> str:
    """Have the worker fetch all that is missing, until it says how that ended."""
    return tab.find("""(async () => {
      const { keepAll } = await import('./register.js');
      const done = Promise.race(['offline', 'partly'].map((end) => new Promise((resolve) => {
        addEventListener(`fanlight-${end}`, () => resolve(end), { once: true });
      })));
      await keepAll();
      return done;
    })()""", within_s=20)  # fmt: skip


def has(tab: Tab, digest: str) -> bool:
    return any(key == digest for _, key in tab.find(KEPT))


def hash_of(tab: Tab, path: str) -> str:
    """SHA-256 of a file as the page gets it; "failed" if it gets none."""
    return str(
        tab.find(f"""(async () => {{
          try {{
            const bytes = await (await fetch('{path}')).arrayBuffer();
            const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
            return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
          }} catch {{ return 'failed'; }}
        }})()""")
    )


@pytest.fixture
def profile(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """A page of a browser with a profile: an incognito window installs nothing."""
    executable = find_browser()
    context = chromium.browser_type.launch_persistent_context(
        tmp_path / "profile", executable_path=str(executable), args=chromium_flags()
    )
    yield context.new_page()
    context.close()


def test_it_can_be_installed(profile: Any, site: Site) -> None:
    page = profile
    page.goto(site.url + "site/")
    page.wait_for_function("navigator.serviceWorker.ready.then(() => true)")
    session = page.context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == [] and manifest["url"].endswith("app.webmanifest")
    assert session.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
    icons = json.loads(manifest["data"])["icons"]
    for icon in icons:
        size = page.evaluate(
            """async (src) => {
              const image = Object.assign(new Image(), { src });
              await image.decode();
              return `${image.naturalWidth}x${image.naturalHeight}`;
            }""",
            icon["src"],
        )
        assert icon["sizes"] in (size, "any")
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in icons}
    assert "maskable" in {icon.get("purpose") for icon in icons}


def test_a_built_page_needs_no_network_after_one_visit(
    tabs: Callable[[], Tab], tmp_path: Path
) -> None:
    task = fl.tasks.classify(labels=[f"label {i}" for i in range(5)], input_range=(0, 1))
    fl.build(classifier(), tmp_path / "site", task=task, offline=True, title="Built")
    tab = tabs()
    with serve(tmp_path) as site:
        tab.goto(site.url + "site/")
        label = at(tab, "Built", LABEL)
        at(tab, "Built", STARTED)
        keep_all(tab)
        kept = [key for _, key in tab.find(KEPT)]
        manifest = json.loads((tmp_path / "site" / "manifest.json").read_text())
        model = {entry["sha256"] for entry in (*manifest["modules"], *manifest["weights"])}
        assert model <= set(kept)
        assert len(kept) == len(set(kept)), "a file is kept twice"
        site.down = True
        tab.goto(site.url + "site/?offline")
        assert at(tab, "Built", LABEL) == label
        assert tab.find("crossOriginIsolated")


def test_a_download_goes_on_where_it_broke_off(tabs: Callable[[], Tab], site: Site) -> None:
    tab = tabs()
    site.parts = True
    visit(tab, site)
    digest = write_site(site.folder / "site", "First")["big.bin"]  # the same files again
    site.fail("site/big.bin", "cut", *["missing"] * 20)
    assert keep_all(tab) == "partly"
    assert not has(tab, digest)
    pieces = [key for _, key in tab.find(KEPT) if "?piece=" in key]
    assert pieces == [f"{digest}?piece=0"]
    site.faults.clear()
    site.ranges.clear()
    assert keep_all(tab) == "offline"
    ((path, part),) = site.ranges
    assert path == "site/big.bin" and int(part.removeprefix("bytes=").removesuffix("-")) >= MIB
    assert has(tab, digest)
    assert not any("?piece=" in key for _, key in tab.find(KEPT))
    again(tab)
    site.down = True
    assert hash_of(tab, "big.bin") == digest


def test_a_server_that_dies_in_the_middle_and_knows_no_parts(
    tabs: Callable[[], Tab], site: Site
) -> None:
    tab = tabs()
    visit(tab, site)
    digest = write_site(site.folder / "site", "First")["big.bin"]
    site.fail("site/big.bin", "cut", "cut")
    keep_all(tab)
    assert not has(tab, digest)
    site.down = True
    keep_all(tab)
    site.down = False
    keep_all(tab)  # from the start: all of it comes
    assert has(tab, digest)
    again(tab)
    site.down = True
    assert hash_of(tab, "big.bin") == digest


def test_what_was_kept_wrong_or_lost_is_fetched_again(tabs: Callable[[], Tab], site: Site) -> None:
    hashes = write_site(site.folder / "site", "First")
    tab = tabs()
    visit(tab, site)
    keep_all(tab)
    wrong, lost, large = hashes["page.css"], hashes["app.js"], hashes["big.bin"]
    tab.find(f"""(async () => {{
      const name = (await caches.keys()).find((name) => name.startsWith('fanlight-page'));
      const store = await caches.open(name);
      await store.put(new URL('{wrong}', location.href), new Response('h1 {{ color: red }}'));
      await store.delete(new URL('{lost}', location.href));
      await store.delete(new URL('{large}', location.href));
      return true;
    }})()""")
    site.log.clear()
    again(tab)
    colour = tab.find("getComputedStyle(document.querySelector('h1')).color")
    assert colour == "rgb(1, 2, 3)"
    assert {"site/page.css", "site/app.js"} <= set(site.log)
    assert "site/same.js" not in site.log
    keep_all(tab)
    site.down = True
    for path in ("page.css", "app.js", "big.bin"):
        assert hash_of(tab, path) == hashes[path]
    again(tab)


def test_what_cannot_be_kept_is_shown_all_the_same(tabs: Callable[[], Tab], site: Site) -> None:
    hashes = write_site(site.folder / "site", "First")
    script = site.folder / "site/sw.js"
    # The storage of this worker is full once there is a cache of that name.
    full = """const keep = Cache.prototype.put;
      Cache.prototype.put = async function (...given) {
        if (await caches.has('full')) throw new DOMException('full', 'QuotaExceededError');
        return keep.apply(this, given);
      };"""
    script.write_text(full + script.read_text())
    tab = tabs()
    visit(tab, site)
    tab.find(f"""(async () => {{
      const name = (await caches.keys()).find((name) => name.startsWith('fanlight-page'));
      await (await caches.open(name)).delete(new URL('{hashes["app.js"]}', location.href));
      return !!await caches.open('full');
    }})()""")
    again(tab)
    assert hash_of(tab, "app.js") == hashes["app.js"] and not has(tab, hashes["app.js"])
    assert keep_all(tab) == "partly"
    tab.find("caches.delete('full')")
    assert hash_of(tab, "app.js") == hashes["app.js"] and has(tab, hashes["app.js"])


def test_one_odd_page_is_no_reason_to_leave(tabs: Callable[[], Tab], site: Site) -> None:
    tab = tabs()
    visit(tab, site)
    before = tab.find(KEPT)
    site.pages["site/"] = "<title>Log in</title>"
    again(tab)
    left = "caches.match(new URL('sw.js?left', location.href)).then((found) => !!found)"
    tab.find(left)
    del site.pages["site/"]
    again(tab)
    assert tab.find("!!navigator.serviceWorker.controller")
    assert tab.find(KEPT) == before  # without the mark, too


def test_a_damaged_build_whose_host_has_a_newer_one_is_left(
    tabs: Callable[[], Tab], site: Site
) -> None:
    hashes = write_site(site.folder / "site", "First")
    tab = tabs()
    visit(tab, site)
    tab.find(f"""(async () => {{
      const name = (await caches.keys()).find((name) => name.startsWith('fanlight-page'));
      return (await caches.open(name)).delete(new URL('{hashes["app.js"]}', location.href));
    }})()""")
    write_site(site.folder / "site", "Second")
    tab.goto(site.url + "site/")
    at(tab, "Second", "globalThis.app === 'Second'")  # not one file of the first
    at(tab, "Second", STARTED)


def test_a_newer_version_is_offered_and_begins_in_every_tab(
    tabs: Callable[[], Tab], site: Site
) -> None:
    one, two = tabs(), tabs()
    visit(one, site)
    again(one)
    visit(two, site)
    keep_all(one)
    later = write_site(site.folder / "site", "Second")
    site.log.clear()
    update = "navigator.serviceWorker.getRegistration().then((it) => it.update()).then(() => true)"
    one.find(update)
    one.find(WAITING)
    # What did not change is not fetched again, the model among it.
    assert {"site/index.html", "site/app.js"} <= set(site.log)
    assert not {"site/same.js", "site/page.css", "site/big.bin"} & set(site.log)
    for tab in (one, two):
        assert tab.find("document.querySelector('fanlight-update p').textContent") == (
            "A new version is ready."
        )
        # Until somebody says so, a page stays whole.
        assert hash_of(tab, "app.js") != later["app.js"]
        assert tab.find("globalThis.app") == "First"
    # A tab at work holds it up.
    two.find("""import('./register.js').then(({ busy }) => {
      busy(new Promise((resolve) => { globalThis.finish = resolve; }));
      return new Promise((resolve) => setTimeout(resolve, 200, true));
    })""")
    one.find("(document.querySelector('fanlight-update button').click(), true)")
    one.find("document.querySelector('fanlight-update p').textContent.startsWith('Another tab')")
    assert two.find("globalThis.app") == "First"
    two.find("(finish(), new Promise((resolve) => setTimeout(resolve, 200, true)))")
    one.find("(document.querySelector('fanlight-update button').click(), true)")
    for tab in (one, two):
        at(tab, "Second", "globalThis.app === 'Second'")
        assert hash_of(tab, "app.js") == later["app.js"]
    kept = sorted(key for _, key in one.find(KEPT))
    assert kept == sorted(set(later.values()))


def test_a_page_may_ask_in_its_own_way(tabs: Callable[[], Tab], site: Site) -> None:
    tab = tabs()
    visit(tab, site)
    again(tab)
    tab.find("""(addEventListener('fanlight-update', (event) => {
      event.preventDefault();
      globalThis.offered = event.detail;
    }), true)""")
    write_site(site.folder / "site", "Second")
    tab.find("navigator.serviceWorker.getRegistration().then((it) => it.update()).then(() => true)")
    tab.find("!!globalThis.offered")
    assert tab.find("document.querySelector('fanlight-update') === null")
    tab.find("(offered.accept(), true)")
    at(tab, "Second", "globalThis.app === 'Second'")


def test_a_new_build_that_does_not_come_whole_does_not_begin(
    tabs: Callable[[], Tab], site: Site
) -> None:
    tab = tabs()
    visit(tab, site)
    keep_all(tab)
    later = write_site(site.folder / "site", "Second", seed=1)
    site.fail("site/big.bin", *["missing"] * 40)
    site.log.clear()
    for _ in range(2):
        again(tab)
    end = time.monotonic() + 30
    while "site/index.html" not in site.log or "site/big.bin" not in site.log:
        assert time.monotonic() < end, site.log
        tab.find("new Promise((resolve) => setTimeout(resolve, 100, true))")
    tab.find("new Promise((resolve) => setTimeout(resolve, 1500, true))")  # what came is kept
    site.log.clear()
    site.faults.clear()
    tab.find("navigator.serviceWorker.getRegistration().then((it) => it.update()).then(() => true)")
    tab.find(WAITING)
    # What had come is not fetched once more.
    assert "site/big.bin" in site.log and "site/index.html" not in site.log
    tab.goto(site.url + "site/")
    at(tab, "Second", "globalThis.app === 'Second'")
    site.down = True
    assert hash_of(tab, "big.bin") == later["big.bin"]


def test_a_tab_beside_one_at_work_begins_no_new_build(tabs: Callable[[], Tab], site: Site) -> None:
    tab = tabs()
    visit(tab, site)
    again(tab)
    keep_all(tab)
    write_site(site.folder / "site", "Second")
    tab.find("navigator.serviceWorker.getRegistration().then((it) => it.update()).then(() => true)")
    tab.find(WAITING)
    tab.find("""(() => {
      const name = `fanlight-busy ${new URL('./', location.href).href}`;
      navigator.locks.request(name, () => new Promise((done) => { globalThis.done = done; }));
      return true;
    })()""")
    other = tabs()
    other.goto(site.url + "site/")
    at(other, "First", "globalThis.app === 'First'")
    assert tab.find(WAITING)  # until the first has done with it
    tab.find("(globalThis.done(), true)")


def test_a_file_that_is_not_the_one_of_the_build_is_not_kept(
    tabs: Callable[[], Tab], site: Site
) -> None:
    tab = tabs()
    site.fail("site/same.js", *["corrupt"] * 40)
    tab.goto(site.url + "site/")
    at(tab, "First", "document.readyState === 'complete'")
    tab.find("new Promise((resolve) => setTimeout(resolve, 2500, true))")
    assert not tab.find(f"{STARTED}.then((started) => ({{ started }}))")["started"]
    assert tab.find("globalThis.app") == "First"  # the page works as ever
    site.faults.clear()
    at(tab, "First", STARTED)  # it tries again

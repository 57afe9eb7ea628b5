"""`build --isolate`: the page becomes isolated after one reload, and needs no network then."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from bench.visitor import Tab, visitors
from fanlight.errors import FanlightError
from fanlight.web.shell import finish_site
from tests.build.nets import classifier
from tests.web.server import Site, serve
from tests.web.test_threads_chromium import net

ROOT = Path(__file__).parents[2]
READY = """async () => {
  await customElements.whenDefined('fanlight-classifier');
  const element = document.querySelector('fanlight-classifier');
  const model = await element.ready;
  const canvas = new OffscreenCanvas(40, 40);
  const context = canvas.getContext('2d');
  context.fillStyle = '#3a7';
  context.fillRect(0, 0, 40, 40);
  const [{ label, score }] = await model.classify(await canvas.convertToBlob(), { top: 1 });
  return { isolated: crossOriginIsolated, info: model.info, label, score };
}"""
# These are for tabs without a debugger, which ask until something is true.
_REGISTRATION = "(await navigator.serviceWorker.getRegistration())"
STARTED = f"(async () => {_REGISTRATION}?.active?.state === 'activated')()"
WAITING = f"(async () => !!{_REGISTRATION}.waiting)()"
LEFT = "caches.match(new URL('sw.js?left', location.href)).then((kept) => !!kept)"
KEPT = """(async () => await caches.has('fanlight-v1')
  && (await (await caches.open('fanlight-v1')).keys()).length)()"""
# The hashes of the page's files that are kept.
HASHES = """(async () => {
  const hashes = [];
  for (const name of await caches.keys()) {
    if (!name.startsWith('fanlight-page')) continue;
    for (const { url } of await (await caches.open(name)).keys()) hashes.push(url.slice(-64));
  }
  return hashes.sort().join();
})()"""
# Fetch a file, and tell its SHA-256.
AGAIN = """(async (path) => {
  const bytes = await (await fetch(path)).arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
})"""
WAITED = "navigator.serviceWorker.ready.then(({ active }) => active.state)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("isolate")
    labels = [f"label {i}" for i in range(5)]
    task = fl.tasks.classify(labels=labels, input_range=(0, 1))
    fl.build(classifier(), folder / "site", task=task, isolate=True, title="First")
    fl.build(classifier(), folder / "later", task=task, isolate=True, title="Second")
    other = fl.tasks.classify(labels=[*labels, "another"], input_range=(0, 1))
    fl.build(classifier(6), folder / "moved", task=other, isolate=True, title="Moved")
    fl.build(classifier(), folder / "without", task=task, title="Third")
    fl.build(net(), folder / "plain", isolate=True, bench_page=True)
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:  # it sends no header of isolation
        yield site


@pytest.mark.chromium
def test_after_one_reload_it_is_isolated_and_offline(page: Any, site: Site) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(site.url + "site/index.html")
    first = page.evaluate(READY)
    assert first["isolated"] is False and first["info"]["threads"] == 1
    assert "not cross-origin isolated" in first["info"]["why"]
    page.wait_for_function(WAITED)
    page.wait_for_timeout(600)  # the model's files are kept after the first answer
    page.reload()
    second = page.evaluate(READY)
    assert second["isolated"] is True and second["info"]["cached"] is True
    assert (second["label"], second["score"]) == (first["label"], first["score"])
    site.down = True
    site.log.clear()
    for path in ("site/", "site/index.html", "site/?again"):
        page.goto(site.url + path)
        offline = page.evaluate(READY)
        assert offline["isolated"] is True
        assert (offline["label"], offline["score"]) == (first["label"], first["score"])
    # All that was asked is whether there is a newer build; that nobody answered is no error.
    assert set(site.log) <= {"site/sw.js", "site/index.html", "site/"} and problems == []


@pytest.mark.chromium
def test_threads_run_there(page: Any, site: Site) -> None:
    page.goto(site.url + "plain/index.html")
    page.wait_for_function(WAITED)
    page.reload()
    found = page.evaluate("""async () => {
      const { load } = await import('./fanlight.js');
      const x = { data: new Float32Array(8192).fill(0.5), shape: [1, 32, 32, 8] };
      const answers = [];
      for (const threads of [1, 2]) {
        const model = await load('./', { threads });
        answers.push(model.info.threads, String((await model.run({ x })).y.data));
      }
      return answers;
    }""")
    assert (found[0], found[2]) == (1, 2) and found[1] == found[3]


@pytest.fixture
def tabs() -> Iterator[Callable[[], Tab]]:
    """Opens tabs of one visitor. Playwright holds up new workers, now and then for good."""
    with visitors() as visitor:
        yield visitor().open


def at(tab: Tab, title: str, then: str = "true") -> Any:
    """Wait until a tab shows that title, and for what it is asked there."""
    return tab.find(f"document.title === '{title}' && {then}", within_s=40)


def ready(tab: Tab, title: str) -> dict[str, Any]:
    """What the classifier of a page with that title says, once it has loaded."""
    at(tab, title, "document.readyState === 'complete'")
    found: dict[str, Any] = tab.find(f"({READY})()", within_s=40)
    return found


def start(tab: Tab, site: Site) -> None:
    """A first visit, until the service worker has started and the model's files are kept."""
    tab.goto(site.url + "site/index.html")
    ready(tab, "First")
    at(tab, "First", STARTED)
    files = json.loads((site.folder / "site" / "manifest.json").read_text())
    count = 1 + len(files["weights"])  # and one of the modules
    at(tab, "First", f"{KEPT}.then((kept) => kept === {count})")


@pytest.mark.chromium
def test_a_new_build_is_shown_to_those_who_come_again(
    tabs: Callable[[], Tab], site: Site, folder: Path
) -> None:
    page, other = tabs(), tabs()
    start(page, site)
    page.reload()  # from here on the worker knows of it
    at(page, "First", "crossOriginIsolated")
    deploy(site, folder / "later")
    other.goto(site.url + "site/")
    assert ready(other, "First")["isolated"] is True
    page.reload()
    ready(page, "First")  # it is what is kept; meanwhile the worker finds the new one
    at(page, "First", WAITING)
    page.reload()
    # Two pages of the old build are open: both stay whole, whatever they fetch.
    for shown in (page, other):
        assert ready(shown, "First")["isolated"] is True
        assert at(shown, "First", f"{AGAIN}('index.html')") == hashes(folder / "site")["index.html"]
    other.close()
    page.reload()
    assert ready(page, "Second")["isolated"] is True
    later = ",".join(sorted(hashes(folder / "later").values()))
    at(page, "Second", f"{HASHES}.then((kept) => kept === '{later}')")


@pytest.mark.chromium
def test_a_page_whose_model_is_gone_begins_again_with_the_new_build(
    tabs: Callable[[], Tab], site: Site, folder: Path
) -> None:
    page = tabs()
    start(page, site)
    at(page, "First", "caches.delete('fanlight-v1')")
    for path in (folder / "site").glob("*.bin"):
        site.fail(f"site/{path.name}", *["missing"] * 9)
    deploy(site, folder / "moved")
    site.log.clear()
    page.reload()  # the old page, whose weights are not there any more
    assert ready(page, "Moved")["isolated"] is True
    assert any(path.endswith(".bin") for path in site.log)


@pytest.mark.chromium
def test_a_build_without_it_is_shown_to_those_who_come_again(
    tabs: Callable[[], Tab], site: Site, folder: Path
) -> None:
    page = tabs()
    start(page, site)
    for path in ("site/", "site/index.html"):
        site.pages[path] = (folder / "without" / "index.html").read_text("utf-8")
    page.goto(site.url + "site/?again")
    # One build still: its own files.
    assert ready(page, "First")["isolated"] is True
    at(page, "First", LEFT)
    site.log.clear()
    for path in ("site/index.html", "site/index.html?more"):
        page.goto(site.url + path)
        assert ready(page, "Third")["isolated"] is False
    # The new page has not one file of the old build.
    assert {"site/index.html", "site/page.js", "site/fanlight.js"} <= set(site.log)
    at(page, "Third", "navigator.serviceWorker.controller === null")
    at(page, "Third", f"{HASHES}.then((kept) => kept === '')")


@pytest.mark.chromium
def test_an_error_of_the_server_is_no_build(page: Any, site: Site) -> None:
    page.goto(site.url + "site/index.html")
    page.wait_for_function(WAITED)
    site.fail("site/index.html", *["missing"] * 9)
    for _ in range(2):
        page.reload()
        page.wait_for_timeout(1500)  # it looks after a second
        assert page.title() == "First" and page.evaluate("crossOriginIsolated")
    assert len(site.faults["site/index.html"]) < 9


@pytest.mark.chromium
def test_the_manifest_lists_them_and_the_page_starts_them(folder: Path) -> None:
    files = json.loads((folder / "site" / "manifest.json").read_text())["files"]
    assert "register.js" in files and "sw.js" not in files  # it has the hash of the manifest
    for name in ("site", "plain"):
        kept = hashes(folder / name)
        for path in kept:
            assert (folder / name / path).is_file(), path
        assert {"threads.js", "choice.js", "worker.js", "manifest.json"} <= set(kept)
    # "plain" has the bench page too.
    names = {path.name for path in (folder / "plain" / "bench").iterdir()}
    bench = {f"bench/{name}" for name in names if not name.endswith((".br", ".gz"))}
    assert bench and bench <= set(kept)
    assert (folder / "site" / "sw.js").read_text() != (folder / "later" / "sw.js").read_text()


def deploy(site: Site, build: Path) -> None:
    """Put another build in the place of site/, as its host would."""
    for path in build.iterdir():
        if path.suffix in (".html", ".js", ".json"):
            site.pages[f"site/{path.name}"] = path.read_text("utf-8")
        elif path.suffix in (".wasm", ".bin"):  # named by their hashes, so nothing is replaced
            shutil.copy(path, site.folder / "site" / path.name)


def hashes(folder: Path) -> dict[str, str]:
    """path -> SHA-256 of the files that a bundle's service worker keeps."""
    script = (folder / "sw.js").read_text()
    files = json.loads(script.split("const FILES=", 1)[1].split(";\n", 1)[0])
    return {path: digest for path, digest, *_ in files}


def test_the_worker_is_another_where_any_file_is(tmp_path: Path) -> None:
    def made() -> bytes:
        finish_site(tmp_path, True)
        return (tmp_path / "sw.js").read_bytes()

    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "speed.js").write_text("one")
    first = made()
    assert first == made()
    (tmp_path / "bench" / "speed.js").write_text("two")
    second = made()
    (tmp_path / "other.js").write_text("one")
    assert len({first, second, made()}) == 3
    (tmp_path / "types.d.ts").write_text("nobody fetches it")
    assert sorted(hashes(tmp_path)) == ["bench/speed.js", "other.js"]


def test_a_page_in_one_file_has_none(tmp_path: Path) -> None:
    with pytest.raises(FanlightError) as error:
        fl.build(net(), tmp_path / "page.html", isolate=True)
    assert error.value.code == "E-BUILD-005" and list(tmp_path.iterdir()) == []


@pytest.mark.firefox
def test_it_is_so_in_firefox(firefox_path: str, site: Site) -> None:
    command = [str(ROOT / "tools" / "with_node.sh"), "node", str(ROOT / "tests/web/isolate.mjs")]
    done = subprocess.run(
        [*command, firefox_path, site.url, READY],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, threads = json.loads(done.stdout)
    assert first["isolated"] is False and second["isolated"] is True
    assert (first["label"], first["score"]) == (second["label"], second["score"])
    assert threads == [1, 2, True]

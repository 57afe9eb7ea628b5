"""What a first visit of Studio fetches before it can be used, and what it says of itself."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import ROOT
from tests.web.server import Site, serve
from tests.web.studio_site import photo, write_studio

pytestmark = pytest.mark.chromium

# Bytes of the page without the model, as a host sends them (gzip). The Studio of the model that
# ships has 4 KB more in studio.json: 60 KB are what both may have.
MOST = 57_000
# The page never has nothing to do: what comes when it is idle never comes.
NEVER_IDLE = "globalThis.requestIdleCallback = () => 0"
IDLE = """async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => requestIdleCallback(resolve));
}"""
COPIED = """Object.defineProperty(navigator, 'clipboard', { configurable: true, value: {
  writeText: async (text) => { globalThis.copied = text; } } })"""
AXE = """async () => (await axe.run(document)).violations
  .filter(({ impact }) => ['serious', 'critical'].includes(impact))
  .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    shutil.copy(ROOT / "node_modules" / "axe-core" / "axe.min.js", folder / "axe.js")
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:
        yield site


def fetched(page: Any) -> list[str]:
    """Paths that the page itself asks for, as they come."""
    paths: list[str] = []

    def note(request: Any) -> None:
        if request.url.startswith("http") and not request.service_worker:
            paths.append(urlsplit(request.url).path.lstrip("/"))

    page.on("request", note)
    return paths


def choose(page: Any, index: int, *kinds: str) -> None:
    page.locator("fl-class input.files").nth(index).set_input_files(
        [
            {"name": f"secret {i}.png", "mimeType": "image/png", "buffer": photo(kind, i)}
            for i, kind in enumerate(kinds)
        ]
    )


def test_a_first_visit_is_usable_with_few_bytes(page: Any, folder: Path, site: Site) -> None:
    paths = fetched(page)
    page.add_init_script(NEVER_IDLE)
    page.goto(site.url + "index.html")
    page.locator("fl-class .ways button").first.wait_for()
    files = {folder / path for path in paths if path != "app.webmanifest"}
    sizes = {file.name: len(gzip.compress(file.read_bytes(), 9, mtime=0)) for file in files}
    assert {"index.html", "studio.js", "register.js", "studio.json"} <= sizes.keys()
    assert "fanlight.js" not in sizes and not any("models/" in path for path in paths)
    assert sum(sizes.values()) <= MOST, sizes
    # What is left comes when it is wanted, without any idle moment.
    choose(page, 0, "red", "red")
    page.locator("fl-class fl-grid .cell img[src]").nth(1).wait_for()
    assert {"train.js", "fanlight.js"} <= set(paths)


def test_the_later_steps_wait_for_the_first_one(page: Any, site: Site) -> None:
    paths = fetched(page)
    site.fail("studio.json", "wait")
    page.goto(site.url + "index.html")
    page.locator("fanlight-studio .blank").first.wait_for()
    page.evaluate(IDLE)
    assert "studio.js" in paths and not any("-intake-" in path for path in paths)
    with page.expect_request("**/studio-tag-*.js"):  # the last of them
        site.go.set()
    assert any("-intake-" in path for path in paths)


def report_of(page: Any) -> dict[str, str]:
    text = page.locator("fanlight-diagnostics pre").inner_text()
    first, *lines = text.splitlines()
    assert first == "Fanlight report"
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


def test_what_was_chosen_and_why_can_be_copied(page: Any, site: Site, tmp_path: Path) -> None:
    paths = fetched(page)
    page.goto(site.url + "index.html?secret=mine")
    about = page.get_by_role("button", name="About this Studio")
    page.locator("fl-class .ways button").first.wait_for()
    assert "diagnostics.js" not in paths
    about.press("Enter")
    dialog, window = page.get_by_role("dialog", name="About Small"), page.locator("fl-about")
    window.locator("pre", has_text="browser says").wait_for()
    report = report_of(page)
    assert report["model"] == "not loaded" and not any("models/" in path for path in paths)
    assert (
        report["backbone"].startswith("sequential, 16 x 16, form ") and "linear" in report["heads"]
    )
    assert report["project"] == "2 classes, 0 photos, 0 of them not looked at yet"
    assert report["learnt"] == "nothing yet" and report["kept"].startswith("in this browser, ")
    assert dialog.is_visible()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert about.evaluate("(b) => b === b.getRootNode().activeElement")

    choose(page, 0, "red", "red")
    page.locator("fl-class fl-grid .cell").nth(1).wait_for()
    page.evaluate("""async () => {
      const { session } = document.querySelector('fanlight-studio');
      await session.renameClass(session.classes[0].id, 'secret');
      await session.duplicates(); // when all are looked at
      const tell = (detail) => session.dispatchEvent(new CustomEvent('problem', { detail }));
      await session.addClass('secret').catch(tell);
      tell(new Error('A fault of https://secret.org/x.bin'));
    }""")
    about.click()
    window.locator("pre", has_text="error: A fault of …/x.bin").wait_for()
    report = report_of(page)
    assert report["model"].startswith("linear, built by fanlight ")
    assert report["engine"].startswith("wasm, ") and report["why"]
    assert report["project"] == "2 classes, 2 photos, 0 of them not looked at yet"
    window.get_by_text(report["why"]).first.wait_for()
    page.evaluate(COPIED)
    window.get_by_role("button", name="Copy for a bug report").click()
    window.get_by_text("Copied.").wait_for()
    text = page.evaluate("copied")
    assert text.startswith("Fanlight report\nbackbone: sequential") and "why: " in text
    assert "\nerror: E-STUDIO-020  There is a class of this name already.\n" in text
    assert "secret" not in text and "127.0.0.1" not in text
    page.add_script_tag(url="axe.js")
    assert page.evaluate(AXE) == []
    page.screenshot(path=tmp_path / "about.png")

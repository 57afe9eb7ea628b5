"""What a page puts into a bug report: enough to find a fault, and nothing of the visitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from fanlight.graph import Builder
from fanlight.web.single_file import single_file
from tests.web.server import Site, serve
from tests.web.test_page_chromium import choose, open_page, picture

pytestmark = pytest.mark.chromium


def report_of(page: Any) -> dict[str, str]:
    """The report of the page's panel, line by line."""
    text = page.evaluate("document.querySelector('fanlight-diagnostics').refresh()")
    first, *lines = text.splitlines()
    assert first == "Fanlight report"
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


def test_the_panel_tells_what_runs(page: Any, site: Site) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    element = open_page(page, site.url + "photos/index.html?secret=mine#here")
    assert not any(url.endswith("diagnostics.js") for url in seen)
    page.locator("summary").click()
    page.locator("fanlight-diagnostics button").wait_for()
    assert report_of(page)["answers"] == "none yet"
    choose(element, picture())
    element.locator("li").first.wait_for()
    report = report_of(page)
    assert report["model"] == "colours, built by toy"
    assert all(f"-{part}" in report["files"] for part in ("plain", "1of1"))
    assert report["engine"].startswith("wasm, plain SIMD, 1 thread(s), in a worker")
    assert report["answers"].startswith("1 lately: ")
    assert "WebAssembly" in report["has"] and "cross-origin isolated" in report["lacks"]
    assert "files of models kept" in report["storage"] and report["from cache"] == "no"
    assert report["browser says"] == page.evaluate("navigator.userAgent")
    text = "\n".join(report.values())
    for private in ("secret", "127.0.0.1", "green", "photo"):
        assert private not in text
    assert all(url.startswith((site.url, "blob:", "data:")) for url in seen)


def test_errors_and_markup_are_told_as_text(page: Any, site: Site) -> None:
    element = open_page(page, site.url + "photos/index.html")
    choose(element, b"no picture")
    element.locator(".error").wait_for()
    page.evaluate("""() => {
      const { ready } = document.querySelector('fanlight-classifier');
      return ready.then(({ info }) => { // which its worker may tell anew
        const bundle = { ...info.bundle, name: '<img src=x onerror=globalThis.hit=1>' };
        Object.defineProperty(info, 'bundle', { get: () => bundle, set() {}, enumerable: true });
      });
    }""")
    page.locator("summary").click()
    page.locator("fanlight-diagnostics pre", has_text="E-WEB-016").wait_for()
    assert report_of(page)["model"].startswith("<img src=x")
    assert page.evaluate("globalThis.hit ?? 'safe'") == "safe"


def test_copy(page: Any, site: Site) -> None:
    open_page(page, site.url + "photos/index.html")
    page.evaluate("""() => {
      Object.defineProperty(navigator, 'clipboard', { configurable: true, value: {
        writeText: async (text) => { globalThis.copied = text; } } });
    }""")
    page.locator("summary").click()
    button = page.locator("fanlight-diagnostics button")
    button.click()
    page.locator("fanlight-diagnostics span", has_text="Copied.").wait_for()
    assert page.evaluate("copied").startswith("Fanlight report\nmodel: colours")
    page.evaluate("""() => {
      Object.defineProperty(navigator, 'clipboard', { value: undefined });
    }""")
    button.click()
    page.locator("fanlight-diagnostics span", has_text="Marked").wait_for()
    assert page.evaluate("String(getSelection())").startswith("Fanlight report")


def test_a_model_that_did_not_load_has_a_report_too(page: Any, site: Site) -> None:
    site.fail("photos/manifest.json", "missing")
    page.goto(site.url + "photos/index.html")
    page.locator("fanlight-classifier .error").wait_for()
    page.locator("summary").click()
    page.locator("fanlight-diagnostics pre", has_text="E-WEB-005").wait_for()
    report = report_of(page)
    assert report["model"] == "not loaded" and "manifest.json" in report["error"]
    assert "127.0.0.1" not in report["error"] and "photos/" not in report["error"]


def test_the_page_of_other_models_has_the_panel(page: Any, tmp_path: Path) -> None:
    b = Builder("double")
    x = b.input("x", (1, 4))
    graph = b.finish({"y": b.add("add", x, x)})
    fl.build(graph, tmp_path / "person")
    fl.build(graph, tmp_path / "one.html")
    seen: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    with serve(tmp_path) as site:
        url = site.url + "person/"
        for address in (url, (tmp_path / "one.html").as_uri()):
            seen.clear()
            page.goto(address)
            page.locator("#state", has_text="Ready").wait_for()
            assert not any(name.endswith("diagnostics.js") for name in seen)
            page.locator("summary").click()
            page.locator("fanlight-diagnostics pre", has_text="model: double").wait_for()
            report = report_of(page)
            assert report["answers"].startswith("1 lately: ") and "in a worker" in report["engine"]
            assert "person" not in "".join(report.values())
        assert problems == []
        site.fail("person/manifest.json", *["missing"] * 9)
        page.goto(url)
        page.locator("#state", has_text="E-WEB-005").wait_for()
        page.locator("summary").click()
        page.locator("fanlight-diagnostics pre", has_text="E-WEB-005").wait_for()
        report = report_of(page)
        assert report["model"] == "not loaded" and "manifest.json" in report["error"]
        assert "person" not in report["error"] and "127.0.0.1" not in report["error"]


def test_a_page_in_one_file_has_the_panel_and_the_camera(
    page: Any, toys: Path, tmp_path: Path
) -> None:
    path = tmp_path / "one.html"
    path.write_text(single_file(toys / "photos"), "utf-8")
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    element = open_page(page, path.as_uri())
    page.locator("summary").click()
    page.locator("fanlight-diagnostics pre", has_text="model: colours").wait_for()
    page.locator("summary").click()
    page.locator("summary").click()
    page.evaluate("""() => {
      const canvas = document.createElement('canvas');
      const context = canvas.getContext('2d');
      setInterval(() => { context.fillStyle = '#0f0'; context.fillRect(0, 0, 300, 150); }, 20);
      navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(30);
    }""")
    element.locator(".camera").click()
    element.locator("li").filter(has_text="green").wait_for()
    assert errors == []

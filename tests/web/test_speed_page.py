"""The bench page of a bundle, in a real Chromium: on any server, on a phone's screen, alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.hosts.serving import Site, SiteServer
from fanlight.web.headers import CSP
from fanlight.web.site import bench_files
from tests.bench.networks import small_network
from tests.web.server import serve

READY, DONE = "#start:not([disabled])", "#markdown:not([hidden])"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small network with its bench page."""
    folder = tmp_path_factory.mktemp("speed") / "site"
    fl.build(small_network(), folder, name="small", title="Small & <quick>", bench_page=True)
    return folder


@pytest.fixture
def isolated(bundle: Path) -> Iterator[str]:
    """The bundle on the server of `fanlight serve`."""
    server = SiteServer(Site(bundle)).start()
    yield server.url + "/"
    server.stop()


@pytest.fixture
def plain(bundle: Path) -> Iterator[str]:
    """The bundle on a static host without headers."""
    with serve(bundle) as site:
        yield site.url


def noise(page: Any) -> list[str]:
    """What the page complains about from now on: errors, refused by the policy, not found."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda m: heard.append(m.text) if m.type in ("error", "warning") else None)
    return heard


def measured(page: Any, url: str) -> dict[str, Any]:
    """Measure, and give what `Copy as JSON` copies."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(url + "bench/speed.html")
    page.wait_for_selector(READY)
    page.click("#start")
    page.wait_for_selector(DONE, timeout=60_000)
    return copied(page, "#json", json.loads)


def copied(page: Any, button: str, read: Any = str) -> Any:
    page.click(button)
    page.wait_for_function("() => document.getElementById('state').textContent === 'Copied.'")
    return read(page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.chromium
def test_it_measures_every_setting_and_copies_the_figures(page: Any, isolated: str) -> None:
    heard, asked = noise(page), []
    page.on("request", lambda request: asked.append(request.url))
    found = measured(page, isolated)
    assert found["model"] == "small" and found["precision"] == "f32"
    assert found["device"]["isolated"] is True and found["device"]["simd"] is True
    assert found["device"]["relaxed_simd"] is True and found["device"]["cores"] >= 1
    assert found["loading"]["cold_ms"] > 0 and found["loading"]["cached_ms"] > 0
    rows = {row["setting"]: row for row in found["rows"]}
    for name in ("as visitors get it", "relaxed SIMD, 1 thread", "plain SIMD, 1 thread"):
        row = rows[name]
        assert not row["failure"] and 0 < row["min_ms"] <= row["median_ms"] and row["rounds"] >= 6
        assert row["runs"] >= row["rounds"]
    assert "relaxed" in rows["relaxed SIMD, 1 thread"]["why"]
    manifest = json.loads((page.request.get(isolated + "manifest.json")).text())
    listed = {kernel["name"] for kernel in manifest["kernels"]}
    assert {kernel["name"] for kernel in found["kernels"]} <= listed
    assert sum(kernel["share"] for kernel in found["kernels"]) <= 1.001
    shown = page.inner_text("#speed")
    assert "as visitors get it" in shown and page.locator("#speed tr.best").count() >= 1
    text = copied(page, "#markdown")
    assert "| relaxed SIMD, 1 thread |" in text and "### Speed of small (f32)" in text
    assert {url.partition("?")[0].startswith((isolated, "blob:")) for url in asked} == {True}
    assert heard == []


@pytest.mark.chromium
def test_without_isolation_it_says_why_there_is_one_thread(page: Any, plain: str) -> None:
    found = measured(page, plain)
    assert found["device"]["isolated"] is False
    assert all("threads" not in row["setting"] for row in found["rows"])
    modules = json.loads((page.request.get(plain + "manifest.json")).text())["modules"]
    if any(module["threads"] for module in modules):
        assert "Cross-Origin-Opener-Policy" in found["threads"]
    else:
        assert "no module for more threads" in found["threads"]
    assert found["threads"] in page.inner_text("#device")


@pytest.mark.chromium
def test_with_a_service_worker_it_is_isolated_and_needs_no_network(
    page: Any, tmp_path: Path
) -> None:
    fl.build(small_network(), tmp_path / "site", bench_page=True, isolate=True)
    heard = noise(page)
    with serve(tmp_path / "site") as site:
        url = site.url
        assert measured(page, url)["device"]["isolated"] is False
        ready = "() => navigator.serviceWorker.ready.then((r) => r.active.state === 'activated')"
        page.wait_for_function(ready)
    # The server is gone.
    found = measured(page, url)
    assert found["device"]["isolated"] is True
    assert found["loading"]["cold_ms"] is None and found["loading"]["cached_ms"] > 0
    assert all("Failed to load resource" in text for text in heard)  # the cold load
    if found["device"]["cores"] > 1:
        assert found["threads"] == ""
        rows = {row["setting"]: row for row in found["rows"]}
        assert not rows["relaxed SIMD, 2 threads"]["failure"]


@pytest.mark.chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(page: Any, isolated: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 640})
    measured(page, isolated)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 320
    small = page.evaluate(
        "[...document.querySelectorAll('button:not([hidden])')]"
        ".map((b) => b.getBoundingClientRect().height)"
    )
    assert min(small) >= 44
    assert page.evaluate("document.querySelectorAll('table:not([hidden]) caption').length") == 4
    assert page.title() == "Speed of Small & <quick>"


@pytest.mark.chromium
def test_it_stops_when_told_to_and_can_be_asked_again(page: Any, isolated: str) -> None:
    page.goto(isolated + "bench/speed.html")
    page.wait_for_selector(READY)
    page.click("#start")
    page.wait_for_function("() => document.getElementById('progress').value > 0.05")
    assert page.inner_text("#start") == "Stop" and page.is_visible("#progress")
    page.click("#start")
    page.wait_for_function("() => document.getElementById('state').textContent === 'Stopped.'")
    assert page.inner_text("#start") == "Measure again" and page.is_hidden("#progress")
    assert page.is_hidden("#markdown")


@pytest.mark.chromium
def test_where_a_page_may_not_copy_the_text_is_there_to_copy(page: Any, isolated: str) -> None:
    page.add_init_script("delete Navigator.prototype.clipboard")
    page.goto(isolated + "bench/speed.html")
    page.wait_for_selector(READY)
    page.click("#start")
    page.wait_for_selector(DONE, timeout=60_000)
    page.click("#json")
    assert json.loads(page.input_value("#text"))["model"] == "small"
    selected = "(() => { const t = document.getElementById('text');"
    assert page.evaluate(selected + " return t.selectionEnd - t.selectionStart; })()") > 500


@pytest.mark.chromium
def test_what_is_missing_is_said(page: Any, bundle: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(bundle, folder)
    weights = json.loads((folder / "manifest.json").read_text())["weights"][0]["path"]
    (folder / weights).unlink()
    with serve(folder) as site:
        page.goto(site.url + "bench/speed.html")
        page.wait_for_selector(READY)
        page.click("#start")
        page.wait_for_function(
            "() => document.getElementById('state').textContent.includes('E-WEB-005')"
        )
        (folder / "manifest.json").unlink()
        page.reload()
        page.wait_for_function("() => document.getElementById('state').textContent.includes('404')")
        assert page.is_disabled("#start")


def test_the_page_keeps_the_strict_policy() -> None:
    files = {name: data.decode() for name, data in bench_files("A & B").items()}
    assert set(files) == {f"bench/{n}" for n in (
        "speed.html", "speed.js", "speed.css", "measure.js", "report.js")}  # fmt: skip
    html = files["bench/speed.html"]
    assert CSP.replace("'", "&#x27;") in html and "{{" not in html
    assert "<style" not in html and " style=" not in html and "onclick" not in html
    assert html.count("<script") == 1 and "Speed of A &amp; B" in html
    assert not any("/**" in text for name, text in files.items() if name.endswith(".js"))


def test_it_is_built_only_when_asked_for(tmp_path: Path) -> None:
    fl.build(small_network(), tmp_path / "plain")
    assert not (tmp_path / "plain" / "bench").exists()
    with pytest.raises(FanlightError) as error:
        fl.build(small_network(), tmp_path / "one.html", bench_page=True)
    assert error.value.code == "E-BUILD-005" and not (tmp_path / "one.html").exists()

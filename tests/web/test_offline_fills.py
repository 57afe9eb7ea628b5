"""Fills of a page's service worker that meet: several tabs, an update, a worker that has left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.visitor import Tab
from fanlight.web.shell import REGISTER_LINK
from tests.web.server import Site, serve
from tests.web.test_offline import KEPT, WAITING, again, at, hash_of, tabs, visit, write_site

pytestmark = pytest.mark.chromium

__all__ = ["tabs"]

BIG = "site/big.bin"
# Looked for, and not waited for: a second look would wait for the first.
UPDATE = "navigator.serviceWorker.getRegistration().then((it) => (it.update(), true))"
# Ask so many times, and gather how each ended.
ASK = """((times) => import('./register.js').then(({ keepAll }) => {
  const heard = globalThis.ends;
  globalThis.ends = [];
  for (const end of heard ? [] : ['offline', 'partly']) {
    addEventListener(`fanlight-${end}`, () => ends.push(end));
  }
  for (let i = 0; i < times; i++) keepAll();
  return true;
}))"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    write_site(tmp_path / "site", "First")
    with serve(tmp_path) as site:
        yield site


def until(condition: Callable[[], bool], what: object) -> None:
    """Wait for something that the server sees."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def kept(tab: Tab) -> list[str]:
    return sorted(key for _, key in tab.find(KEPT))


def test_tabs_that_ask_at_once_fetch_once(tabs: Callable[[], Tab], site: Site) -> None:
    one, two = tabs(), tabs()
    visit(one, site)
    visit(two, site)
    hashes = write_site(site.folder / "site", "First")  # the same files again
    site.fail(BIG, *["hold"] * 9)
    one.find(f"{ASK}(2)")
    two.find(f"{ASK}(1)")
    until(lambda: BIG in site.log, site.log)
    two.find("new Promise((resolve) => setTimeout(resolve, 500, true))")
    site.release.set()
    for tab, ends in ((one, ["offline", "offline"]), (two, ["offline"])):
        assert tab.find(f"ends.length >= {len(ends)} && ends") == ends
    assert site.log.count(BIG) == 1
    assert kept(one) == sorted(set(hashes.values()))  # and no piece of a file


def test_an_update_takes_what_a_fill_is_fetching(tabs: Callable[[], Tab], site: Site) -> None:
    tab = tabs()
    visit(tab, site)
    again(tab)
    site.fail(BIG, *["hold"] * 9)
    tab.find(f"{ASK}(1)")
    until(lambda: BIG in site.log, site.log)
    later = write_site(site.folder / "site", "Second")  # with the same large file
    tab.find(UPDATE)
    until(lambda: site.log.count("site/app.js") > 1, site.log)
    tab.find("new Promise((resolve) => setTimeout(resolve, 500, true))")
    site.release.set()
    tab.find(WAITING)
    assert site.log.count(BIG) == 1
    tab.goto(site.url + "site/")
    at(tab, "Second", "globalThis.app === 'Second'")
    assert kept(tab) == sorted(set(later.values()))


def test_a_fill_that_is_overtaken_holds_nothing_up(tabs: Callable[[], Tab], site: Site) -> None:
    tab = tabs()
    visit(tab, site)
    again(tab)
    site.fail(BIG, "hold")
    tab.find(f"{ASK}(1)")
    until(lambda: BIG in site.log, site.log)
    # Of the next build another file has this name. What the first one waits for never comes.
    later = write_site(site.folder / "site", "Second", seed=1)
    tab.find(UPDATE)
    tab.find(WAITING)
    assert tab.find("ends.length > 0 && ends") == ["partly"]
    tab.find(f"{ASK}(1)")  # it fetches nothing for a build that is over
    assert tab.find("ends.length > 0 && ends") == ["partly"]
    assert site.log.count(BIG) == 2
    tab.goto(site.url + "site/")
    at(tab, "Second", "globalThis.app === 'Second'")
    site.release.set()
    assert hash_of(tab, "big.bin") == later["big.bin"]
    assert kept(tab) == sorted(set(later.values()))


def test_a_fill_of_a_worker_that_has_left_keeps_nothing(
    tabs: Callable[[], Tab], site: Site
) -> None:
    tab = tabs()
    visit(tab, site)
    again(tab)
    site.fail(BIG, "hold")
    tab.find(f"{ASK}(1)")
    until(lambda: BIG in site.log, site.log)
    folder = site.folder / "site"
    page = (folder / "index.html").read_text().replace(REGISTER_LINK, "")
    (folder / "index.html").write_text(page.replace("First", "Without"))
    (folder / "app.js").write_text("globalThis.app = 'Without';")
    tab.reload()  # the kept page, beside which the worker looks at the network's
    left = "caches.match(new URL('sw.js?left', location.href)).then((found) => !!found)"
    tab.find(left)
    tab.goto(site.url + "site/")
    at(tab, "Without", "globalThis.app === 'Without'")
    site.release.set()
    tab.find("new Promise((resolve) => setTimeout(resolve, 1000, true))")
    text = "fetch('app.js').then((response) => response.text())"
    assert tab.find(text) == "globalThis.app = 'Without';"
    assert tab.find("caches.keys().then((names) => ({ names }))") == {"names": []}

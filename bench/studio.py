"""Studio's figures: taught, corrected, filled with 2,000 photos, offline, looked at by Lighthouse.

The page is what `fanlight studio` writes with the model that ships, served as by `fanlight serve`.
Photos: dog_cat_160.tar, the first 50 of each class by number to learn from, the next 100 to test;
the rest was for choosing the settings. Times are the page's own; what the page's thread computes is
told by Chromium (Performance.getMetrics), so that other work of the machine counts less.
"""

from __future__ import annotations

import gzip
import json
import statistics
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.networks import SHARED
from bench.studio_python import same_head
from bench.studio_tools import installability, kills, lighthouse
from bench.visitor import Tab, visitors
from fanlight.hosts.serving import Site, SiteServer

IMAGES = SHARED / "data" / "images"
SCRIPT = (Path(__file__).parent / "pages" / "studio.js").read_text("utf-8")
LEARN, TEST, MANY = 50, 100, 2000
CORRECTIONS = 4  # of each class
ROUNDS = 5  # trainings; each by a visitor that nobody knows
PIXELS, FRAMES = 600, 200  # of a scrolling
WITHIN_S = 300
LOOKS = 3  # of Lighthouse, which differ by some marks


def photos(name: str) -> dict[str, bytes]:
    """The JPEGs of an archive by their names; those of a folder in the order of their numbers."""
    found = {}
    with tarfile.open(IMAGES / name) as archive:
        for member in archive:
            data = archive.extractfile(member) if member.isfile() else None
            if data is not None and member.name.lower().endswith((".jpg", ".jpeg")):
                found[member.name] = data.read()
    number = {key: int("".join(filter(str.isdigit, key.split("/")[-1])) or 0) for key in found}
    return dict(sorted(found.items(), key=lambda item: number[item[0]]))


def of_classes(names: list[str], begin: int, count: int) -> dict[str, list[str]]:
    """Names of photos of cats and dogs, by class."""
    kinds = ("cat", "dog")
    return {
        kind: [n for n in names if n.startswith(f"{kind}/")][begin : begin + count]
        for kind in kinds
    }


def row(
    figure: str, value: Any, unit: str, goal: str | None = None, ok: bool | None = None
) -> dict[str, Any]:
    """A figure; `ok` says whether the goal was reached, None where there is none."""
    return {"figure": figure, "value": value, "unit": unit, "goal": goal, "ok": ok}


def most(figure: str, value: float, unit: str, goal: float) -> dict[str, Any]:
    """A figure that may be so much at most."""
    return row(figure, value, unit, f"<= {goal:g}", value <= goal)


def measure(out: Path, *, kill_rounds: int = 100) -> list[dict[str, Any]]:
    """All figures; Studio is written to `out`.

    Args:
        out: a folder that is made, or made anew.
        kill_rounds: kills of the tab or the browser while its store writes, and a fourth as many
            while a session learns or takes a project in; 0: none.
    """
    folder = out / "studio"
    fl.studio(folder)
    own = photos("dog_cat_160.tar")
    many = own | photos("imagenet_1000x1_224.tar")
    extra = {f"/photos/{name}": data for name, data in many.items()}
    names = list(own)
    site = Site(folder, extra)
    rows: list[dict[str, Any]] = []
    parts: list[Callable[[], list[dict[str, Any]]]] = [
        lambda: first_visit(site),
        lambda: teaching(site, names, own),
        lambda: large_project(site, list(many)),
        lambda: lighthouse_rows(site),
    ]
    if kill_rounds:
        parts.append(lambda: [kill_row(kill_rounds)])
    for part in parts:
        rows += part()
    return rows


def asked(tab: Tab, call: str, *arguments: Any) -> Any:
    """What a function of pages/studio.js says."""
    given = ", ".join(json.dumps(a) for a in arguments)
    return tab.ask(f"studio.{call}({given})", within_s=WITHIN_S)


def first_visit(site: Site) -> list[dict[str, Any]]:
    """Bytes before anything is pressed, and whether it can be installed."""
    server = SiteServer(site).start()
    try:
        with visitors() as visitor:
            tab = visitor().open()
            tab.goto(f"{server.url}/index.html", SCRIPT)
            tab.find("document.querySelector('fanlight-studio')?.session && true")
            time.sleep(2)  # the later steps come meanwhile, and the service worker
            loaded = asked(tab, "loaded")
            errors = installability(tab)
            tab.close()
    finally:
        server.stop()
    # Two requests for one file, as for a link that preloads it, count as the first of them.
    early: dict[str, bool] = {"/index.html": True}
    for path, before in loaded:
        early[path] = before or early.get(path, False)
    sizes = {path: gzipped(site.root / path.lstrip("/")) for path in early
             if (site.root / path.lstrip("/")).is_file() and "/models/" not in path}  # fmt: skip
    first = sum(size for path, size in sizes.items() if early[path])
    model = [path for path in early if "/models/" in path]
    return [
        most("all that comes before the first class can be used, without model, gzip",
             round(first / 1000, 1), "KB", 60),
        row("with the steps that come when it is idle, gzip",
            round(sum(sizes.values()) / 1000, 1), "KB"),
        row("files of a model before a photo is there", len(model), "", "0", not model),
        row("installability errors", len(errors), ", ".join(errors), "0", not errors),
    ]  # fmt: skip


def gzipped(file: Path) -> int:
    """Bytes as a host sends it."""
    return len(gzip.compress(file.read_bytes(), 9, mtime=0))


def teaching(site: Site, names: list[str], own: dict[str, bytes]) -> list[dict[str, Any]]:
    """Two classes taught, tested, corrected; then the same without a network."""
    learn, test = of_classes(names, 0, LEARN), of_classes(names, LEARN, TEST)
    wrong = of_classes(names, LEARN + TEST, CORRECTIONS)
    found: list[dict[str, Any]] = []
    with visitors() as visitor:
        for turn in range(ROUNDS):
            server = SiteServer(site).start()
            person = visitor()
            tab = person.open()
            tab.goto(f"{server.url}/index.html", SCRIPT)
            tab.find("document.querySelector('fanlight-studio')?.session && true")
            found.append(asked(tab, "teach", learn))
            if turn < ROUNDS - 1:
                tab.close()
                person.close()
                server.stop()
        tested = asked(tab, "test", test)
        fixed = asked(tab, "correct", wrong)
        kept = asked(tab, "kept")
        server.stop()
        tab.reload()
        offline = asked(tab, "again")
        tab.close()
    times = [one["all"] for one in found]
    python = same_head(own, learn, test, found[-1]["checked"], found[-1]["settings"])
    apart = abs(tested["accuracy"] - python) * 100
    return [
        most(f"2 classes x {LEARN} photos to the report, median of {ROUNDS}",
             round(statistics.median(times) / 1000, 2), "s", 10),
        row("of that: photos taken in, until the last is kept",
            round(statistics.median(one["add"] for one in found) / 1000, 2), "s"),
        most("longest task of the page's thread meanwhile",
             round(max(one["longest"] for one in found)), "ms", 50),
        row(f"accuracy on {tested['count']} others", round(100 * tested["accuracy"], 1), "%"),
        row("the same head trained in Python", round(100 * python, 1), "%",
            "within 2 points", apart <= 2),
        row("one prediction, from the file to the scores", round(tested["ms"], 1), "ms"),
        most("a correction is learnt, median", round(statistics.median(f[0] for f in fixed)),
             "ms", 500),
        most("a correction, all told: photo kept, learnt, asked again, median",
             round(statistics.median(f[1] for f in fixed)), "ms", 500),
        most("longest task of the page's thread in a correction", round(max(f[2] for f in fixed)),
             "ms", 50),
        row("offline: reloaded and trained, accuracy of its report", round(100 * offline, 1), "%",
            "works", kept == "all" and offline > 0.5),
    ]  # fmt: skip


def large_project(site: Site, names: list[str]) -> list[dict[str, Any]]:
    """2,000 photos: scrolled, loaded again, weighed."""
    given = [names[i % len(names)] for i in range(MANY)]
    server = SiteServer(site).start()
    try:
        with visitors() as visitor:
            person = visitor()
            tab = person.open()
            tab.goto(f"{server.url}/index.html", SCRIPT)
            tab.find("document.querySelector('fanlight-studio')?.session && true")
            begun = time.perf_counter()
            count = asked(tab, "fill", {"one": given[: MANY // 2], "other": given[MANY // 2 :]})
            filled = time.perf_counter() - begun
            reloads = []
            for _ in range(5):
                tab.reload()
                reloads.append(asked(tab, "usable", count))
            asked(tab, "again")
            heap, trained = asked(tab, "memory"), person.memory()
            asked(tab, "gallery")
            asked(tab, "scroll", PIXELS, 20)
            before = tab.metrics()
            moved = asked(tab, "scroll", PIXELS, FRAMES)
            after = tab.metrics()
            scrolled = person.memory()
            tab.close()
    finally:
        server.stop()
    busy = (after["TaskDuration"] - before["TaskDuration"]) * 1000 / FRAMES
    late = sum(ms > 50 for ms in moved["times"])
    return [
        row(f"{count} photos taken in and looked at", round(filled, 1), "s"),
        most("reload until photos are seen, median of 5", round(statistics.median(reloads)) / 1000,
             "s", 2),
        most(f"scrolling {PIXELS} px a frame: the page's thread computes", round(busy, 1),
             "ms/frame", 10),
        row(f"frames over 50 ms, of {FRAMES}", late, "", "0", late == 0),
        row("longest frame", round(max(moved["times"])), "ms"),
        most("longest task while it scrolls", round(moved["longest"]), "ms", 50),
        row("memory as the page itself is told", round(heap / 2**20), "MB"),
        most("memory of page and worker, trained once", round(trained / 2**20), "MB", 400),
        most("memory after scrolling", round(scrolled / 2**20), "MB", 400),
    ]  # fmt: skip


def lighthouse_rows(site: Site) -> list[dict[str, Any]]:
    """Lighthouse's own marks: the median of several looks."""
    server = SiteServer(site).start()
    try:
        looks = [lighthouse(f"{server.url}/index.html") for _ in range(LOOKS)]
    finally:
        server.stop()
    rows = []
    for name in looks[0]:
        marks = sorted(look[name] for look in looks)
        mark = statistics.median(marks)
        told = f"of 100, median of {LOOKS}: {', '.join(map(str, marks))}"
        rows.append(row(f"Lighthouse {name}", mark, told, ">= 95", mark >= 95))
    return rows


def kill_row(rounds: int) -> dict[str, Any]:
    """Tabs and browsers killed while the store writes, or a session works."""
    wrong, told = kills(rounds)
    figure = f"{rounds} random kills, and {rounds // 4} within sessions: what was lost"
    return row(figure, wrong, told, "0", wrong == 0)

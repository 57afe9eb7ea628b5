"""How it is measured: one Chromium, a page per entry, turns round by round, then cold visits.

One thread runs on a server without isolation, where no engine can start threads of its own; more
run on an isolated one. What stops one engine is written in its row and stops nobody else.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.lab import HERE, Traffic, chromium, serve
from bench.peers.engines import Entry
from bench.peers.memory import renderer_peak
from bench.visitor import NoAnswer, Visitor, visitors

LOAD_MS = 120_000
ANSWER_MS = 60_000
TURNS = 3  # measured runs of an entry's turn; the median counts
SLOW = 80.0  # ms; above this one run a turn is enough
SHORT = 3.0  # ms that a measurement lasts at least, for the clock of a page is coarse
_TURN = (
    "([count, each]) => Promise.race([turn(count, each), new Promise((_, stop) => setTimeout("
    f"() => stop(new Error('no answer in {ANSWER_MS // 1000} s')), {ANSWER_MS}))])"
)


@dataclass
class Lane:
    """One entry on its way through the bench."""

    entry: Entry
    problem: str | None = None
    info: dict[str, Any] = field(default_factory=dict)
    output: np.ndarray | None = None
    each: int = 1  # runs per measurement
    rounds: list[float] = field(default_factory=list)  # ms of a run, one a round
    cold: list[float] = field(default_factory=list)  # ms from navigation to first answer
    download: int | None = None  # bytes that the server sent for a visit
    memory: float | None = None  # bytes of peak memory over an empty page's

    def __post_init__(self) -> None:
        self.problem = self.entry.problem

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """What goes wrong inside is this lane's problem."""
        from playwright.sync_api import Error

        try:
            yield
        except (Error, Failed, NoAnswer) as error:
            self.problem = _said(error)


class Failed(Exception):
    """A page that reported a failure, in its own words."""


def _said(error: Exception) -> str:
    """The first line that says something, without Playwright's own words around it."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return text.removeprefix("Page.evaluate: ").removeprefix("Error: ")[:300]


@dataclass(frozen=True)
class Lab:
    """The two servers: their addresses and what they have sent."""

    plain: str
    isolated: str
    traffic: Traffic

    def url(self, entry: Entry) -> str:
        return (self.isolated if entry.threads > 1 else self.plain) + entry.path()


@contextmanager
def lab(out: Path, extra: Mapping[str, Path] | None = None) -> Iterator[Lab]:
    """Servers of the pages, the peers' packages and the networks below `out`."""
    mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "work": out, **(extra or {})}
    traffic = Traffic()
    with (
        serve(mounts, traffic=traffic) as one,
        serve(mounts, isolated=True, traffic=traffic) as two,
    ):
        yield Lab(one, two, traffic)


def measure(
    found: Sequence[Entry],
    place: Lab,
    *,
    rounds: int,
    cold: int,
    memory: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> list[Lane]:
    """Every figure of every entry; `say` hears what is being done."""
    lanes = [Lane(entry) for entry in found]
    with chromium() as browser:
        say("loading every engine")
        _warm(browser, place, lanes, rounds, say)
    if cold:
        with visitors() as visitor:
            for turn in range(cold + 1):
                say(f"cold start, visit {turn} of {cold}")
                shift = turn % len(lanes)  # nobody always comes after the same one
                for lane in lanes[shift:] + lanes[:shift]:
                    if lane.problem is None:
                        _visit(visitor, place, lane, count=turn > 0)
    if memory:
        say("peak memory")
        _weigh(place, lanes)
    return lanes


def _warm(
    browser: Any, place: Lab, lanes: Sequence[Lane], rounds: int, say: Callable[[str], None]
) -> None:
    pages: dict[int, Any] = {}
    for i, lane in enumerate(lanes):
        if lane.problem is None:
            with lane.guard():
                page = browser.new_context().new_page()
                pages[i] = page
                lane.info = open_lane(page, place.url(lane.entry))["info"]
                page.evaluate("globalThis.settle?.()")
                lane.output = np.float32(page.evaluate("output()"))
                # Until the optimising tier has taken over: 24 runs, or two seconds of them.
                start = time.perf_counter()
                for _ in range(12):
                    lane.each = _repeats(*page.evaluate(_TURN, [1, 2]))
                    if time.perf_counter() - start > 2:
                        break
    order = [i for i in pages if lanes[i].problem is None]
    for number in range(rounds):
        if number % 10 == 0:
            say(f"round {number} of {rounds}")
        shift = number % max(len(order), 1)
        for i in order[shift:] + order[:shift]:
            lane = lanes[i]
            if lane.problem is None:
                with lane.guard():
                    pages[i].bring_to_front()
                    # Unmeasured: brings caches and threads back.
                    (first,) = pages[i].evaluate(_TURN, [1, lane.each])
                    turns = 1 if first > SLOW else TURNS
                    times = pages[i].evaluate(_TURN, [turns, lane.each])
                    lane.rounds.append(statistics.median(times))
    for page in pages.values():
        page.context.close()


def _repeats(milliseconds: float) -> int:
    """How many runs make a measurement long enough."""
    return max(1, min(200, math.ceil(SHORT / max(milliseconds, 0.01))))


def open_lane(page: Any, url: str) -> dict[str, Any]:
    """Open an engine's page and wait for its first answer.

    Raises:
        Failed: the page reports a failure, or a script of it did not load.
    """
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(f"{request.url} did not load"))
    page.on(
        "response",
        lambda r: problems.append(f"HTTP {r.status} for {r.url}") if r.status >= 400 else None,
    )
    page.goto(url)
    deadline = time.monotonic() + LOAD_MS / 1000
    while time.monotonic() < deadline:
        try:
            page.wait_for_function(
                "globalThis.answer || globalThis.failure", timeout=2_000, polling=20
            )
            break
        except Exception as error:
            if "Timeout" not in type(error).__name__:
                raise
            if problems:
                raise Failed(problems[0]) from error
    else:
        raise Failed(f"no first answer in {LOAD_MS // 1000} s")
    failure = page.evaluate("globalThis.failure")
    if failure:
        raise Failed(failure)
    return page.evaluate("answer")


def _visit(visitor: Callable[[], Visitor], place: Lab, lane: Lane, *, count: bool) -> None:
    """One cold visit; the first one, which does not count, warms the disk and the server."""
    place.traffic.clear()
    with lane.guard():
        person = visitor()
        milliseconds = person.visit(place.url(lane.entry))["ms"]
        if count:
            lane.cold.append(milliseconds)
            lane.download = max(lane.download or 0, place.traffic.sent)
        person.close()


def _weigh(place: Lab, lanes: Sequence[Lane]) -> None:
    """Peak memory of each entry: a browser of its own, one visit and ten runs."""

    def peak(url: str, runs: int) -> float | None:
        with chromium() as browser:
            page = browser.new_context().new_page()
            open_lane(page, url)
            if runs:
                page.evaluate(_TURN, [runs, 1])
            return renderer_peak(browser)

    empty = peak(f"{place.plain}/pages/peers/empty.html", 0)
    for lane in lanes:
        if lane.problem is None and empty is not None:
            with lane.guard():
                found = peak(place.url(lane.entry), 10)
                lane.memory = None if found is None else max(found - empty, 0.0)


def ratio(slow: Lane, fast: Lane) -> tuple[float, float, float]:
    """(median, low quartile, high quartile) of the round-by-round ratio slow / fast."""
    return spread([a / b for a, b in zip(slow.rounds, fast.rounds, strict=False)])


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """(median, low quartile, high quartile)."""
    ordered = sorted(values)
    count = len(ordered)
    return statistics.median(ordered), ordered[count // 4], ordered[3 * count // 4]

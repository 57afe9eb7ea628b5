"""Training beside TF.js and jax-js in one Chromium, on one thread; from Python beside PyTorch; and
what a step needs besides its time.

TF.js trains convolutions on its cpu and WebGL back ends only (the wasm one has no gradients of
them): of those that can, the one that takes least is measured in turn with ours.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fanlight as fl
from bench import training_memory, training_python
from bench.lab import HERE, Engine, chromium, install_peers, open_page, serve
from bench.training_models import (
    DEPTH,
    FEATURES,
    LENGTH,
    SIDE,
    STEPS,
    UNITS,
    attention,
    head,
    lstm,
    mobilenet,
)
from bench.training_rows import row

ROUNDS = 7
BATCH = 16
# A case takes about so many seconds of the slower engine's turns, and two at least.
PATIENCE = 40
# WebGL without a graphics card, in Chromium's own software.
FLAGS = ("--enable-unsafe-swiftshader", "--use-angle=swiftshader")
CLASSES = "sparse_categorical_crossentropy"


@dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        model: makes it; program: its name in the pages.
        what: of the pages: shape of an example, classes or shape of a target, count, batchSize.
        epochs: of one turn; a turn of ours has `ours` times as many, so that clocks matter less.
        per_step: whether the time is that of a step, or of the whole turn.
        backends: of TF.js, which are tried.
        goals: engine -> how often its time has to contain ours.
    """

    name: str
    program: str
    model: Callable[[], Any]
    optimizer: str
    loss: str
    what: Mapping[str, Any]
    backends: Sequence[str]
    goals: Mapping[str, float]
    epochs: int = 1
    ours: int = 5
    per_step: bool = True


def cases() -> list[Case]:
    """What is measured in the browser."""
    pictures = {"count": BATCH, "shape": [SIDE, SIDE, 3], "classes": 2, "batchSize": BATCH}
    texts = {"count": 32, "shape": [STEPS, FEATURES], "target": [UNITS], "batchSize": 32}
    rows = {"count": 1, "shape": [LENGTH, DEPTH], "target": [LENGTH, DEPTH], "batchSize": 1}
    vectors = {"count": 500, "shape": [512], "classes": 2, "batchSize": BATCH}
    return [
        Case(
            "head 512-100-2, Adam, 500 examples, batch 16, 20 epochs",
            "head", head, "adam", CLASSES, vectors, ("wasm",), {"tfjs": 8.0},
            epochs=20, ours=1, per_step=False,
        ),
        Case(
            "a step of MobileNet v1 0.25, 128 px, batch 16, Adam",
            "mobilenet", mobilenet, "adam", CLASSES, pictures, ("cpu", "webgl"),
            {"tfjs": 50.0, "jaxjs": 3.0},
        ),
        # Its WebGL took minutes for a step here.
        Case(
            "a step of LSTM(128) on 32 x 100 x 64, SGD",
            "lstm", lstm, "sgd", "mse", texts, ("wasm", "cpu"), {"tfjs": 5.0},
        ),
        Case(
            "a step of attention, 8 heads, 256 x 512, SGD",
            "attention", attention, "sgd", "mse", rows, ("wasm", "cpu", "webgl"), {"tfjs": 5.0},
        ),
    ]  # fmt: skip


def measure(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row per figure: medians in ms, and the other's time over ours."""
    install_peers()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "work": folder}
        with serve(mounts) as base, chromium(*FLAGS) as browser:
            lab = _Lab(browser, base, rounds)
            for case in cases():
                fl.set_random_seed(0)
                how = fl.training(case.optimizer, case.loss)
                dims = {"batch": case.what["batchSize"]}
                fl.build(case.model(), folder / case.program, train=how, dims=dims).close()
                found = lab.rows(case)
                _tell(found)
                rows += found
            first, second = cases()[:2]
            how = fl.training(second.optimizer, second.loss)
            dims = {"batch": BATCH}
            fl.build(mobilenet(training=True), folder / "forward", train=how, dims=dims).close()
            rows += lab.over_forward(second, "forward")
            rows.append(lab.overhead(first))
        rows.append(training_memory.row_of(folder / "mobilenet", mobilenet(), BATCH))
    return [*rows, *training_python.measure(mobilenet, BATCH)]


class _FailedError(Exception):
    """An engine has no way that can: why."""


class _Lab:
    """One browser, and a page per engine and back end."""

    def __init__(self, browser: Any, base: str, rounds: int) -> None:
        self.browser, self.base, self.rounds = browser, base, rounds

    def _page(self, who: str) -> Any:
        return open_page(self.browser, self.base, Engine(who, "training", {"who": who}))

    def _what(self, case: Case, **more: Any) -> dict[str, Any]:
        own = {"program": case.program, "bundle": f"/work/{case.program}/"}
        return {**case.what, **own, "optimizer": case.optimizer, "epochs": case.epochs, **more}

    def rows(self, case: Case) -> list[dict[str, Any]]:
        """Ours in turn with each engine."""
        ours = self._page("fanlight")
        more = case.epochs * case.ours
        first = ours.evaluate("(what) => prepare(what)", self._what(case, epochs=more))
        _turn(ours), _turn(ours)  # warm
        rows = []
        for who, goal in case.goals.items():
            try:
                beside, other, trial = self._best(case, who, first)
            except _FailedError as error:
                mine = _turn(ours) / (more if case.per_step else 1)
                rows.append(row(case.name, mine, str(error), None, goal))
                continue
            rounds = min(self.rounds, max(2, int(PATIENCE * 1e3 / trial)))
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds):
                for page, found, epochs in ((ours, times[0], more), (other, times[1], case.epochs)):
                    found.append(_turn(page) / (epochs if case.per_step else 1))
            other.context.close()
            mine, theirs = map(statistics.median, times)
            rows.append(row(case.name, mine, beside, theirs, goal))
        ours.context.close()
        return rows

    def _best(self, case: Case, who: str, first: float) -> tuple[str, Any, float]:
        """The fastest way of an engine: its name, its page, and the ms of a turn.

        Raises:
            _FailedError: none can.
        """
        from playwright.sync_api import Error

        ways = [{"backend": b} for b in case.backends] if who == "tfjs" else [{}]
        tried, failed = [], []
        for way in ways:
            page = self._page(who)
            try:
                loss = page.evaluate("(what) => prepare(what)", self._what(case, **way))
            except Error as error:  # what fails is a row
                why = str(error).removeprefix("Page.evaluate: ").splitlines()[0][:200]
                failed.append(" ".join([who, *way.values(), why]))
                page.context.close()
                continue
            # Of shuffled batches the first epoch's loss is another one.
            if case.what["count"] == case.what["batchSize"] and not _near(loss, first):
                failed.append(" ".join([who, *way.values(), f"gives loss {loss}, ours {first}"]))
                page.context.close()
                continue
            tried.append((_turn(page), page, way.get("backend", "wasm")))
        if not tried:
            raise _FailedError("; ".join(failed))
        least, page, name = min(tried, key=lambda each: each[0])
        for _, other, _ in tried:
            if other is not page:
                other.context.close()
        slower = [f"{n} {ms / case.epochs if case.per_step else ms:.0f}"
                  for ms, _, n in tried if n != name]  # fmt: skip
        told = f" ({', '.join(slower)})" if slower else ""
        return f"{who} {name}{told}", page, least

    def over_forward(self, case: Case, normalising: str) -> list[dict[str, Any]]:
        """A step over the forward pass of the same batch, in the page's own thread: as training
        computes it, with batch norms of the batch (a bundle that does so), and as it is in use,
        where batch norms are part of the kernels.
        """
        pages = []
        for name, program in (
            ("train", case.program), ("evaluate", normalising), ("evaluate", case.program)
        ):  # fmt: skip
            page = self._page("fanlight")
            what = {**self._what(case), "bundle": f"/work/{program}/"}
            page.evaluate("([what, name]) => takeOut(what, name)", [what, name])
            page.evaluate("alone(10)")
            pages.append(page)
        times: tuple[list[float], ...] = ([], [], [])
        for _ in range(3 * self.rounds):
            for page, found in zip(pages, times, strict=True):
                page.bring_to_front()
                found.append(page.evaluate("alone(3)"))
        for page in pages:
            page.context.close()
        step, *forwards = map(statistics.median, times)
        kinds = ("batch norms of the batch", "batch norms in the kernels")
        return [
            row(f"that step over its forward pass and loss, {kind}, in Chromium", step, "forward",
                forward, 3.5, times=step / forward, most=True)
            for kind, forward in zip(kinds, forwards, strict=True)
        ]  # fmt: skip

    def overhead(self, case: Case) -> dict[str, Any]:
        """What `fit` takes per batch beyond the step, on batches that are all full."""
        epochs, batches = 20, 32
        ours, alone = self._page("fanlight"), self._page("fanlight")
        what = self._what(case, count=batches * BATCH, epochs=epochs)
        ours.evaluate("(what) => prepare(what)", what)
        alone.evaluate("([what, name]) => takeOut(what, name)", [what, "train"])
        count = epochs * batches
        _turn(ours), _turn(ours), alone.evaluate(f"alone({count})")  # warm
        fits, steps = [], []
        for _ in range(2 * self.rounds):
            fits.append(_turn(ours) / count)
            alone.bring_to_front()
            steps.append(alone.evaluate(f"alone({count})"))
        ours.context.close()
        alone.context.close()
        fit, step = statistics.median(fits), statistics.median(steps)
        beyond = statistics.median(a - b for a, b in zip(fits, steps, strict=True))
        name = "a batch of that head in fit, beyond its step, in Chromium"
        return row(name, fit, "step", step, 0.2, times=beyond, most=True)


def _tell(rows: Sequence[Mapping[str, Any]]) -> None:
    """What the whole takes is minutes: the rows until now, should it end early."""
    for each in rows:
        print(each, file=sys.stderr, flush=True)


def _near(loss: float, ours: float) -> bool:
    return abs(loss - ours) <= 1e-3 * abs(ours)


def _turn(page: Any) -> float:
    """Milliseconds of a turn."""
    page.bring_to_front()
    ms, loss = page.evaluate("train()")
    assert abs(loss) < 1e6, loss
    return ms

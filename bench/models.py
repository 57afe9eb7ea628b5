"""Every published image model against TF.js on its own file: one thread, one Chromium, in turn.

TF.js gets the model.json as it was published, which is what its users load: its layers or its
graph-model, on its wasm back end with SIMD. Both engines get the same pictures, run on the page's
own thread and hand all their outputs to JavaScript.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.lab import HERE, Engine, chromium, install_peers, open_page, serve
from bench.networks import MODELS
from bench.parity import IMAGE_MODELS, inputs_for, packed, packed_inputs, topology_file

GOAL = 1.2  # how many times faster than TF.js we mean to be
ROUNDS = 30
SECONDS = 20.0  # per model: large ones get fewer rounds
LEAST_ROUNDS = 8


def measure(
    names: Sequence[str] = tuple(IMAGE_MODELS), *, rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """A row per model: medians in milliseconds, and how many times longer TF.js takes."""
    install_peers()
    with chromium() as browser:
        return [measure_model(name, browser, rounds=rounds) for name in names]


def measure_model(name: str, browser: Any, *, rounds: int) -> dict[str, Any]:
    """The row of one model."""
    folder = MODELS / name
    model = fl.load(folder, **IMAGE_MODELS[name])
    inputs = inputs_for(model)
    layers = model.source.format == "tfjs-layers"
    query = {"model": f"/model/{topology_file(folder).name}", "layers": "1" if layers else "0"}
    engines = [
        Engine("fanlight", "models", {"bundle": "/bundle/"}),
        Engine("tfjs", "models", query),
    ]
    with tempfile.TemporaryDirectory() as temporary:
        fl.build(model, Path(temporary) / "bundle", name=name).close()
        mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules"}
        mounts |= {"model": folder, "bundle": Path(temporary) / "bundle"}
        with serve(mounts) as base:
            pages = [open_page(browser, base, e) for e in engines]
            ours = {name: packed(x) for name, x in inputs.items()}
            theirs = [port.source.removesuffix(":0") for port in model.source.outputs]
            pages[0].evaluate("(x) => setInputs(x)", ours)
            script = "([x, names]) => setInputs(x, names)"
            pages[1].evaluate(script, [packed_inputs(model, inputs), theirs])
            times = _interleave(pages, rounds)
            for page in pages:
                page.context.close()
    ratios = sorted(b / a for a, b in zip(*times, strict=True))
    count = len(ratios)
    middle = statistics.median(ratios)
    return {
        "model": name,
        "fanlight_ms": round(statistics.median(times[0]), 2),
        "tfjs_ms": round(statistics.median(times[1]), 2),
        "ratio": round(middle, 2),
        "ratio_spread": [round(ratios[count // 4], 2), round(ratios[3 * count // 4], 2)],
        "ratio_of_fastest": round(min(times[1]) / min(times[0]), 2),
        "goal": GOAL,
        "ok": middle >= GOAL,
    }


def _interleave(pages: Sequence[Any], rounds: int) -> list[list[float]]:
    """Per page, the median of three runs in each round, after one that does not count."""
    for page in pages:
        page.evaluate("turn(10)")
    times: list[list[float]] = [[] for _ in pages]
    spent = 0.0
    while len(times[0]) < rounds and (spent < 1e3 * SECONDS or len(times[0]) < LEAST_ROUNDS):
        for page, found in zip(pages, times, strict=True):
            page.bring_to_front()
            page.evaluate("turn(1)")
            turns = page.evaluate("turn(3)")
            found.append(statistics.median(turns))
            spent += sum(turns)
    return times

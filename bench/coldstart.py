"""From navigation to the first answer: cold profile, local server, MobileNet v1 0.25.

A new browser context per visit has no cache. Each page loads its engine and model as that engine
recommends and classifies once; the clock is the page's own `performance.now()`, which starts at
navigation.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.lab import HERE, chromium, install_peers, serve
from bench.latency import engines_for
from bench.networks import prepare

NETWORK = "mobilenet_v1_0.25_224"


def measure(out: Path, *, peers: Sequence[str] = ("tfjs",), rounds: int = 11) -> list[dict[str, Any]]:
    """Median milliseconds per engine, visits interleaved."""
    install_peers()
    network = prepare(NETWORK, out, onnx="ort" in peers)
    mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "work": out}
    with serve(mounts) as base, chromium() as browser:
        engines = engines_for(network, peers, base)
        times: dict[str, list[float]] = {e.name: [] for e in engines}
        for _ in range(rounds):
            for engine in engines:
                context = browser.new_context()
                page = context.new_page()
                page.goto(engine.url(base))
                page.wait_for_function("globalThis.ready || globalThis.failure", timeout=60_000)
                if page.evaluate("globalThis.failure"):
                    raise SystemExit(f"bench: {engine.name}: {page.evaluate('globalThis.failure')}")
                script = "once().then(() => performance.now())"
                times[engine.name].append(page.evaluate(script))
                context.close()
    medians = {name: statistics.median(t) for name, t in times.items()}
    return [
        {
            "engine": name,
            "median_ms": round(ms, 1),
            "min_ms": round(min(times[name]), 1),
            "ratio": round(ms / medians["fanlight"], 2),
        }
        for name, ms in medians.items()
    ]

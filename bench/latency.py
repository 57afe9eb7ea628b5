"""Warm latency against the peers, one thread, same network, same weights, same input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from bench.lab import HERE, Engine, Result, chromium, install_peers, interleave, ratio, serve
from bench.networks import Network, prepare, write

FIGURES = {"tfjs": 1.3, "ort": 1.7}  # how many times faster than this peer we mean to be


def engines_for(network: Network, peers: Sequence[str], base: str) -> list[Engine]:
    """Ours first, then the peers asked for."""
    root = f"/work/{network.name}"
    found = [Engine("fanlight", "fanlight", {"model": f"{root}/fanlight/"})]
    if "tfjs" in peers:
        found.append(Engine("tfjs", "tfjs", {"model": f"{root}/tfjs/model.json"}))
    if "ort" in peers:
        shape = ",".join(map(str, network.nchw))
        query = {"model": f"{root}/model.onnx", "shape": shape, "threads": "1"}
        found.append(Engine("ort", "ort", query))
    return found


def measure(
    names: Sequence[str],
    out: Path,
    *,
    peers: Sequence[str] = ("tfjs", "ort"),
    rounds: int = 30,
) -> list[dict[str, Any]]:
    """Rows of the latency table: per network and engine, median, min, ratio and agreement."""
    install_peers()
    rows: list[dict[str, Any]] = []
    for name in names:
        rows += _timed(prepare(name, out, onnx="ort" in peers), out, peers, rounds)
    return rows


def measure_source(
    model: fl.Model, out: Path, *, peers: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    """The rows of one loaded model, for `fanlight bench --peers`."""
    install_peers()
    return _timed(write(model, "source", out, onnx="ort" in peers), out, peers, rounds)


def _timed(network: Network, out: Path, peers: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "work": out}
    with serve(mounts) as base, chromium() as browser:
        engines = engines_for(network, peers, base)
        results = interleave(browser, base, engines, network.input, rounds=rounds)
    return [_row(network.name, results[0], r) for r in results]


def _row(name: str, ours: Result, other: Result) -> dict[str, Any]:
    middle, low, high = ratio(other, ours)
    scale = max(float(np.abs(ours.first).max()), 1e-12)
    same = other.first.shape == ours.first.shape
    away = float(np.abs(other.first - ours.first).max()) / scale if same else float("nan")
    return {
        "network": name,
        "engine": other.engine.name,
        "median_ms": round(other.median, 2),
        "min_ms": round(other.best, 2),
        "ratio": round(middle, 2),
        "ratio_spread": [round(low, 2), round(high, 2)],
        "goal": (goal := FIGURES.get(other.engine.name)),
        "ok": None if goal is None else middle >= goal,
        "difference": away,
        "info": other.info,
    }

"""From networks to reports: what `python -m bench peers` and `fanlight bench --peers` call."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fanlight as fl
from bench.lab import install_peers
from bench.networks import load
from bench.peers.engines import entries
from bench.peers.goals import judge
from bench.peers.measure import lab, measure
from bench.peers.report import rows_of

Say = Callable[[str], None]


def measure_model(
    model: fl.Model,
    name: str,
    out: Path,
    *,
    peers: Sequence[str],
    threads: Sequence[int] = (1, 2),
    rounds: int = 30,
    cold: int = 5,
    memory: bool = True,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Every engine on one model: `rows` (see report.rows_of), `goals`, machine and settings.

    Args:
        out: a folder for the network's files; they may stay, and are written anew.
        cold: cold visits per engine; 0 leaves cold start and download out.
        say: hears what is being done.
    """
    say("installing the peers' packages")
    broken = None
    try:
        install_peers()
    except (RuntimeError, OSError) as error:
        broken = str(error)
    found = entries(model, name, out, peers, threads, broken=broken)
    with lab(out) as place:
        lanes = measure(found, place, rounds=rounds, cold=cold, memory=memory, say=say)
    return {
        "machine": machine(),
        "rounds": rounds,
        "rows": rows_of(name, lanes),
        "goals": judge(name, lanes),
    }


def measure_networks(
    names: Sequence[str],
    out: Path,
    *,
    say: Say = lambda text: None,
    keep: Callable[[dict[str, Any]], None] = lambda report: None,
    **how: Any,
) -> dict[str, Any]:
    """`measure_model` of several of the bench's own networks, as one report.

    Args:
        keep: gets the report so far after each network.
    """
    report: dict[str, Any] = {"rows": [], "goals": []}
    for name in names:
        one = measure_model(load(name), name, out, say=lambda t, n=name: say(f"{n}: {t}"), **how)
        rows, judged = report["rows"] + one["rows"], report["goals"] + one["goals"]
        report = {**one, "rows": rows, "goals": judged}
        keep(report)
    return report


def machine() -> str:
    """The processor, as its system names it, and how many cores of it there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("model name"))
        name = found.partition(":")[2].strip()
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"

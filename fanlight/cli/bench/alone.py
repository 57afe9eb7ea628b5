"""`fanlight bench SOURCE`: one model in Chromium and under CPython, with its slowest kernels."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fanlight.cli.options import ModelOptions, open_or_build
from fanlight.cli.output import human_bytes, progress, stdout

SLOWEST_SHOWN = 10


def measure_alone(
    source: str, options: ModelOptions, rounds: int, threads: Sequence[int] = (1,)
) -> dict[str, Any]:
    """Milliseconds of a model or bundle per run (Chromium, wasmtime) and per kernel.

    Returns:
        `ms`, `info` and `kernels` for the first number of threads, and `threads`: the median and
        the fastest of each number, with what the runtime says of it.
    """
    from fanlight.check import random_inputs
    from fanlight.hosts.browser import BrowserHost

    runs: list[dict[str, Any]] = []
    kernels: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="fanlight-") as folder:
        with open_or_build(source, options, Path(folder), task="none") as bundle:
            inputs = random_inputs(bundle.manifest)
            with progress("Timing in Chromium", total=2 * len(threads) + 1) as advance:
                for count in threads:
                    with BrowserHost(bundle.files.path, {"threads": count}) as host:
                        host.settle(inputs)
                        times = host.time(inputs, rounds, warmup=10)
                        advance(title="Timing kernels")
                        kernels = kernels or host.profile(inputs)
                        advance(title="Timing in Chromium")
                        runs.append({"asked": count, "info": host.info, "ms": times})
                advance(0, title="Timing under CPython")
                wasmtime = _under_wasmtime(bundle, inputs, rounds)
                advance()
            name = bundle.name
    return {
        "name": name,
        "ms": {**_summary(runs[0]["ms"]), "rounds": runs[0]["ms"]},
        "wasmtime": wasmtime,
        "info": runs[0]["info"],
        "threads": [
            {
                "asked": run["asked"],
                "threads": run["info"]["threads"],
                "why": run["info"]["why"],
                **_summary(run["ms"]),
            }
            for run in runs
        ],
        "kernels": kernels,
    }


def _summary(times: list[float]) -> dict[str, float]:
    return {"median": statistics.median(times), "min": min(times), "max": max(times)}


def _under_wasmtime(bundle: Any, inputs: dict[str, Any], rounds: int) -> dict[str, float]:
    """Milliseconds of the same module under CPython; a second's worth of runs at most."""
    host = bundle.host("wasm")
    host.run(inputs)
    times: list[float] = []
    while not times or (len(times) < rounds and sum(times) < 1000):
        start = time.perf_counter()
        host.run(inputs)
        times.append(1e3 * (time.perf_counter() - start))
    return {"median": statistics.median(times), "min": min(times)}


def print_alone(report: dict[str, Any]) -> None:
    """The figures of `measure_alone`, for people."""
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    ms, info = report["ms"], report["info"]
    console.print(
        f"[bold]{report['name']}[/] in Chromium: median [bold]{ms['median']:.2f} ms[/], "
        f"fastest {ms['min']:.2f} ms, {len(ms['rounds'])} runs"
    )
    console.print(f"  under CPython (wasmtime): median {report['wasmtime']['median']:.2f} ms")
    plural = "thread" if info["threads"] == 1 else "threads"
    console.print(
        f"  {info['simd']} SIMD, {info['threads']} {plural}, {human_bytes(info['bytes'])}"
    )
    for run in report["threads"][1:]:
        console.print(
            f"  asked for {run['asked']} threads, got {run['threads']}: median "
            f"{run['median']:.2f} ms, fastest {run['min']:.2f} ms",
            highlight=False,
        )
        if run["threads"] != run["asked"]:
            console.print(f"    {run['why']}", highlight=False, markup=False)
    table = Table(title="slowest kernels", title_justify="left")
    for heading, justify in (("op", "left"), ("source", "left"), ("ms", "right"), ("%", "right")):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("GFLOP/s", justify="right")
    total = sum(kernel["ms"] for kernel in report["kernels"]) or 1.0
    slowest = sorted(report["kernels"], key=lambda kernel: -kernel["ms"])[:SLOWEST_SHOWN]
    for kernel in slowest:
        speed = kernel["flops"] / kernel["ms"] / 1e6 if kernel["ms"] > 0 else 0.0
        share = f"{100 * kernel['ms'] / total:.1f}"
        row = (Text(kernel["op"]), Text(kernel["source"]), f"{kernel['ms']:.3f}", share)
        table.add_row(*row, f"{speed:.1f}" if kernel["flops"] else "")
    console.print(table)

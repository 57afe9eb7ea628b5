"""`fanlight bench SOURCE`: one model in Chromium and under CPython, with its slowest kernels."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fanlight.cli.options import ModelOptions, open_or_build
from fanlight.cli.output import human_bytes, progress, stdout

SLOWEST_SHOWN = 10


def measure_alone(source: str, options: ModelOptions, rounds: int) -> dict[str, Any]:
    """Milliseconds of a model or bundle per run (Chromium, wasmtime) and per kernel."""
    from fanlight.check import random_inputs

    with tempfile.TemporaryDirectory(prefix="fanlight-") as folder:
        with open_or_build(source, options, Path(folder), task="none") as bundle:
            with progress("Timing in Chromium", total=4) as advance:
                host = bundle.host("browser")
                inputs = random_inputs(bundle.manifest)
                advance()
                times = host.time(inputs, rounds, warmup=10)
                advance(title="Timing kernels")
                kernels = host.profile(inputs)
                advance(title="Timing under CPython")
                wasmtime = _under_wasmtime(bundle, inputs, rounds)
                advance()
            info = host.info
            name = bundle.name
    return {
        "name": name,
        "ms": {
            "median": statistics.median(times),
            "min": min(times),
            "max": max(times),
            "rounds": times,
        },
        "wasmtime": wasmtime,
        "info": info,
        "kernels": kernels,
    }


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
    console.print(f"  {info['simd']} SIMD, {info['threads']} thread, {human_bytes(info['bytes'])}")
    table = Table(title="slowest kernels", title_justify="left")
    for heading, justify in (("op", "left"), ("source", "left"), ("ms", "right"), ("%", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("GFLOP/s", justify="right")
    total = sum(kernel["ms"] for kernel in report["kernels"]) or 1.0
    slowest = sorted(report["kernels"], key=lambda kernel: -kernel["ms"])[:SLOWEST_SHOWN]
    for kernel in slowest:
        speed = kernel["flops"] / kernel["ms"] / 1e6 if kernel["ms"] > 0 else 0.0
        share = f"{100 * kernel['ms'] / total:.1f}"
        row = (Text(kernel["op"]), Text(kernel["source"]), f"{kernel['ms']:.3f}", share)
        table.add_row(*row, f"{speed:.1f}" if kernel["flops"] else "")
    console.print(table)

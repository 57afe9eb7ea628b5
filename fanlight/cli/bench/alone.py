"""`fanlight bench SOURCE`: one model in Chromium and under CPython, with its slowest kernels."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fanlight.cli.options import ModelOptions, open_or_build
from fanlight.cli.output import human_bytes, progress, stdout

SLOWEST_SHOWN = 10
TURN = 5  # runs of one number of threads before it is the turn of the next


def measure_alone(
    source: str, options: ModelOptions, rounds: int, threads: Sequence[int] = (1,)
) -> dict[str, Any]:
    """Milliseconds of a model or bundle per run (Chromium, wasmtime) and per kernel.

    Args:
        threads: how many threads compute in Chromium; more numbers are timed in turn with the
            first, of which all the rest of the report is.
    """
    from fanlight.check import random_inputs
    from fanlight.hosts.browser import BrowserHost

    with tempfile.TemporaryDirectory(prefix="fanlight-") as folder:
        with open_or_build(source, options, Path(folder), task="none") as bundle:
            with progress("Timing in Chromium", total=4) as advance, ExitStack() as stack:
                hosts = [
                    stack.enter_context(BrowserHost(bundle.files.folder, {"threads": n}))
                    for n in threads
                ]
                inputs = random_inputs(bundle.manifest)
                for host in hosts:
                    host.time(inputs, 1, warmup=10)
                advance()
                every: list[list[float]] = [[] for _ in hosts]
                for done in range(0, rounds, TURN):
                    for host, own in zip(hosts, every, strict=True):
                        own += host.time(inputs, min(TURN, rounds - done), warmup=1)
                advance(title="Timing kernels")
                kernels = hosts[0].profile(inputs)
                advance(title="Timing under CPython")
                wasmtime = _under_wasmtime(bundle, inputs, rounds)
                advance()
                infos = [host.info for host in hosts]
            name = bundle.name
    times, info = every[0], infos[0]
    return {
        "name": name,
        "ms": {
            "median": statistics.median(times),
            "min": min(times),
            "max": max(times),
            "rounds": times,
        },
        "threads": [
            {"threads": i["threads"], "median": statistics.median(t), "min": min(t)}
            for i, t in zip(infos, every, strict=True)
        ],
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
    for row in report["threads"][1:]:
        console.print(
            f"  with {row['threads']} threads: median {row['median']:.2f} ms, "
            f"{ms['median'] / row['median']:.2f} times as fast"
        )
    count = f"{info['threads']} thread{'s' if info['threads'] > 1 else ''}"
    console.print(f"  {info['simd']} SIMD, {count}, {human_bytes(info['bytes'])}")
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

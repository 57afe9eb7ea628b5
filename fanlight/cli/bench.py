"""`fanlight bench`: how long a model takes in a real Chromium, alone or beside its peers."""

from __future__ import annotations

import importlib
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import rich_click as click

from fanlight.cli.options import ModelOptions, is_bundle, model_options, open_or_build
from fanlight.cli.output import human_bytes, progress, stdout, write_text
from fanlight.cli.roofline import check_plot, measured, show, write_plot
from fanlight.errors import FanlightError

PEERS = ("tfjs", "ort")
SLOWEST_SHOWN = 10


def _peers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",")) if value else ()
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: the peers are {', '.join(PEERS)}")
    return names


@click.command("bench")
@click.argument("source")
@click.option(
    "--peers",
    callback=_peers,
    metavar="tfjs,ort",
    help="Time these too, on the same weights (needs a checkout with its bench/ folder).",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Threads of the built model; more than 1 is not there yet.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    metavar="N",
    help="How often it is run; the median counts.",
)
@click.option(
    "--roofline",
    "wants_roofline",
    is_flag=True,
    help="Measure each kernel against the machine's peak and memory instead.",
)
@click.option(
    "--plot",
    callback=check_plot,
    metavar="FILE",
    help="Draw the roofline: FILE.svg, or FILE.png (needs fanlight\\[plots]).",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the figures; - prints them.")
@model_options
def command(
    source: str,
    peers: tuple[str, ...],
    threads: int,
    rounds: int,
    wants_roofline: bool,
    plot: str | None,
    json_file: str | None,
    options: ModelOptions,
) -> None:
    """Time SOURCE, a model or a bundle, in Chromium and CPython, with its slowest kernels."""
    if threads != 1:
        raise FanlightError(
            "E-BUILD-005",
            "Bundles of this version run on one thread.",
            where="--threads",
            expected="1",
            received=threads,
        )
    if wants_roofline or plot:
        _roofline(source, options, peers, plot, json_file)
        return
    if peers:
        rows = _beside_peers(source, options, peers, rounds)
        report: dict[str, Any] = {"machine": _machine(), "source": source, "engines": rows}
    else:
        report = {"machine": _machine(), "source": source, **_alone(source, options, rounds)}
    if json_file == "-":
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    if json_file is not None:
        write_text(json_file, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if peers:
        _print_engines(report["engines"])
    else:
        _print_alone(report)


def _roofline(
    source: str,
    options: ModelOptions,
    peers: tuple[str, ...],
    plot: str | None,
    json_file: str | None,
) -> None:
    if peers:
        raise FanlightError(
            "E-CLI-010",
            "A roofline has no peers beside it.",
            where="--peers",
            expected="--roofline or --peers",
            received="both",
        )
    found = measured(source, options)
    if plot is not None:
        write_plot(found, plot)
    report = {"machine": _machine(), "source": source, **found.as_dict()}
    if json_file == "-":
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    if json_file is not None:
        write_text(json_file, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    show(found)


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}"


def _alone(source: str, options: ModelOptions, rounds: int) -> dict[str, Any]:
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


def _beside_peers(
    source: str, options: ModelOptions, peers: tuple[str, ...], rounds: int
) -> list[dict[str, Any]]:
    try:
        measure_source = importlib.import_module("bench.latency").measure_source
    except ModuleNotFoundError as problem:
        raise FanlightError(
            "E-CLI-005",
            "The comparison with peers is not part of the installed package.",
            expected="the bench/ folder of a checkout as the working directory",
            received=str(problem),
            next="clone the repository and run it from there, or leave --peers out.",
        ) from problem
    if is_bundle(source):
        raise FanlightError(
            "E-CLI-010",
            "Peers cannot run a bundle.",
            where=source,
            expected="the model that the bundle was built from",
            received="a bundle",
            next="name the source model.",
        )
    from fanlight.cli.options import load_model

    model = load_model(source, options)
    with tempfile.TemporaryDirectory(prefix="fanlight-bench-") as folder:
        with progress(f"Timing {model.name}"):
            return measure_source(model, Path(folder), peers=peers, rounds=rounds)


def _print_alone(report: dict[str, Any]) -> None:
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


def _print_engines(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(title="one Chromium, engines in turn, the same weights", title_justify="left")
    table.add_column("engine")
    for heading in ("median ms", "fastest ms", "times ours", "difference"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["engine"],
            f"{row['median_ms']:.2f}",
            f"{row['min_ms']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['difference']:.1e}",
        )
    stdout().print(table)

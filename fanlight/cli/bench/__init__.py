"""`fanlight bench`: how long a model takes in a real Chromium, alone or beside its peers."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import rich_click as click

from fanlight.cli.bench.alone import measure_alone, print_alone
from fanlight.cli.bench.beside import SUFFIXES, measure_beside, print_beside, write_report
from fanlight.cli.options import ModelOptions, model_options
from fanlight.cli.output import write_text
from fanlight.cli.roofline import check_plot, measured, show, write_plot
from fanlight.errors import FanlightError

PEERS = ("tfjs", "ort", "litert", "jaxjs")
MOST_THREADS = 64


def _peers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",")) if value else ()
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: the peers are {', '.join(PEERS)}")
    return names


def _threads(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...]:
    if value is None:
        return ()
    try:
        counts = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        counts = (0,)
    if not all(1 <= count <= MOST_THREADS for count in counts):
        raise click.BadParameter(
            f"{value!r} is not a list of numbers from 1 to {MOST_THREADS}, such as 1,2"
        )
    return counts


def _outs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[Path, ...]:
    paths = tuple(Path(name) for name in value)
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise click.BadParameter(f"{path} does not end in {', '.join(SUFFIXES)}")
    return paths


@click.command("bench")
@click.argument("source")
@click.option(
    "--peers",
    callback=_peers,
    metavar=",".join(PEERS),
    help="Time these too, on the same weights (needs a checkout with its bench/ folder).",
)
@click.option(
    "--threads",
    callback=_threads,
    metavar="N,...",
    help="Numbers of threads to time.  [default: 1; with --peers: 1,2]",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    help="How often it is run; the median counts (with --roofline: the best).  "
    "[default: 50; with --peers: 30; with --roofline: 7]",
    metavar="N",
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
    help="Draw the roofline: FILE.svg, or FILE.png (needs the extra plots); implies --roofline.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the figures; - prints them.")
@click.option(
    "--out",
    "outs",
    multiple=True,
    callback=_outs,
    metavar="FILE",
    help="With --peers: write the report as FILE.json, FILE.md (a table) or FILE.svg (a chart); "
    "may be repeated.",
)
@model_options
def command(
    source: str,
    peers: tuple[str, ...],
    threads: tuple[int, ...],
    rounds: int | None,
    wants_roofline: bool,
    plot: str | None,
    json_file: str | None,
    outs: tuple[Path, ...],
    options: ModelOptions,
) -> None:
    """Time SOURCE, a model or a bundle, in Chromium and CPython, with its slowest kernels."""
    if outs and not peers:
        raise click.UsageError("--out is for the report of --peers; --json writes figures alone.")
    if wants_roofline or plot:
        _roofline(source, options, peers, threads, rounds, plot, json_file)
        return
    report: dict[str, Any]
    if peers:
        report = measure_beside(source, options, peers, threads or (1, 2), rounds or 30)
    else:
        found = measure_alone(source, options, rounds or 50, threads or (1,))
        report = {"machine": _machine(), **found}
    report["source"] = source
    for path in outs:
        write_report(report, path)
    if json_file == "-":
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    if json_file is not None:
        write_text(json_file, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if peers:
        print_beside(report)
    else:
        print_alone(report)


def _roofline(
    source: str,
    options: ModelOptions,
    peers: tuple[str, ...],
    threads: tuple[int, ...],
    rounds: int | None,
    plot: str | None,
    json_file: str | None,
) -> None:
    if threads not in ((), (1,)):
        raise FanlightError(
            "E-CLI-010",
            "A roofline is that of one thread.",
            where="--threads",
            expected="1, or leave it out",
            received=",".join(map(str, threads)),
        )
    if peers:
        raise FanlightError(
            "E-CLI-010",
            "A roofline has no peers beside it.",
            where="--peers",
            expected="--roofline or --peers",
            received="both",
        )
    found = measured(source, options, rounds)
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

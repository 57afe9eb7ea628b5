"""`fanlight bench`: how long a model takes in a real Chromium, alone or beside its peers."""

from __future__ import annotations

import json
import platform
from typing import Any

import rich_click as click

from fanlight.cli.bench.alone import measure_alone, print_alone
from fanlight.cli.bench.beside import measure_beside, print_beside
from fanlight.cli.options import ModelOptions, model_options
from fanlight.cli.output import write_text
from fanlight.errors import FanlightError

PEERS = ("tfjs", "ort")


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
@click.option("--json", "json_file", metavar="FILE", help="Write the figures; - prints them.")
@model_options
def command(
    source: str,
    peers: tuple[str, ...],
    threads: int,
    rounds: int,
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
    if peers:
        rows = measure_beside(source, options, peers, rounds)
        report: dict[str, Any] = {"machine": _machine(), "source": source, "engines": rows}
    else:
        report = {"machine": _machine(), "source": source, **measure_alone(source, options, rounds)}
    if json_file == "-":
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    if json_file is not None:
        write_text(json_file, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if peers:
        print_beside(report["engines"])
    else:
        print_alone(report)


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}"

"""`fanlight bench SOURCE --peers ...`: the same network in other engines, in one Chromium."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fanlight.cli.options import ModelOptions, is_bundle
from fanlight.cli.output import progress, stdout, write_text
from fanlight.errors import FanlightError

SUFFIXES = (".json", ".md", ".svg")
# column of the report -> whether it is a figure
SHOWN = {
    "engine": False,
    "precision": False,
    "threads": True,
    "median ms": True,
    "min ms": True,
    "times ours": True,
    "quartiles": True,
    "cold ms": True,
    "download MB": True,
    "memory MiB": True,
    "difference": True,
}


def measure_beside(
    source: str,
    options: ModelOptions,
    peers: Sequence[str],
    threads: Sequence[int],
    rounds: int,
) -> dict[str, Any]:
    """The report of bench.peers: a row per engine, precision and number of threads.

    Raises:
        FanlightError: E-CLI-005 outside a checkout, E-CLI-010 when the source is a bundle or does
            not take one picture.
    """
    bench = _bench("bench.peers.run")
    engines = _bench("bench.peers.engines")
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
    if not engines.one_picture(model.graph):
        inputs = ", ".join(f"{v.name} {v.dtype}{list(v.type.bound)}" for v in model.graph.inputs)
        raise FanlightError(
            "E-CLI-010",
            "The comparison with peers is for models of one picture.",
            where=source,
            expected="one float32 input of shape [1, height, width, channels]",
            received=inputs or "no inputs",
            next="leave --peers out.",
        )
    with tempfile.TemporaryDirectory(prefix="fanlight-bench-") as folder:
        with progress(f"Timing {model.name}", lines=True) as advance:
            return bench.measure_model(
                model,
                "source",
                Path(folder),
                peers=peers,
                threads=threads,
                rounds=rounds,
                say=lambda text: advance(title=f"{model.name}: {text}"),
            )


def _bench(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as problem:
        raise FanlightError(
            "E-CLI-005",
            "The comparison with peers is not part of the installed package.",
            expected="the bench/ folder of a checkout as the working directory",
            received=str(problem),
            next="run this in a clone of the repository after `make setup`, or leave --peers out.",
        ) from problem


def write_report(report: dict[str, Any], path: Path) -> None:
    """Write a report as JSON, Markdown or SVG, as the suffix says.

    Raises:
        FanlightError: where the file cannot be written.
    """
    write_text(str(path), _bench("bench.peers.report").text_of(report, path.suffix.lower()))


def print_beside(report: dict[str, Any]) -> None:
    """The rows of a report, for people, and what its goals say."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="one Chromium, engines in turn, the same weights", title_justify="left")
    for heading, figure in SHOWN.items():
        table.add_column(heading, justify="right" if figure else "left")
    notes: list[str] = []
    for row in map(_bench("bench.peers.report").table_row, report["rows"]):
        table.add_row(*(Text("" if row[c] is None else str(row[c])) for c in SHOWN))
        if row["note"]:
            notes.append(f"{row['engine']} {row['precision']}, {row['threads']}: {row['note']}")
    console = stdout()
    console.print(table)
    for note in notes:
        console.print(Text(f"  {note}"))

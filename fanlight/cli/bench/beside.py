"""`fanlight bench SOURCE --peers ...`: the same network in other engines, in one Chromium."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fanlight.cli.options import ModelOptions, is_bundle
from fanlight.cli.output import progress, stdout
from fanlight.errors import FanlightError


def measure_beside(
    source: str, options: ModelOptions, peers: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    """One row per engine.

    Raises:
        FanlightError: E-CLI-005 outside a checkout, E-CLI-010 when the source is a bundle.
    """
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


def print_beside(rows: list[dict[str, Any]]) -> None:
    """The rows of `measure_beside`, for people."""
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

"""`fanlight bench --roofline`: each kernel against what the machine can do, as table and chart."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from fanlight.cli.options import ModelOptions, open_or_build
from fanlight.cli.output import human_bytes, progress, stdout, write_bytes

if TYPE_CHECKING:
    from fanlight.roofline import Roofline

ENDINGS = (".svg", ".png")
LEAST_SHARE = 0.005  # of the time; faster kernels are summed up in the table


def check_plot(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The callback of --plot: a file whose ending says what to draw."""
    if value is not None and Path(value).suffix.lower() not in ENDINGS:
        raise click.BadParameter(f"{value}: the file must end in {' or '.join(ENDINGS)}")
    return value


def measured(source: str, options: ModelOptions, rounds: int | None = None) -> Roofline:
    """The roofline of a model or bundle, on random inputs."""
    from fanlight import roofline
    from fanlight.check import random_inputs

    with tempfile.TemporaryDirectory(prefix="fanlight-") as folder:
        with open_or_build(source, options, Path(folder), task="none") as bundle:
            with progress("Timing kernels beside the machine's limits"):
                inputs = random_inputs(bundle.manifest)
                return roofline.measure(bundle, inputs, rounds=rounds or roofline.ROUNDS)


def write_plot(found: Roofline, path: str) -> None:
    """Draw it; E-CLI-005 without matplotlib (PNG), E-CLI-007 if the file cannot be written."""
    from fanlight.cli.roofline_chart import FORMATS

    data: Any = FORMATS[Path(path).suffix.lower()](found)
    write_bytes(path, data if isinstance(data, bytes) else data.encode())


def shortened(source: str, most: int = 24) -> str:
    """A layer's name cut at its beginning, where names of one model are alike."""
    return source if len(source) <= most else "…" + source[1 - most :]


def show(found: Roofline) -> None:
    """The table, slowest kernels first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(
        f"[bold]{found.name}[/] in Chromium, {found.simd} SIMD, one thread: kernels take "
        f"[bold]{found.ms:.2f} ms[/], {found.of_roofline:.0%} of the roofline"
    )
    rates = ", ".join(
        f"{human_bytes(r.bytes)} ({r.level}) {r.read:.0f} / {r.copy:.0f}" for r in found.rates
    )
    peaks = ", ".join(f"{rate:.1f} GOP/s of {unit}" for unit, rate in found.peaks.items())
    console.print(f"  peak {peaks}; GB/s read / copied from {rates}")
    table = Table(title="kernels", title_justify="left", box=SIMPLE_HEAD, expand=True)
    table.add_column("kernel", overflow="ellipsis", no_wrap=True, ratio=1)
    for heading in ("ms", "%", "GFLOP/s", "GB/s", "FLOP/B", "limit", "of it"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = sorted(found.rows, key=lambda row: -row.ms)
    for row in rows:
        if row.share < LEAST_SHARE:
            continue
        weak = row.share > 0.05 and row.of_roofline < 0.5
        table.add_row(
            Text(f"{row.op} {shortened(row.source)}"),
            f"{row.ms:.3f}",
            f"{100 * row.share:.1f}",
            f"{row.gflops:.1f}",
            f"{row.gbytes:.1f}",
            f"{row.intensity:.1f}",
            row.level if row.bound == "memory" else row.unit,
            f"{100 * row.of_roofline:.0f} %",
            style="bold red" if weak else None,
        )
    small = [row for row in rows if row.share < LEAST_SHARE]
    if small:
        total = sum(row.ms for row in small)
        label = f"{len(small)} faster ones"
        share = f"{100 * total / found.ms:.1f}" if found.ms else ""
        table.add_row(label, f"{total:.3f}", share, *[""] * 5)
    console.print(table)

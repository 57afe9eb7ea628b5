"""`fanlight check`: does every host compute what NumPy computes?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import rich_click as click

from fanlight.cli.options import ModelOptions, model_options, open_or_build
from fanlight.cli.output import json_option, print_json, progress, stdout

HOSTS = ("wasm", "wasm-plain", "browser")


@click.command("check")
@click.argument("source")
@click.option(
    "--host",
    "hosts",
    type=click.Choice(HOSTS),
    multiple=True,
    help="Only this host; may be repeated.  [default: all]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=1e-4,
    show_default=True,
    help="Largest difference allowed, relative to an output's largest magnitude.",
)
@model_options
@json_option
def command(
    source: str,
    hosts: tuple[str, ...],
    tolerance: float,
    options: ModelOptions,
    as_json: bool,
) -> None:
    """Compare the hosts of a bundle with NumPy, output by output.

    SOURCE is a bundle, or a model that is built first. The exit code is 1 if any output differs.
    """
    import fanlight as fl

    with tempfile.TemporaryDirectory(prefix="fanlight-") as folder:
        with open_or_build(source, options, Path(folder), task="none") as bundle:
            with progress(f"Checking {bundle.name}"):
                report = fl.check(bundle, hosts=hosts or HOSTS, tolerance=tolerance)
    rows = [
        {
            "host": row.host,
            "output": row.output,
            "difference": float(row.difference),
            "tolerance": float(row.tolerance),
            "ok": bool(row.ok),
        }
        for row in report.rows
    ]
    if as_json:
        not_run = dict(report.not_run)
        print_json({"name": report.name, "ok": report.ok, "rows": rows, "not_run": not_run})
    else:
        _print(report.name, rows)
        for host, why in report.not_run.items():
            stdout().print(f"[yellow]not run[/]  {host}: {why}")
    if not report.ok:
        raise SystemExit(1)


def _print(name: str, rows: list[dict]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{name}: hosts against NumPy", title_justify="left")
    for heading in ("", "host", "output"):
        table.add_column(heading)
    table.add_column("difference", justify="right")
    table.add_column("allowed", justify="right")
    for row in rows:
        mark = "[green]ok[/]" if row["ok"] else "[bold red]differs[/]"
        figures = (f"{row['difference']:.1e}", f"{row['tolerance']:.0e}")
        table.add_row(mark, row["host"], Text(row["output"]), *figures)
    stdout().print(table)

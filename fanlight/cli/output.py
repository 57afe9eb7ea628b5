"""What commands print with: consoles, JSON, progress bars, units."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from fanlight.errors import FanlightError


def stdout() -> Console:
    """Where answers go."""
    return Console(highlight=False)


def stderr() -> Console:
    """Where progress and errors go, so that answers can be piped."""
    return Console(stderr=True, highlight=False)


def _note_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    if value:
        ctx.find_root().meta["fanlight.json"] = True
    return value


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_note_json,
    help='Print JSON for a machine; an error becomes {"error": ...}.',
)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))


@contextmanager
def progress(
    title: str, total: int | None = None, *, lines: bool = False, first: bool = True
) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error while something slow runs, if a person is looking.

    Args:
        title: what is done first.
        total: steps until the end, where that is known.
        lines: where nobody looks, write each new title as a line: for what takes minutes.
        first: whether the first title is such a line; not where it may end at once in an error.

    Yields:
        `advance(step=1, title=None)`: moves the bar on, and names what comes next.
    """
    console = stderr()
    if not console.is_terminal:
        said: str | None = None

        def note(step: int = 1, title: str | None = None) -> None:
            nonlocal said
            if lines and title not in (None, said):
                said = title
                console.print(title, markup=False)

        note(title=title if first else None)
        yield note
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)

        def advance(step: int = 1, title: str | None = None) -> None:
            bar.update(task, advance=step, description=title)

        yield advance


def human_bytes(count: float) -> str:
    """`4.2 MB`; decimal units, as files are measured."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def human_count(count: float) -> str:
    """`569 M`, `1.2 k`, `12`."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return f"{count:.0f}"


def write_text(path: str, text: str) -> None:
    """Write a text that the user named a file for; E-CLI-007 when that fails."""
    write_bytes(path, text.encode())


def write_bytes(path: str, data: bytes) -> None:
    """Write a file that the user named; E-CLI-007 when that fails."""
    try:
        Path(path).write_bytes(data)
    except OSError as problem:
        raise FanlightError(
            "E-CLI-007",
            "The output file cannot be written.",
            where=path,
            received=problem.strerror,
            next="choose another path.",
        ) from problem


def interactive() -> bool:
    """Whether a person is at standard output."""
    return sys.stdout.isatty()

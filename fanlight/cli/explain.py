"""`fanlight explain`: what an error code means."""

from __future__ import annotations

import difflib

import rich_click as click

from fanlight.cli.output import json_option, print_json, stdout
from fanlight.errors import CATALOGUE, FanlightError


@click.command("explain")
@click.argument("code", required=False)
@json_option
def command(code: str | None, as_json: bool) -> None:
    """Explain an error CODE such as E-FORMAT-012; without one, list them all."""
    if code is None:
        found = dict(CATALOGUE)
    else:
        wanted = code.strip().upper()
        if wanted not in CATALOGUE:
            near = difflib.get_close_matches(wanted, CATALOGUE, n=3)
            raise FanlightError(
                "E-CLI-003",
                f"There is no error code {code!r}.",
                expected=f"a code such as {', '.join(near or ['E-INPUT-001'])}",
                received=code,
                next="`fanlight explain` lists all codes.",
            )
        found = {wanted: CATALOGUE[wanted]}
    if as_json:
        print_json(found)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, text in found.items():
        table.add_row(Text(name, style="bold"), Text(text))
    stdout().print(table)

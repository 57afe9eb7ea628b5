"""`fanlight explain`: what an error code means, what leads there, and what to do."""

from __future__ import annotations

import difflib
from dataclasses import asdict

import rich_click as click

from fanlight.cli.explanations import EXPLANATIONS
from fanlight.cli.output import json_option, print_json, stdout
from fanlight.errors import CATALOGUE, FanlightError


@click.command("explain")
@click.argument("code", required=False)
@json_option
def command(code: str | None, as_json: bool) -> None:
    """Explain an error CODE such as E-FORMAT-012; list a family (E-FORMAT), or all without a CODE.

    What it means, the usual cause, what to do, and an example where that helps.
    """
    wanted = "" if code is None else code.strip().upper()
    family = [c for c in CATALOGUE if c.startswith(f"{wanted}-")] if wanted else list(CATALOGUE)
    if family:
        _listed(family, as_json)
        return
    if wanted not in CATALOGUE:
        near = difflib.get_close_matches(wanted, CATALOGUE, n=3)
        raise FanlightError(
            "E-CLI-003",
            f"There is no error code {code!r}.",
            expected=f"a code such as {', '.join(near or ['E-INPUT-001'])}",
            received=code,
            next="`fanlight explain` lists all codes.",
        )
    told = EXPLANATIONS[wanted]
    if as_json:
        parts = {"meaning": CATALOGUE[wanted], **asdict(told)}
        print_json({wanted: {name: text for name, text in parts.items() if text}})
        return
    from rich.text import Text

    out = stdout()
    out.print(Text.assemble((wanted, "bold"), "  ", CATALOGUE[wanted]))
    for title, text in (("Usual cause", told.cause), ("What to do", told.cure)):
        out.print()
        out.print(Text.assemble((f"{title}: ", "bold"), text))
    for title, text in (("Ends in it", told.wrong), ("Works", told.right)):
        if text:
            out.print()
            out.print(Text(f"{title}:", "bold"))
            for line in text.splitlines():
                out.print(Text(f"    {line}"), soft_wrap=True)  # to be copied


def _listed(codes: list[str], as_json: bool) -> None:
    """Codes and their meanings, a line for each."""
    if as_json:
        print_json({code: CATALOGUE[code] for code in codes})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for code in codes:
        table.add_row(Text(code, style="bold"), Text(CATALOGUE[code]))
    stdout().print(table)

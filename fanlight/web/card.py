"""A model card as HTML: the little Markdown that cards are written in, and nothing that runs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_CODE = re.compile(r"(`[^`\n]+`)")
_BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
_HEADING = re.compile(r"#{1,6} +(.*?) *#*$")
_ITEM = re.compile(r"[-*] +(.*)")
_RULE = re.compile(r"\|?[ :|-]*-[ :|-]*$")


def card_html(text: str) -> str:
    """Headings, paragraphs, lists, tables, `code` and **bold**; everything else is plain text."""
    blocks = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").strip())
    return "\n".join(part for block in blocks for part in _block(block.strip("\n").split("\n")))


def _block(lines: list[str]) -> Iterator[str]:
    """The parts of one block: a heading ends by itself, a list or a table runs to the next kind."""
    at = 0
    while at < len(lines):
        start, line = at, lines[at].strip()
        at += 1
        heading = _HEADING.match(line)
        if heading:
            yield f"<h2>{_inline(heading[1])}</h2>"
        elif _ITEM.match(line):
            items = [line]
            while at < len(lines) and not _HEADING.match(lines[at]):
                more = lines[at].strip()
                if _ITEM.match(more):
                    items.append(more)
                else:
                    items[-1] += "\n" + more
                at += 1
            shown = (f"<li>{_inline(item[1:].strip())}</li>" for item in items)
            yield f"<ul>{''.join(shown)}</ul>"
        elif line.startswith("|"):
            while at < len(lines) and lines[at].strip().startswith("|"):
                at += 1
            yield _table([row.strip() for row in lines[start:at]])
        else:
            while at < len(lines) and not _starts(lines[at].strip()):
                at += 1
            yield f"<p>{_inline(chr(10).join(row.strip() for row in lines[start:at]))}</p>"


def _starts(line: str) -> bool:
    return bool(_HEADING.match(line) or _ITEM.match(line) or line.startswith("|"))


def _table(rows: list[str]) -> str:
    body = ""
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if any(cells) and not _RULE.match(row):
            body += "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in cells) + "</tr>"
    return f"<table>{body}</table>"


def _inline(text: str) -> str:
    parts = _CODE.split(text)
    parts[::2] = [_BOLD.sub(r"<strong>\1</strong>", html.escape(part)) for part in parts[::2]]
    parts[1::2] = [f"<code>{html.escape(part[1:-1])}</code>" for part in parts[1::2]]
    return "".join(parts)

"""Names that sources use for inputs and outputs, made fit for a graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


def output_names(wanted: Sequence[str], taken: Sequence[str]) -> list[str]:
    """`wanted` without the characters that graphs refuse, each once, none an input's name."""
    used, names = set(taken), []
    for want in wanted:
        base = re.sub(r"[^\w./-]", "_", want) or "output"
        name, count = base, 0
        while name in used:
            count += 1
            name = f"{base}_{count}"
        used.add(name)
        names.append(name)
    return names


def tally(found: Mapping[str, Sequence[str]]) -> str:
    """Kinds with how often and (some of) where they occur: "Foo x2 (a, b); Bar x1 (c)"."""
    parts = []
    for kind, names in sorted(found.items()):
        more = ", ..." if len(names) > 3 else ""
        parts.append(f"{kind[:80]} x{len(names)} ({', '.join(names[:3])}{more})")
    return "; ".join(parts)[:4000]

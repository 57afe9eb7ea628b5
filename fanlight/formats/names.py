"""Names that sources use for inputs and outputs, made fit for a graph."""

from __future__ import annotations

import re
from collections.abc import Sequence


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

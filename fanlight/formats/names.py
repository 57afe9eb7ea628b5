"""Names that sources use for inputs and outputs, made fit for a graph."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence


def output_names(wanted: Sequence[str], taken: Collection[str]) -> list[str]:
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


def ending_in(name: str, known: Iterable[str]) -> list[str]:
    """The known names that end in the parts of `name`: "b/c" is the end of "a/b/c"."""
    return [k for k in known if k.endswith(f"/{name}")]


def near_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that `name` may have meant, whole or by as many last parts as it has."""
    parts = name.count("/") + 1
    ends: dict[str, list[str]] = {}
    for one in known:
        for end in (one, "/".join(one.split("/")[-parts:])):
            ends.setdefault(end.lower(), []).append(one)
    close = difflib.get_close_matches(name.lower(), ends, n=most, cutoff=0.6)
    if len(name) > 2:  # two letters are in many names
        close += [end for end in ends if name.lower() in end]
    return list(dict.fromkeys(one for end in close for one in ends[end]))[:most]


def tally(found: Mapping[str, Sequence[str]]) -> str:
    """Kinds with how often and (some of) where they occur: "Foo x2 (a, b); Bar x1 (c)"."""
    parts = []
    for kind, names in sorted(found.items()):
        more = ", ..." if len(names) > 3 else ""
        parts.append(f"{kind[:80]} x{len(names)} ({', '.join(names[:3])}{more})")
    return "; ".join(parts)[:4000]

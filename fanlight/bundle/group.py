"""A folder of several bundles that share one page: tiers of a model, or the stages of a cascade."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanlight.bundle.write import MANIFEST
from fanlight.errors import FanlightError

# kind -> (the file that lists the parts, the key of the list in it)
LISTS = {
    "tiers": ("tiers.json", "tiers"),
    "cascade": ("cascade.json", "stages"),
    "exits": ("cascade.json", "stages"),
}
MAX_PARTS = 32
MAX_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


@dataclass(frozen=True)
class Group:
    """What such a folder holds.

    Attributes:
        folder: where it is.
        kind: "tiers" (best first), "cascade" (the small model first) or "exits".
        data: the list of parts as it was read, with all its figures.
        parts: name -> folder of a bundle.
    """

    folder: Path
    kind: str
    data: dict[str, Any]
    parts: dict[str, Path]

    def part(self, name: str | None = None) -> Path:
        """The folder of a part; without a name that of the best model.

        Raises:
            FanlightError: E-BUNDLE-006 there is none of this name, or none that is the best.
        """
        names = list(self.parts)
        if name is None and self.kind != "exits":
            name = names[0] if self.kind == "tiers" else names[-1]
        if name in self.parts:
            return self.parts[name]
        stages = self.kind == "exits"
        raise FanlightError(
            "E-BUNDLE-006",
            "this folder holds the stages of one model, of which each takes what the one before "
            "gives."
            if name is None
            else f"this folder has no part called {str(name)[:80]!r}.",
            where=self.folder,
            expected=", ".join(names),
            received="no name of a part" if name is None else repr(name)[:80],
            next=f"name one: fl.open_bundle(folder, tier={names[0]!r})"
            + (", which answers by itself." if stages else "."),
        )


def read_group(folder: Path) -> Group | None:
    """The parts of a folder; None where it is no such folder.

    Raises:
        FanlightError: E-BUNDLE-006 the list of its parts is malformed.
    """
    listed = _listed(folder)
    if listed is None:
        return None
    path = folder / listed
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        data = json.loads(path.read_bytes())
        kind = data["kind"]
        name, key = LISTS[kind]
        if name != listed:
            raise ValueError(f"{kind} in {listed}")
        entries = data[key]
        parts = {_name(e["id"]): folder / _name(e["url"].removesuffix("/")) for e in entries}
        if not 0 < len(entries) <= MAX_PARTS or len(parts) != len(entries):
            raise ValueError(f"{len(parts)} parts")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FanlightError(
            "E-BUNDLE-006",
            f"the list of the parts of this folder, {listed}, is malformed.",
            where=path,
            expected="what `fanlight build --tiers` or fl.cascade wrote",
            received=f"{type(error).__name__}: {error}"[:200],
            next="build it again.",
        ) from error
    return Group(folder, kind, data, parts)


def _listed(folder: Path) -> str | None:
    """The file that the manifest of a folder names as the list of its parts."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        listed = json.loads(path.read_bytes()).get("group")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None  # whoever reads the folder as a bundle says what is wrong with it
    return listed if listed in {name for name, _ in LISTS.values()} else None


def _name(text: str) -> str:
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"the name {str(text)[:80]!r}")
    return text

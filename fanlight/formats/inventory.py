"""What a source is made of, in its own words, also where it cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Inventory:
    """The ops or layers of a source.

    Attributes:
        found: kind, as the source calls it -> the names of what is of it.
        unread: those kinds that no reader has.
        layers: whether they are layers rather than ops.
    """

    found: Mapping[str, Sequence[str]]
    unread: frozenset[str]
    layers: bool = False

    @property
    def unknown(self) -> dict[str, Sequence[str]]:
        """The kinds that no reader has, with the names of what is of them."""
        return {kind: names for kind, names in self.found.items() if kind in self.unread}

    @property
    def coverage(self) -> float:
        """The fraction of all nodes or layers whose kind is read."""
        total = sum(map(len, self.found.values()))
        missing = sum(map(len, self.unknown.values()))
        return 1 - missing / total if total else 1.0


def listed(
    pairs: Iterable[tuple[str, str]], read: Callable[[str], object], layers: bool = False
) -> Inventory:
    """The inventory of (kind, name) pairs; `read` tells whether a reader has a kind."""
    found: dict[str, list[str]] = {}
    for kind, name in pairs:
        found.setdefault(kind, []).append(name)
    return Inventory(found, frozenset(k for k in found if not read(k)), layers)

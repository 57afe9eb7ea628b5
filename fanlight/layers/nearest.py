"""What somebody meant who misspelt a name: the nearest one that there is."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from fanlight.errors import MissingError
from fanlight.tensor.caller import caller


def nearest(name: Any, known: Iterable[str]) -> str | None:
    """The known name that is most like one; None where none is. Case and underscores do not count.

    Of names that are as near, the one that is spelt in the same style goes first.
    """
    if not isinstance(name, str) or not name:
        return None
    found: dict[str, list[str]] = {}
    for k in known:
        found.setdefault(_bare(k), []).append(k)
    close = difflib.get_close_matches(_bare(name[:80]), found, 1, 0.7)
    if not close:
        return None
    styles = sorted(found[close[0]], key=lambda k: (k.islower() != name.islower(), k))
    return styles[0]


def _bare(name: str) -> str:
    return name.lower().replace("_", "")


def meant(name: Any, known: Iterable[str], then: str | None = None) -> str | None:
    """What to do next, for errors: the nearest name, then what else helps."""
    found = nearest(name, known)
    if found is None:
        return then
    return f"did you mean {found!r}?" + (f" Else {then}" if then else "")


def missing(module: str, known: Iterable[str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module of classes, which tells the nearest one: `fl.layers.Dens`."""

    def look(name: str) -> Any:
        # Python itself asks for submodules and names of its own, which begin otherwise.
        if not name[:1].isupper():
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise MissingError(
            "E-LAYER-003",
            f"{module} has no {name}.",
            where=f"{module}.{name}, {caller()}",
            expected=f"a name of {module}: dir({module}) lists them",
            received=name,
            next=meant(name, known),
        )

    return look


__all__ = ["meant", "missing", "nearest"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""What importers are registered with: a format's ops by their names, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def under(names: Iterable[str], handlers: dict[str, T]) -> Callable[[T], T]:
    """A decorator that puts a function under names; ValueError if one of them has another."""

    def register(function: T) -> T:
        for name in names:
            if name in handlers:
                raise ValueError(f"two importers for {name}")
            handlers[name] = function
        return function

    return register

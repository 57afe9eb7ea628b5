"""Memory frees itself with the last reference; these say when, and who holds what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.tensor.core import Tensor, state
from fanlight.tensor.tape import flatten


def tidy(fn: Callable[[], Any]) -> Any:
    """Call a function, then dispose every tensor made in it but what it returns and what was kept.

    Python frees a tensor when nobody holds it; this frees those, too, that somebody still holds.
    """
    scope: list[Tensor] = []
    state.scopes.append(scope)
    try:
        result = fn()
    finally:
        # Whatever went wrong, the scope ends.
        state.scopes.remove(scope)
        if state.scopes:
            state.scopes[-1].extend(scope)
    spared = set() if result is None else {id(x) for x in flatten(result)[0]}
    for x in scope:
        if id(x) not in spared and not x.kept:
            x.dispose()
    return result


def keep(x: Tensor) -> Tensor:
    """Spare a tensor when the `tidy` around it ends."""
    x.kept = True
    return x


def dispose(value: Any) -> None:
    """Give the memory of a tensor, or of those in tuples, lists and dicts, back now."""
    for x in flatten(value)[0]:
        x.dispose()


def memory() -> dict[str, int]:
    """What tensors hold: `tensors` that are alive, `buffers` behind them, and their `bytes`.

    Two tensors may share a buffer: a reshaped one, or one made of a NumPy array without a copy.
    """
    bases: dict[int, int] = {}
    alive = list(state.alive.values())
    for x in alive:
        array = x.numpy()
        while array.base is not None and hasattr(array.base, "nbytes"):
            array = array.base
        bases[id(array)] = array.nbytes
    return {"tensors": len(alive), "buffers": len(bases), "bytes": sum(bases.values())}

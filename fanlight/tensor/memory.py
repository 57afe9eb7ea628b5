"""Memory frees itself with the last reference; these say when, and who holds what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import ref

from fanlight.tensor.arguments import function_of
from fanlight.tensor.calls import listened, shared, state
from fanlight.tensor.core import Tensor
from fanlight.tensor.tape import flatten


def tidy(fn: Callable[[], Any]) -> Any:
    """Call a function, then dispose every tensor made in it but what it returns and what was kept.

    Python frees a tensor when nobody holds it; this frees those, too, that somebody still holds.
    """
    function_of("tidy", "fn", fn)
    scope: set[ref[Tensor]] = set()
    state.scopes.append(scope)
    try:
        result = fn()
    finally:
        state.scopes.pop()  # whatever went wrong, it ends
        made = [x for held in tuple(scope) if (x := held()) is not None]
        if state.scopes:
            outer = state.scopes[-1]
            outer.update(ref(x, outer.discard) for x in made)
        scope.clear()
    if listened():
        return result  # a gradient is being computed, and needs what was made
    spared = set(_tensors(result))
    for x in made:
        if id(x) not in spared and not x.kept:
            x.dispose()
    return result


def _tensors(value: Any) -> Iterator[int]:
    """Identities of the tensors in a structure; whatever else is in it does not matter."""
    if isinstance(value, Tensor):
        yield from map(id, flatten(value)[0])
        yield from _tensors(value._value)  # of an example, the batch that it stands for
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def keep(x: Tensor) -> Tensor:
    """Spare a tensor when the `tidy` around it ends."""
    for part in flatten(x)[0]:
        part.kept = True
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
    found = [held() for held in tuple(shared.alive)]
    alive = [x for x in found if x is not None and not x.disposed]
    for x in alive:
        array = x.numpy()
        while array.base is not None and hasattr(array.base, "nbytes"):
            array = array.base
        bases[id(array)] = array.nbytes
    return {"tensors": len(alive), "buffers": len(bases), "bytes": sum(bases.values())}

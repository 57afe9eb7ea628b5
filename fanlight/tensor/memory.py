"""Memory frees itself with the last reference; these say when, and who holds what."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import ref

import numpy as np

from fanlight.tensor.arguments import flag, function_of
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


def memory(held: bool = False) -> dict[str, Any]:
    """What tensors hold: `tensors` that are alive, `buffers` behind them, and their `bytes`.

    Two tensors may share a buffer: a reshaped one, or one made of a NumPy array without a copy.

    Args:
        held: also give "held": a list of the buffers, the largest first, each a dict of "shape",
            "dtype", "bytes" and "by", texts that say who holds it: "x in train (file.py:12)",
            "w of __main__", "kernel of Dense", "xs[3] in train (file.py:12)". It looks through all
            that Python holds, which takes a moment, and names the holders of the 500 largest.

    Raises:
        FanlightError: E-OP-005 held is not True or False.
    """
    held = flag("memory", "held", held)
    buffers: dict[int, tuple[int, list[Tensor]]] = {}
    for alive in tuple(shared.alive):
        x = alive()
        if x is not None and not x.disposed:
            array = x.numpy()
            while isinstance(array.base, np.ndarray):  # not what a file is mapped into, say
                array = array.base
            buffers.setdefault(id(array), (array.nbytes, []))[1].append(x)
    found = [*buffers.values()]
    told: dict[str, Any] = {
        "tensors": sum(len(sharing) for _, sharing in found),
        "buffers": len(found),
        "bytes": sum(nbytes for nbytes, _ in found),
    }
    if held:
        from fanlight.tensor.holders import told_of

        x = array = None  # type: ignore[assignment]
        told["held"] = told_of(found, sys._getframe(1))
    return told

"""What layers tell the step that they are called in: updates, losses, masks, draws of random keys.

A step of a model enters a `Scope`. Layers stay functions of tensors: batch normalisation says what
its averages become, dropout asks for a key, and the step does the rest, computed at once or traced.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fanlight.layers import seeds
from fanlight.tensor import Tensor, random
from fanlight.tensor.variables import Variable


class Scope:
    """One call of a model.

    Attributes:
        training: whether layers behave as in training.
        key: int32 [2], of all random numbers; None: fresh ones.
        updates: what variables become at the end of the step.
        losses: of activities, each a number.
    """

    def __init__(self, training: bool = False, key: Tensor | None = None) -> None:
        self.training, self.key = training, key
        self.updates: dict[int, tuple[Variable, Tensor]] = {}
        self.losses: list[Tensor] = []
        self.draws = 0

    def told(self) -> None:
        """A variable was told what it becomes."""

    def called(self, layer: Any, args: Any, result: Any) -> None:
        """A layer has been called."""

    def pairs(self) -> list[tuple[Variable, Tensor]]:
        """The updates, in the order in which they were first told."""
        return list(self.updates.values())


class _Local(threading.local):
    def __init__(self) -> None:
        self.scopes: list[Scope] = []


_LOCAL = _Local()
# Which places of tensors count, by identity; each leaves with its tensor.
_MASKS: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Layers that are called inside tell this scope."""
    _LOCAL.scopes.append(scope)
    try:
        yield scope
    finally:
        _LOCAL.scopes.pop()


def current() -> Scope | None:
    """The scope of the innermost step, if there is one."""
    return _LOCAL.scopes[-1] if _LOCAL.scopes else None


def update(variable: Variable, value: Tensor) -> None:
    """What a variable becomes: at the end of the step, or at once where there is none."""
    scope = current()
    if scope is None:
        variable.assign(value)
    else:
        scope.updates[id(variable)] = (variable, value)
        scope.told()


def newest(variable: Variable) -> Tensor:
    """The value that a variable has, updates of the step included."""
    scope = current()
    found = scope.updates.get(id(variable)) if scope is not None else None
    return variable if found is None else found[1]


def add_loss(value: Tensor) -> None:
    """A number that training makes small, beside the loss of the model."""
    scope = current()
    if scope is not None:
        scope.losses.append(value)


def next_key(seed: int | None = None) -> Tensor:
    """A key for random numbers: another one at every call, and in every step.

    Args:
        seed: of a layer that has its own; its numbers then depend on nothing but the steps.
    """
    scope = current()
    if scope is None or scope.key is None:
        return random.key(seeds.fresh() if seed is None else seed + seeds.count(seed))
    scope.draws += 1
    key = random.fold_in(scope.key, scope.draws)
    return key if seed is None else random.fold_in(random.fold_in(scope.key, 0), seed % 2**31)


# --- masks ----------------------------------------------------------------------------------------


def set_mask(x: Tensor, mask: Tensor | None) -> None:
    """Say which places of a tensor count: bool, with the shape of its first dims."""
    if mask is not None:
        key = id(x)
        _MASKS[key] = (weakref.ref(x, lambda _: _MASKS.pop(key, None)), mask)


def mask_of(x: Any) -> Tensor | None:
    """The mask that a layer gave with a tensor."""
    found = _MASKS.get(id(x)) if isinstance(x, Tensor) else None
    return None if found is None else found[1]


def masks_of(values: Sequence[Any]) -> list[Tensor | None]:
    """The masks of several tensors."""
    return [mask_of(x) for x in values]

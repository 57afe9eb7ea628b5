"""What layers tell the step that they are called in: updates, losses, masks, draws of random keys.

A step of a model enters a `Scope`. Layers stay functions of tensors: batch normalisation says what
its averages become, dropout asks for a key, and the step does the rest, computed at once or traced.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import seeds
from fanlight.tensor import Tensor, random
from fanlight.tensor.caller import caller
from fanlight.tensor.calls import state, tracing
from fanlight.tensor.variables import Variable, not_kept


class Scope:
    """One call of a model.

    Args:
        source: a key that lasts. Where there is no other key and something draws, numbers are of
            this one, which the step moves on.

    Attributes:
        training: whether layers behave as in training.
        key: int32 [2], of all random numbers; None: fresh ones.
        updates: what variables become at the end of the step.
        assigned: those of them which reads see at once: what users assign.
        losses: of activities, each a number.
        looked_up: layers with traced numbers that they look up, and how many rows there are.
    """

    def __init__(
        self, training: bool = False, key: Tensor | None = None, source: Variable | None = None
    ) -> None:
        self.training, self.key, self.source = training, key, source
        self.updates: dict[int, tuple[Variable, Tensor]] = {}
        self.assigned: dict[int, Tensor] = {}
        self.losses: list[Tensor] = []
        self.looked_up: list[tuple[Any, Tensor, int]] = []
        self.draws = 0
        self.depth = 0  # how many functions were being traced when it was entered

    def told(self) -> None:
        """A variable was told what it becomes."""

    def called(self, layer: Any, args: Any, result: Any) -> None:
        """A layer has been called."""

    def assign(self, variable: Variable, value: Tensor) -> None:
        """A variable becomes a value, which whoever reads it from here on reads."""
        if self._deeper(value):
            raise not_kept(
                variable,
                "a loop or a branch gives back what it changes; assign that behind it.",
            )
        self.assigned[id(variable)] = value
        self.updates[id(variable)] = (variable, value)
        self.told()

    def draw(self) -> Tensor | None:
        """The next key; None where nothing seeds one."""
        if self._deeper() or (not self._seeded() and tracing()):
            return None
        return next_key()

    def _seeded(self) -> bool:
        """Whether there is a key, or one that lasts to make it of."""
        if self.key is None and self.source is not None:
            # Steps of training fold numbers from 0 on.
            self.key = random.fold_in(self.source, -1)
            self.updates[id(self.source)] = (self.source, random.fold_in(self.source, -2))
            self.told()
        return self.key is not None

    def _deeper(self, value: Tensor | None = None) -> bool:
        """Whether this is in the body of a loop or the like, which is traced by itself."""
        trace = None if value is None else value._trace
        return state.traces > self.depth or (trace is not None and trace.depth > self.depth)

    def pairs(self) -> list[tuple[Variable, Tensor]]:
        """The updates, in the order in which they were first told."""
        return list(self.updates.values())


class Building(Scope):
    """While a layer is built: what it assigns is what its weights begin with."""

    def assign(self, variable: Variable, value: Tensor) -> None:
        if value.traced:
            raise not_kept(variable, "make the first value of arrays, or of an initializer.")
        variable.put(value)

    def _seeded(self) -> bool:
        self.key = random.key(seeds.fresh()) if self.key is None else self.key
        return True


# Which places of tensors count, by identity; each leaves with its tensor.
_MASKS: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Layers that are called inside tell this scope."""
    scope.depth = state.traces
    state.steps.append(scope)
    try:
        yield scope
    finally:
        state.steps.pop()


def current() -> Scope | None:
    """The scope of the innermost step, if there is one."""
    return state.steps[-1] if state.steps else None  # type: ignore[return-value]  # entered here


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
    if scope is None or not scope._seeded():
        if tracing() and seed is None:
            raise unseeded()
        return random.key(seeds.fresh() if seed is None else seed + seeds.count(seed))
    scope.draws += 1
    assert scope.key is not None
    key = random.fold_in(scope.key, scope.draws)
    return key if seed is None else random.fold_in(random.fold_in(scope.key, 0), seed % 2**31)


def unseeded() -> FanlightError:
    """E-TENSOR-020: random numbers in what is built, or compiled, without a step of training."""
    return FanlightError(
        "E-TENSOR-020",
        "random numbers would be drawn once, and be the same for ever.",
        where=caller(),
        expected="a step of fit, evaluate or predict, which has a key",
        received="a function that is traced or built",
        next="draw where `training` is true, give seed=n for numbers that stay, or make what is "
        "drawn an input.",
    )


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

"""Control flow of examples as control flow of whole batches (vmap.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fanlight.tensor import vmap_rules
from fanlight.tensor.bodies import Flat
from fanlight.tensor.calls import state
from fanlight.tensor.core import Tensor, apply
from fanlight.tensor.vmap import Batch


class Wholes:
    """Functions of examples as functions of wholes, within one batch."""

    def __init__(self, batch: Batch, inside: int) -> None:
        self._batch, self._inside = batch, inside

    def whole(self, x: Tensor) -> Tensor:
        """The batch that a tensor stands for."""
        return self._batch.whole(x)

    def values(self, flat: Sequence[Tensor]) -> list[Tensor]:
        """Wholes of examples; what is the same for every example as it is."""
        return [self.whole(x) if x._trace is self._batch else x for x in flat]

    def examples(self, wholes: Sequence[Tensor]) -> list[Tensor]:
        """What stands for one example each."""
        return [self._batch.example(x) for x in wholes]

    def along(self, x: Tensor) -> Tensor:
        """The whole of something that is cut into slices: they count first."""
        return vmap_rules.moved(self.whole(x), 0, 1)

    def across(self, x: Tensor) -> Tensor:
        """The whole of something that was stacked of slices: examples count first."""
        return vmap_rules.moved(x, 1, 0)

    def _given(self, fn: Flat, examples: Sequence[Tensor]) -> Sequence[Tensor]:
        """fn itself, which tapes inside may hear."""
        now, state.inside = state.inside, self._inside
        try:
            return fn(examples)
        finally:
            state.inside = now

    def function(self, fn: Flat, many: Sequence[bool]) -> Flat:
        """A function of wholes (where `many`; others are made to be); all its results are."""

        def run(parts: Sequence[Tensor]) -> list[Tensor]:
            given = [
                self._batch.example(p if is_many else self.whole(p))
                for p, is_many in zip(parts, many, strict=True)
            ]
            return [self.whole(y) for y in self._given(fn, given)]

        return run

    def asked(self, condition: Flat) -> Flat:
        """Whether any example wants another turn."""

        def run(parts: Sequence[Tensor]) -> list[Tensor]:
            (pred,) = self._given(condition, self.examples(parts))
            if pred._trace is not self._batch:
                return [pred]
            return [apply("any", self.whole(pred), axes=(0,), keepdims=False)]

        return run

    def masked(self, condition: Flat, body: Flat) -> Flat:
        """A turn for those examples that want one; the others keep their state."""

        def run(parts: Sequence[Tensor]) -> list[Tensor]:
            given = self.examples(parts)
            (pred,) = self._given(condition, given)
            made = self._given(body, given)
            if pred._trace is self._batch:
                made = [apply("select", pred, y, x) for y, x in zip(made, given, strict=True)]
            return [self.whole(y) for y in made]

        return run


@contextmanager
def wholes(level: Any) -> Iterator[Wholes]:
    """What is computed meanwhile is the inside of one call."""
    before = state.inside
    state.inside += 1
    try:
        yield Wholes(level, before)
    finally:
        state.inside = before

"""The tape: what was computed from what, and the way back.

Reverse mode (Griewank & Walther 2008, chapter 3): each row's rule turns gradients of results into
gradients of inputs. Rules are made of ops, which outer tapes hear, so gradients have gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.ops import TABLE, lookup
from fanlight.ops.backward import Step
from fanlight.ops.types import TensorType
from fanlight.tensor.caller import function_called
from fanlight.tensor.calls import Call, listening, state
from fanlight.tensor.core import Tensor, apply, caller, tensor

# A choice of whole numbers, or how often a loop turned, moves in jumps as a position does. (What
# fl.scan carries in whole numbers is a counter, mostly, which does not move.)
_JUMPS = ("cond", "while_loop", "checkpoint")
# By the identity of a tensor: it, and the op and line that found what it is made of.
Positions = dict[int, tuple[Tensor, str, str]]


class Tape:
    """Keeps the calls that lead from the watched tensors to others."""

    def __init__(self, watched: Sequence[Tensor]) -> None:
        self.calls: list[Call] = []
        self.reached: dict[int, Tensor] = {id(x): x for x in watched}
        self.read: dict[int, tuple[Tensor, Any]] = {}  # variables, and what they were
        # Whole numbers made of positions in what was reached, and the op and line that found them.
        self.positions: Positions = {}

    def heard(self, call: Call) -> None:
        """Keep a call if a watched tensor, or what came of one, is among its inputs."""
        if any(id(x) in self.reached for x in call.inputs):
            self.calls.append(call)
            for x in call.inputs:
                if x.varies:
                    self.read.setdefault(id(x), (x, x._array))
            # Held, so that no other tensor can get its identity.
            self.reached.update((id(y), y) for y in call.outputs if y.dtype == "float32")
            row = TABLE.get(call.op)
            jumps = call.op in _JUMPS if call.backward else row is not None and row.positions
            if jumps:
                found = (function_called().rpartition(".")[2] or call.op, caller())
                self.positions.update(
                    (id(y), (y, *found)) for y in call.outputs if y.dtype == "int32"
                )
        elif self.positions:
            self._of_positions(call)

    def _of_positions(self, call: Call) -> None:
        """Whole numbers made of positions are positions, too; a float made of one has no slope."""
        # What is taken from a place is no position because of that.
        values = {"gather": slice(1), "gather_nd": slice(1), "scatter_nd": slice(1, 2)}
        for x in call.inputs[values.get(call.op, slice(None))]:
            if id(x) in self.positions:
                _, op, place = self.positions[id(x)]
                break
        else:
            return
        for y in call.outputs:
            if y.dtype == "int32":
                self.positions[id(y)] = (y, op, place)
            elif call.op == "cast" and y.dtype == "float32":
                self.reached[id(y)] = y
                refuse = partial(_no_slope, op, place, y.type)
                self.calls.append(replace(call, backward=refuse))

    def wants(self, x: Tensor) -> bool:
        """Whether x is watched, or came of what is."""
        return id(x) in self.reached

    def pull(
        self, outputs: Sequence[Tensor], grads: Sequence[Tensor], inputs: Sequence[Tensor]
    ) -> list[Tensor]:
        """Gradients of the inputs from those of the outputs; zeros where nothing depends on one.

        Raises:
            FanlightError: E-OP-008 at an op without a gradient.
        """
        for x, before in self.read.values():
            if x._array is not before:
                raise FanlightError(
                    "E-TENSOR-021",
                    "a variable was assigned between a function and its gradient.",
                    where=caller(),
                    expected="the numbers that the function was computed with",
                    received=repr(x)[:100],
                    next="take the gradient first, or give the function fl.clone(v).",
                )
        state.pulls += 1  # variables are what they were when the calls happened
        try:
            return self._pulled(outputs, grads, inputs)
        finally:
            state.pulls -= 1

    def _pulled(
        self, outputs: Sequence[Tensor], grads: Sequence[Tensor], inputs: Sequence[Tensor]
    ) -> list[Tensor]:
        known: dict[int, Any] = {}
        for y, g in zip(outputs, grads, strict=True):
            if id(y) in self.reached:
                known[id(y)] = g if id(y) not in known else apply("add", known[id(y)], g)
        for call in reversed(self.calls):
            given = tuple(known.get(id(y)) for y in call.outputs)
            if all(g is None for g in given):
                continue
            wanted = tuple(id(x) in self.reached for x in call.inputs)
            found = _backward(call, given, wanted)
            for x, g, counts in zip(call.inputs, found, wanted, strict=True):
                if g is not None and counts:
                    before = known.get(id(x))
                    known[id(x)] = g if before is None else apply("add", before, g)
        return [known[id(x)] if id(x) in known else _zeros(x) for x in inputs]


def _backward(call: Call, given: tuple[Any, ...], wanted: tuple[bool, ...]) -> Sequence[Any]:
    if call.backward is not None:
        return call.backward(*given)
    step = Step(call.op, call.inputs, call.outputs, given, call.attrs, wanted, apply, tensor)
    try:
        return lookup(call.op).backward(step)
    except FanlightError as error:
        if error.code == "E-OP-008":
            error.where = f"{call.op}, {caller()}"
        raise


def _no_slope(op: str, place: str, made: TensorType, *_: Any) -> Sequence[Any]:
    raise FanlightError(
        "E-OP-008",
        f"the positions that {op} finds have no gradient: what is made of them moves in jumps.",
        where=f"{op}, {place}",
        expected="ops with a gradient between the result and what it is derived after",
        received=f"{op}, whose whole numbers were cast to {made}",
        next="use fl.stop_gradient around the cast where it counts as a constant; a softmax times "
        "the places is an arg_max with a slope.",
    )


def _zeros(x: Tensor) -> Tensor:
    return tensor(np.zeros(x.shape, np.float32))


def positions_heard() -> Positions:
    """The positions that tapes which listen have heard of."""
    found: Positions = {}
    for listener in state.listeners:
        found |= getattr(listener, "positions", {})
    return found


def renamed(known: Positions, before: Sequence[Tensor], now: Sequence[Tensor]) -> Positions:
    """Positions, also under the tensors that stand for some of them now."""
    found = dict(known)
    for old, new in zip(before, now, strict=True):
        if id(old) in known:
            found[id(new)] = (new, *known[id(old)][1:])
    return found


@contextmanager
def recording(watched: Sequence[Tensor], positions: Positions | None = None) -> Iterator[Tape]:
    """A tape that hears what is computed from `watched`, and knows of these positions."""
    tape = Tape(watched)
    tape.positions.update(positions or {})
    with listening(tape):
        yield tape


# --- structures: tensors in tuples, lists and dicts -----------------------------------------------


def sorted_keys(value: Mapping[Any, Any]) -> list[Any]:
    """The keys of a dict in the order in which its parts count: sorted, and by their types where
    these cannot be compared.
    """
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=lambda key: (type(key).__qualname__, str(key)))


def flatten(value: Any) -> tuple[list[Tensor], Any]:
    """The tensors of a structure in order, and what `unflatten` needs to put others there.

    Those of a dict are in the order of its sorted keys, as Keras and JAX have them; `unflatten`
    makes a dict with the keys in their own order. None is a structure without tensors.
    """
    if isinstance(value, Mapping):
        inner = {key: flatten(value[key]) for key in sorted_keys(value)}
        forms = [inner[key][1] for key in value]
        return [t for ts, _ in inner.values() for t in ts], (dict, list(value), forms)
    if isinstance(value, list | tuple):
        parts = [flatten(v) for v in value]
        return [t for ts, _ in parts for t in ts], (type(value), None, [s for _, s in parts])
    if value is None:
        return [], (type(None), None, [])
    x = tensor(value)
    if x.dtype == COMPLEX:
        # Two tensors, of which `_rebuilt` makes one again.
        return [*x.parts], (type(x), None, [None, None])  # type: ignore[attr-defined]
    return [x], None


def unflatten(tensors: Sequence[Any], form: Any) -> Any:
    """A structure like the one that was flattened."""
    return _rebuilt(iter(tensors), form)


def _rebuilt(tensors: Iterator[Any], form: Any) -> Any:
    if form is None:
        return next(tensors)
    kind, keys, forms = form
    if kind is type(None):
        return None
    if kind is dict:
        inner = dict(zip(keys, forms, strict=True))
        found = {key: _rebuilt(tensors, inner[key]) for key in sorted_keys(inner)}
        return {key: found[key] for key in keys}
    made = [_rebuilt(tensors, f) for f in forms]
    if hasattr(kind, "_fields"):
        return kind(*made)
    return made if kind is list else tuple(made)

"""Calls of ops: who is told of them, and which level takes them. The state of the room is here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from fanlight.errors import FanlightError
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType
from fanlight.tensor.caller import caller

if TYPE_CHECKING:
    from fanlight.tensor.core import Tensor


class Level(Protocol):
    """What gives ops another meaning than to compute at once: a trace, or a batch (vmap.py).

    Attributes:
        depth: of two that meet in a call, the deeper one takes it.
        open: whether its function is still running.
    """

    depth: int
    open: bool

    def apply(
        self, op: str, inputs: Sequence[Tensor], attrs: dict[str, Any]
    ) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        """The results of a call with a tensor of this level, and its complete attributes."""

    def alias(self, x: Tensor) -> Tensor:
        """A tensor of its own with the same numbers."""

    def told(self, call: Call) -> None:
        """A call with a gradient of its own has happened to a tensor of this level."""


def check_open(x: Tensor, level: Level) -> None:
    """E-TENSOR-004 unless a tensor belongs to a level whose function is still running."""
    if x._trace is not level or not level.open:
        raise FanlightError(
            "E-TENSOR-004",
            "a tensor of another traced function was used.",
            where=caller(),
            expected="inputs of this function, and what was computed from them",
            received=str(x._type),
            next="return it from the function that it belongs to.",
        )


class Watcher(Protocol):
    """What is told of every call and how long it took: a profiler (watch.py)."""

    def saw(self, call: Call, seconds: float) -> None:
        """A call has happened."""


class Listener(Protocol):
    """What is told of every call: a tape."""

    def heard(self, call: Call) -> None:
        """A call has happened."""

    def wants(self, x: Tensor) -> bool:
        """Whether it cares for what is computed from a tensor."""


@dataclass(frozen=True)
class Call:
    """One application of an op to tensors; or of something with a gradient of its own.

    Attributes:
        backward: where it is not None, what turns the gradients of the outputs into those of the
            inputs, instead of the op's row.
    """

    op: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    backward: Callable[..., Sequence[Any]] | None = None


class Step(Protocol):
    """A step of a model that goes on: layers/scope.py.

    Attributes:
        assigned: what variables were assigned in it, by their identity: they change when it ends.
    """

    assigned: dict[int, Tensor]

    def draw(self) -> Tensor | None:
        """A key for random numbers; None where nothing seeds any."""

    def assign(self, variable: Any, value: Tensor) -> None:
        """A variable is assigned a value."""


class _State(threading.local):
    """What goes on in a thread: with `shared`, the only global state of the room."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.watchers: list[Watcher] = []
        # Of fl.tidy: what was made in each, and leaves with its last name.
        self.scopes: list[set[ref[Tensor]]] = []
        self.steps: list[Step] = []  # the last of them goes on
        self.pulls = 0  # of gradients: what was computed stays as it was
        self.traces = 0  # functions that are being traced
        # Of those, the one that is compiled: variables are inputs of it, and have no numbers.
        self.compiling: Any = None
        self.inside = 0  # calls within the making of another call
        # While functions are traced at several sizes: the user's line of each node, by node.
        self.places: dict[Any, str] | None = None


@dataclass
class _Shared:
    """What all threads have in common."""

    # What computes eager ops instead of NumPy: (op, types, complete attributes) -> how.
    backend: Callable[[str, Sequence[TensorType], dict[str, Any]], rows.Run] | None = None
    # Of every tensor with numbers; each leaves with its tensor. (They hash by identity, and no two
    # that live have the same hash, so that == of tensors, which is an op, is never asked.)
    alive: set[ref[Tensor]] = field(default_factory=set)


state = _State()
shared = _Shared()


def deepest(inputs: Sequence[Tensor]) -> Level | None:
    """The level that takes a call with these inputs; None: it is computed at once."""
    level = None
    for x in inputs:
        if x._trace is not None and (level is None or x._trace.depth > level.depth):
            level = x._trace
    return level


def watch(call: Call, seconds: float) -> None:
    """Let every watcher see a call."""
    for watcher in tuple(state.watchers):
        watcher.saw(call, seconds)


def op_by_op() -> bool:
    """Whether somebody has to see every op, compiled or not."""
    return any(getattr(watcher, "eager", False) for watcher in state.watchers)


def tell(call: Call) -> None:
    """Let every listener hear a call."""
    if call.backward is not None:
        level = deepest(call.inputs)
        if level is not None:
            level.told(call)
    for listener in tuple(state.listeners):
        listener.heard(call)


def newest(x: Tensor) -> Tensor:
    """What a variable was assigned in the step that goes on; x itself where it was not."""
    if not state.steps or state.pulls:
        return x
    return state.steps[-1].assigned.get(id(x), x)


def tracing() -> bool:
    """Whether a function is being traced."""
    return state.traces > 0


def listened() -> bool:
    """Whether anybody is told of calls."""
    return bool(state.listeners)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener of every call."""
    state.listeners.append(listener)
    try:
        yield
    finally:
        state.listeners.remove(listener)


@contextmanager
def unheard() -> Iterator[None]:
    """Nobody is told of calls."""
    kept, state.listeners = state.listeners, []
    try:
        yield
    finally:
        state.listeners = kept

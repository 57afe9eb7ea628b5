"""Programs that keep variables in their memory: training steps, and what is computed beside them.

Variables live in one WebAssembly memory while programs change them there, and come back when
somebody reads them: a step copies its batch in and a few numbers out, and no weight.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.codegen.plan import PAGE, SLACK, WEIGHTS_OFFSET
from fanlight.codegen.state import State, lay_out
from fanlight.jit import Assembled, assemble, place_in
from fanlight.ops.types import TensorType
from fanlight.targets import TARGETS
from fanlight.tensor import Tensor
from fanlight.tensor.calls import state as tracing_state
from fanlight.tensor.calls import unheard
from fanlight.tensor.trace import capture
from fanlight.tensor.variables import Variable, not_kept

# Results of a step, and the variables that it changes with their new values.
Made = tuple[Sequence[Tensor], Sequence[tuple[Variable, Tensor]]]


class Kept:
    """Variables in a memory, and the programs that compute with them there.

    Args:
        variables: those that have a place in it. A program may read others; they are copied in at
            every call.
        threads: how many compute, at most; fewer give the same numbers.
    """

    def __init__(self, variables: Sequence[Variable], threads: int = 1) -> None:
        from fanlight.hosts.wasmtime import room

        self._lock = threading.Lock()
        own = {f"v{i}": v for i, v in enumerate({id(v): v for v in variables}.values())}
        places, self._end = lay_out({n: v.type for n, v in own.items()}, WEIGHTS_OFFSET)
        self._places = {id(v): (v, places[name]) for name, v in own.items()}
        self.threads = threads
        self._room = room(-(-(self._end + SLACK) // PAGE), threads)
        self._put: dict[int, np.ndarray] = {}  # what each variable was when it was written last
        self.loaded: Program | None = None  # whose constants are in the memory

    def compile(
        self,
        fn: Callable[[Sequence[Tensor]], Made],
        types: Sequence[TensorType],
        name: str,
        memory: int | None = None,
    ) -> Program:
        """The program of a function of tensors, traced once.

        Args:
            memory: a budget in bytes for what is not kept.

        Raises:
            FanlightError: as `fl.jit`; E-TRAIN-006 it cannot keep to the budget.
        """
        read: list[Tensor] = []
        updated: list[Variable] = []
        count = 0

        def named(parts: Sequence[Tensor]) -> dict[str, Tensor]:
            nonlocal count
            results, updates = fn(parts)
            count = len(results)
            outputs = {f"output_{i}": y for i, y in enumerate(results)}
            for i, (v, new) in enumerate(updates):
                tracing_state.compiling.value(v)  # an input, in any case
                updated.append(v)
                outputs[f"update_{i}"] = new
            return outputs

        names = [f"input_{i}" for i in range(len(types))]
        with unheard():
            graph = capture(named, names, types, name, variables=read)
        of = dict(zip(map(id, read), [v.name for v in graph.inputs[len(types) :]], strict=True))
        lost = [v for v in updated if id(v) not in self._places]
        if lost:
            raise not_kept(lost[0], "make it by add_weight of a layer that is part of the model.")
        places = {of[i]: at for i, (_, at) in self._places.items() if i in of}
        updates = {f"update_{i}": of[id(v)] for i, v in enumerate(updated)}
        state = State(places, updates, self._end)
        made = assemble(graph, TARGETS[0], state, threads=self.threads, memory=memory)
        return Program(self, made, read, updated, count)

    def load(self, made: Assembled) -> Callable[[], None]:
        """A module of a program, ready to run."""
        self.loaded = None
        return self._room.load(made.code, made.pages, **made.team)

    def bytes(self) -> np.ndarray:
        """The memory, until the next `load`."""
        return self._room.bytes()

    def holds(self, v: Tensor) -> bool:
        """Whether a variable has its place here."""
        return id(v) in self._places

    def write(self, v: Variable) -> None:
        """Bring the numbers of a variable here, if they are not."""
        if v.here is None and v.away is not self:
            v.numpy()  # from the memory of others
        array = v.here
        if array is not None and self._put.get(id(v)) is not array:
            self._place(v)[...] = array
            self._put[id(v)] = array

    def read(self, v: Variable) -> np.ndarray:
        """A copy of the numbers that a variable has here."""
        with self._lock:
            array = self._place(v).copy()
            self._put[id(v)] = array
            return array

    def _place(self, v: Variable) -> np.ndarray:
        return place_in(self.bytes(), self._places[id(v)][1], v.type)


class Program:
    """One function, compiled, that reads and changes variables."""

    def __init__(
        self,
        home: Kept,
        made: Assembled,
        read: Sequence[Tensor],
        updated: Sequence[Variable],
        count: int,
    ) -> None:
        self._home, self._made, self._count = home, made, count
        self.threads = made.team["threads"]
        self._once = home.load(made)
        self._read = [(v, home.holds(v)) for v in read]
        self._updated = list(updated)
        self._views: tuple[Any, list[Any], list[Any]] | None = None

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The results, each in memory of its own. Variables that changed have their new values."""
        home = self._home
        with home._lock:
            inputs, outputs = self._views_of()
            if home.loaded is not self:
                image = np.frombuffer(self._made.image, np.uint8)
                start = self._made.image_at
                home.bytes()[start : start + image.size] = image
                home.loaded = self
            for v, held in self._read:
                if held:
                    home.write(v)  # type: ignore[arg-type]
            given = [*arrays, *[v.numpy() for v, held in self._read if not held]]
            for place, array in zip(inputs, given, strict=True):
                if place is not None:
                    place[...] = array
            # First, as an interrupt may come between any two lines: all of a step, or nothing.
            for v in self._updated:
                v.changed_in(home)
            self._once()
            return [place.copy() for place in outputs]

    def _views_of(self) -> tuple[list[Any], list[Any]]:
        """Where inputs and outputs lie, made again when the memory has moved."""
        memory = self._home.bytes()
        key = (memory.ctypes.data, memory.size)
        if self._views is None or self._views[0] != key:
            made = self._made
            kept = {id(v) for v, held in self._read if held}
            asked = [True] * (len(made.inputs) - len(self._read))
            asked += [id(v) not in kept for v, _ in self._read]
            inputs = [
                None if at is None else place_in(memory, at, type)
                for (at, type), own in zip(made.inputs, asked, strict=True)
                if own
            ]
            outputs = [place_in(memory, at, type) for at, type in made.outputs[: self._count]]
            self._views = (key, inputs, outputs)
        return self._views[1], self._views[2]

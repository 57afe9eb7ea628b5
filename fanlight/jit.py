"""fl.jit: a function of tensors, traced once per shape and run as WebAssembly."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from time import perf_counter
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.codegen.plan import MAX_PAGES, WEIGHTS_OFFSET, Plan, make_plan
from fanlight.codegen.state import NOTHING, State, in_order
from fanlight.codegen.walk import CONTROL, emit, saved_by
from fanlight.errors import FanlightError
from fanlight.graph import Graph
from fanlight.ops.types import TensorType
from fanlight.passes import alive, optimize, within
from fanlight.targets import TARGETS, Target
from fanlight.tensor import Tensor, tensor
from fanlight.tensor.arguments import function_of
from fanlight.tensor.caller import caller
from fanlight.tensor.calls import Call, listened, op_by_op, state, tracing, unheard, watch
from fanlight.tensor.core import name_of
from fanlight.tensor.tape import flatten, unflatten
from fanlight.tensor.trace import capture

MOST = 64  # shapes that a function stays compiled for


def jit(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, compiled: traced when it meets shapes and dtypes for the first time.

    Args:
        fn: takes and gives tensors, or tuples, lists and dicts of them. Python runs only while it
            is traced: loops are unrolled. What depends on numbers is written with `fl.where`,
            `fl.cond`, `fl.while_loop` and `fl.scan`.
            Tensors that it takes from outside its arguments are constants from the first call on;
            variables are read at every call.

    A gradient through a compiled function is taken through `fn` itself; compile the gradient:
    `fl.jit(fl.grad(fn))`.

    Raises:
        FanlightError: when called: E-TENSOR-003 fn asks for numbers; E-TENSOR-021 it
            assigns a variable; E-BUILD-001 no kernel computes one of its ops;
            E-HOST-001 wasmtime is not installed.
    """
    function_of("jit", "fn", fn)
    known: dict[Any, _Compiled | None] = {}

    @wraps(fn)
    def compiled(*args: Any, **options: Any) -> Any:
        if listened() or tracing() or op_by_op():
            return fn(*args, **options)
        plain = not options and all(type(x) is Tensor for x in args)
        flat, form = (args, None) if plain else flatten((args, options))
        types = tuple([x.type for x in flat])
        key = (None if plain else _hashable(form), types)
        if key not in known:
            if len(known) >= MOST:  # each holds a memory: the oldest one goes
                known.pop(next(iter(known)), None)
            known[key] = _compile(fn, types, flatten((args, options))[1])
        found = known.get(key)
        if found is None:
            return fn(*args, **options)  # of no elements
        start = perf_counter() if state.watchers else 0.0
        given = (*flat, *found.variables) if found.variables else flat
        outputs = [tensor(a) for a in found.program.run([x.numpy() for x in given])]
        if state.watchers:
            call = Call(f"jit {name_of(fn)}", tuple(flat), tuple(outputs))
            watch(call, perf_counter() - start)
        return unflatten(outputs, found.result)

    return compiled


def _hashable(form: Any) -> Any:
    """The structure of arguments as a key."""
    if form is None:
        return None
    kind, keys, forms = form
    return kind, None if keys is None else tuple(keys), tuple(map(_hashable, forms))


@dataclass(frozen=True)
class _Compiled:
    """A program, the variables that it takes beside its inputs, and the form of its results."""

    program: Program
    variables: tuple[Tensor, ...]
    result: Any


def _compile(fn: Callable[..., Any], types: Any, form: Any) -> _Compiled | None:
    """None where inputs or results are empty."""
    result: Any = None
    variables: list[Tensor] = []

    def flattened(parts: Any) -> dict[str, Tensor]:
        nonlocal result
        args, options = unflatten(parts, form)
        outputs, result = flatten(fn(*args, **options))
        if not outputs:
            raise FanlightError(
                "E-TENSOR-006",
                "a function that is compiled gives nothing back.",
                where=f"{name_of(fn)}, {caller()}",
                expected="a tensor, or a dict, list or tuple of tensors",
                received=repr(unflatten([], result))[:100],
                next="return what it computes.",
            )
        return {f"output_{i}": x for i, x in enumerate(outputs)}

    names = [f"input_{i}" for i in range(len(types))]
    with unheard():
        graph = capture(flattened, names, types, name_of(fn), variables=variables)
    try:
        return _Compiled(Program(graph), tuple(variables), result)
    except FanlightError as error:
        if error.code == "E-BUILD-010":
            return None
        raise


@dataclass(frozen=True)
class Assembled:
    """A graph as a module, and how its memory is used.

    Attributes:
        code: the module; it imports its memory and exports `once`.
        pages: how large the memory is.
        image: what lies at WEIGHTS_OFFSET before the first run.
        inputs: where each input lies, None where nothing reads it; and its type.
        outputs: where each output lies.
        image_at: where the image begins.
        team: what a memory of several threads wants to know: see `SharedRoom.load`.
    """

    code: bytes
    pages: int
    image: bytes
    inputs: tuple[tuple[int | None, TensorType], ...]
    outputs: tuple[tuple[int, TensorType], ...]
    image_at: int = WEIGHTS_OFFSET
    team: Mapping[str, int] = field(default_factory=dict)


def assemble(
    graph: Graph,
    target: Target,
    state: State = NOTHING,
    *,
    threads: int = 1,
    memory: int | None = None,
) -> Assembled:
    """What a page would run of a graph, in one module; of the image, what is not kept.

    Args:
        threads: how many may compute it, on a memory that grows; they do where that is faster.
        memory: a budget for its values in bytes: see `fitted`.
    """
    alone = replace(target, threads=False)
    legal = optimize(graph, alone)
    plan = fitted(legal, lambda g: make_plan(g, (alone,), state=state), state, memory)
    maximum = None
    if threads > 1:
        maximum = MAX_PAGES
        if saved_by(threads, plan) > 0:
            alone = replace(alone, threads=True)
            plan = replace(plan, targets=(alone,))
    image = plan.weight_image()[plan.weights_at - WEIGHTS_OFFSET :]
    code = emit(plan, alone, once=True, maximum=maximum)
    team = {
        "flags": code.memory_flags,
        "control": CONTROL,
        "steps": len(plan.steps),
        "threads": threads if alone.threads else 1,
    }
    return Assembled(
        code.data,
        plan.pages,
        image.tobytes(),
        tuple((plan.offsets.get(v), v.type) for v in plan.graph.inputs),
        tuple((plan.offsets[v], v.type) for _, v in plan.graph.outputs),
        plan.weights_at,
        team,
    )


def fitted(
    graph: Graph, plan_of: Callable[[Graph], Plan], state: State, memory: int | None
) -> Plan:
    """The plan of a graph, or of one that computes the same in less memory.

    Args:
        memory: bytes that its arena may have: all that lies in memory beside weights and what is
            kept. None: whatever it needs.

    Raises:
        FanlightError: E-TRAIN-006 it needs more, whatever is computed again.
    """
    least = first = plan_of(graph)
    if memory is None or first.arena_bytes <= memory:
        return first
    ordered = in_order(graph, state)
    aim = memory
    for _ in range(5):  # scratch memory and gaps between buffers come on top of what is alive
        found = within(ordered, aim, state.places, state.updates)
        plan = plan_of(found)
        if plan.arena_bytes < least.arena_bytes:
            least = plan
        if least.arena_bytes <= memory:
            return least
        reached = alive(found, state.places, state.updates)
        if reached > aim:
            break
        aim = reached - max(plan.arena_bytes - memory, memory // 32)
    raise FanlightError(
        "E-TRAIN-006",
        f"a step of training needs {_size(least.arena_bytes - memory)} more than it may take.",
        where=graph.name,
        expected=f"at most {_size(memory)} for activations and gradients",
        received=f"{_size(least.arena_bytes)} with all computed again that helps; "
        f"{_size(first.arena_bytes)} without",
        next=f'memory="{_size(least.arena_bytes)}", or a smaller batch.',
    )


def _size(count: int) -> str:
    """Bytes for readers, rounded up."""
    unit, name = (1e6, "MB") if count >= 1e6 else (1e3, "kB")
    return f"{math.ceil(count * 10 / unit) / 10} {name}"


class Program:
    """A graph as WebAssembly in a memory of its own."""

    def __init__(self, graph: Graph, target: Target | None = None) -> None:
        from fanlight.hosts.wasmtime import Alone

        self._lock = threading.Lock()
        made = assemble(graph, target or TARGETS[0])
        self._instance = Alone(made.code, made.pages)
        assert self._instance.once is not None  # it was emitted
        self._once = self._instance.once
        memory = self._instance.bytes()
        image = np.frombuffer(made.image, np.uint8)
        memory[WEIGHTS_OFFSET : WEIGHTS_OFFSET + image.size] = image
        self._inputs = [
            None if offset is None else place_in(memory, offset, type)
            for offset, type in made.inputs
        ]
        self._outputs = [place_in(memory, offset, type) for offset, type in made.outputs]

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs, each in memory of its own."""
        with self._lock:  # one memory, one call at a time
            for place, array in zip(self._inputs, arrays, strict=True):
                if place is not None:
                    place[...] = array
            self._once()
            return [place.copy() for place in self._outputs]


def place_in(memory: np.ndarray, offset: int, type: TensorType) -> np.ndarray:
    """Where a value lies, as an array."""
    part = memory[offset : offset + type.nbytes]
    return part.view(dtypes.to_numpy(type.dtype)).reshape(type.bound)

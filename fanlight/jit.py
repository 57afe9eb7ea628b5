"""fl.jit: a function of tensors, traced once per shape and run as WebAssembly."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.built import targets_of
from fanlight.codegen.plan import WEIGHTS_OFFSET, make_plan
from fanlight.codegen.walk import emit
from fanlight.graph import Graph
from fanlight.passes import optimize
from fanlight.tensor import Tensor, tensor
from fanlight.tensor.core import listened, name_of, tracing, unheard
from fanlight.tensor.tape import flatten, unflatten
from fanlight.tensor.trace import capture

MOST = 64  # shapes that a function stays compiled for


def jit(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, compiled: traced when it meets shapes and dtypes for the first time.

    Args:
        fn: takes and gives tensors, or tuples, lists and dicts of them. Python runs only while it
            is traced: loops are unrolled, and what depends on numbers is written with `fl.where`.
            Tensors that it takes from outside its arguments are constants from the first call on.

    A gradient through a compiled function is taken through `fn` itself; compile the gradient:
    `fl.jit(fl.grad(fn))`.

    Raises:
        FanlightError: when called: E-TENSOR-003 fn asks for numbers; E-TENSOR-021 it reads or
            assigns a variable that is no argument; E-BUILD-001 no kernel computes one of its ops;
            E-HOST-001 wasmtime is not installed.
    """
    known: dict[Any, tuple[_Program, Any]] = {}

    @wraps(fn)
    def compiled(*args: Any, **options: Any) -> Any:
        flat, form = flatten((args, options))
        if listened() or tracing():
            return fn(*args, **options)
        types = tuple(x.type for x in flat)
        key = (repr(form), types)
        found = known.get(key)
        if found is None:
            if len(known) >= MOST:  # each holds a memory: the oldest one goes
                known.pop(next(iter(known)))
            found = known[key] = _compile(fn, types, form)
        program, result = found
        return unflatten([tensor(a) for a in program.run([x.numpy() for x in flat])], result)

    return compiled


def _compile(fn: Callable[..., Any], types: Any, form: Any) -> tuple[_Program, Any]:
    result: Any = None

    def flattened(parts: Any) -> dict[str, Tensor]:
        nonlocal result
        args, options = unflatten(parts, form)
        outputs, result = flatten(fn(*args, **options))
        return {f"output_{i}": x for i, x in enumerate(outputs)}

    names = [f"input_{i}" for i in range(len(types))]
    with unheard():
        graph = capture(flattened, names, types, name_of(fn), keeps=False)
    return _Program(graph), result


class _Program:
    """A graph as WebAssembly in a memory of its own."""

    def __init__(self, graph: Graph) -> None:
        from fanlight.hosts.wasmtime import Alone

        target = targets_of()[0]
        plan = make_plan(optimize(graph, target), (target,))
        self._instance = Alone(emit(plan, target).data, plan.pages)
        self._steps = len(plan.steps)
        image = plan.weight_image()
        memory = self._instance.bytes()
        memory[WEIGHTS_OFFSET : WEIGHTS_OFFSET + len(image)] = np.frombuffer(image, np.uint8)
        self._inputs = [plan.offsets.get(v) for v in plan.graph.inputs]
        self._outputs = [
            (plan.offsets[v], v.type.nbytes, dtypes.to_numpy(v.dtype), v.type.bound)
            for _, v in plan.graph.outputs
        ]

    def run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs, each in memory of its own."""
        memory = self._instance.bytes()
        for offset, array in zip(self._inputs, arrays, strict=True):
            if offset is not None and array.size:
                data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
                memory[offset : offset + data.size] = data
        self._instance.run(0, self._steps)
        return [
            memory[offset : offset + size].copy().view(dtype).reshape(shape)
            for offset, size, dtype, shape in self._outputs
        ]

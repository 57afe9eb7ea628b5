"""A jaxpr on its way into a graph: its equations in order, each turned into ops.

Nothing of JAX is imported here: jaxprs are what the user's own JAX made, known by their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.jaxpr import complex as complexes
from fanlight.formats.jaxpr.call import HANDLERS, Call, Exact, Held, graph_dtype, plain
from fanlight.formats.jaxpr.complex import is_complex
from fanlight.formats.pairs import Pair
from fanlight.graph import Builder, Value
from fanlight.graph.subgraph import Subgraph
from fanlight.ops.types import TensorType

# Primitives that call a jaxpr, which is read as if it were written in their place.
_CALLS = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr", "remat": "jaxpr", "remat2": "jaxpr",
    "checkpoint": "jaxpr", "custom_lin": "jaxpr", "run_state": "jaxpr",
}  # fmt: skip
_FIELDS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
# Sub-graphs get small known arrays as they are; larger ones stay weights of the whole graph.
SMALL = 16
# What is folded by JAX stays within what the emitter folds.
_FOLD_BYTES = 1 << 26
_MOST_NESTED = 64


def opened(jaxpr: Any) -> tuple[Any, list[Any]]:
    """A jaxpr and its constants; an open jaxpr has none."""
    inner = getattr(jaxpr, "consts", None)
    return (jaxpr, []) if inner is None else (jaxpr.jaxpr, list(inner))


def inner_jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among the parameters of a primitive."""
    for key, value in params.items():
        # How a scatter or a window puts two numbers together is no call.
        if key in ("update_jaxpr", "jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd"):
            continue
        for part in value if isinstance(value, list | tuple) else (value,):
            if hasattr(part, "eqns"):
                yield part


def used_equations(jaxpr: Any) -> list[Any]:
    """The equations that results depend on, in order."""
    needed = {id(v) for v in jaxpr.outvars}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if any(id(v) in needed for v in equation.outvars):
            needed.update(id(v) for v in equation.invars)
            kept.append(equation)
    return kept[::-1]


def call_of(equation: Any) -> Any:
    """The jaxpr that an equation calls; None if it is no call."""
    field = _CALLS.get(equation.primitive.name)
    if field is None:
        return None
    found = equation.params.get(field)
    if found is None:
        found = next((equation.params[f] for f in _FIELDS if f in equation.params), None)
    return found


def place_of(equation: Any) -> str:
    """Where in the user's code an equation comes from; empty if JAX does not tell."""
    with suppress(Exception):
        util = import_module("jax._src.source_info_util")
        return str(util.summarize(equation.source_info))
    return ""


def label_of(equation: Any) -> str:
    """A name for what an equation makes: the modules that it is in, and its primitive."""
    stack = str(getattr(equation.source_info, "name_stack", "") or "")
    name = equation.primitive.name.replace("-", "_")
    return f"{stack[:200]}/{name}" if stack else name


class Scope:
    """What runs jaxprs into one emitter."""

    def __init__(self, em: Emitter, warnings: list[str], depth: int = 0) -> None:
        self.em, self.warnings, self.depth = em, warnings, depth

    def run(self, jaxpr: Any, given: Sequence[Held]) -> list[Held]:
        """The results of a jaxpr on some inputs."""
        if self.depth > _MOST_NESTED:
            raise FanlightError(
                "E-FORMAT-004",
                "functions are nested deeper than in any real model.",
                where="the jaxpr",
                expected=f"at most {_MOST_NESTED} deep",
                received="more",
            )
        body, consts = opened(jaxpr)
        env: dict[int, Held] = {}
        for variable, const in zip(body.constvars, consts, strict=True):
            env[id(variable)] = self.known(const, variable.aval)
        env.update((id(v), x) for v, x in zip(body.invars, given, strict=True))

        def read(variable: Any) -> Held:
            if hasattr(variable, "val"):
                return self.known(variable.val, variable.aval)
            return env[id(variable)]

        for equation in used_equations(body):
            made = self.equation(equation, [read(v) for v in equation.invars])
            env.update((id(v), x) for v, x in zip(equation.outvars, made, strict=True))
        return [read(v) for v in body.outvars]

    def known(self, array: Any, aval: Any) -> Held:
        """A constant of a jaxpr: as graphs hold it, or Exact where they do not."""
        dtype = graph_dtype(aval)
        if dtype is None or str(aval.dtype) in ("uint32", "uint64"):
            return Exact(array if hasattr(array, "dtype") else np.asarray(array, aval.dtype))
        narrow = np.asarray(array).astype(np.dtype(dtype))
        return self.em.const(narrow.item(), dtype) if narrow.ndim == 0 else narrow

    def equation(self, equation: Any, inputs: list[Held]) -> list[Held]:
        called = call_of(equation)
        if called is not None:
            inner = Scope(self.em, self.warnings, self.depth + 1)
            # A primitive with more inputs than its jaxpr has would have its own meaning of them.
            return inner.run(called, inputs[-len(opened(called)[0].invars) :] if inputs else [])
        name = equation.primitive.name
        folds = not any(isinstance(x, Value | Pair) for x in inputs)
        if folds and self._by_jax(equation):
            return self._folded(equation, inputs)
        handler = HANDLERS.get(name)
        label, place = label_of(equation), place_of(equation)
        dtypes = [COMPLEX if is_complex(v.aval) else graph_dtype(v.aval) for v in equation.outvars]
        in_pairs = COMPLEX in dtypes or any(is_complex(v.aval) for v in equation.invars)
        if handler is None or None in dtypes:
            keys = any(str(v.aval.dtype).startswith("key") for v in equation.invars)
            random = keys or name.startswith(("random_", "threefry"))
            raise FanlightError(
                "E-FORMAT-012" if random or handler else "E-FORMAT-013",
                "random numbers of a key that is not known when tracing."
                if random
                else f"the primitive {name} makes what graphs do not hold."
                if handler
                else f"the primitive {name} is known only where its inputs are.",
                where=f"{label} ({name}, {place})",
                expected="a key that is known at import, such as jax.random.key(0)"
                if random
                else "floats, whole numbers or bool",
                received=", ".join(str(v.aval) for v in equation.invars)[:200],
                next="trace the function as it is for inference: without dropout or sampling."
                if random
                else None,
            )
        call = Call(
            name,
            label,
            place,
            self.em,
            list(inputs),
            [v.aval for v in equation.invars],
            dict(equation.params),
            [tuple(v.aval.shape) for v in equation.outvars],
            [d or "" for d in dtypes],
            self,
        )
        try:
            made: Any = complexes.imported(call) if in_pairs else handler(call)
        except FanlightError as error:
            if error.code.startswith(("E-OP-", "E-TENSOR-")):
                error.where = f"{call.where}: {error.where}"
            raise
        results = list(made) if isinstance(made, list | tuple) else [made]
        return [self._checked(call, x, i) for i, x in enumerate(results)]

    def _checked(self, call: Call, x: Held, index: int) -> Held:
        """A result in the dtype that JAX says; E-FORMAT-016 for another shape."""
        if isinstance(x, Exact):
            return x
        if not isinstance(x, Pair) and dtype_of(x) != call.dtypes[index]:
            x = call.cast(x, call.dtypes[index])
        if tuple(x.shape) != call.shapes[index]:
            raise FanlightError(
                "E-FORMAT-016",
                "a result has not the shape that JAX says.",
                where=call.where,
                expected=list(call.shapes[index]),
                received=list(x.shape),
                next="please report it with the function.",
            )
        return x

    # --- what is known ----------------------------------------------------------------------------

    def _by_jax(self, equation: Any) -> bool:
        """Whether JAX itself computes a known equation: where our ops lack its dtypes or it."""
        if equation.primitive.name not in HANDLERS or equation.primitive.name == "while":
            return True
        types = [str(v.aval.dtype) for v in (*equation.invars, *equation.outvars)]
        return any(t in ("uint32", "uint64") or t not in _PLAIN for t in types)

    def _folded(self, equation: Any, inputs: list[Held]) -> list[Held]:
        size = sum(int(np.prod(v.aval.shape)) * 8 for v in equation.outvars)
        if size > _FOLD_BYTES:
            raise FanlightError(
                "E-FORMAT-023",
                "a constant that the function computes is larger than a model's are.",
                where=label_of(equation),
                expected=f"at most {_FOLD_BYTES:,} bytes",
                received=size,
            )
        numpy = import_module("jax.numpy")
        arrays = [
            x.array if isinstance(x, Exact) else numpy.asarray(x, v.aval.dtype)
            for x, v in zip(inputs, equation.invars, strict=True)
        ]
        made = equation.primitive.bind(*arrays, **equation.params)
        results = list(made) if equation.primitive.multiple_results else [made]
        return [self.known(x, v.aval) for x, v in zip(results, equation.outvars, strict=True)]

    # --- sub-graphs -------------------------------------------------------------------------------

    def body(
        self, name: str, types: Sequence[TensorType], run: Callable[[Scope, list[Value]], Any]
    ) -> Subgraph:
        """A graph of its own: run(scope, inputs) gives its results."""
        builder = Builder(name)
        inner = Scope(Emitter(builder, budget=self.em.budget), self.warnings, self.depth + 1)
        inputs = [builder.input(f"x{i}", t.shape, t.dtype) for i, t in enumerate(types)]
        outputs: dict[str, Value] = {}
        for i, x in enumerate(run(inner, inputs)):
            value = inner.em.value(x)
            # A sub-graph gives neither an input, a weight nor anything twice: a copy of it.
            if isinstance(x, np.ndarray) or value in inputs or value in outputs.values():
                copy = builder.add("reshape", value, name=f"copy{i}", shape=value.type.shape)
                assert isinstance(copy, Value)
                value = copy
            outputs[f"y{i}"] = value
        return Subgraph(builder.finish(outputs))

    def tensor(self, held: Held, where: str) -> Tensor:
        """What is held as a tensor; E-FORMAT-008 for what no graph holds."""
        tensor = None if isinstance(held, Pair) else plain(held)
        if tensor is None:
            raise FanlightError(
                "E-FORMAT-008",
                "a value has a dtype that browsers lack.",
                where=where,
                expected="floats, whole numbers of 32 bits, uint8 or bool",
                received=str(held.array.dtype) if isinstance(held, Exact) else "complex numbers",
                next="random keys and 64 bits must be known when tracing; complex numbers go into "
                "loops and branches as their real and imaginary parts.",
            )
        made: Tensor = tensor
        return made


_PLAIN = (
    "float32", "float64", "float16", "bfloat16", "int32", "int64", "int16", "int8", "uint16",
    "uint8", "bool",
)  # fmt: skip


def unsupported(jaxpr: Any, varies: Sequence[bool]) -> dict[str, list[str]]:
    """Primitive -> where it stands, for all without an importer on inputs that vary."""
    found: dict[str, list[str]] = {}

    def look(jaxpr: Any, varies: Sequence[bool], depth: int = 0) -> list[bool]:
        body, _ = opened(jaxpr)
        varying = {id(v) for v, yes in zip(body.invars, varies, strict=True) if yes}
        for equation in used_equations(body):
            some = [id(v) in varying for v in equation.invars]
            called = call_of(equation)
            if called is not None and depth < _MOST_NESTED:
                count = len(opened(called)[0].invars)
                results = look(called, some[len(some) - count :], depth + 1)
                varying.update(
                    id(v) for v, yes in zip(equation.outvars, results, strict=True) if yes
                )
            elif any(some):
                varying.update(id(v) for v in equation.outvars)
                name = equation.primitive.name
                if name not in HANDLERS:
                    found.setdefault(name, []).append(place_of(equation) or label_of(equation))
                for inner in inner_jaxprs(equation.params):
                    # In a loop all may vary; what is known there is found when it is read.
                    if depth < _MOST_NESTED:
                        look(inner, [True] * len(opened(inner)[0].invars), depth + 1)
        return [id(v) in varying for v in body.outvars]

    look(jaxpr, varies)
    return found

"""Tracing: a Python function of tensors becomes a graph, by being run once on stand-ins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Value
from fanlight.ops import check
from fanlight.ops.types import Dim, TensorType
from fanlight.tensor.calls import Call, check_open, state
from fanlight.tensor.complex import Complex
from fanlight.tensor.core import Function, Tensor, caller, dtype_name, name_of, tensor, type_of
from fanlight.tensor.stored import refuse


class Trace:
    """A function that is being traced: the graph so far."""

    def __init__(self, name: str) -> None:
        self.builder = Builder(name)
        self.open = True
        self.depth = state.traces
        # Variables that were read, as inputs; None: what they are now becomes weights.
        self.variables: dict[int, tuple[Tensor, Value]] | None = None
        self.constants: dict[int, tuple[Tensor, Value]] = {}

    def apply(
        self, op: str, inputs: Sequence[Tensor], attrs: dict[str, Any]
    ) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        values = [self.value(v) for v in inputs]
        made = self.builder.add(op, *values, **attrs)
        made = made if isinstance(made, tuple) else (made,)
        for value in made:
            type_of(value.type.bound, value.dtype)  # refuses what is too large
        if state.places is not None:
            state.places[self.builder.last] = caller()
        outputs = tuple(Tensor(v.type, None, self, v) for v in made)
        return outputs, dict(self.builder.last.attrs)

    def alias(self, x: Tensor) -> Tensor:
        return Tensor(x.type, None, self, x._value)

    def told(self, call: Call) -> None:
        """Tapes hear it; the graph has what it was computed by."""

    def value(self, x: Tensor) -> Value:
        """The graph's value of a tensor; an eager tensor becomes a weight."""
        if x._trace is None:
            refuse(x.type)
            known = self.constants.get(id(x))
            if known is None:
                known = self.constants[id(x)] = (x, self.builder.weight(x.numpy()))
            return known[1]
        check_open(x, self)
        value: Value = x._value
        return value

    def level_of(self, x: Tensor) -> Any:
        """What takes calls with a variable: of the function that is compiled, this."""
        return self

    def variable(self, x: Tensor) -> Value:
        """The input that a variable is."""
        assert self.variables is not None  # it is the one that is compiled
        if id(x) not in self.variables:
            refuse(x.type)
            self.variables[id(x)] = (x, self.builder.input("variable", x.shape, x.dtype))
        return self.variables[id(x)][1]


def spec(shape: int | str | Dim | Sequence[int | str | Dim], dtype: Any = "float32") -> TensorType:
    """Shape and dtype of an input of a function that is to be traced.

    Args:
        shape: numbers; and names or `fl.Dim`s for sizes that are free when the built function
            runs: `fl.spec(("batch", 3))`. What a name is bounded by, `dims` of `fl.build` says.

    Raises:
        FanlightError: E-TENSOR-006.
    """
    sizes = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    sizes = tuple(Dim(n, 0) if isinstance(n, str) and n.isidentifier() else n for n in sizes)
    if not all(_bounds(n) if isinstance(n, Dim) else check.is_int(n, 0) for n in sizes):
        raise FanlightError(
            "E-TENSOR-006",
            "this is not the shape of a tensor.",
            where=f"fl.spec, {caller()}",
            expected="whole numbers from 0 on, and names of dims",
            received=repr(shape)[:200],
            next='for a size that is free up to a bound: fl.spec(("batch", 3)), and '
            'dims={"batch": 64} when it is built.',
        )
    made = TensorType(sizes, dtype_name(dtype))
    refuse(made)
    return made


def _bounds(d: Dim) -> bool:
    """Whether a Dim has bounds that can be, or none yet."""
    whole = check.is_int(d.min, 1) and check.is_int(d.max, d.min, 2**31 - 1)
    return d.times == 1 and (not d.max or whole)


def trace(
    fn: Function,
    inputs: Mapping[str, TensorType],
    name: str | None = None,
    *,
    dims: Mapping[str, Any] | None = None,
) -> Graph:
    """The graph of a function: whatever it does to its tensors, Python's loops unrolled.

    Args:
        fn: takes the inputs by name and gives a tensor, or a dict, list or tuple of them.
        inputs: argument name -> spec. A complex one becomes two inputs of float32, NAME_real and
            NAME_imag, and a complex result two outputs likewise.
        name: of the graph; default: the function's.
        dims: name of a symbolic dim -> its greatest size, or (least, greatest). The function is
            then traced at several sizes, and has to do the same at all of them.

    Returns:
        A graph with those inputs. Its outputs have the names of the dict, or "output", or
        "output_0", "output_1", ...

    Raises:
        FanlightError: E-TENSOR-006 the function has other arguments, or gives something else;
            E-TENSOR-003 it asks for numbers; E-TENSOR-017 it depends on the number that a symbolic
            dim stands for; E-OP-00x as the ops that it applies, E-OP-007 one that does not take
            symbolic dims.
    """
    called = name or name_of(fn)
    specs = _bounded(_specs(inputs), dims or {})
    signature = _signature(fn, specs, called)

    def call(parts: Sequence[Tensor]) -> dict[str, Tensor]:
        left = iter(parts)
        given = signature.bind(
            **{
                n: Complex(next(left), next(left)) if t.dtype == COMPLEX else next(left)
                for n, t in specs.items()
            }
        )
        return _named(fn(*given.args, **given.kwargs), called)

    plain: dict[str, TensorType] = {}
    for key, kind in specs.items():
        halves = kind.dtype == COMPLEX
        for own in (f"{key}_real", f"{key}_imag") if halves else (key,):
            if own in plain:
                raise _twice("inputs of a function", own)
            plain[own] = TensorType(kind.shape) if halves else kind
    names, types = list(plain), list(plain.values())
    if all(t.static for t in types):
        return capture(call, names, types, called)
    from fanlight.tensor.sizes import trace_sizes

    return trace_sizes(call, names, types, called)


def _bounded(specs: dict[str, TensorType], dims: Mapping[str, Any]) -> dict[str, TensorType]:
    """The specs with the bounds of their symbols; E-TENSOR-006."""
    known: dict[str, Dim] = {}
    if not isinstance(dims, Mapping):
        raise _unbounded("dims", repr(dims)[:100], "a greatest size by the name of each dim")
    for name, bound in dims.items():
        least, most = bound if isinstance(bound, tuple | list) and len(bound) == 2 else (1, bound)
        if not check.is_int(most, 1, 2**31 - 1) or not check.is_int(least, 1, most):
            raise _unbounded(name, repr(bound)[:100], "its greatest size, or (least, greatest)")
        known[name] = Dim(name, int(most), int(least))
    used: set[str] = set()

    def fixed(d: int | Dim) -> int | Dim:
        if not isinstance(d, Dim):
            return d
        used.add(d.name)
        if d.max:
            known.setdefault(d.name, d)
        if d.name not in known or (d.max and d != known[d.name]):
            raise _unbounded(d.name, "no bound" if d.name not in known else f"{d}, too", "a bound")
        found = known[d.name]
        return found.max if found.min == found.max else found

    made = {
        n: TensorType(tuple(map(fixed, t.shape)), t.dtype) if not t.static else t
        for n, t in specs.items()
    }
    for t in made.values():
        type_of(t.bound, t.dtype)  # refuses what is too large
    for name in set(dims) - used:
        raise _unbounded(name, "a bound", "a dim of this name in a spec")
    return made


def _unbounded(name: str, received: str, expected: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-006",
        f"the symbolic dim {name!r} is not told well.",
        where=f"dims, {caller()}",
        expected=expected,
        received=received,
        next='fl.build(f, "out/", inputs={"x": fl.spec(("batch", 3))}, dims={"batch": 64}).',
    )


def _specs(inputs: Any) -> dict[str, TensorType]:
    """Inputs by name; a shape alone is one of float32."""
    if not isinstance(inputs, Mapping) or not all(isinstance(n, str) for n in inputs):
        raise FanlightError(
            "E-TENSOR-006",
            "inputs are given by name.",
            where="inputs",
            expected='{"x": fl.spec((3,))}',
            received=repr(inputs)[:200],
        )
    specs = {}
    for name, kind in inputs.items():
        if isinstance(kind, Tensor):
            kind = kind.type
        if isinstance(kind, np.ndarray):
            kind = tensor(kind).type
        specs[name] = kind if isinstance(kind, TensorType) else spec(kind)
    return specs


def source_of(
    model: Any,
    inputs: Mapping[str, TensorType] | None,
    dims: Mapping[str, Any] | None = None,
) -> Any:
    """What a build starts from: a function's graph, or a model as it is.

    Raises:
        FanlightError: E-BUILD-005 it is neither, or inputs do not go with it.
    """
    known = hasattr(model, "graph") or isinstance(model, Graph)
    function = callable(model) and not known
    if not known and not function:
        raise FanlightError(
            "E-BUILD-005",
            "this is not a model.",
            where="model",
            expected="what fl.load gives, a graph, or a function of tensors",
            received=repr(model)[:200],
            next="load it first: fl.build(fl.load(path), out).",
        )
    if function and inputs is not None:
        return trace(model, inputs, dims=dims)
    if function or inputs is not None or dims is not None:
        raise FanlightError(
            "E-BUILD-005",
            "a function is built with the shapes of its inputs, and only a function is.",
            where="inputs",
            expected='fl.build(function, "out/", inputs={"x": fl.spec((3,))})',
            received="a function without inputs" if function else "inputs or dims of a model",
            next="say the shape of every argument." if function else "leave them out.",
        )
    return model


def capture(
    fn: Callable[[Sequence[Tensor]], Mapping[str, Tensor]],
    names: Sequence[str],
    types: Sequence[TensorType],
    called: str,
    *,
    variables: list[Tensor] | None = None,
) -> Graph:
    """The graph of a function of a list of tensors that gives tensors by name.

    Args:
        variables: gets the variables that the function reads, which become inputs after the
            others; None: what they are now becomes weights.
    """
    for type in types:
        refuse(type)
    state.traces += 1
    trace = Trace(called)
    before = state.compiling
    state.compiling = None
    if variables is not None:
        trace.variables = {}
        state.compiling = trace
    builder = trace.builder
    try:
        values = [builder.input(n, t.shape, t.dtype) for n, t in zip(names, types, strict=True)]
        result = fn([Tensor(v.type, None, trace, v) for v in values])
        named = {key: trace.value(part) for key, part in result.items()}
    finally:
        trace.open = False
        state.traces -= 1
        state.compiling = before
    read = list((trace.variables or {}).values())
    if variables is not None:
        variables += [x for x, _ in read]
    outputs: dict[str, Value] = {}
    taken = {*values, *(v for _, v in read)}
    for key, value in named.items():
        # An input, a constant or the same result twice needs a value of its own to be an output.
        if value in taken or builder.array(value) is not None:
            value = builder.add("reshape", value, shape=value.shape)
        outputs[key] = value
        taken.add(value)
    return builder.finish(outputs)


def _named(result: Any, called: str, name: str = "") -> dict[str, Tensor]:
    """The tensors of a result by name: keys and positions, joined by underscores."""
    if isinstance(result, Mapping):
        parts = [(str(key), part) for key, part in result.items()]
    elif isinstance(result, list | tuple):
        parts = [(str(i) if name else f"output_{i}", part) for i, part in enumerate(result)]
    elif result is None:
        raise FanlightError(
            "E-TENSOR-006",
            "a function that is traced gives nothing back.",
            where=called,
            expected="a tensor, or a dict, list or tuple of tensors",
            received="None",
            next="return what it computes.",
        )
    else:
        x, name = tensor(result), name or "output"
        if isinstance(x, Complex):
            return {f"{name}_real": x.parts[0], f"{name}_imag": x.parts[1]}
        return {name: x}
    found: dict[str, Tensor] = {}
    for key, part in parts:
        for path, inner in _named(part, called, f"{name}_{key}" if name else key).items():
            if path in found:
                raise _twice("results of a function", path)
            found[path] = inner
    return found


def _twice(what: str, name: str) -> FanlightError:
    return FanlightError(
        "E-TENSOR-006",
        f"two {what} have the same name.",
        where=caller(),
        expected="names that differ, also when keys are joined by underscores",
        received=name,
    )


def _signature(fn: Function, inputs: Mapping[str, TensorType], called: str) -> inspect.Signature:
    """The function's arguments, which the inputs have to be."""
    signature = inspect.signature(fn)
    try:
        signature.bind(**dict.fromkeys(inputs))
    except TypeError as problem:
        raise FanlightError(
            "E-TENSOR-006",
            "the inputs are not the arguments of the function.",
            where=called,
            expected=str(signature),
            received=", ".join(inputs) or "none",
            next=f"name each argument once: inputs={{name: fl.spec(shape)}} ({problem}).",
        ) from None
    return signature

"""Importers of operators that call subgraphs, and of variables.

A branch or body is a graph of its own, with what its tensors stand for as inputs and outputs. A
decision that is known at import takes its branch at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.tflite.call import Call, Cell, clean, importer
from fanlight.graph import Builder
from fanlight.graph.subgraph import Subgraph
from fanlight.ops.types import TensorType


def _inputs(call: Call, first: int = 0) -> list[Tensor]:
    return [call.x(i) for i in range(first, len(call.cells))]


def _run(call: Call, number: int, em: Emitter, given: Sequence[Tensor]) -> list[Tensor]:
    """The outputs of a subgraph, whose operators become ops of `em`."""
    inner = call.scope.inner(number, em, call.where)
    if len(inner.graph.inputs) != len(given):
        raise call.refuse(
            "the subgraph takes another number of inputs",
            expected=len(inner.graph.inputs),
            received=len(given),
        )
    for place, tensor in zip(inner.graph.inputs, given, strict=True):
        info = inner.graph.tensors[place]
        inner.cells[place] = Cell.of(em, info, clean(info.name), tensor)
    inner.run()
    cells = [inner.cell(place, call.where) for place in inner.graph.outputs]
    return [cell.real(em) for cell in cells]


def _body(call: Call, number: int, types: Sequence[TensorType], scalar: bool = False) -> Subgraph:
    """A subgraph as a graph of its own; `scalar`: its only result is a truth value."""
    builder = Builder(f"subgraph_{number}")
    em = Emitter(builder, call.em.sketch, call.em.budget)
    given = [builder.input(f"x{i}", t.shape, t.dtype) for i, t in enumerate(types)]
    results = _run(call, number, em, given)
    if scalar:
        results = [em.reshape(r, (), "decision") for r in results[:1]]
    if not results:
        raise call.refuse("the subgraph has no outputs", expected="at least one")
    return Subgraph(builder.finish({f"y{i}": em.value(r) for i, r in enumerate(results)}))


def _types(tensors: Sequence[Tensor]) -> list[TensorType]:
    return [TensorType(tuple(t.shape), dtype_of(t)) for t in tensors]


def _results(made: Any) -> list[Tensor]:
    return list(made) if isinstance(made, tuple) else [made]


def _decision(call: Call) -> Tensor:
    x = call.x(0)
    if dtype_of(x) != "bool" or int(np.prod(x.shape)) != 1:
        raise call.refuse("the condition is no truth value", received=f"{dtype_of(x)} {x.shape}")
    return call.em.reshape(x, (), f"{call.node.name}/decision")


@importer("IF")
def if_(call: Call) -> list[Tensor]:
    branches = [call.whole_option(f"{n}_subgraph_index") for n in ("then", "else")]
    decision, given = _decision(call), _inputs(call, 1)
    if isinstance(decision, np.ndarray):
        return _run(call, branches[0 if decision else 1], call.em, given)
    bodies = [_body(call, n, _types(given)) for n in branches]
    return _results(call.op("cond", decision, *given, true_fn=bodies[0], false_fn=bodies[1]))


@importer("WHILE", "STABLEHLO_WHILE")
def while_(call: Call) -> list[Tensor]:
    given = _inputs(call)
    types = _types(given)
    cond_fn = _body(call, call.whole_option("cond_subgraph_index"), types, scalar=True)
    body_fn = _body(call, call.whole_option("body_subgraph_index"), types)
    # Values, never known arrays: a loop does not run at import, it might not end.
    state = [call.em.value(t, f"{call.node.name}/state") for t in given]
    made = call.em.builder.add(
        "while_loop", *state, name=call.node.name, carried=len(state), cond_fn=cond_fn,
        body_fn=body_fn,
    )  # fmt: skip
    return _results(made)


@importer("CALL")
def call_(call: Call) -> list[Tensor]:
    return _run(call, call.whole_option("subgraph"), call.em, _inputs(call))


@importer("STABLEHLO_COMPOSITE")
def composite(call: Call) -> list[Tensor]:
    """An operator with its meaning as a subgraph."""
    number = call.whole_option("decomposition_subgraph_index")
    return _run(call, number, call.em, _inputs(call))


@importer("CALL_ONCE")
def call_once(call: Call) -> list[Tensor]:
    """The first values of variables: assigned by a subgraph that runs before anything else."""
    _run(call, call.whole_option("init_subgraph_index"), call.em, [])
    return []


@dataclass(frozen=True)
class _Handle:
    """The name of a variable, where a tensor of type "resource" goes."""

    name: str


@importer("VAR_HANDLE")
def var_handle(call: Call) -> Any:
    name = f"{call.options.get('container', '')}/{call.options.get('shared_name', '')}"
    return _Handle(name)


def _variable(call: Call) -> str:
    handle: Any = call.x(0)
    if not isinstance(handle, _Handle):
        raise call.refuse("the input is no variable", expected="a handle")
    return handle.name


@importer("ASSIGN_VARIABLE")
def assign_variable(call: Call) -> list[Tensor]:
    call.scope.report.variables[_variable(call)] = call.x(1)
    if call.scope.depth == 0:
        call.scope.report.stateful = True
    return []


@importer("READ_VARIABLE")
def read_variable(call: Call) -> Tensor:
    name = _variable(call)
    found: Tensor | None = call.scope.report.variables.get(name)
    if found is None:
        raise FanlightError(
            "E-FORMAT-016",
            "a variable is read that nothing has assigned.",
            where=call.where,
            expected=", ".join(call.scope.report.variables)[:200] or "no variables",
            received=name[:120],
        )
    return found

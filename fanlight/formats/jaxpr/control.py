"""Importers of cond, while and scan: sub-graphs of one node, as fl.cond and the others make them.

A decision that is known is taken at import. Small known operands stay known inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.formats.calls import type_of
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.jaxpr.call import Call, Exact, Held, importer, plain
from fanlight.formats.jaxpr.scope import SMALL, Scope
from fanlight.graph import Value
from fanlight.graph.subgraph import Subgraph
from fanlight.ops.types import TensorType


def _listed(made: Any) -> list[Tensor]:
    return list(made) if isinstance(made, tuple) else [made]


def _stays(held: Held) -> bool:
    """Whether an operand is known inside a sub-graph, too."""
    if isinstance(held, Exact):
        return plain(held) is None or held.array.size <= SMALL
    return isinstance(held, np.ndarray) and held.size <= SMALL


class _Operands:
    """Operands that never change: those that are known inside, and those that are passed."""

    def __init__(self, call: Call, held: Sequence[Held]) -> None:
        self.held = list(held)
        self.passed = [i for i, x in enumerate(held) if not _stays(x)]
        self.tensors = [call.scope.tensor(held[i], call.where) for i in self.passed]

    def inside(self, inputs: Sequence[Value]) -> list[Held]:
        """All operands, where the passed ones are these inputs of a sub-graph."""
        found = list(self.held)
        for place, value in zip(self.passed, inputs, strict=True):
            found[place] = value
        return found


def _results(scope: Scope, jaxpr: Any, given: Sequence[Held], where: str) -> list[Tensor]:
    return [scope.tensor(x, where) for x in scope.run(jaxpr, given)]


@importer("cond")
def cond(call: Call) -> Any:
    """One of several branches, by a number, which is clipped."""
    branches, index = list(call.params["branches"]), call.x(0)
    operands = call.inputs[1:]
    if dtype_of(index) == "bool":
        index = call.cast(index, "int32")
    if isinstance(index, np.ndarray):
        chosen = min(max(int(index.reshape(-1)[0]), 0), len(branches) - 1)
        return call.scope.run(branches[chosen], operands)
    return _chosen(call, call.scope, index, branches, 0, list(operands))


def _chosen(
    call: Call, scope: Scope, index: Tensor, branches: list[Any], first: int, held: list[Held]
) -> list[Tensor]:
    """The results of the branch of that number, of those from `first` on."""
    if first == len(branches) - 1:
        return _results(scope, branches[first], held, call.where)
    em = scope.em
    pred = em.op("less_equal", index, em.const(first, "int32"), name=f"{call.label}/is")
    operands = _Operands(call, held)
    types = [type_of(index), *(type_of(x) for x in operands.tensors)]

    def taken(inner: Scope, inputs: list[Value]) -> list[Tensor]:
        return _results(inner, branches[first], operands.inside(inputs[1:]), call.where)

    def other(inner: Scope, inputs: list[Value]) -> list[Tensor]:
        return _chosen(call, inner, inputs[0], branches, first + 1, operands.inside(inputs[1:]))

    true_fn = scope.body(f"{call.label}/branch{first}", types, taken)
    false_fn = scope.body(f"{call.label}/branch{first + 1}", types, other)
    made = em.op("cond", pred, index, *operands.tensors, name=call.label,
                 true_fn=true_fn, false_fn=false_fn)  # fmt: skip
    return _listed(made)


def _cast_like(scope: Scope, made: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
    return [scope.em.cast(x, dtype_of(t), "carried") for x, t in zip(made, like, strict=True)]


@importer("while")
def while_(call: Call) -> list[Tensor]:
    of_cond, of_body = int(call.params["cond_nconsts"]), int(call.params["body_nconsts"])
    asked = _Operands(call, call.inputs[:of_cond])
    fixed = _Operands(call, call.inputs[of_cond : of_cond + of_body])
    state = [call.scope.tensor(x, call.where) for x in call.inputs[of_cond + of_body :]]
    count, middle = len(state), len(state) + len(asked.tensors)
    types = [type_of(x) for x in (*state, *asked.tensors, *fixed.tensors)]

    def condition(inner: Scope, inputs: list[Value]) -> list[Tensor]:
        given = [*asked.inside(inputs[count:middle]), *inputs[:count]]
        return _results(inner, call.params["cond_jaxpr"], given, call.where)

    def body(inner: Scope, inputs: list[Value]) -> list[Tensor]:
        given = [*fixed.inside(inputs[middle:]), *inputs[:count]]
        made = _results(inner, call.params["body_jaxpr"], given, call.where)
        return _cast_like(inner, made, state)

    cond_fn = call.scope.body(f"{call.label}/cond", types, condition)
    body_fn = call.scope.body(f"{call.label}/body", types, body)
    # Values, never known arrays: a loop does not run at import, it might not end.
    values = [call.em.value(x) for x in (*state, *asked.tensors, *fixed.tensors)]
    made = call.em.builder.add(
        "while_loop", *values, name=call.label, carried=count, cond_fn=cond_fn, body_fn=body_fn
    )
    return _listed(made)


@importer("scan")
def scan(call: Call) -> list[Tensor]:
    params = call.params
    length, reverse = int(params["length"]), bool(params["reverse"])
    consts, carried = int(params["num_consts"]), int(params["num_carry"])
    if length < 1:
        raise call.refuse("a loop without turns", expected="at least one", received=length)
    fixed = _Operands(call, call.inputs[:consts])
    tensors = [call.scope.tensor(x, call.where) for x in call.inputs[consts:]]
    state, slices = tensors[:carried], tensors[carried:]
    types = [type_of(x) for x in state]
    types += [TensorType(tuple(x.shape[1:]), dtype_of(x)) for x in slices]
    types += [type_of(x) for x in fixed.tensors]

    def turn(inner: Scope, inputs: list[Value]) -> list[Tensor]:
        given = [*fixed.inside(inputs[len(tensors) :]), *inputs[: len(tensors)]]
        made = _results(inner, params["jaxpr"], given, call.where)
        return [*_cast_like(inner, made[:carried], state), *made[carried:]]

    body: Subgraph = call.scope.body(f"{call.label}/body", types, turn)
    made = call.em.op("scan", *tensors, *fixed.tensors, name=call.label, fn=body,
                      carried=carried, scanned=len(slices), length=length,
                      reverse=reverse)  # fmt: skip
    return _listed(made)

"""Ops that decide or repeat: their branches and bodies are sub-graphs, held as attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import check
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import Dim, TensorType

CONTROL = ("cond", "while_loop", "scan")
BOOL = TensorType((), "bool")
_EXACT = {"float32": 1e-6, "int32": 0.0, "bool": 0.0, "uint8": 0.0}


class Body(Protocol):
    """A sub-graph as rows see it (fanlight/graph/subgraph.py has the only one there is)."""

    @property
    def parameters(self) -> tuple[TensorType, ...]:
        """Types of its inputs."""

    @property
    def results(self) -> tuple[TensorType, ...]:
        """Types of its outputs."""

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Its outputs for these inputs, by NumPy."""


def _body(
    op: str,
    attrs: Mapping[str, Any],
    name: str,
    parameters: Sequence[TensorType],
    results: Sequence[TensorType] | None = None,
) -> Body:
    """A sub-graph of these types; E-OP-005."""
    body: Any = attrs[name]
    if not hasattr(body, "parameters"):
        raise check.attr_error(op, name, "a sub-graph", body)
    if tuple(body.parameters) != tuple(parameters):
        raise _unfit(op, name, "inputs", parameters, body.parameters)
    if results is not None and tuple(body.results) != tuple(results):
        raise _unfit(op, name, "results", results, body.results)
    checked: Body = body
    return checked


def _unfit(
    op: str, name: str, what: str, expected: Sequence[TensorType], received: Sequence[TensorType]
) -> FanlightError:
    return FanlightError(
        "E-OP-005",
        f"the sub-graph {name} of {op} has {what} of other types.",
        where=f"{op} {name}",
        expected=", ".join(map(str, expected)) or "none",
        received=", ".join(map(str, received)) or "none",
        next="what is carried keeps its type, and both branches give the same types.",
    )


# --- cond -----------------------------------------------------------------------------------------


def _infer_cond(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    _predicate("cond", "pred", types[0])
    first = _body("cond", attrs, "true_fn", types[1:])
    _body("cond", attrs, "false_fn", types[1:], first.results)
    return list(first.results)


def _predicate(op: str, argument: str, type: TensorType) -> None:
    check.dtype(op, argument, type, check.BOOLS)
    check.rank(op, argument, type, 0)


def _eval_cond(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    chosen: Body = attrs["true_fn"] if bool(arrays[0]) else attrs["false_fn"]
    return chosen.run(arrays[1:])


# --- while_loop -----------------------------------------------------------------------------------


def _infer_while(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    carried = check.integer("while_loop", attrs, "carried", 1, len(types))
    _body("while_loop", attrs, "cond_fn", types, [BOOL])
    _body("while_loop", attrs, "body_fn", types, types[:carried])
    return list(types[:carried])


def _eval_while(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    carried = attrs["carried"]
    state, captured = list(arrays[:carried]), list(arrays[carried:])
    while bool(attrs["cond_fn"].run([*state, *captured])[0]):
        state = attrs["body_fn"].run([*state, *captured])
    return state


# --- scan -----------------------------------------------------------------------------------------


def slice_types(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    """What the body of a scan gets: what is carried, one slice of each scanned, the rest."""
    low, high = attrs["carried"], attrs["carried"] + attrs["scanned"]
    slices = [TensorType(t.shape[1:], t.dtype) for t in types[low:high]]
    return [*types[:low], *slices, *types[high:]]


def _infer_scan(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    carried = check.integer("scan", attrs, "carried", 0, len(types))
    scanned = check.integer("scan", attrs, "scanned", 0, len(types) - carried)
    length = attrs["length"]
    if not isinstance(length, Dim):
        check.integer("scan", attrs, "length", 1, 2**31 - 1)
    check.flag("scan", attrs, "reverse")
    for number, x in enumerate(types[carried : carried + scanned]):
        if x.rank == 0 or x.shape[0] != length:
            raise check.shape_error("scan", f"xs[{number}]", f"{length} slices", x)
    body = _body("scan", attrs, "fn", slice_types(types, attrs))
    results = list(body.results)
    if results[:carried] != list(types[:carried]):
        raise _unfit("scan", "fn", "carried results", types[:carried], results[:carried])
    stacked = [TensorType((length, *t.shape), t.dtype) for t in results[carried:]]
    return [*types[:carried], *stacked]


def _eval_scan(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    low, high = attrs["carried"], attrs["carried"] + attrs["scanned"]
    carry, xs, captured = list(arrays[:low]), arrays[low:high], list(arrays[high:])
    order = range(attrs["length"])
    steps = []
    for i in reversed(order) if attrs["reverse"] else order:
        results = attrs["fn"].run([*carry, *(x[i] for x in xs), *captured])
        carry = results[:low]
        steps.append(results[low:])
    if attrs["reverse"]:
        steps.reverse()
    return [*carry, *(np.stack(parts) for parts in zip(*steps, strict=True))]


_CARRIED = Attr(REQUIRED, "how many of the first inputs are carried from turn to turn")

register(
    Row(
        name="cond",
        family="control",
        arity=(1, None),
        attrs={
            "true_fn": Attr(REQUIRED, "sub-graph of the inputs after the first, if it is true"),
            "false_fn": Attr(REQUIRED, "sub-graph of the same inputs, if it is false"),
        },
        infer=_infer_cond,
        eval=_eval_cond,
        doc="(pred, *inputs) -> the results of one of two sub-graphs of the inputs, of any shapes: "
        "y = true_fn(*inputs) if pred (bool, no dims) else false_fn(*inputs). Only that one is "
        "computed. Both give the same types (else E-OP-005). Made by `fl.cond`. Source: "
        "jax.lax.cond.",
        wasm="kernel",
        tol=_EXACT,
        nan="as the ops of the branches have it",
        vjp=NotDifferentiable("fl.cond gives the gradient, out of the branches' functions"),
    )
)
register(
    Row(
        name="while_loop",
        family="control",
        arity=(1, None),
        attrs={
            "cond_fn": Attr(REQUIRED, "sub-graph of all inputs that gives one bool"),
            "body_fn": Attr(REQUIRED, "sub-graph of all inputs that gives the next state"),
            "carried": _CARRIED,
        },
        infer=_infer_while,
        eval=_eval_while,
        doc="(*state, *rest) -> the state after the last turn: while cond_fn(*state, *rest): "
        "state = body_fn(*state, *rest). The types of the state stay (else E-OP-005). Made by "
        "`fl.while_loop`. Source: jax.lax.while_loop.",
        wasm="kernel",
        tol=_EXACT,
        nan="as the ops of the body have it",
        vjp=NotDifferentiable(
            "how often it turned is known only when it has run, and what it went through is not "
            "kept; fl.scan, with a length, has a gradient"
        ),
    )
)
register(
    Row(
        name="scan",
        family="control",
        arity=(1, None),
        attrs={
            "fn": Attr(REQUIRED, "sub-graph: (carry, a slice of each xs, rest) -> (carry, ys)"),
            "carried": _CARRIED,
            "scanned": Attr(REQUIRED, "how many of the inputs after those are cut into slices"),
            "length": Attr(REQUIRED, "how many turns, at least one"),
            "reverse": Attr(False, "whether the last slice comes first"),
        },
        infer=_infer_scan,
        eval=_eval_scan,
        doc="(*carry, *xs, *rest) -> (*carry, *ys): for i in 0 .. length - 1: carry, ys[i] = "
        "fn(*carry, *(x[i] for x in xs), *rest). xs are [length, ...], ys are stacked to "
        "[length, ...]; the types of the carry stay (else E-OP-005). Made by `fl.scan`. "
        "Source: jax.lax.scan.",
        wasm="kernel",
        tol=_EXACT,
        nan="as the ops of the body have it",
        vjp=NotDifferentiable("fl.scan gives the gradient, out of the body's function"),
    )
)

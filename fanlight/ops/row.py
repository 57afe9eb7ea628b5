"""The form of a row of the op table. An op is defined once; all else derives from its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import scalar as sc
from fanlight.ops import symbols
from fanlight.ops.backward import NotDifferentiable, Partials, Rule, Step, pointwise
from fanlight.ops.types import TensorType


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()

Infer = Callable[[Sequence[TensorType], Mapping[str, Any]], list[TensorType]]
Eval = Callable[[Sequence[np.ndarray], Mapping[str, Any]], list[np.ndarray]]
Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class Attr:
    """One attribute of an op: its default (REQUIRED if it has none) and what it means."""

    default: Any
    doc: str


@dataclass(frozen=True)
class Unsupported:
    """Why a target has no lowering for an op."""

    why: str


@dataclass(frozen=True)
class Row:
    """Everything there is to know about one op.

    Attributes:
        name: the op's name, e.g. "conv2d".
        family: the file of the table that holds it, e.g. "conv".
        arity: least and most core inputs; None means no upper bound.
        attrs: attribute name -> Attr.
        infer: input types and attributes -> output types, or a coded error.
        eval: the NumPy meaning.
        prepare: (input types, attributes) -> `eval` for those, where something is worth being
            worked out once; else None.
        scalar: for elementwise rows: input Exprs (and attributes) -> Expr.
        epilogue: whether extra inputs and an `epilogue` body may follow the core inputs.
        wasm: "loops", "kernel", "alias" or Unsupported(why).
        tol: dtype -> tolerance against `eval`, relative to max(1, |largest value|).
        nan: what NaN in an input does: "propagate", "ignore", or a sentence.
        doc: shapes, formula, errors, source.
        vjp: how gradients pass it (fanlight.ops.backward), or why they do not; elementwise rows
            need none.
        partials: for elementwise rows: (inputs, result, attributes) -> the derivative after each
            input, where that of the body is not the best one.
        positions: whether its int32 results tell where something is. A number made of them moves in
            jumps with the inputs, so it has no gradient; a mask, of comparisons, is a constant.
    """

    name: str
    family: str
    arity: tuple[int, int | None]
    infer: Infer
    eval: Eval
    doc: str
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    prepare: Callable[[Sequence[TensorType], Mapping[str, Any]], Run] | None = None
    scalar: Callable[..., sc.Expr] | None = None
    epilogue: bool = False
    wasm: str | Unsupported = "loops"
    tol: Mapping[str, float] = field(default_factory=lambda: {"float32": 1e-6})
    nan: str = "propagate"
    vjp: Rule | NotDifferentiable | None = None
    partials: Partials | None = None
    positions: bool = False

    def backward(self, step: Step) -> Sequence[Any | None]:
        """The gradients of the inputs of a call; E-OP-008 where the op has none."""
        if isinstance(self.vjp, NotDifferentiable):
            raise FanlightError(
                "E-OP-008",
                f"{self.name} has no gradient: {self.vjp.why}.",
                where=self.name,
                expected="ops with a gradient between the result and what it is derived after",
                received=self.name,
                next="use fl.stop_gradient where no gradient is needed, or fl.custom_gradient.",
            )
        if self.vjp is not None:
            return self.vjp(step)
        assert self.scalar is not None  # a row has a body or a rule; tests/ops/test_table.py
        return pointwise(self.scalar, self.partials, step)


TABLE: dict[str, Row] = {}


def register(row: Row) -> Row:
    """Add a row to the table; a name can be taken once."""
    if row.name in TABLE:
        raise ValueError(f"op {row.name!r} is defined twice")
    TABLE[row.name] = row
    return row


def lookup(name: str) -> Row:
    """The row of an op, or E-OP-006."""
    row = TABLE.get(name)
    if row is None:
        raise FanlightError(
            "E-OP-006",
            f"there is no op {name!r}.",
            received=name,
            next="see docs/ops.md for the ops that there are.",
        )
    return row


EPILOGUE = "epilogue"


def _plain(value: Any) -> Any:
    """Attribute values as plain Python data that prints: lists and arrays become tuples."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(type(value), "__index__") and not isinstance(value, int):
        try:
            return index(value)  # a whole number of another kind, such as a tensor of one
        except TypeError:
            return value
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def complete_attrs(row: Row, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """`attrs` with the row's defaults filled in; E-OP-002 on unknown or missing ones."""
    allowed = set(row.attrs) | ({EPILOGUE} if row.epilogue else set())
    unknown = sorted(set(attrs) - allowed)
    if unknown:
        raise FanlightError(
            "E-OP-002",
            f"{row.name} has no attribute {', '.join(unknown)}.",
            where=row.name,
            expected=", ".join(sorted(allowed)) or "no attributes",
            received=", ".join(unknown),
        )
    full: dict[str, Any] = {}
    for name, attr in row.attrs.items():
        value = attrs.get(name, attr.default)
        if value is REQUIRED:
            raise FanlightError(
                "E-OP-002",
                f"{row.name} needs the attribute {name}: {attr.doc}",
                where=row.name,
                expected=name,
                received=", ".join(sorted(attrs)) or "no attributes",
            )
        full[name] = _plain(value)
    if attrs.get(EPILOGUE) is not None:
        full[EPILOGUE] = attrs[EPILOGUE]
    return full


def infer(
    name: str, types: Sequence[TensorType], attrs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[TensorType]]:
    """Check a call of an op; return its complete attributes and its output types."""
    row = lookup(name)
    full = complete_attrs(row, attrs)
    low, high = row.arity
    core = len(types)
    if row.epilogue and high is not None and core > high and EPILOGUE in full:
        core = high
    if core < low or (high is not None and core > high):
        wanted = (
            f"{low}" if low == high else f"{low} or more" if high is None else f"{low} to {high}"
        )
        raise FanlightError(
            "E-OP-001",
            f"{name} was called with {len(types)} inputs.",
            where=name,
            expected=f"{wanted} inputs",
            received=", ".join(map(str, types)) or "none",
        )
    if name not in symbols.OWN and symbols.symbolic(types, full):
        outputs = symbols.infer(row, types[:core], full)
    else:
        outputs = row.infer(types[:core], full)
    if EPILOGUE in full:
        _check_epilogue(row, outputs[0], types[core:], full[EPILOGUE])
    return full, outputs


def _check_epilogue(row: Row, out: TensorType, extras: Sequence[TensorType], body: str) -> None:
    expr = sc.parse(body)
    dtype = sc.infer(expr, [out.dtype, *(t.dtype for t in extras)])
    if dtype != out.dtype:
        raise FanlightError(
            "E-OP-003",
            f"the epilogue of {row.name} changes its dtype.",
            where=f"{row.name} epilogue {body}",
            expected=out.dtype,
            received=dtype,
        )
    for extra in extras:
        shape = broadcast_shapes(row.name, [out, extra])
        if shape != out.shape:
            raise FanlightError(
                "E-OP-004",
                f"an epilogue input of {row.name} does not broadcast to its result.",
                where=f"{row.name} epilogue {body}",
                expected=f"something that broadcasts to {out}",
                received=extra,
            )


def broadcast_shapes(name: str, types: Sequence[TensorType]) -> tuple:
    """The NumPy broadcast of several shapes; E-OP-004 if they do not fit."""
    rank = max((t.rank for t in types), default=0)
    shape: list = []
    for axis in range(rank):
        dim: Any = 1
        for t in types:
            position = axis - (rank - t.rank)
            if position < 0 or t.shape[position] == 1:
                continue
            if dim not in (1, t.shape[position]):
                raise FanlightError(
                    "E-OP-004",
                    f"the shapes of {name} do not broadcast.",
                    where=name,
                    expected="equal sizes, or 1, counted from the last dim",
                    received=", ".join(map(str, types)),
                )
            dim = t.shape[position]
        shape.append(dim)
    return tuple(shape)


def prepared(name: str, types: Sequence[TensorType], attrs: Mapping[str, Any]) -> Run:
    """`evaluate` for inputs of these (static) types and complete attributes."""
    row = lookup(name)
    if EPILOGUE in attrs:
        return lambda arrays: evaluate(name, arrays, attrs)
    if row.prepare is not None:
        return row.prepare(types, attrs)
    return lambda arrays: row.eval(arrays, attrs)


def evaluate(name: str, arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    """The NumPy meaning of a call, epilogue included. `attrs` must be complete."""
    row = lookup(name)
    if EPILOGUE not in attrs:
        return row.eval(arrays, attrs)
    core = row.arity[1]
    assert core is not None  # rows with an epilogue have a fixed arity
    plain = {k: v for k, v in attrs.items() if k != EPILOGUE}
    result = row.eval(arrays[:core], plain)[0]
    value = sc.evaluate(sc.parse(attrs[EPILOGUE]), [result, *arrays[core:]])
    return [np.broadcast_to(value, result.shape)]

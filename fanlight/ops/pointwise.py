"""How an elementwise row is made: its scalar body gives the dtype rule and the NumPy meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.ops import check
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable, Partials, Rule
from fanlight.ops.row import Attr, Row, Run, broadcast_shapes, register
from fanlight.ops.types import TensorType

Scalar = Callable[..., sc.Expr]
AttrCheck = Callable[[str, Mapping[str, Any]], None]

ROUNDED = {"float32": 1e-6, "int32": 0.0, "bool": 0.0, "uint8": 0.0}
EXACT = {"float32": 0.0, "int32": 0.0, "bool": 0.0, "uint8": 0.0}


def body(scalar: Scalar, count: int, attrs: Mapping[str, Any]) -> sc.Expr:
    """The scalar body of a call with `count` inputs."""
    return scalar(*map(sc.arg, range(count)), **attrs)


def result_type(op: str, expr: sc.Expr, types: Sequence[TensorType]) -> TensorType:
    """What an expression over broadcast inputs gives."""
    shape = broadcast_shapes(op, types)
    try:
        return TensorType(shape, sc.infer(expr, [t.dtype for t in types]))
    except FanlightError as error:
        error.where = f"{op} body {error.where}"
        raise


def compute(expr: sc.Expr, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The NumPy meaning of an expression over broadcast inputs."""
    result = sc.evaluate(expr, arrays)
    shape = np.broadcast_shapes(*(np.shape(a) for a in arrays))
    # An input that the body does not use still takes part in the shape.
    return result if result.shape == shape else np.broadcast_to(result, shape).copy()


def prepared(expr: sc.Expr, types: Sequence[TensorType]) -> Run:
    """`compute` for inputs of these types, worked out once."""
    run = sc.prepared(expr, [t.dtype for t in types])
    shape = broadcast_shapes("", types)

    def computed(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        result = run(arrays)
        return [result if result.shape == shape else np.broadcast_to(result, shape).copy()]

    return computed


def _listed(first: Sequence[str] | None, allowed: Sequence[str]) -> str:
    rest = " or ".join(allowed)
    return rest if first is None else f"{' or '.join(first)}, then {rest}"


def pointwise(
    name: str,
    count: int,
    scalar: Scalar,
    *,
    family: str,
    doc: str,
    dtypes: Sequence[str] = check.FLOATS,
    first: Sequence[str] | None = None,
    attrs: Mapping[str, Attr] | None = None,
    check_attrs: AttrCheck | None = None,
    tol: Mapping[str, float] = ROUNDED,
    nan: str = "propagate",
    partials: Partials | None = None,
    vjp: Rule | NotDifferentiable | None = None,
    strings: Callable[..., np.ndarray] | None = None,
) -> Row:
    """Register an elementwise row.

    Args:
        count: number of inputs; they broadcast.
        dtypes: what the inputs may be (uint8 is read as int32); all have the same dtype.
        first: dtypes of the first input if it differs from the others.
        check_attrs: raises E-OP-005 where an attribute is outside what the op allows.
        partials, vjp: see Row.
        strings: a comparison of NumPy, where the op compares strings, too (in Python only).
    """
    numbers = "int32" in dtypes
    bodies: dict[str, sc.Expr] = {}

    def made(given: Mapping[str, Any]) -> sc.Expr:
        """The body with these attributes, made once."""
        key = repr(given) if given else ""
        if key not in bodies:
            if len(bodies) > 256:
                bodies.clear()
            bodies[key] = body(scalar, count, given)
        return bodies[key]

    allowed = (*dtypes, "uint8") if numbers and "uint8" not in dtypes else dtypes

    def infer(types: Sequence[TensorType], given: Mapping[str, Any]) -> list[TensorType]:
        check.static(name, types)
        if strings is not None and {t.dtype for t in types} == {STRING}:
            return [TensorType(broadcast_shapes(name, types), "bool")]
        if check_attrs is not None:
            check_attrs(name, given)
        if first is not None:
            check.dtype(name, "input 0", types[0], first)
        start = 0 if first is None else 1
        alike = types[start:]
        for index, type in enumerate(alike, start):
            check.dtype(name, f"input {index}", type, allowed)
        if len({"int32" if t.dtype == "uint8" else t.dtype for t in alike}) > 1:
            raise check.dtype_error(
                name, "inputs", "the same dtype for all", ", ".join(map(str, alike))
            )
        return [result_type(name, made(given), types)]

    def evaluate(arrays: Sequence[np.ndarray], given: Mapping[str, Any]) -> list[np.ndarray]:
        if strings is not None and arrays[0].dtype == object:
            return [np.asarray(strings(*arrays), np.bool_)]
        return [compute(made(given), arrays)]

    def prepare(types: Sequence[TensorType], given: Mapping[str, Any]) -> Run:
        if strings is not None and types[0].dtype == STRING:
            return lambda arrays: evaluate(arrays, given)
        return prepared(made(given), types)

    return register(
        Row(
            name=name,
            family=family,
            arity=(count, count),
            infer=infer,
            eval=evaluate,
            doc=f"{doc} Takes {_listed(first, allowed)}.",
            attrs=attrs or {},
            scalar=scalar,
            prepare=prepare,
            wasm="loops",
            tol=tol,
            nan=nan,
            partials=partials,
            vjp=vjp,
        )
    )

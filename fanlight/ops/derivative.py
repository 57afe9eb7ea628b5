"""Derivatives of scalar bodies: a body in, the body of its derivative out.

Where a body has a kink, the derivative is that of the piece that the body computes there; of two
equal arguments `min` and `max` take the first one's. Rounding, casts to whole numbers, comparisons
and logic have no derivative: they are steps.
"""

from __future__ import annotations

from collections.abc import Callable

from fanlight.ops import scalar as sc
from fanlight.ops.scalar import Expr

_ZERO, _ONE = sc.const(0.0), sc.const(1.0)
# Their results are whole numbers or truth values, which do not move with their arguments.
STEPS = (
    *("floor", "ceil", "round", "trunc", "lt", "le", "eq", "and", "or", "not"),
    *("int32", "uint8", "bool", *sc.BITWISE),
)


def derivative(expr: Expr, index: int) -> Expr:
    """d expr / d a<index>, as an expression of the same arguments (Griewank & Walther 2008, 3.1).

    Args:
        expr: a body whose result is float32.
        index: of an argument that is float32.
    """
    known: dict[int, Expr] = {}
    for node in sc.topological(expr):
        if node.op == "arg":
            known[id(node)] = _ONE if node.value == index else _ZERO
        elif node.op == "const" or node.op in STEPS:
            known[id(node)] = _ZERO
        else:
            known[id(node)] = _RULES[node.op](node, [known[id(a)] for a in node.args])
    return known[id(expr)]


def add(a: Expr, b: Expr) -> Expr:
    """a + b, without adding a constant zero."""
    return b if a is _ZERO else a if b is _ZERO else a + b


def subtract(a: Expr, b: Expr) -> Expr:
    """a - b, likewise."""
    return a if b is _ZERO else -b if a is _ZERO else a - b


def times(a: Expr, b: Expr) -> Expr:
    """a * b, without multiplying by a constant one. Nothing times a constant zero is zero:
    the derivative of what does not depend on the argument, whatever its size.
    """
    if a is _ZERO or b is _ZERO:
        return _ZERO
    return b if a is _ONE else a if b is _ONE else a * b


def _choose(condition: Expr, a: Expr, b: Expr) -> Expr:
    return a if a is b else sc.where(condition, a, b)


def _div(node: Expr, d: list[Expr]) -> Expr:
    _, b = node.args
    if d[1] is _ZERO:
        return _ZERO if d[0] is _ZERO else d[0] / b
    return subtract(d[0], times(node, d[1])) / b


def _of(outer: Callable[[Expr], Expr]) -> Callable[[Expr, list[Expr]], Expr]:
    """The chain rule for an instruction of one argument."""
    return lambda node, d: times(d[0], outer(node)) if d[0] is not _ZERO else _ZERO


def _sign(x: Expr) -> Expr:
    return sc.where(x < 0, -1.0, sc.where(0 < x, 1.0, 0.0))


_RULES: dict[str, Callable[[Expr, list[Expr]], Expr]] = {
    "add": lambda node, d: add(*d),
    "sub": lambda node, d: subtract(*d),
    "mul": lambda node, d: add(times(d[0], node.args[1]), times(node.args[0], d[1])),
    "div": _div,
    "min": lambda node, d: _choose(node.args[1] < node.args[0], d[1], d[0]),
    "max": lambda node, d: _choose(node.args[0] < node.args[1], d[1], d[0]),
    "neg": lambda node, d: _ZERO if d[0] is _ZERO else -d[0],
    "abs": _of(lambda node: _sign(node.args[0])),
    "sqrt": _of(lambda node: 0.5 / node),
    "exp": _of(lambda node: node),
    "log": _of(lambda node: 1.0 / node.args[0]),
    "sin": _of(lambda node: sc.make("cos", node.args[0])),
    "cos": _of(lambda node: -sc.make("sin", node.args[0])),
    "select": lambda node, d: _choose(node.args[0], d[1], d[2]),
    # A cast of a float32 changes nothing; of anything else there is nothing to derive.
    "float32": lambda node, d: d[0],
}

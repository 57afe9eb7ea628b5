"""Sizes that depend on numbers (u0 in a program): arithmetic of counts.

A size of a program is a whole number known at import, or a `Count` (formats/counts.py). What is no
whole number (a fraction of two sizes, a comparison that the bounds do not decide) is a tensor
without dims.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fanlight.formats.counts import Bounded, Count, chosen, counted, limited, ranged
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.torch.call import Call
from fanlight.graph import Value
from fanlight.tensor import functions as fn

MOST = 2**31 - 1  # of what int32 holds
Size = int | Count


class Labelled:
    """A call as formats/counts.py and formats/places.py want it: its name is that of the node."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.em = call.em
        self.name = call.node.name
        self.op = call.op
        self.refuse = call.refuse


def concerns(target: str, args: Mapping[str, Any]) -> bool:
    """Whether a node computes with sizes of which one depends on numbers."""
    if target not in _FUNCTIONS:
        return False
    kinds: Any = Bounded if target.startswith("aten.") else Count | Value | np.ndarray
    return any(isinstance(v, kinds) for v in args.values())


def computed(call: Call) -> Any:
    """The result of such a node: a number, a count, or a tensor without dims."""
    many = 3 if call.node.target == "torch.sym_ite" else 1 if call.node.target in _OF_ONE else 2
    if call.node.target != "aten.sym_size.int" and len(call.args) != many:
        raise call.refuse("this is no arithmetic of sizes", expected=f"{many} arguments",
                          received=len(call.args))  # fmt: skip
    return plain(_FUNCTIONS[call.node.target](call, *call.args.values()))


def plain(size: Any) -> Any:
    """A count that is known as the number that it is."""
    return size.constant if isinstance(size, Count) and not size.terms else size


def argument(call: Call, name: str = "self") -> Any:
    """A tensor argument, counted or not; E-FORMAT-005 if it is none."""
    value = call.get(name)
    return value if isinstance(value, Bounded) else call.x(name)


def arguments(call: Call, name: str, optional: bool = False) -> list[Any]:
    """A list of tensors, counted or not, not empty; of indices, some may be None."""
    values = call.get(name)
    kinds: Any = Bounded | Value | np.ndarray | (None if optional else Bounded)
    if not isinstance(values, list) or not values or not all(isinstance(v, kinds) for v in values):
        raise call.refuse(f"{name} are no tensors", received=repr(values)[:80])
    return list(values)


def sizes_of(call: Call, name: str) -> list[Size]:
    """A list of sizes, of which some may be counts."""
    values = call.get(name)
    values = [values] if isinstance(values, int | Count) else values
    if not isinstance(values, list) or len(values) > 64 or not all(map(_is_size, values)):
        raise call.refuse(f"{name} are no sizes", received=repr(values)[:80])
    return list(values)


def size_of(call: Call, name: str) -> Size:
    """A size, which may be a count."""
    value = call.get(name)
    return value if isinstance(value, Count) else call.whole(name)


def as_number(call: Any, value: Any) -> Any:
    """A count as the int32 tensor without dims that holds it; anything else as it is."""
    return value.value(call) if isinstance(value, Count) else value


# --- whole numbers --------------------------------------------------------------------------------


def _corners(function: Callable[[int, int], int], a: Count, b: Count) -> tuple[int, int]:
    found = [function(x, y) for x in (a.least, a.most) for y in (b.least, b.most)]
    return max(min(found), -MOST), min(max(found), MOST)


def _made(call: Any, op: str, a: Count, b: Count, limits: tuple[int, int]) -> Count:
    value = call.op(op, a.value(call), b.value(call), part="size")
    return ranged(call, value, *limits)


def product(call: Any, a: Size, b: Size) -> Count:
    x, y = counted(a), counted(b)
    if not y.terms:
        return x * y.constant
    if not x.terms:
        return y * x.constant
    return _made(call, "mul", x, y, _corners(lambda p, q: p * q, x, y))


def divided(call: Any, a: Size, by: int) -> Count:
    """The whole part of a count by a known number of 1 or more."""
    x = counted(a)
    if by < 1:
        raise call.refuse("a size is divided by what is not 1 or more", received=by)
    if all(n % by == 0 for n in (x.constant, *(f for _, f, _ in x.terms))):
        return Count(x.constant // by, tuple((v, f // by, m) for v, f, m in x.terms))
    return _made(call, "floor_div", x, Count(by), (x.least // by, x.most // by))


def _remainder(call: Call, a: Any, by: Any) -> Any:
    if not isinstance(by, int) or by < 1:
        return _number("floor_mod")(call, a, by)
    return _made(call, "floor_mod", counted(a), Count(by), (0, by - 1))


def least_of(call: Any, a: Size, b: Size) -> Count:
    x, y = counted(a), counted(b)
    if x.most <= y.least or y.most <= x.least:
        return x if x.most <= y.least else y
    if not y.terms:
        return limited(call, x, y.constant)
    if not x.terms:
        return limited(call, y, x.constant)
    return _made(call, "minimum", x, y, (min(x.least, y.least), min(x.most, y.most)))


def most_of(call: Any, a: Size, b: Size) -> Count:
    x, y = counted(a), counted(b)
    if x.least >= y.most or y.least >= x.most:
        return x if x.least >= y.most else y
    return _made(call, "maximum", x, y, (max(x.least, y.least), max(x.most, y.most)))


# --- what may be a fraction or a truth ------------------------------------------------------------


def _is_size(value: Any) -> bool:
    return isinstance(value, Count | int) and not isinstance(value, bool)


def _tensor(call: Call, value: Any, kind: str) -> Tensor:
    value = as_number(call, value)
    if isinstance(value, Value | np.ndarray):
        return call.cast(value, kind, "number")
    if not isinstance(value, bool | int | float):
        raise call.refuse("this is no arithmetic of sizes", received=repr(value)[:80])
    return call.em.const(value, kind)


def _number(op: str) -> Callable[..., Tensor]:
    """An op on numbers of which one is no size."""

    def compute(call: Call, *values: Any) -> Tensor:
        fractions = any(
            isinstance(v, float) or (isinstance(v, Value | np.ndarray) and dtype_of(v) == "float32")
            for v in values
        )
        kind = "float32" if fractions or op == "div" else "int32"
        made: Tensor = call.op(op, *(_tensor(call, v, kind) for v in values))
        return made

    return compute


def _of_sizes(function: Callable[..., Any], op: str) -> Callable[..., Any]:
    """A function of sizes; of anything else, the op."""

    def compute(call: Call, *values: Any) -> Any:
        if all(map(_is_size, values)):
            return function(call, *values)
        return _number(op)(call, *values)

    return compute


def _floor_div(call: Call, a: Any, b: Any) -> Any:
    if _is_size(a) and isinstance(b, int) and b >= 1:
        return divided(call, a, b)
    return _number("floor_div")(call, a, b)


def _compared(op: str, difference: Callable[[Count, Count], Count]) -> Callable[..., Any]:
    """A comparison that is true where a difference is more than 0."""

    def compute(call: Call, a: Any, b: Any) -> Any:
        if _is_size(a) and _is_size(b):
            apart = difference(counted(a), counted(b))
            if apart.least > 0 or apart.most <= 0:
                return apart.least > 0
        return _number(op)(call, a, b)

    return compute


def _equal(op: str, equal: bool) -> Callable[..., Any]:
    def compute(call: Call, a: Any, b: Any) -> Any:
        if _is_size(a) and _is_size(b):
            apart = counted(a) - b
            if not apart.terms:
                return (apart.constant == 0) is equal
            if apart.least > 0 or apart.most < 0:
                return not equal
        return _number(op)(call, a, b)

    return compute


def _truths(op: str) -> Callable[..., Any]:
    def compute(call: Call, *values: Any) -> Any:
        made: Tensor = call.op(op, *(_tensor(call, v, "bool") for v in values))
        return made

    return compute


def _whole(function: Callable[[Any], Any]) -> Callable[[Call, Any], Any]:
    """A fraction as a size, in the limits that the program says."""

    def compute(call: Call, x: Any) -> Any:
        if _is_size(x):
            return x
        value = call.function(function, _tensor(call, x, "float32"))
        return from_tensor(call, call.em.cast(value, "int32", call.name("size")))

    return compute


def from_tensor(call: Any, value: Tensor) -> Any:
    """The size that an int32 without dims holds, in the limits that the program says of it."""
    if isinstance(value, np.ndarray):
        return int(value)
    low, high = call.limits.get(0, (None, None))
    low = -MOST if low is None else max(low, -MOST)
    return ranged(call, value, low, MOST if high is None else min(high, MOST))


def _either(call: Any, which: Any, a: Any, b: Any) -> Any:
    if isinstance(which, bool):
        return a if which else b
    if _is_size(a) and _is_size(b):
        return chosen(call, which, counted(a), counted(b))
    kind = "bool" if isinstance(a, bool) else "float32"
    made: Tensor = call.op("select", which, _tensor(call, a, kind), _tensor(call, b, kind))
    return made


def _size(call: Call, x: Any, *_: Any) -> Any:
    axis = call.axis("dim", len(x.shape))
    return x.count if axis == x.axis else int(x.shape[axis])


def _elements(call: Call, x: Any) -> Any:
    return x.count * math.prod(d for a, d in enumerate(x.shape) if a != x.axis)


def _trunc(x: Any) -> Any:
    return fn.where(fn.less(x, 0.0), fn.ceil(x), fn.floor(x))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "aten.sym_size.int": _size,
    "aten.sym_numel.default": _elements,
    "_operator.add": _of_sizes(lambda c, a, b: counted(a) + b, "add"),
    "_operator.sub": _of_sizes(lambda c, a, b: counted(a) - b, "sub"),
    "_operator.mul": _of_sizes(product, "mul"),
    "_operator.neg": _of_sizes(lambda c, a: counted(a) * -1, "neg"),
    "_operator.abs": _of_sizes(lambda c, a: most_of(c, a, counted(a) * -1), "abs"),
    "_operator.pos": lambda call, a: a,
    "_operator.floordiv": _floor_div,
    "_operator.mod": _of_sizes(_remainder, "floor_mod"),
    "_operator.truediv": _number("div"),
    "_operator.pow": _number("pow"),
    "_operator.eq": _equal("equal", True),
    "_operator.ne": _equal("not_equal", False),
    "_operator.lt": _compared("less", lambda a, b: b - a),
    "_operator.le": _compared("less_equal", lambda a, b: b - a + 1),
    "_operator.gt": _compared("greater", lambda a, b: a - b),
    "_operator.ge": _compared("greater_equal", lambda a, b: a - b + 1),
    "_operator.and_": _truths("logical_and"),
    "_operator.or_": _truths("logical_or"),
    "_operator.not_": _truths("logical_not"),
    "torch.sym_not": _truths("logical_not"),
    "torch.sym_max": _of_sizes(most_of, "maximum"),
    "torch.sym_min": _of_sizes(least_of, "minimum"),
    "torch.sym_float": lambda call, x: _tensor(call, x, "float32"),
    "torch.sym_int": _whole(_trunc),
    "torch.sym_ite": _either,
    "math.ceil": _whole(fn.ceil),
    "math.floor": _whole(fn.floor),
    "math.trunc": _whole(_trunc),
}
_FUNCTIONS["torch.ops.math.ceil"] = _FUNCTIONS["math.ceil"]
_OF_ONE = frozenset(
    (
        "aten.sym_numel.default _operator.neg _operator.abs _operator.pos _operator.not_ "
        "torch.sym_not torch.sym_float torch.sym_int math.ceil math.floor math.trunc "
        "torch.ops.math.ceil"
    ).split()
)

"""Importers of elementwise primitives: arithmetic, comparisons, logic, dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.jaxpr.call import HANDLERS, Call, Handler, importer
from fanlight.tensor import functions as fn

_UNARY = {
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "tanh": "tanh",
    "logistic": "sigmoid", "erf": "erf", "sqrt": "sqrt", "rsqrt": "rsqrt", "sin": "sin",
    "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh",
    "cosh": "cosh", "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "neg": "neg",
    "square": "square", "is_finite": "is_finite",
}  # fmt: skip
_ROUND = {"abs": "abs", "sign": "sign", "floor": "floor", "ceil": "ceil"}
_BINARY = {
    "add": "add", "add_any": "add", "sub": "sub", "mul": "mul", "div": "div", "max": "maximum",
    "min": "minimum", "atan2": "atan2",
}  # fmt: skip
_COMPARE = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip
_LOGIC = {
    "and": ("logical_and", "bitwise_and"), "or": ("logical_or", "bitwise_or"),
    "xor": ("not_equal", "bitwise_xor"),
}  # fmt: skip


def _plain(op: str) -> Handler:
    return lambda call: call.op(op, *(call.x(i) for i in range(len(call.inputs))))


for _name, _op in {**_UNARY, **_BINARY, **_COMPARE}.items():
    HANDLERS[_name] = _plain(_op)


def _in_total_order(op: str) -> Handler:
    """`lt_to` and `le_to`, by which jax.numpy searches: NaN comes after all numbers, and is as
    great as itself. Zeros are taken as equal: jax.numpy takes the signs of zeros and NaN away
    before it compares, which the plain primitives would still tell apart.
    """

    def compute(call: Call) -> Tensor:
        a, b = call.x(0), call.x(1)
        made: Tensor = call.op(op, a, b)
        never = isinstance(b, np.ndarray) and not np.isnan(b).any()
        if dtype_of(b) != "float32" or never:
            return made
        last = call.op("not_equal", b, b)
        if op == "less":
            last = call.op("logical_and", last, call.op("equal", a, a))
        made = call.op("logical_or", made, last)
        return made

    return compute


HANDLERS["lt_to"] = _in_total_order("less")
HANDLERS["le_to"] = _in_total_order("less_equal")


def _rounding(op: str) -> Handler:
    def compute(call: Call) -> Tensor:
        x = call.x()
        whole = dtype_of(x) != "float32" and op in ("floor", "ceil")
        return x if whole or dtype_of(x) == "bool" else call.op(op, x)

    return compute


for _name, _op in _ROUND.items():
    HANDLERS[_name] = _rounding(_op)


def _logic(of_bools: str, of_bits: str) -> Handler:
    def compute(call: Call) -> Tensor:
        a, b = call.x(0), call.x(1)
        return call.op(of_bools if dtype_of(a) == "bool" else of_bits, a, b)

    return compute


for _name, _pair in _LOGIC.items():
    HANDLERS[_name] = _logic(*_pair)


def logic(call: Call, op: str, a: Tensor, b: Tensor) -> Tensor:
    """The binary op of JAX's name ("add", "max", "and") on two tensors."""
    if op in _LOGIC:
        made: Tensor = call.op(_LOGIC[op][dtype_of(a) != "bool"], a, b)
        return made
    if dtype_of(a) == "bool" and op in ("max", "min"):
        made = call.op("logical_or" if op == "max" else "logical_and", a, b)
        return made
    # What the reductions of jax.numpy begin with changes nothing.
    neutral = {"max": -math.inf, "min": math.inf}.get(op)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, np.ndarray) and one.ndim == 0 and one == neutral:
            return other
    made = call.op(_BINARY[op], a, b)
    return made


HANDLERS["max"] = lambda call: logic(call, "max", call.x(0), call.x(1))
HANDLERS["min"] = lambda call: logic(call, "min", call.x(0), call.x(1))


@importer("not")
def not_(call: Call) -> Tensor:
    x = call.x()
    return call.op("logical_not" if dtype_of(x) == "bool" else "bitwise_not", x)


@importer("shift_left")
def shift_left(call: Call) -> Tensor:
    return call.op("left_shift", call.x(0), call.x(1))


@importer("shift_right_logical")
def shift_right_logical(call: Call) -> Tensor:
    return call.op("right_shift", call.x(0), call.x(1), logical=True)


@importer("shift_right_arithmetic")
def shift_right_arithmetic(call: Call) -> Tensor:
    return call.op("right_shift", call.x(0), call.x(1))


@importer("round")
def round_(call: Call) -> Tensor:
    """Halves away from zero (0, the default) or to the even number (1)."""
    x = call.x()
    if int(call.params.get("rounding_method", 0)) == 1:
        return call.op("round", x)

    def away(x: Any) -> Any:
        # Of 0.49999997 plus 0.5 would round up: the half is looked at in what is left.
        whole = fn.floor(fn.abs(x))
        up = fn.greater_equal(fn.sub(fn.abs(x), whole), 0.5)
        return fn.mul(fn.sign(x), fn.where(up, fn.add(whole, 1.0), whole))

    return call.function(away, x)


@importer("integer_pow")
def integer_pow(call: Call) -> Tensor:
    """By squaring, as XLA does it; a negative power is one over the positive one."""
    x, power = call.x(), int(call.params["y"])
    if power == 0:
        return call.broadcast(call.em.const(1, dtype_of(x)), x.shape)
    made: Tensor | None = None
    square, left = x, abs(power)
    while left:
        if left & 1:
            made = square if made is None else call.op("mul", made, square)
        left >>= 1
        if left:
            square = call.op("square", square)
    assert made is not None
    return made if power > 0 else call.op("reciprocal", made)


@importer("pow")
def pow_(call: Call) -> Tensor:
    return call.op("pow", call.x(0, "float32"), call.x(1, "float32"))


@importer("exp2")
def exp2(call: Call) -> Tensor:
    return call.op("exp", call.op("mul", call.x(), call.em.const(math.log(2))))


@importer("erfc")
def erfc(call: Call) -> Tensor:
    return call.op("sub", call.em.const(1.0), call.op("erf", call.x()))


@importer("cbrt")
def cbrt(call: Call) -> Tensor:
    """The power 1/3 of the size, with the sign put back, and one step of Newton's."""

    def compute(x: Any) -> Any:
        size = fn.abs(x)
        # log of 0 is no number to go on with.
        root = fn.exp(fn.mul(fn.log(fn.maximum(size, 1e-38)), 1 / 3))
        better = fn.sub(root, fn.div(fn.sub(fn.mul(root, fn.square(root)), size),
                                     fn.mul(3.0, fn.square(root))))  # fmt: skip
        return fn.mul(fn.sign(x), fn.where(fn.is_finite(size), better, size))

    return call.function(compute, call.x())


@importer("rem")
def rem(call: Call) -> Tensor:
    """The remainder with the sign of the dividend."""
    a, b = call.x(0), call.x(1)
    size = call.op("floor_mod", call.op("abs", a), call.op("abs", b))
    below = call.op("less", a, call.em.const(0, dtype_of(a)))
    return call.op("select", below, call.op("neg", size), size)


@importer("clamp")
def clamp(call: Call) -> Tensor:
    low, x, high = call.x(0), call.x(1), call.x(2)
    if all(isinstance(v, np.ndarray) and v.size == 1 for v in (low, high)):
        ends = [np.asarray(v).reshape(-1)[0].item() for v in (low, high)]
        if not any(math.isnan(v) for v in ends) and ends[0] <= ends[1]:
            return call.op("clip", x, lo=ends[0], hi=ends[1])
    return call.op("minimum", call.op("maximum", x, low), high)


@importer("select_n")
def select_n(call: Call) -> Tensor:
    """One of several tensors, by a bool or a number; a lone `which` is for all elements."""
    which = call.x(0)
    cases = [call.x(i) for i in range(1, len(call.inputs))]
    if dtype_of(which) == "bool":
        return call.op("select", which, cases[-1], cases[0])
    made = cases[0]
    for number, case in enumerate(cases[1:], start=1):
        taken = call.op("equal", which, call.em.const(number, "int32"))
        made = call.op("select", taken, case, made)
    return made


@importer("convert_element_type")
def convert(call: Call) -> Tensor:
    """To bool: what is not 0; to whole numbers towards zero. Narrow ones wrap around."""
    x, wanted = call.x(), str(call.params["new_dtype"])
    bits = {"int8": 24, "int16": 16, "uint16": 16}.get(wanted)
    if dtype_of(x) == "bool" or (bits is None and wanted != "uint8"):
        return call.cast(x, call.dtype)
    if dtype_of(x) == "float32":
        return call.cast(x, call.dtype)
    if wanted == "uint8":
        whole = call.cast(x, "int32")
        return call.cast(call.op("bitwise_and", whole, call.em.const(255, "int32")), "uint8")
    places = call.em.const(bits or 0, "int32")
    shifted = call.op("left_shift", call.cast(x, "int32"), places)
    return call.op("right_shift", shifted, places, logical=wanted == "uint16")


@importer("reduce_precision")
def reduce_precision(call: Call) -> Tensor:
    """Numbers stay as exact as they are: graphs compute in float32."""
    return call.x()


@importer("copy", "copy_p", "stop_gradient", "optimization_barrier", "device_put",
          "sharding_constraint", "mesh_cast", "pvary", "name", "reshard",
          "layout_constraint")  # fmt: skip
def same(call: Call) -> Any:
    return [call.x(i) for i in range(len(call.inputs))]

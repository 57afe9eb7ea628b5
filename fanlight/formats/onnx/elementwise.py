"""Importers of ops that work element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, reduce

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer

_FLOAT_UNARY = {
    "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Sin": "sin", "Cos": "cos", "Tan": "tan",
    "Asin": "asin", "Acos": "acos", "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh",
    "Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh", "Erf": "erf",
    "Reciprocal": "reciprocal", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus",
    "Softsign": "softsign", "HardSwish": "hard_swish", "Mish": "mish",
}  # fmt: skip
_ANY_UNARY = {"Abs": "abs", "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sign": "sign"}


def _of(op: str) -> Callable[[Call], Tensor]:
    return lambda call: call.op(op, call.f32())


def _plain(op: str, count: int, call: Call) -> Tensor:
    return call.op(op, *(call.x(i) for i in range(count)))


for _name, _op in _FLOAT_UNARY.items():
    importer(_name)(_of(_op))
for _name, _op in _ANY_UNARY.items():
    importer(_name)(partial(_plain, _op, 1))


def wrapped(call: Call, x: Tensor, kind: int, part: str = "wrapped") -> Tensor:
    """Whole numbers taken back into the range of their kind, as its bits would wrap around."""
    limits = kinds.LIMITS.get(kind)
    if limits is None or dtype_of(x) != "int32":
        return x
    low, high = limits
    kept = call.op("bitwise_and", x, call.const(high - low, "int32"), part=f"{part}/bits")
    if low:
        sign = call.const(-low, "int32")
        kept = call.op("bitwise_xor", kept, sign, part=f"{part}/sign")
        kept = call.op("sub", kept, sign, part=part)
    return kept


@importer("Neg")
def neg(call: Call) -> Tensor:
    return wrapped(call, call.op("neg", call.x()), call.kind())


@importer("Identity", "Optional")
def identity(call: Call) -> object:
    if not call.inputs:
        return None
    return call.inputs[0]


@importer("Relu")
def relu(call: Call) -> Tensor:
    return (
        call.op("relu", call.x())
        if dtype_of(call.x()) == "float32"
        else call.op("maximum", call.x(), call.const(0, dtype_of(call.x())))
    )


@importer("LeakyRelu")
def leaky_relu(call: Call) -> Tensor:
    return call.op("leaky_relu", call.f32(), alpha=call.real("alpha", 0.01))


@importer("Elu")
def elu(call: Call) -> Tensor:
    return call.op("elu", call.f32(), alpha=call.real("alpha", 1.0))


@importer("Selu")
def selu(call: Call) -> Tensor:
    alpha, gamma = (
        call.real("alpha", 1.67326319217681884765625),
        call.real("gamma", 1.05070102214813232421875),
    )
    inner = call.op("elu", call.f32(), part="elu", alpha=alpha)
    return call.op("mul", inner, call.const(gamma))


@importer("Celu")
def celu(call: Call) -> Tensor:
    alpha = call.real("alpha", 1.0)
    scaled = call.op("div", call.f32(), call.const(alpha), part="scaled")
    return call.op("mul", call.op("elu", scaled, part="elu"), call.const(alpha))


@importer("ThresholdedRelu")
def thresholded_relu(call: Call) -> Tensor:
    x = call.f32()
    above = call.op("greater", x, call.const(call.real("alpha", 1.0)), part="above")
    return call.op("select", above, x, call.const(0.0))


@importer("HardSigmoid")
def hard_sigmoid(call: Call) -> Tensor:
    return call.op(
        "hard_sigmoid", call.f32(), alpha=call.real("alpha", 0.2), beta=call.real("beta", 0.5)
    )


@importer("Shrink")
def shrink(call: Call) -> Tensor:
    x, lambd, bias = call.f32(), call.real("lambd", 0.5), call.real("bias", 0.0)
    low = call.op("less", x, call.const(-lambd), part="low")
    high = call.op("greater", x, call.const(lambd), part="high")
    raised = call.op("add", x, call.const(bias), part="raised")
    lowered = call.op("sub", x, call.const(bias), part="lowered")
    rest = call.op("select", high, lowered, call.const(0.0), part="rest")
    return call.cast(call.op("select", low, raised, rest), dtype_of(call.x()))


@importer("Swish")
def swish(call: Call) -> Tensor:
    alpha = call.real("alpha", 1.0)
    if alpha == 1.0:
        return call.op("swish", call.f32())
    gate = call.op("mul", call.f32(), call.const(alpha), part="scaled")
    return call.op("mul", call.f32(), call.op("sigmoid", gate, part="gate"))


@importer("Gelu")
def gelu(call: Call) -> Tensor:
    return call.op("gelu", call.f32(), approximate=call.text("approximate", "none") == "tanh")


@importer("SwiGLU")
def swiglu(call: Call) -> Tensor:
    return call.op("mul", swish(call), call.f32(1))


@importer("Erfc")
def erfc(call: Call) -> Tensor:
    """No op of ONNX, but tf2onnx writes it."""
    return call.op("sub", call.const(1.0), call.op("erf", call.f32(), part="erf"))


@importer("PRelu")
def prelu(call: Call) -> Tensor:
    x, slope = call.x(), call.x(1)
    if dtype_of(x) == "float32":
        negative = call.op("less", x, call.const(0.0), part="negative")
        # A slope for each channel of [N, C, H, W] comes as [C, 1, 1], which broadcasts as it is.
        return call.op("select", negative, call.op("mul", x, slope, part="sloped"), x)
    negative = call.op("less", x, call.const(0, dtype_of(x)), part="negative")
    return call.op("select", negative, call.op("mul", x, slope, part="sloped"), x)


@importer("IsNaN")
def is_nan(call: Call) -> Tensor:
    return call.op("is_nan", call.f32())


@importer("IsInf")
def is_inf(call: Call) -> Tensor:
    x = call.f32()
    up, down = call.flag("detect_positive", True), call.flag("detect_negative", True)
    if up and down:
        return call.op("is_inf", x)
    if not up and not down:
        return call.em.full(x.shape, False, "bool", call.where)
    side = call.op("greater" if up else "less", x, call.const(0.0), part="side")
    return call.op("logical_and", call.op("is_inf", x, part="infinite"), side)


@importer("Not")
def logical_not(call: Call) -> Tensor:
    return call.op("logical_not", call.x())


# --- two inputs -----------------------------------------------------------------------------------


def _two(op: str) -> Callable[[Call], Tensor]:
    def make(call: Call) -> Tensor:
        a, b = call.x(0), call.x(1)
        if dtype_of(a) == "bool" and op in ("add", "mul"):
            return call.op("logical_or" if op == "add" else "logical_and", a, b)
        return wrapped(call, call.op(op, a, b), call.kind())

    return make


for _name, _op in {"Add": "add", "Sub": "sub", "Mul": "mul"}.items():
    importer(_name)(_two(_op))
for _name, _op in {"And": "logical_and", "Or": "logical_or"}.items():
    importer(_name)(partial(_plain, _op, 2))


@importer("Xor")
def xor(call: Call) -> Tensor:
    return call.op("not_equal", *(call.cast(call.x(i), "int32", f"int{i}") for i in (0, 1)))


def _compare(op: str) -> Callable[[Call], Tensor]:
    def make(call: Call) -> Tensor:
        a, b = call.x(0), call.x(1)
        if dtype_of(a) == "bool":
            a, b = call.cast(a, "int32", "a"), call.cast(b, "int32", "b")
        return call.op(op, a, b)

    return make


for _name, _op in {"Equal": "equal", "Less": "less", "LessOrEqual": "less_equal",
                   "Greater": "greater", "GreaterOrEqual": "greater_equal"}.items():  # fmt: skip
    importer(_name)(_compare(_op))


@importer("Div")
def div(call: Call) -> Tensor:
    return wrapped(call, call.op("div", call.x(0), call.x(1)), call.kind())


@importer("Mod")
def mod(call: Call) -> Tensor:
    a, b = call.x(0), call.x(1)
    if not call.flag("fmod"):
        return call.op("floor_mod", a, b)
    # The remainder with the sign of a, as C has it.
    dtype = dtype_of(a)
    if dtype == "uint8":
        return call.op("floor_mod", a, b)
    size = call.op("floor_mod", call.op("abs", a, part="abs"), call.op("abs", b, part="by"),
                   part="size")  # fmt: skip
    negative = call.op("less", a, call.const(0, dtype), part="negative")
    return call.op("select", negative, call.op("neg", size, part="turned"), size)


@importer("Pow")
def pow_(call: Call) -> Tensor:
    x, power = call.x(0), call.x(1)
    if isinstance(power, np.ndarray) and power.size == 1 and len(power.shape) <= len(x.shape):
        value = float(power.reshape(-1)[0])
        shape = tuple(np.broadcast_shapes(tuple(x.shape), power.shape))
        if value in (1.0, 2.0) and shape == tuple(x.shape):
            return x if value == 1.0 else call.op("square", x)
    y = call.op("pow", call.f32(0), call.f32(1), part="pow")
    if dtype_of(x) == "float32":
        return y
    # Of a whole exponent what comes out is whole but for rounding; else it is cut, as by a cast.
    whole = call.op("equal", call.f32(1), call.op("floor", call.f32(1), part="down"), part="is")
    y = call.op("select", whole, call.op("round", y, part="whole"), y, part="either")
    return call.cast(y, dtype_of(x), "number")


@importer("BitShift")
def bit_shift(call: Call) -> Tensor:
    x, by = (call.cast(call.x(i), "int32", f"bits{i}") for i in (0, 1))
    right = call.text("direction") == "RIGHT"
    signed = call.kind() in (kinds.INT8, kinds.INT16, kinds.INT32, kinds.INT64)
    # By less than 0, or by all bits and more, nothing of the number stays but its sign.
    low = call.op("less", by, call.const(0, "int32"), part="low")
    high = call.op("greater", by, call.const(31, "int32"), part="high")
    outside = call.op("logical_or", low, high, part="outside")
    last = call.const(31, "int32")
    if right:
        by = call.op("select", outside, last, by, part="by")
        y = call.op("right_shift", x, by, part="shifted", logical=not signed)
    else:
        y = call.op("left_shift", x, by, part="shifted")
    if not signed or not right:
        y = call.op("select", outside, call.const(0, "int32"), y, part="rest")
    return call.cast(wrapped(call, y, call.kind()), dtype_of(call.x()), "back")


for _name, _op in {"BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or",
                   "BitwiseXor": "bitwise_xor"}.items():  # fmt: skip

    def _bitwise(call: Call, op: str = _op) -> Tensor:
        a, b = (call.cast(call.x(i), "int32", f"bits{i}") for i in (0, 1))
        return call.cast(call.op(op, a, b), dtype_of(call.x()), "back")

    importer(_name)(_bitwise)


@importer("BitwiseNot")
def bitwise_not(call: Call) -> Tensor:
    x = call.cast(call.x(), "int32", "bits")
    y = wrapped(call, call.op("bitwise_not", x), call.kind())
    return call.cast(y, dtype_of(call.x()), "back")


# --- several inputs -------------------------------------------------------------------------------


def _folded(call: Call, op: str) -> Tensor:
    parts = [call.x(i) for i in range(max(len(call.inputs), 1))]
    return reduce(lambda a, b: call.op(op, a, b, part="part"), parts)


@importer("Max")
def max_(call: Call) -> Tensor:
    return _folded(call, "maximum")


@importer("Min")
def min_(call: Call) -> Tensor:
    return _folded(call, "minimum")


@importer("Sum")
def sum_(call: Call) -> Tensor:
    return _folded(call, "add")


@importer("Mean")
def mean(call: Call) -> Tensor:
    return call.op("mul", _folded(call, "add"), call.const(1 / len(call.inputs)))


@importer("Where")
def where(call: Call) -> Tensor:
    return call.op("select", call.x(0), call.x(1), call.x(2))


@importer("Clip")
def clip(call: Call) -> Tensor:
    """Limits are attributes up to opset 10, inputs from 11 on."""
    x = call.x()
    dtype = dtype_of(x)
    limits: list[Tensor | None] = [call.maybe(1), call.maybe(2)]
    if call.opset < 11:
        limits = [
            call.const(call.real(n)) if n in call.attributes else None for n in ("min", "max")
        ]
    known = [x_ for x_ in limits if isinstance(x_, np.ndarray)]
    if dtype == "float32" and len(known) == len([x_ for x_ in limits if x_ is not None]):
        low, high = (
            default if t is None else float(np.asarray(t).reshape(-1)[0])
            for t, default in zip(limits, (-math.inf, math.inf), strict=True)
        )
        if low <= high:
            return call.op("relu6", x) if (low, high) == (0.0, 6.0) else call.op(
                "clip", x, lo=low, hi=high)  # fmt: skip
    for op, limit in zip(("maximum", "minimum"), limits, strict=True):
        if limit is not None:
            x = call.op(op, x, call.reshape(limit, ()), part=op)
    return x


# --- casts ----------------------------------------------------------------------------------------


def cast_to(call: Call, x: Tensor, source: int, kind: int) -> Tensor:
    """Between element types: floats are cut to whole numbers, whole numbers wrap around."""
    if kind in (kinds.STRING, *range(kinds.F8E4M3FN, kinds.F8E5M2FNUZ + 1)):
        kinds.dtype_of_kind(kind, call.where)
    dtype = kinds.dtype_of_kind(kind, call.where)
    have = dtype_of(x)
    if kind == kinds.BFLOAT16 and have == "float32" and source != kind:
        return _rounded(call, x, 16)
    if kind == kinds.FLOAT16 and isinstance(x, np.ndarray) and have == "float32":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    if have == dtype and kinds.LIMITS.get(source) == kinds.LIMITS.get(kind):
        return x
    if dtype in ("int32", "uint8") and kind in kinds.LIMITS:
        whole = call.cast(x, "int32", "whole")
        return call.cast(wrapped(call, whole, kind), dtype, "cast")
    return call.cast(x, dtype)


def _rounded(call: Call, x: Tensor, drop: int) -> Tensor:
    """float32 rounded to 24 - drop bits. Source: Veltkamp's splitting (Dekker 1971)."""
    big = call.op("mul", x, call.const(float((1 << drop) + 1)), part="big")
    kept = call.op("sub", big, call.op("sub", big, x, part="low"), part="kept")
    fine = call.op("less", call.op("abs", x, part="size"), call.const(1e33), part="fine")
    return call.op("select", fine, kept, x)


@importer("Cast")
def cast(call: Call) -> Tensor:
    kind = call.whole("to")
    call.made_kinds[0] = kind
    return cast_to(call, call.x(), call.kind(), kind)


@importer("CastLike")
def cast_like(call: Call) -> Tensor:
    kind = call.kind(1)
    call.made_kinds[0] = kind
    return cast_to(call, call.x(), call.kind(), kind)

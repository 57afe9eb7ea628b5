"""Elementwise ops as ops of ONNX; where their images are turned, they compute as they lie."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from fanlight.formats.onnx_writer import proto
from fanlight.formats.onnx_writer.nodes import Out
from fanlight.graph import Value

SAME = {
    "abs": "Abs", "neg": "Neg", "sign": "Sign", "sqrt": "Sqrt", "reciprocal": "Reciprocal",
    "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos", "erf": "Erf", "floor": "Floor",
    "ceil": "Ceil", "round": "Round", "logical_not": "Not", "is_nan": "IsNaN", "is_inf": "IsInf",
    "add": "Add", "sub": "Sub", "mul": "Mul", "pow": "Pow", "maximum": "Max", "minimum": "Min",
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or",
    "select": "Where", "tan": "Tan", "asin": "Asin",
    "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh",
    "acosh": "Acosh", "atanh": "Atanh", "relu": "Relu", "selu": "Selu", "sigmoid": "Sigmoid",
    "tanh": "Tanh", "softplus": "Softplus", "softsign": "Softsign",
    "hard_swish": "HardSwish", "prelu": "PRelu", "after": "Identity",
}  # fmt: skip
BITS = {"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor",
        "bitwise_not": "BitwiseNot"}  # fmt: skip
_WITH = {
    "leaky_relu": ("LeakyRelu", ("alpha",)),
    "elu": ("Elu", ("alpha",)),
    "hard_sigmoid": ("HardSigmoid", ("alpha", "beta")),
}
Formula = Callable[[Out, list[str]], str]


def operands(o: Out) -> list[str]:
    """The inputs in one layout: turned if an image among them is, and the others can be."""
    values = o.node.inputs
    if o.node.op == "after":
        values = values[:1]
    rank = len(o.node.output.shape)
    turn = rank == 4 and any(o.w.is_turned(v) for v in values)
    if not turn or not all(len(v.shape) == 4 or _vector(o, v) for v in values):
        return [o.w.plain(v) for v in values]
    o.is_turned = True
    return [o.w.turned(v) if len(v.shape) == 4 else _channels(o, v) for v in values]


def _vector(o: Out, v: Value) -> bool:
    """Whether it is a number, or a constant one for each channel."""
    return not v.shape or (len(v.shape) <= 3 and o.w.array(v) is not None)


def _channels(o: Out, v: Value) -> str:
    array = o.w.array(v)
    if array is None or not v.shape:
        return o.w.plain(v)
    image = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(0, 3, 1, 2)
    return o.w.const(np.ascontiguousarray(image[0]), f"{v.name}/channels")


def _floor_div(o: Out, x: list[str]) -> str:
    """Of whole numbers: what is cut off by `Div`, less one where its rest has the wrong sign."""
    if o.type().dtype == "float32":
        return o.op("Floor", o.op("Div", *x, part="div"))
    by = _divisor(o, x[1])
    cut = o.op("Div", x[0], by, part="cut")
    rest = o.op("Sub", x[0], o.op("Mul", cut, by, part="mul"), part="rest")
    wrong = o.op("Not", o.op("Equal", rest, o.op("Mod", x[0], by, part="mod"), part="same"),
                 part="wrong")  # fmt: skip
    less = o.op("Cast", wrong, part="less", to=proto.TYPES["int32"])
    return _where_divided(o, x[1], o.op("Sub", cut, less, part="down"))


def _divisor(o: Out, b: str) -> str:
    """The divisor with 1 for 0: whole numbers are not divided by 0."""
    if _never_zero(o):
        return b
    none = o.op("Equal", b, o.w.scalar(0, "int32"), part="none")
    return o.op("Where", none, o.w.scalar(1, "int32"), b, part="divisor")


def _where_divided(o: Out, b: str, made: str) -> str:
    """What was divided, and 0 where it was by 0."""
    if _never_zero(o):
        return o.op("Identity", made)
    none = o.op("Equal", b, o.w.scalar(0, "int32"), part="none")
    return o.op("Where", none, o.w.scalar(0, "int32"), made)


def _never_zero(o: Out) -> bool:
    array = o.array(1)
    return array is not None and bool((array != 0).all())


def _floor_mod(o: Out, x: list[str]) -> str:
    if o.type().dtype != "float32":
        return _where_divided(o, x[1], o.op("Mod", x[0], _divisor(o, x[1]), part="mod"))
    whole = o.op("Floor", o.op("Div", *x, part="div"), part="floor")
    return o.op("Sub", x[0], o.op("Mul", whole, x[1], part="mul"))


def _div(o: Out, x: list[str]) -> str:
    if o.type().dtype == "float32":
        return o.op("Div", *x)
    return _where_divided(o, x[1], o.op("Div", x[0], _divisor(o, x[1]), part="div"))


def _squared_difference(o: Out, x: list[str]) -> str:
    apart = o.op("Sub", *x, part="sub")
    return o.op("Mul", apart, apart)


def _div_no_nan(o: Out, x: list[str]) -> str:
    none = o.op("Equal", x[1], 0.0, part="none")
    return o.op("Where", none, 0.0, o.op("Div", *x, part="div"))


def _is_finite(o: Out, x: list[str]) -> str:
    nan, infinite = o.op("IsNaN", x[0], part="nan"), o.op("IsInf", x[0], part="inf")
    return o.op("Not", o.op("Or", nan, infinite, part="or"))


def _step(o: Out, x: list[str]) -> str:
    least = o.op("LessOrEqual", x[0], 0.0, part="le")
    below = o.op("Where", least, float(o.attrs["alpha"]), x[0], part="below")
    return o.op("Where", o.op("Greater", x[0], 0.0, part="gt"), 1.0, below)


def _clip(o: Out, x: list[str]) -> str:
    kind = o.type().dtype
    low, high = o.attrs["lo"], o.attrs["hi"]
    if kind != "float32":
        limits = np.iinfo(kind)
        low, high = max(low, limits.min), min(high, limits.max)
    return o.op("Clip", x[0], o.w.scalar(low, kind), o.w.scalar(high, kind))


def bits(name: str) -> Formula:
    """On int32: that is what the results of these ops are."""
    whole = proto.TYPES["int32"]

    def write(o: Out, x: list[str]) -> str:
        o.since(18, name)
        wide = [r if v.dtype == "int32" else o.op("Cast", r, part="whole", to=whole)
                for r, v in zip(x, o.node.inputs, strict=True)]  # fmt: skip
        return o.op(name, *wide)

    return write


def _cast(o: Out, x: list[str]) -> str:
    """To bytes clipped, for what is outside of a byte is anything in ONNX."""
    kind, value = o.type().dtype, o.node.inputs[0]
    if o.attrs["dtype"] == "uint8" and kind in ("float32", "int32") and not o.w.clipped(value):
        byte = o.op("Clip", x[0], o.w.scalar(0, kind), o.w.scalar(255, kind), part="byte")
        return o.op("Cast", byte, to=proto.TYPES["uint8"])
    return o.op("Cast", x[0], to=proto.TYPES[o.attrs["dtype"]])


def _gelu(o: Out, x: list[str]) -> str:
    if o.attrs["approximate"]:
        cube = o.op("Mul", o.op("Mul", x[0], x[0], part="square"), x[0], part="cube")
        line = o.op("Add", x[0], o.op("Mul", cube, 0.044715, part="mul"), part="add")
        bend = o.op("Tanh", o.op("Mul", line, sqrt(2 / pi), part="scale"), part="tanh")
    else:
        bend = o.op("Erf", o.op("Mul", x[0], sqrt(0.5), part="scale"), part="erf")
    half = o.op("Mul", x[0], 0.5, part="half")
    return o.op("Mul", half, o.op("Add", bend, 1.0, part="one"))


def _log_sigmoid(o: Out, x: list[str]) -> str:
    return o.op("Neg", o.op("Softplus", o.op("Neg", x[0], part="neg"), part="softplus"))


def _hypot(o: Out, x: list[str]) -> str:
    squares = [o.op("Mul", v, v, part="square") for v in x]
    return o.op("Sqrt", o.op("Add", *squares, part="add"))


def _mish(o: Out, x: list[str]) -> str:
    if o.w.opset >= 18:
        return o.op("Mish", x[0])
    return o.op("Mul", x[0], o.op("Tanh", o.op("Softplus", x[0], part="softplus"), part="tanh"))


FORMULAS: dict[str, Formula] = {
    "mish": _mish,
    "square": lambda o, x: o.op("Mul", x[0], x[0]),
    "rsqrt": lambda o, x: o.op("Reciprocal", o.op("Sqrt", x[0], part="sqrt")),
    "expm1": lambda o, x: o.op("Sub", o.op("Exp", x[0], part="exp"), 1.0),
    "log1p": lambda o, x: o.op("Log", o.op("Add", x[0], 1.0, part="add")),
    "not_equal": lambda o, x: o.op("Not", o.op("Equal", *x, part="equal")),
    "relu6": lambda o, x: o.op("Clip", x[0], *_six(o)),
    "swish": lambda o, x: o.op("Mul", x[0], o.op("Sigmoid", x[0], part="sigmoid")),
    "div": _div,
    "floor_div": _floor_div,
    "floor_mod": _floor_mod,
    "squared_difference": _squared_difference,
    "div_no_nan": _div_no_nan,
    "is_finite": _is_finite,
    "step": _step,
    "clip": _clip,
    "cast": _cast,
    "gelu": _gelu,
    "log_sigmoid": _log_sigmoid,
    "hypot": _hypot,
}


def _six(o: Out) -> tuple[str, str]:
    kind = o.type().dtype
    return o.w.scalar(0, kind), o.w.scalar(6, kind)


def same(name: str) -> Any:
    def write(o: Out) -> str:
        return o.op(name, *operands(o))

    return write


def with_attributes(name: str, keys: tuple[str, ...]) -> Any:
    return lambda o: o.op(name, *operands(o), **{k: float(o.attrs[k]) for k in keys})


def formula(write: Formula) -> Any:
    return lambda o: write(o, operands(o))


WRITES: dict[str, Any] = {
    **{ours: same(name) for ours, name in SAME.items()},
    **{ours: with_attributes(*how) for ours, how in _WITH.items()},
    **{ours: formula(write) for ours, write in FORMULAS.items()},
    **{ours: formula(bits(name)) for ours, name in BITS.items()},
}

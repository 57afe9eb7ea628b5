"""Elementwise ops and activations, as ops of TF.js or put together of some."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

from fanlight.formats.tfgraph_writer.nodes import Out, Unsupported, dtype

# TF.js 4.22 has a BitwiseAnd, whose inputs its graph executor does not find.
SAME_NAME = {
    "abs": "Abs", "neg": "Neg", "sign": "Sign", "square": "Square", "sqrt": "Sqrt",
    "rsqrt": "Rsqrt", "reciprocal": "Reciprocal", "exp": "Exp", "expm1": "Expm1", "log": "Log",
    "log1p": "Log1p", "sin": "Sin", "cos": "Cos", "erf": "Erf", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "is_nan": "IsNan", "is_inf": "IsInf", "is_finite": "IsFinite",
    "add": "AddV2", "sub": "Sub", "mul": "Mul", "div_no_nan": "DivNoNan", "floor_div": "FloorDiv",
    "floor_mod": "FloorMod", "pow": "Pow", "maximum": "Maximum", "minimum": "Minimum",
    "squared_difference": "SquaredDifference", "equal": "Equal", "not_equal": "NotEqual",
    "less": "Less", "less_equal": "LessEqual", "greater": "Greater",
    "greater_equal": "GreaterEqual", "tan": "Tan", "asin": "Asin",
    "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh",
    "acosh": "Acosh", "atanh": "Atanh", "atan2": "Atan2", "relu": "Relu", "relu6": "Relu6",
    "selu": "Selu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus",
    "prelu": "Prelu",
}  # fmt: skip
LOGICAL = {"logical_not": "LogicalNot", "logical_and": "LogicalAnd", "logical_or": "LogicalOr"}
Write = Callable[[Out], str]


def same(name: str) -> Write:
    return lambda o: o.op(name, o.inputs, T=o.T)


def logical(name: str) -> Write:
    return lambda o: o.op(name, o.inputs)


def div(o: Out) -> str:
    if o.type().dtype != "float32":
        raise Unsupported("division of whole numbers towards zero")
    return o.op("RealDiv", o.inputs, T=o.T)


def cast(o: Out) -> str:
    to, kind, x = o.attrs["dtype"], o.type().dtype, o.x()
    if to == "uint8" and kind != "bool" and not o.w.clipped(o.node.inputs[0]):
        ends = [o.w.scalar(n, kind) for n in (0, 255)]
        if kind == "float32":
            x = o.op("ClipByValue", [x, *ends], "byte", T=o.T)
        elif kind == "int32":
            x = o.op(
                "Minimum", [o.op("Maximum", [x, ends[0]], "low", T=o.T), ends[1]], "byte", T=o.T
            )
    return o.op("Cast", [x], SrcT=o.T, DstT={"type": dtype(to)}, Truncate={"b": False})


def clip(o: Out) -> str:
    kind = o.type().dtype
    low, high = o.attrs["lo"], o.attrs["hi"]
    if kind == "float32" and (low, high) == (0, 6):
        return o.op("Relu6", [o.x()], T=o.T)
    if kind == "float32":
        return o.op("ClipByValue", [o.x(), o.w.scalar(low), o.w.scalar(high)], T=o.T)
    x = o.x()
    if low > -(2**31):
        x = o.op("Maximum", [x, o.w.scalar(low, kind)], "low", T=o.T)
    return o.op("Minimum", [x, o.w.scalar(min(high, 2**31 - 1), kind)], T=o.T)


def step(o: Out) -> str:
    x, zero = o.x(), o.w.scalar(0.0)
    least = o.f("LessEqual", x, zero, part="le")
    below = o.f("SelectV2", least, float(o.attrs["alpha"]), x, part="below")
    return o.f("SelectV2", o.f("Greater", x, zero, part="gt"), 1.0, below)


def select(o: Out) -> str:
    return o.op("SelectV2", o.inputs, T={"type": dtype(o.type(1).dtype)})


def leaky_relu(o: Out) -> str:
    return o.op("LeakyRelu", [o.x()], alpha={"f": float(o.attrs["alpha"])}, T=o.T)


def elu(o: Out) -> str:
    alpha, x = float(o.attrs["alpha"]), o.x()
    if alpha == 1:
        return o.op("Elu", [x], T=o.T)
    below = o.f("Expm1", o.f("Minimum", x, 0.0, part="min"), part="expm1")
    return o.f("AddV2", o.f("Relu", x, part="relu"), o.f("Mul", below, alpha, part="mul"))


def hard_sigmoid(o: Out) -> str:
    line = o.f("AddV2", o.f("Mul", o.x(), float(o.attrs["alpha"]), part="mul"),
               float(o.attrs["beta"]), part="add")  # fmt: skip
    return o.f("ClipByValue", line, 0.0, 1.0)


def log_sigmoid(o: Out) -> str:
    minus = o.f("Neg", o.x(), part="neg")
    return o.f("Neg", o.f("Softplus", minus, part="softplus"))


def softsign(o: Out) -> str:
    x = o.x()
    return o.f("RealDiv", x, o.f("AddV2", o.f("Abs", x, part="abs"), 1.0, part="add"))


def swish(o: Out) -> str:
    return o.f("Mul", o.x(), o.f("Sigmoid", o.x(), part="sigmoid"))


def hard_swish(o: Out) -> str:
    x = o.x()
    six = o.f("Relu6", o.f("AddV2", x, 3.0, part="add"), part="relu6")
    return o.f("Mul", o.f("Mul", x, six, part="mul"), 1 / 6)


def mish(o: Out) -> str:
    return o.f("Mul", o.x(), o.f("Tanh", o.f("Softplus", o.x(), part="softplus"), part="tanh"))


def gelu(o: Out) -> str:
    x = o.x()
    if o.attrs["approximate"]:
        cube = o.f("Mul", o.f("Square", x, part="square"), x, part="cube")
        line = o.f("AddV2", x, o.f("Mul", cube, 0.044715, part="mul"), part="add")
        inner = o.f("Mul", line, sqrt(2 / pi), part="scale")
        bend = o.f("Tanh", inner, part="tanh")
    else:
        bend = o.f("Erf", o.f("Mul", x, sqrt(0.5), part="scale"), part="erf")
    half = o.f("Mul", x, 0.5, part="half")
    return o.f("Mul", half, o.f("AddV2", bend, 1.0, part="one"))


def hypot(o: Out) -> str:
    a, b = (o.f("Square", o.x(i), part=f"square{i}") for i in (0, 1))
    return o.f("Sqrt", o.f("AddV2", a, b, part="add"))


WRITES: dict[str, Write] = {
    **{ours: same(name) for ours, name in SAME_NAME.items()},
    **{ours: logical(name) for ours, name in LOGICAL.items()},
    "div": div,
    "cast": cast,
    "clip": clip,
    "step": step,
    "select": select,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "hard_sigmoid": hard_sigmoid,
    "log_sigmoid": log_sigmoid,
    "softsign": softsign,
    "swish": swish,
    "hard_swish": hard_swish,
    "mish": mish,
    "gelu": gelu,
    "hypot": hypot,
    "after": lambda o: o.op("Identity", [o.x()], T=o.T),
}

"""Importers of elementwise ops, reductions, softmax and sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.tfgraph.call import HANDLERS, Call, Pair, importer

# TensorFlow op -> op of the table, same inputs, no attributes
_UNARY = {
    "Abs": "abs", "Neg": "neg", "Exp": "exp", "Expm1": "expm1", "Log": "log", "Log1p": "log1p",
    "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Square": "square", "Reciprocal": "reciprocal",
    "Inv": "reciprocal", "Floor": "floor", "Ceil": "ceil", "Round": "round", "Rint": "round",
    "Sign": "sign", "Sin": "sin", "Cos": "cos", "Tanh": "tanh", "Sigmoid": "sigmoid",
    "Erf": "erf", "Relu": "relu", "Relu6": "relu6", "Selu": "selu", "Elu": "elu",
    "Softplus": "softplus", "Softsign": "softsign", "LogicalNot": "logical_not", "IsNan": "is_nan",
    "IsInf": "is_inf", "IsFinite": "is_finite", "Tan": "tan", "Asin": "asin", "Acos": "acos",
    "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh", "Asinh": "asinh", "Acosh": "acosh",
    "Atanh": "atanh",
}  # fmt: skip
_BINARY = {
    "Add": "add", "AddV2": "add", "Sub": "sub", "Mul": "mul", "RealDiv": "div", "Div": "div",
    "Maximum": "maximum", "Minimum": "minimum", "FloorDiv": "floor_div", "FloorMod": "floor_mod",
    "Mod": "floor_mod", "SquaredDifference": "squared_difference", "Equal": "equal",
    "NotEqual": "not_equal", "Less": "less", "LessEqual": "less_equal", "Greater": "greater",
    "GreaterEqual": "greater_equal", "LogicalAnd": "logical_and", "LogicalOr": "logical_or",
    "LogicalXor": "not_equal", "Pow": "pow", "Atan2": "atan2", "DivNoNan": "div_no_nan",
}  # fmt: skip
_REDUCE = {
    "Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min", "Prod": "prod", "Any": "any",
    "All": "all",
}  # fmt: skip


def _plain(op: str, count: int) -> Any:
    return lambda call: call.op(op, *(call.x(i) for i in range(count)))


for _name, _op in _UNARY.items():
    HANDLERS[_name] = _plain(_op, 1)
for _name, _op in _BINARY.items():
    HANDLERS[_name] = _plain(_op, 2)


@importer("LeakyRelu")
def leaky_relu(call: Call) -> Tensor:
    return call.op("leaky_relu", call.x(), alpha=call.attrs.real("alpha", 0.2))


@importer("Prelu")
def prelu(call: Call) -> Tensor:
    return call.op("prelu", call.x(0), call.x(1))


@importer("AddN")
def add_n(call: Call) -> Tensor:
    total = call.x()
    for index in range(1, len(call.inputs)):
        total = call.op("add", total, call.x(index))
    return total


@importer("Erfc")
def erfc(call: Call) -> Tensor:
    return call.op("sub", call.em.const(1.0), call.op("erf", call.x(), part="erf"))


@importer("ClipByValue")
def clip_by_value(call: Call) -> Tensor:
    x, low, high = call.x(0), call.x(1), call.x(2)
    if isinstance(low, np.ndarray) and isinstance(high, np.ndarray) and low.size == high.size == 1:
        return call.op("clip", x, lo=low.reshape(-1)[0].item(), hi=high.reshape(-1)[0].item())
    return call.op("minimum", call.op("maximum", x, low, part="low"), high)


@importer("BiasAdd")
def bias_add(call: Call) -> Tensor:
    x, bias = call.x(0), call.x(1)
    if call.attrs.text("data_format", "NHWC").upper() == "NCHW" and len(x.shape) > 2:
        bias = call.em.reshape(
            bias, (bias.shape[0], *[1] * (len(x.shape) - 2)), f"{call.node.name}/bias"
        )
    return call.op("add", x, bias)


@importer("Cast")
def cast(call: Call) -> Any:
    if call.attrs.is_complex("DstT"):
        x = call.em.cast(call.x(), "float32", call.node.name)
        return Pair(x, call.op("mul", x, call.em.const(0.0), part="imag"))
    return call.em.cast(call.x(), call.attrs.dtype("DstT"), call.node.name)


@importer("Select", "SelectV2")
def select(call: Call) -> Tensor:
    c, a, b = call.x(0), call.x(1), call.x(2)
    if call.node.op == "Select" and len(c.shape) == 1 and len(a.shape) > 1:
        # TensorFlow 1: a vector of conditions picks whole rows.
        c = call.em.reshape(c, (c.shape[0], *[1] * (len(a.shape) - 1)), f"{call.node.name}/rows")
    return call.op("select", c, a, b)


def _reduce(op: str) -> Any:
    def run(call: Call) -> Tensor:
        x = call.x()
        rank = len(x.shape)
        axes = sorted({_axis(call, a, rank) for a in call.ints(1, "the axes")})
        keep = call.attrs.flag("keep_dims") or call.attrs.flag("keepDims")
        return call.op(op, x, axes=tuple(axes), keepdims=keep) if axes else x

    return run


def _axis(call: Call, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise call.refuse("the axis does not exist", expected=f"one of {rank} dims", received=axis)
    return axis % rank


for _name, _op in _REDUCE.items():
    HANDLERS[_name] = _reduce(_op)


@importer("EuclideanNorm")
def euclidean_norm(call: Call) -> Tensor:
    axes = tuple({_axis(call, a, len(call.x().shape)) for a in call.ints(1, "the axes")})
    squares = call.op("square", call.x(), part="square")
    total = call.op("sum", squares, part="sum", axes=axes, keepdims=call.attrs.flag("keep_dims"))
    return call.op("sqrt", total)


@importer("ArgMax", "ArgMin")
def arg_max(call: Call) -> Tensor:
    op = "arg_max" if call.node.op == "ArgMax" else "arg_min"
    return call.op(op, call.x(), axis=call.axis(1, len(call.x().shape)))


@importer("Softmax", "LogSoftmax")
def softmax(call: Call) -> Tensor:
    return call.op("softmax" if call.node.op == "Softmax" else "log_softmax", call.x(), axis=-1)


@importer("TopKV2")
def top_k(call: Call) -> tuple[Tensor, Tensor]:
    return call.op("top_k", call.x(), k=call.number(1, "k"))


@importer("LRN")
def local_response_normalization(call: Call) -> Tensor:
    """x / (bias + alpha * sum of squares over 2 r + 1 neighbouring channels) ^ beta."""
    x, attrs = call.x(), call.attrs
    channels = x.shape[-1] if x.shape else 0
    if not 0 < channels <= 4096:
        raise call.refuse("the input has no channels", received=list(x.shape))
    radius = attrs.whole("depth_radius", 5)
    near = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels))) <= radius
    squares = call.op("square", x, part="square")
    band = call.em.named(near.astype(np.float32), f"{call.node.name}/band")
    total = call.op("matmul", squares, band, part="sum")
    scaled = call.op("mul", total, call.em.const(attrs.real("alpha", 1.0)), part="scale")
    shifted = call.op("add", scaled, call.em.const(attrs.real("bias", 1.0)), part="bias")
    power = call.op("pow", shifted, call.em.const(-attrs.real("beta", 0.5)), part="power")
    return call.op("mul", x, power)

"""Importers of elementwise operators: arithmetic, comparisons, activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.torch.call import HANDLERS, Call, Handler, importer
from fanlight.tensor import functions as fn

_ORDER = ("bool", "uint8", "int32", "float32")


def promoted(*tensors: Any) -> str:
    """The dtype in which tensors and numbers meet (a number is weaker than a tensor)."""
    best = "bool"
    for t in tensors:
        if isinstance(t, bool):
            kind = "bool"
        elif isinstance(t, int):
            # A whole number makes an int of a bool, but leaves a uint8 what it is.
            kind = "int32" if best == "bool" else best
        else:
            kind = "float32" if isinstance(t, float) else dtype_of(t)
        best = max(best, kind, key=_ORDER.index)
    return best


def _pair(call: Call, dtype: str | None = None) -> tuple[Tensor, Tensor]:
    a, b = call.get("self"), call.get("other")
    numbers_last = sorted((a, b), key=lambda v: isinstance(v, bool | int | float))
    kind = dtype or promoted(*(v for v in numbers_last if v is not None))
    return call.x("self", kind), call.x("other", kind)


# --- one tensor -----------------------------------------------------------------------------------

_UNARY = {
    "abs": "abs", "neg": "neg", "negative": "neg", "sign": "sign", "sgn": "sign",
    "square": "square", "floor": "floor", "ceil": "ceil", "round": "round",
    "bitwise_not": "bitwise_not", "_neg_view": "neg",
}  # fmt: skip
_FLOAT_UNARY = {
    "sqrt": "sqrt", "rsqrt": "rsqrt", "reciprocal": "reciprocal", "exp": "exp", "expm1": "expm1",
    "log": "log", "log1p": "log1p", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin",
    "acos": "acos", "atan": "atan", "arctan": "atan", "sinh": "sinh", "cosh": "cosh",
    "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "erf": "erf", "special_erf": "erf",
    "sigmoid": "sigmoid", "special_expit": "sigmoid", "tanh": "tanh", "silu": "swish",
    "mish": "mish", "selu": "selu", "log_sigmoid": "log_sigmoid", "softsign": "softsign",
    "hardswish": "hard_swish",
}  # fmt: skip


def _unary(op: str, floats: bool) -> Handler:
    def compute(call: Call) -> Tensor:
        x = call.x()
        if floats:
            x = call.cast(x, "float32")
        elif op == "bitwise_not" and dtype_of(x) == "bool":
            return call.op("logical_not", x)
        elif dtype_of(x) == "bool" or (op in ("floor", "ceil", "round") and _whole(x)):
            return x
        return call.op(op, x)

    return compute


def _whole(x: Tensor) -> bool:
    return dtype_of(x) != "float32"


for _name, _op in _UNARY.items():
    HANDLERS[f"aten.{_name}"] = _unary(_op, False)
for _name, _op in _FLOAT_UNARY.items():
    HANDLERS[f"aten.{_name}"] = _unary(_op, True)
    HANDLERS[f"aten.{_name}_"] = HANDLERS[f"aten.{_name}"]


@importer("relu", "relu_")
def relu(call: Call) -> Tensor:
    x = call.x()
    if dtype_of(x) == "float32":
        return call.op("relu", x)
    return call.op("maximum", x, call.em.const(0, dtype_of(x)))


@importer("relu6", "relu6_")
def relu6(call: Call) -> Tensor:
    return call.op("relu6", call.x(dtype="float32"))


@importer("round.decimals")
def round_decimals(call: Call) -> Tensor:
    scale = 10.0 ** min(max(call.whole("decimals", 0), -30), 30)
    return call.function(lambda x: fn.div(fn.round(fn.mul(x, scale)), scale), call.x())


@importer("trunc", "fix")
def trunc(call: Call) -> Tensor:
    x = call.x()
    if _whole(x):
        return x
    return call.function(lambda x: fn.where(fn.less(x, 0.0), fn.ceil(x), fn.floor(x)), x)


@importer("frac")
def frac(call: Call) -> Tensor:
    return call.function(
        lambda x: fn.sub(x, fn.where(fn.less(x, 0.0), fn.ceil(x), fn.floor(x))), call.x()
    )


_LOGS = {"log2": 1 / math.log(2), "log10": 1 / math.log(10)}
for _name, _factor in _LOGS.items():
    HANDLERS[f"aten.{_name}"] = lambda call, f=_factor: call.op(  # type: ignore[misc]
        "mul",
        call.op("log", call.x(dtype="float32"), part="log"),
        call.em.const(f),
    )


@importer("exp2")
def exp2(call: Call) -> Tensor:
    scaled = call.op("mul", call.x(dtype="float32"), call.em.const(math.log(2)), part="scaled")
    return call.op("exp", scaled)


@importer("erfc", "special_erfc")
def erfc(call: Call) -> Tensor:
    return call.op("sub", call.em.const(1.0), call.op("erf", call.x(dtype="float32"), part="erf"))


@importer("logit")
def logit(call: Call) -> Tensor:
    eps = call.get("eps")

    def compute(x: Any) -> Any:
        x = x if eps is None else fn.clip(x, float(eps), 1 - float(eps))
        return fn.log(fn.div(x, fn.sub(1.0, x)))

    return call.function(compute, call.x(dtype="float32"))


@importer("isnan")
def isnan(call: Call) -> Tensor:
    return call.op("is_nan", call.x(dtype="float32"))


@importer("isinf")
def isinf(call: Call) -> Tensor:
    return call.op("is_inf", call.x(dtype="float32"))


@importer("isfinite")
def isfinite(call: Call) -> Tensor:
    return call.op("is_finite", call.x(dtype="float32"))


@importer("nan_to_num")
def nan_to_num(call: Call) -> Tensor:
    most = float(np.finfo(np.float32).max)
    nan = float(call.get("nan") or 0.0)
    high = most if call.get("posinf") is None else call.real("posinf")
    low = -most if call.get("neginf") is None else call.real("neginf")

    def compute(x: Any) -> Any:
        infinite = fn.where(fn.greater(x, 0.0), high, low)
        return fn.where(fn.is_nan(x), nan, fn.where(fn.is_inf(x), infinite, x))

    return call.function(compute, call.x(dtype="float32"))


@importer("logical_not")
def logical_not(call: Call) -> Tensor:
    return call.op("logical_not", call.x(dtype="bool"))


@importer("clone", "contiguous", "detach", "detach_", "lift_fresh_copy", "lift_fresh", "alias",
          "dropout", "feature_dropout", "alpha_dropout", "to", "_to_copy", "type_as",
          "positive", "dropout_", "resolve_conj", "resolve_neg",
          "prims.device_put", "_conj", "real", "requires_grad_")  # fmt: skip
def same(call: Call) -> Tensor:
    """The tensor as it is; a new dtype comes of what the program declares."""
    if "train" in call.args and call.flag("train") and call.real("p", 0.5) > 0:
        call.warnings.append(
            f"{call.node.name}: the program was exported in training mode; its dropout is left "
            "out (call model.eval() before the export)."
        )
    x = (
        call.x("input")
        if "input" in call.args and "self" not in call.args
        else call.x("self" if "self" in call.args else "a")
    )
    if call.dtype == "int32" and dtype_of(x) == "float32":
        return call.em.cast(x, "int32", call.name())
    return x


@importer("prims.convert_element_type")
def convert(call: Call) -> Tensor:
    x = call.x("a")
    return call.cast(x, call.dtype or dtype_of(x))


@importer("native_dropout")
def native_dropout(call: Call) -> list[Any]:
    if call.flag("train"):
        call.warnings.append(f"{call.node.name}: its dropout is left out.")
    x = call.x("input")
    return [x, call.em.full(x.shape, True, "bool", call.name("mask"))]


# --- two tensors ----------------------------------------------------------------------------------


def _scaled(call: Call, op: str) -> Tensor:
    """self op alpha * other."""
    kind = call.dtype or promoted(call.get("self"), call.get("other"))
    kind = "int32" if kind in ("bool",) else kind
    a, b = _pair(call, kind)
    alpha = call.number("alpha", 1)
    if alpha != 1:
        b = call.op("mul", b, call.em.const(alpha, kind), part="scaled")
    return call.op(op, a, b)


@importer("add", "add_")
def add(call: Call) -> Tensor:
    return _scaled(call, "add")


@importer("sub", "sub_", "subtract")
def sub(call: Call) -> Tensor:
    return _scaled(call, "sub")


@importer("rsub")
def rsub(call: Call) -> Tensor:
    call.args["self"], call.args["other"] = call.args["other"], call.args["self"]
    if call.number("alpha", 1) != 1:
        raise call.refuse("alpha of rsub is supported as 1 alone", received=call.get("alpha"))
    return _scaled(call, "sub")


@importer("mul", "mul_", "multiply")
def mul(call: Call) -> Tensor:
    if call.dtype == "bool":
        return call.op("logical_and", *_pair(call, "bool"))
    return call.op("mul", *_pair(call, call.dtype))


@importer("div", "div_", "divide", "true_divide")
def div(call: Call) -> Tensor:
    how = call.get("rounding_mode")
    if how is None:
        return call.op("div", *_pair(call, "float32"))
    kind = promoted(call.get("self"), call.get("other"))
    if how == "floor":
        return call.op("floor_div", *_pair(call, kind))
    a, b = _pair(call, "float32")

    def truncated(a: Any, b: Any) -> Any:
        y = fn.div(a, b)
        return fn.where(fn.less(y, 0.0), fn.ceil(y), fn.floor(y))

    return call.function(truncated, a, b)


@importer("floor_divide")
def floor_divide(call: Call) -> Tensor:
    return call.op("floor_div", *_pair(call))


@importer("remainder")
def remainder(call: Call) -> Tensor:
    return call.op("floor_mod", *_pair(call))


@importer("fmod")
def fmod(call: Call) -> Tensor:
    def compute(a: Any, b: Any) -> Any:
        y = fn.div(a, b)
        return fn.sub(a, fn.mul(b, fn.where(fn.less(y, 0.0), fn.ceil(y), fn.floor(y))))

    return call.function(compute, *_pair(call, "float32"))


@importer("pow", "pow_")
def power(call: Call) -> Tensor:
    exponent = call.get("exponent")
    kind = call.dtype or promoted(call.get("self"), exponent)
    x = call.x("self", kind)
    if not isinstance(exponent, bool) and isinstance(exponent, int | float) and kind == "float32":
        if exponent == 2:
            return call.op("square", x)
        if exponent == 1:
            return x
        if exponent == 0.5:
            return call.op("sqrt", x)
        if exponent == -0.5:
            return call.op("rsqrt", x)
        if exponent == -1:
            return call.op("reciprocal", x)
        if exponent == 3:
            return call.op("mul", x, call.op("square", x, part="square"))
    return call.op("pow", x, call.x("exponent", kind))


def _binary(op: str, dtype: str | None = None) -> Handler:
    return lambda call: call.op(op, *_pair(call, dtype))


for _name, _op in {
    "maximum": "maximum", "minimum": "minimum", "fmax": "maximum", "fmin": "minimum",
    "max.other": "maximum", "min.other": "minimum",
}.items():  # fmt: skip
    HANDLERS[f"aten.{_name}"] = _binary(_op)
for _name, _op in {"atan2": "atan2", "arctan2": "atan2", "hypot": "hypot"}.items():
    HANDLERS[f"aten.{_name}"] = _binary(_op, "float32")


def _comparison(op: str) -> Handler:
    def compute(call: Call) -> Tensor:
        a, b = _pair(call)
        if dtype_of(a) == "bool":
            a, b = call.cast(a, "int32", "a"), call.cast(b, "int32", "b")
        return call.op(op, a, b)

    return compute


for _names, _op in {
    ("eq",): "equal", ("ne", "not_equal"): "not_equal", ("lt", "less"): "less",
    ("le", "less_equal"): "less_equal", ("gt", "greater"): "greater",
    ("ge", "greater_equal"): "greater_equal",
}.items():  # fmt: skip
    for _name in _names:
        HANDLERS[f"aten.{_name}"] = _comparison(_op)


@importer("logical_and")
def logical_and(call: Call) -> Tensor:
    return call.op("logical_and", *_pair(call, "bool"))


@importer("logical_or")
def logical_or(call: Call) -> Tensor:
    return call.op("logical_or", *_pair(call, "bool"))


@importer("logical_xor")
def logical_xor(call: Call) -> Tensor:
    a, b = _pair(call, "bool")
    return call.op("not_equal", call.cast(a, "int32", "a"), call.cast(b, "int32", "b"))


def _bitwise(op: str, logical: str) -> Handler:
    def compute(call: Call) -> Tensor:
        a, b = _pair(call)
        if dtype_of(a) == "bool":
            if logical == "not_equal":
                a, b = call.cast(a, "int32", "a"), call.cast(b, "int32", "b")
            return call.op(logical, a, b)
        return call.op(op, a, b)

    return compute


for _name, _logical in {"and": "logical_and", "or": "logical_or", "xor": "not_equal"}.items():
    HANDLERS[f"aten.bitwise_{_name}"] = _bitwise(f"bitwise_{_name}", _logical)
    HANDLERS[f"aten.__{_name}__"] = HANDLERS[f"aten.bitwise_{_name}"]


@importer("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(call: Call) -> Tensor:
    kind = call.dtype or promoted(call.get("self"), call.get("other"))
    condition = call.x("condition", "bool")
    return call.op("select", condition, *_pair(call, kind))


@importer("masked_fill", "masked_fill_")
def masked_fill(call: Call) -> Tensor:
    x = call.x()
    return call.op("select", call.x("mask", "bool"), call.x("value", dtype_of(x)), x)


@importer("lerp")
def lerp(call: Call) -> Tensor:
    return call.function(
        lambda a, b, w: fn.add(a, fn.mul(w, fn.sub(b, a))),
        call.x(), call.x("end"), call.x("weight", "float32"),
    )  # fmt: skip


@importer("addcmul")
def addcmul(call: Call) -> Tensor:
    value = call.real("value", 1.0)
    return call.function(
        lambda x, a, b: fn.add(x, fn.mul(fn.mul(a, b), value)),
        call.x(), call.x("tensor1"), call.x("tensor2"),
    )  # fmt: skip


@importer("addcdiv")
def addcdiv(call: Call) -> Tensor:
    value = call.real("value", 1.0)
    return call.function(
        lambda x, a, b: fn.add(x, fn.mul(fn.div(a, b), value)),
        call.x(), call.x("tensor1"), call.x("tensor2"),
    )  # fmt: skip


@importer("clamp", "clip", "clamp_", "clamp_min", "clamp_max", "clamp_min_")
def clamp(call: Call) -> Tensor:
    x = call.x()
    kind = call.dtype or dtype_of(x)
    x = call.cast(x, kind)
    low, high = call.get("min"), call.get("max")
    numbers = all(v is None or isinstance(v, int | float) for v in (low, high))
    if numbers and low is not None and high is not None and kind == "float32" and low <= high:
        if (low, high) == (0, 6):
            return call.op("relu6", x)
        return call.op("clip", x, lo=float(low), hi=float(high))
    if low is not None:
        x = call.op("maximum", x, call.x("min", kind), part="" if high is None else "low")
    if high is not None:
        x = call.op("minimum", x, call.x("max", kind))
    return x


# --- activations ----------------------------------------------------------------------------------


@importer("hardtanh", "hardtanh_")
def hardtanh(call: Call) -> Tensor:
    call.args.setdefault("min_val", -1.0)
    call.args.setdefault("max_val", 1.0)
    call.args["min"], call.args["max"] = call.args["min_val"], call.args["max_val"]
    return clamp(call)


@importer("hardsigmoid", "hardsigmoid_")
def hardsigmoid(call: Call) -> Tensor:
    return call.op("hard_sigmoid", call.x(), alpha=1 / 6, beta=0.5)


@importer("gelu", "gelu_")
def gelu(call: Call) -> Tensor:
    return call.op("gelu", call.x(), approximate=call.get("approximate") == "tanh")


@importer("leaky_relu", "leaky_relu_")
def leaky_relu(call: Call) -> Tensor:
    return call.op("leaky_relu", call.x(), alpha=call.real("negative_slope", 0.01))


@importer("elu", "elu_", "celu")
def elu(call: Call) -> Tensor:
    alpha = call.real("alpha", 1.0)
    scale, inner = call.real("scale", 1.0), call.real("input_scale", 1.0)
    if "celu" in call.node.target:
        if not alpha:
            raise call.refuse("alpha of celu must not be 0")
        inner = 1 / alpha
    if scale == 1 and inner == 1:
        return call.op("elu", call.x(), alpha=alpha)

    def compute(x: Any) -> Any:
        below = fn.mul(fn.expm1(fn.mul(fn.minimum(x, 0.0), inner)), alpha)
        return fn.mul(fn.add(fn.maximum(x, 0.0), below), scale)

    return call.function(compute, call.x())


@importer("softplus")
def softplus(call: Call) -> Tensor:
    beta, threshold = call.real("beta", 1.0), call.real("threshold", 20.0)
    if beta == 1:
        return call.op("softplus", call.x())

    def compute(x: Any) -> Any:
        scaled = fn.mul(x, beta)
        soft = fn.div(fn.softplus(scaled), beta)
        return fn.where(fn.greater(scaled, threshold), x, soft)

    return call.function(compute, call.x())


@importer("prelu", "_prelu_kernel")
def prelu(call: Call) -> Tensor:
    x, w = call.x(), call.x("weight")
    if len(w.shape) == 1 and len(x.shape) > 1 and w.shape[0] > 1:
        w = call.em.reshape(w, (w.shape[0], *(1 for _ in x.shape[2:])), call.name("slope"))
    return call.function(
        lambda x, w: fn.add(fn.maximum(x, 0.0), fn.mul(w, fn.minimum(x, 0.0))), x, w
    )


@importer("hardshrink", "softshrink")
def shrink(call: Call) -> Tensor:
    width = call.real("lambd", 0.5)
    soft = "soft" in call.node.target

    def compute(x: Any) -> Any:
        if soft:
            return fn.sub(x, fn.clip(x, -width, width))
        return fn.where(fn.greater(fn.abs(x), width), x, 0.0)

    return call.function(compute, call.x())


@importer("tanhshrink")
def tanhshrink(call: Call) -> Tensor:
    return call.function(lambda x: fn.sub(x, fn.tanh(x)), call.x())


@importer("threshold", "threshold_")
def threshold(call: Call) -> Tensor:
    limit, value = call.real("threshold"), call.real("value")
    return call.function(lambda x: fn.where(fn.greater(x, limit), x, value), call.x())


@importer("glu")
def glu(call: Call) -> Tensor:
    x = call.x()
    axis = call.axis("dim", len(x.shape), -1)
    half = x.shape[axis] // 2

    def compute(x: Any) -> Any:
        lead = (slice(None),) * axis
        return fn.mul(x[(*lead, slice(0, half))], fn.sigmoid(x[(*lead, slice(half, None))]))

    return call.function(compute, x)

"""ONNX's ops that work element by element, casts, bits and strings, by functions of Fanlight."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

import fanlight as fl
from fanlight.tensor import apply
from tools.onnx_adapters import Adapter, Node, Skipped, Values, at, back, number

# Names of ONNX's element types, by number (onnx.TensorProto.DataType).
DTYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int32", 8: "string", 9: "bool", 11: "float32"}


def _unary(function: Callable[[Any], Any]) -> Adapter:
    return lambda node, x: back(function(x[0]), x[0].dtype)


def _test(function: Callable[..., Any]) -> Adapter:
    return lambda node, x: function(*x)


def _binary(function: Callable[[Any, Any], Any]) -> Adapter:
    return lambda node, x: back(function(x[0], x[1]), x[0].dtype)


def _variadic(function: Callable[[Any, Any], Any]) -> Adapter:
    return lambda node, x: back(reduce(function, x), x[0].dtype)


def _mean(node: Node, x: Values) -> Any:
    return fl.div(fl.add_n(x), float(len(x)))


def _quotient(a: Any, b: Any) -> Any:
    """Whole numbers divided, rounded towards 0."""
    down = fl.floor_div(a, b)
    if a.dtype != "int32":
        return back(down, a.dtype)
    ragged = fl.logical_and(
        fl.not_equal(fl.mul(down, b), a), fl.not_equal(fl.less(a, 0), fl.less(b, 0))
    )
    return fl.add(down, fl.cast(ragged, "int32"))


def _div(node: Node, x: Values) -> Any:
    a, b = x
    return fl.div(a, b) if a.dtype == "float32" else _quotient(a, b)


def _mod(node: Node, x: Values) -> Any:
    a, b = x
    if not node.get("fmod"):
        return back(fl.floor_mod(a, b), a.dtype)
    if a.dtype != "float32":
        return back(fl.sub(a, fl.mul(_quotient(a, b), b)), a.dtype)
    rest = fl.floor_mod(fl.abs(a), fl.abs(b))
    return fl.mul(fl.sign(a), rest)


def _pow(node: Node, x: Values) -> Any:
    return fl.cast(fl.pow(*x), x[0].dtype)


def _clip(node: Node, x: Values) -> Any:
    y, low, high = x[0], at(x, 1), at(x, 2)
    y = y if low is None else fl.maximum(y, low)
    return y if high is None else fl.minimum(y, high)


def _is_inf(node: Node, x: Values) -> Any:
    found = fl.is_inf(x[0])
    for name, side in (("detect_negative", fl.greater), ("detect_positive", fl.less)):
        if not node.get(name, 1):
            found = fl.logical_and(found, side(x[0], 0.0))
    return found


def _celu(node: Node, x: Values) -> Any:
    alpha = node.get("alpha", 1.0)
    return fl.mul(fl.elu(fl.div(x[0], alpha)), alpha)


def _selu(node: Node, x: Values) -> Any:
    if not node.attrs:
        return fl.selu(x[0])
    alpha = node.get("alpha", 1.6732631921768188)
    return fl.mul(fl.elu(x[0], alpha), node.get("gamma", 1.0507010221481323))


def _swish(node: Node, x: Values) -> Any:
    alpha = node.get("alpha", 1.0)
    return fl.swish(x[0]) if alpha == 1 else fl.mul(x[0], fl.sigmoid(fl.mul(x[0], alpha)))


def _swiglu(node: Node, x: Values) -> Any:
    return fl.mul(_swish(node, x), x[1])


def _gelu(node: Node, x: Values) -> Any:
    return fl.gelu(x[0], node.get("approximate") in ("tanh", b"tanh"))


def _thresholded(node: Node, x: Values) -> Any:
    return fl.where(fl.greater(x[0], node.get("alpha", 1.0)), x[0], 0.0)


def _shrink(node: Node, x: Values) -> Any:
    limit, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    below = fl.where(fl.less(x[0], -limit), fl.add(x[0], bias), 0.0)
    return fl.where(fl.greater(x[0], limit), fl.sub(x[0], bias), below)


def _shift(node: Node, x: Values) -> Any:
    """By 32 and more, or less than 0, nothing stays but the sign; Fanlight counts modulo 32."""
    dtype, (a, by) = x[0].dtype, (fl.cast(v, "int32") for v in x)
    far = fl.logical_or(fl.less(by, 0), fl.greater(by, 31))
    if node.get("direction") == "LEFT":
        y = fl.where(far, 0, fl.left_shift(a, by))
    else:
        y = fl.right_shift(a, fl.where(far, 31, by))
    return back(y, dtype)


def _bit_not(node: Node, x: Values) -> Any:
    return back(fl.bitwise_not(fl.cast(x[0], "int32")), x[0].dtype)


def _bits(function: Callable[[Any, Any], Any]) -> Adapter:
    return lambda node, x: back(function(*(fl.cast(v, "int32") for v in x)), x[0].dtype)


def _equal(node: Node, x: Values) -> Any:
    return fl.equal(*x)


# --- casts ----------------------------------------------------------------------------------------


def dtype_of(number: int) -> str:
    """The dtype of an ONNX element type."""
    if number not in DTYPES:
        raise Skipped(f"dtype {_name(number)}")
    return DTYPES[number]


def _name(number: int) -> str:
    from onnx import TensorProto

    return TensorProto.DataType.Name(number).lower()


def _cast(node: Node, x: Values) -> Any:
    return cast_to(x[0], dtype_of(node.get("to")))


def cast_to(x: Any, dtype: str) -> Any:
    """x in another dtype; strings are read and written in Python, as no kernel has them."""
    if "string" in (x.dtype, dtype) and x.dtype != dtype:
        raise Skipped("a cast between strings and numbers")
    return fl.cast(x, dtype)


def _cast_like(node: Node, x: Values) -> Any:
    return cast_to(x[0], x[1].dtype)


# --- bytes that stand for numbers -----------------------------------------------------------------


def _along(v: Any, node: Node, rank: int) -> Any:
    """A scale or zero point [n] of an axis, with dims to broadcast."""
    if v.rank != 1 or v.size == 1:
        return fl.reshape(v, ()) if v.size == 1 else v
    shape = [1] * rank
    shape[node.get("axis", 1) % rank] = v.size
    return fl.reshape(v, shape)


def _blocked(v: Any, node: Node, x: Any) -> Any:
    """A scale or zero point as it stands beside x: of all, of an axis or of blocks of it."""
    block, axis = node.get("block_size", 0), node.get("axis", 1) % max(x.rank, 1)
    if not block:
        return _along(v, node, x.rank)
    places = np.arange(x.shape[axis], dtype=np.int32) // block
    return fl.gather(v, places, axis)


def _quantize(node: Node, x: Values) -> Any:
    if node.get("output_dtype"):
        dtype_of(node.get("output_dtype"))
    zero = fl.tensor(0, "uint8") if at(x, 2) is None else x[2]
    if zero.dtype != "uint8":
        raise Skipped(f"bytes as {zero.dtype}")
    scaled = fl.round(fl.div(x[0], _blocked(x[1], node, x[0])))
    moved = fl.add(scaled, fl.cast(_blocked(zero, node, x[0]), "float32"))
    return fl.cast(fl.clip(moved, 0.0, 255.0), "uint8")


def _dequantize(node: Node, x: Values) -> Any:
    y = fl.cast(x[0], "float32")
    if at(x, 2) is not None:
        y = fl.sub(y, fl.cast(_blocked(x[2], node, x[0]), "float32"))
    return fl.mul(y, _blocked(x[1], node, x[0]))


def _dynamic_quantize(node: Node, x: Values) -> Any:
    low, high = fl.minimum(fl.min(x[0]), 0.0), fl.maximum(fl.max(x[0]), 0.0)
    scale = fl.div(fl.sub(high, low), 255.0)
    zero = fl.cast(fl.round(fl.clip(fl.div(fl.neg(low), scale), 0.0, 255.0)), "uint8")
    return _quantize(node, [x[0], scale, zero]), scale, zero


# --- strings --------------------------------------------------------------------------------------


def _concat_strings(node: Node, x: Values) -> Any:
    return fl.string.join(list(x))


def _full_match(node: Node, x: Values) -> Any:
    """What a pattern matches as a whole is replaced by a mark, and found by it."""
    whole = f"^(?:{node.get('pattern')})$"
    return fl.equal(fl.string.static_regex_replace(x[0], whole, "\0"), fl.tensor(["\0"]))


def _split_strings(node: Node, x: Values) -> Any:
    if node.get("maxsplit") is not None:
        raise Skipped("string.split has no greatest number of parts")
    delimiter = node.get("delimiter") or ""
    flat = fl.reshape(x[0], (-1,))
    # Fanlight splits at each of the characters of a delimiter.
    places, parts, shape = fl.string.split(flat, delimiter or " \t\n", not delimiter)
    dense = np.full(shape.tolist(), "", object)
    for place, part in zip(places.tolist(), parts.tolist(), strict=True):
        dense[tuple(place)] = part
    counts = fl.bincount(places[:, 0], size=flat.size)
    made = fl.tensor(dense.reshape(*x[0].shape, shape.tolist()[1]), "string")
    return made, fl.cast(fl.reshape(counts, x[0].shape), "int32")


def _normalize_strings(node: Node, x: Values) -> Any:
    y, words = x[0], node.get("stopwords") or []
    seen = y if node.get("is_case_sensitive", 0) else fl.string.lower(y)
    words = words if node.get("is_case_sensitive", 0) else [w.lower() for w in words]
    kept = [[w not in words for w in row] for row in np.atleast_2d(seen.numpy()).tolist()]
    y = fl.boolean_mask(y, np.array(kept[0]), y.rank - 1) if words else y
    change = node.get("case_change_action", "NONE")
    y = y if change == "NONE" else getattr(fl.string, change.lower())(y)
    return y if y.shape[-1] else fl.tensor(np.full((*y.shape[:-1], 1), "", object))


# --- optimizers -----------------------------------------------------------------------------------


def _groups(x: Values, kinds: int) -> list[list[Any]]:
    """Inputs after rate and step, as kinds of as many tensors each."""
    count = (len(x) - 2) // kinds
    return [list(x[2 + k * count : 2 + (k + 1) * count]) for k in range(kinds)]


def _regularised(node: Node, w: Any, g: Any) -> Any:
    return fl.add(g, fl.mul(w, node.get("norm_coefficient", 0.0)))


def _adagrad(node: Node, x: Values) -> Any:
    rate = number(x[0]) / (1 + number(x[1]) * node.get("decay_factor", 0.0))
    after: list[list[Any]] = [[], []]
    for w, g, h in zip(*_groups(x, 3), strict=True):
        g = _regularised(node, w, g)
        h = fl.add(h, fl.square(g))
        step = fl.div(fl.mul(g, rate), fl.add(fl.sqrt(h), node.get("epsilon", 0.0)))
        after[0].append(fl.sub(w, step))
        after[1].append(h)
    return [*after[0], *after[1]]


def _adam(node: Node, x: Values) -> Any:
    alpha, beta, t = node.get("alpha", 0.9), node.get("beta", 0.999), number(x[1])
    rate = number(x[0])
    if t > 0:
        rate *= np.sqrt(1 - beta**t) / (1 - alpha**t)
    after: list[list[Any]] = [[], [], []]
    for w, g, v, h in zip(*_groups(x, 4), strict=True):
        g = _regularised(node, w, g)
        v = fl.add(fl.mul(v, alpha), fl.mul(g, 1 - alpha))
        h = fl.add(fl.mul(h, beta), fl.mul(fl.square(g), 1 - beta))
        step = fl.div(fl.mul(v, float(rate)), fl.add(fl.sqrt(h), node.get("epsilon", 0.0)))
        after[0].append(fl.sub(w, step))
        after[1].append(v)
        after[2].append(h)
    return [y for part in after for y in part]


def _momentum(node: Node, x: Values) -> Any:
    rate, t, alpha = number(x[0]), number(x[1]), node.get("alpha")
    beta = node.get("beta") if t > 0 else 1.0
    after: list[list[Any]] = [[], []]
    for w, g, v in zip(*_groups(x, 3), strict=True):
        g = _regularised(node, w, g)
        v = fl.add(fl.mul(v, alpha), fl.mul(g, beta))
        step = fl.add(g, fl.mul(v, alpha)) if node.get("mode") == "nesterov" else v
        after[0].append(fl.sub(w, fl.mul(step, rate)))
        after[1].append(v)
    return [*after[0], *after[1]]


ADAPTERS: dict[str, Adapter] = {
    **{
        name: _unary(getattr(fl, name.lower()))
        for name in (
            *("Abs", "Neg", "Sign", "Sqrt", "Reciprocal", "Exp", "Log", "Sin", "Cos", "Tan"),
            *("Asin", "Acos", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Acosh", "Atanh", "Erf"),
            *("Floor", "Ceil", "Round", "Relu", "Sigmoid", "Softplus", "Softsign", "Mish"),
        )
    },
    "Not": _unary(fl.logical_not),
    "HardSwish": _unary(fl.hard_swish),
    "IsNaN": _test(fl.is_nan),
    "IsInf": _is_inf,
    "LeakyRelu": lambda node, x: fl.leaky_relu(x[0], node.get("alpha", 0.01)),
    "Elu": lambda node, x: fl.elu(x[0], node.get("alpha", 1.0)),
    "HardSigmoid": lambda node, x: apply(
        "hard_sigmoid", x[0], alpha=node.get("alpha", 0.2), beta=node.get("beta", 0.5)
    ),
    "PRelu": _test(fl.prelu),
    "Celu": _celu,
    "Selu": _selu,
    "Swish": _swish,
    "SwiGLU": _swiglu,
    "Gelu": _gelu,
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
    "Clip": _clip,
    "Add": _binary(fl.add),
    "Sub": _binary(fl.sub),
    "Mul": _binary(fl.mul),
    "Div": _div,
    "Mod": _mod,
    "Pow": _pow,
    "Max": _variadic(fl.maximum),
    "Min": _variadic(fl.minimum),
    "Sum": _variadic(fl.add),
    "Mean": _mean,
    "And": _test(fl.logical_and),
    "Or": _test(fl.logical_or),
    "Xor": _test(fl.logical_xor),
    "Equal": _equal,
    "Greater": _test(fl.greater),
    "GreaterOrEqual": _test(fl.greater_equal),
    "Less": _test(fl.less),
    "LessOrEqual": _test(fl.less_equal),
    "Where": _test(fl.where),
    "BitShift": _shift,
    "BitwiseNot": _bit_not,
    "BitwiseAnd": _bits(fl.bitwise_and),
    "BitwiseOr": _bits(fl.bitwise_or),
    "BitwiseXor": _bits(fl.bitwise_xor),
    "Cast": _cast,
    "CastLike": _cast_like,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "StringConcat": _concat_strings,
    "RegexFullMatch": _full_match,
    "StringNormalizer": _normalize_strings,
    "StringSplit": _split_strings,
    "Adagrad": _adagrad,
    "Adam": _adam,
    "Momentum": _momentum,
}

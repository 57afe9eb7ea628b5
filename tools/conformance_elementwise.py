"""Recorded kernels that compute element by element, reduce, or make tensors; see conformance.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.tensor import functions, random, string
from tools.conformance_call import (
    Adapter,
    Attrs,
    Inputs,
    Skipped,
    arrays_of,
    as_dtype,
    axes_of,
    back,
    call,
    floats,
    plain,
)

_UNARY = (
    "Acos Acosh Asin Asinh Atan Atanh Cosh IsFinite IsInf Sinh Tan "
    "Abs Ceil Cos Elu Erf Exp Expm1 Floor IsNan Log Log1p Neg Reciprocal Relu Relu6 Round Rsqrt "
    "Selu Sigmoid Sign Sin Softplus Sqrt Square Tanh LogicalNot"
)


_NAMES = {
    "IsFinite": "is_finite",
    "IsInf": "is_inf",
    "IsNan": "is_nan",
    "LogicalNot": "logical_not",
}


_BINARY = {
    "Add": "add",
    "Sub": "sub",
    "Multiply": "mul",
    "RealDiv": "div",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "FloorDiv": "floor_div",
    "Mod": "floor_mod",
    "SquaredDifference": "squared_difference",
    "Equal": "equal",
    "NotEqual": "not_equal",
    "Less": "less",
    "LessEqual": "less_equal",
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "LogicalAnd": "logical_and",
    "LogicalOr": "logical_or",
    "Prelu": "prelu",
}


_INTEGERS_TOO = {
    "abs",
    "ceil",
    "floor",
    "is_nan",
    "is_inf",
    "is_finite",
    "neg",
    "relu",
    "relu6",
    "round",
    "sign",
    "square",
}


def _binary(op: str) -> Adapter:
    """Inputs of one dtype, as the importer casts them where TensorFlow.js promotes."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        a, b = inputs.values()
        if a.dtype != b.dtype:
            a, b = as_dtype(a, "float32"), as_dtype(b, "float32")
        if a.dtype == bool and op not in ("equal", "not_equal", "logical_and", "logical_or"):
            a, b = as_dtype(a, "int32"), as_dtype(b, "int32")
        return call(op, a, b)

    return adapt


def _reduce(op: str, axis: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = next(iter(inputs.values()))
        if op in ("sum", "prod") and x.dtype == bool:
            x = as_dtype(x, "int32")
        if op == "mean":
            x = as_dtype(x, "float32")
        return call(op, x, axes=axes_of(attrs[axis], x.ndim), keepdims=attrs["keepDims"])

    return adapt


def _position(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = inputs["x"]
        return call(op, as_dtype(x, "int32") if x.dtype == bool else x, axis=attrs["axis"])

    return adapt


def _top_k(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    if not attrs["sorted"]:
        raise Skipped("any order will do")
    return call("top_k", inputs["x"], k=attrs["k"])


def _add_n(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    total, *rest = inputs.values()
    for x in rest:
        (total,) = call("add", total, x)
    return [total]


def _softmax(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("softmax", inputs["logits"], axis=attrs["dim"])


def _cast_kernel(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    if attrs["dtype"] not in dtypes.DTYPES:
        raise Skipped(f"dtype {attrs['dtype']}")
    return call("cast", inputs["x"], dtype=attrs["dtype"])


def _leaky_relu(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("leaky_relu", as_dtype(inputs["x"], "float32"), alpha=attrs["alpha"])


def _clip(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("clip", inputs["x"], lo=attrs["clipValueMin"], hi=attrs["clipValueMax"])


def _elu_grad(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    """From the result: of y < 0 it is log(1 + y) that was given."""
    y = inputs["y"]
    x = np.where(y < 0, np.log1p(np.minimum(y, 0)), y).astype(np.float32)
    return back("elu", 0, [x], inputs["dy"])


def _fill(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    value = attrs["value"]
    if value is None:
        raise Skipped("a value that the record lost")
    dtype = "string" if isinstance(value, str) else attrs.get("dtype") or "float32"
    if dtype not in (*dtypes.DTYPES, dtypes.STRING):
        raise Skipped(f"dtype {dtype}")
    return [functions.full(attrs["shape"], value, dtype).numpy()]


def _range(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    start, stop, step = attrs["start"], attrs["stop"], attrs["step"]
    # TensorFlow.js counts down by itself where the step is the default one.
    found = functions.range(start, stop, -1 if stop < start and step == 1 else step)
    return [as_dtype(found.numpy(), attrs["dtype"])]


def _one_hot(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    on, off = attrs["onValue"], attrs["offValue"]
    found = functions.one_hot(inputs["indices"], attrs["depth"], on, off)
    return [as_dtype(found.numpy(), attrs["dtype"])]


def _like(make: Callable[[Any], Any]) -> Adapter:
    return lambda inputs, attrs: [make(inputs["x"]).numpy()]


def _step(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("step", as_dtype(inputs["x"], "float32"), alpha=attrs["alpha"])


def _multinomial(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    count, normalized = attrs["numSamples"], attrs["normalized"]
    return arrays_of(random.multinomial(inputs["logits"], count, normalized, seed=1))


def _n_grams(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    options = ("separator", "nGramWidths", "leftPad", "rightPad", "padWidth")
    given = [attrs[name] for name in options]
    short = attrs["preserveShortSequences"]
    return arrays_of(string.n_grams(inputs["data"], inputs["dataSplits"], *given, short))


def _string_split(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    delimiter = inputs["delimiter"].item()
    return arrays_of(string.split(inputs["input"], delimiter, attrs["skipEmpty"]))


def _regex_replace(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    options = [attrs[name] for name in ("pattern", "rewrite", "replaceGlobal")]
    return arrays_of(string.static_regex_replace(inputs["x"], *options))


ADAPTERS: dict[str, Adapter] = {
    **{
        kernel: (plain if op in _INTEGERS_TOO or op == "logical_not" else floats)(op)
        for kernel in _UNARY.split()
        for op in [_NAMES.get(kernel, kernel.lower())]
    },
    **{kernel: _binary(op) for kernel, op in _BINARY.items()},
    "AddN": _add_n,
    "All": _reduce("all", "axis"),
    "Any": _reduce("any", "axis"),
    "ArgMax": _position("arg_max"),
    "ArgMin": _position("arg_min"),
    "Atan2": floats("atan2"),
    "BatchMatMul": floats("matmul", transpose_a="transposeA", transpose_b="transposeB"),
    "Cast": _cast_kernel,
    "ClipByValue": _clip,
    "Cumprod": plain("cumprod", axis="axis", exclusive="exclusive", reverse="reverse"),
    "Cumsum": plain("cumsum", axis="axis", exclusive="exclusive", reverse="reverse"),
    "EluGrad": _elu_grad,
    "Fill": _fill,
    "LeakyRelu": _leaky_relu,
    "LinSpace": lambda inputs, attrs: [
        functions.linspace(attrs["start"], attrs["stop"], attrs["num"]).numpy()
    ],
    "Max": _reduce("max", "reductionIndices"),
    "Mean": _reduce("mean", "axis"),
    "Min": _reduce("min", "axis"),
    "Multinomial": _multinomial,
    "OneHot": _one_hot,
    "OnesLike": _like(functions.ones_like),
    "Pow": floats("pow"),
    "Prod": _reduce("prod", "axis"),
    "Range": _range,
    "Softmax": _softmax,
    "StaticRegexReplace": _regex_replace,
    "Step": _step,
    "StringNGrams": _n_grams,
    "StringSplit": _string_split,
    "StringToHashBucketFast": lambda inputs, attrs: arrays_of(
        string.to_hash_bucket_fast(inputs["input"], attrs["numBuckets"])
    ),
    "Sum": _reduce("sum", "axis"),
    "TopK": _top_k,
    "ZerosLike": _like(functions.zeros_like),
}

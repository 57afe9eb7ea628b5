"""Run recorded calls of TensorFlow.js kernels through the op table and compare.

    python tools/conformance.py FILE [--kernels Conv2D,Softmax] [--verbose] [--host HOST]

FILE has one JSON object a line (plain or .gz): `k` kernel, `i` inputs by name, `a` attributes, `o`
output or list of outputs; a tensor is {"s": shape, "d": dtype, "v": flat values}. A kernel passes
if every output has the recorded shape and values (absolute 1e-3 or relative 1e-4, equal where the
recorded dtype is int32, bool or string; for random numbers the shares of each value). Calls that no
importer hands to the table (some of strings and complex numbers) are skipped and counted.
The last line is `N passed, N failed`; the exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fanlight import dtypes
from fanlight.environment import stayed_with_numpy
from fanlight.errors import FanlightError
from fanlight.ops import TABLE, TensorType
from fanlight.ops import row as rows
from fanlight.tensor import (
    apply,
    functions,
    parts,
    ragged,
    random,
    segments,
    selection,
    sorting,
    string,
    tensor,
    vjp,
)
from fanlight.tensor import indices as indexed
from fanlight.tensor.calls import shared
from tools import conformance_functions
from tools.browser_ops import HOSTS, computing_on
from tools.conformance_complex import COMPLEX, FUNCTIONS

Inputs = Mapping[str, Any]  # arrays, lists of them, or None
Attrs = Mapping[str, Any]
Adapter = Callable[[Inputs, Attrs], list[np.ndarray]]

_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


class Skipped(Exception):
    """A call that the table is not meant to express."""


def call(op: str, *arrays: np.ndarray, **attrs: Any) -> list[np.ndarray]:
    """One op on arrays, as a graph would run it; the rules must give the types of the results."""
    types = [TensorType(a.shape, _dtype_of(a)) for a in arrays]
    full, outputs = rows.infer(op, types, attrs)
    results = (shared.backend or rows.prepared)(op, types, full)(arrays)
    for type, result in zip(outputs, results, strict=True):
        assert (type.shape, type.dtype) == (result.shape, _dtype_of(result)), (
            f"{op} promised {type} and gave {result.dtype}{list(result.shape)}"
        )
    return results


def _dtype_of(array: np.ndarray) -> str:
    return dtypes.STRING if array.dtype == object else str(dtypes.from_numpy(array.dtype))


# --- adapters: what an importer does with a kernel ------------------------------------------------


def _cast(x: np.ndarray, dtype: str) -> np.ndarray:
    return call("cast", x, dtype=dtype)[0]


def _plain(op: str, **renamed: str) -> Adapter:
    """Inputs in order; attributes under new names."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        arrays = [a for a in inputs.values() if a is not None]
        return call(op, *arrays, **{ours: attrs[theirs] for ours, theirs in renamed.items()})

    return adapt


def _floats(op: str, **renamed: str) -> Adapter:
    """As `_plain`, computed in float32 and brought back to the dtype of the inputs."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        arrays = [a for a in inputs.values() if a is not None]
        options = {ours: attrs[theirs] for ours, theirs in renamed.items()}
        (result,) = call(op, *(_cast(a, "float32") for a in arrays), **options)
        return [_cast(result, str(arrays[0].dtype))]

    return adapt


def _axes(value: Any, rank: int) -> tuple[int, ...]:
    if value is None:
        return tuple(range(rank))
    return tuple(a % rank for a in (value if isinstance(value, list) else [value])) if rank else ()


def _reduce(op: str, axis: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = next(iter(inputs.values()))
        if op in ("sum", "prod") and x.dtype == bool:
            x = _cast(x, "int32")
        if op == "mean":
            x = _cast(x, "float32")
        return call(op, x, axes=_axes(attrs[axis], x.ndim), keepdims=attrs["keepDims"])

    return adapt


def _position(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = inputs["x"]
        return call(op, _cast(x, "int32") if x.dtype == bool else x, axis=attrs["axis"])

    return adapt


def _top_k(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    if not attrs["sorted"]:
        raise Skipped("any order will do")
    return call("top_k", inputs["x"], k=attrs["k"])


def _pair(value: Any) -> tuple[int, int]:
    return tuple(value) if isinstance(value, list) else (value, value)


def _padding(
    size: tuple[int, ...], window: tuple[int, int], strides: tuple[int, int], attrs: Attrs
) -> tuple[tuple[int, int], ...]:
    """((top, bottom), (left, right)) of a "pad" attribute of TensorFlow.js."""
    pad, dilations = attrs["pad"], _pair(attrs.get("dilations") or 1)
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilations, strict=True)]
    if pad == "valid":
        return ((0, 0), (0, 0))
    if pad == "same":
        total = [
            max((-(-n // s) - 1) * s + r - n, 0)
            for n, s, r in zip(size, strides, reach, strict=True)
        ]
        return tuple((t // 2, t - t // 2) for t in total)
    space = slice(2, 4) if attrs.get("dataFormat") == "NCHW" else slice(1, 3)
    pairs = [tuple(p) for p in pad[space]] if isinstance(pad, list) else [(pad, pad)] * 2
    mode = attrs.get("dimRoundingMode")
    if mode in ("ceil", "round"):
        # The table rounds down; a larger frame behind the image gives one window more.
        for a in (0, 1):
            steps = (size[a] + sum(pairs[a]) - reach[a]) / strides[a]
            count = int(np.ceil(steps) if mode == "ceil" else np.floor(steps + 0.5)) + 1
            short = (count - 1) * strides[a] + reach[a] - size[a] - sum(pairs[a])
            pairs[a] = (pairs[a][0], pairs[a][1] + max(short, 0))
    return tuple(pairs)


def _pool(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = inputs["x"]
        size, strides = _pair(attrs["filterSize"]), _pair(attrs["strides"])
        padding = _padding(x.shape[1:3], size, strides, attrs)
        return call(op, x, size=size, strides=strides, padding=padding)

    return adapt


_ACTIVATIONS = {
    "linear": "{0}",
    "relu": "max({0}, 0)",
    "relu6": "min(max({0}, 0), 6)",
    "sigmoid": "div(1, add(1, exp(neg({0}))))",
    "elu": "select(lt({0}, 0), sub(exp({0}), 1), {0})",
    "prelu": "select(lt({0}, 0), mul({1}, {0}), {0})",
}


def _epilogue(inputs: Inputs, attrs: Attrs) -> tuple[list[np.ndarray], dict[str, str]]:
    """The extra inputs and the attribute of a fused bias and activation."""
    extras, text = [], "a0"
    if inputs.get("bias") is not None:
        extras.append(inputs["bias"])
        text = "add(a0, a1)"
    name = attrs.get("activation")
    if inputs.get("preluActivationWeights") is not None:
        extras.append(inputs["preluActivationWeights"])
    if name == "leakyrelu":
        text = f"select(lt({text}, 0), mul({float(attrs['leakyreluAlpha'])!r}, {text}), {text})"
    elif name is not None:
        text = _ACTIVATIONS[name].format(text, f"a{len(extras)}")
    return extras, {"epilogue": text} if text != "a0" else {}


def _conv(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x, w = inputs["x"], inputs["filter"]
        nchw = attrs["dataFormat"] == "NCHW"
        extras, epilogue = _epilogue(inputs, attrs)
        if nchw:
            (x,) = call("transpose", x, perm=(0, 2, 3, 1))
            extras = [np.moveaxis(e, -3, -1) if e.ndim >= 3 else e for e in extras]
        strides, dilations = _pair(attrs["strides"]), _pair(attrs["dilations"] or 1)
        padding = _padding(x.shape[1:3], w.shape[:2], strides, attrs)
        result = call(
            op, x, w, *extras, strides=strides, padding=padding, dilations=dilations, **epilogue
        )
        return call("transpose", *result, perm=(0, 3, 1, 2)) if nchw else result

    return adapt


def _conv_back(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, w, shape = inputs["dy"], inputs["filter"], list(attrs["inputShape"])
    nchw = attrs["dataFormat"] == "NCHW"
    if nchw:
        (x,) = call("transpose", x, perm=(0, 2, 3, 1))
        shape = [shape[0], *shape[2:], shape[1]]
    size, strides = tuple(shape[1:3]), _pair(attrs["strides"])
    padding = _padding(size, w.shape[:2], strides, attrs)
    result = call("conv2d_transpose", x, w, strides=strides, padding=padding, output_size=size)
    return call("transpose", *result, perm=(0, 3, 1, 2)) if nchw else result


def _fused_matmul(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    extras, epilogue = _epilogue(inputs, attrs)
    flags = {"transpose_a": attrs["transposeA"], "transpose_b": attrs["transposeB"]}
    return call("matmul", inputs["a"], inputs["b"], *extras, **flags, **epilogue)


def _batch_norm(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, channels = inputs["x"], inputs["x"].shape[-1:]
    given = [inputs.get(n) for n in ("mean", "variance", "offset", "scale")]
    defaults = [0.0, 1.0, 0.0, 1.0]
    parameters = [
        np.full(channels, d, np.float32) if a is None else a
        for a, d in zip(given, defaults, strict=True)
    ]
    epsilon = attrs["varianceEpsilon"]
    if all(p.shape == channels for p in parameters):
        return call("batch_norm", x, *parameters, epsilon=epsilon)
    # Parameters of other shapes broadcast: the importer writes the formula out.
    mean, variance, offset, scale = parameters
    (above,) = call("sub", x, mean)
    (shifted,) = call("add", variance, np.float32(epsilon))
    (scaled,) = call("mul", *call("mul", above, scale), *call("rsqrt", shifted))
    return call("add", scaled, offset)


def _resize(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        names = {(True, False): "align_corners", (False, True): "half_pixel"}
        key = (attrs["alignCorners"], attrs["halfPixelCenters"])
        x = inputs["images"]
        coordinates = names.get(key, "asymmetric")
        (y,) = call(op, _cast(x, "float32"), size=tuple(attrs["size"]), coordinates=coordinates)
        return [_cast(y, str(x.dtype)) if op == "resize_nearest" else y]

    return adapt


def _slice(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, size = inputs["x"], attrs.get("size", -1)
    begin = attrs["begin"] if isinstance(attrs["begin"], list) else [attrs["begin"]]
    begin += [0] * (x.ndim - len(begin))
    size = list(size) if isinstance(size, list) else [size]
    size += [-1] * (x.ndim - len(size))
    size = [n - b if s < 0 else s for s, b, n in zip(size, begin, x.shape, strict=True)]
    return call("slice", x, begin=begin, size=size)


def _strided_slice(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    """Masks as tf.strided_slice has them, one bit per entry of begin, end and strides."""
    x = inputs["x"]
    masks = ("begin", "end", "ellipsis", "newAxis", "shrinkAxis")
    bits = {m: attrs[f"{m}Mask"] for m in masks}
    count = len(attrs["begin"])
    added = sum(bits["newAxis"] >> i & 1 for i in range(count))
    begin, end, strides, shape = [], [], [], []

    def whole(n: int) -> None:
        begin.append(0), end.append(n), strides.append(1), shape.append(n)

    for i in range(count):
        if bits["ellipsis"] >> i & 1:
            rest = count - i - 1 - sum(bits["newAxis"] >> j & 1 for j in range(i + 1, count))
            while len(begin) < x.ndim - rest:
                whole(x.shape[len(begin)])
        elif bits["newAxis"] >> i & 1:
            shape.append(1)
        else:
            n, step = x.shape[len(begin)], attrs["strides"][i]
            shrink = bits["shrinkAxis"] >> i & 1
            first = None if bits["begin"] >> i & 1 and not shrink else attrs["begin"][i]
            last = None if bits["end"] >> i & 1 else attrs["end"][i]
            if shrink:
                first, last, step = first % n, first % n + 1, 1
            b, e, s = slice(first, last, step).indices(n)
            begin.append(b), end.append(e), strides.append(s)
            if not shrink:
                shape.append(len(range(b, e, s)))
    while len(begin) < x.ndim:
        whole(x.shape[len(begin)])
    assert added + x.ndim >= len(shape)
    (part,) = call("strided_slice", x, begin=begin, end=end, strides=strides)
    return call("reshape", part, shape=shape)


def _split(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["x"]
    axis, sizes = attrs["axis"] % x.ndim, attrs["numOrSizeSplits"]
    if isinstance(sizes, int):
        sizes = [x.shape[axis] // sizes] * sizes
    results, at = [], 0
    sizes = [x.shape[axis] - sum(sizes) - 1 if s < 0 else s for s in sizes]
    for size in sizes:
        begin, shape = [0] * x.ndim, list(x.shape)
        begin[axis], shape[axis] = at, size
        results += call("slice", x, begin=begin, size=shape)
        at += size
    return results


def _unpack(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["value"]
    axis = attrs["axis"] % x.ndim
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    parts = _split({"x": x}, {"axis": axis, "numOrSizeSplits": x.shape[axis]})
    return [call("reshape", part, shape=rest)[0] for part in parts]


def _pack(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    first = next(iter(inputs.values()))
    axis = attrs["axis"] % (first.ndim + 1)
    shape = (*first.shape[:axis], 1, *first.shape[axis:])
    return call("concat", *(call("reshape", x, shape=shape)[0] for x in inputs.values()), axis=axis)


def _concat(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    # TensorFlow lets an empty vector join anything.
    parts = [x for x in inputs.values() if x.shape != (0,)] or list(inputs.values())[:1]
    return call("concat", *parts, axis=attrs["axis"])


def _gather(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x, indices = inputs["x"], inputs["indices"]
    if attrs["batchDims"]:
        return [indexed.gather(x, indices, attrs["axis"], attrs["batchDims"]).numpy()]
    return call("gather", x, indices, axis=attrs["axis"])


def _expand(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["input"]
    axis = attrs["dim"] % (x.ndim + 1)
    return call("reshape", x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def _select(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    c, t, e = inputs["condition"], inputs["t"], inputs["e"]
    if t.dtype != e.dtype:
        raise Skipped("branches of two dtypes")
    if c.ndim == 1 and t.ndim > 1:
        (c,) = call("reshape", c, shape=(*c.shape, *[1] * (t.ndim - 1)))
    return call("select", c, t, e)


def _binary(op: str) -> Adapter:
    """Inputs of one dtype, as the importer casts them where TensorFlow.js promotes."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        a, b = inputs.values()
        if a.dtype != b.dtype:
            a, b = _cast(a, "float32"), _cast(b, "float32")
        if a.dtype == bool and op not in ("equal", "not_equal", "logical_and", "logical_or"):
            a, b = _cast(a, "int32"), _cast(b, "int32")
        return call(op, a, b)

    return adapt


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


def _reverse(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs["x"]
    return call("reverse", x, axes=_axes(attrs.get("dims"), x.ndim))


def _tile(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("tile", inputs["x"], multiples=attrs["reps"])


def _leaky_relu(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("leaky_relu", _cast(inputs["x"], "float32"), alpha=attrs["alpha"])


def _clip(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("clip", inputs["x"], lo=attrs["clipValueMin"], hi=attrs["clipValueMax"])


def _back(op: str, index: int, arrays: list[np.ndarray], dy: np.ndarray, **attrs: Any) -> Any:
    """The gradient of an op after one of its inputs, by its row's rule."""
    given = [tensor(a) for a in arrays]
    (found,) = vjp(
        lambda x: apply(op, *given[:index], x, *given[index + 1 :], **attrs), given[index]
    )[1](tensor(dy))
    return [found.numpy()]


def _pool_grad(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x = inputs["input"]
        size, strides = _pair(attrs["filterSize"]), _pair(attrs["strides"])
        padding = _padding(x.shape[1:3], size, strides, attrs)
        return _back(op, 0, [x], inputs["dy"], size=size, strides=strides, padding=padding)

    return adapt


def _resize_grad(op: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x, dy = inputs["images"], inputs["dy"]
        how = "align_corners" if attrs["alignCorners"] else "asymmetric"
        return _back(op, 0, [_cast(x, "float32")], dy, size=dy.shape[1:3], coordinates=how)

    return adapt


def _conv_grad(op: str, after: str) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        x, w, dy = inputs.get("x"), inputs.get("filter"), inputs["dy"]
        if attrs.get("dataFormat") == "NCHW":
            raise Skipped("channels first")
        x = np.zeros(attrs["inputShape"], np.float32) if x is None else x
        w = np.zeros(attrs["filterShape"], np.float32) if w is None else w
        strides, dilations = _pair(attrs["strides"]), _pair(attrs.get("dilations") or 1)
        padding = _padding(x.shape[1:3], w.shape[:2], strides, attrs)
        options = {"strides": strides, "padding": padding, "dilations": dilations}
        return _back(op, ["x", "filter"].index(after), [x, w], dy, **options)

    return adapt


def _elu_grad(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    """From the result: of y < 0 it is log(1 + y) that was given."""
    y = inputs["y"]
    x = np.where(y < 0, np.log1p(np.minimum(y, 0)), y).astype(np.float32)
    return _back("elu", 0, [x], inputs["dy"])


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
    return [_cast(found.numpy(), attrs["dtype"])]


def _one_hot(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    on, off = attrs["onValue"], attrs["offValue"]
    found = functions.one_hot(inputs["indices"], attrs["depth"], on, off)
    return [_cast(found.numpy(), attrs["dtype"])]


def _like(make: Callable[[Any], Any]) -> Adapter:
    return lambda inputs, attrs: [make(inputs["x"]).numpy()]


def _step(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    return call("step", _cast(inputs["x"], "float32"), alpha=attrs["alpha"])


def _function(function: Callable[..., Any], **renamed: str) -> Adapter:
    """A function of tensors: inputs in order, attributes under new names."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        arrays = [a for a in inputs.values() if a is not None]
        options = {ours: attrs[theirs] for ours, theirs in renamed.items()}
        result = function(*arrays, **options)
        return _flat(result)

    return adapt


def _flat(result: Any) -> list[np.ndarray]:
    """Tensors, in whatever lists and tuples, as arrays in a row."""
    if isinstance(result, list | tuple):
        return [array for part in result for array in _flat(part)]
    return [result.numpy()]


def _scatter_nd(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    """Indices without a dim of tuples count the first dim."""
    indices, updates, shape = inputs["indices"], inputs["updates"], attrs["shape"]
    if indices.ndim == 1:
        indices = indices[:, None]
    return [indexed.scatter_nd(indices, updates, shape).numpy()]


def _counts(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    weights = inputs["weights"] if inputs["weights"].size else None
    binary = attrs.get("binaryOutput", False)
    found = sorting.dense_bincount(inputs["x"], weights, attrs["size"], binary)
    return [found.numpy()]


def _sparse_segments(function: Callable[..., Any]) -> Adapter:
    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        found = function(inputs["data"], inputs["indices"], inputs["segmentIds"]).numpy()
        return [_cast(found, str(inputs["data"].dtype))]

    return adapt


def _ragged_gather(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    splits, values = inputs["paramsNestedSplits"], inputs["paramsDenseValues"]
    return _flat(ragged.ragged_gather(splits, values, inputs["indices"]))


def _ragged_to_dense(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    plain = (inputs[name] for name in ("shape", "values", "defaultValue", "rowPartitionTensors"))
    return _flat(ragged.ragged_tensor_to_tensor(*plain, attrs["rowPartitionTypes"]))


_UNARY = (
    "Acos Acosh Asin Asinh Atan Atanh Cosh IsFinite IsInf Sinh Tan "
    "Abs Ceil Cos Elu Erf Exp Expm1 Floor IsNan Log Log1p Neg Reciprocal Relu Relu6 Round Rsqrt "
    "Selu Sigmoid Sign Sin Softplus Sqrt Square Tanh LogicalNot"
)
_NAMES = {"IsNan": "is_nan", "LogicalNot": "logical_not"}
_NAMES |= {"IsInf": "is_inf", "IsFinite": "is_finite"}
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

ADAPTERS: dict[str, Adapter] = {
    **{
        kernel: (_plain if op in _INTEGERS_TOO or op == "logical_not" else _floats)(op)
        for kernel in _UNARY.split()
        for op in [_NAMES.get(kernel, kernel.lower())]
    },
    **{kernel: _binary(op) for kernel, op in _BINARY.items()},
    **FUNCTIONS,
    "AddN": _add_n,
    "All": _reduce("all", "axis"),
    "Any": _reduce("any", "axis"),
    "Atan2": _floats("atan2"),
    "AvgPoolGrad": _pool_grad("avg_pool"),
    "Conv2DBackpropFilter": _conv_grad("conv2d", "filter"),
    "DepthwiseConv2dNativeBackpropFilter": _conv_grad("depthwise_conv2d", "filter"),
    "DepthwiseConv2dNativeBackpropInput": _conv_grad("depthwise_conv2d", "x"),
    "EluGrad": _elu_grad,
    "Fill": _fill,
    "LinSpace": lambda inputs, attrs: [
        functions.linspace(attrs["start"], attrs["stop"], attrs["num"]).numpy()
    ],
    "MaxPoolGrad": _pool_grad("max_pool"),
    "OneHot": _one_hot,
    "OnesLike": _like(functions.ones_like),
    "Range": _range,
    "ResizeBilinearGrad": _resize_grad("resize_bilinear"),
    "ResizeNearestNeighborGrad": _resize_grad("resize_nearest"),
    "Step": _step,
    "ZerosLike": _like(functions.zeros_like),
    "ArgMax": _position("arg_max"),
    "ArgMin": _position("arg_min"),
    "Bincount": _counts,
    "Cumprod": _plain("cumprod", axis="axis", exclusive="exclusive", reverse="reverse"),
    "Cumsum": _plain("cumsum", axis="axis", exclusive="exclusive", reverse="reverse"),
    "DenseBincount": _counts,
    "GatherNd": _plain("gather_nd"),
    "RaggedGather": _ragged_gather,
    "RaggedRange": _function(ragged.ragged_range),
    "RaggedTensorToTensor": _ragged_to_dense,
    "ScatterNd": _scatter_nd,
    "SearchSorted": _function(sorting.search_sorted, side="side"),
    "SparseFillEmptyRows": _function(ragged.sparse_fill_empty_rows),
    "SparseReshape": _function(ragged.sparse_reshape),
    "SparseSegmentMean": _sparse_segments(segments.sparse_segment_mean),
    "SparseSegmentSum": _sparse_segments(segments.sparse_segment_sum),
    "SparseToDense": lambda inputs, attrs: [
        indexed.sparse_to_dense(
            inputs["sparseIndices"],
            inputs["sparseValues"],
            attrs["outputShape"],
            inputs["defaultValue"],
        ).numpy()
    ],
    "TensorScatterUpdate": _function(indexed.tensor_scatter_update),
    "Unique": _function(selection.unique, axis="axis"),
    "UnsortedSegmentSum": _function(segments.unsorted_segment_sum, num_segments="numSegments"),
    "AvgPool": _pool("avg_pool"),
    "BatchMatMul": _floats("matmul", transpose_a="transposeA", transpose_b="transposeB"),
    "BatchToSpaceND": _plain("batch_to_space", block="blockShape", crops="crops"),
    "Cast": _cast_kernel,
    "ClipByValue": _clip,
    "Concat": _concat,
    "Conv2D": _conv("conv2d"),
    "Conv2DBackpropInput": _conv_back,
    "DepthToSpace": _plain("depth_to_space", block="blockSize"),
    "DepthwiseConv2dNative": _conv("depthwise_conv2d"),
    "ExpandDims": _expand,
    "FlipLeftRight": lambda inputs, attrs: call("reverse", inputs["image"], axes=(2,)),
    "FusedBatchNorm": _batch_norm,
    "FusedConv2D": _conv("conv2d"),
    "FusedDepthwiseConv2D": _conv("depthwise_conv2d"),
    "GatherV2": _gather,
    "LeakyRelu": _leaky_relu,
    "Max": _reduce("max", "reductionIndices"),
    "MaxPool": _pool("max_pool"),
    "Mean": _reduce("mean", "axis"),
    "Min": _reduce("min", "axis"),
    "MirrorPad": _plain("mirror_pad", paddings="paddings", mode="mode"),
    "Pack": _pack,
    "PadV2": _plain("pad", paddings="paddings", value="constantValue"),
    "Pow": _floats("pow"),
    "Prod": _reduce("prod", "axis"),
    "Reshape": _plain("reshape", shape="shape"),
    "ResizeBilinear": _resize("resize_bilinear"),
    "ResizeNearestNeighbor": _resize("resize_nearest"),
    "Reverse": _reverse,
    "Select": _select,
    "Slice": _slice,
    "Softmax": _softmax,
    "SpaceToBatchND": _plain("space_to_batch", block="blockShape", paddings="paddings"),
    "SplitV": _split,
    "StridedSlice": _strided_slice,
    "Sum": _reduce("sum", "axis"),
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _plain("transpose", perm="perm"),
    "Unpack": _unpack,
    "_FusedMatMul": _fused_matmul,
    **conformance_functions.ADAPTERS,
}


# --- random numbers and strings -------------------------------------------------------------------


def _arrays(results: Any) -> list[np.ndarray]:
    """The arrays of a tensor, or of several."""
    return [x.numpy() for x in (results if isinstance(results, tuple) else (results,))]


def _multinomial(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    count, normalized = attrs["numSamples"], attrs["normalized"]
    return _arrays(random.multinomial(inputs["logits"], count, normalized, seed=1))


def _n_grams(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    options = ("separator", "nGramWidths", "leftPad", "rightPad", "padWidth")
    given = [attrs[name] for name in options]
    short = attrs["preserveShortSequences"]
    return _arrays(string.n_grams(inputs["data"], inputs["dataSplits"], *given, short))


def _string_split(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    delimiter = inputs["delimiter"].item()
    return _arrays(string.split(inputs["input"], delimiter, attrs["skipEmpty"]))


def _regex_replace(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
    options = [attrs[name] for name in ("pattern", "rewrite", "replaceGlobal")]
    return _arrays(string.static_regex_replace(inputs["x"], *options))


ADAPTERS |= {
    "BroadcastArgs": lambda inputs, attrs: _arrays(
        parts.broadcast_args(inputs["s0"], inputs["s1"])
    ),
    "Identity": lambda inputs, attrs: call("reshape", inputs["x"], shape=inputs["x"].shape),
    "Multinomial": _multinomial,
    "StaticRegexReplace": _regex_replace,
    "StringNGrams": _n_grams,
    "StringSplit": _string_split,
    "StringToHashBucketFast": lambda inputs, attrs: _arrays(
        string.to_hash_bucket_fast(inputs["input"], attrs["numBuckets"])
    ),
}


# --- running --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of one recorded call: "passed", "failed" or "skipped", and why."""

    kernel: str
    line: int
    status: str
    why: str = ""


def _array(tensor: Mapping[str, Any]) -> np.ndarray:
    if tensor["d"] == dtypes.STRING:
        return np.array(tensor["v"], object).reshape(tensor["s"])
    if tensor["d"] == dtypes.COMPLEX:
        real, imag = (np.array(tensor[part], np.float32) for part in ("re", "im"))
        return (real + 1j * imag).astype(np.complex64).reshape(tensor["s"])
    if "v" not in tensor or tensor["d"] not in dtypes.DTYPES:
        raise Skipped(f"dtype {tensor['d']}")
    values = [_SPECIAL.get(v, v) if isinstance(v, str) else v for v in tensor["v"]]
    return np.array(values, dtypes.to_numpy(tensor["d"])).reshape(tensor["s"])


def _input(given: Any) -> Any:
    if isinstance(given, list):
        return [_array(t) for t in given]
    return None if given is None else _array(given)


def compare(received: np.ndarray, expected: np.ndarray) -> str:
    """What differs, or "". dtypes may differ: TensorFlow.js records some bools as numbers."""
    if received.shape != expected.shape:
        return f"shape {received.shape}, recorded {expected.shape}"
    if object in (received.dtype, expected.dtype):
        same = received.dtype == expected.dtype and received.tolist() == expected.tolist()
        return "" if same else f"{received.tolist()}, recorded {expected.tolist()}"
    if expected.dtype.kind == "c":
        return compare(received.real, expected.real) or compare(received.imag, expected.imag)
    exact = expected.dtype.kind != "f"
    a, b = received.astype(np.float64), expected.astype(np.float64)
    near = np.isclose(a, b, rtol=0 if exact else 1e-4, atol=0 if exact else 1e-3, equal_nan=True)
    if near.all():
        return ""
    place = tuple(np.argwhere(~near)[0].tolist())
    return f"at {place} {a[place]}, recorded {b[place]}"


def compare_shares(received: np.ndarray, expected: np.ndarray) -> str:
    """What differs in the shares of whole numbers drawn at random, row by row, or ""."""
    if received.shape != expected.shape:
        return f"shape {received.shape}, recorded {expected.shape}"
    for row, (a, b) in enumerate(zip(received, expected, strict=True)):
        count = max(a.max(), b.max()) + 1
        shares = [np.bincount(x, minlength=count) / x.size for x in (a, b)]
        if np.abs(shares[0] - shares[1]).max() > 4 / np.sqrt(a.size):
            return f"row {row} has the shares {shares[0]}, recorded {shares[1]}"
    return ""


# Kernels whose results are random.
COMPARISONS = {"Multinomial": compare_shares}


def run(case: Mapping[str, Any], line: int) -> Outcome:
    """One recorded call."""
    kernel = case["k"]
    try:
        expected = case["o"] if isinstance(case["o"], list) else [case["o"]]
        wanted = [_array(t) for t in expected]
        inputs = {n: _input(t) for n, t in case["i"].items()}
        given = [*wanted, *(x for x in inputs.values() if isinstance(x, np.ndarray))]
        complex_ = any(x.dtype.kind == "c" for x in given)
        if complex_ and kernel not in COMPLEX:
            raise Skipped("dtype complex64")
        results = (COMPLEX if complex_ else ADAPTERS)[kernel](inputs, case["a"])
        if len(results) != len(wanted):
            return Outcome(kernel, line, "failed", f"{len(results)} outputs, not {len(wanted)}")
        check = COMPARISONS.get(kernel, compare)
        differences = [check(r, w) for r, w in zip(results, wanted, strict=True)]
    except Skipped as reason:
        return Outcome(kernel, line, "skipped", str(reason))
    except FanlightError as error:
        texts = any(t is not None and t["d"] == dtypes.STRING for t in case["i"].values())
        if texts and error.code == "E-OP-003":
            return Outcome(kernel, line, "skipped", "dtype string")
        return Outcome(kernel, line, "failed", str(error))
    except Exception as error:
        return Outcome(kernel, line, "failed", f"{type(error).__name__}: {error}")
    why = "; ".join(d for d in differences if d)
    return Outcome(kernel, line, "failed" if why else "passed", why)


def run_file(path: Path, kernels: set[str] | None = None) -> Iterator[Outcome]:
    """All recorded calls of kernels that the table has (or of those named)."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            case = json.loads(line)
            known = case["k"] in ADAPTERS or case["k"] in COMPLEX
            if known and (kernels is None or case["k"] in kernels):
                yield run(case, number)


def main() -> int:
    """Print passed, failed and skipped per kernel."""
    parser = argparse.ArgumentParser(description="Compare the op table with recorded kernels.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--kernels", help="names, separated by commas (default: all there are)")
    parser.add_argument("--verbose", action="store_true", help="say why each call failed")
    parser.add_argument(
        "--host", choices=HOSTS, default="numpy", help="what computes (default: numpy)"
    )
    options = parser.parse_args()
    kernels = set(options.kernels.split(",")) if options.kernels else None
    with computing_on(options.host):
        outcomes = list(run_file(options.file, kernels))
        stayed = stayed_with_numpy()
    counts: Counter[tuple[str, str]] = Counter((o.kernel, o.status) for o in outcomes)
    for kernel in sorted({o.kernel for o in outcomes}):
        passed, failed, skipped = (counts[kernel, s] for s in ("passed", "failed", "skipped"))
        print(f"{kernel:24} {passed:4} passed {failed:4} failed {skipped:4} skipped")
    if options.verbose:
        for o in outcomes:
            if o.status != "passed":
                print(f"line {o.line} {o.kernel} {o.status}: {o.why}")
    total = Counter(o.status for o in outcomes)
    for op, (count, why) in sorted(stayed.items()):
        print(f"{op}: {count} programs stayed with NumPy, {why}")
    print(f"{len(TABLE)} ops, {len(ADAPTERS)} kernels, {total['skipped']} calls skipped")
    print(f"{total['passed']} passed, {total['failed']} failed")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Functions of TensorFlow in models of Keras 2: its layers TFOpLambda and SlicingOpLambda.

Their config has the name of the function, "math.reduce_mean", and their call its arguments by
TensorFlow's names. The first argument is the layer's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fanlight.layers import config as configs
from fanlight.layers.symbolic import symbols


@dataclass(frozen=True)
class Row:
    """A function of TensorFlow.

    Attributes:
        function: that of `operations.FUNCTIONS`.
        operands: TensorFlow's names of operands after the first one, in order.
        arguments: TensorFlow's argument -> ours.
        always: arguments that ours has no other value of.
        many: whether the first argument is a list of tensors.
    """

    function: str
    operands: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    always: Mapping[str, Any] = field(default_factory=dict)
    many: bool = False


_AXIS = {"axis": "axis"}
_AXES = {"axis": "axis", "keepdims": "keepdims"}
# TensorFlow's name of a function in two rooms is one name here: math.exp, exp.
_UNARY = """
relu:activations.relu relu6:activations.relu6 sigmoid:activations.sigmoid tanh:activations.tanh
silu:activations.silu swish:activations.silu elu:activations.elu selu:activations.selu
softplus:activations.softplus softsign:activations.softsign exp:exp expm1:expm1 log:log log1p:log1p
sqrt:sqrt rsqrt:rsqrt square:square abs:abs negative:neg sign:sign floor:floor ceil:ceil round:round
sin:sin cos:cos tan:tan erf:erf reciprocal:reciprocal zeros_like:zeros_like ones_like:ones_like
logical_not:logical_not
"""
_BINARY = """
add:add sub:sub subtract:sub mul:mul multiply:mul div:div divide:div truediv:div realdiv:div
floordiv:floor_div floormod:floor_mod mod:floor_mod pow:pow maximum:maximum minimum:minimum
squared_difference:squared_difference equal:equal not_equal:not_equal less:less
less_equal:less_equal greater:greater greater_equal:greater_equal logical_and:logical_and
logical_or:logical_or
"""
_REDUCTIONS = """
reduce_mean:mean reduce_sum:sum reduce_max:max reduce_min:min reduce_prod:prod reduce_any:any
reduce_all:all reduce_std:std reduce_variance:var reduce_logsumexp:log_sum_exp
"""


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name, ours) for name, _, ours in (pair.partition(":") for pair in text.split())]


ROWS: dict[str, Row] = {
    **{name: Row(ours) for name, ours in _pairs(_UNARY)},
    **{name: Row(ours, ("y",)) for name, ours in _pairs(_BINARY)},
    **{name: Row(ours, arguments=_AXES) for name, ours in _pairs(_REDUCTIONS)},
    "argmax": Row("arg_max", arguments=_AXIS, always={"output_type": "int64"}),
    "argmin": Row("arg_min", arguments=_AXIS, always={"output_type": "int64"}),
    "gelu": Row("activations.gelu", arguments={"approximate": "approximate"}),
    "leaky_relu": Row("activations.leaky_relu", arguments={"alpha": "negative_slope"}),
    "softmax": Row("activations.softmax", arguments=_AXIS),
    "log_softmax": Row("activations.log_softmax", arguments=_AXIS),
    "l2_normalize": Row("l2_normalize", arguments={"axis": "axis", "epsilon": "epsilon"}),
    "reshape": Row("reshape", arguments={"shape": "shape"}),
    "expand_dims": Row("expand_dims", arguments=_AXIS),
    "squeeze": Row("squeeze", arguments={"axis": "axis", "squeeze_dims": "axis"}),
    "transpose": Row("transpose", arguments={"perm": "perm"}, always={"conjugate": False}),
    "cast": Row("cast", arguments={"dtype": "dtype"}),
    "tile": Row("tile", arguments={"multiples": "multiples"}),
    "broadcast_to": Row("broadcast_to", arguments={"shape": "shape"}),
    "pad": Row("pad", arguments={"paddings": "paddings", "constant_values": "value"},
               always={"mode": "CONSTANT"}),
    "clip_by_value": Row("clip",
                         arguments={"clip_value_min": "low", "clip_value_max": "high"}),
    "gather": Row("gather", ("indices",), {"axis": "axis", "batch_dims": "batch_dims"}),
    "where": Row("where", ("x", "y")),
    "matmul": Row("matmul", ("b",), {"transpose_a": "transpose_a", "transpose_b": "transpose_b"},
                  dict.fromkeys(("adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"), False)),
    "concat": Row("concat", arguments=_AXIS, many=True),
    "stack": Row("stack", arguments=_AXIS, many=True),
    "split": Row("split", arguments={"num_or_size_splits": "parts", "axis": "axis"}),
}  # fmt: skip
# Rooms of TensorFlow that these are in: signal.fft is none of them, nor is strings.split.
_ROOMS = ("", "math", "nn", "linalg", "__operators__")
_CLASSES = ("TFOpLambda", "SlicingOpLambda")


def named(entry: Mapping[str, Any]) -> str | None:
    """TensorFlow's name of the function of an entry of a model's layers; None if it is no such."""
    if entry.get("class_name") not in _CLASSES:
        return None
    own = entry.get("config")
    return str(own.get("function")) if isinstance(own, Mapping) else "?"


def found(name: str) -> Callable[..., Any] | None:
    """What computes a function of TensorFlow, called with stand-ins; None if nothing does."""
    own = configs.registered(name)
    if callable(own):
        return _own(own)
    room, _, last = name.removeprefix("compat.v1.").rpartition(".")
    if last == "getitem" and room == "__operators__":
        return _sliced
    row = ROWS.get(last) if room in _ROOMS else None
    return None if row is None else _called(row)


def _called(row: Row) -> Callable[..., Any]:
    def function(*given: Any, **options: Any) -> Any:
        operands: list[Any] = [list(given)] if row.many else list(given)
        operands += [options[key] for key in row.operands if key in options]
        arguments, wrong = {}, []
        for key, value in options.items():
            if key in row.arguments:
                arguments[row.arguments[key]] = value
            elif key not in (*row.operands, "name") and value != row.always.get(key, ...):
                wrong.append(f"{key}={value!r}")
        wrong += [f"{k} that is computed" for k, v in arguments.items() if symbols(v)]
        if wrong or len(operands) != 1 + len(row.operands):
            takes = ", ".join([*row.operands, *row.arguments]) or "no arguments"
            raise TypeError(f"it takes {takes} here, not {', '.join(wrong) or 'as many operands'}")
        return _made(row.function, operands, arguments)

    return function


def _made(name: str, operands: list[Any], arguments: dict[str, Any]) -> Any:
    from fanlight.layers.operations import BINARY, symbolic_call

    # A condition says nothing of what it chooses from.
    stand_ins = symbols(operands[1:] if name == "where" else operands)
    dtype = "int32" if name == "gather" or not stand_ins else stand_ins[0].dtype
    numbers = [_numbers(x, dtype) for x in operands]
    if name in BINARY:
        return BINARY[name](*numbers)
    if name == "l2_normalize":  # TensorFlow's epsilon is that of the squares
        epsilon = arguments.get("epsilon", 1e-12) ** 0.5
        name, arguments = "normalize", {**arguments, "epsilon": epsilon}
    return symbolic_call(name, tuple(numbers), arguments)


def _numbers(value: Any, dtype: str) -> Any:
    """An operand that a file has as a list of numbers, as an array."""
    if not isinstance(value, list) or symbols(value):
        return value
    array = np.asarray(value)
    return array.astype(np.float32 if array.dtype.kind == "f" else dtype)


def _sliced(x: Any, slice_spec: Any, **_: Any) -> Any:
    spec = slice_spec if isinstance(slice_spec, list | tuple) else (slice_spec,)
    return x[tuple(slice(v["start"], v["stop"], v["step"]) if isinstance(v, Mapping) else v
                   for v in spec)]  # fmt: skip


def _own(own: Callable[..., Any]) -> Callable[..., Any]:
    """A function of somebody's own as a layer, that files name."""

    def function(*given: Any, **options: Any) -> Any:
        from fanlight.layers.core import Lambda

        options.pop("name", None)
        if symbols(options):
            raise TypeError("a function that is registered takes one tensor, or a list of some")
        return Lambda(own, arguments=options)(given[0] if len(given) == 1 else list(given))

    return function


__all__ = ["ROWS", "Row", "found", "named"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

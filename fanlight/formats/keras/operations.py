"""Arithmetic in functional models: `x * 2 + y` is a layer of its own in the config.

Keras 3 names it by a class of `keras.src.ops`, Keras 2 writes a TFOpLambda with the name of a
TensorFlow function. MobileNet v3 of both is full of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.keras.call import LayerCall
from fanlight.graph import Value

# op of the table -> (operands, classes of keras.src.ops, functions of tf)
_TABLE: dict[str, tuple[int, str, str]] = {
    "add": (2, "Add", "__operators__.add math.add add"),
    "sub": (2, "Subtract", "__operators__.sub math.subtract subtract"),
    "mul": (2, "Multiply", "__operators__.mul math.multiply multiply"),
    "div": (2, "Divide TrueDivide", "__operators__.truediv math.truediv math.divide realdiv"),
    "maximum": (2, "Maximum", "math.maximum maximum"),
    "minimum": (2, "Minimum", "math.minimum minimum"),
    "pow": (2, "Power", "math.pow pow"),
    "relu": (1, "Relu", "nn.relu"),
    "relu6": (1, "Relu6", "nn.relu6"),
    "sigmoid": (1, "Sigmoid", "math.sigmoid sigmoid nn.sigmoid"),
    "tanh": (1, "Tanh", "math.tanh tanh nn.tanh"),
    "swish": (1, "Silu", "nn.silu nn.swish"),
    "hard_swish": (1, "HardSilu HardSwish", ""),
    "exp": (1, "Exp", "math.exp exp"),
    "log": (1, "Log", "math.log"),
    "sqrt": (1, "Sqrt", "math.sqrt sqrt"),
    "square": (1, "Square", "math.square square"),
    "abs": (1, "Absolute Abs", "math.abs abs"),
    "neg": (1, "Negative", "math.negative"),
}


def _operands(call: LayerCall, count: int) -> list[Tensor]:
    """The operands in order; numbers become constants of the tensors' dtype."""
    given: list[Any] = list(call.operands)
    for key in ("x", "y", "b"):
        if key in call.options and len(given) < count:
            given.append(call.options[key])
    extra = {k: v for k, v in call.options.items() if k not in ("x", "y", "b", "name")}
    if len(given) != count or extra:
        raise call.refuse("the arguments", f"{count} operands", (given, extra))
    tensors = [g for g in given if isinstance(g, Value | np.ndarray)]
    dtype = dtype_of(tensors[0]) if tensors else "float32"
    for index, item in enumerate(given):
        if isinstance(item, Value | np.ndarray):
            continue
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise call.refuse("an operand", "a tensor or a number", item)
        if dtype == "int32" and not -(2**31) <= item < 2**31:
            raise call.refuse("an operand", "a number of 32 bits", item)
        given[index] = call.em.const(item, dtype)
    return given


def _importer(op: str, count: int) -> Callable[[LayerCall], Tensor]:
    return lambda call: call.op(op, *_operands(call, count))


def _tf_function(call: LayerCall) -> Tensor:
    op, count = FUNCTIONS[call.text("function")]
    return call.op(op, *_operands(call, count))


OPERATIONS: dict[str, Callable[[LayerCall], Tensor]] = {
    f"ops.{name}": _importer(op, count)
    for op, (count, classes, _) in _TABLE.items()
    for name in classes.split()
}
OPERATIONS["TFOpLambda"] = _tf_function
FUNCTIONS: dict[Any, tuple[str, int]] = {
    name: (op, count) for op, (count, _, functions) in _TABLE.items() for name in functions.split()
}

"""Arithmetic in functional models: `x * 2 + y` is a layer of its own in a file.

Keras 3 names it by a class of `keras.src.ops`, Keras 2 writes a TFOpLambda with the name of a
TensorFlow function. Here the stand-ins' own arithmetic makes layers of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
}
_NAMES = {
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "true_divide": "divide",
    "truedivide": "divide",
    "realdiv": "divide",
}
# Activations that are operations in a file.
_UNARY = {
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "swish": "silu",
    "hard_silu": "hard_silu",
    "hardsilu": "hard_silu",
    "hardswish": "hard_silu",
    "exp": "exponential",
    "gelu": "gelu",
    "softplus": "softplus",
    "softmax": "softmax",
}


def operation(entry: Mapping[str, Any]) -> Any:
    """A function of stand-ins for an entry of a model's layers that is an operation; else None."""
    kind, module = str(entry.get("class_name")), entry.get("module")
    inner = entry.get("config")
    own = inner if isinstance(inner, Mapping) else {}
    if kind == "TFOpLambda":
        name = str(own.get("function")).rpartition(".")[2]
    elif isinstance(module, str) and module.startswith("keras.src.ops"):
        name = kind.lower()
    elif not module and kind in ("Add", "Subtract", "Multiply") and _has_number(entry):
        name = kind.lower()  # the .h5 files of Keras 3 leave out the module
    elif not module and kind in ("TrueDivide", "Divide"):
        name = "divide"
    else:
        return None
    name = _NAMES.get(name, name)
    if name in _BINARY:
        return _called(_BINARY[name], 2)
    if name in _UNARY:
        return _activated(_UNARY[name])
    return None


def _has_number(entry: Mapping[str, Any]) -> bool:
    """Whether an operand is a number, which no layer takes."""
    for node in entry.get("inbound_nodes") or []:
        args = node.get("args") if isinstance(node, Mapping) else None
        if isinstance(args, list) and (
            len(args) > 1 or any(isinstance(a, int | float) for a in args)
        ):
            return True
    return False


def _called(compute: Callable[..., Any], count: int) -> Callable[..., Any]:
    def operator(*args: Any, **options: Any) -> Any:
        given = [*args, *(options[k] for k in ("x", "y", "b", "x1", "x2") if k in options)]
        if len(given) != count:
            raise TypeError(f"{count} operands, not {len(given)}")
        return compute(*given)

    return operator


def _activated(name: str) -> Callable[..., Any]:
    def operator(x: Any = None, features: Any = None, **options: Any) -> Any:
        from fanlight.layers.core import Activation

        return Activation(name)(features if x is None else x)

    return operator

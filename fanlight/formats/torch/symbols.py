"""Sizes that are numbers at import: what programs with free dims compute of them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fanlight.formats.torch.call import Call
from fanlight.graph import Value


def size_of(size: int | str, symbols: Mapping[str, int]) -> int | None:
    """A size of a tensor's meta; None where it is more than a number or a symbol."""
    if isinstance(size, int):
        return size
    return symbols.get(size) if re.fullmatch(r"\w+", size) else None


def is_size(target: str, args: Mapping[str, Any]) -> bool:
    """Whether a node computes with sizes and numbers alone."""
    if target not in SIZE_FUNCTIONS:
        return False
    if target.startswith("aten."):
        return True
    return not any(isinstance(v, Value | np.ndarray) for v in args.values())


def _sym_size(call: Call) -> int:
    x = call.x()
    return int(x.shape[call.axis("dim", len(x.shape))])


def _steps(call: Call) -> list[int]:
    """The strides of a tensor as the program says them; in order where it says none."""
    sizes = call.x().shape
    told = call.given.strides if call.given else None
    if told is not None and len(told) == len(sizes) and all(isinstance(s, int) for s in told):
        return [int(s) for s in told]
    return [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]


def _stride(call: Call) -> int:
    return _steps(call)[call.axis("dim", len(call.x().shape))]


def _offset(call: Call) -> int:
    return (call.given.offset if call.given else None) or 0


def _contiguous(call: Call) -> bool:
    """Whether the elements lie in order; dims of 1 may have any stride."""
    step = 1
    for size, stride in zip(reversed(call.x().shape), reversed(_steps(call)), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def _numel(call: Call) -> int:
    return math.prod(call.x().shape)


def _of(function: Callable[..., Any]) -> Callable[[Call], Any]:
    def compute(call: Call) -> Any:
        values = list(call.args.values())
        numbers = [v for v in values if isinstance(v, int | float)]
        large = any(abs(v) > 1 << 62 for v in numbers if math.isfinite(v))
        if len(numbers) != len(values) or large:
            raise call.refuse("this is no arithmetic of sizes", received=repr(values)[:80])
        try:
            return function(*numbers)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise call.refuse(str(error), received=repr(values)[:80]) from None

    return compute


def _power(a: float, b: float) -> float:
    if abs(b) > 64:
        raise ValueError("an exponent is too large")
    return a**b


def _nothing(call: Call) -> None:
    """Checks and hints of the exporter: nothing is computed."""


SIZE_FUNCTIONS: dict[str, Callable[[Call], Any]] = {
    "aten.sym_size.int": _sym_size,
    "aten.sym_numel.default": _numel,
    "aten.sym_stride.int": _stride,
    "aten.sym_storage_offset.default": _offset,
    "aten.sym_is_contiguous.default": _contiguous,
    "aten.sym_constrain_range_for_size.default": _nothing,
    "aten.sym_constrain_range.default": _nothing,
    "aten._assert_scalar.default": _nothing,
    "aten._assert_async.msg": _nothing,
    "aten._assert_tensor_metadata.default": _nothing,
    "_operator.pow": _of(_power),
    "math.ceil": _of(math.ceil),
    "math.floor": _of(math.floor),
    "math.trunc": _of(math.trunc),
    "torch.sym_max": _of(max),
    "torch.sym_min": _of(min),
    "torch.sym_float": _of(float),
    "torch.sym_int": _of(int),
    "torch.sym_not": _of(operator.not_),
    "torch.sym_ite": _of(lambda c, a, b: a if c else b),
}
for (
    _name
) in "add sub mul truediv floordiv mod neg eq ne lt le gt ge and_ or_ xor not_ abs pos".split():
    SIZE_FUNCTIONS[f"_operator.{_name}"] = _of(getattr(operator, _name))
for _old, _new in (("math.ceil", "torch.ops.math.ceil"),):
    SIZE_FUNCTIONS[_new] = SIZE_FUNCTIONS[_old]

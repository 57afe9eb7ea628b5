"""Functions as methods: `a.mul(b).add(c).sum().sqrt()`.

TABLE says which: a method is its function, with the tensor as the first argument. To add one, add
its name, and run `python tools/gen_methods.py`, which writes what type checkers read
(method_types.pyi).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from fanlight.errors import FanlightError
from fanlight.tensor import (
    arithmetic,
    bitwise,
    creation,
    functions,
    indices,
    parts,
    scans,
    selection,
    sorting,
    statistics,
)
from fanlight.tensor.core import Tensor, caller, cast, tensor


def reshape(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """The same elements under another shape: x.reshape(2, 3), or x.reshape((2, 3))."""
    alone = len(shape) == 1
    sizes: Any = shape[0] if alone else shape
    return functions.reshape(x, sizes)


def reshape_as(x: Tensor, other: Any) -> Tensor:
    """The same elements under the shape of another tensor."""
    return functions.reshape(x, tensor(other).shape)


def flatten(x: Tensor) -> Tensor:
    """The same elements in one dim."""
    x = tensor(x)
    return functions.reshape(x, (-1,) if x.size else (0,))


def as_scalar(x: Tensor) -> Tensor:
    """The only element, without dims; E-OP-005 if there are others."""
    return functions.reshape(x, ())


def astype(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype, see fl.cast."""
    return cast(x, dtype)


def to_float(x: Tensor) -> Tensor:
    """x as float32."""
    return cast(x, "float32")


def to_int(x: Tensor) -> Tensor:
    """x as int32: towards zero, saturating."""
    return cast(x, "int32")


def to_bool(x: Tensor) -> Tensor:
    """Whether each element differs from 0."""
    return cast(x, "bool")


def argmax(x: Tensor, axis: int = 0) -> Tensor:
    """fl.arg_max under NumPy's name, along the first axis unless another is given."""
    return functions.arg_max(x, axis)


def argmin(x: Tensor, axis: int = 0) -> Tensor:
    """fl.arg_min under NumPy's name, along the first axis unless another is given."""
    return functions.arg_min(x, axis)


def where(x: Tensor, condition: Any, other: Any) -> Tensor:
    """x where the condition holds, else the other."""
    return functions.where(condition, x, other)


def concat(x: Tensor, others: Any, axis: int = 0) -> Tensor:
    """x and another tensor, or a list of others, one after another along an axis."""
    return functions.concat([x, *_listed(others)], axis)


def stack(x: Tensor, others: Any, axis: int = 0) -> Tensor:
    """x and another tensor, or a list of others, side by side along a new dim."""
    return functions.stack([x, *_listed(others)], axis)


def _listed(others: Any) -> list[Any]:
    return list(others) if isinstance(others, list | tuple) else [others]


def _of(module: ModuleType, names: str) -> dict[str, Callable[..., Any]]:
    return {name: getattr(module, name) for name in names.split()}


TABLE: dict[str, Callable[..., Any]] = {
    **_of(
        functions,
        """
        abs acos acosh add arg_max arg_min asin asinh atan atan2 atanh broadcast_to ceil clip cos
        cosh div div_no_nan dot elu equal erf exp expand_dims expm1 floor floor_div floor_mod
        gelu greater greater_equal hard_swish is_finite is_inf is_nan leaky_relu less less_equal log
        log1p log_sigmoid log_softmax logical_and logical_not logical_or matmul maximum minimum mish
        mul neg not_equal one_hot ones_like pad pow prelu reciprocal relu relu6 reverse round rsqrt
        selu sigmoid sign sin sinh softmax softplus softsign sqrt square squared_difference squeeze
        step sub swish tan tanh tile top_k transpose zeros_like
        """,
    ),
    **_of(functions, "all any max mean min prod sum"),
    **_of(indices, "gather gather_nd roll take_along_axis"),
    **_of(scans, "cummax cummin cumprod cumsum logcumsumexp"),
    **_of(sorting, "argsort bincount in_top_k sort"),
    **_of(selection, "boolean_mask nonzero"),
    **_of(parts, "ensure_shape moveaxis repeat split swapaxes unstack"),
    **_of(arithmetic, "log2 log10"),
    **_of(statistics, "std var"),
    **_of(creation, "clone full_like print"),
    **_of(
        bitwise,
        "bitwise_and bitwise_not bitwise_or bitwise_xor invert left_shift right_shift",
    ),
    "cast": cast,
    "reshape": reshape,
    "reshape_as": reshape_as,
    "flatten": flatten,
    "as_scalar": as_scalar,
    "astype": astype,
    "to_float": to_float,
    "to_int": to_int,
    "to_bool": to_bool,
    "argmax": argmax,
    "argmin": argmin,
    "where": where,
    "concat": concat,
    "stack": stack,
}

# NumPy's functions of these names call the method of what they are given, with an `out`.
_NUMPY_CALLS = ("all", "any", "max", "mean", "min", "prod", "std", "sum", "var")


def _reduction(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    further = tuple(inspect.signature(function).parameters)[3:]

    def method(self: Tensor, axis: Any = None, keepdims: bool = False, **numpy: Any) -> Tensor:
        own = {key: numpy.pop(key) for key in further if key in numpy}
        if numpy:
            raise FanlightError(
                "E-TENSOR-009",
                f"NumPy's {name} does not take tensors.",
                where=caller(),
                expected=", ".join(("axis", "keepdims", *further)),
                received=", ".join(numpy),
                next=f"use fl.{name}(x), or give NumPy x.numpy().",
            )
        return function(self, axis, keepdims, **own)

    method.__name__, method.__qualname__ = name, f"Tensor.{name}"
    method.__doc__ = function.__doc__
    return method


def bind() -> None:
    """Give Tensor its methods; called once, when the package is imported."""
    for name, function in TABLE.items():
        made = _reduction(name, function) if name in _NUMPY_CALLS else function
        setattr(Tensor, name, made)

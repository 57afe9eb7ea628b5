"""What adapters of recorded kernels are made of; see conformance.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.ops import TensorType
from fanlight.ops import row as rows
from fanlight.tensor import apply, tensor, vjp
from fanlight.tensor.calls import shared

Inputs = Mapping[str, Any]  # arrays, lists of them, or None
Attrs = Mapping[str, Any]
Adapter = Callable[[Inputs, Attrs], list[np.ndarray]]


class Skipped(Exception):
    """A call that the table is not meant to express."""


def call(op: str, *arrays: np.ndarray, **attrs: Any) -> list[np.ndarray]:
    """One op on arrays, as a graph would run it; the rules must give the types of the results."""
    types = [TensorType(a.shape, dtype_of(a)) for a in arrays]
    full, outputs = rows.infer(op, types, attrs)
    results = (shared.backend or rows.prepared)(op, types, full)(arrays)
    for type, result in zip(outputs, results, strict=True):
        assert (type.shape, type.dtype) == (result.shape, dtype_of(result)), (
            f"{op} promised {type} and gave {result.dtype}{list(result.shape)}"
        )
    return results


def dtype_of(array: np.ndarray) -> str:
    return dtypes.STRING if array.dtype == object else str(dtypes.from_numpy(array.dtype))


def as_dtype(x: np.ndarray, dtype: str) -> np.ndarray:
    return call("cast", x, dtype=dtype)[0]


def plain(op: str, **renamed: str) -> Adapter:
    """Inputs in order; attributes under new names."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        arrays = [a for a in inputs.values() if a is not None]
        return call(op, *arrays, **{ours: attrs[theirs] for ours, theirs in renamed.items()})

    return adapt


def floats(op: str, **renamed: str) -> Adapter:
    """As `plain`, computed in float32 and brought back to the dtype of the inputs."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        arrays = [a for a in inputs.values() if a is not None]
        options = {ours: attrs[theirs] for ours, theirs in renamed.items()}
        (result,) = call(op, *(as_dtype(a, "float32") for a in arrays), **options)
        return [as_dtype(result, str(arrays[0].dtype))]

    return adapt


def axes_of(value: Any, rank: int) -> tuple[int, ...]:
    if value is None:
        return tuple(range(rank))
    return tuple(a % rank for a in (value if isinstance(value, list) else [value])) if rank else ()


def function_of(function: Callable[..., Any], **renamed: str) -> Adapter:
    """A function of tensors: inputs in order, attributes under new names."""

    def adapt(inputs: Inputs, attrs: Attrs) -> list[np.ndarray]:
        arrays = [a for a in inputs.values() if a is not None]
        options = {ours: attrs[theirs] for ours, theirs in renamed.items()}
        result = function(*arrays, **options)
        return arrays_of(result)

    return adapt


def arrays_of(result: Any) -> list[np.ndarray]:
    """Tensors, in whatever lists and tuples, as arrays in a row."""
    if isinstance(result, list | tuple):
        return [array for part in result for array in arrays_of(part)]
    return [result.numpy()]


def back(op: str, index: int, arrays: list[np.ndarray], dy: np.ndarray, **attrs: Any) -> Any:
    """The gradient of an op after one of its inputs, by its row's rule."""
    given = [tensor(a) for a in arrays]
    (found,) = vjp(
        lambda x: apply(op, *given[:index], x, *given[index + 1 :], **attrs), given[index]
    )[1](tensor(dy))
    return [found.numpy()]

"""Emitter: apply ops on values, or at once on arrays that are known at import.

Readers call `op` for both. What depends on weights and shapes alone folds away (the
Shape -> StridedSlice -> Pack -> Reshape chains of TensorFlow, for one), with the same rows
that define the ops, so there is no second implementation of anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Value
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType

Tensor = Value | np.ndarray


@dataclass
class _Known:
    """An array that is known at import; kept, so that its id stays its own."""

    array: np.ndarray
    name: str | None = None
    value: Value | None = None


# WebAssembly addresses 4 GiB; a model whose single tensor exceeds that can never run.
MAX_TENSOR_BYTES = 1 << 32
# Folding may not turn a few bytes of file into much memory.
_FOLD_BYTES = 1 << 26


# What all folds of one read may make together, and as much again for each byte that was stored.
_FOLDED_BYTES = 1 << 29
_FOLDED_TIMES = 8
# How many elements the lists of one model keep, over all nodes: 8 bytes each.
_LISTED = 1 << 25
# Into how many elements lists that lie in one tensor are taken apart; each takes two nodes.
_APART = 1 << 16
# What a sketch still computes with: arrays that decide shapes are small.
_SKETCHED = 1 << 14


@dataclass
class Budget:
    """What is made at import of what is stored, over a whole read; shared by its emitters."""

    stored: int = 0
    made: int = 0
    listed: int = 0
    apart: int = 0

    def make(self, size: int, where: str) -> None:
        """Count bytes that are about to be made; E-FORMAT-023 if they are too many by now."""
        self.made += size
        limit = _FOLDED_BYTES + _FOLDED_TIMES * self.stored
        if self.made > limit:
            raise FanlightError(
                "E-FORMAT-023",
                "the constants of the model become too large when they are written out.",
                where=where,
                expected=f"at most {limit:,} bytes in all, for {self.stored:,} that are stored",
                received=f"{self.made:,}",
                next="export the model with its constants folded, or without the part that makes "
                "them.",
            )

    def keep_elements(self, count: int, where: str) -> None:
        """Count the elements of a list; E-FORMAT-023 if they are too many by now."""
        self.listed += count
        if self.listed > _LISTED:
            raise _too_many(where, _LISTED, self.listed)

    def take_apart(self, count: int, where: str) -> None:
        """Count elements that a tensor becomes; E-FORMAT-023 if they are too many by now."""
        self.apart += count
        if self.apart > _APART:
            raise _too_many(where, _APART, self.apart)


def _too_many(where: str, limit: int, found: int) -> FanlightError:
    return FanlightError(
        "E-FORMAT-023",
        "the lists of the model have too many elements.",
        where=where,
        expected=f"at most {limit:,} over all nodes that make or change a list",
        received=f"{found:,}",
        next="give the model a shorter input, or export it without the part that makes the list.",
    )


class Emitter:
    """Builds one graph; tensors are Values, or arrays when they are known.

    Attributes:
        sketch: whether the shapes of the graph alone are wanted. Large known arrays are zeros
            that take no memory then, and become inputs in place of weights.
        results: see Source.
        forget: called with known arrays that others were made of: gives back their memory, if
            they are views of a file, so that kernels that are turned are not held twice.
    """

    def __init__(
        self, builder: Builder, sketch: bool = False, budget: Budget | None = None
    ) -> None:
        self.forget: Callable[[np.ndarray], None] = lambda array: None
        self.builder = builder
        self.sketch = sketch
        self.budget = budget or Budget()
        self.results: dict[str, str] = {}
        self._known: dict[int, _Known] = {}
        self._scalars: dict[tuple[str, str], np.ndarray] = {}

    def named(self, array: np.ndarray, name: str, made: bool = False) -> np.ndarray:
        """Remember the source's name of a known array, for when it becomes a weight.

        Args:
            made: whether a few numbers of the file stand for all of them.
        """
        if made:
            self.budget.make(array.nbytes, name)
        elif not self.sketch:
            self.budget.stored += array.nbytes
        return self._remembered(array, name)

    def _remembered(self, array: np.ndarray, name: str) -> np.ndarray:
        large = self.sketch and array.nbytes > _SKETCHED
        array = _zeros(array.shape, array.dtype) if large else dtypes.narrow(array)
        self._known.setdefault(id(array), _Known(array)).name = name
        return array

    def result(self, name: str, made: Any) -> None:
        """Remember what the source calls a result, for who cuts the model there."""
        if name and isinstance(made, Value):
            self.results[name] = made.name

    def name_of(self, tensor: Tensor) -> str | None:
        """The source's name of a known array, if it was told."""
        known = None if isinstance(tensor, Value) else self._known.get(id(tensor))
        return known.name if known else None

    def const(self, value: float | int | bool, dtype: str = "float32") -> np.ndarray:
        """A scalar; equal ones are one weight."""
        key = (dtype, repr(value))
        if key not in self._scalars:
            self._scalars[key] = np.asarray(value, dtypes.to_numpy(dtype))
        return self._scalars[key]

    def value(self, tensor: Tensor, name: str | None = None) -> Value:
        """The tensor as a value of the graph; a known array becomes a weight, once."""
        if isinstance(tensor, Value):
            return tensor
        known = self._known.setdefault(id(tensor), _Known(tensor))
        if known.value is None:
            if self.sketch and tensor.nbytes > _SKETCHED:
                dtype = _dtype(tensor, name or "a constant")
                known.value = self.builder.input("weight", tensor.shape, dtype)
            else:
                known.value = self.builder.weight(tensor, known.name or name)
        return known.value

    def op(self, op: str, *inputs: Tensor, name: str, **attrs: Any) -> Any:
        """Apply an op of the table; the result is known if every input is.

        Raises:
            FanlightError: the E-OP codes, E-FORMAT-023 if a result is absurdly large.
        """
        if all(isinstance(t, np.ndarray) for t in inputs):
            return self._fold(op, [t for t in inputs if isinstance(t, np.ndarray)], name, attrs)
        values = [self.value(t, f"{name}/const") for t in inputs]
        made = self.builder.add(op, *values, name=name, **attrs)
        for value in made if isinstance(made, tuple) else (made,):
            check_size(value.type, name)
        return made

    def _fold(self, op: str, arrays: list[np.ndarray], name: str, attrs: dict[str, Any]) -> Any:
        types = [TensorType(a.shape, _dtype(a, name)) for a in arrays]
        full, results = rows.infer(op, types, attrs)
        budget = max(_FOLD_BYTES, 2 * max((a.nbytes for a in arrays), default=0))
        for type in results:
            check_size(type, name, budget)
        if self.sketch and any(_bytes(t) > _SKETCHED for t in (*types, *results)):
            zeros = [_zeros(t.bound, dtypes.to_numpy(t.dtype)) for t in results]
            return zeros[0] if len(zeros) == 1 else tuple(zeros)
        self.budget.make(sum(map(_bytes, results)), name)
        with np.errstate(all="ignore"):
            made = [
                np.ascontiguousarray(a).reshape(a.shape) for a in rows.evaluate(op, arrays, full)
            ]
        for array in arrays:
            self.forget(array)
        if len(made) == 1:
            return self._remembered(made[0], name)
        return tuple(self._remembered(a, f"{name}/{i}") for i, a in enumerate(made))

    # Short forms that readers use everywhere.

    def reshape(self, x: Tensor, shape: Sequence[int], name: str) -> Tensor:
        """`x` with another shape of the same size; nothing if it has that shape already."""
        if tuple(x.shape) == tuple(shape):
            return x
        return self.op("reshape", x, name=name, shape=tuple(int(d) for d in shape))

    def transpose(self, x: Tensor, perm: Sequence[int], name: str) -> Tensor:
        """`x` with permuted dims; nothing for the identity."""
        if tuple(perm) == tuple(range(len(x.shape))):
            return x
        return self.op("transpose", x, name=name, perm=tuple(int(p) for p in perm))

    def cast(self, x: Tensor, dtype: str, name: str) -> Tensor:
        """`x` in another dtype; nothing if it has it already."""
        return x if dtype_of(x) == dtype else self.op("cast", x, name=name, dtype=dtype)

    def full(self, shape: Sequence[int], value: float, dtype: str, name: str) -> np.ndarray:
        """A known array of one repeated value."""
        type = TensorType(tuple(int(d) for d in shape), dtype)
        check_size(type, name, _FOLD_BYTES)
        self.budget.make(_bytes(type), name)
        return np.full(tuple(shape), value, dtypes.to_numpy(dtype))


def _bytes(type: TensorType) -> int:
    return math.prod(type.bound) * dtypes.size(type.dtype)


def _zeros(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Zeros of any shape in the memory of one."""
    return np.broadcast_to(np.zeros((), dtypes.narrow(np.zeros(0, dtype)).dtype), tuple(shape))


def dtype_of(x: Tensor) -> str:
    """The dtype name of a value or a known array."""
    return x.dtype if isinstance(x, Value) else _dtype(x, "a constant")


def _dtype(array: np.ndarray, where: str) -> str:
    name = dtypes.from_numpy(array.dtype)
    if name is None:
        raise FanlightError(
            "E-FORMAT-008",
            "a constant has an unsupported dtype.",
            where=where,
            expected="float32, int32, uint8 or bool",
            received=array.dtype,
        )
    return name


def check_size(type: TensorType, where: str, limit: int = MAX_TENSOR_BYTES) -> None:
    """E-FORMAT-023 if a tensor of this type takes more than `limit` bytes."""
    if _bytes(type) > limit:
        raise FanlightError(
            "E-FORMAT-023",
            "a tensor of the model is larger than any browser can hold.",
            where=where,
            expected=f"at most {limit:,} bytes",
            received=str(type)[:120],
            next="give the model a smaller size.",
        )

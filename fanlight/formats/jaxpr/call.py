"""What the importer of one JAX primitive gets to work with, and the table of importers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.calls import refusal, written_out
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.pairs import Pair
from fanlight.formats.registry import under
from fanlight.graph import Value

# What JAX's dtypes are in a graph; others (uint64, complex, keys of random numbers) it cannot hold.
_DTYPES = {
    "float32": "float32", "float64": "float32", "float16": "float32", "bfloat16": "float32",
    "int32": "int32", "int64": "int32", "int16": "int32", "int8": "int32", "uint16": "int32",
    "uint32": "int32", "uint8": "uint8", "bool": "bool",
}  # fmt: skip
# Known arrays are repeated at import up to so many elements.
_MOST_REPEATED = 1 << 20


@dataclass(frozen=True)
class Exact:
    """A known array of JAX whose dtype no graph holds: keys, uint32, complex numbers."""

    array: Any


Known = np.ndarray | Exact
Held = Value | Known | Pair


def graph_dtype(aval: Any) -> str | None:
    """The dtype in a graph of what JAX says of a variable; None if there is none."""
    return _DTYPES.get(str(aval.dtype))


@dataclass
class Call:
    """One equation: a primitive on tensors.

    Attributes:
        inputs: values, known arrays, and Exact ones where the importer can use them.
        params: the parameters of the primitive, as JAX has them.
        shapes, dtypes: of the results, as JAX says.
        scope: what runs jaxprs inside the equation.
    """

    primitive: str
    label: str
    place: str
    em: Emitter
    inputs: list[Any]
    in_avals: Sequence[Any]
    params: dict[str, Any]
    shapes: list[tuple[int, ...]]
    dtypes: list[str]
    scope: Any

    @property
    def where(self) -> str:
        return f"{self.label} ({self.primitive}{', ' + self.place if self.place else ''})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first result."""
        return self.shapes[0]

    @property
    def dtype(self) -> str:
        """Of the first result."""
        return self.dtypes[0]

    def x(self, index: int = 0, dtype: str | None = None) -> Tensor:
        """A tensor among the inputs."""
        value = self.inputs[index]
        if isinstance(value, Pair):
            raise self.refuse(
                "it is not read of complex numbers",
                expected="real numbers",
                received=str(self.in_avals[index]),
            )
        if isinstance(value, Exact):
            value = self.inputs[index] = plain(value)
            if value is None:
                raise self.refuse(
                    "it needs a number that graphs cannot hold",
                    expected="floats, whole numbers or bool",
                    received=str(self.in_avals[index]),
                )
        tensor: Tensor = value
        return tensor if dtype is None else self.cast(tensor, dtype)

    def whole(self, index: int) -> int | None:
        """A number among the inputs if it is known, else None."""
        x = self.x(index)
        return int(x.reshape(-1)[0]) if isinstance(x, np.ndarray) and x.size == 1 else None

    # --- results ----------------------------------------------------------------------------------

    def op(self, op: str, *inputs: Tensor, **attrs: Any) -> Any:
        """Apply an op of the table."""
        if any(isinstance(x, Value) for x in inputs):
            inputs = tuple(map(self._meant, inputs))
        return self.em.op(op, *inputs, name=self.label, **attrs)

    def _meant(self, x: Tensor) -> Tensor:
        """A tensor; infinities and NaN that the function itself writes (in masks, in what lies
        outside) are computed, for a weight that holds some is a broken one.
        """
        if isinstance(x, Value) or x.dtype.kind != "f" or np.isfinite(x).all():
            return x
        zero = self.em.value(self.em.const(0.0))
        found = {
            "nan": (np.isnan(x), (zero, zero)),
            "inf": (np.isposinf(x), (self.em.value(self.em.const(1.0)), zero)),
            "minus_inf": (np.isneginf(x), (self.em.value(self.em.const(-1.0)), zero)),
        }
        made: Tensor = np.where(np.isfinite(x), x, np.float32(0))
        for name, (places, (a, b)) in found.items():
            if places.any():
                special: Tensor = self.em.op("div", a, b, name=f"{self.label}/{name}")
                made = special if x.ndim == 0 else self.em.op(
                    "select", places, special, made, name=f"{self.label}/{name}"
                )  # fmt: skip
        return made

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """`x` in another dtype; a number that is not 0 is true."""
        if dtype == "bool" and dtype_of(x) != "bool":
            return self.op("not_equal", x, self.em.const(0, dtype_of(x)))
        return self.em.cast(x, dtype, self.em.name_of(x) or self.label)

    # A weight that is only turned or widened keeps its name.

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return self.em.reshape(x, shape, self.em.name_of(x) or self.label)

    def transpose(self, x: Tensor, perm: Sequence[int]) -> Tensor:
        return self.em.transpose(x, perm, self.em.name_of(x) or self.label)

    def broadcast(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """`x` repeated to a shape; nothing if it has it."""
        if tuple(x.shape) == tuple(shape):
            return x
        if math.prod(shape) > _MOST_REPEATED:
            # Repeated when the graph runs: files hold it once.
            x = self.em.value(x, f"{self.label}/const")
        return self.op("broadcast_to", x, shape=tuple(shape))

    def function(self, function: Callable[..., Any], *inputs: Tensor) -> Any:
        """A function of tensors on some inputs, as the ops that it is made of."""

        def depends(types: str) -> FanlightError:
            return self.refuse(
                "a size or place would depend on numbers",
                expected="numbers that decide shapes as constants of the graph",
                received=types,
            )

        found = written_out(self.em, function, inputs, self.label, depends)
        return found if len(found) > 1 else found[0]

    def refuse(
        self, message: str, *, expected: object = None, received: object = None
    ) -> FanlightError:
        """E-FORMAT-012 about this equation."""
        return refusal(self.primitive, self.where, message, expected, received)


def plain(held: Any) -> Any:
    """A known array as graphs hold it; None if they do not. Other things as they are."""
    if not isinstance(held, Exact):
        return held
    name = str(held.array.dtype)
    if name not in _DTYPES:
        return None
    array = np.asarray(held.array)
    if name == "uint32":
        return array.view(np.int32) if array.ndim else np.asarray(array).astype(np.int32)
    return array.astype(np.dtype(_DTYPES[name]))


Handler = Callable[[Call], Any]
HANDLERS: dict[str, Handler] = {}


def importer(*primitives: str) -> Callable[[Handler], Handler]:
    """Register the importer of some primitives."""
    return under(primitives, HANDLERS)

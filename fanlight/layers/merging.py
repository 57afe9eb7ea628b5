"""Layers that make one tensor of several: `fl.layers.Add()([a, b])`, or `fl.layers.add([a, b])`.

Sizes of 1 are repeated; a tensor of fewer dims gets such dims behind its first one. Where inputs
have masks, a place counts if it does in one of them, and all inputs have to have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.layers import config
from fanlight.layers.arguments import whole
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.tensor import Tensor, cast
from fanlight.tensor import functions as fn


def _several(layer: Layer, inputs: Any, least: int = 1, most: int | None = None) -> list[Tensor]:
    """The inputs as a list; E-LAYER-001."""
    given = list(inputs) if isinstance(inputs, list | tuple) else []
    if len(given) < least or (most is not None and len(given) > most):
        count = f"{least}" if least == most else f"at least {least}"
        received = f"a list of {len(given)}" if given else type(inputs).__name__
        raise input_error(layer, f"a list of {count} tensors", received)
    return given


def _aligned(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The inputs with one number of dims."""
    rank = max(x.rank for x in inputs)
    made = []
    for x in inputs:
        shape = (*x.shape[:1], *(1,) * (rank - x.rank), *x.shape[1:])
        made.append(x if x.rank == rank else fn.reshape(x, shape))
    return made


def _whole_mask(mask: Any, x: Tensor) -> Tensor | None:
    """A mask [N, ...] with the shape of its tensor."""
    if mask is None:
        return None
    shape = (*mask.shape, *(1,) * (x.rank - len(mask.shape)))
    return fn.broadcast_to(fn.reshape(mask, shape), x.shape)


class _Merge(Layer):
    """One tensor of several, number by number."""

    supports_masking = True
    least: int = 1
    most: int | None = None

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        """What two make."""
        raise config.unwritten(self, "merged")

    def call(self, inputs: Any) -> Tensor:
        first, *rest = _aligned(_several(self, inputs, self.least, self.most))
        for x in rest:
            first = self.merged(first, x)
        return first

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        if mask is None or any(m is None for m in mask):
            return None
        found = mask[0]
        for m in mask[1:]:
            found = fn.logical_or(found, m)
        return found


class Add(_Merge):
    """The sum."""

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Subtract(_Merge):
    """The first minus the second of two."""

    least = 2
    most = 2

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


class Average(_Merge):
    """The mean."""

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def call(self, inputs: Any) -> Tensor:
        return super().call(inputs) * (1.0 / len(inputs))


class Multiply(_Merge):
    """The product. What a mask leaves out counts as 1, and is 0 where all masks leave it out."""

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        given = _aligned(_several(self, inputs))
        masks = [_whole_mask(m, x) for m, x in zip(mask, given, strict=True)]
        product: Any = None
        for x, m in zip(given, masks, strict=True):
            factor = x if m is None else fn.where(m, x, 1.0)
            product = factor if product is None else product * factor
        left = [m for m in masks if m is not None]
        if len(left) == len(masks):
            counts = left[0]
            for m in left[1:]:
                counts = fn.logical_or(counts, m)
            product = fn.where(counts, product, 0.0)
        result: Tensor = product
        return result


class _Extreme(_Merge):
    """The greatest or smallest, of what masks do not leave out."""

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        given = _aligned(_several(self, inputs))
        masks = [None] * len(given) if mask is None else mask
        found, counts = given[0], _whole_mask(masks[0], given[0])
        for x, m in zip(given[1:], masks[1:], strict=True):
            other = _whole_mask(m, x)
            if other is not None:
                x = fn.where(other, x, found)
            if counts is not None:
                found = fn.where(counts, found, x)
            both = counts is not None and other is not None
            counts = fn.logical_or(counts, other) if both else None
            found = self.merged(found, x)
        return found


class Maximum(_Extreme):
    """The greatest number at each place."""

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        return fn.maximum(a, b)


class Minimum(_Extreme):
    """The smallest number at each place."""

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        return fn.minimum(a, b)


class Concatenate(Layer):
    """The tensors one behind the other along an axis; their other sizes are the same."""

    fields = ("axis",)
    supports_masking = True

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = whole(self, "axis", axis, -8)

    def call(self, inputs: Any) -> Tensor:
        given = _several(self, inputs)
        rank = given[0].rank
        at = self.axis % rank if -rank <= self.axis < rank else None
        shapes = {tuple(n for d, n in enumerate(x.shape) if d != at) for x in given}
        if at is None or len(shapes) > 1 or any(x.rank != rank for x in given):
            raise input_error(
                self,
                f"tensors whose sizes differ along axis {self.axis} only",
                ", ".join(str(list(x.shape)) for x in given),
            )
        return fn.concat(given, at)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        if mask is None or all(m is None for m in mask):
            return None
        wide = []
        for x, m in zip(inputs, mask, strict=True):
            found = _whole_mask(m, x)
            wide.append(fn.ones_like(x, "bool") if found is None else found)
        return fn.any(fn.concat(wide, self.axis), -1)


class Dot(Layer):
    """Products of two tensors summed along an axis of each, example by example.

    Args:
        axes: which axis of both, or (one of the first, one of the second); not the batch.
        normalize: whether vectors along these axes get length 1 first: the cosine then.
    """

    fields = ("axes", "normalize")
    supports_masking = True

    def __init__(self, axes: Any, normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        found = tuple(axes) if isinstance(axes, list | tuple) else (axes, axes)
        if len(found) != 2 or any(not isinstance(a, int) or isinstance(a, bool) for a in found):
            raise argument_error(self, "axes", "an axis, or two of them", axes)
        self.axes, self.normalize = axes, bool(normalize)

    def call(self, inputs: Any) -> Tensor:
        pair = [cast(x, "float32") for x in _several(self, inputs, 2, 2)]
        given = self.axes if isinstance(self.axes, list | tuple) else (self.axes, self.axes)
        moved = []
        for x, axis in zip(pair, given, strict=True):
            if not -x.rank <= axis < x.rank or axis % x.rank == 0:
                raise input_error(self, f"dims besides the batch, axis {axis} among them", x.type)
            at = axis % x.rank
            if self.normalize:
                # As Keras has it: a length of 0 counts as one of 1e-6.
                power = fn.sum(fn.square(x), at, keepdims=True)
                x = x * fn.rsqrt(fn.maximum(power, 1e-12))
            order = [d for d in range(1, x.rank) if d != at]
            moved.append((fn.transpose(x, (0, *order, at)), tuple(x.shape[d] for d in order)))
        (a, left), (b, right) = moved
        if a.shape[0] != b.shape[0] or a.shape[-1] != b.shape[-1]:
            expected = f"two tensors of as many examples, of one size along axes {given}"
            raise input_error(self, expected, f"{list(pair[0].shape)}, {list(pair[1].shape)}")
        n, size = a.shape[0], a.shape[-1]
        rows, columns = _count(left), _count(right)
        y = fn.matmul(
            fn.reshape(a, (n, rows, size)), fn.reshape(b, (n, columns, size)), transpose_b=True
        )
        return fn.reshape(y, (n, *left, *right) if left or right else (n, 1))

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return None


def _count(sizes: Sequence[int]) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total


# --- as functions ---------------------------------------------------------------------------------


def add(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Add()(inputs)."""
    return Add(name=name)(inputs)


def subtract(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Subtract()(inputs)."""
    return Subtract(name=name)(inputs)


def multiply(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Multiply()(inputs)."""
    return Multiply(name=name)(inputs)


def average(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Average()(inputs)."""
    return Average(name=name)(inputs)


def maximum(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Maximum()(inputs)."""
    return Maximum(name=name)(inputs)


def minimum(inputs: Sequence[Any], *, name: str | None = None) -> Any:
    """Minimum()(inputs)."""
    return Minimum(name=name)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, *, name: str | None = None) -> Any:
    """Concatenate(axis)(inputs)."""
    return Concatenate(axis, name=name)(inputs)


def dot(
    inputs: Sequence[Any], axes: Any = -1, normalize: bool = False, *, name: str | None = None
) -> Any:
    """Dot(axes, normalize)(inputs)."""
    return Dot(axes, normalize, name=name)(inputs)


__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

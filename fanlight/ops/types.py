"""The type of a value: shape and dtype. A dim is an int, or a bounded symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fanlight import dtypes


@dataclass(frozen=True)
class Dim:
    """A dimension whose size is known only when what was built runs.

    Memory is planned at its bound; a run says the actual size (docs/adr/0001).

    Args:
        name: of the symbol; dims of one name follow one size.
        max, min: the greatest and least size of the dim.
        times: how many times the symbol's size it has: of a batch that was merged with dims behind
            it, [batch, 5, 3, 2] -> [15 batch, 2]. Its bounds are so many times the symbol's.
    """

    name: str
    max: int
    min: int = 1
    times: int = 1

    @property
    def symbol(self) -> Dim:
        """The dim that is as large as the symbol itself."""
        if self.times == 1:
            return self
        return Dim(self.name, self.max // self.times, self.min // self.times)

    def merged(self, count: int) -> Dim:
        """It and `count` elements behind it as one dim."""
        return Dim(self.name, self.max * count, self.min * count, self.times * count)

    def at(self, sizes: Mapping[str, int]) -> int:
        """Its size where the symbols have these."""
        return sizes[self.name] * self.times

    def takes(self, size: int) -> bool:
        """Whether it may be as large: within its bounds, and a multiple."""
        return self.min <= size <= self.max and size % self.times == 0

    def __str__(self) -> str:
        low = f"{self.min}<=" if self.min != self.times else ""
        times = f"{self.times}*" if self.times != 1 else ""
        return f"{low}{times}{self.name}<={self.max}"


Shape = tuple[int | Dim, ...]


@dataclass(frozen=True)
class TensorType:
    """Shape (row-major, ints or Dims) and dtype name of one value."""

    shape: Shape
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.shape, self.dtype)))
        bound = tuple(d.max if isinstance(d, Dim) else d for d in self.shape)
        object.__setattr__(self, "_bound", bound)
        object.__setattr__(self, "_static", bound == self.shape)

    def __hash__(self) -> int:
        known: int = self.__dict__["_hash"]  # types are keys of every call
        return known

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def static(self) -> bool:
        """Whether every dim is a plain number."""
        known: bool = self.__dict__["_static"]
        return known

    @property
    def bound(self) -> tuple[int, ...]:
        """The shape with every symbol at its bound."""
        known: tuple[int, ...] = self.__dict__["_bound"]
        return known

    @property
    def size(self) -> int:
        """Number of elements, symbols at their bound."""
        count = 1
        for d in self.bound:
            count *= d
        return count

    @property
    def nbytes(self) -> int:
        """Bytes, symbols at their bound."""
        return self.size * dtypes.size(self.dtype)

    def at(self, sizes: Mapping[str, int]) -> TensorType:
        """The type with these sizes of its symbols."""
        shape = tuple(d.at(sizes) if isinstance(d, Dim) else d for d in self.shape)
        return TensorType(shape, self.dtype)

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is of this type: within the bounds of its symbols."""
        return len(shape) == len(self.shape) and all(
            d.takes(n) if isinstance(d, Dim) else d == n
            for d, n in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        return f"{dtypes.short(self.dtype)}[{', '.join(map(str, self.shape))}]"

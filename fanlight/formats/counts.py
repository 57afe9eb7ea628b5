"""Sizes that depend on numbers, and what they are counted with.

A graph has fixed sizes. What a format makes as long as its numbers want (the boxes that a
suppression keeps, the places of what is true) is here a tensor of the greatest size and a count:
`Bounded`. Counts are sums of whole numbers of the graph, so that `count + (100 - count)` is known
to be 100 again; `Sizes` are arrays of them, which the ops of shapes move and add uncomputed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.calls import refusal
from fanlight.formats.emitter import Emitter, Tensor
from fanlight.formats.names import output_names
from fanlight.graph import Value

Term = tuple[Value, int, int]
_GREATEST = float(np.finfo(np.float32).max)


class Call(Protocol):
    """What is asked of the call of a node, whatever its format is."""

    @property
    def em(self) -> Emitter:
        """What makes nodes."""

    @property
    def name(self) -> str:
        """The node's."""

    def op(self, op: str, *inputs: Tensor, part: str = "", **attrs: Any) -> Any:
        """Apply an op of the table; `part` names what it is of the node."""

    def refuse(
        self, message: str, *, expected: object = None, received: object = None
    ) -> FanlightError:
        """E-FORMAT-012 about this node."""


@dataclass(frozen=True)
class Count:
    """constant + the sum of factor * value over terms.

    Attributes:
        constant: what is known.
        terms: (value, factor, most): an int32 without dims, from 0 to `most`.
        choice: if it is one of two counts, what decides, the one if it is true, and the other.
    """

    constant: int
    terms: tuple[Term, ...] = ()
    choice: tuple[Any, Count, Count] | None = None

    @property
    def most(self) -> int:
        return self.constant + sum(f * m for _, f, m in self.terms if f > 0)

    @property
    def least(self) -> int:
        return self.constant + sum(f * m for _, f, m in self.terms if f < 0)

    def __add__(self, other: Count | int) -> Count:
        other = counted(other)
        found: dict[Value, list[int]] = {}
        for value, factor, most in (*self.terms, *other.terms):
            entry = found.setdefault(value, [0, most])
            entry[0] += factor
        terms = tuple((v, f, m) for v, (f, m) in found.items() if f)
        return Count(self.constant + other.constant, terms)

    def __mul__(self, factor: int) -> Count:
        terms = tuple((v, f * factor, m) for v, f, m in self.terms if factor)
        return Count(self.constant * factor, terms)

    def __sub__(self, other: Count | int) -> Count:
        return self + counted(other) * -1

    def value(self, call: Call) -> Tensor:
        """The number, int32 without dims."""
        total: Tensor = np.asarray(self.constant, np.int32)
        for value, factor, _ in self.terms:
            part: Tensor = value
            if factor != 1:
                part = call.op("mul", value, np.asarray(factor, np.int32), part="count")
            total = part if _zero(total) else call.op("add", total, part, part="count")
        return total


def _zero(x: Tensor) -> bool:
    return isinstance(x, np.ndarray) and not x.any()


def counted(number: Count | int) -> Count:
    """A whole number as a count."""
    return number if isinstance(number, Count) else Count(int(number))


def count_of(value: Tensor, most: int) -> Count:
    """The count that an int32 without dims holds, from 0 to `most`."""
    if isinstance(value, np.ndarray):
        return Count(int(value))
    return Count(0, ((value, 1, most),))


def ranged(call: Call, value: Tensor, least: int, most: int) -> Count:
    """The count that an int32 without dims holds, from `least` (may be negative) to `most`."""
    if least >= 0 or isinstance(value, np.ndarray):
        return count_of(value, most)
    above = call.op("add", value, np.asarray(-least, np.int32), part="count")
    return Count(least, count_of(above, most - least).terms)


@dataclass(frozen=True)
class Bounded:
    """A tensor whose dim `axis` is as long as `count` says; what is behind means nothing.

    Attributes:
        ones: whether it is of zeros and ones, so that its sum is a count, too.
    """

    tensor: Tensor
    axis: int
    count: Count
    ones: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)


@dataclass(frozen=True)
class Sizes:
    """An int32 array of counts (objects), not yet a tensor."""

    counts: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.counts.shape)


@dataclass(frozen=True)
class Compared:
    """What a comparison of two counts gives: whether `difference` is more than 0."""

    tensor: Tensor
    difference: Count

    @property
    def shape(self) -> tuple[int, ...]:
        return ()


def sizes(items: Iterable[Any], shape: tuple[int, ...]) -> Any:
    """Counts as an array of a shape; known numbers as the int32 array that they are."""
    found = [counted(i) for i in items]
    if not any(c.terms for c in found):
        return np.array([c.constant for c in found], np.int32).reshape(shape)
    array = np.empty(len(found), object)
    array[:] = found
    return Sizes(array.reshape(shape))


def as_counts(x: Any) -> np.ndarray | None:
    """The counts of sizes or of known whole numbers; None of anything else."""
    if isinstance(x, Sizes):
        return x.counts
    if isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.size <= 4096:
        made = np.empty(x.size, object)
        made[:] = [Count(int(v)) for v in x.reshape(-1)]
        return made.reshape(x.shape)
    return None


def as_tensor(call: Call, x: Any) -> Any:
    """Sizes and comparisons as the tensors that hold them; anything else as it is."""
    if isinstance(x, Compared):
        return x.tensor
    if not isinstance(x, Sizes):
        return x
    rows = [
        call.em.reshape(c.value(call), (1,), f"{call.name}/count")
        for c in x.counts.reshape(-1).tolist()
    ]
    row = rows[0] if len(rows) == 1 else call.op("concat", *rows, axis=0, part="sizes")
    return call.em.reshape(row, x.shape, f"{call.name}/sizes")


def bounded(call: Call, x: Tensor, axis: int, count: Count) -> Any:
    """A tensor of which `count` along `axis` are meant; the tensor itself where all are known."""
    if count.terms:
        return Bounded(first(call, x, axis, min(x.shape[axis], max(count.most, 0))), axis, count)
    return first(call, x, axis, min(x.shape[axis], max(count.constant, 0)))


def first(call: Call, x: Tensor, axis: int, size: int) -> Tensor:
    """The first `size` along a dim."""
    if x.shape[axis] == size:
        return x
    extent = [*x.shape]
    extent[axis] = size
    sliced: Tensor = call.op("slice", x, part="first", begin=(0,) * len(extent), size=tuple(extent))
    return sliced


def inside(call: Call, x: Bounded) -> Tensor:
    """Which places along the dim are meant: bool, with a size of 1 in all other dims."""
    places = np.arange(x.shape[x.axis], dtype=np.int32)
    mask: Tensor = call.op("less", places, x.count.value(call), part="inside")
    shape = [1] * len(x.shape)
    shape[x.axis] = len(places)
    return call.em.reshape(mask, shape, f"{call.name}/inside")


def cleaned(call: Call, x: Any, value: float | bool = 0) -> Tensor:
    """The tensor with `value` behind the count."""
    if not isinstance(x, Bounded):
        plain: Tensor = as_tensor(call, x)
        return plain
    dtype = str(x.tensor.dtype)
    if isinstance(value, float) and dtype == "float32":
        # A build takes finite numbers; what is less than all of those is not met in a model.
        value = max(min(value, _GREATEST), -_GREATEST)
    fill = call.em.const(value, dtype)
    made: Tensor = call.op("select", inside(call, x), x.tensor, fill, part="cleaned")
    return made


def limited(call: Call, count: Count, most: int) -> Count:
    """The lesser of a count and a known number."""
    if count.most <= most:
        return count
    if not count.terms:
        return Count(min(count.constant, most))
    value = call.op("minimum", count.value(call), np.asarray(most, np.int32), part="count")
    return ranged(call, value, min(count.least, most), most)


def as_long_as(call: Call, x: Any, like: Bounded) -> Any:
    """The tensor as another one is counted: along the same dim, of as many elements at most."""
    found = x if isinstance(x, Bounded) else as_tensor(call, x)
    if not isinstance(found, Bounded):
        if len(found.shape) != len(like.shape):
            return x
        found = Bounded(found, like.axis, Count(found.shape[like.axis]))
    more = like.shape[like.axis] - found.shape[found.axis]
    if found.axis != like.axis or more <= 0:
        return found
    pads = [(0, 0)] * len(found.shape)
    pads[found.axis] = (0, more)
    tensor = call.op("pad", found.tensor, paddings=tuple(pads), value=0, part="room")
    return Bounded(tensor, found.axis, found.count)


def chosen(call: Call, which: Any, yes: Count, no: Count) -> Count:
    """One of two counts, as a comparison or a bool tensor without dims wants.

    "a if a < b else b" is the lesser one, which is never more than either.
    """
    if isinstance(which, np.ndarray):
        return yes if which.any() else no
    least, most = min(yes.least, no.least), max(yes.most, no.most)
    op, parts = "select", [as_tensor(call, which)]
    if isinstance(which, Compared):
        # Of equal ones it does not matter which is taken.
        same = [Count(0), Count(1)]
        if which.difference - (no - yes) in same:
            op, parts, most = "minimum", [], min(yes.most, no.most)
        elif which.difference - (yes - no) in same:
            op, parts, least = "maximum", [], max(yes.least, no.least)
    value = call.op(op, *parts, yes.value(call), no.value(call), part="count")
    return replace(ranged(call, value, least, most), choice=(which, yes, no))


@dataclass(frozen=True)
class Named:
    """What makes ops under a name where there is no node, as for outputs of a model."""

    em: Emitter
    name: str

    def op(self, op: str, *inputs: Tensor, part: str = "", **attrs: Any) -> Any:
        return self.em.op(op, *inputs, name=f"{self.name}/{part}" if part else self.name, **attrs)

    def refuse(
        self, message: str, *, expected: object = None, received: object = None
    ) -> FanlightError:
        return refusal(self.name, self.name, message, expected, received)


def parts(
    em: Emitter, label: str, made: Any, warnings: list[str], taken: Collection[str]
) -> list[tuple[str, Tensor]]:
    """An output of a model under its name; of one that is counted, also how many count.

    Args:
        label: the name that the output has in the graph.
        taken: the names of all inputs and outputs; a count has none of them.
    """
    call = Named(em, label)
    if isinstance(made, Bounded):
        (count,) = output_names([f"{label}_count"], taken)
        warnings.append(
            f"output {label!r} is as long as the numbers want: it holds {made.shape[made.axis]} "
            f"along dim {made.axis}, of which {count} are meant."
        )
        return [(label, made.tensor), (count, made.count.value(call))]
    return [(label, as_tensor(call, made))]

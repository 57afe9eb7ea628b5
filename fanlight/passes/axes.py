"""Named axes: which axes the dims of values are made of, whatever order they are stored in.

A value [N, C, H, W] is made of four axes n, c, h, w. A transpose of it is made of the same ones,
and so is a reshape to [N, G, C/G, H * W], once c is known to be made of two, g and k. Axes have one
order in which all values of a region could be stored alike, such as n, h, w, g, k: for values that
are stated in another order that takes a transpose, and ops that know their axes work on either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

Size = Any  # int or Dim
_serial = count()


@dataclass(eq=False)
class Axis:
    """One axis.

    Attributes:
        size: its length.
        key: its place in the order of a region.
        pieces: what it was found to be: an outer and an inner axis, or the same as another.
    """

    size: Size
    key: tuple[int, ...]
    pieces: tuple[Axis, ...] | None = None
    number: int = field(default_factory=lambda: next(_serial))

    def split(self, inner: int) -> tuple[Axis, Axis]:
        """Let it be made of two, here and wherever it is read."""
        outer = Axis(self.size // inner, (*self.key, 0))
        self.pieces = made = (outer, Axis(inner, (*self.key, 1)))
        return made

    @property
    def order(self) -> tuple[tuple[int, ...], int]:
        """What axes are sorted by."""
        return self.key, self.number


# Per dim of a value the axes that it is made of, outer first; none for a size of 1.
View = tuple[tuple[Axis, ...], ...]


@dataclass(frozen=True)
class Part:
    """Neighbours in the order of the region that are neighbours in a dim as well."""

    dim: int
    start: int  # which of the dim's axes is its first
    axes: tuple[Axis, ...]
    size: Size


def resolved(view: View) -> View:
    """A view in terms of the finest axes that are known by now."""
    if all(a.pieces is None for dim in view for a in dim):
        return view
    return tuple(tuple(a for axis in dim for a in _finest(axis)) for dim in view)


def _finest(axis: Axis) -> list[Axis]:
    if axis.pieces is None:
        return [axis]
    return [a for piece in axis.pieces for a in _finest(piece)]


def join(a: tuple[Axis, ...], b: tuple[Axis, ...]) -> None:
    """Let the axes of two dims that belong together be the same, if they have one place in the
    order: what comes by two ways out of windows of one size, say.
    """
    if a == b or not a or not b:
        return
    if len(b) == 1:
        a, b = b, a
    if len(a) == 1 and a[0] not in b and a[0].key == b[0].key[: len(a[0].key)]:
        if a[0].size == product(axis.size for axis in b):
            a[0].pieces = b
    elif [(x.size, x.key) for x in a] == [(x.size, x.key) for x in b] and not {*a} & {*b}:
        for x, y in zip(a, b, strict=True):
            x.pieces = (y,)


def signature(view: View) -> tuple[int, ...]:
    """The axes that count, in the order that is stated: equal ones describe equal storage."""
    return tuple(a.number for dim in view for a in dim if a.size != 1)


def in_order(view: View) -> bool:
    """Whether the stated order of the axes is that of the region."""
    orders = [a.order for dim in view for a in dim if a.size != 1]
    return all(a < b for a, b in pairwise(orders))


def parts(view: View) -> list[Part]:
    """The dims of a value that is stored in the order of the region, as few as may be."""
    placed = sorted(
        ((a, d, i) for d, dim in enumerate(view) for i, a in enumerate(dim)),
        key=lambda found: found[0].order,
    )
    made: list[list[tuple[Axis, int, int]]] = []
    for found in placed:
        if made and made[-1][-1][1:] == (found[1], found[2] - 1):
            made[-1].append(found)
        else:
            made.append([found])
    return [
        Part(g[0][1], g[0][2], tuple(a for a, _, _ in g), product(a.size for a, _, _ in g))
        for g in made
    ]


def product(sizes: Any) -> Size:
    """Of sizes, of which a symbol may only stand beside ones."""
    total: Size = 1
    for n in sizes:
        total = n if total == 1 else total if n == 1 else total * n
    return total


def stated_order(found: Sequence[Part]) -> list[int]:
    """The numbers of the parts in the order in which the value is stated."""
    return sorted(range(len(found)), key=lambda i: (found[i].dim, found[i].start))


def regroup(view: View, shape: Sequence[Size], splits: bool = True) -> View | None:
    """What a reshape makes of a view: the same axes in other dims; None if they do not fit.

    Args:
        splits: whether an axis may be found to be made of two.
    """
    axes = [a for dim in resolved(view) for a in dim]
    made: list[tuple[Axis, ...]] = []
    at = 0
    for size in shape:
        if size == 1:
            single = at < len(axes) and axes[at].size == 1
            made.append((axes[at],) if single else ())
            at += single
            continue
        dim: list[Axis] = []
        rest = size
        while rest != 1:
            while at < len(axes) and axes[at].size == 1:
                at += 1
            if at == len(axes):
                return None
            axis = axes[at]
            if axis.size == rest:
                dim.append(axis)
                at += 1
                break
            if not isinstance(rest, int) or not isinstance(axis.size, int) or not rest:
                return None
            if axis.size and rest % axis.size == 0:
                dim.append(axis)
                rest //= axis.size
                at += 1
                continue
            if axis.size % rest or not splits:
                return None
            outer, inner = axis.split(axis.size // rest)
            axes[at : at + 1] = [outer, inner]
        made.append(tuple(dim))
    if any(a.size != 1 for a in axes[at:]):
        return None
    return tuple(made)

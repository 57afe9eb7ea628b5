"""A small loop IR, private to the WASM code generator: loop nests over strided views.

Every elementwise, reducing and moving op becomes a few `Nest`s. A nest runs a scalar body over a
box of loops; each operand is read at `offset + sum(index * stride)`, counted in elements. Strides
may be 0 (broadcast) or negative (reversed). A movement op is pairs of views of equal shape, one of
its input and one of its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from fanlight import dtypes
from fanlight.ops import scalar as sc


@dataclass(frozen=True)
class View:
    """A strided box of elements inside a dense row-major tensor."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @staticmethod
    def dense(shape: Sequence[int]) -> View:
        """All of a tensor."""
        strides, step = [], 1
        for size in reversed(shape):
            strides.append(step)
            step *= size
        return View(tuple(shape), tuple(reversed(strides)))

    def permute(self, perm: Sequence[int]) -> View:
        """The view with its dims reordered, as `numpy.transpose`."""
        return replace(
            self,
            shape=tuple(self.shape[p] for p in perm),
            strides=tuple(self.strides[p] for p in perm),
        )

    def split(self, axis: int, sizes: Sequence[int]) -> View:
        """One dim as several; their product must be its size."""
        strides, step = [], self.strides[axis]
        for size in reversed(sizes):
            strides.append(step)
            step *= size
        return replace(
            self,
            shape=self.shape[:axis] + tuple(sizes) + self.shape[axis + 1 :],
            strides=self.strides[:axis] + tuple(reversed(strides)) + self.strides[axis + 1 :],
        )

    def cut(self, axis: int, begin: int, size: int, step: int = 1) -> View:
        """`size` elements of a dim from `begin`, `step` apart (negative: backwards)."""
        stride = self.strides[axis]
        return View(
            (*self.shape[:axis], size, *self.shape[axis + 1 :]),
            (*self.strides[:axis], stride * step, *self.strides[axis + 1 :]),
            self.offset + begin * stride,
        )

    def broadcast(self, shape: Sequence[int]) -> View:
        """The view repeated to `shape` by NumPy's rules: stride 0 where it has size 1."""
        missing = len(shape) - len(self.shape)
        strides = (0,) * missing + tuple(
            0 if size == 1 else stride
            for size, stride in zip(self.shape, self.strides, strict=True)
        )
        return View(tuple(shape), strides, self.offset)

    def repeat(self, axis: int, count: int) -> View:
        """A new dim of size `count` before `axis`, along which nothing changes."""
        return replace(
            self,
            shape=(*self.shape[:axis], count, *self.shape[axis:]),
            strides=(*self.strides[:axis], 0, *self.strides[axis:]),
        )


@dataclass(frozen=True)
class Access:
    """How a nest walks one operand: element `offset + sum(index[d] * strides[d])`."""

    pointer: int  # which pointer parameter of the kernel
    dtype: str
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def width(self) -> int:
        """Bytes per element."""
        return dtypes.size(self.dtype)


@dataclass(frozen=True)
class Reduce:
    """The last `dims` loops of a nest are folded into one value per element of the output.

    `combine` is an Expr over a0 (so far) and a1 (next), with `identity` as its start;
    `after` an Expr over a0 (the total) that gives what is stored.
    """

    dims: int
    combine: sc.Expr
    identity: float | int | bool
    after: sc.Expr


@dataclass(frozen=True)
class Nest:
    """Loops (outermost first), what they read, the body, and what they write.

    With a reduction, the store's strides over the reduced loops are 0.
    """

    sizes: tuple[int, ...]
    loads: tuple[Access, ...]
    store: Access
    body: sc.Expr
    reduce: Reduce | None = None

    @property
    def accesses(self) -> tuple[Access, ...]:
        return (*self.loads, self.store)

    @property
    def elements(self) -> int:
        return prod(self.sizes)

    @property
    def is_copy(self) -> bool:
        """Whether elements move unchanged."""
        return (
            self.reduce is None
            and len(self.loads) == 1
            and self.body is sc.arg(0)
            and self.loads[0].dtype == self.store.dtype
        )

    @property
    def is_fill(self) -> bool:
        """Whether a constant is stored."""
        return self.reduce is None and not self.loads and self.body.op == "const"


def access(view: View, pointer: int, dtype: str) -> Access:
    """A view of the operand behind a pointer parameter."""
    return Access(pointer, dtype, view.strides, view.offset)


def move(
    target: View, source: View | None, pointers: tuple[int, int], dtype: str, value: float = 0
) -> Nest:
    """Copy `source` to `target` (views of equal shape); without a source, fill with `value`.

    `pointers` are the parameters of the input and of the output.
    """
    store = access(target, pointers[1], dtype)
    if source is None:
        typed = float(value) if dtype == "float32" else int(value)
        return Nest(target.shape, (), store, sc.const(bool(value) if dtype == "bool" else typed))
    if source.shape != target.shape:
        raise ValueError(f"views differ: {source.shape} and {target.shape}")
    return Nest(target.shape, (access(source, pointers[0], dtype),), store, sc.arg(0))


def simplify(nest: Nest) -> Nest:
    """The same nest with loops of one step dropped and loops that continue each other joined."""
    kept = len(nest.sizes) - (nest.reduce.dims if nest.reduce else 0)
    groups: list[tuple[int, list[int], bool]] = []  # size, stride per access, reduced?
    for d, size in enumerate(nest.sizes):
        if size == 1:
            continue
        strides = [a.strides[d] for a in nest.accesses]
        reduced = d >= kept
        if groups:
            outer_size, outer, outer_reduced = groups[-1]
            joins = all(o == s * size for o, s in zip(outer, strides, strict=True))
            if joins and reduced == outer_reduced:
                groups[-1] = (outer_size * size, strides, reduced)
                continue
        groups.append((size, strides, reduced))
    accesses = [
        replace(a, strides=tuple(g[1][i] for g in groups)) for i, a in enumerate(nest.accesses)
    ]
    reduce = nest.reduce
    if reduce is not None:
        reduce = replace(reduce, dims=sum(g[2] for g in groups))
    return Nest(tuple(g[0] for g in groups), tuple(accesses[:-1]), accesses[-1], nest.body, reduce)

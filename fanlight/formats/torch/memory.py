"""Tensors that share memory: views of others, and what is written through them.

A graph has no memory, only values. Each tensor of a program that may be written to is therefore an
Alias: it knows of which other one it is a view, how a new number is put from it into that one, and
reads itself anew when something was written since. Where it is not known whether two share memory,
the one that was not written to is lost: reading it is an error, never an old number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.pairs import Pair, is_tensor, joined, on_parts, split
from fanlight.formats.torch.call import HANDLERS, Call
from fanlight.formats.torch.program import Meta
from fanlight.formats.torch.shaping import cut, order_of, parts_of
from fanlight.ops.types import TensorType

DECOMPOSE = "program = program.run_decompositions(), which writes this without shared memory."
_INDEXED = 1 << 26


@dataclass(eq=False)
class Storage:
    """Memory of one tensor and its views.

    Attributes:
        of: the input or buffer whose memory it is, else None.
        version: how often it was written to.
        lost: where it was written to in a way that has no numbers here.
        doubts: memory that may be the same.
    """

    of: str | None = None
    version: int = 0
    lost: str | None = None
    doubts: list[Storage] = field(default_factory=list)


@dataclass(eq=False)
class Alias:
    """One tensor of a program.

    Attributes:
        parent: what it is a view of; None for one with memory of its own.
        remake: its value of the parent's.
        put: the parent's new value of the old one and of its own; None if there is no such way.
    """

    value: Any  # a tensor, or one that is counted
    storage: Storage
    parent: Alias | None = None
    remake: Callable[[Tensor], Tensor] | None = None
    put: Callable[[Tensor, Tensor], Tensor] | None = None
    version: int = 0

    def root(self) -> Alias:
        found = self
        while found.parent is not None:
            found = found.parent
        return found

    def read(self, where: str) -> Tensor:
        """Its numbers by now; E-FORMAT-012 if they are lost."""
        storage = self.root().storage
        if storage.lost is not None:
            raise FanlightError(
                "E-FORMAT-012",
                "a tensor is used after something was written into memory that it may share.",
                where=where,
                expected="writes into views whose memory is known",
                received=storage.lost,
                next=DECOMPOSE,
            )
        stale, at = [], self
        while at.parent is not None and at.version != storage.version:
            stale.append(at)
            at = at.parent
        value = at.value
        for alias in reversed(stale):
            if alias.remake is not None:
                value = alias.value = alias.remake(value)
            alias.version = storage.version
        return value

    def write(self, value: Tensor, where: str) -> str | None:
        """Put new numbers into it and into all that shares its memory; whose memory it is."""
        root = self.root()
        storage = root.storage
        for other in _reached(storage):
            other.lost = where
        at, version = self, storage.version + 1
        while at.parent is not None and at.put is not None:
            base = at.parent.read(where)
            at.value, at.version = value, version
            value, at = at.put(base, value), at.parent
        if at.parent is not None:  # the rest of the memory is lost; this has its own from now on
            storage.lost = where
            at.parent, at.storage = None, Storage(version=version)
        at.value, at.version = value, version
        at.storage.version = version
        return storage.of


def _reached(start: Storage) -> list[Storage]:
    """All memory that may be this one, without itself."""
    found, todo = [start], [start]
    while todo:
        for other in todo.pop().doubts:
            if other not in found:
                found.append(other)
                todo.append(other)
    return found[1:]


# --- which results share memory with an argument --------------------------------------------------

_RESHAPES = frozenset(
    "view _unsafe_view _reshape_alias view_as unsqueeze squeeze unflatten alias detach detach_ "
    "lift_fresh positive resolve_conj resolve_neg real requires_grad_".split()
)
# Of complex numbers: other numbers in the same memory.
_PARTLY = frozenset("view_as_real view_as_complex imag conj _conj".split())
# These share memory where the strides allow it.
_LOOSE = frozenset("reshape reshape_as flatten".split())
# These give the tensor itself unless there is something to do.
_SAME = frozenset("to type_as contiguous".split())
_DROPOUTS = frozenset("dropout feature_dropout alpha_dropout".split())
_TURNS = frozenset(
    "permute transpose swapaxes swapdims t numpy_T mT adjoint movedim moveaxis".split()
)
_NEGATED = frozenset(["_neg_view"])
_PARTS = frozenset(
    "slice narrow select split split_with_sizes chunk unbind unsafe_split unsafe_chunk "
    "unsafe_split_with_sizes".split()
)
_EXPANSIONS = frozenset("expand expand_as broadcast_to".split())
_INDEXES = frozenset(["diagonal", "unfold", "as_strided"])
# Some of these give their argument back where they have nothing to do.
_DOUBTFUL = frozenset("einsum pixel_shuffle pixel_unshuffle channel_shuffle".split())
_SURE = _RESHAPES | _PARTLY | _LOOSE | _SAME | _DROPOUTS | _TURNS | _NEGATED
VIEWS = _SURE | _PARTS | _EXPANSIONS | _INDEXES | _DOUBTFUL


def name_of(target: str) -> str:
    """ "slice" of "aten.slice.Tensor"; "" for what is not of aten."""
    return target.split(".")[1] if target.startswith("aten.") else ""


def shares(call: Call, given: Meta | None, made: Meta | None) -> bool | None:
    """Whether the results are views of the first argument; None where that is not known."""
    name = name_of(call.node.target)
    if name == "resolve_neg":  # a copy of what _neg_view gives, else the tensor itself
        return None
    if name in _DOUBTFUL or (_is_complex(given, made) and _turned(name, given, made)):
        return None
    if name in _LOOSE:
        return _viewable(given, made)
    if name in _SAME:
        if call.has("copy") and call.flag("copy"):
            return False
        if given is None or made is None or None in (given.code, given.strides):
            return None
        return (given.code, given.sizes, given.strides) == (made.code, made.sizes, made.strides)
    if name in _DROPOUTS:
        return not call.flag("train") or call.real("p", 0.5) == 0
    return name in VIEWS


def _is_complex(*metas: Meta | None) -> bool:
    return any(m is not None and m.dtype == COMPLEX for m in metas)


def _turned(name: str, given: Meta | None, made: Meta | None) -> bool:
    """Whether a view of complex numbers may have other signs, or be one as another dtype."""
    other = None in (given, made) or given.dtype != made.dtype  # type: ignore[union-attr]
    return name.startswith(("resolve", "adjoint")) or (name == "view" and other)


def _viewable(given: Meta | None, made: Meta | None) -> bool | None:
    """Whether a reshaped tensor is a view: PyTorch copies only what strides cannot say."""
    if given is None or made is None or given.strides is None:
        return None
    if given.sizes == made.sizes:
        return True
    sizes, strides = given.sizes[1:], given.strides
    # The first size may be anything: that all lies in order does not depend on it.
    if all(isinstance(n, int) for n in (*sizes, *strides)):
        step = 1
        for n, s in zip(sizes[::-1], strides[:0:-1], strict=True):
            if n != 1 and s != step:
                break
            step *= int(n)
        else:
            if not strides or given.sizes[0] == 1 or strides[0] == step:
                return True
    whole = (*given.sizes, *strides, *made.sizes)
    if not all(isinstance(n, int) for n in whole) or 0 in given.sizes:
        return None
    return _splits([int(n) for n in given.sizes], [int(s) for s in strides],
                   [int(n) for n in made.sizes])  # fmt: skip


def _splits(sizes: list[int], strides: list[int], new: list[int]) -> bool:
    """Whether blocks of dims that lie in one another's order have the elements of new dims."""
    pairs = [(n, s) for n, s in zip(sizes, strides, strict=True) if n != 1]
    rest = [n for n in new if n != 1]
    block, step = 1, None
    while pairs:
        n, s = pairs.pop()
        block, step = block * n, s * n
        if pairs and pairs[-1][1] == step:
            continue
        while rest and block % rest[-1] == 0 and block > 1:
            block //= rest.pop()
        if block != 1:
            return False
    return not rest


def view(
    call: Call, parent: Alias, index: int, value: Tensor, again: Callable[[Tensor], Tensor]
) -> Alias:
    """A result that shares the memory of the first argument.

    Args:
        index: which of the results.
        again: the result for other numbers of the parent.
    """
    name = name_of(call.node.target)
    put: Callable[[Tensor, Tensor], Tensor] | None = None
    remake = again
    shape = tuple(parent.value.shape)
    if isinstance(parent.value, Pair) != isinstance(value, Pair) or (
        name in _PARTLY and isinstance(value, Pair)
    ):

        def put(base: Any, new: Any) -> Any:
            return _of_parts(call, name, base, new)

    elif name in _PARTS:
        axis, taken, kept = parts_of(call, index)

        @on_parts
        def remake(base: Tensor) -> Tensor:
            part = _cut(call, base, axis, taken)
            return call.em.reshape(part, tuple(value.shape), call.name("again"))

        @on_parts
        def put(base: Tensor, new: Tensor) -> Tensor:
            if not kept:
                new = call.em.reshape(new, (*shape[:axis], 1, *shape[axis + 1 :]), call.name("new"))
            return replaced(call, base, new, axis, taken)

    elif name in _TURNS:
        perm = order_of(call)
        back = [perm.index(d) for d in range(len(perm))]

        @on_parts
        def put(base: Tensor, new: Tensor) -> Tensor:
            return call.em.transpose(new, back, call.name("back"))

    elif name in _NEGATED:

        @on_parts
        def put(base: Tensor, new: Tensor) -> Tensor:
            return call.op("neg", new, part="written")

    elif name in _INDEXES:

        @on_parts
        def put(base: Tensor, new: Tensor) -> Tensor:
            return indexed(call, base, new)

    elif name not in _EXPANSIONS or math.prod(value.shape) == math.prod(shape):

        @on_parts
        def put(base: Tensor, new: Tensor) -> Tensor:
            return call.em.reshape(new, shape, call.name("back"))

    root = parent.root()
    return Alias(value, root.storage, parent, remake, put, root.storage.version)


def _of_parts(call: Call, name: str, base: Any, new: Any) -> Any:
    """`base` of other parts: what is written into its real or imaginary part, or into both."""
    if name == "view_as_real":
        return split(call.em, new, call.name("written"))
    if name == "view_as_complex":
        return joined(call.em, new, call.name("written"))
    if name in ("conj", "_conj"):
        return Pair(new.real, call.op("neg", new.imag, part="written"))
    return Pair(new, base.imag) if name == "real" else Pair(base.real, new)


def doubted(value: Tensor, others: Sequence[Alias]) -> Alias:
    """A result that may share memory with others."""
    made = Alias(value, Storage())
    for other in others:
        made.storage.doubts.append(other.root().storage)
        other.root().storage.doubts.append(made.storage)
    return made


def _cut(call: Call, base: Tensor, axis: int, taken: range) -> Tensor:
    if taken.step == 1 or len(taken) <= 1:
        begin = taken.start if len(taken) else 0
        return cut(call, base, axis, begin, len(taken), "part")
    return call.op("gather", base, np.asarray(taken, np.int32), part="part", axis=axis)


def replaced(call: Call, x: Tensor, new: Tensor, axis: int, taken: range) -> Tensor:
    """`x` with other entries at some places of one dim."""
    size = x.shape[axis]
    if not taken:
        return x
    if len(taken) == size:
        return new
    if taken.step == 1 or len(taken) == 1:
        first, last = taken[0], taken[-1] + 1
        parts = [new]
        if first:
            parts.insert(0, cut(call, x, axis, 0, first, "before"))
        if last < size:
            parts.append(cut(call, x, axis, last, size - last, "after"))
        return call.op("concat", *parts, part="written", axis=axis)
    # Each place of the result is one of x, or one of the new ones behind it.
    order = np.arange(size, dtype=np.int32)
    order[list(taken)] = size + np.arange(len(taken), dtype=np.int32)
    both = call.op("concat", x, new, part="both", axis=axis)
    return call.op("gather", both, order, part="written", axis=axis)


def indexed(call: Call, base: Tensor, new: Tensor) -> Tensor:
    """`base` with the elements of which the view consists replaced, wherever they are."""
    count = math.prod(base.shape)
    check_size(TensorType((count,), "int32"), call.where, _INDEXED)
    every = call.em.named(np.arange(count, dtype=np.int32), call.name("places"), made=True)
    numbered = replace(
        call, args={**call.args, "self": call.em.reshape(every, base.shape, call.name("places"))}
    )
    places = HANDLERS[call.node.target.rpartition(".")[0]](numbered)
    order = np.arange(count, dtype=np.int32)
    order[places.reshape(-1)] = count + np.arange(places.size, dtype=np.int32)
    flat = [call.em.reshape(t, (math.prod(t.shape),), call.name("flat")) for t in (base, new)]
    both = call.op("concat", *flat, part="both", axis=0)
    return call.em.reshape(
        call.op("gather", both, order, part="written", axis=0), base.shape, call.name("shaped")
    )


def fitting(call: Call, results: Sequence[Any], old: Any) -> Any:
    """What is written into `old`, in its dtype; E-FORMAT-016 for another shape."""
    value: Any = results[0] if results else None
    if not is_tensor(value) or isinstance(value, Pair) != isinstance(old, Pair):
        raise call.refuse("nothing is computed that could be written", received=repr(value)[:80])
    if tuple(value.shape) != tuple(old.shape):
        raise FanlightError(
            "E-FORMAT-016",
            "what is written into a tensor has not its shape.",
            where=call.where,
            expected=list(old.shape),
            received=list(value.shape),
            next="save the program again; if it is fresh, please report it with the file.",
        )
    return value if isinstance(value, Pair) else call.cast(value, dtype_of(old), "written")

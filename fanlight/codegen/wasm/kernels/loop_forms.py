"""What form a loop nest takes in code, and what follows from that before any code is there.

A normalised nest takes one of seven forms:

- `fill`, `copy`: runs of equal or consecutive bytes;
- `transpose`: a copy that exchanges two dims, by 4x4 blocks;
- `bytes`: a light body over contiguous bytes, sixteen elements at a time;
- `map`: any body, four elements of the innermost loop at a time;
- `columns`: a reduction whose innermost kept dim is contiguous: lanes are outputs;
- `rows`: a reduction along the contiguous dim: lanes are partial results, folded at the end.

Units of work are steps of the outermost loop, or groups of elements if there is only one loop.
No form lets the split into units change what is computed for an element.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from math import prod

from fanlight.codegen.wasm.kernels.loop_ir import Access, Nest, simplify
from fanlight.ops import scalar as sc

GROUP = 64  # elements per unit of work where a nest is a single loop
LIGHT = 40  # most costly body that is emitted four times over
BLOCK = 16  # outputs per step of a `columns` reduction: four vectors


def normalise(nest: Nest) -> Nest:
    """The nest as it is emitted: loops joined, trivial reductions gone, long sums in chunks."""
    nest = _in_words(simplify(nest))
    reduce = nest.reduce
    if reduce is not None and reduce.dims == 0:
        body = sc.substitute(reduce.after, {0: nest.body})
        nest = replace(nest, body=body, reduce=None)
    if reduce is not None and nest.reduce is not None and reduce.combine.op == "add":
        nest = _chunked(nest)
    if not nest.sizes:
        one = tuple(replace(a, strides=(0,)) for a in nest.accesses)
        nest = replace(nest, sizes=(1,), loads=one[:-1], store=one[-1])
    return nest


def _in_words(nest: Nest) -> Nest:
    """A copy of bytes that always move in fours as one of float32, whose bits nobody looks at."""
    if not nest.is_copy or nest.store.width != 1 or not nest.sizes or nest.sizes[-1] % 4:
        return nest
    numbers = [n for a in nest.accesses for n in (*a.strides[:-1], a.offset)]
    if any(n % 4 for n in numbers) or any(a.strides[-1] != 1 for a in nest.accesses):
        return nest

    def word(a: Access) -> Access:
        strides = (*(s // 4 for s in a.strides[:-1]), 1)
        return Access(a.pointer, "float32", strides, a.offset // 4)

    sizes = (*nest.sizes[:-1], nest.sizes[-1] // 4)
    return simplify(Nest(sizes, tuple(map(word, nest.loads)), word(nest.store), nest.body))


def paired(nest: Nest) -> bool:
    """Whether a copy moves runs of 8 bytes that follow one another on one side."""
    if len(nest.sizes) < 3 or form(nest) != "copy":
        return False
    size = nest.sizes[-1]
    return size * nest.store.width == 8 and any(a.strides[-2] == size for a in nest.accesses)


def _chunked(nest: Nest) -> Nest:
    """Split a long innermost reduced loop in two: partial sums keep float32 sums accurate."""
    assert nest.reduce is not None
    size = nest.sizes[-1]
    if nest.reduce.dims != 1 or size < 2048:
        return nest
    # Of rows sixteen lanes or so share the elements, of columns each output has its own.
    low, high = (15, 64) if form(nest) == "columns" else (63, 1024)
    inner = next((n for n in range(high, low, -1) if size % n == 0 and n % 4 == 0), None)
    inner = inner or next((n for n in range(high, low, -1) if size % n == 0), None)
    if inner is None:
        return nest

    def split(a: Access) -> Access:
        return replace(a, strides=(*a.strides[:-1], a.strides[-1] * inner, a.strides[-1]))

    return replace(
        nest,
        sizes=(*nest.sizes[:-1], size // inner, inner),
        loads=tuple(map(split, nest.loads)),
        store=split(nest.store),
        reduce=replace(nest.reduce, dims=2),
    )


def form(nest: Nest) -> str:
    """Which of the seven forms a normalised nest takes."""
    if nest.reduce is not None:
        kept = len(nest.sizes) - nest.reduce.dims
        if kept and all(a.strides[kept - 1] in (0, 1) for a in nest.loads):
            if any(a.strides[kept - 1] == 1 for a in nest.loads):
                return "columns"
        return "rows"
    if nest.store.strides[-1] == 1:
        if nest.is_fill and (len(nest.sizes) > 1 or len(set(pattern(nest))) == 1):
            return "fill"
        if nest.is_copy and nest.loads[0].strides[-1] == 1:
            return "copy"
        if nest.is_copy and crossing(nest) is not None:
            return "transpose"
        if _bytewise(nest) or picks(nest):
            return "bytes"
    return "map"


def wide(nest: Nest) -> bool:
    """Whether a `columns` reduction walks memory as it lies, with its results so far in memory.

    Else it takes BLOCK outputs at a time through all that is reduced, which reads a cache line of
    every row and leaves it.
    """
    reduce = nest.reduce
    assert reduce is not None
    if of_bools(nest):
        return True
    kept = len(nest.sizes) - reduce.dims
    whole = prod(nest.sizes[kept:])
    return (
        nest.sizes[kept - 1] >= 4 * BLOCK
        # Longer sums are more exact in the two levels of the other way.
        and 4 <= whole <= 1 << 14
        and nest.store.width == 4
        and nest.store.strides[kept - 1] == 1
        and all(a.dtype == nest.store.dtype for a in nest.loads)
        and all(s >= 0 for a in nest.loads for s in a.strides[kept:])
        and sc.infer(nest.body, [a.dtype for a in nest.loads]) == nest.store.dtype
    )


def of_bools(nest: Nest) -> bool:
    """Whether a reduction is `any` or `all` of neighbouring bools, which need no widening."""
    reduce = nest.reduce
    if reduce is None or reduce.combine.op not in ("and", "or") or nest.body is not sc.arg(0):
        return False
    (load,) = nest.loads
    kept = len(nest.sizes) - reduce.dims
    if load.dtype != "bool" or any(s < 0 for s in load.strides[kept:]):
        return False
    along = kept - 1 if form(nest) == "columns" else -1
    stored = form(nest) == "rows" or nest.store.strides[along] == 1
    return stored and load.strides[along] == 1 and nest.sizes[along] >= 16


def picks(nest: Nest) -> bool:
    """Whether a copy takes bytes that lie evenly apart, few enough to pick them out of vectors."""
    load = nest.loads[0].strides[-1] if nest.is_copy else None
    return load in (-1, 0, 2, 3, 4) and nest.store.width == 1 and nest.sizes[-1] >= 16


def _bytewise(nest: Nest) -> bool:
    """Whether sixteen elements at a time pay off: bytes, most of them neighbours."""
    return (
        nest.sizes[-1] > 4
        and not nest.is_copy
        and any(a.width == 1 and a.strides[-1] == 1 for a in nest.accesses)
        and all(a.strides[-1] in (0, 1) for a in nest.loads)
        and sc.cost(nest.body) <= LIGHT
    )


def crossing(nest: Nest) -> int | None:
    """The loop along which a copy's input is contiguous, if square blocks pay off."""
    edge = block_edge(nest)
    if nest.sizes[-1] < edge or nest.loads[0].strides[-1] < 0:
        return None
    for d, size in enumerate(nest.sizes[:-1]):
        if nest.loads[0].strides[d] == 1 and size >= edge:
            return d
    return None


def block_edge(nest: Nest) -> int:
    """Elements along an edge of the blocks that are transposed in registers."""
    return 4 if nest.store.width == 4 else 8


def pattern(nest: Nest) -> bytes:
    """The 16 bytes of a filled vector."""
    value = nest.body.value
    if nest.store.dtype == "float32":
        return struct.pack("<f", value) * 4
    if nest.store.dtype == "int32":
        return struct.pack("<i", int(value)) * 4
    return bytes([int(value)]) * 16


def units(nest: Nest) -> int:
    """Units of work of a normalised nest."""
    kind = form(nest)
    if kind == "columns" and nest.reduce is not None:
        kept = nest.sizes[: len(nest.sizes) - nest.reduce.dims]
        return kept[0] if len(kept) > 1 else -(-kept[0] // BLOCK)
    if kind == "rows" and nest.reduce is not None:
        return nest.sizes[0] if len(nest.sizes) > nest.reduce.dims else 1
    if kind == "transpose":
        outer, size = transpose_dims(nest)
        return nest.sizes[outer[0]] if outer else -(-size // strip(nest, size))
    return nest.sizes[0] if len(nest.sizes) > 1 else -(-nest.sizes[0] // GROUP)


def in_order(nest: Nest) -> bool:
    """Whether the units of a normalised nest write its output from front to back."""
    outer = 0
    if form(nest) == "transpose":
        loops, _ = transpose_dims(nest)
        if not loops:
            return False
        outer = loops[0]
    kept = nest.sizes[: len(nest.sizes) - (nest.reduce.dims if nest.reduce else 0)]
    return bool(kept) and nest.store.strides[outer] * kept[outer] == prod(kept)


def signature(nest: Nest) -> str:
    """Text that tells a normalised nest's code: equal texts, equal code (see `Kernel.key`).

    The size of a lone loop matters only through its remainder: work is counted in groups.
    """
    sizes = list(nest.sizes)
    kind = form(nest)
    if len(sizes) == 1 and kind in ("map", "bytes", "copy", "fill"):
        sizes[0] %= GROUP
        if sizes[0]:
            sizes[0] = nest.sizes[0]
    elif units(nest) == sizes[0]:
        sizes[0] = 0
    operands = " ".join(
        f"{a.pointer}:{a.dtype}+{a.offset}*{','.join(map(str, a.strides))}" for a in nest.accesses
    )
    text = f"{kind} {'x'.join(map(str, sizes))} {operands} {nest.body}"
    if nest.reduce is not None:
        r = nest.reduce
        text += f" / {r.dims} {r.combine} from {r.identity} then {r.after}"
    return text


def transpose_dims(nest: Nest) -> tuple[list[int], int]:
    """The loops outside the blocks, and the size of the crossing loop."""
    d = crossing(nest)
    assert d is not None
    return [i for i in range(len(nest.sizes) - 1) if i != d], nest.sizes[d]


def strip(nest: Nest, size: int) -> int:
    """Steps of the crossing loop done together, as far as it goes.

    From each line of the input that much is read at once: the more, the fewer pages are met again.
    Where the loop is short, threads need pieces, too.
    """
    return min(64 if size >= 256 else 16, size // block_edge(nest) * block_edge(nest))


def run(nest: Nest) -> int:
    """Steps of the last loop done together: a cache line of the output."""
    edge = block_edge(nest)
    return min(64 // nest.store.width, nest.sizes[-1] // edge * edge)

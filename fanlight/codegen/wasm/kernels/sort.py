"""top_k and sort. Ties go to the lower index, and NaNs come last."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Label, Local
from fanlight.codegen.wasm.kernels.vectors import Registers
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

SMALL_K = 16  # up to here top_k inserts into a short sorted list, whatever the order of the input
# Up to here it tries to: an input in a bad order, which makes it move more than MOVES elements per
# element of the input, is sorted after all. Beyond it sorts.
MEDIUM_K = 512
MOVES = 4
SMALL_ROW = 64  # rows up to here are sorted by insertion, too
_BUCKETS = 256
# Larger rows are sorted in so many parts at most, and in so many bytes.
PARTS, MOST_ROOM = 8, 1 << 20


@dataclass(frozen=True)
class TopK:
    """The `k` largest (or smallest) of each row of [rows, size], in their order."""

    dtype: str
    rows: int
    size: int
    k: int
    ascending: bool = False

    @property
    def short(self) -> bool:
        """Whether insertion alone will do, whatever the order of the input."""
        return self.k <= SMALL_K or self.size <= SMALL_ROW

    @property
    def room(self) -> int:
        """Bytes to sort a row in: counters of four passes, and keys and indices twice."""
        return 4 * 4 * _BUCKETS + 16 * self.size

    @property
    def parts(self) -> int:
        """Into how many parts the rows are split, each with room of its own."""
        return max(1, min(PARTS, self.rows, MOST_ROOM // self.room))

    @property
    def units(self) -> int:
        return self.rows if self.short else self.parts

    @property
    def scratch(self) -> int:
        """Bytes."""
        return 0 if self.short else self.parts * self.room


@register("top_k")
def lower_top_k(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a top_k node."""
    x = node.inputs[0].type
    return _kernel(node, TopK(x.dtype, prod(x.bound[:-1]), x.bound[-1], node.attrs["k"]))


@register("sort")
def lower_sort(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a sort node: all of a row are its top."""
    x = node.inputs[0].type
    size = x.bound[-1]
    return _kernel(
        node, TopK(x.dtype, prod(x.bound[:-1]), size, size, not node.attrs["descending"])
    )


def _kernel(node: Node, top: TopK) -> Kernel:
    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (6 if top.scratch else 5))
        x_, values, indices, *scratch, low, high = f.params
        emit_top_k(f, top, x_, values, indices, scratch[0] if scratch else None, low, high)

    return Kernel(
        key=f"{top}",
        emit=emit,
        work=top.units,
        in_order=top.short,
        scratch=top.scratch,
        flops=top.rows * top.size,
        bytes=node_bytes(node),
    )


def emit_top_k(
    f: Function,
    top: TopK,
    x: Local,
    values: Local,
    indices: Local,
    scratch: Local | None,
    low: Local,
    high: Local,
) -> None:
    """Units [low, high): values (dtype of `x`) and int32 indices, each [rows, k]."""
    row = f.local("i32")
    if scratch is None:
        with f.range(row, low, high):
            _insertion(f, top, row, x, values, indices, None)
        return
    tries = top.k <= MEDIUM_K and top.k * 8 <= top.size
    share = -(-top.rows // top.parts)
    part, first, end, room = f.locals(4, "i32")
    with f.range(part, low, high):
        f.address(scratch, part, top.room).set(room)
        f.get(part).times(share).set(first)
        f.i32(top.rows).get(first).plus(share).tee(end)
        f.i32(top.rows).get(end).op("i32.lt_s").select().set(end)
        with f.range(row, first, end), f.block() as next_row:
            if tries:
                with f.block() as tired:
                    _insertion(f, top, row, x, values, indices, tired)
                    f.br(next_row)
            _radix(f, top, row, x, values, indices, room)


def _precedes(f: Function, top: TopK, kind: str, a: Local, b: Local) -> Function:
    """Push whether value `a`, which comes later, belongs before `b`."""
    if kind == "i32":
        return f.get(a).get(b).op("i32.lt_s" if top.ascending else "i32.gt_s")
    # Larger (or smaller), or one of them is NaN.
    f.get(a).get(b).op("f32.ge" if top.ascending else "f32.le").op("i32.eqz")
    return f.get(a).get(a).op("f32.eq").op("i32.and")


def _insertion(
    f: Function,
    top: TopK,
    row: Local,
    x: Local,
    values: Local,
    indices: Local,
    tired: Label | None,
) -> None:
    """Keep a sorted list of at most k in the outputs; nearly every element fails one comparison.

    Four elements are compared with the last of the list at once. With `tired`, too many moves lead
    there.
    """
    kind = "f32" if top.dtype == "float32" else "i32"
    p, v, i, at, place, budget = f.locals(6, "i32")
    value, other, least = f.locals(3, kind)
    f.address(x, row, top.size * 4).set(p)
    f.address(values, row, top.k * 4).set(v)
    f.address(indices, row, top.k * 4).set(i)
    f.i32(0).set(at).i32(min(MOVES * top.size, 2**31 - 1)).set(budget)
    with f.loop() as next_element:
        if top.size >= top.k + 4 and not top.ascending:
            _skip_four(f, top, kind, p, at, least, next_element)
        with f.block() as failed:
            f.get(p).op(f"{kind}.load").set(value)
            # place = byte offset of the slot that is free: the next one, or the last.
            f.get(at).i32(top.k).op("i32.lt_s")
            with f.if_():
                f.get(at).times(4).set(place)
                f.else_()
                _precedes(f, top, kind, value, least).op("i32.eqz").br_if(failed)
                f.i32((top.k - 1) * 4).set(place)
            if tired is not None:
                f.get(budget).get(place).i32(2).op("i32.shr_u").op("i32.sub").tee(budget)
                f.i32(0).op("i32.lt_s").br_if(tired)
            with f.block() as found, f.loop() as again:
                f.get(place).op("i32.eqz").br_if(found)
                f.get(v).get(place).op("i32.add").plus(-4).op(f"{kind}.load").set(other)
                _precedes(f, top, kind, value, other).op("i32.eqz").br_if(found)
                f.get(v).get(place).op("i32.add").get(other).op(f"{kind}.store")
                f.get(i).get(place).op("i32.add")
                f.get(i).get(place).op("i32.add").plus(-4).op("i32.load").op("i32.store")
                f.advance(place, -4).br(again)
            f.get(v).get(place).op("i32.add").get(value).op(f"{kind}.store")
            f.get(i).get(place).op("i32.add").get(at).op("i32.store")
            f.get(v).op(f"{kind}.load", (top.k - 1) * 4).set(least)
        f.advance(p, 4).get(at).plus(1).tee(at).i32(top.size).op("i32.lt_s").br_if(next_element)


def _skip_four(
    f: Function, top: TopK, kind: str, p: Local, at: Local, least: Local, next_element: Label
) -> None:
    """If the list is full and none of the next four elements belongs in it, go on behind them."""
    four = f.local("v128")
    f.get(at).plus(-top.k).i32(top.size - 4 - top.k).op("i32.lt_u")
    with f.if_():
        f.get(p).load().set(four)
        if kind == "i32":
            f.get(four).get(least).op("i32x4.splat").op("i32x4.gt_s")
        else:
            f.get(four).get(four).op("f32x4.eq")
            f.get(four).get(least).op("f32x4.splat").op("f32x4.le").op("v128.andnot")
        f.op("v128.any_true").op("i32.eqz")
        with f.if_():
            f.advance(p, 16).advance(at, 4).br(next_element)


def _radix(
    f: Function,
    top: TopK,
    row: Local,
    x: Local,
    values: Local,
    indices: Local,
    scratch: Local,
) -> None:
    """Sort one row by 32-bit keys, 8 bits at a time. Stable, so equal keys keep their order."""
    registers = Registers(f)
    take = registers.take
    source, at, key, counter, spare, sum_ = registers.take_many(6, "i32")
    keys, others = take("i32"), take("i32")
    f.address(x, row, top.size * 4).set(source)
    f.get(scratch).plus(16 * _BUCKETS).set(keys)
    f.get(keys).plus(8 * top.size).set(others)
    f.get(scratch).i32(0).i32(16 * _BUCKETS).op("memory.fill")

    def bucket(digit: int) -> None:
        """counter = address of the counter of `key`'s digit."""
        f.get(key).i32(8 * digit).op("i32.shr_u").i32(255).op("i32.and").times(4)
        f.get(scratch).op("i32.add").plus(4 * _BUCKETS * digit).set(counter)

    with f.range(at, 0, top.size):
        _sort_key(f, top, source, at, key)
        f.address(keys, at, 8).tee(spare).get(key).op("i32.store")
        f.get(spare).get(at).op("i32.store", 4)
        for digit in range(4):
            bucket(digit)
            f.get(counter).get(counter).op("i32.load").plus(1).op("i32.store")
    # Counters become the first position of their bucket.
    with f.range(at, 0, 4 * _BUCKETS):
        f.get(at).i32(_BUCKETS - 1).op("i32.and").op("i32.eqz")
        with f.if_():
            f.i32(0).set(sum_)
        f.address(scratch, at, 4).tee(counter).op("i32.load").set(spare)
        f.get(counter).get(sum_).op("i32.store")
        f.get(sum_).get(spare).op("i32.add").set(sum_)
    for digit in range(4):
        with f.range(at, 0, top.size):
            f.address(keys, at, 8).tee(spare).op("i32.load").set(key)
            bucket(digit)
            f.get(counter).op("i32.load").set(sum_)
            f.get(counter).get(sum_).plus(1).op("i32.store")
            f.address(others, sum_, 8).tee(counter).get(key).op("i32.store")
            f.get(counter).get(spare).op("i32.load", 4).op("i32.store", 4)
        keys, others = others, keys
    out_value, out_index = take("i32"), take("i32")
    f.address(values, row, top.k * 4).set(out_value)
    f.address(indices, row, top.k * 4).set(out_index)
    with f.range(at, 0, top.k):
        f.address(keys, at, 8).op("i32.load", 4).set(key)
        f.address(out_index, at, 4).get(key).op("i32.store")
        f.address(out_value, at, 4)
        f.address(source, key, 4).op("i32.load").op("i32.store")


def _sort_key(f: Function, top: TopK, source: Local, at: Local, key: Local) -> None:
    """key = the element as an unsigned number that is smaller the earlier the element belongs."""
    if top.dtype == "int32":
        f.address(source, at, 4).op("i32.load")
        f.i32(0x80000000 if top.ascending else 0x7FFFFFFF).op("i32.xor").set(key)
        return
    value = f.local("f32")
    # Adding 0 turns -0 into +0, which compare equal.
    f.address(source, at, 4).op("f32.load").f32(0.0).op("f32.add").tee(value)
    # Negative floats are stored as sign and magnitude: their bits already descend.
    f.op("i32.reinterpret_f32").tee(key).get(key).i32(0x7FFFFFFF).op("i32.xor")
    f.get(key).i32(0).op("i32.lt_s").select()
    if top.ascending:
        f.i32(-1).op("i32.xor")
    f.set(key)
    f.i32(-1).get(key).get(value).get(value).op("f32.ne").select().set(key)

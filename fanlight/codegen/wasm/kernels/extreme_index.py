"""arg_max and arg_min. Ties go to the lower index; a NaN wins, the first one, as in NumPy.

Along the last axis the largest element is found first, by vectors, and then looked for from the
start of the row, which lies in a cache by then. Along another axis a vector holds the largest
elements so far of four neighbouring rows, and another one their indices, which is the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.column_blocks import BlockWalker, ColumnBlocks
from fanlight.codegen.wasm.kernels.vectors import Registers, fold_lanes, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

BLOCK = 512  # vectors of neighbouring rows per unit of work
GROUP = 4  # lines of memory between a load and a store of what was found so far


@dataclass(frozen=True)
class Arg:
    """An arg_max or arg_min over the middle of [outer, size, inner]."""

    largest: bool
    dtype: str
    outer: int
    size: int
    inner: int

    @property
    def blocks(self) -> ColumnBlocks:
        return ColumnBlocks(self.outer, self.size, self.inner, BLOCK)

    @property
    def is_last(self) -> bool:
        return self.inner == 1


@register("arg_max", "arg_min")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of an arg_max or arg_min node."""
    x = node.inputs[0].type
    axis = node.attrs["axis"] % x.rank
    shape = x.bound
    arg = Arg(
        node.op == "arg_max", x.dtype, prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    )

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (4 if arg.is_last else 5))
        (_Emitter(f, arg).last if arg.is_last else _Emitter(f, arg).other)(*f.params)

    return Kernel(
        f"{arg} {target.relaxed_simd}",
        emit,
        arg.outer if arg.is_last else arg.blocks.units,
        scratch=0 if arg.is_last else arg.outer * arg.blocks.vectors * 16,
        flops=x.size,
        bytes=node_bytes(node),
        in_order=axis > 0,
    )


class _Emitter:
    def __init__(self, f: Function, arg: Arg) -> None:
        self.f = f
        self.arg = arg
        self.registers = Registers(f)
        self.float = arg.dtype == "float32"

    # --- the last axis ----------------------------------------------------------------------------

    def last(self, x: Local, y: Local, low: Local, high: Local) -> None:
        """Find the largest, then its place."""
        f, size = self.f, self.arg.size
        unit, p, at = self.registers.take_many(3, "i32")
        best, value = self.registers.take_many(2, "v128")
        with f.range(unit, low, high):
            f.address(x, unit, size * 4).tee(p)
            f.op("v128.load32_splat").set(best)
            if size < 4:
                # Lanes beyond the row hold its first element, whose own place comes before.
                mask = (-1 if lane < size else 0 for lane in range(4))
                f.get(p).load().get(best).i32x4(*mask).op("v128.bitselect").set(value)
                self._meet(best, value)
            else:
                self._largest(p, best, value)
            fold_lanes(f, self.registers, best, self._combined)
            with f.block() as found:
                if self.float:
                    f.get(best).get(best).op("f32x4.ne").op("v128.any_true")
                    with f.if_():
                        self._look(p, at, value, size, None)
                        f.br(found)
                self._look(p, at, value, size, best)
            f.address(y, unit, 4).get(at).op("i32.store")

    def _largest(self, p: Local, best: Local, value: Local) -> None:
        """best = the largest of each lane. The last vector overlaps the one before."""
        f, size = self.f, self.arg.size
        vectors = size // 4
        others = self.registers.take_many(3 if vectors >= 8 else 0, "v128")
        cursor = self.registers.take("i32")
        f.get(p).set(cursor)
        for other in others:
            f.get(best).set(other)
        lanes = [best, *others]
        with f.repeat(vectors // len(lanes)):
            for i, acc in enumerate(lanes):
                f.get(cursor).load(16 * i).set(value)
                self._meet(acc, value)
            f.advance(cursor, 16 * len(lanes))
        for i in range(vectors % len(lanes)):
            f.get(cursor).load(16 * i).set(value)
            self._meet(best, value)
        if size % 4:
            f.get(p).load((size - 4) * 4).set(value)
            self._meet(best, value)
        for other in others:
            self._meet(best, other)
        self.registers.give(cursor, *others)

    def _combined(self, a: Local, b: Local) -> Function:
        """Push the larger of two vectors; NaN wins (see `loop_reduce`)."""
        f, op = self.f, "max" if self.arg.largest else "min"
        if not self.float:
            return f.get(a).get(b).op(f"i32x4.{op}_s")
        f.get(a).get(b).op(f"f32x4.p{op}")
        return f.get(b).get(b).op("f32x4.ne").op("v128.or")

    def _meet(self, a: Local, b: Local) -> None:
        self._combined(a, b).set(a)

    def _look(self, p: Local, at: Local, value: Local, size: int, wanted: Local | None) -> None:
        """at = the first element that equals `wanted`, or is NaN. There is one."""
        f = self.f

        def matches() -> None:
            f.get(value).get(value if wanted is None else wanted)
            f.op(("f32x4.ne" if wanted is None else "f32x4.eq") if self.float else "i32x4.eq")
            f.set(value)

        def place() -> None:
            f.get(at).get(value).op("i32x4.bitmask").op("i32.ctz").op("i32.add").set(at)

        if size < 4:
            f.get(p).load().set(value).i32(0).set(at)
            matches()
            place()
            return
        cursor = self.registers.take("i32")
        f.get(p).set(cursor).i32(0).set(at)
        with f.block() as out, f.loop() as again:
            f.get(cursor).load().set(value)
            matches()
            f.get(value).op("v128.any_true").br_if(out)
            f.advance(cursor, 16).get(at).plus(4).tee(at)
            f.i32(size - 3).op("i32.lt_s").br_if(again)
            # The last vector overlaps the one before, in which nothing matched.
            f.i32(size - 4).set(at).get(p).load((size - 4) * 4).set(value)
            matches()
        place()
        self.registers.give(cursor)

    # --- another axis -----------------------------------------------------------------------------

    def other(self, x: Local, y: Local, scratch: Local, low: Local, high: Local) -> None:
        """Four neighbouring outputs at a time, in the order of memory."""
        f, arg, registers = self.f, self.arg, self.registers
        walker = BlockWalker(f, registers, arg.blocks)
        unit, source, out, state, p, q, place, at = registers.take_many(8, "i32")
        best, value, index, wins = registers.take_many(4, "v128")
        line = arg.inner * 4

        def onwards() -> None:
            f.advance(p, 16).advance(q, 16).advance(place, 16)

        def first(lanes: int) -> None:
            f.get(place).get(p).load().store().i32x4(0).set(index)
            store_bytes(f, q, index, 4 * lanes)
            onwards()

        def some(lines: int, lanes: int) -> None:
            f.get(place).load().set(best).get(q).load().set(index)
            for i in range(lines):
                f.get(p).load(i * line).tee(value).get(best)
                if self.float:
                    # Neither smaller nor equal: larger, or NaN; and the first NaN stays.
                    f.op("f32x4.le" if arg.largest else "f32x4.ge")
                    f.get(best).get(best).op("f32x4.ne").op("v128.or").op("v128.not").set(wins)
                else:
                    f.op("i32x4.gt_s" if arg.largest else "i32x4.lt_s").set(wins)
                self._choose(value, best, wins)
                f.set(best).get(at).plus(i).op("i32x4.splat").set(value)
                self._choose(value, index, wins)
                f.set(index)
            f.get(place).get(best).store()
            store_bytes(f, q, index, 4 * lanes)
            onwards()

        def rows(times: int, lines: int) -> None:
            with f.repeat(times):
                f.get(source).set(p).get(out).set(q).get(state).set(place)
                walker.across(lambda lanes: some(lines, lanes))
                f.advance(source, lines * line).advance(at, lines)

        with f.range(unit, low, high):
            walker.locate(unit)
            f.get(x).get(walker.start).op("i32.add").tee(source).set(p)
            f.get(scratch).get(walker.vector).times(16).op("i32.add").tee(state).set(place)
            # The outputs lie as the elements of one line do.
            f.get(unit).i32(arg.blocks.blocks).op("i32.div_u").set(at)
            f.get(walker.vector).get(at).times(arg.blocks.vectors).op("i32.sub").times(16)
            f.get(at).times(line).op("i32.add").get(y).op("i32.add").tee(out).set(q)
            walker.across(first)
            f.advance(source, line).i32(1).set(at)
            rows((arg.size - 1) // GROUP, GROUP)
            rows((arg.size - 1) % GROUP, 1)

    def _choose(self, a: Local, b: Local, mask: Local) -> None:
        """Push a where the mask is set, else b."""
        self.f.get(a).get(b).get(mask)
        self.f.op("i32x4.relaxed_laneselect" if self.f.relaxed_simd else "v128.bitselect")

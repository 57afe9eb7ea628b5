"""cumsum, cumprod, cummax and cummin along one axis.

A vector holds an element of each of four rows. Along the last axis blocks are turned for that;
along another axis rows are neighbours, and memory is walked as it lies, with the totals so far in
memory. Sums and products of float32 are kept in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.column_blocks import BlockWalker, ColumnBlocks
from fanlight.codegen.wasm.kernels.vectors import Registers, shuffle, store_bytes, transpose4
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

BLOCK = 512  # vectors of neighbouring rows per unit of work
_OPS = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min"}
_LEAST = {"cummax": (-(2**31), -inf), "cummin": (2**31 - 1, inf)}


@dataclass(frozen=True)
class Scan:
    """A scan along the middle of [outer, size, inner]."""

    op: str
    dtype: str
    outer: int
    size: int
    inner: int
    reverse: bool
    exclusive: bool

    @property
    def blocks(self) -> ColumnBlocks:
        return ColumnBlocks(self.outer, self.size, self.inner, BLOCK)

    @property
    def units(self) -> int:
        return self.outer if self.inner == 1 else self.blocks.units

    @property
    def scratch(self) -> int:
        """The totals so far of every row."""
        each = 32 if self.wide else 16
        return 0 if self.inner == 1 else self.outer * self.blocks.vectors * each

    @property
    def wide(self) -> bool:
        """Whether the total is kept in float64."""
        return self.dtype == "float32" and self.op in ("cumsum", "cumprod")

    @property
    def nothing(self) -> float:
        """The scan of no elements."""
        if self.op in _LEAST:
            return _LEAST[self.op][self.dtype == "float32"]
        return float(self.op == "cumprod")


@register(*_OPS)
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a scan node."""
    x = node.inputs[0].type
    axis = node.attrs["axis"] % x.rank
    scan = Scan(
        node.op,
        x.dtype,
        prod(x.bound[:axis]),
        x.bound[axis],
        prod(x.bound[axis + 1 :]),
        node.attrs["reverse"],
        node.attrs.get("exclusive", False),
    )

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (4 if scan.inner == 1 else 5))
        (_rows if scan.inner == 1 else _columns)(f, scan, *f.params)

    return Kernel(
        f"{scan}",
        emit,
        scan.units,
        scratch=scan.scratch,
        flops=x.size,
        bytes=node_bytes(node),
    )


class _Totals:
    """The totals so far of four rows: one vector, or two of float64."""

    def __init__(self, f: Function, scan: Scan, registers: Registers) -> None:
        self.f = f
        self.scan = scan
        self.vectors = registers.take_many(2 if scan.wide else 1, "v128")
        self._swapped, self._result = registers.take_many(2, "v128")

    @property
    def bytes(self) -> int:
        """In memory."""
        return 16 * len(self.vectors)

    def push_nothing(self) -> Function:
        """Push a vector of the total of no elements."""
        nothing = self.scan.nothing
        if self.scan.wide:
            return self.f.f64(nothing).op("f64x2.splat")
        is_float = self.scan.dtype == "float32"
        return self.f.f32x4(nothing) if is_float else self.f.i32x4(int(nothing))

    def add(self, value: Local) -> None:
        """Four elements, one for each row."""
        f, scan, op = self.f, self.scan, _OPS[self.scan.op]
        total = self.vectors[0]
        if scan.wide:
            shuffle(f.get(value).get(value), 2, 3, 0, 1).set(self._swapped)
            for total, half in zip(self.vectors, (value, self._swapped), strict=True):
                f.get(total).get(half).op("f64x2.promote_low_f32x4").op(f"f64x2.{op}").set(total)
        elif scan.dtype == "int32":
            f.get(total).get(value).op(f"i32x4.{op}{'_s' if scan.op in _LEAST else ''}").set(total)
        else:
            # As in reductions: pmax keeps a NaN of the total, and one of the value is all bits.
            f.get(total).get(value).op(f"f32x4.p{op}")
            f.get(value).get(value).op("f32x4.ne").op("v128.or").set(total)

    def push(self) -> Function:
        """Push the four totals as elements."""
        f = self.f
        if not self.scan.wide:
            return f.get(self.vectors[0])
        for total in self.vectors:
            f.get(total).op("f32x4.demote_f64x2_zero")
        return shuffle(f, 0, 1, 4, 5)

    def step(self, value: Local) -> None:
        """Four elements become their four results."""
        if self.scan.exclusive:
            # The element is needed after its result.
            self.push().set(self._result)
            self.add(value)
            self.f.get(self._result).set(value)
        else:
            self.add(value)
            self.push().set(value)


def _rows(f: Function, scan: Scan, x: Local, y: Local, low: Local, high: Local) -> None:
    """The last axis: four rows at a time, turned so that a vector holds an element of each."""
    registers = Registers(f)
    unit, p, q, stop = registers.take_many(4, "i32")
    values, spare = registers.take_many(4, "v128"), registers.take_many(4, "v128")
    totals = _Totals(f, scan, registers)
    line, (blocks, tail) = scan.size * 4, divmod(scan.size, 4)
    step = -4 if scan.reverse else 4

    def begin() -> None:
        for total in totals.vectors:
            totals.push_nothing().set(total)

    def block() -> None:
        """Four elements of each of four rows."""
        for row, v in enumerate(values):
            f.get(p).load(row * line).set(v)
        turned = transpose4(f, values, spare)
        for v in reversed(turned) if scan.reverse else turned:
            totals.step(v)
        for row, v in enumerate(transpose4(f, turned, spare)):
            f.get(q).get(v).store(row * line)

    def element(rows: int) -> None:
        """One element of each of some rows."""
        v = values[0]
        f.get(p).op("v128.load32_zero").set(v)
        for row in range(1, rows):
            f.get(p).get(v).op("v128.load32_lane", row * line, row).set(v)
        totals.step(v)
        for row in range(rows):
            f.get(q).get(v).op("v128.store32_lane", row * line, row)

    def elements(count: int, rows: int) -> None:
        with f.repeat(count):
            element(rows)
            f.advance(p, step).advance(q, step)

    def start(offset: int) -> None:
        for base, pointer in ((x, p), (y, q)):
            f.address(base, unit, line).plus(offset if scan.reverse else 0).set(pointer)
        begin()

    # Whole fours of rows from `low` on, then the others.
    f.get(high).get(low).op("i32.sub").i32(-4).op("i32.and").get(low).op("i32.add").set(stop)
    with f.range(unit, low, stop, 4):
        # A block begins at its lowest element, which is the last of it where the scan goes back.
        start(line - 16)
        with f.repeat(blocks):
            block()
            f.advance(p, 4 * step).advance(q, 4 * step)
        if scan.reverse and tail:
            f.advance(p, 12).advance(q, 12)
        elements(tail, 4)
    with f.range(unit, stop, high):
        start(line - 4)
        elements(scan.size, 1)


def _columns(
    f: Function, scan: Scan, x: Local, y: Local, scratch: Local, low: Local, high: Local
) -> None:
    """Another axis: blocks of neighbouring rows, in the order of memory."""
    registers = Registers(f)
    walker = BlockWalker(f, registers, scan.blocks)
    unit, p, q, source, out, state, place = registers.take_many(7, "i32")
    value = registers.take("v128")
    totals = _Totals(f, scan, registers)
    line = scan.inner * 4
    step = -line if scan.reverse else line

    def clear(lanes: int) -> None:
        for i in range(len(totals.vectors)):
            f.get(place)
            totals.push_nothing().store(16 * i)
        f.advance(place, totals.bytes)

    def one(lanes: int) -> None:
        """A vector of a line of memory."""
        for i, total in enumerate(totals.vectors):
            f.get(place).load(16 * i).set(total)
        f.get(p).load().set(value)
        totals.step(value)
        store_bytes(f, q, value, 4 * lanes)
        for i, total in enumerate(totals.vectors):
            f.get(place).get(total).store(16 * i)
        f.advance(place, totals.bytes).advance(p, 16).advance(q, 16)

    with f.range(unit, low, high):
        walker.locate(unit)
        f.get(walker.start).plus((scan.size - 1) * line if scan.reverse else 0).tee(source)
        f.get(y).op("i32.add").set(out)
        f.get(source).get(x).op("i32.add").set(source)
        f.get(scratch).get(walker.vector).times(totals.bytes).op("i32.add").tee(state).set(place)
        walker.across(clear)
        with f.repeat(scan.size):
            f.get(source).set(p).get(out).set(q).get(state).set(place)
            walker.across(one)
            f.advance(source, step).advance(out, step)

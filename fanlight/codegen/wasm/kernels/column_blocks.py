"""Walking a tensor [outer, size, inner] as it lies, where something is computed along `size`.

A unit of work is a block of neighbouring columns: of each line of memory a part that is long enough
for the processor to fetch ahead. What a column has come to so far is a vector of state per four
columns, which fits the nearest cache for a block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers


@dataclass(frozen=True)
class ColumnBlocks:
    """How the columns of [outer, size, inner] are split; `block` vectors of four to a unit."""

    outer: int
    size: int
    inner: int
    block: int

    @property
    def vectors(self) -> int:
        """Per outer index."""
        return -(-self.inner // 4)

    @property
    def rest(self) -> int:
        """Columns of the last vector, 0 if it is whole."""
        return self.inner % 4

    @property
    def blocks(self) -> int:
        """Units per outer index."""
        return -(-self.vectors // self.block)

    @property
    def units(self) -> int:
        return self.outer * self.blocks


class BlockWalker:
    """The code that finds a block's place and goes over it.

    Attributes:
        start: byte offset in the tensor of the block's first element.
        vector: number of its first vector among all vectors of state.
    """

    def __init__(self, f: Function, registers: Registers, blocks: ColumnBlocks) -> None:
        self.f = f
        self.blocks = blocks
        self.start, self.vector = registers.take_many(2, "i32")
        self._count, self._left, self._at_edge = registers.take_many(3, "i32")

    def locate(self, unit: Local) -> None:
        """Set `start` and `vector` for a unit."""
        f, blocks, last = self.f, self.blocks, self.blocks.blocks - 1
        f.get(unit).i32(blocks.blocks).op("i32.div_u").set(self.start)
        f.get(unit).get(self.start).times(blocks.blocks).op("i32.sub").tee(self._left)
        f.i32(last).op("i32.eq").set(self._at_edge)
        f.i32(blocks.inner // 4 - last * blocks.block).i32(blocks.block)
        f.get(self._at_edge).select().set(self._count)
        f.get(self.start).times(blocks.vectors)
        f.get(self._left).times(blocks.block).op("i32.add").set(self.vector)
        f.get(self.start).times(blocks.size * blocks.inner * 4)
        f.get(self._left).times(16 * blocks.block).op("i32.add").set(self.start)

    def across(self, body: Callable[[int], None]) -> None:
        """`body(lanes)` for every vector of the block; it advances its own pointers."""
        f = self.f
        f.get(self._count).tee(self._left)
        with f.if_(), f.loop() as again:
            body(4)
            f.get(self._left).i32(1).op("i32.sub").tee(self._left).br_if(again)
        if self.blocks.rest:
            f.get(self._at_edge)
            with f.if_():
                body(self.blocks.rest)

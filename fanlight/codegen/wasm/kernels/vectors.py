"""Phrases that several kernels share: partial stores, runs of bytes, 4x4 transposition."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fanlight.codegen.wasm.assembler import Function, Local

# From here on memory.copy and memory.fill are as fast as v128 moves, and shorter (Chromium, x64).
LONG_RUN = 256


class Registers:
    """Locals of one function that successive pieces of code use again and again."""

    def __init__(self, f: Function) -> None:
        self.f = f
        self._free: dict[str, list[Local]] = {}

    def take(self, type: str) -> Local:
        """A local with an unknown value; give it back when its last use is emitted."""
        free = self._free.setdefault(type, [])
        return free.pop() if free else self.f.local(type)

    def take_many(self, count: int, type: str) -> list[Local]:
        return [self.take(type) for _ in range(count)]

    def give(self, *locals: Local) -> None:
        """Return locals to the pool."""
        for local in locals:
            self._free[local.type].append(local)


def store_bytes(f: Function, pointer: Local, value: Local, count: int, offset: int = 0) -> None:
    """Store the first `count` (0 .. 16) bytes of a vector; nothing beyond them is written."""
    if count == 16:
        f.get(pointer).get(value).store(offset)
        return
    done = 0
    for width, name in ((8, "64"), (4, "32"), (2, "16"), (1, "8")):
        if count - done >= width:
            f.get(pointer).get(value)
            f.op(f"v128.store{name}_lane", offset + done, done // width)
            done += width


def copy_run(f: Function, registers: Registers, target: Local, source: Local, count: int) -> None:
    """Copy `count` bytes, known now. The last vector overlaps the one before it if need be."""
    if count >= LONG_RUN:
        f.get(target).get(source).i32(count).op("memory.copy")
        return
    if count < 16:
        value = registers.take("v128")
        f.get(source).load().set(value)
        store_bytes(f, target, value, count)
        registers.give(value)
        return
    for at in (*range(0, count - 15, 16), *([count - 16] if count % 16 else [])):
        f.get(target).get(source).load(at).store(at)


def fill_run(f: Function, registers: Registers, target: Local, pattern: bytes, count: int) -> None:
    """Fill `count` bytes, known now, with a 16-byte pattern that starts at `target`."""
    if count >= LONG_RUN and len(set(pattern)) == 1:
        f.get(target).i32(pattern[0]).i32(count).op("memory.fill")
        return
    value = registers.take("v128")
    f.v128(pattern).set(value)
    whole = count // 16
    if whole > 8:
        cursor, left = registers.take("i32"), registers.take("i32")
        f.get(target).set(cursor).i32(whole // 4).set(left)
        with f.loop() as again:
            for at in range(0, 64, 16):
                f.get(cursor).get(value).store(at)
            f.advance(cursor, 64)
            f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        for at in range(0, whole % 4 * 16, 16):
            f.get(cursor).get(value).store(at)
        store_bytes(f, cursor, value, count % 16, whole % 4 * 16)
        registers.give(cursor, left)
    else:
        for at in range(0, whole * 16, 16):
            f.get(target).get(value).store(at)
        store_bytes(f, target, value, count % 16, whole * 16)
    registers.give(value)


def shuffle(f: Function, *lanes: int) -> Function:
    """i8x16.shuffle by 32-bit lanes: 0 .. 3 of the first operand, 4 .. 7 of the second."""
    return f.op("i8x16.shuffle", *(4 * lane + b for lane in lanes for b in range(4)))


def transpose4(f: Function, rows: Sequence[Local], spare: Sequence[Local]) -> list[Local]:
    """Transpose four vectors in place, with four spare locals."""
    a, b, c, d = rows
    s, t, u, v = spare
    shuffle(f.get(a).get(b), 0, 4, 1, 5).set(s)  # a0 b0 a1 b1
    shuffle(f.get(a).get(b), 2, 6, 3, 7).set(t)
    shuffle(f.get(c).get(d), 0, 4, 1, 5).set(u)
    shuffle(f.get(c).get(d), 2, 6, 3, 7).set(v)
    shuffle(f.get(s).get(u), 0, 1, 4, 5).set(a)
    shuffle(f.get(s).get(u), 2, 3, 6, 7).set(b)
    shuffle(f.get(t).get(v), 0, 1, 4, 5).set(c)
    shuffle(f.get(t).get(v), 2, 3, 6, 7).set(d)
    return [a, b, c, d]


_LOW = tuple(i // 2 + 16 * (i % 2) for i in range(16))
_HIGH = tuple(8 + i for i in _LOW)


def transpose8(f: Function, rows: Sequence[Local], spare: Sequence[Local]) -> list[Local]:
    """Eight vectors whose low halves are rows of 8 bytes -> four that hold two columns each.

    Interleaving, three times over: what is i places apart comes together, i = 4, 2, 1. The first
    four rows and four spare locals are written.
    """
    low, high = list(spare), list(rows[:4])
    for i in range(4):
        f.get(rows[i]).get(rows[i + 4]).op("i8x16.shuffle", *_LOW).set(low[i])
    # high[0], high[1]: columns 0 .. 3 of even and of odd rows; high[2], high[3]: columns 4 .. 7.
    for i in range(2):
        f.get(low[i]).get(low[i + 2]).op("i8x16.shuffle", *_LOW).set(high[i])
        f.get(low[i]).get(low[i + 2]).op("i8x16.shuffle", *_HIGH).set(high[i + 2])
    for i, (even, odd) in enumerate((high[:2], high[2:])):
        f.get(even).get(odd).op("i8x16.shuffle", *_LOW).set(low[2 * i])
        f.get(even).get(odd).op("i8x16.shuffle", *_HIGH).set(low[2 * i + 1])
    return low


def fold_lanes(
    f: Function, registers: Registers, value: Local, combine: Callable[[Local, Local], object]
) -> None:
    """Combine the four lanes of `value` into all of its lanes.

    `combine(a, b)` pushes the vector that combines two locals.
    """
    other = registers.take("v128")
    for lanes in ((2, 3, 0, 1), (1, 0, 3, 2)):
        shuffle(f.get(value).get(value), *lanes).set(other)
        combine(value, other)
        f.set(value)
    registers.give(other)

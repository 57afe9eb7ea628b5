"""Loop nests to WebAssembly: one emitter for everything elementwise, reducing and moving.

`loop_forms` says which form a nest takes; the code of the forms is here and in `loop_reduce`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.loop_bools import BoolReduceEmitter, DirectEmitter, is_direct
from fanlight.codegen.wasm.kernels.loop_bytes import BytesEmitter, PickEmitter
from fanlight.codegen.wasm.kernels.loop_forms import (
    GROUP,
    block_edge,
    crossing,
    form,
    of_bools,
    paired,
    pattern,
    picks,
    run,
    strip,
    transpose_dims,
    units,
)
from fanlight.codegen.wasm.kernels.loop_ir import Nest
from fanlight.codegen.wasm.kernels.loop_lanes import NestEmitter
from fanlight.codegen.wasm.kernels.loop_reduce import ReduceEmitter
from fanlight.codegen.wasm.kernels.vectors import (
    Registers,
    copy_run,
    fill_run,
    transpose4,
    transpose8,
)


def emit_nests(
    f: Function, nests: Sequence[Nest], pointers: Sequence[Local], low: Local, high: Local
) -> None:
    """Emit the share [low, high) of the units of several normalised nests, one after another."""
    registers = Registers(f)
    if len(nests) == 1:
        _emitter(f, registers, nests[0], pointers).emit(low, high)
        return
    begin, end = registers.take_many(2, "i32")
    start = 0
    for nest in nests:
        count = units(nest)
        _clamp(f, low, start, 0, "i32.gt_s", begin)
        _clamp(f, high, start, count, "i32.lt_s", end)
        f.get(begin).get(end).op("i32.lt_s")
        with f.if_():
            _emitter(f, registers, nest, pointers).emit(begin, end)
        start += count


def _emitter(
    f: Function, registers: Registers, nest: Nest, pointers: Sequence[Local]
) -> NestEmitter:
    kind = form(nest)
    classes: dict[str, Callable[..., NestEmitter]] = {
        "columns": BoolReduceEmitter if of_bools(nest) else ReduceEmitter,
        "rows": BoolReduceEmitter if of_bools(nest) else ReduceEmitter,
        "transpose": _Transpose,
        "bytes": PickEmitter if picks(nest) else DirectEmitter if is_direct(nest) else BytesEmitter,
    }
    return classes.get(kind, _Map)(f, registers, nest, pointers)


def _clamp(f: Function, bound: Local, start: int, limit: int, test: str, into: Local) -> None:
    f.get(bound).plus(-start).tee(into).i32(limit).get(into).i32(limit).op(test).select().set(into)


class _Map(NestEmitter):
    """The forms `map`, `copy` and `fill`."""

    def _emit(self, begin: Local, end: Local) -> None:
        nest = self.nest
        single, run = {
            "map": (self._map_range, self._map_run),
            "copy": (self._copy_range, self._copy_run),
            "fill": (self._fill_range, self._fill_run),
        }[form(nest)]
        group = GROUP if len(nest.sizes) == 1 else 1
        steps = [a.strides[0] * group for a in nest.accesses]
        walkers = self._pointers(nest.accesses, begin, steps)
        if len(nest.sizes) == 1:
            single(walkers, begin, end)
        elif paired(nest):
            dims = range(len(nest.sizes) - 2)
            self._loops(nest, dims, walkers, (begin, end), lambda: self._pairs(walkers))
        else:
            dims = range(len(nest.sizes) - 1)
            self._loops(nest, dims, walkers, (begin, end), lambda: run(walkers))
        self.registers.give(*walkers)

    # --- copy and fill --------------------------------------------------------------------------

    def _copy_range(self, walkers: Sequence[Local], begin: Local, end: Local) -> None:
        self.f.get(walkers[1]).get(walkers[0])
        self._length(begin, end).op("memory.copy")

    def _copy_run(self, walkers: Sequence[Local]) -> None:
        count = self.nest.sizes[-1] * self.nest.store.width
        copy_run(self.f, self.registers, walkers[1], walkers[0], count)

    def _pairs(self, walkers: Sequence[Local]) -> None:
        """The last two loops, runs of 8 bytes, two of them to a vector on the side that has them
        one after the other.
        """
        f, nest = self.f, self.nest
        pairs, single = divmod(nest.sizes[-2], 2)
        source, store = (a.strides[-2] * a.width for a in nest.accesses)
        value = self.registers.take("v128")
        from_, to = cursors = self._cursors(walkers)

        def put(half: int) -> None:
            f.get(to).get(value).op("v128.store64_lane", 0, half).advance(to, store)

        with f.repeat(pairs):
            if source == 8:
                f.get(from_).load().set(value).advance(from_, 16)
            else:
                f.get(from_).op("v128.load64_zero").set(value).advance(from_, source)
                f.get(from_).get(value).op("v128.load64_lane", 0, 1).set(value)
                f.advance(from_, source)
            if store == 8:
                f.get(to).get(value).store().advance(to, 16)
            else:
                put(0)
                put(1)
        if single:
            f.get(from_).op("v128.load64_zero").set(value)
            put(0)
        self.registers.give(value, *cursors)

    def _fill_range(self, walkers: Sequence[Local], begin: Local, end: Local) -> None:
        self.f.get(walkers[0]).i32(pattern(self.nest)[0])
        self._length(begin, end).op("memory.fill")

    def _fill_run(self, walkers: Sequence[Local]) -> None:
        count = self.nest.sizes[-1] * self.nest.store.width
        fill_run(self.f, self.registers, walkers[0], pattern(self.nest), count)

    def _length(self, begin: Local, end: Local) -> Function:
        """Push the number of bytes of a range of groups."""
        f = self._stop(end)
        return f.get(begin).times(GROUP).op("i32.sub").times(self.nest.store.width)

    # --- map --------------------------------------------------------------------------------------

    def _map_run(self, walkers: Sequence[Local]) -> None:
        """The last loop, of a size known now; the pointers stay."""
        f, nest = self.f, self.nest
        vectors, tail = divmod(nest.sizes[-1], 4)
        unroll = self._unroll()
        held = self._hold(walkers)
        merged = self._merges(tail) and vectors > 0
        if merged:
            vectors += 1
        straight = 1 if unroll == 1 else 2 * unroll
        rounds = vectors // unroll if vectors > straight else 0
        cursors, rest = walkers, vectors - rounds * unroll
        if rounds:
            cursors = self._cursors(walkers)
            left = self.registers.take("i32")
            f.i32(rounds).set(left)
            with f.loop() as again:
                self._vectors(cursors, held, unroll, (left, 1) if merged else None)
                self._onwards(cursors, 4 * unroll)
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
            self.registers.give(left)
        for index in range(rest):
            self._vector(cursors, held, 4 * index, 4)
        if tail and not merged:
            self._vector(cursors, held, 4 * rest, tail)
        if rounds:
            self.registers.give(*cursors)
        self.registers.give(*held.values())

    def _map_range(self, walkers: Sequence[Local], begin: Local, end: Local) -> None:
        """The only loop: groups [begin, end); the pointers move."""
        f, size = self.f, self.nest.sizes[0]
        unroll = self._unroll()
        step = 4 * unroll
        held = self._hold(walkers)
        merged = self._merges(size % 4)
        left, last = self.registers.take_many(2, "i32")
        self._stop(end).get(begin).times(GROUP).op("i32.sub")
        f.plus(step - 1 if merged else 0).i32(step.bit_length() - 1).op("i32.shr_s").set(left)
        clipped = size % GROUP != 0
        if clipped:
            f.get(end).times(GROUP).i32(size).op("i32.gt_s").set(last)
        with f.block() as done:
            f.get(left).i32(0).op("i32.le_s").br_if(done)
            with f.loop() as again:
                self._vectors(walkers, held, unroll, (left, last) if merged else None)
                self._onwards(walkers, step)
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        rest, tail = divmod(size % step, 4)
        if not merged and (rest or tail):
            f.get(last)
            with f.if_():
                for index in range(rest):
                    self._vector(walkers, held, 4 * index, 4)
                if tail:
                    self._vector(walkers, held, 4 * rest, tail)
        self.registers.give(left, last, *held.values())

    def _merges(self, tail: int) -> bool:
        """Whether the last, partial vector shares the code of the whole ones."""
        steps = [a.strides[-1] for a in self.nest.loads]
        plain = self.nest.store.strides[-1] == 1 and all(s in (0, 1) for s in steps)
        return tail != 0 and plain and self._unroll() == 1

    def _vectors(
        self,
        cursors: Sequence[Local],
        held: dict[int, Local],
        count: int,
        partial: tuple[Local, Local | int] | None,
    ) -> None:
        """`count` whole vectors; with `partial`, the round with left == number stores the tail."""
        for index in range(count):
            self._vector(cursors, held, 4 * index, 4, partial)

    def _vector(
        self,
        cursors: Sequence[Local],
        held: dict[int, Local],
        index: int,
        lanes: int,
        partial: tuple[Local, Local | int] | None = None,
    ) -> None:
        """One vector from element `index` after the cursors, of which `lanes` are stored."""
        f, nest = self.f, self.nest
        value, taken = self._body(cursors, held, index, lanes, -1)
        if partial is None:
            self._put(nest.store, nest.store.strides[-1], cursors[-1], value, index, lanes)
        else:
            self._narrow(nest.store, value)
            f.get(partial[0]).value(partial[1]).op("i32.eq")
            with f.if_():
                self._put_bytes(cursors[-1], value, index, nest.sizes[-1] % 4)
                f.else_()
                self._put_bytes(cursors[-1], value, index, 4)
        self.registers.give(value, *taken)


class _Transpose(NestEmitter):
    """The form `transpose`."""

    def _emit(self, begin: Local, end: Local) -> None:
        """Strips of the crossing loop; in each, along the last loop, square blocks.

        Edges that are no multiple of a block are covered by blocks that overlap their neighbours.
        """
        f, nest = self.f, self.nest
        source, store = nest.loads[0], nest.store
        outer, across = transpose_dims(nest)
        d = crossing(nest)
        assert d is not None
        last, edge, width = nest.sizes[-1], block_edge(nest), store.width
        wide, long = strip(nest, across), run(nest)
        strips = -(-across // wide)
        first = outer[0] if outer else None
        steps = [a.strides[first] if first is not None else 0 for a in nest.accesses]
        walkers = self._pointers(nest.accesses, begin, steps)
        at, along, left = self.registers.take_many(3, "i32")
        from_, to = self.registers.take_many(2, "i32")
        values, spare = self.registers.take_many(edge, "v128"), self.registers.take_many(4, "v128")
        down, right = edge * source.strides[-1] * width, edge * store.strides[d] * width

        def one_strip() -> None:
            """The strip number `at`."""
            place = self.registers.take("i32")
            # Blocks at the edge are moved back inside.
            f.get(at).times(wide)
            _least(f, place, across - wide, across % wide != 0)
            f.set(place)
            with f.range(along, 0, last, long):
                for p, a, into in zip(walkers, nest.accesses, (from_, to), strict=True):
                    f.get(p).get(place).times(a.strides[d] * width).op("i32.add").get(along)
                    _least(f, left, last - long, last % long != 0)
                    f.times(a.strides[-1] * width).op("i32.add").set(into)
                # Finishing a line of the output before the next one keeps few lines half written.
                with f.repeat(wide // edge):
                    with f.repeat(long // edge):
                        self._block(from_, to, values, spare, store.strides[d] * width)
                        f.advance(from_, down).advance(to, edge * width)
                    f.advance(from_, edge * width - long // edge * down)
                    f.advance(to, right - long * width)
            self.registers.give(place)

        if outer:

            def leaf() -> None:
                with f.range(at, 0, strips):
                    one_strip()

            self._loops(nest, outer, walkers, (begin, end), leaf)
        else:
            with f.range(at, begin, end):
                one_strip()
        self.registers.give(at, along, left, from_, to, *values, *spare, *walkers)

    def _block(
        self, from_: Local, to: Local, values: Sequence[Local], spare: Sequence[Local], line: int
    ) -> None:
        """One block; lines of the output are `line` bytes apart."""
        f, step = self.f, self.nest.loads[0].strides[-1] * self.nest.store.width
        if self.nest.store.width == 4:
            for i, v in enumerate(values):
                f.get(from_).load(i * step).set(v)
            for i, v in enumerate(transpose4(f, values, spare)):
                f.get(to).get(v).store(i * line)
            return
        for i, v in enumerate(values):
            f.get(from_).op("v128.load64_zero", i * step).set(v)
        for i, v in enumerate(transpose8(f, values, spare)):
            for half in range(2):
                f.get(to).get(v).op("v128.store64_lane", (2 * i + half) * line, half)


def _least(f: Function, spare: Local, limit: int, needed: bool) -> None:
    """Replace the i32 on the stack by the smaller of it and `limit`."""
    if needed:
        f.tee(spare).i32(limit).get(spare).i32(limit).op("i32.lt_s").select()

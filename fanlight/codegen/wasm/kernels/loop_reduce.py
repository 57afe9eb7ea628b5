"""Reductions: the last loops of a nest folded into one value per output."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.loop_forms import BLOCK, form, wide
from fanlight.codegen.wasm.kernels.loop_lanes import NestEmitter
from fanlight.codegen.wasm.kernels.vectors import fold_lanes, store_bytes
from fanlight.ops import scalar as sc

GROUPED = 8  # rows of wide columns between a load and a store of the results so far
# A sum of so many vectors per accumulator is taken in parts of so many.
LONG, PART = 128, 16


class ReduceEmitter(NestEmitter):
    """The forms `columns` and `rows`."""

    per = 4  # elements of a vector

    def _emit(self, begin: Local, end: Local) -> None:
        nest, kind = self.nest, form(self.nest)
        assert nest.reduce is not None
        kept = len(nest.sizes) - nest.reduce.dims
        if kind == "rows":
            steps = [a.strides[0] if kept else 0 for a in nest.accesses]
            walkers = self._pointers(nest.accesses, begin, steps)
            self._loops(nest, range(kept), walkers, (begin, end), lambda: self._row(walkers))
        elif kept > 1 and wide(nest):
            walkers = self._pointers(nest.accesses, begin, [a.strides[0] for a in nest.accesses])
            count = self.registers.take("i32")
            self.f.i32(nest.sizes[kept - 1] // self.per).set(count)
            tail = nest.sizes[kept - 1] % self.per
            self._loops(
                nest,
                range(kept - 1),
                walkers,
                (begin, end),
                lambda: self._wide(walkers, count, tail, None),
            )
            self.registers.give(count)
        elif kept > 1:
            walkers = self._pointers(nest.accesses, begin, [a.strides[0] for a in nest.accesses])
            self._loops(
                nest, range(kept - 1), walkers, (begin, end), lambda: self._columns(walkers)
            )
        elif wide(nest):
            walkers = self._wide_range(begin, end)
        else:
            walkers = self._column_range(begin, end)
        self.registers.give(*walkers)

    def _column_range(self, begin: Local, end: Local) -> list[Local]:
        """Blocks of a lone kept loop: [begin, end)."""
        f, nest = self.f, self.nest
        steps = [a.strides[0] * BLOCK for a in nest.accesses]
        walkers = self._pointers(nest.accesses, begin, steps)
        at = self.registers.take("i32")
        whole, rest = divmod(nest.sizes[0], BLOCK)
        with f.range(at, begin, end):
            if whole and rest:
                f.get(at).i32(whole).op("i32.lt_s")
                with f.if_():
                    self._column_block(walkers, BLOCK)
                    f.else_()
                    self._column_block(walkers, rest)
            else:
                self._column_block(walkers, BLOCK if whole else rest)
            for p, a, step in zip(walkers, nest.accesses, steps, strict=True):
                f.advance(p, step * a.width)
        self.registers.give(at)
        return walkers

    # --- wide columns ---------------------------------------------------------------------------

    def _wide_range(self, begin: Local, end: Local) -> list[Local]:
        """Blocks of a lone kept loop: [begin, end), all of them together."""
        f, nest = self.f, self.nest
        walkers = self._pointers(
            nest.accesses, begin, [a.strides[0] * BLOCK for a in nest.accesses]
        )
        whole, tail = divmod(nest.sizes[0], self.per)
        count, at_end = self.registers.take_many(2, "i32")
        f.get(end).i32(-(-nest.sizes[0] // BLOCK)).op("i32.eq").set(at_end)
        f.i32(whole).get(end).times(BLOCK // self.per).get(at_end).select()
        f.get(begin).times(BLOCK // self.per).op("i32.sub").set(count)
        f.get(begin).get(end).op("i32.lt_s")
        with f.if_():
            self._wide(walkers, count, tail, at_end)
        self.registers.give(count, at_end)
        return walkers

    def _wide(
        self, walkers: Sequence[Local], count: Local, tail: int, at_end: Local | None
    ) -> None:
        """`count` vectors of outputs, and `tail` more elements (where `at_end` says so): rows of
        the input one after the other, a few of them between a load and a store of the output.
        """
        f, nest, registers = self.f, self.nest, self.registers
        assert nest.reduce is not None
        kept = len(nest.sizes) - nest.reduce.dims
        steps = [a.strides[kept - 1] for a in nest.accesses]
        last = nest.sizes[-1]
        acc, new = registers.take_many(2, "v128")
        left = registers.take("i32")

        def across(body: Callable[[Sequence[Local], int], None], rows: Sequence[Local]) -> None:
            """`body(cursors, lanes)` for every vector of outputs."""
            cursors = registers.take_many(len(rows) + 1, "i32")
            for cursor, p in zip(cursors, (*rows, walkers[-1]), strict=True):
                f.get(p).set(cursor)
            f.get(count).set(left)
            moved = [*(s for s, _ in zip(steps, rows, strict=False)), 1]
            with f.block() as done, f.loop() as again:
                f.get(left).op("i32.eqz").br_if(done)
                body(cursors, self.per)
                for cursor, step in zip(cursors, moved, strict=True):
                    f.advance(cursor, 16 * step)
                f.get(left).i32(1).op("i32.sub").set(left).br(again)
            if tail and at_end is not None:
                f.get(at_end)
                with f.if_():
                    body(cursors, tail)
            elif tail:
                body(cursors, tail)
            registers.give(*cursors)

        def clear(cursors: Sequence[Local], lanes: int) -> None:
            self._identity().set(acc)
            store_bytes(f, cursors[-1], acc, nest.store.width * lanes)

        def take(rows: int) -> Callable[[Sequence[Local], int], None]:
            def body(cursors: Sequence[Local], lanes: int) -> None:
                for row in range(rows):
                    into = new if row else acc
                    self._row_element(cursors, steps, row).set(into)
                    if row:
                        self._combine(acc, new).set(acc)
                f.get(cursors[-1]).load().set(new)
                self._combine(new, acc).set(acc)
                store_bytes(f, cursors[-1], acc, nest.store.width * lanes)

            return body

        def finish(cursors: Sequence[Local], lanes: int) -> None:
            f.get(cursors[-1]).load().set(acc)
            self._finish(cursors[-1], 1, acc, 0, lanes)

        def lines() -> None:
            """The innermost reduced loop; the readers return."""
            together = min(GROUPED, last)
            for times, rows in ((last // together, together), (1, last % together)):
                with f.repeat(times if rows else 0):
                    across(take(rows), readers)
                    for p, a in zip(readers, nest.loads, strict=True):
                        f.advance(p, a.strides[-1] * rows * a.width)
            for p, a in zip(readers, nest.loads, strict=True):
                f.advance(p, -a.strides[-1] * last * a.width)

        across(clear, ())
        readers = self._cursors(walkers[:-1])
        self._loops(nest, range(kept, len(nest.sizes) - 1), readers, None, lines)
        if nest.reduce.after is not sc.arg(0):
            across(finish, ())
        registers.give(acc, new, left, *readers)

    def _row_element(self, cursors: Sequence[Local], steps: Sequence[int], row: int) -> Function:
        """Push the body of a vector of the row that lies some reduced steps after the cursors."""
        nest, registers = self.nest, self.registers
        args = registers.take_many(len(nest.loads), "v128")
        for a, v, p, step in zip(nest.loads, args, cursors, steps, strict=False):
            self._fetch(a, step, p, beyond=row * a.strides[-1]).set(v)
        f = self._compute(nest.body, self.dtypes, args)
        registers.give(*args)
        return f

    # --- narrow columns ---------------------------------------------------------------------------

    def _columns(self, walkers: Sequence[Local]) -> None:
        """All blocks of the last kept loop; the pointers stay."""
        nest = self.nest
        assert nest.reduce is not None
        dim = len(nest.sizes) - nest.reduce.dims - 1
        whole, rest = divmod(nest.sizes[dim], BLOCK)
        cursors = self._cursors(walkers)
        with self.f.repeat(whole):
            self._column_block(cursors, BLOCK)
            for p, a in zip(cursors, nest.accesses, strict=True):
                self.f.advance(p, a.strides[dim] * BLOCK * a.width)
        if rest:
            self._column_block(cursors, rest)
        self.registers.give(*cursors)

    def _column_block(self, walkers: Sequence[Local], outputs: int) -> None:
        """Up to BLOCK neighbouring outputs, a lane each."""
        nest = self.nest
        assert nest.reduce is not None
        kept = len(nest.sizes) - nest.reduce.dims
        sums = self.registers.take_many(-(-outputs // 4), "v128")
        held = [self._still(walkers, kept, 4 * i) for i in range(len(sums))]

        def leaf(readers: Sequence[Local], into: Sequence[Local]) -> None:
            for i, acc in enumerate(into):
                value, taken = self._body(readers, held[i], 4 * i, 4, kept - 1)
                self._combine(acc, value).set(acc)
                self.registers.give(value, *taken)

        self._fold_loops(walkers, sums, range(kept, len(nest.sizes)), leaf)
        for i, acc in enumerate(sums):
            self._finish(
                walkers[-1], nest.store.strides[kept - 1], acc, 4 * i, min(4, outputs - 4 * i)
            )
        self.registers.give(*sums, *(v for group in held for v in group.values()))

    def _still(self, walkers: Sequence[Local], kept: int, index: int) -> dict[int, Local]:
        """Operands that no reduced loop moves, loaded once: operand -> vector."""
        held = {}
        for i, a in enumerate(self.nest.loads):
            if not any(a.strides[kept:]):
                held[i] = self.registers.take("v128")
                self._fetch(a, a.strides[kept - 1], walkers[i], index).set(held[i])
        return held

    def _row(self, walkers: Sequence[Local]) -> None:
        """One output: lanes are partial results."""
        f, nest = self.f, self.nest
        assert nest.reduce is not None
        kept = len(nest.sizes) - nest.reduce.dims
        vectors, tail = divmod(nest.sizes[-1], 4)
        unroll = min(self._unroll(), 4 if vectors >= 8 else 2 if vectors >= 4 else 1)
        sums = self.registers.take_many(unroll, "v128")
        rounds = vectors // unroll if vectors > 2 * unroll else 0
        rest = vectors - rounds * unroll

        def leaf(readers: Sequence[Local], into: Sequence[Local]) -> None:
            cursors = self._cursors(readers) if rounds else readers

            def turn(accumulators: Sequence[Local]) -> None:
                for i, acc in enumerate(accumulators):
                    self._accumulate(cursors, acc, 4 * i, 4)
                self._onwards(cursors, 4 * unroll)

            if rounds:
                self._in_parts(rounds, into, turn)
            for i in range(rest):
                self._accumulate(cursors, into[i % unroll], 4 * i, 4)
            if tail:
                self._accumulate(cursors, into[0], 4 * rest, tail)
            if rounds:
                self.registers.give(*cursors)

        self._fold_loops(walkers, sums, range(kept, len(nest.sizes) - 1), leaf)
        while len(sums) > 1:
            half = len(sums) // 2
            for a, b in zip(sums[:half], sums[half:], strict=True):
                self._combine(a, b).set(a)
                self.registers.give(b)
            sums = sums[:half]
        fold_lanes(f, self.registers, sums[0], self._combine)
        self._finish(walkers[-1], 1, sums[0], 0, 1)
        self.registers.give(*sums)

    def _accumulate(self, cursors: Sequence[Local], acc: Local, index: int, lanes: int) -> None:
        """acc = combine(acc, body of the vector at `index`), without its lanes from `lanes` on."""
        f = self.f
        value, taken = self._body(cursors, {}, index, lanes, -1)
        if lanes < 4:
            f.get(value)
            self._identity()
            f.i32x4(*(-1 if lane < lanes else 0 for lane in range(4)))
            f.op("v128.bitselect").set(value)
        self._combine(acc, value).set(acc)
        self.registers.give(value, *taken)

    def _fold_loops(
        self,
        walkers: Sequence[Local],
        sums: Sequence[Local],
        dims: Sequence[int],
        leaf: Callable[[Sequence[Local], Sequence[Local]], None],
    ) -> None:
        """Start `sums` with the identity and run `leaf(readers, accumulators)` over loops.

        Sums over several loops are kept in two levels, which halves the digits lost to rounding.
        """
        f, nest = self.f, self.nest
        assert nest.reduce is not None
        for acc in sums:
            self._identity().set(acc)
        rows = form(nest) == "rows"
        levels = len(dims) + (1 if rows else 0)
        two = nest.reduce.combine.op == "add" and levels > 1
        inner = self.registers.take_many(len(sums), "v128") if two else list(sums)
        lost = self._lost(len(sums)) if two and self._sums_floats() else []
        readers = self._cursors(walkers[:-1])

        def column(accumulators: Sequence[Local]) -> None:
            leaf(readers, accumulators)
            for p, a in zip(readers, nest.loads, strict=True):
                f.advance(p, a.strides[dims[0]] * a.width)

        def block() -> None:
            if not rows and len(dims) == 1:
                self._in_parts(nest.sizes[dims[0]], sums, column)
                return
            if not two:
                self._loops(nest, dims, readers, None, lambda: leaf(readers, sums))
                return
            for acc in inner:
                self._identity().set(acc)
            if rows:
                leaf(readers, inner)
            else:
                self._loops(nest, dims[-1:], readers, None, lambda: leaf(readers, inner))
                for p, a in zip(readers, nest.loads, strict=True):
                    f.advance(p, -a.strides[dims[-1]] * nest.sizes[dims[-1]] * a.width)
            if lost:
                self._add_parts(sums, inner, lost)
                return
            for acc, part in zip(sums, inner, strict=True):
                self._combine(acc, part).set(acc)

        if two:
            self._loops(nest, dims if rows else dims[:-1], readers, None, block)
            self.registers.give(*inner, *lost)
        else:
            block()
        self.registers.give(*readers)

    def _in_parts(
        self, count: int, sums: Sequence[Local], turn: Callable[[Sequence[Local]], None]
    ) -> None:
        """`turn(accumulators)` so many times; many floats are summed part by part."""
        f = self.f
        parts = count // PART if self._sums_floats() and count >= LONG else 0
        if parts:
            inner = self.registers.take_many(len(sums), "v128")
            lost = self._lost(len(sums))
            with f.repeat(parts):
                for acc in inner:
                    self._identity().set(acc)
                with f.repeat(PART):
                    turn(inner)
                self._add_parts(sums, inner, lost)
            self.registers.give(*inner, *lost)
        with f.repeat(count - parts * PART):
            turn(sums)

    def _sums_floats(self) -> bool:
        assert self.nest.reduce is not None
        return self.nest.reduce.combine.op == "add" and self._result_dtype() == "float32"

    def _lost(self, count: int) -> list[Local]:
        """What parts have lost, as they were added: nothing yet."""
        lost = self.registers.take_many(count, "v128")
        for c in lost:
            self.f.f32x4(0.0).set(c)
        return lost

    def _add_parts(
        self, sums: Sequence[Local], parts: Sequence[Local], lost: Sequence[Local]
    ) -> None:
        """Add parts of sums to the whole ones, and what was lost with the parts before.

        Kahan 1965; without it equal numbers lose the same digit every time.
        """
        f = self.f
        before, part = self.registers.take("v128"), self.registers.take("v128")
        for total, some, c in zip(sums, parts, lost, strict=True):
            f.get(some).get(c).op("f32x4.sub").set(part)
            f.get(total).tee(before).get(part).op("f32x4.add").tee(total)
            f.get(before).op("f32x4.sub").get(part).op("f32x4.sub").tee(c)
            # Infinity less infinity is nothing that was lost.
            f.get(c).get(c).op("f32x4.eq").op("v128.and").set(c)
        self.registers.give(before, part)

    def _result_dtype(self) -> str:
        return sc.infer(self.nest.body, self.dtypes)

    def _combine(self, a: Local, b: Local) -> Function:
        assert self.nest.reduce is not None
        dtype = self._result_dtype()
        op = self.nest.reduce.combine.op
        if op in ("max", "min") and dtype == "float32":
            # Three instructions where f32x4.max is seven on x64: pmax(a, b) is b where a < b, else
            # a, so a NaN in a stays; one in b becomes the NaN of all bits.
            f = self.f.get(a).get(b).op(f"f32x4.p{op}")
            return f.get(b).get(b).op("f32x4.ne").op("v128.or")
        return self._compute(self.nest.reduce.combine, [dtype, dtype], [a, b])

    def _identity(self) -> Function:
        assert self.nest.reduce is not None
        value = self.nest.reduce.identity
        if self._result_dtype() == "float32":
            return self.f.f32x4(value)
        return self.f.i32x4(-int(value) if isinstance(value, bool) else int(value))

    def _finish(self, p: Local, stride: int, total: Local, index: int, lanes: int) -> None:
        """Store the outputs of `after` applied to a vector of totals."""
        assert self.nest.reduce is not None
        value = self.registers.take("v128")
        self._compute(self.nest.reduce.after, [self._result_dtype()], [total]).set(value)
        self._put(self.nest.store, stride, p, value, index, lanes)
        self.registers.give(value)

"""Loop nests to WebAssembly: one emitter for everything elementwise, reducing and moving.

A nest takes one of six forms:

- `fill`, `copy`: runs of equal or consecutive bytes;
- `transpose`: a copy that exchanges two dims, by 4x4 blocks;
- `map`: any body, four elements of the innermost loop at a time;
- `columns`: a reduction whose innermost kept dim is contiguous: lanes are outputs;
- `rows`: a reduction along the contiguous dim: lanes are partial results, folded at the end.

Units of work are steps of the outermost loop, or groups of elements if there is only one loop.
No form lets the split into units change what is computed for an element.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.loop_ir import Access, Nest, simplify
from fanlight.codegen.wasm.kernels.vectors import (
    Registers,
    copy_run,
    fill_run,
    fold_lanes,
    shuffle,
    store_bytes,
    transpose4,
)
from fanlight.ops import scalar as sc
from fanlight.targets import Target

GROUP = 64  # elements per unit of work where a nest is a single loop
BLOCK = 16  # outputs per step of a `columns` reduction: four vectors
SIMPLE = 12  # bodies of at most this cost are unrolled


def normalise(nest: Nest) -> Nest:
    """The nest as it is emitted: loops joined, trivial reductions gone, long sums in chunks."""
    nest = simplify(nest)
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


def _chunked(nest: Nest) -> Nest:
    """Split a long innermost reduced loop in two: partial sums keep float32 sums accurate."""
    assert nest.reduce is not None
    size = nest.sizes[-1]
    if nest.reduce.dims != 1 or size < 2048:
        return nest
    inner = next((n for n in range(1024, 63, -1) if size % n == 0 and n % 4 == 0), None)
    inner = inner or next((n for n in range(1024, 63, -1) if size % n == 0), None)
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
    """Which of the six forms a normalised nest takes."""
    if nest.reduce is not None:
        kept = len(nest.sizes) - nest.reduce.dims
        if kept and all(a.strides[kept - 1] in (0, 1) for a in nest.loads):
            if any(a.strides[kept - 1] == 1 for a in nest.loads):
                return "columns"
        return "rows"
    if nest.store.strides[-1] == 1:
        if nest.is_fill and (len(nest.sizes) > 1 or len(set(_pattern(nest))) == 1):
            return "fill"
        if nest.is_copy and nest.loads[0].strides[-1] == 1:
            return "copy"
        if nest.is_copy and _crossing(nest) is not None:
            return "transpose"
    return "map"


def _crossing(nest: Nest) -> int | None:
    """The loop along which a copy's input is contiguous, if 4x4 blocks pay off."""
    if nest.store.width != 4 or nest.sizes[-1] < 4 or nest.loads[0].strides[-1] < 0:
        return None
    for d, size in enumerate(nest.sizes[:-1]):
        if nest.loads[0].strides[d] == 1 and size >= 4:
            return d
    return None


def _pattern(nest: Nest) -> bytes:
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
        outer, crossing = _transpose_dims(nest)
        return nest.sizes[outer[0]] if outer else -(-crossing // _strip(crossing))
    return nest.sizes[0] if len(nest.sizes) > 1 else -(-nest.sizes[0] // GROUP)


def signature(nest: Nest) -> str:
    """Text that tells a normalised nest's code: equal texts, equal code (see `Kernel.key`).

    The size of a lone loop matters only through its remainder: work is counted in groups.
    """
    sizes = list(nest.sizes)
    kind = form(nest)
    if len(sizes) == 1 and kind in ("map", "copy", "fill"):
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


def emit_nests(
    f: Function,
    target: Target,
    nests: Sequence[Nest],
    pointers: Sequence[Local],
    low: Local,
    high: Local,
) -> None:
    """Emit the share [low, high) of the units of several normalised nests, one after another."""
    registers = Registers(f)
    if len(nests) == 1:
        _Emitter(f, target, registers, nests[0], pointers).emit(low, high)
        return
    begin, end = registers.take_many(2, "i32")
    start = 0
    for nest in nests:
        count = units(nest)
        _clamp(f, low, start, 0, "i32.gt_s", begin)
        _clamp(f, high, start, count, "i32.lt_s", end)
        f.get(begin).get(end).op("i32.lt_s")
        with f.if_():
            _Emitter(f, target, registers, nest, pointers).emit(begin, end)
        start += count


def _clamp(f: Function, bound: Local, start: int, limit: int, test: str, into: Local) -> None:
    f.get(bound).plus(-start).tee(into).i32(limit).get(into).i32(limit).op(test).select().set(into)


class _Emitter:
    """The code of one nest."""

    def __init__(
        self,
        f: Function,
        target: Target,
        registers: Registers,
        nest: Nest,
        pointers: Sequence[Local],
    ) -> None:
        self.f = f
        self.target = target
        self.registers = registers
        self.nest = nest
        self.params = pointers
        self.raw = nest.is_copy and nest.store.width == 1  # bytes move without widening
        self.dtypes = [a.dtype for a in nest.loads]

    def emit(self, begin: Local, end: Local) -> None:
        """The units [begin, end)."""
        heavy = self._unroll() == 1
        held = scalar_code.constants(self.nest.body, self.dtypes) if heavy else []
        with self.f.holding(held):
            self._emit(begin, end)

    def _emit(self, begin: Local, end: Local) -> None:
        nest, kind = self.nest, form(self.nest)
        if kind == "transpose":
            self._transpose(begin, end)
            return
        if kind in ("columns", "rows"):
            self._reduction(kind, begin, end)
            return
        single, run = {
            "map": (self._map_range, self._map_run),
            "copy": (self._copy_range, self._copy_run),
            "fill": (self._fill_range, self._fill_run),
        }[kind]
        if len(nest.sizes) == 1:
            walkers = self._pointers(
                nest.accesses, begin, [a.strides[0] * GROUP for a in nest.accesses]
            )
            single(walkers, begin, end)
        else:
            walkers = self._pointers(nest.accesses, begin, [a.strides[0] for a in nest.accesses])
            dims = range(len(nest.sizes) - 1)
            self._loops(nest, dims, walkers, (begin, end), lambda: run(walkers))
        self.registers.give(*walkers)

    # --- pointers and outer loops ---------------------------------------------------------------

    def _pointers(
        self, accesses: Sequence[Access], begin: Local, strides: Sequence[int]
    ) -> list[Local]:
        """One pointer per access, at the first element of unit `begin`."""
        walkers = []
        for a, stride in zip(accesses, strides, strict=True):
            p = self.registers.take("i32")
            self.f.get(self.params[a.pointer])
            if stride:
                self.f.get(begin).times(stride * a.width).op("i32.add")
            self.f.plus(a.offset * a.width).set(p)
            walkers.append(p)
        return walkers

    def _loops(
        self,
        nest: Nest,
        dims: Sequence[int],
        walkers: Sequence[Local],
        share: tuple[Local, Local] | None,
        leaf: Callable[[], None],
    ) -> None:
        """Run `leaf` over some loops; pointers advance, and return at the end of each inner loop.

        The first loop runs over `share` if there is one, and then leaves the pointers at its end.
        """
        f, accesses = self.f, nest.accesses[: len(walkers)]
        if not dims:
            leaf()
            return
        d, rest = dims[0], dims[1:]

        def body() -> None:
            self._loops(nest, rest, walkers, None, leaf)
            for p, a in zip(walkers, accesses, strict=True):
                back = a.strides[rest[0]] * nest.sizes[rest[0]] if rest else 0
                f.advance(p, (a.strides[d] - back) * a.width)

        if share is None:
            with f.repeat(nest.sizes[d]):
                body()
            return
        left = self.registers.take("i32")
        with f.block() as done:
            f.get(share[1]).get(share[0]).op("i32.sub").tee(left).i32(0).op("i32.le_s").br_if(done)
            with f.loop() as again:
                body()
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        self.registers.give(left)

    # --- copy and fill --------------------------------------------------------------------------

    def _copy_range(self, walkers: Sequence[Local], begin: Local, end: Local) -> None:
        self.f.get(walkers[1]).get(walkers[0])
        self._length(begin, end).op("memory.copy")

    def _copy_run(self, walkers: Sequence[Local]) -> None:
        count = self.nest.sizes[-1] * self.nest.store.width
        copy_run(self.f, self.registers, walkers[1], walkers[0], count)

    def _fill_range(self, walkers: Sequence[Local], begin: Local, end: Local) -> None:
        self.f.get(walkers[0]).i32(_pattern(self.nest)[0])
        self._length(begin, end).op("memory.fill")

    def _fill_run(self, walkers: Sequence[Local]) -> None:
        count = self.nest.sizes[-1] * self.nest.store.width
        fill_run(self.f, self.registers, walkers[0], _pattern(self.nest), count)

    def _stop(self, end: Local) -> Function:
        """Push the element at which the range of groups ends."""
        f, size = self.f, self.nest.sizes[0]
        f.get(end).times(GROUP)
        if size % GROUP:
            stop = self.registers.take("i32")
            f.tee(stop).i32(size).get(stop).i32(size).op("i32.lt_s").select()
            self.registers.give(stop)
        return f

    def _length(self, begin: Local, end: Local) -> Function:
        """Push the number of bytes of a range of groups."""
        f = self._stop(end)
        return f.get(begin).times(GROUP).op("i32.sub").times(self.nest.store.width)

    # --- transpose ------------------------------------------------------------------------------

    def _transpose(self, begin: Local, end: Local) -> None:
        """Strips of the crossing loop; in each, along the last loop, blocks of 4x4.

        Edges that are no multiple of 4 are covered by blocks that overlap their neighbours.
        """
        f, nest = self.f, self.nest
        source, store = nest.loads[0], nest.store
        outer, crossing = _transpose_dims(nest)
        d = _crossing(nest)
        assert d is not None
        last = nest.sizes[-1]
        strip = _strip(crossing)
        strips = -(-crossing // strip)
        first = outer[0] if outer else None
        steps = [a.strides[first] if first is not None else 0 for a in nest.accesses]
        walkers = self._pointers(nest.accesses, begin, steps)
        at, along, left = self.registers.take_many(3, "i32")
        from_, to = self.registers.take_many(2, "i32")
        values, spare = self.registers.take_many(4, "v128"), self.registers.take_many(4, "v128")

        def one_strip() -> None:
            """The strip number `at`."""
            place = self.registers.take("i32")
            # Blocks at the edge are moved back inside.
            f.get(at).times(strip)
            _least(f, place, crossing - strip, crossing % strip != 0)
            f.set(place)
            run = _strip(last)
            down, right = 4 * source.strides[-1] * 4, 4 * store.strides[d] * 4
            with f.range(along, 0, last, run):
                for p, a, into in zip(walkers, nest.accesses, (from_, to), strict=True):
                    f.get(p).get(place).times(a.strides[d] * a.width).op("i32.add").get(along)
                    _least(f, left, last - run, last % run != 0)
                    f.times(a.strides[-1] * a.width).op("i32.add").set(into)
                # Finishing a line of the output before the next one keeps few lines half written.
                with f.repeat(strip // 4):
                    with f.repeat(run // 4):
                        for i, v in enumerate(values):
                            f.get(from_).load(i * source.strides[-1] * 4).set(v)
                        for i, v in enumerate(transpose4(f, values, spare)):
                            f.get(to).get(v).store(i * store.strides[d] * 4)
                        f.advance(from_, down).advance(to, 16)
                    f.advance(from_, 16 - run // 4 * down).advance(to, right - run * 4)
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

    def _unroll(self) -> int:
        return 4 if sc.cost(self.nest.body) <= SIMPLE else 1

    def _merges(self, tail: int) -> bool:
        """Whether the last, partial vector shares the code of the whole ones."""
        steps = [a.strides[-1] for a in self.nest.loads]
        plain = self.nest.store.strides[-1] == 1 and all(s in (0, 1) for s in steps)
        return tail != 0 and plain and self._unroll() == 1

    def _cursors(self, walkers: Sequence[Local]) -> list[Local]:
        cursors = self.registers.take_many(len(walkers), "i32")
        for p, walker in zip(cursors, walkers, strict=True):
            self.f.get(walker).set(p)
        return cursors

    def _onwards(self, cursors: Sequence[Local], elements: int) -> None:
        for p, a in zip(cursors, self.nest.accesses, strict=False):
            self.f.advance(p, a.strides[-1] * elements * a.width)

    def _hold(self, walkers: Sequence[Local]) -> dict[int, Local]:
        """Operands that the last loop does not move, loaded once: operand -> vector."""
        held = {}
        for i, a in enumerate(self.nest.loads):
            if a.strides[-1] == 0:
                held[i] = self.registers.take("v128")
                self._fetch(a, 0, walkers[i]).set(held[i])
        return held

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

    def _body(
        self,
        cursors: Sequence[Local],
        held: dict[int, Local],
        index: int,
        lanes: int,
        dim: int,
    ) -> tuple[Local, list[Local]]:
        """Load the operands along loop `dim` and compute the body; locals to give back."""
        args, taken = [], []
        for i, a in enumerate(self.nest.loads):
            if i in held:
                args.append(held[i])
                continue
            v = self.registers.take("v128")
            self._fetch(a, a.strides[dim], cursors[i], index, lanes).set(v)
            args.append(v)
            taken.append(v)
        value = self.registers.take("v128")
        self._compute(self.nest.body, self.dtypes, args).set(value)
        return value, taken

    # --- reductions -------------------------------------------------------------------------------

    def _reduction(self, kind: str, begin: Local, end: Local) -> None:
        nest = self.nest
        assert nest.reduce is not None
        kept = len(nest.sizes) - nest.reduce.dims
        if kind == "rows":
            steps = [a.strides[0] if kept else 0 for a in nest.accesses]
            walkers = self._pointers(nest.accesses, begin, steps)
            self._loops(nest, range(kept), walkers, (begin, end), lambda: self._row(walkers))
        elif kept > 1:
            walkers = self._pointers(nest.accesses, begin, [a.strides[0] for a in nest.accesses])
            self._loops(
                nest, range(kept - 1), walkers, (begin, end), lambda: self._columns(walkers)
            )
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

        def leaf(readers: Sequence[Local], into: Sequence[Local]) -> None:
            for i, acc in enumerate(into):
                value, taken = self._body(readers, {}, 4 * i, 4, kept - 1)
                self._combine(acc, value).set(acc)
                self.registers.give(value, *taken)

        self._fold_loops(walkers, sums, range(kept, len(nest.sizes)), leaf)
        for i, acc in enumerate(sums):
            self._finish(
                walkers[-1], nest.store.strides[kept - 1], acc, 4 * i, min(4, outputs - 4 * i)
            )
        self.registers.give(*sums)

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
            if rounds:
                with f.repeat(rounds):
                    for i, acc in enumerate(into):
                        self._accumulate(cursors, acc, 4 * i, 4)
                    self._onwards(cursors, 4 * unroll)
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
        readers = self._cursors(walkers[:-1])

        def block() -> None:
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
            for acc, part in zip(sums, inner, strict=True):
                self._combine(acc, part).set(acc)

        if two:
            self._loops(nest, dims if rows else dims[:-1], readers, None, block)
            self.registers.give(*inner)
        else:
            block()
        self.registers.give(*readers)

    def _result_dtype(self) -> str:
        return sc.infer(self.nest.body, self.dtypes)

    def _combine(self, a: Local, b: Local) -> Function:
        assert self.nest.reduce is not None
        dtype = self._result_dtype()
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

    # --- vectors ----------------------------------------------------------------------------------

    def _compute(self, body: sc.Expr, dtypes: Sequence[str], args: Sequence[Local]) -> Function:
        """Push the four values of an expression over vectors."""
        return scalar_code.emit(
            self.f, body, args, dtypes, self.registers.take, self.registers.give
        )

    def _fetch(self, a: Access, stride: int, p: Local, index: int = 0, lanes: int = 4) -> Function:
        """Push elements `stride` apart, the first one `index` steps after pointer `p`.

        Where elements are not neighbours only the first `lanes` are read.
        """
        f, width = self.f, a.width
        at = index * stride * width
        if stride in (0, 1):
            if width == 4:
                return f.get(p).op("v128.load" if stride else "v128.load32_splat", at)
            f.get(p).op("v128.load32_zero" if stride else "v128.load8_splat", at)
            return self._widen(a)
        step = abs(stride) * width
        base, offsets = p, [at + lane * step for lane in range(lanes)]
        if stride < 0:
            # Offsets cannot be negative: count from the last lane, which lies lowest.
            lowest = at - (lanes - 1) * step
            if (stride, width, lanes) == (-1, 4, 4):
                v = self.registers.take("v128")
                f.get(p).plus(lowest).load().tee(v)
                self.registers.give(v)
                return shuffle(f.get(v), 3, 2, 1, 0)
            base = self.registers.take("i32")
            f.get(p).plus(lowest).set(base)
            offsets = [lane * step for lane in reversed(range(lanes))]
            self.registers.give(base)
        for _ in range(lanes):
            f.get(base)
        if width == 4:
            f.op("v128.load32_zero", offsets[0])
        else:
            f.i32x4(0).op("v128.load8_lane", offsets[0], 0)
        for lane in range(1, lanes):
            f.op(f"v128.load{8 * width}_lane", offsets[lane], lane)
        return self._widen(a)

    def _widen(self, a: Access) -> Function:
        """Bytes of the low 32 bits on the stack to the lanes that `scalar_code` works on."""
        f = self.f
        if a.width == 1 and not self.raw:
            f.op("i16x8.extend_low_i8x16_u").op("i32x4.extend_low_i16x8_u")
            if a.dtype == "bool":
                f.op("i32x4.neg")
        return f

    def _put(
        self, store: Access, stride: int, p: Local, value: Local, index: int, lanes: int
    ) -> None:
        """Store `lanes` elements, `stride` apart, the first one `index` steps after `p`."""
        self._narrow(store, value)
        if stride == 1:
            self._put_bytes(p, value, index, lanes)
            return
        for lane in range(lanes):
            at = (index + lane) * stride * store.width
            self.f.get(p).get(value).op(f"v128.store{8 * store.width}_lane", at, lane)

    def _narrow(self, store: Access, value: Local) -> None:
        """The inverse of `_widen`, in place: elements to bytes in the low 32 bits."""
        if store.width == 1 and not self.raw:
            f = self.f.get(value)
            if store.dtype == "bool":
                f.op("i32x4.neg")
            f.tee(value).get(value).op("i16x8.narrow_i32x4_s").tee(value)
            f.get(value).op("i8x16.narrow_i16x8_u").set(value)

    def _put_bytes(self, p: Local, value: Local, index: int, lanes: int) -> None:
        width = self.nest.store.width
        store_bytes(self.f, p, value, lanes * width, index * width)


def _transpose_dims(nest: Nest) -> tuple[list[int], int]:
    """The loops outside the blocks, and the size of the crossing loop."""
    d = _crossing(nest)
    assert d is not None
    return [i for i in range(len(nest.sizes) - 1) if i != d], nest.sizes[d]


def _strip(size: int) -> int:
    """Steps of a transposed loop done together: a cache line where the loop is that long."""
    return min(16, size // 4 * 4)


def _least(f: Function, spare: Local, limit: int, needed: bool) -> None:
    """Replace the i32 on the stack by the smaller of it and `limit`."""
    if needed:
        f.tee(spare).i32(limit).get(spare).i32(limit).op("i32.lt_s").select()

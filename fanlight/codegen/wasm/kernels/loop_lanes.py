"""What every form of a loop nest needs: pointers, outer loops, and vectors of four elements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.loop_forms import GROUP
from fanlight.codegen.wasm.kernels.loop_ir import Access, Nest
from fanlight.codegen.wasm.kernels.vectors import Registers, shuffle, store_bytes
from fanlight.ops import scalar as sc

SIMPLE = 12  # bodies of at most this cost are unrolled


class NestEmitter(ABC):
    """The code of one nest, whose operands lie behind `pointers`."""

    def __init__(
        self, f: Function, registers: Registers, nest: Nest, pointers: Sequence[Local]
    ) -> None:
        self.f = f
        self.registers = registers
        self.nest = nest
        self.params = pointers
        self.raw = nest.is_copy and nest.store.width == 1  # bytes move without widening
        self.dtypes = [a.dtype for a in nest.loads]

    def emit(self, begin: Local, end: Local) -> None:
        """The units [begin, end)."""
        held = [] if self._unroll() > 1 else scalar_code.constants(self.nest.body, self.dtypes)
        with self.f.holding(held):
            self._emit(begin, end)

    @abstractmethod
    def _emit(self, begin: Local, end: Local) -> None:
        """The code of the form."""

    def _unroll(self) -> int:
        """Vectors per round of the innermost loop."""
        return 4 if sc.cost(self.nest.body) <= SIMPLE else 1

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

    def _cursors(self, walkers: Sequence[Local]) -> list[Local]:
        cursors = self.registers.take_many(len(walkers), "i32")
        for p, walker in zip(cursors, walkers, strict=True):
            self.f.get(walker).set(p)
        return cursors

    def _onwards(self, cursors: Sequence[Local], elements: int) -> None:
        for p, a in zip(cursors, self.nest.accesses, strict=False):
            self.f.advance(p, a.strides[-1] * elements * a.width)

    def _stop(self, end: Local) -> Function:
        """Push the element at which the range of groups ends."""
        f, size = self.f, self.nest.sizes[0]
        f.get(end).times(GROUP)
        if size % GROUP:
            stop = self.registers.take("i32")
            f.tee(stop).i32(size).get(stop).i32(size).op("i32.lt_s").select()
            self.registers.give(stop)
        return f

    # --- vectors ----------------------------------------------------------------------------------

    def _hold(self, walkers: Sequence[Local]) -> dict[int, Local]:
        """Operands that the last loop does not move, loaded once: operand -> vector."""
        held = {}
        for i, a in enumerate(self.nest.loads):
            if a.strides[-1] == 0:
                held[i] = self.registers.take("v128")
                self._fetch(a, 0, walkers[i]).set(held[i])
        return held

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

    def _compute(self, body: sc.Expr, dtypes: Sequence[str], args: Sequence[Local]) -> Function:
        """Push the four values of an expression over vectors."""
        return scalar_code.emit(
            self.f, body, args, dtypes, self.registers.take, self.registers.give
        )

    def _fetch(
        self, a: Access, stride: int, p: Local, index: int = 0, lanes: int = 4, beyond: int = 0
    ) -> Function:
        """Push elements `stride` apart, the first one `index` steps and `beyond` elements after
        pointer `p`.

        Where elements are not neighbours only the first `lanes` are read.
        """
        f, width = self.f, a.width
        at = (index * stride + beyond) * width
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

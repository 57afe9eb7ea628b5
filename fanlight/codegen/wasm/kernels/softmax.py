"""softmax and log_softmax, stable: the largest element is subtracted before exp.

Along the last axis a vector holds four elements of a row. Short rows stay in registers. Of long
ones the largest element is found while the row before is computed, so that memory and arithmetic
are busy together; what is then read again is in the nearest cache.

Along another axis a vector holds four neighbouring rows, and memory is walked as it lies: rows
of the matrix, in groups, each of which may raise the largest element so far and then shrinks the
sum so far. The second walk computes exp again, which is cheaper than to store and read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels import falling_exp
from fanlight.codegen.wasm.kernels.vectors import Registers, fold_lanes, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.targets import Target

SHORT = 24  # elements of a row that are kept in registers
BLOCK = 512
GROUP = 4
# A finite number below which none is: what is subtracted stays finite where all is -infinity.
_LOWEST = -3.4028234663852886e38


@dataclass(frozen=True)
class Softmax:
    """A softmax along the middle of [outer, size, inner]."""

    log: bool
    outer: int
    size: int
    inner: int

    @property
    def vectors(self) -> int:
        """Of neighbouring rows."""
        return -(-self.inner // 4)

    @property
    def blocks(self) -> int:
        """Units per outer index; 1 along the last axis."""
        return 1 if self.inner == 1 else -(-self.vectors // BLOCK)

    @property
    def units(self) -> int:
        return self.outer * self.blocks

    @property
    def scratch(self) -> int:
        """The largest element and the sum of every row, a vector of each in turn."""
        return 0 if self.inner == 1 else self.outer * self.vectors * 32


@register("softmax", "log_softmax")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a softmax or log_softmax node."""
    x = node.inputs[0].type
    axis = node.attrs["axis"] % x.rank
    shape = x.bound
    softmax = Softmax(
        node.op == "log_softmax", prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    )
    columns = softmax.inner > 1

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (5 if columns else 4))
        emitter = _Emitter(f, softmax, target.relaxed_simd)
        with f.holding(falling_exp.constants()):
            if columns:
                emitter.columns(*f.params)
            elif softmax.size <= SHORT:
                emitter.short_rows(*f.params)
            else:
                emitter.rows(*f.params)

    return Kernel(
        f"{softmax} {target.relaxed_simd}",
        emit,
        softmax.units,
        scratch=softmax.scratch,
        # Beside exp: the largest, the difference, the sum, the quotient.
        flops=x.size * (falling_exp.OPERATIONS + 8),
        bytes=node_bytes(node),
        in_order=axis > 0,
    )


class _Emitter:
    def __init__(self, f: Function, softmax: Softmax, fused: bool) -> None:
        self.f = f
        self.softmax = softmax
        self.fused = fused
        self.registers = Registers(f)
        self.unit, self.source, self.out, self.p, self.q = self.registers.take_many(5, "i32")
        self.top, self.total, self.value, self.spare = self.registers.take_many(4, "v128")

    # --- the last axis ----------------------------------------------------------------------------

    def short_rows(self, x: Local, y: Local, low: Local, high: Local) -> None:
        """Rows whose elements all fit into registers."""
        f, size = self.f, self.softmax.size
        values = self.registers.take_many(-(-size // 4), "v128")
        lanes = [4] * (size // 4) + [size % 4] * (size % 4 > 0)
        f.address(x, low, size * 4).set(self.p)
        f.address(y, low, size * 4).set(self.q)
        with f.range(self.unit, low, high):
            for i, (v, count) in enumerate(zip(values, lanes, strict=True)):
                self._masked(f.get(self.p).load(16 * i), count, -inf)
                f.set(v)
            self._fold(values, "f32x4.pmax", self.top)
            exponentials = self.registers.take_many(len(values), "v128")
            for v, e in zip(values, exponentials, strict=True):
                f.get(v).get(self.top).op("f32x4.sub").tee(v)
                f.set(self.value)
                self._exp().set(e)
            self._fold(exponentials, "f32x4.add", self.total)
            self._prepare()
            for i, (v, e, count) in enumerate(zip(values, exponentials, lanes, strict=True)):
                if self.softmax.log:
                    f.get(v).get(self.total).op("f32x4.sub").set(v)
                else:
                    f.get(e).get(self.total).op("f32x4.mul").set(v)
                store_bytes(f, self.q, v, 4 * count, 16 * i)
            f.advance(self.p, size * 4).advance(self.q, size * 4)

    def _fold(self, vectors: Sequence[Local], op: str, into: Local) -> None:
        """All lanes of all vectors combined, in all lanes."""
        f = self.f
        f.get(vectors[0])
        for v in vectors[1:]:
            f.get(v).op(op)
        f.set(into)
        fold_lanes(f, self.registers, into, lambda a, b: f.get(a).get(b).op(op))

    def rows(self, x: Local, y: Local, low: Local, high: Local) -> None:
        """Rows of any length."""
        f, size, log = self.f, self.softmax.size, self.softmax.log
        following = self.registers.take("i32")
        next_top = self.registers.take("v128")

        def sweep(unroll: int, body: Callable[[int, int], None], *pointers: Local) -> None:
            """`body(vector, lanes)` for the vectors of a row, `vector` after the pointers."""
            vectors = size // 4
            with f.repeat(vectors // unroll):
                for i in range(unroll):
                    body(i, 4)
                for pointer in pointers:
                    f.advance(pointer, 16 * unroll)
            for i in range(vectors % unroll):
                body(i, 4)
            if size % 4:
                body(vectors % unroll, size % 4)

        def look(vector: int, lanes: int) -> None:
            # pmax passes over NaN, which is no loss: the sum of the row will be NaN.
            f.get(next_top)
            self._masked(f.get(following).load(16 * vector), lanes, -inf)
            f.op("f32x4.pmax").set(next_top)

        def add_up(vector: int, lanes: int) -> None:
            look(vector, lanes)
            f.get(self.p).load(16 * vector).get(self.top).op("f32x4.sub").set(self.value)
            self._exp().set(self.value)
            if not log:
                store_bytes(f, self.q, self.value, 4 * lanes, 16 * vector)
            self._masked(f.get(self.value), lanes, 0.0)
            f.get(self.total).op("f32x4.add").set(self.total)

        def finish(vector: int, lanes: int) -> None:
            if log:
                f.get(self.p).load(16 * vector).get(self.top).op("f32x4.sub")
                f.get(self.total).op("f32x4.sub").set(self.value)
            else:
                f.get(self.q).load(16 * vector).get(self.total).op("f32x4.mul").set(self.value)
            store_bytes(f, self.q, self.value, 4 * lanes, 16 * vector)

        def settle() -> None:
            """The largest element that `look` found becomes that of the row at hand."""
            f.get(next_top).set(self.top)
            fold_lanes(f, self.registers, self.top, lambda a, b: f.get(a).get(b).op("f32x4.pmax"))
            f.f32x4(-inf).set(next_top)

        f.address(x, low, size * 4).tee(self.source).set(following)
        f.address(y, low, size * 4).set(self.out)
        f.f32x4(-inf).set(next_top)
        # A share of no rows must not read: its row may lie beyond the memory.
        f.get(low).get(high).op("i32.lt_s")
        with f.if_():
            sweep(4, look, following)
        with f.range(self.unit, low, high):
            settle()
            # After the last row of a share there is none: it is looked at again.
            f.get(self.source).tee(self.p).plus(size * 4).get(self.p)
            f.get(self.unit).plus(1).get(high).op("i32.lt_s").select().set(following)
            f.get(self.out).set(self.q).f32x4(0.0).set(self.total)
            sweep(2, add_up, self.p, self.q, following)
            fold_lanes(f, self.registers, self.total, lambda a, b: f.get(a).get(b).op("f32x4.add"))
            self._prepare()
            f.get(self.source).set(self.p).get(self.out).set(self.q)
            sweep(4, finish, *((self.p, self.q) if log else (self.q,)))
            f.advance(self.source, size * 4).advance(self.out, size * 4)

    # --- another axis -----------------------------------------------------------------------------

    def columns(self, x: Local, y: Local, scratch: Local, low: Local, high: Local) -> None:
        """Another axis: blocks of neighbouring rows, in the order of memory."""
        f, softmax, registers = self.f, self.softmax, self.registers
        line, vectors = softmax.inner * 4, softmax.vectors
        state, place, left, count, outer, ahead = registers.take_many(6, "i32")
        new_top = registers.take("v128")
        last = softmax.blocks - 1
        rest = softmax.inner % 4

        def across(body: Callable[[], None], *pointers: Local) -> None:
            """The body for every vector of the block."""
            f.get(state).set(place).get(count).set(left)
            with f.loop() as again:
                body()
                f.advance(place, 32)
                for pointer in pointers:
                    f.advance(pointer, 16)
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)

        def onwards(pointer: Local, base: Local, rows: int = 1) -> None:
            """The pointer where the base is, and the base some rows of memory further."""
            f.get(base).set(pointer).advance(base, rows * line)

        def gather(times: int, group: int) -> None:
            with f.repeat(times):
                onwards(self.p, ahead, group)
                across(lambda: take(group), self.p)

        def clear() -> None:
            f.get(place).f32x4(_LOWEST).store().get(place).f32x4(0.0).store(16)

        def take(group: int) -> None:
            """Add `group` elements of each of four rows to their sums."""
            f.get(place).load().set(self.top)
            f.get(self.top)
            for i in range(group):
                f.get(self.p).load(i * line).op("f32x4.pmax")
            f.set(new_top)
            f.get(self.top).get(new_top).op("f32x4.sub").set(self.value)
            self._exp().get(place).load(16).op("f32x4.mul").set(self.total)
            for i in range(group):
                f.get(self.p).load(i * line).get(new_top).op("f32x4.sub").set(self.value)
                self._exp().get(self.total).op("f32x4.add").set(self.total)
            f.get(place).get(new_top).store().get(place).get(self.total).store(16)

        def prepare() -> None:
            f.get(place).load(16).set(self.total)
            self._prepare()
            f.get(place).get(self.total).store(16)

        def finish() -> None:
            f.get(self.p).load().get(place).load().op("f32x4.sub").set(self.value)
            if softmax.log:
                f.get(self.value).get(place).load(16).op("f32x4.sub").set(self.value)
            else:
                self._exp().get(place).load(16).op("f32x4.mul").set(self.value)

        def whole() -> None:
            finish()
            f.get(self.q).get(self.value).store()

        def edge() -> None:
            """The last row's last elements: no more than there are may be stored."""
            f.get(state).get(count).times(32).op("i32.add").set(place)
            finish()
            store_bytes(f, self.q, self.value, 4 * rest)

        at_edge = registers.take("i32")
        with f.range(self.unit, low, high):
            f.get(self.unit).i32(softmax.blocks).op("i32.div_u").set(outer)
            f.get(self.unit).get(outer).times(softmax.blocks).op("i32.sub").set(left)
            f.get(left).i32(last).op("i32.eq").set(at_edge)
            f.i32(vectors - last * BLOCK).i32(BLOCK).get(at_edge).select().set(count)
            f.get(outer).times(vectors).get(left).times(BLOCK).op("i32.add").times(32)
            f.get(scratch).op("i32.add").set(state)
            f.get(outer).times(softmax.size * line).get(left).times(16 * BLOCK).op("i32.add")
            f.tee(left).get(x).op("i32.add").tee(self.source).set(self.p)
            f.get(left).get(y).op("i32.add").set(self.out)
            across(clear)

            f.get(self.source).set(ahead)
            gather(softmax.size // GROUP, GROUP)
            gather(softmax.size % GROUP, 1)
            across(prepare)
            if rest:
                f.get(count).get(at_edge).op("i32.sub").set(count)
            with f.repeat(softmax.size):
                onwards(self.p, self.source)
                onwards(self.q, self.out)
                f.get(count)
                with f.if_():
                    across(whole, self.p, self.q)
                if rest:
                    f.get(at_edge)
                    with f.if_():
                        edge()

    # --- shared -----------------------------------------------------------------------------------

    def _masked(self, f: Function, lanes: int, otherwise: float) -> None:
        """Replace the lanes from `lanes` on of the vector on the stack."""
        if lanes < 4:
            f.f32x4(otherwise).i32x4(*(-1 if i < lanes else 0 for i in range(4)))
            f.op("v128.bitselect")

    def _exp(self) -> Function:
        """Push e^value; the value is lost."""
        return falling_exp.falling_exp(self.f, self.value, self.spare, fused=self.fused)

    def _prepare(self) -> None:
        """Turn the total into what results are multiplied with, or what is taken off."""
        f = self.f
        if not self.softmax.log:
            f.f32x4(1.0).get(self.total).op("f32x4.div").set(self.total)
            return
        take, give = self.registers.take, self.registers.give
        scalar_code.emit(f, sc.log(sc.arg(0)), [self.total], ["float32"], take, give)
        f.set(self.total)

"""softmax and log_softmax, stable: the largest element is subtracted before exp.

Along the last axis a vector holds four elements of a row; along another axis it holds four
neighbouring rows, and nothing needs folding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, fold_lanes, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.targets import Target

_A, _B = sc.arg(0), sc.arg(1)
_EXP = sc.exp(_A - _B)


@dataclass(frozen=True)
class Softmax:
    """A softmax along the middle of [outer, size, inner]."""

    log: bool
    outer: int
    size: int
    inner: int

    @property
    def blocks(self) -> int:
        """Vectors of neighbouring rows; 1 along the last axis."""
        return 1 if self.inner == 1 else -(-self.inner // 4)

    @property
    def units(self) -> int:
        return self.outer * self.blocks


@register("softmax", "log_softmax")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a softmax or log_softmax node."""
    x = node.inputs[0].type
    axis = node.attrs["axis"] % x.rank
    shape = x.bound
    softmax = Softmax(
        node.op == "log_softmax", prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    )

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 4)
        emitter = _Emitter(f, softmax, target.relaxed_simd)
        held = scalar_code.constants(_EXP, ["float32", "float32"], fused=target.relaxed_simd)
        with f.holding(held):
            (emitter.rows if softmax.inner == 1 else emitter.columns)(*f.params)

    key = f"{softmax} {target.relaxed_simd}"
    traffic, rows = node_bytes(node), axis > 0
    return Kernel(key, emit, softmax.units, flops=x.size * 20, bytes=traffic, in_order=rows)


class _Emitter:
    def __init__(self, f: Function, softmax: Softmax, fused: bool) -> None:
        self.f = f
        self.softmax = softmax
        self.fused = fused
        self.registers = Registers(f)
        self.unit, self.source, self.out, self.p, self.q = self.registers.take_many(5, "i32")
        self.top, self.total, self.value = self.registers.take_many(3, "v128")

    def rows(self, x: Local, y: Local, low: Local, high: Local) -> None:
        """The last axis."""
        f, size = self.f, self.softmax.size

        def sweep(body: Callable[[int], None]) -> None:
            """`body(lanes)` for the vectors of a row; it reads at p, writes at q."""
            f.get(self.source).set(self.p).get(self.out).set(self.q)
            with f.repeat(size // 4):
                body(4)
                f.advance(self.p, 16).advance(self.q, 16)
            if size % 4:
                body(size % 4)

        def take_top(lanes: int) -> None:
            # pmax passes over NaN, which is no loss: the sum of the row will be NaN.
            f.get(self.top)
            self._masked(f.get(self.p).load(), lanes, -inf)
            f.op("f32x4.pmax").set(self.top)

        def add_up(lanes: int) -> None:
            self._exponential()
            if not self.softmax.log:
                store_bytes(f, self.q, self.value, 4 * lanes)
            self._masked(f.get(self.value), lanes, 0.0)
            f.get(self.total).op("f32x4.add").set(self.total)

        def finish(lanes: int) -> None:
            self._finish()
            store_bytes(f, self.q, self.value, 4 * lanes)

        with f.range(self.unit, low, high):
            for base, pointer in ((x, self.source), (y, self.out)):
                f.address(base, self.unit, size * 4).set(pointer)
            f.f32x4(-inf).set(self.top).f32x4(0.0).set(self.total)
            sweep(take_top)
            fold_lanes(f, self.registers, self.top, lambda a, b: f.get(a).get(b).op("f32x4.pmax"))
            sweep(add_up)
            fold_lanes(f, self.registers, self.total, lambda a, b: f.get(a).get(b).op("f32x4.add"))
            self._prepare()
            sweep(finish)

    def columns(self, x: Local, y: Local, low: Local, high: Local) -> None:
        """Another axis: four neighbouring rows at a time."""
        f, softmax = self.f, self.softmax
        block = self.registers.take("i32")
        step = softmax.inner * 4
        rest = softmax.inner % 4

        def sweep(body: Callable[[], None], lanes: int = 0) -> None:
            f.get(self.source).set(self.p).get(self.out).set(self.q)
            with f.repeat(softmax.size):
                body()
                store_bytes(f, self.q, self.value, 4 * lanes)
                f.advance(self.p, step).advance(self.q, step)

        def take_top() -> None:
            f.get(self.top).get(self.p).load().op("f32x4.pmax").set(self.top)

        def add_up() -> None:
            self._exponential()
            f.get(self.value).get(self.total).op("f32x4.add").set(self.total)

        def parts(lanes: int) -> None:
            """What stores: `lanes` of every vector."""
            sweep(add_up, 0 if softmax.log else lanes)
            self._prepare()
            sweep(self._finish, lanes)

        with f.range(self.unit, low, high):
            f.get(self.unit).i32(softmax.blocks).op("i32.rem_u").times(16).set(block)
            for base, pointer in ((x, self.source), (y, self.out)):
                f.get(self.unit).i32(softmax.blocks).op("i32.div_u").times(softmax.size * step)
                f.get(block).op("i32.add").get(base).op("i32.add").set(pointer)
            f.f32x4(-inf).set(self.top).f32x4(0.0).set(self.total)
            sweep(take_top)
            if not rest or softmax.blocks == 1:
                parts(rest or 4)
            else:
                f.get(block).i32(16 * (softmax.blocks - 1)).op("i32.eq")
                with f.if_():
                    parts(rest)
                    f.else_()
                    parts(4)

    def _masked(self, f: Function, lanes: int, otherwise: float) -> None:
        """Replace the lanes from `lanes` on of the vector on the stack."""
        if lanes < 4:
            f.f32x4(otherwise).i32x4(*(-1 if i < lanes else 0 for i in range(4)))
            f.op("v128.bitselect")

    def _exponential(self) -> None:
        """value = exp(element - top)"""
        self.f.get(self.p).load().set(self.value)
        self._compute(_EXP, self.value, self.top)

    def _prepare(self) -> None:
        """Turn the total into what `_finish` wants."""
        f = self.f
        if self.softmax.log:
            self._compute(sc.log(_A), self.total, into=self.total)
        else:
            f.f32x4(1.0).get(self.total).op("f32x4.div").set(self.total)

    def _finish(self) -> None:
        """value = the result; softmax reads exp back from the output."""
        f = self.f
        if self.softmax.log:
            f.get(self.p).load().get(self.top).op("f32x4.sub").get(self.total)
            f.op("f32x4.sub").set(self.value)
            return
        f.get(self.q).load().get(self.total).op("f32x4.mul").set(self.value)

    def _compute(self, expr: sc.Expr, *args: Local, into: Local | None = None) -> None:
        """into (`value` if left out) = the expression over f32 vectors"""
        take, give = self.registers.take, self.registers.give
        dtypes = ["float32"] * len(args)
        f = scalar_code.emit(self.f, expr, args, dtypes, take, give, fused=self.fused)
        f.set(into or self.value)

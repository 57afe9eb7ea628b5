"""Bools and comparisons of bytes, sixteen at a time, without widening them.

A bool in memory is a byte, 0 or 1, and it stays one: `not x` is an exclusive or with 1, and a mask
of bytes is cut down to its low bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.loop_bytes import BytesEmitter
from fanlight.codegen.wasm.kernels.loop_ir import Nest
from fanlight.codegen.wasm.kernels.loop_reduce import ReduceEmitter
from fanlight.codegen.wasm.kernels.vectors import store_bytes
from fanlight.ops import scalar as sc

_ONES = bytes([1]) * 16
_LOGIC = {"and": "v128.and", "or": "v128.or"}
_COMPARE = {"lt": "i8x16.lt_u", "le": "i8x16.le_u", "eq": "i8x16.eq"}


def is_direct(nest: Nest) -> bool:
    """Whether an elementwise nest is bools of bools, or of comparisons of bytes."""
    dtypes = [a.dtype for a in nest.loads]
    return nest.store.dtype == "bool" and _kind(nest.body, dtypes) == "bool"


def _kind(expr: sc.Expr, dtypes: Sequence[str]) -> str | None:
    """ "bool" or "uint8" where an expression can be computed from the bytes as they lie."""
    if expr.op == "arg":
        return dtypes[expr.value] if dtypes[expr.value] in ("bool", "uint8") else None
    if expr.op == "const":
        if isinstance(expr.value, bool):
            return "bool"
        return "uint8" if expr.value in range(256) and isinstance(expr.value, int) else None
    kinds = {_kind(a, dtypes) for a in expr.args}
    if expr.op in _COMPARE:
        return "bool" if kinds == {"uint8"} or (expr.op == "eq" and kinds == {"bool"}) else None
    if expr.op == "bool":
        return "bool" if kinds == {"uint8"} else None
    return "bool" if expr.op in (*_LOGIC, "not") and kinds == {"bool"} else None


class DirectEmitter(BytesEmitter):
    """The form `bytes` of a nest that `is_direct`."""

    def emit(self, begin: Local, end: Local) -> None:
        """The units [begin, end)."""
        with self.f.holding([_ONES]):
            self._emit(begin, end)

    def _hold(self, walkers: Sequence[Local]) -> dict[int, Local]:
        held = {}
        for i, a in enumerate(self.nest.loads):
            if a.strides[-1] == 0:
                held[i] = self.registers.take("v128")
                self.f.get(walkers[i]).op("v128.load8_splat").set(held[i])
        return held

    def _step(
        self, cursors: Sequence[Local], held: dict[int, Local], index: int, count: int
    ) -> None:
        f, registers = self.f, self.registers
        args = [held.get(i) or registers.take("v128") for i in range(len(self.nest.loads))]
        for i, v in enumerate(args):
            if i not in held:
                f.get(cursors[i]).load(index).set(v)
        self._push(self.nest.body, args)
        value = registers.take("v128")
        f.set(value)
        store_bytes(f, cursors[-1], value, count, index)
        registers.give(value, *(v for i, v in enumerate(args) if i not in held))

    def _push(self, expr: sc.Expr, args: Sequence[Local]) -> None:
        f = self.f
        if expr.op == "arg":
            f.get(args[expr.value])
        elif expr.op == "const":
            f.v128(bytes([int(expr.value)]) * 16)
        else:
            for a in expr.args:
                self._push(a, args)
            if expr.op in _LOGIC:
                f.op(_LOGIC[expr.op])
            elif expr.op == "not":
                f.v128(_ONES).op("v128.xor")
            elif expr.op == "bool":
                f.v128(_ONES).op("i8x16.min_u")
            else:
                f.op(_COMPARE[expr.op]).v128(_ONES).op("v128.and")


class BoolReduceEmitter(ReduceEmitter):
    """`any` and `all` of neighbouring bools (see `of_bools`)."""

    per = 16

    def _unroll(self) -> int:
        return 4

    def _identity(self) -> Function:
        assert self.nest.reduce is not None
        return self.f.v128(_ONES if self.nest.reduce.identity else bytes(16))

    def _combine(self, a: Local, b: Local) -> Function:
        assert self.nest.reduce is not None
        return self.f.get(a).get(b).op(_LOGIC[self.nest.reduce.combine.op])

    def _row_element(self, cursors: Sequence[Local], steps: Sequence[int], row: int) -> Function:
        return self.f.get(cursors[0]).load(row * self.nest.loads[0].strides[-1])

    def _row(self, walkers: Sequence[Local]) -> None:
        """One output. The last vector of a run overlaps the one before: that changes nothing."""
        f, nest = self.f, self.nest
        assert nest.reduce is not None
        kept, size = len(nest.sizes) - nest.reduce.dims, nest.sizes[-1]
        total, value, cursor = (self.registers.take(t) for t in ("v128", "v128", "i32"))
        readers = self._cursors(walkers[:-1])

        def meet(pointer: Local, at: int) -> None:
            f.get(pointer).load(at).set(value)
            self._combine(total, value).set(total)

        def run() -> None:
            f.get(readers[0]).set(cursor)
            with f.repeat(size // 64):
                for i in range(4):
                    meet(cursor, 16 * i)
                f.advance(cursor, 64)
            for i in range(size % 64 // 16):
                meet(cursor, 16 * i)
            if size % 16:
                meet(readers[0], size - 16)

        self._identity().set(total)
        self._loops(nest, range(kept, len(nest.sizes) - 1), readers, None, run)
        f.get(walkers[-1]).get(total)
        f.op("v128.any_true" if nest.reduce.combine.op == "or" else "i8x16.all_true")
        f.op("i32.store8")
        self.registers.give(total, value, cursor, *readers)

"""The form `bytes`: an elementwise body sixteen elements at a time, one load and store per operand.

Bytes widen to four vectors of int32 lanes, the body runs on each, and the results are narrowed
together; float and int32 operands are four loads or stores.
"""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.loop_forms import GROUP
from fanlight.codegen.wasm.kernels.loop_ir import Nest
from fanlight.codegen.wasm.kernels.loop_lanes import NestEmitter
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.rounding import constants, finish, rounding, start
from fanlight.ops import scalar as sc

STEP = 16  # elements
# Four bytes to the low bytes of four int32, by a swizzle: one instruction, where extending twice is
# up to four on x64. Lanes out of range become 0.
_SPREAD = [
    bytes(b for lane in range(4) for b in (4 * part + lane, 255, 255, 255)) for part in range(4)
]


class BytesEmitter(NestEmitter):
    """The code of a nest whose innermost loop is contiguous or still for every operand."""

    def __init__(
        self, f: Function, registers: Registers, nest: Nest, pointers: Sequence[Local]
    ) -> None:
        super().__init__(f, registers, nest, pointers)
        self.rounding = None
        self.value = nest.body  # what is computed per vector, before it is narrowed
        if nest.store.dtype == "uint8" and nest.body.op == "uint8":
            self.rounding = rounding(nest.body, self.dtypes)
            if self.rounding is not None:
                self.value = self.rounding.value
            elif sc.infer(nest.body.args[0], self.dtypes) == "int32":
                self.value = nest.body.args[0]  # narrowing saturates by itself
        self.value = _without_zeros(self.value, self.dtypes)

    def emit(self, begin: Local, end: Local) -> None:
        """The units [begin, end)."""
        held = scalar_code.constants(self.value, self.dtypes)
        if self.rounding is not None:
            held += constants(self.rounding)
        if any(a.width == 1 and a.strides[-1] for a in self.nest.loads):
            held += _SPREAD
        with self.f.holding(held):
            self._emit(begin, end)

    def _emit(self, begin: Local, end: Local) -> None:
        nest = self.nest
        single = len(nest.sizes) == 1
        steps = [a.strides[0] * (GROUP if single else 1) for a in nest.accesses]
        walkers = self._pointers(nest.accesses, begin, steps)
        if single:
            self._range(walkers, begin, end)
        else:
            dims = range(len(nest.sizes) - 1)
            self._loops(nest, dims, walkers, (begin, end), lambda: self._run(walkers))
        self.registers.give(*walkers)

    def _range(self, walkers: Sequence[Local], begin: Local, end: Local) -> None:
        """The only loop: groups [begin, end); the pointers move."""
        f, size = self.f, self.nest.sizes[0]
        held = self._hold(walkers)
        left = self.registers.take("i32")
        self._stop(end).get(begin).times(GROUP).op("i32.sub")
        f.i32(STEP.bit_length() - 1).op("i32.shr_s").set(left)
        with f.block() as done:
            f.get(left).i32(0).op("i32.le_s").br_if(done)
            with f.loop() as again:
                self._step(walkers, held, 0, STEP)
                self._onwards(walkers, STEP)
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        if size % STEP:
            f.get(end).times(GROUP).i32(size).op("i32.gt_s")
            with f.if_():
                self._step(walkers, held, 0, size % STEP)
        self.registers.give(left, *held.values())

    def _run(self, walkers: Sequence[Local]) -> None:
        """The last loop, of a size known now; the pointers stay."""
        f = self.f
        whole, tail = divmod(self.nest.sizes[-1], STEP)
        held = self._hold(walkers)
        rounds = whole if whole > 2 else 0
        cursors = self._cursors(walkers) if rounds else list(walkers)
        if rounds:
            with f.repeat(rounds):
                self._step(cursors, held, 0, STEP)
                self._onwards(cursors, STEP)
        for index in range(whole - rounds):
            self._step(cursors, held, STEP * index, STEP)
        if tail:
            self._step(cursors, held, STEP * (whole - rounds), tail)
        if rounds:
            self.registers.give(*cursors)
        self.registers.give(*held.values())

    def _step(
        self, cursors: Sequence[Local], held: dict[int, Local], index: int, count: int
    ) -> None:
        """`count` elements from element `index` after the cursors."""
        f, nest, registers = self.f, self.nest, self.registers
        whole: dict[int, Local] = {}  # the sixteen bytes of an operand
        for i, a in enumerate(nest.loads):
            if i not in held and a.width == 1:
                whole[i] = registers.take("v128")
                f.get(cursors[i]).load(index).set(whole[i])
        parts = -(-count // 4)
        results: list[Local] = []
        halves: list[Local] = []
        for part in range(parts):
            args, taken = [], []
            for i, a in enumerate(nest.loads):
                if i in held:
                    args.append(held[i])
                    continue
                value = registers.take("v128")
                if a.width == 4:
                    f.get(cursors[i]).load((index + 4 * part) * 4)
                else:
                    f.get(whole[i]).v128(_SPREAD[part]).op("i8x16.swizzle")
                    if a.dtype == "bool":
                        f.op("i32x4.neg")
                f.set(value)
                args.append(value)
                taken.append(value)
            self._result(args)
            registers.give(*taken)
            results.append(registers.take("v128"))
            f.set(results[-1])
            if nest.store.width == 4:
                at = (index + 4 * part) * 4
                result = results.pop()
                store_bytes(f, cursors[-1], result, min(16, 4 * (count - 4 * part)), at)
                registers.give(result)
            elif part % 2 or part == parts - 1:
                halves.append(self._narrowed(results, "i16x8.narrow_i32x4_s"))
                results = []
        registers.give(*whole.values())
        if halves:
            # int16 lanes of a bool are masks: -1 or 0.
            to_bool = nest.store.dtype == "bool"
            value = self._narrowed(halves, f"i8x16.narrow_i16x8_{'s' if to_bool else 'u'}")
            if to_bool:
                f.get(value).op("i8x16.neg").set(value)
            elif self.rounding is not None and self.rounding.high < 255:
                f.get(value).v128(bytes([self.rounding.high]) * 16).op("i8x16.min_u").set(value)
            store_bytes(f, cursors[-1], value, count, index)
            registers.give(value)

    def _result(self, args: Sequence[Local]) -> None:
        """Push the results of one vector of elements, not narrowed."""
        f = self.f
        if self.rounding is not None:
            start(f, self.rounding)
        self._compute(self.value, self.dtypes, args)
        if self.rounding is not None:
            finish(f, self.rounding, clip=False)

    def _narrowed(self, values: Sequence[Local], op: str) -> Local:
        """One vector out of two, or out of one and itself; it takes the place of the first."""
        first, last = values[0], values[-1]
        self.f.get(first).get(last).op(op).set(first)
        self.registers.give(*values[1:])
        return first


class PickEmitter(BytesEmitter):
    """The form `bytes` of a copy that `picks`: a vector for every step between bytes, shuffled."""

    def emit(self, begin: Local, end: Local) -> None:
        """The units [begin, end)."""
        self._emit(begin, end)

    def _hold(self, walkers: Sequence[Local]) -> dict[int, Local]:
        if self.nest.loads[0].strides[-1]:
            return {}
        value = self.registers.take("v128")
        self.f.get(walkers[0]).op("v128.load8_splat").set(value)
        return {0: value}

    def _step(
        self, cursors: Sequence[Local], held: dict[int, Local], index: int, count: int
    ) -> None:
        f, apart = self.f, self.nest.loads[0].strides[-1]
        if held:
            store_bytes(f, cursors[-1], held[0], count, index)
            return
        value = self.registers.take("v128")
        if apart < 0:
            # The last of them lies lowest. No tensor begins at the first bytes of memory.
            f.get(cursors[0]).plus(-index - 15).load().tee(value).get(value)
            f.op("i8x16.shuffle", *range(15, -1, -1)).set(value)
        else:
            f.get(cursors[0]).load(index * apart)
            for number in range(1, apart):
                f.get(cursors[0]).load(index * apart + 16 * number)
                # Byte j is byte j * apart of all vectors in a row; earlier ones are in their place.
                whole = [(j * apart // 16, j * apart % 16) for j in range(16)]
                first = number == 1
                f.op("i8x16.shuffle", *(
                    16 + lane if vector == number
                    else lane if first and vector == 0 else j
                    for j, (vector, lane) in enumerate(whole)
                ))  # fmt: skip
            f.set(value)
        store_bytes(f, cursors[-1], value, count, index)
        self.registers.give(value)


def _without_zeros(expr: sc.Expr, dtypes: Sequence[str]) -> sc.Expr:
    """The expression without additions of an int32 0, which is what zero points often are."""
    done: dict[int, sc.Expr] = {}
    for node in sc.topological(expr):
        parts = [done[id(a)] for a in node.args]
        adds = node.op in ("add", "sub") and parts[1].op == "const"
        if adds and parts[1].value == 0 and sc.infer(parts[0], dtypes) == "int32":
            done[id(node)] = parts[0]
        else:
            done[id(node)] = sc.make(node.op, *parts) if parts else node
    return done[id(expr)]

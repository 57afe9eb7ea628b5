"""A function builder that checks the operand stack while it emits.

Every emitting method returns the builder, so that a line reads as the computation it is:
`f.get(a).get(b).op("f32x4.add").set(c)`. A wrong operand type fails at the line that emits it, as
E-BUILD-008. Blocks are `with` blocks that hand out the label to branch to:

    with f.block() as done, f.loop() as again:
        f.get(i).get(end).op("i32.ge_s").br_if(done)
        ...
        f.br(again)
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import groupby

from fanlight.codegen.wasm.opcodes import (
    EMPTY_BLOCK,
    OPCODES,
    RELAXED,
    VALUE_TYPES,
    signed,
    unsigned,
)
from fanlight.errors import FanlightError


@dataclass(frozen=True)
class Local:
    """A parameter or local variable of one function."""

    index: int
    type: str


@dataclass(eq=False)
class Label:
    """A block that is open. Branching to a loop's label starts the loop again."""

    kind: str
    height: int  # operand stack height at entry
    unreachable: bool = False
    open: bool = True


@dataclass(frozen=True)
class Signature:
    """Parameter and result types of a function."""

    params: tuple[str, ...]
    results: tuple[str, ...] = ()


Number = int | Local
"""A loop bound: known now, or in an i32 local."""


@dataclass
class Function:
    """One function under construction.

    Attributes:
        name: its name in the module, used by `call`.
        signature: parameter and result types.
        params: the parameters as locals, in order.
        resolve: name of another function -> (index, signature); given by the module.
        relaxed_simd: whether it may use relaxed SIMD instructions.
    """

    name: str
    signature: Signature
    resolve: Callable[[str], tuple[int, Signature]]
    code: bytearray = field(default_factory=bytearray)
    uses_relaxed: bool = False
    relaxed_simd: bool = False

    def __post_init__(self) -> None:
        self.params = tuple(Local(i, t) for i, t in enumerate(self.signature.params))
        self._types: list[str] = list(self.signature.params)
        self._stack: list[str] = []
        self._labels: list[Label] = [Label("function", 0)]
        self._held: dict[bytes, Local] = {}

    # --- the operand stack ------------------------------------------------------------------------

    def _fail(
        self, message: str, expected: object = None, received: object = None
    ) -> FanlightError:
        return FanlightError(
            "E-BUILD-008", message, where=self.name, expected=expected, received=received
        )

    def _pop(self, types: Sequence[str], by: str) -> None:
        frame = self._labels[-1]
        for wanted in reversed(types):
            if len(self._stack) == frame.height:
                if frame.unreachable:
                    continue
                raise self._fail(f"{by} finds the operand stack empty.", wanted, "nothing")
            got = self._stack.pop()
            if got != wanted:
                raise self._fail(f"{by} finds an operand of another type.", wanted, got)

    def _emit(self, code: bytes, pops: Sequence[str], pushes: Sequence[str], by: str) -> Function:
        self._pop(pops, by)
        self._stack.extend(pushes)
        self.code += code
        return self

    # --- variables and constants ------------------------------------------------------------------

    def local(self, type: str) -> Local:
        """A new local variable, zero at entry."""
        if type not in VALUE_TYPES:
            raise self._fail("there is no such value type.", ", ".join(VALUE_TYPES), type)
        self._types.append(type)
        return Local(len(self._types) - 1, type)

    def locals(self, count: int, type: str) -> list[Local]:
        """Several new local variables of one type."""
        return [self.local(type) for _ in range(count)]

    def get(self, local: Local) -> Function:
        """Push a local."""
        return self._emit(b"\x20" + unsigned(local.index), (), (local.type,), "local.get")

    def set(self, local: Local) -> Function:
        """Pop into a local."""
        return self._emit(b"\x21" + unsigned(local.index), (local.type,), (), "local.set")

    def tee(self, local: Local) -> Function:
        """Copy the top of the stack into a local."""
        code = b"\x22" + unsigned(local.index)
        return self._emit(code, (local.type,), (local.type,), "local.tee")

    def i32(self, value: int) -> Function:
        """Push an i32 constant; 0 .. 2**32 - 1 is taken as its two's complement."""
        if not -(2**31) <= value < 2**32:
            raise self._fail("an i32 constant is out of range.", "32 bits", value)
        wrapped = value - 2**32 if value >= 2**31 else value
        return self._emit(b"\x41" + signed(wrapped), (), ("i32",), "i32.const")

    def f32(self, value: float) -> Function:
        """Push an f32 constant (rounded to float32)."""
        return self._emit(b"\x43" + struct.pack("<f", value), (), ("f32",), "f32.const")

    def f64(self, value: float) -> Function:
        """Push an f64 constant."""
        return self._emit(b"\x44" + struct.pack("<d", value), (), ("f64",), "f64.const")

    def v128(self, data: bytes) -> Function:
        """Push a v128 constant of 16 bytes."""
        if len(data) != 16:
            raise self._fail("a v128 constant has 16 bytes.", 16, len(data))
        held = self._held.get(bytes(data))
        if held is not None:
            return self.get(held)
        return self._emit(b"\xfd\x0c" + bytes(data), (), ("v128",), "v128.const")

    @contextmanager
    def holding(self, constants: Iterable[bytes]) -> Iterator[None]:
        """Keep v128 constants in locals, so that loops inside do not build them anew.

        V8 makes a constant from two 64-bit immediates at every use, four instructions each.
        """
        before = dict(self._held)
        for data in constants:
            if data not in self._held:
                local = self.local("v128")
                self.v128(data).set(local)
                self._held[data] = local
        yield
        self._held = before

    def f32x4(self, *values: float) -> Function:
        """Push a vector of four floats; one value fills all lanes."""
        lanes = values * 4 if len(values) == 1 else values
        return self.v128(struct.pack("<4f", *lanes))

    def i32x4(self, *values: int) -> Function:
        """Push a vector of four ints; one value fills all lanes."""
        lanes = values * 4 if len(values) == 1 else values
        return self.v128(struct.pack("<4I", *(v & 0xFFFFFFFF for v in lanes)))

    # --- instructions -----------------------------------------------------------------------------

    def op(self, name: str, *immediates: int) -> Function:
        """Emit the instruction with this spec name.

        Immediates: the byte offset of a memory access (0 if left out), then the lane of a lane
        instruction; 16 byte indices for i8x16.shuffle.
        """
        row = OPCODES.get(name)
        if row is None:
            raise self._fail("there is no such instruction in the opcode table.", None, name)
        if name in RELAXED:
            self.uses_relaxed = True
        code = row.code
        kind = row.immediate
        if kind == "mem":
            code += self._memory(name, immediates or (0,), 1)
        elif kind == "atomic":
            code += self._memory(name, immediates or (0,), 1, alignment=2)  # no other is valid
        elif kind == "mem lane":
            code += self._memory(name, immediates, 2) + bytes([immediates[1]])
        elif kind == "lane":
            (lane,) = immediates
            code += bytes([lane])
        elif kind == "shuffle":
            if len(immediates) != 16 or not all(0 <= b < 32 for b in immediates):
                raise self._fail(f"{name} takes 16 indices below 32.", None, immediates)
            code += bytes(immediates)
        elif immediates:
            raise self._fail(f"{name} takes no immediates.", None, immediates)
        else:
            code += bytes(len(kind.split()))  # memory indices, all 0
        return self._emit(code, row.operands, row.results, name)

    def _memory(
        self, name: str, immediates: Sequence[int], count: int, alignment: int = 0
    ) -> bytes:
        # Alignment 0 (bytes) is valid but for atomics; engines on x64 and ARM64 ignore the hint.
        if len(immediates) != count or not 0 <= immediates[0] < 2**32:
            raise self._fail(f"{name} takes an offset of 0 .. 2**32 - 1.", None, immediates)
        return bytes([alignment]) + unsigned(immediates[0])

    def load(self, offset: int = 0) -> Function:
        """v128.load."""
        return self.op("v128.load", offset)

    def store(self, offset: int = 0) -> Function:
        """v128.store."""
        return self.op("v128.store", offset)

    def drop(self) -> Function:
        """Discard the top of the stack."""
        frame = self._labels[-1]
        if len(self._stack) > frame.height:
            return self._emit(b"\x1a", (self._stack[-1],), (), "drop")
        if frame.unreachable:
            return self._emit(b"\x1a", (), (), "drop")
        raise self._fail("drop finds the operand stack empty.")

    def select(self) -> Function:
        """Pop a, b and an i32 condition; push a if the condition is not 0, else b."""
        if len(self._stack) < self._labels[-1].height + 3:
            raise self._fail("select needs three operands.", 3, len(self._stack))
        type = self._stack[-2]
        if type == "v128":
            code = b"\x1c\x01" + bytes([VALUE_TYPES[type]])
        else:
            code = b"\x1b"
        return self._emit(code, (type, type, "i32"), (type,), "select")

    def call(self, name: str) -> Function:
        """Call a function of the module that was defined before."""
        index, signature = self.resolve(name)
        return self._emit(
            b"\x10" + unsigned(index), signature.params, signature.results, f"call {name}"
        )

    # --- small phrases ----------------------------------------------------------------------------

    def value(self, number: Number) -> Function:
        """Push a number that is known now or an i32 local."""
        return self.get(number) if isinstance(number, Local) else self.i32(number)

    def plus(self, value: int) -> Function:
        """Add a constant to the i32 on the stack (nothing is emitted for 0)."""
        return self.i32(value).op("i32.add") if value else self

    def times(self, value: int) -> Function:
        """Multiply the i32 on the stack by a constant."""
        if value == 1:
            return self
        if value > 0 and value & (value - 1) == 0:
            return self.i32(value.bit_length() - 1).op("i32.shl")
        return self.i32(value).op("i32.mul")

    def advance(self, local: Local, value: int) -> Function:
        """Add a constant to an i32 local."""
        return self.get(local).plus(value).set(local) if value else self

    def address(self, base: Local, index: Local, stride: int) -> Function:
        """Push base + index * stride."""
        return self.get(base).get(index).times(stride).op("i32.add")

    # --- structure --------------------------------------------------------------------------------

    def _open(self, code: int, kind: str) -> Label:
        self.code += bytes([code, EMPTY_BLOCK])
        label = Label(kind, len(self._stack))
        self._labels.append(label)
        return label

    def _close(self, label: Label) -> None:
        if self._labels[-1] is not label:
            raise self._fail(f"a {label.kind} ends inside another block.")
        self._balanced(label, f"the end of a {label.kind}")
        del self._stack[label.height :]
        label.open = False
        self._labels.pop()
        self.code += b"\x0b"

    def _balanced(self, label: Label, where: str) -> None:
        extra = self._stack[label.height :]
        if extra:
            raise self._fail(f"{where} leaves operands behind.", "none", extra)

    @contextmanager
    def _structure(self, code: int, kind: str) -> Iterator[Label]:
        label = self._open(code, kind)
        yield label
        self._close(label)

    def block(self) -> AbstractContextManager[Label]:
        """`with f.block() as done:` branching to `done` leaves the block."""
        return self._structure(0x02, "block")

    def loop(self) -> AbstractContextManager[Label]:
        """`with f.loop() as again:` branching to `again` repeats; falling through leaves."""
        return self._structure(0x03, "loop")

    @contextmanager
    def if_(self) -> Iterator[Label]:
        """Pop an i32; `with f.if_():` runs where it is not 0; see `else_`."""
        self._pop(("i32",), "if")
        with self._structure(0x04, "if") as label:
            yield label

    def else_(self) -> Function:
        """Inside `with f.if_():`, start what runs where the condition is 0."""
        label = self._labels[-1]
        if label.kind != "if":
            raise self._fail("else stands outside an if.")
        self._balanced(label, "the first half of an if")
        label.kind, label.unreachable = "else", False
        self.code += b"\x05"
        return self

    def _depth(self, label: Label) -> bytes:
        if not label.open:
            raise self._fail(f"a branch goes to a {label.kind} that has ended.")
        return unsigned(len(self._labels) - 1 - self._labels.index(label))

    def _never(self) -> None:
        frame = self._labels[-1]
        del self._stack[frame.height :]
        frame.unreachable = True

    def br(self, label: Label) -> Function:
        """Branch."""
        self.code += b"\x0c" + self._depth(label)
        self._never()
        return self

    def br_if(self, label: Label) -> Function:
        """Pop an i32; branch if it is not 0."""
        return self._emit(b"\x0d" + self._depth(label), ("i32",), (), "br_if")

    def br_table(self, labels: Sequence[Label], default: Label) -> Function:
        """Pop an i32; branch to that label of the list, or to `default` beyond its end."""
        self._pop(("i32",), "br_table")
        depths = b"".join(map(self._depth, labels))
        self.code += b"\x0e" + unsigned(len(labels)) + depths + self._depth(default)
        self._never()
        return self

    def return_(self) -> Function:
        """Return the results on the stack."""
        self._pop(self.signature.results, "return")
        self.code += b"\x0f"
        self._never()
        return self

    def unreachable(self) -> Function:
        """Trap."""
        self.code += b"\x00"
        self._never()
        return self

    @contextmanager
    def repeat(self, count: int) -> Iterator[None]:
        """Run the body `count` times, known now. 0: the body is emitted nowhere; 1: no loop."""
        if count <= 0:
            kept = bytes(self.code), list(self._types), self.uses_relaxed
            yield
            self.code[:], self.uses_relaxed = kept[0], kept[2]
            return
        if count == 1:
            yield
            return
        left = self.local("i32")
        self.i32(count).set(left)
        with self.loop() as again:
            yield
            self.get(left).i32(1).op("i32.sub").tee(left).br_if(again)

    @contextmanager
    def range(self, counter: Local, low: Number, high: Number, step: int = 1) -> Iterator[Local]:
        """`for counter in range(low, high, step)`, step > 0; the body may read the counter only.

        The test is before the body unless both bounds are known and the range is not empty.
        """
        self.value(low).set(counter)
        if isinstance(low, int) and isinstance(high, int) and low < high:
            with self.loop() as again:
                yield counter
                self.get(counter).plus(step).tee(counter).i32(high).op("i32.lt_s").br_if(again)
            return
        with self.block() as done:
            self.get(counter).value(high).op("i32.ge_s").br_if(done)
            with self.loop() as again:
                yield counter
                self.get(counter).plus(step).tee(counter).value(high)
                self.op("i32.lt_s").br_if(again)

    # --- the end ----------------------------------------------------------------------------------

    def finish(self) -> bytes:
        """The encoded body (locals and code). Fails if a block is open or the stack is wrong."""
        if len(self._labels) != 1:
            raise self._fail(
                "the function ends inside a block.", "none open", self._labels[-1].kind
            )
        if not self._labels[0].unreachable or self._stack:
            kept = list(self._stack)
            self._pop(self.signature.results, "the end of the function")
            self._balanced(self._labels[0], "the end of the function")
            self._stack = kept
        runs = [(len(list(g)), t) for t, g in groupby(self._types[len(self.params) :])]
        declared = b"".join(unsigned(n) + bytes([VALUE_TYPES[t]]) for n, t in runs)
        body = unsigned(len(runs)) + declared + bytes(self.code) + b"\x0b"
        return unsigned(len(body)) + body

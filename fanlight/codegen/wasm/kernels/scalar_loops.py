"""Plain loops over float64 numbers and arrays, for kernels that are algorithms and not sweeps.

    p = Program(f)
    a = p.array(pointer, (n, n), "f32")
    total = p.number(0.0)
    with p.loop(0, n) as i:
        total.set(total + a[i, i])

What runs along rows of float64 is done by vectors: `add_row` and `dot`.

Numbers are f64 or i32 expressions that are pushed where they are used; a variable has a local.
Arrays of float32 are read as float64 and rounded where they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from fanlight.codegen.wasm.assembler import Function, Label, Local

_BYTES = {"f32": 4, "f64": 8}


@dataclass(frozen=True, eq=False)
class Number:
    """An expression: `push` puts its value on the stack."""

    f: Function
    type: str
    push: Callable[[], object]

    def _lift(self, other: Any) -> Number:
        return other if isinstance(other, Number) else constant(self.f, self.type, other)

    def _with(self, op: str, other: Any, result: str | None = None) -> Number:
        second = self._lift(other)

        def push() -> None:
            self.push()
            second.push()
            self.f.op(f"{self.type}.{op}")

        return Number(self.f, result or self.type, push)

    def _one(self, op: str) -> Number:
        def push() -> None:
            self.push()
            self.f.op(f"{self.type}.{op}")

        return Number(self.f, self.type, push)

    def __add__(self, other: Any) -> Number:
        return self._with("add", other)

    def __sub__(self, other: Any) -> Number:
        return self._with("sub", other)

    def __rsub__(self, other: Any) -> Number:
        return self._lift(other) - self

    def __mul__(self, other: Any) -> Number:
        return self._with("mul", other)

    def __rmul__(self, other: Any) -> Number:
        return self._lift(other) * self

    def __truediv__(self, other: Any) -> Number:
        return self._with("div", other)

    def __rtruediv__(self, other: Any) -> Number:
        return self._lift(other) / self

    def __neg__(self) -> Number:
        return self._one("neg")

    def __lt__(self, other: Any) -> Number:
        return self._with("lt" if self.type == "f64" else "lt_s", other, "i32")

    def __gt__(self, other: Any) -> Number:
        return self._with("gt" if self.type == "f64" else "gt_s", other, "i32")

    def __ge__(self, other: Any) -> Number:
        return self._with("ge" if self.type == "f64" else "ge_s", other, "i32")

    def same(self, other: Any) -> Number:
        """Whether both are equal."""
        return self._with("eq", other, "i32")

    def root(self) -> Number:
        """The square root."""
        return self._one("sqrt")

    def size(self) -> Number:
        """The absolute value."""
        return self._one("abs")

    def signed_as(self, other: Number) -> Number:
        """Its size with the sign of another number."""
        return self._with("copysign", other)


@dataclass(frozen=True, eq=False)
class Variable(Number):
    """A number with a local of its own."""

    local: Local

    def set(self, value: Any) -> None:
        """Give it another value."""
        self._lift(value).push()
        self.f.set(self.local)


def constant(f: Function, type: str, value: Any) -> Number:
    """A number that is known now."""
    return Number(f, type, lambda: f.i32(value) if type == "i32" else f.f64(float(value)))


@dataclass(frozen=True)
class Array:
    """Numbers in memory, row-major; indices are ints or i32 numbers."""

    f: Function
    base: Local
    shape: tuple[int, ...]
    kind: str = "f64"

    def _address(self, index: Any) -> int:
        """Push the address without the part that is known now, which is returned."""
        indices = index if isinstance(index, tuple) else (index,)
        stride, fixed = _BYTES[self.kind], 0
        self.f.get(self.base)
        for size, i in zip(reversed(self.shape), reversed(indices), strict=True):
            if isinstance(i, Number):
                i.push()
                self.f.times(stride).op("i32.add")
            else:
                fixed += i * stride
            stride *= size
        return fixed

    def __getitem__(self, index: Any) -> Number:
        def push() -> None:
            self.f.op(f"{self.kind}.load", self._address(index))
            if self.kind == "f32":
                self.f.op("f64.promote_f32")

        return Number(self.f, "f64", push)

    def __setitem__(self, index: Any, value: Any) -> None:
        fixed = self._address(index)
        (value if isinstance(value, Number) else constant(self.f, "f64", value)).push()
        if self.kind == "f32":
            self.f.op("f32.demote_f64")
        self.f.op(f"{self.kind}.store", fixed)


class Program:
    """Variables, arrays and loops of one function."""

    def __init__(self, f: Function) -> None:
        self.f = f
        self._row_locals: tuple[Local, ...] = ()

    def number(self, value: Any = 0.0, type: str = "f64") -> Variable:
        """A new variable."""
        local = self.f.local(type)
        made = Variable(self.f, type, lambda: self.f.get(local), local)
        made.set(value)
        return made

    def integer(self, value: Any = 0) -> Variable:
        """A new i32 variable."""
        return self.number(value, "i32")

    def array(self, base: Local, shape: tuple[int, ...], kind: str = "f64") -> Array:
        """An array whose address is in a local."""
        return Array(self.f, base, shape, kind)

    def pointer(self, base: Local, unit: Local, bytes: int, offset: int = 0) -> Local:
        """A new local with the address of a unit of so many bytes, plus an offset."""
        local = self.f.local("i32")
        self.f.address(base, unit, bytes).plus(offset).set(local)
        return local

    @contextmanager
    def loop(self, low: Any, high: Any) -> Iterator[Variable]:
        """`for i in range(low, high)`; the bounds are ints or i32 numbers."""
        i, f = self.integer(low), self.f
        with f.block() as done, f.loop() as again:
            (i >= high).push()
            f.br_if(done)
            yield i
            i.set(i + 1)
            f.br(again)

    def when(self, condition: Number) -> AbstractContextManager[Label]:
        """`with p.when(a > b):`; see `otherwise`."""
        condition.push()
        return self.f.if_()

    def otherwise(self) -> None:
        """Inside `when`, begin what runs where the condition does not hold."""
        self.f.else_()

    def exchange(self, array: Array, first: Any, second: Any) -> None:
        """Exchange two elements."""
        kept = self.number(array[first])
        array[first] = array[second]
        array[second] = kept

    # --- parts of rows, two numbers at a time -----------------------------------------------------

    def add_row(
        self, target: Array, to: Any, source: Array, at: Any, factor: Any, end: Any
    ) -> None:
        """target[i, j:end] += factor * source[k, j:end]; `to` is (i, j), `at` (k, j) with one j."""
        f, (p, q, left, pair, _, one) = self.f, self._row(target, to, source, at, end)
        (factor if isinstance(factor, Number) else constant(f, "f64", factor)).push()
        f.tee(one).op("f64x2.splat").set(pair)

        def two() -> None:
            for i in (0, 16):
                f.get(p).get(p).load(i).get(pair).get(q).load(i)
                f.op("f64x2.mul").op("f64x2.add").store(i)

        def single() -> None:
            f.get(p).get(p).op("f64.load").get(one).get(q).op("f64.load")
            f.op("f64.mul").op("f64.add").op("f64.store")

        self._along(p, q, left, two, single)

    def dot(self, a: Array, to: Any, b: Array, at: Any, end: Any) -> Number:
        """The sum of a[i, j:end] * b[k, j:end], computed now; good until the next call."""
        f, (p, q, left, pair, other, one) = self.f, self._row(a, to, b, at, end)
        for local in (pair, other):
            f.f64(0.0).op("f64x2.splat").set(local)
        f.f64(0.0).set(one)

        def two() -> None:
            for i, local in ((0, pair), (16, other)):
                f.get(p).load(i).get(q).load(i).op("f64x2.mul").get(local)
                f.op("f64x2.add").set(local)

        def single() -> None:
            f.get(p).op("f64.load").get(q).op("f64.load").op("f64.mul")
            f.get(one).op("f64.add").set(one)

        self._along(p, q, left, two, single)
        f.get(pair).get(other).op("f64x2.add").tee(pair).op("f64x2.extract_lane", 0)
        f.get(pair).op("f64x2.extract_lane", 1).op("f64.add")
        f.get(one).op("f64.add").set(one)
        return Number(f, "f64", lambda: f.get(one))

    def _row(self, a: Array, to: Any, b: Array, at: Any, end: Any) -> tuple[Local, ...]:
        """Two addresses and how many numbers follow; and locals to compute with."""
        f = self.f
        if not self._row_locals:
            self._row_locals = (*f.locals(3, "i32"), *f.locals(2, "v128"), f.local("f64"))
        for pointer, array, place in zip(self._row_locals, (a, b), (to, at), strict=False):
            f.plus(array._address(place)).set(pointer)
        begin = to[-1] if isinstance(to[-1], Number) else constant(f, "i32", to[-1])
        (constant(f, "i32", 0) + end - begin).push()
        f.set(self._row_locals[2])
        return self._row_locals

    def _along(
        self,
        p: Local,
        q: Local,
        left: Local,
        two: Callable[[], None],
        single: Callable[[], None],
    ) -> None:
        """Two pairs at a time, then one number at a time."""
        f = self.f
        for count, body in ((4, two), (1, single)):
            with f.block() as done, f.loop() as again:
                f.get(left).i32(count).op("i32.lt_s").br_if(done)
                body()
                f.advance(p, 8 * count).advance(q, 8 * count).advance(left, -count).br(again)

"""fft: Stockham's form of the fast Fourier transform, which needs no reordering.

A stage of radix p takes L = p m neighbours at a stride of s numbers, L s = n:

    y[q + s (p j + k)] = exp(-2 pi i j k / L) sum_r x[q + s (j + m r)] exp(-2 pi i r k / p)

for q < s, j < m, k < p. Radix 4 comes first, so that s is a multiple of 4 from the second stage on
and vectors run along q; in the first stage they run along j. The inverse is the transform with
real and imaginary parts exchanged, before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi, prod, sin

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import transpose4
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

UNROLLED = 7  # the largest radix whose sums are written out
Pair = tuple[Local, Local]


def factors(n: int) -> list[int]:
    """Radices of the stages: fours, then at most one two, then other primes."""
    found = []
    for p in (4, 2):
        while n % p == 0:
            found.append(p)
            n //= p
    p = 3
    while n > 1:
        while n % p == 0:
            found.append(p)
            n //= p
        p = p + 2 if p * p <= n else max(n, p + 2)
    return found


@dataclass(frozen=True)
class Fft:
    """Transforms of n numbers each."""

    n: int
    inverse: bool


@register("fft")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of an fft node; its units are the transforms."""
    shape = node.inputs[0].type.bound
    job, rows = Fft(shape[-1], node.attrs["inverse"]), prod(shape[:-1])
    radices = factors(job.n)

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 8)
        _Emitter(f, job, radices).run()

    flops = rows * job.n * sum(8 * p for p in radices)
    scratch = rows * job.n * 8
    return Kernel(f"{job}", emit, rows, scratch=scratch, flops=flops, bytes=node_bytes(node))


class _Emitter:
    def __init__(self, f: Function, job: Fft, radices: Sequence[int]) -> None:
        self.f, self.n, self.radices = f, job.n, radices
        real, imag, self.roots, out_real, out_imag, self.scratch, self.low, self.high = f.params
        self.given, self.made = (real, imag), (out_real, out_imag)
        if job.inverse:
            self.given, self.made = (imag, real), (out_imag, out_real)
        self.scale = 1 / job.n if job.inverse else 1.0
        self.last = False

    def run(self) -> None:
        """All rows."""
        f, n = self.f, self.n
        row = f.local("i32")
        source, result, spare = (tuple(f.locals(2, "i32")) for _ in range(3))
        with f.range(row, self.low, self.high):
            for local, base in zip((*source, *result), (*self.given, *self.made), strict=True):
                f.address(base, row, 4 * n).set(local)
            f.address(self.scratch, row, 8 * n).tee(spare[0]).plus(4 * n).set(spare[1])
            if not self.radices:
                for a, b in zip(source, result, strict=True):
                    f.get(b).get(a).op("f32.load").op("f32.store")
            stride = 1
            for at, p in enumerate(self.radices):
                left = len(self.radices) - 1 - at
                target = result if left % 2 == 0 else spare
                self.last = left == 0
                self._stage(p, stride, source, target)
                source, stride = target, stride * p

    def _stage(self, p: int, s: int, source: Sequence[Local], target: Sequence[Local]) -> None:
        m = self.n // (p * s)
        if p > UNROLLED:
            self._long_stage(p, m, s, source, target)
        elif p == 4 and s == 1 and m % 4 == 0:
            self._first_stage(m, source, target)
        else:
            self._plain_stage(p, m, s, source, target)

    # --- stages -----------------------------------------------------------------------------------

    def _plain_stage(
        self, p: int, m: int, s: int, source: Sequence[Local], target: Sequence[Local]
    ) -> None:
        """Vectors along q where the stride allows, else one number at a time."""
        f = self.f
        sums = _Sums(f, "f32x4" if s % 4 == 0 else "f32")
        j, q, root = f.locals(3, "i32")
        here, there = f.locals(2, "i32"), f.locals(2, "i32")
        with f.range(j, 0, m):
            for pointers, bases, step in ((here, source, s), (there, target, p * s)):
                for local, base in zip(pointers, bases, strict=True):
                    f.address(base, j, 4 * step).set(local)
            turns: list[Pair] = []
            for k in range(1, p if m > 1 else 1):
                f.address(self.roots, j, 4 * k * s).set(root)
                turns.append((sums.splat(root, 0), sums.splat(root, 4 * self.n)))
            with f.range(q, 0, s, sums.lanes):
                a = [sums.pair(here, 4 * s * m * r) for r in range(p)]
                for k, b in enumerate(sums.butterfly(a)):
                    b = sums.times(b, turns[k - 1]) if k and turns else b
                    sums.store(there, b, 4 * s * k, self._scale)
                for local in (*here, *there):
                    f.advance(local, 4 * sums.lanes)

    @property
    def _scale(self) -> float:
        return self.scale if self.last else 1.0

    def _first_stage(self, m: int, source: Sequence[Local], target: Sequence[Local]) -> None:
        """Radix 4 at stride 1: vectors along j, whose results are transposed."""
        f, sums = self.f, _Sums(self.f, "f32x4")
        j, root = f.locals(2, "i32")
        here, there = f.locals(2, "i32"), f.locals(2, "i32")
        spare = f.locals(4, "v128")
        for local, base in zip((*here, *there), (*source, *target), strict=True):
            f.get(base).set(local)
        with f.range(j, 0, m, 4):
            a = [sums.pair(here, 4 * m * r) for r in range(4)]
            b = sums.butterfly(a)
            for k in range(1, 4):
                f.address(self.roots, j, 4 * k).set(root)
                turn = (self._strided(root, k, 0), self._strided(root, k, 4 * self.n))
                b[k] = sums.times(b[k], turn)
            for part in (0, 1):
                for at, vector in enumerate(transpose4(f, [x[part] for x in b], spare)):
                    sums.store_one(there[part], vector, 16 * at, self._scale)
                f.advance(here[part], 16).advance(there[part], 64)

    def _strided(self, root: Local, k: int, offset: int) -> Local:
        """Four numbers of a table that lie k apart."""
        f, made = self.f, self.f.local("v128")
        if k == 1:
            f.get(root).load(offset).set(made)
            return made
        f.get(root).op("v128.load32_splat", offset).set(made)
        for lane in range(1, 4):
            f.get(root).get(made).op("v128.load32_lane", offset + 4 * k * lane, lane).set(made)
        return made

    def _long_stage(
        self, p: int, m: int, s: int, source: Sequence[Local], target: Sequence[Local]
    ) -> None:
        """A large prime radix, by its definition."""
        f, n = self.f, self.n
        sums = _Sums(f, "f32")
        j, q, k, r, at, root = f.locals(6, "i32")
        here, there = f.locals(2, "i32"), f.locals(2, "i32")
        total = tuple(f.locals(2, "f32"))
        with f.range(j, 0, m), f.range(q, 0, s), f.range(k, 0, p):
            for local in total:
                f.f32(0.0).set(local)
            for local, base in zip(here, source, strict=True):
                f.address(base, j, 4 * s).get(q).times(4).op("i32.add").set(local)
            f.i32(0).set(at)
            with f.range(r, 0, p):
                f.address(self.roots, at, 4 * (n // p)).set(root)
                turn = (sums.splat(root, 0), sums.splat(root, 4 * n))
                product = sums.times(sums.pair(here, 0), turn)
                for local, part in zip(total, product, strict=True):
                    f.get(local).get(part).op("f32.add").set(local)
                for local in here:
                    f.advance(local, 4 * s * m)
                f.get(at).get(k).op("i32.add").set(at)
                f.get(at).plus(-p).get(at).get(at).i32(p).op("i32.ge_s").select().set(at)
            f.get(j).get(k).op("i32.mul").times(4 * s).get(self.roots).op("i32.add").set(root)
            turned = sums.times(
                (total[0], total[1]), (sums.splat(root, 0), sums.splat(root, 4 * n))
            )
            for local, base in zip(there, target, strict=True):
                f.get(j).times(p).get(k).op("i32.add").times(s).get(q).op("i32.add").times(4)
                f.get(base).op("i32.add").set(local)
            sums.store(there, turned, 0, self._scale)


class _Sums:
    """Arithmetic of complex numbers in pairs of locals, one number or four at a time."""

    def __init__(self, f: Function, kind: str) -> None:
        self.f, self.kind = f, kind
        self.lanes = 4 if kind == "f32x4" else 1
        self.type = "v128" if self.lanes == 4 else "f32"

    def _made(self, push: Callable[[], object]) -> Local:
        local = self.f.local(self.type)
        push()
        self.f.set(local)
        return local

    def _two(self, op: str, a: Local, b: Local) -> Local:
        return self._made(lambda: self.f.get(a).get(b).op(f"{self.kind}.{op}"))

    def _constant(self, value: float) -> Function:
        return self.f.f32x4(value) if self.lanes == 4 else self.f.f32(value)

    def splat(self, pointer: Local, offset: int) -> Local:
        """One number of memory in all lanes."""
        op = "v128.load32_splat" if self.lanes == 4 else "f32.load"
        return self._made(lambda: self.f.get(pointer).op(op, offset))

    def pair(self, pointers: Sequence[Local], offset: int) -> Pair:
        """A complex number from memory."""
        op = "v128.load" if self.lanes == 4 else "f32.load"
        a, b = pointers
        return (
            self._made(lambda: self.f.get(a).op(op, offset)),
            self._made(lambda: self.f.get(b).op(op, offset)),
        )

    def store(self, pointers: Sequence[Local], value: Pair, offset: int, scale: float) -> None:
        """A complex number, times a scale, to memory."""
        for pointer, part in zip(pointers, value, strict=True):
            self.store_one(pointer, part, offset, scale)

    def store_one(self, pointer: Local, part: Local, offset: int, scale: float) -> None:
        """A real number, likewise."""
        self.f.get(pointer).get(part)
        if scale != 1.0:
            self._constant(scale)
            self.f.op(f"{self.kind}.mul")
        self.f.op("v128.store" if self.lanes == 4 else "f32.store", offset)

    def add(self, a: Pair, b: Pair) -> Pair:
        return self._two("add", a[0], b[0]), self._two("add", a[1], b[1])

    def sub(self, a: Pair, b: Pair) -> Pair:
        return self._two("sub", a[0], b[0]), self._two("sub", a[1], b[1])

    def times(self, a: Pair, b: Pair) -> Pair:
        real = self._two("sub", self._two("mul", a[0], b[0]), self._two("mul", a[1], b[1]))
        return real, self._two("add", self._two("mul", a[0], b[1]), self._two("mul", a[1], b[0]))

    def _scaled(self, a: Local, factor: float) -> Local:
        def push() -> None:
            self.f.get(a)
            self._constant(factor)
            self.f.op(f"{self.kind}.mul")

        return self._made(push)

    def butterfly(self, a: list[Pair]) -> list[Pair]:
        """The Fourier transform of p numbers, written out."""
        p = len(a)
        if p == 2:
            return [self.add(*a), self.sub(*a)]
        if p == 4:
            t0, t1 = self.add(a[0], a[2]), self.sub(a[0], a[2])
            t2, (x, y) = self.add(a[1], a[3]), self.sub(a[1], a[3])
            zero = (self._two("add", t1[0], y), self._two("sub", t1[1], x))  # t1 - i (x + i y)
            other = (self._two("sub", t1[0], y), self._two("add", t1[1], x))
            return [self.add(t0, t2), zero, self.sub(t0, t2), other]
        # Pairs r and p - r have conjugate factors.
        ups = [self.add(a[r], a[p - r]) for r in range(1, (p + 1) // 2)]
        downs = [self.sub(a[r], a[p - r]) for r in range(1, (p + 1) // 2)]
        found: list[Pair] = [a[0]] * p
        for up in ups:
            found[0] = self.add(found[0], up)
        for k in range(1, (p + 1) // 2):
            even, odd = a[0], None
            for r, (up, down) in enumerate(zip(ups, downs, strict=True), 1):
                c, d = cos(2 * pi * r * k / p), sin(2 * pi * r * k / p)
                even = self.add(even, (self._scaled(up[0], c), self._scaled(up[1], c)))
                # -i d (x + i y) = d y - i d x
                turned = (self._scaled(down[1], d), self._scaled(down[0], -d))
                odd = turned if odd is None else self.add(odd, turned)
            assert odd is not None
            found[k], found[p - k] = self.add(even, odd), self.sub(even, odd)
        return found

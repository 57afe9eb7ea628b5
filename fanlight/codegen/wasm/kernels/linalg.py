"""cholesky, triangular_solve, solve, det, slogdet and qr, one matrix at a time, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, nan, prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.kernels.scalar_loops import Array, Number, Program, Variable
from fanlight.codegen.wasm.kernels.vectors import Registers
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.targets import Target


@dataclass(frozen=True)
class Job:
    """One op on matrices [m, n] (and right-hand sides [m, sides])."""

    op: str
    m: int
    n: int
    sides: int = 0
    flags: tuple[bool, ...] = ()


Arrays = list[Array]
Body = Callable[[Program, Job, Arrays, Arrays, Arrays], None]


def kernel(
    node: Node, job: Job, work: Sequence[tuple[int, ...]], flops: int, body: Body, target: Target
) -> Kernel:
    """A kernel whose units are the matrices of a batch.

    Args:
        work: shapes of float64 arrays that every matrix needs.
        body: program, job, inputs, outputs, work arrays: emits what is done to one matrix.
    """
    inputs = [v.type for v in node.inputs]
    outputs = [v.type for v in node.outputs]
    units = prod(inputs[0].bound[:-2])
    per_unit = sum(8 * prod(s) for s in work)
    rank = inputs[0].rank - 2

    def emit(module: Module, name: str) -> None:
        count = len(inputs) + len(outputs) + bool(per_unit)
        f = module.function(name, ("i32",) * (count + 2))
        p, unit = Program(f), f.local("i32")
        *pointers, low, high = f.params
        with f.range(unit, low, high):
            given: Arrays = []
            made: Arrays = []
            arrays: Arrays = []
            for at, type in enumerate((*inputs, *outputs)):
                own = tuple(type.bound[rank:])
                local = p.pointer(pointers[at], unit, 4 * prod(own))
                (given if at < len(inputs) else made).append(p.array(local, own, "f32"))
            offset = 0
            for shape in work:
                local = p.pointer(pointers[-1], unit, per_unit, offset)
                arrays.append(p.array(local, shape))
                offset += 8 * prod(shape)
            body(p, job, given, made, arrays)

    key = f"{job} {units} {target.relaxed_simd if job.op == 'slogdet' else ''}"
    scratch = units * per_unit
    return Kernel(key, emit, units, scratch=scratch, flops=units * flops, bytes=node_bytes(node))


def copy_finite(p: Program, source: Array, target: Array) -> Variable:
    """Copy a matrix; returns 0, or NaN if it holds something that is not finite."""
    bad = p.number(0.0)
    rows, columns = source.shape
    with p.loop(0, rows) as i, p.loop(0, columns) as j:
        target[i, j] = source[i, j]
        bad.set(bad + source[i, j] * 0.0)
    return bad


def copy_symmetric(p: Program, source: Array, target: Array) -> Variable:
    """Copy (a + a^T) / 2, likewise."""
    bad = p.number(0.0)
    n = source.shape[0]
    with p.loop(0, n) as i, p.loop(0, n) as j:
        target[i, j] = (source[i, j] + source[j, i]) * 0.5
        bad.set(bad + source[i, j] * 0.0)
    return bad


def write(p: Program, source: Array, target: Array, bad: Number) -> None:
    """Round an array into a result; `bad` is 0 or NaN."""
    rows, columns = target.shape
    with p.loop(0, rows) as i, p.loop(0, columns) as j:
        target[i, j] = source[i, j] + bad


@register("cholesky")
def lower_cholesky(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a cholesky node."""
    n = node.inputs[0].type.bound[-1]
    return kernel(node, Job("cholesky", n, n), [(n, n)], n**3 // 3, _cholesky, target)


def _cholesky(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
    (l,), n = work, job.n  # noqa: E741
    bad = copy_symmetric(p, given[0], l)
    total = p.number()
    with p.loop(0, n) as j, p.loop(j, n) as i:
        total.set(l[i, j] - p.dot(l, (i, 0), l, (j, 0), j))
        with p.when(i.same(j)):
            with p.when(total > 0.0):
                l[j, j] = total.root()
                p.otherwise()
                bad.set(nan)
            p.otherwise()
            l[i, j] = total / l[j, j]
    with p.loop(0, n) as j, p.loop(0, n) as i:
        with p.when(j > i):
            l[i, j] = 0.0
    write(p, l, made[0], bad)


@register("triangular_solve")
def lower_triangular(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a triangular_solve node."""
    n, sides = node.inputs[1].type.bound[-2:]
    flags = (node.attrs["lower"], node.attrs["transpose"])
    job = Job("triangular_solve", n, n, sides, flags)
    return kernel(node, job, [(n, n), (n, sides)], n * n * sides, _triangular, target)


def _triangular(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
    (t, x), n, (lower, transpose) = work, job.n, job.flags
    bad = copy_finite(p, given[0], t)
    bad.set(bad + copy_finite(p, given[1], x))
    with p.loop(0, n) as step:
        i = p.integer(step if lower != transpose else (n - 1) - step)
        bounds = (0, i) if lower != transpose else (i + 1, n)
        with p.loop(*bounds) as k:
            factor = t[k, i] if transpose else t[i, k]
            p.add_row(x, (i, 0), x, (k, 0), -factor, job.sides)
        with p.loop(0, job.sides) as c:
            x[i, c] = x[i, c] / t[i, i]
    write(p, x, made[0], bad)


@register("solve", "det", "slogdet")
def lower_elimination(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a solve, det or slogdet node: elimination with row pivots."""
    n = node.inputs[0].type.bound[-1]
    if node.op == "solve":
        sides = node.inputs[1].type.bound[-1]
        job, work = Job("solve", n, n, sides), [(n, n), (n, sides)]
        return kernel(node, job, work, n**3 + 2 * n * n * sides, _solve, target)
    body = _det if node.op == "det" else _slogdet(target)
    return kernel(node, Job(node.op, n, n), [(n, n)], n**3, body, target)


def _eliminate(p: Program, n: int, a: Array, b: Array | None) -> Variable:
    """Make a upper triangular in place, and b likewise; returns the sign of the row exchanges."""
    sign, best, factor = p.number(1.0), p.number(), p.number()
    pivot = p.integer()
    with p.loop(0, n) as k:
        best.set(-1.0)
        with p.loop(k, n) as i, p.when(a[i, k].size() > best):
            best.set(a[i, k].size())
            pivot.set(i)
        with p.when(best > 0.0):
            with p.when(pivot > k):
                sign.set(-sign)
                for array in (a, b):
                    if array is not None:
                        with p.loop(0, array.shape[1]) as j:
                            p.exchange(array, (k, j), (pivot, j))
            with p.loop(k + 1, n) as i:
                factor.set(a[i, k] / a[k, k])
                p.add_row(a, (i, k + 1), a, (k, k + 1), -factor, n)
                if b is not None:
                    p.add_row(b, (i, 0), b, (k, 0), -factor, b.shape[1])
    return sign


def _solve(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
    (a, x), n = work, job.n
    bad = copy_finite(p, given[0], a)
    bad.set(bad + copy_finite(p, given[1], x))
    _eliminate(p, n, a, x)
    with p.loop(0, n) as step:
        i = p.integer((n - 1) - step)
        with p.when(a[i, i].same(0.0)):
            bad.set(nan)
        with p.loop(i + 1, n) as k:
            p.add_row(x, (i, 0), x, (k, 0), -a[i, k], job.sides)
        with p.loop(0, job.sides) as c:
            x[i, c] = x[i, c] / a[i, i]
    write(p, x, made[0], bad)


def _det(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
    (a,) = work
    bad = copy_finite(p, given[0], a)
    product = p.number(_eliminate(p, job.n, a, None))
    with p.loop(0, job.n) as i:
        product.set(product * a[i, i])
    made[0][()] = product + bad


def _slogdet(target: Target) -> Body:
    log = sc.log(sc.arg(0))

    def body(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
        (a,), f = work, p.f
        bad = copy_finite(p, given[0], a)
        sign, total, one = p.number(_eliminate(p, job.n, a, None)), p.number(), p.number()
        registers, vector = Registers(f), f.local("v128")

        def push() -> None:
            one.push()
            f.op("f32.demote_f64").op("f32x4.splat").set(vector)
            take, give = registers.take, registers.give
            scalar_code.emit(
                f, log, [vector], ["float32"], take, give, fused=target.relaxed_simd
            ).op("f32x4.extract_lane", 0).op("f64.promote_f32")

        logarithm = Number(f, "f64", push)
        with p.loop(0, job.n) as i:
            one.set(a[i, i].size())
            with p.when(one > 0.0):
                total.set(total + logarithm)
                sign.set(sign * constant_sign(a[i, i]))
                p.otherwise()
                total.set(-inf)
                sign.set(0.0)
        made[0][()] = sign + bad
        made[1][()] = total + bad

    return body


def constant_sign(x: Number) -> Number:
    """1 with the sign of a number."""
    one = Number(x.f, "f64", lambda: x.f.f64(1.0))
    return one.signed_as(x)


@register("qr")
def lower_qr(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a qr node: Householder reflections."""
    m, n = node.inputs[0].type.bound[-2:]
    k = node.outputs[0].type.bound[-1]
    job = Job("qr", m, n, k)
    work = [(m, n), (m, k), (m, min(m, n)), (min(m, n),), (1, max(n, k))]
    return kernel(node, job, work, 4 * m * n * k, _qr, target)


def _qr(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
    (r, q, v, scale, products), m, n, k = work, job.m, job.n, job.sides
    bad = copy_finite(p, given[0], r)
    total, rest = p.number(), p.number()

    def reflect(target: Array, columns: tuple[object, int], j: Number) -> None:
        """target -= scale v (v^T target), for some columns."""
        first, end = columns
        with p.loop(first, end) as c:
            products[0, c] = 0.0
        with p.loop(j, m) as i:
            p.add_row(products, (0, first), target, (i, first), v[i, j], end)
        with p.loop(j, m) as i:
            p.add_row(target, (i, first), products, (0, first), -(v[i, j] * scale[j]), end)

    with p.loop(0, min(m, n)) as j:
        rest.set(0.0)
        with p.loop(j + 1, m) as i:
            rest.set(rest + r[i, j] * r[i, j])
        scale[j] = 0.0
        with p.loop(j, m) as i:
            v[i, j] = r[i, j]
        with p.when(rest > 0.0):
            total.set((rest + r[j, j] * r[j, j]).root())
            v[j, j] = r[j, j] + total.signed_as(r[j, j])
            scale[j] = 2.0 / (rest + v[j, j] * v[j, j])
            reflect(r, (j, n), j)
    with p.loop(0, m) as i, p.loop(0, k) as c:
        q[i, c] = 0.0
    with p.loop(0, k) as c:
        q[c, c] = 1.0
    with p.loop(0, min(m, n)) as step:
        reflect(q, (0, k), p.integer((min(m, n) - 1) - step))
    with p.loop(0, k) as i, p.loop(0, n) as c:
        with p.when(i > c):
            r[i, c] = 0.0
    write(p, q, made[0], bad)
    write(p, r, made[1], bad)

"""eigh and svd by Jacobi's rotations, in float64 (Golub & Van Loan 8.5 and 8.6)."""

from __future__ import annotations

from fanlight.codegen.kernel import Kernel, Weights, register
from fanlight.codegen.wasm.kernels.linalg import (
    Arrays,
    Job,
    constant_sign,
    copy_finite,
    copy_symmetric,
    kernel,
    write,
)
from fanlight.codegen.wasm.kernels.scalar_loops import Array, Number, Program, Variable
from fanlight.graph import Node
from fanlight.ops.linalg import SIGN_SHARE
from fanlight.targets import Target

SWEEPS = 40
SMALL = 1e-15  # a cosine of two columns, or a share of the diagonal, that counts as 0


@register("eigh")
def lower_eigh(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of an eigh node."""
    n = node.inputs[0].type.bound[-1]
    work = [(n, n), (n, n), (n, 1)]
    return kernel(node, Job("eigh", n, n), work, 60 * n**3, _eigh, target)


def _unit(p: Program, a: Array) -> None:
    rows, columns = a.shape
    with p.loop(0, rows) as i, p.loop(0, columns) as j:
        a[i, j] = 0.0
    with p.loop(0, min(rows, columns)) as i:
        a[i, i] = 1.0


def _turn(p: Program, a: Array, i: Number, j: Number, c: Number, s: Number, rows: bool) -> None:
    """Rotate two rows or two columns of an array."""
    with p.loop(0, a.shape[1] if rows else a.shape[0]) as k:
        first, second = ((i, k), (j, k)) if rows else ((k, i), (k, j))
        kept = p.number(a[first])
        a[first] = c * kept - s * a[second]
        a[second] = s * kept + c * a[second]


def _angle(p: Program, ratio: Number) -> tuple[Variable, Variable]:
    """Cosine and sine of the rotation; ratio = (a_jj - a_ii) / (2 a_ij)."""
    size = p.number(ratio.size())
    t = p.number((1.0 / (size + (size * size + 1.0).root())) * constant_sign(ratio))
    c = p.number(1.0 / (t * t + 1.0).root())
    return c, p.number(t * c)


def _eigh(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
    (a, v, w), n = work, job.n
    bad = copy_symmetric(p, given[0], a)
    _unit(p, v)
    off, on = p.number(), p.number()
    with p.loop(0, SWEEPS):
        off.set(0.0)
        on.set(0.0)
        with p.loop(0, n) as i:
            on.set(on + a[i, i] * a[i, i])
            with p.loop(i + 1, n) as j:
                off.set(off + a[i, j] * a[i, j])
        with p.when(off > on * (SMALL * SMALL)), p.loop(0, n) as i, p.loop(i + 1, n) as j:
            with p.when(a[i, j].size() > 0.0):
                ratio = p.number((a[j, j] - a[i, i]) / (2.0 * a[i, j]))
                c, s = _angle(p, ratio)
                _turn(p, a, i, j, c, s, True)
                _turn(p, a, i, j, c, s, False)
                _turn(p, v, i, j, c, s, False)
    with p.loop(0, n) as i:
        w[i, 0] = a[i, i]
    _sort(p, w, [v], ascending=True)
    _sign(p, v, None)
    with p.loop(0, n) as i:
        made[0][i] = w[i, 0] + bad
    write(p, v, made[1], bad)


def _sort(p: Program, w: Array, columns: list[Array], ascending: bool) -> None:
    """Sort w and the columns that belong to it, by selection."""
    n = w.shape[0]
    best = p.integer()
    with p.loop(0, n) as i:
        best.set(i)
        with p.loop(i + 1, n) as j:
            a, b = w[j, 0], w[best, 0]
            with p.when(b > a if ascending else a > b):
                best.set(j)
        with p.when(best > i):
            p.exchange(w, (i, 0), (best, 0))
            for array in columns:
                with p.loop(0, array.shape[0]) as k:
                    p.exchange(array, (k, i), (k, best))


def _sign(p: Program, v: Array, other: Array | None) -> None:
    """Columns of v (and of another array with it) get the sign that the row's doc says."""
    rows, columns = v.shape
    top, sign = p.number(), p.number()
    with p.loop(0, columns) as c:
        top.set(0.0)
        with p.loop(0, rows) as i, p.when(v[i, c].size() > top):
            top.set(v[i, c].size())
        sign.set(0.0)
        with p.loop(0, rows) as i, p.when(sign.same(0.0)):
            with p.when(v[i, c].size() >= top * SIGN_SHARE):
                sign.set(constant_sign(v[i, c]))
        for array in (v, other):
            if array is not None:
                with p.loop(0, array.shape[0]) as i:
                    array[i, c] = array[i, c] * sign


@register("svd")
def lower_svd(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of an svd node."""
    m, n = node.inputs[0].type.bound[-2:]
    long, short = max(m, n), min(m, n)
    work = [(m, n), (long, short), (short, short), (short, 1)]
    return kernel(node, Job("svd", m, n), work, 60 * long * short**2, _svd, target)


def _svd(p: Program, job: Job, given: Arrays, made: Arrays, work: Arrays) -> None:
    (a, w, v, s), m, n = work, job.m, job.n
    bad = copy_finite(p, given[0], a)
    long, short = w.shape
    with p.loop(0, m) as i, p.loop(0, n) as j:
        if m >= n:
            w[i, j] = a[i, j]
        else:
            w[j, i] = a[i, j]
    _unit(p, v)
    _orthogonalise(p, w, v)
    with p.loop(0, short) as j:
        s[j, 0] = _product(p, w, j, j).root()
    _sort(p, s, [w, v], ascending=False)
    with p.loop(0, short) as j:
        with p.when(s[j, 0] > s[0, 0] * 1e-14):
            with p.loop(0, long) as i:
                w[i, j] = w[i, j] / s[j, 0]
            p.otherwise()
            _complete(p, w, j)
    u, other = (w, v) if m >= n else (v, w)
    _sign(p, u, other)
    write(p, u, made[0], bad)
    with p.loop(0, short) as j:
        made[1][j] = s[j, 0] + bad
        with p.loop(0, n) as i:
            made[2][j, i] = other[i, j] + bad


def _product(p: Program, w: Array, i: Number, j: Number) -> Variable:
    """The inner product of two columns."""
    total = p.number(0.0)
    with p.loop(0, w.shape[0]) as k:
        total.set(total + w[k, i] * w[k, j])
    return total


def _orthogonalise(p: Program, w: Array, v: Array) -> None:
    """Turn pairs of columns of w until all are orthogonal; v remembers how."""
    short = w.shape[1]
    turned = p.integer(1)
    with p.loop(0, SWEEPS), p.when(turned > 0):
        turned.set(0)
        with p.loop(0, short) as i, p.loop(i + 1, short) as j:
            mixed = _product(p, w, i, j)
            first, second = _product(p, w, i, i), _product(p, w, j, j)
            with p.when(mixed.size() > (first * second).root() * SMALL):
                turned.set(1)
                c, s = _angle(p, p.number((second - first) / (2.0 * mixed)))
                _turn(p, w, i, j, c, s, False)
                _turn(p, v, i, j, c, s, False)


def _complete(p: Program, w: Array, j: Number) -> None:
    """Make column j a unit vector that is orthogonal to those before it."""
    long = w.shape[0]
    best, place, left = p.number(-1.0), p.integer(), p.number()
    with p.loop(0, long) as i:
        left.set(1.0)
        with p.loop(0, j) as k:
            left.set(left - w[i, k] * w[i, k])
        with p.when(left > best):
            best.set(left)
            place.set(i)
    with p.loop(0, long) as i:
        w[i, j] = 0.0
    w[place, j] = 1.0
    with p.loop(0, 2), p.loop(0, j) as k:
        share = _product(p, w, k, j)
        with p.loop(0, long) as i:
            w[i, j] = w[i, j] - share * w[i, k]
    size = p.number(_product(p, w, j, j).root())
    with p.loop(0, long) as i:
        w[i, j] = w[i, j] / size

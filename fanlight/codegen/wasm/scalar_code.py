"""Scalar expressions as SIMD code: four elements at a time.

Floats are f32x4, int32 and uint8 are i32x4, bools are masks (all bits of a lane, or none).
`exp`, `log`, `sin` and `cos` are the polynomials of Cephes (Moshier, netlib) after the usual
range reductions; errors are below 2 ulp (sin and cos: 3e-7, of any x). NaN gives NaN, overflow
infinity, and results too small for float32 become denormal or 0 as IEEE 754 rounds them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from fanlight.codegen.wasm.assembler import Function, Local, Signature
from fanlight.codegen.wasm.rounding import (
    finish,
    finish_real,
    real_rounding,
    rounding,
    start,
)
from fanlight.ops import scalar as sc

Take = Callable[[str], Local]
Give = Callable[..., None]

_WEAK = "weak int"

_FLOAT = {
    "add": "f32x4.add",
    "sub": "f32x4.sub",
    "mul": "f32x4.mul",
    "div": "f32x4.div",
    "min": "f32x4.min",
    "max": "f32x4.max",
    "neg": "f32x4.neg",
    "abs": "f32x4.abs",
    "sqrt": "f32x4.sqrt",
    "floor": "f32x4.floor",
    "ceil": "f32x4.ceil",
    "round": "f32x4.nearest",
    "trunc": "f32x4.trunc",
    "lt": "f32x4.lt",
    "le": "f32x4.le",
    "eq": "f32x4.eq",
}
_INT = {
    "add": "i32x4.add",
    "sub": "i32x4.sub",
    "mul": "i32x4.mul",
    "min": "i32x4.min_s",
    "max": "i32x4.max_s",
    "neg": "i32x4.neg",
    "abs": "i32x4.abs",
    "lt": "i32x4.lt_s",
    "le": "i32x4.le_s",
    "eq": "i32x4.eq",
    "bit_and": "v128.and",
    "bit_or": "v128.or",
    "bit_xor": "v128.xor",
    "bit_not": "v128.not",
}
# 2 / pi in parts of 28 bits, so that a float32 times one of them is exact in float64; the last one
# counts where x is 2^128 (Payne & Hanek 1983).
_TWO_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE  # times 2^-200
_PARTS = tuple(
    ((_TWO_OVER_PI >> (200 - 28 * (i + 1))) & (2**28 - 1)) * 2.0 ** (-28 * (i + 1))
    for i in range(7)
)
_NEAR = 8192.0  # up to here three parts of pi / 2 in float32 are enough
_WHOLE = 1.5 * 2.0**52  # added to a float64, it leaves a whole number in the low bits

_ROUNDING = ("floor", "ceil", "round", "trunc")  # of an int32: the number itself
_BOOL = {"and": "v128.and", "or": "v128.or", "not": "v128.not", "eq": "i32x4.eq"}


def emit(
    f: Function,
    expr: sc.Expr,
    args: Sequence[Local],
    dtypes: Sequence[str],
    take: Take | None = None,
    give: Give | None = None,
    *,
    fused: bool = False,
) -> Function:
    """Push the value of `expr` for four elements.

    Args:
        f: the function under construction.
        expr: what to compute.
        args: v128 locals holding a0, a1, ...; they are not changed.
        dtypes: their dtypes.
        take, give: where temporary locals come from and go back to (default: new ones).
        fused: whether exp may use relaxed multiply-adds.
    """
    _Emitter(f, expr, args, dtypes, take or f.local, give or (lambda *_: None), fused).run()
    return f


def constants(expr: sc.Expr, dtypes: Sequence[str], *, fused: bool = False) -> list[bytes]:
    """The v128 constants in the code of `expr`, for `Function.holding`."""
    f = _Recorder("constants", Signature(("v128",) * len(dtypes)), _no_calls)
    emit(f, expr, f.params, dtypes, fused=fused)
    return list(dict.fromkeys(f.seen))


def instructions(expr: sc.Expr, dtypes: Sequence[str], *, fused: bool = False) -> int:
    """How many instructions compute four values of `expr`, constants and locals not counted."""
    f = _Recorder("instructions", Signature(("v128",) * len(dtypes)), _no_calls)
    emit(f, expr, f.params, dtypes, fused=fused)
    return f.count


def _no_calls(name: str) -> tuple[int, Signature]:
    raise KeyError(name)


class _Recorder(Function):
    """Writes down the constants that are pushed, and counts what computes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen: list[bytes] = []
        self.count = 0

    def op(self, name: str, *immediates: int) -> Function:
        self.count += 1
        return super().op(name, *immediates)

    def v128(self, data: bytes) -> Function:
        self.seen.append(bytes(data))
        return super().v128(data)


class _Emitter:
    def __init__(
        self,
        f: Function,
        expr: sc.Expr,
        args: Sequence[Local],
        dtypes: Sequence[str],
        take: Take,
        give: Give,
        fused: bool,
    ) -> None:
        self.f, self.expr, self.args, self.dtypes = f, expr, args, dtypes
        self.take, self.give, self.fused = take, give, fused
        order = sc.topological(expr)
        self.kind = _kinds(order, dtypes)
        self.uses: dict[int, int] = {}
        # Weak integers that are not constants, as in select(a0 < 0, 1, 2), are computed as int32.
        self.varies: set[int] = set()
        for node in order:
            if node.op == "arg" or any(id(a) in self.varies for a in node.args):
                self.varies.add(id(node))
            for a in node.args:
                self.uses[id(a)] = self.uses.get(id(a), 0) + 1
        self.held: dict[int, Local] = {}
        # Of angles: how many sines and cosines are to come; and what those share.
        self.angles = Counter(id(node.args[0]) for node in order if node.op in ("sin", "cos"))
        self.turned: dict[int, tuple[bool, Local, Local, Local]] = {}

    def run(self) -> None:
        wanted = self.kind[id(self.expr)]
        self.push(self.expr, "int32" if wanted == _WEAK else wanted)

    def push(self, node: sc.Expr, wanted: str) -> None:
        """Push a part; weak constants become `wanted`."""
        if node.op == "arg":
            self.f.get(self.args[node.value])
            return
        weak = self.kind[id(node)] == _WEAK
        if node.op == "const" or (weak and id(node) not in self.varies):
            self._constant(node, wanted)
            return
        self._push_computed(node)
        if weak and wanted == "float32":
            self.f.op("f32x4.convert_i32x4_s")
        elif weak and wanted == "bool":
            self.f.i32x4(0).op("i32x4.ne")

    def _push_computed(self, node: sc.Expr) -> None:
        held = self.held.get(id(node))
        if held is None:
            self._compute(node)
            if self.uses.get(id(node), 0) <= 1:
                return
            held = self.held[id(node)] = self.take("v128")
            self.f.tee(held)
        else:
            self.f.get(held)
        # The last user frees the local.
        self.uses[id(node)] -= 1
        if self.uses[id(node)] == 0:
            self.give(self.held.pop(id(node)))

    def _constant(self, node: sc.Expr, wanted: str) -> None:
        value = node.value if node.op == "const" else sc.evaluate(node, []).item()
        if wanted == "bool":
            self.f.i32x4(-1 if value else 0)
        elif wanted == "float32":
            self.f.f32x4(float(value))
        else:
            self.f.i32x4(int(value))

    def _compute(self, node: sc.Expr) -> None:
        f, op = self.f, node.op
        if op in sc.CASTS:
            self._cast(node)
        elif op == "select":
            kind = self.kind[id(node)]
            self.push(node.args[1], kind)
            self.push(node.args[2], kind)
            self.push(node.args[0], "bool")
            # Masks are all ones or all zeros: the relaxed form, one instruction on x64, is exact.
            f.op("i32x4.relaxed_laneselect" if f.relaxed_simd else "v128.bitselect")
        elif op in sc.SHIFTS:
            self._shift(node)
        elif op in ("exp", "log"):
            self.push(node.args[0], "float32")
            getattr(self, f"_{op}")()
        elif op in ("sin", "cos"):
            self.push(node.args[0], "float32")
            self._circular(node)
        else:
            kinds = [self.kind[id(a)] for a in node.args]
            whole = op in sc.BITWISE or self.kind[id(node)] == _WEAK
            weak = "int32" if whole else "float32"
            kind = next((k for k in kinds if k != _WEAK), weak)
            if op in ("min", "max") and kind == "float32" and self._bound(node):
                return
            for a in node.args:
                self.push(a, kind)
            if op == "div" and kind == "int32":
                self._int_div()
            elif kind == "float32" or op not in _ROUNDING:
                table = {"float32": _FLOAT, "int32": _INT, "bool": _BOOL}[kind]
                f.op(table[op])

    def _bound(self, node: sc.Expr) -> bool:
        """min or max with a constant by one instruction instead of x64's seven.

        pmin(x, c) is c where c < x, else x; so NaN stays. A zero may keep its own sign.
        """
        x, c = node.args if node.args[1].op == "const" else reversed(node.args)
        if c.op != "const" or math.isnan(c.value) or x.op == "const":
            return False
        self.push(x, "float32")
        self.push(c, "float32")
        self.f.op("f32x4.pmin" if node.op == "min" else "f32x4.pmax")
        return True

    def _cast(self, node: sc.Expr) -> None:
        f, to = self.f, node.op
        rounded = rounding(node, self.dtypes) if to == "uint8" else None
        if rounded is not None:
            start(f, rounded)
            self.push(rounded.value, "float32")
            finish(f, rounded, clip=True)
            return
        real = real_rounding(node, self.dtypes) if to == "float32" else None
        if real is not None:
            f.f32x4(float(-real[0].zero))
            self.push(real[0].value, "float32")
            finish_real(f, *real)
            return
        kind = self.kind[id(node.args[0])]
        kind = "int32" if kind == _WEAK else kind
        self.push(node.args[0], kind)
        if to == kind:
            return
        if kind == "bool":
            # A mask is -1 or 0.
            if to == "float32":
                f.f32x4(1.0).op("v128.and")
            else:
                f.op("i32x4.neg")
        elif to == "bool":
            if kind == "float32":
                f.f32x4(0.0).op("f32x4.ne")
            else:
                f.i32x4(0).op("i32x4.ne")
        elif to == "float32":
            f.op("f32x4.convert_i32x4_s")
        else:
            if kind == "float32":
                f.op("i32x4.trunc_sat_f32x4_s")
            if to == "uint8":
                f.i32x4(0).op("i32x4.max_s").i32x4(255).op("i32x4.min_s")

    # --- what SIMD does not have ------------------------------------------------------------------

    def _shift(self, node: sc.Expr) -> None:
        """SIMD shifts all lanes by one count; a count that is not known goes lane by lane."""
        f, (x, count) = self.f, node.args
        self.push(x, "int32")
        if count.op == "const":
            f.i32(count.value & 31).op(f"i32x4.{node.op}")
            return
        self.push(count, "int32")
        a, b = self.take("v128"), self.take("v128")
        f.set(b).tee(a)
        for lane in range(4):
            f.get(a).op("i32x4.extract_lane", lane)
            f.get(b).op("i32x4.extract_lane", lane)
            f.op(f"i32.{node.op}").op("i32x4.replace_lane", lane)
        self.give(a, b)

    def _int_div(self) -> None:
        """i32x4 / i32x4, lane by lane: x / 0 = 0, and nothing traps."""
        f = self.f
        a, b, result = (self.take("v128") for _ in range(3))
        x, y, safe = (self.take("i32") for _ in range(3))
        f.set(b).set(a)
        for lane in range(4):
            if lane:
                f.get(result)
            f.get(a).op("i32x4.extract_lane", lane).set(x)
            f.get(b).op("i32x4.extract_lane", lane).set(y)
            # -1 and 0 are divided otherwise: both traps of i32.div_s.
            f.i32(1).get(y).get(y).i32(1).op("i32.add").i32(2).op("i32.lt_u").select().set(safe)
            f.i32(0).get(x).op("i32.sub")
            f.get(x).get(safe).op("i32.div_s")
            f.get(y).i32(-1).op("i32.eq").select()
            f.i32(0).get(y).select()
            if lane:
                f.op("i32x4.replace_lane", lane)
            else:
                f.op("i32x4.splat")
            f.set(result)
        f.get(result)
        self.give(a, b, result, x, y, safe)

    def _horner(self, x: Local, coefficients: Sequence[float]) -> None:
        """Push c0 x^n + c1 x^(n-1) + ... + cn."""
        f = self.f
        f.f32x4(coefficients[0])
        for c in coefficients[1:]:
            f.get(x)
            if self.fused:
                f.f32x4(c).op("f32x4.relaxed_madd")
            else:
                f.op("f32x4.mul").f32x4(c).op("f32x4.add")

    def _exp(self) -> None:
        """e^x = 2^n e^r with |r| <= ln(2) / 2; 2^n in two factors reaches the denormals."""
        f = self.f
        x, n, y = (self.take("v128") for _ in range(3))
        # Beyond these the result is 0 or infinity anyway; pmin and pmax keep a first NaN.
        f.f32x4(89.0).op("f32x4.pmin").f32x4(-104.0).op("f32x4.pmax").tee(x)
        # Adding 1.5 * 2^23 rounds to a whole number, which then fills the low bits.
        f.f32x4(1.4426950408889634)
        if self.fused:
            f.f32x4(12582912.0).op("f32x4.relaxed_madd").tee(y)
        else:
            f.op("f32x4.mul").f32x4(12582912.0).op("f32x4.add").tee(y)
        f.f32x4(12582912.0).op("f32x4.sub").set(n)
        for part in (0.693359375, -2.12194440e-4):
            if self.fused:
                f.get(n).f32x4(part).get(x).op("f32x4.relaxed_nmadd").set(x)
            else:
                f.get(x).get(n).f32x4(part).op("f32x4.mul").op("f32x4.sub").set(x)
        # n plus twice the bias of an exponent, so that its halves have a bias each.
        f.get(y).i32x4(0x4B400000 - 254).op("i32x4.sub").set(n)
        self._horner(
            x,
            (
                1.9875691500e-4,
                1.3981999507e-3,
                8.3334519073e-3,
                4.1665795894e-2,
                1.6666665459e-1,
                5.0000001201e-1,
            ),
        )
        f.get(x).get(x).op("f32x4.mul")
        if self.fused:
            f.get(x).op("f32x4.relaxed_madd")
        else:
            f.op("f32x4.mul").get(x).op("f32x4.add")
        f.f32x4(1.0).op("f32x4.add")
        f.get(n).i32(1).op("i32x4.shr_u").tee(y).i32(23).op("i32x4.shl").op("f32x4.mul")
        f.get(n).get(y).op("i32x4.sub").i32(23).op("i32x4.shl").op("f32x4.mul")
        self.give(x, n, y)

    def _log(self) -> None:
        """ln(x) = e ln(2) + ln(m) with m in [sqrt(1/2), sqrt(2)); denormals are scaled up first."""
        f = self.f
        x, e, m, z, low, y = (self.take("v128") for _ in range(6))
        f.set(x)
        f.get(x).f32x4(1.17549435e-38).op("f32x4.lt").set(low)
        f.get(x).f32x4(8388608.0).op("f32x4.mul").get(x).get(low).op("v128.bitselect").set(m)
        f.get(m).i32(23).op("i32x4.shr_u").i32x4(127).op("i32x4.sub")
        f.get(low).i32x4(23).op("v128.and").op("i32x4.sub").set(e)
        f.get(m).i32x4(0x007FFFFF).op("v128.and").i32x4(0x3F800000).op("v128.or").set(m)
        # m in [1, 2): halve the upper part so that the polynomial sees |m - 1| < 0.42.
        f.get(m).f32x4(1.4142135).op("f32x4.gt").set(z)
        f.get(e).get(z).op("i32x4.sub").op("f32x4.convert_i32x4_s").set(e)
        f.get(m).f32x4(0.5).op("f32x4.mul").get(m).get(z).op("v128.bitselect")
        f.f32x4(1.0).op("f32x4.sub").tee(m).get(m).op("f32x4.mul").set(z)
        self._horner(
            m,
            (
                7.0376836292e-2,
                -1.1514610310e-1,
                1.1676998740e-1,
                -1.2420140846e-1,
                1.4249322787e-1,
                -1.6668057665e-1,
                2.0000714765e-1,
                -2.4999993993e-1,
                3.3333331174e-1,
            ),
        )
        f.get(m).op("f32x4.mul").get(z).op("f32x4.mul")
        f.get(e).f32x4(-2.12194440e-4).op("f32x4.mul").op("f32x4.add")
        f.get(z).f32x4(0.5).op("f32x4.mul").op("f32x4.sub").get(m).op("f32x4.add")
        f.get(e).f32x4(0.693359375).op("f32x4.mul").op("f32x4.add").set(y)
        # ln(inf) = inf; ln(0) = -inf; ln(negative) = ln(NaN) = NaN.
        f.get(x).get(y)
        f.get(x).f32x4(float("inf")).op("f32x4.lt").op("v128.not").op("v128.bitselect").set(y)
        f.f32x4(float("-inf")).get(y).get(x).f32x4(0.0).op("f32x4.eq").op("v128.bitselect").set(y)
        f.f32x4(float("nan")).get(y).get(x).f32x4(0.0).op("f32x4.lt").op("v128.bitselect")
        self.give(x, e, m, z, low, y)

    def _circular(self, node: sc.Expr) -> None:
        """sin or cos: quadrant q = round(2x / pi), then one of two polynomials of what is left.

        Sine and cosine of one angle share all but the choice (as in tan).
        """
        f, angle, cosine = self.f, id(node.args[0]), node.op == "cos"
        self.angles[angle] -= 1
        known = self.turned.pop(angle, None)
        if known is not None:
            f.drop()
            odd, s, c, q = known
        else:
            # The cosine is the sine a quadrant on.
            odd = cosine and not self.angles[angle]
            s, c, q = self._polynomials(int(odd))
        shifted = cosine and not odd
        f.get(s if shifted else c).get(c if shifted else s)
        f.get(q).i32(31).op("i32x4.shl").i32(31).op("i32x4.shr_s").op("v128.bitselect")
        # Quadrants 2 and 3 are negative.
        f.get(q)
        if shifted:
            f.i32x4(1).op("i32x4.add")
        f.i32(1).op("i32x4.shr_u").i32(31).op("i32x4.shl").op("v128.xor")
        if self.angles[angle]:
            self.turned[angle] = odd, s, c, q
        else:
            self.give(s, c, q)

    def _polynomials(self, shift: int) -> tuple[Local, Local, Local]:
        """Of the angle on the stack: sine and cosine of what is left of it after q - shift
        quadrants; and q, of which the low two bits count."""
        f = self.f
        x, q, rest, z, y = (self.take("v128") for _ in range(5))
        # Adding 1.5 * 2^23 rounds to a whole number, which then fills the low bits.
        f.tee(x).f32x4(0.6366197723675814).op("f32x4.mul").f32x4(12582912.0 + shift)
        f.op("f32x4.add").tee(q).f32x4(12582912.0 + shift).op("f32x4.sub").set(rest)
        f.get(x)
        # pi/2 in three parts, so that q times the first two is exact.
        for part in (1.5703125, 4.837512969970703125e-4, 7.54978995489188216e-8):
            f.get(rest).f32x4(part).op("f32x4.mul").op("f32x4.sub")
        f.set(rest)
        # The square costs less than |x|.
        f.f32x4(_NEAR**2).get(x).get(x).op("f32x4.mul").op("f32x4.lt").op("i32x4.bitmask")
        with f.if_():
            f.get(q).set(z)
            self._far(x, q)
            if shift:
                f.get(q).i32x4(shift).op("i32x4.add").set(q)
            # Lane by lane, so that neighbours change nothing.
            f.get(rest).f64(_NEAR**2).op("f32.demote_f64").op("f32x4.splat")
            f.get(x).get(x).op("f32x4.mul").op("f32x4.lt").tee(y).op("v128.bitselect").set(rest)
            f.get(q).get(z).get(y).op("v128.bitselect").set(q)
        f.get(rest).get(rest).op("f32x4.mul").set(z)
        self._horner(z, (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
        f.get(z).op("f32x4.mul").get(rest).op("f32x4.mul").get(rest).op("f32x4.add").set(y)
        self._horner(z, (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))
        f.get(z).op("f32x4.mul").get(z).op("f32x4.mul")
        f.get(z).f32x4(0.5).op("f32x4.mul").op("f32x4.sub").f32x4(1.0).op("f32x4.add").set(x)
        self.give(rest, z)
        return y, x, q

    def _far(self, x: Local, q: Local) -> None:
        """Push what is left of any x after q quadrants.

        In float64, x / (pi / 2) is a sum of exact products; of each, what is a multiple of four
        quadrants is taken off, also exactly.
        """
        f = self.f
        wide, total, p, first, count = (self.take("v128") for _ in range(5))

        def each(name: str, value: float) -> None:
            # Not as a v128 constant: those are held in registers through the loop.
            f.f64(value).op("f64x2.splat").op(f"f64x2.{name}")

        for half in range(2):
            f.get(x)
            if half:
                f.get(x).op("i8x16.shuffle", *range(8, 16), *range(8, 16))
            f.op("f64x2.promote_low_f32x4").set(wide)
            for i, part in enumerate(reversed(_PARTS)):
                f.get(wide)
                each("mul", part)
                f.tee(p).get(p)
                each("mul", 0.25)
                f.op("f64x2.nearest")
                each("mul", 4.0)
                f.op("f64x2.sub")
                if i:
                    f.get(total).op("f64x2.add")
                f.set(total)
            f.get(total)
            each("add", _WHOLE)
            f.set(p)
            f.get(total).get(p)
            each("sub", _WHOLE)
            f.op("f64x2.sub")
            each("mul", math.pi / 2)
            f.op("f32x4.demote_f64x2_zero").set(wide if half else first)
            if not half:
                f.get(p).set(count)
        f.get(count).get(p).op(
            "i8x16.shuffle", *range(4), *range(8, 12), *range(16, 20), *range(24, 28)
        ).set(q)
        f.get(first).get(wide).op("i8x16.shuffle", *range(8), *range(16, 24))
        self.give(wide, total, p, first, count)


def _kinds(order: Sequence[sc.Expr], dtypes: Sequence[str]) -> dict[int, str]:
    """id of every part -> float32, int32, bool, or weak for integer constants."""
    known: dict[int, str] = {}
    for node in order:
        parts = [known[id(a)] for a in node.args]
        strong = next((p for p in parts if p != _WEAK), _WEAK)
        if node.op == "arg":
            dtype = dtypes[node.value]
            known[id(node)] = "int32" if dtype == "uint8" else dtype
        elif node.op == "const":
            kind = type(node.value)
            known[id(node)] = "bool" if kind is bool else _WEAK if kind is int else "float32"
        elif node.op in sc.CASTS:
            known[id(node)] = "int32" if node.op == "uint8" else node.op
        elif node.op in ("lt", "le", "eq", "and", "or", "not"):
            known[id(node)] = "bool"
        elif node.op == "select":
            known[id(node)] = next((p for p in parts[1:] if p != _WEAK), _WEAK)
        elif node.op in sc.BITWISE:
            known[id(node)] = strong
        elif node.op in ("add", "sub", "mul", "div", "min", "max", "neg", "abs", *_ROUNDING):
            known[id(node)] = strong
        else:
            known[id(node)] = "float32"
    return known

"""cumsum, cumprod, cummax and cummin along one axis.

Along the last axis one element comes after another; along another axis a vector holds four
neighbouring rows. Sums and products of float32 are kept in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, shuffle, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

_OPS = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min"}
_LEAST = {"cummax": (-(2**31), -inf), "cummin": (2**31 - 1, inf)}


@dataclass(frozen=True)
class Scan:
    """A scan along the middle of [outer, size, inner]."""

    op: str
    dtype: str
    outer: int
    size: int
    inner: int
    reverse: bool
    exclusive: bool

    @property
    def blocks(self) -> int:
        """Vectors of neighbouring rows; 1 along the last axis."""
        return 1 if self.inner == 1 else -(-self.inner // 4)

    @property
    def units(self) -> int:
        return self.outer * self.blocks

    @property
    def wide(self) -> bool:
        """Whether the total is kept in float64."""
        return self.dtype == "float32" and self.op in ("cumsum", "cumprod")

    @property
    def nothing(self) -> float:
        """The scan of no elements."""
        if self.op in _LEAST:
            return _LEAST[self.op][self.dtype == "float32"]
        return float(self.op == "cumprod")


@register(*_OPS)
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a scan node."""
    x = node.inputs[0].type
    axis = node.attrs["axis"] % x.rank
    scan = Scan(
        node.op,
        x.dtype,
        prod(x.bound[:axis]),
        x.bound[axis],
        prod(x.bound[axis + 1 :]),
        node.attrs["reverse"],
        node.attrs.get("exclusive", False),
    )

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 4)
        (_rows if scan.inner == 1 else _columns)(f, scan, *f.params)

    return Kernel(f"{scan}", emit, scan.units, flops=x.size, bytes=node_bytes(node))


def _rows(f: Function, scan: Scan, x: Local, y: Local, low: Local, high: Local) -> None:
    """The last axis."""
    unit, p, q, other = f.locals(4, "i32")
    kind = "f64" if scan.wide else "f32" if scan.dtype == "float32" else "i32"
    total = f.local(kind)
    step = -4 if scan.reverse else 4

    def take() -> None:
        if kind == "i32" and scan.op in _LEAST:
            f.get(p).op("i32.load").set(other)
            f.get(total).get(other).get(total).get(other)
            f.op("i32.gt_s" if scan.op == "cummax" else "i32.lt_s").select().set(total)
            return
        f.get(total).get(p).op("i32.load" if kind == "i32" else "f32.load")
        if scan.wide:
            f.op("f64.promote_f32")
        f.op(f"{kind}.{_OPS[scan.op]}").set(total)

    def put() -> None:
        f.get(q).get(total)
        if scan.wide:
            f.op("f32.demote_f64")
        f.op("i32.store" if kind == "i32" else "f32.store")

    with f.range(unit, low, high):
        for base, pointer in ((x, p), (y, q)):
            f.address(base, unit, scan.size * 4)
            f.plus((scan.size - 1) * 4 if scan.reverse else 0).set(pointer)
        (f.i32(int(scan.nothing)) if kind == "i32" else getattr(f, kind)(scan.nothing)).set(total)
        with f.repeat(scan.size):
            for part in (put, take) if scan.exclusive else (take, put):
                part()
            f.advance(p, step).advance(q, step)


def _columns(f: Function, scan: Scan, x: Local, y: Local, low: Local, high: Local) -> None:
    """Another axis: four neighbouring rows at a time."""
    registers = Registers(f)
    unit, block, p, q = registers.take_many(4, "i32")
    value, *totals = registers.take_many(3 if scan.wide else 2, "v128")
    line = scan.inner * 4
    step, rest = -line if scan.reverse else line, scan.inner % 4

    def start() -> None:
        for total in totals:
            if scan.wide:
                f.f64(scan.nothing).op("f64x2.splat").set(total)
            elif scan.dtype == "float32":
                f.f32x4(scan.nothing).set(total)
            else:
                f.i32x4(int(scan.nothing)).set(total)

    def take() -> None:
        f.get(p).load().set(value)
        op = _OPS[scan.op]
        if not scan.wide:
            kind = "f32x4" if scan.dtype == "float32" else "i32x4"
            suffix = "_s" if kind == "i32x4" and scan.op in _LEAST else ""
            f.get(totals[0]).get(value).op(f"{kind}.{op}{suffix}").set(totals[0])
            return
        for total in totals:
            f.get(total).get(value).op("f64x2.promote_low_f32x4").op(f"f64x2.{op}").set(total)
            shuffle(f.get(value).get(value), 2, 3, 0, 1).set(value)

    def put(lanes: int) -> None:
        if not scan.wide:
            store_bytes(f, q, totals[0], 4 * lanes)
            return
        for total in totals:
            f.get(total).op("f32x4.demote_f64x2_zero")
        shuffle(f, 0, 1, 4, 5).set(value)
        store_bytes(f, q, value, 4 * lanes)

    def sweep(lanes: int) -> None:
        start()
        parts: tuple[Callable[[], None], ...] = (take, lambda: put(lanes))
        with f.repeat(scan.size):
            for part in reversed(parts) if scan.exclusive else parts:
                part()
            f.advance(p, step).advance(q, step)

    with f.range(unit, low, high):
        f.get(unit).i32(scan.blocks).op("i32.rem_u").times(16).set(block)
        for base, pointer in ((x, p), (y, q)):
            f.get(unit).i32(scan.blocks).op("i32.div_u").times(scan.size * line)
            f.get(block).op("i32.add").get(base).op("i32.add")
            f.plus((scan.size - 1) * line if scan.reverse else 0).set(pointer)
        if not rest or scan.blocks == 1:
            sweep(rest or 4)
        else:
            f.get(block).i32(16 * (scan.blocks - 1)).op("i32.eq")
            with f.if_():
                sweep(rest)
                f.else_()
                sweep(4)

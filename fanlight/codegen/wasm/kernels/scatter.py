"""gather_nd and scatter_nd: slices of a tensor at tuples of indices of its first dims.

gather_nd is split by tuples. scatter_nd is split into parts of the result: everybody goes through
all tuples and takes those of its own part, so that nothing is written by two, and updates of one
place meet in their order. Where that is most of the work it is not split.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

from fanlight import dtypes
from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Label, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, copy_run
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops.types import TensorType
from fanlight.targets import Target

LONG_RUN = 256  # bytes of a slice from which a loop goes over its vectors
PARTS = 8  # that the work of a scatter_nd is split into


@dataclass(frozen=True)
class Places:
    """`count` tuples of indices into dims of `sizes`; `run` bytes lie at each place."""

    sizes: tuple[int, ...]
    count: int
    run: int

    @property
    def rows(self) -> int:
        return prod(self.sizes)


def _places(shape: tuple[int, ...], indices: TensorType, dtype: str) -> Places:
    depth = indices.bound[-1]
    run = prod(shape[depth:]) * dtypes.size(dtype)
    return Places(shape[:depth], prod(indices.bound[:-1]), run)


def _row(
    f: Function, places: Places, tuple_: Local, index: Local, row: Local, outside: Label | None
) -> None:
    """`row` = the place of a tuple. Outside its dims: branch, or clip it into them."""
    for d, size in enumerate(places.sizes):
        f.get(tuple_).op("i32.load", 4 * d).set(index)
        if outside is not None:
            # Taken as unsigned, negative indices are large.
            f.get(index).i32(size).op("i32.ge_u").br_if(outside)
        else:
            f.i32(0).get(index).get(index).i32(0).op("i32.lt_s").select().set(index)
            f.i32(size - 1).get(index).get(index).i32(size - 1).op("i32.gt_s").select().set(index)
        if d:
            f.get(row).times(size).get(index).op("i32.add").set(row)
        else:
            f.get(index).set(row)


# --- gather_nd ------------------------------------------------------------------------------------


@register("gather_nd")
def lower_gather(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a gather_nd node."""
    x, indices = (v.type for v in node.inputs)
    places, zero = _places(x.bound, indices, x.dtype), node.attrs["outside"] == "zero"

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 5)
        emit_gather(f, places, zero, *f.params)

    traffic = node.outputs[0].type.nbytes * 2 + indices.nbytes
    return Kernel(f"gather_nd {zero} {places}", emit, places.count, bytes=traffic)


def emit_gather(
    f: Function,
    places: Places,
    zero: bool,
    x: Local,
    indices: Local,
    y: Local,
    low: Local,
    high: Local,
) -> None:
    """Slices [low, high) of the output; outside the dims: zeros, or indices clipped into them."""
    registers = Registers(f)
    unit, tuple_, index, row, source, target = registers.take_many(6, "i32")
    step = 4 * len(places.sizes)
    f.address(indices, low, step).set(tuple_)
    f.address(y, low, places.run).set(target)
    with f.range(unit, low, high):
        with f.block() as done:
            if zero:
                with f.block() as outside:
                    _row(f, places, tuple_, index, row, outside)
                    f.address(x, row, places.run).set(source)
                    copy_run(f, registers, target, source, places.run)
                    f.br(done)
                f.get(target).i32(0).i32(places.run).op("memory.fill")
            else:
                _row(f, places, tuple_, index, row, None)
                f.address(x, row, places.run).set(source)
                copy_run(f, registers, target, source, places.run)
        f.advance(tuple_, step).advance(target, places.run)


# --- scatter_nd -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scatter:
    """Slices that meet a tensor, or a constant where there is none."""

    places: Places
    mode: str
    dtype: str
    fill: bytes | None  # of an element

    @property
    def parts(self) -> int:
        """Into how many parts of the result the work is split."""
        places = self.places
        heavy = places.run >= LONG_RUN or places.count * PARTS <= places.rows
        return min(PARTS, places.rows) if heavy else 1


@register("scatter_nd")
def lower_scatter(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a scatter_nd node."""
    indices, updates = (v.type for v in node.inputs[:2])
    y = node.outputs[0].type
    fill = None
    if len(node.inputs) == 2:
        fill = _bytes(node.attrs["value"], y.dtype)
    places = _places(y.bound, indices, y.dtype)
    scatter = Scatter(places, node.attrs["mode"], y.dtype, fill)

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (len(node.inputs) + 3))
        emit_scatter(f, scatter, *f.params)

    return Kernel(f"{scatter}", emit, scatter.parts, flops=updates.size, bytes=node_bytes(node))


def _bytes(value: float, dtype: str) -> bytes:
    if dtype == "float32":
        return struct.pack("<f", value)
    size = dtypes.size(dtype)
    return int(value).to_bytes(4, "little", signed=True)[:size]


def emit_scatter(f: Function, scatter: Scatter, *params: Local) -> None:
    """Parts [low, high) of the output, of which all but the last have as many slices."""
    indices, updates, *x, y, low, high = params
    places, parts = scatter.places, scatter.parts
    share = -(-places.rows // parts)
    for bound in (low, high):
        f.get(bound).times(share).set(bound)
        f.i32(places.rows).get(bound).get(bound).i32(places.rows).op("i32.gt_s").select().set(bound)
    registers = Registers(f)
    unit, tuple_, index, row, source, target, count = registers.take_many(7, "i32")
    f.address(y, low, places.run).set(target)
    f.get(high).get(low).op("i32.sub").tee(count).times(places.run).set(unit)
    if x:
        f.address(x[0], low, places.run).set(source)
        f.get(target).get(source).get(unit).op("memory.copy")
    else:
        _fill(f, registers, target, unit, scatter.fill or b"\0")
    if not places.count or not places.run:
        return
    step = 4 * len(places.sizes)
    f.get(indices).set(tuple_).get(updates).set(source)
    with f.range(unit, 0, places.count):
        with f.block() as outside:
            _row(f, places, tuple_, index, row, outside)
            f.get(row).get(low).op("i32.sub").get(count).op("i32.ge_u").br_if(outside)
            f.address(y, row, places.run).set(target)
            _meet(f, registers, scatter, target, source)
        f.advance(tuple_, step).advance(source, places.run)


def _fill(f: Function, registers: Registers, start: Local, length: Local, value: bytes) -> None:
    """Fill bytes, whose number is a multiple of the value's size."""
    if len(set(value)) == 1:
        f.get(start).i32(value[0]).get(length).op("memory.fill")
        return
    at, count = registers.take_many(2, "i32")
    f.get(length).i32(2).op("i32.shr_u").set(count)
    with f.range(at, 0, count):
        f.address(start, at, 4).i32(int.from_bytes(value, "little")).op("i32.store")
    registers.give(at, count)


def _meet(
    f: Function, registers: Registers, scatter: Scatter, target: Local, source: Local
) -> None:
    """The run at `source` meets that at `target`."""
    run = scatter.places.run
    if scatter.mode == "update":
        copy_run(f, registers, target, source, run)
        return
    kind, many = ("f32", "f32x4") if scatter.dtype == "float32" else ("i32", "i32x4")
    suffix = "_s" if kind == "i32" and scatter.mode in ("max", "min") else ""
    vectors, rest = divmod(run, 16)

    def four(p: Local, q: Local, at: int) -> None:
        f.get(p).get(p).load(at).get(q).load(at).op(f"{many}.{scatter.mode}{suffix}").store(at)

    if run >= LONG_RUN:
        p, q = registers.take_many(2, "i32")
        f.get(target).set(p).get(source).set(q)
        with f.repeat(vectors):
            four(p, q, 0)
            f.advance(p, 16).advance(q, 16)
        registers.give(p, q)
    else:
        for at in range(vectors):
            four(target, source, 16 * at)
    for at in range(16 * vectors, 16 * vectors + rest, 4):
        _meet_one(f, registers, scatter.mode, kind, target, source, at)


def _meet_one(
    f: Function, registers: Registers, mode: str, kind: str, target: Local, source: Local, at: int
) -> None:
    """One element; WebAssembly has no i32.max."""
    if kind == "f32" or mode in ("add", "mul"):
        f.get(target).get(target).op(f"{kind}.load", at).get(source).op(f"{kind}.load", at)
        f.op(f"{kind}.{mode}").op(f"{kind}.store", at)
        return
    old, new = registers.take_many(2, "i32")
    f.get(target).op("i32.load", at).set(old).get(source).op("i32.load", at).set(new)
    f.get(target).get(old).get(new)
    f.get(old).get(new).op("i32.gt_s" if mode == "max" else "i32.lt_s").select()
    f.op("i32.store", at)
    registers.give(old, new)

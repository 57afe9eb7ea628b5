"""mean_int8: sums of bytes along neighbouring dims by wide additions; other axes by the loops.

After loops that continue each other are joined, two shapes are common: the reduced dim lies outside
of the channels (a global pool), or it is the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.byte_sums import BLOCK, ROOM, ByteSums, Mean
from fanlight.codegen.wasm.kernels.loop_ir import Access, Nest, Reduce, View, access, simplify
from fanlight.codegen.wasm.kernels.loops import nest_kernel
from fanlight.codegen.wasm.kernels.vectors import Registers, fold_lanes
from fanlight.codegen.wasm.module import Module
from fanlight.codegen.wasm.rounding import finish, start
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.targets import Target


@register("mean_int8")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of mean_int8."""
    mean = Mean.of(node)
    nest = simplify(_nest(node, mean))
    count = prod(nest.sizes[len(nest.sizes) - _reduced(nest) :])
    source = nest.loads[0]
    kept = nest.sizes[: len(nest.sizes) - _reduced(nest)]
    emit_body = None
    if _reduced(nest) == 1 and nest.elements:
        if kept and source.strides[len(kept) - 1] == 1 and len(kept) <= 2:
            blocks = -(-kept[-1] // BLOCK)
            work = blocks * prod(kept[:-1])
            emit_body = _columns
        elif source.strides[-1] == 1 and len(kept) <= 1:
            work = prod(kept)
            emit_body = _rows
    if emit_body is None:
        return nest_kernel([nest], 1, node_bytes(node))
    chosen = emit_body

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 4)
        chosen(f, nest, mean, count, f.params)

    return Kernel(
        key=f"mean bytes {nest.sizes} {source.strides} {mean}",
        emit=emit,
        work=work,
        flops=node.inputs[0].type.size,
        bytes=node_bytes(node),
    )


def _reduced(nest: Nest) -> int:
    return nest.reduce.dims if nest.reduce is not None else 0


def _nest(node: Node, mean: Mean) -> Nest:
    """The mean as a nest: kept loops first, then the reduced ones."""
    x, output = node.inputs[0].type, node.outputs[0].type
    axes = {a % x.rank for a in node.attrs["axes"]}
    order = [d for d in range(x.rank) if d not in axes] + sorted(axes)
    view = View.dense(x.bound).permute(order)
    kept = x.rank - len(axes)
    strides = View.dense(view.shape[:kept]).strides + (0,) * len(axes)
    count = prod(view.shape[kept:])
    v = sc.cast(sc.arg(0) - count * mean.zero_x, "float32") * mean.factor(count)
    after = sc.cast(sc.clip(sc.make("round", v) + mean.zero, 0, mean.high), "uint8")
    total = Reduce(len(axes), sc.arg(0) + sc.arg(1), 0, after)
    store = Access(1, output.dtype, strides)
    return Nest(view.shape, (access(view, 0, "uint8"),), store, sc.cast(sc.arg(0), "int32"), total)


def _columns(f: Function, nest: Nest, mean: Mean, count: int, params: Sequence[Local]) -> None:
    """Blocks of channels; the reduced dim lies outside of them. Unit: a block of one outer item."""
    x, y, low, high = params
    registers = Registers(f)
    *outer, channels = nest.sizes[:-1]
    stride = nest.loads[0].strides
    whole, rest = divmod(channels, BLOCK)
    blocks = whole + (rest > 0)
    unit, source, to, block, item = registers.take_many(5, "i32")
    factor = registers.take("v128")
    f.f32x4(mean.factor(count)).set(factor)
    with f.range(unit, low, high):
        f.get(unit).set(block)
        f.get(x).set(source).get(y).set(to)
        if outer:
            f.get(unit).i32(blocks).op("i32.div_u").set(item)
            f.get(unit).i32(blocks).op("i32.rem_u").set(block)
            f.address(source, item, stride[0]).set(source)
            f.address(to, item, channels).set(to)
        f.address(source, block, BLOCK).set(source)
        f.address(to, block, BLOCK).set(to)
        if whole and rest:
            f.get(block).i32(whole).op("i32.lt_u")
            with f.if_():
                _block(f, registers, mean, count, stride[-1], source, to, factor, BLOCK)
                f.else_()
                _block(f, registers, mean, count, stride[-1], source, to, factor, rest)
        else:
            only = BLOCK if whole else rest
            _block(f, registers, mean, count, stride[-1], source, to, factor, only)


def _block(
    f: Function,
    registers: Registers,
    mean: Mean,
    count: int,
    step: int,
    source: Local,
    to: Local,
    factor: Local,
    channels: int,
) -> None:
    """The means of one block of channels, over `count` rows `step` bytes apart."""
    sums = ByteSums(f, registers, channels, long=count > ROOM)
    sums.clear()
    left = count
    if count > ROOM:
        with f.repeat(count // ROOM):
            _add_rows(f, sums, source, step, ROOM)
            sums.empty()
        left = count % ROOM
    _add_rows(f, sums, source, step, left)
    if count > ROOM:
        sums.empty()
    sums.store(to, 0, mean, count * mean.zero_x, factor)
    sums.release()


def _add_rows(f: Function, sums: ByteSums, source: Local, step: int, count: int) -> None:
    """Add `count` rows; the pointer moves behind them."""
    unroll = 4
    with f.repeat(count // unroll):
        for i in range(unroll):
            sums.add(source, i * step)
        f.advance(source, unroll * step)
    for i in range(count % unroll):
        sums.add(source, i * step)


def _rows(f: Function, nest: Nest, mean: Mean, count: int, params: Sequence[Local]) -> None:
    """The reduced dim is contiguous. Unit: one output."""
    x, y, low, high = params
    registers = Registers(f)
    line = nest.loads[0].strides[0] if len(nest.sizes) > 1 else 0
    unit, source = registers.take_many(2, "i32")
    total, value = registers.take_many(2, "v128")
    vectors, tail = divmod(count, 16)

    def add() -> None:
        # Pairs of bytes fit uint16, pairs of those int32.
        f.op("i16x8.extadd_pairwise_i8x16_u").op("i32x4.extadd_pairwise_i16x8_u")
        f.get(total).op("i32x4.add").set(total)

    with f.range(unit, low, high):
        f.address(x, unit, line).set(source)
        f.i32x4(0).set(total)
        with f.repeat(vectors // 4):
            for i in range(4):
                f.get(source).load(16 * i)
                add()
            f.advance(source, 64)
        for i in range(vectors % 4):
            f.get(source).load(16 * i)
            add()
        if tail:
            f.get(source).load(16 * (vectors % 4))
            f.v128(bytes([255] * tail + [0] * (16 - tail))).op("v128.and")
            add()
        fold_lanes(f, registers, total, lambda a, b: f.get(a).get(b).op("i32x4.add"))
        start(f, mean.rounding)
        f.get(total).i32x4(count * mean.zero_x).op("i32x4.sub").op("f32x4.convert_i32x4_s")
        f.f32x4(mean.factor(count)).op("f32x4.mul")
        finish(f, mean.rounding, clip=True).set(value)
        # The clip has left a byte; it is bits 0 .. 7 of every lane.
        f.get(y).get(unit).op("i32.add").get(value).op("v128.store8_lane", 0, 0)

"""lookup: any function of one byte, sixteen bytes at a time out of a table in registers.

A table of 256 bytes is sixteen vectors; the low four bits of a byte pick inside each, the high
four pick between them. With relaxed SIMD that is a swizzle per vector and a tree of lane selects;
without, out-of-range lanes of the plain swizzle are 0 and results are ORed together.

Activations of seven bits only meet the lower half. Where the upper half holds nothing but the last
byte of the lower, eight vectors and a minimum do: a constant table tells when the kernel is made,
any other at the start of a call.
"""

from __future__ import annotations

from collections.abc import Sequence

from fanlight.codegen.kernel import Kernel, Weights, node_bytes, register
from fanlight.codegen.wasm.assembler import Function, Local
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.targets import Target

GROUP = 64  # bytes per unit of work
STEP = 16
VECTORS = 16  # of a table


@register("lookup")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a lookup node."""
    size = node.inputs[0].type.size
    table = weights.get(node.inputs[1])
    half = None if table is None else bool((table[128:] == table[127]).all())

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * 5)
        emit_lookup(f, target, size, half, *f.params)

    return Kernel(
        # Whole groups are counted in units; only what is left of the last one is in the code.
        key=f"lookup {half} {size if size % GROUP else 0}",
        emit=emit,
        work=-(-size // GROUP),
        bytes=node_bytes(node),
    )


def emit_lookup(
    f: Function,
    target: Target,
    size: int,
    half: bool | None,
    x: Local,
    table: Local,
    y: Local,
    low: Local,
    high: Local,
) -> None:
    """Groups [low, high) of `size` bytes.

    Args:
        half: whether the upper half of the table repeats entry 127; None: not known yet.
    """
    registers = Registers(f)
    vectors = registers.take_many(VECTORS // 2 if half else VECTORS, "v128")
    for i, vector in enumerate(vectors):
        f.get(table).load(16 * i).set(vector)
    source, to, left, last = registers.take_many(4, "i32")
    f.address(x, low, GROUP).set(source)
    f.address(y, low, GROUP).set(to)
    f.get(high).times(GROUP)
    if size % GROUP:
        f.tee(last).i32(size).get(last).i32(size).op("i32.lt_s").select()
    f.get(low).times(GROUP).op("i32.sub").i32(4).op("i32.shr_s").set(left)
    f.get(high).times(GROUP).i32(size).op("i32.gt_s").set(last)

    def step(used: Sequence[Local], count: int) -> None:
        value = registers.take("v128")
        f.get(source).load()
        if len(used) < VECTORS:
            f.v128(bytes([127]) * 16).op("i8x16.min_u")
        f.set(value)
        _pick(f, registers, target, used, value)
        store_bytes(f, to, value, count)
        registers.give(value)

    def loop(used: Sequence[Local]) -> None:
        with f.block() as done:
            f.get(left).i32(0).op("i32.le_s").br_if(done)
            with f.loop() as again:
                step(used, STEP)
                f.advance(source, STEP).advance(to, STEP)
                f.get(left).i32(1).op("i32.sub").tee(left).br_if(again)
        if size % STEP:
            f.get(last)
            with f.if_():
                step(used, size % STEP)

    if half is not None:
        loop(vectors)
        return
    repeated = registers.take("v128")
    f.get(table).op("v128.load8_splat", 127).set(repeated)
    for i, vector in enumerate(vectors[VECTORS // 2 :]):
        f.get(vector).get(repeated).op("i8x16.eq")
        if i:
            f.op("v128.and")
    f.op("i8x16.all_true")
    registers.give(repeated)
    with f.if_():
        loop(vectors[: VECTORS // 2])
        f.else_()
        loop(vectors)


def _pick(
    f: Function, registers: Registers, target: Target, vectors: Sequence[Local], value: Local
) -> None:
    """Replace a vector of bytes, less than 16 * len(vectors), by their entries."""
    if target.relaxed_simd:
        _pick_by_tree(f, registers, vectors, value)
        return
    total = registers.take("v128")
    for i, vector in enumerate(vectors):
        f.get(vector).get(value).op("i8x16.swizzle")
        if i:
            f.get(total).op("v128.or")
        f.set(total)
        if i < len(vectors) - 1:
            f.get(value).v128(bytes([16]) * 16).op("i8x16.sub").set(value)
    f.get(total).set(value)
    registers.give(total)


def _pick_by_tree(
    f: Function, registers: Registers, vectors: Sequence[Local], value: Local
) -> None:
    """The same with relaxed SIMD, exact since indices are 0 .. 15 and masks all ones or zeros."""
    low = registers.take("v128")
    levels = len(vectors).bit_length() - 1
    masks = registers.take_many(levels, "v128")
    f.get(value).v128(bytes([15]) * 16).op("v128.and").set(low)
    for level, mask in enumerate(masks):
        bit = bytes([16 << level]) * 16
        f.get(value).v128(bit).op("v128.and").v128(bit).op("i8x16.eq").set(mask)

    def entry(first: int, level: int) -> None:
        """Push the entries as far as 2^level vectors from `first` on tell them."""
        if level == 0:
            f.get(vectors[first]).get(low).op("i8x16.relaxed_swizzle")
            return
        entry(first + (1 << level - 1), level - 1)
        entry(first, level - 1)
        f.get(masks[level - 1]).op("i8x16.relaxed_laneselect")

    entry(0, levels)
    f.set(value)
    registers.give(low, *masks)

"""random_bits: four elements at a time, from their places alone; nothing is read but the key."""

from __future__ import annotations

from fanlight.codegen.kernel import Kernel, Weights, register
from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.assembler import Function
from fanlight.codegen.wasm.kernels.vectors import Registers, store_bytes
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops import random
from fanlight.ops import scalar as sc
from fanlight.targets import Target

GROUP = 4  # elements of a unit of work


@register("random_bits")
def lower(node: Node, target: Target, weights: Weights) -> Kernel:
    """The kernel of a random_bits node."""
    size, stream = node.outputs[0].type.size, node.attrs["stream"]

    def emit(module: Module, name: str) -> None:
        _emit(module.function(name, ("i32",) * 4), size, stream)

    return Kernel(
        key=f"random_bits {size} {stream}",
        emit=emit,
        work=-(-size // GROUP),
        in_order=True,
        flops=size * sc.cost(random.body(stream)),
        bytes=node.outputs[0].type.nbytes,
    )


def _emit(f: Function, size: int, stream: int) -> None:
    """Groups [low, high) of the output; the last one may be shorter."""
    key, y, low, high = f.params
    registers = Registers(f)
    group, target = registers.take_many(2, "i32")
    places, first, second, third, made = registers.take_many(5, "v128")
    f.get(key).op("v128.load32_splat").set(first)
    f.get(key).op("v128.load32_splat", 4).set(second)
    scalar_code.emit(
        f, random.third_word(sc.arg(0), sc.arg(1)), (first, second), ("int32",) * 2
    ).set(third)
    f.address(y, low, 4 * GROUP).set(target)
    with f.range(group, low, high):
        f.get(group).times(GROUP).op("i32x4.splat")
        f.v128(b"".join(i.to_bytes(4, "little") for i in range(GROUP)))
        f.op("i32x4.add").set(places)
        scalar_code.emit(
            f,
            random.body(stream),
            (places, first, second, third),
            ("int32",) * 4,
            registers.take,
            registers.give,
        ).set(made)
        if size % GROUP:
            f.get(group).i32(size // GROUP).op("i32.eq")
            with f.if_():
                store_bytes(f, target, made, 4 * (size % GROUP))
                f.else_()
                f.get(target).get(made).store()
        else:
            f.get(target).get(made).store()
        f.advance(target, 4 * GROUP)

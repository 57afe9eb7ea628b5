"""dim_size: what the host wrote into the dims block, as a value of the graph."""

from __future__ import annotations

from fanlight.codegen.kernel import Kernel, Weights, register
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node
from fanlight.ops.types import Dim
from fanlight.targets import Target


@register("dim_size")
def lower_size(node: Node, target: Target, weights: Weights) -> Kernel:
    """One load and one store; the size itself where it is known."""
    (x,) = node.inputs
    size = x.shape[node.attrs["axis"]]
    known = None if isinstance(size, Dim) else size

    def emit(module: Module, name: str) -> None:
        f = module.function(name, ("i32",) * (3 if known is not None else 4))
        y, *dims, _, _ = f.params
        f.get(y)
        if known is None:
            f.get(dims[0]).op("i32.load")
        else:
            f.i32(known)
        f.op("i32.store")

    return Kernel(
        key=f"dim_size {known}",
        emit=emit,
        work=1,
        folded=frozenset({0}),
        bytes=4,
        dims=known is None,
    )

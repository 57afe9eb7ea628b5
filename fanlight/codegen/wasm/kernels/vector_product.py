"""A vector times a matrix that is computed: too little work to put the matrix into panels first."""

from __future__ import annotations

from math import prod

from fanlight.codegen.kernel import Kernel, node_bytes
from fanlight.codegen.wasm.kernels.loop_forms import wide
from fanlight.codegen.wasm.kernels.loop_ir import Access, Nest, Reduce
from fanlight.codegen.wasm.kernels.loops import nest_kernel
from fanlight.graph import Node
from fanlight.ops import scalar as sc
from fanlight.ops.row import EPILOGUE


def is_wide(node: Node) -> bool:
    """Whether a product of two matrices is better computed by `vector_by_matrix`."""
    rows = prod(node.inputs[0].type.bound[:-1])
    # An epilogue is left to the tiles.
    alone = len(node.inputs) == 2 and EPILOGUE not in node.attrs
    return alone and rows == 1 and wide(_nest(node))


def vector_by_matrix(node: Node) -> Kernel:
    """A reduction of the weighted rows of the matrix, which reads it in the order of memory."""
    return nest_kernel([_nest(node)], 2, node_bytes(node))


def _nest(node: Node) -> Nest:
    k, columns = node.inputs[1].type.bound[-2:]
    loads = (Access(0, "float32", (0, 1)), Access(1, "float32", (1, columns)))
    total = Reduce(1, sc.arg(0) + sc.arg(1), 0.0, sc.arg(0))
    store = Access(2, "float32", (1, 0))
    return Nest((columns, k), loads, store, sc.arg(0) * sc.arg(1), total)

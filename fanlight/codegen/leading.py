"""Which values have a symbol's actual size as their first dim, so that kernels may stop early.

Behind the actual size of a symbol lies padding, which nothing reads (passes/bind_symbols.py). Where
it is the end of a buffer, nobody need compute it.
"""

from __future__ import annotations

from fanlight.errors import FanlightError
from fanlight.graph import Graph, Node, Value
from fanlight.ops import row as rows
from fanlight.ops import symbols
from fanlight.ops.types import Dim, TensorType


def leading_symbols(graph: Graph) -> dict[Value, Dim]:
    """value -> the symbol whose actual number of slices of it have a meaning.

    Found from the inputs on, by asking the ops what comes out if their inputs have that symbol. An
    op that reads padding, or meets something of the bound's size that is none, ends it: the masks
    of `bind_symbols` do.
    """
    found: dict[Value, Dim] = {}
    for node in graph.nodes:
        if node.op == "to_bound":
            _begin(node, found)
        elif any(v in found for v in node.inputs):
            _follow(node, found)
    return found


def _begin(node: Node, found: dict[Value, Dim]) -> None:
    (x,), y = node.inputs, node.output
    if x.shape and isinstance(x.shape[0], Dim) and y.shape == x.type.bound:
        found[y] = x.shape[0]


def _follow(node: Node, found: dict[Value, Dim]) -> None:
    dims = {v: found[v] for v in node.inputs if v in found}
    if len({d.name for d in dims.values()}) > 1 or node.op in symbols.OWN:
        return
    if node.op == "reshape":  # whose attribute has the bound in it
        _reshaped(node.output, next(iter(dims.values())).symbol, found)
        return
    types = [
        TensorType((dims[v], *v.shape[1:]), v.dtype) if v in dims else v.type for v in node.inputs
    ]
    row = rows.lookup(node.op)
    core = types[: row.arity[1]] if rows.EPILOGUE in node.attrs else types
    try:
        if any(0 in f and f[0] is not None for f in symbols.fills(row, core, node.attrs)):
            return
        _, outputs = rows.infer(node.op, types, node.attrs)
    except FanlightError:
        return
    for value, type in zip(node.outputs, outputs, strict=True):
        (first, *_) = type.shape or (0,)
        if isinstance(first, Dim) and type.bound == value.shape:
            found[value] = first


def _reshaped(value: Value, d: Dim, found: dict[Value, Dim]) -> None:
    """What was first, merged with dims behind it or split from them, is first."""
    count, rest = divmod(value.shape[0], d.max) if value.shape else (0, 1)
    if count and not rest:
        found[value] = d.merged(count)

"""What dense forms of sparse vectors want, and parts whose sizes outputs tell; see roles.py."""

from __future__ import annotations

import math

from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.roles import Guesser, Wanted, rule

# Each of their results has the elements of the first input, in some shape and order.
_KEEP_ELEMENTS = frozenset(
    "Identity Reshape Transpose Squeeze ExpandDims Sigmoid Softmax Relu Relu6 Tanh Exp Cast".split()
)
_DEPTH = 12


@rule("SparseToDense")
def sparse_to_dense(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Of no places: the shape is what the result meets, and all of it is the default, 0."""
    if index == 1:
        told = g.expected(user.name, count)
        return [d for d in told if d] if all(told) else None
    places = g.shape(user.inputs[0])
    return [0] * count if index == 3 or (places and places[0] == 0) else None


def shared_shape(g: Guesser, user: GraphNode, count: int) -> int | None:
    """The dim to leave open if several Reshapes take their shape from one constant; else None.

    They have it by itself, or as a sum with known zeros. Open is the dim in which they differ.
    """
    shape = user.inputs[1]
    maker = g.nodes.get(shape.node)
    found: dict[str, GraphNode] = {}
    for ref in [shape, *(maker.inputs if maker and maker.op in ("Add", "AddV2") else ())]:
        for reader, _ in g.users.get(ref.node, []) if g.is_constant(ref) else []:
            sums = g.users.get(reader.name, []) if reader.op in ("Add", "AddV2") else []
            for node in [reader, *(n for n, _ in sums)]:
                if node.op == "Reshape":
                    found[node.name] = node
    if len(found) < 2:
        return None
    told = [g.expected(name, count) for name in found]
    for axis, sizes in enumerate(zip(*told, strict=True)):
        if None not in sizes and len(set(sizes)) > 1:
            return axis
    return 1 if count > 2 or g.flattens(user) else 0


def elements(g: Guesser, ref: Ref) -> int | None:
    """How many elements a result has, if a declared output is made of these alone."""
    for _ in range(_DEPTH):
        dims = g.declared.get(ref.node)
        if dims is not None and ref.index == 0:
            known = [d for d in dims if d is not None]
            return math.prod(known) if len(known) == len(dims) else None
        readers = [
            n
            for n, i in g.users.get(ref.node, [])
            if i == 0 and n.inputs[0] == ref and n.op in _KEEP_ELEMENTS
        ]
        if not readers:
            return None
        ref = Ref(readers[0].name)
    return None


def told_split(g: Guesser, user: GraphNode, count: int) -> tuple[int, list[int]] | None:
    """The dim that SplitV cuts and the sizes of its parts, if outputs tell how large they are."""
    shape = g.shape(user.inputs[0])
    parts = [elements(g, Ref(user.name, i)) for i in range(count)]
    if not shape or None in parts:
        return None
    for axis in reversed(range(len(shape))):
        rest = math.prod(shape) // max(1, shape[axis])
        sizes = [p // rest for p in parts if p and rest]
        if sum(sizes) == shape[axis] and [s * rest for s in sizes] == parts:
            return axis, sizes
    return None

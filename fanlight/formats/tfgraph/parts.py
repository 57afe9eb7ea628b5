"""What dense forms of sparse vectors want, and parts whose sizes outputs tell; see roles.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.roles import Guesser, Told, Wanted, motif, rule

_DEPTH = 12
_FAR = 1 << 20
_PARTS = 64
_SHARING = 32  # Reshapes that are asked of the shape that they share with others
_HEAD, _LARGE = (32, 64), 512  # features of a head, in small and in large networks


def made_by(g: Guesser, ref: Ref, *ops: str) -> GraphNode | None:
    """The node that gives a value, if it is one of some ops, with an input at least."""
    node = g.nodes.get(ref.node)
    return node if node is not None and node.op in ops and node.inputs else None


_REDUCTIONS = ("Mean", "Sum", "Max", "Min", "Prod", "Any", "All")


@motif
def last_dim_and_rest(g: Guesser) -> Told:
    """-1 is the last dim for a reduction, and what is left for a shape: converters share it."""
    told: Told = {}
    for name, spec in g.specs.items():
        users = g.users.get(name, [])
        if spec.dtype != "int32" or spec.count != 1 or len(users) < 2:
            continue
        reduces = any(n.op in _REDUCTIONS and i == 1 for n, i in users)
        shapes = any(n.op == "Reshape" and i == 1 for n, i in users)
        if reduces and shapes and spec.shape == (1,):
            told[name] = lambda: [-1]
    return told


@rule("SparseToDense")
def sparse_to_dense(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Its shape is what the result meets, or just holds the places; the default is 0."""
    places = g.shape(user.inputs[0])
    if index == 1:
        known = g.known(user.inputs[0])
        if known and count and len(known) % count == 0:
            return [max(known[a::count]) + 1 for a in range(count)]
        told = g.expected(user.name, count)
        return [d for d in told if d] if all(told) else None
    return [0] * count if index == 3 or (places and places[0] == 0) else None


def shared_shape(g: Guesser, user: GraphNode, count: int) -> int | None:
    """The dim to leave open if several Reshapes take their shape from one constant; else None.

    They have it by itself, or as a sum with known zeros. Open is the dim in which they differ.
    """
    shape = user.inputs[1]
    added = made_by(g, shape, "Add", "AddV2")
    found: dict[str, GraphNode] = {}
    for ref in [shape, *(added.inputs if added else ())]:
        for reader, _ in g.users.get(ref.node, []) if g.is_constant(ref) else []:
            if g.tired() or len(found) >= _SHARING:
                break
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


def of_sizes(g: Guesser, ref: Ref) -> bool:
    """Whether a vector is picked from a shape."""
    picked = made_by(g, ref, "GatherV2", "Slice", "StridedSlice")
    return picked is not None and made_by(g, picked.inputs[0], "Shape") is not None


def squeezed(g: Guesser, node: GraphNode) -> int | None:
    """The dim that is taken away again behind what the longer tensor is made for."""
    for _ in range(_DEPTH):
        users = g.users.get(node.name, [])
        if len(users) != 1 or users[0][1] != 0:
            return None
        node = users[0][0]
        if node.op == "Squeeze":
            dims = node.attrs.ints("squeeze_dims") or node.attrs.ints("axis")
            return dims[0] if len(dims) == 1 else None
        if node.op not in ("Conv2D", "_FusedConv2D", "BiasAdd", "Relu", "MaxPool", "AvgPool"):
            return None
    return None


def masks(g: Guesser, node: GraphNode) -> bool:
    """Whether lengths are compared with a range, which gives a mask of sequences."""
    readers = [n for n, _ in g.users.get(node.name, []) if n.op in ("Less", "LessEqual")]
    return any(made_by(g, r, "Range") for n in readers for r in n.inputs)


def told_split(g: Guesser, user: GraphNode, count: int) -> tuple[int, list[int]] | None:
    """The dim that SplitV cuts and the sizes of its parts, if outputs tell how large they are."""
    shape = g.shape(user.inputs[0])
    if not 0 < count <= _PARTS:
        return None
    parts = [g.shapes.total(Ref(user.name, i)) for i in range(count)]
    if not shape or None in parts:
        return None
    for axis in reversed(range(len(shape))):
        rest = math.prod(shape) // max(1, shape[axis])
        sizes = [p // rest for p in parts if p and rest]
        if sum(sizes) == shape[axis] and [s * rest for s in sizes] == parts:
            return axis, sizes
    return None


def far_limit(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """What places are found by: a limit so far away that all of them are found."""
    finds = any(n.op == "Where" for n, _ in g.users.get(user.name, []))
    if not finds or len(g.users.get(user.inputs[index].node, [])) > 1:
        return None
    far = index == (1 if user.op.startswith("Less") else 0)
    return [_FAR if far else -1] * count


def last_size(g: Guesser, user: GraphNode) -> Wanted:
    """Where the Slice `user` begins if it takes a size that stays the last of another shape."""
    shape = g.shape(user.inputs[0])
    ends = [n for n, i in g.users.get(user.name, []) if i == len(n.inputs) - 2 > 0]
    if not shape or not made_by(g, user.inputs[0], "Shape"):
        return None
    return [shape[0] - 1] if any(n.op == "ConcatV2" for n in ends) else None


def heads(g: Guesser, user: GraphNode, dims: Sequence[int | None]) -> tuple[int | None, int | None]:
    """Heads and their size, if the Reshape `user` parts features into these.

    [batch, tokens, heads, size] goes to a Transpose, and both are constants of a Pack. Their size
    is 64 in Vaswani et al. 2017 and in BERT; 32 in small ones (MobileBERT, Sun et al. 2020).
    """
    shape, pack = g.shape(user.inputs[0]), made_by(g, user.inputs[1], "Pack")
    count, size = dims[2:]
    turned = any(n.op == "Transpose" for n, _ in g.users.get(user.name, []))
    if not shape or pack is None or not turned or (count and size):
        return count, size
    if pack.inputs[2] == pack.inputs[3] or not all(map(g.is_constant, pack.inputs[2:])):
        return count, size
    width = shape[-1]
    if count is None and size is None and width and width % _HEAD[0] == 0:
        large = width >= _LARGE and width % _HEAD[1] == 0
        size = _HEAD[1] if large else _HEAD[0]
    if count and width % count == 0:
        size = width // count
    elif size and width % size == 0:
        count = width // size
    return count, size

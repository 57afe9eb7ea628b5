"""What detectors of objects want their shapes to be, where these came without their weights.

A convolution gives, at each place of a picture, the numbers of a few boxes: of each its four sides,
or a score for every class. They become rows, a row for each box, and the rows of all pictures are
joined. What takes the rows apart into columns tells how long they are; see roles.py.
"""

from __future__ import annotations

import math

from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.roles import Guesser, Wanted

_DEPTH = 12


def columns(g: Guesser, name: str, rank: int, depth: int = 0) -> int | None:
    """Into how many columns the rows of a result of this rank are taken apart: its last dim."""
    for user, index in g.users.get(name, []) if depth < _DEPTH and not g.tired() else []:
        found, left = None, 0
        if user.op == "Unpack":
            last = user.attrs.whole("axis", 0) in (-1, rank - 1)
            found = user.attrs.whole("num", 0) if last else None
        elif user.op == "Transpose" and index == 0 and rank == 2:
            readers = [r for r, _ in g.users.get(user.name, []) if r.op == "Unpack"]
            first = [r for r in readers if r.attrs.whole("axis", 0) in (0, -2)]
            found = first[0].attrs.whole("num", 0) if first else None
        elif user.op == "Reshape" and index == 0:
            left = _size(g, user, 1) or 0
        elif user.op == "Squeeze":
            drop = user.attrs.ints("squeeze_dims") or user.attrs.ints("axis")
            left = 0 if not drop or {-1, rank - 1} & {*drop} else rank - len(drop)
        elif user.op == "ConcatV2" and index < len(user.inputs) - 1 and rank > 2:
            axis = g.known(user.inputs[-1])
            left = 0 if axis is not None and axis[0] in (-1, rank - 1) else rank
        elif user.op == "Identity":
            left = rank
        if left > 1:
            found = columns(g, user.name, left, depth + 1)
        if found:
            return found
    return None


def _size(g: Guesser, user: GraphNode, index: int) -> int | None:
    """How many numbers an input has."""
    if index >= len(user.inputs):
        return None
    shape = g.shape(user.inputs[index])
    if shape is not None:
        return math.prod(shape)
    maker = g.nodes.get(user.inputs[index].node)
    return len(maker.inputs) if maker is not None and maker.op == "Pack" else None


def shared_rows(g: Guesser, user: GraphNode) -> int | None:
    """How many rows [batch, rows, ...] a Reshape gives that shares this number with another one.

    There are as many scores as boxes: where a row of one is known to be 4 numbers of the 12 at a
    place, there are 3 rows for each place of the other one, too.
    """
    shape, pack = g.shape(user.inputs[0]), g.nodes.get(user.inputs[1].node)
    if not shape or pack is None or pack.op != "Pack" or len(pack.inputs) < 3:
        return None
    places = math.prod(shape[1:-1])
    for other, index in g.users.get(pack.inputs[1].node, []):
        if g.tired():
            break
        if other.op != "Pack" or index != 1:
            continue
        for reader, at in g.users.get(other.name, []):
            if reader.op != "Reshape" or at != 1:
                continue
            length = columns(g, reader.name, len(other.inputs))
            channels = g.channels(reader.inputs[0])
            if length and channels and channels % length == 0:
                return places * (channels // length)
    return None


def of_columns(g: Guesser, ref: Ref) -> bool:
    """Whether a tensor [batch, rows, 4] was put together from columns, the sides of boxes.

    Boxes may be others for every class, so that there is a dim for classes before the sides.
    """
    shape = g.shape(ref)
    for op in ("Reshape", "Transpose"):
        maker = g.nodes.get(ref.node)
        if maker is None or maker.op != op or not shape or len(shape) != 3:
            return False
        ref = maker.inputs[0]
    maker = g.nodes.get(ref.node)
    return maker is not None and maker.op == "Pack" and len(maker.inputs) == 4


# --- anchors --------------------------------------------------------------------------------------

_SAME = ("Mul", "Add", "AddV2", "Sub", "RealDiv", "Maximum", "Minimum")


def copies(g: Guesser, user: GraphNode, shape: tuple[int, ...]) -> Wanted:
    """How often a Tile repeats each dim, so that its result is as large as what it is put to.

    Boxes of some sizes are laid at all places of a square grid: along two dims of one element.
    """
    size, total = math.prod(shape), elements(g, user.name)
    more = total // size if total and size and total % size == 0 else 1
    found = [1] * len(shape)
    free = [axis for axis, d in enumerate(shape) if d == 1]
    side = math.isqrt(more)
    if more > 1 and len(free) > 1 and side * side == more:
        found[free[0]] = found[free[1]] = side
    elif more > 1:
        found[free[0] if free else 0] = more
    return found


def elements(g: Guesser, name: str, depth: int = 0) -> int | None:
    """How many elements a result has in all, as the sums that it goes into tell."""
    for user, index in g.users.get(name, []) if depth < _DEPTH and not g.tired() else []:
        if user.op in _SAME:
            sizes = [math.prod(g.shape(r) or ()) for i, r in enumerate(user.inputs) if i != index]
            if max(sizes, default=1) > 1:
                return max(sizes)
        elif not (user.op in ("Pack", "Identity") or (user.op == "Reshape" and index == 0)):
            continue
        found = elements(g, user.name, depth + 1)
        parts = len(user.inputs) if user.op == "Pack" else 1
        if found and found % parts == 0:
            return found // parts
    return None

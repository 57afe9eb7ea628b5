"""What a signal cut into overlapping frames wants of its lengths and steps; see roles.py.

`tf.signal.frame` cuts a signal into subframes that divide both the frame and its step, and gathers
`parts` of these for each frame:

    gather(reshape(signal, [.., n, subframe, ..]), range(frames) * hop + [[0 .. parts - 1]])

How many parts a frame has is told by the shape of that row; how long it is, by the window that it
is multiplied by. Else one frame takes all of the signal. Frames overlap by half.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.parts import made_by
from fanlight.formats.tfgraph.roles import Guesser, Told, Wanted, motif

_SUMS = ("Add", "AddV2")


@dataclass(frozen=True)
class _Frames:
    """One cutting: the nodes that its lengths are constants of."""

    guesser: Guesser
    parts: int
    hop: int
    signal: Ref
    made: GraphNode  # the frames, as a Reshape gives them

    def axis(self) -> int:
        """The dim of the signal that is cut: the last one, unless it stays the last."""
        shape, told = self._shapes()
        stays = told[-1] is None or told[-1] == shape[-1]
        return max(0, len(shape) - 2) if stays else len(shape) - 1

    def length(self) -> int:
        shape, told = self._shapes()
        axis = self.axis()
        return told[axis + 1] or max(1, shape[axis] // self.parts) * self.parts

    def _shapes(self) -> tuple[tuple[int, ...], list[int | None]]:
        shape = self.guesser.shape(self.signal) or (self.parts,)
        return shape, self.guesser.expected(self.made.name, len(shape) + 1)

    def subframe(self) -> int:
        return max(1, self.length() // self.parts)

    def split(self) -> Wanted:
        """The shape of the signal: the dims before the one that is cut, that one, those behind."""
        shape, axis = self._shapes()[0], self.axis()
        return [axis, 1, len(shape) - axis - 1]


@motif
def windows(g: Guesser) -> Told:
    told: Told = {}
    for gather in g.nodes.values():
        if gather.op == "GatherV2" and len(gather.inputs) > 1:
            told |= _of_gather(g, gather)
    return told


def _constant(g: Guesser, node: GraphNode | None) -> tuple[str, Ref] | None:
    """The constant among two inputs, and the other one."""
    if node is None or len(node.inputs) != 2:
        return None
    for ref, other in (node.inputs, node.inputs[::-1]):
        if g.is_constant(ref) and not g.is_constant(other):
            return ref.node, other
    return None


def _of_gather(g: Guesser, gather: GraphNode) -> Told:
    """The constants of a cutting whose frames `gather` takes; none if it is something else."""
    row = _constant(g, made_by(g, gather.inputs[1], *_SUMS))
    shape = g.specs[row[0]].shape if row and row[0] in g.specs else ()
    starts = made_by(g, row[1], "Reshape") if row else None
    hop = _constant(g, made_by(g, starts.inputs[0], "Mul")) if starts else None
    steps = made_by(g, hop[1] if hop else starts.inputs[0], "Range") if starts else None
    cut = made_by(g, gather.inputs[0], "Reshape")
    source = made_by(g, cut.inputs[0], "StridedSlice") if cut else None
    users = [n for n, i in g.users.get(gather.name, []) if n.op == "Reshape" and i == 0]
    if not (row and steps and cut and source and users) or len(shape) != 2 or shape[0] != 1:
        return {}
    if min(len(n.inputs) for n in (steps, cut, users[0])) < 2:
        return {}
    parts = max(1, shape[1])
    frames = _Frames(g, parts, max(1, parts // 2) if hop else 1, source.inputs[0], users[0])
    told: Told = {row[0]: lambda: list(range(parts))}
    if hop:
        told[hop[0]] = lambda: [frames.hop]
    for name in _packed(g, users[0].inputs[1]):
        told[name] = lambda: [frames.length()]
    for name in _packed(g, cut.inputs[1]):
        told[name] = lambda: [frames.subframe()]
    told |= _of_count(g, frames, steps.inputs[1])
    for name, split in _of_signal(g, source):
        told[name] = frames.split if split else lambda: [frames.subframe()]
    return told


def _packed(g: Guesser, shape: Ref) -> list[str]:
    """The constants that a shape has from a Pack in it."""
    joined = made_by(g, shape, "ConcatV2")
    packs = [made_by(g, ref, "Pack") for ref in (joined.inputs[:-1] if joined else [shape])]
    return [r.node for pack in packs if pack for r in pack.inputs if g.is_constant(r)]


def _of_count(g: Guesser, frames: _Frames, count: Ref) -> Told:
    """Of max(0, 1 + (signal - length) // step)."""
    told: Told = {}
    least = _constant(g, made_by(g, count, "Maximum"))
    more = _constant(g, made_by(g, least[1], *_SUMS)) if least else None
    step = _constant(g, made_by(g, more[1], "FloorDiv")) if more else None
    length = _constant(g, made_by(g, step[1], "Sub")) if step else None
    if least and more and step and length:
        told[least[0]] = lambda: [0]
        told[more[0]] = lambda: [1]
        told[step[0]] = lambda: [frames.hop * frames.subframe()]
        told[length[0]] = lambda: [frames.length()]
    return told


def _of_signal(g: Guesser, source: GraphNode) -> Iterator[tuple[str, bool]]:
    """The constants of (signal // subframe) * subframe, and where a shape is parted for these."""
    joined = made_by(g, source.inputs[2], "ConcatV2") if len(source.inputs) > 2 else None
    for ref in joined.inputs[:-1] if joined else ():
        row = made_by(g, ref, "ExpandDims", "Pack", "Reshape")
        whole = _constant(g, made_by(g, row.inputs[0], "Mul")) if row else None
        share = _constant(g, made_by(g, whole[1], "FloorDiv")) if whole else None
        if whole and share:
            yield whole[0], False
            yield share[0], False
        parted = made_by(g, ref, "SplitV")
        if parted and len(parted.inputs) > 1 and g.is_constant(parted.inputs[1]):
            yield parted.inputs[1].node, True

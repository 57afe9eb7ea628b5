"""What loops want their counters, steps and limits to be, where these came without their weights.

A loop over the elements of a list counts from 0 by 1 up to the list's length. What it puts into a
list has the shape that the list is read with; see roles.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fanlight.formats.tfgraph.library import Function, called, identity_of
from fanlight.formats.tfgraph.lists import TensorList
from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.parts import far_limit
from fanlight.formats.tfgraph.roles import ORDERS, Guesser, Wanted, rule

_LOOPS = ("While", "StatelessWhile")
_ADDS = ("Add", "AddV2")


@dataclass
class _Loops:
    """Loops by the nodes of their functions.

    Attributes:
        ending: the loops whose next state a node of the body gives, and at which places.
        asking: the loops whose condition a node is in.
    """

    ending: dict[str, list[tuple[GraphNode, Function, int]]] = field(default_factory=dict)
    asking: dict[str, list[tuple[GraphNode, Function]]] = field(default_factory=dict)


def _loops(g: Guesser) -> _Loops:
    """The loops of a graph; found once."""
    found: _Loops | None = g.notes.get("loops")
    if found is not None:
        return found
    made = g.notes["loops"] = _Loops()
    for node in g.nodes.values():
        if node.op not in _LOOPS:
            continue
        cond, body = (called(node, a, g.functions) for a in ("cond", "body"))
        ends = [identity_of(r, body.nodes).node for r in body.returns]
        for place, end in enumerate(ends):
            users = made.ending.setdefault(end, [])
            if not users or users[-1][0] is not node:  # the first place of each
                users.append((node, body, place))
        for name in cond.nodes:
            made.asking.setdefault(name, []).append((node, cond))
    return made


def _length(g: Guesser, loop: GraphNode) -> Wanted:
    """How many elements the first list that a loop takes has."""
    for ref in loop.inputs:
        made: object = g.made(ref)
        if isinstance(made, TensorList):
            return [made.count]
        maker = g.nodes.get(ref.node)
        if maker is not None and maker.op == "TensorListFromTensor":
            shape = g.shape(maker.inputs[0])
            if shape:
                return [shape[0]]
    return None


def _readers(g: Guesser, function: Function, index: int) -> list[tuple[GraphNode, int]]:
    """The nodes of a function that read an argument as it came in, and by which of their inputs.

    Those of all arguments are found at once.
    """
    found: dict[int, list[tuple[GraphNode, int]]] | None
    found = g.notes.get(("readers", function.name))
    if found is None:
        found = g.notes["readers", function.name] = {}
        for node in function.nodes.values():
            for place, ref in enumerate(node.inputs):
                argument = _argument(function, ref)
                if argument is not None:
                    found.setdefault(argument, []).append((node, place))
    return found.get(index, [])


def _argument(function: Function, ref: Ref) -> int | None:
    """Which argument of a function a value is, if it is one as it came in."""
    return function.places.get(identity_of(ref, function.nodes).node)


@rule(*_LOOPS)
def loop(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Counters begin at 0; limits are the length of a list; what is added to counters is 1."""
    cond, body = (called(user, a, g.functions) for a in ("cond", "body"))
    sizes = (len(body.arguments), len(body.returns), len(cond.arguments))
    if index >= min(sizes):
        return None
    end = body.returns[index]
    if count != 1:
        return _wanted(g, body, index, count) if _argument(body, end) == index else None
    if _argument(body, end) != index:
        last = body.nodes.get(identity_of(end, body.nodes).node)
        counts = last is not None and last.op in _ADDS
        if last is not None and counts and index in [_argument(body, r) for r in last.inputs]:
            return [0]
        return None
    for function in (cond, body):
        for node, place in _readers(g, function, index):
            if node.op in ORDERS:
                return _length(g, user)
            places = [_argument(function, r) for r in node.inputs]
            others = [p for p in places if p is not None and p != index]
            if node.op in _ADDS and any(_argument(body, body.returns[p]) != p for p in others):
                return [1]
            found = g.want(node, place, count, 1)
            if found is not None:
                return found
    return _length(g, user)  # of most turns, which such a loop does not ask for


def _wanted(g: Guesser, body: Function, index: int, count: int) -> Wanted:
    """What the nodes of a body want of an argument that stays as it is."""
    for node, place in _readers(g, body, index):
        found = g.want(node, place, count, 1)
        if found is not None:
            return found
    return None


def step(g: Guesser, user: GraphNode, index: int) -> bool:
    """Whether a sum in the body of a loop makes the next number of a counter of the last one."""
    other = user.inputs[1 - index]
    loops = _loops(g).ending.get(user.name, [])
    return any(_argument(body, other) == place for _, body, place in loops)


@rule(*ORDERS)
def limit(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """What a loop compares its counter with: the length of the list that it goes through."""
    far = far_limit(g, user, index, count)
    if far is not None or count != 1 or len(user.inputs) != 2:
        return far
    for node, cond in _loops(g).asking.get(user.name, []):
        if _argument(cond, user.inputs[1 - index]) is not None:
            return _length(g, node)
    return None


@rule("TensorListReserve", "TensorListFromTensor", "TensorListStack", "TensorListGetItem")
def element_shape(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Open: the elements tell what they are. As many of them as the loop has turns."""
    if user.op == "TensorListReserve" and index == 1 and count == 1:
        loops = [n for n, _ in g.users.get(user.name, []) if n.op in _LOOPS]
        return _length(g, loops[0]) if loops else None
    at = {"TensorListReserve": 0, "TensorListGetItem": 2}.get(user.op, 1)
    return [-1] * count if index == at else None

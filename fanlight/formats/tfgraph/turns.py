"""What loops want their counters, steps and limits to be, where these came without their weights.

A loop over the elements of a list counts from 0 by 1 up to the list's length; see roles.py.
"""

from __future__ import annotations

from fanlight.formats.tfgraph.library import Function, called, identity_of
from fanlight.formats.tfgraph.lists import TensorList
from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.roles import Guesser, Wanted, rule

_ADDS = ("Add", "AddV2")
_COMPARES = ("Less", "LessEqual", "Greater", "GreaterEqual")


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


def _argument(function: Function, ref: Ref) -> int | None:
    """Which argument of a function a value is, if it is one as it came in."""
    name = identity_of(ref, function.nodes).node
    return function.arguments.index(name) if name in function.arguments else None


@rule("While", "StatelessWhile")
def loop(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Counters begin at 0; limits are the length of a list; what is added to counters is 1."""
    cond, body = (called(user, a, g.functions) for a in ("cond", "body"))
    sizes = (len(body.arguments), len(body.returns), len(cond.arguments))
    if count != 1 or index >= min(sizes):
        return None
    end = body.returns[index]
    if _argument(body, end) != index:
        last = body.nodes.get(identity_of(end, body.nodes).node)
        counts = last is not None and last.op in _ADDS
        if last is not None and counts and index in [_argument(body, r) for r in last.inputs]:
            return [0]
        return None
    for function in (cond, body):
        for node in function.nodes.values():
            places = [_argument(function, r) for r in node.inputs]
            if index not in places:
                continue
            if node.op in _COMPARES:
                return _length(g, user)
            others = [p for p in places if p is not None and p != index]
            if node.op in _ADDS and any(_argument(body, body.returns[p]) != p for p in others):
                return [1]
            found = g.want(node, places.index(index), count, 1)
            if found is not None:
                return found
    return _length(g, user)  # of most turns, which such a loop does not ask for


@rule("TensorListReserve", "TensorListFromTensor", "TensorListStack", "TensorListGetItem")
def element_shape(g: Guesser, user: GraphNode, index: int, count: int) -> Wanted:
    """Open: the elements tell what they are. As many of them as the loop has turns."""
    if user.op == "TensorListReserve" and index == 1 and count == 1:
        loops = [n for n, _ in g.users.get(user.name, []) if n.op in ("While", "StatelessWhile")]
        return _length(g, loops[0]) if loops else None
    at = {"TensorListReserve": 0, "TensorListGetItem": 2}.get(user.op, 1)
    return [-1] * count if index == at else None

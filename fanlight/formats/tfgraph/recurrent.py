"""What loops tell of the shapes of what goes into them and comes out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fanlight.formats.tfgraph.layout import Users
from fanlight.formats.tfgraph.library import Function, called, identity_of
from fanlight.formats.tfgraph.nodes import GraphNode, Ref

LOOPS = ("While", "StatelessWhile")
_PRODUCTS = ("MatMul", "_FusedMatMul")
_STACKS = ("TensorArrayGatherV3", "TensorListStack")
_PUTS = ("TensorArrayWriteV3", "TensorListSetItem")
_AS_WIDE = ("TensorListFromTensor", "Transpose", "ReverseV2", "Identity")

Told = tuple[Ref, tuple[int | None, ...]]


def loop_shapes(
    nodes: Mapping[str, GraphNode],
    functions: Mapping[str, Function],
    shape: Callable[[Ref], tuple[int, ...] | None],
) -> Iterator[Told]:
    """How wide the steps and the states of loops are, by what loops multiply them by.

    Steps are rows of a list, or boxes. Keras turns [batch, steps, width] to [steps, batch, width],
    backwards for the other direction, and makes a list of it; the last dim stays the last. States,
    [batch, width], are multiplied by weights, or, as the cell of an LSTM, are as wide as those that
    are.
    """
    found: set[Ref] = set()
    for loop in nodes.values():
        if loop.op not in LOOPS:
            continue
        body = called(loop, "body", functions)
        if len(body.arguments) != len(loop.inputs):
            continue
        given = dict(zip(body.arguments, loop.inputs, strict=True))
        states = _states(loop, body, nodes)
        for node in body.nodes.values():
            width = _width(node, body, given, shape)
            if width is None:
                continue
            source = identity_of(node.inputs[0], body.nodes)
            if source.node in states:
                yield from ((ref, (None, width)) for ref in states.values())
                states = {}
            step = body.nodes.get(source.node)
            if step is None or step.op != "TensorListGetItem":
                continue
            items = given.get(identity_of(step.inputs[0], body.nodes).node)
            maker = nodes.get(items.node) if items is not None else None
            while maker is not None and maker.op in _AS_WIDE and maker.inputs:
                whole = maker.inputs[0]
                if whole in found:
                    break
                found.add(whole)
                yield whole, (None, None, width)
                maker = nodes.get(whole.node)


def _states(loop: GraphNode, body: Function, nodes: Mapping[str, GraphNode]) -> dict[str, Ref]:
    """What a loop begins with that is filled with a number and not the same after a turn."""
    ends = [identity_of(r, body.nodes).node for r in body.returns]
    begins = zip(body.arguments, loop.inputs, ends, strict=False)
    filled = {a: ref for a, ref, end in begins if end != a and ref.node in nodes}
    return {a: ref for a, ref in filled.items() if nodes[ref.node].op == "Fill"}


def _width(
    node: GraphNode,
    body: Function,
    given: Mapping[str, Ref],
    shape: Callable[[Ref], tuple[int, ...] | None],
) -> int | None:
    """How wide the rows of the first input of a node have to be."""
    if node.op.startswith("NonMaxSuppression"):
        return 4  # sides of boxes
    if node.op not in _PRODUCTS or node.attrs.flag("transpose_a"):
        return None
    weight = given.get(identity_of(node.inputs[1], body.nodes).node)
    size = shape(weight) if weight is not None else None
    return size[1 if node.attrs.flag("transpose_b") else 0] if size and len(size) == 2 else None


def stacked(
    nodes: Mapping[str, GraphNode], users: Users, functions: Mapping[str, Function]
) -> Iterator[tuple[GraphNode, Ref]]:
    """What stacks the elements of a list behind a loop, and the elements that the loop puts in."""
    for loop in nodes.values():
        if loop.op not in LOOPS:
            continue
        body = called(loop, "body", functions)
        for place, end in enumerate(body.returns):
            put = body.nodes.get(identity_of(end, body.nodes).node)
            if put is None or put.op not in _PUTS or len(put.inputs) < 3:
                continue
            # Nodes of functions may share a name with others, of which nothing is meant.
            element = put.inputs[2]
            maker = body.nodes.get(element.node)
            if maker is not None and nodes.get(element.node) is maker:
                yield from ((stack, element) for stack in _behind(users, Ref(loop.name, place)))


def _behind(users: Users, result: Ref) -> Iterator[GraphNode]:
    """What stacks a list that a loop gives."""
    waiting = [result]
    for ref in waiting:  # which grows
        for reader, index in users.get(ref.node, ()):
            if reader.inputs[index] != ref:
                continue
            if reader.op == "Identity":
                waiting.append(Ref(reader.name))
            elif reader.op in _STACKS:
                yield reader

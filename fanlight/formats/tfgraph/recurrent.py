"""What the loop of a recurrent layer tells of the steps that it goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fanlight.formats.tfgraph.library import Function, called, identity_of
from fanlight.formats.tfgraph.nodes import GraphNode, Ref

_LOOPS = ("While", "StatelessWhile")
_PRODUCTS = ("MatMul", "_FusedMatMul")


def step_widths(
    nodes: Mapping[str, GraphNode],
    functions: Mapping[str, Function],
    shape: Callable[[Ref], tuple[int, ...] | None],
) -> dict[Ref, int]:
    """How wide the rows are that a loop takes from a list, by what the list is made of.

    It multiplies them by weights, or they are boxes. Keras turns [batch, steps, width] to
    [steps, batch, width], backwards for the other direction, and makes a list of it. The last dim
    stays the last.
    """
    found: dict[Ref, int] = {}
    for loop in nodes.values():
        if loop.op not in _LOOPS:
            continue
        body = called(loop, "body", functions)
        if len(body.arguments) != len(loop.inputs):
            continue
        given = dict(zip(body.arguments, loop.inputs, strict=True))
        for node in body.nodes.values():
            width = _width(node, body, given, shape)
            step = body.nodes.get(identity_of(node.inputs[0], body.nodes).node) if width else None
            if step is None or width is None or step.op != "TensorListGetItem":
                continue
            items = given.get(identity_of(step.inputs[0], body.nodes).node)
            maker = nodes.get(items.node) if items is not None else None
            while maker is not None and maker.inputs and maker.inputs[0] not in found:
                if maker.op not in ("TensorListFromTensor", "Transpose", "ReverseV2", "Identity"):
                    break
                found[maker.inputs[0]] = width
                maker = nodes.get(maker.inputs[0].node)
    return found


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

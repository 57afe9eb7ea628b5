"""The order of layers by their distance to the outputs, as Keras and TF.js count them in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanlight.layers.layer import Layer
from fanlight.layers.symbolic import Node, symbols

if TYPE_CHECKING:
    from fanlight.layers.model import Model


def depth_order(model: Model) -> list[Layer]:
    """The layers of a functional model: those farthest from the outputs first.

    Positions in .keras files, and the order of an optimizer's state in TF.js, are of this order.
    """
    nodes, found = _visited(model)
    depths: dict[int, int] = {}
    of_layer: dict[int, int] = {}
    present = {id(n) for n in nodes}
    for node in reversed(nodes):
        depth = max(depths.get(id(node), 0), of_layer.get(id(node.layer), 0))
        of_layer[id(node.layer)] = depths[id(node)] = depth
        for parent in _parents(node):
            if id(parent) in present:
                depths[id(parent)] = max(depth + 1, depths.get(id(parent), 0))
    layers = list(found.values())
    for symbol in model.inputs:
        layer = symbol.node.layer
        if id(layer) not in of_layer and not symbol.node.args:
            of_layer[id(layer)] = 0
            layers.insert(0, layer)
    return sorted(layers, key=lambda x: -of_layer[id(x)])


def _visited(model: Model) -> tuple[list[Node], dict[int, Layer]]:
    """The calls, each after its inputs; and the layers as a walk from the outputs meets them."""
    begins = {id(s) for s in model.inputs}
    order: list[Node] = []
    layers: dict[int, Layer] = {}
    done: set[int] = set()
    for output in model.outputs:
        stack: list[tuple[Any, bool]] = [(output, False)]
        while stack:
            symbol, leaving = stack.pop()
            node = symbol.node
            if leaving:
                if id(node) not in done:
                    done.add(id(node))
                    order.append(node)
                continue
            if id(node) in done:
                continue
            if node.args and id(symbol) in begins:
                done.add(id(node))
                continue
            layers.setdefault(id(node.layer), node.layer)
            stack.append((symbol, True))
            stack += [(s, False) for s in reversed(symbols(node.as_called))]
    return order, layers


def _parents(node: Node) -> list[Node]:
    return [s.node for s in node.inputs]

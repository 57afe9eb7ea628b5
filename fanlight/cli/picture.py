"""A graph as an SVG picture: layers from top to bottom, boxes in families' colours."""

from __future__ import annotations

from fanlight.graph import Graph, Node, Value
from fanlight.graph.drawing import Box, Drawing
from fanlight.ops.row import lookup


def graph_svg(graph: Graph) -> str:
    """The graph as a self-contained SVG document. Weights are not drawn."""
    made: dict[Value, Box] = {}
    drawing = Drawing()
    for value in graph.inputs:
        made[value] = Box(value.name, str(value.type), f"input {value.name}", "port")
        drawing.place(made[value], [])
    for node in graph.nodes:
        box = _node_box(node)
        sources = [made[v] for v in dict.fromkeys(node.inputs) if v in made]
        drawing.place(box, list(dict.fromkeys(sources)))
        made.update((value, box) for value in node.outputs)
    for name, value in graph.outputs:
        box = Box(name, str(value.type), f"output {name}", "port")
        drawing.place(box, [made[value]] if value in made else [])
    return drawing.svg(graph.name)


def _node_box(node: Node) -> Box:
    attrs = "\n".join(f"{name} = {value}" for name, value in node.attrs.items())
    detail = ", ".join(str(value.type) for value in node.outputs)
    return Box(node.op, detail, f"{node.name}\n{attrs}".strip(), lookup(node.op).family)

"""What a node of a graph costs: floating-point operations (a multiply-add is two) and bytes."""

from __future__ import annotations

import math

from fanlight.graph import Graph, Node
from fanlight.ops.row import lookup

# Operations per element of the output, where that is not one.
_PER_ELEMENT = {
    "softmax": 5,
    "log_softmax": 5,
    "sigmoid": 4,
    "tanh": 6,
    "gelu": 8,
    "swish": 5,
    "mish": 8,
    "batch_norm": 2,
    "resize_bilinear": 6,
    "resize_image": 6,
}


def node_flops(node: Node) -> int:
    """Floating-point operations of one run, by the usual formulas; 0 where data only moves."""
    out = math.prod(node.outputs[0].type.bound)
    shapes = [value.type.bound for value in node.inputs]
    if node.op == "conv2d":
        kh, kw, channels, _ = shapes[1]
        return 2 * out * kh * kw * channels
    if node.op == "depthwise_conv2d":
        kh, kw = shapes[1][:2]
        return 2 * out * kh * kw
    if node.op == "conv2d_transpose":
        kh, kw, channels, _ = shapes[1]
        return 2 * math.prod(shapes[0]) * kh * kw * channels
    if node.op == "matmul":
        inner = shapes[0][-2 if node.attrs.get("transpose_a") else -1]
        return 2 * out * inner
    if node.op in ("max_pool", "avg_pool"):
        return out * math.prod(node.attrs["size"])
    family = lookup(node.op).family
    if family == "reduce":
        return math.prod(shapes[0])
    if family == "movement" or node.op in ("cast", "resize_nearest", "gather_nd"):
        return 0
    if node.op == "fused":
        return out * node.attrs["body"].count("(")
    return out * _PER_ELEMENT.get(node.op, 1)


def node_bytes(graph: Graph, node: Node) -> int:
    """Bytes that one run must read and write: every input and output once."""
    if node.op == "reshape":
        return 0
    values = dict.fromkeys((*node.inputs, *node.outputs))
    return sum(value.type.nbytes for value in values)


def node_parameters(graph: Graph, node: Node) -> int:
    """Numbers in the weights that this node reads."""
    return sum(graph.weights[v].size for v in dict.fromkeys(node.inputs) if v in graph.weights)

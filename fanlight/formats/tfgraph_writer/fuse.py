"""Convolutions and products with their bias and activation as one node, as TF.js runs them best.

What can be one node is what TF.js's kernels of all back ends take: a bias of one number per
channel, then one of seven activations. A Dense layer on more than two dims stays two nodes, for
_FusedMatMul takes two in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.formats.tfgraph_writer.neural import window
from fanlight.formats.tfgraph_writer.nodes import NodeWriter, Out, text
from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import use_counts
from fanlight.ops.types import Dim

_NAMES = {
    "conv2d": "_FusedConv2D",
    "depthwise_conv2d": "FusedDepthwiseConv2dNative",
    "matmul": "_FusedMatMul",
}
_PLAIN = {"relu": "Relu", "relu6": "Relu6", "sigmoid": "Sigmoid"}


@dataclass(frozen=True)
class Fused:
    """What becomes one node.

    Attributes:
        linear: the convolution or product.
        bias: what is added to it.
        last: the node whose result it has: the activation, or the sum.
    """

    linear: Node
    bias: Value
    last: Node

    @property
    def activation(self) -> Node | None:
        return None if self.linear.output in self.last.inputs else self.last


def plan(graph: Graph) -> tuple[dict[Node, Fused], set[Node]]:
    """last node -> what becomes one node there; and the nodes that are in it before the last."""
    uses, users = use_counts(graph), graph.users()
    ends: dict[Node, Fused] = {}
    inside: set[Node] = set()

    def reader(node: Node) -> Node | None:
        """The only reader of a node's result, which is no output."""
        found = users.get(node.output, [])
        return found[0] if uses.get(node.output) == 1 and found else None

    for node in graph.nodes:
        if node.op not in _NAMES or len(node.inputs) != 2 or node.output.dtype != "float32":
            continue
        if node.op == "matmul" and any(len(v.shape) != 2 for v in node.inputs):
            continue
        add = reader(node)
        bias = None if add is None else _bias(node, add, graph.weights)
        if add is None or bias is None:
            continue
        after = reader(add)
        last = after if after is not None and _activation(node, after, graph.weights) else add
        ends[last] = Fused(node, bias, last)
        inside.update((node, add))
    return ends, inside - set(ends)


def _bias(node: Node, add: Node, weights: Mapping[Value, np.ndarray]) -> Value | None:
    if add.op != "add" or add.inputs[0] is add.inputs[1] or add.output.shape != node.output.shape:
        return None
    (other,) = (v for v in add.inputs if v is not node.output)
    channels = node.output.shape[-1]
    return other if _per_channel(other, channels, weights) else None


def _per_channel(value: Value, channels: int | Dim, weights: Mapping[Value, np.ndarray]) -> bool:
    """Whether a value is, or as a weight can be, a vector with one number per channel."""
    if isinstance(channels, Dim) or value.dtype != "float32":
        return False
    if value.shape == (channels,):
        return True
    array = weights.get(value)
    return array is not None and (
        array.size == 1 or (array.size == channels and array.shape[-1] == channels)
    )


def _activation(linear: Node, node: Node, weights: Mapping[Value, np.ndarray]) -> bool:
    """Whether a node, which reads the sum once, is an activation that TF.js fuses."""
    if node.op == "prelu":
        alpha = node.inputs[1]
        return alpha in weights and _per_channel(alpha, node.output.shape[-1], weights)
    if node.op == "leaky_relu":  # TF.js 4.22 does not read the slope of a depthwise one
        return linear.op != "depthwise_conv2d"
    return (
        node.op in _PLAIN
        or (node.op == "elu" and node.attrs["alpha"] == 1)
        or (node.op == "clip" and (node.attrs["lo"], node.attrs["hi"]) == (0, 6))
    )


def write(writer: NodeWriter, fused: Fused) -> str:
    """The one node; its reference."""
    linear, activation = fused.linear, fused.activation
    o = Out(writer, linear)
    channels = int(linear.output.shape[-1])
    inputs = [o.x(0), o.x(1)]
    arguments = [_vector(writer, fused.bias, channels)]
    names, alpha = ["BiasAdd"], 0.2
    if activation is not None:
        op = activation.op
        if op == "prelu":
            names.append("Prelu")
            arguments.append(_vector(writer, activation.inputs[1], channels))
        elif op == "leaky_relu":
            names.append("LeakyRelu")
            alpha = float(activation.attrs["alpha"])
        else:
            names.append({**_PLAIN, "elu": "Elu", "clip": "Relu6"}[op])
    attrs: dict[str, Any]
    if linear.op == "matmul":
        attrs = {k: {"b": bool(o.attrs[k])} for k in ("transpose_a", "transpose_b")} | {"T": o.T}
    else:
        attrs = window(o)
    attrs["fused_ops"] = {"list": {"s": [text(n)["s"] for n in names]}}
    attrs["num_args"] = {"i": str(len(arguments))}
    attrs["epsilon"] = {"f": 0.0}
    attrs["leakyrelu_alpha"] = {"f": alpha}
    return writer.add(_NAMES[linear.op], [*inputs, *arguments], fused.last.name, **attrs)


def _vector(writer: NodeWriter, value: Value, size: int) -> str:
    """A bias or slopes as a vector, however a weight of them is shaped."""
    array = writer.array(value)
    if array is None or array.shape == (size,):
        return writer.value(value)
    return writer.const(np.broadcast_to(array.reshape(-1), (size,)), value.name)

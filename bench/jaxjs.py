"""Write a Fanlight graph as a small program for jax-js: steps in JSON, weights in one file.

The page (pages/peers/jaxjs.js) turns each step into a jitted function of jax-js's own operations,
in the forms that are fastest there: NHWC, convolutions as products with the weights transposed,
depthwise ones as sums of shifted products. As in export.py the graph must be `plain`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.export import Unwritable, chain
from fanlight.graph import Graph, Node, Value


class _Program:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = graph.users()
        self.steps: list[dict[str, Any]] = []
        self.weights: list[dict[str, Any]] = []
        self.data: list[bytes] = []
        self.size = 0
        # Value -> its number. Inputs come first, then the output of each step.
        self.at: dict[Value, int] = {v: i for i, v in enumerate(graph.inputs)}

    def weight(self, array: np.ndarray) -> int:
        """The number of a constant among the weights."""
        array = np.ascontiguousarray(array, np.float32)
        self.weights.append({"shape": list(array.shape), "start": self.size, "length": array.size})
        self.data.append(array.tobytes())
        self.size += array.nbytes
        return len(self.weights) - 1

    def step(self, output: Value, op: str, *inputs: Value, **how: Any) -> None:
        number = len(self.graph.inputs) + len(self.steps)
        self.steps.append({"op": op, "inputs": [self.at[v] for v in inputs], **how})
        self.at[output] = number


def to_jaxjs(graph: Graph, folder: Path) -> None:
    """Write program.json and weights.bin.

    Raises:
        Unwritable: an op, or a form of one, that this writer does not know.
    """
    program = _Program(graph)
    for node in graph.nodes:
        if node.output not in program.at:
            _write(program, node)
    content = {
        "shape": list(graph.inputs[0].shape),
        "steps": program.steps,
        "output": program.at[graph.outputs[0][1]],
        "weights": program.weights,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program.json").write_text(json.dumps(content))
    (folder / "weights.bin").write_bytes(b"".join(program.data))


def _write(program: _Program, node: Node) -> None:
    attrs, out, x = node.attrs, node.output, node.inputs[0]
    constants = [v for v in node.inputs if v in program.graph.weights]
    if node.op in ("conv2d", "depthwise_conv2d", "matmul"):
        _product(program, node)
    elif node.op in ("add", "mul") and constants:
        (x,) = (v for v in node.inputs if v not in program.graph.weights)
        program.step(out, node.op, x, weight=program.weight(program.graph.weights[constants[0]]))
    elif node.op in ("add", "mul"):
        program.step(out, node.op, *node.inputs)
    elif node.op in ("relu", "relu6"):
        program.step(out, node.op, x)
    elif node.op == "softmax":
        program.step(out, "softmax", x, axis=attrs["axis"])
    elif node.op == "mean":
        how = {"axes": list(attrs["axes"]), "keepdims": bool(attrs["keepdims"])}
        program.step(out, "mean", x, **how)
    elif node.op == "reshape":
        program.step(out, "reshape", x, shape=list(out.shape))
    elif node.op == "pad":
        paddings = [list(p) for p in attrs["paddings"]]
        program.step(out, "pad", x, padding=paddings, value=float(attrs["value"]))
    else:
        raise Unwritable(node.op, "jax-js")


def _product(program: _Program, node: Node) -> None:
    """A convolution or a dense layer with its bias and activation; padding is a step of its own."""
    graph, attrs, x = program.graph, node.attrs, node.inputs[0]
    w = graph.weights.get(node.inputs[1])
    if w is None:
        raise Unwritable(f"{node.op} of two computed values", "jax-js")
    bias, activation, last = chain(graph, node, program.users)
    how: dict[str, Any] = {"activation": activation, "shape": list(last.output.shape)}
    if bias is not None:
        how["bias"] = program.weight(np.float32(bias))
    if node.op == "matmul":
        if attrs["transpose_a"] or w.ndim != 2:
            raise Unwritable("a product of this form", "jax-js")
        op = "dot"
        how["weight"] = program.weight(w if attrs["transpose_b"] else w.T)
    else:
        rows, columns, depth, count = w.shape
        if tuple(attrs["dilations"]) != (1, 1):
            raise Unwritable("a dilated convolution", "jax-js")
        if (depth if node.op == "conv2d" else depth * count) != x.shape[3]:
            raise Unwritable("a convolution in groups", "jax-js")
        how |= {"size": [rows, columns], "strides": list(attrs["strides"])}
        how["padding"] = [[0, 0], *(list(p) for p in attrs["padding"]), [0, 0]]
        if node.op == "depthwise_conv2d":
            op = "depthwise"
            how["weight"] = program.weight(w.reshape(rows * columns, depth))
        else:
            op = "dot" if (rows, columns, *attrs["strides"]) == (1, 1, 1, 1) else "conv"
            how["weight"] = program.weight(w.reshape(-1, count).T)
    program.step(last.output, op, x, **how)
    value = node.output  # all that was fused is the one value
    while value is not last.output:
        program.at[value] = program.at[last.output]
        value = program.users[value][0].output

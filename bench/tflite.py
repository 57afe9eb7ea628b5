"""Write a Fanlight graph as a float32 .tflite file, so that LiteRT.js runs the same network.

A .tflite file is a FlatBuffer of TensorFlow Lite's public schema (version 3); the numbers below are
that schema's: the place of each field in its table, and the codes of operators and options. As in
export.py the graph must be `plain`; biases and activations are fused, as TensorFlow's converter
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from bench.export import Unwritable, chain, same_padding
from fanlight.graph import Graph, Node, Value

TYPES = {"float32": 0, "int32": 2, "uint8": 3}
OPERATORS = {
    "ADD": 0,
    "AVERAGE_POOL_2D": 1,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "FULLY_CONNECTED": 9,
    "MAX_POOL_2D": 17,
    "MUL": 18,
    "RELU": 19,
    "RELU6": 21,
    "RESHAPE": 22,
    "SOFTMAX": 25,
    "PAD": 34,
    "MEAN": 40,
    "PADV2": 60,
}
# operator -> number of its options table
OPTIONS = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 2,
    "AVERAGE_POOL_2D": 5,
    "MAX_POOL_2D": 5,
    "FULLY_CONNECTED": 8,
    "SOFTMAX": 9,
    "CONCATENATION": 10,
    "ADD": 11,
    "RESHAPE": 17,
    "MUL": 21,
    "PAD": 22,
    "MEAN": 27,
}
ACTIVATIONS = {None: 0, "relu": 1, "relu6": 3}
SAME, VALID = 0, 1
ALIGNMENT = 16  # of a buffer's data; the schema asks for it

# A field of a table: (place in the table, kind, value). The kinds are the builder's scalar types,
# or "offset" for what was written before.
Field = tuple[int, str, Any]


class _Writer:
    """Tensors, buffers and operators in the order in which they are met."""

    def __init__(self, graph: Graph, room: int) -> None:
        self.graph = graph
        self.builder = flatbuffers.Builder(room)
        self.buffers: list[bytes] = [b""]  # buffer 0 is the empty one
        self.tensors: list[tuple[str, tuple[int, ...], str, int]] = []
        self.operators: list[tuple[str, list[int], int, list[Field]]] = []
        self.at: dict[Value, int] = {}

    def tensor(self, name: str, shape: Sequence[int], dtype: str, data: bytes | None = None) -> int:
        """The number of a new tensor; `data` makes it a constant."""
        number = 0
        if data is not None:
            number = len(self.buffers)
            self.buffers.append(data)
        self.tensors.append((name, tuple(shape), dtype, number))
        return len(self.tensors) - 1

    def constant(self, name: str, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array)
        return self.tensor(name, array.shape, array.dtype.name, array.tobytes())

    def operator(self, kind: str, inputs: list[int], output: int, options: list[Field]) -> None:
        self.operators.append((kind, inputs, output, options))

    def value(self, v: Value) -> int:
        """The tensor of a value; a weight becomes a constant when it is first used."""
        if v not in self.at:
            array = self.graph.weights.get(v)
            self.at[v] = (
                self.tensor(v.name, v.shape, v.dtype)
                if array is None
                else self.constant(v.name, array)
            )
        return self.at[v]

    # --- the FlatBuffer itself: children before parents ---

    def table(self, fields: Sequence[Field]) -> int:
        b = self.builder
        b.StartObject(max((at for at, _, _ in fields), default=-1) + 1)
        for at, kind, value in fields:
            if kind == "offset":
                b.PrependUOffsetTRelativeSlot(at, value, 0)
            else:
                # A default that no value has: the field is written whatever its value is.
                getattr(b, f"Prepend{kind}Slot")(at, value, None)
        return b.EndObject()

    def vector(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def ints(self, values: Sequence[int]) -> int:
        return self.builder.CreateNumpyVector(np.array(values, np.int32))

    def data(self, data: bytes) -> int:
        b = self.builder
        b.StartVector(1, len(data), ALIGNMENT)
        b.head -= len(data)
        b.Bytes[b.Head() : b.Head() + len(data)] = data
        return b.EndVector()

    def finish(self) -> bytes:
        b = self.builder
        buffers = [self.table([(0, "offset", self.data(d))] if d else []) for d in self.buffers]
        buffers_at = self.vector(buffers)
        kinds = sorted({kind for kind, *_ in self.operators})
        codes = self.vector(
            [
                self.table([(0, "Int8", OPERATORS[k]), (2, "Int32", 1), (3, "Int32", OPERATORS[k])])
                for k in kinds
            ]
        )
        tensors = []
        for name, shape, dtype, number in self.tensors:
            text, dims = b.CreateString(name), self.ints(shape)
            fields = [(0, "offset", dims), (1, "Int8", TYPES[dtype]), (2, "Uint32", number)]
            tensors.append(self.table([*fields, (3, "offset", text)]))
        operators = []
        for kind, inputs, output, options in self.operators:
            made = self.table(options)
            ins, outs = self.ints(inputs), self.ints([output])
            fields = [(0, "Uint32", kinds.index(kind)), (1, "offset", ins), (2, "offset", outs)]
            if kind in OPTIONS:
                fields += [(3, "Uint8", OPTIONS[kind]), (4, "offset", made)]
            operators.append(self.table(fields))
        tensors_at, operators_at = self.vector(tensors), self.vector(operators)
        ins = self.ints([self.at[v] for v in self.graph.inputs])
        outs = self.ints([self.at[v] for _, v in self.graph.outputs])
        name = b.CreateString("main")
        parts = (tensors_at, ins, outs, operators_at, name)
        subgraph = self.table([(i, "offset", part) for i, part in enumerate(parts)])
        subgraphs = self.vector([subgraph])
        description = b.CreateString("fanlight bench")
        parts = (codes, subgraphs, description, buffers_at)
        model = self.table(
            [(0, "Uint32", 3), *((i + 1, "offset", part) for i, part in enumerate(parts))]
        )
        b.Finish(model, b"TFL3")
        return bytes(b.Output())


def to_tflite(graph: Graph, path: Path) -> None:
    """Write a .tflite file of a plain graph.

    Raises:
        Unwritable: an op, or a form of one, that this writer does not know.
    """
    size = sum(a.nbytes for a in graph.weights.values())
    writer = _Writer(graph, size + (1 << 20))
    users = graph.users()
    for v in graph.inputs:
        writer.value(v)
    for node in graph.nodes:
        if node.output not in writer.at:
            _write(writer, node, users)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(writer.finish())


def _write(writer: _Writer, node: Node, users: Any) -> None:
    if node.op in ("conv2d", "depthwise_conv2d", "matmul"):
        bias, activation, last = chain(writer.graph, node, users)
        output = writer.value(last.output)
        value = node.output  # all that was fused is the one tensor
        while value is not last.output:
            writer.at[value] = output
            value = users[value][0].output
        _product(writer, node, bias, ACTIVATIONS[activation], output)
        return
    name = node.output.name
    output = writer.value(node.output)
    x = writer.value(node.inputs[0])
    if node.op in ("add", "mul"):
        both = [writer.value(v) for v in node.inputs]
        writer.operator(node.op.upper(), both, output, [(0, "Int8", 0)])
    elif node.op in ("relu", "relu6"):
        writer.operator(node.op.upper(), [x], output, [])
    elif node.op == "softmax" and node.attrs["axis"] in (-1, len(node.output.shape) - 1):
        writer.operator("SOFTMAX", [x], output, [(0, "Float32", 1.0)])
    elif node.op == "reshape":
        shape = np.int32(node.output.shape)
        options = [(0, "offset", writer.ints(node.output.shape))]
        inputs = [x, writer.constant(f"{name}/shape", shape)]
        writer.operator("RESHAPE", inputs, output, options)
    elif node.op == "mean":
        axes = writer.constant(f"{name}/axes", np.int32(node.attrs["axes"]))
        keep = [(0, "Bool", bool(node.attrs["keepdims"]))]
        writer.operator("MEAN", [x, axes], output, keep)
    elif node.op == "pad":
        _pad(writer, x, node.attrs["paddings"], output, node.attrs["value"])
    elif node.op in ("avg_pool", "max_pool"):
        padding = SAME if same_padding(node) else VALID
        if padding == VALID and any(map(any, node.attrs["padding"])):
            raise Unwritable(f"{node.op} with the padding {node.attrs['padding']}", "LiteRT")
        (rows, columns), (down, right) = node.attrs["size"], node.attrs["strides"]
        sizes = enumerate((right, down, columns, rows), 1)
        options = [(0, "Int8", padding), *((i, "Int32", n) for i, n in sizes), (5, "Int8", 0)]
        kind = {"avg_pool": "AVERAGE_POOL_2D", "max_pool": "MAX_POOL_2D"}[node.op]
        writer.operator(kind, [x], output, options)
    elif node.op == "concat":
        both = [writer.value(v) for v in node.inputs]
        axis = node.attrs["axis"]
        writer.operator("CONCATENATION", both, output, [(0, "Int32", axis), (1, "Int8", 0)])
    else:
        raise Unwritable(node.op, "LiteRT")


def _pad(writer: _Writer, x: int, paddings: Any, output: int, value: float = 0.0) -> None:
    name = writer.tensors[output][0]
    inputs = [x, writer.constant(f"{name}/paddings", np.int32(paddings))]
    if value != 0:
        inputs.append(writer.constant(f"{name}/value", np.float32([value])))
    writer.operator("PAD" if value == 0 else "PADV2", inputs, output, [])


def _product(
    writer: _Writer, node: Node, bias: np.ndarray | None, activation: int, output: int
) -> None:
    """A convolution or a dense layer, with its bias (zeros where there is none) and activation."""
    name, x = node.output.name, writer.value(node.inputs[0])
    w = writer.graph.weights.get(node.inputs[1])
    if w is None:
        raise Unwritable(f"{node.op} of two computed values", "LiteRT")
    channels = node.output.shape[-1]
    zeros = np.zeros(channels, np.float32)
    b = writer.constant(f"{name}/bias", zeros if bias is None else np.float32(bias))
    if node.op == "matmul":
        if node.attrs["transpose_a"] or w.ndim != 2:
            raise Unwritable("a product of this form", "LiteRT")
        w = w if node.attrs["transpose_b"] else w.T
        weight = writer.constant(f"{name}/weight", w)
        options = [(0, "Int8", activation), (1, "Int8", 0), (2, "Bool", len(node.output.shape) > 2)]
        writer.operator("FULLY_CONNECTED", [x, weight, b], output, options)
        return
    (down, right), (dilate_down, dilate_right) = node.attrs["strides"], node.attrs["dilations"]
    padding = SAME
    if not same_padding(node):
        padding = VALID
        if any(map(any, node.attrs["padding"])):
            rows, columns = node.attrs["padding"]
            n, h, wide, c = node.inputs[0].shape
            shape = (n, h + sum(rows), wide + sum(columns), c)
            padded = writer.tensor(f"{name}/padded", shape, "float32")
            _pad(writer, x, ((0, 0), rows, columns, (0, 0)), padded)
            x = padded
    step = [(0, "Int8", padding), (1, "Int32", right), (2, "Int32", down)]
    dilation = [dilate_right, dilate_down]
    if node.op == "conv2d":
        if w.shape[2] != node.inputs[0].shape[3]:
            raise Unwritable("a convolution in groups", "LiteRT")
        weight = writer.constant(f"{name}/weight", w.transpose(3, 0, 1, 2))
        more = [(3, "Int8", activation), *((i + 4, "Int32", d) for i, d in enumerate(dilation))]
        writer.operator("CONV_2D", [x, weight, b], output, step + more)
        return
    rows, columns, _, times = w.shape
    weight = writer.constant(f"{name}/weight", w.reshape(1, rows, columns, channels))
    more = [(3, "Int32", times), (4, "Int8", activation)]
    more += [(i + 5, "Int32", d) for i, d in enumerate(dilation)]
    writer.operator("DEPTHWISE_CONV_2D", [x, weight, b], output, step + more)

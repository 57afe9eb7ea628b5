"""Write a Fanlight graph in the peers' own formats, so that every engine runs the same network.

The graph must have its batch norms folded and nothing fused yet (`plain`): each peer then gets the
form that its own best practice asks for, fused convolutions for TF.js, NCHW for ONNX Runtime.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.passes.fold_batch_norm import FoldBatchNorm
from fanlight.passes.pipeline import PIPELINE_F32, run

TF_TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32", "bool": "DT_BOOL"}
ACTIVATIONS = {"relu": "Relu", "relu6": "Relu6"}


class Unwritable(Exception):
    """A network that cannot be written in a peer's format: which op, and for which engine."""

    def __init__(self, op: str, engine: str) -> None:
        super().__init__(f"bench cannot write {op} for {engine}")


def plain(graph: Graph) -> Graph:
    """The graph with constants and batch norms folded, and nothing fused."""
    end = next(i for i, s in enumerate(PIPELINE_F32) if isinstance(s, FoldBatchNorm))
    return run(graph, PIPELINE_F32[: end + 1])


def chain(
    graph: Graph, node: Node, users: Mapping[Value, list[Node]]
) -> tuple[Any, str | None, Node]:
    """(bias array or None, activation op or None, last node) of what follows a convolution."""
    ends = {v for _, v in graph.outputs}
    bias, activation, last = None, None, node
    following = users.get(last.output, [])
    if len(following) == 1 and last.output not in ends and following[0].op == "add":
        other = [v for v in following[0].inputs if v is not last.output]
        if len(other) == 1 and other[0] in graph.weights:
            array = graph.weights[other[0]]
            if array.size == last.output.shape[-1]:
                bias, last = array.reshape(-1), following[0]
                following = users.get(last.output, [])
    if len(following) == 1 and last.output not in ends and following[0].op in ACTIVATIONS:
        activation, last = following[0].op, following[0]
    return bias, activation, last


# --- TF.js graph-model ----------------------------------------------------------------------------


class _TfjsWriter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[dict[str, Any]] = []
        self.specs: list[dict[str, Any]] = []
        self.data: list[bytes] = []

    def const(self, name: str, array: np.ndarray) -> str:
        dtype = "float32" if array.dtype == np.float32 else "int32"
        shape = {"dim": [{"size": str(d)} for d in array.shape]}
        tensor = {"dtype": TF_TYPES[dtype], "tensorShape": shape}
        self.nodes.append(
            {
                "name": name,
                "op": "Const",
                "attr": {"dtype": {"type": TF_TYPES[dtype]}, "value": {"tensor": tensor}},
            }
        )
        self.specs.append({"name": name, "shape": list(array.shape), "dtype": dtype})
        self.data.append(np.ascontiguousarray(array).tobytes())
        return name

    def node(self, name: str, op: str, inputs: list[str], **attr: Any) -> str:
        full = {"T": {"type": "DT_FLOAT"}, **attr}
        self.nodes.append({"name": name, "op": op, "input": inputs, "attr": full})
        return name


def _ints(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(v) for v in values]}}


def _window(node: Node) -> dict[str, Any]:
    strides = node.attrs["strides"]
    (top, bottom), (left, right) = node.attrs["padding"]
    explicit = any((top, bottom, left, right))
    window = {
        "strides": _ints(1, *strides, 1),
        "dataFormat": {"s": "TkhXQw=="},
        "data_format": {"s": "TkhXQw=="},
        "padding": {"s": "RVhQTElDSVQ=" if explicit else "VkFMSUQ="},
    }
    if same_padding(node):
        window["padding"] = {"s": "U0FNRQ=="}
    elif explicit:
        window["explicit_paddings"] = _ints(0, 0, top, bottom, left, right, 0, 0)
    if "dilations" in node.attrs:
        window["dilations"] = _ints(1, *node.attrs["dilations"], 1)
    return window


def same_padding(node: Node) -> bool:
    """Whether a window is padded as TensorFlow's SAME does, the odd one at the end."""
    kernel = node.inputs[1].shape[:2] if len(node.inputs) > 1 else node.attrs["size"]
    for axis in (0, 1):
        size, step = node.inputs[0].shape[1 + axis], node.attrs["strides"][axis]
        span = (kernel[axis] - 1) * node.attrs.get("dilations", (1, 1))[axis] + 1
        total = max((-(-size // step) - 1) * step + span - size, 0)
        if tuple(node.attrs["padding"][axis]) != (total // 2, total - total // 2):
            return False
    return True


def to_tfjs(graph: Graph, folder: Path) -> None:
    """Write model.json and weights.bin of a TF.js graph-model."""
    writer = _TfjsWriter(graph)
    users = graph.users()
    names: dict[Value, str] = {}
    for v in graph.inputs:
        shape = {"dim": [{"size": str(d)} for d in v.shape]}
        attr = {"dtype": {"type": TF_TYPES[v.dtype]}, "shape": {"shape": shape}}
        writer.nodes.append({"name": v.name, "op": "Placeholder", "attr": attr})
        names[v] = v.name
    for v, array in graph.weights.items():
        names[v] = writer.const(v.name, array)
    for node in graph.nodes:
        if node.output in names:
            continue
        inputs = [names[v] for v in node.inputs]
        name = node.output.name
        if node.op in ("conv2d", "depthwise_conv2d", "matmul"):
            bias, activation, last = chain(graph, node, users)
            fused = (["BiasAdd"] if bias is not None else []) + (
                [ACTIVATIONS[activation]] if activation and bias is not None else []
            )
            end = last if fused else node
            if bias is None:
                end = node
            attr: dict[str, Any] = {} if node.op == "matmul" else _window(node)
            if node.op == "matmul":
                attr |= {k: {"b": bool(node.attrs[k])} for k in ("transpose_a", "transpose_b")}
            op = {
                "conv2d": ("Conv2D", "_FusedConv2D"),
                "depthwise_conv2d": ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"),
                "matmul": ("MatMul", "_FusedMatMul"),
            }[node.op][bool(fused)]
            if fused:
                inputs.append(writer.const(f"{name}/bias", np.float32(bias)))
                words = {"BiasAdd": "Qmlhc0FkZA==", "Relu": "UmVsdQ==", "Relu6": "UmVsdTY="}
                attr |= {
                    "fused_ops": {"list": {"s": [words[f] for f in fused]}},
                    "num_args": {"i": "1"},
                }
            names[end.output] = names[node.output] = writer.node(name, op, inputs, **attr)
            if fused and activation:
                for middle in users.get(node.output, []):
                    names[middle.output] = name
        else:
            names[node.output] = _tfjs_other(writer, node, inputs, name)
    signature = {
        "inputs": {v.name: _info(names[v], v) for v in graph.inputs},
        "outputs": {n: _info(names[v], v) for n, v in graph.outputs},
    }
    model = {
        "format": "graph-model",
        "generatedBy": "2.19.0",
        "convertedBy": "fanlight bench",
        "signature": signature,
        "modelTopology": {"node": writer.nodes, "versions": {"producer": 1882}},
        "weightsManifest": [{"paths": ["weights.bin"], "weights": writer.specs}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "weights.bin").write_bytes(b"".join(writer.data))


def _info(name: str, value: Value) -> dict[str, Any]:
    shape = {"dim": [{"size": str(d)} for d in value.shape]}
    return {"name": f"{name}:0", "dtype": TF_TYPES[value.dtype], "tensorShape": shape}


def _tfjs_other(writer: _TfjsWriter, node: Node, inputs: list[str], name: str) -> str:
    simple = {
        "add": "AddV2",
        "sub": "Sub",
        "mul": "Mul",
        "div": "RealDiv",
        "relu": "Relu",
        "relu6": "Relu6",
        "sigmoid": "Sigmoid",
        "softmax": "Softmax",
    }
    if node.op in simple:
        return writer.node(name, simple[node.op], inputs)
    if node.op == "reshape":
        shape = writer.const(f"{name}/shape", np.int32(node.attrs["shape"]))
        return writer.node(name, "Reshape", [*inputs, shape])
    if node.op == "mean":
        axes = writer.const(f"{name}/axes", np.int32(node.attrs["axes"]))
        return writer.node(name, "Mean", [*inputs, axes], keep_dims={"b": node.attrs["keepdims"]})
    if node.op in ("avg_pool", "max_pool"):
        op = {"avg_pool": "AvgPool", "max_pool": "MaxPool"}[node.op]
        return writer.node(
            name, op, inputs, ksize=_ints(1, *node.attrs["size"], 1), **_window(node)
        )
    if node.op == "pad":
        paddings = writer.const(f"{name}/paddings", np.int32(node.attrs["paddings"]))
        value = writer.const(f"{name}/value", np.float32(node.attrs["value"]))
        return writer.node(name, "PadV2", [*inputs, paddings, value])
    if node.op == "concat":
        axis = writer.const(f"{name}/axis", np.int32(node.attrs["axis"]))
        count = {"N": {"i": str(len(inputs))}}
        return writer.node(name, "ConcatV2", [*inputs, axis], **count)
    raise Unwritable(node.op, "TF.js")


# --- ONNX -----------------------------------------------------------------------------------------


def to_onnx(graph: Graph, path: Path) -> dict[str, Value]:
    """Write an ONNX file, NCHW throughout (4-d values are transposed; inputs are fed as NCHW).

    Returns:
        tensor name -> the value that it holds, of all computed values and inputs.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    users = graph.users()
    nodes: list[Any] = []
    constants: list[Any] = []

    def const(name: str, array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def shape_of(v: Value) -> list[int]:
        s = list(v.shape)
        return [s[0], s[3], s[1], s[2]] if len(s) == 4 else s

    names: dict[Value, str] = {v: v.name for v in graph.inputs}
    for node in graph.nodes:
        if node.output in names:
            continue
        name = node.output.name
        if node.op in ("conv2d", "depthwise_conv2d", "matmul"):
            bias, activation, last = chain(graph, node, users)
            w = graph.weights[node.inputs[1]]
            inputs = [names[node.inputs[0]]]
            attrs: dict[str, Any] = {}
            if node.op == "matmul":
                op = "Gemm"
                inputs.append(const(f"{name}_w", w))
                attrs = {"transB": int(node.attrs["transpose_b"])}
            else:
                op = "Conv"
                if node.op == "depthwise_conv2d":
                    kh, kw, c, m = w.shape
                    w = w.reshape(kh, kw, 1, c * m)
                    attrs["group"] = c
                inputs.append(const(f"{name}_w", w.transpose(3, 2, 0, 1)))
                (top, bottom), (left, right) = node.attrs["padding"]
                attrs |= {
                    "strides": list(node.attrs["strides"]),
                    "pads": [top, left, bottom, right],
                    "dilations": list(node.attrs["dilations"]),
                    "kernel_shape": list(w.shape[:2]),
                }
            if bias is not None:
                inputs.append(const(f"{name}_b", bias))
            out = f"{name}_linear" if activation else name
            nodes.append(helper.make_node(op, inputs, [out], **attrs))
            if activation == "relu6":
                bounds = [const(f"{name}_lo", np.float32(0)), const(f"{name}_hi", np.float32(6))]
                nodes.append(helper.make_node("Clip", [out, *bounds], [name]))
            elif activation:
                nodes.append(helper.make_node("Relu", [out], [name]))
            names[node.output] = name
            value = node.output
            while value is not last.output:
                value = users[value][0].output
                names[value] = name
            continue
        inputs = []
        for v in node.inputs:
            if v in graph.weights:
                a = graph.weights[v]
                inputs.append(
                    const(f"{name}_{v.name}", a.transpose(0, 3, 1, 2) if a.ndim == 4 else a)
                )
            else:
                inputs.append(names[v])
        simple = {"add": "Add", "sub": "Sub", "mul": "Mul", "relu": "Relu"}
        if node.op == "softmax":
            axis = 1 if len(node.output.shape) == 4 else -1  # channels
            nodes.append(helper.make_node("Softmax", inputs, [name], axis=axis))
        elif node.op in simple:
            nodes.append(helper.make_node(simple[node.op], inputs, [name]))
        elif node.op == "relu6":
            bounds = [const(f"{name}_lo", np.float32(0)), const(f"{name}_hi", np.float32(6))]
            nodes.append(helper.make_node("Clip", [*inputs, *bounds], [name]))
        elif node.op == "mean":
            # Global average pooling keeps 4 dims; a reshape follows where the source drops them.
            pooled = name if node.attrs["keepdims"] else f"{name}_pooled"
            nodes.append(helper.make_node("GlobalAveragePool", inputs, [pooled]))
            if pooled != name:
                nodes.append(helper.make_node("Flatten", [pooled], [name]))
        elif node.op == "reshape":
            shape = const(f"{name}_shape", np.int64(shape_of(node.output)))
            nodes.append(helper.make_node("Reshape", [*inputs, shape], [name]))
        elif node.op == "pad":
            (_, _), (top, bottom), (left, right), (_, _) = node.attrs["paddings"]
            pads = const(f"{name}_pads", np.int64([0, 0, top, left, 0, 0, bottom, right]))
            value = const(f"{name}_value", np.float32(node.attrs["value"]))
            nodes.append(helper.make_node("Pad", [*inputs, pads, value], [name]))
        else:
            raise Unwritable(node.op, "ONNX Runtime")
        names[node.output] = name
    ends = [
        helper.make_tensor_value_info(names[v], TensorProto.FLOAT, shape_of(v))
        for _, v in graph.outputs
    ]
    starts = [
        helper.make_tensor_value_info(v.name, TensorProto.FLOAT, shape_of(v)) for v in graph.inputs
    ]
    proto = helper.make_graph(nodes, graph.name.replace("/", "_"), starts, ends, constants)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, path)
    return {names[v]: v for v in names}

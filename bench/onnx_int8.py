"""Quantise an ONNX network for ONNX Runtime, in the form that its documentation asks for: QDQ.

Every tensor between convolutions, products, sums and pools gets a pair of QuantizeLinear and
DequantizeLinear (uint8, one scale a tensor), every weight comes from int8 (symmetric, one scale a
channel), every bias from int32; ONNX Runtime fuses what lies between into its integer kernels.
Ranges are the extremes over the calibration pictures; activations that the range of a uint8 already
clips are left out, as ONNX Runtime itself would do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.export import Unwritable, to_onnx
from fanlight.graph import Graph, Value, evaluate

INTEGER = {"Conv", "Gemm", "Add", "GlobalAveragePool", "Pad"}
SHAPED = {"Flatten", "Reshape"}  # the same numbers: they keep the scale of their input
CLIPS = {"Relu", "Clip"}
FLOAT = {"Softmax"}


def to_onnx_int8(graph: Graph, pictures: Sequence[np.ndarray], path: Path) -> None:
    """Write a plain graph as a quantised ONNX file; the input and the output stay float32.

    Args:
        pictures: inputs of the graph to take ranges from, at least one.

    Raises:
        Unwritable: an op that `to_onnx` or this quantiser does not know.
    """
    import onnx

    tensors = to_onnx(graph, path)
    model = onnx.load(path)
    ranges = _ranges(graph, tensors, pictures)
    onnx.save(_Quantizer(model, ranges).quantized(), path)


def _ranges(
    graph: Graph, tensors: Mapping[str, Value], pictures: Sequence[np.ndarray]
) -> dict[str, tuple[float, float]]:
    """tensor name -> (smallest, largest) value over the pictures, 0 included."""
    inner = {n: v for n, v in tensors.items() if v not in graph.inputs and v.dtype == "float32"}
    whole = replace(graph, outputs=tuple(inner.items()))
    source = graph.inputs[0].name
    found: dict[str, tuple[float, float]] = {}
    for picture in pictures:
        for name, array in {source: picture, **evaluate(whole, {source: picture})}.items():
            low, high = found.get(name, (0.0, 0.0))
            found[name] = (min(low, float(array.min())), max(high, float(array.max())))
    return found


class _Quantizer:
    def __init__(self, model: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
        from onnx import numpy_helper

        self.model = model
        self.ranges = ranges
        self.floats = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
        self.kept: dict[str, np.ndarray] = {}  # initializers of the result
        self.nodes: list[Any] = []
        self.scales: dict[str, tuple[np.float32, np.uint8]] = {}
        self.done: dict[str, str] = {}  # tensor -> its value after a pair of Q and DQ

    def quantized(self) -> Any:
        """The model with pairs put in and weights quantised."""
        from onnx import helper, numpy_helper

        graph = self.model.graph
        nodes, after = self._without_clips(list(graph.node))
        self._pair(graph.input[0].name)
        for node in nodes:
            self._node(node, after)
        arrays = [numpy_helper.from_array(a, name) for name, a in self.kept.items()]
        made = helper.make_graph(self.nodes, graph.name, graph.input, graph.output, arrays)
        model = helper.make_model(made, opset_imports=self.model.opset_import)
        model.ir_version = self.model.ir_version
        return model

    def _without_clips(self, nodes: list[Any]) -> tuple[list[Any], dict[str, str]]:
        """Nodes without the activations that a range says already, and what they were called.

        The output of `Conv -> Clip -> y` is y at once, where y is not negative: uint8 with a zero
        point of 0 clips below, and its scale above.
        """
        renamed = {}
        left = []
        for node in nodes:
            if node.op_type in CLIPS and self.ranges[node.output[0]][0] >= 0:
                renamed[node.input[0]] = node.output[0]
            else:
                left.append(node)
        return left, renamed

    def _node(self, node: Any, after: Mapping[str, str]) -> None:
        from onnx import helper

        kind = node.op_type
        outputs = [after.get(name, name) for name in node.output]
        inputs = [self.done.get(name, name) for name in node.input]
        if kind in ("Conv", "Gemm"):
            inputs[1:] = self._weights(node)
        elif kind in INTEGER | SHAPED | FLOAT | CLIPS:
            for i, name in enumerate(node.input):
                if name in self.floats:
                    plain = kind in SHAPED | CLIPS | {"Pad"}
                    inputs[i] = (
                        self._keep(name, self.floats[name]) if plain else self._constant(name)
                    )
        else:
            raise Unwritable(f"an int8 {kind}", "ONNX Runtime")
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        last = {o.name for o in self.model.graph.output}
        for name in outputs:
            if kind not in FLOAT and name not in last:
                self._pair(name, like=node.input[0] if kind in SHAPED | {"Pad"} else None)

    def _keep(self, name: str, array: np.ndarray) -> str:
        self.kept[name] = np.array(array, order="C")  # keeps 0-d arrays 0-d
        return name

    def _pair(self, name: str, like: str | None = None) -> None:
        """QuantizeLinear and DequantizeLinear of a tensor, at the scale of `like` where given."""
        # What `to_onnx` pools before it drops dims has the same numbers under another name.
        low, high = self.ranges[name.removesuffix("_pooled")]
        scale = np.float32(max(high - low, 1e-8) / 255)
        zero = np.uint8(np.clip(round(-low / scale), 0, 255))
        if like in self.scales:
            scale, zero = self.scales[like]
        self.scales[name] = scale, zero
        self.done[name] = self._quantize(name, scale, zero)

    def _quantize(self, name: str, scale: np.ndarray, zero: np.ndarray) -> str:
        from onnx import helper

        parts = [self._keep(f"{name}_scale", np.asarray(scale)),
                 self._keep(f"{name}_zero", np.asarray(zero))]  # fmt: skip
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *parts], [f"{name}_q"]))
        self.nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_q", *parts], [f"{name}_dq"])
        )
        return f"{name}_dq"

    def _constant(self, name: str) -> str:
        """A constant addend: quantised once, dequantised where it is used."""
        array = self.floats[name]
        low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
        scale = np.float32(max(high - low, 1e-8) / 255)
        zero = np.clip(np.round(-low / scale), 0, 255)
        stored = np.clip(np.round(array / scale) + zero, 0, 255).astype(np.uint8)
        return self._dequantized(name, stored, scale, np.uint8(zero), None)

    def _dequantized(
        self, name: str, stored: np.ndarray, scale: Any, zero: Any, axis: int | None
    ) -> str:
        from onnx import helper

        parts = [
            self._keep(f"{name}_q", stored),
            self._keep(f"{name}_scale", np.asarray(scale)),
            self._keep(f"{name}_zero", np.asarray(zero)),
        ]
        how = {} if axis is None else {"axis": axis}
        self.nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}_dq"], **how))
        return f"{name}_dq"

    def _weights(self, node: Any) -> list[str]:
        """int8 weights per output channel, and the bias in int32 at the scale of the products."""
        from onnx import helper

        source, name, *more = node.input
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        w = self.floats[name]
        axis = 0 if node.op_type == "Conv" or attributes.get("transB") else 1
        others = tuple(i for i in range(w.ndim) if i != axis)
        scale = np.maximum(np.abs(w).max(others), 1e-8).astype(np.float32) / np.float32(127)
        shape = [1] * w.ndim
        shape[axis] = -1
        stored = np.clip(np.round(w / scale.reshape(shape)), -127, 127).astype(np.int8)
        zeros = np.zeros(scale.size, np.int8)
        made = [self._dequantized(name, stored, scale, zeros, axis)]
        if more:
            product = self.scales[source][0] * scale
            bias = np.round(self.floats[more[0]] / product).astype(np.int32)
            none = np.zeros(scale.size, np.int32)
            made.append(self._dequantized(more[0], bias, product, none, 0))
        return made

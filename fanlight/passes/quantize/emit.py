"""The graph of bytes, written from the steps, the scales and the weights of the float graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fanlight.graph import Builder, Graph, Node, Value
from fanlight.graph.rewrite import remove_dead
from fanlight.ops import scalar as sc
from fanlight.passes.quantize.layout import Layout
from fanlight.passes.quantize.observe import Seen
from fanlight.passes.quantize.ranges import Scale
from fanlight.passes.quantize.steps import Step
from fanlight.passes.quantize.weights import (
    fit_pairs,
    input_factor,
    matrix,
    quantize_bias,
    quantize_weights,
    wide_enough,
)


@dataclass(frozen=True)
class Layer:
    """A layer of the new graph, and where it comes from.

    Attributes:
        step: what it computes in the float graph.
        node, bias: its node, and its bias, in the new graph.
        unit: float64 [N], what one step of its sum stands for.
        output: the scale of its result; None if that is float32.
    """

    step: Step
    node: Node
    bias: Value
    unit: np.ndarray
    output: Scale | None


@dataclass(frozen=True)
class Emitted:
    """The new graph; `values`: value of bytes in the float graph -> its value in the new one."""

    graph: Graph
    layers: tuple[Layer, ...]
    values: Mapping[Value, Value]


def emit(
    graph: Graph,
    layout: Layout,
    scales: Mapping[Value, Scale],
    seen: Mapping[Value, Seen],
    *,
    search_weights: bool = True,
) -> Emitted:
    """Write the graph of bytes.

    Args:
        scales: for every value of `layout.bytes`.
        search_weights: see `quantize_weights`.
    """
    return _Emitter(graph, layout, scales, seen, search_weights).run()


class _Emitter:
    def __init__(
        self,
        graph: Graph,
        layout: Layout,
        scales: Mapping[Value, Scale],
        seen: Mapping[Value, Seen],
        search_weights: bool,
    ) -> None:
        self.graph = graph
        self.layout = layout
        self.scales = scales
        self.seen = seen
        self.search_weights = search_weights
        self.builder = Builder(graph.name)
        self.floats: dict[Value, Value] = {}
        self.bytes: dict[Value, Value] = {}
        self.layers: list[tuple[Step, Value, Value, np.ndarray, Scale | None]] = []

    def run(self) -> Emitted:
        for v in self.graph.inputs:
            self.floats[v] = self.builder.input(v.name, v.shape, v.dtype)
        inside = {n: s for s in self.layout.steps for n in s.nodes}
        for node in self.graph.nodes:
            step = inside.get(node)
            if step is None:
                self._plain(node)
            elif step.nodes[-1] is node:
                self._step(step)
        outputs = {name: self.as_float(v) for name, v in self.graph.outputs}
        made = remove_dead(self.builder.finish(outputs))
        makers = made.producers()
        layers = tuple(
            Layer(step, makers[value], bias, unit, scale)
            for step, value, bias, unit, scale in self.layers
            if value in makers
        )
        kept = {*made.inputs, *makers}
        values = {old: new for old, new in self.bytes.items() if new in kept}
        return Emitted(made, layers, values)

    # --- values -----------------------------------------------------------------------------------

    def as_float(self, value: Value) -> Value:
        """A value as it was in the float graph, made of its bytes if there are only those."""
        found = self.floats.get(value)
        if found is None:
            if value in self.graph.weights:
                found = self.builder.weight(self.graph.weights[value], value.name)
            else:
                scale = self.scales[value]
                found = self.builder.add(
                    "dequantize",
                    self.bytes[value],
                    scale=scale.uniform,
                    zero=scale.byte,
                    name=value.name,
                )
            self.floats[value] = found
        return found

    def as_bytes(self, value: Value) -> Value:
        """A value as bytes, quantised here if it is a float32."""
        found = self.bytes.get(value)
        if found is None:
            real, scale = self.floats[value], self.scales[value]
            zero = int(scale.zero) if scale.zero == scale.byte else 0
            if scale.zero != scale.byte:
                shift = self.builder.weight(np.array(-scale.low_end, np.float32), "shift")
                real = self.builder.add("add", real, shift, name=value.name)
            found = self.bytes[value] = self.builder.add(
                "quantize",
                real,
                scale=scale.uniform,
                zero=zero,
                high=scale.high,
                name=f"{value.name}_bytes",
            )
        return found

    def _plain(self, node: Node) -> None:
        inputs = [self.as_float(v) for v in node.inputs]
        names = [v.name for v in node.outputs]
        made = self.builder.add(node.op, *inputs, name=node.name, outputs=names, **node.attrs)
        values = made if isinstance(made, tuple) else (made,)
        self.floats.update(zip(node.outputs, values, strict=True))

    # --- steps ------------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        if step.is_layer:
            self._layer(step)
        elif step.kind == "same":
            self._same(step)
        elif step.kind == "table":
            self._table(step)
        else:
            self._arithmetic(step)

    def _add(self, step: Step, op: str, *inputs: Value, **attrs: Any) -> Value:
        made: Value = self.builder.add(
            op, *inputs, name=step.name, outputs=[step.output.name], **attrs
        )
        return made

    def _finish(self, step: Step) -> tuple[dict[str, int], Scale]:
        """Zero and high of a result, and its scale, before `_raise`."""
        scale = self.scales[step.output]
        high = scale.high
        # A relu cuts at byte 0, so that is its zero; where the group has another, it is moved.
        zero = 0 if step.relu else scale.byte
        if step.relu:
            high -= scale.byte
            reach = float(scale.scale.max()) * high
            if step.limit < reach * (1 - 1e-6):
                high = max(1, round(step.limit / float(scale.scale.max())))
        return {"zero": zero, "high": high}, scale

    def _raise(self, step: Step, value: Value, scale: Scale) -> None:
        if step.relu and scale.byte:
            table = np.minimum(np.arange(256) + scale.byte, scale.high).astype(np.uint8)
            value = self._add(step, "lookup", value, self.builder.weight(table, "table"))
        self.bytes[step.output] = value

    def _layer(self, step: Step) -> None:
        node = step.node
        x = self.as_bytes(step.inputs[0])
        x_scale = self.scales[step.inputs[0]]
        array = self.graph.weights[node.inputs[1]]
        w = matrix(step, array) * input_factor(step, array, x_scale.scale)
        square = self._mean_square(step.inputs[0])
        weights, unit = quantize_weights(
            w, input_factor(step, array, square), search=self.search_weights
        )
        if step.kind != "depthwise_conv2d" and x_scale.high <= 127:  # others are never paired
            weights, unit = fit_pairs(w, weights, unit, _run(node, array))
        unit = wide_enough(unit, step.bias)
        bias = quantize_bias(step.bias, unit, weights, x_scale.zero)
        attrs: dict[str, Any] = {"x_high": x_scale.high}
        if step.kind != "matmul":
            attrs |= {k: node.attrs[k] for k in ("strides", "padding", "dilations")}
            attrs["pad"] = x_scale.byte
        as_bytes = step.output in self.layout.wanted
        out_scale: Scale | None = None
        factor = unit
        if as_bytes:
            finish, out_scale = self._finish(step)
            attrs |= finish
            factor = unit / out_scale.scale
        else:
            attrs["output"] = "float32"
        operands = [
            x,
            self.builder.weight(weights.reshape(array.shape), f"{node.name}_w"),
            self.builder.weight(bias, f"{node.name}_bias"),
            self.builder.weight(factor.astype(np.float32), f"{node.name}_scale"),
        ]
        if len(step.inputs) == 2:
            residual = self.scales[step.inputs[1]]
            ratio = residual.scale if out_scale is None else residual.scale / out_scale.scale
            operands.append(self.as_bytes(step.inputs[1]))
            attrs |= {
                "residual_scale": float(np.median(ratio)),
                "residual_zero": residual.byte,
            }
        value = self._add(step, f"{step.kind}_int8", *operands, **attrs)
        self.layers.append((step, value, operands[2], unit, out_scale))
        if out_scale is not None:
            self._raise(step, value, out_scale)
            return
        if step.relu:
            value = self._add(step, "clip", value, lo=0.0, hi=step.limit)
        self.floats[step.output] = value

    def _mean_square(self, value: Value) -> np.ndarray:
        """The mean square of a value per channel, in steps of its bytes above byte 0's number."""
        seen, scale = self.seen[value], self.scales[value]
        square = seen.square / scale.scale**2
        return np.maximum(square, 1e-6 * max(float(square.max()), 1e-30))

    def _same(self, step: Step) -> None:
        node = step.node
        attrs = dict(node.attrs)
        op = node.op
        if op == "pad":
            attrs["value"] = self.scales[step.output].byte
        elif op == "resize_bilinear":
            op = "resize_bilinear_int8"
        self.bytes[step.output] = self._add(step, op, *map(self.as_bytes, step.inputs), **attrs)

    def _table(self, step: Step) -> None:
        (source,) = step.inputs
        x_scale, scale = self.scales[source], self.scales[step.output]
        # Bytes above the greatest are never looked up; as its repeats they need no table of theirs.
        codes = np.minimum(np.arange(256), x_scale.high)
        real = (codes - x_scale.byte) * x_scale.uniform
        assert step.body is not None
        result = sc.evaluate(step.body, [real.astype(np.float32)])
        table = replace(scale, scale=scale.scale[:1]).apply(result.astype(np.float64))
        x = self.as_bytes(source)
        self.bytes[step.output] = self._add(step, "lookup", x, self.builder.weight(table, "table"))

    def _arithmetic(self, step: Step) -> None:
        attrs, scale = self._finish(step)
        ins = [self.scales[v] for v in step.inputs]
        ratios = (
            [float(np.median(s.scale / scale.scale)) for s in ins if len(s.scale) > 0]
            if all(len(s.scale) == len(scale.scale) for s in ins)
            else [s.uniform / scale.uniform for s in ins]
        )
        node = step.node
        operands = [self.as_bytes(v) for v in step.inputs]
        if step.kind in ("add", "sub"):
            sign = -1.0 if step.kind == "sub" else 1.0
            value = self._add(
                step,
                "add_int8",
                *operands,
                scale_a=ratios[0],
                zero_a=ins[0].byte,
                scale_b=sign * ratios[1],
                zero_b=ins[1].byte,
                **attrs,
            )
        elif step.kind == "mul":
            product = ins[0].scale * ins[1].scale / scale.scale
            value = self._add(
                step,
                "mul_int8",
                *operands,
                zero_a=ins[0].byte,
                zero_b=ins[1].byte,
                scale=float(np.median(product)),
                **attrs,
            )
        elif step.kind == "prelu":
            slope = self.as_float(node.inputs[1])
            value = self._add(
                step,
                "prelu_int8",
                operands[0],
                slope,
                zero_x=ins[0].byte,
                scale=ratios[0],
                **attrs,
            )
        else:
            more = dict(node.attrs)
            value = self._add(
                step,
                f"{step.kind}_int8",
                operands[0],
                zero_x=ins[0].byte,
                scale=ratios[0],
                **more,
                **attrs,
            )
        self._raise(step, value, scale)


def _run(node: Node, w: np.ndarray) -> int:
    """How many rows of a layer's matrix meet neighbouring bytes of its input."""
    if node.op == "matmul":
        return w.shape[0]
    taps = w.shape[1] if node.attrs["dilations"][1] == 1 else 1
    return taps * w.shape[2]

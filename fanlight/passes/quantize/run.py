"""Running a graph of bytes on calibration data, layer by layer: biases are corrected on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fanlight.graph import Graph, Value
from fanlight.graph.evaluate import check_inputs
from fanlight.ops import row as rows
from fanlight.ops.quantized import to_bytes
from fanlight.passes.quantize.emit import Emitted
from fanlight.passes.quantize.observe import Inputs, Seen

# About how much memory the values of all items may take at once.
MEMORY = 768 << 20


def items_that_fit(graph: Graph, wanted: int) -> int:
    """How many items may be run side by side."""
    largest = max((sum(v.type.nbytes for v in n.outputs) for n in graph.nodes), default=1)
    return int(np.clip(MEMORY // (3 * largest), 1, wanted))


def correct_biases(
    emitted: Emitted,
    data: Sequence[Inputs],
    seen: Mapping[Value, Seen],
    advance: Callable[[], None] = lambda: None,
) -> Emitted:
    """The graph with biases such that each layer's mean result is that of the float graph.

    In order, so that a layer also makes up for what the layers before it still do wrong.
    Source: Nagel et al. 2019, "Data-free quantization", section 4.2 (the empirical form).
    """
    graph = emitted.graph
    layers = {layer.node: layer for layer in emitted.layers}
    arrays = [check_inputs(graph, item) for item in data]
    known: list[dict[Value, np.ndarray]] = [
        {**graph.weights, **{v: a[v.name] for v in graph.inputs}} for a in arrays
    ]
    last = {v: index for index, node in enumerate(graph.nodes) for v in node.inputs}
    weights = dict(graph.weights)
    for index, node in enumerate(graph.nodes):
        layer = layers.get(node)
        if layer is None:
            for values in known:
                results = rows.evaluate(node.op, [values[v] for v in node.inputs], node.attrs)
                values.update(zip(node.outputs, results, strict=True))
        else:
            attrs = {**node.attrs, "output": "float32"}
            sums = [rows.evaluate(node.op, [k[v] for v in node.inputs], attrs)[0] for k in known]
            found = np.mean([s.reshape(-1, s.shape[-1]).mean(axis=0) for s in sums], axis=0)
            factor = graph.weights[node.inputs[3]].astype(np.float64)
            wanted = seen[layer.step.raw].mean_of_first(len(data)) * (factor / layer.unit)
            steps = np.nan_to_num((wanted - found) / factor)
            bias = weights[layer.bias] + np.rint(np.clip(steps, -(2**30), 2**30))
            bias = np.clip(bias, -(2**31), 2**31 - 1)
            moved = ((bias - weights[layer.bias]) * factor).astype(np.float32)
            weights[layer.bias] = bias.astype(np.int32)
            for values, array in zip(known, sums, strict=True):
                array += moved
                done = layer.output is None
                values[node.output] = array if done else to_bytes(array, node.attrs)
        for v in (*node.inputs, *node.outputs):
            if last.get(v, -1) <= index:
                for values in known:
                    values.pop(v, None)
        advance()
    again = Graph(graph.name, graph.inputs, graph.outputs, graph.nodes, weights)
    return replace(emitted, graph=again)


def signal_to_noise(signal: np.ndarray, received: np.ndarray) -> float:
    """10 log10 of the power of the signal over that of the error, in dB; at most 200."""
    noise = float(np.sum((signal - received) ** 2))
    power = float(np.sum(signal**2))
    if noise <= power * 1e-20:
        return 200.0
    return 10 * float(np.log10(max(power, 1e-300) / noise))

"""Common subexpressions, and weights that hold the same bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor
from fanlight.passes.core import Context, Pass

# Arrays are compared whole only if this many of their bytes agree.
SAMPLE = 64


class MergeCommon(Pass):
    """Compute the same thing once, and store the same weight once.

    Weights are the same if their types and bytes are: 0.0 and -0.0 differ, equal NaNs do not.

    Before:
        graph g(%x: f32[2]) {
          weight %a: f32[] = [2.0]
          weight %b: f32[] = [2.0]
          %p: f32[2] = mul(%x, %a)
          %q: f32[2] = mul(%x, %b)
          %y: f32[2] = add(%p, %q)
          return y=%y
        }

    After:
        graph g(%x: f32[2]) {
          weight %a: f32[] = [2.0]
          %p: f32[2] = mul(%x, %a)
          %y: f32[2] = add(%p, %p)
          return y=%y
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        editor = Editor(graph)
        for value, first in equal_weights(graph.weights).items():
            editor.replace(value, first)
            self.hit(context, "weight")
        seen: dict[tuple, Node] = {}
        for node in graph.nodes:
            inputs = tuple(editor.get(v) for v in node.inputs)
            # repr keeps 0, 0.0, -0.0 and False apart, which compare equal.
            key = (node.op, inputs, repr(sorted(node.attrs.items())))
            first_node = seen.setdefault(key, node)
            if first_node is node:
                editor.keep(node)
                continue
            for old, new in zip(node.outputs, first_node.outputs, strict=True):
                editor.replace(old, new)
            self.hit(context, node.op)
        return editor.done()


def equal_weights(weights: Mapping[Value, np.ndarray]) -> dict[Value, Value]:
    """weight -> an earlier one of the same type and bytes. Reads big arrays only if it must."""
    groups: dict[tuple, list[Value]] = {}
    merged: dict[Value, Value] = {}
    for value, array in weights.items():
        data = _bytes(array)
        sample = data[:: max(1, data.size // SAMPLE)].tobytes()
        group = groups.setdefault((value.type, sample), [])
        first = next((v for v in group if np.array_equal(_bytes(weights[v]), data)), None)
        if first is None:
            group.append(value)
        else:
            merged[value] = first
    return merged


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

"""Branches and bodies of control flow go through the pipeline, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from fanlight.graph import Graph, Node, Subgraph, Value, subgraphs
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.passes.core import Context, Pass


class OptimizeBodies(Pass):
    """Run the pipeline on the sub-graphs of a node.

    Before it, constants of one element that a sub-graph takes from outside go inside, where they
    become part of other ops. After it, what is larger goes outside: each constant in memory lies
    there once, among the weights. Inputs that no sub-graph reads are dropped.

    Before:
        graph g(%x: f32[3], %p: bool[]) {
          weight %two: f32[] = [2.0]
          %y: f32[3] = cond(%p, %x, %two) {}
            true_fn: graph double(%x: f32[3], %c: f32[]) {
              %t: f32[3] = mul(%x, %c)
              %u: f32[3] = add(%t, %x)
              return r=%u
            }
            false_fn: graph same(%x: f32[3], %c: f32[]) {
              return r=%x
            }
          return y=%y
        }

    After:
        graph g(%x: f32[3], %p: bool[]) {
          %y: f32[3] = cond(%p, %x) {}
            true_fn: graph double(%x: f32[3]) {
              %u: f32[3] = fused(%x) {body="add(mul(a0, 2.0), a0)"}
              return r=%u
            }
            false_fn: graph same(%x: f32[3]) {
              return r=%x
            }
          return y=%y
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
            bodies = {name: sub.graph for name, sub in subgraphs(node).items()}
            if not bodies:
                return None
            first = 1 if node.op == "cond" else 0  # inputs before it are not the bodies'
            fixed = node.attrs.get("carried", 0) + node.attrs.get("scanned", 0)
            constants = {
                position: array
                for position, v in enumerate(inputs[first:])
                if position >= fixed and (array := editor.array(v)) is not None and array.size == 1
            }
            made = {name: _optimized(g, constants, context) for name, g in bodies.items()}
            slots: list[_Slot] = []
            for position, value in enumerate(inputs[first:]):
                own = {name: g.inputs[position] for name, g in bodies.items()}
                read = position < fixed or any(own[name] in _used(g) for name, g in made.items())
                if position not in constants and read:
                    slots.append((value, own))
            for name, g in made.items():
                large = [v for v, array in g.weights.items() if array.size > 1]
                slots += [(editor.weight(g.weights[v], v.name), {name: v}) for v in large]
            attrs = {
                **node.attrs,
                **{name: Subgraph(_over(g, name, slots)) for name, g in made.items()},
            }
            outside = [*inputs[:first], *(value for value, _ in slots)]
            if outside == inputs and attrs == node.attrs:
                return None
            self.hit(context, node.op)
            return editor.become(node, node.op, *outside, **attrs)

        return rebuild(graph, visit)


# An input of a node, and what stands for it in each of its sub-graphs that reads it.
_Slot = tuple[Value, Mapping[str, Value]]


def _optimized(graph: Graph, constants: Mapping[int, np.ndarray], context: Context) -> Graph:
    """A body after the pipeline, some of its inputs being constants now."""
    from fanlight.passes.pipeline import PIPELINE_F32, run

    weights = {**graph.weights, **{graph.inputs[i]: array for i, array in constants.items()}}
    inputs = tuple(v for i, v in enumerate(graph.inputs) if i not in constants)
    inside = Graph(graph.name, inputs, graph.outputs, graph.nodes, weights)
    return run(inside, PIPELINE_F32, target=context.target)


def _used(graph: Graph) -> set[Value]:
    return {v for node in graph.nodes for v in node.inputs} | {v for _, v in graph.outputs}


def _over(graph: Graph, name: str, slots: Sequence[_Slot]) -> Graph:
    """A body whose inputs are the slots, in their order."""
    taken = {v.name for v in graph.values()}
    inputs: list[Value] = []
    for outer, own in slots:
        value = own.get(name)
        if value is None:  # another body's
            fresh = next(n for i in count() if (n := f"unread_{i}") not in taken)
            taken.add(fresh)
            value = Value(fresh, outer.type)
        inputs.append(value)
    weights = {v: array for v, array in graph.weights.items() if v not in inputs}
    return Graph(graph.name, tuple(inputs), graph.outputs, graph.nodes, weights)

"""Drop what no output depends on."""

from __future__ import annotations

from fanlight.graph import Graph
from fanlight.graph.rewrite import remove_dead
from fanlight.passes.core import Context, Pass


class RemoveDead(Pass):
    """Drop nodes and weights that no output depends on. Inputs stay: they are the interface.

    Before:
        graph g(%x: f32[2], %unused: f32[2]) {
          weight %c: f32[] = [2.0]
          %y: f32[2] = relu(%x)
          %z: f32[2] = mul(%x, %c)
          return y=%y
        }

    After:
        graph g(%x: f32[2], %unused: f32[2]) {
          %y: f32[2] = relu(%x)
          return y=%y
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        result = remove_dead(graph)
        self.hit(context, "node", len(graph.nodes) - len(result.nodes))
        self.hit(context, "weight", len(graph.weights) - len(result.weights))
        return result

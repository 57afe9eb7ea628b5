"""Transposes move until they meet one that undoes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fanlight.graph import Graph, Node, Value
from fanlight.passes.axes import in_order
from fanlight.passes.axis_emit import rewritten
from fanlight.passes.axis_region import Plan, Region, cost, moves
from fanlight.passes.core import Context, Pass
from fanlight.passes.simplify import Simplify

# How often it is tried again on what the last time left, and how many nodes are looked at each
# time, per node of the graph: a node may lie in several regions.
SWEEPS = 4
LOOKS = 8


class SinkTransposes(Pass):
    """Compute whole regions of a graph in the order of dims that leaves least to transpose.

    Layers that were written for another order of dims, such as those of PyTorch and ONNX, are
    wrapped in transposes. From each transpose a region is explored, through all ops that know
    their axes whatever the order: elementwise ops, reductions, softmax, pads, slices, concats,
    transposes, and reshapes that merge or split dims, as in a group norm (`axes.py`,
    `axis_links.py`). What of it is computed in the order of the other side of the transpose is
    then a minimum cut (`axis_region.py`): a value that is made in one order and read in another
    costs a transpose, and one that stands there today and is not needed any more costs nothing.

    The same operations are made of the same numbers; only the order of a sum may be another, where
    the axes that a reduction goes over lie in another order.

    Before:
        graph g(%x: f32[1, 2, 2, 3]) {
          weight %c: f32[3, 1, 1] = [1.0, 2.0, 3.0]
          %a: f32[1, 3, 2, 2] = transpose(%x) {perm=[0, 3, 1, 2]}
          %b: f32[1, 3, 2, 2] = mul(%a, %c)
          %d: f32[1, 3, 2, 3] = pad(%b) {paddings=[[0, 0], [0, 0], [0, 0], [0, 1]]}
          %y: f32[1, 2, 3, 3] = transpose(%d) {perm=[0, 2, 3, 1]}
          return y=%y
        }

    After:
        graph g(%x: f32[1, 2, 2, 3]) {
          weight %c_2: f32[1, 1, 3] = [1.0, 2.0, 3.0]
          %b_2: f32[1, 2, 2, 3] = mul(%x, %c_2) @ "b"
          %d_2: f32[1, 2, 3, 3] = pad(%b_2) {paddings=[[0, 0], [0, 0], [0, 1], [0, 0]]} @ "d"
          return y=%d_2
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        for _ in range(SWEEPS):
            before = _moved(graph)
            plans = _plans(graph) if before else []
            if not plans:
                break
            # Simplifying joins what is left where two regions meet.
            after = Simplify().run(rewritten(graph, plans), Context(context.target))
            if _moved(after) >= before:
                break
            for plan in plans:
                for node in plan.recipes:
                    self.hit(context, node.op)
            graph = after
        return graph


def _moved(graph: Graph) -> float:
    """What the transposes of a graph cost."""
    return sum(cost(n.output) for n in graph.nodes if moves(n))


def _plans(graph: Graph) -> list[Plan]:
    users, producers = graph.users(), graph.producers()
    budget = LOOKS * len(graph.nodes)
    taken: set[Node] = set()
    tried: set[tuple[Node, str]] = set()
    plans: list[Plan] = []
    for node, side, value, order in _starts(graph):
        if node in taken or (node, side) in tried or budget <= 0:
            continue
        region = Region(graph, users, producers, taken, budget=budget)
        region.grow(value, order)
        budget -= region.looked
        tried.add((node, side))
        for other in region.nodes:
            if other.op == "transpose":
                for which, end in (("in", other.inputs[0]), ("out", other.output)):
                    if end in region.views and in_order(region.views[end]):
                        tried.add((other, which))
        plan = region.plan()
        if plan is not None:
            plans.append(plan)
            taken.update(plan.recipes)
    return plans


def _starts(graph: Graph) -> Iterator[tuple[Node, str, Value, Sequence[int]]]:
    """Values to start from, and the order of their dims: first those behind a transpose, in the
    order in front of it; then those in front of one, in the order behind it.
    """
    found = [n for n in graph.nodes if moves(n)]
    for node in found:
        perm = node.attrs["perm"]
        yield node, "in", node.output, [perm.index(d) for d in range(len(perm))]
    for node in found:
        yield node, "out", node.inputs[0], node.attrs["perm"]

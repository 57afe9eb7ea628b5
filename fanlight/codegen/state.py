"""Values that keep their place in memory between runs: weights that train, and optimizer slots.

To a graph they are inputs, and outputs that replace them. To a plan they are one place each: an
update is written where the old value lies, by the step that computes it if nobody reads the old
one any more, else by a copy at the end (docs/adr/0002).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fanlight.codegen.arena import align
from fanlight.graph import Graph, Node, Value
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType


@dataclass(frozen=True)
class State:
    """Where values that are kept lie.

    Attributes:
        places: name of an input of the graph -> its address.
        updates: name of an output of the graph -> the input that it replaces.
        end: the address behind all of them.
    """

    places: Mapping[str, int]
    updates: Mapping[str, str]
    end: int

    def values(self, graph: Graph) -> dict[Value, int]:
        """The inputs of a graph that are kept, and their addresses."""
        return {v: self.places[v.name] for v in graph.inputs if v.name in self.places}

    def replaced(self, graph: Graph) -> dict[Value, list[Value]]:
        """Output of a graph -> the inputs that it replaces."""
        named = {v.name: v for v in graph.inputs}
        found: dict[Value, list[Value]] = {}
        for name, v in graph.outputs:
            if name in self.updates:
                found.setdefault(v, []).append(named[self.updates[name]])
        return found


NOTHING = State({}, {}, 0)


def lay_out(types: Mapping[str, TensorType], start: int) -> tuple[dict[str, int], int]:
    """An address for each value from `start` on, in their order, and the end."""
    places: dict[str, int] = {}
    for name, type in types.items():
        places[name] = start
        start += align(type.nbytes)
    return places, start


def in_order(graph: Graph, state: State) -> Graph:
    """The graph with updates after everything that reads what they replace, where that can be.

    Only nodes move that nobody needs: what they give is an update, and nothing else. They come as
    soon as they can, for what they read, gradients mostly, has to lie in memory until then.
    """
    replaced = state.replaced(graph)
    roots = {v: v for v in graph.values()}
    readers: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        if rows.lookup(node.op).wasm == "alias":
            roots[node.output] = roots[node.inputs[0]]
        for v in dict.fromkeys(roots[v] for v in node.inputs):
            readers.setdefault(v, []).append(node)
    read = {v for node in graph.nodes for v in node.inputs}
    makers = graph.producers()
    # Of those that move: how many have to come before, and who waits for whom.
    waiting: dict[Node, int] = {}
    followers: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if all(v in replaced and v not in read for v in node.outputs):
            olds = {old for v in node.outputs for old in replaced[v]}
            before = dict.fromkeys(r for old in olds for r in readers.get(old, ()) if r is not node)
            before.update(dict.fromkeys(makers[v] for v in node.inputs if v in makers))
            waiting[node] = len(before)
            for other in before:
                followers.setdefault(other, []).append(node)
    order: list[Node] = []

    def put(node: Node) -> None:
        order.append(node)
        for follower in followers.get(node, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                put(follower)

    free = {node for node, count in waiting.items() if not count}
    for node in graph.nodes:
        if node not in waiting or node in free:
            put(node)
    # Circles of updates that read what others replace: some have to be copied in any case.
    order += [node for node in graph.nodes if waiting.get(node)]
    return graph if tuple(order) == graph.nodes else replace(graph, nodes=tuple(order))


def settle(
    graph: Graph,
    nodes: Sequence[Node],
    roots: Mapping[Value, Value],
    state: State,
) -> tuple[dict[Value, int], list[tuple[str, Value]]]:
    """Where the updates can be computed into the place of what they replace.

    Args:
        nodes: those with kernels, in order.
        roots: value -> the value whose memory it is.

    Returns:
        (root -> address, outputs that have to be copied into place at the end, with their values).
    """
    kept = state.values(graph)
    last: dict[Value, int] = {}
    first: dict[Value, int] = {}
    for index, node in enumerate(nodes):
        for v in node.inputs:
            last[roots[v]] = index
        for v in node.outputs:
            first.setdefault(roots[v], index)
    fixed = dict(kept)
    copies: list[tuple[str, Value]] = []
    named = {v.name: v for v in kept}
    others = {roots[v] for name, v in graph.outputs if name not in state.updates}
    for name, v in graph.outputs:
        if name not in state.updates:
            continue
        old, root = named[state.updates[name]], roots[v]
        if root is old:  # computed in place
            continue
        free = root not in fixed and root in first and root not in others
        if free and root not in graph.inputs and last.get(old, -1) < first[root]:
            fixed[root] = kept[old]
        else:
            copies.append((name, v))
    return fixed, copies


def with_copies(graph: Graph, outputs: Sequence[tuple[str, Value]]) -> tuple[Graph, list[Node]]:
    """The graph with copies of some outputs in their stead, which are its last nodes."""
    nodes: list[Node] = []
    copied: dict[str, Value] = {}
    for name, v in outputs:
        full, (type,) = rows.infer("fused", [v.type], {"body": "a0"})
        copied[name] = Value(f"{v.name}.kept{len(nodes)}", type)
        nodes.append(Node("fused", (v,), (copied[name],), full, "copy"))
    ends = tuple((name, copied.get(name, v)) for name, v in graph.outputs)
    return replace(graph, nodes=(*graph.nodes, *nodes), outputs=ends), nodes

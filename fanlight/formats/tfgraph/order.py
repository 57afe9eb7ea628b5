"""Which nodes the outputs need, and in what order they can be imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from fanlight.errors import FanlightError
from fanlight.formats.tfgraph.nodes import GraphNode, Ref


def needed(
    nodes: Mapping[str, GraphNode],
    outputs: Iterable[str],
    stop: frozenset[str],
    where: object,
    controls: bool = False,
) -> dict[str, GraphNode]:
    """The nodes that the outputs depend on; what feeds a node in `stop` is not followed.

    With `controls` also the nodes that must run before these, as far as they exist.

    Raises:
        FanlightError: E-FORMAT-016 if a node takes its input from one that does not exist.
    """
    found: dict[str, GraphNode] = {}
    waiting = [(name, f"outputs of {where}") for name in outputs]
    while waiting:
        name, user = waiting.pop()
        if name in found:
            continue
        node = nodes.get(name)
        if node is None:
            raise FanlightError(
                "E-FORMAT-016",
                f"the graph has no node {name[:120]!r}.",
                where=user,
                expected="the name of a node",
                received=name[:120],
                next="the model.json is incomplete: convert the model again.",
            )
        found[name] = node
        if name not in stop:
            waiting.extend((ref.node, node.where) for ref in node.inputs)
            if controls:
                waiting.extend((c, node.where) for c in node.controls if c in nodes)
    return found


def ordered(
    nodes: Mapping[str, GraphNode],
    stop: frozenset[str],
    feeding: Callable[[GraphNode], Sequence[Ref]] | None = None,
) -> list[GraphNode]:
    """The nodes, each after those that feed it; E-FORMAT-015 names a cycle if there is one.

    Args:
        feeding: the inputs of a node in the order in which they are wanted; any if left out.
    """
    order: list[GraphNode] = []
    done: set[str] = set()
    for root in nodes:
        # An explicit stack: models are deeper than Python's recursion.
        path: dict[str, None] = {}
        stack = [(root, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                del path[name]
                done.add(name)
                order.append(nodes[name])
                continue
            if name in done:
                continue
            if name in path:
                raise _cycle(nodes[name], list(path))
            path[name] = None
            stack.append((name, True))
            if name not in stop:
                refs = nodes[name].inputs if feeding is None else feeding(nodes[name])[::-1]
                stack.extend((ref.node, False) for ref in refs)
    return order


def _cycle(node: GraphNode, path: list[str]) -> FanlightError:
    loop = [*path[path.index(node.name) :], node.name]
    shown = loop if len(loop) <= 8 else [*loop[:4], "...", *loop[-3:]]
    return FanlightError(
        "E-FORMAT-015",
        "the graph is cyclic: a node feeds itself.",
        where=node.where,
        expected="nodes that can be computed one after the other",
        received=" <- ".join(shown),
        next="export the model without loops (unroll=True), or convert it again.",
    )

"""A part of a graph: from some of its values to others."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from fanlight.errors import FanlightError
from fanlight.graph import Graph, Value


def cut(
    graph: Graph,
    inputs: Sequence[str],
    outputs: Sequence[str],
    results: Mapping[str, str] | None = None,
) -> Graph:
    """The part that computes `outputs` from `inputs`.

    Args:
        results: what the source calls its nodes, layers and tensors -> the value of the graph that
            is their result: one node of the source may have become several of the graph.
        inputs: names of nodes (their first output) or values that become inputs; none: the inputs
            of the graph, as far as they are needed.
        outputs: names of nodes, values or outputs that become the outputs; none: all outputs.

    Raises:
        FanlightError: E-CONVERT-003 there is no such node, or what is wanted depends on an input
            that was not named.
    """
    values = _by_name(graph, results or {})
    starts = [_find(values, name, graph) for name in inputs]
    known = dict(graph.outputs)
    ends = {name: known.get(name) or _find(values, name, graph) for name in outputs} or known
    makers = graph.producers()
    needed: set[Value] = set()
    open_: list[Value] = [*ends.values()]
    while open_:
        value = open_.pop()
        if value in needed:
            continue
        needed.add(value)
        node = makers.get(value)
        if value not in starts and node is not None:
            open_ += node.inputs
    missing = [v.name for v in graph.inputs if v in needed and v not in starts]
    if starts and missing:
        raise FanlightError(
            "E-CONVERT-003",
            "what is to be cut out depends on inputs that are not named.",
            where=graph.name,
            expected=f"also {', '.join(missing)[:200]}",
            received=", ".join(inputs),
            next="name them as well, or start closer to the end.",
        )
    unused = [name for name, v in zip(inputs, starts, strict=True) if v not in needed]
    if unused:
        raise FanlightError(
            "E-CONVERT-003",
            "an input of the part has nothing to do with its outputs.",
            where=graph.name,
            expected=f"nodes in front of {', '.join(ends)[:200]}",
            received=", ".join(unused),
        )
    first = tuple(starts) or tuple(v for v in graph.inputs if v in needed)
    nodes = tuple(n for n in graph.nodes if any(v in needed and v not in starts for v in n.outputs))
    for node in nodes:
        if any(v in starts for v in node.outputs):  # and another one is needed
            raise FanlightError(
                "E-CONVERT-003",
                "one result of a node is given, and another one of it is needed.",
                where=f"{node.name} ({node.op})",
                expected="all results of a node as inputs, or none",
                received=", ".join(v.name for v in node.outputs if v in starts),
            )
    weights = {v: a for v, a in graph.weights.items() if v in needed}
    return Graph(graph.name, first, tuple(ends.items()), nodes, weights)


def _by_name(graph: Graph, results: Mapping[str, str]) -> dict[str, Value]:
    named = {value.name: value for value in graph.values()}
    found = dict(named)
    taken = {v.name for v in graph.inputs}
    for node in graph.nodes:
        # Of several nodes of one name the last makes what the source calls so.
        if node.name not in taken:
            found[node.name] = node.output
    return found | {name: named[value] for name, value in results.items() if value in named}


def _find(values: dict[str, Value], name: str, graph: Graph) -> Value:
    if name in values:
        return values[name]
    near = difflib.get_close_matches(name, values, n=3, cutoff=0.5)
    raise FanlightError(
        "E-CONVERT-003",
        f"the model has no node {name[:120]!r}.",
        where=graph.name,
        expected="the name of a node: fanlight inspect lists them",
        received=name[:120],
        next=f"did you mean {' or '.join(near)}?" if near else None,
    )

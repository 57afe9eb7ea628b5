"""A part of a graph: from some of its values to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fanlight.errors import FanlightError
from fanlight.formats.names import ending_in, near_names, output_names
from fanlight.graph import Graph, Value
from fanlight.graph.rewrite import with_names


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
            Of a long name with slashes its last parts do, where no other name ends in them.

    Raises:
        FanlightError: E-CONVERT-003 there is no such node, or what is wanted depends on an input
            that was not named.
    """
    values = _by_name(graph, results or {})
    own = list(places(graph, results or {}))
    starts = [_find(values, name, graph, own) for name in inputs]
    known = dict(graph.outputs)
    ends = {name: known.get(name) or _find(values, name, graph, own) for name in outputs} or known
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
            next="leave it out of the inputs, or name an output behind it.",
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
                next="name the other results as inputs, too, or begin behind the node.",
            )
    weights = {v: a for v, a in graph.weights.items() if v in needed}
    part = Graph(graph.name, first, tuple(ends.items()), nodes, weights)
    # What was asked for is the input's name, and not what the value is called in here.
    asked = zip(starts, output_names(inputs, ()), strict=True)
    return with_names(part, {v: n for v, n in asked if v not in graph.inputs})


def places(graph: Graph, results: Mapping[str, str]) -> dict[str, Value]:
    """Where a graph can be cut: its inputs, what the source calls its results (or, where that is
    not known, the nodes), and its outputs, each name once, in order.
    """
    inputs = {v.name: v for v in graph.inputs}
    told = _told(graph, results) or {node.name: node.output for node in graph.nodes}
    found = {**inputs, **told} | inputs | dict(graph.outputs)
    # "conv:0", which is found as "conv", is not told twice.
    return {n: v for n, v in found.items() if not (n.endswith(":0") and n[:-2] in found)}


def _told(graph: Graph, results: Mapping[str, str]) -> dict[str, Value]:
    """What the source calls its results, as far as they are in the graph."""
    named = {value.name: value for value in graph.values()}
    return {name: named[value] for name, value in results.items() if value in named}


def _by_name(graph: Graph, results: Mapping[str, str]) -> dict[str, Value]:
    named = {value.name: value for value in graph.values()}
    # Of several nodes of one name the last makes what the source calls so.
    nodes = {node.name: node.output for node in graph.nodes}
    inputs = {v.name: v for v in graph.inputs}
    return dict(graph.outputs) | named | nodes | _told(graph, results) | inputs


def _find(values: dict[str, Value], name: str, graph: Graph, own: Sequence[str]) -> Value:
    """The value of a name.

    Args:
        own: the names that people are told of.
    """
    for called in (name, name.removesuffix(":0")):  # TensorFlow's name of a node's first result
        if called in values:
            return values[called]
    ends = ending_in(name, own) or ending_in(name, (n.name for n in graph.nodes))
    if len({values[end] for end in ends}) == 1:
        return values[ends[0]]
    near = ends or near_names(name, own)
    step = max(1, len(own) // 8)
    some = near[:8] if ends else own[::step][:8]
    raise FanlightError(
        "E-CONVERT-003",
        f"several nodes of the model end in {name[:120]!r}."
        if ends
        else f"the model has no node {name[:120]!r}.",
        where=graph.name,
        expected=f"one of its {len(own)} places, such as {', '.join(some)}"[:800],
        received=name[:120],
        next=(f"did you mean {' or '.join(near[:3])}? " if near else "")
        + "fanlight inspect MODEL --names lists all.",
    )

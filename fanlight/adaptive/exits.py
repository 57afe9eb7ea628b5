"""A model with several answers on its way, cut into stages at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Value
from fanlight.graph.core import Node

CARRY = "carry"


@dataclass(frozen=True)
class Stage:
    """A part of a model: what it takes of the stages before, and what it gives.

    Attributes:
        graph: its first output is the answer of this exit; further ones are carried on.
        takes: names of its inputs; none of the first stage, which takes the model's own.
        gives: names of the outputs that later stages take.
    """

    graph: Graph
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def stages(graph: Graph, exits: Sequence[str]) -> list[Stage]:
    """Cut a graph at its exits: each stage computes what none before it has.

    Args:
        exits: names of outputs, from the earliest to the last.

    Raises:
        FanlightError: E-BUILD-003 there is no such output, they are not in order, or they do not
            give as many scores.
    """
    ends = dict(graph.outputs)
    unknown = [name for name in exits if name not in ends]
    if unknown or len(exits) < 2 or len(set(exits)) < len(exits):
        raise _misfit(graph, f"at least 2 of {', '.join(ends)}", ", ".join(map(str, exits)))
    sizes = {name: ends[name].type.size for name in exits}
    if len(set(sizes.values())) > 1:
        raise _misfit(graph, "as many scores at each exit", sizes)
    makers = graph.producers()
    known: dict[Value, int] = dict.fromkeys(graph.inputs, 0)
    nodes: list[list[Node]] = []
    for index, name in enumerate(exits):
        needed = _needed(graph, makers, ends[name], known)
        if not needed:
            raise _misfit(graph, "exits from the earliest to the last", f"{name} comes too late")
        nodes.append([n for n in graph.nodes if n in needed])
        known.update({v: index for n in nodes[-1] for v in n.outputs})
    later = _carried(graph, nodes, known)
    found = []
    for index, name in enumerate(exits):
        takes = [v for v in later if known[v] < index and _used(v, nodes[index])]
        gives = [v for v in later if known[v] == index]
        found.append(_stage(graph, nodes[index], index, ends[name], takes, gives, later))
    return found


def _needed(
    graph: Graph, makers: dict[Value, Node], end: Value, known: dict[Value, int]
) -> set[Node]:
    """The nodes behind a value that no stage has yet."""
    found: set[Node] = set()
    open_ = [end]
    while open_:
        value = open_.pop()
        node = makers.get(value)
        if value in known or node is None or node in found:
            continue
        found.add(node)
        open_ += node.inputs
    return found


def _used(value: Value, nodes: Sequence[Node]) -> bool:
    return any(value in node.inputs for node in nodes)


def _carried(
    graph: Graph, nodes: Sequence[Sequence[Node]], known: dict[Value, int]
) -> dict[Value, str]:
    """The values that a later stage takes -> what they are called on the way."""
    names: dict[Value, str] = {}
    for index, own in enumerate(nodes):
        for node in own:
            for value in node.inputs:
                if value not in graph.weights and known[value] < index and value not in names:
                    names[value] = f"{CARRY}{len(names)}"
    return names


def _stage(
    graph: Graph,
    nodes: Sequence[Node],
    index: int,
    end: Value,
    takes: Sequence[Value],
    gives: Sequence[Value],
    names: dict[Value, str],
) -> Stage:
    builder = Builder(graph.name)
    known: dict[Value, Value] = {}
    for value in takes if index else graph.inputs:
        called = names[value] if index else value.name
        known[value] = builder.input(called, value.shape, value.dtype)
    for value, array in graph.weights.items():
        if _used(value, nodes):
            known[value] = builder.weight(array, value.name, value.shape)
    for node in nodes:
        made: Any = builder.add(
            node.op, *(known[v] for v in node.inputs), name=node.name, **node.attrs
        )
        values = made if isinstance(made, tuple) else (made,)
        known.update(zip(node.outputs, values, strict=True))
    outputs = {"answer": known[end]} | {names[v]: known[v] for v in gives}
    return Stage(
        builder.finish(outputs), tuple(names[v] for v in takes), tuple(names[v] for v in gives)
    )


def _misfit(graph: Graph, expected: str, received: object) -> FanlightError:
    return FanlightError(
        "E-BUILD-003",
        "these are no early exits of the model.",
        where=f"exits, {graph.name}",
        expected=expected,
        received=str(received)[:200],
        next="name outputs of the model that give the same classes, the earliest first.",
    )

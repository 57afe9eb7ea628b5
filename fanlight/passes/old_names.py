"""Weights that take the place of others get their names."""

from __future__ import annotations

from dataclasses import replace

from fanlight.graph import Graph, Value


def with_old_names(old: Graph, new: Graph) -> Graph:
    """`new`, in which `conv/kernel_2` made of the `conv/kernel` of `old` is called `conv/kernel`,
    if nothing else is.
    """
    known = {v.name for v in old.weights}
    taken = {v.name for v in new.values()}
    renamed: dict[Value, Value] = {}
    for v in new.weights:
        if v in old.weights:
            continue
        name = v.name
        while name not in known and name.rpartition("_")[2].isdigit():
            name = name.rpartition("_")[0]
        if name in known and name not in taken:
            taken.add(name)
            renamed[v] = Value(name, v.type)
    if not renamed:
        return new
    nodes = tuple(
        replace(n, inputs=tuple(renamed.get(v, v) for v in n.inputs))
        if any(v in renamed for v in n.inputs)
        else n
        for n in new.nodes
    )
    weights = {renamed.get(v, v): a for v, a in new.weights.items()}
    outputs = tuple((name, renamed.get(v, v)) for name, v in new.outputs)
    return Graph(new.name, new.inputs, outputs, nodes, weights)

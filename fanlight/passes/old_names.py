"""Weights that take the place of others get their names."""

from __future__ import annotations

from fanlight.graph import Graph, Value
from fanlight.graph.rewrite import with_names


def with_old_names(old: Graph, new: Graph) -> Graph:
    """`new`, in which `conv/kernel_2` made of the `conv/kernel` of `old` is called `conv/kernel`,
    if nothing else is.
    """
    known = {v.name for v in old.weights}
    taken = {v.name for v in new.values()}
    names: dict[Value, str] = {}
    for v in new.weights:
        if v in old.weights:
            continue
        name = v.name
        while name not in known and name.rpartition("_")[2].isdigit():
            name = name.rpartition("_")[0]
        if name in known and name not in taken:
            taken.add(name)
            names[v] = name
    return with_names(new, names)

"""Ops that only print or check. Nothing here prints, so they compute nothing: they are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from fanlight.formats.tfgraph.nodes import GraphNode

# What gives its first input on, and what has no value.
PASSING = frozenset(
    "CheckNumerics CheckNumericsV2 DebugIdentity DebugIdentityV2 DebugIdentityV3 Print".split()
)
VOID = frozenset("Assert PrintV2".split())


def quiet(nodes: Mapping[str, GraphNode]) -> dict[str, GraphNode]:
    """The nodes without what printing ones are told to print, texts for the most part."""
    return {
        name: replace(n, inputs=n.inputs[:1]) if n.op in PASSING else n for name, n in nodes.items()
    }


def debug_ops(nodes: Iterable[GraphNode]) -> Counter[str]:
    """How many of each op there are that only print or check."""
    return Counter(n.op for n in nodes if n.op in PASSING or n.op in VOID)

"""The tensor graph: what formats and traces produce, passes rewrite, and code generators read."""

from __future__ import annotations

from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Node, Value
from fanlight.graph.evaluate import evaluate, evaluate_values
from fanlight.graph.subgraph import Subgraph, subgraphs
from fanlight.graph.text import parse, to_text
from fanlight.graph.verify import verify

__all__ = [
    "Builder",
    "Graph",
    "Node",
    "Subgraph",
    "Value",
    "evaluate",
    "evaluate_values",
    "parse",
    "subgraphs",
    "to_text",
    "verify",
]

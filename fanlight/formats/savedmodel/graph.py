"""A GraphDef of TensorFlow as the nodes that the reader of graph-models takes.

Handles of variables become their values: nothing assigns at inference, so `VarHandleOp` is a
constant, and `ReadVariableOp` hands it on, also into functions and loops.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fanlight.formats.savedmodel import protos
from fanlight.formats.savedmodel.protos import Json
from fanlight.formats.tfgraph.library import Function, read_library
from fanlight.formats.tfgraph.nodes import Attrs, GraphNode, parse_nodes
from fanlight.formats.tfgraph.order import needed

VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable", "AutoReloadVariable"})
# What an op does to a variable -> what it does to the variable's value.
_OF_VALUES = {
    "ReadVariableOp": "Identity",
    "RefIdentity": "Identity",
    "ResourceGather": "Gather",
    "ResourceGatherNd": "GatherNd",
}


@dataclass(frozen=True)
class Parts:
    """What the reader of graph-models takes of a GraphDef.

    Attributes:
        constants: the Const and variable nodes as parsed, by the `key` of their GraphNode.
    """

    nodes: dict[str, GraphNode]
    functions: dict[str, Function]
    constants: dict[str, Json]


def parts(graph: Json, outputs: Collection[str], stop: frozenset[str], where: object) -> Parts:
    """The nodes of a GraphDef that its outputs need, and their functions.

    Args:
        graph: as `protos.graph_def` makes it.
        outputs: names of nodes.
        stop: names of nodes that are inputs; they stay as they are.

    Raises:
        FanlightError: E-FORMAT-005 if one is malformed, E-FORMAT-016 if one is missing.
    """
    constants: dict[str, Json] = {}
    functions = {}
    top = {n["name"]: n for n in graph["node"]}
    own = needed(parse_nodes(graph, where), outputs, stop, where, controls=True)
    found = protos.library(graph, [top[n] for n in own if n not in stop])
    listed = {f["signature"]["name"]: f for f in found["function"]}
    for name, function in read_library({"library": found}, where).items():
        raw = {n["name"]: n for n in listed[name]["nodeDef"]}
        nodes = {n.name: _of_values(n, listed) for n in function.nodes.values()}
        for inner, node in nodes.items():
            if node.op == "Const":
                # Functions have constants of equal names.
                key = f"{name}//{inner}"
                constants[key] = raw[inner]
                nodes[inner] = replace(node, key=key)
        functions[name] = replace(function, nodes=nodes)
    nodes = {n.name: n if n.name in stop else _of_values(n, listed) for n in own.values()}
    for name, node in nodes.items():
        if node.op == "Const":
            constants[name] = top[name]
    return Parts(nodes, functions, constants)


def _of_values(node: GraphNode, functions: Mapping[str, Any]) -> GraphNode:
    if node.op in VARIABLES:
        return replace(node, op="Const")
    if node.op in functions:  # TensorFlow 1 calls a function by an op of its name
        attrs = Attrs({"f": {"func": {"name": node.op}}}, node.where)
        return replace(node, op="PartitionedCall", attrs=attrs)
    op = _OF_VALUES.get(node.op)
    return node if op is None else replace(node, op=op)

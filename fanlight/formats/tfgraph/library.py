"""The functions of a GraphDef's library, and calls written out in place.

A reader of another form of GraphDef makes `Function`s of its own and uses `inlined` as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import expect, field
from fanlight.formats.tfgraph.nodes import Attrs, GraphNode, Ref, parse_nodes, parse_ref

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
MAX_NODES = 1 << 17
_MAX_DEPTH = 64
_MOST_IDENTITIES = 256  # one behind another

# Ops with several named outputs. Inside functions an input says "node:name:number", and the number
# counts within that name; ops with one name (a list, too) need no entry.
_OUTPUTS = {
    "BroadcastGradientArgs": ("r0", "r1"),
    "FusedBatchNorm": ("y", "batch_mean", "batch_variance"),
    "FusedBatchNormV2": ("y", "batch_mean", "batch_variance"),
    "FusedBatchNormV3": ("y", "batch_mean", "batch_variance"),
    "ListDiff": ("out", "idx"),
    "LogMatrixDeterminant": ("sign", "log_abs_determinant"),
    "LookupTableExportV2": ("keys", "values"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    "Merge": ("output", "value_index"),
    "NonMaxSuppressionV4": ("selected_indices", "valid_outputs"),
    "NonMaxSuppressionV5": ("selected_indices", "selected_scores", "valid_outputs"),
    "CombinedNonMaxSuppression": (
        "nmsed_boxes", "nmsed_scores", "nmsed_classes", "valid_detections"
    ),
    "Qr": ("q", "r"),
    "RaggedRange": ("rt_nested_splits", "rt_dense_values"),
    "SelfAdjointEigV2": ("e", "v"),
    "SparseFillEmptyRows": (
        "output_indices", "output_values", "empty_row_indicator", "reverse_index_map"
    ),
    "SparseReshape": ("output_indices", "output_shape"),
    "StringNGrams": ("ngrams", "ngrams_splits"),
    "StringSplit": ("indices", "values", "shape"),
    "StringSplitV2": ("indices", "values", "shape"),
    "Svd": ("s", "u", "v"),
    "Switch": ("output_false", "output_true"),
    "TensorArrayConcatV3": ("value", "lengths"),
    "TensorArrayV3": ("handle", "flow"),
    "TensorListConcat": ("tensor", "lengths"),
    "TensorListConcatV2": ("tensor", "lengths"),
    "TensorListPopBack": ("output_handle", "tensor"),
    "TopK": ("values", "indices"),
    "TopKV2": ("values", "indices"),
    "Unique": ("y", "idx"),
    "UniqueV2": ("y", "idx"),
    "UniqueWithCounts": ("y", "idx", "count"),
}  # fmt: skip


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        arguments: their names. Nodes take argument "x" by Ref("x", 0), as if it were a node.
        nodes: by name.
        returns: what it gives, in order: outputs of nodes, or arguments.
    """

    name: str
    arguments: tuple[str, ...]
    nodes: Mapping[str, GraphNode]
    returns: tuple[Ref, ...]

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each argument; of one that is there twice the first."""
        return {name: at for at, name in [*enumerate(self.arguments)][::-1]}


def function_ref(text: str, ops: Mapping[str, str]) -> Ref:
    """An input as written inside a function: "argument", "node:output name:number".

    Args:
        ops: op by node name, for the ops whose outputs have several names.
    """
    ref = parse_ref(text)
    parts = text.split(":")
    if len(parts) == 3 and parts[1] in _OUTPUTS.get(ops.get(parts[0], ""), ()):
        return Ref(parts[0], _OUTPUTS[ops[parts[0]]].index(parts[1]) + ref.index)
    return ref


def read_library(topology: Mapping[str, Any], where: object) -> dict[str, Function]:
    """The functions of a GraphDef as JSON, by name; E-FORMAT-005 if one is malformed."""
    raw = expect(topology.get("library") or {}, dict, '"library"', where)
    functions: dict[str, Function] = {}
    for index, entry in enumerate(expect(raw.get("function") or [], list, '"function"', where)):
        signature = field(entry, "signature", dict, f"function {index} of {where}")
        name = field(signature, "name", str, f"function {index} of {where}")
        here = f"function {name[:120]!r} of {where}"
        listed = expect(entry.get("nodeDef") or [], list, '"nodeDef"', here)
        parsed = parse_nodes({"node": listed}, here)
        ops = {n.name: n.op for n in parsed.values()}
        nodes = {
            n.name: replace(
                n,
                inputs=tuple(function_ref(i, ops) for i in raw["input"] if not i.startswith("^"))
                if raw.get("input")
                else (),
            )
            for n, raw in zip(parsed.values(), listed, strict=True)
        }
        returned = expect(entry.get("ret") or {}, dict, '"ret"', here)
        functions[name] = Function(
            name,
            _names(signature.get("inputArg"), here),
            nodes,
            tuple(
                function_ref(field(returned, n, str, here), ops)
                for n in _names(signature.get("outputArg"), here)
            ),
        )
    return functions


def _names(raw: Any, where: object) -> tuple[str, ...]:
    listed = expect(raw or [], list, "arguments", where)
    return tuple(field(a, "name", str, where) for a in listed)


def called(node: GraphNode, attr: str, functions: Mapping[str, Function]) -> Function:
    """The function that a node names; E-FORMAT-016 if the library has none of that name."""
    name = node.attrs.function(attr)
    if name not in functions:
        raise FanlightError(
            "E-FORMAT-016",
            f"the graph has no function {name[:120]!r}.",
            where=node.where,
            expected=f"one of {len(functions)} functions of the library",
            received=name[:120],
            next="the file is incomplete: convert the model again.",
        )
    return functions[name]


def inlined(
    nodes: Mapping[str, GraphNode], functions: Mapping[str, Function]
) -> dict[str, GraphNode]:
    """The nodes with each call of a function replaced by the function's nodes.

    Node "n" of a function that the node "call" calls is named "call/n" (where that is taken,
    "call/_/n"), and its `key` stays "n"; "call" becomes an
    IdentityN of what is returned, and an argument an Identity of what is given. Names of other
    nodes stay.

    Raises:
        FanlightError: E-FORMAT-016 no such function, E-FORMAT-005 arguments that do not fit,
            E-FORMAT-015 a function that calls itself, E-FORMAT-023 too many nodes.
    """
    made: dict[str, GraphNode] = {}
    waiting: list[tuple[str, Mapping[str, GraphNode], tuple[str, ...]]] = [("", nodes, ())]
    while waiting:
        prefix, own, chain = waiting.pop()
        for node in own.values():
            inner = _within(node, prefix)
            if node.op not in CALLS:
                _put(made, inner)
                continue
            function = called(node, "f", functions)
            if len(function.arguments) != len(node.inputs):
                raise unfit(inner, function)
            if function.name in chain or len(chain) >= _MAX_DEPTH:
                raise FanlightError(
                    "E-FORMAT-015",
                    "a function calls itself.",
                    where=node.where,
                    expected="functions that can be written out in place",
                    received=" -> ".join([*chain[-4:], function.name])[:200],
                )
            below = f"{inner.name}/"
            while any(below + n in nodes or below + n in made for n in function.nodes):
                below += "_/"
            for argument, given in zip(function.arguments, inner.inputs, strict=True):
                _put(made, identity(f"{below}{argument}", inner, given))
            returns = tuple(Ref(below + r.node, r.index) for r in function.returns)
            _put(made, replace(inner, op="IdentityN", inputs=returns))
            waiting.append((below, function.nodes, (*chain, function.name)))
    return made


def identity(name: str, like: GraphNode, *given: Ref) -> GraphNode:
    """A node that hands on what it is given."""
    return GraphNode(name, "IdentityN", given, Attrs({}, like.where), like.where, like.controls)


def identity_of(ref: Ref, nodes: Mapping[str, GraphNode]) -> Ref:
    """What a value is, without the identities around it, of which there are not many."""
    for _ in range(_MOST_IDENTITIES):
        node = nodes.get(ref.node)
        if node is None or node.op not in ("Identity", "IdentityN") or not node.inputs:
            break
        ref = node.inputs[min(ref.index, len(node.inputs) - 1)]
    return ref


def unfit(node: GraphNode, function: Function) -> FanlightError:
    """E-FORMAT-005: a call with more or fewer arguments than the function has."""
    return FanlightError(
        "E-FORMAT-005",
        f"{node.op} gives its function other arguments than it has.",
        where=node.where,
        expected=f"{len(function.arguments)} for {function.name[:80]}",
        received=len(node.inputs),
    )


def _within(node: GraphNode, prefix: str) -> GraphNode:
    if not prefix:
        return node
    return replace(
        node,
        name=prefix + node.name,
        inputs=tuple(Ref(prefix + r.node, r.index) for r in node.inputs),
        controls=tuple(prefix + c for c in node.controls),
        key=node.key or node.name,
    )


def _put(made: dict[str, GraphNode], node: GraphNode) -> None:
    if node.name in made:
        raise FanlightError(
            "E-FORMAT-005",
            "two nodes have one name once the functions are written out.",
            where=node.where,
            expected="every node under a name of its own",
            received=node.name[:120],
        )
    if len(made) >= MAX_NODES:
        raise FanlightError(
            "E-FORMAT-023",
            "the functions of the graph make too many nodes.",
            where=node.where,
            expected=f"at most {MAX_NODES:,}",
            received="more",
            next="functions that call functions grow fast: export a part of the model.",
        )
    made[node.name] = node

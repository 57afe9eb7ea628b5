"""Inputs and outputs of a graph-model, with the names that its users know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import expect, field
from fanlight.formats.tfgraph.nodes import GraphNode, Ref, parse_ref, shape_dims

# Ops without a value: never outputs, though nobody consumes them.
_VOID = frozenset({"NoOp", "Const", "Assert", "PrintV2"})


@dataclass(frozen=True)
class Entry:
    """One input or output: its public name, the tensor behind it, and TensorFlow's dtype."""

    name: str
    ref: Ref
    dims: tuple[int | None, ...] | None = None
    dtype: object = None


@dataclass(frozen=True)
class Signature:
    inputs: tuple[Entry, ...]
    outputs: tuple[Entry, ...]


def read_signature(
    model: Mapping[str, Any], nodes: Mapping[str, GraphNode], where: object
) -> Signature:
    """The signature in the file; without one, placeholders and nodes that nobody consumes.

    Raises:
        FanlightError: E-FORMAT-005 malformed, E-FORMAT-016 if there are no outputs at all.
    """
    metadata = model.get("userDefinedMetadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    # Converters 1.x kept the signature in the user metadata; TF.js lets it override, too.
    raw = metadata.get("signature") or model.get("signature")
    if raw is None or not expect(raw, dict, '"signature"', where).get("outputs"):
        inputs = [_placeholder(n) for n in nodes.values() if n.op == "Placeholder"]
        return Signature(tuple(inputs), _unconsumed(nodes, where))
    inputs = _entries(raw.get("inputs") or {}, where)
    outputs = _entries(raw["outputs"], where)
    keys = metadata.get("structuredOutputKeys")
    if isinstance(keys, list) and len(keys) == len(outputs):
        names = [expect(k, str, '"structuredOutputKeys"', where) for k in keys]
        outputs = [
            Entry(name, e.ref, e.dims, e.dtype) for name, e in zip(names, outputs, strict=True)
        ]
    known = {e.ref.node for e in inputs}
    # A signature may leave out placeholders that the outputs need; the reader adds those it meets.
    hidden = [
        _placeholder(n) for n in nodes.values() if n.op == "Placeholder" and n.name not in known
    ]
    return Signature((*_unique(inputs), *hidden), tuple(_unique(outputs)))


def _entries(raw: Any, where: object) -> list[Entry]:
    entries = []
    for key, info in expect(raw, dict, '"signature"', where).items():
        here = f"signature {key!r} in {where}"
        dtype = expect(info, dict, "an entry", here).get("dtype")
        entries.append(
            Entry(
                re.sub(r":0$", "", key),
                parse_ref(info["name"] if isinstance(info.get("name"), str) else key),
                shape_dims(info.get("tensorShape"), here),
                None if dtype in (0, "DT_INVALID") else dtype,
            )
        )
    return entries


def _unique(entries: list[Entry]) -> list[Entry]:
    names = [e.name for e in entries]
    return [
        e if names.count(e.name) == 1 else Entry(f"{e.name}_{i}", e.ref, e.dims, e.dtype)
        for i, e in enumerate(entries)
    ]


def _placeholder(node: GraphNode) -> Entry:
    return Entry(node.name, Ref(node.name), node.attrs.dims("shape"))


def _unconsumed(nodes: Mapping[str, GraphNode], where: object) -> tuple[Entry, ...]:
    consumed = {ref.node for node in nodes.values() for ref in node.inputs}
    found = [
        Entry(n.name, Ref(n.name))
        for n in nodes.values()
        if n.name not in consumed and n.op not in _VOID and not n.op.startswith("Placeholder")
    ]
    if not found:
        raise FanlightError(
            "E-FORMAT-015" if nodes else "E-FORMAT-005",
            "no node of the graph is an output: each feeds another."
            if nodes
            else "the graph has no nodes.",
            where=where,
            expected="a signature, or a node that nobody consumes",
            received=f"{len(nodes)} nodes",
        )
    return tuple(found)


def topology(model: Mapping[str, Any], where: object) -> Any:
    """The GraphDef of a model.json."""
    return field(model, "modelTopology", dict, where)

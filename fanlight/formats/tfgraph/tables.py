"""Importers of tables. One from whole numbers to numbers is a search in the graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import dtype_of
from fanlight.formats.jsonfile import expect
from fanlight.formats.manifest import Skipped
from fanlight.formats.tfgraph.call import Call, importer
from fanlight.formats.tfgraph.nodes import GraphNode, parse_nodes, parse_ref
from fanlight.formats.tfgraph.text import MOST, TAKE_TEXT, OnHost, Table, Text, array_of, text
from fanlight.graph import Value

# What makes a table; what fills it is given to the reader.
MAKES = frozenset("HashTable HashTableV2 MutableHashTable MutableHashTableV2".split())
FILLS = frozenset("LookupTableImport LookupTableImportV2 InitializeTable InitializeTableV2".split())
TAKE_TEXT.update(
    {*FILLS, "LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2"}
)


def tables_of(
    model: Mapping[str, Any], stored: Mapping[str, np.ndarray | Skipped], path: object
) -> dict[str, Table]:
    """The tables that a model's initializer fills, by the name of the placeholder or node.

    Raises:
        FanlightError: E-FORMAT-005 an initializer that is malformed; E-FORMAT-012 keys and values
            that do not fit.
    """
    raw = model.get("modelInitializer")
    if not raw:
        return {}
    nodes = parse_nodes(raw, path)
    tables: dict[str, Table] = {}
    for node in nodes.values():
        if node.op in FILLS and len(node.inputs) == 3:
            name = _root(node.inputs[0].node, nodes)
            keys, values = (_known(_root(r.node, nodes), stored, node) for r in node.inputs[1:])
            tables[name] = table(keys, values, name, node.where)
    signature = expect(
        model.get("initializerSignature") or {}, dict, '"initializerSignature"', path
    )
    by_id: dict[Any, Table] = {}
    for entry in _entries(signature, "outputs", path):
        made = tables.get(_root(parse_ref(str(entry.get("name"))).node, nodes))
        if made is not None and isinstance(entry.get("resourceId"), int | str):
            by_id[entry["resourceId"]] = made
    main = model.get("signature")
    for entry in _entries(main if isinstance(main, dict) else {}, "inputs", path):
        number = entry.get("resourceId")
        made = by_id.get(number) if isinstance(number, int | str) else None
        if made is not None:
            tables[parse_ref(str(entry.get("name"))).node] = made
    return tables


def _entries(signature: Mapping[str, Any], key: str, path: object) -> list[Mapping[str, Any]]:
    found = expect(signature.get(key) or {}, dict, f'"{key}"', path)
    return [expect(e, dict, "an entry", path) for e in found.values()]


def _root(name: str, nodes: Mapping[str, GraphNode]) -> str:
    """The node behind identities."""
    for _ in range(len(nodes)):
        node = nodes.get(name)
        if node is None or node.op != "Identity" or not node.inputs:
            break
        name = node.inputs[0].node
    return name


def _known(name: str, stored: Mapping[str, Any], node: GraphNode) -> np.ndarray:
    found = stored.get(name)
    array = found.texts if isinstance(found, Skipped) else found
    if array is None:
        raise FanlightError(
            "E-FORMAT-011",
            "keys or values of a table are not in the weights manifest.",
            where=node.where,
            expected=f"a weight named {name!r}",
            received=f"{len(stored)} others",
            next="download model.json and its weights again.",
        )
    return np.asarray(array)


def table(keys: np.ndarray, values: np.ndarray, name: str, where: object) -> Table:
    """A table of keys and values; E-FORMAT-012 if they do not fit."""
    keys, values = keys.reshape(-1), values.reshape(-1)
    once = keys.size <= MOST and len(set(keys.tolist())) == keys.size
    if keys.size != values.size or keys.dtype.kind not in "iO" or not once:
        raise FanlightError(
            "E-FORMAT-012",
            "a table's keys and values do not fit.",
            where=where,
            expected=f"up to {MOST:,} keys, strings or whole numbers, each once, and their values",
            received=f"{keys.size:,} keys ({keys.dtype}), {values.size:,} values",
        )
    return Table(keys, values, name)


def _table(call: Call) -> Table:
    found: Any = call.x(0)
    if not isinstance(found, Table):
        raise call.refuse("there is no table", expected="a table that an initializer fills")
    if found.missing and not getattr(call.scope, "trying", False):
        raise FanlightError(
            "E-FORMAT-012",
            f"the model looks up words in a table that its files do not fill, {found.name!r}.",
            where=call.where,
            expected="an initializer, assets or variables (old converters left them out)",
            received="a table without words",
            next=f"give the words by their numbers: fl.load(path, tables={{{found.name!r}: "
            "layer.get_vocabulary()}), or a dict; or fanlight convert --table "
            f"{found.name}=words.txt, a word in each line.",
        )
    return found


@importer(*sorted(MAKES))
def make_table(call: Call) -> Any:
    return unfilled(call.node.name, call.warnings)


def unfilled(name: str, warnings: list[str]) -> Table:
    """A table without words, and a warning."""
    warnings.append(
        f"nothing in the files fills the table {name!r}. Before the model takes texts, give it its "
        f"words: fl.load(path, tables={{{name!r}: words}}), or fanlight convert --table "
        f"{name}=words.txt."
    )
    return Table(np.empty(0, object), np.empty(0, np.int32), name, missing=True)


@importer(*sorted(FILLS))
def fill_table(call: Call) -> Any:
    """The table with other keys and values, which must be known."""
    keys, values = (array_of(call, i, "keys and values") for i in (1, 2))
    return table(keys, values, call.node.name, call.where)


def _filled_with(call: Call, default: np.ndarray, shape: tuple[int, ...]) -> Any:
    if default.dtype.kind == "O":
        return text(default.tolist() * math.prod(shape), shape, call.where)
    return np.full(shape, default[0], default.dtype)


@importer("LookupTableSize", "LookupTableSizeV2")
def table_size(call: Call) -> Any:
    return np.asarray(_table(call).keys.size, np.int32)


@importer("LookupTableFind", "LookupTableFindV2")
def table_find(call: Call) -> Any:
    """The values of keys, or a default where there is no such key."""
    keys = call.x(1)
    if isinstance(keys, Text | np.ndarray):
        made = _table(call)
        default = array_of(call, 2, "the default").reshape(-1)
        if default.size == 1 and made.missing:  # only as an example
            return _filled_with(call, default, keys.shape)
        if default.size != 1 or (default.dtype.kind == "O") != (made.values.dtype.kind == "O"):
            raise call.refuse("the default is no value", received=f"{default.size} {default.dtype}")
        array, entries = array_of(call, 1, "the keys"), made.entries
        other = default.tolist()[0]
        found = [entries.get(k, other) for k in array.reshape(-1).tolist()]
        if made.values.dtype.kind == "O":
            return text(found, array.shape, call.where)
        return np.array(found, made.values.dtype).reshape(array.shape)
    given: Any = call.x(0)
    if isinstance(given, Table) and given.of_texts and isinstance(keys, Value):
        if given.missing and not isinstance(call.x(2), Text):
            _table(call)  # numbers for numbers, which the graph would look up: it is asked for
        raise OnHost
    made = _table(call)
    if made.of_texts:
        raise call.refuse("these are no keys", expected="strings", received=repr(keys)[:80])
    order = np.argsort(made.keys, kind="stable")
    sorted_keys = np.ascontiguousarray(made.keys[order].astype(np.int32))
    values = np.ascontiguousarray(made.values[order])
    default_ = call.em.cast(call.x(2), dtype_of(values), f"{call.node.name}/default")
    if not sorted_keys.size:
        return call.op("broadcast_to", default_, shape=tuple(keys.shape))
    size = int(np.prod(keys.shape))
    row = call.em.cast(keys, "int32", f"{call.node.name}/keys")
    row = call.em.reshape(row, (1, size), f"{call.node.name}/keys")
    at = call.op("search_sorted", sorted_keys[None], row, right=False, part="at")
    at = call.op("minimum", at, np.asarray(sorted_keys.size - 1, np.int32), part="place")
    at = call.em.reshape(at, (size,), f"{call.node.name}/place")
    there = call.op("gather", sorted_keys, at, axis=0, part="key")
    flat = call.em.reshape(row, (size,), f"{call.node.name}/row")
    known = call.op("equal", there, flat, part="known")
    chosen = call.op("gather", values, at, axis=0, part="value")
    result = call.op("select", known, chosen, default_, part="found")
    return call.em.reshape(result, tuple(keys.shape), call.node.name)

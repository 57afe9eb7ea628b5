"""Importers of strings and of tables. A compiled graph has no strings: they are worked out here.

What is made of known strings alone is known (`Text`). A table from whole numbers to numbers becomes
a search in the graph. Strings that a model is given are refused; see `refused_input`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.jsonfile import expect
from fanlight.formats.manifest import Skipped
from fanlight.formats.tfgraph.call import Call, importer
from fanlight.formats.tfgraph.nodes import GraphNode, parse_nodes, parse_ref
from fanlight.tensor import string
from fanlight.tensor.core import tensor

_MOST = 1 << 20  # strings, and keys of a table
_LONGEST = 1 << 16  # characters that an expression is sought in
# One character, a class, or a place, and how often. Without groups and with few repeats, the time
# to seek an expression is a low power of the length of what it is sought in.
_ATOM = re.compile(
    r"(?:\\[dDwWsSbB]|\\[^A-Za-z0-9]|\[\^?\]?(?:[^\]\\]|\\.)*\]|[^\\\[\]()|*+?{}])"
    r"(?P<often>[*+?]|\{\d{1,3}(?:,\d{1,3})?\})?\??",
    re.DOTALL,
)
TAKE_TEXT = frozenset(
    "Identity Snapshot StopGradient Equal NotEqual Shape Size Rank Reshape ExpandDims Squeeze "
    "StaticRegexReplace StringLower StringUpper StringJoin StringSplit StringSplitV2 StringNGrams "
    "StringToHashBucketFast StringToHashBucketStrong HashTable HashTableV2 LookupTableFind "
    "LookupTableFindV2 LookupTableSize LookupTableSizeV2 LookupTableImport LookupTableImportV2 "
    "InitializeTable InitializeTableV2".split()
)


@dataclass(frozen=True)
class Text:
    """Known strings: an array of Python's."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)


@dataclass(frozen=True)
class Table:
    """Keys [n] and their values [n]; keys or values may be strings."""

    keys: np.ndarray
    values: np.ndarray
    name: str


def concerns(x: Any) -> bool:
    """Whether a result is known strings or a table."""
    return isinstance(x, Text | Table)


def text_of(skipped: Skipped) -> Text | None:
    """The strings of a weight."""
    return None if skipped.texts is None else Text(skipped.texts)


def refused_input(name: str, where: object) -> FanlightError:
    """E-FORMAT-012 about an input of strings."""
    return FanlightError(
        "E-FORMAT-012",
        f"the input {name!r} is of strings, and a compiled graph has none.",
        where=where,
        expected="numbers: what a table gives for words, or a hash of them",
        received="DT_STRING",
        next="cut the model behind its look-up of words, and do that part in Python.",
    )


# --- tables ---------------------------------------------------------------------------------------


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
        kind = node.op.removesuffix("V2")
        if kind in ("LookupTableImport", "InitializeTable") and len(node.inputs) == 3:
            name = _root(node.inputs[0].node, nodes)
            keys, values = (_known(_root(r.node, nodes), stored, node) for r in node.inputs[1:])
            tables[name] = table(keys, values, name, node.where)
    signature = expect(
        model.get("initializerSignature") or {}, dict, '"initializerSignature"', path
    )
    by_id: dict[Any, Table] = {}
    for entry in _entries(signature, "outputs", path):
        made = tables.get(_root(parse_ref(str(entry.get("name"))).node, nodes))
        if made is not None and entry.get("resourceId") is not None:
            by_id[entry["resourceId"]] = made
    main = model.get("signature")
    for entry in _entries(main if isinstance(main, dict) else {}, "inputs", path):
        made = by_id.get(entry.get("resourceId"))
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
    once = len(set(keys.tolist())) == keys.size
    if keys.size != values.size or keys.dtype.kind not in "iO" or keys.size > _MOST or not once:
        raise FanlightError(
            "E-FORMAT-012",
            "a table's keys and values do not fit.",
            where=where,
            expected=f"up to {_MOST:,} keys, strings or whole numbers, each once, and their values",
            received=f"{keys.size:,} keys ({keys.dtype}), {values.size:,} values",
        )
    return Table(keys, values, name)


def _table(call: Call) -> Table:
    found: Any = call.x(0)
    if not isinstance(found, Table):
        raise call.refuse("there is no table", expected="a table that an initializer fills")
    return found


@importer("HashTable", "HashTableV2")
def hash_table(call: Call) -> Any:
    raise call.refuse(
        "nothing fills this table",
        expected="an initializer in model.json (modelInitializer) that fills it",
        received=call.node.name,
    )


@importer("LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2")
def fill_table(call: Call) -> Any:
    """The table with other keys and values, which must be known."""
    keys, values = (_array(call, i, "keys and values") for i in (1, 2))
    return table(keys, values, call.node.name, call.where)


@importer("LookupTableSize", "LookupTableSizeV2")
def table_size(call: Call) -> Any:
    return np.asarray(_table(call).keys.size, np.int32)


@importer("LookupTableFind", "LookupTableFindV2")
def table_find(call: Call) -> Any:
    """The values of keys, or a default where there is no such key."""
    made, keys = _table(call), call.x(1)
    if isinstance(keys, Text | np.ndarray):
        default = _array(call, 2, "the default").reshape(-1)[0]
        entries = dict(zip(made.keys.tolist(), made.values.tolist(), strict=True))
        array = _array(call, 1, "the keys")
        found = [entries.get(k, default) for k in array.reshape(-1).tolist()]
        kind = made.values.dtype
        result = np.array(found, kind).reshape(array.shape)
        return Text(result) if kind.kind == "O" else result
    if "O" in (made.keys.dtype.kind, made.values.dtype.kind):
        raise call.refuse("keys or values that are strings", expected="whole numbers in the graph")
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


# --- strings --------------------------------------------------------------------------------------


def _array(call: Call, index: int, what: str) -> np.ndarray:
    """Input `index` as known strings or numbers."""
    x: Any = call.x(index)
    return x.array if isinstance(x, Text) else call.known(index, what)


def _texts(call: Call, index: int = 0) -> np.ndarray:
    x: Any = call.x(index)
    if not isinstance(x, Text):
        raise call.refuse("numbers came", expected="known strings", received=repr(x)[:80])
    return x.array


def _given(array: np.ndarray) -> Any:
    return tensor(array, "string")


def _made(x: Any) -> Text:
    return Text(np.asarray(x.numpy(), object))


@importer("StringLower", "StringUpper")
def change_case(call: Call) -> Any:
    change = string.lower if call.node.op == "StringLower" else string.upper
    return _made(change(_given(_texts(call))))


@importer("StringJoin")
def join(call: Call) -> Any:
    parts = [_given(_texts(call, i)) for i in range(len(call.inputs))]
    return _made(string.join(parts, call.attrs.text("separator")))


@importer("StaticRegexReplace")
def regex_replace(call: Call) -> Any:
    pattern, rewrite = call.attrs.text("pattern"), call.attrs.text("rewrite")
    safe_pattern(call, pattern)
    texts = _texts(call)
    if sum(map(len, texts.reshape(-1).tolist())) > _LONGEST:
        raise call.refuse("the strings are too long", expected=f"{_LONGEST:,} characters")
    every = call.attrs.flag("replace_global", True)
    return _made(string.static_regex_replace(_given(texts), pattern, rewrite, every))


def safe_pattern(call: Call, pattern: str) -> None:
    """E-FORMAT-012 unless an expression is sought in little time, whatever it is sought in."""
    at, open_ = 0, 0
    while at < len(pattern):
        atom = _ATOM.match(pattern, at)
        if atom is None:
            break
        open_ += (atom["often"] or "")[:1] in ("*", "+", "{")
        at = atom.end()
    if at < len(pattern) or open_ > 2 or len(pattern) > 300:
        raise call.refuse(
            "the expression is not one that is sought here",
            expected="characters and classes, at most two of them repeated; no groups, no |",
            received=pattern[:80],
        )


@importer("StringSplit", "StringSplitV2")
def split(call: Call) -> Any:
    """Parts of strings as a sparse matrix: where they are, the parts, and its shape."""
    texts, mark = _texts(call), str(_texts(call, 1).reshape(-1)[0])
    second = call.node.op == "StringSplitV2"
    if second and call.attrs.whole("maxsplit", -1) >= 0:
        raise call.refuse("a greatest number of parts", expected="maxsplit -1")
    if not second:
        skip = call.attrs.flag("skip_empty", True)
        at, parts, shape = string.split(_given(texts), mark, skip)
        return [np.asarray(at.numpy()), _made(parts), np.asarray(shape.numpy())]
    rows = [t.split(mark) if mark else t.split() for t in texts.reshape(-1).tolist()]
    places = [(r, c) for r, row in enumerate(rows) for c in range(len(row))]
    words = np.empty(len(places), object)
    words[:] = [w for row in rows for w in row]
    shape_ = np.array([len(rows), max(map(len, rows), default=0)], np.int32)
    return [np.array(places, np.int32).reshape(-1, 2), Text(words), shape_]


@importer("StringNGrams")
def n_grams(call: Call) -> Any:
    attrs = call.attrs
    data, splits = string.n_grams(
        _given(_texts(call)),
        call.known(1, "where rows begin").astype(np.int32),
        attrs.text("separator"),
        list(attrs.ints("ngram_widths")),
        attrs.text("left_pad"),
        attrs.text("right_pad"),
        attrs.whole("pad_width", 0),
        attrs.flag("preserve_short_sequences"),
    )
    return [_made(data), np.asarray(splits.numpy())]


@importer("StringToHashBucketFast")
def hash_bucket(call: Call) -> Any:
    buckets = call.attrs.whole("num_buckets", 1)
    return np.asarray(string.to_hash_bucket_fast(_given(_texts(call)), buckets).numpy())


_OF_ARRAYS: dict[str, Callable[[Call, np.ndarray], Any]] = {
    "Equal": lambda call, a: np.asarray(a == _array(call, 1, "the other"), bool),
    "NotEqual": lambda call, a: np.asarray(a != _array(call, 1, "the other"), bool),
    "Shape": lambda call, a: np.array(a.shape, np.int32),
    "Size": lambda call, a: np.asarray(a.size, np.int32),
    "Rank": lambda call, a: np.asarray(a.ndim, np.int32),
    "ExpandDims": lambda call, a: Text(np.expand_dims(a, call.axis(1, a.ndim + 1))),
    "Squeeze": lambda call, a: Text(a.squeeze()),
}


def handle(call: Call, handler: Callable[[Call], Any]) -> Any:
    """The results of a node that has known strings or tables among its inputs."""
    op = call.node.op
    if op not in TAKE_TEXT:
        raise call.refuse(
            "it does not take strings",
            expected="known strings in ops of strings: " + ", ".join(sorted(TAKE_TEXT)[:8]),
            received="strings or a table",
        )
    x: Any = call.x(0)
    if op in _OF_ARRAYS:
        return _OF_ARRAYS[op](call, _array(call, 0, "the strings"))
    if op == "Reshape":
        wanted = call.ints(1, "the shape")
        try:
            return Text(_texts(call).reshape(wanted))
        except ValueError:
            raise call.refuse("the sizes do not fit", received=(x.shape, wanted)) from None
    return handler(call)


Result = Tensor | Text | Table

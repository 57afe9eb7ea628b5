"""Checks JSON against the part of JSON Schema (2020-12) that manifest.schema.json is written in.

One difference: 4.0 is no integer, for an address must be an int.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Keywords that say something to people alone.
_SILENT = frozenset(("$schema", "$id", "$defs", "title", "description"))
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}


@dataclass(frozen=True)
class Fault:
    """The first place where a value is not as its schema says.

    Attributes:
        path: keys and indices from the top.
        expected: what the schema says there.
        received: the value there.
    """

    path: tuple[str | int, ...]
    expected: Any
    received: Any


def fault(value: Any, schema: Mapping[str, Any]) -> Fault | None:
    """The first fault of a value; None if it follows its schema."""
    return next(_faults(value, schema, schema, ()), None)


def _faults(
    value: Any, schema: Any, root: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    if isinstance(schema, bool):
        if not schema:
            yield Fault(path, "nothing", value)
        return
    for keyword, wanted in schema.items():
        if keyword in _INSIDE:
            yield from _INSIDE[keyword](value, schema, root, path)
        elif keyword in _PLAIN:
            if not _PLAIN[keyword](value, wanted):
                yield Fault(path, wanted, value)
        elif keyword not in _SILENT:
            raise ValueError(f"manifest.schema.json uses {keyword}, which is not checked")


def _same(a: Any, b: Any) -> bool:
    """Equality of JSON: true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


_PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "type": lambda v, t: any(_TYPES[n](v) for n in (t if isinstance(t, list) else [t])),
    "const": _same,
    "enum": lambda v, many: any(_same(v, one) for one in many),
    "required": lambda v, names: not isinstance(v, dict) or all(n in v for n in names),
    "minimum": lambda v, least: not _TYPES["number"](v) or v >= least,
    "maximum": lambda v, most: not _TYPES["number"](v) or v <= most,
    "minLength": lambda v, least: not isinstance(v, str) or len(v) >= least,
    "maxLength": lambda v, most: not isinstance(v, str) or len(v) <= most,
    "pattern": lambda v, text: not isinstance(v, str) or re.search(text, v) is not None,
    "minItems": lambda v, least: not isinstance(v, list) or len(v) >= least,
    "maxItems": lambda v, most: not isinstance(v, list) or len(v) <= most,
}


def _properties(value: Any, schema: Any, root: Any, path: Any) -> Iterator[Fault]:
    if isinstance(value, dict):
        for name, inner in schema["properties"].items():
            if name in value:
                yield from _faults(value[name], inner, root, (*path, name))


def _additional(value: Any, schema: Any, root: Any, path: Any) -> Iterator[Fault]:
    known = schema.get("properties", {})
    wanted = schema["additionalProperties"]
    if isinstance(value, dict):
        for name, item in value.items():
            if name in known:
                continue
            if wanted is False:
                yield Fault(path, f"no key {name!r}", value)
            else:
                yield from _faults(item, wanted, root, (*path, name))


def _names(value: Any, schema: Any, root: Any, path: Any) -> Iterator[Fault]:
    if isinstance(value, dict):
        for name in value:
            yield from _faults(name, schema["propertyNames"], root, path)


def _items(value: Any, schema: Any, root: Any, path: Any) -> Iterator[Fault]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, schema["items"], root, (*path, index))


def _one_of(value: Any, schema: Any, root: Any, path: Any) -> Iterator[Fault]:
    ways = [next(_faults(value, way, root, path), None) for way in schema["oneOf"]]
    if ways.count(None) != 1:
        yield Fault(path, schema["oneOf"], value)


def _reference(value: Any, schema: Any, root: Any, path: Any) -> Iterator[Fault]:
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    yield from _faults(value, found, root, path)


_INSIDE: dict[str, Callable[[Any, Any, Any, Any], Iterator[Fault]]] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "oneOf": _one_of,
    "$ref": _reference,
}

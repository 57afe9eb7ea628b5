"""GraphDef as JSON, in both encodings found in the wild, as typed nodes.

Converters before 2019 wrote enums as numbers and strings as lists of character codes
(protobuf.js); later ones write names and base64 (protobuf's MessageToDict).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fanlight.errors import FanlightError
from fanlight.formats.jsonfile import expect, field

_TYPE_NUMBERS = {
    1: "DT_FLOAT", 2: "DT_DOUBLE", 3: "DT_INT32", 4: "DT_UINT8", 5: "DT_INT16", 6: "DT_INT8",
    7: "DT_STRING", 8: "DT_COMPLEX64", 9: "DT_INT64", 10: "DT_BOOL", 14: "DT_BFLOAT16",
    17: "DT_UINT16", 18: "DT_COMPLEX128", 19: "DT_HALF", 20: "DT_RESOURCE", 21: "DT_VARIANT",
    22: "DT_UINT32", 23: "DT_UINT64",
}  # fmt: skip
# TensorFlow dtype -> dtype in the graph; browsers compute in 32 bits, as TF.js does.
_DTYPES = {
    "DT_FLOAT": "float32", "DT_DOUBLE": "float32", "DT_HALF": "float32", "DT_BFLOAT16": "float32",
    "DT_INT32": "int32", "DT_INT64": "int32", "DT_INT16": "int32", "DT_INT8": "int32",
    "DT_UINT8": "int32", "DT_UINT16": "int32", "DT_UINT32": "int32", "DT_BOOL": "bool",
}  # fmt: skip


class Ref(NamedTuple):
    """Output `index` of the node `node`."""

    node: str
    index: int = 0  # type: ignore[assignment]  # in place of tuple.index: it is quickly hashed


class Attrs:
    """The attributes of a node. A missing one gives the default, a wrong one E-FORMAT-005."""

    def __init__(self, raw: Any, where: str) -> None:
        self._raw: Mapping[str, Any] = expect(raw, dict, '"attr"', where)
        self._where = where

    def _get(self, name: str, kind: str) -> Any:
        entry = self._raw.get(name)
        return None if entry is None else expect(entry, dict, f"attr {name}", self._where).get(kind)

    def whole(self, name: str, default: int) -> int:
        value = self._get(name, "i")
        return default if value is None else _int(value, name, self._where)

    def real(self, name: str, default: float) -> float:
        value = self._get(name, "f")
        if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
        return default if value is None else expect(value, float, f"attr {name}", self._where)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._get(name, "b")
        return default if value is None else bool(value)

    def text(self, name: str, default: str = "") -> str:
        value = self._get(name, "s")
        return default if value is None else _text(value, name, self._where)

    def dtype(self, name: str, default: str | None = None) -> str:
        """A dtype of the graph; E-FORMAT-012 for strings, complex numbers and resources."""
        value = self._get(name, "type")
        if value is None and default is not None:
            return default
        return graph_dtype(value, f"attr {name} of {self._where}")

    def raw_type(self, name: str) -> object:
        """A dtype as it is written: its name or its number."""
        return self._get(name, "type")

    def is_string(self, name: str) -> bool:
        """Whether a dtype is that of strings."""
        return self.raw_type(name) in ("DT_STRING", 7)

    def is_complex(self, name: str) -> bool:
        """Whether a dtype is one of complex numbers."""
        return self.raw_type(name) in ("DT_COMPLEX64", 8, "DT_COMPLEX128", 18)

    def is_resource(self, name: str) -> bool:
        """Whether a dtype is that of resources (variables, tables)."""
        return self.raw_type(name) in ("DT_RESOURCE", 20)

    def dims(self, name: str) -> tuple[int | None, ...] | None:
        """A shape with None for free dims; None if the rank is unknown."""
        return shape_dims(self._get(name, "shape"), self._where)

    def _list(self, name: str, kind: str) -> list[Any]:
        value = self._get(name, "list")
        items = (
            None if value is None else expect(value, dict, f"attr {name}", self._where).get(kind)
        )
        return [] if items is None else expect(items, list, f"attr {name}", self._where)

    def ints(self, name: str) -> tuple[int, ...]:
        return tuple(_int(v, name, self._where) for v in self._list(name, "i"))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(_text(v, name, self._where) for v in self._list(name, "s"))

    def function(self, name: str) -> str:
        """The name of a function of the library; E-FORMAT-005 if there is none."""
        return field(self._get(name, "func"), "name", str, f"attr {name} of {self._where}")


def raw_attr(value: Any) -> dict[str, Any]:
    """An attribute as a GraphDef in JSON writes it."""
    if isinstance(value, bool):
        return {"b": value}
    if isinstance(value, int):
        return {"i": value}
    if isinstance(value, float):
        return {"f": value}
    if isinstance(value, str):
        return {"s": list(value.encode())}
    return {"list": {"i": [int(v) for v in value]}}


@dataclass(frozen=True)
class GraphNode:
    """One node of a GraphDef.

    Attributes:
        controls: the nodes that must run first. Nothing here has side effects, so they only tell
            which branch of a condition a node without inputs is in.
        key: the name of its constant in the weights, where that is not the node's.
    """

    name: str
    op: str
    inputs: tuple[Ref, ...]
    attrs: Attrs
    where: str
    controls: tuple[str, ...] = ()
    key: str = ""


def parse_nodes(topology: Any, where: object) -> dict[str, GraphNode]:
    """The nodes of a GraphDef by name; E-FORMAT-005 if one is malformed or named twice."""
    nodes: dict[str, GraphNode] = {}
    for index, entry in enumerate(field(topology, "node", list, where)):
        name = field(entry, "name", str, f"node {index} in {where}")
        here = f"node {name!r} in {where}"
        inputs = [
            expect(i, str, "an input", here)
            for i in expect(entry.get("input") or [], list, '"input"', here)
        ]
        node = GraphNode(
            name,
            field(entry, "op", str, here),
            tuple(parse_ref(i) for i in inputs if not i.startswith("^")),
            Attrs(entry.get("attr") or {}, here),
            here,
            tuple(i[1:] for i in inputs if i.startswith("^")),
        )
        if name in nodes:
            raise FanlightError(
                "E-FORMAT-005",
                "two nodes have one name.",
                where=here,
                expected="every node under a name of its own",
                received=name[:120],
            )
        nodes[name] = node
    return nodes


def parse_ref(text: str) -> Ref:
    """ "n" -> n, 0; "n:1" -> n, 1; "n:name:1" (inside functions) -> n, 1."""
    head, _, tail = text.rpartition(":")
    if head and tail.isascii() and tail.isdigit() and len(tail) < 6:
        return Ref(head.split(":")[0], int(tail))
    return Ref(text)


def graph_dtype(value: Any, where: str) -> str:
    """The graph's dtype of a TensorFlow dtype, given by name or number."""
    name = _TYPE_NUMBERS.get(value % 100, str(value)) if _is_int(value) else value
    dtype = _DTYPES.get(name) if isinstance(name, str) else None
    if dtype is None:
        raise FanlightError(
            "E-FORMAT-012",
            "tensors of this dtype are not supported.",
            where=where,
            expected=", ".join(_DTYPES),
            received=repr(name)[:80],
        )
    return dtype


def shape_dims(raw: Any, where: object) -> tuple[int | None, ...] | None:
    """A TensorShapeProto with None for free dims; None if there is none or its rank is open."""
    if raw is None:
        return None
    if expect(raw, dict, "a shape", where).get("unknownRank"):
        return None
    found: list[int | None] = []
    for d in expect(raw.get("dim") or [], list, '"dim"', where):
        # proto3 leaves out a size of zero, and an empty batch is never what is meant.
        size = _int(expect(d, dict, "a dim", where).get("size", 0), "size", where)
        found.append(size if 0 < size < 1 << 40 else None)
    return tuple(found)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _int(value: Any, name: str, where: object) -> int:
    """int64 is written as a string, as a number, or as {low, high, unsigned}."""
    if isinstance(value, str) and len(value) < 24:
        try:
            return int(value)
        except ValueError:
            pass
    if isinstance(value, dict) and _is_int(value.get("low")) and _is_int(value.get("high")):
        return (value["high"] << 32) | (value["low"] & 0xFFFFFFFF)
    return expect(value, int, name, where)


def _text(value: Any, name: str, where: object) -> str:
    if isinstance(value, list) and all(_is_int(c) and 0 <= c < 256 for c in value):
        return bytes(value).decode("latin-1")
    try:
        return base64.b64decode(expect(value, str, name, where), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise FanlightError(
            "E-FORMAT-005",
            f"attr {name} is not a string of a graph-model.",
            where=where,
            expected="base64, or a list of character codes",
            received=repr(value)[:80],
        ) from None

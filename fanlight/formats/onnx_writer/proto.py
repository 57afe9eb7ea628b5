"""Messages of ONNX as bytes, by the numbers of its fields (onnx/onnx.proto).

A message is a list of pieces, so that the bytes of weights are never copied together; those of a
weight are its array until they are written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops.types import Dim

Pieces = list[Any]  # bytes and arrays
TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def whole(number: int, value: int) -> Pieces:
    return [varint(number << 3) + varint(value)]


def real(number: int, value: float) -> Pieces:
    return [varint(number << 3 | 5) + struct.pack("<f", value)]


def size(pieces: Iterable[Any]) -> int:
    return sum(p.nbytes if isinstance(p, np.ndarray) else len(p) for p in pieces)


def message(number: int, pieces: Pieces) -> Pieces:
    return [varint(number << 3 | 2) + varint(size(pieces)), *pieces]


def text(number: int, value: str) -> Pieces:
    return message(number, [value.encode()])


def packed(number: int, values: Sequence[int]) -> Pieces:
    return message(number, [b"".join(varint(int(v)) for v in values)]) if len(values) else []


def entry(number: int, key: str, value: str) -> Pieces:
    """A StringStringEntryProto."""
    return message(number, text(1, key) + text(2, value))


def tensor(name: str, array: np.ndarray, external: tuple[str, int] | None = None) -> Pieces:
    """A TensorProto; `external` is the file of its bytes and where in it they begin."""
    array = np.asarray(array)
    head = packed(1, array.shape) + whole(2, TYPES[str(array.dtype)]) + text(8, name)
    if external is not None:
        told = {"location": external[0], "offset": external[1], "length": array.nbytes}
        for key, value in told.items():
            head += entry(13, key, str(value))
        return head + whole(14, 1)
    return head + message(9, [array])


def raw(array: np.ndarray) -> memoryview | bytes:
    """The bytes of an array, little-endian and row-major."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view("u1").data if little.size else b""


def written(pieces: Pieces) -> Iterator[bytes | memoryview]:
    """The bytes of a message, those of one weight after the other."""
    return (raw(p) if isinstance(p, np.ndarray) else p for p in pieces)


def value_info(name: str, dtype: str, shape: Sequence[int | Dim]) -> Pieces:
    """A ValueInfoProto; symbols have their names."""
    dims: Pieces = []
    for d in shape:
        if isinstance(d, Dim):
            label = d.name if d.times == 1 else f"{d.times}*{d.name}"
            dims += message(1, text(2, label))
        else:
            dims += message(1, whole(1, d))
    kind = whole(1, TYPES[dtype]) + message(2, dims)
    return text(1, name) + message(2, message(1, kind))


def attribute(name: str, value: Any) -> Pieces:
    """An AttributeProto of a whole number, a real one, a text, a list of whole numbers or a graph
    (a Graph of pieces).
    """
    head = text(1, name)
    if isinstance(value, GraphPieces):
        return head + message(6, value.pieces) + whole(20, 5)
    if isinstance(value, bool | int | np.integer):
        return head + whole(3, int(value)) + whole(20, 2)
    if isinstance(value, float):
        return head + real(2, value) + whole(20, 1)
    if isinstance(value, str):
        return head + text(4, value) + whole(20, 3)
    return head + packed(8, [int(v) for v in value]) + whole(20, 7)


def node(
    op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, attrs: Mapping[str, Any]
) -> Pieces:
    """A NodeProto."""
    made: Pieces = []
    for i in inputs:
        made += text(1, i)
    for o in outputs:
        made += text(2, o)
    made += text(3, name) + text(4, op)
    for key, value in attrs.items():
        made += message(5, attribute(key, value))
    return made


class GraphPieces:
    """A GraphProto."""

    def __init__(
        self,
        name: str,
        nodes: Iterable[Pieces],
        inputs: Iterable[Pieces],
        outputs: Iterable[Pieces],
        initializers: Iterable[Pieces] = (),
    ) -> None:
        self.pieces: Pieces = []
        for n in nodes:
            self.pieces += message(1, n)
        self.pieces += text(2, name)
        for number, many in ((5, initializers), (11, inputs), (12, outputs)):
            for one in many:
                self.pieces += message(number, one)


def model(
    graph: GraphPieces, opset: int, producer: tuple[str, str], told: Mapping[str, str]
) -> Pieces:
    """A ModelProto."""
    ir = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10}[opset]
    made = whole(1, ir) + text(2, producer[0]) + text(3, producer[1])
    made += message(7, graph.pieces)
    made += message(8, text(1, "") + whole(2, opset))
    for key, value in told.items():
        made += entry(14, key, value)
    return made

"""The messages of an ONNX file, decoded as far as they are asked for.

Source: onnx/onnx.proto (IR version 3 to 13). Field numbers stand where they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.wire import Message

# AttributeProto.type -> (field, how it is read)
_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS = range(1, 9)
_TENSORS, _GRAPHS, _SPARSE = 9, 10, 11
_FIELDS = {2: _FLOAT, 3: _INT, 4: _STRING, 5: _TENSOR, 6: _GRAPH, 7: _FLOATS, 8: _INTS,
           9: _STRINGS, 10: _TENSORS, 11: _GRAPHS, 22: _SPARSE}  # fmt: skip
# What a file may hold, of all kinds of things that become objects here. The least node that means
# something takes 16 bytes, so a small file makes few.
MAX_THINGS = 2_000_000
_THING_BYTES = 16
_FEW = 10_000
MAX_DIMS = 32
_PORTS = 1 << 16  # inputs, outputs or attributes of one node


@dataclass(frozen=True)
class Reference:
    """An attribute of a node in a function that stands for one of the function's call."""

    name: str


@dataclass(frozen=True)
class SparseTensor:
    message: Message


def domain(name: str) -> str:
    """The domain of ops; that of ONNX itself has two names."""
    return "" if name == "ai.onnx" else name


class Node:
    """One node: `op` is its op_type, with the domain in front where that is not ai.onnx.

    Attributes:
        overload: which of several functions of the model with this name it calls; mostly "".
    """

    __slots__ = ("_attributes", "domain", "inputs", "name", "op", "outputs", "overload", "path")

    def __init__(self, message: Message, path: str, index: int) -> None:
        for number in (1, 2, 5):
            if len(message.fields.get(number, ())) > _PORTS:
                raise _too_many(path, f"inputs, outputs or attributes of node {index}", _PORTS)
        self._attributes = message.fields.get(5)
        self.inputs = message.texts(1)
        self.outputs = message.texts(2)
        kind = message.text(4)
        self.domain = domain(message.text(7))
        self.op = f"{self.domain}.{kind}" if self.domain else kind
        self.overload = message.text(8)
        outputs = [name for name in self.outputs if name]
        self.name = message.text(3) or (outputs[0] if outputs else f"{kind}_{index}")
        self.path = path

    @property
    def where(self) -> str:
        return f"node {self.name[:120]!r} of {self.path}"

    def attributes(self) -> dict[str, Any]:
        """Numbers, texts, lists of them, Messages of tensors, Graphs, References."""
        return {a.text(1): _value(a, self.path) for a in self._messages()}

    def _messages(self) -> Iterator[Message]:
        return (Message(data, self.path) for data in self._attributes or ())

    def graphs(self) -> list[Graph]:
        """The graphs among its attributes."""
        if not any(6 in a.fields or 11 in a.fields for a in self._messages()):
            return []
        found: list[Graph] = []
        for value in self.attributes().values():
            found += value if isinstance(value, list) else [value]
        return [g for g in found if isinstance(g, Graph)]


def _too_many(where: str, what: str, most: int) -> FanlightError:
    return FanlightError(
        "E-FORMAT-004",
        f"the file has too many {what}.",
        where=where,
        expected=f"at most {most:,} for its size",
        received="more",
    )


def within(message: Message, numbers: Sequence[int], path: str, what: str) -> None:
    """E-FORMAT-004 if fields of a message are more things than its bytes can mean."""
    most = min(MAX_THINGS, _FEW + message.size // _THING_BYTES)
    if sum(len(message.fields.get(n, ())) for n in numbers) > most:
        raise _too_many(path, what, most)


def attributes(message: Message, number: int, path: str) -> dict[str, Any]:
    """The attributes in a field of a node or a function."""
    return {a.text(1): _value(a, path) for a in message.messages(number)}


def _value(a: Message, path: str) -> Any:
    reference = a.text(21)
    if reference:
        return Reference(reference)
    # Files of IR version 1 leave the type out: then it is the field that is there.
    kind = a.uint(20) or next((k for field, k in _FIELDS.items() if field in a.fields), 0)
    where = f"attribute {a.text(1)[:80]!r} of {path}"
    if kind == _FLOAT:
        return a.real(2)
    if kind == _INT:
        return a.whole(3)
    if kind == _STRING:
        return a.text(4)
    if kind == _TENSOR:
        return a.message(5, where)
    if kind == _GRAPH:
        graph = a.message(6, where)
        return None if graph is None else Graph(graph, path)
    if kind == _FLOATS:
        return [float(v) for v in a.floats(7)]
    if kind == _INTS:
        return a.ints(8)
    if kind == _STRINGS:
        return a.texts(9)
    within(a, (10, 11), path, "tensors and graphs of an attribute")
    if kind == _TENSORS:
        return list(a.messages(10, where))
    if kind == _GRAPHS:
        return [Graph(g, path) for g in a.messages(11, where)]
    if kind == _SPARSE:
        sparse = a.message(22, where)
        return None if sparse is None else SparseTensor(sparse)
    return None


@dataclass(frozen=True)
class Declared:
    """An input or output as the file declares it.

    Attributes:
        kind: element type (kinds.py); 0 if it is not a tensor or not said.
        dims: sizes, None where free; None if the rank is not said.
        params: name -> places of the free dims that have a name.
        container: "", or what it is instead of a tensor: "sequence", "optional", ...
    """

    name: str
    kind: int
    dims: tuple[int | None, ...] | None
    params: tuple[str | None, ...] = ()
    container: str = ""


def declared(message: Message) -> Declared:
    """A ValueInfoProto."""
    name = message.text(1)
    type_ = message.message(2)
    if type_ is None:
        return Declared(name, 0, None)
    tensor = type_.message(1)
    if tensor is None:
        other = {4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional"}
        found = next((what for n, what in other.items() if n in type_.fields), "")
        return Declared(name, 0, None, container=found)
    shape = tensor.message(2)
    if shape is not None and len(shape.fields.get(1, ())) > MAX_DIMS:
        raise _too_many(message.where, f"dims of {name[:80]!r}", MAX_DIMS)
    if shape is None:
        return Declared(name, tensor.uint(1), None)
    dims: list[int | None] = []
    params: list[str | None] = []
    for dim in shape.messages(1):
        size = dim.whole(1, -1)
        dims.append(size if size >= 0 else None)
        params.append(dim.text(2) or None)
    return Declared(name, tensor.uint(1), tuple(dims), tuple(params))


class Graph:
    """A GraphProto: of the model, of a branch or of a body."""

    def __init__(self, message: Message, path: str) -> None:
        self.path = path
        self.name = message.text(2)
        within(message, (1, 5, 11, 12, 15), path, "nodes, initializers, inputs and outputs")
        self.nodes = [Node(m, path, i) for i, m in enumerate(message.messages(1, path))]
        self.initializers: dict[str, Message | SparseTensor] = {
            m.text(8): m for m in message.messages(5, f"an initializer of {path}")
        }
        for sparse in message.messages(15, f"a sparse initializer of {path}"):
            values = sparse.message(1)
            if values is not None:
                self.initializers[values.text(8)] = SparseTensor(sparse)
        self.inputs = [declared(m) for m in message.messages(11)]
        self.outputs = [declared(m) for m in message.messages(12)]


@dataclass(frozen=True)
class Function:
    """A FunctionProto; functions of one `op` differ in their `overload`."""

    op: str
    overload: str
    inputs: list[str]
    outputs: list[str]
    nodes: list[Node]
    defaults: Mapping[str, Any]
    opsets: Mapping[str, int]


def function(message: Message, path: str) -> Function:
    within(message, (4, 5, 6, 7, 9, 11), path, "nodes of a function")
    name, own = message.text(1), domain(message.text(10))
    return Function(
        f"{own}.{name}" if own else name,
        message.text(13),
        message.texts(4),
        message.texts(5),
        [Node(m, path, i) for i, m in enumerate(message.messages(7, path))],
        attributes(message, 11, path),
        opsets(message, 9),
    )


def opsets(message: Message, number: int) -> dict[str, int]:
    """Domain -> version."""
    return {domain(m.text(1)): m.whole(2) for m in message.messages(number)}


def model(message: Message) -> tuple[Message | None, dict[str, int], dict[str, Any]]:
    """The graph of a ModelProto, its opsets, and what it says about itself."""
    within(message, (8, 14, 25), message.where, "versions, properties and functions")
    about: dict[str, Any] = {"ir_version": message.whole(1)}
    for key, number in (("producer", 2), ("producer_version", 3), ("description", 6)):
        if message.text(number):
            about[key] = message.text(number)[:2000]
    props = {m.text(1): m.text(2) for m in message.messages(14)}
    if props:
        about["metadata"] = props
    return message.message(7), opsets(message, 8), about

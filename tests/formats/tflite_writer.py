"""Small .tflite files for tests, by the flatbuffers package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np

from fanlight.formats.tflite.schema import OPERATORS, OPTIONS, OPTIONS_2, TYPES

SLOTS = {"bool": "Bool", "i8": "Int8", "u8": "Uint8", "i32": "Int32", "u32": "Uint32",
         "i64": "Int64", "f32": "Float32", "u64": "Uint64"}  # fmt: skip
ARRAYS = {"i32": np.int32, "i64": np.int64, "f32": np.float32, "u8": np.uint8, "bool": np.bool_}


@dataclass
class Tensor:
    """A tensor: a constant if it has data; scale and zero point put it on a grid."""

    shape: tuple[int, ...]
    type: str = "float32"
    data: np.ndarray | None = None
    scale: Any = None
    zero: Any = 0
    axis: int = 0
    variable: bool = False
    name: str = ""
    free: tuple[int, ...] = ()  # the shape with -1 for what is open


def constant(array: Any, **more: Any) -> Tensor:
    array = np.asarray(array)
    return Tensor(array.shape, array.dtype.name, array, **more)


@dataclass
class Op:
    """An operator by the numbers of its tensors; `options` is the number of their table."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    options: int = 0
    given: dict[str, Any] = field(default_factory=dict)
    custom: bytes = b""
    second: bool = False  # whether its options are in the second union


@dataclass
class Graph:
    tensors: list[Tensor]
    inputs: list[int]
    outputs: list[int]
    ops: list[Op]


class _Writer:
    def __init__(self) -> None:
        self.b = flatbuffers.Builder(1024)

    def table(self, fields: dict[int, tuple[str, Any]]) -> int:
        self.b.StartObject(max(fields, default=-1) + 1)
        for number, (kind, value) in fields.items():
            if kind == "offset":
                self.b.PrependUOffsetTRelativeSlot(number, value, 0)
            else:
                getattr(self.b, f"Prepend{SLOTS[kind]}Slot")(number, value, None)
        return int(self.b.EndObject())

    def vector(self, offsets: list[int]) -> int:
        self.b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return int(self.b.EndVector())

    def array(self, values: Any, dtype: Any = np.int32) -> int:
        array = np.asarray(values, dtype).reshape(-1)
        return int(self.b.CreateNumpyVector(array))

    def options(self, op: Op) -> int:
        fields: dict[int, tuple[str, Any]] = {}
        schema = (OPTIONS_2 if op.second else OPTIONS).get(op.options, {})
        for name, value in op.given.items():
            kind, number, _ = schema[name]
            if kind == "text":
                fields[number] = ("offset", self.b.CreateString(value))
            elif kind.startswith("["):
                fields[number] = ("offset", self.array(value, ARRAYS[kind[1:-1]]))
            else:
                fields[number] = (kind, value)
        return self.table(fields)

    def tensor(self, t: Tensor, index: int, buffer: int) -> int:
        fields: dict[int, tuple[str, Any]] = {
            0: ("offset", self.array(t.shape)),
            1: ("i8", TYPES.index(t.type)),
            2: ("u32", buffer),
            3: ("offset", self.b.CreateString(t.name or f"t{index}")),
        }
        if t.scale is not None:
            scale = self.array(t.scale, np.float32)
            zero = self.array(np.broadcast_to(t.zero, np.size(t.scale)), np.int64)
            grid = {2: ("offset", scale), 3: ("offset", zero), 6: ("i32", t.axis)}
            fields[4] = ("offset", self.table(grid))
        if t.variable:
            fields[5] = ("bool", True)
        if t.free:
            fields[7] = ("offset", self.array(t.free))
        return self.table(fields)

    def graph(self, g: Graph, buffers: list[bytes], kinds: list[str]) -> int:
        tensors = []
        for index, t in enumerate(g.tensors):
            buffer = 0
            if t.data is not None:
                buffers.append(np.ascontiguousarray(t.data).tobytes())
                buffer = len(buffers) - 1
            tensors.append(self.tensor(t, index, buffer))
        ops = []
        for op in g.ops:
            if op.kind not in kinds:
                kinds.append(op.kind)
            fields: dict[int, tuple[str, Any]] = {
                0: ("u32", kinds.index(op.kind)),
                1: ("offset", self.array(op.inputs)),
                2: ("offset", self.array(op.outputs)),
            }
            if op.options:
                at = 11 if op.second else 3
                fields[at + 1] = ("offset", self.options(op))
                fields[at] = ("u8", op.options)
            if op.custom:
                fields[5] = ("offset", self.array(np.frombuffer(op.custom, np.uint8), np.uint8))
            ops.append(self.table(fields))
        parts = [self.vector(tensors), self.array(g.inputs), self.array(g.outputs)]
        parts.append(self.vector(ops))
        return self.table({i: ("offset", p) for i, p in enumerate(parts)})


def about(labels: str) -> bytes:
    """Metadata: what the model says of itself, of an input's range and of its file of labels."""
    w = _Writer()

    def text(value: str) -> tuple[str, int]:
        return ("offset", w.b.CreateString(value))

    def listed(*tables: int) -> tuple[str, int]:
        return ("offset", w.vector(list(tables)))

    def floats(*values: float) -> tuple[str, int]:
        return ("offset", w.array(values, np.float32))

    options = w.table({0: floats(127.5), 1: floats(127.5)})
    unit = w.table({0: ("u8", 1), 1: ("offset", options)})
    image = w.table({0: text("image"), 4: listed(unit)})
    file = w.table({0: text(labels), 2: ("i8", 2)})
    scores = w.table({0: text("scores"), 6: listed(file)})
    graph = w.table({2: listed(image), 3: listed(scores)})
    w.b.Finish(w.table({0: text("net"), 2: text("v1"), 3: listed(graph)}), b"M001")
    return bytes(w.b.Output())


def write(*graphs: Graph, metadata: bytes = b"") -> bytes:
    """The bytes of a file; the first graph is the main one."""
    w = _Writer()
    buffers: list[bytes] = [b"", metadata] if metadata else [b""]
    kinds: list[str] = []
    subgraphs = w.vector([w.graph(g, buffers, kinds) for g in graphs])
    codes = []
    for kind in kinds:
        custom = kind.startswith("CUSTOM ")
        code = OPERATORS.index("CUSTOM" if custom else kind)
        fields: dict[int, tuple[str, Any]] = {
            0: ("i8", min(code, 127)),
            2: ("i32", VERSIONS.get(kind, 1)),
            3: ("i32", code),
        }
        if custom:
            fields[1] = ("offset", w.b.CreateString(kind.removeprefix("CUSTOM ")))
        codes.append(w.table(fields))
    held = [w.table({0: ("offset", w.array(np.frombuffer(d, np.uint8), np.uint8))} if d else {})
            for d in buffers]  # fmt: skip
    parts = {1: w.vector(codes), 2: subgraphs, 4: w.vector(held)}
    if metadata:
        name = ("offset", w.b.CreateString("TFLITE_METADATA"))
        parts[6] = w.vector([w.table({0: name, 1: ("u32", 1)})])
    model = w.table({0: ("u32", 3), **{i: ("offset", p) for i, p in parts.items()}})
    w.b.Finish(model, b"TFL3")
    return bytes(w.b.Output())


# Versions of operators that LiteRT asks for, where 1 is not enough for what the tests write
VERSIONS = {"FULLY_CONNECTED": 4, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "BROADCAST_TO": 2}

"""A .tflite file as plain records: tensors, operators, subgraphs, signatures, constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import MAX_TENSOR_BYTES
from fanlight.formats.tflite.flatbuffer import Table, root
from fanlight.formats.tflite.schema import OPERATORS, OPTIONS, OPTIONS_2, TYPES, Field

# How the file stores the elements of each type
_STORED = {
    "float32": "<f4", "float16": "<f2", "float64": "<f8", "int32": "<i4", "uint32": "<u4",
    "int64": "<i8", "uint64": "<u8", "int16": "<i2", "uint16": "<u2", "int8": "i1", "uint8": "u1",
    "bool": "?", "bfloat16": "<u2",
}  # fmt: skip


_TIMES, _SPARE = 4, 1 << 24  # of the file, that constants of one subgraph may take


@dataclass(frozen=True)
class Grid:
    """How whole numbers q of a tensor stand for real ones: (q - zero) * scale.

    Attributes:
        scale: float32 [1], or one per slice along `axis`.
        zero: int64, as many.
        axis: the dim of the slices.
    """

    scale: np.ndarray
    zero: np.ndarray
    axis: int


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a subgraph, as the file declares it."""

    name: str
    dims: tuple[int | None, ...]
    type: str
    buffer: int
    grid: Grid | None
    variable: bool
    sparse: bool
    where: str


@dataclass(frozen=True)
class Operator:
    """One operator: numbers of tensors, -1 for an input that is left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    custom: memoryview
    where: str


@dataclass(frozen=True)
class Subgraph:
    name: str
    tensors: tuple[TensorInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]
    where: str


@dataclass(frozen=True)
class Signature:
    """Names by which a subgraph is called: name -> number of its tensor."""

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True)
class Model:
    """Everything of a file but the numbers of its constants, which `constant` reads.

    Attributes:
        forget: gives back the memory of a constant that was used; the next use reads it again.
    """

    data: memoryview
    where: str
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    buffers: tuple[memoryview, ...]
    metadata: Mapping[str, memoryview] = field(default_factory=dict)
    forget: Callable[[np.ndarray], None] = lambda array: None

    def constant(self, info: TensorInfo) -> np.ndarray | None:
        """The stored elements of a tensor, in the file's dtype; None if it is computed.

        Raises:
            FanlightError: E-FORMAT-007 if the buffer has another size, E-FORMAT-008 for types
                that are not read.
        """
        raw = self.buffers[info.buffer]
        shape = tuple(d or 0 for d in info.dims)
        if not len(raw) or None in info.dims:
            return None
        if info.sparse or info.type not in (*_STORED, "int4"):
            raise FanlightError(
                "E-FORMAT-008",
                "a constant is stored in a way that is not read.",
                where=info.where,
                expected=f"dense elements of {', '.join(_STORED)} or int4",
                received="sparse elements" if info.sparse else info.type,
                next="convert the model without sparsity, and to float or 8-bit weights.",
            )
        count = math.prod(shape)
        width = 0.5 if info.type == "int4" else np.dtype(_STORED[info.type]).itemsize
        if len(raw) != math.ceil(count * width):
            raise FanlightError(
                "E-FORMAT-007",
                "a constant has not as many bytes as its shape needs.",
                where=info.where,
                expected=f"{math.ceil(count * width):,} bytes for {list(shape)} {info.type}",
                received=f"{len(raw):,} bytes",
                next="the file is incomplete: download or convert it again.",
            )
        if info.type == "int4":  # two to a byte, the lower half first
            pairs = np.frombuffer(raw, np.int8)
            low = np.left_shift(pairs, 4) >> 4
            return np.stack([low, pairs >> 4], axis=-1).reshape(-1)[:count].reshape(shape)
        array = np.frombuffer(raw, _STORED[info.type]).reshape(shape)
        if info.type == "bfloat16":
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array


def parse_model(data: memoryview, where: str) -> Model:
    """The records of a file; E-FORMAT-005 if it is malformed, E-FORMAT-016 for lost numbers."""
    top = root(data, where, b"TFL3")
    if top.scalar(0, "u32") != 3:
        raise FanlightError(
            "E-FORMAT-005",
            "the file has another version of the schema.",
            where=where,
            expected="version 3, the only one in use",
            received=top.scalar(0, "u32"),
        )
    buffers = tuple(_buffer(t, data) for t in top.tables(4, f"{where}: buffer"))
    kinds = [_kind(t) for t in top.tables(1, f"{where}: operator code")]
    subgraphs = tuple(
        _subgraph(t, kinds, len(buffers)) for t in top.tables(2, f"{where}: subgraph")
    )
    for graph in subgraphs:
        # Tensors may share a buffer, but every one of them is made of it anew.
        total = sum(len(buffers[t.buffer]) for t in graph.tensors if t.buffer < len(buffers))
        if total > _TIMES * len(data) + _SPARE:
            raise top.broken(
                f"constants of at most {_TIMES} times the file", f"{graph.where}: {total:,} bytes"
            )
    if not subgraphs:
        raise top.broken("at least one subgraph", "none")
    signatures = tuple(_signature(t, subgraphs) for t in top.tables(7, f"{where}: signature"))
    metadata = {}
    for entry in top.tables(6, f"{where}: metadata"):
        number = entry.scalar(1, "u32")
        if number < len(buffers):
            metadata[entry.text(0)] = buffers[number]
    return Model(data, where, top.text(3), subgraphs, signatures, buffers, metadata)


def _buffer(table: Table, data: memoryview) -> memoryview:
    """The bytes of a buffer: inside the flatbuffer, or behind it in files of more than 2 GiB."""
    offset, size = table.scalar(1, "u64"), table.scalar(2, "u64")
    if offset > 1:  # 0 and 1 say that the bytes are in the table
        if offset > len(data) or size > len(data) - offset:
            raise table.broken(f"bytes inside the file of {len(data):,}", f"{size:,} at {offset:,}")
        return data[offset : offset + size]
    return table.raw(0)


def _kind(table: Table) -> str:
    """The name of an operator; a custom one as its own name after "CUSTOM "."""
    # The first field holds codes up to 127; newer writers put all into the last one.
    code = max(table.scalar(0, "i8"), table.scalar(3, "i32"))
    if not 0 <= code < len(OPERATORS):
        return f"operator code {code}"
    if OPERATORS[code] == "CUSTOM":
        return f"CUSTOM {table.text(1)[:80]}"
    return OPERATORS[code]


def _subgraph(table: Table, kinds: list[str], buffers: int) -> Subgraph:
    where = table.where
    tensors = tuple(_tensor(t, buffers) for t in table.tables(0, f"{where}, tensor"))
    count = len(tensors)
    operators = tuple(_operator(t, kinds, tensors) for t in table.tables(3, f"{where}, operator"))
    inputs, outputs = (_numbers(table, f, count) for f in (1, 2))
    if min((*inputs, *outputs), default=0) < 0:
        raise table.broken("inputs and outputs that are tensors", "-1")
    return Subgraph(table.text(4), tensors, inputs, outputs, operators, where)


def _numbers(table: Table, place: int, count: int) -> tuple[int, ...]:
    """Numbers of tensors; -1 stands for none."""
    found = table.ints(place)
    if any(not -1 <= n < count for n in found):
        raise FanlightError(
            "E-FORMAT-016",
            "the file refers to a tensor that it does not have.",
            where=table.where,
            expected=f"-1 to {count - 1}",
            received=str(found[:16]),
            next="the file is corrupt: download or convert it again.",
        )
    return found


def _tensor(table: Table, buffers: int) -> TensorInfo:
    name = table.text(3)
    where = f"{table.where} {name[:120]!r}"
    shape = table.ints(0, most=16)
    signature = table.ints(7, most=16)
    dims: tuple[int | None, ...] = shape
    if len(signature) == len(shape):
        dims = tuple(None if s < 0 else d for d, s in zip(shape, signature, strict=True))
    dims = tuple(None if d is None or d < 0 else d for d in dims)
    if math.prod(d or 1 for d in dims) > MAX_TENSOR_BYTES:
        raise table.broken("tensors that a browser can hold", f"the shape {list(shape)}")
    number, code = table.scalar(2, "u32"), table.scalar(1, "i8")
    if number >= buffers and number:
        raise table.broken(f"a buffer below {buffers}", f"buffer {number}")
    if not 0 <= code < len(TYPES):
        raise table.broken("a type of tensors", f"type {code}")
    return TensorInfo(
        name,
        dims,
        TYPES[code],
        number,
        _grid(table.table(4, where), dims, TYPES[code]),
        bool(table.scalar(5, "bool", False)),
        table.has(6),
        where,
    )


def _grid(table: Table | None, dims: tuple[int | None, ...], type: str) -> Grid | None:
    """Scale and zero point; None for tensors of plain numbers."""
    if table is None or not type.startswith(("int", "uint")):
        return None
    scale, zero = table.array(2, "f32"), table.array(3, "i64")
    if not scale.size:
        return None
    axis = table.scalar(6, "i32")
    per_slice = scale.size > 1
    if per_slice and (not 0 <= axis < len(dims) or scale.size != dims[axis]):
        raise table.broken("one scale per slice of the tensor", f"{scale.size} along dim {axis}")
    if not zero.size:
        zero = np.zeros(1, np.int64)
    if zero.size not in (1, scale.size) or not (np.isfinite(scale).all() and (scale >= 0).all()):
        raise table.broken("finite scales, a zero point for each", f"{scale[:8]}, {zero[:8]}")
    low, high = (-(1 << 31), (1 << 31) - 1)
    if zero.min() < low or zero.max() > high:
        raise table.broken("zero points of 32 bits", str(zero[:8]))
    return Grid(scale.copy(), np.broadcast_to(zero, scale.shape).copy(), axis)


def _operator(table: Table, kinds: list[str], tensors: tuple[TensorInfo, ...]) -> Operator:
    code = table.scalar(0, "u32")
    if code >= len(kinds):
        raise table.broken(f"an operator code below {len(kinds)}", f"code {code}")
    where = table.where
    inputs, outputs = (_numbers(table, place, len(tensors)) for place in (1, 2))
    options = _options(OPTIONS.get(table.scalar(3, "u8")), table.table(4, where))
    if not options:
        options = _options(OPTIONS_2.get(table.scalar(11, "u8")), table.table(12, where))
    return Operator(kinds[code], inputs, outputs, options, table.raw(5), where)


def _options(fields: Mapping[str, Field] | None, table: Table | None) -> dict[str, Any]:
    """Every option of the table, those that are not stored by their defaults."""
    if fields is None or table is None:
        return {}
    found: dict[str, Any] = {}
    for name, (kind, number, default) in fields.items():
        if kind == "text":
            found[name] = table.text(number)
        elif kind == "[f32]":
            found[name] = tuple(float(v) for v in table.array(number, "f32")[: 1 << 16])
        elif kind.startswith("["):
            found[name] = table.ints(number, kind[1:-1], 1 << 12)
        else:
            found[name] = table.scalar(number, kind, default)
    return found


def _signature(table: Table, subgraphs: tuple[Subgraph, ...]) -> Signature:
    number = table.scalar(4, "u32")
    if number >= len(subgraphs):
        raise table.broken(f"a subgraph below {len(subgraphs)}", f"subgraph {number}")
    count = len(subgraphs[number].tensors)
    maps = []
    for place in (0, 1):
        names: dict[str, int] = {}
        for entry in table.tables(place, f"{table.where}, name"):
            tensor = entry.scalar(1, "u32")
            if tensor >= count:
                raise entry.broken(f"a tensor below {count}", f"tensor {tensor}")
            names[entry.text(0)] = tensor
        maps.append(names)
    return Signature(table.text(2), number, maps[0], maps[1])

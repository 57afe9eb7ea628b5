"""Reads a .tflite file with the flatbuffers package and computes it with NumPy, for the tests.

Written from the schema on its own, field by field, so that a field that bench/tflite.py puts in a
wrong place is found.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import encode
from flatbuffers import number_types as N
from flatbuffers.table import Table

DTYPES = {0: np.float32, 2: np.int32, 3: np.uint8}


class Reader:
    """A table: scalars, texts, vectors and tables by the number of their field."""

    def __init__(self, data: bytearray, at: int) -> None:
        self.table = Table(data, at)

    def scalar(self, field: int, flags: Any, default: Any = 0) -> Any:
        offset = self.table.Offset(4 + 2 * field)
        return default if offset == 0 else self.table.Get(flags, self.table.Pos + offset)

    def child(self, field: int) -> Reader | None:
        offset = self.table.Offset(4 + 2 * field)
        if offset == 0:
            return None
        return Reader(self.table.Bytes, self.table.Indirect(self.table.Pos + offset))

    def children(self, field: int) -> list[Reader]:
        offset = self.table.Offset(4 + 2 * field)
        start = self.table.Vector(offset)
        return [
            Reader(self.table.Bytes, self.table.Indirect(start + 4 * i))
            for i in range(self.table.VectorLen(offset))
        ]

    def numbers(self, field: int, flags: Any = N.Int32Flags) -> np.ndarray:
        offset = self.table.Offset(4 + 2 * field)
        return self.table.GetVectorAsNumpy(flags, offset) if offset else np.zeros(0, np.int32)

    def text(self, field: int) -> str:
        offset = self.table.Offset(4 + 2 * field)
        return self.table.String(self.table.Pos + offset).decode()

    def where(self, field: int) -> int:
        """The place in the file of a vector's first byte."""
        return self.table.Vector(self.table.Offset(4 + 2 * field))


def run(path: Path, image: np.ndarray) -> np.ndarray:
    """The first output of the file for one picture."""
    data = bytearray(path.read_bytes())
    assert data[4:8] == b"TFL3"
    model = Reader(data, encode.Get(N.UOffsetTFlags.packer_type, data, 0))
    assert model.scalar(0, N.Uint32Flags) == 3
    codes = model.children(1)
    kinds = [c.scalar(3, N.Int32Flags) for c in codes]
    assert kinds == [c.scalar(0, N.Int8Flags) for c in codes]
    (graph,) = model.children(2)
    buffers = model.children(4)
    values: list[Any] = []
    for tensor in graph.children(0):
        dtype = DTYPES[tensor.scalar(1, N.Int8Flags)]
        shape = tensor.numbers(0)
        buffer = buffers[tensor.scalar(2, N.Uint32Flags)]
        raw = buffer.numbers(0, N.Uint8Flags)
        if len(raw):
            assert buffer.where(0) % 16 == 0
        values.append(raw.tobytes() and np.frombuffer(raw.tobytes(), dtype).reshape(shape))
        assert tensor.text(3)
    (start,), (end,) = graph.numbers(1), graph.numbers(2)
    values[start] = image
    for operator in graph.children(3):
        kind = kinds[operator.scalar(0, N.Uint32Flags)]
        inputs = [values[i] for i in operator.numbers(1)]
        (output,) = operator.numbers(2)
        number, options = operator.scalar(3, N.Uint8Flags), operator.child(4)
        values[output] = _operate(kind, inputs, number, options)
    return values[end]


def _operate(kind: int, inputs: list[Any], number: int, options: Reader | None) -> np.ndarray:
    x = inputs[0]
    if kind in (3, 4):  # CONV_2D, DEPTHWISE_CONV_2D
        assert options is not None and number == {3: 1, 4: 2}[kind]
        return _convolve(kind == 4, inputs, options)
    if kind == 0:
        assert number == 11
        return x + inputs[1]
    if kind == 9:
        assert options is not None and number == 8
        return _activate(x @ inputs[1].T + inputs[2], options.scalar(0, N.Int8Flags))
    if kind in (34, 60):
        value = inputs[2].item() if kind == 60 else 0.0
        return np.pad(x, inputs[1], constant_values=value)
    if kind == 40:
        assert options is not None and number == 27
        keep = bool(options.scalar(0, N.BoolFlags))
        return x.mean(tuple(inputs[1]), keepdims=keep, dtype=np.float32)
    if kind == 22:
        assert options is not None and number == 17
        assert list(options.numbers(0)) == list(inputs[1])
        return x.reshape(inputs[1])
    assert kind == 25 and options is not None and number == 9
    assert options.scalar(0, N.Float32Flags) == 1.0
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _convolve(depthwise: bool, inputs: list[Any], options: Reader) -> np.ndarray:
    x, w, bias = inputs
    right, down = options.scalar(1, N.Int32Flags), options.scalar(2, N.Int32Flags)
    shift = 1 if depthwise else 0
    if depthwise:
        assert options.scalar(3, N.Int32Flags) * x.shape[3] == w.shape[3]
    activation = options.scalar(3 + shift, N.Int8Flags)
    assert options.scalar(4 + shift, N.Int32Flags, 1) == 1
    assert options.scalar(5 + shift, N.Int32Flags, 1) == 1
    rows, columns = w.shape[1:3]
    if options.scalar(0, N.Int8Flags) == 0:  # SAME
        sizes = ((x.shape[1], down, rows), (x.shape[2], right, columns))
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in sizes]
        pads = [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)]
        x = np.pad(x, pads)
    high, wide = (x.shape[1] - rows) // down + 1, (x.shape[2] - columns) // right + 1
    y = np.zeros((1, high, wide, w.shape[3] if depthwise else w.shape[0]), np.float32)
    for i in range(rows):
        for j in range(columns):
            part = x[:, i : i + down * high : down, j : j + right * wide : right]
            y += part * w[0, i, j] if depthwise else part @ w[:, i, j].T
    return _activate(y + bias, activation)


def _activate(x: np.ndarray, activation: int) -> np.ndarray:
    return {0: x, 1: np.maximum(x, 0), 3: np.clip(x, 0, 6)}[activation]

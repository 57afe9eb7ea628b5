"""TensorProto -> arrays: raw bytes, typed fields, and bytes in files beside the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.emitter import MAX_TENSOR_BYTES
from fanlight.formats.files import Mapped, inside
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.protos import SparseTensor
from fanlight.formats.wire import Message

_RAW = {
    kinds.FLOAT: "<f4", kinds.UINT8: "u1", kinds.INT8: "i1", kinds.UINT16: "<u2",
    kinds.INT16: "<i2", kinds.INT32: "<i4", kinds.INT64: "<i8", kinds.BOOL: "u1",
    kinds.FLOAT16: "<f2", kinds.DOUBLE: "<f8", kinds.UINT32: "<u4", kinds.UINT64: "<u8",
    kinds.BFLOAT16: "<u2", kinds.F8E4M3FN: "u1", kinds.F8E4M3FNUZ: "u1", kinds.F8E5M2: "u1",
    kinds.F8E5M2FNUZ: "u1", kinds.F8E8M0: "u1",
}  # fmt: skip
# Kinds of less than a byte: how many bits, and whether they have a sign.
_BITS = {kinds.UINT4: (4, False), kinds.INT4: (4, True), kinds.UINT2: (2, False),
         kinds.INT2: (2, True)}  # fmt: skip
# Exponent bits, mantissa bits, bias, and whether there are infinities.
_FLOAT8 = {
    kinds.F8E4M3FN: (4, 3, 7, "fn"), kinds.F8E4M3FNUZ: (4, 3, 8, "fnuz"),
    kinds.F8E5M2: (5, 2, 15, "ieee"), kinds.F8E5M2FNUZ: (5, 2, 16, "fnuz"),
}  # fmt: skip
_MAX_RANK = 32
Warn = Callable[[str], None]


class Tensors:
    """Reads the tensors of one model; maps each file of external data once."""

    def __init__(self, file: Mapped, path: Path, warn: Warn, nodes: int = 0) -> None:
        self.path = path
        self.nodes = nodes
        self.warn = warn
        self._files: dict[Path, Mapped] = {path: file}

    def forget(self, array: np.ndarray) -> None:
        """Give back the memory of a large array that is a view of a file; it stays readable."""
        for file in self._files.values():
            file.forget(array)

    def array(self, source: Message | SparseTensor, name: str = "") -> tuple[np.ndarray, int]:
        """The array, in a dtype that graphs hold, and its element type.

        Arrays of float32 are views of the file: nothing is copied.
        """
        if isinstance(source, SparseTensor):
            return self._sparse(source.message)
        where = f"tensor {(name or source.text(8))[:120]!r} of {self.path}"
        kind = source.uint(2)
        dims = source.ints(1)
        if kind == kinds.STRING:
            kinds.dtype_of_kind(kind, where)
        if kind not in _RAW and kind not in _BITS:
            raise FanlightError(
                "E-FORMAT-008",
                "a constant has an element type that is not read.",
                where=where,
                expected="numbers or booleans",
                received=kinds.NAMES.get(kind, kind),
            )
        if len(dims) > _MAX_RANK or any(d < 0 for d in dims):
            raise self._broken(where, "at most 32 sizes from 0 on", dims[:8])
        count = math.prod(dims)
        if count * 4 > MAX_TENSOR_BYTES:
            raise FanlightError(
                "E-FORMAT-023",
                "a tensor of the model is larger than any browser can hold.",
                where=where,
                expected=f"at most {MAX_TENSOR_BYTES:,} bytes",
                received=str(dims)[:120],
            )
        flat = self._flat(source, kind, count, where)
        return self._narrow(flat, kind, where).reshape(dims), kind

    def _flat(self, source: Message, kind: int, count: int, where: str) -> np.ndarray:
        """The elements as they are stored; codes of floats below float16."""
        external = source.uint(14) == 1
        if external or 9 in source.fields:
            raw = self._external(source, where) if external else source.data(9)
            if kind in _BITS:
                return _unpacked(np.frombuffer(raw, np.uint8), kind, count, where, self)
            dtype = np.dtype(_RAW[kind])
            if len(raw) != count * dtype.itemsize:
                raise self._broken(where, f"{count * dtype.itemsize:,} bytes", f"{len(raw):,}")
            return np.frombuffer(raw, dtype)
        if kind == kinds.FLOAT:
            flat = source.floats(4)
        elif kind == kinds.DOUBLE:
            flat = source.floats(10, "<f8")
        else:
            number = 7 if kind == kinds.INT64 else 11 if kind in (12, 13) else 5
            if kind in _BITS:
                packed = np.array([v & 255 for v in source.ints(number)], np.uint8)
                return _unpacked(packed, kind, count, where, self)
            dtype = np.dtype(_RAW[kind])
            listed = source.ints(number)
            if kind == kinds.FLOAT16:
                flat = np.array([v & 0xFFFF for v in listed], np.uint16).view("<f2")
            else:
                mask = (1 << 8 * dtype.itemsize) - 1
                unsigned = np.dtype(f"<u{dtype.itemsize}")
                flat = np.array([v & mask for v in listed], unsigned).view(dtype)
        if len(flat) != count:
            raise self._broken(where, f"{count:,} elements", f"{len(flat):,}")
        return flat

    def _narrow(self, flat: np.ndarray, kind: int, where: str) -> np.ndarray:
        if kind == kinds.BFLOAT16:
            return (flat.astype(np.uint32) << 16).view(np.float32)
        if kind in _FLOAT8:
            return _float8(flat, *_FLOAT8[kind])
        if kind == kinds.F8E8M0:
            return np.ldexp(np.float32(1), flat.astype(np.int32) - 127)
        if kind == kinds.BOOL:
            return flat != 0
        if kind in (kinds.INT64, kinds.UINT32, kinds.UINT64):
            return self.whole(flat, where)
        if kind == kinds.DOUBLE:
            with np.errstate(over="ignore"):
                made = flat.astype(np.float32)
            if (np.isinf(made) & np.isfinite(flat)).any():
                self.warn(f"{where}: numbers beyond float32 became infinite.")
            return made
        return flat.astype(np.dtype(_DTYPES[kind]), copy=False)

    def whole(self, flat: np.ndarray, where: str) -> np.ndarray:
        """64-bit whole numbers as int32, kept within its range."""
        low, high = -(2**31), 2**31 - 1
        made = np.clip(flat, low, high) if flat.dtype.kind == "i" else np.minimum(flat, high)
        lost = flat[made != flat]
        # The ends of int64 stand for "to the end" in slices and for "no limit".
        if lost.size and (np.abs(lost.astype(np.float64)) < 2.0**62).any():
            self.warn(f"{where}: whole numbers beyond 32 bits were limited to them.")
        return np.asarray(made, np.int32)

    def _external(self, source: Message, where: str) -> memoryview:
        entry = {m.text(1): m.text(2) for m in source.messages(13)}
        file = inside(self.path.parent, entry.get("location"), where)
        if file not in self._files:
            self._files[file] = self._mapped(file, where)
        data = self._files[file].view
        start, length = (_count(entry.get(k), where, self) for k in ("offset", "length"))
        start = start or 0
        end = len(data) if length is None else start + length
        if end > len(data):
            raise FanlightError(
                "E-FORMAT-007",
                "the file of a model's weights is cut short.",
                where=f"{where}: {file.name}",
                expected=f"at least {end:,} bytes",
                received=f"{len(data):,}",
                next="download or export the model again, with all its files.",
            )
        return data[start:end]

    def _mapped(self, file: Path, where: str) -> Mapped:
        folder = self.path.parent
        if any(p.is_symlink() for p in (file, *file.parents) if folder in p.parents):
            raise FanlightError(
                "E-FORMAT-010",
                "the weights of the model are a link to another place.",
                where=where,
                expected="a file in the folder of the model",
                received=file.name,
                next="put the file itself there.",
            )
        return Mapped(file, "E-FORMAT-001", "a file of the model's weights")

    def _sparse(self, message: Message) -> tuple[np.ndarray, int]:
        values, indices = message.message(1), message.message(2)
        where = f"a sparse tensor of {self.path}"
        if values is None or indices is None:
            raise self._broken(where, "values and indices", "one of them")
        (flat, kind), (at, _) = self.array(values), self.array(indices)
        dims = message.ints(3)
        total = math.prod(dims)
        if len(dims) > _MAX_RANK or any(d < 0 for d in dims) or total > 1 << 24:
            raise self._broken(where, "a shape of at most 16,777,216 elements", dims[:8])
        if at.ndim == 2 and at.shape[1:] == (len(dims),):
            inside_ = ((at >= 0) & (at < np.array(dims))).all()
            at = np.ravel_multi_index(tuple(at.T), dims) if inside_ else at
        if at.ndim != 1 or flat.shape != at.shape or (at.size and not (
            0 <= at.min() and at.max() < total
        )):  # fmt: skip
            raise self._broken(where, "one index for each value", f"{at.shape}, {flat.shape}")
        dense = np.zeros(total, flat.dtype)
        dense[at] = flat
        return dense.reshape(dims), kind

    def _broken(self, where: str, expected: object, received: object) -> FanlightError:
        return FanlightError(
            "E-FORMAT-005",
            "a tensor of the model does not hold what its shape says.",
            where=where,
            expected=expected,
            received=received,
            next="download or export the model again.",
        )


_DTYPES = dict.fromkeys(kinds.FLOATS, "float32")
_DTYPES |= {kinds.UINT8: "uint8", kinds.INT8: "int32", kinds.UINT16: "int32",
            kinds.INT16: "int32", kinds.INT32: "int32"}  # fmt: skip
_DTYPES |= dict.fromkeys(_BITS, "int32")


def _count(text: str | None, where: str, tensors: Tensors) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise tensors._broken(where, "offsets and lengths as whole numbers", text[:40])
    return int(text)


def _unpacked(
    packed: np.ndarray, kind: int, count: int, where: str, tensors: Tensors
) -> np.ndarray:
    """Numbers of 2 or 4 bits, the first in the lowest bits of a byte."""
    bits, signed = _BITS[kind]
    per = 8 // bits
    if len(packed) != -(-count // per):
        raise tensors._broken(where, f"{-(-count // per):,} bytes", f"{len(packed):,}")
    parts = [(packed >> (bits * i)) & ((1 << bits) - 1) for i in range(per)]
    flat = np.stack(parts, -1).reshape(-1)[:count].astype(np.int32)
    return np.where(flat >= 1 << (bits - 1), flat - (1 << bits), flat) if signed else flat


def _float8(codes: np.ndarray, exponent: int, mantissa: int, bias: int, form: str) -> np.ndarray:
    """The 256 numbers that 8 bits can say, taken by code. Source: OCP FP8, ONNX's float8 page."""
    code = np.arange(256)
    sign = np.where(code >> 7, -1.0, 1.0)
    e, m = (code >> mantissa) & ((1 << exponent) - 1), code & ((1 << mantissa) - 1)
    size = float(1 << mantissa)
    value = np.where(e == 0, np.ldexp(m / size, 1 - bias), np.ldexp(1 + m / size, e - bias)) * sign
    if form == "ieee":
        top = e == (1 << exponent) - 1
        value = np.where(top, np.where(m == 0, sign * np.inf, np.nan), value)
    elif form == "fn":
        value = np.where(code & 127 == 127, np.nan, value)
    else:
        value = np.where(code == 128, np.nan, value)
    return value.astype(np.float32)[codes]

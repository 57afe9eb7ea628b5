"""TF.js weights: the `weightsManifest` of a model.json and its binary files -> arrays.

A group's files are one byte stream, cut anywhere; its weights follow each other without
padding, little-endian, row-major. Everything is checked against the file sizes before a
buffer is made: a manifest that lies about its sizes costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.files import inside, regular_size
from fanlight.formats.jsonfile import dims, expect, field

# dtype in the manifest -> (bytes as stored, dtype in the graph)
_STORED: dict[str, tuple[str, str]] = {
    "float32": ("<f4", "float32"),
    "int32": ("<i4", "int32"),
    "bool": ("?", "bool"),
    "uint8": ("u1", "int32"),
    "uint16": ("<u2", "int32"),
    "float16": ("<f2", "float32"),
}
# Read past, never used by a supported op: bytes per element, None = walk the records.
_SKIPPED: dict[str, int | None] = {"complex64": 8, "string": None}
_QUANTIZED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}


@dataclass(frozen=True)
class Skipped:
    """A weight of a dtype that no tensor of a graph has.

    Attributes:
        dtype: its name.
        texts: the strings of one, as bytes.
    """

    dtype: str
    texts: np.ndarray | None = None


@dataclass(frozen=True)
class Spec:
    """One entry of a manifest: a weight's name, shape, dtype and quantisation."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantized: str | None
    minimum: float
    scale: float

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int | None:
        """Bytes in the file; None for strings, whose records must be walked."""
        if self.quantized:
            return self.count * np.dtype(_QUANTIZED[self.quantized]).itemsize
        if self.dtype in _SKIPPED:
            width = _SKIPPED[self.dtype]
            return None if width is None else self.count * width
        return self.count * np.dtype(_STORED[self.dtype][0]).itemsize


def parse_manifest(value: Any, where: object) -> list[tuple[list[str], list[Spec]]]:
    """The groups of a weightsManifest: file names and weights, types checked.

    Raises:
        FanlightError: E-FORMAT-005 for wrong types, E-FORMAT-008 for unknown dtypes.
    """
    groups: list[tuple[list[str], list[Spec]]] = []
    seen: set[str] = set()
    for group in expect(value, list, '"weightsManifest"', where):
        paths = [expect(p, str, "a path", where) for p in field(group, "paths", list, where)]
        specs = [_spec(w, where) for w in field(group, "weights", list, where)]
        for spec in specs:
            if spec.name in seen:
                raise FanlightError(
                    "E-FORMAT-005",
                    f"the manifest has the weight {spec.name!r} twice.",
                    where=where,
                    expected="every weight once",
                    received=spec.name[:120],
                )
            seen.add(spec.name)
        groups.append((paths, specs))
    return groups


def _spec(entry: Any, where: object) -> Spec:
    name = field(entry, "name", str, where)
    here = f"weight {name!r} in {where}"
    shape = dims(entry.get("shape"), '"shape"', here)
    dtype = field(entry, "dtype", str, here)
    quantized, minimum, scale = None, 0.0, 1.0
    quantization = entry.get("quantization")
    if quantization is not None:
        quantized = field(quantization, "dtype", str, here)
        if quantized not in _QUANTIZED or dtype not in ("float32", "int32"):
            raise _unknown_dtype(f"{dtype} quantised as {quantized}", here)
        if quantized != "float16":
            minimum = field(quantization, "min", float, here)
            scale = field(quantization, "scale", float, here)
    elif dtype not in _STORED and dtype not in _SKIPPED:
        raise _unknown_dtype(dtype, here)
    return Spec(name, shape, dtype, quantized, minimum, scale)


def _unknown_dtype(dtype: str, where: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-008",
        "a weight has a dtype that no converter writes.",
        where=where,
        expected=", ".join([*_STORED, *_SKIPPED]) + "; quantised as " + ", ".join(_QUANTIZED),
        received=dtype[:80],
        next="convert the model again, or update Fanlight.",
    )


def read_weights(
    groups: Sequence[tuple[list[str], list[Spec]]], folder: Path
) -> dict[str, np.ndarray | Skipped]:
    """The weights of all groups, dequantised, in the dtypes that graphs use.

    Raises:
        FanlightError: E-FORMAT-006 missing file, E-FORMAT-007 sizes that do not fit,
            E-FORMAT-009 NaN, E-FORMAT-010 a path that leaves the folder.
    """
    weights: dict[str, np.ndarray | Skipped] = {}
    for paths, specs in groups:
        stream = _Stream([inside(folder, p, "weightsManifest") for p in paths])
        stream.check(specs)
        for spec in specs:
            weights[spec.name] = _decode(spec, stream)
        stream.finish()
    return weights


def _decode(spec: Spec, stream: _Stream) -> np.ndarray | Skipped:
    if spec.nbytes is None:
        texts = np.empty(spec.count, object)
        for index in range(spec.count):
            length = int.from_bytes(stream.read(4, spec), "little")
            texts[index] = bytes(stream.read(length, spec))
        return Skipped(spec.dtype, texts.reshape(spec.shape))
    data = stream.read(spec.nbytes, spec)
    if spec.quantized:
        array = dequantize(
            np.frombuffer(data, _QUANTIZED[spec.quantized]), spec.minimum, spec.scale, spec.dtype
        )
    elif spec.dtype in _SKIPPED:
        return Skipped(spec.dtype)
    else:
        stored, dtype = _STORED[spec.dtype]
        raw = np.frombuffer(data, stored)
        # Bytes other than 0 and 1 are true, too; a view as bool would keep them.
        array = raw.view("u1") != 0 if dtype == "bool" else raw.astype(dtype, copy=False)
    return checked(array.reshape(spec.shape), spec.name, stream.names)


def dequantize(raw: np.ndarray, minimum: float, scale: float, dtype: str) -> np.ndarray:
    """`raw * scale + minimum`, computed in float64 as TF.js does; float16 is only widened."""
    if raw.dtype.kind == "f":
        return raw.astype(dtype)
    with np.errstate(all="ignore"):
        wide = raw * np.float64(scale) + np.float64(minimum)
        return np.round(wide).astype("int32") if dtype == "int32" else wide.astype("float32")


def checked(array: np.ndarray, name: str, where: object) -> np.ndarray:
    """`array` if it holds no NaN; else E-FORMAT-009 naming the weight."""
    if array.dtype.kind == "f" and array.size and np.isnan(np.min(array)):
        bad = int(np.isnan(array).sum())
        raise FanlightError(
            "E-FORMAT-009",
            f"the weight {name!r} holds NaN.",
            where=where,
            expected="numbers",
            received=f"{bad:,} NaN of {array.size:,} values",
            next="save the model again from a checkpoint before its training diverged.",
        )
    return array


class _Stream:
    """The files of one group read as one stream."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._sizes = [regular_size(p, "E-FORMAT-006", "a weight file") for p in paths]
        self._index = 0
        self._offset = 0

    @property
    def names(self) -> str:
        return ", ".join(p.name for p in self._paths[:4]) + (
            ", ..." if len(self._paths) > 4 else ""
        )

    def check(self, specs: Sequence[Spec]) -> None:
        """Compare declared and stored bytes before anything is allocated."""
        stored = sum(self._sizes)
        declared = sum(spec.nbytes or 0 for spec in specs)
        exact = all(spec.nbytes is not None for spec in specs)
        # A string takes at least its 4 bytes of length.
        declared += sum(4 * spec.count for spec in specs if spec.nbytes is None)
        if declared > stored or (exact and declared != stored):
            raise self._mismatch(f"{declared:,}", stored)

    def _mismatch(self, declared: str, stored: int) -> FanlightError:
        # Shards have one size but for the last; the odd one out is the damaged one.
        full = max(self._sizes[:-1], key=self._sizes[:-1].count, default=0)
        odd = [i for i, size in enumerate(self._sizes[:-1]) if size != full]
        guess = self._paths[odd[0] if odd else -1] if self._paths else None
        sizes = ", ".join(
            f"{p.name} {size:,}" for p, size in list(zip(self._paths, self._sizes, strict=True))[:8]
        )
        return FanlightError(
            "E-FORMAT-007",
            "the weight files do not have the size that the manifest declares.",
            where=guess or "weightsManifest",
            expected=f"{declared} bytes",
            received=f"{stored:,} bytes ({sizes})",
            next=f"download {guess.name if guess else 'the model'} again: "
            "it is truncated or belongs to another model.",
        )

    def read(self, count: int, spec: Spec) -> bytearray:
        """The next `count` bytes, in a buffer of their own (so that arrays are aligned)."""
        left = sum(self._sizes[self._index :]) - self._offset
        if count > left:
            raise FanlightError(
                "E-FORMAT-007",
                f"the weight files end inside the weight {spec.name!r}.",
                where=self.names,
                expected=f"{count:,} more bytes",
                received=f"{left:,} bytes",
                next="download the weight files again.",
            )
        buffer = bytearray(count)
        view, done = memoryview(buffer), 0
        while done < count:
            size = self._sizes[self._index]
            part = min(count - done, size - self._offset)
            self._read_into(view[done : done + part], spec)
            done += part
            self._offset += part
            if self._offset == size:
                self._index, self._offset = self._index + 1, 0
        return buffer

    def _read_into(self, view: memoryview, spec: Spec) -> None:
        path, got = self._paths[self._index], 0
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(self._offset)
                while got < len(view):
                    more = file.readinto(view[got:])
                    if not more:
                        break
                    got += more
        except OSError as error:
            raise FanlightError(
                "E-FORMAT-006",
                "a weight file cannot be read.",
                where=path,
                expected="a file that can be read",
                received=error.strerror,
                next="check its permissions and the disk.",
            ) from None
        if got != len(view):
            raise FanlightError(
                "E-FORMAT-007",
                f"the file shrank while the weight {spec.name!r} was read.",
                where=path,
                expected=f"{len(view):,} bytes",
                received=f"{got:,} bytes",
            )

    def finish(self) -> None:
        """Every byte must belong to a weight."""
        left = sum(self._sizes[self._index :]) - self._offset
        if left:
            stored = sum(self._sizes)
            raise self._mismatch(f"{stored - left:,}", stored)

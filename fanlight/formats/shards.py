"""Weights as TF.js reads them: bytes one after another, cut into shards, quantised if asked.

The arithmetic, the names of the files and the entries of the manifest are those of the original
converter, byte for byte. A weight is written when it comes, piece by piece, so that the memory
used does not grow with the model.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError

SHARD_BYTES = 4 << 20
KINDS = ("float16", "uint8", "uint16")
_PIECE = 1 << 20  # elements that are converted at a time
_FEW = 64  # elements that are not worth their entry
_EXACT = 1 << 20  # whole numbers up to it, and 255 more, are float32
# What TF.js cannot hold is written as the next it can, as the original converter does.
_STORED = {
    "float32": ("float32", "<f4"),
    "float64": ("float32", "<f4"),
    "float16": ("float32", "<f4"),
    "int32": ("int32", "<i4"),
    "int64": ("int32", "<i4"),
    "int16": ("int32", "<i4"),
    "uint16": ("int32", "<i4"),
    "int8": ("int32", "<i4"),
    "uint8": ("int32", "<i4"),
    "bool": ("bool", "u1"),
}


# --- what is quantised ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantize:
    """Which weights are quantised as what.

    Attributes:
        globs: (kind, pattern) pairs: weights whose name matches.
        rest: the kind of all others; None leaves them as they are.
    """

    globs: tuple[tuple[str, str], ...] = ()
    rest: str | None = None

    def of(self, name: str) -> str | None:
        """The kind for a weight; E-FORMAT-041 if patterns give it two."""
        kinds = sorted({k for k, pattern in self.globs if fnmatch.fnmatchcase(name, pattern)})
        if len(kinds) > 1:
            raise _refused(
                f"the weight {name!r} matches patterns of {len(kinds)} kinds.",
                "patterns that match a weight at most once",
                "; ".join(f"{k}={p}" for k, p in self.globs)[:200],
            )
        return kinds[0] if kinds else self.rest


def quantization(asked: Any) -> Quantize:
    """What a caller asked for: None, "uint8", "uint8=conv*,dense/kernel", several of these in a
    list, or a mapping {"uint8": ["conv*"], "float16": True}.

    Raises:
        FanlightError: E-FORMAT-041 it is none of these, or asks two kinds for the same weights.
    """
    if asked is None or isinstance(asked, Quantize):
        return asked or Quantize()
    pairs: list[tuple[str, Any]] = []
    if isinstance(asked, Mapping):
        pairs = list(asked.items())
    else:
        for one in [asked] if isinstance(asked, str) else asked if _listed(asked) else [None]:
            if not isinstance(one, str):
                raise _unknown(asked)
            kind, equals, patterns = one.partition("=")
            pairs.append((kind.strip(), patterns if equals else True))
    globs: list[tuple[str, str]] = []
    rest: list[str] = []
    for kind, patterns in pairs:
        if kind not in KINDS:
            raise _unknown(kind)
        if patterns is True:
            rest.append(kind)
            continue
        split = patterns.split(",") if isinstance(patterns, str) else patterns
        if not _listed(split) or not all(isinstance(p, str) and p.strip() for p in split):
            raise _unknown(asked)
        globs += [(kind, p.strip()) for p in split]
    if len(set(rest)) > 1:
        raise _refused(
            "two kinds are asked for all weights.", "one kind without names", ", ".join(rest)
        )
    return Quantize(tuple(globs), rest[0] if rest else None)


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _unknown(asked: Any) -> FanlightError:
    return _refused(
        "this is not a quantisation.",
        ", ".join(KINDS) + ', or one of them for some weights: "uint8=conv*,dense/kernel"',
        repr(asked)[:120],
    )


def _refused(message: str, expected: str, received: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-041", message, where="quantize", expected=expected, received=received
    )


# --- arithmetic -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Steps:
    """Bytes q stand for q * scale + low."""

    kind: str
    low: float
    high: float
    scale: float

    def entry(self) -> dict[str, Any]:
        return {
            "dtype": self.kind,
            "min": self.low,
            "scale": self.scale,
            "original_dtype": "float32",
        }

    def quantized(self, x: np.ndarray) -> np.ndarray:
        if self.low == self.high:
            return np.zeros(x.shape, self.kind)
        steps = np.round(
            (np.clip(x.astype(np.float64), self.low, self.high) - self.low) / self.scale
        )
        made: np.ndarray = steps.astype(self.kind)
        return made


def _steps(array: np.ndarray, kind: str, name: str) -> _Steps:
    """The range of a weight, moved so that 0 is one of the steps."""
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise FanlightError(
            "E-FORMAT-009",
            f"the weight {name!r} holds NaN or infinity, which {kind} cannot hold.",
            where=name,
            expected="numbers",
            received=f"values from {low} to {high}",
            next="leave this weight out of the quantisation, or save the model again.",
        )
    if low == high:
        return _Steps(kind, low, high, 1.0)
    most = np.iinfo(kind).max
    scale = (high - low) / most
    if low <= 0 <= high:
        low = -round(-low / scale) * scale
        high = most * scale + low
    return _Steps(kind, low, high, scale)


def _whole_steps(flat: np.ndarray) -> _Steps | None:
    """Steps of 1, for float32 numbers that are all whole and at most 255 apart: exact."""
    if flat.size < _FEW:
        return None
    low, high = np.inf, -np.inf
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
        near = abs(low) <= _EXACT and high - low <= 255
        if not near or not np.array_equal(piece, np.rint(piece)):  # NaN is not near either
            return None
    return _Steps("uint8", low, high, 1.0) if low < high else None


# --- writing --------------------------------------------------------------------------------------


class ShardWriter:
    """Writes one group of a weightsManifest into a folder.

    Attributes:
        entries: the weights so far, as the manifest lists them.
    """

    def __init__(
        self, folder: Path, *, quantize: Any = None, shard_bytes: int = SHARD_BYTES, group: int = 1
    ) -> None:
        if not isinstance(shard_bytes, int) or isinstance(shard_bytes, bool) or shard_bytes < 1:
            raise FanlightError(
                "E-FORMAT-041",
                "this is not a size of shards.",
                where="shard_bytes",
                expected="a whole number of bytes, at least 1",
                received=repr(shard_bytes)[:80],
            )
        self._folder = folder
        self._quantize = quantization(quantize)
        self._limit = shard_bytes
        self._group = group
        self._files: list[Path] = []
        self._file: Any = None
        self._room = 0
        self.entries: list[dict[str, Any]] = []

    def exact(self) -> None:
        """From here on weights stay as they are."""
        self._quantize = Quantize()

    def write(
        self, name: str, array: np.ndarray, group: str | None = None, *, bytewise: bool = False
    ) -> None:
        """One weight; `group` is told in its entry ("optimizer": TF.js gives it to that).

        Args:
            bytewise: whether float32 numbers that are bytes are written as such, which TF.js makes
                the same float32 of; unless they are to be quantised.

        Raises:
            FanlightError: E-FORMAT-008 a dtype that TF.js has not; E-FORMAT-009 NaN or infinity
                that is to be quantised; E-FORMAT-041 patterns that give it two kinds.
        """
        array = np.asarray(array)
        if str(array.dtype) not in _STORED:
            raise FanlightError(
                "E-FORMAT-008",
                f"the weight {name!r} has a dtype that TF.js has not.",
                where=name,
                expected=", ".join(_STORED),
                received=array.dtype,
            )
        dtype, stored = _STORED[str(array.dtype)]
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": dtype}
        kind = self._quantize.of(name) if dtype == "float32" else None
        if kind != "float16" and not array.size:
            kind = None  # no elements, no range
        flat = array.reshape(-1)
        steps: _Steps | None = None
        if kind == "float16":
            entry["quantization"] = {"dtype": kind, "original_dtype": dtype}
        elif kind is not None:
            steps = _steps(flat, kind, name)
            entry["quantization"] = steps.entry()
        elif bytewise and dtype == "float32" and array.dtype == np.float32:
            steps = _whole_steps(flat)
            if steps is not None:
                entry["quantization"] = steps.entry()
        if group is not None:
            entry["group"] = group
        for start in range(0, flat.size, _PIECE):
            piece = flat[start : start + _PIECE]
            if steps is not None:
                piece = steps.quantized(piece)
            elif kind == "float16":
                with np.errstate(over="ignore"):
                    piece = piece.astype("<f2")
            else:
                piece = piece.astype(stored, copy=False)
            little = piece.astype(piece.dtype.newbyteorder("<"), copy=False)
            self._put(np.ascontiguousarray(little).data.cast("B"))
        self.entries.append(entry)

    def _put(self, data: memoryview) -> None:
        while len(data):
            if not self._room:
                self._close()
                path = self._folder / f".shard{len(self._files) + 1}"
                self._files.append(path)
                self._file, self._room = path.open("wb"), self._limit
            part = data[: self._room]
            self._file.write(part)
            self._room -= len(part)
            data = data[len(part) :]

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self) -> dict[str, Any]:
        """Name the files, now that it is known how many there are; the group of the manifest."""
        self._close()
        count, paths = len(self._files), []
        for i, path in enumerate(self._files):
            paths.append(f"group{self._group}-shard{i + 1}of{count}.bin")
            path.rename(self._folder / paths[-1])
        return {"paths": paths, "weights": self.entries}

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def write_weights(
    folder: Path,
    weights: Iterable[tuple[str, np.ndarray]],
    *,
    quantize: Any = None,
    shard_bytes: int = SHARD_BYTES,
) -> Sequence[dict[str, Any]]:
    """Write weights as one group; the weightsManifest."""
    with ShardWriter(folder, quantize=quantize, shard_bytes=shard_bytes) as writer:
        for name, array in weights:
            writer.write(name, array)
        return [writer.finish()]

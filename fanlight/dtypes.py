"""The dtypes of Fanlight: names, sizes, short forms, NumPy equivalents."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# name -> (short form used in graph text, bytes per element, computes?)
# Storage-only dtypes appear in weight files and inputs; graphs compute in the others (int8: as
# the weights of the ops in ops/quantized.py, and nowhere else).
_TABLE: dict[str, tuple[str, int, bool]] = {
    "float32": ("f32", 4, True),
    "int32": ("i32", 4, True),
    "bool": ("bool", 1, True),
    "uint8": ("u8", 1, True),
    "int8": ("i8", 1, True),
    "float16": ("f16", 2, False),
    "uint16": ("u16", 2, False),
}
DTYPES = tuple(_TABLE)
# Tensors of strings are there in Python only, as objects: no graph, bundle or kernel has them.
STRING = "string"
# Tensors alone have it, as two float32 each (docs/adr/0007); graphs and files hold no such values.
COMPLEX = "complex64"
_SHORT = {name: row[0] for name, row in _TABLE.items()}
_LONG = {short: name for name, short in _SHORT.items()}

# What wider dtypes of a source become in a graph: browsers compute in 32 bits.
_NARROWED = {
    "float64": "float32",
    "float16": "float32",
    "int64": "int32",
    "uint32": "int32",
    "int16": "int32",
    "uint16": "int32",
    "int8": "int32",
}


def is_dtype(name: str) -> bool:
    """Whether `name` is a dtype of Fanlight."""
    return name in _TABLE


def size(name: str) -> int:
    """Bytes per element."""
    return 8 if name in (STRING, COMPLEX) else _TABLE[name][1]


def computes(name: str) -> bool:
    """Whether graphs compute in this dtype (the others only store)."""
    return _TABLE[name][2]


def short(name: str) -> str:
    """The short form used in graph text: "float32" -> "f32"."""
    return {STRING: "str", COMPLEX: "c64"}.get(name) or _SHORT[name]


def long(form: str) -> str | None:
    """The dtype of a short form, or None: "f32" -> "float32"."""
    return _LONG.get(form)


def to_numpy(name: str) -> np.dtype:
    """The little-endian NumPy dtype of the same layout."""
    return np.dtype("?") if name == "bool" else np.dtype(name).newbyteorder("<")


@lru_cache
def from_numpy(dtype: np.dtype) -> str | None:
    """The Fanlight dtype that holds arrays of a NumPy dtype exactly, or None."""
    name = np.dtype(dtype).name
    return name if name in _TABLE else None


def narrow(array: np.ndarray) -> np.ndarray:
    """`array` in the 32-bit dtype in which a graph would hold it (float64 -> float32, ...).

    Numbers beyond float32 become infinite, as in a graph that computes them.
    """
    target = _narrowed(array.dtype)
    if target is None:
        return array
    with np.errstate(over="ignore"):
        return array.astype(target)


@lru_cache
def _narrowed(dtype: np.dtype) -> str | None:
    return _NARROWED.get(dtype.name)  # NumPy takes its time to make the name


def real_of(*arrays: np.ndarray) -> np.dtype:
    """What NumPy computes in: float64 if an array is (errors are measured so), else float32."""
    return np.dtype(np.float64 if any(a.dtype == np.float64 for a in arrays) else np.float32)

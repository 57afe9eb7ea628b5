"""Dtypes that tensors are kept in, and that nothing computes in: int8, float16, strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType
from fanlight.tensor.caller import caller

STORED = ("int8", "float16", STRING)
WIDENED = {"int8": "int32", "float16": "float32"}


def strings(value: Any) -> np.ndarray | None:
    """An array of str objects, or None. Bytes are read as UTF-8."""
    array = np.array(value, dtype=object)
    for i, part in enumerate(array.flat):
        if isinstance(part, bytes):
            array.flat[i] = part.decode("utf-8", "replace")
        elif not isinstance(part, str):
            return None
        elif type(part) is not str:
            array.flat[i] = str(part)  # NumPy's kind of it
    return array


def array(array: np.ndarray, name: str | None) -> np.ndarray:
    """An array in a dtype that only stores. Numbers saturate in int8, and round in float16."""
    if name == "int8":
        whole = rows.evaluate("cast", [array.astype(np.float64)], {"dtype": "int32"})[0]
        return np.clip(whole, -128, 127).astype(np.int8)
    with np.errstate(over="ignore"):
        return array.astype(np.float16 if name == "float16" else object)


def refuse(type: TensorType) -> None:
    """E-TENSOR-022 for what a traced function cannot hold."""
    if type.dtype not in STORED:
        return
    wide = WIDENED.get(type.dtype)
    raise FanlightError(
        "E-TENSOR-022",
        "no traced function computes with a tensor of this dtype.",
        where=caller(),
        expected="float32, int32, bool, uint8",
        received=str(type),
        next=f'cast it before: fl.cast(x, "{wide}").'
        if wide
        else "WebAssembly has no strings: turn them into numbers before, as "
        "fl.string.to_hash_bucket_fast does.",
    )


def check_cast(type: TensorType, name: str, *, traced: bool) -> None:
    """Whether a tensor can be cast to or from a dtype that only stores; E-OP-003, E-TENSOR-022."""
    if traced:
        refuse(TensorType(type.shape, name))
    if STRING in (name, type.dtype):
        raise FanlightError(
            "E-OP-003",
            "a cast makes no strings of numbers, and no numbers of strings.",
            where=f"cast, {caller()}",
            expected="numbers",
            received=f"{type} to {name}",
            next="use x.numpy() and Python's float() or str().",
        )


def are_strings(types: Sequence[TensorType]) -> bool:
    """Whether all are of strings; E-OP-003 if some are."""
    names = {t.dtype for t in types}
    if STRING in names and len(names) > 1:
        raise FanlightError(
            "E-OP-003",
            "strings and numbers do not go together.",
            where=caller(),
            expected="strings alone, or numbers alone",
            received=", ".join(map(str, types)),
            next="fl.string has functions that make numbers of strings.",
        )
    return STRING in names

"""Checks that shape and dtype rules share. Each raises a coded error that names op and argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.ops.types import TensorType

FLOATS = ("float32",)
NUMBERS = ("float32", "int32")
BOOLS = ("bool",)
ANY = ("float32", "int32", "bool", "uint8")
# What can be moved about; strings by NumPy alone, since no graph takes them.
MOVED = (*ANY, STRING)


def dtype_error(op: str, argument: str, expected: object, received: object) -> FanlightError:
    """E-OP-003: an input has a dtype that the op does not take."""
    return FanlightError(
        "E-OP-003",
        f"{op} cannot take {argument} of this dtype.",
        where=f"{op} {argument}",
        expected=expected,
        received=received,
        next="cast it first.",
    )


def shape_error(op: str, argument: str, expected: object, received: object) -> FanlightError:
    """E-OP-004: the shape of an input does not fit."""
    return FanlightError(
        "E-OP-004",
        f"{op} cannot take {argument} of this shape.",
        where=f"{op} {argument}",
        expected=expected,
        received=received,
    )


def attr_error(op: str, attr: str, expected: object, received: object) -> FanlightError:
    """E-OP-005: an attribute has a value that the op does not allow."""
    return FanlightError(
        "E-OP-005",
        f"{op} does not allow this value of {attr}.",
        where=f"{op} {attr}",
        expected=expected,
        received=repr(received),
    )


def static(op: str, types: Sequence[TensorType]) -> None:
    """Refuse symbolic dims. Who takes some is asked at known sizes (ops/symbols.py)."""
    for index, type in enumerate(types):
        if not type.static:
            raise FanlightError(
                "E-OP-007",
                f"{op} needs inputs of fixed size.",
                where=f"{op} input {index}",
                expected="a number for every dim",
                received=type,
                next="build it for a fixed size; resize_image brings an image to one.",
            )


def dtype(op: str, argument: str, type: TensorType, allowed: Sequence[str]) -> None:
    """The dtype of an input is one of `allowed`."""
    if type.dtype not in allowed:
        raise dtype_error(op, argument, " or ".join(allowed), type)


def rank(op: str, argument: str, type: TensorType, wanted: int, dims: str = "") -> None:
    """The input has `wanted` dims; `dims` says which, e.g. "[N, H, W, C]"."""
    if type.rank != wanted:
        raise shape_error(op, argument, f"{wanted} dims {dims}".strip(), type)


def tensor(
    op: str,
    argument: str,
    type: TensorType,
    allowed: Sequence[str],
    wanted: int | None = None,
    dims: str = "",
) -> None:
    """Static, of an allowed dtype, and of the wanted rank."""
    static(op, [type])
    dtype(op, argument, type, allowed)
    if wanted is not None:
        rank(op, argument, type, wanted, dims)


def is_int(value: Any, low: int | None = None, high: int | None = None) -> bool:
    """An int (no bool) from `low` to `high`, both included."""
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and (low is None or value >= low)
        and (high is None or value <= high)
    )


def integer(op: str, attrs: Mapping[str, Any], name: str, low: int, high: int | None = None) -> int:
    """The attribute as an int from `low` to `high`."""
    value = attrs[name]
    if not is_int(value, low, high):
        limits = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
        raise attr_error(op, name, limits, value)
    return value


def integers(
    op: str,
    attrs: Mapping[str, Any],
    name: str,
    count: int | None,
    low: int | None = None,
    high: int | None = None,
) -> tuple[int, ...]:
    """The attribute as a tuple of `count` ints from `low` to `high`."""
    value = attrs[name]
    fits = isinstance(value, tuple) and all(is_int(v, low, high) for v in value)
    if not fits or (count is not None and len(value) != count):
        many = "integers" if count is None else f"{count} integers"
        limits = "" if low is None else f" >= {low}" if high is None else f" from {low} to {high}"
        raise attr_error(op, name, f"{many}{limits}", value)
    return value


def pairs(op: str, attrs: Mapping[str, Any], name: str, count: int) -> tuple[tuple[int, int], ...]:
    """The attribute as `count` pairs (before, after) of ints >= 0."""
    value = attrs[name]
    fits = (
        isinstance(value, tuple)
        and len(value) == count
        and all(isinstance(p, tuple) and len(p) == 2 for p in value)
        and all(is_int(n, 0) for p in value for n in p)
    )
    if not fits:
        raise attr_error(op, name, f"{count} pairs (before, after) of integers >= 0", value)
    return value


def number(op: str, attrs: Mapping[str, Any], name: str, *, finite: bool = True) -> float:
    """The attribute as a number; infinities only if `finite` is False, NaN never."""
    value = attrs[name]
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or value != value or (finite and not isfinite(value)):
        raise attr_error(op, name, "a finite number" if finite else "a number", value)
    return value


def choice(op: str, attrs: Mapping[str, Any], name: str, allowed: Sequence[Any]) -> Any:
    """The attribute as one of `allowed`."""
    value = attrs[name]
    if not any(type(value) is type(a) and value == a for a in allowed):
        raise attr_error(op, name, " or ".join(map(repr, allowed)), value)
    return value


def flag(op: str, attrs: Mapping[str, Any], name: str) -> bool:
    """The attribute as True or False."""
    return choice(op, attrs, name, (False, True))


def axis(op: str, attrs: Mapping[str, Any], name: str, type: TensorType) -> int:
    """The attribute as a dim of `type`, counted from the front; -1 is the last."""
    value = attrs[name]
    if not is_int(value, -type.rank, type.rank - 1):
        raise attr_error(op, name, f"a dim of {type}: {-type.rank} to {type.rank - 1}", value)
    return value % type.rank


def axes(
    op: str, attrs: Mapping[str, Any], name: str, type: TensorType, *, low: int | None = None
) -> tuple[int, ...]:
    """The attribute as different dims of `type`, sorted; negative ones unless `low` is 0."""
    least = -type.rank if low is None else low
    values = integers(op, attrs, name, None, least, type.rank - 1)
    found = sorted({v % type.rank for v in values})
    if len(found) != len(values):
        raise attr_error(op, name, "every dim at most once", attrs[name])
    return tuple(found)

"""Whole numbers bit by bit."""

from __future__ import annotations

from typing import Any

from fanlight.tensor.core import Tensor, apply, binary, promoted, tensor


def _bits(op: str, logical: str, a: Any, b: Any) -> Tensor:
    """An op of bits; of truth values its logical twin."""
    both = tensor(a), tensor(b)
    return binary(logical if all(x.dtype == "bool" for x in both) else op, a, b)


def bitwise_and(a: Any, b: Any) -> Tensor:
    """The bits that a and b both have (int32); of truth values logical_and."""
    return _bits("bitwise_and", "logical_and", a, b)


def bitwise_or(a: Any, b: Any) -> Tensor:
    """The bits that a or b has (int32); of truth values logical_or."""
    return _bits("bitwise_or", "logical_or", a, b)


def bitwise_xor(a: Any, b: Any) -> Tensor:
    """The bits that either a or b has, but not both (int32); of truth values not_equal."""
    return _bits("bitwise_xor", "not_equal", a, b)


def bitwise_not(x: Any) -> Tensor:
    """Every bit turned: -1 - x (int32); of truth values logical_not."""
    x = tensor(x)
    result: Tensor = apply("logical_not" if x.dtype == "bool" else "bitwise_not", x)
    return result


def invert(x: Any) -> Tensor:
    """bitwise_not, under NumPy's name."""
    return bitwise_not(x)


def left_shift(a: Any, b: Any) -> Tensor:
    """a * 2^b, its low 32 bits (int32); b modulo 32."""
    return binary("left_shift", a, b, "uint8")


def right_shift(a: Any, b: Any, logical: bool = False) -> Tensor:
    """a / 2^b rounded down (int32), b modulo 32; logical: zeros are shifted in, not the sign."""
    result: Tensor = apply("right_shift", *promoted(a, b, least="uint8"), logical=logical)
    return result

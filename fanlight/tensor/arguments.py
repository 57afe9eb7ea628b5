"""What functions take beside tensors: numbers, flags, lists, functions; and how they refuse others.

A whole number is whatever Python can count with: its own, NumPy's, a tensor of one whole number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from operator import index
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor.caller import caller


def refused(
    function: str, argument: str, expected: object, received: object, next: str | None = None
) -> FanlightError:
    """E-OP-005: an argument has a value that the function does not allow."""
    return FanlightError(
        "E-OP-005",
        f"{function} does not allow this value of {argument}.",
        where=f"{function} {argument}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
        next=next,
    )


def misfit(function: str, argument: str, expected: object, received: Any) -> FanlightError:
    """E-OP-004: a tensor (or its type) has a shape that the function does not take."""
    return FanlightError(
        "E-OP-004",
        f"{function} cannot take {argument} of this shape.",
        where=f"{function} {argument}, {caller()}",
        expected=expected,
        received=str(getattr(received, "type", received))[:200],
    )


def as_whole(value: Any) -> int | None:
    """A whole number of any kind; None if it is none. Truth values are none."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return index(value)
    except (TypeError, ValueError):
        return None


def as_wholes(value: Any) -> tuple[int, ...] | None:
    """Several whole numbers, in a list, a tuple, an array or a tensor of one dim; None if not."""
    if not isinstance(value, list | tuple) and getattr(value, "ndim", None) != 1:
        return None
    found = [as_whole(part) for part in value]
    return None if None in found else tuple(found)  # type: ignore[arg-type]  # looked at


def whole_number(
    function: str, argument: str, value: Any, low: int | None = 0, high: int | None = None
) -> int:
    """A whole number from `low` to `high`, both included; E-OP-005."""
    found = as_whole(value)
    if found is None or (low is not None and found < low) or (high is not None and found > high):
        limits = "" if low is None else f" from {low} on" if high is None else f", {low} to {high}"
        raise refused(function, argument, f"a whole number{limits}", value)
    return found


def real_number(
    function: str, argument: str, value: Any, low: float = -inf, high: float = inf
) -> float:
    """One number from `low` to `high`, both included, no NaN; E-OP-005."""
    limits = f", {low} to {high}" if high < inf else f" from {low} on" if low > -inf else ""
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        value = np.asarray(value)[()]  # which refuses a tensor that a gradient depends on
    many = isinstance(value, list | tuple) or np.ndim(value)
    if many or isinstance(value, str | bytes | complex | np.complexfloating):
        raise refused(function, argument, f"a number{limits}", value)
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not low <= found <= high:
        raise refused(function, argument, f"a number{limits}", value)
    return found


def flag(function: str, argument: str, value: Any) -> bool:
    """True or False; E-OP-005."""
    if value is None or isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise refused(function, argument, "True or False", value)


def choice(function: str, argument: str, value: Any, allowed: Sequence[str]) -> str:
    """One of some words; E-OP-005."""
    if not isinstance(value, str) or value not in allowed:
        raise refused(function, argument, " or ".join(map(repr, allowed)), value)
    return value


def listed(function: str, argument: str, value: Any, example: str) -> list[Any]:
    """What is given as a list or tuple; E-OP-005, also for an array, which is one thing."""
    if not isinstance(value, list | tuple):
        raise refused(function, argument, "a list", value, f"give it as {example}.")
    return list(value)


def by_place(function: str, options: Mapping[str, Any]) -> None:
    """E-OP-005 for arguments by name, which what the function gives back does not take."""
    if options:
        raise refused(
            f"what fl.{function} gives",
            "its arguments",
            "arguments by position",
            ", ".join(options),
            f"hold it fixed: fl.{function}(functools.partial(f, {next(iter(options))}=...)).",
        )


def function_of(function: str, argument: str, value: Any) -> Any:
    """What is to be called; E-OP-005."""
    if not callable(value):
        raise refused(
            function,
            argument,
            "a function",
            value,
            f"hand the function in, not its result: fl.{function}(f), not fl.{function}(f(x)).",
        )
    return value

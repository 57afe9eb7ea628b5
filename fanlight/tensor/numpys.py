"""What NumPy's functions get where they are given tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fanlight.errors import FanlightError, MissingError
from fanlight.tensor.calls import state
from fanlight.tensor.core import Tensor, caller

# Those that would call a method of ours, with an `out` that it does not take.
_METHODS = ("all", "any", "max", "mean", "min", "prod", "sum")


def called(function: Any, x: Tensor, given: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """What a function of NumPy gives of arrays in the place of tensors; E-TENSOR-009."""
    if function.__name__ in _METHODS:
        raise refused(function.__name__, x)
    positional = [arrays(v, function) for v in given]
    return function(*positional, **{k: arrays(v, function) for k, v in options.items()})


def refused(name: str, x: Tensor) -> FanlightError:
    """E-TENSOR-009: a function of NumPy does not take tensors."""
    return FanlightError(
        "E-TENSOR-009",
        f"NumPy's {name} does not take tensors.",
        where=caller(),
        expected="functions of fanlight, or arrays",
        received=str(x.type),
        next=f"use fl.{name} if there is one, or give it x.numpy().",
    )


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_tensors, value))
    return isinstance(value, Tensor)


def arrays(value: Any, function: Any) -> Any:
    """Arrays for tensors, also for those in lists and tuples.

    Raises:
        FanlightError: E-TENSOR-009 a tape wants the tensor, and would not hear of what NumPy does.
    """
    if isinstance(value, list | tuple) and _holds_tensors(value):
        return [arrays(v, function) for v in value]
    if not isinstance(value, Tensor):
        return value
    parts = getattr(value, "parts", (value,))  # of a complex one
    if any(listener.wants(p) for listener in state.listeners for p in parts):
        name = getattr(function, "__name__", "a function")
        raise FanlightError(
            "E-TENSOR-009",
            f"NumPy's {name} was given a tensor that a gradient depends on.",
            where=caller(),
            expected="functions of fanlight, which gradients know",
            received=str(value.type),
            next="give it x.numpy(), a constant for the gradient; or use "
            + ("the function of fanlight." if function is None else f"fl.{name}, if there is one."),
        )
    return value.numpy()


def not_assigned(x: Tensor, name: str) -> MissingError:
    """E-TENSOR-021: only what `fl.variable` gives is assigned, outside of traced functions."""
    return MissingError(
        "E-TENSOR-021",
        "a variable stands for its numbers while a function is traced or derived."
        if x.traced
        else "tensors do not change; only variables are assigned.",
        where=f"{name}, {caller()}",
        expected="functions that give back what they change"
        if x.traced
        else "what fl.variable gives",
        received=str(x.type),
        next="return the new value, and assign it outside: v.assign(step(v, x)).",
    )

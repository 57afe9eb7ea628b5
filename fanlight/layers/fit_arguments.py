"""What fit, evaluate and predict take as numbers, flags and callbacks: E-TRAIN-007 for all else."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers.callback import Callback, CallbackList
from fanlight.layers.foreign import instead, of_keras
from fanlight.tensor.caller import caller


def wrong(name: str, expected: str, received: Any, next: str | None = None) -> FanlightError:
    """E-TRAIN-007 of an argument."""
    return FanlightError(
        "E-TRAIN-007",
        f"this is no {name}.",
        where=f"{name}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
        next=next,
    )


def whole(name: str, value: Any, least: int) -> int:
    """A whole number from `least` on: Python's, or one of NumPy."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise wrong(name, f"a whole number from {least} on", value)
    return int(value)


def maybe(name: str, value: Any) -> int | None:
    """A whole number from 1 on, or None."""
    return None if value is None else whole(name, value, 1)


def epochs(value: Any, initial: Any) -> tuple[int, int]:
    """How many epochs there are, and the number of the first one."""
    count, first = whole("epochs", value, 0), whole("initial_epoch", initial, 0)
    if first > count:
        raise wrong(
            "initial_epoch",
            f"a number up to epochs={count}",
            first,
            "epochs is the number of the last one, not how many more there are.",
        )
    return count, first


def share(value: Any) -> float:
    """validation_split: 0, or a share below 1."""
    if value is None:
        return 0.0
    right = isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < 1
    if not right:
        raise wrong("validation_split", "a number from 0 on, and below 1", value)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """True or False, of NumPy too, or 0 and 1."""
    try:
        if value in (0, 1):
            return bool(value)
    except ValueError:  # an array
        pass
    raise wrong(name, "True or False", value)


def verbosity(value: Any) -> Any:
    """How much is told: "auto", 0, 1 or 2."""
    try:
        if value == "auto" or value in (0, 1, 2):
            return value if value == "auto" else int(value)
    except ValueError:  # an array
        pass
    raise wrong("verbose", '"auto", 0, 1 or 2', value)


def unpacked(name: str, data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample_weight of a tuple or a list of one to three parts, or of x alone.

    None stands for what is not there. Source: keras.utils.unpack_x_y_sample_weight.
    """
    parts = tuple(data) if isinstance(data, tuple | list) else (data,)
    if not 1 <= len(parts) <= 3:
        expected = "x, (x, y), (x, y, sample_weight), or a dataset"
        raise wrong(name, expected, f"{len(parts)} parts")
    x, y, weight = (*parts, None, None)[:3]
    return x, y, weight


def callbacks(value: Any) -> list[Callback]:
    """Callbacks: a list of them, or one."""
    if value is None:
        return []
    given = list(value) if isinstance(value, list | tuple) else [value]
    found: list[Callback] = []
    for part in given:
        if isinstance(part, CallbackList):
            found += part.parts
        elif isinstance(part, list | tuple):
            found += callbacks(part)
        elif isinstance(part, Callback):
            found.append(part)
        else:
            raise wrong("callback", "objects of fl.callbacks, in a list", part, _instead(part))
    return found


def _instead(part: Any) -> str | None:
    if of_keras(part):
        return instead(part)
    name = getattr(part, "__name__", "")
    if isinstance(part, type) and issubclass(part, Callback):
        return f"a class is no callback yet: {name}(), with parentheses."
    if isinstance(part, type):
        return "derive the class from fl.callbacks.Callback, and give an object of it."
    if callable(part):
        name = name if name.isidentifier() else "function"
        return f"a function becomes one: fl.callbacks.LambdaCallback(on_epoch_end={name})."
    return "derive its class from fl.callbacks.Callback."


def validated(often: Any) -> Any:
    """validation_freq as a function: is there validation after this epoch, counted from 1?"""
    if isinstance(often, Collection) and not isinstance(often, str | bytes):
        numbers = {whole("validation_freq", n, 1) for n in often}
        return lambda epoch: epoch in numbers
    every = whole("validation_freq", often, 1)
    return lambda epoch: epoch % every == 0


__all__ = [
    "callbacks",
    "epochs",
    "flag",
    "maybe",
    "share",
    "unpacked",
    "validated",
    "verbosity",
    "whole",
    "wrong",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

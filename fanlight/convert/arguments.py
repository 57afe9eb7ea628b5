"""What `convert` is told, before anything is read or written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from fanlight.errors import FanlightError


def _text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


# argument -> whether a value of it makes sense, and what does
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "to": (_text, "a text, such as 'onnx'"),
    "from_": (_text, "a text, such as 'keras'"),
    "signature": (_text, "a text"),
    "inputs": (_names, "a list of names"),
    "outputs": (_names, "a list of names"),
    "tags": (lambda v: isinstance(v, str) or _names(v), "a text, or a list of texts"),
    "dynamic": (lambda v: v is None or _names(v), "['batch'], [] or None"),
    "metadata": (
        lambda v: v is None or (isinstance(v, Mapping) and all(isinstance(k, str) for k in v)),
        "a dict by texts",
    ),
    "structured_outputs": (lambda v: isinstance(v, bool), "True or False"),
    "strip_debug_ops": (lambda v: isinstance(v, bool), "True or False"),
    "check": (lambda v: isinstance(v, bool), "True or False"),
    "opset": (
        lambda v: v is None or (isinstance(v, int) and not isinstance(v, bool)),
        "a version of ONNX, 17 to 21",
    ),
    "shard_bytes": (
        lambda v: isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= 1 << 31,
        "a whole number of 1 to 2**31",
    ),
}


def check_arguments(told: Mapping[str, Any], destination: Any) -> None:
    """E-CONVERT-002 for an argument that is not of its kind."""
    if not isinstance(destination, str | os.PathLike) or not str(destination):
        raise _wrong("destination", "a path", destination)
    for name, value in told.items():
        right, expected = _RULES[name]
        if not right(value):
            raise _wrong(name, expected, value)


def _wrong(name: str, expected: str, received: Any) -> FanlightError:
    return FanlightError(
        "E-CONVERT-002",
        f"{name} is not of the kind that it should be.",
        where=f"fl.convert, {name}",
        expected=expected,
        received=repr(received)[:80],
        next=f"give {name} as {expected}, or leave it out.",
    )

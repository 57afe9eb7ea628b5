"""What makes functions of tensors take stand-ins, too: what `fl.Input` and layers give."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from fanlight.layers.symbolic import Symbolic
from fanlight.tensor import Tensor
from fanlight.tensor.caller import hands_on

Function = TypeVar("Function", bound=Callable[..., Any])

# Functions of rooms of fl, by the names that operations have for them: "losses.hinge".
FUNCTIONS: dict[str, Callable[..., Any]] = {}
_HOLDERS = (Symbolic, list, tuple)  # what may be a stand-in, or hold some


def either(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that becomes a layer where it is called with stand-ins.

    Args:
        name: that of the function in the table of operations.
    """

    # Functions of tensors are called often: the classes of arguments are looked at, no more.
    @functools.wraps(function)
    @hands_on
    def called(*args: Any, **options: Any) -> Any:
        for value in args:
            kind = type(value)
            if kind is not Tensor and issubclass(kind, _HOLDERS) and _stands(value):
                return _layer(name, args, options)
        if options:
            for value in options.values():
                if _stands(value):
                    return _layer(name, args, options)
        return function(*args, **options)

    return called


def standing(room: str) -> Callable[[Function], Function]:
    """Let a function of a room of fl, "losses", take stand-ins: `@standing("losses")` above it."""

    def wrapped(function: Function) -> Function:
        path = f"{room}.{function.__name__}"
        FUNCTIONS[path] = function
        made = either(path, function)
        if function.__module__.startswith("fanlight.tensor."):  # pickles look where it is
            made.__module__ = f"fanlight.layers.{room}"
        return cast(Function, made)

    return wrapped


def _stands(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(isinstance(v, Symbolic) for v in value)
    return isinstance(value, Symbolic)


def _layer(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    from fanlight.layers.operations import symbolic_call

    return symbolic_call(name, args, options)


__all__ = ["FUNCTIONS", "either", "standing"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

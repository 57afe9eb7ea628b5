"""Where in the user's code something happened."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, cast

PACKAGE = str(Path(__file__).resolve().parent.parent)
# The package of commands, each in a module of its name: what called those is a library.
_COMMANDS = "fanlight.cli."
_SHARED = "fanlight.cli.options"  # wraps several of them


# Modules of functions that are called fl.MODULE.NAME.
_MODULES = ("fused", "image", "linalg", "losses", "random", "signal", "string")


# Functions that hand a call on: what they call is what the user's code called.
_HANDING_ON: set[CodeType] = set()


def hands_on(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that only hands a call of the user's on to another."""
    _HANDING_ON.add(cast(FunctionType, function).__code__)
    return function


def _frames() -> tuple[FrameType, FrameType]:
    """The last frame of the user's code, and the one that it called."""
    frame = called = sys._getframe(1)
    while frame.f_code.co_filename.startswith(PACKAGE) and frame.f_back is not None:
        if frame.f_code not in _HANDING_ON and frame.f_globals.get("__name__") != _SHARED:
            called = frame
        frame = frame.f_back
    return frame, called


def caller() -> str:
    """The line of the user's code that led here: "file.py:12"; of a command "fanlight convert"."""
    return _line(*_frames())


def _line(frame: FrameType, called: FrameType) -> str:
    """The line of a frame of the user's code, by what it called: a command line has no line."""
    module = str(called.f_globals.get("__name__", ""))
    if module.startswith(_COMMANDS):
        return f"fanlight {module.removeprefix(_COMMANDS)}"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def warn(told: str) -> None:
    """A warning at the line of the user's code that led here."""
    frame, _ = _frames()
    level, at = 1, sys._getframe()
    while at is not frame and at.f_back is not None:
        level, at = level + 1, at.f_back
    warnings.warn(told, stacklevel=level)


def place() -> str:
    """What the user's code called, and where: "fl.relu, file.py:12"; of operators "add, ...".

    Without what is called where that has no name.
    """
    frame, called = _frames()
    name = function_called()
    if not name and called is not frame:
        # One of those that are made from a row has it among its variables.
        name = str(called.f_locals.get("op", called.f_code.co_name.strip("_")))
    line = _line(frame, called)
    return f"{name}, {line}" if name.isidentifier() or "." in name else line


def function_called() -> str:
    """The function that the user's code called, such as "fl.layer_norm"; "" if it has no name."""
    _, frame = _frames()
    name = frame.f_code.co_name
    found = frame.f_globals.get(name)
    found = getattr(found, "__wrapped__", found)  # of one that takes stand-ins, too
    known = getattr(found, "__code__", None) is frame.f_code
    if not known or name.startswith("_"):
        return ""
    module = str(frame.f_globals["__name__"]).rpartition(".")[2]
    return f"fl.{module}.{name}" if module in _MODULES else f"fl.{name}"

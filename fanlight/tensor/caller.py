"""Where in the user's code something happened."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import FrameType

PACKAGE = str(Path(__file__).resolve().parent.parent)


# Modules of functions that are called fl.MODULE.NAME.
_MODULES = ("fused", "image", "linalg", "losses", "random", "signal", "string")


def _frames() -> tuple[FrameType, FrameType]:
    """The last frame of the user's code, and the one that it called."""
    frame = called = sys._getframe(1)
    while frame.f_code.co_filename.startswith(PACKAGE) and frame.f_back is not None:
        frame, called = frame.f_back, frame
    inner = called.f_locals.get("function")
    if called.f_code.co_name == "either" and inner is not None:  # fl's functions of stand-ins
        at: FrameType | None = sys._getframe(1)
        while at is not None and at.f_back is not called:
            at = at.f_back
        called = at or called
    return frame, called


def caller() -> str:
    """The line of the user's code that led here: "file.py:12"."""
    frame, _ = _frames()
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
    line = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
    return f"{name}, {line}" if name.isidentifier() or "." in name else line


def function_called() -> str:
    """The function that the user's code called, such as "fl.layer_norm"; "" if it has no name."""
    _, frame = _frames()
    name = frame.f_code.co_name
    known = getattr(frame.f_globals.get(name), "__code__", None) is frame.f_code
    if not known or name.startswith("_"):
        return ""
    module = str(frame.f_globals["__name__"]).rpartition(".")[2]
    return f"fl.{module}.{name}" if module in _MODULES else f"fl.{name}"

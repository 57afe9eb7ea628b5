"""Where in the user's code something happened."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE = str(Path(__file__).resolve().parent.parent)


def caller() -> str:
    """The line of the user's code that led here: "file.py:12"."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"

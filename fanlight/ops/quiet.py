"""NumPy without its warnings: overflow gives infinity and 0 / 0 NaN, as everywhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import numpy as np


class _Quiet(threading.local):
    """A context of each thread in which NumPy does not warn."""

    def __init__(self) -> None:
        self.context = copy_context()
        self.context.run(np.seterr, all="ignore")


_quiet = _Quiet()


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that only computes with NumPy, without its warnings.

    `np.errstate` costs more than a small ufunc; it is a context variable, so a context that holds
    it once and for all does as well. A context cannot be entered twice: no function inside.
    """
    return _quiet.context.run(function, *args)

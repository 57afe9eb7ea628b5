"""How much a step may take: threads, and memory."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.hosts.wasmtime import MOST_THREADS
from fanlight.tensor.caller import caller

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def counted(threads: Any) -> int | None:
    """A number of threads that somebody asked for; None for "auto".

    Raises:
        FanlightError: E-TRAIN-001 it is none.
    """
    if isinstance(threads, str) and threads == "auto":
        return None
    whole = isinstance(threads, (int, np.integer)) and not isinstance(threads, bool)
    if whole and 1 <= threads <= MOST_THREADS:
        return int(threads)
    raise FanlightError(
        "E-TRAIN-001",
        "compile does not take this number of threads.",
        where=f"threads, {caller()}",
        expected=f'"auto", or 1 to {MOST_THREADS}',
        received=repr(threads)[:100],
    )


def bytes_of(memory: Any, function: str) -> int | None:
    """The bytes of a budget: 64_000_000, "64 MB", "61 MiB"; None for none.

    Raises:
        FanlightError: E-TRAIN-001 it is no size.
    """
    if memory is None:
        return None
    found = 0
    if isinstance(memory, (int, np.integer)) and not isinstance(memory, bool):
        found = int(memory)
    elif isinstance(memory, str):
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?(|[kmg]i?)b?", memory.strip().lower())
        found = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if found < 1:
        raise FanlightError(
            "E-TRAIN-001",
            f"{function} does not take this amount of memory.",
            where=f"memory, {caller()}",
            expected='bytes, or a text such as "64 MB" or "0.5 GiB"',
            received=repr(memory)[:100],
        )
    return found

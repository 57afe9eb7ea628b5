"""Let a process of its own open an HDF5 file first, because libhdf5 can hang or crash."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fanlight.errors import FanlightError
from fanlight.formats.keras import probe_hdf5

# Generous for a busy machine; a healthy file of 100 MB takes half a second.
_SECONDS = 15.0
_BYTES_PER_SECOND = 20e6
# Files that were harmless, as they were then: a conversion reads one as layers and as a graph.
_MOST_KNOWN = 100
_known: dict[tuple[object, ...], None] = {}


def probe(path: Path, where: object, member: str | None = None) -> None:
    """Return if the file is harmless to the C library that reads it.

    Args:
        path: an HDF5 file, or a zip that has one as `member`.

    Raises:
        FanlightError: E-FORMAT-021 if the library fails, crashes or hangs on it.
    """
    if getattr(sys, "frozen", False) or not sys.executable:
        return  # no interpreter that could be started
    state = path.stat()
    file = (str(path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns, member)
    if file in _known:
        return
    command = [sys.executable, "-I", probe_hdf5.__file__, json.dumps(sys.path), str(path)]
    command += [] if member is None else [member]
    limit = _SECONDS + state.st_size / _BYTES_PER_SECOND
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise _damaged(where, f"the HDF5 library did not finish within {limit:.0f} s") from None
    except OSError:
        return  # a platform without processes (a browser, for one)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        crashed = done.returncode < 0
        reason = f"the HDF5 library crashed (signal {-done.returncode})" if crashed else ""
        raise _damaged(where, reason or (lines[-1] if lines else f"status {done.returncode}"))
    if len(_known) >= _MOST_KNOWN:
        _known.pop(next(iter(_known)))
    _known[file] = None


def _damaged(where: object, reason: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-021",
        "the HDF5 file is damaged or is not one.",
        where=where,
        expected="an HDF5 file written by Keras",
        received=reason[:300],
        next="save the model again, or download it again.",
    )

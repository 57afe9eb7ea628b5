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


def probe(path: Path, where: object, member: str | None = None) -> None:
    """Return if the file is harmless to the C library that reads it.

    Args:
        path: an HDF5 file, or a zip that has one as `member`.

    Raises:
        FanlightError: E-FORMAT-021 if the library fails, crashes or hangs on it.
    """
    if getattr(sys, "frozen", False) or not sys.executable:
        return  # no interpreter that could be started
    command = [sys.executable, "-I", probe_hdf5.__file__, json.dumps(sys.path), str(path)]
    command += [] if member is None else [member]
    limit = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
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


def _damaged(where: object, reason: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-021",
        "the HDF5 file is damaged or is not one.",
        where=where,
        expected="an HDF5 file written by Keras",
        received=reason[:300],
        next="save the model again, or download it again.",
    )

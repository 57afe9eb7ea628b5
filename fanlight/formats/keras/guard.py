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


class Probe:
    """A process that opens the file; it is at work from the start, while the caller prepares.

    Args:
        path: an HDF5 file, or a zip that has one as `member`.
    """

    def __init__(self, path: Path, where: object, member: str | None = None) -> None:
        self._where = where
        self._process: subprocess.Popen[bytes] | None = None
        if getattr(sys, "frozen", False) or not sys.executable:
            return  # no interpreter that could be started
        state = path.stat()
        self._file = (str(path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns, member)
        if self._file in _known:
            return
        command = [sys.executable, "-I", probe_hdf5.__file__, json.dumps(sys.path), str(path)]
        command += [] if member is None else [member]
        self._limit = _SECONDS + state.st_size / _BYTES_PER_SECOND
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=null, stdout=null, stderr=pipe)
        except OSError:
            return  # a platform without processes (a browser, for one)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever came between: no process stays behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def wait(self) -> None:
        """Return if the file is harmless to the C library that reads it.

        Raises:
            FanlightError: E-FORMAT-021 if the library fails, crashes or hangs on it.
        """
        if self._process is None:
            return
        try:
            _, told = self._process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            reason = f"the HDF5 library did not finish within {self._limit:.0f} s"
            raise _damaged(self._where, reason) from None
        status = self._process.returncode
        if status:
            lines = told.decode("utf-8", "replace").strip().splitlines()
            crashed = f"the HDF5 library crashed (signal {-status})" if status < 0 else ""
            raise _damaged(self._where, crashed or (lines[-1] if lines else f"status {status}"))
        if len(_known) >= _MOST_KNOWN:
            _known.pop(next(iter(_known)))
        _known[self._file] = None


def probe(path: Path, where: object, member: str | None = None) -> None:
    """`Probe` for who has nothing to do meanwhile.

    Raises:
        FanlightError: E-FORMAT-021 if the library fails, crashes or hangs on the file.
    """
    with Probe(path, where, member) as started:
        started.wait()


def _damaged(where: object, reason: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-021",
        "the HDF5 file is damaged or is not one.",
        where=where,
        expected="an HDF5 file written by Keras",
        received=reason[:300],
        next="save the model again, or download it again.",
    )

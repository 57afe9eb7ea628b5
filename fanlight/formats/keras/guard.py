"""Let a process of its own open an HDF5 file first, because libhdf5 can hang or crash."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from pathlib import Path

from fanlight.errors import FanlightError
from fanlight.formats.contents import HDF5_MAGIC
from fanlight.formats.keras import probe_hdf5

# Generous for a busy machine; a healthy file of 100 MB takes half a second.
_SECONDS = 15.0
_BYTES_PER_SECOND = 20e6
# Files that were harmless, as they were then: a conversion reads one as layers and as a graph.
_MOST_KNOWN = 100
MEMBER = "model.weights.h5"  # of a .keras file
_known: dict[tuple[object, ...], None] = {}
# Processes that were started before somebody reads the file, see `ahead`.
_started: dict[tuple[object, ...], subprocess.Popen[bytes]] = {}


class Probe:
    """A process that opens the file; it is at work from the start, while the caller prepares.

    Args:
        path: an HDF5 file, or a zip that has one as `member`.
    """

    def __init__(self, path: Path, where: object, member: str | None = None) -> None:
        self._where = where
        self._process: subprocess.Popen[bytes] | None = None
        self._file = _identity(path, member)
        if self._file in _known:
            return
        self._limit = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
        self._process = _started.pop(self._file, None) or _start(path, member)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever came between: no process stays behind."""
        if self._process is not None:
            _stop(self._process)

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


def ahead(path: Path) -> None:
    """Start the process for a file that looks like a model of Keras: for whoever reads it soon, and
    has to import the reader first. What is wrong with the file, the reader says.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            return
        with path.open("rb") as file:
            begin = file.read(len(HDF5_MAGIC))
        zipped = begin.startswith(b"PK") and path.suffix.lower() == ".keras"
        if not zipped and begin != HDF5_MAGIC:
            return
        member = MEMBER if zipped else None
        file_id, process = _identity(path, member), _start(path, member)
    except (OSError, ValueError):
        return
    if process is not None:
        _started[file_id] = process
        atexit.register(_stop, process)


def _identity(path: Path, member: str | None) -> tuple[object, ...]:
    """What tells a file from what it was before."""
    state = path.stat()
    return (str(path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns, member)


def _start(path: Path, member: str | None) -> subprocess.Popen[bytes] | None:
    """The process at work; None on a platform without processes (a browser, for one)."""
    if getattr(sys, "frozen", False) or not sys.executable:
        return None  # no interpreter that could be started
    command = [sys.executable, "-I", probe_hdf5.__file__, json.dumps(sys.path), str(path)]
    command += [] if member is None else [member]
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=null, stdout=null, stderr=pipe)
    except OSError:
        return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()


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

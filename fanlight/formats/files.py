"""Touching the disk: regular files only, sizes checked first, and no way out of the folder."""

from __future__ import annotations

import mmap
import re
import stat
from pathlib import Path, PurePosixPath

import numpy as np

from fanlight.errors import FanlightError

_LARGE = 1 << 20  # bytes that are worth giving back
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def regular_size(path: Path, code: str, what: str) -> int:
    """Bytes of a regular file.

    Devices and pipes are refused: reading them may never end.

    Raises:
        FanlightError: `code` if there is no such file or it is not a regular one.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise FanlightError(
            code,
            f"{what} cannot be opened.",
            where=path,
            expected="a file that can be read",
            received=_reason(error),
            next="check the path; a model's files must lie beside each other as downloaded.",
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise FanlightError(
            code,
            f"{what} is not a regular file.",
            where=path,
            expected="a file",
            received="a folder, a pipe or a device",
            next="give the path of a file.",
        )
    return status.st_size


def read_bytes(path: Path, code: str, what: str, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes.

    Raises:
        FanlightError: `code` if it cannot be read, E-FORMAT-004 if it is too large.
    """
    size = _limited_size(path, code, what, limit)
    try:
        with path.open("rb") as file:
            return file.read(size)  # of `limit`, Python would take all the memory at once
    except OSError as error:
        raise FanlightError(
            code,
            f"{what} cannot be read.",
            where=path,
            expected="a file that can be read",
            received=_reason(error),
            next="check its permissions and the disk.",
        ) from None


def _limited_size(path: Path, code: str, what: str, limit: int) -> int:
    size = regular_size(path, code, what)
    if size <= limit:
        return size
    raise FanlightError(
        "E-FORMAT-004",
        f"{what} is too large.",
        where=path,
        expected=f"at most {limit:,} bytes",
        received=f"{size:,} bytes",
        next="is this the right file? Weights belong into separate binary files.",
    )


class Mapped:
    """The bytes of a regular file, read by the system as they are used; nothing is copied.

    Attributes:
        view: all of them.
    """

    def __init__(self, path: Path, code: str, what: str, limit: int = 1 << 62) -> None:
        """
        Raises:
            FanlightError: `code` if it cannot be read, E-FORMAT-004 if it is larger than `limit`.
        """
        self._map: mmap.mmap | None = None
        self.view = memoryview(b"")
        self._start = 0
        if not _limited_size(path, code, what, limit):
            return
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.view = memoryview(self._map)
        self._start = _address(np.frombuffer(self.view[:1], np.uint8))

    def forget(self, part: np.ndarray | memoryview) -> None:
        """Give back the memory of a large part that was used; the next use reads it again."""
        if part.nbytes < _LARGE or self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        array = np.frombuffer(part, np.uint8) if isinstance(part, memoryview) else part
        start = _address(array) - self._start
        if not 0 <= start <= start + array.nbytes <= len(self._map):
            return  # it is of another file, or a copy
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (start + array.nbytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
        if length > 0:
            self._map.madvise(mmap.MADV_DONTNEED, first, length)

    def close(self) -> None:
        """Let go of the file; what still refers to it (an error's frames) keeps it open."""
        try:
            self.view.release()
            if self._map is not None:
                self._map.close()
        except BufferError:
            pass


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def inside(folder: Path, name: object, where: object) -> Path:
    """`folder / name` for a name that came from a file; it must stay inside the folder.

    Raises:
        FanlightError: E-FORMAT-010 for absolute paths, `..`, drive letters, backslashes, URLs.
    """
    if not isinstance(name, str) or not name or "\0" in name or len(name) > 1024:
        raise FanlightError(
            "E-FORMAT-005",
            "a file name in the model is not a name.",
            where=where,
            expected="a relative path",
            received=repr(name)[:80],
        )
    parts = PurePosixPath(name).parts
    if _URL.match(name):
        raise FanlightError(
            "E-FORMAT-010",
            "the model keeps its weights at a URL; importing reads local files only.",
            where=where,
            expected="a path relative to the model's folder",
            received=name,
            next="download the weight files beside model.json and name them there.",
        )
    if name.startswith("/") or ".." in parts or "\\" in name:
        raise FanlightError(
            "E-FORMAT-010",
            "a path in the model leads out of its folder.",
            where=where,
            expected="a path relative to the model's folder, without '..'",
            received=name,
            next="do not trust this file, or move its weights beside model.json.",
        )
    return folder.joinpath(*parts)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

"""Touching the disk: regular files only, sizes checked first, and no way out of the folder."""

from __future__ import annotations

import re
import stat
from pathlib import Path, PurePosixPath

from fanlight.errors import FanlightError

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
    size = regular_size(path, code, what)
    if size > limit:
        raise FanlightError(
            "E-FORMAT-004",
            f"{what} is too large.",
            where=path,
            expected=f"at most {limit:,} bytes",
            received=f"{size:,} bytes",
            next="is this the right file? Weights belong into separate binary files.",
        )
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise FanlightError(
            code,
            f"{what} cannot be read.",
            where=path,
            expected="a file that can be read",
            received=_reason(error),
            next="check its permissions and the disk.",
        ) from None


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

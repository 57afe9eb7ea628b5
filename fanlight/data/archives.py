"""The files of a folder or an archive, by their names, without unpacking anything.

Archives may come from strangers. Nothing is written to disk, links are not followed, names that
lead out are refused, and sizes are bounded before and while bytes are unpacked.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fanlight.errors import FanlightError

MOST_OF_ONE = 64 << 20  # bytes of one file: a photo of 100 megapixels has less
MOST_IN_MEMORY = 2 << 30  # bytes of a compressed tar, which cannot be read from the middle
MOST_FILES = 2_000_000
MOST_RATIO = 100  # of unpacked to packed bytes, beyond the first gigabyte

_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}


class Files:
    """Files by their names, which have "/" between folders.

    Attributes:
        where: the folder or archive.
        names: of the files, sorted.
    """

    def __init__(self, where: Path, names: list[str]) -> None:
        self.where, self.names = where, sorted(names)

    def read(self, name: str) -> bytes | Path:
        """The bytes of a file, or where it lies."""
        return self.where / name

    def called(self, name: str) -> str:
        """A file, for people."""
        return str(self.where / name)


class _Packed(Files):
    def called(self, name: str) -> str:
        return f"{name} in {self.where}"


class _Zip(_Packed):
    def __init__(self, where: Path, archive: zipfile.ZipFile, members: dict[str, Any]) -> None:
        super().__init__(where, list(members))
        self.archive, self.members = archive, members
        weakref.finalize(self, archive.close)

    def read(self, name: str) -> bytes:
        try:
            with self.archive.open(self.members[name]) as file:
                data = file.read(MOST_OF_ONE + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as e:
            raise damaged(self.called(name), str(e)) from e
        except NotImplementedError as e:
            raise damaged(self.called(name), f"packed in a way that is not known: {e}") from e
        if len(data) > MOST_OF_ONE:
            raise unsafe(self.called(name), f"more than {MOST_OF_ONE >> 20} MiB")
        return data


class _Tar(_Packed):
    """A tar that is not compressed: bytes from their places."""

    def __init__(self, where: Path, members: dict[str, tuple[int, int]]) -> None:
        super().__init__(where, list(members))
        self.members = members
        self.file = open(where, "rb")
        weakref.finalize(self, self.file.close)

    def read(self, name: str) -> bytes:
        start, size = self.members[name]
        if hasattr(os, "pread"):
            data = os.pread(self.file.fileno(), size, start)
        else:
            with open(self.where, "rb") as file:
                file.seek(start)
                data = file.read(size)
        if len(data) != size:
            raise damaged(self.called(name), f"it ends after {len(data)} of {size} bytes")
        return data


class _Held(_Packed):
    """Files that were unpacked into memory."""

    def __init__(self, where: Path, members: dict[str, bytes]) -> None:
        super().__init__(where, list(members))
        self.members = members

    def read(self, name: str) -> bytes:
        return self.members[name]


class _Bounded(io.RawIOBase):
    """What is unpacked, up to a bound."""

    def __init__(self, file: BinaryIO, where: Path) -> None:
        self.file, self.where, self.left = file, where, MOST_IN_MEMORY
        self.last, self.done = b"", 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self.left + 1 if size < 0 else min(size, self.left + 1)
        data = self.file.read(wanted)
        self.left -= len(data)
        if self.left < 0:
            raise unsafe(str(self.where), f"more than {MOST_IN_MEMORY >> 30} GiB, unpacked")
        self.last, self.done = (self.last + data)[-(1 << 16) :], self.done + len(data)
        return data

    def at(self, place: int, size: int) -> bytes:
        """Bytes that were read not long ago."""
        start = place - (self.done - len(self.last))
        return self.last[start : start + size] if start >= 0 else b""


def opened(path: Path, wanted: Callable[[str], bool]) -> Files:
    """The files of a folder or archive whose names are wanted.

    Raises:
        FanlightError: E-DATA-002 there is nothing; E-DATA-005 an archive that is damaged, or that
            would fill the memory, or has names that lead out of it.
    """
    if path.is_dir():
        return Files(path, _walked(path, wanted))
    if not path.is_file():
        raise FanlightError(
            "E-DATA-002",
            "there is no such folder or archive.",
            where=str(path),
            expected="a folder of pictures, or a .zip or .tar of them",
            received="nothing",
            next="check the path; a relative one starts in the working directory.",
        )
    try:
        if zipfile.is_zipfile(path):
            return _zip(path, wanted)
        with open(path, "rb") as file:
            head = file.read(6)
        opener = next((o for magic, o in _OPENERS.items() if head.startswith(magic)), None)
        if opener is not None:
            return _compressed_tar(path, opener, wanted)
        with tarfile.open(path, "r:") as archive:
            found = {
                _safe(m.name, path): (m.offset_data, _size(m.name, m.size, path))
                for m in archive
                if m.isfile() and not m.issparse() and wanted(m.name)
            }
            ended = archive.offset
        with open(path, "rb") as file:
            file.seek(ended)
            _whole(path, file.read(512))
        return _Tar(path, found)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as problem:
        raise damaged(str(path), str(problem)) from problem
    except (EOFError, OSError, ValueError, RecursionError) as problem:
        raise damaged(str(path), str(problem) or type(problem).__name__) from problem


def _walked(path: Path, wanted: Callable[[str], bool]) -> list[str]:
    found = []
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        inside = Path(folder).relative_to(path).as_posix()
        found += [f if inside == "." else f"{inside}/{f}" for f in files]
    return [f for f in found if wanted(f)]


def _zip(path: Path, wanted: Callable[[str], bool]) -> Files:
    archive = zipfile.ZipFile(path)
    try:
        found = _members(path, archive, wanted)
    except BaseException:
        archive.close()
        raise
    return _Zip(path, archive, found)


def _members(
    path: Path, archive: zipfile.ZipFile, wanted: Callable[[str], bool]
) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip, by their names."""
    members = [m for m in archive.infolist() if not m.is_dir() and wanted(m.filename)]
    total, packed = sum(m.file_size for m in members), path.stat().st_size
    if len(members) > MOST_FILES or (total > 1 << 30 and total > MOST_RATIO * packed):
        raise unsafe(str(path), f"{len(members)} files of {total >> 20} MiB, unpacked")
    found = {}
    for m in members:
        _size(m.filename, m.file_size, path)
        if (m.external_attr >> 28) != 0xA:  # no link
            found[_safe(m.filename, path)] = m
    return found


def _compressed_tar(path: Path, opener: Callable[[Any], Any], wanted: Callable[[str], bool]) -> Any:
    found: dict[str, bytes] = {}
    with opener(path) as file:
        bounded: Any = _Bounded(file, path)
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for m in archive:
                if len(found) > MOST_FILES:
                    raise unsafe(str(path), f"more than {MOST_FILES} files")
                if m.isfile() and not m.issparse() and wanted(m.name):
                    _size(m.name, m.size, path)
                    part = archive.extractfile(m)
                    found[_safe(m.name, path)] = part.read() if part is not None else b""
            _whole(path, bounded.at(archive.offset, 512))
    return _Held(path, found)


def _whole(path: Path, end: bytes) -> None:
    """A tar ends with a block of zeros; Python's module passes over it if there is none."""
    if end != bytes(512):
        raise damaged(str(path), "an archive that breaks off, or has a damaged header")


def _safe(name: str, path: Path) -> str:
    """The name of a member without "./"; E-DATA-005 where it leads out of the archive."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".")]
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name[:2]:
        raise unsafe(str(path), f"a file that is called {name!r}")
    return "/".join(parts)


def _size(name: str, size: int, path: Path) -> int:
    if size > MOST_OF_ONE:
        raise unsafe(f"{name} in {path}", f"{size >> 20} MiB")
    return size


def unsafe(where: str, received: str) -> FanlightError:
    """E-DATA-005 of an archive that is not trusted."""
    return FanlightError(
        "E-DATA-005",
        "this archive is not unpacked: it would fill the memory, or leads out of itself.",
        where=where,
        expected=f"files of at most {MOST_OF_ONE >> 20} MiB, with names below the archive",
        received=received[:200],
        next="if you trust it, unpack it yourself, and give the folder.",
    )


def damaged(where: str, received: str) -> FanlightError:
    """E-DATA-005 of an archive that cannot be read."""
    return FanlightError(
        "E-DATA-005",
        "this archive is damaged, or none.",
        where=where,
        expected="a whole .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz",
        received=received[:200],
        next="download it again.",
    )

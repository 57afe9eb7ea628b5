"""Zip archives from strangers: no name leads anywhere, and no member is larger than it says."""

from __future__ import annotations

import io
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fanlight.errors import FanlightError
from fanlight.formats.files import Mapped

# Deflate cannot pack better than about 1,030 to 1.
_MAX_RATIO = 1200
# Members beyond are copied to the disk, a piece at a time, rather than held.
_LARGE = 1 << 26
_PIECE = 1 << 20
_HEAD, _ENCRYPTED = 30, 1  # bytes of a member's own header; a bit of its flags


def members(
    archive: zipfile.ZipFile, path: Path, writer: str, most: int
) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive, once every name is known to be harmless.

    Args:
        writer: who writes such archives, for the message.
        most: how many files there may be.
    """
    infos = archive.infolist()
    if len(infos) > most:
        raise hostile(path, writer, f"at most {most:,} files", f"{len(infos):,} files")
    for info in infos:
        name = info.orig_filename
        outside = name.startswith("/") or ".." in PurePosixPath(name).parts
        if outside or any(c in name for c in "\\\0:"):
            raise hostile(path, writer, "names inside the archive", repr(name)[:120])
    return {info.filename: info for info in infos}


def read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, writer: str, most: int
) -> bytes:
    """The bytes of a member, of which there may be `most`; E-FORMAT-020 if it lies about them."""
    with opened(archive, info, path, writer, most) as file:
        return file.read()


@contextmanager
def opened(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, writer: str, most: int
) -> Iterator[BinaryIO]:
    """A member as a file of its own, all of which is there and has the check sum of the archive.

    Raises:
        FanlightError: E-FORMAT-020 if it has more than `most` bytes, or others than it says.
    """
    with tempfile.TemporaryFile() if info.file_size > _LARGE else io.BytesIO() as copy:
        unpack(archive, info, path, writer, most, copy)
        copy.seek(0)
        yield copy


def unpack(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    path: Path,
    writer: str,
    most: int,
    target: BinaryIO,
) -> None:
    """Write the bytes of a member into `target`, which is empty.

    Raises:
        FanlightError: E-FORMAT-020 if it has more than `most` bytes, or others than it says.
    """
    if info.file_size > min(most, info.compress_size * _MAX_RATIO + 4096):
        raise hostile(
            path,
            writer,
            f"{info.filename} of at most {most:,} bytes, unpacked at most {_MAX_RATIO}-fold",
            f"{info.compress_size:,} packed bytes that claim to be {info.file_size:,}",
        )
    with archive.open(info) as file:
        # zipfile trusts the declared size; one more byte would show a lie.
        while piece := file.read(min(_PIECE, info.file_size + 1 - target.tell())):
            target.write(piece)
    if target.tell() != info.file_size:
        raise hostile(
            path, writer, f"{info.file_size:,} bytes of {info.filename}", f"{target.tell():,}"
        )


def mapped(
    info: zipfile.ZipInfo, path: Path, file: Mapped, writer: str, most: int
) -> memoryview | None:
    """The bytes of a member where they lie in the mapped archive; None if they are packed.

    Raises:
        FanlightError: E-FORMAT-020 if it has more than `most` bytes, or others than it says.
    """
    packed = info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED
    if packed or info.compress_size != info.file_size or info.file_size > most:
        return None  # `opened` says what is wrong
    head = bytes(file.view[info.header_offset : info.header_offset + _HEAD])
    if len(head) < _HEAD or not head.startswith(b"PK\x03\x04"):
        return None
    name, extra = (int.from_bytes(head[i : i + 2], "little") for i in (26, 28))
    start = info.header_offset + _HEAD + name + extra
    data = file.view[start : start + info.file_size]
    total, sizes = 0, len(data)
    for at in range(0, sizes, _LARGE):
        part = data[at : at + _LARGE]
        total = zlib.crc32(part, total)
        file.forget(part)
    if sizes != info.file_size or total != info.CRC:
        raise hostile(path, writer, f"the check sum of {info.filename}", "another one")
    return data


def hostile(path: Path, writer: str, expected: str, received: str) -> FanlightError:
    """E-FORMAT-020 for what no honest archive has."""
    return FanlightError(
        "E-FORMAT-020",
        f"the archive is not what {writer} writes, and looks like an attack.",
        where=path,
        expected=expected,
        received=received,
        next="do not trust this file.",
    )

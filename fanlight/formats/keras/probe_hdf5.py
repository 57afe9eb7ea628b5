"""Run as a program: touch everything in an HDF5 file that the reader will touch.

The C library behind h5py can crash, or loop for ever, on a damaged file; no `except` helps
then. So a process of its own goes first (see guard.py), and only what it survives is read.

Usage: python -I probe_hdf5.py SYS_PATH_AS_JSON FILE [MEMBER_OF_ZIP]
Exit status 0: harmless. Otherwise the last line of stderr says what happened.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import zipfile
from typing import Any

MAX_OBJECTS = 200_000
MAX_BYTES = 1 << 31
LARGE = 1 << 26  # beyond, a member of a zip is copied to the disk


def touch(h5py: Any, root: Any) -> None:
    """Read every attribute, and every dataset whose bytes are not simply there."""
    waiting, seen = [root], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > MAX_OBJECTS:
            raise ValueError("too many objects")
        for name in item.attrs:
            item.attrs.get(name)
        if isinstance(item, h5py.Dataset):
            touch_dataset(item)
        elif isinstance(item, h5py.Group):
            for name in item:
                if isinstance(item.get(name, getlink=True), h5py.HardLink):
                    waiting.append(item[name])


def touch_dataset(data: Any) -> None:
    """The first byte of plain data; all of it where filters and indexes are involved."""
    stored, size = data.id.get_storage_size(), data.size * data.dtype.itemsize
    if data.external or data.is_virtual or size > min(MAX_BYTES, stored * 2000 + 4096):
        return  # the reader refuses these
    if data.chunks is not None or not data.shape:
        data[()]
    elif data.size:
        data[(0,) * len(data.shape)]
        data[tuple(d - 1 for d in data.shape)]


def main(path: str, member: str | None) -> None:
    import h5py

    source: Any = path
    if member is not None:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            large = archive.getinfo(member).file_size > LARGE
            source = tempfile.TemporaryFile() if large else io.BytesIO()
            shutil.copyfileobj(file, source)
        source.seek(0)
    with h5py.File(source, "r") as root:
        touch(h5py, root)
    if member is not None:
        source.close()


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    try:
        main(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")

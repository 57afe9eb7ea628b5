"""Compressed copies beside the files of a site, for servers that send them as they are."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

# What may shrink. Pictures are compressed already. Of weights, float32 and float16 save 7 %, bytes
# 22 %, and what was float16 before it became float32 half (docs/pages.md): so they are tried.
COMPRESSIBLE = frozenset(
    (
        ".html",
        ".js",
        ".mjs",
        ".css",
        ".json",
        ".webmanifest",
        ".wasm",
        ".wgsl",
        ".txt",
        ".md",
        ".svg",
    )
)
WEIGHTS = frozenset((".bin",))
SMALL = 1024  # bytes; below this nothing is saved
_WORTH = 0.95  # of the original, at most, or the copy is not kept
# What no page fetches: what npm, Python and hosts read.
_UNUSED = frozenset(("package.json", "graph.json", "vercel.json", "firebase.json"))
# The best levels take ten times as long for 4 %: they are for what every visit fetches first.
_LEVELS = ((64 << 10, 9, 11), (1 << 20, 9, 9), (1 << 62, 6, 5))  # up to bytes: gzip, Brotli


@dataclass(frozen=True)
class Compressed:
    """What `compress_folder` wrote.

    Attributes:
        before, gzip, brotli: bytes of the originals, and of their copies.
        codings: "gz", and "br" where the package Brotli is installed.
    """

    before: int
    gzip: int
    brotli: int
    codings: tuple[str, ...]


def compress_folder(folder: Path) -> Compressed:
    """Write FILE.gz and, with the package Brotli, FILE.br beside each file that they make smaller.

    The same files give the same copies, byte for byte. A copy has the time of its original, so
    that a server can tell one that is out of date.
    """
    brotli = _brotli()
    before = zipped = packed = 0
    for path in list(_worth_it(folder)):
        data = path.read_bytes()
        before += len(data)
        zipped += _beside(path, ".gz", _once(_gzip, data), len(data))
        if brotli is not None:
            packed += _beside(path, ".br", _once(_packed, data), len(data))
    codings = ("gz",) if brotli is None else ("br", "gz")
    return Compressed(before, zipped, packed, codings)


def _worth_it(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix not in COMPRESSIBLE | WEIGHTS or path.name in _UNUSED:
            continue
        if path.is_file() and path.stat().st_size > SMALL:
            yield path


def _beside(path: Path, suffix: str, data: bytes, before: int) -> int:
    """The bytes that are sent from now on: of the copy, if it saves something."""
    if len(data) > before * _WORTH:
        return before
    copy = path.with_name(path.name + suffix)
    copy.write_bytes(data)
    stat = path.stat()
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return len(data)


def _brotli() -> Any:
    try:
        import brotli
    except ImportError:  # an option: fanlight[brotli]
        return None
    return brotli


def _level(size: int, which: int) -> int:
    return next(levels[which] for levels in _LEVELS if size <= levels[0])


# The runtime is the same in every bundle of a process. (Weights are not: they would fill memory.)
@lru_cache(maxsize=32)
def _known(compress: Callable[[bytes], bytes], data: bytes) -> bytes:
    return compress(data)


def _once(compress: Callable[[bytes], bytes], data: bytes) -> bytes:
    return compress(data) if len(data) > _LEVELS[0][0] else _known(compress, data)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, _level(len(data), 1), mtime=0)


def _packed(data: bytes) -> bytes:
    return bytes(_brotli().compress(data, quality=_level(len(data), 2)))

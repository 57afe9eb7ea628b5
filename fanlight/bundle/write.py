"""Write a bundle folder: content-named files, hashes, atomically in place of an older bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.bundle.halves import HALF, to_halves
from fanlight.errors import FanlightError

SHARD_BYTES = 4 << 20
MANIFEST = "manifest.json"
_RUN = 16 << 10  # of zeros: shorter ones are not worth a file more
# What a page's service worker and hidden files begin with (fanlight.web.headers), after // or #.
MARK = b"Fanlight: written by `fanlight build`, replaced by the next one."
WORKER = "sw.js"
STUDIO = "studio/"


def sha256(data: bytes | memoryview) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


class BundleWriter:
    """Collects the files of a bundle in a temporary folder beside the target; `commit` swaps it in.

    Use as a context manager: without `commit`, nothing is left behind.

    Args:
        target: the folder to write.
        index: the file that lists the others: what `add_manifest` writes.
    """

    def __init__(self, target: Path, index: str = MANIFEST) -> None:
        self.target, self.index = target, index
        parent = target.parent
        self._refuse_foreign()
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent))
        except OSError as error:
            raise FanlightError(
                "E-BUILD-004",
                "the output folder cannot be written.",
                where=parent,
                expected="a folder that can be written",
                received=error.strerror or str(error),
                next="choose a folder that you may write to.",
            ) from error
        self.files: dict[str, dict[str, Any]] = {}

    def _refuse_foreign(self) -> None:
        target = self.target
        if not target.exists():
            return
        foreign = "a file" if not target.is_dir() else _foreign(target, self.index)
        if foreign is not None:
            raise FanlightError(
                "E-BUILD-004",
                "the output path exists and is not a bundle.",
                where=target,
                expected="a new path, an empty folder, or a bundle to replace",
                received=foreign,
                next="choose another path, or remove it first.",
            )

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, path: str, data: bytes) -> None:
        """Write a file of the runtime or page; it is listed under `files`, but for hidden ones,
        which are for the host of the page.
        """
        self._write(path, data)
        if path.startswith("."):
            return
        self.files[path] = {"bytes": len(data), "sha256": sha256(data)}

    def add_module(
        self,
        data: bytes,
        *,
        simd: str,
        threads: dict[str, int] | bool = False,
        choices: Sequence[dict[str, Any]] = (),
    ) -> dict[str, Any]:
        """Write a WebAssembly module under a name with its hash; returns its manifest entry."""
        digest = sha256(data)
        path = f"model-{simd}-{digest[:8]}.wasm"
        self._write(path, data)
        return {
            "path": path,
            "bytes": len(data),
            "sha256": digest,
            "simd": simd,
            "threads": threads,
            **({"choices": list(choices)} if choices else {}),
        }

    def add_weights(
        self,
        pieces: Iterable[np.ndarray],
        offset: int,
        size: int,
        halves_offset: int | None = None,
        kept: int = 0,
    ) -> list[dict[str, Any]]:
        """Write the memory image of the weights as shards of at most 4 MiB.

        Args:
            pieces: uint8, what lies at `offset`, one after the other; each is written and let go
                of when it comes.
            size: bytes of all of them.
            halves_offset: the address from which on all is float32 that float16 has, and is
                written as such; None: no part of it.
            kept: so many bytes at the beginning change while the model learns. They have shards of
                their own, and long runs of zeros among them, such as an optimizer begins with, are
                left out: memory is zero where nothing lands.
        """
        split = size if halves_offset is None else halves_offset - offset
        starts = [*range(0, kept, _RUN), *range(kept, split, SHARD_BYTES)]
        starts += range(split, size, 2 * SHARD_BYTES)
        cut = _cut(pieces, np.diff([*starts, size]).tolist())
        parts = _joined(zip(starts, cut, strict=True), kept)
        shards = []
        for number, (start, part) in enumerate(parts, 1):
            half = start >= split
            data = (to_halves(part) if half else part).tobytes()
            digest = sha256(data)
            path = f"weights-{number}-{digest[:8]}.bin"
            self._write(path, data)
            entry = {"path": path, "bytes": len(data), "sha256": digest, "offset": offset + start}
            shards.append(entry | ({"encoding": HALF} if half else {}))
        return shards

    def _write(self, path: str, data: bytes | memoryview) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def add_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the index; `files` is filled in with what was added so far."""
        complete = {**manifest, "files": self.files}
        text = json.dumps(complete, ensure_ascii=False, separators=(",", ":"))
        self._write(self.index, text.encode())

    def commit(self) -> None:
        """Put the finished folder in the target's place. An older bundle there is replaced."""
        self.folder.chmod(0o755)
        old = None
        try:
            if self.target.exists():
                old = Path(
                    tempfile.mkdtemp(prefix=f".{self.target.name}.old.", dir=self.target.parent)
                )
                os.replace(self.target, old / "bundle")
            os.replace(self.folder, self.target)
        except OSError as error:
            if old is not None and not self.target.exists():
                os.replace(old / "bundle", self.target)
            raise FanlightError(
                "E-BUILD-004",
                "the finished bundle cannot be put in place.",
                where=self.target,
                expected="a path whose folder can be written",
                received=error.strerror or str(error),
                next="close what has the folder open, or choose another path.",
            ) from error
        finally:
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)


def _cut(pieces: Iterable[np.ndarray], sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """The bytes of pieces, one after the other, in arrays of these sizes."""
    parts: list[np.ndarray] = []
    wanted = iter(sizes)
    missing = 0
    for piece in pieces:
        while piece.size:
            missing = missing or next(wanted)
            parts.append(piece[:missing])
            missing, piece = missing - parts[-1].size, piece[missing:]
            if not missing:
                yield np.concatenate(parts)
                parts = []


def filled(data: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The parts of bytes between long runs of zeros, which memory has anyway: where, and what."""
    parts = ((at, data[at : at + _RUN]) for at in range(0, data.size, _RUN))
    return _joined(parts, data.size)


def _joined(parts: Iterable[tuple[int, np.ndarray]], kept: int) -> Iterator[tuple[int, np.ndarray]]:
    """Of the parts below `kept`, those that follow each other as one; those of zeros left out."""
    run: list[np.ndarray] = []
    begin = 0
    for start, part in parts:
        below = start < kept
        full = sum(p.size for p in run) + part.size > SHARD_BYTES
        if run and (not below or full or not part.any()):
            yield begin, np.concatenate(run)
            run = []
        if not below:
            yield start, part
        elif part.any():
            begin = begin if run else start
            run.append(part)
    if run:
        yield begin, np.concatenate(run)


def _foreign(folder: Path, index: str) -> str | None:
    """What keeps a folder from being replaced: anything that no manifest of ours lists."""
    if not any(folder.iterdir()):
        return None
    try:
        manifest = json.loads((folder / index).read_bytes())
        if "fanlight" not in manifest:
            return f"a folder with another {index}"
        entries = [*manifest.get("modules", ()), *manifest.get("weights", ())]
        known = {index, *manifest["files"], *(e["path"] for e in entries)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "a folder with other things in it"
    paths = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    others = sorted(path for path in paths - known if not _around(folder, path, known))
    return f"a bundle with other files in it: {', '.join(others[:5])}" if others else None


def _around(folder: Path, path: str, known: set[str]) -> bool:
    """Whether a file is ours that no manifest lists: it came after, or is hidden from pages."""
    if path.startswith(STUDIO):  # beside the page of a demo
        return _foreign(folder / STUDIO, "studio.json") is None
    stem, _, suffix = path.rpartition(".")
    if suffix in ("br", "gz"):
        return stem in known or stem == WORKER
    if path not in (WORKER, ".htaccess", ".nojekyll"):
        return False
    with (folder / path).open("rb") as file:
        return MARK in file.readline(200)

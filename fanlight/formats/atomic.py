"""Files that are there when all of them is written, and not before."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fanlight.errors import FanlightError


def refused(path: object, expected: str, received: str, next: str | None = None) -> FanlightError:
    """E-LAYER-010: a file cannot be written there."""
    return FanlightError(
        "E-LAYER-010",
        "the file cannot be written there.",
        where=path,
        expected=expected,
        received=received,
        next=next or "choose another path.",
    )


def write_file(
    path: Path, data: bytes | memoryview | Iterable[bytes | memoryview], overwrite: bool = True
) -> None:
    """Write a file as `new_file` does.

    Args:
        data: the bytes, or pieces of them one after the other.
    """
    with new_file(path, overwrite) as file:
        for piece in [data] if isinstance(data, bytes | memoryview) else data:
            file.write(piece)


@contextmanager
def new_file(path: Path, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file beside the place where it belongs, to write and to read; it is put there in one step
    when the block ends well.

    Raises:
        FanlightError: E-LAYER-010 it cannot be written there.
    """
    if path.is_dir():
        raise refused(path, "the name of a file", "a folder")
    if path.exists() and not overwrite:
        raise refused(path, "a new path, or overwrite=True", "a file that is there already")
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise refused(path, "a place that can be written", error.strerror or str(error)) from error


@contextmanager
def new_folder(target: Path, overwrite: bool = True) -> Iterator[Path]:
    """A folder that takes the target's place when the block ends well.

    Raises:
        FanlightError: E-LAYER-010 there is something that no older model.json lists.
    """
    if target.exists():
        other = "a file" if not target.is_dir() else _foreign(target)
        if other is not None:
            raise refused(target, "a new path, or the folder of a model", other)
        if not overwrite and any(target.iterdir()):
            raise refused(target, "a new path, or overwrite=True", "a model that is there already")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise refused(
            target, "a place that can be written", error.strerror or str(error)
        ) from error
    try:
        yield folder
        folder.chmod(0o755)
        _swap(folder, target)
    except OSError as error:
        raise refused(
            target, "a place that can be written", error.strerror or str(error)
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _swap(folder: Path, target: Path) -> None:
    if not target.exists():
        os.replace(folder, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        os.replace(target, old / "model")
        try:
            os.replace(folder, target)
        except OSError:
            os.replace(old / "model", target)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _foreign(folder: Path) -> str | None:
    """What keeps a folder from being replaced: what no model.json in it lists."""
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
    if not present:
        return None
    known = {"model.json"}
    try:
        description = json.loads((folder / "model.json").read_bytes())
        for group in description["weightsManifest"]:
            known |= set(group["paths"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "a folder with other things in it"
    others = sorted(present - known)
    return f"a folder with other files: {', '.join(others[:5])}" if others else None

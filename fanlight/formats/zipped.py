"""Models in zip archives: what Studio and Teachable Machine give away, and a zipped TF.js folder.

What belongs to the model is unpacked, once, into a folder that lives as long as the process.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats import zips
from fanlight.formats.jsonfile import expect, parse_json, read_json

PROJECT, LEARNT = "project.json", "model.safetensors"
MODEL, ABOUT = "model.json", "metadata.json"
# Of project.json: a higher one is from a newer Studio.
VERSION = 1
_MAGIC = b"PK\x03\x04"
_EMPTY = b"PK\x05\x06"
_MOST_FILES = 200_000  # a project has a file for each photo
_MOST_SHARDS = 10_000
_MOST_BYTES = 1 << 32
_MOST_JSON = 256 << 20
_STUDIO, _TFJS = "Studio", "TensorFlow.js"
# What zipfile raises of archives that are damaged.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, RuntimeError,
    NotImplementedError, OverflowError, MemoryError, IndexError,
)  # fmt: skip


@dataclass(frozen=True)
class _Unpacked:
    """The model's file in a folder that is removed when nobody has this any more."""

    file: Path


def unzipped(path: str | Path) -> Path:
    """The model's own file of a zip that has one: the model.safetensors of a project of Studio, or
    the model.json of TF.js, with its weights beside it. Any other path as it is.

    Raises:
        FanlightError: E-FORMAT-020 a hostile or damaged archive; E-FORMAT-001 no room to
            unpack it; E-FORMAT-002 a project without a model; E-STUDIO-031 one of a newer Studio;
            E-STUDIO-032 what is no project.
    """
    place = Path(path)
    try:
        if not place.is_file():
            return place
        with place.open("rb") as file:
            if file.read(4) not in (_MAGIC, _EMPTY):
                return place
        status = place.stat()
    except (OSError, ValueError):  # the reader says what is wrong with it
        return place
    names = _names(place)
    if names is None or _kind(names) is None:
        return place
    given = place.resolve(), status.st_mtime_ns, status.st_size
    if not _unpacked(*given).file.is_file():  # somebody tidied up the temporary files
        _unpacked.cache_clear()
    return _unpacked(*given).file


def format_in(path: str | Path, form: str) -> str:
    """A format in words: `form`, and the zip that it is in, if it is in one."""
    file = unzipped(path)
    if file == Path(path):
        return form
    return f"{form} in a project of Studio" if file.name == LEARNT else f"{form} in a zip"


@contextmanager
def told_of(path: Path, file: Path) -> Iterator[None]:
    """Errors of an unpacked file speak of the archive that it came from."""
    try:
        yield
    except FanlightError as error:
        if file != path:
            inner, outer = str(file.parent), str(path)
            for name in ("where", "received", "message", "next"):
                said = getattr(error, name)
                if isinstance(said, str | Path):
                    setattr(error, name, str(said).replace(inner, outer))
        raise


def project_labels(file: Path, labels: Any) -> Any:
    """The names of classes, where a project's model has their ids; `labels` of any other model.

    Args:
        file: as `unzipped` gives it.
    """
    about = file.with_name(PROJECT)
    if file.name != LEARNT or not labels or not about.is_file():
        return labels
    names = _classes(read_json(about), about)
    return tuple(names.get(label, label) for label in labels)


def _classes(project: Any, where: object) -> dict[str, str]:
    """id -> name of the classes of a project."""
    listed = project.get("classes") if isinstance(project, dict) else None
    found = {}
    for one in expect(listed, list, '"classes"', str(where)):
        entry = expect(one, dict, "a class", str(where))
        found[str(entry.get("id"))] = expect(entry.get("name"), str, '"name"', str(where))
    return found


def _names(path: Path) -> list[str] | None:
    """The names in an archive; None if it is damaged, which another reader may tell better."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [info.orig_filename for info in archive.infolist()[: _MOST_FILES + 1]]
    except _DAMAGED:
        if path.suffix.lower() == ".zip":
            raise _damaged(path, "its end, or its list of files, is not to be read") from None
        return None


def _kind(names: list[str]) -> str | None:
    """`PROJECT`, or the path of the model.json of TF.js in an archive; None for all others."""
    if PROJECT in names:
        return PROJECT
    known = set(names)
    if "model.weights.h5" in known or "serialized_exported_program.json" in known:
        return None
    for name in names:
        folder, _, last = name.rpartition("/")
        if last != MODEL or "/" in folder:
            continue
        # A program of PyTorch has a model.json, too, and no weights beside it.
        before = f"{folder}/" if folder else ""
        beside = {n.removeprefix(before) for n in names if n.startswith(before) and n != name}
        if any("/" not in n and not n.endswith(".json") for n in beside):
            return name
    return None


@lru_cache(maxsize=4)
def _unpacked(path: Path, changed: int, size: int) -> _Unpacked:
    """The model of an archive, unpacked; `changed` and `size` tell another file of the name."""
    folder = Path(tempfile.mkdtemp(prefix="fanlight-"))
    done = False
    try:
        with zipfile.ZipFile(path) as archive:
            kind = _kind([info.orig_filename for info in archive.infolist()[: _MOST_FILES + 1]])
            if kind == PROJECT:
                file = _project(archive, path, folder)
            else:
                file = _tfjs(archive, path, folder, str(kind))
        found = _Unpacked(file)
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
        done = True
        return found
    except FanlightError:
        raise
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FanlightError(
                "E-FORMAT-001",
                "the archive cannot be unpacked: there is no room for it.",
                where=folder,
                expected="room on the disk of temporary files for the model",
                received=error.strerror,
                next="make room there, or name another folder in TMPDIR.",
            ) from None
        raise _damaged(path, f"{type(error).__name__}: {error}"[:300]) from None
    finally:
        if not done:
            shutil.rmtree(folder, ignore_errors=True)


def _project(archive: zipfile.ZipFile, path: Path, folder: Path) -> Path:
    members = zips.members(archive, path, _STUDIO, _MOST_FILES)
    text = zips.read(archive, members[PROJECT], path, _STUDIO, _MOST_JSON)
    where = f"{PROJECT} in {path}"
    project = parse_json(text, where)
    version = project.get("version") if isinstance(project, Mapping) else None
    if type(version) is not int or version < 1:
        raise FanlightError(
            "E-STUDIO-032",
            "the archive is no project of Studio.",
            where=where,
            expected='an object with a "version"',
            received=repr(version)[:80],
            next="export the project again, in Studio.",
        )
    if version > VERSION:
        raise FanlightError(
            "E-STUDIO-031",
            "the project was made by a newer Studio.",
            where=where,
            expected=f"version {VERSION}",
            received=f"version {version}",
            next="upgrade Fanlight.",
        )
    _classes(project, where)
    if LEARNT not in members:
        raise FanlightError(
            "E-FORMAT-002",
            "the project has no model yet: nothing was learnt when it was exported.",
            where=path,
            expected=f"{LEARNT} beside the photos",
            received=f"{len(members):,} files without it",
            next="open the project in Studio, train, and export it again.",
        )
    (folder / PROJECT).write_bytes(text)
    _copy(archive, members[LEARNT], path, _STUDIO, folder / LEARNT)
    return folder / LEARNT


def _tfjs(archive: zipfile.ZipFile, path: Path, folder: Path, model: str) -> Path:
    members = zips.members(archive, path, _TFJS, _MOST_SHARDS)
    before = model.removesuffix(MODEL)
    beside = {
        name.removeprefix(before): info
        for name, info in members.items()
        if name.startswith(before) and not info.is_dir()
    }
    wanted = {name: info for name, info in beside.items() if "/" not in name}
    total = sum(info.file_size for info in wanted.values())
    if total > _MOST_BYTES:
        raise zips.hostile(
            path, _TFJS, f"at most {_MOST_BYTES:,} bytes", f"files that claim to be {total:,}"
        )
    for name, info in wanted.items():
        _copy(archive, info, path, _TFJS, folder / name)
    return folder / MODEL


def _copy(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, writer: str, target: Path
) -> None:
    with target.open("wb") as out:
        zips.unpack(archive, info, path, writer, _MOST_BYTES, out)


def _damaged(path: Path, received: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-020",
        "the zip archive is damaged.",
        where=path,
        expected="a project of Studio, or a zipped model of TF.js",
        received=received,
        next="export or download it again.",
    )

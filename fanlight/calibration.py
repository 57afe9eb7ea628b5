"""Calibration data: arrays, or photos out of a list, a folder or a .tar, a bounded number of them.

Nothing is written to disk, links are not followed out of an archive, and its names are only shown.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.pictures import decode_image

# As many items as are used; more take longer and change nothing.
LIMIT = 128
# What an honest folder or archive of photos stays below.
MAX_ENTRIES = 200_000
MAX_DEPTH = 8
MAX_PHOTO_BYTES = 64 << 20
# A model sees a few hundred pixels of a photo; this is what a page hands over at most.
MAX_SIDE = 2048
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm"),
    *(".tga", ".ico"),
)
GIVE = "give photos such as visitors will show: --calibrate FOLDER, calibration='photos/'"


@dataclass
class Items:
    """What was found.

    Attributes:
        pictures: photos, uint8 [h, w, 3 or 4]; empty where arrays were given.
        arrays: inputs of the model by name ("" where it has one input), one item each.
        skipped: names of files that could not be read as photos, and why.
    """

    pictures: list[np.ndarray] = field(default_factory=list)
    arrays: list[dict[str, np.ndarray]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def read_items(source: Any, *, limit: int = LIMIT) -> Items:
    """Calibration data in whatever form they come.

    Args:
        source: a folder, a .tar or one photo (paths); an array of items [n, ...]; a dict of such
            by input name; or an iterable, or a callable that returns one, of paths, photos
            (uint8 [h, w, 3 or 4]), arrays (one item each) or dicts of arrays.
        limit: how many items to use; of a folder or archive with more, evenly spread ones.

    Raises:
        FanlightError: E-CALIB-001 there are none, E-CALIB-002 of no known kind, E-CALIB-003 a bad
            archive, E-CALIB-004 NaN or infinity.
    """
    items = Items()
    if source is None:
        raise _none(source)
    if isinstance(source, str | os.PathLike):
        _read_path(Path(source), items, limit)
    elif isinstance(source, Mapping):
        _read_batch({str(k): np.asarray(a) for k, a in source.items()}, items, limit)
    elif isinstance(source, np.ndarray):
        _read_array(source, items, limit)
    else:
        given = source() if callable(source) else source
        if not isinstance(given, Iterable):
            raise _unknown(given)
        for entry in islice(given, limit):
            _read_entry(entry, items)
    if not items.pictures and not items.arrays:
        raise _none(source, items.skipped)
    if items.pictures and items.arrays:
        raise _unknown("photos and arrays, mixed")
    for index, arrays in enumerate(items.arrays):
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                with np.errstate(over="ignore"):
                    arrays[name] = array = array.astype(np.float32)
                if not np.isfinite(array).all():
                    raise _not_finite(index, array)
    return items


def without_outliers(items: list[dict[str, np.ndarray]]) -> tuple[list[dict[str, np.ndarray]], int]:
    """The items but for those a hundred times larger than most, and how many those were."""
    sizes = np.array(
        [max((float(np.abs(a).max(initial=0)) for a in i.values()), default=0.0) for i in items]
    )
    usual = float(np.median(sizes))
    keep = sizes <= 100 * usual if len(items) >= 4 and usual > 0 else np.ones(len(items), bool)
    return [i for i, kept in zip(items, keep, strict=True) if kept], int((~keep).sum())


# --- arrays ---------------------------------------------------------------------------------------


def _is_photo(array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] in (3, 4)


def _read_array(array: np.ndarray, items: Items, limit: int) -> None:
    if _is_photo(array):
        items.pictures.append(array)
    elif array.ndim < 1:
        raise _unknown("a number")
    else:
        for item in array[:limit]:
            _read_entry(item, items)


def _read_batch(arrays: dict[str, np.ndarray], items: Items, limit: int) -> None:
    counts = {a.shape[0] if a.ndim else 0 for a in arrays.values()}
    if len(counts) > 1:
        shapes = ", ".join(f"{k} {list(a.shape)}" for k, a in arrays.items())
        raise _unknown(f"inputs of different numbers of items: {shapes}")
    for index in range(min(limit, *counts) if counts else 0):
        items.arrays.append({k: a[index] for k, a in arrays.items()})


def _read_entry(entry: Any, items: Items) -> None:
    if isinstance(entry, str | os.PathLike):
        _decode(entry, str(entry), items)
    elif isinstance(entry, Mapping):
        items.arrays.append({str(k): _numbers(a) for k, a in entry.items()})
    else:
        array = _numbers(entry)
        if _is_photo(array):
            items.pictures.append(array)
        else:
            items.arrays.append({"": array})


def _numbers(value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        raise _unknown(value) from None
    if array.dtype.kind not in "fiub":
        raise _unknown(value)
    return array


# --- files ----------------------------------------------------------------------------------------


def _read_path(path: Path, items: Items, limit: int) -> None:
    if path.is_dir():
        for file in _spread(sorted(_photos_in(path)), limit):
            _decode(file, str(file), items)
    elif path.suffix.lower() in SUFFIXES and path.is_file():
        _decode(path, str(path), items)
    elif path.is_file():
        _read_tar(path, items, limit)
    else:
        raise FanlightError(
            "E-CALIB-002",
            "there are no calibration data at this path.",
            where=path,
            expected="a folder of photos, a .tar of photos, or one photo",
            received="nothing" if not path.exists() else "neither a file nor a folder",
            next="check the spelling.",
        )


def _spread(names: Sequence[Any], limit: int) -> list[Any]:
    """At most `limit` of them, evenly spread, so that sorted classes all have a part."""
    if len(names) <= limit:
        return list(names)
    return [names[i * len(names) // limit] for i in range(limit)]


def _photos_in(folder: Path) -> Iterator[Path]:
    """Files named like photos, below a folder; folders that are links are not entered."""
    count = 0
    stack = [(folder, 0)]
    while stack:
        place, depth = stack.pop()
        try:
            with os.scandir(place) as entries:
                listed = list(islice(entries, MAX_ENTRIES - count))
        except OSError as problem:
            raise FanlightError(
                "E-CALIB-002",
                "a folder of calibration photos cannot be read.",
                where=place,
                expected="a folder that can be listed",
                received=problem.strerror,
                next="check its permissions.",
            ) from problem
        count += len(listed)
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    stack.append((Path(entry.path), depth + 1))
            elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                yield Path(entry.path)


def _decode(source: Any, name: str, items: Items) -> None:
    try:
        if isinstance(source, str | os.PathLike) and Path(source).stat().st_size > MAX_PHOTO_BYTES:
            items.skipped.append(f"{_shown(name)}: more than {MAX_PHOTO_BYTES >> 20} MiB")
            return
        items.pictures.append(decode_image(source, max_height=MAX_SIDE, max_width=MAX_SIDE))
    except FanlightError as error:
        items.skipped.append(f"{_shown(name)}: {error.code}")
    except OSError as problem:
        items.skipped.append(f"{_shown(name)}: {problem.strerror}")


def _shown(name: str) -> str:
    """A name out of an archive or folder, fit to be printed."""
    plain = "".join(c if c.isprintable() else "?" for c in name)
    return plain if len(plain) <= 80 else f"...{plain[-77:]}"


def _read_tar(path: Path, items: Items, limit: int) -> None:
    try:
        # "r:": no decompression, so what is read is never more than the file itself.
        with tarfile.open(path, "r:") as archive:
            found = _photos_of(archive)
            for member in _spread(found, limit):
                if member.size > MAX_PHOTO_BYTES:
                    items.skipped.append(f"{_shown(member.name)}: too large")
                    continue
                file = archive.extractfile(member)
                data = b"" if file is None else file.read(MAX_PHOTO_BYTES)
                _decode(data, member.name, items)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, MemoryError) as problem:
        raise FanlightError(
            "E-CALIB-003",
            "the archive of calibration photos cannot be read.",
            where=path,
            expected="an uncompressed .tar of photos",
            received=f"{type(problem).__name__}: {problem}"[:200],
            next="unpack it and name the folder instead.",
        ) from problem
    except OSError as problem:
        raise FanlightError(
            "E-CALIB-002",
            "the calibration data cannot be read.",
            where=path,
            expected="a file that can be read",
            received=problem.strerror or str(problem),
            next="check the path and its permissions.",
        ) from problem


def _photos_of(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Members that are plain files named like photos; links, devices and the rest are not."""
    found = []
    for member in islice(archive, MAX_ENTRIES):
        plain = member.isreg() and not member.issparse()
        if plain and member.name.lower().endswith(SUFFIXES):
            found.append(member)
    return sorted(found, key=lambda m: m.name)


# --- errors ---------------------------------------------------------------------------------------


def _none(source: Any, skipped: Sequence[str] = ()) -> FanlightError:
    received = "none" if source is None else "no photo and no array in what was given"
    if skipped:
        received = f"{len(skipped)} files, none of them readable: {skipped[0]}"
    return FanlightError(
        "E-CALIB-001",
        "int8 needs calibration data, and there are none.",
        where="calibration",
        expected="100 to 200 photos (a folder, a .tar, a list), or arrays as the model takes them",
        received=received,
        next=f"{GIVE}.",
    )


def _unknown(given: Any) -> FanlightError:
    received = given if isinstance(given, str) else f"{type(given).__name__}"
    return FanlightError(
        "E-CALIB-002",
        "these are no calibration data.",
        where="calibration",
        expected="a folder, a .tar, a list of paths, photos (uint8 [h, w, 3]), or arrays",
        received=received[:200],
        next=f"{GIVE}.",
    )


def _not_finite(index: int, array: np.ndarray) -> FanlightError:
    return FanlightError(
        "E-CALIB-004",
        "the calibration data hold NaN or infinity.",
        where=f"item {index}",
        expected="finite numbers",
        received=f"{int((~np.isfinite(array)).sum())} of {array.size} numbers are not",
        next="leave this item out.",
    )

"""Datasets of picture files, in folders and archives."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.data import archives
from fanlight.data.dataset import Dataset
from fanlight.data.lineage import of_files
from fanlight.data.progress import tracked
from fanlight.data.structure import wrong
from fanlight.data.tasks import Task, Turn
from fanlight.errors import FanlightError
from fanlight.pictures import decode_image, decode_sized
from fanlight.tensor.caller import caller

EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ico"),
    *(".ppm", ".tga"),
)
Size = int | tuple[int, int] | None


class _Photo:
    """One picture, and its label."""

    __slots__ = ("folder", "label", "name")

    def __init__(self, folder: _Folder, name: str, label: Any) -> None:
        self.folder, self.name, self.label = folder, name, label

    def __call__(self) -> Any:
        image = self.folder.decoded(self.name)
        return image if self.label is None else (image, self.label)


class _Folder:
    """How the pictures of a folder are decoded."""

    def __init__(
        self,
        files: archives.Files,
        size: tuple[int, int] | None,
        how: str,
        channels: int,
        dtype: str,
    ) -> None:
        self.files, self.size, self.how = files, size, how
        self.channels, self.dtype = channels, dtype

    def decoded(self, name: str, size: tuple[int, int] | None = None) -> np.ndarray:
        """The picture of a file; E-DATA-003 if it is damaged."""
        size = size or self.size
        try:
            source = self.files.read(name)
            rgb = (
                decode_image(source)[..., :3]
                if size is None
                else decode_sized(source, size, self.how)
            )
        except FanlightError as problem:
            if problem.code.startswith("E-DATA"):
                raise
            raise FanlightError(
                "E-DATA-003",
                "a picture of the dataset cannot be decoded.",
                where=self.files.called(name),
                expected="a whole picture file",
                received=f"{problem.message} {problem.received or ''}".strip(),
                next='replace or delete it, or leave such files out: on_error="skip".',
            ) from problem
        if self.channels == 1:
            grey = rgb @ np.array((0.299, 0.587, 0.114), np.float32)
            rgb = grey[..., None] if self.dtype == "float32" else np.round(grey)[..., None]
        return rgb.astype(self.dtype)


def image_folder(
    path: str | Path,
    size: Size = None,
    *,
    label: str | Callable[[str], Any] | None = "folder",
    class_names: Sequence[str] | None = None,
    channels: int = 3,
    how: str = "stretch",
    dtype: str = "float32",
    on_error: str = "raise",
) -> Dataset:
    """A dataset of the pictures of a folder or archive: (picture, class number).

    Pictures are decoded when they are asked for, upright, and without transparency (on white):
    [height, width, channels] from 0 to 255. Their order is that of their names.

    Args:
        path: a folder, or a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, which is not unpacked to disk
            (a compressed tar is held in memory).
        size: (height, width), or one number for both; None leaves each as it is.
        label: "folder": the folder below `path` that a picture lies in, at any depth, names its
            class. "prefix": what its name has before the first of . _ - and space: cat.12.jpg is a
            cat. A function of the name, with folders, that gives a class number or name. None: no
            labels, elements are pictures.
        class_names: the classes in the order of their numbers; default: all, sorted.
        channels: 3, or 1 for grey.
        how: a picture comes to its size by "stretch", "crop" (its middle) or "pad" (black borders).
        dtype: "float32", or "uint8" for a quarter of the memory.
        on_error: "raise", or "skip": all files are tried first, and those that are damaged left
            out; `dataset.skipped` lists them.

    Raises:
        FanlightError: E-DATA-002 there are no pictures; E-DATA-003 one is damaged (when it is asked
            for); E-DATA-005 the archive is damaged, or not to be trusted.
    """
    shape = _size_of(size)
    for argument, value, allowed in (
        ("how", how, ("stretch", "crop", "pad")),
        ("dtype", dtype, ("float32", "uint8")),
        ("on_error", on_error, ("raise", "skip")),
        ("channels", channels, (1, 3)),
    ):
        if value not in allowed:
            raise wrong(argument, " or ".join(map(repr, allowed)), value)
    if label is not None and not callable(label) and label not in ("folder", "prefix"):
        raise wrong("label", '"folder", "prefix", a function of a file name, or None', label)
    files = archives.opened(Path(path), _is_picture)
    if not files.names:
        raise _empty(Path(path), "no file with the ending of a picture")
    names = files.names
    labels = _labels(files, label)
    if label == "folder":
        kept = [(n, c) for n, c in zip(names, labels, strict=True) if c is not None]
        if not kept:
            raise _empty(
                Path(path),
                "pictures, but no folders of classes",
                'say how files name their class: label="prefix", label=a function, or label=None.',
            )
        names, labels = [n for n, _ in kept], [c for _, c in kept]
        _no_empty_classes(Path(path), set(labels))
    folder = _Folder(files, shape, how, channels, dtype)
    numbers, known = _numbered(labels, class_names, Path(path), files, names)
    skipped: list[tuple[str, str]] = []
    if on_error == "skip":
        bad = _tried(folder, names)
        skipped = [(files.called(n), why) for n, why in bad.items()]
        numbers = [c for n, c in zip(names, numbers, strict=True) if n not in bad]
        names = [n for n in names if n not in bad]
        if skipped:
            more = f", and {len(skipped) - 3} more" if len(skipped) > 3 else ""
            listed = ", ".join(name for name, _ in skipped[:3])
            print(
                f"{len(skipped)} of {len(names) + len(skipped)} pictures cannot be decoded and are "
                f"left out: {listed}{more}",
                file=sys.stderr,
            )
        if not names:
            raise _empty(Path(path), "damaged files only")
    photos = [_Photo(folder, n, c) for n, c in zip(names, numbers, strict=True)]

    def tasks(turn: Turn) -> Iterator[Task]:
        return iter(photos)

    form = f"{shape} {channels} {how} {dtype}"
    return Dataset(
        tasks,
        len(photos),
        class_names=known,
        skipped=skipped,
        lineage=(lambda: of_files(files, names, numbers, form),),
    )


def _is_picture(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    hidden = any(p.startswith(".") and p not in (".", "..") for p in parts) or "__MACOSX" in parts
    return name.lower().endswith(EXTENSIONS) and not hidden


def _size_of(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else size
    good = isinstance(pair, tuple | list) and len(pair) == 2
    if not good or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in pair):
        raise wrong("size", "(height, width), or one number for both", size)
    if pair[0] * pair[1] > 100_000_000:
        raise wrong("size", "at most 100 megapixels", size)
    return int(pair[0]), int(pair[1])


def _labels(files: archives.Files, label: Any) -> list[Any]:
    if label is None:
        return [None] * len(files.names)
    if label == "prefix":
        return [re.split(r"[._\- ]", n.rpartition("/")[2], maxsplit=1)[0] for n in files.names]
    if callable(label):
        return [label(n) for n in files.names]
    parts = [n.split("/") for n in files.names]
    if not files.where.is_dir():
        # Archives often have one folder around all others.
        while all(len(p) > 2 for p in parts) and len({p[0] for p in parts}) == 1:
            parts = [p[1:] for p in parts]
    return [p[0] if len(p) > 1 else None for p in parts]


def _no_empty_classes(path: Path, found: set[str]) -> None:
    """A folder without pictures would be a class that is missing: E-DATA-002."""
    if not path.is_dir():
        return
    folders = [f.name for f in path.iterdir() if f.is_dir() and not f.name.startswith(".")]
    empty = sorted(set(folders) - found)
    if empty:
        raise _empty(
            path / empty[0],
            "no file with the ending of a picture",
            "put pictures of this class into it, or delete the folder.",
        )


def _numbered(
    labels: Sequence[Any],
    class_names: Sequence[str] | None,
    path: Path,
    files: archives.Files,
    names: Sequence[str],
) -> tuple[list[Any], list[str] | None]:
    """Class numbers for labels, and the names of the classes."""
    if all(c is None for c in labels):
        return list(labels), None
    whole = [isinstance(c, int | np.integer) and not isinstance(c, bool) for c in labels]
    if all(whole):
        most = max(int(c) for c in labels)
        if min(int(c) for c in labels) < 0 or (class_names and most >= len(class_names)):
            raise wrong("label", "class numbers from 0 on, each with a name", most)
        numbers = [np.int32(c) for c in labels]
        return list(numbers), None if class_names is None else list(class_names)
    texts = [isinstance(c, str) for c in labels]
    if not all(texts):
        at = texts.index(False)
        raise wrong("label", f"a class name or number for {names[at]}", labels[at])
    known = sorted(set(labels)) if class_names is None else list(class_names)
    missing = sorted(set(labels) - set(known)) or sorted(set(known) - set(labels))
    if missing or len(set(known)) < len(known):
        raise FanlightError(
            "E-DATA-002",
            "the classes of the pictures are not those of class_names.",
            where=str(path),
            expected=", ".join(known[:50]),
            received=", ".join(sorted(set(labels))[:50]),
            next="class_names has every class once; leave it out to have them sorted.",
        )
    place = {name: np.int32(i) for i, name in enumerate(known)}
    return [place[c] for c in labels], known


def _tried(folder: _Folder, names: Sequence[str]) -> dict[str, str]:
    """The names of damaged pictures, and why; decoded small, which is faster."""

    def attempt(name: str) -> str | None:
        try:
            folder.decoded(name, (16, 16))
        except FanlightError as problem:
            if problem.code != "E-DATA-003":
                raise
            return str(problem.received)
        return None

    with ThreadPoolExecutor(4) as pool:
        found = tracked(pool.map(attempt, names), len(names), "looking at pictures")
        return {n: why for n, why in zip(names, found, strict=True) if why is not None}


def _empty(path: Path, received: str, next: str | None = None) -> FanlightError:
    return FanlightError(
        "E-DATA-002",
        "there are no pictures for a dataset.",
        where=f"{path}, {caller()}",
        expected="pictures (.jpg, .png, .webp, ...) in folders that name their classes",
        received=received,
        next=next or "check the path.",
    )

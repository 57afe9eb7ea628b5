"""What the elements of a dataset are made of, so that a cache in a file is told from another's."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fanlight.data.archives import Files
from fanlight.data.states import Untold, digest, digest_of_array
from fanlight.data.structure import described, leaves

# Steps from the source on; those that cost time to tell are functions.
Lineage = tuple[str | Callable[[], str], ...]


def told(lineage: Lineage) -> tuple[list[str], str]:
    """The steps as texts, and why they do not tell everything: "" if they do."""
    steps, why = [], ""
    for step in lineage:
        try:
            steps.append(step if isinstance(step, str) else step())
        except Untold as error:
            steps.append(f"untold: {error}")
            why = why or str(error)
    return steps, why


def of_arrays(arrays: Any) -> str:
    """Arrays, by their numbers."""
    parts = " ".join(digest_of_array(leaf) for leaf in leaves(arrays))
    return f"{described(arrays)} {parts}"


def of_files(files: Files, names: Sequence[str], labels: Sequence[Any], form: str) -> str:
    """Files by their names, sizes and times of change, and their labels; an archive as one file."""
    found = hashlib.blake2b(digest_size=8)
    folder = files.where.is_dir()
    if not folder:
        found.update(_stamp(files.where).encode())
    for name, label in zip(names, labels, strict=True):
        stamp = _stamp(files.where / name) if folder else ""
        found.update(f"{name}\0{stamp}\0{label}\n".encode())
    return f"{len(names)} files of {files.where.name}, {form} {found.hexdigest()}"


def _stamp(path: Path) -> str:
    status = os.stat(path)
    return f"{status.st_size} {status.st_mtime_ns}"


def of_function(fn: Any) -> str:
    """A function, or what else gives elements, by its name, its code, and all that it holds.

    Raises:
        Untold: it holds what cannot be told.
    """
    inner = fn.func if isinstance(fn, functools.partial) else fn
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    try:
        return f"{name} {digest(fn)}"
    except Untold as error:
        raise Untold(f"{name} holds {error}") from error

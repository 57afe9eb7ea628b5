"""What the elements of a dataset are made of, so that a cache in a file is told from another's."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.data.archives import Files
from fanlight.data.structure import described, leaves

# Steps from the source on; those that cost time to tell are functions.
Lineage = tuple[str | Callable[[], str], ...]
_PLAIN = (bool, int, float, str, bytes, type(None))


def told(lineage: Lineage) -> list[str]:
    """The steps as texts."""
    return [step if isinstance(step, str) else step() for step in lineage]


def of_arrays(arrays: Any) -> str:
    """Arrays, by their numbers."""
    found = _hash()
    for leaf in leaves(arrays):
        array = np.asarray(leaf)
        if array.dtype == object:
            array = array.astype(str)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    return f"{described(arrays)} {found.hexdigest()}"


def of_files(files: Files, names: Sequence[str], labels: Sequence[Any], form: str) -> str:
    """Files of a folder or archive, by their names and sizes, and their labels."""
    found = _hash()
    folder = files.where.is_dir()
    if not folder:
        found.update(str(files.where.stat().st_size).encode())
    for name, label in zip(names, labels, strict=True):
        size = (files.where / name).stat().st_size if folder else 0
        found.update(f"{name}\0{size}\0{label}\n".encode())
    return f"{len(names)} files of {files.where.name}, {form} {found.hexdigest()}"


def of_function(fn: Any) -> str:
    """A function by its name, its code, and the plain values that it holds."""
    if isinstance(fn, functools.partial):
        plain = [v for v in (*fn.args, *sorted(fn.keywords.items())) if _plain(v)]
        return f"{of_function(fn.func)} of {plain}"
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    inner = fn if hasattr(fn, "__code__") else getattr(fn, "__func__", None)
    if inner is None:
        inner = vars(type(fn)).get("__call__")
    code = getattr(inner, "__code__", None)
    if code is None:
        return str(name)
    found = _hash()
    _add(found, code)
    held = [c.cell_contents for c in getattr(inner, "__closure__", None) or () if _filled(c)]
    for value in (*held, *(getattr(inner, "__defaults__", None) or ())):
        if _plain(value):
            found.update(repr(value).encode())
    return f"{name} {found.hexdigest()}"


def _add(found: Any, code: Any) -> None:
    found.update(code.co_code)
    found.update(repr(code.co_names).encode())
    for value in code.co_consts:
        if hasattr(value, "co_code"):
            _add(found, value)
        elif _plain(value):
            found.update(repr(value).encode())


def _plain(value: Any) -> bool:
    """Whether what a value prints as is what it is."""
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return isinstance(value, _PLAIN)


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # of a name that is not assigned yet
        return False
    return True


def _hash() -> Any:
    return hashlib.blake2b(digest_size=8)

"""HDF5 through h5py, for files from strangers.

HDF5 can link to other files and can declare terabytes that are not there; neither is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.keras.stores import Entry
from fanlight.formats.manifest import checked

_MAX_MEMBERS = 100_000
_MAX_DEPTH = 32
_MAX_BYTES = 1 << 31
# A chunk of zeros compresses by about 1,000; unallocated storage has no limit at all.
_MAX_RATIO = 2000


def require_h5py() -> Any:
    """The h5py module, or E-FORMAT-022 with the line that installs it."""
    try:
        import h5py
    except ImportError:
        raise FanlightError(
            "E-FORMAT-022",
            "reading Keras .h5 and .keras files needs h5py.",
            where="h5py",
            expected="the package h5py",
            received="not installed",
            next="pip install 'fanlight[keras]'",
        ) from None
    return h5py


@contextmanager
def open_hdf5(file: str | BinaryIO, where: object) -> Iterator[Any]:
    """Open an HDF5 file for reading; whatever h5py raises becomes E-FORMAT-021."""
    h5py = require_h5py()
    with library_errors(where), h5py.File(file, "r") as root:
        yield root


@contextmanager
def library_errors(where: object) -> Iterator[None]:
    """E-FORMAT-021 for what h5py raises inside."""
    try:
        yield
    except FanlightError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError,
            NotImplementedError, MemoryError, IndexError, UnicodeError) as error:  # fmt: skip
        raise FanlightError(
            "E-FORMAT-021",
            "the HDF5 file is damaged or is not one.",
            where=where,
            expected="an HDF5 file written by Keras",
            received=f"{type(error).__name__}: {error}"[:300],
            next="save the model again, or download it again.",
        ) from None


def member(group: Any, name: str, where: object) -> Any:
    """`group[name]` without following links; E-FORMAT-021 if it is absent or leads elsewhere."""
    import h5py

    current = group
    for part in name.split("/"):
        link = current.get(part, getlink=True) if isinstance(current, h5py.Group) else None
        if link is None:
            raise FanlightError(
                "E-FORMAT-021",
                "the HDF5 file has no such entry.",
                where=where,
                expected=name[:200],
                received=", ".join(list(current)[:8]) if isinstance(current, h5py.Group) else "",
                next="this is not a whole Keras model: save it with model.save(path).",
            )
        if not isinstance(link, h5py.HardLink):
            raise FanlightError(
                "E-FORMAT-021",
                "the HDF5 file links to another place; links are not followed.",
                where=where,
                expected="data in the file itself",
                received=f"a {type(link).__name__} at {name[:200]}",
            )
        current = current[part]
    return current


def attribute(obj: Any, name: str) -> Any:
    """An attribute, with bytes as text; None if it is absent."""
    value = obj.attrs.get(name)
    return _text(value)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return _text(value.item())
    return value


def names_attribute(obj: Any, name: str) -> list[str]:
    """A list of names. Keras cuts long lists into name0, name1, ..."""
    found: list[str] = []
    if name in obj.attrs:
        found = [str(_text(v)) for v in np.ravel(obj.attrs[name])]
    index = 0
    while f"{name}{index}" in obj.attrs:
        found += [str(_text(v)) for v in np.ravel(obj.attrs[f"{name}{index}"])]
        index += 1
    return found


def datasets(root: Any, where: object) -> Iterator[tuple[str, Any]]:
    """Every dataset below `root` with its path; soft and external links are refused."""
    import h5py

    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    count = 0
    while waiting:
        prefix, group, depth = waiting.pop()
        for key in group:
            count += 1
            if count > _MAX_MEMBERS or depth > _MAX_DEPTH:
                raise FanlightError(
                    "E-FORMAT-021",
                    "the HDF5 file has too many entries.",
                    where=where,
                    expected=f"at most {_MAX_MEMBERS:,} entries, {_MAX_DEPTH} deep",
                    received=f"more, at {prefix}/{key}"[:160],
                    next="do not trust this file, or save the model again.",
                )
            item = member(group, key, where)
            path = f"{prefix}/{key}" if prefix else key
            if isinstance(item, h5py.Group):
                waiting.append((path, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                yield path, item


def entry(name: str, dataset: Any, where: object, group: str | None = None) -> Entry:
    """A dataset as a weight that is read when it is wanted."""
    shape = dataset.shape
    if shape is None or not isinstance(shape, tuple):
        shape = ()
    return Entry(
        name,
        tuple(int(d) for d in shape),
        lambda: _read(name, dataset, where),
        group,
        dtype=str(dataset.dtype),
    )


def check_claims(name: str, dataset: Any, where: object) -> None:
    """What a dataset says of itself, before anything is made as large as that.

    Raises:
        FanlightError: E-FORMAT-021 it is in another file; E-FORMAT-023 it is larger than what is
            stored.
    """
    here = f"{name} in {where}"
    if dataset.external or dataset.is_virtual:
        raise FanlightError(
            "E-FORMAT-021",
            "a weight is kept in another file; such references are not followed.",
            where=here,
            expected="a dataset inside the file",
            received="an external or a virtual dataset",
            next="save the model again as one file.",
        )
    stored, size = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
    if size > _MAX_BYTES or size > stored * _MAX_RATIO + 4096:
        raise FanlightError(
            "E-FORMAT-023",
            "a weight claims more bytes than the file can hold.",
            where=here,
            expected=f"{stored:,} stored bytes, unpacked at most {_MAX_RATIO}-fold",
            received=f"{size:,} bytes",
        )


def _read(name: str, dataset: Any, where: object) -> np.ndarray:
    check_claims(name, dataset, where)
    here = f"{name} in {where}"
    array = dataset[()]
    told = dataset.attrs.get("dtype") == "bfloat16"
    if array.dtype.itemsize == 2 and (told or array.dtype.kind == "V"):  # .h5 does not tell
        wide = array.view(np.uint16).astype(np.uint32) << 16
        array = wide.view(np.float32)
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise FanlightError(
            "E-FORMAT-008",
            "a weight is not made of numbers.",
            where=here,
            expected="float32, or a dtype that converts to it",
            received=array.dtype,
        )
    with np.errstate(over="ignore"):
        return checked(array.astype(np.float32, copy=False), name, where)

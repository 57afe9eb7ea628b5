"""A .keras archive (Keras 3, and Keras 2.12 on): a zip of config.json and model.weights.h5."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from fanlight.errors import FanlightError
from fanlight.formats import zips
from fanlight.formats.inventory import Inventory
from fanlight.formats.jsonfile import MAX_BYTES, parse_json
from fanlight.formats.keras.call import Dialect
from fanlight.formats.keras.config import ModelConfig, parse_model
from fanlight.formats.keras.guard import MEMBER, Probe
from fanlight.formats.keras.hdf5 import datasets, entry, open_hdf5, require_h5py
from fanlight.formats.keras.model import import_model, inventory
from fanlight.formats.keras.stores import PathStore, RandomStore
from fanlight.formats.keras.tfjs_layers import major_version
from fanlight.formats.source import Options, Source

_MAX_MEMBERS = 10_000
_MAX_WEIGHTS = 1 << 32
_WRITER = "Keras"
_CONFIG, _WEIGHTS, _ABOUT = "config.json", MEMBER, "metadata.json"


def read_archive(path: Path, options: Options) -> Source:
    """Import a .keras file.

    Raises:
        FanlightError: E-FORMAT-020 broken or hostile archive, E-FORMAT-022 without h5py, and
            the codes of layer configs and weights.
    """
    with _open(path) as archive:
        members = _members(archive, path)
        if options.weights == "random":
            model, version = _config(archive, members, path)
            dialect = Dialect(major_version(version))
            source = import_model(model, RandomStore(), dialect, options, "keras-v3")
        else:
            where = f"{_WEIGHTS} in {path}"
            with Probe(path, where, _WEIGHTS) as probe:
                require_h5py()  # takes a while to import, in both processes
                model, version = _config(archive, members, path)
                probe.wait()
            with _weights(archive, members, path) as data, open_hdf5(data, where) as root:
                store = PathStore(
                    entry(name, found, where) for name, found in datasets(root, where)
                )
                dialect = Dialect(major_version(version))
                source = import_model(model, store, dialect, options, "keras-v3")
    return replace(source, metadata={"keras_version": version})


def ops_of(path: Path, options: Options) -> Inventory:
    """The layers of a .keras file."""
    with _open(path) as archive:
        return inventory(_config(archive, _members(archive, path), path)[0])


def _config(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path
) -> tuple[ModelConfig, str]:
    """The model without its weights, and the version of Keras that wrote it."""
    text = _read(archive, members, _CONFIG, MAX_BYTES, path)
    model = parse_model(parse_json(text, f"{_CONFIG} in {path}"), str(path))
    about = {}
    if _ABOUT in members:
        about = parse_json(_read(archive, members, _ABOUT, 1 << 20, path), f"{_ABOUT} in {path}")
    version = about.get("keras_version") if isinstance(about, dict) else None
    return model, str(version or "3.")


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever zipfile raises becomes E-FORMAT-020."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FanlightError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, RuntimeError,
            NotImplementedError, OverflowError, MemoryError, IndexError) as error:  # fmt: skip
        raise FanlightError(
            "E-FORMAT-020",
            "the .keras archive is damaged or is not one.",
            where=path,
            expected=f"a zip with {_CONFIG} and {_WEIGHTS}",
            received=f"{type(error).__name__}: {error}"[:300],
            next="save the model again, or download it again; a model of another format needs the "
            "ending of its own, such as .onnx.",
        ) from None


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive, once every name is known to be harmless."""
    members = zips.members(archive, path, _WRITER, _MAX_MEMBERS)
    for wanted in (_CONFIG, _WEIGHTS):
        if wanted not in members:
            raise FanlightError(
                "E-FORMAT-020",
                "the archive is no Keras model.",
                where=path,
                expected=wanted,
                received=", ".join(list(members)[:8]) or "an empty archive",
                next="save the whole model: model.save('model.keras').",
            )
    return members


def _weights(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path
) -> AbstractContextManager[BinaryIO]:
    """The HDF5 file of the weights."""
    return zips.opened(archive, members[_WEIGHTS], path, _WRITER, _MAX_WEIGHTS)


def _read(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    name: str,
    limit: int,
    path: Path,
) -> bytes:
    return zips.read(archive, members[name], path, _WRITER, limit)

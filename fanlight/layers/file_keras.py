""".keras files of Keras 3: a zip of config.json, metadata.json and model.weights.h5."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.atomic import new_file
from fanlight.formats.contents import kind_of_bytes
from fanlight.formats.files import regular_size
from fanlight.formats.jsonfile import MAX_BYTES, parse_json
from fanlight.layers import compiled
from fanlight.layers.blank import blank
from fanlight.layers.describe import KERAS_VERSION, described_model
from fanlight.layers.layer import Layer
from fanlight.layers.packed import by_position
from fanlight.layers.places import (
    Found,
    Stored,
    assign,
    optimizer_order,
    own_weights,
    places,
    walked,
)
from fanlight.layers.reading import Reader
from fanlight.tensor.caller import caller

_PIECE = 1 << 20
_SEEDS = "seed_generator"
_PRIVATE = re.compile(r"/_(?=[a-z])")
_INNER = "inner_optimizer"
_OPTIMIZER = re.compile(rf"optimizer/({_INNER}/)?vars/(\d+)$")


def write(model: Any, path: Path, overwrite: bool, include_optimizer: bool) -> None:
    """Write a .keras file."""
    description = described_model(model)
    told = compiled.described(model) if include_optimizer else None
    if told is not None:
        description["compile_config"] = told
    about = {"keras_version": KERAS_VERSION, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    with new_file(path, overwrite) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps(about))
        archive.writestr("config.json", json.dumps(description))
        # HDF5 goes back to what it has written, a zip does not: hence the file between.
        with tempfile.TemporaryFile(dir=path.parent) as weights:
            _write_hdf5(weights, model, told is not None)
            about_weights = zipfile.ZipInfo("model.weights.h5", time.localtime()[:6])
            about_weights.file_size = weights.seek(0, os.SEEK_END)
            about_weights.external_attr = 0o600 << 16
            weights.seek(0)
            with archive.open(about_weights, "w") as member:
                shutil.copyfileobj(weights, member, _PIECE)


def write_weights(model: Any, path: Path, overwrite: bool) -> None:
    """Write a .weights.h5 file."""
    with new_file(path, overwrite) as file:
        _write_hdf5(file, model, getattr(model, "optimizer", None) is not None)


def _write_hdf5(file: BinaryIO, model: Any, with_optimizer: bool) -> None:
    """The HDF5 file of the weights: layers/dense/vars/0 and so on."""
    h5py = require_h5py("writing")
    with h5py.File(file, "w") as root:
        for path, _, layer in walked(model):
            group = root.require_group(f"{path}/vars" if path else "vars")
            group.attrs["name"] = layer.name
            for i, weight in enumerate(own_weights(layer)):
                group.create_dataset(str(i), data=weight.numpy())
        if with_optimizer and model.optimizer is not None:
            group = root.require_group("optimizer/vars")
            group.attrs["name"] = model.optimizer.name
            own = [w.numpy() for _, w in optimizer_order(model.optimizer)]
            scale = [a for _, a in compiled.loss_scale(model)]
            for i, array in enumerate([*scale, *own]):
                group.create_dataset(str(i), data=array)
            if scale:
                group.attrs["name"] = compiled.SCALER
                group = root.require_group(f"optimizer/{_INNER}/vars")
                group.attrs["name"] = model.optimizer.name
                for i, array in enumerate(own):
                    group.create_dataset(str(i), data=array)


def require_h5py(what: str) -> Any:
    """The h5py module; E-FORMAT-022 without it."""
    from fanlight.formats.keras import hdf5

    try:
        return hdf5.require_h5py()
    except FanlightError as error:
        error.message = f"{what} Keras .h5 and .keras files needs h5py."
        raise


def read(path: Path, compile: bool) -> Any:
    """The model of a .keras file."""
    from fanlight.formats.keras.archive import _ABOUT, _CONFIG, _members, _open, _read

    require_h5py("reading")
    regular_size(path, "E-FORMAT-001", "the model")
    with _open(path) as archive:
        members = _members(archive, path)
        where = f"{_CONFIG} in {path}"
        description = parse_json(_read(archive, members, _CONFIG, MAX_BYTES, path), where)
        about: Any = {}
        if _ABOUT in members:
            about = parse_json(
                _read(archive, members, _ABOUT, 1 << 20, path), f"{_ABOUT} in {path}"
            )
        version = str(about.get("keras_version") or "3.") if isinstance(about, dict) else "3."
        stored, files = _weights_of(archive, members, path)
    old = not version.startswith(("3", "4"))
    with closing(files):
        with blank(numbers(stored)):
            model = Reader(path, old).whole(description)
        own = found(model, stored)
        assign(own, path, new=True)
        model._notes = own.notes
        told = description.get("compile_config") if isinstance(description, dict) else None
        if compile and told:
            compiled.compile_as(model, told, path)
            _restore(model, stored, path, new=True)
    return model


def _weights_of(archive: Any, members: Any, path: Path) -> tuple[list[Stored], ExitStack]:
    """The arrays of a .keras file, each of which is read when it is wanted; and what is to be
    closed then.
    """
    from fanlight.formats.keras.archive import _WEIGHTS, _weights

    with ExitStack() as files:
        data = files.enter_context(_weights(archive, members, path))
        stored, opened = _stored_in(data, path, f"{_WEIGHTS} in {path}", _WEIGHTS)
        files.enter_context(opened)
        return stored, files.pop_all()


def _stored_in(
    data: Any, path: Path, where: str, member: str | None
) -> tuple[list[Stored], ExitStack]:
    """The same of an HDF5 file. A process of its own tries whether the library survives it."""
    from fanlight.formats.keras.guard import probe
    from fanlight.formats.keras.hdf5 import datasets, open_hdf5

    probe(path, where, member)
    with ExitStack() as files:
        root = files.enter_context(open_hdf5(data, where))
        stored = [stored_as(name, dataset, where) for name, dataset in datasets(root, where)]
        return stored, files.pop_all()


def stored_as(name: str, dataset: Any, where: object) -> Stored:
    """A dataset of an HDF5 file that is read when it is wanted."""
    from fanlight.formats.keras.hdf5 import check_claims, entry, library_errors

    check_claims(name, dataset, where)
    one = entry(name, dataset, where)

    def load() -> np.ndarray:
        with library_errors(where):
            return one.load()

    return Stored(name, one.shape, load, one.dtype)


def numbers(stored: Iterable[Stored]) -> int:
    """How many numbers the weights of a file can be: bytes may hold two."""
    return sum(int(np.prod(s.shape)) * (2 if s.dtype == "int8" else 1) for s in stored)


def read_weights(model: Layer, path: Path, by_name: bool, skip: bool) -> None:
    """Give a model the weights of a .weights.h5 or .keras file."""
    from fanlight.formats.keras.archive import _members, _open

    if by_name:
        raise FanlightError(
            "E-LAYER-004",
            "this file keeps weights by the places of layers, not by their names.",
            where=f"by_name, {path}, {caller()}",
            expected="an .h5 or .safetensors file for by_name",
            received=path.name,
        )
    require_h5py("reading")
    regular_size(path, "E-FORMAT-001", "the weights")
    if path.name.lower().endswith(".keras") or kind_of_bytes(path) == ".keras":
        with _open(path) as archive:
            stored, files = _weights_of(archive, _members(archive, path), path)
    else:
        stored, files = _stored_in(str(path), path, str(path), None)
    with closing(files):
        assign(found(model, stored), path, skip)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and len(_state(stored)) > 2 and not skip:
            _restore(model, stored, path)


def found(model: Layer, stored: Iterable[Stored]) -> Found:
    """What a file has for the weights of a model, by place."""
    by_path: dict[str, Stored] = {}
    for one in stored:
        # Keras 2.12 wrote another folder name, and backslashes on Windows.
        name = one.name.replace("\\", "/").replace("_layer_checkpoint_dependencies", "layers")
        if not name.startswith("optimizer/") and _SEEDS not in name:
            by_path[name] = one
    own = places(model)
    wanted = {p.path for p in own}
    for name in sorted(set(by_path) - wanted):
        public = _PRIVATE.sub("/", name)  # Keras 2 wrote layers/mha/_key_dense
        if public in wanted and public not in by_path:
            by_path[public] = by_path.pop(name)
    for name in wanted - set(by_path):
        public = _PRIVATE.sub("/", name)  # Fanlight wrote layers/grouped.../key_dense
        if public in by_path and public not in wanted:
            by_path[name] = by_path.pop(public)
    by_path, note = by_position(model, by_path)
    pairs = [(f"{p.name} ({p.path})", p.weight, by_path.pop(p.path, None)) for p in own]
    return Found(pairs, sorted(by_path), (note,) if note else ())


def _restore(model: Any, stored: Iterable[Stored], path: Path, new: bool = False) -> None:
    """Give the optimizer of a model its state.

    Args:
        new: see `assign`.
    """
    arrays, inner = _state(stored), _state(stored, _INNER)
    if inner:  # Keras files it once more behind what scales its losses
        compiled.keep_loss_scale(model, arrays[: len(arrays) - len(inner)])
    compiled.restore(model, inner or arrays, path, new)


def _state(stored: Iterable[Stored], within: str = "") -> list[Stored]:
    """The arrays of the optimizer, or of the one within it, in order."""
    named = [(_OPTIMIZER.match(s.name.replace("\\", "/")), s) for s in stored]
    own = [(int(m[2]), s) for m, s in named if m and bool(m[1]) == bool(within)]
    return [s for _, s in sorted(own, key=lambda pair: pair[0])]

"""A Keras .h5 model (Keras 2 and 3): config in an attribute, weights by layer name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.inventory import Inventory
from fanlight.formats.jsonfile import parse_json
from fanlight.formats.keras.call import Dialect
from fanlight.formats.keras.config import ModelConfig, parse_model
from fanlight.formats.keras.guard import probe
from fanlight.formats.keras.hdf5 import (
    attribute,
    datasets,
    entry,
    member,
    names_attribute,
    open_hdf5,
    require_h5py,
)
from fanlight.formats.keras.model import import_model, inventory
from fanlight.formats.keras.stores import Entry, NamedStore, RandomStore, Store
from fanlight.formats.keras.tfjs_layers import major_version
from fanlight.formats.source import Options, Source


def read_h5(path: Path, options: Options) -> Source:
    """Import an .h5 file written by `model.save`.

    Raises:
        FanlightError: E-FORMAT-021 if it is damaged or holds weights only, E-FORMAT-022
            without h5py, and the codes of layer configs.
    """
    require_h5py()
    probe(path, path)
    with open_hdf5(str(path), path) as root:
        model = _model(root, path)
        version = str(attribute(root, "keras_version") or "")
        store: Store = RandomStore()
        if options.weights == "stored":
            store = NamedStore(_entries(root, path))
        dialect = Dialect(major_version(version))
        source = import_model(model, store, dialect, options, "keras-h5")
    return replace(source, metadata={"keras_version": version})


def ops_of(path: Path, options: Options) -> Inventory:
    """The layers of an .h5 file."""
    require_h5py()
    probe(path, path)
    with open_hdf5(str(path), path) as root:
        return inventory(_model(root, path))


def _model(root: Any, path: Path) -> ModelConfig:
    text = attribute(root, "model_config")
    if not isinstance(text, str):
        raise FanlightError(
            "E-FORMAT-021",
            "the HDF5 file has no model in it, at most weights.",
            where=path,
            expected="the attribute model_config",
            received=", ".join([*root.attrs, *root][:8]) or "nothing",
            next="save the whole model: model.save('model.keras').",
        )
    return parse_model(parse_json(text.encode("utf-8", "replace"), path), str(path))


def _entries(root: Any, path: Path) -> list[Entry]:
    """The weights of every layer, in the order in which Keras filed them."""
    group = member(root, "model_weights", path) if "model_weights" in root else root
    found: list[Entry] = []
    for layer in names_attribute(group, "layer_names"):
        filed = member(group, layer, path)
        for name in names_attribute(filed, "weight_names"):
            found.append(entry(name, member(filed, name, path), path, layer))
    if not found:
        found = [entry(name, data, path) for name, data in datasets(group, path)]
    return found

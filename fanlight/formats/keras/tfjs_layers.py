"""A TF.js layers-model (model.json and shards) -> a graph. Written by Keras 2, Keras 3 or TF.js."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.formats.inventory import Inventory
from fanlight.formats.jsonfile import expect, field
from fanlight.formats.keras.call import Dialect
from fanlight.formats.keras.config import ModelConfig, parse_model, snake_keys
from fanlight.formats.keras.model import import_model, inventory
from fanlight.formats.keras.stores import Entry, NamedStore, PathStore, RandomStore, Store
from fanlight.formats.manifest import parse_manifest, read_weights
from fanlight.formats.source import Options, Source


def read_layers_model(model: Mapping[str, Any], path: Path, options: Options) -> Source:
    """Import a layers-model whose model.json was parsed; its shards lie beside `path`."""
    topology, parsed = _parsed(model, path)
    groups = parse_manifest(model.get("weightsManifest") or [], path)
    store: Store = RandomStore()
    if options.weights == "stored":
        arrays = read_weights(groups, path.parent)
        optimizer = _optimizer_weights(model)
        entries = [
            Entry(name, array.shape, lambda a=array: a)  # type: ignore[misc]
            for name, array in arrays.items()
            if isinstance(array, np.ndarray) and name not in optimizer
        ]
        by_position = PathStore.fits(e.name for e in entries)
        store = PathStore(entries) if by_position else NamedStore(entries)
    return import_model(parsed, store, _dialect(topology, model), options, "tfjs-layers")


def ops_of_layers(model: Mapping[str, Any], path: Path) -> Inventory:
    """The layers of a layers-model."""
    return inventory(_parsed(model, path)[1])


def _parsed(model: Mapping[str, Any], path: Path) -> tuple[Mapping[str, Any], ModelConfig]:
    topology = snake_keys(field(model, "modelTopology", dict, path), str(path))
    inner = topology.get("model_config")
    config = topology if inner is None else expect(inner, dict, '"model_config"', path)
    return topology, parse_model(config, str(path))


def _optimizer_weights(model: Mapping[str, Any]) -> set[str]:
    """TF.js files the state of an optimizer among the weights, marked by its group."""
    return {
        w["name"]
        for g in model.get("weightsManifest") or []
        for w in g["weights"]
        if w.get("group") == "optimizer"
    }


def _dialect(topology: Mapping[str, Any], model: Mapping[str, Any]) -> Dialect:
    version = str(topology.get("keras_version") or model.get("generatedBy") or "")
    return Dialect(major_version(version), "tfjs-layers" in version.lower())


def major_version(version: str) -> int:
    """3 for "3.15.1" or "keras v3.1", else 2 (TF.js follows Keras 2)."""
    match = re.match(r"(?:keras v)?(\d+)\.", version)
    return 3 if match and int(match[1]) >= 3 else 2

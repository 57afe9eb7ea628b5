"""TF.js layers-models: a folder of model.json and binary shards, both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.atomic import new_folder
from fanlight.formats.detect import labels_of
from fanlight.formats.files import regular_size
from fanlight.formats.jsonfile import expect, read_json
from fanlight.formats.keras.config import snake_keys
from fanlight.formats.keras.stores import PathStore
from fanlight.formats.manifest import parse_manifest
from fanlight.formats.manifest import read_weights as read_arrays
from fanlight.formats.random_weights import random_array
from fanlight.formats.shards import SHARD_BYTES, ShardWriter, quantization
from fanlight.layers import compiled, file_keras, tfjs_training
from fanlight.layers.blank import blank
from fanlight.layers.describe import dialect
from fanlight.layers.layer import Layer
from fanlight.layers.places import Found, Stored, assign, places
from fanlight.layers.reading import Reader
from fanlight.layers.tfjs_form import Form, tfjs_weights
from fanlight.tensor.caller import caller

# --- writing --------------------------------------------------------------------------------------


def write(
    model: Any,
    path: Path,
    overwrite: bool,
    include_optimizer: bool,
    *,
    quantize: Any = None,
    shard_bytes: int = SHARD_BYTES,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the folder.

    Args:
        quantize: weights that are rounded, see `fanlight.formats.shards.quantization`; what an
            optimizer keeps is never.
        shard_bytes: bytes of a file of weights.
        metadata: what the model says about itself: userDefinedMetadata.
    """
    from fanlight.version import __version__

    folder = path.parent if path.suffix == ".json" else path
    asked = quantization(quantize)
    topology, ordered = described(model)
    weights = tfjs_weights(model)
    told, kept = None, []
    if include_optimizer and model._compiled is not None and model.optimizer is not None:
        told = tfjs_training.training_config(model)
        train = {id(w) for w in model.trainable_weights}
        kept = tfjs_training.state(model.optimizer, [(n, w) for n, w in weights if id(w) in train])
    whole: dict[str, Any] = {
        "format": "layers-model",
        "generatedBy": f"Fanlight {__version__}",
        "convertedBy": None,
        "modelTopology": topology,
    }
    if told is not None:
        whole["trainingConfig"] = told
    if metadata:
        whole["userDefinedMetadata"] = dict(metadata)
    with new_folder(folder, overwrite) as temporary:
        with ShardWriter(temporary, quantize=asked, shard_bytes=shard_bytes) as shards:
            for name, weight in ordered:
                shards.write(name, weight.numpy())
            shards.exact()
            for name, array in kept:
                shards.write(name, array, "optimizer")
            whole["weightsManifest"] = [shards.finish()]
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        (temporary / "model.json").write_bytes(text.encode())


def described(model: Any) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """modelTopology, and the weights under the names and in the order that TF.js has for them.

    Raises:
        FanlightError: E-LAYER-009 TF.js lacks a layer, or cannot tell two of them apart.
    """
    topology = Form().topology(model)
    _distinct(model, [n for n, _ in tfjs_weights(model)])
    return topology, _in_order(model)


def _in_order(model: Any) -> list[tuple[str, Any]]:
    """The weights in the order of the original converter: of layers by the alphabet, as HDF5 has
    them.
    """
    once: dict[int, tuple[str, Any]] = {}
    for layer in sorted(model.layers, key=lambda x: x.name):
        for name, weight in tfjs_weights(layer):
            once.setdefault(id(weight), (name, weight))
    for name, weight in tfjs_weights(model):
        once.setdefault(id(weight), (name, weight))
    return list(once.values())


def _distinct(model: Any, names: list[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise FanlightError(
            "E-LAYER-009",
            "TF.js tells weights apart by the names of their layers, and some are the same.",
            where=f"{model.name}, {caller()}",
            expected="layers of nested models with names of their own",
            received=", ".join(twice[:20]),
            next="give these layers names: fl.layers.Dense(8, name=...).",
        )


# --- reading --------------------------------------------------------------------------------------


class _Folder:
    def __init__(self, path: Path, weights: str = "stored") -> None:
        self.path = path / "model.json" if path.is_dir() or path.suffix != ".json" else path
        regular_size(self.path, "E-FORMAT-001", "the model")
        self.model = expect(read_json(self.path), dict, "the model", self.path)
        manifest = self.model.get("weightsManifest") or []
        groups = parse_manifest(manifest, self.path)
        marked = _optimizer_names(manifest)
        arrays: Mapping[str, Any] = (
            read_arrays(groups, self.path.parent)
            if weights == "stored"
            else {s.name: random_array(s.name, s.shape) for _, group in groups for s in group}
        )
        self.weights: dict[str, np.ndarray] = {}
        self.optimizer: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            if isinstance(array, np.ndarray):
                (self.optimizer if name in marked else self.weights)[name] = array

    def found(self, model: Layer) -> Found:
        """Which stored weight belongs to which one."""
        stored = [Stored(n, a.shape, _kept(a)) for n, a in self.weights.items()]
        if PathStore.fits(self.weights):
            return file_keras.found(model, stored)
        return by_names(model, stored)


def _kept(array: np.ndarray) -> Any:
    return lambda: array


def _optimizer_names(manifest: Any) -> set[str]:
    return {
        w["name"] for group in manifest for w in group["weights"] if w.get("group") == "optimizer"
    }


def by_names(model: Layer, stored: list[Stored]) -> Found:
    """Weights by the names of TF.js; else by those of the layers around them, best fit first."""
    left = {s.name.rsplit(":", 1)[0]: s for s in stored}
    pairs: list[tuple[str, Any, Any]] = []
    open_ones: list[int] = []
    chain = {id(p.weight): p.chain for p in places(model)}
    names = {n for c in chain.values() for n in c}

    def layer_of(token: str) -> str:
        """The name of a layer; one made a second time in a session was counted: conv1_2."""
        base, _, count = token.rpartition("_")
        return base if token not in names and count.isdecimal() else token

    for name, weight in tfjs_weights(model):
        if name not in left:
            open_ones.append(len(pairs))
        pairs.append((name, weight, left.pop(name, None)))
    for i in open_ones:
        name, weight, _ = pairs[i]
        around = {*chain[id(weight)], *name.split("/")[:-1]}
        last = name.rpartition("/")[2]
        best, most = None, 0
        for other in left:
            tokens = other.split("/")
            if tokens[-1] not in (last, weight.name) and not other.endswith(f"_{weight.name}"):
                continue
            common = sum(1 for t in tokens[:-1] if layer_of(t) in around)
            if common > most:
                best, most = other, common
        if best is not None:
            pairs[i] = (name, weight, left.pop(best))
    return Found(pairs, [n for n in left if "seed_generator" not in n])


def read(path: Path, compile: bool, weights: str = "stored") -> Any:
    """The model of a folder; its weights, or seeded ones ("random") of the shapes that it lists."""
    folder = _Folder(path, weights)
    topology = folder.model.get("modelTopology")
    if topology is None or "node" in expect(topology, dict, '"modelTopology"', folder.path):
        raise FanlightError(
            "E-FORMAT-005",
            "the folder has no layers-model.",
            where=folder.path,
            expected='"modelTopology" with layers',
            received="a graph-model" if topology else "weights only",
            next="fl.load reads graph-models; model.load_weights(path) takes weights alone.",
        )
    entry = snake_keys(topology, str(folder.path))
    version = str(entry.get("keras_version") or folder.model.get("generatedBy") or "")
    old, tfjs = dialect(version)
    with blank(sum(a.size for a in (*folder.weights.values(), *folder.optimizer.values()))):
        model = Reader(folder.path, old, tfjs).whole(entry)
    found = folder.found(model)
    assign(found, folder.path, new=True)
    if model.labels is None:
        model.labels = labels_of(folder.model, folder.path)[0]
    told = folder.model.get("trainingConfig")
    if compile and isinstance(told, Mapping):
        names = {id(w): s.name for _, w, s in found.pairs if s is not None}
        _train_on(model, folder, told, names)
    elif compile and isinstance(entry.get("training_config"), Mapping):
        compiled.compile_as(model, entry["training_config"], folder.path)
    return model


def _train_on(
    model: Any, folder: _Folder, told: Mapping[str, Any], stored: Mapping[int, str]
) -> None:
    optimizer = told.get("optimizer_config")
    if not isinstance(optimizer, Mapping):
        return
    metrics = told.get("metrics")
    try:
        made = tfjs_training.optimizer_of(told)
    except (TypeError, ValueError, AttributeError) as error:
        raise FanlightError(
            "E-LAYER-004",
            "the model of the file cannot be compiled as the file says.",
            where=folder.path,
            expected="an optimizer as TF.js writes it",
            received=f"{type(error).__name__}: {error}"[:300],
            next="fl.load_model(path, compile=False) leaves training out.",
        ) from None
    options = {"metrics": metrics or None, "loss": told.get("loss"), "optimizer": made}
    compiled.compile_as(model, options, folder.path)
    order = [(stored.get(id(w), w.path), w) for w in model.trainable_weights]
    wrong = tfjs_training.restore(model, order, folder.optimizer)
    if wrong:
        compiled.begins_anew("; ".join(wrong), folder.path)


def read_weights(model: Layer, path: Path, by_name: bool, skip: bool) -> None:
    """Give a model the weights of a folder."""
    folder = _Folder(path)
    assign(folder.found(model), folder.path, skip, by_name)

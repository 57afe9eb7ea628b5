""".h5 files in the layout of Keras 2, which Keras 3 reads and writes, too.

The config is an attribute, and weights are filed by the names of layers: those that train first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.atomic import new_file
from fanlight.formats.files import regular_size
from fanlight.formats.jsonfile import parse_json
from fanlight.layers import compiled
from fanlight.layers.adapters import adapters, merged
from fanlight.layers.blank import blank
from fanlight.layers.depths import depth_order
from fanlight.layers.describe import KERAS_VERSION, described_model
from fanlight.layers.file_keras import numbers, require_h5py, stored_as
from fanlight.layers.file_keras import read_weights as read_by_place
from fanlight.layers.layer import Layer
from fanlight.layers.loss_functions import ALIASES
from fanlight.layers.model import Model, Sequential
from fanlight.layers.packed import by_name as dequantized_by_name
from fanlight.layers.places import (
    Found,
    Stored,
    assign,
    chains,
    filed,
    misfit,
    optimizer_order,
)
from fanlight.layers.reading import Reader
from fanlight.tensor.caller import caller

# An attribute of HDF5 takes 64 kB; longer lists of names are cut.
_ATTRIBUTE = 64_000


# --- writing --------------------------------------------------------------------------------------


def write(model: Any, path: Path, overwrite: bool, include_optimizer: bool) -> None:
    """Write a whole model.

    Raises:
        FanlightError: E-LAYER-009 it is one of somebody's own class: such a file lists layers and
            how they are connected, which its code alone says. Keras writes a file that it does not
            read again.
    """
    if not model.functional:
        raise FanlightError(
            "E-LAYER-009",
            "an .h5 file cannot hold a model of a class of your own.",
            where=f"{model.name} ({type(model).__name__}), {caller()}",
            expected="fl.Sequential, or fl.Model(inputs, outputs)",
            received=f"{type(model).__name__}, whose layers are connected by its call",
            next='model.save("model.keras") holds it, if its class has @fl.register() above it; '
            'model.save_weights("model.weights.h5") keeps the numbers.',
        )
    h5py = require_h5py("writing")
    description = _legacy(described_model(model))
    told = compiled.described(model) if include_optimizer else None
    with new_file(path, overwrite) as file, h5py.File(file, "w") as root:
        root.attrs["keras_version"] = KERAS_VERSION
        root.attrs["backend"] = "fanlight"
        root.attrs["model_config"] = json.dumps(description)
        _write_layers(root.create_group("model_weights"), model)
        if told is not None:
            root.attrs["training_config"] = json.dumps(_training(told))
            group = root.create_group("optimizer_weights")
            prefix = model.optimizer.name
            own = [(f"{prefix}/{n}", w.numpy()) for n, w in optimizer_order(model.optimizer)]
            _write_named(group, [*compiled.loss_scale(model), *own])


def write_weights(model: Any, path: Path, overwrite: bool) -> None:
    """Write weights alone."""
    h5py = require_h5py("writing")
    with new_file(path, overwrite) as file, h5py.File(file, "w") as root:
        _write_layers(root, model)


def top_layers(model: Any) -> list[Layer]:
    """The layers that a file lists."""
    if isinstance(model, Sequential):
        return model.layers
    if isinstance(model, Model) and model.functional:
        return depth_order(model)
    return list(model.layers)


def _write_layers(group: Any, model: Any) -> None:
    names = chains(model)
    layers = top_layers(model)
    group.attrs["backend"] = "fanlight"
    group.attrs["keras_version"] = KERAS_VERSION
    _write_names(group, "layer_names", [layer.name for layer in layers])
    for layer in layers:
        own = [(_within(names[id(w)], w.name), w.numpy()) for w in filed(layer)]
        _write_named(group.create_group(layer.name), own)
    _write_named(group.create_group("top_level_model_weights"), [])


def _within(chain: tuple[str, ...], name: str) -> str:
    """The name of a weight in the group of its layer: that of the group only where it is alone."""
    return "/".join((*(chain[1:] or chain), name))


def _write_named(group: Any, arrays: list[tuple[str, np.ndarray]]) -> None:
    names: list[str] = []
    for name, array in arrays:
        unique, count = name, 0
        while unique in names:
            count += 1
            unique = f"{name}_{count}"
        names.append(unique)
        group.create_dataset(unique, data=array)
    _write_names(group, "weight_names", names)


def _write_names(group: Any, name: str, values: list[str]) -> None:
    """A list of names as an attribute, cut into name0, name1, ... where it is too long."""
    encoded = [v.encode() for v in values]
    width = max(map(len, encoded), default=1)
    most = max(_ATTRIBUTE // max(width, 1), 1)
    if len(encoded) <= most:
        group.attrs[name] = np.array(encoded, dtype=f"S{max(width, 1)}")
        return
    for i, start in enumerate(range(0, len(encoded), most)):
        group.attrs[f"{name}{i}"] = np.array(encoded[start : start + most], dtype=f"S{width}")


def _legacy(value: Any) -> Any:
    """A description without what .h5 files leave out: modules of layers, shapes of building."""
    kept = ("class_name", "config", "name", "inbound_nodes")
    made = {k: value[k] for k in kept if k in value}
    if value.get("module") is None and value.get("registered_name"):
        made["class_name"] = value["registered_name"]
    elif made.get("class_name") == "GroupQueryAttention":
        made["class_name"] = "GroupedQueryAttention"  # the class itself, not what exports it
    inner = made.get("config")
    if isinstance(inner, Mapping) and "layers" in inner:
        made["config"] = {**inner, "layers": [_legacy(x) for x in inner["layers"]]}
    return made


def _training(told: dict[str, Any]) -> dict[str, Any]:
    optimizer = told["optimizer"]
    name = optimizer["registered_name"] or optimizer["class_name"]
    keys = ("loss", "metrics", "weighted_metrics", "loss_weights")
    return {k: _spelled(told[k]) for k in keys} | {
        "optimizer_config": {"class_name": name, "config": optimizer["config"]}
    }


def _spelled(value: Any) -> Any:
    """Names in full: Keras 3 does not find "mse" again in an .h5 file."""
    if isinstance(value, str):
        return ALIASES.get(value, value)
    if isinstance(value, list):
        return [_spelled(v) for v in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {k: _spelled(v) for k, v in value.items()}
    return value


# --- reading --------------------------------------------------------------------------------------


class _File:
    """What is in an .h5 file: attributes and arrays, by layer.

    Arrays are read when they are wanted, until it is closed.
    """

    def __init__(self, path: Path) -> None:
        from fanlight.formats.keras.guard import probe
        from fanlight.formats.keras.hdf5 import attribute, member, names_attribute, open_hdf5

        require_h5py("reading")
        regular_size(path, "E-FORMAT-001", "the model")
        probe(path, path)
        self.layers: list[tuple[str, list[Stored]]] = []
        self.by_place = False
        with ExitStack() as files:
            root = files.enter_context(open_hdf5(str(path), path))
            self.config = attribute(root, "model_config")
            self.training = attribute(root, "training_config")
            self.version = str(attribute(root, "keras_version") or "")
            self.keys = [*root.attrs, *root][:8]
            group = member(root, "model_weights", path) if "model_weights" in root else root

            def listed(where: Any, key: str) -> list[Stored]:
                found = []
                for name in names_attribute(where, key):
                    found.append(stored_as(name, member(where, name, path), path))
                return found

            names = names_attribute(group, "layer_names")
            for name in names:
                self.layers.append((name, listed(member(group, name, path), "weight_names")))
            self.optimizer: list[Stored] = []
            if "optimizer_weights" in root:
                self.optimizer = listed(member(root, "optimizer_weights", path), "weight_names")
            self.by_place = not names and ("layers" in group or "vars" in group)
            self.close = files.pop_all().close
        if not self.version:
            self.version = "3." if self.by_place else "2."

    def dequantize(self, model: Layer, by_name: bool) -> tuple[str, ...]:
        """Make float32 of what was quantised; and what to say of it."""
        own = [layer for layer in top_layers(model) if filed(layer)]
        tops = {layer.name: layer for layer in own}
        stored = [name for name, arrays in self.layers if arrays]
        if not by_name and not all(name in stored for name in tops):  # by order, see `_found`
            tops = dict(zip(stored, own, strict=False))
        self.layers, note = dequantized_by_name(tops, self.layers)
        return (note,) if note else ()

    def merge(self, description: Any) -> None:
        """Make one weight of each that low-rank adapters add to, as .keras files have it."""
        scales = adapters(description)
        if scales:
            self.layers = [(name, merged(own, scales)) for name, own in self.layers]

    def count(self) -> int:
        """Numbers in all weights."""
        return sum(numbers(own) for _, own in self.layers)


def read(path: Path, compile: bool) -> Any:
    """The model of a file."""
    with closing(_File(path)) as file:
        return _model(file, path, compile)


def _model(file: _File, path: Path, compile: bool) -> Any:
    if not isinstance(file.config, str):
        raise FanlightError(
            "E-FORMAT-021",
            "the HDF5 file has no model in it, at most weights.",
            where=path,
            expected="the attribute model_config",
            received=", ".join(file.keys) or "nothing",
            next="make the model first, then model.load_weights(path).",
        )
    old = not file.version.startswith(("3", "4"))
    description = parse_json(file.config.encode("utf-8", "replace"), path)
    with blank(file.count()):
        model = Reader(path, old).whole(description)
    model._notes = file.dequantize(model, False)
    file.merge(description)
    assign(_found(model, file, path, False), path, new=True)
    if compile and isinstance(file.training, str):
        told = parse_json(file.training.encode("utf-8", "replace"), path)
        compiled.compile_as(model, told, path)
        if file.optimizer and not old:
            scale = [a for a in file.optimizer if a.name.startswith(f"{compiled.SCALER}/")]
            compiled.keep_loss_scale(model, scale)
            state = [a for a in file.optimizer if a not in scale]
            compiled.restore(model, state, path, new=True)
        elif file.optimizer:
            _restore_old(model, file.optimizer)
    return model


def _restore_old(model: Any, arrays: list[Stored]) -> None:
    """The state of an optimizer of Keras 2, where it is that of now; else it begins anew."""
    optimizer = model.optimizer
    optimizer.build(model.trainable_weights)
    own = optimizer_order(optimizer)
    if "learning_rate" not in (a.name.rpartition("/")[2].split(":")[0] for a in arrays):
        own = [(n, w) for n, w in own if n != "learning_rate"]
    orders = [own]
    if len(own) > 1:  # the first Adam of Keras 2: all of a slot, then all of the next
        slots = [(s, v) for s, values in optimizer._slots.items() for v in values]
        orders.append([own[0], *slots])
    for order in orders:
        shapes = [tuple(w.shape) for _, w in order]
        if shapes == [tuple(a.shape) for a in arrays] and (order is not own or _alike(own, arrays)):
            for (_, weight), stored in zip(order, arrays, strict=True):
                weight.assign(np.asarray(stored.load()).astype(weight.dtype))
            return


def _alike(own: list[tuple[str, Any]], arrays: list[Stored]) -> bool:
    """Whether slots come in our order by their names: /m and /v, or all of one first."""
    names = [a.name.rsplit(":", 1)[0] for a in arrays]
    ends = [n.rpartition("/")[2][:1] for n in names[1:3]]
    return len(names) < 3 or "momentum" in names[1] or ends[0] != ends[1] or len(own) <= 3


def read_weights(model: Any, path: Path, by_name: bool, skip: bool) -> None:
    """Give a model the weights of a file."""
    with closing(_File(path)) as file:
        if not file.by_place or file.layers:
            file.dequantize(model, by_name)
            assign(_found(model, file, path, by_name), path, skip, by_name)
            return
    read_by_place(model, path, by_name, skip)


def _found(model: Any, file: _File, where: object, by_name: bool) -> Found:
    """Which stored weight belongs to which one: by the names of layers, else by their order."""
    names = chains(model)
    own = [(layer, filed(layer)) for layer in top_layers(model)]
    own = [(layer, weights) for layer, weights in own if weights]
    stored = [(name, arrays) for name, arrays in file.layers if arrays]
    by_layer = dict(stored)
    if not by_name and not all(layer.name in by_layer for layer, _ in own):
        if len(own) != len(stored):
            raise misfit(
                [f"{len(own)} layers with weights from {len(stored)}",
                 *(f"{layer.name}: {len(w)} weights" for layer, w in own)],
                where,
            )  # fmt: skip
        by_layer = {layer.name: s for (layer, _), (_, s) in zip(own, stored, strict=True)}
    pairs: list[tuple[str, Any, Any]] = []
    extra: list[str] = []
    for layer, weights in own:
        arrays = _matched(weights, by_layer.pop(layer.name, []))
        for i, weight in enumerate(weights):
            label = "/".join((*names[id(weight)], weight.name))
            pairs.append((label, weight, arrays[i] if i < len(arrays) else None))
        extra += [a.name for a in arrays[len(weights) :]]
    known = {id(a) for _, _, a in pairs}
    left = [a.name for arrays in by_layer.values() for a in arrays if id(a) not in known]
    return Found(pairs, [n for n in (*extra, *left) if "seed_generator" not in n])


def _matched(weights: list[Any], arrays: list[Stored]) -> list[Stored]:
    """Arrays in the order of weights: their own, unless layers have been frozen in between."""
    kept = [a for a in arrays if "seed_generator" not in a.name]
    shapes = [tuple(w.shape) for w in weights]
    if [a.shape for a in kept] == shapes or len(kept) != len(weights):
        return kept
    left, found = list(kept), []
    for weight in weights:
        ends = [a for a in left if a.name.split(":")[0].endswith(f"/{weight.name}")]
        fits = [a for a in ends if a.shape == tuple(weight.shape)]
        if not fits:
            return kept
        found.append(fits[0])
        left.remove(fits[0])
    return found

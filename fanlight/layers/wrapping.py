"""Layers around layers: how an argument that is a layer is read, and what is done to its copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fanlight.layers import config
from fanlight.layers.layer import Layer, argument_error


def known_layers() -> dict[str, Any]:
    """The layers, and models, that a description may name."""
    from fanlight import layers  # which imports this
    from fanlight.layers.model import Model, Sequential

    found = {name: getattr(layers, name) for name in layers.__all__}
    models = {"Functional": Model, "Model": Model, "Sequential": Sequential}
    return models | {name: made for name, made in found.items() if isinstance(made, type)}


def layer_of(outer: Layer, argument: str, given: Any) -> Layer:
    """A layer that is given as one, or as its description in a file; E-LAYER-003, E-LAYER-004."""
    if isinstance(given, Mapping):
        given = config.lookup("layer", given, known_layers())
    if not isinstance(given, Layer):
        raise argument_error(outer, argument, "a layer", given)
    return given


def copy_of(layer: Layer, **changes: Any) -> Layer:
    """A layer with the same arguments, some changed, and with weights of its own."""
    return type(layer).from_config({**layer.get_config(), **changes})

"""Models from and to plain data, as Keras 3 writes them."""

from __future__ import annotations

from typing import Any

from fanlight.layers import config
from fanlight.layers.layer import Layer


def layer_from(description: Any, known: dict[str, Any]) -> Layer:
    """The layer of a description; E-LAYER-003 for one that is not known."""
    made: Layer = config.lookup("layer", description, known)
    return made


def functional_config(model: Any) -> dict[str, Any]:
    """Layers, and which result of which goes where."""
    raise NotImplementedError


def sequential_config(model: Any) -> dict[str, Any]:
    """The layers in their row."""
    raise NotImplementedError


def model_from_config(config: dict[str, Any], kind: type) -> Any:
    """The model of a functional description."""
    raise NotImplementedError


def sequential_from_config(config: dict[str, Any]) -> Any:
    """The Sequential of a description."""
    raise NotImplementedError

"""Layers by the names that files have for them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

from fanlight.layers.config import registered, scoped

# Names of older files, of Keras 2 and of TensorFlow.js.
_ALIASES = {
    "AvgPool1D": "AveragePooling1D",
    "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GroupedQueryAttention": "GroupQueryAttention",
    "GRUV2": "GRU",
    "LSTMV2": "LSTM",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "MaxPool3D": "MaxPooling3D",
    "UnifiedGRU": "GRU",
    "UnifiedLSTM": "LSTM",
}
MODELS = ("Functional", "Model", "Sequential")


@cache
def known() -> Mapping[str, Any]:
    """All layers by class name, aliases included."""
    from fanlight import layers
    from fanlight.layers import merging, reshaping
    from fanlight.layers.layer import Layer
    from fanlight.layers.model import Model, Sequential
    from fanlight.layers.operations import Operation

    # What the arithmetic of stand-ins makes.
    found: dict[str, Any] = {
        "Add": merging.Add,
        "Operation": Operation,
        "Rescaling": reshaping.Rescaling,
    }
    for name in layers.__all__:
        made = getattr(layers, name)
        if isinstance(made, type) and issubclass(made, Layer):
            found[name] = made
    found |= {alias: found[name] for alias, name in _ALIASES.items() if name in found}
    return MappingProxyType(found | {"Functional": Model, "Model": Model, "Sequential": Sequential})


def find(class_name: str, registered_name: Any = None) -> Any:
    """The class of a layer by its names in a file: one that was registered goes first; or None."""
    if registered_name and registered_name not in MODELS:
        made = registered(str(registered_name))
        if made is not None:
            return made
    own = scoped(class_name)
    if own is None:
        own = known().get(class_name)
    return registered(class_name) if own is None else own


def builtin(class_name: str) -> bool:
    """Whether the class that a file names is Fanlight's own, and no other was put in its place."""
    return find(class_name) is known().get(class_name)


_accepted: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def accepted(kind: type) -> frozenset[str]:
    """The arguments that a class takes, those of its base included."""
    if (found := _accepted.get(kind)) is not None:
        return found
    names: set[str] = set()
    for base in kind.__mro__:
        init = base.__dict__.get("__init__")
        if init is None:
            continue
        parameters = inspect.signature(init).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    _accepted[kind] = frozenset(names - {"self"})
    return _accepted[kind]


__all__ = ["MODELS", "accepted", "builtin", "find", "known"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

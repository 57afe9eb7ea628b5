"""Where files keep the weights of layers: by position (.keras), by order (.h5), or by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.attention import GroupQueryAttention
from fanlight.layers.depths import depth_order
from fanlight.layers.layer import Layer
from fanlight.layers.model import Model, Sequential
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.weight import Weight
from fanlight.layers.wrappers import Pipeline
from fanlight.tensor import cast, tensor
from fanlight.tensor.caller import caller

_APART = (
    "nodes",
    "inputs_form",
    "outputs_form",
    "_layers",
    "_order",
    "_row",
    "_begin",
    "_ends",
    "history",
)
# Classes that Keras exports under another name than their own, by which files keep weights.
_CLASSES = {Model: "Functional", GroupQueryAttention: "GroupedQueryAttention"}


@dataclass(frozen=True)
class Place:
    """A weight of a model.

    Attributes:
        path: where a .keras file has it: layers/dense/vars/0.
        chain: names of the layers that it is in, from the outermost one on.
    """

    weight: Weight
    path: str
    chain: tuple[str, ...]

    @property
    def name(self) -> str:
        """conv/kernel, block/conv/kernel."""
        return "/".join((*self.chain, self.weight.name))


# --- walking --------------------------------------------------------------------------------------


def walked(model: Layer) -> Iterator[tuple[str, tuple[str, ...], Layer]]:
    """Every layer inside once: its path in a .keras file, the names down to it, and itself."""
    seen: set[int] = set()
    stack: list[tuple[str, tuple[str, ...], Layer]] = [("", (), model)]
    while stack:
        path, chain, layer = stack.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield path, chain, layer
        inner = [
            (f"{path}/{name}" if path else name, (*chain, child.name), child)
            for name, child in _children(layer)
        ]
        stack += reversed(inner)


def _children(layer: Layer) -> list[tuple[str, Layer]]:
    if isinstance(layer, Sequential):
        return list(_counted("layers", layer.layers))
    if isinstance(layer, Model) and layer.functional:
        return list(_counted("layers", depth_order(layer)))
    held = {k: v for k, v in vars(layer).items() if k not in _APART}
    if isinstance(layer, Model | Pipeline):
        held["layers"] = layer.layers
    own = type(layer).__module__.startswith("fanlight.")
    found: list[tuple[str, Layer]] = []
    plain = (str, int, float, type(None))  # most are, and told fast
    held = {k: v for k, v in held.items() if not isinstance(v, plain)}
    for key in sorted(held, key=lambda k: (k.startswith("_"), k)):
        value, name = held[key], key.lstrip("_") if own else key
        if isinstance(layer, GroupQueryAttention) and name.endswith("_dense"):
            name = f"_{name}"  # Keras has these by their private names, those of other heads not
        if isinstance(value, Layer):
            found.append((name, value))
        else:
            found += _held(name, value, not isinstance(layer, Model))
    return found


def _held(name: str, value: Any, deep: bool) -> list[tuple[str, Layer]]:
    """The layers of a list or dict; also of those inside, which a model has among its `layers`."""
    values = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(values, list | tuple):
        return []
    found = list(_counted(name, values))
    for i, inner in enumerate(values):
        if deep and isinstance(inner, Mapping | list | tuple):
            found += _held(f"{name}/{i}", inner, deep)
    return found


def _counted(prefix: str, values: Sequence[Any]) -> Iterator[tuple[str, Layer]]:
    """Layers of a list by their classes, counted."""
    counts: dict[str, int] = {}
    for value in values:
        if not isinstance(value, Layer):
            continue
        base = keras_snake(class_name(value))
        count = counts.get(base, 0)
        counts[base] = count + 1
        yield f"{prefix}/{base}_{count}" if count else f"{prefix}/{base}", value


def class_name(layer: Layer) -> str:
    """What Keras calls the class of a layer."""
    return _CLASSES.get(type(layer), type(layer).__name__)


def keras_snake(name: str) -> str:
    """LSTMCell -> lstm_cell, Conv2D -> conv2d: how .keras files name classes."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def places(model: Layer) -> list[Place]:
    """All weights of a model in the order of its layers."""
    found: list[Place] = []
    for path, chain, layer in walked(model):
        for i, weight in enumerate(own_weights(layer)):
            found.append(Place(weight, f"{path}/vars/{i}" if path else f"vars/{i}", chain))
    return found


def own_weights(layer: Layer) -> list[Weight]:
    """The weights of a layer itself: those that could train first."""
    return sorted(layer._weights, key=lambda w: not w.trainable)


def filed(layer: Layer) -> list[Weight]:
    """All weights of a layer as .h5 files order them: those that train now first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def chains(model: Layer) -> dict[int, tuple[str, ...]]:
    """The names of the layers around each weight, by the weight's identity."""
    return {id(p.weight): p.chain for p in places(model)}


def optimizer_order(optimizer: Optimizer) -> list[tuple[str, Weight]]:
    """The state of an optimizer as Keras orders and names it."""
    words = {"iterations": "iteration"}
    return [(words.get(v.name, v.name), v) for v in optimizer.variables]


# --- giving numbers -------------------------------------------------------------------------------


@dataclass
class Found:
    """What a file has for the weights of a model.

    Attributes:
        pairs: label, weight, and what reads its numbers; None: the file has none.
        extra: names in the file that belong to no weight.
        notes: what there is to know of the numbers: that they were quantised.
    """

    pairs: list[tuple[str, Weight, Any]]
    extra: list[str]
    notes: tuple[str, ...] = ()


@dataclass
class Stored:
    """An array in a file: its shape and the dtype that it has there are known before it is read."""

    name: str
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]
    dtype: str = "float32"


def kept(array: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that gives an array."""
    return lambda: array


def assign(
    found: Found, where: object, skip: bool = False, partial: bool = False, new: bool = False
) -> None:
    """Give weights the numbers that a file has for them.

    Args:
        skip: weights that do not fit stay as they are.
        partial: so do those that the file does not have.
        new: the weights are those of a model that was made for the file, and nobody else has the
            arrays: they are read one by one and kept as they are. Else all are read before the
            first weight changes, and copied.

    Raises:
        FanlightError: E-LAYER-006 listing every weight that does not fit; none is changed then.
    """
    wrong: list[str] = []
    fitting: list[tuple[Weight, Stored]] = []
    for label, weight, stored in found.pairs:
        if stored is None:
            if not partial:
                wrong.append(f"{label} {list(weight.shape)} from nothing")
        elif tuple(stored.shape) != tuple(weight.shape):
            wrong.append(f"{label} {list(weight.shape)} from {stored.name} {list(stored.shape)}")
        else:
            fitting.append((weight, stored))
    if not partial:
        wrong += [f"nothing from {name}" for name in found.extra]
    if wrong and not skip:
        raise misfit(wrong, where)
    if new:
        for weight, stored in fitting:
            weight.put(cast(tensor(np.asarray(stored.load())), weight.dtype), given=True)
        return
    for weight, array in [(w, s.load()) for w, s in fitting]:
        weight.assign(cast(tensor(np.asarray(array)), weight.dtype))


def misfit(wrong: Sequence[str], where: object) -> FanlightError:
    """E-LAYER-006 with all that does not fit."""
    return FanlightError(
        "E-LAYER-006",
        f"{len(wrong)} of the weights of the file do not fit the model.",
        where=f"{where}, {caller()}",
        expected="a stored array of the same shape for every weight, and no others",
        received="; ".join(wrong[:40]) + ("; ..." if len(wrong) > 40 else ""),
        next="compare model.summary() with the model that the weights are of; skip_mismatch=True "
        "leaves those weights as they are.",
    )


__all__ = [
    "Found",
    "Place",
    "Stored",
    "assign",
    "chains",
    "class_name",
    "filed",
    "keras_snake",
    "kept",
    "misfit",
    "optimizer_order",
    "own_weights",
    "places",
    "walked",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

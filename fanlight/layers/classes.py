"""Models whose number of classes is chosen in the page: what of them grows with it.

The layer that ends such a model has one unit per class. Its weights, and what the optimizer keeps
of them, are made for the most classes; a dim of each is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.core import Dense
from fanlight.layers.metric import Metric
from fanlight.layers.objective import Objective
from fanlight.layers.optimizer import Optimizer
from fanlight.layers.optimizers import Muon
from fanlight.layers.thresholds import evenly
from fanlight.layers.weight import Weight
from fanlight.tensor import tensor

DIM = "classes"


@dataclass(frozen=True)
class Classes:
    """How many classes there may be, and which layer has a unit for each.

    Attributes:
        least, most: bounds.
        count: how many the model was made with.
    """

    layer: Dense
    least: int
    most: int
    count: int


@dataclass(frozen=True)
class Grown:
    """A value for the most classes: first the columns that it has, then those of new classes."""

    axis: int
    array: np.ndarray


def classes_of(model: Any, bound: Any) -> Classes:
    """What `dims={"classes": bound}` means for a model.

    Args:
        bound: the most classes, or (least, most); the least are 2 where nothing is said.

    Raises:
        FanlightError: E-BUILD-005.
    """
    pair = bound if isinstance(bound, tuple | list) and len(bound) == 2 else (2, bound)
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in pair)
    if not whole or not 1 <= pair[0] <= pair[1]:
        raise refused("the most classes, or (least, most)", repr(bound)[:100])
    if not model.functional:
        raise refused(
            "a functional model: fl.Sequential, or fl.Model(inputs, outputs)",
            f"{type(model).__name__}, a class of your own",
        )
    outputs = list(model.outputs)
    if len(outputs) != 1:
        raise refused("a model with one output", f"{len(outputs)} outputs")
    output = outputs[0]
    node = output.node
    while not node.layer.weights and len(node.inputs) == 1:
        node = node.inputs[0].node
    layer = node.layer
    if type(layer) is not Dense or layer.units != output.shape[-1]:
        raise refused(
            "a Dense layer at the end, with one unit per class",
            f"{type(layer).__name__} {layer.name!r} before {list(output.shape)}",
        )
    least, most = pair
    if not least <= layer.units <= most:
        raise refused(f"bounds around the {layer.units} of {layer.name!r}", f"{least} to {most}")
    if least == most:
        raise refused("bounds that leave a choice", f"{least} to {most}")
    return Classes(layer, least, most, layer.units)


def refused(expected: str, received: str, next: str | None = None) -> FanlightError:
    """E-BUILD-005: there is one number of classes only."""
    return FanlightError(
        "E-BUILD-005",
        "the number of classes of this model cannot be left to the page.",
        where='dims["classes"]',
        expected=expected,
        received=received,
        next=next
        or 'dims={"classes": 20} for a model that ends in fl.layers.Dense(n), or leave it out.',
    )


def grown_counts(
    classes: Classes, objective: Objective, shape: Sequence[int | None]
) -> Mapping[int, Grown]:
    """What metrics count, and which of it grows with the number of classes: as `grown` has it.

    Args:
        shape: of the output.

    Raises:
        FanlightError: E-BUILD-005 a metric is made for a number of classes.
    """
    found: dict[int, Grown] = {}
    for metric in objective.every():
        why = _fixed(metric)
        if why is None and type(metric).build is not Metric.build:
            other = type(metric).from_config(metric.get_config())
            other.ready((*shape[:-1], classes.most + 1))
            metric.ready(shape)
            for own, most, first in zip(
                metric.variables, other.variables, other._first, strict=True
            ):
                sizes = zip(own.shape, most.shape, strict=True)
                axes = [i for i, (a, b) in enumerate(sizes) if a != b]
                if len(axes) == 1:
                    part = np.split(first, [classes.most], axes[0])[0]
                    found[id(own)] = Grown(axes[0], part.copy())
                elif axes:
                    why = "counts pairs of classes"
        if why is not None:
            raise refused(
                "metrics for any number of classes, such as accuracy",
                f"{metric.name}, which {why}",
                "leave the metric out, or give it other arguments; or leave the free number out.",
            )
    return found


def _fixed(metric: Metric) -> str | None:
    """Why a metric is one for a number of classes, if it is."""
    for name in ("num_classes", "num_labels", "class_id", "top_k", "label_weights"):
        if getattr(metric, name, None) is not None:
            return f"is made for {name}={getattr(metric, name)}"
    if getattr(metric, "multi_label", False):
        return "counts each class apart (multi_label)"
    if evenly(getattr(metric, "limits", ())):
        return "counts at evenly spaced thresholds, example by example and class by class"
    for name in ("average", "class_aggregation"):
        if getattr(metric, name, "") is None:
            return f"gives a number for each class ({name}=None)"
    return None


def grown(classes: Classes, optimizer: Optimizer, weights: Sequence[Any]) -> Mapping[int, Grown]:
    """Which values grow with the number of classes: id of a variable -> what it is at most.

    Args:
        optimizer: is built for `weights`, those that it trains.
    """
    layer = classes.layer
    parts = [(o, [weights[i] for i in places]) for o, places in optimizer.parts(weights)]
    if any(
        isinstance(o, Muon)
        and any(w is layer.kernel for w in own)
        and o.slot_shape("velocity", layer.kernel) is None
        for o, own in parts
    ):
        raise refused(
            "an optimizer that does the same for any number of classes",
            f"Muon, which has another way for each shape, for {layer.kernel.path!r}",
            f'fl.optimizers.Muon(exclude_layers=["{layer.name}"]) moves this layer as Adam does.',
        )
    pairs: list[tuple[Any, Any]] = []
    inits = {"kernel": layer.kernel_initializer, "bias": layer.bias_initializer}
    wide: dict[int, Weight] = {}
    width = max(classes.most, classes.count + 1)  # another one, to see what follows it
    for weight in layer.weights:
        shape = (*weight.shape[:-1], width)
        array = np.asarray(inits[weight.name](shape, "float32"))
        wide[id(weight)] = Weight(tensor(array), weight.trainable, weight.name, weight.path)
        pairs.append((weight, wide[id(weight)]))
    for inner, own_weights in parts:
        other = type(inner).from_config(inner.get_config())
        if own_weights:
            other.build([wide.get(id(w), w) for w in own_weights])
        pairs += zip(inner.variables, other.variables, strict=True)
    found: dict[int, Grown] = {}
    for own, most in pairs:
        axes = [i for i, (a, b) in enumerate(zip(own.shape, most.shape, strict=True)) if a != b]
        if not axes:
            continue
        columns = [slice(None)] * len(most.shape)
        columns[axes[0]] = slice(classes.most)
        array = most.numpy()[tuple(columns)].copy()
        columns[axes[0]] = slice(classes.count)
        array[tuple(columns)] = own.numpy()
        found[id(own)] = Grown(axes[0], array)
    return found

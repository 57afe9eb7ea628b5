"""Where the first number that is not finite came from: what the error of a training tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.layers import scope
from fanlight.layers.hosted import Tail
from fanlight.layers.step import Parts, Steps
from fanlight.tensor import Tensor, random, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.calls import listening
from fanlight.tensor.tape import Tape, flatten

# Variables, and what they were.
Numbers = Sequence[tuple[Any, np.ndarray]]


class _Watched(scope.Scope):
    """A step that keeps what each layer took and gave, in order."""

    def __init__(self, key: Tensor) -> None:
        super().__init__(True, key)
        self.calls: list[tuple[Any, list[Tensor], list[Tensor]]] = []

    def called(self, layer: Any, args: Any, result: Any) -> None:
        if not any(True for _ in layer.sublayers()):  # the innermost ones say more
            self.calls.append((layer, flatten(args)[0], flatten(result)[0]))


@np.errstate(all="ignore")
def spoiled(before: Numbers) -> str | None:
    """The first variable with a number that was finite before, and is not now."""
    for variable, array in before:
        if array.dtype.kind != "f":
            continue
        now = variable.numpy()
        # A number for all of them is enough where nothing is wrong, as it mostly is.
        flat = now.reshape(-1)
        if math.isfinite(flat.dot(flat)):
            continue
        if (np.isfinite(array) & ~np.isfinite(now)).any():
            return str(getattr(variable, "path", variable.name))
    return None


def origin(steps: Steps, parts: Parts) -> str | None:
    """What makes the first such number of a batch: op by op, with the weights that there are now.

    Returns:
        The data, the output of a layer, or a gradient; None where all of them are finite.
    """
    for what, arrays in zip(("x", "y", "sample_weight"), parts, strict=True):
        if not all(map(_finite, arrays)):
            return f"{what} is not finite"
    objective = steps.objective
    assert objective is not None
    given = steps.model.prepared(parts[0]) if isinstance(steps.model, Tail) else parts[0]
    x, y, w = [[None if a is None else tensor(a) for a in part] for part in (given, *parts[1:])]
    weights: list[Any] = steps.model.trainable_weights
    with np.errstate(all="ignore"), scope.entered(_Watched(random.fold_in(steps.key, 0))) as step:
        calls = step.calls  # type: ignore[attr-defined]
        tape = Tape(weights)
        with listening(tape):
            outputs = steps.forward(x, True)
            loss = objective.loss(y, outputs, w)[0]
        for layer, _, made in calls:
            if not all(map(_finite, made)):
                return f"the output of {_named(layer)} is not finite"
        if not _finite(loss):
            return "the loss is not finite, though all outputs are"
        found = tape.pull([loss], [fn.ones_like(loss)], [*outputs, *_between(calls), *weights])
    return _gradient(calls, outputs, found, weights)


def _between(calls: Sequence[Any]) -> list[Tensor]:
    return [t for _, taken, _ in calls for t in taken]


def _gradient(
    calls: Sequence[Any], outputs: Sequence[Tensor], grads: Sequence[Tensor], weights: Sequence[Any]
) -> str | None:
    """Backwards, as gradients go: the first layer that makes such a number of finite ones."""
    left = iter(grads)
    of_outputs = [next(left) for _ in outputs]
    if not all(map(_finite, of_outputs)):
        return "the gradient of the loss is not finite"
    taken = [[next(left) for _ in args] for _, args, _ in calls]
    own = {id(v): g for v, g in zip(weights, left, strict=True)}
    for (layer, _, _), of_inputs in zip(reversed(calls), reversed(taken), strict=True):
        of_weights = [own[id(v)] for v in layer.weights if id(v) in own]
        if not all(map(_finite, (*of_inputs, *of_weights))):
            return f"the gradient in {_named(layer)} is not finite"
    return None


def _named(layer: Any) -> str:
    return f"layer {layer.name} ({type(layer).__name__})"


def _finite(value: Any) -> bool:
    array = value.numpy() if isinstance(value, Tensor) else value
    return array is None or array.dtype.kind != "f" or bool(np.isfinite(array).all())

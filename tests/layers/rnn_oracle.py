"""Layers against Keras 3: the same weights, outputs, gradients and configs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import fanlight as fl
from fanlight.tensor.tape import recording
from tests.conformance import LEARNING, compared
from tests.layers.keras_oracle import AFTER_STEPS, STEPS, close, jax, keras


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers around 0."""
    rng = np.random.default_rng([seed, *shape])
    return rng.standard_normal(shape).astype(np.float32) * 0.7


def other(ours: Any) -> Any:
    """Keras's layer of our config."""
    if isinstance(ours, fl.layers.ConvLSTM2DCell):  # Keras has it inside of a layer only
        cell = keras.layers.ConvLSTM2D.from_config(ours.get_config()).cell
        cell.name = ours.name
        return cell
    return getattr(keras.layers, type(ours).__name__).from_config(ours.get_config())


def flat(value: Any) -> list[Any]:
    """The tensors of nested lists."""
    if isinstance(value, list | tuple):
        return [t for v in value for t in flat(v)]
    return [value]


def pair(ours: Any, *args: Any) -> Any:
    """Keras's layer with the same config and weights; both are built."""
    theirs = other(ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs(*_mapped(args, lambda a: keras.Input(batch_shape=a.shape, dtype=str(a.dtype))))
    ours(*_mapped(args, fl.tensor))
    assert [tuple(w.shape) for w in theirs.weights] == [w.shape for w in ours.weights]
    numbers = [random(*w.shape, seed=7 + i) * 0.6 for i, w in enumerate(ours.weights)]
    theirs.set_weights(numbers)
    ours.set_weights(numbers)
    return theirs


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_mapped(v, change) for v in value)
    return value if value is None else change(value)


def same(
    ours: Any, *args: Any, gradients: bool = True, steps: bool = False, **options: Any
) -> list[Any]:
    """Outputs and gradients of the inputs and weights are those of Keras; gives the outputs.

    Args:
        steps: whether weights are compared after 20 steps of training, too.
        args, options: what both are called with. Gradients are taken after float32 arguments.
    """
    theirs = pair(ours, *args)
    spots = [a for a in flat(list(args)) if a is not None and a.dtype == np.float32]

    def filled(values: Sequence[Any]) -> Any:
        left = dict(zip(map(id, spots), values, strict=True))
        return _mapped(args, lambda a: left.get(id(a), a))

    given = _mapped(args, fl.tensor)

    def compute(parameters: Any, values: Any, square: Any) -> Any:
        state = [v.value for v in theirs.non_trainable_variables]
        ys, _ = theirs.stateless_call(parameters, state, *filled(values), **options)
        ys = flat(ys)
        shares = [random(*y.shape, seed=3) for y in ys]
        return sum((y * s + square * y * y).sum() for y, s in zip(ys, shares, strict=True)), ys

    kept = [v.value for v in theirs.trainable_variables]
    arrays = [jax.numpy.asarray(x) for x in spots]
    run = jax.jit(jax.value_and_grad(compute, (0, 1), has_aux=True) if gradients else compute)
    made = run(kept, arrays, 0.0)
    wanted = [np.asarray(y) for y in (made[0][1] if gradients else made[1])]

    def own(values: Sequence[Any], square: float = 0.0) -> Any:
        ys = flat(ours(*filled(values), **options))
        shares = [random(*y.shape, seed=3) for y in ys]
        total = fl.scalar(0.0)
        for y, s in zip(ys, shares, strict=True):
            total = total + fl.sum(y * s + square * y * y)
        return total

    outputs = flat(ours(*given, **options))
    assert [y.shape for y in outputs] == [y.shape for y in wanted]
    name = type(ours).__name__
    for y, w in zip(outputs, wanted, strict=True):
        close(y.numpy(), w, "output")
    compared("layers", name, "outputs")
    tensors = [fl.tensor(x) for x in spots]
    weights = list(ours.trainable_weights)
    assert name in LEARNING or not weights, f"{name} learns: tests/conformance.py should say so"
    if gradients:
        found = gradients_of(lambda: own(tensors), [*weights, *tensors])
        expected = [np.asarray(g) for g in (*made[1][0], *made[1][1])]
        for i, (g, w) in enumerate(zip(found, expected, strict=True)):
            what = weights[i].path if i < len(weights) else f"argument {i - len(weights)}"
            close(g.numpy(), w, f"gradient of {what}")
        compared("layers", name, "gradients")
    if steps and weights:
        rate = 0.1 / max([1.0, *(float(np.abs(g).max(initial=0.0)) for g in made[1][0])])
        for _ in range(STEPS):
            slopes = run(kept, arrays, 0.5)[1][0]
            kept = [v - rate * g for v, g in zip(kept, slopes, strict=True)]
            slopes = gradients_of(lambda: own(tensors, 0.5), weights)
            new = [w.numpy() - np.float32(rate) * g.numpy() for w, g in zip(weights, slopes)]
            for weight, value in zip(weights, new, strict=True):
                weight.assign(value)
        for weight, v in zip(weights, kept, strict=True):
            close(weight.numpy(), v, f"{weight.path} after {STEPS} steps", AFTER_STEPS)
        compared("layers", name, "20 steps")
    return outputs


def gradients_of(run: Any, weights: Any) -> list[Any]:
    """The gradients of a number that `run` gives after tensors."""
    with recording(weights) as tape:
        y = run()
    return tape.pull([y], [fl.ones_like(y)], weights)


def both_ways(ours: Any) -> None:
    """Our config makes Keras's layer, and Keras's ours; both say the same."""
    theirs = other(ours)
    config = theirs.get_config()
    again = type(ours).from_config(config)
    own = ours.get_config()
    assert set(config) - {"build_config"} <= set(own)  # Keras leaves out a seed here and there
    assert again.get_config() == own
    assert plain(other(again).get_config()) == plain(config)
    compared("layers", type(ours).__name__, "configs")


def plain(value: Any) -> Any:
    """A config without tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value

"""Layers against Keras 3: the same weights, outputs, gradients and configs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import fanlight as fl
from fanlight.tensor.tape import recording
from tests.layers.keras_oracle import jax, keras


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers around 0."""
    rng = np.random.default_rng([seed, *shape])
    return rng.standard_normal(shape).astype(np.float32) * 0.7


def other(ours: Any) -> Any:
    """Keras's layer of our config."""
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
    ours(*args)
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
    ours: Any, *args: Any, tolerance: float = 1e-5, gradients: bool = True, **options: Any
) -> list[Any]:
    """Outputs and gradients of the inputs and weights are those of Keras; gives the outputs.

    Args:
        args, options: what both are called with. Gradients are taken after float32 arguments.
    """
    theirs = pair(ours, *args)
    spots = [a for a in flat(list(args)) if a is not None and a.dtype == np.float32]

    def filled(values: Sequence[Any]) -> Any:
        left = dict(zip(map(id, spots), values, strict=True))
        return _mapped(args, lambda a: left.get(id(a), a))

    def compute(parameters: Any, values: Any) -> Any:
        state = [v.value for v in theirs.non_trainable_variables]
        ys, _ = theirs.stateless_call(parameters, state, *filled(values), **options)
        ys = flat(ys)
        shares = [random(*y.shape, seed=3) for y in ys]
        return sum((y * s).sum() for y, s in zip(ys, shares, strict=True)), ys

    kept = [v.value for v in theirs.trainable_variables]
    arrays = [jax.numpy.asarray(x) for x in spots]
    run = jax.value_and_grad(compute, (0, 1), has_aux=True) if gradients else compute
    made = jax.jit(run)(kept, arrays)
    wanted = [np.asarray(y) for y in (made[0][1] if gradients else made[1])]

    def own(values: Sequence[Any]) -> Any:
        ys = flat(ours(*filled(values), **options))
        shares = [random(*y.shape, seed=3) for y in ys]
        total = fl.scalar(0.0)
        for y, s in zip(ys, shares, strict=True):
            total = total + fl.sum(y * s)
        return total

    outputs = flat(ours(*args, **options))
    assert [y.shape for y in outputs] == [y.shape for y in wanted]
    for y, w in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(y.numpy(), w, rtol=tolerance, atol=tolerance)
    if gradients:
        tensors = [fl.tensor(x) for x in spots]
        weights = list(ours.trainable_weights)
        found = gradients_of(lambda: own(tensors), [*weights, *tensors])
        expected = [np.asarray(g) for g in (*made[1][0], *made[1][1])]
        for i, (g, w) in enumerate(zip(found, expected, strict=True)):
            size = max(1.0, float(np.abs(w).max(initial=0.0)))
            what = weights[i].path if i < len(weights) else f"argument {i - len(weights)}"
            np.testing.assert_allclose(
                g.numpy(), w, rtol=tolerance, atol=tolerance * size, err_msg=f"gradient of {what}"
            )
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


def plain(value: Any) -> Any:
    """A config without tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value

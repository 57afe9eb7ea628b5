"""Keras 3 as the oracle of layers: one call compares a layer with the one of its name."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras 3 is the oracle: see CONTRIBUTING.md")

import jax  # noqa: E402  (where Keras is)
from keras.src.backend.jax.core import JaxVariable  # noqa: E402
from keras.src.initializers import constant_initializers, random_initializers  # noqa: E402

from fanlight.layers import Layer, scope  # noqa: E402
from fanlight.tensor import tensor  # noqa: E402
from fanlight.tensor.tape import flatten, recording  # noqa: E402
from tests.conformance import LEARNING, compared  # noqa: E402

TOLERANCE = 1e-5
STEPS, AFTER_STEPS = 20, 1e-4


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """float32 normal numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def close(ours: Any, theirs: Any, what: str, tolerance: float = TOLERANCE) -> None:
    """Within the tolerance of the greatest number, where that is beyond 1."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, f"{what}: {ours.shape}, Keras has {theirs.shape}"
    scale = max(1.0, float(np.abs(theirs).max())) if theirs.size else 1.0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=what)


def _drawing(seed: Any) -> np.random.Generator:
    return np.random.default_rng(getattr(seed, "_initial_seed", seed))


def _uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> np.ndarray:
    return _drawing(seed).uniform(minval, maxval, shape).astype(dtype or "float32")


def _normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> np.ndarray:
    return _drawing(seed).normal(mean, stddev, shape).astype(dtype or "float32")


def _truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> np.ndarray:
    rng = _drawing(seed)
    drawn = rng.normal(size=shape)
    while (far := np.abs(drawn) > 2).any():
        drawn[far] = rng.normal(size=int(far.sum()))
    return (mean + stddev * drawn).astype(dtype or "float32")


_RANDOM = SimpleNamespace(uniform=_uniform, normal=_normal, truncated_normal=_truncated_normal)
_OPS = SimpleNamespace(**vars(keras.ops))
for _name in ("zeros", "ones", "eye", "diag", "sign", "transpose", "reshape"):
    setattr(_OPS, _name, getattr(np, _name))
_OPS.qr = np.linalg.qr
_OPS.cast = np.asarray

_initialize = JaxVariable._initialize_with_initializer


def _initialize_by_numpy(variable: Any, initializer: Any) -> None:
    with (
        mock.patch.multiple(random_initializers, random=_RANDOM, ops=_OPS),
        mock.patch.object(constant_initializers, "ops", _OPS),
    ):
        _initialize(variable, initializer)


# JAX takes seconds to compile the random numbers of each shape that a weight begins with. The
# initializers themselves stay what they are where a test calls them.
JaxVariable._initialize_with_initializer = _initialize_by_numpy


def _value(weight: Any, seed: int) -> np.ndarray:
    drawn = 0.5 * numbers(*weight.shape, seed=100 + seed)
    return np.abs(drawn) + 0.5 if "variance" in weight.name or weight.name == "gamma" else drawn


def plain_config(config: dict[str, Any]) -> dict[str, Any]:
    """What two configurations have in common: no names, no dtypes, nothing that is None."""
    made = {}
    for key, value in config.items():
        if key in ("name", "dtype", "build_config", "module", "registered_name"):
            continue
        if isinstance(value, dict):
            value = plain_config(value)
        if isinstance(value, list | tuple):
            value = [plain_config(v) if isinstance(v, dict) else v for v in value]
            value = [list(v) if isinstance(v, tuple) else v for v in value]
        if isinstance(value, float):
            value = float(np.float32(value))  # some of Keras's numbers went through float32
        if value is not None:
            made[key] = value
    return made


# Keys that only one side has: what Keras can switch on, and ours is without.
KERAS_ONLY = {
    "renorm",
    "renorm_momentum",
    "optional",
    "trainable",
    "data_format",
}


def check_config(ours: Layer, theirs: Any) -> None:
    """Both can be made of the other's configuration, and say the same of themselves."""
    own, other = plain_config(ours.get_config()), plain_config(theirs.get_config())
    differ = {
        k: (own.get(k), other.get(k))
        for k in own.keys() | other.keys()
        if own.get(k) != other.get(k) and not (k in KERAS_ONLY and (k in own) != (k in other))
    }
    assert not differ, f"configurations differ: {differ}"
    again = type(theirs).from_config(ours.get_config())
    assert plain_config(again.get_config()) == other
    back = type(ours).from_config(theirs.get_config())
    assert plain_config(back.get_config()) == own
    compared("layers", type(ours).__name__, "configs")


def check_layer(
    ours: Layer,
    theirs: Any,
    *input_shapes: Sequence[int],
    training: bool = False,
    values: Sequence[np.ndarray] | None = None,
    mask: Any = None,
    config: bool = True,
    shape: bool = True,
    steps: bool = False,
    tolerance: float | None = None,
) -> Any:
    """Compare a layer with Keras's: outputs, gradients, weights, shape, configuration.

    Args:
        input_shapes: of the inputs, which are random; the first dim counts examples.
        values: inputs instead of random ones.
        mask: what both are given as `mask`.
        config, shape: whether configurations and `compute_output_shape` are compared.
        steps: whether weights are compared after 20 steps, too, down the slope of half the squares
            of what the output lacks to random numbers.
        tolerance: of outputs, gradients and what weights become, instead of `TOLERANCE`; the test
            says why.

    Returns:
        Our output.
    """
    near = TOLERANCE if tolerance is None else tolerance
    arrays = list(values) if values is not None else []
    arrays += [numbers(*s, seed=i) for i, s in enumerate(input_shapes)]
    several = len(arrays) > 1
    options = {} if mask is None else {"mask": mask}
    floats = [a.dtype == np.float32 for a in arrays]

    # The same weights on both sides.
    theirs.build([a.shape for a in arrays] if several else arrays[0].shape)
    weights = [_value(w, i) for i, w in enumerate(theirs.weights)]
    theirs.set_weights(weights)
    ours(arrays if several else arrays[0], **options)
    names = [(w.name, tuple(w.shape)) for w in theirs.weights]
    assert [(w.name, w.shape) for w in ours.weights] == names
    ours.set_weights(weights)

    # Keras's output and gradients.
    fixed = [v.value for v in theirs.non_trainable_variables]
    called = dict(options)
    if "training" in theirs.call.__code__.co_varnames:
        called["training"] = training

    def of_keras(train: Any, fixed: Any, x: Any) -> Any:
        given = iter(x)
        whole = [next(given) if f else a for f, a in zip(floats, arrays, strict=True)]
        kept = {
            k: v if isinstance(v, bool) else jax.tree.map(jax.numpy.asarray, v)
            for k, v in called.items()
        }
        return theirs.stateless_call(train, fixed, whole if several else whole[0], **kept)

    train = [v.value for v in theirs.trainable_variables]
    varied = [jax.numpy.asarray(a) for f, a in zip(floats, arrays, strict=True) if f]

    @jax.jit
    def both(train: Any, fixed: Any, x: Any, share: Any) -> Any:
        y, pull, after = jax.vjp(lambda t, v: of_keras(t, fixed, v), train, x, has_aux=True)
        return y, pull(share * y + numbers(*y.shape, seed=7)), after

    expected, (their_grads, their_slopes), after = both(train, fixed, varied, 0.0)
    probe = numbers(*expected.shape, seed=7)

    # Ours.
    tensors = [tensor(a) for a in arrays]
    watched = [t for f, t in zip(floats, tensors, strict=True) if f]
    own = ours.trainable_weights
    if "training" in called:
        options["training"] = training
    options = {k: _as_tensors(v) for k, v in options.items()}
    with scope.entered(scope.Scope(training)) as step, recording([*watched, *own]) as tape:
        y = ours(tensors if several else tensors[0], **options)
    close(y.numpy(), expected, "output", near)
    grads = tape.pull([y], [tensor(probe)], [*watched, *own])
    for i, (g, t) in enumerate(zip(grads[: len(watched)], their_slopes, strict=True)):
        close(g.numpy(), t, f"gradient of input {i}", near)
    for w, g, t in zip(own, grads[len(watched) :], their_grads, strict=True):
        close(g.numpy(), t, f"gradient of {w.name}", near)

    # What weights become.
    became = {id(v): new for v, new in step.pairs()}
    left = dict(zip(map(id, theirs.non_trainable_variables), after, strict=True))
    for w, v in zip(ours.weights, theirs.weights, strict=True):
        if not w.trainable:
            close(became.get(id(w), w).numpy(), left[id(v)], f"{w.name} afterwards", near)

    if shape:
        free = [(None, *a.shape[1:]) for a in arrays]
        given = free if several else free[0]
        assert ours.compute_output_shape(given) == tuple(theirs.compute_output_shape(given))
    if config:
        check_config(ours, theirs)
    name = type(ours).__name__
    compared("layers", name, "outputs", *(["gradients"] if grads else []))
    assert name in LEARNING or not own, f"{name} learns: tests/conformance.py should say so"
    if steps and own:
        rate = 0.1 / max([1.0, *(float(np.abs(g).max(initial=0.0)) for g in their_grads)])
        for _ in range(STEPS):
            _, (slopes, _), fixed = both(train, fixed, varied, 1.0)
            train = [v - rate * g for v, g in zip(train, slopes, strict=True)]
            with scope.entered(scope.Scope(training)) as step, recording(own) as tape:
                z = ours(tensors if several else tensors[0], **options)
            moved = tape.pull([z], [tensor(z.numpy() + probe)], own)
            new = [
                w.numpy() - np.float32(rate) * g.numpy() for w, g in zip(own, moved, strict=True)
            ]
            for w, value in [*zip(own, new, strict=True), *step.pairs()]:
                w.assign(value)
        learnt = {id(v): a for v, a in zip(theirs.trainable_variables, train, strict=True)}
        learnt |= {id(v): a for v, a in zip(theirs.non_trainable_variables, fixed, strict=True)}
        for w, v in zip(ours.weights, theirs.weights, strict=True):
            close(w.numpy(), learnt[id(v)], f"{w.name} after {STEPS} steps", max(AFTER_STEPS, near))
        compared("layers", name, "20 steps")
    return y


def _as_tensors(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_tensors(v) for v in value]
    return tensor(value) if isinstance(value, np.ndarray) else value


def updated(layer: Layer, x: Any, training: bool = True) -> tuple[Any, dict[str, np.ndarray]]:
    """What a layer gives in a step, and what its weights become, by name."""
    with scope.entered(scope.Scope(training)) as step:
        y = layer(x)
    return flatten(y)[0][0].numpy(), {v.name: new.numpy() for v, new in step.pairs()}

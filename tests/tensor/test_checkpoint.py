"""fl.checkpoint: the same numbers and gradients, less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.codegen.plan import make_plan
from fanlight.passes import optimize
from fanlight.tensor.trace import trace

X = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32) / 3


def block(x: Any, w: Any) -> Any:
    for _ in range(3):
        x = fl.tanh(fl.matmul(x, w)) + x * 0.5
    return x


def loss(inner: Any) -> Any:
    return lambda x, w: fl.sum(fl.square(inner(inner(x, w), w)))


def test_gradients_of_first_and_second_order_are_the_same() -> None:
    plain, light = loss(block), loss(fl.checkpoint(block))
    assert light(X, W).item() == plain(X, W).item()
    for argnums in (0, 1):
        expected = fl.grad(plain, argnums)(X, W).numpy()
        found = fl.grad(light, argnums)(X, W).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    second = [fl.hvp(lambda w, f=f: f(X, w), W, W).numpy() for f in (plain, light)]
    np.testing.assert_allclose(second[1], second[0], rtol=1e-4, atol=1e-4)


def test_what_comes_from_outside_has_gradients_too() -> None:
    def through(w: Any) -> Any:
        scaled = w * 2.0
        inner = fl.checkpoint(lambda x: {"y": fl.tanh(fl.matmul(x, scaled)), "n": x.shape[0]})
        return fl.sum(inner(fl.tensor(X))["y"])

    expected = fl.grad(lambda w: fl.sum(fl.tanh(fl.matmul(fl.tensor(X), w * 2.0))))(W)
    np.testing.assert_allclose(fl.grad(through)(W).numpy(), expected.numpy(), rtol=1e-5)


def test_inside_vmap_and_jit() -> None:
    light = fl.checkpoint(lambda x: fl.sum(fl.square(fl.sin(x))))
    expected = fl.vmap(fl.grad(lambda x: fl.sum(fl.square(fl.sin(x)))))(X).numpy()
    np.testing.assert_allclose(fl.vmap(fl.grad(light))(X).numpy(), expected, rtol=1e-6)
    outside = fl.grad(lambda x: fl.sum(fl.vmap(light)(x)))(X)
    np.testing.assert_allclose(outside.numpy(), expected, rtol=1e-6)
    compiled = fl.jit(fl.grad(lambda x: fl.sum(light(x))))(X)
    np.testing.assert_allclose(compiled.numpy(), expected, rtol=1e-5)


def test_integers_and_unused_results() -> None:
    picked = fl.checkpoint(lambda x, i: (fl.gather(x, i), x * 3.0))
    found = fl.grad(lambda x: fl.sum(picked(x, fl.tensor([0, 0]))[0]))(fl.tensor([1.0, 2.0]))
    np.testing.assert_array_equal(found.numpy(), [2.0, 0.0])


def chain(x: Any, inner: Any) -> Any:
    for _ in range(8):
        x = inner(x)
    return fl.sum(x)


def part(x: Any) -> Any:
    for _ in range(4):
        # A reduction in between, so that it does not become one loop.
        x = fl.sin(x) * fl.mean(fl.cos(x), axis=1, keepdims=True)
    return x


@pytest.mark.parametrize("size", [64])
def test_a_built_gradient_needs_less_memory(size: int) -> None:
    def arena(inner: Any) -> int:
        inputs = {"x": fl.spec((size, 256))}
        graph = trace(fl.grad(lambda x: chain(x, inner)), inputs)
        from fanlight.targets import WASM_PLAIN

        plan = make_plan(optimize(graph, WASM_PLAIN), (WASM_PLAIN,))
        return plan.pages

    assert arena(fl.checkpoint(part)) < 0.6 * arena(part)


def test_an_eager_gradient_holds_less() -> None:
    x = fl.ones((256, 256))
    peaks = [
        fl.profile(lambda f=f: fl.grad(lambda v: chain(v, f))(x)).peak_bytes
        for f in (part, fl.checkpoint(part))
    ]
    assert peaks[1] < 0.6 * peaks[0]

"""Convolutions whose kernels are computed: their gradients compile, and networks train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.tensor import apply
from fanlight.tensor.tape import flatten

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def close(found: Any, expected: Any) -> None:
    for a, b in zip(flatten(found)[0], flatten(expected)[0], strict=True):
        scale = max(1.0, float(np.abs(b.numpy()).max()))
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (0, 2))])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 1)])
def test_a_kernel_may_be_computed(op: str, strides: Any, padding: Any, dilations: Any) -> None:
    attrs = {"strides": strides, "padding": padding, "dilations": dilations}

    def f(x: fl.Tensor, w: fl.Tensor) -> fl.Tensor:
        y: fl.Tensor = apply(op, x, fl.tanh(w), **attrs)
        return fl.sum(fl.sin(y))

    x, w = normal(2, 9, 8, 3), normal(3, 2, 3, 5 if op == "conv2d" else 2)
    both = fl.value_and_grad(f, (0, 1))
    close(fl.jit(both)(x, w), both(x, w))


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 3)])
def test_so_may_that_of_a_transposed_convolution(strides: tuple[int, int]) -> None:
    size = (2 * strides[0] + 3, 3 * strides[1] + 2)

    def f(x: fl.Tensor, w: fl.Tensor) -> fl.Tensor:
        y: fl.Tensor = apply("conv2d_transpose", x, w, strides=strides, output_size=size)
        return fl.sum(fl.sin(y))

    x, w = normal(2, 3, 4, 2), normal(3, 2, 5, 2)
    both = fl.value_and_grad(f, (0, 1))
    close(fl.jit(both)(x, w), both(x, w))
    # Second order: the gradient's own kernels are computed.
    bend = fl.grad(lambda w: fl.sum(fl.square(fl.grad(f, 1)(x, w))))
    close(fl.jit(bend)(w), bend(w))


def network(p: dict[str, Any], x: Any) -> fl.Tensor:
    y = fl.relu(apply("conv2d", x, p["conv"], padding=((1, 1), (1, 1)), strides=(2, 2)) + p["b"])
    y = fl.relu(apply("depthwise_conv2d", y, p["deep"], padding=((1, 1), (1, 1))))
    y = apply("max_pool", y, size=(2, 2), strides=(2, 2))
    return fl.reshape(y, (x.shape[0], -1)) @ p["dense"]


def parameters() -> dict[str, np.ndarray]:
    return {
        "conv": normal(3, 3, 1, 4),
        "b": np.zeros(4, np.float32),
        "deep": normal(3, 3, 4, 1),
        "dense": normal(16, 2),
    }


def step(p: dict[str, Any], x: Any, t: Any) -> Any:
    def loss(p: dict[str, Any]) -> fl.Tensor:
        return -fl.mean(fl.sum(fl.log_softmax(network(p, x)) * t, axis=-1))

    value, slopes = fl.value_and_grad(loss)(p)
    return value, {name: v - 0.3 * slopes[name] for name, v in p.items()}


def test_a_network_learns_to_tell_stripes_apart() -> None:
    flat = np.zeros((8, 8, 8, 1), np.float32)
    flat[:, ::2] = 1
    x = np.concatenate([flat, flat.transpose(0, 2, 1, 3)]) + normal(16, 8, 8, 1) * 0.2
    t = np.eye(2, dtype=np.float32)[np.repeat([0, 1], 8)]
    p: Any = parameters()
    compiled = fl.jit(step)
    close(compiled(p, x, t), step(p, x, t))
    losses = []
    for _ in range(40):
        value, p = compiled(p, x, t)
        losses.append(value.item())
    assert losses[-1] < 0.1 < losses[0]


def test_a_training_step_builds(tmp_path: Path) -> None:
    first, x = parameters(), normal(4, 8, 8, 1)
    t = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    shapes = {name: fl.spec(v.shape) for name, v in first.items()}

    def flat(x: Any, t: Any, **p: Any) -> dict[str, Any]:
        value, p = step(p, x, t)
        return {"loss": value, **p}

    inputs = {"x": fl.spec(x.shape), "t": fl.spec(t.shape), **shapes}
    bundle = fl.build(flat, tmp_path / "step", inputs=inputs)
    found = bundle.run({"x": x, "t": t, **first})
    value, second = step(first, x, t)
    np.testing.assert_allclose(found["loss"], value.numpy(), rtol=1e-4)
    for name, v in second.items():
        np.testing.assert_allclose(found[name], v.numpy(), rtol=1e-3, atol=1e-4)

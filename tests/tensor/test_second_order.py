"""Functions made of ops: the gradient of their gradient, by differences and as WebAssembly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl

Shapes = tuple[tuple[int, ...], ...]


def sampled(x: Any, grid: Any) -> fl.Tensor:
    return fl.image.grid_sample(x, fl.sin(grid), padding="reflection")


CASES: list[tuple[str, Callable[..., Any], Shapes]] = [
    ("conv1d", lambda x, w: fl.conv1d(x, w, 2, "same"), ((2, 5, 2), (3, 2, 3))),
    (
        "conv3d",
        lambda x, w: fl.conv3d(x, w, (2, 1, 1), "same"),
        ((1, 4, 4, 5, 2), (2, 3, 2, 2, 3)),
    ),
    (
        "conv3d_transpose",
        lambda x, w: fl.conv3d_transpose(x, w, strides=(2, 1, 1), padding="same"),
        ((1, 2, 4, 3, 2), (2, 3, 2, 3, 2)),
    ),
    ("avg_pool3d", lambda x: fl.avg_pool3d(x, 2, 1, "same"), ((1, 3, 3, 4, 2),)),
    ("layer_norm", fl.layer_norm, ((3, 5), (5,), (5,))),
    (
        "attention",
        lambda q, k, v: fl.scaled_dot_product_attention(q, k, v, causal=True),
        ((2, 4, 3), (2, 4, 3), (2, 4, 3)),
    ),
    ("lstm_cell", lambda *a: fl.lstm_cell(*a)[0], ((2, 3), (2, 4), (2, 4), (3, 16), (4, 16))),
    ("gru_cell", fl.gru_cell, ((2, 3), (2, 4), (3, 12), (4, 12), (12,))),
    (
        "local_response",
        lambda x: fl.local_response_normalization(x, 2, 1.0, 0.5, 0.75),
        ((2, 2, 2, 6),),
    ),
    ("log_sum_exp", lambda x: fl.log_sum_exp(x, -1), ((3, 5),)),
    ("grid_sample", sampled, ((1, 5, 5, 2), (1, 3, 3, 2))),
    ("dilation2d", lambda x, w: fl.dilation2d(x, w, 1, "same"), ((1, 5, 5, 2), (2, 2, 2))),
    (
        "softmax_cross_entropy",
        lambda x: fl.losses.softmax_cross_entropy(np.eye(3, dtype=np.float32), x),
        ((3, 3),),
    ),
    ("erfc", fl.erfc, ((6,),)),
]


@pytest.mark.parametrize(("name", "function", "shapes"), CASES, ids=[c[0] for c in CASES])
def test_the_gradient_of_the_gradient(name: str, function: Any, shapes: Shapes) -> None:
    rng = np.random.default_rng(0)
    args, d, e = ([rng.normal(0, 1, s).astype(np.float32) for s in shapes] for _ in range(3))
    every = tuple(range(len(args)))

    def slope(*x: Any) -> fl.Tensor:
        grads = fl.grad(lambda *x: fl.sum(fl.sin(function(*x))), every)(*x)
        return fl.add_n([fl.sum(g * v) for g, v in zip(grads, d, strict=True)])

    bend = fl.grad(slope, every)
    # Between the corners of what is piecewise a short step stays on one piece.
    h = np.float32(1e-3 if name in ("grid_sample", "dilation2d") else 1e-2)
    ahead = slope(*(a + h * v for a, v in zip(args, e, strict=True))).item()
    behind = slope(*(a - h * v for a, v in zip(args, e, strict=True))).item()
    expected = (ahead - behind) / (2 * float(h))
    for grads in (bend(*args), fl.jit(bend)(*args)):
        found = sum(float((g.numpy() * v).sum()) for g, v in zip(grads, e, strict=True))
        assert abs(found - expected) < 0.02 * max(1.0, abs(expected))

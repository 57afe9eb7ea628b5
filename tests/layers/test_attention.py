"""Attention layers against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.layers.rnn_oracle import both_ways, random, same

L = fl.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Q, V, K = random(2, 3, 4), random(2, 5, 4, seed=1), random(2, 5, 4, seed=2)
MASKS = [
    np.array([[1, 1, 0], [1, 1, 1]], bool),
    np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1]], bool),
]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.Attention(),
        lambda: L.Attention(use_scale=True, score_mode="concat"),
        lambda: L.Attention(use_scale=True),
        lambda: L.AdditiveAttention(),
        lambda: L.AdditiveAttention(use_scale=False),
    ],
    ids=["dot", "concat", "scaled", "additive", "unscaled"],
)
def test_of_vectors(layer: Any) -> None:
    same(layer(), [Q, V])
    same(layer(), [Q, V, K], mask=MASKS, return_attention_scores=True, use_causal_mask=True)


HEADS: dict[str, Any] = {
    "plain": lambda: L.MultiHeadAttention(2, 3),
    "sizes": lambda: L.MultiHeadAttention(2, 3, value_dim=5, output_shape=(2, 3), use_bias=False),
    "gate": lambda: L.MultiHeadAttention(2, 3, use_gate=True, sliding_window=2),
    "groups": lambda: L.GroupQueryAttention(3, 4, 2),
    "gated": lambda: L.GroupQueryAttention(3, 4, 1, use_gate=True, sliding_window=3),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads(kind: str) -> None:
    # Keras on JAX computes a value_dim of its own only where it gives the weights, too.
    same(HEADS[kind](), Q, V, K, return_attention_scores=kind == "sizes")


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("scores", [False, True])
def test_heads_masked(kind: str, scores: bool) -> None:
    seen = np.random.default_rng(0).random((2, 3, 5)) < 0.7
    same(
        HEADS[kind](),
        Q,
        V,
        attention_mask=seen,
        value_mask=MASKS[1],
        use_causal_mask=True,
        return_attention_scores=scores or kind == "sizes",
    )


@pytest.mark.parametrize("axes", [None, 1, (2,), (1, 2)])
def test_attention_axes(axes: Any) -> None:
    x = random(2, 3, 4, 5)
    same(L.MultiHeadAttention(2, 3, attention_axes=axes), x, x)


def test_axes_with_a_mask() -> None:
    x = random(2, 3, 2, 5)
    seen = np.random.default_rng(0).random((2, 3, 2, 3, 2)) < 0.7
    same(L.MultiHeadAttention(2, 3), x, x, attention_mask=seen, return_attention_scores=True)


@pytest.mark.parametrize(
    "layer",
    [
        L.Attention(use_scale=True, score_mode="concat", dropout=0.1),
        L.AdditiveAttention(dropout=0.1),
        L.MultiHeadAttention(2, 3, attention_axes=(1,), output_shape=4, seed=3),
        L.MultiHeadAttention(2, 3, use_gate=True, activity_regularizer="l2"),
        L.GroupQueryAttention(3, 4, 2, dropout=0.2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configs(layer: Any) -> None:
    both_ways(layer)

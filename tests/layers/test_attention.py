"""Attention layers against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
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
    same(layer(), [Q, V], steps=True)
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
    same(HEADS[kind](), Q, V, K, return_attention_scores=kind == "sizes", steps=True)


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


def test_dropout_only_in_training() -> None:
    for layer in (L.Attention(dropout=0.5), L.AdditiveAttention(dropout=0.5)):
        np.testing.assert_array_equal(layer([Q, V]).numpy(), layer([Q, V]).numpy())
        assert np.abs((layer([Q, V], training=True) - layer([Q, V])).numpy()).max() > 1e-4
    for heads in (L.MultiHeadAttention(2, 3, dropout=0.5), L.GroupQueryAttention(3, 4, 2, 0.5)):
        calm = heads(Q, V).numpy()
        np.testing.assert_array_equal(calm, heads(Q, V).numpy())
        assert np.abs(heads(Q, V, training=True).numpy() - calm).max() > 1e-4


def test_a_transformer_block_trains_compiled() -> None:
    x = L.Input((None, 4))
    y = x + L.MultiHeadAttention(2, 3, dropout=0.1)(x, x, use_causal_mask=True)
    y, shares = L.GroupQueryAttention(3, 4, 2)(query=y, value=y, return_attention_scores=True)
    assert y.shape == (None, None, 4)
    assert shares.shape == (None, 4, None, None)
    model = fl.Model(x, L.Dense(1)(y))
    model.compile("adam", "mse")
    target = random(2, 5, 1)
    history = model.fit(V, target, epochs=30, verbose=0)
    assert model._steps.compiled
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: L.Attention(score_mode="sum"), "E-LAYER-004"),
        (lambda: L.Attention(dropout=1.5), "E-LAYER-004"),
        (lambda: L.Attention()(Q), "E-LAYER-001"),
        (lambda: L.Attention()([Q, random(2, 5, 3)]), "E-LAYER-001"),
        (lambda: L.Attention()([Q, V], mask=MASKS[0]), "E-LAYER-001"),
        (lambda: L.MultiHeadAttention(0, 3), "E-LAYER-004"),
        (lambda: L.MultiHeadAttention(2, 3)(Q), "E-LAYER-001"),
        (lambda: L.MultiHeadAttention(2, 3)(Q, V, Q), "E-LAYER-001"),
        (lambda: L.MultiHeadAttention(2, 3, attention_axes=2)(Q, V), "E-LAYER-004"),
        (lambda: L.MultiHeadAttention(2, 3, sliding_window=0), "E-LAYER-004"),
        (lambda: L.GroupQueryAttention(3, 4, 3), "E-LAYER-004"),
        (lambda: L.GroupQueryAttention(3, 4, 2)(random(2, 3, 3, 4), V), "E-LAYER-001"),
    ],
)
def test_wrong_arguments(make: Any, code: str) -> None:
    with pytest.raises(FanlightError) as error:
        make()
    assert error.value.code == code

"""Models of Flax, linen and nnx: our numbers against Flax's own, on NumPy and in WebAssembly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

jax = pytest.importorskip("jax", reason="jax is not installed")
flax = pytest.importorskip("flax", reason="flax, the oracle of these tests, is not installed")
linen, nnx, jnp = pytest.importorskip("flax.linen"), pytest.importorskip("flax.nnx"), jax.numpy
RNG = np.random.default_rng(6)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def whole(*shape: int, high: int = 11) -> np.ndarray:
    return RNG.integers(0, high, shape).astype(np.int32)


def shaken(tree: Any) -> Any:
    """Weights that are no zeros and ones: fresh norms and biases would hide mistakes."""

    def one(leaf: Any) -> Any:
        noise = np.abs(RNG.normal(size=leaf.shape)) * 0.2
        return jnp.asarray(leaf + noise, leaf.dtype)

    return jax.tree_util.tree_map(one, tree)


def compare(folder: Path, function: Any, params: Any, *arguments: np.ndarray) -> fl.Model:
    """A batch of three, and each example alone in WebAssembly."""
    model = fl.from_jax(function, *arguments, params=params, batch=True)
    assert all(model.batched.values()) and not model.source.warnings
    wanted = [np.asarray(y) for y in jax.tree_util.tree_leaves(function(params, *arguments))]
    names = [n for n, _ in model.inputs]
    made = model(dict(zip(names, arguments, strict=True)))
    for mine, theirs in zip(made.values(), wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-4, 2e-5)
    bundle = fl.build(model, folder / "bundle")
    one = bundle.run(dict(zip(names, [a[:1] for a in arguments], strict=True)), host="wasm")
    for mine, theirs in zip(one.values(), wanted, strict=True):
        np.testing.assert_allclose(mine, theirs[:1], 1e-4, 2e-5)
    return model


class Convolutional(linen.Module):
    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.Conv(8, (3, 3), strides=2, use_bias=False)(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train)(x))
        y = linen.Conv(8, (3, 3), feature_group_count=8)(x)
        x = x + linen.silu(linen.GroupNorm(num_groups=4)(y))
        x = linen.max_pool(x, (2, 2), strides=(2, 2), padding="SAME")
        x = linen.ConvTranspose(4, (3, 3), strides=(2, 2))(x)
        x = linen.avg_pool(x, (2, 2), strides=(2, 2))
        x = linen.Dropout(0.5, deterministic=not train)(x)
        x = x.reshape((x.shape[0], -1))
        return {"scores": linen.softmax(linen.Dense(10)(x)), "mean": x.mean(-1)}


def test_linen_convolutional(tmp_path: Path) -> None:
    net, x = Convolutional(), floats(3, 16, 12, 3)
    variables = shaken(net.init(jax.random.key(0), x[:1]))
    model = compare(tmp_path, net.apply, variables, x)
    names = {v.name for v in model.graph.weights}
    assert {"params/Conv_0/kernel", "params/Dense_0/bias"} <= names
    assert [n for n, _ in model.outputs] == ["mean", "scores"]
    made = fl.convert(model, tmp_path / "web", to="tfjs-graph", dynamic=["batch"])
    assert made.ok and not made.notes


class Encoder(linen.Module):
    """Tokens, positions, a token for the class, two blocks of attention with a mask."""

    @linen.compact
    def __call__(self, tokens: Any) -> Any:
        x = linen.Embed(11, 16)(tokens)
        first = self.param("first", linen.initializers.normal(), (1, 1, 16))
        x = jnp.concatenate([jnp.tile(first, (x.shape[0], 1, 1)), x], axis=1)
        x = x + self.param("places", linen.initializers.normal(), (1, x.shape[1], 16))
        full = jnp.pad(tokens > 0, ((0, 0), (1, 0)), constant_values=True)
        mask = linen.make_attention_mask(full, full)
        for _ in range(2):
            y = linen.LayerNorm()(x)
            x = x + linen.MultiHeadDotProductAttention(num_heads=4)(y, y, mask=mask)
            y = linen.gelu(linen.Dense(32)(linen.LayerNorm()(x)))
            x = x + linen.Dense(16)(y)
        return linen.Dense(5)(linen.RMSNorm()(x)[:, 0])


def test_linen_transformer(tmp_path: Path) -> None:
    net, tokens = Encoder(), whole(3, 7)
    variables = shaken(net.init(jax.random.key(1), tokens[:1]))
    model = compare(tmp_path, net.apply, variables, tokens)
    for name in ("web", "m.onnx"):
        made = fl.convert(model, tmp_path / name, dynamic=["batch"])
        assert made.ok and not made.notes


class Recurrent(linen.Module):
    cell: str

    @linen.compact
    def __call__(self, tokens: Any) -> Any:
        x = linen.Embed(11, 6)(tokens)
        make = getattr(linen, self.cell)
        x = linen.Bidirectional(linen.RNN(make(features=5)), linen.RNN(make(features=5)))(x)
        _, x = linen.RNN(make(features=4), return_carry=True)(x)
        return linen.Dense(3)(x[:, -1])


@pytest.mark.parametrize("cell", ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "MGUCell"])
def test_linen_recurrent(cell: str, tmp_path: Path) -> None:
    net, tokens = Recurrent(cell), whole(3, 6)
    variables = shaken(net.init(jax.random.key(2), tokens[:1]))
    compare(tmp_path, net.apply, variables, tokens)


class Net(nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.layer = nnx.LayerNorm(8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.out = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.norm(self.conv(x)))
        x = nnx.avg_pool(x, (2, 2), strides=(2, 2))
        x = self.layer(x.reshape(x.shape[0], -1, 8))
        return nnx.log_softmax(self.out(self.attention(x).mean(1)))


def test_nnx(tmp_path: Path) -> None:
    net = Net(nnx.Rngs(0))
    net.eval()
    definition, state = nnx.split(net)
    model = compare(
        tmp_path, lambda s, x: nnx.merge(definition, s)(x), shaken(state), floats(3, 8, 6, 3)
    )
    assert any("conv" in v.name and "kernel" in v.name for v in model.graph.weights)


def test_nnx_recurrent(tmp_path: Path) -> None:
    """Its state has the keys of random numbers, too, which are known."""
    definition, state = nnx.split(nnx.RNN(nnx.GRUCell(5, 4, rngs=nnx.Rngs(0))))
    compare(tmp_path, lambda s, x: nnx.merge(definition, s)(x), state, floats(3, 6, 5))

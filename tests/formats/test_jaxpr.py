"""Functions of JAX: our numbers against JAX's own, primitive by primitive and in whole models."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

jax = pytest.importorskip("jax", reason="jax, the oracle of this reader, is not installed")
jnp, lax = jax.numpy, jax.lax


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def whole(*shape: int, low: int = 0, high: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(low, high, shape).astype(np.int32)


def compared(found: Any, wanted: Any, tolerance: float) -> None:
    """Whether numbers and shapes are those of JAX."""
    assert len(found) == len(wanted)
    for (name, mine), theirs in zip(found.items(), wanted, strict=True):
        assert mine.shape == theirs.shape, name
        np.testing.assert_allclose(
            np.asarray(mine, np.float64),
            np.asarray(theirs, np.float64),
            rtol=tolerance,
            atol=tolerance,
            err_msg=name,
        )


def check(function: Any, *arguments: Any, params: Any = None, tolerance: float = 1e-5) -> fl.Model:
    """Read a function, and compare its results with those of JAX: on NumPy, in WebAssembly."""
    arguments = jax.tree_util.tree_map(jnp.asarray, arguments)
    model = fl.from_jax(function, *arguments, params=params)
    first = () if params is None else (params,)
    wanted = jax.tree_util.tree_leaves(function(*first, *arguments))
    leaves = jax.tree_util.tree_leaves(arguments)
    given = {n: np.asarray(x) for (n, _), x in zip(model.inputs, leaves, strict=True)}
    compared(model(given), wanted, tolerance)
    if model.graph.nodes and all(x.size for x in given.values()):
        with tempfile.TemporaryDirectory() as folder:
            bundle = fl.build(model, Path(folder) / "bundle")
            compared(bundle.run(given, host="wasm"), wanted, tolerance)
    return model


X, Y = numbers(3, 4), numbers(3, 4, seed=1)
POSITIVE = np.abs(X) + 0.1
BOOLS = X > 0
N, M = whole(3, 4, low=-9, high=9), whole(3, 4, low=1, high=5, seed=2)
UNARY = {
    name: getattr(lax, name)
    for name in (
        "exp exp2 expm1 tanh logistic erf erfc sin cos sign abs neg floor ceil is_finite square "
        "cbrt round asinh atan sinh cosh tan"
    ).split()
}
POSITIVE_ONLY = {name: getattr(lax, name) for name in "log log1p sqrt rsqrt".split()}
BINARY = {
    name: getattr(lax, name) for name in "add sub mul div max min eq ne lt le gt ge rem".split()
}


@pytest.mark.parametrize("name", [*UNARY, *POSITIVE_ONLY])
def test_unary(name: str) -> None:
    check((UNARY | POSITIVE_ONLY)[name], POSITIVE if name in POSITIVE_ONLY else X * 2)


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    check(BINARY[name], X, Y)
    check(BINARY[name], N, M)


def conv(spec: tuple[str, str, str], **options: Any) -> Any:
    strides = options.pop("strides", (1,) * (len(spec[0]) - 2))
    padding = options.pop("padding", "SAME")
    return lambda x, w: lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=spec, **options
    )


NHWC = ("NHWC", "HWIO", "NHWC")
IMAGE, LINE = numbers(2, 7, 6, 4), numbers(2, 9, 4)
EDGES = np.float32([-1, -0.0, 0.5, 0.5, 2])
QUERIES = np.float32([-3, -1, 0.0, -0.0, 0.25, 0.5, 1, 2, np.inf, -np.inf, np.nan])
PRIMITIVES: dict[str, tuple[Any, ...]] = {
    "pow": (lambda x, y: x**y, POSITIVE, Y),
    "integer_pow": (lambda x: (x**3, x**-2, lax.integer_pow(x, 0)), POSITIVE),
    "round half away": (lax.round, np.array([0.5, 1.5, -2.5, 0.49999997, 7.0], np.float32)),
    "round to even": (jnp.round, np.array([0.5, 1.5, -2.5, 0.49999997, 7.0], np.float32)),
    "cbrt of ends": (lax.cbrt, np.array([0, np.inf, -8, 1e-30, 1e30], np.float32)),
    "logic": (lambda a, n, m: (~a, a & (n > 0), a | (m > 2), a ^ (n > 1)), BOOLS, N, M),
    "bits": (lambda n, m: (~n, n & m, n | m, n ^ m, n << m, n >> m), N, M),
    "logical shift": (lax.shift_right_logical, N, M),
    "select_n": (lambda p, x, y: jnp.where(p, x, y), BOOLS, X, Y),
    "select_n of three": (lambda n, x, y: lax.select_n(n, x, y, x + y), M % 3, X, Y),
    "clamp": (lambda x, y: (jnp.clip(x, -0.5, 0.5), lax.clamp(y - 1, x, y)), X, Y),
    "cast": (lambda x, n: (x.astype(int), n.astype(float), n.astype(bool)), X * 5, N),
    "narrow casts": (lambda n: (n.astype(jnp.int8), n.astype(jnp.uint8), n.astype(jnp.uint16),
                                n.astype(jnp.int16)), N * 12345),
    "half": (lambda x: (x.astype(jnp.bfloat16) * 2).astype(jnp.float32), np.float32([[1, 2, 3]])),
    "reduce": (lambda x: (x.sum(1), x.max(0), x.min(), x.prod((0, 1)), x.mean()), X),
    "reduce bool": (lambda x: (jnp.all(x > -1, 1), jnp.any(x > 1, 0)), X),
    "arg": (lambda x: (jnp.argmax(x, 0), jnp.argmin(x, -1), jnp.argmax(x)), X),
    "cumulative": (lambda x: (jnp.cumsum(x, 0), lax.cumprod(x, 1, reverse=True), lax.cummax(x, 1),
                              lax.cummin(x, 0), lax.cumlogsumexp(x, 1)), X),
    "broadcast": (lambda x: (x[:, None] + jnp.ones((2, 4)), jnp.broadcast_to(x, (2, 3, 4))), X),
    "move": (lambda x: (x.T, x.reshape(2, 6), x[None].squeeze(0), x[::-1], jnp.moveaxis(x, 0, 1)),
             X),
    "concatenate": (lambda x, y: (jnp.concatenate([x, y], 1), jnp.stack([x, y])), X, Y),
    "stack": (lambda x: (jnp.stack(jnp.unstack(x, axis=1)), jnp.tile(x, (2, 1, 3))), X),
    "split": (lambda x: jnp.split(x, 2, 1), X),
    "slice": (lambda x: (x[1:, :2], x[:, ::2], x[::-2]), X),
    "pad": (lambda x: (lax.pad(x, 1.5, ((1, 2, 0), (0, 1, 2))),
                       lax.pad(x, 0.0, ((-1, 2, 1), (1, -2, 0)))), X),
    "pad by input": (lambda x, y: lax.pad(x, y[0, 0], ((1, 0, 1), (-1, 2, 0))), X, Y),
    "iota": (lambda x: x + lax.broadcasted_iota(jnp.float32, (3, 4), 0), X),
    "sort": (lambda x: (jnp.sort(x, 0), jnp.argsort(x, 1), jnp.sort(x, descending=True)), X),
    "sort by two keys": (lambda n, x: lax.sort((n % 3, n, x), num_keys=2), N, X),
    "top_k": (lambda x: lax.top_k(x, 2), X),
    "searchsorted": (lambda e, q, n: (jnp.searchsorted(e, q), jnp.searchsorted(e, q, side="right"),
                                      jnp.searchsorted(e, q, method="sort"),
                                      jnp.searchsorted(jnp.arange(5), n)), EDGES, QUERIES, N),
    "searchsorted in NaN": (lambda e, q: (jnp.searchsorted(e, q),
                                          jnp.searchsorted(e, q, side="right")),
                            np.append(EDGES, [np.nan, np.nan]).astype(np.float32), QUERIES),
    "digitize": (lambda e, q: (jnp.digitize(q, e), jnp.digitize(q, e, right=True),
                               jnp.digitize(q, jnp.array([3.0, 1.0, 0.0]))), EDGES, QUERIES),
    "interp": (lambda q, e, f: (jnp.interp(q, e, f), jnp.interp(q, e, f, left=-1, right=9),
                                jnp.interp(q, e, f, period=2.5)), QUERIES[:-1], EDGES,
               numbers(5, seed=4)),
    "histogram": (lambda x, e, w: (*jnp.histogram(x, bins=4), *jnp.histogram(x, e),
                                   *jnp.histogram(x, 3, (-1, 1), w, density=True)), X, EDGES,
                  POSITIVE),
    "dot": (lambda x, y: (x @ y.T, jnp.dot(x[0], y[0]), jnp.outer(x[0], y[1])), X, Y),
    "dot of ints": (lambda n, m: n @ m.T, N, M),
    "einsum": (lambda a, b: (jnp.einsum("bqhd,bkhd->bhqk", a, b),
                             jnp.einsum("bqhd,bqhe->hde", a, b),
                             jnp.einsum("bqhd,hdq->b", a, b[0].transpose(1, 2, 0))),
               numbers(2, 3, 2, 5), numbers(2, 3, 2, 5, seed=1)),
    "conv": (conv(NHWC, strides=(2, 1)), IMAGE, numbers(3, 3, 4, 5)),
    "conv dilated": (conv(NHWC, rhs_dilation=(2, 1)), IMAGE, numbers(3, 2, 4, 5)),
    "conv NCHW": (conv(("NCHW", "OIHW", "NCHW"), padding=((1, 2), (0, 1))),
                  numbers(2, 4, 7, 6), numbers(5, 4, 3, 3)),
    "conv cropped": (conv(NHWC, padding=((-1, 2), (0, -2))), IMAGE, numbers(3, 3, 4, 5)),
    "conv groups": (conv(NHWC, feature_group_count=2), IMAGE, numbers(3, 3, 2, 6)),
    "conv depthwise": (conv(NHWC, feature_group_count=4), IMAGE, numbers(3, 3, 1, 8)),
    "conv 1d": (conv(("NWC", "WIO", "NWC"), strides=(2,)), LINE, numbers(3, 4, 5)),
    "conv 1d depthwise": (conv(("NWC", "WIO", "NWC"), feature_group_count=4), LINE,
                          numbers(3, 1, 4)),
    "conv 3d": (conv(("NDHWC", "DHWIO", "NDHWC"), strides=(2, 1, 1)), numbers(1, 5, 4, 4, 2),
                numbers(3, 2, 2, 2, 3)),
    "conv transpose": (lambda x, w: lax.conv_transpose(x, w, (2, 3), "SAME"), IMAGE,
                       numbers(3, 4, 4, 5)),
    "conv transpose valid": (lambda x, w: lax.conv_transpose(x, w, (2, 2), "VALID"), IMAGE,
                             numbers(3, 3, 4, 5)),
    "conv transpose 1d": (lambda x, w: lax.conv_transpose(x, w, (2,), "SAME", rhs_dilation=(2,)),
                          LINE, numbers(3, 4, 5)),
    "conv all dilated": (conv(NHWC, lhs_dilation=(2, 2), rhs_dilation=(2, 1), strides=(2, 1),
                              padding=((5, 1), (2, 0))), IMAGE, numbers(3, 2, 4, 5)),
    "max pool": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1),
                                             "SAME"), IMAGE),
    "min pool": (lambda x: lax.reduce_window(x, jnp.inf, lax.min, (1, 3, 2, 1), (1, 2, 1, 1),
                                             "VALID"), IMAGE),
    "sum pool": (lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 3, 2, 1), (1, 2, 2, 1), "SAME"),
                 IMAGE),
    "pool of channels": (lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 1, 1, 3), (1, 1, 1, 1),
                                                     "SAME"), IMAGE),
    "pool 1d": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 1), (1, 2, 1), "SAME"),
                LINE),
    "pool dilated": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 1, 1, 1),
                                                 "VALID", window_dilation=(1, 2, 2, 1)), IMAGE),
    "pool of ints": (lambda x: lax.reduce_window(x, np.int32(-(2**31)), lax.max, (2, 2), (1, 1),
                                                 "SAME"), N),
    "pool by mul": (lambda x: lax.reduce_window(x, 1.0, lax.mul, (2, 2), (1, 1), "VALID"), X),
    "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i, 1), (2, 2)), X, np.int32(2)),
    "dynamic_update": (lambda x, i: lax.dynamic_update_slice(x, x[:2, :2] * 0 + 7, (i, 1)), X,
                       np.int32(5)),
    "take": (lambda t, i: (jnp.take(t, i, axis=0), t[i], jnp.take(t, i, axis=1, mode="clip")), X,
             np.int32([[0, 2, -1], [1, 7, -9]])),
    "take_along_axis": (lambda t, i: jnp.take_along_axis(t, i, 1), X, whole(3, 2, high=4)),
    "index two": (lambda t, i: (t[i, i + 1], t[0, i], t[:, i]), X, np.int32([0, 1, 2])),
    "index far": (lambda t, i: (t[:, i], t[:, :, i], t[i, :, i]), numbers(2, 3, 4),
                  np.int32([0, 1])),
    "vmap slices": (lambda x, i: jax.vmap(lambda r, j: lax.dynamic_slice(r, (j,), (2,)))(x, i), X,
                    np.int32([0, 2, 9])),
    "scatter": (lambda x, i: (x.at[i].set(2.0), x.at[0].set(1.0), x.at[:, 1].set(5.0)), X,
                np.int32([2, 5])),
    "scatter add": (lambda x, i: (x.at[i].add(1.0), x.at[i, i].mul(3.0), x.at[:, i].max(0.0),
                                  x.at[1:3].add(1.0)), X, np.int32([0, 0, 2])),
    "stop_gradient": (lambda x: lax.stop_gradient(jax.checkpoint(jnp.sin)(x)), X),
    "one_hot": (lambda n: jax.nn.one_hot(n, 5), M),
    "activations": (lambda x: (jax.nn.gelu(x), jax.nn.gelu(x, approximate=False), jax.nn.silu(x),
                               jax.nn.softplus(x), jax.nn.elu(x), jax.nn.log_softmax(x),
                               jax.nn.logsumexp(x, 1), jax.nn.relu6(x), jax.nn.hard_swish(x)), X),
    "cond": (lambda x, n: lax.cond(n[0, 0] > 0, lambda v: v * 2, lambda v: v, x), X, N),
    "switch": (lambda x, i: lax.switch(i, [jnp.sin, jnp.cos, jnp.tanh], x), X, np.int32(1)),
    "switch clipped": (lambda x, i: lax.switch(i, [jnp.sin, jnp.cos, lambda v: v], x), X,
                       np.int32(9)),
    "while": (lambda x: lax.while_loop(lambda s: s[0].sum() < 9, lambda s: (s[0] + x, s[1] + 1),
                                       (x, 0)), POSITIVE),
    "fori": (lambda x: lax.fori_loop(0, 3, lambda i, s: s * 0.5 + x[i % 3], x[0]), X),
    "fori dynamic": (lambda x, n: lax.fori_loop(0, n, lambda i, s: s + x[i % 3], x[0]), X,
                     np.int32(4)),
    "scan": (lambda x: lax.scan(lambda c, r: (c + r, c), x[0], x), X),
    "scan back": (lambda x: lax.scan(lambda c, r: (c * 0.5 + r, (c, r.sum())), x[0], x,
                                     reverse=True), X),
    "scan of nothing": (lambda x: lax.scan(lambda c, _: (c * 2, c[0]), x, None, length=3), X),
    "random of a known key": (lambda x: x + jax.random.normal(jax.random.PRNGKey(3), (3, 4)), X),
    "split keys": (lambda x: x * jax.random.bernoulli(jax.random.split(jax.random.key(1))[1], 0.5,
                                                      (3, 4)), X),
}  # fmt: skip


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive(name: str) -> None:
    function, *arguments = PRIMITIVES[name]
    check(function, *arguments)


# --- whole models ---------------------------------------------------------------------------------


def convolutional(variables: Any, x: Any) -> Any:
    """Convolution, batch norm, pooling and a dense layer, as Flax computes them."""
    p, stats = variables["params"], variables["batch_stats"]["BatchNorm_0"]
    y = conv(NHWC, strides=(2, 2))(x, p["Conv_0"]["kernel"]) + p["Conv_0"]["bias"]
    norm = p["BatchNorm_0"]
    y = (y - stats["mean"]) * (lax.rsqrt(stats["var"] + 1e-5) * norm["scale"]) + norm["bias"]
    y = lax.reduce_window(
        jax.nn.relu(y), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0),) * 4
    )
    y = lax.reduce_window(y, 0.0, lax.add, (1, 2, 2, 1), (1, 1, 1, 1), "VALID") / 4
    y = y.reshape(y.shape[0], -1)
    return jax.nn.softmax(y @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])


def convolutional_variables() -> Any:
    params = {
        "Conv_0": {"kernel": numbers(3, 3, 3, 8), "bias": numbers(8)},
        "BatchNorm_0": {"scale": numbers(8, seed=3), "bias": numbers(8, seed=4)},
        "Dense_0": {"kernel": numbers(72, 10), "bias": numbers(10)},
    }
    stats = {"mean": numbers(8, seed=5), "var": np.abs(numbers(8, seed=6)) + 0.5}
    return {"params": params, "batch_stats": {"BatchNorm_0": stats}}


def test_convolutional_network() -> None:
    model = check(
        convolutional, numbers(2, 16, 16, 3), params=convolutional_variables(), tolerance=2e-5
    )
    names = {v.name for v in model.graph.weights}
    assert {"params/Conv_0/kernel", "params/Conv_0/bias", "params/Dense_0/kernel"} <= names
    assert [n for n, _ in model.inputs] == ["x"] and [n for n, _ in model.outputs] == ["output"]
    ops = {node.op for node in model.graph.nodes}
    assert {"conv2d", "max_pool", "avg_pool", "matmul"} <= ops and "rsqrt" not in ops


def layer_norm(p: Any, x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def transformer(p: Any, tokens: Any, mask: Any) -> Any:
    """An embedding and one block: attention with a mask, layer norms, GELU, tied logits."""
    x = jnp.take(p["embedding"], tokens, axis=0) + p["position"][: tokens.shape[1]]
    y = layer_norm(p["norm"], x)
    q, k, v = (jnp.einsum("btc,chd->bthd", y, p[n]) for n in "qkv")
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(4)
    causal = jnp.tril(jnp.ones((tokens.shape[1],) * 2, bool))
    scores = jnp.where(causal & mask[:, None, None, :], scores, jnp.finfo(jnp.float32).min)
    x = x + jnp.einsum("bhqk,bkhd,hdc->bqc", jax.nn.softmax(scores), v, p["out"])
    x = x + jax.nn.gelu(layer_norm(p["norm"], x) @ p["up"]) @ p["down"]
    return {"logits": x @ p["embedding"].T, "pooled": x.mean(1)}


def test_transformer() -> None:
    params = {
        "embedding": numbers(11, 8), "position": numbers(16, 8), "q": numbers(8, 2, 4),
        "k": numbers(8, 2, 4, seed=1), "v": numbers(8, 2, 4, seed=2), "out": numbers(2, 4, 8),
        "norm": {"scale": numbers(8), "bias": numbers(8)}, "up": numbers(8, 16),
        "down": numbers(16, 8),
    }  # fmt: skip
    params = jax.tree_util.tree_map(jnp.asarray, params)
    mask = np.array([[True] * 5, [True] * 3 + [False] * 2])
    model = check(transformer, whole(2, 5, high=11), mask, params=params, tolerance=1e-4)
    assert [n for n, _ in model.outputs] == ["logits", "pooled"]


def test_lstm_by_scan() -> None:
    def lstm(p: Any, x: Any) -> Any:
        def step(state: Any, now: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(now @ p["kernel"] + h @ p["recurrent"] + p["bias"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((x.shape[0], 6))
        (h, _), ys = lax.scan(step, (zero, zero), x.swapaxes(0, 1))
        return h, ys.swapaxes(0, 1)

    params = {"kernel": numbers(5, 24), "recurrent": numbers(6, 24), "bias": numbers(24)}
    model = check(lstm, numbers(2, 7, 5), params=params)
    assert "scan" in {node.op for node in model.graph.nodes}
    assert {"kernel", "recurrent", "bias"} <= {v.name for v in model.graph.weights}


def test_half_weights_become_float32() -> None:
    params = {"w": jnp.asarray(numbers(4, 3), jnp.bfloat16)}
    model = fl.from_jax(lambda p, x: x @ p["w"].astype(jnp.float32), X, params=params)
    wanted = X @ np.asarray(params["w"], np.float32)
    np.testing.assert_allclose(model(X), wanted, rtol=1e-5, atol=1e-5)
    assert any("bfloat16" in w for w in model.source.warnings)


def test_large_repeated_constants_are_not_stored() -> None:
    model = fl.from_jax(lambda x: x + jnp.zeros((1100, 1000)), numbers(1000))
    assert sum(a.size for a in model.graph.weights.values()) < 10


def test_shapes_and_trees_as_arguments() -> None:
    batch = {"a": jax.ShapeDtypeStruct((2, 3), jnp.float32), "b": jnp.ones((3,))}
    model = fl.from_jax(lambda batch: batch["a"] * batch["b"], batch, name="scaled")
    assert model.name == "scaled" and [n for n, _ in model.inputs] == ["batch/a", "batch/b"]
    assert not any(model.batched.values())


# --- what cannot be read --------------------------------------------------------------------------


def refused(function: Any, *arguments: Any, **options: Any) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        fl.from_jax(function, *arguments, **options)
    return caught.value


def test_all_unsupported_primitives_at_once_with_places() -> None:
    def odd(x: Any) -> Any:
        inner = jax.jit(lambda v: lax.lgamma(v) + lax.digamma(v))
        return lax.cond(x[0, 0] > 0, inner, lambda v: lax.bessel_i0e(v) if False else v, x)

    error = refused(odd, X)
    assert error.code == "E-FORMAT-013"
    assert "lgamma x1" in str(error) and "digamma x1" in str(error)
    assert "test_jaxpr.py" in str(error)


def test_unsupported_primitives_of_known_numbers_fold() -> None:
    check(lambda x: x + lax.lgamma(jnp.float32(3.5)) + lax.digamma(jnp.ones(4)), X)


def test_dead_code_is_not_looked_at() -> None:
    def dead(x: Any) -> Any:
        lax.lgamma(x)
        return x + 1

    check(dead, X)


def test_random_numbers_of_an_input() -> None:
    error = refused(lambda x, key: x + jax.random.normal(key, (3, 4)), X, jax.random.PRNGKey(0))
    assert error.code in ("E-FORMAT-012", "E-FORMAT-013") and "random" in str(error)
    error = refused(lambda x, key: x + jax.random.normal(key, (3, 4)), X, jax.random.key(0))
    assert error.code in ("E-FORMAT-008", "E-FORMAT-013") and "key" in str(error)


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        (3, (X,), "E-FORMAT-002"),
        (lambda x: x, (), "E-FORMAT-017"),
        (lambda x, train: x, (X, "yes"), "E-FORMAT-005"),
        (lambda x: (), (X,), "E-FORMAT-005"),
        (lambda x: lax.cond(x[0, 0] > 0, lambda v: v * 1j, jnp.conj, x + 0j), (X,), "E-FORMAT-012"),
        (lambda x: x, (np.array(["a"]),), "E-FORMAT-008"),
        (lambda x: lax.scan(lambda c, _: (c + x, 1), x, None, length=0), (X,), "E-FORMAT-012"),
        (lambda x: x + jnp.arange(1 << 28).sum(), (X,), "E-FORMAT-023"),
    ],
)
def test_refusals(function: Any, arguments: Any, code: str) -> None:
    assert refused(function, *arguments).code == code


def test_without_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jax", None)
    error = refused(lambda x: x, X)
    assert error.code == "E-FORMAT-002" and "pip install jax" in str(error)

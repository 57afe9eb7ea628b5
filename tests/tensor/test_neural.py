"""Normalisation, attention, cells and losses against their formulas, in float64."""

from __future__ import annotations

from collections.abc import Callable
from math import erfc
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(21)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def check(f: Callable[..., Any], args: tuple[Any, ...], expected: Any, tol: float = 2e-5) -> None:
    """f gives what is expected, eagerly and as WebAssembly, and has the gradient of differences."""
    for found in (f(*args), fl.jit(f)(*args)):
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found.numpy(), expected, rtol=tol, atol=tol)
    every = tuple(range(len(args)))
    weights = normal(*np.shape(expected))

    def total(*x: Any) -> fl.Tensor:
        return fl.sum(f(*x) * weights)

    grads = fl.grad(total, every)(*args)
    for a, b in zip(grads, fl.jit(fl.grad(total, every))(*args), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-4)
    d, h = [normal(*np.shape(a)) for a in args], 5e-3
    ahead = total(*(a + np.float32(h) * v for a, v in zip(args, d, strict=True))).item()
    behind = total(*(a - np.float32(h) * v for a, v in zip(args, d, strict=True))).item()
    slope = sum(float(np.sum(g.numpy() * v)) for g, v in zip(grads, d, strict=True))
    assert abs(slope - (ahead - behind) / (2 * h)) < 0.02 * max(1.0, abs(slope))


# --- normalisation --------------------------------------------------------------------------------


def test_moments() -> None:
    x = normal(3, 4, 5)
    for axis in (None, 0, (0, -1)):
        for keep in (False, True):
            mean, variance = fl.moments(x, axis, keep)
            np.testing.assert_allclose(mean.numpy(), x.mean(axis, keepdims=keep), atol=1e-6)
            np.testing.assert_allclose(variance.numpy(), x.var(axis, keepdims=keep), rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 5, 3)])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    x, mean, offset, scale = normal(*shape), normal(3), normal(3), normal(3)
    variance = np.abs(normal(3)) + 0.5
    expected = (x - mean) / np.sqrt(variance + 1e-3) * scale + offset
    check(fl.batch_norm, (x, mean, variance, offset, scale), expected)
    plain = fl.batch_norm(x, mean, variance).numpy()
    np.testing.assert_allclose(plain, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)
    whole = np.abs(normal(*shape[1:])) + 0.5
    expected = (x - mean) / np.sqrt(whole + 0.1)
    np.testing.assert_allclose(
        fl.batch_norm(x, mean, whole, epsilon=0.1).numpy(), expected, rtol=1e-4, atol=1e-5
    )


def test_layer_and_rms_norm() -> None:
    x, scale, offset = normal(3, 4, 6), normal(6), normal(6)
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * scale + offset
    check(fl.layer_norm, (x, scale, offset), expected)
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-5)
    check(lambda x: fl.layer_norm(x, axis=(1, 2)), (x,), expected)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale
    check(fl.rms_norm, (x, scale), expected)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(groups: int) -> None:
    x, scale, offset = normal(2, 3, 4, 6), normal(6), normal(6)
    parts = x.reshape(2, 12, groups, 6 // groups)
    mean, variance = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
    y = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) * scale + offset
    check(lambda *a: fl.group_norm(a[0], groups, *a[1:]), (x, scale, offset), y, 1e-4)
    if groups == 6:
        check(fl.instance_norm, (x, scale, offset), y, 1e-4)


@pytest.mark.parametrize("beta", [0.5, 0.75])
@pytest.mark.parametrize("radius", [0, 2, 9])
def test_local_response(beta: float, radius: int) -> None:
    x = normal(2, 3, 2, 7)
    expected = np.empty_like(x)
    for c in range(7):
        near = x[..., max(0, c - radius) : c + radius + 1]
        expected[..., c] = x[..., c] / (1.5 + 0.3 * (near**2).sum(-1)) ** beta

    def f(x: Any) -> fl.Tensor:
        return fl.local_response_normalization(x, radius, 1.5, 0.3, beta)

    check(f, (x,), expected)


def test_log_sum_exp() -> None:
    x = normal(3, 4, 5)
    check(lambda x: fl.log_sum_exp(x, (0, 2)), (x,), np.log(np.exp(x).sum((0, 2))))
    assert fl.log_sum_exp([1000.0, 1000.0]).item() == pytest.approx(1000.693, abs=1e-3)
    assert fl.log_sum_exp([-np.inf, -np.inf]).item() == -np.inf
    assert fl.log_sum_exp([1.0, np.inf]).item() == np.inf
    assert fl.log_sum_exp(x, keepdims=True).shape == (1, 1, 1)


def test_moving_average() -> None:
    v, x = normal(3), normal(3)
    check(lambda v, x: fl.moving_average(v, x, 0.9, zero_debias=False), (v, x), 0.9 * v + 0.1 * x)
    expected = v + (x - v) * 0.1 / (1 - 0.9**3)
    check(lambda v, x: fl.moving_average(v, x, 0.9, 3), (v, x), expected)


# --- attention ------------------------------------------------------------------------------------


def attended(q: Any, k: Any, v: Any, seen: Any = True, added: Any = 0.0) -> np.ndarray:
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1]) + added
    return softmax(np.where(seen, scores, -np.inf)) @ v


def test_attention() -> None:
    q, k, v = normal(2, 3, 4, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 2)
    check(fl.scaled_dot_product_attention, (q, k, v), attended(q, k, v))
    seen = RNG.uniform(0, 1, (2, 1, 4, 6)) < 0.6
    seen[..., 0] = True

    def f(*a: Any, **options: Any) -> fl.Tensor:
        return fl.scaled_dot_product_attention(*a, **options)

    check(lambda *a: f(*a, mask=seen), (q, k, v), attended(q, k, v, seen))
    lower = np.tril(np.ones((4, 6), bool))
    check(lambda *a: f(*a, causal=True), (q, k, v), attended(q, k, v, lower))
    check(lambda *a: f(*a, mask=seen, causal=True), (q, k, v), attended(q, k, v, lower & seen))
    bias = normal(4, 6)
    check(lambda *a: f(*a[:3], mask=a[3]), (q, k, v, bias), attended(q, k, v, added=bias))
    # What may see nothing gets nothing, and no NaN.
    assert not f(q, k, v, mask=np.zeros((4, 6), bool)).numpy().any()
    # -infinity hides as False does, and a query may see nothing here, too.
    hidden = np.where(lower, bias, np.float32(-np.inf))
    check(lambda *a: f(*a, mask=hidden), (q, k, v), attended(q, k, v, lower, bias))
    hidden[1] = -np.inf
    found = f(q, k, v, mask=hidden).numpy()
    assert not found[:, :, 1].any()
    np.testing.assert_allclose(found[:, :, 2], attended(q, k, v, lower, bias)[:, :, 2], rtol=1e-4)


@pytest.mark.parametrize("shared", [1, 2])
def test_heads_share_keys(shared: int) -> None:
    q, k, v = normal(2, 4, 3, 5), normal(2, shared, 6, 5), normal(2, shared, 6, 2)
    wide = [np.repeat(a, 4 // shared, axis=1) for a in (k, v)]
    check(fl.scaled_dot_product_attention, (q, k, v), attended(q, *wide))
    for heads in (1, 4):
        seen = RNG.uniform(0, 1, (2, heads, 3, 6)) < 0.6
        seen[..., 0] = True
        expected = attended(q, *wide, seen)
        check(
            lambda *a: fl.scaled_dot_product_attention(*a, mask=seen),  # noqa: B023
            (q, k, v),
            expected,
        )


# --- cells ----------------------------------------------------------------------------------------


def test_lstm_cell() -> None:
    x, h, c = normal(2, 3), normal(2, 4), normal(2, 4)
    w, u, b = normal(3, 16), normal(4, 16), normal(16)
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=1)
    after = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    check(lambda *a: fl.lstm_cell(*a)[0], (x, h, c, w, u, b), sigmoid(o) * np.tanh(after))
    check(lambda *a: fl.lstm_cell(*a)[1], (x, h, c, w, u, b), after)


def test_gru_cell() -> None:
    x, h, w, u, b = normal(2, 3), normal(2, 4), normal(3, 12), normal(4, 12), normal(2, 12)
    (xz, xr, xg), (hz, hr, hg) = np.split(x @ w + b[0], 3, 1), np.split(h @ u + b[1], 3, 1)
    z = sigmoid(xz + hz)
    expected = z * h + (1 - z) * np.tanh(xg + sigmoid(xr + hr) * hg)
    check(fl.gru_cell, (x, h, w, u, b), expected)
    hz, hr, _ = np.split(h @ u, 3, 1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    expected = z * h + (1 - z) * np.tanh(xg + (r * h) @ u[:, 8:])
    check(lambda *a: fl.gru_cell(*a, reset_after=False), (x, h, w, u, b[0]), expected)


def test_cells_of_tfjs() -> None:
    """basicLSTMCell of TensorFlow.js: gates i, j, f, o of the joined input."""
    x, states = normal(2, 3), [normal(2, 4) for _ in range(4)]
    kernels = [normal(7, 16), normal(8, 16)]
    bias = normal(16)

    def cell(kernel: Any) -> Any:
        return lambda data, c, h: fl.basic_lstm_cell(1.0, kernel, bias, data, c, h)

    c, h = fl.multi_rnn_cell([cell(k) for k in kernels], x, states[:2], states[2:])
    data = x
    for n, kernel in enumerate(kernels):
        total = np.concatenate([data, states[2 + n]], 1) @ kernel + bias
        i, j, f, o = np.split(total, 4, axis=1)
        after = states[n] * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        data = np.tanh(after) * sigmoid(o)
        np.testing.assert_allclose(c[n].numpy(), after, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(h[n].numpy(), data, rtol=1e-4, atol=1e-5)


# --- losses and odds and ends ---------------------------------------------------------------------

LABELS = (RNG.uniform(0, 1, (4, 3)) < 0.5).astype(np.float32)
LOGITS = np.round(normal(4, 3) * 4) / 4 + np.float32(0.1)  # away from where losses have kinks
SURE = sigmoid(LOGITS)
LOSSES: list[tuple[str, Any, Any]] = [
    ("absolute_difference", LOGITS, np.abs(LABELS - LOGITS)),
    ("mean_squared", LOGITS, (LABELS - LOGITS) ** 2),
    ("hinge_loss", LOGITS, np.maximum(0, 1 - (2 * LABELS - 1) * LOGITS)),
    (
        "huber_loss",
        LOGITS * 2,
        np.where(
            (e := np.abs(LABELS - LOGITS * 2)) < 1,
            e**2 / 2,
            e - 0.5,
        ),
    ),
    ("log_loss", SURE, -LABELS * np.log(SURE) - (1 - LABELS) * np.log(1 - SURE)),
    (
        "sigmoid_cross_entropy",
        LOGITS,
        -LABELS * np.log(SURE) - (1 - LABELS) * np.log(1 - SURE),
    ),
    ("softmax_cross_entropy", LOGITS, -(LABELS * np.log(softmax(LOGITS))).sum(-1)),
]


def mean_squared(labels: Any, predictions: Any, *options: Any, **named: Any) -> Any:
    """tf.losses.meanSquaredError, as docs/core.md has it."""
    return fl.losses.compute_weighted_loss(
        fl.squared_difference(labels, predictions), *options, **named
    )


@pytest.mark.parametrize(("name", "given", "losses"), LOSSES, ids=lambda v: str(v)[:20])
def test_losses(name: str, given: np.ndarray, losses: np.ndarray) -> None:
    loss = getattr(fl.losses, name, mean_squared)
    check(lambda p: loss(LABELS, p, None, reduction="none"), (given,), losses)
    check(lambda p: loss(LABELS, p), (given,), losses.mean())
    weights = np.float32([0, 1, 2, 0.5]).reshape(4, *[1] * (losses.ndim - 1))
    every = np.broadcast_to(weights, losses.shape)
    for reduction, expected in {
        "none": losses * weights,
        "sum": (losses * weights).sum(),
        "mean": (losses * weights).sum() / every.sum(),
        "sum_by_nonzero_weights": (losses * weights).sum() / (every != 0).sum(),
    }.items():
        found = loss(LABELS, given, weights, reduction=reduction)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_losses_with_options() -> None:
    found = fl.losses.cosine_distance(LABELS, LOGITS, 1, reduction="none")
    np.testing.assert_allclose(
        found.numpy(), 1 - (LABELS * LOGITS).sum(1, keepdims=True), rtol=1e-5, atol=1e-6
    )
    smooth = LABELS * 0.8 + 0.1
    found = fl.losses.sigmoid_cross_entropy(LABELS, LOGITS, label_smoothing=0.2)
    expected = -smooth * np.log(SURE) - (1 - smooth) * np.log(1 - SURE)
    assert found.item() == pytest.approx(expected.mean(), rel=1e-5)
    found = fl.losses.softmax_cross_entropy(LABELS, LOGITS, label_smoothing=0.3)
    expected = -((LABELS * 0.7 + 0.1) * np.log(softmax(LOGITS))).sum(-1)
    assert found.item() == pytest.approx(expected.mean(), rel=1e-5)
    assert fl.losses.huber_loss([0.0], [3.0], delta=2.0).item() == 4.0


def test_fused() -> None:
    x, w, bias = normal(1, 5, 5, 2), normal(3, 3, 2, 4), normal(4)
    plain = fl.conv2d(x, w, 1, "same").numpy() + bias
    for name, expected in {
        "linear": plain,
        "relu": np.maximum(plain, 0),
        "relu6": np.clip(plain, 0, 6),
        "sigmoid": sigmoid(plain),
        "elu": np.where(plain < 0, np.exp(np.minimum(plain, 0)) - 1, plain),
        "leakyrelu": np.where(plain < 0, 0.2 * plain, plain),
    }.items():
        found = fl.fused.conv2d(x, w, 1, "same", bias=bias, activation=name)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    found = fl.fused.conv2d(
        x, w, 1, "same", bias=bias, activation="prelu", prelu_weights=w[0, 0, 0]
    )
    expected = np.where(plain < 0, w[0, 0, 0] * plain, plain)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    deep = fl.fused.depthwise_conv2d(x, w[:, :, :, :1], bias=bias[:2], activation="relu")
    assert deep.shape == (1, 3, 3, 2) and deep.numpy().min() >= 0
    a, b = normal(4, 3), normal(5, 4)
    found = fl.fused.mat_mul(a, b, True, True, normal(5) * 0, "relu6")
    np.testing.assert_allclose(found.numpy(), np.clip(a.T @ b.T, 0, 6), rtol=1e-4, atol=1e-5)


def test_arithmetic() -> None:
    a, b = normal(3), normal(3)
    check(lambda a, b: fl.add_n([a, b, a]), (a, b), 2 * a + b)
    assert fl.logical_xor([True, True, False], [True, False, False]).tolist() == [
        False,
        True,
        False,
    ]
    assert fl.mod([7, -7], 3).tolist() == [1, 2]
    assert fl.clip_by_value([-1, 5], 0, 3).tolist() == [0, 3]


def test_erfc_keeps_its_digits_where_it_is_small() -> None:
    x = np.linspace(-4, 9, 301).astype(np.float32)
    expected = np.array([erfc(float(v)) for v in x])
    for found in (fl.erfc(x), fl.jit(fl.erfc)(x)):
        np.testing.assert_allclose(found.numpy(), expected, rtol=3e-5)
    slope = fl.grad(lambda x: fl.sum(fl.erfc(x)))(x).numpy()
    np.testing.assert_allclose(slope, -2 / np.sqrt(np.pi) * np.exp(-(x**2.0)), rtol=1e-4)
    bend = fl.grad(lambda x: fl.sum(fl.grad(lambda x: fl.sum(fl.erfc(x)))(x)))(np.float32([0.5]))
    assert bend.item() == pytest.approx(2 / np.sqrt(np.pi) * np.exp(-0.25), rel=1e-4)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: fl.group_norm(np.ones((2, 3, 4)), 3), "E-OP-005"),
        (lambda: fl.layer_norm(np.ones((2, 4)), np.ones(3)), "E-OP-004"),
        (lambda: fl.batch_norm(np.ones((2, 4)), np.ones(3), np.ones(3)), "E-OP-004"),
        (lambda: fl.local_response_normalization(np.ones((2, 4))), "E-OP-004"),
        (lambda: fl.moving_average(np.ones(3), np.ones(3), 0.9), "E-OP-005"),
        (
            lambda: fl.scaled_dot_product_attention(
                np.ones((2, 3)), np.ones((2, 4)), np.ones((2, 4))
            ),
            "E-OP-004",
        ),
        (
            lambda: fl.scaled_dot_product_attention(
                np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 3), bool)
            ),
            "E-OP-004",
        ),
        (
            lambda: fl.gru_cell(*(np.ones(s) for s in ((1, 2), (1, 3), (2, 9), (3, 8)))),
            "E-OP-004",
        ),
        (lambda: fl.multi_rnn_cell([], np.ones((1, 2)), [1], []), "E-OP-005"),
        (lambda: fl.losses.hinge_loss(np.ones(2), np.ones(3)), "E-OP-004"),
        (lambda: fl.losses.hinge_loss(np.ones(2), np.ones(2), np.ones(3)), "E-OP-004"),
        (lambda: fl.losses.hinge_loss(np.ones(2), np.ones(2), reduction="avg"), "E-OP-005"),
        (
            lambda: fl.fused.mat_mul(np.ones((2, 2)), np.ones((2, 2)), activation="g"),
            "E-OP-005",
        ),
        (lambda: fl.add_n([]), "E-OP-005"),
        (lambda: fl.add_n([np.ones(2), np.ones(3)]), "E-OP-004"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], code: str) -> None:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code and "test_neural.py" in str(caught.value)

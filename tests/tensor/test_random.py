"""Random numbers: the same from every machine, distributed as they should be, anew by key."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, factorial, pi, sqrt
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError

COUNT = 50_000


def distance(sample: np.ndarray, share_below: Callable[[np.ndarray], np.ndarray]) -> float:
    """Kolmogorov and Smirnov's: the most that the sample's distribution is off, times sqrt(n)."""
    x = np.sort(sample.astype(np.float64).reshape(-1))
    share = share_below(x)
    steps = np.arange(x.size + 1) / x.size
    off = max(np.abs(share - steps[:-1]).max(), np.abs(share - steps[1:]).max())
    return float(off * sqrt(x.size))


def normal_below(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.vectorize(erf)(x / sqrt(2)))


def truncated_below(x: np.ndarray) -> np.ndarray:
    low = normal_below(np.array(-2.0))
    return (normal_below(x) - low) / (1 - 2 * low)


def erlang_below(k: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: 1 - sum(np.exp(-x) * x**i / factorial(i) for i in range(k))


DISTRIBUTIONS: list[tuple[str, Any, Any, float, float]] = [
    ("uniform", lambda k: fl.random.uniform(COUNT, key=k), lambda x: x, 1 / 2, 1 / 12),
    (
        "uniform in limits", lambda k: fl.random.uniform(COUNT, -3, 5, key=k),
        lambda x: (x + 3) / 8, 1, 64 / 12,
    ),
    ("normal", lambda k: fl.random.standard_normal(COUNT, key=k), normal_below, 0, 1),
    (
        "normal of a mean", lambda k: fl.random.normal(COUNT, 3, 2, key=k),
        lambda x: normal_below((x - 3) / 2), 3, 4,
    ),
    (
        "truncated", lambda k: fl.random.truncated_normal(COUNT, key=k), truncated_below,
        0, 0.7737413,
    ),
    (
        "gumbel", lambda k: fl.random.gumbel(COUNT, key=k), lambda x: np.exp(-np.exp(-x)),
        0.5772157, pi**2 / 6,
    ),
    ("gamma 1", lambda k: fl.random.gamma(COUNT, 1.0, key=k), erlang_below(1), 1, 1),
    ("gamma 5", lambda k: fl.random.gamma(COUNT, 5.0, key=k), erlang_below(5), 5, 5),
    (
        "gamma 3 of a rate", lambda k: fl.random.gamma(COUNT, 3, 2, key=k),
        lambda x: erlang_below(3)(2 * x), 1.5, 0.75,
    ),
    (
        "gamma 1/2", lambda k: fl.random.gamma(COUNT, 0.5, key=k),
        lambda x: np.vectorize(erf)(np.sqrt(x)), 0.5, 0.5,
    ),
]  # fmt: skip
NAMES = [d[0] for d in DISTRIBUTIONS]


@pytest.mark.parametrize(("name", "draw", "below", "mean", "variance"), DISTRIBUTIONS, ids=NAMES)
def test_numbers_are_distributed_as_they_should_be(
    name: str, draw: Any, below: Any, mean: float, variance: float
) -> None:
    x = draw(fl.random.key(1234)).numpy()
    assert x.dtype == np.float32 and x.shape == (COUNT,)
    assert distance(x, below) < 1.63  # one in a hundred would be further off
    assert abs(x.mean() - mean) < 4 * sqrt(variance / COUNT)
    assert abs(x.var() / variance - 1) < 0.05


@pytest.mark.parametrize(("name", "draw", "below", "mean", "variance"), DISTRIBUTIONS, ids=NAMES)
def test_compiled_functions_draw_the_same(
    name: str, draw: Any, below: Any, mean: float, variance: float
) -> None:
    drawn = fl.jit(lambda k: draw(k)[:999])
    for seed in (0, 5):
        key = fl.random.key(seed)
        eager = draw(key)[:999].numpy()
        compiled = drawn(key).numpy()
        if name.startswith("uniform"):
            assert eager.tobytes() == compiled.tobytes()
        else:
            np.testing.assert_allclose(compiled, eager, rtol=2e-5, atol=2e-5)
    assert not np.array_equal(drawn(fl.random.key(1)).numpy(), compiled)


WHOLE = {
    "bits": lambda k: fl.random.bits((3, 333), key=k),
    "uniform_int": lambda k: fl.random.uniform_int((999,), -7, 1000, key=k),
    "uniform_int of all": lambda k: fl.random.uniform_int((999,), -(2**31), 2**31, key=k),
    "uniform_int of most": lambda k: fl.random.uniform_int((999,), -(2**31), 2**31 - 1, key=k),
    "bernoulli": lambda k: fl.random.bernoulli((999,), 0.3, key=k),
    "permutation": lambda k: fl.random.permutation(999, key=k),
    "shuffle": lambda k: fl.random.shuffle(fl.reshape(fl.range(999), (3, 333)), 1, key=k),
    "split": lambda k: fl.random.split(k, 7),
    "fold_in": lambda k: fl.random.fold_in(k, 12),
    "dropout": lambda k: fl.dropout(fl.ones((999,)), 0.25, key=k),
}


@pytest.mark.parametrize("name", WHOLE)
def test_compiled_functions_draw_the_same_bits(name: str) -> None:
    key = fl.random.key(2**63 + 11)
    eager, compiled = WHOLE[name](key).numpy(), fl.jit(WHOLE[name])(key).numpy()
    assert eager.dtype == compiled.dtype and eager.shape == compiled.shape
    assert eager.tobytes() == compiled.tobytes()


def test_whole_numbers_have_equal_chances() -> None:
    x = fl.random.uniform_int(COUNT, -2, 5, seed=3).numpy()
    counts = np.bincount(x + 2, minlength=7)
    assert counts.size == 7
    expected = COUNT / 7
    assert ((counts - expected) ** 2 / expected).sum() < 16.8  # chi squared, 6 degrees, 1 %
    large = fl.random.uniform_int(COUNT, -(2**31), 2**31 - 1, seed=4).numpy()
    assert distance((large.astype(np.float64) + 2**31) / 2**32, lambda x: x) < 1.63
    # The upper word of the product, to the bit.
    drawn = fl.random.bits(1000, seed=9).numpy().view(np.uint32).astype(object)
    for low, high in ((0, 10), (-100, 65536), (0, 2**31 - 1), (-(2**31), 12345)):
        wanted = [(int(b) * (high - low) >> 32) + low for b in drawn]
        assert fl.random.uniform_int(1000, low, high, seed=9).tolist() == wanted


def test_uniform_numbers_stay_in_their_limits() -> None:
    x = fl.random.uniform(2_000_00, seed=1).numpy()
    assert 0 <= x.min() and x.max() < 1
    assert np.array_equal(x * 2**24, np.floor(x * 2**24))
    narrow = fl.random.uniform(10_000, 1.0, float(np.nextafter(np.float32(1), 2)), seed=1).numpy()
    assert (narrow == 1).all()
    assert (fl.random.uniform(5, 2, 2, seed=1).numpy() == 2).all()
    limits = fl.random.uniform((3, 1000), fl.tensor([[0.0], [5.0], [-1.0]]), 6.0, seed=2).numpy()
    assert (limits.min(axis=1) >= [0, 5, -1]).all() and limits.max() <= 6


def test_truncated_numbers_stay_in_their_bound() -> None:
    for bound in (2.0, 0.5):
        x = fl.random.truncated_normal(COUNT, 0, 1, bound=bound, seed=7).numpy()
        assert bound * 0.999 < np.abs(x).max() <= bound


def test_shares_and_classes() -> None:
    p = fl.random.bernoulli((COUNT, 2), fl.tensor([0.1, 0.7]), seed=5)
    assert p.dtype == "bool"
    assert np.allclose(p.numpy().mean(axis=0), [0.1, 0.7], atol=0.01)
    chances = np.float32([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    drawn = fl.multinomial(chances, 20_000, normalized=True, seed=6)
    assert drawn.dtype == "int32" and drawn.shape == (2, 20_000)
    shares = [np.bincount(row, minlength=3) / 20_000 for row in drawn.numpy()]
    np.testing.assert_allclose(shares, chances, atol=0.012)
    assert fl.random.categorical([0.0, 100.0], 4, seed=1).tolist() == [1, 1, 1, 1]


def test_orders_are_permutations_of_equal_chances() -> None:
    orders = [tuple(fl.random.permutation(3, seed=s).tolist()) for s in range(600)]
    found, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(found) == 6
    assert ((counts - 100.0) ** 2 / 100).sum() < 15.1  # chi squared, 5 degrees, 1 %
    x = fl.reshape(fl.range(12), (3, 4))
    y = fl.random.shuffle(x, seed=2)
    assert sorted(map(tuple, y.tolist())) == sorted(map(tuple, x.tolist()))


def test_keys_give_keys() -> None:
    key = fl.random.key(9)
    assert fl.random.key(2**32 + 5).tolist() == [1, 5]
    assert fl.random.key(-1).tolist() == [-1, -1]
    a, b = fl.random.split(key)
    steps = [fl.random.fold_in(key, n) for n in range(100)]
    assert len({tuple(k.tolist()) for k in (key, a, b, *steps)}) == 103
    x, y = (fl.random.uniform(COUNT, key=k).numpy() for k in (a, b))
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / sqrt(COUNT)


def test_without_a_seed_the_numbers_are_new() -> None:
    assert fl.random.uniform(8).tolist() != fl.random.uniform(8).tolist()
    assert fl.random_uniform((8,), seed=1).tolist() == fl.random_uniform((8,), seed=1).tolist()
    assert fl.rand((2, 3), seed=1).shape == (2, 3)


def test_a_traced_function_wants_a_key() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-020") as caught:
        fl.jit(lambda x: x + fl.random.uniform(3))(fl.ones(3))
    assert "fl.random.key" in str(caught.value) and "test_random.py" in str(caught.value)
    noisy = fl.jit(lambda x, key: x + fl.random.normal(3, key=key))
    a, b = (noisy(fl.ones(3), fl.random.key(s)).tolist() for s in (1, 2))
    assert a != b
    for size in (5, 300_000):  # folded into a weight; too large for that
        fixed = fl.jit(lambda x: x + fl.random.uniform(x.shape, seed=1))
        assert fixed(fl.zeros(size)).tolist() == fl.random.uniform(size, seed=1).tolist()


@pytest.mark.parametrize(
    "host", ["wasm", "wasm-plain", pytest.param("browser", marks=pytest.mark.chromium)]
)
def test_a_built_function_is_random_by_its_key(host: Any, tmp_path: Any) -> None:
    def noise(key: fl.Tensor) -> dict[str, fl.Tensor]:
        a, b, c = fl.unstack(fl.random.split(key, 3))
        return {
            "numbers": fl.random.uniform((5, 7), -1, 3, key=a),
            "whole": fl.random.uniform_int(9, 0, 1000, key=b),
            "order": fl.random.permutation(33, key=c),
            "normal": fl.random.normal(65, key=a),
        }

    bundle = fl.build(noise, tmp_path / "noise", inputs={"key": fl.spec(2, "int32")})
    for seed in (1, 2**40 + 2):
        key = fl.random.key(seed)
        found, wanted = bundle.run({"key": key.numpy()}, host=host), noise(key)
        for name in ("numbers", "whole", "order"):
            assert found[name].tobytes() == wanted[name].numpy().tobytes()
        np.testing.assert_allclose(found["normal"], wanted["normal"].numpy(), atol=1e-5)


def test_dropout() -> None:
    x = fl.ones((200, 50))
    y = fl.dropout(x, 0.25, seed=8).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    rows = fl.dropout(x, 0.5, (200, 1), seed=8).numpy()
    assert (rows == rows[:, :1]).all() and 0.35 < (rows == 0).mean() < 0.65
    assert fl.dropout(x, 0) is x
    key = fl.random.key(8)
    slope = fl.grad(lambda x: fl.sum(fl.dropout(x, 0.25, key=key)))(x).numpy()
    assert np.array_equal(slope, y)
    assert fl.dropout([np.inf, -np.inf] * 20, 0.5, seed=1).numpy().tolist().count(0) > 5


def test_gradients_pass_the_parameters() -> None:
    key = fl.random.key(3)
    z = fl.random.standard_normal(10, key=key).numpy()
    by = fl.grad(lambda m, s: fl.sum(fl.random.normal(10, m, s, key=key)), (0, 1))
    mean, stddev = by(fl.scalar(1.0), fl.scalar(2.0))
    assert mean.item() == 10 and abs(stddev.item() - z.sum()) < 1e-5
    alpha = fl.grad(lambda a: fl.sum(fl.random.gamma(4, a, key=key)))(fl.scalar(2.0))
    assert alpha.item() == 0


@pytest.mark.parametrize(
    ("call", "code", "word"),
    [
        (lambda: fl.random.key(1.5), "E-OP-005", "seed"),
        (lambda: fl.random.uniform(3, key=fl.random.key(1), seed=1), "E-OP-005", "seed"),
        (lambda: fl.random.uniform(3, key=[1, 2, 3]), "E-OP-004", "key"),
        (lambda: fl.random.uniform(3, key=[1.0, 2.0]), "E-OP-003", "key"),
        (lambda: fl.random.uniform(-3, seed=1), "E-TENSOR-006", "shape"),
        (lambda: fl.random.uniform(3, 2, 1, seed=1), "E-OP-005", "high"),
        (lambda: fl.random.uniform(3, 0, float("inf"), seed=1), "E-OP-005", "high"),
        (lambda: fl.random.uniform_int(3, 5, 5, seed=1), "E-OP-005", "high"),
        (lambda: fl.random.uniform_int(3, 0, 2**31 + 1, seed=1), "E-OP-005", "high"),
        (lambda: fl.random.uniform_int(3, 0, 1.5, seed=1), "E-OP-005", "high"),
        (lambda: fl.random.gamma(3, 0.0, seed=1), "E-OP-005", "alpha"),
        (lambda: fl.random.gamma(3, 1.0, -1.0, seed=1), "E-OP-005", "beta"),
        (lambda: fl.random.truncated_normal(3, bound=0, seed=1), "E-OP-005", "bound"),
        (lambda: fl.random.categorical(1.0, seed=1), "E-OP-004", "logits"),
        (lambda: fl.random.categorical(fl.zeros((3, 0)), seed=1), "E-OP-004", "logits"),
        (lambda: fl.dropout([1.0], 1.0, seed=1), "E-OP-005", "rate"),
        (lambda: fl.random.fold_in([1], 2), "E-OP-004", "[2]"),
    ],
)
def test_what_they_refuse(call: Any, code: str, word: str) -> None:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code
    assert word in str(caught.value) and "test_random.py" in str(caught.value)


def test_bits_of_numbers_and_of_truth_values() -> None:
    a, b = fl.tensor([12, -1]), fl.tensor([10, 6])
    assert fl.bitwise_and(a, b).tolist() == [8, 6]
    assert fl.bitwise_or(a, b).tolist() == [14, -1]
    assert fl.bitwise_xor(a, 1).tolist() == [13, -2]
    assert fl.invert(a).tolist() == fl.bitwise_not(a).tolist() == [-13, 0]
    assert fl.left_shift(a, 2).tolist() == [48, -4]
    assert fl.right_shift(a, 2).tolist() == [3, -1]
    assert fl.right_shift(a, 28, logical=True).tolist() == [0, 15]
    p, q = fl.tensor([True, True]), fl.tensor([True, False])
    assert fl.bitwise_and(p, q).tolist() == [True, False]
    assert fl.bitwise_or(p, q).tolist() == [True, True]
    assert fl.bitwise_xor(p, q).tolist() == [False, True]
    assert fl.invert(q).tolist() == [False, True]
    with pytest.raises(FanlightError, match="E-OP-003"):
        fl.bitwise_and(1.5, a)
    with pytest.raises(FanlightError, match="E-OP-003"):
        fl.left_shift(a, 0.5)
    every = (fl.bitwise_and, fl.bitwise_or, fl.bitwise_xor, fl.left_shift, fl.right_shift)
    both = fl.jit(lambda a, b: [f(a, b) for f in every])(a, b)
    assert [x.tolist() for x in both] == [f(a, b).tolist() for f in every]

"""Functions of tensors whose sizes are free up to a bound: traced, evaluated, and built."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.graph import evaluate, parse, size_formulas, to_text
from fanlight.graph.generalize import sample_sizes
from fanlight.ops.types import Dim
from fanlight.tensor.tape import flatten
from fanlight.tensor.trace import trace

RNG = np.random.default_rng(7)


def some(*shape: int) -> Any:
    return fl.tensor(RNG.standard_normal(shape).astype(np.float32))


W, B, KERNEL, DENSE = some(4, 3), some(3), some(3, 3, 2, 4), some(6 * 6 * 4, 3)
ROWS = ("batch", 4)


def dense(x: Any) -> Any:
    return fl.softmax(fl.relu(x @ W + B))


def convolution(x: Any) -> Any:
    return fl.relu(fl.conv2d(x, KERNEL, 1, "same")).reshape((x.shape[0], -1)) @ DENSE


def standardised(x: Any) -> Any:
    m = fl.mean(x, 0, keepdims=True)
    return (x - m) / fl.sqrt(fl.mean(fl.square(x - m), 0, keepdims=True) + 1e-5)


def through_it(x: Any) -> Any:
    return fl.grad(lambda x: fl.sum(fl.square(standardised(x)) * x))(x)


def regression(w: Any, x: Any, y: Any) -> Any:
    def loss(w: Any) -> Any:
        return fl.mean(fl.log1p(fl.exp(-y * (x @ w))))

    value, slope = fl.value_and_grad(loss)(w)
    return {"loss": value, "w": w - 0.1 * slope}


def newton(w: Any, x: Any, y: Any) -> Any:
    slope = fl.grad(lambda w: fl.mean(fl.square(x @ w - y)))(w)
    curve = 2.0 * (x.T @ x) / x.shape[0] + 0.1 * fl.eye(4)
    return w - fl.linalg.solve(curve, slope.reshape((4, 1))).reshape((4,))


def distances(x: Any) -> Any:
    return fl.sum(fl.square(x[:, None, :] - x[None, :, :]), -1)


def attention(x: Any) -> Any:
    return fl.scaled_dot_product_attention(x, x, x)


def moments(x: Any) -> Any:
    mean, variance = fl.moments(x, 0)
    return {
        "mean": mean,
        "variance": variance,
        "more": variance * x.shape[0] / (x.shape[0] + 1),
    }


def ends(x: Any) -> Any:
    return {"last": x[-1], "back": x[::-1], "columns": x[:, ::-2], "first": x[0]}


def made_inside(x: Any) -> Any:
    n = x.shape[0]
    return x * fl.zeros((n, 4)) + fl.eye(n) @ x + fl.range(n).cast("float32").reshape((n, 1)) / 3


def examples(x: Any) -> Any:
    return fl.vmap(lambda row: fl.sum(row * row) * row)(x)


def branches(x: Any) -> Any:
    slope = fl.grad(lambda x: fl.mean(fl.square(x)))
    return fl.cond(fl.sum(x) > 0, lambda: slope(x) + fl.mean(x), lambda: x - fl.max(x, 0))


def turns(x: Any) -> Any:
    start = (fl.scalar(0, "int32"), x)
    return fl.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] - fl.mean(s[1])), start)[1]


def smoothed(x: Any) -> Any:
    state, ys = fl.scan(lambda c, row: (0.5 * c + row, c), fl.zeros((4,)), x)
    return {"state": state, "ys": ys}


def smoothed_back(x: Any) -> Any:
    return fl.scan(lambda c, row: (0.5 * c + row, c), fl.zeros((4,)), x, reverse=True)


def noisy(x: Any) -> Any:
    return x + fl.random.normal(x.shape, key=fl.random.key(3))


def looked_up(i: Any) -> Any:
    return {"hot": fl.one_hot(i, 5), "row": fl.gather(some_table, i)}


some_table = some(5, 2)
Inputs = Mapping[str, tuple[Any, ...]]
FUNCTIONS: list[tuple[Callable[..., Any], Inputs]] = [
    *((f, {"x": ROWS}) for f in (dense, standardised, through_it, distances, moments, ends)),
    *((f, {"x": ROWS}) for f in (made_inside, examples, branches, turns, smoothed, noisy)),
    (smoothed_back, {"x": ROWS}),
    (convolution, {"x": ("batch", 6, 6, 2)}),
    *((f, {"w": (4,), "x": ROWS, "y": ("batch",)}) for f in (regression, newton)),
    (attention, {"x": ("batch", "length", 4)}),
    (looked_up, {"i": ("batch",)}),
]
BOUNDS = {"batch": 9, "length": 7}


def arrays(inputs: Inputs, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(sum(sizes.values()))
    made = {}
    for name, shape in inputs.items():
        known = [sizes[d] if isinstance(d, str) else d for d in shape]
        made[name] = rng.standard_normal(known).astype(np.float32)
        if name == "i":
            made[name] = rng.integers(0, 5, known).astype(np.int32)
    return made


def specs(inputs: Inputs) -> tuple[dict[str, Any], dict[str, int]]:
    used = {d for s in inputs.values() for d in s if isinstance(d, str)}
    kinds = {n: fl.spec(s, "int32" if n == "i" else "float32") for n, s in inputs.items()}
    return kinds, {n: BOUNDS[n] for n in used}


@pytest.mark.parametrize(("fn", "inputs"), FUNCTIONS, ids=lambda v: getattr(v, "__name__", ""))
def test_built_for_any_size(fn: Callable[..., Any], inputs: Inputs, tmp_path: Path) -> None:
    """NumPy, WebAssembly with and without relaxed SIMD, and the graph of the bundle on disk."""
    kinds, dims = specs(inputs)
    out = tmp_path / "out"
    with fl.build(fn, out, inputs=kinds, dims=dims) as bundle, fl.open_bundle(out) as disk:
        assert parse(to_text(bundle.graph), weights_of(bundle.graph)).inputs[0].type
        for batch, length in ((9, 7), (1, 1), (4, 7), (2, 3)):
            given = arrays(inputs, {"batch": batch, "length": length})
            made = fn(**{n: fl.tensor(a) for n, a in given.items()})
            # Outputs keep the order of the function's own keys.
            expected = list(made.values()) if isinstance(made, dict) else flatten(made)[0]
            runs = [bundle.run(given, host=h) for h in ("numpy", "wasm", "wasm-plain")]
            for results in (*runs, disk.run(given, host="numpy")):
                for value, reference in zip(results.values(), expected, strict=True):
                    assert value.shape == reference.shape
                    scale = max(1.0, float(np.abs(reference.numpy()).max()))
                    worst = float(np.abs(value - reference.numpy()).max())
                    assert worst <= 2e-5 * scale, (fn.__name__, batch, worst)


def weights_of(graph: Any) -> dict[str, np.ndarray]:
    return {v.name: a for v, a in graph.weights.items()}


def test_sizes_are_read_when_it_runs() -> None:
    graph = trace(lambda x: fl.sum(x) / x.shape[0], {"x": fl.spec(ROWS)}, dims={"batch": 8})
    assert str(graph.inputs[0].type) == "f32[batch<=8, 4]"
    x = np.ones((5, 4), np.float32)
    assert evaluate(graph, {"x": x})["output"] == 4
    assert "dim_size" in str(graph)


def test_dims_say_bounds() -> None:
    def shape(*dims: Any, **bounds: Any) -> str:
        graph = trace(lambda x: x * 2, {"x": fl.spec(dims)}, dims=bounds or None)
        return str(graph.inputs[0].type)

    assert shape("n", 3, n=8) == "f32[n<=8, 3]"
    assert shape("n", 3, n=(2, 8)) == "f32[2<=n<=8, 3]"
    assert shape(fl.Dim("n", 8), "m", m=3) == "f32[n<=8, m<=3]"
    assert shape("n", 3, n=1) == "f32[1, 3]"


# --- what cannot be -------------------------------------------------------------------------------


def branching(x: Any) -> Any:
    return x * 2 if x.shape[0] > 5 else x


def looping(x: Any) -> Any:
    total = x[0]
    for k in range(1, x.shape[0]):
        total = total + x[k]
    return total


def flattened(x: Any) -> Any:
    return x.T.reshape((-1,))


def shortened(x: Any) -> Any:
    return x[1:]


def doubled(x: Any) -> Any:
    return fl.concat([x, x], 0)


def spaced(x: Any) -> Any:
    return x * fl.linspace(0, 1, x.shape[0]).reshape((-1, 1))


def logarithm(x: Any) -> Any:
    return x * float(np.log(x.shape[0]))


def fixed(x: Any) -> Any:
    return x + fl.ones((9, 4))


def fifth(x: Any) -> Any:
    return x[4]


def from_end(x: Any) -> Any:
    return x[-3]


@pytest.mark.parametrize(
    ("fn", "code", "words"),
    [
        (branching, "E-TENSOR-017", "other ops"),
        (looping, "E-TENSOR-017", "number of ops"),
        (flattened, "E-OP-007", "merged"),
        (shortened, "E-OP-007", "dim 0 of the result"),
        (doubled, "E-OP-007", "neither a number nor batch"),
        (spaced, "E-TENSOR-017", "in a way that is not known"),
        (logarithm, "E-TENSOR-017", "batch = 9; batch ="),
        (fixed, "E-OP-004", "traced with batch ="),
        (fifth, "E-TENSOR-007", "traced with batch ="),
        (from_end, "E-TENSOR-007", "traced with batch ="),
    ],
)
def test_what_depends_on_a_size_otherwise(fn: Any, code: str, words: str) -> None:
    with pytest.raises(FanlightError) as caught:
        trace(fn, {"x": fl.spec(ROWS)}, dims={"batch": 9})
    assert caught.value.code == code, str(caught.value)
    assert words in str(caught.value), str(caught.value)


def test_a_least_size_helps() -> None:
    for fn, least in ((fifth, 5), (from_end, 3)):
        graph = trace(fn, {"x": fl.spec(ROWS)}, dims={"batch": (least, 9)})
        for n in (least, 9):
            x = RNG.standard_normal((n, 4)).astype(np.float32)
            np.testing.assert_array_equal(evaluate(graph, {"x": x})["output"], fn(x))


@pytest.mark.parametrize(
    ("shape", "dims", "word"),
    [
        (("batch", 3), {}, "no bound"),
        (("batch", 3), {"batch": 0}, "greatest size"),
        (("batch", 3), {"batch": (5, 2)}, "greatest size"),
        (("batch", 3), {"batch": 2**31}, "greatest size"),
        (("batch", 3), {"batch": "many"}, "greatest size"),
        (("batch", 3), {"batch": 4, "other": 5}, "'other'"),
        ((fl.Dim("batch", 3), 3), {"batch": 4}, "batch<=3"),
        ((3,), {"batch": 4}, "'batch'"),
    ],
)
def test_bounds_that_are_wrong(shape: Any, dims: Any, word: str) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-006") as caught:
        trace(lambda x: x, {"x": fl.spec(shape)}, dims=dims)
    assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "shape",
    [("a b", 3), ("", 3), (-1, 3), (None, 3), (1.5,), (fl.Dim("b", 4, 0),), (fl.Dim("b", 2, 3),)],
)
def test_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-006"):
        fl.spec(shape)


def test_what_no_memory_holds() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-014"):
        trace(lambda x: x, {"x": fl.spec(("b", "c"))}, dims={"b": 10**6, "c": 10**6})


def test_inputs_that_do_not_fit(tmp_path: Path) -> None:
    def both(x: Any, y: Any) -> Any:
        return x + y

    kinds = {"x": fl.spec(ROWS), "y": fl.spec(ROWS)}
    with fl.build(both, tmp_path / "o", inputs=kinds, dims={"batch": (2, 5)}) as bundle:
        for host in ("numpy", "wasm"):
            for m, n in ((6, 6), (1, 1), (3, 4), (0, 0)):
                given = {"x": np.zeros((m, 4), np.float32), "y": np.zeros((n, 4), np.float32)}
                with pytest.raises(FanlightError, match="E-INPUT-004") as caught:
                    bundle.run(given, host=host)
                assert "batch" in str(caught.value) and "2 to 5" in str(caught.value)
            with pytest.raises(FanlightError, match="E-INPUT-002"):
                bundle.run({"x": np.zeros((3, 5), np.float32), "y": given["y"]}, host=host)


def test_dims_are_of_functions() -> None:
    graph = trace(lambda x: x * 2, {"x": fl.spec((3,))})
    with pytest.raises(FanlightError, match="E-BUILD-005"):
        fl.build(graph, "nowhere", dims={"batch": 4})


# --- numbers --------------------------------------------------------------------------------------

BOUNDED = st.tuples(st.integers(2, 300), st.integers(1, 300)).map(lambda b: (min(b), max(*b, 2)))


@given(st.lists(BOUNDED, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_samples_tell_symbols_apart(bounds: list[tuple[int, int]]) -> None:
    """By their sizes, and by the numbers that follow them."""
    symbols = [Dim("abc"[k], most, least) for k, (least, most) in enumerate(bounds)]
    samples = sample_sizes(symbols)
    assert samples[0] == {d.name: d.max for d in symbols}
    columns = {d.name: tuple(s[d.name] for s in samples) for d in symbols}
    assert len(set(columns.values())) == len(symbols)
    for d in symbols:
        assert all(n >= max(2, d.min) for n in columns[d.name])
        if d.max > max(d.min, 2):
            assert max(columns[d.name]) == d.max and len(set(columns[d.name])) > 1
            over = [np.asarray(1 / n, np.float32) for n in columns[d.name]]
            formula = size_formulas.find(samples, over)
            assert formula is not None
            for n in (d.min, d.max):
                others = {o.name: o.min for o in symbols}
                assert abs(formula.at({**others, d.name: n}) * n - 1) < 1e-5


@given(
    st.integers(5, 3000),
    st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9)),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_formulas_are_found(most: int, terms: tuple[int, int, int], whole: bool) -> None:
    samples = sample_sizes([Dim("n", most)])
    a, b, c = terms

    def at(n: int) -> np.ndarray:
        value = a + b * n + (0 if whole else c / n)
        return np.asarray(value, np.int32 if whole else np.float32)

    numbers = [at(s["n"]) for s in samples]
    if len({x.item() for x in numbers}) == 1:
        return  # no size matters
    formula = size_formulas.find(samples, numbers)
    assert formula is not None
    for n in (1, 2, most // 2 + 1, most):
        scale = max(abs(float(at(n))), 1e-3)
        assert abs(float(formula.at({"n": n})) - float(at(n))) <= 1e-4 * scale, formula


OTHER: dict[str, Callable[[int], float]] = {
    "log": np.log,
    "third root": lambda n: n ** (1 / 3),
    "square": lambda n: n * n + n,
    "inverse square": lambda n: 1 / (n * (n + 1)),
    "odd": lambda n: n % 2,
    "tens": lambda n: n // 10,
    "large": lambda n: n > 10,
    "power": lambda n: 0.9**n,
    "at most 3": lambda n: min(n, 3),
}


@pytest.mark.parametrize("f", OTHER.values(), ids=OTHER)
@pytest.mark.parametrize("most", [40, 1000, 4096, 1_000_000])
def test_other_functions_of_a_size_are_no_formulas(f: Any, most: int) -> None:
    samples = sample_sizes([Dim("n", most)])
    for kind in (np.float32, np.int32):
        if kind is np.int32 and f(most) >= 2**31:
            continue
        numbers = [np.asarray(kind(f(s["n"]))) for s in samples]
        formula = size_formulas.find(samples, numbers)
        if formula is not None:  # rounded to whole numbers it may be one
            for n in range(2, 40):
                assert abs(float(formula.at({"n": n})) - float(kind(f(n)))) < 1e-5, (n, formula)


def test_small_numbers_beside_large_ones() -> None:
    samples = sample_sizes([Dim("n", 9)])
    numbers = [np.float32([1e7, s["n"], 1 / s["n"], -1e9]) for s in samples]
    formula = size_formulas.find(samples, numbers)
    assert formula is not None
    np.testing.assert_allclose(formula.at({"n": 7}), [1e7, 7, 1 / 7, -1e9], rtol=1e-5)
    assert size_formulas.find(samples, [np.int32([2e7, s["n"] // 2]) for s in samples]) is None


# --- what a reader of all this tried --------------------------------------------------------------

TABLE = some(6, 3)
SMALL: list[tuple[Callable[..., Any], Inputs, dict[str, Any]]] = [
    (lambda x: fl.sum(x, 1) / x.shape[1], {"x": ("b", "t")}, {"b": 2, "t": 5}),
    (
        lambda x: fl.grad(lambda x: fl.sum(fl.square(fl.mean(x, 1))))(x),
        {"x": ("b", "t")},
        {"b": 12, "t": 16},
    ),
    (
        lambda x: fl.mean(x, 0) + fl.tensor([1e7, float(x.shape[0]), 1 / x.shape[0]]),
        {"x": ("b", 3)},
        {"b": 9},
    ),
    (
        lambda x: fl.scan(
            lambda s, row: (fl.tanh(s * 0.5 + row - fl.mean(row, 0)), s + row),
            fl.zeros(x.shape[1:]),
            x,
        )[1],
        {"x": ("t", "b", 3)},
        {"t": 6, "b": 5},
    ),
    (lambda x: x + TABLE[: x.shape[1]], {"x": ("b", "t", 3)}, {"b": 4, "t": 6}),
    (lambda x, p: x + p[: x.shape[1]], {"x": ("b", "t", 3), "p": (6, 3)}, {"b": 4, "t": 6}),
    (
        lambda x, k: fl.grad(lambda k: fl.sum(fl.square(fl.conv2d(x, k, 1, "same"))))(k),
        {"x": ("b", 6, 6, 2), "k": (3, 3, 2, 4)},
        {"b": 5},
    ),
    (
        lambda x: fl.grad(lambda x: fl.sum(fl.square(x[-1])) + fl.sum(x[0]))(x),
        {"x": ("b", 3)},
        {"b": 6},
    ),
    (
        lambda x: fl.grad(lambda x: fl.sum(fl.square(fl.gather(x, fl.tensor([0, 1, 1])))))(x),
        {"x": ("b", 3)},
        {"b": (2, 6)},
    ),
    (lambda x: fl.grad(lambda x: fl.mean(fl.square(x)))(x), {"x": ("b", "b")}, {"b": 6}),
    (
        lambda x: fl.grad(lambda x: fl.mean(fl.square(x)))(x),
        {"x": ("b", "h", "w")},
        {"b": 4, "h": 5, "w": 6},
    ),
    (
        lambda x: x + fl.cast(fl.range(x.shape[0]), "float32").reshape((-1, 1)) / x.shape[0],
        {"x": ("b", 3)},
        {"b": 6},
    ),
    (lambda x, i: x[fl.range(x.shape[0]), i], {"x": ("b", 3), "i": ("b",)}, {"b": 6}),
    (
        lambda e, i: fl.grad(lambda e: fl.sum(fl.square(fl.gather(e, i))))(e),
        {"e": (3, 5), "i": ("b", "t")},
        {"b": 4, "t": 6},
    ),
    (lambda x, i: fl.gather_nd(x, i), {"x": ("b", 3), "i": (4, 2)}, {"b": (3, 6)}),
    (lambda x: x * 2, {"x": ("constructor", 3)}, {"constructor": 6}),
    (lambda x: x * fl.linspace(0, 2, x.shape[0]), {"x": ("b",)}, {"b": (2, 12)}),
    (
        lambda a, b: fl.sum(a) + fl.sum(b) * (1 / b.shape[0]),
        {"a": ("a", 3), "b": ("b", 3)},
        {"a": 3, "b": 3},
    ),
    (
        lambda x, y: fl.matmul(x, y) + fl.zeros((x.shape[0], x.shape[1], y.shape[2])),
        {"x": ("a", "b", "c"), "y": ("a", "c", "b")},
        {"a": 64, "b": 3, "c": 3},
    ),
    (lambda x: x / fl.sqrt(float(x.shape[0])) + x.shape[0] ** -0.5, {"x": ("b", 3)}, {"b": 400}),
    (lambda x: fl.clip(x, -1 / x.shape[0], 0.5), {"x": ("b", 3)}, {"b": 6}),
]


@pytest.mark.parametrize(("fn", "inputs", "dims"), SMALL, ids=range(len(SMALL)))
def test_small_functions(
    fn: Callable[..., Any], inputs: Inputs, dims: dict[str, Any], tmp_path: Path
) -> None:
    kinds = {n: fl.spec(s, "int32" if n == "i" else "float32") for n, s in inputs.items()}
    ends = {n: b if isinstance(b, tuple) else (1, b) for n, b in dims.items()}
    with fl.build(fn, tmp_path / "out", inputs=kinds, dims=dims) as bundle:
        for turn in range(6):
            sizes = {
                n: high if turn == 0 else low if turn == 1 else int(RNG.integers(low, high + 1))
                for n, (low, high) in ends.items()
            }
            given = {}
            for name, shape in inputs.items():
                known = [sizes.get(d, d) for d in shape]
                given[name] = RNG.standard_normal(known).astype(np.float32)
                if name == "i":
                    given[name] = RNG.integers(0, 3, known).astype(np.int32)
            expected = fn(**{n: fl.tensor(a) for n, a in given.items()}).numpy()
            for host in ("numpy", "wasm"):
                made = bundle.run(given, host=host)["output"]
                np.testing.assert_allclose(made, expected, rtol=2e-5, atol=2e-5)


def test_turns_that_are_too_many_do_not_run(tmp_path: Path) -> None:
    """A loop in them might turn for ever: in new memory, padding is 0."""

    def doubled(c: Any, row: Any) -> Any:
        turned = fl.while_loop(lambda v: fl.sum(v) < 10, lambda v: v * 2, row)
        return c + fl.sum(turned), row

    def fn(x: Any) -> Any:
        return fl.scan(doubled, fl.scalar(0.0), x)[0]

    with fl.build(fn, tmp_path / "o", inputs={"x": fl.spec(("n", 2))}, dims={"n": 8}) as bundle:
        for n in (3, 8, 1):
            x = np.abs(RNG.standard_normal((n, 2)).astype(np.float32)) + 0.1
            np.testing.assert_allclose(bundle.run({"x": x})["output"], fn(x), rtol=1e-5)


def untaken(x: Any) -> Any:
    return fl.where(x > 1000.0, x / max(x.shape[0] - 1, 1), x)


def looped(x: Any) -> Any:
    turned = fl.while_loop(lambda v: fl.sum(v) < 1, lambda v: v + 1, fl.sum(x))
    return turned + fl.sum(x / max(x.shape[0] - 1, 1))


@pytest.mark.parametrize(
    ("fn", "inputs", "dims"),
    [
        (untaken, {"x": ("b", 3)}, {"b": 8}),
        (looped, {"x": ("b", 3)}, {"b": 8}),
        (lambda x: x * [1.0, 2.0][x.shape[0] == 10], {"x": ("b", 3)}, {"b": 14}),
        (
            lambda a, b: (fl.sum(a) + fl.sum(b)) * max(a.shape[0], b.shape[0]),
            {"a": ("a", 3), "b": ("b", 3)},
            {"a": 256, "b": 4},
        ),
        (
            lambda a, b: (fl.sum(a) + fl.sum(b)) * (b.shape[0] + a.shape[0] / 2),
            {"a": ("a", 3), "b": ("b", 3)},
            {"a": (4, 5), "b": 2},
        ),
        (lambda x: {f"o{x.shape[0]}": x}, {"x": ("b", 3)}, {"b": 8}),
    ],
)
def test_sizes_and_branches_that_samples_do_not_meet(fn: Any, inputs: Inputs, dims: Any) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-017"):
        trace(fn, {n: fl.spec(s) for n, s in inputs.items()}, dims=dims)


@pytest.mark.parametrize(
    ("fn", "dims"),
    [
        (lambda x: x * math.log(x.shape[0] + 1), {"b": 4096}),
        (lambda x: x * (1 / (x.shape[0] * (x.shape[0] - 1))), {"b": (2, 4096)}),
        (lambda x: x * 0.9 ** x.shape[0], {"b": 4096}),
        (lambda x: fl.sum(x) * min(x.shape[0], 3), {"b": 9}),
        (lambda x: fl.sum(fl.square(x - fl.mean(x, 0)), 0) / max(x.shape[0] - 1, 1), {"b": 9}),
        (lambda x: fl.sum(x) if x.shape[0] > 1 else fl.mean(x), {"b": 9}),
        (lambda x: x[:1] * max(x.shape[0], 2), {"b": 9}),
    ],
)
def test_what_a_size_does_is_not_guessed(fn: Callable[..., Any], dims: dict[str, Any]) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-017"):
        trace(fn, {"x": fl.spec(("b", 3))}, dims=dims)


def test_the_formula_is_that_of_all_sizes() -> None:
    """Of 2 and 3 alone it would be 2 n; with 1 it is 2.4 + 0.4 n^2."""

    def fn(x: Any) -> Any:
        return x * {3: 6.0, 2: 4.0, 1: 2.8}.get(x.shape[0], 2.4 + 0.4 * x.shape[0] ** 2)

    graph = trace(fn, {"x": fl.spec(("b", 2))}, dims={"b": 3})
    for n in (1, 2, 3):
        x = np.ones((n, 2), np.float32)
        np.testing.assert_allclose(evaluate(graph, {"x": x})["output"], fn(x), rtol=1e-6)


def test_products_of_sizes_do_not_overflow() -> None:
    def mean(x: Any, y: Any) -> Any:
        return fl.sum(x) * fl.sum(y) / (x.shape[0] * y.shape[0])

    kinds = {"x": fl.spec(("b",)), "y": fl.spec(("c",))}
    graph = trace(mean, kinds, dims={"b": 60_000, "c": 70_000})
    given = {"x": np.ones(60_000, np.float32), "y": np.ones(70_000, np.float32)}
    assert abs(evaluate(graph, given)["output"] - 1) < 1e-5
    with pytest.raises(FanlightError, match="E-TENSOR-001"):
        trace(
            lambda x, y: fl.sum(x) * fl.tensor(x.shape[0] * y.shape[0]),
            kinds,
            dims={"b": 50_000, "c": 84_000},
        )


def test_the_line_of_the_user_is_told() -> None:
    with pytest.raises(FanlightError) as caught:
        trace(doubled, {"x": fl.spec(ROWS)}, dims={"batch": 9})
    line = doubled.__code__.co_firstlineno + 1
    assert f"test_sizes.py:{line}" in str(caught.value)

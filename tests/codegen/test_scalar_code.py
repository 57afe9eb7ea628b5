"""Scalar expressions as SIMD: against float64, and against NumPy's meaning of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.codegen.wasm import scalar_code
from fanlight.codegen.wasm.module import Module
from fanlight.ops import scalar as sc

PAGES = 256
A, B = sc.arg(0), sc.arg(1)
SPECIAL = [0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3.4e38, -3.4e38, 1e-38, 88.7, -103.9]


def run(expr: sc.Expr, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The expression over arrays (a multiple of four long), computed by wasmtime."""
    count = arrays[0].size
    assert count % 4 == 0
    dtypes = ["bool" if a.dtype == bool else a.dtype.name for a in arrays]
    module = Module(PAGES)
    f = module.function("f", ("i32",) * (len(arrays) + 1), export=True)
    i = f.local("i32")
    args = f.locals(len(arrays), "v128")
    result = sc.infer(expr, dtypes)
    with f.range(i, 0, count * 4, 16):
        for local, pointer, dtype in zip(args, f.params, dtypes, strict=False):
            f.get(pointer).get(i).op("i32.add").load()
            if dtype == "bool":
                f.op("i32x4.neg")
            f.set(local)
        f.get(f.params[-1]).get(i).op("i32.add")
        scalar_code.emit(f, expr, args, dtypes)
        if result == "bool":
            f.op("i32x4.neg")
        f.store()
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(PAGES, None)))
    instance = wasmtime.Instance(store, wasmtime.Module(engine, module.encode()), [memory])
    pointers = [1024 + 4 * count * k for k in range(len(arrays) + 1)]
    for array, pointer in zip(arrays, pointers, strict=False):
        wide = array.astype(np.int32) if array.dtype == bool else array
        memory.write(store, wide.tobytes(), pointer)
    instance.exports(store)["f"](store, *pointers)
    data = memory.read(store, pointers[-1], pointers[-1] + 4 * count)
    raw = np.frombuffer(bytes(data), np.float32 if result == "float32" else np.int32)
    return raw.astype(bool) if result == "bool" else raw


def ulps(received: np.ndarray, exact: np.ndarray) -> float:
    """Largest error in units in the last place; NaN must stand where NaN stands."""
    assert np.array_equal(np.isnan(received), np.isnan(exact))
    finite = np.isfinite(exact) & (np.abs(exact) < 3.4e38)
    assert np.array_equal(received[~finite], exact[~finite].astype(np.float32), equal_nan=True)
    spacing = np.spacing(np.maximum(np.abs(exact[finite]), 1e-45).astype(np.float32))
    return float(np.max(np.abs(received[finite] - exact[finite]) / spacing.astype(np.float64)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_exp_within_two_ulp() -> None:
    x = np.float32([*np.linspace(-110, 100, 40_000), *SPECIAL])
    assert ulps(run(sc.exp(A), [x]), np.exp(x.astype(np.float64))) <= 2


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_log_within_two_ulp() -> None:
    x = np.float32([*np.geomspace(1e-38, 3e38, 20_000), *np.linspace(0.5, 2, 20_000), *SPECIAL])
    assert ulps(run(sc.log(A), [x]), np.log(x.astype(np.float64))) <= 2


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine(name: str) -> None:
    x = np.linspace(-8000, 8000, 80_000, dtype=np.float32)
    exact = getattr(np, name)(x.astype(np.float64))
    assert np.abs(run(sc.make(name, A), [x]) - exact).max() <= 3e-7
    assert np.isnan(run(sc.make(name, A), [np.float32([np.inf, -np.inf, np.nan, np.nan])])).all()


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine_of_large_numbers(name: str) -> None:
    """Up to the largest float32, each lane by its own size; next to a multiple of pi / 2, too."""
    rng = np.random.default_rng(3)
    size = np.exp(rng.uniform(np.log(1e-3), np.log(3.4e38), 40_000))
    near = np.rint(rng.uniform(1, 1e7, 40_000)) * (np.pi / 2)
    x = np.concatenate([size * rng.choice([-1, 1], size.size), near]).astype(np.float32)
    x[:8] = [8192, -8192, 8192.001, 16367173.0 * 2**72, 3.4028235e38, -3.4028235e38, 1e30, 2.0**127]
    exact = getattr(np, name)(x.astype(np.float64))
    received = run(sc.make(name, A), [x])
    assert np.abs(received - exact).max() <= 3e-7
    small = np.abs(x) <= 8192
    alone = run(sc.make(name, A), [np.resize(x[small], small.size)])
    assert np.array_equal(received[small], alone[: small.sum()])  # whatever is beside it


def test_sine_and_cosine_of_one_angle_share_their_work() -> None:
    x = np.float32([*np.linspace(-8000, 8000, 4000), *np.geomspace(1e4, 3e38, 4000)])
    s, c, wide = sc.make("sin", A), sc.make("cos", A), x.astype(np.float64)
    for body in (s + 2.0 * c, c + 2.0 * s, c * s - s * c + c, sc.make("cos", s) + c):
        exact = sc.evaluate(body, [wide])
        assert np.abs(run(body, [x]) - exact).max() <= 1.5e-6
    module = Module(1)
    sizes = []
    for body in (s, s / c):
        f = module.function(str(body), ("v128",))
        scalar_code.emit(f, body, f.params, ["float32"])
        sizes.append(len(f.code))
    assert sizes[1] < 1.2 * sizes[0]


def test_integer_division_never_traps() -> None:
    low = -(2**31)
    x = np.int32([low, low, 7, -7, 7, -7, 0, 5])
    y = np.int32([-1, 0, 2, 2, -2, -2, 0, 0])
    wanted = np.int32([low, 0, 3, -3, -3, 3, 0, 0])
    assert np.array_equal(run(sc.make("div", A, B), [x, y]), wanted)


FLOATS = st.one_of(
    st.floats(width=32), st.sampled_from([0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 1e10, -1e10])
)
UNARY = ["neg", "abs", "sqrt", "floor", "ceil", "round", "trunc", "int32", "uint8", "bool"]
BINARY = ["add", "sub", "mul", "div", "min", "max", "lt", "le", "eq"]


@settings(max_examples=25)
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=4, max_size=4), st.data())
def test_exact_instructions_equal_numpy(
    pairs: list[tuple[float, float]], data: st.DataObject
) -> None:
    x, y = (np.float32(v) for v in zip(*pairs, strict=True))
    for expr in (
        sc.make(data.draw(st.sampled_from(UNARY)), A),
        sc.make(data.draw(st.sampled_from(BINARY)), A, B),
        sc.where(A <= B, A, B * 2),
        sc.cast(sc.logical_not(sc.logical_or(A < B, sc.equal(A, 1))), "float32"),
    ):
        expected = sc.evaluate(expr, [x, y])
        np.testing.assert_array_equal(run(expr, [x, y]), expected)


INTS = st.integers(-(2**31), 2**31 - 1) | st.integers(-40, 40)


@settings(max_examples=25)
@given(st.lists(st.tuples(INTS, INTS), min_size=4, max_size=4), st.sampled_from(sc.BITWISE))
def test_integer_instructions_equal_numpy(pairs: list[tuple[int, int]], op: str) -> None:
    x, y = (np.array(v, np.int32) for v in zip(*pairs, strict=True))
    expr = sc.make(op, A) if op == "bit_not" else sc.make(op, A, B)
    for body in (
        expr,
        sc.make("mul", expr, A) + 7,
        *([] if op == "bit_not" else [sc.make(op, A, 5)]),
    ):
        np.testing.assert_array_equal(run(body, [x, y]), sc.evaluate(body, [x, y]))


def test_the_meaning_of_shifts() -> None:
    x = np.int32([-8, 8, 1, -1])
    for op, count, wanted in (
        ("shr_s", 1, [-4, 4, 0, -1]),
        ("shr_u", 1, [2**31 - 4, 4, 0, 2**31 - 1]),
        ("shl", 31, [0, 0, -(2**31), -(2**31)]),
        ("shl", 33, [-16, 16, 2, -2]),  # of a count, five bits matter
    ):
        for by in (sc.const(count), B):
            expr = sc.make(op, A, by)
            counts = np.full(4, count, np.int32)
            assert sc.evaluate(expr, [x, counts]).tolist() == wanted
            assert run(expr, [x, counts]).tolist() == wanted


def test_shared_parts_are_computed_once() -> None:
    t = sc.exp(A)
    once, twice = Module(1), Module(1)
    for module, expr in ((once, t), (twice, t / (1 + t))):
        f = module.function("f", ())
        scalar_code.emit(f, expr, f.locals(1, "v128"), ["float32"]).drop()
    assert len(twice.encode()) < len(once.encode()) + 40


WHICH = sc.where(A < 0, 5, 2)  # whole numbers that adapt to what they meet, though not constant


@pytest.mark.parametrize(
    "expr",
    [
        WHICH,
        sc.where(A < 0, sc.where(A < -1, 0, 1), 2),
        WHICH + 1,
        WHICH * WHICH,
        WHICH + A,
        sc.where(A < 1, WHICH, A),
        sc.cast(WHICH, "float32") + WHICH,
        sc.equal(WHICH, 5),
        sc.equal(WHICH, 5 * A),
        sc.cast(WHICH, "bool"),
        sc.maximum(-WHICH, -3),
    ],
)
def test_choices_of_whole_constants(expr: sc.Expr) -> None:
    x = np.float32([-2, -1, 0.5, 1])
    found, expected = run(expr, [x]), sc.evaluate(expr, [x])
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()

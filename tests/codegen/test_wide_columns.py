"""Reductions over the outer dims of wide matrices, which keep their results so far in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fanlight.codegen.wasm.kernels.loop_forms import form, normalise, wide
from fanlight.codegen.wasm.kernels.loops import nests
from fanlight.graph import Builder, evaluate
from fanlight.jit import Program
from fanlight.ops.types import TensorType
from fanlight.targets import WASM_PLAIN
from tests.codegen.kernel_runner import run_op

RNG = np.random.default_rng(4)
CALLS: dict[str, Callable[..., np.ndarray]] = {
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
}
# Shape and reduced axes: with and without a partial vector, several units, several loops.
SHAPES = [
    ((4, 64), (0,)),
    ((5, 70), (0,)),
    ((17, 203), (0,)),
    ((3, 9, 130), (1,)),
    ((2, 5, 3, 66), (1, 2)),
    ((6, 2, 68), (0,)),
    ((7, 2, 5, 65), (0, 2)),
]


def numbers(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    if dtype == "int32":
        return RNG.integers(-9, 10, shape).astype(np.int32)
    return (RNG.random(shape) + 0.5).astype(np.float32)


@pytest.mark.parametrize("op", CALLS)
@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_over_outer_dims(op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    for dtype in ("float32", "int32") if op != "mean" else ("float32",):
        x = numbers(shape, dtype)
        (got,) = run_op(op, [x], axes=axes)
        wraps = op == "prod" and dtype == "int32"
        want = np.prod(x, axes, np.int32) if wraps else CALLS[op](x.astype(np.float64), axes)
        np.testing.assert_allclose(got, want, rtol=2e-6)


def test_these_are_wide_and_narrow_ones_are_not() -> None:
    def is_wide(*shape: int) -> bool:
        types = [TensorType(shape, "float32")]
        output = TensorType(shape[1:], "float32")
        (nest,) = nests("sum", types, output, {"axes": (0,), "keepdims": False})
        ready = normalise(nest)
        return form(ready) == "columns" and wide(ready)

    assert is_wide(5, 70)
    assert not is_wide(5, 40)
    assert not is_wide(1 << 15, 70)


def test_a_nan_reaches_its_own_column_only() -> None:
    for op in ("max", "min"):
        for row in range(9):
            x = numbers((9, 70))
            x[row, 5], x[row, 69], x[(row + 3) % 9, 8] = np.nan, np.nan, -np.inf
            (got,) = run_op(op, [x], axes=(0,))
            np.testing.assert_array_equal(got, CALLS[op](x, 0))
            (got,) = run_op(op, [x], axes=(1,))
            np.testing.assert_array_equal(got, CALLS[op](x, 1))


def test_with_what_is_computed_before_and_after() -> None:
    b = Builder("variance")
    x, w = b.input("x", (13, 90)), b.input("w", (13, 1))
    weighted = b.add("mul", b.add("square", x), w)
    y = b.add("mean", weighted, axes=(0,))
    graph = b.finish({"y": b.add("sqrt", y)})
    inputs = {"x": numbers((13, 90)), "w": numbers((13, 1))}
    (want,) = evaluate(graph, inputs).values()
    for target in (None, WASM_PLAIN):
        (got,) = Program(graph, target).run([inputs["x"], inputs["w"]])
        np.testing.assert_allclose(got, want, rtol=2e-6)


def test_a_long_sum_stays_exact() -> None:
    x = np.full((16384, 64), 0.1, np.float32)
    (got,) = run_op("sum", [x], axes=(0,))
    np.testing.assert_allclose(got, 16384 * np.float64(np.float32(0.1)), rtol=2e-5)

"""Products: pointwise convolutions, dense layers and matmul against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.codegen.kernel import packing_by_name, panels
from fanlight.codegen.wasm.kernels.epilogue import Epilogue
from fanlight.codegen.wasm.kernels.gemm import split, vector_width
from fanlight.errors import FanlightError
from fanlight.ops.types import TensorType
from fanlight.targets import WASM_PLAIN, WASM_RELAXED, Target
from tests.codegen.fused_runner import EPILOGUES, check, lowered
from tests.codegen.kernel_runner import TARGETS, run


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b, summed in float64."""
    return np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("rows", "k", "columns"),
    [
        (1, 1, 1),
        (1, 16, 32),
        (1, 33, 100),
        (1, 64, 7),
        (2, 8, 8),
        (5, 7, 9),
        (6, 4, 8),
        (7, 12, 12),
        (11, 3, 5),
        (13, 1, 2),
        (36, 30, 40),
        (37, 10, 3),
        (49, 64, 24),
        (59, 18, 17),
    ],
)
def test_matmul_with_constant(rows: int, k: int, columns: int, target: Target) -> None:
    a, b = data(rows, k), data(k, columns)
    check("matmul", [a, b], product(a, b), target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("rows", "k", "columns"), [(1, 40, 130), (1, 7, 64), (37, 24, 1), (5, 7, 1), (1, 16, 1)]
)
@pytest.mark.parametrize("epilogue", ["none", "residual"])
def test_matrices_by_vectors_that_are_computed(
    rows: int, k: int, columns: int, epilogue: str, target: Target
) -> None:
    a, b = data(rows, k), data(k, columns)
    check("matmul", [a, b], product(a, b), target, constant=False, epilogue=epilogue)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize(("rows", "columns"), [(1, 45), (8, 8), (13, 11)])
def test_epilogues(rows: int, columns: int, epilogue: str, target: Target) -> None:
    a, b = data(rows, 20), data(20, columns)
    check("matmul", [a, b], product(a, b), target, epilogue=epilogue)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("epilogue", ["none", "residual"])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5, 6), (6, 7)),
        ((1, 6), (6, 40)),
        ((3, 5, 6), (6, 7)),
        ((3, 5, 6), (3, 6, 9)),
        ((3, 5, 6), (1, 6, 8)),
        ((2, 1, 4, 6), (3, 6, 5)),
        ((4, 6), (2, 3, 6, 10)),
    ],
)
def test_matmul_of_two_results(
    left: tuple[int, ...], right: tuple[int, ...], epilogue: str, target: Target
) -> None:
    a, b = data(*left), data(*right)
    check("matmul", [a, b], product(a, b), target, epilogue=epilogue, constant=False)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("shape", [(1, 7, 7, 12), (1, 1, 1, 40), (2, 3, 5, 8), (1, 28, 28, 16)])
@pytest.mark.parametrize("columns", [8, 20, 33])
def test_pointwise(shape: tuple[int, ...], columns: int, target: Target) -> None:
    x, w = data(*shape), data(1, 1, shape[-1], columns)
    check("conv2d", [x, w], product(x, w[0, 0]), target, epilogue="bias relu6")


def test_blocks() -> None:
    """Left sides larger than a block, with panels that pass over every block."""
    for shape, columns in (((1, 96, 64, 32), 20), ((1, 40, 40, 256), 9)):
        x, w = data(*shape), data(1, 1, shape[-1], columns)
        check("conv2d", [x, w], product(x, w[0, 0]), WASM_RELAXED, epilogue="residual")


def test_weights_that_stream() -> None:
    a, b = data(49, 1024), data(1024, 72)
    check("matmul", [a, b], product(a, b), WASM_RELAXED)


def test_nan_and_infinity_pass_through() -> None:
    a, b = np.zeros((7, 4), np.float32), np.ones((4, 9), np.float32)
    a[2, 1], a[4, 0] = np.nan, np.inf
    made, kernel = lowered("matmul", [a, b], WASM_RELAXED)
    (result,) = run(kernel, WASM_RELAXED, [a, kernel.packing[1].pack(b)], [made.output.type])
    assert np.isnan(result[2]).all()
    assert np.isposinf(result[4]).all()
    assert (result[[0, 1, 3, 5, 6]] == 0).all()


@pytest.mark.parametrize("count", [1, 5, 6, 7, 13, 49, 196, 784])
def test_tiles_are_almost_equal(count: int) -> None:
    tiles, height, taller = split(count, 6)
    assert taller * (height + 1) + (tiles - taller) * height == count
    assert height + bool(taller) <= 6
    assert tiles == -(-count // 6)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize(("rows", "k"), [(1, 4), (2, 12), (3, 16), (25, 20), (50, 68)])
def test_few_columns(rows: int, k: int, columns: int, epilogue: str, target: Target) -> None:
    a, b = data(rows, k), data(k, columns)
    check("matmul", [a, b], product(a, b), target, epilogue=epilogue)


@pytest.mark.parametrize("columns", [1, 2, 4, 11, 20, 31, 32, 36, 50, 100, 1000])
def test_widths_of_a_vector_product(columns: int) -> None:
    width = vector_width(columns)
    padded = -(-columns // width) * width
    assert width % 4 == 0 and width <= 32
    assert padded - columns < 8 or padded < 1.05 * columns


@pytest.mark.parametrize("body", ["add(a0, a1)", "max(add(a1, a0), 0.0)", "mul(a2, add(a0, a1))"])
def test_sums_start_from_a_bias(body: str) -> None:
    index, rest = Epilogue(body, ("channel", "full")).started()
    assert index == 0
    assert "a1" not in rest.body


@pytest.mark.parametrize(
    "body",
    ["a0", "mul(a0, a1)", "add(a0, a2)", "add(a0, mul(a0, a1))", "add(a0, a0)", "add(a0, 1.0)"],
)
def test_sums_that_start_from_nothing(body: str) -> None:
    epilogue = Epilogue(body, ("channel", "full"))
    assert epilogue.started() == (None, epilogue)


def test_panels_pack_and_unpack() -> None:
    w = data(3, 3, 5, 13)
    packing = panels(8)
    packed = packing.pack(w)
    assert packed.shape == (2, 45, 8)
    assert packing.nbytes(TensorType(w.shape)) == packed.nbytes
    assert (packed[1, :, 5:] == 0).all()
    np.testing.assert_array_equal(packed[1, 7, :5], w.reshape(45, 13)[7, 8:])
    again = packing_by_name(packing.name).unpack(packed.reshape(-1), w.shape)
    np.testing.assert_array_equal(again, w)


def test_panels_of_two_dims() -> None:
    w = data(3, 3, 5, 2)
    packing = panels(4, 2)
    packed = packing.pack(w)
    assert packed.shape == (3, 9, 4)
    np.testing.assert_array_equal(packed[2, 4, :2], w[1, 1].reshape(-1)[8:])
    again = packing_by_name(packing.name).unpack(packed.reshape(-1), w.shape)
    np.testing.assert_array_equal(again, w)
    with pytest.raises(ValueError, match="no packing"):
        packing_by_name("panels(x)")


def test_an_extra_that_does_not_fit_is_refused() -> None:
    arrays = [data(4, 3), data(3, 5), data(4, 1)]
    with pytest.raises(FanlightError, match="epilogue reads") as caught:
        lowered("matmul", arrays, WASM_RELAXED, epilogue="add(a0, a1)")
    assert caught.value.code == "E-BUILD-001"


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("columns", [16, 17, 24, 27, 32, 41])
@pytest.mark.parametrize(("rows", "k"), [(2, 3), (6, 16), (25, 40), (50, 7)])
def test_the_wide_twin(rows: int, k: int, columns: int, epilogue: str) -> None:
    a, b = data(rows, k), data(k, columns)
    check("matmul", [a, b], product(a, b), WASM_RELAXED, epilogue=epilogue, twin="wide")


def test_only_wide_products_have_a_wide_twin() -> None:
    arrays = data(7, 5), data(5, 16)
    for target, constant, twins in (
        (WASM_RELAXED, True, {"wide"}),
        (WASM_RELAXED, False, set()),
        (WASM_PLAIN, True, set()),
    ):
        _, kernel = lowered("matmul", arrays, target, constant=constant)
        assert set(kernel.twins) == twins
    _, narrow = lowered("matmul", [data(7, 5), data(5, 15)], WASM_RELAXED)
    assert not narrow.twins


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_a_computed_right_side_is_gathered(epilogue: str, target: Target) -> None:
    a, b = data(31, 260), data(260, 60)  # seven panels and a half; shares of them
    check("matmul", [a, b], product(a, b), target, epilogue=epilogue, constant=False)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("columns", [8, 12, 20, 32, 36, 44, 33])
def test_gathered_panels_of_every_width(columns: int, target: Target) -> None:
    a, b = data(25, 1100), data(1100, columns)
    _, kernel = lowered("matmul", [a, b], target, constant=False)
    # 33 columns are no whole vectors: those rows are read where they lie. And 8 lie in a panel.
    assert bool(kernel.scratch) == (columns % 4 == 0 and columns != 8)
    if columns == 8:
        assert kernel.work >= 5  # threads share the rows
    for twin in (None, *kernel.twins):
        check("matmul", [a, b], product(a, b), target, constant=False, twin=twin)


@pytest.mark.parametrize("shape", [(4, 8, 8), (25, 8, 400), (24, 100, 7)])
def test_what_is_not_gathered(shape: tuple[int, int, int]) -> None:
    rows, k, columns = shape
    _, kernel = lowered("matmul", [data(rows, k), data(k, columns)], WASM_PLAIN, constant=False)
    assert not kernel.scratch

"""gather_nd, scatter_nd, search_sorted, scans and sort in WebAssembly against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen.kernel_runner import TARGETS, run_op

RNG = np.random.default_rng(5)


def numbers(shape: tuple[int, ...], dtype: str = "float32", low: int = -4) -> np.ndarray:
    """Few different values, so that there are ties; whole, so that sums are exact."""
    if dtype in ("bool", "uint8"):
        return RNG.integers(0, 2, shape).astype(dtype)
    return RNG.integers(low, 5, shape).astype(dtype)


def tuples(shape: tuple[int, ...], sizes: tuple[int, ...], beyond: int = 0) -> np.ndarray:
    """Tuples of indices, some of them up to `beyond` outside."""
    columns = [RNG.integers(-beyond, n + beyond, shape) for n in sizes]
    return np.stack(columns, -1).astype(np.int32) if columns else np.zeros((*shape, 0), np.int32)


# x, how many dims the tuples count, the shape of the tuples
SHAPES = [
    ((7,), 1, (5,)),
    ((4, 3), 1, (6,)),
    ((4, 3), 2, (2, 3)),
    ((3, 2, 5), 2, (4,)),
    ((2, 3, 4, 2), 3, (3, 1)),
    ((5, 300), 1, (4,)),
    ((3, 2, 37), 2, (9,)),
    ((3, 2), 0, (2,)),
    ((6, 2), 1, ()),
]


def gathered(x: np.ndarray, indices: np.ndarray, outside: str) -> np.ndarray:
    depth = indices.shape[-1]
    y = np.zeros((*indices.shape[:-1], *x.shape[depth:]), x.dtype)
    for at in np.ndindex(*indices.shape[:-1]):
        place = tuple(int(i) for i in indices[at])
        inside = all(0 <= i < n for i, n in zip(place, x.shape, strict=False))
        if inside or outside == "clip":
            y[at] = x[tuple(min(max(i, 0), n - 1) for i, n in zip(place, x.shape, strict=False))]
    return y


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
@pytest.mark.parametrize("outside", ["clip", "zero"])
@pytest.mark.parametrize(("shape", "depth", "wanted"), SHAPES)
def test_gather_nd(
    shape: tuple[int, ...], depth: int, wanted: tuple[int, ...], outside: str, dtype: str
) -> None:
    x = numbers(shape, dtype)
    indices = tuples(wanted, shape[:depth], 2)
    if indices.size:
        indices.flat[0] = -(2**31)
    (got,) = run_op("gather_nd", [x, indices], outside=outside)
    np.testing.assert_array_equal(got, gathered(x, indices, outside))


MEET: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "max": np.maximum,
    "min": np.minimum,
    "update": lambda a, b: b,
}


def scattered(x: np.ndarray, indices: np.ndarray, updates: np.ndarray, mode: str) -> np.ndarray:
    y = x.copy()
    for at in np.ndindex(*indices.shape[:-1]):
        place = tuple(int(i) for i in indices[at])
        if all(0 <= i < n for i, n in zip(place, x.shape, strict=False)):
            y[place] = MEET[mode](y[place], updates[at])
    return y


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("mode", list(MEET))
@pytest.mark.parametrize(("shape", "depth", "wanted"), SHAPES)
def test_scatter_nd(
    shape: tuple[int, ...], depth: int, wanted: tuple[int, ...], mode: str, dtype: str
) -> None:
    indices = tuples(wanted, shape[:depth], 1)
    updates = numbers((*wanted, *shape[depth:]), dtype)
    x = numbers(shape, dtype)
    for target in TARGETS:
        (got,) = run_op("scatter_nd", [indices, updates, x], target, mode=mode)
        np.testing.assert_array_equal(got, scattered(x, indices, updates, mode))
        for value in (0, -3):
            attrs = {"mode": mode, "shape": shape, "value": value}
            (got,) = run_op("scatter_nd", [indices, updates], target, **attrs)
            expected = scattered(np.full(shape, value, dtype), indices, updates, mode)
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_bytes_are_replaced(dtype: str) -> None:
    x, updates = numbers((5, 3), dtype), numbers((4, 3), dtype)
    indices = tuples((4,), (5,), 1)
    (got,) = run_op("scatter_nd", [indices, updates, x], mode="update")
    np.testing.assert_array_equal(got, scattered(x, indices, updates, "update"))
    attrs = {"mode": "update", "shape": (5, 3), "value": 1}
    (got,) = run_op("scatter_nd", [indices, updates], **attrs)
    expected = scattered(np.ones((5, 3), dtype), indices, updates, "update")
    np.testing.assert_array_equal(got, expected)


def test_scattering_nothing_and_special_values() -> None:
    none = np.zeros((0, 1), np.int32)
    (got,) = run_op("scatter_nd", [none, np.zeros((0, 3), np.float32)], shape=(2, 3), value=-np.inf)
    np.testing.assert_array_equal(got, np.full((2, 3), -np.inf))
    indices = np.int32([[0], [0], [1], [2**31 - 1], [-(2**31)]])
    updates = np.float32([np.nan, 1, np.inf, 7, 7])
    for mode, expected in (("max", [np.nan, np.inf, 0]), ("add", [np.nan, np.inf, 0])):
        (got,) = run_op("scatter_nd", [indices, updates], shape=(3,), mode=mode)
        np.testing.assert_array_equal(got, np.float32(expected))


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize(
    ("rows", "size", "count"), [((), 9, 7), ((), 0, 3), ((), 1, 4), ((2, 3), 12, 5), ((3,), 8, 1)]
)
def test_search_sorted(rows: tuple, size: int, count: int, right: bool, dtype: str) -> None:
    sequence = np.sort(numbers((*rows, size), dtype), axis=-1)
    values = numbers((*rows, count), dtype, -6)
    (got,) = run_op("search_sorted", [sequence, values], right=right)
    compare = np.less_equal if right else np.less
    expected = compare(sequence[..., None, :], values[..., :, None]).sum(-1)
    np.testing.assert_array_equal(got, expected)


def test_search_sorted_among_nan_and_infinities() -> None:
    sequence = np.float32([-np.inf, -0.0, 0.0, 2, np.inf, np.nan, np.nan])
    values = np.float32([-np.inf, 0.0, 1, np.inf, np.nan])
    for right in (False, True):
        (got,) = run_op("search_sorted", [sequence, values], right=right)
        side: Any = "right" if right else "left"
        np.testing.assert_array_equal(got, np.searchsorted(sequence, values, side))


def scanned(op: str, x: np.ndarray, axis: int, reverse: bool, exclusive: bool) -> np.ndarray:
    """One element after another."""
    x = np.moveaxis(x, axis, 0)
    y = np.zeros_like(x)
    kind = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min"}[op]
    total: Any = np.full(x.shape[1:], op == "cumprod", x.dtype)
    for i in reversed(range(len(x))) if reverse else range(len(x)):
        first = i == (len(x) - 1 if reverse else 0)
        met = x[i].copy() if first and kind in ("max", "min") else MEET[kind](total, x[i])
        y[i] = total if exclusive else met
        total = met
    return np.moveaxis(y, 0, axis)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("op", ["cumsum", "cumprod", "cummax", "cummin"])
@pytest.mark.parametrize(
    "shape",
    [
        *((9,), (1,), (3, 10), (4, 5, 6), (2, 3, 9), (2, 1, 4), (2, 6, 3), (0, 3), (2, 0)),
        *((9, 7), (3, 2054), (5, 3, 4)),
    ],
)
def test_scans_along_every_axis(op: str, shape: tuple[int, ...], dtype: str) -> None:
    x = np.where(RNG.random(shape) < 0.6, 1, numbers(shape, "int32")).astype(dtype)
    for axis in range(len(shape)):
        for reverse in (False, True):
            for exclusive in (False, True) if op in ("cumsum", "cumprod") else (False,):
                extra = {"exclusive": exclusive} if op in ("cumsum", "cumprod") else {}
                (got,) = run_op(op, [x], axis=axis, reverse=reverse, **extra)
                np.testing.assert_array_equal(got, scanned(op, x, axis, reverse, exclusive))


def test_scans_carry_nan_on_and_wrap_around() -> None:
    x = np.float32([1, np.inf, np.nan, 2])
    for op in ("cumsum", "cumprod", "cummax", "cummin"):
        for shaped in (x, np.stack([x, x, x, x, x], 1)):
            (got,) = run_op(op, [shaped], axis=0)
            rest = np.inf if op != "cummin" else 1
            np.testing.assert_array_equal(got.reshape(4, -1)[:, 0], [1, rest, np.nan, np.nan])
    large = np.int32([2**31 - 1, 1, 3])
    assert run_op("cumsum", [large], axis=0)[0].tolist() == [2**31 - 1, -(2**31), 3 - 2**31]
    assert run_op("cumprod", [large], axis=0)[0].tolist() == [2**31 - 1, 2**31 - 1, 2**31 - 3]


def test_long_sums_stay_exact() -> None:
    x = np.full((100_000, 2), 0.1, np.float32)
    for shaped in (x, x[:, 0]):
        (got,) = run_op("cumsum", [shaped], axis=0)
        expected = np.cumsum(shaped.astype(np.float64), axis=0).astype(np.float32)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "shape", [(1,), (7,), (3, 16), (2, 64), (2, 65), (3, 500), (2, 2, 3), (5000,), (0, 3)]
)
def test_sort(shape: tuple[int, ...], descending: bool, dtype: str) -> None:
    x = RNG.integers(-30, 30, shape).astype(dtype)
    if dtype == "float32" and x.size > 6:
        x.flat[::5] = np.nan
        x.flat[1], x.flat[2], x.flat[3], x.flat[4] = np.inf, -np.inf, -0.0, 0.0
    elif x.size > 6:
        x.flat[1], x.flat[2] = 2**31 - 1, -(2**31)
    values, indices = run_op("sort", [x], descending=descending)
    for row in np.ndindex(*shape[:-1]):
        # Python's sort is stable; NaN comes last in either order.
        sign = -1 if descending else 1
        keys = [sign * float(v) for v in x[row]]
        safe = [i for i, v in enumerate(keys) if v == v]
        expected = sorted(safe, key=keys.__getitem__)
        expected += [i for i, v in enumerate(keys) if v != v]
        np.testing.assert_array_equal(indices[row], expected)
        np.testing.assert_array_equal(values[row], x[row][expected])


@pytest.mark.parametrize("rows", [9, 64, 65, 1000])
@pytest.mark.parametrize("run", [1, 80])
def test_scattering_into_parts_of_the_result(rows: int, run: int) -> None:
    """`run_op` computes it whole and in three parts."""
    indices = tuples((rows // 8 + 1,), (rows,), 3)
    updates, x = numbers((rows // 8 + 1, run)), numbers((rows, run))
    (got,) = run_op("scatter_nd", [indices, updates, x])
    np.testing.assert_array_equal(got, scattered(x, indices, updates, "add"))


@pytest.mark.parametrize("rows", [2, 7, 8, 9, 20])
def test_many_rows_are_sorted_in_parts(rows: int) -> None:
    x = RNG.integers(-50, 50, (rows, 70)).astype(np.float32)
    values, indices = run_op("sort", [x])
    np.testing.assert_array_equal(indices, np.argsort(x, -1, kind="stable"))
    np.testing.assert_array_equal(values, np.sort(x, -1))
    np.testing.assert_array_equal(run_op("top_k", [x], k=20)[0], -np.sort(-x, -1)[:, :20])

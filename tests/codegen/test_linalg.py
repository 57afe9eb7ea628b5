"""Factorisations in WebAssembly against NumPy's meaning, and by what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fanlight.ops import row as rows
from tests.codegen.kernel_runner import run_op

RNG = np.random.default_rng(2)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    a = numbers(*shape)
    return a @ np.swapaxes(a, -1, -2) + 0.5 * np.eye(shape[-1], dtype=np.float32)


CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    *(("cholesky", [positive(*s)], {}) for s in ((1, 1), (5, 5), (3, 4, 4), (2, 2, 3, 3))),
    *(
        ("triangular_solve", [numbers(3, 4, 4) + 3 * np.eye(4, dtype=np.float32), numbers(3, 4, 2)],
         {"lower": lower, "transpose": transpose})
        for lower in (True, False) for transpose in (True, False)
    ),
    *(("solve", [numbers(*s, s[-1]), numbers(*s, 3)], {}) for s in ((1,), (6,), (3, 5))),
    *((op, [numbers(*s)], {}) for op in ("det", "slogdet") for s in ((1, 1), (5, 5), (3, 4, 4))),
    *(
        ("qr", [numbers(*s)], {"full_matrices": full})
        for s in ((4, 4), (6, 3), (3, 6), (2, 5, 4), (1, 3), (3, 1)) for full in (False, True)
    ),
    *(("eigh", [numbers(*s)], {}) for s in ((1, 1), (5, 5), (3, 4, 4), (12, 12))),
    *(("svd", [numbers(*s)], {}) for s in ((4, 4), (6, 3), (3, 6), (2, 5, 4), (1, 3), (3, 1))),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{op}{[a.shape for a in arrays]}{attrs}" for op, arrays, attrs in CASES]
)
def test_kernels(case: Any) -> None:
    op, arrays, attrs = case
    types = [rows.TensorType(a.shape) for a in arrays]
    full, _ = rows.infer(op, types, attrs)
    expected = rows.evaluate(op, arrays, full)
    for got, wanted in zip(run_op(op, arrays, **attrs), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)


def test_matrices_without_an_answer_are_alone() -> None:
    good, bad = positive(3, 3), np.zeros((3, 3), np.float32)
    hole = good.copy()
    hole[2, 0] = np.nan
    batch = np.stack([good, bad, hole, -good])
    for op, answers in (
        ("cholesky", [0]),
        ("qr", [0, 1, 3]),
        ("eigh", [0, 1, 3]),
        ("svd", [0, 1, 3]),
    ):
        full, _ = rows.infer(op, [rows.TensorType(batch.shape)], {})
        for results in (run_op(op, [batch]), rows.evaluate(op, [batch], full)):
            finite = [i for i in range(4) if all(np.isfinite(r[i]).all() for r in results)]
            assert finite == answers, op
            for i in set(range(4)) - set(answers):
                assert all(np.isnan(r[i]).any() for r in results)
    sides = numbers(4, 3, 2)
    for results in (run_op("solve", [batch, sides]), rows.evaluate("solve", [batch, sides], {})):
        assert np.isnan(results[0][[1, 2]]).all() and np.isfinite(results[0][[0, 3]]).all()
    sign, size = run_op("slogdet", [batch])
    assert sign[1] == 0 and size[1] == -np.inf and np.isnan(size[2])
    assert run_op("det", [batch])[0][1] == 0


def test_svd_of_low_rank_and_equal_values() -> None:
    low = numbers(5, 2) @ numbers(2, 4)
    for a in (low, low.T, np.eye(3, dtype=np.float32), np.zeros((4, 2), np.float32)):
        u, s, vh = run_op("svd", [np.ascontiguousarray(a)])
        k = min(a.shape)
        np.testing.assert_allclose(u.T @ u, np.eye(k), atol=1e-5)
        np.testing.assert_allclose(vh @ vh.T, np.eye(k), atol=1e-5)
        np.testing.assert_allclose(u * s @ vh, a, atol=1e-5)

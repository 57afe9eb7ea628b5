"""The Fourier transform in WebAssembly against NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fanlight.codegen.wasm.kernels.fft import factors
from fanlight.errors import FanlightError
from fanlight.ops import row as rows
from fanlight.ops.fft import roots
from tests.codegen.kernel_runner import run_op

SIZES = [*range(1, 34), 45, 49, 64, 96, 100, 101, 128, 143, 169, 210, 256, 500, 512, 1000, 1024]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_fft(n: int, inverse: bool) -> None:
    rng = np.random.default_rng(n)
    real, imag = rng.normal(0, 1, (2, 3, n)).astype(np.float32)
    got = run_op("fft", [real, imag, roots(n)], inverse=inverse)
    expected = (np.fft.ifft if inverse else np.fft.fft)(real + 1j * imag)
    size = np.abs(expected).max()
    np.testing.assert_allclose(got[0], expected.real, atol=2e-6 * size)
    np.testing.assert_allclose(got[1], expected.imag, atol=2e-6 * size)


def test_nan_stays_in_its_row() -> None:
    x = np.ones((3, 12), np.float32)
    x[1, 5] = np.nan
    real, imag = run_op("fft", [x, np.zeros_like(x), roots(12)])
    assert (np.isnan(real[1]) | np.isnan(imag[1])).all()
    assert np.isfinite(real[[0, 2]]).all() and np.isfinite(imag[[0, 2]]).all()


@pytest.mark.parametrize(
    ("shapes", "attrs", "code"),
    [
        (((3,), (4,), (2, 3)), {}, "E-OP-004"),
        (((3,), (3,), (2, 4)), {}, "E-OP-004"),
        (((), (), (2, 1)), {}, "E-OP-004"),
        (((3,), (3,), (2, 3)), {"inverse": 1}, "E-OP-005"),
        (((3,), (3,)), {}, "E-OP-001"),
    ],
)
def test_rows_that_do_not_fit(shapes: Any, attrs: dict[str, Any], code: str) -> None:
    with pytest.raises(FanlightError, match=code):
        rows.infer("fft", [rows.TensorType(s) for s in shapes], attrs)


def test_radices() -> None:
    for n in range(1, 300):
        assert np.prod(factors(n)) == n
    assert factors(1024) == [4] * 5 and factors(2 * 3 * 49) == [2, 3, 7, 7]

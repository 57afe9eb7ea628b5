"""The Fourier transform in WebAssembly against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.codegen.wasm.kernels.fft import factors
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


def test_radices() -> None:
    for n in range(1, 300):
        assert np.prod(factors(n)) == n
    assert factors(1024) == [4] * 5 and factors(2 * 3 * 49) == [2, 3, 7, 7]

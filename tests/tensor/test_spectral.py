"""Fourier transforms, windows and short-time spectra against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(9)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def close(found: fl.Tensor, expected: Any) -> None:
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 12, 13, 64])
def test_transforms(n: int) -> None:
    x, z = numbers(2, n), (numbers(3, n) + 1j * numbers(3, n)).astype(np.complex64)
    for function in (lambda f: f, fl.jit):
        close(function(fl.fft)(z), np.fft.fft(z))
        close(function(fl.fft)(x), np.fft.fft(x))
        close(function(fl.ifft)(z), np.fft.ifft(z))
        close(function(fl.rfft)(x), np.fft.rfft(x))
        close(function(fl.irfft)(z), np.fft.irfft(z, max(2 * (n - 1), 1)))
    for length in (1, 4, 7, 20):
        close(fl.rfft(x, length), np.fft.rfft(x, length))
        close(fl.irfft(z, length), np.fft.irfft(z, length))
    close(fl.irfft(fl.rfft(x), n), x)
    square = numbers(2, 3, n)
    close(fl.fft2(square), np.fft.fft2(square))
    close(fl.ifft2(square), np.fft.ifft2(square))


def test_gradients() -> None:
    x, w = numbers(12), numbers(12)
    # Parseval: sum |fft(x)|^2 = n sum x^2.
    energy = lambda x: fl.sum(fl.abs(fl.fft(x)) ** 2)  # noqa: E731
    close(fl.grad(energy)(x), 24 * x)
    close(fl.jit(fl.grad(energy))(x), 24 * x)
    close(fl.grad(lambda x: fl.sum(w * fl.irfft(fl.rfft(x), 12)))(x), w)
    close(fl.hvp(energy, fl.tensor(x), fl.tensor(w)), 24 * w)


def test_windows() -> None:
    k = np.arange(8)
    close(fl.signal.hann_window(8), 0.5 - 0.5 * np.cos(2 * np.pi * k / 8))
    close(fl.signal.hamming_window(8), 0.54 - 0.46 * np.cos(2 * np.pi * k / 8))
    close(fl.signal.hann_window(5), np.hanning(5))
    assert fl.signal.hann_window(1).shape == (1,)
    for n in (1, 2, 7, 8):
        close(fl.signal.hann_window(n, periodic=False), np.hanning(n) if n > 1 else [0])
        close(fl.signal.hamming_window(n, periodic=False), np.hamming(n) if n > 1 else [0.08])


def test_frames() -> None:
    x = np.arange(10, dtype=np.float32)
    close(fl.signal.frame(x, 4, 3), [x[:4], x[3:7], x[6:]])
    close(fl.signal.frame(x, 4, 2), [x[i : i + 4] for i in (0, 2, 4, 6)])
    close(fl.signal.frame(x[:5], 3, 2, True, 9.0), [[0, 1, 2], [2, 3, 4], [4, 9, 9]])
    assert fl.signal.frame(x, 11, 1).shape == (0, 11)
    assert fl.signal.frame(numbers(2, 3, 10), 4, 3).shape == (2, 3, 3, 4)


def test_stft_and_back() -> None:
    x = numbers(2, 64)
    found = fl.signal.stft(x, 16, 4)
    frames = np.stack([x[:, i : i + 16] for i in range(0, 49, 4)], 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16)
    close(found, np.fft.rfft(frames * window))
    close(fl.signal.stft(x, 10, 5, window=None)[0, 0], np.fft.rfft(x[0, :10], 16))
    back = fl.signal.istft(found, 16, 4)
    assert back.shape == (2, 64)
    close(back[:, 1:], x[:, 1:])  # at 0 the window is 0
    close(fl.jit(lambda y: fl.signal.istft(y, 16, 4))(found), back.numpy())


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: fl.fft(3.0), "E-OP-004"),
        (lambda: fl.fft(np.zeros((2, 0))), "E-OP-004"),
        (lambda: fl.fft2(np.zeros(3)), "E-OP-004"),
        (lambda: fl.rfft(np.complex64([1])), "E-OP-003"),
        (lambda: fl.rfft([1.0], 0), "E-OP-005"),
        (lambda: fl.signal.frame(1.0, 2, 2), "E-OP-004"),
        (lambda: fl.signal.frame([1.0], 0, 2), "E-OP-005"),
        (lambda: fl.signal.istft([1.0], 2, 2), "E-OP-004"),
        (lambda: fl.signal.hann_window(-1), "E-OP-005"),
    ],
)
def test_bad_input(call: Any, code: str) -> None:
    with pytest.raises(FanlightError, match=code):
        call()

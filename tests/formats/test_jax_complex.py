"""Complex numbers and Fourier transforms of JAX: against JAX itself, on NumPy, in WebAssembly."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

jax = pytest.importorskip("jax", reason="jax, the oracle of this reader, is not installed")
jnp, lax = jax.numpy, jax.lax


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def complexes(*shape: int, seed: int = 0) -> np.ndarray:
    made = numbers(*shape, seed=seed) + 1j * numbers(*shape, seed=seed + 1)
    return np.asarray(made, np.complex64)


def as_real(x: Any) -> np.ndarray:
    """Numbers as they are on the page: complex ones are pairs in a last dim."""
    x = np.asarray(x)
    return np.stack([x.real, x.imag], -1) if x.dtype.kind == "c" else x


def agree(
    function: Any, *arguments: Any, params: Any = None, tolerance: float = 1e-4, **more: Any
) -> fl.Model:
    model = fl.from_jax(function, *map(jnp.asarray, arguments), params=params, **more)
    first = () if params is None else (params,)
    wanted = [as_real(w) for w in jax.tree_util.tree_leaves(function(*first, *arguments))]
    given = {n: as_real(x) for (n, _), x in zip(model.inputs, arguments, strict=True)}

    def compared(found: dict[str, np.ndarray]) -> None:
        assert len(found) == len(wanted)
        for (name, got), want in zip(found.items(), wanted, strict=True):
            assert got.shape == want.shape, name
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64), tolerance, tolerance, err_msg=name
            )

    compared(model(given))
    with tempfile.TemporaryDirectory() as folder:
        compared(fl.build(model, Path(folder) / "bundle").run(given, host="wasm"))
    return model


def rotary(params: Any, q: Any) -> Any:
    """Rotary embeddings as the Flax model of Llama has them."""
    pairs = q.reshape(*q.shape[:-1], -1, 2)
    z = lax.complex(pairs[..., 0], pairs[..., 1]) * params["turns"][None, :, None, :]
    return jnp.stack((jnp.real(z), jnp.imag(z)), axis=-1).reshape(q.shape)


def test_rotary_embeddings() -> None:
    turns = np.exp(1j * numbers(3, 4, seed=9)).astype(np.complex64)
    model = agree(rotary, numbers(2, 3, 2, 8), params={"turns": turns}, batch=True)
    assert not model.source.warnings
    x = numbers(5, 3, 2, 8, seed=4)
    np.testing.assert_allclose(model(x), rotary({"turns": turns}, x), 1e-4, 1e-4)


GROUPS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "parts": (
        lambda z: (z.real, z.imag, jnp.abs(z), jnp.angle(z), jnp.conj(z), jnp.sign(z)),
        (complexes(3, 4),),
    ),
    "made": (
        lambda x, y: (lax.complex(x, y), x + 1j * y, x.astype(jnp.complex64), jnp.exp(1j * x)),
        (numbers(3, 4), numbers(3, 4, seed=1)),
    ),
    "arithmetic": (
        lambda z, w, x: (z * w, z + w, z - w, z / w, -z, z * x, x / z, z * 2, z + (1 - 2j), z**2,
                         z**-1, z**1.5, z**w, z == w, z != w, jnp.square(z), x**z),
        (complexes(3, 4), complexes(4, seed=5), np.abs(numbers(3, 1, seed=2)) + 0.1),
    ),
    "functions": (
        lambda z: (jnp.exp(z), jnp.log(z), jnp.sqrt(z), jnp.sin(z), jnp.cos(z), jnp.tanh(z),
                   jnp.sinh(z), jax.nn.sigmoid(z), lax.rsqrt(z), jnp.isfinite(z)),
        (complexes(3, 4) * 0.7,),
    ),
    "moves": (
        lambda z: (z.reshape(4, 3), z.T, z[1:, ::2], z[:, -1], jnp.concatenate([z, -z], 1), z[::-1],
                   jnp.stack([z, z]), jnp.broadcast_to(z, (2, 3, 4)), jnp.roll(z, 1, 1), z[:, None],
                   jnp.pad(z, 1), z[jnp.array([2, 0])], jnp.where(z.real > 0, z, 0), jnp.tile(
                       z, (2, 1)), jnp.asarray(z).at[1].set(2j), jnp.split(z, 2, 1)),
        (complexes(3, 4),),
    ),
    "sums": (
        lambda z, w: (z.sum(), z.mean(0), jnp.cumsum(z, 1), z.prod(1), z @ w, jnp.einsum(
            "ij,jk->ki", z, w), jnp.linalg.norm(z, axis=1), jnp.vdot(z[0], w[:, 0]), jnp.max(
            jnp.abs(z))),
        (complexes(3, 4), complexes(4, 2, seed=3)),
    ),
    "transforms": (
        lambda z: [f(z, n, a, norm) for f in (jnp.fft.fft, jnp.fft.ifft, jnp.fft.irfft,
                   jnp.fft.hfft) for n, a, norm in ((None, -1, "ortho"), (5, 0, "forward"),
                   (11, 1, None))],
        (complexes(6, 9),),
    ),
    "transforms of real numbers": (
        lambda x: (jnp.fft.rfft(x), jnp.fft.rfft(x, 7, 0, "ortho"), jnp.fft.fft(x), jnp.fft.ihfft(
            x), jnp.fft.rfft2(x), jnp.fft.irfft(jnp.fft.rfft(x), 9)),
        (numbers(6, 9),),
    ),
    "transforms of several dims": (
        lambda z: (jnp.fft.fft2(z), jnp.fft.ifftn(z, norm="ortho"), jnp.fft.irfft2(z),
                   jnp.fft.irfftn(z, (4, 5, 6)), jnp.fft.fftshift(z)),
        (complexes(3, 5, 4),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROUPS)
def test_complex(name: str) -> None:
    function, inputs = GROUPS[name]
    agree(function, *inputs)


def test_spectra_of_sounds_of_any_batch() -> None:
    window = np.hanning(16).astype(np.float32)
    places = np.arange(9)[:, None] * 4 + np.arange(16)

    def spectra(sound: Any) -> Any:
        return jnp.log1p(jnp.abs(jnp.fft.rfft(sound[:, places] * window)))

    model = agree(spectra, numbers(1, 50), batch=True)
    x = numbers(3, 50, seed=4)
    np.testing.assert_allclose(model(x), spectra(x), 1e-4, 1e-4)


def test_complex_inputs_and_outputs_are_told() -> None:
    model = agree(lambda z: z * 2j, complexes(3))
    told = " ".join(model.source.warnings)
    assert "input 'z' is complex" in told and "output" in told and "last dim of 2" in told


def test_what_is_not_read_of_complex_numbers_is_named() -> None:
    for function, word in ((lambda z: jnp.cumprod(z), "cumprod"), (jnp.sort, "sort")):
        with pytest.raises(FanlightError) as caught:
            fl.from_jax(function, jnp.asarray(complexes(3)))
        assert caught.value.code == "E-FORMAT-012" and word in str(caught.value)
        assert "complex" in str(caught.value)


def test_complex_numbers_in_loops_are_told() -> None:
    def turned(z: Any) -> Any:
        return lax.fori_loop(0, 3, lambda _, w: w * 1j, z)

    with pytest.raises(FanlightError, match="complex") as caught:
        fl.from_jax(turned, jnp.asarray(complexes(3)))
    assert "real and imaginary parts" in str(caught.value)

"""Complex numbers and Fourier transforms against PyTorch, as exported and decomposed, and in
WebAssembly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

torch = pytest.importorskip("torch", reason="the oracle, torch, is not installed")
# torch warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore")
nn = torch.nn


class Of(nn.Module):
    """A function as a module with a complex buffer and two windows."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("turns", torch.polar(torch.ones(3, 4), floats(3, 4, seed=9)))
        self.register_buffer("hann", torch.hann_window(16))
        self.register_buffer("short", torch.hamming_window(12))

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def floats(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def complexes(*shape: int, seed: int = 0) -> Any:
    return torch.complex(floats(*shape, seed=seed), floats(*shape, seed=seed + 1))


def as_real(x: Any) -> np.ndarray:
    """Numbers as they are on the page: complex ones are pairs in a last dim."""
    x = x.detach().resolve_neg()
    array: np.ndarray = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).numpy()
    return array.astype(np.int32) if array.dtype == np.int64 else array


def agree(function: Callable[..., Any], *inputs: Any, tolerance: float = 1e-4) -> fl.Model:
    """Fanlight's numbers are PyTorch's: as exported, in the core operators, in WebAssembly."""
    module = Of(function).eval()
    with torch.no_grad():
        made = module(*inputs)
        program = torch.export.export(module, inputs)
        programs = [program, program.run_decompositions()]
    wanted = [as_real(w) for w in (made if isinstance(made, tuple | list) else [made])]

    def compared(found: dict[str, np.ndarray]) -> None:
        assert len(found) == len(wanted)
        for (name, got), want in zip(found.items(), wanted, strict=True):
            assert got.shape == want.shape, name
            np.testing.assert_allclose(
                got, want.astype(got.dtype), tolerance, tolerance, err_msg=name
            )

    models = [fl.from_torch(p) for p in programs]
    for model in models:
        given = {n: as_real(x) for (n, _), x in zip(model.inputs, inputs, strict=True)}
        compared(model(given))
    given = {n: as_real(x) for (n, _), x in zip(models[0].inputs, inputs, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        compared(fl.build(models[0], Path(folder) / "bundle").run(given, host="wasm"))
    return models[0]


def rotary(self: Any, q: Any, k: Any) -> Any:
    """Rotary embeddings as Llama has them."""

    def turned(x: Any) -> Any:
        z = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        turns = self.turns.view(1, z.shape[1], 1, z.shape[-1])
        return torch.view_as_real(z * turns).flatten(3).type_as(x)

    return turned(q), turned(k)


def test_rotary_embeddings() -> None:
    model = agree(rotary, floats(2, 3, 2, 8), floats(2, 3, 1, 8, seed=3))
    assert not model.source.warnings


def frequencies(self: Any, x: Any) -> Any:
    """Rotary embeddings whose table is computed."""
    angles = torch.outer(torch.arange(5), 1.0 / (100.0 ** (torch.arange(0, 8, 2)[:4].float() / 8)))
    turns = torch.polar(torch.ones_like(angles), angles)
    z = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    other = x[..., ::2] * angles.cos() - x[..., 1::2] * angles.sin()
    return torch.view_as_real(z * turns[None]).flatten(-2), other


def test_rotary_tables() -> None:
    agree(frequencies, floats(2, 5, 8))


GROUPS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "parts": (
        lambda _, z: (z.real, z.imag, z.abs(), z.angle(), z.conj(), z.conj().resolve_conj().imag,
                      torch.view_as_real(z), z.H, torch.sgn(z), torch.conj_physical(z)),
        (complexes(3, 4),),
    ),
    "angles of real numbers": (
        lambda _, x: (x.angle(), x.conj(), torch.real(x)), (floats(7),),
    ),
    "made": (
        lambda _, x, y: (torch.complex(x, y), torch.polar(x.abs(), y), x.to(torch.complex64),
                         torch.complex(x, y).to(torch.float32), torch.view_as_complex(
                             torch.stack([x, y], -1))),
        (floats(3, 4), floats(3, 4, seed=1)),
    ),
    "created": (
        lambda _, z: (z + torch.zeros(4, dtype=torch.complex64), torch.ones_like(z),
                      torch.full((2,), 2 - 1j) * z[0, :2], z + torch.ones(4, dtype=torch.cfloat),
                      torch.zeros_like(z), z.new_zeros(3), torch.full_like(z, 3.0)),
        (complexes(3, 4),),
    ),
    "arithmetic": (
        lambda _, z, w, x: (z * w, z + w, z - w, z / w, -z, z * x, x * z, z + x, x - z, z / x,
                            x / z, torch.add(z, w, alpha=2)),
        (complexes(3, 4), complexes(4, seed=5), floats(3, 1, seed=2)),
    ),
    "numbers": (
        lambda _, z, x: (z * 2, z * (1 - 2j), z + 1, 1 - z, z / 2, 2 / z, z / (2 + 1j), z + 2j,
                         (1j - z) * 3.0, x * 1j, x + 2j, 2j / (x.abs() + 1)),
        (complexes(3, 4), floats(3, 4)),
    ),
    "equality": (
        lambda _, z: (z == z, z != z.conj(), z == 0, torch.isnan(z), torch.isfinite(z)),
        (torch.cat([complexes(5), torch.tensor([0j, 1 + 0j])]),),
    ),
    "functions": (
        lambda _, z: (z.exp(), z.log(), z.sqrt(), z.sin(), z.cos(), z.tanh(), z.reciprocal(),
                      z.square(), z**2, z**3, z**0.5, z**-1, z**1.5, z**-0.7, z**z, 2**z, z.rsqrt(),
                      z.sinh(), z.atan(), z.log10()),
        (complexes(3, 4) * 0.7,),
    ),
    "moves": (
        lambda _, z: (z.reshape(4, 3), z.view(-1), z.permute(1, 0), z.T, z[None].expand(2, 3, 4),
                      z[1:, ::2], z[..., -1], torch.cat([z, z.conj()], 1), torch.stack([z, -z]),
                      z.unsqueeze(1), z.flip(0), z.roll(1, 1), z[[2, 0]], z.flatten(),
                      *z.split(2, 1), *z.unbind(0), z.repeat(2, 1), z.movedim(0, 1),
                      z.select(1, 2), z.diagonal(), z.tril(), z[:, None].squeeze(1)),
        (complexes(3, 4),),
    ),
    "choices": (
        lambda _, z, x: (torch.where(x > 0, z, 1.0), torch.where(x > 0, z, -z), z.masked_fill(
            x > 0, 0.5), nn.functional.pad(z, (1, 2, -1, 1), value=2.0), torch.cat(
            [z, x.to(torch.complex64)]), z.gather(1, torch.tensor([[1, 0], [2, 3], [3, 3]]))),
        (complexes(3, 4), floats(3, 4, seed=7)),
    ),
    "sums": (
        lambda _, z: (z.sum(), z.sum(1), z.mean(0, keepdim=True), z.cumsum(1), z.prod(1),
                      z.norm(), torch.linalg.vector_norm(z, dim=1), z.abs().max(),
                      torch.count_nonzero(z)),
        (complexes(3, 4),),
    ),
    "products": (
        lambda _, z, w, x: (z @ w, z @ (x + 0j), (x.T + 0j) @ z.mT, torch.einsum("ij,jk->ki", z, w),
                            torch.mm(z, w), torch.einsum("ij,jk->ik", z, x + 0j), torch.outer(
                                z[0], w[:, 0]), torch.dot(z[0], w[:, 0]), torch.mv(z, w[:, 1]),
                            torch.vdot(z[0], w[:, 0]), nn.functional.linear(z, w.T, w[0, :5]),
                            torch.addmm(w[0], z, w, alpha=2)),
        (complexes(3, 4), complexes(4, 5, seed=3), floats(4, 5, seed=8)),
    ),
    "batched": (
        lambda _, z, w: (torch.bmm(z, w), z @ w[0], torch.baddbmm(w[:, :3, :3], z, w[..., :3])),
        (complexes(2, 3, 4), complexes(2, 4, 4, seed=3)),
    ),
    "composed": (
        lambda _, z, w: (torch.lerp(z, w, 0.3), torch.addcmul(z, z, w, value=0.5)),
        (complexes(3, 4), complexes(3, 4, seed=3)),
    ),
    "other dtypes": (
        lambda _, z, x: (z.view(torch.float32), x.view(torch.complex64) * 2, z.to(torch.complex64),
                         z.clone(), z.contiguous(), nn.functional.dropout(z, 0.5, False)),
        (complexes(3, 4), floats(3, 4)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROUPS)
def test_complex(name: str) -> None:
    function, inputs = GROUPS[name]
    agree(function, *inputs)


def written(_: Any, x: Any) -> Any:
    z = torch.complex(x, x * 2)
    torch.view_as_real(z)[..., 0].mul_(3)
    z.imag[1:] += 1
    z.real[0, 0] = 5
    w = z.clone()
    w[1] *= 1j
    w.conj()[2] = z[0]
    y = x.clone().reshape(3, 2, 2)
    torch.view_as_complex(y).mul_(1j)
    return z, w, y


def test_what_is_written_reaches_both_parts() -> None:
    agree(written, floats(3, 4))


def negated(_: Any, z: Any) -> Any:
    """The imaginary part of a conjugate is one that is negated in the same memory."""
    y = z.clone()
    v = torch.conj(y).imag
    v.add_(1)
    torch._neg_view(y.real)[0] *= 3
    return torch.conj(z).imag, y, v, v.resolve_neg() + 1, torch._neg_view(z)


def masked(_: Any, z: Any, values: Any) -> Any:
    a, b, c = z.clone(), z.clone(), z.clone()
    a[z.real > 0] = values[:TAKEN]
    b[z.real > 0] = 2 - 1j
    c[z.real[:, 0] > 0] = values[:4]
    return a, b, c, z.index_put((z.imag < 0,), values[0])


TAKEN = int((complexes(3, 4).real > 0).sum())


def test_what_a_mask_writes() -> None:
    agree(masked, complexes(3, 4), complexes(12, seed=5))


def test_what_a_mask_takes_of_complex_numbers_is_not_known() -> None:
    with pytest.raises(FanlightError, match=r"torch\.where\(mask, z, 0\)") as caught:
        fl.from_torch(Of(lambda _, z: z[z.real > 0]), (complexes(3, 4),))
    assert caught.value.code == "E-FORMAT-019"


def test_views_that_are_negated() -> None:
    agree(negated, complexes(3, 4))


# --- transforms -----------------------------------------------------------------------------------

ft = torch.fft
NORMS = ("backward", "ortho", "forward")
TRANSFORMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "one dim": (
        lambda _, z: [f(z, n, d, norm) for f in (ft.fft, ft.ifft) for n, d, norm in (
            (None, -1, "ortho"), (5, 0, "forward"), (11, 1, None), (4, -2, "backward"))],
        (complexes(6, 9),),
    ),
    "of real numbers": (
        lambda _, x: [ft.rfft(x, n, d, norm) for n in (None, 4, 11) for d, norm in zip(
            (-1, 0, 1), NORMS)] + [ft.fft(x), ft.ifft(x, 7), ft.ihfft(x), ft.ihfft(x, 5, 0)],
        (floats(6, 9),),
    ),
    "to real numbers": (
        lambda _, z: [f(z, n, d, norm) for f in (ft.irfft, ft.hfft) for n in (None, 7, 12)
                      for d, norm in zip((-1, 0, 1), NORMS)],
        (complexes(5, 6),),
    ),
    "one number": (
        lambda _, x: (ft.fft(x), ft.rfft(x), ft.irfft(ft.rfft(x), 1), ft.ifft(x, norm="ortho")),
        (floats(3, 1),),
    ),
    "two dims": (
        lambda _, z: [f(z, s, d, norm) for f in (ft.fft2, ft.ifft2, ft.irfft2, ft.hfft2)
                      for s, d, norm in ((None, (-2, -1), "ortho"), ((4, 7), (0, 2), "forward"))],
        (complexes(3, 5, 6),),
    ),
    "two dims of real numbers": (
        lambda _, x: [f(x, s, d, norm) for f in (ft.fft2, ft.rfft2, ft.ihfft2)
                      for s, d, norm in ((None, (-2, -1), "ortho"), ((4, 7), (2, 0), None))],
        (floats(3, 5, 6),),
    ),
    "any dims": (
        lambda _, z: [f(z, **k) for f in (ft.fftn, ft.ifftn, ft.irfftn)
                      for k in ({}, {"s": (4, 7)}, {"dim": (0, 2), "norm": "ortho"})]
        + [ft.rfftn(z.real), ft.rfftn(z.real, (2, -1), (1, 2)), ft.hfftn(z), ft.ihfftn(z.imag)],
        (complexes(3, 5, 6),),
    ),
    "shifts": (
        lambda _, z: (ft.fftshift(z), ft.ifftshift(z.real), ft.fftshift(z, dim=1), ft.ifftshift(
            z, dim=(0, 1)), z.real[:, 0] + ft.fftfreq(5), z.real[0, :4] + ft.rfftfreq(6, 0.5)),
        (complexes(5, 6),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    function, inputs = TRANSFORMS[name]
    agree(function, *inputs)


def short(self: Any, x: Any) -> Any:
    common = {"return_complex": True}
    return (
        torch.stft(x, 16, 4, window=self.hann, **common),
        torch.stft(x, 16, window=self.hann, center=False, **common).abs(),
        torch.stft(x, 16, 5, 12, self.short, normalized=True, pad_mode="constant", **common),
        torch.stft(x, 15, 7, 12, self.short, onesided=False, **common),
        torch.view_as_real(torch.stft(x[0], 16, window=torch.hann_window(16), **common)),
        torch.stft(x, 32, 1, center=False, window=torch.ones(32), **common),
    )


def test_short_time_transforms() -> None:
    agree(short, floats(2, 50))


def back(self: Any, x: Any) -> Any:
    z = torch.stft(x, 16, 4, window=self.hann, return_complex=True)
    y = torch.stft(x, 14, 3, 12, self.short, onesided=False, normalized=True, return_complex=True)
    return (
        torch.istft(z * 0.5, 16, 4, window=self.hann),
        torch.istft(z, 16, 4, window=self.hann, length=45),
        torch.istft(z[0], 16, 4, window=self.hann, length=48, normalized=True),
        torch.istft(y, 14, 3, 12, self.short, onesided=False, normalized=True),
        torch.istft(z, 16, 4, window=torch.hamming_window(16), center=False),
    )


def test_signals_of_their_short_time_transforms() -> None:
    agree(back, floats(2, 50))


def test_complex_signals() -> None:
    def function(self: Any, z: Any) -> Any:
        y = torch.stft(z, 16, 4, window=self.hann, onesided=False, return_complex=True)
        return y, torch.istft(y, 16, 4, window=self.hann, onesided=False, return_complex=True)

    agree(function, complexes(2, 50))


def test_windows() -> None:
    def function(_: Any, x: Any) -> Any:
        made = []
        for n in (1, 8, 9):
            for periodic in (True, False):
                made += [
                    torch.hann_window(n, periodic),
                    torch.hamming_window(n, periodic, 0.6, 0.4),
                    torch.blackman_window(n, periodic),
                    torch.bartlett_window(n, periodic),
                ]
        return [x[0] * w for w in made]

    agree(function, floats(2))
    windows = [torch.kaiser_window(9, False, beta=8.0), torch.kaiser_window(8)]
    model = fl.from_torch(
        Of(
            lambda _, x: (
                x * torch.kaiser_window(9, False, beta=8.0),
                x[:8] * torch.kaiser_window(8),
            )
        ),
        (torch.ones(9),),
    )
    for got, want in zip(model(np.ones(9, np.float32)).values(), windows, strict=True):
        np.testing.assert_allclose(got, want.numpy(), 1e-5, 1e-6)


class Mel(nn.Module):
    """Log mel spectrograms as Whisper has them, of any batch."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", floats(8, 33).abs())

    def forward(self, sound: Any) -> Any:
        spectra = torch.stft(sound, 64, 20, window=torch.hann_window(64), return_complex=True)
        sizes = spectra[..., :-1].abs() ** 2
        levels = torch.clamp(self.filters @ sizes, min=1e-10).log10()
        levels = torch.maximum(levels, levels.amax((1, 2), keepdim=True) - 8.0)
        return (levels + 4.0) / 4.0


def test_mel_spectrograms_of_any_batch(tmp_path: Path) -> None:
    module = Mel().eval()
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(module, (floats(2, 400),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "mel.pt2")
    model = fl.load(tmp_path / "mel.pt2")
    bundle = fl.build(model, tmp_path / "bundle")
    for count in (1, 3):
        x = floats(count, 400, seed=count)
        want = module(x).numpy()
        np.testing.assert_allclose(model(x.numpy()), want, 1e-3, 1e-3)
        (got,) = bundle.run({model.inputs[0][0]: x.numpy()}, host="wasm").values()
        np.testing.assert_allclose(got, want, 1e-3, 1e-3)


# --- files and mistakes ---------------------------------------------------------------------------


def test_complex_tensors_of_a_file(tmp_path: Path) -> None:
    """A buffer, an input and an output; the conversion says how the last two are written."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", complexes(3, 4))
            self.register_buffer("aside", complexes(4, seed=4), persistent=False)
            self.constant = complexes(3, 1, seed=6).to(torch.complex128)
            self.trained = nn.Parameter(complexes(4, seed=8))

        def forward(self, z: Any) -> Any:
            return {"made": (z * self.kept + self.aside) * self.constant * self.trained}

    module, z = Turned().eval(), complexes(3, 4, seed=11)
    want = as_real(module(z)["made"])
    program = torch.export.export(module, (z,))
    torch.export.save(program, tmp_path / "a.pt2")
    for model in (fl.load(tmp_path / "a.pt2"), fl.from_torch(module, (z,))):
        assert [tuple(t.shape) for _, t in model.inputs] == [(3, 4, 2)]
        np.testing.assert_allclose(model(as_real(z)), want, 1e-4, 1e-4)
        told = " ".join(model.source.warnings)
        assert "input 'z' is complex" in told and "output 'made' is complex" in told
        assert "torch.view_as_real" in told


def test_a_conjugate_that_is_not_written_out() -> None:
    kept = complexes(4).conj()
    model = fl.from_torch(Of(lambda _, x: (x * kept).imag), (floats(4),))
    np.testing.assert_allclose(
        model(np.ones(4, np.float32)), kept.resolve_conj().imag.numpy(), 1e-6
    )


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda _, z: torch.complex(z.real, z.imag).sigmoid().abs(), "aten.sigmoid"),
        (lambda _, z: torch.cumprod(z, 0), "aten.cumprod"),
        (lambda _, z: torch.linalg.det(z @ z.mH).abs(), "linalg"),
    ],
)
def test_what_is_not_read_of_complex_numbers_is_named(
    function: Callable[..., Any], word: str
) -> None:
    with pytest.raises(FanlightError) as caught:
        fl.from_torch(Of(function), (complexes(3, 3),))
    told = str(caught.value)
    assert caught.value.code in ("E-FORMAT-012", "E-FORMAT-013"), told
    assert word in told, told
    if caught.value.code == "E-FORMAT-012":
        assert "complex" in told and "torch.view_as_real" in told and "node" in told

"""The extension `fft`, against numpy.fft."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fanlight as fl
import fanlight.array_api as xp
from fanlight import FanlightError
from tests.array_api.support import DTYPES, arrays, quick, same

FT = xp.fft
some = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5)
NEAR = {"rtol": 1e-4, "atol": 1e-3}
norms = st.sampled_from(["backward", "ortho", "forward"])
REAL_RESULT = ("irfft", "hfft", "irfftn")
REAL_INPUT = ("rfft", "ihfft", "rfftn")


def drawn(data: st.DataObject, name: str) -> np.ndarray:
    dtype = (
        "float32" if name in REAL_INPUT else data.draw(st.sampled_from(("float32", "complex64")))
    )
    return data.draw(arrays(dtype, some, special=False, low=-3, high=3))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@quick
@given(data=st.data(), norm=norms)
def test_along_one_axis(name: str, data: st.DataObject, norm: Any) -> None:
    x = drawn(data, name)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    n = data.draw(st.one_of(st.none(), st.integers(1, 7)))
    if n is None and name in ("irfft", "hfft") and x.shape[axis] == 1:
        n = 2
    want = getattr(np.fft, name)(x.astype(complex) if name not in REAL_INPUT else x, n, axis, norm)
    kind = "float32" if name in REAL_RESULT else "complex64"
    same(
        f"fft.{name}",
        getattr(FT, name)(fl.tensor(x), n=n, axis=axis, norm=norm),
        want,
        kind,
        **NEAR,
    )


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
@quick
@given(data=st.data(), norm=norms)
def test_along_several_axes(name: str, data: st.DataObject, norm: Any) -> None:
    x = drawn(data, name)
    order = data.draw(st.permutations(range(x.ndim)))
    axes = data.draw(st.sampled_from([None, tuple(order), tuple(order[:1])]))
    count = x.ndim if axes is None else len(axes)
    lengths = st.lists(st.integers(1, 6), min_size=count, max_size=count).map(tuple)
    s = data.draw(st.one_of(st.none(), lengths)) if axes is not None else None
    last = x.shape[-1 if axes is None else axes[-1]]
    if name == "irfftn" and s is None and last == 1:
        return
    want = getattr(np.fft, name)(x.astype(complex) if name not in REAL_INPUT else x, s, axes, norm)
    kind = "float32" if name in REAL_RESULT else "complex64"
    same(
        f"fft.{name}",
        getattr(FT, name)(fl.tensor(x), s=s, axes=axes, norm=norm),
        want,
        kind,
        **NEAR,
    )


@quick
@given(n=st.integers(1, 9), d=st.sampled_from([1.0, 0.5, 3]))
def test_frequencies(n: int, d: float) -> None:
    same("fft.fftfreq", FT.fftfreq(n, d=d), np.fft.fftfreq(n, d))
    same("fft.rfftfreq", FT.rfftfreq(n, d=d, dtype=xp.float32), np.fft.rfftfreq(n, d))


@quick
@given(data=st.data())
def test_shifts(data: st.DataObject) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES)), some))
    order = data.draw(st.permutations(range(x.ndim)))
    for axes in (None, tuple(order), order[0], order[0] - x.ndim):
        for name in ("fftshift", "ifftshift"):
            want = getattr(np.fft, name)(x, axes)
            same(f"fft.{name}", getattr(FT, name)(fl.tensor(x), axes=axes), want, x.dtype.name)


def test_coded_errors() -> None:
    x = xp.ones((2, 3))
    for code, call in (
        ("E-OP-005", lambda: FT.fft(x, axis=2)),
        ("E-OP-005", lambda: FT.fft(x, n=0)),
        ("E-OP-005", lambda: FT.fft(x, norm="other")),
        ("E-OP-005", lambda: FT.fftn(x, s=(1,), axes=(0, 1))),
        ("E-OP-005", lambda: FT.fftn(x, axes=(0, 0))),
        ("E-OP-005", lambda: FT.fftfreq(0)),
        ("E-OP-005", lambda: FT.fftfreq(4, device="gpu")),
        ("E-OP-005", lambda: FT.fftshift(x, axes=3)),
        ("E-OP-003", lambda: FT.rfft(xp.asarray([1j]))),
        ("E-OP-003", lambda: FT.ihfft(xp.asarray([1j]))),
    ):
        with pytest.raises(FanlightError) as caught:
            call()
        assert caught.value.code == code, (code, caught.value)

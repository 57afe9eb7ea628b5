"""Windows and frames of signals, and their short-time spectra: `fl.signal.NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.tensor import functions as F
from fanlight.tensor.arguments import flag, function_of, whole_number
from fanlight.tensor.core import Tensor, caller, cast, tensor
from fanlight.tensor.indices import gather
from fanlight.tensor.spectral import irfft, rfft

__all__ = ["frame", "hamming_window", "hann_window", "istft", "stft"]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


Window = Callable[[int], Any] | None


def hann_window(length: int, periodic: bool = True) -> Tensor:
    """0.5 - 0.5 cos(2 pi k / n), float32 [length].

    Args:
        periodic: n is the length if that is even, and length - 1 if it is odd (as TensorFlow has
            it); not periodic: n is length - 1, and the window is symmetric.

    Source: tf.signal.hann_window; Blackman & Tukey 1958.
    """
    return _cosine(length, periodic, 0.5)


def hamming_window(length: int, periodic: bool = True) -> Tensor:
    """0.54 - 0.46 cos(2 pi k / n), likewise."""
    return _cosine(length, periodic, 0.54)


def _cosine(length: int, periodic: bool, a: float) -> Tensor:
    (length,) = F.shape_of(whole_number("window", "length", length, 1))
    periodic = flag("window", "periodic", periodic)
    n = max(length if periodic and length % 2 == 0 else length - 1, 1)
    return tensor(a - (1 - a) * np.cos(2 * np.pi * np.arange(length) / n), "float32")


def frame(
    x: Any, frame_length: int, frame_step: int, pad_end: bool = False, pad_value: float = 0
) -> Tensor:
    """Windows of the last dim: [..., n] -> [..., frames, frame_length], frame_step apart.

    Args:
        pad_end: whether windows that reach beyond the end are filled up with pad_value, so that
            every element that is a multiple of frame_step begins one; else they are left out.

    Raises:
        FanlightError: E-OP-004 x has no dims; E-OP-005 a length that is no whole number from 1 on.
    """
    x = tensor(x)
    if x.rank == 0:
        raise FanlightError(
            "E-OP-004",
            "frame takes signals.",
            where=f"frame, {caller()}",
            expected="[..., n]",
            received=str(x.type),
        )
    frame_length = whole_number("frame", "frame_length", frame_length, 1)
    frame_step = whole_number("frame", "frame_step", frame_step, 1)
    F.shape_of((frame_length, frame_step))
    pad_end = flag("frame", "pad_end", pad_end)
    n = x.shape[-1]
    frames = -(-n // frame_step) if pad_end else max(0, 1 + (n - frame_length) // frame_step)
    missing = (frames - 1) * frame_step + frame_length - n
    if missing > 0 and frames:
        x = F.pad(x, [*[(0, 0)] * (x.rank - 1), (0, missing)], pad_value)
    places = np.arange(frames)[:, None] * frame_step + np.arange(frame_length)
    taken = gather(x, tensor(places.reshape(-1), "int32"), x.rank - 1)
    return F.reshape(taken, (*x.shape[:-1], frames, frame_length))


def stft(
    x: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window: Window = hann_window,
) -> Tensor:
    """Spectra of windows of a signal: float32 [..., n] -> complex64 [..., frames, bins].

    Args:
        fft_length: numbers per transform, default the next power of two from frame_length on;
            bins = fft_length // 2 + 1.
        window: makes the weights of a frame of its length; None for ones.

    Source: Allen 1977; tf.signal.stft.
    """
    frames = frame(F.floating(x), frame_length, frame_step)
    frame_length = frames.shape[-1]
    if window is not None:
        frames = frames * function_of("stft", "window", window)(frame_length)
    return rfft(frames, _enclosing(frame_length) if fft_length is None else fft_length)


def istft(
    y: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window: Window = hann_window,
) -> Tensor:
    """The signal whose `stft` is nearest: frames added where they overlap, over the sum of the
    squared windows (Griffin & Lim 1984); 0 where no window reaches.

    complex64 [..., frames, bins] -> float32 [..., (frames - 1) frame_step + frame_length].
    """
    y = cast(y, "complex64")
    if y.rank < 2:
        raise FanlightError(
            "E-OP-004",
            "istft takes spectra.",
            where=f"istft, {caller()}",
            expected="[..., frames, bins]",
            received=str(y.type),
        )
    frame_length = whole_number("istft", "frame_length", frame_length, 1)
    frame_step = whole_number("istft", "frame_step", frame_step, 1)
    F.shape_of((frame_length, frame_step))
    size = _enclosing(frame_length) if fft_length is None else fft_length
    weights = np.ones(frame_length, np.float32)
    if window is not None:
        weights = tensor(function_of("istft", "window", window)(frame_length)).numpy()
    pieces = irfft(y, size)[..., :frame_length] * weights
    total = overlapped(pieces, frame_step)
    squares = np.broadcast_to(weights**2, (pieces.shape[-2], frame_length))
    reach = overlapped(tensor(squares.copy()), frame_step).numpy()
    return total * np.where(reach > 1e-8, 1 / np.maximum(reach, 1e-8), 0).astype(np.float32)


def overlapped(x: Tensor, step: int) -> Tensor:
    """The sum of frames, each `step` after the one before."""
    frames, length = x.shape[-2:]
    lead = [(0, 0)] * (x.rank - 2)
    parts = -(-length // step)
    x = F.pad(x, [*lead, (0, 0), (0, parts * step - length)])
    rows = F.reshape(x, (*x.shape[:-2], frames, parts, step))
    total = None
    for part in range(parts):
        shifted = F.pad(rows[..., part, :], [*lead, (part, parts - 1 - part), (0, 0)])
        total = shifted if total is None else total + shifted
    assert total is not None
    flat = F.reshape(total, (*x.shape[:-2], (frames + parts - 1) * step))
    return flat[..., : max(frames - 1, 0) * step + length]


def _enclosing(length: int) -> int:
    """The least power of two from `length` on."""
    return 1 << (length - 1).bit_length()

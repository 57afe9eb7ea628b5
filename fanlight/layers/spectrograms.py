"""Layers that turn signals into spectrograms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.layers import initializers
from fanlight.layers.arguments import whole
from fanlight.layers.initializers import WINDOWS, numbers_of, window_of
from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.tensor import Tensor, cast, signal
from fanlight.tensor import functions as fn
from fanlight.tensor.blocks import mirror_pad
from fanlight.tensor.complex import imag, real
from fanlight.tensor.spectral import rfft
from fanlight.tensor.windows import conv1d

__all__ = ["MelSpectrogram", "STFTSpectrogram"]

MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
EPSILON = 1e-7


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


# Samples of a window, and bands: more would fill the memory before anything else is wrong.
MOST = 2**20


def _count(layer: Layer, argument: str, value: Any, least: int = 1) -> int:
    """A whole number up to MOST; E-LAYER-004."""
    if whole(layer, argument, value, least) > MOST:
        raise argument_error(layer, argument, f"a whole number up to {MOST:,}", value)
    return int(value)


def _number(layer: Layer, argument: str, value: Any, least: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not least <= value < math.inf:
        raise argument_error(layer, argument, f"a number from {least:g} on", value)
    return float(value)


class MelSpectrogram(Layer):
    """How strong each band of the mel scale is, over time: [..., samples] -> [..., bands, times].

    Args:
        fft_length: samples of a transform. sequence_stride: samples from one to the next.
        sequence_length: samples of a window, at most fft_length; default: fft_length.
        window: "hann", "hamming", numbers for each place, or None.
        sampling_rate: samples per second.
        num_mel_bins: bands; from min_freq to max_freq (default: half of the sampling rate), in
            hertz.
        power_to_db: whether results are in decibels, at most top_db below the greatest number of
            all.
        mag_exp: magnitudes to this power: 1 are themselves, 2 energy.
        min_power: the least that a logarithm is taken of. ref_power: what 0 decibels are.

    Signals are continued by their mirror images on both sides. Source: O'Shaughnessy 1987, and the
    bands of HTK.
    """

    fields = (
        *("fft_length", "sequence_stride", "sequence_length", "window", "sampling_rate"),
        *("num_mel_bins", "min_freq", "max_freq", "power_to_db", "top_db", "mag_exp"),
        *("min_power", "ref_power"),
    )

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fft_length = _count(self, "fft_length", fft_length, 2)
        self.sequence_stride = whole(self, "sequence_stride", sequence_stride)
        self.sequence_length = _count(self, "sequence_length", sequence_length or fft_length)
        if self.sequence_length > fft_length:
            expected = f"at most fft_length, {fft_length}"
            raise argument_error(self, "sequence_length", expected, sequence_length)
        self.window, self.sampling_rate = window, whole(self, "sampling_rate", sampling_rate)
        self.num_mel_bins = _count(self, "num_mel_bins", num_mel_bins)
        self.min_freq = _number(self, "min_freq", min_freq, 0.0)
        self.max_freq = _number(self, "max_freq", max_freq or sampling_rate // 2, 0.0)
        if self.min_freq >= self.max_freq:
            expected = f"below max_freq, {self.max_freq:g}"
            raise argument_error(self, "min_freq", expected, min_freq)
        self.power_to_db, self.top_db = bool(power_to_db), _number(self, "top_db", top_db, 0.0)
        self.mag_exp = _number(self, "mag_exp", mag_exp, 0.0)
        self.min_power = _number(self, "min_power", min_power, 0.0)
        self.ref_power = ref_power
        self._weights_of_frame = self._frame_weights()

    def _frame_weights(self) -> np.ndarray | None:
        """What the samples of a transform are multiplied by; the window lies in its middle."""
        if self.window is None:
            return None
        if isinstance(self.window, str):
            if self.window not in ("hann", "hamming"):
                expected = "hann, hamming, numbers or None"
                raise argument_error(self, "window", expected, self.window)
            made = window_of(self.window, self.sequence_length, True)
        else:
            given = numbers_of(self.window, self.sequence_length)
            if given is None:
                expected = f"hann, hamming, {self.sequence_length} numbers or None"
                raise argument_error(self, "window", expected, self.window)
            made = given
        before = (self.fft_length - self.sequence_length) // 2
        after = self.fft_length - self.sequence_length - before
        return np.pad(made, (before, after)).astype(np.float32)

    def _bands(self) -> np.ndarray:
        """[frequencies, bands]: triangles on the mel scale, 1 in their middles."""
        frequencies = np.linspace(0, self.sampling_rate / 2, self.fft_length // 2 + 1)
        at = _mel(frequencies)[:, None]
        edges = np.linspace(_mel(self.min_freq), _mel(self.max_freq), self.num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (at - low) / (middle - low), (high - at) / (high - middle)
        bands = np.maximum(0, np.minimum(rising, falling))
        bands[0] = 0  # what does not swing is left out
        return bands.astype(np.float32)

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        half = self.fft_length // 2
        if x.rank not in (1, 2) or x.shape[-1] <= half:
            expected = f"signals: [N, samples] or [samples], with more than {half} of them"
            raise input_error(self, expected, x.type)
        x = mirror_pad(x, [*[(0, 0)] * (x.rank - 1), (half, half)], "reflect")
        frames = signal.frame(x, self.fft_length, self.sequence_stride)
        if self._weights_of_frame is not None:
            frames = frames * self._weights_of_frame
        found = rfft(frames)
        power = fn.square(real(found)) + fn.square(imag(found))
        y = power if self.mag_exp == 2 else fn.pow(power, self.mag_exp / 2)
        y = fn.matmul(y, self._bands())
        if self.power_to_db:
            least = self.min_power
            y = fn.log(fn.maximum(y, least)) * (10 / math.log(10))
            y = y - 10 * math.log10(max(abs(float(self.ref_power)), least))
            y = fn.maximum(y, fn.max(y) - self.top_db)
        order = (1, 0) if y.rank == 2 else (0, 2, 1)
        return fn.transpose(y, order)


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log(1 + np.asarray(hertz) / 700.0)


class STFTSpectrogram(Layer):
    """Spectra of the windows of signals, by kernels that may train: [N, samples, channels].

    Args:
        mode: what it gives: "log" of the magnitude, "magnitude", "psd" (power, of which the
            frequencies between the first and the last count twice), "real", "imag", "angle", or
            "stft": real and then imaginary parts.
        frame_length: samples of a window. frame_step: from one to the next; default: half of that.
        fft_length: samples of a transform, at least frame_length; default: the next power of two.
        window, periodic, scaling: see `fl.initializers.STFT`.
        padding: "valid" or "same".
        expand_dims: whether frequencies and channels have dims of their own.

    It gives [N, times, channels frequencies], or [N, times, frequencies, channels]; with
    channels_first [N, channels frequencies, times], or [N, channels, times, frequencies].
    """

    fields = (
        *("mode", "frame_length", "frame_step", "fft_length", "window", "periodic", "scaling"),
        *("padding", "expand_dims", "data_format"),
    )

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if mode not in MODES:
            raise argument_error(self, "mode", ", ".join(MODES), mode)
        self.mode, self.frame_length = mode, _count(self, "frame_length", frame_length, 2)
        if frame_step is not None and whole(self, "frame_step", frame_step) > frame_length:
            expected = f"at most frame_length, {frame_length}"
            raise argument_error(self, "frame_step", expected, frame_step)
        if fft_length is not None and _count(self, "fft_length", fft_length) < frame_length:
            expected = f"at least frame_length, {frame_length}"
            raise argument_error(self, "fft_length", expected, fft_length)
        self.frame_step, self.fft_length = frame_step, fft_length
        self.step = frame_step or frame_length // 2
        self.bins = (fft_length or 2 ** math.ceil(math.log2(frame_length))) // 2 + 1
        if isinstance(window, str) and window not in WINDOWS:
            expected = f"{', '.join(WINDOWS)}, or numbers (scipy.signal.get_window gives more)"
            raise argument_error(self, "window", expected, window)
        if scaling not in (None, "density", "spectrum"):
            raise argument_error(self, "scaling", "density, spectrum or None", scaling)
        if padding not in ("valid", "same"):
            raise argument_error(self, "padding", "valid or same", padding)
        if data_format not in (None, "channels_last", "channels_first"):
            expected = "channels_last or channels_first"
            raise argument_error(self, "data_format", expected, data_format)
        self.window, self.periodic, self.scaling = window, bool(periodic), scaling
        self.padding, self.expand_dims = padding, bool(expand_dims)
        self.data_format = data_format or "channels_last"

    def build(self, input_shape: Any) -> None:
        shape = (self.frame_length, 1, self.bins)
        for side in ("real", "imag"):
            if self.mode != ("imag" if side == "real" else "real"):
                made = initializers.STFT(side, self.window, self.scaling, self.periodic)
                setattr(self, f"{side}_kernel", self.add_weight(shape, made, f"{side}_kernel"))

    def _spectrum(self, x: Tensor, kernel: Tensor) -> Tensor:
        """[N, C, samples] -> [N, C, times, frequencies]."""
        count, channels, samples = x.shape
        signals = fn.reshape(x, (count * channels, samples, 1))
        y = conv1d(signals, kernel, self.step, self.padding)
        return fn.reshape(y, (count, channels, *y.shape[1:]))

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        if x.rank != 3:
            raise input_error(self, "signals: [N, samples, channels]", x.type)
        first = self.data_format == "channels_first"
        x = x if first else fn.transpose(x, (0, 2, 1))
        if self.padding == "valid" and x.shape[2] < self.frame_length:
            raise input_error(self, f"at least {self.frame_length} samples", inputs.shape)
        kernels = [getattr(self, f"{side}_kernel", None) for side in ("real", "imag")]
        parts: Any = [None if k is None else self._spectrum(x, k) for k in kernels]
        return self._laid_out(self._told(*parts), first)

    def _told(self, real_part: Any, imag_part: Any) -> Tensor:
        """What the mode says, [N, C, times, frequencies]."""
        if self.mode == "real":
            return real_part
        if self.mode == "imag":
            return imag_part
        if self.mode == "angle":
            return fn.atan2(imag_part, real_part)
        if self.mode == "stft":
            return fn.concat([real_part, imag_part], -1)
        power = fn.square(real_part) + fn.square(imag_part)
        if self.mode == "psd":
            times = np.full(self.bins, 2, np.float32)
            times[[0, -1]] = 1
            return power * times
        size = fn.sqrt(fn.maximum(power, EPSILON))
        return size if self.mode == "magnitude" else fn.log(fn.maximum(size, EPSILON))

    def _laid_out(self, y: Tensor, first: bool) -> Tensor:
        if self.expand_dims:
            return y if first else fn.transpose(y, (0, 2, 3, 1))
        count, channels, times, bins = y.shape
        if first:
            return fn.reshape(fn.transpose(y, (0, 1, 3, 2)), (count, channels * bins, times))
        return fn.reshape(fn.transpose(y, (0, 2, 1, 3)), (count, times, channels * bins))

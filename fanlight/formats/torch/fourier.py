"""Importers of Fourier transforms, of short-time ones, and of their windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size
from fanlight.formats.fourier import (
    LONGEST,
    backward,
    backward_real,
    each_part,
    forward,
    framed,
    sized,
    turned,
)
from fanlight.formats.pairs import Pair, computed
from fanlight.formats.torch.call import Call, importer
from fanlight.formats.torch.complex import rule
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor import indices as places
from fanlight.tensor import signal
from fanlight.tensor.blocks import mirror_pad
from fanlight.tensor.complex import conj

# How PyTorch numbers the scales of its transforms.
_SCALES = ("none", "ortho", "count")
# torch.fft has each of these before fft, fft2 and fftn.
_KINDS = ("", "i", "r", "ir", "h", "ih")


def _operand(call: Call, name: str = "self") -> Any:
    x = call.args.get(name)
    return x if isinstance(x, Pair) else call.x(name, "float32")


def _checked(call: Call, x: Any, axes: Sequence[int], sizes: Sequence[int]) -> None:
    shape = list(x.shape)
    for a, n in zip(axes, sizes, strict=True):
        shape[a] = n
    if not axes or len(set(axes)) < len(axes) or min(sizes) < 1 or max(sizes) > LONGEST:
        raise call.refuse(
            "the dims cannot be transformed",
            expected=f"different dims of 1 to {LONGEST:,} numbers",
            received=f"dims {list(axes[:8])} of the sizes {list(sizes[:8])}",
        )
    check_size(TensorType(tuple(shape), "float32"), call.where)


# --- the operators of the core --------------------------------------------------------------------


def _axes(call: Call, x: Any, name: str = "dim") -> list[int]:
    rank = len(x.shape)
    found = list(call.ints(name))
    if not all(-rank <= a < rank for a in found):
        raise call.refuse(f"{name} does not exist", expected=f"{rank} dims", received=found[:8])
    return [a % rank for a in found]


def _scale(call: Call) -> str:
    at = call.whole("normalization", 0)
    if at not in range(len(_SCALES)):
        raise call.refuse("its scale is unknown", expected="0, 1 or 2", received=at)
    return _SCALES[at]


@importer("_fft_r2c")
@rule("_fft_r2c")
def fft_r2c(call: Call) -> Any:
    x, scale, half = call.x(dtype="float32"), _scale(call), call.flag("onesided")
    axes = _axes(call, x)
    _checked(call, x, axes, [x.shape[a] for a in axes])
    return computed(call.function, lambda x: forward(x, axes, scale, half), x)


@importer("_fft_c2c")
@rule("_fft_c2c")
def fft_c2c(call: Call) -> Any:
    z, scale = _operand(call), _scale(call)
    axes = _axes(call, z)
    _checked(call, z, axes, [z.shape[a] for a in axes])
    if call.flag("forward"):
        return computed(call.function, lambda z: forward(z, axes, scale, False), z)
    return computed(call.function, lambda z: backward(z, axes, scale), z)


@importer("_fft_c2r")
@rule("_fft_c2r")
def fft_c2r(call: Call) -> Any:
    z, scale, size = _operand(call), _scale(call), call.whole("last_dim_size")
    axes = _axes(call, z)
    _checked(call, z, axes, [*(z.shape[a] for a in axes[:-1]), size])
    return computed(call.function, lambda z: backward_real(z, axes, size, scale), z)


# --- torch.fft ------------------------------------------------------------------------------------


def _given(call: Call, z: Any, name: str) -> tuple[list[int], list[int | None]]:
    """The dims that are transformed, and their sizes where they are told."""
    rank = len(z.shape)
    if "n" in call.args or name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
        axis = call.axis("dim", rank, -1)
        return [axis], [call.whole("n") if call.has("n") else None]
    sizes = list(call.ints("s")) if call.has("s") else None
    if name.endswith("2"):
        call.args.setdefault("dim", [-2, -1])
    if call.has("dim"):
        axes = _axes(call, z)
    else:
        axes = list(range(rank)) if sizes is None else list(range(rank - len(sizes), rank))
    if sizes is None:
        sizes = [-1] * len(axes)
    if len(sizes) != len(axes) or min(axes, default=0) < 0:
        raise call.refuse("s does not fit the dims", expected=axes[:8], received=sizes[:8])
    return axes, [None if n == -1 else n for n in sizes]


_FAMILY = [f"fft_{i}{name}" for name in ("fft", "fft2", "fftn") for i in _KINDS]


@importer(*_FAMILY)
@rule(*_FAMILY)
def fft(call: Call) -> Any:
    """torch.fft.NAME: transforms of one dim, of two, or of any, of sizes that may be told."""
    name = call.node.target.split(".")[1].removeprefix("fft_")
    kind = name.rstrip("2n")
    z = _operand(call)
    axes, told = _given(call, z, name)
    norm = call.get("norm") or "backward"
    inverse = kind in ("ifft", "irfft", "ihfft")
    if norm not in ("backward", "ortho", "forward"):
        raise call.refuse("norm is unknown", received=str(norm)[:40])
    plain = (norm == "backward") != inverse
    scale = "ortho" if norm == "ortho" else "none" if plain else "count"
    sizes = [z.shape[a] if n is None else n for a, n in zip(axes, told, strict=True)]
    to_real = kind in ("irfft", "hfft")
    if to_real and told and told[-1] is None:
        sizes[-1] = 2 * (z.shape[axes[-1]] - 1)
    if kind in ("rfft", "ihfft") and isinstance(z, Pair):
        raise call.no_complex("self", z)
    _checked(call, z, axes, sizes)

    def compute(z: Any) -> Any:
        if to_real:
            for a, n in zip(axes[:-1], sizes[:-1], strict=True):
                z = sized(z, a, n)
            z = conj(z) if kind == "hfft" else z
            return backward_real(z, axes, sizes[-1], scale)
        for a, n in zip(axes, sizes, strict=True):
            z = sized(z, a, n)
        if kind == "ifft":
            return backward(z, axes, scale)
        y = forward(z, axes, scale, kind in ("rfft", "ihfft"))
        return conj(y) if kind == "ihfft" else y

    return computed(call.function, compute, z)


@importer("fft_fftshift", "fft_ifftshift")
@rule("fft_fftshift", "fft_ifftshift")
def shift(call: Call) -> Any:
    z = call.args.get("self")
    z = z if isinstance(z, Pair) else call.x()
    axes = _axes(call, z) if call.has("dim") else list(range(len(z.shape)))
    back = "ifftshift" in call.node.target
    steps = [(z.shape[a] + 1) // 2 if back else z.shape[a] // 2 for a in axes]
    return computed(call.function, lambda z: places.roll(z, steps, axes), z) if axes else z


@importer("fft_fftfreq", "fft_rfftfreq")
def frequencies(call: Call) -> Tensor:
    n, d = call.whole("n"), call.real("d", 1.0)
    if not 1 <= n <= LONGEST or not d:
        raise call.refuse("its length is out of range", received=[n, d])
    make = np.fft.rfftfreq if "rfftfreq" in call.node.target else np.fft.fftfreq
    return call.em.named(make(n, d).astype(np.float32), call.name(), made=True)


# --- short-time transforms ------------------------------------------------------------------------


def _window(call: Call, length: int) -> tuple[int, Tensor | None]:
    """The step, and the window in the middle of a frame; None for ones."""
    step = call.whole("hop_length") if call.has("hop_length") else length // 4
    width = call.whole("win_length") if call.has("win_length") else length
    if not 1 <= width <= length <= LONGEST or step < 1:
        raise call.refuse("the windows do not fit", received=[length, step, width])
    if not call.has("window"):
        weights: Tensor = call.em.full((width,), 1.0, "float32", call.name("window"))
    else:
        weights = call.x("window", "float32")
    if tuple(weights.shape) != (width,):
        raise call.refuse(
            "the window does not fit", expected=f"[{width}]", received=list(weights.shape)
        )
    if width == length and not call.has("window"):
        return step, None
    left = (length - width) // 2
    pads = ((left, length - width - left),)
    if width < length:
        weights = call.op("pad", weights, part="window", paddings=pads, value=0.0)
    return step, weights


def _halved(call: Call, default: bool) -> bool:
    return call.flag("onesided", default) if call.has("onesided") else default


@importer("stft")
@rule("stft")
def stft(call: Call) -> Any:
    """[B, n] -> complex [B, frequencies, frames], or [..., 2] of real ones."""
    z, length = _operand(call), call.whole("n_fft")
    if call.has("align_to_window") and call.flag("align_to_window"):
        raise call.refuse("align_to_window is not supported", expected="False")
    step, window = _window(call, length)
    half = _halved(call, not isinstance(z, Pair))
    mode = call.get("pad_mode") or "reflect"
    center = ".center" in call.node.target and call.flag("center", True)
    reach = length // 2 if center else 0
    if (
        len(z.shape) not in (1, 2)
        or z.shape[-1] + 2 * reach < length
        or (half and isinstance(z, Pair))
    ):
        raise call.refuse("the signal does not fit", received=list(z.shape))
    if mode not in ("constant", "reflect") or (mode == "reflect" and reach >= z.shape[-1]):
        raise call.refuse("its padding does not fit", received=str(mode)[:40])
    frames = 1 + (z.shape[-1] + 2 * reach - length) // step
    check_size(TensorType((*z.shape[:-1], frames, length), "float32"), call.where)

    def padded(x: Any) -> Any:
        pads = [*[(0, 0)] * (x.rank - 1), (reach, reach)]
        return mirror_pad(x, pads) if mode == "reflect" else fn.pad(x, pads)

    def compute(z: Any, *window: Any) -> Any:
        if reach:
            z = each_part(padded, z)
        z = framed(z, length, step)
        if window:
            z = each_part(lambda p: fn.mul(p, window[0]), z)
        y = forward(z, [z.rank - 1], "ortho" if call.flag("normalized") else "none", half)
        y = turned(y, y.rank - 2)
        if call.has("return_complex") and not call.flag("return_complex"):
            return fn.stack(y.parts, -1)
        return y

    return computed(call.function, compute, z, *([] if window is None else [window]))


@importer("istft")
@rule("istft")
def istft(call: Call) -> Any:
    """Complex [B, frequencies, frames] -> [B, n]: frames added where they overlap."""
    z, length = _operand(call), call.whole("n_fft")
    if not isinstance(z, Pair):
        raise call.refuse("it takes complex numbers", received=list(z.shape))
    step, window = _window(call, length)
    to_complex = call.flag("return_complex")
    half = _halved(call, not to_complex)
    bins = length // 2 + 1 if half else length
    if (
        len(z.shape) not in (2, 3)
        or z.shape[-2] != bins
        or not z.shape[-1]
        or (half and to_complex)
    ):
        raise call.refuse("the spectra do not fit", expected=f"[B, {bins}, frames]",
                          received=list(z.shape))  # fmt: skip
    frames = z.shape[-1]
    whole = (frames - 1) * step + length
    start = length // 2 if call.flag("center", True) else 0
    size = call.whole("length") if call.has("length") else whole - 2 * start
    end = min(start + size, whole)
    if size < 1 or end <= start:
        raise call.refuse("nothing is left of the signal", received=[whole, size])
    check_size(TensorType((*z.shape[:-2], max(whole, size)), "float32"), call.where)
    scale = "ortho" if call.flag("normalized") else "count"

    def overlapped(frames_of: Any) -> Any:
        return signal.overlapped(frames_of, step)[..., start:end]

    def compute(z: Any, window: Any) -> Any:
        z = turned(z, z.rank - 2)
        last = [z.rank - 1]
        if half:
            y = backward_real(z, last, length, scale)
        else:
            y = backward(z, last, scale)
            y = y if to_complex else y.parts[0]
        y = each_part(lambda p: overlapped(fn.mul(p, window)), y)
        squares = fn.broadcast_to(fn.square(window), (frames, length))
        reach = overlapped(squares)
        return each_part(lambda p: sized(fn.div(p, reach), p.rank - 1, size), y)

    if window is None:
        window = call.em.full((length,), 1.0, "float32", call.name("window"))
    if isinstance(window, np.ndarray) and not _reaches(window, frames, step, start, end):
        raise call.refuse(
            "its windows leave parts of the signal out",
            expected="windows that overlap everywhere: a smaller hop_length, or center=True",
            received=[length, step],
        )
    return computed(call.function, compute, z, window)


def _reaches(window: np.ndarray, frames: int, step: int, start: int, end: int) -> bool:
    """Whether a window has weight at every place that is kept."""
    total = np.zeros((frames - 1) * step + len(window))
    for at in range(frames):
        total[at * step : at * step + len(window)] += window.astype(np.float64) ** 2
    return bool((total[start:end] > 1e-11).all())


# --- windows --------------------------------------------------------------------------------------


@importer("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window")
def made_window(call: Call) -> Tensor:
    size = call.whole("window_length")
    if not 0 <= size <= 1 << 22:
        raise call.refuse("its length is out of range", received=size)
    name = call.node.target.split(".")[1]
    periodic = call.flag("periodic", True)
    at, n = np.arange(size), max(size if periodic else size - 1, 1)
    angle = 2 * np.pi * at / n
    if size == 1:
        made = np.ones(1)
    elif name.startswith("hann"):
        made = 0.5 - 0.5 * np.cos(angle)
    elif name.startswith("hamming"):
        made = call.real("alpha", 0.54) - call.real("beta", 0.46) * np.cos(angle)
    elif name.startswith("blackman"):
        made = 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle)
    elif name.startswith("bartlett"):
        made = 1 - np.abs(2 * at / n - 1)
    else:
        beta = call.real("beta", 12.0)
        made = np.i0(beta * np.sqrt(np.maximum(1 - (2 * at / n - 1) ** 2, 0))) / np.i0(beta)
    return call.em.named(np.asarray(made, np.float32), call.name(), made=True)

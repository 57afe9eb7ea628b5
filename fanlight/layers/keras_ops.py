"""Functions of keras.ops that files of Keras name and no function of `fl` is, by Keras's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.tensor import blocks, complex, indices, matrices, parts, sorting, spectral, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.core import cast

_EPSILON = 1e-7  # keras.config.epsilon()


def average(x: Any, weights: Any = None, axis: Any = None) -> Any:
    """The mean, with weights like numpy.average."""
    x = fn.floating(x)
    if weights is None:
        return fn.mean(x, axis)
    w = fn.floating(weights)
    if w.rank != x.rank:  # one weight for each place along the axis
        w = fn.reshape(w, [-1 if d == axis % x.rank else 1 for d in range(x.rank)])
    w = fn.broadcast_to(w, x.shape)
    return fn.sum(x * w, axis) / fn.sum(w, axis)


def count_nonzero(x: Any, axis: Any = None) -> Any:
    """How many are not 0, int32."""
    return fn.sum(cast(fn.not_equal(tensor(x), 0), "int32"), axis)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle number, or the mean of both: over all axes, one, or several."""
    x = fn.floating(x)
    over = range(x.rank) if axis is None else [axis] if isinstance(axis, int) else axis
    gone = sorted(a % x.rank for a in over)
    kept = [d for d in range(x.rank) if d not in gone]
    sizes = [x.shape[d] for d in kept]
    flat = fn.reshape(fn.transpose(x, (*kept, *gone)), (*sizes, -1))
    ordered, count = sorting.sort(flat), flat.shape[-1]
    middle = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) * 0.5
    shape = [1 if d in gone else x.shape[d] for d in range(x.rank)]
    return fn.reshape(middle, shape) if keepdims else middle


def dot(x1: Any, x2: Any) -> Any:
    """As numpy.dot: over the last dim of x1 and the one before the last of x2."""
    a, b = tensor(x1), tensor(x2)
    if not a.rank or not b.rank:
        return a * b
    return matrices.tensordot(a, b, ([-1], [max(b.rank - 2, 0)]))


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Sums of products over dims of both."""
    return matrices.tensordot(x1, x2, axes)


def outer(x1: Any, x2: Any) -> Any:
    """Each number of x1 by each of x2, [m, n]."""
    a, b = tensor(x1), tensor(x2)
    return fn.reshape(a, (-1, 1)) * fn.reshape(b, (1, -1))


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """Of each place the first choice whose condition is true there."""
    made: Any = tensor(default)
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        made = fn.where(condition, choice, cast(made, tensor(choice).dtype))
    return made


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Numbers at equal distances, along a new axis."""
    a, b = fn.floating(start), fn.floating(stop)
    steps = np.arange(num, dtype=np.float32) / np.float32(max(num - 1 if endpoint else num, 1))
    a, b = a + 0.0 * b, b + 0.0 * a  # of one shape
    along = axis % (a.rank + 1)
    shares = tensor(steps.reshape([num if d == along else 1 for d in range(a.rank + 1)]))
    a, b = fn.expand_dims(a, along), fn.expand_dims(b, along)
    made = a + (b - a) * shares
    return made if dtype is None else cast(made, dtype)


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Numbers for what is none, and for infinities: the greatest of float32, by default."""
    x = fn.floating(x)
    most = float(np.finfo(np.float32).max)
    infinite = fn.is_inf(x)
    high, low = (
        fn.zeros_like(x) + (d if v is None else v) for v, d in ((posinf, most), (neginf, -most))
    )
    x = fn.where(fn.is_nan(x), fn.zeros_like(x) + nan, x)
    return fn.where(infinite, fn.where(x > 0, high, low), x)


def tril(x: Any, k: int = 0) -> Any:
    """Without what is above the k-th diagonal."""
    return _triangle(np.tril, x, k)


def triu(x: Any, k: int = 0) -> Any:
    """Without what is below the k-th diagonal."""
    return _triangle(np.triu, x, k)


def _triangle(cut: Callable[..., np.ndarray], x: Any, k: int) -> Any:
    x = tensor(x)
    return fn.where(tensor(cut(np.ones(x.shape[-2:], bool), k)), x, fn.zeros_like(x))


def slice(inputs: Any, start_indices: Any, shape: Any = ()) -> Any:
    """The part that begins at known places, of a shape."""
    begin = [int(n) for n in np.asarray(start_indices)]
    return blocks.slice(inputs, begin, [int(n) for n in shape])


def unstack(x: Any, num: int | None = None, axis: int = 0) -> Any:
    """The parts along an axis, which is gone."""
    return parts.unstack(x, axis)


def rfft(x: Any, fft_length: int | None = None) -> Any:
    """Real and imaginary parts of the Fourier transform of the last dim."""
    made = spectral.rfft(x, fft_length)
    return complex.real(made), complex.imag(made)


def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """Windows of the last dim: [..., windows, sequence_length]."""
    x = tensor(x)
    count = 1 + (x.shape[-1] - sequence_length) // sequence_stride
    places = np.arange(count)[:, None] * sequence_stride + np.arange(sequence_length)
    return indices.gather(x, places.astype(np.int32), x.rank - 1)


def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: Any = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Any:
    """With mean 0 and variance 1 over axes; of which gamma and beta have the sizes."""
    x = fn.floating(x)
    least = _EPSILON if epsilon is None else epsilon
    off = x - fn.mean(x, axis, True)
    scaled = (x if rms_scaling else off) * fn.rsqrt(fn.mean(off * off, axis, True) + least)
    if gamma is not None:
        scaled = scaled * _along(x, gamma, axis)
    return scaled if beta is None or rms_scaling else scaled + _along(x, beta, axis)


def rms_normalization(
    x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None
) -> Any:
    """Divided by the root of the mean of squares over axes."""
    x = fn.floating(x)
    least = _EPSILON if epsilon is None else epsilon
    made = x * fn.rsqrt(fn.mean(x * x, axis, True) + least)
    return made if scale is None else made * _along(x, scale, axis)


def _along(x: Any, factor: Any, axis: Any) -> Any:
    """A factor with the sizes of axes of x, so that it spreads over x."""
    axes = {a % x.rank for a in ([axis] if isinstance(axis, int) else axis)}
    return fn.reshape(factor, [x.shape[d] if d in axes else 1 for d in range(x.rank)])


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """Attention, [N, T, heads, size]; keys and values may have fewer heads, which are shared."""
    q, k, v = (fn.transpose(fn.floating(x), (0, 2, 1, 3)) for x in (query, key, value))
    groups = q.shape[1] // k.shape[1]
    k, v = (parts.repeat(x, groups, 1) if groups > 1 else x for x in (k, v))
    size = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = fn.matmul(q, k, transpose_b=True) * size
    if bias is not None:
        scores = scores + bias
    if attn_logits_soft_cap is not None:
        scores = fn.tanh(scores / attn_logits_soft_cap) * attn_logits_soft_cap
    if is_causal:
        seen = tensor(np.tril(np.ones(scores.shape[-2:], bool)))
        mask = seen if mask is None else fn.logical_and(cast(tensor(mask), "bool"), seen)
    if mask is not None:
        low = fn.zeros_like(scores) + -0.7 * float(np.finfo(np.float32).max)  # Keras's own
        scores = fn.where(cast(tensor(mask), "bool"), scores, low)
    return fn.transpose(fn.matmul(fn.softmax(scores), v), (0, 2, 1, 3))


def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
) -> Any:
    """Windows of pictures, [N, rows, columns, size * size * channels]."""
    x = tensor(images)
    lone = x.rank == 3
    x = fn.expand_dims(x, 0) if lone else x
    window, apart = _pair(size), _pair(dilation_rate)
    step = window if strides is None else _pair(strides)
    reach = [(w - 1) * d + 1 for w, d in zip(window, apart, strict=True)]
    if padding == "same":
        around = []
        for n, s, r in zip(x.shape[1:3], step, reach, strict=True):
            more = max((-(-n // s) - 1) * s + r - n, 0)
            around.append((more // 2, more - more // 2))
        x = fn.pad(x, [(0, 0), *around, (0, 0)])
    rows, columns = ((n - r) // s + 1 for n, r, s in zip(x.shape[1:3], reach, step, strict=True))
    found = []
    for i in range(window[0]):
        for j in range(window[1]):
            top, left = i * apart[0], j * apart[1]
            found.append(
                x[:, top : top + (rows - 1) * step[0] + 1 : step[0],
                  left : left + (columns - 1) * step[1] + 1 : step[1]]
            )  # fmt: skip
    made = fn.concat(found, -1)
    return fn.squeeze(made, 0) if lone else made


def _pair(value: Any) -> Sequence[int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
) -> Any:
    """Pictures with 0 around them; of two paddings and a size, one follows from the others."""
    x = tensor(images)
    first = x.rank - 3
    sides = []
    for n, before, after, whole in (
        (x.shape[first], top_padding, bottom_padding, target_height),
        (x.shape[first + 1], left_padding, right_padding, target_width),
    ):
        if before is None:
            before = (whole or n) - n - (after or 0)
        if after is None:
            after = (whole or n + before) - n - before
        sides.append((before, after))
    return fn.pad(x, [*[(0, 0)] * first, *sides, (0, 0)])


OPS: dict[str, Callable[..., Any]] = {
    f"keras.{made.__name__}": made
    for made in (
        average, count_nonzero, dot, dot_product_attention, extract_patches, extract_sequences,
        layer_normalization, linspace, median, nan_to_num, outer, pad_images, rfft,
        rms_normalization, select, slice, tensordot, tril, triu, unstack,
    )
}  # fmt: skip

__all__ = ["OPS"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

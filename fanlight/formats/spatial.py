"""Arithmetic of windows that slide over images, as TensorFlow and Keras define it."""

from __future__ import annotations

from fanlight.formats.emitter import Emitter, Tensor

Pads = tuple[tuple[int, int], tuple[int, int]]


def same_padding(size: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """TensorFlow's SAME: ceil(size / stride) results, the odd pixel of padding at the end."""
    reach = (window - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def to_nhwc(em: Emitter, x: Tensor, name: str) -> Tensor:
    """[N, C, H, W] -> [N, H, W, C] (any number of spatial dims)."""
    rank = len(x.shape)
    return em.transpose(x, (0, *range(2, rank), 1), f"{name}/nhwc")


def from_nhwc(em: Emitter, x: Tensor, name: str) -> Tensor:
    """[N, H, W, C] -> [N, C, H, W] (any number of spatial dims)."""
    rank = len(x.shape)
    return em.transpose(x, (0, rank - 1, *range(1, rank - 1)), f"{name}/nchw")

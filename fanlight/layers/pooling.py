"""Pooling over windows, over all places, and to a fixed number of places.

Inputs are [N, ..., C], or [N, C, ...] with data_format="channels_first".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.layers import config
from fanlight.layers.arguments import data_format as format_of
from fanlight.layers.arguments import from_last, one_of, per_dim, ranked, to_last
from fanlight.layers.layer import Layer
from fanlight.tensor import Tensor, cast, windows
from fanlight.tensor import functions as fn
from fanlight.tensor.core import type_of

_MAX: dict[int, Callable[..., Tensor]] = {
    1: windows.max_pool1d,
    2: windows.max_pool,
    3: windows.max_pool3d,
}
_AVERAGE: dict[int, Callable[..., Tensor]] = {
    1: windows.avg_pool1d,
    2: windows.avg_pool,
    3: windows.avg_pool3d,
}


# --- over windows ---------------------------------------------------------------------------------


class _Pooling(Layer):
    """Pooling over windows."""

    fields = ("pool_size", "strides", "padding", "data_format")
    dims = 0
    pools = _MAX

    def _set(self, pool_size: Any, strides: Any, padding: Any, format: Any) -> None:
        self.pool_size = per_dim(self, "pool_size", pool_size, self.dims)
        self.strides = self.pool_size
        if strides is not None:
            self.strides = per_dim(self, "strides", strides, self.dims)
        self.padding = one_of(self, "padding", padding, ("valid", "same"))
        self.data_format = format_of(self, format)

    def call(self, inputs: Any) -> Tensor:
        x = to_last(ranked(self, inputs, self.dims + 2), self.data_format)
        y = self.pools[self.dims](x, self.pool_size, self.strides, self.padding)
        return from_last(y, self.data_format)


class _MaxPooling(_Pooling):
    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self._set(pool_size, strides, padding, data_format)


class _AveragePooling(_Pooling):
    pools = _AVERAGE

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self._set(pool_size, strides, padding, data_format)


class MaxPooling1D(_MaxPooling):
    """The greatest number of each window: [N, W, C] -> [N, w, C]; padding does not count.

    Args:
        strides: those of the window where none are given.
    """

    dims = 1


class MaxPooling2D(_MaxPooling):
    """The greatest number of each window: [N, H, W, C] -> [N, h, w, C]; see MaxPooling1D."""

    dims = 2


class MaxPooling3D(_MaxPooling):
    """The greatest number of each window: [N, D, H, W, C] -> [N, d, h, w, C]; see MaxPooling1D."""

    dims = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window: [N, W, C] -> [N, w, C]; padding does not count.

    Args:
        strides: those of the window where none are given.
    """

    dims = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window: [N, H, W, C] -> [N, h, w, C]; see AveragePooling1D."""

    dims = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window: [N, D, H, W, C] -> [N, d, h, w, C]; see AveragePooling1D."""

    dims = 3


# --- over all places ------------------------------------------------------------------------------


class _GlobalPooling(Layer):
    """Pooling over all places."""

    fields = ("data_format", "keepdims")
    dims = 0

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.data_format, self.keepdims = format_of(self, data_format), bool(keepdims)

    def axes(self) -> tuple[int, ...]:
        """The spatial dims."""
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.dims))

    def pooled(self, x: Tensor) -> Tensor:
        """x [N, ..., C] without its spatial dims."""
        raise config.unwritten(self, "pooled")

    def call(self, inputs: Any) -> Tensor:
        return self.pooled(ranked(self, inputs, self.dims + 2))


class _GlobalMax(_GlobalPooling):
    def pooled(self, x: Tensor) -> Tensor:
        return fn.max(x, self.axes(), keepdims=self.keepdims)


class _GlobalAverage(_GlobalPooling):
    def pooled(self, x: Tensor) -> Tensor:
        return fn.mean(x, self.axes(), keepdims=self.keepdims)


class GlobalMaxPooling1D(_GlobalMax):
    """The greatest number of each channel: [N, W, C] -> [N, C], or [N, 1, C] with keepdims."""

    dims = 1


class GlobalMaxPooling2D(_GlobalMax):
    """The greatest number of each channel: [N, H, W, C] -> [N, C]; see GlobalMaxPooling1D."""

    dims = 2


class GlobalMaxPooling3D(_GlobalMax):
    """The greatest number of each channel: [N, D, H, W, C] -> [N, C]; see GlobalMaxPooling1D."""

    dims = 3


class GlobalAveragePooling1D(_GlobalAverage):
    """The mean of each channel: [N, W, C] -> [N, C], or [N, 1, C] with keepdims.

    Places that a mask [N, W] leaves out do not count; where it leaves all out, the mean is 0.
    """

    dims = 1
    supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return None

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        x = ranked(self, inputs, 3)
        axis = self.axes()[0]
        counts = fn.expand_dims(cast(mask, "float32"), 2 if axis == 1 else 1)
        total = fn.sum(x * counts, axis, keepdims=self.keepdims)
        return total / fn.maximum(fn.sum(counts, axis, keepdims=self.keepdims), 1.0)


class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel: [N, H, W, C] -> [N, C], or [N, 1, 1, C] with keepdims."""

    dims = 2


class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel: [N, D, H, W, C] -> [N, C], or [N, 1, 1, 1, C] with keepdims."""

    dims = 3


# --- to a fixed number of places ------------------------------------------------------------------


class _AdaptivePooling(Layer):
    """Pooling whose windows follow from the size of the result.

    Place i of m over n places sees those from floor(i n / m) up to ceil((i + 1) n / m).
    """

    fields = ("output_size", "data_format")
    dims = 0

    def __init__(self, output_size: Any, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.output_size = per_dim(self, "output_size", output_size, self.dims)
        self.data_format = format_of(self, data_format)

    def along(self, x: Tensor, axis: int, size: int) -> Tensor:
        """x pooled along one axis."""
        raise config.unwritten(self, "along")

    def call(self, inputs: Any) -> Tensor:
        x = to_last(ranked(self, inputs, self.dims + 2), self.data_format)
        type_of((x.shape[0], *self.output_size, x.shape[-1]), "float32")  # E-TENSOR-014
        for d, size in enumerate(self.output_size):
            if x.shape[d + 1] != size:
                x = self.along(x, d + 1, size)
        return from_last(x, self.data_format)


def _seen(n: int, m: int) -> list[tuple[int, int]]:
    """What each of m places sees of n: (first, beyond the last)."""
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


class _AdaptiveAverage(_AdaptivePooling):
    def along(self, x: Tensor, axis: int, size: int) -> Tensor:
        # Means are a product with a matrix of shares.
        before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        shares = np.zeros((size, n), np.float32)
        for i, (first, end) in enumerate(_seen(n, size)):
            shares[i, first:end] = 1.0 / (end - first)
        flat = fn.reshape(x, (int(np.prod(before)), n, int(np.prod(after))))
        return fn.reshape(fn.matmul(shares, flat), (*before, size, *after))


class _AdaptiveMax(_AdaptivePooling):
    def along(self, x: Tensor, axis: int, size: int) -> Tensor:
        all_of = (slice(None),) * axis
        made = [
            fn.max(x[(*all_of, slice(first, end))], axis, keepdims=True)
            for first, end in _seen(x.shape[axis], size)
        ]
        return fn.concat(made, axis)


class AdaptiveAveragePooling1D(_AdaptiveAverage):
    """Means of windows that follow from output_size: [N, W, C] -> [N, output_size, C].

    Place i of m over n places is the mean of those from floor(i n / m) up to ceil((i + 1) n / m).
    """

    dims = 1


class AdaptiveAveragePooling2D(_AdaptiveAverage):
    """Means of windows that follow from output_size, one or two numbers; see the one for 1D."""

    dims = 2


class AdaptiveAveragePooling3D(_AdaptiveAverage):
    """Means of windows that follow from output_size, one or three numbers; see the one for 1D."""

    dims = 3


class AdaptiveMaxPooling1D(_AdaptiveMax):
    """Maxima of windows that follow from output_size: [N, W, C] -> [N, output_size, C].

    Place i of m over n places sees those from floor(i n / m) up to ceil((i + 1) n / m).
    """

    dims = 1


class AdaptiveMaxPooling2D(_AdaptiveMax):
    """Maxima of windows that follow from output_size, one or two numbers; see the one for 1D."""

    dims = 2


class AdaptiveMaxPooling3D(_AdaptiveMax):
    """Maxima of windows that follow from output_size, one or three numbers; see the one for 1D."""

    dims = 3


AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
GlobalAvgPool1D, GlobalMaxPool1D = GlobalAveragePooling1D, GlobalMaxPooling1D
GlobalAvgPool2D, GlobalMaxPool2D = GlobalAveragePooling2D, GlobalMaxPooling2D
GlobalAvgPool3D, GlobalMaxPool3D = GlobalAveragePooling3D, GlobalMaxPooling3D

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

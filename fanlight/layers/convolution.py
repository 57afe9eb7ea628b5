"""Convolutions over one, two or three dims, plain, transposed, per channel and separable.

Inputs are [N, ..., C], or [N, C, ...] with data_format="channels_first". Arguments of all of them:

kernel_size, strides, dilation_rate: a whole number, or one per spatial dim.
padding: "valid" (none) or "same" (as many places as strides fit into the size); over one dim also
    "causal": zeros in front only, so that no place sees a later one.
activation, use_bias, *_initializer, *_regularizer, *_constraint: as for Dense.
"""

from __future__ import annotations

from typing import Any

from fanlight.layers import activations, config, constraints, initializers, regularizers
from fanlight.layers.arguments import (
    channel_axis,
    data_format,
    from_last,
    one_of,
    per_dim,
    ranked,
    to_last,
    whole,
)
from fanlight.layers.layer import Layer, argument_error, channels_of, input_error
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor, parts, windows
from fanlight.tensor import functions as fn

_PLAIN = {1: windows.conv1d, 2: windows.conv2d, 3: windows.conv3d}
_TRANSPOSED = {
    1: windows.conv1d_transpose,
    2: windows.conv2d_transpose,
    3: windows.conv3d_transpose,
}
Pairs = tuple[tuple[int, int], ...]


class _Windows(Layer):
    """What all convolutions share: windows over `dims` spatial dims, a bias, an activation."""

    dims = 0
    paddings: tuple[str, ...] = ("valid", "same")

    def _set_windows(
        self, kernel_size: Any, strides: Any, padding: Any, format: Any, dilation_rate: Any
    ) -> None:
        self.kernel_size = per_dim(self, "kernel_size", kernel_size, self.dims)
        self.strides = per_dim(self, "strides", strides, self.dims)
        self.padding = one_of(self, "padding", padding, self.paddings)
        self.data_format = data_format(self, format)
        self.dilation_rate = per_dim(self, "dilation_rate", dilation_rate, self.dims)

    def _set_result(
        self, activation: Any, use_bias: bool, initializer: Any, regularizer: Any, constraint: Any
    ) -> None:
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.bias_initializer = initializers.get(initializer)
        self.bias_regularizer = regularizers.get(regularizer)
        self.bias_constraint = constraints.get(constraint)
        self.channels = 0

    def _channels(self, input_shape: Any) -> int:
        axis = channel_axis(self.data_format)
        self.channels = channels_of(self, input_shape, self.dims + 2, axis)
        return self.channels

    def _bias(self, size: int) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                (size,),
                self.bias_initializer,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _pad(self) -> str | Pairs:
        """The padding as functions of windows take it."""
        if self.padding != "causal":
            return self.padding
        return (((self.kernel_size[0] - 1) * self.dilation_rate[0], 0),)

    def _windows(self, x: Tensor) -> Tensor:
        """The convolution of [N, ..., C], without bias."""
        raise config.unwritten(self, "_windows")

    def call(self, inputs: Any) -> Tensor:
        x = to_last(ranked(self, inputs, self.dims + 2), self.data_format)
        if x.shape[-1] != self.channels:
            raise input_error(self, f"{self.channels} channels", f"{x.shape[-1]} channels")
        y = self._windows(x)
        if self.use_bias:
            y = y + self.bias
        result: Tensor = self.activation(from_last(y, self.data_format))
        return result


_WINDOW_FIELDS = ("kernel_size", "strides", "padding", "data_format", "dilation_rate")
_KERNEL_FIELDS = (
    "activation",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "bias_constraint",
)


class _Kernel(_Windows):
    """A convolution with one kernel for all channels of a group."""

    def _set_kernel(self, initializer: Any, regularizer: Any, constraint: Any) -> None:
        self.kernel_initializer = initializers.get(initializer)
        self.kernel_regularizer = regularizers.get(regularizer)
        self.kernel_constraint = constraints.get(constraint)

    def _kernel(self, *channels: int) -> None:
        self.kernel = self.add_weight(
            (*self.kernel_size, *channels),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )


class _Conv(_Kernel):
    """A convolution."""

    fields = ("filters", *_WINDOW_FIELDS, "groups", *_KERNEL_FIELDS)

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.filters = whole(self, "filters", filters)
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate)
        self.groups = whole(self, "groups", groups)
        if filters % groups:
            raise argument_error(self, "groups", f"a divisor of {filters} filters", groups)
        self._set_kernel(kernel_initializer, kernel_regularizer, kernel_constraint)
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            expected = f"channels in {self.groups} groups of one size"
            raise input_error(self, expected, f"{channels} channels")
        self._kernel(channels // self.groups, self.filters)
        self._bias(self.filters)

    def _windows(self, x: Tensor) -> Tensor:
        options = {"strides": self.strides, "dilations": self.dilation_rate}
        if self.groups == 1:
            return _PLAIN[self.dims](x, self.kernel, padding=self._pad(), **options)
        if self.groups == self.channels and self.dims < 3:
            size = (*self.kernel_size, self.channels, self.filters // self.groups)
            return _depthwise(x, fn.reshape(self.kernel, size), padding=self._pad(), **options)
        pieces = zip(
            parts.split(x, self.groups, -1), parts.split(self.kernel, self.groups, -1), strict=True
        )
        made = [_PLAIN[self.dims](a, w, padding=self._pad(), **options) for a, w in pieces]
        return fn.concat(made, -1)


class Conv1D(_Conv):
    """activation(x * kernel + bias) over [N, W, C] -> [N, w, filters]; kernel [k, C, filters].

    Args:
        filters: number of channels of the result.
        groups: channels and filters in so many groups, each apart from the others.
    """

    dims = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """activation(x * kernel + bias) over [N, H, W, C]; kernel [kh, kw, C / groups, filters].

    y[n, i, j, f] = sum over p, q, c of x[n, i sh + p dh, j sw + q dw, c] kernel[p, q, c, f].

    Args:
        filters: number of channels of the result.
        groups: channels and filters in so many groups, each apart from the others.
    """

    dims = 2


class Conv3D(_Conv):
    """activation(x * kernel + bias) over [N, D, H, W, C]; kernel [kd, kh, kw, C, filters].

    Args:
        filters: number of channels of the result.
        groups: channels and filters in so many groups, each apart from the others.
    """

    dims = 3


# --- transposed -----------------------------------------------------------------------------------


class _ConvTranspose(_Kernel):
    """The transpose of a convolution, as a map of its input."""

    fields = ("filters", *_WINDOW_FIELDS, *_KERNEL_FIELDS, "output_padding")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.filters = whole(self, "filters", filters)
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate)
        self.output_padding: tuple[int, ...] | None = None
        if output_padding is not None:
            extra = per_dim(self, "output_padding", output_padding, self.dims, 0)
            if any(p >= s for p, s in zip(extra, self.strides, strict=True)):
                raise argument_error(
                    self, "output_padding", f"less than the strides {self.strides}", output_padding
                )
            self.output_padding = extra
        self._set_kernel(kernel_initializer, kernel_regularizer, kernel_constraint)
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        self._kernel(self.filters, self._channels(input_shape))
        self._bias(self.filters)

    def _windows(self, x: Tensor) -> Tensor:
        w = _spread(self.kernel, self.dilation_rate)
        extra = self.output_padding or (None,) * self.dims
        found = [
            _place(n, k, s, self.padding == "same", e)
            for n, k, s, e in zip(x.shape[1:-1], w.shape, self.strides, extra, strict=False)
        ]
        return _TRANSPOSED[self.dims](
            x, w, [size for size, _ in found], self.strides, [pair for _, pair in found]
        )


def _place(
    n: int, k: int, stride: int, same: bool, extra: int | None
) -> tuple[int, tuple[int, int]]:
    """Size of a result of n places, and how much of the whole, (n - 1) stride + k, is cut off.

    What is cut off behind may be less than what the size says: zeros follow then.
    """
    whole_size = (n - 1) * stride + k
    if not same:
        more = max(stride - k, 0) if extra is None else extra
        return whole_size + more, (0, 0)
    # n stride places without output_padding; with it, the centre of an odd kernel stays.
    kept = stride if extra is None else k % 2 + extra
    size = (n - 1) * stride + kept
    before = max(k - 1 - (kept + k - 1) // 2, 0)
    return size, (before, max(whole_size - before - size, 0))


def _spread(w: Any, dilations: tuple[int, ...]) -> Tensor:
    """A kernel with zeros between its taps."""
    for axis, d in enumerate(dilations):
        if d == 1 or w.shape[axis] == 1:
            continue
        taps, before, after = w.shape[axis], w.shape[:axis], w.shape[axis + 1 :]
        w = fn.reshape(w, (*before, taps, 1, *after))
        w = fn.pad(w, [(0, d - 1) if i == axis + 1 else (0, 0) for i in range(w.rank)])
        w = fn.reshape(w, (*before, taps * d, *after))
        end = (*before, (taps - 1) * d + 1, *after)
        w = w[tuple(slice(0, n) for n in end)]
    return w


class Conv1DTranspose(_ConvTranspose):
    """The gradient of Conv1D, as a layer: [N, w, C] -> [N, W, filters]; kernel [k, filters, C].

    Args:
        output_padding: how many places more than the fewest possible.
    """

    dims = 1


class Conv2DTranspose(_ConvTranspose):
    """The gradient of Conv2D, as a layer: kernel [kh, kw, filters, C].

    Without padding a result has (h - 1) stride + k places, or more where strides leave gaps; with
    padding "same" h stride.

    Args:
        output_padding: how many places more than the fewest possible.
    """

    dims = 2


class Conv3DTranspose(_ConvTranspose):
    """The gradient of Conv3D, as a layer: kernel [kd, kh, kw, filters, C].

    Args:
        output_padding: how many places more than the fewest possible; behind data_format, as Keras
            has it.
    """

    dims = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **options,
        )


# --- each channel by itself -----------------------------------------------------------------------


def _depthwise(x: Tensor, w: Any, strides: Any, padding: Any, dilations: Any) -> Tensor:
    """Each channel with its own kernels, over one dim or two: w [k, C, M] or [kh, kw, C, M]."""
    if x.rank == 4:
        return windows.depthwise_conv2d(x, w, strides, padding, dilations)
    n, size, channels = x.shape
    if not isinstance(padding, str):
        padding = ((0, 0), *padding)
    y = windows.depthwise_conv2d(
        fn.reshape(x, (n, 1, size, channels)),
        fn.reshape(w, (1, *w.shape)),
        (1, *strides),
        padding,
        (1, *dilations),
    )
    return fn.reshape(y, (n, *y.shape[2:]))


def _without_kernel(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what Keras 2 writes of a kernel that such layers do not have."""
    unused = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
    return {k: v for k, v in config.items() if k not in unused}


class _DepthwiseConv(_Windows):
    """A convolution of each channel by itself."""

    fields = (
        *_WINDOW_FIELDS,
        "depth_multiplier",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "bias_regularizer",
        "depthwise_constraint",
        "bias_constraint",
    )

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = whole(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            "kernel",
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self._bias(channels * self.depth_multiplier)

    def _windows(self, x: Tensor) -> Tensor:
        return _depthwise(x, self.kernel, self.strides, self._pad(), self.dilation_rate)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return super().from_config(_without_kernel(config))


class DepthwiseConv1D(_DepthwiseConv):
    """Each channel of [N, W, C] with its own depth_multiplier kernels: [N, w, C M].

    The kernel is [k, C, M].
    """

    dims = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Each channel of [N, H, W, C] with its own depth_multiplier kernels: [N, h, w, C M].

    The kernel is [kh, kw, C, M]; channel c gives the channels c M to c M + M - 1.
    """

    dims = 2


class _SeparableConv(_Windows):
    """A convolution of each channel by itself, then one of all channels at each place."""

    fields = (
        "filters",
        *_WINDOW_FIELDS,
        "depth_multiplier",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "pointwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "pointwise_regularizer",
        "bias_regularizer",
        "depthwise_constraint",
        "pointwise_constraint",
        "bias_constraint",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.filters = whole(self, "filters", filters)
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = whole(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.depthwise_kernel: Weight = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            "depthwise_kernel",
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.pointwise_kernel: Weight = self.add_weight(
            (*(1,) * self.dims, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer,
            "pointwise_kernel",
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
        )
        self._bias(self.filters)

    def _windows(self, x: Tensor) -> Tensor:
        w = self.depthwise_kernel
        y = _depthwise(x, w, self.strides, self._pad(), self.dilation_rate)
        return _PLAIN[self.dims](y, self.pointwise_kernel)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return super().from_config(_without_kernel(config))


class SeparableConv1D(_SeparableConv):
    """DepthwiseConv1D, then a Conv1D of kernel size 1 to `filters` channels.

    Weights: depthwise_kernel [k, C, M], pointwise_kernel [1, C M, filters], bias. Source: Chollet
    2017.
    """

    dims = 1


class SeparableConv2D(_SeparableConv):
    """DepthwiseConv2D, then a Conv2D of kernel size 1 to `filters` channels.

    Weights: depthwise_kernel [kh, kw, C, M], pointwise_kernel [1, 1, C M, filters], bias. Source:
    Chollet 2017.
    """

    dims = 2


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D

__all__ = [
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

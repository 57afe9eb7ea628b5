"""Layers that bring numbers to mean 0 and variance 1, or to length 1."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from fanlight.layers import config, constraints, initializers, regularizers, scope
from fanlight.layers.arguments import whole
from fanlight.layers.layer import Layer, argument_error, channels_of, input_error
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor, cast, gradients, neural
from fanlight.tensor import functions as fn

EPSILON = 1e-7  # Keras's


class _Scaled(Layer):
    """A normalisation with a scale, gamma, and an offset, beta."""

    gamma: Weight | None = None
    beta: Weight | None = None

    def _set_scale(
        self,
        center: bool,
        scale: bool,
        beta: tuple[Any, Any, Any],
        gamma: tuple[Any, Any, Any],
    ) -> None:
        """`beta`, `gamma`: initializer, regularizer, constraint."""
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta[0])
        self.beta_regularizer = regularizers.get(beta[1])
        self.beta_constraint = constraints.get(beta[2])
        self.gamma_initializer = initializers.get(gamma[0])
        self.gamma_regularizer = regularizers.get(gamma[1])
        self.gamma_constraint = constraints.get(gamma[2])

    def _build_scale(self, shape: Sequence[int], scale: bool, center: bool) -> None:
        if scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                "gamma",
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                "beta",
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )


def _epsilon(layer: Layer, epsilon: Any) -> float:
    if not isinstance(epsilon, int | float) or isinstance(epsilon, bool) or epsilon < 0:
        raise argument_error(layer, "epsilon", "a number from 0 on", epsilon)
    return float(epsilon)


def _axis(layer: Layer, axis: Any) -> int:
    """One axis; Keras 2 writes it as a list of one."""
    found = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    if not isinstance(found, int) or isinstance(found, bool):
        raise argument_error(layer, "axis", "an axis", axis)
    return found


def _axes(layer: Layer, axis: Any) -> list[int]:
    """One axis or several, as a list."""
    several = list(axis) if isinstance(axis, list | tuple) else [axis]
    if not several or any(not isinstance(a, int) or isinstance(a, bool) for a in several):
        raise argument_error(layer, "axis", "an axis, or several", axis)
    return several


def _placed(layer: Layer, axes: int | list[int], rank: int, received: Any) -> tuple[int, ...]:
    """Axes of an input of this rank, sorted, from 0 on; E-LAYER-001."""
    several = [axes] if isinstance(axes, int) else axes
    if any(not -rank <= a < rank for a in several):
        raise input_error(layer, f"dims among which axis {axes} is", received)
    return tuple(sorted(a % rank for a in several))


_SCALE_FIELDS = (
    "center",
    "scale",
    "beta_initializer",
    "gamma_initializer",
    "beta_regularizer",
    "gamma_regularizer",
    "beta_constraint",
    "gamma_constraint",
)


class BatchNormalization(_Scaled):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta, for each channel.

    In training mean and variance are those of the batch, and moving averages learn them:
    average momentum + value (1 - momentum). At inference, and while `trainable` is False, the
    averages are used. Places that a mask leaves out do not count.

    Args:
        axis: that of the channels.
        synchronized: as False: there is one device.
        renorm: as False; batch renormalisation is not offered.

    Weights: gamma, beta, moving_mean, moving_variance, each [C]. Source: Ioffe & Szegedy 2015.
    """

    fields = (
        "axis",
        "momentum",
        "epsilon",
        *_SCALE_FIELDS,
        "moving_mean_initializer",
        "moving_variance_initializer",
        "synchronized",
    )
    supports_masking = True

    def __init__(
        self,
        axis: Any = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis, self.epsilon = _axis(self, axis), _epsilon(self, epsilon)
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise argument_error(self, "momentum", "a number from 0 to 1", momentum)
        if renorm:
            raise argument_error(self, "renorm", "False", renorm)
        self.momentum, self.synchronized = float(momentum), bool(synchronized)
        self._set_scale(
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        _placed(self, self.axis, len(input_shape), f"shape {input_shape}")
        shape = (channels_of(self, input_shape, axis=self.axis),)
        self._build_scale(shape, self.scale, self.center)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, "moving_mean", trainable=False
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, "moving_variance", trainable=False
        )

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Tensor:
        x = cast(inputs, "float32")
        size = self.moving_mean.shape[0]
        at = _placed(self, self.axis, x.rank, x.type)[0]
        if x.shape[at] != size:
            raise input_error(self, f"{size} channels along axis {self.axis}", x.type)
        if not training or not self.trainable:
            return self._shifted(x, at, self.moving_mean, self.moving_variance)
        if mask is None:
            y, mean, variance = _of_batch(x, at, self.gamma, self.beta, self.epsilon)
        else:
            mean, variance = self._moments(x, at, mask)
            y = self._shifted(x, at, mean, variance)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept = scope.newest(average) * self.momentum
            new = gradients.stop_gradient(value) * (1.0 - self.momentum)
            scope.update(average, kept + new)
        return y

    def _shifted(self, x: Tensor, at: int, mean: Tensor, variance: Tensor) -> Tensor:
        """x with this mean and variance taken away, and its own given."""
        if at == x.rank - 1:
            return neural.batch_norm(x, mean, variance, self.beta, self.gamma, self.epsilon)
        wide = [n if d == at else 1 for d, n in enumerate(x.shape)]
        mean, variance = fn.reshape(mean, wide), fn.reshape(variance, wide)
        beta, gamma = (None if v is None else fn.reshape(v, wide) for v in (self.beta, self.gamma))
        return neural.batch_norm(x, mean, variance, beta, gamma, self.epsilon)

    def _moments(self, x: Tensor, at: int, mask: Any) -> tuple[Tensor, Tensor]:
        """Mean and variance [C] of what the mask leaves of the batch."""
        axes = tuple(d for d in range(x.rank) if d != at)
        if len(mask.shape) != x.rank - 1:
            raise input_error(self, f"a mask of {x.rank - 1} dims", f"{list(mask.shape)}")
        counts = fn.broadcast_to(fn.expand_dims(cast(mask, "bool"), -1), x.shape)
        total = fn.sum(cast(counts, "float32"), axes, keepdims=True) + EPSILON
        mean = fn.sum(fn.where(counts, x, 0.0), axes, keepdims=True) / total
        far = fn.where(counts, fn.square(x - mean), 0.0)
        variance = fn.sum(far, axes, keepdims=True) / total
        return fn.reshape(mean, (x.shape[at],)), fn.reshape(variance, (x.shape[at],))


def _of_batch(
    x: Tensor, at: int, gamma: Any, beta: Any, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(batch normalisation of x, mean [C], variance [C]): the mean first, then distances to it.

    Its gradient is written out: with g that of the result, h = x - mean and i = 1 / sqrt(variance +
    epsilon), that of x is gamma i (g - mean(g) - h i^2 mean(g h)): two sums and one pass over x,
    where the rules of the ops would take twice that.
    """
    axes = tuple(d for d in range(x.rank) if d != at)
    wide = [n if d == at else 1 for d, n in enumerate(x.shape)]
    size, count = x.shape[at], float(prod(x.shape) // max(x.shape[at], 1))
    own = [v for v in (gamma, beta) if v is not None]
    found: list[Tensor] = []

    def normalised(x: Tensor, *parts: Tensor) -> tuple[Tensor, Any]:
        mean, variance = neural.moments(x, axes, keepdims=True)
        found.extend(fn.reshape(v, (size,)) for v in (mean, variance))
        inverse = fn.rsqrt(variance + epsilon)
        factor = inverse if gamma is None else inverse * fn.reshape(parts[0], wide)
        y = (x - mean) * factor
        if beta is not None:
            y = y + fn.reshape(parts[-1], wide)

        def backward(g: Tensor) -> list[Tensor]:
            far = x - mean
            total = fn.sum(g, axes, keepdims=True)
            along = fn.sum(g * far, axes, keepdims=True)
            slope = factor * inverse * inverse * along * (-1.0 / count)
            made = [g * factor + (far * slope + factor * total * (-1.0 / count))]
            if gamma is not None:
                made.append(fn.reshape(along * inverse, (size,)))
            if beta is not None:
                made.append(fn.reshape(total, (size,)))
            return made

        return y, backward

    y: Tensor = gradients.custom_gradient(normalised)(x, *own)
    return y, found[0], found[1]


class LayerNormalization(_Scaled):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta, each example by itself.

    Args:
        axis: along which axes mean and variance are taken; gamma and beta have their sizes.
        rms_scaling: x / sqrt(variance + epsilon) gamma instead, as Keras has it.

    Source: Ba, Kiros & Hinton 2016.
    """

    fields = ("axis", "epsilon", *_SCALE_FIELDS, "rms_scaling")
    supports_masking = True

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis, self.epsilon = _axes(self, axis), _epsilon(self, epsilon)
        self.rms_scaling = bool(rms_scaling)
        self._set_scale(
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )

    def build(self, input_shape: Any) -> None:
        axes = _placed(self, self.axis, len(input_shape), f"shape {input_shape}")
        self.sizes = tuple(input_shape[a] for a in axes)
        plain = not self.rms_scaling
        self._build_scale(self.sizes, self.scale or not plain, self.center and plain)

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        axes = _placed(self, self.axis, x.rank, x.type)
        if tuple(x.shape[a] for a in axes) != self.sizes:
            raise input_error(self, f"sizes {self.sizes} along axis {self.axis}", x.type)
        wide = [n if d in axes else 1 for d, n in enumerate(x.shape)]
        gamma = None if self.gamma is None else fn.reshape(self.gamma, wide)
        beta = None if self.beta is None else fn.reshape(self.beta, wide)
        if self.rms_scaling:
            _, variance = neural.moments(x, axes, keepdims=True)
            return x * fn.rsqrt(variance + self.epsilon) * gamma
        return neural.layer_norm(x, gamma, beta, axes, self.epsilon)


class GroupNormalization(_Scaled):
    """Layer normalisation of groups of channels, over all places of an example.

    Args:
        groups: how many; -1 or the number of channels is instance normalisation.
        axis: that of the channels.

    Source: Wu & He 2018.
    """

    fields = ("groups", "axis", "epsilon", *_SCALE_FIELDS)
    supports_masking = True

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if groups != -1:
            whole(self, "groups", groups)
        self.groups = groups
        self.axis, self.epsilon = _axis(self, axis), _epsilon(self, epsilon)
        self._set_scale(
            center,
            scale,
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )

    def build(self, input_shape: Any) -> None:
        _placed(self, self.axis, len(input_shape), f"shape {input_shape}")
        self.channels = channels_of(self, input_shape, axis=self.axis)
        if self.groups == -1:
            self.groups = self.channels
        if self.channels % self.groups:
            expected = f"channels in {self.groups} groups of one size"
            raise input_error(self, expected, f"{self.channels} channels")
        self._build_scale((self.channels,), self.scale, self.center)

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        at = _placed(self, self.axis, x.rank, x.type)[0]
        if x.rank < 2 or at == 0 or x.shape[at] != self.channels:
            raise input_error(self, f"{self.channels} channels along axis {self.axis}", x.type)
        before, after = x.shape[1:at], x.shape[at + 1 :]
        parts = (
            x.shape[0], prod(before), self.groups, self.channels // self.groups, prod(after)
        )  # fmt: skip
        y = neural.layer_norm(fn.reshape(x, parts), axis=(1, 3, 4), epsilon=self.epsilon)
        y = fn.reshape(y, x.shape)
        wide = [n if d == at else 1 for d, n in enumerate(x.shape)]
        if self.gamma is not None:
            y = y * fn.reshape(self.gamma, wide)
        if self.beta is not None:
            y = y + fn.reshape(self.beta, wide)
        return y


class UnitNormalization(Layer):
    """x over its length along the axis, or along several."""

    fields = ("axis",)
    supports_masking = True

    def __init__(self, axis: Any = -1, **options: Any) -> None:
        super().__init__(**options)
        several = _axes(self, axis)
        self.axis = several if isinstance(axis, list | tuple) else several[0]

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        return _unit(x, _placed(self, self.axis, x.rank, x.type))


def _unit(x: Any, axes: Any = None) -> Tensor:
    """x over its length along axes; zeros stay."""
    power = fn.sum(fn.square(x), axes, keepdims=True)
    unit: Tensor = x * fn.rsqrt(fn.maximum(power, 1e-24))
    return unit


class RMSNormalization(Layer):
    """x / sqrt(mean(x^2) + epsilon) scale, the mean along the axis. Source: Zhang & Sennrich 2019.

    Args:
        axis: one axis or several; the weight `scale` has their sizes.
    """

    fields = ("axis", "epsilon")

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.axis, self.epsilon = _axes(self, axis), _epsilon(self, epsilon)

    def build(self, input_shape: Any) -> None:
        axes = _placed(self, self.axis, len(input_shape), f"shape {input_shape}")
        self.scale = self.add_weight([input_shape[a] for a in axes], "ones", "scale")

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        axes = _placed(self, self.axis, x.rank, x.type)
        if tuple(x.shape[a] for a in axes) != self.scale.shape:
            raise input_error(self, f"sizes {self.scale.shape} along axis {self.axis}", x.type)
        wide = [n if d in axes else 1 for d, n in enumerate(x.shape)]
        return neural.rms_norm(x, fn.reshape(self.scale, wide), axes, self.epsilon)


class SpectralNormalization(Layer):
    """A layer whose kernel has a spectral norm of 1: in training it is divided by it first.

    The norm is that of the kernel as a matrix [all other dims, last], found by steps of power
    iteration from where the last call ended.

    Args:
        layer: one with a `kernel`, or with `embeddings`.
        power_iterations: steps per call.

    Weights: the kernel, vector_u [1, last], then the others of the layer. Source: Miyato et
    al. 2018.
    """

    fields = ("layer", "power_iterations")

    def __init__(self, layer: Any, power_iterations: int = 1, **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(layer, Layer):
            raise argument_error(self, "layer", "a layer", layer)
        self.layer = layer
        self.power_iterations = whole(self, "power_iterations", power_iterations)
        if power_iterations > 100:  # each is a part of the compiled step
            raise argument_error(self, "power_iterations", "1 to 100", power_iterations)

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            self.layer._build(input_shape)
        self.kernel_name = "kernel" if hasattr(self.layer, "kernel") else "embeddings"
        kernel = getattr(self.layer, self.kernel_name, None)
        if not isinstance(kernel, Weight):
            expected = "a layer that has a kernel or embeddings"
            raise argument_error(self, "layer", expected, self.layer)
        self._weights.append(kernel)  # first among its weights, as Keras has it
        self.vector_u = self.add_weight(
            (1, kernel.shape[-1]),
            initializers.TruncatedNormal(stddev=0.02),
            "vector_u",
            trainable=False,
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return self.layer(inputs)
        kernel = getattr(self.layer, self.kernel_name)
        u, normal = self._normalised(kernel)
        scope.update(self.vector_u, u)
        scope.update(kernel, gradients.stop_gradient(normal))
        # The layer computes with the kernel that is divided, so that gradients pass through it.
        setattr(self.layer, self.kernel_name, normal)
        try:
            return self.layer(inputs)
        finally:
            setattr(self.layer, self.kernel_name, kernel)

    def _normalised(self, kernel: Weight) -> tuple[Tensor, Tensor]:
        """What vector_u becomes, and the kernel over its norm; zeros stay as they are."""
        value = scope.newest(kernel)
        w = fn.reshape(value, (prod(kernel.shape[:-1]), kernel.shape[-1]))
        fixed, before = gradients.stop_gradient(w), scope.newest(self.vector_u)
        u = before
        for _ in range(self.power_iterations):
            v = _unit(fn.matmul(u, fixed, transpose_b=True))
            u = _unit(fn.matmul(v, fixed))
        norm = fn.matmul(fn.matmul(v, w), u, transpose_b=True)
        nothing = fn.all(fn.equal(fixed, 0.0))
        norm = fn.where(nothing, 1.0, norm)
        return fn.where(nothing, before, u), fn.reshape(w / norm, kernel.shape)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return cls(**(config | {"layer": _inner(config.get("layer"))}))


def _inner(given: Any) -> Any:
    if isinstance(given, Layer) or given is None:
        return given
    from fanlight import layers

    return config.lookup("layer", given, {n: getattr(layers, n) for n in layers.__all__})


__all__ = [
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "SpectralNormalization",
    "UnitNormalization",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)

"""Layers that make numbers fit for training: scaled, put into bins, one-hot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.layers.layer import Layer, argument_error, input_error
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.sorting import upper_bound

__all__ = ["CategoryEncoding", "Discretization", "Normalization"]

EPSILON = 1e-7
MODES = ("int", "one_hot", "multi_hot", "count")


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


def encoded(indices: Any, mode: str, depth: int, weights: Any = None) -> Tensor:
    """Indices in an output mode; those below 0 count nowhere.

    Args:
        indices: int32 [..., n].
        mode: "int": as they are. "one_hot": [..., n, depth], without n if that is 1. "multi_hot":
            [..., depth], 1 for each that comes. "count": how often each comes.
        weights: of the indices, for "count".
    """
    x = cast(indices, "int32")
    if mode == "int":
        return x
    if x.rank == 0:
        x = fn.reshape(x, (1,))
    if mode == "one_hot":
        if x.rank > 1 and x.shape[-1] == 1:
            x = fn.reshape(x, x.shape[:-1])
        return fn.one_hot(x, depth)
    places = fn.one_hot(x, depth)
    if mode == "multi_hot":
        return fn.max(places, axis=-2) if x.shape[-1] else fn.sum(places, axis=-2)
    if weights is not None:
        places = places * fn.expand_dims(fn.reshape(cast(weights, "float32"), x.shape), -1)
    return fn.sum(places, axis=-2)


def check_mode(layer: Layer, mode: Any, allowed: Sequence[str], sparse: Any) -> str:
    """An output mode, by its old names, too; E-LAYER-004."""
    mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(mode, mode)
    if mode not in allowed:
        raise argument_error(layer, "output_mode", " or ".join(allowed), mode)
    if sparse:
        raise argument_error(layer, "sparse", "False: tensors are dense", sparse)
    return str(mode)


def batches(layer: Layer, data: Any, steps: int | None = None) -> Iterator[Any]:
    """The arrays of what a layer is adapted to: one array, or batches of a dataset or iterable.

    Of a batch (x, y) only x counts.
    """
    if data is None or isinstance(data, Mapping | str | bytes):
        raise input_error(layer, "an array, a dataset, or an iterable of batches", data)
    whole = isinstance(data, np.ndarray | Tensor) or hasattr(data, "__array__")
    if not whole and isinstance(data, list | tuple):
        whole = not any(isinstance(v, np.ndarray | Tensor) for v in data)
    if whole:
        yield tensor(data).numpy()
        return
    for i, batch in enumerate(data):
        if steps is not None and i >= steps:
            return
        part = batch[0] if isinstance(batch, tuple) else batch
        yield tensor(part).numpy()


class Normalization(Layer):
    """(x - mean) / sqrt(variance), by the axes that are kept.

    Args:
        axis: the axes that have a mean each; None: one mean for all.
        mean, variance: if they are known; otherwise `adapt` finds them.
        invert: x sqrt(variance) + mean: what undoes it.
    """

    fields = ("axis", "invert", "mean", "variance")
    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for argument, value in (("mean", mean), ("variance", variance)):
            try:
                np.asarray(0.0 if value is None else value, np.float32)
            except (TypeError, ValueError):
                raise argument_error(self, argument, "a number, or several", value) from None
        if (mean is None) != (variance is None) or np.shape(mean) != np.shape(variance):
            raise argument_error(
                self, "variance", "mean and variance, both, of one shape", (mean, variance)
            )
        axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if not all(isinstance(a, int) for a in axes) or np.ndim(mean) > len(axes):
            raise argument_error(
                self, "axis", "whole numbers, at least as many as mean has dims", axis
            )
        self.axis, self.mean, self.variance, self.invert = axes, mean, variance, bool(invert)

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if any(not -rank <= a < rank for a in self.axis):
            raise input_error(self, f"more dims, for axis={self.axis}", f"shape {input_shape}")
        self.kept = sorted(a % rank for a in self.axis)
        self.reduced = tuple(d for d in range(rank) if d not in self.kept)
        if any(input_shape[d] is None for d in self.kept):
            raise input_error(
                self, f"known sizes of the axes {self.axis}", f"shape {input_shape}",
                "axis=None has one mean for all.",
            )  # fmt: skip
        self.wide = tuple(input_shape[d] if d in self.kept else 1 for d in range(rank))
        if self.mean is None:
            shape = tuple(input_shape[d] for d in self.kept)
            self.adapted_mean = self.add_weight(shape, "zeros", "mean", trainable=False)
            self.adapted_variance = self.add_weight(shape, "ones", "variance", trainable=False)
            # It is in Keras's files.
            self.count = self.add_weight((), "zeros", "count", dtype="int32", trainable=False)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find mean and variance of data: an array, a dataset, or an iterable of batches."""
        if self.mean is not None:
            raise argument_error(self, "mean", "no mean, for adapt", self.mean)
        mean: Any = None
        variance: Any = 0.0
        count = 0
        for part in batches(self, data, steps):
            if not self.built:
                self._build((None, *part.shape[1:]) if part.ndim else ())
            sizes = tuple(part.shape[d] for d in self.kept if d < part.ndim)
            if part.ndim != len(self.wide) or sizes != self.adapted_mean.shape:
                raise input_error(self, f"batches like {self.built_with}", f"{list(part.shape)}")
            x = part.astype(np.float64)
            own, spread = x.mean(self.reduced), x.var(self.reduced)
            many = x.size // max(1, own.size)
            if mean is None:
                mean, variance, count = own, spread, many
                continue
            # Chan, Golub, LeVeque 1979: means and squares of two parts as those of the whole.
            share, step = many / (count + many), own - mean
            variance = (1 - share) * variance + share * spread + share * (1 - share) * step**2
            mean, count = mean + share * step, count + many
        if mean is None or not count:
            raise input_error(self, "at least one example", "no data")
        self.adapted_mean.assign(tensor(np.asarray(mean, np.float32)))
        self.adapted_variance.assign(tensor(np.asarray(variance, np.float32)))
        self.count.assign(tensor(np.int32(min(count, 2**31 - 1))))

    def _placed(self, value: Any) -> Tensor:
        """A mean or variance along its axes."""
        if self.mean is None:
            return fn.reshape(value, self.wide)
        given = np.asarray(value, np.float32)
        shape = [1] * len(self.wide)
        for size, d in zip(reversed(given.shape), reversed(self.kept), strict=False):
            shape[d] = size
        return tensor(given.reshape(shape))

    def call(self, inputs: Any) -> Tensor:
        x = cast(inputs, "float32")
        own = self.mean is None
        mean = self._placed(self.adapted_mean if own else self.mean)
        variance = self._placed(self.adapted_variance if own else self.variance)
        deviation = fn.maximum(fn.sqrt(variance), EPSILON)
        return x * deviation + mean if self.invert else (x - mean) / deviation


class Discretization(Layer):
    """Numbers as the numbers of the bins that they are in.

    Args:
        bin_boundaries: rising: [0, 1] makes the bins below 0, from 0 to below 1, from 1 on.
        num_bins: how many there are, if `adapt` finds their boundaries: as many numbers in each.
        epsilon: how exact Keras is with it; here they are exact.
        output_mode: "int", or float32 "one_hot", "multi_hot" or "count"; see `CategoryEncoding`.
    """

    fields = ("bin_boundaries", "num_bins", "epsilon", "output_mode", "sparse")

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.output_mode = check_mode(self, output_mode, MODES, sparse)
        if (bin_boundaries is None) == (num_bins is None):
            raise argument_error(
                self, "num_bins", "bin_boundaries or num_bins", (bin_boundaries, num_bins)
            )
        if num_bins is not None and (not isinstance(num_bins, int) or num_bins < 1):
            raise argument_error(self, "num_bins", "a whole number from 1 on", num_bins)
        self.num_bins, self.epsilon, self.sparse = num_bins, epsilon, False
        self.bin_boundaries = None if bin_boundaries is None else self._rising(bin_boundaries)

    def _rising(self, given: Any) -> list[float]:
        bounds = np.asarray(given, np.float64)
        if bounds.ndim != 1 or (np.diff(bounds) < 0).any() or not np.isfinite(bounds).all():
            raise argument_error(self, "bin_boundaries", "finite numbers, rising", given)
        return [float(b) for b in bounds]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        bounds = config.get("bin_boundaries")
        if bounds is None or config.get("num_bins") is None:
            return cls(**config)
        layer = cls(**{**config, "bin_boundaries": None})
        layer.bin_boundaries = layer._rising(bounds)
        return layer

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]  # Keras's has no such argument
        return config

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find boundaries between which there are as many numbers: the quantiles of data."""
        if self.num_bins is None:
            raise argument_error(self, "bin_boundaries", "num_bins, for adapt", self.bin_boundaries)
        parts = [p.astype(np.float32).reshape(-1) for p in batches(self, data, steps)]
        values = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.float32)
        values = values[np.isfinite(values)]
        if not values.size:
            raise input_error(self, "at least one finite number", "no data")
        if values.size < self.num_bins:
            self.bin_boundaries = [float(v) for v in values[:-1]]
            return
        # The value up to which this share of all lies.
        shares = np.arange(1, self.num_bins) / self.num_bins
        upto = np.arange(1, values.size + 1) / values.size
        self.bin_boundaries = [float(v) for v in np.interp(shares, upto, values).astype(np.float32)]

    def call(self, inputs: Any) -> Tensor:
        if self.bin_boundaries is None:
            raise input_error(
                self, "bin boundaries", "none", "give bin_boundaries, or call adapt(data) first."
            )
        bounds = np.asarray(self.bin_boundaries, np.float32)
        x = cast(inputs, "float32")
        found = upper_bound(bounds, x) if bounds.size else fn.zeros(x.shape, "int32")
        return encoded(found, self.output_mode, len(self.bin_boundaries) + 1)


class CategoryEncoding(Layer):
    """Class numbers as vectors.

    Args:
        num_tokens: how many classes there are; numbers outside count nowhere.
        output_mode: "one_hot": [..., num_tokens] for each number; "multi_hot": one vector for the
            last dim, 1 for each class that comes; "count": how often it comes.
    """

    fields = ("num_tokens", "output_mode")

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.output_mode = check_mode(self, output_mode, MODES[1:], sparse)
        if isinstance(num_tokens, bool) or not isinstance(num_tokens, int) or num_tokens < 1:
            raise argument_error(self, "num_tokens", "a whole number from 1 on", num_tokens)
        self.num_tokens = num_tokens

    def call(self, inputs: Any, count_weights: Any = None) -> Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise input_error(
                self, "no count_weights, except for output_mode=count", self.output_mode
            )
        return encoded(inputs, self.output_mode, self.num_tokens, count_weights)

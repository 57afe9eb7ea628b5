"""First values of weights: `fl.initializers`. Names, arguments and spreads are Keras's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers import config, seeds
from fanlight.layers.checked import Checked
from fanlight.layers.config import made_of
from fanlight.tensor.caller import caller
from fanlight.tensor.random import SeedGenerator

Shape = Sequence[int]
# A number, what gives another one at each draw, or what a file has for that.
Seed = int | SeedGenerator | Mapping[str, Any] | None
DTYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}


class Initializer(Checked):
    """Gives the first value of a weight: called with a shape and a dtype."""

    keras_module = "keras.initializers"

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        """An array of this shape."""
        raise config.unwritten(self, "__call__")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer of such arguments."""
        unused = ("dtype", "input_axes", "output_axes")  # Keras writes them
        known = {k: v for k, v in config.items() if k not in unused}
        return cls(**known)


class Zeros(Initializer):
    """Zeros."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return np.zeros(shape, DTYPES[dtype])


class Ones(Initializer):
    """Ones."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return np.ones(shape, DTYPES[dtype])


class Constant(Initializer):
    """One value everywhere, or an array that has the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value
        try:
            np.asarray(value, np.float32)
        except (TypeError, ValueError, OverflowError):
            raise _wrong(self, "value", "a number, or an array of them", value) from None

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        array: np.ndarray = np.asarray(self.value, DTYPES[dtype])
        try:
            return np.broadcast_to(array, tuple(shape)).copy()
        except ValueError:
            expected = f"shape {array.shape}, or one that it can be repeated to"
            raise _not_for("Constant", expected, shape) from None

    def get_config(self) -> dict[str, Any]:
        return {"value": config.plain(self.value)}


class _Random(Initializer):
    """One with a seed: the same seed gives the same numbers; None gives others each time.

    So does `fl.random.SeedGenerator(n)`, whose draws are the same in every run.
    """

    def __init__(self, seed: Seed = None) -> None:
        own = seed.get("config") if isinstance(seed, Mapping) else None  # of a file
        found = SeedGenerator.from_config(dict(own)) if isinstance(own, Mapping) else seed
        if not isinstance(found, int | SeedGenerator | None) or isinstance(found, bool):
            raise FanlightError(
                "E-LAYER-004",
                f"{type(self).__name__} does not take this seed.",
                where=f"seed of {type(self).__name__}, {caller()}",
                expected="a whole number, fl.random.SeedGenerator(n) or None",
                received=repr(seed)[:200],
            )
        self.seed = found

    def numbers(self) -> np.random.Generator:
        """Where they come from: of a generator other ones each time."""
        if isinstance(self.seed, SeedGenerator):
            high, low = (int(n) % 2**32 for n in self.seed.own().numpy())
            return seeds.generator(high << 32 | low)
        return seeds.generator(self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": config.plain(self.seed)}


class RandomNormal(_Random):
    """Normal numbers."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev
        if stddev < 0:
            raise _wrong(self, "stddev", "0 or more", stddev)

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return self.numbers().normal(self.mean, self.stddev, shape).astype(DTYPES[dtype])

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, "seed": config.plain(self.seed)}


class TruncatedNormal(RandomNormal):
    """Normal numbers, those beyond two standard deviations drawn again."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        drawn = truncated(self.numbers(), shape)
        return (self.mean + self.stddev * drawn).astype(DTYPES[dtype])


class RandomUniform(_Random):
    """Uniform numbers."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval
        if minval > maxval:
            raise _wrong(self, "minval", f"at most maxval, {maxval}", minval)

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return self.numbers().uniform(self.minval, self.maxval, shape).astype(DTYPES[dtype])

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, "seed": config.plain(self.seed)}


def truncated(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Standard normal numbers within two standard deviations."""
    drawn = rng.standard_normal(shape)
    while (far := np.abs(drawn) > 2).any():
        drawn = np.where(far, rng.standard_normal(shape), drawn)
    return drawn


def fans(
    shape: Shape, inputs: Sequence[int] | None = None, outputs: Sequence[int] | None = None
) -> tuple[float, float]:
    """How many numbers go into one of the result, and out of one of the input.

    Args:
        inputs, outputs: the axes that stand for them; default: the last but one and the last, and
            all before for both.
    """
    if inputs is not None and outputs is not None:
        return math.prod(shape[a] for a in inputs), math.prod(shape[a] for a in outputs)
    if not len(shape):
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class VarianceScaling(_Random):
    """A spread of scale / n: n numbers go in ("fan_in"), out ("fan_out"), or the mean of both.

    Args:
        input_axes, output_axes: the axes of what goes in and out, where those are not the last two.

    Source: He et al. 2015, Glorot & Bengio 2010.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        self.input_axes, self.output_axes = input_axes, output_axes
        modes = ("fan_in", "fan_out", "fan_avg")
        kinds = ("truncated_normal", "untruncated_normal", "normal", "uniform")
        if scale <= 0:
            raise _wrong(self, "scale", "a number above 0", scale)
        for argument, value, allowed in (
            ("mode", mode, modes),
            ("distribution", distribution, kinds),
        ):
            if value not in allowed:
                raise FanlightError(
                    "E-LAYER-004",
                    f"VarianceScaling has no such {argument}.",
                    where=argument,
                    expected=", ".join(allowed),
                    received=repr(value),
                )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        into, out = fans(shape, self.input_axes, self.output_axes)
        count = {"fan_in": into, "fan_out": out}.get(self.mode, (into + out) / 2)
        variance = self.scale / max(1.0, count)
        rng = self.numbers()
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            drawn = rng.uniform(-limit, limit, shape)
        elif self.distribution == "untruncated_normal":
            drawn = rng.normal(0, math.sqrt(variance), shape)
        else:  # 0.8796: the spread that is left when the tails are cut off
            drawn = truncated(rng, shape) * (math.sqrt(variance) / 0.87962566103423978)
        return drawn.astype(DTYPES[dtype])

    def get_config(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": config.plain(self.seed),
        } | self.axes()

    def axes(self) -> dict[str, Any]:
        """The axes that were given, for a file."""
        given = {"input_axes": self.input_axes, "output_axes": self.output_axes}
        return {k: list(v) for k, v in given.items() if v is not None}


class _Named(VarianceScaling):
    """A VarianceScaling with a name of its own, and a seed for its only argument."""

    form: tuple[float, str, str]

    def __init__(
        self,
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.form, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        return {"seed": config.plain(self.seed)} | self.axes()


class GlorotUniform(_Named):
    """Uniform within sqrt(6 / (in + out)). Source: Glorot & Bengio 2010."""

    form = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Normal with variance 2 / (in + out), truncated. Source: Glorot & Bengio 2010."""

    form = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform within sqrt(6 / in). Source: He et al. 2015."""

    form = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Normal with variance 2 / in, truncated. Source: He et al. 2015."""

    form = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform within sqrt(3 / in). Source: LeCun et al. 1998."""

    form = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Normal with variance 1 / in, truncated. Source: LeCun et al. 1998."""

    form = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
    """Rows or columns at right angles, of a matrix [all other dims, last]: Saxe et al. 2013."""

    def __init__(self, gain: float = 1.0, seed: Seed = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        if len(shape) < 2:
            raise _not_for("Orthogonal", "at least two dims", shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = self.numbers().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(drawn)
        q = q * np.sign(np.diag(r))
        q = q.T if rows < columns else q
        return (self.gain * q.reshape(shape)).astype(DTYPES[dtype])

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, "seed": config.plain(self.seed)}


class Identity(Initializer):
    """The identity matrix, times a gain."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        if len(shape) != 2:
            raise _not_for("Identity", "two dims", shape)
        return (self.gain * np.eye(shape[0], shape[1])).astype(DTYPES[dtype])

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


# Cosine sums: the coefficients of cos(2 pi k j / n), with changing signs.
WINDOWS: dict[str, tuple[float, ...]] = {
    "blackman": (0.42, 0.5, 0.08),
    "boxcar": (1.0,),
    "hamming": (0.54, 0.46),
    "hann": (0.5, 0.5),
}


def window_of(name: str, length: int, periodic: bool) -> np.ndarray:
    """A window of `WINDOWS`, float64 [length]: one turn of what goes on, or symmetric.

    Source: scipy.signal.get_window.
    """
    turn = 2 * np.pi * np.arange(length) / max(1, length if periodic else length - 1)
    parts = [(-1) ** j * a * np.cos(j * turn) for j, a in enumerate(WINDOWS[name])]
    return np.sum(parts, axis=0) if length > 1 else np.ones(length)


def numbers_of(window: Any, length: int) -> np.ndarray | None:
    """A window that is given by its numbers, float64 [length]; None if it is none of them."""
    try:
        made = np.asarray(window, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return made if made.shape == (length,) and np.isfinite(made).all() else None


class STFT(Initializer):
    """A kernel [frame, 1, frequencies] whose convolution is a short-time Fourier transform.

    Args:
        side: "real" or "imag".
        window: "hann", "hamming", "blackman" or "boxcar"; numbers for each place of a frame; or
            None.
        scaling: "density" divides by the root of the window's sum of squares, "spectrum" by the sum
            of its sizes; None: neither.
        periodic: whether the window is one turn of what goes on, or symmetric.
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise _wrong(self, "side", "real or imag", side)
        if isinstance(window, str) and window not in WINDOWS:
            raise _wrong(self, "window", f"{' or '.join(WINDOWS)}, or numbers", window)
        if scaling not in (None, "density", "spectrum"):
            raise _wrong(self, "scaling", "density, spectrum or None", scaling)
        self.side, self.window = side, window
        self.scaling, self.periodic = scaling, periodic

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
            raise _not_for("STFT", "[frame, 1, frequencies]", shape)
        frame, _, count = shape
        # Whole turns do not count: the remainder keeps the angle exact.
        turns = (np.arange(frame)[:, None] * np.arange(count)) % (2 * count - 2) / (2 * count - 2)
        angle = -2 * np.pi * turns[:, None]
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is not None:
            window = self._window(frame)
            by = {"density": math.sqrt((window**2).sum()), "spectrum": np.abs(window).sum()}
            kernel = kernel * (window[:, None, None] / (by.get(str(self.scaling), 1.0) or 1.0))
        return kernel.astype(DTYPES[dtype])

    def _window(self, frame: int) -> np.ndarray:
        if not isinstance(self.window, str):
            given = numbers_of(self.window, frame)
            if given is None:
                raise _wrong(self, "window", f"{frame} numbers", self.window)
            return given
        return window_of(self.window, frame, bool(self.periodic))

    def get_config(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "window": config.plain(self.window),
            "periodic": self.periodic,
            "scaling": self.scaling,
        }


def _wrong(made: Initializer, argument: str, expected: str, received: Any) -> FanlightError:
    name = type(made).__name__
    return FanlightError(
        "E-LAYER-004",
        f"{name} does not take this {argument}.",
        where=f"{argument} of {name}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
    )


def _not_for(name: str, expected: str, shape: Shape) -> FanlightError:
    return FanlightError(
        "E-LAYER-004",
        f"{name} cannot make a weight of this shape.",
        where=f"{name}, {caller()}",
        expected=expected,
        received=f"shape {tuple(shape)}",
    )


_CLASSES = (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    STFT,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
KNOWN: dict[str, Any] = {
    **{c.__name__: c for c in _CLASSES},
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "STFTInitializer": STFT,
    "LeCunNormal": LecunNormal,  # as TensorFlow.js writes them
    "LeCunUniform": LecunUniform,
    "uniform": RandomUniform,
    "normal": RandomNormal,
}
# Keras's other names of them.
constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
identity = IdentityInitializer = Identity
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
orthogonal = OrthogonalInitializer = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
stft = STFTInitializer = STFT
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros
_ALIASES = (
    *("IdentityInitializer", "OrthogonalInitializer", "STFTInitializer", "constant"),
    *("glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal"),
    *("lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform", "stft"),
    *("truncated_normal", "variance_scaling", "zeros"),
)
__all__ = [
    *(c.__name__ for c in _CLASSES),
    *_ALIASES,
    "Initializer",
    "deserialize",
    "get",
    "serialize",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


def get(given: Any) -> Any:
    """The initializer that a name, a description or an object stands for; None stays None."""
    return None if given is None else config.function("initializer", given, KNOWN)


def serialize(initializer: Any) -> Any:
    """What a file has for an initializer: class name and arguments, or the name of a function."""
    return config.plain(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)

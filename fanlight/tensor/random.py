"""Random numbers of a key: `fl.random`.

A key is two int32 words. Whatever is drawn with it is known by the key alone, on every machine
(ops/random.py has the cipher): whole numbers and `uniform` to the bit, what goes through logarithms
up to rounding. So a key is used once; `split` makes several of one, and `fold_in` one per step.

Every function takes `key`, or `seed` (a whole number, of which it makes one, or a SeedGenerator).
Without either it takes a fresh key: in a step of a model (in `call` of a layer, say) one of the
step's, else one of `fl.set_random_seed` or of the operating system. In a function that is traced by
itself that is refused, as it would happen once and give the same numbers for ever: there the key is
an input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import random as cipher
from fanlight.ops import scalar as sc
from fanlight.tensor import functions as fn
from fanlight.tensor import seeds
from fanlight.tensor.arguments import as_whole, flag
from fanlight.tensor.calls import state, tracing
from fanlight.tensor.core import Tensor, apply, caller, cast, tensor
from fanlight.tensor.gradients import stop_gradient
from fanlight.tensor.indices import gather

__all__ = [
    "SeedGenerator",
    "bernoulli",
    "bits",
    "categorical",
    "fold_in",
    "gamma",
    "gumbel",
    "key",
    "multinomial",
    "normal",
    "permutation",
    "rand",
    "shuffle",
    "split",
    "standard_normal",
    "truncated_normal",
    "uniform",
    "uniform_int",
]

_MOST = float(np.finfo(np.float32).max)


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


Shape = int | Sequence[int]
Seed: TypeAlias = "int | SeedGenerator | None"

# Sequences of a key that no distribution draws from.
_SPLIT, _FOLD = 1, 2
_GAMMA = 16  # and onwards
PROPOSALS = 8  # of gamma


# --- keys -----------------------------------------------------------------------------------------


def key(seed: int) -> Tensor:
    """int32 [2]: the key of a whole number, its upper and lower 32 bits.

    Raises:
        FanlightError: E-OP-005 the seed is no whole number.
    """
    found = as_whole(seed)
    if found is None:
        raise _wrong("seed", "a whole number", seed)
    number = found % 2**64
    words = np.array([number >> 32, number % 2**32], np.uint32).view(np.int32)
    return tensor(words)


def split(key: Any, count: int = 2) -> Tensor:
    """int32 [count, 2]: new keys of one, which is not used any more.

    `a, b = fl.random.split(key)`.
    """
    sizes = (fn.count_of(count), 2)
    result: Tensor = apply("random_bits", _checked(key), shape=sizes, stream=_SPLIT)
    return result


def fold_in(key: Any, number: Any) -> Tensor:
    """int32 [2]: the key's key of a number (int32, may be traced), such as that of a step."""
    key, number = _checked(key), fn.reshape(cast(number, "int32"), (1,))
    a0, a1, a2 = map(sc.arg, range(3))
    words = (a1, a2, cipher.third_word(a1, a2))
    made = cipher.threefry(words, (sc.const(_FOLD), a0))
    given = (number, key[:1], key[1:])
    return fn.concat([apply("fused", *given, body=sc.to_text(word)) for word in made])


class SeedGenerator:
    """What gives another key at every draw: `fl.random.normal(shape, seed=generator)`.

    In a step of a model (in `call` of a layer) its keys depend on the seed of the run, on the place
    among the draws of the step, and on this seed; elsewhere on this seed, and on how many there
    were before.

    Args:
        seed: a whole number; default: a fresh one.

    Raises:
        FanlightError: E-OP-005 the seed is no whole number.
    """

    keras_module = "keras.random"

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        found = as_whole(seeds.fresh() % 2**31 if seed is None else seed)
        if found is None:
            raise _wrong("seed", "a whole number, or None", seed)
        self.seed, self.name, self.count = found, name, 0

    def next(self, ordered: bool = True) -> Tensor:
        """int32 [2]: the next key. `ordered` is Keras's: keys are in order here in any case.

        Raises:
            FanlightError: E-TENSOR-020 a function is being traced, and no step of a model.
        """
        step = state.steps[-1] if state.steps else None
        drawn = None if step is None else step.draw()
        if drawn is not None:
            return fold_in(drawn, self.seed % 2**31)
        if tracing():
            raise _undrawn()
        return self.own()

    def own(self) -> Tensor:
        """int32 [2]: the next key of the seed alone, whatever step goes on."""
        self.count += 1
        return fold_in(_made(self.seed), self.count - 1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """The generator of such arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"SeedGenerator({self.seed})"


def _undrawn() -> FanlightError:
    """E-TENSOR-020: a function that is traced has no key."""
    inside = bool(state.steps)
    if inside and state.traces > getattr(state.steps[-1], "depth", 0):
        return FanlightError(
            "E-TENSOR-020",
            "the body of a loop or a branch is traced once, and cannot draw at every turn.",
            where=caller(),
            expected="numbers that are drawn before the loop, or a key",
            received="neither key nor seed",
            next="draw for all turns before it, noise = fl.random.normal((turns, n)), and give "
            "that to fl.scan with xs; or take a key along: in the body "
            "key=fl.random.fold_in(key, i), where key = fl.random.SeedGenerator().next() before "
            "it.",
        )
    return FanlightError(
        "E-TENSOR-020",
        "a traced function would draw its random numbers once, and give them for ever.",
        where=caller(),
        expected="numbers that are drawn in a step of fit, evaluate or predict, and in no loop"
        if inside
        else "key=..., an input of the function: int32 [2]",
        received="neither key nor seed",
        next="draw where `training` is true (a page that predicts has no key), and before a loop; "
        "or make what is drawn an input. With seed=n the numbers are constants."
        if inside
        else "call it with fl.random.key(n), and use fl.random.split(key) or "
        "fl.random.fold_in(key, step) for more; a page gives two random numbers. With seed=n "
        "the numbers are constants.",
    )


def _key_of(key: Any, seed: Seed) -> Tensor:
    """The key of a call; a fresh one if there is neither key nor seed."""
    if key is not None and seed is not None:
        raise _wrong("seed", "a key or a seed, not both", seed)
    if key is not None:
        return _checked(key)
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is not None:
        return _made(seed)
    step = state.steps[-1] if state.steps else None
    drawn = None if step is None else step.draw()
    if drawn is not None:
        return drawn
    if tracing():
        raise _undrawn()
    return _made(seeds.fresh())


_made = key  # where an argument has the name


def _checked(key: Any) -> Tensor:
    """A key, which is int32 [2]."""
    given = tensor(key)
    if given.dtype == "int32" and given.shape == (2,):
        return given
    whole = given.dtype == "int32" and not given.rank and not given.traced
    made = f"fl.random.key({given.item()})" if whole else "fl.random.key(42)"
    error = _wrong("key", "a key: int32 [2]", key, f"make one of a whole number: {made}.")
    error.code = "E-OP-004" if given.dtype == "int32" else "E-OP-003"
    raise error


def _no_key(key: Any, seed: Any, **numbers: Any) -> None:
    """Refuse a key where numbers are meant: after the shape it would be taken for the mean."""
    if key is not None or seed is not None:
        return
    for argument, value in numbers.items():
        if isinstance(value, Tensor) and value.dtype == "int32" and value.shape == (2,):
            raise _wrong(
                argument,
                "a key by its name, and floats for numbers",
                value,
                f"a key: key=k. Two numbers: {argument}=fl.cast(x, 'float32').",
            )


def _wrong(
    argument: str, expected: str, received: object, next: str | None = None
) -> FanlightError:
    return FanlightError(
        "E-OP-005",
        f"random numbers cannot be drawn with this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=repr(received)[:200],
        next=next,
    )


# --- numbers of equal chances ---------------------------------------------------------------------


def bits(shape: Shape, *, key: Any = None, seed: Seed = None, stream: int = 0) -> Tensor:
    """int32 of a shape, every bit random; see the op `random_bits`."""
    made = _key_of(key, seed)
    result: Tensor = apply("random_bits", made, shape=fn.shape_of(shape), stream=stream)
    return result


def _fused(bits: Tensor, body: sc.Expr) -> Tensor:
    """A body of one argument, of random bits."""
    result: Tensor = apply("fused", bits, body=sc.to_text(body))
    return result


_BITS = sc.arg(0)
_UNIT = sc.cast(sc.make("shr_u", _BITS, 8), "float32") * 2.0**-24


def _unit(shape: Shape, key: Tensor, stream: int = 0) -> Tensor:
    """Multiples of 2^-24 in [0, 1)."""
    return _fused(bits(shape, key=key, stream=stream), _UNIT)


def uniform(
    shape: Shape,
    low: Any = 0.0,
    high: Any = 1.0,
    *,
    key: Any = None,
    seed: Seed = None,
) -> Tensor:
    """float32 in [low, high): 24 random bits of that distance, the same on every machine.

    Args:
        low, high: numbers, or tensors that broadcast to the shape (through which gradients pass;
            rounding may then give `high` itself).

    Raises:
        FanlightError: E-OP-005 high is below low; E-TENSOR-020 there is no key in a traced
            function.
    """
    _no_key(key, seed, low=low, high=high)
    u = _unit(shape, _key_of(key, seed))
    plain = all(isinstance(v, int | float | np.number) for v in (low, high))
    if not plain:
        low, high = cast(low, "float32"), cast(high, "float32")
        span = high - low
        return fn.where(fn.is_finite(span), low + u * span, (1.0 - u) * low + u * high)
    if not -_MOST <= low <= high <= _MOST:
        raise _wrong("high", f"a finite float32 >= low, which is {low}", high)
    first, last = np.float32(low), np.float32(high)
    if (first, last) == (0, 1):
        return u
    if float(last) - float(first) > _MOST:
        y = u * float(last) + (1.0 - u) * float(first)  # the distance is no float32
    else:
        y = u * float(last - first) + float(first)
    return y if first == last else fn.minimum(y, float(np.nextafter(last, first)))


def rand(shape: Shape, *, key: Any = None, seed: Seed = None) -> Tensor:
    """float32 in [0, 1); see `uniform`."""
    return uniform(shape, key=key, seed=seed)


def uniform_int(shape: Shape, low: int, high: int, *, key: Any = None, seed: Seed = None) -> Tensor:
    """int32 in [low, high), the same on every machine.

    The upper word of (32 random bits) * (high - low), whose chances differ by less than
    (high - low) / 2^32. Source: Lemire 2019, "Fast random integer generation in an interval".

    Raises:
        FanlightError: E-OP-005 low or high is no int32, or nothing is between them.
    """
    first, last = as_whole(low), as_whole(high)
    if first is None or last is None or not -(2**31) <= first < last <= 2**31:
        raise _wrong("high", "whole numbers of int32, low < high", (low, high))
    drawn = bits(shape, key=_key_of(key, seed))
    span = last - first
    if span == 2**32:
        return drawn
    upper, lower = span >> 16, span & 0xFFFF
    return _fused(drawn, _scaled(_BITS, upper, lower) + first)


def _scaled(x: sc.Expr, upper: int, lower: int) -> sc.Expr:
    """The upper word of x * (2^16 upper + lower), x read without sign, by halves of words."""
    high, low = sc.make("shr_u", x, 16), sc.make("bit_and", x, 0xFFFF)
    right = high * lower + sc.make("shr_u", low * lower, 16)
    left = low * upper + sc.make("bit_and", right, 0xFFFF)
    return high * upper + sc.make("shr_u", right, 16) + sc.make("shr_u", left, 16)


def bernoulli(shape: Shape, p: Any = 0.5, *, key: Any = None, seed: Seed = None) -> Tensor:
    """bool: true with the chance p (a number, or a tensor that broadcasts to the shape)."""
    _no_key(key, seed, p=p)
    return fn.less(_unit(shape, _key_of(key, seed)), cast(p, "float32"))


# --- other distributions --------------------------------------------------------------------------

# Giles 2012, "Approximating the erfinv function", table 5: powers of w - 2.5, and of sqrt(w) - 3.
_CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
_TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)


def _inverse_erf(x: sc.Expr) -> sc.Expr:
    """x in (-1, 1) -> the number whose error function it is."""
    w = -sc.log((1.0 - x) * (1.0 + x))
    centre, tail = w - 2.5, sc.sqrt(w) - 3.0
    near, far = sc.const(_CENTRE[0]), sc.const(_TAIL[0])
    for a, b in zip(_CENTRE[1:], _TAIL[1:], strict=True):
        near, far = near * centre + a, far * tail + b
    return x * sc.where(w < 5.0, near, far)


# Odd multiples of 2^-23 in (-1, 1): neither 0 nor 1, and as many of either sign.
_SIGNED = sc.cast(sc.make("bit_or", sc.make("shr_s", _BITS, 8), 1), "float32") * 2.0**-23
_NORMAL = math.sqrt(2) * _inverse_erf(_SIGNED)
_GUMBEL = -sc.log(-sc.log(0.5 * _SIGNED + 0.5))


def standard_normal(shape: Shape, *, key: Any = None, seed: Seed = None, stream: int = 0) -> Tensor:
    """float32 of the normal distribution with mean 0 and deviation 1, all below 5.3 in size.

    sqrt(2) erfinv(x) of x uniform in (-1, 1). Source: Giles 2012, "Approximating the erfinv
    function".
    """
    drawn = bits(shape, key=_key_of(key, seed), stream=stream)
    return _fused(drawn, _NORMAL)


def normal(
    shape: Shape,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    *,
    key: Any = None,
    seed: Seed = None,
) -> Tensor:
    """float32 of the normal distribution; mean and stddev may be tensors (gradients pass)."""
    _no_key(key, seed, mean=mean, stddev=stddev)
    return standard_normal(shape, key=key, seed=seed) * stddev + mean


def truncated_normal(
    shape: Shape,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    *,
    bound: float = 2.0,
    key: Any = None,
    seed: Seed = None,
) -> Tensor:
    """float32 of the normal distribution without what is more than `bound` standard deviations off.

    Raises:
        FanlightError: E-OP-005 the bound is not above 0.
    """
    _no_key(key, seed, mean=mean, stddev=stddev)
    if not isinstance(bound, int | float | np.number) or not 0 < bound < math.inf:
        raise _wrong("bound", "a finite number above 0", bound)
    drawn = bits(shape, key=_key_of(key, seed))
    share = math.erf(bound / math.sqrt(2))
    made = _fused(drawn, math.sqrt(2) * _inverse_erf(_SIGNED * share))
    return fn.clip(made, -float(bound), float(bound)) * stddev + mean


def gumbel(shape: Shape, *, key: Any = None, seed: Seed = None) -> Tensor:
    """float32 of the Gumbel distribution: -log(-log(u)), u uniform in (0, 1)."""
    drawn = bits(shape, key=_key_of(key, seed))
    return _fused(drawn, _GUMBEL)


def gamma(
    shape: Shape,
    alpha: Any,
    beta: Any = 1.0,
    *,
    key: Any = None,
    seed: Seed = None,
) -> Tensor:
    """float32 of the gamma distribution of shape alpha > 0 and rate beta > 0 (mean alpha / beta).

    Each is a number, or a tensor that broadcasts to the shape; no gradient passes alpha. The number
    of proposals is fixed, so that a traced function has an end: the first of 8 that is accepted,
    and the mode in the 1 of 3 * 10^10 draws where none is (each is accepted with a chance above
    0.95). Source: Marsaglia & Tsang 2000, "A simple method for generating gamma variables".

    Raises:
        FanlightError: E-OP-005 a number is not above 0.
    """
    _no_key(key, seed, alpha=alpha, beta=beta)
    for name, value in (("alpha", alpha), ("beta", beta)):
        if isinstance(value, int | float) and not 0 < value < math.inf:
            raise _wrong(name, "a finite number above 0", value)
    key, sizes = _key_of(key, seed), fn.shape_of(shape)
    a = fn.broadcast_to(stop_gradient(cast(alpha, "float32")), sizes)
    small = fn.less(a, 1.0)
    d = fn.where(small, a + 1.0, a) - 1 / 3
    c = 1.0 / fn.sqrt(9.0 * d)
    made = d
    # The first proposal is laid over the others.
    for trial in reversed(range(PROPOSALS)):
        stream = _GAMMA + 2 * trial
        x = standard_normal(sizes, key=key, stream=stream)
        u = 1.0 - _unit(sizes, key, stream + 1)
        v = (1.0 + c * x) ** 3
        limit = 0.5 * x * x + d * (1.0 - v + fn.log(fn.maximum(v, 1e-30)))
        taken = fn.logical_and(fn.greater(v, 0.0), fn.less(fn.log(u), limit))
        made = fn.where(taken, d * v, made)
    # alpha < 1: gamma(alpha + 1) u^(1 / alpha).
    u = 1.0 - _unit(sizes, key, _GAMMA - 1)
    made = fn.where(small, made * fn.exp(fn.log(u) / a), made)
    return made / beta


def categorical(logits: Any, num_samples: int = 1, *, key: Any = None, seed: Seed = None) -> Tensor:
    """int32 [..., num_samples]: classes drawn with the chances softmax(logits).

    Of logits [..., classes]: the class with the greatest logit after a Gumbel number is added to
    each (Gumbel 1954; Maddison, Tarlow, Minka 2014), so it draws [..., num_samples, classes].

    Raises:
        FanlightError: E-OP-004 the logits have no dim of classes.
    """
    logits = cast(logits, "float32")
    if not logits.rank or not logits.shape[-1]:
        raise FanlightError(
            "E-OP-004",
            "there are no classes to draw from.",
            where=f"logits, {caller()}",
            expected="[..., classes]",
            received=str(logits.type),
        )
    number = fn.count_of(num_samples)
    noise = gumbel((*logits.shape[:-1], number, logits.shape[-1]), key=key, seed=seed)
    return fn.arg_max(fn.expand_dims(logits, -2) + noise, -1)


def multinomial(
    logits: Any,
    num_samples: int,
    normalized: bool = False,
    *,
    key: Any = None,
    seed: Seed = None,
) -> Tensor:
    """categorical; with `normalized` the logits are chances that sum to 1."""
    if flag("multinomial", "normalized", normalized):
        logits = fn.log(cast(logits, "float32"))
    return categorical(logits, num_samples, key=key, seed=seed)


def permutation(count: int, *, key: Any = None, seed: Seed = None) -> Tensor:
    """int32 [count]: 0, 1, ..., count - 1 in a random order: that of random words."""
    many = fn.count_of(count)
    return fn.top_k(bits(many, key=key, seed=seed), many)[1]


def shuffle(x: Any, axis: int = 0, *, key: Any = None, seed: Seed = None) -> Tensor:
    """x with its slices along an axis in a random order."""
    x = tensor(x)
    at = fn.axis_of(x.type, axis, "shuffle")
    return gather(x, permutation(x.shape[at], key=key, seed=seed), at)


def dropout(
    x: Any,
    rate: float,
    noise_shape: Shape | None = None,
    *,
    key: Any = None,
    seed: Seed = None,
) -> Tensor:
    """x / (1 - rate), with each element 0 by the chance `rate` (Srivastava et al. 2014).

    Args:
        noise_shape: broadcasts to the shape of x: along its dims of size 1 elements are dropped
            together. Default: each by itself.

    Raises:
        FanlightError: E-OP-005 the rate is not in [0, 1); E-TENSOR-020 there is no key in a traced
            function.
    """
    x = cast(x, "float32")
    if not isinstance(rate, int | float | np.number) or not 0 <= rate < 1:
        raise _wrong("rate", "a number from 0 to below 1", rate)
    if rate == 0:
        return x
    u = _unit(x.shape if noise_shape is None else noise_shape, _key_of(key, seed))
    kept = fn.broadcast_to(fn.greater_equal(u, float(rate)), x.shape)
    return fn.where(kept, x * (1.0 / (1.0 - rate)), 0.0)

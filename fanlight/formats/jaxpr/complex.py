"""Importers of primitives on complex numbers: what each one means for pairs of real tensors.

Primitives that move elements or are linear are those of real numbers, once for each part; JAX
gives all numbers of one the same dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.formats import fourier
from fanlight.formats.emitter import Tensor, check_size
from fanlight.formats.jaxpr.call import HANDLERS, Call, Exact, Handler, importer
from fanlight.formats.pairs import Pair, computed, known
from fanlight.formats.registry import under
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor.complex import apply_complex, whole_power

RULES: dict[str, Handler] = {}
_MOST_POWER = 100


def is_complex(aval: Any) -> bool:
    """Whether JAX says that a variable is complex."""
    return str(aval.dtype).startswith("complex")


def imported(call: Call) -> Any:
    """What an equation gives that takes or makes complex numbers."""
    rule = RULES.get(call.primitive)
    if rule is None:
        raise refused(call)
    call.inputs = [
        known(call.em, np.asarray(x.array), f"{call.label}/const")
        if isinstance(x, Exact) and is_complex(aval) else x
        for x, aval in zip(call.inputs, call.in_avals, strict=True)
    ]  # fmt: skip
    return rule(call)


def refused(call: Call) -> FanlightError:
    """E-FORMAT-012 about a primitive that is not read of complex numbers."""
    inner = call.primitive in ("scan", "while", "cond")
    return FanlightError(
        "E-FORMAT-012",
        f"{call.primitive} is not read of complex numbers.",
        where=call.where,
        expected="real numbers, or one of " + ", ".join(sorted(RULES)),
        received=", ".join(map(str, call.in_avals))[:200],
        next="give loops and branches real and imaginary parts, and make complex numbers inside."
        if inner
        else "take jnp.real, jnp.imag, jnp.abs or jnp.angle before it, or end the function there.",
    )


def rule(*names: str) -> Callable[[Handler], Handler]:
    """Register what some primitives mean for complex numbers."""
    return under(names, RULES)


def _of_real(call: Call, inputs: list[Any]) -> list[Tensor]:
    """What the importer of real numbers gives on some inputs."""
    dtypes = ["float32" if d == COMPLEX else d for d in call.dtypes]
    made = HANDLERS[call.primitive](replace(call, inputs=inputs, dtypes=dtypes))
    return list(made) if isinstance(made, list | tuple) else [made]


def _each(call: Call) -> list[Pair]:
    """The same for both parts; places and decisions are not complex."""
    parts = [
        _of_real(call, [x.parts[at] if isinstance(x, Pair) else x for x in call.inputs])
        for at in (0, 1)
    ]
    return [Pair(a, b) for a, b in zip(*parts, strict=True)]


_MOVES = (
    "reshape squeeze expand_dims transpose broadcast_in_dim rev concatenate stack unstack tile "
    "split slice dynamic_slice dynamic_update_slice gather scatter scatter-add scatter_add pad "
    "select_n copy copy_p stop_gradient optimization_barrier device_put sharding_constraint "
    "mesh_cast pvary name reshard layout_constraint add add_any sub neg reduce_sum cumsum "
    "reduce_window_sum"
).split()
for _name in _MOVES:
    RULES[_name] = _each


@rule("mul", "dot_general", "conv_general_dilated")
def product(call: Call) -> Pair:
    """Four products of parts."""
    (a, b), (c, d) = (x.parts for x in call.inputs)

    def part(x: Tensor, y: Tensor) -> Tensor:
        return _of_real(call, [x, y])[0]

    real = call.op("sub", part(a, c), part(b, d))
    return Pair(real, call.op("add", part(a, d), part(b, c)))


def _zeros(call: Call, x: Tensor) -> Tensor:
    """Zeros of the shape of x: computed, unless x is known, so that a batch may be free."""
    if isinstance(x, np.ndarray):
        return call.em.full(x.shape, 0.0, "float32", call.label)
    made: Tensor = call.op("mul", x, call.em.const(0.0))
    return made


@rule("convert_element_type", "reduce_precision")
def convert(call: Call) -> Any:
    """Of complex numbers the real part; of real ones, with zeros."""
    x = call.inputs[0]
    if call.dtype != COMPLEX:
        return _of_real(call, [x.real])[0]
    if isinstance(x, Pair):
        return x
    x = call.x(dtype="float32")
    return Pair(x, _zeros(call, x))


@importer("complex")
@rule("complex")
def complex_(call: Call) -> Pair:
    return Pair(call.x(0, "float32"), call.x(1, "float32"))


@importer("real", "imag")
@rule("real", "imag")
def part(call: Call) -> Tensor:
    z = call.inputs[0]
    if isinstance(z, Pair):
        return z.real if call.primitive == "real" else z.imag
    return call.x() if call.primitive == "real" else _zeros(call, call.x())


@importer("conj")
@rule("conj")
def conj(call: Call) -> Pair:
    z = call.inputs[0]
    if not isinstance(z, Pair):
        return Pair(call.x(), _zeros(call, call.x()))
    return Pair(z.real, call.op("neg", z.imag))


@rule("abs")
def absolute(call: Call) -> Tensor:
    made: Tensor = call.op("hypot", *call.inputs[0].parts)
    return made


def _by_table(op: str) -> Handler:
    """What fanlight.tensor has for complex numbers, by the name of an op."""
    return lambda call: computed(
        call.function, lambda *z: apply_complex(op, list(z), {}), *call.inputs
    )


_FUNCTIONS = (
    "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh square "
    "sign is_finite div"
).split()
for _name in _FUNCTIONS:
    RULES[_name] = _by_table(_name)
RULES["eq"], RULES["ne"] = _by_table("equal"), _by_table("not_equal")


@rule("rsqrt")
def rsqrt(call: Call) -> Any:
    return computed(call.function, lambda z: fn.reciprocal(fn.sqrt(z)), *call.inputs)


@rule("logistic")
def logistic(call: Call) -> Any:
    return computed(
        call.function, lambda z: fn.reciprocal(fn.add(fn.exp(fn.neg(z)), 1.0)), *call.inputs
    )


@rule("pow")
def power(call: Call) -> Any:
    z, exponent = call.inputs
    exponent = exponent if isinstance(exponent, Pair) else call.x(1, "float32")
    return computed(call.function, fn.pow, z, exponent)


@rule("integer_pow")
def integer_power(call: Call) -> Any:
    exponent = int(call.params["y"])
    if abs(exponent) > _MOST_POWER:
        raise call.refuse("its power is too large", received=exponent)
    return computed(call.function, lambda z: whole_power(z, exponent), *call.inputs)


@rule("reduce_prod")
def reduce_prod(call: Call) -> Any:
    axes = tuple(int(a) for a in call.params["axes"])
    return computed(call.function, lambda z: fn.prod(z, axes), *call.inputs)


@importer("fft")
@rule("fft")
def fft(call: Call) -> Any:
    """Transforms of the last dims, of complex or real numbers, to complex or real ones."""
    z = call.inputs[0]
    kind = str(getattr(call.params["fft_type"], "name", call.params["fft_type"])).upper()
    kind = {"0": "FFT", "1": "IFFT", "2": "RFFT", "3": "IRFFT"}.get(kind, kind)
    sizes = [int(n) for n in call.params["fft_lengths"]]
    rank = len(z.shape)
    axes = list(range(rank - len(sizes), rank))
    if kind not in ("FFT", "IFFT", "RFFT", "IRFFT") or not sizes or max(sizes) > fourier.LONGEST:
        raise call.refuse("its transform is unknown", received=[kind, *sizes][:8])
    check_size(TensorType((*z.shape[: axes[0]], *sizes), "float32"), call.where)
    if kind == "IRFFT":
        return computed(
            call.function, lambda z: fourier.backward_real(z, axes, sizes[-1], "count"), z
        )
    z = z if isinstance(z, Pair) else call.x()
    if kind == "IFFT":
        return computed(call.function, lambda z: fourier.backward(z, axes, "count"), z)
    return computed(call.function, lambda z: fourier.forward(z, axes, "none", kind == "RFFT"), z)

"""Complex tensors: pairs of float32 tensors, and operations written over those of real ones.

Graphs and kernels know real numbers only; gradients, tracing and building follow (docs/adr/0007).
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.ops import lookup
from fanlight.ops.types import TensorType
from fanlight.tensor.arguments import refused
from fanlight.tensor.core import Tensor, apply, caller, cast, promoted, tensor


class _Pairs:
    """What complex tensors have in the place of a trace: it gives ops another meaning.

    Of several in a call this one decides, and hands the parts on to the others.
    """

    depth = sys.maxsize
    open = True

    def apply(
        self, op: str, inputs: Sequence[Tensor], attrs: dict[str, Any]
    ) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        return (apply_complex(op, inputs, attrs),), attrs

    def alias(self, x: Tensor) -> Tensor:
        return x.alias()

    def told(self, call: Any) -> None:
        """fl.custom_gradient refuses complex tensors."""


_PAIRS: Any = _Pairs()


class Complex(Tensor):
    """A tensor of complex64: two float32 tensors of one shape.

    Attributes:
        parts: the real and the imaginary part.
    """

    __slots__ = ("parts",)
    __hash__ = Tensor.__hash__
    _fields = ("real", "imag")  # structures of tensors take it apart like a named tuple

    def __init__(self, real: Any, imag: Any) -> None:
        self.parts: tuple[Tensor, Tensor] = (tensor(real), tensor(imag))
        super().__init__(TensorType(self.parts[0].shape, COMPLEX), None, _PAIRS)

    @property
    def traced(self) -> bool:
        return any(p.traced for p in self.parts)

    def numpy(self) -> np.ndarray:
        """The elements as a NumPy array of complex64, which is a copy."""
        made = np.empty(self.shape, np.complex64)
        made.real, made.imag = (p.numpy() for p in self.parts)
        made.flags.writeable = False
        return made

    def __repr__(self) -> str:
        if self.traced or self.disposed:
            return f"<{'traced' if self.traced else 'disposed'} tensor {self.type}>"
        numbers = np.array2string(
            self.numpy(), separator=", ", prefix="tensor(", threshold=200, precision=5
        )
        return f"tensor({numbers}, {self.dtype}{list(self.shape)})"

    def alias(self) -> Tensor:
        return Complex(*(p.alias() for p in self.parts))

    def dispose(self) -> None:
        for part in self.parts:
            part.dispose()

    @property
    def disposed(self) -> bool:
        return any(p.disposed for p in self.parts)


def complex(real: Any, imag: Any) -> Tensor:
    """Complex numbers of their real and imaginary parts, which broadcast; complex64.

    Gradients: of a real number L after z = x + i y it is dL/dx + i dL/dy, the direction in which L
    grows fastest, as TensorFlow and PyTorch have it (JAX: its conjugate).

    Raises:
        FanlightError: E-OP-003 a part is complex; E-OP-004 the shapes do not broadcast.
    """
    parts = [tensor(real), tensor(imag)]
    if any(isinstance(p, Complex) for p in parts):
        raise _refused("complex", parts, "real parts")
    x, y = promoted(*parts, least="float32")
    if x.shape != y.shape:
        shape = apply("add", x, y).shape
        x, y = (p if p.shape == shape else apply("broadcast_to", p, shape=shape) for p in (x, y))
    return Complex(x, y)


def from_array(array: np.ndarray, dtype: str | None) -> Tensor:
    """The tensor of an array that is complex, or is to be."""
    if dtype not in (None, COMPLEX):
        return cast(from_array(array, None), dtype)
    with np.errstate(all="ignore"):
        array = np.asarray(array, np.complex64)
    return Complex(array.real.copy(), array.imag.copy())


def _parts(x: Any) -> tuple[Tensor, Tensor]:
    x = tensor(x)
    if isinstance(x, Complex):
        return x.parts
    x = cast(x, "float32")
    return x, tensor(np.zeros(x.shape, np.float32))


def real(x: Any) -> Tensor:
    """The real part, float32."""
    return _parts(x)[0]


def imag(x: Any) -> Tensor:
    """The imaginary part, float32; zeros of real numbers."""
    return _parts(x)[1]


def conj(x: Any) -> Tensor:
    """The complex conjugate; real numbers as they are."""
    x = tensor(x)
    return Complex(x.parts[0], -x.parts[1]) if isinstance(x, Complex) else x


def angle(x: Any) -> Tensor:
    """The angle of complex numbers in radians, -pi to pi; 0 for 0."""
    x, y = _parts(x)
    result: Tensor = apply("atan2", y, x)
    return result


# --- operations -----------------------------------------------------------------------------------

Attrs = Mapping[str, Any]


def _mul(a: Any, b: Any) -> Complex:
    (x, y), (u, v) = _parts(a), _parts(b)
    return Complex(x * u - y * v, x * v + y * u)


def _div(a: Any, b: Any) -> Complex:
    """a conj(b) / |b|^2, scaled so that the square does not overflow."""
    (x, y), (u, v) = _parts(a), _parts(b)
    # The result does not depend on the scale, so no gradient passes there.
    size = apply("maximum", apply("abs", u), apply("abs", v)).alias()
    scale = apply("select", apply("greater", size, 0.0), size, tensor(1.0))
    u, v = u / scale, v / scale
    below = (u * u + v * v) * scale
    return Complex((x * u + y * v) / below, (y * u - x * v) / below)


def _exp(z: Any) -> Complex:
    x, y = _parts(z)
    size = apply("exp", x)
    return Complex(size * apply("cos", y), size * apply("sin", y))


def _log(z: Any) -> Complex:
    return Complex(apply("log", apply("abs", z)), angle(z))


def _sqrt(z: Any) -> Complex:
    """The root with a real part of at least 0."""
    (x, y), size = _parts(z), apply("abs", z)
    # The larger part by a root, the other one by y = 2 re im: nothing cancels.
    zero = apply("equal", size, 0.0)
    half = 0.5 * (size + apply("abs", x))
    large = apply("sqrt", apply("select", zero, tensor(1.0), half))
    large = apply("select", zero, tensor(0.0), large)
    small = y / (2.0 * apply("select", zero, tensor(1.0), large))
    right, down = apply("greater_equal", x, 0.0), apply("less", y, 0.0)
    turned = apply("select", down, -large, large)
    return Complex(
        apply("select", right, large, apply("abs", small)), apply("select", right, small, turned)
    )


def _pow(a: Any, b: Any) -> Complex:
    """exp(b log a); 0^b is 0 where b has a positive real part, else NaN; a^0 is 1."""
    (x, y), (u, v) = _parts(a), _parts(b)
    empty, none = _equal(a, 0.0), _equal(b, 0.0)
    safe = Complex(apply("select", empty, tensor(1.0), x), apply("select", empty, tensor(0.0), y))
    power = _exp(_mul(Complex(u, v), _log(safe)))
    # NaN is computed, for a graph that keeps one as a weight counts as broken.
    nan = (((x + u) * 0.0) / 0.0).alias()  # of which no gradient passes
    of_zero = apply("select", apply("greater", u, 0.0), tensor(0.0), nan)
    of_zero = apply("select", none, tensor(1.0), of_zero)
    one, nothing = tensor(1.0), tensor(0.0)
    re = apply("select", empty, of_zero, apply("select", none, one, power.parts[0]))
    im = apply("select", none, nothing, apply("select", empty, of_zero, power.parts[1]))
    return Complex(re, im)


MOST_POWER = 100  # beyond, products are no better than a logarithm


def whole_power(z: Any, n: int) -> Tensor:
    """z^n by squaring, exact where the products are (as NumPy has it up to 100)."""
    z = tensor(z)
    made: Any = None
    square, left = z, abs(n)
    while left:
        if left & 1:
            made = square if made is None else made * square
        left >>= 1
        if left:
            square = square * square
    if made is None:
        return Complex(np.ones(z.shape, np.float32), np.zeros(z.shape, np.float32))
    result: Tensor = apply("reciprocal", made) if n < 0 else made
    return result


def _equal(a: Any, b: Any) -> Tensor:
    (x, y), (u, v) = _parts(a), _parts(b)
    return (x == u) & (y == v)


def _matmul(a: Any, b: Any, **attrs: Any) -> Complex:
    (x, y), (u, v) = _parts(a), _parts(b)

    def product(p: Tensor, q: Tensor) -> Tensor:
        result: Tensor = apply("matmul", p, q, **attrs)
        return result

    return Complex(product(x, u) - product(y, v), product(x, v) + product(y, u))


def _select(condition: Any, a: Any, b: Any) -> Complex:
    (x, y), (u, v) = _parts(a), _parts(b)
    return Complex(apply("select", condition, x, u), apply("select", condition, y, v))


def _cast(z: Any, dtype: str) -> Tensor:
    if dtype == "bool":
        result: Tensor = apply("logical_not", _equal(z, 0.0))
        return result
    return cast(real(z), dtype)


def _pad(z: Any, value: Any = 0, **attrs: Any) -> Complex:
    x, y = _parts(z)
    if not isinstance(value, int | float | builtins.complex | np.number):
        raise refused("pad", "value", "a number", value)
    return Complex(
        apply("pad", x, value=float(np.real(value)), **attrs),
        apply("pad", y, value=float(np.imag(value)), **attrs),
    )


def _gather(z: Any, indices: Any, **attrs: Any) -> Complex:
    x, y = _parts(z)
    return Complex(apply("gather", x, indices, **attrs), apply("gather", y, indices, **attrs))


def _each(op: str) -> Callable[..., Complex]:
    """Linear ops and those that move elements: the same for both parts."""

    def both(*values: Any, **attrs: Any) -> Complex:
        pairs = [_parts(v) for v in values]
        return Complex(*(apply(op, *(p[i] for p in pairs), **attrs) for i in (0, 1)))

    return both


_EACH = (
    *("add", "sub", "neg", "sum", "mean", "reshape", "transpose", "broadcast_to", "slice"),
    *("strided_slice", "reverse", "tile", "concat", "mirror_pad"),
    *("depth_to_space", "space_to_depth", "space_to_batch", "batch_to_space"),
)
# complex_functions.py adds to them.
RULES: dict[str, Callable[..., Tensor]] = {
    **{op: _each(op) for op in _EACH},
    "abs": lambda z: apply("hypot", *_parts(z)),
    "cast": _cast,
    "div": _div,
    "equal": _equal,
    "exp": _exp,
    "gather": _gather,
    "log": _log,
    "matmul": _matmul,
    "mul": _mul,
    "not_equal": lambda a, b: apply("logical_not", _equal(a, b)),
    "pad": _pad,
    "pow": _pow,
    "reciprocal": lambda z: _div(1.0, z),
    "select": _select,
    "sqrt": _sqrt,
    "square": lambda z: _mul(z, z),
}


def apply_complex(op: str, inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    """An op of inputs of which some are complex; E-OP-003 where it has no such meaning."""
    lookup(op)
    rule = RULES.get(op)
    if rule is None:
        raise _refused(op, inputs, "real numbers; complex ones: " + ", ".join(sorted(RULES)))
    try:
        return rule(*inputs, **attrs)
    except TypeError as problem:
        if "argument" not in str(problem):
            raise
        raise _refused(op, inputs, f"the inputs and attributes of the op ({problem})") from None


def _refused(op: str, inputs: Sequence[Tensor], expected: str) -> FanlightError:
    return FanlightError(
        "E-OP-003",
        f"{op} does not take complex numbers.",
        where=f"{op}, {caller()}",
        expected=expected,
        received=", ".join(str(x.type) for x in inputs),
        next="take fl.real, fl.imag, fl.abs or fl.angle first.",
    )

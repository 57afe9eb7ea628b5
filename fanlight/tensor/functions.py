"""Functions of tensors under the names of their ops, with arguments as NumPy has them."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from math import inf, isinf
from math import prod as prod_of
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import lookup
from fanlight.ops import scalar as sc
from fanlight.ops.row import broadcast_shapes
from fanlight.ops.types import TensorType
from fanlight.tensor.arguments import (
    as_whole,
    as_wholes,
    flag,
    listed,
    misfit,
    real_number,
    refused,
    whole_number,
)
from fanlight.tensor.core import Tensor, apply, binary, caller, cast, promoted, tensor, type_of

Axes = int | Sequence[int] | None


def scalar(value: float | int | bool, dtype: str | None = None) -> Tensor:
    """A tensor without dims."""
    made = tensor(value, dtype)
    return made if not made.rank else reshape(made, ())


def zeros(shape: int | Sequence[int], dtype: str = "float32") -> Tensor:
    """A tensor of zeros."""
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: str = "float32") -> Tensor:
    """A tensor of ones."""
    return full(shape, 1, dtype)


def full(shape: int | Sequence[int], value: float | int | bool, dtype: str | None = None) -> Tensor:
    """A tensor that holds one value everywhere."""
    one, sizes = tensor(value, dtype), shape_of(shape)
    if one.rank or isinstance(value, Tensor):
        return broadcast_to(one, sizes)  # gradients pass, and traces see it
    return tensor(np.full(sizes, one.numpy()), one.dtype)


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape argument, one size or a tuple of them, as a tuple; E-TENSOR-006, E-TENSOR-014."""
    sizes = _sizes(shape)
    if as_wholes(sizes) is None or builtins.any(n < 0 for n in sizes):
        raise FanlightError(
            "E-TENSOR-006",
            "this is not the shape of a tensor.",
            where=caller(),
            expected="whole numbers from 0 on",
            received=repr(shape),
        )
    type_of(sizes, "float32")  # refuses what is too large
    return sizes


def count_of(number: Any) -> int:
    """A number of things, which is the shape of one dim; E-TENSOR-006, E-TENSOR-014."""
    found = shape_of(number)
    return found[0] if len(found) == 1 else shape_of((number,))[0]  # which refuses it


def _sizes(shape: Any) -> Any:
    """A shape argument as a tuple of whole numbers; others are left for ops to look at."""
    found = as_wholes(shape)
    if found is not None or isinstance(shape, list | tuple):
        return shape if found is None else found
    one = as_whole(shape)
    return (shape if one is None else one,)


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of the shape of x, and of its dtype if there is none given."""
    x = tensor(x)
    return zeros(x.shape, x.dtype if dtype is None else dtype)


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of the shape of x, and of its dtype if there is none given."""
    x = tensor(x)
    return ones(x.shape, x.dtype if dtype is None else dtype)


def eye(rows: int, columns: int | None = None, dtype: str = "float32") -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    height, width = shape_of((rows, rows if columns is None else columns))
    return tensor(np.eye(height, width), dtype)


def range(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """start, start + step, ... before stop (from 0 if there is only one number); int32 if all
    three are whole, and no other dtype is given.
    """
    begin, end = (0, start) if stop is None else (start, stop)
    begin, end = _plain("start", begin), _plain("start" if stop is None else "stop", end)
    step = _plain("step", step)
    if step == 0:
        raise FanlightError(
            "E-TENSOR-006", "a range needs steps.", where=caller(), expected="a step that is not 0"
        )
    count = (end - begin) / step
    shape_of(int(builtins.min(builtins.max(0.0, count), 2.0**40)))
    return tensor(np.arange(begin, end if count > 0 else begin, step), dtype)


def _plain(argument: str, value: Any) -> float:
    """A number of a range: whole, or not."""
    if as_whole(value) is None:
        return real_number("range", argument, value, -1e38, 1e38)
    return whole_number("range", argument, value, -(2**62), 2**62)


def linspace(start: float, stop: float, count: int) -> Tensor:
    """`count` numbers at equal distances from start to stop, both included; float32."""
    first, last = (
        real_number("linspace", name, value) for name, value in (("start", start), ("stop", stop))
    )
    many = count_of(count)
    with np.errstate(all="ignore"):
        return tensor(np.linspace(first, last, many), "float32")


# --- element by element ---------------------------------------------------------------------------


def floating(x: Any) -> Tensor:
    """x in float32, or complex as it is."""
    x = tensor(x)
    return x if x.dtype in ("float32", "complex64") else cast(x, "float32")


def _unary(op: str, *, floats: bool = True) -> Callable[[Any], Tensor]:
    def function(x: Any) -> Tensor:
        result: Tensor = apply(op, floating(x) if floats else tensor(x))
        return result

    return _named(function, op)


def _binary(op: str, least: str = "bool") -> Callable[[Any, Any], Tensor]:
    def function(a: Any, b: Any) -> Tensor:
        return binary(op, a, b, least)

    return _named(function, op)


def _named(function: Any, op: str) -> Any:
    function.__name__ = function.__qualname__ = op
    function.__doc__ = lookup(op).doc
    return function


abs = _unary("abs", floats=False)
neg = _unary("neg", floats=False)
sign = _unary("sign", floats=False)
square = _unary("square", floats=False)
floor = _unary("floor", floats=False)
ceil = _unary("ceil", floats=False)
round = _unary("round", floats=False)
is_nan = _unary("is_nan", floats=False)
is_inf = _unary("is_inf")
is_finite = _unary("is_finite")
logical_not = _unary("logical_not", floats=False)
sqrt = _unary("sqrt")
rsqrt = _unary("rsqrt")
reciprocal = _unary("reciprocal")
exp = _unary("exp")
expm1 = _unary("expm1")
log = _unary("log")
log1p = _unary("log1p")
sin = _unary("sin")
cos = _unary("cos")
tan = _unary("tan")
asin = _unary("asin")
acos = _unary("acos")
atan = _unary("atan")
sinh = _unary("sinh")
cosh = _unary("cosh")
asinh = _unary("asinh")
acosh = _unary("acosh")
atanh = _unary("atanh")
erf = _unary("erf")
relu = _unary("relu", floats=False)
relu6 = _unary("relu6", floats=False)
sigmoid = _unary("sigmoid")
tanh = _unary("tanh")
softplus = _unary("softplus")
log_sigmoid = _unary("log_sigmoid")
softsign = _unary("softsign")
swish = _unary("swish")
hard_swish = _unary("hard_swish")
mish = _unary("mish")
selu = _unary("selu")

add = _binary("add")
sub = _binary("sub")
mul = _binary("mul")
div = _binary("div", "float32")
floor_div = _binary("floor_div")
floor_mod = _binary("floor_mod")


def pow(a: Any, b: Any) -> Tensor:
    """a to the power b: float32, see the op `pow`; small whole powers are products.

    Of whole numbers both it is int32, which wraps around; negative powers are then 0 (but for those
    of 1 and -1), and refused where the power is a Python number.

    Raises:
        FanlightError: E-OP-005 a whole number to a negative one.
    """
    x = tensor(a)
    plain = isinstance(b, int | float)
    if x.dtype in _WHOLE and not isinstance(b, float):
        if not plain and (other := tensor(b)).dtype in _WHOLE:
            return _whole_power(*promoted(a, other, least="int32"))
        if plain:
            tensor(b)  # refuses what is no int32
            return _whole_product(cast(x, "int32"), int(b))
    if plain and b in _POWERS:
        return _POWERS[b](floating(x))
    if plain and x.dtype == "complex64" and float(b).is_integer():
        from fanlight.tensor.complex import MOST_POWER, whole_power

        if builtins.abs(b) <= MOST_POWER:
            return whole_power(x, int(b))
    return binary("pow", a, b, "float32")


_WHOLE = ("bool", "uint8", "int8", "int32")


def _whole_product(x: Tensor, n: int) -> Tensor:
    """x^n of int32, by squaring."""
    if n < 0:
        raise refused(
            "pow", "b", "a power of whole numbers from 0 on", n, "fl.cast(x, 'float32') ** b."
        )
    made: Tensor | None = None
    while n:
        if n & 1:
            made = x if made is None else made * x
        n >>= 1
        x = x * x if n else x
    return ones_like(x) if made is None else made


def _whole_power(x: Tensor, n: Tensor) -> Tensor:
    """x^n of int32, both tensors: what the 31 bits of n say is multiplied."""
    a, b = sc.arg(0), sc.arg(1)
    made: Any = sc.const(1)
    square: Any = a
    for bit in builtins.range(31):
        wanted = sc.equal(sc.make("bit_and", sc.make("shr_s", b, bit), 1), 1)
        made, square = sc.where(wanted, made * square, made), square * square
    odd = sc.equal(sc.make("bit_and", b, 1), 1)
    alone = sc.where(sc.equal(a, -1), sc.where(odd, -1, 1), sc.where(sc.equal(a, 1), 1, 0))
    result: Tensor = apply("fused", x, n, body=sc.to_text(sc.where(b < 0, alone, made)))
    return result


# Exact, and much faster than exp(b log a).
_POWERS: dict[float, Callable[[Tensor], Tensor]] = {
    1: lambda x: x,
    2: lambda x: square(x),
    3: lambda x: x * square(x),
    0.5: lambda x: sqrt(x),
    -1: lambda x: reciprocal(x),
}
div_no_nan = _binary("div_no_nan", "float32")
atan2 = _binary("atan2", "float32")
hypot = _binary("hypot", "float32")
prelu = _binary("prelu", "float32")
maximum = _binary("maximum")
minimum = _binary("minimum")
squared_difference = _binary("squared_difference")
equal = _binary("equal")
not_equal = _binary("not_equal")
less = _binary("less")
less_equal = _binary("less_equal")
greater = _binary("greater")
greater_equal = _binary("greater_equal")
logical_and = _binary("logical_and")
logical_or = _binary("logical_or")


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition holds (is not 0), else b; all three broadcast."""
    a, b = promoted(a, b)
    result: Tensor = apply("select", cast(condition, "bool"), a, b)
    return result


def clip(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """x, but at least low and at most high.

    Args:
        low, high: numbers; or tensors that broadcast with x, through which gradients pass, too;
            None: no bound on that side.
    """
    x = tensor(x)
    bounds = [b for b in (low, high) if b is not None]
    if not builtins.all(isinstance(b, int | float | np.number) for b in bounds):
        x = x if low is None else maximum(x, low)
        return x if high is None else minimum(x, high)
    if not builtins.all(isinf(b) or float(b).is_integer() for b in bounds):
        x = cast(x, "float32")
    result: Tensor = apply(
        "clip", x, lo=-inf if low is None else low, hi=inf if high is None else high
    )
    return result


def step(x: Any, alpha: float = 0.0) -> Tensor:
    """1 where x > 0, else alpha."""
    result: Tensor = apply("step", floating(x), alpha=alpha)
    return result


def leaky_relu(x: Any, alpha: float = 0.2) -> Tensor:
    """x where x >= 0, alpha * x below."""
    result: Tensor = apply("leaky_relu", floating(x), alpha=alpha)
    return result


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where x >= 0, alpha * (exp(x) - 1) below (Clevert et al. 2015)."""
    result: Tensor = apply("elu", floating(x), alpha=alpha)
    return result


def hard_sigmoid(x: Any, alpha: float = 1 / 6, beta: float = 0.5) -> Tensor:
    """min(max(alpha * x + beta, 0), 1), as in Keras 3 and MobileNet v3; Keras 2 has alpha 0.2."""
    result: Tensor = apply("hard_sigmoid", x, alpha=alpha, beta=beta)
    return result


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """x times the share of a normal distribution below it (Hendrycks & Gimpel 2016)."""
    result: Tensor = apply("gelu", x, approximate=approximate)
    return result


# --- reductions -----------------------------------------------------------------------------------


# What two tensors may have been given for.
_TWO = {
    **{"max": "maximum", "min": "minimum", "any": "logical_or", "all": "logical_and"},
    **{"sum": "add", "prod": "mul"},
}


def axes_of(x: TensorType, axis: Any, function: str = "") -> tuple[int, ...]:
    """An axis argument as dims from the front: None is all of them.

    Args:
        function: whose argument it is, for the error.

    Raises:
        FanlightError: E-OP-005 a dim that x does not have, or one twice.
    """
    if axis is None:
        return tuple(builtins.range(x.rank))
    # Of a function of one tensor a second one is hardly meant as its axes.
    second = isinstance(axis, Tensor | np.ndarray) and axis.ndim > 0 and function in _TWO
    given = None if second else _sizes(axis)
    where = f"{function} axis, {caller()}".lstrip()
    if given is None or as_wholes(given) is None:
        two = _TWO.get(function) if second or isinstance(axis, list) else None
        raise FanlightError(
            "E-OP-005",
            "an axis is a whole number, or several in a tuple.",
            where=where,
            expected=f"dims of {x}",
            received=repr(axis)[:200],
            next=two and f"of two tensors, element by element: fl.{two}.",
        )
    found = [a % x.rank for a in given if x.rank and -x.rank <= a < x.rank]
    if len(set(found)) != len(given):
        limits = f": {-x.rank} to {x.rank - 1}" if x.rank else ", which has none"
        raise FanlightError(
            "E-OP-005",
            "this is not an axis of the tensor.",
            where=where,
            expected=f"different dims of {x}{limits}",
            received=repr(axis)[:200],
        )
    return tuple(found)


def axis_of(x: TensorType, axis: Any, function: str = "") -> int:
    """An argument that is one axis, as a dim from the front; E-OP-005."""
    found = axes_of(x, axis, function)
    if axis is None or len(found) != 1:
        raise refused(function or "this", "axis", f"one dim of {x}", axis)
    return found[0]


def _reduction(op: str, takes: str = "") -> Callable[..., Tensor]:
    def function(x: Any, axis: Axes = None, keepdims: bool = False) -> Tensor:
        x = tensor(x)
        if takes == "numbers" and x.dtype in ("bool", "uint8"):
            x = cast(x, "int32")
        elif takes == "floats":
            x = floating(x)
        result: Tensor = apply(op, x, axes=axes_of(x.type, axis, op), keepdims=keepdims)
        return result

    return _named(function, op)


sum = _reduction("sum", "numbers")
mean = _reduction("mean", "floats")
prod = _reduction("prod", "numbers")
max = _reduction("max", "numbers")
min = _reduction("min", "numbers")
any = _reduction("any")
all = _reduction("all")


def arg_max(x: Any, axis: int = 0) -> Tensor:
    """Index (int32) of the greatest element along an axis, the first where several are equal.

    The axis is the first one unless another is given, as in TensorFlow.js.
    """
    result: Tensor = apply("arg_max", x, axis=axis)
    return result


def arg_min(x: Any, axis: int = 0) -> Tensor:
    """Index (int32) of the smallest element along an axis, the first where several are equal.

    The axis is the first one unless another is given, as in TensorFlow.js.
    """
    result: Tensor = apply("arg_min", x, axis=axis)
    return result


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) divided by its sum along an axis."""
    result: Tensor = apply("softmax", x, axis=axis)
    return result


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """The logarithm of softmax, without overflow."""
    result: Tensor = apply("log_softmax", x, axis=axis)
    return result


def top_k(x: Any, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest elements of the last dim, in descending order, and their indices (int32)."""
    values, indices = apply("top_k", x, k=k)
    return values, indices


# --- shapes and joining ---------------------------------------------------------------------------


def reshape(x: Any, shape: Sequence[int]) -> Tensor:
    """The same elements in the same order under another shape; one dim may be -1."""
    result: Tensor = apply("reshape", x, shape=_sizes(shape))
    return result


def transpose(x: Any, perm: Sequence[int] | None = None) -> Tensor:
    """Dim d of the result is dim perm[d] of x; without perm the dims are reversed."""
    x = tensor(x)
    order = builtins.range(x.rank)[::-1] if perm is None else axes_of(x.type, perm, "transpose")
    result: Tensor = apply("transpose", x, perm=tuple(order))
    return result


def broadcast_to(x: Any, shape: Sequence[int]) -> Tensor:
    """x repeated along dims of size 1 and new leading dims."""
    result: Tensor = apply("broadcast_to", x, shape=_sizes(shape))
    return result


def expand_dims(x: Any, axis: int = 0) -> Tensor:
    """x with a dim of size 1 more, which becomes dim `axis`."""
    x = tensor(x)
    at = axis_of(TensorType((*x.shape, 1), x.dtype), axis, "expand_dims")
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def squeeze(x: Any, axis: Axes = None) -> Tensor:
    """x without dims of size 1: all of them, or those of `axis`."""
    x = tensor(x)
    gone = (
        [d for d, n in enumerate(x.shape) if n == 1]
        if axis is None
        else axes_of(x.type, axis, "squeeze")
    )
    if builtins.any(x.shape[d] != 1 for d in gone):
        raise FanlightError(
            "E-OP-005",
            "only dims of size 1 can be squeezed.",
            where=f"squeeze axis, {caller()}",
            expected="dims of size 1",
            received=f"{axis!r} of {x.type}",
        )
    return reshape(x, [n for d, n in enumerate(x.shape) if d not in gone])


def concat(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors one after another along an axis, in the widest of their dtypes."""
    given = listed("concat", "tensors", tensors, "fl.concat([a, b], axis)")
    result: Tensor = apply("concat", *promoted(*given), axis=axis)
    return result


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors side by side along a new dim."""
    given = listed("stack", "tensors", tensors, "fl.stack([a, b], axis)")
    return concat([expand_dims(x, axis) for x in given], axis)


def pad(x: Any, paddings: Sequence[tuple[int, int]], value: float = 0) -> Tensor:
    """x in a frame of one value: (before, after) per dim."""
    result: Tensor = apply("pad", x, paddings=paddings, value=value)
    return result


def tile(x: Any, multiples: Sequence[int]) -> Tensor:
    """x repeated as a whole, so many times per dim."""
    result: Tensor = apply("tile", x, multiples=multiples)
    return result


def reverse(x: Any, axis: Axes = None) -> Tensor:
    """x backwards along its axes."""
    x = tensor(x)
    result: Tensor = apply("reverse", x, axes=axes_of(x.type, axis, "reverse"))
    return result


def one_hot(
    indices: Any,
    depth: int,
    on: float | int | bool = 1.0,
    off: float | int | bool = 0.0,
    axis: int = -1,
    dtype: Any = None,
) -> Tensor:
    """[..., depth]: `on` where the index is, `off` elsewhere, also for an index outside.

    Args:
        axis: of the result: which dim the depth is.
        dtype: default: float32.
    """
    column = expand_dims(cast(indices, "int32"), axis)
    at = axis_of(column.type, axis, "one_hot")
    count = count_of(depth)
    type_of((*column.shape[:at], count, *column.shape[at + 1 :]), "float32")  # refuses it early
    places = reshape(range(count), (-1, *[1] * (column.rank - 1 - at)))
    kind = "float32" if dtype is None else dtype
    return where(equal(column, places), tensor(on, kind), tensor(off, kind))


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    """The product of matrices, or of each of a batch of them; a vector is a row or a column.

    Shapes [..., m, k] and [..., k, n] give [..., m, n]; [k] stands for [1, k] on the left and
    [k, 1] on the right, and that dim is left out of the result (numpy.matmul). Of whole numbers
    both the product is int32, exact but for wrapping around.
    """
    a, b = promoted(a, b)
    rows, columns = a.rank == 1, b.rank == 1
    a = expand_dims(a, 0) if rows else a
    b = expand_dims(b, 1) if columns else b
    turned_a = flag("matmul", "transpose_a", transpose_a) and not rows
    turned_b = flag("matmul", "transpose_b", transpose_b) and not columns
    if a.dtype in _WHOLE and a.rank > 1 and b.rank > 1:
        y = _whole_matmul(_turned(a, turned_a), _turned(b, turned_b))
    else:
        a, b = floating(a), floating(b)
        y = apply("matmul", a, b, transpose_a=turned_a, transpose_b=turned_b)
    gone = [*([-2] if rows else []), *([-1] if columns else [])]
    return squeeze(y, gone) if gone else y


def _turned(x: Tensor, turned: bool) -> Tensor:
    """The last two dims exchanged, or not."""
    order = builtins.range(x.rank)
    return transpose(x, (*order[:-2], x.rank - 1, x.rank - 2)) if turned else x


_MOST_PRODUCTS = 1 << 24  # that an eager product of whole numbers holds at once


def _whole_matmul(a: Tensor, b: Tensor) -> Tensor:
    """The product of int32: the kernels of matrices are for floats, which are not exact here."""
    a, b = cast(a, "int32"), cast(b, "int32")
    (m, k), (depth, n) = a.shape[-2:], b.shape[-2:]
    if depth != k:
        raise misfit("matmul", "b", f"{k} rows for the columns of a {a.type}", b)
    batch = broadcast_shapes("matmul", [TensorType(x.shape[:-2]) for x in (a, b)])
    if len(batch) > 3:  # with m, k and n there are six dims
        a, b = (
            reshape(broadcast_to(x, (*batch, *x.shape[-2:])), (prod_of(batch), *x.shape[-2:]))
            for x in (a, b)
        )
    a, b = expand_dims(a, -1), expand_dims(b, -3)
    part = builtins.max(1, _MOST_PRODUCTS // builtins.max(1, prod_of(batch) * m * n))
    total: Tensor | None = None
    for begin in builtins.range(0, builtins.max(k, 1), part):
        stop = begin + part
        products = mul(a[..., begin:stop, :], b[..., begin:stop, :])
        some: Tensor = apply("sum", products, axes=(products.rank - 2,), keepdims=False)
        total = some if total is None else total + some
    assert total is not None
    return reshape(total, (*batch, m, n))


def dot(a: Any, b: Any) -> Tensor:
    """matmul; of two vectors the sum of products."""
    return matmul(a, b)

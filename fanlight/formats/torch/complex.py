"""Importers of operators on complex numbers: what each one means for pairs of real tensors.

Operators that move elements or are linear are those of real numbers, once for each part. A table
says the rest; what is in no table is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight.dtypes import COMPLEX
from fanlight.errors import FanlightError
from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.pairs import Pair, computed, holds_complex, is_tensor, joined, on_parts, split
from fanlight.formats.registry import under
from fanlight.formats.torch.call import HANDLERS, Call, Handler, importer
from fanlight.formats.torch.program import Meta
from fanlight.graph import Value
from fanlight.tensor import functions as fn
from fanlight.tensor.complex import Complex, apply_complex, whole_power
from fanlight.tensor.core import tensor

Rule = Callable[[Call], Any]
RULES: dict[str, Rule] = {}
_MOST_POWER = 100


def imported(call: Call, handler: Handler) -> Any:
    """What a node gives: of complex numbers by the rules here, else by its importer."""
    if not any(holds_complex(v) for v in call.args.values()) and not any(
        m is not None and m.dtype == COMPLEX for m in call.metas
    ):
        return handler(call)
    rule = RULES.get(_name(call)) or RULES.get(_name(call).rstrip("_"))
    if rule is None:
        raise _refused(call)
    return rule(call)


def real_parts(value: Any) -> Any:
    """An argument with real parts in the place of pairs: for sizes, which they share."""
    if isinstance(value, dict):
        return {k: real_parts(v) for k, v in value.items()}
    if isinstance(value, list):
        return [real_parts(v) for v in value]
    return value.real if isinstance(value, Pair) else value


def _name(call: Call) -> str:
    """ "add" of "aten.add.Tensor"."""
    return call.node.target.split(".")[1] if "." in call.node.target else call.node.target


def _refused(call: Call) -> FanlightError:
    for name, value in call.args.items():
        if holds_complex(value):
            return call.no_complex(name, value if isinstance(value, Pair) else None)
    return call.no_complex("its result")


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register what some operators mean for complex numbers."""
    return under(names, RULES)


# --- the importer of real numbers, on parts -------------------------------------------------------


def real_call(call: Call, args: dict[str, Any], part: str) -> Call:
    """The same node on real numbers; `part` names which of its parts it is."""
    metas = [
        m if m is None or m.dtype != COMPLEX else Meta("float32", m.sizes, m.strides)
        for m in call.metas
    ]
    node = replace(call.node, name=f"{call.node.name}/{part}") if part else call.node
    return replace(call, node=node, args=args, metas=metas)


def by_importer(call: Call, part: str = "", **args: Any) -> Any:
    """What the importer of real numbers gives with some arguments replaced."""
    target = call.node.target
    lead = target.rpartition(".")[0]
    handler = HANDLERS.get(target) or HANDLERS.get(lead) or HANDLERS.get(lead.rstrip("_"))
    if handler is None:
        raise _refused(call)
    args = {**call.args, **args}
    if any(holds_complex(v) for v in args.values()):
        raise _refused(call)
    return handler(real_call(call, args, part))


def _real_of(value: Any) -> Any:
    return value.real if isinstance(value, Pair | complex) else value


def zeros_like(call: Call, x: Tensor) -> Tensor:
    """Zeros of the shape of x: known if x is, else computed, so that a batch may be free."""
    if isinstance(x, np.ndarray):
        return call.em.full(x.shape, 0.0, "float32", call.name("zero"))
    x = call.cast(x, "float32", "float")
    made: Tensor = call.op("mul", x, call.em.const(0.0), part="zero")
    return made


def _imag_of(call: Call, value: Any, shaped: bool) -> Any:
    """The imaginary part of an argument; `shaped`: zeros of real ones have their shape."""
    if isinstance(value, Pair | complex):
        return value.imag
    if isinstance(value, list):
        return [_imag_of(call, v, shaped) for v in value]
    if isinstance(value, Value | np.ndarray) and shaped:
        return zeros_like(call, value)
    return 0.0


def _paired(real: Any, imag: Any) -> Any:
    if isinstance(real, list | tuple):
        return [Pair(a, b) for a, b in zip(real, imag, strict=True)]
    return Pair(real, imag)


def _each(*names: str, shaped: bool = True) -> Rule:
    """An importer on both parts of some arguments."""

    def both(call: Call) -> Any:
        given = {n: call.args[n] for n in names if call.args.get(n) is not None}
        reals = {
            n: [_real_of(x) for x in v] if isinstance(v, list) else _real_of(v)
            for n, v in given.items()
        }
        imags = {n: _imag_of(call, v, shaped) for n, v in given.items()}
        real, imag = by_importer(call, "real", **reals), by_importer(call, "imag", **imags)
        if not shaped:
            real, imag = _alike(call, real, imag)
        return _paired(real, imag)

    return both


def _alike(call: Call, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
    """Both parts in one shape: zeros without dims may stand for one."""
    shape = np.broadcast_shapes(tuple(real.shape), tuple(imag.shape))
    made = [
        p if tuple(p.shape) == shape else call.op("broadcast_to", p, part="whole", shape=shape)
        for p in (real, imag)
    ]
    return made[0], made[1]


_MOVES = (
    "reshape _unsafe_view view_copy _reshape_alias flatten unflatten unsqueeze "
    "unsqueeze_copy squeeze squeeze_copy permute permute_copy transpose transpose_copy swapaxes "
    "swapdims t t_copy numpy_T mT movedim moveaxis expand expand_copy broadcast_to repeat tile "
    "repeat_interleave split split_with_sizes split_copy split_with_sizes_copy unsafe_split "
    "unsafe_split_with_sizes chunk unsafe_chunk unbind unbind_copy select select_copy slice "
    "slice_copy narrow flip roll diagonal diagonal_copy tril triu index_select index "
    "_unsafe_index gather take_along_dim unfold unfold_copy clone contiguous detach "
    "lift_fresh_copy lift_fresh alias positive requires_grad_ zero sum mean cumsum neg negative "
    "_neg_view"
).split()
for _each_name in _MOVES:
    RULES[_each_name] = _each("self")
for _each_name in ("dropout", "feature_dropout"):
    RULES[_each_name] = _each("input")
for _each_name in ("cat", "concat", "concatenate", "stack"):
    RULES[_each_name] = _each("tensors")
for _each_name in ("add", "sub", "subtract", "rsub", "where"):
    RULES[_each_name] = _each("self", "other", shaped=False)
RULES["masked_fill"] = _each("self", "value", shaped=False)
RULES["index_put"] = RULES["_unsafe_index_put"] = _each("self", "values")
RULES["slice_scatter"] = RULES["select_scatter"] = _each("self", "src")
RULES["index_add"] = RULES["index_copy"] = _each("self", "source")
RULES["scatter"] = RULES["scatter_add"] = _each("self", "src", "value")


@rule("view_as", "reshape_as", "expand_as")
def as_other(call: Call) -> Any:
    """`other` gives its shape alone."""
    call.args["other"] = real_parts(call.args.get("other"))
    return RULES["reshape"](call) if isinstance(call.get("self"), Pair) else by_importer(call)


@rule("view")
def view(call: Call) -> Any:
    """Another shape; or real numbers as complex ones, and the other way round."""
    z = call.args.get("self")
    if call.has("size"):
        return RULES["reshape"](call)
    if isinstance(z, Pair) and call.dtype == "float32":
        flat = joined(call.em, z, call.name("pairs"))
        return call.em.reshape(flat, (*z.shape[:-1], 2 * z.shape[-1]), call.name())
    if isinstance(z, Value | np.ndarray) and z.shape and dtype_of(z) == "float32":
        shape = (*z.shape[:-1], z.shape[-1] // 2, 2)
        return split(call.em, call.em.reshape(z, shape, call.name("pairs")), call.name())
    raise _refused(call)


@rule("constant_pad_nd", "pad")
def pad(call: Call) -> Pair:
    value = call.args.get("value")
    value = 0.0 if value is None else value
    parts = [
        by_importer(call, name, self=part, value=number)
        for name, part, number in (
            ("real", call.args["self"].real, value.real),
            ("imag", call.args["self"].imag, value.imag),
        )
    ]
    return Pair(parts[0], parts[1])


@rule("zeros", "zeros_like", "new_zeros", "empty", "empty_like", "new_empty", "empty_strided",
      "ones", "ones_like", "new_ones", "full", "full_like", "new_full", "scalar_tensor",
      "fill")  # fmt: skip
def created(call: Call) -> Any:
    args = real_parts(dict(call.args))
    if call.dtype != COMPLEX:
        return by_importer(call, **args)
    filled = {n: args[n] for n in ("fill_value", "s", "value") if n in args}
    real = by_importer(call, "real", **{**args, **{n: _real_of(v) for n, v in filled.items()}})
    imag = zeros_like(call, real)
    numbers = [v.imag for v in (call.args[n] for n in filled) if isinstance(v, Pair | complex)]
    if numbers:
        imag = by_importer(call, "imag", **{**args, **dict.fromkeys(filled, numbers[0])})
    return Pair(real, imag)


@rule("to", "_to_copy", "type_as", "copy", "convert_element_type", "device_put")
def cast(call: Call) -> Any:
    """Another dtype: of complex numbers the real part; of real ones, with zeros."""
    name = next(n for n in ("src", "self", "a") if n in call.args)
    x = call.args[name]
    if call.dtype != COMPLEX:
        return by_importer(call, **real_parts(dict(call.args)))
    z = x if isinstance(x, Pair) else Pair(call.x(name, "float32"), zeros_like(call, call.x(name)))
    shape = call.args["self"].shape if _name(call).startswith("copy") else z.shape
    if tuple(shape) == z.shape:
        return z
    return on_parts(lambda p: call.op("broadcast_to", p, part="whole", shape=tuple(shape)))(z)


# --- parts ----------------------------------------------------------------------------------------


@importer("view_as_complex", "view_as_complex_copy")
@rule("view_as_complex", "view_as_complex_copy")
def view_as_complex(call: Call) -> Pair:
    x = call.x()
    if not x.shape or x.shape[-1] != 2:
        raise call.refuse("pairs are wanted", expected="[..., 2]", received=list(x.shape))
    return split(call.em, x, call.name())


def _complex(call: Call, name: str = "self") -> Pair:
    """An argument as complex numbers; real ones have an imaginary part of 0."""
    x = call.args.get(name)
    if isinstance(x, Pair):
        return x
    x = call.x(name, "float32")
    return Pair(x, zeros_like(call, x))


@importer("view_as_real", "view_as_real_copy")
@rule("view_as_real", "view_as_real_copy")
def view_as_real(call: Call) -> Tensor:
    return joined(call.em, _complex(call), call.name())


@importer("complex", "polar")
@rule("complex", "polar")
def complex_(call: Call) -> Pair:
    """Of real and imaginary part, or of size and angle; they broadcast."""
    if "polar" in call.node.target:
        size, angle = call.x("abs"), call.x("angle")
        real = call.op("mul", size, call.op("cos", angle, part="cos"), part="real")
        imag = call.op("mul", size, call.op("sin", angle, part="sin"), part="imag")
        return Pair(real, imag)
    return Pair(*_alike(call, call.x("real"), call.x("imag")))


@rule("real")
def real(call: Call) -> Tensor:
    return _complex(call).real


@importer("imag")
@rule("imag")
def imag(call: Call) -> Tensor:
    return _complex(call).imag


@importer("conj", "conj_physical", "_conj_physical")
@rule("conj", "_conj", "conj_physical", "_conj_physical")
def conj(call: Call) -> Any:
    z = call.args.get("self")
    return Pair(z.real, call.op("neg", z.imag)) if isinstance(z, Pair) else call.x()


@rule("adjoint")
def adjoint(call: Call) -> Any:
    z = RULES["mT"](call)
    return Pair(z.real, call.op("neg", z.imag))


@rule("resolve_conj", "resolve_neg")
def resolved(call: Call) -> Any:
    return call.args["self"]


@importer("angle")
@rule("angle")
def angle(call: Call) -> Tensor:
    z = call.args.get("self")
    if isinstance(z, Pair):
        return call.op("atan2", z.imag, z.real)

    def compute(x: Any) -> Any:  # a number that is none stays one
        half = fn.where(fn.less(x, 0.0), math.pi, 0.0)
        return fn.where(fn.is_nan(x), x, half)

    return call.function(compute, call.x(dtype="float32"))


def size_of(call: Call, z: Pair, part: str = "") -> Tensor:
    """|z|"""
    made: Tensor = call.op("hypot", z.real, z.imag, part=part)
    return made


@rule("abs")
def absolute(call: Call) -> Tensor:
    return size_of(call, _complex(call))


@rule("norm", "linalg_vector_norm", "frobenius_norm")
def norm(call: Call) -> Any:
    return by_importer(call, self=size_of(call, _complex(call), "size"))


@rule("count_nonzero", "logical_not", "any", "all")
def truth(call: Call) -> Any:
    return by_importer(call, self=size_of(call, _complex(call), "size"))


# --- arithmetic -----------------------------------------------------------------------------------


def _products(names: Sequence[str]) -> Rule:
    """An importer that is linear in two arguments: products of parts, added up."""

    def compute(call: Call) -> Pair:
        listed = "tensors" in call.args
        given = call.args["tensors"] if listed else [call.args.get(n) for n in names]
        if len(given) != 2:
            raise _refused(call)
        bias = call.args.get("bias")
        args = {"bias": None} if "bias" in call.args else {}

        def product(label: str, *parts: Any) -> Any:
            chosen = {"tensors": list(parts)} if listed else dict(zip(names, parts, strict=True))
            return by_importer(call, label, **args, **chosen)

        a, b = (complex(v) if isinstance(v, bool | int | float) else v for v in given)
        a_real, a_imag = (a.real, a.imag) if isinstance(a, Pair | complex) else (a, None)
        b_real, b_imag = (b.real, b.imag) if isinstance(b, Pair | complex) else (b, None)
        # A number whose other part is 0 scales; it makes no products that are 0.
        a_imag = None if isinstance(a, complex) and not a.imag else a_imag
        b_imag = None if isinstance(b, complex) and not b.imag else b_imag
        real = product("real", a_real, b_real)
        imag = None
        if a_imag is not None and b_imag is not None:
            real = call.op("sub", real, product("imag_imag", a_imag, b_imag), part="real")
        if b_imag is not None:
            imag = product("real_imag", a_real, b_imag)
        if a_imag is not None:
            second = product("imag_real", a_imag, b_real)
            imag = second if imag is None else call.op("add", imag, second, part="imag")
        z = Pair(real, zeros_like(call, real) if imag is None else imag)
        if bias is None:
            return z
        parts = (bias.real, bias.imag) if isinstance(bias, Pair) else (bias, None)
        biased = [p if b is None else call.op("add", p, b, part="biased")
                  for p, b in zip(z.parts, parts, strict=True)]  # fmt: skip
        return Pair(biased[0], biased[1])

    return compute


for _product_names, _product_args in {
    ("mul", "multiply", "matmul"): ("self", "other"),
    ("mm", "bmm"): ("self", "mat2"),
    ("mv",): ("self", "vec"),
    ("dot",): ("self", "tensor"),
    ("outer",): ("self", "vec2"),
    ("linear",): ("input", "weight"),
    ("einsum",): (),
}.items():
    for _product_name in _product_names:
        RULES[_product_name] = _products(_product_args)


@rule("vdot")
def vdot(call: Call) -> Any:
    """The conjugate of the first one times the second one."""
    z = _complex(call)
    call.args["self"] = Pair(z.real, call.op("neg", z.imag, part="conj"))
    return _products(("self", "other"))(call)


@rule("div", "divide", "true_divide")
def div(call: Call) -> Any:
    a, b = call.args["self"], call.args["other"]
    if call.get("rounding_mode") is not None:
        raise _refused(call)
    if isinstance(b, Pair | complex):
        b = _number(call, b)
        # A real number over a complex one: times its reciprocal, without products of zeros.
        if isinstance(a, Pair):
            return computed(call.function, fn.div, a, b)
        a = call.cast(a, "float32") if is_tensor(a) else a
        return computed(call.function, lambda a, b: _scaled(fn.reciprocal(b), a), a, b)
    return computed(call.function, _shrunk, a, call.cast(b, "float32") if is_tensor(b) else b)


def _number(call: Call, value: Any) -> Any:
    """A complex number as known parts without dims."""
    if not isinstance(value, complex):
        return value
    return Pair(call.em.const(value.real), call.em.const(value.imag))


def _scaled(z: Any, by: Any) -> Complex:
    if isinstance(by, Complex | complex):
        return fn.mul(z, by)  # type: ignore[return-value]
    return Complex(*(fn.mul(p, by) for p in z.parts))


def _shrunk(z: Any, by: Any) -> Complex:
    z = z if isinstance(z, Complex) else tensor(z)
    return Complex(*(fn.div(p, by) for p in z.parts))


@rule("eq", "ne", "not_equal")
def compared(call: Call) -> Any:
    function = fn.equal if _name(call).startswith("eq") else fn.not_equal
    given = [_number(call, call.args[n]) for n in ("self", "other")]
    return computed(call.function, function, *given)


@rule("pow")
def power(call: Call) -> Any:
    base, exponent = (_number(call, call.args[n]) for n in ("self", "exponent"))
    whole = isinstance(exponent, int) or (
        isinstance(exponent, float) and exponent.is_integer() and abs(exponent) <= _MOST_POWER
    )
    if whole and abs(exponent) <= _MOST_POWER:
        return computed(call.function, lambda z: whole_power(z, int(exponent)), base)
    if exponent == 0.5:
        return computed(call.function, fn.sqrt, base)
    if isinstance(exponent, int | float):
        return computed(call.function, lambda z: _to_a_number(z, float(exponent)), base)
    base = call.cast(base, "float32") if isinstance(base, Value | np.ndarray) else base
    exponent = call.cast(exponent, "float32") if not isinstance(exponent, Pair) else exponent
    return computed(call.function, fn.pow, base, exponent)


def _to_a_number(z: Any, exponent: float) -> Any:
    """A power of a real exponent other than 0: 0 stays 0, or becomes what 1 / 0 is."""
    empty = fn.equal(z, 0.0)
    safe = Complex(fn.where(empty, 1.0, z.parts[0]), z.parts[1])
    power = fn.exp(_scaled(fn.log(safe), abs(exponent)))
    made = Complex(*(fn.where(empty, 0.0, p) for p in power.parts))  # type: ignore[attr-defined]
    return fn.reciprocal(made) if exponent < 0 else made


def _by_table(op: str) -> Rule:
    """What fanlight.tensor has for complex numbers, by the name of an op."""
    return lambda call: computed(
        call.function, lambda z: apply_complex(op, [z], {}), _complex(call)
    )


_FUNCTIONS = (
    "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "reciprocal square"
).split()
for _function in _FUNCTIONS:
    RULES[_function] = _by_table(_function)
RULES["sgn"] = _by_table("sign")
RULES["isnan"], RULES["isinf"] = _by_table("is_nan"), _by_table("is_inf")
RULES["isfinite"] = _by_table("is_finite")


@rule("rsqrt")
def rsqrt(call: Call) -> Any:
    return computed(call.function, lambda z: fn.reciprocal(fn.sqrt(z)), _complex(call))


@rule("log2", "log10")
def log_to(call: Call) -> Any:
    factor = 1 / math.log(2 if _name(call).startswith("log2") else 10)
    return computed(call.function, lambda z: _scaled(fn.log(z), factor), _complex(call))


@rule("prod")
def prod(call: Call) -> Any:
    z = _complex(call)
    axes = call.axes("dim", len(z.shape))
    return computed(call.function, lambda z: fn.prod(z, axes, call.flag("keepdim")), z)


@rule("addcmul", "lerp")
def composed(call: Call) -> Any:
    """Written with sums and products, whose rules are above."""
    if _name(call).startswith("lerp"):
        base, end, weight = (call.args[n] for n in ("self", "end", "weight"))
        weight = call.cast(weight, "float32") if isinstance(weight, Value | np.ndarray) else weight
        return computed(
            call.function, lambda a, b, w: fn.add(a, fn.mul(w, fn.sub(b, a))), base, end, weight
        )
    scale = call.real("value", 1.0)
    given = [call.args[n] for n in ("self", "tensor1", "tensor2")]
    return computed(call.function, lambda x, a, b: fn.add(x, fn.mul(fn.mul(a, b), scale)), *given)


@rule("addmm", "baddbmm", "addmv")
def added_product(call: Call) -> Any:
    """beta x + alpha a b."""
    second = next(n for n in ("mat2", "batch2", "vec") if n in call.args)
    first = next(n for n in ("mat1", "batch1", "mat") if n in call.args)
    alpha, beta = call.real("alpha", 1.0), call.real("beta", 1.0)
    a, b, x = call.args[first], call.args[second], call.args["self"]
    if "vec" in call.args:
        return computed(call.function,
            lambda x, a, b: fn.add(
                fn.mul(x, beta), fn.mul(fn.squeeze(fn.matmul(a, fn.expand_dims(b, -1)), -1), alpha)
            ),
            x, a, b,
        )  # fmt: skip
    return computed(
        call.function,
        lambda x, a, b: fn.add(fn.mul(x, beta), fn.mul(fn.matmul(a, b), alpha)),
        x,
        a,
        b,
    )

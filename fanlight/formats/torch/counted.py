"""Tensors of a greatest size with a count (`Bounded`), and counts as sizes, in PyTorch's operators.

Elementwise operators, and those that leave the counted dim alone, take the whole tensor. Reductions
over it put what does not count (0 for a sum) behind the count. What fits none of this is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.counts import (
    Bounded,
    Count,
    bounded,
    cleaned,
    count_of,
    counted,
    first,
    inside,
)
from fanlight.formats.emitter import dtype_of
from fanlight.formats.pairs import Pair, holds_complex
from fanlight.formats.registry import under
from fanlight.formats.torch import complex as complexes
from fanlight.formats.torch import memory
from fanlight.formats.torch.call import Call, Handler
from fanlight.formats.torch.unbacked import Labelled, argument, as_number, size_of, sizes_of
from fanlight.graph import Value
from fanlight.tensor import functions as fn
from fanlight.tensor import sorting
from fanlight.tensor.indices import take_along_axis

Rule = Callable[[Call, Handler], Any]
RULES: dict[str, Rule] = {}

# One element each, with broadcasting: they see what is behind the count, and it stays behind.
_EACH = frozenset(
    (
        "abs neg negative sign sgn square floor ceil round trunc fix frac bitwise_not sqrt rsqrt "
        "reciprocal exp exp2 expm1 log log1p log2 log10 sin cos tan asin acos atan arctan sinh "
        "cosh asinh acosh atanh erf special_erf erfc special_erfc erfinv sigmoid special_expit "
        "tanh silu mish selu log_sigmoid softsign hardswish relu relu6 logit isnan isinf isfinite "
        "nan_to_num logical_not clone contiguous detach lift_fresh_copy lift_fresh alias dropout "
        "to _to_copy type_as positive device_put requires_grad_ convert_element_type add sub "
        "subtract rsub mul multiply div divide true_divide floor_divide remainder fmod pow "
        "maximum minimum fmax fmin atan2 arctan2 hypot eq ne not_equal lt less le less_equal gt "
        "greater ge greater_equal logical_and logical_or logical_xor bitwise_and bitwise_or "
        "bitwise_xor __and__ __or__ __xor__ where masked_fill lerp addcmul addcdiv clamp clip "
        "clamp_min clamp_max hardtanh hardsigmoid gelu leaky_relu elu celu softplus hardshrink "
        "softshrink tanhshrink threshold zeros_like ones_like full_like empty_like rand_like "
        "randn_like copy zero fill _neg_view xlogy special_xlogy bitwise_left_shift heaviside "
        "bitwise_right_shift __lshift__ __rshift__ max.other min.other"
    ).split()
)
# Each entry of the first dim by itself, whatever the others are.
_BATCHED = frozenset(
    (
        "convolution conv1d conv2d conv3d conv_transpose2d max_pool1d max_pool2d max_pool3d "
        "max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d "
        "adaptive_max_pool2d batch_norm _native_batch_norm_legit_no_training instance_norm "
        "group_norm native_group_norm upsample_nearest2d upsample_bilinear2d upsample_bicubic2d "
        "pixel_shuffle reflection_pad2d replication_pad2d"
    ).split()
)
# Of these, entries without a batch would have another first dim.
_WITH_BATCH = tuple("conv max_pool avg_pool adaptive _adaptive upsample pixel refl repl".split())
# Their importers take counted tensors themselves.
_FINDS = frozenset("nonzero argwhere nonzero_numpy where.default nms".split())


def concerns(args: Sequence[Any]) -> bool:
    """Whether any argument is counted, or is a size that depends on numbers."""
    return any(
        isinstance(a, Bounded | Count) or (isinstance(a, list) and concerns(a)) for a in args
    )


def handle(call: Call, handler: Handler) -> Any:
    """The results of a node of which arguments are counted tensors or sizes that are counts.

    Raises:
        FanlightError: E-FORMAT-019 the operator does not take them.
    """
    rest = call.node.target.partition(".")[2]
    lead = rest.partition(".")[0]
    name = lead if lead in RULES or lead in _EACH else lead.removesuffix("_")
    if any(map(holds_complex, call.args.values())):
        return _on_parts(call, handler, name)
    if name in _FINDS or rest in _FINDS:
        return handler(call)
    if name in _EACH or rest in _EACH:
        return _each(call, handler)
    found = RULES.get(rest) or RULES.get(name)
    if found is not None:
        return found(call, handler)
    args = {k: as_number(call, v) for k, v in call.args.items()}
    if not concerns(list(args.values())):
        return handler(replace(call, args=args))
    if name in _BATCHED:
        return _batched(call, handler)
    raise refused(call, "it takes tensors of a known size only")


def _on_parts(call: Call, handler: Handler, name: str) -> Any:
    """Complex numbers where a mask is true; nothing else of them is counted."""
    if "index_put" not in name:
        why = "complex numbers have a known size only"
        if name in ("index", "_unsafe_index", "masked_select"):
            why += ", and a mask takes as many as it wants; torch.where(mask, z, 0) keeps the size"
        raise refused(call, why)
    z, values = call.get("self"), call.get("values")
    if not isinstance(z, Pair) or concerns([z, values]):
        raise refused(call, "complex numbers have a known size only")
    made = []
    for part in ("real", "imag"):
        new = getattr(values, part) if isinstance(values, Pair) else values
        if part == "imag" and new is values:
            new = complexes.zeros_like(call, call.x("values"))
        args = {**call.args, "self": getattr(z, part), "values": new}
        made.append(RULES["index_put"](complexes.real_call(call, args, part), handler))
    return Pair(*made)


def refused(call: Call, why: str) -> FanlightError:
    """E-FORMAT-019 about a node, and what can be done."""
    found = [a for a in call.args.values() if isinstance(a, Bounded)]
    return FanlightError(
        "E-FORMAT-019",
        f"a size that depends on the model's numbers reaches {call.node.target}: {why}.",
        where=call.where,
        expected="elementwise operators, index, cat, view, slice, reductions, sort, topk, matmul, "
        "or the end of the model, behind what finds places or keeps boxes",
        received=", ".join(
            f"at most {x.shape[x.axis]} along dim {x.axis} of {list(x.shape)}" for x in found
        )
        or "a size",
        next="end the model before this node and do the rest on its results, which are as long as "
        "they can be, with a count; or write it with torch.where(mask, x, 0) in place of x[mask], "
        "which keeps the size. Of glu, einsum, scaled_dot_product_attention and outer, "
        "program.run_decompositions() makes operators that take it.",
    )


def rule(*names: str) -> Callable[[Rule], Rule]:
    return under(names, RULES)


def fitting(call: Call, results: Sequence[Any], old: Any) -> Any:
    """What is written into `old`, in its dtype, as memory.fitting has it; either may be counted."""
    value = results[0] if results else None
    if not isinstance(old, Bounded) and not isinstance(value, Bounded):
        return memory.fitting(call, results, old)
    if not isinstance(old, Bounded) or not isinstance(value, Bounded) or value.axis != old.axis:
        raise refused(call, "what is written has another size")
    return replace(value, tensor=call.cast(value.tensor, dtype_of(old.tensor), "written"))


def opened(call: Call, operands: Sequence[Any]) -> list[Any]:
    """Operands of a branch as plain tensors: counted ones by what they hold, and their counts."""
    counts = [x.count if isinstance(x, Bounded) else x for x in operands]
    if any(isinstance(c, Count) and c.least < 0 for c in counts):
        raise refused(call, "a branch is given a size that may be negative")
    flat = [as_number(Labelled(call), tensor_of(x)) for x in operands]
    return flat + [x.count.value(Labelled(call)) for x in operands if isinstance(x, Bounded)]


def closed(inside: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
    """The operands of a branch again, of what `opened` made of them, inside of it."""
    counts = iter(inside[len(operands) :])
    made: list[Any] = []
    for x, own in zip(operands, inside, strict=False):
        if isinstance(x, Bounded):
            made.append(replace(x, tensor=own, count=count_of(next(counts), x.count.most)))
        else:
            made.append(count_of(own, x.most) if isinstance(x, Count) else own)
    return made


# --- helpers --------------------------------------------------------------------------------------


def tensor_of(x: Any) -> Any:
    """A counted tensor as it lies there, with what is behind the count."""
    return x.tensor if isinstance(x, Bounded) else x


def with_(call: Call, **changed: Any) -> Call:
    """The call with other arguments."""
    return replace(call, args={**call.args, **changed})


def only(call: Call, name: str = "self") -> Bounded:
    """The one counted argument; refused where another one is counted, too."""
    x = call.get(name)
    others = [v for k, v in call.args.items() if k != name]
    if not isinstance(x, Bounded) or concerns(others):
        raise refused(call, "what says how it is done depends on numbers")
    return x


def clean(call: Call, x: Any, value: float | bool = 0) -> Any:
    """The tensor with `value` behind the count; the least or greatest number of whole ones."""
    if not isinstance(x, Bounded):
        return x
    kind = dtype_of(x.tensor)
    if isinstance(value, float) and math.isinf(value) and kind != "float32":
        low, high = {"bool": (False, True), "uint8": (0, 255)}.get(kind, (-(2**31), 2**31 - 1))
        value = high if value > 0 else low
    return cleaned(Labelled(call), x, value)


def each_of(made: Any, wrap: Callable[[Any], Any]) -> Any:
    """One result or a list of them, each wrapped."""
    return [wrap(m) for m in made] if isinstance(made, list | tuple) else wrap(made)


def _each(call: Call, handler: Handler) -> Any:
    """Elementwise, with broadcasting."""
    args = {k: as_number(call, v) for k, v in call.args.items()}
    tensors = {k: v for k, v in args.items() if isinstance(v, Bounded | Value | np.ndarray)}
    found = [x for x in tensors.values() if isinstance(x, Bounded)]
    if not found:
        return handler(replace(call, args=args))
    behind = {len(x.shape) - x.axis for x in found}
    if len(behind) > 1:
        raise refused(call, "two dims are counted")
    (back,) = behind
    rank = max(len(x.shape) for x in tensors.values())
    # A tensor of a known size beside it says how many there are.
    known = [
        x.shape[-back]
        for x in tensors.values()
        if not isinstance(x, Bounded) and len(x.shape) >= back and x.shape[-back] != 1
    ]
    size = min([x.shape[x.axis] for x in found] + known)
    label = Labelled(call)
    for key, x in tensors.items():
        whole = tensor_of(x)
        if len(whole.shape) >= back and whole.shape[-back] > size:
            whole = first(label, whole, len(whole.shape) - back, size)
        args[key] = whole
    made = handler(replace(call, args=args))
    if known or len(getattr(made, "shape", ())) != rank:
        return made
    return bounded(label, made, rank - back, found[0].count)


def _batched(call: Call, handler: Handler) -> Any:
    name = "self" if "self" in call.args else "input"
    x = only(call, name)
    name_of = call.node.target.partition(".")[2]
    if x.axis or (len(x.shape) < 3 and name_of.startswith(_WITH_BATCH)):
        raise refused(call, "another dim than that of the batch is counted")
    if call.has("training") and call.flag("training"):
        raise refused(call, "it takes the mean of what is counted")
    made = handler(with_(call, **{name: x.tensor}))
    return each_of(made, lambda m: Bounded(m, 0, x.count))


@rule("prelu", "_prelu_kernel")
def _prelu(call: Call, handler: Handler) -> Any:
    """With one slope, of any shape; with one for each channel, of a batch."""
    alone = math.prod(call.x("weight").shape) == 1
    return (_each if alone or "kernel" in call.node.target else _batched)(call, handler)


# --- reductions -----------------------------------------------------------------------------------


def _axes(call: Call, rank: int) -> tuple[int, ...]:
    return call.axes("dim", rank) if call.has("dim") else tuple(range(rank))


def _left(x: Bounded, axes: Sequence[int], keep: bool) -> int:
    """Where the counted dim is, after others are reduced."""
    return x.axis if keep else x.axis - sum(a < x.axis for a in axes)


def _reduction(neutral: float | bool) -> Rule:
    def reduce(call: Call, handler: Handler) -> Any:
        x = only(call)
        axes, keep = _axes(call, len(x.shape)), call.flag("keepdim")
        if x.axis not in axes:
            made = handler(with_(call, self=x.tensor))
            return each_of(made, lambda m: Bounded(m, _left(x, axes, keep), x.count))
        made = handler(with_(call, self=clean(call, x, neutral)))
        flat = ".arg" in call.node.target and not call.has("dim")
        return _place_of_all(call, x, made) if flat and x.axis else made

    return reduce


def _place_of_all(call: Call, x: Bounded, place: Any) -> Any:
    """A place among all elements, of one where each row along the dim has its greatest size."""
    behind = math.prod(x.shape[x.axis + 1 :])
    row = x.shape[x.axis] * behind
    short = (Count(x.shape[x.axis]) - x.count).value(Labelled(call))

    def compute(place: Any, short: Any) -> Any:
        rows = fn.floor_div(place, row)
        return fn.sub(place, fn.mul(rows, fn.mul(short, behind)))

    return call.function(compute, call.cast(place, "int32", "place"), short)


for _names, _neutral in {
    "sum nansum count_nonzero": 0, "prod": 1, "any": False, "all": True,
    "amax max argmax": -math.inf, "amin min argmin": math.inf, "logsumexp": -3e38,
}.items():  # fmt: skip
    RULES.update(dict.fromkeys(_names.split(), _reduction(_neutral)))


def _number_of(call: Call, x: Bounded) -> Any:
    return call.em.cast(x.count.value(Labelled(call)), "float32", call.name("count"))


@rule("mean")
def _mean(call: Call, handler: Handler) -> Any:
    x = only(call)
    made = _reduction(0)(call, handler)
    if isinstance(made, Bounded):
        return made
    # The sum is divided by the count, not by the greatest size.
    share = call.op("div", call.em.const(float(x.shape[x.axis])), _number_of(call, x), part="share")
    return call.op("mul", made, share)


@rule("var", "std", "var_mean", "std_mean")
def _spread(call: Call, handler: Handler) -> Any:
    x = only(call)
    axes, keep = _axes(call, len(x.shape)), call.flag("keepdim")
    if x.axis not in axes:
        return _reduction(0)(call, handler)
    correction = call.get("correction", 1)
    if "unbiased" in call.args:
        correction = 1 if call.flag("unbiased") else 0
    less = 1.0 if correction is None else float(correction)
    rest = math.prod(x.shape[a] for a in axes if a != x.axis)
    root = "std" in call.node.target

    def compute(x: Any, inside: Any, count: Any) -> Any:
        number = fn.mul(count, float(rest))
        middle = fn.div(fn.sum(fn.where(inside, x, 0.0), axes, True), number)
        apart = fn.where(inside, fn.square(fn.sub(x, middle)), 0.0)
        made = fn.div(fn.sum(apart, axes, keep), fn.sub(number, less))
        middle = middle if keep else fn.squeeze(middle, axes)
        return (fn.sqrt(made) if root else made), middle

    ones = Bounded(np.ones([n if a == x.axis else 1 for a, n in enumerate(x.shape)], bool),
                   x.axis, x.count)  # fmt: skip
    made = call.function(compute, x.tensor, clean(call, ones, False), _number_of(call, x))
    return made if "_mean" in call.node.target else made[0]


@rule("norm", "linalg_vector_norm")
def _norm(call: Call, handler: Handler) -> Any:
    name = "ord" if "linalg" in call.node.target else "p"
    if call.has(name) and call.real(name) < 0:
        raise refused(call, "its order is negative")
    return _reduction(0)(call, handler)


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax")
def _softmax(call: Call, handler: Handler) -> Any:
    x = only(call)
    along = call.axis("dim", len(x.shape)) == x.axis
    made = handler(with_(call, self=clean(call, x, -3e38) if along else x.tensor))
    return Bounded(made, x.axis, x.count)


@rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
def _scanned(call: Call, handler: Handler) -> Any:
    x = only(call)
    made = handler(with_(call, self=x.tensor))
    return each_of(made, lambda m: Bounded(m, x.axis, x.count))


@rule("sort", "argsort", "msort")
def _sorted(call: Call, handler: Handler) -> Any:
    x = only(call)
    down, name = call.flag("descending"), call.node.target
    axis = 0 if "msort" in name else call.axis("dim", len(x.shape), -1)
    if axis != x.axis or dtype_of(x.tensor) != "float32":
        end = -math.inf if down else math.inf
        made = handler(with_(call, self=clean(call, x, end) if axis == x.axis else x.tensor))
        return each_of(made, lambda m: Bounded(m, x.axis, x.count))

    def compute(x: Any, inside: Any) -> Any:
        # No float is behind infinity and NaN, so what is behind the count is told by a key.
        places = sorting.argsort(x, axis, down)
        taken = take_along_axis(x, places, axis)
        key = fn.where(take_along_axis(fn.broadcast_to(inside, x.shape), places, axis), 0, 2)
        if down:  # PyTorch takes NaN for the greatest
            key = fn.where(fn.logical_or(fn.is_nan(taken), fn.equal(key, 2)), key, 1)
        order = sorting.argsort(key, axis)
        return take_along_axis(taken, order, axis), take_along_axis(places, order, axis)

    made = call.function(compute, x.tensor, inside(Labelled(call), x))
    values, places = (Bounded(m, x.axis, x.count) for m in made)
    return places if "argsort" in name else values if "msort" in name else [values, places]


@rule("topk")
def _top(call: Call, handler: Handler) -> Any:
    x, k = argument(call), size_of(call, "k")
    rank = len(x.shape)
    axis = call.axis("dim", rank, -1)
    if isinstance(x, Bounded) and x.axis != axis and not isinstance(k, Count):
        made = handler(with_(call, self=x.tensor))
        return each_of(made, lambda m: Bounded(m, x.axis, x.count))
    if isinstance(x, Bounded) and x.axis != axis:
        raise refused(call, "two dims are counted")
    end = -math.inf if call.flag("largest", True) else math.inf
    most = min(x.shape[axis], max(counted(k).most, 0))
    made = handler(with_(call, self=clean(call, x, end), k=most))
    if not isinstance(k, Count):
        return made
    return each_of(made, lambda m: bounded(Labelled(call), m, axis, k))


# --- products -------------------------------------------------------------------------------------


@rule("mm", "matmul", "bmm", "addmm", "baddbmm", "mv", "dot", "linear")
def _product(call: Call, handler: Handler) -> Any:
    """Sums along a counted dim are those of what counts, as the rest is 0."""
    pairs = (("mat1", "mat2"), ("batch1", "batch2"), ("input", "weight"), ("self", "mat2"),
             ("self", "vec"), ("self", "tensor"), ("self", "other"))  # fmt: skip
    names = next((p for p in pairs if all(n in call.args for n in p)), None)
    if names is None or concerns([v for k, v in call.args.items() if k not in names]):
        raise refused(call, "what is added is counted")
    a, b = (argument(call, n) for n in names)
    summed = (len(a.shape) - 1, max(len(b.shape) - 2, 0))
    if names == ("input", "weight"):
        summed = (len(a.shape) - 1, len(b.shape) - 1)
    inner = [isinstance(x, Bounded) and x.axis == s for x, s in zip((a, b), summed, strict=True)]
    if all(inner):
        size = min(a.shape[summed[0]], b.shape[summed[1]])
        a, b = (
            first(Labelled(call), clean(call, x), s, size)
            for x, s in zip((a, b), summed, strict=True)
        )
        return handler(with_(call, **dict(zip(names, (a, b), strict=True))))
    if any(inner):
        raise refused(call, "it would sum over the counted dim")
    if isinstance(a, Bounded) and isinstance(b, Bounded):
        raise refused(call, "two dims are counted")
    made = handler(with_(call, **{names[0]: tensor_of(a), names[1]: tensor_of(b)}))
    rank = len(made.shape)
    if isinstance(a, Bounded):  # a dim of the batch, or the rows
        return Bounded(made, a.axis + rank - len(a.shape) + (len(b.shape) == 1), a.count)
    if b.axis == len(b.shape) - 1 and names != ("input", "weight"):
        return Bounded(made, rank - 1, b.count)
    if names == ("input", "weight"):
        return Bounded(made, rank - 1, b.count)
    return Bounded(made, b.axis + rank - len(b.shape) + (len(a.shape) == 1), b.count)


@rule("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def _normalized(call: Call, handler: Handler) -> Any:
    x = only(call, "input")
    if x.axis >= len(x.shape) - len(call.ints("normalized_shape")):
        raise refused(call, "it would be normalised over the counted dim")
    made = handler(with_(call, input=x.tensor))
    return each_of(made, lambda m: Bounded(m, x.axis, x.count))


@rule("one_hot")
def _one_hot(call: Call, handler: Handler) -> Any:
    x = only(call)
    return Bounded(handler(with_(call, self=clean(call, x))), x.axis, x.count)


# --- tensors that are made ------------------------------------------------------------------------


@rule("full", "zeros", "ones", "empty", "new_full", "new_zeros", "new_ones", "new_empty", "rand",
      "randn")  # fmt: skip
def _filled(call: Call, handler: Handler) -> Any:
    sizes = sizes_of(call, "size")
    args = {k: as_number(call, v) for k, v in call.args.items()}
    if isinstance(args.get("self"), Bounded):
        args["self"] = args["self"].tensor
    axes = [i for i, s in enumerate(sizes) if isinstance(s, Count)]
    if len(axes) > 1:
        raise refused(call, "two sizes depend on numbers")
    if axes:
        args["size"] = [max(counted(s).most, 0) for s in sizes]
    made = handler(replace(call, args=args))
    return bounded(Labelled(call), made, axes[0], counted(sizes[axes[0]])) if axes else made


@rule("arange")
def _range(call: Call, handler: Handler) -> Any:
    start, end, step = (call.get(n, d) for n, d in (("start", 0), ("end", 0), ("step", 1)))
    if not all(isinstance(v, int | Count) for v in (start, end)) or step != 1:
        raise refused(call, "its step is not 1, or it is one of fractions")
    long = counted(end) - start
    most = max(long.most, 0)
    if most > 1 << 22:
        raise call.refuse(
            "nothing says how long the range may be",
            expected="a bound in the module: torch._check(n <= 100)",
            received=most,
        )
    base: Any = np.arange(most, dtype=np.int32)
    if isinstance(start, Count):
        base = call.op("add", base, start.value(Labelled(call)), part="from")
    elif start:
        base = base + np.int32(start)
    return bounded(Labelled(call), base, 0, long)

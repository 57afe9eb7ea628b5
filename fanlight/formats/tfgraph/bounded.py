"""What ops do with tensors of a greatest size and a count (`Bounded`), and with `Sizes`.

Elementwise ops, and those that leave the counted dim alone, take the whole tensor. Reductions over
it put what does not count (0 for a sum) behind the count. What fits none of this is refused.
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
    Compared,
    Count,
    Sizes,
    as_counts,
    as_tensor,
    bounded,
    chosen,
    cleaned,
    count_of,
    counted,
    first,
    limited,
    ranged,
    sizes,
)
from fanlight.formats.emitter import dtype_of
from fanlight.formats.tfgraph.call import Call, Handler

Rule = Callable[[Call, Handler], Any]
RULES: dict[str, Rule] = {}

# One element each, with broadcasting: they see what is behind the count, and it stays behind.
ELEMENTWISE = frozenset(
    (
        "Abs Neg Exp Expm1 Log Log1p Sqrt Rsqrt Square Reciprocal Inv Floor Ceil Round Rint Sign "
        "Sin Cos Tanh Sigmoid Erf Erfc Relu Relu6 Selu Elu Softplus Softsign LogicalNot IsNan "
        "IsInf IsFinite Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh LeakyRelu Identity Snapshot "
        "StopGradient PreventGradient CheckNumerics Print Cast ClipByValue ZerosLike OnesLike Add "
        "AddV2 AddN Sub Mul RealDiv Div Maximum Minimum FloorDiv FloorMod Mod SquaredDifference "
        "Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalXor Pow "
        "Atan2 DivNoNan Select SelectV2 BitwiseAnd BitwiseOr BitwiseXor Invert Xlogy Xdivy "
        "FakeQuantWithMinMaxVars FakeQuantWithMinMaxArgs EnsureShape"
    ).split()
)
# Op -> the inputs that hold what it moves; the others say where to.
_MOVES: dict[str, Callable[[int], range]] = {
    **dict.fromkeys(
        "Identity Reshape Squeeze ExpandDims StridedSlice Slice GatherV2 Gather Transpose Unpack "
        "Reverse ReverseV2 SplitV Snapshot StopGradient EnsureShape Tile".split(),
        lambda n: range(1),
    ),
    "Split": lambda n: range(1, 2),
    "Pack": range,
    "ConcatV2": lambda n: range(n - 1),
    "Concat": lambda n: range(1, n),
}
# Ops that make of tensors of known sizes such as are as long as counts say, or hand counts on.
_TAKE_SIZES = frozenset(
    (
        "Shape ShapeN Size Rank Fill Range Reshape Slice StridedSlice Pad PadV2 TopKV2 If "
        "StatelessIf While StatelessWhile IdentityN NonMaxSuppressionV2 NonMaxSuppressionV3 "
        "NonMaxSuppressionV4 NonMaxSuppressionV5"
    ).split()
)


def rule(*ops: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return register


def concerns(inputs: Sequence[Any]) -> bool:
    """Whether any input is bounded, or is sizes, or a comparison of sizes."""
    return any(isinstance(x, Bounded | Sizes | Compared) for x in inputs)


def handle(call: Call, handler: Handler) -> Any:
    """The results of a node whose inputs are bounded tensors or sizes.

    Raises:
        FanlightError: E-FORMAT-019 the op does not take them.
    """
    op = call.node.op
    if op not in ("Select", "SelectV2"):
        given = [x.tensor if isinstance(x, Compared) else x for x in call.inputs]
        call = replace(call, inputs=given)
        if not concerns(given):
            return handler(call)
    counted_ = any(isinstance(x, Bounded) for x in call.inputs)
    if not counted_:
        moved = _moved(call, handler) if op in _MOVES else _added(call, handler)
        if moved is not None:
            return moved
    if op in RULES and (counted_ or op in _TAKE_SIZES):
        return RULES[op](call, handler)
    if not counted_:
        return handler(_plain(call))
    if op in ELEMENTWISE:
        return _elementwise(call, handler)
    raise refused(call, "it takes tensors of a known size only")


def _plain(call: Call) -> Call:
    return replace(call, inputs=[as_tensor(call, x) for x in call.inputs])


def _with(call: Call, handler: Handler, *inputs: Any) -> Any:
    return handler(replace(call, inputs=[as_tensor(call, x) for x in inputs]))


def refused(call: Call, why: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-019",
        f"a size that depends on the model's numbers reaches {call.node.op}: {why}.",
        where=call.where,
        expected="elementwise ops, Gather, Concat, Reshape, Slice, reductions, TopK, Pad, or the "
        "end of the model, behind what keeps boxes or finds places",
        received=", ".join(
            f"at most {x.shape[x.axis]} along dim {x.axis} of {list(x.shape)}"
            for x in call.inputs
            if isinstance(x, Bounded)
        )
        or "sizes",
        next="end the model before this node and do the rest on its results, which are as long as "
        "they can be, with a count; fix the input that decides the size (fl.load has "
        "input_values, fanlight convert --input-value); or export it with padded results.",
    )


# --- sizes ----------------------------------------------------------------------------------------


def _moved(call: Call, handler: Handler) -> Any:
    """An op of shapes on sizes: it moves their numbers' places instead."""
    data = _MOVES[call.node.op](len(call.inputs))
    pool: list[Any] = []
    inputs: list[Any] = list(call.inputs)
    for index in data:
        counts = as_counts(inputs[index])
        if counts is None:
            return None
        places = np.arange(counts.size, dtype=np.int32) + len(pool)
        pool += counts.reshape(-1).tolist()
        inputs[index] = places.reshape(counts.shape)
    if not all(isinstance(x, np.ndarray) for x in inputs):
        return None
    made = handler(replace(call, inputs=inputs))
    results = list(made) if isinstance(made, list | tuple) else [made]
    return [sizes([pool[i] for i in r.reshape(-1)], r.shape) for r in results]


def _added(call: Call, handler: Handler) -> Any:
    """Sums, products and comparisons of sizes."""
    op = call.node.op
    if op == "Cast" and call.attrs.dtype("DstT") == "int32":
        return call.inputs[0]
    if op in ("Prod", "Max", "Min", "Sum") and isinstance(call.inputs[0], Sizes):
        items = call.inputs[0].counts.reshape(-1).tolist()
        if op in ("Prod", "Sum") and len(call.inputs[0].shape) == 1:
            total = counted(1 if op == "Prod" else 0)
            for item in items:
                if op == "Sum":
                    total = total + item
                elif item.terms and total.terms:
                    return None
                else:
                    total = item * total.constant if item.terms else total * item.constant
            return sizes([total], ())
        return items[0] if len(items) == 1 and not call.inputs[0].shape else None
    if op in ("Select", "SelectV2") and len(call.inputs) == 3:
        return _chosen(call)
    if len(call.inputs) != 2:
        return None
    if op not in ("Add", "AddV2", "Sub", "Mul", "Minimum", "Maximum"):
        return _compared(call, handler)
    a, b = (as_counts(x) for x in call.inputs)
    if a is None or b is None:
        return None
    a, b = np.broadcast_arrays(a, b)
    made = [_both(call, op, x, y) for x, y in zip(a.flat, b.flat, strict=True)]
    return sizes(made, a.shape)


def _both(call: Call, op: str, x: Count, y: Count) -> Count:
    if op in ("Add", "AddV2"):
        return x + y
    if op == "Sub":
        return x - y
    if op == "Mul" and not (x.terms and y.terms):
        return x * y.constant if x.terms else y * x.constant
    if op == "Minimum" and not (x.terms and y.terms):
        return limited(call, x, y.constant) if x.terms else limited(call, y, x.constant)
    if op == "Maximum" and not x.terms and x.constant <= 0 and _whole(y):
        return y
    if op == "Maximum" and not y.terms and y.constant <= 0 and _whole(x):
        return x
    name, (least, most) = {
        "Mul": ("mul", _corners(x, y)),
        "Minimum": ("minimum", (min(x.least, y.least), min(x.most, y.most))),
        "Maximum": ("maximum", (max(x.least, y.least), max(x.most, y.most))),
    }[op]
    value = call.op(name, x.value(call), y.value(call), part="count")
    return ranged(call, value, least, most)


def _corners(x: Count, y: Count) -> tuple[int, int]:
    """From where to where the product of two counts may lie."""
    found = [a * b for a in (x.least, x.most) for b in (y.least, y.most)]
    return min(found), max(found)


_GREATER = {
    "Greater": (0, 1, 0),
    "GreaterEqual": (0, 1, 1),
    "Less": (1, 0, 0),
    "LessEqual": (1, 0, 1),
}


def _compared(call: Call, handler: Handler) -> Any:
    """A comparison of two counts without dims; None if these are no such counts.

    What the bounds of the counts decide is known: bool.
    """
    pair = [as_counts(x) for x in call.inputs]
    if call.node.op not in _GREATER or any(c is None or c.shape for c in pair):
        return None
    more, less, equal = _GREATER[call.node.op]
    items: list[Count] = [c.item() for c in pair if c is not None]
    difference = items[more] - items[less] + equal
    if difference.most <= 0 or difference.least > 0:
        return np.asarray(difference.least > 0)
    tensor = handler(replace(call, inputs=[as_tensor(call, x) for x in call.inputs]))
    return Compared(tensor, difference)


def _chosen(call: Call) -> Any:
    """One of two counts without dims, as a condition wants."""
    which: Any = call.x(0)
    a, b = (as_counts(call.x(i)) for i in (1, 2))
    if a is None or b is None or a.shape or b.shape or tuple(which.shape):
        return None
    return sizes([chosen(call, which, a.item(), b.item())], ())


def _whole(count: Count) -> bool:
    """Whether a count is never negative, going by its terms."""
    return count.least >= 0


@rule("Shape", "ShapeN")
def _shape(call: Call, handler: Handler) -> Any:
    made = []
    for x in call.inputs:
        dims: list[Any] = list(x.shape)
        if isinstance(x, Bounded):
            dims[x.axis] = x.count
        made.append(sizes(dims, (len(dims),)))
    return made


@rule("Size")
def _size(call: Call, handler: Handler) -> Any:
    x: Any = call.x()
    if not isinstance(x, Bounded):
        return np.asarray(math.prod(x.shape), np.int32)
    rest = math.prod(d for a, d in enumerate(x.shape) if a != x.axis)
    return sizes([x.count * rest], ())


@rule("Rank")
def _rank(call: Call, handler: Handler) -> Any:
    return np.asarray(len(call.x().shape), np.int32)


def _dims(call: Call, index: int, what: str) -> list[Count]:
    """Input `index` as counts: known numbers, or sizes."""
    found = as_counts(call.x(index))
    if found is None:
        call.known(index, what)  # which refuses what it is not
        raise refused(call, f"{what} is no size")
    items: list[Count] = found.reshape(-1).tolist()
    return items


@rule("Fill")
def _fill(call: Call, handler: Handler) -> Any:
    dims = _dims(call, 0, "the shape")
    open_dims = [a for a, d in enumerate(dims) if d.terms]
    value = as_tensor(call, call.x(1))
    if len(open_dims) > 1 or isinstance(value, Bounded):
        raise refused(call, "two sizes are open")
    full = call.op("broadcast_to", value, shape=tuple(max(d.most, 0) for d in dims))
    return bounded(call, full, open_dims[0], dims[open_dims[0]]) if open_dims else full


@rule("Range")
def _range(call: Call, handler: Handler) -> Any:
    start, stop, step = (_dims(call, i, "the range")[0] for i in range(3))
    if start.terms or step.terms or step.constant != 1:
        raise refused(call, "its start and step depend on numbers")
    count = stop - start
    if count.most > 1 << 22:
        raise call.refuse("the range is too long", received=count.most)
    places = np.arange(max(count.most, 0), dtype=np.int32) + np.int32(start.constant)
    return bounded(call, places, 0, count)


# --- elementwise ----------------------------------------------------------------------------------


def _elementwise(call: Call, handler: Handler) -> Any:
    inputs = [as_tensor(call, x) for x in call.inputs]
    found = [x for x in inputs if isinstance(x, Bounded)]
    old = call.node.op == "Select" and len(inputs[0].shape) == 1 and len(inputs[1].shape) > 1
    if old and isinstance(inputs[0], Bounded):  # a vector of conditions picks whole rows
        inputs[0] = _shaped(
            call, inputs[0], 0, (*inputs[0].shape, *[1] * (len(inputs[1].shape) - 1))
        )
        found = [x for x in inputs if isinstance(x, Bounded)]
    behind = {len(x.shape) - x.axis for x in found}
    if len(behind) > 1:
        raise refused(call, "two dims are counted")
    (behind_,) = behind
    rank = max(len(x.shape) for x in inputs)
    # A tensor of a known size beside it says how many there are.
    known = [
        x.shape[-behind_]
        for x in inputs
        if not isinstance(x, Bounded) and len(x.shape) >= behind_ and x.shape[-behind_] != 1
    ]
    size = min([x.shape[x.axis] for x in found] + known)
    plain = [first(call, x.tensor, x.axis, size) if isinstance(x, Bounded) else x for x in inputs]
    for index, x in enumerate(plain):
        if (
            not isinstance(inputs[index], Bounded)
            and len(x.shape) >= behind_
            and x.shape[-behind_] > size
        ):
            plain[index] = first(call, x, len(x.shape) - behind_, size)
    made = handler(replace(call, inputs=plain))
    if known:
        return made
    if len(getattr(made, "shape", ())) != rank:
        raise refused(call, "its result is not of the shape of its inputs")
    result = bounded(call, made, rank - behind_, found[0].count)
    if call.node.op == "Cast" and isinstance(result, Bounded):
        was_bool = dtype_of(found[0].tensor) == "bool" and dtype_of(result.tensor) == "int32"
        return replace(result, ones=was_bool)
    return result


# --- shapes ---------------------------------------------------------------------------------------


def _main(call: Call, index: int = 0) -> Bounded:
    """The counted input that an op moves or sums up; refused where another one is counted."""
    x: Any = call.x(index)
    if not isinstance(x, Bounded):
        raise refused(call, "what says how it is done is counted")
    return x


def _shaped(call: Call, x: Bounded, axis: int, shape: Sequence[int]) -> Bounded:
    """The same elements in other dims, of which `axis` is the counted one."""
    made = call.em.reshape(x.tensor, shape, f"{call.node.name}/shape")
    return Bounded(made, axis, x.count)


@rule("Reshape")
def _reshape(call: Call, handler: Handler) -> Any:
    x: Any = call.x()
    dims = _dims(call, 1, "the shape")
    if not isinstance(x, Bounded):
        return handler(
            replace(
                call, inputs=[x, np.array([-1 if d.terms else d.constant for d in dims], np.int32)]
            )
        )
    open_dims = [a for a, d in enumerate(dims) if d.terms or d.constant == -1]
    if not open_dims:
        # The model itself says how many there are.
        total = math.prod(d.constant for d in dims)
        rest = math.prod(x.shape) // max(x.shape[x.axis], 1)
        if rest and total % rest == 0 and total // rest <= x.shape[x.axis]:
            part = first(call, x.tensor, x.axis, total // rest)
            return call.em.reshape(part, [d.constant for d in dims], call.node.name)
        raise refused(call, "the sizes do not fit")
    axis = open_dims[0]
    others = [d.constant for a, d in enumerate(dims) if a != axis]
    before, behind = math.prod(x.shape[: x.axis]), math.prod(x.shape[x.axis + 1 :])
    new = math.prod(others[axis:])
    if len(open_dims) > 1 or math.prod(others[:axis]) != before or not new or behind % new:
        raise refused(call, "the counted dim is mixed with others")
    share = behind // new
    shape = [d.constant for d in dims]
    shape[axis] = x.shape[x.axis] * share
    made = call.em.reshape(x.tensor, shape, call.node.name)
    return Bounded(made, axis, x.count * share)


@rule("ExpandDims")
def _expand_dims(call: Call, handler: Handler) -> Any:
    x = _main(call)
    axis = call.axis(1, len(x.shape) + 1)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return _shaped(call, x, x.axis + (axis <= x.axis), shape)


@rule("Squeeze")
def _squeeze(call: Call, handler: Handler) -> Any:
    x = _main(call)
    rank = len(x.shape)
    drop = {a % rank for a in call.attrs.ints("squeeze_dims") or call.attrs.ints("axis")}
    drop = drop or {a for a in range(rank) if x.shape[a] == 1 and a != x.axis}
    if x.axis in drop or any(x.shape[a] != 1 for a in drop):
        raise refused(call, "a squeezed dim is not 1")
    shape = [d for a, d in enumerate(x.shape) if a not in drop]
    return _shaped(call, x, x.axis - sum(a < x.axis for a in drop), shape)


@rule("Transpose")
def _transpose(call: Call, handler: Handler) -> Any:
    x = _main(call)
    perm = call.ints(1, "the permutation")
    made = _with(call, handler, x.tensor, call.x(1))
    return Bounded(made, [p % len(perm) for p in perm].index(x.axis), x.count)


@rule("Pack")
def _pack(call: Call, handler: Handler) -> Any:
    parts = list(call.inputs)
    axis = call.attrs.whole("axis", 0) % (len(parts[0].shape) + 1)
    rows: list[Any] = []
    for x in parts:
        x = as_tensor(call, x)
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        if isinstance(x, Bounded):
            rows.append(_shaped(call, x, x.axis + (axis <= x.axis), shape))
        else:
            rows.append(call.em.reshape(x, shape, f"{call.node.name}/row"))
    return _joined(call, rows, axis)


@rule("Unpack")
def _unpack(call: Call, handler: Handler) -> Any:
    x = _main(call)
    axis = call.attrs.whole("axis", 0) % len(x.shape)
    if axis == x.axis:
        raise refused(call, "it would have as many results as there are elements")
    made = _with(call, handler, x.tensor)
    return [Bounded(m, x.axis - (axis < x.axis), x.count) for m in made]


@rule("Split", "SplitV")
def _split(call: Call, handler: Handler) -> Any:
    place = 1 if call.node.op == "Split" else 0
    x = _main(call, place)
    axis = call.axis(2 - 2 * place, len(x.shape))
    if axis == x.axis:
        raise refused(call, "it would cut the counted dim")
    inputs = list(call.inputs)
    inputs[place] = x.tensor
    return [Bounded(m, x.axis, x.count) for m in _with(call, handler, *inputs)]


@rule("Tile", "ReverseV2", "Reverse")
def _aside(call: Call, handler: Handler) -> Any:
    """What leaves the counted dim alone; its numbers are one for each dim, or those of dims."""
    x = _main(call)
    numbers = call.ints(1, "the dims")
    if call.node.op == "ReverseV2":
        wrong = x.axis in [a % len(x.shape) for a in numbers]
    else:
        wrong = numbers[x.axis] != (1 if call.node.op == "Tile" else 0)
    if wrong:
        raise refused(call, "it would repeat or turn the counted dim")
    return Bounded(_with(call, handler, x.tensor, call.x(1)), x.axis, x.count)


@rule("Slice")
def _slice(call: Call, handler: Handler) -> Any:
    """As it is cut along the counted dim; along others as always."""
    x: Any = call.x()
    begin, extent = _dims(call, 1, "the begin"), _dims(call, 2, "the size")
    if not len(begin) == len(extent) == len(x.shape):
        raise call.refuse("it is not one number for each dim", received=list(x.shape))
    if any(b.terms for b in begin):
        raise refused(call, "where it begins depends on numbers")
    open_dims = [a for a, e in enumerate(extent) if e.terms]
    axis = x.axis if isinstance(x, Bounded) else open_dims[0] if open_dims else 0
    if any(a != axis for a in open_dims):
        raise refused(call, "two dims are counted")
    tensor = x.tensor if isinstance(x, Bounded) else as_tensor(call, x)
    count = x.count if isinstance(x, Bounded) else counted(x.shape[axis])
    start, size = begin[axis].constant, extent[axis]
    left = count - start if start else count
    if start and left.terms:
        left = _both(call, "Maximum", left, counted(0))
    if size.choice is not None:
        which, *ways = size.choice
        yes, no = (left if w == Count(-1) else w for w in ways)
        left = chosen(call, which, yes, no)  # -1 is all that is there
    elif size.terms:
        left = size  # what the model cuts is there
    elif size.constant != -1:
        left = limited(call, left, size.constant)
    known = [-1 if e.terms or a == axis else e.constant for a, e in enumerate(extent)]
    inputs = [tensor, np.array([b.constant for b in begin], np.int32), np.array(known, np.int32)]
    return bounded(call, _with(call, handler, *inputs), axis, left)


@rule("StridedSlice")
def _strided_slice(call: Call, handler: Handler) -> Any:
    """x[a:b, ...] by steps of 1 along the counted dim; along others as always."""
    x: Any = call.x()
    begin, end, strides = (_dims(call, i, "a limit") for i in (1, 2, 3))
    mask = {m: call.attrs.whole(f"{m}_mask", 0) for m in ("begin", "end", "shrink_axis")}
    extra = call.attrs.whole("ellipsis_mask", 0) | call.attrs.whole("new_axis_mask", 0)
    open_dims = [i for i, e in enumerate(end) if e.terms and not mask["end"] >> i & 1]
    if any(b.terms for b in begin) or extra or len(open_dims) > 1:
        raise refused(call, "where it begins depends on numbers")
    axis = x.axis if isinstance(x, Bounded) else open_dims[0] if open_dims else 0
    tensor = x.tensor if isinstance(x, Bounded) else as_tensor(call, x)
    count = x.count if isinstance(x, Bounded) else counted(x.shape[axis])
    new_axis = axis - sum(mask["shrink_axis"] >> i & 1 for i in range(min(axis, len(begin))))
    whole = axis >= len(begin)
    start = 0 if whole or mask["begin"] >> axis & 1 else begin[axis].constant
    if not whole and mask["shrink_axis"] >> axis & 1:
        if start < 0:
            raise refused(call, "it picks from the end")
        return _with(call, handler, tensor, *call.inputs[1:])
    if (
        any(i != axis for i in open_dims)
        or (not whole and strides[axis].constant != 1)
        or start < 0
    ):
        raise refused(call, "the counted dim is cut by steps or from its end")
    left = count - start
    if start:
        left = _both(call, "Maximum", left, counted(0))
    if not whole and not mask["end"] >> axis & 1:
        stop = end[axis]
        if not stop.terms and stop.constant < 0:
            left = _both(call, "Maximum", left + stop, counted(0))
        elif stop.terms:
            left = stop - start
        else:
            left = limited(call, left, max(stop.constant - start, 0))
    ends = [tensor.shape[i] if i == axis or e.terms else e.constant for i, e in enumerate(end)]
    inputs = [tensor, call.x(1), np.array(ends, np.int32), call.x(3)]
    return bounded(call, _with(call, handler, *inputs), new_axis, left)


@rule("ConcatV2", "Concat")
def _concat(call: Call, handler: Handler) -> Any:
    parts, at = list(call.inputs), len(call.inputs) - 1
    if call.node.op == "Concat":
        at = 0
    axis = call.axis(at, len(call.x(1 - min(at, 1)).shape))
    del parts[at]
    return _joined(call, [as_tensor(call, x) for x in parts], axis)


def _joined(call: Call, parts: list[Any], axis: int) -> Any:
    found = [x for x in parts if isinstance(x, Bounded)]
    others = {x.axis for x in found} - {axis}
    if not others:
        total = parts[0]
        for part in parts[1:]:
            total = _behind(call, total, part, axis)
        return total
    if len({x.axis for x in found}) > 1:
        raise refused(call, "two dims are counted")
    (other,) = others
    size = min(x.shape[other] for x in parts)
    known = len(found) < len(parts)
    plain = [first(call, x.tensor if isinstance(x, Bounded) else x, other, size) for x in parts]
    made = plain[0] if len(plain) == 1 else call.op("concat", *plain, axis=axis)
    return made if known else Bounded(made, other, found[0].count)


def _behind(call: Call, a: Any, b: Any, axis: int) -> Any:
    """b behind the last counted element of a."""
    long, more = a.shape[axis], b.shape[axis]
    x = a.tensor if isinstance(a, Bounded) else a
    y = b.tensor if isinstance(b, Bounded) else b
    total = (a.count if isinstance(a, Bounded) else counted(long)) + (
        b.count if isinstance(b, Bounded) else counted(more)
    )
    both = call.op("concat", x, y, axis=axis, part="both")
    if isinstance(a, Bounded):
        places = np.arange(long + more, dtype=np.int32)
        count = a.count.value(call)
        gap = call.op("sub", np.asarray(long, np.int32), count, part="gap")
        moved = call.op("add", places, gap, part="moved")
        moved = call.op("minimum", moved, np.asarray(long + more - 1, np.int32), part="last")
        own = call.op("less", places, count, part="own")
        both = call.op("gather", both, call.op("select", own, places, moved, part="at"), axis=axis)
    return bounded(call, both, axis, total)


@rule("Pad", "PadV2")
def _pad(call: Call, handler: Handler) -> Any:
    x: Any = call.x()
    dims = _dims(call, 1, "the paddings")
    if len(dims) != 2 * len(x.shape):
        raise call.refuse("it is not two numbers for each dim", received=list(x.shape))
    pairs = list(zip(dims[::2], dims[1::2], strict=True))
    axes = [a for a, (p, q) in enumerate(pairs) if p.terms or q.terms]
    axis = x.axis if isinstance(x, Bounded) else axes[0] if axes else 0
    if any(a != axis for a in axes) or pairs[axis][0].terms:
        raise refused(call, "two dims are counted, or what is put in front")
    value = 0.0 if call.node.op == "Pad" else call.real(2, "the padding value")
    tensor, count = (x, counted(x.shape[axis]))
    if isinstance(x, Bounded):
        tensor, count = cleaned(call, x, value), x.count
    before, after = pairs[axis]
    total = count + before + after
    size = max(total.most, 0)
    more = max(0, size - before.constant - tensor.shape[axis])
    amounts = [(p.constant, q.constant) for p, q in pairs]
    amounts[axis] = (before.constant, more)
    number: Any = value if dtype_of(tensor) == "float32" else int(value)
    full = call.op("pad", tensor, paddings=tuple(amounts), value=number)
    return bounded(call, full, axis, total)


# --- by index -------------------------------------------------------------------------------------


@rule("GatherV2", "Gather")
def _gather(call: Call, handler: Handler) -> Any:
    x, indices = as_tensor(call, call.x(0)), as_tensor(call, call.x(1))
    axis = call.axis(2, len(x.shape)) if call.node.op == "GatherV2" else 0
    tensor = x.tensor if isinstance(x, Bounded) else x
    if call.attrs.whole("batch_dims", 0):
        raise refused(call, "batch_dims")
    at = cleaned(call, indices)
    made = _with(call, handler, tensor, at, *call.inputs[2:])
    if isinstance(x, Bounded) and axis != x.axis:
        if isinstance(indices, Bounded):
            raise refused(call, "two dims are counted")
        place = x.axis if x.axis < axis else x.axis + len(at.shape) - 1
        return Bounded(made, place, x.count)
    if not isinstance(indices, Bounded):
        return made
    return Bounded(made, axis + indices.axis, indices.count)


@rule("GatherNd")
def _gather_nd(call: Call, handler: Handler) -> Any:
    x, indices = call.x(0), call.x(1)
    tensor = x.tensor if isinstance(x, Bounded) else as_tensor(call, x)
    made = _with(call, handler, tensor, cleaned(call, indices))
    if isinstance(x, Bounded) and (x.axis >= indices.shape[-1]):
        raise refused(call, "a counted dim is not picked from")
    if not isinstance(indices, Bounded):
        return made
    return Bounded(made, indices.axis, indices.count)


@rule("ScatterNd")
def _scatter_nd(call: Call, handler: Handler) -> Any:
    """Behind the count, zeros are added to the first place."""
    at: Any = call.x(0)
    updates: Any = call.x(1)
    if isinstance(at, Bounded) and not isinstance(updates, Bounded) and at.axis == 0:
        # Both are as long in the model, so there are never more places than updates.
        size = min(at.shape[0], updates.shape[0])
        at = Bounded(first(call, at.tensor, 0, size), 0, at.count)
        updates = Bounded(first(call, as_tensor(call, updates), 0, size), 0, at.count)
    return _with(call, handler, cleaned(call, at), cleaned(call, updates), call.x(2))


@rule("TopKV2")
def _top_k(call: Call, handler: Handler) -> Any:
    x: Any = call.x()
    k = _dims(call, 1, "k")[0]
    size = x.shape[-1]
    if isinstance(x, Bounded) and x.axis != len(x.shape) - 1:
        made = call.op("top_k", x.tensor, k=k.constant)
        return [Bounded(m, x.axis, x.count) for m in made]
    low = -np.inf if dtype_of(getattr(x, "tensor", x)) == "float32" else -(2**31)
    most = min(size, max(k.most, 0))
    made = call.op("top_k", cleaned(call, x, low), k=most)
    return [bounded(call, m, len(x.shape) - 1, k) for m in made]


# --- reductions -----------------------------------------------------------------------------------

_NEUTRAL = {
    "Sum": 0, "Mean": 0, "Prod": 1, "Max": -np.inf, "Min": np.inf, "Any": False, "All": True,
    "ArgMax": -np.inf, "ArgMin": np.inf, "EuclideanNorm": 0,
}  # fmt: skip


@rule(*_NEUTRAL)
def _reduce(call: Call, handler: Handler) -> Any:
    x = _main(call)
    op, rank = call.node.op, len(x.shape)
    arg = op.startswith("Arg")
    axes = {a % rank for a in call.ints(1, "the axes")}
    keep = not arg and (call.attrs.flag("keep_dims") or call.attrs.flag("keepDims"))
    if x.axis not in axes:
        made = _with(call, handler, x.tensor, call.x(1))
        return Bounded(made, x.axis if keep else x.axis - sum(a < x.axis for a in axes), x.count)
    value = _NEUTRAL[op]
    if isinstance(value, float) and dtype_of(x.tensor) != "float32":
        value = 2**31 - 1 if value > 0 else -(2**31)
    made = _with(call, handler, cleaned(call, x, value), call.x(1))
    if op == "Sum" and x.ones and rank == 1 and not keep:
        return sizes([count_of(made, x.shape[0])], ())
    if op == "Mean":  # the sum is divided by the count, not by the greatest size
        whole = call.op("mul", made, call.em.const(float(x.shape[x.axis])), part="sum")
        number = call.em.cast(x.count.value(call), "float32", f"{call.node.name}/count")
        made = call.op("div", whole, number, part="mean")
    return made


# --- others ---------------------------------------------------------------------------------------


@rule("Softmax", "LogSoftmax")
def _softmax(call: Call, handler: Handler) -> Any:
    x = _main(call)
    last = x.axis == len(x.shape) - 1
    made = _with(call, handler, cleaned(call, x, -3e38) if last else x.tensor)
    return Bounded(made, x.axis, x.count)


@rule("MatMul", "BatchMatMul", "BatchMatMulV2", "BiasAdd", "OneHot", "_FusedMatMul")
def _rows(call: Call, handler: Handler) -> Any:
    """Each row by itself: the counted dim is the first one of the first input alone."""
    x, *rest = call.inputs
    if not isinstance(x, Bounded) or any(isinstance(r, Bounded) for r in rest):
        raise refused(call, "it would sum over the counted dim")
    if call.node.op == "BiasAdd" and x.axis < len(x.shape) - 1:
        return Bounded(_with(call, handler, x.tensor, *rest), x.axis, x.count)
    turned = call.attrs.flag("transpose_a") or call.attrs.flag("adj_x")
    if x.axis != 0 or turned or (len(x.shape) < 2 and call.node.op != "OneHot"):
        raise refused(call, "it would sum over the counted dim")
    return Bounded(_with(call, handler, x.tensor, *rest), 0, x.count)


@rule("CropAndResize")
def _crop_and_resize(call: Call, handler: Handler) -> Any:
    boxes: Any = call.x(1)
    which = cleaned(call, call.x(2))
    if isinstance(call.x(0), Bounded) or not isinstance(boxes, Bounded):
        raise refused(call, "the number of images depends on numbers")
    size = boxes.shape[0]
    made = _with(
        call, handler, call.x(0), cleaned(call, boxes), first(call, which, 0, size), call.x(3)
    )
    return Bounded(made, 0, boxes.count)


@rule("Where", "Unique", "UniqueV2", "ListDiff", "Cumsum", "SparseToDense")
def _masked(call: Call, handler: Handler) -> Any:
    """What these find is sought before the count only."""
    x: Any = call.x()
    if call.node.op == "Where":
        return _with(call, handler, cleaned(call, x, False))
    if call.node.op == "Cumsum" and isinstance(x, Bounded) and not call.attrs.flag("reverse"):
        return Bounded(_with(call, handler, x.tensor, call.x(1)), x.axis, x.count)
    raise refused(call, "it would look behind the count")


@rule("NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5")
def _suppression(call: Call, handler: Handler) -> Any:
    boxes, scores, *rest = call.inputs
    if len(scores.shape) != 1:
        raise call.refuse("the scores are not in a row", received=list(scores.shape))
    size = scores.shape[0]
    scores = cleaned(call, scores, -np.inf)
    given = [as_tensor(call, r) for r in rest]
    most = _dims(call, 2, "the number of boxes")[0]
    if most.terms:  # no more boxes than are kept of what there is
        given[0] = np.asarray(min(size, most.most), np.int32)
    made = _with(call, handler, first(call, cleaned(call, boxes), 0, size), scores, *given)
    return made


@rule("If", "StatelessIf", "While", "StatelessWhile", "IdentityN")
def _control(call: Call, handler: Handler) -> Any:
    """They are handed on as they are: the nodes of functions see to them."""
    return handler(call)

"""Tensors of a greatest size with a count (`Bounded`), and `Sizes` that are counts, in ONNX.

What ops make of them is said once, for TensorFlow's (fanlight/formats/tfgraph/bounded.py): a node
of ONNX that is given some is put as the op of TensorFlow that does the same. Elementwise ops keep
their own importer, between what comes before and after.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.counts import Bounded, Sizes, as_counts, as_tensor, cleaned, first, sizes
from fanlight.formats.onnx.call import Call, Handler
from fanlight.formats.tfgraph import bounded as tf_bounded
from fanlight.formats.tfgraph import call as tf
from fanlight.formats.tfgraph.nodes import Attrs, GraphNode, raw_attr

Rule = Callable[[Call], Any]
_RULES: dict[str, Rule] = {}

# Ops of one element each -> the op of TensorFlow whose rule holds; "Abs" has none for sizes.
_EACH = {
    **dict.fromkeys(
        "Abs Neg Exp Log Sqrt Reciprocal Floor Ceil Round Sign Sin Cos Tan Asin Acos Atan Sinh "
        "Cosh Asinh Acosh Atanh Tanh Sigmoid HardSigmoid HardSwish Mish Softplus Softsign Relu "
        "LeakyRelu Elu Selu Celu ThresholdedRelu Erf Gelu Clip Not IsNaN IsInf Div Mod Pow "
        "PRelu Sum Mean Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor BitwiseAnd "
        "BitwiseOr BitwiseXor BitwiseNot QuantizeLinear DequantizeLinear".split(),
        "Abs",
    ),
    "Identity": "Identity", "Cast": "Cast", "Add": "AddV2", "Sub": "Sub", "Mul": "Mul",
    "Min": "Minimum", "Max": "Maximum", "Where": "SelectV2", "MatMul": "MatMul",
}  # fmt: skip
# They look at the tensors in their bodies, or hold them: nothing is done to them here.
_HOLD = ("If", "Loop", "SequenceConstruct", "SequenceInsert", "SequenceAt", "SequenceLength")
_END = 2**31 - 1


def concerns(inputs: Sequence[Any]) -> bool:
    """Whether any input is bounded, or is sizes."""
    return any(isinstance(x, Bounded | Sizes) for x in inputs)


def handle(call: Call, handler: Handler) -> Any:
    """The results of a node whose inputs are bounded tensors or sizes.

    Raises:
        FanlightError: E-FORMAT-019 the op does not take them.
    """
    op = call.node.op
    try:
        if op in _RULES:
            return _RULES[op](call)
        if op in _HOLD:
            return handler(call)
        if op in _EACH:
            return _each(call, handler)
        if not any(isinstance(x, Bounded) for x in call.inputs):
            return handler(replace(call, inputs=[as_tensor(call, x) for x in call.inputs]))
        why = "it takes tensors of a known size only"
        raise tf_bounded.refused(_put(call, op, call.inputs, {}), why)
    except FanlightError as error:
        if error.code == "E-FORMAT-019":
            error.message = re.sub(r" reaches \w+:", f" reaches {op}:", error.message)
        raise


def _each(call: Call, handler: Handler) -> Any:
    places = [i for i, x in enumerate(call.inputs) if x is not None]

    def run(other: tf.Call) -> Any:
        inputs: list[Any] = [None] * len(call.inputs)
        for place, x in zip(places, other.inputs, strict=True):
            inputs[place] = x
        return handler(replace(call, inputs=inputs))

    attrs = {"DstT": {"type": "DT_INT32" if call.whole("to") in (6, 7) else "DT_FLOAT"}}
    given = [call.inputs[i] for i in places]
    return _as(call, _EACH[call.node.op], given, handler=run, raw=attrs)


def _as(
    call: Call,
    op: str,
    inputs: Sequence[Any],
    *,
    handler: Any = None,
    raw: Any = None,
    **attrs: Any,
) -> Any:
    """What the rules for an op of TensorFlow make of some inputs."""
    import fanlight.formats.tfgraph.reader  # noqa: F401  (fills the table of TensorFlow's ops)

    given = {name: raw_attr(value) for name, value in attrs.items()} | (raw or {})
    other = _put(call, op, inputs, given)
    made = tf_bounded.handle(other, handler or tf.HANDLERS[op])
    if isinstance(made, list):
        return made[0] if len(made) == 1 else tuple(made)
    return made


def _put(call: Call, op: str, inputs: Sequence[Any], attrs: Any) -> tf.Call:
    node = GraphNode(call.name, op, (), Attrs(attrs, call.where), call.node.where)
    return tf.Call(node, call.em, inputs, call.warnings)


def rule(*ops: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(ops, function))
        return function

    return register


def _i32(values: Any) -> np.ndarray:
    return np.asarray(values, np.int32)


def _known(call: Call, index: int, attribute: str) -> tuple[int, ...] | None:
    """Whole numbers of an input or attribute that are known."""
    if index < len(call.inputs) and isinstance(call.inputs[index], Bounded | Sizes):
        raise call.refuse(f"{attribute} depends on numbers", expected="known numbers")
    return call.ints_or(index, attribute)


# --- shapes ---------------------------------------------------------------------------------------


@rule("Shape")
def _shape(call: Call) -> Any:
    found = as_counts(_as(call, "Shape", call.inputs[:1]))
    assert found is not None
    items = found.tolist()[call.whole("start") : call.attributes.get("end")]
    return sizes(items, (len(items),))


@rule("Size")
def _size(call: Call) -> Any:
    return _as(call, "Size", call.inputs[:1])


@rule("Reshape")
def _reshape(call: Call) -> Any:
    x: Any = call.inputs[0]
    wanted = call.inputs[1] if call.has(1) else _i32(call.items("shape") or [])
    dims = as_counts(wanted)
    if dims is not None and not call.flag("allowzero") and not isinstance(x, Sizes):
        items = dims.reshape(-1).tolist()
        for i, d in enumerate(items):
            if not d.terms and d.constant == 0 and i < len(x.shape):
                open_ = isinstance(x, Bounded) and x.axis == i
                items[i] = x.count if open_ else x.shape[i]
        wanted = sizes(items, (len(items),))
    return _as(call, "Reshape", [x, wanted])


@rule("Flatten")
def _flatten(call: Call) -> Any:
    x: Any = as_tensor(call, call.inputs[0])
    axis, rank = call.whole("axis", 1), len(x.shape)
    axis = axis if axis == rank else call.dim(axis, rank)
    behind = math.prod(x.shape[axis:])
    before = math.prod(x.shape[:axis])
    in_front = isinstance(x, Bounded) and x.axis < axis
    return _as(call, "Reshape", [x, _i32([-1, behind] if in_front else [before, -1])])


@rule("Squeeze")
def _squeeze(call: Call) -> Any:
    x: Any = call.inputs[0]
    rank = len(x.shape)
    axes = [call.dim(a, rank) for a in _known(call, 1, "axes") or ()]
    return _as(call, "Squeeze", [x], squeeze_dims=axes)


@rule("Unsqueeze")
def _unsqueeze(call: Call) -> Any:
    x: Any = call.inputs[0]
    axes = _known(call, 1, "axes") or ()
    rank = len(x.shape) + len(axes)
    for axis in sorted(call.dim(a, rank) for a in axes):
        x = _as(call, "ExpandDims", [x, _i32(axis)])
    return x


@rule("Transpose")
def _transpose(call: Call) -> Any:
    x: Any = as_tensor(call, call.inputs[0])
    perm = call.items("perm")
    return _as(call, "Transpose", [x, _i32(range(len(x.shape))[::-1] if perm is None else perm)])


@rule("Concat")
def _concat(call: Call) -> Any:
    axis = call.axis(len(call.inputs[0].shape), 0)
    return _as(call, "ConcatV2", [*call.inputs, _i32(axis)])


@rule("Expand")
def _expand(call: Call) -> Any:
    x: Any = as_tensor(call, call.inputs[0])
    dims = as_counts(call.inputs[1])
    if dims is None or isinstance(x, Bounded):
        raise call.refuse("a counted dim is repeated, or its shape depends on numbers")
    items = dims.reshape(-1).tolist()
    for i in range(1, min(len(items), len(x.shape)) + 1):
        if not items[-i].terms and items[-i].constant == 1:
            items[-i] = x.shape[-i]
    return _as(call, "Fill", [sizes(items, (len(items),)), x])


@rule("ConstantOfShape")
def _constant_of_shape(call: Call) -> Any:
    found = call.tensor("value")
    value = np.zeros(1, np.float32) if found is None else found[0]
    return _as(call, "Fill", [call.inputs[0], value.reshape(())])


@rule("Range")
def _range(call: Call) -> Any:
    return _as(call, "Range", call.inputs)


@rule("Slice")
def _slice(call: Call) -> Any:
    """As a strided slice, whose masks say which ends are open."""
    x: Any = as_tensor(call, call.inputs[0]) if _bounded(call) else call.inputs[0]
    rank = len(x.shape)
    starts, ends = (
        as_counts(call.inputs[i] if call.has(i) else _i32(call.items(name) or []))
        for i, name in ((1, "starts"), (2, "ends"))
    )
    if starts is None or ends is None:
        raise call.refuse("where it begins and ends depends on numbers")
    axes = _known(call, 3, "axes") or tuple(range(len(starts)))
    steps = _known(call, 4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise call.refuse("its lists do not fit", received=f"{axes}, {steps}")
    begin: list[Any] = [0] * rank
    end: list[Any] = [0] * rank
    stride, open_end = [1] * rank, (1 << rank) - 1
    for start, stop, axis, step in zip(starts.flat, ends.flat, axes, steps, strict=True):
        at = call.dim(axis, rank)
        own = isinstance(x, Bounded) and x.axis == at
        if not start.terms and start.constant < 0 and not own:
            start = max(start.constant + x.shape[at], 0)
        begin[at], end[at], stride[at] = start, stop, step
        if stop.terms or stop.constant < (_END if own else x.shape[at]):
            open_end &= ~(1 << at)
    return _as(
        call, "StridedSlice",
        [x, sizes(begin, (rank,)), sizes(end, (rank,)), _i32(stride)], end_mask=open_end,
    )  # fmt: skip


def _bounded(call: Call) -> bool:
    return any(isinstance(x, Bounded) for x in call.inputs)


@rule("Pad")
def _pad(call: Call) -> Any:
    """Numbers beside what is counted, as rows of boxes are filled up to how many there may be."""
    x: Any = as_tensor(call, call.inputs[0])
    rank = len(x.shape)
    pads = as_counts(call.inputs[1] if call.has(1) else _i32(call.items("pads") or []))
    axes = [call.dim(a, rank) for a in _known(call, 3, "axes") or range(rank)]
    if call.text("mode", "constant") != "constant" or pads is None:
        raise call.refuse("pads of a counted tensor", expected="how many, of one number")
    if pads.size != 2 * len(axes):
        raise call.refuse("its pads do not fit", received=f"{pads.size} for {len(axes)} dims")
    wanted: list[Any] = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        wanted[2 * axis : 2 * axis + 2] = pads[i], pads[i + len(axes)]
    value = call.known(2, "the number around").reshape(-1)[0] if call.has(2) else 0
    return _as(call, "PadV2", [x, sizes(wanted, (rank, 2)), np.asarray(value, np.float32)])


@rule("Split")
def _split(call: Call) -> Any:
    """Along another dim than the counted one."""
    x: Any = call.inputs[0]
    axis, parts = call.axis(len(x.shape), 0), _known(call, 1, "split")
    if parts is None:
        many = call.whole("num_outputs", call.outputs)
        parts = (x.shape[axis] // max(many, 1),) * many
    if sum(parts) != x.shape[axis]:
        raise call.refuse("the parts do not fit", received=list(parts)[:16])
    made = _as(call, "SplitV", [x, _i32(parts), _i32(axis)])
    return made if isinstance(made, tuple) else (made,)


# --- by index -------------------------------------------------------------------------------------


@rule("Gather")
def _gather(call: Call) -> Any:
    x, at = call.inputs[:2]
    axis = call.axis(len(x.shape), 0)
    if isinstance(at, np.ndarray) and (at < 0).any():
        if isinstance(x, Bounded) and x.axis == axis:
            raise call.refuse("it picks from the end of a counted dim", received=at.reshape(-1)[:8])
        at = _i32(np.where(at < 0, at + x.shape[axis], at))
    return _as(call, "GatherV2", [x, at, _i32(axis)])


@rule("GatherND")
def _gather_nd(call: Call) -> Any:
    if call.whole("batch_dims"):
        raise call.refuse("batch_dims beside a counted dim", expected=0)
    return _as(call, "GatherNd", call.inputs[:2])


@rule("TopK")
def _top_k(call: Call) -> Any:
    x: Any = as_tensor(call, call.inputs[0])
    rank = len(x.shape)
    if call.axis(rank, -1) != rank - 1 or not call.flag("largest", True):
        raise call.refuse("along a counted tensor", expected="the largest of the last dim")
    k = as_counts(call.inputs[1])
    if k is None or k.size != 1:
        raise call.refuse("k depends on numbers")
    return _as(call, "TopKV2", [x, sizes(k.reshape(-1).tolist(), ())])


@rule("NonMaxSuppression")
def _suppression(call: Call) -> Any:
    """Of counted boxes: those behind the count have the lowest score, which keeps none."""
    from fanlight.formats.onnx.call import HANDLERS

    boxes, scores, *rest = call.inputs
    if len(scores.shape) != 3 or len(boxes.shape) != 3:
        raise call.refuse("boxes and scores do not fit", expected="[N, B, 4] and [N, C, B]")
    size = min(boxes.shape[1], scores.shape[2])
    scores = first(call, cleaned(call, scores, -np.inf), 2, size)
    boxes = first(call, cleaned(call, boxes), 1, size)
    return HANDLERS[call.node.op](replace(call, inputs=[boxes, scores, *rest]))


@rule("NonZero", "Compress", "Unique")
def _cleaned(call: Call) -> Any:
    """Nothing is found behind the count."""
    from fanlight.formats.onnx.call import HANDLERS

    first: Any = call.inputs[0]
    if call.node.op == "Unique" and isinstance(first, Bounded):
        raise call.refuse("elements of a counted dim", expected="as many as are known")
    if call.node.op == "Compress" and isinstance(first, Bounded):
        raise call.refuse("a counted dim is picked from", expected="a tensor of known size")
    inputs = [cleaned(call, x) for x in call.inputs]
    return HANDLERS[call.node.op](replace(call, inputs=inputs))


# --- along dims -----------------------------------------------------------------------------------

_REDUCTIONS = {"ReduceSum": "Sum", "ReduceMean": "Mean", "ReduceProd": "Prod", "ReduceMax": "Max",
               "ReduceMin": "Min"}  # fmt: skip


@rule(*_REDUCTIONS)
def _reduce(call: Call) -> Any:
    x: Any = call.inputs[0]
    axes = _known(call, 1, "axes")
    if not axes:
        if call.flag("noop_with_empty_axes"):
            return x
        axes = tuple(range(len(x.shape)))
    keep = call.flag("keepdims", True)
    return _as(call, _REDUCTIONS[call.node.op], [x, _i32(axes)], keep_dims=keep)


@rule("ArgMax", "ArgMin")
def _arg(call: Call) -> Any:
    x: Any = as_tensor(call, call.inputs[0])
    axis = call.axis(len(x.shape), 0)
    if call.flag("select_last_index"):
        raise call.refuse("the last of equals of a counted dim", expected="the first")
    made = _as(call, call.node.op, [x, _i32(axis)], raw={"output_type": {"type": "DT_INT32"}})
    return _as(call, "ExpandDims", [made, _i32(axis)]) if call.flag("keepdims", True) else made


@rule("Softmax", "LogSoftmax")
def _softmax(call: Call) -> Any:
    x: Any = as_tensor(call, call.inputs[0])
    rank = len(x.shape)
    if call.axis(rank, -1 if call.opset >= 13 else 1) != rank - 1:
        raise call.refuse("along another dim than the last of a counted tensor")
    return _as(call, call.node.op, [x])


@rule("CumSum")
def _cumsum(call: Call) -> Any:
    axis = _known(call, 1, "axis") or (0,)
    return _as(call, "Cumsum", [as_tensor(call, call.inputs[0]), _i32(axis[0])],
               exclusive=call.flag("exclusive"), reverse=call.flag("reverse"))  # fmt: skip


@rule("Tile")
def _tile(call: Call) -> Any:
    return _as(call, "Tile", [as_tensor(call, call.inputs[0]), _i32(_known(call, 1, "repeats"))])

"""Small algebra: what computes nothing goes, what is said twice is said once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild
from fanlight.ops.types import Dim
from fanlight.passes.bodies import elementwise
from fanlight.passes.core import Context, Pass

# A rule looks at a node in the new graph and returns the value that its output is, or None.
Rule = Callable[["Site"], "Value | None"]
RULES: list[tuple[str, frozenset[str], Rule]] = []


class Site:
    """Where a rule looks: a node, its inputs in the new graph, and the editor."""

    def __init__(self, editor: Editor, node: Node, inputs: Sequence[Value]) -> None:
        self.editor = editor
        self.node = node
        self.inputs = inputs
        self.x = inputs[0]
        self.out = node.output
        self.attrs = node.attrs

    def maker(self, *ops: str, of: int = 0) -> Node | None:
        """The node that makes an input, if it is one of these ops."""
        maker = self.editor.maker(self.inputs[of])
        return maker if maker is not None and maker.op in ops else None

    def become(self, op: str, *inputs: Value, **attrs: Any) -> Value:
        """Another op in the node's place."""
        return self.editor.become(self.node, op, *inputs, **attrs)[0]

    def is_constant(self, index: int, number: float) -> bool:
        """Whether an input is a weight that holds one number everywhere."""
        array = self.editor.array(self.inputs[index])
        return array is not None and array.size > 0 and bool((array == number).all())


def rule(name: str, *ops: str) -> Callable[[Rule], Rule]:
    """Decorator: a rule, tried at nodes of these ops, in the order of this file."""

    def decorate(function: Rule) -> Rule:
        RULES.append((name, frozenset(ops), function))
        return function

    return decorate


class Simplify(Pass):
    """Remove steps without effect and join steps that cancel or compose.

    The rules are the functions of this file; each is counted by its name.

    Before:
        graph g(%x: f32[1, 2, 3]) {
          weight %one: f32[] = [1.0]
          %a: f32[1, 6] = reshape(%x) {shape=[1, 6]}
          %b: f32[6] = reshape(%a) {shape=[6]}
          %c: f32[6] = mul(%b, %one)
          %d: f32[6] = relu(%c)
          %e: f32[6] = relu6(%d)
          %f: f32[4] = slice(%e) {begin=[1], size=[4]}
          %g: f32[2] = slice(%f) {begin=[1], size=[2]}
          return y=%g
        }

    After:
        graph g(%x: f32[1, 2, 3]) {
          %b: f32[6] = reshape(%x) {shape=[6]}
          %e: f32[6] = relu6(%b)
          %g: f32[2] = slice(%e) {begin=[2], size=[2]}
          return y=%g
        }
    """

    def run(self, graph: Graph, context: Context) -> Graph:
        by_op: dict[str, list[tuple[str, Rule]]] = {}
        for name, ops, function in RULES:
            for op in ops:
                by_op.setdefault(op, []).append((name, function))

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> list[Value] | None:
            if (
                len(node.outputs) != 1
                or not inputs
                or any(isinstance(d, Dim) for v in inputs for d in v.shape)
            ):
                return None
            rules = by_op.get(node.op, [])
            # batch_norm wants a statistic per channel of its input as it is, not as broadcast.
            if elementwise(node) and node.op != "batch_norm":
                rules = [*rules, ("broadcast", _broadcast_operand)]
            site = Site(editor, node, inputs)
            for name, function in rules:
                made = function(site)
                if made is not None:
                    self.hit(context, name)
                    return [made]
            return None

        return rebuild(graph, visit)


# --- steps without effect -------------------------------------------------------------------------


@rule("same shape", "reshape", "broadcast_to", "tile")
def _same_shape(site: Site) -> Value | None:
    return site.x if site.x.shape == site.out.shape else None


@rule("whole slice", "slice", "strided_slice", "pad", "mirror_pad")
def _whole(site: Site) -> Value | None:
    forward = all(s == 1 for s in site.attrs.get("strides", ()))
    return site.x if forward and site.x.shape == site.out.shape else None


@rule("same dtype", "cast")
def _same_dtype(site: Site) -> Value | None:
    return site.x if site.x.dtype == site.out.dtype else None


@rule("one concat", "concat")
def _one_concat(site: Site) -> Value | None:
    return site.x if len(site.inputs) == 1 else None


@rule("unit window", "max_pool", "avg_pool")
def _unit_window(site: Site) -> Value | None:
    unit = tuple(site.attrs["size"]) == tuple(site.attrs["strides"]) == (1, 1)
    return site.x if unit and site.x.shape == site.out.shape else None


@rule("unit block", "depth_to_space", "space_to_depth")
def _unit_block(site: Site) -> Value | None:
    return site.x if site.attrs["block"] == 1 else None


@rule("same size", "resize_bilinear", "resize_nearest")
def _same_size(site: Site) -> Value | None:
    return site.x if site.x.shape == site.out.shape else None


@rule("reverse of one", "reverse")
def _reverse_of_one(site: Site) -> Value | None:
    rank = len(site.x.shape)
    return site.x if all(site.x.shape[a % rank] == 1 for a in site.attrs["axes"]) else None


@rule("neutral operand", "add", "sub", "mul", "div", "pow")
def _neutral(site: Site) -> Value | None:
    neutral = 0 if site.node.op in ("add", "sub") else 1
    if site.x.type == site.out.type and site.is_constant(1, neutral):
        return site.x
    swaps = site.node.op in ("add", "mul")
    if swaps and site.inputs[1].type == site.out.type and site.is_constant(0, neutral):
        return site.inputs[1]
    return None


# --- steps that cancel or compose -----------------------------------------------------------------


@rule("neg of neg", "neg")
def _neg_of_neg(site: Site) -> Value | None:
    inner = site.maker("neg")
    return inner.inputs[0] if inner else None


@rule("applied twice", "relu", "relu6", "abs", "floor", "ceil", "round", "sign")
def _applied_twice(site: Site) -> Value | None:
    return site.x if site.maker(site.node.op) else None


@rule("relu6 of relu", "relu6")
def _relu6_of_relu(site: Site) -> Value | None:
    inner = site.maker("relu")
    return site.become("relu6", inner.inputs[0]) if inner else None


@rule("relu of what is not negative", "relu")
def _relu_of_positive(site: Site) -> Value | None:
    # The square of an int32 may wrap, and so does the abs of the least one.
    floats = ("sigmoid", "exp", "softmax", "square", "abs") if site.x.dtype == "float32" else ()
    return site.x if site.maker("relu6", *floats) else None


@rule("reshape of reshape", "reshape")
def _reshape_of_reshape(site: Site) -> Value | None:
    inner = site.maker("reshape")
    if inner is None:
        return None
    source = inner.inputs[0]
    if source.shape == site.out.shape:
        return source
    return site.become("reshape", source, shape=site.out.shape)


@rule("transpose of transpose", "transpose")
def _transpose_of_transpose(site: Site) -> Value | None:
    inner = site.maker("transpose")
    if inner is None:
        return None
    perm = tuple(inner.attrs["perm"][p] for p in site.attrs["perm"])
    if perm == tuple(range(len(perm))):
        return inner.inputs[0]
    return site.become("transpose", inner.inputs[0], perm=perm)


@rule("transpose moves only ones", "transpose")
def _transpose_of_ones(site: Site) -> Value | None:
    perm = site.attrs["perm"]
    if perm == tuple(range(len(perm))):
        return site.x
    moved = [p for p in perm if site.x.shape[p] != 1]
    if moved != sorted(moved):
        return None
    return site.become("reshape", site.x, shape=site.out.shape)


@rule("slice of slice", "slice")
def _slice_of_slice(site: Site) -> Value | None:
    inner = site.maker("slice")
    if inner is None:
        return None
    begin = tuple(a + b for a, b in zip(inner.attrs["begin"], site.attrs["begin"], strict=True))
    return site.become("slice", inner.inputs[0], begin=begin, size=site.out.shape)


@rule("strides of one", "strided_slice")
def _strides_of_one(site: Site) -> Value | None:
    # A stride over a dim of which one element is taken is a stride of one.
    sizes = site.out.shape
    if any(s != 1 and n != 1 for s, n in zip(site.attrs["strides"], sizes, strict=True)):
        return None
    return site.become("slice", site.x, begin=site.attrs["begin"], size=sizes)


@rule("pad of pad", "pad")
def _pad_of_pad(site: Site) -> Value | None:
    inner = site.maker("pad")
    # repr: -0.0 is not 0.0, and NaN is itself.
    if inner is None or repr(inner.attrs["value"]) != repr(site.attrs["value"]):
        return None
    pairs = zip(inner.attrs["paddings"], site.attrs["paddings"], strict=True)
    paddings = tuple((a + c, b + d) for (a, b), (c, d) in pairs)
    return site.become("pad", inner.inputs[0], paddings=paddings, value=site.attrs["value"])


@rule("concat of concat", "concat")
def _concat_of_concat(site: Site) -> Value | None:
    axis = site.attrs["axis"] % len(site.out.shape)
    flat: list[Value] = []
    for index, value in enumerate(site.inputs):
        inner = site.maker("concat", of=index)
        nested = inner is not None and inner.attrs["axis"] % len(site.out.shape) == axis
        flat += inner.inputs if inner is not None and nested else [value]
    if len(flat) == len(site.inputs):
        return None
    return site.become("concat", *flat, axis=axis)


@rule("reduction of one", "sum", "mean", "prod", "max", "min", "any", "all")
def _reduction_of_one(site: Site) -> Value | None:
    rank = len(site.x.shape)
    if any(site.x.shape[a % rank] != 1 for a in site.attrs["axes"]):
        return None
    if site.x.shape == site.out.shape:
        return site.x
    return site.become("reshape", site.x, shape=site.out.shape)


def _broadcast_operand(site: Site) -> Value | None:
    """Elementwise ops broadcast by themselves: their operands need no broadcast_to or tile."""
    inputs = []
    for index, value in enumerate(site.inputs):
        inner = site.maker("broadcast_to", "tile", of=index)
        if inner is not None and _only_ones(inner):
            value = inner.inputs[0]
        inputs.append(value)
    if inputs == list(site.inputs):
        return None
    shapes = [v.type.bound for v in inputs]
    if np.broadcast_shapes(*shapes) != site.out.type.bound:
        return None
    return site.become(site.node.op, *inputs, **site.attrs)


def _only_ones(node: Node) -> bool:
    """Whether a tile or broadcast_to repeats dims of size 1 only."""
    source, target = node.inputs[0].shape, node.output.shape
    tail = target[len(target) - len(source) :]
    return all(a in (1, b) for a, b in zip(source, tail, strict=True))

"""Batch norms and other per-channel arithmetic move into the weights of their neighbours."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor, rebuild, use_counts
from fanlight.ops.row import TABLE
from fanlight.passes import affine
from fanlight.passes.affine import IDENTITY, Affine
from fanlight.passes.core import (
    AFFINE_FOLDED,
    CONSTANTS_FOLDED,
    NO_BATCH_NORM,
    PADS_ABSORBED,
    Context,
    Pass,
    Property,
)


class FoldAffine(Pass):
    """Fold per-channel scaling around a convolution or product into its weight and one bias.

    A batch norm with no such neighbour stays what it is, for writers of formats that have one.

    Before:
        graph g(%x: f32[1, 1, 1, 2]) {
          weight %w: f32[1, 1, 2, 2] = [1.0, 2.0, 3.0, 4.0]
          weight %two: f32[] = [2.0]
          %c: f32[1, 1, 1, 2] = conv2d(%x, %w)
          %y: f32[1, 1, 1, 2] = mul(%c, %two)
          return y=%y
        }

    After:
        graph g(%x: f32[1, 1, 1, 2]) {
          weight %w_2: f32[1, 1, 2, 2] = [2.0, 4.0, 6.0, 8.0]
          %c: f32[1, 1, 1, 2] = conv2d(%x, %w_2)
          return y=%c
        }
    """

    requires = (CONSTANTS_FOLDED, PADS_ABSORBED)
    ensures: ClassVar[tuple[Property, ...]] = (AFFINE_FOLDED,)
    breaks = (CONSTANTS_FOLDED,)

    def run(self, graph: Graph, context: Context) -> Graph:
        graph = self._fold_before(graph, context)
        return self._fold_after(graph, context)

    def _fold_after(self, graph: Graph, context: Context) -> Graph:
        """linear op -> steps: scale the weight, keep one add."""
        uses, users = use_counts(graph), graph.users()
        steps: dict[Node, Node] = {}  # last step -> linear op
        folded: dict[Node, np.ndarray] = {}  # linear op -> its new weight
        offsets: dict[Node, np.ndarray] = {}
        gone: set[Node] = set()
        for node in graph.nodes:
            if not affine.is_linear(node, graph.weights):
                continue
            total, chain, value = IDENTITY, [], node.output
            while uses.get(value) == 1 and value in users:
                follower = users[value][0]
                found = affine.step(follower, graph.weights)
                if found is None or found[0] is not value:
                    break
                total = total.then(found[1])
                chain.append(follower)
                value = follower.output
            if not chain or (len(chain) == 1 and total.is_offset):
                continue
            weight = graph.weights[node.inputs[1]]
            if not total.is_offset:
                scaled = affine.scale_outputs(node, weight, total.scale)
                if scaled is None or not np.isfinite(total.offset.astype(np.float32)).all():
                    continue
                weight = scaled
            folded[node] = weight
            steps[chain[-1]] = node
            offsets[node] = total.offset
            gone.update(chain)
            self.hit(context, f"after {node.op}", len(chain))

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if node in folded:
                weight = folded[node]
                if weight is not editor.array(inputs[1]):
                    inputs[1] = editor.weight(weight, node.inputs[1].name)
                return editor.become(node, node.op, *inputs, **node.attrs)
            linear = steps.get(node)
            if linear is not None:
                return [_add(editor, node, linear.output, offsets[linear])]
            return node.outputs if node in gone else None

        return rebuild(graph, visit)

    def _fold_before(self, graph: Graph, context: Context) -> Graph:
        """steps -> linear op: scale the weight, add a bias, or pad with what maps to zero."""
        uses, makers = use_counts(graph), graph.producers()

        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            if not affine.is_linear(node, graph.weights) or node.op == "conv2d_transpose":
                return None
            if node.op == "matmul" and node.attrs["transpose_a"]:
                return None
            total, count, value = IDENTITY, 0, node.inputs[0]
            while value in makers and uses.get(value) == 1:
                found = affine.step(makers[value], graph.weights)
                if found is None:
                    break
                value, first = found
                total, count = first.then(total), count + 1
            # After an op with an epilogue the steps are free where they are.
            if not count or (value in makers and TABLE[makers[value].op].epilogue):
                return None
            made = _fold_into(editor, node, editor.get(value), total)
            self.hit(context, f"before {node.op}", count if made is not None else 0)
            return None if made is None else [made]

        return rebuild(graph, visit)


class FoldBatchNorm(FoldAffine):
    """Fold per-channel scaling around a convolution or product into its weight and one bias.

    What follows the linear op (batch norm, or mul, add, sub, div, neg with constants) is folded
    in any number. What comes before it is folded where no zero padding is read; one offset for
    all channels also in front of padding, by padding with the number that it maps to zero.
    A batch norm with no such neighbour becomes a mul and an add. Scales and offsets are computed
    in float64 and rounded once.

    Before:
        graph g(%x: f32[1, 1, 1, 2]) {
          weight %w: f32[1, 1, 2, 2] = [1.0, 2.0, 3.0, 4.0]
          weight %mean: f32[2] = [1.0, 2.0]
          weight %variance: f32[2] = [3.0, 15.0]
          weight %offset: f32[2] = [0.0, 1.0]
          weight %scale: f32[2] = [1.0, 2.0]
          %c: f32[1, 1, 1, 2] = conv2d(%x, %w)
          %n: f32[1, 1, 1, 2] = batch_norm(%c, %mean, %variance, %offset, %scale) {epsilon=1.0}
          return y=%n
        }

    After:
        graph g(%x: f32[1, 1, 1, 2]) {
          weight %w_2: f32[1, 1, 2, 2] = [0.5, 1.0, 1.5, 2.0]
          weight %n_bias: f32[2] = [-0.5, 0.0]
          %c: f32[1, 1, 1, 2] = conv2d(%x, %w_2)
          %n: f32[1, 1, 1, 2] = add(%c, %n_bias)
          return y=%n
        }
    """

    ensures = (NO_BATCH_NORM, AFFINE_FOLDED)

    def run(self, graph: Graph, context: Context) -> Graph:
        return self._spell_out(super().run(graph, context), context)

    def _spell_out(self, graph: Graph, context: Context) -> Graph:
        def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
            found = affine.step(node, graph.weights) if node.op == "batch_norm" else None
            if node.op != "batch_norm":
                return None
            self.hit(context, "batch_norm alone")
            if found is None:
                return [_computed(editor, node, inputs)]
            value = inputs[0]
            if not found[1].is_offset:
                factor = found[1].scale.astype(np.float32)
                scale = editor.weight(factor, f"{node.output.name}_scale")
                value = editor.add("mul", value, scale, name=node.name)
            return [_add(editor, node, value, found[1].offset)]

        return rebuild(graph, visit)


def _add(editor: Editor, node: Node, value: Value, offset: np.ndarray) -> Value:
    """`value` + offset in the place of a node; the value itself if there is nothing to add."""
    if (offset == 0).all():
        return value
    bias = editor.weight(offset.astype(np.float32), f"{node.output.name}_bias")
    return editor.become(node, "add", value, bias)[0]


def _fold_into(editor: Editor, node: Node, value: Value, total: Affine) -> Value | None:
    """node(value * scale + offset) with the arithmetic inside; None if that is not possible."""
    weight = editor.array(node.inputs[1])
    assert weight is not None
    padding = node.attrs.get("padding", ())
    attrs = dict(node.attrs)
    border: float | None = None
    if any(any(side) for side in padding) and not total.is_scale:
        if not total.uniform or total.scale[0] == 0:
            return None
        border = float(np.float32(-total.offset[0] / total.scale[0]))
        attrs["padding"] = ((0, 0), (0, 0))
    scaled = affine.scale_inputs(node, weight, total.scale)
    offset = affine.offset_outputs(node, weight, total.offset)
    finite = np.isfinite([border or 0.0, *offset.astype(np.float32)]).all()
    if scaled is None or not finite:
        return None
    if border is not None:
        paddings = ((0, 0), *padding, (0, 0))
        value = editor.add("pad", value, paddings=paddings, value=border, name=node.name)
    inputs = value, editor.weight(scaled, node.inputs[1].name)
    if total.is_scale:
        return editor.become(node, node.op, *inputs, **attrs)[0]
    made = editor.add(node.op, *inputs, name=node.name, **attrs)
    return _add(editor, node, made, offset)


def _computed(editor: Editor, node: Node, inputs: list[Value]) -> Value:
    """A batch norm whose parameters are not constant, by its formula."""
    x, mean, variance, offset, scale = inputs
    name = node.name
    epsilon = editor.weight(np.array(node.attrs["epsilon"], np.float32), f"{name}_epsilon")
    root = editor.add("rsqrt", editor.add("add", variance, epsilon, name=name), name=name)
    factor = editor.add("mul", root, scale, name=name)
    shift = editor.add("sub", offset, editor.add("mul", mean, factor, name=name), name=name)
    return editor.become(node, "add", editor.add("mul", x, factor, name=name), shift)[0]

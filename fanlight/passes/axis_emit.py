"""A graph in which planned nodes are computed in the order of their region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor
from fanlight.passes.axes import View, in_order, parts, signature, stated_order
from fanlight.passes.axis_region import NCHW, Plan, Recipe
from fanlight.passes.bodies import elementwise

NHWC = (0, 2, 3, 1)


def rewritten(graph: Graph, plans: Sequence[Plan]) -> Graph:
    """The graph with the nodes of all plans computed in the order of their regions; transposes
    stand where a value goes from one order to another. The graph itself where some op does not
    take a symbolic dim in another place.
    """
    try:
        return _Emission(graph, plans).run()
    except FanlightError as error:
        if error.code != "E-OP-007":
            raise
        return graph


class _Emission:
    def __init__(self, graph: Graph, plans: Sequence[Plan]) -> None:
        self.graph = graph
        self.editor = Editor(graph)
        self.recipes: dict[Node, Recipe] = {}
        self.views: dict[Value, View] = {}  # of results of planned nodes
        for plan in plans:
            self.recipes.update(plan.recipes)
            self.views.update((n.output, plan.views[n.output]) for n in plan.recipes)
        self.stated = self._stated()
        # In the order of their regions: results of planned nodes, and what was turned for them.
        self.turned: dict[Value, Value] = {}
        self.also: dict[Any, Value] = {}

    def _stated(self) -> set[Value]:
        """The results of planned nodes that something reads as they are stated."""
        read = {v for _, v in self.graph.outputs}
        for node in self.graph.nodes:
            recipe = self.recipes.get(node)
            if recipe is None:
                read.update(node.inputs)
                continue
            for value, operand in zip(node.inputs, recipe.operands, strict=True):
                if operand is None or not self._fits(value, operand[0]):
                    read.add(value)
        return read

    def _fits(self, value: Value, view: View) -> bool:
        return value in self.views and signature(self.views[value]) == signature(view)

    def run(self) -> Graph:
        for node in self.graph.nodes:
            recipe = self.recipes.get(node)
            if recipe is None:
                self.editor.keep(node)
            elif recipe.image:
                self._image(node, recipe)
            else:
                self._node(node, recipe)
        return self.editor.done()

    def _node(self, node: Node, recipe: Recipe) -> None:
        out = node.output
        if recipe.attrs is None:
            assert recipe.operands[0] is not None
            value = self._read(node, node.inputs[0], recipe.operands[0][0])
        else:
            operands = self._operands(node, recipe)
            value = self.editor.add(node.op, *operands, name=node.name, **recipe.attrs)
        self.turned[out] = value
        if out in self.stated:
            self._state(node, value)

    def _operands(self, node: Node, recipe: Recipe) -> list[Value]:
        read = [
            None if operand is None or v in self.graph.weights else self._read(node, v, operand[0])
            for v, operand in zip(node.inputs, recipe.operands, strict=True)
        ]
        # Elementwise, numbers of one shape may keep it, with whatever dims of 1 it has: if they are
        # meant to be of one shape, too. [n, h, 1, c] and [n, 1, w, c] may both lie as [n, 6, c].
        shapes, meant = set(), set()
        for v, operand in zip(read, recipe.operands, strict=True):
            if v is not None and operand is not None:
                shapes.add(v.shape)
                meant.add(operand[1])
        single = all(
            v is not None or self._number(w) for v, w in zip(read, node.inputs, strict=True)
        )
        keep = elementwise(node) and single and len(shapes) == 1 and len(meant) == 1
        operands = []
        for v, own, operand in zip(node.inputs, read, recipe.operands, strict=True):
            if operand is None:
                operands.append(self.editor.get(v))
            elif own is None:
                operands.append(v if keep else self._weight(node, v, *operand))
            else:
                operands.append(own if keep else self._shaped(node, own, operand[1]))
        return operands

    def _number(self, value: Value) -> bool:
        array = self.graph.weights.get(value)
        return array is not None and array.ndim == 0

    def _image(self, node: Node, recipe: Recipe) -> None:
        """[N, H, W, C] between two transposes, which writers of [N, C, H, W] have no need for."""
        operands = []
        for v, operand in zip(node.inputs, recipe.operands, strict=True):
            if operand is None:
                operands.append(self.editor.get(v))
                continue
            first = self._shaped(node, self._read(node, v, operand[0]), operand[1])
            maker = self.editor.maker(first)
            back = maker is not None and maker.op == "transpose" and maker.attrs["perm"] == NCHW
            operands.append(
                maker.inputs[0] if back and maker is not None
                else self.editor.add("transpose", first, perm=NHWC, name=node.name)
            )  # fmt: skip
        (made,) = self.editor.become(node, node.op, *operands, **node.attrs)
        self.turned[node.output] = self.editor.add("transpose", made, perm=NCHW, name=node.name)

    def _read(self, node: Node, value: Value, view: View) -> Value:
        """A value in the order of the region, in some shape of that."""
        if value in self.turned and self._fits(value, view):
            return self.turned[value]
        now = self.editor.get(value)
        if in_order(view):
            return now
        key = value, signature(view), tuple(p.axes[0].order for p in parts(view))
        if key not in self.also:
            found = parts(view)
            order = stated_order(found)
            now = self._shaped(node, now, tuple(found[i].size for i in order))
            perm = tuple(order.index(i) for i in range(len(found)))
            self.also[key] = self.editor.add("transpose", now, perm=perm, name=node.name)
        return self.also[key]

    def _state(self, node: Node, value: Value) -> None:
        """Let a node's output be what was made in the order of the region."""
        out, view = node.output, self.views[node.output]
        if in_order(view):
            value = self._reshaped(value, out.shape)
            if value.shape == out.shape:
                self.editor.replace(out, value)
            else:
                self.editor.become(node, "reshape", value, shape=out.shape)
            return
        found = parts(view)
        order = tuple(stated_order(found))
        value = self._shaped(node, value, tuple(p.size for p in found))
        if tuple(found[i].size for i in order) == out.shape:
            self.editor.become(node, "transpose", value, perm=order)
            return
        value = self.editor.add("transpose", value, perm=order, name=node.name)
        self.editor.become(node, "reshape", value, shape=out.shape)

    def _reshaped(self, value: Value, shape: tuple[Any, ...]) -> Value:
        """What stands in front of a reshape, if it has a shape already."""
        maker = self.editor.maker(value)
        if maker is not None and maker.op == "reshape" and maker.inputs[0].shape == shape:
            return maker.inputs[0]
        return value

    def _shaped(self, node: Node, value: Value, shape: tuple[Any, ...]) -> Value:
        value = self._reshaped(value, shape)
        if value.shape == shape:
            return value
        key = value, shape
        if key not in self.also:
            maker = self.editor.maker(value)
            source = maker.inputs[0] if maker is not None and maker.op == "reshape" else value
            self.also[key] = self.editor.add("reshape", source, shape=shape, name=node.name)
        return self.also[key]

    def _weight(self, node: Node, value: Value, view: View, shape: tuple[Any, ...]) -> Value:
        """A weight in the order of the region; for an elementwise op as few dims as say it."""
        array = self.graph.weights[value]
        few = elementwise(node) and node.op != "batch_norm"
        if (value.shape == shape and in_order(view)) or (
            few and array.size == 1 and array.ndim <= len(shape)
        ):
            return value
        found = parts(view)
        order = stated_order(found)
        turned = array.reshape([found[i].size for i in order])
        turned = turned.transpose([order.index(i) for i in range(len(found))]).reshape(shape)
        while few and turned.ndim > max(array.ndim, 1) and turned.shape[0] == 1:
            turned = turned[0]
        if few and turned.shape == array.shape and np.array_equal(turned, array):
            return value
        key = value, turned.shape, tuple(p.axes[0].order for p in found)
        if key not in self.also:
            self.also[key] = self.editor.weight(np.ascontiguousarray(turned), value.name)
        return self.also[key]

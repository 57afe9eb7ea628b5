"""Whether a graph mixes the examples of a batch: told from the same model at two batch sizes.

A graph has no names of dims. Where an importer made it for one example and again for several, what
differs in the two is the batch: each dim that grew counts examples. A sum over such a dim, a
product of such a dim with another, or a part of one makes an example's answer depend on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from fanlight.graph.core import Graph, Node, Value
from fanlight.graph.subgraph import Subgraph

_REDUCING = ("sum", "mean", "prod", "max", "min", "any", "all")
_ALONG = ("softmax", "log_softmax", "cumsum", "cumprod", "cummax", "cummin", "arg_max", "arg_min")
_LAST = ("sort", "top_k")
# Dims other than the batch that these add up or look along.
_WINDOWS = ("conv2d", "conv2d_transpose", "resize_bilinear", "resize_nearest")
_BY_CHANNEL = ("depthwise_conv2d", "max_pool", "avg_pool")
_NOTHING = ("reshape", "broadcast_to", "slice", "strided_slice")  # where sizes stay
_BODIES = ("cond", "while_loop", "scan")  # what is in them is looked at itself
_MOST = 8  # reasons that are told


class Unlike(Exception):
    """The two graphs differ in more than sizes: nothing is known of them."""


@dataclass(frozen=True)
class Axis:
    """A dim that counts examples.

    Attributes:
        at: which dim.
        outer: how many places of other dims stand before the batch inside of this dim.
        times: how many places each example has in it.
    """

    at: int
    outer: int
    times: int


def mixed(one: Graph, many: Graph, count: int) -> list[str]:
    """Where examples meet: "node (op): why"; empty if nowhere that is known of.

    Args:
        one, many: the graphs of a model for one example and for `count` (a prime number).

    Raises:
        Unlike: the graphs apply other ops, as where a loop runs over the batch.
    """
    return list(dict.fromkeys(_Pair(count).graph(one, many)))[:_MOST]


class _Pair:
    def __init__(self, count: int) -> None:
        self.count = count
        # Of the values of the graph of many: dims with something before the batch inside, and
        # which values they are in the graph of one.
        self.outer: dict[tuple[Value, int], int] = {}
        self.ones: dict[Value, Value] = {}
        self.weights: dict[Value, np.ndarray] = {}

    def graph(self, one: Graph, many: Graph) -> Iterator[str]:
        self.weights |= {**one.weights, **many.weights}
        self.ones.update(zip(many.inputs, one.inputs, strict=False))
        for a, b in self._aligned(one.nodes, many.nodes):
            why = self._node(a, b)
            if why:
                yield f"{a.name} ({a.op}): {why}"
            for key, inner in a.attrs.items():
                if isinstance(inner, Subgraph):
                    yield from self.graph(inner.graph, b.attrs[key].graph)

    def _aligned(self, one: Sequence[Node], many: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
        """Nodes side by side. What does nothing to one example is left out of its graph."""
        rest = list(reversed(one))
        for b in many:
            if rest and rest[-1].op == b.op and self._takes(rest[-1], b):
                a = rest.pop()
            elif b.op in _NOTHING and b.inputs[0] in self.ones:
                same = self.ones[b.inputs[0]]
                a = Node(b.op, (same, *b.inputs[1:]), (same,), b.attrs, b.name)
            else:
                raise Unlike
            self.ones.update(zip((*b.inputs, *b.outputs), (*a.inputs, *a.outputs), strict=False))
            yield a, b
        if rest:
            raise Unlike

    def _takes(self, one: Node, many: Node) -> bool:
        """Whether a node takes what the other one takes."""
        return all(self.ones.get(y, x) is x for x, y in zip(one.inputs, many.inputs, strict=False))

    def _axes(self, one: Value, many: Value) -> list[Axis]:
        """The dims of a value that count examples."""
        if len(one.shape) != len(many.shape):
            raise Unlike
        found = []
        for at, (m, n) in enumerate(zip(one.type.bound, many.type.bound, strict=True)):
            if m != n:
                if n != m * self.count:
                    raise _Cut(f"{m} of one example are {n} of {self.count}")
                found.append(Axis(at, self.outer.get((many, at), 1), m))
        return found

    def _node(self, a: Node, b: Node) -> str:
        """Why examples meet in a node, or nothing."""
        if (len(a.inputs), len(a.outputs)) != (len(b.inputs), len(b.outputs)):
            raise Unlike
        try:
            given = [self._axes(x, y) for x, y in zip(a.inputs, b.inputs, strict=True)]
            made = [self._axes(x, y) for x, y in zip(a.outputs, b.outputs, strict=True)]
        except _Cut as cut:
            return f"it takes a part of the batch, or adds to it: {cut}"
        if any(map(self._counts, a.inputs, b.inputs)):
            return "a number of it follows how many examples there are"
        if not any(given):
            return ""
        if any(len(axes) > 1 for axes in made):
            return "it joins each example with each"
        if not any(made) and a.op not in _BODIES:
            return "its result is one of all examples"
        self._follow(b, given, made)
        if a.op == "reshape":
            return self._reshaped(a, b, given[0], made[0])
        return _along(a, given)

    def _counts(self, one: Value, many: Value) -> bool:
        """Whether a known number is so many times as large, or as small, for more examples.

        Other differences say nothing: a graph that is made for its shapes alone has zeros for
        what is computed of large weights.
        """
        x, y = self.weights.get(one), self.weights.get(many)
        if x is None or y is None or x.dtype != np.float32 or x.shape != y.shape or not x.any():
            return False
        if not np.isfinite(x).all():
            return False
        factors = (self.count, 1 / self.count, self.count**0.5, self.count**-0.5)
        with np.errstate(over="ignore"):
            return any(np.allclose(y, x * f, rtol=1e-5, atol=0) for f in factors)

    def _follow(self, many: Node, given: list[list[Axis]], made: list[list[Axis]]) -> None:
        """What stood before the batch inside of a dim still does."""
        outer = {x.times: x.outer for axes in given for x in axes}
        for value, axes in zip(many.outputs, made, strict=True):
            for axis in axes:
                self.outer[value, axis.at] = outer.get(axis.times, 1)

    def _reshaped(self, a: Node, b: Node, given: list[Axis], made: list[Axis]) -> str:
        """The batch keeps its place among the elements."""
        if len(given) != 1:
            return ""
        before = prod(a.inputs[0].type.bound[: given[0].at]) * given[0].outer
        other = prod(a.output.type.bound[: made[0].at])
        if before % other or made[0].times % (before // other):
            return "it puts examples into other places"
        self.outer[b.output, made[0].at] = before // other
        return ""


class _Cut(Exception):
    """A dim is no multiple of the batch."""


def _along(node: Node, given: Sequence[Sequence[Axis]]) -> str:
    """Why an op that works along dims mixes examples, or nothing."""
    attrs: Any = node.attrs
    x = node.inputs[0]
    batch = {axis.at for axis in given[0]}
    rank = len(x.shape)
    if node.op in _REDUCING:
        along = {a % rank for a in attrs["axes"]}
    elif node.op in _ALONG:
        along = {attrs["axis"] % rank}
    elif node.op in _LAST:
        along = {rank - 1}
    elif node.op == "reverse":
        along = {a % rank for a in attrs["axes"]}
    elif node.op == "gather":
        along = {attrs["axis"] % rank}
    elif node.op == "concat":
        along = {attrs["axis"] % rank}
        batch = {axis.at for axes in given for axis in axes}
    elif node.op == "tile":
        along = {a for a, n in enumerate(attrs["multiples"]) if n != 1}
    elif node.op in _WINDOWS:
        along = {1, 2, 3}
    elif node.op in _BY_CHANNEL:
        along = {1, 2}
    elif node.op == "non_max_suppression":
        along = {0, 1}
        batch = {axis.at for axes in given for axis in axes}
    elif node.op == "matmul":
        left = rank - (2 if attrs["transpose_a"] else 1)
        return "it adds up over the examples" if left in batch else ""
    elif node.op == "scan":
        sequences = given[attrs["carried"] : attrs["carried"] + attrs["scanned"]]
        turns = any(axis.at == 0 for axes in sequences for axis in axes)
        return "its turns go from example to example" if turns else ""
    else:
        return ""
    return "it works along the batch" if along & batch else ""

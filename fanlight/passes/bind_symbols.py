"""Symbolic dims become memory at their bounds, and the actual sizes become values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph import Graph, Node, Value
from fanlight.graph.rewrite import Editor
from fanlight.ops import symbols
from fanlight.ops.row import lookup
from fanlight.ops.sizes import spelt
from fanlight.ops.types import Dim, TensorType
from fanlight.passes.core import NO_SYMBOLS, Context, Pass


class BindSymbols(Pass):
    """Make every size known, for kernels that are made for known sizes (docs/adr/0001).

    Each symbolic dim is as long as its bound. What lies behind the actual size, the padding, is
    whatever falls out, and where an op would let it into a result it is filled before: with 0 for a
    sum, with the lowest number for a maximum (fanlight/ops/symbols.py). Inputs come in and outputs
    go out without padding. Pictures of any size are left to `resize_image`, which reads the sizes.

    Before:
        graph g(%x: f32[batch<=4, 2]) {
          %y: f32[batch<=4, 2] = relu(%x)
          %total: f32[2] = sum(%x) {axes=[0]}
          return y=%y, total=%total
        }

    After:
        graph g(%x: f32[batch<=4, 2]) {
          weight %places: i32[4, 1] = [0, 1, 2, 3]
          weight %fill: f32[] = [0.0]
          %x_all: f32[4, 2] = to_bound(%x) {shape=[4, 2]}
          %y_2: f32[4, 2] = relu(%x_all) @ "y"
          %batch: i32[] = dim_size(%x) {axis=0}
          %inside: bool[4, 1] = less(%places, %batch)
          %filled: f32[4, 2] = select(%inside, %x_all, %fill)
          %total_2: f32[2] = sum(%filled) {axes=[0], keepdims=false} @ "total"
          %y_3: f32[batch<=4, 2] = from_bound(%y_2, %batch) {shape=[["batch", 1, 4], 2]} @ "y"
          return y=%y_3, total=%total_2
        }
    """

    ensures = (NO_SYMBOLS,)

    def run(self, graph: Graph, context: Context) -> Graph:
        if all(not _taken(node) for node in graph.nodes):
            return graph
        work = _Work(graph)
        for node in graph.nodes:
            if not _taken(node):
                work.editor.keep(node)
                continue
            work.node(node)
            self.hit(context, node.op)
        work.outputs()
        return work.editor.done()


def _taken(node: Node) -> bool:
    types = [v.type for v in (*node.inputs, *node.outputs)]
    return node.op not in symbols.OWN and symbols.symbolic(types, node.attrs)


class _Work:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.editor = Editor(graph)
        self.bound: dict[Value, Value] = {}  # symbolic -> at the bound
        self.sizes: dict[str, Value] = {}
        self.masks: dict[tuple[str, int], Value] = {}
        self.most = {d.name: d.max for v in graph.values() for d in v.shape if isinstance(d, Dim)}

    # --- sizes ------------------------------------------------------------------------------------

    def size(self, name: str) -> Value:
        """The actual size of a symbol."""
        if name not in self.sizes:
            for v in self.graph.inputs:
                names = [d.name if isinstance(d, Dim) else "" for d in v.shape]
                if name in names:
                    axis = names.index(name)
                    self.sizes[name] = self.editor.add("dim_size", v, axis=axis, name=name)
                    return self.sizes[name]
            raise FanlightError(
                "E-OP-007",
                f"no input says how large {name} is.",
                where=self.graph.name,
                expected=f"an input with a dim {name}",
                received=", ".join(repr(v) for v in self.graph.inputs),
            )
        return self.sizes[name]

    def product(self, shape: Sequence[int | Dim]) -> Value:
        """The actual number of elements, int32."""
        add = self.editor.add
        known = prod(d for d in shape if not isinstance(d, Dim))
        total: Value | None = None
        for d in shape:
            if isinstance(d, Dim):
                size = self.size(d.name)
                total = size if total is None else add("mul", total, size)
        if total is None:
            return self.constant(known)
        return total if known == 1 else add("mul", total, self.constant(known))

    def constant(self, number: Any, dtype: str = "int32", name: str = "c") -> Value:
        return self.editor.weight(np.asarray(number, dtypes.to_numpy(dtype)), name)

    def places(self, count: int, behind: int, name: str = "places") -> Value:
        """0 .. count - 1 along a dim that has so many dims behind it."""
        numbers = np.arange(count, dtype=np.int32).reshape(count, *[1] * behind)
        return self.editor.weight(numbers, name)

    # --- values -----------------------------------------------------------------------------------

    def at_bound(self, value: Value) -> Value:
        """What stands for a value, as long as the bounds."""
        if value.type.static:
            return self.editor.get(value)
        if value not in self.bound:  # an input
            self.bound[value] = self.spread(value)
        return self.bound[value]

    def spread(self, x: Value) -> Value:
        """An input, which comes in without padding."""
        add, shape, name = self.editor.add, x.type.bound, f"{x.name}_all"
        lines, width = _lines(x.type)
        if len(lines) == 1:
            made: Value = add("to_bound", x, shape=shape, name=name)
            return made
        whole = add("to_bound", x, shape=(prod(shape) // width, width), name=name)
        index = None
        for axis in range(len(lines)):
            step = self.product(lines[axis + 1 :])
            along = self.places(shape[axis], len(lines) - axis - 1)
            part = add("mul", along, step)
            index = part if index is None else add("add", index, part)
        return self.taken(whole, index, shape, x.name)

    def gathered(self, y: Value, type: TensorType) -> Value:
        """An output's elements one after another, without the padding between them."""
        add, shape = self.editor.add, type.bound
        lines, width = _lines(type)
        if len(lines) == 1:
            return y
        rows = prod(shape) // width
        place = self.places(rows, 0)
        index = None
        for axis, d in enumerate(lines):
            # Which one along this dim, and how far apart they lie with padding.
            at = add("floor_div", place, self.product(lines[axis + 1 :]))
            if axis:
                at = add("floor_mod", at, self.product([d]))
            part = add("mul", at, self.constant(prod(shape[axis + 1 : len(lines)])))
            index = part if index is None else add("add", index, part)
        whole = add("reshape", y, shape=(rows, width))
        return self.taken(whole, index, (rows, width), y.name)

    def taken(self, rows: Value, index: Any, shape: Sequence[int], name: str) -> Value:
        found = self.editor.add("gather", rows, index, axis=0)
        made: Value = self.editor.add("reshape", found, shape=tuple(shape), name=name)
        return made

    def filled(self, value: Value, type: TensorType, fills: Mapping[int, Any]) -> Value:
        """The value with its padding filled along some dims."""
        add = self.editor.add
        for axis, fill in fills.items():
            if fill is None:
                continue
            d = type.shape[axis]
            assert isinstance(d, Dim)
            inside = self.inside(d, type.rank - axis - 1)
            constant = self.constant(fill, type.dtype, "fill")
            value = add("select", inside, value, constant, name="filled")
        return value

    def inside(self, d: Dim, behind: int) -> Value:
        """Where a place is no padding, bool, with so many dims behind it."""
        key = (d.name, behind)
        if key not in self.masks:
            self.masks[key] = self.editor.add(
                "less", self.places(d.max, behind), self.size(d.name), name="inside"
            )
        return self.masks[key]

    # --- nodes ------------------------------------------------------------------------------------

    def node(self, node: Node) -> None:
        """One call at the bounds."""
        types = [v.type for v in node.inputs]
        values = [self.at_bound(v) for v in node.inputs]
        attrs = symbols.resolved(node.attrs, self.most)
        special = getattr(self, f"_{node.op}", None)
        made = special(node, values) if special else None
        if made is None:
            fills = symbols.fills(lookup(node.op), types, node.attrs)
            values = [self.filled(v, t, f) for v, t, f in zip(values, types, fills, strict=True)]
            names = [v.name for v in node.outputs]
            made = self.editor.add(node.op, *values, name=node.name, outputs=names, **attrs)
        for old, new in zip(
            node.outputs, made if isinstance(made, tuple) else (made,), strict=True
        ):
            if old.type.static:
                self.editor.replace(old, new)
            else:
                self.bound[old] = new

    def _mean(self, node: Node, values: Sequence[Value]) -> Value | None:
        """The sum over the actual number."""
        x = node.inputs[0].type
        axes = [a % x.rank for a in node.attrs["axes"]]
        along = {a: 0.0 for a in symbols.symbolic_axes(x) if a in axes}
        if not along:
            return None
        add = self.editor.add
        total = add("sum", self.filled(values[0], x, along), name=node.name, **node.attrs)
        count = add("cast", self.product([x.shape[a] for a in axes]), dtype="float32")
        made: Value = add("div", total, count, name=node.name)
        return made

    def _reverse(self, node: Node, values: Sequence[Value]) -> Value | None:
        """Along symbolic dims the place size - 1 - i."""
        x, y = node.inputs[0].type, values[0]
        axes = {a % x.rank for a in node.attrs["axes"]}
        along = [a for a in symbols.symbolic_axes(x) if a in axes]
        if not along:
            return None
        add = self.editor.add
        rest = tuple(sorted(axes - set(along)))
        if rest:
            y = add("reverse", y, axes=rest)
        for axis in along:
            last = add("sub", self.product([x.shape[axis]]), self.constant(1))
            index = add("sub", last, self.places(x.bound[axis], 0))
            y = add("gather", y, index, axis=axis, name=node.name)
        return y

    def _gather(self, node: Node, values: Sequence[Value]) -> Value | None:
        """Indices are clipped to the actual size, not to the bound."""
        x, axis = node.inputs[0].type, node.attrs["axis"] % node.inputs[0].type.rank
        d = x.shape[axis]
        if not isinstance(d, Dim):
            return None
        add = self.editor.add
        last = add("sub", self.size(d.name), self.constant(1))
        index = add("minimum", values[1], last)
        made: Value = add("gather", values[0], index, axis=axis, name=node.name)
        return made

    def outputs(self) -> None:
        """Outputs go out as what they were."""
        for name, value in self.graph.outputs:
            if value.type.static or value in self.graph.inputs or value not in self.bound:
                continue
            shape = value.shape
            names = dict.fromkeys(d.name for d in shape if isinstance(d, Dim))
            dense = self.gathered(self.bound[value], value.type)
            sizes = [self.size(n) for n in names]
            made = self.editor.add("from_bound", dense, *sizes, shape=spelt(shape), name=name)
            self.editor.replace(value, made)


def _lines(type: TensorType) -> tuple[tuple[int | Dim, ...], int]:
    """The dims up to the last symbol, and how many elements lie behind them, which stay together.

    Leading dims of size 1 count as none: a symbol alone in front needs no padding between rows.
    """
    last = max(symbols.symbolic_axes(type))
    width = prod(type.bound[last + 1 :])
    lines = type.shape[: last + 1]
    if all(d == 1 for d in lines[:-1]):
        lines = lines[-1:]
    return lines, width

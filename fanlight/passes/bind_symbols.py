"""Symbolic dims become memory at their bounds, and the actual sizes become values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Node, Subgraph, Value, subgraphs
from fanlight.ops import symbols
from fanlight.ops.row import lookup
from fanlight.ops.sizes import spelt
from fanlight.ops.types import Dim, TensorType
from fanlight.passes.bodies import elementwise
from fanlight.passes.core import NO_SYMBOLS, Context, Pass

Fills = Mapping[int, float | int | None]  # dim -> what its padding is, if it matters


class BindSymbols(Pass):
    """Make every size known, for kernels that are made for known sizes (docs/adr/0001).

    Each symbolic dim is as long as its bound. What lies behind the actual size, the padding, is
    whatever falls out, and where an op would let it into a result it is filled before: with 0 for a
    sum, with the lowest number for a maximum (fanlight/ops/symbols.py). What an elementwise op made
    is filled as it is made, and read so by all. Inputs come in and outputs go out without padding.
    Pictures of any size are left to `resize_image`, which reads the sizes.

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
          %y: f32[4, 2] = relu(%x_all)
          %batch: i32[] = dim_size(%x) {axis=0}
          %inside: bool[4, 1] = less(%places, %batch)
          %filled: f32[4, 2] = select(%inside, %x_all, %fill)
          %total: f32[2] = sum(%filled) {axes=[0], keepdims=false}
          %y_2: f32[batch<=4, 2] = from_bound(%y, %batch) {shape=[["batch", 1, 4], 2]} @ "y"
          return y=%y_2, total=%total
        }
    """

    ensures = (NO_SYMBOLS,)

    def run(self, graph: Graph, context: Context) -> Graph:
        if not any(symbolic_node(node) for node in graph.nodes):
            return graph
        work = _Whole(graph)
        for node in graph.nodes:
            self.hit(context, node.op, work.node(node))
        return work.finish()


class _Work(ABC):
    """A graph, or a sub-graph of one, that is being written anew at its bounds."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder(graph.name)
        self.made: dict[Value, Value] = {}  # at the bounds
        self.masks: dict[tuple[Dim, int], Value] = {}
        dims = [d.symbol for v in graph.values() for d in v.shape if isinstance(d, Dim)]
        self.most = {d.name: d.max for d in dims}
        self.asked = _asked(graph)
        self.full: dict[Value, Fills] = {}  # what the padding of a value is known to be

    @abstractmethod
    def size(self, name: str) -> Value:
        """The actual size of a symbol, int32."""

    def product(self, shape: Sequence[int | Dim]) -> Value:
        """The actual number of elements, int32."""
        add = self.builder.add
        known = prod(d.times if isinstance(d, Dim) else d for d in shape)
        total: Value | None = None
        for d in shape:
            if isinstance(d, Dim):
                size = self.size(d.name)
                total = size if total is None else add("mul", total, size)
        if total is None:
            return self.constant(known)
        return total if known == 1 else add("mul", total, self.constant(known))

    def constant(self, number: Any, dtype: str = "int32", name: str = "c") -> Value:
        """A number as a weight."""
        return self.builder.weight(np.asarray(number, dtypes.to_numpy(dtype)), name)

    def places(self, count: int, behind: int) -> Value:
        """0 .. count - 1 along a dim that has so many dims behind it."""
        numbers = np.arange(count, dtype=np.int32).reshape(count, *[1] * behind)
        return self.builder.weight(numbers, "places")

    # --- values -----------------------------------------------------------------------------------

    def taken(self, rows: Value, index: Any, shape: Sequence[int], name: str) -> Value:
        found = self.builder.add("gather", rows, index, axis=0)
        made: Value = self.builder.add("reshape", found, shape=tuple(shape), name=name)
        return made

    def filled(self, value: Value, of: Value, fills: Fills) -> Value:
        """The value, which stands for `of`, with its padding filled along some dims."""
        add, type = self.builder.add, of.type
        for axis, fill in fills.items():
            d = type.shape[axis]
            if fill is None or not isinstance(d, Dim) or self.full.get(of) == {axis: fill}:
                continue
            inside = self.inside(d, type.rank - axis - 1)
            constant = self.constant(fill, type.dtype, "fill")
            value = add("select", inside, value, constant, name="filled")
        return value

    def inside(self, d: Dim, behind: int) -> Value:
        """Where a place is no padding, bool, with so many dims behind it."""
        key = (d, behind)
        if key not in self.masks:
            self.masks[key] = self.builder.add(
                "less", self.places(d.max, behind), self.product([d]), name="inside"
            )
        return self.masks[key]

    # --- nodes ------------------------------------------------------------------------------------

    def node(self, node: Node) -> bool:
        """One call at the bounds; whether it was symbolic."""
        if node.op == "dim_size":
            d = node.inputs[0].shape[node.attrs["axis"]]
            self.know(node, self.product([d]))
            return False
        values = [self.at_bound(v) for v in node.inputs]
        if not symbolic_node(node):
            self.keep(node, values, node.attrs)
            return False
        special = getattr(self, f"_{node.op}", None)
        made = special(node, values) if special else None
        if made is None:
            fills = symbols.fills(lookup(node.op), [v.type for v in node.inputs], node.attrs)
            values = [
                self.filled(v, of, f) for v, of, f in zip(values, node.inputs, fills, strict=True)
            ]
            self.keep(node, values, symbols.resolved(node.attrs, self.most))
        else:
            self.know(node, made)
        return True

    def keep(self, node: Node, values: Sequence[Value], attrs: Mapping[str, Any]) -> None:
        """The same op on other values."""
        names = [v.name for v in node.outputs]
        self.know(node, self.builder.add(node.op, *values, name=node.name, outputs=names, **attrs))

    def know(self, node: Node, made: Any) -> None:
        outputs = made if isinstance(made, tuple) else (made,)
        self.made.update(zip(node.outputs, outputs, strict=True))
        of = node.outputs[0]
        asked = self.asked.get(of)
        if asked and elementwise(node):
            self.made[of] = self.filled(outputs[0], of, asked)
            self.full[of] = asked
        elif asked and _framed(node, asked) and self.full.get(node.inputs[0]) == asked:
            self.full[of] = asked

    def at_bound(self, value: Value) -> Value:
        """What stands for a value, as long as the bounds."""
        array = self.graph.weights.get(value)
        if array is not None and value not in self.made:
            self.made[value] = self.builder.weight(array, value.name)
        return self.made[value]

    def _mean(self, node: Node, values: Sequence[Value]) -> Value | None:
        """The sum over the actual number."""
        x = node.inputs[0].type
        axes = [a % x.rank for a in node.attrs["axes"]]
        (along,) = _fills(node)
        if not along:
            return None
        add = self.builder.add
        total = add(
            "sum", self.filled(values[0], node.inputs[0], along), name=node.name, **node.attrs
        )
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
        add = self.builder.add
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
        add = self.builder.add
        last = add("sub", self.product([d]), self.constant(1))
        index = add("minimum", values[1], last)
        made: Value = add("gather", values[0], index, axis=axis, name=node.name)
        return made

    def _gather_nd(self, node: Node, values: Sequence[Value]) -> Value | None:
        """Indices behind the actual sizes are what those behind the bounds are."""
        x, indices = (v.type for v in node.inputs)
        count = indices.bound[-1]
        if not any(a < count for a in symbols.symbolic_axes(x)):
            return None
        add = self.builder.add
        sizes = [self.product([d]) for d in x.shape[:count]]
        last = add("concat", *(add("reshape", s, shape=(1,)) for s in sizes), axis=0)
        last = add("sub", last, self.constant(1))
        if node.attrs["outside"] == "clip":
            index = add("minimum", values[1], last)
        else:
            index = add("select", add("less", last, values[1]), self.constant(-1), values[1])
        made: Value = add("gather_nd", values[0], index, name=node.name, **node.attrs)
        return made

    # --- control flow -----------------------------------------------------------------------------

    def _cond(self, node: Node, values: Sequence[Value]) -> Any:
        return self._with_bodies(node, values)

    def _while_loop(self, node: Node, values: Sequence[Value]) -> Any:
        return self._with_bodies(node, values)

    def _scan(self, node: Node, values: Sequence[Value]) -> Any:
        """Turns behind the actual length do nothing: what is carried stays as it is.

        They do not run the body either, since a loop in it might turn for ever on padding.
        """
        length = node.attrs["length"]
        if not isinstance(length, Dim):
            return self._with_bodies(node, values)
        carried, scanned = node.attrs["carried"], node.attrs["scanned"]
        body = _Body(node.attrs["fn"].graph)
        body.whole()
        cut = carried + scanned
        names = list(dict.fromkeys([length.name, *body.sizes]))
        at = names.index(length.name) - len(names)
        sub = _within(body.finish(names), carried, cut, at, length.times)
        inputs = [*values[:cut], self.places(length.max, 0), *values[cut:]]
        inputs += [self.size(n) for n in names]
        attrs = {**node.attrs, "length": length.max, "scanned": scanned + 1, "fn": sub}
        return self.builder.add("scan", *inputs, name=node.name, **attrs)

    def _with_bodies(self, node: Node, values: Sequence[Value]) -> Any:
        """The node with its sub-graphs at the bounds, which take the sizes that they need."""
        bodies = {key: _Body(sub.graph) for key, sub in subgraphs(node).items()}
        for body in bodies.values():
            body.whole()
        names = sorted({n for body in bodies.values() for n in body.sizes})
        attrs = {**node.attrs, **{key: body.finish(names) for key, body in bodies.items()}}
        sizes = [self.size(n) for n in names]
        return self.builder.add(node.op, *values, *sizes, name=node.name, **attrs)


class _Body(_Work):
    """A sub-graph: what it takes is as long as the bounds, and sizes are further inputs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.sizes: dict[str, Value] = {}
        self.results: list[Value] = []
        for v in graph.inputs:
            self.made[v] = self.builder.input(v.name, v.type.bound, v.dtype)

    def size(self, name: str) -> Value:
        if name not in self.sizes:
            self.sizes[name] = self.builder.input(f"size_of_{name}", (), "int32")
        return self.sizes[name]

    def whole(self) -> None:
        """All nodes."""
        for node in self.graph.nodes:
            self.node(node)
        self.results = [self.at_bound(v) for _, v in self.graph.outputs]

    def finish(self, names: Sequence[str]) -> Subgraph:
        """The sub-graph, which takes these sizes last."""
        own = [self.made[v] for v in self.graph.inputs]
        inputs = (*own, *(self.size(n) for n in names))
        named = zip((n for n, _ in self.graph.outputs), self.results, strict=True)
        return Subgraph(replace(self.builder.finish(dict(named)), inputs=inputs))


def _within(body: Subgraph, carried: int, at: int, size: int, times: int) -> Subgraph:
    """The body of a scan with one more input, the number of the turn, at a position: where that is
    not below so many times a size (an input counted from the last), what is carried comes out, and
    zeros.
    """
    outer, keep = Builder(body.graph.name), Builder("padding")
    own = [outer.input("x", t.shape, t.dtype) for t in body.parameters]
    place = outer.input("place", (), "int32")
    held = [keep.input("x", t.shape, t.dtype) for t in body.parameters]
    zeros = [keep.weight(np.zeros(t.bound, dtypes.to_numpy(t.dtype))) for t in body.results]
    results = [*held[:carried], *zeros[carried:]]
    same = [keep.add("reshape", v, shape=v.shape) for v in results]
    length = own[size]
    if times != 1:
        length = outer.add("mul", length, outer.weight(np.asarray(times, np.int32)))
    inside = outer.add("less", place, length)
    padding = Subgraph(keep.finish({f"r{k}": v for k, v in enumerate(same)}))
    made = outer.add("cond", inside, *own, true_fn=body, false_fn=padding)
    made = made if isinstance(made, tuple) else (made,)
    graph = outer.finish({f"r{k}": v for k, v in enumerate(made)})
    return Subgraph(replace(graph, inputs=(*own[:at], place, *own[at:])))


class _Whole(_Work):
    """The graph itself: inputs come in and outputs go out without padding."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.sizes: dict[str, Value] = {}
        for v in graph.inputs:
            self.builder.adopt(v)

    def size(self, name: str) -> Value:
        if name in self.sizes:
            return self.sizes[name]
        for v in self.graph.inputs:
            for axis, d in enumerate(v.shape):
                if not isinstance(d, Dim) or d.name != name:
                    continue
                size = self.builder.add("dim_size", v, axis=axis, name=name)
                if d.times != 1:
                    size = self.builder.add("floor_div", size, self.constant(d.times))
                self.sizes[name] = size
                return size
        raise FanlightError(
            "E-OP-007",
            f"no input says how large {name} is.",
            where=self.graph.name,
            expected=f"an input with a dim {name}",
            received=", ".join(map(repr, self.graph.inputs)),
        )

    def node(self, node: Node) -> bool:
        if node.op == "dim_size" or node.op not in symbols.LEFT:
            return super().node(node)
        # They are about the symbolic inputs themselves.
        values = [v if v in self.graph.inputs else self.at_bound(v) for v in node.inputs]
        self.keep(node, values, node.attrs)
        return False

    def at_bound(self, value: Value) -> Value:
        if value in self.graph.inputs and value not in self.made:
            self.made[value] = value if value.type.static else self.spread(value)
        return super().at_bound(value)

    def spread(self, x: Value) -> Value:
        """An input, which comes in without padding."""
        add, shape, name = self.builder.add, x.type.bound, f"{x.name}_all"
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
        add, shape = self.builder.add, type.bound
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

    def finish(self) -> Graph:
        """The graph; outputs go out as what they were."""
        outputs: dict[str, Value] = {}
        for name, value in self.graph.outputs:
            made = value if value in self.graph.inputs else self.at_bound(value)
            if made.type != value.type:
                shape = value.shape
                names = dict.fromkeys(d.name for d in shape if isinstance(d, Dim))
                dense = self.gathered(made, value.type)
                sizes = [self.size(n) for n in names]
                spelled = spelt(shape)
                made = self.builder.add("from_bound", dense, *sizes, shape=spelled, name=name)
            outputs[name] = made
        return self.builder.finish(outputs)


def _fills(node: Node) -> Sequence[Fills]:
    """What the padding of each input has to be."""
    types = [v.type for v in node.inputs]
    if node.op == "mean":
        axes = {a % types[0].rank for a in node.attrs["axes"]}
        return [{a: 0.0 for a in symbols.symbolic_axes(types[0]) if a in axes}]
    if hasattr(_Work, f"_{node.op}"):
        return [{} for _ in types]
    return symbols.fills(lookup(node.op), types, node.attrs)


def _asked(graph: Graph) -> dict[Value, Fills]:
    """What of the values that elementwise ops make is to be filled, along one dim: what is read
    filled by one reader is no other's loss, who may find anything there.
    """
    found: dict[Value, Fills] = {}
    for node in reversed(graph.nodes):
        if not symbolic_node(node):
            continue
        for v, fills in zip(node.inputs, _fills(node), strict=True):
            wanted = {axis: fill for axis, fill in fills.items() if fill is not None}
            if len(wanted) == 1:
                found.setdefault(v, wanted)
        if node.op == "pad" and node.output in found and _framed(node, found[node.output]):
            found.setdefault(node.inputs[0], found[node.output])
    return found


def _framed(node: Node, fills: Fills) -> bool:
    """Whether a node only puts a frame of the number around what is filled with it."""
    return node.op == "pad" and all(
        node.attrs["value"] == fill and tuple(node.attrs["paddings"][axis]) == (0, 0)
        for axis, fill in fills.items()
    )


def symbolic_node(node: Node) -> bool:
    """Whether a node has symbolic dims that are to be bound."""
    types = [v.type for v in (*node.inputs, *node.outputs)]
    return node.op not in symbols.LEFT and symbols.symbolic(types, node.attrs)


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

"""One graph with symbolic dims out of graphs of the same function, each traced at known sizes.

Where the graphs differ, the size of a symbol must be why: a number that follows the size becomes
the symbol, one that is always so many times the size that multiple of it, a constant that is cut
one at the bound that is cut, and a number that is an easy function of the size is computed from it.
Anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from random import Random
from typing import Any

import numpy as np

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph import size_formulas
from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Node, Value
from fanlight.graph.subgraph import Subgraph
from fanlight.ops import scalar as sc
from fanlight.ops.types import Dim, TensorType

Sizes = Mapping[str, int]
OTHERS = 6  # how many sizes of a symbol are tried besides its bound
MOST_SAMPLES = 12  # combinations of sizes


class Unlike(FanlightError):
    """The graphs do not apply the same ops: of small sizes functions have shortcuts."""


def sample_sizes(symbols: Sequence[Dim]) -> list[dict[str, int]]:
    """Sizes to trace a function at: all bounds first, then others that tell the symbols apart.

    None is 1, for which functions have shortcuts. All combinations of few sizes; of more, some in
    which no symbol is an easy function of another.
    """
    ways = [[d.max, *_ways(d)] for d in symbols]
    names = [d.name for d in symbols]
    if prod(map(len, ways)) <= MOST_SAMPLES:
        return [dict(zip(names, sizes, strict=True)) for sizes in product(*ways)]
    order = Random(1)
    count = len(ways[0]) if len(ways) == 1 else MOST_SAMPLES
    columns: list[list[int]] = []
    for of in ways:
        for _ in range(1000):
            drawn = [of[1 + k % (len(of) - 1)] for k in range(count - 1)]
            if len(ways) > 1 and len(of) < count:  # the bound, too, beside other sizes
                drawn = [of[k % len(of)] for k in range(count - 1)]
            order.shuffle(drawn)
            if not _related(columns, [of[0], *drawn]):
                break
        columns.append([of[0], *drawn])
    samples = [dict(zip(names, sizes, strict=True)) for sizes in zip(*columns, strict=True)]
    return [s for k, s in enumerate(samples) if s not in samples[:k]]


def _ways(d: Dim) -> list[int]:
    """Sizes of a symbol besides its bound: all of few, or some that lie far apart."""
    least = max(d.min, 2)
    inside = list(range(least, d.max))
    if not inside:
        # Of 1 and 2 the first takes shortcuts: what is too large does not.
        return [d.max + 1, d.max + 2, d.max + 3]
    if len(inside) <= OTHERS:
        return inside
    apart = np.geomspace(least, d.max - 1, OTHERS).round().astype(int).tolist()
    return [*list(dict.fromkeys([least, least + 1, *apart]))[: OTHERS - 1], d.max - 1]


def _related(columns: Sequence[Sequence[int]], column: Sequence[int]) -> bool:
    """Whether a symbol with these sizes would follow one of the others, or that one it."""
    for other in columns:
        for ours, theirs in ((column, other), (other, column)):
            alone = [{"n": n} for n in theirs]
            for kind in (np.int32, lambda n: np.float32(1 / n)):
                if size_formulas.find(alone, [np.asarray(kind(n)) for n in ours]) is not None:
                    return True
    return False


def generalize(
    graphs: Sequence[Graph],
    inputs: Sequence[TensorType],
    samples: Sequence[Sizes],
    places: Mapping[Node, str] | None = None,
) -> Graph:
    """The graph that is each of the given ones at its sizes.

    Args:
        graphs: of one function, traced at the sizes of `samples`, the first at all bounds.
        inputs: the types of the inputs, with symbols.
        places: where in the user's code nodes come from, for errors.

    Raises:
        FanlightError: E-TENSOR-017 they differ in more than sizes; E-OP-007 an op does not take
            what becomes symbolic.
    """
    symbols = {
        tuple(s[d.name] for s in samples): d.symbol
        for t in inputs
        for d in t.shape
        if isinstance(d, Dim)
    }
    return _Merge(graphs, inputs, samples, symbols, places or {}).graph()


class _Merge:
    def __init__(
        self,
        graphs: Sequence[Graph],
        inputs: Sequence[TensorType],
        samples: Sequence[Sizes],
        symbols: Mapping[tuple[int, ...], Dim],
        places: Mapping[Node, str],
    ) -> None:
        self.graphs, self.samples, self.symbols, self.places = graphs, samples, symbols, places
        self.builder = Builder(graphs[0].name)
        self.sizes: dict[str, Value] = {}
        # Of each graph: its values -> the value of the new one.
        self.known: list[dict[Value, Value]] = [{} for _ in graphs]
        for values, t in zip(zip(*(g.inputs for g in graphs), strict=True), inputs, strict=True):
            self._same(values, self.builder.input(values[0].name, t.shape, t.dtype))

    def graph(self) -> Graph:
        if len({len(g.nodes) for g in self.graphs}) > 1:
            counts = ", ".join(f"{len(g.nodes)} ops" for g in self.graphs)
            error = self._differs("it applies another number of ops", counts, Unlike)
            error.where = self._parting() or error.where
            raise error
        for nodes in zip(*(g.nodes for g in self.graphs), strict=True):
            self._node(nodes)
        if any(
            [n for n, _ in g.outputs] != [n for n, _ in self.graphs[0].outputs] for g in self.graphs
        ):
            raise self._differs("it gives other outputs", "other names")
        outputs = {}
        for named in zip(*(g.outputs for g in self.graphs), strict=True):
            outputs[named[0][0]] = self._value([v for _, v in named], named[0][0])
        return self.builder.finish(outputs)

    def _parting(self) -> str:
        """The line of the user's code from which on the graphs have other ops."""
        for nodes in zip(*(g.nodes for g in self.graphs), strict=False):
            if len({n.op for n in nodes}) > 1:
                return self.places.get(nodes[0], "")
        longest = max(self.graphs, key=lambda g: len(g.nodes))
        shortest = min(len(g.nodes) for g in self.graphs)
        return self.places.get(longest.nodes[shortest], "")

    def _same(self, values: Sequence[Value], made: Value) -> None:
        for known, v in zip(self.known, values, strict=True):
            known[v] = made

    def _node(self, nodes: Sequence[Node]) -> None:
        try:
            self._merged(nodes)
        except FanlightError as error:
            place = self.places.get(nodes[0], "")
            if place and ":" not in str(error.where or ""):
                error.where = f"{error.where}, {place}" if error.where else place
            raise

    def _merged(self, nodes: Sequence[Node]) -> None:
        node = nodes[0]
        if len({n.op for n in nodes}) > 1 or len({len(n.inputs) for n in nodes}) > 1:
            raise self._differs("it applies other ops", ", ".join(n.op for n in nodes), Unlike)
        inputs = [
            self._value(values, node.name)
            for values in zip(*(n.inputs for n in nodes), strict=True)
        ]
        if node.op == "strided_slice":
            made = self._slice(nodes, inputs[0])
        elif node.op == "fused":
            made = self._fused(nodes, inputs)
        elif node.op == "clip" and not _alike([(n.attrs["lo"], n.attrs["hi"]) for n in nodes]):
            made = self._clip(nodes, inputs[0])
        elif node.op == "pad" and not _alike([n.attrs["paddings"] for n in nodes]):
            made = self._pad(nodes, inputs[0])
        else:
            made = self.builder.add(node.op, *inputs, name=node.name, **self._attrs(nodes, inputs))
        outputs = made if isinstance(made, tuple) else (made,)
        for k, value in enumerate(outputs):
            values = [n.outputs[k] for n in nodes]
            for v, sizes in zip(values, self.samples, strict=True):
                if value.type.at(sizes) != v.type:
                    raise self._differs(
                        f"{node.op} gives {value.type} as a whole", f"{v.type} for {_told(sizes)}"
                    )
            self._same(values, value)

    def _value(self, values: Sequence[Value], where: str) -> Value:
        """The value that stands for these, one of each graph; constants become one here."""
        found = [known.get(v) for known, v in zip(self.known, values, strict=True)]
        if any(f is not None for f in found):
            if found[0] is None or any(f is not found[0] for f in found):
                raise self._differs(f"{where} takes something else", "other values", Unlike)
            return found[0]
        arrays = [g.weights[v] for g, v in zip(self.graphs, values, strict=True)]
        made = self._constant(arrays, where)
        self._same(values, made)
        return made

    # --- attributes -------------------------------------------------------------------------------

    def _attrs(self, nodes: Sequence[Node], inputs: Sequence[Value]) -> dict[str, Any]:
        attrs: dict[str, Any] = {}
        for key, value in nodes[0].attrs.items():
            values = [n.attrs.get(key) for n in nodes]
            if isinstance(value, Subgraph):
                attrs[key] = self._subgraph(values, nodes[0], inputs)
                continue
            attrs[key] = self._number(values)
            if attrs[key] is None and value is not None:
                raise self._differs(
                    f"{key} of {nodes[0].op} is no size, and not always the same",
                    ", ".join(map(str, values)),
                    Unlike,
                )
        return attrs

    def _number(self, values: Sequence[Any]) -> Any:
        """What is the same everywhere, or follows a size; None if neither."""
        if _alike(values):
            return values[0]
        if all(isinstance(v, tuple) for v in values) and len({len(v) for v in values}) == 1:
            parts = [self._number(p) for p in zip(*values, strict=True)]
            return None if any(p is None for p in parts) else tuple(parts)
        if all(type(v) is int for v in values):
            return self.symbols.get(tuple(values)) or self._multiple(values)
        return None

    def _multiple(self, values: Sequence[int]) -> Dim | None:
        """The multiple of a symbol that numbers are, of one that was merged with dims behind it."""
        for sizes, d in self.symbols.items():
            count, rest = divmod(values[0], sizes[0])
            if count > 1 and not rest and list(values) == [count * n for n in sizes]:
                return d.merged(count)
        return None

    def _subgraph(self, bodies: Sequence[Any], node: Node, inputs: Sequence[Value]) -> Subgraph:
        """Sub-graphs as one, whose inputs are symbolic as those of its node are."""
        graphs = [body.graph for body in bodies]
        types = []
        for values in zip(*(g.inputs for g in graphs), strict=True):
            shape = self._number([v.shape for v in values])
            if shape is None:
                raise self._differs(f"what a sub-graph of {node.op} takes is another", "shapes")
            types.append(TensorType(shape, values[0].dtype))
        merged = _Merge(graphs, types, self.samples, self.symbols, self.places).graph()
        return Subgraph(merged)

    def _fused(self, nodes: Sequence[Node], inputs: list[Value]) -> Value:
        """Numbers in a body that follow a size become inputs of it."""
        bodies = [sc.parse(n.attrs["body"]) for n in nodes]
        if any(b is not bodies[0] for b in bodies):
            bodies[0] = self._body(bodies, inputs, {})
        body = sc.to_text(bodies[0])
        made: Value = self.builder.add("fused", *inputs, name=nodes[0].name, body=body)
        return made

    def _body(
        self, exprs: Sequence[sc.Expr], inputs: list[Value], done: dict[Any, sc.Expr]
    ) -> sc.Expr:
        first = exprs[0]
        if all(e is first for e in exprs):
            return first
        key = tuple(map(id, exprs))
        if key not in done:
            if first.op == "const" and all(e.op == "const" for e in exprs):
                numbers = [np.asarray(e.value) for e in exprs]
                if {a.dtype.kind for a in numbers} <= {"i", "f"}:
                    numbers = [a.astype(np.float32) for a in numbers]
                made = self._computed(numbers)
                if made is None:
                    raise self._differs("a number in a formula", ", ".join(map(str, numbers)))
                inputs.append(made)
                done[key] = sc.arg(len(inputs) - 1)
            elif any(e.op != first.op or len(e.args) != len(first.args) for e in exprs):
                raise self._differs("a formula is another one", ", ".join(e.op for e in exprs))
            elif not first.args:
                raise self._differs("a formula takes something else", first.op)
            else:
                parts = zip(*(e.args for e in exprs), strict=True)
                done[key] = sc.make(first.op, *(self._body(p, inputs, done) for p in parts))
        return done[key]

    def _slice(self, nodes: Sequence[Node], x: Value) -> Value:
        """A slice of whole dims, or from the front; what counts from the end is gathered."""
        node, add = nodes[0], self.builder.add
        plain: dict[str, list[Any]] = {"begin": [], "end": [], "strides": []}
        picked: list[tuple[int, Value]] = []
        turned: list[int] = []
        for axis, d in enumerate(x.shape):
            ranges = [tuple(n.attrs[key][axis] for key in plain) for n in nodes]
            kept, index = self._along(d, ranges)
            for key, number in zip(plain, kept, strict=True):
                plain[key].append(number)
            if isinstance(index, Value):
                picked.append((axis, index))
            elif index:
                turned.append(axis)
        if turned:
            x = add("reverse", x, axes=tuple(turned), name=node.name)
        x = add("strided_slice", x, name=node.name, **{k: tuple(v) for k, v in plain.items()})
        for axis, index in picked:
            x = add("gather", x, index, axis=axis, name=node.name)
        return x

    def _along(
        self, d: int | Dim, ranges: Sequence[tuple[int, ...]]
    ) -> tuple[tuple[Any, Any, Any], Value | bool]:
        """What a slice takes along one dim: begin, end and step of a slice from the front; and the
        places that are gathered of that, or whether it is turned round.
        """
        begin, end, step = (self._number(part) for part in zip(*ranges, strict=True))
        if begin is not None and end is not None and not isinstance(begin, Dim):
            return (begin, end, step), False
        if isinstance(d, Dim) and isinstance(step, int):
            length = self._number([len(range(*r)) for r in ranges])
            back = {d.at(s) - r[0] for s, r in zip(self.samples, ranges, strict=True)}
            if len(back) == 1 and isinstance(length, int):
                return (0, d, 1), self._from_end(d, back.pop(), length, step)
            if back == {1} and length == d and step == -1:
                return (0, d, 1), True
        raise self._differs(
            "a slice is neither from the front nor from the end", ", ".join(map(str, ranges))
        )

    def _from_end(self, d: Dim, back: int, length: int, step: int) -> Value:
        """The places size - back + i step; E-OP-007 if the least size has not so many."""
        if d.min < back:
            least = -(-back // d.times)
            raise FanlightError(
                "E-OP-007",
                f"a slice takes what is not there for {d.name} = {d.min}.",
                where=self.graphs[0].name,
                expected=f"at least {back} elements along {d.name}",
                received=str(d),
                next=f'give it a least size: dims={{"{d.name}": ({least}, {d.symbol.max})}}.',
            )
        places = np.arange(length, dtype=np.int32) * step - back
        size = self._size(d.name)
        if d.times != 1:
            times = self.builder.weight(np.asarray(d.times, np.int32))
            size = self.builder.add("mul", size, times)
        made: Value = self.builder.add("add", size, self.builder.weight(places))
        return made

    def _clip(self, nodes: Sequence[Node], x: Value) -> Value:
        """Bounds that follow a size are values, and what is clipped is compared with them."""
        for op, key in (("minimum", "hi"), ("maximum", "lo")):
            kind = np.float32 if x.dtype == "float32" else np.int32
            bound = self._constant([np.asarray(n.attrs[key], kind) for n in nodes], "clip")
            x = self.builder.add(op, x, bound, name=nodes[0].name)
        return x

    def _pad(self, nodes: Sequence[Node], x: Value) -> Value:
        """A part of a known length that is put somewhere along a symbolic dim: it is gathered from
        there, and what lies outside of it is the value of the frame.
        """
        node, add = nodes[0], self.builder.add
        plain = list(node.attrs["paddings"])
        for axis in range(len(x.shape)):
            pairs = [n.attrs["paddings"][axis] for n in nodes]
            if _alike(pairs):
                continue
            size, plain[axis] = x.shape[axis], (0, 0)
            whole = self._number([n.outputs[0].shape[axis] for n in nodes])
            before = self._constant([np.asarray(p[0], np.int32) for p in pairs], "pad")
            if not isinstance(whole, Dim) or isinstance(size, Dim):
                raise self._differs("a frame follows a size", ", ".join(map(str, pairs)))
            places = np.arange(whole.max, dtype=np.int32)
            cut = add("slice", self.builder.weight(places), begin=(0,), size=(whole,))
            index = add("sub", cut, before)
            x = add("gather", x, add("clip", index, lo=0, hi=size - 1), axis=axis, name=node.name)
            inside = [add("greater_equal", index, self.builder.weight(np.asarray(0, np.int32)))]
            inside += [add("less", index, self.builder.weight(np.asarray(size, np.int32)))]
            there = add("logical_and", *inside)
            there = add("reshape", there, shape=(whole, *[1] * (len(x.shape) - axis - 1)))
            frame = np.asarray(node.attrs["value"], dtypes.to_numpy(x.dtype))
            x = add("select", there, x, self.builder.weight(frame), name=node.name)
        return add("pad", x, paddings=tuple(plain), value=node.attrs["value"], name=node.name)

    # --- constants --------------------------------------------------------------------------------

    def _constant(self, arrays: Sequence[np.ndarray], where: str) -> Value:
        first = arrays[0]
        if all(_equal(a, first) for a in arrays):
            return self.builder.weight(first)
        if all(a.shape == first.shape for a in arrays):
            made = self._computed(arrays)
            if made is not None:
                return made
        shape = self._number([a.shape for a in arrays])
        if shape is not None and all(_cut(a, first) for a in arrays):
            whole = self.builder.weight(first)
            cut: Value = self.builder.add("slice", whole, begin=(0,) * first.ndim, size=shape)
            return cut
        if shape is not None and all((a == a.flat[0]).all() for a in arrays):
            made = self._computed([a.reshape(-1)[0] for a in arrays])
            if made is not None:
                spread: Value = self.builder.add("broadcast_to", made, shape=shape)
                return spread
        made = None if shape is None else self._scaled(arrays, shape)
        if made is not None:
            return made
        small = first.size <= 4
        raise self._differs(
            f"a constant that {where} takes depends on a size in a way that is not known",
            "; ".join(str(a.tolist()) if small else f"{a.dtype}{list(a.shape)}" for a in arrays),
        )

    def _scaled(self, arrays: Sequence[np.ndarray], shape: tuple[int | Dim, ...]) -> Value | None:
        """A constant that is cut and then divided or multiplied by a size, or by one less; one of
        whole numbers is multiplied.
        """
        first, add = arrays[0], self.builder.add
        if first.dtype.kind != "f":
            return self._strides(arrays, shape)
        for name, more, op in product(self.samples[0], (0, -1), ("div", "mul")):
            sizes = [float(s[name] + more) for s in self.samples]
            if 0 in sizes:
                continue
            wide = [
                a.astype(np.float64) * (n if op == "div" else 1 / n)
                for a, n in zip(arrays, sizes, strict=True)
            ]
            if all(_cut(a, wide[0], 1e-6) for a in wide):
                whole = self.builder.weight(wide[0].astype(np.float32))
                cut = add("slice", whole, begin=(0,) * first.ndim, size=shape)
                size = self._product([name], real=True)
                if more:
                    size = add("add", size, self.builder.weight(np.asarray(more, np.float32)))
                made: Value = add(op, cut, size)
                return made
        return None

    def _strides(self, arrays: Sequence[np.ndarray], shape: tuple[int | Dim, ...]) -> Value | None:
        """Whole numbers that are cut and multiplied by a size: where rows of that length begin."""
        for name in self.samples[0] if arrays[0].dtype.kind == "i" else ():
            sizes = [s[name] for s in self.samples]
            if any((a % n).any() for a, n in zip(arrays, sizes, strict=True)):
                continue
            ones = [a // n for a, n in zip(arrays, sizes, strict=True)]
            if all(_cut(a, ones[0]) for a in ones):
                whole = self.builder.weight(ones[0].astype(np.int32))
                begin = (0,) * ones[0].ndim
                cut = self.builder.add("slice", whole, begin=begin, size=shape)
                made: Value = self.builder.add("mul", cut, self._product([name], real=False))
                return made
        return None

    def _computed(self, numbers: Sequence[Any]) -> Value | None:
        """Numbers that follow a size, or a product of sizes; None if they do not."""
        arrays = [np.asarray(n) for n in numbers]
        formula = size_formulas.find(self.samples, arrays)
        return None if formula is None else self._written(formula, arrays[0].dtype.kind == "f")

    def _product(self, names: Sequence[str], real: bool) -> Value:
        """The product of some actual sizes, float32 or int32."""
        add = self.builder.add
        sizes = [self._size(name) for name in names]
        if real:  # before: the product of two int32 may be too large
            sizes = [add("cast", n, dtype="float32") for n in sizes]
        total = sizes[0]
        for n in sizes[1:]:
            total = add("mul", total, n)
        return total

    def _written(self, formula: size_formulas.Formula, real: bool) -> Value:
        add, weight = self.builder.add, self.builder.weight
        kind = np.float32 if real else np.int32
        n = self._product(formula.names, real)
        n = add("sqrt", n) if formula.root else n
        parts = []
        if formula.slope.any():
            same = (formula.slope == 1).all() and not formula.slope.shape
            parts.append(n if same else add("mul", n, weight(formula.slope.astype(kind))))
        if formula.share.any():
            parts.append(add("div", weight(formula.share.astype(kind)), n))
        if formula.constant.any():
            parts.append(weight(formula.constant.astype(kind)))
        total = parts[0]
        for part in parts[1:]:
            total = add("add", total, part)
        return add("reciprocal", total) if formula.inverse else total

    def _size(self, name: str) -> Value:
        """The actual size of a symbol."""
        if name not in self.sizes:
            dims = [
                (d, v, axis)
                for v in dict.fromkeys(self.known[0].values())
                for axis, d in enumerate(v.shape)
                if isinstance(d, Dim) and d.name == name
            ]
            if not dims:
                how = f"a sub-graph needs {name}, and takes nothing of that size"
                raise self._differs(how, name)
            d, v, axis = min(dims, key=lambda found: found[0].times)
            size = self.builder.add("dim_size", v, axis=axis, name=name)
            if d.times != 1:
                times = self.builder.weight(np.asarray(d.times, np.int32))
                size = self.builder.add("floor_div", size, times)
            self.sizes[name] = size
        return self.sizes[name]

    def _differs(
        self, how: str, received: str, kind: type[FanlightError] = FanlightError
    ) -> FanlightError:
        return kind(
            "E-TENSOR-017",
            f"the function does other things for other sizes: {how}.",
            where=self.graphs[0].name,
            expected=f"the same for {'; '.join(map(_told, self.samples))}",
            received=received[:300],
            next="write what depends on a size with ops (fl.where, masks), or build it for a "
            "fixed size.",
        )


def _told(sizes: Sizes) -> str:
    return ", ".join(f"{n} = {s}" for n, s in sizes.items())


def _alike(values: Sequence[Any]) -> bool:
    """Whether attributes are the same everywhere."""
    return all(v == values[0] and type(v) is type(values[0]) for v in values)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _cut(a: np.ndarray, b: np.ndarray, close: float = 0.0) -> bool:
    """Whether what both have in common is the same, or as close, of each number."""
    box = tuple(slice(min(m, n)) for m, n in zip(a.shape, b.shape, strict=True))
    if close:
        return bool((np.abs(a[box] - b[box]) <= close * np.abs(b[box])).all())
    return _equal(a[box], b[box])

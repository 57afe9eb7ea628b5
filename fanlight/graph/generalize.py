"""One graph with symbolic dims out of graphs of the same function, each traced at known sizes.

Where the graphs differ, the size of a symbol must be why: a number that follows the size becomes
the symbol, a constant that is cut becomes one at the bound that is cut, and a number that is an
easy function of the size is computed from it. Anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import size_formulas
from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Node, Value
from fanlight.graph.subgraph import Subgraph
from fanlight.ops import scalar as sc
from fanlight.ops.types import Dim, TensorType

Sizes = Mapping[str, int]
OTHERS = 3  # how many sizes are tried besides the bound


def sample_sizes(symbols: Sequence[Dim]) -> list[dict[str, int]]:
    """Sizes to trace a function at: all bounds first, then others that tell the symbols apart.

    None is 1, for which functions have shortcuts; what holds for 1 is asked of the ops.
    """
    columns: dict[str, tuple[int, ...]] = {}
    for d in symbols:
        least = max(d.min, 2)
        inside = (d.max - 1, least + 1, (d.max + least) // 2, least)
        wanted = [n for n in inside if n >= least] + [d.max + k for k in range(1, OTHERS + 1)]
        ways = [n for n in dict.fromkeys(wanted) if n != d.max][:OTHERS]
        while (d.max, *ways) in columns.values():
            ways[-1] = max(*ways, d.max) + 1
        columns[d.name] = (d.max, *ways)
    return [{n: sizes[k] for n, sizes in columns.items()} for k in range(OTHERS + 1)]


def generalize(
    graphs: Sequence[Graph], inputs: Sequence[TensorType], samples: Sequence[Sizes]
) -> Graph:
    """The graph that is each of the given ones at its sizes.

    Args:
        graphs: of one function, traced at the sizes of `samples`, the first at all bounds.
        inputs: the types of the inputs, with symbols.

    Raises:
        FanlightError: E-TENSOR-017 they differ in more than sizes; E-OP-007 an op does not take
            what becomes symbolic.
    """
    symbols = {
        tuple(s[d.name] for s in samples): d for t in inputs for d in t.shape if isinstance(d, Dim)
    }
    return _Merge(graphs, inputs, samples, symbols).graph()


class _Merge:
    def __init__(
        self,
        graphs: Sequence[Graph],
        inputs: Sequence[TensorType],
        samples: Sequence[Sizes],
        symbols: Mapping[tuple[int, ...], Dim],
    ) -> None:
        self.graphs, self.samples, self.symbols = graphs, samples, symbols
        self.builder = Builder(graphs[0].name)
        self.sizes: dict[str, Value] = {}
        # Of each graph: its values -> the value of the new one.
        self.known: list[dict[Value, Value]] = [{} for _ in graphs]
        for values, t in zip(zip(*(g.inputs for g in graphs), strict=True), inputs, strict=True):
            self._same(values, self.builder.input(values[0].name, t.shape, t.dtype))

    def graph(self) -> Graph:
        if len({len(g.nodes) for g in self.graphs}) > 1:
            counts = ", ".join(f"{len(g.nodes)} ops" for g in self.graphs)
            raise self._differs("it applies another number of ops", counts)
        for nodes in zip(*(g.nodes for g in self.graphs), strict=True):
            self._node(nodes)
        outputs = {}
        for named in zip(*(g.outputs for g in self.graphs), strict=True):
            outputs[named[0][0]] = self._value([v for _, v in named], named[0][0])
        return self.builder.finish(outputs)

    def _same(self, values: Sequence[Value], made: Value) -> None:
        for known, v in zip(self.known, values, strict=True):
            known[v] = made

    def _node(self, nodes: Sequence[Node]) -> None:
        node = nodes[0]
        if len({n.op for n in nodes}) > 1 or len({len(n.inputs) for n in nodes}) > 1:
            raise self._differs("it applies other ops", ", ".join(n.op for n in nodes))
        inputs = [
            self._value(values, node.name)
            for values in zip(*(n.inputs for n in nodes), strict=True)
        ]
        if node.op == "strided_slice":
            made = self._slice(nodes, inputs[0])
        elif node.op == "fused":
            made = self._fused(nodes, inputs)
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
                raise self._differs(f"{where} takes something else", "other values")
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
                )
        return attrs

    def _number(self, values: Sequence[Any]) -> Any:
        """What is the same everywhere, or follows a size; None if neither."""
        if all(v == values[0] and type(v) is type(values[0]) for v in values):
            return values[0]
        if all(isinstance(v, tuple) for v in values) and len({len(v) for v in values}) == 1:
            parts = [self._number(p) for p in zip(*values, strict=True)]
            return None if any(p is None for p in parts) else tuple(parts)
        if all(type(v) is int for v in values):
            return self.symbols.get(tuple(values))
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
        return Subgraph(_Merge(graphs, types, self.samples, self.symbols).graph())

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
        plain = {
            key: list(node.attrs[key]) if node.attrs[key] else []
            for key in ("begin", "end", "strides")
        }
        picked: list[tuple[int, Value]] = []
        for axis in range(len(x.shape)):
            begins, ends = ([n.attrs[key][axis] for n in nodes] for key in ("begin", "end"))
            begin, end = self._number(begins), self._number(ends)
            step = self._number([n.attrs["strides"][axis] for n in nodes])
            plain["begin"][axis], plain["end"][axis] = begin, end
            d = x.shape[axis]
            if (begin is not None and end is not None and not isinstance(begin, Dim)) or not (
                isinstance(d, Dim) and isinstance(step, int)
            ):
                continue
            lengths = [len(range(*n, step)) for n in zip(begins, ends, strict=True)]
            back = {s[d.name] - b for s, b in zip(self.samples, begins, strict=True)}
            length = self._number(lengths)
            if len(back) > 1 or not (isinstance(length, int) or (length == d and step == -1)):
                continue
            plain["begin"][axis], plain["end"][axis], plain["strides"][axis] = 0, d, 1
            if length == d:
                x = add("reverse", x, axes=(axis,), name=node.name)
            else:
                picked.append((axis, self._from_end(d, back.pop(), length, step)))
        for key in ("begin", "end"):
            if any(b is None for b in plain[key]):
                raise self._differs(
                    f"{key} of a slice is neither at the front nor at the end",
                    ", ".join(str(n.attrs[key]) for n in nodes),
                )
        x = add("strided_slice", x, name=node.name, **{k: tuple(v) for k, v in plain.items()})
        for axis, index in picked:
            x = add("gather", x, index, axis=axis, name=node.name)
        return x

    def _from_end(self, d: Dim, back: int, length: int, step: int) -> Value:
        """The places size - back + i step; E-OP-007 if the least size has not so many."""
        if d.min < back:
            raise FanlightError(
                "E-OP-007",
                f"a slice takes what is not there for {d.name} = {d.min}.",
                where=self.graphs[0].name,
                expected=f"at least {back} elements along {d.name}",
                received=str(d),
                next=f'give it a least size: dims={{"{d.name}": ({back}, {d.max})}}.',
            )
        places = np.arange(length, dtype=np.int32) * step - back
        made: Value = self.builder.add("add", self._size(d.name), self.builder.weight(places))
        return made

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
        raise self._differs(
            f"a constant that {where} takes is no other one cut, and nothing that is computed of "
            "a size easily",
            ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays),
        )

    def _computed(self, numbers: Sequence[Any]) -> Value | None:
        """Numbers that follow a size, or a product of two; None if they do not."""
        arrays = [np.asarray(n) for n in numbers]
        names = list(self.samples[0])
        for chosen in [(n,) for n in names] + list(combinations(names, 2)):
            sizes = [int(np.prod([s[n] for n in chosen])) for s in self.samples]
            formula = size_formulas.find(sizes, arrays)
            if formula is not None:
                return self._written(chosen, formula, arrays[0].dtype)
        return None

    def _written(
        self, names: Sequence[str], formula: size_formulas.Formula, dtype: np.dtype
    ) -> Value:
        add, weight = self.builder.add, self.builder.weight
        n = self._size(names[0])
        for name in names[1:]:
            n = add("mul", n, self._size(name))
        n = add("cast", n, dtype="float32") if dtype.kind == "f" else n
        kind = np.float32 if dtype.kind == "f" else np.int32
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
            for v in dict.fromkeys(self.known[0].values()):
                names = [d.name if isinstance(d, Dim) else "" for d in v.shape]
                if name in names:
                    axis = names.index(name)
                    self.sizes[name] = self.builder.add("dim_size", v, axis=axis, name=name)
                    return self.sizes[name]
            raise self._differs(f"a sub-graph needs {name}, and takes nothing of that size", name)
        return self.sizes[name]

    def _differs(self, how: str, received: str) -> FanlightError:
        return FanlightError(
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


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _cut(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether what both have in common is the same."""
    box = tuple(slice(min(m, n)) for m, n in zip(a.shape, b.shape, strict=True))
    return _equal(a[box], b[box])

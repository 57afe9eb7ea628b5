"""One graph with symbolic dims out of graphs of the same function, each traced at known sizes.

Where the graphs differ, the size of a symbol must be why: a number that follows the size becomes
the symbol, a constant that is cut becomes a constant at the bound that is cut, and a scalar that is
an easy function of the size is computed from it. Anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph.builder import Builder
from fanlight.graph.core import Graph, Node, Value
from fanlight.graph.subgraph import Subgraph
from fanlight.ops.types import Dim, TensorType

Sizes = Mapping[str, int]


def generalize(
    graphs: Sequence[Graph], inputs: Sequence[TensorType], samples: Sequence[Sizes]
) -> Graph:
    """The graph that is each of the given ones at its sizes.

    Args:
        graphs: of one function, traced at the sizes of `samples`, the first at all bounds.
        inputs: the types of the inputs, with symbols.

    Raises:
        FanlightError: E-TENSOR-015 they differ in more than sizes; E-OP-007 an op does not take
            what becomes symbolic.
    """
    return _Merge(graphs, inputs, samples).graph()


def sample_sizes(symbols: Sequence[Dim]) -> list[dict[str, int]]:
    """Sizes to trace a function at: all bounds first, then others that tell the symbols apart.

    None is 1, for which functions have shortcuts; what holds for 1 is asked of the ops.
    """
    samples = [{d.name: d.max for d in symbols}]
    taken: set[tuple[int, ...]] = set()
    for d in symbols:
        least = max(d.min, 2)
        wanted = [d.max - 1, least + 1, (d.max + least) // 2, least, *range(d.max + 1, d.max + 99)]
        ways: list[int] = []
        for n in wanted:
            if n >= least and n != d.max and n not in ways and len(ways) < 3:
                ways.append(n)
        # No two symbols may have the same sizes in all samples.
        while (d.max, *ways) in taken:
            ways[-1] = max(ways[-1], d.max) + 1
        taken.add((d.max, *ways))
        for sample, n in zip(_more(samples, 3), ways, strict=True):
            sample[d.name] = n
    return samples


def _more(samples: list[dict[str, int]], count: int) -> list[dict[str, int]]:
    while len(samples) < count + 1:
        samples.append({})
    return samples[1:]


class _Merge:
    def __init__(
        self, graphs: Sequence[Graph], inputs: Sequence[TensorType], samples: Sequence[Sizes]
    ) -> None:
        self.graphs, self.samples = graphs, samples
        self.symbols = {
            tuple(s[d.name] for s in samples): d
            for t in inputs
            for d in t.shape
            if isinstance(d, Dim)
        }
        self.builder = Builder(graphs[0].name)
        self.sizes: dict[str, Value] = {}
        # Of each graph: its values -> the value of the new one.
        self.known: list[dict[Value, Value]] = [{} for _ in graphs]
        for values, t in zip(zip(*(g.inputs for g in graphs), strict=True), inputs, strict=True):
            self._same(values, self.builder.input(values[0].name, t.shape, t.dtype))

    def graph(self) -> Graph:
        first = self.graphs[0]
        if len({len(g.nodes) for g in self.graphs}) > 1:
            counts = ", ".join(f"{len(g.nodes)} ops" for g in self.graphs)
            raise self._differs("it applies another number of ops", counts)
        for nodes in zip(*(g.nodes for g in self.graphs), strict=True):
            self._node(nodes)
        outputs = {}
        for named in zip(*(g.outputs for g in self.graphs), strict=True):
            outputs[named[0][0]] = self._value([v for _, v in named], first.name)
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
        attrs = {
            key: self._attribute(node, key, [n.attrs.get(key) for n in nodes]) for key in node.attrs
        }
        made = self.builder.add(node.op, *inputs, name=node.name, **attrs)
        outputs = made if isinstance(made, tuple) else (made,)
        for values, value in zip(
            zip(*(n.outputs for n in nodes), strict=True), outputs, strict=True
        ):
            for v, sizes in zip(values, self.samples, strict=True):
                if value.type.at(sizes) != v.type:
                    raise self._differs(
                        f"{node.op} gives {value.type} as a whole", f"{v.type} for {_told(sizes)}"
                    )
            self._same(values, value)

    def _value(self, values: Sequence[Value], where: str) -> Value:
        """The value that stands for these, one of each graph; constants become one here."""
        found = [known.get(v) for known, v in zip(self.known, values, strict=True)]
        if found[0] is not None or any(f is not None for f in found):
            if any(f is not found[0] for f in found):
                raise self._differs(f"{where} takes something else", "other values")
            assert found[0] is not None
            return found[0]
        arrays = [g.weights[v] for g, v in zip(self.graphs, values, strict=True)]
        made = self._constant(arrays, where)
        self._same(values, made)
        return made

    # --- attributes -------------------------------------------------------------------------------

    def _attribute(self, node: Node, key: str, values: Sequence[Any]) -> Any:
        made = self._number(values)
        if made is None and values[0] is not None:
            if isinstance(values[0], Subgraph):
                raise FanlightError(
                    "E-OP-007",
                    f"{node.op} cannot take symbolic dims: a sub-graph has fixed sizes.",
                    where=node.name,
                    expected="sub-graphs that are the same for all sizes",
                    received=f"{key} is another one for {_told(self.samples[1])}",
                    next="apply it to something of a fixed size.",
                )
            raise self._differs(
                f"{key} of {node.op} is no size, and not always the same",
                ", ".join(map(str, values)),
            )
        return made

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

    # --- constants --------------------------------------------------------------------------------

    def _constant(self, arrays: Sequence[np.ndarray], where: str) -> Value:
        first = arrays[0]
        if all(_equal(a, first) for a in arrays):
            return self.builder.weight(first)
        if all(a.size == 1 and a.shape == first.shape for a in arrays):
            return self._scalar([a.reshape(-1)[0] for a in arrays], first, where)
        shape = self._number([a.shape for a in arrays])
        if shape is not None and all(_cut(a, first) for a in arrays):
            whole = self.builder.weight(first)
            made: Value = self.builder.add("slice", whole, begin=(0,) * first.ndim, size=shape)
            return made
        raise self._differs(
            f"a constant that {where} takes is no other one that was cut",
            ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays),
        )

    def _scalar(self, numbers: Sequence[Any], like: np.ndarray, where: str) -> Value:
        """a n + b, or 1 / (a n + b), for n a size or a product of two."""
        names = list(self.samples[0])
        products = [(n,) for n in names] + list(combinations(names, 2))
        whole = like.dtype.kind != "f"
        for chosen in products:
            sizes = [float(np.prod([s[n] for n in chosen])) for s in self.samples]
            for inverse in (False, True):
                wanted = [float(c) for c in numbers]
                if inverse and (whole or 0 in wanted):
                    continue
                line = _line(sizes, [1 / c for c in wanted] if inverse else wanted)
                if line is not None:
                    return self._computed(chosen, line, inverse, like)
        raise self._differs(
            f"a number that {where} takes is none that a size gives easily",
            ", ".join(map(str, numbers)),
        )

    def _computed(
        self, names: Sequence[str], line: tuple[float, float], inverse: bool, like: np.ndarray
    ) -> Value:
        add, dtype = self.builder.add, "int32" if like.dtype.kind != "f" else "float32"
        n = self._size(names[0])
        for name in names[1:]:
            n = add("mul", n, self._size(name))
        if dtype == "float32":
            n = add("cast", n, dtype=dtype)
        for op, number, nothing in (("mul", line[0], 1), ("add", line[1], 0)):
            if number != nothing:
                n = add(op, n, self.builder.weight(np.asarray(number, dtype)))
        n = add("reciprocal", n) if inverse else n
        return n if like.ndim == 0 else add("reshape", n, shape=like.shape)

    def _size(self, name: str) -> Value:
        """The actual size of a symbol."""
        if name not in self.sizes:
            x, axis = next(
                (v, axis)
                for v in dict.fromkeys(self.known[0].values())
                for axis, d in enumerate(v.shape)
                if isinstance(d, Dim) and d.name == name
            )
            self.sizes[name] = self.builder.add("dim_size", x, axis=axis, name=name)
        return self.sizes[name]

    def _differs(self, how: str, received: str) -> FanlightError:
        return FanlightError(
            "E-TENSOR-015",
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


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float] | None:
    """(a, b) with y = a x + b up to float32 rounding, whole if they are nearly so; or None."""
    low, high = int(np.argmin(xs)), int(np.argmax(xs))
    if xs[low] == xs[high]:
        return None
    a = (ys[high] - ys[low]) / (xs[high] - xs[low])
    b = ys[high] - a * xs[high]
    scale = max(map(abs, ys))
    a = float(round(a)) if round(a) and abs(a - round(a)) < 1e-5 * abs(a) else a
    b = float(round(b)) if abs(b - round(b)) < 1e-5 * scale else b
    fits = all(abs(a * x + b - y) <= 1e-6 * max(scale, 1e-30) for x, y in zip(xs, ys, strict=True))
    return (a, b) if fits else None

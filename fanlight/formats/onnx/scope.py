"""Names and what they stand for, in a graph and the graphs inside it; nodes one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.counts import Bounded, Count, Sizes
from fanlight.formats.emitter import Emitter, Tensor, dtype_of
from fanlight.formats.onnx import bounded, kinds
from fanlight.formats.onnx.call import HANDLERS, Call, Given
from fanlight.formats.onnx.protos import Function, Graph, Node, Reference, SparseTensor
from fanlight.formats.onnx.tensors import Tensors
from fanlight.graph import Builder, Subgraph, Value
from fanlight.ops.types import TensorType

MAX_DEPTH = 24
# By op and overload.
Functions = Mapping[tuple[str, str], Function]
# Loops that are unrolled, and functions that are written out, may not make much of little.
MAX_STEPS = 300_000


class Shared:
    """What all scopes of one import have in common."""

    def __init__(
        self,
        path: str,
        tensors: Tensors,
        opsets: Mapping[str, int],
        functions: Functions,
        warnings: list[str],
    ) -> None:
        self.path = path
        self.tensors = tensors
        self.opsets = opsets
        self.functions = functions
        self.warnings = warnings
        self.steps = 0


class WeightEmitter(Emitter):
    """An emitter whose weights are finite, which builds ask for."""

    def __init__(self, builder: Builder, tensors: Tensors, sketch: bool = False) -> None:
        super().__init__(builder, sketch)
        self.tensors = tensors
        self.forget = tensors.forget
        self._finite: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def value(self, tensor: Tensor, name: str | None = None) -> Value:
        """Infinities, as masks of attention have them, become the greatest float32."""
        if isinstance(tensor, np.ndarray) and tensor.dtype == np.float32 and not self.sketch:
            found = self._finite.get(id(tensor))
            if found is None:
                infinite = np.isinf(tensor).any() if tensor.size else False
                most = float(np.finfo(np.float32).max)
                made = np.clip(tensor, -most, most) if infinite else tensor
                found = self._finite[id(tensor)] = (tensor, np.asarray(made))
                if infinite:
                    self.tensors.warn(
                        f"{name or 'a constant'}: infinities became the greatest float32."
                    )
                self.tensors.forget(tensor)
            tensor = found[1]
        return super().value(tensor, name)

    def exact(self, tensor: Tensor, name: str) -> Value:
        """A tensor as it is, also if it is known and infinite."""
        return super().value(tensor, name)


class BodyEmitter(Emitter):
    """Builds a branch or a body: it has no weights, so that known arrays become inputs."""

    def __init__(self, builder: Builder, outer: Emitter) -> None:
        super().__init__(builder, outer.sketch, outer.budget)
        self.taken: dict[int, tuple[Tensor, Value]] = {}
        self.own: set[Value] = set()

    def value(self, tensor: Tensor, name: str | None = None) -> Value:
        if isinstance(tensor, Value):
            return tensor
        return self.take(tensor)

    def take(self, outer: Tensor) -> Value:
        """The value inside of a tensor of outside."""
        found = self.taken.get(id(outer))
        if found is None:
            type = TensorType(tuple(outer.shape), dtype_of(outer))
            inner = self.builder.input("c", type.shape, type.dtype)
            found = self.taken[id(outer)] = (outer, inner)
        return found[1]


class Scope:
    """The names of one graph. `outer` is that of the graph around it, if there is one."""

    def __init__(self, shared: Shared, em: Emitter, outer: Scope | None = None) -> None:
        self.shared = shared
        self.em = em
        self.outer = outer
        self.depth: int = outer.depth + 1 if outer else 0
        self.names: dict[str, Given] = {"": None}
        self.kinds: dict[str, int] = {}
        self.bound: Mapping[str, Any] = outer.bound if outer else {}
        self.opsets: Mapping[str, int] = outer.opsets if outer else shared.opsets
        if self.depth > MAX_DEPTH:
            raise FanlightError(
                "E-FORMAT-004",
                "graphs inside graphs, or functions in functions, lie too deep.",
                where=shared.path,
                expected=f"at most {MAX_DEPTH}",
                received="more",
            )

    @property
    def tensors(self) -> Tensors:
        return self.shared.tensors

    def bind(self, name: str, given: Given, kind: int = 0) -> None:
        self.names[name] = given
        self.kinds[name] = kind

    def get(self, name: str, where: str) -> tuple[Given, int]:
        """What a name stands for, and its element type; E-FORMAT-016."""
        if name in self.names:
            return self.names[name], self.kinds.get(name, 0)
        if self.outer is None:
            raise FanlightError(
                "E-FORMAT-016",
                "a node takes a tensor that no node before it makes.",
                where=where,
                expected="nodes in the order in which they can be computed",
                received=name[:120],
            )
        found, kind = self.outer.get(name, where)
        if self.em is not self.outer.em:
            found = self._taken(found)
        self.bind(name, found, kind)
        return found, kind

    def _taken(self, found: Given) -> Given:
        if isinstance(found, list):
            return [self._taken(x) for x in found]
        if isinstance(found, Bounded):
            count = self._counted(found.count)
            return replace(found, tensor=self._taken(found.tensor), count=count)
        if isinstance(found, Sizes):
            made = np.empty(found.counts.size, object)
            made[:] = [self._counted(c) for c in found.counts.reshape(-1)]
            return Sizes(made.reshape(found.counts.shape))
        if isinstance(found, Value) and isinstance(self.em, BodyEmitter):
            return self.em.take(found)
        return found

    def _counted(self, count: Count) -> Count:
        return replace(count, terms=tuple((self._taken(v), f, m) for v, f, m in count.terms))

    # --- running ----------------------------------------------------------------------------------

    def initialize(self, graph: Graph, wanted: set[str] | None = None) -> None:
        for name, message in graph.initializers.items():
            if wanted is None or name in wanted:
                array, kind = self.tensors.array(message, name)
                few = isinstance(message, SparseTensor)
                self.bind(name, self.em.named(array, name or "weight", made=few), kind)

    def run(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.node(node)

    def step(self, where: str) -> None:
        """Count a node, or a turn of a loop, that is written out; E-FORMAT-004 beyond the limit."""
        self.shared.steps += 1
        if self.shared.steps > max(MAX_STEPS, 4 * self.shared.tensors.nodes):
            raise FanlightError(
                "E-FORMAT-004",
                "the model has too many nodes when its loops and functions are written out.",
                where=where,
                expected=f"at most {MAX_STEPS:,} nodes and turns",
                received="more",
            )

    def node(self, node: Node) -> None:
        self.step(node.where)
        attributes = {
            k: self.bound.get(v.name) if isinstance(v, Reference) else v
            for k, v in node.attributes().items()
        }
        given = [self.get(name, node.where) for name in node.inputs]
        function = self.shared.functions.get((node.op, node.overload))
        if node.op not in HANDLERS and function is not None:
            made, made_kinds = self._function(function, node, given, attributes)
        else:
            made, made_kinds = self._handled(node, given, attributes)
        for index, (name, value) in enumerate(zip(node.outputs, made, strict=False)):
            if name:
                self.bind(name, value, made_kinds.get(index, 0))
            if self.depth == 0:
                self.em.result(name, value)
                self.em.result(node.name if index == 0 else "", value)
        missing = [n for n in node.outputs[len(made) :] if n]
        if missing:
            raise FanlightError(
                "E-FORMAT-012",
                f"{node.op}: an output is not computed.",
                where=node.where,
                expected=f"{len(made)} outputs",
                received=", ".join(missing)[:200],
            )

    def _handled(
        self, node: Node, given: Sequence[tuple[Given, int]], attributes: Mapping[str, Any]
    ) -> tuple[Sequence[Given], dict[int, int]]:
        call = Call(
            node,
            self.em,
            [x for x, _ in given],
            self.shared.warnings,
            attributes,
            [k for _, k in given],
            self.opsets.get(node.domain, 1),
            self,
        )
        handler = HANDLERS.get(node.op)
        if handler is None:
            raise FanlightError(
                "E-FORMAT-013",
                "the model has an op that Fanlight does not have.",
                where=node.where,
                expected="the ops that docs/onnx.md lists",
                received=node.op[:80],
                next="export the part of the model before it, or ask for it in an issue.",
            )
        try:
            concerned = bounded.concerns(call.inputs)
            result = bounded.handle(call, handler) if concerned else handler(call)
        except FanlightError as error:
            if error.code.startswith(("E-OP-", "E-TENSOR-")):
                error.where = f"{call.where}: {error.where}"
            raise
        made = list(result) if isinstance(result, tuple) else [result]
        found = {i: call.made_kinds.get(i) or self._kind(call, x) for i, x in enumerate(made)}
        return made, found

    def _kind(self, call: Call, made: Given) -> int:
        """Element types pass from the first input to the result if the dtype stays."""
        if isinstance(made, Sizes):
            return kinds.INT64
        made = made.tensor if isinstance(made, Bounded) else made
        if not isinstance(made, Value | np.ndarray):
            return 0
        dtype = dtype_of(made)
        for index, x in enumerate(call.inputs):
            x = x.tensor if isinstance(x, Bounded) else x
            if isinstance(x, Value | np.ndarray) and dtype_of(x) == dtype and call.kinds[index]:
                return call.kinds[index]
        return kinds.OF_DTYPE[dtype]

    def _function(
        self,
        function: Function,
        node: Node,
        given: Sequence[tuple[Given, int]],
        attributes: Mapping[str, Any],
    ) -> tuple[Sequence[Given], dict[int, int]]:
        """A function of the model, written out."""
        inner = Scope(self.shared, self.em)
        inner.depth = self.depth + 1
        if inner.depth > MAX_DEPTH:
            raise FanlightError(
                "E-FORMAT-004",
                "functions of the model call each other too deep.",
                where=node.where,
                expected=f"at most {MAX_DEPTH}",
                received="more",
            )
        inner.opsets = function.opsets or self.opsets
        inner.bound = {**function.defaults, **attributes}
        for index, name in enumerate(function.inputs):
            inner.bind(name, *(given[index] if index < len(given) else (None, 0)))
        inner.run(function.nodes)
        found = [inner.get(name, node.where) for name in function.outputs]
        return [x for x, _ in found], {i: k for i, (_, k) in enumerate(found)}

    # --- graphs inside ----------------------------------------------------------------------------

    def inlined(self, graph: Graph, given: Sequence[tuple[Given, int]]) -> list[tuple[Given, int]]:
        """The results of a graph inside, its nodes written into this one."""
        self.step(graph.path)
        inner = Scope(self.shared, self.em, self)
        return inner.results(graph, given)

    def results(self, graph: Graph, given: Sequence[tuple[Given, int]]) -> list[tuple[Given, int]]:
        for declared, (value, kind) in zip(graph.inputs, given, strict=False):
            self.bind(declared.name, value, kind or declared.kind)
        self.initialize(graph)
        self.run(graph.nodes)
        return [self.get(o.name, f"outputs of {self.shared.path}") for o in graph.outputs]

    def body(
        self,
        graph: Graph,
        types: Sequence[tuple[TensorType, int]],
        name: str,
        after: Callable[[Scope, list[Value], list[tuple[Given, int]]], Sequence[Tensor]]
        | None = None,
        fixed: Mapping[int, tuple[Given, int]] | None = None,
    ) -> Body:
        """A graph inside as a sub-graph that takes tensors of these types.

        Args:
            fixed: inputs of the graph that the sub-graph does not have, and what they are.
            after: makes the outputs of the sub-graph; takes its scope, its inputs, the results.
        """
        em = BodyEmitter(Builder(name), self.em)
        inner = Scope(self.shared, em, self)
        inputs = [em.builder.input("x", t.shape, t.dtype) for t, _ in types]
        given: list[tuple[Given, int]] = [
            (v, kind) for v, (_, kind) in zip(inputs, types, strict=True)
        ]
        for index, value in sorted((fixed or {}).items()):
            given.insert(index, value)
        found = inner.results(graph, given)
        tensors = after(inner, inputs, found) if after else [x for x, _ in found]
        for x in tensors:
            if isinstance(x, Bounded | Sizes):
                raise FanlightError(
                    "E-FORMAT-019",
                    "a branch or a body gives as many elements as the numbers want.",
                    where=f"{name} of {self.shared.path}",
                    expected="results of a size that is known at import",
                    received="a result of NonZero, Compress, Unique, or what is made of it",
                    next="end the model before it, or export it with padded results.",
                )
            if not isinstance(x, Value | np.ndarray):
                raise FanlightError(
                    "E-FORMAT-012",
                    "a branch or a body gives a sequence.",
                    where=f"{name} of {self.shared.path}",
                    expected="tensors",
                    received="a sequence, or nothing",
                )
        return Body(em, inputs, [em.value(x) for x in tensors], [k for _, k in found])

    def empty_body(self, types: Sequence[TensorType], name: str) -> Body:
        """A sub-graph that is still to be written."""
        em = BodyEmitter(Builder(name), self.em)
        return Body(em, [em.builder.input("x", t.shape, t.dtype) for t in types], [], [])


class Body:
    """A branch or a body whose inputs from outside are still to be agreed on."""

    def __init__(
        self, em: BodyEmitter, inputs: list[Value], outputs: list[Value], kinds_: list[int]
    ) -> None:
        self.em = em
        self.inputs = inputs
        self.outputs = outputs
        self.kinds = kinds_

    def finish(self, outside: Sequence[Tensor]) -> Subgraph:
        """The sub-graph; it takes these tensors of outside after its own inputs."""
        taken = [self.em.take(x) for x in outside]
        # A graph cannot give the same value twice, nor one of its inputs under another name.
        graph = self.em.builder.finish({f"r{i}": v for i, v in enumerate(self.outputs)})
        return Subgraph(replace(graph, inputs=(*self.inputs, *taken)))


def taken_by(*bodies: Body) -> list[Tensor]:
    """The tensors of outside that bodies take, each once."""
    found = {key: x for body in bodies for key, (x, _) in body.em.taken.items()}
    return list(found.values())

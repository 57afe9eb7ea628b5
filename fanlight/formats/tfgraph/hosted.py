"""What of a graph-model depends on texts that it is given: cut off, and done in Python.

Nodes are sorted while they are imported. What takes or gives strings, or numbers of which texts
decide how many there are, is worked out in front, by the importers themselves, which compute what
they know. Numbers of a fixed size that such nodes give are inputs of the graph. Which sizes are
fixed is seen from a few examples, and checked again at every call. Strings that numbers of the
graph give (a label by its number) are worked out behind it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fanlight.dtypes import STRING
from fanlight.errors import FanlightError
from fanlight.formats.emitter import check_size, dtype_of
from fanlight.formats.names import output_names
from fanlight.formats.textpart import Arrays, TextPart, readable
from fanlight.formats.tfgraph.nodes import GraphNode, Ref
from fanlight.formats.tfgraph.text import CHOICES, MOVES, TAKE_TEXT, OnHost, Table, Text, too_long
from fanlight.graph import Graph, Value
from fanlight.ops.types import TensorType

# What nodes are tried with; one that is no number, code or name to them is left out.
_EXAMPLES = (
    b"the quick, brown fox (no. 7) jumps over the lazy dog!",
    b"",
    b"a",
    b"1",
    b"aGVsbG8",
    b"one two three four five six seven eight nine ten eleven twelve, and 13 more words\n" * 3,
)
_SMALL = 1 << 12  # elements: constants of more are weights, which belong into the graph
_MOST_TEXTS = 1 << 16  # of an input
_MOST_NODES = 1 << 11  # that may be worked out in front for one more
_OF_FUNCTIONS = CHOICES | {"While", "StatelessWhile"}
# Where to find what a matrix of texts' numbers is filled up with.
_FILLS = {"RaggedTensorToTensor": 2, "SparseToDense": 3}


@dataclass(frozen=True)
class Hosted:
    """A result that Python works out.

    Attributes:
        kind: "text"; "open": numbers of which texts decide how many; "fixed": numbers of a known
            shape; "behind": what comes of the graph's numbers.
        shape: None for what texts decide.
    """

    ref: Ref
    kind: str
    shape: tuple[int | None, ...] = ()
    dtype: str = STRING


Results = dict[str, list[Any]]


class Host:
    """The nodes of one import that Python works out.

    Args:
        run: the import; see reader.py.
        order: its nodes, each behind those that feed it.
    """

    def __init__(self, run: Any, order: Sequence[GraphNode]) -> None:
        self.run = run
        self.nodes = {node.name: node for node in order}
        self._place = {node.name: i for i, node in enumerate(order)}
        self._users: dict[str, list[GraphNode]] = {}
        for node in order:
            for ref in node.inputs:
                self._users.setdefault(ref.node, []).append(node)
        self._examples: list[Results] = [{} for _ in _EXAMPLES]
        self._given: dict[str, TensorType] = {}  # node of an input -> its type
        self._names: dict[str, str] = {}  # node of an input -> name of the input
        self._front: set[str] = set()
        self._behind: set[str] = set()
        self._made: dict[Ref, Value] = {}
        self._used: set[str] = set()
        clean = {re.sub(r"[^\w./-]", "_", name): name for name in self.nodes}
        shapes = run.options.input_shapes
        self._sized = {
            clean.get(n, n): s for n, s in shapes.items() if n in clean or n in self.nodes
        }

    # --- inputs -----------------------------------------------------------------------------------

    def sizes(self, inputs: Iterable[str]) -> dict[str, Sequence[int]]:
        """The shapes that are said of inputs, not of nodes between them and the graph."""
        shapes, own = self.run.options.input_shapes, set(inputs)
        inner = {re.sub(r"[^\w./-]", "_", n) for n in self._sized} | set(self._sized)
        self._sized = {n: s for n, s in self._sized.items() if n not in own}
        return {n: s for n, s in shapes.items() if n in own or n not in inner}

    def text_input(self, node: GraphNode, name: str, shape: tuple[int, ...]) -> Hosted:
        """The result of an input of strings."""
        count = math.prod(shape)
        if count > _MOST_TEXTS:
            raise too_long(node.where)
        self.number_input(node, name, TensorType(shape, STRING))
        for example, text in zip(self._examples, _EXAMPLES, strict=True):
            array = np.empty(count, object)
            array[:] = [text] * count
            example[node.name] = [Text(array.reshape(shape))]
        self._used.add(node.name)
        return Hosted(Ref(node.name), "text", shape)

    def number_input(self, node: GraphNode, name: str, type: TensorType) -> None:
        """Note an input: what is worked out in front may need its numbers, too."""
        self._given[node.name], self._names[node.name] = type, name

    # --- nodes ------------------------------------------------------------------------------------

    def node(self, node: GraphNode, inputs: Sequence[Any]) -> list[Any]:
        """The results of a node that has hosted ones among its inputs.

        Raises:
            FanlightError: E-FORMAT-017 texts decide how much the graph computes with.
        """
        kinds = {x.kind for x in inputs if isinstance(x, Hosted)}
        if "behind" in kinds:
            return self._after(node)
        if kinds == {"fixed"}:
            try:
                plain = [self.value(x) if isinstance(x, Hosted) else x for x in inputs]
                made: list[Any] = self.run.call(node, plain, self.run.em)
                return made
            except OnHost:
                pass
            except FanlightError as error:
                if error.code != "E-FORMAT-019" or not self._light(node):
                    raise
        elif "text" not in kinds and not self._light(node):
            raise self._open(next(x for x in inputs if isinstance(x, Hosted) and x.kind == "open"))
        return self.on_host(node)

    def value(self, x: Hosted) -> Value:
        """Numbers of a fixed shape as an input of the graph.

        Raises:
            FanlightError: E-FORMAT-017 their size is open.
        """
        if x.kind != "fixed":
            raise self._open(x)
        if x.ref not in self._made:
            name = x.ref.node if not x.ref.index else f"{x.ref.node}/{x.ref.index}"
            shape = tuple(d or 0 for d in x.shape)
            self._made[x.ref] = self.run.builder.input(name, shape, x.dtype)
        return self._made[x.ref]

    def _open(self, x: Hosted) -> FanlightError:
        shape = tuple(64 if d is None else d for d in x.shape)
        return FanlightError(
            "E-FORMAT-017",
            f"the texts decide the size of what is made of them, {x.ref.node[-120:]!r}.",
            where=self.nodes[x.ref.node].where,
            expected="a size for every free dim",
            received="[" + ", ".join("?" if d is None else str(d) for d in x.shape) + "]",
            next="say how much of a text is taken: fl.load(path, input_shapes="
            f"{{{x.ref.node!r}: {shape}}}). Shorter texts are filled up, longer ones cut.",
        )

    def on_host(self, node: GraphNode) -> list[Any]:
        """Work a node out in front, with what it needs.

        Behind the graph, if that needs weights, or if what is made of it only says something.
        """
        wanted = self._missing(node)
        of_texts = any(ref.node in self._examples[0] for ref in node.inputs)
        if wanted is None or (wanted and not of_texts and self._only_says(node)):
            return self._after(node)
        for name in wanted:
            self._work(self.nodes[name])
        return self._work(node)

    def _only_says(self, node: GraphNode) -> bool:
        """Whether nothing but strings, and what moves them, comes of a node."""
        found = {node.name}
        waiting = [node]
        while waiting:
            for user in self._users.get(waiting.pop().name, ()):
                for ref in user.inputs:
                    source = self.nodes[ref.node]
                    if source.op == "Const" and source.name not in self.run.results:
                        self.run.results[source.name] = [self.run.constant(source)]
                if (user.op not in TAKE_TEXT and user.op not in MOVES) or not self._light(user):
                    return False
                if user.name not in found:
                    found.add(user.name)
                    waiting.append(user)
        return True

    def _missing(self, node: GraphNode) -> list[str] | None:
        """What must be worked out before a node, in order; None if it needs weights."""
        found: set[str] = set()
        waiting = [ref.node for ref in node.inputs]
        while waiting:
            name = waiting.pop()
            if name in found or name in self._examples[0] or self._known(name):
                continue
            if name in self._given:
                self._number_example(name)
                continue
            inner = self.nodes[name]
            if name in self._behind or not self._light(inner) or len(found) >= _MOST_NODES:
                return None
            found.add(name)
            waiting += [ref.node for ref in inner.inputs]
        return sorted(found, key=self._place.__getitem__)

    def _known(self, name: str) -> bool:
        results = self.run.results.get(name)
        kinds = (np.ndarray, Text, Table)
        return results is not None and all(isinstance(x, kinds) for x in results)

    def _light(self, node: GraphNode) -> bool:
        """Whether a node needs no weights: then it may be worked out in front."""
        if node.op in _OF_FUNCTIONS:
            return False
        for ref in node.inputs:
            for x in self.run.results.get(ref.node, ()):
                if isinstance(x, np.ndarray) and x.size > _SMALL:
                    return False
        return True

    def _number_example(self, name: str) -> None:
        type = self._given[name]
        check_size(type, self._names[name], 1 << 26)
        for index, example in enumerate(self._examples):
            array = np.full(type.bound, index % 2, type.dtype)
            example[name] = [array]
        self._used.add(name)

    def _work(self, node: GraphNode) -> list[Any]:
        """A node's results of all examples; which of them are fixed."""
        left, problem = [], None
        for example in self._examples:
            try:
                example[node.name] = self._results(self.run.fresh(True), node, example)
                left.append(example)
            except FanlightError as error:
                problem = problem or error
        if not left and problem is not None:
            raise problem
        self._examples = left
        self._front.add(node.name)
        made = [e[node.name] for e in left]
        if len({len(m) for m in made}) > 1:
            raise _unfit(node, "the texts decide how many results there are.", "a known number")
        return [self._sorted(node, i, [m[i] for m in made]) for i in range(len(made[0]))]

    def _results(self, runner: Any, node: GraphNode, values: Results) -> list[Any]:
        """What a node gives for known inputs."""
        known = self.run.results
        inputs = []
        for ref in node.inputs:
            results = values.get(ref.node) or known[ref.node]
            inputs.append(self.run.tensor(ref, node, {ref.node: results}))
        return self.sized(node, runner.call(node, inputs, runner.em), inputs)

    def sized(self, node: GraphNode, results: list[Any], inputs: Sequence[Any]) -> list[Any]:
        """Known results, the first one in the shape that was said of it.

        Raises:
            FanlightError: E-FORMAT-012 they are not known, E-FORMAT-018 no such shape.
        """
        for x in results:
            if not isinstance(x, np.ndarray | Text | Table):
                raise _unfit(node, "Python cannot work it out for texts.", "strings or numbers")
        shape = self._sized.get(node.name)
        if shape is None or not results:
            return results
        x = results[0]
        if not isinstance(x, np.ndarray) or x.ndim != len(shape):
            raise FanlightError(
                "E-FORMAT-018",
                "input_shapes does not fit what is made of texts.",
                where=node.where,
                expected=f"{x.ndim} sizes" if isinstance(x, np.ndarray) else "a node of numbers",
                received=list(shape),
                next="give one size for each of its dims.",
            )
        place = _FILLS.get(node.op)
        fill: Any = inputs[place] if place is not None and place < len(inputs) else 0
        made = np.full(shape, np.asarray(fill).reshape(-1)[0] if np.size(fill) else 0, x.dtype)
        part = tuple(slice(min(a, b)) for a, b in zip(x.shape, shape, strict=True))
        made[part] = x[part]
        return [made, *results[1:]]

    def _sorted(self, node: GraphNode, index: int, results: Sequence[Any]) -> Any:
        ref = Ref(node.name, index)
        x = results[0]
        if isinstance(x, Table):
            return x
        shapes = [tuple(r.shape) for r in results]
        rank = len(shapes[0])
        if any(len(s) != rank for s in shapes):
            raise _unfit(node, "the texts decide how many dims there are.", "a known number")
        shape = tuple(s.pop() if len(s) == 1 else None for s in map(set, zip(*shapes, strict=True)))
        if isinstance(x, Text):
            return Hosted(ref, "text", shape)
        fixed = None not in shape and 0 not in shape
        return Hosted(ref, "fixed" if fixed else "open", shape, dtype_of(x))

    def _after(self, node: GraphNode) -> list[Any]:
        """The results of a node that needs the graph's, for what is made behind it."""
        self._behind.add(node.name)
        return [Hosted(Ref(node.name, i), "behind") for i in range(_OUTPUTS.get(node.op, 1))]

    # --- the end ----------------------------------------------------------------------------------

    def finish(
        self, outputs: Mapping[str, Value], ends: Mapping[str, Any]
    ) -> tuple[Graph, TextPart | None]:
        """The graph of some outputs, and what Python does; None: nothing.

        Args:
            outputs: those that the graph gives, by name.
            ends: the model's outputs: results by name, in order.

        Raises:
            FanlightError: E-FORMAT-018 a size of what Python does not work out.
        """
        unused = [n for n in self._sized if n not in self._front]
        if unused:
            raise FanlightError(
                "E-FORMAT-018",
                "input_shapes names what is neither an input nor made of texts.",
                where=self.run.path,
                expected=", ".join(self._names.values()) or "no inputs",
                received=", ".join(unused)[:300],
                next="take a name of that list, or leave it out.",
            )
        if not self._used and not self._behind:
            return self.run.builder.finish(outputs), None
        names = {v: n for n, v in outputs.items()}
        exposed: dict[Ref, str] = {}
        made = dict(outputs)
        refs = [x.ref for x in ends.values() if isinstance(x, Hosted)]
        for node in self._needed(self._behind, refs):
            for ref in node.inputs:
                x = self.run.tensor(ref, node, self.run.results)
                if isinstance(x, Value):
                    if x not in names:
                        (name,) = output_names([ref.node], [*made, *ends])
                        names[x], made[name] = name, x
                    exposed[ref] = names[x]
        if not made:  # the graph gives a number that nobody reads
            (name,) = output_names(["nothing"], list(ends))
            made[name] = self.run.builder.weight(np.zeros((), np.int32), name)
            self.run.warnings.append(
                "the model only looks up and changes strings: all of it is done in Python."
            )
        return self._part(pruned(self.run.builder.finish(made)), ends, exposed)

    def _needed(self, names: set[str], refs: Iterable[Ref]) -> list[GraphNode]:
        """The nodes among `names` that some refs need, in order."""
        found: set[str] = set()
        waiting = [ref.node for ref in refs]
        while waiting:
            name = waiting.pop()
            if name in names and name not in found:
                found.add(name)
                waiting += [ref.node for ref in self.nodes[name].inputs]
        return [self.nodes[n] for n in sorted(found, key=self._place.__getitem__)]

    def _part(
        self, graph: Graph, ends: Mapping[str, Any], exposed: Mapping[Ref, str]
    ) -> tuple[Graph, TextPart]:
        """A graph with what Python does in front of it and behind.

        Args:
            exposed: which of the graph's outputs is which result.
        """
        made = {ref: v for ref, v in self._made.items() if v in graph.inputs}
        own = dict(graph.outputs)
        hosted = {n: x.ref for n, x in ends.items() if isinstance(x, Hosted) and n not in own}
        after = _Work(self, self._needed(self._behind, hosted.values()))
        before = _Work(self, self._needed(self._front, [*made, *hosted.values(), *after.inputs]))
        given = {self._names[n]: t for n, t in self._given.items()}
        taken = {v.name for v in graph.inputs} - {v.name for v in made.values()}
        names = {n: self._names[n] for n in self._given}

        def first(inputs: Arrays, trying: bool = False) -> Results:
            start = {n: [_as_given(inputs[name])] for n, name in names.items()}
            return before(start, trying)

        def front(inputs: Arrays) -> Arrays:
            values = first(inputs)
            arrays = {v.name: _fitting(v, values[ref.node][ref.index]) for ref, v in made.items()}
            return {**arrays, **{name: inputs[name] for name in taken}}

        def behind(inputs: Arrays, outputs: Arrays, trying: bool = False) -> Arrays:
            if not hosted:
                return {name: outputs[name] for name in ends}
            values = first(inputs, trying)
            for ref, name in exposed.items():
                results = values.setdefault(ref.node, [])
                results += [None] * (ref.index + 1 - len(results))
                results[ref.index] = outputs[name]
            values = after(values, trying)
            found = {n: _array(values[ref.node][ref.index]) for n, ref in hosted.items()}
            return {n: readable(found[n]) if n in found else outputs[n] for n in ends}

        example = {
            self._names[n]: np.full(t.bound, b"", object)
            if t.dtype == STRING
            else np.zeros(t.bound, t.dtype)
            for n, t in self._given.items()
        }
        for n in self._given:
            if n in self._examples[0]:
                example[self._names[n]] = _array(self._examples[0][n][0])
        zeros = {n: np.zeros(v.type.bound, v.dtype) for n, v in graph.outputs}
        tried = behind(example, zeros, trying=True)
        types = {
            n: TensorType(tuple(a.shape), STRING if a.dtype.kind == "O" else dtype_of(a))
            for n, a in tried.items()
        }
        return graph, TextPart(given, types, front, behind)


# Ops behind a graph that have more than one result.
_OUTPUTS = {
    "StringSplit": 3, "StringSplitV2": 3, "StringNGrams": 2, "UnicodeDecode": 2,
    "UnicodeDecodeWithOffsets": 3, "TopKV2": 2, "Unique": 2, "UniqueV2": 2,
}  # fmt: skip


class _Work:
    """Some nodes, with all that is known of what they need.

    Attributes:
        inputs: what they take of others that are not known.
    """

    def __init__(self, host: Host, nodes: Sequence[GraphNode]) -> None:
        self._host, self._nodes = host, nodes
        own = {n.name for n in nodes}
        refs = [ref for n in nodes for ref in n.inputs if ref.node not in own]
        self._known = {r.node: host.run.results[r.node] for r in refs if host._known(r.node)}
        self.inputs = [r for r in refs if r.node not in self._known]
        self._stored: dict[str, Any] = {}
        if any(n.op in CHOICES for n in nodes):
            inner = [n for f in host.run.functions.values() for n in f.nodes.values()]
            keys = [n.key or n.name for n in inner if n.op == "Const"]
            self._stored = {key: host.run.stored[key] for key in keys if key in host.run.stored}

    def __call__(self, given: Results, trying: bool) -> Results:
        values = {**self._known, **given}
        runner = self._host.run.fresh(trying, self._stored)
        for node in self._nodes:
            inputs = [self._host.run.tensor(ref, node, values) for ref in node.inputs]
            results = runner.call(node, inputs, runner.em)
            values[node.name] = self._host.sized(node, results, inputs)
        return values


def _unfit(node: GraphNode, message: str, expected: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-012",
        f"{node.op}: {message}",
        where=f"{node.where} ({node.op})",
        expected=expected,
        received="what differs from text to text, or is no tensor",
        next="cut the model behind what it makes of texts.",
    )


def _as_given(array: np.ndarray) -> Any:
    return Text(array) if array.dtype.kind == "O" else array


def _array(x: Any) -> np.ndarray:
    return np.asarray(x.array if isinstance(x, Text) else x)


def _fitting(value: Value, x: np.ndarray) -> np.ndarray:
    """What was made of texts, if it is what the graph takes."""
    if tuple(x.shape) != tuple(value.shape):
        raise FanlightError(
            "E-INPUT-002",
            "what is made of these texts does not fit the graph behind it.",
            where=value.name,
            expected=str(value.type),
            received=list(x.shape),
            next=f"say its size when the model is loaded: input_shapes={{{value.name!r}: ...}}.",
        )
    return x


def pruned(graph: Graph) -> Graph:
    """Without inputs, nodes and weights that no output needs."""
    needed = {v for _, v in graph.outputs}
    nodes = []
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.outputs):
            needed.update(node.inputs)
            nodes.append(node)
    return replace(
        graph,
        inputs=tuple(v for v in graph.inputs if v in needed),
        nodes=tuple(reversed(nodes)),
        weights={v: a for v, a in graph.weights.items() if v in needed},
    )

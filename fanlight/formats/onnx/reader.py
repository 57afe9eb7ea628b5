"""An ONNX file -> a graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from fanlight.errors import FanlightError
from fanlight.formats.counts import Bounded, parts
from fanlight.formats.files import Mapped
from fanlight.formats.inventory import Inventory, listed
from fanlight.formats.names import output_names, tally
from fanlight.formats.onnx import (  # noqa: F401  (fill the table)
    attention,
    classic,
    control,
    elementwise,
    image,
    indexing,
    kinds,
    microsoft,
    neural,
    quantized,
    recurrent,
    reduce,
    sampling,
    selection,
    shaping,
    signal,
    sums,
    windows,
)
from fanlight.formats.onnx.call import HANDLERS
from fanlight.formats.onnx.protos import Declared, Graph, Node, function, model
from fanlight.formats.onnx.scope import Functions, Scope, Shared, WeightEmitter
from fanlight.formats.onnx.tensors import Tensors
from fanlight.formats.source import Options, Port, Source, check_options, static_shape
from fanlight.formats.unread import Unread, in_front
from fanlight.formats.wire import Message
from fanlight.graph import Builder, Value

# Newer files are read as far as their ops are known; older ones had other rules of broadcasting.
_OLDEST_OPSET = 7


def read_onnx(path: Path, options: Options) -> Source:
    """Import a .onnx file; files of external data lie beside it.

    Raises:
        FanlightError: E-FORMAT-013 with every unsupported op at once, and the other codes.
    """
    file, message, opsets, about = _model(path)
    graph = Graph(message, str(path))
    functions = _functions(Message(file.view, str(path)), path)
    return _Import(file, path, options, graph, functions, opsets, about).run()


def ops_of(path: Path, options: Options) -> Inventory:
    """The ops of a .onnx file, those of graphs inside of nodes and of functions, too."""
    file, message, _, _ = _model(path)
    functions = _functions(Message(file.view, str(path)), path)
    return _inventory(Graph(message, str(path)).nodes, functions)


def _inventory(nodes: Sequence[Node], functions: Functions) -> Inventory:
    found: list[tuple[str, str]] = []
    read: set[str] = set()
    seen: set[tuple[str, str]] = set()

    def look(nodes: Sequence[Node], depth: int) -> None:
        for node in nodes:
            key = (node.op, node.overload)
            function = functions.get(key)
            kind = f"{node.op} (overload {node.overload!r})" if node.overload else node.op
            found.append((kind, node.name))
            if node.op in HANDLERS or function is not None:
                read.add(kind)
            if node.op not in HANDLERS and function is not None and key not in seen:
                seen.add(key)
                look(function.nodes, depth)
            if depth < 32:
                for inner in node.graphs():
                    look(inner.nodes, depth + 1)

    look(nodes, 0)
    return listed(found, read.__contains__)


def _model(path: Path) -> tuple[Mapped, Message, dict[str, int], dict[str, object]]:
    """The file, its graph, the versions of its ops, and what it says about itself."""
    file = Mapped(path, "E-FORMAT-001", "the model")
    message, opsets, about = model(Message(file.view, str(path)))
    if message is None or not opsets:
        raise FanlightError(
            "E-FORMAT-002",
            "this is not an ONNX model.",
            where=path,
            expected="a ModelProto with a graph and the versions of its ops",
            received="neither" if message is None else "no versions",
            next="export the model again.",
        )
    opset = opsets.get("", 0)
    if opset and opset < _OLDEST_OPSET:
        raise FanlightError(
            "E-FORMAT-002",
            "the model is of an old version of ONNX.",
            where=path,
            expected=f"opset {_OLDEST_OPSET} or newer",
            received=f"opset {opset}",
            next="onnx.version_converter.convert_version(model, 17) makes a newer one of it.",
        )
    return file, message, opsets, about


def _functions(message: Message, path: Path) -> Functions:
    found = (function(m, str(path)) for m in message.messages(25))
    return {(f.op, f.overload): f for f in found}


def _free_names(graph: Graph, depth: int = 0) -> set[str]:
    """The names that a graph inside takes from around it (and some of its own)."""
    names = {o.name for o in graph.outputs}
    for node in graph.nodes:
        names |= _used(node, depth)
    return names


def _used(node: Node, depth: int = 0) -> set[str]:
    """The names that a node uses."""
    names = set(node.inputs)
    if depth < 32:
        for inner in node.graphs():
            names |= _free_names(inner, depth + 1)
    return names


class _Import:
    """One import: nodes in order, each turned into ops or known arrays."""

    def __init__(
        self,
        file: Mapped,
        path: Path,
        options: Options,
        graph: Graph,
        functions: Functions,
        opsets: dict[str, int],
        about: dict[str, object],
    ) -> None:
        self.path = path
        self.options = options
        self.graph = graph
        self.about = about
        self.warnings: list[str] = []
        self.builder = Builder(graph.name or path.stem)
        tensors = Tensors(file, path, self.warnings.append, len(graph.nodes))
        self.em = WeightEmitter(self.builder, tensors, options.sketch)
        self.shared = Shared(str(path), tensors, opsets, functions, self.warnings)
        self.scope = Scope(self.shared, self.em)
        self.ports: list[Port] = []
        self._values: list[Value] = []
        self.unread = Unread() if options.readable else None

    def run(self) -> Source:
        nodes, used = self._needed()
        if self.unread is None:
            self._refuse_unsupported(nodes)
        initial = self.graph.initializers
        inputs = [d for d in self.graph.inputs if d.name not in initial]
        check_options(self.options, {d.name: _as_image(d.dims) for d in inputs}, self.path)
        for declared in inputs:
            self._input(declared)
        self.scope.initialize(self.graph, used)
        self._nodes(nodes)
        return self._finish()

    def _nodes(self, nodes: Sequence[Node]) -> None:
        """Every node in order; some of those that one op stands for, as that."""
        outputs = [o.name for o in self.graph.outputs]
        chains = sums.chains(nodes, outputs, _used)
        ends = {id(chain[-1]): chain for chain in chains}
        waiting = {id(node) for chain in chains for node in chain[:-1]}
        for node in nodes:
            chain = ends.get(id(node))
            if id(node) in waiting or (chain and self._fused(chain)):
                continue
            for each in chain or (node,):
                self._node(each)

    def _fused(self, chain: Sequence[Node]) -> bool:
        lost = set() if self.unread is None else self.unread.names
        return not any(_used(n) & lost for n in chain) and sums.fused(self.scope, chain)

    def _node(self, node: Node) -> None:
        """One node; where only what can be read is wanted, it may be left out."""
        if self.unread is None:
            self.scope.node(node)
            return
        used = _used(node)
        if used.isdisjoint(self.unread.names):
            try:
                self.scope.node(node)
                return
            except FanlightError as error:
                self.unread.fail(error)
        self.unread.lose([node.name, *node.outputs], sorted(used))

    def _ends(self) -> list[str]:
        """The outputs; where some are not read, what was read last in front of them, too."""
        own = [o.name for o in self.graph.outputs]
        if self.unread is None:
            return own
        names = self.scope.names
        own = [n for n in own if isinstance(names.get(n), Value | Bounded)]
        return [*own, *(n for n in self.unread.last if isinstance(names.get(n), Value))]

    def _needed(self) -> tuple[list[Node], set[str]]:
        """The nodes that outputs depend on, in order, and all names that they use."""
        used = {o.name for o in self.graph.outputs}
        kept: list[Node] = []
        for node in reversed(self.graph.nodes):
            if any(name in used for name in node.outputs if name):
                used |= _used(node)
                kept.append(node)
        return kept[::-1], used

    def _refuse_unsupported(self, nodes: Sequence[Node]) -> None:
        unknown = _inventory(nodes, self.shared.functions).unknown
        if unknown:
            front = self._in_front(nodes, unknown)
            raise FanlightError(
                "E-FORMAT-013",
                f"the graph uses {len(unknown)} op{'s' if len(unknown) > 1 else ''} "
                "that Fanlight does not have.",
                where=self.path,
                expected=f"some of the {len(HANDLERS)} ops that docs/onnx.md lists",
                received=tally(unknown),
                next=f"{front}export the part of the model before these ops (post-processing often "
                "is the rest), or ask for them in an issue.",
            )

    def _in_front(self, nodes: Sequence[Node], unknown: Collection[str]) -> str:
        functions = self.shared.functions
        lacking = {
            op
            for (op, _), f in functions.items()
            if not _inventory(f.nodes, {}).found.keys().isdisjoint(unknown)
        }
        lacking |= set(unknown)
        rows = (
            (_inventory([n], {}).found.keys().isdisjoint(lacking), sorted(_used(n)), n.outputs)
            for n in nodes
        )
        return in_front((d.name for d in self.graph.inputs), rows)

    def _input(self, declared: Declared) -> None:
        where = f"input {declared.name[:120]!r} of {self.path}"
        if declared.container:
            raise FanlightError(
                "E-FORMAT-012",
                f"an input of the model is a {declared.container}.",
                where=where,
                expected="tensors",
                received=f"a {declared.container}",
            )
        dims = declared.dims
        given = self.options.input_shapes.get(declared.name)
        if dims is None and given is not None:
            dims = tuple(given)
        if dims is None:
            raise FanlightError(
                "E-FORMAT-017",
                f"the model does not say the rank of its input {declared.name!r}.",
                where=where,
                expected="an input with a shape",
                received="an unknown rank",
                next=f"say it: fl.load(path, input_shapes={{{declared.name!r}: (1, 3, 224, 224)}})",
            )
        if given is None:
            dims = self._sized(dims)
        # `size` is put in already: pictures have their channels first here.
        shape, batched = static_shape(declared.name, dims, replace(self.options, size=None), where)
        dtype = kinds.dtype_of_kind(declared.kind, where)
        name = output_names([declared.name], [p.name for p in self.ports])[0]
        value = self.builder.input(name, shape, dtype)
        self.scope.bind(declared.name, value, declared.kind)
        self._values.append(value)
        self.ports.append(Port(value.name, declared.name, batched))

    def _sized(self, dims: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`size` in the place of free sizes of a picture, wherever its channels are."""
        if self.options.size is None or len(dims) != 4:
            return dims
        first = 1 if dims[3] in (1, 3, 4) and dims[1] not in (1, 3, 4) else 2
        sizes = list(dims)
        for axis, size in zip((first, first + 1), self.options.size, strict=True):
            sizes[axis] = size if sizes[axis] is None else sizes[axis]
        return tuple(sizes)

    def _finish(self) -> Source:
        where = f"outputs of {self.path}"
        ends = self._ends()
        found = [self.scope.get(name, where) for name in ends]
        results = []
        for end, (given, _) in zip(ends, found, strict=True):
            if given is None or isinstance(given, list):
                raise FanlightError(
                    "E-FORMAT-012",
                    "an output of the model is no tensor.",
                    where=where,
                    expected="tensors",
                    received=f"{end[:120]!r}: a sequence, or nothing",
                )
            results.append(given)
        names = output_names(ends, [p.name for p in self.ports])
        taken = [*names, *(p.name for p in self.ports)]
        outputs: dict[str, Value] = {}
        ports: list[Port] = []
        batch = any(p.batched for p in self.ports)
        for name, end, made in zip(names, ends, results, strict=True):
            for label, tensor in parts(self.em, name, made, self.warnings, taken):
                outputs[label] = self.em.exact(tensor, label)
                batched = batch and label == name and tuple(tensor.shape[:1]) == (1,)
                ports.append(Port(label, end, batched))
        layouts = {
            p.name: "NCHW"
            for p, v in zip(self.ports, self._values, strict=True)
            if len(v.shape) == 4 and v.shape[1] in (1, 3, 4) and v.shape[3] not in (1, 3, 4)
        }
        return Source(
            graph=self.builder.finish(outputs),
            format="onnx",
            inputs=tuple(self.ports),
            outputs=tuple(ports),
            warnings=tuple(dict.fromkeys(self.warnings)),
            metadata={
                **self.about,
                "opsets": {k or "ai.onnx": v for k, v in self.shared.opsets.items()},
                "layouts": layouts,
            },
            results=self.em.results,
            unread=self.unread,
        )


def _as_image(dims: tuple[int | None, ...] | None) -> tuple[int | None, ...] | None:
    """The dims with the channels last, which is where `check_options` looks for sizes."""
    if dims and len(dims) == 4 and not (dims[3] in (1, 3, 4) and dims[1] not in (1, 3, 4)):
        return (dims[0], dims[2], dims[3], dims[1])
    return dims

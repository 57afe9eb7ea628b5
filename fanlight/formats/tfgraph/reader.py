"""A TF.js graph-model -> a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.counts import parts
from fanlight.formats.emitter import Emitter, Tensor
from fanlight.formats.inventory import Inventory, listed
from fanlight.formats.manifest import Skipped, parse_manifest, read_weights
from fanlight.formats.names import output_names, tally
from fanlight.formats.source import (
    Options,
    Port,
    Source,
    check_options,
    fixed_value,
    static_shape,
)
from fanlight.formats.tfgraph import (  # noqa: F401  (fill the table)
    bounded,
    control,
    creation,
    dynamic,
    elementwise,
    functions,
    indexing,
    neural,
    shaping,
    spectral,
    strings,
    tables,
    text,
    turns,
    windows,
)
from fanlight.formats.tfgraph import complex as complexes
from fanlight.formats.tfgraph.call import HANDLERS, TAKE_LISTS, TAKE_PAIRS, Call, Pair
from fanlight.formats.tfgraph.debugging import debug_ops, quiet
from fanlight.formats.tfgraph.frames import LOWERED, fed_in_order, prepared, with_functions
from fanlight.formats.tfgraph.guess import Guesser
from fanlight.formats.tfgraph.hosted import Host, Hosted
from fanlight.formats.tfgraph.library import Function, inlined, read_library
from fanlight.formats.tfgraph.lists import is_list
from fanlight.formats.tfgraph.nodes import GraphNode, Ref, graph_dtype, parse_nodes
from fanlight.formats.tfgraph.order import needed, ordered
from fanlight.formats.tfgraph.signature import Entry, Signature, read_signature, topology
from fanlight.formats.together import told_apart
from fanlight.formats.unread import Unread, in_front
from fanlight.graph import Builder, Value

# Handled by the reader itself rather than by an importer of the table.
OWN = frozenset({"Const", "Placeholder", "NoOp"})
_MAX_DEPTH = 32  # of loops and conditions in each other
_MAX_RUN = 1 << 19  # nodes of functions: loops that are written out in each other grow fast


def read_graph_model(model: Mapping[str, Any], path: Path, options: Options) -> Source:
    """Import a graph-model whose model.json was parsed; its shards lie beside `path`.

    Raises:
        FanlightError: E-FORMAT-013 with every unsupported op at once, and the other codes.
    """
    nodes = parse_nodes(topology(model, path), path)
    signature = read_signature(model, nodes, path)
    stop = frozenset(e.ref.node for e in signature.inputs)
    library = read_library(topology(model, path), path)
    used, called, debug = callable_nodes(nodes, library, signature, path)
    inner = [n for f in called.values() for n in f.nodes.values()]
    if not options.readable:
        _refuse_unsupported(used, inner, stop, path)
    groups = parse_manifest(model.get("weightsManifest") or [], path)
    if options.weights == "stored":
        stored = read_weights(groups, path.parent)
        filled = tables.tables_of(model, stored, path)
        order = ordered(used, stop)

        def read(asked: Options) -> Source:
            return _Import(path, asked, signature, stored, called, filled).run(order)

        return replace(told_apart(read(options), options, read), debug_ops=debug)
    specs = {spec.name: spec for _, group in groups for spec in group}
    run = _Import(path, options, signature, {}, called)
    known = dict(used)
    for node in inner:
        known.setdefault(node.name, node)
    guesser = run.guesser = Guesser(known, specs, run.results, signature, path, called)
    run.functions = {n: fed_in_order(f, guesser.order, path) for n, f in called.items()}
    source = run.run(ordered(used, stop, guesser.order))
    return replace(source, constants=run.guessed, debug_ops=debug)


def ops_of_graph(model: Mapping[str, Any], path: Path) -> Inventory:
    """The ops of a graph-model that its signature needs, and all of its functions."""
    nodes = parse_nodes(topology(model, path), path)
    signature = read_signature(model, nodes, path)
    stop = frozenset(e.ref.node for e in signature.inputs)
    used = needed(nodes, [e.ref.node for e in signature.outputs], stop, path, controls=True)
    return inventory(used, read_library(topology(model, path), path), stop)


def inventory(
    nodes: Mapping[str, GraphNode], library: Mapping[str, Function], stop: frozenset[str]
) -> Inventory:
    """The ops of nodes and functions. Calls, frames and switches are read, too: they are lowered
    before an importer sees them.
    """
    inner = [n for f in library.values() for n in f.nodes.values()]
    used = [n for n in (*nodes.values(), *inner) if n.name not in stop]
    return listed(((n.op, n.name) for n in used), lambda op: op in HANDLERS or op in OWN | LOWERED)


def callable_nodes(
    nodes: Mapping[str, GraphNode],
    library: Mapping[str, Function],
    signature: Signature,
    where: object,
) -> tuple[dict[str, GraphNode], dict[str, Function], Counter[str]]:
    """The nodes that the outputs need, without calls, frames and merges; the functions of theirs;
    how many ops there are that only print or check.

    Raises:
        FanlightError: E-FORMAT-015 and E-FORMAT-016 for loops, conditions and functions that do not
            fit together.
    """
    stop = frozenset(e.ref.node for e in signature.inputs)
    outputs = [e.ref for e in signature.outputs]
    names = [r.node for r in outputs]
    library = {n: replace(f, nodes=quiet(f.nodes)) for n, f in library.items()}
    used = needed(quiet(nodes), names, stop, where, controls=True)
    if library:
        used = needed(inlined(used, library), names, stop, where, controls=True)
    made = dict(library)
    debug = debug_ops(used.values())
    used = with_functions(used, outputs, stop, made, where)
    called = prepared(used, made, where)
    for name in called:
        debug += debug_ops(library[name].nodes.values() if name in library else ())
    return used, called, debug


def _refuse_unsupported(
    nodes: Mapping[str, GraphNode], inner: Iterable[GraphNode], stop: frozenset[str], path: Path
) -> None:
    """E-FORMAT-013 for nodes of the graph, and those in its functions."""
    used = ((n.op, n.name) for n in (*nodes.values(), *inner) if n.name not in stop)
    unknown = listed(used, lambda op: op in HANDLERS or op in OWN).unknown
    if not unknown:
        return
    lines = tally(unknown)
    rows = (
        (n.op not in unknown, [r.node for r in n.inputs], [n.name]) for n in ordered(nodes, stop)
    )
    raise FanlightError(
        "E-FORMAT-013",
        f"the graph uses {len(unknown)} op{'s' if len(unknown) > 1 else ''} "
        "that Fanlight does not have.",
        where=path,
        expected=f"some of the {len(HANDLERS)} ops that docs/formats.md lists",
        received=lines,
        next=f"{in_front(stop, rows)}export the part of the model before these ops "
        "(post-processing often is the rest), or ask for them in an issue.",
    )


def _lacking(node: GraphNode) -> FanlightError:
    return FanlightError(
        "E-FORMAT-013",
        "the graph has an op that Fanlight does not have.",
        where=node.where,
        expected="the ops that docs/formats.md lists",
        received=node.op[:80],
        next="export the part of the model before it, or ask for it in an issue.",
    )


def _dims(entry: Entry, node: GraphNode) -> tuple[int | None, ...] | None:
    """The declared shape: the placeholder knows best, a signature may say less."""
    traced = node.attrs.dims("shape") if node.op.startswith("Placeholder") else None
    return traced or entry.dims or traced


def _exemplary(
    dims: tuple[int | None, ...] | None, told: tuple[int | None, ...] | None
) -> tuple[int | None, ...] | None:
    """Sizes that a placeholder leaves open as the signature has them; the batch stays open."""
    if dims is None or told is None or len(dims) != len(told):
        return dims
    return (*dims[:1], *(d or t for d, t in zip(dims[1:], told[1:], strict=True)))


class _Import:
    """One import: nodes in order, each turned into ops or known arrays."""

    def __init__(
        self,
        path: Path,
        options: Options,
        signature: Signature,
        stored: Mapping[str, np.ndarray | Skipped],
        library: Mapping[str, Function] | None = None,
        filled: Mapping[str, text.Table] | None = None,
    ) -> None:
        self.path = path
        self.options = options
        self.signature = signature
        self.stored = stored
        self.functions = library or {}
        self.depth = 0
        self.ran = 0
        self.guesser: Guesser | None = None
        self.guessed: dict[str, np.ndarray | Skipped] = {}
        self.builder = Builder(path.parent.name or path.stem)
        self.em = Emitter(self.builder, options.sketch)
        self.results: dict[str, list[Any]] = {n: [t] for n, t in (filled or {}).items()}
        self.ports: list[Port] = []
        self.warnings: list[str] = []
        self.host: Host | None = None
        self.trying = False  # whether nodes are worked out for examples
        self.unread = Unread() if options.readable else None

    def fresh(
        self, trying: bool, stored: Mapping[str, np.ndarray | Skipped] | None = None
    ) -> _Import:
        """An import of the same model that has read nothing, to work out nodes of known inputs.

        Args:
            trying: whether the inputs are but examples.
            stored: its constants; None: all.
        """
        kept = self.stored if stored is None else stored
        made = _Import(self.path, self.options, self.signature, kept, self.functions)
        made.trying = trying
        return made

    def run(self, order: list[GraphNode]) -> Source:
        self.host = Host(self, order)
        needed = {node.name: node for node in order}
        inputs = [
            (e, needed[e.ref.node])
            for e in self.signature.inputs
            if e.ref.node in needed and e.ref.node not in self.results
        ]
        declared = {e.name: _dims(e, node) for e, node in inputs}
        self._check_tables(inputs, order)
        for node in order:
            if node.op in tables.MAKES and node.name in self.options.tables:
                self.results[node.name] = [self._given_table(node.name, node)]
        shapes = {n: tuple(s) for n, s in self.host.sizes(declared).items()}
        check_options(replace(self.options, input_shapes=shapes), declared, self.path)
        for entry, node in inputs:
            self._input(entry, node, self.host)
        for node in order:
            if node.name not in self.results:
                made = self.results[node.name] = self._made(node)
                self.em.result(node.name, made[0] if made else None)
        if self.unread is not None:
            self.signature = self._read_part(self.unread, needed)
        return self._finish(self.host)

    def _made(self, node: GraphNode) -> list[Any]:
        """The results of a node of the graph; none if it is left out, for it cannot be read."""
        if self.unread is None:
            return self._node(node, self.results, self.em)
        inputs = [ref.node for ref in node.inputs]
        if self.unread.names.isdisjoint(inputs):
            try:
                return self._node(node, self.results, self.em)
            except FanlightError as error:
                self.unread.fail(error)
        self.unread.lose([node.name], inputs)
        return []

    def _read_part(self, unread: Unread, nodes: Mapping[str, GraphNode]) -> Signature:
        """The signature with the outputs that are read, and what is read last before others."""
        own = []
        for entry in self.signature.outputs:
            name = entry.ref.node
            if name in unread.names:
                continue
            try:
                self._refuse_output(entry, self.tensor(entry.ref, None, self.results))
                own.append(entry)
            except FanlightError as error:
                unread.fail(error)
                unread.lose([name], [ref.node for ref in nodes[name].inputs])
        made = {n: self.results[n] for n in unread.last}
        last = [Entry(n, Ref(n)) for n, x in made.items() if x and isinstance(x[0], Value)]
        return replace(self.signature, outputs=(*own, *last))

    def run_function(self, function: Function, inputs: Sequence[Any], em: Emitter) -> list[Any]:
        """What a function gives for these inputs; its ops go to `em`."""
        if self.depth >= _MAX_DEPTH:
            raise FanlightError(
                "E-FORMAT-015",
                "loops and conditions lie in each other too deeply.",
                where=self.path,
                expected=f"at most {_MAX_DEPTH} levels",
                received=function.name[:120],
            )
        self.ran += len(function.nodes) + 1
        if self.ran > _MAX_RUN:
            raise FanlightError(
                "E-FORMAT-023",
                "the loops of the graph turn too often to be read.",
                where=self.path,
                expected=f"at most {_MAX_RUN:,} nodes in all turns",
                received=f"more, in {function.name[:120]}",
                next="export the part of the model before this loop.",
            )
        results = {name: [x] for name, x in zip(function.arguments, inputs, strict=True)}
        self.depth += 1
        seen = [] if self.guesser is None else self.guesser.inner
        seen.append(results)
        try:
            for node in function.nodes.values():
                results[node.name] = self._node(node, results, em)
        finally:
            self.depth -= 1
            seen.pop()
        return [self.tensor(r, None, results) for r in function.returns]

    def _input(self, entry: Entry, node: GraphNode, host: Host) -> None:
        if entry.dtype in ("DT_RESOURCE", 20) or node.attrs.is_resource("dtype"):
            self.results[node.name] = [self._given_table(entry.name, node)]
            return
        of_texts = entry.dtype in ("DT_STRING", 7) or node.attrs.is_string("dtype")
        dims = _dims(entry, node)
        if not of_texts:
            dtype = (
                node.attrs.dtype("dtype", "float32")
                if entry.dtype is None
                else graph_dtype(entry.dtype, f"input {entry.name!r} of {self.path}")
            )
            fixed = fixed_value(entry.name, dims, dtype, self.options, node.where)
            if fixed is not None:
                self.results[node.name] = [self.em.named(fixed, entry.name)]
                return
        given = self.options.input_shapes.get(entry.name)
        if dims is None and given is not None:
            dims = tuple(given)
        if given is None and self.options.size is None:
            dims = _exemplary(dims, entry.dims)
        if dims is None:
            raise FanlightError(
                "E-FORMAT-017",
                f"the model does not say the rank of its input {entry.name!r}.",
                where=node.where,
                expected="a placeholder with a shape",
                received="an unknown rank",
                next=f"say it: fl.load(path, input_shapes={{{entry.name!r}: (1, 224, 224, 3)}}).",
            )
        shape, batched = static_shape(entry.name, dims, self.options, node.where)
        if of_texts:
            self.results[node.name] = [host.text_input(node, entry.name, shape)]
            self.ports.append(Port(entry.name, entry.ref.node, batched, entry.name))
            return
        value = self.builder.input(entry.name, shape, dtype)
        self.results[node.name] = [value]
        self.ports.append(Port(value.name, entry.ref.node, batched, entry.name))
        host.number_input(node, value.name, value.type)

    def _check_tables(
        self, inputs: Sequence[tuple[Entry, GraphNode]], order: Sequence[GraphNode]
    ) -> None:
        """E-FORMAT-018 if a table is given that the model does not have, or that is filled."""
        makers = [n.name for n in order if n.op in tables.MAKES]
        names = [*(e.name for e, _ in inputs), *makers]
        unknown = [n for n in self.options.tables if n not in names]
        if unknown:
            raise FanlightError(
                "E-FORMAT-018",
                "tables names a table that the model does not have.",
                where=self.path,
                expected=", ".join(names)[:300] or "no tables",
                received=", ".join(map(str, unknown))[:300],
                next="take a name of that list, or leave the table out.",
            )

    def _given_table(self, name: str, node: GraphNode) -> text.Table:
        """A table that the caller fills, since no file does."""
        given = self.options.tables.get(name)
        if given is None:
            return tables.unfilled(name, self.warnings)
        return tables.table(*given, name, node.where)

    def _node(
        self, node: GraphNode, results: Mapping[str, list[Tensor]], em: Emitter
    ) -> list[Tensor]:
        if node.op == "Const":
            return [self.constant(node)]
        if node.op == "NoOp":
            return []
        if node.op == "Placeholder":
            raise FanlightError(
                "E-FORMAT-016",
                "a placeholder is no input.",
                where=node.where,
                expected="placeholders that the signature lists as inputs",
                received=node.name[:120],
            )
        inputs = [self.tensor(ref, node, results) for ref in node.inputs]
        if self.host is None or results is not self.results:
            return self.call(node, inputs, em)
        if any(isinstance(x, Hosted) for x in inputs):
            return self.host.node(node, inputs)
        try:
            return self.call(node, inputs, em)
        except text.OnHost:
            return self.host.on_host(node)

    def call(self, node: GraphNode, inputs: Sequence[Any], em: Emitter) -> list[Tensor]:
        """The results of a node with these inputs."""
        call = Call(node, em, inputs, self.warnings, self)
        in_pairs = node.op not in TAKE_PAIRS and any(isinstance(x, Pair) for x in call.inputs)
        if in_pairs and node.op not in complexes.TAKEN:
            taken = sorted(TAKE_PAIRS | complexes.TAKEN)
            raise call.refuse(
                "complex numbers are not taken here",
                expected=f"real numbers; complex ones go to {', '.join(taken)}",
                received="complex numbers",
            )
        if node.op not in TAKE_LISTS and any(is_list(x) for x in call.inputs):
            raise call.refuse("lists are not taken here", expected="tensors", received="a list")
        try:
            handler = HANDLERS.get(node.op)
            if handler is None:
                raise _lacking(node)
            if in_pairs:
                made = complexes.handle(call, handler)
            elif any(text.concerns(x) for x in call.inputs):
                made = text.handle(call, handler)
            elif bounded.concerns(call.inputs):
                made = bounded.handle(call, handler)
            else:
                made = handler(call)
        except FanlightError as error:
            if error.code.startswith(("E-OP-", "E-TENSOR-")):
                error.where = f"{call.where}: {error.where}"
            raise
        return list(made) if isinstance(made, list | tuple) else [made]

    def constant(self, node: GraphNode) -> Any:
        """The array or strings of a Const."""
        key = node.key or node.name
        if self.guesser is not None and key in self.guesser.specs and key not in self.guessed:
            self.guessed[key] = self.guesser.constant(key)
        array = self.guessed.get(key) if self.guesser is not None else self.stored.get(key)
        if isinstance(array, Skipped):
            if array.texts is not None:
                return text.text(array.texts.reshape(-1).tolist(), array.texts.shape, node.where)
            raise FanlightError(
                "E-FORMAT-012",
                f"the graph computes with a {array.dtype} tensor.",
                where=node.where,
                expected="numbers or booleans",
                received=array.dtype,
            )
        if array is None:
            raise FanlightError(
                "E-FORMAT-011",
                "a constant of the graph is not in the weights manifest.",
                where=node.where,
                expected=f"a weight named {key!r}",
                received=f"{len(self.stored)} others",
                next="model.json and its weights belong to different models: download both again.",
            )
        return self.em.named(array, key, made=key in getattr(self.stored, "spread", ()))

    def tensor(
        self, ref: Ref, user: GraphNode | None, results: Mapping[str, list[Tensor]]
    ) -> Tensor:
        """What an input or output refers to; E-FORMAT-016 if there is no such result."""
        made = results[ref.node]
        if ref.index >= len(made):
            raise FanlightError(
                "E-FORMAT-016",
                f"the node {ref.node!r} has no output {ref.index} here.",
                where=user.where if user else self.path,
                expected=f"{len(made)} outputs",
                received=f"{ref.node}:{ref.index}",
            )
        return made[ref.index]

    def _refuse_output(self, entry: Entry, result: Any) -> None:
        """E-FORMAT-012 for an output that is no tensor of numbers."""
        if text.concerns(result):
            raise FanlightError(
                "E-FORMAT-012",
                "an output of the model is of strings, or a table.",
                where=self.path,
                expected="numbers or booleans",
                received=entry.name,
                next="end the model before they are made: labels are put to numbers outside.",
            )
        if isinstance(result, Pair):
            raise FanlightError(
                "E-FORMAT-012",
                "an output of the model is complex.",
                where=self.path,
                expected="real numbers: its real and imaginary part, or its magnitude",
                received=entry.name,
                next="end the model with tf.abs, or with tf.math.real and tf.math.imag.",
            )
        if is_list(result):
            raise FanlightError(
                "E-FORMAT-012",
                "an output of the model is a list of tensors.",
                where=self.path,
                expected="tensors: what the list holds, stacked",
                received=entry.name,
                next="end the model with TensorList.stack() or tf.stack.",
            )

    def _finish(self, host: Host) -> Source:
        results = [self.tensor(e.ref, None, self.results) for e in self.signature.outputs]
        for entry, result in zip(self.signature.outputs, results, strict=True):
            self._refuse_output(entry, result)
        names = output_names([e.name for e in self.signature.outputs], [p.name for p in self.ports])
        taken = [*names, *(p.name for p in self.ports)]
        batch = any(p.batched for p in self.ports)
        outputs: dict[str, Value] = {}
        ends: dict[str, Any] = {}
        ports: list[Port] = []
        for name, entry, made in zip(names, self.signature.outputs, results, strict=True):
            for label, tensor in self._parts(name, made, taken):
                ends[label] = tensor
                batched = batch
                if not isinstance(tensor, Hosted) or tensor.kind in ("fixed", "open"):
                    end = host.value(tensor) if isinstance(tensor, Hosted) else tensor
                    outputs[label] = self.em.value(end, label)
                    batched = batch and label == name and tuple(end.shape[:1]) == (1,)
                ports.append(Port(label, f"{entry.ref.node}:{entry.ref.index}", batched))
        graph, part = host.finish(outputs, ends)
        return Source(
            graph=graph,
            format="tfjs-graph",
            inputs=tuple(self.ports),
            outputs=tuple(ports),
            warnings=tuple(dict.fromkeys(self.warnings)),
            text=part,
            results=self.em.results,
            unread=self.unread,
        )

    def _parts(self, name: str, made: Any, taken: list[str]) -> list[tuple[str, Tensor]]:
        """An output under its name; of one that is counted, also how many count."""
        if not bounded.concerns([made]):
            return [(name, made)]
        return parts(self.em, name, made, self.warnings, taken)

"""A SavedModel, or a frozen GraphDef -> a graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.files import Mapped
from fanlight.formats.inventory import Inventory
from fanlight.formats.manifest import Skipped, checked
from fanlight.formats.names import ending_in, near_names
from fanlight.formats.random_weights import random_array
from fanlight.formats.savedmodel import protos
from fanlight.formats.savedmodel.graph import VARIABLES, parts
from fanlight.formats.savedmodel.objects import Place, places
from fanlight.formats.savedmodel.protos import Json, by_name
from fanlight.formats.savedmodel.tables import tables_of
from fanlight.formats.savedmodel.tensorbundle import Bundle
from fanlight.formats.savedmodel.tensors import tensor
from fanlight.formats.source import Options, Source
from fanlight.formats.tfgraph.nodes import parse_ref, shape_dims
from fanlight.formats.tfgraph.order import ordered
from fanlight.formats.tfgraph.reader import _Import, _refuse_unsupported, callable_nodes, inventory
from fanlight.formats.tfgraph.signature import Entry, Signature
from fanlight.formats.together import told_apart
from fanlight.formats.wire import Message

_MOST_FILE = 1 << 31  # protocol buffers hold no more
_HIDDEN = ("__saved_model_init_op", "__saved_model_train_op")
# What computes nothing, and so is no place to cut at.
_PLUMBING = frozenset(
    {"Const", "ReadVariableOp", "VarHandleOp", "VariableV2", "NoOp", "SaveV2", "RestoreV2",
     "AssignVariableOp", "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "Pack"}
)  # fmt: skip
_VOID = frozenset(
    {"NoOp", "Const", "Assert", "PrintV2", "SaveV2", "RestoreV2", "Assign", "Placeholder"}
)


def read_pb(file: Path, options: Options) -> Source:
    """Import saved_model.pb with the variables beside it, or a frozen GraphDef.

    Raises:
        FanlightError: E-FORMAT-nnn; E-FORMAT-018 if there is no such signature, tag or node.
    """
    with _mapped(file) as data:
        if file.name == "saved_model.pb":
            return _saved_model(file, data, options)
        return _frozen(file, data, options)


def ops_of(file: Path, options: Options) -> Inventory:
    """The ops that a signature, or the outputs of a frozen graph, need."""
    with _mapped(file) as data:
        found = _graph_of(file, data, options) if file.name == "saved_model.pb" else None
        parsed, signature = found[:2] if found else _frozen_graph(file, data, options)
        stop = frozenset(e.ref.node for e in signature.inputs)
        used = parts(parsed, [e.ref.node for e in signature.outputs], stop, file)
        return inventory(used.nodes, used.functions, stop)


@contextmanager
def _mapped(file: Path) -> Iterator[Mapped]:
    """The bytes of a file, read as they are needed."""
    data = Mapped(file, "E-FORMAT-001", "the model", _MOST_FILE)
    try:
        yield data
    finally:
        data.close()


class _Constants(Mapping[str, "np.ndarray | Skipped"]):
    """Constants and variables by name of node, each made when it is asked for."""

    def __init__(
        self,
        nodes: Mapping[str, Json],
        variables: Mapping[str, Place],
        bundle: Bundle | None,
        random: bool,
        data: Mapped,
        where: str,
    ) -> None:
        self._nodes, self._variables, self._bundle = nodes, variables, bundle
        self._random, self._data, self._where = random, data, where
        self.spread: set[str] = set()  # those whose elements are not all in the file
        self._outlines = False

    def outlined(self) -> _Constants:
        """The same, but with zeros for variables of many numbers, which are not read."""
        made = copy(self)
        made._outlines = True
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, name: str) -> np.ndarray | Skipped:
        node = self._nodes[name]
        here = f"node {name!r} in {self._where}"
        if node["op"] in VARIABLES:
            return self._variable(name, node, here)
        message = node["attr"].get("value", {}).get("tensor")
        if not isinstance(message, Message):
            raise KeyError(name)
        array = tensor(message, here)
        if array.nbytes > 4 * message.size:
            self.spread.add(name)
        self._data.forget(message.data(4))
        return Skipped("string", array) if array.dtype == object else array

    def _variable(self, name: str, node: Json, here: str) -> np.ndarray:
        dims = shape_dims(node["attr"].get("shape", {}).get("shape"), here)
        if self._random and dims is not None and None not in dims:
            return random_array(name, [d or 0 for d in dims])
        if self._outlines and dims and None not in dims and _floats(node):
            return np.broadcast_to(np.float32(0), [d or 0 for d in dims])
        place = self._variables.get(name)
        if place is None or self._bundle is None:
            raise FanlightError(
                "E-FORMAT-011",
                f"the variable {name[:120]!r} of the graph has no value among the files.",
                where=self._where,
                expected="a folder 'variables' with variables.index beside saved_model.pb"
                if self._bundle is None
                else "a variable of the checkpoint",
                received="a graph that was not frozen" if self._bundle is None else "none",
                next="keep the folder 'variables' beside the graph, or freeze the graph.",
            )
        array = self._bundle.array(place.key)
        if place.part is not None and len(place.part) == array.ndim:
            array = array[tuple(slice(s, None if n is None else s + n) for s, n in place.part)]
        array = np.ascontiguousarray(array).reshape(array.shape)
        if dims is not None and not _fits(array.shape, dims):
            raise FanlightError(
                "E-FORMAT-011",
                f"the variable {name[:120]!r} has another shape than the graph says.",
                where=here,
                expected=str(list(dims)),
                received=f"{list(array.shape)} under {place.key!r}"[:200],
            )
        return checked(array, name, self._where)


def _floats(node: Json) -> bool:
    return bool(node["attr"].get("dtype", {}).get("type") in (1, "DT_FLOAT"))


def _fits(shape: tuple[int, ...], dims: tuple[int | None, ...]) -> bool:
    return len(shape) == len(dims) and all(d in (None, s) for s, d in zip(shape, dims, strict=True))


# --- SavedModel -----------------------------------------------------------------------------------


def _graph_of(
    file: Path, data: Mapped, options: Options
) -> tuple[Json, Signature, str, Message, Mapping[str, Json]]:
    """The graph of a SavedModel, its signature and its key; the message, and its nodes by name."""
    where = str(file)
    graph = _tagged(Message(data.view, where), options, where)
    definition = graph.message(2, where)
    if definition is None:
        raise FanlightError(
            "E-FORMAT-005", "the SavedModel holds no graph.", where=where, expected="a GraphDef",
            received="none",
        )  # fmt: skip
    parsed = protos.graph_def(definition, where)
    nodes = by_name(parsed["node"], where)
    signature, key = _signature(graph, nodes, options, where)
    return parsed, signature, key, graph, nodes


def _saved_model(file: Path, data: Mapped, options: Options) -> Source:
    where = str(file)
    parsed, signature, key, graph, nodes = _graph_of(file, data, options)
    index = file.parent / "variables" / "variables.index"
    random = options.weights == "random"
    bundle = Bundle(index.with_suffix("")) if index.is_file() and not random else None
    objects = graph.message(7, f"the objects of {where}")
    variables = places(nodes, objects, bundle) if bundle is not None else {}
    first = [*_initializers(graph), *protos.collection(graph, "saved_model_main_op")]
    first += protos.collection(graph, "legacy_init_op")
    filling = _Filling(first, protos.assets(graph), objects)
    source = _run(file, data, parsed, signature, options, variables, bundle, filling)
    return replace(source, format="saved-model", metadata={**source.metadata, "signature": key})


@dataclass(frozen=True)
class _Filling:
    """What a SavedModel says about the filling of its tables; see tables.py."""

    initializers: Sequence[str] = ()
    assets: Mapping[str, str] = field(default_factory=dict)
    objects: Message | None = None


def _initializers(graph: Message) -> list[str]:
    """The nodes that run before anything else."""
    made = protos.signatures(graph).get("__saved_model_init_op", {}).get("outputs", {})
    return [parse_ref(info["name"]).node for info in made.values() if info["name"]]


def _tagged(model: Message, options: Options, where: str) -> Message:
    """The graph with the tags wanted: "serve" unless said otherwise, or the only one."""
    graphs = list(model.messages(2, where))
    tags = [tuple(m.texts(4)) if (m := g.message(1)) else () for g in graphs]
    wanted = set(options.tags) or {"serve"}
    found = [g for g, t in zip(graphs, tags, strict=True) if set(t) == wanted]
    found = found or [g for g, t in zip(graphs, tags, strict=True) if wanted <= set(t)]
    if not found and len(graphs) == 1 and not options.tags:
        found = graphs
    if found:
        return found[0]
    raise FanlightError(
        "E-FORMAT-018" if graphs else "E-FORMAT-005",
        "the SavedModel has no graph with these tags." if graphs else "this is no SavedModel.",
        where=where,
        expected="tags: " + ("; ".join(", ".join(t) or "none" for t in tags) or "at least one")
        if graphs
        else "a SavedModel message with a graph",
        received=", ".join(sorted(wanted)),
        next="say which: fl.load(path, tags=[...])." if graphs else "export the model again.",
    )


def _signature(
    graph: Message, nodes: Mapping[str, Json], options: Options, where: str
) -> tuple[Signature, str]:
    found = protos.signatures(graph)
    names = [n for n in found if n not in _HIDDEN and found[n]["outputs"]]
    key = options.signature
    if key is None:  # a cut has the inputs and the names of the default one, too
        key = "serving_default" if "serving_default" in names else None
        key = names[0] if key is None and len(names) == 1 else key
    if key is None and options.outputs:
        return _cut(nodes, (), (), options, where), ""
    if key not in names:
        raise FanlightError(
            "E-FORMAT-018",
            "the SavedModel has no signature of this name."
            if key
            else "the SavedModel has several signatures; say which."
            if names
            else "the SavedModel has no signature.",
            where=where,
            expected=", ".join(map(repr, names)) or "a signature",
            received=repr(key) if key else "no choice",
            next=f"say which: fl.load(path, signature={names[0]!r})."
            if names
            else "save it with signatures, or by model.export(path) in Keras; or name outputs.",
        )
    inputs = _entries(found[key]["inputs"], where)
    outputs = _entries(found[key]["outputs"], where)
    return _cut(nodes, inputs, outputs, options, where), key


def _entries(infos: Mapping[str, Json], where: str) -> tuple[Entry, ...]:
    made = []
    for name in sorted(infos, key=_natural):
        info = infos[name]
        if not info["name"]:
            raise FanlightError(
                "E-FORMAT-012",
                "a signature takes or gives what is not one tensor.",
                where=where,
                expected="dense tensors",
                received=f"{name!r}: sparse, ragged or composite"[:120],
            )
        dims = shape_dims(info["tensorShape"], where)
        made.append(Entry(name, parse_ref(info["name"]), dims, info["dtype"] or None))
    return tuple(made)


def _natural(name: str) -> tuple[Any, ...]:
    """output_2 before output_10."""
    return tuple(int(p) if p.isdigit() else p for p in re.split(r"(\d{1,9})", name))


# --- a frozen graph -------------------------------------------------------------------------------


def _frozen(file: Path, data: Mapped, options: Options) -> Source:
    parsed, signature = _frozen_graph(file, data, options)
    source = _run(file, data, parsed, signature, options, {}, None)
    return replace(source, format="frozen-graph")


def _frozen_graph(file: Path, data: Mapped, options: Options) -> tuple[Json, Signature]:
    where = str(file)
    parsed = protos.graph_def(Message(data.view, where), where)
    if not any(n["op"] for n in parsed["node"]):
        raise FanlightError(
            "E-FORMAT-005",
            "this is no frozen graph.",
            where=where,
            expected="a GraphDef with nodes, or saved_model.pb under its own name",
            received="a message without nodes",
        )
    nodes = by_name(parsed["node"], where)
    inputs = [_placeholder(n, where) for n in nodes.values() if n["op"] == "Placeholder"]
    consumed = {i.lstrip("^").split(":")[0] for n in nodes.values() for i in n["input"]}
    ends = [n for n in nodes.values() if n["name"] not in consumed and n["op"] not in _VOID]
    outputs = [Entry(n["name"], parse_ref(n["name"])) for n in ends]
    signature = _cut(nodes, tuple(inputs), tuple(outputs), options, where)
    if not signature.outputs:
        raise FanlightError(
            "E-FORMAT-015" if nodes else "E-FORMAT-005",
            "no node of the graph is an output: each feeds another.",
            where=where,
            expected="a node that nobody consumes",
            received=f"{len(nodes)} nodes",
            next="name them: fl.load(path, outputs=[...]).",
        )
    return parsed, signature


def _placeholder(node: Json, where: str) -> Entry:
    attrs = node["attr"]
    dims = shape_dims(attrs.get("shape", {}).get("shape"), where)
    if not dims:  # graphs of before 2017 leave out the shape, or write an empty one for any
        listed = attrs.get("_output_shapes", {}).get("list", {}).get("shape") or [None]
        dims = shape_dims(listed[0], where) or None
    return Entry(node["name"], parse_ref(node["name"]), dims, attrs.get("dtype", {}).get("type"))


def _cut(
    nodes: Mapping[str, Json],
    inputs: tuple[Entry, ...],
    outputs: tuple[Entry, ...],
    options: Options,
    where: str,
) -> Signature:
    """Inputs and outputs, or those that the caller names: of the signature, or nodes."""
    return Signature(
        tuple(_named(n, inputs, nodes, "inputs", where) for n in options.inputs) or inputs,
        tuple(_named(n, outputs, nodes, "outputs", where) for n in options.outputs) or outputs,
    )


def _named(
    name: str, entries: tuple[Entry, ...], nodes: Mapping[str, Json], what: str, where: str
) -> Entry:
    for entry in entries:
        if name in (entry.name, entry.ref.node, f"{entry.ref.node}:{entry.ref.index}"):
            return entry
    ref = parse_ref(name)
    if ref.node not in nodes:
        ends = ending_in(name, nodes)
        if len(ends) == 1:
            return _named(ends[0], entries, nodes, what, where)
        real = [n for n, node in nodes.items() if node["op"] not in _PLUMBING]
        near = ends or near_names(name, real)
        raise FanlightError(
            "E-FORMAT-018",
            f"the graph has no node for one of the {what}."
            if not ends
            else f"several nodes of the graph end in the name of one of the {what}.",
            where=where,
            expected=", ".join([*(e.name for e in entries), *(near or real)[:12]])[:600],
            received=name[:120],
            next=(f"did you mean {' or '.join(near[:3])}? " if near else "")
            + "A node inside of a function is no node of the graph itself: fl.convert(fl.load(path)"
            f", destination, {what}=[name]) cuts there; fanlight inspect PATH --names lists all.",
        )
    node = nodes[ref.node]
    listed = node["attr"].get("_output_shapes", {}).get("list", {}).get("shape") or []
    dims = shape_dims(listed[ref.index], where) if ref.index < len(listed) else None
    if node["op"].startswith("Placeholder"):
        return _placeholder(node, where)
    dtype = next((node["attr"][a].get("type") for a in ("dtype", "T") if a in node["attr"]), None)
    return Entry(name, ref, dims, dtype)


# --- both -----------------------------------------------------------------------------------------


def _run(
    file: Path,
    data: Mapped,
    parsed: Json,
    signature: Signature,
    options: Options,
    variables: Mapping[str, Place],
    bundle: Bundle | None,
    filling: _Filling = _Filling(),
) -> Source:
    stop = frozenset(e.ref.node for e in signature.inputs)
    found = parts(parsed, [e.ref.node for e in signature.outputs], stop, file)
    random = options.weights == "random"
    constants = _Constants(found.constants, variables, bundle, random, data, str(file))
    used, called, debug = callable_nodes(found.nodes, found.functions, signature, file)
    inner = [n for f in called.values() for n in f.nodes.values()]
    if not options.readable:
        _refuse_unsupported(used, inner, stop, file)
    filled = tables_of(
        parsed,
        used,
        filling.initializers,
        lambda nodes: _Constants(nodes, variables, bundle, random, data, str(file)),
        filling.assets,
        bundle,
        filling.objects,
        file,
        options.tables,
    )
    order = ordered(used, stop)

    def read(asked: Options) -> Source:
        stored = constants.outlined() if asked.sketch else constants
        return _Import(file, asked, signature, stored, called, filled).run(order)

    return replace(told_apart(read(options), options, read), debug_ops=debug)

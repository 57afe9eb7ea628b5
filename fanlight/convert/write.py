"""Writing each kind of destination."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from fanlight.convert.kinds import OF_LAYERS, TARGETS
from fanlight.convert.model import Opened
from fanlight.errors import FanlightError
from fanlight.formats.onnx_writer.beside import data_files
from fanlight.formats.shards import SHARD_BYTES, Quantize
from fanlight.formats.source import Options as Sizes
from fanlight.formats.source import Port, Source
from fanlight.formats.spelling_bytes import BYTES
from fanlight.graph import Graph
from fanlight.graph.batch import Fixed, free_batch
from fanlight.layers import file_safetensors, saving


@dataclass(frozen=True)
class Options:
    """What a caller says about the files."""

    quantize: Quantize | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    shard_bytes: int = SHARD_BYTES
    structured_outputs: bool = False
    opset: int | None = None


def _what(kind: str) -> str:
    """What a kind of file is, in a few words without an article."""
    return re.split("[:,]", TARGETS[kind])[0].removeprefix("a ")


def refuse_needless(options: Options, kind: str, dynamic: Sequence[str] | None) -> None:
    """E-CONVERT-002 for options that a kind of file has no use for."""
    graphs = ("tfjs", "tfjs-layers", "tfjs-graph")
    asked = {
        "metadata": (bool(options.metadata), (*graphs, "onnx")),
        "shard_bytes": (options.shard_bytes != SHARD_BYTES, graphs),
        "structured_outputs": (options.structured_outputs, ("tfjs-graph",)),
        "opset": (options.opset is not None, ("onnx",)),
        "dynamic": (dynamic is not None, (*graphs, "onnx")),
    }
    for name, (given, kinds) in asked.items():
        if given and kind not in kinds:
            raise FanlightError(
                "E-CONVERT-002",
                f"{name} has no meaning for this kind of file.",
                where=name,
                expected=f"{' or '.join(k for k in kinds if k != 'tfjs')}",
                received=kind,
                next="leave it out.",
            )


def unmatched(options: Options, target: Path) -> list[str]:
    """What to say of patterns for weights that no weight of a TF.js model matches."""
    if options.quantize is None or not options.quantize.globs:
        return []
    described = json.loads((target / "model.json").read_bytes())
    names = [w["name"] for group in described["weightsManifest"] for w in group["weights"]]
    return [
        f"No weight matches {pattern!r}, so none is {kind}; the names are such as {names[:3]}."
        for kind, pattern in options.quantize.globs
        if not fnmatch.filter(names, pattern)
    ]


@dataclass(frozen=True)
class Written:
    """What was written: what it is, and files with bytes."""

    kind: str
    files: Mapping[str, int]

    def with_files(self, target: Path) -> Written:
        """The same, with the files that are at the target."""
        if not target.is_dir():
            listed = [target, *(data_files(target) if self.kind == "onnx" else [])]
            return replace(self, files={f.name: f.stat().st_size for f in listed})
        listed = [f for f in sorted(target.rglob("*")) if f.is_file()]
        return replace(self, files={str(f.relative_to(target)): f.stat().st_size for f in listed})


def write(
    opened: Opened,
    kind: str,
    target: Path,
    options: Options,
    free: bool | None,
    notes: list[str],
) -> Written:
    """Write a model.

    Args:
        free: whether the batch stays free: True it must, None where it can.
        notes: gets what is to be said about it.

    Raises:
        FanlightError: E-CONVERT-002 the source cannot become that.
    """
    if options.quantize is not None and kind not in ("tfjs", "tfjs-layers", "tfjs-graph"):
        raise FanlightError(
            "E-CONVERT-002",
            "weights are quantised for TF.js alone.",
            where="quantize",
            expected="tfjs-layers or tfjs-graph",
            received=kind,
            next="for a page: fanlight build --precision int8 or f16."
            if kind == "bundle"
            else "leave quantize out, or write for TF.js: --to tfjs.",
        )
    if writes_layers(opened, kind):
        return _layers(opened, kind, target, options, free, notes)
    if kind == "safetensors":
        return _weights(opened, target)
    if kind == "bundle":
        from fanlight.build import build

        build(opened.loaded or opened.graph, target)
        return Written(kind, {}).with_files(target)
    if kind == "tfjs" and opened.inside:
        notes.append("A graph-model, for this part of the source is no layers.")
    from fanlight.formats import write_graph_model, write_onnx
    from fanlight.passes import fold

    source = _source(opened, free)
    # Weights that scales are folded into would take bytes one step off here and there.
    rewrite = None if any(n.op in BYTES for n in opened.graph.nodes) else fold
    if kind == "onnx":
        rewrite = None if rewrite is None else partial(fold, channels_first=True)
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in options.metadata.items()}
        opset = 18 if options.opset is None else options.opset
        notes += write_onnx(source, target, opset=opset, metadata=texts, rewrite=rewrite)
        return Written(kind, {}).with_files(target)
    notes += write_graph_model(
        source,
        target,
        quantize=options.quantize,
        shard_bytes=options.shard_bytes,
        metadata=options.metadata,
        structured_outputs=options.structured_outputs,
        rewrite=rewrite,
    )
    return Written("tfjs-graph", {}).with_files(target)


def writes_layers(opened: Opened, kind: str) -> bool:
    """Whether a file of this kind is made of the source's layers, rather than of its graph."""
    return kind in OF_LAYERS or (opened.layers is not None and kind in ("tfjs", "safetensors"))


def _layers(
    opened: Opened,
    kind: str,
    target: Path,
    options: Options,
    free: bool | None,
    notes: list[str],
) -> Written:
    if opened.layers is None and opened.inside:
        raise FanlightError(
            "E-CONVERT-002",
            f"this part of the source is no layers, and a {_what(kind)} is made of them.",
            where=opened.where,
            expected="a part from results of layers to those of others, each of which is used once",
            received=f"{', '.join(v.name for v in opened.graph.inputs)} to "
            f"{', '.join(n for n, _ in opened.graph.outputs)}"[:300],
            next="name other layers, or write a graph: --to tfjs-graph, --to onnx or --to bundle.",
        )
    if opened.layers is None:
        raise FanlightError(
            "E-CONVERT-002",
            f"the source has no layers, and a {_what(kind)} is made of them.",
            where=opened.where,
            expected="a source with layers: .keras, .h5, a TF.js layers-model",
            received=opened.format,
            next="write a graph: --to tfjs-graph, --to onnx or --to bundle.",
        )
    if free is False and kind != "safetensors":
        raise FanlightError(
            "E-CONVERT-002",
            "layers always take a free batch.",
            where="dynamic",
            expected="batch, or a graph: --to tfjs-graph, --to onnx",
            received="none",
            next="leave dynamic out, or write a graph: --to tfjs-graph or --to onnx.",
        )
    model = opened.layers()
    if kind not in ("tfjs", "tfjs-layers"):
        saving.save_model(model, target)
        notes += _kept_open(opened, model)
        notes += _own_objects(model) if kind in ("keras", "h5") else []
        return Written(kind, {}).with_files(target)
    unsized = opened.open_sizes
    try:
        route, told = saving.write_tfjs(
            model,
            target,
            layers=True if kind == "tfjs-layers" or unsized is not None else None,
            quantize=options.quantize,
            shard_bytes=options.shard_bytes,
            metadata=options.metadata,
            options=None if unsized is not None else sizes_of(opened.graph, model),
        )
    except FanlightError as error:
        if unsized is None or kind == "tfjs-layers" or error.code != "E-LAYER-009":
            raise
        raise FanlightError(
            unsized.code,
            f"{unsized.message.rstrip('.')}, and only a graph-model, which needs sizes, can be "
            f"written, for TF.js has not: {error.received}.",
            where=unsized.where,
            expected=unsized.expected,
            received=unsized.received,
            next=unsized.next,
        ) from None
    notes += told
    if route == "layers-model":
        notes += _kept_open(opened, model)
    return Written(f"tfjs-{route.removesuffix('-model')}", {}).with_files(target)


def _own_objects(model: Any) -> list[str]:
    """What to say of registered classes and functions, of which a file has the names alone."""
    found: dict[str, None] = {}

    def search(part: Any) -> None:
        if isinstance(part, Mapping):
            names = [part.get("registered_name"), part.get("class_name")]
            names.append(part.get("config") if names[1] == "function" else None)
            own = saving.get_custom_objects()
            found.update(dict.fromkeys(n for n in names if isinstance(n, str) and n in own))
        for inner in part.values() if isinstance(part, Mapping) else part:
            if isinstance(inner, Mapping | list | tuple):
                search(inner)

    search(saving.serialize_keras_object(model))
    if not found:
        return []
    return [
        f"The file has the names alone of {', '.join(found)}: Keras loads it where they are "
        "defined with @keras.saving.register_keras_serializable() above them."
    ]


def _kept_open(opened: Opened, model: Any) -> list[str]:
    """What to say of sizes that were given, where layers keep theirs open."""
    kept = []
    for v, (dims, _) in zip(opened.graph.inputs, model.input_types().values(), strict=True):
        given = [n for d, n in zip(dims, v.type.shape, strict=True) if d is None]
        if given[dims[0] is None :] or given[:1] not in ([], [1]):  # a batch of 1 is the usual one
            kept.append(f"{v.name} {list(v.type.shape)}")
    if not kept or not opened.sized:
        return []
    return [
        f"Layers keep the sizes of their inputs open: {', '.join(kept)} was for the check alone. A "
        "graph has the sizes that are given: write tfjs-graph, onnx or bundle."
    ]


def sizes_of(graph: Graph, model: Any) -> Sizes:
    """The shapes of a graph's inputs for those of a model of layers, by place."""
    shapes: list[Any] = [v.type.shape for v in graph.inputs]
    return Sizes(input_shapes=dict(zip(model.input_types(), shapes, strict=True)))


def _weights(opened: Opened, target: Path) -> Written:
    file_safetensors.write_arrays(target, {v.name: a for v, a in opened.graph.weights.items()})
    return Written("safetensors", {}).with_files(target)


def _source(opened: Opened, free: bool | None) -> Source:
    """The source as writers of graphs take it: they keep a batch free where that can be."""
    batched = () if free is False else opened.batched
    if free:
        try:
            free_batch(opened.graph, batched)
        except Fixed as why:
            raise FanlightError(
                "E-CONVERT-002",
                "the batch of this model cannot stay free.",
                where=opened.where,
                expected="a model whose examples stay apart",
                received=str(why),
                next="leave --dynamic out: the result then takes one example at a time.",
            ) from None
    graph = opened.graph
    return Source(
        graph=graph,
        format=opened.format,
        inputs=tuple(Port(v.name, v.name, v.name in batched) for v in graph.inputs),
        outputs=tuple(Port(n, n, bool(batched)) for n, _ in graph.outputs),
        labels=opened.labels,
    )

"""Writing each kind of destination, and reading it back for the check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.build import build
from fanlight.convert.free import batch_or_not
from fanlight.convert.kinds import OF_LAYERS, TARGETS
from fanlight.convert.model import Opened
from fanlight.errors import FanlightError
from fanlight.formats.source import Port, Source
from fanlight.graph import Graph, evaluate
from fanlight.layers import file_safetensors, saving

# Above this, a model is not read again to find out how its batch can stay free.
_MOST_FOR_FREE = 256 << 20
Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Options:
    """What a caller says about the files.

    Attributes:
        quantize: dtype -> patterns of the names of weights, none of them: all others.
    """

    quantize: Mapping[str, tuple[str, ...]] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    strip_debug_ops: bool = False
    shard_bytes: int = 4 << 20


@dataclass(frozen=True)
class Written:
    """What was written: files with bytes; of a bundle, the bundle."""

    files: Mapping[str, int]
    bundle: Any = None


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
    if options.quantize is not None and kind not in ("tfjs-layers", "tfjs-graph"):
        raise FanlightError(
            "E-CONVERT-002",
            f"weights are not quantised in {TARGETS[kind].split(',')[0]}.",
            where="quantize",
            expected="tfjs-layers or tfjs-graph",
            received=kind,
            next="for a page: fanlight build --precision int8 or f16."
            if kind == "bundle"
            else None,
        )
    if kind in OF_LAYERS or (kind == "safetensors" and opened.layers is not None):
        return _layers(opened, kind, target, options)
    if kind == "safetensors":
        return _weights(opened, target)
    if kind == "bundle":
        bundle = build(opened.loaded or opened.graph, target)
        return Written(_files(target), bundle)
    source = _source(opened, free, notes)
    if kind == "tfjs-graph":
        from fanlight.formats.tfgraph.writer import write_graph_model

        write_graph_model(
            source,
            target,
            quantize=options.quantize,
            shard_bytes=options.shard_bytes,
            metadata=options.metadata,
        )
    else:
        from fanlight.formats.onnx_writer import write_onnx

        write_onnx(source, target)
    return Written(_files(target))


def _layers(opened: Opened, kind: str, target: Path, options: Options) -> Written:
    if opened.layers is None:
        raise FanlightError(
            "E-CONVERT-002",
            f"a {opened.format} has no layers, and {TARGETS[kind].split(',')[0]} is made of them.",
            where=opened.where,
            expected="a source with layers: .keras, .h5, a TF.js layers-model",
            received=opened.format,
            next="write a graph: --to tfjs-graph, --to onnx or --to bundle.",
        )
    model = opened.layers()
    if kind == "tfjs-layers":
        from fanlight.layers import file_tfjs

        file_tfjs.write(model, target, True, True)
    else:
        saving.save_model(model, target)
    return Written(_files(target))


def _weights(opened: Opened, target: Path) -> Written:
    file_safetensors.write_arrays(target, {v.name: a for v, a in opened.graph.weights.items()})
    return Written(_files(target))


def _source(opened: Opened, free: bool | None, notes: list[str]) -> Source:
    """The graph with its batch free, where that is wanted and can be."""
    graph: Graph | None = None
    if free is not False and opened.at is not None:
        large = opened.graph.weight_bytes() > _MOST_FOR_FREE
        if free or not large:
            graph, why = batch_or_not(opened.at, opened.batched)
            if graph is None and free:
                raise FanlightError(
                    "E-CONVERT-002",
                    "the batch of this model cannot stay free.",
                    where=opened.where,
                    expected="a model that does the same for every size of the batch",
                    received=why,
                    next="leave --dynamic out: the result then takes one example at a time.",
                )
            if graph is None:
                notes.append(f"The result takes one example at a time: {why}")
        else:
            notes.append("The model is large, so its batch is 1; --dynamic batch keeps it free.")
    elif opened.batched and free is not False:
        notes.append("The result takes one example at a time: only files have a free batch.")
    graph = graph or opened.graph
    symbolic = graph is not opened.graph
    return Source(
        graph=graph,
        format=opened.format,
        inputs=tuple(
            Port(v.name, v.name, symbolic and v.name in opened.batched) for v in graph.inputs
        ),
        outputs=tuple(Port(n, n, symbolic) for n, _ in graph.outputs),
        labels=opened.labels,
    )


def _files(target: Path) -> dict[str, int]:
    if not target.is_dir():
        return {target.name: target.stat().st_size}
    return {
        str(f.relative_to(target)): f.stat().st_size
        for f in sorted(target.rglob("*"))
        if f.is_file()
    }


def read_back(written: Written, kind: str, target: Path, source: Graph) -> tuple[Run, Graph | None]:
    """What computes with the files that were written: a function, and the graph that it is of."""
    names = [name for name, _ in source.outputs]
    if written.bundle is not None:
        bundle = written.bundle
        given = [i["name"] for i in bundle.manifest["inputs"]]

        def run_bundle(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
            results = bundle.run(dict(zip(given, arrays, strict=True)), host="numpy")
            return [results[name] for name in names]

        return run_bundle, None
    if kind == "safetensors":
        layers = file_safetensors.has_layers(target)
        graph = saving.load_model(target).graph if layers else _with_weights(source, target)
    else:
        graph = saving.load(target).graph

    def run(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        inputs = dict(zip([v.name for v in graph.inputs], arrays, strict=True))
        cast = {
            v.name: np.asarray(inputs[v.name]).astype(_NUMPY[v.dtype], copy=False)
            for v in graph.inputs
        }
        return list(evaluate(graph, cast).values())

    return run, graph


_NUMPY: dict[str, Any] = {
    "float32": np.float32,
    "int32": np.int32,
    "uint8": np.uint8,
    "bool": np.bool_,
    "int8": np.int8,
}


def _with_weights(source: Graph, target: Path) -> Graph:
    """The source's graph with the weights of the file."""
    stored = file_safetensors.arrays(target)
    weights = {v: stored[v.name].load().astype(_NUMPY[v.dtype]) for v in source.weights}
    return Graph(source.name, source.inputs, source.outputs, source.nodes, weights)

"""write_graph_model: a graph as the folder of a TF.js graph-model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.formats.atomic import new_folder
from fanlight.formats.shards import SHARD_BYTES, ShardWriter, quantization
from fanlight.formats.tfgraph_writer import control, elementwise, fuse, neural, shaping
from fanlight.formats.tfgraph_writer.nodes import NodeWriter, Out, Unsupported, dtype, shape_of
from fanlight.formats.writing import prepared
from fanlight.graph import Graph, Node, subgraphs
from fanlight.graph.batch import Fixed
from fanlight.version import __version__

WRITES: dict[str, Any] = {
    **elementwise.WRITES,
    **shaping.WRITES,
    **neural.WRITES,
    **control.WRITES,
}
_PRODUCER = "1882"  # of the GraphDefs of TensorFlow 2.19


def write_graph_model(
    source: Any,
    folder: str | Path,
    *,
    quantize: Any = None,
    shard_bytes: int = SHARD_BYTES,
    metadata: Mapping[str, Any] | None = None,
    signature: Mapping[str, str] | None = None,
    structured_outputs: bool = False,
    overwrite: bool = True,
    rewrite: Callable[[Graph], Graph] | None = None,
) -> tuple[str, ...]:
    """Write a model as a TF.js graph-model: model.json and its shards.

    Convolutions and products are one node with their bias and activation. Inputs whose leading dim
    was free in the source are free in the file, too, where every op keeps the examples of a batch
    apart.

    Args:
        source: a Graph, or anything that has one as `.graph`: a Source, what `fl.load` gives, a
            model of layers.
        folder: where to write it; a TF.js model that is there is replaced.
        quantize: see `fanlight.formats.shards.quantization`: "float16", "uint8=conv*", ...
        shard_bytes: bytes of a file of weights.
        metadata: what the model says about itself: userDefinedMetadata.
        signature: names of inputs and outputs of the graph -> those that the page shall use.
        structured_outputs: whether `predict` gives outputs by name rather than in a list.
        overwrite: False refuses a folder that is there.
        rewrite: makes of the graph one that means the same and suits TF.js better:
            `fanlight.passes.fold` for one.

    Returns:
        What a reader of the report should know: why a batch had to stay fixed, that the page has
        to call executeAsync.

    Raises:
        FanlightError: E-FORMAT-040 ops that TF.js has not, all listed; E-FORMAT-041 a quantisation
            that is none; E-LAYER-010 the folder cannot be written.
    """
    asked = quantization(quantize)
    try:
        graph, told = prepared(source, WRITES, "tfjs")
    except Fixed as error:
        raise FanlightError(
            "E-FORMAT-040",
            "the model has a loop that is too long to be written out.",
            where=getattr(source, "name", None),
            expected="at most 4,096 turns and 200,000 nodes",
            received=str(error),
            next="fl.build makes a bundle of it.",
        ) from None
    # Weights of ops on bytes are float32 for TF.js: written as the bytes that they are.
    weights = getattr(source, "graph", source).weights.values()
    bytewise = any(a.dtype in (np.int8, np.uint8) and a.ndim > 1 for a in weights)
    writer, references = _written(graph if rewrite is None else rewrite(graph))
    if writer.dynamic:
        told.append(
            "the page has to call model.executeAsync: "
            f"{writer.dynamic[0]} is not known beforehand ({len(writer.dynamic)} such nodes)"
        )
    names = dict(signature or {})
    unknown = sorted(set(names) - {v.name for v in graph.inputs} - {n for n, _ in graph.outputs})
    if unknown:
        raise FanlightError(
            "E-FORMAT-018",
            "the signature names what the model does not have.",
            where="signature",
            expected=", ".join([*(v.name for v in graph.inputs), *(n for n, _ in graph.outputs)]),
            received=", ".join(unknown),
            next="take names of that list.",
        )
    own = dict(metadata or {})
    if structured_outputs:
        own["structuredOutputKeys"] = [names.get(n, n) for n, _ in graph.outputs]
    topology: dict[str, Any] = {"node": writer.nodes, "versions": {"producer": int(_PRODUCER)}}
    if writer.functions:
        topology["library"] = {"function": writer.functions}
    described: dict[str, Any] = {
        "format": "graph-model",
        "generatedBy": f"Fanlight {__version__}",
        "convertedBy": f"Fanlight {__version__}",
        "signature": _signature(graph, names, references),
        "modelTopology": topology,
    }
    if own:
        described["userDefinedMetadata"] = own
    with new_folder(Path(folder), overwrite) as temporary:
        with ShardWriter(temporary, quantize=asked, shard_bytes=shard_bytes) as shards:
            for name, array in writer.constants.items():
                shards.write(name, array, bytewise=bytewise)
            described["weightsManifest"] = [shards.finish()]
        text = json.dumps(described, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        (temporary / "model.json").write_bytes(text.encode())
    return tuple(told)


def _written(graph: Graph) -> tuple[NodeWriter, dict[str, str]]:
    wrong = _unknown(graph)
    writer = NodeWriter(_emit)
    references: dict[str, str] = {}
    try:
        for v in graph.inputs:
            kind = {"type": dtype(v.dtype)}
            shape = {"shape": shape_of(v.shape)}
            references[v.name] = writer.add("Placeholder", [], v.name, shape=shape, dtype=kind)
            writer.bind(v, references[v.name])
    except Unsupported as error:
        wrong.append(f"{v.name} (input): {error}")
    if wrong:
        raise _refused(graph, wrong)
    made = writer.run(graph)
    for (name, value), reference in zip(graph.outputs, made, strict=True):
        # An Identity of its own: an output of one node may be another's, or an input.
        end = writer.add("Identity", [reference], name, T={"type": dtype(value.dtype)})
        references[f"{name}:out"] = end
    return writer, references


def _emit(writer: NodeWriter, graph: Graph) -> None:
    ends, inside = fuse.plan(graph)
    for node in graph.nodes:
        if node not in inside:
            _emit_node(writer, node, ends.get(node))


def _emit_node(writer: NodeWriter, node: Node, fused: fuse.Fused | None) -> None:
    try:
        made = WRITES[node.op](Out(writer, node)) if fused is None else fuse.write(writer, fused)
    except Unsupported as error:
        raise FanlightError(
            "E-FORMAT-040",
            f"TF.js cannot compute {node.op} as the model has it.",
            where=f"{node.name} ({node.op})",
            expected="what TF.js 4.22 has",
            received=str(error),
            next="write another format; a bundle of fl.build holds every op.",
        ) from None
    references = made if isinstance(made, list) else [made]
    for value, reference in zip(node.outputs, references, strict=True):
        writer.bind(value, reference)


def _unknown(graph: Graph) -> list[str]:
    found = []
    for node in graph.nodes:
        if node.op not in WRITES:
            found.append(f"{node.name} ({node.op})")
        for body in subgraphs(node).values():
            found += _unknown(body.graph)
    return found


def _refused(graph: Graph, wrong: Sequence[str]) -> FanlightError:
    return FanlightError(
        "E-FORMAT-040",
        f"TF.js has no ops for {len(wrong)} nodes of the model.",
        where=graph.name,
        expected="ops of TF.js 4.22",
        received=", ".join(wrong[:30]) + (", ..." if len(wrong) > 30 else ""),
        next="write another format; a bundle of fl.build holds every op.",
    )


def _signature(
    graph: Graph, names: Mapping[str, str], references: Mapping[str, str]
) -> dict[str, Any]:
    def entry(reference: str, value: Any) -> dict[str, Any]:
        return {
            "name": f"{reference}:0",
            "dtype": dtype(value.dtype),
            "tensorShape": shape_of(value.shape),
        }

    return {
        "inputs": {names.get(v.name, v.name): entry(references[v.name], v) for v in graph.inputs},
        "outputs": {names.get(n, n): entry(references[f"{n}:out"], v) for n, v in graph.outputs},
    }

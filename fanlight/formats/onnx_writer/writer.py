"""write_onnx: a graph as an ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.formats.onnx_writer import elementwise, neural, proto, quantized, shaping
from fanlight.formats.onnx_writer.beside import new_name, write_pair
from fanlight.formats.onnx_writer.nodes import NodeWriter, Out, Unsupported
from fanlight.formats.writing import prepared
from fanlight.graph import Graph, Node, subgraphs
from fanlight.graph.batch import Fixed
from fanlight.version import __version__

WRITES: dict[str, Any] = {
    **elementwise.WRITES,
    **shaping.WRITES,
    **neural.WRITES,
    **quantized.WRITES,
}
OPSETS = (17, 18, 19, 20, 21)
_MOST = 2_000_000_000  # bytes of weights inside: a protocol buffer ends at 2 GiB
_LARGE = 1024  # bytes from which a weight goes into a file of its own


def write_onnx(
    source: Any,
    path: str | Path,
    *,
    opset: int = 18,
    external: bool | None = None,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = True,
    rewrite: Callable[[Graph], Graph] | None = None,
) -> tuple[str, ...]:
    """Write a model as ONNX.

    Inputs keep their own layout, [N, H, W, C] of images: inside, images are turned to the layout
    of ONNX once, and back where an op wants it. Inputs whose leading dim was free in the source
    have the symbol "batch" there, where every op keeps the examples of a batch apart.

    Args:
        source: a Graph, or anything that has one as `.graph`: a Source, what `fl.load` gives, a
            model of layers.
        path: of the .onnx file.
        opset: 17 to 21. In 17 some ops are not there; the error names what needs 18.
        external: whether weights go into a file beside it, PATH.data (PATH.2.data and so on where
            an older model has that one); default: from 2 GB on.
        metadata: texts that go along: metadata_props.
        overwrite: False refuses a file that is there. A model that is replaced stays readable
            until the new one stands; then its file of weights goes.
        rewrite: makes of the graph one that means the same and suits ONNX better:
            `fanlight.passes.fold`.

    Returns:
        What a reader of the report should know: why a batch had to stay fixed.

    Raises:
        FanlightError: E-FORMAT-040 ops that ONNX has not, all listed, or no such opset;
            E-LAYER-010 the file cannot be written.
    """
    if opset not in OPSETS:
        raise FanlightError(
            "E-FORMAT-040",
            "this version of ONNX is not written.",
            where="opset",
            expected=", ".join(map(str, OPSETS)),
            received=repr(opset)[:40],
        )
    target = Path(path)
    try:
        graph, told = prepared(source, WRITES, "onnx")
    except Fixed as error:
        raise _unwritable(
            source.graph if hasattr(source, "graph") else source, [str(error)]
        ) from None
    writer = NodeWriter(_emit, opset=opset)
    inputs, outputs = _written(graph if rewrite is None else rewrite(graph), writer)
    beside = new_name(target)
    total = sum(a.nbytes for a in writer.constants.values())
    outside = total > _MOST if external is None else external
    initializers, offset, stored = [], 0, []
    for name, array in writer.constants.items():
        large = outside and array.nbytes >= _LARGE
        initializers.append(proto.tensor(name, array, (beside.name, offset) if large else None))
        if large:
            stored.append(array)
            offset += array.nbytes
    made = proto.GraphPieces(graph.name, writer.nodes, inputs, outputs, initializers)
    producer = ("Fanlight", __version__)
    pieces = proto.model(made, opset, producer, dict(metadata or {}))
    data = (proto.raw(a) for a in stored)
    write_pair(target, proto.written(pieces), data, beside if stored else None, overwrite)
    return tuple(told)


def _written(graph: Graph, writer: NodeWriter) -> tuple[list[proto.Pieces], list[proto.Pieces]]:
    wrong = _unknown(graph)
    if wrong:
        raise _unwritable(graph, wrong)
    inputs, outputs = [], []
    # The names of what the caller sees are taken first.
    ends = [writer.fresh(name) for name, _ in graph.outputs]
    for v in graph.inputs:
        name = writer.fresh(v.name)
        writer.bind(v, name)
        inputs.append(proto.value_info(name, v.dtype, v.shape))
    for (_, value), made, end in zip(graph.outputs, writer.run(graph), ends, strict=True):
        writer.nodes.append(proto.node("Identity", [made], [end], end, {}))
        outputs.append(proto.value_info(end, value.dtype, value.shape))
    return inputs, outputs


def _emit(writer: NodeWriter, node: Node) -> None:
    out = Out(writer, node)
    try:
        made = WRITES[node.op](out)
    except Unsupported as error:
        raise _unwritable(None, [f"{node.name} ({node.op}): {error}"]) from None
    references = made if isinstance(made, list) else [made]
    add = writer.sums.get(node)
    for value, reference in zip((add or node).outputs, references, strict=True):
        writer.bind(value, reference, out.is_turned and len(value.shape) == 4)


def _unknown(graph: Graph) -> list[str]:
    found = []
    for node in graph.nodes:
        if node.op not in WRITES:
            found.append(f"{node.name} ({node.op})")
        for body in subgraphs(node).values():
            found += _unknown(body.graph)
    return found


def _unwritable(graph: Graph | None, wrong: list[str]) -> FanlightError:
    return FanlightError(
        "E-FORMAT-040",
        f"{len(wrong)} nodes of the model are not written as ONNX.",
        where=None if graph is None else graph.name,
        expected="ops that ONNX has",
        received=", ".join(wrong[:30]) + (", ..." if len(wrong) > 30 else ""),
        next="write_onnx(..., opset=18), which is the default."
        if any("needs opset" in w for w in wrong)
        else "write another format; a bundle of fl.build holds every op.",
    )

"""What writers of graphs do to a model before they write it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from fanlight.formats.spelling import spelled
from fanlight.graph import Graph, Node
from fanlight.graph.batch import Fixed, free_batch, unroll_scans


def prepared(source: Any, known: Container[str], format: str) -> tuple[Graph, list[str]]:
    """The graph with scans written out, ops that the format has not put together of those that it
    has, and batches free; what there is to tell.

    Args:
        source: a Graph, or anything that has one as `.graph`: a Source, what `fl.load` gives, a
            model of layers.
        known: the ops that the format has.
        format: "tfjs" or "onnx".

    Raises:
        Fixed: a scan is too long to be written out.
    """
    graph: Graph = source if isinstance(source, Graph) else source.graph
    batched = getattr(source, "batched", None)
    if batched is None and not isinstance(source, Graph):
        batched = {port.name: port.batched for port in source.inputs}
    graph = spelled(unroll_scans(graph), known, format)
    free = [name for name, is_free in (batched or {}).items() if is_free]
    if not free:
        return graph, []
    try:
        return free_batch(graph, free), []
    except Fixed as error:
        return graph, [f"the batch is fixed to 1: {error}"]


def within_a_byte(maker: Node | None) -> bool:
    """Whether a node makes what fits a byte, so that a cast to bytes need not clip."""
    return (
        maker is not None
        and maker.op == "clip"
        and maker.attrs["lo"] >= 0
        and maker.attrs["hi"] <= 255
    )

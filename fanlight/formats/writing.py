"""What writers of graphs do to a model before they write it."""

from __future__ import annotations

from typing import Any

from fanlight.graph import Graph
from fanlight.graph.batch import Fixed, free_batch, unroll_scans


def prepared(source: Any) -> tuple[Graph, list[str]]:
    """The graph with scans written out and batches free; what there is to tell.

    Args:
        source: a Graph, or anything that has one as `.graph`: a Source, what `fl.load` gives, a
            model of layers.

    Raises:
        Fixed: a scan is too long to be written out.
    """
    graph: Graph = source if isinstance(source, Graph) else source.graph
    batched = getattr(source, "batched", None)
    if batched is None and not isinstance(source, Graph):
        batched = {port.name: port.batched for port in source.inputs}
    graph = unroll_scans(graph)
    free = [name for name, is_free in (batched or {}).items() if is_free]
    if not free:
        return graph, []
    try:
        return free_batch(graph, free), []
    except Fixed as error:
        return graph, [f"the batch is fixed to 1: {error}"]

"""A graph whose batch is free, out of graphs of a model at several sizes of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fanlight.errors import FanlightError
from fanlight.graph import Graph
from fanlight.graph.generalize import generalize
from fanlight.ops.types import Dim, TensorType

# Sizes that no model has for another reason; the first is the bound of the symbol.
SIZES = (61, 2, 3)


def free_batch(make: Callable[[int], Graph], batched: Sequence[str]) -> Graph:
    """The graph with a symbol `batch` as the leading dim of some inputs.

    Args:
        make: size of the batch -> the graph at that size.
        batched: the inputs whose leading dim it is.

    Raises:
        FanlightError: E-TENSOR-017, E-OP-007 the model does other things for other sizes; what
            `make` raises.
    """
    graphs = [make(size) for size in SIZES]
    batch = Dim("batch", max=SIZES[0])
    types = [
        TensorType((batch, *v.shape[1:]), v.dtype) if v.name in batched else v.type
        for v in graphs[0].inputs
    ]
    return generalize(graphs, types, [{"batch": size} for size in SIZES])


def batch_or_not(
    make: Callable[[int], Graph], batched: Sequence[str]
) -> tuple[Graph | None, str | None]:
    """The graph with a free batch, or None and why it has none."""
    try:
        return free_batch(make, batched), None
    except FanlightError as error:
        return None, f"{error.message} ({error.code})"

"""Where learning begins in a model: what stands before is computed once per example."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from fanlight.errors import FanlightError
from fanlight.graph import Graph, subgraphs, to_text
from fanlight.layers import scope
from fanlight.layers.model import Model
from fanlight.layers.symbolic import Node, Symbolic, mapped, trial_shape
from fanlight.ops import lookup
from fanlight.ops.apart import keeps_apart
from fanlight.ops.types import Dim, TensorType
from fanlight.tensor import Tensor, random
from fanlight.tensor.sizes import trace_sizes
from fanlight.tensor.tape import flatten
from fanlight.tensor.trace import capture

_BATCH = Dim("batch", 4)


def frontier(model: Model) -> list[Symbolic]:
    """Where learning begins: the stand-ins that nothing changes before, and something does behind.

    Empty where that is the input itself. A layer changes nothing if no weight of it trains, if it
    does in training what it does otherwise, and if it does that with each example by itself.
    """
    still = {id(s) for s in model.inputs}
    edge: dict[int, Symbolic] = {}
    for node in model._order:
        if not node.args:
            continue
        if all(id(s) in still for s in node.inputs) and _still(node):
            still |= {id(s) for s in node.outputs}
        else:
            edge.update((id(s), s) for s in node.inputs if id(s) in still)
    edge.update((id(s), s) for s in model.outputs if id(s) in still)
    begins = {id(s) for s in model.inputs}
    found = list(edge.values())
    whole = all(s.dtype == "float32" and None not in s.shape[1:] for s in found)
    return [] if not whole or all(id(s) in begins for s in found) else found


def _still(node: Node) -> bool:
    """Whether training leaves a call as it is, and other examples do."""
    if node.layer.trainable_weights:
        return False
    given = node.inputs
    names = [f"x{i}" for i in range(len(given))]

    def traced(parts: Sequence[Tensor], training: bool = False) -> dict[str, Tensor]:
        left = dict(zip(map(id, given), parts, strict=True))
        args, options = mapped((node.args, node.options), lambda s: left[id(s)])
        with scope.entered(scope.Scope(training, random.key(0))) as step:
            outputs = flatten(node.layer(*args, **{"training": training, **options}))[0]
        if step.updates or step.losses or step.draws:
            raise _ChangesError
        return {f"y{i}": y for i, y in enumerate(outputs)}

    try:
        types = [TensorType(trial_shape(s.shape, 0), s.dtype) for s in given]
        trained = capture(partial(traced, training=True), names, types, node.layer.name)
        if to_text(capture(traced, names, types, node.layer.name)) != to_text(trained):
            return False
        types = [TensorType((_BATCH, *t.shape[1:]), t.dtype) for t in types]
        return _apart(trace_sizes(traced, names, types, node.layer.name), first=True)
    except _ChangesError:
        return False
    except FanlightError:
        return False  # not for batches of any size: tracing the steps says why


def _apart(graph: Graph, first: bool = False) -> bool:
    """Whether a graph makes each example of a batch of that example alone.

    Args:
        first: whether its results count examples along their first dim.
    """
    if first and any(v.shape[:1] != (_BATCH,) for _, v in graph.outputs):
        return False
    for node in graph.nodes:
        bodies = subgraphs(node)
        if bodies:
            length = node.attrs.get("length")
            if isinstance(length, Dim) and length.name == _BATCH.name:  # example after example
                return False
            if not all(_apart(body.graph) for body in bodies.values()):
                return False
            continue
        if node.op == "slice" and _even(graph.weights.get(node.inputs[0])):
            continue  # as many zeros as examples: the first states
        types, made = [v.type for v in node.inputs], [v.type for v in node.outputs]
        if not keeps_apart(lookup(node.op), types, node.attrs, made, _BATCH.name):
            return False
    return True


def _even(array: np.ndarray | None) -> bool:
    return array is not None and array.size > 0 and bool((array == array.flat[0]).all())


class _ChangesError(Exception):
    """A layer does something for the next step."""

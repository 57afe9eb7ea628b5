"""Numbers that a layer looks up in a table: those that it has no row for are refused by name.

Compiled programs clamp them, as nothing inside can raise. So a step looks before it runs, at the
arrays that it is given: at the inputs that are looked up, or parts of them. What is computed from
inputs, and not only moved, nobody sees before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanlight.graph import Node, Value
from fanlight.layers import scope
from fanlight.layers.layer import Layer, input_error
from fanlight.ops import lookup
from fanlight.ops import row as rows
from fanlight.tensor import Tensor
from fanlight.tensor.trace import Trace


def check(layer: Layer, ids: np.ndarray, size: int) -> None:
    """E-LAYER-001 for the first number that is none of 0 to below `size`; floats are cut off."""
    if not ids.size or ids.dtype.kind not in "biuf":  # texts are refused as what cannot be cast
        return
    least, most = ids.min(), ids.max()  # either is NaN where there is one
    if least > -1 and most < size:
        return
    wrong = ~((ids > -1) & (ids < size))
    first = np.argwhere(wrong)[0].tolist()
    count = int(wrong.sum())
    more = f", and {count - 1} more" if count > 1 else ""
    todo = (
        f"input_dim={int(most) + 1} has rows for these."
        if least > -1 and most < 2**24
        else "what is not there takes a row of its own: count from 1, and 0 is nothing, with "
        "mask_zero=True."
    )
    raise input_error(
        layer,
        f"numbers from 0 to {size - 1}",
        f"{ids[tuple(first)]} at {first}{more}",
        todo,
    )


def looked_up(layer: Layer, ids: Tensor, size: int) -> None:
    """A layer looks numbers up: at once they are checked, traced the step is told of them."""
    if not ids.traced:
        check(layer, ids.numpy(), size)
        return
    step = scope.current()
    if step is not None:
        step.looked_up.append((layer, ids, size))


@dataclass(frozen=True)
class Lookup:
    """What a layer looks up, as far as it is only moved: from the arrays of a step.

    Attributes:
        given: which of the arrays are the values that the nodes begin with.
    """

    layer: Layer
    size: int
    given: Mapping[Value, int]
    constants: Mapping[Value, np.ndarray]
    nodes: Sequence[Node]
    ids: Value

    def check(self, arrays: Sequence[np.ndarray]) -> None:
        """E-LAYER-001, of these arrays of a batch."""
        known = {v: arrays[i] for v, i in self.given.items()} | dict(self.constants)
        for node in self.nodes:
            results = rows.evaluate(node.op, [known[v] for v in node.inputs], node.attrs)
            known.update(zip(node.outputs, results, strict=True))
        check(self.layer, known[self.ids], self.size)


def lookups(step: scope.Scope, parts: Sequence[Any]) -> list[Lookup]:
    """What layers look up in a step that is being traced, given these parts of a batch."""
    at = {x._value: i for i, x in enumerate(parts) if x.traced}
    found = [_from(layer, ids, size, at) for layer, ids, size in step.looked_up]
    return [lookup for lookup in found if lookup is not None]


def _from(layer: Layer, ids: Tensor, size: int, at: Mapping[Value, int]) -> Lookup | None:
    if not isinstance(ids._trace, Trace):
        return None
    builder = ids._trace.builder
    wanted = {ids._value}
    nodes: list[Node] = []
    for node in reversed(builder.nodes):
        if not wanted.isdisjoint(node.outputs):
            if lookup(node.op).family != "movement" and node.op not in ("cast", "gather"):
                return None
            wanted.update(node.inputs)
            nodes.insert(0, node)
    made = {v for node in nodes for v in node.outputs}
    given = {v: at[v] for v in wanted if v in at}
    constants = {v: a for v in wanted if (a := builder.array(v)) is not None}
    if not given or wanted - made - given.keys() - constants.keys():
        return None  # what is no part of the batch: a variable, or the body of a loop
    return Lookup(layer, size, given, constants, nodes, ids._value)

"""Sub-graphs of traced functions: a branch or a body as a graph of its own (docs/adr/0008).

Inside, what belongs to an outer trace, and every eager tensor, is one more input. So a sub-graph
has no weights, and whoever adds its node hands over what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fanlight.graph import Subgraph, Value
from fanlight.ops.types import TensorType
from fanlight.tensor.calls import check_open, state
from fanlight.tensor.core import Tensor
from fanlight.tensor.stored import refuse
from fanlight.tensor.trace import Trace

# A function between tensors in a row, whatever structures there were.
Flat = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class Body(Trace):
    """A branch or body that is being traced, one level deeper than what it is in."""

    def __init__(self, fn: Flat, types: Sequence[TensorType], name: str) -> None:
        state.traces += 1
        super().__init__(name)
        self.taken: dict[int, tuple[Tensor, Value]] = {}
        try:
            for type in types:
                refuse(type)
            self.inputs = [self.builder.input("x", t.shape, t.dtype) for t in types]
            outputs = fn([Tensor(v.type, None, self, v) for v in self.inputs])
            self.outputs = [self.value(y) for y in outputs]
        finally:
            self.open = False
            state.traces -= 1

    def value(self, x: Tensor) -> Value:
        """The sub-graph's value of a tensor; one of outside becomes an input."""
        if x._trace is self:
            check_open(x, self)
            own: Value = x._value
            return own
        known = self.taken.get(id(x))
        if known is None:
            refuse(x.type)
            known = self.taken[id(x)] = (x, self.builder.input("c", x.shape, x.dtype))
        return known[1]

    def finish(self, outside: Sequence[Tensor]) -> Subgraph:
        """The sub-graph; it takes these tensors of outside, in this order, after its own inputs."""
        taken = [self.value(x) for x in outside]
        graph = self.builder.finish({f"r{i}": v for i, v in enumerate(self.outputs)})
        return Subgraph(replace(graph, inputs=(*self.inputs, *taken)))


def taken_by(*bodies: Body) -> list[Tensor]:
    """The tensors of outside that bodies take, each once."""
    found = {key: x for body in bodies for key, (x, _) in body.taken.items()}
    return list(found.values())
